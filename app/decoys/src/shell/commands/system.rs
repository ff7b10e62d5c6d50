//! Programs that tell of the machine, its users and its processes, and those that would change them.

use sha2::Digest as _;
use time::OffsetDateTime;

use super::{Call, Shell, files};
use crate::shell::{daemons::Unit, vfs::Errno};

pub(in crate::shell) const BUSYBOX_HELP: &str = "\nBusyBox is copyrighted by many authors between 1998-2015.\nLicensed under GPLv2. See source distribution for detailed\ncopyright notices.\n\nUsage: busybox [function [arguments]...]\n   or: busybox --list[-full]\n   or: busybox --install [-s] [DIR]\n   or: function [arguments]...\n\n\tBusyBox is a multi-call binary that combines many common Unix\n\tutilities into a single executable.  Most people will create a\n\tlink to busybox for each function they wish to use and BusyBox\n\twill act like whatever it was invoked as.\n\nCurrently defined functions:\n\t[, [[, ar, arch, ash, awk, base64, basename, bunzip2, bzcat, cat, chgrp, chmod, chown, clear, cp, cut, date, dd, df,\n\tdmesg, du, echo, env, expr, false, find, free, grep, gunzip, gzip, head, hostname, id, ifconfig, ip, kill, killall,\n\tln, ls, md5sum, mkdir, mount, mv, nc, netstat, nslookup, ping, ps, pwd, rm, rmdir, route, sed, sh, sha1sum, sleep,\n\tsort, stat, tail, tar, tee, test, tftp, touch, tr, true, umount, uname, uniq, uptime, vi, wc, wget, xargs, yes, zcat\n";

/// A time in UTC.
pub(super) fn clock(at: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

pub(super) fn whoami(shell: &mut Shell, call: &mut Call) -> u8 {
    call.out(format!("{}\n", shell.env.user));
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
    let (kind, virt) = if m.platform.is_virtual() {
        ("vm", format!("  Virtualization: {}\n", m.platform.virt))
    } else {
        ("server", String::new())
    };
    let text = if call.has('I') || call.has('i') {
        m.address.clone()
    } else if call.has('f') {
        format!("{}.{}", m.hostname, m.domain)
    } else if call.name == "hostnamectl" {
        format!(
            " Static hostname: {}\n       Icon name: computer-{kind}\n         Chassis: {kind}\n      Machine ID: {}\n         Boot ID: {}\n{virt}Operating System: {}\n          Kernel: Linux {}\n    Architecture: x86-64",
            m.hostname,
            m.machine_id,
            hex::encode(
                sha2::Sha256::digest(format!("{}{}", m.machine_id, m.boot_time))
                    .get(..16)
                    .unwrap_or_default()
            ),
            m.pretty,
            m.kernel_release
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

/// One process, as `ps` and `top` show it.
struct Row {
    user: String,
    pid: u32,
    ppid: u32,
    rss: u32,
    tty: String,
    stat: &'static str,
    started: i64,
    command: String,
    /// What it calls itself, where that is not its program's name.
    comm: Option<&'static str>,
}

impl Row {
    fn name(&self) -> String {
        if let Some(comm) = self.comm {
            return comm.to_owned();
        }
        let first = self.command.trim_start_matches('-').trim_matches(['[', ']']);
        let first = first.split(' ').next().unwrap_or_default();
        let name = if self.command.starts_with('[') {
            first
        } else {
            first.rsplit('/').next().unwrap_or(first).trim_end_matches(':')
        };
        name.chars().take(15).collect()
    }
}

fn rows(shell: &Shell, call: &Call) -> Vec<Row> {
    let mut out: Vec<Row> = shell
        .running()
        .processes
        .into_iter()
        .map(|p| Row {
            user: p.user.to_owned(),
            pid: p.pid,
            ppid: p.ppid,
            rss: p.rss_kb,
            tty: if p.command.contains("agetty") { "tty1" } else { "?" }.to_owned(),
            stat: match p.command.as_str() {
                command if command.contains("agetty") => "Ss+",
                _ if p.rss_kb > 0 => "Ss",
                "[kthreadd]" | "[rcu_preempt]" | "[kdevtmpfs]" | "[kauditd]" | "[khungtaskd]"
                | "[oom_reaper]" | "[kcompactd0]" | "[kswapd0]" | "[jbd2/sda1-8]" | "[scsi_eh_0]"
                | "[ksoftirqd/0]" | "[migration/0]" | "[cpuhp/0]" => "S",
                "[ksmd]" | "[khugepaged]" => "SN",
                command if command.contains("_kthread") => "I",
                _ => "I<",
            },
            started: p.started,
            comm: shell.machine.comm(p.pid),
            command: p.command,
        })
        .collect();
    let me = shell.env.user.clone();
    let first = shell.ancestors.first();
    let visitor = first.map_or(&me, |a| &a.user).clone();
    let listener = out
        .iter()
        .find(|r| r.command.starts_with("sshd: /usr") || r.command.contains("/dropbear "))
        .map_or(1, |r| r.pid);
    let terminal = shell.terminal.is_some();
    let place = shell.tty_name();
    let tty = if terminal { place.as_str() } else { "?" };
    let at = if terminal { place.as_str() } else { "notty" };
    let mut own = |pid: u32, ppid: u32, user: &str, rss: u32, tty: &str, stat, command: String| {
        out.push(Row {
            user: user.to_owned(),
            pid,
            ppid,
            rss,
            tty: tty.to_owned(),
            stat,
            started: shell.started,
            comm: None,
            command,
        });
    };
    let login = shell.login_pid;
    if shell.machine.distribution.family == crate::shell::distribution::Family::Device {
        let command = "/usr/sbin/dropbear -F -P /var/run/dropbear.1.pid -p 22 -K 300";
        own(login - 4, listener, "root", 1_204, "?", "S", command.to_owned());
    } else {
        own(
            login - 9,
            listener,
            "root",
            10_912,
            "?",
            "Ss",
            format!("sshd: {visitor} [priv]"),
        );
        own(
            login - 4,
            login - 9,
            &visitor,
            6_524,
            "?",
            "S",
            format!("sshd: {visitor}@{at}"),
        );
    }
    let mut parent = login - 4;
    for ancestor in &shell.ancestors {
        let stat = if parent == login - 4 { "Ss" } else { "S" };
        own(
            ancestor.pid,
            parent,
            &ancestor.user,
            4_820,
            tty,
            stat,
            ancestor.command.clone(),
        );
        parent = ancestor.pid;
    }
    let stat = if parent == login - 4 { "Ss" } else { "S" };
    let name = if shell.interactive {
        shell.env.arg0.clone()
    } else {
        shell.env.arg0.trim_start_matches('-').to_owned()
    };
    if shell.pid != parent {
        own(shell.pid, parent, &me, 4_820, tty, stat, name);
    }
    for job in shell.jobs.iter().filter(|j| j.until > shell.now()) {
        own(job.pid, shell.pid, &me, 1_020, tty, "S", job.text.clone());
    }
    let command = format!("{} {}", call.name, call.args.join(" "));
    own(
        shell.newest_pid(),
        shell.pid,
        &me,
        3_968,
        tty,
        "R+",
        command.trim().to_owned(),
    );
    out
}

/// `Nov21`, or the hour where it was today.
fn start_text(started: i64, now: i64) -> String {
    let at = clock(started);
    if now - started < 86_400 {
        format!("{:02}:{:02}", at.hour(), at.minute())
    } else if at.year() == clock(now).year() {
        format!("{}{:02}", files::month(at), at.day())
    } else {
        at.year().to_string()
    }
}

/// Days, hours and minutes as `ps -o etime` has them.
fn elapsed(seconds: i64) -> String {
    let (d, h, m, s) = (
        seconds / 86_400,
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    );
    match (d, h) {
        (0, 0) => format!("{m:02}:{s:02}"),
        (0, _) => format!("{h:02}:{m:02}:{s:02}"),
        _ => format!("{d}-{h:02}:{m:02}:{s:02}"),
    }
}

fn vsz(row: &Row) -> u32 {
    if row.rss == 0 { 0 } else { row.rss * 7 + 8_212 }
}

fn memory_share(row: &Row, shell: &Shell) -> f64 {
    f64::from(row.rss) * 100.0 / f64::from(u32::try_from(shell.machine.mem_kb).unwrap_or(u32::MAX))
}

pub(super) fn ps(shell: &mut Shell, call: &mut Call) -> u8 {
    let now = shell.now();
    let mut rows = rows(shell, call);
    if shell.machine.distribution.is_busybox() {
        let mut out = String::from("PID   USER     TIME  COMMAND\n");
        for r in rows {
            out.push_str(&format!(
                "{:>5} {:<8} {:>5} {}\n",
                r.pid, r.user, "0:00", r.command
            ));
        }
        call.out(out);
        return 0;
    }
    let mut every = false;
    let (mut full, mut user_format, mut tree) = (false, false, false);
    let mut columns: Vec<String> = Vec::new();
    let (mut pids, mut users, mut names): (Vec<u32>, Vec<String>, Vec<String>) = Default::default();
    let mut titles = true;
    let (mut own_tty, mut without_tty) = (true, false);
    let mut it = call.args.iter();
    while let Some(arg) = it.next() {
        if let Some(long) = arg.strip_prefix("--") {
            titles &= long != "no-headers" && long != "no-heading";
            tree |= long == "forest";
            continue;
        }
        let dashed = arg.starts_with('-');
        // `-aux` means `aux` to everybody, and to procps too.
        let bsd = !dashed || arg == "-aux" || arg == "-auxf" || arg == "-auxww";
        let letters: Vec<char> = arg.trim_start_matches('-').chars().collect();
        if letters.iter().all(char::is_ascii_digit) && !letters.is_empty() {
            pids.extend(arg.trim_start_matches('-').parse::<u32>());
            continue;
        }
        for (i, letter) in letters.iter().enumerate() {
            let mut value = || {
                let attached: String = letters.get(i + 1..).unwrap_or_default().iter().collect();
                if attached.is_empty() {
                    it.next().cloned().unwrap_or_default()
                } else {
                    attached
                }
            };
            match (bsd, letter) {
                (false, 'e' | 'A') => every = true,
                (true, 'a') => own_tty = false,
                (true, 'x') => without_tty = true,
                (true, 'u') => user_format = true,
                (true, 'f') => tree = true,
                (false, 'f' | 'F') => full = true,
                (_, 'o') => {
                    columns.extend(value().split([',', ' ']).map(str::to_owned));
                    break;
                }
                (_, 'p' | 'q') => {
                    pids.extend(value().split([',', ' ']).filter_map(|p| p.parse::<u32>().ok()));
                    break;
                }
                (false, 'u' | 'U') => {
                    users.extend(value().split(',').map(str::to_owned));
                    break;
                }
                (false, 'C') => {
                    names.extend(value().split(',').map(str::to_owned));
                    break;
                }
                _ => {}
            }
        }
    }
    every |= !own_tty && without_tty;
    let chosen = !(pids.is_empty() && users.is_empty() && names.is_empty());
    rows.retain(|r| {
        if chosen {
            pids.contains(&r.pid) || users.contains(&r.user) || names.contains(&r.name())
        } else {
            every
                || (without_tty && r.user == shell.env.user)
                || (!own_tty && r.tty != "?")
                || (r.tty != "?" && r.tty != "tty1" && r.user == shell.env.user)
                || (shell.terminal.is_none() && r.pid >= shell.pid)
        }
    });
    let key = call.args.iter().find_map(|a| a.strip_prefix("--sort="));
    if let Some(key) = key.filter(|key| key.contains("mem") || key.contains("rss")) {
        rows.sort_by_key(|r| r.rss);
        if key.starts_with('-') {
            rows.reverse();
        }
    }
    let short = |user: &str, most: usize| {
        if user.len() > most {
            format!("{}+", user.chars().take(most - 1).collect::<String>())
        } else {
            user.to_owned()
        }
    };
    // A terminal cuts long lines.
    let wide = call.args.iter().any(|a| a.contains("ww")) || shell.terminal.is_none() || call.piped;
    let most = if wide {
        usize::MAX
    } else {
        shell.terminal.map_or(80, |t| usize::try_from(t.0).unwrap_or(80))
    };
    let cut = |line: String| line.chars().take(most).collect::<String>();
    let mut out = String::new();
    if !columns.is_empty() {
        let titled: Vec<(String, String)> = columns
            .iter()
            .filter(|c| !c.is_empty())
            .map(|c| match c.split_once('=') {
                Some((name, title)) => (name.to_owned(), title.to_owned()),
                None => (c.clone(), ps_title(c).to_owned()),
            })
            .collect();
        let last = titled.len().saturating_sub(1);
        let line = |cells: Vec<String>| {
            let cells: Vec<String> = cells
                .iter()
                .zip(&titled)
                .enumerate()
                .map(|(i, (cell, (name, _)))| match ps_width(name) {
                    width if width < 0 && i == last => cell.clone(),
                    width if width < 0 => format!("{cell:<0$}", usize::try_from(-width).unwrap_or(0)),
                    width => format!("{cell:>0$}", usize::try_from(width).unwrap_or(0)),
                })
                .collect();
            cut(cells.join(" "))
        };
        if titles && titled.iter().any(|(_, title)| !title.is_empty()) {
            out.push_str(&line(titled.iter().map(|(_, title)| title.clone()).collect()));
            out.push('\n');
        }
        for r in &rows {
            out.push_str(&line(
                titled
                    .iter()
                    .map(|(name, _)| ps_cell(shell, r, name, now))
                    .collect(),
            ));
            out.push('\n');
        }
    } else if user_format {
        if titles {
            out.push_str("USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n");
        }
        for r in &rows {
            let line = format!(
                "{:<8} {:>7}  0.0 {:>4.1} {:>6} {:>5} {:<8} {:<4} {:>5}   0:0{} {}",
                short(&r.user, 8),
                r.pid,
                memory_share(r, shell),
                vsz(r),
                r.rss,
                r.tty,
                r.stat,
                start_text(r.started, now),
                u8::from(r.pid == 1),
                indent(tree, r) + &r.command
            );
            out.push_str(&cut(line));
            out.push('\n');
        }
    } else if full {
        if titles {
            out.push_str("UID          PID    PPID  C STIME TTY          TIME CMD\n");
        }
        for r in &rows {
            let line = format!(
                "{:<8} {:>7} {:>7}  0 {:>5} {:<8} 00:00:0{} {}",
                short(&r.user, 8),
                r.pid,
                r.ppid,
                start_text(r.started, now),
                r.tty,
                u8::from(r.pid == 1),
                r.command
            );
            out.push_str(&cut(line));
            out.push('\n');
        }
    } else if without_tty || !own_tty {
        out.push_str("    PID TTY      STAT   TIME COMMAND\n");
        for r in &rows {
            let line = format!(
                "{:>7} {:<8} {:<6} 0:0{} {}",
                r.pid,
                r.tty,
                r.stat,
                u8::from(r.pid == 1),
                r.command
            );
            out.push_str(&cut(line));
            out.push('\n');
        }
    } else {
        out.push_str("    PID TTY          TIME CMD\n");
        for r in &rows {
            out.push_str(&format!(
                "{:>7} {:<8} 00:00:0{} {}\n",
                r.pid,
                r.tty,
                u8::from(r.pid == 1),
                r.name()
            ));
        }
    }
    call.out(out);
    u8::from(rows.is_empty())
}

fn indent(tree: bool, row: &Row) -> String {
    if tree && row.ppid > 2 {
        " \\_ ".to_owned()
    } else {
        String::new()
    }
}

fn ps_title(column: &str) -> &str {
    match column {
        "pid" => "PID",
        "ppid" => "PPID",
        "user" | "euser" | "uname" => "USER",
        "uid" => "UID",
        "pcpu" | "%cpu" => "%CPU",
        "pmem" | "%mem" => "%MEM",
        "rss" | "rsz" => "RSS",
        "vsz" => "VSZ",
        "tty" | "tt" => "TT",
        "stat" | "state" | "s" => "STAT",
        "etime" => "ELAPSED",
        "etimes" => "ELAPSED",
        "time" => "TIME",
        "start" | "lstart" | "stime" => "STARTED",
        "comm" | "args" | "cmd" | "command" | "ucmd" | "ucomm" => match column {
            "cmd" | "ucmd" => "CMD",
            _ => "COMMAND",
        },
        _ => "?",
    }
}

/// The width of a column; negative where it is set to the left.
fn ps_width(column: &str) -> i32 {
    match column {
        "pid" | "ppid" => 7,
        "user" | "euser" | "uname" | "tty" | "tt" => -8,
        "pcpu" | "%cpu" | "pmem" | "%mem" => 4,
        "rss" | "rsz" | "uid" => 5,
        "vsz" => 6,
        "stat" | "state" | "s" => -4,
        "etime" | "etimes" => 11,
        "start" | "time" | "stime" => 8,
        "comm" | "ucomm" => -15,
        _ => -27,
    }
}

fn ps_cell(shell: &Shell, r: &Row, column: &str, now: i64) -> String {
    match column {
        "pid" => r.pid.to_string(),
        "ppid" => r.ppid.to_string(),
        "user" | "euser" | "uname" => r.user.clone(),
        "uid" => shell.account(&r.user).map_or(0, |a| a.uid).to_string(),
        "pcpu" | "%cpu" => "0.0".to_owned(),
        "pmem" | "%mem" => format!("{:.1}", memory_share(r, shell)),
        "rss" | "rsz" => r.rss.to_string(),
        "vsz" => vsz(r).to_string(),
        "tty" | "tt" => r.tty.clone(),
        "stat" => r.stat.to_owned(),
        "state" | "s" => r.stat.chars().take(1).collect(),
        "etime" => elapsed(now - r.started),
        "etimes" => (now - r.started).to_string(),
        "time" => format!("00:00:0{}", u8::from(r.pid == 1)),
        "comm" | "ucomm" | "ucmd" => r.name(),
        "args" | "cmd" | "command" => r.command.clone(),
        "start" | "stime" => start_text(r.started, now),
        _ => "-".to_owned(),
    }
}

pub(super) fn top(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    let [a, b, c] = m.load(shell.now());
    let at = clock(shell.now());
    let (free, cached) = m.spare_kb();
    let all = rows(shell, call);
    if m.distribution.is_busybox() {
        let mut out = format!(
            "Mem: {}K used, {free}K free, 1176K shrd, {}K buff, {}K cached\nCPU:   0% usr   4% sys   0% nic  95% idle   0% io   0% irq   0% sirq\nLoad average: {a:.2} {b:.2} {c:.2} 1/{} {}\n  PID  PPID USER     STAT   VSZ %VSZ %CPU COMMAND\n",
            m.mem_kb - free,
            cached / 9,
            cached - cached / 9,
            all.len() + 12,
            shell.newest_pid()
        );
        for r in &all {
            out.push_str(&format!(
                "{:>5} {:>5} {:<8} {:<4} {:>5} {:>4}%   0% {}\n",
                r.pid,
                r.ppid,
                r.user,
                r.stat.chars().take(1).collect::<String>(),
                r.rss,
                u64::from(r.rss) * 100 / m.mem_kb.max(1),
                r.command
            ));
        }
        call.out(out);
        return 0;
    }
    let mut out = format!(
        "top - {:02}:{:02}:{:02} {}, {}  load average: {a:.2}, {b:.2}, {c:.2}\nTasks: {:>3} total,   1 running, {:>3} sleeping,   0 stopped,   0 zombie\n%Cpu(s):  0.0 us,  0.0 sy,  0.0 ni,100.0 id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st \nMiB Mem : {:>8.1} total, {:>8.1} free, {:>8.1} used, {:>8.1} buff/cache     \nMiB Swap: {:>8.1} total, {:>8.1} free, {:>8.1} used. {:>8.1} avail Mem \n\n    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND\n",
        at.hour(),
        at.minute(),
        at.second(),
        up_text(shell),
        users_text(shell),
        all.len(),
        all.len() - 1,
        mib(m.mem_kb),
        mib(free),
        mib(m.mem_used_kb),
        mib(cached),
        mib(998_396),
        mib(998_396),
        0.0,
        mib(m.mem_kb - m.mem_used_kb),
    );
    let most = shell.terminal.map_or(usize::MAX, |(_, rows)| {
        usize::try_from(rows).unwrap_or(24).saturating_sub(7)
    });
    for r in all.iter().take(if call.has('b') { usize::MAX } else { most }) {
        let idle = r.stat.starts_with('I');
        let (priority, nice) = match r.stat {
            "I<" => ("0", "-20"),
            "SN" => ("25", "5"),
            _ if r.command == "[migration/0]" => ("rt", "0"),
            _ => ("20", "0"),
        };
        let user: String = if r.user.len() > 8 {
            format!("{}+", r.user.chars().take(7).collect::<String>())
        } else {
            r.user.clone()
        };
        out.push_str(&format!(
            "{:>7} {user:<8} {priority:>3} {nice:>3} {:>7} {:>6} {:>6} {} {:>5.1} {:>5.1} {:>9} {}\n",
            r.pid,
            vsz(r),
            r.rss,
            r.rss * 7 / 10,
            if idle {
                'I'
            } else {
                r.stat.chars().next().unwrap_or('S')
            },
            0.0,
            memory_share(r, shell),
            if r.pid == 1 { "0:01.62" } else { "0:00.00" },
            r.name()
        ));
    }
    call.out(out);
    0
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mib(kb: u64) -> f64 {
    kb as f64 / 1024.0
}

/// Processes that a pattern of `pgrep` and `pkill` names; never the asking one.
fn matching(shell: &Shell, call: &Call, pattern: &str) -> Vec<(u32, String, bool)> {
    let regex = super::text::Regex::new(pattern.as_bytes(), true, call.has('i'));
    let exact = call.has('x') || matches!(call.name.as_str(), "pidof" | "killall");
    let asking = shell.newest_pid();
    rows(shell, call)
        .into_iter()
        .filter(|r| r.pid != asking)
        .filter(|r| {
            let text = if call.has('f') && call.name != "killall" {
                r.command.clone()
            } else {
                r.name()
            };
            let base = pattern.rsplit('/').next().unwrap_or(pattern);
            if exact {
                text == base
            } else {
                regex.find(text.as_bytes(), 0).is_some()
            }
        })
        .map(|r| {
            let own = shell.env.uid == 0 || r.user == shell.env.user;
            (r.pid, r.name(), own)
        })
        .collect()
}

pub(super) fn pgrep(shell: &mut Shell, call: &mut Call) -> u8 {
    let Some(name) = call.operands("uUtgPGs").first().cloned() else {
        call.err("pgrep: no matching criteria specified\nTry `pgrep --help' for more information.\n");
        return 2;
    };
    let hits = matching(shell, call, &name);
    let text: String = if call.name == "pidof" {
        let line: Vec<String> = hits.iter().rev().map(|h| h.0.to_string()).collect();
        if line.is_empty() {
            String::new()
        } else {
            format!("{}\n", line.join(" "))
        }
    } else if call.has('c') {
        format!("{}\n", hits.len())
    } else {
        hits.iter()
            .map(|(pid, name, _)| {
                if call.has('l') || call.has('a') {
                    format!("{pid} {name}\n")
                } else {
                    format!("{pid}\n")
                }
            })
            .collect()
    };
    call.out(text);
    u8::from(hits.is_empty())
}

pub(super) fn kill(shell: &mut Shell, call: &mut Call) -> u8 {
    if call.name == "kill" {
        return kill_pids(shell, call);
    }
    let mut status = 1;
    let mut valued = false;
    let names: Vec<String> = call
        .args
        .iter()
        .filter(|a| {
            let taken = std::mem::take(&mut valued);
            valued = matches!(a.as_str(), "-u" | "-U" | "-t" | "-g" | "-s" | "--signal");
            !taken && !a.starts_with('-')
        })
        .cloned()
        .collect();
    if names.is_empty() {
        if call.name == "killall" {
            call.err("Usage: killall [OPTION]... [--] NAME...\n       killall -l, --list\n       killall -V, --version\n");
            return 1;
        }
        call.err("pkill: no matching criteria specified\nTry `pkill --help' for more information.\n");
        return 2;
    }
    for name in names {
        let hits = matching(shell, call, &name);
        if hits.is_empty() && call.name == "killall" && !call.has('q') {
            call.err(format!("{name}: no process found\n"));
        }
        for (pid, process, own) in hits {
            if own {
                shell.killed.insert(pid);
                shell.jobs.retain(|j| j.pid != pid);
                status = 0;
            } else if call.name == "killall" {
                call.err(format!("{process}({pid}): Operation not permitted\n"));
            } else {
                call.err(format!(
                    "pkill: killing pid {pid} failed: Operation not permitted\n"
                ));
            }
        }
    }
    status
}

fn kill_pids(shell: &mut Shell, call: &mut Call) -> u8 {
    if call.has('l') {
        call.out(" 1) SIGHUP\t 2) SIGINT\t 3) SIGQUIT\t 4) SIGILL\t 5) SIGTRAP\n 6) SIGABRT\t 7) SIGBUS\t 8) SIGFPE\t 9) SIGKILL\t10) SIGUSR1\n11) SIGSEGV\t12) SIGUSR2\t13) SIGPIPE\t14) SIGALRM\t15) SIGTERM\n16) SIGSTKFLT\t17) SIGCHLD\t18) SIGCONT\t19) SIGSTOP\t20) SIGTSTP\n21) SIGTTIN\t22) SIGTTOU\t23) SIGURG\t24) SIGXCPU\t25) SIGXFSZ\n26) SIGVTALRM\t27) SIGPROF\t28) SIGWINCH\t29) SIGIO\t30) SIGPWR\n31) SIGSYS\n");
        return 0;
    }
    let who = shell.complaint();
    let mut signal = "15".to_owned();
    let mut targets = Vec::new();
    let mut it = call.args.iter();
    while let Some(arg) = it.next() {
        match arg.strip_prefix('-') {
            Some("s" | "n") => signal = it.next().cloned().unwrap_or_default(),
            Some("-") => {}
            Some(name) if targets.is_empty() => name.trim_start_matches("SIG").clone_into(&mut signal),
            _ => targets.push(arg.clone()),
        }
    }
    if targets.is_empty() {
        call.err(
            "kill: usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]\n",
        );
        return 2;
    }
    let asks = signal == "0";
    let hard = matches!(signal.as_str(), "9" | "KILL" | "1" | "HUP");
    let mut status = 0;
    for target in targets {
        if let Some(job) = shell
            .jobs
            .iter_mut()
            .find(|j| crate::shell::builtin::is_job(j, &target))
        {
            if !asks {
                job.ended = Some(if hard { "Killed" } else { "Terminated" });
            }
            continue;
        }
        let Ok(pid) = target.parse::<u32>() else {
            call.err(if target.starts_with('%') {
                format!("{who}: kill: {target}: no such job\n")
            } else {
                format!("{who}: kill: {target}: arguments must be process or job IDs\n")
            });
            status = 1;
            continue;
        };
        if pid == shell.pid || pid == shell.login_pid {
            shell.doomed |= hard;
            continue;
        }
        let found = rows(shell, call).into_iter().find(|r| r.pid == pid);
        let fault = match found {
            Some(r) if shell.env.uid == 0 || r.user == shell.env.user => {
                if !asks && pid > 2 && r.rss > 0 {
                    shell.killed.insert(pid);
                }
                continue;
            }
            Some(_) => "Operation not permitted",
            None => "No such process",
        };
        call.err(format!("{who}: kill: ({pid}) - {fault}\n"));
        status = 1;
    }
    status
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

pub(super) fn uptime(shell: &mut Shell, call: &mut Call) -> u8 {
    if call.has('p') {
        call.out(format!("{}\n", up_text(shell)));
        return 0;
    }
    if call.has('s') {
        let boot = clock(shell.machine.boot_time);
        call.out(format!(
            "{} {:02}:{:02}:{:02}\n",
            boot.date(),
            boot.hour(),
            boot.minute(),
            boot.second()
        ));
        return 0;
    }
    uptime_line(shell, call);
    0
}

/// The line of `uptime`, which `w` begins with.
pub(super) fn uptime_line(shell: &Shell, call: &mut Call) {
    let at = clock(shell.now());
    let [a, b, c] = shell.machine.load(shell.now());
    let users = users_text(shell);
    call.out(format!(
        " {:02}:{:02}:{:02} {}, {users}  load average: {a:.2}, {b:.2}, {c:.2}\n",
        at.hour(),
        at.minute(),
        at.second(),
        up_text(shell)
    ));
}

/// ` 1 user,`: how many are at terminals. BusyBox does not tell.
fn users_text(shell: &Shell) -> String {
    if shell.machine.distribution.is_busybox() {
        return String::new();
    }
    match shell.machine.present().len() {
        1 => " 1 user,".to_owned(),
        // procps 4 has no plural for none.
        0 if shell.machine.distribution.has_procps_4() => " 0 user,".to_owned(),
        n => format!("{n:>2} users,"),
    }
}

/// The year of a time.
pub(super) fn year(at: i64) -> i32 {
    clock(at).year()
}

/// Whether times have halves of a day: the C locale has none, American English has; others are not installed.
pub(super) fn is_american(shell: &Shell) -> bool {
    let locale = ["LC_ALL", "LC_TIME", "LANG"]
        .into_iter()
        .map(|name| shell.env.text(name))
        .find(|value| !value.is_empty());
    locale.is_some_and(|l| l.starts_with("en_US")) && !shell.machine.distribution.is_busybox()
}

/// An hour as a clock of twelve has it, and which half of the day that is.
pub(super) fn twelve(hour: u8) -> (u8, &'static str) {
    match hour {
        0 => (12, "AM"),
        1..=11 => (hour, "AM"),
        12 => (12, "PM"),
        _ => (hour - 12, "PM"),
    }
}

pub(super) fn date(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut now = shell.now();
    if let Some(text) = call.value("-d", "--date") {
        match super::when::parse(&text, now) {
            Some(at) => now = at,
            None => return call.fail(format!("invalid date ‘{text}’")),
        }
    } else if let Some(path) = call.value("-r", "--reference") {
        match shell.vfs.stat(shell.who(), &shell.env.cwd, &path) {
            Ok((_, node)) => now = node.mtime,
            Err(errno) => return call.fail(format!("{path}: {}", errno.text())),
        }
    }
    let at = clock(now);
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
                Some('s') => out.push_str(&now.to_string()),
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
                Some('e') => out.push_str(&format!("{:>2}", at.day())),
                Some('y') => out.push_str(&format!("{:02}", at.year().rem_euclid(100))),
                Some('A') => out.push_str(&at.weekday().to_string()),
                Some('B') => out.push_str(&at.month().to_string()),
                Some('I') => out.push_str(&format!("{:02}", (at.hour() + 11) % 12 + 1)),
                Some('p') => out.push_str(if at.hour() < 12 { "AM" } else { "PM" }),
                Some('R') => out.push_str(&format!("{:02}:{:02}", at.hour(), at.minute())),
                Some('D' | 'x') => out.push_str(&format!(
                    "{:02}/{:02}/{:02}",
                    u8::from(at.month()),
                    at.day(),
                    at.year().rem_euclid(100)
                )),
                Some('X') => out.push_str(&format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())),
                Some('u') => out.push_str(&at.weekday().number_from_monday().to_string()),
                Some('w') => out.push_str(&at.weekday().number_days_from_sunday().to_string()),
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
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
    let (hour, half) = match is_american(shell) {
        true => twelve(at.hour()),
        false => (at.hour(), ""),
    };
    let space = if half.is_empty() { "" } else { " " };
    call.out(format!(
        "{week} {} {:>2} {hour:02}:{:02}:{:02}{space}{half} UTC {}\n",
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
        (
            if m.distribution.has_dash() {
                "udev"
            } else {
                "devtmpfs"
            },
            m.dev_kb(),
            0,
            "/dev",
        ),
        ("tmpfs", tmp, tmp / 600, "/run"),
        ("/dev/sda1", m.disk_kb, m.disk_used_kb, "/"),
        ("tmpfs", m.mem_kb / 2, 0, "/dev/shm"),
        ("tmpfs", 5_120, 0, "/run/lock"),
    ];
    let human = call.has('h');
    if m.distribution.is_busybox() {
        let out = busybox_df(m, human);
        call.out(out);
        return 0;
    }
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

/// `df` of BusyBox.
fn busybox_df(m: &crate::shell::machine::Machine, human: bool) -> String {
    let half = m.mem_kb / 2;
    let table: Vec<(&str, u64, u64, &str)> = if m.is_device() {
        vec![
            ("/dev/root", m.disk_kb, m.disk_kb, "/"),
            ("tmpfs", half, half / 260, "/tmp"),
            ("/dev/mtdblock6", 4_608, 812, "/overlay"),
            ("tmpfs", 512, 0, "/dev"),
        ]
    } else {
        vec![
            ("devtmpfs", 10_240, 0, "/dev"),
            ("shm", half, 0, "/dev/shm"),
            ("/dev/sda1", m.disk_kb, m.disk_used_kb, "/"),
            ("tmpfs", m.mem_kb / 5, m.mem_kb / 9_000, "/run"),
        ]
    };
    let mut out = if human {
        "Filesystem                Size      Used Available Use% Mounted on\n".to_owned()
    } else {
        "Filesystem           1K-blocks      Used Available Use% Mounted on\n".to_owned()
    };
    for (name, size, used, on) in table {
        let show = |kb: u64| match (human, kb) {
            (false, kb) => kb.to_string(),
            (true, 0) => "0".to_owned(),
            (true, kb) if kb < 1024 => format!("{kb}.0K"),
            (true, kb) if kb < 1 << 20 => format!("{:.1}M", mib(kb)),
            (true, kb) => format!("{:.1}G", mib(kb) / 1024.0),
        };
        let percent = (used * 100).div_ceil(size.max(1));
        out.push_str(&format!(
            "{name:<20} {:>9} {:>9} {:>9} {percent:>3}% {on}\n",
            show(size),
            show(used),
            show(size - used)
        ));
    }
    out
}

pub(super) fn free(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    let (free, cached) = m.spare_kb();
    let show = |kb: u64| {
        if call.has('h') {
            if kb == 0 {
                return "0B".to_owned();
            }
            let (mut value, mut unit) = (mib(kb) * 1024.0, 'K');
            for next in ['M', 'G'] {
                if value >= 1024.0 {
                    (value, unit) = (value / 1024.0, next);
                }
            }
            if value < 10.0 {
                format!("{:.1}{unit}i", (value * 10.0).floor() / 10.0)
            } else {
                format!("{:.0}{unit}i", value.floor())
            }
        } else if call.has('m') {
            (kb >> 10).to_string()
        } else if call.has('g') {
            (kb >> 20).to_string()
        } else if call.has('b') {
            (kb << 10).to_string()
        } else {
            kb.to_string()
        }
    };
    let row = |title: &str, cells: &[u64]| {
        let cells: Vec<String> = cells.iter().map(|kb| format!("{:>11}", show(*kb))).collect();
        format!("{title:<8} {}\n", cells.join(" "))
    };
    let total = [
        m.mem_kb,
        m.mem_used_kb,
        free,
        1_176,
        cached,
        m.mem_kb - m.mem_used_kb,
    ];
    let head = "               total        used        free      shared  buff/cache   available\n";
    let swap = m.swap_kb();
    let mut out = String::new();
    if m.distribution.is_busybox() {
        out.push_str(head.get(1..).unwrap_or_default());
        let narrow = |line: String| line.replacen("  ", " ", 1);
        out.push_str(&narrow(row("Mem:", &total)));
        out.push_str(&narrow(row("Swap:", &[swap, 0, swap])));
    } else {
        out.push_str(head);
        out.push_str(&row("Mem:", &total));
        out.push_str(&row("Swap:", &[swap, 0, swap]));
    }
    if call.has('t') {
        out.push_str(&row("Total:", &[m.mem_kb + swap, m.mem_used_kb, free + swap]));
    }
    call.out(out);
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
    for line in shell.machine.mounts().lines() {
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
        format!("/dev/{}\n", shell.tty_name())
    } else {
        "not a tty\n".to_owned()
    });
    u8::from(shell.terminal.is_none())
}

pub(super) fn lscpu(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    let cpu = m.cpu_model();
    let list = if m.cores == 1 {
        "0".to_owned()
    } else {
        format!("0-{}", m.cores - 1)
    };
    let hypervisor = m.platform.hypervisor().map_or_else(String::new, |(_, name)| {
        format!("Hypervisor vendor:                  {name}\nVirtualization type:                full\n")
    });
    let (sockets, each) = if m.platform.is_virtual() {
        (m.cores, 1)
    } else {
        (1, m.cores)
    };
    call.out(format!(
        "Architecture:                       x86_64\nCPU op-mode(s):                     32-bit, 64-bit\nAddress sizes:                      46 bits physical, 48 bits virtual\nByte Order:                         Little Endian\nCPU(s):                             {0}\nOn-line CPU(s) list:                {list}\nVendor ID:                          {3}\nModel name:                         {1}\nCPU family:                         {4}\nModel:                              {5}\nThread(s) per core:                 1\nCore(s) per socket:                 {each}\nSocket(s):                          {sockets}\nStepping:                           {6}\nBogoMIPS:                           {7}.99\n{hypervisor}L1d cache:                          {2} KiB ({0} instances)\nL1i cache:                          {2} KiB ({0} instances)\nNUMA node(s):                       1\nNUMA node0 CPU(s):                  {list}\n",
        m.cores,
        m.cpu,
        32 * m.cores,
        cpu.vendor,
        cpu.family,
        cpu.model,
        cpu.stepping,
        cpu.mhz * 2 + 1
    ));
    0
}

pub(super) fn lspci(shell: &mut Shell, call: &mut Call) -> u8 {
    call.out(shell.machine.platform.devices());
    0
}

pub(super) fn detect_virt(shell: &mut Shell, call: &mut Call) -> u8 {
    let platform = shell.machine.platform;
    // Asked for containers alone it finds none.
    let virt = if call.has('c') || call.args.iter().any(|a| a == "--container") {
        "none"
    } else {
        platform.virt
    };
    if !(call.has('q') || call.args.iter().any(|a| a == "--quiet")) {
        call.out(format!("{virt}\n"));
    }
    u8::from(virt == "none")
}

pub(super) fn dmidecode(shell: &mut Shell, call: &mut Call) -> u8 {
    let version = shell
        .machine
        .upstream(&["dmidecode"])
        .unwrap_or_else(|| "3.4".to_owned());
    if shell.env.uid != 0 {
        if !(call.has('s') || call.has('q')) {
            call.out(format!("# dmidecode {version}\n"));
        }
        call.err("/sys/firmware/dmi/tables/smbios_entry_point: Permission denied\nScanning /dev/mem for entry point.\n/dev/mem: Permission denied\n");
        return 1;
    }
    let machine = std::sync::Arc::clone(&shell.machine);
    let (p, (serial, uuid)) = (machine.platform, &machine.serial);
    let strings = p.strings(serial, uuid);
    if let Some(keyword) = call.value("-s", "--string") {
        let keyword = keyword.to_lowercase();
        return match strings.iter().find(|s| s.0 == keyword) {
            Some((_, _, text)) => {
                call.out(format!("{text}\n"));
                0
            }
            None => {
                let known: String = strings.iter().map(|s| format!("  {}\n", s.0)).collect();
                call.err(format!(
                    "Invalid string keyword: {keyword}\nValid string keywords are:\n{known}"
                ));
                2
            }
        };
    }
    let serial = strings
        .iter()
        .find(|s| s.0 == "system-serial-number")
        .map_or("", |s| s.2.as_str());
    let chassis = strings
        .iter()
        .find(|s| s.0 == "chassis-type")
        .map_or("", |s| s.2.as_str());
    let parts = [
        (
            0,
            "bios",
            format!(
                "Handle 0x0000, DMI type 0, 24 bytes\nBIOS Information\n\tVendor: {}\n\tVersion: {}\n\tRelease Date: {}\n\n",
                p.bios.0, p.bios.1, p.bios.2
            ),
        ),
        (
            1,
            "system",
            format!(
                "Handle 0x0100, DMI type 1, 27 bytes\nSystem Information\n\tManufacturer: {}\n\tProduct Name: {}\n\tVersion: {}\n\tSerial Number: {serial}\n\tUUID: {uuid}\n\tWake-up Type: Power Switch\n\n",
                p.maker, p.product, p.version
            ),
        ),
        (
            2,
            "baseboard",
            format!(
                "Handle 0x0200, DMI type 2, 15 bytes\nBase Board Information\n\tManufacturer: {}\n\tProduct Name: {}\n\tSerial Number: {serial}\n\n",
                p.maker, p.board
            ),
        ),
        (
            3,
            "chassis",
            format!(
                "Handle 0x0300, DMI type 3, 22 bytes\nChassis Information\n\tManufacturer: {}\n\tType: {chassis}\n\tSerial Number: {serial}\n\n",
                p.maker
            ),
        ),
    ];
    let wanted = call.value("-t", "--type");
    let smbios = if p.virt == "kvm" { "2.8" } else { "3.2" };
    if !call.has('q') {
        call.out(format!(
            "# dmidecode {version}\nGetting SMBIOS data from sysfs.\nSMBIOS {smbios} present.\n\n"
        ));
    }
    for (number, name, text) in parts {
        // QEMU has no board of its own.
        let absent = number == 2 && p.virt == "kvm";
        let chosen = wanted
            .as_ref()
            .is_none_or(|wanted| wanted.split(',').any(|w| w == name || w.parse() == Ok(number)));
        if chosen && !absent {
            call.out(text);
        }
    }
    0
}

pub(super) fn dmesg(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.env.uid != 0 {
        return call.fail("read kernel buffer failed: Operation not permitted");
    }
    let text: String = shell
        .machine
        .boot_lines()
        .into_iter()
        .map(|(ms, text)| {
            let micro = if ms == 0 { 0 } else { ms % 1_000 * 1_000 + 117 };
            format!("[{:>5}.{micro:06}] {text}\n", ms / 1_000)
        })
        .collect();
    call.out(text);
    0
}

pub(super) fn lsmod(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.machine.is_device() {
        call.out("Module                  Size  Used by    Tainted: P  \n");
        return 0;
    }
    call.out("Module                  Size  Used by\nintel_rapl_msr         20480  0\nintel_rapl_common      32768  1 intel_rapl_msr\nghash_clmulni_intel    16384  0\next4                  983040  1\njbd2                  167936  1 ext4\n");
    call.out(shell.machine.platform.drivers());
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
    let mut operands = call.operands("tpHMnso");
    if call.name == "service" {
        operands.reverse();
    }
    let verb = operands.first().cloned().unwrap_or_default();
    if matches!(verb.as_str(), "" | "list-units")
        && call.args.iter().any(|a| a == "--failed" || a == "--state=failed")
    {
        // Nothing that the machine runs has failed.
        call.out("  UNIT LOAD ACTIVE SUB DESCRIPTION\n0 loaded units listed.\n");
        return 0;
    }
    let wanted = operands
        .get(1)
        .map(|u| u.trim_end_matches(".service").to_owned())
        .unwrap_or_default();
    let machine = std::sync::Arc::clone(&shell.machine);
    let alias = machine.unit_name(&wanted);
    // All that this machine runs, whether the visitor has stopped it or not, and what still runs.
    let (all, left) = (shell.machine.running(), shell.running());
    let process = |of: &[crate::shell::machine::Process], unit: &str| {
        machine
            .units()
            .filter(|u| u.name == unit)
            .find_map(|u| of.iter().find(|p| p.command.contains(u.mark)).cloned())
    };
    let loaded = process(&all.processes, alias);
    let running = process(&left.processes, alias);
    let description = machine
        .units()
        .find(|u| u.name == alias)
        .map_or_else(String::new, |u| u.description);
    match verb.as_str() {
        "status" if loaded.is_some() => {
            let redhat = shell.machine.distribution.family == crate::shell::distribution::Family::RedHat;
            let (unit, lib) = (alias, if redhat { "/usr/lib" } else { "/lib" });
            if redhat && call.name == "service" {
                call.err(format!("Redirecting to /bin/systemctl status {unit}.service\n"));
            }
            let day = |at: i64| {
                let at = clock(at);
                let week = at.weekday().to_string();
                format!(
                    "{} {} {:02}:{:02}:{:02} UTC",
                    week.chars().take(3).collect::<String>(),
                    at.date(),
                    at.hour(),
                    at.minute(),
                    at.second()
                )
            };
            match &running {
                Some(p) => {
                    let age = shell.now() - p.started;
                    let ago = match (age / 86_400, age / 3_600, age / 60) {
                        (0, 0, m) => format!("{m}min ago"),
                        (0, h, m) => format!("{h}h {}min ago", m % 60),
                        (d, h, _) if d < 7 => format!("{d} days {}h ago", h % 24),
                        (d, ..) => format!("{} weeks {} days ago", d / 7, d % 7),
                    };
                    let name = p
                        .command
                        .trim_start_matches("sshd: ")
                        .split([' ', ':'])
                        .next()
                        .unwrap_or_default();
                    let name = name.rsplit('/').next().unwrap_or(name);
                    call.out(format!(
                        "● {unit}.service - {description}\n     Loaded: loaded ({lib}/systemd/system/{unit}.service; enabled; preset: enabled)\n     Active: active (running) since {}; {ago}\n   Main PID: {} ({name})\n      Tasks: 1 (limit: {})\n     Memory: {:.1}M\n        CPU: 62ms\n     CGroup: /system.slice/{unit}.service\n             └─{} \"{}\"\n",
                        day(p.started),
                        p.pid,
                        shell.machine.mem_kb / 870,
                        f64::from(p.rss_kb) / 1024.0,
                        p.pid,
                        p.command
                    ));
                    0
                }
                None => {
                    call.out(format!("○ {unit}.service - {description}\n     Loaded: loaded ({lib}/systemd/system/{unit}.service; enabled; preset: enabled)\n     Active: inactive (dead)\n"));
                    3
                }
            }
        }
        "status" if !wanted.is_empty() => {
            if call.name == "service" {
                call.err(format!("{wanted}: unrecognized service\n"));
            } else {
                call.err(format!("Unit {wanted}.service could not be found.\n"));
            }
            4
        }
        "is-active" => {
            call.out(if running.is_some() {
                "active\n"
            } else {
                "inactive\n"
            });
            if running.is_some() { 0 } else { 3 }
        }
        "is-enabled" => {
            if loaded.is_some() {
                call.out("enabled\n");
                0
            } else {
                call.err(format!(
                    "Failed to get unit file state for {wanted}.service: No such file or directory\n"
                ));
                1
            }
        }
        "" | "list-units" | "status" | "list-unit-files" => {
            let mut out = String::from("  UNIT                      LOAD   ACTIVE SUB     DESCRIPTION\n");
            let mut count = 0;
            let mut before = "";
            for Unit {
                name, description, ..
            } in machine.units()
            {
                if name != before && process(&left.processes, name).is_some() {
                    before = name;
                    count += 1;
                    out.push_str(&format!(
                        "  {:<25} loaded active running {description}\n",
                        format!("{name}.service")
                    ));
                }
            }
            out.push_str(&format!("\nLOAD   = Reflects whether the unit definition was properly loaded.\nACTIVE = The high-level unit activation state, i.e. generalization of SUB.\nSUB    = The low-level unit activation state, values depend on unit type.\n{count} loaded units listed.\n"));
            call.out(out);
            0
        }
        "daemon-reload" | "reset-failed" if shell.env.uid == 0 => 0,
        _ if shell.env.uid != 0 => {
            call.err(format!("Failed to {verb} {wanted}.service: Interactive authentication required.\nSee system logs and 'systemctl status {wanted}.service' for details.\n"));
            1
        }
        "stop" | "kill" | "mask" | "disable" | "start" | "restart" | "enable" | "reload" | "unmask"
        | "try-restart" => {
            let Some(unit) = loaded else {
                let (text, status) = match (call.name.as_str(), verb.as_str()) {
                    ("service", _) => (format!("{wanted}: unrecognized service\n"), 1),
                    (_, "disable" | "enable") => (
                        format!("Failed to {verb} unit: Unit file {wanted}.service does not exist.\n"),
                        1,
                    ),
                    (_, "mask") => (
                        format!(
                            "Unit {wanted}.service does not exist, proceeding anyway.\nCreated symlink /etc/systemd/system/{wanted}.service → /dev/null.\n"
                        ),
                        0,
                    ),
                    _ => (
                        format!(
                            "Failed to {verb} {wanted}.service: Unit {wanted}.service not {}.\n",
                            if verb == "stop" { "loaded" } else { "found" }
                        ),
                        5,
                    ),
                };
                call.err(text);
                return status;
            };
            let now = verb.as_str() != "disable" || call.args.iter().any(|a| a == "--now");
            match verb.as_str() {
                "disable" | "enable" => {
                    if !matches!(alias, "dbus" | "systemd-journald" | "systemd-udevd") {
                        call.err(format!("Synchronizing state of {alias}.service with SysV service script with /lib/systemd/systemd-sysv-install.\nExecuting: /lib/systemd/systemd-sysv-install {verb} {alias}\n"));
                    }
                    if verb == "disable" {
                        call.err(format!(
                            "Removed \"/etc/systemd/system/multi-user.target.wants/{alias}.service\".\n"
                        ));
                    }
                }
                _ => {}
            }
            if matches!(verb.as_str(), "stop" | "kill" | "disable") && now {
                shell.killed.insert(unit.pid);
            } else if matches!(verb.as_str(), "start" | "restart" | "try-restart") {
                shell.killed.remove(&unit.pid);
            }
            0
        }
        _ => {
            call.err(format!("Unknown command verb {verb}.\n"));
            1
        }
    }
}

pub(super) fn enforce(_: &mut Shell, call: &mut Call) -> u8 {
    if call.name == "getenforce" {
        call.out("Disabled\n");
        return 0;
    }
    call.err("setenforce: SELinux is disabled\n");
    1
}

pub(super) fn lsof(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut out = String::from("COMMAND    PID       USER   FD   TYPE DEVICE SIZE/OFF NODE NAME\n");
    for (port, name, pid) in &shell.running().listening {
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

pub(super) fn stty(shell: &mut Shell, call: &mut Call) -> u8 {
    let Some((columns, rows)) = shell.terminal else {
        return call.fail("'standard input': Inappropriate ioctl for device");
    };
    match call.args.first().map(String::as_str) {
        Some("size") => call.out(format!("{rows} {columns}\n")),
        None => call.out("speed 38400 baud; line = 0;\n-brkint -imaxbel iutf8\n"),
        Some("-a") => call.out(format!("speed 38400 baud; rows {rows}; columns {columns}; line = 0;\nintr = ^C; quit = ^\\; erase = ^?; kill = ^U; eof = ^D; eol = <undef>; eol2 = <undef>; swtch = <undef>; start = ^Q; stop = ^S; susp = ^Z; rprnt = ^R; werase = ^W; lnext = ^V; discard = ^O; min = 1; time = 0;\n-parenb -parodd -cmspar cs8 -hupcl -cstopb cread -clocal -crtscts\n-ignbrk -brkint -ignpar -parmrk -inpck -istrip -inlcr -igncr icrnl ixon -ixoff -iuclc -ixany -imaxbel iutf8\nopost -olcuc -ocrnl onlcr -onocr -onlret -ofill -ofdel nl0 cr0 tab0 bs0 vt0 ff0\nisig icanon iexten echo echoe echok -echonl -noflsh -xcase -tostop -echoprt echoctl echoke -flusho -extproc\n")),
        _ => {}
    }
    0
}

pub(super) fn tput(shell: &mut Shell, call: &mut Call) -> u8 {
    let (columns, rows) = shell.terminal.unwrap_or((80, 24));
    let text = match call.args.first().map(String::as_str) {
        Some("cols") => format!("{columns}\n"),
        Some("lines") => format!("{rows}\n"),
        Some("colors") => {
            let many = shell.env.text("TERM").ends_with("256color");
            format!("{}\n", if many { 256 } else { 8 })
        }
        Some("clear") => "\x1b[H\x1b[2J\x1b[3J".to_owned(),
        Some("sgr0") => "\x1b(B\x1b[m".to_owned(),
        Some("bold") => "\x1b[1m".to_owned(),
        Some("setaf") => format!("\x1b[3{}m", call.args.get(1).map_or("7", String::as_str)),
        _ => String::new(),
    };
    call.out(text);
    0
}

pub(super) fn modprobe(shell: &mut Shell, call: &mut Call) -> u8 {
    let Some(module) = call.operands("").first().cloned() else {
        let name = call.name.clone();
        call.err(format!("{name}: ERROR: missing parameters. See -h.\n"));
        return 1;
    };
    let fault = match (call.name.as_str(), shell.env.uid) {
        ("modprobe", 0) if module == "msr" => return 0,
        ("modprobe", 0) => format!(
            "modprobe: FATAL: Module {module} not found in directory /lib/modules/{}\n",
            shell.machine.kernel_release
        ),
        ("modprobe", _) => format!("modprobe: ERROR: could not insert '{module}': Operation not permitted\n"),
        ("insmod", _) => {
            format!("insmod: ERROR: could not load module {module}: No such file or directory\n")
        }
        (name, _) => format!("{name}: ERROR: Module {module} is not currently loaded\n"),
    };
    call.err(fault);
    1
}

pub(super) fn sysctl(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut status = 0;
    for arg in call.operands("p") {
        match arg.split_once('=') {
            Some((name, _)) if shell.env.uid != 0 => {
                call.err(format!("sysctl: permission denied on key \"{}\"\n", name.trim()));
                status = 1;
            }
            Some((name, value)) => call.out(format!("{} = {}\n", name.trim(), value.trim())),
            None => {
                let path = format!("/proc/sys/{}", arg.replace('.', "/"));
                match shell.vfs.read(shell.who(), "/", &path) {
                    Ok(value) => {
                        let value = String::from_utf8_lossy(&value).trim().to_owned();
                        call.out(format!("{arg} = {value}\n"));
                    }
                    Err(_) => {
                        call.err(format!("sysctl: cannot stat {path}: No such file or directory\n"));
                        status = 255;
                    }
                }
            }
        }
    }
    status
}

pub(super) fn openssl(shell: &mut Shell, call: &mut Call) -> u8 {
    match call.args.first().map(String::as_str) {
        Some("rand") => {
            let count = call
                .args
                .last()
                .and_then(|n| n.parse::<usize>().ok())
                .unwrap_or(16)
                .min(4_096);
            let bytes: Vec<u8> = (0..count).map(|_| shell.random().to_le_bytes()[0]).collect();
            let text = if call.args.iter().any(|a| a == "-hex") {
                format!("{}\n", hex::encode(bytes))
            } else {
                use base64::Engine as _;
                format!("{}\n", base64::engine::general_purpose::STANDARD.encode(bytes))
            };
            call.out(text);
            0
        }
        Some("passwd") => {
            let salt: String = (0..8)
                .map(|_| char::from(b'a' + u8::try_from(shell.random() % 26).unwrap_or(0)))
                .collect();
            let tail: String = (0..22)
                .map(|_| char::from(b'A' + u8::try_from(shell.random() % 26).unwrap_or(0)))
                .collect();
            call.out(format!("$1${salt}${tail}\n"));
            0
        }
        Some(name) if super::text::is_digest(name) => super::text::openssl_digest(shell, call),
        Some(name) if !name.starts_with('-') => {
            call.err(format!("Invalid command '{name}'; type \"help\" for a list.\n"));
            1
        }
        _ => 1,
    }
}
