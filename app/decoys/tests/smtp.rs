//! The smtp decoy over a real socket and against a real Postfix, and what it reports.
//!
//! The control is Debian's Postfix with a configuration, a queue and a port of its own. It has to be started as root; where that
//! cannot be, or it is not installed or of another series, the comparison says so and is skipped.
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
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use decnet_control::{Product, Words};
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
        Self::to(site.address)
    }

    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(stream))
    }

    /// The next answer: its lines, joined.
    fn answer(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            // A reset after the last word ends a conversation as well as a close does.
            if self.0.read_line(&mut line).unwrap_or(0) == 0 {
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

/// Conversations, each short of the limit of errors. `@own` stands for the server's own domain.
const CONVERSATIONS: &[&[&str]] = &[
    &[
        "EHLO",
        "HELO",
        "EHLO probe.example",
        "HELO probe",
        "EHLO x y",
        "EHLO [127.0.0.1]",
        "NOOP",
        "NOOP x y",
        "QUIT now",
    ],
    &[
        "MAIL FROM:<a@b.example>",
        "EHLO probe.example",
        "MAIL",
        "MAIL FROM",
        "MAIL FROM:",
        "MAIL FROM:a@b.example",
        "RSET",
    ],
    &["EHLO x", "MAIL FROM:<a b@c>"],
    &[
        "EHLO x",
        "MAIL FROM:<a@b> SIZE=abc",
        "MAIL FROM:<a@b> FOO=bar",
        "MAIL FROM:<a@b> BODY=foo",
        "MAIL FROM:<a@b> BODY=8BITMIME",
        "MAIL FROM:<a@b>",
    ],
    &["EHLO x", "MAIL FROM:<a@b> SIZE=99999999"],
    &[
        "EHLO x",
        "RCPT TO:<a@b>",
        "DATA",
        "MAIL FROM:<a@b.example>",
        "RCPT",
        "RCPT TO:<>",
        "RCPT TO:<x@elsewhere.example>",
        "DATA",
    ],
    &[
        "EHLO x",
        "MAIL FROM:<>",
        "RCPT TO:<postmaster@own> FOO=1",
        "RCPT TO:<postmaster@own> NOTIFY=NEVER",
        "DATA x",
    ],
    &[
        "EHLO x",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<no-such-user@own>",
        "RCPT TO:<postmaster@own>",
        "DATA",
        "Subject: x\r\n\r\nhi\r\n.",
        "RSET",
        "RSET x",
    ],
    &[
        "VRFY",
        "EXPN root",
        "HELP",
        "XYZZY",
        "",
        " ",
        "ETRN",
        "TURN",
        "SEND",
        "QUIT",
    ],
    &[
        "EHLO x",
        "VRFY",
        "VRFY postmaster@own",
        "VRFY no-such-user@own",
        "VRFY x@elsewhere.example",
        "ETRN",
        "ETRN own",
        "STARTTLS",
    ],
    &["EHLO x", "BDAT"],
    &["EHLO x", "BDAT x"],
    &["EHLO x", "BDAT 0 LAST"],
    &[
        "EHLO x",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<postmaster@own>",
        "BDAT 3\r\nabcNOOP",
        "BDAT 0 LAST",
        "XCLIENT NAME=x",
    ],
    &["GET / HTTP/1.1"],
    &["Subject: hello"],
    &["\u{16}\u{3}\u{1}"],
    &[
        "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<postmaster@own>\r\nRCPT TO:<x@elsewhere.example>\r\nQUIT",
    ],
];

/// What the server at `address` says to `lines`, up to its end.
fn conversation(address: SocketAddr, lines: &[&str], domain: &str) -> String {
    let mut client = Client::to(address);
    let mut all = client.answer();
    for line in lines {
        let sent = line
            .replace("@own", &format!("@{domain}"))
            .replace("ETRN own", &format!("ETRN {domain}"));
        all.push_str(&format!("\n> {line:?}"));
        all.push('\n');
        // Who has hung up is asked nothing more.
        let heard =
            write!(client.0.get_mut(), "{sent}\r\n").map_or_else(|_| String::new(), |()| client.answer());
        all.push_str(&heard);
    }
    // What is said without being asked, and what the other commands of a pipeline get.
    let _gone_already = client.0.get_ref().shutdown(std::net::Shutdown::Write);
    loop {
        let more = client.answer();
        if more.is_empty() {
            return all;
        }
        all.push('\n');
        all.push_str(&more);
    }
}

#[test]
fn conversations_go_as_with_a_real_postfix() {
    let spec = persona("Postfix");
    let who = Persona::derive(&spec).unwrap();
    let host = who.fqdn();
    let words = Words {
        host: &host,
        domain: &who.domain,
        ..Words::default()
    };
    let Some(postfix) = support::control(Product::Postfix, "3.7.", words) else {
        return;
    };
    let control = postfix.address();
    let site = support::start_with(
        "smtp",
        spec,
        &[("auth", false.into()), ("starttls", false.into())],
    );
    let mut different = String::new();
    // The id under which a mail is queued is new each time.
    let shape = |text: String| -> String {
        let lines = text.lines().map(|line| match line.split_once("queued as ") {
            Some((before, _id)) => format!("{before}queued as …\n"),
            None => format!("{line}\n"),
        });
        lines.collect()
    };
    for lines in CONVERSATIONS {
        let real = shape(conversation(control, lines, &who.domain));
        let ours = shape(conversation(site.address, lines, &who.domain));
        if real != ours {
            different.push_str(&format!("=== postfix\n{real}--- ours\n{ours}"));
        }
    }
    assert!(different.is_empty(), "{different}");
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
        ("EXPN root", "500 5.5.2 Error: command not recognized".to_owned()),
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
    assert!(
        answers[3].starts_with("250 2.0.0 Ok: 20 bytes queued as "),
        "{answers:?}"
    );
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

/// Conversations with Exim 4.96-15+deb12u10 (exim4-daemon-light) as Debian configures it for an internet site, from an address that
/// may not relay. A request stands after `>`, as JSON.
const EXIM: &str = include_str!("data/exim-4.96.transcript");

#[test]
fn conversations_go_as_with_a_real_exim() {
    let spec = persona("Exim");
    let who = Persona::derive(&spec).unwrap();
    let knobs = [("auth", false.into()), ("size", 52_428_800.into())];
    let site = support::start_with("smtp", spec, &knobs);
    let mut different = String::new();
    for real in EXIM.split("===\n").filter(|c| !c.is_empty()) {
        let requests = real.lines().filter_map(|line| line.strip_prefix("> "));
        let lines: Vec<String> = requests.map(|json| serde_json::from_str(json).unwrap()).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let ours = conversation(site.address, &lines, &who.domain);
        let shape = |line: &str| {
            let line = line
                .trim_end()
                .replace(&who.fqdn(), "{host}")
                .replace(&who.domain, "{domain}");
            match (line.split_once("Exim 4.96 "), line.split_once("OK id=")) {
                (Some((before, _)), _) => format!("{before}Exim 4.96 {{date}}\n"),
                (_, Some((before, _))) => format!("{before}OK id={{id}}\n"),
                _ => format!("{line}\n"),
            }
        };
        // A slot without an answer is an empty line of ours.
        let answers = |text: &str| -> String {
            let lines = text
                .lines()
                .filter(|line| !line.starts_with("> ") && !line.is_empty());
            lines.map(shape).collect()
        };
        let (real, ours) = (answers(real), answers(&ours));
        if real != ours {
            different.push_str(&format!("=== {lines:?}\n--- exim\n{real}--- ours\n{ours}"));
        }
    }
    assert!(different.is_empty(), "{different}");
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
fn exim_takes_what_comes_after_16_kib_of_a_line_for_the_next_command() {
    let site = start("smtp", persona("Exim"), &[]);
    let mut c = Client::connect(&site);
    c.answer();
    let unknown = "500 unrecognized command";
    // So long a line is one, and with the carriage return before its end, too.
    let whole = format!("NOOP {}", "A".repeat(16 * 1024 - 6));
    assert_eq!(c.ask(&whole), "250 OK");
    assert_eq!(c.ask(&"A".repeat(20_000)), unknown);
    assert_eq!(c.answer(), unknown);
    // Whatever it begins with, and a byte more than fits is lost.
    assert_eq!(
        c.ask(&format!("EHLO {}XNOOP", "a".repeat(16 * 1024 - 5))),
        unknown
    );
    assert_eq!(c.answer(), "250 OK");
    site.lines.wait(&["command", "EHLO aaaa", "command_cut"]);
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

/// A Debian 12 mail server and one of its people: name and password.
fn mail_server() -> (Site, String, String) {
    let spec = persona("Postfix");
    let who = Persona::derive(&spec).unwrap();
    let user = who
        .users
        .iter()
        .find(|u| u.uid >= 1000 && !u.shell.ends_with("nologin"))
        .unwrap();
    let (name, password) = (user.name.clone(), user.password.clone());
    (start("smtp", spec, &[]), name, password)
}

#[test]
fn swaks_signs_in_by_every_mechanism_with_and_without_tls() {
    let (site, name, password) = mail_server();
    let (host, port) = (site.address.ip().to_string(), site.address.port().to_string());
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        for tls in [false, true] {
            let mut swaks = Command::new("swaks");
            swaks
                .args([
                    "--server",
                    &host,
                    "--port",
                    &port,
                    "--auth",
                    mechanism,
                    "--auth-user",
                    &name,
                ])
                .args([
                    "--auth-password",
                    &password,
                    "--quit-after",
                    "AUTH",
                    "--timeout",
                    "20",
                ]);
            if tls {
                swaks.arg("--tls");
            }
            let Ok(output) = swaks.output() else {
                decnet_testkit::skipped("swaks is not installed");
                return;
            };
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            let missing = String::from_utf8_lossy(&output.stderr).into_owned();
            if told.contains("not available: requires") || missing.contains("not available: requires") {
                decnet_testkit::skipped(&format!(
                    "swaks lacks a module of perl for {mechanism}: {told}{missing}"
                ));
                continue;
            }
            let mark = if tls { "<~ " } else { "<- " };
            let accepted = told.lines().any(|l| {
                l.trim_start().starts_with(mark.trim_end())
                    && l.contains("235 2.7.0 Authentication successful")
            });
            assert!(accepted, "{mechanism} {tls}:\n{told}\n{missing}");
            let shown = mechanism.to_owned();
            site.lines.wait(&[
                "auth_attempt",
                &format!("principal=\"{name}\""),
                &shown,
                "outcome=\"accepted\"",
            ]);
        }
    }
}

#[test]
fn curl_sends_a_mail_as_a_newcomer_is_told_to() {
    for product in ["Postfix", "Exim"] {
        let site = start("smtp", persona(product), &[]);
        let curl = Command::new("curl")
            .arg("-sS")
            .arg(format!("smtp://{}/client.example", site.address))
            .args(["--mail-from", "you@client.example"])
            .args(["--mail-rcpt", "postmaster@localhost"])
            .args(["--upload-file", "-"])
            .stdin(Stdio::piped())
            .spawn();
        let Ok(mut curl) = curl else {
            decnet_testkit::skipped("curl is not installed");
            return;
        };
        curl.stdin.take().unwrap().write_all(b"Subject: hello\n").unwrap();
        assert!(curl.wait().unwrap().success(), "{product}");
        site.lines.wait(&["mail_accepted", "subject=\"hello\""]);
    }
}

/// What no address has without quotes, and a page runs that does not take it for text.
const MARKUP: &str = "<script>run('it')</script><img src=x onerror=run(this)> & @";

#[test]
fn quoted_local_parts_of_any_characters_are_taken_and_told_by_every_product() {
    for product in ["Postfix", "Exim"] {
        let site = start("smtp", persona(product), &[]);
        let mut c = Client::connect(&site);
        c.answer();
        for (said, code) in [
            ("EHLO client.example".to_owned(), "250"),
            (format!("MAIL FROM:<\"{MARKUP}\"@b.example>"), "250"),
            (format!("RCPT TO:<\"{MARKUP}\"@b.example>"), ""),
            (format!("RCPT TO:<\"postmaster+{MARKUP}\"@localhost>"), "250"),
            ("DATA".to_owned(), "354"),
            (format!("Subject: {MARKUP}\r\n\r\n{MARKUP}\r\n."), "250"),
        ] {
            let answer = c.ask(&said);
            assert!(answer.starts_with(code), "{product}: {said}: {answer}");
        }
        site.lines.wait(&["forward_refused", MARKUP, "@b.example\""]);
        let mail = site.lines.wait(&["mail_accepted"]);
        assert_eq!(mail.matches(MARKUP).count(), 3, "{product}: {mail}");
    }
}

#[test]
fn hydra_finds_the_password_that_there_is() {
    let (site, name, password) = mail_server();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("words");
    std::fs::write(&list, format!("123456\nletmein\n{password}\n")).unwrap();
    let output = Command::new("hydra")
        .args([
            "-I",
            "-l",
            &name,
            "-P",
            list.to_str().unwrap(),
            "-s",
            &site.address.port().to_string(),
        ])
        .args(["-t", "1", "-f", "127.0.0.1", "smtp"])
        .output();
    let Ok(output) = output else {
        decnet_testkit::skipped("hydra is not installed");
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains(&format!("login: {name}   password: {password}")),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn nmaps_scripts_are_answered_as_by_a_postfix() {
    let (site, ..) = mail_server();
    let port = site.address.port().to_string();
    let output = Command::new("nmap")
        .args([
            "-n",
            "-Pn",
            "-sT",
            "-sV",
            "--script",
            "smtp-commands,smtp-enum-users,smtp-open-relay",
        ])
        .args([
            "--script-args",
            "smtp-enum-users.methods={VRFY,RCPT}",
            "-p",
            &port,
            "127.0.0.1",
        ])
        .output();
    let Ok(output) = output else {
        decnet_testkit::skipped("nmap is not installed");
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "Postfix smtpd",
        "PIPELINING, SIZE 10240000, VRFY, ETRN",
        "ENHANCEDSTATUSCODES, 8BITMIME, DSN",
    ] {
        assert!(told.contains(part), "no {part} in:\n{told}");
    }
    assert!(!told.contains("Server is an open relay (1"), "{told}");
}
