//! Who is on the machine, who was, and what its logs say of it: `w`, `who`, `users`, `last`, `lastb`, `lastlog` and `journalctl`.
//!
//! As on a real machine a command without a terminal is in none of them: sshd records a session only where there is a pty.

use time::OffsetDateTime;

use super::{Call, Shell, files, system};
use crate::shell::{distribution::Family, logins::plain_stamp};

fn clock(at: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `Sat Nov 28 18:00`.
fn day(at: OffsetDateTime) -> String {
    let week = at.weekday().to_string();
    format!(
        "{} {} {:>2} {:02}:{:02}",
        week.chars().take(3).collect::<String>(),
        files::month(at),
        at.day(),
        at.hour(),
        at.minute()
    )
}

pub(super) fn users(shell: &mut Shell, call: &mut Call) -> u8 {
    let names: Vec<String> = shell.machine.present().into_iter().map(|s| s.user).collect();
    if !names.is_empty() {
        call.out(format!("{}\n", names.join(" ")));
    }
    0
}

pub(super) fn who(shell: &mut Shell, call: &mut Call) -> u8 {
    let boot = clock(shell.machine.boot_time);
    let minute = |at: OffsetDateTime| format!("{} {:02}:{:02}", at.date(), at.hour(), at.minute());
    let present = shell.machine.present();
    if call.has('q') {
        let names: Vec<&str> = present.iter().map(|s| s.user.as_str()).collect();
        call.out(format!("{}\n# users={}\n", names.join(" "), names.len()));
        return 0;
    }
    let all = call.has('a');
    if call.has('b') || all {
        call.out(format!("         system boot  {}\n", minute(boot)));
    }
    if call.has('r') || all {
        call.out(format!("         run-level 5  {}\n", minute(boot)));
    }
    if (call.has('b') || call.has('r')) && !all {
        return 0;
    }
    let own = call.has('m') || call.operands("").len() == 2;
    let own_terminal = shell.seat.as_ref().map(|seat| seat.terminal);
    if call.has('H') {
        call.out("NAME     LINE         TIME             COMMENT\n");
    }
    for s in present
        .iter()
        .filter(|s| !own || Some(s.terminal) == own_terminal)
    {
        call.out(format!(
            "{:<8} {:<12} {} ({})\n",
            s.user,
            format!("pts/{}", s.terminal),
            minute(clock(s.since)),
            s.from
        ));
    }
    0
}

pub(super) fn w(shell: &mut Shell, call: &mut Call) -> u8 {
    let plain = call.has('h');
    if !plain {
        system::uptime_line(shell, call);
        call.out("USER     TTY      FROM             LOGIN@   IDLE   JCPU   PCPU WHAT\n");
    }
    let own = shell.seat.as_ref().map(|seat| seat.terminal);
    let wanted = call.operands("");
    let now = shell.now();
    for s in shell.machine.present() {
        if wanted.first().is_some_and(|user| *user != s.user) {
            continue;
        }
        let since = clock(s.since);
        let mine = own == Some(s.terminal);
        let login = match now - s.since {
            age if age < 43_200 => format!("{:02}:{:02}", since.hour(), since.minute()),
            age if age < 7 * 86_400 => {
                let week = since.weekday().to_string();
                format!("{}{:02}", week.chars().take(3).collect::<String>(), since.hour())
            }
            _ => format!(
                "{:02}{}{:02}",
                since.day(),
                files::month(since),
                since.year() % 100
            ),
        };
        let idle = match (now - s.since, mine) {
            (_, true) => "1.00s".to_owned(),
            (age, _) if age < 60 => format!("{age}.00s"),
            (age, _) => format!("{}:{:02} ", age / 60 % 60, age % 60),
        };
        let what = if mine {
            let name = call.name.clone();
            format!("{name} {}", call.args.join(" ")).trim_end().to_owned()
        } else {
            format!("-{}", shell.machine.distribution.shell_name())
        };
        call.out(format!(
            "{:<8} {:<8} {:<16} {login:<7} {idle:>6}  0.01s  0.00s {what}\n",
            s.user.chars().take(8).collect::<String>(),
            format!("pts/{}", s.terminal),
            s.from
        ));
    }
    0
}

/// What `-n 5` and `-5` say.
fn count(call: &Call) -> usize {
    let dashed = call
        .args
        .iter()
        .find_map(|a| a.strip_prefix('-').and_then(|n| n.parse::<usize>().ok()));
    call.value("-n", "--limit")
        .and_then(|n| n.parse().ok())
        .or(dashed)
        .filter(|n| *n > 0)
        .unwrap_or(usize::MAX)
}

/// Whether the visitor took away or emptied what a program reads: whether it is there, and has something in it.
fn kept(shell: &Shell, path: &str) -> Option<bool> {
    let root = crate::shell::vfs::Who { uid: 0, gid: 0 };
    let (_, node) = shell.vfs.stat(root, "/", path).ok()?;
    Some(node.size() > 0)
}

pub(super) fn last(shell: &mut Shell, call: &mut Call) -> u8 {
    let machine = std::sync::Arc::clone(&shell.machine);
    let now = shell.now();
    let Some(full) = kept(shell, "/var/log/wtmp") else {
        call.err("last: cannot open /var/log/wtmp: No such file or directory\n");
        return 1;
    };
    let wide = call.has('i') || call.has('a');
    let no_host = call.has('R');
    let long = call.has('F');
    let at = |moment: i64| {
        let when = clock(moment);
        if long {
            format!("{}:{:02} {}", day(when), when.second(), when.year())
        } else {
            day(when)
        }
    };
    let kernel: String = machine.kernel_release.chars().take(16).collect();
    let mut lines: Vec<(i64, String)> = Vec::new();
    let mut oldest = machine.boot_time;
    let wanted = call.operands("nfstp");
    let chosen = |name: &str, line: &str| wanted.is_empty() || wanted.iter().any(|w| w == name || w == line);
    if full {
        for s in machine.sessions() {
            oldest = oldest.min(s.since);
            let line = format!("pts/{}", s.terminal);
            if !chosen(&s.user, &line) {
                continue;
            }
            let end = match s.until {
                None => "  still logged in".to_owned(),
                Some(until) => {
                    let when = clock(until);
                    let minutes = (until - s.since) / 60;
                    let clock = if long {
                        at(until)
                    } else {
                        format!("{:02}:{:02}", when.hour(), when.minute())
                    };
                    let days = match minutes / 1_440 {
                        0 => String::new(),
                        n => format!("{n}+"),
                    };
                    format!("- {clock}  ({days}{:02}:{:02})", minutes / 60 % 24, minutes % 60)
                }
            };
            let from: String = s.from.chars().take(if wide { 46 } else { 16 }).collect();
            let host = if no_host {
                String::new()
            } else {
                format!("{from:<16} ")
            };
            let name: String = s.user.chars().take(8).collect();
            lines.push((
                s.since,
                format!("{name:<8} {line:<12} {host}{} {end}\n", at(s.since)),
            ));
        }
        if chosen("reboot", "~") {
            let host = if no_host {
                String::new()
            } else {
                format!("{kernel:<16} ")
            };
            lines.push((
                machine.boot_time,
                format!(
                    "reboot   system boot  {host}{}   still running\n",
                    at(machine.boot_time)
                ),
            ));
        }
    } else {
        oldest = now;
    }
    lines.sort_by_key(|l| -l.0);
    let text: String = lines.into_iter().take(count(call)).map(|l| l.1).collect();
    if machine.distribution.is_busybox() {
        call.out(text);
        return 0;
    }
    let begun = clock(oldest);
    call.out(format!(
        "{text}\nwtmp begins {}:{:02} {}\n",
        day(begun),
        begun.second(),
        begun.year()
    ));
    0
}

pub(super) fn lastb(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.env.uid != 0 {
        call.err("lastb: cannot open /var/log/btmp: Permission denied\n");
        return 1;
    }
    if kept(shell, "/var/log/btmp").is_none() {
        call.err("lastb: cannot open /var/log/btmp: No such file or directory\n");
        return 1;
    }
    // logrotate makes a new one at the first of the month.
    let now = clock(shell.now());
    let first = shell.now()
        - i64::from(now.day() - 1) * 86_400
        - i64::from(now.hour()) * 3_600
        - i64::from(now.minute()) * 60
        - i64::from(now.second());
    let full = kept(shell, "/var/log/btmp") == Some(true);
    let refused = if full { shell.machine.refused() } else { Vec::new() };
    let mut begun = (clock(first), 0);
    if let Some(oldest) = refused.last() {
        // It is as old as what stands first in it.
        let at = clock(oldest.at);
        begun = (at, at.second());
    }
    let wanted = call.operands("nfstp");
    for attempt in refused
        .iter()
        .filter(|r| wanted.is_empty() || wanted.contains(&r.user))
        .take(count(call))
    {
        let name: String = attempt.user.chars().take(8).collect();
        let from: String = attempt.from.chars().take(16).collect();
        let at = clock(attempt.at);
        call.out(format!(
            "{name:<8} ssh:notty    {from:<16} {} - {:02}:{:02}  (00:00)\n",
            day(at),
            at.hour(),
            at.minute()
        ));
    }
    let (begun, second) = begun;
    call.out(format!(
        "\nbtmp begins {}:{second:02} {}\n",
        day(begun),
        begun.year()
    ));
    0
}

pub(super) fn lastlog(shell: &mut Shell, call: &mut Call) -> u8 {
    let Some(full) = kept(shell, "/var/log/lastlog") else {
        call.err("lastlog: Cannot open /var/log/lastlog: No such file or directory\n");
        return 1;
    };
    let sessions = if full {
        shell.machine.sessions()
    } else {
        Vec::new()
    };
    let root = crate::shell::vfs::Who { uid: 0, gid: 0 };
    let passwd = shell
        .vfs
        .read(root, "/", "/etc/passwd")
        .map(|b| b.to_vec())
        .unwrap_or_default();
    let only = call.value("-u", "--user");
    call.out(format!(
        "{:<16} {:<8} {:<4}{:39}Latest\n",
        "Username", "Port", "From", ""
    ));
    for line in String::from_utf8_lossy(&passwd).lines() {
        let name = line.split(':').next().unwrap_or_default();
        if only.as_ref().is_some_and(|o| o != name) {
            continue;
        }
        let text = match sessions.iter().find(|s| s.user == name) {
            Some(s) => {
                let at = clock(s.since);
                format!(
                    "{name:<16} {:<8} {:<42}{}:{:02} +0000 {}\n",
                    format!("pts/{}", s.terminal),
                    s.from,
                    day(at),
                    at.second(),
                    at.year()
                )
            }
            None => format!("{name:<16} {:<8} {:<42}**Never logged in**\n", "", ""),
        };
        call.out(text);
    }
    0
}

pub(super) fn journalctl(shell: &mut Shell, call: &mut Call) -> u8 {
    let machine = std::sync::Arc::clone(&shell.machine);
    let now = shell.now();
    if call.args.iter().any(|a| a == "--disk-usage") {
        call.out("Archived and active journals take up 40.0M in the file system.\n");
        return 0;
    }
    if call.args.iter().any(|a| a == "--list-boots") {
        let (from, to) = (clock(machine.boot_time), clock(now));
        call.out(format!(
            "IDX BOOT ID                          FIRST ENTRY                 LAST ENTRY\n  0 {} {}:{:02} UTC {}:{:02} UTC\n",
            machine.machine_id.chars().rev().collect::<String>(),
            day(from), from.second(), day(to), to.second()
        ));
        return 0;
    }
    if call
        .args
        .iter()
        .any(|a| a.starts_with("--vacuum") || a == "--rotate" || a == "--flush")
    {
        return u8::from(shell.env.uid != 0);
    }
    let admin = shell.env.uid == 0
        || machine
            .account(&shell.env.user)
            .is_some_and(|a| a.admin && machine.distribution.family == Family::Debian);
    if !admin {
        call.err("Hint: You are currently not seeing messages from other users and the system.\n      Users in groups 'adm', 'systemd-journal' can see all messages.\n      Pass -q to turn off this notice.\n");
        call.out("-- No entries --\n");
        return 0;
    }
    let lines = call
        .value("-n", "--lines")
        .and_then(|n| n.trim_start_matches('+').parse::<usize>().ok());
    let lines =
        lines.or_else(|| (call.has('f') || call.has('e')).then_some(if call.has('f') { 10 } else { 1_000 }));
    // What goes through a pager at a terminal is as much as a screen has; elsewhere it is all of the boot.
    let lines = lines.unwrap_or(if shell.terminal.is_some() && !call.piped {
        200
    } else {
        4_000
    });
    let unit = call
        .value("-u", "--unit")
        .map(|u| u.trim_end_matches(".service").to_owned());
    let back = 7 * 86_400;
    let mut all = machine.journal((now - back).max(machine.boot_time), now);
    if call.has('k') || call.args.iter().any(|a| a == "--dmesg") {
        all = machine.journal(machine.boot_time, machine.boot_time + 10);
        all.retain(|l| l.1 == "kernel");
    }
    if let Some(unit) = &unit {
        let mark = match unit.as_str() {
            "ssh" | "sshd" => "sshd[",
            "cron" => "CRON[",
            "crond" => "CROND[",
            "systemd-logind" => "systemd-logind[",
            other => other,
        };
        all.retain(|l| l.1.starts_with(mark) || l.2.contains(&format!("{unit}.service")));
    }
    let skip = all.len().saturating_sub(lines);
    let mut shown: Vec<String> = all
        .into_iter()
        .skip(skip)
        .map(|(at, by, text)| format!("{} {} {by}: {text}\n", plain_stamp(at), machine.hostname))
        .collect();
    if call.has('r') {
        shown.reverse();
    }
    if shown.is_empty() {
        call.out("-- No entries --\n");
    } else {
        call.out(shown.concat());
    }
    if call.has('f') {
        return call.never_end();
    }
    0
}
