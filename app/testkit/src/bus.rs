//! Buses that die, and that never lived: for tests of what goes on without them.

use std::{io, os::unix::net::UnixListener, path::Path, sync::mpsc, thread::JoinHandle, time::Duration};

use decnet_bus::{Broker, BrokerConfig, Bus, BusConfig};
use decnet_model::topic::Topic;
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long a client may take to be connected, and to notice that nobody is there any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// In what way a bus is of no use to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doom {
    /// Its broker is killed in the middle of the work.
    Killed,
    /// It takes connections, and never answers.
    Mute,
}

/// All of them: a worker does its work whichever it is.
pub const DOOMS: [Doom; 2] = [Doom::Killed, Doom::Mute];

/// A client of a bus that is of no use, sooner or later.
pub struct Doomed {
    bus: Bus,
    /// Of one that is yet to be killed.
    broker: Option<Mortal>,
    /// Held, so that connections are taken.
    _mute: Option<UnixListener>,
}

impl Doomed {
    /// The client `name` of such a bus at `path`; where there is a broker, it is connected when this returns.
    ///
    /// # Errors
    /// Where no socket can be there, or the client does not reach its broker.
    pub async fn meet(doom: Doom, path: &Path, name: &str) -> io::Result<Self> {
        let (broker, mute) = match doom {
            Doom::Killed => (Some(Mortal::start(path)?), None),
            Doom::Mute => (None, Some(mute(path)?)),
        };
        let bus = Bus::connect(&BusConfig::unix(path), name);
        if broker.is_some() {
            bus.publish(Topic::system_log(), "look");
            timeout(PATIENCE, bus.flush()).await?;
        }
        Ok(Self {
            bus,
            broker,
            _mute: mute,
        })
    }

    /// What the worker under test is given.
    #[must_use]
    pub fn bus(&self) -> Bus {
        self.bus.clone()
    }

    /// Now its doom has come: nothing that is published from here on reaches anybody.
    ///
    /// # Errors
    /// Where the client does not notice that its broker is gone, or somebody took what no one should have.
    pub async fn comes(&mut self) -> io::Result<()> {
        let Some(broker) = self.broker.take() else {
            return match self.bus.stats().sent {
                0 => Ok(()),
                sent => Err(io::Error::other(format!("a mute bus took {sent} events"))),
            };
        };
        broker.kill();
        let noticed = async {
            while !self.bus.is_away() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        Ok(timeout(PATIENCE, noticed).await?)
    }
}

/// A broker that can be killed as a process is: at once, wherever it is. Dropped, it is.
pub struct Mortal {
    alive: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Mortal {
    /// A broker at `path`, which answers when this returns.
    ///
    /// # Errors
    /// Where it cannot be one.
    pub fn start(path: &Path) -> io::Result<Self> {
        let (alive, killed) = oneshot::channel::<()>();
        let (bound, is_bound) = mpsc::channel();
        let config = BrokerConfig {
            group: None,
            ..BrokerConfig::new(path)
        };
        let thread = std::thread::Builder::new().spawn(move || {
            let served = serve(config, killed, || bound.send(Ok(())).map_err(io::Error::other));
            // Whoever waits for it hears why; after that nobody listens.
            let _nobody_waits = served.map_err(|error| bound.send(Err(error)));
        })?;
        let mortal = Self {
            alive: Some(alive),
            thread: Some(thread),
        };
        is_bound.recv().map_err(io::Error::other)??;
        Ok(mortal)
    }

    /// Ends it without a word: connections break, and the socket stays behind.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            // What it died of it has told.
            let _ended = thread.join();
        }
    }
}

fn serve(
    config: BrokerConfig,
    killed: oneshot::Receiver<()>,
    bound: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let broker = Broker::bind(config).map_err(io::Error::other)?;
        bound()?;
        tokio::select! {
            () = broker.serve(CancellationToken::new()) => {}
            _ended = killed => {}
        }
        Ok(())
    })
}

/// A bus at `path` that takes connections and never answers: nobody accepts what the kernel holds ready.
///
/// # Errors
/// Where it cannot be there.
pub fn mute(path: &Path) -> io::Result<UnixListener> {
    UnixListener::bind(path)
}
