//! Any script parses or is refused, within bounds.
#![cfg_attr(not(test), no_main)]

libfuzzer_sys::fuzz_target!(|raw: &[u8]| decnet_decoys::fuzz::shell_parse(raw));
