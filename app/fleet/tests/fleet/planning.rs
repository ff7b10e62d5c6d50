use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use decnet_fleet::{
    DesiredDecky, Engine, EngineError, ObservedDecky, Options, Outcome, Step, StepError, StepKind,
    engine::Seen, execute, plan,
};
use decnet_model::{
    fleet::{DeckySpec, OwnImage, ServiceSpec},
    name::DeckyName,
};
use proptest::prelude::*;
use tokio::sync::{Notify, mpsc};

use crate::{of, resolved};

/// What a simulated engine has of a decky.
#[derive(Debug, Clone, PartialEq)]
struct There {
    made: DesiredDecky,
    running: Option<DesiredDecky>,
    /// It was being made or removed: what it is cannot be read.
    torn: bool,
    /// It was being started or reconfigured: what it runs is not known.
    unsettled: bool,
}

impl There {
    fn made(decky: &DesiredDecky) -> Self {
        Self {
            made: decky.clone(),
            running: None,
            torn: false,
            unsettled: false,
        }
    }

    fn running(decky: &DesiredDecky) -> Self {
        Self {
            running: Some(decky.clone()),
            ..Self::made(decky)
        }
    }
}

type World = BTreeMap<DeckyName, There>;

/// An engine in memory whose steps fail at given calls, before or after they took effect, or that is killed at one.
#[derive(Default)]
struct Simulated {
    deckies: Mutex<World>,
    calls: AtomicUsize,
    faults: BTreeMap<usize, Fault>,
    killed: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Before {
        transient: bool,
    },
    After {
        transient: bool,
    },
    Dies,
    /// The engine's process ends before the step took effect, in the middle of it, or before it could say that it is done.
    Killed(Moment),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Before,
    Amid,
    After,
}

impl Simulated {
    fn apply(&self, step: &Step) -> Result<(), StepError> {
        let mut deckies = self.deckies.lock().unwrap();
        let address_taken = |deckies: &World, d: &DesiredDecky| {
            let running = deckies.values().filter_map(|there| there.running.as_ref());
            running.into_iter().any(|r| r.ip == d.ip && r.name != d.name)
        };
        match step {
            Step::Create(d) => {
                deckies.insert(d.name.clone(), There::made(d));
            }
            Step::Start(name) => {
                let made = deckies.get(name).map(|there| there.made.clone());
                let made = made.ok_or_else(|| StepError::lasting("not created"))?;
                if address_taken(&deckies, &made) {
                    // As the kernel has it, where the step that was to free it failed.
                    return Err(StepError::transient("address in use"));
                }
                deckies.insert(name.clone(), There::running(&made));
            }
            Step::Reconfigure(d) => {
                if deckies.get(&d.name).is_none_or(|there| there.running.is_none()) {
                    return Err(StepError::transient("does not run"));
                }
                deckies.insert(d.name.clone(), There::running(d));
            }
            Step::Stop(name) => {
                if let Some(there) = deckies.get_mut(name) {
                    there.running = None;
                }
            }
            Step::Remove(name) => {
                deckies.remove(name);
            }
        }
        Ok(())
    }

    /// Half of a step.
    fn begin(&self, step: &Step) {
        if !matches!(step.kind(), StepKind::Remove) {
            self.apply(step).unwrap();
        }
        if let Some(there) = self.deckies.lock().unwrap().get_mut(step.decky()) {
            there.torn = matches!(step.kind(), StepKind::Create | StepKind::Remove);
            there.unsettled = matches!(step.kind(), StepKind::Start | StepKind::Reconfigure);
        }
    }
}

impl Engine for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }
    async fn observe(&self) -> Result<Vec<ObservedDecky>, EngineError> {
        let deckies = self.deckies.lock().unwrap();
        Ok(deckies
            .iter()
            .map(|(name, there)| ObservedDecky {
                name: name.clone(),
                identity: (!there.torn).then(|| there.made.identity()),
                loadout: (!there.torn && !there.unsettled)
                    .then(|| there.running.as_ref().unwrap_or(&there.made).loadout()),
                running: there.running.is_some(),
                seen: Default::default(),
            })
            .collect())
    }
    async fn run(&self, step: &Step) -> Result<(), StepError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let failed = |transient| {
            Err(if transient {
                StepError::transient("injected")
            } else {
                StepError::lasting("injected")
            })
        };
        // Nothing is done by who is dead.
        let died = |(at, fault): (&usize, &Fault)| *at < call && matches!(fault, Fault::Killed(_));
        if self.faults.iter().any(died) {
            return std::future::pending().await;
        }
        match self.faults.get(&call) {
            Some(Fault::Before { transient }) => failed(*transient),
            Some(Fault::After { transient }) => {
                self.apply(step)?;
                failed(*transient)
            }
            Some(Fault::Dies) => {
                self.apply(step)?;
                if let Some(there) = self.deckies.lock().unwrap().get_mut(step.decky()) {
                    there.running = None;
                }
                Ok(())
            }
            Some(Fault::Killed(moment)) => {
                match moment {
                    Moment::Before => {}
                    Moment::Amid => self.begin(step),
                    Moment::After => self.apply(step)?,
                }
                self.killed.notify_one();
                std::future::pending().await
            }
            None => self.apply(step),
        }
    }
    async fn changed(&self) {
        std::future::pending().await
    }
    async fn shutdown(&self) {}
}

/// What `before` is once all that is wanted is done: one that is to stand still is as it was made, if it ever was.
fn fulfilled(desired: &[DesiredDecky], before: &World) -> World {
    let mut after = World::new();
    for decky in desired {
        let there = if decky.stopped {
            before.get(&decky.name).cloned().map(|there| There {
                running: None,
                ..there
            })
        } else {
            Some(There::running(decky))
        };
        after.extend(there.map(|there| (decky.name.clone(), there)));
    }
    after
}

/// Kill an engine of `world` at call number `call` on the way to `desired`, and let another one go on. Gives what it has then.
async fn killed_once(world: &World, desired: &[DesiredDecky], call: usize, moment: Moment) -> World {
    let killed = Arc::new(Simulated {
        deckies: Mutex::new(world.clone()),
        faults: BTreeMap::from([(call, Fault::Killed(moment))]),
        ..Simulated::default()
    });
    let (send, _progress) = mpsc::unbounded_channel();
    let steps = plan(desired, &killed.observe().await.unwrap());
    tokio::select! {
        () = killed.killed.notified() => {}
        _ = execute(&killed, steps.clone(), quick(), &send) => panic!("it was to be killed at call {call} of {steps:?}"),
    }
    let next = Arc::new(Simulated {
        deckies: Mutex::new(killed.deckies.lock().unwrap().clone()),
        ..Simulated::default()
    });
    let steps = plan(desired, &next.observe().await.unwrap());
    let failed = execute(&next, steps.clone(), quick(), &send).await;
    assert_eq!(failed, BTreeMap::new(), "{steps:?}");
    assert_eq!(plan(desired, &next.observe().await.unwrap()), []);
    next.deckies.lock().unwrap().clone()
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        any::<bool>().prop_map(|transient| Fault::Before { transient }),
        any::<bool>().prop_map(|transient| Fault::After { transient }),
        Just(Fault::Dies),
    ]
}

/// One wanted fleet: for each of six names whether it is there, which of two machines it is, what it runs, and whether it is to
/// stand still.
fn any_state() -> impl Strategy<Value = Vec<DesiredDecky>> {
    prop::collection::vec(
        (
            any::<bool>(),
            0..2_u8,
            0..3_u8,
            0..2_u64,
            0..2_usize,
            0..3_u16,
            prop::bool::weighted(0.3),
        ),
        6,
    )
    .prop_map(|wanted| {
        let mut out = Vec::new();
        for (i, (there, machine, loadout, generation, swap, image, stopped)) in wanted.into_iter().enumerate()
        {
            if !there {
                continue;
            }
            let services = ["ssh", "http", "redis"];
            let mut decky = resolved(vec![DeckySpec {
                name: Some(format!("d{i}").parse().unwrap()),
                seed: Some(format!("seed {i} {machine}")),
                ..of("linux-server", 1)
            }])
            .remove(0)
            .with_services(&[services[usize::from(loadout)].parse().unwrap()]);
            if image > 0 {
                // None, or one of two that differ in nothing but a port.
                decky.services.push(own_image(image));
            }
            decky.generation = generation;
            decky.stopped = stopped;
            // Neighbours can swap addresses between two states.
            decky.ip = format!("127.66.0.{}", 10 + (i ^ swap)).parse().unwrap();
            out.push(decky);
        }
        // Two wanted deckies never have one address: the database holds that.
        let mut seen = std::collections::BTreeSet::new();
        out.retain(|d| seen.insert(d.ip));
        out
    })
}

fn own_image(port: u16) -> ServiceSpec {
    ServiceSpec {
        image: Some(OwnImage {
            image: "intranet".to_owned(),
            command: Vec::new(),
            ports: vec![port],
            memory_mb: None,
        }),
        ..ServiceSpec::of("intranet".parse().unwrap())
    }
}

fn quick() -> Options {
    Options {
        parallel: 3,
        attempts: 2,
        backoff: Duration::ZERO,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_sequence_of_wanted_fleets_converges_whatever_fails_in_between(
        states in prop::collection::vec(any_state(), 1..5),
        faults in prop::collection::btree_map(0..60_usize, any_fault(), 0..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let engine = Arc::new(Simulated { faults, ..Simulated::default() });
            let (send, _progress) = mpsc::unbounded_channel();
            for desired in &states {
                let before = engine.deckies.lock().unwrap().clone();
                // Each fault is spent by one call, so this many rounds are enough for any of them.
                for _ in 0..=engine.faults.len() {
                    let steps = plan(desired, &engine.observe().await.unwrap());
                    if steps.is_empty() {
                        break;
                    }
                    execute(&engine, steps, quick(), &send).await;
                }
                let observed = engine.observe().await.unwrap();
                assert_eq!(plan(desired, &observed), [], "planning what was just built gives no steps");
                let seen = |d: &DesiredDecky| observed.iter().find(|o| o.name == d.name);
                assert!(observed.iter().all(|o| desired.iter().any(|d| d.name == o.name)));
                for decky in desired {
                    assert_eq!(seen(decky).is_some_and(|o| o.running), !decky.stopped);
                    assert!(
                        seen(decky).is_some() || !before.contains_key(&decky.name),
                        "one that is stopped stays as it was made"
                    );
                }
            }
        });
    }

    #[test]
    fn a_run_that_is_killed_at_any_step_is_finished_by_the_next(states in prop::collection::vec(any_state(), 1..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for desired in &states {
                let engine = Simulated { deckies: Mutex::new(world.clone()), ..Simulated::default() };
                let steps = plan(desired, &engine.observe().await.unwrap()).len();
                for call in 0..steps {
                    for moment in [Moment::Before, Moment::Amid, Moment::After] {
                        let after = killed_once(&world, desired, call, moment).await;
                        assert_eq!(after, fulfilled(desired, &world), "killed at call {call}: {moment:?}");
                    }
                }
                world = fulfilled(desired, &world);
            }
        });
    }

    #[test]
    fn the_same_input_gives_the_same_steps(a in any_state(), b in any_state()) {
        let observed: Vec<ObservedDecky> = a.iter().map(|d| ObservedDecky {
            name: d.name.clone(), identity: Some(d.identity()), loadout: Some(d.loadout()), running: !d.stopped, seen: Default::default(),
        }).collect();
        prop_assert_eq!(plan(&b, &observed), plan(&b, &observed));
        prop_assert_eq!(plan(&a, &observed), vec![]);
    }
}

#[test]
fn other_services_are_a_reconfiguration_and_another_machine_is_made_anew() {
    let before = resolved(vec![of("linux-server", 1)]).remove(0);
    let seen = [ObservedDecky {
        name: before.name.clone(),
        identity: Some(before.identity()),
        loadout: Some(before.loadout()),
        running: true,
        seen: Default::default(),
    }];
    let kinds = |d: &DesiredDecky| {
        plan(std::slice::from_ref(d), &seen)
            .iter()
            .map(Step::kind)
            .collect::<Vec<_>>()
    };
    let other_services = before.clone().with_services(&["redis".parse().unwrap()]);
    assert_eq!(kinds(&other_services), [StepKind::Reconfigure]);
    let mut with_image = before.clone();
    with_image.services.push(own_image(8080));
    assert_eq!(kinds(&with_image), [StepKind::Reconfigure]);
    let again = DesiredDecky {
        generation: 1,
        ..before.clone()
    };
    assert_eq!(kinds(&again), [StepKind::Stop, StepKind::Create, StepKind::Start]);
    assert_eq!(
        plan(&[], &seen).iter().map(Step::kind).collect::<Vec<_>>(),
        [StepKind::Stop, StepKind::Remove]
    );
}

#[test]
fn one_that_is_to_stand_still_is_stopped_and_no_more_and_started_as_it_is_wanted_by_then() {
    let decky = resolved(vec![of("linux-server", 1)]).remove(0);
    let stopped = DesiredDecky {
        stopped: true,
        ..decky.clone()
    };
    assert_eq!(
        (stopped.identity(), stopped.loadout()),
        (decky.identity(), decky.loadout()),
        "it stays who it is"
    );
    assert_eq!(
        serde_json::to_value(&stopped).unwrap(),
        serde_json::to_value(&decky).unwrap()
    );
    let seen = |running: bool, died: Option<&str>| {
        [ObservedDecky {
            name: decky.name.clone(),
            identity: Some(decky.identity()),
            loadout: Some(decky.loadout()),
            running,
            seen: Seen {
                died: died.map(str::to_owned),
                ..Seen::default()
            },
        }]
    };
    let kinds = |d: &DesiredDecky, observed: &[ObservedDecky]| {
        plan(std::slice::from_ref(d), observed)
            .iter()
            .map(Step::kind)
            .collect::<Vec<_>>()
    };
    use StepKind::{Create, Start, Stop};
    assert_eq!(kinds(&stopped, &seen(true, None)), [Stop]);
    assert_eq!(kinds(&stopped, &seen(true, Some("intranet ended"))), [Stop]);
    assert_eq!(kinds(&stopped, &seen(false, None)), []);
    // Something may be left of one that ended by itself.
    assert_eq!(kinds(&stopped, &seen(false, Some("signal 9"))), [Stop]);
    assert_eq!(kinds(&stopped, &[]), [], "and it is not made for that");
    assert_eq!(kinds(&decky, &seen(false, None)), [Start]);
    let changed = stopped.clone().with_services(&["redis".parse().unwrap()]);
    assert_eq!(kinds(&changed, &seen(false, None)), []);
    let changed = DesiredDecky {
        stopped: false,
        ..changed
    };
    assert_eq!(kinds(&changed, &seen(false, None)), [Create, Start]);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_what_stays_is_not_and_both_are_reported() {
    let desired = resolved(vec![of("linux-server", 1)]);
    let engine = Arc::new(Simulated {
        faults: BTreeMap::from([
            (0, Fault::Before { transient: true }),
            (2, Fault::Before { transient: false }),
        ]),
        ..Simulated::default()
    });
    let (send, mut progress) = mpsc::unbounded_channel();
    let failed = execute(&engine, plan(&desired, &[]), quick(), &send).await;
    assert!(failed.contains_key(&desired[0].name));
    drop(send);
    let mut told = Vec::new();
    while let Some(report) = progress.recv().await {
        told.push((
            report.kind,
            match report.outcome {
                Outcome::Begun => "begun",
                Outcome::Retrying(_) => "retrying",
                Outcome::Waiting(_) => "waiting",
                Outcome::Done => "done",
                Outcome::Failed(_) => "failed",
            },
        ));
    }
    use StepKind::{Create, Start};
    assert_eq!(
        told,
        [
            (Create, "begun"),
            (Create, "retrying"),
            (Create, "done"),
            (Start, "begun"),
            (Start, "failed")
        ]
    );
}
