//! All services of a machine, visited in memory: no network, and time that stands still but for timers.
//!
//! The fuzz targets of `fuzz/` take this file in, too.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report; not every test that takes this in uses all of it"
)]

use std::{
    collections::BTreeMap,
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use decnet_decoys::{
    catalogue,
    config::Limits,
    serve::{
        AnyDecoy, Host,
        artifact::Artifacts,
        peer::Bounds,
        runner::Visit,
        sink::Sink,
        tap::{Evidence, Tap},
    },
};
use decnet_model::clock::SystemClock;
use decnet_persona::{Persona, PersonaSpec, Seed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_util::sync::CancellationToken;

const VISITOR: ([u8; 4], u16) = ([192, 0, 2, 7], 40_000);
const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 9);

/// Evidence, as a test reads it.
#[derive(Clone, Default)]
pub struct Lines(pub Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A machine made from `seed`, and all services on it.
pub struct Machine {
    evidence: Arc<Evidence>,
    pub lines: Lines,
    pub decoys: Vec<Arc<dyn AnyDecoy>>,
}

/// The machine of `seed` with every service of the catalogue.
pub fn machine(seed: u8) -> Machine {
    with(seed, catalogue::ALL.iter().map(|meta| meta.slug))
}

/// The machine of `seed` with these services.
pub fn with(seed: u8, slugs: impl Iterator<Item = &'static str>) -> Machine {
    let archetype = decnet_persona::archetype::ALL[0].slug;
    let spec = PersonaSpec::new(Seed::from_bytes([seed; 16]), archetype);
    built(&spec, |host| {
        slugs
            .map(|slug| catalogue::build(slug, &BTreeMap::new(), host).unwrap())
            .collect()
    })
}

/// The machine of `spec` with the services that `build` makes for it.
pub fn built(spec: &PersonaSpec, build: impl FnOnce(&Arc<Host>) -> Vec<Arc<dyn AnyDecoy>>) -> Machine {
    let persona = Persona::derive(spec).unwrap();
    let clock = Arc::new(SystemClock);
    let host = Arc::new(Host::new(persona, clock.clone()));
    let lines = Lines::default();
    let evidence = Arc::new(Evidence {
        sink: Arc::new(Sink::to(lines.clone())),
        artifacts: Arc::new(Artifacts::open(None, &Limits::default()).unwrap()),
        clock,
        decky: "test".to_owned(),
    });
    let decoys = build(&host);
    Machine {
        evidence,
        lines,
        decoys,
    }
}

/// What a visitor may use.
pub const BOUNDS: Bounds = Bounds {
    idle: Duration::from_secs(20),
    total: Duration::from_secs(60),
    bytes_in: 1 << 20,
};

impl Machine {
    /// Forget the evidence so far.
    pub fn forget(&self) {
        self.lines.0.lock().unwrap().clear();
    }

    /// Begin a session; the visitor's end, and the session.
    pub fn visit(
        &self,
        decoy: &Arc<dyn AnyDecoy>,
        bounds: Bounds,
    ) -> (DuplexStream, impl Future<Output = ()> + Send + use<>) {
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        let (from, to) = (SocketAddr::from(VISITOR), SocketAddr::from(LOCAL));
        let tap = Tap::of_session(&self.evidence, decoy.slug(), from, to);
        let visit = Visit::begin(theirs, from, to, bounds, tap);
        let decoy = Arc::clone(decoy);
        (ours, visit.answered_by(decoy, CancellationToken::new()))
    }
}

/// Time stands still but for timers, so that a test waits for no clock.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Send `bytes`, close, and read whatever comes until the end.
pub async fn say(mut io: DuplexStream, bytes: Vec<u8>) -> Vec<u8> {
    let mut answer = Vec::new();
    let (mut reader, mut writer) = tokio::io::split(&mut io);
    let send = async {
        let _the_decoy_may_have_hung_up = writer.write_all(&bytes).await;
        let _likewise = writer.shutdown().await;
    };
    let mut chunk = [0; 4096];
    let receive = async {
        while let Ok(n @ 1..) = reader.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..n]);
        }
    };
    tokio::join!(send, receive);
    answer
}

/// Send `bytes` to the first service of `machine` as a whole session; what it answers.
pub fn session(machine: &Machine, bytes: &[u8]) -> Vec<u8> {
    let decoy = &machine.decoys[0];
    runtime().block_on(async {
        let (io, session) = machine.visit(decoy, BOUNDS);
        tokio::join!(say(io, bytes.to_vec()), session).0
    })
}
