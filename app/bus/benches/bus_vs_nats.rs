//! Our bus against NATS, in one run on one machine: `cargo bench -p decnet-bus`.
//!
//! Both servers are processes of their own: this program again, with `broker` as its first argument, on one thread; and
//! `nats-server` on a free port of 127.0.0.1. Both are driven by this process over two threads, through the API that the rest of
//! DECNET uses for ours (`Bus::publish_wait`, `Subscription::recv`: with envelope, ids and times, and a
//! JSON tree where the payload is looked into) and through `async-nats` for
//! NATS (bytes in, bytes out). A message is a payload of 128 bytes for both. Everything alternates over several rounds, and the median of
//! each side is printed with their ratio.
//!
//! - Flat out: publishers wait for room in their own queue and for nothing else. Delivered per second is counted until
//!   every subscriber accounts for every message, as received or lost; with NATS what is lost is what did not come.
//! - Latency: 10,000 messages a second by the clock, from the call that publishes to the return of the call that receives.
//!
//! `cargo bench -p decnet-bus -- latency` (or `flat-out`) measures only that. On a machine that does other things the latency's
//! tail is the scheduler's, three milliseconds and more a wait, for both alike: run the program with `chrt -r 1` to see the buses'.
//!
//! Measured on two cores that did nothing else, medians of 5 rounds: flat out 1:1 1.81 times NATS's deliveries (2,359,667 to
//! 1,302,346 a second), 1:8 2.01 times; p99 at 10,000/s 1:1 0.46 of NATS's (95 to 205 us), 1:8 0.33 (140 to 430 us).

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program for whoever measures; it may die of what it did not expect"
)]

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use decnet_bus::{Broker, BrokerConfig, Bus, BusConfig, Subscription};
use decnet_model::topic::{Pattern, Topic};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

const PAYLOAD: usize = 128;
const FLAT_OUT: u64 = 400_000;
const RATE: u64 = 10_000;
const PACED: u64 = 30_000;
const ROUNDS: usize = 5;
const SUBJECT: &str = "decnet.system.log";

/// What one round measured.
#[derive(Clone, Copy)]
struct FlatOut {
    delivered_per_s: f64,
    /// Share of the deliveries that were due and did not come.
    lost: f64,
    /// Losses that nobody reported.
    unaccounted: u64,
}

#[derive(Clone, Copy)]
struct Latency {
    p50_us: f64,
    p99_us: f64,
}

/// A server process, ended with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("broker") {
        return broker(Path::new(&arguments.next().unwrap()));
    }
    // "latency" or "flat-out" measures only that; cargo itself adds "--bench".
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let wanted = |what| only.as_deref().is_none_or(|only| only == what);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(compare(folder.path(), wanted("flat-out"), wanted("latency")));
}

fn broker(path: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let broker = Broker::bind(BrokerConfig::new(path)).unwrap();
        broker.serve(CancellationToken::new()).await;
    });
}

async fn compare(folder: &Path, throughput: bool, latency: bool) {
    let socket = folder.join("bus.sock");
    let _broker = Server(
        Command::new(std::env::current_exe().unwrap())
            .arg("broker")
            .arg(&socket)
            .spawn()
            .unwrap(),
    );
    let bus = Bus::connect(&BusConfig::unix(&socket), "bench");
    bus.subscribe(Pattern::all()).established().await;
    let Some((_nats, url)) = nats_server(folder).await else {
        return println!("SKIPPED: nats-server is not installed; nothing to compare with");
    };
    println!(
        "messages of {PAYLOAD} B; ours through Bus::publish_wait and Subscription::recv, NATS through async-nats"
    );
    println!("load average before: {}", load());
    for subscribers in [1, 8].into_iter().filter(|_| throughput) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(flat_out_ours(&socket, subscribers).await);
            theirs.push(flat_out_nats(&url, subscribers).await);
        }
        let (a, b) = (
            median(&ours, |r| r.delivered_per_s),
            median(&theirs, |r| r.delivered_per_s),
        );
        println!(
            "flat out 1:{subscribers}  ours {a:>9.0}/s  NATS {b:>9.0}/s  ratio {:.2} (bar: at least 1.0)",
            a / b
        );
        println!(
            "flat out 1:{subscribers}  lost: ours {:.2} % (unaccounted for: {}), NATS {:.2} % (nobody told: {})",
            100.0 * median(&ours, |r| r.lost),
            ours.iter().map(|r| r.unaccounted).sum::<u64>(),
            100.0 * median(&theirs, |r| r.lost),
            theirs.iter().map(|r| r.unaccounted).sum::<u64>(),
        );
    }
    for subscribers in [1, 8].into_iter().filter(|_| latency) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(latency_ours(&socket, subscribers).await);
            theirs.push(latency_nats(&url, subscribers).await);
        }
        for (what, bar, pick) in [
            ("p50", "", (|l: &Latency| l.p50_us) as fn(&Latency) -> f64),
            ("p99", " (bar: at most 0.5)", |l: &Latency| l.p99_us),
        ] {
            let (a, b) = (median(&ours, pick), median(&theirs, pick));
            println!(
                "{RATE}/s 1:{subscribers}  {what} ours {a:>7.0} us  NATS {b:>7.0} us  ratio {:.2}{bar}",
                a / b
            );
        }
    }
    println!("load average after: {}", load());
}

/// What else this machine does: the load averages of 1, 5 and 15 minutes.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn median<T>(rounds: &[T], pick: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(pick).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn nats_server(folder: &Path) -> Option<(Server, String)> {
    let child = Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let ports = folder.join(format!("nats-server_{}.ports", child.id()));
    let server = Server(child);
    for _ in 0..500 {
        let ports: Option<serde_json::Value> = std::fs::read(&ports)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(url) = ports.as_ref().and_then(|ports| ports["nats"][0].as_str()) {
            return Some((server, url.to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nats-server does not say its port");
}

async fn ours(socket: &Path, subscribers: u64) -> (Bus, Vec<Subscription>) {
    let bus = Bus::connect(&BusConfig::unix(socket), "bench");
    let mut subscriptions = Vec::new();
    for _ in 0..subscribers {
        let mut subscription = bus.subscribe(Pattern::exactly(&Topic::system_log()));
        subscription.established().await;
        subscriptions.push(subscription);
    }
    (bus, subscriptions)
}

async fn flat_out_ours(socket: &Path, subscribers: u64) -> FlatOut {
    let (bus, subscriptions) = ours(socket, subscribers).await;
    let started = Instant::now();
    let mut readers = Vec::new();
    for mut subscription in subscriptions {
        readers.push(tokio::spawn(async move {
            let (mut received, mut lost) = (0, 0);
            while received + lost < FLAT_OUT {
                match tokio::time::timeout(Duration::from_secs(5), subscription.recv()).await {
                    Ok(Some(event)) => match event.dropped() {
                        Some(dropped) => lost += dropped.lost,
                        None => received += 1,
                    },
                    Ok(None) | Err(_) => break,
                }
            }
            (received, lost)
        }));
    }
    // In JSON it has two quotation marks more.
    let payload = "x".repeat(PAYLOAD - 2);
    let publishing = tokio::spawn(async move {
        let topic = Topic::system_log();
        for _ in 0..FLAT_OUT {
            bus.publish_wait(&topic, &payload).await;
        }
        bus.flush().await;
        bus
    });
    let (mut received, mut lost) = (0, 0);
    for reader in readers {
        let counted = reader.await.unwrap();
        received += counted.0;
        lost += counted.1;
    }
    let elapsed = started.elapsed().as_secs_f64();
    publishing.await.unwrap().close().await;
    flat_out(
        received,
        FLAT_OUT * subscribers,
        FLAT_OUT * subscribers - received - lost,
        elapsed,
    )
}

fn flat_out(received: u64, due: u64, unaccounted: u64, elapsed: f64) -> FlatOut {
    FlatOut {
        delivered_per_s: received as f64 / elapsed,
        lost: 1.0 - received as f64 / due as f64,
        unaccounted,
    }
}

/// One NATS connection a subscriber, as ours has one; large channels, so that it is not the client that loses.
async fn theirs(url: &str, subscribers: u64) -> (async_nats::Client, Vec<async_nats::Subscriber>) {
    let options = || async_nats::ConnectOptions::new().subscription_capacity(1 << 20);
    let mut subscriptions = Vec::new();
    for _ in 0..subscribers {
        let client = options().connect(url).await.unwrap();
        subscriptions.push(client.subscribe(SUBJECT).await.unwrap());
        let mut echo = client.subscribe("echo").await.unwrap();
        client.publish("echo", Bytes::new()).await.unwrap();
        echo.next().await.unwrap();
    }
    (options().connect(url).await.unwrap(), subscriptions)
}

async fn flat_out_nats(url: &str, subscribers: u64) -> FlatOut {
    let (client, subscriptions) = theirs(url, subscribers).await;
    let started = Instant::now();
    let last = Arc::new(AtomicU64::new(0));
    let mut readers = Vec::new();
    for mut subscription in subscriptions {
        let last = Arc::clone(&last);
        readers.push(tokio::spawn(async move {
            let mut received = 0;
            while received < FLAT_OUT {
                match tokio::time::timeout(Duration::from_secs(5), subscription.next()).await {
                    Ok(Some(_)) => received += 1,
                    // Nothing comes any more: the rest was lost, and the wait does not count.
                    Ok(None) | Err(_) => break,
                }
                if received % 1024 == 0 {
                    last.fetch_max(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
                }
            }
            if received == FLAT_OUT {
                last.fetch_max(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
            }
            received
        }));
    }
    let payload = Bytes::from("x".repeat(PAYLOAD));
    for _ in 0..FLAT_OUT {
        client.publish(SUBJECT, payload.clone()).await.unwrap();
    }
    client.flush().await.unwrap();
    let mut received = 0;
    for reader in readers {
        received += reader.await.unwrap();
    }
    let elapsed = last.load(Ordering::Relaxed) as f64 / 1e9;
    let due = FLAT_OUT * subscribers;
    flat_out(received, due, due - received, elapsed)
}

/// Publishes at [`RATE`] by the clock: what is late is sent at once, so that a stall shows in what comes after it.
async fn pace(mut publish: impl AsyncFnMut(u64)) {
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut sent = 0;
    while sent < PACED {
        tick.tick().await;
        let due = (started.elapsed().as_micros() as u64 * RATE / 1_000_000).min(PACED);
        while sent < due {
            publish(sent).await;
            sent += 1;
        }
    }
}

fn percentiles(mut nanos: Vec<u64>) -> Latency {
    nanos.sort_unstable();
    let at = |share: f64| nanos[((nanos.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
    Latency {
        p50_us: at(0.5),
        p99_us: at(0.99),
    }
}

/// A payload of [`PAYLOAD`] bytes of JSON that begins with the time since `epoch`, in nanoseconds.
fn stamped(epoch: Instant) -> String {
    format!("{:0>20}{}", epoch.elapsed().as_nanos(), "x".repeat(PAYLOAD - 22))
}

fn age(epoch: Instant, text: &[u8]) -> u64 {
    let sent: u64 = std::str::from_utf8(&text[..20]).unwrap().parse().unwrap();
    epoch.elapsed().as_nanos() as u64 - sent
}

async fn latency_ours(socket: &Path, subscribers: u64) -> Latency {
    let (bus, subscriptions) = ours(socket, subscribers).await;
    let epoch = Instant::now();
    let mut readers = Vec::new();
    for mut subscription in subscriptions {
        readers.push(tokio::spawn(async move {
            let mut ages = Vec::with_capacity(PACED as usize);
            for _ in 0..PACED {
                let event = subscription.recv().await.unwrap();
                ages.push(age(epoch, event.payload.as_str().unwrap().as_bytes()));
            }
            ages
        }));
    }
    let topic = Topic::system_log();
    pace(async |_| bus.publish(&topic, stamped(epoch))).await;
    let mut ages = Vec::new();
    for reader in readers {
        ages.extend(reader.await.unwrap());
    }
    bus.close().await;
    percentiles(ages)
}

async fn latency_nats(url: &str, subscribers: u64) -> Latency {
    let (client, subscriptions) = theirs(url, subscribers).await;
    let epoch = Instant::now();
    let mut readers = Vec::new();
    for mut subscription in subscriptions {
        readers.push(tokio::spawn(async move {
            let mut ages = Vec::with_capacity(PACED as usize);
            for _ in 0..PACED {
                ages.push(age(epoch, &subscription.next().await.unwrap().payload));
            }
            ages
        }));
    }
    pace(async |_| {
        client
            .publish(SUBJECT, Bytes::from(stamped(epoch) + "xx"))
            .await
            .unwrap()
    })
    .await;
    let mut ages = Vec::new();
    for reader in readers {
        ages.extend(reader.await.unwrap());
    }
    percentiles(ages)
}
