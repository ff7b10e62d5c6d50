//! What every decoy is held to, by being in the catalogue: hostile bytes, silence, endless input, and two deckies
//! side by side. A new service is tested here without a line of its own.

#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

#[path = "support/machine.rs"]
mod machine;

use std::{sync::Arc, time::Duration};

use decnet_decoys::{
    catalogue,
    serve::{
        AnyDecoy, Host,
        peer::Bounds,
        tls::{Identity, Look},
    },
};
use decnet_model::clock::SystemClock;
use decnet_persona::{Persona, PersonaSpec, Seed};
use machine::{BOUNDS, Machine, built, machine, runtime, say};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// One machine for the tests that only need any: keys are expensive.
fn shared() -> &'static Machine {
    static SHARED: std::sync::OnceLock<Machine> = std::sync::OnceLock::new();
    SHARED.get_or_init(|| machine(1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic_a_decoy_and_every_end_is_reported(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..2000),
            r"([A-Z]{3,5} ?[ -~]{0,30}\r\n){0,20}".prop_map(String::into_bytes),
            r"(\*[0-9]{1,3}\r\n|\$[0-9-]{1,3}\r\n|[a-z]{1,6}(\r\n| )){0,30}".prop_map(String::into_bytes),
        ],
    ) {
        let machine = machine_without_panics();
        for decoy in &machine.decoys {
            let before = machine.lines.text().len();
            runtime().block_on(async {
                let (io, session) = machine.visit(decoy, BOUNDS);
                tokio::join!(say(io, bytes.clone()), session);
            });
            let lines = machine.lines.text().split_off(before);
            let slug = decoy.slug();
            prop_assert_eq!(PANICS.load(std::sync::atomic::Ordering::SeqCst), 0, "{}", slug);
            prop_assert_eq!(lines.lines().filter(|l| l.contains(" connect [")).count(), 1);
            let end: Vec<&str> = lines.lines().filter(|l| l.contains(" disconnect [")).collect();
            prop_assert_eq!(end.len(), 1, "{}: {}", slug, lines);
            prop_assert!(end[0].contains("bytes_in=") && end[0].contains("bytes_out="), "{}", end[0]);
        }
    }
}

static PANICS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// The runner catches a decoy's panic; here it is counted before.
fn machine_without_panics() -> &'static Machine {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let in_runner = std::thread::current()
                .name()
                .is_some_and(|name| name.contains("never_panic"));
            let of_decoy = info.location().is_some_and(|l| l.file().contains("decoys/src"));
            if in_runner && of_decoy {
                PANICS.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            default(info);
        }));
    });
    shared()
}

#[test]
fn seeds_of_the_fuzz_targets_never_panic_a_decoy_and_every_end_is_reported() {
    let machine = machine_without_panics();
    let mut replayed = Vec::new();
    for decoy in &machine.decoys {
        let slug = decoy.slug();
        let folder = format!("{}/../../fuzz/corpus/{slug}_session", env!("CARGO_MANIFEST_DIR"));
        // Not every service is fuzzed as a whole: some have targets for their parsers instead.
        let Ok(seeds) = std::fs::read_dir(folder) else {
            continue;
        };
        replayed.push(slug);
        for seed in seeds {
            let seed = seed.unwrap();
            let bytes = std::fs::read(seed.path()).unwrap();
            let before = machine.lines.text().len();
            runtime().block_on(async {
                let (io, session) = machine.visit(decoy, BOUNDS);
                tokio::join!(say(io, bytes), session);
            });
            let lines = machine.lines.text().split_off(before);
            assert_eq!(
                PANICS.load(std::sync::atomic::Ordering::SeqCst),
                0,
                "{slug} {seed:?}"
            );
            assert!(lines.contains(" disconnect ["), "{slug} {seed:?}: {lines}");
        }
    }
    assert!(
        ["ftp", "redis"].iter().all(|slug| replayed.contains(slug)),
        "{replayed:?}"
    );
}

#[test]
fn a_silent_visitor_is_timed_out() {
    let machine = machine(2);
    for decoy in &machine.decoys {
        runtime().block_on(async {
            let (mut io, session) = machine.visit(decoy, BOUNDS);
            let listen = async {
                let mut chunk = [0; 1024];
                while let Ok(1..) = io.read(&mut chunk).await {}
            };
            let done =
                tokio::time::timeout(Duration::from_secs(600), async { tokio::join!(listen, session) });
            assert!(done.await.is_ok(), "{}", decoy.slug());
        });
        let lines = machine.lines.text();
        let end = lines.lines().rfind(|l| l.contains(" disconnect [")).unwrap();
        assert!(end.contains("_timeout\""), "{end}");
    }
}

#[test]
fn endless_input_ends_and_is_not_hoarded() {
    /// What one connection may take beside what all share, with room for the allocator's habits.
    const ROOM_KIB: u64 = 24 * 1024;
    let machine = machine(3);
    for decoy in &machine.decoys {
        for pattern in [&b"a"[..], b"a\r\n", b"*1000000\r\n$8\r\naaaaaaaa\r\n", b"\0"] {
            // Evidence is kept by this test only.
            machine.lines.0.lock().unwrap().clear();
            let before = resident_kib();
            runtime().block_on(async {
                let (mut io, session) = machine.visit(decoy, BOUNDS);
                let endless = async {
                    let (mut reader, mut writer) = tokio::io::split(&mut io);
                    let send = async {
                        let part = pattern.repeat(8192 / pattern.len());
                        while writer.write_all(&part).await.is_ok() {}
                    };
                    let mut chunk = [0; 4096];
                    let drain = async { while let Ok(1..) = reader.read(&mut chunk).await {} };
                    tokio::join!(send, drain);
                };
                let session = async {
                    session.await;
                    resident_kib()
                };
                let ((), after) = tokio::join!(endless, session);
                let lines = machine.lines.0.lock().unwrap().len() as u64 / 1024 * 2;
                let grown = after.saturating_sub(before + lines);
                assert!(grown < ROOM_KIB, "{} grew by {grown} KiB", decoy.slug());
            });
            let lines = machine.lines.text();
            assert!(lines.lines().any(|l| l.contains(" disconnect [")), "{lines}");
        }
    }
}

/// What this process has in memory.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_visitor_who_does_not_read_is_not_waited_for() {
    let machine = machine(4);
    for decoy in &machine.decoys {
        runtime().block_on(async {
            let (mut io, session) = machine.visit(decoy, BOUNDS);
            let shout = async {
                // Ask for much and take nothing.
                let ask = b"INFO\r\nHELP\r\nEHLO x\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
                let _the_decoy_may_have_hung_up = io.write_all(&ask).await;
            };
            let done = tokio::time::timeout(Duration::from_secs(600), async { tokio::join!(shout, session) });
            assert!(done.await.is_ok(), "{}", decoy.slug());
        });
    }
}

#[test]
fn two_deckies_with_one_banner_still_share_no_secret() {
    let (one, other) = (machine(5), machine(6));
    // What a client sees before it has said anything, and what it gets for asking for itself.
    let ask = b"INFO server\r\n".to_vec();
    for (a, b) in one.decoys.iter().zip(&other.decoys) {
        let answer = |machine: &Machine, decoy: &Arc<dyn AnyDecoy>| {
            runtime().block_on(async {
                let (io, session) = machine.visit(decoy, BOUNDS);
                tokio::join!(say(io, ask.clone()), session).0
            })
        };
        let slug = a.slug();
        let (a, b) = (answer(&one, a), answer(&other, b));
        let words = |bytes: &[u8]| -> std::collections::BTreeSet<String> {
            // A word of 32 and more hex digits is a secret or an id.
            String::from_utf8_lossy(bytes)
                .split(|c: char| !c.is_ascii_hexdigit())
                .filter(|w| w.len() >= 32 && !w.chars().all(|c| c == '0'))
                .map(str::to_owned)
                .collect()
        };
        let (a, b) = (words(&a), words(&b));
        // What the others have of their own is no word: a host key (`app/decoys/src/ssh/keys.rs`) or a certificate.
        assert_eq!(
            (a.is_empty(), b.is_empty()),
            (slug != "redis", slug != "redis"),
            "{slug}"
        );
        assert!(a.is_disjoint(&b), "{slug}: {a:?} {b:?}");
    }
}

#[test]
fn no_two_greetings_of_mysql_have_one_salt() {
    let (one, other) = (machine(5), machine(6));
    let salt = |machine: &Machine| {
        let mysql = machine
            .decoys
            .iter()
            .find(|decoy| decoy.slug() == "mysql")
            .unwrap();
        let greeting = runtime().block_on(async {
            let (io, session) = machine.visit(mysql, BOUNDS);
            tokio::join!(say(io, Vec::new()), session).0
        });
        // Behind the header come the protocol, the version to its NUL, and the number of the connection.
        let version = greeting[5..].iter().position(|b| *b == 0).unwrap();
        greeting[5 + version + 5..][..8].to_vec()
    };
    let salts = [salt(&one), salt(&one), salt(&other)];
    let different: std::collections::BTreeSet<_> = salts.iter().collect();
    assert_eq!(different.len(), 3, "{salts:?}");
}

#[test]
fn two_machines_share_neither_the_key_nor_the_signature_of_their_certificates() {
    /// More than what all certificates of a kind have in a row, and less than half of a key.
    const RUN: usize = 64;
    let certificate = |seed| {
        let spec = PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server");
        let host = Host::new(Persona::derive(&spec).unwrap(), Arc::new(SystemClock));
        let own = [
            Identity::snakeoil(&host).unwrap().certificate.clone(),
            Identity::self_signed(&host, "mysql", &Look::snakeoil(&host))
                .unwrap()
                .certificate,
        ];
        let runs = own.iter().flat_map(|certificate| certificate.windows(RUN));
        runs.map(<[u8]>::to_vec)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (one, other) = (certificate(5), certificate(6));
    assert!(one.len() > 1000 && one.is_disjoint(&other));
}

/// As long as the knob allows.
const TARPIT: Duration = Duration::from_secs(10);

/// The machine of `seed`, all of whose services answer slowly.
fn slow(seed: u8) -> Machine {
    let archetype = decnet_persona::archetype::ALL[0].slug;
    let spec = PersonaSpec::new(Seed::from_bytes([seed; 16]), archetype);
    let millis = u64::try_from(TARPIT.as_millis()).unwrap();
    let knobs = [("tarpit_ms".to_owned(), millis.into())].into();
    built(&spec, |host| {
        let slugs = catalogue::ALL.iter().map(|meta| meta.slug);
        slugs
            .map(|slug| catalogue::build(slug, &knobs, host).unwrap())
            .collect()
    })
}

/// What every service answers in one way or another, at the latest now.
const ASK: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

#[test]
fn a_tarpit_holds_the_answer_back_and_not_the_evidence() {
    let (slow, usual) = (slow(7), machine(7));
    for (machine, is_slow) in [(&slow, true), (&usual, false)] {
        for decoy in &machine.decoys {
            let slug = decoy.slug();
            machine.forget();
            runtime().block_on(async {
                let (mut io, session) = machine.visit(decoy, BOUNDS);
                let came = tokio::time::Instant::now();
                let visit = async {
                    io.write_all(ASK).await.unwrap();
                    let mut chunk = [0; 1024];
                    let soon = tokio::time::timeout(TARPIT / 2, io.read(&mut chunk)).await;
                    assert_eq!(soon.is_err(), is_slow, "{slug}: {soon:?}");
                    let lines = machine.lines.text();
                    assert!(lines.contains(" connect ["), "{slug}: {lines}");
                    if ["http", "redis"].contains(&slug) {
                        // These speak second, so what was asked is known by now.
                        assert!(lines.contains("GET"), "{slug}: {lines}");
                    }
                    if soon.is_err() {
                        let late = io.read(&mut chunk).await;
                        assert!(matches!(late, Ok(1..)), "{slug}: {late:?}");
                        assert!(came.elapsed() >= TARPIT, "{slug}");
                    }
                    drop(io);
                };
                tokio::join!(visit, session);
            });
            let lines = machine.lines.text();
            assert_eq!(lines.matches(" disconnect [").count(), 1, "{slug}: {lines}");
        }
    }
}

#[test]
fn a_tarpit_waits_for_nobody_who_has_gone() {
    let machine = slow(8);
    for decoy in &machine.decoys {
        runtime().block_on(async {
            let came = tokio::time::Instant::now();
            let (mut io, session) = machine.visit(decoy, BOUNDS);
            let visit = async {
                io.write_all(ASK).await.unwrap();
                drop(io);
            };
            tokio::join!(visit, session);
            assert!(came.elapsed() < TARPIT, "{}", decoy.slug());
        });
    }
}

#[test]
fn a_tarpit_keeps_no_session_beyond_its_limits() {
    let machine = slow(9);
    let bounds = Bounds {
        total: TARPIT / 2,
        ..BOUNDS
    };
    for decoy in &machine.decoys {
        machine.forget();
        runtime().block_on(async {
            let came = tokio::time::Instant::now();
            let (mut io, session) = machine.visit(decoy, bounds);
            let visit = async {
                io.write_all(ASK).await.unwrap();
                let mut chunk = [0; 1024];
                while let Ok(1..) = io.read(&mut chunk).await {}
            };
            tokio::join!(visit, session);
            assert!(came.elapsed() < TARPIT, "{}", decoy.slug());
        });
        let lines = machine.lines.text();
        assert!(lines.contains(" disconnect ["), "{}: {lines}", decoy.slug());
    }
}
