//! Decoys with addresses of their own on a network, visited by real clients from another machine of it.
//!
//! Every test has a lab of its own: namespaces, a Docker daemon where it is about containers, an attacker. They need root, and
//! say so where it is not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod announced;
mod bounds;
mod fleet;
mod host;
mod intruder;
mod killed;
mod neighbours;
mod netns;
mod own_image;
mod scan;
mod siblings;
mod stack;
mod stopped;
mod trouble;
mod visitor;
