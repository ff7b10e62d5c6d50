//! Live events: a snapshot first, then what changes.
//!
//! One reader a process asks the database (woken by the bus, and every second without it) and fans out to every
//! stream. A stream that does not keep up is ended, not waited for: its reader comes back with the last id that it
//! saw. A stream ends at once when its user is changed, and when its session does.

use std::{
    collections::{BTreeSet, HashMap},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use decnet_bus::Subscription;
use decnet_model::{
    id::{AttackerId, LogId, TaskId, UserId},
    name::{DeckyName, WorkerName},
    permission::ViewEvidence,
    topic::Pattern,
    view::{
        DeckyView, Health, LogView, Stats, StreamBody, StreamEvent, StreamSnapshot, TaskView, WorkerView,
    },
};
use decnet_runtime::{Recurring, exit::chain};
use futures::Stream;
use tokio::{
    sync::{broadcast, mpsc},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    Domain, DomainError, Permit,
    permit::{Actor, Credential},
    seen,
    session::Change,
    workers::does,
};

/// How often the reader looks without being woken.
const POLL: Duration = Duration::from_secs(1);
/// The least time between two looks, so that a flood of evidence costs a bounded number of queries.
const REST: Duration = Duration::from_millis(100);
/// Log rows of one event.
const BATCH: u32 = 200;
/// Events that a stream may lag behind before it is ended.
const QUEUE: usize = 256;
/// Log rows that a resumed stream is given; who missed more begins anew with a snapshot.
const REPLAY: usize = 2_000;
/// Log rows of a snapshot.
const SNAPSHOT_LOGS: u32 = 50;
/// Attackers of one event.
const ATTACKERS: usize = 50;
/// Tasks that the reader watches, and that a snapshot has: the latest.
const TASKS: u32 = 20;
/// How long a stream's reader may leave an event lying before the stream is ended.
const SLOW: Duration = Duration::from_secs(5);
/// How often a stream asks again whether its session still holds, for changes that nobody told.
const RECHECK: Duration = Duration::from_secs(10);

/// The events of one reader, until its session ends or it lags too far behind.
pub struct EventStream {
    events: mpsc::Receiver<StreamEvent>,
    task: tokio::task::JoinHandle<()>,
}

impl Stream for EventStream {
    type Item = StreamEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<StreamEvent>> {
        self.events.poll_recv(cx)
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What all streams of a process share.
pub(crate) struct Hub {
    events: broadcast::Sender<Arc<StreamEvent>>,
    /// What was sent; none while nobody listens.
    cursor: tokio::sync::Mutex<Option<Sent>>,
    /// Rings when the first stream opens.
    first: tokio::sync::Notify,
    open: Mutex<HashMap<UserId, usize>>,
    max_per_user: usize,
}

impl Hub {
    pub(crate) fn new(max_per_user: usize) -> Self {
        Self {
            events: broadcast::channel(QUEUE).0,
            cursor: tokio::sync::Mutex::new(None),
            first: tokio::sync::Notify::new(),
            open: Mutex::default(),
            max_per_user,
        }
    }
}

/// How far the reader of a process has told.
struct Sent {
    /// The newest log row.
    log: LogId,
    /// The last deletion of all evidence.
    forgotten: LogId,
}

/// One of a user's places.
struct Place {
    domain: Domain,
    user: UserId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .domain
            .inner
            .hub
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.user);
            }
        }
    }
}

impl Domain {
    /// Open a stream. It begins with a snapshot; with `resume`, the log rows after it come before that, and the snapshot has none.
    ///
    /// # Errors
    /// [`DomainError::TooMany`] where the user has all its streams open already.
    pub async fn stream(
        &self,
        permit: &Permit<ViewEvidence>,
        resume: Option<LogId>,
    ) -> Result<EventStream, DomainError> {
        let actor = permit.actor().clone();
        let place = self.place(actor.id.ok_or(DomainError::Unauthenticated)?)?;
        // Before anything is read, so that no change falls between.
        let changes = self.inner.sessions.watch();
        let live = self.listen().await?;
        let beginning = self.beginning(resume).await?;
        let (send, events) = mpsc::channel(8);
        let feed = Feed {
            domain: self.clone(),
            actor,
            send,
            changes,
            live,
        };
        let task = tokio::spawn(async move {
            feed.run(beginning).await;
            drop(place);
        });
        Ok(EventStream { events, task })
    }

    fn place(&self, user: UserId) -> Result<Place, DomainError> {
        let hub = &self.inner.hub;
        let mut open = hub.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(user).or_default();
        if *count >= hub.max_per_user {
            return Err(DomainError::TooMany {
                what: "open event streams",
                retry_after: Duration::from_secs(5),
            });
        }
        *count += 1;
        drop(open);
        Ok(Place {
            domain: self.clone(),
            user,
        })
    }

    /// Listen to the reader, which sends every log row that is not in the database yet at this moment.
    async fn listen(&self) -> Result<broadcast::Receiver<Arc<StreamEvent>>, DomainError> {
        let hub = &self.inner.hub;
        let mut cursor = hub.cursor.lock().await;
        let live = hub.events.subscribe();
        if cursor.is_none() {
            // What is deleted in between is told, and what comes in between, too.
            let forgotten = self.inner.store.evidence_forgotten().await?;
            let log = self.inner.store.log_reached().await?;
            *cursor = Some(Sent { log, forgotten });
            hub.first.notify_one();
        }
        Ok(live)
    }

    /// What a stream begins with. What it is to go on after may be an id that there never was: one of another database, or of this one
    /// before it was put back from a copy. Who knows that begins anew, too.
    async fn beginning(&self, resume: Option<LogId>) -> Result<Vec<StreamBody>, DomainError> {
        let forgotten = self.inner.store.evidence_forgotten().await?;
        let reached = self.inner.store.log_reached().await?;
        if let Some(after) = resume.filter(|after| *after <= reached) {
            let missed = self.inner.store.log_after(after, REPLAY as u32 + 1).await?;
            if missed.len() <= REPLAY {
                let mut bodies = Vec::new();
                if after < forgotten {
                    bodies.push(StreamBody::Forgotten { up_to: forgotten });
                }
                // That it does not begin with a snapshot says that it goes on.
                bodies.push(StreamBody::Stats(self.stats_cached().await?));
                let rows = missed.chunks(BATCH as usize);
                bodies.extend(rows.map(|rows| StreamBody::Logs(rows.to_vec())));
                let about: Vec<_> = about(&missed).into_iter().collect();
                for about in about.chunks(ATTACKERS) {
                    bodies.push(StreamBody::Attackers(
                        self.inner.store.attacker_list(about).await?,
                    ));
                }
                bodies.push(StreamBody::Snapshot(Box::new(
                    self.snapshot_of(Vec::new(), forgotten).await?,
                )));
                return Ok(bodies);
            }
        }
        let logs = self.newest_logs(SNAPSHOT_LOGS).await?;
        let snapshot = self.snapshot_of(logs, forgotten).await?;
        Ok(vec![StreamBody::Snapshot(Box::new(snapshot))])
    }

    /// What a stream would begin with: for whoever cannot have one and asks every few seconds, and whoever hears another's. They go on
    /// after the last row that they were told of, too, and so miss none.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn stream_beginning(
        &self,
        permit: &Permit<ViewEvidence>,
        resume: Option<LogId>,
    ) -> Result<Vec<StreamEvent>, DomainError> {
        let bodies = self.beginning(resume).await?.into_iter();
        let told = bodies.map(|body| self.event(self.seen_by(permit.actor(), body)));
        Ok(told.collect())
    }

    /// `body` as `actor` is told of it.
    fn seen_by(&self, actor: &Actor, body: StreamBody) -> StreamBody {
        match body {
            StreamBody::Snapshot(whole) => StreamBody::Snapshot(Box::new(seen::snapshot(actor, *whole))),
            StreamBody::Worker(worker) => StreamBody::Worker(seen::one(actor, worker)),
            StreamBody::Decky(decky) => StreamBody::Decky(Box::new(seen::one(actor, *decky))),
            StreamBody::Task(task) => StreamBody::Task(seen::one(actor, task)),
            // It is noted before it is sent.
            StreamBody::Health(health) => StreamBody::Health(self.health_seen_by(actor).unwrap_or(Health {
                components: Vec::new(),
                ..health
            })),
            other => other,
        }
    }

    async fn newest_logs(&self, limit: u32) -> Result<Vec<LogView>, DomainError> {
        let newest = decnet_model::query::LogQuery {
            limit: Some(limit),
            ..Default::default()
        };
        Ok(self.inner.store.log_page(&newest).await?.data)
    }

    /// How things stand, with these log rows.
    async fn snapshot_of(&self, logs: Vec<LogView>, forgotten: LogId) -> Result<StreamSnapshot, DomainError> {
        let store = &self.inner.store;
        let about: Vec<_> = about(&logs).into_iter().collect();
        Ok(StreamSnapshot {
            logs,
            attackers: store.attacker_list(&about).await?,
            stats: self.stats_cached().await?,
            deckies: store.decky_list().await?,
            workers: self.workers().await?,
            tasks: store.task_page(Some(TASKS), None).await?.data,
            forgotten,
        })
    }

    fn event(&self, body: StreamBody) -> StreamEvent {
        StreamEvent {
            v: 1,
            ts: self.inner.clock.now(),
            body,
        }
    }

    /// The one reader of a process.
    pub(crate) async fn stream_reader(&self) {
        let mut hints = self.inner.bus.subscribe(Pattern::all());
        let mut seen = Seen::default();
        let faults = Recurring::default();
        loop {
            if self.inner.hub.events.receiver_count() == 0 {
                let mut cursor = self.inner.hub.cursor.lock().await;
                // Again under the lock: a stream may just have opened.
                if self.inner.hub.events.receiver_count() == 0 {
                    *cursor = None;
                    drop(cursor);
                    seen = Seen::default();
                    self.inner.hub.first.notified().await;
                }
            }
            match self.look(&mut seen).await {
                Ok(()) => {
                    faults.over();
                }
                Err(error) => {
                    if let Some(times) = faults.again(&error.to_string()) {
                        tracing::warn!(error = chain(&error), times, "live events: reading failed");
                    }
                }
            }
            sleep(REST).await;
            hint(&mut hints, POLL).await;
        }
    }

    /// Send what changed since the last look.
    async fn look(&self, seen: &mut Seen) -> Result<(), DomainError> {
        if self.look_at_logs(&mut seen.about).await? {
            self.stats_outdated().await;
        }
        // The profiler is woken by the same hint as this, and reads beside it: who was told before it had read what they did is told again.
        let profiled = self.inner.store.profile_reached().await?;
        let before = seen.profiled.unwrap_or(profiled);
        if before.0 < profiled.0 {
            let changed = self.inner.store.attackers_between(before.0, profiled.0).await?;
            seen.about.extend(changed);
        }
        while !seen.about.is_empty() {
            let about: Vec<_> = seen.about.iter().take(ATTACKERS).copied().collect();
            let changed = self.inner.store.attacker_list(&about).await?;
            for id in &about {
                seen.about.remove(id);
            }
            if !changed.is_empty() {
                self.send(StreamBody::Attackers(changed));
            }
        }
        if before != profiled {
            let (up_to, compared) = profiled;
            self.send(StreamBody::Profiled { up_to, compared });
        }
        seen.profiled = Some(profiled);
        let stats = self.stats_cached().await?;
        if seen.stats.as_ref() != Some(&stats) {
            self.send(StreamBody::Stats(stats.clone()));
            seen.stats = Some(stats);
        }
        let deckies = self.inner.store.decky_list().await?;
        let present: BTreeSet<_> = deckies.iter().map(|d| d.name.clone()).collect();
        let gone: Vec<_> = seen
            .deckies
            .keys()
            .filter(|name| !present.contains(*name))
            .cloned()
            .collect();
        for name in gone {
            seen.deckies.remove(&name);
            self.send(StreamBody::DeckyRemoved(name));
        }
        for decky in deckies {
            changed(&mut seen.deckies, decky.name.clone(), decky, |d| {
                self.send(StreamBody::Decky(Box::new(d)))
            });
        }
        for task in self.inner.store.task_page(Some(TASKS), None).await?.data {
            changed(&mut seen.tasks, task.id, task, |t| self.send(StreamBody::Task(t)));
        }
        for worker in self.workers().await? {
            // Not every end is told over the bus, and what is told there may be in the worker's file only later.
            if seen.workers.get(&worker.name).map(does) != Some(does(&worker)) {
                self.inner.heard.has_news();
            }
            changed(&mut seen.workers, worker.name.clone(), worker, |w| {
                self.send(StreamBody::Worker(w))
            });
        }
        Ok(())
    }

    /// Send new log rows, and before them that all earlier ones were deleted, where they were; whom they are about is added to `told`.
    /// The answer is whether there were any.
    async fn look_at_logs(&self, told: &mut BTreeSet<AttackerId>) -> Result<bool, DomainError> {
        let mut any = false;
        let mut cursor = self.inner.hub.cursor.lock().await;
        let Some(sent) = cursor.as_mut() else {
            return Ok(false);
        };
        let forgotten = self.inner.store.evidence_forgotten().await?;
        if forgotten > sent.forgotten {
            sent.forgotten = forgotten;
            self.summaries_outdated().await;
            self.send(StreamBody::Forgotten { up_to: forgotten });
        }
        loop {
            let rows = self.inner.store.log_after(sent.log, BATCH).await?;
            let Some(last) = rows.last() else { break };
            sent.log = last.id;
            any = true;
            let full = rows.len() == BATCH as usize;
            told.extend(about(&rows));
            self.send(StreamBody::Logs(rows));
            if !full {
                break;
            }
        }
        Ok(any)
    }

    /// Tell every stream.
    pub(crate) fn send(&self, body: StreamBody) {
        // Nobody may be listening any more; that is not a fault.
        self.inner.hub.events.send(Arc::new(self.event(body))).ok();
    }
}

/// What the reader told already.
#[derive(Default)]
struct Seen {
    /// Attackers of whom it is still to tell: log rows that were told are about them.
    about: BTreeSet<AttackerId>,
    /// How far the profiler was.
    profiled: Option<(LogId, i64)>,
    stats: Option<Stats>,
    deckies: HashMap<DeckyName, DeckyView>,
    tasks: HashMap<TaskId, TaskView>,
    workers: HashMap<WorkerName, WorkerView>,
}

/// Whom `rows` are about.
fn about(rows: &[LogView]) -> BTreeSet<AttackerId> {
    rows.iter().filter_map(|row| row.attacker_id).collect()
}

fn changed<K: std::hash::Hash + Eq, V: PartialEq + Clone>(
    seen: &mut HashMap<K, V>,
    key: K,
    now: V,
    tell: impl FnOnce(V),
) {
    if seen.get(&key) != Some(&now) {
        seen.insert(key, now.clone());
        tell(now);
    }
}

/// Wait for an event of the bus, or for `most`.
async fn hint(hints: &mut Subscription, most: Duration) {
    let deadline = Instant::now() + most;
    match timeout(most, hints.recv()).await {
        // A burst of hints is one reason to look.
        Ok(Some(_)) => while let Ok(Some(_)) = timeout(Duration::ZERO, hints.recv()).await {},
        Ok(None) => sleep_until(deadline).await,
        Err(_) => {}
    }
}

/// One stream's task.
struct Feed {
    domain: Domain,
    actor: Actor,
    send: mpsc::Sender<StreamEvent>,
    changes: broadcast::Receiver<Change>,
    live: broadcast::Receiver<Arc<StreamEvent>>,
}

impl Feed {
    async fn run(mut self, beginning: Vec<StreamBody>) {
        let mut newest = LogId(0);
        for body in beginning {
            newest = newest.max(newest_log(&body).unwrap_or(newest));
            let event = self.domain.event(body);
            if !self.tell(event).await {
                return;
            }
        }
        let mut recheck = tokio::time::interval(RECHECK);
        recheck.reset();
        loop {
            tokio::select! {
                biased;
                change = self.changes.recv() => if self.is_over(change).await { return },
                _ = recheck.tick() => if !self.domain.session_holds(&self.actor).await { return },
                event = self.live.recv() => {
                    // An error is a stream that lags too far behind, or a process that stops.
                    let Ok(event) = event else { return };
                    if let Some(event) = unseen(&event, newest)
                        && !self.tell(event).await
                    {
                        return;
                    }
                }
            }
        }
    }

    /// Hand an event on; false when the stream is over: its user changed, or its reader is gone or too slow.
    async fn tell(&mut self, event: StreamEvent) -> bool {
        let event = StreamEvent {
            body: self.domain.seen_by(&self.actor, event.body),
            ..event
        };
        let send = self.send.clone();
        let mut sending = std::pin::pin!(send.send_timeout(event, SLOW));
        loop {
            tokio::select! {
                biased;
                sent = &mut sending => return sent.is_ok(),
                change = self.changes.recv() => if self.is_over(change).await { return false },
            }
        }
    }

    async fn is_over(&self, change: Result<Change, broadcast::error::RecvError>) -> bool {
        match change {
            Ok(Change::User(id)) => self.actor.id == Some(id),
            Ok(Change::Access(id)) => {
                self.actor.id == Some(id) && !self.domain.session_holds(&self.actor).await
            }
            Ok(Change::Token(ended)) => {
                matches!(self.actor.credential, Credential::Session { token, .. } if token == ended)
            }
            Ok(Change::ApiToken(ended)) => {
                matches!(self.actor.credential, Credential::ApiToken { id, .. } if id == ended)
            }
            Ok(Change::Anybody) | Err(broadcast::error::RecvError::Lagged(_)) => {
                !self.domain.session_holds(&self.actor).await
            }
            Err(broadcast::error::RecvError::Closed) => true,
        }
    }
}

/// `event` without the log rows that the stream began with.
fn unseen(event: &StreamEvent, newest: LogId) -> Option<StreamEvent> {
    match &event.body {
        StreamBody::Logs(rows) if rows.first().is_some_and(|row| row.id <= newest) => {
            let rows: Vec<LogView> = rows.iter().filter(|row| row.id > newest).cloned().collect();
            (!rows.is_empty()).then(|| StreamEvent {
                body: StreamBody::Logs(rows),
                ..event.clone()
            })
        }
        // The stream began after that.
        StreamBody::Forgotten { up_to } if *up_to <= newest => None,
        _ => Some(event.clone()),
    }
}

/// The newest log row that `body` carries.
fn newest_log(body: &StreamBody) -> Option<LogId> {
    match body {
        StreamBody::Snapshot(snapshot) => snapshot
            .logs
            .iter()
            .map(|row| row.id)
            .max()
            .or(Some(snapshot.forgotten)),
        StreamBody::Logs(rows) => rows.last().map(|row| row.id),
        StreamBody::Forgotten { up_to } => Some(*up_to),
        _ => None,
    }
}
