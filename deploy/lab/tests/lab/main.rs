//! Decoys as containers on a network of their own, visited by real clients from another machine of it.
//!
//! Every test has a lab of its own: namespaces, a Docker daemon, an attacker. They need root, and say so where it is not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod fleet;
mod host;
mod trouble;
