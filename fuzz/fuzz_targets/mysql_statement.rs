//! Any statements are answered or refused, within bounds of time and memory.
#![cfg_attr(not(test), no_main)]

libfuzzer_sys::fuzz_target!(|raw: &[u8]| decnet_decoys::fuzz::mysql_statement(raw));
