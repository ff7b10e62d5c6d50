//! What a visitor can make a decky use, and what happens past it: connections, files, and a session that breaks.

#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

#[path = "support/machine.rs"]
mod machine;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use decnet_decoys::{
    Category, Meta, Port, Service, catalogue,
    config::{DeckyConfig, Limits, ServiceEntry},
    knob::Misfit,
    serve::{
        AnyDecoy, BuildError, Decoy, Full, Host, Peer, SessionError, Tap,
        artifact::{Artifacts, Given},
        runner::{Decky, Visit},
        sink::Sink,
        tap::Evidence,
        tls::{Identity, Look},
    },
};
use decnet_model::clock::SystemClock;
use decnet_persona::{Persona, PersonaSpec, Product, ProductKind, Seed};
use machine::{BOUNDS, Lines, runtime, say};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

fn spec(seed: u8) -> PersonaSpec {
    PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server")
}

/// A decky with every service of the catalogue on a port of its own.
fn decky(limits: Limits) -> (Decky, Lines) {
    let lines = Lines::default();
    let decky = decky_into(Arc::new(Sink::to(lines.clone())), limits);
    (decky, lines)
}

/// The same with its evidence into `sink`.
fn decky_into(sink: Arc<Sink>, limits: Limits) -> Decky {
    let services = catalogue::ALL
        .iter()
        .filter(|meta| matches!(meta.listen.first(), Some(Port::Tcp(_))))
        .map(|meta| ServiceEntry {
            slug: meta.slug(),
            knobs: BTreeMap::new(),
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            relays: Vec::new(),
        })
        .collect();
    let config = DeckyConfig {
        name: "web-01".parse().unwrap(),
        persona: spec(1),
        services,
        artifacts: None,
        transcripts: None,
        evidence: None,
        pulse: None,
        user: decnet_decoys::config::NOBODY,
        reach: Vec::new(),
        limits,
    };
    Decky::start(config, sink, Arc::new(SystemClock)).unwrap()
}

async fn connect(to: SocketAddr, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::from(from), 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// What comes until the end: more than any product says when it is busy.
async fn hear_out(mut stream: TcpStream) -> Vec<u8> {
    let mut words = vec![0; 4096];
    let mut heard = 0;
    let hear = async {
        // A connection that is turned away may be reset.
        while let Ok(n @ 1..) = stream.read(&mut words[heard..]).await {
            heard += n;
        }
    };
    let over = tokio::time::timeout(PATIENCE, hear).await;
    assert!(over.is_ok(), "a visitor over the limit is hung up on");
    words.truncate(heard);
    words
}

/// Wait until `lines` hold `count` lines of `kind`.
async fn wait_for(lines: &Lines, kind: &str, count: usize) {
    let seen = async {
        while lines.text().matches(&format!(" {kind} ")).count() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, seen).await;
    assert!(seen.is_ok(), "not {count} lines of {kind}:\n{}", lines.text());
}

/// Every service in turn is full for the visitor `second` while `first` is inside, says its product's words, and lets
/// somebody in once `first` is gone.
async fn full(limits: Limits, first: [u8; 4], second: [u8; 4], why: Full, what: &str) {
    let (decky, lines) = decky(limits);
    let host = Arc::new(Host::new(
        Persona::derive(&spec(1)).unwrap(),
        Arc::new(SystemClock),
    ));
    let mut gone = 0;
    for (slug, address) in decky.listening() {
        let inside = connect(address, first).await;
        wait_for(&lines, "connect", gone + 1).await;
        let words = hear_out(connect(address, second).await).await;
        let product = catalogue::build(&slug, &BTreeMap::new(), &host).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&words),
            String::from_utf8_lossy(&product.busy(why)),
            "{slug}"
        );
        drop(inside);
        gone += 1;
        wait_for(&lines, "disconnect", gone).await;
        let back = connect(address, second).await;
        wait_for(&lines, "connect", gone + 1).await;
        drop(back);
        gone += 1;
        wait_for(&lines, "disconnect", gone).await;
    }
    let text = lines.text();
    let told: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(" limit_reached "))
        .collect();
    assert_eq!(told.len(), decky.listening().len(), "{text}");
    assert!(
        told.iter().all(|line| line.contains(&format!("=\"{what}\""))),
        "{told:?}"
    );
    decky.stop(PATIENCE).await;
}

fn real_time() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_full_decky_says_what_each_product_says_and_lets_in_again_once_there_is_room() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    real_time().block_on(full(
        limits,
        [127, 0, 0, 2],
        [127, 0, 0, 3],
        Full::Everyone,
        "connections",
    ));
}

#[test]
fn one_address_has_a_limit_of_its_own() {
    let limits = Limits {
        connections_per_address: 1,
        ..Limits::default()
    };
    real_time().block_on(full(
        limits,
        [127, 0, 0, 2],
        [127, 0, 0, 2],
        Full::Address([127, 0, 0, 2].into()),
        "connections_per_address",
    ));
}

#[test]
fn another_address_is_let_in_while_one_has_reached_its_limit() {
    real_time().block_on(async {
        let (decky, lines) = decky(Limits {
            connections_per_address: 1,
            ..Limits::default()
        });
        let (_, address) = decky.listening()[0].clone();
        let _inside = connect(address, [127, 0, 0, 2]).await;
        let _other = connect(address, [127, 0, 0, 3]).await;
        wait_for(&lines, "connect", 2).await;
        assert!(!lines.text().contains(" limit_reached "));
        decky.stop(PATIENCE).await;
    });
}

#[test]
fn each_product_is_full_at_the_number_that_it_comes_with() {
    real_time().block_on(async {
        let (decky, lines) = decky(Limits::default());
        let host = Arc::new(Host::new(
            Persona::derive(&spec(1)).unwrap(),
            Arc::new(SystemClock),
        ));
        let (from, mut bounded) = ([127, 0, 0, 2], 0);
        let mut inside = Vec::new();
        for (slug, address) in decky.listening() {
            let product = catalogue::build(&slug, &BTreeMap::new(), &host).unwrap();
            let room = product.room();
            let most = room.all.min(room.each);
            if most > 200 {
                continue;
            }
            bounded += 1;
            for _ in 0..most {
                inside.push(connect(address, from).await);
                wait_for(&lines, "connect", inside.len()).await;
            }
            let why = if room.each < room.all {
                Full::Address(from.into())
            } else {
                Full::Everyone
            };
            let words = hear_out(connect(address, from).await).await;
            assert_eq!(
                String::from_utf8_lossy(&words),
                String::from_utf8_lossy(&product.busy(why)),
                "{slug}"
            );
            assert_eq!(lines.text().matches(" limit_reached ").count(), bounded, "{slug}");
        }
        assert!(bounded >= 3, "mysql, ftp and smtp have numbers of their own");
        drop(inside);
        decky.stop(PATIENCE).await;
    });
}

/// Three things to say to each service, one after the other without waiting for an answer, and what is told of the last.
fn said_at_once(slug: &str) -> (Vec<u8>, &'static str) {
    let lines = |each: &str| -> Vec<u8> {
        let said = ["first", "second", "third"].map(|word| each.replace("{}", word));
        said.concat().into_bytes()
    };
    match slug {
        "redis" => (lines("GET {}\r\n"), "third"),
        "ftp" | "smtp" => (lines("NOOP {}\r\n"), "third"),
        "http" => (lines("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n"), "/third"),
        // These have one thing to say before they are answered.
        "ssh" => (b"SSH-2.0-third\r\n".to_vec(), "SSH-2.0-third"),
        "mysql" => (b"\x05\0\0\x01third".to_vec(), "third"),
        other => panic!("say something to {other}"),
    }
}

#[test]
fn all_that_somebody_says_who_resets_the_connection_at_once_is_told() {
    real_time().block_on(async {
        let (decky, lines) = decky(Limits::default());
        for (slug, address) in decky.listening() {
            let (said, told) = said_at_once(&slug);
            lines.0.lock().unwrap().clear();
            // Without a pause for the decky's side: all of it and the reset are there before the first answer.
            let mut visitor = std::net::TcpStream::connect(address).unwrap();
            visitor.write_all(&said).unwrap();
            socket2::SockRef::from(&visitor)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(visitor);
            wait_for(&lines, "disconnect", 1).await;
            let text = lines.text();
            assert!(text.contains(told), "{slug}: {text}");
        }
        decky.stop(PATIENCE).await;
    });
}

/// A disk that is full until somebody makes room.
struct Disk {
    is_full: Arc<AtomicBool>,
    lines: Lines,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.lines.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_decky_that_ends_on_a_full_disk_waits_for_room_within_its_grace_and_counts_what_it_loses() {
    real_time().block_on(async {
        for room_comes in [true, false] {
            let (is_full, lines) = (Arc::new(AtomicBool::new(true)), Lines::default());
            let sink = Arc::new(Sink::to(Disk {
                is_full: Arc::clone(&is_full),
                lines: lines.clone(),
            }));
            let decky = decky_into(Arc::clone(&sink), Limits::default());
            let services = decky.listening().len();
            let told = |kind: &str| lines.text().matches(&format!(" {kind} ")).count();
            if room_comes {
                // Ordered by `join`: the end has begun, and found no room, before there is some.
                tokio::join!(decky.stop(PATIENCE), async {
                    assert_eq!(lines.text(), "");
                    is_full.store(false, Ordering::SeqCst);
                });
                assert_eq!((sink.broken(), sink.lost()), (false, 0));
                assert_eq!(
                    (told("service_started"), told("service_stopped")),
                    (services, services)
                );
            } else {
                decky.stop(Duration::from_millis(50)).await;
                let lost = u64::try_from(services * 2).unwrap();
                assert_eq!((sink.broken(), sink.lost()), (true, lost));
                assert_eq!(lines.text(), "");
            }
        }
    });
}

/// An artifact folder with limits, and its evidence.
fn folder(path: &Path, limits: &Limits) -> (Arc<Evidence>, Lines) {
    let lines = Lines::default();
    let evidence = Evidence {
        sink: Arc::new(Sink::to(lines.clone())),
        artifacts: Arc::new(Artifacts::open(Some(path), limits).unwrap()),
        clock: Arc::new(SystemClock),
        decky: "web-01".to_owned(),
    };
    (Arc::new(evidence), lines)
}

/// A session's tap.
fn session(evidence: &Arc<Evidence>) -> Tap {
    let address = SocketAddr::from(([192, 0, 2, 7], 40_000));
    Tap::of_session(evidence, "ftp", address, address)
}

/// Leave `bytes` in pieces of seven; how many were kept.
fn leave(tap: &Tap, bytes: &[u8]) -> (u64, bool) {
    let mut capture = tap.artifact(b"/pub/x", "stor", b"ftp");
    for piece in bytes.chunks(7) {
        capture.write(piece);
    }
    let stored = capture.finish();
    (stored.size, stored.truncated)
}

/// Bytes of what is kept in `path`, without descriptions.
fn kept(path: &Path) -> u64 {
    let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    files
        .filter(|file| !file.file_name().to_string_lossy().ends_with(".meta.json"))
        .map(|file| file.metadata().unwrap().len())
        .sum()
}

#[test]
fn what_is_cut_is_told_by_every_service_and_once() {
    for seed in 0..6 {
        let machine = machine::machine(seed);
        for decoy in &machine.decoys {
            for words in [&b"cut-off-and-short"[..], b"AAAA BBBB cut-off-and-short"] {
                machine.forget();
                runtime().block_on(async {
                    let (io, session) = machine.visit(decoy, BOUNDS);
                    tokio::join!(say(io, words.to_vec()), session)
                });
                let told = machine.lines.text();
                let count = told.matches("-and-short").count();
                assert_eq!(count, 1, "{} of {seed}:\n{told}", decoy.slug());
            }
        }
    }
}

#[test]
fn a_file_is_cut_at_its_limit_and_the_cut_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let (evidence, lines) = folder(
        dir.path(),
        &Limits {
            artifact_file_bytes: 100,
            ..Limits::default()
        },
    );
    let tap = session(&evidence);
    assert_eq!(leave(&tap, &[b'a'; 100]), (100, false));
    assert_eq!(leave(&tap, &[b'b'; 101]), (100, true));
    assert_eq!(leave(&tap, &[b'c'; 1000]), (100, true));
    assert_eq!(kept(dir.path()), 300);
    assert_eq!(
        lines.text().matches("=\"artifact_file_bytes\"").count(),
        2,
        "{}",
        lines.text()
    );
}

#[test]
fn a_session_leaves_no_more_than_its_share_and_the_next_one_has_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (evidence, lines) = folder(
        dir.path(),
        &Limits {
            artifact_session_bytes: 150,
            ..Limits::default()
        },
    );
    let tap = session(&evidence);
    assert_eq!(leave(&tap, &[b'a'; 100]), (100, false));
    assert_eq!(leave(&tap, &[b'b'; 100]), (50, true));
    assert_eq!(leave(&tap, &[b'c'; 100]), (0, true));
    assert_eq!(leave(&session(&evidence), &[b'd'; 100]), (100, false));
    assert!(lines.text().contains("=\"artifact_session_bytes\""));
}

#[test]
fn the_folder_never_grows_past_its_limit_also_not_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        artifact_total_bytes: 4096,
        ..Limits::default()
    };
    for round in 0..3_u8 {
        let (evidence, lines) = folder(dir.path(), &limits);
        for n in 0..40_u8 {
            leave(&session(&evidence), &[round * 40 + n; 200]);
        }
        let whole: u64 = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        // Each file's description is written when the file is whole; one more than the limit allows may be under way.
        assert!(whole <= 4096 + 1024, "{whole} bytes after round {round}");
        assert!(lines.text().contains("=\"artifact_total_bytes\""));
    }
}

#[test]
fn the_same_content_is_kept_once_and_reported_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let (evidence, lines) = folder(dir.path(), &Limits::default());
    for _ in 0..3 {
        assert_eq!(leave(&session(&evidence), b"the same"), (8, false));
    }
    assert_eq!(kept(dir.path()), 8);
    assert_eq!(lines.text().matches(" file_captured ").count(), 3);
}

#[test]
fn beside_a_file_stands_what_was_given_with_it_and_nothing_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let (evidence, _) = folder(dir.path(), &Limits::default());
    let described = |content: &[u8], given: Option<Given>| -> serde_json::Value {
        let mut capture = session(&evidence).artifact(b"/tmp/x", "sftp", b"eva");
        capture.write(content);
        let stored = match given {
            Some(given) => capture.with(given).finish(),
            None => capture.finish(),
        };
        let beside = dir.path().join(format!("{}.meta.json", stored.stored_as));
        serde_json::from_slice(&fs::read(beside).unwrap()).unwrap()
    };
    let given = Given {
        mode: Some(0o100_755),
        modified: Some(1_700_000_000),
    };
    let told = described(b"one", Some(given));
    assert_eq!(
        (&told["mode"], &told["modified_at"]),
        (&"0755".into(), &"2023-11-14T22:13:20Z".into())
    );
    for key in ["began_at", "captured_at"] {
        assert!(told[key].as_str().unwrap().ends_with('Z'), "{told}");
    }
    let told = described(b"two", None);
    assert!(
        told.get("mode").is_none() && told.get("modified_at").is_none(),
        "{told}"
    );
    assert!(told["began_at"].is_string());
    // No calendar has it.
    let beyond = Given {
        modified: Some(i64::MAX),
        ..Given::default()
    };
    assert!(described(b"three", Some(beyond)).get("modified_at").is_none());
}

#[test]
fn a_restart_presents_the_same_certificates_and_another_decky_others() {
    let made = |seed: u8| {
        let host = Host::new(Persona::derive(&spec(seed)).unwrap(), Arc::new(SystemClock));
        let own = Identity::self_signed(&host, "mysql", &Look::snakeoil(&host)).unwrap();
        [
            Identity::snakeoil(&host).unwrap().certificate.clone(),
            own.certificate,
        ]
    };
    let (first, again, other) = (made(1), made(1), made(2));
    assert_eq!(first, again);
    for certificate in &other {
        assert!(!first.contains(certificate));
    }
    assert_ne!(first[0], first[1]);
}

/// A decoy with a fault: it panics where it hears `!`, and otherwise says what it hears.
struct Fragile;

impl Service for Fragile {
    const META: Meta = Meta {
        slug: "fragile",
        label: "Fragile",
        category: Category::Web,
        listen: &[Port::Tcp(7)],
        summary: "Panics",
    };
    type Config = ();

    fn program((): &(), persona: &Persona) -> Result<Product, Misfit> {
        Ok(persona.product(ProductKind::Web))
    }
}

impl Decoy for Fragile {
    fn build((): (), _host: &Arc<Host>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn session(&self, mut peer: Peer, _tap: Tap) -> Result<(), SessionError> {
        while let Some(line) = peer.read_until_lf(100).await? {
            assert!(!line.starts_with(b"!"), "as it should");
            peer.send(&line).await?;
        }
        Ok(())
    }
}

#[test]
fn a_panic_ends_its_own_session_only_and_its_end_is_reported() {
    let lines = Lines::default();
    let evidence = Arc::new(Evidence {
        sink: Arc::new(Sink::to(lines.clone())),
        artifacts: Arc::new(Artifacts::open(None, &Limits::default()).unwrap()),
        clock: Arc::new(SystemClock),
        decky: "web-01".to_owned(),
    });
    let decoy: Arc<dyn AnyDecoy> = Arc::new(Fragile);
    let visit = || {
        let (ours, theirs) = tokio::io::duplex(1024);
        let address = SocketAddr::from(([192, 0, 2, 7], 40_000));
        let visit = Visit::begin(theirs, address, address, BOUNDS, session(&evidence));
        (
            ours,
            visit.answered_by(Arc::clone(&decoy), CancellationToken::new()),
        )
    };
    runtime().block_on(async {
        let ((broken, breaks), (mut well, goes_on)) = (visit(), visit());
        let goes_on = tokio::spawn(goes_on);
        let (heard, ()) = tokio::join!(say(broken, b"a\n!\nb\n".to_vec()), breaks);
        assert_eq!(heard, b"a\n");
        assert_eq!(lines.text().matches(" disconnect ").count(), 1);
        well.write_all(b"still here\n").await.unwrap();
        let mut answer = [0; 11];
        well.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"still here\n");
        drop(well);
        goes_on.await.unwrap();
    });
    assert_eq!(
        lines.text().matches(" disconnect ").count(),
        2,
        "{}",
        lines.text()
    );
}
