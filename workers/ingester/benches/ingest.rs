//! How fast lines go from the spool into the database, against a bare loop of prepared inserts in the same run.
//!
//! `cargo bench -p decnet-worker-ingester -- [lines]`. The bare loop writes the same rows into the same `logs` table with
//! the same indexes, one INSERT a row, and does nothing else: no spool, no parsing, no attackers, no bounties, no counters. What both commit is
//! synced, and both commit as often: as an ingester that is behind does, whose batches double up to `MOST` lines. The loop takes turns with the
//! ingester, three times each; the medians count. Bar: 0.7, which it is a fault to miss. The search index is built afterwards by the profiler,
//! and is measured on its own.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark: it ends at the first fault, and prints its figures"
)]

use std::{path::Path, sync::Arc, time::Instant};

use decnet_bus::Bus;
use decnet_db::{
    Options, Store,
    meaning::{self, Evidence, attacker_id},
};
use decnet_ingester::{Ingester, Turn};
use decnet_model::clock::{SystemClock, micros};
use decnet_spool::Writer;
use decnet_testkit::demo;
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use time::OffsetDateTime;

const ROUNDS: usize = 3;
const BAR: f64 = 0.7;
/// Lines of the first batch, and of the largest: what the ingester begins with here, and where it stops growing.
const LEAST: usize = 100;
const MOST: usize = 4096;

struct Figure {
    lines: f64,
    wall_s: f64,
    cpu_s: f64,
}

impl Figure {
    fn per_second(&self) -> f64 {
        self.lines / self.wall_s
    }

    fn cpu_per_thousand(&self) -> f64 {
        self.cpu_s / self.lines * 1000.0
    }
}

fn cpu_s() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let seconds = |t: nix::sys::time::TimeVal| {
        let micros = i32::try_from(t.tv_usec()).unwrap();
        f64::from(u32::try_from(t.tv_sec()).unwrap()) + f64::from(micros) / 1e6
    };
    seconds(usage.user_time()) + seconds(usage.system_time())
}

async fn measure(lines: usize, work: impl AsyncFnOnce()) -> Figure {
    let (begin, cpu) = (Instant::now(), cpu_s());
    work().await;
    let lines = f64::from(u32::try_from(lines).unwrap());
    Figure {
        lines,
        wall_s: begin.elapsed().as_secs_f64(),
        cpu_s: cpu_s() - cpu,
    }
}

fn url(dir: &Path) -> String {
    format!("sqlite://{}", dir.join("decnet.db").display())
}

async fn database(dir: &Path) -> Store {
    let store = Store::connect(&Options::new(url(dir))).await.unwrap();
    store.migrate().await.unwrap();
    store
}

async fn through_the_ingester(lines: &[Vec<u8>]) -> (Figure, Figure) {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let mut writer = Writer::open(&spool, decnet_spool::Options::default()).unwrap();
    for part in lines.chunks(1000) {
        for line in part {
            writer.append(line).unwrap();
        }
        writer.commit().unwrap();
    }
    let store = database(dir.path()).await;
    let clock = Arc::new(SystemClock);
    let mut ingester = Ingester::open(store.clone(), Bus::none(), clock, spool, LEAST)
        .await
        .unwrap();
    let ingest = measure(
        lines.len(),
        async || {
            while ingester.turn().await.unwrap() != Turn::Idle {}
        },
    );
    let ingest = ingest.await;
    let stored = store.stats(OffsetDateTime::UNIX_EPOCH).await.unwrap().total_logs;
    assert_eq!(stored, u64::try_from(lines.len()).unwrap());
    let index = measure(
        lines.len(),
        async || while store.search_index(500).await.unwrap() > 0 {},
    );
    let index = index.await;
    store.close().await;
    (ingest, index)
}

async fn bare_inserts(rows: &[Evidence]) -> Figure {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path()).await.close().await;
    let options: SqliteConnectOptions = url(dir.path()).parse().unwrap();
    let mut connection: SqliteConnection = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .disable_statement_logging()
        .connect()
        .await
        .unwrap();
    // The values are ready before the clock starts: the loop does nothing but insert.
    let fields: Vec<_> = rows
        .iter()
        .map(|row| serde_json::to_string(&row.fields).unwrap())
        .collect();
    let attackers: Vec<_> = rows
        .iter()
        .map(|row| row.attacker.map(|ip| attacker_id(ip).0.as_bytes().to_vec()))
        .collect();
    let mut values: Vec<_> = (1_i64..).zip(rows).zip(fields).zip(attackers).collect();
    let figure = measure(rows.len(), async || {
        let mut lines = LEAST;
        while !values.is_empty() {
            let rest = values.split_off(values.len().min(lines));
            lines = (lines * 2).min(MOST);
            let mut tx = connection.begin().await.unwrap();
            for (((id, row), fields), attacker) in std::mem::replace(&mut values, rest) {
                sqlx::query(
                    "INSERT INTO logs (id, at, received_at, decky, service, event_type, attacker_id, fields, message, raw) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(id)
                .bind(micros(row.at))
                .bind(micros(row.received_at))
                .bind(row.decky.as_str())
                .bind(row.service.as_str())
                .bind(row.event_type.as_str())
                .bind(attacker)
                .bind(fields)
                .bind(row.message.as_str())
                .bind(row.raw.as_str())
                .execute(&mut *tx)
                .await
                .unwrap();
            }
            tx.commit().await.unwrap();
        }
    });
    let figure = figure.await;
    connection.close().await.unwrap();
    figure
}

fn median(mut figures: Vec<Figure>) -> Figure {
    figures.sort_by(|a, b| a.wall_s.total_cmp(&b.wall_s));
    figures.swap_remove(figures.len() / 2)
}

fn main() {
    let events = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(50_000);
    let end = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
    let day = demo::Day::new(demo::Options {
        events,
        ..demo::Options::until(end)
    });
    let lines: Vec<Vec<u8>> = day
        .map(|line| line.strip_suffix(b"\n").unwrap_or(&line).to_vec())
        .collect();
    let rows: Vec<_> = lines
        .iter()
        .map(|line| meaning::read(line, end).unwrap())
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut bare, mut ingested, mut indexed) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(bare_inserts(&rows).await);
            let (ingest, index) = through_the_ingester(&lines).await;
            ingested.push(ingest);
            indexed.push(index);
        }
        let (bare, ingested, indexed) = (median(bare), median(ingested), median(indexed));
        for (what, figure) in [
            ("bare prepared inserts", &bare),
            ("whole ingester", &ingested),
            ("search index, later", &indexed),
        ] {
            println!(
                "{what:22} {:9.0} lines/s  {:.4} CPU-s per 1000 lines",
                figure.per_second(),
                figure.cpu_per_thousand()
            );
        }
        let ratio = ingested.per_second() / bare.per_second();
        println!(
            "ratio {ratio:.2} (bar {BAR}): {}",
            if ratio >= BAR { "met" } else { "missed" }
        );
        assert!(ratio >= BAR, "the bar is missed");
    });
}
