//! Workers as child processes: started in order, restarted with backoff, stopped in order.
//!
//! A child tells that it is ready in systemd's way (`NOTIFY_SOCKET`), so nothing is polled. One that ends before it
//! was ever ready is not restarted, nor is one that ends with a code that says so: a port in use or a wrong key does not
//! get better by trying again. One that dies again and again is left alone until somebody clears it, and said to be in
//! quarantine in the place of its heartbeat. One that was told to stop says that too, and stays stopped until somebody has it started;
//! one that ends for a fault says for which.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use decnet_model::{
    clock::{Clock as _, SystemClock},
    name::WorkerName,
    state::{QUARANTINE, WorkerState},
    view::WorkerView,
};
use decnet_runtime::{
    Shutdown, heartbeat, quarantine,
    settings::keys::KEYS,
    supervisor::{ORDERED, Order, told_at},
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    net::UnixDatagram,
    process::{Child, Command},
    sync::{
        Notify, mpsc,
        watch::{self, error::RecvError},
    },
    task::JoinHandle,
    time::{Instant, error::Elapsed, sleep, timeout},
};

use crate::output::{Prefixed, harmless};

/// How long a worker may drain before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// The first wait before a restart; it doubles with each.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait before a restart.
const LAST_BACKOFF: Duration = Duration::from_secs(30);
/// A worker that lived this long starts over with the first wait.
const HEALTHY: Duration = Duration::from_secs(60);

/// How long the last notification of a worker that has ended is waited for.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long a worker may take to be ready that somebody has started.
const START: Duration = Duration::from_secs(20);

/// Codes of ends that come again however often one tries: wrong usage, not permitted, wrong configuration.
const LASTING: &[u8] = &[64, 77, 78];

/// The code of an end for want of something else, such as the database: that may be there again in a minute or an hour, so
/// such an end is waited out, and never a reason for a quarantine.
const UNAVAILABLE: u8 = 69;

/// The last lines that a worker wrote stand for a reason that it did not give: so many, …
const LINES: usize = 3;
/// … and of each so many characters.
const LINE_CHARS: usize = 160;

/// A program to keep running.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Name of the worker.
    pub(crate) name: &'static str,
    /// Its executable.
    pub(crate) path: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Variables on top of this process's own.
    pub(crate) env: Vec<(String, String)>,
}

/// A worker that ended for good: before it was ever ready, or for a reason that stays.
#[derive(Debug, thiserror::Error)]
#[error("decnet-{name} {how}")]
pub(crate) struct Failure {
    /// Which.
    pub(crate) name: &'static str,
    /// How it ended.
    pub(crate) how: String,
    /// What this process should exit with: the worker's own code.
    pub(crate) code: u8,
}

/// Keeps programs running until told to stop.
pub(crate) struct Supervisor {
    run_dir: PathBuf,
    screen: Prefixed,
    running: Vec<Running>,
    remote: Remote,
    first_backoff: Duration,
    failed: mpsc::UnboundedSender<Failure>,
    /// Workers that ended for good.
    pub(crate) failures: mpsc::UnboundedReceiver<Failure>,
}

struct Running {
    name: &'static str,
    stop: Shutdown,
    phase: watch::Receiver<Phase>,
    task: JoinHandle<()>,
}

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its process is there.
    Starting,
    /// It has said that it is ready.
    Ready,
    /// It ended, and is started again in a while.
    Waiting,
    /// It was told to stop, and has not ended yet.
    Stopping,
    /// It was told to stop, and has.
    Stopped,
    /// It died too often, and is not started again by itself.
    Quarantined,
}

impl Phase {
    /// Whether nothing follows by itself.
    fn is_settled(self) -> bool {
        matches!(self, Self::Ready | Self::Quarantined)
    }
}

/// Has workers started that are down, and stopped that run. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Remote(Arc<Mutex<Vec<Kept>>>);

#[derive(Clone)]
struct Kept {
    name: &'static str,
    wishes: Wishes,
    phase: watch::Receiver<Phase>,
}

/// What somebody wants of a worker, as its keeper hears it.
#[derive(Clone, Default)]
struct Wishes {
    /// That it is started now.
    again: Arc<Notify>,
    /// That it is stopped, which nobody could tell it.
    halt: Arc<Notify>,
    /// That it is tried again, in spite of its quarantine.
    clear: Arc<Notify>,
}

impl Remote {
    fn find(&self, name: &str) -> Result<Kept, String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().find(|worker| worker.name == name).cloned();
        found.ok_or_else(|| format!("decnet-{name} is none of the workers that this `decnet up` runs"))
    }

    /// Carry out an order.
    pub(crate) async fn obey(self, order: Order) -> Result<(), String> {
        match order {
            Order::Start(name) => self.start(name.to_string()).await,
            Order::Stop(name) => self.stop(name.to_string()).await,
            Order::Clear(name) => self.clear(name.to_string()).await,
        }
    }

    /// Have the worker `name` stopped; returns once it is about to.
    async fn stop(self, name: String) -> Result<(), String> {
        let mut found = self.find(&name)?;
        if *found.phase.borrow() != Phase::Ready {
            return Err(format!("decnet-{name} does not run"));
        }
        found.wishes.halt.notify_one();
        let leaves = found.phase.wait_for(|phase| *phase != Phase::Ready);
        match timeout(START, leaves).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(format!(
                "decnet-{name} was not stopped: the log of `decnet up` says why"
            )),
        }
    }

    /// Have the worker `name` started that was left alone; returns once it is ready.
    async fn clear(self, name: String) -> Result<(), String> {
        let Kept {
            wishes, mut phase, ..
        } = self.find(&name)?;
        if *phase.borrow() != Phase::Quarantined {
            return Err(format!("decnet-{name} is not in quarantine"));
        }
        let settles = async {
            wishes.clear.notify_waiters();
            phase.wait_for(|phase| *phase != Phase::Quarantined).await?;
            phase
                .wait_for(|phase| phase.is_settled())
                .await
                .map(|phase| *phase)
        };
        is_up(&name, timeout(START, settles).await)
    }

    /// Have the worker `name` started; returns once it is ready. One that is about to stop does so first.
    async fn start(self, name: String) -> Result<(), String> {
        let Kept {
            wishes, mut phase, ..
        } = self.find(&name)?;
        // Whoever told it to stop may be here before we have heard from it that it does.
        let leaves = phase.wait_for(|phase| *phase != Phase::Ready);
        if timeout(LAST_WORDS, leaves).await.is_err() {
            return Err(format!("decnet-{name} runs already"));
        }
        let settles = async {
            phase.wait_for(|phase| *phase != Phase::Stopping).await?;
            // One in quarantine does not hear that.
            wishes.again.notify_waiters();
            phase
                .wait_for(|phase| phase.is_settled())
                .await
                .map(|phase| *phase)
        };
        is_up(&name, timeout(START, settles).await)
    }
}

/// What came of having `name` started, by the phase that it came to.
fn is_up(name: &str, settled: Result<Result<Phase, RecvError>, Elapsed>) -> Result<(), String> {
    match settled {
        Ok(Ok(Phase::Quarantined)) => Err(format!(
            "decnet-{name} is in quarantine, because it died too often: `decnet worker clear {name}` has it tried again"
        )),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(format!(
            "decnet-{name} has ended for good: the log of `decnet up` says why"
        )),
        Err(_) => Err(format!(
            "decnet-{name} was started, and is not ready after {} s: the log of `decnet up` says why",
            START.as_secs()
        )),
    }
}

impl Supervisor {
    /// One whose notification sockets live in `run_dir`.
    pub(crate) fn new(run_dir: &Path, screen: Prefixed) -> Self {
        let (failed, failures) = mpsc::unbounded_channel();
        Self {
            run_dir: run_dir.to_owned(),
            screen,
            running: Vec::new(),
            remote: Remote::default(),
            first_backoff: FIRST_BACKOFF,
            failed,
            failures,
        }
    }

    /// What has its workers started again.
    pub(crate) fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Start `program` and keep it running.
    pub(crate) fn start(&mut self, program: Program) -> io::Result<()> {
        let stop = Shutdown::new();
        let (phase, seen) = watch::channel(Phase::Starting);
        let (name, wishes) = (program.name, Wishes::default());
        let kept = Kept {
            name,
            wishes: wishes.clone(),
            phase: seen.clone(),
        };
        if let Err(error) = forget_quarantine(&self.run_dir, name) {
            let told = format!("that decnet-{name} was left alone is still written down: {error}");
            self.screen.line("up", &told);
        }
        let keeper = Keeper {
            told: Told::bind(&self.run_dir, name)?,
            run_dir: self.run_dir.clone(),
            program,
            screen: self.screen.clone(),
            last_lines: Arc::default(),
            first_backoff: self.first_backoff,
            stop: stop.clone(),
            wishes,
            phase,
            was_ready: false,
            failed: self.failed.clone(),
        };
        let mut all = self.remote.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(kept);
        drop(all);
        self.running.push(Running {
            name,
            stop,
            phase: seen,
            task: tokio::spawn(keeper.keep()),
        });
        Ok(())
    }

    /// Wait until every one of `names` is ready, or one of all workers fails to become so.
    pub(crate) async fn wait_ready(&mut self, names: &[&str], limit: Duration) -> Result<(), Failure> {
        let mut waiting: Vec<_> = self
            .running
            .iter()
            .filter(|r| names.contains(&r.name))
            .map(|r| r.phase.clone())
            .collect();
        let all = async {
            for phase in &mut waiting {
                // An error means that its keeper is gone; the failure comes by the other channel.
                if phase.wait_for(|phase| *phase == Phase::Ready).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            failure = self.failures.recv() => Err(failure.unwrap_or(Failure { name: "?", how: "is gone".into(), code: 1 })),
            done = timeout(limit, all) => done.map_err(|_| {
                let late = self.running.iter().find(|r| names.contains(&r.name) && *r.phase.borrow() != Phase::Ready);
                Failure {
                    name: late.map_or("?", |r| r.name),
                    how: format!("is not ready after {} s", limit.as_secs()),
                    code: 69,
                }
            }),
        }
    }

    /// Stop every worker, `order` first and the rest after, each with its grace.
    pub(crate) async fn stop(&mut self, order: &[&str]) {
        let mut left = std::mem::take(&mut self.running);
        for name in order {
            if let Some(at) = left.iter().position(|r| r.name == *name) {
                left.remove(at).stop().await;
            }
        }
        for running in left {
            running.stop().await;
        }
    }
}

impl Running {
    async fn stop(self) {
        self.stop.request();
        if let Err(error) = self.task.await {
            tracing::error!(worker = self.name, %error, "its keeper failed");
        }
    }
}

/// One program's keeper.
struct Keeper {
    program: Program,
    told: Told,
    /// Where workers leave their heartbeats.
    run_dir: PathBuf,
    screen: Prefixed,
    /// What its present life wrote last to standard error, where logs go.
    last_lines: Arc<Mutex<VecDeque<String>>>,
    first_backoff: Duration,
    stop: Shutdown,
    wishes: Wishes,
    phase: watch::Sender<Phase>,
    was_ready: bool,
    failed: mpsc::UnboundedSender<Failure>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut backoff = self.first_backoff;
        let mut deaths = Vec::new();
        while !self.stop.is_requested() {
            let started = Instant::now();
            let (how, said, code) = match self.live_once().await {
                Ok(None) => return,
                Ok(Some(ended)) if ended.halted || (ended.words.ordered && ended.status.success()) => {
                    let name = self.program.name;
                    self.screen.line(
                        "up",
                        &format!(
                            "decnet-{name} was told to stop, and stays stopped until `decnet worker start {name}`"
                        ),
                    );
                    let again = &self.wishes.again;
                    if !self.pause(Phase::Stopped, again, std::future::pending()).await {
                        return;
                    }
                    // Whoever stops and starts it has seen to it.
                    deaths.clear();
                    backoff = self.first_backoff;
                    continue;
                }
                Ok(Some(Ended { status, words, .. })) => {
                    let code = status.code().and_then(|c| u8::try_from(c).ok());
                    let code = code.filter(|c| *c > 0).unwrap_or(1);
                    let end = describe(status);
                    match words.reason {
                        Some(reason) => (format!("{end}: {reason}"), format!("{end}: {reason}"), code),
                        // They stand above on the screen.
                        None => (
                            format!("{end}; its last lines may say why"),
                            self.last_words(&end),
                            code,
                        ),
                    }
                }
                Err(error) => {
                    let path = self.program.path.display();
                    let how = format!("could not be started from {path}: {error}");
                    (how.clone(), how, UNAVAILABLE)
                }
            };
            if !self.was_ready || LASTING.contains(&code) {
                let failure = Failure {
                    name: self.program.name,
                    how,
                    code,
                };
                // Nobody listens any more where the whole is being stopped.
                let _unheard = self.failed.send(failure);
                return;
            }
            if code != UNAVAILABLE {
                let now = SystemClock.now();
                deaths = quarantine::lately(&deaths, now);
                deaths.push(now);
            }
            if quarantine::is_due(&deaths) {
                if !self.quarantined(&quarantine::left_alone(&said)).await {
                    return;
                }
                deaths.clear();
                backoff = self.first_backoff;
                continue;
            }
            if started.elapsed() >= HEALTHY {
                backoff = self.first_backoff;
            }
            self.screen.line(
                "up",
                &format!(
                    "decnet-{} {how}; starting it again in {:.1} s",
                    self.program.name,
                    backoff.as_secs_f64()
                ),
            );
            let again = &self.wishes.again;
            if !self.pause(Phase::Waiting, again, sleep(backoff)).await {
                return;
            }
            backoff = (backoff * 2).min(LAST_BACKOFF);
        }
    }

    /// Leave the worker alone, because it died too often, until somebody clears it; false where the whole is being stopped.
    async fn quarantined(&self, why: &str) -> bool {
        let name = self.program.name;
        self.screen.line(
            "up",
            &format!("decnet-{name} is {why}; it stays so until `decnet worker clear {name}`"),
        );
        let tasks = BTreeMap::from([(QUARANTINE.to_owned(), why.to_owned())]);
        self.leave(WorkerState::Quarantined, tasks).await;
        let cleared = &self.wishes.clear;
        if !self
            .pause(Phase::Quarantined, cleared, std::future::pending())
            .await
        {
            return false;
        }
        // Until it is heard of itself.
        self.leave(WorkerState::Stopped, BTreeMap::new()).await;
        true
    }

    /// Leave a heartbeat in the place of the worker, which has none.
    async fn leave(&self, state: WorkerState, tasks: BTreeMap<String, String>) {
        let (run, name) = (self.run_dir.clone(), self.program.name);
        let left = tokio::task::spawn_blocking(move || {
            let name: WorkerName = name.parse().map_err(io::Error::other)?;
            let beat = WorkerView {
                state,
                last_heard: Some(SystemClock.now()),
                tasks,
                ..WorkerView::unheard(name)
            };
            heartbeat::leave(&run, &beat)
        });
        if let Err(error) = left.await.map_err(io::Error::other).flatten() {
            let told = format!("that decnet-{name} is {state} could not be written down: {error}");
            self.screen.line("up", &told);
        }
    }

    /// How a life ended that gave no reason, with what it wrote last.
    fn last_words(&self, end: &str) -> String {
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        match lines.as_slice() {
            [] => format!("{end} without a word"),
            lines => format!("{end}; its last lines: {}", lines.join(" / ")),
        }
    }

    /// Wait until `over`, or somebody has the `wish`; false where the whole is being stopped.
    async fn pause(&self, phase: Phase, wish: &Notify, over: impl Future<Output = ()>) -> bool {
        let wanted = wish.notified();
        tokio::pin!(wanted);
        // Whoever sees the phase is heard.
        wanted.as_mut().enable();
        self.phase.send_replace(phase);
        tokio::select! {
            () = over => true,
            () = wanted => true,
            () = self.stop.requested() => false,
        }
    }

    /// Take in what the worker says of itself.
    fn note(&mut self, said: Said, words: &mut Words) {
        match said {
            Said::Ready => {
                self.was_ready = true;
                self.phase.send_replace(Phase::Ready);
            }
            Said::Ordered => {
                words.ordered = true;
                self.phase.send_replace(Phase::Stopping);
            }
            Said::Reason(reason) => words.reason = Some(reason),
        }
    }

    /// Run the program once; `None` where it ended because the whole is being stopped.
    async fn live_once(&mut self) -> io::Result<Option<Ended>> {
        self.phase.send_replace(Phase::Starting);
        self.last_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let (mut words, mut halted) = (Words::default(), false);
        // What was meant for the last life.
        tokio::select! {
            biased;
            () = self.wishes.halt.notified() => {}
            () = std::future::ready(()) => {}
        }
        let mut child = self.spawn()?;
        let output = [
            child.stdout.take().map(|o| self.relay(o, None)),
            child
                .stderr
                .take()
                .map(|o| self.relay(o, Some(Arc::clone(&self.last_lines)))),
        ];
        let ended = loop {
            tokio::select! {
                status = child.wait() => {
                    // What it said last may not be read yet, and decides what follows.
                    while let Ok(said) = timeout(LAST_WORDS, self.told.next()).await {
                        self.note(said?, &mut words);
                    }
                    break Some(Ended { status: status?, words, halted });
                }
                () = self.stop.requested() => {
                    self.end(&mut child).await?;
                    break None;
                }
                () = self.wishes.halt.notified() => {
                    halted = true;
                    self.phase.send_replace(Phase::Stopping);
                    self.end(&mut child).await?;
                }
                said = self.told.next() => self.note(said?, &mut words),
            }
        };
        for relay in output.into_iter().flatten() {
            // A grandchild may hold the pipe open; what the worker itself wrote is through by then.
            if timeout(Duration::from_secs(1), relay).await.is_err() {
                tracing::debug!(worker = self.program.name, "its output stays open");
            }
        }
        Ok(ended)
    }

    fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program.path);
        command
            .args(&self.program.args)
            .envs(self.program.env.iter().map(|(k, v)| (k, v)));
        // A secret is for who uses it.
        for key in KEYS
            .iter()
            .filter(|key| key.secret && !key.is_for(self.program.name))
        {
            command.env_remove(key.env());
        }
        command
            .env("NOTIFY_SOCKET", &self.told.path)
            .env(
                decnet_runtime::worker::SUPERVISOR_ENV,
                std::process::id().to_string(),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C on the terminal reaches this process only, which stops the others in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// Show what a child writes, and keep the last of it in `last`.
    fn relay(
        &self,
        from: impl AsyncRead + Unpin + Send + 'static,
        last: Option<Arc<Mutex<VecDeque<String>>>>,
    ) -> JoinHandle<()> {
        let (screen, name) = (self.screen.clone(), self.program.name);
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                let line = String::from_utf8_lossy(&line);
                screen.line(name, &line);
                if let Some(last) = &last {
                    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                    if last.len() == LINES {
                        last.pop_front();
                    }
                    last.push_back(harmless(&line).chars().take(LINE_CHARS).collect());
                }
            }
        })
    }

    /// SIGTERM, ten seconds' grace, SIGKILL: each to the whole process group.
    async fn end(&self, child: &mut Child) -> io::Result<()> {
        let Some(pid) = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw)
        else {
            return Ok(());
        };
        self.signal(pid, Signal::SIGTERM);
        if timeout(GRACE, child.wait()).await.is_err() {
            let told = format!("it did not stop within {} s, and is killed", GRACE.as_secs());
            self.screen.line(self.program.name, &told);
            self.signal(pid, Signal::SIGKILL);
            child.wait().await?;
        }
        // Whatever the worker left behind in its group goes with it.
        self.signal(pid, Signal::SIGKILL);
        Ok(())
    }

    fn signal(&self, group: Pid, signal: Signal) {
        // ESRCH: everybody in the group has ended already.
        if let Err(error) = killpg(group, signal)
            && error != nix::errno::Errno::ESRCH
        {
            let told = format!("{signal} does not reach it: {error}");
            self.screen.line(self.program.name, &told);
        }
    }
}

/// That an earlier host left the worker `name` alone says nothing of what this one makes of it.
fn forget_quarantine(run: &Path, name: &str) -> io::Result<()> {
    let name: WorkerName = name.parse().map_err(io::Error::other)?;
    match heartbeat::left(run, &name, SystemClock.now()) {
        Some(mut left) if left.state == WorkerState::Quarantined => {
            left.state = WorkerState::Stopped;
            left.tasks.remove(QUARANTINE);
            heartbeat::leave(run, &left)
        }
        _ => Ok(()),
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        (_, Some(signal)) => {
            let name = Signal::try_from(signal).map_or("an unknown signal", Signal::as_str);
            format!("was killed by {name}")
        }
        _ => "ended".to_owned(),
    }
}

/// How a life ended.
struct Ended {
    status: ExitStatus,
    words: Words,
    /// We ended it, because somebody wanted that.
    halted: bool,
}

/// What it had said of its end.
#[derive(Default)]
struct Words {
    /// It was told to.
    ordered: bool,
    /// Why, where it could not go on.
    reason: Option<String>,
}

/// What a child says of itself.
enum Said {
    Ready,
    Ordered,
    Reason(String),
}

/// The socket on which a child says so (sd_notify(3)).
struct Told {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Told {
    fn bind(run_dir: &Path, name: &str) -> io::Result<Self> {
        let path = told_at(run_dir, name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            socket: UnixDatagram::bind(&path)?,
            path,
        })
    }

    /// What it says next that matters here.
    async fn next(&self) -> io::Result<Said> {
        let mut buffer = [0; 4096];
        loop {
            let n = self.socket.recv(&mut buffer).await?;
            let text = buffer.get(..n).unwrap_or_default();
            let mut lines = text.split(|b| *b == b'\n');
            let says = |word: &str| lines.clone().any(|line| line == word.as_bytes());
            if says("READY=1") {
                return Ok(Said::Ready);
            }
            if says(ORDERED) {
                return Ok(Said::Ordered);
            }
            if let Some(reason) = lines.find_map(|line| line.strip_prefix(b"STATUS=")) {
                return Ok(Said::Reason(harmless(&String::from_utf8_lossy(reason))));
            }
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // The folder may be gone already.
        let _gone = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, os::unix::net::UnixDatagram as Datagram};

    use decnet_runtime::{
        settings::{Settings, Sources},
        supervisor::Lock,
    };

    use super::*;

    /// Folder of a child's life, and what it ends with each time.
    const CHILD: &str = "DECNET_TEST_CHILD";

    /// Not a test of its own: what the supervisor of the tests below starts. It is ready in its first life only.
    #[test]
    fn child() {
        let Ok(story) = env::var(CHILD) else { return };
        let (folder, codes) = story.split_once(' ').unwrap();
        let lives = Path::new(folder).join("lives");
        let life = fs::read_to_string(&lives).unwrap_or_default().len();
        fs::write(&lives, "x".repeat(life + 1)).unwrap();
        let code = codes.split(',').nth(life).unwrap();
        let tell = |word: &str| {
            let socket = Datagram::unbound().unwrap();
            let told = socket.send_to(word.as_bytes(), env::var("NOTIFY_SOCKET").unwrap());
            told.unwrap();
        };
        let mut words: Vec<_> = code.split(' ').collect();
        let code = words.pop().unwrap();
        for word in words {
            match word {
                "ready" => tell("READY=1\n"),
                "ordered" => tell(ORDERED),
                "why" => tell("STATUS=there is no room\n"),
                "words" => eprintln!("a line\nand\u{7} another"),
                "late" => std::thread::sleep(Duration::from_millis(500)),
                // Until it is killed.
                _ => std::thread::sleep(Duration::from_secs(600)),
            }
        }
        std::process::exit(code.parse().unwrap());
    }

    /// A supervisor of one worker, whose lives in `folder` end as `codes` say.
    fn supervisor(folder: &Path, codes: &str) -> Supervisor {
        hasty(folder, codes, FIRST_BACKOFF)
    }

    /// The same with another first wait.
    fn hasty(folder: &Path, codes: &str, first_backoff: Duration) -> Supervisor {
        let mut supervisor = Supervisor::new(folder, Prefixed::new());
        supervisor.first_backoff = first_backoff;
        let program = Program {
            name: "child",
            path: env::current_exe().unwrap(),
            args: ["--exact", "up::supervise::tests::child", "--nocapture"]
                .map(str::to_owned)
                .to_vec(),
            env: vec![(CHILD.to_owned(), format!("{} {codes}", folder.display()))],
        };
        supervisor.start(program).unwrap();
        supervisor
    }

    /// How many lives the worker in `folder` has begun; none where it was not started yet.
    fn lives(folder: &Path) -> usize {
        fs::read_to_string(folder.join("lives")).unwrap_or_default().len()
    }

    /// Waits until the worker in `folder` has begun as many lives.
    async fn begun(folder: &Path, number: usize) {
        let seen = async {
            while lives(folder) < number {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(60), seen).await.unwrap();
    }

    /// How a worker ended for good that ends with `codes`, and in how many lives.
    async fn ended(codes: &str) -> (Failure, usize) {
        let dir = tempfile::tempdir().unwrap();
        let mut supervisor = supervisor(dir.path(), codes);
        let failure = timeout(Duration::from_secs(60), supervisor.failures.recv()).await;
        supervisor.stop(&[]).await;
        (failure.unwrap().unwrap(), lives(dir.path()))
    }

    /// Waits until the one worker of `supervisor` is in that phase.
    async fn until(supervisor: &Supervisor, phase: Phase) {
        let mut seen = supervisor.running[0].phase.clone();
        let reached = timeout(Duration::from_secs(60), seen.wait_for(|now| *now == phase));
        reached.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_worker_that_was_told_to_stop_stays_stopped_until_somebody_has_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let mut supervisor = supervisor(dir.path(), "ready ordered 0,ready lives 0");
        let remote = supervisor.remote();
        until(&supervisor, Phase::Stopped).await;
        // Longer than the first wait of one that is started again by itself.
        sleep(2 * FIRST_BACKOFF).await;
        assert_eq!(lives(dir.path()), 1);
        remote.clone().start("child".into()).await.unwrap();
        assert_eq!(lives(dir.path()), 2);
        let again = remote.clone().start("child".into()).await.unwrap_err();
        assert!(again.contains("runs already"), "{again}");
        let other = remote.start("barista".into()).await.unwrap_err();
        assert!(other.contains("none of the workers"), "{other}");
        supervisor.stop(&[]).await;
    }

    #[tokio::test]
    async fn a_worker_that_is_started_while_it_stops_runs_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut supervisor = supervisor(dir.path(), "ready ordered late 0,ready lives 0");
        let remote = supervisor.remote();
        until(&supervisor, Phase::Stopping).await;
        remote.start("child".into()).await.unwrap();
        assert_eq!(lives(dir.path()), 2);
        supervisor.stop(&[]).await;
    }

    #[tokio::test]
    async fn a_worker_is_stopped_by_what_keeps_it_and_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        // It does not drain: SIGTERM kills it.
        let mut supervisor = supervisor(dir.path(), "ready lives 0,ready lives 0");
        let remote = supervisor.remote();
        until(&supervisor, Phase::Ready).await;
        remote.clone().stop("child".into()).await.unwrap();
        until(&supervisor, Phase::Stopped).await;
        let again = remote.stop("child".into()).await.unwrap_err();
        assert!(again.contains("does not run"), "{again}");
        assert_eq!(lives(dir.path()), 1);
        supervisor.stop(&[]).await;
    }

    #[tokio::test]
    async fn a_worker_that_ends_with_0_and_was_not_told_to_is_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut supervisor = supervisor(dir.path(), "ready 0,ready ordered 1,ready lives 0");
        until(&supervisor, Phase::Waiting).await;
        begun(dir.path(), 3).await;
        until(&supervisor, Phase::Ready).await;
        supervisor.stop(&[]).await;
    }

    #[tokio::test]
    async fn a_worker_that_dies_five_times_is_left_alone_with_its_last_words_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let codes = "ready 1,ready why 1,1,ready 0,ready words 3,ready lives 0";
        let mut supervisor = hasty(dir.path(), codes, Duration::from_millis(1));
        let remote = supervisor.remote();
        until(&supervisor, Phase::Quarantined).await;
        assert_eq!(lives(dir.path()), 5);
        // Nobody holds the data directory here, so who reads it as a heartbeat would not believe it.
        let left: WorkerView =
            serde_json::from_slice(&fs::read(dir.path().join("child.health")).unwrap()).unwrap();
        assert_eq!(left.state, WorkerState::Quarantined);
        let told = &left.tasks[QUARANTINE];
        assert!(
            told.contains("after 5 deaths within 10 minutes: ended with code 3")
                && told.contains("a line / and⟨U+0007⟩ another"),
            "{told}"
        );
        let refused = remote.clone().start("child".into()).await.unwrap_err();
        assert!(refused.contains("decnet worker clear child"), "{refused}");
        let stopped = remote.clone().stop("child".into()).await.unwrap_err();
        assert!(stopped.contains("does not run"), "{stopped}");
        assert_eq!(lives(dir.path()), 5);
        remote.clone().clear("child".into()).await.unwrap();
        assert_eq!(lives(dir.path()), 6);
        let again = remote.clear("child".into()).await.unwrap_err();
        assert!(again.contains("not in quarantine"), "{again}");
        supervisor.stop(&[]).await;
    }

    #[tokio::test]
    async fn an_ordered_stop_ends_the_count_of_deaths() {
        let dir = tempfile::tempdir().unwrap();
        let codes = "ready 1,ready 1,ready 1,ready 1,ready ordered 0,ready 1,ready lives 0";
        let mut supervisor = hasty(dir.path(), codes, Duration::from_millis(1));
        let remote = supervisor.remote();
        until(&supervisor, Phase::Stopped).await;
        assert_eq!(lives(dir.path()), 5);
        remote.start("child".into()).await.unwrap();
        begun(dir.path(), 7).await;
        until(&supervisor, Phase::Ready).await;
        supervisor.stop(&[]).await;
    }

    #[tokio::test]
    async fn a_start_that_ends_in_a_quarantine_says_so_at_once_and_does_not_clear_it() {
        let dir = tempfile::tempdir().unwrap();
        let codes = "ready 1,ready 1,ready 1,ready 1,late 1,ready lives 0";
        let mut supervisor = hasty(dir.path(), codes, Duration::from_millis(1));
        let remote = supervisor.remote();
        begun(dir.path(), 5).await;
        // That life is never ready, and ends while somebody waits for it.
        let told = remote.start("child".into()).await.unwrap_err();
        assert!(told.contains("decnet worker clear child"), "{told}");
        assert_eq!(*supervisor.running[0].phase.borrow(), Phase::Quarantined);
        assert_eq!(lives(dir.path()), 5);
        supervisor.stop(&[]).await;
    }

    #[tokio::test]
    async fn a_quarantine_of_an_earlier_host_is_forgotten_as_this_one_begins() {
        let dir = tempfile::tempdir().unwrap();
        let mut sources = Sources::default();
        sources.flags.insert("data-dir", dir.path().display().to_string());
        let settings = Settings::read(&sources).unwrap();
        let run = settings.run_dir();
        fs::create_dir_all(&run).unwrap();
        let name: WorkerName = "child".parse().unwrap();
        let earlier = WorkerView {
            state: WorkerState::Quarantined,
            last_heard: Some(SystemClock.now()),
            tasks: BTreeMap::from([(QUARANTINE.to_owned(), "it died".to_owned())]),
            ..WorkerView::unheard(name.clone())
        };
        heartbeat::leave(&run, &earlier).unwrap();
        let _alone = Lock::take(&settings).unwrap();
        let left = || heartbeat::left(&run, &name, SystemClock.now()).unwrap();
        assert_eq!(left().state, WorkerState::Quarantined);
        let mut supervisor = supervisor(&run, "ready lives 0");
        assert_eq!(left().state, WorkerState::Stopped);
        assert!(left().tasks.is_empty());
        supervisor.stop(&[]).await;
    }

    #[tokio::test]
    async fn a_worker_that_lacks_something_else_is_tried_until_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let codes = "ready 69,69,69,69,69,69,ready lives 0";
        let mut supervisor = hasty(dir.path(), codes, Duration::from_millis(1));
        begun(dir.path(), 7).await;
        until(&supervisor, Phase::Ready).await;
        supervisor.stop(&[]).await;
    }

    #[tokio::test]
    async fn a_worker_that_was_ready_is_started_again_until_it_says_that_this_is_of_no_use() {
        for lasting in [64, 77, 78] {
            let (failure, lives) = ended(&format!("ready 1,69,{lasting}")).await;
            assert_eq!((i32::from(failure.code), lives), (lasting, 3));
            let told = failure.to_string();
            assert!(
                told.contains("decnet-child") && told.contains(&lasting.to_string()),
                "{told}"
            );
        }
    }

    #[tokio::test]
    async fn a_worker_that_was_never_ready_is_not_started_again() {
        let (failure, lives) = ended("69").await;
        assert_eq!((failure.code, lives), (69, 1));
    }

    #[tokio::test]
    async fn why_a_worker_ended_is_told_with_its_end() {
        let (failure, _) = ended("why 69").await;
        assert_eq!(
            failure.to_string(),
            "decnet-child ended with code 69: there is no room"
        );
    }
}
