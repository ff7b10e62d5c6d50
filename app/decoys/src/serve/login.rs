//! Who gets in: what the [`Accept`] knob means, in the one place that all services ask.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use decnet_persona::Persona;
use sha2::{Digest as _, Sha256};

use super::Host;
use crate::knob::Accept;

/// The most addresses whose attempts are counted; past that the one is forgotten that has been silent for longest, one that got in last.
const ADDRESSES_MAX: usize = 1024;

/// Words that careless people choose and every guessing program tries, the commonest first; `{}` is the account's name.
const WEAK_WORDS: &[&str] = &[
    "123456",
    "{}",
    "password",
    "admin",
    "12345678",
    "{}123",
    "1234",
    "12345",
    "123456789",
    "qwerty",
    "123",
    "111111",
    "password1",
    "P@ssw0rd",
    "1q2w3e4r",
    "abc123",
    "{}1234",
    "changeme",
    "letmein",
    "test",
    "test123",
    "admin123",
    "Passw0rd",
    "passw0rd",
    "toor",
    "welcome",
    "default",
    "server",
    "000000",
    "123123",
    "qwerty123",
    "1qaz2wsx",
    "Password1",
    "Admin123",
    "{}@123",
    "{}2024",
    "linux",
    "ubuntu",
    "secret",
    "master",
    "dragon",
    "monkey",
    "iloveyou",
    "football",
    "sunshine",
    "princess",
    "987654321",
    "654321",
    "666666",
    "888888",
    "121212",
    "q1w2e3r4",
    "zaq12wsx",
    "Welcome1",
    "backup",
    "oracle",
    "user",
    "guest",
    "support",
    "service",
];

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
    /// Attempts so far, which tell who came before whom.
    turn: AtomicU64,
}

/// What is remembered of one address.
#[derive(Default)]
struct Seen {
    attempts: u32,
    /// The turn of the last one.
    last: u64,
    /// The pair that got in: user, and a digest of the password where it is known.
    admitted: Option<(Vec<u8>, Option<[u8; 32]>)>,
}

impl Logins {
    /// The policy `accept` for the accounts of the machine, as far as somebody can sign in as them.
    #[must_use]
    pub fn new(accept: &Accept, host: &Arc<Host>) -> Self {
        let people = host
            .persona
            .users
            .iter()
            .filter(|user| !user.shell.ends_with("nologin"));
        let accounts = people.map(|user| (user.name.clone(), user.password.clone()));
        Self::with_accounts(accept, &host.persona, accounts.collect())
    }

    /// The policy `accept` for `accounts` of the machine `persona`, names and passwords: for a product that keeps its own. Those that an
    /// operator lists take their place.
    #[must_use]
    pub fn with_accounts(accept: &Accept, persona: &Persona, mut accounts: Vec<(String, String)>) -> Self {
        match accept {
            Accept::Weak => {
                let weak: Vec<_> = accounts
                    .iter()
                    .filter_map(|(name, _)| Some((name.clone(), weak_word(persona, name)?)))
                    .collect();
                accounts.extend(weak);
            }
            Accept::Pairs(pairs) => accounts.clone_from(pairs),
            Accept::Never | Accept::Listed | Accept::AfterN(_) | Accept::Always => {}
        }
        Self {
            accept: accept.clone(),
            accounts,
            seen: Mutex::default(),
            turn: AtomicU64::new(0),
        }
    }

    /// Whether `user` from `address` gets in with `offer`. Counts the attempt.
    pub fn admits(&self, address: IpAddr, user: &[u8], offer: &Offer<'_>) -> bool {
        match &self.accept {
            Accept::Never => false,
            Accept::Always => true,
            Accept::Listed | Accept::Weak | Accept::Pairs(_) => self.listed(user, offer),
            Accept::AfterN(n) => self.listed(user, offer) || self.worn_down(*n, address, user, offer),
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
            let of_least_worth = seen
                .iter()
                .min_by_key(|(_, of)| (of.admitted.is_some(), of.last))
                .map(|(address, _)| *address);
            if let Some(address) = of_least_worth {
                seen.remove(&address);
            }
        }
        let of_address = seen.entry(address).or_default();
        of_address.last = self.turn.fetch_add(1, Ordering::Relaxed);
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

/// The word that everybody guesses and that opens the account `name` all the same; `None` where its owner took care. The same
/// account has the same word in every service, because people use one for all.
fn weak_word(persona: &Persona, name: &str) -> Option<String> {
    let mut rng = persona.rng(&format!("login/weak/{name}"));
    // Most of what guesses asks for the one account that every machine has.
    let careless = match name {
        "root" | "Administrator" | "admin" => rng.chance(3, 4),
        _ => rng.chance(1, 4),
    };
    // The lower of two draws: the commonest words are chosen most often.
    let place = rng.index(WEAK_WORDS.len()).min(rng.index(WEAK_WORDS.len()));
    let word = WEAK_WORDS.get(place).filter(|_| careless)?;
    Some(word.replace("{}", name))
}

#[cfg(test)]
mod tests {
    use decnet_persona::{PersonaSpec, Seed};

    use super::*;

    fn machine(seed: u8) -> Persona {
        Persona::derive(&PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server")).unwrap()
    }

    fn logins(accept: &Accept) -> Logins {
        Logins::with_accounts(accept, &machine(1), vec![("eva".to_owned(), "right".to_owned())])
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
        let logins = logins(&Accept::Listed);
        assert!(tries(&logins, 1, b"right") && !tries(&logins, 1, b"wrong"));
        let address = IpAddr::from([127, 0, 0, 1]);
        assert!(logins.admits(address, b"eva", &Offer::Proof(&|password| password == b"right")));
        assert!(!logins.admits(address, b"eva", &Offer::Proof(&|_| false)));
    }

    #[test]
    fn a_careless_machine_has_one_common_word_an_account_and_no_machine_takes_another() {
        let (mut open, mut words) = (0, std::collections::BTreeSet::<&str>::new());
        for seed in 0..60 {
            let accounts = ["root", "eva"].map(|name| (name.to_owned(), format!("own-{name}")));
            let logins = Logins::with_accounts(&Accept::Weak, &machine(seed), accounts.to_vec());
            let tries = |from: u8, user: &str, word: &str| {
                let address = IpAddr::from([127, 0, 0, from]);
                logins.admits(address, user.as_bytes(), &Offer::Password(word.as_bytes()))
            };
            for user in ["root", "eva"] {
                let found: Vec<_> = WEAK_WORDS
                    .iter()
                    .filter(|word| tries(1, user, &word.replace("{}", user)))
                    .collect();
                assert!(found.len() <= 1, "{user} of {seed}: {found:?}");
                // Nor does trying open it, however often; and every address finds the same.
                assert!((0..200).all(|n| !tries(2, user, &format!("zk3!{n}"))));
                let again: Vec<_> = WEAK_WORDS
                    .iter()
                    .filter(|word| tries(3, user, &word.replace("{}", user)))
                    .collect();
                assert_eq!(found, again);
                assert!(
                    tries(4, user, &format!("own-{user}")),
                    "its own works at the first try"
                );
                open += found.len();
                words.extend(found.into_iter().copied());
            }
            assert!(!tries(1, "nobody-here", "123456") && !tries(1, "nobody-here", "nobody-here"));
        }
        assert!((30..90).contains(&open), "{open} of 120 accounts are open");
        assert!(words.len() > 15, "{words:?}");
    }

    #[test]
    fn accounts_of_the_operator_take_the_place_of_those_of_the_machine() {
        let own = |name: &str, password: &str| (name.to_owned(), password.to_owned());
        let logins = logins(&Accept::Pairs(vec![
            own("eva", "one"),
            own("eva", "two"),
            own("bob", ""),
        ]));
        assert!(tries(&logins, 1, b"one") && tries(&logins, 1, b"two"));
        assert!(
            !tries(&logins, 1, b"right"),
            "the machine's own password is none of them"
        );
        assert!((0..200).all(|n| !tries(&logins, 2, format!("zk3!{n}").as_bytes())));
        let address = IpAddr::from([127, 0, 0, 1]);
        assert!(logins.admits(address, b"bob", &Offer::Proof(&<[u8]>::is_empty)));
        assert!(!logins.admits(address, b"nobody", &Offer::Proof(&|_| true)));
    }

    #[test]
    fn never_refuses_even_the_right_password_and_always_takes_any() {
        assert!(!tries(&logins(&Accept::Never), 1, b"right"));
        assert!(tries(&logins(&Accept::Always), 1, b"any"));
    }

    #[test]
    fn the_pair_that_wore_the_server_down_works_again_and_no_other_does() {
        let logins = logins(&Accept::AfterN(3));
        assert!(!tries(&logins, 1, b"a") && !tries(&logins, 1, b"b") && tries(&logins, 1, b"c"));
        assert!(tries(&logins, 1, b"c") && !tries(&logins, 1, b"d"));
        assert!(!tries(&logins, 2, b"c"), "another address starts anew");
    }

    #[test]
    fn the_memory_of_attempts_is_bounded_and_crowds_out_neither_who_got_in_nor_who_goes_on_trying() {
        let logins = logins(&Accept::AfterN(50));
        assert!((1..=50).all(|n| tries(&logins, 1, b"in") == (n == 50)));
        for n in 0..5000_u32 {
            logins.admits(IpAddr::from(n.to_be_bytes()), b"eva", &Offer::Password(b"x"));
            if n % 500 == 0 {
                assert!(!tries(&logins, 2, b"no"));
            }
        }
        assert!(logins.seen.lock().unwrap().len() <= ADDRESSES_MAX);
        assert!(tries(&logins, 1, b"in"), "who got in gets in again");
        assert!((1..=40).all(|n| tries(&logins, 2, b"no") == (n == 40)));
    }
}
