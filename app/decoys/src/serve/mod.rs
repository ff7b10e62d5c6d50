//! What answers visitors: the [`Decoy`] trait, the [`Tap`] that is the only way to report, and the [`Peer`] that
//! holds every connection to its limits.

pub mod peer;
pub mod tap;

use std::sync::Arc;

use decnet_persona::Persona;

pub use peer::Peer;
pub use tap::Tap;

use crate::Service;

/// What every service of one decky shares.
#[derive(Debug)]
pub struct Host {
    /// Who the decky pretends to be.
    pub persona: Persona,
    /// Where captured files go; `None` where nothing may be written (they are then only reported).
    pub artifacts: Option<std::path::PathBuf>,
    /// Where session recordings go; `None` where nothing may be written.
    pub transcripts: Option<std::path::PathBuf>,
}

/// A service that cannot be started as configured.
#[derive(Debug, thiserror::Error)]
#[error("{service}: {knob}: {problem}")]
pub struct BuildError {
    /// Slug of the service.
    pub service: &'static str,
    /// The knob at fault, or `-`.
    pub knob: String,
    /// What is wrong with it and what is allowed.
    pub problem: String,
}

/// Why a session ended before its time. Never shown to a visitor; reported as a `disconnect` reason.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The network failed, the peer vanished, or a limit closed the connection (see [`peer::Peer::closed_by`]).
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The peer broke the protocol beyond what the real product answers; already reported as a violation.
    #[error("the peer broke the protocol: {0}")]
    Violation(&'static str),
}

/// A service that answers visitors.
///
/// MUST: report through `tap` only; answer as the product and version of the persona would; keep per-connection
/// memory bounded whatever the peer sends; use no clock, file or socket of its own. MUST NOT: panic, block the
/// thread, or connect anywhere. `connect` and `disconnect` are reported by the runner, not by the service.
pub trait Decoy: Service + Sized + Send + Sync {
    /// Prepare what all sessions share: keys, certificates, bait. Runs once per start.
    ///
    /// # Errors
    /// Where a knob contradicts another, or the persona.
    fn build(config: Self::Config, host: &Arc<Host>) -> Result<Self, BuildError>;

    /// Answer one visitor until either side closes.
    ///
    /// # Errors
    /// Where the connection ended otherwise than by the protocol.
    fn session(&self, peer: Peer, tap: Tap) -> impl Future<Output = Result<(), SessionError>> + Send;
}
