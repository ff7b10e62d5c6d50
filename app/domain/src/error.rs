//! What can go wrong in a use-case, in words that a client may see.

use std::{error::Error, time::Duration};

use decnet_db::DbError;
use decnet_model::view::FieldError;

/// Why a use-case was not carried out. The text of every variant but [`DomainError::Internal`] and
/// [`DomainError::Unavailable`] is fit for a client.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// Nobody is signed in, or the session has ended.
    #[error("sign in first")]
    Unauthenticated,
    /// No such user, or not the password: deliberately the same.
    #[error("the user name or the password is wrong")]
    BadCredentials,
    /// Until the password is changed, nothing else is allowed.
    #[error("change the password first")]
    PasswordChangeRequired,
    /// Until a second factor is enrolled, nothing else is allowed.
    #[error("enrol a second factor first")]
    EnrolmentRequired,
    /// Not a code of the second factor, or one that was used already.
    #[error("the code is wrong, or was used already")]
    BadCode,
    /// The role does not hold the permission.
    #[error("this needs the permission {permission}")]
    Forbidden {
        /// [`decnet_model::permission::Permission::NAME`].
        permission: &'static str,
    },
    /// A program with an API token asked for what only a person in a session may do.
    #[error("no API token may do this: sign in")]
    SessionRequired,
    /// There is no such thing.
    #[error("there is no {what}")]
    NotFound {
        /// What kind of thing, and what it was called, shortened.
        what: String,
    },
    /// The present state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// One or more fields are not as they have to be.
    #[error("{}", list(.0))]
    Invalid(Vec<FieldError>),
    /// A limit on how often or how many.
    #[error("too many {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The machine has too much to do just now.
    #[error("busy; try again in a moment")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Something that is needed does not answer.
    #[error("{operation}: unavailable")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another process of the host was asked for something and did not do it.
    #[error("{0}")]
    Unanswered(String),
    /// There is no room left to write.
    #[error("the disk of {of} is full: until there is room again, nothing can be changed")]
    DiskFull {
        /// What lies on it.
        of: &'static str,
        /// Who said so.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A fault of ours or of the machine.
    #[error("{operation} failed")]
    Internal {
        /// What was being done.
        operation: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

fn list(faults: &[FieldError]) -> String {
    let mut text = String::new();
    for fault in faults {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&fault.field);
        text.push_str(": ");
        text.push_str(&fault.message);
    }
    text
}

impl DomainError {
    /// One field is not as it has to be.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError {
            field: field.into(),
            message: message.into(),
        }])
    }

    pub(crate) fn not_found(what: &'static str, id: impl std::fmt::Display) -> Self {
        Self::NotFound {
            what: format!("{what} {}", id.to_string().chars().take(80).collect::<String>()),
        }
    }

    pub(crate) fn internal(operation: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal {
            operation,
            source: source.into(),
        }
    }

    /// Whether a client may see the text as it stands.
    #[must_use]
    pub fn is_public(&self) -> bool {
        !matches!(self, Self::Internal { .. } | Self::Unavailable { .. })
    }

    /// Whether it was tried and failed, so that a part may have been done; else it was refused.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Unanswered(_) | Self::DiskFull { .. } | Self::Internal { .. }
        )
    }

    /// The word that the audit log has for it.
    pub(crate) fn result(&self) -> &'static str {
        match self {
            Self::Unauthenticated | Self::BadCredentials | Self::BadCode => "refused",
            Self::PasswordChangeRequired
            | Self::EnrolmentRequired
            | Self::Forbidden { .. }
            | Self::SessionRequired => "denied",
            Self::NotFound { .. } => "not found",
            Self::Conflict(_) => "conflict",
            Self::Invalid(_) => "invalid",
            Self::TooMany { .. } | Self::Busy { .. } => "limited",
            Self::Unavailable { .. }
            | Self::Unanswered(_)
            | Self::DiskFull { .. }
            | Self::Internal { .. } => "failed",
        }
    }
}

impl From<DbError> for DomainError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::BadQuery { field, rule } => Self::field(field, rule),
            DbError::Taken { .. } | DbError::Changed { .. } | DbError::LastAdmin => {
                Self::Conflict(error.to_string())
            }
            DbError::Missing { what } => Self::NotFound { what },
            error if error.is_unreachable() => Self::Unavailable {
                operation: "asking the database",
                source: Box::new(error),
            },
            error if error.is_full() => Self::DiskFull {
                of: "the database",
                source: Box::new(error),
            },
            other => Self::internal("asking the database", other),
        }
    }
}
