//! Server functions: what the pages ask the server for.
//!
//! They hold no rules. Each takes who asks from the request's `Visit`, asks `decnet-domain` for the permit, calls one use-case
//! or a few, and hands on the views of `decnet-model`. They live below `/ui`; programs use the REST API.

pub mod access;
pub mod account;
pub mod deploy;
pub mod evidence;
pub mod fleet;
pub mod host;
pub mod json;
pub mod settings;
#[cfg(feature = "ssr")]
mod ssr;
pub mod users;

use decnet_model::view::FieldError;
use leptos::prelude::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

/// What kind of thing went wrong, as far as a page acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// Nobody is signed in, or no longer.
    SignedOut,
    /// The password has to be changed first.
    PasswordChange,
    /// A second factor has to be set up first.
    Enrolment,
    /// This account may not do that.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The request has a fault that its maker can mend.
    Invalid,
    /// Too many attempts.
    Limited,
    /// The server could not be reached, or what it needs is not there.
    Unavailable,
    /// The server's own fault.
    Internal,
}

/// An answer that is not the one that was asked for, in words for whoever reads the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind it is.
    pub kind: FaultKind,
    /// What happened and why.
    pub detail: String,
    /// What the server's log has the full story under.
    pub error_id: Option<String>,
    /// Faults by field, where a form was filled in.
    pub fields: Vec<FieldError>,
}

/// What a server function gives.
pub type Answer<T> = Result<T, Fault>;

impl Fault {
    /// A fault of `kind`.
    #[must_use]
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            error_id: None,
            fields: Vec::new(),
        }
    }

    /// What went wrong, as a heading.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self.kind {
            FaultKind::SignedOut => "You are signed out",
            FaultKind::PasswordChange => "Choose a password first",
            FaultKind::Enrolment => "Set up a second factor first",
            FaultKind::Forbidden => "Not allowed for this account",
            FaultKind::NotFound => "There is no such thing",
            FaultKind::Invalid => "That cannot be done as asked",
            FaultKind::Limited => "Too many attempts",
            FaultKind::Unavailable => "The server does not answer",
            FaultKind::Internal => "Something went wrong on the server",
        }
    }

    /// What to do now.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.kind {
            FaultKind::SignedOut => "Sign in again; you will come back to this page.",
            FaultKind::PasswordChange | FaultKind::Enrolment => "Everything else opens once it is done.",
            FaultKind::Forbidden => "Ask an administrator for the role, or sign in with another account.",
            FaultKind::NotFound => "It may have been removed; go back to the list.",
            FaultKind::Invalid => "Change what is named above and try again.",
            FaultKind::Limited => "Wait a few minutes, then try again.",
            FaultKind::Unavailable => "Check that the server runs, then try again; nothing recorded is lost.",
            FaultKind::Internal => "Try again; if it stays, look for the error id in the server's log.",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.title(), self.detail)
    }
}

impl std::error::Error for Fault {}

impl FromServerFnError for Fault {
    type Encoder = json::JsonText;

    fn from_server_fn_error(value: ServerFnErrorErr) -> Self {
        let kind = match value {
            // Why, only the browser knows, in words of its own that help nobody.
            ServerFnErrorErr::Request(_) | ServerFnErrorErr::Response(_) => {
                return Self::new(
                    FaultKind::Unavailable,
                    "Nothing came back: the server is down, or the network on the way to it.",
                );
            }
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) => FaultKind::Invalid,
            ServerFnErrorErr::Deserialization(_) => {
                return Self::new(
                    FaultKind::Unavailable,
                    "What answered is not this server: a proxy or a sign-in page on the way, or a server of another version than this page. Loading the page again shows which.",
                );
            }
            _ => FaultKind::Internal,
        };
        Self::new(kind, value.to_string())
    }
}
