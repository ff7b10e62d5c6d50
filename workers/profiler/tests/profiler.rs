//! What the profiler promises: the same from nothing as step by step, without the bus, and news only of what is new.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use decnet_bus::Bus;
use decnet_db::{Options, Store, ingest::Batch, meaning};
use decnet_model::{
    clock::{ManualClock, SharedClock},
    event::EventKind,
    query::{AttackerQuery, LogQuery},
    topic::{Pattern, Topic},
    view::AttackerView,
};
use decnet_profiler::{NEWS, Profiler, ProfilerWorker};
use decnet_runtime::{Context, Settings, Shutdown, Worker as _, settings::Sources};
use decnet_spool::Position;
use decnet_testkit::{
    bus::{DOOMS, Doomed},
    demo,
};
use time::OffsetDateTime;

const PATIENCE: Duration = Duration::from_secs(60);

fn end_of_day() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap()
}

async fn database(dir: &Path) -> Store {
    let store = Store::connect(&Options::new(format!(
        "sqlite://{}",
        dir.join("decnet.db").display()
    )))
    .await
    .unwrap();
    store.migrate().await.unwrap();
    store
}

/// Stores `lines` as the ingester would.
async fn ingest(store: &Store, lines: &[Vec<u8>]) {
    let from = store.spool_position("ingester").await.unwrap();
    let to = Position {
        offset: from.offset + u64::try_from(lines.len()).unwrap(),
        ..from
    };
    let read =
        |line: &Vec<u8>| meaning::read(line.strip_suffix(b"\n").unwrap_or(line), end_of_day()).unwrap();
    let lines = lines.iter().map(read).collect();
    store
        .ingest_batch(&Batch {
            reader: "ingester".into(),
            from,
            to,
            lines,
            quarantine: Vec::new(),
            ignored: 0,
        })
        .await
        .unwrap();
}

fn day(events: u64) -> Vec<Vec<u8>> {
    demo::Day::new(demo::Options {
        events,
        ..demo::Options::until(end_of_day())
    })
    .collect()
}

async fn attackers(store: &Store) -> Vec<AttackerView> {
    let query = AttackerQuery {
        limit: Some(500),
        ..AttackerQuery::default()
    };
    store.attacker_page(&query).await.unwrap().data
}

async fn profile(store: &Store, bus: &Bus, clock: &SharedClock) {
    let profiler = Profiler::new(store.clone(), bus.clone(), clock.clone());
    while profiler.turn().await.unwrap() {}
}

#[test]
fn a_day_is_profiled_alike_in_one_go_line_by_batch_and_from_nothing() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let store = database(dir.path()).await;
        let clock: SharedClock = Arc::new(ManualClock::new(end_of_day() + time::Duration::days(1)));
        for part in day(6000).chunks(700) {
            ingest(&store, part).await;
            profile(&store, &Bus::none(), &clock).await;
        }
        let by_batch = attackers(&store).await;
        assert!(by_batch.iter().all(|a| a.session_count > 0));
        assert!(
            by_batch.iter().any(|a| a.glyph != a.ip.to_string()),
            "some left fingerprints"
        );
        store.profile_clear().await.unwrap();
        assert!(attackers(&store).await.iter().all(|a| a.session_count == 0));
        profile(&store, &Bus::none(), &clock).await;
        assert_eq!(attackers(&store).await, by_batch);
    });
}

#[test]
fn mutations_of_a_day_are_in_the_history_of_the_fleet() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let store = database(dir.path()).await;
        let day = day(6_000);
        ingest(&store, &day).await;
        let read = |line: &Vec<u8>| meaning::read(line.strip_suffix(b"\n").unwrap(), end_of_day()).unwrap();
        let told: Vec<_> = day
            .iter()
            .map(read)
            .filter(|e| e.event_type == "mutation")
            .collect();
        assert_eq!(told.len(), 3);
        let deckies: BTreeSet<_> = told.iter().map(|e| e.decky.clone()).collect();
        let deckies: Vec<_> = deckies.into_iter().collect();
        let changes = store.fleet_changes(&deckies, (None, None), 100).await.unwrap();
        let mutations: Vec<_> = changes
            .iter()
            .rev()
            .filter(|c| c.event_type == "mutation")
            .collect();
        for (change, told) in mutations.iter().zip(&told) {
            assert_eq!(
                (
                    &change.decky,
                    change.service.as_str(),
                    change.attacker_id,
                    &change.fields
                ),
                (&told.decky, "mutator", None, &told.fields)
            );
        }
        assert_eq!(mutations.len(), told.len());
        assert!(changes.iter().any(|c| c.event_type == "service_started"));
    });
}

#[test]
fn sessions_are_news_only_while_they_are_new() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let store = database(dir.path()).await;
        let bus = Bus::fake();
        let mut started = bus.subscribe(Pattern::exactly(&Topic::attacker_session_started()));
        let mut ended = bus.subscribe(Pattern::exactly(&Topic::attacker_session_ended()));
        let line = |at: &str| {
            format!(r#"<134>1 {at}Z web-01 ssh - command [relay@55555 src_ip="192.0.2.1" command="id"]"#)
                .into_bytes()
        };
        let clock = Arc::new(ManualClock::new(
            meaning::read(&line("2026-05-01T12:00:00"), end_of_day())
                .unwrap()
                .at,
        ));
        let shared: SharedClock = clock.clone();

        ingest(
            &store,
            &[
                line("2026-05-01T10:00:00"),
                line("2026-05-01T11:59:50"),
                line("2026-05-01T11:59:59"),
            ],
        )
        .await;
        profile(&store, &bus, &shared).await;
        let event = tokio::time::timeout(PATIENCE, started.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(event.payload["ordinal"], 2, "the first is old and over: no news");

        clock.advance(time::Duration::minutes(16));
        profile(&store, &bus, &shared).await;
        let event = tokio::time::timeout(PATIENCE, ended.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (&event.payload["ordinal"], &event.payload["event_count"]),
            (&2.into(), &2.into())
        );

        // Profiled anew long after, it is the same and nobody is told.
        clock.advance(NEWS);
        store.profile_clear().await.unwrap();
        profile(&store, &bus, &shared).await;
        bus.publish(Topic::attacker_session_started(), "marker");
        let event = tokio::time::timeout(PATIENCE, started.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(event.payload, "marker");
        assert_eq!(attackers(&store).await[0].session_count, 2);
    });
}

#[test]
fn a_fingerprint_is_news_while_it_is_new() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let store = database(dir.path()).await;
        let bus = Bus::fake();
        let mut told = bus.subscribe(Pattern::exactly(&Topic::attacker_fingerprinted()));
        let line = |at: &str, ip: &str| {
            let kind = EventKind::Fingerprint.as_str();
            format!(
                r#"<134>1 {at}Z web-01 ssh - {kind} [relay@55555 src_ip="{ip}" fingerprint_kind="hassh" fingerprint="{ip}"]"#
            )
            .into_bytes()
        };
        let (old, new) = (
            line("2026-05-01T10:00:00", "192.0.2.1"),
            line("2026-05-01T12:00:00", "192.0.2.2"),
        );
        let now = meaning::read(&new, end_of_day()).unwrap();
        let clock: SharedClock = Arc::new(ManualClock::new(now.at));
        ingest(&store, &[old, new.clone(), new]).await;
        profile(&store, &bus, &clock).await;
        bus.publish(Topic::attacker_fingerprinted(), "marker");
        let mut heard = Vec::new();
        loop {
            let event = tokio::time::timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
            if event.payload == "marker" {
                break;
            }
            heard.push(event.payload["attacker"].clone());
        }
        let id = meaning::attacker_id(now.attacker.unwrap());
        assert_eq!(heard, [serde_json::json!(id)]);
    });
}

/// A running worker without a process around it.
struct Running {
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

fn start(data_dir: &Path, store: &Store, bus: Bus, poll: Duration) -> Running {
    let settings = Arc::new(Settings::read(&Sources::at(data_dir)).unwrap());
    let clock: SharedClock = Arc::new(ManualClock::new(end_of_day()));
    let context = Context::new(settings, bus, Some(store.clone()), clock);
    let worker = ProfilerWorker::polling(&context, poll).unwrap();
    let shutdown = Shutdown::new();
    let order = shutdown.clone();
    let task = tokio::spawn(async move { worker.run(order).await.unwrap() });
    Running { shutdown, task }
}

impl Running {
    async fn stop(self) {
        self.shutdown.request();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

/// Store a command of a new attacker, and wait until that is profiled.
async fn another_is_profiled(store: &Store) {
    let number = attackers(store).await.len() + 1;
    let line = format!(
        r#"<134>1 2026-05-01T10:00:00Z web-01 ssh - command [relay@55555 src_ip="192.0.2.{number}" command="id"]"#
    );
    ingest(store, &[line.into_bytes()]).await;
    let profiled = async {
        while !attackers(store).await.iter().all(|a| a.session_count > 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, profiled)
        .await
        .expect("not profiled");
    assert_eq!(attackers(store).await.len(), number);
}

#[test]
fn with_a_bus_that_is_killed_or_never_answers_it_profiles_by_polling() {
    let poll = Duration::from_millis(50);
    runtime().block_on(async {
        for doom in DOOMS {
            let dir = tempfile::tempdir().unwrap();
            let store = database(dir.path()).await;
            let path = dir.path().join("bus.sock");
            let mut doomed = Doomed::meet(doom, &path, "profiler").await.unwrap();
            let running = start(dir.path(), &store, doomed.bus(), poll);
            another_is_profiled(&store).await;
            doomed.comes().await.unwrap();
            another_is_profiled(&store).await;
            running.stop().await;
        }
    });
}

#[test]
fn with_the_bus_off_it_profiles_and_indexes_by_polling_and_with_it_at_once() {
    runtime().block_on(async {
        for (bus, poll) in [
            (Bus::none(), Duration::from_millis(50)),
            (Bus::fake(), Duration::from_secs(3600)),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let store = database(dir.path()).await;
            let running = start(dir.path(), &store, bus.clone(), poll);

            ingest(&store, &day(400)).await;
            let deadline = Instant::now() + PATIENCE;
            // With the bus it polls once an hour: only a word on it can have woken it.
            while !attackers(&store).await.iter().all(|a| a.session_count > 0) {
                assert!(Instant::now() < deadline, "not profiled");
                bus.publish(Topic::system_log(), "look");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            running.stop().await;
            // What the index says is what a search finds, whether or not it got to the end.
            let query = LogQuery {
                search: Some("relay@55555".into()),
                limit: Some(500),
                ..LogQuery::default()
            };
            assert_eq!(store.log_page(&query).await.unwrap().data.len(), 400);
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}
