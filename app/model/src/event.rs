//! The closed list of what can be reported: every line in the spool is one of these.
//!
//! [`EventKind`] is the MSGID of a line. [`Event`] is what a decoy hands to its tap: typed, so that two decoys cannot
//! write the same thing in two ways. [`Event::fields`] is the only place where it becomes `key="value"` pairs; the
//! ingester, the dashboard and the documentation use the same field names, which stand in [`field`].
//!
//! Deliberately absent: who, where and when. The tap stamps decky, service, session, peer and time on every event.

use std::borrow::Cow;

use crate::{printable::printable_head, state::text_enum};

/// The SD-ID of the structured data element that carries our fields (RFC 5424 section 6.3.2).
pub const SD_ID: &str = "relay@55555";

/// The most bytes of one attacker-given value that a line carries; what is over is counted in `<field>_cut`.
pub const MAX_VALUE: usize = 8 * 1024;

/// Names of structured-data parameters.
pub mod field {
    /// Address of the peer, without port.
    pub const SRC: &str = "src_ip";
    /// Port of the peer.
    pub const SRC_PORT: &str = "src_port";
    /// Local port that was reached.
    pub const DST_PORT: &str = "dst_port";
    /// Id of the connection or session: 16 hex digits, new for each.
    pub const SESSION: &str = "session";
    /// The account that an authentication attempt was for.
    pub const PRINCIPAL: &str = "principal";
    /// What kind of secret was given: `plaintext`, `mysql_native_password` …
    pub const SECRET_KIND: &str = "secret_kind";
    /// The secret, printable.
    pub const SECRET: &str = "secret_printable";
    /// The secret's exact bytes, base64.
    pub const SECRET_B64: &str = "secret_b64";
    /// How it was tried: `password`, `publickey`, `AUTH PLAIN` …
    pub const MECHANISM: &str = "mechanism";
    /// `accepted` or `refused`.
    pub const OUTCOME: &str = "outcome";
    /// A command line, as typed or sent.
    pub const COMMAND: &str = "command";
    /// SHA-256 of a file, in hex.
    pub const SHA256: &str = "sha256";
}

text_enum! {
    /// The type of an event: the MSGID of its line.
    EventKind {
        /// A peer connected.
        Connect = "connect",
        /// A peer's connection ended.
        Disconnect = "disconnect",
        /// Somebody tried to sign in.
        AuthAttempt = "auth_attempt",
        /// A command of a shell or of a protocol.
        Command = "command",
        /// A database query.
        Query = "query",
        /// An HTTP request, or another protocol's like.
        Request = "request",
        /// A file was fetched from the decoy.
        Download = "download",
        /// A file was left on the decoy, and kept.
        FileCaptured = "file_captured",
        /// A mail was handed over.
        MailAccepted = "mail_accepted",
        /// A URL that the intruder wanted the decoy to fetch.
        FetchAttempt = "fetch_attempt",
        /// A wish to be forwarded elsewhere, refused.
        ForwardRefused = "forward_refused",
        /// What was said and answered in a protocol that only the one behind the decoy knows.
        Exchange = "exchange",
        /// The peer broke the protocol.
        Violation = "protocol_violation",
        /// A known exploit or takeover sequence.
        Exploit = "exploit_attempt",
        /// A fingerprint of the peer's own software.
        Fingerprint = "client_fingerprint",
        /// What the peer says of itself: a version, a user agent, a client id.
        ClientInfo = "client_info",
        /// A limit of the decoy was reached.
        Limited = "limit_reached",
        /// An interactive session began.
        SessionStarted = "session_started",
        /// An interactive session ended.
        SessionEnded = "session_ended",
        /// An interactive session was recorded.
        SessionRecorded = "session_recorded",
        /// An interactive session could not be recorded.
        SessionSkipped = "session_skipped",
        /// A decoy's service began to listen.
        ServiceStarted = "service_started",
        /// A decoy's service ended.
        ServiceStopped = "service_stopped",
        /// The fleet changed a decky's services.
        Mutation = "mutation",
    }
}

/// What kind of secret an authentication attempt carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret<'a> {
    /// As the peer typed it.
    Plaintext(&'a [u8]),
    /// A hash or response that can be cracked off line: its kind, and the text that a cracker takes.
    Crackable {
        /// Such as `mysql_native_password`, `scram_sha256`, `cram_md5`.
        kind: &'static str,
        /// In the crackers' own format.
        text: String,
    },
    /// A public key that was offered: its algorithm and SHA-256 fingerprint as OpenSSH prints it.
    PublicKey {
        /// Such as `ssh-ed25519`.
        algorithm: &'a str,
        /// `SHA256:…`.
        fingerprint: &'a str,
    },
    /// No secret was given.
    None,
}

text_enum! {
    /// What a client fingerprint is made from.
    FingerprintKind {
        /// TLS ClientHello, MD5 form.
        Ja3 = "ja3",
        /// TLS ClientHello, second generation.
        Ja4 = "ja4",
        /// SSH client's algorithm lists.
        Hassh = "hassh",
    }
}

text_enum! {
    /// What a client says of itself.
    ClientInfoKind {
        /// SSH identification string.
        SshVersion = "ssh_version",
        /// HTTP User-Agent.
        UserAgent = "user_agent",
        /// SMTP EHLO or HELO name.
        EhloName = "ehlo_name",
        /// A database driver's attributes, or CLIENT SETNAME.
        ClientName = "client_name",
        /// The schema that a database's client names as it signs in.
        Schema = "schema",
        /// The server that a TLS client asks for (RFC 6066 section 3).
        TlsServerName = "tls_server_name",
        /// The protocols that a TLS client would speak, by comma (RFC 7301).
        TlsAlpn = "tls_alpn",
        /// The versions of TLS that a client offers: their numbers in hex, by comma.
        TlsVersions = "tls_versions",
        /// FTP CLNT, or an anonymous login's address.
        ClientSoftware = "client_software",
        /// Terminal type of a pty.
        Terminal = "terminal",
        /// Environment variable that a client set.
        Environment = "environment",
    }
}

text_enum! {
    /// Why a connection ended.
    CloseReason {
        /// The peer closed it.
        Peer = "peer",
        /// The decoy closed it, as the protocol has it.
        Server = "server",
        /// Nothing came for too long.
        Idle = "idle_timeout",
        /// It lasted longer than allowed.
        TooLong = "total_timeout",
        /// It sent more than allowed.
        TooMuch = "byte_limit",
        /// It broke the protocol.
        Violation = "violation",
        /// The network failed.
        Network = "network",
        /// The service is being stopped.
        Shutdown = "shutdown",
        /// Nobody answered behind the decoy: the peer saw what a closed port gives.
        Unanswered = "unanswered",
    }
}

/// A file that an intruder left: where it is kept and what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured<'a> {
    /// The name under which the artifact folder keeps it.
    pub stored_as: &'a str,
    /// SHA-256, hex.
    pub sha256: &'a str,
    /// Bytes.
    pub size: u64,
    /// Where the intruder put it.
    pub path: &'a [u8],
    /// How it came: `sftp`, `scp`, `stor`, `redirect` …
    pub via: &'static str,
    /// The account that it was left under.
    pub user: &'a [u8],
    /// Whether it was cut at the size limit.
    pub truncated: bool,
}

/// What a decoy reports. Byte slices are what the peer sent; they are bounded and escaped by [`Event::fields`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// See [`EventKind::Connect`].
    Connect,
    /// See [`EventKind::Disconnect`].
    Disconnect {
        /// Bytes from the peer.
        bytes_in: u64,
        /// Bytes to the peer.
        bytes_out: u64,
        /// How long it lasted.
        duration_ms: u64,
        /// Why it ended.
        reason: CloseReason,
    },
    /// See [`EventKind::AuthAttempt`].
    AuthAttempt {
        /// The account; empty where the protocol has none.
        principal: &'a [u8],
        /// What was offered to prove it.
        secret: Secret<'a>,
        /// `password`, `publickey`, `AUTH LOGIN` …
        mechanism: &'a str,
        /// Whether the decoy let it in.
        accepted: bool,
    },
    /// See [`EventKind::Command`].
    Command {
        /// The whole command line.
        line: &'a [u8],
        /// User, directory and the like, in the protocol's own words.
        detail: &'a [(&'static str, &'a [u8])],
    },
    /// See [`EventKind::Query`].
    Query {
        /// The statement.
        text: &'a [u8],
        /// Database that it ran in.
        database: &'a [u8],
    },
    /// See [`EventKind::Request`].
    Request {
        /// Method or verb.
        method: &'a [u8],
        /// Path and query.
        target: &'a [u8],
        /// Status that the decoy answered with.
        status: u16,
        /// Header names and values in the order in which they came.
        headers: &'a [(&'a [u8], &'a [u8])],
        /// Body, as far as it was kept.
        body: &'a [u8],
    },
    /// See [`EventKind::Download`].
    Download {
        /// What was asked for.
        path: &'a [u8],
        /// Bytes sent.
        size: u64,
        /// Whether there was such a thing.
        found: bool,
    },
    /// See [`EventKind::FileCaptured`].
    FileCaptured(Captured<'a>),
    /// See [`EventKind::MailAccepted`].
    MailAccepted {
        /// Envelope sender.
        from: &'a [u8],
        /// Envelope recipients.
        to: &'a [Vec<u8>],
        /// Subject header.
        subject: &'a [u8],
        /// The mail as kept.
        file: Captured<'a>,
        /// Queue id that the peer was told.
        queue_id: &'a str,
    },
    /// See [`EventKind::FetchAttempt`].
    FetchAttempt {
        /// The URL, or `host:port/path`.
        url: &'a [u8],
        /// The command that wanted it: `wget`, `curl`, `SLAVEOF` …
        via: &'a str,
    },
    /// See [`EventKind::ForwardRefused`].
    ForwardRefused {
        /// `direct-tcpip`, `relay`, `PORT` …
        via: &'static str,
        /// Where to.
        target: &'a [u8],
    },
    /// See [`EventKind::Exchange`].
    Exchange {
        /// What the peer said, as far as it was kept.
        received: &'a [u8],
        /// How many bytes that were.
        received_bytes: u64,
        /// What it was answered, as far as it was kept.
        answered: &'a [u8],
        /// How many bytes that were.
        answered_bytes: u64,
    },
    /// See [`EventKind::Violation`].
    Violation {
        /// What rule was broken.
        what: &'static str,
        /// The offending bytes.
        bytes: &'a [u8],
    },
    /// See [`EventKind::Exploit`].
    Exploit {
        /// Its usual name or CVE, such as `redis-module-load` or `CVE-2021-41773`.
        name: &'static str,
        /// The bytes that show it.
        bytes: &'a [u8],
    },
    /// See [`EventKind::Fingerprint`].
    Fingerprint {
        /// What it is made from.
        kind: FingerprintKind,
        /// The hash.
        hash: &'a str,
        /// What was hashed.
        raw: &'a str,
    },
    /// See [`EventKind::ClientInfo`].
    ClientInfo {
        /// What it says.
        kind: ClientInfoKind,
        /// Its words.
        value: &'a [u8],
    },
    /// See [`EventKind::Limited`].
    Limited {
        /// `connections`, `connections_per_address`, `artifact_bytes` …
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// See [`EventKind::SessionStarted`].
    SessionStarted {
        /// Session id of the recording.
        sid: &'a str,
        /// Account.
        user: &'a [u8],
    },
    /// See [`EventKind::SessionEnded`].
    SessionEnded {
        /// Session id of the recording.
        sid: &'a str,
        /// How long it lasted.
        duration_ms: u64,
    },
    /// See [`EventKind::SessionRecorded`].
    SessionRecorded {
        /// Session id of the recording.
        sid: &'a str,
        /// Account.
        user: &'a [u8],
        /// How long it lasted.
        duration_ms: u64,
        /// Bytes of output.
        bytes: u64,
        /// Keys that were pressed.
        keystrokes: u64,
        /// Whether the recording was cut at its cap.
        truncated: bool,
        /// File name of the shard.
        shard: &'a str,
    },
    /// See [`EventKind::SessionSkipped`].
    SessionSkipped {
        /// Session id that the recording would have had.
        sid: &'a str,
        /// Why.
        why: &'a str,
    },
    /// See [`EventKind::ServiceStarted`].
    ServiceStarted {
        /// Local address and port.
        listen: &'a str,
    },
    /// See [`EventKind::ServiceStopped`].
    ServiceStopped {
        /// Local address and port.
        listen: &'a str,
    },
    /// See [`EventKind::Mutation`].
    Mutation {
        /// Services before, by comma.
        from: &'a str,
        /// Services after, by comma.
        to: &'a str,
        /// `schedule` or `operator`.
        trigger: &'a str,
    },
}

/// One `key="value"` pair of a line: neither side needs more escaping than the line format's own.
pub type Field<'a> = (Cow<'a, str>, Cow<'a, str>);

impl Event<'_> {
    /// The MSGID of this event's line.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Connect => EventKind::Connect,
            Self::Disconnect { .. } => EventKind::Disconnect,
            Self::AuthAttempt { .. } => EventKind::AuthAttempt,
            Self::Command { .. } => EventKind::Command,
            Self::Query { .. } => EventKind::Query,
            Self::Request { .. } => EventKind::Request,
            Self::Download { .. } => EventKind::Download,
            Self::FileCaptured(_) => EventKind::FileCaptured,
            Self::MailAccepted { .. } => EventKind::MailAccepted,
            Self::FetchAttempt { .. } => EventKind::FetchAttempt,
            Self::ForwardRefused { .. } => EventKind::ForwardRefused,
            Self::Exchange { .. } => EventKind::Exchange,
            Self::Violation { .. } => EventKind::Violation,
            Self::Exploit { .. } => EventKind::Exploit,
            Self::Fingerprint { .. } => EventKind::Fingerprint,
            Self::ClientInfo { .. } => EventKind::ClientInfo,
            Self::Limited { .. } => EventKind::Limited,
            Self::SessionStarted { .. } => EventKind::SessionStarted,
            Self::SessionEnded { .. } => EventKind::SessionEnded,
            Self::SessionRecorded { .. } => EventKind::SessionRecorded,
            Self::SessionSkipped { .. } => EventKind::SessionSkipped,
            Self::ServiceStarted { .. } => EventKind::ServiceStarted,
            Self::ServiceStopped { .. } => EventKind::ServiceStopped,
            Self::Mutation { .. } => EventKind::Mutation,
        }
    }

    /// The fields of this event's line, bounded and printable.
    #[must_use]
    pub fn fields(&self) -> Vec<Field<'_>> {
        let mut out = Fields(Vec::with_capacity(8));
        match self {
            Self::Connect => {}
            Self::Disconnect {
                bytes_in,
                bytes_out,
                duration_ms,
                reason,
            } => {
                out.number("bytes_in", *bytes_in);
                out.number("bytes_out", *bytes_out);
                out.number("duration_ms", *duration_ms);
                out.text("reason", reason.as_str());
            }
            Self::AuthAttempt {
                principal,
                secret,
                mechanism,
                accepted,
            } => {
                out.bytes(field::PRINCIPAL, principal);
                match secret {
                    Secret::Plaintext(raw) => {
                        out.text(field::SECRET_KIND, "plaintext");
                        out.bytes(field::SECRET, raw);
                        out.text(field::SECRET_B64, base64(raw.get(..MAX_VALUE).unwrap_or(raw)));
                    }
                    Secret::Crackable { kind, text } => {
                        out.text(field::SECRET_KIND, *kind);
                        out.bytes(field::SECRET, text.as_bytes());
                    }
                    Secret::PublicKey {
                        algorithm,
                        fingerprint,
                    } => {
                        out.text(field::SECRET_KIND, "public_key");
                        out.bytes("algorithm", algorithm.as_bytes());
                        out.bytes(field::SECRET, fingerprint.as_bytes());
                    }
                    Secret::None => out.text(field::SECRET_KIND, "none"),
                }
                out.bytes(field::MECHANISM, mechanism.as_bytes());
                out.text(field::OUTCOME, if *accepted { "accepted" } else { "refused" });
            }
            Self::Command { line, detail } => {
                out.bytes(field::COMMAND, line);
                for (key, value) in *detail {
                    out.bytes(key, value);
                }
            }
            Self::Query { text, database } => {
                out.bytes("query", text);
                out.bytes("database", database);
            }
            Self::Request {
                method,
                target,
                status,
                headers,
                body,
            } => {
                out.bytes("method", method);
                out.bytes("path", target);
                out.number("status", u64::from(*status));
                for (name, value) in headers.iter().take(64) {
                    let mut key = String::from("header_");
                    key.extend(name.iter().take(24).map(|b| match b {
                        b'a'..=b'z' | b'0'..=b'9' => char::from(*b),
                        b'A'..=b'Z' => char::from(b.to_ascii_lowercase()),
                        _ => '_',
                    }));
                    out.owned(key, value);
                }
                if !body.is_empty() {
                    out.bytes("body", body);
                }
            }
            Self::Download { path, size, found } => {
                out.bytes("path", path);
                out.number("size", *size);
                out.flag("found", *found);
            }
            Self::FileCaptured(file) => out.captured(file),
            Self::MailAccepted {
                from,
                to,
                subject,
                file,
                queue_id,
            } => {
                out.bytes("mail_from", from);
                out.bytes("rcpt_to", &to.join(&b','));
                out.number("rcpt_count", u64::try_from(to.len()).unwrap_or(u64::MAX));
                out.bytes("subject", subject);
                out.text("queue_id", *queue_id);
                out.captured(file);
            }
            Self::FetchAttempt { url, via } => {
                out.bytes("url", url);
                out.bytes("via", via.as_bytes());
            }
            Self::ForwardRefused { via, target } => {
                out.text("via", *via);
                out.bytes("target", target);
            }
            Self::Exchange {
                received,
                received_bytes,
                answered,
                answered_bytes,
            } => {
                out.bytes("received", received);
                out.number("received_bytes", *received_bytes);
                out.bytes("answered", answered);
                out.number("answered_bytes", *answered_bytes);
            }
            Self::Violation { what, bytes } => {
                out.text("what", *what);
                out.bytes("bytes", bytes);
            }
            Self::Exploit { name, bytes } => {
                out.text("exploit", *name);
                out.bytes("bytes", bytes);
            }
            Self::Fingerprint { kind, hash, raw } => {
                out.text("fingerprint_kind", kind.as_str());
                out.bytes("fingerprint", hash.as_bytes());
                out.bytes("fingerprint_raw", raw.as_bytes());
            }
            Self::ClientInfo { kind, value } => {
                out.text("info_kind", kind.as_str());
                out.bytes("info", value);
            }
            Self::Limited { what, limit } => {
                out.text("what", *what);
                out.number("limit", *limit);
            }
            Self::SessionStarted { sid, user } => {
                out.bytes("sid", sid.as_bytes());
                out.bytes("user", user);
            }
            Self::SessionEnded { sid, duration_ms } => {
                out.bytes("sid", sid.as_bytes());
                out.number("duration_ms", *duration_ms);
            }
            Self::SessionRecorded {
                sid,
                user,
                duration_ms,
                bytes,
                keystrokes,
                truncated,
                shard,
            } => {
                out.bytes("sid", sid.as_bytes());
                out.bytes("user", user);
                out.number("duration_ms", *duration_ms);
                out.number("bytes", *bytes);
                out.number("keystrokes", *keystrokes);
                out.flag("truncated", *truncated);
                out.bytes("shard", shard.as_bytes());
            }
            Self::SessionSkipped { sid, why } => {
                out.bytes("sid", sid.as_bytes());
                out.bytes("why", why.as_bytes());
            }
            Self::ServiceStarted { listen } | Self::ServiceStopped { listen } => {
                out.bytes("listen", listen.as_bytes());
            }
            Self::Mutation { from, to, trigger } => {
                out.bytes("services_before", from.as_bytes());
                out.bytes("services_after", to.as_bytes());
                out.bytes("trigger", trigger.as_bytes());
            }
        }
        out.0
    }
}

struct Fields<'a>(Vec<Field<'a>>);

impl<'a> Fields<'a> {
    fn text(&mut self, key: &'a str, value: impl Into<Cow<'a, str>>) {
        self.0.push((key.into(), value.into()));
    }

    fn number(&mut self, key: &'a str, value: u64) {
        self.text(key, value.to_string());
    }

    fn flag(&mut self, key: &'a str, value: bool) {
        self.text(key, if value { "true" } else { "false" });
    }

    fn bytes(&mut self, key: &'a str, raw: &[u8]) {
        self.cow(key.into(), raw);
    }

    fn owned(&mut self, key: String, raw: &[u8]) {
        self.cow(key.into(), raw);
    }

    fn cow(&mut self, key: Cow<'a, str>, raw: &[u8]) {
        let (text, cut) = printable_head(raw, MAX_VALUE);
        if cut > 0 {
            self.0.push((format!("{key}_cut").into(), cut.to_string().into()));
        }
        self.0.push((key, text.into()));
    }

    fn captured(&mut self, file: &Captured<'a>) {
        self.bytes("stored_as", file.stored_as.as_bytes());
        self.bytes(field::SHA256, file.sha256.as_bytes());
        self.number("size", file.size);
        self.bytes("orig_path", file.path);
        self.text("via", file.via);
        self.bytes("user", file.user);
        self.flag("truncated", file.truncated);
    }
}

/// Base64 with padding (RFC 4648 section 4).
fn base64(raw: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(raw.len().div_ceil(3) * 4);
    for chunk in raw.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, b| word << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sextet = usize::try_from(word >> (18 - 6 * i) & 0x3f).unwrap_or_default();
            let digit = ALPHABET.get(sextet).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_unique_and_fit_the_msgid_limit_of_rfc_5424() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in EventKind::ALL {
            assert!(kind.as_str().len() <= 32);
            assert!(seen.insert(kind.as_str()));
        }
    }

    #[test]
    fn base64_matches_rfc_4648_section_10() {
        for (raw, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(raw.as_bytes()), text);
        }
    }

    #[test]
    fn a_long_value_is_cut_and_the_cut_is_told() {
        let line = vec![b'a'; MAX_VALUE + 5];
        let event = Event::Command {
            line: &line,
            detail: &[],
        };
        let fields = event.fields();
        assert!(fields.contains(&("command_cut".into(), "5".into())));
        assert_eq!(fields.last().map(|(_, v)| v.len()), Some(MAX_VALUE));
    }

    #[test]
    fn header_names_of_an_attacker_become_safe_keys() {
        let event = Event::Request {
            method: b"GET",
            target: b"/",
            status: 200,
            headers: &[(b"X\"]=Y", b"v")],
            body: b"",
        };
        assert!(event.fields().iter().any(|(k, _)| k == "header_x___y"));
    }
}
