//! The REST API in-process: a router over a temporary SQLite database and a bus in memory.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod accounts;
mod app;
mod breaks;
mod config;
mod cors;
mod described;
mod evidence;
mod export;
mod faults;
mod fleet;
mod hardening;
mod health;
mod listener;
mod load;
mod openapi;
mod roles;
mod secrets;
mod sessions;
mod shared;
mod stream;
mod tokens;
mod totp;
mod ui;
mod workers;
