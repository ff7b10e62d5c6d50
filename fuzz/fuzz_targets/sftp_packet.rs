//! Any bytes are answered or end the SFTP session.
#![no_main]

libfuzzer_sys::fuzz_target!(|raw: &[u8]| decnet_decoys::fuzz::sftp_packet(raw));
