//! Small programs that come with the C library and with the distribution: `ldd`, `iconv`, `lsb_release`, `visudo`.

use super::{Call, Shell, inputs};
use crate::shell::vfs::Kind;

pub(super) fn ldd(shell: &mut Shell, call: &mut Call) -> u8 {
    let paths = call.operands("");
    if paths.is_empty() {
        call.err("ldd: missing file arguments\nTry `ldd --help' for more information.\n");
        return 1;
    }
    let folder = if shell.machine.distribution.has_dash() {
        "/lib/x86_64-linux-gnu"
    } else {
        "/lib64"
    };
    let mut status = 0;
    for path in &paths {
        if paths.len() > 1 {
            call.out(format!("{path}:\n"));
        }
        let elf = match shell.vfs.stat(shell.who(), &shell.env.cwd, path) {
            Err(errno) => {
                call.err(format!("ldd: {path}: {}\n", errno.text()));
                status = 1;
                continue;
            }
            Ok((_, node)) => match &node.kind {
                Kind::Opaque(_) => true,
                Kind::File(bytes) => bytes.starts_with(b"\x7fELF"),
                _ => false,
            },
        };
        if !elf {
            call.err("\tnot a dynamic executable\n");
            status = 1;
            continue;
        }
        let at = || 0x7f00_0000_0000_u64 + shell.random() % 0xff_ffff_f000 / 4_096 * 4_096;
        call.out(format!(
            "\tlinux-vdso.so.1 (0x00007ffd{:08x})\n\tlibc.so.6 => {folder}/libc.so.6 (0x{:016x})\n\t/lib64/ld-linux-x86-64.so.2 (0x{:016x})\n",
            at() % 0xffff_f000 / 4_096 * 4_096,
            at(),
            at()
        ));
    }
    status
}

pub(super) fn iconv(shell: &mut Shell, call: &mut Call) -> u8 {
    if call.args.iter().any(|a| a == "-l" || a == "--list") {
        call.out("ANSI_X3.4-1968// ASCII// US-ASCII//\nISO-8859-1// LATIN1//\nISO-8859-15//\nUCS-2//\nUTF-8// UTF8//\nUTF-16//\n");
        return 0;
    }
    let name = |value: Option<String>| value.unwrap_or_else(|| "UTF-8".to_owned()).to_uppercase();
    let from = name(call.value("-f", "--from-code"));
    let to = name(call.value("-t", "--to-code"));
    let quiet = call.has('c') || to.contains("//");
    let plain = |name: &str| {
        name.split("//")
            .next()
            .unwrap_or_default()
            .replace(['-', '_'], "")
    };
    for (code, which) in [(&from, "from"), (&to, "to")] {
        if !matches!(
            plain(code).as_str(),
            "UTF8" | "ISO88591" | "LATIN1" | "ASCII" | "USASCII" | "UTF16" | "UTF16LE"
        ) {
            call.err(format!(
                "iconv: conversion {which} `{code}' is not supported\nTry `iconv --help' or `iconv --usage' for more information.\n"
            ));
            return 1;
        }
    }
    let paths = call.operands("fto");
    let (files, mut status) = inputs(shell, call, &paths);
    for (_, bytes) in files {
        let text: String = match plain(&from).as_str() {
            "ISO88591" | "LATIN1" => bytes.iter().map(|b| char::from(*b)).collect(),
            "UTF16" | "UTF16LE" => {
                let units: Vec<u16> = bytes
                    .chunks_exact(2)
                    .map(|pair| {
                        u16::from_le_bytes([
                            pair.first().copied().unwrap_or(0),
                            pair.last().copied().unwrap_or(0),
                        ])
                    })
                    .collect();
                String::from_utf16_lossy(&units)
                    .trim_start_matches('\u{feff}')
                    .to_owned()
            }
            _ => String::from_utf8_lossy(&bytes).into_owned(),
        };
        let mut out = Vec::new();
        let limit = match plain(&to).as_str() {
            "ISO88591" | "LATIN1" => 0xff,
            "ASCII" | "USASCII" => 0x7f,
            "UTF16" | "UTF16LE" => {
                if plain(&to) == "UTF16" {
                    out.extend_from_slice(b"\xff\xfe");
                }
                out.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
                call.out(out);
                continue;
            }
            _ => {
                call.out(text);
                continue;
            }
        };
        for (at, c) in text.char_indices() {
            match u8::try_from(u32::from(c)) {
                Ok(byte) if byte <= limit => out.push(byte),
                _ if to.contains("TRANSLIT") => out.push(b'?'),
                _ if quiet => {}
                _ => {
                    call.out(std::mem::take(&mut out));
                    call.err(format!("iconv: illegal input sequence at position {at}\n"));
                    status = 1;
                    break;
                }
            }
        }
        call.out(out);
    }
    status
}

pub(super) fn lsb_release(shell: &mut Shell, call: &mut Call) -> u8 {
    let release = shell.machine.distribution.release;
    let id = release.name.split(' ').next().unwrap_or_default();
    let all = call.has('a') || call.args.iter().any(|a| a == "--all");
    let short = call.has('s') || call.args.iter().any(|a| a == "--short");
    if call.args.is_empty() || all || call.has('v') {
        call.err("No LSB modules are available.\n");
    }
    for (letter, long, title, value) in [
        ('i', "--id", "Distributor ID", id),
        ('d', "--description", "Description", release.pretty),
        ('r', "--release", "Release", release.version_id),
        ('c', "--codename", "Codename", release.codename),
    ] {
        if !(all || call.has(letter) || call.args.iter().any(|a| a == long)) {
            continue;
        }
        call.out(match (short, letter) {
            (true, 'd') if value.contains(' ') => format!("\"{value}\"\n"),
            (true, _) => format!("{value}\n"),
            (false, _) => format!("{title}:\t{value}\n"),
        });
    }
    0
}

pub(super) fn visudo(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.env.uid != 0 {
        return call.fail("/etc/sudoers: Permission denied");
    }
    if call.has('c') || call.args.iter().any(|a| a == "--check") {
        call.out("/etc/sudoers: parsed OK\n/etc/sudoers.d/README: parsed OK\n");
        return 0;
    }
    // Left without a change, as where the editor has no terminal.
    call.err("visudo: /etc/sudoers.tmp unchanged\n");
    0
}
