//! What the ingester promises: no line lost or doubled whenever it dies, all its work without the bus, and at once with
//! it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use decnet_bus::Bus;
use decnet_db::{Options, Setting, Store, meaning};
use decnet_ingester::{Ingester, IngesterWorker, Keeper, Turn, reader_of};
use decnet_model::{
    clock::{Clock as _, ManualClock, SharedClock, SystemClock},
    event::field,
    id::IgnoreRuleId,
    ignore::IgnoreRule,
    query::{AttackerQuery, LogQuery, QuarantineQuery},
    topic::{Pattern, Topic},
};
use decnet_runtime::{Context, Settings, Shutdown, Worker as _, heartbeat::ALARM, settings::Sources};
use decnet_spool::Writer;
use decnet_testkit::{
    bus::{DOOMS, Doomed},
    demo,
};
use time::OffsetDateTime;

/// The longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

async fn database(data_dir: &Path) -> Store {
    let url = format!("sqlite://{}", data_dir.join("decnet.db").display());
    let store = Store::connect(&Options::new(url)).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// Lines of a day, with repeated ones and some that no parser takes.
fn lines(count: u64) -> Vec<Vec<u8>> {
    let end = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
    let day = demo::Day::new(demo::Options {
        events: count,
        ..demo::Options::until(end)
    });
    let mut lines = Vec::new();
    for (no, mut line) in day.enumerate() {
        assert_eq!(line.pop(), Some(b'\n'));
        if no % 17 == 0 {
            // Torn, as by a writer that died midway.
            lines.push(line[..line.len() / 3].to_vec());
        }
        if no % 23 == 0 {
            lines.push(format!("garbage {no} \u{fffd}").into_bytes());
        }
        if no % 11 == 0 {
            lines.push(line.clone());
        }
        lines.push(line);
    }
    lines
}

fn spool(data_dir: &Path) -> Writer {
    let options = decnet_spool::Options {
        segment_bytes: 256 << 10,
        free_floor_bytes: 0,
        ..decnet_spool::Options::default()
    };
    Writer::open(&data_dir.join("spool"), options).unwrap()
}

/// A spool whose lines arrive by `clock`.
fn spool_by(data_dir: &Path, clock: SharedClock) -> Writer {
    let options = decnet_spool::Options {
        free_floor_bytes: 0,
        clock,
        ..decnet_spool::Options::default()
    };
    Writer::open(&data_dir.join("spool"), options).unwrap()
}

/// An ingester of the spool in `data_dir` that takes `batch` lines at once, and no bus.
async fn ingester(data_dir: &Path, store: &Store, clock: SharedClock, batch: usize) -> Ingester {
    let opened = Ingester::open(store.clone(), Bus::none(), clock, data_dir.join("spool"), batch);
    opened.await.unwrap()
}

/// Take turns until there is nothing left.
async fn to_the_end(ingester: &mut Ingester) {
    while ingester.turn().await.unwrap() != Turn::Idle {}
}

fn ingester_process(data_dir: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_decnet-ingester"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DECNET_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(data_dir)
        .env("DECNET_DATA_DIR", data_dir)
        .env("DECNET_BUS_ENABLED", "false")
        // Many small transactions, so that a kill often comes between or within two.
        .env("DECNET_BATCH_SIZE", "2")
        .env("HOME", data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn the_masters_workers_do_not_start_on_an_agent_and_leave_nothing_there() {
    let dir = tempfile::tempdir().unwrap();
    let ini = dir.path().join("agent.ini");
    std::fs::write(&ini, "[decnet]\nmode = agent\n").unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_decnet-ingester"))
        .env_clear()
        .args(["--config", ini.to_str().unwrap()])
        .env("DECNET_DATA_DIR", dir.path().join("data"))
        .current_dir(dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(77), "{told}");
    assert!(
        told.contains("decnet-ingester is the master's") && told.contains("agent.ini:2"),
        "{told}"
    );
    assert!(!dir.path().join("data").exists());
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What is stored equals what was written: every line once, in quarantine or not, and every sum.
async fn assert_equals(store: &Store, data_dir: &Path, written: &[Vec<u8>]) {
    let mut expected: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let (mut auths, mut commands, mut unreadable) = (0, 0, 0_u64);
    let mut credentials = BTreeSet::new();
    let mut events: BTreeMap<String, u64> = BTreeMap::new();
    for line in written {
        let Ok(evidence) = meaning::read(line, OffsetDateTime::UNIX_EPOCH) else {
            unreadable += 1;
            continue;
        };
        *expected.entry(evidence.raw.clone().into_bytes()).or_default() += 1;
        let Some(ip) = evidence.attacker else {
            continue;
        };
        *events.entry(ip.to_string()).or_default() += 1;
        let get = |name: &str| evidence.fields.get(name).cloned();
        match evidence.event_type.as_str() {
            "auth_attempt" => {
                auths += 1;
                if get(field::SECRET_KIND).as_deref() != Some("none") {
                    let what = (get(field::PRINCIPAL), get(field::SECRET_KIND), get(field::SECRET));
                    credentials.insert((ip, evidence.decky, evidence.service, what));
                }
            }
            "command" | "query" => commands += 1,
            _ => {}
        }
    }
    let mut stored: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let mut query = LogQuery {
        limit: Some(500),
        ..LogQuery::default()
    };
    loop {
        let page = store.log_page(&query).await.unwrap();
        for row in page.data {
            *stored.entry(row.raw.into_bytes()).or_default() += 1;
        }
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    assert!(
        stored == expected,
        "the rows are not the lines: {} and {}",
        stored.len(),
        expected.len()
    );

    let stats = store.stats(OffsetDateTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(stats.total_logs, expected.values().sum::<u64>());
    assert_eq!(stats.quarantined, unreadable);
    assert_eq!(stats.auth_attempts, auths);
    assert_eq!(stats.credentials, u64::try_from(credentials.len()).unwrap());
    let page = AttackerQuery {
        limit: Some(500),
        ..AttackerQuery::default()
    };
    let attackers = store.attacker_page(&page).await.unwrap().data;
    assert_eq!(attackers.iter().map(|a| a.command_count).sum::<u64>(), commands);
    let counted: BTreeMap<_, _> = attackers
        .into_iter()
        .map(|a| (a.ip.to_string(), a.event_count))
        .collect();
    assert_eq!(counted, events);

    let mut connection = quarantine(data_dir).await;
    let kept: Vec<Vec<u8>> = sqlx::query_scalar("SELECT raw FROM quarantine ORDER BY id")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let bad: Vec<_> = written
        .iter()
        .filter(|l| meaning::read(l, OffsetDateTime::UNIX_EPOCH).is_err())
        .cloned()
        .collect();
    assert!(
        kept == bad,
        "quarantine holds {} of {} lines",
        kept.len(),
        bad.len()
    );
}

async fn quarantine(data_dir: &Path) -> sqlx::SqliteConnection {
    let url = format!("sqlite://{}", data_dir.join("decnet.db").display());
    <sqlx::SqliteConnection as sqlx::Connection>::connect(&url)
        .await
        .unwrap()
}

#[test]
fn killed_two_hundred_times_it_stores_each_line_once() {
    const KILLS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path();
    runtime().block_on(async {
        let store = database(data_dir).await;
        let all = lines(16_000);
        let mut writer = spool(data_dir);
        let mut written = 0;
        let mut append = |writer: &mut Writer, count: usize| {
            for line in all.iter().skip(written).take(count) {
                writer.append(line).unwrap();
                written += 1;
            }
            writer.commit().unwrap();
        };
        append(&mut writer, 500);
        // How long a process needs before it stores something: kills come around then.
        let begin = Instant::now();
        let first = ingester_process(data_dir);
        let reader = reader_of(&data_dir.join("spool")).unwrap();
        let position = || store.spool_position(&reader);
        until("the first lines are stored", async || {
            (position().await.unwrap() != decnet_spool::Position::START).then_some(())
        })
        .await;
        let warm_up = begin.elapsed();
        kill(first);
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut midway = 0;
        for round in 0..KILLS {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            append(&mut writer, 20 + usize::try_from(random >> 33).unwrap() % 40);
            let before = position().await.unwrap();
            let child = ingester_process(data_dir);
            if round % 2 == 0 {
                // The moment of a fault is the one thing that is left to chance.
                let percent = u32::try_from(random >> 40 & 0xffff).unwrap() % 160;
                tokio::time::sleep(warm_up * percent / 100).await;
            } else {
                // That alone may be always too early or too late for what this machine does just now.
                until("something is stored", async || {
                    (position().await.unwrap() > before).then_some(())
                })
                .await;
                append(&mut writer, 20);
            }
            kill(child);
            let after = position().await.unwrap();
            midway += usize::from(after > before && after < writer.position());
        }
        let last = ingester_process(data_dir);
        let end = writer.position();
        until("every line is stored", async || {
            (position().await.unwrap() >= end).then_some(())
        })
        .await;
        kill(last);
        eprintln!("{KILLS} kills, {midway} of them with lines stored and lines left");
        assert!(
            midway >= KILLS / 10,
            "hardly any kill ({midway}) came in the middle of the work"
        );
        assert_equals(&store, data_dir, &all[..written]).await;
    });
}

/// A running worker without a process around it.
struct Running {
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

async fn start(data_dir: &Path, store: &Store, bus: Bus, poll: Duration) -> Running {
    let settings = Arc::new(Settings::read(&Sources::at(data_dir)).unwrap());
    let context = Context::new(settings, bus, Some(store.clone()), Arc::new(SystemClock));
    let worker = IngesterWorker::polling(context, poll).await.unwrap();
    let shutdown = Shutdown::new();
    let order = shutdown.clone();
    let task = tokio::spawn(async move { worker.run(order).await.unwrap() });
    Running { shutdown, task }
}

impl Running {
    async fn stop(self) {
        self.shutdown.request();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it stops when told to")
            .unwrap();
    }
}

async fn total(store: &Store) -> u64 {
    store.stats(OffsetDateTime::UNIX_EPOCH).await.unwrap().total_logs
}

fn append(writer: &mut Writer, lines: &[Vec<u8>]) {
    for line in lines {
        writer.append(line).unwrap();
    }
    writer.commit().unwrap();
}

fn good_lines(count: u64) -> Vec<Vec<u8>> {
    lines(count)
        .into_iter()
        .filter(|l| meaning::read(l, OffsetDateTime::UNIX_EPOCH).is_ok())
        .collect()
}

#[test]
fn without_the_bus_it_stores_everything_by_polling() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(folder.path()).await;
        let lines = good_lines(300);
        let mut writer = spool(folder.path());
        let running = start(folder.path(), &store, Bus::none(), Duration::from_millis(50)).await;
        for part in lines.chunks(40) {
            let before = total(&store).await;
            append(&mut writer, part);
            let more = before + u64::try_from(part.len()).unwrap();
            until("the lines are stored", async || {
                (total(&store).await == more).then_some(())
            })
            .await;
        }
        running.stop().await;
        assert_equals(&store, folder.path(), &lines).await;
    });
}

#[test]
fn with_a_bus_that_is_killed_or_never_answers_it_stores_everything_by_polling() {
    let poll = Duration::from_millis(50);
    runtime().block_on(async {
        let lines = good_lines(100);
        let (first, rest) = lines.split_at(40);
        for doom in DOOMS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("bus.sock");
            let store = database(folder.path()).await;
            let mut writer = spool(folder.path());
            let stored = async |lines: &[Vec<u8>]| {
                let count = u64::try_from(lines.len()).unwrap();
                until("the lines are stored", async || {
                    (total(&store).await == count).then_some(())
                })
                .await;
            };
            append(&mut writer, first);
            let mut doomed = Doomed::meet(doom, &path, "ingester").await.unwrap();
            let bus = doomed.bus();
            let running = start(folder.path(), &store, bus.clone(), poll).await;
            stored(first).await;
            doomed.comes().await.unwrap();
            let sent = bus.stats().sent;
            append(&mut writer, rest);
            stored(lines.as_slice()).await;
            running.stop().await;
            assert_eq!(bus.stats().sent, sent);
            assert_equals(&store, folder.path(), &lines).await;
        }
    });
}

#[test]
fn a_word_on_the_bus_wakes_it_long_before_its_poll() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(folder.path()).await;
        let lines = good_lines(60);
        let mut writer = spool(folder.path());
        let bus = Bus::fake();
        let mut told = bus.subscribe(Pattern::exactly(&Topic::system_log()));
        let mut observed = bus.subscribe(Pattern::exactly(&Topic::attacker_observed()));
        // It polls once an hour: whatever is stored within this test was stored because of the bus.
        let running = start(folder.path(), &store, bus.clone(), Duration::from_secs(3600)).await;
        append(&mut writer, &lines);
        let last = until("the lines are stored", async || {
            // Said again and again: the worker may not have been listening yet.
            bus.publish(Topic::system_log(), serde_json::json!({ "lines": lines.len() }));
            (total(&store).await == u64::try_from(lines.len()).unwrap()).then_some(())?;
            store.log_last_id().await.unwrap()
        })
        .await;
        let told = tokio::time::timeout(PATIENCE, async {
            loop {
                let event = told.recv().await.unwrap();
                if event.payload.get("last_id") == Some(&serde_json::json!(last)) {
                    return;
                }
            }
        });
        told.await.expect("it says what it stored");
        let first = tokio::time::timeout(PATIENCE, observed.recv())
            .await
            .unwrap()
            .unwrap();
        let id = first.payload["id"].as_str().unwrap().parse().unwrap();
        assert!(store.attacker_get(id).await.unwrap().is_some());
        running.stop().await;
    });
}

#[test]
fn batches_grow_while_it_is_behind_and_a_stale_ingester_gives_way() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(folder.path()).await;
        let lines = good_lines(3000);
        let mut writer = spool(folder.path());
        append(&mut writer, &lines);
        let open = || {
            Ingester::open(
                store.clone(),
                Bus::none(),
                Arc::new(SystemClock),
                folder.path().join("spool"),
                100,
            )
        };
        let (mut first, mut stale) = (open().await.unwrap(), open().await.unwrap());
        let mut sizes = Vec::new();
        while let Turn::Stored { lines, .. } = first.turn().await.unwrap() {
            sizes.push(lines);
        }
        assert_eq!(sizes.get(..4), Some([100, 200, 400, 800].as_slice()), "{sizes:?}");
        stale
            .turn()
            .await
            .expect_err("another ingester has stored its lines");
        assert_eq!(stale.position(), first.position());
        assert_eq!(stale.turn().await.unwrap(), Turn::Idle);
        assert_eq!(
            decnet_spool::acknowledged(&folder.path().join("spool"), "ingester").unwrap(),
            Some(first.position())
        );
        assert_equals(&store, folder.path(), &lines).await;
    });
}

#[test]
fn several_hosts_store_into_one_database_each_from_its_own_spool() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(folder.path()).await;
        let lines = good_lines(600);
        let hosts = [folder.path().join("one"), folder.path().join("two")];
        let mut ingesters = Vec::new();
        for host in &hosts {
            let dir = host.join("spool");
            let ingester = Ingester::open(store.clone(), Bus::none(), Arc::new(SystemClock), dir, 100);
            let mut ingester = ingester.await.unwrap();
            assert_eq!(
                ingester.turn().await.unwrap(),
                Turn::Idle,
                "there is no spool yet"
            );
            ingesters.push(ingester);
        }
        let mut writers: Vec<_> = hosts.iter().map(|host| spool(host)).collect();
        for part in lines.chunks(100) {
            for ((writer, ingester), lines) in writers.iter_mut().zip(&mut ingesters).zip(part.chunks(50)) {
                append(writer, lines);
                to_the_end(ingester).await;
                assert_eq!(ingester.position(), writer.position());
            }
        }
        assert_eq!(
            store.stats(OffsetDateTime::UNIX_EPOCH).await.unwrap().total_logs,
            lines.len() as u64
        );

        // A position that was kept without the spool's identity is that of the first spool that asks.
        let reader = reader_of(&hosts[0].join("spool")).unwrap();
        store.spool_reader_rename(&reader, "ingester").await.unwrap();
        for (host, position) in hosts.iter().zip(ingesters.iter().map(Ingester::position)) {
            let dir = host.join("spool");
            let again = Ingester::open(store.clone(), Bus::none(), Arc::new(SystemClock), dir, 100);
            let mut again = again.await.unwrap();
            assert_eq!(
                (again.position(), again.turn().await.unwrap()),
                (position, Turn::Idle)
            );
        }
    });
}

#[test]
fn what_is_to_be_stored_again_is_while_nothing_new_comes() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(folder.path()).await;
        let lines = good_lines(300);
        let mut writer = spool(folder.path());
        append(&mut writer, &lines);
        let mut ingester = ingester(folder.path(), &store, Arc::new(SystemClock), 100).await;
        to_the_end(&mut ingester).await;
        let arrivals = async || {
            let query = LogQuery {
                limit: Some(500),
                ..LogQuery::default()
            };
            let page = store.log_page(&query).await.unwrap();
            page.data.iter().map(|row| row.received_at).collect::<Vec<_>>()
        };
        let first = arrivals().await;
        // What `decnet ingest --rebuild` does, beside an ingester that has nothing to do.
        store.evidence_clear().await.unwrap();
        to_the_end(&mut ingester).await;
        assert_equals(&store, folder.path(), &lines).await;
        assert_eq!(arrivals().await, first, "they arrived when they did");
    });
}

#[test]
fn a_line_that_waits_for_an_ingester_that_lives_arrived_when_the_spool_took_it() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(folder.path()).await;
        let clock = Arc::new(ManualClock::new(
            OffsetDateTime::UNIX_EPOCH + time::Duration::days(30_000),
        ));
        let mut writer = spool_by(folder.path(), clock.clone());
        let mut ingester = ingester(folder.path(), &store, clock.clone(), 100).await;
        let lines = good_lines(40);
        let (first, rest) = lines.split_at(1);
        append(&mut writer, first);
        to_the_end(&mut ingester).await;
        clock.advance(time::Duration::seconds(1));
        let taken = clock.now();
        append(&mut writer, rest);
        clock.advance(time::Duration::minutes(5));
        to_the_end(&mut ingester).await;
        let page = store.log_page(&LogQuery::default()).await.unwrap();
        let newest = page.data.first().unwrap();
        assert_eq!(newest.received_at, taken);
    });
}

/// Log rows with this word in them are refused.
const REFUSE_POISON: &str = "CREATE TRIGGER poison BEFORE INSERT ON logs WHEN NEW.raw LIKE '%poison%' \
                             BEGIN SELECT RAISE(ABORT, 'too bitter'); END";

#[test]
fn a_line_that_the_database_refuses_goes_into_quarantine_alone() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(folder.path()).await;
        let mut connection = quarantine(folder.path()).await;
        sqlx::raw_sql(REFUSE_POISON)
            .execute(&mut connection)
            .await
            .unwrap();
        let mut lines = good_lines(3000);
        let bitter = [0, 1, 700, 701, 2000];
        for at in bitter {
            let line = std::str::from_utf8(&lines[at]).unwrap().to_owned();
            lines[at] = format!("{line} poison").into_bytes();
        }
        let last = lines.len() - 1;
        lines[last] = b"no line at all".to_vec();
        let mut writer = spool(folder.path());
        append(&mut writer, &lines);
        let mut ingester = ingester(folder.path(), &store, Arc::new(SystemClock), 1000).await;
        let mut turns = 0;
        while ingester.turn().await.unwrap() != Turn::Idle {
            turns += 1;
            assert!(turns < 300, "it looks for the refused lines for ever");
        }
        let kept = store
            .quarantine_page(&QuarantineQuery::default())
            .await
            .unwrap()
            .data;
        let refused = kept.iter().filter(|l| l.why.contains("too bitter")).count();
        assert_eq!(
            (kept.len(), refused),
            (bitter.len() + 1, bitter.len()),
            "{kept:?}"
        );
        assert!(
            kept.iter()
                .all(|l| l.line.contains("poison") || l.line == "no line at all")
        );
        let stored = u64::try_from(lines.len() - kept.len()).unwrap();
        assert_eq!(total(&store).await, stored);
        assert_eq!(ingester.position(), writer.position());
    });
}

#[test]
fn a_database_that_takes_nothing_at_all_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(folder.path()).await;
        let mut connection = quarantine(folder.path()).await;
        let refuse_all = "CREATE TRIGGER sealed BEFORE INSERT ON spool_positions \
                          BEGIN SELECT RAISE(ABORT, 'sealed'); END";
        sqlx::raw_sql(refuse_all).execute(&mut connection).await.unwrap();
        let lines = good_lines(40);
        let mut writer = spool(folder.path());
        append(&mut writer, &lines);
        let mut ingester = ingester(folder.path(), &store, Arc::new(SystemClock), 16).await;
        let mut failed = 0;
        for _ in 0..20 {
            failed += usize::from(ingester.turn().await.is_err());
        }
        assert!(failed > 10, "{failed}");
        assert_eq!(
            store
                .quarantine_page(&QuarantineQuery::default())
                .await
                .unwrap()
                .data,
            []
        );
        sqlx::raw_sql("DROP TRIGGER sealed")
            .execute(&mut connection)
            .await
            .unwrap();
        to_the_end(&mut ingester).await;
        assert_equals(&store, folder.path(), &lines).await;
    });
}

#[test]
fn a_full_disk_is_an_alarm_loses_nothing_and_passes_by_itself() {
    let test = "a_full_disk_is_an_alarm_loses_nothing_and_passes_by_itself";
    let Some(disk) = decnet_testkit::disk::small(test, "32m").unwrap() else {
        return;
    };
    // The database is on the small disk, the spool is not.
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(&disk).await;
        let lines = lines(1200);
        let mut writer = spool(folder.path());
        let settings = Arc::new(Settings::read(&Sources::at(folder.path())).unwrap());
        let context = Context::new(settings, Bus::none(), Some(store.clone()), Arc::new(SystemClock));
        let status = context.status.clone();
        let reader = reader_of(&folder.path().join("spool")).unwrap();
        let alarm = || status.all().get(ALARM).cloned();
        let worker = IngesterWorker::polling(context, Duration::from_millis(50))
            .await
            .unwrap();
        let shutdown = Shutdown::new();
        let order = shutdown.clone();
        let task = tokio::spawn(async move { worker.run(order).await.unwrap() });

        for part in lines.chunks(lines.len() / 3) {
            let before = total(&store).await;
            let ballast = disk.join("ballast");
            let mut file = std::fs::File::create(&ballast).unwrap();
            while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
            drop(file);
            append(&mut writer, part);
            let told = until("it says that it cannot store", async || alarm()).await;
            let place = format!("no room for the database {}", disk.display());
            assert!(
                told.contains(&place) && told.contains("free space") && told.contains("full"),
                "{told}"
            );
            assert!(
                total(&store).await - before < part.len() as u64,
                "it was not full"
            );

            std::fs::remove_file(&ballast).unwrap();
            until("everything is stored", async || {
                (store.spool_position(&reader).await.unwrap() == writer.position()).then_some(())
            })
            .await;
            until("the alarm is over", async || alarm().is_none().then_some(())).await;
        }
        shutdown.request();
        tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
        assert_equals(&store, &disk, &lines).await;
    });
}

#[test]
fn lines_that_a_rule_fits_are_counted_and_make_neither_rows_nor_attackers() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(dir.path()).await;
        let rule = IgnoreRule {
            id: IgnoreRuleId(uuid::Uuid::nil()),
            lines: serde_json::from_str(r#"{"network":"198.51.100.0/24","event_type":"connect"}"#).unwrap(),
            note: String::new(),
            created_by: "test".into(),
            created_at: OffsetDateTime::UNIX_EPOCH,
        };
        let change = store.ignore_rules_change(|rules| {
            rules.push(rule);
            Ok::<_, decnet_db::DbError>(())
        });
        change.await.unwrap();
        let line = |ip: &str, kind: &str| {
            format!("<134>1 2027-01-15T08:00:00Z web-01 ssh - {kind} [relay@55555 src_ip=\"{ip}\"]")
                .into_bytes()
        };
        let written = [
            line("198.51.100.1", "connect"),
            line("198.51.100.1", "disconnect"),
            line("192.0.2.1", "connect"),
            line("198.51.100.2", "connect"),
            b"no line".to_vec(),
            line("198.51.100.3", "connect"),
        ];
        append(&mut spool(dir.path()), &written);
        let clock = Arc::new(ManualClock::new(OffsetDateTime::UNIX_EPOCH));
        let mut ingester = ingester(dir.path(), &store, clock, 100).await;
        let turn = ingester.turn().await.unwrap();
        assert!(matches!(turn, Turn::Stored { lines: 6, .. }), "{turn:?}");
        assert_eq!(
            ingester.turn().await.unwrap(),
            Turn::Idle,
            "the position is behind all of them"
        );
        let stats = store.stats(OffsetDateTime::UNIX_EPOCH).await.unwrap();
        assert_eq!((stats.total_logs, stats.ignored, stats.quarantined), (2, 3, 1));
        let attackers = store.attacker_page(&AttackerQuery::default()).await.unwrap().data;
        let mut seen: Vec<_> = attackers
            .iter()
            .map(|a| (a.ip.to_string(), a.event_count))
            .collect();
        seen.sort();
        assert_eq!(
            seen,
            [("192.0.2.1".to_owned(), 1), ("198.51.100.1".to_owned(), 1)]
        );
        // The spool has every line.
        let report = decnet_spool::verify(&dir.path().join("spool")).unwrap();
        assert_eq!(report.lines, 6);
    });
}

#[test]
fn rows_older_than_the_retention_go_and_without_one_none_does() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(dir.path()).await;
        let written: Vec<_> = good_lines(3_000).into_iter().take(2_500).collect();
        let clock = Arc::new(ManualClock::new(
            OffsetDateTime::UNIX_EPOCH + time::Duration::days(1_000),
        ));
        append(&mut spool_by(dir.path(), clock.clone()), &written);
        let mut ingester = ingester(dir.path(), &store, clock.clone(), 4_000).await;
        to_the_end(&mut ingester).await;
        let mut keeper = Keeper::new(store.clone(), clock.clone());
        let begin = Instant::now();
        assert_eq!(
            keeper.step(begin).await.unwrap(),
            0,
            "kept for ever unless somebody says otherwise"
        );
        store
            .setting_number_set(Setting::RetentionDays, Some(10))
            .await
            .unwrap();
        assert_eq!(keeper.step(begin).await.unwrap(), 0);
        let days = Duration::from_secs(10 * 86_400);
        clock.advance(time::Duration::days(10));
        assert_eq!(
            keeper.step(begin + days).await.unwrap(),
            0,
            "not older than ten days"
        );
        clock.advance(time::Duration::seconds(1));
        let mut steps = Vec::new();
        loop {
            let rows = keeper.step(begin + days + Duration::from_secs(1)).await.unwrap();
            steps.push(rows);
            if rows == 0 {
                break;
            }
        }
        assert_eq!(steps, [1_000, 1_000, 500, 0], "in bounded steps");
        assert_eq!(store.log_last_id().await.unwrap(), None);
        assert_eq!(total(&store).await, 2_500, "counters stay");
    });
}

#[test]
fn a_clock_that_leaps_makes_nothing_old_until_it_has_shown_so_for_a_day() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = database(dir.path()).await;
        let clock = Arc::new(ManualClock::new(
            OffsetDateTime::UNIX_EPOCH + time::Duration::days(1_000),
        ));
        let mut writer = spool_by(dir.path(), clock.clone());
        let lines = good_lines(40);
        append(&mut writer, &lines[1..]);
        let mut ingester = ingester(dir.path(), &store, clock.clone(), 100).await;
        to_the_end(&mut ingester).await;
        store
            .setting_number_set(Setting::RetentionDays, Some(30))
            .await
            .unwrap();
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut keeper = Keeper::new(store.clone(), clock.clone());
        assert_eq!(keeper.step(begin).await.unwrap(), 0);

        let leap = time::Duration::days(3_650);
        clock.advance(leap);
        assert_eq!(keeper.step(after(60)).await.unwrap(), 0);
        // Evidence that arrives at such a time, and a start anew, make it no truer.
        append(&mut writer, &lines[..1]);
        to_the_end(&mut ingester).await;
        let mut anew = Keeper::new(store.clone(), clock.clone());
        assert_eq!(anew.step(after(120)).await.unwrap(), 0);

        // Put right, time goes on as ever.
        clock.advance(-leap);
        assert_eq!(anew.step(after(180)).await.unwrap(), 0);
        let stored = u64::try_from(lines.len()).unwrap();
        let rows = async || {
            let query = LogQuery {
                limit: Some(500),
                ..LogQuery::default()
            };
            let page = store.log_page(&query).await.unwrap();
            u64::try_from(page.data.len()).unwrap()
        };
        assert_eq!(rows().await, stored);

        // Nobody puts it right: then that is the time.
        clock.advance(leap);
        assert_eq!(anew.step(after(240)).await.unwrap(), 0);
        assert_eq!(anew.step(after(240 + 86_399)).await.unwrap(), 0);
        assert_eq!(anew.step(after(240 + 86_400)).await.unwrap(), stored - 1);
        assert_eq!(rows().await, 1, "what arrived since is not old");
    });
}
