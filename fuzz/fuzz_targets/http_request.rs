//! Any head parses or is refused, by each product's rules; a path that parses never climbs above the root.
#![cfg_attr(not(test), no_main)]

use decnet_decoys::http::request::{Progress, Strictness, head_end, parse};

libfuzzer_sys::fuzz_target!(|raw: &[u8]| {
    for strictness in [
        Strictness::Apache,
        Strictness::Nginx { strict: true },
        Strictness::Nginx { strict: false },
    ] {
        if let Progress::Whole(n) = head_end(raw, strictness)
            && let Ok(request) = parse(&raw[..n], strictness)
        {
            assert!(request.path == b"*" || request.path.starts_with(b"/"));
            assert!(!request.path.split(|b| *b == b'/').any(|part| part == b".."));
        }
    }
});
