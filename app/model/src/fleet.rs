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
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
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
    /// Minutes between mutations, 0 for never; as the setting for the whole fleet says where absent.
    #[cfg_attr(feature = "openapi", schema(maximum = 525_600))]
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
    /// Folder of the operator's own bait for this service alone, as of a decky; empty for that of its decky, which is there where
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bait: Option<String>,
    /// What answers visitors of a service that is none of the built-in ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<OwnImage>,
}

impl ServiceSpec {
    /// A service with its default knobs.
    #[must_use]
    pub fn of(slug: ServiceSlug) -> Self {
        Self {
            slug,
            knobs: BTreeMap::new(),
            bait: None,
            image: None,
        }
    }
}

/// An operator's own container image as a service. What passes between its visitors and it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnImage {
    /// Its name where Docker finds it, such as `registry.example/intranet:2`.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub image: String,
    /// What it runs, word by word; what the image says where empty.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 64))]
    pub command: Vec<String>,
    /// The TCP ports that it answers on.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 8))]
    pub ports: Vec<u16>,
    /// The most memory that it gets, in MiB; 256 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 16, maximum = 16_384))]
    pub memory_mb: Option<u32>,
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
