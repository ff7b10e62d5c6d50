//! Knobs: what an operator may set on a service, and the kinds of knob that several services share.
//!
//! A service's knobs are its `Config`: a flat struct, so that they can stand in an INI section, each with a default. It is
//! written in `knobs!`, from which whoever asks for knobs learns which there are, and what each is for.
//! What contradicts the persona is found as soon as that is known, by [`Service::program`]: who plans a machine asks for it, and
//! once more whoever builds the service.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use decnet_model::fleet::KnobKind;
use decnet_persona::{Persona, Product};
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

/// A knob whose value does not fit the machine that the service runs on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service}: {knob}: {problem}")]
pub struct Misfit {
    /// Slug of the service.
    pub service: &'static str,
    /// The knob.
    pub knob: &'static str,
    /// What is wrong with its value, with one that would do.
    pub problem: String,
}

/// The most characters of a value that a fault repeats.
const REPEATED: usize = 80;

impl Misfit {
    /// What is `given` for `knob` of service `S` has the `problem`, which follows on it; the program says `usual` by itself.
    pub(crate) fn of<S: Service>(
        knob: &'static str,
        given: &str,
        problem: impl fmt::Display,
        usual: &Product,
    ) -> Self {
        let given: String = given.chars().take(REPEATED).collect();
        Self {
            service: S::META.slug,
            knob,
            problem: format!(
                "{given:?} {problem}; leave {knob} out for {:?}, or give the machine a distribution (distro) or a seed that it fits",
                usual.banner
            ),
        }
    }
}

/// The program `own` of `persona`, which answers for service `S`, and what it says of itself: its own banner, or what an operator has
/// `given` in `knob`.
///
/// # Errors
/// Where that is not one line of at most 200 characters, or contradicts the persona.
pub(crate) fn said<S: Service>(
    persona: &Persona,
    own: Product,
    knob: &'static str,
    given: Option<&str>,
) -> Result<Product, Misfit> {
    let Some(given) = given else {
        return Ok(own);
    };
    if given.is_empty() || given.len() > 200 || given.chars().any(char::is_control) {
        let problem = "is not 1 to 200 characters in one line";
        return Err(Misfit::of::<S>(knob, given, problem, &own));
    }
    let usual = own.clone();
    persona
        .product_saying(own, given)
        .map_err(|problem| Misfit::of::<S>(knob, given, problem, &usual))
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

/// [`parse`] of what can be read of `knobs`: the defaults stand in for the others, of which [`check`] tells what is wrong.
pub fn parse_readable<S: Service>(knobs: &BTreeMap<String, Value>) -> S::Config {
    let mut readable = knobs.clone();
    readable.retain(|name, value| check::<S>(name, value).is_ok());
    parse::<S>(&readable).unwrap_or_default()
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
                Some(KnobKind::Number) => {
                    let most = told.map_or(u32::MAX, |knob| knob.most);
                    format!("{value}: a whole number from 0 to {most}")
                }
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
    /// The most that it takes, of a number.
    pub most: u32,
    /// What it does, as its documentation says.
    pub summary: &'static str,
}

/// The knobs of a service, as `knobs!` writes them down.
pub trait Knobs {
    /// Each, in order.
    const KNOBS: &'static [About];

    /// How slowly it answers.
    fn tarpit(&self) -> Tarpit {
        Tarpit::default()
    }
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
    /// See [`About::most`].
    const MOST: u32 = u32::MAX;
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
    const WORDS: &'static [&'static str] = &["never", "listed", "weak", "always", "after_3", "admin:admin"];
}

impl Knob for Tarpit {
    const KIND: KnobKind = KnobKind::Number;
    const MOST: u32 = Self::MOST_MS;
}

/// A service's `Config`: a struct whose fields have their default behind them, and whose documentation is what an operator
/// reads of each. After its own fields come those that every service has.
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
            /// Milliseconds that each answer is held back, at most 10000; with 0 none is.
            pub tarpit_ms: $crate::knob::Tarpit,
        }

        impl Default for $config {
            fn default() -> Self {
                Self {
                    $($name: $default,)*
                    tarpit_ms: $crate::knob::Tarpit::default(),
                }
            }
        }

        impl $crate::knob::Knobs for $config {
            const KNOBS: &'static [$crate::knob::About] = &[
                $($crate::knob::About {
                    name: stringify!($name),
                    kind: <$type as $crate::knob::Knob>::KIND,
                    words: <$type as $crate::knob::Knob>::WORDS,
                    most: <$type as $crate::knob::Knob>::MOST,
                    summary: concat!($($summary),+),
                },)*
                $crate::knob::Tarpit::ABOUT,
            ];

            fn tarpit(&self) -> $crate::knob::Tarpit {
                self.tarpit_ms
            }
        }
    };
}
pub(crate) use knobs;

/// How long each answer is held back, in milliseconds: up to [`Tarpit::MOST_MS`], so that a login of several answers stays within
/// the patience of clients and of the product itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Tarpit(u32);

impl Tarpit {
    /// The most that it takes.
    pub const MOST_MS: u32 = 10_000;

    /// As a knob of every service.
    pub const ABOUT: About = About {
        name: "tarpit_ms",
        kind: Self::KIND,
        words: Self::WORDS,
        most: Self::MOST,
        summary: " Milliseconds that each answer is held back, at most 10000; with 0 none is.",
    };

    /// The time.
    #[must_use]
    pub fn delay(self) -> Duration {
        Duration::from_millis(self.0.into())
    }
}

impl TryFrom<u32> for Tarpit {
    type Error = String;
    fn try_from(ms: u32) -> Result<Self, String> {
        if ms > Self::MOST_MS {
            return Err(format!("tarpit_ms {ms}: at most {}", Self::MOST_MS));
        }
        Ok(Self(ms))
    }
}

impl From<Tarpit> for u32 {
    fn from(tarpit: Tarpit) -> Self {
        tarpit.0
    }
}

/// Who gets in: the one login policy that all services share.
///
/// Written as one word (`never`, `listed`, `weak`, `always`, or `after_3` with any number from 1 to 100), or as the accounts
/// themselves: `user:password`, divided by commas.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// These names with these passwords, and nobody else. A name may stand with several passwords.
    Pairs(Vec<(String, String)>),
}

/// The most accounts that an operator may list.
const PAIRS_MAX: usize = 64;
/// The most bytes of a name or a password of these.
const PAIR_WORD_MAX: usize = 128;

impl Accept {
    /// Whether an operator has let `user` in by what it says of everybody, or of this name.
    #[must_use]
    pub fn names(&self, user: &str) -> bool {
        match self {
            Self::Always => true,
            Self::Pairs(pairs) => pairs.iter().any(|(name, _)| name == user),
            Self::Never | Self::Listed | Self::Weak | Self::AfterN(_) => false,
        }
    }
}

/// The accounts of a text. What is wrong with them is told without them: it may hold somebody's password.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pairs: Vec<&str> = text.split(',').map(str::trim).collect();
    if pairs.len() > PAIRS_MAX {
        return Err(format!("accept: {} accounts; at most {PAIRS_MAX}", pairs.len()));
    }
    let read = |(at, pair): (usize, &&str)| {
        let fault = |problem: &str| format!("accept: account {} {problem}", at + 1);
        let (name, password) = pair
            .split_once(':')
            .ok_or_else(|| fault("is not user:password (a password here holds no comma)"))?;
        if name.is_empty() {
            return Err(fault("has no name before its colon"));
        }
        if [name, password].iter().any(|word| word.len() > PAIR_WORD_MAX) {
            return Err(fault(&format!("is longer than {PAIR_WORD_MAX} bytes a word")));
        }
        if pair.chars().any(char::is_control) {
            return Err(fault("holds what is no character"));
        }
        Ok((name.to_owned(), password.to_owned()))
    };
    pairs.iter().enumerate().map(read).collect()
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Listed => f.write_str("listed"),
            Self::Weak => f.write_str("weak"),
            Self::AfterN(n) => write!(f, "after_{n}"),
            Self::Always => f.write_str("always"),
            Self::Pairs(pairs) => {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(name, password)| format!("{name}:{password}"))
                    .collect();
                f.write_str(&pairs.join(", "))
            }
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
            _ if text.contains(':') => pairs(text).map(Self::Pairs),
            _ => text
                .strip_prefix("after_")
                .and_then(|n| n.parse().ok())
                .filter(|n| (1..=100).contains(n))
                .map(Self::AfterN)
                .ok_or_else(|| {
                    let given: String = text.chars().take(40).collect();
                    format!(
                        "accept {given:?}: one of never, listed, weak, always, after_1 to after_100, or accounts as user:password, \
                         divided by commas"
                    )
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
            Accept::Pairs(vec![
                ("admin".to_owned(), "a:b c".to_owned()),
                ("admin".to_owned(), String::new()),
            ]),
        ] {
            assert_eq!(policy.to_string().parse::<Accept>(), Ok(policy));
        }
        for bad in ["", "after_0", "after_101", "after_", "maybe", "ALWAYS"] {
            assert!(bad.parse::<Accept>().is_err(), "{bad}");
        }
    }

    #[test]
    fn accounts_are_read_with_their_faults_and_the_fault_does_not_tell_a_password() {
        let read = "root:toor,admin:a:b , guest:".parse::<Accept>().unwrap();
        let pair = |name: &str, password: &str| (name.to_owned(), password.to_owned());
        assert_eq!(
            read,
            Accept::Pairs(vec![
                pair("root", "toor"),
                pair("admin", "a:b"),
                pair("guest", "")
            ])
        );
        assert!(read.names("guest") && !read.names("eva") && Accept::Always.names("eva"));
        let many = vec!["a:secret"; 65].join(",");
        let long = format!("a:secret{}", "x".repeat(128));
        for (bad, why) in [
            ("a:secret, b", "account 2 is not user:password"),
            ("a:secret,", "account 2 is not"),
            (":secret", "no name"),
            ("a:sec\u{7}ret", "no character"),
            (&many, "65 accounts; at most 64"),
            (&long, "longer than 128"),
        ] {
            let fault = bad.parse::<Accept>().unwrap_err();
            assert!(fault.contains(why) && !fault.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn a_tarpit_has_a_bound() {
        let read = |ms: u32| serde_json::from_value::<Tarpit>(ms.into());
        assert_eq!(read(200).unwrap().delay(), Duration::from_millis(200));
        assert!(read(Tarpit::MOST_MS).is_ok() && read(Tarpit::MOST_MS + 1).is_err());
        assert!(Tarpit::ABOUT.summary.contains(&Tarpit::MOST_MS.to_string()));
    }
}
