//! `decnet up`: a whole host in the foreground.

mod demo;
mod supervise;

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::{Context, Result};
use decnet_bus::Endpoint;
use decnet_domain::FirstAdmin;
use decnet_model::state::WORKERS;
use decnet_runtime::{
    Exit, Settings, StartError,
    exit::chain,
    installed::Places,
    secret::ExposeSecret,
    settings::{Tls, keys::KEYS},
    supervisor::{self, Door, Lock},
    worker::ONE_SIGNAL,
};
use decnet_spool::SpoolError;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use self::{
    demo::Shown,
    supervise::{Failure, Program, Supervisor},
};
use crate::{
    cli::{PlaceArgs, UpArgs},
    commands::database,
    host,
    output::{Prefixed, say},
};

/// The order in which workers are told to stop: those who make evidence, those who carry it, those who show it.
const STOP_ORDER: &[&str] = &["mutator", "collector", "ingester", "profiler", "server", "bus"];
/// How long the workers of an earlier host may take to end.
const EARLIER: Duration = Duration::from_secs(10);
/// How long a worker may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// `decnet up`
pub(crate) async fn run(place: &PlaceArgs, args: &UpArgs) -> Result<()> {
    let started = Instant::now();
    let mut sources = host::sources(place);
    for (key, said) in [("listen", &args.listen), ("tls", &args.tls)] {
        if let Some(text) = said {
            host::flag(&mut sources, key, text);
        }
    }
    let mut settings = host::master(&sources)?;
    if !settings.is_given("bus-url") && matches!(settings.bus.endpoint, Endpoint::Unix(_)) {
        // A host has a bus of its own, so that several of one user do not meet on theirs.
        settings.bus.endpoint = Endpoint::Unix(settings.run_dir().join("bus.sock"));
    }
    let settings = settings;
    let mut stop = StopSignals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    };

    // Before anything is made: the likeliest things to go wrong, and a password that is told once should not scroll by with
    // them. A host that runs on this folder already holds the port, too, and is the better thing to name.
    let run_dir = settings.run_dir();
    let held = supervisor::was_here(&run_dir)
        .then(|| Lock::take(&settings))
        .transpose()?;
    if held.is_some() {
        tokio::select! {
            () = earlier_workers(&run_dir) => {}
            () = stop.next() => return Ok(()),
        }
    }
    free(settings.server.listen)?;
    let admin = tokio::select! {
        prepared = database::prepare(&settings) => prepared?,
        () = stop.next() => return Ok(()),
    };
    // The workers find the bus by it, as everybody does.
    let _alone = held.map_or_else(|| Lock::take(&settings), Ok)?;
    let screen = Prefixed::new();
    let mut supervisor = Supervisor::new(&run_dir, screen.clone());
    let door = Door::open(&run_dir)
        .map_err(|error| StartError::io(&format!("orders in {}", run_dir.display()), &error))?;
    let remote = supervisor.remote();
    let orders = door.serve(move |order| remote.clone().obey(order));
    let env = environment(&sources.flags, sources.config.as_deref());

    let mut up = false;
    let life = async {
        start_all(&mut supervisor, &settings, &env).await?;
        let fleet = demo::look(settings.clone(), args.demo, &screen)
            .await
            .context("the fleet")?;
        up = true;
        // Whoever reads that all is up would wait in vain for what visitors do.
        let unrecorded = decnet_spool::room(&settings.spool_dir(), settings.spool.min_free_bytes).err();
        say(&banner(
            &settings,
            &admin,
            started.elapsed(),
            unrecorded.as_ref(),
            &fleet,
        ));
        // From here on, a worker that ends is started again, unless it says that this is of no use.
        match supervisor.failures.recv().await {
            Some(failure) => Err(failed(&failure)),
            None => Ok(()),
        }
    };
    let ended = tokio::select! {
        ended = life => ended,
        () = stop.next() => Ok(()),
        () = orders => Ok(()),
    };
    let told = Instant::now();
    match &ended {
        Ok(()) => screen.line("up", "stopping in order; once more to stop at once"),
        Err(error) => screen.line("up", &format!("{}; stopping", chain(&**error))),
    }
    tokio::select! {
        () = supervisor.stop(STOP_ORDER) => screen.line("up", "stopped"),
        // Children are killed as they are dropped.
        () = stop.next_after(told) => screen.line("up", "stopped at once"),
    }
    if !up {
        // The account is there, and nobody was told how to use it.
        database::tell_password(&admin);
    }
    ended
}

/// SIGINT and SIGTERM.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Either of them.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Either of them, unless it came together with the one at `first`.
    async fn next_after(&mut self, first: Instant) {
        loop {
            self.next().await;
            if first.elapsed() > ONE_SIGNAL {
                return;
            }
        }
    }
}

/// Wait a while for the workers of a host that was killed: they end by themselves, and hold their places and the port until then.
async fn earlier_workers(run: &Path) {
    let until = Instant::now() + EARLIER;
    let mut told = false;
    loop {
        let left = supervisor::workers_of(run);
        if left.is_empty() || Instant::now() >= until {
            return;
        }
        if !told {
            say(&format!(
                "Waiting for what an earlier host left: {}\n",
                left.join(", ")
            ));
            told = true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether the dashboard can listen there. The server binds it for itself a moment later.
fn free(listen: std::net::SocketAddr) -> Result<(), StartError> {
    match std::net::TcpListener::bind(listen) {
        Ok(_closed) => Ok(()),
        Err(error) => Err(StartError::listen(listen, &error)),
    }
}

/// What a person needs to know, after everything that scrolled by.
fn banner(
    settings: &Settings,
    admin: &FirstAdmin,
    took: Duration,
    unrecorded: Option<&SpoolError>,
    fleet: &Shown,
) -> String {
    let login = match &admin.generated_password {
        Some(password) => format!(
            "Log in as {} with the password {} (told once; it has to be changed)",
            admin.username,
            password.expose_secret()
        ),
        None => format!(
            "Log in as {0}. Forgotten? `{1} user reset {0} --data-dir {2}`",
            admin.username,
            std::env::current_exe().map_or_else(|_| "decnet".to_owned(), |path| path.display().to_string()),
            settings.data_dir.display()
        ),
    };
    let unused = match admin
        .passed_over
        .as_ref()
        .filter(|_| settings.is_given("admin-user"))
    {
        Some(name) => format!(
            "  Nobody named {name} administers: DECNET_ADMIN_USER has no effect once there is an administrator.\n"
        ),
        None => String::new(),
    };
    let trust = match settings.server.tls {
        Tls::Auto => format!(
            "  Its certificate is of this installation's own authority: let your browser trust {}.\n",
            settings.pki_dir().join("ca.crt").display()
        ),
        _ => String::new(),
    };
    let listen = settings.server.listen;
    let reach = if listen.ip().is_unspecified() {
        "  It listens on every address of this machine: from elsewhere, put one of them into that URL.\n"
    } else {
        ""
    };
    let clear = if settings.server.tls == Tls::Off && !listen.ip().is_loopback() {
        "  TLS is off: passwords go over the network in the clear. Give --tls auto, or put a proxy with TLS before it.\n"
    } else {
        ""
    };
    let mut text = format!(
        "\n  DECNET is up after {:.1} s.  Dashboard: {}\n{reach}{clear}{trust}  {login}\n{unused}  Everything is kept in {}.  Ctrl-C stops it in order.\n\n",
        took.as_secs_f64(),
        settings.server.public_url,
        settings.data_dir.display()
    );
    if let Some(why) = unrecorded {
        // Writing to a string cannot fail.
        let _written = writeln!(
            text,
            "  NOTHING IS RECORDED YET: {why}.\n  Until then decoys keep what they see, and nothing of it is in the dashboard.\n"
        );
    }
    for (heading, lines) in [
        ("These deckies do not run as they should:", &fleet.amiss),
        (
            "Touch a decky from another terminal, and watch it in the dashboard:",
            &fleet.touches,
        ),
    ] {
        if lines.is_empty() {
            continue;
        }
        // Writing to a string cannot fail.
        let _written = writeln!(text, "  {heading}");
        for line in lines {
            let _written = writeln!(text, "    {line}");
        }
        text.push('\n');
    }
    text
}

async fn start_all(supervisor: &mut Supervisor, settings: &Settings, env: &[(String, String)]) -> Result<()> {
    let bus_is_ours = matches!(settings.bus.endpoint, decnet_bus::Endpoint::Unix(_));
    // The bus first: it is no condition, but its clients then have it from their first event on.
    if bus_is_ours {
        start(supervisor, "bus", env)?;
        supervisor
            .wait_ready(&["bus"], READY)
            .await
            .map_err(|f| failed(&f))?;
    }
    let others: Vec<&str> = WORKERS.iter().copied().filter(|name| *name != "bus").collect();
    for name in &others {
        start(supervisor, name, env)?;
    }
    supervisor
        .wait_ready(&others, READY)
        .await
        .map_err(|f| failed(&f))
}

fn start(supervisor: &mut Supervisor, name: &'static str, env: &[(String, String)]) -> Result<()> {
    let program = Program {
        name,
        path: Places::here().program(name),
        args: Vec::new(),
        env: env.to_vec(),
    };
    supervisor
        .start(program)
        .with_context(|| format!("the notification socket of decnet-{name}"))
}

/// What the command line said, as the environment of the workers, where it is as strong.
fn environment(
    flags: &std::collections::BTreeMap<&'static str, String>,
    config: Option<&Path>,
) -> Vec<(String, String)> {
    let mut env: Vec<_> = KEYS
        .iter()
        .filter_map(|key| Some((key.env(), flags.get(key.name)?.clone())))
        .collect();
    if let Some(path) = config {
        env.push(("DECNET_CONFIG".to_owned(), path.display().to_string()));
    }
    env
}

fn failed(failure: &Failure) -> anyhow::Error {
    let exit = match failure.code {
        64 => Exit::Usage,
        69 => Exit::Unavailable,
        77 => Exit::NotPermitted,
        78 => Exit::Config,
        _ => Exit::Failed,
    };
    let message = failure.to_string();
    StartError { exit, message }.into()
}
