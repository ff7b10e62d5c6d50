//! Any messages of an SSH client are answered or end its connection.
#![cfg_attr(not(test), no_main)]

libfuzzer_sys::fuzz_target!(|raw: &[u8]| decnet_decoys::fuzz::ssh_session(raw));
