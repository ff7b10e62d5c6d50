//! `tar` when it makes an archive: ustar, as GNU tar writes it with its default blocking.

use std::io::Read as _;

use super::{Call, Shell, files::walk};
use crate::shell::vfs::{Errno, Kind, MAX_BYTES, Node, absolute};

/// A record of twenty blocks: what an archive's length is a multiple of.
const RECORD: usize = 10_240;
/// How deep folders are followed.
const DEPTH: usize = 16;

/// Make the archive `file` (`-` for standard output) of `members`, which are below `folder`.
pub(super) fn pack(
    shell: &mut Shell,
    call: &mut Call,
    file: &str,
    folder: &str,
    members: &[String],
    gzip: bool,
) -> u8 {
    if members.is_empty() {
        call.err("tar: Cowardly refusing to create an empty archive\nTry 'tar --help' or 'tar --usage' for more information.\n");
        return 2;
    }
    let verbose = call.args.first().is_some_and(|a| a.contains('v'));
    let mut found: Vec<(String, Node)> = Vec::new();
    let mut faults = String::new();
    for member in members {
        let at = absolute(folder, member);
        if let Err(errno) = shell.vfs.lstat(shell.who(), "/", &at) {
            faults.push_str(&format!("tar: {member}: Cannot stat: {}\n", errno.text()));
            continue;
        }
        if member.starts_with('/') {
            faults.push_str("tar: Removing leading `/' from member names\n");
        }
        walk(shell, &at, DEPTH, &mut |path, node| {
            let below = path.strip_prefix(at.as_str()).unwrap_or_default();
            let name = format!("{}{below}", member.trim_end_matches('/'));
            found.push((name, node.clone()));
        });
    }
    call.err(&faults);
    let mut out = Vec::new();
    for (name, node) in &found {
        let bytes = match &node.kind {
            Kind::Directory | Kind::Link(_) => Ok([].into()),
            _ => shell.vfs.read(shell.who(), folder, name),
        };
        let Ok(bytes) = bytes else {
            call.err(format!("tar: {name}: Cannot open: Permission denied\n"));
            faults.push_str("tar: ");
            continue;
        };
        let slash = if node.is_dir() && !name.ends_with('/') {
            "/"
        } else {
            ""
        };
        if verbose {
            call.out(format!("{name}{slash}\n"));
        }
        let stored = format!("{}{slash}", name.trim_start_matches('/'));
        let owners = (
            shell.machine.user_name(node.uid),
            shell.machine.user_name(node.gid),
        );
        out.extend(header(&stored, node, bytes.len(), &owners));
        out.extend_from_slice(&bytes);
        out.resize(out.len().next_multiple_of(512), 0);
        if out.len() > MAX_BYTES {
            call.err(format!(
                "tar: {file}: Cannot write: No space left on device\ntar: Error is not recoverable: exiting now\n"
            ));
            return 2;
        }
    }
    out.resize((out.len() + 1_024).next_multiple_of(RECORD), 0);
    if gzip {
        let mut packed = Vec::new();
        let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
        let read = flate2::read::GzEncoder::new(out.as_slice(), flate2::Compression::default())
            .take(limit)
            .read_to_end(&mut packed);
        if read.is_err() {
            return 2;
        }
        out = packed;
    }
    if file == "-" {
        call.out(out);
    } else {
        let (who, cwd, now) = (shell.who(), shell.env.cwd.clone(), shell.now());
        match shell.vfs.write(who, &cwd, file, &out, false, now) {
            // What it holds is on the machine, or was captured when it came.
            Ok(at) => shell.vfs.forget_written(&at),
            Err(errno) => {
                let what = if errno == Errno::NoSpace { "write" } else { "open" };
                call.err(format!(
                    "tar: {file}: Cannot {what}: {}\ntar: Error is not recoverable: exiting now\n",
                    errno.text()
                ));
                return 2;
            }
        }
    }
    if faults.contains("tar: ") && !faults.lines().all(|l| l.starts_with("tar: Removing")) {
        call.err("tar: Exiting with failure status due to previous errors\n");
        return 2;
    }
    0
}

/// A member's header (POSIX.1-1988, ustar).
fn header(name: &str, node: &Node, size: usize, owners: &(String, String)) -> [u8; 512] {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, text: &[u8]| {
        for (to, from) in block.iter_mut().skip(at).zip(text) {
            *to = *from;
        }
    };
    let (prefix, base) = match name.len() {
        0..=100 => ("", name),
        _ => name
            .char_indices()
            .filter(|(i, c)| *c == '/' && *i <= 155 && name.len() - i <= 101)
            .find_map(|(i, _)| Some((name.get(..i)?, name.get(i + 1..)?)))
            .unwrap_or(("", name.get(..100).unwrap_or_default())),
    };
    let (kind, link) = match &node.kind {
        Kind::Directory => (b'5', ""),
        Kind::Link(target) => (b'2', target.get(..100).unwrap_or(target)),
        _ => (b'0', ""),
    };
    put(0, base.as_bytes());
    put(100, format!("{:07o}", node.mode & 0o7777).as_bytes());
    put(108, format!("{:07o}", node.uid).as_bytes());
    put(116, format!("{:07o}", node.gid).as_bytes());
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{:011o}", node.mtime.max(0)).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    put(265, owners.0.as_bytes());
    put(297, owners.1.as_bytes());
    put(345, prefix.as_bytes());
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    for (to, from) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *to = from;
    }
    block
}
