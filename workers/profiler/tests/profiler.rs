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
    query::{AttackerQuery, LogQuery},
    topic::{Pattern, Topic},
    view::AttackerView,
};
use decnet_profiler::{NEWS, Profiler, ProfilerWorker};
use decnet_runtime::{Context, Settings, Shutdown, Worker as _, settings::Sources};
use decnet_spool::Position;
use decnet_testkit::demo;
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
fn with_the_bus_off_it_profiles_and_indexes_by_polling_and_with_it_at_once() {
    runtime().block_on(async {
        for (bus, poll) in [
            (Bus::none(), Duration::from_millis(50)),
            (Bus::fake(), Duration::from_secs(3600)),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let store = database(dir.path()).await;
            let mut sources = Sources {
                working_dir: Some(dir.path().to_owned()),
                ..Sources::default()
            };
            sources
                .env
                .insert("DECNET_DATA_DIR".into(), dir.path().display().to_string());
            let settings = Arc::new(Settings::read(&sources).unwrap());
            let clock: SharedClock = Arc::new(ManualClock::new(end_of_day()));
            let context = Context::new(settings, bus.clone(), Some(store.clone()), clock);
            let worker = ProfilerWorker::polling(&context, poll).unwrap();
            let shutdown = Shutdown::new();
            let order = shutdown.clone();
            let running = tokio::spawn(async move { worker.run(order).await.unwrap() });

            ingest(&store, &day(400)).await;
            let deadline = Instant::now() + PATIENCE;
            // With the bus it polls once an hour: only a word on it can have woken it.
            while !attackers(&store).await.iter().all(|a| a.session_count > 0) {
                assert!(Instant::now() < deadline, "not profiled");
                bus.publish(Topic::system_log(), "look");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            shutdown.request();
            tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
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
