//! How the host does: looked at in the background, told from memory.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use decnet_db::DeckyRecord;
use decnet_fleet::EngineNote;
use decnet_model::{
    permission::ViewFleet,
    state::{DeckyState, WorkerState},
    view::{Health, HealthComponent, StreamBody, WorkerView},
};
use decnet_runtime::{Recurring, exit::chain, heartbeat::ALARM};
use tokio::time::{sleep, timeout};

use crate::{Bearer, Domain, DomainError, Permit};

/// How long after a worker's news the host is looked at: at most so often, too.
const SETTLE: Duration = Duration::from_millis(250);
/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The part that the deckies are.
pub(crate) const FLEET: &str = "fleet";

/// The last that was seen.
#[derive(Default)]
pub(crate) struct Board(Mutex<Option<Health>>);

impl Domain {
    /// How the host did when it was last looked at: in one word for anybody, with its parts for whoever brings a session
    /// token of ours. Asks nobody: whether the session behind the token still holds only the database could say, and that
    /// may be what fails. The parts tell how this host does and nothing of what it has recorded.
    ///
    /// # Errors
    /// [`DomainError::Unavailable`] before the first look, which [`Domain::background`] takes at once.
    pub fn health(&self, bearer: Option<&Bearer>) -> Result<Health, DomainError> {
        let mut health = self.health_last()?;
        if bearer.and_then(|bearer| self.bearer_id(bearer)).is_none() {
            health.components.clear();
        }
        Ok(health)
    }

    /// The same with its parts.
    ///
    /// # Errors
    /// See [`Domain::health`].
    pub fn health_parts(&self, _permit: &Permit<ViewFleet>) -> Result<Health, DomainError> {
        self.health_last()
    }

    fn health_last(&self) -> Result<Health, DomainError> {
        let last = self
            .inner
            .health
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        last.ok_or_else(|| DomainError::Unavailable {
            operation: "reading the host's health",
            source: "not looked at yet".into(),
        })
    }

    pub(crate) async fn health_refresher(&self) {
        let mut tick = tokio::time::interval(self.inner.options.health_interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let faults = Recurring::default();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                // What was said over the bus is in the worker's file and in the database a moment later.
                () = self.inner.heard.news() => sleep(SETTLE).await,
            }
            let health = self.probe(&faults).await;
            let before = self
                .inner
                .health
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .replace(health.clone());
            if before.as_ref() != Some(&health) {
                self.send(StreamBody::Health(health));
            }
        }
    }

    async fn probe(&self, faults: &Recurring) -> Health {
        let mut components = Vec::new();
        let workers = match timeout(PATIENCE, self.workers()).await {
            Ok(Ok(workers)) => {
                let (status, detail) = match self.inner.heard.refused() {
                    Some(why) => ("degraded", why),
                    None => ("ok", "answers"),
                };
                components.push(component("database", status, detail, true));
                workers
            }
            Ok(Err(error)) => {
                if let Some(times) = faults.again(&error.to_string()) {
                    tracing::error!(error = chain(&error), times, "health: the database fails");
                }
                components.push(component("database", "failing", "does not answer", true));
                Vec::new()
            }
            Err(_) => {
                components.push(component("database", "failing", "no answer within 3 s", true));
                Vec::new()
            }
        };
        // A broker of ours is a worker below; another's is seen only from here.
        let bus = &self.inner.bus;
        if bus.is_on() && !bus.has_broker() {
            let (status, detail) = match bus.is_away() {
                true => (
                    "failing",
                    "does not answer: each worker looks by itself every few seconds",
                ),
                false => ("ok", "answers"),
            };
            components.push(component("bus", status, detail, false));
        }
        if !workers.is_empty() {
            let looks = |w: &WorkerView| w.name.as_str() == "mutator" && w.state == WorkerState::Ok;
            match timeout(PATIENCE, self.fleet_parts(workers.iter().any(looks))).await {
                Ok(Ok(parts)) => components.extend(parts),
                Ok(Err(error)) => {
                    if let Some(times) = faults.again(&error.to_string()) {
                        tracing::error!(error = chain(&error), times, "health: the fleet is not known");
                    }
                    components.push(component(FLEET, "degraded", "cannot be read", false));
                }
                Err(_) => components.push(component(FLEET, "degraded", "not read within 3 s", false)),
            }
        }
        // What cannot be read is not known; the database's own line says why.
        components.extend(
            workers
                .iter()
                .filter(|w| w.name.as_str() != "server")
                .map(of_worker),
        );
        let failing = |c: &HealthComponent| c.status == "failing";
        let status = if components.iter().any(|c| c.critical && failing(c)) {
            "unhealthy"
        } else if components.iter().any(|c| c.status != "ok") {
            "degraded"
        } else {
            "healthy"
        };
        Health {
            status: status.into(),
            components,
        }
    }

    /// The deckies, and what runs them, as the mutator noted both: `seen` is whether it is there to look.
    async fn fleet_parts(&self, seen: bool) -> Result<Vec<HealthComponent>, DomainError> {
        let note = self.engine_note().await?;
        let deckies = self.inner.store.decky_records().await?;
        let engine = note.map(|note| of_engine(&note, seen));
        Ok(engine.into_iter().chain([of_fleet(&deckies)]).collect())
    }
}

/// What runs the deckies. Without the daemon of containers nobody knows what those do.
fn of_engine(note: &EngineNote, seen: bool) -> HealthComponent {
    let name = match note.has_daemon() {
        true => "container engine",
        false => "engine",
    };
    match &note.away {
        Some(why) => {
            let status = if note.has_daemon() { "failing" } else { "degraded" };
            component(name, status, why, note.has_daemon())
        }
        None if seen => component(name, "ok", "answers", note.has_daemon()),
        None => component(
            name,
            "degraded",
            "answered when it was last asked, and no mutator runs that would ask",
            note.has_daemon(),
        ),
    }
}

/// How many of the deckies that are wanted to run do not as they should, by what they do instead. One that an operator stopped does
/// what it should.
fn of_fleet(deckies: &[DeckyRecord]) -> HealthComponent {
    let troubled = |d: &DeckyRecord| matches!(d.view.state, DeckyState::Failed | DeckyState::Degraded);
    let rests = |d: &DeckyRecord| d.view.stopped && !troubled(d);
    let wanted: Vec<_> = deckies.iter().filter(|d| d.view.desired && !rests(d)).collect();
    let stopped = match deckies.iter().filter(|d| rests(d)).count() {
        0 => String::new(),
        n => format!(", {n} stopped"),
    };
    let count = |fits: &dyn Fn(&DeckyRecord) -> bool| wanted.iter().filter(|d| fits(d)).count();
    let amiss = [
        (
            "failed",
            count(&|d| !d.quarantined && d.view.state == DeckyState::Failed),
        ),
        ("in quarantine", count(&|d| d.quarantined)),
        (
            "degraded",
            count(&|d| !d.quarantined && d.view.state == DeckyState::Degraded),
        ),
    ];
    let amiss: Vec<String> = amiss
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(what, n)| format!("{n} {what}"))
        .collect();
    let all = wanted.len();
    if amiss.is_empty() {
        let running = count(&|d| d.view.state == DeckyState::Running);
        return component(
            FLEET,
            "ok",
            &format!("{running} of {all} wanted deckies run{stopped}"),
            false,
        );
    }
    let text = format!("of {all} wanted deckies {}{stopped}", amiss.join(", "));
    component(FLEET, "degraded", &text, false)
}

fn of_worker(worker: &WorkerView) -> HealthComponent {
    let critical = worker.name.as_str() == "ingester";
    let (status, detail) = match worker.state {
        WorkerState::Ok => ("ok", "running"),
        WorkerState::Stale => ("failing", "not heard for 90 s, or ended without a word"),
        WorkerState::Stopped => ("failing", "stopped"),
        // Why may be its last lines, which quote evidence: that is for who may see the workers.
        WorkerState::Quarantined => ("failing", "in quarantine: the page of the workers says why"),
        WorkerState::Unknown => ("failing", "never heard"),
    };
    // A worker that lives and cannot work, such as a collector with a full disk, says so in its tasks.
    let alarm = worker.tasks.iter().find(|(task, _)| task.as_str() == ALARM);
    match (status, alarm) {
        ("ok", Some((_, text))) => component(worker.name.as_str(), "degraded", text, critical),
        _ => component(worker.name.as_str(), status, detail, critical),
    }
}

fn component(name: &str, status: &str, detail: &str, critical: bool) -> HealthComponent {
    HealthComponent {
        name: name.into(),
        status: status.into(),
        detail: detail.into(),
        critical,
    }
}
