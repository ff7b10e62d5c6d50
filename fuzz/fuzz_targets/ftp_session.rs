//! A whole conversation with the ftp decoy: command lines and what answers them. Nothing panics, and it ends.
#![cfg_attr(not(test), no_main)]

#[path = "../../app/decoys/tests/support/machine.rs"]
mod machine;

use std::sync::LazyLock;

use machine::Machine;

static FTP: LazyLock<Machine> = LazyLock::new(|| machine::with(1, ["ftp"].into_iter()));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(machine::session(&FTP, bytes));
    FTP.forget();
});
