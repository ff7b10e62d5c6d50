//! Knobs: what an operator may set on a service, and the kinds of knob that several services share.
//!
//! A service's knobs are its `Config`: a flat struct, so that they can stand in an INI section, each with a default.
//! What contradicts the persona is found when the service is built, because only then the persona is known.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Service;

/// A knob that a service does not have, or a value that it does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service}: {problem}")]
pub struct KnobFault {
    /// Slug of the service, as it was given.
    pub service: String,
    /// What is wrong, with what is allowed.
    pub problem: String,
}

/// The typed knobs of service `S`; the defaults for those that are not given.
///
/// # Errors
/// On an unknown knob or a value of the wrong kind.
pub fn parse<S: Service>(knobs: &BTreeMap<String, Value>) -> Result<S::Config, KnobFault> {
    let object = Value::Object(knobs.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
    serde_json::from_value(object).map_err(|error| KnobFault {
        service: S::META.slug.to_owned(),
        problem: error.to_string(),
    })
}

/// Who gets in: the one login policy that all services share.
///
/// Written as one word: `never`, `listed`, `weak`, `always`, or `after_3` (any number from 1 to 100).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Accept {
    /// Nobody.
    Never,
    /// The accounts of the persona, with their passwords.
    #[default]
    Listed,
    /// As [`Accept::Listed`], and some accounts have a word beside it that everybody guesses: which of them, and which word, is
    /// the machine's own and does not change, as with a careless operator.
    Weak,
    /// From this attempt of one address on. The pair that got in keeps working for that address, as a guessed
    /// password does; others are refused. It takes in whatever a bot brings, and gives itself away to whoever tries
    /// passwords that nobody has.
    AfterN(u32),
    /// Everybody.
    Always,
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Listed => f.write_str("listed"),
            Self::Weak => f.write_str("weak"),
            Self::AfterN(n) => write!(f, "after_{n}"),
            Self::Always => f.write_str("always"),
        }
    }
}

impl From<Accept> for String {
    fn from(accept: Accept) -> Self {
        accept.to_string()
    }
}

impl TryFrom<String> for Accept {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Accept {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "listed" => Ok(Self::Listed),
            "weak" => Ok(Self::Weak),
            "always" => Ok(Self::Always),
            _ => text
                .strip_prefix("after_")
                .and_then(|n| n.parse().ok())
                .filter(|n| (1..=100).contains(n))
                .map(Self::AfterN)
                .ok_or_else(|| {
                    let given: String = text.chars().take(40).collect();
                    format!("accept {given:?}: one of never, listed, weak, always, after_1 to after_100")
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_policy_is_one_word_both_ways() {
        for policy in [
            Accept::Never,
            Accept::Listed,
            Accept::Weak,
            Accept::AfterN(3),
            Accept::Always,
        ] {
            assert_eq!(policy.to_string().parse::<Accept>(), Ok(policy));
        }
        for bad in ["", "after_0", "after_101", "after_", "maybe", "ALWAYS"] {
            assert!(bad.parse::<Accept>().is_err(), "{bad}");
        }
    }
}
