//! The installation's private certificate authority, the certificates that it issues, and rustls configurations.
//!
//! Start at [`Authority`], which is made once for an installation, then at [`ServerCertificate`], which keeps what a
//! server presents up to date. Deliberately absent: sockets, the present time (callers give it), and revocation; a
//! certificate of ours is short-lived and is replaced.

mod authority;
mod certificate;
mod error;
mod files;
mod server;

pub use authority::Authority;
pub use certificate::{Identity, Names};
pub use error::PkiError;
pub use server::{RENEW_BEFORE, ServerCertificate, Source, VALIDITY};
