//! The words that every part of DECNET shares: ids, names, the closed list of events, bus topics,
//! permissions, the rules for passwords and for the search, and the views that the API and the dashboard show.
//!
//! This crate does no I/O and compiles to WebAssembly; everything else may depend on it and it depends on
//! none of ours. Start at [`event`] for what a decoy can report, at [`view`] for what a reader gets.

pub mod clock;
pub mod event;
pub mod fit;
pub mod fleet;
pub mod glyph;
pub mod id;
pub mod ignore;
pub mod name;
pub mod password;
pub mod permission;
pub mod printable;
pub mod query;
pub mod search;
pub mod state;
pub mod topic;
pub mod view;
