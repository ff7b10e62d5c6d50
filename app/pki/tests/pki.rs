//! The authority and what it issues, held against rustls as a client.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::{Arc, Barrier},
};

use decnet_pki::{Authority, Identity, Names, RENEW_BEFORE, ServerCertificate, Source, VALIDITY};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConnection,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::{Duration, OffsetDateTime};

fn noon() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn names(dns: &[&str], ips: &[&str]) -> Names {
    Names {
        dns: dns.iter().map(|n| (*n).to_owned()).collect(),
        ips: ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect(),
    }
}

/// What a client that trusts `root` says about `identity` when it meant to reach `name` at `at`.
fn verdict(
    root: &CertificateDer<'static>,
    identity: &Identity,
    name: &str,
    at: OffsetDateTime,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        at.unix_timestamp().try_into().unwrap(),
    ));
    let (leaf, rest) = identity.chain().split_first().unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(leaf, rest, &name, &[], at).map(drop)
}

/// What the program says about the authority in `dir`.
fn complaint(dir: &Path) -> String {
    Authority::ensure(dir, noon()).unwrap_err().to_string()
}

#[test]
fn a_chain_is_good_for_its_names_with_the_authority_and_in_its_time_only() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let authority = Authority::ensure(&dir.path().join("pki"), noon()).unwrap();
    let stranger = Authority::ensure(&other.path().join("pki"), noon()).unwrap();
    let identity = authority
        .issue_server(
            &names(&["decnet.test"], &["127.0.0.1", "::1"]),
            noon(),
            Duration::days(90),
        )
        .unwrap();
    let ours = |name: &str, at| verdict(authority.certificate(), &identity, name, at);
    for name in ["decnet.test", "127.0.0.1", "::1"] {
        ours(name, noon()).unwrap();
    }
    for name in ["other.test", "www.decnet.test", "127.0.0.2"] {
        assert!(ours(name, noon()).is_err(), "{name}");
    }
    assert!(ours("decnet.test", noon() + Duration::days(91)).is_err());
    assert!(ours("decnet.test", noon() - Duration::days(1)).is_err());
    assert!(verdict(stranger.certificate(), &identity, "decnet.test", noon()).is_err());
}

#[test]
fn a_certificate_outlives_its_authority_never() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::ensure(&dir.path().join("pki"), noon()).unwrap();
    let identity = authority
        .issue_server(&names(&["a.test"], &[]), noon(), Duration::days(36_500))
        .unwrap();
    assert_eq!(identity.not_after(), noon() + Duration::days(3650));
}

#[test]
fn a_server_certificate_signs_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::ensure(&dir.path().join("pki"), noon()).unwrap();
    let identity = authority
        .issue_server(&names(&["a.test"], &[]), noon(), VALIDITY)
        .unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(identity.chain().first().unwrap()).unwrap();
    assert!(!leaf.is_ca());
    let (_, root) = x509_parser::parse_x509_certificate(authority.certificate()).unwrap();
    let constraints = root.basic_constraints().unwrap().unwrap();
    assert_eq!(
        (constraints.critical, constraints.value.path_len_constraint),
        (true, Some(0))
    );
}

#[test]
fn a_name_that_no_certificate_can_hold_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::ensure(&dir.path().join("pki"), noon()).unwrap();
    let error = authority
        .issue_server(&names(&["müller.test"], &[]), noon(), VALIDITY)
        .unwrap_err();
    assert!(error.to_string().contains("müller.test"), "{error}");
}

#[test]
fn the_authority_is_private_and_stays_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("secrets/pki");
    let first = Authority::ensure(&pki, noon()).unwrap();
    let again = Authority::ensure(&pki, noon() + Duration::days(400)).unwrap();
    assert_eq!(first.certificate(), again.certificate());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&pki), 0o700);
    assert_eq!(mode(&pki.join("ca.key")), 0o600);
    let mut files: Vec<_> = fs::read_dir(&pki)
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["ca.crt", "ca.key"], "no draft is left");
}

#[test]
fn what_is_open_to_others_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    Authority::ensure(&pki, noon()).unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(&pki.join("ca.key"), 0o640);
    let told = complaint(&pki);
    assert!(told.contains("ca.key") && told.contains("chmod 600"), "{told}");
    open(&pki.join("ca.key"), 0o600);
    open(&pki, 0o755);
    let told = complaint(&pki);
    assert!(
        told.contains("pki is open") && told.contains("chmod 700"),
        "{told}"
    );
    open(&pki, 0o700);
    Authority::ensure(&pki, noon()).unwrap();
}

#[test]
fn all_who_make_the_authority_at_once_end_with_the_same_one() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let pki = dir.path().join("pki");
        let start = Arc::new(Barrier::new(8));
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let (pki, start) = (pki.clone(), start.clone());
                std::thread::spawn(move || {
                    start.wait();
                    let authority = Authority::ensure(&pki, noon()).unwrap();
                    let identity = authority
                        .issue_server(&names(&["a.test"], &[]), noon(), VALIDITY)
                        .unwrap();
                    (authority.certificate().clone(), identity)
                })
            })
            .collect();
        let made: Vec<_> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        let (root, _) = made.first().unwrap();
        for (certificate, identity) in &made {
            assert_eq!(certificate, root);
            verdict(root, identity, "a.test", noon()).unwrap();
        }
    }
}

#[test]
fn a_stop_between_key_and_certificate_is_made_up_for() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    let first = Authority::ensure(&pki, noon()).unwrap();
    let identity = first
        .issue_server(&names(&["a.test"], &[]), noon(), VALIDITY)
        .unwrap();
    fs::remove_file(pki.join("ca.crt")).unwrap();
    let again = Authority::ensure(&pki, noon()).unwrap();
    verdict(again.certificate(), &identity, "a.test", noon()).unwrap();
}

#[test]
fn broken_lost_swapped_and_expired_files_are_named_with_the_way_out() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (pki, strangers) = (dir.path().join("pki"), other.path().join("pki"));
    Authority::ensure(&pki, noon()).unwrap();
    Authority::ensure(&strangers, noon()).unwrap();
    let (key, certificate) = (pki.join("ca.key"), pki.join("ca.crt"));
    let (good_key, good_certificate) = (fs::read(&key).unwrap(), fs::read(&certificate).unwrap());
    let half = |bytes: &[u8]| bytes.iter().take(bytes.len() / 2).copied().collect::<Vec<u8>>();
    let cases: [(&Path, Vec<u8>, &str); 6] = [
        (&key, half(&good_key), "holds no private key"),
        (&key, b"\xff\xfe".to_vec(), "cannot read"),
        (&certificate, half(&good_certificate), "holds no certificate"),
        (&certificate, Vec::new(), "holds no certificate"),
        (
            &certificate,
            fs::read(strangers.join("ca.crt")).unwrap(),
            "does not belong to ca.key",
        ),
        (&certificate, server_certificate_of(&pki), "is not an authority's"),
    ];
    for (path, bytes, problem) in cases {
        fs::write(path, bytes).unwrap();
        let told = complaint(&pki);
        let named = told.contains(path.to_str().unwrap());
        assert!(named && told.contains(problem), "{problem}: {told}");
        fs::write(&key, &good_key).unwrap();
        fs::write(&certificate, &good_certificate).unwrap();
    }
    let late = Authority::ensure(&pki, noon() + Duration::days(3651)).unwrap_err();
    assert!(late.to_string().contains("has expired on"), "{late}");
    fs::remove_file(&key).unwrap();
    let told = complaint(&pki);
    assert!(
        told.contains("ca.key: is gone") && told.contains("backup"),
        "{told}"
    );
}

/// The PEM of a certificate that `pki` issued, without its key.
fn server_certificate_of(pki: &Path) -> Vec<u8> {
    ServerCertificate::open(by_authority(pki, &names(&["a.test"], &[])), noon()).unwrap();
    let text = fs::read_to_string(pki.join("server.pem")).unwrap();
    let start = text.find("-----BEGIN CERTIFICATE").unwrap();
    text.get(start..).unwrap().as_bytes().to_vec()
}

fn by_authority(dir: &Path, names: &Names) -> Source {
    Source::Authority {
        dir: dir.to_owned(),
        names: names.clone(),
    }
}

/// Shake hands with what `certificate` presents: the leaf, or why the client hung up.
fn handshake(
    certificate: &Arc<ServerCertificate>,
    root: &CertificateDer<'static>,
    alpn: &[&[u8]],
) -> Result<(CertificateDer<'static>, Option<Vec<u8>>), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(certificate.config().unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    let leaf = client.peer_certificates().unwrap().first().unwrap().clone();
    Ok((leaf.into_owned(), client.alpn_protocol().map(<[u8]>::to_vec)))
}

/// The rustls client has the machine's clock, so what shakes hands is issued at the machine's time.
fn today() -> OffsetDateTime {
    decnet_model::clock::Clock::now(&decnet_model::clock::SystemClock)
}

#[test]
fn a_client_that_trusts_the_authority_shakes_hands_and_another_does_not() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pki = dir.path().join("pki");
    let root = Authority::ensure(&pki, today()).unwrap();
    let stranger = Authority::ensure(&other.path().join("pki"), today()).unwrap();
    let certificate =
        ServerCertificate::open(by_authority(&pki, &names(&["localhost"], &[])), today()).unwrap();
    let (_, protocol) = handshake(&certificate, root.certificate(), &[b"h2", b"http/1.1"]).unwrap();
    assert_eq!(protocol.as_deref(), Some(&b"h2"[..]));
    let (_, protocol) = handshake(&certificate, root.certificate(), &[b"http/1.1"]).unwrap();
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    assert!(handshake(&certificate, stranger.certificate(), &[]).is_err());
}

/// The leaf that a server from `source` presents at `now`.
fn kept(pki: &Path, names: &Names, now: OffsetDateTime) -> String {
    ServerCertificate::open(by_authority(pki, names), now).unwrap();
    let path = pki.join("server.pem");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_certificate_is_kept_until_it_expires_soon_or_the_names_change() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    let ours = names(&["a.test"], &["127.0.0.1", "2001:db8::1"]);
    let first = kept(&pki, &ours, noon());
    let almost = noon() + VALIDITY - RENEW_BEFORE;
    assert_eq!(kept(&pki, &ours, almost - Duration::minutes(1)), first);
    assert_eq!(
        kept(&pki, &ours, noon() - Duration::minutes(59)),
        first,
        "a clock that was put back a little makes no other"
    );
    let renewed = kept(&pki, &ours, almost);
    assert_ne!(renewed, first);
    let renamed = kept(&pki, &names(&["b.test"], &["127.0.0.1"]), almost);
    assert_ne!(renamed, renewed);
    fs::write(pki.join("server.pem"), "nothing of use").unwrap();
    assert_ne!(kept(&pki, &ours, almost), "nothing of use");
}

#[test]
fn a_certificate_of_the_future_is_replaced_when_the_clock_is_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    let root = Authority::ensure(&pki, today() - Duration::days(1)).unwrap();
    let wrong = today() + Duration::days(90);
    let certificate =
        ServerCertificate::open(by_authority(&pki, &names(&["localhost"], &[])), wrong).unwrap();
    handshake(&certificate, root.certificate(), &[]).expect_err("nobody takes it yet");
    assert!(certificate.renew(today()).unwrap());
    handshake(&certificate, root.certificate(), &[]).unwrap();
    assert!(!certificate.renew(today()).unwrap());
}

#[test]
fn a_new_authority_issues_a_new_server_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    let ours = names(&["localhost"], &[]);
    ServerCertificate::open(by_authority(&pki, &ours), today()).unwrap();
    fs::remove_file(pki.join("ca.key")).unwrap();
    fs::remove_file(pki.join("ca.crt")).unwrap();
    let certificate = ServerCertificate::open(by_authority(&pki, &ours), today()).unwrap();
    let root = Authority::ensure(&pki, today()).unwrap();
    handshake(&certificate, root.certificate(), &[]).unwrap();
}

#[test]
fn a_running_server_exchanges_its_certificate_and_keeps_it_where_there_is_none_better() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    let then = today() - VALIDITY + RENEW_BEFORE;
    let root = Authority::ensure(&pki, then).unwrap();
    let certificate = ServerCertificate::open(by_authority(&pki, &names(&["localhost"], &[])), then).unwrap();
    let (first, _) = handshake(&certificate, root.certificate(), &[]).unwrap();
    assert!(!certificate.renew(then).unwrap());
    assert!(certificate.renew(today()).unwrap());
    let (second, _) = handshake(&certificate, root.certificate(), &[]).unwrap();
    assert_ne!(first, second);
    fs::write(pki.join("ca.key"), "").unwrap();
    assert!(certificate.renew(today()).is_err());
    let (third, _) = handshake(&certificate, root.certificate(), &[]).unwrap();
    assert_eq!(second, third);
}

#[test]
fn an_operators_files_are_taken_as_they_are_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    let root = Authority::ensure(&pki, today()).unwrap();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    let issue = || {
        fs::remove_file(pki.join("server.pem")).ok();
        let text = kept(&pki, &names(&["localhost"], &[]), today());
        let (key_text, chain_text) = text.split_at(text.find("-----BEGIN CERTIFICATE").unwrap());
        fs::write(&chain, chain_text).unwrap();
        fs::write(&key, key_text).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    };
    issue();
    let source = Source::Files {
        chain: chain.clone(),
        key: key.clone(),
    };
    let certificate = ServerCertificate::open(source.clone(), today()).unwrap();
    let (first, _) = handshake(&certificate, root.certificate(), &[]).unwrap();
    issue();
    assert!(certificate.renew(today()).unwrap());
    let (second, _) = handshake(&certificate, root.certificate(), &[]).unwrap();
    assert_ne!(first, second);

    let told = || {
        ServerCertificate::open(source.clone(), today())
            .unwrap_err()
            .to_string()
    };
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(told().contains("chmod 640"), "{}", told());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, fs::read(pki.join("ca.key")).unwrap()).unwrap();
    assert!(told().contains("is not the key of"), "{}", told());
    fs::write(&key, "").unwrap();
    assert!(told().contains("holds no private key"), "{}", told());
    fs::remove_file(&chain).unwrap();
    assert!(told().contains("chain.pem: there is no such file"), "{}", told());
}
