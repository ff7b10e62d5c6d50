//! `stat`: of a file, or with `-f` of the file system that it is on.

use time::OffsetDateTime;

use super::{Call, Shell, files::inode};
use crate::shell::vfs::{Kind, Node};

/// What the arguments ask for.
#[derive(Default)]
struct Asked {
    format: Option<String>,
    /// Escapes are read and no line end is added.
    printf: bool,
    follow: bool,
    terse: bool,
    file_system: bool,
    paths: Vec<String>,
}

fn asked(call: &mut Call) -> Result<Asked, u8> {
    let mut asked = Asked::default();
    let mut it = call.args.clone().into_iter();
    let mut only = false;
    while let Some(arg) = it.next() {
        if only || !arg.starts_with('-') || arg == "-" {
            asked.paths.push(arg);
            continue;
        }
        if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            match name {
                "" => only = true,
                "dereference" => asked.follow = true,
                "terse" => asked.terse = true,
                "file-system" => asked.file_system = true,
                "format" | "printf" => {
                    asked.printf = name == "printf";
                    asked.format = value.or_else(|| it.next());
                    if asked.format.is_none() {
                        call.err(format!(
                            "stat: option '--{name}' requires an argument\nTry 'stat --help' for more information.\n"
                        ));
                        return Err(1);
                    }
                }
                "version" => {
                    call.out("stat (GNU coreutils) 9.1\n");
                    return Err(0);
                }
                _ => {
                    call.err(format!(
                        "stat: unrecognized option '{arg}'\nTry 'stat --help' for more information.\n"
                    ));
                    return Err(1);
                }
            }
            continue;
        }
        let mut letters = arg.chars().skip(1);
        while let Some(letter) = letters.next() {
            match letter {
                'L' => asked.follow = true,
                't' => asked.terse = true,
                'f' => asked.file_system = true,
                'c' => {
                    let attached: String = letters.by_ref().collect();
                    asked.printf = false;
                    asked.format = if attached.is_empty() {
                        it.next()
                    } else {
                        Some(attached)
                    };
                    if asked.format.is_none() {
                        call.err(
                            "stat: option requires an argument -- 'c'\nTry 'stat --help' for more information.\n",
                        );
                        return Err(1);
                    }
                }
                other => {
                    call.err(format!(
                        "stat: invalid option -- '{other}'\nTry 'stat --help' for more information.\n"
                    ));
                    return Err(1);
                }
            }
        }
    }
    if asked.paths.is_empty() {
        call.err("stat: missing operand\nTry 'stat --help' for more information.\n");
        return Err(1);
    }
    Ok(asked)
}

pub(super) fn stat(shell: &mut Shell, call: &mut Call) -> u8 {
    let asked = match asked(call) {
        Ok(asked) => asked,
        Err(status) => return status,
    };
    let mut status = 0;
    for path in &asked.paths {
        let (who, cwd) = (shell.who(), shell.env.cwd.clone());
        let found = if asked.follow || asked.file_system {
            shell.vfs.stat(who, &cwd, path)
        } else {
            shell.vfs.lstat(who, &cwd, path)
        };
        let (at, node) = match found {
            Ok(found) => found,
            Err(errno) if asked.file_system => {
                status = call.fail(format!(
                    "cannot read file system information for '{path}': {}",
                    errno.text()
                ));
                continue;
            }
            Err(errno) => {
                status = call.fail(format!("cannot statx '{path}': {}", errno.text()));
                continue;
            }
        };
        let format = match (&asked.format, asked.file_system, asked.terse) {
            (Some(format), ..) => format.clone(),
            (None, true, _) => "  File: \"%n\"\n    ID: %-8i Namelen: %-7l Type: %T\nBlock size: %-10s Fundamental block size: %S\nBlocks: Total: %-10b Free: %-10f Available: %a\nInodes: Total: %-10c Free: %d".to_owned(),
            (None, _, true) => "%n %s %b %f %u %g %D %i %h %t %T %X %Y %Z %W %o".to_owned(),
            (None, ..) if node.device().is_some() => "  File: %N\n  Size: %-10s\tBlocks: %-10b IO Block: %-6o %F\nDevice: %d,%d\tInode: %-11i Links: %-5h Device type: %t,%T\nAccess: (%04a/%10.10A)  Uid: (%5u/%8U)   Gid: (%5g/%8G)\nAccess: %x\nModify: %y\nChange: %z\n Birth: %w".to_owned(),
            (None, ..) => "  File: %N\n  Size: %-10s\tBlocks: %-10b IO Block: %-6o %F\nDevice: 8,1\tInode: %-11i Links: %h\nAccess: (%04a/%10.10A)  Uid: (%5u/%8U)   Gid: (%5g/%8G)\nAccess: %x\nModify: %y\nChange: %z\n Birth: %w".to_owned(),
        };
        let whole = asked.format.is_none();
        let mut text = String::new();
        let mut rest = format.as_str();
        while let Some(c) = rest.chars().next() {
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            rest = match c {
                '%' => {
                    let (shown, after) = directive(shell, &asked, path, &at, &node, after, whole);
                    text.push_str(&shown);
                    after
                }
                '\\' if asked.printf => {
                    let next = after.chars().next();
                    // `\x41` and `\101`.
                    let (radix, skip, most) = if next == Some('x') { (16, 1, 2) } else { (8, 0, 3) };
                    let digits: String = after
                        .chars()
                        .skip(skip)
                        .take(most)
                        .take_while(|c| c.is_digit(radix))
                        .collect();
                    if let Some(code) = u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32) {
                        text.push(code);
                        rest = after.get(skip + digits.len()..).unwrap_or_default();
                        continue;
                    }
                    text.push(match next {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some('r') => '\r',
                        Some('a') => '\x07',
                        Some('e') => '\x1b',
                        Some(other) => other,
                        None => '\\',
                    });
                    after.get(next.map_or(0, char::len_utf8)..).unwrap_or_default()
                }
                c => {
                    text.push(c);
                    after
                }
            };
        }
        if !asked.printf {
            text.push('\n');
        }
        call.out(text);
    }
    status
}

/// One directive behind its `%`, with its flags and width, and what follows it.
fn directive<'f>(
    shell: &Shell,
    asked: &Asked,
    path: &str,
    at: &str,
    node: &Node,
    format: &'f str,
    whole: bool,
) -> (String, &'f str) {
    let flags = format.len() - format.trim_start_matches(['-', '0', '+', '#', '\'', ' ']).len();
    let (flags, rest) = format.split_at(flags);
    let digits = rest.len()
        - rest
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
            .len();
    let (digits, rest) = rest.split_at(digits);
    let width = digits
        .split('.')
        .next()
        .unwrap_or_default()
        .parse::<usize>()
        .unwrap_or(0);
    let Some(letter) = rest.chars().next() else {
        return ("%".to_owned(), "");
    };
    let mut after = rest.get(letter.len_utf8()..).unwrap_or_default();
    // `%Hd` and `%Ld` are the halves of a device's number.
    let half = matches!(letter, 'H' | 'L') && after.starts_with(['d', 'r']);
    let value = if half {
        after = after.get(1..).unwrap_or_default();
        if letter == 'H' { "8" } else { "1" }.to_owned()
    } else if asked.file_system {
        of_file_system(shell, path, letter)
    } else {
        of_file(shell, path, at, node, letter, whole)
    };
    let zeros = flags.contains('0') && !flags.contains('-');
    let shown = match (flags.contains('-'), zeros) {
        (true, _) => format!("{value:<width$}"),
        (_, true) => format!("{value:0>width$}"),
        _ => format!("{value:>width$}"),
    };
    (shown, after)
}

fn of_file(shell: &Shell, path: &str, at: &str, node: &Node, letter: char, whole: bool) -> String {
    let device = node.device();
    let links = if node.is_dir() {
        let inside = shell.vfs.list(shell.who(), "/", at).unwrap_or_default();
        2 + inside.iter().filter(|(_, n)| n.is_dir()).count()
    } else {
        1
    };
    match letter {
        'a' => format!("{:o}", node.mode),
        'A' => node.mode_text(),
        'b' if node.is_dir() && node.stated.is_none() => "8".to_owned(),
        'b' => (if matches!(node.kind, Kind::Link(_)) || node.stated.is_some() {
            0
        } else {
            node.size().div_ceil(4_096) * 8
        })
        .to_string(),
        'B' => "512".to_owned(),
        'C' => "?".to_owned(),
        'd' => "2049".to_owned(),
        'D' => "801".to_owned(),
        'f' => format!("{:x}", node.stat_mode()),
        'F' => kind(node).to_owned(),
        'g' => node.gid.to_string(),
        'G' => shell.machine.group_name(node.gid),
        'h' => links.to_string(),
        'i' => inode(path).to_string(),
        'm' => mount_point(at).to_owned(),
        'n' => path.to_owned(),
        // Quoted, but in the whole listing only where it is a link.
        'N' => match &node.kind {
            Kind::Link(target) if whole => format!("{path} -> {target}"),
            Kind::Link(target) => format!("{} -> {}", quoted_name(path), quoted_name(target)),
            _ if whole => path.to_owned(),
            _ => quoted_name(path),
        },
        'o' => "4096".to_owned(),
        's' => node.size().to_string(),
        't' => device.map_or(0, |d| d.major).to_string(),
        'T' => device.map_or(0, |d| d.minor).to_string(),
        'u' => node.uid.to_string(),
        'U' => shell.machine.user_name(node.uid),
        'w' | 'x' | 'y' | 'z' => moment(node.mtime),
        'W' | 'X' | 'Y' | 'Z' => node.mtime.to_string(),
        '%' => "%".to_owned(),
        _ => "?".to_owned(),
    }
}

fn of_file_system(shell: &Shell, path: &str, letter: char) -> String {
    let machine = &shell.machine;
    let (blocks, used) = (machine.disk_kb / 4, machine.disk_used_kb / 4);
    let free = blocks - used;
    match letter {
        'a' => (free - free / 20).to_string(),
        'b' => blocks.to_string(),
        'c' => (blocks / 4).to_string(),
        'd' => (blocks / 4 - used / 12).to_string(),
        'f' => free.to_string(),
        'i' => format!(
            "{:x}",
            inode(&machine.hostname).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ),
        'l' => "255".to_owned(),
        'n' => path.to_owned(),
        's' | 'S' => "4096".to_owned(),
        't' if machine.distribution.root_fs() == "xfs" => "58465342".to_owned(),
        't' => "ef53".to_owned(),
        'T' if machine.distribution.root_fs() == "xfs" => "xfs".to_owned(),
        'T' => "ext2/ext3".to_owned(),
        '%' => "%".to_owned(),
        _ => "?".to_owned(),
    }
}

fn kind(node: &Node) -> &'static str {
    match node.kind {
        Kind::Directory => "directory",
        Kind::Link(_) => "symbolic link",
        Kind::Device(device) if device.block => "block special file",
        Kind::Device(_) => "character special file",
        Kind::Pipe => "fifo",
        _ if node.size() == 0 => "regular empty file",
        _ => "regular file",
    }
}

fn mount_point(at: &str) -> &'static str {
    ["/dev/shm", "/run/lock", "/proc", "/dev", "/run", "/sys"]
        .into_iter()
        .find(|on| at == *on || at.strip_prefix(on).is_some_and(|rest| rest.starts_with('/')))
        .unwrap_or("/")
}

fn moment(at: i64) -> String {
    let when = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // Files that an installer unpacked bear no fraction of a second; those of a boot do.
    format!(
        "{} {:02}:{:02}:{:02}.000000000 +0000",
        when.date(),
        when.hour(),
        when.minute(),
        when.second()
    )
}

/// A name in quotes, as `%N` shows it.
fn quoted_name(name: &str) -> String {
    format!("'{name}'")
}
