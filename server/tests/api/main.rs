//! The REST API in-process: a router over a temporary SQLite database and a bus in memory.

mod accounts;
mod app;
mod evidence;
mod hardening;
mod openapi;
mod roles;
mod stream;
