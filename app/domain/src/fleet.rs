//! The fleet: what is wanted of it. What is wanted becomes desired state in the database, and a task whose progress
//! the reconciler reports; nothing here starts or stops a decoy.

mod deploy;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use decnet_db::{DbError, DeckyRecord, NewDecky, Setting, Store};
use decnet_decoys::{Category, Meta, Port, catalogue, knob::About};
use decnet_fleet::{
    BuiltIn, DesiredDecky, EngineNote, Limits, ObservedDecky, SpecFault, StepKind, check, engine::Seen,
    mutation, plan, resolve, spec, usual,
};
use decnet_model::{
    fleet::{DeckySpec, FleetSpec},
    id::TaskId,
    name::{DeckyName, ServiceSlug},
    permission::{ManageFleet, ViewFleet},
    state::DeckyState,
    topic::Topic,
    view::{
        ArchetypeView, DeckyView, FieldError, FleetNetworkView, KnobView, Page, ServiceView, TaskAccepted,
        TaskReport, TaskView,
    },
};
use decnet_persona::{
    Persona, PersonaSpec,
    archetype::{self, Archetype},
    bait::Bait,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{Actor, Domain, DomainError, Permit, seen};

/// Tasks that a listing goes back.
const TASKS: u32 = 50;
/// The setting under which the installation's network is noted: that of the key.
const NETWORK: &str = "fleet-network";
/// The engine whose addresses are configured.
const LOCAL: &str = "local";
/// The engine that runs an operator's own images.
const DOCKER: &str = "docker";
/// How often what is wanted is settled where somebody else changes the fleet each time, as another process may.
const ATTEMPTS: u32 = 5;
/// The longest interval between two mutations, in minutes: a year.
const MAX_INTERVAL: u32 = 525_600;

/// What a deployment would do.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetPlan {
    /// The deckies of the specification, as they would be.
    pub deckies: Vec<DeckyView>,
    /// Those that are there and would be taken down, as they are.
    pub leaving: Vec<DeckyView>,
    /// What the reconciler would do, in its order, as far as the last look at the fleet tells. Deckies without a step are as they are
    /// wanted.
    pub steps: Vec<(DeckyName, StepKind)>,
}

/// The deckies that are to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mutable {
    /// Those that can change their services.
    pub mutable: Vec<DeckyName>,
    /// Those for which no other services fit.
    pub without_choice: Vec<DeckyName>,
    /// Those that were given up after failing too often: nothing would come of it.
    pub quarantined: Vec<DeckyName>,
    /// Those of which it cannot be read what is wanted.
    pub unreadable: Vec<DeckyName>,
}

/// Who a decky pretends to be, and what lies around on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What it is made from.
    pub spec: PersonaSpec,
    /// Who it pretends to be, with its bait.
    pub persona: Persona,
    /// The folder of the operator's own bait; absent where it is the built-in one.
    pub bait: Option<String>,
    /// The same for single services.
    pub service_bait: BTreeMap<ServiceSlug, String>,
    /// What of it cannot be read now: its persona has the built-in bait in place of that.
    pub faults: Vec<String>,
}

impl Machine {
    /// With what lies in its folders.
    fn baited(mut self) -> Self {
        let mut faults = Vec::new();
        let mut read = |folder: &String| {
            let bait = Bait::load(Path::new(folder));
            bait.map_err(|found| faults.extend(found.iter().map(ToString::to_string)))
                .ok()
        };
        if let Some(bait) = self.bait.as_ref().and_then(&mut read) {
            self.persona = self.persona.with_bait(bait);
        }
        for (service, folder) in &self.service_bait {
            if let Some(bait) = read(folder) {
                self.persona = self.persona.with_service_bait(service, bait);
            }
        }
        self.faults = faults;
        self
    }
}

impl Domain {
    /// Every decky, wanted or on its way out.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn decky_list(&self, permit: &Permit<ViewFleet>) -> Result<Vec<DeckyView>, DomainError> {
        Ok(seen::all(permit.actor(), self.inner.store.decky_list().await?))
    }

    /// Want the deckies of `spec`: names, addresses and personas are settled now, the rest is the reconciler's.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] with every fault of the specification.
    pub async fn decky_deploy(
        &self,
        permit: &Permit<ManageFleet>,
        spec: FleetSpec,
    ) -> Result<TaskAccepted, DomainError> {
        let outcome = match self.bait_check(permit.actor(), &spec).await {
            Ok(()) => self.deploy_unaudited(spec).await,
            Err(refused) => Err(refused),
        };
        let target = match &outcome {
            Ok(accepted) => names(&accepted.deckies),
            Err(_) => "fleet".into(),
        };
        self.audited(permit.actor(), "fleet.deploy", &target, outcome)
            .await
    }

    /// [`Domain::decky_deploy`] of deckies that stand still until [`Domain::decky_start`], of those of `spec` whose names nobody has: what
    /// is there stays as it is. Nothing has to be done for them, so there is no task. Gives their names.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] with every fault of the specification.
    pub async fn decky_place(
        &self,
        permit: &Permit<ManageFleet>,
        spec: FleetSpec,
    ) -> Result<Vec<DeckyName>, DomainError> {
        let outcome = match self.bait_check(permit.actor(), &spec).await {
            Ok(()) => self.place_unaudited(spec).await,
            Err(refused) => Err(refused),
        };
        let target = match &outcome {
            Ok(placed) => names(placed),
            Err(_) => "fleet".into(),
        };
        self.audited(permit.actor(), "fleet.place", &target, outcome)
            .await
    }

    /// What [`Domain::decky_deploy`] would want: the deckies of `spec` as they would be settled. Changes nothing.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] with every fault of the specification.
    pub async fn decky_preview(
        &self,
        permit: &Permit<ViewFleet>,
        spec: FleetSpec,
    ) -> Result<Vec<DeckyView>, DomainError> {
        Ok(self.decky_plan(permit, spec).await?.deckies)
    }

    /// What [`Domain::decky_deploy`] would want, what it would take down, and by which steps. Changes nothing.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] with every fault of the specification.
    pub async fn decky_plan(
        &self,
        permit: &Permit<ViewFleet>,
        spec: FleetSpec,
    ) -> Result<FleetPlan, DomainError> {
        self.bait_check(permit.actor(), &spec).await?;
        let told = |error| seen::refusal(permit.actor(), error);
        let limits = self.limits().await.map_err(told)?;
        let there = self.inner.store.decky_records().await?;
        let settled = self.settle(&spec, &there, &limits).await?;
        let now = self.inner.clock.now();
        let engine = self.engine().await.map_err(told)?;
        let view = |decky: &DesiredDecky| {
            let new = self.new_decky(decky, engine.clone())?;
            Ok::<_, DomainError>(DeckyView {
                name: new.name,
                state: DeckyState::Pending,
                desired: true,
                stopped: false,
                quarantined: false,
                archetype: new.archetype,
                distro: new.distro,
                os: new.os,
                hostname: new.hostname,
                ip: new.ip,
                mac: new.mac,
                services: new.services,
                engine: new.engine,
                last_error: None,
                since: now,
                mutate_interval_minutes: new.mutate_interval_minutes,
                last_mutation: None,
                event_count: 0,
            })
        };
        let names: Vec<DeckyName> = settled.iter().map(|decky| decky.name.clone()).collect();
        let goes = leaving(&spec, &there, &names);
        let is_about = |record: &&DeckyRecord| {
            let name = &record.view.name;
            names.contains(name) || goes.contains(name)
        };
        let observed: Vec<_> = there.iter().filter(is_about).filter_map(last_seen).collect();
        let steps = plan(&settled, &observed);
        let views = there.into_iter().map(|record| record.view);
        let leaving = views.filter(|view| goes.contains(&view.name)).collect();
        Ok(FleetPlan {
            deckies: settled.iter().map(view).collect::<Result<_, _>>()?,
            leaving: seen::all(permit.actor(), leaving),
            steps: steps
                .iter()
                .map(|step| (step.decky().clone(), step.kind()))
                .collect(),
        })
    }

    /// Who a decky pretends to be.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn decky_persona(
        &self,
        permit: &Permit<ManageFleet>,
        name: &DeckyName,
    ) -> Result<Persona, DomainError> {
        Ok(self.decky_machine(permit, name).await?.persona)
    }

    /// Who a decky pretends to be, with what lies around on it.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn decky_machine(
        &self,
        _permit: &Permit<ManageFleet>,
        name: &DeckyName,
    ) -> Result<Machine, DomainError> {
        let record = self.inner.store.decky_record(name).await?;
        let record = record.ok_or_else(|| DomainError::not_found("decky", name))?;
        let spec = desired(&record)?.persona;
        let persona = Persona::derive(&spec).map_err(|e| DomainError::internal("deriving a persona", e))?;
        let machine = Machine {
            persona,
            bait: spec.overrides.bait.clone(),
            service_bait: spec.overrides.service_bait.clone(),
            spec,
            faults: Vec::new(),
        };
        aside(move || machine.baited()).await
    }

    /// Want these deckies no more; all of them where `names` is empty.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] for the first name that is none, or already on its way out.
    pub async fn decky_teardown(
        &self,
        permit: &Permit<ManageFleet>,
        wanted: &[DeckyName],
    ) -> Result<TaskAccepted, DomainError> {
        let outcome = async {
            let there: BTreeSet<DeckyName> = self
                .inner
                .store
                .decky_list()
                .await?
                .into_iter()
                .filter(|d| d.desired)
                .map(|d| d.name)
                .collect();
            if let Some(missing) = wanted.iter().find(|name| !there.contains(*name)) {
                return Err(DomainError::not_found("decky", missing));
            }
            let wanted = if wanted.is_empty() {
                there.into_iter().collect()
            } else {
                wanted.to_vec()
            };
            let dismissed = self.inner.store.decky_dismiss(&wanted).await?;
            self.begin("teardown", dismissed).await
        }
        .await;
        let target = if wanted.is_empty() {
            "fleet".into()
        } else {
            names(wanted)
        };
        self.audited(permit.actor(), "fleet.teardown", &target, outcome)
            .await
    }

    /// Take deckies down and bring them up again as they are wanted: all of them, as one task, or none.
    ///
    /// # Errors
    /// [`DomainError::NotFound`]; [`DomainError::Conflict`] for one that is stopped.
    pub async fn decky_redeploy(
        &self,
        permit: &Permit<ManageFleet>,
        wanted: &[DeckyName],
    ) -> Result<TaskAccepted, DomainError> {
        let outcome = async {
            let mut attempt = 1;
            while let Err(error) = self.make_anew(wanted).await? {
                once_more(error, &mut attempt)?;
            }
            self.begin("redeploy", wanted.to_vec()).await
        }
        .await;
        self.audited(permit.actor(), "fleet.redeploy", &names(wanted), outcome)
            .await
    }

    /// Want deckies as they are wanted, and made anew. Gives whether somebody else wanted them otherwise meanwhile.
    async fn make_anew(&self, wanted: &[DeckyName]) -> Result<Result<(), DbError>, DomainError> {
        let mut again = Vec::with_capacity(wanted.len());
        for name in wanted {
            let record = self.inner.store.decky_record(name).await?;
            let record = record.ok_or_else(|| DomainError::not_found("decky", name))?;
            ensure_to_run(&record.view)?;
            let mut desired = desired(&record)?;
            desired.generation += 1;
            let new = self.new_decky(&desired, record.view.engine)?;
            again.push((new, record.revision));
        }
        // Whoever has one made anew has seen to it, as who clears it.
        Ok(self.inner.store.decky_redeploy(&again).await)
    }

    /// Take away deckies that run and that nobody wants, as after a database was put back; the task's report names them.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn decky_reap(&self, permit: &Permit<ManageFleet>) -> Result<TaskAccepted, DomainError> {
        let outcome = self.begin("reap", Vec::new()).await;
        self.audited(permit.actor(), "fleet.reap", "fleet", outcome).await
    }

    /// Stop deckies, and leave them stopped until [`Domain::decky_start`]: all of them, as one task, or none. They keep address
    /// and identity, and what they recorded; nothing restarts or mutates them.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn decky_stop(
        &self,
        permit: &Permit<ManageFleet>,
        wanted: &[DeckyName],
    ) -> Result<TaskAccepted, DomainError> {
        let outcome = self.set_stopped(wanted, true, "stop").await;
        self.audited(permit.actor(), "fleet.stop", &names(wanted), outcome)
            .await
    }

    /// Have stopped deckies run again as who they were: all of them, as one task, or none. One that runs goes on.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn decky_start(
        &self,
        permit: &Permit<ManageFleet>,
        wanted: &[DeckyName],
    ) -> Result<TaskAccepted, DomainError> {
        let outcome = self.set_stopped(wanted, false, "start").await;
        self.audited(permit.actor(), "fleet.start", &names(wanted), outcome)
            .await
    }

    /// Want deckies to stand still, or to run.
    async fn set_stopped(
        &self,
        wanted: &[DeckyName],
        stopped: bool,
        operation: &'static str,
    ) -> Result<TaskAccepted, DomainError> {
        self.inner.store.decky_set_stopped(wanted, stopped).await?;
        self.begin(operation, wanted.to_vec()).await
    }

    /// Which deckies an order to mutate is for.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn decky_mutable(&self, _permit: &Permit<ViewFleet>) -> Result<Mutable, DomainError> {
        let mut all = Mutable::default();
        for record in self.inner.store.decky_records().await? {
            if ensure_to_run(&record.view).is_err() {
                continue;
            }
            let list = match desired(&record) {
                _ if record.view.quarantined => &mut all.quarantined,
                Err(_) => &mut all.unreadable,
                Ok(decky) if mutation::mutate(&decky, &BuiltIn, record.revision).is_some() => {
                    &mut all.mutable
                }
                Ok(_) => &mut all.without_choice,
            };
            list.push(record.view.name);
        }
        Ok(all)
    }

    /// Let deckies change their services now: all of them, as one task, or none.
    ///
    /// # Errors
    /// [`DomainError::NotFound`]; [`DomainError::Conflict`] for one that is stopped.
    pub async fn decky_mutate(
        &self,
        permit: &Permit<ManageFleet>,
        wanted: &[DeckyName],
    ) -> Result<TaskAccepted, DomainError> {
        let outcome = async {
            for name in wanted {
                self.wanted_running(name).await?;
            }
            self.begin("mutate", wanted.to_vec()).await
        }
        .await;
        self.audited(permit.actor(), "fleet.mutate", &names(wanted), outcome)
            .await
    }

    /// Set the minutes between two mutations of a decky, 0 for never; `None` for what the setting for the whole fleet says.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Invalid`] naming `minutes`.
    pub async fn decky_set_mutate_interval(
        &self,
        permit: &Permit<ManageFleet>,
        name: &DeckyName,
        minutes: Option<u32>,
    ) -> Result<(), DomainError> {
        let outcome = async {
            if minutes.is_some_and(|m| m > MAX_INTERVAL) {
                return Err(DomainError::field(
                    "minutes",
                    format!("0 to {MAX_INTERVAL}; 0 is never"),
                ));
            }
            self.wanted(name).await?;
            self.inner.store.decky_set_interval(name, minutes).await?;
            self.inner
                .bus
                .publish(Topic::fleet_changed(), serde_json::json!({ "decky": name }));
            Ok(())
        }
        .await;
        self.audited(permit.actor(), "fleet.mutate_interval", name.as_str(), outcome)
            .await
    }

    /// Try a decky again that was given up after failing too often.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn decky_clear_quarantine(
        &self,
        permit: &Permit<ManageFleet>,
        name: &DeckyName,
    ) -> Result<(), DomainError> {
        let outcome = async {
            self.wanted(name).await?;
            self.inner.store.decky_set_failures(name, &[], false).await?;
            self.inner
                .bus
                .publish(Topic::fleet_changed(), serde_json::json!({ "decky": name }));
            Ok(())
        }
        .await;
        self.audited(permit.actor(), "fleet.clear_quarantine", name.as_str(), outcome)
            .await
    }

    /// The kinds of deckies that can be deployed.
    #[must_use]
    pub fn archetype_list(&self, _permit: &Permit<ViewFleet>) -> Vec<ArchetypeView> {
        archetypes()
    }

    /// The services that a decky can have.
    #[must_use]
    pub fn service_list(&self, _permit: &Permit<ViewFleet>) -> Vec<ServiceView> {
        services()
    }

    /// Where new deckies will stand, and how much room there is; or why nothing can be deployed.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn fleet_network(&self, permit: &Permit<ViewFleet>) -> Result<FleetNetworkView, DomainError> {
        let (engine, limits) = match (self.engine().await, self.limits().await) {
            (Ok(engine), limits) => (engine, limits),
            (Err(error), _) => (self.inner.options.engine.clone(), Err(error)),
        };
        let mut view = FleetNetworkView {
            contains: engine != LOCAL,
            engine,
            network: None,
            taken: 0,
            reserved: 0,
            free: 0,
            problem: None,
        };
        match limits.map_err(|error| seen::refusal(permit.actor(), error)) {
            Ok(limits) => {
                let there = self.inner.store.decky_list().await?;
                let room = limits.room(&there.into_iter().map(|decky| decky.ip).collect());
                view.network = Some(limits.network.to_string());
                (view.taken, view.reserved, view.free) = (room.taken, room.reserved, room.free);
            }
            // It hinders a deployment, and is no reason not to tell the rest.
            Err(DomainError::Conflict(problem)) => view.problem = Some(problem),
            Err(error) => return Err(error),
        }
        Ok(view)
    }

    /// The latest tasks, newest first.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn task_list(&self, permit: &Permit<ViewFleet>) -> Result<Vec<TaskView>, DomainError> {
        let tasks = self.inner.store.task_page(Some(TASKS), None).await?.data;
        Ok(seen::all(permit.actor(), tasks))
    }

    /// A page of all tasks, newest first.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] for a limit or a cursor that is none.
    pub async fn task_page(
        &self,
        permit: &Permit<ViewFleet>,
        limit: Option<u32>,
        before: Option<String>,
    ) -> Result<Page<TaskView>, DomainError> {
        let page = self.inner.store.task_page(limit, before.as_deref()).await?;
        Ok(Page {
            data: seen::all(permit.actor(), page.data),
            ..page
        })
    }

    /// How a task stands.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn task_get(&self, permit: &Permit<ViewFleet>, id: TaskId) -> Result<TaskView, DomainError> {
        let task = self.inner.store.task_get(id).await?;
        let task = task.ok_or_else(|| DomainError::not_found("task", id))?;
        Ok(seen::one(permit.actor(), task))
    }

    /// How a task stands, what it is about and what it took away.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn task_report(
        &self,
        permit: &Permit<ViewFleet>,
        id: TaskId,
    ) -> Result<TaskReport, DomainError> {
        let report = self.inner.store.task_report(id).await?;
        let report = report.ok_or_else(|| DomainError::not_found("task", id))?;
        Ok(TaskReport {
            task: seen::one(permit.actor(), report.task),
            ..report
        })
    }

    /// Whether a mutator is at work, on whatever. One that was killed is taken for it for a minute.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn fleet_is_tended(&self, _permit: &Permit<ViewFleet>) -> Result<bool, DomainError> {
        let now = self.inner.clock.now();
        Ok(self.inner.store.lease_is_held(Store::FLEET_LEASE, now).await?)
    }

    async fn wanted(&self, name: &DeckyName) -> Result<DeckyView, DomainError> {
        let decky = self
            .inner
            .store
            .decky_get(name)
            .await?
            .filter(|decky| decky.desired);
        decky.ok_or_else(|| DomainError::not_found("decky", name))
    }

    /// One that is wanted, and not to stand still: nothing would come of an order to change it before it is started.
    async fn wanted_running(&self, name: &DeckyName) -> Result<(), DomainError> {
        ensure_to_run(&self.wanted(name).await?)
    }

    async fn deploy_unaudited(&self, spec: FleetSpec) -> Result<TaskAccepted, DomainError> {
        let inner = &self.inner;
        // One deploy of this process at a time, so that they do not settle in vain; other processes are found out by the store.
        let _turn = inner.deploying.lock().await;
        let mut attempt = 1;
        let about = loop {
            let records = inner.store.decky_records().await?;
            let settled = self.settle(&spec, &records, &self.limits().await?).await?;
            let engine = self.engine().await?;
            let new = settled
                .iter()
                .map(|decky| self.new_decky(decky, engine.clone()))
                .collect::<Result<Vec<_>, _>>()?;
            let mut about: Vec<DeckyName> = settled.into_iter().map(|decky| decky.name).collect();
            let leaving = leaving(&spec, &records, &about);
            let beside = records.into_iter().map(|r| (r.view.name, r.revision)).collect();
            let now = inner.clock.now();
            // Who deploys a decky wants it to run, also where an earlier one of the name was stopped.
            match inner.store.decky_deploy(&new, &leaving, &beside, now).await {
                Ok(dismissed) => {
                    about.extend(dismissed);
                    break about;
                }
                Err(error) => once_more(error, &mut attempt)?,
            }
        };
        self.begin("deploy", about).await
    }

    async fn place_unaudited(&self, spec: FleetSpec) -> Result<Vec<DeckyName>, DomainError> {
        let inner = &self.inner;
        let _turn = inner.deploying.lock().await;
        let mut attempt = 1;
        loop {
            let records = inner.store.decky_records().await?;
            let mut free = FleetSpec {
                replace: false,
                ..spec.clone()
            };
            free.deckies.retain(|decky| {
                let has = |record: &DeckyRecord| decky.name.as_ref() == Some(&record.view.name);
                !records.iter().any(has)
            });
            if free.deckies.is_empty() {
                return Ok(Vec::new());
            }
            let settled = self.settle(&free, &records, &self.limits().await?).await?;
            let engine = self.engine().await?;
            let new = settled
                .iter()
                .map(|decky| self.new_decky(decky, engine.clone()))
                .collect::<Result<Vec<_>, _>>()?;
            let beside = records.into_iter().map(|r| (r.view.name, r.revision)).collect();
            let now = inner.clock.now();
            match inner.store.decky_deploy_stopped(&new, &beside, now).await {
                Ok(()) => return Ok(settled.into_iter().map(|decky| decky.name).collect()),
                Err(error) => once_more(error, &mut attempt)?,
            }
        }
    }

    /// Note where this process takes addresses from: the server does when it starts, so that a command line that was
    /// not told the same takes them from there, too.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn fleet_network_note(&self) -> Result<(), DomainError> {
        if self.inner.options.engine != LOCAL {
            return Ok(());
        }
        let network = self.inner.options.fleet.network.to_string();
        if self.inner.store.setting_get(NETWORK).await?.as_ref() != Some(&network) {
            self.inner.store.setting_set(NETWORK, &network).await?;
        }
        Ok(())
    }

    /// What the mutator noted of its engine.
    pub(crate) async fn engine_note(&self) -> Result<Option<EngineNote>, DomainError> {
        let noted = self.inner.store.setting_get(EngineNote::SETTING).await?;
        noted
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|e| DomainError::internal("reading what is noted of the engine", e))
    }

    /// The engine of the installation: the one that its mutator runs, so that a command line that was not told the same
    /// deploys with it, too.
    async fn engine(&self) -> Result<String, DomainError> {
        let options = &self.inner.options;
        let note = self.engine_note().await?;
        let engine = note.as_ref().map_or(&options.engine, |note| &note.engine);
        let stands = |key| note.as_ref().and_then(|note| note.lan.get(key));
        let others = options.lan_ordered.iter();
        let (runs, wanted): (Vec<String>, Vec<String>) = others
            .filter(|(key, ordered)| stands(*key) != Some(*ordered))
            .map(|(key, ordered)| {
                let runs = match stands(key) {
                    Some(other) => format!("with the {key} {other}, and not {ordered}"),
                    None => format!("without a {key} (its engine is {engine})"),
                };
                (runs, format!("{key}={ordered}"))
            })
            .unzip();
        if !runs.is_empty() {
            return Err(DomainError::Conflict(format!(
                "all deckies share one network, and the mutator of this installation runs {}: leave that out here, or take \
                 the deckies down and start the host with {}",
                runs.join(", "),
                wanted.join(" ")
            )));
        }
        let Some(note) = note else {
            return Ok(options.engine.clone());
        };
        if options.engine_given && options.engine != note.engine {
            return Err(DomainError::Conflict(format!(
                "the mutator of this installation runs the engine {}, and not {}: leave that out here, or start the host \
                 with it",
                note.engine, options.engine
            )));
        }
        Ok(note.engine)
    }

    /// The bounds of the fleet, with the installation's network.
    async fn limits(&self) -> Result<Limits, DomainError> {
        let options = &self.inner.options;
        let mut limits = options.fleet.clone();
        if let Some(most) = self.inner.store.setting_number(Setting::DeploymentLimit).await? {
            limits.deckies = most;
        }
        let engine = self.engine().await?;
        limits.own_images = engine == DOCKER;
        limits.contains = engine != LOCAL;
        if engine != LOCAL {
            let known = self.engine_note().await?;
            let problem = known.as_ref().and_then(|note| note.problem.clone());
            let Some(found) = known.and_then(|note| note.surroundings) else {
                let why = problem.unwrap_or_else(|| {
                    "the mutator has not looked yet; `decnet worker list` says whether it runs".to_owned()
                });
                return Err(DomainError::Conflict(format!(
                    "it is not known which addresses deckies can have: {why}"
                )));
            };
            limits.network = found.network;
            limits.reserved = found.reserved;
            limits.macs = found.macs;
            return Ok(limits);
        }
        let Some(noted) = self.inner.store.setting_get(NETWORK).await? else {
            return Ok(limits);
        };
        let noted = noted
            .parse()
            .map_err(|e| DomainError::internal("reading the installation's network", e))?;
        if options.fleet_network_given && limits.network != noted {
            return Err(DomainError::Conflict(format!(
                "this installation was started with the fleet-network {noted}, and not {}: leave that out here, or \
                 start the host with it",
                limits.network
            )));
        }
        limits.network = noted;
        Ok(limits)
    }

    /// Whether `actor` may name the folders of bait in `spec`. They are read by this process and shown to intruders, so
    /// whoever comes over the network may name only what lies in the one folder for it. The command line reads with the
    /// rights of whoever types there.
    async fn bait_check(&self, actor: &Actor, spec: &FleetSpec) -> Result<(), DomainError> {
        let Some(root) = &self.inner.options.bait_dir else {
            return Ok(());
        };
        if actor.id().is_none() {
            return Ok(());
        }
        let whole = root.canonicalize();
        let is_within = |folder: &str| match (Path::new(folder).canonicalize(), &whole) {
            (Ok(folder), Ok(root)) => folder.starts_with(root),
            _ => false,
        };
        let place = match actor.holds::<ManageFleet>() {
            true => format!(" in {}", root.display()),
            false => String::new(),
        };
        let mut rest = spec.clone();
        let mut faults = Vec::new();
        for (i, decky) in rest.deckies.iter_mut().enumerate() {
            let services = decky.services.iter_mut().enumerate();
            let of_services =
                services.map(|(j, service)| (format!("deckies[{i}].services[{j}].bait"), &mut service.bait));
            let of_decky = (format!("deckies[{i}].bait"), &mut decky.bait);
            for (field, bait) in std::iter::once(of_decky).chain(of_services) {
                let refused = bait.take_if(|folder| !folder.is_empty() && !is_within(folder));
                faults.extend(refused.map(|folder| FieldError {
                    field,
                    message: format!(
                        "{folder}: there is no such folder{place}; only `decnet deploy` on the host takes one from elsewhere"
                    ),
                }));
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        // What lies there is not looked at; whatever else is wrong is told in the same round.
        let others = aside(move || check(&rest, &BuiltIn)).await?;
        faults.extend(others.into_iter().map(field_error));
        Err(DomainError::Invalid(faults))
    }

    async fn settle(
        &self,
        spec: &FleetSpec,
        there: &[DeckyRecord],
        limits: &Limits,
    ) -> Result<Vec<DesiredDecky>, DomainError> {
        // Those on their way out count no more, and who is called so again is another machine; only their addresses are not free yet.
        let (stays, goes): (Vec<_>, Vec<_>) = there.iter().partition(|record| record.view.desired);
        let existing = stays.into_iter().map(desired).collect::<Result<Vec<_>, _>>()?;
        let now = self.inner.clock.now();
        let (spec, mut limits) = (spec.clone(), limits.clone());
        let leaving = goes
            .into_iter()
            .map(|record| (record.view.ip, record.view.name.clone()));
        limits.leaving.extend(leaving);
        aside(move || resolve(&spec, &existing, &limits, &BuiltIn, now))
            .await?
            .map_err(invalid)
    }

    /// A settled decky as the database keeps it.
    fn new_decky(&self, decky: &DesiredDecky, engine: String) -> Result<NewDecky, DomainError> {
        const DOING: &str = "settling a decky";
        let persona = Persona::derive(&decky.persona).map_err(|e| DomainError::internal(DOING, e))?;
        Ok(NewDecky {
            name: decky.name.clone(),
            archetype: persona.archetype.clone(),
            distro: persona.distro.to_string(),
            os: persona.os.to_string(),
            hostname: persona.hostname.clone(),
            ip: decky.ip,
            mac: persona.mac.to_string(),
            services: decky.offers(),
            engine,
            mutate_interval_minutes: decky.mutate_interval_minutes,
            spec: serde_json::to_value(decky).map_err(|e| DomainError::internal(DOING, e))?,
        })
    }

    /// Hand the reconciler a task, and wake it.
    async fn begin(
        &self,
        operation: &'static str,
        deckies: Vec<DeckyName>,
    ) -> Result<TaskAccepted, DomainError> {
        let task = TaskId(Uuid::new_v4());
        self.inner
            .store
            .task_create(task, operation, &deckies, self.inner.clock.now())
            .await?;
        self.inner
            .bus
            .publish(Topic::fleet_changed(), serde_json::json!({ "task": task }));
        Ok(TaskAccepted { task, deckies })
    }
}

/// The kinds of deckies that this build knows.
#[must_use]
pub fn archetypes() -> Vec<ArchetypeView> {
    archetype::ALL.iter().map(archetype_view).collect()
}

/// The services that this build knows.
#[must_use]
pub fn services() -> Vec<ServiceView> {
    catalogue::ALL.iter().map(service_view).collect()
}

/// Set knobs of a service of `decky` that a form gives as text. The other services of its archetype stay; what is wrong with a
/// value is told when the decky is settled.
pub fn service_adjust(decky: &mut DeckySpec, service: &ServiceSlug, knobs: &BTreeMap<String, String>) {
    let knobs = knobs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    spec::adjust(decky, service, knobs, &BuiltIn);
}

/// A decky as it is wanted. Its interval, and whether it is to stand still, have columns of their own.
fn desired(record: &DeckyRecord) -> Result<DesiredDecky, DomainError> {
    let decky: DesiredDecky = serde_json::from_value(record.spec.clone())
        .map_err(|e| DomainError::internal("reading a wanted decky", e))?;
    Ok(DesiredDecky {
        mutate_interval_minutes: record.view.mutate_interval_minutes,
        stopped: record.view.stopped,
        ..decky
    })
}

/// The decky of `record` as it was when it was last looked at; nothing where it has not come yet.
fn last_seen(record: &DeckyRecord) -> Option<ObservedDecky> {
    use DeckyState::{Degraded, Mutating, Pending, Running};
    let view = &record.view;
    let made = desired(record).ok();
    (view.state != Pending).then(|| ObservedDecky {
        name: view.name.clone(),
        identity: made.as_ref().map(DesiredDecky::identity),
        loadout: made.as_ref().map(DesiredDecky::loadout),
        running: matches!(view.state, Running | Degraded | Mutating),
        seen: Seen::default(),
    })
}

/// Those of `there` that `spec` wants no more, where it wants the deckies `stays`.
fn leaving(spec: &FleetSpec, there: &[DeckyRecord], stays: &[DeckyName]) -> Vec<DeckyName> {
    let stays: BTreeSet<&DeckyName> = stays.iter().collect();
    let wanted = there
        .iter()
        .filter(|r| spec.replace && r.view.desired)
        .map(|r| &r.view.name);
    wanted.filter(|name| !stays.contains(name)).cloned().collect()
}

/// Count an attempt that the store refused because somebody else was faster.
///
/// # Errors
/// The refusal, where another attempt would be of no use.
fn once_more(error: DbError, attempt: &mut u32) -> Result<(), DbError> {
    if matches!(error, DbError::Changed { .. }) && *attempt < ATTEMPTS {
        *attempt += 1;
        return Ok(());
    }
    Err(error)
}

/// # Errors
/// Where `decky` is not wanted, or is to stand still.
fn ensure_to_run(decky: &DeckyView) -> Result<(), DomainError> {
    let name = &decky.name;
    if !decky.desired {
        return Err(DomainError::not_found("decky", name));
    }
    if decky.stopped {
        return Err(DomainError::Conflict(format!(
            "{name} is stopped: start it first"
        )));
    }
    Ok(())
}

/// Do what takes its time with a long description where no request waits behind it.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, DomainError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| DomainError::internal("reading a description", e))
}

fn invalid(faults: Vec<SpecFault>) -> DomainError {
    DomainError::Invalid(faults.into_iter().map(field_error).collect())
}

fn field_error(fault: SpecFault) -> FieldError {
    FieldError {
        field: fault.field,
        message: fault.problem,
    }
}

/// Names for the audit log, which has room for some.
fn names(deckies: &[DeckyName]) -> String {
    const SHOWN: usize = 8;
    let mut text: Vec<&str> = deckies.iter().take(SHOWN).map(DeckyName::as_str).collect();
    let more = format!("and {} more", deckies.len().saturating_sub(SHOWN));
    if deckies.len() > SHOWN {
        text.push(&more);
    }
    text.join(" ")
}

fn archetype_view(archetype: &Archetype) -> ArchetypeView {
    let served = || archetype.services.iter().filter_map(|slug| catalogue::find(slug));
    // The first is what makes the machine what it is.
    let own = archetype
        .services
        .first()
        .filter(|slug| catalogue::find(slug).is_none());
    let summary = match own {
        None => archetype.summary.to_owned(),
        Some(own) => {
            let others: Vec<&str> = served().map(|meta| meta.slug).collect();
            format!(
                "{}; without {own} yet, so it is known by {} alone",
                archetype.summary,
                others.join(", ")
            )
        }
    };
    ArchetypeView {
        slug: archetype.slug.into(),
        label: archetype.label.into(),
        summary,
        os: archetype.os.to_string(),
        distros: archetype.distros.iter().map(ToString::to_string).collect(),
        services: served().map(Meta::slug).collect(),
        usual: usual(archetype, &BuiltIn),
    }
}

fn service_view(meta: &Meta) -> ServiceView {
    let category = match meta.category {
        Category::RemoteAccess => "remote access",
        Category::Web => "web",
        Category::Files => "files",
        Category::Mail => "mail",
        Category::Database => "database",
    };
    let port = |port: &Port| match port {
        Port::Tcp(n) => format!("{n}/tcp"),
        Port::Udp(n) => format!("{n}/udp"),
    };
    ServiceView {
        slug: meta.slug(),
        label: meta.label.into(),
        category: category.into(),
        ports: meta.listen.iter().map(port).collect(),
        knobs: knob_views(meta.slug),
    }
}

fn knob_views(service: &str) -> Vec<KnobView> {
    let presets = catalogue::default_knobs(service).unwrap_or_default();
    let preset = |name| match presets.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let view = |knob: &About| KnobView {
        name: knob.name.to_owned(),
        kind: knob.kind,
        words: knob.words.iter().map(ToString::to_string).collect(),
        preset: preset(knob.name),
        // Written for rustdoc.
        summary: knob.summary.trim().replace('`', ""),
    };
    catalogue::knobs(service).iter().map(view).collect()
}
