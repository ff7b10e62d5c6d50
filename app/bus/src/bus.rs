//! The handle that every process holds: [`Bus`] to publish, [`Subscription`] to listen.

use std::{
    borrow::Borrow,
    cell::Cell,
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use decnet_model::{
    clock::{SharedClock, SystemClock},
    topic::{Pattern, Topic},
};
use serde::Serialize;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::{AbortHandle, JoinHandle},
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    BusConfig, Endpoint,
    event::{Event, Stamp},
    outlet::Outlet,
    queue::{Limits, Next, Pushed, Queue},
    transport::{fake, nats, unix},
    wire::{self, Frame, FrameError},
};

/// For how long a bus that is being closed still tries to send.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often lost publishes are logged at most.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// The most memory that a thread keeps for its next frame.
const SPARE_MAX: usize = 4096;

/// A connection to the bus. Cheap to clone; the last clone's end (or [`Bus::close`]) ends the connection.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    transport: Transport,
    publisher: Mutex<Option<JoinHandle<()>>>,
    _end: DropGuard,
}

enum Transport {
    None,
    Fake(fake::Hub),
    Unix(PathBuf, Handle),
    Nats(Arc<nats::Link>),
}

/// What the transport's tasks need of a bus.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    pub(crate) stamp: Stamp,
    pub(crate) outbox: Outlet,
    pub(crate) ended: CancellationToken,
    pub(crate) outage: Outage,
    published: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
    settled: Notify,
    losses: Throttle,
}

/// What became of the events that this process published: `published = sent + dropped + still queued`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Given to [`Bus::publish`] or [`Bus::publish_wait`].
    pub published: u64,
    /// Handed to the transport, each once. A broker that dies with them in its socket takes them along.
    pub sent: u64,
    /// Never handed over: pushed out of the full queue, too large, or not to be written as JSON.
    pub dropped: u64,
}

impl Bus {
    /// The bus that `config` names, for the process `client`, whose name shows in the broker's log.
    ///
    /// Returns at once, connected or not: it connects, and reconnects, in the background, and logs once an outage. Has to
    /// be called within a Tokio runtime; outside of one there is no bus, which is logged.
    #[must_use]
    pub fn connect(config: &BusConfig, client: &str) -> Self {
        Self::connect_with_clock(config, client, Arc::new(SystemClock))
    }

    /// The same with a clock of one's own, which gives events their time.
    #[must_use]
    pub fn connect_with_clock(config: &BusConfig, client: &str, clock: SharedClock) -> Self {
        let limits = Limits {
            items: config.queue_events.max(1),
            bytes: config.queue_bytes,
        };
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!(client, "the bus needs a Tokio runtime: going on without it");
            return Self::none();
        };
        let shared = Arc::new(Shared::new(client, config.endpoint.to_string(), limits, clock));
        let (transport, publisher) = match &config.endpoint {
            Endpoint::None => return Self::none(),
            Endpoint::Unix(path) => {
                let publisher = runtime.spawn(limited(
                    unix::publisher(path.clone(), Arc::clone(&shared)),
                    shared.ended.clone(),
                ));
                (Transport::Unix(path.clone(), runtime), publisher)
            }
            Endpoint::Nats(url) => {
                let link = Arc::new(nats::Link::new(url.clone(), Arc::clone(&shared), runtime.clone()));
                let publisher =
                    runtime.spawn(limited(nats::publisher(Arc::clone(&link)), shared.ended.clone()));
                (Transport::Nats(link), publisher)
            }
        };
        Self::new(shared, transport, Some(publisher))
    }

    /// No bus: publishing does nothing, subscriptions stay silent.
    #[must_use]
    pub fn none() -> Self {
        Self::local("none", Transport::None, Limits { items: 1, bytes: 0 })
    }

    /// A bus within this process, for tests: what was published is in every matching subscription when
    /// [`Bus::publish`] returns. Clones of it are the same bus.
    #[must_use]
    pub fn fake() -> Self {
        Self::fake_with_queue(16_384)
    }

    /// The same with room for `events` in each subscription.
    #[must_use]
    pub fn fake_with_queue(events: usize) -> Self {
        let limits = Limits {
            items: events.max(1),
            bytes: 16 << 20,
        };
        Self::local("fake", Transport::Fake(fake::Hub::new(limits)), limits)
    }

    fn local(name: &str, transport: Transport, limits: Limits) -> Self {
        let shared = Shared::new(name, name.to_owned(), limits, Arc::new(SystemClock));
        Self::new(Arc::new(shared), transport, None)
    }

    fn new(shared: Arc<Shared>, transport: Transport, publisher: Option<JoinHandle<()>>) -> Self {
        let end = shared.ended.clone().drop_guard();
        Self {
            inner: Arc::new(Inner {
                shared,
                transport,
                publisher: Mutex::new(publisher),
                _end: end,
            }),
        }
    }

    /// Whether there is a bus by the configuration: false for [`Bus::none`]. Whether it answers is another matter.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self.inner.transport, Transport::None)
    }

    /// Where it is, for people: without user and password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.inner.shared.outage.at
    }

    /// Whether it does not answer, as far as was seen.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.inner.shared.outage.away.load(Ordering::Relaxed)
    }

    /// Whether it is served by a `decnet-bus` of this host.
    #[must_use]
    pub fn has_broker(&self) -> bool {
        matches!(self.inner.transport, Transport::Unix(..) | Transport::Fake(_))
    }

    /// Publishes `payload` to `topic`. Neither waits nor fails: where the bus cannot keep up or is away, events wait in a
    /// bounded queue whose oldest give way, counted in [`Bus::stats`] and logged now and then.
    pub fn publish(&self, topic: impl Borrow<Topic>, payload: impl Serialize) {
        if let Some(frame) = self.outgoing(topic.borrow(), &payload) {
            let shared = &self.inner.shared;
            shared.pushed(shared.outbox.queue.push(&frame, 1));
            recycle(frame);
        }
    }

    /// The same for a publisher that would rather wait than lose: waits while the queue is full, for as long as the bus
    /// is away.
    pub async fn publish_wait(&self, topic: impl Borrow<Topic>, payload: impl Serialize) {
        if let Some(frame) = self.outgoing(topic.borrow(), &payload) {
            let shared = &self.inner.shared;
            shared.pushed(shared.outbox.queue.push_wait(&frame).await);
            recycle(frame);
        }
    }

    /// The event's `PUB` frame for the queue; `None` where there is none to go to.
    fn outgoing(&self, topic: &Topic, payload: &impl Serialize) -> Option<Vec<u8>> {
        let shared = &self.inner.shared;
        if matches!(self.inner.transport, Transport::None) {
            return None;
        }
        shared.published.fetch_add(1, Ordering::Relaxed);
        match encode(topic, payload, &shared.stamp) {
            Err(error) => shared.refused(1, &error),
            // By this process itself: that it goes on publishing is no news.
            Ok(_) if shared.ended.is_cancelled() => shared.lost(1),
            Ok(frame) => match &self.inner.transport {
                Transport::Fake(hub) => {
                    hub.publish(topic, &frame);
                    shared.sent(1);
                }
                _ => return Some(frame),
            },
        }
        None
    }

    /// Begins to listen to `pattern`, at once where the bus is there and as soon as it is where not. What is published
    /// before the subscription stands is not received: see [`Subscription::established`].
    #[must_use]
    pub fn subscribe(&self, pattern: Pattern) -> Subscription {
        let shared = Arc::clone(&self.inner.shared);
        let source = match &self.inner.transport {
            Transport::None => Source::Silent,
            Transport::Fake(hub) => Source::Feed(hub.subscribe(pattern.clone())),
            Transport::Unix(path, runtime) => {
                let reader = unix::Reader::new(path.clone(), pattern.clone(), shared, runtime.clone());
                Source::Socket(Box::new(reader))
            }
            Transport::Nats(link) => Source::Feed(link.subscribe(pattern.clone())),
        };
        Subscription {
            pattern,
            source,
            bus: self.clone(),
        }
    }

    /// Returns once everything published so far was handed to the transport or counted as dropped; not while the bus is
    /// away, so give it a bound.
    pub async fn flush(&self) {
        let shared = &self.inner.shared;
        let published = shared.published.load(Ordering::SeqCst);
        loop {
            let settled = shared.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if shared.sent.load(Ordering::SeqCst) + shared.dropped.load(Ordering::SeqCst) >= published {
                return;
            }
            settled.await;
        }
    }

    /// Sends what is still queued, within a second, also where it was not connected yet, and ends the connection;
    /// subscriptions then end too.
    pub async fn close(&self) {
        self.inner.shared.ended.cancel();
        let publisher = self
            .inner
            .publisher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(publisher) = publisher
            && let Err(error) = publisher.await
        {
            tracing::debug!(%error, "the bus publisher");
        }
    }

    /// What became of the events that this process published.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.inner.shared;
        Stats {
            published: shared.published.load(Ordering::SeqCst),
            sent: shared.sent.load(Ordering::SeqCst),
            dropped: shared.dropped.load(Ordering::SeqCst),
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.inner.shared;
        f.debug_struct("Bus")
            .field("at", &shared.outage.at)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Lets a transport's task run on for a moment after the end, and no longer.
async fn limited(task: impl Future<Output = ()>, ended: CancellationToken) {
    tokio::select! {
        () = task => {}
        () = async { ended.cancelled().await; sleep(LAST_WORDS).await } => {
            tracing::debug!("the bus was closed with events unsent");
        }
    }
}

impl Shared {
    fn new(client: &str, at: String, limits: Limits, clock: SharedClock) -> Self {
        let mut name: String = client
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                    c
                } else {
                    '_'
                }
            })
            .take(64)
            .collect();
        if !wire::is_client_name(&name) {
            name = "unnamed".to_owned();
        }
        Self {
            name,
            limits,
            stamp: Stamp::new(clock),
            outbox: Outlet::new(limits),
            ended: CancellationToken::new(),
            outage: Outage {
                at,
                away: AtomicBool::new(false),
            },
            published: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            settled: Notify::new(),
            losses: Throttle::default(),
        }
    }

    /// Sees to it that what was pushed is taken, and counts what it cost.
    fn pushed(&self, pushed: Pushed) {
        if pushed.first {
            let flushed = self.outbox.flush_burst();
            if let Some(flushed) = flushed {
                self.sent(flushed.events);
            }
            if flushed.is_none_or(|flushed| !flushed.done) {
                self.outbox.queue.wake();
            }
        }
        if pushed.lost > 0 {
            self.refused(pushed.lost, &"the bus does not keep up or is away");
        }
    }

    /// Counts events that the transport took.
    pub(crate) fn sent(&self, events: u64) {
        if events > 0 {
            self.sent.fetch_add(events, Ordering::SeqCst);
            self.settled.notify_waiters();
        }
    }

    /// Counts events that will never be sent.
    fn lost(&self, events: u64) {
        self.dropped.fetch_add(events, Ordering::SeqCst);
        self.settled.notify_waiters();
    }

    /// Counts events that will never be sent, and says why not now and then.
    pub(crate) fn refused(&self, events: u64, reason: &dyn fmt::Display) {
        self.lost(events);
        if let Some(dropped) = self.losses.count(events) {
            tracing::warn!(bus = self.outage.at, dropped, %reason, "events were not published");
        }
    }
}

/// Logs the beginning and the end of an outage, once for all of a process's connections.
pub(crate) struct Outage {
    at: String,
    away: AtomicBool,
}

impl Outage {
    pub(crate) fn failed(&self, error: &dyn fmt::Display) {
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(bus = self.at, %error, "the bus is away: going on without it");
        }
    }

    pub(crate) fn over(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!(bus = self.at, "the bus is back");
        }
    }
}

/// Sums up what would be logged too often.
#[derive(Default)]
struct Throttle(Mutex<(Option<Instant>, u64)>);

impl Throttle {
    /// Adds `n`; gives the sum where it is time to log it.
    fn count(&self, n: u64) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, sum) = &mut *state;
        *sum += n;
        if last.is_some_and(|last| last.elapsed() < LOG_EVERY) {
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(sum))
    }
}

thread_local! {
    /// The memory of the last frame, for the next one.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Keeps the memory of `frame` where it is no more than the usual.
fn recycle(mut frame: Vec<u8>) {
    if frame.capacity() <= SPARE_MAX {
        frame.clear();
        SPARE.set(frame);
    }
}

#[derive(Debug, thiserror::Error)]
enum OutgoingError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("not to be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The `PUB` frame of a new event.
fn encode(topic: &Topic, payload: &impl Serialize, stamp: &Stamp) -> Result<Vec<u8>, OutgoingError> {
    wire::publishable(topic)?;
    // Taken and not borrowed: writing the payload may itself publish.
    let mut frame = SPARE.take();
    wire::encode("PUB", topic.as_str(), &mut frame, |frame| {
        stamp.encode(payload, frame).map_err(OutgoingError::from)
    })?;
    Ok(frame)
}

/// Where a subscription's events come from.
enum Source {
    Silent,
    Socket(Box<unix::Reader>),
    Feed(Feed),
}

/// A queue that a transport fills.
pub(crate) struct Feed {
    inbox: Arc<Queue>,
    stands: watch::Receiver<bool>,
    gaps: Option<watch::Receiver<u64>>,
    task: Option<AbortHandle>,
}

impl Feed {
    pub(crate) fn new(inbox: Arc<Queue>, stands: watch::Receiver<bool>, gaps: watch::Receiver<u64>) -> Self {
        Self {
            inbox,
            stands,
            gaps: Some(gaps),
            task: None,
        }
    }

    /// One that stands from the beginning and has no gaps.
    pub(crate) fn established(inbox: Arc<Queue>) -> Self {
        Self {
            inbox,
            stands: watch::Sender::new(true).subscribe(),
            gaps: None,
            task: None,
        }
    }

    /// The task that fills it, ended with it.
    pub(crate) fn filled_by(mut self, task: AbortHandle) -> Self {
        self.task = Some(task);
        self
    }

    async fn recv(&mut self, stamp: &Stamp) -> Event {
        loop {
            match self.inbox.pop() {
                // What cannot be shown is counted all the same.
                Some(Next::Frame(frame)) => return decode(&frame).unwrap_or_else(|| stamp.dropped(1, false)),
                Some(Next::Lost(lost)) => return stamp.dropped(lost, false),
                None => {}
            }
            let gap = async {
                let told = match &mut self.gaps {
                    Some(gaps) => gaps.changed().await.is_ok(),
                    None => false,
                };
                if !told {
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = self.inbox.ready() => {}
                () = gap => return stamp.dropped(0, true),
            }
        }
    }

    async fn established_wait(&mut self) {
        if self.stands.wait_for(|stands| *stands).await.is_err() {
            // The subscription was refused, which was logged: it stays silent.
            std::future::pending().await
        }
    }
}

/// The event of a frame from wherever the transport has it.
fn decode(frame: &[u8]) -> Option<Event> {
    match wire::decode(frame) {
        Ok(Some((Frame::Publish { topic, body } | Frame::Event { topic, body }, _))) => {
            Event::decode(topic.parse().ok()?, body).ok()
        }
        _ => None,
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Listens to a pattern until it is dropped. It comes back by itself when the bus was away.
pub struct Subscription {
    pattern: Pattern,
    source: Source,
    bus: Bus,
}

impl Subscription {
    /// The next event: what was published, or `system.bus.dropped` for what is missing here. Waits for ever where the bus
    /// is off or dead; `None` once the bus was closed. Cancel safe.
    pub async fn recv(&mut self) -> Option<Event> {
        if let Source::Socket(reader) = &mut self.source
            && let Some(event) = reader.buffered()
        {
            return Some(event);
        }
        let shared = &self.bus.inner.shared;
        let next = async {
            match &mut self.source {
                Source::Silent => std::future::pending().await,
                Source::Socket(reader) => reader.recv().await,
                Source::Feed(feed) => feed.recv(&shared.stamp).await,
            }
        };
        tokio::select! {
            biased;
            event = next => Some(event),
            () = shared.ended.cancelled() => None,
        }
    }

    /// Returns once the subscription stands: whatever is published from then on is received or counted as lost. Waits
    /// for ever where the bus is off or dead. Cancel safe.
    pub async fn established(&mut self) {
        match &mut self.source {
            Source::Silent => std::future::pending().await,
            Source::Socket(reader) => reader.established().await,
            Source::Feed(feed) => feed.established_wait().await,
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("pattern", &self.pattern)
            .finish_non_exhaustive()
    }
}
