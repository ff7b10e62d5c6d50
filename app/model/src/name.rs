//! Names that have a pattern, checked where they come in.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A name that does not fit its pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?}: {rule}")]
pub struct NameError {
    /// What was being named.
    pub what: &'static str,
    /// What was given, shortened.
    pub value: String,
    /// What is allowed.
    pub rule: &'static str,
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $pattern:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, pattern = $pattern))]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(s) {
                    Ok(Self(s.to_owned()))
                } else {
                    Err(NameError { what: $what, value: s.chars().take(80).collect(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(s: String) -> Result<Self, NameError> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(n: $name) -> String {
                n.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

fn is_slug(s: &str, max: usize, also: &[u8]) -> bool {
    (1..=max).contains(&s.len())
        && s.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || also.contains(&b))
}

checked_name!(
    /// A decky's name: a label of a host name by RFC 1123, section 2.1, in lower case. The words that refuse one do not say
    /// whose it is: they stand in the program that a visitor might read.
    DeckyName,
    "name",
    "1 to 63 of a-z, 0-9 and -, with no - at its beginning or end",
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    |s| is_slug(s, 63, b"-") && !s.starts_with('-') && !s.ends_with('-')
);
checked_name!(
    /// A service of the catalogue, such as `ssh` or `smtp_relay`.
    ServiceSlug,
    "service",
    "1 to 32 of a-z, 0-9, _ and -",
    "^[a-z0-9_-]{1,32}$",
    |s| is_slug(s, 32, b"_-")
);
checked_name!(
    /// A user's name; compared without regard to case, so it is kept in lower case.
    UserName,
    "user name",
    "2 to 64 of a-z, 0-9, '.', '_', '@' and -",
    "^[a-z0-9._@-]{2,64}$",
    |s| s.len() >= 2 && is_slug(s, 64, b"._@-")
);
checked_name!(
    /// What its owner calls an API token, such as `backup on nas-2`.
    TokenName,
    "token name",
    "1 to 64 of a-z, A-Z, 0-9, '.', '_', '@', - and spaces between them",
    "^[A-Za-z0-9._@-]([A-Za-z0-9._@ -]{0,62}[A-Za-z0-9._@-])?$",
    |s| (1..=64).contains(&s.len())
        && s.trim() == s
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@- ".contains(&b))
);
checked_name!(
    /// A worker, such as `ingester`: the closed list stands in [`crate::state::WORKERS`].
    WorkerName,
    "worker",
    "1 to 32 of a-z and -",
    "^[a-z-]{1,32}$",
    |s| is_slug(s, 32, b"-") && s.bytes().all(|b| !b.is_ascii_digit())
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_their_pattern_are_refused_with_the_rule() {
        for bad in [
            "",
            "UPPER",
            "a b",
            "a/b",
            "ä",
            "../etc",
            "-",
            "-web",
            "web-",
            &"x".repeat(64),
        ] {
            let err = bad.parse::<DeckyName>().unwrap_err();
            assert!(err.to_string().contains("a-z, 0-9 and -"), "{err}");
        }
        for good in ["web-01", "w", "0", "3com", "a--b", &"x".repeat(63)] {
            assert_eq!(good.parse::<DeckyName>().unwrap().as_str(), good);
        }
        assert!(serde_json::from_str::<DeckyName>("\"no/slash\"").is_err());
    }
}
