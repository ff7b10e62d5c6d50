//! Who a decky pretends to be.
//!
//! A [`Persona`] is a pure function of a [`PersonaSpec`]: a seed, an archetype and what the operator overrides. The
//! same spec gives the same machine after a restart, and two seeds share nothing that a scanner could join on.
//! Everything static that a real machine randomises once in its life (keys, machine ids, salts, cluster names) comes
//! from [`Persona::secret`]. Start at [`Persona::derive`]; [`archetype`] and [`distro`] are the tables that it draws
//! from; [`bait`] is what lies around on the machine.
//!
//! This crate knows no protocol and reads no file but an operator's own bait; how a banner is sent is the decoys'
//! business, and which services exist is the catalogue's.

use std::{collections::BTreeMap, sync::Arc};

use decnet_model::name::ServiceSlug;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub mod archetype;
pub mod bait;
pub mod distro;
pub mod mac;
mod names;
pub mod product;
mod rng;
mod words;

pub use distro::{Distro, OsFamily, Release};
pub use mac::Mac;
pub use names::GIVEAWAYS;
pub use product::{Product, ProductKind};
pub use rng::{Rng, Seed};

/// A persona that cannot be made as specified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonaError {
    /// A seed of the wrong length or with control characters.
    #[error("seed: {length} characters; allowed are 1 to 128 without control characters")]
    Seed {
        /// Characters that it had.
        length: usize,
    },
    /// No such archetype.
    #[error("archetype {given:?}: there are {}", list(archetype::ALL.iter().map(|a| a.slug)))]
    Archetype {
        /// What was given, shortened.
        given: String,
    },
    /// No such distribution.
    #[error("distribution {given:?}: there are {}", list(deployable()))]
    Distro {
        /// What was given, shortened.
        given: String,
    },
    /// No such operating-system family.
    #[error("operating-system family {given:?}: there are {}", list(families()))]
    Os {
        /// What was given, shortened.
        given: String,
    },
    /// Not the address of a machine's network card.
    #[error("hardware address {given:?}: six pairs of hex digits divided by ':', and no group address")]
    Mac {
        /// What was given, shortened.
        given: String,
    },
    /// Not a host name.
    #[error("host name {given:?}: {rule}")]
    Hostname {
        /// What was given, shortened.
        given: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// Not a domain name.
    #[error("domain {given:?}: labels of 1 to 63 of a-z, 0-9 and -, divided by dots, 253 in all")]
    Domain {
        /// What was given, shortened.
        given: String,
    },
}

/// The distributions that a machine of some kind can have.
fn deployable() -> impl Iterator<Item = &'static str> {
    let all = Distro::ALL.iter();
    let fits = |distro: &&Distro| archetype::of_distro(**distro).next().is_some();
    all.filter(fits).map(|distro| distro.as_str())
}

/// The families of operating systems that a machine of some kind can show.
fn families() -> impl Iterator<Item = &'static str> {
    let fits = |os: &&OsFamily| archetype::of_family(**os).next().is_some();
    OsFamily::ALL.iter().filter(fits).map(|os| os.as_str())
}

fn list(words: impl Iterator<Item = &'static str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// What was given, short enough for a message.
fn head(s: &str) -> String {
    s.chars().take(80).collect()
}

/// What a persona is made from. A decoy's process gets it as JSON and derives the same persona itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonaSpec {
    /// What everything else is drawn from.
    pub seed: Seed,
    /// Slug of the archetype.
    pub archetype: String,
    /// Distribution; one that fits the archetype where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distro: Option<Distro>,
    /// Operating-system family that the network stack shows; the distribution's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<OsFamily>,
    /// Host name without domain; drawn where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Hardware address; one of a fitting vendor where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// What the machine runs, for what lists its processes and sockets. Nothing is drawn from it: a machine stays
    /// who it is when its services change.
    #[serde(default)]
    pub services: Vec<ServiceSlug>,
    /// What else the operator decides.
    #[serde(default)]
    pub overrides: Overrides,
}

/// What an operator may decide instead of the seed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// Name of the organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Its DNS domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Unix time in seconds at which the decky was first deployed: its last boot and the dates of its files lie
    /// before it. Without it they lie before a fixed day, which suits tests alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployed_at: Option<i64>,
    /// Folder of an operator's own bait, from `/` on; the built-in one where absent. Deriving does not read it: who runs the
    /// machine does, and gives it to [`Persona::with_bait`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bait: Option<String>,
    /// The same for single services, by slug; see [`Persona::with_service_bait`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub service_bait: BTreeMap<ServiceSlug, String>,
}

impl PersonaSpec {
    /// A spec that leaves everything but seed and archetype to the seed.
    #[must_use]
    pub fn new(seed: Seed, archetype: &str) -> Self {
        Self {
            seed,
            archetype: archetype.to_owned(),
            distro: None,
            os: None,
            hostname: None,
            mac: None,
            services: Vec::new(),
            overrides: Overrides::default(),
        }
    }
}

/// An account of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// The person's name; empty for an account of a program.
    pub full_name: String,
    /// Numeric user id; on Windows the last part of its SID.
    pub uid: u32,
    /// Numeric id of its group; on Windows the last part of that SID.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell; ends in `nologin` where nobody can sign in as it.
    pub shell: String,
    /// Its password in plain text: what bait files leak, and what a lenient service accepts.
    pub password: String,
    /// Whether it may become root.
    pub admin: bool,
}

/// Who a decky pretends to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persona {
    /// What everything else was derived from.
    pub seed: Seed,
    /// Slug of its archetype.
    pub archetype: String,
    /// Distribution that decides versions, banners and file system.
    pub distro: Distro,
    /// Operating-system family that decides the packet behaviour.
    pub os: OsFamily,
    /// Host name without domain, such as `ham-web03`.
    pub hostname: String,
    /// DNS domain of the organisation, such as `haldenlogistics.lan`.
    pub domain: String,
    /// The organisation that the machine belongs to.
    pub company: String,
    /// Hardware address; its vendor fits the archetype.
    pub mac: Mac,
    /// Unix time in seconds of the last boot, so that uptimes grow as real ones do.
    pub boot_time: i64,
    /// Accounts, `root` (or `Administrator`) first.
    pub users: Vec<User>,
    /// What it runs.
    pub services: Vec<ServiceSlug>,
    /// What lies around on it; the built-in bait where absent.
    bait: Option<Arc<bait::Bait>>,
    /// What single services show instead, by slug.
    service_bait: BTreeMap<String, Arc<bait::Bait>>,
}

/// 2026-01-05 09:00 UTC: stands in for the day of deployment where a spec names none.
const REFERENCE_TIME: i64 = 1_767_603_600;
const HOUR: i64 = 3600;

impl Persona {
    /// The same machine with an operator's own bait.
    #[must_use]
    pub fn with_bait(self, bait: bait::Bait) -> Self {
        Self {
            bait: Some(Arc::new(bait)),
            ..self
        }
    }

    /// The same machine, of which `service` shows an operator's own bait, whatever else lies around on it.
    #[must_use]
    pub fn with_service_bait(mut self, service: &ServiceSlug, bait: bait::Bait) -> Self {
        self.service_bait.insert(service.to_string(), Arc::new(bait));
        self
    }

    /// The persona of `spec`: the same for the same spec, in every release.
    ///
    /// # Errors
    /// Where the archetype is unknown or an override is no valid name.
    pub fn derive(spec: &PersonaSpec) -> Result<Self, PersonaError> {
        let archetype = archetype::find(&spec.archetype)?;
        let seed = &spec.seed;
        // Each part draws from its own stream, so that an override of one does not change another.
        let distro = spec.distro.unwrap_or_else(|| {
            let agrees = |distro: &Distro| spec.os.is_none_or(|os| archetype.agree(*distro, os));
            let fitting: Vec<Distro> = archetype.distros.iter().copied().filter(agrees).collect();
            // Whoever asks for what no distribution has is refused before, where deckies are settled.
            let fitting = if fitting.is_empty() {
                archetype.distros
            } else {
                &fitting
            };
            let drawn = seed.rng("distro").pick(fitting).copied();
            drawn.unwrap_or(Distro::Debian12)
        });
        let mac = spec.mac.unwrap_or_else(|| {
            let mut rng = seed.rng("mac");
            let vendor = rng
                .pick(archetype.vendors)
                .copied()
                .unwrap_or(mac::Vendor::Vmware);
            Mac::of(vendor, &mut rng)
        });
        let company = names::company(&mut seed.rng("company"));
        let hostname = match &spec.hostname {
            Some(given) => checked_hostname(given, distro)?,
            None => names::hostname(archetype, distro, &company, mac, &mut seed.rng("hostname")),
        };
        let domain = match &spec.overrides.domain {
            Some(given) => checked_domain(given)?,
            None => company.domain,
        };
        let deployed_at = spec.overrides.deployed_at.unwrap_or(REFERENCE_TIME);
        Ok(Self {
            seed: seed.clone(),
            archetype: archetype.slug.to_owned(),
            distro,
            os: spec.os.unwrap_or_else(|| distro.family()),
            hostname,
            domain,
            company: spec.overrides.company.clone().unwrap_or(company.name),
            mac,
            boot_time: deployed_at.saturating_sub(time_since_boot(&mut seed.rng("boot"))),
            users: names::users(archetype, distro, &mut seed.rng("users")),
            services: spec.services.clone(),
            bait: None,
            service_bait: BTreeMap::new(),
        })
    }

    /// 32 bytes that belong to this machine and `label`, such as `ssh/host-key/ed25519`.
    #[must_use]
    pub fn secret(&self, label: &str) -> [u8; 32] {
        self.seed.secret(label)
    }

    /// A stream of randomness that belongs to this machine and `label`.
    #[must_use]
    pub fn rng(&self, label: &str) -> Rng {
        self.seed.rng(label)
    }

    /// A random (version 4) UUID that belongs to this machine and `label`.
    #[must_use]
    pub fn uuid(&self, label: &str) -> Uuid {
        uuid::Builder::from_random_bytes(self.rng(label).bytes()).into_uuid()
    }

    /// A password as its people choose them, that belongs to this machine and `label`. Bait asks for the same labels,
    /// so that what stands in a configuration file opens the service that it is for.
    #[must_use]
    pub fn password(&self, label: &str) -> String {
        names::password(&mut self.rng(&format!("password/{label}")))
    }

    /// The first three numbers of the network that its administrators sit in, such as `10.41.7`.
    #[must_use]
    pub fn lan(&self) -> String {
        let mut rng = self.rng("bait/lan");
        format!("10.{}.{}", rng.range(1, 250), rng.range(0, 250))
    }

    /// `/etc/machine-id`: 32 hex digits.
    #[must_use]
    pub fn machine_id(&self) -> String {
        self.uuid("machine-id").simple().to_string()
    }

    /// Host name with domain.
    #[must_use]
    pub fn fqdn(&self) -> String {
        format!("{}.{}", self.hostname, self.domain)
    }

    /// Seconds since the last boot at Unix time `now`; 0 before it.
    #[must_use]
    pub fn uptime_s(&self, now: i64) -> u64 {
        u64::try_from(now.saturating_sub(self.boot_time)).unwrap_or_default()
    }

    /// The account called `name`.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|u| u.name == name)
    }

    /// The account whose password opens it, where `name` and `password` are one of this machine's.
    #[must_use]
    pub fn accepts(&self, name: &str, password: &str) -> Option<&User> {
        self.user(name)
            .filter(|u| u.password == password && !u.shell.ends_with("nologin"))
    }

    /// The person who looks after the machine.
    #[must_use]
    pub fn admin(&self) -> Option<&User> {
        let person = |u: &&User| u.admin && u.uid != 0 && u.name != "Administrator";
        self.users.iter().find(person).or_else(|| self.users.first())
    }

    /// What is installed.
    #[must_use]
    pub fn release(&self) -> &'static Release {
        let releases = self.distro.releases();
        // A test holds that no distribution is without a release.
        self.rng("release").pick(releases).unwrap_or(&distro::NONE)
    }
}

/// Seconds between the last boot and the deployment: mostly weeks, at times hours, at times the better part of a year.
fn time_since_boot(rng: &mut Rng) -> i64 {
    let hours = match rng.below(10) {
        0 | 1 => rng.range(3, 72),
        2..=7 => rng.range(72, 24 * 90),
        _ => rng.range(24 * 90, 24 * 300),
    };
    let jitter = rng.below(3600);
    i64::try_from(hours).unwrap_or_default() * HOUR + i64::try_from(jitter).unwrap_or_default()
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn checked_hostname(given: &str, distro: Distro) -> Result<String, PersonaError> {
    let fault = |rule| PersonaError::Hostname {
        given: head(given),
        rule,
    };
    if !is_label(given) {
        return Err(fault("1 to 63 letters, digits and -, without domain"));
    }
    if distro.family().is_windows() && given.len() > 15 {
        return Err(fault("at most 15 characters on Windows (NetBIOS)"));
    }
    Ok(given.to_owned())
}

fn checked_domain(given: &str) -> Result<String, PersonaError> {
    let good = given.len() <= 253 && given.split('.').all(is_label);
    if good {
        Ok(given.to_ascii_lowercase())
    } else {
        Err(PersonaError::Domain { given: head(given) })
    }
}
