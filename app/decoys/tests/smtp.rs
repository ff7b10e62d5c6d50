//! The smtp decoy over a real socket: a golden transcript in the words of Postfix 3.7, and what it reports.
#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use decnet_decoys::smtp::line;
use decnet_persona::{Distro, Persona, PersonaSpec, ProductKind, Seed};
use support::{Site, start};

/// A Debian 12 mail server whose product is `product`.
fn persona(product: &str) -> PersonaSpec {
    (0..64_u8)
        .map(|n| PersonaSpec {
            distro: Some(Distro::Debian12),
            ..PersonaSpec::new(Seed::from_bytes([n; 16]), "mail-server")
        })
        .find(|spec| Persona::derive(spec).unwrap().product(ProductKind::Mail).name == product)
        .unwrap()
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(site: &Site) -> Self {
        let stream = TcpStream::connect(site.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(stream))
    }

    /// The next answer: its lines, joined.
    fn answer(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return all;
            }
            let last = line.as_bytes().get(3) != Some(&b'-');
            all.push_str(line.trim_end());
            if last {
                return all;
            }
            all.push('\n');
        }
    }

    fn ask(&mut self, line: &str) -> String {
        write!(self.0.get_mut(), "{line}\r\n").unwrap();
        self.answer()
    }
}

#[test]
fn a_conversation_is_worded_as_postfix_words_it() {
    let spec = persona("Postfix");
    let who = Persona::derive(&spec).unwrap();
    let (host, domain) = (who.fqdn(), who.domain.clone());
    let site = start("smtp", spec, &[]);
    let mut c = Client::connect(&site);
    assert_eq!(c.answer(), format!("220 {host} ESMTP Postfix (Debian/GNU)"));
    assert_eq!(c.ask("EHLO"), "501 Syntax: EHLO hostname");
    assert_eq!(c.ask("AUTH PLAIN"), "503 5.5.1 Error: send HELO/EHLO first");
    assert_eq!(
        c.ask("EHLO probe.example"),
        format!(
            "250-{host}\n250-PIPELINING\n250-SIZE 10240000\n250-VRFY\n250-ETRN\n250-STARTTLS\n250-AUTH PLAIN LOGIN \
             CRAM-MD5\n250-ENHANCEDSTATUSCODES\n250-8BITMIME\n250-DSN\n250-SMTPUTF8\n250 CHUNKING"
        )
    );
    let local = format!("postmaster@{domain}");
    for (said, answered) in [
        ("RCPT TO:<a@b>", "503 5.5.1 Error: need MAIL command".to_owned()),
        ("DATA", "503 5.5.1 Error: need RCPT command".to_owned()),
        ("MAIL", "501 5.5.4 Syntax: MAIL FROM:<address>".to_owned()),
        (
            "MAIL FROM:<a b@c>",
            "501 5.1.7 Bad sender address syntax".to_owned(),
        ),
        (
            "MAIL FROM:<a@b> SIZE=99999999",
            "552 5.3.4 Message size exceeds fixed limit".to_owned(),
        ),
        ("MAIL FROM:<a@b.example> BODY=8BITMIME", "250 2.1.0 Ok".to_owned()),
        (
            "MAIL FROM:<a@b.example>",
            "503 5.5.1 Error: nested MAIL command".to_owned(),
        ),
        (
            "RCPT TO:<x@elsewhere.example>",
            "454 4.7.1 <x@elsewhere.example>: Relay access denied".to_owned(),
        ),
        ("DATA", "554 5.5.1 Error: no valid recipients".to_owned()),
        (
            "RCPT TO:<no-such-user>",
            "550 5.1.1 <no-such-user>: Recipient address rejected: User unknown in local recipient table"
                .to_owned(),
        ),
        ("VRFY root", "252 2.0.0 root".to_owned()),
        ("EXPN root", "502 5.5.1 Error: command not implemented".to_owned()),
        ("NOOP", "250 2.0.0 Ok".to_owned()),
        ("XYZZY", "500 5.5.2 Error: command not recognized".to_owned()),
        (&format!("RCPT TO:<{local}>"), "250 2.1.5 Ok".to_owned()),
        ("DATA", "354 End data with <CR><LF>.<CR><LF>".to_owned()),
    ] {
        assert_eq!(c.ask(said), answered, "{said}");
    }
    let queued = c.ask("Subject: hello\r\n there\r\n\r\n..dotted\r\nlast\r\n.");
    let id = queued.strip_prefix("250 2.0.0 Ok: queued as ").unwrap();
    assert!(
        (10..=11).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
    );
    assert_eq!(c.ask("QUIT"), "221 2.0.0 Bye");
    site.lines.wait(&["client_info", "info=\"probe.example\""]);
    site.lines
        .wait(&["forward_refused", "via=\"relay\"", "x@elsewhere.example"]);
    let line = site
        .lines
        .wait(&["mail_accepted", "subject=\"hello there\"", &local, id]);
    let name = line
        .split("stored_as=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let kept = std::fs::read(site.kept().iter().find(|path| path.ends_with(name)).unwrap()).unwrap();
    assert_eq!(kept, b"Subject: hello\r\n there\r\n\r\n.dotted\r\nlast\r\n");
}

#[test]
fn chunks_are_put_together_and_pipelined_commands_are_all_answered() {
    let site = start("smtp", persona("Postfix"), &[]);
    let mut c = Client::connect(&site);
    c.answer();
    let all =
        "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<root>\r\nBDAT 9\r\nSubject: BDAT 9 LAST\r\n x\r\n\r\nabcQUIT";
    assert!(c.ask(all).starts_with("250-"));
    let answers: Vec<String> = (0..5).map(|_| c.answer()).collect();
    assert_eq!(answers[2], "250 2.0.0 Ok: 9 bytes");
    assert!(answers[3].starts_with("250 2.0.0 Ok: queued as "), "{answers:?}");
    assert_eq!(answers[4], "221 2.0.0 Bye");
    site.lines
        .wait(&["mail_accepted", "size=\"18\"", "subject=\"x\""]);
}

#[test]
fn secrets_are_captured_by_every_mechanism() {
    let site = start("smtp", persona("Postfix"), &[("accept", "never")]);
    let mut c = Client::connect(&site);
    c.answer();
    c.ask("EHLO x");
    let refused = "535 5.7.8 Error: authentication failed: authentication failure";
    assert_eq!(c.ask("AUTH PLAIN AGV2YQBzZWNyZXQ="), refused);
    site.lines.wait(&[
        "principal=\"eva\"",
        "secret_printable=\"secret\"",
        "mechanism=\"AUTH PLAIN\"",
    ]);
    assert_eq!(c.ask("AUTH LOGIN"), "334 VXNlcm5hbWU6");
    assert_eq!(c.ask("ZXZh"), "334 UGFzc3dvcmQ6");
    assert_eq!(c.ask("aHVudGVyMg=="), refused);
    site.lines
        .wait(&["secret_printable=\"hunter2\"", "mechanism=\"AUTH LOGIN\""]);
    let challenge = c.ask("AUTH CRAM-MD5");
    let challenge = challenge.strip_prefix("334 ").unwrap().to_owned();
    assert_eq!(c.ask("ZXZhIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"), refused);
    site.lines
        .wait(&["secret_kind=\"cram_md5\"", &format!("$cram_md5${challenge}$ZXZh")]);
    assert_ne!(c.ask("AUTH CRAM-MD5"), format!("334 {challenge}"));
    assert_eq!(c.ask("*"), "501 5.7.0 Authentication aborted");
    assert_eq!(
        c.ask("GET / HTTP/1.1"),
        "221 2.7.0 Error: I can break rules, too. Goodbye."
    );
    assert_eq!(c.answer(), "", "and the connection is closed");
}

#[test]
fn twenty_errors_end_the_conversation() {
    let site = start("smtp", persona("Postfix"), &[]);
    let mut c = Client::connect(&site);
    c.answer();
    for _ in 0..20 {
        assert!(c.ask("XYZZY").starts_with("500 "));
    }
    assert!(c.answer().starts_with("421 4.7.0 "));
    assert_eq!(c.answer(), "");
}

#[test]
fn exim_speaks_in_its_own_words() {
    let site = start("smtp", persona("Exim"), &[("accept", "always")]);
    let mut c = Client::connect(&site);
    assert!(c.answer().contains(" ESMTP Exim 4.96 "));
    assert!(c.ask("EHLO x").contains("Hello x [127.0.0.1]"));
    assert_eq!(
        c.ask("AUTH PLAIN AGV2YQBzZWNyZXQ="),
        "235 Authentication succeeded"
    );
    assert_eq!(c.ask("MAIL FROM:<a@b>"), "250 OK");
    assert_eq!(c.ask("RCPT TO:<any@where.example>"), "250 Accepted");
    assert_eq!(
        c.ask("DATA"),
        "354 Enter message, ending with \".\" on a line by itself"
    );
    assert!(c.ask("x\r\n.").starts_with("250 OK id="));
    assert!(c.ask("QUIT").ends_with("closing connection"));
}

#[test]
fn the_seeds_of_the_fuzzer_are_read_without_a_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/smtp_line");
    let mut paths = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let raw = std::fs::read(entry.unwrap().path()).unwrap();
        let (_verb, rest) = line::split(&raw);
        for keyword in [&b"FROM:"[..], b"TO:"] {
            paths += usize::from(line::Path::parse(rest, keyword).is_ok());
        }
    }
    assert!(paths >= 3);
}
