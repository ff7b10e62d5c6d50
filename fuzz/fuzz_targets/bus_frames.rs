//! Frames of the bus's socket, as the broker and its clients read them.

#![cfg_attr(not(test), no_main)]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Refusing is as good as decoding; what must not happen is a panic, or a subscriber that shows what the broker refuses.
    drop(decnet_bus::wire::walk(bytes));
});
