//! Accounts and groups: programs that tell of them, and those that change `/etc/passwd`, `/etc/shadow` and `/etc/group`.
//!
//! A password that is set signs nobody in: the command line, or what was typed, is its evidence.

use sha2::{Digest as _, Sha512};

use super::{Call, Shell, lines};
use crate::shell::vfs::Who;

const ROOT: Who = Who { uid: 0, gid: 0 };
/// Lines that such a file may grow to.
const LINES: usize = 500;

/// The lines of a file of accounts, as fields.
fn entries(shell: &Shell, file: &str) -> Vec<Vec<String>> {
    let Ok(text) = shell.vfs.read(ROOT, "/", file) else {
        return Vec::new();
    };
    String::from_utf8_lossy(&text)
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split(':').map(str::to_owned).collect())
        .collect()
}

/// Write such a file anew; false where it cannot be.
fn store(shell: &mut Shell, file: &str, entries: &[Vec<String>]) -> bool {
    let text: String = entries
        .iter()
        .take(LINES)
        .map(|fields| format!("{}\n", fields.join(":")))
        .collect();
    let now = shell.now();
    match shell.vfs.write(ROOT, "/", file, text.as_bytes(), false, now) {
        Ok(at) => {
            shell.vfs.forget_written(&at);
            true
        }
        Err(_) => false,
    }
}

/// Change the line of `name` in such a file; false where there is none or it cannot be.
fn edit(shell: &mut Shell, file: &str, name: &str, change: impl FnOnce(&mut Vec<String>)) -> bool {
    let mut all = entries(shell, file);
    let Some(found) = all.iter_mut().find(|f| f.first().is_some_and(|n| n == name)) else {
        return false;
    };
    change(found);
    store(shell, file, &all)
}

fn put(fields: &mut [String], at: usize, value: String) {
    if let Some(field) = fields.get_mut(at) {
        *field = value;
    }
}

fn field(fields: &[String], at: usize) -> &str {
    fields.get(at).map_or("", String::as_str)
}

/// Note that `user` has that password by now: as a hash of which nothing can be found out.
pub(in crate::shell) fn password_set(shell: &mut Shell, user: &str, secret: &[u8]) -> bool {
    let drawn = Sha512::new()
        .chain_update(shell.machine.secret)
        .chain_update(user)
        .chain_update(secret)
        .chain_update(shell.now().to_le_bytes())
        .finalize();
    let hash = shell.machine.crypt_of(&drawn);
    let days = shell.now() / 86_400;
    edit(shell, "/etc/shadow", user, |f| {
        put(f, 1, hash);
        put(f, 2, days.to_string());
    })
}

/// `passwd -l`, `-u`, `-d` and `-e`.
pub(in crate::shell) fn password_state(shell: &mut Shell, user: &str, letter: &str) {
    edit(shell, "/etc/shadow", user, |f| {
        let hash = field(f, 1).to_owned();
        match letter {
            "l" if !hash.starts_with('!') => put(f, 1, format!("!{hash}")),
            "u" => put(f, 1, hash.trim_start_matches('!').to_owned()),
            "d" => put(f, 1, String::new()),
            "e" => put(f, 2, "0".to_owned()),
            _ => {}
        }
    });
}

/// The line of `passwd -S`.
pub(in crate::shell) fn password_status(shell: &Shell, user: &str) -> String {
    let all = entries(shell, "/etc/shadow");
    let found = all.iter().find(|f| field(f, 0) == user);
    let hash = found.map_or("!", |f| field(f, 1));
    let state = match hash {
        "" => "NP",
        hash if hash.starts_with(['!', '*']) => "L",
        _ => "P",
    };
    let days: i64 = found.and_then(|f| field(f, 2).parse().ok()).unwrap_or(0);
    let day = time::OffsetDateTime::from_unix_timestamp(days.saturating_mul(86_400))
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
        .date();
    // shadow writes the day as the standard has it since 4.11.
    let version = shell.machine.upstream(&["passwd", "shadow-utils", "shadow"]);
    let old = version.is_some_and(|v| matches!(v.split('.').nth(1), Some("8" | "8p1" | "9")));
    let shown = if old {
        format!("{:02}/{:02}/{}", u8::from(day.month()), day.day(), day.year())
    } else {
        day.to_string()
    };
    format!("{user} {state} {shown} 0 99999 7 -1\n")
}

/// The groups of an account, its own first: number and name.
fn groups_of(shell: &Shell, user: &str, gid: u32) -> Vec<(u32, String)> {
    let all = entries(shell, "/etc/group");
    let number = |f: &[String]| field(f, 2).parse::<u32>().ok();
    let own = all.iter().find(|f| number(f) == Some(gid));
    let own = own.map_or_else(|| shell.machine.group_name(gid), |f| field(f, 0).to_owned());
    // Where nothing knows the number it is the account's own, as useradd makes it.
    let own = if own == gid.to_string() {
        user.to_owned()
    } else {
        own
    };
    let mut out = vec![(gid, own)];
    for f in &all {
        if let Some(n) = number(f)
            && n != gid
            && field(f, 3).split(',').any(|member| member == user)
        {
            out.push((n, field(f, 0).to_owned()));
        }
    }
    out
}

/// Whether an account is in a group of that name.
pub(in crate::shell) fn is_member(shell: &Shell, user: &str, group: &str) -> bool {
    let gid = shell.account(user).map_or(u32::MAX, |a| a.gid);
    groups_of(shell, user, gid).iter().any(|g| g.1 == group)
}

pub(super) fn id(shell: &mut Shell, call: &mut Call) -> u8 {
    let account = match call.operands("").first() {
        Some(name) => match shell.account(name) {
            Some(account) => account,
            None => {
                let text = format!("‘{name}’: no such user");
                return call.fail(text);
            }
        },
        None => shell
            .account(&shell.env.user)
            .unwrap_or_else(|| shell.machine.account_or_new(&shell.env.user)),
    };
    let groups = groups_of(shell, &account.name, account.gid);
    let own = groups.first().map_or(account.name.as_str(), |g| g.1.as_str());
    let named = call.has('n');
    let text = if call.has('u') {
        if named {
            account.name.clone()
        } else {
            account.uid.to_string()
        }
    } else if call.has('g') {
        if named {
            own.to_owned()
        } else {
            account.gid.to_string()
        }
    } else if call.has('G') {
        let all: Vec<String> = groups
            .iter()
            .map(|(n, name)| if named { name.clone() } else { n.to_string() })
            .collect();
        all.join(" ")
    } else {
        // Of several names for one number the first counts.
        let first = shell.machine.accounts.iter().find(|a| a.uid == account.uid);
        let all: Vec<String> = groups.iter().map(|(n, name)| format!("{n}({name})")).collect();
        format!(
            "uid={}({}) gid={}({own}) groups={}",
            account.uid,
            first.map_or(account.name.as_str(), |a| a.name.as_str()),
            account.gid,
            all.join(",")
        )
    };
    call.out(format!("{text}\n"));
    0
}

pub(super) fn groups(shell: &mut Shell, call: &mut Call) -> u8 {
    let names = call.operands("");
    let line = |groups: Vec<(u32, String)>| groups.into_iter().map(|g| g.1).collect::<Vec<_>>().join(" ");
    if names.is_empty() {
        let text = line(groups_of(shell, &shell.env.user, shell.env.gid));
        call.out(format!("{text}\n"));
        return 0;
    }
    let mut status = 0;
    for name in names {
        match shell.account(&name) {
            Some(account) => {
                let text = line(groups_of(shell, &name, account.gid));
                call.out(format!("{name} : {text}\n"));
            }
            None => status = call.fail(format!("‘{name}’: no such user")),
        }
    }
    status
}

/// Add a user to groups, or a group by itself where there is no user; the first one that there is not.
fn join(shell: &mut Shell, user: &str, wanted: &[&str], only: bool) -> Result<(), String> {
    let mut all = entries(shell, "/etc/group");
    if let Some(missing) = wanted
        .iter()
        .find(|w| !all.iter().any(|f| field(f, 0) == **w || field(f, 2) == **w))
    {
        return Err((*missing).to_owned());
    }
    for f in &mut all {
        let chosen = wanted.contains(&field(f, 0)) || wanted.contains(&field(f, 2));
        let mut members: Vec<String> = field(f, 3)
            .split(',')
            .filter(|m| !m.is_empty() && (*m != user || (!only && !chosen)))
            .map(str::to_owned)
            .collect();
        if chosen {
            members.push(user.to_owned());
        }
        let members = members.join(",");
        put(f, 3, members);
    }
    store(shell, "/etc/group", &all);
    Ok(())
}

pub(super) fn useradd(shell: &mut Shell, call: &mut Call) -> u8 {
    let tool = call.name.clone();
    // `-a` of usermod stands alone or before `G`; elsewhere none of these does.
    let operands = call.operands(if tool == "gpasswd" { "adM" } else { "dgGsupcekKf" });
    let given = call.value("-G", "--groups").or_else(|| {
        let at = call.args.iter().position(|a| a == "-aG")?;
        call.args.get(at + 1).cloned()
    });
    let added = call.value("-a", "").filter(|_| tool == "gpasswd");
    let mut operands: Vec<String> = operands
        .into_iter()
        .filter(|o| tool == "gpasswd" || given.as_ref() != Some(o))
        .collect();
    if let Some(member) = added {
        // `gpasswd -a user group`
        operands = vec![member, operands.first().cloned().unwrap_or_default()];
    }
    let Some(name) = operands.first().cloned() else {
        call.err(format!("Usage: {tool} [options] LOGIN\n"));
        return 2;
    };
    if shell.env.uid != 0 {
        call.err(format!(
            "{tool}: Permission denied.\n{tool}: cannot lock /etc/passwd; try again later.\n"
        ));
        return 1;
    }
    let known = shell.account(&name).is_some();
    let wanted: Vec<String> = given
        .map(|g| g.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    match (tool.as_str(), operands.get(1)) {
        ("adduser" | "gpasswd", Some(group)) if known => {
            if let Err(missing) = join(shell, &name, &[group.as_str()], false) {
                return match tool.as_str() {
                    "adduser" => call.fail(format!("The group `{missing}' does not exist.")),
                    _ => {
                        call.fail(format!("group '{missing}' does not exist in /etc/group"));
                        3
                    }
                };
            }
            call.out(if tool == "adduser" {
                format!("Adding user `{name}' to group `{group}' ...\nDone.\n")
            } else {
                format!("Adding user {name} to group {group}\n")
            });
            0
        }
        ("useradd" | "adduser", _) if known => {
            call.fail(format!("user '{name}' already exists"));
            9
        }
        ("useradd" | "adduser", _) => make(shell, call, &name, &wanted),
        ("groupadd", _) => {
            let mut all = entries(shell, "/etc/group");
            if all.iter().any(|f| field(f, 0) == name) {
                call.fail(format!("group '{name}' already exists"));
                return 9;
            }
            let gid = call
                .value("-g", "--gid")
                .unwrap_or_else(|| free(&all).to_string());
            all.push(vec![name, "x".to_owned(), gid, String::new()]);
            store(shell, "/etc/group", &all);
            0
        }
        (_, _) if !known => {
            call.err(format!("{tool}: user '{name}' does not exist\n"));
            6
        }
        ("userdel", _) => {
            for file in ["/etc/passwd", "/etc/shadow"] {
                let mut all = entries(shell, file);
                all.retain(|f| field(f, 0) != name);
                store(shell, file, &all);
            }
            let mut all = entries(shell, "/etc/group");
            all.retain(|f| field(f, 0) != name || !field(f, 3).is_empty());
            store(shell, "/etc/group", &all);
            0
        }
        ("usermod", _) => change(shell, call, &name, &wanted),
        _ => 0,
    }
}

/// The first number for people that no line has.
fn free(all: &[Vec<String>]) -> u32 {
    (1_000..2_000_u32)
        .find(|n| all.iter().all(|f| field(f, 2).parse() != Ok(*n)))
        .unwrap_or(1_999)
}

fn make(shell: &mut Shell, call: &mut Call, name: &str, wanted: &[&str]) -> u8 {
    let mut passwd = entries(shell, "/etc/passwd");
    let own_number = free(&passwd);
    let uid = call
        .value("-u", "--uid")
        .and_then(|u| u.parse().ok())
        .unwrap_or(own_number);
    let given = call.value("-g", "--gid");
    let mut group = entries(shell, "/etc/group");
    let gid = given.as_ref().and_then(|g| {
        let by_name = group.iter().find(|f| field(f, 0) == g);
        by_name.map_or(g.as_str(), |f| field(f, 2)).parse::<u32>().ok()
    });
    if uid == 0 && !call.has('o') {
        call.fail("UID 0 is not unique");
        return 4;
    }
    let adduser = call.name == "adduser";
    let home = call
        .value("-d", "--home")
        .unwrap_or_else(|| format!("/home/{name}"));
    let sh = call
        .value("-s", "--shell")
        .unwrap_or_else(|| if adduser { "/bin/bash" } else { "/bin/sh" }.to_owned());
    let gecos = call.value("-c", "--comment").unwrap_or_default().replace(':', "");
    let now = shell.now();
    let own_gid = gid.unwrap_or(uid);
    passwd.push(vec![
        name.to_owned(),
        "x".to_owned(),
        uid.to_string(),
        own_gid.to_string(),
        gecos,
        home.clone(),
        sh,
    ]);
    let mut shadow = entries(shell, "/etc/shadow");
    let secret = call.value("-p", "--password").unwrap_or_else(|| "!".to_owned());
    let line = format!("{name}:{secret}:{}:0:99999:7:::", now / 86_400);
    shadow.push(line.split(':').map(str::to_owned).collect());
    if !store(shell, "/etc/passwd", &passwd) {
        call.fail("cannot open /etc/passwd");
        return 1;
    }
    store(shell, "/etc/shadow", &shadow);
    if gid.is_none() && !group.iter().any(|f| field(f, 0) == name) {
        group.push(vec![
            name.to_owned(),
            "x".to_owned(),
            uid.to_string(),
            String::new(),
        ]);
        store(shell, "/etc/group", &group);
    }
    if call.has('m') || adduser {
        // An existing folder is taken as it is.
        let _there = shell.vfs.mkdir(ROOT, "/", &home, 0o755, now);
        let _own = shell
            .vfs
            .alter(ROOT, "/", &home, |n| (n.uid, n.gid) = (uid, own_gid));
    }
    match join(shell, name, wanted, false) {
        Ok(()) => 0,
        Err(missing) => {
            call.fail(format!("group '{missing}' does not exist"));
            6
        }
    }
}

fn change(shell: &mut Shell, call: &mut Call, name: &str, wanted: &[&str]) -> u8 {
    for (short, long, at) in [
        ("-s", "--shell", 6),
        ("-d", "--home", 5),
        ("-c", "--comment", 4),
        ("-u", "--uid", 2),
    ] {
        if let Some(value) = call.value(short, long) {
            edit(shell, "/etc/passwd", name, |f| put(f, at, value.replace(':', "")));
        }
    }
    if let Some(hash) = call.value("-p", "--password") {
        edit(shell, "/etc/shadow", name, |f| put(f, 1, hash.replace(':', "")));
    }
    for (letter, long) in [("L", "--lock"), ("U", "--unlock")] {
        let alone = format!("-{letter}");
        if call.args.iter().any(|a| *a == alone || a == long) {
            password_state(shell, name, &letter.to_lowercase());
        }
    }
    if wanted.is_empty() {
        return 0;
    }
    let appends = call
        .args
        .iter()
        .any(|a| a == "-a" || a == "--append" || a.starts_with("-aG"));
    match join(shell, name, wanted, !appends) {
        Ok(()) => 0,
        Err(missing) => {
            call.fail(format!("group '{missing}' does not exist"));
            6
        }
    }
}

pub(super) fn chpasswd(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.env.uid != 0 {
        return call.fail("Permission denied.");
    }
    let input = std::mem::take(&mut call.input);
    let encrypted = call.has('e');
    let mut pairs = Vec::new();
    let mut faults = String::new();
    for (i, line) in lines(&input).take(LINES).enumerate() {
        let text = String::from_utf8_lossy(line).into_owned();
        match text.split_once(':') {
            None => faults.push_str(&format!("chpasswd: line {}: missing new password\n", i + 1)),
            Some((user, _)) if shell.account(user).is_none() => {
                faults.push_str(&format!(
                    "chpasswd: line {}: user '{user}' does not exist\n",
                    i + 1
                ));
            }
            Some((user, secret)) => pairs.push((user.to_owned(), secret.to_owned())),
        }
    }
    if !faults.is_empty() {
        call.err(format!("{faults}chpasswd: error detected, changes ignored\n"));
        return 1;
    }
    for (user, secret) in pairs {
        let done = if encrypted {
            edit(shell, "/etc/shadow", &user, |f| {
                put(f, 1, secret.replace(':', ""))
            })
        } else {
            password_set(shell, &user, secret.as_bytes())
        };
        if !done {
            call.err("chpasswd: cannot open /etc/shadow\n");
            return 1;
        }
    }
    0
}

/// `getent`: what the files say.
pub(super) fn getent(shell: &mut Shell, call: &mut Call) -> u8 {
    let operands = call.operands("s");
    let Some((base, keys)) = operands.split_first() else {
        call.err("getent: wrong number of arguments\nTry `getent --help' or `getent --usage' for more information.\n");
        return 1;
    };
    let file = match base.as_str() {
        "passwd" | "group" | "shadow" | "gshadow" => format!("/etc/{base}"),
        "hosts" | "ahosts" | "ahostsv4" => return hosts(shell, call, base, keys),
        "services" | "protocols" | "networks" | "rpc" | "netgroup" | "ethers" => return 2,
        _ => {
            call.err(format!(
                "Unknown database: {base}\nTry `getent --help' or `getent --usage' for more information.\n"
            ));
            return 1;
        }
    };
    if base.ends_with("shadow") && shell.env.uid != 0 {
        return 2;
    }
    let all = entries(shell, &file);
    let mut status = 0;
    if keys.is_empty() {
        for f in &all {
            call.out(format!("{}\n", f.join(":")));
        }
    }
    for key in keys {
        match all
            .iter()
            .find(|f| field(f, 0) == key || (!base.ends_with("shadow") && field(f, 2) == key))
        {
            Some(f) => call.out(format!("{}\n", f.join(":"))),
            None => status = 2,
        }
    }
    status
}

fn hosts(shell: &Shell, call: &mut Call, base: &str, keys: &[String]) -> u8 {
    let text = shell
        .vfs
        .read(ROOT, "/", "/etc/hosts")
        .unwrap_or_else(|_| [].into());
    let text = String::from_utf8_lossy(&text).into_owned();
    let known: Vec<Vec<&str>> = text
        .lines()
        .map(|line| {
            line.split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect()
        })
        .filter(|words: &Vec<&str>| words.len() > 1)
        .collect();
    let shown = |words: &[&str]| {
        let (address, names) = words
            .split_first()
            .map_or(("", Vec::new()), |(a, n)| (*a, n.to_vec()));
        format!("{address:<15} {}\n", names.join(" "))
    };
    let mut status = 0;
    if keys.is_empty() {
        known.iter().for_each(|words| call.out(shown(words)));
    }
    for key in keys {
        let found = known.iter().find(|words| words.contains(&key.as_str()));
        match (found, base) {
            (Some(words), "hosts") => call.out(shown(words)),
            (Some(words), _) => {
                let address = words.first().copied().unwrap_or_default();
                call.out(format!(
                    "{address:<15} STREAM {key}\n{address:<15} DGRAM  \n{address:<15} RAW    \n"
                ));
            }
            (None, _) if key.parse::<std::net::IpAddr>().is_ok() => call.out(format!("{key:<15} {key}\n")),
            (None, _) => {
                call.wait(std::time::Duration::from_secs(5));
                status = 2;
            }
        }
    }
    status
}
