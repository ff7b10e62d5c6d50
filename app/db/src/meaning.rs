//! What a line of evidence means: a pure function from its bytes to the row that is stored and to what is counted.
//!
//! Start at [`read`]. The table of [`Meaning`] is this, and nothing else in DECNET reads fields to derive counts:
//!
//! | event | counts as | loot |
//! |---|---|---|
//! | `auth_attempt` | an attempt | credential, where a secret was given |
//! | `command`, `query` | a command line | |
//! | `file_captured`, `mail_accepted` | | artifact: the name under which it is kept |
//! | `client_fingerprint` | | fingerprint: `kind:hash` |
//! | `exploit_attempt` | | payload: `name: bytes` |
//! | `fetch_attempt` | | payload: the URL |
//!
//! A line without a source address is stored and derives nothing: there is nobody to hold it against.

use std::{collections::BTreeMap, net::IpAddr};

use decnet_model::{
    event::{EventKind, field},
    id::AttackerId,
    printable::printable,
    state::BountyKind,
};
use decnet_syslog::{Message, ParseError, fields_of, source_address};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// The most characters of a decky's name, of a service's and of an event type's as they are stored: RFC 5424 section
/// 6 allows 255, 48 and 32.
const MAX_DECKY: usize = 255;
const MAX_WORD: usize = 64;

/// A line as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// When it happened: as the line says, else when it was read.
    pub at: OffsetDateTime,
    /// When it was read.
    pub received_at: OffsetDateTime,
    /// HOSTNAME; `-` where there is none.
    pub decky: String,
    /// APP-NAME; `-` where there is none.
    pub service: String,
    /// MSGID; `-` where there is none.
    pub event_type: String,
    /// Whose doing it is.
    pub attacker: Option<IpAddr>,
    /// Our structured data; of a name that comes twice the first.
    pub fields: BTreeMap<String, String>,
    /// Free text.
    pub message: String,
    /// The line; where it is not UTF-8, its printable form, which gives the bytes back.
    pub raw: String,
    /// What it counts as.
    pub meaning: Meaning,
}

impl Evidence {
    /// When its attacker was seen: as the line says, and never after it was read. Anybody may say that it is the year 2099,
    /// and would stand first among the recent until then.
    #[must_use]
    pub fn seen_at(&self) -> OffsetDateTime {
        self.at.min(self.received_at)
    }
}

/// What a line counts as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meaning {
    /// An attempt to sign in.
    pub auth_attempt: bool,
    /// A command line: the field that holds it is given by [`command_of`].
    pub command: bool,
    /// What was gained by it.
    pub loot: Option<Loot>,
}

/// A bounty as one line shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loot {
    /// Its kind.
    pub kind: BountyKind,
    /// The account, for a credential.
    pub principal: Option<String>,
    /// The kind of secret, for a credential.
    pub secret_kind: Option<String>,
    /// The secret, the name of the file, the fingerprint, the payload.
    pub value: String,
    /// Whether a decoy let somebody in with it, for a credential.
    pub accepted: bool,
}

/// Reads a line.
///
/// # Errors
/// Where it is not an RFC 5424 line; it then belongs in quarantine.
pub fn read(line: &[u8], received_at: OffsetDateTime) -> Result<Evidence, ParseError> {
    let message = Message::parse(line)?;
    let fields: BTreeMap<String, String> = fields_of(&message)
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let attacker = source_address(&message).map(|ip| ip.to_canonical());
    let event_type = word(message.msgid, MAX_WORD);
    let meaning = match attacker {
        Some(_) => meaning(&event_type, &fields),
        None => Meaning::default(),
    };
    Ok(Evidence {
        at: message.timestamp.unwrap_or(received_at),
        received_at,
        decky: word(message.hostname, MAX_DECKY),
        service: word(message.app_name, MAX_WORD),
        event_type,
        attacker,
        fields,
        message: message.msg,
        raw: match std::str::from_utf8(line) {
            Ok(text) => text.to_owned(),
            Err(_) => printable(line),
        },
        meaning,
    })
}

/// What an event of that type with these fields counts as.
#[must_use]
pub fn meaning(event_type: &str, fields: &BTreeMap<String, String>) -> Meaning {
    let Ok(kind) = event_type.parse::<EventKind>() else {
        return Meaning::default();
    };
    let get = |name: &str| fields.get(name).filter(|v| !v.is_empty()).cloned();
    let plain = |kind, value: Option<String>| {
        value.map(|value| Loot {
            kind,
            principal: None,
            secret_kind: None,
            value,
            accepted: false,
        })
    };
    let loot = match kind {
        EventKind::AuthAttempt => credential(fields),
        EventKind::FileCaptured | EventKind::MailAccepted => plain(
            BountyKind::Artifact,
            get("stored_as").or_else(|| get(field::SHA256)),
        ),
        EventKind::Fingerprint => plain(
            BountyKind::Fingerprint,
            get("fingerprint").map(|hash| match get("fingerprint_kind") {
                Some(kind) => format!("{kind}:{hash}"),
                None => hash,
            }),
        ),
        EventKind::Exploit => plain(
            BountyKind::Payload,
            match (get("exploit"), get("bytes")) {
                (Some(name), Some(bytes)) => Some(format!("{name}: {bytes}")),
                (name, bytes) => name.or(bytes),
            },
        ),
        EventKind::FetchAttempt => plain(BountyKind::Payload, get("url")),
        _ => None,
    };
    Meaning {
        auth_attempt: kind == EventKind::AuthAttempt,
        command: matches!(kind, EventKind::Command | EventKind::Query),
        loot,
    }
}

fn credential(fields: &BTreeMap<String, String>) -> Option<Loot> {
    let secret_kind = fields.get(field::SECRET_KIND).map_or("plaintext", String::as_str);
    if secret_kind == "none" {
        return None;
    }
    Some(Loot {
        kind: BountyKind::Credential,
        principal: Some(fields.get(field::PRINCIPAL).cloned().unwrap_or_default()),
        secret_kind: Some(cut(secret_kind, MAX_WORD).to_owned()),
        // An empty password is a password.
        value: fields.get(field::SECRET)?.clone(),
        accepted: fields
            .get(field::OUTCOME)
            .is_some_and(|outcome| outcome == "accepted"),
    })
}

/// The command line of a `command` or `query` event.
#[must_use]
pub fn command_of(fields: &BTreeMap<String, String>) -> &str {
    fields
        .get(field::COMMAND)
        .or_else(|| fields.get("query"))
        .map_or("", String::as_str)
}

/// The id of the attacker with this address: the same on every installation and after every rebuild (a version 8 UUID
/// over the address's SHA-256, RFC 9562 section 5.8).
#[must_use]
pub fn attacker_id(ip: IpAddr) -> AttackerId {
    let hash = hash16([b"attacker".as_slice(), ip.to_canonical().to_string().as_bytes()]);
    AttackerId(uuid::Builder::from_custom_bytes(hash).into_uuid())
}

/// Half a SHA-256 over `parts`, each with its length, so that two lists of parts differ in it.
pub(crate) fn hash16<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    half
}

/// The first `max` characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    text.char_indices()
        .nth(max)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}

fn word(given: Option<String>, max: usize) -> String {
    match given {
        Some(text) if text.len() > max => cut(&text, max).to_owned(),
        Some(text) => text,
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use decnet_model::event::{Captured, ClientInfoKind, CloseReason, Event, FingerprintKind, Secret};

    use super::*;

    fn mean(event: &Event<'_>) -> Meaning {
        let fields = event
            .fields()
            .into_iter()
            .map(|(k, v)| (k.into_owned(), v.into_owned()))
            .collect();
        meaning(event.kind().as_str(), &fields)
    }

    fn loot(kind: BountyKind, value: &str) -> Meaning {
        let loot = Loot {
            kind,
            principal: None,
            secret_kind: None,
            value: value.into(),
            accepted: false,
        };
        Meaning {
            loot: Some(loot),
            ..Meaning::default()
        }
    }

    const FILE: Captured<'static> = Captured {
        stored_as: "ab12_x.sh",
        sha256: "ab12",
        size: 3,
        path: b"/tmp/x.sh",
        via: "sftp",
        user: b"root",
        truncated: false,
    };

    #[test]
    fn each_kind_of_event_counts_as_the_table_says() {
        let auth = |secret| Event::AuthAttempt {
            principal: b"root",
            secret,
            mechanism: "password",
            accepted: false,
        };
        let credential = |kind: &str, value: &str| Meaning {
            auth_attempt: true,
            loot: Some(Loot {
                kind: BountyKind::Credential,
                principal: Some("root".into()),
                secret_kind: Some(kind.into()),
                value: value.into(),
                accepted: false,
            }),
            ..Meaning::default()
        };
        assert_eq!(
            mean(&auth(Secret::Plaintext(b"toor"))),
            credential("plaintext", "toor")
        );
        assert_eq!(mean(&auth(Secret::Plaintext(b""))), credential("plaintext", ""));
        assert_eq!(
            mean(&auth(Secret::Plaintext(b"\0\xff"))),
            credential("plaintext", r"\x00\xff")
        );
        let hash = Secret::Crackable {
            kind: "cram_md5",
            text: "$cram$x".into(),
        };
        assert_eq!(mean(&auth(hash)), credential("cram_md5", "$cram$x"));
        let key = Secret::PublicKey {
            algorithm: "ssh-ed25519",
            fingerprint: "SHA256:x",
        };
        assert_eq!(mean(&auth(key)), credential("public_key", "SHA256:x"));
        assert_eq!(
            mean(&auth(Secret::None)),
            Meaning {
                auth_attempt: true,
                ..Meaning::default()
            }
        );

        let command = Meaning {
            command: true,
            ..Meaning::default()
        };
        assert_eq!(
            mean(&Event::Command {
                line: b"id",
                detail: &[]
            }),
            command
        );
        assert_eq!(
            mean(&Event::Query {
                text: b"SELECT 1",
                database: b""
            }),
            command
        );

        assert_eq!(
            mean(&Event::FileCaptured(FILE)),
            loot(BountyKind::Artifact, "ab12_x.sh")
        );
        let mail = Event::MailAccepted {
            from: b"",
            to: &[],
            subject: b"",
            file: FILE,
            queue_id: "q",
        };
        assert_eq!(mean(&mail), loot(BountyKind::Artifact, "ab12_x.sh"));
        let print = Event::Fingerprint {
            kind: FingerprintKind::Ja4,
            hash: "t13d",
            raw: "",
        };
        assert_eq!(mean(&print), loot(BountyKind::Fingerprint, "ja4:t13d"));
        let exploit = Event::Exploit {
            name: "CVE-2021-41773",
            bytes: b"GET /.%2e",
        };
        assert_eq!(
            mean(&exploit),
            loot(BountyKind::Payload, "CVE-2021-41773: GET /.%2e")
        );
        let fetch = Event::FetchAttempt {
            url: b"http://198.51.100.9/a",
            via: "wget",
        };
        assert_eq!(mean(&fetch), loot(BountyKind::Payload, "http://198.51.100.9/a"));
    }

    #[test]
    fn every_other_kind_counts_as_nothing_but_a_line() {
        for event in [
            Event::Connect,
            Event::Disconnect {
                bytes_in: 1,
                bytes_out: 1,
                duration_ms: 1,
                reason: CloseReason::Peer,
            },
            Event::Request {
                method: b"GET",
                target: b"/",
                status: 200,
                headers: &[],
                body: b"x",
            },
            Event::Download {
                path: b"/x",
                size: 1,
                found: true,
            },
            Event::ForwardRefused {
                via: "relay",
                target: b"x",
            },
            Event::Violation {
                what: "x",
                bytes: b"x",
            },
            Event::ClientInfo {
                kind: ClientInfoKind::UserAgent,
                value: b"x",
            },
            Event::Limited { what: "x", limit: 1 },
            Event::SessionStarted {
                sid: "x",
                user: b"root",
            },
            Event::Mutation {
                from: "ssh",
                to: "ftp",
                trigger: "schedule",
            },
        ] {
            assert_eq!(mean(&event), Meaning::default(), "{event:?}");
        }
        assert_eq!(meaning("something-foreign", &BTreeMap::new()), Meaning::default());
    }

    #[test]
    fn a_line_becomes_a_row_with_its_bytes_kept() {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let line = r#"<134>1 2026-01-02T03:04:05.678901Z web-01 http - request [relay@55555 src_ip="::ffff:192.0.2.7" path="/\"x"] hi"#;
        let row = read(line.as_bytes(), now).unwrap();
        assert_eq!(
            (row.decky.as_str(), row.service.as_str(), row.event_type.as_str()),
            ("web-01", "http", "request")
        );
        assert_eq!(row.at.microsecond(), 678_901);
        assert_eq!(row.attacker, Some("192.0.2.7".parse().unwrap()));
        assert_eq!(row.fields["path"], "/\"x");
        assert_eq!((row.message.as_str(), row.raw.as_str()), ("hi", line));
        assert_eq!(row.received_at, now);
        assert!(read(b"not syslog", now).is_err());
    }

    #[test]
    fn a_line_of_nobody_derives_nothing() {
        let line = br#"<134>1 - - - - auth_attempt [relay@55555 principal="a" secret_printable="b"]"#;
        let row = read(line, OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(row.meaning, Meaning::default());
        assert_eq!((row.decky.as_str(), row.service.as_str()), ("-", "-"));
    }

    #[test]
    fn an_address_has_one_id_in_both_its_forms() {
        let id = |ip: &str| attacker_id(ip.parse().unwrap());
        assert_eq!(id("::ffff:192.0.2.7"), id("192.0.2.7"));
        assert_ne!(id("192.0.2.7"), id("192.0.2.8"));
        assert_eq!(id("192.0.2.7").0.get_version_num(), 8);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash16([b"ab".as_slice(), b"c"]), hash16([b"a".as_slice(), b"bc"]));
    }
}
