//! What deckies cost in memory: one that waits, one that holds 2,000 connections, a hundred that wait.
//!
//! `cargo xtask bench decoy` builds the program as it is shipped and names it in `DECOY_BINARY`. It runs as the fleet runs
//! it: one process a decky, evidence into a file. A connection counts as idle after the first words of its protocol were
//! answered, because that is when its buffers and its state are there; it then says nothing more.
//!
//! Resident memory (RSS) counts the pages of the program's file in full in every process; the proportional set (PSS)
//! divides them among the processes that share them, so a hundred deckies are added up in PSS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark: it ends at the first fault, and prints its figures"
)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use decnet_decoys::{
    Port, catalogue,
    config::{DeckyConfig, ServiceEntry},
};
use decnet_persona::{PersonaSpec, Seed, archetype};
use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{Signal, kill},
    },
    unistd::Pid,
};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// Bars, in MiB.
const IDLE_MIB: f64 = 8.0;
const CONNECTED_MIB: f64 = 64.0;
const FLEET_MIB: f64 = 1024.0;
/// Connections that one decky holds.
const CONNECTIONS: usize = 2000;
/// Connections from one address: fewer than a decky takes.
const FROM_ONE_ADDRESS: usize = 250;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// A running decky.
struct Decky {
    child: Child,
    trouble: BufReader<ChildStderr>,
    folder: TempDir,
}

impl Drop for Decky {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _gone = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _reaped = self.child.wait();
    }
}

impl Decky {
    /// Start decky number `n` with all services of the catalogue, as many as an archetype may have.
    fn start(n: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Where root measures, the program becomes somebody else.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let services: Vec<_> = catalogue::ALL
            .iter()
            .filter(|meta| matches!(meta.listen.first(), Some(Port::Tcp(_))))
            .take(archetype::MAX_SERVICES)
            .map(|meta| ServiceEntry {
                slug: meta.slug(),
                knobs: BTreeMap::new(),
                listen: vec![SocketAddr::from((Ipv4Addr::new(127, 83, 1, n), 0))],
                relays: Vec::new(),
            })
            .collect();
        let config = DeckyConfig {
            name: format!("bench-{n}").parse().unwrap(),
            persona: PersonaSpec {
                services: services.iter().map(|entry| entry.slug.clone()).collect(),
                ..PersonaSpec::new(Seed::from_bytes([n; 16]), "linux-server")
            },
            services,
            artifacts: Some(folder.path().join("artifacts")),
            transcripts: Some(folder.path().join("transcripts")),
            evidence: None,
            pulse: None,
            user: decnet_decoys::config::NOBODY,
            reach: Vec::new(),
            limits: decnet_decoys::config::Limits::default(),
        };
        let file = folder.path().join("config.json");
        fs::write(&file, serde_json::to_vec(&config).unwrap()).unwrap();
        let program = std::env::var_os("DECOY_BINARY").expect("DECOY_BINARY names the program to measure");
        let mut child = Command::new(program)
            .arg(file)
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("evidence")).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let trouble = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            trouble,
            folder,
        }
    }

    /// Wait until it listens.
    fn ready(mut self) -> Self {
        let mut words = String::new();
        self.trouble.read_line(&mut words).unwrap();
        assert_eq!(words.trim_end(), "ready");
        self
    }

    fn evidence(&self) -> String {
        fs::read_to_string(self.folder.path().join("evidence")).unwrap()
    }

    /// Each service and where it listens.
    fn listening(&self) -> Vec<(String, SocketAddr)> {
        let evidence = self.evidence();
        let started = evidence.lines().filter(|line| line.contains(" service_started "));
        started
            .map(|line| {
                let service = line.split(' ').nth(3).unwrap();
                let listen = line.split("listen=\"").nth(1).unwrap();
                let address = listen.split('"').next().unwrap();
                (service.to_owned(), address.parse().unwrap())
            })
            .collect()
    }

    /// Resident and proportional set.
    fn memory(&self) -> Memory {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap();
        let mib = |key: &str| -> f64 {
            let line = rollup.lines().find(|line| line.starts_with(key)).unwrap();
            let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            kib / 1024.0
        };
        Memory {
            rss: mib("Rss:"),
            pss: mib("Pss:"),
            own: mib("Anonymous:"),
        }
    }
}

/// In MiB.
struct Memory {
    rss: f64,
    pss: f64,
    /// What is not mapped from the program's file: heap, stacks, data that was changed.
    own: f64,
}

/// The first words of a client; nothing where the server speaks first and more would end in an attempt to sign in.
fn first_words(slug: &str) -> &'static [u8] {
    match slug {
        "redis" => b"PING\r\n",
        "http" => b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n",
        "smtp" => b"EHLO bench\r\n",
        "ftp" => b"FEAT\r\n",
        "ssh" => b"SSH-2.0-OpenSSH_9.2p1\r\n",
        _ => b"",
    }
}

/// Connect to `address` from `from`, say the first words, and hear the answer.
fn connection(slug: &str, address: SocketAddr, from: Ipv4Addr) -> std::net::TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = std::net::TcpStream::from(socket);
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    stream.write_all(first_words(slug)).unwrap();
    let heard = stream.read(&mut [0; 16 * 1024]).unwrap();
    assert!(heard > 0, "{slug} hung up");
    stream
}

fn bar(what: &str, figure: f64, bar: f64) {
    println!(
        "{what:44} {figure:7.1} MiB (bar {bar:.0}): {}",
        if figure < bar { "met" } else { "missed" }
    );
}

fn main() {
    let deckies = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(100_u8);
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();

    let began = Instant::now();
    let decky = Decky::start(1).ready();
    let services = decky.listening();
    println!(
        "a decky with {} services, ready after {:.1} s",
        services.len(),
        began.elapsed().as_secs_f64()
    );
    let idle = decky.memory();
    println!(
        "{:44} {:7.1} MiB, PSS {:.1} MiB",
        "  heap, stack, changed data", idle.own, idle.pss
    );
    bar("  resident, idle", idle.rss, IDLE_MIB);

    let connections: Vec<_> = services
        .iter()
        .cycle()
        .take(CONNECTIONS)
        .enumerate()
        .map(|(n, (slug, address))| {
            let from = Ipv4Addr::new(127, 83, 2, u8::try_from(n / FROM_ONE_ADDRESS).unwrap());
            connection(slug, *address, from)
        })
        .collect();
    bar(
        &format!("  resident, {} connections", connections.len()),
        decky.memory().rss,
        CONNECTED_MIB,
    );
    drop(connections);
    let until = Instant::now() + ANSWER;
    let gone = |decky: &Decky| decky.evidence().matches(" disconnect ").count();
    while gone(&decky) < CONNECTIONS && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    println!(
        "{:44} {:7.1} MiB",
        "  resident, after they are gone",
        decky.memory().rss
    );
    drop(decky);

    let began = Instant::now();
    let fleet: Vec<Decky> = (0..deckies).map(Decky::start).collect();
    let fleet: Vec<Decky> = fleet.into_iter().map(Decky::ready).collect();
    println!(
        "{} deckies, all ready after {:.1} s",
        fleet.len(),
        began.elapsed().as_secs_f64()
    );
    bar(
        "  proportional set of all",
        fleet.iter().map(|decky| decky.memory().pss).sum(),
        FLEET_MIB,
    );
}
