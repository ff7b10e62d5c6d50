//! What the server hands to every page and server function, as one Leptos context.
//!
//! Whoever mounts the app provides a [`Visit`] in the closure of `leptos_routes_with_context` and of the server
//! functions' handler. Whoever asks is found out there, once a request; nothing in this crate reads a cookie.

use std::sync::Arc;

use axum::http::HeaderValue;
use decnet_domain::{Actor, Domain, SignedIn, Source};

use crate::url;

/// Makes the value of a `Set-Cookie` header: for a new session, or (`None`) to end one. Nothing where it cannot be made,
/// which the server has logged.
pub type SessionCookie = Arc<dyn Fn(Option<&SignedIn>) -> Option<HeaderValue> + Send + Sync>;

/// One request and who makes it.
#[derive(Clone)]
pub struct Visit {
    /// The use-cases.
    pub domain: Domain,
    /// Who asks; absent where no valid session came with the request.
    pub actor: Option<Actor>,
    /// Where it came from.
    pub from: Source,
    /// How a session is begun and ended.
    pub cookie: SessionCookie,
    /// Called by a page that has nothing to show at its address.
    pub nothing_here: Arc<dyn Fn() + Send + Sync>,
}

/// Where whoever asks for the page at `here` (its path and query) has to go first: to the login, or to the choice of a
/// password of their own.
#[must_use]
pub fn detour(actor: Option<&Actor>, here: &str) -> Option<String> {
    let path = here.split('?').next().unwrap_or_default();
    match actor {
        _ if path == "/login" => None,
        None => Some(url::login(here)),
        Some(actor) if actor.must_change_password() && path != "/password" => Some("/password".to_owned()),
        Some(_) => None,
    }
}
