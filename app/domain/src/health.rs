//! How the host does: looked at in the background, told from memory.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use decnet_db::DeckyRecord;
use decnet_fleet::EngineNote;
use decnet_model::{
    permission::{ManageWorkers, Permission as _, ViewFleet},
    state::{DeckyState, WorkerState},
    view::{Health, HealthComponent, StreamBody, WorkerView},
};
use decnet_runtime::{Recurring, exit::chain, heartbeat::ALARM};
use tokio::time::{sleep, timeout};

use crate::{Bearer, Domain, DomainError, Permit, permit::Actor, seen::KEPT_FROM_WORK};

/// How long after a worker's news the host is looked at: at most so often, too.
const SETTLE: Duration = Duration::from_millis(250);
/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The part that the deckies are.
pub(crate) const FLEET: &str = "fleet";

/// What everybody is told of an engine that is away.
const ENGINE_AWAY: &str = "does not answer: administrators see why";

/// The last that was seen.
#[derive(Default)]
pub(crate) struct Board(Mutex<Option<Look>>);

/// How the host does.
#[derive(Clone, PartialEq)]
struct Look {
    /// In the words of the parts themselves, which quote the system and the database: for who manages workers.
    full: Health,
    /// In words for everybody.
    public: Health,
}

impl Look {
    fn told_to(self, actor: &Actor) -> Health {
        match actor.holds::<ManageWorkers>() {
            true => self.full,
            false => self.public,
        }
    }
}

/// A part, and what everybody is told of it where its own words are not for all.
struct Part {
    full: HealthComponent,
    public: Option<&'static str>,
}

impl Part {
    fn hidden_behind(self, public: &'static str) -> Self {
        Self {
            public: Some(public),
            ..self
        }
    }

    fn public(&self) -> HealthComponent {
        let mut part = self.full.clone();
        if let Some(public) = self.public {
            public.clone_into(&mut part.detail);
        }
        part
    }
}

impl Domain {
    /// How the host did when it was last looked at: in one word for anybody, with its parts for whoever brings a session
    /// token of ours. Told from memory: whether the session behind the token still holds only the database could say, and that may be
    /// what fails. The parts tell how this host does and nothing of what it has recorded; where they have words of their own, who asks
    /// is looked up for up to half a second, and those are told to whoever may manage workers (or might when last looked up).
    ///
    /// # Errors
    /// [`DomainError::Unavailable`] before the first look, which [`Domain::background`] takes at once.
    pub async fn health(&self, bearer: Option<&Bearer>) -> Result<Health, DomainError> {
        let Look { full, mut public } = self.health_last()?;
        let Some(bearer) = bearer.filter(|bearer| self.bearer_id(bearer).is_some()) else {
            public.components.clear();
            return Ok(public);
        };
        if full == public {
            return Ok(public);
        }
        let role = self.bearer_role(bearer).await;
        Ok(match role.is_some_and(|role| role.covers(ManageWorkers::ROLE)) {
            true => full,
            false => public,
        })
    }

    /// The same with its parts.
    ///
    /// # Errors
    /// See [`Domain::health`].
    pub fn health_parts(&self, permit: &Permit<ViewFleet>) -> Result<Health, DomainError> {
        self.health_seen_by(permit.actor())
    }

    /// The same for `actor`.
    pub(crate) fn health_seen_by(&self, actor: &Actor) -> Result<Health, DomainError> {
        Ok(self.health_last()?.told_to(actor))
    }

    fn health_last(&self) -> Result<Look, DomainError> {
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
            let look = self.probe(&faults).await;
            let before = self
                .inner
                .health
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .replace(look.clone());
            if before.as_ref() != Some(&look) {
                self.send(StreamBody::Health(look.full));
            }
        }
    }

    async fn probe(&self, faults: &Recurring) -> Look {
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
        let status = if components.iter().any(|c| c.full.critical && failing(&c.full)) {
            "unhealthy"
        } else if components.iter().any(|c| c.full.status != "ok") {
            "degraded"
        } else {
            "healthy"
        };
        let health = |components| Health {
            status: status.into(),
            components,
        };
        Look {
            public: health(components.iter().map(Part::public).collect()),
            full: health(components.into_iter().map(|part| part.full).collect()),
        }
    }

    /// The deckies, and what runs them, as the mutator noted both: `seen` is whether it is there to look.
    async fn fleet_parts(&self, seen: bool) -> Result<Vec<Part>, DomainError> {
        let note = self.engine_note().await?;
        let deckies = self.inner.store.decky_records().await?;
        let engine = note.map(|note| of_engine(&note, seen));
        Ok(engine.into_iter().chain([of_fleet(&deckies)]).collect())
    }
}

/// What runs the deckies. Without the daemon of containers nobody knows what those do.
fn of_engine(note: &EngineNote, seen: bool) -> Part {
    let name = match note.has_daemon() {
        true => "container engine",
        false => "engine",
    };
    match &note.away {
        Some(why) => {
            let status = if note.has_daemon() { "failing" } else { "degraded" };
            component(name, status, why, note.has_daemon()).hidden_behind(ENGINE_AWAY)
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
fn of_fleet(deckies: &[DeckyRecord]) -> Part {
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
            count(&|d| !d.view.quarantined && d.view.state == DeckyState::Failed),
        ),
        ("in quarantine", count(&|d| d.view.quarantined)),
        (
            "degraded",
            count(&|d| !d.view.quarantined && d.view.state == DeckyState::Degraded),
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

fn of_worker(worker: &WorkerView) -> Part {
    let critical = worker.name.as_str() == "ingester";
    let (status, detail) = match worker.state {
        WorkerState::Ok => ("ok", "running"),
        WorkerState::Stale => ("failing", "not heard for 90 s, or ended without a word"),
        WorkerState::Stopped => ("failing", "stopped"),
        // Why may be its last lines, which quote evidence: that is for the workers' own page.
        WorkerState::Quarantined => ("failing", "in quarantine: the page of the workers says why"),
        WorkerState::Unknown => ("failing", "never heard"),
    };
    // A worker that lives and cannot work, such as a collector with a full disk, says so in its tasks.
    let alarm = worker.tasks.iter().find(|(task, _)| task.as_str() == ALARM);
    match (status, alarm) {
        ("ok", Some((_, text))) => {
            component(worker.name.as_str(), "degraded", text, critical).hidden_behind(KEPT_FROM_WORK)
        }
        _ => component(worker.name.as_str(), status, detail, critical),
    }
}

fn component(name: &str, status: &str, detail: &str, critical: bool) -> Part {
    Part {
        full: HealthComponent {
            name: name.into(),
            status: status.into(),
            detail: detail.into(),
            critical,
        },
        public: None,
    }
}
