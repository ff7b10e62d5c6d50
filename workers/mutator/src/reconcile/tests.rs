//! The reconciler against an engine in memory and a real store in a temporary folder.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use decnet_fleet::{Limits, engine::Seen, resolve};
use decnet_model::{
    clock::{Clock as _, ManualClock},
    fleet::{DeckySpec, FleetSpec, ServiceSpec},
    name::ServiceSlug,
    topic::Pattern,
};
use decnet_runtime::{Context, Settings, Shutdown, quarantine::DEATHS, settings::Sources};
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
    tidied: AtomicBool,
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
        Ok(world
            .iter()
            .map(|(name, (made, running, died))| ObservedDecky {
                name: name.clone(),
                identity: Some(made.identity()),
                // One of which a part is gone does not run all that it should.
                loadout: (!*running || died.is_none()).then(|| made.loadout()),
                running: *running,
                seen: Seen {
                    listen: BTreeMap::new(),
                    died: died.clone(),
                },
            })
            .collect())
    }
    async fn prepare(&self, first: &DesiredDecky) -> Result<(), EngineError> {
        if self.unprepared.load(Ordering::SeqCst) {
            return Err(EngineError::Unavailable(format!("no ground for {}", first.name)));
        }
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

    fn reconciler(&self, holder: &str, engine: Memory) -> Reconciler<Memory> {
        Reconciler::new(Parts {
            holder: holder.into(),
            store: self.store.clone(),
            bus: self.bus.clone(),
            clock: self.clock.clone(),
            catalogue: Arc::new(Three),
            outlets: self.dir.path().join("outlets"),
            mutate_interval: None,
            lan: BTreeMap::new(),
            engine,
        })
    }

    /// Want `amount` Linux servers, as the domain does.
    async fn want(&self, amount: u32, minutes: Option<u32>) -> Vec<DeckyName> {
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
        let desired = resolve(&spec, &[], &Limits::default(), &Three, self.clock.now()).unwrap();
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
        self.store.decky_put(&new, false, self.clock.now()).await.unwrap();
    }

    async fn task(&self, operation: &str, deckies: &[DeckyName]) -> TaskId {
        let id = TaskId(Uuid::from_u128(u128::from(operation.len() as u64) + 1));
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
    let Ok(dir) = std::fs::read_dir(bench.dir.path().join("outlets/mutator")) else {
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
    let mut record = wanted_anew(
        &bench.store.decky_record(&names[1]).await.unwrap().unwrap(),
        &it.engine().world.lock().unwrap()[&names[1]].0.clone(),
    );
    record.spec = serde_json::json!({ "from": "another version" });
    bench
        .store
        .decky_put(&[record], false, bench.clock.now())
        .await
        .unwrap();
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
async fn a_decky_of_another_engine_is_left_alone_and_told_and_forgotten_once_nobody_wants_it() {
    let bench = Bench::new().await;
    let mut reconciler = bench.reconciler("a", Memory::default());
    let names = bench.want(1, None).await;
    let record = bench.store.decky_record(&names[0]).await.unwrap().unwrap();
    let desired: DesiredDecky = serde_json::from_value(record.spec.clone()).unwrap();
    let elsewhere = NewDecky {
        engine: "docker".into(),
        ..wanted_anew(&record, &desired)
    };
    bench
        .store
        .decky_put(&[elsewhere], false, bench.clock.now())
        .await
        .unwrap();
    reconciler.round().await.unwrap();
    assert!(reconciler.engine().names().is_empty());
    let view = bench.store.decky_get(&names[0]).await.unwrap().unwrap();
    assert!(view.last_error.unwrap().contains("on the engine docker"));
    for (operation, stopped) in [("stop", true), ("start", false), ("mutate", false)] {
        bench.store.decky_set_stopped(&names, stopped).await.unwrap();
        let order = bench.task(operation, &names).await;
        reconciler.round().await.unwrap();
        let task = bench.store.task_get(order).await.unwrap().unwrap();
        assert_eq!(task.status, "failed", "{operation}: nothing was done");
        assert!(task.error.unwrap().contains("on the engine docker"));
    }
    let gone = bench.task("teardown", &names).await;
    bench.store.decky_dismiss(&names).await.unwrap();
    reconciler.round().await.unwrap();
    assert!(bench.store.decky_get(&names[0]).await.unwrap().is_none());
    let task = bench.store.task_get(gone).await.unwrap().unwrap();
    assert_eq!((task.status.as_str(), task.error), ("succeeded", None));
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
        let mut sources = Sources {
            working_dir: Some(bench.dir.path().to_owned()),
            ..Sources::default()
        };
        let folder = bench.dir.path().display().to_string();
        sources.env.insert("DECNET_DATA_DIR".into(), folder);
        let context = Context::new(
            Arc::new(Settings::read(&sources).unwrap()),
            bench.bus.clone(),
            Some(bench.store.clone()),
            bench.clock.clone(),
        );
        // What is wanted when it begins needs no word: this shows that it has looked once.
        let names = bench.want(2, None).await;
        let worker = Mutator::looking(bench.reconciler("a", Memory::default()), &context, interval);
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
