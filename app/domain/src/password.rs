//! Passwords: which ones are allowed, and hashing them without slowing anything else down.
//!
//! Hashing is argon2id (RFC 9106) with 19 MiB, two passes and one lane, the least that OWASP's password storage
//! cheat sheet recommends. It runs on blocking threads, no more at once than the machine has cores; who does not get
//! a place in the short queue is told so at once, so that a login storm costs the attacker and not the other requests.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::DomainError;

/// The fewest characters of a password.
pub const MIN_PASSWORD: usize = 12;
/// The most characters of a password. All of them count.
pub const MAX_PASSWORD: usize = 128;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes that may wait for each one that is being computed: about a second of waiting.
const WAITING_PER_CORE: usize = 32;

/// Why a password is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Fewer than [`MIN_PASSWORD`] characters.
    #[error("at least {MIN_PASSWORD} characters")]
    TooShort,
    /// More than [`MAX_PASSWORD`] characters.
    #[error("at most {MAX_PASSWORD} characters")]
    TooLong,
    /// One that everybody tries.
    #[error("this is among the first that an attacker tries; choose another")]
    Common,
}

/// Check a new password of `user`.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn check(password: &SecretString, user: &str) -> Result<(), PasswordFault> {
    let password = password.expose_secret();
    match password.chars().count() {
        n if n < MIN_PASSWORD => Err(PasswordFault::TooShort),
        n if n > MAX_PASSWORD => Err(PasswordFault::TooLong),
        _ if is_common(password, user) => Err(PasswordFault::Common),
        _ => Ok(()),
    }
}

/// What common passwords are made of. Leaked lists hold few literal passwords of twelve characters and more: nearly
/// all of those are one of these words doubled, joined, spelt with digits, or filled up with digits and punctuation.
/// So the list holds the words, and [`is_common`] undoes the filling; that covers far more than as many literals.
const COMMON: &str = include_str!("common.txt");

/// Whether nothing is left of `password` once common words, runs of keys and digits around them are taken away.
fn is_common(password: &str, user: &str) -> bool {
    let lower = password.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 || lower.chars().all(|c| c.is_ascii_digit()) || is_run(&lower) {
        return true;
    }
    let user = user.to_lowercase();
    let core = lower.trim_matches(|c: char| !c.is_alphabetic() && c != '@' && c != '$');
    let core_without_at = core.trim_matches(|c: char| !c.is_alphabetic());
    let spelt: String = core.chars().map(unleet).filter(|c| c.is_alphabetic()).collect();
    let spelt_inner: String = core_without_at
        .chars()
        .map(unleet)
        .filter(|c| c.is_alphabetic())
        .collect();
    let letters: String = lower.chars().filter(|c| c.is_alphabetic()).collect();
    [spelt, spelt_inner, letters]
        .iter()
        .any(|text| is_made_of_common_words(text, &user))
}

/// The letter that a digit or a sign stands for in a password.
fn unleet(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        '8' => 'b',
        other => other,
    }
}

/// Whether every character follows its neighbour on a keyboard row or in the alphabet, one way or the other.
fn is_run(text: &str) -> bool {
    const ROWS: [&str; 6] = [
        "abcdefghijklmnopqrstuvwxyz",
        "01234567890",
        "qwertyuiop[]",
        "asdfghjkl;'",
        "zxcvbnm,./",
        "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    ];
    let neighbours = |a: char, b: char| {
        ROWS.iter().any(|row| {
            let place = |c| row.chars().position(|r| r == c);
            matches!((place(a), place(b)), (Some(a), Some(b)) if a.abs_diff(b) <= 1)
        })
    };
    let chars: Vec<char> = text.chars().collect();
    let broken = chars
        .windows(2)
        .filter(|w| matches!(w, [a, b] if !neighbours(*a, *b)))
        .count();
    // A run may begin anew a few times: `qwertyuiopasdfgh`, `123456qwerty`.
    broken * 5 < chars.len()
}

/// Whether `text` can be cut into common words without a rest.
fn is_made_of_common_words(text: &str, user: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let words = || {
        COMMON
            .lines()
            .filter(|w| !w.is_empty())
            .chain((user.len() >= 3).then_some(user))
    };
    let mut reachable = vec![false; text.len() + 1];
    if let Some(start) = reachable.first_mut() {
        *start = true;
    }
    for at in 0..text.len() {
        if reachable.get(at) != Some(&true) {
            continue;
        }
        let Some(rest) = text.get(at..) else { continue };
        for word in words().filter(|w| rest.starts_with(w)) {
            if let Some(end) = reachable.get_mut(at + word.len()) {
                *end = true;
            }
        }
    }
    reachable.last() == Some(&true)
}

/// Computes hashes within bounds.
pub(crate) struct Hasher {
    argon2: Argon2<'static>,
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// What a login of an unknown user is checked against, so that it takes as long as any other.
    dummy: String,
}

impl Hasher {
    pub(crate) fn new(parallelism: usize) -> Result<Self, DomainError> {
        const DOING: &str = "setting up the password hash";
        let parallelism = parallelism.max(1);
        let params =
            Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| DomainError::internal(DOING, e))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = argon2
            .hash_password(uuid::Uuid::new_v4().as_bytes())
            .map_err(|e| DomainError::internal(DOING, e))?
            .to_string();
        Ok(Self {
            argon2,
            running: Arc::new(Semaphore::new(parallelism)),
            places: Arc::new(Semaphore::new(parallelism * (1 + WAITING_PER_CORE))),
            dummy,
        })
    }

    /// Hash a new password, as a PHC string with its salt and parameters.
    pub(crate) async fn hash(&self, password: &SecretString) -> Result<String, DomainError> {
        let (argon2, password) = (self.argon2.clone(), password.clone());
        self.run("hashing a password", move || {
            argon2
                .hash_password(password.expose_secret().as_bytes())
                .map(|hash| hash.to_string())
        })
        .await?
        .map_err(|e| DomainError::internal("hashing a password", e))
    }

    /// Whether `password` is the one that `stored` was made from. Takes as long where there is no `stored`.
    pub(crate) async fn verify(
        &self,
        password: &SecretString,
        stored: Option<&str>,
    ) -> Result<bool, DomainError> {
        let known = stored.is_some();
        let (argon2, password) = (self.argon2.clone(), password.clone());
        let stored = stored.unwrap_or(&self.dummy).to_owned();
        let same = self
            .run("checking a password", move || {
                PasswordHash::new(&stored).map(|hash| {
                    argon2
                        .verify_password(password.expose_secret().as_bytes(), &hash)
                        .is_ok()
                })
            })
            .await?
            .map_err(|e| DomainError::internal("reading a stored password hash", e.to_string()))?;
        Ok(same && known)
    }

    /// Whether `stored` was made with other parameters than today's.
    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        PasswordHash::new(stored).map_or(true, |hash| {
            hash.algorithm != Algorithm::Argon2id.ident()
                || Params::try_from(&hash).map_or(true, |p| {
                    (p.m_cost(), p.t_cost(), p.p_cost()) != (MEMORY_KIB, PASSES, LANES)
                })
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DomainError> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(DomainError::Busy {
                retry_after: Duration::from_secs(2),
            });
        };
        let turn = self
            .running
            .clone()
            .acquire_owned()
            .await
            .map_err(|e| DomainError::internal(operation, e))?;
        // Both stay taken until the hash is computed, even when the request is given up meanwhile.
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        })
        .await
        .map_err(|e| DomainError::internal(operation, e))
    }
}

/// A password that cannot be guessed: 120 bits in letters and digits that cannot be taken for each other.
#[must_use]
pub fn generate() -> SecretString {
    const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789X";
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let mut text = String::with_capacity(29);
    // Bytes 6 and 8 of a random UUID carry its version: they are left out.
    let random = a
        .as_bytes()
        .iter()
        .chain(b.as_bytes())
        .enumerate()
        .filter(|(n, _)| !matches!(n % 16, 6 | 8));
    for (n, (_, byte)) in random.take(24).enumerate() {
        if n > 0 && n % 6 == 0 {
            text.push('-');
        }
        text.extend(ALPHABET.get(usize::from(byte % 32)).map(|b| char::from(*b)));
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> Result<(), PasswordFault> {
        check(&text.to_owned().into(), "alice")
    }

    #[test]
    fn common_passwords_are_refused_however_they_are_dressed_up() {
        for bad in [
            "password1234",
            "Password12345!",
            "P@ssw0rd2024!!",
            "passwordpassword",
            "qwertyuiop123",
            "1q2w3e4r5t6y",
            "123456789012",
            "adminadmin123",
            "Welcome2024!!",
            "letmeinletmein",
            "iloveyou12345",
            "aaaaaaaaaaaa",
            "abcdefghijkl",
            "changeme1234",
            "alice1234567",
            "alicepassword",
            "Sommer2024!!!",
            "qwerty123456",
            "q1w2e3r4t5y6",
        ] {
            assert_eq!(check_text(bad), Err(PasswordFault::Common), "{bad}");
        }
    }

    #[test]
    fn ordinary_good_passwords_pass() {
        for good in [
            "correct horse battery staple",
            "vT9#kqLm2!xz",
            "Mein Hund frisst Tulpen",
            "пароль-из-трёх-слов",
            "blue-otter-41-canoe",
        ] {
            assert_eq!(check_text(good), Ok(()), "{good}");
        }
        assert_eq!(check(&generate(), "admin"), Ok(()));
    }

    #[test]
    fn length_is_counted_in_characters_at_both_ends() {
        assert_eq!(check_text("vT9#kqLm2!x"), Err(PasswordFault::TooShort));
        let long: String = "vT9#kqLm2!xä".chars().cycle().take(MAX_PASSWORD).collect();
        assert_eq!(check_text(&long), Ok(()));
        assert_eq!(check_text(&format!("{long}x")), Err(PasswordFault::TooLong));
    }

    #[tokio::test]
    async fn the_last_character_of_the_longest_password_counts() {
        let hasher = Hasher::new(2).unwrap();
        let long = "é".repeat(MAX_PASSWORD - 1);
        let hash = hasher.hash(&format!("{long}a").into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(
            hasher
                .verify(&format!("{long}a").into(), Some(&hash))
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(&format!("{long}b").into(), Some(&hash))
                .await
                .unwrap()
        );
        assert!(!hasher.verify(&"anything".to_owned().into(), None).await.unwrap());
        assert!(!hasher.is_outdated(&hash));
        assert!(hasher.is_outdated(&hash.replace("m=19456", "m=8192")));
    }

    #[tokio::test]
    async fn a_storm_is_turned_away_and_not_queued_without_end() {
        let hasher = Arc::new(Hasher::new(1).unwrap());
        let storm: Vec<_> = (0..200)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.verify(&"wrong".to_owned().into(), None).await })
            })
            .collect();
        let mut refused = 0;
        for one in storm {
            refused += usize::from(matches!(one.await.unwrap(), Err(DomainError::Busy { .. })));
        }
        assert_eq!(refused, 200 - (1 + WAITING_PER_CORE));
    }
}
