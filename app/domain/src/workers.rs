//! The host's daemons: how they do by their heartbeats, telling one to stop, and having one started again.
//!
//! A worker leaves its heartbeats in a file on its host, and in the database where it has one. Those without are heard
//! on the bus too, maybe from another host: the server writes down for them what it hears. What is listed is the newest
//! of all that, and of what was heard and is not written down yet: a full disk takes neither files nor rows, and is just
//! what workers have to tell of then.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Domain, DomainError, Permit, seen};
use decnet_bus::Event;
use decnet_db::DbError;
use decnet_model::{
    name::WorkerName,
    permission::{ManageWorkers, ViewFleet},
    state::{WORKERS, WorkerState},
    topic::{Pattern, Topic},
    view::{StartAll, StartFailure, WorkerView},
};
use decnet_runtime::{
    exit::chain,
    heartbeat::{self, ALARM},
    order,
    settings::keys,
    supervisor::{NotDone, Order},
};
use futures::future::join_all;
use time::OffsetDateTime;
use tokio::sync::Notify;

/// How often what was heard is written down: of a flood, only the last of each worker.
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// Tasks of a heartbeat that are kept. Anybody who may open the bus may send one.
const TASKS: usize = 32;
/// Characters of a task's name and of the version that are kept.
const NAME_CHARS: usize = 64;
/// Characters of a task's text that are kept.
const TEXT_CHARS: usize = 512;

/// What workers say over the bus: the last of each.
#[derive(Default)]
pub(crate) struct Heard {
    said: Mutex<Said>,
    /// A worker does otherwise than it did when it was last heard.
    news: Notify,
}

#[derive(Default)]
struct Said {
    last: BTreeMap<WorkerName, WorkerView>,
    /// Who is to be written down still.
    unwritten: BTreeSet<WorkerName>,
    /// Why the database takes nothing.
    refused: Option<&'static str>,
}

impl Heard {
    /// Why the database took nothing when it was last tried.
    pub(crate) fn refused(&self) -> Option<&'static str> {
        self.said().refused
    }

    /// A worker does otherwise than it did: whoever waits for that is to look.
    pub(crate) fn has_news(&self) {
        self.news.notify_one();
    }

    /// Wait until a worker does otherwise than it did.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    fn take(&self, beat: WorkerView) {
        let mut said = self.said();
        if said.last.get(&beat.name).map(does) != Some(does(&beat)) {
            self.has_news();
        }
        if !has_database(&beat.name) {
            said.unwritten.insert(beat.name.clone());
        }
        said.last.insert(beat.name.clone(), beat);
    }

    /// What of `worker` goes beside what is stored of it. Whoever may open the bus may say anything there, so workers that
    /// write their heartbeats themselves are believed only while nobody can.
    fn of(&self, worker: &WorkerName) -> Option<WorkerView> {
        let said = self.said();
        let believed = !has_database(worker) || said.refused.is_some();
        said.last.get(worker).filter(|_| believed).cloned()
    }

    fn unwritten(&self) -> Vec<WorkerView> {
        let said = self.said();
        let beats = said.unwritten.iter().filter_map(|name| said.last.get(name));
        beats.cloned().collect()
    }

    /// How writing `beat` down went; what was not written stays to be. Answers whether that is news.
    fn wrote(&self, beat: &WorkerView, outcome: &Result<(), DbError>) -> bool {
        let refused = outcome.as_ref().err().map(|error| match error.is_full() {
            true => "its disk is full: until there is room again, nothing can be changed",
            false => "takes no changes: the server's log says why",
        });
        let mut said = self.said();
        if refused.is_none() && said.last.get(&beat.name) == Some(beat) {
            said.unwritten.remove(&beat.name);
        }
        let news = said.refused != refused;
        said.refused = refused;
        news
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Domain {
    /// Every worker of the closed list, heard or not; the bus's only where the bus needs it.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn worker_list(&self, permit: &Permit<ViewFleet>) -> Result<Vec<WorkerView>, DomainError> {
        Ok(seen::all(permit.actor(), self.workers().await?))
    }

    pub(crate) async fn workers(&self) -> Result<Vec<WorkerView>, DomainError> {
        let now = self.inner.clock.now();
        let mut stored = self.inner.store.worker_list(now).await?;
        stored.retain(|worker| worker.name.as_str() != "bus" || self.inner.bus.has_broker());
        let heard = stored.into_iter().map(|stored| {
            let heard = self.inner.heard.of(&stored.name);
            newest(stored, heard, now)
        });
        let stored: Vec<_> = heard.collect();
        let Some(run_dir) = self.inner.options.run_dir.clone() else {
            return Ok(stored);
        };
        let places = self.inner.options.installed.clone();
        let newest = tokio::task::spawn_blocking(move || {
            let on_this_host = |stored: WorkerView| {
                let left = heartbeat::left(&run_dir, &stored.name, now);
                let kept_by = Some(places.kept_by(&run_dir, &stored.name));
                WorkerView {
                    kept_by,
                    ..newest(stored, left, now)
                }
            };
            stored.into_iter().map(on_this_host).collect()
        });
        newest
            .await
            .map_err(|error| DomainError::internal("reading heartbeats", error))
    }

    /// Tell a worker to stop, and wait until it says that it does. It drains and ends by itself; its heartbeat tells when.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] for a name that is no worker's, [`DomainError::Conflict`] for the server, which would
    /// cut off whoever asks, [`DomainError::Unanswered`] where there is no bus to tell it over, or nobody who listens.
    pub async fn worker_stop(
        &self,
        permit: &Permit<ManageWorkers>,
        name: &WorkerName,
    ) -> Result<(), DomainError> {
        let outcome = if !WORKERS.contains(&name.as_str()) {
            Err(DomainError::not_found("worker", name))
        } else if name.as_str() == "server" {
            Err(DomainError::Conflict(
                "the server cannot be stopped through itself".into(),
            ))
        } else {
            match order::stop(
                &self.inner.bus,
                name,
                permit.actor().name(),
                self.inner.options.run_dir.as_deref(),
            )
            .await
            {
                Ok(()) => Ok(()),
                Err(untold) => self.stop_without_bus(name, &untold.to_string()).await,
            }
        };
        self.audited(permit.actor(), "worker.stop", name.as_str(), outcome)
            .await
    }

    /// What keeps a worker can stop it where the bus could not tell it, for the reason `untold`.
    async fn stop_without_bus(&self, name: &WorkerName, untold: &str) -> Result<(), DomainError> {
        let unanswered = || DomainError::Unanswered(untold.to_owned());
        let run = self.inner.options.run_dir.as_ref().ok_or_else(unanswered)?;
        Order::Stop(name.clone())
            .give(run)
            .await
            .map_err(|error| match error {
                NotDone::Refused(why) => DomainError::Conflict(why),
                NotDone::Absent { .. } => unanswered(),
                error @ NotDone::Silent { .. } => DomainError::Unanswered(error.to_string()),
            })
    }

    /// Have a worker started by the `decnet up` of this host, and wait until it is ready.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] for a name that is no worker's, [`DomainError::Conflict`] for one that runs or does not come
    /// up, [`DomainError::Unanswered`] where no `decnet up` runs here.
    pub async fn worker_start(
        &self,
        permit: &Permit<ManageWorkers>,
        name: &WorkerName,
    ) -> Result<(), DomainError> {
        let outcome = if WORKERS.contains(&name.as_str()) {
            self.have_up(Order::Start(name.clone())).await
        } else {
            Err(DomainError::not_found("worker", name))
        };
        self.audited(permit.actor(), "worker.start", name.as_str(), outcome)
            .await
    }

    /// Have a worker tried again that died too often, and wait until it is ready.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] for a name that is no worker's, [`DomainError::Conflict`] for one that is not in quarantine or
    /// does not come up, [`DomainError::Unanswered`] where no `decnet up` runs here.
    pub async fn worker_clear_quarantine(
        &self,
        permit: &Permit<ManageWorkers>,
        name: &WorkerName,
    ) -> Result<(), DomainError> {
        let outcome = if WORKERS.contains(&name.as_str()) {
            self.have_up(Order::Clear(name.clone())).await
        } else {
            Err(DomainError::not_found("worker", name))
        };
        self.audited(permit.actor(), "worker.clear_quarantine", name.as_str(), outcome)
            .await
    }

    /// Have every worker started that is down, all at once: none needs another to begin, and the whole takes no longer than the
    /// slowest. One that does not come up keeps no other from it.
    ///
    /// # Errors
    /// [`DomainError::Unanswered`] where no `decnet up` runs here.
    pub async fn worker_start_all(&self, permit: &Permit<ManageWorkers>) -> Result<StartAll, DomainError> {
        let outcome = self.start_all().await;
        self.audited(permit.actor(), "worker.start_all", "all", outcome)
            .await
    }

    async fn start_all(&self) -> Result<StartAll, DomainError> {
        let mut done = StartAll {
            started: Vec::new(),
            already_running: Vec::new(),
            failed: Vec::new(),
        };
        let mut workers = self.workers().await?;
        workers.sort_by_key(|worker| WORKERS.iter().position(|name| *name == worker.name.as_str()));
        // Whoever asks is answered by the server.
        let runs = |worker: &WorkerView| worker.state == WorkerState::Ok || worker.name.as_str() == "server";
        let (up, down): (Vec<_>, Vec<_>) = workers.into_iter().partition(runs);
        done.already_running = up.into_iter().map(|worker| worker.name).collect();
        let orders = down.into_iter().map(|WorkerView { name, .. }| async {
            let outcome = self.have_up(Order::Start(name.clone())).await;
            (name, outcome)
        });
        let mut unanswered = Vec::new();
        for (name, outcome) in join_all(orders).await {
            match outcome {
                Ok(()) => done.started.push(name),
                Err(DomainError::Conflict(reason)) => done.failed.push(StartFailure { name, reason }),
                Err(DomainError::Unanswered(reason)) => unanswered.push(StartFailure { name, reason }),
                Err(error) => return Err(error),
            }
        }
        // What answers for none is not there at all.
        if done.started.is_empty()
            && done.failed.is_empty()
            && let Some(StartFailure { reason, .. }) = unanswered.pop()
        {
            return Err(DomainError::Unanswered(reason));
        }
        done.failed.append(&mut unanswered);
        Ok(done)
    }

    /// Have the `decnet up` of this host carry out an order.
    async fn have_up(&self, order: Order) -> Result<(), DomainError> {
        let run = self.inner.options.run_dir.as_ref().ok_or_else(|| {
            DomainError::Unanswered(format!(
                "nobody here starts workers: start decnet-{} where it is kept",
                order.worker()
            ))
        })?;
        order.give(run).await.map_err(|error| match error {
            NotDone::Refused(why) => DomainError::Conflict(why),
            error => DomainError::Unanswered(error.to_string()),
        })
    }

    /// Hear heartbeats, and write down those of workers that have no database of their own. Never returns.
    pub(crate) async fn heartbeat_keeper(&self) {
        // Beside each other: a database that hangs keeps nobody from being heard.
        tokio::join!(self.heartbeat_hear(), self.heartbeat_write());
    }

    async fn heartbeat_hear(&self) {
        let mut beats = self.inner.bus.subscribe(heartbeats());
        while let Some(event) = beats.recv().await {
            if let Some(beat) = heard(&event, self.inner.clock.now()) {
                self.inner.heard.take(beat);
            }
        }
        // The bus was closed: nothing more is heard.
    }

    async fn heartbeat_write(&self) {
        let mut write = tokio::time::interval(WRITE_EVERY);
        write.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            write.tick().await;
            for beat in self.inner.heard.unwritten() {
                let outcome = self.inner.store.worker_heartbeat_put(&beat).await;
                let news = self.inner.heard.wrote(&beat, &outcome);
                match outcome {
                    Err(error) if news => tracing::warn!(
                        worker = %beat.name,
                        error = chain(&error),
                        "heartbeat not stored; it is tried again"
                    ),
                    Ok(()) if news => tracing::info!("heartbeats are stored again"),
                    _ => {}
                }
            }
        }
    }
}

/// What of a worker tells how the host does.
pub(crate) fn does(worker: &WorkerView) -> (WorkerState, Option<u32>, Option<String>) {
    (worker.state, worker.pid, worker.tasks.get(ALARM).cloned())
}

/// What is nearest to `now` of what is stored of a worker and what it left on this host or said over the bus, as it is to be
/// understood now. Of two beats of one instant the latter holds: what is stored is written after it was said.
fn newest(mut stored: WorkerView, left: Option<WorkerView>, now: OffsetDateTime) -> WorkerView {
    let Some(left) = left else { return stored };
    // Only on this host can be seen that the process which said so is gone.
    if left.state == WorkerState::Stale && stored.state == WorkerState::Ok && stored.pid == left.pid {
        stored.state = WorkerState::Stale;
    }
    let distance = |beat: &WorkerView| beat.last_heard.map(|at| (now - at).abs());
    match (left.last_heard, distance(&left), distance(&stored)) {
        (Some(heard), Some(near), far) if far.is_none_or(|far| near <= far) => WorkerView {
            state: left.state.as_of(heard, now),
            ..left
        },
        _ => stored,
    }
}

/// The heartbeats of all workers.
fn heartbeats() -> Pattern {
    "system.*.health"
        .parse()
        .unwrap_or_else(|_| unreachable!("a pattern with one token between two"))
}

/// What `event` says of a worker, heard at `now`; none where it is no heartbeat of one: what the publisher says of the time
/// is not believed, and texts are cut to a length.
fn heard(event: &Event, now: OffsetDateTime) -> Option<WorkerView> {
    let beat: WorkerView = event.parse().ok()?;
    let said_itself = event.topic == Topic::worker_health(&beat.name);
    let alive = matches!(beat.state, WorkerState::Ok | WorkerState::Stopped);
    if !said_itself || !alive || !WORKERS.contains(&beat.name.as_str()) {
        return None;
    }
    let cut = |text: String, chars| text.chars().take(chars).collect::<String>();
    Some(WorkerView {
        last_heard: Some(now),
        version: beat.version.map(|version| cut(version, NAME_CHARS)),
        tasks: beat
            .tasks
            .into_iter()
            .take(TASKS)
            .map(|(task, text)| (cut(task, NAME_CHARS), cut(text, TEXT_CHARS)))
            .collect(),
        // What does not fit is no figure of a process.
        uptime_s: beat.uptime_s.filter(|s| i64::try_from(*s).is_ok()),
        kept_by: None,
        ..beat
    })
}

/// Whether the worker writes its heartbeats itself.
fn has_database(worker: &WorkerName) -> bool {
    keys::uses_database(worker.as_str())
}
