//! What can be wrong with keys and certificates: each names the file and the way out.

use std::path::PathBuf;

/// Why there is no key or certificate to work with.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A system call failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A key, or the folder that holds it, is open to others.
    #[error(
        "{} is open to others (mode {mode:04o}); run `chmod {wanted:o}` on it, and replace the key if somebody may have read it",
        path.display()
    )]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What they have to be.
        wanted: u32,
    },
    /// A file does not hold what it should.
    #[error("{}: {problem}; {way_out}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        way_out: &'static str,
    },
    /// A certificate could not be made.
    #[error("cannot make {what}: {source}")]
    Make {
        /// Which.
        what: String,
        /// Why not.
        source: rcgen::Error,
    },
    /// rustls does not take what it was given.
    #[error("cannot set up TLS: {source}")]
    Tls {
        /// Why not.
        #[from]
        source: rustls::Error,
    },
}

impl PkiError {
    pub(crate) fn make(what: impl Into<String>) -> impl FnOnce(rcgen::Error) -> Self {
        let what = what.into();
        move |source| Self::Make { what, source }
    }
}
