//! The general limit on requests, beside the limits on signing in that the domain keeps.
//!
//! Whoever carries a session token that we signed, or an API token that was good a moment ago, has a generous limit of
//! its own; everybody else shares one with their address. Nothing is looked up for that: a made-up token does not buy a
//! fresh limit, and a limited request costs no look-up.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use uuid::Uuid;

use crate::client::ClientAddr;

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
    /// What the limits count by: to make one asks the processor what it is, which is slow in a virtual machine.
    clock: DefaultClock,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            addresses: Arc::new(RateLimiter::keyed(quota(ANONYMOUS))),
            sessions: Arc::new(RateLimiter::keyed(quota(SIGNED_IN))),
            clock: DefaultClock::default(),
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

    /// Whether a request of `client`, which carries this session or API token, is within its limit.
    ///
    /// # Errors
    /// How long to wait, where it is not.
    pub fn admit(&self, session: Option<Uuid>, ClientAddr(ip): ClientAddr) -> Result<(), Duration> {
        let checked = match session {
            Some(session) => self.sessions.check_key(&session),
            None => self.addresses.check_key(&ip),
        };
        checked.map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_over_its_limit_waits_and_another_does_not() {
        let throttle = Throttle::default();
        let client = |ip: &str| ClientAddr(ip.parse().unwrap());
        let passed = (0..2_000)
            .take_while(|_| throttle.admit(None, client("192.0.2.1")).is_ok())
            .count();
        assert!((600..2_000).contains(&passed), "{passed}");
        assert!(throttle.admit(None, client("192.0.2.2")).is_ok());
        let session = Some(Uuid::new_v4());
        assert!(throttle.admit(session, client("192.0.2.1")).is_ok());
    }
}
