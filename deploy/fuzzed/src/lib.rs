//! The fuzz targets of `fuzz/`, as modules of a test: each compiles, and takes everything that it begins with.
//!
//! `fuzz/` is a workspace of its own, for which everything would be built once more, and a target that no longer compiles
//! would be noticed by whoever fuzzes next. Here `libfuzzer_sys` is this crate, whose `fuzz_target!` makes a function of a
//! target. Deliberately absent: fuzzing; that is `cargo xtask fuzz`.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::duplicate_mod,
    reason = "in a test a panic is the report; several targets take in the machine of the decoys' tests"
)]

extern crate self as libfuzzer_sys;

use std::{collections::BTreeSet, fs, path::PathBuf};

/// What libfuzzer-sys has by this name, as far as the targets use it.
macro_rules! fuzz_target {
    (|$bytes:ident: &[u8]| $body:expr) => {
        pub(crate) fn try_on($bytes: &[u8]) {
            $body;
        }
    };
    (|$text:ident: &str| $body:expr) => {
        pub(crate) fn try_on(bytes: &[u8]) {
            if let Ok($text) = std::str::from_utf8(bytes) {
                $body;
            }
        }
    };
}
pub(crate) use fuzz_target;

/// A test of each target, and the list of them.
macro_rules! targets {
    ($($path:literal => $name:ident),* $(,)?) => {
        $(
            #[path = $path]
            mod $name;

            #[test]
            fn $name() {
                let inputs = corpus(stringify!($name));
                assert!(!inputs.is_empty(), "it begins with nothing");
                for input in inputs {
                    $name::try_on(&fs::read(input).unwrap());
                }
            }
        )*

        const TARGETS: &[&str] = &[$(stringify!($name)),*];
    };
}

targets! {
    "../../../fuzz/fuzz_targets/bus_frames.rs" => bus_frames,
    "../../../fuzz/fuzz_targets/client_hello.rs" => client_hello,
    "../../../fuzz/fuzz_targets/fleet_ini.rs" => fleet_ini,
    "../../../fuzz/fuzz_targets/ftp_session.rs" => ftp_session,
    "../../../fuzz/fuzz_targets/http_request.rs" => http_request,
    "../../../fuzz/fuzz_targets/mysql_packet.rs" => mysql_packet,
    "../../../fuzz/fuzz_targets/mysql_statement.rs" => mysql_statement,
    "../../../fuzz/fuzz_targets/octet_counting.rs" => octet_counting,
    "../../../fuzz/fuzz_targets/redis_session.rs" => redis_session,
    "../../../fuzz/fuzz_targets/settings_ini.rs" => settings_ini,
    "../../../fuzz/fuzz_targets/sftp_packet.rs" => sftp_packet,
    "../../../fuzz/fuzz_targets/shell_parse.rs" => shell_parse,
    "../../../fuzz/fuzz_targets/smtp_line.rs" => smtp_line,
    "../../../fuzz/fuzz_targets/ssh_hello.rs" => ssh_hello,
    "../../../fuzz/fuzz_targets/ssh_session.rs" => ssh_session,
    "../../../fuzz/fuzz_targets/syslog_parse.rs" => syslog_parse,
}

fn fuzz() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz"))
}

/// What `target` begins with.
fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = fs::read_dir(fuzz().join("corpus").join(target)).unwrap();
    folder.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_target_that_there_is_stands_here_and_in_the_manifest() {
    let here: BTreeSet<_> = TARGETS.iter().map(|name| (*name).to_owned()).collect();
    let files = fs::read_dir(fuzz().join("fuzz_targets")).unwrap();
    let there: BTreeSet<_> = files
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(here, there);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let bins = manifest.split("[[bin]]").skip(1);
    let built: BTreeSet<_> = bins
        .map(|bin| bin.split('"').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(here, built);
}
