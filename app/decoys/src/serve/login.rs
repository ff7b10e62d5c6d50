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
    /// Names and passwords.
    accounts: Vec<(String, String)>,
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
    /// The policy `accept` for the accounts of the machine, as far as somebody can sign in as them.
    #[must_use]
    pub fn new(accept: Accept, host: &Arc<Host>) -> Self {
        let people = host
            .persona
            .users
            .iter()
            .filter(|user| !user.shell.ends_with("nologin"));
        let accounts = people.map(|user| (user.name.clone(), user.password.clone()));
        Self::with_accounts(accept, accounts.collect())
    }

    /// The policy `accept` for `accounts`, names and passwords: for a product that keeps its own.
    #[must_use]
    pub fn with_accounts(accept: Accept, accounts: Vec<(String, String)>) -> Self {
        Self {
            accept,
            accounts,
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
        self.accounts.iter().any(|(name, password)| {
            name.as_bytes() == user
                && match offer {
                    Offer::Password(given) => password.as_bytes() == *given,
                    Offer::Proof(made_with) => made_with(password.as_bytes()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(accept: Accept) -> Logins {
        Logins::with_accounts(accept, vec![("eva".to_owned(), "right".to_owned())])
    }

    fn tries(logins: &Logins, from: u8, password: &[u8]) -> bool {
        logins.admits(
            IpAddr::from([127, 0, 0, from]),
            b"eva",
            &Offer::Password(password),
        )
    }

    #[test]
    fn listed_accounts_get_in_with_their_password_or_a_proof_of_it() {
        let logins = logins(Accept::Listed);
        assert!(tries(&logins, 1, b"right") && !tries(&logins, 1, b"wrong"));
        let address = IpAddr::from([127, 0, 0, 1]);
        assert!(logins.admits(address, b"eva", &Offer::Proof(&|password| password == b"right")));
        assert!(!logins.admits(address, b"eva", &Offer::Proof(&|_| false)));
    }

    #[test]
    fn never_refuses_even_the_right_password_and_always_takes_any() {
        assert!(!tries(&logins(Accept::Never), 1, b"right"));
        assert!(tries(&logins(Accept::Always), 1, b"any"));
    }

    #[test]
    fn the_pair_that_wore_the_server_down_works_again_and_no_other_does() {
        let logins = logins(Accept::AfterN(3));
        assert!(!tries(&logins, 1, b"a") && !tries(&logins, 1, b"b") && tries(&logins, 1, b"c"));
        assert!(tries(&logins, 1, b"c") && !tries(&logins, 1, b"d"));
        assert!(!tries(&logins, 2, b"c"), "another address starts anew");
    }

    #[test]
    fn the_memory_of_attempts_is_bounded() {
        let logins = logins(Accept::AfterN(100));
        for n in 0..5000_u32 {
            logins.admits(IpAddr::from(n.to_be_bytes()), b"eva", &Offer::Password(b"x"));
        }
        assert!(logins.seen.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}
