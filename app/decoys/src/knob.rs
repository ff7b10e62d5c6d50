//! Knobs: what an operator may set on a service, and the kinds of knob that several services share.
//!
//! A service's knobs are its `Config`: a flat struct, so that they can stand in an INI section, each with a default. It is
//! written in `knobs!`, from which whoever asks for knobs learns which there are, and what each is for.
//! What contradicts the persona is found when the service is built, because only then the persona is known.

use std::{collections::BTreeMap, fmt, str::FromStr};

use decnet_model::fleet::KnobKind;
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

/// What is wrong with one knob of service `S`, whatever its other knobs are.
///
/// # Errors
/// On an unknown knob or a value of the wrong kind.
pub fn check<S: Service>(name: &str, value: &Value) -> Result<(), KnobFault> {
    let told = S::Config::KNOBS.iter().find(|knob| knob.name == name);
    parse::<S>(&BTreeMap::from([(name.to_owned(), value.clone())]))
        .map(drop)
        .map_err(|fault| KnobFault {
            problem: match told.map(|knob| knob.kind) {
                Some(KnobKind::Switch) => format!("{value}: true or false"),
                Some(KnobKind::Number) => format!("{value}: a whole number from 0 to {}", u32::MAX),
                Some(KnobKind::Text | KnobKind::Choice) | None => fault.problem,
            },
            ..fault
        })
}

/// What is known of a knob without setting it.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: KnobKind,
    /// The words that it takes, or of a text those that are worth a try.
    pub words: &'static [&'static str],
    /// What it does, as its documentation says.
    pub summary: &'static str,
}

/// The knobs of a service, as `knobs!` writes them down.
pub trait Knobs {
    /// Each, in order.
    const KNOBS: &'static [About];
}

/// For services without any.
impl Knobs for () {
    const KNOBS: &'static [About] = &[];
}

/// A type that a knob can have.
pub trait Knob {
    /// How it is asked for.
    const KIND: KnobKind;
    /// See [`About::words`].
    const WORDS: &'static [&'static str] = &[];
}

impl Knob for bool {
    const KIND: KnobKind = KnobKind::Switch;
}

impl Knob for u32 {
    const KIND: KnobKind = KnobKind::Number;
}

impl Knob for Option<String> {
    const KIND: KnobKind = KnobKind::Text;
}

impl Knob for Accept {
    const KIND: KnobKind = KnobKind::Text;
    const WORDS: &'static [&'static str] = &["never", "listed", "weak", "always", "after_3"];
}

/// A service's `Config`: a struct whose fields have their default behind them, and whose documentation is what an operator
/// reads of each.
macro_rules! knobs {
    (
        $(#[doc = $about:literal])+
        pub struct $config:ident {
            $($(#[doc = $summary:literal])+ pub $name:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields, rename = "knobs")]
        pub struct $config {
            $($(#[doc = $summary])+ pub $name: $type,)*
        }

        impl Default for $config {
            fn default() -> Self {
                Self { $($name: $default),* }
            }
        }

        impl $crate::knob::Knobs for $config {
            const KNOBS: &'static [$crate::knob::About] = &[$($crate::knob::About {
                name: stringify!($name),
                kind: <$type as $crate::knob::Knob>::KIND,
                words: <$type as $crate::knob::Knob>::WORDS,
                summary: concat!($($summary),+),
            }),*];
        }
    };
}
pub(crate) use knobs;

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
