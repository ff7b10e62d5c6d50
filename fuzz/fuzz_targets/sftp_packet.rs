//! Any bytes are answered or end the SFTP session.
#![cfg_attr(not(test), no_main)]

libfuzzer_sys::fuzz_target!(|raw: &[u8]| decnet_decoys::fuzz::sftp_packet(raw));
