//! Workers as child processes: started in order, restarted with backoff, stopped in order.
//!
//! A child tells that it is ready in systemd's way (`NOTIFY_SOCKET`), so nothing is polled. One that ends before it
//! was ever ready is not restarted, nor is one that ends with a code that says so: a port in use or a wrong key does not
//! get better by trying again.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use decnet_runtime::Shutdown;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    net::UnixDatagram,
    process::{Child, Command},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::output::Prefixed;

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

/// Codes of ends that come again however often one tries: wrong usage, not permitted, wrong configuration.
const LASTING: &[u8] = &[64, 77, 78];

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
    failed: mpsc::UnboundedSender<Failure>,
    /// Workers that ended for good.
    pub(crate) failures: mpsc::UnboundedReceiver<Failure>,
}

struct Running {
    name: &'static str,
    stop: Shutdown,
    ready: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// One whose notification sockets live in `run_dir`.
    pub(crate) fn new(run_dir: &Path, screen: Prefixed) -> Self {
        let (failed, failures) = mpsc::unbounded_channel();
        Self {
            run_dir: run_dir.to_owned(),
            screen,
            running: Vec::new(),
            failed,
            failures,
        }
    }

    /// Start `program` and keep it running.
    pub(crate) fn start(&mut self, program: Program) -> io::Result<()> {
        let stop = Shutdown::new();
        let (announce, ready) = watch::channel(false);
        let name = program.name;
        let keeper = Keeper {
            notify: Notify::bind(&self.run_dir, name)?,
            program,
            screen: self.screen.clone(),
            stop: stop.clone(),
            announce: Arc::new(announce),
            failed: self.failed.clone(),
        };
        self.running.push(Running {
            name,
            stop,
            ready,
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
            .map(|r| (r.name, r.ready.clone()))
            .collect();
        let all = async {
            for (_, ready) in &mut waiting {
                // An error means that its keeper is gone; the failure comes by the other channel.
                if ready.wait_for(|ready| *ready).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            failure = self.failures.recv() => Err(failure.unwrap_or(Failure { name: "?", how: "is gone".into(), code: 1 })),
            done = timeout(limit, all) => done.map_err(|_| {
                let late = self.running.iter().find(|r| names.contains(&r.name) && !*r.ready.borrow());
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
    notify: Notify,
    screen: Prefixed,
    stop: Shutdown,
    announce: Arc<watch::Sender<bool>>,
    failed: mpsc::UnboundedSender<Failure>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut backoff = FIRST_BACKOFF;
        let mut was_ready = false;
        while !self.stop.is_requested() {
            let started = Instant::now();
            let (how, hint, code) = match self.live_once().await {
                Ok(None) => return,
                Ok(Some(status)) => {
                    let code = status.code().and_then(|c| u8::try_from(c).ok());
                    let code = code.filter(|c| *c > 0).unwrap_or(1);
                    (describe(status), "; its last lines say why", code)
                }
                Err(error) => {
                    let path = self.program.path.display();
                    (format!("could not be started from {path}: {error}"), "", 69)
                }
            };
            was_ready |= *self.announce.borrow();
            if !was_ready || LASTING.contains(&code) {
                let failure = Failure {
                    name: self.program.name,
                    how: how + hint,
                    code,
                };
                // Nobody listens any more where the whole is being stopped.
                let _unheard = self.failed.send(failure);
                return;
            }
            if started.elapsed() >= HEALTHY {
                backoff = FIRST_BACKOFF;
            }
            self.screen.line(
                "up",
                &format!(
                    "decnet-{} {how}; starting it again in {:.1} s",
                    self.program.name,
                    backoff.as_secs_f64()
                ),
            );
            tokio::select! {
                () = sleep(backoff) => {}
                () = self.stop.requested() => return,
            }
            backoff = (backoff * 2).min(LAST_BACKOFF);
        }
    }

    /// Run the program once; `None` where it ended because it was told to.
    async fn live_once(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut child = self.spawn()?;
        let output = [
            child.stdout.take().map(|o| self.relay(o)),
            child.stderr.take().map(|o| self.relay(o)),
        ];
        let ended = loop {
            tokio::select! {
                status = child.wait() => {
                    // What it said last may not be read yet, and whether it was ever ready decides what follows.
                    if let Ok(ready) = timeout(LAST_WORDS, self.notify.ready()).await {
                        ready?;
                        self.announce.send_replace(true);
                    }
                    break Some(status?);
                }
                () = self.stop.requested() => {
                    end(&mut child).await?;
                    break None;
                }
                ready = self.notify.ready() => {
                    ready?;
                    self.announce.send_replace(true);
                }
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
        Command::new(&self.program.path)
            .args(&self.program.args)
            .envs(self.program.env.iter().map(|(k, v)| (k, v)))
            .env("NOTIFY_SOCKET", &self.notify.path)
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

    fn relay(&self, from: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<()> {
        let (screen, name) = (self.screen.clone(), self.program.name);
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                screen.line(name, &String::from_utf8_lossy(&line));
            }
        })
    }
}

/// SIGTERM, ten seconds' grace, SIGKILL: each to the whole process group.
async fn end(child: &mut Child) -> io::Result<()> {
    let Some(pid) = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .map(Pid::from_raw)
    else {
        return Ok(());
    };
    signal(pid, Signal::SIGTERM);
    if timeout(GRACE, child.wait()).await.is_err() {
        tracing::warn!(%pid, "not stopped in {} s: killed", GRACE.as_secs());
        signal(pid, Signal::SIGKILL);
        child.wait().await?;
    }
    // Whatever the worker left behind in its group goes with it.
    signal(pid, Signal::SIGKILL);
    Ok(())
}

fn signal(group: Pid, signal: Signal) {
    // ESRCH: everybody in the group has ended already.
    if let Err(error) = killpg(group, signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(%group, %signal, %error, "not signalled");
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

/// The socket on which a child says `READY=1` (sd_notify(3)).
struct Notify {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Notify {
    fn bind(run_dir: &Path, name: &str) -> io::Result<Self> {
        let path = run_dir.join(format!("notify.{name}"));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            socket: UnixDatagram::bind(&path)?,
            path,
        })
    }

    async fn ready(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let n = self.socket.recv(&mut buffer).await?;
            let text = buffer.get(..n).unwrap_or_default();
            if text.split(|b| *b == b'\n').any(|line| line == b"READY=1") {
                return Ok(());
            }
        }
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        // The folder may be gone already.
        let _gone = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, os::unix::net::UnixDatagram as Datagram};

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
        if let Some(code) = code.strip_prefix("ready ") {
            let socket = Datagram::unbound().unwrap();
            let told = socket.send_to(b"READY=1\n", env::var("NOTIFY_SOCKET").unwrap());
            told.unwrap();
            std::process::exit(code.parse().unwrap());
        }
        std::process::exit(code.parse().unwrap());
    }

    /// How a worker ended for good that ends with `codes`, and in how many lives.
    async fn ended(codes: &str) -> (Failure, usize) {
        let dir = tempfile::tempdir().unwrap();
        let mut supervisor = Supervisor::new(dir.path(), Prefixed::new());
        let program = Program {
            name: "child",
            path: env::current_exe().unwrap(),
            args: ["--exact", "up::supervise::tests::child", "--nocapture"]
                .map(str::to_owned)
                .to_vec(),
            env: vec![(CHILD.to_owned(), format!("{} {codes}", dir.path().display()))],
        };
        supervisor.start(program).unwrap();
        let failure = timeout(Duration::from_secs(60), supervisor.failures.recv()).await;
        supervisor.stop(&[]).await;
        let lives = fs::read_to_string(dir.path().join("lives")).unwrap().len();
        (failure.unwrap().unwrap(), lives)
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
}
