//! The broker: one process a host to which every other one publishes and subscribes.
//!
//! A client's reader cuts frames out of its buffer, checks that a published body is the JSON of an event without building
//! it, turns the frame from `PUB` into `EVT` where it stands, and copies it, with those of the same topic around it, into
//! the queue of every client with a matching pattern. When the buffer is through, it writes itself what those clients'
//! sockets take: one write for each, however many events were read. What a socket does not take is left to its client's
//! writer. So a slow client holds up nobody: its own queue drops the oldest, and it is told how many in their place.
//!
//! A publisher that is faster than its subscribers is read from a little later: its reader waits, for milliseconds at most, for a
//! crowded queue to drain. A subscriber that does not drain in that time is not waited for again until it moves.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    ops::Range,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, BytesMut};
use decnet_model::{
    clock::{SharedClock, SystemClock},
    state::WorkerState,
    topic::{Pattern, Topic},
    view::WorkerView,
};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde::Serialize;
use tokio::{
    io::AsyncReadExt,
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    event::{self, Dropped, Stamp},
    outlet::Outlet,
    queue::Limits,
    wire::{self, Frame, FrameError, Hello},
};

/// How much is read at once.
const CHUNK: usize = 64 << 10;
/// For how long clients get what waits for them when the broker stops.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// For how long a publisher may be held up by a subscriber that is behind.
const HOLD: Duration = Duration::from_millis(5);
/// The most patterns of one client.
const MAX_PATTERNS: usize = 256;
/// The most topics whose subscribers are remembered.
const MAX_ROUTES: usize = 4096;

/// What a broker is told.
#[derive(Clone)]
pub struct BrokerConfig {
    /// Where its socket is. The folder is made (mode 0700) where it is missing.
    pub path: PathBuf,
    /// The group that may use the socket, besides its owner, if the system has it.
    pub group: Option<String>,
    /// The most clients at once.
    pub max_clients: usize,
    /// The most events that wait for one client; the oldest give way.
    pub queue_events: usize,
    /// The same bound in bytes.
    pub queue_bytes: usize,
    /// How often `system.bus.health` is published.
    pub health_every: Duration,
    /// Gives the broker's own events their time.
    pub clock: SharedClock,
}

impl BrokerConfig {
    /// A broker at `path` with the usual bounds: group `decnet`, 1,024 clients, 16,384 events or 8 MiB each, health
    /// every 10 s.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            group: Some("decnet".into()),
            max_clients: 1024,
            queue_events: 16_384,
            queue_bytes: 8 << 20,
            health_every: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why a broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// There is one already.
    #[error("another bus runs at {path}, process {pid}: stop it, or use another socket (bus-url, such as DECNET_BUS_URL=unix:/path)", path = path.display())]
    Running {
        /// The socket.
        path: PathBuf,
        /// The process that answers there; 0 if the system does not tell.
        pid: i32,
    },
    /// Something else lies where the socket belongs.
    #[error("{path} is not a socket: move it away, or use another path", path = path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("bus socket {path}: {what}: {source}", path = path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// The socket, or what belongs to it.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The task that a heartbeat tells the broker's figures as.
pub const FIGURES: &str = "broker";

/// The broker's figures since its start; the payload of `system.bus.health` has them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Clients connected now.
    pub clients: usize,
    /// Events taken from publishers.
    pub published: u64,
    /// Events written to subscribers, each once a subscriber.
    pub delivered: u64,
    /// Events that subscribers were too slow for.
    pub dropped: u64,
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            clients,
            published,
            delivered,
            dropped,
        } = self;
        write!(
            f,
            "{clients} clients, {published} published, {delivered} delivered, {dropped} dropped"
        )
    }
}

/// A broker that listens, and does not serve yet.
pub struct Broker {
    listener: UnixListener,
    hub: Arc<Hub>,
    /// Locked for as long as the broker lives, so that two cannot take the same path at once.
    _lock: File,
}

impl Broker {
    /// Takes the socket: refuses where another broker answers, removes one that a dead broker left behind.
    ///
    /// The socket appears whole: with its mode (0660) and group, and already listening.
    ///
    /// # Errors
    /// Another broker, a file that is no socket, or what the system refuses. Also outside of a Tokio runtime.
    pub fn bind(config: BrokerConfig) -> Result<Self, BrokerError> {
        let path = config.path.clone();
        let failed = |what| {
            let path = path.clone();
            move |source| BrokerError::Io { what, path, source }
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            let mut builder = fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder
                .recursive(true)
                .create(folder)
                .map_err(failed("making its folder"))?;
        }
        let lock = lock(&path)?;
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_socket() => return Err(BrokerError::NotASocket { path }),
            Ok(_) => {
                if let Ok(other) = std::os::unix::net::UnixStream::connect(&path) {
                    let pid = getsockopt(&other, PeerCredentials).map_or(0, |peer| peer.pid());
                    return Err(BrokerError::Running { path, pid });
                }
                tracing::info!(path = %path.display(), "removing the socket of a bus that is gone");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("looking at what is there")(error)),
        }
        let listener = listen(&path, config.group.as_deref())?;
        Ok(Self {
            listener,
            hub: Arc::new(Hub::new(config)),
            _lock: lock,
        })
    }

    /// The figures so far, also while [`Broker::serve`] runs.
    pub fn counters(&self) -> impl Fn() -> Counters + Send + Sync + 'static + use<> {
        let hub = Arc::clone(&self.hub);
        move || hub.counters()
    }

    /// Serves until `shutdown`, then gives clients what waits for them, within a second, and removes the socket.
    ///
    /// One thread is enough for it, and fastest: run it on a current-thread runtime.
    pub async fn serve(self, shutdown: CancellationToken) {
        let hub = &self.hub;
        let (clients, last_call) = (TaskTracker::new(), CancellationToken::new());
        let mut health = interval(hub.config.health_every.max(Duration::from_millis(10)));
        let started = Instant::now();
        tracing::info!(path = %hub.config.path.display(), "the bus listens");
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = health.tick() => hub.publish_health(WorkerState::Ok, started),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        clients.spawn(Arc::clone(hub).client(stream, last_call.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a bus client could not be accepted");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        hub.publish_health(WorkerState::Stopped, started);
        last_call.cancel();
        clients.close();
        clients.wait().await;
        if let Err(error) = fs::remove_file(&hub.config.path) {
            tracing::warn!(path = %hub.config.path.display(), %error, "the bus socket stays behind");
        }
        tracing::info!(figures = %hub.counters(), "the bus ended");
    }
}

/// Locks `<path>.lock`, in which the process id of whoever holds it stands.
fn lock(path: &Path) -> Result<File, BrokerError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |source| BrokerError::Io {
        what: "locking",
        path: name.clone(),
        source,
    };
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&name)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            (&file).take(16).read_to_string(&mut pid).map_err(failed)?;
            return Err(BrokerError::Running {
                path: path.to_owned(),
                pid: pid.trim().parse().unwrap_or_default(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

/// Listens under another name first, so that the socket has its mode and group before anybody can find it.
fn listen(path: &Path, group: Option<&str>) -> Result<UnixListener, BrokerError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let failed = |what| {
        move |source| BrokerError::Io {
            what,
            path: path.to_owned(),
            source,
        }
    };
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("clearing its place")(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&new).map_err(failed("listening"))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o660)).map_err(failed("setting its mode"))?;
    if let Some(group) = group
        && let Ok(Some(group)) = nix::unistd::Group::from_name(group)
        && let Err(error) = nix::unistd::chown(&new, None, Some(group.gid))
    {
        tracing::warn!(group = group.name, %error, "the bus socket keeps its owner's group");
    }
    fs::rename(&new, path).map_err(failed("putting it in its place"))?;
    Ok(listener)
}

/// Who is connected and who wants what.
struct Hub {
    config: BrokerConfig,
    stamp: Stamp,
    routing: Mutex<Routing>,
    published: AtomicU64,
    delivered: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Routing {
    next_id: u64,
    clients: HashMap<u64, (Vec<Pattern>, Arc<Client>)>,
    /// Who gets a topic; forgotten whenever a pattern comes or goes.
    routes: HashMap<Box<str>, Arc<[Arc<Client>]>>,
}

/// Whose a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    uid: u32,
    pid: i32,
}

/// What others have to do with a client.
struct Client {
    outlet: Outlet,
    process: Process,
    /// The log has it that its process is connected.
    logged: AtomicBool,
    /// It was waited for in vain and has taken nothing since.
    stuck: AtomicBool,
}

impl Client {
    /// Writes what its socket takes; whether that is all.
    fn flush(&self, hub: &Hub) -> io::Result<bool> {
        let flushed = self.outlet.flush(|lost, out| hub.encode_dropped(lost, out))?;
        if flushed.events > 0 {
            self.stuck.store(false, Ordering::Relaxed);
            hub.delivered.fetch_add(flushed.events, Ordering::Relaxed);
        }
        Ok(flushed.done)
    }

    /// Writes until nothing waits.
    async fn drain(&self, hub: &Hub, write: &OwnedWriteHalf) -> io::Result<()> {
        while !self.flush(hub)? {
            write.writable().await?;
        }
        Ok(())
    }

    /// Gives a client that is behind a moment to catch up.
    async fn wait_for(&self) {
        let behind = self.outlet.queue.is_crowded() && !self.stuck.load(Ordering::Relaxed);
        if behind && timeout(HOLD, self.outlet.queue.relieved()).await.is_err() {
            self.stuck.store(true, Ordering::Relaxed);
        }
    }
}

impl Hub {
    fn new(config: BrokerConfig) -> Self {
        Self {
            stamp: Stamp::new(Arc::clone(&config.clock)),
            config,
            routing: Mutex::default(),
            published: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    fn routing(&self) -> MutexGuard<'_, Routing> {
        self.routing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self) -> Counters {
        Counters {
            clients: self.routing().clients.len(),
            published: self.published.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    /// Whether the log has it that `process` is connected.
    fn is_logged(&self, process: Process) -> bool {
        let routing = self.routing();
        let mut clients = routing.clients.values().map(|(_, client)| client);
        clients.any(|client| client.process == process && client.logged.load(Ordering::Relaxed))
    }

    /// Who wants `topic`.
    fn recipients(&self, topic: &str) -> Result<Arc<[Arc<Client>]>, FrameError> {
        let routing = &mut *self.routing();
        if let Some(known) = routing.routes.get(topic) {
            return Ok(Arc::clone(known));
        }
        let wanted: Topic = topic.parse()?;
        wire::publishable(&wanted)?;
        let recipients: Arc<[_]> = routing
            .clients
            .values()
            .filter(|(patterns, _)| patterns.iter().any(|pattern| pattern.matches(&wanted)))
            .map(|(_, client)| Arc::clone(client))
            .collect();
        if routing.routes.len() >= MAX_ROUTES {
            routing.routes.clear();
        }
        routing.routes.insert(topic.into(), Arc::clone(&recipients));
        Ok(recipients)
    }

    /// Puts `frames`, `count` whole `EVT` frames, into the queues of `recipients`, and those of them for whom nothing waited
    /// into `waiting`.
    fn deliver(
        &self,
        recipients: &[Arc<Client>],
        frames: &[u8],
        count: usize,
        waiting: &mut Vec<Arc<Client>>,
    ) {
        self.published.fetch_add(count as u64, Ordering::Relaxed);
        for client in recipients {
            let pushed = client.outlet.queue.push(frames, count);
            if pushed.first {
                waiting.push(Arc::clone(client));
            }
            if pushed.lost > 0 {
                self.dropped.fetch_add(pushed.lost, Ordering::Relaxed);
            }
        }
    }

    /// Writes what the sockets of `waiting` take.
    fn flush(&self, waiting: &mut Vec<Arc<Client>>) {
        for client in waiting.drain(..) {
            // The client's own task waits for its socket, and finds out what is wrong with it.
            if !client.flush(self).unwrap_or(false) {
                client.outlet.queue.wake();
            }
        }
    }

    fn publish_health(&self, state: WorkerState, started: Instant) {
        /// A worker's heartbeat, with the broker's figures besides.
        #[derive(Serialize)]
        struct Health {
            #[serde(flatten)]
            worker: WorkerView,
            #[serde(flatten)]
            counters: Counters,
        }
        let Ok(name) = "bus".parse() else { return };
        let counters = self.counters();
        let worker = WorkerView {
            name,
            state,
            last_heard: Some(self.config.clock.now()),
            pid: Some(std::process::id()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            uptime_s: Some(started.elapsed().as_secs()),
            tasks: BTreeMap::from([(FIGURES.to_owned(), counters.to_string())]),
            kept_by: None,
        };
        let health = Health { worker, counters };
        let topic = Topic::bus_health();
        let mut frame = Vec::new();
        let written = wire::encode("EVT", topic.as_str(), &mut frame, |frame| {
            self.stamp
                .encode(&health, frame)
                .map_err(|error| FrameError::Body(error.to_string()))
        });
        match written.and_then(|()| self.recipients(topic.as_str())) {
            Ok(recipients) => {
                let mut waiting = Vec::new();
                self.deliver(&recipients, &frame, 1, &mut waiting);
                self.flush(&mut waiting);
            }
            Err(error) => tracing::error!(%error, "the bus's own health could not be published"),
        }
    }

    /// Serves one client from its first byte to its last.
    async fn client(self: Arc<Self>, stream: UnixStream, shutdown: CancellationToken) {
        let (uid, pid) = match stream.peer_cred() {
            Ok(peer) => (peer.uid(), peer.pid().unwrap_or_default()),
            Err(error) => return tracing::warn!(%error, "a bus client without credentials was turned away"),
        };
        let limits = Limits {
            items: self.config.queue_events.max(1),
            bytes: self.config.queue_bytes,
        };
        let client = Arc::new(Client {
            outlet: Outlet::new(limits),
            process: Process { uid, pid },
            logged: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
        });
        let id = {
            let routing = &mut *self.routing();
            if routing.clients.len() >= self.config.max_clients {
                return tracing::warn!(
                    uid,
                    pid,
                    max = self.config.max_clients,
                    "too many bus clients: one was turned away"
                );
            }
            routing.next_id += 1;
            routing
                .clients
                .insert(routing.next_id, (Vec::new(), Arc::clone(&client)));
            routing.next_id
        };
        let (read, write) = stream.into_split();
        let write = Arc::new(write);
        client.outlet.attach(Arc::clone(&write));
        let mut session = Session {
            hub: &self,
            id,
            name: None,
            client: &client,
            write: &write,
        };
        let writing = self.write(&client, &write, &shutdown);
        tokio::pin!(writing);
        let ended = tokio::select! {
            ended = session.read(read) => ended.err(),
            ended = &mut writing => ended.err().map(ClientError::Io),
            () = shutdown.cancelled() => {
                // Nothing new, but what waits.
                self.forget(id);
                match timeout(LAST_WORDS, writing).await {
                    Ok(ended) => ended.err().map(ClientError::Io),
                    Err(_) => Some(ClientError::Io(io::ErrorKind::TimedOut.into())),
                }
            }
        };
        self.forget(id);
        // Whoever routes to it at this moment holds on to the client, but not to its connection.
        client.outlet.detach();
        let name = session.name.as_deref().unwrap_or("-");
        match ended {
            None => tracing::debug!(uid, pid, name, "bus client gone"),
            Some(ClientError::Io(error)) => tracing::debug!(uid, pid, name, %error, "bus client gone"),
            Some(ClientError::Frame(error)) => {
                tracing::warn!(uid, pid, name, %error, "bus client closed: malformed frame")
            }
        }
    }

    fn forget(&self, id: u64) {
        let routing = &mut *self.routing();
        if routing
            .clients
            .remove(&id)
            .is_some_and(|(patterns, _)| !patterns.is_empty())
        {
            routing.routes.clear();
        }
    }

    /// Writes what waits for a client, until its connection breaks or, after `shutdown`, nothing waits any more.
    async fn write(
        &self,
        client: &Client,
        write: &OwnedWriteHalf,
        shutdown: &CancellationToken,
    ) -> io::Result<()> {
        loop {
            client.drain(self, write).await?;
            tokio::select! {
                biased;
                () = client.outlet.queue.woken() => {}
                () = shutdown.cancelled() => {
                    client.drain(self, write).await?;
                    let mut bye = Vec::new();
                    wire::encode_bare("BYE", "", &mut bye);
                    client.outlet.answer(&bye);
                    return client.drain(self, write).await;
                }
            }
        }
    }

    fn encode_dropped(&self, lost: u64, out: &mut Vec<u8>) {
        let dropped = Dropped { lost, gap: false };
        let written = wire::encode("EVT", Topic::bus_dropped().as_str(), out, |out| {
            self.stamp
                .encode(&dropped, out)
                .map_err(|error| FrameError::Body(error.to_string()))
        });
        if let Err(error) = written {
            tracing::error!(%error, lost, "a loss could not be told");
        }
    }
}

enum ClientError {
    Io(io::Error),
    Frame(FrameError),
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// Publications of one topic that stand one behind the other in a read buffer: they are delivered together.
#[derive(Default)]
struct Run {
    /// Where they are in the buffer.
    frames: Range<usize>,
    count: usize,
    /// Where their topic is in the buffer.
    topic: Range<usize>,
    recipients: Arc<[Arc<Client>]>,
    /// To whom is to be written when the buffer is through.
    waiting: Vec<Arc<Client>>,
}

impl Run {
    fn deliver(&mut self, hub: &Hub, buffer: &[u8]) {
        let frames = buffer.get(self.frames.clone()).unwrap_or_default();
        if self.count > 0 {
            hub.deliver(&self.recipients, frames, self.count, &mut self.waiting);
        }
        self.count = 0;
    }
}

/// What a client says.
struct Session<'a> {
    hub: &'a Hub,
    id: u64,
    /// Known once it said `HELLO`.
    name: Option<String>,
    client: &'a Client,
    write: &'a OwnedWriteHalf,
}

impl Session<'_> {
    /// Reads until the client says `BYE` or is gone.
    async fn read(&mut self, mut read: OwnedReadHalf) -> Result<(), ClientError> {
        let mut buffer = BytesMut::with_capacity(4096);
        let mut run = Run::default();
        loop {
            if self.take(&mut buffer, &mut run).await? {
                return Ok(());
            }
            for client in run.recipients.iter() {
                client.wait_for().await;
            }
            buffer.reserve(if buffer.is_empty() {
                CHUNK
            } else {
                buffer.len().clamp(CHUNK, wire::MAX_FRAME)
            });
            if read.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Takes all whole frames from `buffer`; whether the last was a `BYE`. What was published before a fault is delivered.
    async fn take(&mut self, buffer: &mut BytesMut, run: &mut Run) -> Result<bool, ClientError> {
        let mut done = 0;
        *run = Run::default();
        let ended = loop {
            let (frame, used) = match wire::decode(buffer.get(done..).unwrap_or_default()) {
                Ok(Some(found)) => found,
                Ok(None) => break Ok(false),
                Err(error) => break Err(error.into()),
            };
            match frame {
                Frame::Publish { topic, body } if self.name.is_some() => {
                    if let Err(error) = event::check(body) {
                        break Err(FrameError::Body(error.to_string()).into());
                    }
                    if buffer.get(run.topic.clone()) != Some(topic.as_bytes()) {
                        let recipients = match self.hub.recipients(topic) {
                            Ok(recipients) => recipients,
                            Err(error) => break Err(error.into()),
                        };
                        let topic_at = done + "PUB ".len();
                        let topic = topic_at..topic_at + topic.len();
                        run.deliver(self.hub, buffer);
                        run.recipients = recipients;
                        run.frames = done..done;
                        run.topic = topic;
                    }
                    if let Some(verb) = buffer.get_mut(done..).and_then(<[u8]>::first_chunk_mut) {
                        *verb = *b"EVT";
                    }
                    run.frames.end = done + used;
                    run.count += 1;
                }
                Frame::Bye if self.name.is_some() => break Ok(true),
                other => {
                    // Who gets what may be another after this one.
                    run.deliver(self.hub, buffer);
                    self.hub.flush(&mut run.waiting);
                    if let Err(error) = self.control(other).await {
                        break Err(error);
                    }
                    *run = Run::default();
                }
            }
            done += used;
        };
        run.deliver(self.hub, buffer);
        self.hub.flush(&mut run.waiting);
        buffer.advance(done);
        ended
    }

    /// Any frame but a publication.
    async fn control(&mut self, frame: Frame<'_>) -> Result<(), ClientError> {
        match frame {
            Frame::Hello { body } => self.hello(body).await,
            _ if self.name.is_none() => Err(FrameError::OutOfPlace("a frame before HELLO").into()),
            Frame::Subscribe { pattern } => self.subscribe(pattern).await,
            Frame::Unsubscribe { pattern } => self.unsubscribe(pattern),
            Frame::Event { .. } => Err(FrameError::OutOfPlace("EVT").into()),
            Frame::Publish { .. } | Frame::Bye => Ok(()),
        }
    }

    async fn hello(&mut self, body: &[u8]) -> Result<(), ClientError> {
        if self.name.is_some() {
            return Err(FrameError::OutOfPlace("a second HELLO").into());
        }
        let hello = Hello::parse(body)?;
        // A process has a connection for each of its subscriptions: one line for all of them.
        let Process { uid, pid } = self.client.process;
        if self.hub.is_logged(self.client.process) {
            tracing::debug!(uid, pid, name = hello.name, "bus client connected once more");
        } else {
            tracing::info!(uid, pid, name = hello.name, "bus client connected");
        }
        self.client.logged.store(true, Ordering::Relaxed);
        self.name = Some(hello.name);
        let mut answer = Vec::new();
        wire::encode_hello("decnet-bus", &mut answer)?;
        self.client.outlet.answer(&answer);
        Ok(self.client.drain(self.hub, self.write).await?)
    }

    async fn subscribe(&mut self, pattern: &str) -> Result<(), ClientError> {
        let pattern = wire::pattern(pattern)?;
        let mut answer = Vec::new();
        wire::encode_bare("SUB", pattern.as_str(), &mut answer);
        // In front of what is queued, and before the pattern counts: the client is told before the first event.
        self.client.outlet.answer(&answer);
        {
            let routing = &mut *self.hub.routing();
            if let Some((patterns, _)) = routing.clients.get_mut(&self.id)
                && !patterns.contains(&pattern)
            {
                if patterns.len() >= MAX_PATTERNS {
                    return Err(FrameError::OutOfPlace("one more SUB than a client may have").into());
                }
                patterns.push(pattern);
                routing.routes.clear();
            }
        }
        Ok(self.client.drain(self.hub, self.write).await?)
    }

    fn unsubscribe(&mut self, pattern: &str) -> Result<(), ClientError> {
        let pattern = wire::pattern(pattern)?;
        let routing = &mut *self.hub.routing();
        if let Some((patterns, _)) = routing.clients.get_mut(&self.id) {
            patterns.retain(|have| *have != pattern);
            routing.routes.clear();
        }
        Ok(())
    }
}
