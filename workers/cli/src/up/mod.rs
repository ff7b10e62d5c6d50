//! `decnet up`: a whole host in the foreground.

mod demo;
mod supervise;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use decnet_domain::FirstAdmin;
use decnet_model::state::WORKERS;
use decnet_runtime::{Exit, Settings, StartError, secret::ExposeSecret, settings::keys::KEYS};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use self::supervise::{Program, Stillborn, Supervisor};
use crate::{
    cli::{PlaceArgs, UpArgs},
    commands::{daemon, database},
    host,
    output::Prefixed,
};

/// The order in which workers are told to stop: those who make evidence, those who carry it, those who show it.
const STOP_ORDER: &[&str] = &["mutator", "collector", "ingester", "profiler", "server", "bus"];
/// How long a worker may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// `decnet up`
pub(crate) async fn run(place: &PlaceArgs, args: &UpArgs) -> Result<()> {
    let started = Instant::now();
    let mut sources = host::sources(place)?;
    if let Some(listen) = &args.listen {
        sources.flags.insert("listen", listen.clone());
    }
    let settings = Settings::read(&sources).map_err(StartError::from)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let admin = database::prepare(&settings).await?;
    let screen = Prefixed::new();
    let run_dir = settings.data_dir.join("run");
    let mut supervisor = Supervisor::new(&run_dir, screen.clone());
    let env = environment(&sources.flags, sources.config.as_deref());

    let life = async {
        start_all(&mut supervisor, &settings, &env).await?;
        let touches = if args.demo {
            demo::deploy(settings.clone()).await.context("the demo fleet")?
        } else {
            Vec::new()
        };
        banner(&settings, &admin, started.elapsed(), &touches);
        // From here on, a worker that ends is started again; only one that never became ready ends the host.
        match supervisor.failures.recv().await {
            Some(failure) => Err(failed(&failure)),
            None => Ok(()),
        }
    };
    let ended = tokio::select! {
        ended = life => ended,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    eprintln!();
    match &ended {
        Ok(()) => screen.line("up", "stopping in order; once more to stop at once"),
        Err(error) => screen.line("up", &format!("{error:#}; stopping")),
    }
    tokio::select! {
        () = supervisor.stop(STOP_ORDER) => screen.line("up", "stopped"),
        // Children are killed as they are dropped.
        _ = interrupt.recv() => screen.line("up", "stopped at once"),
        _ = terminate.recv() => screen.line("up", "stopped at once"),
    }
    ended
}

/// What a person needs to know, after everything that scrolled by.
fn banner(settings: &Settings, admin: &FirstAdmin, took: Duration, touches: &[String]) {
    println!();
    println!(
        "  DECNET is up after {:.1} s.  Dashboard: {}",
        took.as_secs_f64(),
        settings.server.public_url
    );
    match &admin.generated_password {
        Some(password) => {
            let password = password.expose_secret();
            println!(
                "  Log in as {} with the password {password} (told once; it has to be changed)",
                admin.username
            );
        }
        None => println!(
            "  Log in as {0}. Forgotten? `decnet user reset {0}`",
            admin.username
        ),
    }
    println!(
        "  Everything is kept in {}.  Ctrl-C stops it in order.",
        settings.data_dir.display()
    );
    if !touches.is_empty() {
        println!();
        println!("  Touch a decky from another terminal, and watch it in the dashboard:");
        for touch in touches {
            println!("    {touch}");
        }
    }
    println!();
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
        path: daemon::program(name)?,
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

fn failed(failure: &Stillborn) -> anyhow::Error {
    let exit = match failure.code {
        64 => Exit::Usage,
        69 => Exit::Unavailable,
        77 => Exit::NotPermitted,
        78 => Exit::Config,
        _ => Exit::Failed,
    };
    let message = format!("{failure}; its last lines say why");
    StartError { exit, message }.into()
}
