//! FTP: vsFTPd or ProFTPD, as the persona has it, with a believable tree and room for what intruders leave.
//!
//! RFC 959, 2228 and 4217 (TLS), 2389 (FEAT), 2428 (EPSV), 3659 (MDTM, SIZE, MLST). `wording.rs` holds what the products
//! say, `tree.rs` what a visitor sees and changes, `conversation.rs` the commands, `transfer.rs` the data connections.
//!
//! Deliberately absent: connections to anybody but the visitor. A server that connected to any address that a visitor names could
//! be aimed at others (RFC 2577): PORT to others is refused, as both products do, and reported.

#[cfg(feature = "serve")]
mod conversation;
#[cfg(feature = "serve")]
mod transfer;
#[cfg(feature = "serve")]
mod tree;
#[cfg(feature = "serve")]
mod wording;

use decnet_persona::{Distro, Persona, Product, ProductKind, User};

use crate::{
    Category, Meta, Port, Service,
    knob::{Accept, Misfit, knobs, said},
};

/// The service.
pub struct Ftp {
    #[cfg(feature = "serve")]
    server: conversation::Server,
}

knobs! {
    /// Knobs of ftp.
    pub struct FtpConfig {
        /// Which accounts get in.
        pub accept: Accept = Accept::Listed,
        /// Whether `anonymous` and `ftp` get in, with any password.
        pub anonymous: bool = true,
        /// Whether visitors may change anything; what they leave is kept.
        pub writable: bool = true,
        /// Whether AUTH TLS is offered.
        pub tls: bool = true,
        /// Whether PORT and EPRT are followed, to the visitor's own address alone; without it they fail as behind a firewall. The program
        /// that answers may then connect wherever its network lets it: for a machine that its visitors reach under their own addresses,
        /// with `egress` that lets it out.
        pub active: bool = false,
        /// Greeting, where the product's own is not wanted: the text after `220 `. It may not contradict the persona.
        pub banner: Option<String> = None,
    }
}

/// How the package of an FTP server keeps an account out, whatever its password is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// At its name, before a password is asked for: vsftpd's `userlist_enable`, as Red Hat's package sets it.
    Name,
    /// At its password: `/etc/ftpusers` of Debian, which PAM reads, and ProFTPD's `RootLogin off`.
    Password,
}

/// How the FTP server of `persona`, as its distribution packages it, keeps the account `name` out; `None` where it does not.
#[must_use]
pub fn bar(persona: &Persona, name: &str) -> Option<Bar> {
    const USER_LIST: &[&str] = &[
        "root", "bin", "daemon", "adm", "lp", "sync", "shutdown", "halt", "mail", "news", "uucp", "operator",
        "games", "nobody",
    ];
    let proftpd = persona.product(ProductKind::Ftp).name == "ProFTPD";
    match persona.distro {
        Distro::Rocky9 | Distro::Fedora if !proftpd => USER_LIST.contains(&name).then_some(Bar::Name),
        Distro::Alpine | Distro::Arch | Distro::Firmware | Distro::FreeBsd if !proftpd => None,
        _ => (name == "root").then_some(Bar::Password),
    }
}

/// The first account of `persona` that its FTP server lets in with its password, as long as no knob says otherwise.
#[must_use]
pub fn account(persona: &Persona) -> Option<&User> {
    persona
        .users
        .iter()
        .find(|user| !user.shell.ends_with("nologin") && bar(persona, &user.name).is_none())
}

impl Service for Ftp {
    const META: Meta = Meta {
        slug: "ftp",
        label: "FTP",
        category: Category::Files,
        listen: &[Port::Tcp(21)],
        summary: "A file server with bait; uploads are captured, AUTH TLS and passive mode work",
    };
    type Config = FtpConfig;

    fn calls_back(config: &FtpConfig) -> bool {
        config.active
    }

    fn program(config: &FtpConfig, persona: &Persona) -> Result<Product, Misfit> {
        let own = persona.product(ProductKind::Ftp);
        said::<Self>(persona, own, "banner", config.banner.as_deref())
    }
}
