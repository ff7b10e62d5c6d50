//! What the persona's SSH server offers: the lists of its KEXINIT and its ways to authenticate.
//!
//! The lists stand here whole, as the real program sends them; what russh cannot do is left out where they are made into
//! russh's ([`LACKING`] says what and why), because an algorithm that is offered has to work when a client chooses it.
//! Sources: OpenSSH's `myproposal.h` and `servconf.c` of the versions named, the `DEFAULT` crypto-policy of Red Hat's
//! systems, dropbear's `common-algo.c`; for Windows and IOS, published scans. Debian's sshd is held against it by
//! `tests/ssh_control.rs`.
//!
//! Start with [`Proposal::of`].

use std::{borrow::Cow, sync::Arc};

use decnet_persona::{Persona, distro::Release};
use russh::{MethodKind, MethodSet, Preferred, cipher, compression, kex, keys::Algorithm, mac};

/// What real servers offer and this one does not, with the reason. All of russh 0.65.1: its traits for key exchanges,
/// ciphers and MACs (`KexType`, `Cipher`, `MacAlgorithm`) and the tables that negotiation looks them up in are private to
/// the crate, so that none can be added from outside.
pub const LACKING: &[(&str, &str)] = &[
    ("sntrup761x25519-sha512", "russh has no NTRU Prime"),
    ("sntrup761x25519-sha512@openssh.com", "russh has no NTRU Prime"),
    ("umac-64-etm@openssh.com", "russh has no UMAC"),
    ("umac-128-etm@openssh.com", "russh has no UMAC"),
    ("umac-64@openssh.com", "russh has no UMAC"),
    ("umac-128@openssh.com", "russh has no UMAC"),
    ("hmac-sha1-96", "russh has no shortened HMAC"),
    ("3des-ctr", "russh has no counter mode of 3DES"),
    (
        "3des-cbc",
        "3DES is a feature of russh that nothing else here needs",
    ),
    (
        "kexguess2@matt.ucc.asn.au",
        "russh has no name for dropbear's marker",
    ),
    (
        "gssapi-keyex",
        "russh has no name for this method, which no key exchange here makes possible",
    ),
];

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
    /// What it takes of a user's keys beyond the algorithms of its own (`server-sig-algs`).
    pub(super) signatures: &'static str,
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
            signatures: match version {
                ..802 => CURVE_SIGNATURES,
                802..804 => TOKEN_SIGNATURES,
                _ => WEB_SIGNATURES,
            },
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
            signatures: CURVE_SIGNATURES,
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
            signatures: CURVE_SIGNATURES,
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
            signatures: CURVE_SIGNATURES,
            evens_out: false,
        }
    }

    /// As russh takes it, without what it lacks.
    pub(super) fn preferred(&self) -> Preferred {
        let Lists {
            kex,
            key,
            cipher,
            mac,
            compression,
        } = &self.lists;
        let mut keys = known(key, |name| Algorithm::new(name).ok());
        // russh makes `server-sig-algs` of the same list, and in the KEXINIT leaves out those without a host key.
        keys.extend(known(self.signatures, |name| Algorithm::new(name).ok()));
        Preferred {
            kex: Cow::Owned(known(kex, exchange)),
            key: Cow::Owned(keys),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Owned(known(cipher, |name| cipher::Name::try_from(name).ok())),
            mac: Cow::Owned(known(mac, |name| mac::Name::try_from(name).ok())),
            compression: Cow::Owned(known(compression, |name| compression::Name::try_from(name).ok())),
        }
    }

    /// The names of the key exchanges that are left, with those of extensions.
    pub(super) fn kex_names(&self) -> Arc<[String]> {
        let kex = known(&self.lists.kex, exchange);
        kex.iter().map(|name| name.as_ref().to_owned()).collect()
    }

    /// The methods that russh has a name for.
    pub(super) fn method_set(&self) -> MethodSet {
        MethodSet::from(known(self.methods, |name| name.parse::<MethodKind>().ok()).as_slice())
    }
}

const CURVE_SIGNATURES: &str = "ecdsa-sha2-nistp384,ecdsa-sha2-nistp521";
/// With security keys, since 8.2 and 8.4.
const TOKEN_SIGNATURES: &str = "sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,\
    sk-ecdsa-sha2-nistp256@openssh.com";
const WEB_SIGNATURES: &str = "sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,\
    sk-ecdsa-sha2-nistp256@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com,ssh-dss";

fn exchange(name: &str) -> Option<kex::Name> {
    match name {
        "ext-info-s" => Some(kex::EXTENSION_SUPPORT_AS_SERVER),
        STRICT => Some(kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER),
        _ => kex::Name::try_from(name).ok(),
    }
}

fn known<T>(list: &str, find: impl Fn(&str) -> Option<T>) -> Vec<T> {
    list.split(',').filter_map(find).collect()
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
    use std::collections::BTreeSet;

    use decnet_persona::{Distro, PersonaSpec, Seed};

    use super::*;

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
    fn every_persona_offers_what_its_server_does_but_for_what_is_named_with_a_reason() {
        let mut left_out = BTreeSet::new();
        for persona in personas() {
            let banner = persona.release().ssh;
            let proposal = Proposal::of(banner, &persona);
            let ours = proposal.preferred();
            let names = |all: &[&str]| all.join(",");
            let kex: Vec<&str> = ours.kex.iter().map(AsRef::as_ref).collect();
            let cipher: Vec<&str> = ours.cipher.iter().map(AsRef::as_ref).collect();
            let mac: Vec<&str> = ours.mac.iter().map(AsRef::as_ref).collect();
            let compression: Vec<&str> = ours.compression.iter().map(AsRef::as_ref).collect();
            let methods: Vec<&str> = proposal.method_set().iter().map(Into::into).collect();
            for (theirs, ours) in [
                (proposal.lists.kex.as_str(), names(&kex)),
                (proposal.lists.cipher, names(&cipher)),
                (proposal.lists.mac, names(&mac)),
                (proposal.lists.compression, names(&compression)),
                (proposal.methods, names(&methods)),
            ] {
                let kept: Vec<&str> = theirs
                    .split(',')
                    .filter(|name| !LACKING.iter().any(|(lacking, _)| lacking == name))
                    .collect();
                assert_eq!(ours, kept.join(","), "{banner}");
                assert!(!ours.is_empty(), "{banner}");
                left_out.extend(
                    theirs
                        .split(',')
                        .filter(|name| !kept.contains(name))
                        .map(str::to_owned),
                );
            }
            let keys: Vec<String> = ours.key.iter().map(ToString::to_string).collect();
            assert!(
                keys.join(",").starts_with(proposal.lists.key),
                "{banner}: {keys:?}"
            );
        }
        // A gap that nobody has any more does not stay in the list.
        let named: BTreeSet<String> = LACKING.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(left_out, named);
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
