//! What the mark of an attacker is drawn from: a part of it by each kind of thing that is known of their client's software.
//!
//! Each part keeps what was told first, so that whoever shows one more fingerprint has the mark that they had, and a part more.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::event::{ClientInfoKind, EventKind, FingerprintKind};

/// What is known of the software of an attacker. As text it seeds their mark: `ssh:0f1e2d3c tls:4b5a6978 client:8796a5b4 product:c3d2e1f0`,
/// without what is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Its SSH: a digest of the HASSH.
    pub ssh: Option<u32>,
    /// Its TLS: a digest of the JA4. A JA3 says nothing beside it, and is another one at each connection of clients that shuffle
    /// their extensions.
    pub tls: Option<u32>,
    /// A digest of what it calls itself.
    pub client: Option<u32>,
    /// A digest of what that begins with: the product without its version.
    pub product: Option<u32>,
}

/// A seed that says nothing of any software: the address of somebody of whom nothing is known, or the digest of all fingerprints in one
/// that older versions stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing is known of the client's software")]
pub struct Unknown;

impl Known {
    /// Takes up what an event tells; gives whether that was anything new.
    pub fn learn(&mut self, event_type: &str, fields: &BTreeMap<String, String>) -> bool {
        let before = *self;
        let field = |name| {
            fields
                .get(name)
                .map(String::as_str)
                .filter(|told| !told.is_empty())
        };
        match event_type.parse() {
            Ok(EventKind::Fingerprint) => {
                let part = match field("fingerprint_kind").and_then(|kind| kind.parse().ok()) {
                    Some(FingerprintKind::Hassh) => &mut self.ssh,
                    Some(FingerprintKind::Ja4) => &mut self.tls,
                    Some(FingerprintKind::Ja3) | None => return false,
                };
                *part = part.or_else(|| field("fingerprint").map(digest));
            }
            Ok(EventKind::ClientInfo) => {
                let names_software = matches!(
                    field("info_kind").and_then(|kind| kind.parse().ok()),
                    Some(
                        ClientInfoKind::SshVersion
                            | ClientInfoKind::UserAgent
                            | ClientInfoKind::ClientName
                            | ClientInfoKind::ClientSoftware
                    )
                );
                if let (true, None, Some(told)) = (names_software, self.client, field("info")) {
                    self.client = Some(digest(told));
                    self.product = Some(digest(product(told)));
                }
            }
            _ => {}
        }
        *self != before
    }

    fn parts(&self) -> [(&'static str, Option<u32>); 4] {
        [
            ("ssh", self.ssh),
            ("tls", self.tls),
            ("client", self.client),
            ("product", self.product),
        ]
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (name, digest) in self.parts() {
            if let Some(digest) = digest {
                write!(f, "{between}{name}:{digest:08x}")?;
                between = " ";
            }
        }
        Ok(())
    }
}

impl FromStr for Known {
    type Err = Unknown;

    fn from_str(seed: &str) -> Result<Self, Unknown> {
        let mut known = Self::default();
        for part in seed.split(' ') {
            let (name, digest) = part.split_once(':').ok_or(Unknown)?;
            let digest = Some(digest)
                .filter(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .ok_or(Unknown)?;
            let part = match name {
                "ssh" => &mut known.ssh,
                "tls" => &mut known.tls,
                "client" => &mut known.client,
                "product" => &mut known.product,
                _ => return Err(Unknown),
            };
            *part = Some(digest);
        }
        Ok(known)
    }
}

/// What a client calls itself, without its version: `curl` of `curl/8.5.0`, `libssh2` of `SSH-2.0-libssh2_1.11.0`.
fn product(told: &str) -> &str {
    // RFC 4253, section 4.2: the software's version stands behind that of the protocol.
    let software = match told.strip_prefix("SSH-") {
        Some(rest) => rest.split_once('-').map_or(rest, |(_, software)| software),
        None => told,
    };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.');
    software.split(|c| !is_name(c)).next().unwrap_or_default()
}

/// FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>) of 64 bits, folded to half of it after a mix by which short texts differ in
/// every bit.
#[must_use]
pub fn digest(text: &str) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    u32::try_from((hash >> 32) ^ (hash & 0xffff_ffff)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn print(kind: &str, hash: &str) -> (&'static str, BTreeMap<String, String>) {
        let fields = told(&[("fingerprint_kind", kind), ("fingerprint", hash)]);
        ("client_fingerprint", fields)
    }

    fn info(kind: &str, value: &str) -> (&'static str, BTreeMap<String, String>) {
        ("client_info", told(&[("info_kind", kind), ("info", value)]))
    }

    fn learnt(events: &[(&'static str, BTreeMap<String, String>)]) -> Known {
        let mut known = Known::default();
        for (event_type, fields) in events {
            known.learn(event_type, fields);
        }
        known
    }

    #[test]
    fn each_kind_seeds_its_part_and_what_names_no_software_none() {
        let known = learnt(&[
            info("ehlo_name", "mail.example"),
            info("tls_server_name", "www.example"),
            print("ja3", "0123"),
            print("hassh", ""),
            (
                "command",
                told(&[("fingerprint_kind", "hassh"), ("fingerprint", "x")]),
            ),
        ]);
        assert_eq!(known, Known::default());
        let ssh = learnt(&[print("hassh", "a")]);
        assert_eq!(
            ssh,
            Known {
                ssh: Some(digest("a")),
                ..Known::default()
            }
        );
        let agent = learnt(&[info("user_agent", "curl/8.5.0")]);
        assert_eq!(
            (agent.client, agent.product),
            (Some(digest("curl/8.5.0")), Some(digest("curl")))
        );
        assert_eq!(agent.ssh, None);
    }

    #[test]
    fn versions_of_a_product_have_that_in_common() {
        for (one, other) in [
            ("curl/7.88.1", "curl/8.5.0"),
            ("SSH-2.0-libssh2_1.9.0", "SSH-2.0-libssh2_1.11.0"),
            ("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3", "SSH-1.99-OpenSSH_5.3"),
            ("python-requests/2.31", "python-requests/2.32"),
        ] {
            assert_eq!(product(one), product(other));
            assert!(!product(one).is_empty());
        }
        assert_eq!(product("SSH-2.0-Go"), "Go");
        assert_eq!(product("SSH-"), "");
        assert_eq!(product("\u{202e}"), "");
    }

    #[test]
    fn an_address_and_what_older_versions_stored_are_no_knowledge() {
        for seed in [
            "",
            "192.0.2.7",
            "2001:db8::1",
            "0123456789abcdef0123456789abcdef",
            "ssh:12",
            "ssh:+1234567",
            "what:01234567",
            "ssh:01234567 ",
        ] {
            assert_eq!(seed.parse::<Known>(), Err(Unknown), "{seed:?}");
        }
    }

    fn event() -> impl Strategy<Value = (&'static str, BTreeMap<String, String>)> {
        prop_oneof![
            ("(hassh|ja3|ja4|other)", "[a-c]?").prop_map(|(kind, hash)| print(&kind, &hash)),
            ("(ssh_version|user_agent|client_name|schema)", ".{0,3}")
                .prop_map(|(kind, value)| info(&kind, &value)),
        ]
    }

    proptest! {
        #[test]
        fn one_more_changes_nothing_that_was_known(
            events in prop::collection::vec(event(), 0..8),
            more in event(),
        ) {
            let before = learnt(&events);
            let mut after = before;
            let new = after.learn(more.0, &more.1);
            prop_assert_eq!(new, after != before);
            for ((name, before), (_, after)) in before.parts().into_iter().zip(after.parts()) {
                prop_assert!(before.is_none() || before == after, "{} changed", name);
            }
        }

        #[test]
        fn a_seed_is_read_as_it_was_written(events in prop::collection::vec(event(), 0..8)) {
            let known = learnt(&events);
            let seed = known.to_string();
            // The column has room for it (0001_foundation.sql).
            prop_assert!(seed.len() <= 128);
            if known == Known::default() {
                prop_assert_eq!(seed, "");
            } else {
                prop_assert_eq!(seed.parse(), Ok(known));
            }
        }

        #[test]
        fn no_text_is_too_strange(seed in ".{0,64}") {
            let _known = seed.parse::<Known>();
        }
    }
}
