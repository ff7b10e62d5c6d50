//! Who a decky pretends to be.
//!
//! A [`Persona`] is a pure function of a seed, an archetype and what the operator overrides: the same seed gives the
//! same machine after a restart, and two seeds share nothing that a scanner could join on. Everything static that a
//! real machine randomises once in its life (keys, machine ids, salts, cluster names) comes from [`Persona::secret`].
//!
//! This crate does no I/O and knows no protocol; how a banner is sent is the decoys' business.

mod rng;

pub use rng::{Rng, Seed};

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
    /// Host name without domain, such as `srv-web-03`.
    pub hostname: String,
    /// DNS domain of the organisation, such as `corp.halden-logistics.example`.
    pub domain: String,
    /// The organisation that the machine belongs to.
    pub company: String,
    /// Hardware address; its vendor fits the archetype.
    pub mac: Mac,
    /// Unix time in seconds of the last boot, so that uptimes grow as real ones do.
    pub boot_time: i64,
    /// Accounts, `root` (or `Administrator`) first.
    pub users: Vec<User>,
}
