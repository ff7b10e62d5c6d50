//! Services that take up TLS on a connection that began without it, with real clients at the other end: however their words are cut
//! into segments, what comes too early, and what is told of them.
#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use decnet_decoys::{mysql::packet, serve::tls::GNUTLS_UNMET};
use decnet_model::{event::MAX_VALUE, printable::printable_head};
use decnet_persona::{Distro, Persona, PersonaSpec, ProductKind, Seed};
use support::{Site, start};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Trusts everybody, as those do who look for machines.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A client that asks for `server`.
fn client(server: &'static str) -> ClientConnection {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"one".to_vec(), b"two".to_vec()];
    ClientConnection::new(Arc::new(config), server.try_into().unwrap()).unwrap()
}

/// What it says first.
fn hello(client: &mut ClientConnection) -> Vec<u8> {
    let mut out = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut out).unwrap();
    }
    out
}

/// A machine of `distro` that `fits`.
fn machine(distro: Distro, archetype: &str, fits: impl Fn(&Persona) -> bool) -> PersonaSpec {
    (0..=255)
        .map(|seed| PersonaSpec {
            distro: Some(distro),
            ..PersonaSpec::new(Seed::from_bytes([seed; 16]), archetype)
        })
        .find(|spec| fits(&Persona::derive(spec).unwrap()))
        .unwrap()
}

fn ftp(product: &str) -> Site {
    let fits = |persona: &Persona| persona.product(ProductKind::Ftp).name == product;
    start("ftp", machine(Distro::Debian12, "linux-server", fits), &[])
}

fn smtp(product: &str) -> Site {
    let fits = |persona: &Persona| persona.product(ProductKind::Mail).name == product;
    start("smtp", machine(Distro::Debian12, "mail-server", fits), &[])
}

fn mysql() -> Site {
    let fits = |persona: &Persona| persona.sql_product().name == "MySQL";
    start(
        "mysql",
        machine(Distro::Ubuntu22, "database-server", fits),
        &[("accept", "always")],
    )
}

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The next reply of a line protocol: its lines, joined.
fn reply(from: &mut impl Read) -> String {
    let mut all = String::new();
    loop {
        let mut line = Vec::new();
        let mut byte = [0];
        while line.last() != Some(&b'\n') {
            assert_eq!(
                from.read(&mut byte).unwrap(),
                1,
                "the end, after {all:?} and {line:?}"
            );
            line.push(byte[0]);
        }
        all.push_str(&String::from_utf8_lossy(&line));
        if line.get(3) != Some(&b'-') {
            return all;
        }
    }
}

/// Everything up to the end.
fn rest(from: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return all,
            Ok(n) => all.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("{error} after {all:?}"),
        }
    }
}

/// The payload of the next packet of MySQL's protocol.
fn next_packet(from: &mut impl Read) -> Vec<u8> {
    let mut header = [0; 4];
    from.read_exact(&mut header).unwrap();
    let mut payload = vec![0; usize::from(header[0]) + usize::from(header[1]) * 256];
    from.read_exact(&mut payload).unwrap();
    payload
}

fn numbered(number: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    [&[len, 0, 0, number][..], payload].concat()
}

const CAPABILITIES: u32 = packet::PROTOCOL_41 | packet::SSL | packet::SECURE_CONNECTION | packet::PLUGIN_AUTH;

/// A client of MySQL that wants TLS.
fn ssl_request() -> Vec<u8> {
    numbered(1, &[&CAPABILITIES.to_le_bytes()[..], &[0; 28]].concat())
}

/// Say in `stream` all that a client of this service says before its handshake.
fn ask_for_tls(slug: &str, stream: &mut TcpStream) {
    match slug {
        "mysql" => {
            next_packet(stream);
            stream.write_all(&ssl_request()).unwrap();
        }
        "ftp" => {
            reply(stream);
            stream.write_all(b"AUTH TLS\r\n").unwrap();
            assert!(reply(stream).starts_with("234 "));
        }
        _ => {
            reply(stream);
            stream.write_all(b"EHLO a.example\r\n").unwrap();
            assert!(reply(stream).contains("STARTTLS"));
            stream.write_all(b"STARTTLS\r\n").unwrap();
            assert!(reply(stream).starts_with("220 "));
        }
    }
}

/// Every service with TLS on each program that it can be.
fn services() -> Vec<(&'static str, Site)> {
    vec![
        ("mysql", mysql()),
        ("ftp", ftp("vsFTPd")),
        ("ftp", ftp("ProFTPD")),
        ("smtp", smtp("Postfix")),
        ("smtp", smtp("Exim")),
    ]
}

/// How what belongs together is sent.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Once,
    Apart,
    Bytes,
}

fn send(stream: &mut TcpStream, words: &[&[u8]], cut: Cut) {
    match cut {
        Cut::Once => stream.write_all(&words.concat()).unwrap(),
        Cut::Apart => words.iter().for_each(|part| stream.write_all(part).unwrap()),
        Cut::Bytes => words
            .concat()
            .iter()
            .for_each(|byte| stream.write_all(&[*byte]).unwrap()),
    }
}

#[test]
fn a_client_of_mysql_does_not_wait_with_its_handshake_and_gets_in_however_it_is_cut() {
    let site = mysql();
    for cut in [Cut::Once, Cut::Apart, Cut::Bytes] {
        let mut stream = connect(&site);
        next_packet(&mut stream);
        let mut client = client("db.example");
        send(&mut stream, &[&ssl_request(), &hello(&mut client)], cut);
        let mut inside = rustls::Stream::new(&mut client, &mut stream);
        let login = [
            &CAPABILITIES.to_le_bytes()[..],
            &[0; 28],
            b"root\0\x20",
            &[7; 32],
            b"caching_sha2_password\0",
        ]
        .concat();
        inside.write_all(&numbered(2, &login)).unwrap();
        assert_eq!(next_packet(&mut inside), [1, 4], "{cut:?}");
        inside
            .write_all(&numbered(4, format!("sesame-{cut:?}\0").as_bytes()))
            .unwrap();
        assert_eq!(next_packet(&mut inside)[0], 0, "{cut:?}");
        site.lines
            .wait(&["auth_attempt", &format!("\"sesame-{cut:?}\""), "accepted"]);
    }
    assert!(
        !site.lines.all().contains("protocol_violation"),
        "{}",
        site.lines.all()
    );
}

#[test]
fn vsftpd_takes_what_follows_auth_for_the_handshake() {
    let site = ftp("vsFTPd");
    for cut in [Cut::Once, Cut::Apart, Cut::Bytes] {
        let mut stream = connect(&site);
        reply(&mut stream);
        let mut client = client("files.example");
        send(&mut stream, &[b"AUTH TLS\r\n", &hello(&mut client)], cut);
        assert!(reply(&mut stream).starts_with("234 "), "{cut:?}");
        let mut inside = rustls::Stream::new(&mut client, &mut stream);
        inside.write_all(b"PBSZ 0\r\n").unwrap();
        assert_eq!(reply(&mut inside), "200 PBSZ set to 0.\r\n", "{cut:?}");
    }
    let mut stream = connect(&site);
    reply(&mut stream);
    stream.write_all(b"AUTH TLS\r\nFEAT\r\n").unwrap();
    assert!(reply(&mut stream).starts_with("234 "));
    // An alert at the most: the command is none.
    let after = rest(&mut stream);
    assert!(after.len() <= 7, "{after:?}");
    site.lines.wait(&[
        "protocol_violation",
        "plaintext ahead of the TLS handshake",
        "FEAT",
    ]);
    site.lines
        .wait(&["protocol_violation", "the TLS handshake failed"]);
}

#[test]
fn commands_ahead_of_tls_are_forgotten_and_told() {
    for (slug, site) in [
        ("smtp", smtp("Postfix")),
        ("smtp", smtp("Exim")),
        ("ftp", ftp("ProFTPD")),
    ] {
        let mut stream = connect(&site);
        reply(&mut stream);
        let (words, inside_words, answer) = if slug == "smtp" {
            stream.write_all(b"EHLO a.example\r\n").unwrap();
            reply(&mut stream);
            ("STARTTLS\r\nVRFY injected\r\n", "NOOP\r\n", "250 ")
        } else {
            ("AUTH TLS\r\nSITE injected\r\n", "PBSZ 0\r\n", "200 PBSZ 0 ")
        };
        stream.write_all(words.as_bytes()).unwrap();
        assert!(reply(&mut stream).starts_with('2'), "{slug}");
        let mut client = client("mail.example");
        let mut inside = rustls::Stream::new(&mut client, &mut stream);
        inside.write_all(inside_words.as_bytes()).unwrap();
        // VRFY would be 252 or an error, SITE an error.
        let first = reply(&mut inside);
        assert!(first.starts_with(answer), "{slug}: {first}");
        site.lines.wait(&[
            "protocol_violation",
            "plaintext ahead of the TLS handshake",
            "injected",
        ]);
    }
}

#[test]
fn what_a_client_says_of_itself_is_told_by_every_service() {
    for (slug, site) in services() {
        let mut stream = connect(&site);
        ask_for_tls(slug, &mut stream);
        let mut client = client("named.example");
        client.complete_io(&mut stream).unwrap();
        for (kind, value) in [
            ("tls_server_name", "named.example"),
            ("tls_alpn", "one,two"),
            ("tls_versions", "0304,0303"),
        ] {
            site.lines.wait(&[
                "client_info",
                &format!("info_kind=\"{kind}\""),
                &format!("info=\"{value}\""),
            ]);
        }
        // The cipher suites by number: TLS_AES_256_GCM_SHA384 is 0x1302.
        site.lines
            .wait(&["client_fingerprint", "fingerprint_kind=\"ja3\"", "4866"]);
        site.lines
            .wait(&["client_fingerprint", "fingerprint_kind=\"ja4\""]);
    }
}

#[test]
fn openssl_is_told_by_every_service() {
    for (slug, site) in services() {
        let output = Command::new("openssl")
            .args(["s_client", "-starttls", slug, "-servername", "asked.example"])
            .args(["-alpn", "http/1.1", "-connect", &site.address.to_string()])
            .stdin(Stdio::null())
            .output();
        let Ok(output) = output else {
            decnet_testkit::skipped("openssl is not installed");
            return;
        };
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains("BEGIN CERTIFICATE"), "{slug}: {shown}");
        site.lines
            .wait(&["client_info", "tls_server_name", "\"asked.example\""]);
        site.lines.wait(&["client_info", "tls_alpn", "\"http/1.1\""]);
    }
}

/// The hello of a client that asks for `name` and offers nothing that anybody has.
fn hopeless_hello(name: &[u8]) -> Vec<u8> {
    let long = |len: usize| u16::try_from(len).unwrap().to_be_bytes();
    let entry = [&[0][..], &long(name.len()), name].concat();
    let data = [&long(entry.len())[..], &entry].concat();
    let extensions = [&[0, 0][..], &long(data.len()), &data].concat();
    let body = [
        &[3, 3][..],
        &[7; 32],
        // No session, one cipher suite of long ago, no compression.
        &[0, 0, 2, 0, 4, 1, 0],
        &long(extensions.len()),
        &extensions,
    ]
    .concat();
    let message = [&[1, 0][..], &long(body.len()), &body].concat();
    [&[22, 3, 1][..], &long(message.len()), &message].concat()
}

#[test]
fn a_hostile_server_name_is_told_whole_lines_also_where_the_handshake_fails() {
    let name = b"x\" y=\"z]\\\0\xff\r\n<14>1 - - - - - ".repeat(400);
    assert!(name.len() > MAX_VALUE);
    for (slug, site) in services() {
        for name in [&b"a.example\"]"[..], &name] {
            let mut stream = connect(&site);
            ask_for_tls(slug, &mut stream);
            stream.write_all(&hopeless_hello(name)).unwrap();
            rest(&mut stream);
            let (shown, cut) = printable_head(name, MAX_VALUE);
            let cut_field = format!("info_cut=\"{cut}\"");
            let mut parts = vec!["client_info", "info_kind=\"tls_server_name\""];
            parts.extend((cut > 0).then_some(cut_field.as_str()));
            let line = site.lines.wait(&parts);
            let message = decnet_syslog::Message::parse(line.as_bytes()).unwrap();
            let fields = decnet_syslog::fields_of(&message);
            assert_eq!(fields["info"], shown, "{slug}");
        }
        site.lines
            .wait(&["protocol_violation", "the TLS handshake failed"]);
    }
}

#[test]
fn where_no_handshake_comes_exim_ends_as_gnutls_does() {
    for (product, expected) in [("Exim", GNUTLS_UNMET), ("Postfix", &b""[..])] {
        let site = smtp(product);
        let mut stream = connect(&site);
        ask_for_tls("smtp", &mut stream);
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut stream), expected, "{product}");
    }
    let site = smtp("Exim");
    let mut stream = connect(&site);
    ask_for_tls("smtp", &mut stream);
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(rest(&mut stream), GNUTLS_UNMET);
    site.lines
        .wait(&["protocol_violation", "the TLS handshake failed", "HTTP/1.0"]);
}
