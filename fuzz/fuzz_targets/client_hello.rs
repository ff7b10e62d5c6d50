//! Any bytes are a ClientHello or are none; one that is has fingerprints of the right form.
#![cfg_attr(not(test), no_main)]

use decnet_decoys::serve::client_hello::ClientHello;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(hello) = ClientHello::parse(bytes) else { return };
    assert_eq!(hello.ja3().len(), 32);
    assert_eq!(hello.ja3_text().matches(',').count(), 4);
    // t13d1516h2_8daaf6152771_e5627efa2ab1
    let ja4 = hello.ja4();
    let lengths: Vec<usize> = ja4.split('_').map(|part| part.chars().count()).collect();
    assert_eq!(lengths, [10, 12, 12], "{ja4}");
});
