//! Any command line is taken apart; a mailbox that is accepted holds no control character.
#![cfg_attr(not(test), no_main)]

use decnet_decoys::smtp::line::{Path, split, subject};

libfuzzer_sys::fuzz_target!(|raw: &[u8]| {
    let (_verb, rest) = split(raw);
    for keyword in [&b"FROM:"[..], b"TO:"] {
        if let Ok(path) = Path::parse(rest, keyword) {
            assert!(!path.mailbox.iter().any(u8::is_ascii_control));
            drop(path.parts());
        }
    }
    drop(subject(raw));
});
