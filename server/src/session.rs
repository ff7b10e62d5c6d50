//! Who sends a request: a session cookie or `Authorization: Bearer`. A token in a URL is never looked at.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use decnet_domain::{Actor, Bearer, Challenge, Domain, DomainError, Permit, SignedIn, Source};
use decnet_model::permission::Permission;
use secrecy::{ExposeSecret, SecretString};

use crate::{AppState, Config, client::ClientAddr, problem::ApiError};

/// How long a browser keeps what stands between a password and a code. What it keeps has an end of its own, too.
const CHALLENGE_S: u64 = 300;

/// What a request carries, from the header or else the cookie, where it is a token of ours.
#[must_use]
pub fn bearer(headers: &HeaderMap, state: &AppState) -> Option<Bearer> {
    state.domain.bearer(token(headers, &state.config)?)
}

fn token<'a>(headers: &'a HeaderMap, config: &Config) -> Option<&'a str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        // Whoever sends the header means it: the cookie is not a second try.
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    read_cookie(headers, cookie_name(config)).filter(|token| !decnet_domain::is_api_token(token))
}

/// With TLS the name's prefix makes browsers refuse a cookie that another host or path has set
/// (RFC 6265bis section 4.1.3.2).
fn cookie_name(config: &Config) -> &'static str {
    if config.is_https() {
        "__Host-decnet_session"
    } else {
        "decnet_session"
    }
}

/// The cookie of a session that just began.
pub fn cookie(signed_in: &SignedIn, config: &Config) -> Result<HeaderValue, ApiError> {
    set_cookie(
        signed_in.token.expose_secret(),
        signed_in.lifetime.as_secs(),
        config,
    )
}

/// The cookie that makes a browser forget its session.
pub fn no_cookie(config: &Config) -> Result<HeaderValue, ApiError> {
    set_cookie("", 0, config)
}

/// The cookie of somebody whose password was right and whose code is still due; none to forget it.
pub fn challenge_cookie(challenge: Option<&Challenge>, config: &Config) -> Result<HeaderValue, ApiError> {
    let value = challenge.map_or("", |challenge| challenge.text.expose_secret());
    let seconds = challenge.map_or(0, |_| CHALLENGE_S);
    write_cookie(challenge_name(config), value, seconds, config)
}

/// What that cookie says.
#[must_use]
pub fn challenge(headers: &HeaderMap, config: &Config) -> Option<SecretString> {
    read_cookie(headers, challenge_name(config)).map(Into::into)
}

fn challenge_name(config: &Config) -> &'static str {
    if config.is_https() {
        "__Host-decnet_challenge"
    } else {
        "decnet_challenge"
    }
}

fn set_cookie(value: &str, max_age_s: u64, config: &Config) -> Result<HeaderValue, ApiError> {
    write_cookie(cookie_name(config), value, max_age_s, config)
}

fn write_cookie(name: &str, value: &str, max_age_s: u64, config: &Config) -> Result<HeaderValue, ApiError> {
    let secure = if config.is_https() { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}");
    let mut header = HeaderValue::try_from(text).map_err(ApiError::internal)?;
    header.set_sensitive(true);
    Ok(header)
}

fn read_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// Who sends the request.
///
/// # Errors
/// 401 where nobody is signed in.
pub async fn actor(parts: &Parts, state: &AppState) -> Result<Actor, DomainError> {
    let bearer = parts
        .extensions
        .get::<Bearer>()
        .ok_or(DomainError::Unauthenticated)?;
    state.domain.authenticate(bearer, source(parts)).await
}

/// Where the request comes from.
#[must_use]
pub fn source(parts: &Parts) -> Source {
    let ip = parts.extensions.get::<ClientAddr>().map(|ClientAddr(ip)| *ip);
    let agent = parts.headers.get(header::USER_AGENT);
    Source::new(ip, agent.map(HeaderValue::as_bytes))
}

/// Extractor: where the request comes from.
#[derive(Debug)]
pub struct From(pub Source);

impl<S: Send + Sync> FromRequestParts<S> for From {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(source(parts)))
    }
}

/// Extractor: whoever is signed in, whatever they may do.
#[derive(Debug)]
pub struct Signed(pub Actor);

impl FromRequestParts<AppState> for Signed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Ok(Self(actor(parts, state).await?))
    }
}

/// Extractor: the use-cases and the permit for `P`. A handler that takes it cannot be reached without the role.
pub struct May<P> {
    /// The use-cases.
    pub domain: Domain,
    /// What they want to see.
    pub permit: Permit<P>,
}

impl<P: Permission> May<P> {
    /// Whether whoever sends this request may.
    ///
    /// # Errors
    /// 401 where nobody is signed in, 403 without the role.
    pub async fn of(parts: &Parts, state: &AppState) -> Result<Self, ApiError> {
        let actor = actor(parts, state).await?;
        Ok(Self {
            permit: state.domain.permit::<P>(&actor)?,
            domain: state.domain.clone(),
        })
    }
}

impl<P: Permission> FromRequestParts<AppState> for May<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Self::of(parts, state).await
    }
}
