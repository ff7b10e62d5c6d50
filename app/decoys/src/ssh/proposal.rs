//! What the persona's SSH server offers: the lists of its KEXINIT and its ways to authenticate.
//!
//! The lists stand here whole, as the real program sends them, and each algorithm in them works when a client chooses it.
//! Sources: OpenSSH's `myproposal.h` and `servconf.c` of the versions named, the `DEFAULT` crypto-policy of Red Hat's
//! systems, dropbear's `common-algo.c`; for Windows and IOS, published scans. Debian's sshd is held against it by
//! `tests/ssh_control.rs`.
//!
//! Start with [`Proposal::of`].

use decnet_persona::{Persona, distro::Release};

const CURVES: &str =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521";
const FIELDS: &str = "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,\
    diffie-hellman-group14-sha256";
const GROUP14_SHA1: &str = "diffie-hellman-group14-sha1";
const SNTRUP: &str = "sntrup761x25519-sha512@openssh.com";
/// Its later name.
const SNTRUP_PLAIN: &str = "sntrup761x25519-sha512";
const MLKEM: &str = "mlkem768x25519-sha256";
const CIPHERS: &str = "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,\
    aes256-gcm@openssh.com";
const MACS: &str = "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,\
    hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,\
    hmac-sha2-512,hmac-sha1";
const STRICT: &str = "kex-strict-s-v00@openssh.com";

/// What a client's keyboard-interactive attempt meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialogue {
    /// The method is not there, or nothing stands behind it: refused at once.
    None,
    /// PAM's, or the system's own, question for the password. `{user}` and `{host}` are filled in.
    Asks(&'static str),
}

/// What it says to a client that does not identify itself, before it closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusals {
    pub(super) invalid: &'static str,
    pub(super) differs: &'static str,
}

const REFUSALS: Refusals = Refusals {
    invalid: "Invalid SSH identification string.\r\n",
    differs: "Protocol major versions differ.\r\n",
};
/// Before OpenSSH 8.0.
const OLD_REFUSALS: Refusals = Refusals {
    invalid: "Protocol mismatch.\n",
    differs: "Protocol major versions differ.\n",
};
/// dropbear closes without a word.
const NO_REFUSALS: Refusals = Refusals {
    invalid: "",
    differs: "",
};

/// What one server offers.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    /// The lists of its KEXINIT, as the real one has them.
    pub(super) lists: Lists,
    /// Its ways to authenticate, in its order.
    pub(super) methods: &'static str,
    pub(super) dialogue: Dialogue,
    pub(super) refusals: Refusals,
    /// Failures after which it hangs up (`MaxAuthTries`).
    pub(super) tries: u32,
    /// Bits of its RSA key.
    pub(super) rsa_bits: usize,
    /// What it tells of itself in EXT_INFO.
    pub(super) extensions: Vec<(&'static str, &'static str)>,
    /// It tells the first of them again while a client signs in that asks for it, and PING is a message (OpenSSH since 9.6 and
    /// 9.5).
    pub(super) repeats: bool,
    pub(super) pings: bool,
    /// It is an OpenSSH, which has extensions of its own for who has signed in (its PROTOCOL, sections 2.1 and 2.5), and
    /// `MaxStartups`.
    pub(super) openssh: bool,
    /// Whether a refusal takes the time that OpenSSH makes it take (auth2.c, since 7.9).
    pub(super) evens_out: bool,
}

/// Comma-separated lists, as they stand in a KEXINIT. OpenSSH sends the same ones for both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) kex: String,
    pub(super) key: &'static str,
    pub(super) cipher: &'static str,
    pub(super) mac: &'static str,
    pub(super) compression: &'static str,
}

impl Proposal {
    /// That of the program which calls itself `identification` on the machine of `persona`.
    pub(super) fn of(identification: &str, persona: &Persona) -> Self {
        let release = persona.release();
        let software = identification.strip_prefix("SSH-2.0-").unwrap_or(identification);
        if let Some(version) = software.strip_prefix("dropbear_") {
            return Self::dropbear(version);
        }
        if software.starts_with("Cisco") {
            return Self::cisco();
        }
        if let Some(version) = software.strip_prefix("OpenSSH_for_Windows_") {
            return Self::windows(number(version));
        }
        let version = software.strip_prefix("OpenSSH_").map_or(u32::MAX, number);
        Self::openssh(version, software, release)
    }

    fn openssh(version: u32, software: &str, release: &Release) -> Self {
        // Debian gave its 9.2 the later name, too.
        let plain = software.starts_with("OpenSSH_9.2p1 Debian-2+deb12u") && patch_level(software) >= 4;
        let kex: &[&str] = match version {
            ..802 => &[CURVES, FIELDS, GROUP14_SHA1],
            802..805 => &[CURVES, FIELDS],
            805..900 => &[CURVES, SNTRUP, FIELDS],
            900..909 if plain => &[SNTRUP_PLAIN, SNTRUP, CURVES, FIELDS],
            900..909 => &[SNTRUP, CURVES, FIELDS],
            909..1000 => &[SNTRUP_PLAIN, SNTRUP, MLKEM, CURVES, FIELDS],
            _ => &[MLKEM, SNTRUP_PLAIN, SNTRUP, CURVES],
        };
        let mut lists = Lists {
            kex: kex.join(","),
            key: match version {
                ..708 => "ssh-rsa,rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-ed25519",
                708..808 => "rsa-sha2-512,rsa-sha2-256,ssh-rsa,ecdsa-sha2-nistp256,ssh-ed25519",
                _ => "rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-ed25519",
            },
            cipher: if version < 1000 {
                CIPHERS
            } else {
                "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,\
                 aes256-ctr"
            },
            mac: MACS,
            compression: "none,zlib@openssh.com",
        };
        if matches!(release.id, "rocky" | "fedora") {
            // The crypto-policy replaces the program's own lists.
            lists.kex = format!(
                "{CURVES},diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256,\
                 diffie-hellman-group16-sha512,diffie-hellman-group18-sha512"
            );
            lists.key = "rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-ed25519";
            lists.cipher = "aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes128-ctr";
            lists.mac = "hmac-sha2-256-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-128-etm@openssh.com,\
                hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha1,umac-128@openssh.com,hmac-sha2-512";
        }
        if version >= 906 {
            lists.kex.push_str(",ext-info-s");
        }
        if version >= 906 || knows_terrapin(software, release) {
            lists.kex.push(',');
            lists.kex.push_str(STRICT);
        }
        let (methods, dialogue) = match release.id {
            "rocky" | "fedora" => ("publickey,gssapi-keyex,gssapi-with-mic,password", Dialogue::None),
            "freebsd" => (
                "publickey,keyboard-interactive",
                Dialogue::Asks("Password for {user}@{host}:"),
            ),
            // Built without PAM: the method is offered, and nothing stands behind it.
            "alpine" => ("publickey,password,keyboard-interactive", Dialogue::None),
            _ => ("publickey,password", Dialogue::None),
        };
        Self {
            lists,
            methods,
            dialogue,
            refusals: if version < 800 { OLD_REFUSALS } else { REFUSALS },
            tries: 6,
            rsa_bits: 3_072,
            extensions: extensions(version),
            repeats: version >= 906,
            pings: version >= 905,
            openssh: true,
            evens_out: version >= 709,
        }
    }

    fn windows(version: u32) -> Self {
        let kex: &[&str] = match version {
            ..802 => &[CURVES, FIELDS, GROUP14_SHA1],
            802..805 => &[CURVES, FIELDS],
            _ => &[CURVES, SNTRUP, FIELDS],
        };
        Self {
            lists: Lists {
                kex: kex.join(","),
                key: if version < 708 {
                    "ssh-rsa,rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-ed25519"
                } else {
                    "rsa-sha2-512,rsa-sha2-256,ssh-rsa,ecdsa-sha2-nistp256,ssh-ed25519"
                },
                cipher: CIPHERS,
                mac: MACS,
                compression: "none",
            },
            methods: "publickey,password,keyboard-interactive",
            dialogue: Dialogue::None,
            refusals: if version < 800 { OLD_REFUSALS } else { REFUSALS },
            tries: 6,
            rsa_bits: if version < 800 { 2_048 } else { 3_072 },
            extensions: extensions(version),
            repeats: false,
            pings: false,
            openssh: true,
            evens_out: version >= 709,
        }
    }

    fn dropbear(version: &str) -> Self {
        let new = version >= "2020.79";
        Self {
            lists: Lists {
                kex: "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp521,ecdh-sha2-nistp384,\
                    ecdh-sha2-nistp256,diffie-hellman-group14-sha256,diffie-hellman-group14-sha1,\
                    kexguess2@matt.ucc.asn.au"
                    .to_owned(),
                key: if new {
                    "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-256,ssh-rsa"
                } else {
                    "ecdsa-sha2-nistp256,ssh-rsa"
                },
                cipher: if new {
                    "chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr"
                } else {
                    "aes128-ctr,aes256-ctr,aes128-cbc,aes256-cbc,3des-ctr,3des-cbc"
                },
                mac: if new {
                    "hmac-sha1,hmac-sha2-256"
                } else {
                    "hmac-sha1-96,hmac-sha1,hmac-sha2-256"
                },
                compression: "zlib@openssh.com,none",
            },
            methods: "publickey,password",
            dialogue: Dialogue::None,
            refusals: NO_REFUSALS,
            tries: 10,
            rsa_bits: 2_048,
            extensions: if new {
                vec![(SIGNATURES, DROPBEAR_SIGNATURES)]
            } else {
                Vec::new()
            },
            repeats: false,
            pings: false,
            openssh: false,
            evens_out: false,
        }
    }

    fn cisco() -> Self {
        Self {
            lists: Lists {
                kex: "diffie-hellman-group-exchange-sha1,diffie-hellman-group14-sha1".to_owned(),
                key: "ssh-rsa",
                cipher: "aes128-ctr,aes192-ctr,aes256-ctr,aes128-cbc,3des-cbc,aes192-cbc,aes256-cbc",
                mac: "hmac-sha2-256,hmac-sha2-512,hmac-sha1,hmac-sha1-96",
                compression: "none",
            },
            methods: "publickey,keyboard-interactive,password",
            dialogue: Dialogue::Asks("Password: "),
            refusals: OLD_REFUSALS,
            tries: 3,
            rsa_bits: 2_048,
            extensions: Vec::new(),
            repeats: false,
            pings: false,
            openssh: false,
            evens_out: false,
        }
    }

    /// Whether `name` is one of its ways to authenticate.
    pub(super) fn has_method(&self, name: &[u8]) -> bool {
        self.methods.split(',').any(|method| method.as_bytes() == name)
    }
}

const SIGNATURES: &str = "server-sig-algs";
/// Before security keys came in 8.2, and their form for browsers in 8.4.
const CURVE_SIGNATURES: &str = "ssh-ed25519,ssh-rsa,rsa-sha2-256,rsa-sha2-512,ssh-dss,ecdsa-sha2-nistp256,\
    ecdsa-sha2-nistp384,ecdsa-sha2-nistp521";
const TOKEN_SIGNATURES: &str = "ssh-ed25519,sk-ssh-ed25519@openssh.com,ssh-rsa,rsa-sha2-256,rsa-sha2-512,ssh-dss,\
    ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com";
const WEB_SIGNATURES: &str = "ssh-ed25519,sk-ssh-ed25519@openssh.com,ssh-rsa,rsa-sha2-256,rsa-sha2-512,ssh-dss,\
    ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,\
    webauthn-sk-ecdsa-sha2-nistp256@openssh.com";
/// The same, in the order that its table of keys has since 9.2.
const SORTED_SIGNATURES: &str = "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,\
    ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com,ssh-dss,ssh-rsa,\
    rsa-sha2-256,rsa-sha2-512";
/// Since 9.6 it tells what `PubkeyAcceptedAlgorithms` says, without certificates.
const ACCEPTED_SIGNATURES: &str = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,\
    sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256";
const DROPBEAR_SIGNATURES: &str = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-256,\
    ssh-rsa";

/// What an OpenSSH says in EXT_INFO (`kex_send_ext_info` of kex.c).
fn extensions(version: u32) -> Vec<(&'static str, &'static str)> {
    let signatures = match version {
        ..802 => CURVE_SIGNATURES,
        802..804 => TOKEN_SIGNATURES,
        804..902 => WEB_SIGNATURES,
        902..906 => SORTED_SIGNATURES,
        _ => ACCEPTED_SIGNATURES,
    };
    let mut all = vec![(SIGNATURES, signatures)];
    if version >= 809 {
        all.push(("publickey-hostbound@openssh.com", "0"));
    }
    if version >= 905 {
        all.push(("ping@openssh.com", "0"));
    }
    all
}

/// `9.2p1 Debian-2` as 902.
fn number(version: &str) -> u32 {
    let mut parts = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    major * 100 + minor.min(99)
}

/// The last number of a package's version: 2 of `Debian-2+deb12u2`.
fn patch_level(software: &str) -> u32 {
    software
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

/// Whether a version older than 9.6 has its distribution's patch against Terrapin (CVE-2023-48795) and offers strict key exchange.
fn knows_terrapin(software: &str, release: &Release) -> bool {
    let patched = |package: &str, since: u32| {
        software
            .split_once(package)
            .is_some_and(|(_, level)| number(level) / 100 >= since)
    };
    patched("Debian-2+deb12u", 2)
        || patched("Debian-5+deb11u", 3)
        || patched("Ubuntu-3ubuntu0.", 5)
        || patched("Ubuntu-4ubuntu0.", 10)
        || (release.id == "rocky" && release.version_id == "9.4")
        || release.version_id == "13.2-RELEASE-p9"
}

#[cfg(test)]
mod tests {
    use decnet_persona::{Distro, PersonaSpec, Seed};

    use super::*;
    use crate::ssh::{
        kex::exchange,
        keys,
        transport::{cipher, mac},
    };

    fn personas() -> Vec<Persona> {
        let all = Distro::ALL.iter().flat_map(|distro| {
            (0..12).map(|n| PersonaSpec {
                distro: Some(*distro),
                ..PersonaSpec::new(Seed::from_bytes([n; 16]), "linux-server")
            })
        });
        all.map(|spec| Persona::derive(&spec).unwrap()).collect()
    }

    fn of(identification: &str) -> Proposal {
        let spec = PersonaSpec {
            distro: Some(Distro::Debian12),
            ..PersonaSpec::new(Seed::from_bytes([1; 16]), "linux-server")
        };
        Proposal::of(identification, &Persona::derive(&spec).unwrap())
    }

    #[test]
    fn all_that_any_persona_offers_is_there() {
        for persona in personas() {
            let banner = persona.release().ssh;
            let Lists {
                kex,
                key,
                cipher,
                mac,
                compression,
            } = Proposal::of(banner, &persona).lists;
            let is_extension = |name: &str| {
                name.starts_with("ext-info")
                    || name.starts_with("kex-strict")
                    || name.starts_with("kexguess2")
            };
            let all = |list: &str, is_there: &dyn Fn(&str) -> bool| {
                for name in list.split(',') {
                    assert!(is_there(name), "{banner}: {name}");
                }
            };
            all(&kex, &|name| {
                is_extension(name) || exchange::Kind::of(name).is_some()
            });
            all(key, &|name| keys::Algorithm::of(name).is_some());
            all(cipher, &|name| cipher::Kind::of(name).is_some());
            all(mac, &|name| mac::Kind::of(name).is_some());
            all(compression, &|name| ["none", "zlib@openssh.com"].contains(&name));
        }
    }

    #[test]
    fn extensions_are_those_of_the_version_and_of_the_distributions_patches() {
        let strict = |identification| of(identification).lists.kex.ends_with(STRICT);
        assert!(!strict("SSH-2.0-OpenSSH_9.2p1 Debian-2"));
        assert!(!strict("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u1"));
        assert!(strict("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2"));
        assert!(strict("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10"));
        assert!(!strict("SSH-2.0-OpenSSH_8.2p1 Ubuntu-4ubuntu0.9"));
        assert!(strict("SSH-2.0-OpenSSH_8.2p1 Ubuntu-4ubuntu0.11"));
        assert!(strict("SSH-2.0-OpenSSH_9.6"));
        let tells = |identification| of(identification).lists.kex.contains(",ext-info-s,");
        assert!(tells("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5") && !tells("SSH-2.0-OpenSSH_9.5"));
        let first = |identification| of(identification).lists.kex.split(',').next().unwrap().to_owned();
        assert_eq!(first("SSH-2.0-OpenSSH_8.9p1"), "curve25519-sha256");
        assert_eq!(first("SSH-2.0-OpenSSH_9.0"), SNTRUP);
        assert_eq!(first("SSH-2.0-OpenSSH_10.0"), "mlkem768x25519-sha256");
        assert!(
            of("SSH-2.0-OpenSSH_7.4")
                .lists
                .kex
                .ends_with("diffie-hellman-group14-sha1")
        );
        assert_eq!(of("SSH-2.0-OpenSSH_for_Windows_7.7").lists.compression, "none");
    }
}
