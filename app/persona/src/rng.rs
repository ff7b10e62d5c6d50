//! The only randomness of a persona: a stream that depends on the seed and a label, and on nothing else.
//!
//! SHA-256 in counter mode, with its own sampling, because a persona has to stay the same machine across releases:
//! no crate's sampling algorithm promises that. It is not a generator for keys of *ours*, only for those of machines
//! that do not exist.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::PersonaError;

/// What a persona is made from: 1 to 128 characters, none of them a control character.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seed(String);

impl Seed {
    /// The seed as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The seed written as hex of `bytes`, as a fleet draws it.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// The seed of number `nth` of those that this one is for. It says nothing of the others, nor of this: whoever takes one machine
    /// over learns nothing of the rest, as long as this seed cannot be guessed.
    #[must_use]
    pub fn nth(&self, nth: u32) -> Self {
        Self::from_bytes(self.rng(&format!("seed/{nth}")).bytes())
    }

    /// 32 bytes that belong to this seed and `label`; another label or seed gives unrelated ones.
    #[must_use]
    pub fn secret(&self, label: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"persona/1");
        // Lengths first, so that no pair of seed and label can be read as another pair.
        hash.update(u64::try_from(self.0.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(self.0.as_bytes());
        hash.update(label.as_bytes());
        hash.finalize().into()
    }

    /// A stream of randomness that belongs to this seed and `label`.
    #[must_use]
    pub fn rng(&self, label: &str) -> Rng {
        Rng::new(self.secret(label))
    }
}

impl TryFrom<String> for Seed {
    type Error = PersonaError;
    fn try_from(s: String) -> Result<Self, PersonaError> {
        let length = s.chars().count();
        if (1..=128).contains(&length) && !s.chars().any(char::is_control) {
            Ok(Self(s))
        } else {
            Err(PersonaError::Seed { length })
        }
    }
}

impl std::str::FromStr for Seed {
    type Err = PersonaError;
    fn from_str(s: &str) -> Result<Self, PersonaError> {
        s.to_owned().try_into()
    }
}

impl From<Seed> for String {
    fn from(seed: Seed) -> String {
        seed.0
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who knows a seed knows every secret of the machine: it stays out of logs.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// A reproducible stream of randomness: SHA-256 of key and counter.
#[derive(Clone)]
pub struct Rng {
    key: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng(..)")
    }
}

impl Rng {
    /// The stream of `key`.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            counter: 0,
            block: [0; 32],
            used: 32,
        }
    }

    fn byte(&mut self) -> u8 {
        if self.used >= self.block.len() {
            let mut hash = Sha256::new();
            hash.update(self.key);
            hash.update(self.counter.to_be_bytes());
            self.block = hash.finalize().into();
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let byte = self.block.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        byte
    }

    /// Fill `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        for slot in out {
            *slot = self.byte();
        }
    }

    /// `N` bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// Any u64.
    #[must_use]
    pub fn next_u64(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// A number below `bound`, evenly; 0 where `bound` is 0.
    #[must_use]
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Values of the incomplete last interval would favour small results: draw again.
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let drawn = self.next_u64();
            if drawn < limit {
                return drawn % bound;
            }
        }
    }

    /// A number from `low` to `high`, both included; `low` where `high` is smaller.
    #[must_use]
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// An index below `len`; 0 where `len` is 0.
    #[must_use]
    pub fn index(&mut self, len: usize) -> usize {
        let bound = u64::try_from(len).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or_default()
    }

    /// True `num` times in `den`.
    #[must_use]
    pub fn chance(&mut self, num: u64, den: u64) -> bool {
        self.below(den) < num
    }

    /// One of `items`; `None` where there are none.
    #[must_use]
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.index(items.len()))
    }

    /// One of `words`; empty where there are none.
    #[must_use]
    pub fn word<'a>(&mut self, words: &[&'a str]) -> &'a str {
        self.pick(words).copied().unwrap_or_default()
    }

    /// Put `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }

    /// `len` characters of `alphabet`, which is ASCII.
    #[must_use]
    pub fn text(&mut self, len: usize, alphabet: &[u8]) -> String {
        (0..len)
            .filter_map(|_| self.pick(alphabet).copied().map(char::from))
            .collect()
    }

    /// `digits` hex digits, lower case.
    #[must_use]
    pub fn hex(&mut self, digits: usize) -> String {
        self.text(digits, b"0123456789abcdef")
    }

    /// `digits` decimal digits; the first is not 0.
    #[must_use]
    pub fn digits(&mut self, digits: usize) -> String {
        let mut out = self.text(1, b"123456789");
        out.push_str(&self.text(digits.saturating_sub(1), b"0123456789"));
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_stream_stays_the_same_across_releases() {
        let seed: Seed = "golden".parse().unwrap();
        let mut rng = seed.rng("test");
        let drawn: Vec<u64> = (0..4).map(|_| rng.below(1_000_000)).collect();
        assert_eq!(drawn, [214_314, 807_882, 785_071, 960_432]);
        assert_eq!(rng.hex(16), "f7fa86976d315f91");
        assert_eq!(rng.text(8, b"abc"), "ccabacac");
    }

    #[test]
    fn numbered_seeds_stay_the_same_across_releases_and_do_not_lead_to_each_other() {
        let seed: Seed = "golden".parse().unwrap();
        assert_eq!(seed.nth(2).as_str(), "83b5681306d94471b8e5e977b9a6f283");
        let all: std::collections::BTreeSet<Seed> = (1..=500).map(|nth| seed.nth(nth)).collect();
        assert_eq!(all.len(), 500);
        // What an intruder with one of them could try.
        for one in [seed.nth(2), seed.nth(3)] {
            for nth in 0..=500 {
                assert!(!all.contains(&one.nth(nth)));
                let numbered = format!("{one}/{nth}").parse().unwrap();
                assert!(!all.contains(&numbered));
            }
        }
    }

    #[test]
    fn a_seed_is_not_printed_by_debug() {
        let seed: Seed = "top secret".parse().unwrap();
        assert!(!format!("{seed:?}").contains("secret"));
    }

    #[test]
    fn seeds_outside_their_length_or_with_control_characters_are_refused() {
        for bad in ["", "a\nb", &"x".repeat(129)] {
            assert!(bad.parse::<Seed>().is_err());
        }
        assert!("ä".repeat(128).parse::<Seed>().is_ok());
    }

    proptest! {
        #[test]
        fn seed_and_label_cannot_be_shifted_into_each_other(a in "[ab]{1,4}", b in "[ab]{1,4}", c in "[ab]{0,4}", d in "[ab]{0,4}") {
            prop_assume!((&a, &c) != (&b, &d));
            let (x, y): (Seed, Seed) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert_ne!(x.secret(&c), y.secret(&d));
        }

        #[test]
        fn numbers_stay_in_their_range(key: [u8; 32], low in 0_u64..1000, span in 0_u64..1000) {
            let n = super::Rng::new(key).range(low, low + span);
            prop_assert!((low..=low + span).contains(&n));
        }
    }
}
