//! One look at the fleet: what is wanted, what there is, and the steps between.
//!
//! A [`Reconciler`] takes no input but the database and its engine, so a round can be cut short anywhere and the next
//! one finishes or undoes it. Two reconcilers on one database never work at the same time: a round needs the lease. Steps that take their
//! time go on beside the rounds ([`Works`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use decnet_bus::Bus;
use decnet_db::{DbError, DeckyRecord, NewDecky, Observation, Setting, Store};
use decnet_fleet::{
    Catalogue, DesiredDecky, Engine, EngineError, EngineNote, Limits, News, ObservedDecky, Options, Outcome,
    Progress, Step, StepError, StepKind, Works, in_turn, mutation, outlives_mutator, plan,
};
use decnet_model::{
    clock::SharedClock,
    event::Event,
    id::TaskId,
    name::DeckyName,
    state::DeckyState,
    topic::Topic,
    view::{DeckyService, DeckyView, TaskReport, TaskView},
};
use decnet_runtime::{
    Recurring,
    exit::chain,
    quarantine::{self, lately, left_alone},
};
use decnet_spool::{SpoolError, outlet::Outlet};
use decnet_syslog::{LineHead, Severity, format_line};
use ipnet::IpNet;
use time::OffsetDateTime;
use uuid::Uuid;

/// Name of the lease.
const LEASE: &str = Store::FLEET_LEASE;
/// Its outlet. No decky can be called so, so it may tell of any.
const OUTLET: &str = "_mutator";
/// The task of taking away what nobody wants.
const REAP: &str = "reap";
/// How long a lease lasts that is not renewed: this long after a reconciler was killed another one may begin.
const LEASE_TTL: time::Duration = time::Duration::seconds(60);
/// How often it is renewed while a round lasts.
const RENEW: Duration = Duration::from_secs(15);
/// How long the database may take to say who holds it: together with [`RENEW`] less than it lasts, so that nothing goes on without it.
const ANSWER: Duration = Duration::from_secs(30);
/// Wait before the first restart; doubled for each further death.
const RESTART: time::Duration = time::Duration::seconds(1);
/// How often a step that waits for something is looked at: who watches it sees it go on.
const WAITING: time::Duration = time::Duration::seconds(2);
/// How long a round waits for steps that go on.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest wait before a restart.
const RESTART_MOST: time::Duration = time::Duration::seconds(60);

/// What a reconciler is made of.
pub(crate) struct Parts<E> {
    /// Who holds the lease: the same after a restart, so that it can go on at once, and another for every engine.
    pub(crate) holder: String,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) clock: SharedClock,
    pub(crate) catalogue: Arc<dyn Catalogue + Send>,
    /// Folder of the outlets: mutations are evidence.
    pub(crate) outlets: PathBuf,
    /// For deckies without an interval of their own, where no setting says otherwise.
    pub(crate) mutate_interval: Option<Duration>,
    /// What is configured of the network that deckies share; nothing where they stand on loopback addresses.
    pub(crate) lan: BTreeMap<String, String>,
    pub(crate) engine: Arc<E>,
}

/// See the module.
pub(crate) struct Reconciler<E> {
    parts: Parts<E>,
    outlet: Option<Outlet>,
    /// Deckies whose present end is already among their failures.
    counted: BTreeSet<DeckyName>,
    /// Deckies with a step that failed in the last round.
    failing: BTreeSet<DeckyName>,
    /// What was last noted of the engine.
    noted: Option<EngineNote>,
    /// Orphans of the last look: their end is told by a task already.
    orphans: BTreeSet<DeckyName>,
    /// Whether what deckies share is known to be gone.
    tidied: bool,
    /// How often the lease is renewed.
    renew: Duration,
    /// How long a round waits for steps that go on.
    patience: Duration,
    works: Works,
    /// Of the tasks that go on.
    troubles: BTreeMap<TaskId, Trouble>,
    /// What fails in every round, and is not told in every round.
    faults: Recurring,
}

/// The lease as this reconciler holds it.
struct Lease {
    store: Store,
    clock: SharedClock,
    holder: String,
}

impl Lease {
    /// Take it, or renew it; gives whether it is held.
    async fn acquire(&self) -> Result<bool, DbError> {
        let now = self.clock.now();
        self.store
            .lease_acquire(LEASE, &self.holder, now, LEASE_TTL)
            .await
    }

    /// [`Lease::acquire`] while steps may go on.
    async fn confirm(&self) -> Result<bool, ReconcileError> {
        let answer = tokio::time::timeout(ANSWER, self.acquire()).await;
        Ok(answer.map_err(|_| ReconcileError::LeaseUnknown)??)
    }
}

fn minutes_of(minutes: u32) -> Duration {
    Duration::from_secs(60 * u64::from(minutes))
}

/// Whether a decky's time to mutate has come, by its own interval or else the `common` one.
fn due(record: &DeckyRecord, common: Option<Duration>, now: OffsetDateTime) -> bool {
    let own = record.view.mutate_interval_minutes.map(minutes_of);
    // Nothing between two of them is never.
    let Some(interval) = own.or(common).filter(|interval| !interval.is_zero()) else {
        return false;
    };
    let last = record.view.last_mutation.unwrap_or(record.view.since);
    // Where the last one is in the future the clock was put back, and nobody waits for it to come round again.
    record.view.state == DeckyState::Running && (now - last).abs() >= interval
}

/// How a round went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// The work was done.
    Done {
        /// Deckies that are wanted to run.
        wanted: usize,
        /// Deckies that run.
        running: usize,
        /// When to look again at the latest, where something waits.
        again: Option<Duration>,
    },
    /// Another reconciler holds the lease.
    Elsewhere,
}

/// A round that could not be finished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the outlet of mutations: {0}")]
    Outlet(#[from] SpoolError),
    #[error("the lease of the fleet was lost in the middle of a round")]
    LeaseLost,
    #[error("the database did not say in time who holds the lease of the fleet")]
    LeaseUnknown,
}

/// A wanted or unwanted decky with what could be read of it.
struct Known {
    record: DeckyRecord,
    desired: Result<DesiredDecky, String>,
}

/// What went wrong for a task, told when it ends.
#[derive(Debug, Clone, Default)]
struct Trouble {
    /// Deckies for which the order cannot be carried out, each with why.
    refused: BTreeMap<DeckyName, String>,
    /// Deckies of which steps failed, and were not done since.
    failed: BTreeMap<DeckyName, String>,
}

/// A running task with what has been done for it.
struct Job {
    id: TaskId,
    operation: String,
    deckies: BTreeSet<DeckyName>,
    given: OffsetDateTime,
    /// Orphans whose end it tells.
    orphans: BTreeSet<DeckyName>,
    done: u32,
    total: u32,
    /// What was last told of it.
    step: String,
    trouble: Trouble,
    /// Whether another order came between, so that the next round has to see to it.
    outrun: bool,
}

impl Job {
    fn new(report: TaskReport, trouble: Trouble) -> Self {
        let TaskReport {
            task,
            deckies,
            reaped,
        } = report;
        Self {
            id: task.id,
            given: task.started_at,
            operation: task.operation,
            deckies: deckies.into_iter().collect(),
            orphans: reaped.into_iter().collect(),
            done: task.done,
            total: task.total,
            step: task.step,
            trouble,
            outrun: false,
        }
    }

    /// Whether it tells which orphans were taken away.
    fn reaps(&self) -> bool {
        matches!(self.operation.as_str(), REAP | "redeploy")
    }

    /// Whether it orders to mutate a decky that was not mutated since it was given. What is only being finished, because the decky is
    /// held back or its engine away, is not ordered again.
    fn orders_mutation(&self, decky: &DeckyView) -> bool {
        self.operation == "mutate"
            && self.deckies.contains(&decky.name)
            && decky.last_mutation.is_none_or(|at| at < self.given)
    }

    /// Whether a step for `name` is one of its own.
    fn is_about(&self, name: &DeckyName) -> bool {
        self.deckies.contains(name) || self.orphans.contains(name)
    }
}

impl<E: Engine> Reconciler<E> {
    pub(crate) fn new(parts: Parts<E>) -> Self {
        Self {
            parts,
            outlet: None,
            counted: BTreeSet::new(),
            failing: BTreeSet::new(),
            noted: None,
            orphans: BTreeSet::new(),
            tidied: false,
            renew: RENEW,
            patience: PATIENCE,
            works: Works::new(Options::default()),
            troubles: BTreeMap::new(),
            faults: Recurring::default(),
        }
    }

    /// Why a round was not finished, on one line, with the way out where the database has no room.
    pub(crate) fn told(&self, error: &ReconcileError) -> String {
        let way_out = match error {
            ReconcileError::Database(error) => self.parts.store.way_out(error),
            _ => None,
        };
        match way_out {
            Some(way_out) => format!("{way_out}: {}", chain(error)),
            None => chain(error),
        }
    }

    pub(crate) fn engine(&self) -> &E {
        &self.parts.engine
    }

    /// End every decky, say so, and let another reconciler begin at once.
    ///
    /// # Errors
    /// Where the database fails; the deckies are ended all the same.
    pub(crate) async fn shutdown(&mut self) -> Result<(), DbError> {
        self.works.end().await;
        self.parts.engine.shutdown().await;
        if self.parts.engine.outlives() {
            return self.parts.store.lease_release(LEASE, &self.parts.holder).await;
        }
        // Another one may have the lease, and its fleet runs.
        if !self.lease().await? {
            return Ok(());
        }
        let known = self.known().await?;
        // What a decky could not write at its end nobody else would ever tell.
        let observed = self.parts.engine.observe().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "how the deckies ended is not known");
            Vec::new()
        });
        let lost = |name: &DeckyName| observed.iter().find(|o| o.name == *name)?.seen.lost.clone();
        let resting = known
            .iter()
            .map(|known| &known.record)
            .filter(|record| record.view.desired && !record.view.quarantined)
            .map(|record| {
                let waits = Observation {
                    state: if record.view.stopped {
                        DeckyState::Stopped
                    } else {
                        DeckyState::Pending
                    },
                    last_error: lost(&record.view.name),
                    services: None,
                };
                (record.view.name.clone(), waits)
            });
        let resting: Vec<_> = resting.collect();
        // At once, because whoever stops this process does not wait for long.
        let now = self.parts.clock.now();
        self.parts.store.decky_observe_all(&resting, now).await?;
        for view in self.parts.store.decky_list().await? {
            if resting.iter().any(|(name, _)| *name == view.name) {
                self.parts.bus.publish(Topic::decky_state(&view.name), view);
            }
        }
        self.parts.store.lease_release(LEASE, &self.parts.holder).await
    }

    /// Look once, and make the fleet what is wanted. The lease is renewed meanwhile, whatever takes its time; lost, it ends the round
    /// where that stands.
    ///
    /// # Errors
    /// Where database, engine or outlet fail, or the lease is lost; the next round goes on from there.
    pub(crate) async fn round(&mut self) -> Result<Round, ReconcileError> {
        use ReconcileError::{Database, LeaseLost, LeaseUnknown};
        let round = self.round_with_lease().await;
        // Where the database cannot be asked the lease is not renewed either, and another one may have it before the next round.
        if matches!(round, Err(Database(_) | LeaseLost | LeaseUnknown)) {
            self.works.end().await;
        }
        round
    }

    async fn round_with_lease(&mut self) -> Result<Round, ReconcileError> {
        let (lease, renew) = (self.held_lease(), self.renew);
        if !lease.confirm().await? {
            self.forget().await;
            return Ok(Round::Elsewhere);
        }
        let kept = async {
            loop {
                tokio::time::sleep(renew).await;
                if !lease.confirm().await? {
                    return Err::<Round, _>(ReconcileError::LeaseLost);
                }
            }
        };
        tokio::select! {
            done = self.look_and_make() => done,
            lost = kept => lost,
        }
    }

    async fn look_and_make(&mut self) -> Result<Round, ReconcileError> {
        self.note_engine().await?;
        let foreign = self.tell_foreign().await?;
        let mut jobs = self.jobs().await?;
        let mut failed = self.catch_up(&mut jobs).await?;
        let observed = match self.look().await? {
            Ok(observed) => observed,
            Err(error) => {
                self.tell_waiting(&jobs, &error).await?;
                self.tell_unseen(&self.known().await?, &error).await?;
                return Err(error.into());
            }
        };
        // What nobody can see is not changed either: nothing would come of it, and evidence tells what was.
        let changed = self.mutate(&mut jobs).await?;
        if !changed.is_empty() {
            // What came of steps before an order says nothing of it.
            self.cut_outdated().await?;
            failed.retain(|name, _| !changed.contains(name));
        }
        let known = self.known().await?;
        self.tell_orphans(&known, &observed, &mut jobs).await?;
        let held = self.count_deaths(&known, &observed).await?;
        let desired: Vec<DesiredDecky> = known
            .iter()
            .filter(|k| k.record.view.desired)
            .filter_map(|k| k.desired.clone().ok())
            .collect();
        let unreadable: BTreeSet<&DeckyName> = known
            .iter()
            .filter(|k| k.desired.is_err())
            .map(|k| &k.record.view.name)
            .collect();
        let steps: Vec<Step> = plan(&desired, &observed)
            .into_iter()
            // What is held back is not ended either; what cannot be read is left as it is.
            .filter(|step| !held.contains_key(step.decky()) && !unreadable.contains(step.decky()))
            // What is at work on it goes on; and what has just failed is told before it is tried again.
            .filter(|step| !self.works.has(step.decky()) && !failed.contains_key(step.decky()))
            .collect();
        self.announce(&known, &steps, &observed, &jobs).await?;
        let (steps, cannot) = self.prepare(steps, &desired).await;
        failed.extend(cannot);
        let works = !steps.is_empty() || !self.works.is_empty();
        failed.extend(self.run(steps, &known, &mut jobs).await?);
        for (name, goes_on) in self.works.going_on() {
            failed.entry(name).or_insert(goes_on);
        }
        self.move_on(&known, &mut failed).await?;
        // Where a failure is shown, it is until that is over.
        self.failing.retain(|name| self.works.has(name));
        let failing = failed.iter().filter(|(_, error)| !error.waits);
        self.failing.extend(failing.map(|(name, _)| name.clone()));
        let observed = self.look().await??;
        self.settle(&known, &observed, &held, &failed).await?;
        self.finish(&jobs, &known, &foreign, &observed, &failed).await?;
        if works
            && let Err(error) = self.parts.engine.sweep().await
            && let Some(times) = self.faults.again(&error.to_string())
        {
            // It is in nobody's way, and tried again after the next steps.
            tracing::warn!(%error, times, "what no decky uses any more could not be taken away");
        }
        self.tidy(&desired, &observed).await?;
        let now = self.parts.clock.now();
        let again = held
            .values()
            .filter_map(|until| *until)
            .map(|until| until - now)
            .min();
        let running = observed.iter().filter(|o| o.running).count();
        // A step that failed for what may pass is tried again soon, and what died right away is counted. What stays until
        // somebody changes something is tried when the fleet is looked at anyway.
        let passes = failed.values().any(|error| error.transient);
        let part_died = |o: &ObservedDecky| o.running && o.seen.died.is_some() && !held.contains_key(&o.name);
        let soon = (passes || observed.iter().any(part_died)).then_some(RESTART);
        let waits = failed.values().any(|error| error.waits).then_some(WAITING);
        let again = again.into_iter().chain(soon).chain(waits).min();
        Ok(Round::Done {
            wanted: desired.iter().filter(|decky| !decky.stopped).count(),
            running,
            again: again.map(|d| {
                Duration::try_from(d)
                    .unwrap_or_default()
                    .max(Duration::from_millis(100))
            }),
        })
    }

    /// Ask the engine for its deckies, and note whether it answers: the host's health tells that.
    async fn look(&mut self) -> Result<Result<Vec<ObservedDecky>, EngineError>, DbError> {
        let observed = self.parts.engine.observe().await;
        if let Some(noted) = &self.noted {
            let away = observed.as_ref().err().map(ToString::to_string);
            let note = EngineNote {
                away,
                ..noted.clone()
            };
            self.note(note).await?;
        }
        Ok(observed)
    }

    fn held_lease(&self) -> Lease {
        Lease {
            store: self.parts.store.clone(),
            clock: Arc::clone(&self.parts.clock),
            holder: self.parts.holder.clone(),
        }
    }

    async fn lease(&self) -> Result<bool, DbError> {
        self.held_lease().acquire().await
    }

    /// Another reconciler works: this one does not, and what it knows of the fleet and of what is noted is of before.
    async fn forget(&mut self) {
        self.works.end().await;
        self.counted.clear();
        self.failing.clear();
        self.noted = None;
        self.orphans.clear();
        self.troubles.clear();
        self.tidied = false;
    }

    /// Note which engine this is, where no other reconciler is at work; where its deckies stand is not known until the first look,
    /// unless an earlier mutator of the same configuration noted it. `network` is what is configured of it.
    ///
    /// # Errors
    /// Where the database fails.
    pub(crate) async fn note_begun(&mut self, network: Option<IpNet>) -> Result<(), DbError> {
        if !self.lease().await? {
            return Ok(());
        }
        let engine = self.parts.engine.name();
        let noted = self.parts.store.setting_get(EngineNote::SETTING).await?;
        let earlier: Option<EngineNote> = noted.and_then(|text| serde_json::from_str(&text).ok());
        let holds = earlier.is_some_and(|note| {
            let stands = note.surroundings.map(|found| found.network);
            note.engine == engine
                && note.lan == self.parts.lan
                && stands.is_some()
                && (network.is_none() || stands == network)
        });
        if holds {
            return Ok(());
        }
        self.note(EngineNote {
            engine: engine.to_owned(),
            surroundings: None,
            problem: Some(
                "the mutator has just begun and has not looked yet; try again in a moment".to_owned(),
            ),
            away: None,
            lan: self.parts.lan.clone(),
        })
        .await
    }

    /// Note which engine this is, and where its deckies stand: addresses are settled elsewhere.
    async fn note_engine(&mut self) -> Result<(), DbError> {
        let (surroundings, problem) = match self.parts.engine.surroundings().await {
            Ok(surroundings) => (surroundings, None),
            Err(error) => {
                if let Some(times) = self.faults.again(&error.to_string()) {
                    tracing::warn!(%error, times, "where deckies would stand is not known");
                }
                (None, Some(error.to_string()))
            }
        };
        self.note(EngineNote {
            engine: self.parts.engine.name().to_owned(),
            surroundings,
            problem,
            // As it was at the last look; the next one is to come.
            away: self.noted.as_ref().and_then(|noted| noted.away.clone()),
            lan: self.parts.lan.clone(),
        })
        .await
    }

    async fn note(&mut self, note: EngineNote) -> Result<(), DbError> {
        if self.noted.as_ref() != Some(&note) {
            // Its parts always have a JSON form.
            let text = serde_json::to_string(&note).unwrap_or_default();
            self.parts.store.setting_set(EngineNote::SETTING, &text).await?;
            self.noted = Some(note);
        }
        Ok(())
    }

    /// Say of deckies that another engine made why they do not run, or are not taken down. Gives why nothing is done for each.
    async fn tell_foreign(&self) -> Result<BTreeMap<DeckyName, String>, DbError> {
        let engine = self.parts.engine.name();
        let mut foreign = BTreeMap::new();
        for record in self.parts.store.decky_records().await? {
            let made = &record.view.engine;
            let stays = self.stays_elsewhere(&record);
            if made == engine || !record.view.desired && !stays {
                continue;
            }
            let (state, way_out) = match (record.view.desired, stays) {
                (true, true) => (DeckyState::Failed, ""),
                (true, false) => (DeckyState::Failed, "take it down, or "),
                (false, _) => (
                    DeckyState::Stopping,
                    "it is taken down once this is done, and may answer until then: ",
                ),
            };
            let mut told = format!(
                "it was deployed on the engine {made}, and this host runs {engine}: {way_out}start the host with \
                 engine={made}"
            );
            if !record.view.desired {
                told.push_str(&format!(
                    " (where that is gone for good, remove outlets/{} in the data directory: it is forgotten then)",
                    record.view.name
                ));
            }
            foreign.insert(record.view.name.clone(), told.clone());
            let rests =
                record.view.desired && record.view.stopped && record.view.state == DeckyState::Stopped;
            if !rests {
                let seen = Observation {
                    state,
                    last_error: Some(told),
                    services: None,
                };
                self.observe(&record, &seen).await?;
            }
        }
        Ok(foreign)
    }

    /// Whether another engine's decky may run on, where this one can neither see nor end it. What a container leaves to this host is a
    /// link in the place of its outlet; without one it was never made here, or is gone.
    fn stays_elsewhere(&self, record: &DeckyRecord) -> bool {
        let DeckyView { name, engine, .. } = &record.view;
        engine != self.parts.engine.name()
            && outlives_mutator(engine)
            && self.parts.outlets.join(name.as_str()).is_symlink()
    }

    /// Tell whoever waits for a task why nothing happens.
    async fn tell_waiting(&self, jobs: &[Job], error: &EngineError) -> Result<(), DbError> {
        for job in jobs {
            let step = format!("waiting: {error}");
            // It is news once, however often nobody answers.
            if job.step == step {
                continue;
            }
            self.parts
                .store
                .task_progress(job.id, job.done, job.total, &step)
                .await?;
            self.publish_task(job.id).await?;
        }
        Ok(())
    }

    /// Say of those that ran when they were last seen that nobody can see them.
    async fn tell_unseen(&self, known: &[Known], error: &EngineError) -> Result<(), DbError> {
        for Known { record, .. } in known {
            if record.view.state == DeckyState::Running {
                let seen = Observation {
                    state: DeckyState::Degraded,
                    last_error: Some(format!("whether it runs is not known: {error}")),
                    services: None,
                };
                self.observe(record, &seen).await?;
            }
        }
        Ok(())
    }

    /// Make sure that deckies can be made before any is. Gives the steps that can be run, and what becomes of the others.
    async fn prepare(
        &self,
        steps: Vec<Step>,
        desired: &[DesiredDecky],
    ) -> (Vec<Step>, BTreeMap<DeckyName, StepError>) {
        let makes = |step: &Step| !matches!(step.kind(), StepKind::Stop | StepKind::Remove);
        let first = steps
            .iter()
            .find(|step| makes(step))
            .and_then(|step| desired.iter().find(|decky| decky.name == *step.decky()));
        let Some(first) = first else {
            return (steps, BTreeMap::new());
        };
        let Err(error) = self.parts.engine.prepare(first).await else {
            return (steps, BTreeMap::new());
        };
        if let Some(times) = self.faults.again(&error.to_string()) {
            tracing::error!(%error, times, "no decky can be made");
        }
        let (cannot, can): (Vec<_>, Vec<_>) = steps.into_iter().partition(makes);
        let failed = cannot
            .iter()
            .map(|step| (step.decky().clone(), StepError::lasting(error.to_string())))
            .collect();
        (can, failed)
    }

    /// Take away what deckies share once there are none.
    async fn tidy(
        &mut self,
        desired: &[DesiredDecky],
        observed: &[ObservedDecky],
    ) -> Result<(), EngineError> {
        if !desired.is_empty() || !observed.is_empty() || !self.works.is_empty() {
            self.tidied = false;
        } else if !self.tidied {
            self.parts.engine.tidy().await?;
            self.tidied = true;
        }
        Ok(())
    }

    async fn jobs(&self) -> Result<Vec<Job>, DbError> {
        let running = self.parts.store.task_running().await?;
        let job = |report: TaskReport| {
            let trouble = self.troubles.get(&report.task.id).cloned();
            Job::new(report, trouble.unwrap_or_default())
        };
        Ok(running.into_iter().map(job).collect())
    }

    /// Note in the tasks that tell it which deckies nobody wants and no database knows: a crash left them, or a database that was
    /// put back. They are taken away in any case; where nobody ordered that, a task of its own tells it. It is noted before it
    /// is done: killed in between, the next round goes on with the same task.
    async fn tell_orphans(
        &mut self,
        known: &[Known],
        observed: &[ObservedDecky],
        jobs: &mut Vec<Job>,
    ) -> Result<(), DbError> {
        let is_known = |name: &DeckyName| known.iter().any(|k| k.record.view.name == *name);
        let names = observed.iter().map(|o| &o.name);
        let orphans: BTreeSet<DeckyName> = names.filter(|name| !is_known(name)).cloned().collect();
        // One that cannot be taken away is told once, and not in each round.
        let is_news = !orphans.is_subset(&self.orphans);
        if is_news && !jobs.iter().any(Job::reaps) {
            let id = TaskId(Uuid::new_v4());
            let now = self.parts.clock.now();
            self.parts.store.task_create(id, REAP, &[], now).await?;
            let report = self.parts.store.task_report(id).await?;
            jobs.extend(report.map(|report| Job::new(report, Trouble::default())));
        }
        for job in jobs.iter_mut().filter(|job| job.reaps()) {
            let before = job.orphans.len();
            job.orphans.extend(orphans.iter().cloned());
            if job.orphans.len() > before {
                let all: Vec<DeckyName> = job.orphans.iter().cloned().collect();
                self.parts.store.task_reap(job.id, &all).await?;
            }
        }
        self.orphans = orphans;
        Ok(())
    }

    /// The deckies of this engine, and those of another one that nobody wants any more and that ended with it: they are only forgotten.
    async fn known(&self) -> Result<Vec<Known>, DbError> {
        let records = self.parts.store.decky_records().await?;
        Ok(records
            .into_iter()
            .filter(|record| {
                record.view.engine == self.parts.engine.name()
                    || !record.view.desired && !self.stays_elsewhere(record)
            })
            .map(|record| Known {
                desired: serde_json::from_value(record.spec.clone())
                    .map(|decky| DesiredDecky {
                        stopped: record.view.stopped,
                        ..decky
                    })
                    .map_err(|e| e.to_string()),
                record,
            })
            .collect())
    }

    /// Change the services of those whose time has come, and of those that an operator wants changed. Gives those that are wanted
    /// otherwise now.
    async fn mutate(&mut self, jobs: &mut [Job]) -> Result<BTreeSet<DeckyName>, ReconcileError> {
        let mut changed = BTreeSet::new();
        let now = self.parts.clock.now();
        let known = self.known().await?;
        let set = self.parts.store.setting_number(Setting::MutationInterval).await?;
        let common = match set {
            Some(minutes) => Some(minutes_of(minutes)),
            None => self.parts.mutate_interval,
        };
        for Known { record, desired } in &known {
            let name = &record.view.name;
            let orders = |job: &Job| job.orders_mutation(&record.view);
            let ordered = jobs.iter().any(orders);
            let (Ok(before), true) = (desired, record.view.desired) else {
                continue;
            };
            if !ordered && !due(record, common, now) {
                continue;
            }
            if record.view.stopped {
                // After the order was given: nobody can give one for what is stopped.
                for job in jobs.iter_mut().filter(|j| orders(j)) {
                    let why = "it was stopped".to_owned();
                    job.trouble.refused.insert(name.clone(), why);
                }
                continue;
            }
            if record.view.quarantined {
                // Nothing would come of it, and evidence tells what was; who ordered it hears so as the task ends.
                continue;
            }
            let trigger = if ordered { "operator" } else { "schedule" };
            if let Some(after) = mutation::mutate(before, self.parts.catalogue.as_ref(), record.revision) {
                let put = wanted_anew(record, &after);
                let slugs =
                    |d: &DesiredDecky| d.slugs().map(ToString::to_string).collect::<Vec<_>>().join(",");
                let (from, to) = (slugs(before), slugs(&after));
                let event = Event::Mutation {
                    from: &from,
                    to: &to,
                    trigger,
                };
                let store = self.parts.store.clone();
                let tell = || {
                    self.tell_mutation(name, &event, now)
                        .map_err(ReconcileError::from)
                };
                if store.decky_mutate(&put, record.revision, now, tell).await? {
                    let told =
                        serde_json::json!({ "decky": name, "from": from, "to": to, "trigger": trigger });
                    self.parts.bus.publish(Topic::decky_mutation(name), told);
                    changed.insert(name.clone());
                    continue;
                }
                // An order was given meanwhile, which holds.
                for job in jobs.iter_mut().filter(|j| orders(j)) {
                    job.outrun = true;
                }
                continue;
            }
            for job in jobs.iter_mut().filter(|j| orders(j)) {
                let why = format!("no other services fit a {}", record.view.archetype);
                job.trouble.refused.insert(name.clone(), why);
            }
            self.parts.store.decky_mutated(name, now).await?;
        }
        Ok(changed)
    }

    /// A mutation is evidence: an attacker's timeline shows why a service was gone.
    fn tell_mutation(
        &mut self,
        decky: &DeckyName,
        event: &Event<'_>,
        now: OffsetDateTime,
    ) -> Result<(), SpoolError> {
        let head = LineHead {
            severity: Severity::Notice,
            timestamp: now,
            hostname: decky.as_str(),
            app_name: "mutator",
            msgid: event.kind().as_str(),
        };
        let mut line = Vec::new();
        format_line(&head, event.fields(), "", &mut line);
        let outlet = match &mut self.outlet {
            Some(outlet) => outlet,
            none => none.insert(Outlet::create(&self.parts.outlets, OUTLET)?),
        };
        outlet.append(&line)
    }

    /// Note who died since the last look. Gives those that are held back, and until when; `None` is a quarantine.
    async fn count_deaths(
        &mut self,
        known: &[Known],
        observed: &[ObservedDecky],
    ) -> Result<BTreeMap<DeckyName, Option<OffsetDateTime>>, DbError> {
        let now = self.parts.clock.now();
        let mut held = BTreeMap::new();
        for record in known.iter().map(|k| &k.record).filter(|r| r.view.desired) {
            let name = &record.view.name;
            if self.works.has(name) {
                // What is seen of it is half made, and no death.
                continue;
            }
            if record.view.stopped {
                // However it ended, it is down as it should be; and it is ended, whatever held it back.
                self.counted.remove(name);
                continue;
            }
            let seen = observed.iter().find(|o| o.name == *name);
            let died = seen.is_some_and(|o| o.seen.died.is_some());
            // Of one that runs a part may have died.
            if seen.is_some_and(|o| o.running) && !died {
                self.counted.remove(name);
                continue;
            }
            let mut failures = lately(&record.failures, now);
            let mut quarantined = record.view.quarantined;
            if died && self.counted.insert(name.clone()) {
                failures.push(now);
                quarantined |= quarantine::is_due(&failures);
                self.parts
                    .store
                    .decky_set_failures(name, &failures, quarantined)
                    .await?;
            }
            if quarantined {
                held.insert(name.clone(), None);
            } else if let Some(last) = failures.last() {
                let until = *last + backoff(failures.len());
                if until > now {
                    held.insert(name.clone(), Some(until));
                }
            }
        }
        Ok(held)
    }

    /// Show what is being done before it is done. Where that failed in the last round, and nobody ordered it since, the failure
    /// stays shown until it does not fail.
    async fn announce(
        &self,
        known: &[Known],
        steps: &[Step],
        observed: &[ObservedDecky],
        jobs: &[Job],
    ) -> Result<(), DbError> {
        for Known { record, .. } in known {
            let name = &record.view.name;
            let mut kinds = steps.iter().filter(|s| s.decky() == name).map(Step::kind);
            let state = match kinds.next() {
                _ if !record.view.desired && observed.iter().any(|o| o.name == *name) => DeckyState::Stopping,
                Some(_) if record.view.stopped => DeckyState::Stopping,
                Some(_) if self.failing.contains(name) && !jobs.iter().any(|job| job.is_about(name)) => {
                    continue;
                }
                Some(StepKind::Reconfigure) => DeckyState::Mutating,
                Some(_) => DeckyState::Deploying,
                None => continue,
            };
            let seen = Observation {
                state,
                last_error: record.view.last_error.clone(),
                services: None,
            };
            self.observe(record, &seen).await?;
        }
        Ok(())
    }

    /// Store what was seen and tell it, where it is not what is stored already.
    async fn observe(&self, record: &DeckyRecord, seen: &Observation) -> Result<(), DbError> {
        let name = &record.view.name;
        let stored = self.parts.store.decky_get(name).await?;
        let same = stored.is_none_or(|view| {
            view.state == seen.state
                && view.last_error == seen.last_error
                && seen.services.as_ref().is_none_or(|s| *s == view.services)
        });
        if same {
            return Ok(());
        }
        match self
            .parts
            .store
            .decky_observe(name, seen, self.parts.clock.now())
            .await
        {
            // It was removed meanwhile: nobody looks for it.
            Err(DbError::Missing { .. }) => return Ok(()),
            other => other?,
        }
        if let Some(view) = self.parts.store.decky_get(name).await? {
            self.parts.bus.publish(Topic::decky_state(name), view);
        }
        Ok(())
    }

    /// Take in what came of steps that went on beside the rounds, and cut those short whose decky is wanted otherwise since. Gives the
    /// deckies that failed, or wait for something, with the reason.
    async fn catch_up(&mut self, jobs: &mut [Job]) -> Result<BTreeMap<DeckyName, StepError>, ReconcileError> {
        let mut failed = BTreeMap::new();
        // First, so that what came of them is told of no order that was given since.
        self.cut_outdated().await?;
        let news = self.works.heard();
        self.take(news, jobs, &mut failed).await?;
        Ok(failed)
    }

    /// Cut the steps of those short that are wanted otherwise since.
    async fn cut_outdated(&mut self) -> Result<(), DbError> {
        if !self.works.is_empty() {
            let records = self.parts.store.decky_records().await?;
            let revisions: BTreeMap<DeckyName, u64> = records
                .into_iter()
                .map(|record| (record.view.name, record.revision))
                .collect();
            self.works.cut(|name| revisions.get(name).copied()).await;
        }
        Ok(())
    }

    /// Run the steps, telling each: those first that give addresses back. What takes longer than others may wait for goes on beside
    /// the rounds. Gives the deckies that failed, or wait for something, with the reason.
    async fn run(
        &mut self,
        steps: Vec<Step>,
        known: &[Known],
        jobs: &mut [Job],
    ) -> Result<BTreeMap<DeckyName, StepError>, ReconcileError> {
        let mut failed = BTreeMap::new();
        for job in jobs.iter_mut() {
            let mine = steps.iter().filter(|s| job.is_about(s.decky())).count();
            let mine = u32::try_from(mine).unwrap_or(u32::MAX);
            let left = self.works.left(|name| job.is_about(name));
            job.total = job.done.saturating_add(mine).saturating_add(left);
        }
        let revisions: BTreeMap<&DeckyName, u64> = known
            .iter()
            .map(|k| (&k.record.view.name, k.record.revision))
            .collect();
        for half in in_turn(steps) {
            // An order has what comes of it shown.
            self.failing.retain(|name| {
                !half.contains_key(name)
                    || self.works.has(name)
                    || failed.contains_key(name)
                    || !jobs.iter().any(|job| job.is_about(name))
            });
            self.works.begin_all(&self.parts.engine, half, &failed, |name| {
                revisions.get(name).copied()
            });
            while let Some(news) = self.works.news(self.patience).await {
                self.take(news, jobs, &mut failed).await?;
            }
        }
        Ok(failed)
    }

    /// Want those somewhere else whose address turned out to be another machine's, where nobody chose it: the next round makes them
    /// there.
    async fn move_on(
        &self,
        known: &[Known],
        failed: &mut BTreeMap<DeckyName, StepError>,
    ) -> Result<(), DbError> {
        let evicted = failed
            .iter()
            .filter_map(|(name, error)| Some((name.clone(), error.taken?)));
        let evicted: Vec<_> = evicted.collect();
        if evicted.is_empty() {
            return Ok(());
        }
        // Where nobody can be asked who has which address, none is better than the one that it has.
        let Ok(Some(around)) = self.parts.engine.surroundings().await else {
            return Ok(());
        };
        let mut limits = Limits {
            network: around.network,
            reserved: around.reserved,
            macs: around.macs,
            ..Limits::default()
        };
        limits.reserved.extend(evicted.iter().map(|(_, ip)| *ip));
        let there = self.parts.store.decky_list().await?;
        let mut taken: BTreeSet<_> = there.into_iter().map(|view| view.ip).collect();
        for (name, from) in evicted {
            let mut movable = known.iter().filter(|k| k.record.view.name == name);
            let movable = movable.find_map(|k| Some((&k.record, k.desired.as_ref().ok()?)));
            let movable = movable.filter(|(_, desired)| desired.ip_drawn && desired.ip == from);
            let (Some((record, desired)), Some(to)) = (movable, limits.free(&taken)) else {
                continue;
            };
            let after = DesiredDecky {
                ip: to,
                ..desired.clone()
            };
            let put = wanted_anew(record, &after);
            match self.parts.store.decky_change(&[(put, record.revision)]).await {
                // An order was given meanwhile, which holds.
                Err(DbError::Changed { .. } | DbError::Taken { .. }) => continue,
                done => done?,
            }
            taken.insert(to);
            tracing::info!(decky = %name, %from, %to, "another machine has its address, so it gets another one");
            let told = format!("{from} is in use by another machine: it goes to {to}");
            failed.insert(name, StepError::waiting(told));
        }
        Ok(())
    }

    /// Tell what came of steps.
    async fn take(
        &mut self,
        news: News,
        jobs: &mut [Job],
        failed: &mut BTreeMap<DeckyName, StepError>,
    ) -> Result<(), DbError> {
        for (name, failure) in news.ended {
            // Whatever ended before these steps is told; an end after them is a new one. A step that waits has changed nothing.
            if !failure.as_ref().is_some_and(|error| error.waits) {
                self.counted.remove(&name);
            }
            if failure.is_none() {
                for job in jobs.iter_mut() {
                    job.trouble.failed.remove(&name);
                }
            }
            failed.extend(failure.map(|error| (name, error)));
        }
        self.tell_progress(&news.progress, jobs).await
    }

    async fn tell_progress(&self, reports: &[Progress], jobs: &mut [Job]) -> Result<(), DbError> {
        for Progress {
            decky, step, outcome, ..
        } in reports
        {
            match outcome {
                Outcome::Begun => tracing::debug!(%decky, step, "begun"),
                Outcome::Waiting(error) => tracing::debug!(%decky, step, %error, "waits"),
                Outcome::Done => tracing::info!(%decky, step, "done"),
                Outcome::Retrying(error) => {
                    if let Some(times) = self.faults.again_as(&format!("{decky} {step}: {error}")) {
                        tracing::warn!(%decky, step, %error, times, "tried again");
                    }
                }
                Outcome::Failed(error) => {
                    if let Some(times) = self.faults.again_as(&format!("{decky} {step} failed: {error}")) {
                        tracing::error!(%decky, step, %error, times, "failed");
                    }
                }
            }
        }
        for job in jobs {
            let mine: Vec<&Progress> = reports.iter().filter(|r| job.is_about(&r.decky)).collect();
            let Some(last) = mine.last() else { continue };
            let done = mine.iter().filter(|r| r.outcome == Outcome::Done).count();
            job.done = job.done.saturating_add(u32::try_from(done).unwrap_or(u32::MAX));
            let step = match &last.outcome {
                Outcome::Waiting(error) => format!("waiting to {}: {error}", last.step),
                // Not as it was told when it began.
                Outcome::Done => format!("{}: done", last.step),
                _ => last.step.clone(),
            };
            self.parts
                .store
                .task_progress(job.id, job.done, job.total, &step)
                .await?;
            self.publish_task(job.id).await?;
        }
        Ok(())
    }

    async fn publish_task(&self, id: TaskId) -> Result<(), DbError> {
        let task: Option<TaskView> = self.parts.store.task_get(id).await?;
        if let Some(task) = task {
            self.parts.bus.publish(Topic::fleet_task(id), task);
        }
        Ok(())
    }

    /// Store how every decky does now, and forget those that are gone as wanted.
    async fn settle(
        &mut self,
        known: &[Known],
        observed: &[ObservedDecky],
        held: &BTreeMap<DeckyName, Option<OffsetDateTime>>,
        failed: &BTreeMap<DeckyName, StepError>,
    ) -> Result<(), DbError> {
        for Known { record, desired } in known {
            let name = &record.view.name;
            let seen = observed.iter().find(|o| o.name == *name);
            // What is left of it is being taken away as long as that goes on.
            if !record.view.desired && seen.is_none() && !self.works.has(name) {
                self.parts.store.decky_remove(name).await?;
                self.counted.remove(name);
                let mut gone = record.view.clone();
                gone.state = DeckyState::Stopped;
                self.parts.bus.publish(Topic::decky_state(name), gone);
                continue;
            }
            if self.works.has(name) && self.failing.contains(name) {
                continue;
            }
            let running = seen.is_some_and(|o| o.running);
            let stopped = record.view.stopped;
            let ends = stopped || !record.view.desired;
            let waits = failed.get(name).is_some_and(|error| error.waits);
            let error = desired
                .as_ref()
                .err()
                .map(|e| format!("what is wanted of it cannot be read: {e}"))
                // What takes its time to end is ending.
                .or_else(|| {
                    failed
                        .get(name)
                        .filter(|_| !(waits && ends))
                        .map(ToString::to_string)
                });
            let died = || seen.and_then(|o| o.seen.died.clone());
            let (state, last_error) = match (running, error, held.get(name)) {
                (false, _, _) if stopped => (DeckyState::Stopped, None),
                (true, None, _) if ends => (DeckyState::Stopping, None),
                (true, None, quarantine) => match (died(), quarantine) {
                    (None, _) => match seen.and_then(|o| o.seen.uncontained.as_ref()) {
                        Some(why) => (
                            DeckyState::Degraded,
                            Some(format!("not known to be contained: {why}")),
                        ),
                        None => (DeckyState::Running, None),
                    },
                    (Some(why), Some(None)) => (DeckyState::Degraded, Some(left_alone(&why))),
                    (part, _) => (DeckyState::Degraded, part),
                },
                // As it was announced: nothing failed.
                (true, Some(how_far), _) if waits => (DeckyState::Mutating, Some(how_far)),
                (false, Some(how_far), _) if waits => (DeckyState::Deploying, Some(how_far)),
                (true, Some(error), _) => (DeckyState::Degraded, Some(error)),
                (false, error, Some(None)) => {
                    let why = error.or_else(died).unwrap_or_default();
                    (DeckyState::Failed, Some(left_alone(&why)))
                }
                (false, None, Some(Some(_))) => (DeckyState::Deploying, died()),
                (false, Some(error), _) => (DeckyState::Failed, Some(error)),
                (false, None, None) if record.view.desired => (DeckyState::Degraded, died()),
                (false, None, None) => (DeckyState::Stopping, None),
            };
            let last_error = last_error.or_else(|| seen?.seen.lost.clone());
            let offered = desired.as_ref().map(DesiredDecky::offers).unwrap_or_default();
            // What does not run listens nowhere.
            let down = desired.as_ref().ok().filter(|_| !running);
            let listening = seen.filter(|o| o.running).map(|o| {
                o.seen
                    .listen
                    .iter()
                    .map(|(slug, listen)| DeckyService {
                        slug: slug.clone(),
                        listen: listen.iter().map(ToString::to_string).collect(),
                        image: offered
                            .iter()
                            .find(|offer| offer.slug == *slug)
                            .and_then(|offer| offer.image.clone()),
                    })
                    .collect()
            });
            self.observe(
                record,
                &Observation {
                    state,
                    last_error,
                    services: listening.or_else(|| down.map(DesiredDecky::offers)),
                },
            )
            .await?;
        }
        Ok(())
    }

    /// End the tasks that have come to their end, one way or the other: none of its deckies is at work or waits. What went wrong until
    /// then is kept for that end.
    async fn finish(
        &mut self,
        jobs: &[Job],
        known: &[Known],
        foreign: &BTreeMap<DeckyName, String>,
        observed: &[ObservedDecky],
        failed: &BTreeMap<DeckyName, StepError>,
    ) -> Result<(), DbError> {
        let now = self.parts.clock.now();
        self.troubles.clear();
        for job in jobs {
            let mut trouble = job.trouble.clone();
            let mine = failed.iter().filter(|(name, _)| job.is_about(name));
            let (waits, fails): (Vec<_>, Vec<_>) = mine.partition(|(_, error)| error.waits);
            let fails = fails
                .into_iter()
                .map(|(name, error)| (name.clone(), error.to_string()));
            trouble.failed.extend(fails);
            let all = trouble.refused.iter().chain(&trouble.failed);
            let mut errors: Vec<String> = all.map(|(name, why)| format!("{name}: {why}")).collect();
            let mut open = job.outrun || !waits.is_empty();
            for name in job.deckies.iter().chain(&job.orphans) {
                let there = known.iter().find(|k| k.record.view.name == *name);
                if let (None, Some(why)) = (there, foreign.get(name)) {
                    errors.push(format!("{name}: {why}"));
                    continue;
                }
                let wanted = there.filter(|k| k.record.view.desired);
                let seen = observed.iter().find(|o| o.name == *name);
                let reached = match wanted {
                    None => seen.is_none(),
                    Some(k) => seen.is_some_and(|o| o.running) != k.record.view.stopped,
                };
                let stopped = wanted.map(|k| k.record.view.stopped);
                let overtaken = match (job.operation.as_str(), stopped) {
                    ("stop", Some(false)) => Some("started"),
                    ("start" | "deploy" | "redeploy", Some(true)) => Some("stopped"),
                    _ => None,
                };
                if let Some(by) = overtaken {
                    errors.push(format!("{name}: it was {by} meanwhile"));
                    continue;
                }
                match wanted {
                    Some(k) if k.record.view.quarantined && !k.record.view.stopped => {
                        errors.push(format!("{name}: in quarantine"))
                    }
                    Some(Known { desired: Err(e), .. }) => errors.push(format!("{name}: {e}")),
                    _ => {
                        let told = trouble.refused.contains_key(name) || trouble.failed.contains_key(name);
                        open |= !reached && !told;
                    }
                }
            }
            if open {
                self.troubles.insert(job.id, trouble);
                continue;
            }
            let (stay, gone): (Vec<_>, Vec<_>) = job
                .orphans
                .iter()
                .cloned()
                .partition(|name| observed.iter().any(|o| o.name == *name));
            if !stay.is_empty() {
                self.parts.store.task_reap(job.id, &gone).await?;
            }
            let error = (!errors.is_empty()).then(|| errors.join("; "));
            self.parts.store.task_end(job.id, error.as_deref(), now).await?;
            self.publish_task(job.id).await?;
        }
        Ok(())
    }
}

fn backoff(deaths: usize) -> time::Duration {
    let doublings = u32::try_from(deaths.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(16);
    (RESTART * 2_i32.saturating_pow(doublings)).min(RESTART_MOST)
}

/// The record's decky, wanted as `after`.
fn wanted_anew(record: &DeckyRecord, after: &DesiredDecky) -> NewDecky {
    let view = &record.view;
    NewDecky {
        name: view.name.clone(),
        archetype: view.archetype.clone(),
        distro: view.distro.clone(),
        os: view.os.clone(),
        hostname: view.hostname.clone(),
        ip: after.ip,
        mac: view.mac.clone(),
        services: after.offers(),
        engine: view.engine.clone(),
        mutate_interval_minutes: view.mutate_interval_minutes,
        // A decky's own JSON always has a form.
        spec: serde_json::to_value(after).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
