//! For tests, benchmarks and demonstrations only: nothing that runs in earnest depends on this crate, but for
//! `decnet demo seed`.
//!
//! [`demo::Day`] makes a realistic, reproducible day of evidence.

pub mod demo;
