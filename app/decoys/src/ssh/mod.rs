//! SSH: an OpenSSH server that a guessed password opens, with the emulated shell behind it.
//!
//! `wire.rs` is what happens before the encrypted part (identification strings, the client's HASSH), `keys.rs` the
//! machine's host keys and algorithm lists, `server.rs` authentication and channels, `session.rs` a shell or a command
//! in a channel, `sftp.rs`, `scp.rs` and `upload.rs` file transfer. The shell itself is `crate::shell`.
//!
//! What still tells it from OpenSSH 9.2, because russh 0.65 lacks it: `sntrup761x25519-sha512@openssh.com` is not
//! offered (OpenSSH has it first), nor are the `umac-*` MACs; so HASSHServer differs. Everything that is offered
//! stands in OpenSSH's order. Agent, X11 and port forwarding are refused and reported.
//!
//! Deliberately absent: any connection onwards.

#[cfg(feature = "serve")]
mod keys;
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
    /// Who gets in. By default the persona's own weak passwords and, from the third attempt of an address on, whatever
    /// it tries: bots that guess get in, and what they guessed keeps working for them.
    pub accept: Accept,
    /// Text shown before authentication, as `Banner` of sshd_config; none by default, as distributions have it.
    pub banner: Option<String>,
    /// Identification string, where the persona's is not wanted; begins with `SSH-2.0-`.
    pub version: Option<String>,
    /// Milliseconds after which a wrong password is refused; PAM takes about two seconds.
    pub refusal_ms: u32,
}

impl Default for SshConfig {
    fn default() -> Self {
        Self {
            accept: Accept::AfterN(3),
            banner: None,
            version: None,
            refusal_ms: 1_900,
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
