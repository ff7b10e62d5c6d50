//! What a decoy's process is told: one JSON document, read from a file or standard input.
//!
//! The fleet writes it, `decnet-decoy` reads it; both through this type, so an unknown key is a fault on either side.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use decnet_model::name::{DeckyName, ServiceSlug};
use decnet_persona::PersonaSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The folder of captured files in a decky's folder.
pub const ARTIFACTS: &str = "artifacts";
/// The folder of session recordings in a decky's folder.
pub const TRANSCRIPTS: &str = "transcripts";

/// One decky: who it is and what it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// Without `expecting` messages name the type, and the type tells what the program is.
#[serde(deny_unknown_fields, expecting = "a configuration")]
pub struct DeckyConfig {
    /// Its name: the host name of its evidence lines.
    pub name: DeckyName,
    /// Who it pretends to be.
    pub persona: PersonaSpec,
    /// What it runs; a slug stands once.
    pub services: Vec<ServiceEntry>,
    /// Folder for captured files. Without it they are hashed and reported, and not kept.
    #[serde(default)]
    pub artifacts: Option<PathBuf>,
    /// Folder for session recordings. Without it none are made.
    #[serde(default)]
    pub transcripts: Option<PathBuf>,
    /// The file that evidence is appended to; it is there. Standard output where absent.
    #[serde(default)]
    pub evidence: Option<PathBuf>,
    /// A file that is touched while the program is well.
    #[serde(default)]
    pub pulse: Option<PathBuf>,
    /// The user and group that it becomes where root starts it; the two folders are handed to it.
    #[serde(default = "nobody")]
    pub user: u32,
    /// The ports that it may connect to; none where that is left out. What is read of it is what the program is started
    /// with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<u16>,
    /// What one decky may use.
    #[serde(default)]
    pub limits: Limits,
}

/// The user that owns nothing, by Linux's convention.
pub const NOBODY: u32 = 65534;

fn nobody() -> u32 {
    NOBODY
}

/// A service, its knobs and where it listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceEntry {
    /// Which service of the catalogue.
    pub slug: ServiceSlug,
    /// Its knobs, by name.
    #[serde(default)]
    pub knobs: BTreeMap<String, Value>,
    /// Addresses and ports; at least one.
    pub listen: Vec<SocketAddr>,
    /// Where its visitors are led, where it is none of the catalogue: one for each port of `listen`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<Relay>,
}

/// A port whose visitors are led to another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// The port that is listened on.
    pub listen: u16,
    /// The port that visitors believe to be on.
    pub port: u16,
    /// Where that program answers.
    pub to: SocketAddr,
}

/// Bounds on what visitors can make a decky use. Past one of them a service behaves as the real product does when
/// it is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections to all services together.
    pub connections: u32,
    /// Connections from one address, to all services together.
    pub connections_per_address: u32,
    /// Seconds without a byte in either direction. A service may be less patient, as its product is; never more.
    pub idle_s: u32,
    /// Seconds that one connection may last.
    pub total_s: u32,
    /// Bytes that one connection may send.
    pub bytes_in: u64,
    /// Bytes of one captured file; what is over is cut, and told.
    pub artifact_file_bytes: u64,
    /// Bytes of captured files of one session.
    pub artifact_session_bytes: u64,
    /// Bytes of the artifact folder.
    pub artifact_total_bytes: u64,
    /// Bytes that captured files and recordings leave free on the disk, so that the evidence lines of all deckies still have room; 0 is
    /// no such floor. Below it files are hashed and reported, and not kept, and recordings end.
    pub free_floor_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 1024,
            idle_s: 600,
            total_s: 6 * 3600,
            bytes_in: 512 << 20,
            artifact_file_bytes: 100 << 20,
            artifact_session_bytes: 256 << 20,
            artifact_total_bytes: 2 << 30,
            // Twice what the spool leaves free by default (`spool-min-free-bytes`).
            free_floor_bytes: 512 << 20,
        }
    }
}

/// A key or a certificate that a machine proves itself with, as clients show it. `PROGRAM --proofs` prints a list of them, in JSON, for
/// the persona that it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What it is: `ED25519 host key`, or `certificate of` and its subject.
    pub what: String,
    /// A key's as `ssh-keygen -l` shows it, and a certificate's as `openssl x509 -fingerprint -sha256` does.
    pub fingerprint: String,
}
