//! Why a process ends: exit codes after sysexits(3), and the errors that lead to them.

use std::{io, net::SocketAddr, process::ExitCode};

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As asked: 0.
    Ok,
    /// A failure while running: 1.
    Failed,
    /// Wrong words on the command line: 64, EX_USAGE.
    Usage,
    /// Something that is needed is not there (a port in use, no database): 69, EX_UNAVAILABLE.
    Unavailable,
    /// Not permitted: 77, EX_NOPERM.
    NotPermitted,
    /// Wrong configuration, or a database of another version: 78, EX_CONFIG.
    Config,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 64,
            Exit::Unavailable => 69,
            Exit::NotPermitted => 77,
            Exit::Config => 78,
        })
    }
}

/// Why a worker cannot start. The text names the thing and the way out; it is the whole message that an operator sees.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// What the process exits with.
    pub exit: Exit,
    /// What is wrong and what to do.
    pub message: String,
}

impl StartError {
    /// Something that is needed is not there.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Unavailable,
            message: message.into(),
        }
    }

    /// The configuration, or the state on disk, is not what this program takes.
    pub fn config(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Config,
            message: message.into(),
        }
    }

    /// The operating system, or a rule of ours, forbids it.
    pub fn not_permitted(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::NotPermitted,
            message: message.into(),
        }
    }

    /// A failed system call on `what`: lack of permission is told from everything else.
    #[must_use]
    pub fn io(what: &str, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            _ => Exit::Unavailable,
        };
        let way_out = match error.kind() {
            io::ErrorKind::StorageFull => "; make room there (`df -h` says how much there is)",
            io::ErrorKind::QuotaExceeded => "; make room there (`quota` says how much this user may have)",
            _ => "",
        };
        Self {
            exit,
            message: format!("{what}: {error}{way_out}"),
        }
    }

    /// An address on which this process cannot listen, with the way out.
    #[must_use]
    pub fn listen(address: SocketAddr, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "is in use: end what listens there (`ss -ltnp` names it), or give another address by --listen 127.0.0.1:PORT"
                    .to_owned()
            }
            io::ErrorKind::AddrNotAvailable => {
                "is no address of this machine: give one that is by --listen ADDRESS:PORT (`ip address` lists them)"
                    .to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "is refused to this user: a port below 1024 wants root or CAP_NET_BIND_SERVICE; give a higher one by --listen \
                 ADDRESS:PORT"
                    .to_owned()
            }
            _ => format!("takes no listener: {error}; give another address by --listen ADDRESS:PORT"),
        };
        Self {
            message: format!("{address} {why}"),
            ..Self::io("", error)
        }
    }
}

impl From<decnet_db::DbError> for StartError {
    fn from(error: decnet_db::DbError) -> Self {
        let exit = if error.is_schema() {
            Exit::Config
        } else {
            Exit::Unavailable
        };
        Self {
            exit,
            message: chain(&error),
        }
    }
}

/// Why a worker stopped working. It is logged with its sources, and the process exits 1 for its supervisor to restart.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct RunError {
    /// What could not go on.
    pub what: String,
    /// What led to it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl RunError {
    /// An error with what led to it.
    pub fn new(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            what: what.into(),
            source: Some(source.into()),
        }
    }
}

/// An error with everything that led to it, on one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        // `#[error(transparent)]` repeats its source's words.
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_full_is_told_with_the_way_out() {
        let full = io::Error::from_raw_os_error(nix::libc::ENOSPC);
        let told = StartError::io("/srv/decnet/run/bus.lock", &full);
        assert_eq!(told.exit, Exit::Unavailable);
        assert!(
            told.message
                .starts_with("/srv/decnet/run/bus.lock: No space left")
                && told.message.contains("; make room there"),
            "{told}"
        );
        let gone = StartError::io("/srv", &io::ErrorKind::NotFound.into());
        assert!(!gone.message.contains("room"), "{gone}");
    }

    #[test]
    fn an_address_that_cannot_be_listened_on_is_told_with_the_way_out() {
        let address: SocketAddr = "192.0.2.7:80".parse().expect("an address");
        for (kind, exit, words) in [
            (
                io::ErrorKind::AddrInUse,
                Exit::Unavailable,
                "is in use: end what listens",
            ),
            (
                io::ErrorKind::AddrNotAvailable,
                Exit::Unavailable,
                "is no address of this machine: give one that is",
            ),
            (
                io::ErrorKind::PermissionDenied,
                Exit::NotPermitted,
                "a port below 1024 wants root",
            ),
            (
                io::ErrorKind::Unsupported,
                Exit::Unavailable,
                "takes no listener: unsupported",
            ),
        ] {
            let told = StartError::listen(address, &kind.into());
            assert_eq!(told.exit, exit, "{told}");
            assert!(
                told.message.starts_with("192.0.2.7:80 ")
                    && told.message.contains(words)
                    && told.message.contains("by --listen "),
                "{told}"
            );
        }
    }
}
