//! Why a process ends: exit codes after sysexits(3), and the errors that lead to them.

use std::process::ExitCode;

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
    pub fn io(what: &str, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            _ => Exit::Unavailable,
        };
        Self {
            exit,
            message: format!("{what}: {error}"),
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
