//! The general limit on requests, beside the limits on signing in that the domain keeps.
//!
//! Whoever carries a session token that we signed, or an API token that was good a moment ago, has a generous limit of
//! its own; everybody else shares one with their address. Nothing is looked up for that: a made-up token does not buy a
//! fresh limit, and a limited request costs no look-up.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use uuid::Uuid;

use crate::{AppState, client::ClientAddr, problem::ApiError, session};

/// Requests a second, and at once, of an address without a session.
const ANONYMOUS: (u32, u32) = (100, 600);
/// Requests a second, and at once, of a session.
const SIGNED_IN: (u32, u32) = (1_000, 4_000);
/// How often keys that have their whole limit again are forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// The limits of one server.
#[derive(Clone)]
pub struct Throttle {
    addresses: Arc<DefaultKeyedRateLimiter<std::net::IpAddr>>,
    sessions: Arc<DefaultKeyedRateLimiter<Uuid>>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            addresses: Arc::new(RateLimiter::keyed(quota(ANONYMOUS))),
            sessions: Arc::new(RateLimiter::keyed(quota(SIGNED_IN))),
        }
    }
}

fn quota((per_second, burst): (u32, u32)) -> Quota {
    let some = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(some(per_second)).allow_burst(some(burst))
}

impl Throttle {
    /// Forget, again and again, whoever has not asked for a while. Never returns.
    pub async fn sweep(&self) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tick.tick().await;
            self.addresses.retain_recent();
            self.sessions.retain_recent();
        }
    }

    fn check(&self, session: Option<Uuid>, client: Option<ClientAddr>) -> Result<(), Duration> {
        let checked = match (session, client) {
            (Some(session), _) => self.sessions.check_key(&session),
            (None, Some(ClientAddr(ip))) => self.addresses.check_key(&ip),
            (None, None) => Ok(()),
        };
        checked.map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

/// Middleware: turn away what is over its limit.
pub async fn limit(
    State((state, throttle)): State<(AppState, Throttle)>,
    request: Request,
    next: Next,
) -> Response {
    let session = session::token(request.headers(), &state.config).and_then(|t| state.domain.token_id(t));
    let client = request.extensions().get::<ClientAddr>().copied();
    match throttle.check(session, client) {
        Ok(()) => next.run(request).await,
        Err(wait) => ApiError::too_many(wait).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_over_its_limit_waits_and_another_does_not() {
        let throttle = Throttle::default();
        let client = |ip: &str| Some(ClientAddr(ip.parse().unwrap()));
        let passed = (0..2_000)
            .take_while(|_| throttle.check(None, client("192.0.2.1")).is_ok())
            .count();
        assert!((600..2_000).contains(&passed), "{passed}");
        assert!(throttle.check(None, client("192.0.2.2")).is_ok());
        let session = Some(Uuid::new_v4());
        assert!(throttle.check(session, client("192.0.2.1")).is_ok());
    }
}
