//! The `decnet up` of a data directory, as every other process sees it: a lock that says that it runs and where its bus
//! is, and a socket on which it takes orders.
//!
//! Both lie in the folder `run`. What `decnet up` does with an order stands in the program `decnet`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use decnet_bus::Endpoint;
use decnet_model::{name::WorkerName, state::WORKERS};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::timeout,
};

use crate::{
    exit::StartError,
    lock::{self, FileLock},
    settings::Settings,
};

/// How a worker tells its supervisor that it ends because it was told to, and wants to stay so (sd_notify(3)).
pub const ORDERED: &str = "X_DECNET_ORDERED=stop";

/// Held by the host of a data directory. Its lines: the process id, the address of the bus.
const LOCK: &str = "up.lock";
/// Where it takes orders.
const SOCKET: &str = "up.sock";
/// The most bytes of an order or an answer.
const MAX_TEXT: u64 = 4096;
/// How long the other side may take to say what it wants.
const SPEAK: Duration = Duration::from_secs(5);
/// How long an order may take: a worker has to become ready.
const ANSWER: Duration = Duration::from_secs(25);

/// Holds a data directory: two hosts on one would take each other's sockets away.
#[derive(Debug)]
pub struct Lock {
    _held: FileLock,
}

impl Lock {
    /// Hold the data directory of `settings`, and say there where its bus is.
    ///
    /// # Errors
    /// Another host holds it, or its folder cannot be written.
    pub fn take(settings: &Settings) -> Result<Self, StartError> {
        let path = lock_file(&settings.run_dir());
        let bus = settings.bus.endpoint.with_password();
        let text = format!("{}\n{bus}\n", std::process::id());
        match FileLock::take(&path, &text) {
            Ok(Ok(held)) => Ok(Self { _held: held }),
            Ok(Err(holder)) => Err(StartError::unavailable(format!(
                "another `decnet up` (process {}) runs on {}: stop it, or give another --data-dir",
                holder.lines().next().unwrap_or_default(),
                settings.data_dir.display()
            ))),
            Err(error) => Err(StartError::io(&path.display().to_string(), &error)),
        }
    }
}

/// Whether there is the lock of a host in the folder `run`, held or not.
#[must_use]
pub fn was_here(run: &Path) -> bool {
    lock_file(run).exists()
}

/// The workers that have their places in the folder `run`, each with its process.
#[must_use]
pub fn workers_of(run: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(run) else {
        return Vec::new();
    };
    let mut workers: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "lock") && *path != lock_file(run))
        .filter_map(|path| {
            let process = lock::said(&path)?;
            let name = path.file_stem()?.to_string_lossy().into_owned();
            Some(format!("decnet-{name} (process {})", process.trim()))
        })
        .collect();
    workers.sort();
    workers
}

/// Whether a host runs on the folder `run`.
#[must_use]
pub fn runs(run: &Path) -> bool {
    lock::said(&lock_file(run)).is_some()
}

/// Where the bus of the host is that runs on the folder `run`, and the file that says so; nothing where none runs.
#[must_use]
pub fn bus_of(run: &Path) -> Option<(Endpoint, PathBuf)> {
    let path = lock_file(run);
    let bus = lock::said(&path)?.lines().nth(1)?.parse().ok()?;
    Some((bus, path))
}

/// Where a host hears from the worker `name` how that does (sd_notify(3)): no socket in the folder `run` has a longer name.
#[must_use]
pub fn told_at(run: &Path, name: &str) -> PathBuf {
    run.join(format!("notify.{name}"))
}

fn lock_file(run: &Path) -> PathBuf {
    run.join(LOCK)
}

/// What a supervisor is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Have it started.
    Start(WorkerName),
    /// Have it stopped, where the bus cannot tell it.
    Stop(WorkerName),
    /// Have it tried again, which died too often.
    Clear(WorkerName),
}

#[derive(Serialize, Deserialize)]
struct Answer {
    /// Why it was not done.
    fault: Option<String>,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// Nobody takes orders there.
    #[error("no `decnet up` runs on {}: start and stop decnet-{worker} where it is kept, by systemd or by `decnet {worker}`", data.display())]
    Absent {
        /// Whom it was about.
        worker: WorkerName,
        /// The data directory.
        data: PathBuf,
    },
    /// It says why.
    #[error("{0}")]
    Refused(String),
    /// It took the order, and said nothing that can be understood.
    #[error("`decnet up` did not answer: its log says what became of decnet-{worker}")]
    Silent {
        /// Whom it was about.
        worker: WorkerName,
        /// What is wrong.
        source: io::Error,
    },
}

impl Order {
    /// Whom it is about.
    #[must_use]
    pub fn worker(&self) -> &WorkerName {
        match self {
            Self::Start(worker) | Self::Stop(worker) | Self::Clear(worker) => worker,
        }
    }

    /// Give it to the host that runs on the folder `run`; returns once it is carried out.
    ///
    /// # Errors
    /// Nobody is there to be asked, or did not do it.
    pub async fn give(self, run: &Path) -> Result<(), NotDone> {
        let worker = self.worker().clone();
        let Ok(stream) = UnixStream::connect(run.join(SOCKET)).await else {
            let data = run.parent().unwrap_or(run).to_owned();
            return Err(NotDone::Absent { worker, data });
        };
        let answer = timeout(ANSWER, exchange(stream, &self)).await;
        match answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(Answer { fault: None }) => Ok(()),
            Ok(Answer { fault: Some(why) }) => Err(NotDone::Refused(why)),
            Err(source) => Err(NotDone::Silent { worker, source }),
        }
    }
}

async fn exchange(mut stream: UnixStream, order: &Order) -> io::Result<Answer> {
    say(&mut stream, order).await?;
    hear(&mut stream).await
}

async fn say(stream: &mut UnixStream, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

async fn hear<T: for<'a> Deserialize<'a>>(stream: &mut UnixStream) -> io::Result<T> {
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_TEXT))
        .read_until(b'\n', &mut line)
        .await?;
    Ok(serde_json::from_slice(&line)?)
}

/// Where a supervisor takes orders. The folder is its user's alone, so whoever reaches it may give them.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// Whether the sockets of a host can be in the folder `run` as far as the length of their paths goes.
    ///
    /// # Errors
    /// One cannot, with the way out.
    pub fn fits(run: &Path) -> io::Result<()> {
        let of_workers = WORKERS.iter().map(|name| told_at(run, name));
        let longest = of_workers.max_by_key(|path| path.as_os_str().len());
        longest.iter().try_for_each(|path| fits_a_socket(path))
    }

    /// Open it in the folder `run`, whose [`Lock`] the caller holds: what lies in its place is of a host that is gone.
    ///
    /// # Errors
    /// It cannot be bound.
    pub fn open(run: &Path) -> io::Result<Self> {
        let path = run.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        Ok(Self { listener, path })
    }

    /// Answer every order with what `obey` says to it. Never returns.
    pub async fn serve<F, Done>(self, obey: F)
    where
        F: Fn(Order) -> Done,
        Done: Future<Output = Result<(), String>> + Send + 'static,
        F: Clone + Send + 'static,
    {
        let mut visitors = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => drop(visitors.spawn(visit(stream, obey.clone()))),
                    Err(error) => {
                        tracing::warn!(%error, "an order could not be taken");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_ended) = visitors.join_next() => {}
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // The folder may be gone already.
        let _gone = fs::remove_file(&self.path);
    }
}

/// Refuses a path that is too long for a socket: the kernel's `sun_path` has 108 bytes, the last of them a zero (unix(7)).
fn fits_a_socket(path: &Path) -> io::Result<()> {
    const MOST: usize = 107;
    let bytes = path.as_os_str().len();
    if bytes <= MOST {
        return Ok(());
    }
    let over = bytes - MOST;
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "the path of a socket has at most {MOST} bytes, and {} has {bytes}: give a --data-dir whose path is {over} shorter",
            path.display()
        ),
    ))
}

async fn visit<F, Done>(mut stream: UnixStream, obey: F)
where
    F: Fn(Order) -> Done,
    Done: Future<Output = Result<(), String>>,
{
    let order = timeout(SPEAK, hear::<Order>(&mut stream)).await;
    let answer = match order.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(order) => Answer {
            fault: obey(order).await.err(),
        },
        Err(error) => Answer {
            fault: Some(format!("that is no order: {error}")),
        },
    };
    // Who asked may be gone by now.
    if let Err(error) = say(&mut stream, &answer).await {
        tracing::debug!(%error, "an answer reached nobody");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::settings::Sources;

    fn settings(data: &Path, bus: Option<&str>) -> Settings {
        let mut sources = Sources::default();
        sources.flags.insert("data-dir", data.display().to_string());
        if let Some(bus) = bus {
            sources.flags.insert("bus-url", bus.to_owned());
        }
        fs::create_dir_all(data.join("run")).unwrap();
        Settings::read(&sources).unwrap()
    }

    #[test]
    fn a_folder_fits_as_long_as_every_socket_in_it_can_be_bound() {
        let dir = tempfile::tempdir().unwrap();
        let sockets: Vec<_> = WORKERS
            .iter()
            .map(|name| format!("notify.{name}"))
            .chain([SOCKET.to_owned()])
            .collect();
        let longest = sockets.iter().map(String::len).max().unwrap();
        let fill = 107 - longest - dir.path().as_os_str().len() - 2;
        for (length, fits) in [(fill, true), (fill + 1, false)] {
            let run = dir.path().join("r".repeat(length));
            fs::create_dir(&run).unwrap();
            let bound = sockets
                .iter()
                .all(|name| std::os::unix::net::UnixListener::bind(run.join(name)).is_ok());
            assert_eq!(
                (bound, Door::fits(&run).is_ok()),
                (fits, fits),
                "{}",
                run.display()
            );
        }
        let told = Door::fits(&dir.path().join("r".repeat(fill + 9)))
            .unwrap_err()
            .to_string();
        assert!(
            told.contains("at most 107 bytes") && told.contains("9 shorter"),
            "{told}"
        );
    }

    #[test]
    fn whoever_names_no_bus_has_that_of_the_host_while_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let unnamed = settings(&one, None).bus.endpoint;
        let nats = "nats://me:hunter2@192.0.2.1:4222";
        let locks = [
            Lock::take(&settings(&one, Some("unix:/one/bus.sock"))).unwrap(),
            Lock::take(&settings(&two, Some(nats))).unwrap(),
        ];
        let seen = settings(&one, None);
        assert_eq!(seen.bus.endpoint.to_string(), "unix:/one/bus.sock");
        let said = seen.explain().iter().find(|e| e.key == "bus-url").unwrap();
        assert!(said.origin.ends_with("one/run/up.lock:2"), "{said:?}");
        assert_eq!(
            settings(&two, None).bus.endpoint,
            nats.parse().unwrap(),
            "with its password"
        );
        assert_eq!(
            settings(&one, Some("none")).bus.endpoint,
            Endpoint::None,
            "who names one has that"
        );
        let another = Lock::take(&settings(&one, None)).unwrap_err();
        let told = another.message;
        assert!(
            told.contains(&format!("process {}", std::process::id())) && told.contains("--data-dir"),
            "{told}"
        );
        drop(locks);
        // Its file stays behind, and says nothing any more.
        assert!(was_here(&one.join("run")));
        assert_eq!(settings(&one, None).bus.endpoint, unnamed);
    }

    #[tokio::test]
    async fn an_order_is_answered_with_what_became_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("data/run");
        fs::create_dir_all(&run).unwrap();
        let name: WorkerName = "profiler".parse().unwrap();
        let absent = Order::Start(name.clone())
            .give(&run)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            absent.contains("no `decnet up` runs on") && absent.contains("`decnet profiler`"),
            "{absent}"
        );
        // What a killed host leaves behind.
        drop(std::os::unix::net::UnixListener::bind(run.join(SOCKET)).unwrap());
        assert!(matches!(
            Order::Start(name.clone()).give(&run).await,
            Err(NotDone::Absent { .. })
        ));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let door = Door::open(&run).unwrap();
        let host = tokio::spawn(door.serve({
            let asked = Arc::clone(&asked);
            move |order: Order| {
                asked.lock().unwrap().push(order.clone());
                async move {
                    match order {
                        Order::Start(_) => Ok(()),
                        Order::Stop(_) | Order::Clear(_) => Err("it does not run".to_owned()),
                    }
                }
            }
        }));
        Order::Start(name.clone()).give(&run).await.unwrap();
        let refused = Order::Stop("mutator".parse().unwrap())
            .give(&run)
            .await
            .unwrap_err();
        assert_eq!(refused.to_string(), "it does not run");
        assert_eq!(
            *asked.lock().unwrap(),
            [Order::Start(name), Order::Stop("mutator".parse().unwrap())]
        );
        let mut stream = UnixStream::connect(run.join(SOCKET)).await.unwrap();
        stream.write_all(b"{\"praise\":\"profiler\"}\n").await.unwrap();
        let answer: Answer = hear(&mut stream).await.unwrap();
        assert!(answer.fault.unwrap().contains("no order"));
        host.abort();
        assert!(host.await.unwrap_err().is_cancelled());
        assert!(!run.join(SOCKET).exists());
    }
}
