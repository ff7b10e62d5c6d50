//! What is asked, product by product: banners, what is negotiated, and words that no client says.

use std::{io, net::SocketAddr};

use decnet_control::{Product, ssh};
use serde::Serialize;

use super::{
    shown,
    talk::{self, Login},
};

/// What a probe is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// What a server says of itself.
    Banner,
    /// What it offers, and how it lists that.
    Negotiation,
    /// What it says to what it does not take.
    Error,
}

/// A question, the same for both.
pub(super) struct Probe {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    words: Words,
}

enum Words {
    /// Said at once, in ssh. Then our end of stream, where that is set.
    Ssh(Vec<u8>, bool),
    /// Said at once, then our end of stream.
    Raw(Vec<u8>),
    /// Said at once; only the names of what comes back are shown.
    Fields(&'static [u8]),
    /// Line by line, each after the reply to the one before. Without any, the greeting is the answer.
    Lines(Vec<String>),
    /// Nothing: the greeting of a database.
    Greeting,
    /// To a database in place of a login.
    Unasked(Vec<u8>),
    /// To a database: a login, and then commands.
    SignedIn(Login, &'static [&'static [u8]]),
}

impl Probe {
    /// What `server` answers.
    pub(super) async fn answered(&self, server: SocketAddr) -> io::Result<String> {
        let answer = match &self.words {
            Words::Ssh(words, end) => {
                // It drops visitors by chance where several have not signed in yet, and says so.
                let mut answer = shown::ssh(&talk::say(server, words, *end).await?);
                for _ in 0..20 {
                    if !answer.contains("Exceeded MaxStartups") {
                        break;
                    }
                    answer = shown::ssh(&talk::say(server, words, *end).await?);
                }
                return Ok(answer);
            }
            Words::Raw(words) => talk::say(server, words, true).await?,
            Words::Fields(words) => return Ok(shown::fields(&talk::say(server, words, true).await?)),
            Words::Lines(lines) => return Ok(shown::conversation(&talk::converse(server, lines).await?)),
            Words::Greeting => return Ok(shown::mysql(&talk::say(server, b"", true).await?)),
            Words::Unasked(words) => return Ok(shown::mysql(&talk::interrupt_mysql(server, words).await?)),
            Words::SignedIn(login, commands) => {
                return Ok(shown::mysql(&talk::ask_mysql(server, *login, commands).await?));
            }
        };
        Ok(shown::whole(&answer))
    }
}

/// Everything that is asked of `product`.
pub(super) fn of(product: Product) -> Vec<Probe> {
    match product {
        Product::OpenSsh => open_ssh(),
        Product::Nginx => http(&[]),
        Product::Apache => http(&[(
            "files of the configuration",
            "GET /.htaccess HTTP/1.1\r\nHost: a\r\n\r\n",
        )]),
        Product::Redis => redis(),
        Product::MariaDb => mysql(),
        Product::Postfix => smtp(&[
            (
                "an option of ESMTP that is none",
                &["EHLO a", "MAIL FROM:<a@b> FOO=bar"],
            ),
            ("a queue of another domain", &["EHLO a", "ETRN"]),
        ]),
        Product::Exim => smtp(&[("a name that is none", &["EHLO x_y"])]),
        Product::VsFtpd => ftp(&[("an option that there is not", &["OPTS x"])]),
        Product::ProFtpd => ftp(&[(
            "how to take a part of a file",
            &["USER anonymous", "PASS x", "RANG 1"],
        )]),
    }
}

fn probe(kind: Kind, name: &'static str, words: Words) -> Probe {
    Probe { kind, name, words }
}

/// Said line by line.
fn lines(kind: Kind, name: &'static str, lines: &[&str]) -> Probe {
    probe(
        kind,
        name,
        Words::Lines(lines.iter().map(|line| (*line).to_owned()).collect()),
    )
}

fn open_ssh() -> Vec<Probe> {
    let after_hello = |words: &[u8]| [ssh::CLIENT, words].concat();
    let begun = after_hello(&ssh::kexinit());
    // The base point of the curve, which is a good share.
    let share = [&[30_u8][..], &ssh::string(&[&[9_u8][..], &[0; 31]].concat())].concat();
    let odd = ssh::packet(&[&[192_u8][..], &[0; 20]].concat());
    let error = |name, words: Vec<u8>| probe(Kind::Error, name, Words::Ssh(words, false));
    vec![
        probe(Kind::Banner, "identification", Words::Ssh(Vec::new(), true)),
        probe(
            Kind::Negotiation,
            "lists of KEXINIT",
            Words::Ssh(ssh::CLIENT.to_vec(), false),
        ),
        probe(
            Kind::Negotiation,
            "key exchange",
            Words::Ssh([&begun[..], &ssh::packet(&share)].concat(), false),
        ),
        error("SSH-1337-…", b"SSH-1337-OpenSSH_9.0\r\n".to_vec()),
        error("SSH-1.99-…", b"SSH-1.99-x\r\n".to_vec()),
        error("eight carriage returns", b"\r\r\r\r\r\r\r\r".to_vec()),
        error("GET / HTTP/1337", b"GET / HTTP/1337\r\n\r\n".to_vec()),
        error("QUIT without line end", b"QUIT".to_vec()),
        error(
            "too long an identification",
            [b"SSH-2.0-", &vec![b'A'; 9_000][..], b"\r\n"].concat(),
        ),
        error(
            "too long a packet",
            after_hello(&ssh::framed(0x7fff_ffff, 4, &[20_u8; 16])),
        ),
        error(
            "HTTP in place of a packet",
            after_hello(b"GET / HTTP/1.0\r\n\r\n"),
        ),
        error(
            "no common key exchange",
            after_hello(&ssh::kexinit_with(0, "nope")),
        ),
        error("no common cipher", after_hello(&ssh::kexinit_with(2, "nope"))),
        error("an unknown message", after_hello(&odd)),
        error("KEXINIT twice", [&begun[..], &ssh::kexinit()].concat()),
    ]
}

fn http(more: &[(&'static str, &'static str)]) -> Vec<Probe> {
    let raw = |kind, name, words: &str| probe(kind, name, Words::Raw(words.as_bytes().to_vec()));
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(8300));
    let mut all = vec![
        raw(
            Kind::Banner,
            "order of headers",
            "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw(
            Kind::Negotiation,
            "HTTP/1.0 kept alive",
            "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        ),
        raw(
            Kind::Negotiation,
            "methods",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw(
            Kind::Negotiation,
            "a folder",
            "GET /wp-content HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw(
            Kind::Error,
            "page not found",
            "GET /nope HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw(
            Kind::Error,
            "GET / HTTP/1337",
            "GET / HTTP/1337\r\nHost: a\r\n\r\n",
        ),
        raw(Kind::Error, "unknown method", "FOO / HTTP/1.1\r\nHost: a\r\n\r\n"),
        raw(Kind::Error, "TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
        raw(Kind::Error, "no host", "GET / HTTP/1.1\r\n\r\n"),
        raw(
            Kind::Error,
            "out of the root",
            "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw(Kind::Error, "too long a header", &long),
        raw(Kind::Error, "SSH-1337-…", "SSH-1337-OpenSSH_9.0\r\n\r\n"),
        raw(Kind::Error, "eight carriage returns", "\r\r\r\r\r\r\r\r"),
        raw(Kind::Error, "QUIT without line end", "QUIT"),
        raw(Kind::Error, "the beginning of TLS", "\u{16}\u{3}\u{1}"),
    ];
    all.extend(more.iter().map(|&(name, words)| raw(Kind::Error, name, words)));
    all
}

fn redis() -> Vec<Probe> {
    let raw = |kind, name, words: &str| probe(kind, name, Words::Raw(words.as_bytes().to_vec()));
    vec![
        raw(Kind::Banner, "HELLO 3", "HELLO 3\r\n"),
        raw(Kind::Negotiation, "HELLO 4", "HELLO 4\r\n"),
        probe(Kind::Negotiation, "fields of INFO", Words::Fields(b"INFO\r\n")),
        raw(Kind::Negotiation, "COMMAND COUNT", "COMMAND COUNT\r\n"),
        raw(
            Kind::Negotiation,
            "CONFIG GET",
            "CONFIG GET maxmemory\r\nCONFIG GET proto-max*\r\nCONFIG GET nothing*\r\n",
        ),
        raw(Kind::Error, "unknown command", "FOO bar baz\r\n"),
        raw(Kind::Error, "too few arguments", "GET\r\nSET a\r\nCONFIG\r\n"),
        raw(Kind::Error, "a wrong password", "AUTH nobody wrong\r\n"),
        raw(
            Kind::Error,
            "what is guarded",
            "CONFIG SET dir /tmp\r\nMODULE LOAD /tmp/x.so\r\n",
        ),
        raw(Kind::Error, "no length", "*abc\r\n"),
        raw(Kind::Error, "an open quotation mark", "SET a \"x\r\n"),
        raw(
            Kind::Error,
            "GET / HTTP/1337",
            "GET / HTTP/1337\r\nHost: a\r\n\r\n",
        ),
        raw(Kind::Error, "SSH-1337-…", "SSH-1337-OpenSSH_9.0\r\n"),
        raw(Kind::Error, "eight carriage returns", "\r\r\r\r\r\r\r\r"),
        raw(Kind::Error, "QUIT without line end", "QUIT"),
        raw(Kind::Error, "too long a line", &"A".repeat(70_000)),
    ]
}

fn mysql() -> Vec<Probe> {
    const KNOWN: Login = Login {
        user: "r",
        password: "p",
        database: "",
    };
    let raw = |name, words: &[u8]| probe(Kind::Error, name, Words::Unasked(words.to_vec()));
    let signed_in = |kind, name, login, commands| probe(kind, name, Words::SignedIn(login, commands));
    vec![
        probe(Kind::Banner, "handshake", Words::Greeting),
        signed_in(Kind::Negotiation, "a login, a ping", KNOWN, &[b"\x0e"]),
        signed_in(
            Kind::Negotiation,
            "settings that clients ask for",
            KNOWN,
            &[b"\x03select @@version, @@sql_mode, @@max_allowed_packet"],
        ),
        signed_in(
            Kind::Negotiation,
            "character sets",
            KNOWN,
            &[b"\x03set names latin1", b"\x03set names nope"],
        ),
        signed_in(
            Kind::Error,
            "a wrong password",
            Login {
                password: "wrong",
                ..KNOWN
            },
            &[],
        ),
        signed_in(
            Kind::Error,
            "an unknown name",
            Login {
                user: "nobody9",
                ..KNOWN
            },
            &[],
        ),
        signed_in(
            Kind::Error,
            "an unknown database",
            Login {
                database: "nope",
                ..KNOWN
            },
            &[],
        ),
        signed_in(Kind::Error, "no SQL", KNOWN, &[b"\x03selec 1"]),
        signed_in(
            Kind::Error,
            "an unknown table",
            KNOWN,
            &[b"\x03select * from nope.nope"],
        ),
        signed_in(Kind::Error, "an unknown command", KNOWN, &[b"\x55"]),
        raw("a login cut short", b"\x05\0\0\x01abcde"),
        raw("GET / HTTP/1337", b"GET / HTTP/1337\r\n\r\n"),
        raw("SSH-1337-…", b"SSH-1337-OpenSSH_9.0\r\n"),
        raw("eight carriage returns", b"\r\r\r\r\r\r\r\r"),
        raw("QUIT without line end", b"QUIT"),
    ]
}

/// What both line protocols are asked that no client says.
fn garbage() -> Vec<Probe> {
    let lines = |name, words: &str| lines(Kind::Error, name, &[words]);
    let raw = |name, words: &str| probe(Kind::Error, name, Words::Raw(words.as_bytes().to_vec()));
    vec![
        lines("unknown command", "XYZZY"),
        lines("GET / HTTP/1337", "GET / HTTP/1337"),
        lines("SSH-1337-…", "SSH-1337-OpenSSH_9.0"),
        lines("too long a line", &"A".repeat(20_000)),
        raw("eight carriage returns", "\r\r\r\r\r\r\r\r"),
        raw("QUIT without line end", "QUIT"),
    ]
}

fn smtp(more: &[(&'static str, &'static [&'static str])]) -> Vec<Probe> {
    let mut all = vec![
        lines(Kind::Banner, "greeting", &[]),
        lines(Kind::Negotiation, "EHLO", &["EHLO a.example"]),
        lines(Kind::Negotiation, "HELP", &["HELP"]),
        lines(
            Kind::Negotiation,
            "a mail",
            &[
                "EHLO a",
                "MAIL FROM:<>",
                "RCPT TO:<postmaster>",
                "DATA",
                "Subject: x\r\n\r\nx\r\n.",
                "QUIT",
            ],
        ),
        lines(Kind::Error, "a refused login", &["EHLO a", "AUTH PLAIN AGEAYg=="]),
        lines(Kind::Error, "STARTTLS", &["EHLO a", "STARTTLS"]),
        lines(
            Kind::Error,
            "mail for elsewhere",
            &[
                "EHLO a",
                "MAIL FROM:<a@b.example>",
                "RCPT TO:<a@elsewhere.example>",
            ],
        ),
        lines(Kind::Error, "out of order", &["RCPT TO:<a@b>", "DATA", "MAIL"]),
        lines(
            Kind::Error,
            "names of accounts",
            &["EHLO a", "VRFY root", "EXPN root"],
        ),
    ];
    all.extend(garbage());
    all.extend(more.iter().map(|&(name, words)| lines(Kind::Error, name, words)));
    all
}

fn ftp(more: &[(&'static str, &'static [&'static str])]) -> Vec<Probe> {
    let mut all = vec![
        lines(Kind::Banner, "greeting", &[]),
        lines(Kind::Negotiation, "FEAT", &["FEAT"]),
        lines(Kind::Negotiation, "HELP", &["USER anonymous", "PASS x", "HELP"]),
        lines(
            Kind::Negotiation,
            "SYST",
            &["USER anonymous", "PASS x", "SYST", "TYPE X"],
        ),
        lines(
            Kind::Negotiation,
            "SITE HELP",
            &["USER anonymous", "PASS x", "SITE HELP"],
        ),
        lines(Kind::Error, "a refused login", &["USER root", "PASS wrong"]),
        lines(Kind::Error, "before a login", &["PASS x", "SYST", "HELP", "LIST"]),
        lines(
            Kind::Error,
            "data to elsewhere",
            &["USER anonymous", "PASS x", "PORT 1,2,3,4,5,6", "PORT 1,2,3"],
        ),
        lines(
            Kind::Error,
            "files that there are not",
            &["USER anonymous", "PASS x", "CWD nope", "SIZE nope", "RNTO x"],
        ),
    ];
    all.extend(garbage());
    all.extend(more.iter().map(|&(name, words)| lines(Kind::Error, name, words)));
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_product_is_asked_for_its_banner_what_it_offers_and_what_it_refuses() {
        for product in Product::ALL {
            let probes = of(*product);
            assert!((8..=18).contains(&probes.len()), "{product:?}: {}", probes.len());
            for kind in [Kind::Banner, Kind::Negotiation, Kind::Error] {
                assert!(
                    probes.iter().any(|probe| probe.kind == kind),
                    "{product:?}: {kind:?}"
                );
            }
            let names: BTreeSet<_> = probes.iter().map(|probe| probe.name).collect();
            assert_eq!(names.len(), probes.len(), "{product:?}");
        }
    }
}
