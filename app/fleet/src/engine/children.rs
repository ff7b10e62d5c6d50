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
//! Children are started by one thread that lives as long as the engine, and ask the kernel to be killed when that
//! thread is gone: they end with the engine, also where its process is killed.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use decnet_decoys::config::NOBODY;
use decnet_model::name::{DeckyName, ServiceSlug};
use decnet_spool::outlet::Outlet;
use nix::{
    fcntl::Flock,
    sched::{CloneFlags, setns},
    sys::{
        prctl,
        signal::{Signal, killpg},
    },
    unistd::{Pid, getpid, getppid},
};
use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe,
    sync::{Notify, oneshot, watch},
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
/// How long a decky may take to end in order before it is killed.
const GRACE: Duration = Duration::from_secs(8);
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
}

/// See the module.
pub(super) struct Children {
    options: Options,
    catalogue: Arc<dyn Catalogue + Send>,
    running: Arc<Mutex<HashMap<DeckyName, Running>>>,
    spawner: mpsc::Sender<SpawnOrder>,
    /// Told when a child has ended.
    ended: Arc<Notify>,
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
    last_words: String,
    ended: Option<String>,
}

struct SpawnOrder {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
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
            ended: Arc::default(),
            spawner: spawner().map_err(EngineError::io("start the thread that starts", &link))?,
            options,
            _lock: lock,
        })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<DeckyName, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, decky: &DesiredDecky) -> BTreeMap<ServiceSlug, Vec<SocketAddr>> {
        home::listens(self.catalogue.as_ref(), decky, self.options.port_offset)
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

    /// Whether it runs.
    pub(super) fn is_running(&self, name: &DeckyName) -> bool {
        self.running().get(name).is_some_and(Running::alive)
    }

    /// Whether any does.
    pub(super) fn is_any_running(&self) -> bool {
        self.running().values().any(Running::alive)
    }

    /// Make its folder, and tell its program what to be.
    pub(super) fn write(&self, decky: &DesiredDecky) -> Result<(), StepError> {
        if let Some((slug, _)) = decky.own_images().next() {
            return Err(StepError::lasting(format!(
                "{slug}: an image of your own needs engine=docker, which this host was not started with"
            )));
        }
        let config = home::config(decky, self.listen(decky), user(decky.ip));
        self.home(&decky.name).write(decky, &config)
    }

    /// Start it, in `network` where that is its own; done when it says that it listens.
    pub(super) async fn start(
        &self,
        decky: DesiredDecky,
        network: Option<Namespace>,
    ) -> Result<(), StepError> {
        let name = &decky.name.clone();
        // What an earlier version wrote may be for another user.
        self.write(&decky)?;
        let outlet = Outlet::create(&self.options.outlets, name.as_str())
            .map_err(|e| StepError::transient(format!("outlet of {name}: {e}")))?;
        let (stderr, for_child) = io::pipe().map_err(|e| StepError::transient(format!("pipe: {e}")))?;
        let command = self.command(name, outlet.into_file(), for_child.into(), network);
        let (answer, spawned) = oneshot::channel();
        let gone = || StepError::lasting("the engine is shutting down");
        self.spawner
            .send(SpawnOrder { command, answer })
            .map_err(|_| gone())?;
        let child = spawned
            .await
            .map_err(|_| gone())?
            .map_err(|e| StepError::transient(format!("start {}: {e}", self.options.program.display())))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
        let (tell, state) = watch::channel(ChildState::default());
        let log = Log::open(&self.home(name).path().join("decoy.log"));
        let ended = Arc::clone(&self.ended);
        tokio::spawn(async move {
            attend(child, stderr.into(), log, tell).await;
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
        let reached = wait(state, READY, |s| s.ready || s.ended.is_some()).await;
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
            reason = "between fork and exec; the closure makes three system calls and allocates nothing"
        )]
        // SAFETY: setns, prctl and getppid are async-signal-safe.
        unsafe {
            command.pre_exec(in_its_place);
        }
        command
    }

    /// Let it take another loadout; its sessions go on.
    pub(super) async fn reconfigure(&self, decky: &DesiredDecky) -> Result<(), StepError> {
        self.write(decky)?;
        let (pid, state) = match self.running().get(&decky.name) {
            Some(child) if child.alive() => (child.pid, child.state.clone()),
            _ => return Err(StepError::transient(format!("{} does not run", decky.name))),
        };
        let before = state.borrow().clone();
        killpg(pid, Signal::SIGHUP)
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
        for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GRACE)] {
            if state.borrow().ended.is_some() {
                break;
            }
            // A child that is gone already has no group to signal.
            match killpg(pid, signal) {
                Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                Err(e) => return Err(StepError::transient(format!("signal {name}: {e}"))),
            }
            if wait(state.clone(), patience, |s| s.ended.is_some())
                .await
                .is_some()
            {
                break;
            }
        }
        if state.borrow().ended.is_none() {
            return Err(StepError::transient(format!("{name} cannot be ended")));
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
            if !Home::at(entry.path()).is_made() {
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
                if let Err(Ok(mut orphan)) = answer.send(command.spawn()) {
                    // Whoever wanted it is gone: nobody would attend to it.
                    if orphan.kill().and_then(|()| orphan.wait()).is_err() {
                        tracing::debug!("a child that nobody wanted was gone already");
                    }
                }
            }
        })?;
    Ok(send)
}

/// Read what a child says until it ends, then see how it ended.
async fn attend(mut child: Child, stderr: OwnedFd, mut log: Log, tell: watch::Sender<ChildState>) {
    let mut unread = Vec::new();
    let mut chunk = vec![0; 1024];
    let pipe = pipe::Receiver::from_owned_fd(stderr);
    match pipe {
        Ok(mut pipe) => {
            while let Ok(n @ 1..) = pipe.read(&mut chunk).await {
                for byte in chunk.iter().take(n) {
                    if *byte == b'\n' || unread.len() >= 2048 {
                        heard(&String::from_utf8_lossy(&unread), &mut log, &tell);
                        unread.clear();
                    } else {
                        unread.push(*byte);
                    }
                }
            }
        }
        Err(error) => tracing::warn!(%error, "what a decky says cannot be read"),
    }
    // Its standard error is closed, so it is ending; the wait is short.
    let status = tokio::task::spawn_blocking(move || child.wait()).await;
    let how = match status {
        Ok(Ok(status)) => described(status),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tell.send_modify(|state| state.ended = Some(how));
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
    use super::*;

    #[test]
    fn a_decky_has_a_user_of_its_own_where_the_namespace_has_one() {
        let user = home::user([127, 66, 0, 2].into());
        assert!(covers("         0          0 4294967295\n", user));
        assert!(!covers("         0     100000      65536\n", user));
        let second = format!("0 1000 1\n{user} 165536 2\n");
        assert!(covers(&second, user + 1) && !covers(&second, user + 2) && !covers("", user));
    }
}
