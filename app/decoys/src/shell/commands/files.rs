//! Programs that look at and change the file system.

use time::OffsetDateTime;

use super::{Call, Long, Shell, inputs, tar};
use crate::shell::vfs::{Errno, Kind, Node, Who, file_name};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The month's short name.
pub(in crate::shell) use month as month_of;

pub(in crate::shell) fn month(at: OffsetDateTime) -> &'static str {
    MONTHS
        .get(usize::from(u8::from(at.month())) - 1)
        .copied()
        .unwrap_or("Jan")
}

/// A time as `ls -l` shows it: with the hour when it is within half a year, else with the year.
pub(crate) fn ls_time(mtime: i64, now: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(mtime).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    if mtime > now || now - mtime > 15_778_476 {
        format!("{} {:>2}  {:>4}", month(at), at.day(), at.year())
    } else {
        format!(
            "{} {:>2} {:02}:{:02}",
            month(at),
            at.day(),
            at.hour(),
            at.minute()
        )
    }
}

/// `1.5K` and the like.
pub(super) fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64;
    let mut unit = ' ';
    for next in ['K', 'M', 'G', 'T'] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 10.0 {
        format!("{:.1}{unit}", (value * 10.0).ceil() / 10.0)
    } else {
        format!("{:.0}{unit}", value.ceil())
    }
}

/// Call `each` with every path below `path`, itself included; at most 20,000 of them.
pub(super) fn walk(shell: &Shell, path: &str, depth: usize, each: &mut dyn FnMut(&str, &Node)) {
    let mut budget = 20_000;
    if let Ok((_, node)) = shell.vfs.lstat(shell.who(), &shell.env.cwd, path) {
        walk_in(shell, path, &node, depth, &mut budget, each);
    }
}

fn walk_in(
    shell: &Shell,
    path: &str,
    node: &Node,
    depth: usize,
    budget: &mut u32,
    each: &mut dyn FnMut(&str, &Node),
) {
    if *budget == 0 {
        return;
    }
    *budget -= 1;
    each(path, node);
    if depth == 0 || !node.is_dir() {
        return;
    }
    for (name, child) in shell
        .vfs
        .list(shell.who(), &shell.env.cwd, path)
        .unwrap_or_default()
    {
        let below = if path.ends_with('/') {
            format!("{path}{name}")
        } else {
            format!("{path}/{name}")
        };
        walk_in(shell, &below, &child, depth - 1, budget, each);
    }
}

pub(super) fn ls(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut operands = call.operands("Iw");
    if operands.is_empty() {
        operands.push(".".to_owned());
    }
    let mut status = 0;
    let mut files = Vec::new();
    let mut directories = Vec::new();
    let long = call.has('l') || call.has('n');
    for path in operands {
        let found = if long {
            shell.vfs.lstat(shell.who(), &shell.env.cwd, &path)
        } else {
            shell.vfs.stat(shell.who(), &shell.env.cwd, &path)
        };
        match found {
            Ok((_, node)) if node.is_dir() && !call.has('d') => directories.push(path),
            Ok((_, node)) => files.push((path, node)),
            Err(errno) => {
                let quoted = format!("'{path}'");
                call.err(format!("ls: cannot access {quoted}: {}\n", errno.text()));
                status = 2;
            }
        }
    }
    let mut first = files.is_empty();
    if !files.is_empty() {
        let text = ls_rows(shell, call, files, ".");
        call.out(text);
    }
    let titled = directories.len() > 1 || !first || call.has('R');
    let mut budget = 2_000;
    directories.reverse();
    while let Some(directory) = directories.pop() {
        budget -= 1;
        if budget == 0 {
            break;
        }
        let children = match shell.vfs.list(shell.who(), &shell.env.cwd, &directory) {
            Ok(children) => children,
            Err(errno) => {
                call.err(format!(
                    "ls: cannot open directory '{directory}': {}\n",
                    errno.text()
                ));
                status = 2;
                continue;
            }
        };
        if titled {
            let title = format!("{}{directory}:\n", if first { "" } else { "\n" });
            call.out(title);
        }
        first = false;
        let all = call.has('a') || call.has('f');
        let mut rows: Vec<(String, Node)> = children
            .into_iter()
            .filter(|(name, _)| all || call.has('A') || !name.starts_with('.'))
            .collect();
        if call.has('R') {
            for (name, _) in rows.iter().rev().filter(|(_, n)| n.is_dir()) {
                directories.push(format!("{}/{name}", directory.trim_end_matches('/')));
            }
        }
        if all {
            let here = |path: &str| {
                shell
                    .vfs
                    .stat(Who { uid: 0, gid: 0 }, &shell.env.cwd, path)
                    .map(|(_, n)| n)
            };
            for (name, node) in [(".", here(&directory)), ("..", here(&format!("{directory}/..")))] {
                if let Ok(mut node) = node {
                    node.mtime = node.mtime.max(shell.machine.boot_time);
                    rows.push((name.to_owned(), node));
                }
            }
        }
        if long || call.has('s') {
            let blocks: u64 = rows
                .iter()
                .map(|(_, n)| {
                    // What states its size takes no room on a disk.
                    if matches!(n.kind, Kind::Link(_)) || n.stated.is_some() {
                        0
                    } else {
                        n.size().div_ceil(4_096) * 4
                    }
                })
                .sum();
            let total = if call.has('h') {
                human(blocks * 1024)
            } else {
                blocks.to_string()
            };
            call.out(format!("total {total}\n"));
        }
        let text = ls_rows(shell, call, rows, &directory);
        call.out(text);
    }
    status
}

fn ls_rows(shell: &Shell, call: &Call, mut rows: Vec<(String, Node)>, directory: &str) -> String {
    // The locale's order: letters first, case and punctuation only to break a tie.
    let key = |name: &str| {
        name.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    rows.sort_by_cached_key(|(name, _)| (name != ".", name != "..", key(name), name.clone()));
    if call.has('t') {
        rows.sort_by_key(|(_, n)| std::cmp::Reverse(n.mtime));
    }
    if call.has('S') {
        rows.sort_by_key(|(_, n)| std::cmp::Reverse(n.size()));
    }
    if call.has('r') {
        rows.reverse();
    }
    let mark = |node: &Node| match node.kind {
        Kind::Directory if call.has('F') || call.has('p') => "/",
        Kind::Link(_) if call.has('F') => "@",
        Kind::File(_) | Kind::Opaque(_) | Kind::Cut { .. } if call.has('F') && node.mode & 0o111 != 0 => "*",
        _ => "",
    };
    if !(call.has('l') || call.has('n')) {
        let names: Vec<String> = rows
            .iter()
            .map(|(name, node)| format!("{name}{}", mark(node)))
            .collect();
        return match shell.terminal {
            Some((width, _)) if !call.has('1') && !call.piped => {
                columns(&names, usize::try_from(width).unwrap_or(80).max(20))
            }
            _ => names.iter().map(|n| format!("{n}\n")).collect(),
        };
    }
    let now = shell.now();
    let cells: Vec<[String; 6]> = rows
        .iter()
        .map(|(name, node)| {
            let size = if let Some(device) = node.device() {
                format!("{}, {}", device.major, device.minor)
            } else if call.has('h') {
                human(node.size())
            } else {
                node.size().to_string()
            };
            let (user, group) = if call.has('n') {
                (node.uid.to_string(), node.gid.to_string())
            } else {
                (
                    shell.machine.user_name(node.uid),
                    shell.machine.group_name(node.gid),
                )
            };
            let target = match &node.kind {
                Kind::Link(target) => format!(" -> {target}"),
                _ => mark(node).to_owned(),
            };
            let links = if node.is_dir() {
                let path = if name.starts_with('/') {
                    name.clone()
                } else {
                    format!("{directory}/{name}")
                };
                let below = shell.vfs.list(Who { uid: 0, gid: 0 }, &shell.env.cwd, &path);
                2 + below
                    .unwrap_or_default()
                    .iter()
                    .filter(|(_, n)| n.is_dir())
                    .count()
            } else {
                1
            };
            [
                links.to_string(),
                user,
                group,
                size,
                ls_time(if node.mtime == 0 { now } else { node.mtime }, now),
                format!("{name}{target}"),
            ]
        })
        .collect();
    let width = |i: usize| {
        cells
            .iter()
            .filter_map(|c| c.get(i))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let (w0, w1, w2, w3) = (width(0), width(1), width(2), width(3));
    rows.iter()
        .zip(&cells)
        .map(|((_, node), [links, user, group, size, time, name])| {
            format!(
                "{} {links:>w0$} {user:<w1$} {group:<w2$} {size:>w3$} {time} {name}\n",
                node.mode_text()
            )
        })
        .collect()
}

/// Names in columns, filled downwards, as wide as a terminal.
fn columns(names: &[String], width: usize) -> String {
    if names.is_empty() {
        return String::new();
    }
    for rows in 1..=names.len() {
        let widths: Vec<usize> = names
            .chunks(rows)
            .map(|c| c.iter().map(|n| n.chars().count()).max().unwrap_or(0) + 2)
            .collect();
        if widths.iter().sum::<usize>() <= width + 2 || rows == names.len() {
            let mut out = String::new();
            for row in 0..rows {
                let line: String = names
                    .chunks(rows)
                    .zip(&widths)
                    .filter_map(|(column, w)| column.get(row).map(|n| format!("{n:<w$}")))
                    .collect();
                out.push_str(line.trim_end());
                out.push('\n');
            }
            return out;
        }
    }
    String::new()
}

pub(super) fn rm(shell: &mut Shell, call: &mut Call) -> u8 {
    let recursive = call.has('r') || call.has('R') || call.args.iter().any(|a| a == "--recursive");
    let force = call.has('f') || call.args.iter().any(|a| a == "--force");
    let operands = call.operands("");
    if operands.is_empty() && !force {
        call.err("rm: missing operand\nTry 'rm --help' for more information.\n");
        return 1;
    }
    let mut status = 0;
    for path in operands {
        if recursive && path == "/" && !call.args.iter().any(|a| a == "--no-preserve-root") {
            call.err("rm: it is dangerous to operate recursively on '/'\nrm: use --no-preserve-root to override this failsafe\n");
            status = 1;
            continue;
        }
        match remove(shell, &path, recursive, 0) {
            Err((_, Errno::NoEntry)) if force => {}
            Err((at, errno)) => {
                status = call.fail(format!("cannot remove '{at}': {}", errno.text()));
            }
            Ok(()) => {}
        }
    }
    status
}

pub(in crate::shell) fn remove(
    shell: &mut Shell,
    path: &str,
    recursive: bool,
    depth: usize,
) -> Result<(), (String, Errno)> {
    let who = shell.who();
    let cwd = shell.env.cwd.clone();
    let told = |errno| (path.to_owned(), errno);
    let (at, node) = shell.vfs.lstat(who, &cwd, path).map_err(told)?;
    if node.is_dir() {
        if !recursive {
            return Err(told(Errno::IsDirectory));
        }
        if depth < 40 {
            for (name, _) in shell.vfs.list(who, "/", &at).map_err(told)? {
                remove(shell, &format!("{at}/{name}"), true, depth + 1)?;
            }
        }
        return shell.vfs.rmdir(who, "/", &at).map_err(told);
    }
    if let Some((at, bytes)) = shell.vfs.unlink(who, "/", &at).map_err(told)? {
        let user = shell.env.user.clone();
        shell.outside.report(crate::shell::Report::File {
            path: &at,
            bytes: &bytes,
            user: &user,
        });
    }
    Ok(())
}

pub(super) fn mkdir(shell: &mut Shell, call: &mut Call) -> u8 {
    let operands = call.operands("m");
    if operands.is_empty() {
        call.err("mkdir: missing operand\nTry 'mkdir --help' for more information.\n");
        return 1;
    }
    let mut status = 0;
    let (who, cwd, now) = (shell.who(), shell.env.cwd.clone(), shell.now());
    let mode = 0o777 & !shell.env.umask;
    for path in operands {
        let whole = crate::shell::vfs::absolute(&cwd, &path);
        if call.has('p') {
            let mut at = String::new();
            for part in whole.split('/').filter(|p| !p.is_empty()) {
                at = format!("{at}/{part}");
                match shell.vfs.mkdir(who, "/", &at, mode, now) {
                    Ok(()) | Err(Errno::Exists) => {}
                    Err(errno) => {
                        status = call.fail(format!("cannot create directory ‘{path}’: {}", errno.text()));
                        break;
                    }
                }
            }
        } else if let Err(errno) = shell.vfs.mkdir(who, &cwd, &path, mode, now) {
            status = call.fail(format!("cannot create directory ‘{path}’: {}", errno.text()));
        }
    }
    status
}

pub(super) fn rmdir(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut status = 0;
    for path in call.operands("") {
        let (who, cwd) = (shell.who(), shell.env.cwd.clone());
        if let Err(errno) = shell.vfs.rmdir(who, &cwd, &path) {
            status = call.fail(format!("failed to remove '{path}': {}", errno.text()));
        }
    }
    status
}

/// Where `cp` and `mv` put `source`: into `target` where that is a directory.
fn destination(shell: &Shell, source: &str, target: &str) -> String {
    match shell.vfs.stat(shell.who(), &shell.env.cwd, target) {
        Ok((_, node)) if node.is_dir() => format!("{}/{}", target.trim_end_matches('/'), file_name(source)),
        _ => target.to_owned(),
    }
}

/// `cp`, `mv` with less than two operands.
fn missing_operand(call: &mut Call) -> u8 {
    let name = call.name.clone();
    let text = match call.operands("t").first() {
        Some(only) => format!("missing destination file operand after '{only}'"),
        None => "missing file operand".to_owned(),
    };
    call.err(format!(
        "{name}: {text}\nTry '{name} --help' for more information.\n"
    ));
    1
}

pub(super) fn cp(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut operands = call.operands("t");
    let Some(target) = operands.pop().filter(|_| !operands.is_empty()) else {
        return missing_operand(call);
    };
    if operands.len() > 1
        && !shell
            .vfs
            .stat(shell.who(), &shell.env.cwd, &target)
            .is_ok_and(|(_, n)| n.is_dir())
    {
        let there = shell.vfs.stat(shell.who(), &shell.env.cwd, &target);
        let why = there.map_or_else(Errno::text, |_| "Not a directory");
        return call.fail(format!("target '{target}': {why}"));
    }
    let recursive = call.has('r') || call.has('R') || call.has('a');
    let mut status = 0;
    for source in operands {
        let to = destination(shell, &source, &target);
        if let Err(text) = copy(shell, &source, &to, recursive, 0) {
            status = call.fail(text);
        }
    }
    status
}

fn copy(shell: &mut Shell, source: &str, to: &str, recursive: bool, depth: usize) -> Result<(), String> {
    let (who, cwd, now) = (shell.who(), shell.env.cwd.clone(), shell.now());
    let (_, node) = shell
        .vfs
        .stat(who, &cwd, source)
        .map_err(|e| format!("cannot stat '{source}': {}", e.text()))?;
    if node.is_dir() {
        if !recursive {
            return Err(format!("-r not specified; omitting directory '{source}'"));
        }
        match shell.vfs.mkdir(who, &cwd, to, node.mode, now) {
            Ok(()) | Err(Errno::Exists) => {}
            Err(errno) => return Err(format!("cannot create directory '{to}': {}", errno.text())),
        }
        if depth < 20 {
            for (name, _) in shell
                .vfs
                .list(who, &cwd, source)
                .map_err(|e| format!("cannot access '{source}': {}", e.text()))?
            {
                copy(
                    shell,
                    &format!("{source}/{name}"),
                    &format!("{to}/{name}"),
                    true,
                    depth + 1,
                )?;
            }
        }
        return Ok(());
    }
    let bytes = shell
        .vfs
        .read(who, &cwd, source)
        .map_err(|e| format!("cannot open '{source}' for reading: {}", e.text()))?;
    shell.surrender(to);
    let at = shell
        .vfs
        .write(who, &cwd, to, &bytes, false, now)
        .map_err(|e| format!("cannot create regular file '{to}': {}", e.text()))?;
    // A copy of what stands there anyway is no find.
    if !shell
        .vfs
        .lstat(who, &cwd, source)
        .is_ok_and(|(at, _)| shell.vfs.is_written(&at))
    {
        shell.vfs.forget_written(&at);
    }
    shell
        .vfs
        .alter(who, "/", &at, |n| n.mode = node.mode)
        .map_err(|e| format!("preserving permissions for '{to}': {}", e.text()))
}

pub(super) fn mv(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut operands = call.operands("t");
    let Some(target) = operands.pop().filter(|_| !operands.is_empty()) else {
        return missing_operand(call);
    };
    if operands.len() > 1
        && !shell
            .vfs
            .stat(shell.who(), &shell.env.cwd, &target)
            .is_ok_and(|(_, n)| n.is_dir())
    {
        let there = shell.vfs.stat(shell.who(), &shell.env.cwd, &target);
        let why = there.map_or_else(Errno::text, |_| "Not a directory");
        return call.fail(format!("target '{target}': {why}"));
    }
    let mut status = 0;
    for source in operands {
        let to = destination(shell, &source, &target);
        let (who, cwd) = (shell.who(), shell.env.cwd.clone());
        shell.surrender(&to);
        if let Err(errno) = shell.vfs.rename(who, &cwd, &source, &to) {
            let text = if errno == Errno::NoEntry {
                format!("cannot stat '{source}': {}", errno.text())
            } else {
                format!("cannot move '{source}' to '{to}': {}", errno.text())
            };
            status = call.fail(text);
        }
    }
    status
}

pub(super) fn ln(shell: &mut Shell, call: &mut Call) -> u8 {
    let operands = call.operands("");
    let [target, link] = operands.as_slice() else {
        call.err("ln: missing file operand\nTry 'ln --help' for more information.\n");
        return 1;
    };
    let link = destination(shell, target, link);
    let (who, cwd, now) = (shell.who(), shell.env.cwd.clone(), shell.now());
    if call.has('f') && shell.vfs.lstat(who, &cwd, &link).is_ok() && remove(shell, &link, false, 0).is_err() {
        return call.fail(format!("cannot remove '{link}': Permission denied"));
    }
    let done = if call.has('s') {
        shell.vfs.symlink(who, &cwd, target, &link, now)
    } else {
        shell
            .vfs
            .read(who, &cwd, target)
            .and_then(|bytes| shell.vfs.write(who, &cwd, &link, &bytes, false, now).map(drop))
    };
    match done {
        Ok(()) => 0,
        Err(errno) => {
            let kind = if call.has('s') { "symbolic" } else { "hard" };
            call.fail(format!("failed to create {kind} link '{link}': {}", errno.text()))
        }
    }
}

pub(super) fn mkfifo(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("m");
    if paths.is_empty() {
        call.err("mkfifo: missing operand\nTry 'mkfifo --help' for more information.\n");
        return 1;
    }
    let mode = call
        .value("-m", "--mode")
        .and_then(|m| new_mode(&m, 0o666, false));
    let mut status = 0;
    for path in paths {
        let (who, cwd, now) = (shell.who(), shell.env.cwd.clone(), shell.now());
        let there = shell.vfs.lstat(who, &cwd, &path).is_ok();
        let done = if there {
            Err(Errno::Exists)
        } else {
            shell.vfs.place(who, &cwd, &path, Kind::Pipe, now)
        };
        match (done, mode) {
            (Err(errno), _) => {
                status = call.fail(format!("cannot create fifo '{path}': {}", errno.text()));
            }
            (Ok(at), Some(mode)) => {
                // It was made a moment ago by the same user.
                let _own = shell.vfs.alter(who, "/", &at, |n| n.mode = mode);
            }
            (Ok(_), None) => {}
        }
    }
    status
}

pub(super) fn touch(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut status = 0;
    let now = shell.now();
    let mut time = now;
    if let Some(text) = call.value("-d", "--date") {
        match super::when::parse(&text, now) {
            Some(at) => time = at,
            None => return call.fail(format!("invalid date format ‘{text}’")),
        }
    }
    if let Some(text) = call.value("-t", "") {
        match touch_stamp(&text, now) {
            Some(at) => time = at,
            None => return call.fail(format!("invalid date format ‘{text}’")),
        }
    }
    if let Some(like) = call.value("-r", "--reference") {
        match shell.vfs.stat(shell.who(), &shell.env.cwd, &like) {
            Ok((_, node)) => time = node.mtime,
            Err(errno) => {
                return call.fail(format!("failed to get attributes of '{like}': {}", errno.text()));
            }
        }
    }
    let only = call.has('c') || call.args.iter().any(|a| a == "--no-create");
    for path in call.operands("dtr") {
        let (who, cwd) = (shell.who(), shell.env.cwd.clone());
        let done = match shell.vfs.stat(who, &cwd, &path) {
            Ok(_) => shell.vfs.alter(who, &cwd, &path, |n| n.mtime = time),
            Err(Errno::NoEntry) if only => Ok(()),
            Err(Errno::NoEntry) => shell.vfs.write(who, &cwd, &path, b"", false, time).map(drop),
            Err(errno) => Err(errno),
        };
        if let Err(errno) = done {
            status = call.fail(format!("cannot touch '{path}': {}", errno.text()));
        }
    }
    status
}

/// `[[CC]YY]MMDDhhmm[.ss]`.
fn touch_stamp(text: &str, now: i64) -> Option<i64> {
    let (digits, seconds) = text.split_once('.').unwrap_or((text, "00"));
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let head = digits.len().checked_sub(8)?;
    let (year, rest) = digits.split_at(head);
    let year = match year.len() {
        0 => crate::shell::commands::system::year(now).to_string(),
        2 => format!("20{year}"),
        4 => year.to_owned(),
        _ => return None,
    };
    let part = |from: usize| rest.get(from..from + 2);
    super::when::parse(
        &format!(
            "{year}-{}-{} {}:{}:{seconds}",
            part(0)?,
            part(2)?,
            part(4)?,
            part(6)?
        ),
        now,
    )
}

/// A mode after `chmod` notation: octal, or clauses such as `u+x,go-w`.
pub(in crate::shell) fn new_mode(spec: &str, old: u32, directory: bool) -> Option<u32> {
    if spec.bytes().all(|b| b.is_ascii_digit()) {
        return u32::from_str_radix(spec, 8).ok().filter(|m| *m <= 0o7777);
    }
    let mut mode = old;
    for clause in spec.split(',') {
        let op_at = clause.find(['+', '-', '='])?;
        let (who, rest) = clause.split_at(op_at);
        let mut mask = 0;
        for c in who.chars() {
            mask |= match c {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o1007,
                'a' => 0o7777,
                _ => return None,
            };
        }
        if who.is_empty() {
            mask = 0o7777;
        }
        let mut bits = 0;
        for c in rest.chars().skip(1) {
            bits |= match c {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if directory || old & 0o111 != 0 => 0o111,
                'X' => 0,
                's' => 0o6000,
                't' => 0o1000,
                _ => return None,
            };
        }
        let bits = bits & mask;
        mode = match rest.chars().next()? {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !(mask & 0o777) | bits,
        };
    }
    Some(mode)
}

pub(super) fn chmod(shell: &mut Shell, call: &mut Call) -> u8 {
    // A mode such as `-x` is no option.
    let mut operands: Vec<String> = call
        .args
        .iter()
        .filter(|a| !matches!(a.as_str(), "-R" | "-v" | "-f" | "-c" | "--"))
        .cloned()
        .collect();
    if operands.len() < 2 {
        let text = match operands.first() {
            Some(mode) => {
                format!("chmod: missing operand after ‘{mode}’\nTry 'chmod --help' for more information.\n")
            }
            None => "chmod: missing operand\nTry 'chmod --help' for more information.\n".to_owned(),
        };
        call.err(text);
        return 1;
    }
    let spec = operands.remove(0);
    if new_mode(&spec, 0, false).is_none() {
        call.err(format!(
            "chmod: invalid mode: ‘{spec}’\nTry 'chmod --help' for more information.\n"
        ));
        return 1;
    }
    let mut status = 0;
    for path in operands {
        let (who, cwd) = (shell.who(), shell.env.cwd.clone());
        let mut paths = vec![path.clone()];
        if call.args.iter().any(|a| a == "-R") {
            paths.clear();
            walk(shell, &path, 20, &mut |p, _| paths.push(p.to_owned()));
        }
        for path in paths {
            match shell.vfs.stat(who, &cwd, &path) {
                Ok((_, node)) => {
                    let Some(mode) = new_mode(&spec, node.mode, node.is_dir()) else {
                        call.err(format!(
                            "chmod: invalid mode: ‘{spec}’\nTry 'chmod --help' for more information.\n"
                        ));
                        return 1;
                    };
                    if let Err(errno) = shell.vfs.alter(who, &cwd, &path, |n| n.mode = mode) {
                        status = call.fail(format!("changing permissions of '{path}': {}", errno.text()));
                    }
                }
                Err(errno) => status = call.fail(format!("cannot access '{path}': {}", errno.text())),
            }
        }
    }
    status
}

pub(super) fn chown(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut operands = call.operands("");
    if operands.len() < 2 {
        let name = call.name.clone();
        call.err(format!(
            "{name}: missing operand\nTry '{name} --help' for more information.\n"
        ));
        return 1;
    }
    let spec = operands.remove(0);
    let (user, group) = spec
        .split_once([':', '.'])
        .map_or((spec.as_str(), None), |(u, g)| (u, Some(g)));
    let account = shell
        .machine
        .account(user)
        .map(|a| (a.uid, a.gid))
        .or_else(|| user.parse().ok().map(|n| (n, n)));
    if account.is_none() && !user.is_empty() && call.name == "chown" {
        return call.fail(format!("invalid user: ‘{spec}’"));
    }
    let gid = group.and_then(|g| shell.machine.account(g)).map(|a| a.gid);
    let mut status = 0;
    for path in operands {
        let (who, cwd) = (shell.who(), shell.env.cwd.clone());
        let done = if who.uid == 0 {
            shell.vfs.alter(who, &cwd, &path, |n| {
                n.uid = account.map_or(n.uid, |a| a.0);
                n.gid = gid.unwrap_or(n.gid);
            })
        } else {
            shell.vfs.stat(who, &cwd, &path).and(Err(Errno::NotPermitted))
        };
        match done {
            Ok(()) => {}
            Err(Errno::NoEntry) => {
                status = call.fail(format!("cannot access '{path}': No such file or directory"))
            }
            Err(errno) => status = call.fail(format!("changing ownership of '{path}': {}", errno.text())),
        }
    }
    status
}

pub(super) fn chattr(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths: Vec<String> = call
        .args
        .iter()
        .filter(|a| !a.starts_with(['-', '+', '=']))
        .cloned()
        .collect();
    if paths.is_empty() {
        call.err("Usage: chattr [-pRVf] [-+=aAcCdDeijPsStTuFx] [-v version] files...\n");
        return 1;
    }
    let mut status = 0;
    for path in paths {
        if shell.vfs.stat(shell.who(), &shell.env.cwd, &path).is_err() {
            call.err(format!(
                "chattr: No such file or directory while trying to stat {path}\n"
            ));
            status = 1;
        } else if shell.env.uid != 0 {
            call.err(format!(
                "chattr: Operation not permitted while setting flags on {path}\n"
            ));
            status = 1;
        } else if let Ok(at) = shell.vfs.resolve(shell.who(), &shell.env.cwd, &path, true) {
            for spec in &call.args {
                for (letter, other) in [('i', 'a'), ('a', 'i')] {
                    let named = spec.chars().skip(1).any(|c| c == letter);
                    match spec.chars().next() {
                        Some('+') if named => shell.vfs.set_flag(&at, Some(letter)),
                        Some('=') if named => shell.vfs.set_flag(&at, Some(letter)),
                        Some('-') if named && shell.vfs.flag(&at) != Some(other) => {
                            shell.vfs.set_flag(&at, None);
                        }
                        Some('=') if !spec.contains(other) => shell.vfs.set_flag(&at, None),
                        _ => {}
                    }
                }
            }
        }
    }
    status
}

pub(super) fn lsattr(shell: &mut Shell, call: &mut Call) -> u8 {
    for path in call.operands("") {
        let line = if let Ok((at, _)) = shell.vfs.stat(shell.who(), &shell.env.cwd, &path) {
            let flags = match shell.vfs.flag(&at) {
                Some('i') => "i-",
                Some(_) => "-a",
                None => "--",
            };
            format!("----{flags}--------e------- {path}\n")
        } else {
            call.err(format!(
                "lsattr: No such file or directory while trying to stat {path}\n"
            ));
            continue;
        };
        call.out(line);
    }
    0
}

/// A line of `find -ls`.
pub(in crate::shell) fn found_line(shell: &Shell, path: &str, node: &Node) -> String {
    let target = match &node.kind {
        Kind::Link(target) => format!(" -> {target}"),
        _ => String::new(),
    };
    format!(
        "{:>9} {:>6} {} {:>3} {:<8} {:<8} {:>8} {} {path}{target}\n",
        inode(path),
        node.size().div_ceil(4_096) * 4,
        node.mode_text(),
        if node.is_dir() { 2 } else { 1 },
        shell.machine.user_name(node.uid),
        shell.machine.group_name(node.gid),
        node.size(),
        ls_time(node.mtime, shell.now())
    )
}

/// A file's number: the same at every look.
pub(super) fn inode(path: &str) -> u64 {
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    });
    131_072 + hash % 1_200_000
}

pub(super) fn file(shell: &mut Shell, call: &mut Call) -> u8 {
    for path in call.operands("") {
        let kind = match shell.vfs.lstat(shell.who(), &shell.env.cwd, &path) {
            Err(errno) => format!("cannot open `{path}' ({})", errno.text()),
            Ok((_, node)) => match &node.kind {
                Kind::Directory => "directory".to_owned(),
                Kind::Link(target) => format!("symbolic link to {target}"),
                Kind::Pipe => "fifo (named pipe)".to_owned(),
                Kind::Device(device) => format!(
                    "{} special ({}/{})",
                    if device.block { "block" } else { "character" },
                    device.major,
                    device.minor
                ),
                Kind::Opaque(_) => "ELF 64-bit LSB pie executable, x86-64, version 1 (SYSV), dynamically linked, interpreter /lib64/ld-linux-x86-64.so.2, for GNU/Linux 3.2.0, stripped".to_owned(),
                Kind::File(_) if node.size() == 0 => "empty".to_owned(),
                Kind::File(bytes) | Kind::Cut { head: bytes, .. }
                    if bytes.starts_with(b"\x7fELF") && bytes.get(16) == Some(&3) =>
                {
                    "ELF 64-bit LSB pie executable, x86-64, version 1 (SYSV), dynamically linked, interpreter /lib64/ld-linux-x86-64.so.2, for GNU/Linux 3.2.0, stripped".to_owned()
                }
                Kind::File(bytes) | Kind::Cut { head: bytes, .. } if bytes.starts_with(b"\x7fELF") => "ELF 64-bit LSB executable, x86-64, version 1 (SYSV), statically linked, stripped".to_owned(),
                Kind::File(bytes) if bytes.starts_with(b"#!") => "Bourne-Again shell script, ASCII text executable".to_owned(),
                Kind::File(bytes) if bytes.is_ascii() => "ASCII text".to_owned(),
                Kind::Log(_) if node.size() == 0 => "empty".to_owned(),
                Kind::Log(_) if path.ends_with(".gz") => "gzip compressed data, from Unix".to_owned(),
                Kind::Log(log) if log.bytes().is_ascii() => "ASCII text".to_owned(),
                Kind::File(_) | Kind::Cut { .. } | Kind::Log(_) => "data".to_owned(),
            },
        };
        call.out(format!("{path}: {kind}\n"));
    }
    0
}

pub(super) fn du(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut operands = call.operands("d");
    if operands.is_empty() {
        operands.push(".".to_owned());
    }
    for path in operands {
        let mut total = 0;
        walk(shell, &path, 30, &mut |_, node| {
            total += node.size().div_ceil(4_096) * 4
        });
        let size = if call.has('h') {
            human(total * 1024)
        } else {
            total.to_string()
        };
        call.out(format!("{size}\t{path}\n"));
    }
    0
}

/// A count of bytes with coreutils' suffixes: `512`, `64k`, `1M`, `2GB`.
pub(super) fn size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match text.get(digits.len()..).unwrap_or_default() {
        "" | "c" => 1,
        "w" => 2,
        "b" => 512,
        "kB" => 1_000,
        "k" | "K" | "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "M" | "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "G" | "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(scale)
}

/// A count of bytes as dd shows it: three digits at most, with a space before the unit.
fn dd_human(bytes: u64, base: u64) -> String {
    let units = if base == 1_000 {
        ["B", "kB", "MB", "GB", "TB", "PB"]
    } else {
        ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    };
    let (mut scale, mut at) = (1_u64, 0);
    while bytes / scale >= base && at < 5 {
        scale *= base;
        at += 1;
    }
    let unit = units.get(at).copied().unwrap_or_default();
    let tenths = (u128::from(bytes) * 10 + u128::from(scale) / 2) / u128::from(scale);
    if at > 0 && tenths < 100 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", (bytes + scale / 2) / scale)
    }
}

pub(super) fn dd(shell: &mut Shell, call: &mut Call) -> u8 {
    let value = |name: &str| {
        call.args
            .iter()
            .find_map(|a| a.strip_prefix(name))
            .map(str::to_owned)
    };
    let mut numbers = [512, usize::MAX, 0];
    for (name, number) in ["bs=", "count=", "skip="].into_iter().zip(&mut numbers) {
        if let Some(text) = value(name) {
            match size(&text).filter(|n| *n > 0 || name != "bs=") {
                Some(n) => *number = n,
                None => return call.fail(format!("invalid number: ‘{text}’")),
            }
        }
    }
    let [bs, blocks, skip] = numbers;
    let (from, to, quiet) = (value("if="), value("of="), value("status="));
    let most = u64::try_from(blocks.saturating_mul(bs)).unwrap_or(u64::MAX);
    let paths: Vec<String> = from.clone().into_iter().collect();
    let endless_count = blocks == usize::MAX;
    let mut source = match call.long_input(shell, &paths) {
        Some(long) if endless_count => long,
        Some(long) => long.first(most),
        None => {
            let (files, status) = inputs(shell, call, &paths);
            if status != 0 {
                call.steps.clear();
                return call.fail(format!(
                    "failed to open '{}': No such file or directory",
                    from.unwrap_or_default()
                ));
            }
            let bytes = files.into_iter().next().map(|f| f.1).unwrap_or_default();
            let bytes = bytes.get(skip.saturating_mul(bs)..).unwrap_or_default();
            let length = u64::try_from(bytes.len()).unwrap_or(0).min(most);
            Long::repeat(bytes).first(length)
        }
    };
    let wanted = source.left();
    let mut written = wanted.unwrap_or(u64::MAX);
    let mut full = None;
    match to.as_deref() {
        Some("/dev/null" | "/dev/zero" | "/dev/full") | None => {}
        Some(path) => {
            shell.surrender(path);
            let (who, cwd, now) = (shell.who(), shell.env.cwd.clone(), shell.now());
            let mut done = shell.vfs.write(who, &cwd, path, b"", false, now);
            if done.is_ok() {
                let bytes = source.take(shell.vfs.room());
                if wanted != Some(u64::try_from(bytes.len()).unwrap_or(0)) {
                    full = Some(path);
                }
                written = u64::try_from(bytes.len()).unwrap_or(0);
                done = shell.vfs.write(who, &cwd, path, &bytes, false, now);
            }
            if let Err(errno) = done {
                return call.fail(format!("failed to open '{path}': {}", errno.text()));
            }
        }
    }
    if to.is_none() {
        call.out_long(source);
    } else if written == u64::MAX {
        return call.never_end();
    }
    if written == u64::MAX {
        return 0;
    }
    if let Some(path) = full {
        call.err(format!("dd: error writing '{path}': No space left on device\n"));
    }
    let bs = u64::try_from(bs).unwrap_or(u64::MAX);
    let (whole, part) = (written / bs, u64::from(written % bs != 0));
    // A gigabyte or two a second, and less of what is random, plus what a program takes to start.
    let noisy = from.as_deref().is_some_and(|f| f.ends_with("random"));
    let speed = if noisy { 290_000_000 } else { 1_300_000_000 }
        + shell.random() % 400_000_000 / if noisy { 8 } else { 1 };
    let nanos = u128::from(written) * 1_000_000_000 / u128::from(speed)
        + 90_000
        + u128::from(shell.random() % 90_000);
    let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
    let rate = u64::try_from(u128::from(written) * 1_000_000_000 / u128::from(nanos)).unwrap_or(0);
    call.wait(std::time::Duration::from_nanos(nanos.min(60_000_000_000)));
    let read = (whole + u64::from(full.is_some()), part);
    if quiet.as_deref() == Some("none") {
        return u8::from(full.is_some());
    }
    call.err(format!(
        "{}+{} records in\n{whole}+{part} records out\n",
        read.0, read.1
    ));
    if quiet.as_deref() != Some("noxfer") {
        let seconds = f64::from(u32::try_from(nanos / 1_000).unwrap_or(u32::MAX)) / 1e6;
        let places = if seconds >= 1.0 { 5 } else { 6 };
        let amount = match written {
            0..1_000 => String::new(),
            1_000..1_024 => format!(" ({})", dd_human(written, 1_000)),
            _ => format!(" ({}, {})", dd_human(written, 1_000), dd_human(written, 1_024)),
        };
        call.err(format!(
            "{written} bytes{amount} copied, {seconds:.places$} s, {}/s\n",
            dd_human(rate, 1_000)
        ));
    }
    u8::from(full.is_some())
}

pub(super) fn archive(shell: &mut Shell, call: &mut Call) -> u8 {
    use std::io::Read as _;
    let operands = call.operands("fC");
    if call.name == "tar" {
        let letters = call.args.first().cloned().unwrap_or_default();
        let bundled = call
            .args
            .first()
            .filter(|a| a.trim_start_matches('-').ends_with('f') || (!a.starts_with('-') && a.contains('f')))
            .and_then(|_| call.args.get(1).cloned());
        let file = bundled.or_else(|| call.value("-f", "--file")).or_else(|| {
            operands
                .iter()
                .find(|o| o.contains(".t") || o.contains(".gz"))
                .cloned()
        });
        if letters.is_empty() {
            call.err("tar: You must specify one of the '-Acdtrux', '--delete' or '--test-label' options\nTry 'tar --help' or 'tar --usage' for more information.\n");
            return 2;
        }
        let Some(file) = file else { return 0 };
        let folder = match call.value("-C", "--directory") {
            Some(folder) => crate::shell::vfs::absolute(&shell.env.cwd, &folder),
            None => shell.env.cwd.clone(),
        };
        if letters.contains('c') {
            let mut members = operands;
            if !letters.starts_with('-') {
                members.retain(|m| *m != letters);
            }
            if let Some(at) = members.iter().position(|m| *m == file) {
                members.remove(at);
            }
            return tar::pack(shell, call, &file, &folder, &members, letters.contains('z'));
        }
        let read = if file == "-" {
            Ok(std::mem::take(&mut call.input).into())
        } else {
            shell.vfs.read(shell.who(), &shell.env.cwd, &file)
        };
        if file == "-" && letters.contains('z') && read.as_ref().is_ok_and(|b| b.is_empty()) {
            call.err("\ngzip: stdin: unexpected end of file\ntar: Child returned status 1\ntar: Error is not recoverable: exiting now\n");
            return 2;
        }
        let Ok(bytes) = read else {
            call.err(format!("tar ({file}): Cannot open: No such file or directory\ntar: Error is not recoverable: exiting now\n"));
            return 2;
        };
        let mut plain = Vec::new();
        let bytes: &[u8] = if bytes.starts_with(&[0x1f, 0x8b]) {
            if flate2::read::GzDecoder::new(&*bytes)
                .take(8 << 20)
                .read_to_end_bounded(&mut plain)
                .is_err()
            {
                call.err("\ngzip: stdin: invalid compressed data--format violated\ntar: Child returned status 1\ntar: Error is not recoverable: exiting now\n");
                return 2;
            }
            &plain
        } else {
            &bytes
        };
        return untar(
            shell,
            call,
            bytes,
            &folder,
            letters.contains('t'),
            letters.contains('v'),
        );
    }
    if call.name == "unzip" {
        let path = operands.first().cloned().unwrap_or_default();
        call.err(format!(
            "unzip:  cannot find or open {path}, {path}.zip or {path}.ZIP.\n"
        ));
        return 9;
    }
    let decompress = call.has('d') || call.name != "gzip";
    let (files, status) = inputs(shell, call, &operands);
    for (path, bytes) in files {
        let mut out = Vec::new();
        let done = if decompress {
            flate2::read::GzDecoder::new(&bytes[..])
                .take(8 << 20)
                .read_to_end_bounded(&mut out)
        } else {
            flate2::read::GzEncoder::new(&bytes[..], flate2::Compression::default())
                .take(8 << 20)
                .read_to_end_bounded(&mut out)
        };
        if done.is_err() {
            call.err(format!(
                "\ngzip: {}: not in gzip format\n",
                if path == "-" { "stdin" } else { &path }
            ));
            return 1;
        }
        if path == "-" || call.has('c') || call.name == "zcat" {
            call.out(out);
            continue;
        }
        let to = if decompress {
            path.trim_end_matches(".gz").to_owned()
        } else {
            format!("{path}.gz")
        };
        let (who, cwd, now) = (shell.who(), shell.env.cwd.clone(), shell.now());
        if shell.vfs.write(who, &cwd, &to, &out, false, now).is_err()
            || (to != path && remove(shell, &path, false, 0).is_err())
        {
            return call.fail(format!("{to}: Permission denied"));
        }
    }
    status
}

/// Reading to the end of something that is already bounded by `take`.
trait ReadBounded {
    fn read_to_end_bounded(&mut self, out: &mut Vec<u8>) -> std::io::Result<()>;
}

impl<R: std::io::Read> ReadBounded for std::io::Take<R> {
    fn read_to_end_bounded(&mut self, out: &mut Vec<u8>) -> std::io::Result<()> {
        std::io::Read::read_to_end(self, out).map(drop)
    }
}

/// Unpack (or list) a ustar archive into the session's file system.
fn untar(shell: &mut Shell, call: &mut Call, bytes: &[u8], folder: &str, list: bool, verbose: bool) -> u8 {
    let mut at = 0;
    let mut entries = 0;
    let mut width = 19;
    while let Some(header) = bytes.get(at..at + 512).filter(|h| h.iter().any(|b| *b != 0)) {
        entries += 1;
        if entries > 500 {
            break;
        }
        let text = |from: usize, len: usize| {
            let field = header.get(from..from + len).unwrap_or_default();
            String::from_utf8_lossy(field.split(|b| *b == 0).next().unwrap_or_default())
                .trim()
                .to_owned()
        };
        let name = match text(345, 155) {
            prefix if prefix.is_empty() || text(257, 6) != "ustar" => text(0, 100),
            prefix => format!("{prefix}/{}", text(0, 100)),
        };
        let size = usize::from_str_radix(&text(124, 12), 8).unwrap_or(0);
        let mode = u32::from_str_radix(&text(100, 8), 8).unwrap_or(0o644) & 0o7777;
        let Some(content) = bytes.get(at + 512..(at + 512).saturating_add(size)) else {
            call.err("tar: Unexpected EOF in archive\ntar: Error is not recoverable: exiting now\n");
            return 2;
        };
        if list && verbose {
            let flag = header.get(156).copied().unwrap_or(b'0');
            let kind = match flag {
                b'5' => Kind::Directory,
                b'2' => Kind::Link(text(157, 100)),
                _ => Kind::Opaque(0),
            };
            let mtime = i64::from_str_radix(&text(136, 12), 8).unwrap_or(0);
            let number = |from| u32::from_str_radix(&text(from, 8), 8).unwrap_or(0);
            let node = Node {
                kind,
                mode,
                uid: number(108),
                gid: number(116),
                mtime,
                stated: None,
            };
            let named = |name: String, number: u32| if name.is_empty() { number.to_string() } else { name };
            let owner = format!(
                "{}/{}",
                named(text(265, 32), node.uid),
                named(text(297, 32), node.gid)
            );
            // It keeps nineteen columns for owner and size, and more once more was needed.
            width = width.max(owner.len() + 1 + size.to_string().len());
            let pad = width - owner.len();
            let stamp =
                time::OffsetDateTime::from_unix_timestamp(mtime).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
            let target = match &node.kind {
                Kind::Link(target) => format!(" -> {target}"),
                _ => String::new(),
            };
            call.out(format!(
                "{} {owner}{size:>pad$} {} {:02}:{:02} {name}{target}\n",
                node.mode_text(),
                stamp.date(),
                stamp.hour(),
                stamp.minute()
            ));
        } else if list || verbose {
            call.out(format!("{name}\n"));
        }
        if !list {
            let (who, cwd, now) = (shell.who(), folder.to_owned(), shell.now());
            let name = name.trim_start_matches('/');
            for (i, _) in name.trim_end_matches('/').match_indices('/') {
                // Folders that the archive does not hold are made; most are there.
                let _there = shell
                    .vfs
                    .mkdir(who, &cwd, name.get(..i).unwrap_or_default(), 0o755, now);
            }
            let done = if header.get(156) == Some(&b'5') || name.ends_with('/') {
                shell.vfs.mkdir(who, &cwd, name, mode, now)
            } else if header.get(156) == Some(&b'2') {
                shell.vfs.symlink(who, &cwd, &text(157, 100), name, now)
            } else {
                shell
                    .vfs
                    .write(who, &cwd, name, content, false, now)
                    .and_then(|at| shell.vfs.alter(who, "/", &at, |n| n.mode = mode))
            };
            if let Err(errno) = done
                && errno != Errno::Exists
            {
                call.err(format!("tar: {name}: Cannot open: {}\n", errno.text()));
            }
        }
        at += 512 + size.div_ceil(512) * 512;
    }
    if entries == 0 {
        call.err("tar: This does not look like a tar archive\ntar: Exiting with failure status due to previous errors\n");
        return 2;
    }
    0
}

pub(super) fn base_name(_: &mut Shell, call: &mut Call) -> u8 {
    let operands = call.operands("");
    let Some(path) = operands.first() else {
        let name = call.name.clone();
        call.err(format!(
            "{name}: missing operand\nTry '{name} --help' for more information.\n"
        ));
        return 1;
    };
    let text = if call.name == "dirname" {
        match path.trim_end_matches('/').rsplit_once('/') {
            Some(("", _)) => "/".to_owned(),
            Some((above, _)) => above.to_owned(),
            None => ".".to_owned(),
        }
    } else {
        let base = file_name(path);
        operands
            .get(1)
            .and_then(|suffix| base.strip_suffix(suffix.as_str()))
            .unwrap_or(base)
            .to_owned()
    };
    call.out(format!("{text}\n"));
    0
}

pub(super) fn read_link(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut status = 0;
    for path in call.operands("") {
        let found = shell.vfs.lstat(shell.who(), &shell.env.cwd, &path);
        let text = match found {
            Ok((
                _,
                Node {
                    kind: Kind::Link(target),
                    ..
                },
            )) if call.name == "readlink" && !call.has('f') => target,
            Ok(_) if call.name == "realpath" || call.has('f') || call.has('e') => shell
                .vfs
                .resolve(shell.who(), &shell.env.cwd, &path, true)
                .unwrap_or_default(),
            Ok(_) => {
                status = 1;
                continue;
            }
            Err(errno) => {
                if call.name == "realpath" {
                    call.fail(format!("{path}: {}", errno.text()));
                }
                status = 1;
                continue;
            }
        };
        call.out(format!("{text}\n"));
    }
    status
}

pub(super) fn mktemp(shell: &mut Shell, call: &mut Call) -> u8 {
    let alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let tail: String = (0..10)
        .filter_map(|_| {
            alphabet
                .get(usize::try_from(shell.random() % 62).unwrap_or(0))
                .map(|b| char::from(*b))
        })
        .collect();
    let path = format!("/tmp/tmp.{tail}");
    let (who, now) = (shell.who(), shell.now());
    let done = if call.has('d') {
        shell.vfs.mkdir(who, "/", &path, 0o700, now)
    } else {
        shell.vfs.write(who, "/", &path, b"", false, now).map(drop)
    };
    match done {
        Ok(()) => {
            call.out(format!("{path}\n"));
            0
        }
        Err(errno) => call.fail(format!(
            "failed to create file via template ‘/tmp/tmp.XXXXXXXXXX’: {}",
            errno.text()
        )),
    }
}
