//! Any identification and any KEXINIT is taken or refused.
#![cfg_attr(not(test), no_main)]

libfuzzer_sys::fuzz_target!(|raw: &[u8]| decnet_decoys::fuzz::ssh_hello(raw));
