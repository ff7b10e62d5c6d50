//! What the server hands to every page and server function, as one Leptos context.
//!
//! Whoever mounts the app provides a [`Visit`] in the closure of `leptos_routes_with_context` and of the server
//! functions' handler. Whoever asks is found out there, once a request; nothing in this crate reads a cookie.

use std::sync::Arc;

use axum::http::HeaderValue;
use decnet_domain::{Actor, Challenge, Domain, SignedIn, Source};
use secrecy::SecretString;

use crate::url;

/// What a browser is to keep for us, out of reach of scripts.
#[derive(Debug, Clone, Copy)]
pub enum Cookie<'a> {
    /// The session that just began; none to end the one that it has.
    Session(Option<&'a SignedIn>),
    /// The proof that the password was right, until a code follows; none once it has.
    Challenge(Option<&'a Challenge>),
}

/// Makes the value of a `Set-Cookie` header. Nothing where it cannot be made, which the server has logged.
pub type Cookies = Arc<dyn Fn(Cookie<'_>) -> Option<HeaderValue> + Send + Sync>;

/// One request and who makes it.
#[derive(Clone)]
pub struct Visit {
    /// The use-cases.
    pub domain: Domain,
    /// Who asks; absent where no valid session came with the request.
    pub actor: Option<Actor>,
    /// Where it came from.
    pub from: Source,
    /// The proof that came with the request that its password was right, where a second factor is still due.
    pub challenge: Option<SecretString>,
    /// How a browser is told what to keep.
    pub cookie: Cookies,
    /// Called by a page that has nothing to show at its address.
    pub nothing_here: Arc<dyn Fn() + Send + Sync>,
    /// Called by a page whose content whoever asks may not see.
    pub not_allowed: Arc<dyn Fn() + Send + Sync>,
}

/// Where whoever asks for the page at `here` (its path and query) has to go first: to the login, to the choice of a
/// password of their own, or to a second factor where the configuration asks for one.
#[must_use]
pub fn detour(actor: Option<&Actor>, here: &str) -> Option<String> {
    let path = here.split('?').next().unwrap_or_default();
    match actor {
        _ if path == "/login" => None,
        None => Some(url::login(here)),
        Some(actor) if actor.must_change_password() => (path != "/password").then(|| "/password".to_owned()),
        Some(actor) if actor.must_enrol() => (path != "/second-factor").then(|| "/second-factor".to_owned()),
        Some(_) => None,
    }
}
