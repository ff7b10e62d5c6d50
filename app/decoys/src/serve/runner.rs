//! Runs the services of one decky: binds, lets visitors in as far as the limits allow, and reports their coming and
//! going.
//!
//! Starting is two phases: every service is built and every listener bound before the first visitor is answered, so a
//! decky is up as a whole or not at all. [`Decky::apply`] changes a running decky in the same way: what stays the same is
//! not touched, and a service with new knobs keeps the sessions that it has.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write as _},
    net::{IpAddr, SocketAddr, TcpListener},
    panic::AssertUnwindSafe,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use decnet_model::{
    clock::SharedClock,
    event::{CloseReason, Event},
};
use decnet_persona::{
    Persona, PersonaError,
    bait::{Bait, BaitFault},
};
use tokio::{net::TcpStream, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    AnyDecoy, BuildError, Full, Host, Room, SessionError,
    artifact::Artifacts,
    peer::{Bounds, Meter, Peer},
    relay::Relayed,
    sink::Sink,
    tap::{Evidence, Tap},
    trouble,
};
use crate::{
    catalogue,
    config::{DeckyConfig, Limits, ServiceEntry},
};

/// Connections that the kernel holds ready for us.
const BACKLOG: i32 = 128;
/// The longest pause after a failed accept.
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often refused connections are reported at most, for each service.
const REFUSALS_EVERY: Duration = Duration::from_secs(1);
/// How often evidence that waits for room is tried again at the end.
const LAST_WORDS_EVERY: Duration = Duration::from_millis(100);

/// A decky that cannot be started or changed as configured.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The persona cannot be made.
    #[error("persona: {0}")]
    Persona(#[from] PersonaError),
    /// The operator's own bait cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Bait(Vec<BaitFault>),
    /// A service cannot be built.
    #[error("service {0}")]
    Build(#[from] BuildError),
    /// A service stands twice, or has no address.
    #[error("service {slug}: {problem}")]
    Service {
        /// Which.
        slug: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An address cannot be listened on.
    #[error("service {slug}: listen on {address}: {source}")]
    Bind {
        /// Which service.
        slug: String,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The artifact folder cannot be used.
    #[error("artifact folder: {0}")]
    Artifacts(io::Error),
    /// Something of a running decky cannot be changed.
    #[error("{0} cannot be changed without a restart")]
    Fixed(&'static str),
}

/// A running decky.
pub struct Decky {
    config: DeckyConfig,
    host: Arc<Host>,
    evidence: Arc<Evidence>,
    gate: Arc<Gate>,
    limits: Arc<RwLock<Limits>>,
    services: BTreeMap<String, Running>,
}

/// A running service.
struct Running {
    entry: ServiceEntry,
    decoy: Arc<RwLock<Arc<dyn AnyDecoy>>>,
    listeners: BTreeMap<SocketAddr, Listening>,
    /// Counts its visitors.
    room: Arc<Gate>,
    /// Ends the service's sessions.
    stop: CancellationToken,
}

/// A listener that accepts visitors until it is dropped.
struct Listening {
    bound: SocketAddr,
    /// Where visitors believe it to be.
    shown: SocketAddr,
    tap: Tap,
    stop: CancellationToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tap.emit(Event::ServiceStopped {
            listen: &self.shown.to_string(),
        });
    }
}

/// What is made in the first phase: everything that can fail.
struct Prepared {
    entry: ServiceEntry,
    decoy: Arc<dyn AnyDecoy>,
    bound: BTreeMap<SocketAddr, tokio::net::TcpListener>,
}

/// Who the decky of `config` is, with the operator's own bait.
///
/// # Errors
/// Where the persona cannot be made or the bait cannot be used.
pub fn persona(config: &DeckyConfig) -> Result<Persona, StartError> {
    let load = |folder: &str| Bait::load(Path::new(folder)).map_err(StartError::Bait);
    let mut persona = Persona::derive(&config.persona)?;
    let overrides = &config.persona.overrides;
    if let Some(folder) = &overrides.bait {
        persona = persona.with_bait(load(folder)?);
    }
    for (service, folder) in &overrides.service_bait {
        persona = persona.with_service_bait(service, load(folder)?);
    }
    Ok(persona)
}

impl Decky {
    /// Build and bind everything that `config` names, then begin to answer. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// Where something cannot be built or bound; nothing is left running then.
    pub fn start(config: DeckyConfig, sink: Arc<Sink>, clock: SharedClock) -> Result<Self, StartError> {
        let persona = persona(&config)?;
        Self::start_as(persona, config, sink, clock)
    }

    /// [`Decky::start`] with the persona of `config` made already, so that it may run where the bait cannot be read.
    ///
    /// # Errors
    /// As [`Decky::start`].
    pub fn start_as(
        persona: Persona,
        config: DeckyConfig,
        sink: Arc<Sink>,
        clock: SharedClock,
    ) -> Result<Self, StartError> {
        let mut host = Host::new(persona, Arc::clone(&clock));
        host.artifacts.clone_from(&config.artifacts);
        host.transcripts.clone_from(&config.transcripts);
        host.services
            .set(config.services.iter().map(|s| s.slug.as_str()), None);
        let host = Arc::new(host);
        let artifacts =
            Artifacts::open(config.artifacts.as_deref(), &config.limits).map_err(StartError::Artifacts)?;
        let evidence = Arc::new(Evidence {
            sink,
            artifacts: Arc::new(artifacts),
            clock,
            decky: config.name.to_string(),
        });
        let mut decky = Self {
            host,
            evidence,
            gate: Arc::new(Gate::new(Room::from(&config.limits))),
            limits: Arc::new(RwLock::new(config.limits)),
            services: BTreeMap::new(),
            config: DeckyConfig {
                services: Vec::new(),
                ..config.clone()
            },
        };
        decky.apply(config)?;
        Ok(decky)
    }

    /// Become what `config` says: services are added, changed and removed; the sessions of those that stay go on.
    ///
    /// # Errors
    /// Where something cannot be built or bound, or cannot change while running; the decky is left as it was.
    pub fn apply(&mut self, config: DeckyConfig) -> Result<(), StartError> {
        if config.name != self.config.name {
            return Err(StartError::Fixed("the name"));
        }
        // The persona lists the services too. That list may change: it does not decide who the machine is.
        let mut persona = config.persona.clone();
        persona.services.clone_from(&self.config.persona.services);
        if persona != self.config.persona {
            return Err(StartError::Fixed("the persona"));
        }
        if (&config.artifacts, &config.transcripts) != (&self.config.artifacts, &self.config.transcripts) {
            return Err(StartError::Fixed("a folder"));
        }
        if config.user != self.config.user {
            return Err(StartError::Fixed("the user"));
        }
        let prepared = self.prepare(&config.services)?;

        self.gate.set(Room::from(&config.limits));
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = config.limits;
        self.services.retain(|slug, running| {
            let stays = prepared.contains_key(slug);
            if !stays {
                running.stop.cancel();
            }
            stays
        });
        for (slug, prepared) in prepared {
            self.serve(slug, prepared);
        }
        let now = self.evidence.clock.now().unix_timestamp();
        self.host
            .services
            .set(config.services.iter().map(|s| s.slug.as_str()), Some(now));
        self.config = config;
        Ok(())
    }

    /// The first phase: everything that can fail.
    fn prepare(&self, entries: &[ServiceEntry]) -> Result<BTreeMap<String, Prepared>, StartError> {
        let mut all = BTreeMap::new();
        for entry in entries {
            let slug = entry.slug.to_string();
            let fault = |problem| StartError::Service {
                slug: slug.clone(),
                problem,
            };
            if all.contains_key(&slug) {
                return Err(fault("stands twice"));
            }
            if entry.listen.is_empty() {
                return Err(fault("has no address to listen on"));
            }
            let running = self.services.get(&slug);
            let decoy = match running {
                Some(running)
                    if (&running.entry.knobs, &running.entry.relays) == (&entry.knobs, &entry.relays) =>
                {
                    Arc::clone(&read(&running.decoy))
                }
                _ if entry.relays.is_empty() => catalogue::build(&slug, &entry.knobs, &self.host)?,
                _ => Arc::new(Relayed::new(&entry.slug, &entry.relays)),
            };
            let mut bound = BTreeMap::new();
            for address in &entry.listen {
                let held = running.is_some_and(|running| running.listeners.contains_key(address));
                if !held && !bound.contains_key(address) {
                    let listener = bind(*address).map_err(|source| StartError::Bind {
                        slug: slug.clone(),
                        address: *address,
                        source,
                    })?;
                    bound.insert(*address, listener);
                }
            }
            all.insert(
                slug,
                Prepared {
                    entry: entry.clone(),
                    decoy,
                    bound,
                },
            );
        }
        Ok(all)
    }

    /// The second phase: begin to answer. Nothing here can fail.
    fn serve(&mut self, slug: String, prepared: Prepared) {
        let name: Arc<str> = Arc::from(prepared.decoy.slug());
        let running = self.services.entry(slug).or_insert_with(|| Running {
            entry: prepared.entry.clone(),
            decoy: Arc::new(RwLock::new(Arc::clone(&prepared.decoy))),
            listeners: BTreeMap::new(),
            room: Arc::new(Gate::new(prepared.decoy.room())),
            stop: CancellationToken::new(),
        });
        running.room.set(prepared.decoy.room());
        *running.decoy.write().unwrap_or_else(PoisonError::into_inner) = prepared.decoy;
        running
            .listeners
            .retain(|address, _| prepared.entry.listen.contains(address));
        running.entry = prepared.entry;
        for (wanted, listener) in prepared.bound {
            let tap = Tap::of_service(&self.evidence, Arc::clone(&name));
            let bound = listener.local_addr().unwrap_or(wanted);
            let shown = read(&running.decoy).shown(bound);
            tap.emit(Event::ServiceStarted {
                listen: &shown.to_string(),
            });
            let stop = CancellationToken::new();
            let door = Door {
                slug: Arc::clone(&name),
                decoy: Arc::clone(&running.decoy),
                evidence: Arc::clone(&self.evidence),
                gates: [Arc::clone(&self.gate), Arc::clone(&running.room)],
                limits: Arc::clone(&self.limits),
                sessions: self.host.sessions.clone(),
                stop_sessions: running.stop.clone(),
                service: tap.clone(),
            };
            let until = stop.clone();
            // Cancelled by dropping the `Listening`; ends at once because it waits for nothing else.
            let _detached = tokio::spawn(async move {
                tokio::select! {
                    () = until.cancelled() => {}
                    () = door.open(listener) => {}
                }
            });
            let listening = Listening {
                bound,
                shown,
                tap,
                stop,
            };
            running.listeners.insert(wanted, listening);
        }
    }

    /// Where each service listens: slug and bound address (the port that was given for port 0).
    #[must_use]
    pub fn listening(&self) -> Vec<(String, SocketAddr)> {
        self.services
            .iter()
            .flat_map(|(slug, running)| running.listeners.values().map(|l| (slug.clone(), l.bound)))
            .collect()
    }

    /// Stop in order: no new visitors, sessions ended and reported, and their evidence written, within `grace`. What a full
    /// disk has not taken by then is lost, counted and told.
    pub async fn stop(mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        for running in self.services.values() {
            running.stop.cancel();
        }
        self.services.clear();
        let sessions = &self.host.sessions;
        sessions.close();
        if tokio::time::timeout_at(deadline, sessions.wait()).await.is_err() {
            trouble(format_args!("{} sessions did not end in time", sessions.len()));
        }
        let sink = &self.evidence.sink;
        sink.flush();
        while sink.waits() && Instant::now() < deadline {
            tokio::time::sleep_until(deadline.min(Instant::now() + LAST_WORDS_EVERY)).await;
            sink.flush();
        }
        sink.give_up();
    }
}

fn bind(address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    tokio::net::TcpListener::from_std(TcpListener::from(socket))
}

fn read<T: ?Sized>(lock: &RwLock<Arc<T>>) -> Arc<T> {
    Arc::clone(&lock.read().unwrap_or_else(PoisonError::into_inner))
}

/// Lets visitors in at one listener.
struct Door {
    slug: Arc<str>,
    decoy: Arc<RwLock<Arc<dyn AnyDecoy>>>,
    evidence: Arc<Evidence>,
    /// The decky's own, and the service's.
    gates: [Arc<Gate>; 2],
    limits: Arc<RwLock<Limits>>,
    sessions: TaskTracker,
    stop_sessions: CancellationToken,
    service: Tap,
}

impl Door {
    async fn open(self, listener: tokio::net::TcpListener) {
        let mut pause = Duration::from_millis(10);
        let mut refused_at: Option<Instant> = None;
        loop {
            // Whoever comes meanwhile waits in the kernel.
            std::future::poll_fn(|cx| self.evidence.sink.poll_room(cx)).await;
            match listener.accept().await {
                Ok((stream, address)) => {
                    pause = Duration::from_millis(10);
                    match self.enter(address.ip().to_canonical()) {
                        Ok(passes) => self.admit(stream, address, passes),
                        Err(refusal) => {
                            if refused_at.is_none_or(|at| at.elapsed() >= REFUSALS_EVERY) {
                                refused_at = Some(Instant::now());
                                let local = stream.local_addr().unwrap_or(address);
                                let local = read(&self.decoy).shown(local);
                                Tap::of_session(&self.evidence, Arc::clone(&self.slug), address, local).emit(
                                    Event::Limited {
                                        what: refusal.what,
                                        limit: refusal.limit,
                                    },
                                );
                            }
                            turn_away(stream, &read(&self.decoy).busy(refusal.full));
                        }
                    }
                }
                // The visitor was gone before we came to it: nothing to do.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Out of file descriptors or memory: what helps is to wait for sessions to end.
                    trouble(format_args!("{}: accept: {error}; trying again", self.slug));
                    self.service.emit(Event::Limited {
                        what: "accept",
                        limit: 0,
                    });
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
                }
            }
        }
    }

    fn enter(&self, address: IpAddr) -> Result<[Pass; 2], Refusal> {
        let [decky, service] = &self.gates;
        Ok([decky.enter(address)?, service.enter(address)?])
    }

    fn admit(&self, stream: TcpStream, address: SocketAddr, passes: [Pass; 2]) {
        // Answers are small and written whole; without this they would wait for acknowledgements. A socket that
        // refuses it works all the same.
        let _only_slower = stream.set_nodelay(true);
        let local = stream.local_addr().unwrap_or(address);
        let decoy = read(&self.decoy);
        let tap = Tap::of_session(
            &self.evidence,
            Arc::clone(&self.slug),
            address,
            decoy.shown(local),
        );
        let bounds = Bounds::from(&*self.limits.read().unwrap_or_else(PoisonError::into_inner));
        let visit = Visit::begin(stream, address, local, bounds, tap);
        let stop = self.stop_sessions.clone();
        let _tracked = self.sessions.spawn(async move {
            visit.answered_by(decoy, stop).await;
            drop(passes);
        });
    }
}

/// Say what the product says when it is busy, as far as that is possible at once, and close.
fn turn_away(stream: TcpStream, words: &[u8]) {
    // Whatever fails here, the visitor is turned away.
    let _said = stream.into_std().and_then(|mut stream| stream.write_all(words));
}

/// One visitor's connection: reports its beginning, and on every way out its end.
pub struct Visit {
    peer: Option<Peer>,
    end: Farewell,
}

/// Reports the end of a connection when it is dropped, so that there is no way out without it.
struct Farewell {
    tap: Tap,
    meter: Arc<Meter>,
    began: Instant,
    reason: CloseReason,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let duration = self.began.elapsed().as_millis();
        self.tap.emit(Event::Disconnect {
            bytes_in: self.meter.bytes_in(),
            bytes_out: self.meter.bytes_out(),
            duration_ms: u64::try_from(duration).unwrap_or(u64::MAX),
            reason: self.reason,
        });
    }
}

impl Visit {
    /// A visitor has come over `io`.
    pub fn begin(
        io: impl super::peer::Transport + 'static,
        address: SocketAddr,
        local: SocketAddr,
        bounds: Bounds,
        tap: Tap,
    ) -> Self {
        tap.emit(Event::Connect);
        let peer = Peer::new(io, address, local, bounds, tap.clone());
        let end = Farewell {
            tap,
            meter: peer.meter(),
            began: Instant::now(),
            reason: CloseReason::Shutdown,
        };
        Self {
            peer: Some(peer),
            end,
        }
    }

    /// Let `decoy` answer until the session ends or `stop` is cancelled, while there is room for what it reports (within a pipeline
    /// [`Peer`] sees to that). A panic ends this session only.
    pub async fn answered_by(mut self, decoy: Arc<dyn AnyDecoy>, stop: CancellationToken) {
        let Some(peer) = self.peer.take() else { return };
        let tap = &self.end.tap;
        let mut session = decoy.session(peer, tap.clone());
        let guarded = std::future::poll_fn(|cx| {
            std::task::ready!(tap.poll_room(cx));
            std::panic::catch_unwind(AssertUnwindSafe(|| session.as_mut().poll(cx)))
                .unwrap_or_else(|_| std::task::Poll::Ready(Err(io::Error::other("panic").into())))
        });
        let outcome = tokio::select! {
            outcome = guarded => Some(outcome),
            () = stop.cancelled() => None,
        };
        self.end.reason = match outcome {
            None => CloseReason::Shutdown,
            Some(Err(SessionError::Violation(_))) => CloseReason::Violation,
            Some(Err(SessionError::Unanswered(_))) => CloseReason::Unanswered,
            Some(Ok(())) => self.end.meter.closed_by().unwrap_or(CloseReason::Server),
            Some(Err(SessionError::Io(error))) => match self.end.meter.closed_by() {
                Some(reason) => reason,
                None if error.kind() == io::ErrorKind::InvalidData => CloseReason::Violation,
                None => CloseReason::Server,
            },
        };
    }
}

impl From<&Limits> for Room {
    fn from(limits: &Limits) -> Self {
        Self {
            all: limits.connections,
            each: limits.connections_per_address,
        }
    }
}

/// Counts connections, in all and for each address.
struct Gate {
    state: Mutex<GateState>,
}

struct GateState {
    room: Room,
    inside: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// A limit that keeps a visitor out.
struct Refusal {
    full: Full,
    what: &'static str,
    limit: u64,
}

/// The right to be connected; given back when dropped.
struct Pass {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    fn new(room: Room) -> Self {
        Self {
            state: Mutex::new(GateState {
                room,
                inside: 0,
                by_address: HashMap::new(),
            }),
        }
    }

    fn set(&self, room: Room) {
        self.state().room = room;
    }

    fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Pass, Refusal> {
        let mut state = self.state();
        let Room { all, each } = state.room;
        if state.inside >= all {
            return Err(Refusal {
                full: Full::Everyone,
                what: "connections",
                limit: all.into(),
            });
        }
        let of_address = state.by_address.entry(address).or_default();
        if *of_address >= each {
            return Err(Refusal {
                full: Full::Address(address),
                what: "connections_per_address",
                limit: each.into(),
            });
        }
        *of_address += 1;
        state.inside += 1;
        drop(state);
        Ok(Pass {
            gate: Arc::clone(self),
            address,
        })
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        // The counts are changed in single steps: a panic elsewhere leaves them right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.inside = state.inside.saturating_sub(1);
        if let Some(of_address) = state.by_address.get_mut(&self.address) {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                state.by_address.remove(&self.address);
            }
        }
    }
}
