//! SSH: an OpenSSH server that a guessed password opens, with the emulated shell behind it.
//!
//! The protocol is this folder's own, and a server's half only, because no crate sends the KEXINIT of a real OpenSSH. From
//! the wire upwards:
//!
//! - `identification.rs`: the first lines. `fields.rs`, `messages.rs`: data types and numbers.
//! - `transport/`: packets, their encryption and compression.
//! - `kex/`: key exchange, at the beginning and again; `keys.rs`: the machine's host keys.
//! - `proposal.rs`: what the persona's version offers and says.
//! - `link.rs`: messages for the layers above, whatever comes in between.
//! - `auth.rs`: who gets in. `channels.rs`: what it may do then. `inbox.rs`: what comes through a channel.
//! - `session.rs`: a shell or a command in a channel; `sftp.rs`, `scp.rs` and `upload.rs`: file transfer. The shell itself is
//!   `crate::shell`.
//!
//! Start with `server.rs`, which leads a visitor through them.
//!
//! What still tells it from the real program: group exchange gives the groups of RFC 3526 and not those of
//! `/etc/ssh/moduli`; a connection that is refused with words of its visitor unread is closed in order, where sshd's ends in
//! a reset; dropbear's and IOS's way with malformed packets is OpenSSH's here.
//!
//! Agent, X11 and port forwarding are refused and reported.
//!
//! Deliberately absent: any connection onwards.

#[cfg(feature = "serve")]
mod auth;
#[cfg(feature = "serve")]
mod channels;
#[cfg(feature = "serve")]
mod fields;
#[cfg(feature = "serve")]
pub(crate) mod fuzz;
#[cfg(feature = "serve")]
mod identification;
#[cfg(feature = "serve")]
mod inbox;
#[cfg(feature = "serve")]
mod kex;
#[cfg(feature = "serve")]
mod keys;
#[cfg(feature = "serve")]
mod link;
#[cfg(feature = "serve")]
mod messages;
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
mod transport;
#[cfg(feature = "serve")]
mod upload;

#[cfg(feature = "serve")]
pub(crate) use keys::{fingerprints, host_key};

use decnet_persona::{Persona, Product, ProductKind};

use crate::{
    Category, Meta, Port, Service,
    knob::{Accept, Misfit, knobs, said},
};

/// The service.
pub struct Ssh {
    #[cfg(feature = "serve")]
    shared: std::sync::Arc<server::Shared>,
}

knobs! {
    /// Knobs of ssh.
    pub struct SshConfig {
        /// Who gets in. By default the persona's accounts with their passwords and, where the machine was set up carelessly, with
        /// a word that bots guess; what nobody would have chosen never opens it.
        pub accept: Accept = Accept::Weak,
        /// Text shown before authentication, as `Banner` of sshd_config; none by default, as distributions have it.
        pub banner: Option<String> = None,
        /// Identification string, where the persona's is not wanted: of the same program, series of versions and system.
        pub version: Option<String> = None,
        /// Milliseconds that it takes to find a password wrong, half as much or half as much again; OpenSSH adds to it. PAM
        /// takes two seconds.
        pub refusal_ms: u32 = 2_000,
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

    fn program(config: &SshConfig, persona: &Persona) -> Result<Product, Misfit> {
        let own = persona.product(ProductKind::Ssh);
        let told = said::<Self>(persona, own.clone(), "version", config.version.as_deref())?;
        let begins = begins(&own.banner);
        if !told.banner.starts_with(begins) || told.banner.bytes().any(|b| !(32..127).contains(&b)) {
            let problem = format!("does not begin with {begins} as the persona's does, or is not ASCII");
            return Err(Misfit::of::<Self>("version", &told.banner, problem, &own));
        }
        Ok(told)
    }
}

/// The part of an identification that names the program: up to the number of its version.
fn begins(identification: &str) -> &str {
    let protocol = "SSH-2.0-".len();
    let number = identification
        .bytes()
        .skip(protocol)
        .position(|b| b.is_ascii_digit());
    let end = number.map_or(identification.len(), |at| protocol + at);
    identification.get(..end).unwrap_or(identification)
}
