//! The catalogue of decoy services, and (feature `serve`) their protocol handlers.
//!
//! A service is one file (or one folder) here plus its line in [`catalogue`]. The file holds its metadata, its knobs
//! and its session handler. Start at [`Service`] for the part that the dashboard and the planner need, at
//! `serve::Decoy` for what answers a visitor, and at `redis/` for the one to copy. [`config::DeckyConfig`] is what a
//! decoy's process is given.
//!
//! Deliberately absent: how a decoy's process is started (`decnet-fleet`), where evidence goes after the tap
//! (standard output, or the file that the configuration names), and any file system access but the artifact and transcript folders.

use decnet_model::name::ServiceSlug;
use decnet_persona::{Persona, Product};
use serde::{Serialize, de::DeserializeOwned};

use crate::knob::{Knobs, Misfit};

pub mod catalogue;
pub mod config;
#[cfg(feature = "evidence")]
pub mod evidence;
pub mod ftp;
#[cfg(feature = "serve")]
#[doc(hidden)]
pub mod fuzz;
pub mod http;
pub mod knob;
pub mod mysql;
pub mod redis;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "serve")]
mod shell;
pub mod smtp;
pub mod ssh;

/// A port that a service listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// A TCP port.
    Tcp(u16),
    /// A UDP port.
    Udp(u16),
}

/// What kind of service it is: how the dashboard groups them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// ssh, telnet, rdp, vnc.
    RemoteAccess,
    /// http, https.
    Web,
    /// ftp, tftp, smb.
    Files,
    /// smtp, imap, pop3.
    Mail,
    /// mysql, postgres, redis …
    Database,
}

/// What is known of a service without running it.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// Its name in configuration, evidence and on the command line; also its file's name.
    pub slug: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// How the dashboard groups it.
    pub category: Category,
    /// The standard ports.
    pub listen: &'static [Port],
    /// What a visitor gets, in a sentence.
    pub summary: &'static str,
}

impl Meta {
    /// The slug as a checked name.
    #[must_use]
    pub fn slug(&self) -> ServiceSlug {
        // A test holds that every slug of the catalogue is a valid name, so the fallback is never taken.
        self.slug
            .parse()
            .unwrap_or_else(|_| unreachable!("{} is not a slug", self.slug))
    }
}

/// A decoy service: the part that needs no network.
pub trait Service: 'static {
    /// What is known of it without running it.
    const META: Meta;
    /// Its knobs, written in `knobs!`. A misspelt knob is a fault, never ignored.
    type Config: Knobs + Serialize + DeserializeOwned + Default + Clone + Send + Sync + 'static;

    /// The program that answers on the machine `persona`, with what it says of itself by `config`.
    ///
    /// # Errors
    /// Where a knob contradicts the machine.
    fn program(config: &Self::Config, persona: &Persona) -> Result<Product, Misfit>;

    /// Whether it connects to its visitors, beside what they began.
    fn calls_back(_config: &Self::Config) -> bool {
        false
    }
}
