//! A decky as it is wanted: everything settled, so that an engine has nothing left to decide.

use std::{fmt, net::IpAddr};

use decnet_model::{
    fleet::{Egress, OwnImage, ServiceSpec},
    name::{DeckyName, ServiceSlug},
    view::DeckyService,
};
use decnet_persona::PersonaSpec;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A decky as it is wanted. Its JSON is what the database keeps as the decky's `spec`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredDecky {
    /// Its name.
    pub name: DeckyName,
    /// Who it pretends to be; distribution, host name and MAC are settled.
    pub persona: PersonaSpec,
    /// What it runs; a slug stands once.
    pub services: Vec<ServiceSpec>,
    /// Its address.
    pub ip: IpAddr,
    /// Whether nobody chose its address: it may have another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ip_drawn: bool,
    /// Minutes between mutations, 0 for never; as the whole fleet where absent.
    #[serde(default)]
    pub mutate_interval_minutes: Option<u32>,
    /// What it may begin by itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub egress: Egress,
    /// Rises where it is to be made anew although nothing else changed: a redeploy.
    #[serde(default)]
    pub generation: u64,
    /// Whether it is to stand still: it stays who and where it is, and does not run. Not in its JSON, because an operator may
    /// change it while a mutation rewrites that: the database has a column of its own for it.
    #[serde(skip)]
    pub stopped: bool,
}

/// What two states are compared by: SHA-256 of their canonical JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Digest {
    /// The first 16 hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|b| write!(f, "{b:02x}"))
    }
}

fn is_default(egress: &Egress) -> bool {
    *egress == Egress::default()
}

fn digest(value: &impl Serialize) -> Digest {
    let mut hash = Sha256::new();
    // Structs of names, numbers and ordered maps always have a JSON form.
    hash.update(serde_json::to_vec(value).unwrap_or_default());
    Digest(hash.finalize().into())
}

impl DesiredDecky {
    /// What it is: a change of this needs the decky to be made anew.
    #[must_use]
    pub fn identity(&self) -> Digest {
        let mut persona = self.persona.clone();
        persona.services.clear();
        let made = (&self.name, &persona, self.ip, self.generation);
        if is_default(&self.egress) {
            digest(&made)
        } else {
            digest(&(made, self.egress))
        }
    }

    /// What it runs: a change of this is applied to the running decky.
    #[must_use]
    pub fn loadout(&self) -> Digest {
        digest(&self.services)
    }

    /// The slugs of its services.
    pub fn slugs(&self) -> impl Iterator<Item = &ServiceSlug> {
        self.services.iter().map(|s| &s.slug)
    }

    /// Its services for who looks at the fleet. They listen nowhere yet.
    #[must_use]
    pub fn offers(&self) -> Vec<DeckyService> {
        let offer = |service: &ServiceSpec| DeckyService {
            slug: service.slug.clone(),
            listen: Vec::new(),
            image: service.image.as_ref().map(|own| own.image.clone()),
        };
        self.services.iter().map(offer).collect()
    }

    /// Those of its services that are an operator's own images.
    pub fn own_images(&self) -> impl Iterator<Item = (&ServiceSlug, &OwnImage)> {
        let services = self.services.iter();
        services.filter_map(|service| Some((&service.slug, service.image.as_ref()?)))
    }

    /// The same decky with these services. Those that stay keep their knobs and images.
    #[must_use]
    pub fn with_services(mut self, slugs: &[ServiceSlug]) -> Self {
        let keep = std::mem::take(&mut self.services);
        self.services = slugs
            .iter()
            .map(|slug| {
                keep.iter()
                    .find(|s| s.slug == *slug)
                    .cloned()
                    .unwrap_or_else(|| ServiceSpec::of(slug.clone()))
            })
            .collect();
        self.persona.services = slugs.to_vec();
        self
    }
}
