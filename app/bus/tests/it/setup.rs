//! Brokers, NATS servers and counting subscribers for the tests.

use std::{
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use decnet_bus::{Broker, BrokerConfig, Bus, BusConfig, Dropped, Subscription};
use decnet_model::topic::{Pattern, Topic};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The bound of every wait; never reached where things work.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {BOUND:?}"))
}

pub(crate) fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

pub(crate) fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

/// A broker on a thread and a runtime of its own, so that it can be killed like a process: at once, wherever it is.
pub(crate) struct TestBroker {
    pub(crate) shutdown: CancellationToken,
    kill: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl TestBroker {
    pub(crate) fn start(config: BrokerConfig) -> Self {
        let shutdown = CancellationToken::new();
        let (kill, killed) = oneshot::channel::<()>();
        let (bound, is_bound) = std::sync::mpsc::channel();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let thread = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || {
                let _log = tracing::dispatcher::set_default(&dispatch);
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let broker = Broker::bind(config).unwrap();
                    bound.send(()).unwrap();
                    tokio::select! {
                        () = broker.serve(shutdown) => {}
                        Ok(()) = killed => {}
                    }
                });
            }
        });
        is_bound.recv().unwrap();
        Self {
            shutdown,
            kill: Some(kill),
            thread: Some(thread),
        }
    }

    /// Ends it without a word: connections break, the socket stays behind.
    pub(crate) fn kill(mut self) {
        self.kill.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }

    /// Stops it in order.
    pub(crate) fn stop(mut self) {
        self.shutdown.cancel();
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A socket's path in a folder of its own.
pub(crate) fn socket() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus.sock");
    (folder, path)
}

pub(crate) fn small_queue(path: &std::path::Path, events: usize) -> BrokerConfig {
    BrokerConfig {
        queue_events: events,
        group: None,
        ..BrokerConfig::new(path)
    }
}

/// A real NATS server on a free port, ended with this value.
pub(crate) struct NatsServer {
    child: Child,
    pub(crate) url: String,
    _folder: TempDir,
}

impl NatsServer {
    /// `None`, with the reason printed, where the program is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let spawned = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) => {
                decnet_testkit::skipped(&format!("nats-server cannot be started: {error}"));
                return None;
            }
        };
        let ports = folder.path().join(format!("nats-server_{}.ports", child.id()));
        let url = soon("the NATS server's port", async {
            loop {
                let ports: Option<serde_json::Value> = std::fs::read(&ports)
                    .ok()
                    .and_then(|text| serde_json::from_slice(&text).ok());
                if let Some(url) = ports.as_ref().and_then(|ports| ports["nats"][0].as_str()) {
                    return url.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        Some(Self {
            child,
            url,
            _folder: folder,
        })
    }

    /// One on a port that is known.
    pub(crate) fn start_on(port: &str) -> std::io::Result<Self> {
        let child = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", port])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            child,
            url: format!("nats://127.0.0.1:{port}"),
            _folder: tempfile::tempdir()?,
        })
    }

    pub(crate) fn config(&self, events: usize) -> BusConfig {
        BusConfig {
            queue_events: events,
            ..BusConfig::new(self.url.parse().unwrap())
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Where a test's log goes.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What one subscriber got of events that are numbered by their payload.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) gaps: u64,
}

/// Receives until `total` events came or were reported lost.
pub(crate) async fn tally(subscription: &mut Subscription, total: u64) -> Tally {
    let mut tally = Tally::default();
    while tally.received + tally.lost < total {
        let event = soon("the next event or loss", subscription.recv())
            .await
            .expect("the bus is open");
        match event.dropped() {
            Some(Dropped { lost, gap }) => {
                tally.lost += lost;
                tally.gaps += u64::from(gap);
            }
            None => tally.received += 1,
        }
    }
    assert_eq!(
        tally.received + tally.lost,
        total,
        "more than was published: {tally:?}"
    );
    tally
}

pub(crate) async fn subscribed(bus: &Bus, to: &str) -> Subscription {
    let mut subscription = bus.subscribe(pattern(to));
    soon("the subscription stands", subscription.established()).await;
    subscription
}
