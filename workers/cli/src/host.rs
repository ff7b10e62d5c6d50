//! The installation that a command works on: its configuration, and what of it is opened when it is needed.

use std::sync::Arc;

use anyhow::{Result, bail};
use decnet_bus::Bus;
use decnet_domain::{Actor, Domain, Permit};
use decnet_model::{
    clock::{SharedClock, SystemClock},
    permission::{Operate, Permission},
};
use decnet_runtime::{
    Settings, StartError,
    exit::chain,
    settings::{Fault, Origin, Sources, keys},
    worker::{connect, data_dir_is_no_file},
};

use crate::cli::PlaceArgs;

/// What this process and the flags say.
pub(crate) fn sources(args: &PlaceArgs) -> Sources {
    let mut sources = Sources::of_process();
    if let Some(path) = &args.config {
        sources.config = Some(path.clone());
    }
    if let Some(path) = &args.data_dir {
        flag(&mut sources, "data-dir", &path.display().to_string());
    }
    for pair in &args.set {
        match set_pair(pair) {
            Ok((key, value)) => sources.flag(key, value),
            Err(fault) => sources.wrong_flags.push(fault),
        }
    }
    sources
}

/// Take `text` for the key `name` from the command line.
pub(crate) fn flag(sources: &mut Sources, name: &str, text: &str) {
    if let Some(key) = keys::by_name(name) {
        sources.flag(key, text);
    }
}

/// The key and the value of a `--set`. Its fault is one of the command line's words, and no key's.
pub(crate) fn set_pair(pair: &str) -> Result<(&'static keys::Key, &str), Fault> {
    let fault = |key: String, problem: String| Fault {
        key,
        origin: Origin::CommandLine,
        problem,
    };
    let Some((name, value)) = pair.split_once('=') else {
        // What stands there may be a secret.
        return Err(fault("--set".to_owned(), "give it as KEY=VALUE".to_owned()));
    };
    let Some(key) = keys::by_name(name) else {
        let problem = "there is no such key; `decnet config keys` lists them";
        return Err(fault(format!("--set {name}"), problem.to_owned()));
    };
    if key.secret {
        let problem = format!(
            "a secret on the command line can be read by every process; set {}",
            key.env()
        );
        return Err(fault(format!("--set {name}"), problem));
    }
    Ok((key, value))
}

/// A fault of the words on the command line.
pub(crate) fn usage(message: String) -> anyhow::Error {
    StartError {
        exit: decnet_runtime::Exit::Usage,
        message,
    }
    .into()
}

/// The checked configuration; refused on an agent, where commands that are the master's have no database.
pub(crate) fn master_settings(args: &PlaceArgs) -> Result<Settings> {
    master(&sources(args))
}

/// The same from sources that are at hand already.
pub(crate) fn master(sources: &Sources) -> Result<Settings> {
    let settings = usable(sources)?;
    settings.for_master("this command")?;
    Ok(settings)
}

/// The checked configuration, for what every host can do.
pub(crate) fn settings(args: &PlaceArgs) -> Result<Settings> {
    Ok(usable(&sources(args))?)
}

/// The configuration, with a data directory that is one or may become one.
fn usable(sources: &Sources) -> Result<Settings, StartError> {
    let settings = Settings::read(sources)?;
    data_dir_is_no_file(&settings.data_dir)?;
    Ok(settings)
}

/// An opened installation.
pub(crate) struct Host {
    pub(crate) bus: Bus,
    pub(crate) domain: Domain,
    actor: Actor,
}

impl Host {
    /// Open the installation that `args` name.
    pub(crate) async fn open(args: &PlaceArgs) -> Result<Self> {
        Self::with(master_settings(args)?).await
    }

    /// Open the installation with these settings.
    pub(crate) async fn with(settings: Settings) -> Result<Self> {
        let clock: SharedClock = Arc::new(SystemClock);
        let store = connect(&settings).await?;
        let bus = Bus::connect(&settings.bus, "cli");
        let domain = Domain::new(store, bus.clone(), clock, decnet_domain::Options::of(&settings))?;
        Ok(Self {
            bus,
            domain,
            actor: Actor::operator(&login()?),
        })
    }

    /// Leave to do `P`, as this machine's operator.
    pub(crate) fn permit<P: Permission>(&self) -> Result<Permit<P>> {
        Ok(self.domain.permit(&self.actor)?)
    }

    /// Send what was published before the process ends.
    pub(crate) async fn close(self) {
        self.bus.close().await;
    }
}

/// Write into the audit log what was done at this command line outside the database, and whether it was. It is done by then, and
/// works without a database too: where it could not be written down, that is said.
pub(crate) async fn note(settings: &Settings, action: &str, target: &str, done: bool) {
    let noted: Result<()> = async {
        settings.for_master("the audit log")?;
        let host = Host::with(settings.clone()).await?;
        let permit = host.permit::<Operate>()?;
        host.domain.note_operation(&permit, action, target, done).await?;
        host.close().await;
        Ok(())
    }
    .await;
    if let Err(error) = noted {
        eprintln!(
            "decnet: {action} could not be written into the audit log: {}",
            chain(&*error)
        );
    }
}

/// The name of whoever runs this process.
pub(crate) fn login() -> Result<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())?;
    Ok(user.map_or_else(|| "unknown".to_owned(), |user| user.name))
}

/// Run `work` on a runtime of one thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => bail!("the asynchronous runtime: {error}"),
    };
    let result = runtime.block_on(work);
    // What hangs in a system call, such as the look-up of a name, does not keep the process.
    runtime.shutdown_background();
    result
}
