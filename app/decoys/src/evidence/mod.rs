//! What a decoy reports and keeps: lines through a [`Tap`] into a [`sink`], files that visitors leave ([`artifact`]), recordings of their
//! sessions ([`recorder`]).
//!
//! It stands apart from what answers visitors (`serve`) because what is invented, such as demo evidence, is written by the same code: whatever
//! reads it finds what a decoy would have written, and whoever writes it does not compile every protocol.

pub mod artifact;
mod floor;
pub mod recorder;
pub mod sink;
pub mod tap;

pub use tap::Tap;

/// Tell the operator of the decky about trouble, on standard error: one line, never to a visitor.
///
/// Where standard error is gone, too, there is nobody left to tell.
pub(crate) fn trouble(what: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    let _nobody_left = writeln!(std::io::stderr(), "{what}");
}
