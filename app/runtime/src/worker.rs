//! The [`Worker`] trait and the one `main` that all workers share.

use std::{
    fs, future::Future, io, os::unix::fs::DirBuilderExt as _, path::Path, process::ExitCode, sync::Arc,
    time::Duration,
};

use clap::{Arg, ArgMatches, Command};
use decnet_bus::Bus;
use decnet_db::Store;
use decnet_model::{
    clock::{SharedClock, SystemClock},
    name::WorkerName,
    state::{ORDER, WorkerState},
    topic::{Pattern, Topic},
};
use nix::unistd::{AccessFlags, access};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use crate::{
    Recurring, Shutdown, Status, VERSION, Wake,
    exit::{Exit, RunError, StartError, chain},
    heartbeat::Heart,
    lock::FileLock,
    logging, order,
    settings::{Settings, Sources, keys::KEYS},
    supervisor,
};

/// Holds the process id of `decnet up` in its children: they end when it does, however it does.
pub const SUPERVISOR_ENV: &str = "DECNET_SUPERVISOR";

/// Signals that come closer together are one: `timeout` and some service managers signal a process and its group.
pub const ONE_SIGNAL: Duration = Duration::from_millis(300);
/// How long a worker may drain after it was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// A daemon.
pub trait Worker: Sized + Send + 'static {
    /// Its name in the closed list of workers; the program is `decnet-<name>`.
    const NAME: &'static str;
    /// What it does, in a sentence: the head of its `--help`.
    const ABOUT: &'static str;
    /// Whether it needs the database. That is the master's, and so is then the worker: on an agent it does not start.
    const DATABASE: bool;
    /// Whether it brings the database's schema up to date before it looks at it; several may do so at once.
    const MIGRATES: bool = false;
    /// Threads that run its tasks. One is enough for most, and small.
    const THREADS: usize = 1;

    /// Get everything ready: bind, open, load. Nothing is announced before it returns.
    ///
    /// # Errors
    /// What is missing and what to do about it.
    fn build(ctx: Context) -> impl Future<Output = Result<Self, StartError>> + Send;

    /// Work until `shutdown`, then finish what is in hand and return.
    ///
    /// # Errors
    /// What makes going on impossible; the process then exits 1 and its supervisor starts it again.
    fn run(self, shutdown: Shutdown) -> impl Future<Output = Result<(), RunError>> + Send;
}

/// What the shell gives a worker.
#[derive(Clone)]
pub struct Context {
    /// The checked configuration.
    pub settings: Arc<Settings>,
    /// The bus; silent where it is off.
    pub bus: Bus,
    /// The present time.
    pub clock: SharedClock,
    /// What the heartbeat tells.
    pub status: Status,
    store: Option<Store>,
}

impl Context {
    /// A context with these parts, for tests that run a worker without its shell.
    #[must_use]
    pub fn new(settings: Arc<Settings>, bus: Bus, store: Option<Store>, clock: SharedClock) -> Self {
        Self {
            settings,
            bus,
            clock,
            status: Status::default(),
            store,
        }
    }

    /// The database.
    ///
    /// # Errors
    /// Where the worker did not say that it needs one.
    pub fn store(&self) -> Result<Store, StartError> {
        self.store
            .clone()
            .ok_or_else(|| StartError::config("this worker was started without a database"))
    }

    /// Wake on any of `patterns`, and at the latest after `interval`.
    #[must_use]
    pub fn wake(&self, patterns: Vec<Pattern>, interval: Duration) -> Wake {
        Wake::new(
            patterns.into_iter().map(|p| self.bus.subscribe(p)).collect(),
            interval,
        )
    }
}

/// Run `W` as a process: the whole of a daemon's `main`.
#[must_use]
pub fn main<W: Worker>() -> ExitCode {
    let matches = match command::<W>().try_get_matches_from(std::env::args_os()) {
        Ok(matches) => matches,
        Err(error) => return print_clap(&error),
    };
    match start::<W>(&matches) {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            complain(W::NAME, &error.message);
            // Whoever started it tells this where it is looked for: at the end.
            let said: Vec<&str> = error.message.lines().map(str::trim).collect();
            notify(&[sd_notify::NotifyState::Status(&said.join(" "))]);
            error.exit.into()
        }
    }
}

/// The command line of `W`: every key that it reads is a flag, but for secrets.
#[must_use]
pub fn command<W: Worker>() -> Command {
    settings_args(
        Command::new(format!("decnet-{}", W::NAME))
            .about(W::ABOUT)
            .version(VERSION),
        W::NAME,
    )
}

/// Add the flags of every key that `worker` reads.
#[must_use]
pub fn settings_args(mut command: Command, worker: &str) -> Command {
    command = command.arg(
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("The INI file [default: /etc/decnet/decnet.ini]"),
    );
    for key in KEYS.iter().filter(|key| !key.secret && key.is_for(worker)) {
        command = command.arg(
            Arg::new(key.name)
                .long(key.name)
                .value_name("VALUE")
                .hide_short_help(!["data-dir", "log-level", "listen"].contains(&key.name))
                .help(format!(
                    "{} [default: {}] [env: {}]",
                    key.doc,
                    key.default,
                    key.env()
                )),
        );
    }
    command
}

/// The process's sources, with the flags of `matches`.
#[must_use]
pub fn sources(matches: &ArgMatches) -> Sources {
    let mut sources = Sources::of_process();
    let said = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    if let Some(path) = said("config") {
        sources.config = Some(path.into());
    }
    for key in KEYS {
        if let Some(text) = said(key.name) {
            sources.flag(key, &text);
        }
    }
    sources
}

fn start<W: Worker>(matches: &ArgMatches) -> Result<(), StartError> {
    let sources = Sources {
        worker: Some(W::NAME),
        ..sources(matches)
    };
    let settings = Arc::new(Settings::read(&sources)?);
    logging::start(&settings)?;
    if W::DATABASE {
        settings.for_master(&format!("decnet-{}", W::NAME))?;
    }
    data_dir_is_there(&settings.data_dir)?;
    let _alone = alone(W::NAME, &settings)?;
    end_with_supervisor()?;
    // Installing fails only where one is installed already, which is as good.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = if W::THREADS > 1 {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(W::THREADS);
        builder
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| StartError::io("the asynchronous runtime", &error))?;
    let result = runtime.block_on(life::<W>(settings));
    // A task that hangs in a system call does not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// Refuses a data directory that is a file, or is said to lie in one. One that is not there is none of either.
///
/// # Errors
/// With the way out.
pub fn data_dir_is_no_file(data: &Path) -> Result<(), StartError> {
    let file = data
        .ancestors()
        .find(|part| fs::metadata(part).is_ok_and(|found| !found.is_dir()));
    match file {
        None => Ok(()),
        Some(file) if file == data => Err(StartError::config(format!(
            "data directory {} is no directory: give another by --data-dir",
            data.display()
        ))),
        Some(file) => Err(StartError::config(format!(
            "data directory {}: {} is no directory; give another by --data-dir",
            data.display(),
            file.display()
        ))),
    }
}

/// Every worker leaves something in the data directory, its heartbeat at least; none makes it.
fn data_dir_is_there(data: &Path) -> Result<(), StartError> {
    data_dir_is_no_file(data)?;
    let name = format!("data directory {}", data.display());
    match fs::metadata(data) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StartError::unavailable(format!(
                "there is no {name}: run `decnet init` or `decnet up` first, or name another by --data-dir"
            )));
        }
        Err(error) => return Err(StartError::io(&name, &error)),
    }
    access(data, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| {
        let mut fault = StartError::io(&name, &error.into());
        fault
            .message
            .push_str("; make it writable for this user, or name another by --data-dir");
        fault
    })
}

/// Hold the place of `worker` in the data directory: a second one would do its work twice over, or speak for the first.
fn alone(worker: &str, settings: &Settings) -> Result<FileLock, StartError> {
    let run = settings.run_dir();
    let path = run.join(format!("{worker}.lock"));
    let taken = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&run)
        .and_then(|()| FileLock::take(&path, &format!("{}\n", std::process::id())));
    match taken {
        Ok(Ok(held)) => Ok(held),
        Ok(Err(holder)) => Err(StartError::unavailable(format!(
            "another decnet-{worker} (process {}) works on {}: stop it, or give another --data-dir",
            holder.trim(),
            settings.data_dir.display()
        ))),
        Err(error) => Err(StartError::io(&path.display().to_string(), &error)),
    }
}

/// Where a supervisor started this process, the kernel sends SIGTERM when it is gone.
fn end_with_supervisor() -> Result<(), StartError> {
    let Ok(supervisor) = std::env::var(SUPERVISOR_ENV) else {
        return Ok(());
    };
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)
        .map_err(|error| StartError::io("PR_SET_PDEATHSIG", &error.into()))?;
    // It may have died before the call.
    if supervisor == nix::unistd::getppid().to_string() {
        Ok(())
    } else {
        Err(StartError::unavailable(format!(
            "the supervisor, process {supervisor}, is gone"
        )))
    }
}

async fn life<W: Worker>(settings: Arc<Settings>) -> Result<(), StartError> {
    let name: WorkerName = W::NAME
        .parse()
        .map_err(|error| StartError::config(format!("{error}")))?;
    let shutdown = Shutdown::new();
    on_signals(&shutdown)?;
    let clock: SharedClock = Arc::new(SystemClock);
    let store = tokio::select! {
        store = open::<W>(&settings) => store?,
        () = shutdown.requested() => return Ok(()),
    };
    let bus = Bus::connect(&settings.bus, W::NAME);
    let run = settings.run_dir();
    let place = run.clone();
    let context = Context {
        settings,
        bus,
        clock,
        status: Status::default(),
        store,
    };
    let heart = Heart {
        name: name.clone(),
        bus: context.bus.clone(),
        store: context.store.clone(),
        run,
        clock: context.clock.clone(),
        status: context.status.clone(),
        started: Instant::now(),
        faults: Recurring::default(),
    };
    let mut control = context
        .bus
        .subscribe(Pattern::exactly(&Topic::worker_control(&name)));

    let worker = tokio::select! {
        built = W::build(context) => built?,
        () = shutdown.requested() => return Ok(()),
    };
    tracing::info!(
        worker = W::NAME,
        version = VERSION,
        pid = std::process::id(),
        "ready"
    );
    notify(&[sd_notify::NotifyState::Ready]);

    let orders = async {
        while let Some(event) = control.recv().await {
            if let Some(by) = order::stop_by(&event, &place) {
                tracing::info!(by, "told to stop over the bus");
                heart.status.set(ORDER, format!("to stop, from {by}"));
                heart.say_on_bus(WorkerState::Ok);
                notify(&[sd_notify::NotifyState::Custom(supervisor::ORDERED)]);
                shutdown.request();
            }
        }
        std::future::pending::<()>().await;
    };
    let mut work = std::pin::pin!(worker.run(shutdown.clone()));
    let ended = tokio::select! {
        // A worker that hears of the order as soon as this does may be done at once: that it stops is said all the same.
        biased;
        () = shutdown.requested() => {
            notify(&[sd_notify::NotifyState::Stopping]);
            tracing::info!(worker = W::NAME, "stopping");
            tokio::time::timeout(GRACE, work).await.unwrap_or_else(|_| {
                Err(RunError { what: format!("not drained after {} s", GRACE.as_secs()), source: None })
            })
        }
        ended = &mut work => ended,
        () = orders => Ok(()),
        () = heart.beat() => Ok(()),
    };
    // It is on its way over the bus before that closes; both then have the same second.
    let farewell = tokio::time::timeout(Duration::from_secs(1), heart.say(WorkerState::Stopped));
    let (said, ()) = tokio::join!(farewell, heart.bus.close());
    if said.is_err() {
        tracing::debug!("the last heartbeat took too long");
    }
    match ended {
        Ok(()) => {
            tracing::info!(worker = W::NAME, "stopped");
            Ok(())
        }
        Err(error) => Err(StartError {
            exit: Exit::Failed,
            message: chain(&error),
        }),
    }
}

/// The database, where `W` needs one.
async fn open<W: Worker>(settings: &Settings) -> Result<Option<Store>, StartError> {
    if !W::DATABASE {
        return Ok(None);
    }
    if W::MIGRATES {
        migrate(settings).await?;
    }
    connect(settings).await.map(Some)
}

/// Connect to the database that `settings` name, and see that its schema is ours. It makes none.
///
/// # Errors
/// Where there is none, it cannot be reached, or its schema is another version's.
pub async fn connect(settings: &Settings) -> Result<Store, StartError> {
    let options = settings.store_options();
    if let Some(file) = options.sqlite_file()
        && let Err(error) = std::fs::File::open(&file)
    {
        return Err(match error.kind() {
            std::io::ErrorKind::NotFound => StartError::unavailable(format!(
                "there is no database {}: run `decnet init` or `decnet up` first, or name another --data-dir",
                file.display()
            )),
            std::io::ErrorKind::PermissionDenied => StartError::not_permitted(format!(
                "database {}: {error}; run this as the user who keeps it, or name a data directory of your own by --data-dir",
                file.display()
            )),
            _ => StartError::io(&format!("database {}", file.display()), &error),
        });
    }
    let store = Store::connect(&options).await?;
    store.check_schema().await?;
    Ok(store)
}

async fn migrate(settings: &Settings) -> Result<(), StartError> {
    let store = Store::connect(&settings.store_options()).await?;
    for name in store.migrate().await? {
        tracing::info!(name, "migrated the database");
    }
    store.close().await;
    Ok(())
}

/// SIGTERM and SIGINT give the order to stop; a second one ends the process at once.
fn on_signals(shutdown: &Shutdown) -> Result<(), StartError> {
    let listen = |kind| signal(kind).map_err(|error| StartError::io("signal handler", &error));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let mut first = None;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first.is_some_and(|at: Instant| at.elapsed() > ONE_SIGNAL) {
                tracing::warn!("told twice: stopping at once");
                std::process::exit(1);
            }
            first.get_or_insert_with(Instant::now);
            shutdown.request();
        }
    });
    Ok(())
}

fn notify(state: &[sd_notify::NotifyState<'_>]) {
    // Without a service manager there is nobody to tell.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "service manager not told");
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of a process goes to whoever started it"
)]
fn complain(worker: &str, message: &str) {
    tracing::error!(worker, "{message}");
    if !logging::is_seen() || !tracing::enabled!(tracing::Level::ERROR) {
        eprintln!("decnet-{worker}: {message}");
    }
}

/// Print what clap has to say: help and version go to standard output with 0, faults to standard error with 64.
#[must_use]
pub fn print_clap(error: &clap::Error) -> ExitCode {
    // Where standard output is closed there is nobody to tell.
    let _unheard = error.print();
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        Exit::Ok.into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use decnet_testkit::bus::Mortal;

    use super::*;

    /// It has nothing in hand, so it ends as soon as it is told to.
    struct Prompt;

    impl Worker for Prompt {
        const NAME: &'static str = "profiler";
        const ABOUT: &'static str = "Waits for its end";
        const DATABASE: bool = false;

        async fn build(_: Context) -> Result<Self, StartError> {
            Ok(Self)
        }

        async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
            shutdown.requested().await;
            Ok(())
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_worker_that_ends_at_once_says_before_that_it_stops() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("bus.sock");
        let _broker = Mortal::start(&socket).unwrap();
        let mut sources = Sources::default();
        for (key, text) in [
            ("data-dir", dir.path().display().to_string()),
            ("bus-url", format!("unix:{}", socket.display())),
        ] {
            sources.flags.insert(key, text);
        }
        let settings = Arc::new(Settings::read(&sources).unwrap());
        let bus = Bus::connect(&settings.bus, "test");
        let name: WorkerName = Prompt::NAME.parse().unwrap();
        // What is ready at the same moment is taken in any order, unless one is fixed: once would show nothing.
        for round in 0..12 {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
            let _guard = tracing::subscriber::set_default(subscriber.finish());
            let mut beats = bus.subscribe(Pattern::exactly(&Topic::worker_health(&name)));
            beats.established().await;
            let ordered = async {
                // It listens to orders once its first heartbeat is out.
                while beats.recv().await.is_some_and(|beat| {
                    beat.parse::<decnet_model::view::WorkerView>()
                        .is_ok_and(|beat| beat.state != WorkerState::Ok)
                }) {}
                // An order that comes before it listens is heard by nobody.
                while order::stop(&bus, &name, "ann", None).await.is_err() {}
            };
            let both = async { tokio::join!(life::<Prompt>(Arc::clone(&settings)), ordered) };
            let (ended, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
            ended.unwrap();
            let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            let at = |word: &str| {
                text.find(word)
                    .unwrap_or_else(|| panic!("{round}: {word}: {text}"))
            };
            assert!(at("stopping") < at("stopped"), "{round}: {text}");
        }
    }
}
