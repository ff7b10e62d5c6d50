//! Deckies as child processes: what all engines share whose deckies are processes of this host.
//!
//! Each decky is one process of the decoy program. What it is made from stands in `deckies/<name>/`: `desired.json` (ours),
//! `config.json` (the program's), `decoy.log` (its trouble, bounded), `artifacts/` and `transcripts/` (evidence, which no
//! step takes away). Its evidence lines go straight to a new outlet file at each start. Where its addresses are is the
//! engine's: it may be started in a network of its own.
//!
//! Where this is root, each decky becomes a user of its own that can read `config.json` and owns the two folders of
//! evidence, and nothing else; the program sees to that itself (`workers/decoy/src/confine.rs`).
//!
//! Each is asked for a sign of life now and then, as Docker's health check asks a container. One that gives none hangs: it is killed,
//! and has died like any other.
//!
//! Some begin at the same time, and not all: beginning is work for the processor, and whoever waits too long for it is taken for one that
//! hangs.
//!
//! Children are started by one thread that lives as long as the engine, and ask the kernel to be killed when that
//! thread is gone: they end with the engine, also where its process is killed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    net::{IpAddr, SocketAddr, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use decnet_decoys::{Port, config::NOBODY};
use decnet_model::name::{DeckyName, ServiceSlug};
use decnet_spool::outlet::Outlet;
use nix::{
    errno::Errno,
    fcntl::Flock,
    libc,
    sched::{CloneFlags, setns},
    sys::{
        prctl,
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::{Pid, getpid, getppid},
};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, unix::pipe},
    sync::{Mutex as AsyncMutex, Notify, Semaphore, oneshot, watch},
    time::MissedTickBehavior,
};

use super::{
    EngineError, ObservedDecky, Seen, StepError,
    home::{self, Home},
    namespace::Namespace,
};
use crate::{Catalogue, DesiredDecky};

/// What a process list shows of a decky.
const PROCESS_NAME: &str = "netsvcd";
/// How long a decky may take until it listens, or has taken a new configuration.
const READY: Duration = Duration::from_secs(20);
/// So many begin at the same time where this machine has no more processors: one that begins waits for the disk now and then.
const TURNS: usize = 4;
/// How long one that begins keeps the others waiting: whoever takes longer may hang.
const TURN: Duration = Duration::from_secs(5);
/// How long a decky may take to end in order before it is killed. Its sessions take five seconds at most, and whoever ends this process,
/// and with it all of them, gives it ten.
const GRACE: Duration = Duration::from_secs(6);
/// How often one that runs is asked for a sign of life, …
pub(super) const ASK: Duration = Duration::from_secs(10);
/// … and how often in vain until it is taken for one that hangs: within half a minute to a minute, on a machine with much else to do.
const IN_VAIN: u32 = 4;
/// What it says then.
const WELL: &str = "well";
/// The most bytes of `decoy.log`; then it becomes `decoy.log.1`.
const LOG_MAX: u64 = 256 * 1024;
/// The folder beside the deckies where the program gets its name; no decky can be called so.
const PROGRAM_DIR: &str = ".run";

/// What children are made with.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// `deckies/` of the data directory.
    pub(super) deckies: PathBuf,
    /// `outlets/` of the data directory.
    pub(super) outlets: PathBuf,
    /// The decoy program.
    pub(super) program: PathBuf,
    /// Added to ports below 1024.
    pub(super) port_offset: u16,
    /// How often one is asked for a sign of life: [`ASK`].
    pub(super) ask: Duration,
}

/// See the module.
pub(super) struct Children {
    options: Options,
    catalogue: Arc<dyn Catalogue + Send>,
    running: Arc<Mutex<HashMap<DeckyName, Running>>>,
    /// How those ended that were told to and did not do so in order.
    lost: Mutex<BTreeMap<DeckyName, String>>,
    spawner: mpsc::Sender<SpawnOrder>,
    /// Told when a child has ended.
    ended: Arc<Notify>,
    /// For those that begin.
    turns: Semaphore,
    /// Held while something is done in a decky's folder, also where nobody waits for it any more.
    at_home: Mutex<HashMap<DeckyName, Arc<AsyncMutex<()>>>>,
    /// Held as long as the engine lives.
    _lock: Flock<File>,
}

impl std::fmt::Debug for Children {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Children")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A child and what it said last.
struct Running {
    pid: Pid,
    /// What it runs: the loadout that it was started with, or that it took since.
    applied: DesiredDecky,
    state: watch::Receiver<ChildState>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ChildState {
    ready: bool,
    /// How many configurations it has taken, and refused.
    applied: u32,
    refused: u32,
    /// How many signs of life it gave.
    signs: u32,
    last_words: String,
    ended: Option<String>,
    /// It ended in order, and all that it had to report is written.
    in_order: bool,
}

struct SpawnOrder {
    command: Command,
    answer: oneshot::Sender<io::Result<Fresh>>,
}

/// A child that nobody attends to yet. It ends where nobody comes to do so.
struct Fresh(Option<Child>);

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0
            && child.kill().and_then(|()| child.wait()).is_err()
        {
            tracing::debug!("a child that nobody wanted was gone already");
        }
    }
}

impl Children {
    /// Take the folder and get ready. Needs a tokio runtime.
    ///
    /// # Errors
    /// Where another engine has the folder, or the program is not there.
    pub(super) fn open(options: Options, catalogue: Arc<dyn Catalogue + Send>) -> Result<Self, EngineError> {
        let lock = home::hold(&options.deckies)?;
        let program = fs::canonicalize(&options.program).map_err(|source| EngineError::Program {
            path: options.program.clone(),
            source,
        })?;
        // The kernel names a process after the path that was executed.
        let run = options.deckies.join(PROGRAM_DIR);
        fs::create_dir_all(&run).map_err(EngineError::io("create", &run))?;
        let link = run.join(PROCESS_NAME);
        match fs::remove_file(&link) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(EngineError::io("replace", &link)(e));
            }
            _ => {}
        }
        std::os::unix::fs::symlink(&program, &link).map_err(EngineError::io("create", &link))?;
        Ok(Self {
            catalogue,
            running: Arc::default(),
            lost: Mutex::default(),
            ended: Arc::default(),
            at_home: Mutex::default(),
            turns: Semaphore::new(
                std::thread::available_parallelism().map_or(TURNS, |all| TURNS.max(all.get())),
            ),
            spawner: spawner().map_err(EngineError::io("start the thread that starts", &link))?,
            options,
            _lock: lock,
        })
    }

    fn lost(&self) -> MutexGuard<'_, BTreeMap<DeckyName, String>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<DeckyName, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, decky: &DesiredDecky) -> BTreeMap<ServiceSlug, Vec<SocketAddr>> {
        home::listens(self.catalogue.as_ref(), decky, self.options.port_offset)
    }

    /// The addresses of those that run.
    pub(super) fn addresses(&self) -> BTreeSet<IpAddr> {
        let children = self.running();
        let alive = children.values().filter(|child| child.alive());
        alive.map(|child| child.applied.ip).collect()
    }

    /// The first port of `decky` that somebody else has in this network, with the service that needs it. Ports that its own program
    /// listens on are not asked for.
    pub(super) fn taken(&self, decky: &DesiredDecky) -> Option<(ServiceSlug, Port, SocketAddr)> {
        let own: BTreeSet<SocketAddr> = match self.running().get(&decky.name) {
            Some(child) if child.alive() => self.listen(&child.applied).into_values().flatten().collect(),
            _ => BTreeSet::new(),
        };
        let listens = self.listen(decky).into_iter().flat_map(|(slug, listen)| {
            let ports = self.catalogue.ports(&slug).unwrap_or_default();
            let pairs = ports.into_iter().zip(listen);
            pairs
                .map(move |(port, at)| (slug.clone(), port, at))
                .collect::<Vec<_>>()
        });
        listens
            .filter(|(_, _, at)| !own.contains(at))
            .find(|(_, port, at)| is_taken(*port, *at))
    }

    /// Its folder.
    pub(super) fn home(&self, name: &DeckyName) -> Home {
        Home::at(self.options.deckies.join(name.as_str()))
    }

    /// What the decky was made from.
    pub(super) fn made(&self, name: &DeckyName) -> Result<DesiredDecky, StepError> {
        let made = self.home(name).read();
        made.ok_or_else(|| StepError::lasting(format!("{name} was not created")))
    }

    /// What all deckies were made from that there are, as far as that can be read.
    pub(super) fn made_all(&self) -> Vec<DesiredDecky> {
        home::names(&self.options.deckies)
            .filter_map(|name| self.home(&name).read())
            .collect()
    }

    /// Whether it runs.
    pub(super) fn is_running(&self, name: &DeckyName) -> bool {
        self.running().get(name).is_some_and(Running::alive)
    }

    /// Its process, where it runs.
    pub(super) fn pid(&self, name: &DeckyName) -> Option<u32> {
        let running = self.running();
        let alive = running.get(name).filter(|child| child.alive())?;
        u32::try_from(alive.pid.as_raw()).ok()
    }

    /// Whether any does.
    pub(super) fn is_any_running(&self) -> bool {
        self.running().values().any(Running::alive)
    }

    /// Make its folder, and tell its program what to be.
    pub(super) async fn write(&self, decky: &DesiredDecky) -> Result<(), StepError> {
        if let Some((slug, _)) = decky.own_images().next() {
            return Err(StepError::lasting(format!(
                "{slug}: an image of your own needs engine=docker, which this host was not started with"
            )));
        }
        let config = home::config(decky, self.listen(decky), user(decky.ip));
        let made = decky.clone();
        self.do_at_home(&decky.name, move |home| home.write(&made, &config))
            .await
    }

    /// Take its folder away, but for evidence.
    pub(super) async fn remove(&self, name: &DeckyName) -> Result<(), StepError> {
        self.lost().remove(name);
        self.do_at_home(name, |home| home.remove().map(drop)).await
    }

    /// Do something in the folder of `name` once nothing else is done there: what writes files goes to its end, also where its step
    /// was cut short and the next one has begun.
    async fn do_at_home(
        &self,
        name: &DeckyName,
        work: impl FnOnce(Home) -> Result<(), StepError> + Send + 'static,
    ) -> Result<(), StepError> {
        let turn = {
            let mut all = self.at_home.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(name.clone()).or_default())
        };
        let alone = turn.lock_owned().await;
        let home = self.home(name);
        aside(move || {
            let done = work(home);
            drop(alone);
            done
        })
        .await
    }

    /// Start it, in `network` where that is its own; done when it says that it listens. What a start that was cut short left of it is
    /// ended before.
    pub(super) async fn start(
        &self,
        decky: DesiredDecky,
        network: Option<Namespace>,
    ) -> Result<(), StepError> {
        let name = &decky.name.clone();
        self.stop(name).await?;
        // What an earlier version wrote may be for another user.
        self.write(&decky).await?;
        let (outlets, source) = (self.options.outlets.clone(), name.to_string());
        let outlet = aside(move || {
            Outlet::create(&outlets, &source)
                .map_err(|e| StepError::transient(format!("outlet of {source}: {e}")))
        })
        .await?;
        // Nobody closes it.
        let turn = self.turns.acquire().await.ok();
        let (stderr, for_child) = io::pipe().map_err(|e| StepError::transient(format!("pipe: {e}")))?;
        let command = self.command(name, outlet.into_file(), for_child.into(), network);
        let (answer, spawned) = oneshot::channel();
        let gone = || StepError::lasting("the engine is shutting down");
        self.spawner
            .send(SpawnOrder { command, answer })
            .map_err(|_| gone())?;
        let mut child = spawned
            .await
            .map_err(|_| gone())?
            .map_err(|e| StepError::transient(format!("start {}: {e}", self.options.program.display())))?;
        let child = child.0.take().ok_or_else(gone)?;
        let pid = pid_of(&child);
        let (tell, state) = watch::channel(ChildState::default());
        let log = Log::open(&self.home(name).path().join("decoy.log"));
        let (ended, ask) = (Arc::clone(&self.ended), self.options.ask);
        tokio::spawn(async move {
            attend(child, stderr.into(), log, tell, ask).await;
            ended.notify_one();
        });
        self.running().insert(
            name.clone(),
            Running {
                pid,
                applied: decky,
                state: state.clone(),
            },
        );
        let begun = |s: &ChildState| s.ready || s.ended.is_some();
        let mut reached = wait(state.clone(), TURN, begun).await;
        drop(turn);
        if reached.is_none() {
            reached = wait(state, READY.saturating_sub(TURN), begun).await;
        }
        match reached {
            Some(ChildState {
                ready: true,
                ended: None,
                ..
            }) => Ok(()),
            // It said why and ended; starting it again at once would end the same way.
            Some(ended) => Err(StepError::lasting(format!(
                "{name} did not start: {}",
                ended.why()
            ))),
            None => {
                self.stop(name).await?;
                Err(StepError::transient(format!(
                    "{name} did not listen within {} s",
                    READY.as_secs()
                )))
            }
        }
    }

    fn command(
        &self,
        name: &DeckyName,
        stdout: File,
        stderr: OwnedFd,
        network: Option<Namespace>,
    ) -> Command {
        let dir = self.home(name);
        let link = fs::canonicalize(&self.options.deckies)
            .unwrap_or_else(|_| self.options.deckies.clone())
            .join(PROGRAM_DIR)
            .join(PROCESS_NAME);
        let mut command = Command::new(link);
        command
            .arg0(PROCESS_NAME)
            .arg(home::CONFIG)
            .current_dir(dir.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        let parent = getpid();
        let in_its_place = move || {
            if let Some(network) = &network {
                setns(network, CloneFlags::CLONE_NEWNET)?;
            }
            close_on_exec();
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before the call.
            if getppid() == parent {
                Ok(())
            } else {
                Err(io::Error::other("the engine is gone"))
            }
        };
        #[expect(
            unsafe_code,
            reason = "between fork and exec; the closure makes four system calls and allocates nothing"
        )]
        // SAFETY: setns, close_range, prctl and getppid are async-signal-safe.
        unsafe {
            command.pre_exec(in_its_place);
        }
        command
    }

    /// Let it take another loadout; its sessions go on.
    pub(super) async fn reconfigure(&self, decky: &DesiredDecky) -> Result<(), StepError> {
        self.write(decky).await?;
        let (pid, state) = match self.running().get(&decky.name) {
            Some(child) if child.alive() => (child.pid, child.state.clone()),
            _ => return Err(StepError::transient(format!("{} does not run", decky.name))),
        };
        let before = state.borrow().clone();
        unended(&state, || kill(pid, Signal::SIGHUP))
            .map_err(|e| StepError::transient(format!("signal {}: {e}", decky.name)))?;
        let answered =
            |s: &ChildState| s.applied > before.applied || s.refused > before.refused || s.ended.is_some();
        match wait(state, READY, answered).await {
            Some(s) if s.ended.is_none() && s.applied > before.applied => {
                if let Some(child) = self.running().get_mut(&decky.name) {
                    child.applied = decky.clone();
                }
                Ok(())
            }
            Some(s) => Err(StepError::transient(format!("{}: {}", decky.name, s.why()))),
            None => Err(StepError::transient(format!(
                "{} did not take its configuration",
                decky.name
            ))),
        }
    }

    /// End it, in order where it does so in time.
    pub(super) async fn stop(&self, name: &DeckyName) -> Result<(), StepError> {
        let Some((pid, state)) = self.running().get(name).map(|c| (c.pid, c.state.clone())) else {
            return Ok(());
        };
        // How it ended by itself is told as its death.
        let lived = state.borrow().ended.is_none();
        for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GRACE)] {
            unended(&state, || end(pid, signal))
                .map_err(|e| StepError::transient(format!("signal {name}: {e}")))?;
            if wait(state.clone(), patience, |s| s.ended.is_some())
                .await
                .is_some()
            {
                break;
            }
        }
        let end = state.borrow().clone();
        if end.ended.is_none() {
            return Err(StepError::transient(format!("{name} cannot be ended")));
        }
        if end.in_order {
            self.lost().remove(name);
        } else if lived && end.ready {
            // It says how much is lost; killed, it could say nothing. One that never listened had nobody to report.
            let why = format!("it was ended and not in order: {}", end.why());
            tracing::error!(decky = %name, "{why}; evidence of it may be lost");
            self.lost().insert(name.clone(), why);
        }
        self.running().remove(name);
        Ok(())
    }

    /// Every decky that there is.
    pub(super) fn observe(&self) -> Result<Vec<ObservedDecky>, EngineError> {
        let io_error = |source| EngineError::Io {
            operation: "read",
            path: self.options.deckies.clone(),
            source,
        };
        let mut out = Vec::new();
        for entry in fs::read_dir(&self.options.deckies).map_err(io_error)? {
            let entry = entry.map_err(io_error)?;
            let Some(name) = entry
                .file_name()
                .to_str()
                .and_then(|n| n.parse::<DeckyName>().ok())
            else {
                continue;
            };
            // A link leads to a container's folder, which is another engine's to take away.
            if entry.path().is_symlink() || !Home::at(entry.path()).is_made() {
                continue;
            }
            out.push(self.observe_one(name));
        }
        out.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(out)
    }

    /// Wait until one has ended.
    pub(super) async fn changed(&self) {
        self.ended.notified().await;
    }

    /// End all of them.
    pub(super) async fn shutdown(&self) {
        let names: Vec<DeckyName> = self.running().keys().cloned().collect();
        let stops = names.iter().map(|name| self.stop(name));
        for (name, stopped) in names.iter().zip(futures::future::join_all(stops).await) {
            if let Err(error) = stopped {
                tracing::warn!(decky = %name, %error, "not ended");
            }
        }
    }

    fn observe_one(&self, name: DeckyName) -> ObservedDecky {
        let children = self.running();
        let child = children.get(&name);
        let running = child.is_some_and(Running::alive);
        // What runs counts, not what was last written: a reconfiguration may have been cut between the two.
        let made = match child {
            Some(child) if running => Some(child.applied.clone()),
            _ => self.home(&name).read(),
        };
        let died = child.and_then(|c| c.state.borrow().ended.is_some().then(|| c.state.borrow().why()));
        ObservedDecky {
            identity: made.as_ref().map(DesiredDecky::identity),
            loadout: made.as_ref().map(DesiredDecky::loadout),
            running,
            seen: Seen {
                listen: made
                    .as_ref()
                    .filter(|_| running)
                    .map(|d| self.listen(d))
                    .unwrap_or_default(),
                died,
                lost: self.lost().get(&name).cloned(),
                // Whether it is, and where, its engine knows.
                uncontained: None,
            },
            name,
        }
    }
}

impl Running {
    fn alive(&self) -> bool {
        let state = self.state.borrow();
        state.ready && state.ended.is_none()
    }
}

impl ChildState {
    fn why(&self) -> String {
        let ended = self.ended.as_deref().unwrap_or("it runs");
        if self.last_words.is_empty() {
            ended.to_owned()
        } else {
            format!("{} ({ended})", self.last_words)
        }
    }
}

/// Whether somebody listens there. Nobody is kept from it by the question: it is bound as the program binds it, and nothing listens.
pub(super) fn is_taken(port: Port, at: SocketAddr) -> bool {
    let bound = match port {
        Port::Tcp(_) if at.is_ipv4() => TcpSocket::new_v4().and_then(|socket| bind(&socket, at)),
        Port::Tcp(_) => TcpSocket::new_v6().and_then(|socket| bind(&socket, at)),
        Port::Udp(_) => UdpSocket::bind(at).map(drop),
    };
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

fn bind(socket: &TcpSocket, at: SocketAddr) -> io::Result<()> {
    socket.set_reuseaddr(true)?;
    socket.bind(at)
}

/// Have everything but the three standard ones closed when another program takes this process's place: what whoever ran the host left
/// open is nothing for a decky. A kernel before 5.11 cannot, and leaves open what it was given so.
fn close_on_exec() {
    #[expect(unsafe_code, reason = "no crate that is here has close_range(2)")]
    // SAFETY: a system call on three numbers; nothing is closed before the next program is there.
    let _older_kernel =
        unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Do what waits for the disk where nothing else waits behind it.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|gone| Err(StepError::transient(format!("writing its files: {gone}"))))
}

async fn wait(
    mut state: watch::Receiver<ChildState>,
    patience: Duration,
    until: impl FnMut(&ChildState) -> bool,
) -> Option<ChildState> {
    let reached = tokio::time::timeout(patience, state.wait_for(until)).await;
    Some(reached.ok()?.ok()?.clone())
}

/// The user of the decky at `address`, or nobody where this user namespace has none of that number.
fn user(address: IpAddr) -> u32 {
    let user = home::user(address);
    let there = |map| fs::read_to_string(map).map_or(true, |map| covers(&map, user));
    if there("/proc/self/uid_map") && there("/proc/self/gid_map") {
        user
    } else {
        NOBODY
    }
}

/// Whether a map of user_namespaces(7) holds `id`: lines of the first id inside, the first outside, and how many.
fn covers(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map_while(|word| word.parse::<u64>().ok());
        match (numbers.next(), numbers.nth(1)) {
            (Some(first), Some(count)) => (first..first.saturating_add(count)).contains(&u64::from(id)),
            _ => false,
        }
    })
}

/// The thread that starts children. The kernel ties them to the thread that made them, so it has to be one that
/// lives as long as the engine does.
fn spawner() -> io::Result<mpsc::Sender<SpawnOrder>> {
    let (send, orders) = mpsc::channel::<SpawnOrder>();
    std::thread::Builder::new()
        .name("deckies".to_owned())
        .spawn(move || {
            for SpawnOrder { mut command, answer } in orders {
                let fresh = command.spawn().map(|child| Fresh(Some(child)));
                if answer.send(fresh).is_err() {
                    tracing::debug!("whoever wanted a child is gone");
                }
            }
        })?;
    Ok(send)
}

/// Read what a child says until it ends, then see how it ended.
async fn attend(
    mut child: Child,
    stderr: OwnedFd,
    mut log: Log,
    tell: watch::Sender<ChildState>,
    ask: Duration,
) {
    let pid = pid_of(&child);
    // Until somebody waits for it, its number is nobody else's.
    let hangs = tokio::select! {
        () = listen(stderr, &mut log, &tell) => false,
        () = gives_no_sign(pid, ask, tell.subscribe()) => true,
    };
    if hangs {
        let why = format!("it hung: asked {IN_VAIN} times, it gave no sign of life, and was ended");
        log.line(&why);
        tell.send_modify(|state| state.last_words = why);
        if let Err(error) = end(pid, Signal::SIGKILL) {
            tracing::warn!(%error, "a decky that hangs could not be ended");
        }
    }
    // Its standard error is closed, or it was killed, so it is ending; the wait is short. Its number stays its own.
    let left = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    let ended = tokio::task::spawn_blocking(move || waitid(Id::Pid(pid), left)).await;
    if !matches!(ended, Ok(Ok(_))) {
        tracing::warn!(?ended, "the end of a decky could not be waited for");
    }
    tell.send_modify(|state| {
        // From here on the number may be anybody's, and nobody looks at the state meanwhile: see `unended`.
        let (how, in_order) = match child.wait() {
            Ok(status) => (described(status), status.success()),
            Err(error) => (error.to_string(), false),
        };
        state.ended = Some(how);
        state.in_order = in_order;
    });
}

/// Signal a child unless it has ended, and not when its number could be another's already.
fn unended(state: &watch::Receiver<ChildState>, signal: impl FnOnce() -> nix::Result<()>) -> nix::Result<()> {
    let state = state.borrow();
    if state.ended.is_some() { Ok(()) } else { signal() }
}

/// Send what ends a child to all of its group, and to itself: nothing keeps one that was taken over from leaving its group.
fn end(pid: Pid, signal: Signal) -> nix::Result<()> {
    let group = killpg(pid, signal);
    kill(pid, signal)?;
    match group {
        Err(error) if error != Errno::ESRCH => Err(error),
        _ => Ok(()),
    }
}

/// Read what a child says until it says no more.
async fn listen(stderr: OwnedFd, log: &mut Log, tell: &watch::Sender<ChildState>) {
    let mut unread = Vec::new();
    let mut chunk = vec![0; 1024];
    let mut pipe = match pipe::Receiver::from_owned_fd(stderr) {
        Ok(pipe) => pipe,
        Err(error) => {
            tracing::warn!(%error, "what a decky says cannot be read");
            return;
        }
    };
    while let Ok(n @ 1..) = pipe.read(&mut chunk).await {
        for byte in chunk.iter().take(n) {
            if *byte == b'\n' || unread.len() >= 2048 {
                heard(&String::from_utf8_lossy(&unread), log, tell);
                unread.clear();
            } else {
                unread.push(*byte);
            }
        }
    }
}

/// Ask a child for a sign of life from when it listens on; done where it gives none.
async fn gives_no_sign(pid: Pid, every: Duration, state: watch::Receiver<ChildState>) {
    let mut turn = tokio::time::interval(every);
    // Where this process did not run either, as on a machine that slept, a child is asked as often as ever before it is given up.
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut in_vain) = (0, 0);
    loop {
        turn.tick().await;
        let (ready, signs) = {
            let state = state.borrow();
            (state.ready, state.signs)
        };
        if signs != heard {
            (heard, in_vain) = (signs, 0);
        }
        if in_vain >= IN_VAIN {
            return;
        }
        // Before that it may not know the signal, and would end.
        if ready {
            if let Err(error) = kill(pid, Signal::SIGUSR1) {
                tracing::debug!(%error, "a decky could not be asked for a sign of life");
            }
            in_vain += 1;
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or_default())
}

fn described(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn heard(line: &str, log: &mut Log, tell: &watch::Sender<ChildState>) {
    if line == WELL {
        tell.send_modify(|state| state.signs = state.signs.wrapping_add(1));
        return;
    }
    log.line(line);
    tell.send_modify(|state| match line {
        "ready" => state.ready = true,
        "configuration applied" => state.applied += 1,
        _ => {
            if line.starts_with("configuration not applied") {
                state.refused += 1;
            }
            state.last_words = line.chars().take(300).collect();
        }
    });
}

/// A bounded log file: when full it becomes `.1`, and what was `.1` is gone.
struct Log {
    path: PathBuf,
    file: Option<File>,
    size: u64,
}

impl Log {
    fn open(path: &Path) -> Self {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path);
        let size = file
            .as_ref()
            .ok()
            .and_then(|f| f.metadata().ok())
            .map_or(0, |m| m.len());
        Self {
            path: path.to_owned(),
            file: file.ok(),
            size,
        }
    }

    /// A log that cannot be written does not stop a decky: its trouble is still in the state.
    fn line(&mut self, line: &str) {
        if self.size > LOG_MAX && fs::rename(&self.path, self.path.with_extension("log.1")).is_ok() {
            *self = Self::open(&self.path);
        }
        let Some(file) = &mut self.file else { return };
        if writeln!(file, "{line}").is_ok() {
            self.size += u64::try_from(line.len()).unwrap_or_default() + 1;
        } else {
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;
    use crate::BuiltIn;

    #[test]
    fn what_whoever_ran_the_host_left_open_is_no_childs() {
        let file = File::open("/dev/null").unwrap();
        // As a shell leaves one: it is open in whatever is executed.
        let left = nix::unistd::dup(&file).unwrap();
        let open = format!("/proc/self/fd/{}", left.as_raw_fd());
        let is_open = |closed: bool| {
            let mut looks = Command::new("test");
            looks.args(["-e", &open]);
            if closed {
                #[expect(unsafe_code, reason = "between fork and exec; one system call")]
                // SAFETY: close_range is async-signal-safe.
                unsafe {
                    looks.pre_exec(|| {
                        close_on_exec();
                        Ok(())
                    });
                }
            }
            looks.status().unwrap().success()
        };
        assert!(is_open(false));
        assert!(!is_open(true));
    }

    #[tokio::test]
    async fn what_a_step_that_was_cut_short_writes_is_written_before_the_next_one_touches_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            deckies: folder.path().join("deckies"),
            outlets: folder.path().join("outlets"),
            program: "/bin/true".into(),
            port_offset: 0,
            ask: ASK,
        };
        let children = Children::open(options, Arc::new(BuiltIn)).unwrap();
        let name: DeckyName = "front".parse().unwrap();
        let (begun, begins) = oneshot::channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        let slow = children.do_at_home(&name, move |home| {
            fs::create_dir_all(home.path()).unwrap();
            begun.send(()).unwrap();
            goes_on.recv().unwrap();
            fs::write(home.path().join(home::CONFIG), "late").unwrap();
            Ok(())
        });
        tokio::select! {
            _ = slow => panic!("it waits to be told"),
            begun = begins => begun.unwrap(),
        }
        let file = children.home(&name).path().join(home::CONFIG);
        let removal = children.remove(&name);
        tokio::pin!(removal);
        assert!(futures::poll!(&mut removal).is_pending());
        go_on.send(()).unwrap();
        removal.await.unwrap();
        assert!(!file.exists());
        // Nor does one hold up another.
        children.remove(&"back".parse().unwrap()).await.unwrap();
    }

    /// Children that run `script` and then go on until they are ended, and a decky for them.
    fn scripted(folder: &Path, script: &str, ask: Duration) -> (Children, DesiredDecky) {
        use std::os::unix::fs::PermissionsExt as _;

        let program = folder.join("program.sh");
        let goes_on = "while :; do sleep 1 & wait $!; done";
        fs::write(&program, format!("#!/bin/sh\n{script}\n{goes_on}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let options = Options {
            deckies: folder.join("deckies"),
            outlets: folder.join("outlets"),
            program,
            port_offset: 0,
            ask,
        };
        let children = Children::open(options, Arc::new(BuiltIn)).unwrap();
        let spec = serde_json::json!({ "deckies": [{ "archetype": "deaddeck" }] });
        let spec = serde_json::from_value(spec).unwrap();
        let now = time::OffsetDateTime::UNIX_EPOCH;
        let decky = crate::resolve(&spec, &[], &crate::Limits::default(), &BuiltIn, now)
            .unwrap()
            .remove(0);
        (children, decky)
    }

    #[tokio::test]
    async fn what_may_be_lost_is_evidence_of_one_that_listened_and_not_of_one_that_never_did() {
        let folder = tempfile::tempdir().unwrap();
        let listens = folder.path().join("listens");
        let script = format!(
            "trap 'exit 3' TERM\n[ -e '{}' ] && echo ready >&2",
            listens.display()
        );
        let (children, decky) = scripted(folder.path(), &script, ASK);
        let (started, stopped) = tokio::join!(children.start(decky.clone(), None), async {
            while !children.running().contains_key(&decky.name) {
                tokio::task::yield_now().await;
            }
            children.stop(&decky.name).await
        });
        stopped.unwrap();
        assert!(started.is_err() && children.lost().is_empty());

        fs::write(&listens, "").unwrap();
        children.start(decky.clone(), None).await.unwrap();
        children.stop(&decky.name).await.unwrap();
        assert!(children.lost().contains_key(&decky.name));
    }

    #[tokio::test]
    async fn a_child_that_hangs_is_ended_and_has_died_and_one_that_answers_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let answers = "trap 'echo well >&2' USR1\ntrap 'exit 0' TERM\necho ready >&2";
        let (children, decky) = scripted(folder.path(), answers, Duration::from_millis(500));
        children.start(decky.clone(), None).await.unwrap();
        let (pid, mut state) = children
            .running()
            .get(&decky.name)
            .map(|child| (child.pid, child.state.clone()))
            .unwrap();
        // Longer than one that says nothing would live.
        let lives = state.wait_for(|state| state.signs > IN_VAIN + 1);
        tokio::time::timeout(READY, lives).await.unwrap().unwrap();
        assert!(children.is_running(&decky.name));
        // Signs of life are no trouble of its.
        let log = fs::read_to_string(children.home(&decky.name).path().join("decoy.log")).unwrap();
        assert_eq!(log, "ready\n");

        kill(pid, Signal::SIGSTOP).unwrap();
        tokio::time::timeout(READY, children.changed()).await.unwrap();
        let seen = children.observe().unwrap().remove(0);
        let died = seen.seen.died.unwrap();
        assert!(
            !seen.running && died.contains("no sign of life") && died.ends_with("(signal 9)"),
            "{died}"
        );

        children.start(decky.clone(), None).await.unwrap();
        assert!(children.is_running(&decky.name));
        children.shutdown().await;
    }

    #[tokio::test]
    async fn a_child_that_left_its_group_is_ended_where_it_hangs_and_where_it_is_stopped() {
        const THIS: &str = "engine::children::tests::\
                            a_child_that_left_its_group_is_ended_where_it_hangs_and_where_it_is_stopped";
        const CHILD: &str = "LEAVE_GROUP";
        use nix::unistd::{getpgid, setpgid};

        if std::env::var_os(CHILD).is_some() {
            // As one that was taken over may.
            setpgid(Pid::this(), getpgid(Some(getppid())).unwrap()).unwrap();
            writeln!(io::stderr(), "ready").unwrap();
            loop {
                std::thread::park();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let tests = std::env::current_exe().unwrap();
        // It gives no sign of life.
        let script = format!(
            "trap '' USR1\nexport {CHILD}=1\nexec '{}' --exact {THIS}",
            tests.display()
        );
        let (children, decky) = scripted(folder.path(), &script, Duration::from_millis(200));
        let started = async || {
            children.start(decky.clone(), None).await.unwrap();
            let running = children.running();
            let child = running.get(&decky.name).unwrap();
            assert_ne!(getpgid(Some(child.pid)).unwrap(), child.pid);
            assert_eq!(killpg(child.pid, None), Err(Errno::ESRCH));
        };
        started().await;
        tokio::time::timeout(READY, children.changed()).await.unwrap();
        let died = children.observe().unwrap().remove(0).seen.died.unwrap();
        assert!(
            died.contains("no sign of life") && died.ends_with("(signal 9)"),
            "{died}"
        );

        started().await;
        children.stop(&decky.name).await.unwrap();
        assert!(!children.is_running(&decky.name));
    }

    #[test]
    fn a_decky_has_a_user_of_its_own_where_the_namespace_has_one() {
        let user = home::user([127, 66, 0, 2].into());
        assert!(covers("         0          0 4294967295\n", user));
        assert!(!covers("         0     100000      65536\n", user));
        let second = format!("0 1000 1\n{user} 165536 2\n");
        assert!(covers(&second, user + 1) && !covers(&second, user + 2) && !covers("", user));
    }
}
