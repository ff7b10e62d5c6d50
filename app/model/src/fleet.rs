//! What an operator asks for when deploying: one shape, whether it comes from the command line, an INI file, the
//! wizard or the API. Checking it is `decnet-fleet`'s business.

use std::{collections::BTreeMap, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    name::{DeckyName, ServiceSlug},
    state::text_enum,
};

/// A fleet, or an addition to one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FleetSpec {
    /// The deckies, or groups of like ones.
    pub deckies: Vec<DeckySpec>,
    /// Take down every decky that is not in this list.
    pub replace: bool,
}

/// One decky, or `amount` of the same kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeckySpec {
    /// Its name; a prefix where `amount` is over one; made from the archetype where absent.
    pub name: Option<DeckyName>,
    /// How many; one where absent.
    pub amount: Option<u32>,
    /// Slug of the archetype; needed where there are no services.
    pub archetype: Option<String>,
    /// Services with their knobs; the archetype's where empty.
    pub services: Vec<ServiceSpec>,
    /// Choose other services that fit the archetype, by the seed.
    pub randomize_services: bool,
    /// Slug of the distribution; one that fits the archetype where absent.
    pub distro: Option<String>,
    /// Operating-system family, where the archetype's does not do.
    pub os: Option<String>,
    /// Address; the next free one where absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "ip"))]
    pub ip: Option<IpAddr>,
    /// Hardware address; one of a fitting vendor where absent.
    pub mac: Option<String>,
    /// Host name; made from the seed where absent.
    pub hostname: Option<String>,
    /// What the persona is made from, 1 to 128 characters; drawn where absent.
    pub seed: Option<String>,
    /// Folder of the operator's own bait, from `/` on; empty for the built-in one, which is there where absent. Over the
    /// network, only folders in `bait` of the data directory may be named.
    pub bait: Option<String>,
    /// Minutes between mutations; never where absent.
    pub mutate_interval_minutes: Option<u32>,
    /// What it may begin by itself, where its engine can keep it from that: `deny`, `dns` or `allow`; nothing where absent.
    pub egress: Option<String>,
}

/// What a decky may begin by itself, besides answering its visitors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Egress {
    /// Nothing.
    #[default]
    Deny,
    /// Questions to name servers.
    Dns,
    /// Everything.
    Allow,
}

impl FromStr for Egress {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "deny" => Ok(Self::Deny),
            "dns" => Ok(Self::Dns),
            "allow" => Ok(Self::Allow),
            _ => Err(format!("{s:?}: allowed are deny, dns and allow")),
        }
    }
}

/// A service and its knobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceSpec {
    /// Which.
    pub slug: ServiceSlug,
    /// Its knobs, by name.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub knobs: BTreeMap<String, serde_json::Value>,
}

text_enum! {
    /// What a knob takes.
    KnobKind {
        /// Yes or no: `true` or `false`.
        Switch = "switch",
        /// A whole number, not below 0.
        Number = "number",
        /// A text; none where it is left out.
        Text = "text",
        /// One of some words.
        Choice = "choice",
    }
}
