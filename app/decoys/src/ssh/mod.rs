//! SSH: an OpenSSH server that a guessed password opens, with the emulated shell behind it.
//!
//! `wire.rs` is what happens before the encrypted part (identification strings, packets that none may be, the client's
//! HASSH), `proposal.rs` what the persona's version offers, `keys.rs` the machine's host keys, `server.rs` authentication
//! and channels, `session.rs` a shell or a command in a channel, `sftp.rs`, `scp.rs` and `upload.rs` file transfer. The
//! shell itself is `crate::shell`.
//!
//! What still tells it from the real program, because russh 0.65 has no door for it:
//!
//! - The algorithms and methods that `LACKING` in `proposal.rs` names are not offered, so HASSHServer differs. Its traits for
//!   key exchanges, ciphers and MACs are private.
//! - `server-sig-algs` begins with the host keys' algorithms and lacks `ssh-rsa`, because russh makes it and the KEXINIT of
//!   one list; `publickey-hostbound@openssh.com` and `ping@openssh.com` are not in EXT_INFO.
//! - The last failure of `MaxAuthTries` is answered by a failure and the disconnect; OpenSSH leaves the failure away.
//! - A password or a name that is not UTF-8 ends the connection, and a method that is not there counts as failed only once there
//!   were more of them than tries.
//! - EXT_INFO goes to every client that asks for it, also from servers that were too old to know it.
//!
//! And because nobody has written it: group exchange gives the groups of RFC 3526 and not those of `/etc/ssh/moduli`; a
//! connection that is refused with words of its visitor unread is closed in order, where sshd's ends in a reset; dropbear's
//! and IOS's way with malformed packets is OpenSSH's here.
//!
//! Agent, X11 and port forwarding are refused and reported.
//!
//! Deliberately absent: any connection onwards.

#[cfg(feature = "serve")]
mod keys;
#[cfg(feature = "serve")]
mod proposal;
#[cfg(feature = "serve")]
mod scp;
#[cfg(feature = "serve")]
mod server;
#[cfg(feature = "serve")]
mod session;
#[cfg(feature = "serve")]
pub(crate) mod sftp;
#[cfg(feature = "serve")]
mod upload;
#[cfg(feature = "serve")]
pub(crate) mod wire;

#[cfg(feature = "serve")]
pub use proposal::LACKING;
use serde::{Deserialize, Serialize};

use crate::{Category, Meta, Port, Service, knob::Accept};

/// The service.
pub struct Ssh {
    #[cfg(feature = "serve")]
    shared: std::sync::Arc<server::Shared>,
}

/// Knobs of ssh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename = "knobs")]
pub struct SshConfig {
    /// Who gets in. By default the persona's accounts with their passwords and, where the machine was set up carelessly, with
    /// a word that bots guess; what nobody would have chosen never opens it.
    pub accept: Accept,
    /// Text shown before authentication, as `Banner` of sshd_config; none by default, as distributions have it.
    pub banner: Option<String>,
    /// Identification string, where the persona's is not wanted; begins with `SSH-2.0-`.
    pub version: Option<String>,
    /// Milliseconds that it takes to find a password wrong, half as much or half as much again; OpenSSH adds to it. PAM
    /// takes two seconds.
    pub refusal_ms: u32,
}

impl Default for SshConfig {
    fn default() -> Self {
        Self {
            accept: Accept::Weak,
            banner: None,
            version: None,
            refusal_ms: 2_000,
        }
    }
}

impl Service for Ssh {
    const META: Meta = Meta {
        slug: "ssh",
        label: "SSH",
        category: Category::RemoteAccess,
        listen: &[Port::Tcp(22)],
        summary: "OpenSSH with an emulated shell: sessions recorded, SFTP and SCP uploads captured",
    };
    type Config = SshConfig;
}
