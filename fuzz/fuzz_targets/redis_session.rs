//! A whole conversation with the redis decoy: RESP and inline requests, and what answers them. Nothing panics, and it ends.
#![cfg_attr(not(test), no_main)]

#[path = "../../app/decoys/tests/support/machine.rs"]
mod machine;

use std::sync::LazyLock;

use machine::Machine;

static REDIS: LazyLock<Machine> = LazyLock::new(|| machine::with(1, ["redis"].into_iter()));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(machine::session(&REDIS, bytes));
    REDIS.forget();
});
