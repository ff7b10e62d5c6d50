//! Any messages of an SSH client are answered or end its connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|raw: &[u8]| decnet_decoys::fuzz::ssh_session(raw));
