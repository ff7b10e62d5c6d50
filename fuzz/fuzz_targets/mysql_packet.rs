//! A client's first packet is taken apart or refused; nothing in it is longer than the packet.
#![cfg_attr(not(test), no_main)]

use decnet_decoys::mysql::packet::First;

libfuzzer_sys::fuzz_target!(|raw: &[u8]| {
    if let Some(First::Login(login)) = First::parse(raw) {
        let sum: usize = login.attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(login.user.len() + login.response.len() + login.database.len() + sum <= raw.len());
    }
});
