//! Typed ids: a user's id cannot be handed over where an attacker's is wanted.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    )*};
}

typed_id! {
    /// A source address seen at any decky.
    AttackerId,
    /// Somebody who may sign in.
    UserId,
    /// One login: the `jti` of its token.
    TokenId,
    /// A token that its owner made for programs.
    ApiTokenId,
    /// One deploy, teardown, redeploy or mutation: what its progress is reported under.
    TaskId,
    /// Networks of deckies that are one picture to an intruder.
    TopologyId,
    /// A rule by which lines are not looked at.
    IgnoreRuleId,
    /// An error that a client was told about and that stands in the log in full.
    ErrorId,
}

/// A stored log row: rising in the order in which the ingester stored them, so it also pages and resumes streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogId(pub i64);
