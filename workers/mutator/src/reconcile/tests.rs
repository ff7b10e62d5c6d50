//! The reconciler against an engine in memory and a real store in a temporary folder.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use decnet_fleet::{Surroundings, engine::Seen, resolve};
use decnet_model::{
    clock::{Clock as _, ManualClock},
    fleet::{DeckySpec, FleetSpec, ServiceSpec},
    name::ServiceSlug,
    topic::Pattern,
};
use decnet_runtime::{Context, Settings, Shutdown, quarantine::DEATHS, settings::Sources};
use decnet_testkit::bus::{DOOMS, Doomed};
use tokio::sync::Notify;
use uuid::Uuid;

use super::*;
use crate::Mutator;

/// What the engine has: what each was made from, whether it runs, how it died.
type World = BTreeMap<DeckyName, (DesiredDecky, bool, Option<String>)>;

/// Deckies in memory. They die and fail as a test wants it.
#[derive(Default)]
struct Memory {
    world: Mutex<World>,
    starts_fail: AtomicBool,
    /// What is not started, and why.
    refuses: Mutex<Option<(DeckyName, StepError)>>,
    removals_fail: AtomicBool,
    /// Nothing can be made, or seen.
    unprepared: AtomicBool,
    away: AtomicBool,
    /// Is told when something is to be made, which then never gets any further.
    hangs: Option<Arc<Notify>>,
    /// What is started only once this is told.
    gate: Mutex<Option<(DeckyName, Arc<Notify>)>>,
    /// How often it was tried.
    tries: AtomicU32,
    /// Where its deckies stand, and who is there already.
    around: Option<Surroundings>,
    tidied: AtomicBool,
    swept: AtomicBool,
    /// Who runs and does nothing.
    hung: Mutex<BTreeSet<DeckyName>>,
    /// Who did not end in order when it was told to, and how.
    lost: Mutex<BTreeMap<DeckyName, String>>,
    /// Of whom it is not known whether they are contained, and why.
    uncontained: Mutex<BTreeMap<DeckyName, String>>,
}

impl Memory {
    fn kill(&self, name: &DeckyName) {
        let mut world = self.world.lock().unwrap();
        let decky = world.get_mut(name).unwrap();
        decky.1 = false;
        decky.2 = Some("signal 9".into());
    }
    /// Something beside the decky's own program ends.
    fn part_ends(&self, name: &DeckyName) {
        self.world.lock().unwrap().get_mut(name).unwrap().2 = Some("intranet ended".into());
    }
    fn is_whole(&self, name: &DeckyName) -> bool {
        let world = self.world.lock().unwrap();
        world.get(name).is_some_and(|d| d.1 && d.2.is_none())
    }
    fn names(&self) -> Vec<String> {
        self.world
            .lock()
            .unwrap()
            .keys()
            .map(ToString::to_string)
            .collect()
    }
    /// Let there be `name`, as a crash between two steps would leave it.
    fn leave(&self, name: &str) -> DeckyName {
        let orphan: DeckyName = name.parse().unwrap();
        let mut world = self.world.lock().unwrap();
        let mut made = world.values().next().unwrap().clone();
        made.0.name = orphan.clone();
        world.insert(orphan.clone(), made);
        orphan
    }
    fn runs(&self, name: &DeckyName) -> bool {
        self.world.lock().unwrap().get(name).is_some_and(|d| d.1)
    }
}

impl Engine for Memory {
    fn name(&self) -> &'static str {
        "local"
    }
    async fn observe(&self) -> Result<Vec<ObservedDecky>, EngineError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(EngineError::Unavailable("the daemon is away".into()));
        }
        let world = self.world.lock().unwrap();
        let hung = self.hung.lock().unwrap();
        Ok(world
            .iter()
            .map(|(name, (made, running, died))| ObservedDecky {
                name: name.clone(),
                // As of a container that hangs.
                identity: (!hung.contains(name)).then(|| made.identity()),
                // One of which a part is gone does not run all that it should.
                loadout: (!*running || died.is_none()).then(|| made.loadout()),
                running: *running,
                seen: Seen {
                    listen: BTreeMap::new(),
                    died: hung
                        .get(name)
                        .map(|_| "no sign of life".into())
                        .or_else(|| died.clone()),
                    lost: self.lost.lock().unwrap().get(name).cloned(),
                    uncontained: self.uncontained.lock().unwrap().get(name).cloned(),
                },
            })
            .collect())
    }
    async fn prepare(&self, first: &DesiredDecky) -> Result<(), EngineError> {
        if let Some(reached) = &self.hangs {
            reached.notify_one();
            std::future::pending::<()>().await;
        }
        if self.unprepared.load(Ordering::SeqCst) {
            return Err(EngineError::Unavailable(format!("no ground for {}", first.name)));
        }
        Ok(())
    }
    async fn surroundings(&self) -> Result<Option<Surroundings>, EngineError> {
        Ok(self.around.clone())
    }
    async fn sweep(&self) -> Result<(), EngineError> {
        self.swept.store(true, Ordering::SeqCst);
        Ok(())
    }
    async fn tidy(&self) -> Result<(), EngineError> {
        self.tidied.store(true, Ordering::SeqCst);
        Ok(())
    }
    async fn run(&self, step: &Step) -> Result<(), StepError> {
        if step.kind() == StepKind::Start
            && let Some((name, why)) = &*self.refuses.lock().unwrap()
            && name == step.decky()
        {
            return Err(why.clone());
        }
        let ip = |name: &DeckyName| self.world.lock().unwrap().get(name).map(|(made, ..)| made.ip);
        if let (Step::Start(name), Some(around)) = (step, &self.around)
            && let Some(ip) = ip(name).filter(|ip| around.reserved.contains(ip))
        {
            return Err(StepError::taken(ip, format!("{ip} is in use by the machine …")));
        }
        let gate = self.gate.lock().unwrap().clone();
        if step.kind() == StepKind::Start
            && let Some((_, open)) = gate.filter(|(name, _)| name == step.decky())
        {
            self.tries.fetch_add(1, Ordering::SeqCst);
            open.notified().await;
        }
        let mut world = self.world.lock().unwrap();
        match step {
            Step::Create(d) | Step::Reconfigure(d) => {
                let running = step.kind() == StepKind::Reconfigure;
                world.insert(d.name.clone(), (*d.clone(), running, None));
            }
            Step::Start(name) => {
                let fails = self.starts_fail.load(Ordering::SeqCst);
                let decky = world.get_mut(name).unwrap();
                decky.1 = !fails;
                decky.2 = fails.then(|| "port in use".to_owned());
                if fails {
                    return Err(StepError::lasting("port in use"));
                }
            }
            Step::Stop(name) => {
                let decky = world.get_mut(name).unwrap();
                (decky.1, decky.2) = (false, None);
                self.hung.lock().unwrap().remove(name);
            }
            Step::Remove(_) if self.removals_fail.load(Ordering::SeqCst) => {
                return Err(StepError::lasting("device busy"));
            }
            Step::Remove(name) => {
                world.remove(name);
            }
        }
        Ok(())
    }
    async fn changed(&self) {
        std::future::pending().await
    }
    async fn shutdown(&self) {}
}

/// Three services without knobs, so that these tests do not depend on the catalogue.
struct Three;

impl Catalogue for Three {
    fn slugs(&self) -> Vec<ServiceSlug> {
        ["ssh", "http", "redis"]
            .iter()
            .map(|s| s.parse().unwrap())
            .collect()
    }
    fn ports(&self, slug: &ServiceSlug) -> Option<Vec<decnet_decoys::Port>> {
        let port = match slug.as_str() {
            "ssh" => 22,
            "http" => 80,
            "redis" => 6379,
            _ => return None,
        };
        Some(vec![decnet_decoys::Port::Tcp(port)])
    }
    fn default_knobs(&self, _: &ServiceSlug) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::new()
    }
    fn check_knob(&self, _: &ServiceSlug, _: &str, _: &serde_json::Value) -> Result<(), String> {
        Ok(())
    }
}

/// Linux servers that nobody has asked for yet.
fn servers(amount: u32, minutes: Option<u32>, now: OffsetDateTime) -> Vec<DesiredDecky> {
    let spec = FleetSpec {
        deckies: vec![DeckySpec {
            amount: Some(amount),
            archetype: Some("linux-server".into()),
            services: vec![ServiceSpec::of("ssh".parse().unwrap())],
            mutate_interval_minutes: minutes,
            ..DeckySpec::default()
        }],
        replace: false,
    };
    resolve(&spec, &[], &Limits::default(), &Three, now).unwrap()
}

struct Bench {
    dir: tempfile::TempDir,
    store: Store,
    clock: Arc<ManualClock>,
    bus: Bus,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(
            OffsetDateTime::from_unix_timestamp(1_780_000_000).unwrap(),
        ));
        let url = format!("sqlite://{}", dir.path().join("decnet.db").display());
        let options = decnet_db::Options::new(url);
        let store = Store::connect(&options).await.unwrap();
        store.migrate().await.unwrap();
        Self {
            dir,
            store,
            clock,
            bus: Bus::fake(),
        }
    }

    fn reconciler<E: Engine>(&self, holder: &str, engine: E) -> Reconciler<E> {
        Reconciler::new(Parts {
            holder: holder.into(),
            store: self.store.clone(),
            bus: self.bus.clone(),
            clock: self.clock.clone(),
            catalogue: Arc::new(Three),
            outlets: self.dir.path().join("outlets"),
            mutate_interval: None,
            lan: BTreeMap::new(),
            engine: Arc::new(engine),
        })
    }

    /// Want `amount` Linux servers, as the domain does.
    async fn want(&self, amount: u32, minutes: Option<u32>) -> Vec<DeckyName> {
        let desired = servers(amount, minutes, self.clock.now());
        self.put(&desired).await;
        desired.into_iter().map(|d| d.name).collect()
    }

    async fn put(&self, desired: &[DesiredDecky]) {
        let new: Vec<NewDecky> = desired
            .iter()
            .map(|d| NewDecky {
                name: d.name.clone(),
                archetype: d.persona.archetype.clone(),
                distro: d.persona.distro.unwrap().to_string(),
                os: d.persona.os.unwrap().to_string(),
                hostname: d.persona.hostname.clone().unwrap(),
                ip: d.ip,
                mac: d.persona.mac.unwrap().to_string(),
                services: d.offers(),
                engine: "local".into(),
                mutate_interval_minutes: d.mutate_interval_minutes,
                spec: serde_json::to_value(d).unwrap(),
            })
            .collect();
        let there = self.store.decky_records().await.unwrap();
        let beside = there.into_iter().map(|r| (r.view.name, r.revision)).collect();
        let deployed = self.store.decky_deploy(&new, &[], &beside, self.clock.now());
        deployed.await.unwrap();
    }

    /// Have `change` made of what is wanted of a decky.
    async fn change(&self, name: &DeckyName, change: impl FnOnce(NewDecky) -> NewDecky) {
        let record = self.store.decky_record(name).await.unwrap().unwrap();
        let desired: DesiredDecky = serde_json::from_value(record.spec.clone()).unwrap();
        let new = change(wanted_anew(&record, &desired));
        self.store.decky_change(&[(new, record.revision)]).await.unwrap();
    }

    async fn task(&self, operation: &str, deckies: &[DeckyName]) -> TaskId {
        let id = TaskId(Uuid::new_v4());
        self.store
            .task_create(id, operation, deckies, self.clock.now())
            .await
            .unwrap();
        id
    }

    async fn state(&self, name: &DeckyName) -> DeckyState {
        self.store.decky_get(name).await.unwrap().unwrap().state
    }
}

#[tokio::test]
async fn what_is_wanted_comes_up_with_progress_and_what_is_dismissed_goes_and_orphans_with_it() {
    let bench = Bench::new().await;
    let names = bench.want(3, None).await;
    let deploy = bench.task("deploy", &names).await;
    let mut heard = bench.bus.subscribe(Pattern::exactly(&Topic::fleet_task(deploy)));
    heard.established().await;
    let mut it = bench.reconciler("a", Memory::default());
    assert_eq!(
        it.round().await.unwrap(),
        Round::Done {
            wanted: 3,
            running: 3,
            again: None
        }
    );
    assert_eq!(bench.state(&names[0]).await, DeckyState::Running);
    let task = bench.store.task_get(deploy).await.unwrap().unwrap();
    assert_eq!((task.status.as_str(), task.done, task.total), ("succeeded", 6, 6));
    let event = tokio::time::timeout(Duration::from_secs(10), heard.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(event.parse::<TaskView>().unwrap().id, deploy);
    assert_eq!(
        it.round().await.unwrap(),
        Round::Done {
            wanted: 3,
            running: 3,
            again: None
        }
    );

    bench.store.decky_dismiss(&names[..2]).await.unwrap();
    let teardown = bench.task("teardown", &names[..2]).await;
    it.engine().leave("orphan");
    it.round().await.unwrap();
    assert_eq!(it.engine().names(), [names[2].to_string()]);
    assert_eq!(bench.store.decky_list().await.unwrap().len(), 1);
    assert_eq!(
        bench.store.task_get(teardown).await.unwrap().unwrap().status,
        "succeeded"
    );
}

#[tokio::test]
async fn orphans_are_told_by_the_order_that_takes_them_away_or_by_a_task_of_their_own() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    let report = |id| {
        let store = bench.store.clone();
        async move { store.task_report(id).await.unwrap().unwrap() }
    };
    for operation in ["redeploy", "reap"] {
        let left = it.engine().leave("left-01");
        let order = bench.task(operation, &names).await;
        it.round().await.unwrap();
        let told = report(order).await;
        assert_eq!((told.task.status.as_str(), told.task.done), ("succeeded", 2));
        assert_eq!((told.deckies, told.reaped), (names.clone(), vec![left]));
        assert_eq!(it.engine().names(), [names[0].to_string()]);
    }
    let nothing = bench.task("deploy", &names).await;
    bench.clock.advance(time::Duration::SECOND);
    let left = it.engine().leave("left-02");
    it.round().await.unwrap();
    assert_eq!(report(nothing).await.reaped, []);
    let newest = bench.store.task_page(None, None).await.unwrap().data.remove(0);
    assert_eq!(
        (newest.operation.as_str(), newest.status.as_str()),
        (REAP, "succeeded")
    );
    assert_eq!(report(newest.id).await.reaped, [left]);
}

#[tokio::test]
async fn a_reaping_that_was_cut_short_is_told_whole_and_one_that_fails_is_told_once() {
    let bench = Bench::new().await;
    bench.want(1, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    // The last mutator was killed when it had noted both and taken away one.
    let gone: DeckyName = "left-01".parse().unwrap();
    let left = it.engine().leave("left-02");
    let order = bench.task(REAP, &[]).await;
    bench
        .store
        .task_reap(order, &[gone.clone(), left.clone()])
        .await
        .unwrap();
    it.round().await.unwrap();
    let told = bench.store.task_report(order).await.unwrap().unwrap();
    assert_eq!(told.task.status, "succeeded");
    assert_eq!(told.reaped, [gone, left]);

    it.engine().removals_fail.store(true, Ordering::SeqCst);
    bench.clock.advance(time::Duration::SECOND);
    it.engine().leave("left-03");
    for _ in 0..3 {
        it.round().await.unwrap();
    }
    let tasks = bench.store.task_page(None, None).await.unwrap().data;
    assert_eq!(tasks.len(), 2, "{tasks:?}");
    assert_eq!(tasks[0].error.as_deref(), Some("left-03: device busy"));
    let told = bench.store.task_report(tasks[0].id).await.unwrap().unwrap();
    assert_eq!(told.reaped, []);
}

#[tokio::test]
async fn two_reconcilers_never_work_at_the_same_time() {
    let bench = Bench::new().await;
    bench.want(1, None).await;
    let mut a = bench.reconciler("a", Memory::default());
    let mut b = bench.reconciler("b", Memory::default());
    assert!(matches!(a.round().await.unwrap(), Round::Done { .. }));
    assert_eq!(b.round().await.unwrap(), Round::Elsewhere);
    assert_eq!(b.engine().names(), Vec::<String>::new());
    // The first is killed: its lease runs out.
    bench.clock.advance(LEASE_TTL);
    assert!(matches!(b.round().await.unwrap(), Round::Done { running: 1, .. }));
    assert_eq!(a.round().await.unwrap(), Round::Elsewhere);
    a.shutdown().await.unwrap();
    let name: DeckyName = "linux-server-01".parse().unwrap();
    assert_eq!(
        bench.state(&name).await,
        DeckyState::Running,
        "who has no lease says nothing"
    );
    b.shutdown().await.unwrap();
    assert_eq!(bench.state(&name).await, DeckyState::Pending);
    assert!(
        matches!(a.round().await.unwrap(), Round::Done { .. }),
        "given back in order"
    );
}

#[tokio::test]
async fn a_round_that_gets_no_further_ends_when_another_reconciler_has_the_lease() {
    let bench = Bench::new().await;
    bench.want(1, None).await;
    let reached = Arc::new(Notify::new());
    let engine = Memory {
        hangs: Some(Arc::clone(&reached)),
        ..Memory::default()
    };
    let mut a = bench.reconciler("a", engine);
    a.renew = Duration::from_millis(1);
    // It was put to sleep for so long that its lease ran out.
    let taken = async {
        reached.notified().await;
        let later = bench.clock.now() + LEASE_TTL;
        let other = bench.store.lease_acquire(LEASE, "b", later, LEASE_TTL);
        assert!(other.await.unwrap());
    };
    let (round, ()) = tokio::join!(a.round(), taken);
    assert!(matches!(round, Err(ReconcileError::LeaseLost)), "{round:?}");
    assert_eq!(a.round().await.unwrap(), Round::Elsewhere);
}

#[tokio::test]
async fn who_has_no_lease_notes_no_engine_and_who_has_it_again_notes_its_own() {
    let bench = Bench::new().await;
    let noted = async || {
        let noted = bench.store.setting_get(EngineNote::SETTING).await.unwrap();
        let noted: EngineNote = serde_json::from_str(&noted.unwrap()).unwrap();
        noted.lan.get("fleet-driver").cloned()
    };
    let mut a = bench.reconciler("a", Memory::default());
    let mut b = bench.reconciler("b", Memory::default());
    for (it, driver) in [(&mut a, "macvlan"), (&mut b, "ipvlan")] {
        it.parts.lan = [("fleet-driver".to_owned(), driver.to_owned())].into();
    }
    a.note_begun(None).await.unwrap();
    a.round().await.unwrap();
    b.note_begun(None).await.unwrap();
    b.round().await.unwrap();
    assert_eq!(noted().await.as_deref(), Some("macvlan"), "b may only watch");
    // Each is put to sleep until the other has the lease.
    bench.clock.advance(LEASE_TTL);
    b.round().await.unwrap();
    assert_eq!(noted().await.as_deref(), Some("ipvlan"));
    assert_eq!(a.round().await.unwrap(), Round::Elsewhere);
    bench.clock.advance(LEASE_TTL);
    a.round().await.unwrap();
    assert_eq!(noted().await.as_deref(), Some("macvlan"));
}

#[tokio::test]
async fn what_dies_is_restarted_with_growing_waits_and_after_five_deaths_left_alone_until_cleared() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let name = &names[0];
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    let mut waits = Vec::new();
    for death in 1..=DEATHS {
        it.engine().kill(name);
        let Round::Done { again, .. } = it.round().await.unwrap() else {
            panic!("no lease")
        };
        assert!(!it.engine().runs(name), "it is not restarted at once");
        if death < DEATHS {
            waits.push(again.unwrap().as_secs());
            // Looking again before its time changes nothing, and counts nothing.
            it.round().await.unwrap();
            assert_eq!(
                bench
                    .store
                    .decky_record(name)
                    .await
                    .unwrap()
                    .unwrap()
                    .failures
                    .len(),
                death
            );
            bench
                .clock
                .advance(time::Duration::try_from(again.unwrap()).unwrap());
            it.round().await.unwrap();
            assert!(it.engine().runs(name), "restarted after death {death}");
        }
    }
    assert_eq!(waits, [1, 2, 4, 8]);
    let view = bench.store.decky_get(name).await.unwrap().unwrap();
    assert_eq!(view.state, DeckyState::Failed);
    assert!(view.last_error.unwrap().contains("quarantine"));
    bench.clock.advance(time::Duration::hours(2));
    it.round().await.unwrap();
    assert!(!it.engine().runs(name), "it stays so whatever time passes");
    bench.store.decky_set_failures(name, &[], false).await.unwrap();
    it.round().await.unwrap();
    assert!(it.engine().runs(name));
    assert_eq!(bench.state(name).await, DeckyState::Running);
}

#[tokio::test]
async fn a_part_that_ends_is_started_again_with_the_same_patience_while_the_rest_runs() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let name = &names[0];
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    let mut waits = Vec::new();
    for death in 1..=DEATHS {
        it.engine().part_ends(name);
        let Round::Done { again, .. } = it.round().await.unwrap() else {
            panic!("no lease")
        };
        assert!(it.engine().runs(name), "what runs is left alone");
        assert!(!it.engine().is_whole(name), "it is not started again at once");
        let view = bench.store.decky_get(name).await.unwrap().unwrap();
        assert_eq!(view.state, DeckyState::Degraded);
        assert!(view.last_error.unwrap().contains("intranet ended"));
        if death < DEATHS {
            waits.push(again.unwrap().as_secs());
            bench
                .clock
                .advance(time::Duration::try_from(again.unwrap()).unwrap());
            it.round().await.unwrap();
            assert!(it.engine().is_whole(name), "started again after death {death}");
            assert_eq!(bench.state(name).await, DeckyState::Running);
        }
    }
    assert_eq!(waits, [1, 2, 4, 8]);
    let view = bench.store.decky_get(name).await.unwrap().unwrap();
    assert!(view.last_error.unwrap().contains("quarantine"));
    bench.clock.advance(time::Duration::hours(2));
    it.round().await.unwrap();
    assert!(!it.engine().is_whole(name) && it.engine().runs(name));
    bench.store.decky_set_failures(name, &[], false).await.unwrap();
    it.round().await.unwrap();
    assert!(it.engine().is_whole(name));
}

#[tokio::test]
async fn one_that_is_not_known_to_be_contained_is_degraded_with_the_reason_and_runs_on() {
    let bench = Bench::new().await;
    let names = bench.want(2, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    let why = "contain it: iptables-restore: not permitted".to_owned();
    it.engine()
        .uncontained
        .lock()
        .unwrap()
        .insert(names[0].clone(), why);
    // Longer than whatever dies has to wait: it is no death, however often it is seen.
    for _ in 0..=DEATHS {
        it.round().await.unwrap();
        bench.clock.advance(time::Duration::minutes(1));
    }
    let view = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    assert_eq!(view.state, DeckyState::Degraded);
    assert_eq!(
        view.last_error.as_deref(),
        Some("not known to be contained: contain it: iptables-restore: not permitted")
    );
    assert!(it.engine().runs(&names[0]) && !view.quarantined);
    assert_eq!(bench.state(&names[1]).await, DeckyState::Running);
    it.engine().uncontained.lock().unwrap().clear();
    it.round().await.unwrap();
    let view = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    assert_eq!((view.state, view.last_error), (DeckyState::Running, None));
}

#[tokio::test]
async fn one_that_hangs_is_degraded_and_started_anew_with_the_patience_for_what_died() {
    let bench = Bench::new().await;
    let names = bench.want(2, None).await;
    let name = &names[0];
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    let hangs = |it: &Reconciler<Memory>| it.engine().hung.lock().unwrap().contains(name);
    let mut waits = Vec::new();
    for death in 1..=DEATHS {
        it.engine().hung.lock().unwrap().insert(name.clone());
        let Round::Done { again, .. } = it.round().await.unwrap() else {
            panic!("no lease")
        };
        assert!(hangs(&it), "it is not started anew at once");
        let view = bench.store.decky_get(name).await.unwrap().unwrap();
        assert_eq!(view.state, DeckyState::Degraded);
        assert!(view.last_error.unwrap().contains("no sign of life"));
        if death < DEATHS {
            waits.push(again.unwrap().as_secs());
            let wait = time::Duration::try_from(again.unwrap()).unwrap();
            bench.clock.advance(wait);
            it.round().await.unwrap();
            assert!(!hangs(&it) && it.engine().runs(name));
            assert_eq!(bench.state(name).await, DeckyState::Running);
        }
    }
    assert_eq!(waits, [1, 2, 4, 8]);
    let view = bench.store.decky_get(name).await.unwrap().unwrap();
    assert!(view.last_error.unwrap().contains("quarantine"));
    assert_eq!(bench.state(&names[1]).await, DeckyState::Running);
}

#[tokio::test]
async fn what_no_decky_uses_any_more_is_swept_after_steps_and_only_then() {
    let bench = Bench::new().await;
    let mut it = bench.reconciler("a", Memory::default());
    bench.want(1, None).await;
    it.round().await.unwrap();
    assert!(it.engine().swept.swap(false, Ordering::SeqCst));
    it.round().await.unwrap();
    assert!(!it.engine().swept.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_decky_that_cannot_start_fails_its_task_with_the_reason_and_is_tried_again() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let deploy = bench.task("deploy", &names).await;
    let mut it = bench.reconciler(
        "a",
        Memory {
            starts_fail: true.into(),
            ..Memory::default()
        },
    );
    it.round().await.unwrap();
    let task = bench.store.task_get(deploy).await.unwrap().unwrap();
    assert_eq!(task.status, "failed");
    assert!(task.error.unwrap().contains("port in use"));
    assert_eq!(bench.state(&names[0]).await, DeckyState::Failed);
    it.engine().starts_fail.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        it.round().await.unwrap();
        bench.clock.advance(time::Duration::seconds(2));
    }
    assert_eq!(bench.state(&names[0]).await, DeckyState::Running);
}

#[tokio::test]
async fn a_decky_that_waits_for_its_image_holds_no_other_up_and_its_task_ends_when_it_runs() {
    let bench = Bench::new().await;
    let names = bench.want(2, None).await;
    let deploy = bench.task("deploy", &names).await;
    let mut it = bench.reconciler("a", Memory::default());
    let waits = StepError::waiting("intranet: pulling a:1: 3 of 9 MB so far");
    *it.engine().refuses.lock().unwrap() = Some((names[0].clone(), waits));
    for _ in 0..3 {
        let round = it.round().await.unwrap();
        let again = Some(Duration::from_secs(2));
        assert_eq!(
            round,
            Round::Done {
                wanted: 2,
                running: 1,
                again
            }
        );
        assert_eq!(bench.state(&names[0]).await, DeckyState::Deploying);
        assert_eq!(bench.state(&names[1]).await, DeckyState::Running);
        let task = bench.store.task_get(deploy).await.unwrap().unwrap();
        assert_eq!((task.status.as_str(), task.error), ("running", None));
    }
    let step = bench.store.task_get(deploy).await.unwrap().unwrap().step;
    assert!(step.contains("pulling a:1: 3 of 9 MB"), "{step}");
    let shown = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    assert!(shown.last_error.unwrap().contains("pulling a:1"));
    *it.engine().refuses.lock().unwrap() = None;
    it.round().await.unwrap();
    let task = bench.store.task_get(deploy).await.unwrap().unwrap();
    assert_eq!((task.status.as_str(), task.error), ("succeeded", None));
    let shown = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    assert_eq!((shown.state, shown.last_error), (DeckyState::Running, None));
}

#[tokio::test]
async fn a_decky_whose_address_somebody_took_since_gets_another_one_where_nobody_chose_it() {
    let bench = Bench::new().await;
    let names = bench.want(3, None).await;
    let there = bench.store.decky_list().await.unwrap();
    // The third was told where to stand.
    bench
        .change(&names[2], |new| {
            let mut desired: DesiredDecky = serde_json::from_value(new.spec.clone()).unwrap();
            assert!(desired.ip_drawn);
            desired.ip_drawn = false;
            let spec = serde_json::to_value(&desired).unwrap();
            NewDecky { spec, ..new }
        })
        .await;
    let engine = Memory {
        around: Some(Surroundings {
            network: Limits::default().network,
            reserved: [there[0].ip, there[2].ip].into(),
            macs: BTreeMap::new(),
        }),
        ..Memory::default()
    };
    let mut it = bench.reconciler("a", engine);
    let first = bench.task("deploy", &names[..2]).await;
    assert_eq!(ended(&bench, &mut it, first).await, ("succeeded".into(), None));
    let now = bench.store.decky_list().await.unwrap();
    assert_ne!(now[0].ip, there[0].ip);
    assert!(!now[1..].iter().any(|other| other.ip == now[0].ip));
    assert_eq!(
        (now[0].state, now[0].hostname.clone(), now[0].mac.clone()),
        (
            DeckyState::Running,
            there[0].hostname.clone(),
            there[0].mac.clone()
        )
    );
    assert_eq!((now[1].state, now[1].ip), (DeckyState::Running, there[1].ip));
    assert_eq!((now[2].state, now[2].ip), (DeckyState::Failed, there[2].ip));
    let why = now[2].last_error.clone().unwrap();
    assert!(why.contains("in use by the machine"), "{why}");
}

#[tokio::test]
async fn a_second_host_of_one_machine_comes_up_beside_the_first() {
    use std::{net::TcpListener, os::unix::fs::PermissionsExt as _};

    use decnet_fleet::engine::local::{LocalEngine, LocalOptions};

    let bench = Bench::new().await;
    let program = bench.dir.path().join("program.sh");
    let text = "#!/bin/sh\ntrap 'exit 0' TERM\ntrap 'echo well >&2' USR1\necho ready >&2\nwhile :; do sleep 1 & wait $!; done\n";
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let limits = Limits {
        network: "127.95.0.0/16".parse().unwrap(),
        ..Limits::default()
    };
    let options = LocalOptions {
        deckies: bench.dir.path().join("deckies"),
        outlets: bench.dir.path().join("outlets"),
        program,
        port_offset: 10_000,
        network: limits.network,
    };
    let engine = LocalEngine::open(options, Arc::new(Three)).unwrap();
    // The first host has chosen the same four addresses, and some that the second would go on to.
    let port = 22 + engine.port_offset();
    let theirs: Vec<IpAddr> = (2..9).map(|last| IpAddr::from([127, 95, 0, last])).collect();
    let first: Vec<TcpListener> = theirs
        .iter()
        .map(|ip| TcpListener::bind((*ip, port)).unwrap())
        .collect();
    let mut desired = servers(4, None, bench.clock.now());
    for (decky, ip) in desired.iter_mut().zip(&theirs) {
        decky.ip = *ip;
    }
    bench.put(&desired).await;
    let names: Vec<DeckyName> = desired.into_iter().map(|decky| decky.name).collect();
    let mut it = bench.reconciler("b", engine);
    let deploy = bench.task("deploy", &names).await;
    assert_eq!(ended(&bench, &mut it, deploy).await, ("succeeded".into(), None));
    let now = bench.store.decky_list().await.unwrap();
    assert_eq!(now.len(), 4);
    for decky in now {
        assert_eq!(
            (decky.state, decky.quarantined, decky.last_error),
            (DeckyState::Running, false, None)
        );
        assert!(
            !theirs.contains(&decky.ip) && limits.network.contains(&decky.ip),
            "{}",
            decky.ip
        );
    }
    it.shutdown().await.unwrap();
    drop(first);
}

/// Let `it` look until the task `id` has ended; gives how.
async fn ended<E: Engine>(bench: &Bench, it: &mut Reconciler<E>, id: TaskId) -> (String, Option<String>) {
    let looked = async {
        loop {
            it.round().await.unwrap();
            let task = bench.store.task_get(id).await.unwrap().unwrap();
            if task.status != "running" {
                return (task.status, task.error);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looked)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_decky_that_hangs_holds_no_other_order_up_and_is_left_at_work_until_it_runs() {
    let bench = Bench::new().await;
    let names = bench.want(2, None).await;
    let deploy = bench.task("deploy", &names[..1]).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.patience = Duration::from_millis(10);
    let open = Arc::new(Notify::new());
    *it.engine().gate.lock().unwrap() = Some((names[0].clone(), Arc::clone(&open)));
    let Round::Done { again, .. } = it.round().await.unwrap() else {
        panic!("nobody else has the lease");
    };
    assert_eq!(again, Some(Duration::from_secs(2)));

    // It goes on, and what is ordered meanwhile is done.
    bench.store.decky_set_stopped(&names[1..], true).await.unwrap();
    let stop = bench.task("stop", &names[1..]).await;
    assert_eq!(ended(&bench, &mut it, stop).await, ("succeeded".into(), None));
    assert!(!it.engine().runs(&names[1]));
    let shown = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    assert_eq!(shown.state, DeckyState::Deploying);
    assert!(shown.last_error.unwrap().contains("longer than usual"));
    let task = bench.store.task_get(deploy).await.unwrap().unwrap();
    assert_eq!((task.status.as_str(), task.done, task.total), ("running", 1, 2));

    open.notify_one();
    assert_eq!(ended(&bench, &mut it, deploy).await, ("succeeded".into(), None));
    let task = bench.store.task_get(deploy).await.unwrap().unwrap();
    assert_eq!((task.done, task.total), (2, 2));
    assert_eq!(it.engine().tries.load(Ordering::SeqCst), 1, "nobody began anew");
    let shown = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    assert_eq!((shown.state, shown.last_error), (DeckyState::Running, None));
}

#[tokio::test]
async fn what_hangs_is_cut_short_by_an_order_about_it_by_the_loss_of_the_lease_and_by_the_end() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.patience = Duration::from_millis(10);
    let open = Arc::new(Notify::new());
    let hang = |it: &Reconciler<Memory>| {
        *it.engine().gate.lock().unwrap() = Some((names[0].clone(), Arc::clone(&open)));
    };
    hang(&it);
    it.round().await.unwrap();
    assert_eq!(it.engine().names().len(), 1);
    bench.store.decky_dismiss(&names).await.unwrap();
    let teardown = bench.task("teardown", &names).await;
    assert_eq!(ended(&bench, &mut it, teardown).await, ("succeeded".into(), None));
    assert_eq!(it.engine().names(), Vec::<String>::new());

    bench.want(1, None).await;
    it.round().await.unwrap();
    // The other one begins from what there is, and nobody works beside it.
    let later = bench.clock.now() + LEASE_TTL;
    assert!(
        bench
            .store
            .lease_acquire(LEASE, "b", later, LEASE_TTL)
            .await
            .unwrap()
    );
    assert_eq!(it.round().await.unwrap(), Round::Elsewhere);
    assert!(it.works.is_empty());
    bench.store.lease_release(LEASE, "b").await.unwrap();

    it.round().await.unwrap();
    assert!(!it.works.is_empty());
    it.shutdown().await.unwrap();
    assert!(it.works.is_empty());
    assert_eq!(bench.state(&names[0]).await, DeckyState::Pending);
    let now = bench.clock.now();
    assert!(!bench.store.lease_is_held(LEASE, now).await.unwrap());
}

#[tokio::test]
async fn what_goes_on_beside_the_rounds_ends_where_the_database_says_no_more_who_holds_the_lease() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.patience = Duration::from_millis(10);
    *it.engine().gate.lock().unwrap() = Some((names[0].clone(), Arc::default()));
    it.round().await.unwrap();
    assert!(!it.works.is_empty());
    bench.store.close().await;
    let round = it.round().await;
    assert!(matches!(round, Err(ReconcileError::Database(_))), "{round:?}");
    assert!(it.works.is_empty());
}

#[tokio::test]
async fn steps_of_before_an_order_do_not_end_it_however_they_ended() {
    for operation in ["redeploy", "mutate"] {
        let bench = Bench::new().await;
        let names = bench.want(1, None).await;
        let mut it = bench.reconciler("a", Memory::default());
        it.patience = Duration::from_millis(10);
        let open = Arc::new(Notify::new());
        *it.engine().gate.lock().unwrap() = Some((names[0].clone(), Arc::clone(&open)));
        it.round().await.unwrap();
        assert!(!it.works.is_empty());
        // They fail before anybody hears of the order.
        if operation == "redeploy" {
            bench.change(&names[0], |new| new).await;
        }
        let order = bench.task(operation, &names).await;
        *it.engine().gate.lock().unwrap() = None;
        it.engine().starts_fail.store(true, Ordering::SeqCst);
        open.notify_one();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        it.engine().starts_fail.store(false, Ordering::SeqCst);
        for _ in 0..3 {
            it.round().await.unwrap();
            bench.clock.advance(time::Duration::seconds(2));
        }
        let task = bench.store.task_get(order).await.unwrap().unwrap();
        assert_eq!(
            (task.status.as_str(), task.error),
            ("succeeded", None),
            "{operation}"
        );
        assert!(it.engine().runs(&names[0]));
    }
}

#[tokio::test]
async fn a_task_goes_on_while_one_of_its_deckies_is_at_work_and_tells_then_what_failed_and_still_does() {
    for recovers in [false, true] {
        let bench = Bench::new().await;
        let names = bench.want(2, None).await;
        let deploy = bench.task("deploy", &names).await;
        let mut it = bench.reconciler("a", Memory::default());
        it.patience = Duration::from_millis(10);
        let open = Arc::new(Notify::new());
        *it.engine().gate.lock().unwrap() = Some((names[1].clone(), Arc::clone(&open)));
        it.engine().starts_fail.store(true, Ordering::SeqCst);
        it.round().await.unwrap();
        it.engine().starts_fail.store(false, Ordering::SeqCst);
        // The one that failed waits for another try, and the other one is still at work.
        for _ in 0..2 {
            it.round().await.unwrap();
            let task = bench.store.task_get(deploy).await.unwrap().unwrap();
            assert_eq!((task.status.as_str(), task.error), ("running", None));
        }
        if recovers {
            bench.clock.advance(time::Duration::seconds(2));
            it.round().await.unwrap();
            assert!(it.engine().runs(&names[0]));
        }
        open.notify_one();
        let expected = match recovers {
            true => ("succeeded".to_owned(), None),
            false => ("failed".to_owned(), Some(format!("{}: port in use", names[0]))),
        };
        assert_eq!(ended(&bench, &mut it, deploy).await, expected);
        assert!(it.engine().runs(&names[1]));
    }
}

/// What makes `decky`.
fn making(decky: &DesiredDecky) -> Vec<Step> {
    vec![
        Step::Create(Box::new(decky.clone())),
        Step::Start(decky.name.clone()),
    ]
}

#[tokio::test(start_paused = true)]
async fn steps_that_are_begun_beside_one_that_hangs_are_waited_for() {
    let deckies = servers(2, None, OffsetDateTime::UNIX_EPOCH);
    let [hangs, other] = [&deckies[0], &deckies[1]];
    let engine = Arc::new(Memory::default());
    *engine.gate.lock().unwrap() = Some((hangs.name.clone(), Arc::default()));
    let mut works = Works::new(Options::default());
    works.begin(&engine, hangs.name.clone(), making(hangs), Some(1));
    while works.news(PATIENCE).await.is_some() {}
    assert!(works.has(&hangs.name));
    works.begin(&engine, other.name.clone(), making(other), Some(1));
    while works.news(PATIENCE).await.is_some() {}
    assert!(!works.has(&other.name) && works.has(&hangs.name));
    assert!(engine.runs(&other.name));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_ends_without_a_word_is_told_once() {
    let decky = servers(1, None, OffsetDateTime::UNIX_EPOCH).remove(0);
    let engine = Arc::new(Memory::default());
    let mut works = Works::new(Options::default());
    // Memory has no such decky, and panics.
    let start = vec![Step::Start(decky.name.clone())];
    works.begin(&engine, decky.name.clone(), start, Some(1));
    while works.news(PATIENCE).await.is_some() {}
    let told = works.heard().ended;
    let (name, failure) = told.first().unwrap();
    assert_eq!(*name, decky.name);
    assert!(failure.as_ref().unwrap().to_string().contains("without a word"));
    assert!(works.heard().ended.is_empty() && works.is_empty());
}

#[tokio::test]
async fn what_fails_in_every_round_is_shown_as_failed_all_the_while_and_an_order_is_shown_again() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let deploy = bench.task("deploy", &names).await;
    let mut it = bench.reconciler("a", Memory::default());
    let lacks = StepError::lasting("intranet: the image a:1 is not on this host");
    *it.engine().refuses.lock().unwrap() = Some((names[0].clone(), lacks));
    it.round().await.unwrap();
    let task = bench.store.task_get(deploy).await.unwrap().unwrap();
    assert_eq!(task.status, "failed");
    let failed = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    assert_eq!(failed.state, DeckyState::Failed);
    for _ in 0..2 {
        bench.clock.advance(time::Duration::seconds(30));
        it.round().await.unwrap();
        let view = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
        assert_eq!(
            view, failed,
            "nothing else was shown meanwhile, or `since` were another"
        );
    }
    bench.task("redeploy", &names).await;
    it.round().await.unwrap();
    let view = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    assert_eq!(view.state, DeckyState::Failed);
    assert!(view.since > failed.since, "it was shown as being deployed");
}

fn mutations(bench: &Bench) -> Vec<String> {
    let Ok(dir) = std::fs::read_dir(bench.dir.path().join("outlets/_mutator")) else {
        return Vec::new();
    };
    dir.flat_map(|e| {
        std::fs::read_to_string(e.unwrap().path())
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    })
    .collect()
}

#[tokio::test]
async fn an_ordered_mutation_changes_the_services_once_and_is_evidence() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    let before = it.engine().world.lock().unwrap()[&names[0]].0.clone();
    let task = bench.task("mutate", &names).await;
    it.round().await.unwrap();
    it.round().await.unwrap();
    let after = it.engine().world.lock().unwrap()[&names[0]].0.clone();
    assert_ne!(after.loadout(), before.loadout());
    assert_eq!(after.identity(), before.identity());
    assert_eq!(
        bench.store.task_get(task).await.unwrap().unwrap().status,
        "succeeded"
    );
    let lines = mutations(&bench);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let message = decnet_syslog::Message::parse(lines[0].as_bytes()).unwrap();
    assert_eq!(
        (message.hostname.as_deref(), message.msgid.as_deref()),
        (Some(names[0].as_str()), Some("mutation"))
    );
    assert!(
        lines[0].contains("services_before=\"ssh\"") && lines[0].contains("trigger=\"operator\""),
        "{lines:?}"
    );
}

#[tokio::test]
async fn an_ordered_mutation_is_made_once_however_long_nobody_can_carry_it_out() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let name = &names[0];
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    // The engine cannot be looked at: what would be changed is not known to be there.
    bench.clock.advance(time::Duration::SECOND);
    let order = bench.task("mutate", &names).await;
    it.engine().away.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(it.round().await.is_err());
        bench.clock.advance(time::Duration::SECOND);
    }
    assert_eq!(mutations(&bench), Vec::<String>::new());
    it.engine().away.store(false, Ordering::SeqCst);
    it.round().await.unwrap();
    it.round().await.unwrap();
    assert_eq!(mutations(&bench).len(), 1);
    let task = bench.store.task_get(order).await.unwrap().unwrap();
    assert_eq!((task.status.as_str(), task.error), ("succeeded", None));

    // It is down, and held back for a while.
    for _ in 0..2 {
        it.engine().kill(name);
        it.round().await.unwrap();
        bench.clock.advance(time::Duration::seconds(2));
        it.round().await.unwrap();
    }
    it.engine().kill(name);
    it.round().await.unwrap();
    assert!(!it.engine().runs(name));
    let order = TaskId(Uuid::from_u128(77));
    let now = bench.clock.now();
    let given = bench.store.task_create(order, "mutate", &names, now);
    given.await.unwrap();
    for _ in 0..3 {
        it.round().await.unwrap();
    }
    assert_eq!(mutations(&bench).len(), 2);
    let task = bench.store.task_get(order).await.unwrap().unwrap();
    assert_eq!(task.status, "running", "it does not run what it was given yet");
    bench.clock.advance(time::Duration::minutes(1));
    it.round().await.unwrap();
    let task = bench.store.task_get(order).await.unwrap().unwrap();
    assert_eq!((task.status.as_str(), task.error), ("succeeded", None));
    assert!(it.engine().runs(name));
    assert_eq!(mutations(&bench).len(), 2);
}

/// Three services, of which one is being chosen as `order` is called.
struct Overtaken {
    order: Box<dyn Fn() + Send + Sync>,
}

impl Catalogue for Overtaken {
    fn slugs(&self) -> Vec<ServiceSlug> {
        (self.order)();
        Three.slugs()
    }
    fn ports(&self, slug: &ServiceSlug) -> Option<Vec<decnet_decoys::Port>> {
        Three.ports(slug)
    }
    fn default_knobs(&self, slug: &ServiceSlug) -> BTreeMap<String, serde_json::Value> {
        Three.default_knobs(slug)
    }
    fn check_knob(&self, slug: &ServiceSlug, name: &str, value: &serde_json::Value) -> Result<(), String> {
        Three.check_knob(slug, name, value)
    }
}

/// What an operator orders while a mutation is being made.
type Order = fn(Store, DeckyName) -> Pin<Box<dyn Future<Output = ()> + Send>>;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_given_while_a_mutation_is_made_holds_and_no_mutation_is_told() {
    let stop: Order =
        |store, name| Box::pin(async move { store.decky_set_stopped(&[name], true).await.unwrap() });
    let dismiss: Order =
        |store, name| Box::pin(async move { drop(store.decky_dismiss(&[name]).await.unwrap()) });
    let interval: Order =
        |store, name| Box::pin(async move { store.decky_set_interval(&name, Some(7)).await.unwrap() });
    for (order, goes_on) in [(stop, false), (dismiss, false), (interval, true)] {
        let bench = Bench::new().await;
        let names = bench.want(1, None).await;
        let name = &names[0];
        let mut it = bench.reconciler("a", Memory::default());
        it.round().await.unwrap();
        let task = bench.task("mutate", &names).await;
        let (store, of) = (bench.store.clone(), name.clone());
        let once = std::sync::Once::new();
        it.parts.catalogue = Arc::new(Overtaken {
            order: Box::new(move || {
                once.call_once(|| {
                    let given = order(store.clone(), of.clone());
                    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(given));
                });
            }),
        });
        it.round().await.unwrap();
        assert_eq!(mutations(&bench), Vec::<String>::new());
        let record = bench.store.decky_record(name).await.unwrap();
        match record {
            None => assert!(it.engine().names().is_empty(), "it was taken down"),
            Some(record) if goes_on => {
                assert_eq!(record.view.mutate_interval_minutes, Some(7));
                let open = bench.store.task_get(task).await.unwrap().unwrap();
                assert_eq!(open.status, "running", "nothing was mutated yet");
            }
            Some(record) => assert!(record.view.stopped && !it.engine().runs(name)),
        }
        it.round().await.unwrap();
        assert_eq!(mutations(&bench).len(), usize::from(goes_on));
        let ended = bench.store.task_get(task).await.unwrap().unwrap();
        assert_ne!(ended.status, "running");
        assert!(ended.status == "succeeded" || !goes_on, "{ended:?}");
    }
}

#[tokio::test]
async fn a_decky_with_an_interval_mutates_when_it_is_over_and_not_before() {
    let bench = Bench::new().await;
    bench.want(1, Some(30)).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    bench.clock.advance(time::Duration::minutes(29));
    it.round().await.unwrap();
    assert_eq!(mutations(&bench).len(), 0);
    bench.clock.advance(time::Duration::minutes(2));
    it.round().await.unwrap();
    it.round().await.unwrap();
    let lines = mutations(&bench);
    assert!(
        lines.len() == 1 && lines[0].contains("trigger=\"schedule\""),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_decky_without_an_interval_follows_the_setting_and_without_one_the_configuration() {
    let bench = Bench::new().await;
    bench.want(1, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.parts.mutate_interval = Some(Duration::from_secs(30 * 60));
    it.round().await.unwrap();
    for (setting, minutes, mutated) in [
        (None, 29, 0),
        (None, 2, 1),
        (Some(0), 24 * 60, 1),
        (Some(60), 0, 2),
        (Some(60), 59, 2),
        (Some(60), 2, 3),
    ] {
        let set = Setting::MutationInterval;
        bench.store.setting_number_set(set, setting).await.unwrap();
        bench.clock.advance(time::Duration::minutes(minutes));
        it.round().await.unwrap();
        it.round().await.unwrap();
        assert_eq!(mutations(&bench).len(), mutated, "{setting:?} {minutes}");
    }
}

#[tokio::test]
async fn a_decky_that_is_never_to_mutate_does_not_whatever_the_fleet_does() {
    let bench = Bench::new().await;
    let names = bench.want(1, Some(0)).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.parts.mutate_interval = Some(Duration::from_secs(60));
    let set = Setting::MutationInterval;
    bench.store.setting_number_set(set, Some(1)).await.unwrap();
    for _ in 0..3 {
        it.round().await.unwrap();
        bench.clock.advance(time::Duration::days(400));
    }
    assert_eq!(mutations(&bench), Vec::<String>::new());
    // As the whole fleet again.
    bench.store.decky_set_interval(&names[0], None).await.unwrap();
    it.round().await.unwrap();
    assert_eq!(mutations(&bench).len(), 1);
}

#[tokio::test]
async fn a_clock_that_jumps_mutates_at_most_once_and_keeps_mutating() {
    for hours in [1, -1, 24 * 365, -24 * 365] {
        let bench = Bench::new().await;
        bench.want(1, Some(30)).await;
        let mut it = bench.reconciler("a", Memory::default());
        it.round().await.unwrap();
        bench.clock.advance(time::Duration::hours(hours));
        for _ in 0..5 {
            it.round().await.unwrap();
            bench.clock.advance(time::Duration::minutes(5));
        }
        assert_eq!(mutations(&bench).len(), 1, "{hours} hours");
        bench.clock.advance(time::Duration::minutes(30));
        it.round().await.unwrap();
        assert_eq!(mutations(&bench).len(), 2, "{hours} hours");
    }
}

#[tokio::test]
async fn a_clock_that_is_put_back_holds_no_decky_down_and_no_lease_up() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    it.engine().kill(&names[0]);
    it.round().await.unwrap();
    assert!(!it.engine().runs(&names[0]), "it waits a second");
    bench.clock.advance(time::Duration::hours(-1));
    it.round().await.unwrap();
    assert!(it.engine().runs(&names[0]));

    // It is killed, and its lease seems to last for hours.
    drop(it);
    bench.clock.advance(time::Duration::hours(-1));
    let mut other = bench.reconciler("b", Memory::default());
    assert!(matches!(other.round().await.unwrap(), Round::Done { .. }));
}

#[tokio::test]
async fn a_redeploy_makes_it_anew_and_what_cannot_be_read_is_told_and_left_alone() {
    let bench = Bench::new().await;
    let names = bench.want(2, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    let mut again = it.engine().world.lock().unwrap()[&names[0]].0.clone();
    again.generation += 1;
    bench.put(&[again.clone()]).await;
    let unreadable = |new| NewDecky {
        spec: serde_json::json!({ "from": "another version" }),
        ..new
    };
    bench.change(&names[1], unreadable).await;
    it.round().await.unwrap();
    assert_eq!(it.engine().world.lock().unwrap()[&names[0]].0.generation, 1);
    assert!(it.engine().runs(&names[1]), "it is left as it is");
    let view = bench.store.decky_get(&names[1]).await.unwrap().unwrap();
    assert_eq!(view.state, DeckyState::Degraded);
    assert!(view.last_error.unwrap().contains("cannot be read"));
}

#[tokio::test]
async fn where_nothing_can_be_made_every_decky_says_why_and_the_task_ends_with_it() {
    let bench = Bench::new().await;
    let engine = Memory::default();
    engine.unprepared.store(true, Ordering::SeqCst);
    let mut reconciler = bench.reconciler("a", engine);
    let names = bench.want(2, None).await;
    let task = bench.task("deploy", &names).await;
    reconciler.round().await.unwrap();
    for name in &names {
        let view = bench.store.decky_get(name).await.unwrap().unwrap();
        assert_eq!(view.state, DeckyState::Failed);
        assert!(view.last_error.unwrap().contains("no ground for"));
    }
    let task = bench.store.task_get(task).await.unwrap().unwrap();
    assert!(task.error.unwrap().contains("no ground for"));
    assert!(reconciler.engine().names().is_empty());
    // What was missing is there now.
    reconciler.engine().unprepared.store(false, Ordering::SeqCst);
    reconciler.round().await.unwrap();
    assert_eq!(bench.state(&names[0]).await, DeckyState::Running);
}

#[tokio::test]
async fn a_task_says_what_it_waits_for_while_the_engine_cannot_be_looked_at() {
    let bench = Bench::new().await;
    let engine = Memory::default();
    engine.away.store(true, Ordering::SeqCst);
    let mut reconciler = bench.reconciler("a", engine);
    let names = bench.want(1, None).await;
    let id = bench.task("deploy", &names).await;
    assert!(reconciler.round().await.is_err());
    let task = bench.store.task_get(id).await.unwrap().unwrap();
    assert!(task.step.contains("waiting: the daemon is away"), "{}", task.step);
    let away = async || {
        let noted = bench.store.setting_get(EngineNote::SETTING).await.unwrap();
        let noted: EngineNote = serde_json::from_str(&noted.unwrap()).unwrap();
        noted.away
    };
    assert_eq!(
        away().await.as_deref(),
        Some("the daemon is away"),
        "the host's health tells it"
    );
    reconciler.engine().away.store(false, Ordering::SeqCst);
    reconciler.round().await.unwrap();
    assert_eq!(away().await, None);
    assert_eq!(bench.state(&names[0]).await, DeckyState::Running);
    // What ran is not said to run while nobody can see it.
    reconciler.engine().away.store(true, Ordering::SeqCst);
    assert!(reconciler.round().await.is_err());
    let view = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    assert_eq!(view.state, DeckyState::Degraded);
    assert!(view.last_error.unwrap().contains("the daemon is away"));
    reconciler.engine().away.store(false, Ordering::SeqCst);
    reconciler.round().await.unwrap();
    assert_eq!(bench.state(&names[0]).await, DeckyState::Running);
}

#[tokio::test]
async fn what_deckies_share_is_taken_away_with_the_last_one() {
    let bench = Bench::new().await;
    let mut reconciler = bench.reconciler("a", Memory::default());
    let names = bench.want(1, None).await;
    reconciler.round().await.unwrap();
    assert!(!reconciler.engine().tidied.load(Ordering::SeqCst));
    bench.store.decky_dismiss(&names).await.unwrap();
    reconciler.round().await.unwrap();
    assert!(reconciler.engine().tidied.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_decky_of_another_engine_is_left_alone_and_told_and_forgotten_only_where_it_ended_with_that() {
    let bench = Bench::new().await;
    let mut reconciler = bench.reconciler("a", Memory::default());
    let names = bench.want(1, None).await;
    let elsewhere = |new| NewDecky {
        engine: "docker".into(),
        ..new
    };
    bench.change(&names[0], elsewhere).await;
    // What a container leaves here.
    let link = bench.dir.path().join("outlets").join(names[0].as_str());
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(bench.dir.path(), &link).unwrap();
    reconciler.round().await.unwrap();
    assert!(reconciler.engine().names().is_empty());
    let view = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    let told = view.last_error.unwrap();
    assert!(
        told.contains("on the engine docker") && !told.contains("take it down"),
        "{told}"
    );
    for (operation, stopped) in [("stop", true), ("start", false), ("mutate", false)] {
        bench.store.decky_set_stopped(&names, stopped).await.unwrap();
        let order = bench.task(operation, &names).await;
        reconciler.round().await.unwrap();
        let task = bench.store.task_get(order).await.unwrap().unwrap();
        assert_eq!(task.status, "failed", "{operation}: nothing was done");
        assert!(task.error.unwrap().contains("on the engine docker"));
    }
    // Its container runs on, and nobody here can end it.
    let gone = bench.task("teardown", &names).await;
    bench.store.decky_dismiss(&names).await.unwrap();
    for _ in 0..2 {
        reconciler.round().await.unwrap();
        let view = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
        assert_eq!(view.state, DeckyState::Stopping);
        let told = view.last_error.unwrap();
        let way_out = format!("remove outlets/{} ", names[0]);
        assert!(
            told.contains("engine=docker") && told.contains(&way_out),
            "{told}"
        );
    }
    let task = bench.store.task_get(gone).await.unwrap().unwrap();
    assert_eq!(task.status, "failed");
    assert!(task.error.unwrap().contains("start the host with engine=docker"));
    // Nothing of it is here: it was never made, or is gone.
    std::fs::remove_file(&link).unwrap();
    let gone = bench.task("teardown", &names).await;
    reconciler.round().await.unwrap();
    assert!(bench.store.decky_get(&names[0]).await.unwrap().is_none());
    let task = bench.store.task_get(gone).await.unwrap().unwrap();
    assert_eq!((task.status.as_str(), task.error), ("succeeded", None));
}

#[tokio::test]
async fn what_a_decky_lost_at_its_end_is_shown_while_it_is_down_and_runs_again_and_when_the_host_ends() {
    let bench = Bench::new().await;
    let names = bench.want(2, None).await;
    let [name, other] = [&names[0], &names[1]];
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    let lost = "7 lines of evidence are lost".to_owned();
    let stops = async |stopped: bool| {
        let stopping = std::slice::from_ref(name);
        bench.store.decky_set_stopped(stopping, stopped).await.unwrap();
    };
    let shown = async |name: &DeckyName| {
        let view = bench.store.decky_get(name).await.unwrap().unwrap();
        (view.state, view.last_error)
    };

    stops(true).await;
    *it.engine().lost.lock().unwrap() = BTreeMap::from([(name.clone(), lost.clone())]);
    it.round().await.unwrap();
    assert_eq!(shown(name).await, (DeckyState::Stopped, Some(lost.clone())));
    stops(false).await;
    it.round().await.unwrap();
    assert_eq!(shown(name).await, (DeckyState::Running, Some(lost.clone())));
    assert_eq!(shown(other).await, (DeckyState::Running, None));

    // The next end is in order, that of the other one is not.
    *it.engine().lost.lock().unwrap() = BTreeMap::from([(other.clone(), lost.clone())]);
    it.shutdown().await.unwrap();
    assert_eq!(shown(name).await, (DeckyState::Pending, None));
    assert_eq!(shown(other).await, (DeckyState::Pending, Some(lost)));
}

#[tokio::test]
async fn a_decky_that_is_stopped_stays_as_it_was_made_through_looks_and_restarts_and_is_started_as_that() {
    let bench = Bench::new().await;
    let names = bench.want(2, Some(30)).await;
    let [name, other] = [&names[0], &names[1]];
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    let made = it.engine().world.lock().unwrap()[name].0.clone();

    bench
        .store
        .decky_set_stopped(std::slice::from_ref(name), true)
        .await
        .unwrap();
    let stop = bench.task("stop", std::slice::from_ref(name)).await;
    let alone = Round::Done {
        wanted: 1,
        running: 1,
        again: None,
    };
    assert_eq!(it.round().await.unwrap(), alone);
    let task = bench.store.task_get(stop).await.unwrap().unwrap();
    assert_eq!((task.status.as_str(), task.done, task.total), ("succeeded", 1, 1));
    let view = bench.store.decky_get(name).await.unwrap().unwrap();
    assert_eq!(
        (view.state, view.stopped, view.last_error),
        (DeckyState::Stopped, true, None)
    );
    assert!(
        view.services.len() == 1 && view.services[0].listen.is_empty(),
        "it has its services, and they listen nowhere: {:?}",
        view.services
    );
    assert!(!it.engine().runs(name) && it.engine().runs(other));

    // Its time to mutate comes and goes, and the mutator with it.
    bench.clock.advance(time::Duration::minutes(31));
    for _ in 0..2 {
        it.round().await.unwrap();
    }
    let lines = mutations(&bench);
    assert!(
        lines.len() == 1 && lines[0].contains(other.as_str()),
        "only the other one changed: {lines:?}"
    );
    it.shutdown().await.unwrap();
    assert_eq!(bench.state(name).await, DeckyState::Stopped);
    assert_eq!(bench.state(other).await, DeckyState::Pending);
    let mut world = it.engine().world.lock().unwrap().clone();
    for decky in world.values_mut() {
        decky.1 = false;
    }
    let mut next = bench.reconciler(
        "b",
        Memory {
            world: Mutex::new(world),
            ..Memory::default()
        },
    );
    for _ in 0..2 {
        assert_eq!(next.round().await.unwrap(), alone);
    }
    assert!(!next.engine().runs(name) && next.engine().runs(other));
    assert_eq!(bench.state(name).await, DeckyState::Stopped);
    let tasks = bench.store.task_page(None, None).await.unwrap().data;
    assert_eq!(tasks.len(), 1, "nobody takes it for an orphan: {tasks:?}");

    bench
        .store
        .decky_set_stopped(std::slice::from_ref(name), false)
        .await
        .unwrap();
    let start = bench.task("start", std::slice::from_ref(name)).await;
    next.round().await.unwrap();
    let task = bench.store.task_get(start).await.unwrap().unwrap();
    assert_eq!(
        (task.status.as_str(), task.total),
        ("succeeded", 1),
        "it is not made anew"
    );
    assert_eq!(bench.state(name).await, DeckyState::Running);
    assert_eq!(next.engine().world.lock().unwrap()[name].0, made);
}

#[tokio::test]
async fn one_that_died_or_is_in_quarantine_is_stopped_without_a_fault_and_tried_anew_once_started() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let name = &names[0];
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    // A part of it ended so often that what runs of it is left alone.
    it.engine().part_ends(name);
    bench
        .store
        .decky_set_failures(name, &[bench.clock.now()], true)
        .await
        .unwrap();
    it.round().await.unwrap();
    assert_eq!(bench.state(name).await, DeckyState::Degraded);
    let set = |stopped| bench.store.decky_set_stopped(&names, stopped);
    set(true).await.unwrap();
    let stop = bench.task("stop", &names).await;
    it.round().await.unwrap();
    assert!(!it.engine().runs(name), "what is held back is ended all the same");
    let view = bench.store.decky_get(name).await.unwrap().unwrap();
    assert_eq!((view.state, view.last_error), (DeckyState::Stopped, None));
    assert_eq!(
        bench.store.task_get(stop).await.unwrap().unwrap().status,
        "succeeded"
    );
    set(false).await.unwrap();
    it.round().await.unwrap();
    assert!(it.engine().is_whole(name), "an operator has seen to it");

    // One that ended by itself leaves nothing, and is not restarted.
    it.engine().kill(name);
    set(true).await.unwrap();
    it.round().await.unwrap();
    bench.clock.advance(time::Duration::minutes(5));
    it.round().await.unwrap();
    assert_eq!(
        it.engine().world.lock().unwrap()[name].2,
        None,
        "what it left is taken away"
    );
    let record = bench.store.decky_record(name).await.unwrap().unwrap();
    assert_eq!(record.view.state, DeckyState::Stopped);
    assert!(record.failures.is_empty(), "it is down as it should be");
    set(false).await.unwrap();
    it.round().await.unwrap();
    assert!(it.engine().is_whole(name));
}

#[tokio::test]
async fn an_order_to_mutate_that_a_stop_overtook_ends_with_the_reason_and_changes_nothing() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    let task = bench.task("mutate", &names).await;
    bench.store.decky_set_stopped(&names, true).await.unwrap();
    it.round().await.unwrap();
    let task = bench.store.task_get(task).await.unwrap().unwrap();
    assert_eq!(
        (task.status.as_str(), task.error.as_deref()),
        ("failed", Some("linux-server-01: it was stopped"))
    );
    assert_eq!(mutations(&bench), Vec::<String>::new());
    assert_eq!(bench.state(&names[0]).await, DeckyState::Stopped);
}

/// Wait until exactly `wanted` run and nothing else is there, saying on the bus again and again that something changed.
async fn comes_to(bench: &Bench, wanted: &[DeckyName]) {
    let settled = async {
        loop {
            let there = bench.store.decky_list().await.unwrap();
            if there.len() == wanted.len() && there.iter().all(|decky| decky.state == DeckyState::Running) {
                return;
            }
            bench.bus.publish(Topic::fleet_changed(), "look");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled)
        .await
        .unwrap();
}

/// The worker around a reconciler of `bench`, which looks every `interval` at the latest.
fn worker(bench: &Bench, interval: Duration) -> Mutator<Memory> {
    let context = Context::new(
        Arc::new(Settings::read(&Sources::at(bench.dir.path())).unwrap()),
        bench.bus.clone(),
        Some(bench.store.clone()),
        bench.clock.clone(),
    );
    Mutator::looking(bench.reconciler("a", Memory::default()), &context, interval)
}

#[tokio::test]
async fn with_the_bus_off_the_worker_makes_the_fleet_by_looking_and_with_it_at_once() {
    for (bus, interval) in [
        (Bus::none(), Duration::from_millis(50)),
        // It looks once an hour: only a word on the bus can have woken it.
        (Bus::fake(), Duration::from_secs(3600)),
    ] {
        let bench = Bench {
            bus,
            ..Bench::new().await
        };
        // What is wanted when it begins needs no word: this shows that it has looked once.
        let names = bench.want(2, None).await;
        let worker = worker(&bench, interval);
        let shutdown = Shutdown::new();
        let order = shutdown.clone();
        let running = tokio::spawn(async move { worker.reconcile(order).await.unwrap() });
        comes_to(&bench, &names).await;

        bench.store.decky_dismiss(&names).await.unwrap();
        comes_to(&bench, &[]).await;
        let names = bench.want(3, None).await;
        comes_to(&bench, &names).await;
        shutdown.request();
        running.await.unwrap();
    }
}

#[tokio::test]
async fn with_a_bus_that_is_killed_or_never_answers_it_makes_the_fleet_by_looking() {
    for doom in DOOMS {
        let sockets = tempfile::tempdir().unwrap();
        let path = sockets.path().join("bus.sock");
        let mut doomed = Doomed::meet(doom, &path, "mutator").await.unwrap();
        let bench = Bench {
            bus: doomed.bus(),
            ..Bench::new().await
        };
        let names = bench.want(2, None).await;
        let worker = worker(&bench, Duration::from_millis(50));
        let shutdown = Shutdown::new();
        let order = shutdown.clone();
        let running = tokio::spawn(async move { worker.reconcile(order).await.unwrap() });
        comes_to(&bench, &names).await;

        doomed.comes().await.unwrap();
        let sent = bench.bus.stats().sent;
        bench.store.decky_dismiss(&names).await.unwrap();
        comes_to(&bench, &[]).await;
        let names = bench.want(1, None).await;
        comes_to(&bench, &names).await;
        assert_eq!(bench.bus.stats().sent, sent, "{doom:?}: nobody takes anything");
        shutdown.request();
        // It ends in order as well.
        running.await.unwrap();
    }
}

#[tokio::test]
async fn an_order_that_another_one_overtook_did_not_succeed() {
    let bench = Bench::new().await;
    let names = bench.want(1, None).await;
    let mut it = bench.reconciler("a", Memory::default());
    it.round().await.unwrap();
    for (operation, stopped, told) in [
        ("start", true, "it was stopped meanwhile"),
        ("deploy", true, "it was stopped meanwhile"),
        ("redeploy", true, "it was stopped meanwhile"),
        ("stop", false, "it was started meanwhile"),
    ] {
        bench.store.decky_set_stopped(&names, stopped).await.unwrap();
        let order = bench.task(operation, &names).await;
        it.round().await.unwrap();
        let task = bench.store.task_get(order).await.unwrap().unwrap();
        assert_eq!(task.status, "failed", "{operation}");
        assert_eq!(task.error, Some(format!("{}: {told}", names[0])));
        assert_eq!(it.engine().runs(&names[0]), !stopped, "{operation}");
    }
}
