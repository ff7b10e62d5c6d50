//! Programs that tell of the machine, its users and its processes, and those that would change them.

use std::time::Duration;

use time::OffsetDateTime;

use super::{Call, Shell, files};
use crate::shell::{machine::MOUNTS, vfs::Errno};

pub(in crate::shell) const BUSYBOX_HELP: &str = "\nBusyBox is copyrighted by many authors between 1998-2015.\nLicensed under GPLv2. See source distribution for detailed\ncopyright notices.\n\nUsage: busybox [function [arguments]...]\n   or: busybox --list[-full]\n   or: busybox --install [-s] [DIR]\n   or: function [arguments]...\n\n\tBusyBox is a multi-call binary that combines many common Unix\n\tutilities into a single executable.  Most people will create a\n\tlink to busybox for each function they wish to use and BusyBox\n\twill act like whatever it was invoked as.\n\nCurrently defined functions:\n\t[, [[, ar, arch, ash, awk, base64, basename, bunzip2, bzcat, cat, chgrp, chmod, chown, clear, cp, cut, date, dd, df,\n\tdmesg, du, echo, env, expr, false, find, free, grep, gunzip, gzip, head, hostname, id, ifconfig, ip, kill, killall,\n\tln, ls, md5sum, mkdir, mount, mv, nc, netstat, nslookup, ping, ps, pwd, rm, rmdir, route, sed, sh, sha1sum, sleep,\n\tsort, stat, tail, tar, tee, test, tftp, touch, tr, true, umount, uname, uniq, uptime, vi, wc, wget, xargs, yes, zcat\n";

fn clock(at: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

pub(super) fn id(shell: &mut Shell, call: &mut Call) -> u8 {
    let account = match call.operands("").first() {
        Some(name) => match shell.machine.account(name) {
            Some(account) => account.clone(),
            None => {
                let text = format!("‘{name}’: no such user");
                return call.fail(text);
            }
        },
        None => shell.machine.account_or_new(&shell.env.user),
    };
    let text = if call.has('u') {
        if call.has('n') {
            account.name
        } else {
            account.uid.to_string()
        }
    } else if call.has('g') {
        if call.has('n') {
            account.name
        } else {
            account.gid.to_string()
        }
    } else {
        let extra = if account.admin && account.uid != 0 {
            ",27(sudo)"
        } else {
            ""
        };
        format!(
            "uid={0}({2}) gid={1}({2}) groups={1}({2}){extra}",
            account.uid, account.gid, account.name
        )
    };
    call.out(format!("{text}\n"));
    0
}

pub(super) fn whoami(shell: &mut Shell, call: &mut Call) -> u8 {
    call.out(format!("{}\n", shell.env.user));
    0
}

pub(super) fn groups(shell: &mut Shell, call: &mut Call) -> u8 {
    let admin = shell
        .machine
        .account(&shell.env.user)
        .is_some_and(|a| a.admin && a.uid != 0);
    call.out(format!(
        "{}{}\n",
        shell.env.user,
        if admin { " sudo" } else { "" }
    ));
    0
}

pub(super) fn uname(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    if call.name == "arch" {
        call.out(format!("{}\n", m.architecture));
        return 0;
    }
    if call.has('a') || call.args.iter().any(|a| a == "--all") {
        call.out(format!("{}\n", m.uname));
        return 0;
    }
    let parts: Vec<&str> = [
        ('s', "Linux"),
        ('n', m.hostname.as_str()),
        ('r', m.kernel_release),
        ('v', m.kernel_version),
        ('m', m.architecture),
        ('p', "unknown"),
        ('i', "unknown"),
        ('o', "GNU/Linux"),
    ]
    .into_iter()
    .filter(|(letter, _)| call.has(*letter) || (*letter == 's' && call.args.is_empty()))
    .map(|(_, text)| text)
    .collect();
    call.out(format!("{}\n", parts.join(" ")));
    0
}

pub(super) fn hostname(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    let text = if call.has('I') || call.has('i') {
        m.address.clone()
    } else if call.has('f') {
        format!("{}.{}", m.hostname, m.domain)
    } else if call.name == "hostnamectl" {
        format!(
            " Static hostname: {}\n       Icon name: computer-vm\n         Chassis: vm\n  Virtualization: kvm\nOperating System: {}\n          Kernel: Linux {}\n    Architecture: x86-64",
            m.hostname, m.pretty, m.kernel_release
        )
    } else {
        m.hostname.clone()
    };
    if !call.operands("").is_empty() && shell.env.uid != 0 {
        return call.fail("you must be root to change the host name");
    }
    call.out(format!("{text}\n"));
    0
}

struct Row {
    user: String,
    pid: u32,
    ppid: u32,
    rss: u32,
    tty: &'static str,
    command: String,
}

fn rows(shell: &Shell, call: &Call) -> Vec<Row> {
    let mut out: Vec<Row> = shell
        .machine
        .processes
        .iter()
        .map(|p| Row {
            user: p.user.to_owned(),
            pid: p.pid,
            ppid: p.ppid,
            rss: p.rss_kb,
            tty: "?",
            command: p.command.clone(),
        })
        .collect();
    let me = shell.env.user.clone();
    let listener = shell
        .machine
        .listening
        .iter()
        .find(|l| l.0 == 22)
        .map_or(1, |l| l.2);
    let tty = if shell.terminal.is_some() { "pts/0" } else { "?" };
    let label = if shell.terminal.is_some() {
        format!("sshd: {me}@pts/0")
    } else {
        format!("sshd: {me}@notty")
    };
    out.push(Row {
        user: "root".into(),
        pid: shell.pid - 9,
        ppid: listener,
        rss: 10_912,
        tty: "?",
        command: format!("sshd: {me} [priv]"),
    });
    out.push(Row {
        user: me.clone(),
        pid: shell.pid - 4,
        ppid: shell.pid - 9,
        rss: 6_524,
        tty: "?",
        command: label,
    });
    out.push(Row {
        user: me.clone(),
        pid: shell.pid,
        ppid: shell.pid - 4,
        rss: 4_820,
        tty,
        command: if shell.interactive {
            "-bash".into()
        } else {
            "bash".into()
        },
    });
    let command = format!("{} {}", call.name, call.args.join(" "));
    out.push(Row {
        user: me,
        pid: shell.pid + 17,
        ppid: shell.pid,
        rss: 3_968,
        tty,
        command: command.trim().to_owned(),
    });
    out
}

pub(super) fn ps(shell: &mut Shell, call: &mut Call) -> u8 {
    let all = call.args.concat();
    let every = all.contains('a') && all.contains('x') || all.contains('e') || all.contains('A');
    let full = all.contains('f') && call.args.iter().any(|a| a.starts_with('-'));
    let bsd = all.contains('u') && !full;
    let started = clock(shell.machine.boot_time);
    let boot = format!("{}{:02}", files::month(started), started.day());
    let now = clock(shell.now());
    let start = |row: &Row| {
        if row.pid >= shell.pid - 9 {
            format!("{:02}:{:02}", now.hour(), now.minute())
        } else {
            boot.clone()
        }
    };
    let rows: Vec<Row> = rows(shell, call)
        .into_iter()
        .filter(|r| every || r.tty != "?" || (r.pid >= shell.pid))
        .collect();
    let short = |user: &str| {
        if user.len() > 8 {
            format!("{}+", user.chars().take(7).collect::<String>())
        } else {
            user.to_owned()
        }
    };
    let mut out = String::new();
    if bsd {
        out.push_str("USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n");
        for r in &rows {
            let mem =
                f64::from(r.rss) * 100.0 / f64::from(u32::try_from(shell.machine.mem_kb).unwrap_or(u32::MAX));
            let vsz = if r.rss == 0 { 0 } else { r.rss * 7 + 8_212 };
            let stat = if r.pid == shell.pid + 17 {
                "R+"
            } else if r.pid == shell.pid {
                "Ss"
            } else if r.rss == 0 {
                "I<"
            } else {
                "Ss"
            };
            out.push_str(&format!(
                "{:<8} {:>7}  0.0 {mem:>4.1} {vsz:>6} {:>5} {:<8} {stat:<4} {:>5}   0:0{} {}\n",
                short(&r.user),
                r.pid,
                r.rss,
                r.tty,
                start(r),
                u8::from(r.pid == 1),
                r.command
            ));
        }
    } else if full {
        out.push_str("UID          PID    PPID  C STIME TTY          TIME CMD\n");
        for r in &rows {
            out.push_str(&format!(
                "{:<8} {:>7} {:>7}  0 {} {:<8} 00:00:0{} {}\n",
                short(&r.user),
                r.pid,
                r.ppid,
                start(r),
                r.tty,
                u8::from(r.pid == 1),
                r.command
            ));
        }
    } else {
        out.push_str("    PID TTY          TIME CMD\n");
        for r in &rows {
            let name = r
                .command
                .trim_start_matches('-')
                .trim_matches(['[', ']'])
                .split(' ')
                .next()
                .unwrap_or_default();
            let name = name.rsplit('/').next().unwrap_or(name).trim_end_matches(':');
            out.push_str(&format!(
                "{:>7} {:<8} 00:00:00 {}\n",
                r.pid,
                r.tty,
                name.chars().take(15).collect::<String>()
            ));
        }
    }
    call.out(out);
    0
}

pub(super) fn top(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    let [a, b, c] = m.load(shell.now());
    let at = clock(shell.now());
    let mut out = format!(
        "top - {:02}:{:02}:{:02} {},  1 user,  load average: {a:.2}, {b:.2}, {c:.2}\nTasks: {:>3} total,   1 running, {:>3} sleeping,   0 stopped,   0 zombie\n%Cpu(s):  0.3 us,  0.3 sy,  0.0 ni, 99.3 id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st\nMiB Mem : {:>8.1} total, {:>8.1} free, {:>8.1} used, {:>8.1} buff/cache\n\n    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND\n",
        at.hour(),
        at.minute(),
        at.second(),
        up_text(shell),
        m.processes.len() + 4,
        m.processes.len() + 3,
        mib(m.mem_kb),
        mib((m.mem_kb - m.mem_used_kb) / 3),
        mib(m.mem_used_kb),
        mib((m.mem_kb - m.mem_used_kb) / 2)
    );
    for r in rows(shell, call).iter().filter(|r| r.rss > 0).take(15) {
        out.push_str(&format!(
            "{:>7} {:<9} 20   0 {:>7} {:>6} {:>6} S   0.0   0.1   0:00.04 {}\n",
            r.pid,
            r.user,
            r.rss * 7,
            r.rss,
            r.rss / 2,
            r.command
                .split(' ')
                .next()
                .and_then(|c| c.rsplit('/').next())
                .unwrap_or_default()
        ));
    }
    call.out(out);
    0
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mib(kb: u64) -> f64 {
    kb as f64 / 1024.0
}

pub(super) fn pgrep(shell: &mut Shell, call: &mut Call) -> u8 {
    let Some(name) = call.operands("u").first().cloned() else {
        return 2;
    };
    let hits: Vec<u32> = shell
        .machine
        .processes
        .iter()
        .filter(|p| {
            if call.has('f') {
                p.command.contains(&name)
            } else {
                p.command
                    .split([' ', ':'])
                    .next()
                    .is_some_and(|c| c.rsplit('/').next().is_some_and(|c| c.contains(&name)))
            }
        })
        .map(|p| p.pid)
        .collect();
    let text: String = if call.name == "pidof" {
        let line: Vec<String> = hits.iter().rev().map(u32::to_string).collect();
        if line.is_empty() {
            String::new()
        } else {
            format!("{}\n", line.join(" "))
        }
    } else {
        hits.iter().map(|p| format!("{p}\n")).collect()
    };
    call.out(text);
    u8::from(hits.is_empty())
}

pub(super) fn kill(shell: &mut Shell, call: &mut Call) -> u8 {
    let operands: Vec<String> = call
        .args
        .iter()
        .filter(|a| !a.starts_with('-') || a.parse::<i64>().is_err() && !a.starts_with('-'))
        .cloned()
        .collect();
    if call.name == "kill" {
        if call.has('l') {
            call.out(" 1) SIGHUP\t 2) SIGINT\t 3) SIGQUIT\t 4) SIGILL\t 5) SIGTRAP\n 6) SIGABRT\t 7) SIGBUS\t 8) SIGFPE\t 9) SIGKILL\t10) SIGUSR1\n11) SIGSEGV\t12) SIGUSR2\t13) SIGPIPE\t14) SIGALRM\t15) SIGTERM\n");
            return 0;
        }
        let who = shell.complaint();
        if operands.is_empty() {
            call.err(format!("{who}: kill: usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]\n"));
            return 2;
        }
        let mut status = 0;
        for pid in operands {
            let known = pid
                .parse::<u32>()
                .ok()
                .and_then(|p| shell.machine.processes.iter().find(|x| x.pid == p));
            let fault = match known {
                Some(p) if shell.env.uid == 0 || p.user == shell.env.user => continue,
                Some(_) => "Operation not permitted",
                None if pid
                    .parse::<u32>()
                    .is_ok_and(|p| p == shell.pid || Some(p) == shell.background_pid) =>
                {
                    continue;
                }
                None => "No such process",
            };
            call.err(format!("{who}: kill: ({pid}) - {fault}\n"));
            status = 1;
        }
        return status;
    }
    let Some(name) = operands.first() else { return 2 };
    if call.name == "killall" {
        call.err(format!("{name}: no process found\n"));
    }
    1
}

fn up_text(shell: &Shell) -> String {
    let up = shell.machine.uptime(shell.now());
    let (days, hours, minutes) = (up / 86_400, up / 3_600 % 24, up / 60 % 60);
    let days = match days {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        n => format!("{n} days, "),
    };
    if hours == 0 {
        format!("up {days}{minutes} min")
    } else {
        format!("up {days}{hours:>2}:{minutes:02}")
    }
}

fn source(shell: &Shell) -> String {
    shell
        .env
        .text("SSH_CLIENT")
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned()
}

pub(super) fn uptime(shell: &mut Shell, call: &mut Call) -> u8 {
    let at = clock(shell.now());
    let [a, b, c] = shell.machine.load(shell.now());
    if call.has('p') {
        call.out(format!("{}\n", up_text(shell)));
        return 0;
    }
    call.out(format!(
        " {:02}:{:02}:{:02} {},  1 user,  load average: {a:.2}, {b:.2}, {c:.2}\n",
        at.hour(),
        at.minute(),
        at.second(),
        up_text(shell)
    ));
    0
}

pub(super) fn who(shell: &mut Shell, call: &mut Call) -> u8 {
    let started = clock(shell.started);
    let user = shell.env.user.clone();
    match call.name.as_str() {
        "users" => call.out(format!("{user}\n")),
        "who" => call.out(format!(
            "{user:<8} pts/0        {} {:02}:{:02} ({})\n",
            started.date(),
            started.hour(),
            started.minute(),
            source(shell)
        )),
        _ => {
            let command = call.name.clone();
            uptime(shell, call);
            call.out(format!("USER     TTY      FROM             LOGIN@   IDLE   JCPU   PCPU WHAT\n{user:<8} pts/0    {:<16} {:02}:{:02}    1.00s  0.01s  0.00s {command}\n", source(shell), started.hour(), started.minute()));
        }
    }
    0
}

pub(super) fn last(shell: &mut Shell, call: &mut Call) -> u8 {
    let started = clock(shell.started);
    let boot = clock(shell.machine.boot_time);
    let day = |at: OffsetDateTime| {
        let week = at.weekday().to_string();
        format!(
            "{} {} {:>2} {:02}:{:02}",
            week.chars().take(3).collect::<String>(),
            files::month(at),
            at.day(),
            at.hour(),
            at.minute()
        )
    };
    call.out(format!(
        "{:<8} pts/0        {:<16} {}   still logged in\nreboot   system boot  {:<16} {}   still running\n\nwtmp begins {} {}\n",
        shell.env.user, source(shell), day(started), shell.machine.kernel_release.chars().take(16).collect::<String>(), day(boot), day(boot), boot.year()
    ));
    0
}

pub(super) fn date(shell: &mut Shell, call: &mut Call) -> u8 {
    let at = clock(shell.now());
    let week = at.weekday().to_string();
    let week: String = week.chars().take(3).collect();
    if let Some(format) = call.args.iter().find_map(|a| a.strip_prefix('+')) {
        let mut out = String::new();
        let mut it = format.chars();
        while let Some(c) = it.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match it.next() {
                Some('s') => out.push_str(&shell.now().to_string()),
                Some('Y') => out.push_str(&at.year().to_string()),
                Some('m') => out.push_str(&format!("{:02}", u8::from(at.month()))),
                Some('d') => out.push_str(&format!("{:02}", at.day())),
                Some('H') => out.push_str(&format!("{:02}", at.hour())),
                Some('M') => out.push_str(&format!("{:02}", at.minute())),
                Some('S') => out.push_str(&format!("{:02}", at.second())),
                Some('N') => out.push_str(&format!("{:09}", shell.random() % 1_000_000_000)),
                Some('F') => out.push_str(&at.date().to_string()),
                Some('T') => out.push_str(&format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())),
                Some('a') => out.push_str(&week),
                Some('b' | 'h') => out.push_str(files::month(at)),
                Some('j') => out.push_str(&format!("{:03}", at.ordinal())),
                Some('Z') => out.push_str("UTC"),
                Some('z') => out.push_str("+0000"),
                Some(other) => out.push(other),
                None => out.push('%'),
            }
        }
        call.out(format!("{out}\n"));
        return 0;
    }
    let (hour, half) = match at.hour() {
        0 => (12, "AM"),
        h @ 1..=11 => (h, "AM"),
        12 => (12, "PM"),
        h => (h - 12, "PM"),
    };
    call.out(format!(
        "{week} {} {:>2} {hour:02}:{:02}:{:02} {half} UTC {}\n",
        files::month(at),
        at.day(),
        at.minute(),
        at.second(),
        at.year()
    ));
    0
}

pub(super) fn df(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    let tmp = m.mem_kb / 10;
    let table: [(&str, u64, u64, &str); 5] = [
        ("udev", m.mem_kb / 2 - 21_000, 0, "/dev"),
        ("tmpfs", tmp, tmp / 600, "/run"),
        ("/dev/sda1", m.disk_kb, m.disk_used_kb, "/"),
        ("tmpfs", m.mem_kb / 2, 0, "/dev/shm"),
        ("tmpfs", 5_120, 0, "/run/lock"),
    ];
    let human = call.has('h');
    let mut out = if human {
        "Filesystem      Size  Used Avail Use% Mounted on\n".to_owned()
    } else {
        "Filesystem     1K-blocks     Used Available Use% Mounted on\n".to_owned()
    };
    for (name, size, used, on) in table {
        let available = (size - used) - if on == "/" { size / 20 } else { 0 };
        let percent = (used * 100).div_ceil((used + available).max(1));
        out.push_str(&if human {
            let h = |kb: u64| {
                if kb == 0 {
                    "0".to_owned()
                } else {
                    files::human(kb * 1024)
                }
            };
            format!(
                "{name:<15} {:>4}  {:>4}  {:>4} {percent:>3}% {on}\n",
                h(size),
                h(used),
                h(available)
            )
        } else {
            format!("{name:<14} {size:>9} {used:>8} {available:>9} {percent:>3}% {on}\n")
        });
    }
    call.out(out);
    0
}

pub(super) fn free(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    let spare = m.mem_kb - m.mem_used_kb;
    let show = |kb: u64| {
        if call.has('h') {
            let text = files::human(kb * 1024);
            format!("{text}i").replace("0i", if kb == 0 { "0B" } else { "0i" })
        } else if call.has('m') {
            (kb / 1024).to_string()
        } else if call.has('g') {
            (kb >> 20).to_string()
        } else {
            kb.to_string()
        }
    };
    call.out(format!(
        "               total        used        free      shared  buff/cache   available\nMem:     {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}\nSwap:    {:>11} {:>11} {:>11}\n",
        show(m.mem_kb), show(m.mem_used_kb), show(spare / 3), show(1_176), show(spare - spare / 3), show(spare - spare / 20), show(998_396), show(0), show(998_396)
    ));
    0
}

pub(super) fn mount(shell: &mut Shell, call: &mut Call) -> u8 {
    if !call.operands("to").is_empty() {
        let target = call.operands("to").last().cloned().unwrap_or_default();
        let text = if shell.env.uid == 0 {
            format!("{target}: special device does not exist.")
        } else {
            format!("{target}: must be superuser to use mount.")
        };
        call.fail(text);
        return 32;
    }
    for line in MOUNTS.lines() {
        let f: Vec<&str> = line.split(' ').collect();
        if let [device, on, kind, options, ..] = f.as_slice() {
            call.out(format!("{device} on {on} type {kind} ({options})\n"));
        }
    }
    0
}

pub(super) fn lsblk(shell: &mut Shell, call: &mut Call) -> u8 {
    let size = files::human((shell.machine.disk_kb + 2_100_000) * 1024);
    call.out(format!("NAME   MAJ:MIN RM  SIZE RO TYPE MOUNTPOINTS\nsda      8:0    0 {size:>5}  0 disk \n├─sda1   8:1    0 {:>5}  0 part /\n├─sda2   8:2    0    1K  0 part \n└─sda5   8:5    0  975M  0 part [SWAP]\nsr0     11:0    1 1024M  0 rom  \n", files::human(shell.machine.disk_kb * 1024)));
    0
}

pub(super) fn nproc(shell: &mut Shell, call: &mut Call) -> u8 {
    call.out(format!("{}\n", shell.machine.cores));
    0
}

pub(super) fn getconf(shell: &mut Shell, call: &mut Call) -> u8 {
    let text = match call.args.first().map(String::as_str) {
        Some("_NPROCESSORS_ONLN" | "_NPROCESSORS_CONF") => shell.machine.cores.to_string(),
        Some("LONG_BIT") => "64".to_owned(),
        Some("PAGESIZE" | "PAGE_SIZE") => "4096".to_owned(),
        _ => return call.fail("Unrecognized variable"),
    };
    call.out(format!("{text}\n"));
    0
}

pub(super) fn tty(shell: &mut Shell, call: &mut Call) -> u8 {
    call.out(if shell.terminal.is_some() {
        "/dev/pts/0\n"
    } else {
        "not a tty\n"
    });
    u8::from(shell.terminal.is_none())
}

pub(super) fn lscpu(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    let vendor = if m.cpu.starts_with("AMD") {
        "AuthenticAMD"
    } else {
        "GenuineIntel"
    };
    let list = if m.cores == 1 {
        "0".to_owned()
    } else {
        format!("0-{}", m.cores - 1)
    };
    call.out(format!(
        "Architecture:                       x86_64\nCPU op-mode(s):                     32-bit, 64-bit\nAddress sizes:                      46 bits physical, 48 bits virtual\nByte Order:                         Little Endian\nCPU(s):                             {0}\nOn-line CPU(s) list:                {list}\nVendor ID:                          {vendor}\nModel name:                         {1}\nCPU family:                         6\nModel:                              79\nThread(s) per core:                 1\nCore(s) per socket:                 1\nSocket(s):                          {0}\nStepping:                           1\nBogoMIPS:                           4799.99\nHypervisor vendor:                  KVM\nVirtualization type:                full\nL1d cache:                          {2} KiB ({0} instances)\nL1i cache:                          {2} KiB ({0} instances)\nNUMA node(s):                       1\nNUMA node0 CPU(s):                  {list}\n",
        m.cores, m.cpu, 32 * m.cores
    ));
    0
}

pub(super) fn lspci(_: &mut Shell, call: &mut Call) -> u8 {
    call.out("00:00.0 Host bridge: Intel Corporation 440FX - 82441FX PMC [Natoma] (rev 02)\n00:01.0 ISA bridge: Intel Corporation 82371SB PIIX3 ISA [Natoma/Triton II]\n00:01.1 IDE interface: Intel Corporation 82371SB PIIX3 IDE [Natoma/Triton II]\n00:01.3 Bridge: Intel Corporation 82371AB/EB/MB PIIX4 ACPI (rev 03)\n00:02.0 VGA compatible controller: Device 1234:1111 (rev 02)\n00:03.0 Ethernet controller: Red Hat, Inc. Virtio network device\n00:05.0 SCSI storage controller: Red Hat, Inc. Virtio SCSI\n");
    0
}

pub(super) fn dmidecode(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.env.uid != 0 {
        call.err("/sys/firmware/dmi/tables/smbios_entry_point: Permission denied\nScanning /dev/mem for entry point.\n/dev/mem: Permission denied\n");
        return 1;
    }
    call.out("# dmidecode 3.4\nGetting SMBIOS data from sysfs.\nSMBIOS 2.8 present.\n\nHandle 0x0100, DMI type 1, 27 bytes\nSystem Information\n\tManufacturer: QEMU\n\tProduct Name: Standard PC (i440FX + PIIX, 1996)\n\tVersion: pc-i440fx-7.2\n\tSerial Number: Not Specified\n\tWake-up Type: Power Switch\n\n");
    0
}

pub(super) fn dmesg(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.env.uid != 0 {
        return call.fail("read kernel buffer failed: Operation not permitted");
    }
    let m = &shell.machine;
    call.out(format!("[    0.000000] Linux version {} {}\n[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz-{0} root=/dev/sda1 ro quiet\n[    0.000000] BIOS-provided physical RAM map:\n[    0.000000] Hypervisor detected: KVM\n[    0.211482] Memory: {}K/{}K available\n[    1.482112] EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none.\n[    2.118733] systemd[1]: Hostname set to <{}>.\n[    4.902116] {}: link up, 1000 Mbps\n", m.kernel_release, m.kernel_version, m.mem_kb - 90_000, m.mem_kb, m.hostname, m.interface));
    0
}

pub(super) fn lsmod(_: &mut Shell, call: &mut Call) -> u8 {
    call.out("Module                  Size  Used by\nintel_rapl_msr         20480  0\nintel_rapl_common      32768  1 intel_rapl_msr\nghash_clmulni_intel    16384  0\nvirtio_net             73728  0\nnet_failover           20480  1 virtio_net\next4                  983040  1\njbd2                  167936  1 ext4\nvirtio_scsi            28672  2\n");
    0
}

pub(super) fn env(shell: &mut Shell, call: &mut Call) -> u8 {
    if let Some(name) = call
        .args
        .first()
        .filter(|a| !a.starts_with('-') && call.name == "printenv")
    {
        let found = shell
            .env
            .vars
            .get(name)
            .map(|v| [v.value.as_slice(), b"\n"].concat());
        return match found {
            Some(text) => {
                call.out(text);
                0
            }
            None => 1,
        };
    }
    for (name, var) in shell.env.vars.iter().filter(|(_, v)| v.exported) {
        call.out(format!("{name}="));
        call.out(&var.value);
        call.out(b"\n");
    }
    call.out(format!("_=/usr/bin/{}\n", call.name));
    0
}

pub(super) fn clear(_: &mut Shell, call: &mut Call) -> u8 {
    call.out(b"\x1b[H\x1b[2J\x1b[3J");
    0
}

pub(super) fn crontab(shell: &mut Shell, call: &mut Call) -> u8 {
    let user = shell.env.user.clone();
    let path = format!("/var/spool/cron/crontabs/{user}");
    let root = crate::shell::vfs::Who { uid: 0, gid: 0 };
    if call.has('l') {
        return match shell.vfs.read(root, "/", &path) {
            Ok(text) => {
                call.out(&*text);
                0
            }
            Err(_) => {
                call.err(format!("no crontab for {user}\n"));
                1
            }
        };
    }
    if call.has('r') {
        return match shell.vfs.unlink(root, "/", &path) {
            Ok(_) => 0,
            Err(Errno::NoEntry) => {
                call.err(format!("no crontab for {user}\n"));
                1
            }
            Err(errno) => call.fail(errno.text()),
        };
    }
    if call.has('e') || call.args.is_empty() {
        call.err("No modification made\n");
        return 0;
    }
    let file = call.operands("u").first().cloned().unwrap_or_default();
    let text = if file == "-" {
        std::mem::take(&mut call.input)
    } else {
        match shell.vfs.read(shell.who(), &shell.env.cwd, &file) {
            Ok(text) => text.to_vec(),
            Err(errno) => {
                call.err(format!("{file}: {}\n", errno.text()));
                return 1;
            }
        }
    };
    let now = shell.now();
    shell.surrender(&path);
    match shell.vfs.write(root, "/", &path, &text, false, now) {
        Ok(_) => 0,
        Err(errno) => call.fail(errno.text()),
    }
}

pub(super) fn systemctl(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut operands = call.operands("");
    if call.name == "service" {
        operands.reverse();
    }
    let verb = operands.first().cloned().unwrap_or_default();
    let unit = operands
        .get(1)
        .map(|u| u.trim_end_matches(".service").to_owned())
        .unwrap_or_default();
    let known = |unit: &str| {
        let unit = if unit == "ssh" { "sshd" } else { unit };
        !unit.is_empty()
            && shell
                .machine
                .processes
                .iter()
                .find(|p| p.rss_kb > 0 && p.command.contains(unit))
                .map(|p| p.pid)
                .is_some()
    };
    match verb.as_str() {
        "status" if known(&unit) => {
            let at = clock(shell.machine.boot_time);
            call.out(format!("● {unit}.service\n     Loaded: loaded (/lib/systemd/system/{unit}.service; enabled; preset: enabled)\n     Active: active (running) since {} {:02}:{:02}:{:02} UTC\n", at.date(), at.hour(), at.minute(), at.second()));
            0
        }
        "status" if !unit.is_empty() => {
            call.err(format!("Unit {unit}.service could not be found.\n"));
            4
        }
        "is-active" => {
            call.out(if known(&unit) { "active\n" } else { "inactive\n" });
            if known(&unit) { 0 } else { 3 }
        }
        "" | "list-units" | "status" => {
            let mut out = String::from("  UNIT                        LOAD   ACTIVE SUB     DESCRIPTION\n");
            for name in [
                "cron",
                "dbus",
                "getty@tty1",
                "rsyslog",
                "ssh",
                "systemd-journald",
                "systemd-logind",
                "systemd-udevd",
            ] {
                out.push_str(&format!(
                    "  {:<27} loaded active running {name}\n",
                    format!("{name}.service")
                ));
            }
            call.out(out);
            0
        }
        _ if shell.env.uid != 0 => {
            call.err(format!("Failed to {verb} {unit}.service: Interactive authentication required.\nSee system logs and 'systemctl status {unit}.service' for details.\n"));
            1
        }
        "daemon-reload" => 0,
        _ if known(&unit) => 0,
        _ => {
            let text = if call.name == "service" {
                format!("{unit}: unrecognized service\n")
            } else {
                format!("Failed to {verb} {unit}.service: Unit {unit}.service not found.\n")
            };
            call.err(text);
            5
        }
    }
}

pub(super) fn useradd(shell: &mut Shell, call: &mut Call) -> u8 {
    let Some(name) = call.operands("dgGsupcek").first().cloned() else {
        let name = call.name.clone();
        call.err(format!("Usage: {name} [options] LOGIN\n"));
        return 2;
    };
    if shell.env.uid != 0 {
        let tool = call.name.clone();
        call.err(format!(
            "{tool}: Permission denied.\n{tool}: cannot lock /etc/passwd; try again later.\n"
        ));
        return 1;
    }
    if matches!(call.name.as_str(), "useradd" | "adduser") {
        if shell.machine.account(&name).is_some() {
            call.fail(format!("user '{name}' already exists"));
            return 9;
        }
        let now = shell.now();
        let line = format!("{name}:x:1010:1010::/home/{name}:/bin/sh\n");
        if let Ok(at) = shell
            .vfs
            .write(shell.who(), "/", "/etc/passwd", line.as_bytes(), true, now)
        {
            shell.vfs.forget_written(&at);
        }
    } else if shell.machine.account(&name).is_none() {
        let tool = call.name.clone();
        call.err(format!("{tool}: user '{name}' does not exist\n"));
        return 6;
    }
    0
}

pub(super) fn chpasswd(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.env.uid != 0 {
        return call.fail("Permission denied.");
    }
    let input = std::mem::take(&mut call.input);
    let mut status = 0;
    for (i, line) in super::lines(&input).enumerate() {
        let mut parts = line.splitn(2, |b| *b == b':');
        let user = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        match parts.next() {
            Some(secret) => shell.outside.report(crate::shell::Report::Secret {
                user: &user,
                secret,
                via: "chpasswd",
                accepted: true,
            }),
            None => {
                call.err(format!(
                    "chpasswd: line {}: missing new password\nchpasswd: error detected, changes ignored\n",
                    i + 1
                ));
                status = 1;
            }
        }
    }
    status
}

pub(super) fn apt(shell: &mut Shell, call: &mut Call) -> u8 {
    let operands = call.operands("o");
    let verb = operands.first().cloned().unwrap_or_default();
    if call.name == "dpkg" {
        if call.has('l') {
            let list = shell.machine.distribution.package_list();
            call.out(list);
        } else if call.args.iter().any(|a| a == "--print-architecture") {
            call.out("amd64\n");
        }
        return 0;
    }
    if verb.is_empty() {
        call.out("apt 2.6.1 (amd64)\nUsage: apt [options] command\n");
        return 0;
    }
    if shell.env.uid != 0 {
        call.err("E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n");
        return 100;
    }
    match verb.as_str() {
        "update" => {
            call.wait(Duration::from_secs(8));
            let (out, err, status) = shell.machine.distribution.refresh();
            call.out(out);
            call.err(err);
            status
        }
        "install" => {
            let package = operands.get(1).cloned().unwrap_or_default();
            call.out("Reading package lists...\nBuilding dependency tree...\nReading state information...\n");
            call.wait(Duration::from_secs(1));
            call.err(format!("E: Unable to locate package {package}\n"));
            100
        }
        _ => {
            call.out("Reading package lists...\nBuilding dependency tree...\nReading state information...\n0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n");
            0
        }
    }
}

/// `rpm`, `dnf`, `yum`, `pacman` and `apk`: they list what is there, and find no mirror for the rest.
pub(super) fn packager(shell: &mut Shell, call: &mut Call) -> u8 {
    let listing = match call.name.as_str() {
        "rpm" => call.has('q') || call.has('a'),
        "pacman" => call.has('Q'),
        _ => call.args.iter().any(|a| matches!(a.as_str(), "info" | "list")),
    };
    if listing {
        let list = shell.machine.distribution.package_list();
        call.out(list);
        return 0;
    }
    if call.args.is_empty() || call.name == "rpm" {
        let name = call.name.clone();
        call.err(format!("{name}: no operation specified\n"));
        return 1;
    }
    if shell.env.uid != 0 {
        call.err(match call.name.as_str() {
            "pacman" => "error: you cannot perform this operation unless you are root.\n",
            "apk" => "ERROR: Unable to lock database: Permission denied\nERROR: Failed to open apk database: Permission denied\n",
            _ => "Error: This command has to be run with superuser privileges (under the root user on most systems).\n",
        });
        return 1;
    }
    call.wait(Duration::from_secs(8));
    let (out, err, status) = shell.machine.distribution.refresh();
    call.out(out);
    call.err(err);
    status
}

pub(super) fn interpreter(_: &mut Shell, call: &mut Call) -> u8 {
    if call
        .args
        .iter()
        .any(|a| a == "--version" || a == "-V" || a == "-v")
    {
        call.out(if call.name == "perl" {
            "\nThis is perl 5, version 36, subversion 0 (v5.36.0) built for x86_64-linux-gnu-thread-multi\n"
        } else {
            "Python 3.11.2\n"
        });
        return 0;
    }
    // An import that fails is what a minimal installation answers to most one-liners.
    call.wait(Duration::from_millis(300));
    if call.name == "perl" {
        return 0;
    }
    call.err("Fatal Python error: init_import_site: Failed to import the site module\nPython runtime state: initialized\nModuleNotFoundError: No module named 'site'\n");
    1
}

pub(super) fn lsof(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut out = String::from("COMMAND    PID       USER   FD   TYPE DEVICE SIZE/OFF NODE NAME\n");
    for (port, name, pid) in &shell.machine.listening {
        out.push_str(&format!(
            "{:<9} {pid:>4} {:>10}    3u  IPv4  {:>5}      0t0  TCP *:{port} (LISTEN)\n",
            name.chars().take(9).collect::<String>(),
            "root",
            14_000 + port
        ));
    }
    call.out(out);
    0
}

pub(super) fn screen(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.terminal.is_none() && !call.has('d') {
        call.err("Must be connected to a terminal.\n");
        return 1;
    }
    if call.has('l') {
        call.out(format!(
            "No Sockets found in /run/screen/S-{}.\n\n",
            shell.env.user
        ));
        return 1;
    }
    0
}

pub(super) fn reboot(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.env.uid != 0 {
        call.err("Failed to set wall message, ignoring: Interactive authentication required.\nCall to Reboot failed: Interactive authentication required.\n");
        return 1;
    }
    0
}

pub(super) fn editor(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.terminal.is_none() {
        call.err("Vim: Warning: Output is not to a terminal\n");
        return 1;
    }
    call.err("E437: Terminal capability \"cm\" required\n");
    1
}
