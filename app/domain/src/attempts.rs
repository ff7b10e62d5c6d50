//! How often somebody may try to sign in: ten failures in five minutes for an address, and for a user name.
//!
//! An attempt is counted when it begins and given back when it succeeds, so that a hundred attempts at the same time
//! are a hundred attempts. An address over its limit is refused before the password is looked at. A user name over
//! its limit, which an attacker can bring about for anybody, refuses only addresses that failed themselves: the
//! victim still gets in from elsewhere, and a fresh address has one guess instead of ten.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Failures that are allowed in a [`WINDOW`].
pub(crate) const LIMIT: usize = 10;
/// The span of time that failures are counted in.
pub(crate) const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Names or addresses remembered at most; over it the one that failed longest ago is forgotten.
const REMEMBERED: usize = 50_000;

/// The attempts of the last five minutes.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    addresses: Window<IpAddr>,
    users: Window<String>,
    /// Failures at the codes of an authenticator: only who knew the password gets there.
    factors: Window<String>,
    /// Failures at recovery codes.
    recoveries: Window<Option<IpAddr>>,
}

/// What somebody shows as a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factor {
    /// A code of an authenticator: one of a million.
    Code,
    /// A recovery code: one of 2^80, which nobody guesses.
    Recovery,
}

/// An attempt that may go on. [`Attempts::succeeded`] takes it back; dropped, it stays counted.
#[derive(Debug)]
pub(crate) struct Attempt {
    address: Option<IpAddr>,
    user: String,
    at: Instant,
    factor: Option<Factor>,
    /// The user name is over its limit: a wrong password answers like a refusal, after this time.
    pub(crate) user_limited: Option<Duration>,
}

impl Attempts {
    /// Count an attempt. `Err` is how long to wait.
    pub(crate) fn begin(
        &self,
        address: Option<IpAddr>,
        user: &str,
        now: Instant,
    ) -> Result<Attempt, Duration> {
        let address = address.map(network);
        let user: String = user.chars().flat_map(char::to_lowercase).take(64).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = address.and_then(|a| seen.addresses.wait(&a, now)) {
            return Err(wait);
        }
        let user_limited = seen.users.wait(&user, now);
        if let Some(wait) = user_limited
            && address.is_none_or(|a| seen.addresses.count(&a, now) > 0)
        {
            return Err(wait);
        }
        if let Some(address) = address {
            seen.addresses.add(address, now);
        }
        seen.users.add(user.clone(), now);
        Ok(Attempt {
            address,
            user,
            at: now,
            factor: None,
            user_limited,
        })
    }

    /// Count an attempt at the second factor of `user`: to the limits of the address and of the name like any other, and a code
    /// to one of its own that no fresh address gets around. It has a million values, and whoever tries them knows the password
    /// already. A recovery code is refused by the failures of its address at recovery codes alone: it cannot be guessed, and
    /// is what whoever is locked out by somebody else's guesses gets in with.
    pub(crate) fn begin_factor(
        &self,
        factor: Factor,
        address: Option<IpAddr>,
        user: &str,
        now: Instant,
    ) -> Result<Attempt, Duration> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let address = address.map(network);
        let wait = match factor {
            Factor::Code => seen
                .factors
                .wait(&user.to_owned(), now)
                .or_else(|| address.and_then(|a| seen.addresses.wait(&a, now))),
            Factor::Recovery => seen.recoveries.wait(&address, now),
        };
        if let Some(wait) = wait {
            return Err(wait);
        }
        if let Some(address) = address {
            seen.addresses.add(address, now);
        }
        seen.users.add(user.to_owned(), now);
        match factor {
            Factor::Code => seen.factors.add(user.to_owned(), now),
            Factor::Recovery => seen.recoveries.add(address, now),
        }
        Ok(Attempt {
            address,
            user: user.to_owned(),
            at: now,
            factor: Some(factor),
            user_limited: None,
        })
    }

    /// The password was right: this attempt does not count.
    pub(crate) fn succeeded(&self, attempt: &Attempt) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = &attempt.address {
            seen.addresses.take_back(address, attempt.at);
        }
        seen.users.take_back(&attempt.user, attempt.at);
        match attempt.factor {
            None => {}
            Some(Factor::Code) => seen.factors.take_back(&attempt.user, attempt.at),
            Some(Factor::Recovery) => seen.recoveries.take_back(&attempt.address, attempt.at),
        }
    }
}

/// Who shares a limit: an IPv4 address, or the /64 that one IPv6 host has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// Times of the latest failures by key. Never more than [`LIMIT`] a key count, but a name over its limit may still
/// gain some from fresh addresses, so the oldest is dropped.
#[derive(Debug)]
struct Window<K> {
    times: HashMap<K, VecDeque<Instant>>,
}

impl<K> Default for Window<K> {
    fn default() -> Self {
        Self {
            times: HashMap::new(),
        }
    }
}

impl<K: Hash + Eq + Clone> Window<K> {
    fn count(&mut self, key: &K, now: Instant) -> usize {
        let Some(times) = self.times.get_mut(key) else {
            return 0;
        };
        while times
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW)
        {
            times.pop_front();
        }
        if times.is_empty() {
            self.times.remove(key);
            return 0;
        }
        times.len()
    }

    fn wait(&mut self, key: &K, now: Instant) -> Option<Duration> {
        if self.count(key, now) < LIMIT {
            return None;
        }
        let first = *self.times.get(key)?.front()?;
        Some(WINDOW.saturating_sub(now.saturating_duration_since(first)))
    }

    fn add(&mut self, key: K, now: Instant) {
        if self.times.len() >= REMEMBERED && !self.times.contains_key(&key) {
            self.times.retain(|_, times| {
                times
                    .back()
                    .is_some_and(|at| now.saturating_duration_since(*at) < WINDOW)
            });
            if self.times.len() >= REMEMBERED {
                let oldest = self
                    .times
                    .iter()
                    .min_by_key(|(_, t)| t.back().copied())
                    .map(|(k, _)| k.clone());
                if let Some(oldest) = oldest {
                    self.times.remove(&oldest);
                }
            }
        }
        let times = self.times.entry(key).or_default();
        times.push_back(now);
        if times.len() > LIMIT {
            times.pop_front();
        }
    }

    fn take_back(&mut self, key: &K, at: Instant) {
        if let Some(times) = self.times.get_mut(key) {
            if let Some(index) = times.iter().rposition(|t| *t == at) {
                times.remove(index);
            }
            if times.is_empty() {
                self.times.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_eleventh_failure_of_an_address_is_refused_whatever_the_name() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for n in 0..LIMIT {
            attempts.begin(ip("192.0.2.1"), &format!("user{n}"), now).unwrap();
        }
        let wait = attempts.begin(ip("192.0.2.1"), "another", now).unwrap_err();
        assert_eq!(wait, WINDOW);
        assert!(attempts.begin(ip("192.0.2.2"), "another", now).is_ok());
        assert!(attempts.begin(ip("192.0.2.1"), "another", now + WINDOW).is_ok());
    }

    #[test]
    fn a_locked_name_lets_a_fresh_address_in_and_gives_it_one_guess() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for n in 0..LIMIT {
            attempts
                .begin(ip(&format!("192.0.2.{n}")), "Victim", now)
                .unwrap();
        }
        assert!(attempts.begin(ip("192.0.2.1"), "victim", now).is_err());
        let home = attempts.begin(ip("198.51.100.7"), "victim", now).unwrap();
        assert!(home.user_limited.is_some());
        attempts.succeeded(&home);
        let guess = attempts.begin(ip("198.51.100.7"), "victim", now);
        assert!(guess.is_ok(), "a right password leaves no mark");
        assert!(
            attempts.begin(ip("198.51.100.7"), "victim", now).is_err(),
            "a wrong one does"
        );
    }

    #[test]
    fn attempts_at_the_same_time_count_before_they_are_decided() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let open = (0..50)
            .filter(|_| attempts.begin(ip("192.0.2.1"), "a", now).is_ok())
            .count();
        assert_eq!(open, LIMIT);
    }

    #[test]
    fn wrong_codes_lock_the_account_for_every_address_and_count_as_failures() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let code = |address: &str, user, now| attempts.begin_factor(Factor::Code, ip(address), user, now);
        for n in 0..LIMIT {
            let right = code("198.51.100.7", "victim", now).unwrap();
            attempts.succeeded(&right);
            code(&format!("192.0.2.{n}"), "victim", now).unwrap();
        }
        assert_eq!(code("198.51.100.7", "victim", now).unwrap_err(), WINDOW);
        assert!(code("198.51.100.7", "another", now).is_ok());
        assert!(
            attempts.begin(ip("192.0.2.1"), "victim", now).is_err(),
            "the name is over its limit"
        );
        assert!(code("198.51.100.8", "victim", now + WINDOW).is_ok());
    }

    #[test]
    fn guessed_codes_leave_recovery_codes_alone_which_have_a_limit_for_each_address() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let recovery = |address, user: &str| attempts.begin_factor(Factor::Recovery, ip(address), user, now);
        for _ in 0..LIMIT {
            attempts
                .begin_factor(Factor::Code, ip("192.0.2.1"), "victim", now)
                .unwrap();
        }
        // Even where the guesses come from where the victim is.
        for address in ["192.0.2.1", "198.51.100.7"] {
            let right = recovery(address, "victim").unwrap();
            attempts.succeeded(&right);
        }
        for n in 0..LIMIT {
            recovery("192.0.2.1", &format!("user{n}")).unwrap();
        }
        assert_eq!(recovery("192.0.2.1", "victim").unwrap_err(), WINDOW);
        assert!(recovery("198.51.100.7", "victim").is_ok());
        // Whoever fails with them is no better off with anything else.
        assert!(
            attempts
                .begin_factor(Factor::Code, ip("192.0.2.1"), "another", now)
                .is_err()
        );
        assert!(attempts.begin(ip("192.0.2.1"), "another", now).is_err());
    }

    #[test]
    fn hosts_of_one_ipv6_network_and_mapped_ipv4_addresses_share_a_limit() {
        assert_eq!(
            network("2001:db8::1".parse().unwrap()),
            network("2001:db8::ffff:2".parse().unwrap())
        );
        assert_ne!(
            network("2001:db8::1".parse().unwrap()),
            network("2001:db8:0:1::1".parse().unwrap())
        );
        assert_eq!(
            network("::ffff:192.0.2.1".parse().unwrap()),
            ip("192.0.2.1").unwrap()
        );
    }
}
