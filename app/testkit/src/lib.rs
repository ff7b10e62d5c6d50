//! For tests, benchmarks and demonstrations only: nothing that runs in earnest depends on this crate, but for
//! `decnet demo seed`.
//!
//! `demo::Day` (feature `demo`) makes a realistic, reproducible day of evidence, [`disk::small`] a disk that can be filled, `bus::Doomed`
//! (feature `bus`) a bus that dies or never lived; [`skipped`] tells that a test cannot be run here.

#[cfg(feature = "bus")]
pub mod bus;
#[cfg(feature = "demo")]
pub mod demo;
pub mod disk;
mod skip;

pub use skip::{SKIPPED, skipped};
