//! Who gets in: what the [`Accept`] knob means, in the one place that all services ask.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};

use super::Host;
use crate::knob::Accept;

/// The most addresses whose attempts are counted; past that the whole count starts again.
const ADDRESSES_MAX: usize = 1024;

/// What a visitor offers to prove who it is.
pub enum Offer<'a> {
    /// The password itself.
    Password(&'a [u8]),
    /// A response to a challenge: tells whether it was made with the given password.
    Proof(&'a (dyn Fn(&[u8]) -> bool + Sync)),
}

/// The login policy of one service.
pub struct Logins {
    accept: Accept,
    host: Arc<Host>,
    seen: Mutex<HashMap<IpAddr, Seen>>,
}

/// What is remembered of one address.
#[derive(Default)]
struct Seen {
    attempts: u32,
    /// The pair that got in: user, and a digest of the password where it is known.
    admitted: Option<(Vec<u8>, Option<[u8; 32]>)>,
}

impl Logins {
    /// The policy `accept` for the accounts of `host`.
    #[must_use]
    pub fn new(accept: Accept, host: &Arc<Host>) -> Self {
        Self {
            accept,
            host: Arc::clone(host),
            seen: Mutex::default(),
        }
    }

    /// Whether `user` from `address` gets in with `offer`. Counts the attempt.
    pub fn admits(&self, address: IpAddr, user: &[u8], offer: &Offer<'_>) -> bool {
        match self.accept {
            Accept::Never => false,
            Accept::Always => true,
            Accept::Listed => self.listed(user, offer),
            Accept::AfterN(n) => self.listed(user, offer) || self.worn_down(n, address, user, offer),
        }
    }

    fn listed(&self, user: &[u8], offer: &Offer<'_>) -> bool {
        self.host.persona.users.iter().any(|account| {
            account.name.as_bytes() == user
                && match offer {
                    Offer::Password(given) => account.password.as_bytes() == *given,
                    Offer::Proof(made_with) => made_with(account.password.as_bytes()),
                }
        })
    }

    fn worn_down(&self, n: u32, address: IpAddr, user: &[u8], offer: &Offer<'_>) -> bool {
        let digest = match offer {
            Offer::Password(given) => Some(<[u8; 32]>::from(Sha256::digest(given))),
            Offer::Proof(_) => None,
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= ADDRESSES_MAX && !seen.contains_key(&address) {
            seen.clear();
        }
        let of_address = seen.entry(address).or_default();
        if let Some((admitted, password)) = &of_address.admitted {
            return admitted == user && (digest.is_none() || password.is_none() || *password == digest);
        }
        of_address.attempts = of_address.attempts.saturating_add(1);
        if of_address.attempts < n {
            return false;
        }
        of_address.admitted = Some((user.to_vec(), digest));
        true
    }
}
