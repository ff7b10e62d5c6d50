//! Programs that read text and write text.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

pub(in crate::shell) use super::regex::Regex;
use super::{Call, Long, Shell, inputs, lines};
use crate::shell::{
    glob,
    long::KEPT,
    parse::{Escapes, unescape},
    vars::{self, Dialect},
    vfs::Kind,
};

pub(super) fn cat(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("");
    if let Some(long) = call.long_input(shell, &paths) {
        call.out_long(long);
        return 0;
    }
    let (files, status) = inputs(shell, call, &paths);
    let numbered = call.has('n');
    let mut number = 0;
    for (path, bytes) in files {
        let at = shell.vfs.stat(shell.who(), &shell.env.cwd, &path);
        if at.is_ok_and(|(_, node)| node.is_dir()) {
            continue;
        }
        if numbered {
            for line in bytes.split_inclusive(|b| *b == b'\n') {
                number += 1;
                call.out(format!("{number:6}\t"));
                call.out(line);
            }
        } else {
            call.out(bytes);
        }
    }
    status
}

pub(super) fn echo(shell: &mut Shell, call: &mut Call) -> u8 {
    // Debian's sh decodes escapes always, and knows no option but -n.
    let dash = shell.env.dialect == Dialect::Dash;
    let (mut newline, mut escapes) = (true, dash);
    let mut at = 0;
    while let Some(arg) = call.raw.get(at).filter(|a| {
        a.len() > 1
            && a.first() == Some(&b'-')
            && a.iter()
                .skip(1)
                .all(|b| *b == b'n' || (!dash && matches!(b, b'e' | b'E')))
    }) {
        for b in arg.iter().skip(1) {
            match b {
                b'n' => newline = false,
                b'e' => escapes = true,
                _ => escapes = false,
            }
        }
        at += 1;
    }
    let mut text = call.raw.get(at..).unwrap_or_default().join(&b' ');
    if escapes {
        let stop;
        (text, stop) = unescape(&text, if dash { Escapes::Dash } else { Escapes::Echo });
        newline &= !stop;
    }
    if newline {
        text.push(b'\n');
    }
    call.out(text);
    0
}

pub(super) fn printf(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut raw = call.raw.clone();
    let variable = (raw.first().is_some_and(|a| a == b"-v") && raw.len() > 2).then(|| {
        let name = call.args.get(1).cloned().unwrap_or_default();
        raw.drain(..2);
        name
    });
    if raw.first().is_some_and(|a| a == b"--") {
        raw.remove(0);
    }
    if raw.is_empty() {
        let text = format!(
            "{}: printf: usage: printf [-v var] format [arguments]\n",
            shell.complaint()
        );
        call.err(text);
        return 2;
    }
    let format = raw.remove(0);
    let mut args = raw.into_iter();
    let mut out = Vec::new();
    let mut status = 0;
    for round in 0..10_000 {
        let before = args.len();
        let mut i = 0;
        while let Some(&b) = format.get(i) {
            i += 1;
            if b == b'\\' {
                let end = escape_end(&format, i);
                out.extend(unescape(format.get(i - 1..end).unwrap_or_default(), Escapes::Printf).0);
                i = end;
                continue;
            }
            if b != b'%' {
                out.push(b);
                continue;
            }
            if format.get(i) == Some(&b'%') {
                out.push(b'%');
                i += 1;
                continue;
            }
            let from = i;
            while format.get(i).is_some_and(|b| b"-+ #0123456789.*".contains(b)) {
                i += 1;
            }
            let mut flags = String::from_utf8_lossy(format.get(from..i).unwrap_or_default()).into_owned();
            while flags.contains('*') {
                let width = args
                    .next()
                    .map(|a| String::from_utf8_lossy(&a).into_owned())
                    .unwrap_or_default();
                flags = flags.replacen('*', &width, 1);
            }
            let conversion = format.get(i).copied().unwrap_or(b's');
            i += 1;
            let arg = args.next();
            match conversion {
                b's' => out.extend(padded(&arg.unwrap_or_default(), &flags)),
                b'b' => out.extend(unescape(&arg.unwrap_or_default(), Escapes::Printf).0),
                b'c' => out.extend(arg.unwrap_or_default().first()),
                b'q' => out.extend(vars::backslashed(&arg.unwrap_or_default())),
                b'd' | b'i' | b'u' | b'x' | b'X' | b'o' => {
                    let text = String::from_utf8_lossy(&arg.unwrap_or_default()).into_owned();
                    let number = number(&text).unwrap_or_else(|| {
                        let line = format!("{}: printf: {text}: invalid number\n", shell.complaint());
                        call.err(line);
                        status = 1;
                        0
                    });
                    let digits = match conversion {
                        b'x' => format!("{number:x}"),
                        b'X' => format!("{number:X}"),
                        b'o' => format!("{number:o}"),
                        _ => number.to_string(),
                    };
                    out.extend(padded(digits.as_bytes(), &flags));
                }
                b'f' | b'g' | b'e' => {
                    let text = String::from_utf8_lossy(&arg.unwrap_or_default()).into_owned();
                    let digits = flags
                        .split_once('.')
                        .and_then(|(_, d)| d.parse::<usize>().ok())
                        .unwrap_or(6)
                        .min(50);
                    let width = flags.split('.').next().unwrap_or_default().to_owned();
                    let number = text.parse::<f64>().unwrap_or(0.0);
                    out.extend(padded(format!("{number:.digits$}").as_bytes(), &width));
                }
                other => {
                    let line = format!(
                        "{}: printf: `{}': invalid format character\n",
                        shell.complaint(),
                        char::from(other)
                    );
                    call.err(line);
                    status = 1;
                }
            }
        }
        if args.len() == 0 || (round > 0 && args.len() == before) || (round == 0 && args.len() == before) {
            break;
        }
    }
    match variable {
        Some(name) => shell.env.set(&name, out),
        None => call.out(out),
    }
    status
}

/// Where the escape whose letter stands at `at` ends.
fn escape_end(text: &[u8], at: usize) -> usize {
    let digits = |from: usize, max: usize, ok: fn(&u8) -> bool| {
        text.get(from..)
            .unwrap_or_default()
            .iter()
            .take(max)
            .take_while(|b| ok(b))
            .count()
    };
    match text.get(at) {
        Some(b'x') => at + 1 + digits(at + 1, 2, u8::is_ascii_hexdigit),
        Some(b'0') => at + 1 + digits(at + 1, 3, |b| (b'0'..=b'7').contains(b)),
        Some(b'1'..=b'7') => at + digits(at, 3, |b| (b'0'..=b'7').contains(b)),
        _ => (at + 1).min(text.len()),
    }
}

fn padded(text: &[u8], flags: &str) -> Vec<u8> {
    let left = flags.contains('-');
    let zero = flags.trim_start_matches(['-', '+', ' ']).starts_with('0') && !left;
    let spec = flags.trim_start_matches(['-', '+', ' ', '#', '0']);
    let (width, precision) = spec.split_once('.').map_or((spec, None), |(w, p)| (w, Some(p)));
    let width = width.parse::<usize>().unwrap_or(0).min(4_096);
    let text = match precision.map(|p| p.parse::<usize>().unwrap_or(0)) {
        Some(n) if n < text.len() && !text.iter().all(u8::is_ascii_digit) => text.get(..n).unwrap_or(text),
        _ => text,
    };
    let pad = vec![if zero { b'0' } else { b' ' }; width.saturating_sub(text.len())];
    if left {
        [text, &pad].concat()
    } else {
        [&pad, text].concat()
    }
}

/// A number as printf takes it: decimal, hexadecimal, octal, or a quoted character.
fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.is_empty() {
        return Some(0);
    }
    if let Some(c) = text.strip_prefix(['\'', '"']) {
        return Some(c.chars().next().map_or(0, |c| i64::from(u32::from(c))));
    }
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |d| (-1, d));
    let value = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse::<i64>().ok()?
    };
    Some(sign * value)
}

fn count_option(call: &Call) -> (usize, bool, bool) {
    let from_start = |v: &str| v.starts_with('+');
    if let Some(v) = call.value("-c", "--bytes") {
        return (
            super::files::size(v.trim_start_matches('+')).unwrap_or(0),
            true,
            from_start(&v),
        );
    }
    if let Some(v) = call.value("-n", "--lines") {
        return (
            v.trim_start_matches(['+', '-']).parse().unwrap_or(10),
            false,
            from_start(&v),
        );
    }
    let short = call.args.iter().find_map(|a| a.strip_prefix('-')?.parse().ok());
    (short.unwrap_or(10), false, false)
}

pub(super) fn head(shell: &mut Shell, call: &mut Call) -> u8 {
    ends(shell, call, true)
}

pub(super) fn tail(shell: &mut Shell, call: &mut Call) -> u8 {
    ends(shell, call, false)
}

fn ends(shell: &mut Shell, call: &mut Call, front: bool) -> u8 {
    let (n, bytewise, from_start) = count_option(call);
    let paths = call.operands("nc");
    if let Some(long) = call.long_input(shell, &paths) {
        return ends_of_long(call, long, (n, bytewise, from_start), front);
    }
    let (files, status) = inputs(shell, call, &paths);
    let titled = paths.len() > 1;
    for (i, (path, bytes)) in files.iter().enumerate() {
        if titled {
            let title = format!("{}==> {path} <==\n", if i > 0 { "\n" } else { "" });
            call.out(title);
        }
        if bytewise {
            let cut = if front {
                n.min(bytes.len())
            } else if from_start {
                n.saturating_sub(1).min(bytes.len())
            } else {
                bytes.len().saturating_sub(n)
            };
            call.out(if front { bytes.get(..cut) } else { bytes.get(cut..) }.unwrap_or_default());
            continue;
        }
        let all: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
        let part = if front {
            all.get(..n.min(all.len()))
        } else if from_start {
            all.get(n.saturating_sub(1).min(all.len())..)
        } else {
            all.get(all.len().saturating_sub(n)..)
        };
        call.out(part.unwrap_or_default().concat());
    }
    status
}

/// An end of what is too long to be kept.
fn ends_of_long(call: &mut Call, mut long: Long, what: (usize, bool, bool), front: bool) -> u8 {
    let (n, bytewise, from_start) = what;
    let most = u64::try_from(n).unwrap_or(u64::MAX);
    if front {
        call.out_long(if bytewise {
            long.first(most)
        } else {
            long.first_lines(most)
        });
        return 0;
    }
    if from_start {
        let most = most.saturating_sub(1);
        let skipped = if bytewise {
            Some(most)
        } else {
            long.clone().first_lines(most).left()
        };
        long.skip(skipped.unwrap_or(0));
        call.out_long(long);
        return 0;
    }
    let last = if bytewise {
        long.last(n.min(KEPT))
    } else {
        long.last_lines(n)
    };
    match last {
        Some(bytes) => {
            call.out(bytes);
            0
        }
        None => call.never_end(),
    }
}

pub(super) fn wc(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("");
    let long = match call.long_input(shell, &paths).map(Long::counted) {
        None => None,
        Some(Some(counts)) => Some(counts.map(|n| usize::try_from(n).unwrap_or(usize::MAX))),
        Some(None) => return call.never_end(),
    };
    let (files, status) = inputs(shell, call, &paths);
    let (l, w, c) = (call.has('l'), call.has('w'), call.has('c') || call.has('m'));
    let all = !(l || w || c);
    let mut total = [0_usize; 3];
    let mut rows = Vec::new();
    for (path, bytes) in &files {
        let counts = long.unwrap_or_else(|| {
            [
                bytes.iter().filter(|b| **b == b'\n').count(),
                bytes
                    .split(u8::is_ascii_whitespace)
                    .filter(|x| !x.is_empty())
                    .count(),
                bytes.len(),
            ]
        });
        total.iter_mut().zip(counts).for_each(|(t, n)| *t += n);
        rows.push((
            counts,
            if path == "-" && paths.is_empty() {
                String::new()
            } else {
                format!(" {path}")
            },
        ));
    }
    if paths.len() > 1 {
        rows.push((total, " total".to_owned()));
    }
    let single = [l, w, c].iter().filter(|x| **x).count() == 1;
    let width = if single && rows.len() == 1 {
        1
    } else if paths.is_empty() {
        7
    } else {
        total.iter().max().map_or(1, |n| n.to_string().len())
    };
    for (counts, name) in rows {
        let shown: Vec<String> = counts
            .iter()
            .zip([l || all, w || all, c || all])
            .filter(|(_, show)| *show)
            .map(|(n, _)| format!("{n:>width$}"))
            .collect();
        call.out(format!("{}{name}\n", shown.join(" ")));
    }
    status
}

pub(super) fn sort(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("kto");
    let (files, status) = inputs(shell, call, &paths);
    let whole = files.into_iter().map(|f| f.1).collect::<Vec<_>>();
    let mut all: Vec<&[u8]> = whole.iter().flat_map(|b| lines(b)).collect();
    let key = call
        .value("-k", "--key")
        .and_then(|k| k.split([',', '.', 'n', 'r']).next()?.parse::<usize>().ok());
    let by = call
        .value("-t", "--field-separator")
        .and_then(|t| t.bytes().next());
    let field = |line: &[u8]| -> Vec<u8> {
        let Some(k) = key else { return line.to_vec() };
        match by {
            Some(by) => line.split(|b| *b == by).nth(k - 1).unwrap_or_default().to_vec(),
            None => line
                .split(u8::is_ascii_whitespace)
                .filter(|f| !f.is_empty())
                .nth(k.saturating_sub(1))
                .unwrap_or_default()
                .to_vec(),
        }
    };
    let numeric = call.has('n') || call.has('h');
    let value = |line: &[u8]| {
        let text = String::from_utf8_lossy(&field(line)).trim().to_owned();
        let end = text
            .find(|c: char| !(c.is_ascii_digit() || c == '-' || c == '.'))
            .unwrap_or(text.len());
        let scale = if call.has('h') {
            "KMGT"
                .find(text.chars().nth(end).unwrap_or(' '))
                .map_or(1.0, |i| 1024_f64.powi(i32::try_from(i).unwrap_or(0) + 1))
        } else {
            1.0
        };
        text.get(..end).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0) * scale
    };
    if numeric {
        all.sort_by(|a, b| value(a).total_cmp(&value(b)).then_with(|| a.cmp(b)));
    } else {
        all.sort_by(|a, b| field(a).cmp(&field(b)).then_with(|| a.cmp(b)));
    }
    if call.has('r') {
        all.reverse();
    }
    if call.has('u') {
        all.dedup();
    }
    for line in all {
        call.out(line);
        call.out(b"\n");
    }
    status
}

pub(super) fn uniq(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("fsw");
    let (files, status) = inputs(shell, call, &paths);
    let (counted, doubled, single) = (call.has('c'), call.has('d'), call.has('u'));
    for (_, bytes) in files {
        let mut runs: Vec<(usize, &[u8])> = Vec::new();
        for line in lines(&bytes) {
            match runs.last_mut() {
                Some((n, last)) if *last == line => *n += 1,
                _ => runs.push((1, line)),
            }
        }
        for (n, line) in runs {
            if (doubled && n < 2) || (single && n > 1) {
                continue;
            }
            if counted {
                call.out(format!("{n:7} "));
            }
            call.out(line);
            call.out(b"\n");
        }
    }
    status
}

/// `1,3-5,7-`: whether it has a position.
fn in_list(list: &str, position: usize) -> bool {
    list.split(',').any(|part| match part.split_once('-') {
        Some((a, b)) => position >= a.parse().unwrap_or(1) && position <= b.parse().unwrap_or(usize::MAX),
        None => part.parse() == Ok(position),
    })
}

pub(super) fn cut(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("dfcb");
    let fields = call.value("-f", "--fields");
    let chars = call
        .value("-c", "--characters")
        .or_else(|| call.value("-b", "--bytes"));
    let by = call
        .value("-d", "--delimiter")
        .and_then(|d| d.bytes().next())
        .unwrap_or(b'\t');
    if fields.is_none() && chars.is_none() {
        call.err("cut: you must specify a list of bytes, characters, or fields\nTry 'cut --help' for more information.\n");
        return 1;
    }
    let (files, status) = inputs(shell, call, &paths);
    for (_, bytes) in files {
        for line in lines(&bytes) {
            let kept: Vec<u8> = if let Some(list) = &fields {
                if line.contains(&by) {
                    let kept: Vec<&[u8]> = line
                        .split(|b| *b == by)
                        .enumerate()
                        .filter(|(i, _)| in_list(list, i + 1))
                        .map(|(_, f)| f)
                        .collect();
                    kept.join(&by)
                } else if call.has('s') {
                    continue;
                } else {
                    line.to_vec()
                }
            } else {
                let list = chars.as_deref().unwrap_or_default();
                line.iter()
                    .enumerate()
                    .filter(|(i, _)| in_list(list, i + 1))
                    .map(|(_, b)| *b)
                    .collect()
            };
            call.out(kept);
            call.out(b"\n");
        }
    }
    status
}

/// The bytes that a `tr` set stands for.
fn tr_set(text: &[u8]) -> Vec<u8> {
    let text = unescape(text, Escapes::Printf).0;
    let mut out = Vec::new();
    let mut i = 0;
    while let Some(&b) = text.get(i) {
        if b == b'[' && text.get(i + 1) == Some(&b':') {
            let rest = text.get(i + 2..).unwrap_or_default();
            if let Some(end) = rest.windows(2).position(|w| w == b":]") {
                let name = rest.get(..end).unwrap_or_default();
                out.extend((0..=255).filter(|b| glob::class(name, *b)));
                i += end + 4;
                continue;
            }
        }
        match (text.get(i + 1), text.get(i + 2)) {
            (Some(b'-'), Some(&to)) if to >= b => {
                out.extend(b..=to);
                i += 3;
            }
            _ => {
                out.push(b);
                i += 1;
            }
        }
    }
    out
}

pub(super) fn tr(_: &mut Shell, call: &mut Call) -> u8 {
    let sets: Vec<Vec<u8>> = call
        .raw
        .iter()
        .filter(|a| !(a.starts_with(b"-") && a.len() > 1))
        .map(|a| tr_set(a))
        .collect();
    let Some(first) = sets.first() else {
        call.err("tr: missing operand\nTry 'tr --help' for more information.\n");
        return 1;
    };
    let complement = call.has('c') || call.has('C');
    let member = |b: u8| first.contains(&b) != complement;
    let input = std::mem::take(&mut call.input);
    let mut out = Vec::with_capacity(input.len());
    let squeeze = call.has('s');
    let delete = call.has('d');
    let to = sets.get(1);
    for b in input {
        let mut b = b;
        let hit = member(b);
        if hit && delete {
            continue;
        }
        if hit && let Some(to) = to {
            let index = if complement {
                usize::MAX
            } else {
                first.iter().position(|f| *f == b).unwrap_or(usize::MAX)
            };
            b = to.get(index).or(to.last()).copied().unwrap_or(b);
        }
        if squeeze && hit && out.last() == Some(&b) {
            continue;
        }
        out.push(b);
    }
    call.out(out);
    0
}

pub(super) fn rev(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("");
    let (files, status) = inputs(shell, call, &paths);
    for (_, bytes) in files {
        let mut all: Vec<Vec<u8>> = lines(&bytes).map(<[u8]>::to_vec).collect();
        match call.name.as_str() {
            "tac" => all.reverse(),
            "nl" => all
                .iter_mut()
                .enumerate()
                .for_each(|(i, l)| *l = [format!("{:6}\t", i + 1).as_bytes(), l].concat()),
            _ => all.iter_mut().for_each(|l| l.reverse()),
        }
        for line in all {
            call.out(line);
            call.out(b"\n");
        }
    }
    status
}

pub(super) fn grep(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut operands = call.operands("eABCmf");
    let pattern = match call.value("-e", "--regexp") {
        Some(pattern) => pattern,
        None if operands.is_empty() => {
            call.err("Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.\n");
            return 2;
        }
        None => operands.remove(0),
    };
    let fixed = call.has('F') || call.name == "fgrep";
    let extended = call.has('E') || call.has('P') || call.name == "egrep";
    let fold = call.has('i');
    let regexes: Vec<Regex> = pattern
        .lines()
        .chain(pattern.is_empty().then_some(""))
        .map(|p| {
            let p: Vec<u8> = if fixed {
                p.bytes()
                    .flat_map(|b| {
                        if b.is_ascii_alphanumeric() {
                            vec![b]
                        } else {
                            vec![b'[', b, b']']
                        }
                    })
                    .collect()
            } else {
                p.as_bytes().to_vec()
            };
            Regex::new(&p, extended, fold)
        })
        .collect();
    let recursive = call.has('r') || call.has('R');
    // One file stays one, however it is looked through.
    let folders = recursive
        && operands.iter().all(|path| {
            shell
                .vfs
                .stat(shell.who(), &shell.env.cwd, path)
                .is_ok_and(|(_, node)| node.is_dir())
        });
    let several = operands.len() > 1 || folders;
    if recursive {
        if operands.is_empty() {
            operands.push(".".to_owned());
        }
        let mut files = Vec::new();
        for path in &operands {
            super::files::walk(shell, path, 12, &mut |path, node| {
                if !node.is_dir() && files.len() < 2_000 && matches!(node.kind, Kind::File(_)) {
                    files.push(path.to_owned());
                }
            });
        }
        operands = files;
    }
    let titled = several && !call.has('h') || call.has('H');
    let (files, mut status) = if operands.is_empty() && recursive {
        (Vec::new(), 0)
    } else {
        inputs(shell, call, &operands)
    };
    if call.has('s') {
        call.steps.clear();
    }
    let most: usize = call
        .value("-m", "--max-count")
        .and_then(|m| m.parse().ok())
        .unwrap_or(usize::MAX);
    let mut found = false;
    for (path, bytes) in files {
        let mut count = 0_usize;
        for (i, line) in lines(&bytes).enumerate() {
            if count >= most {
                break;
            }
            let hit = regexes.iter().find_map(|r| r.find(line, 0)).filter(|(a, b)| {
                let edge = |at: Option<&u8>| at.is_none_or(|b| !(b.is_ascii_alphanumeric() || *b == b'_'));
                !call.has('w') || (edge(a.checked_sub(1).and_then(|a| line.get(a))) && edge(line.get(*b)))
            });
            let hit = if call.has('x') {
                hit.filter(|h| *h == (0, line.len()))
            } else {
                hit
            };
            if hit.is_some() == call.has('v') {
                continue;
            }
            count += 1;
            found = true;
            if call.has('q') || call.has('c') || call.has('l') {
                continue;
            }
            if titled {
                call.out(format!("{path}:"));
            }
            if call.has('n') {
                call.out(format!("{}:", i + 1));
            }
            match hit {
                Some(_) if call.has('o') => {
                    let mut at = 0;
                    while let Some((from, to)) = regexes
                        .iter()
                        .filter_map(|r| r.find(line, at))
                        .min_by_key(|hit| hit.0)
                    {
                        if to > from {
                            call.out(line.get(from..to).unwrap_or_default());
                            call.out(b"\n");
                        }
                        at = to.max(from + 1);
                    }
                }
                _ => {
                    call.out(line);
                    call.out(b"\n");
                }
            }
        }
        if call.has('c') {
            let title = if titled { format!("{path}:") } else { String::new() };
            call.out(format!("{title}{count}\n"));
        } else if call.has('l') && count > 0 {
            call.out(format!("{path}\n"));
        }
    }
    if status != 0 {
        status = 2;
    }
    if found && (status == 0 || call.has('q')) {
        0
    } else {
        status.max(1)
    }
}

pub(super) fn tee(shell: &mut Shell, call: &mut Call) -> u8 {
    let input = std::mem::take(&mut call.input);
    let append = call.has('a');
    let mut status = 0;
    for path in call.operands("") {
        if !append {
            shell.surrender(&path);
        }
        let (who, cwd, now) = (shell.who(), shell.env.cwd.clone(), shell.now());
        if let Err(errno) = shell.vfs.write(who, &cwd, &path, &input, append, now) {
            status = call.fail(format!("{path}: {}", errno.text()));
        }
    }
    call.out(input);
    status
}

/// The most numbers that `seq` writes with separators or widths of its own.
const SEQ_MAX: i64 = 100_000;

pub(super) fn seq(_: &mut Shell, call: &mut Call) -> u8 {
    let mut numbers: Vec<i64> = Vec::new();
    let (mut between, mut wide) = (None, false);
    let mut it = call.args.iter();
    while let Some(arg) = it.next() {
        if let Ok(number) = arg.parse() {
            numbers.push(number);
        } else if arg == "-s" || arg == "--separator" {
            between = it.next().cloned();
        } else if let Some(value) = arg.strip_prefix("--separator=").or(arg.strip_prefix("-s")) {
            between = Some(value.to_owned());
        } else if arg == "-w" || arg == "--equal-width" {
            wide = true;
        } else if !arg.starts_with('-') {
            let text = format!(
                "seq: invalid floating point argument: ‘{arg}’\nTry 'seq --help' for more information.\n"
            );
            call.err(text);
            return 1;
        }
    }
    let (from, step, to) = match numbers.as_slice() {
        [to] => (1, 1, *to),
        [from, to] => (*from, 1, *to),
        [from, step, to] => (*from, *step, *to),
        _ => {
            call.err("seq: missing operand\nTry 'seq --help' for more information.\n");
            return 1;
        }
    };
    if step == 0 {
        call.err("seq: invalid Zero increment value: ‘0’\nTry 'seq --help' for more information.\n");
        return 1;
    }
    if between.is_none() && !wide {
        call.out_long(Long::numbers(from, step, to));
        return 0;
    }
    let width = if wide {
        from.to_string().len().max(to.to_string().len())
    } else {
        0
    };
    let between = between.unwrap_or_else(|| "\n".to_owned());
    let mut out = String::new();
    let mut at = from;
    for i in 0..SEQ_MAX {
        if (step > 0 && at > to) || (step < 0 && at < to) {
            break;
        }
        if i > 0 {
            out.push_str(&between);
        }
        out.push_str(&format!("{at:0width$}"));
        if out.len() > 1 << 20 {
            break;
        }
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    if !out.is_empty() {
        out.push('\n');
    }
    call.out(out);
    0
}

/// Numbers that one call of `factor` takes, and divisors that it tries in all: a large one takes a real machine time, too.
const FACTORED: usize = 1_000;
const DIVISORS: u64 = 4_000_000;

pub(super) fn factor(_: &mut Shell, call: &mut Call) -> u8 {
    let mut words = call.operands("");
    if words.is_empty() {
        let input = std::mem::take(&mut call.input);
        words = String::from_utf8_lossy(&input)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
    }
    let mut status = 0;
    let mut left = DIVISORS;
    for word in words.iter().take(FACTORED) {
        let Ok(number) = word.trim_start_matches('+').parse::<u64>() else {
            status = call.fail(format!("‘{word}’ is not a valid positive integer"));
            continue;
        };
        let mut line = format!("{number}:");
        let (mut rest, mut by) = (number, 2_u64);
        while rest > 1 && by.checked_mul(by).is_some_and(|square| square <= rest) && left > 0 {
            left -= 1;
            while rest.is_multiple_of(by) {
                line.push_str(&format!(" {by}"));
                rest /= by;
            }
            by += if by == 2 { 1 } else { 2 };
        }
        if rest > 1 {
            line.push_str(&format!(" {rest}"));
        }
        line.push('\n');
        call.out(line);
    }
    status
}

/// Whether openssl knows a digest by that name.
pub(super) fn is_digest(name: &str) -> bool {
    matches!(name, "dgst" | "md5" | "sha1" | "sha256" | "sha512")
}

/// `openssl md5`, `openssl dgst -sha256` and the like.
pub(super) fn openssl_digest(shell: &mut Shell, call: &mut Call) -> u8 {
    let algorithm = call
        .args
        .iter()
        .map(|a| a.trim_start_matches('-').to_lowercase())
        .find(|a| a != "dgst" && is_digest(a))
        .unwrap_or_else(|| "sha256".to_owned());
    let bare = call.args.iter().any(|a| a == "-r");
    let binary = call.args.iter().any(|a| a == "-binary");
    let paths = call.operands("").into_iter().skip(1).collect::<Vec<_>>();
    // Version 3 calls SHA-2 by its name.
    let third = shell
        .machine
        .upstream(&["openssl"])
        .is_none_or(|v| v.starts_with('3'));
    let title = match algorithm.as_str() {
        "sha256" if third => "SHA2-256".to_owned(),
        "sha512" if third => "SHA2-512".to_owned(),
        name => name.to_uppercase(),
    };
    let (files, status) = inputs(shell, call, &paths);
    for (path, bytes) in files {
        let digest: Vec<u8> = match algorithm.as_str() {
            "md5" => Md5::digest(&bytes).to_vec(),
            "sha1" => Sha1::digest(&bytes).to_vec(),
            "sha512" => Sha512::digest(&bytes).to_vec(),
            _ => Sha256::digest(&bytes).to_vec(),
        };
        let text = hex::encode(&digest);
        let from = if path == "-" { "stdin" } else { path.as_str() };
        if binary {
            call.out(digest);
        } else if bare {
            call.out(format!("{text} *{from}\n"));
        } else if path == "-" && !third {
            call.out(format!("(stdin)= {text}\n"));
        } else {
            call.out(format!("{title}({from})= {text}\n"));
        }
    }
    status
}

pub(super) fn base64(shell: &mut Shell, call: &mut Call) -> u8 {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let paths = call.operands("w");
    let (files, status) = inputs(shell, call, &paths);
    for (_, bytes) in files {
        if call.has('d') || call.args.iter().any(|a| a == "--decode") {
            let mut clean: Vec<u8> = bytes
                .iter()
                .copied()
                .filter(|b| !b.is_ascii_whitespace())
                .collect();
            let good = clean
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
                .count();
            let bad = good < clean.len() || good % 4 != 0;
            clean.truncate(good - good % 4);
            match engine.decode(&clean) {
                Ok(decoded) => call.out(decoded),
                Err(_) => return call.fail("invalid input"),
            }
            if bad {
                return call.fail("invalid input");
            }
        } else {
            let text = engine.encode(bytes);
            let width = call
                .value("-w", "--wrap")
                .and_then(|w| w.parse::<usize>().ok())
                .unwrap_or(76);
            if width == 0 {
                call.out(text);
                continue;
            }
            for line in text.as_bytes().chunks(width) {
                call.out(line);
                call.out(b"\n");
            }
        }
    }
    status
}

pub(super) fn sum(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("");
    let (files, status) = inputs(shell, call, &paths);
    for (path, bytes) in files {
        let cut = match shell.vfs.stat(shell.who(), &shell.env.cwd, &path) {
            Ok((_, node)) => match node.kind {
                Kind::Cut { sha256, .. } => Some(sha256),
                _ => None,
            },
            Err(_) => None,
        };
        let digest = match call.name.as_str() {
            // Of a long upload the whole is hashed on its way in, and only its head is here.
            "sha256sum" if let Some(sha256) = cut => hex::encode(sha256),
            "md5sum" => hex::encode(Md5::digest(&bytes)),
            "sha1sum" => hex::encode(Sha1::digest(&bytes)),
            "sha256sum" => hex::encode(Sha256::digest(&bytes)),
            _ => hex::encode(Sha512::digest(&bytes)),
        };
        call.out(format!("{digest}  {path}\n"));
    }
    status
}

pub(super) fn xxd(shell: &mut Shell, call: &mut Call) -> u8 {
    if call.name == "od" {
        return od(shell, call);
    }
    let paths = call.operands("lcs");
    let (files, status) = inputs(shell, call, &paths);
    let most = call
        .value("-l", "")
        .and_then(|n| n.parse().ok())
        .unwrap_or(usize::MAX);
    for (_, bytes) in files {
        let bytes = bytes.get(..most.min(bytes.len())).unwrap_or_default();
        if call.has('p') {
            for line in bytes.chunks(30) {
                call.out(format!("{}\n", hex::encode(line)));
            }
            continue;
        }
        for (i, line) in bytes.chunks(16).enumerate() {
            let pairs: Vec<String> = line.chunks(2).map(hex::encode).collect();
            let ascii: String = line
                .iter()
                .map(|b| {
                    if (32..127).contains(b) {
                        char::from(*b)
                    } else {
                        '.'
                    }
                })
                .collect();
            call.out(format!("{:08x}: {:<39}  {ascii}\n", i * 16, pairs.join(" ")));
        }
    }
    status
}

/// `hexdump`: words of 16 bits, or with `-C` bytes and characters.
pub(super) fn hexdump(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("ns");
    let (files, status) = inputs(shell, call, &paths);
    let most = call
        .value("-n", "")
        .and_then(|n| n.parse().ok())
        .unwrap_or(usize::MAX);
    let all: Vec<u8> = files.into_iter().flat_map(|f| f.1).take(most).collect();
    let canonical = call.has('C') || call.name == "hd";
    let mut before: Option<&[u8]> = None;
    let mut starred = false;
    for (i, line) in all.chunks(16).enumerate() {
        if before == Some(line) && line.len() == 16 && !call.has('v') {
            if !starred {
                call.out("*\n");
            }
            starred = true;
            continue;
        }
        (before, starred) = (Some(line), false);
        if canonical {
            let half = |part: &[u8]| part.iter().map(|b| format!("{b:02x} ")).collect::<String>();
            let (left, right) = line.split_at(line.len().min(8));
            let ascii: String = line
                .iter()
                .map(|b| {
                    if (32..127).contains(b) {
                        char::from(*b)
                    } else {
                        '.'
                    }
                })
                .collect();
            call.out(format!(
                "{:08x}  {:<24} {:<24} |{ascii}|\n",
                i * 16,
                half(left),
                half(right)
            ));
        } else {
            let words: String = line
                .chunks(2)
                .map(|w| {
                    format!(
                        " {:04x}",
                        w.iter().rev().fold(0_u32, |v, b| v << 8 | u32::from(*b))
                    )
                })
                .collect();
            call.out(format!("{:07x}{words:<40}\n", i * 16));
        }
    }
    if !all.is_empty() {
        call.out(if canonical {
            format!("{:08x}\n", all.len())
        } else {
            format!("{:07x}\n", all.len())
        });
    }
    status
}

/// `od`: bytes or words in a base, or characters.
fn od(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("NAtjw");
    let (files, status) = inputs(shell, call, &paths);
    let most = call
        .value("-N", "")
        .and_then(|n| n.parse().ok())
        .unwrap_or(usize::MAX);
    let skip: usize = call.value("-j", "").and_then(|n| n.parse().ok()).unwrap_or(0);
    let addresses = call.value("-A", "").unwrap_or_else(|| "o".to_owned());
    let kind = match call.value("-t", "") {
        Some(kind) => kind,
        None if call.has('c') => "c".to_owned(),
        None if call.has('x') => "x2".to_owned(),
        None if call.has('b') => "o1".to_owned(),
        None if call.has('d') => "u2".to_owned(),
        None => "o2".to_owned(),
    };
    let letter = kind.chars().next().unwrap_or('o');
    let width: usize = match kind.get(1..).and_then(|n| n.trim_end_matches('z').parse().ok()) {
        Some(width @ (1 | 2 | 4 | 8)) => width,
        _ if matches!(letter, 'c' | 'a') => 1,
        _ => 4,
    };
    let all: Vec<u8> = files
        .into_iter()
        .flat_map(|f| f.1)
        .skip(skip)
        .take(most)
        .collect();
    let address = |n: usize| match addresses.as_str() {
        "n" => String::new(),
        "x" => format!("{n:06x}"),
        "d" => format!("{n:07}"),
        _ => format!("{n:07o}"),
    };
    let cell = |word: &[u8]| {
        let value = word.iter().rev().fold(0_u64, |v, b| v << 8 | u64::from(*b));
        match (letter, width) {
            ('c' | 'a', _) => {
                let b = word.first().copied().unwrap_or(0);
                let text = match b {
                    0 => "\\0".to_owned(),
                    7 => "\\a".to_owned(),
                    8 => "\\b".to_owned(),
                    9 => "\\t".to_owned(),
                    10 => "\\n".to_owned(),
                    11 => "\\v".to_owned(),
                    12 => "\\f".to_owned(),
                    13 => "\\r".to_owned(),
                    32..=126 => char::from(b).to_string(),
                    b => format!("{b:03o}"),
                };
                format!(" {text:>3}")
            }
            ('x', 1) => format!(" {value:02x}"),
            ('x', 2) => format!(" {value:04x}"),
            ('x', 4) => format!(" {value:08x}"),
            ('x', _) => format!(" {value:016x}"),
            ('u' | 'd', 1) => format!(" {value:>3}"),
            ('u' | 'd', 2) => format!(" {value:>5}"),
            ('u' | 'd', _) => format!(" {value:>10}"),
            (_, 1) => format!(" {value:03o}"),
            (_, 2) => format!(" {value:06o}"),
            (_, _) => format!(" {value:011o}"),
        }
    };
    let mut before: Option<&[u8]> = None;
    let mut starred = false;
    for (i, line) in all.chunks(16).enumerate() {
        if before == Some(line) && line.len() == 16 && !call.has('v') {
            if !starred {
                call.out("*\n");
            }
            starred = true;
            continue;
        }
        (before, starred) = (Some(line), false);
        let cells: String = line.chunks(width).map(cell).collect();
        call.out(format!("{}{cells}\n", address(skip + i * 16)));
    }
    if addresses != "n" {
        call.out(format!("{}\n", address(skip + all.len())));
    }
    status
}

pub(super) fn test(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut args: Vec<&str> = call.args.iter().map(String::as_str).collect();
    let close = match call.name.as_str() {
        "[" => Some("]"),
        _ => None,
    };
    if let Some(close) = close
        && args.pop() != Some(close)
    {
        let text = format!("{}: {}: missing `{close}'\n", shell.complaint(), call.name);
        call.err(text);
        return 2;
    }
    match test_or(shell, &args, 0) {
        Ok(yes) => u8::from(!yes),
        Err(fault) => {
            let text = format!("{}: {}: {fault}\n", shell.complaint(), call.name);
            call.err(text);
            2
        }
    }
}

fn test_or(shell: &Shell, args: &[&str], depth: usize) -> Result<bool, String> {
    if depth > 40 {
        return Err("too many arguments".to_owned());
    }
    for (i, op) in args.iter().enumerate().skip(1) {
        if args.len() > 3 && (*op == "-o" || *op == "||") && i + 1 < args.len() {
            let (a, b) = args.split_at(i);
            return Ok(
                test_or(shell, a, depth + 1)? | test_or(shell, b.get(1..).unwrap_or_default(), depth + 1)?
            );
        }
    }
    for (i, op) in args.iter().enumerate().skip(1) {
        if args.len() > 3 && (*op == "-a" || *op == "&&") && i + 1 < args.len() {
            let (a, b) = args.split_at(i);
            return Ok(
                test_or(shell, a, depth + 1)? & test_or(shell, b.get(1..).unwrap_or_default(), depth + 1)?
            );
        }
    }
    match args {
        [] => Ok(false),
        [text] => Ok(!text.is_empty()),
        [a, op, b] if binary(shell, a, op, b).is_some() => binary(shell, a, op, b).unwrap_or(Ok(false)),
        ["!", rest @ ..] => Ok(!test_or(shell, rest, depth + 1)?),
        ["(", inner @ .., ")"] => test_or(shell, inner, depth + 1),
        [op, arg] => unary(shell, op, arg),
        [_, op, _] => Err(format!("{op}: binary operator expected")),
        _ => Err("too many arguments".to_owned()),
    }
}

pub(in crate::shell) fn unary(shell: &Shell, op: &str, arg: &str) -> Result<bool, String> {
    let stat = || {
        shell
            .vfs
            .stat(shell.who(), &shell.env.cwd, arg)
            .ok()
            .map(|(_, node)| node)
    };
    Ok(match op {
        "-z" => arg.is_empty(),
        "-n" => !arg.is_empty(),
        "-e" | "-a" => stat().is_some(),
        "-f" => stat().is_some_and(|n| !n.is_dir() && n.device().is_none() && n.kind != Kind::Pipe),
        "-d" => stat().is_some_and(|n| n.is_dir()),
        "-s" => stat().is_some_and(|n| n.size() > 0),
        "-r" => {
            stat().is_some_and(|n| n.is_dir() || shell.vfs.read(shell.who(), &shell.env.cwd, arg).is_ok())
        }
        "-w" => stat().is_some_and(|n| shell.env.uid == 0 || n.uid == shell.env.uid || n.mode & 2 != 0),
        "-x" => stat().is_some_and(|n| crate::shell::vfs::Vfs::executable(shell.who(), &n)),
        "-b" | "-c" => stat().is_some_and(|n| n.device().is_some_and(|device| device.block == (op == "-b"))),
        "-L" | "-h" => shell
            .vfs
            .lstat(shell.who(), &shell.env.cwd, arg)
            .is_ok_and(|(_, n)| matches!(n.kind, crate::shell::vfs::Kind::Link(_))),
        "-t" => shell.terminal.is_some(),
        "-p" => stat().is_some_and(|n| n.kind == Kind::Pipe),
        "-u" | "-g" | "-k" => {
            let bit = match op {
                "-u" => 0o4000,
                "-g" => 0o2000,
                _ => 0o1000,
            };
            stat().is_some_and(|n| n.mode & bit != 0)
        }
        "-S" => false,
        "-v" => shell.env.vars.contains_key(arg),
        _ => return Err(format!("{op}: unary operator expected")),
    })
}

pub(in crate::shell) fn binary(shell: &Shell, a: &str, op: &str, b: &str) -> Option<Result<bool, String>> {
    let whole = |text: &str| {
        text.trim()
            .parse::<i64>()
            .map_err(|_| format!("{text}: integer expression expected"))
    };
    let order = |ok: fn(std::cmp::Ordering) -> bool| Some(whole(a).and_then(|a| Ok(ok(a.cmp(&whole(b)?)))));
    match op {
        "=" | "==" => {
            Some(Ok(a == b
                || (op == "=="
                    && b.contains('*')
                    && glob::matches(b.as_bytes(), a.as_bytes()))))
        }
        "!=" => Some(Ok(a != b)),
        "<" => Some(Ok(a < b)),
        ">" => Some(Ok(a > b)),
        "=~" => Some(Ok(Regex::new(b.as_bytes(), true, false)
            .find(a.as_bytes(), 0)
            .is_some())),
        "-eq" => order(std::cmp::Ordering::is_eq),
        "-ne" => order(std::cmp::Ordering::is_ne),
        "-lt" => order(std::cmp::Ordering::is_lt),
        "-le" => order(std::cmp::Ordering::is_le),
        "-gt" => order(std::cmp::Ordering::is_gt),
        "-ge" => order(std::cmp::Ordering::is_ge),
        "-nt" | "-ot" | "-ef" => {
            let time = |p: &str| {
                shell
                    .vfs
                    .stat(shell.who(), &shell.env.cwd, p)
                    .map(|(_, n)| n.mtime)
                    .unwrap_or(i64::MIN)
            };
            Some(Ok(match op {
                "-nt" => time(a) > time(b),
                "-ot" => time(a) < time(b),
                _ => a == b,
            }))
        }
        _ => None,
    }
}

pub(super) fn expr(_: &mut Shell, call: &mut Call) -> u8 {
    if call.args.is_empty() {
        call.err("expr: missing operand\nTry 'expr --help' for more information.\n");
        return 2;
    }
    let args = call.args.clone();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut words = words.into_iter().peekable();
    let value = expr_level(&mut words, 0, 0).and_then(|value| match words.next() {
        None => Ok(value),
        Some(word) => Err(format!("syntax error: unexpected argument ‘{word}’")),
    });
    match value {
        Ok(value) => {
            call.out(format!("{value}\n"));
            u8::from(value.is_empty() || value.trim_start_matches('-').bytes().all(|b| b == b'0'))
        }
        Err(fault) => {
            call.fail(fault);
            2
        }
    }
}

type ExprWords<'a> = std::iter::Peekable<std::vec::IntoIter<&'a str>>;

/// Operators of `expr` by rising precedence.
const EXPR: [&[&str]; 5] = [
    &["|"],
    &["&"],
    &["<", "<=", "=", "==", "!=", ">=", ">"],
    &["+", "-"],
    &["*", "/", "%"],
];

fn expr_level(words: &mut ExprWords<'_>, level: usize, depth: usize) -> Result<String, String> {
    if depth > 40 {
        return Err("syntax error".to_owned());
    }
    let Some(operators) = EXPR.get(level) else {
        return expr_match(words, depth);
    };
    let mut left = expr_level(words, level + 1, depth)?;
    while let Some(op) = words.next_if(|w| operators.contains(w)) {
        let right = expr_level(words, level + 1, depth)?;
        let empty = |v: &str| v.is_empty() || v == "0";
        let (a, b) = (left.parse::<i64>(), right.parse::<i64>());
        left = match op {
            "|" => {
                if !empty(&left) {
                    left
                } else if right.is_empty() {
                    "0".to_owned()
                } else {
                    right
                }
            }
            "&" => {
                if empty(&left) || empty(&right) {
                    "0".to_owned()
                } else {
                    left
                }
            }
            "+" | "-" | "*" | "/" | "%" => {
                let (Ok(a), Ok(b)) = (a, b) else {
                    return Err("non-integer argument".to_owned());
                };
                if matches!(op, "/" | "%") && b == 0 {
                    return Err("division by zero".to_owned());
                }
                match op {
                    "+" => a.wrapping_add(b),
                    "-" => a.wrapping_sub(b),
                    "*" => a.wrapping_mul(b),
                    "/" => a.wrapping_div(b),
                    _ => a.wrapping_rem(b),
                }
                .to_string()
            }
            op => {
                let order = match (a, b) {
                    (Ok(a), Ok(b)) => a.cmp(&b),
                    _ => left.cmp(&right),
                };
                let yes = match op {
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    "!=" => order.is_ne(),
                    ">=" => order.is_ge(),
                    ">" => order.is_gt(),
                    _ => order.is_eq(),
                };
                u8::from(yes).to_string()
            }
        };
    }
    Ok(left)
}

/// `text : pattern`, and what stands for itself.
fn expr_match(words: &mut ExprWords<'_>, depth: usize) -> Result<String, String> {
    let mut left = expr_one(words, depth)?;
    while words.next_if_eq(&":").is_some() {
        let pattern = expr_one(words, depth)?;
        left = expr_matched(&left, &pattern);
    }
    Ok(left)
}

fn expr_matched(text: &str, pattern: &str) -> String {
    let regex = Regex::new(format!("^{pattern}").as_bytes(), false, false);
    let groups = regex.captures(text.as_bytes(), 0);
    match (&groups, pattern.contains("\\(")) {
        (Some(groups), true) => {
            let group = groups.get(1).copied().flatten();
            group
                .and_then(|(a, b)| text.get(a..b))
                .unwrap_or_default()
                .to_owned()
        }
        (Some(groups), false) => {
            let whole = groups.first().copied().flatten();
            whole.map_or(0, |(a, b)| b - a).to_string()
        }
        (None, true) => String::new(),
        (None, false) => "0".to_owned(),
    }
}

fn expr_one(words: &mut ExprWords<'_>, depth: usize) -> Result<String, String> {
    let missing = || "syntax error: missing argument after".to_owned();
    let word = words.next().ok_or_else(missing)?;
    let mut next = || words.next().map(str::to_owned).ok_or_else(missing);
    Ok(match word {
        "(" => {
            let inner = expr_level(words, 0, depth + 1)?;
            if words.next() != Some(")") {
                return Err("syntax error: expecting ')'".to_owned());
            }
            inner
        }
        "length" => next()?.chars().count().to_string(),
        "match" => {
            let text = next()?;
            let pattern = next()?;
            expr_matched(&text, &pattern)
        }
        "index" => {
            let text = next()?;
            let set = next()?;
            text.chars()
                .position(|c| set.contains(c))
                .map_or(0, |i| i + 1)
                .to_string()
        }
        "substr" => {
            let text = next()?;
            let from: usize = next()?.parse().unwrap_or(0);
            let len: usize = next()?.parse().unwrap_or(0);
            if from == 0 {
                String::new()
            } else {
                text.chars().skip(from - 1).take(len).collect()
            }
        }
        "+" => next()?,
        word => word.to_owned(),
    })
}

pub(super) fn yes(_: &mut Shell, call: &mut Call) -> u8 {
    let line = if call.args.is_empty() {
        "y".to_owned()
    } else {
        call.args.join(" ")
    };
    call.out_long(Long::repeat(format!("{line}\n").as_bytes()));
    0
}
