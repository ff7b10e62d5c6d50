//! The program inside a decky: runs all its services from one configuration, as an unprivileged user with next to no
//! rights, whoever started it (`confine.rs`).
//!
//! `PROGRAM [FILE]`: the configuration (`decnet_decoys::config::DeckyConfig` as JSON) is read from FILE, or from
//! standard input where there is none or it is `-`. Evidence goes to standard output, the program's own trouble to
//! standard error, where the line `ready` says that every listener is bound.
//!
//! Where the configuration names a file for evidence, that is what evidence goes to.
//!
//! SIGHUP reads FILE again: services are added, changed and removed, and the sessions of the others go on; what cannot
//! be applied is told and leaves everything as it was. SIGUSR1 has it say `well` on standard error, where it is: who starts it asks so
//! for a sign of life. SIGTERM and SIGINT end it in order. Exit status: 0 after an orderly end, 1
//! where it could not start or evidence is lost because nobody takes it or there is no room, 64 where its arguments are none of these.
//!
//! `PROGRAM --pulse FILE` says by its exit status whether the one that touches FILE is well. `PROGRAM --proofs` reads a persona
//! (`decnet_persona::PersonaSpec` as JSON) from standard input and prints its keys and certificates (`decnet_decoys::config::Proof`).
//! `PROGRAM --version` prints its version, and no name.
//!
//! A visitor must not learn from this program what it is, so it has no logging framework (targets name modules), no
//! option parser (help texts explain; its own does not say what the services are for) and a panic handler that names no
//! file. The build of what is shipped (deploy/xtask/src/decoy.rs) holds the binary to that.

mod confine;
mod sockets;

use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use confine::{Files, confine};
use decnet_decoys::{
    config::DeckyConfig,
    serve::{
        identity::proofs,
        runner::{Decky, StartError, persona},
        sink::Sink,
        tls::TlsError,
    },
};
use decnet_model::clock::{Clock as _, SystemClock};
use decnet_persona::{Persona, PersonaError};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::de::DeserializeOwned;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What it says of itself to an operator who finds it beside the other programs. A visitor may read it, so it names none
/// of them.
const USAGE: &str = "usage: PROGRAM [FILE]
       PROGRAM --pulse FILE
       PROGRAM --proofs
       PROGRAM --version

Runs the services that FILE describes, in JSON; without FILE, or where it is -, standard input describes them.
FILE is written by what starts this program: nobody has to start it by hand.

SIGHUP reads FILE again, SIGUSR1 asks whether it is well. SIGTERM and SIGINT end it
in order. With --pulse it tells by its exit status whether the one that touches FILE is well. With --proofs it
prints the keys and certificates of the machine that standard input describes.";
/// The exit status where its arguments are wrong: EX_USAGE of sysexits(3).
const WRONG_ARGUMENTS: u8 = 64;
/// The largest configuration that is read.
const CONFIG_MAX: u64 = 4 << 20;
/// How long sessions may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is checked that somebody takes the evidence.
const CHECK: Duration = Duration::from_secs(1);
/// After this many checks the pulse is given, …
const PULSE_EVERY: u64 = 10;
/// … and after this time without it the program is not well.
const PULSE_FOR: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("configuration {0}: {1}")]
    Read(String, io::Error),
    #[error("configuration {0}: {1}")]
    Parse(String, serde_json::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Persona(#[from] PersonaError),
    #[error(transparent)]
    Proofs(#[from] TlsError),
    #[error(transparent)]
    Confine(#[from] confine::Error),
    #[error("signals: {0}")]
    Signals(io::Error),
    #[error("standard output: {0}")]
    Output(io::Error),
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("evidence could not be written; {0} lines of it are lost")]
    Broken(u64),
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| {
        tell(format_args!("internal error; the session ends"))
    }));
    let source = match Call::of(std::env::args_os().skip(1)) {
        Call::Run(source) => source,
        Call::Help => {
            // Where standard output is closed there is nobody to tell.
            let _unheard = writeln!(io::stdout(), "{USAGE}");
            return ExitCode::SUCCESS;
        }
        Call::Version => {
            let _unheard = writeln!(io::stdout(), "{}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Call::Pulse(file) => {
            let well = fs::metadata(file)
                .and_then(|meta| meta.modified())
                .is_ok_and(|last| age(last) < PULSE_FOR);
            return if well {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Call::Proofs => {
            return match tell_proofs() {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tell(format_args!("{error}"));
                    ExitCode::FAILURE
                }
            };
        }
        Call::Wrong(argument) => {
            tell(format_args!(
                "{}: there is no such argument; --help tells which there are",
                argument.display()
            ));
            return ExitCode::from(WRONG_ARGUMENTS);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(format_args!("runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(source.as_deref())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

/// What its arguments ask for.
enum Call {
    /// To run what this file describes; standard input where absent.
    Run(Option<PathBuf>),
    /// To say how it is called.
    Help,
    /// To say which version it is.
    Version,
    /// To say whether whoever touches this file is well.
    Pulse(PathBuf),
    /// To print what a machine proves itself with.
    Proofs,
    /// Nothing that there is: the first such argument.
    Wrong(OsString),
}

impl Call {
    fn of(mut arguments: impl Iterator<Item = OsString>) -> Self {
        let mut file = None;
        while let Some(argument) = arguments.next() {
            if argument == "--pulse" {
                return match (arguments.next(), arguments.next()) {
                    (Some(file), None) => Self::Pulse(file.into()),
                    _ => Self::Wrong(argument),
                };
            }
            if argument == "--proofs" {
                return arguments.next().map_or(Self::Proofs, Self::Wrong);
            }
            if argument == "--help" || argument == "-h" {
                return Self::Help;
            }
            if argument == "--version" || argument == "-V" {
                return Self::Version;
            }
            let is_option = argument != "-" && argument.as_encoded_bytes().starts_with(b"-");
            if is_option || file.is_some() {
                return Self::Wrong(argument);
            }
            file = Some(argument);
        }
        Self::Run(file.filter(|file| file != "-").map(PathBuf::from))
    }
}

/// Have the allocator give back what reading the configuration and making keys took: a decky mostly waits, and there are many.
fn give_back_what_starting_took() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "one call of the C library, which takes a number")]
    // SAFETY: it looks at free memory only, under the allocator's own locks.
    let _whether_there_was_any = unsafe { nix::libc::malloc_trim(0) };
}

async fn run(source: Option<&Path>) -> Result<(), Error> {
    raise_file_limit();
    let config: DeckyConfig = read(source)?;
    // The operator's bait may lie where only the operator reads; both files lie where the services shall not look.
    let persona = persona(&config)?;
    let sink = Arc::new(match &config.evidence {
        Some(path) => Sink::file(evidence(path).map_err(|e| Error::File(path.display().to_string(), e))?),
        None => Sink::stdout().map_err(Error::Output)?,
    });
    let pulse = config
        .pulse
        .as_ref()
        .map(|path| fs::File::create(path).map_err(|e| Error::File(path.display().to_string(), e)))
        .transpose()?;
    if confine(&config, source)? == Files::ByUserOnly {
        tell(format_args!(
            "this kernel has no Landlock: users and permissions alone say which files can be read"
        ));
    }
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let mut reload = listen_for(SignalKind::hangup())?;
    let mut asked = listen_for(SignalKind::user_defined1())?;
    let mut decky = Decky::start_as(persona, config, Arc::clone(&sink), Arc::new(SystemClock))?;
    give_back_what_starting_took();
    tell(format_args!("ready"));
    let mut check = tokio::time::interval(CHECK);
    let mut checks: u64 = 0;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reload.recv() => match reread(source, &mut decky) {
                Ok(()) => tell(format_args!("configuration applied")),
                Err(error) => tell(format_args!("configuration not applied: {error}")),
            },
            _ = asked.recv() => tell(format_args!("well")),
            _ = check.tick() => {
                sink.flush();
                if sink.broken() {
                    break;
                }
                if let Some(file) = pulse.as_ref().filter(|_| checks.is_multiple_of(PULSE_EVERY)) {
                    file.set_modified(SystemClock.now().into())
                        .map_err(|e| Error::File("the pulse".to_owned(), e))?;
                }
                checks = checks.wrapping_add(1);
            }
        }
    }
    decky.stop(GRACE).await;
    match sink.lost() {
        0 => Ok(()),
        lost => Err(Error::Broken(lost)),
    }
}

/// The file for evidence. As long as it is locked it is no finished one to whoever takes it in.
fn evidence(path: &Path) -> io::Result<fs::File> {
    let file = fs::OpenOptions::new().append(true).open(path)?;
    file.lock_shared()?;
    Ok(file)
}

/// How long `then` is past. What is in the future was before the clock was put back.
fn age(then: SystemTime) -> Duration {
    SystemTime::from(SystemClock.now())
        .duration_since(then)
        .unwrap_or_default()
}

fn reread(source: Option<&Path>, decky: &mut Decky) -> Result<(), Error> {
    let Some(path) = source else {
        let once = io::Error::new(io::ErrorKind::Unsupported, "can be read only once");
        return Err(Error::Read("standard input".to_owned(), once));
    };
    let config = read(Some(path))?;
    Ok(decky.apply(config)?)
}

fn tell_proofs() -> Result<(), Error> {
    let proofs = proofs(&Persona::derive(&read(None)?)?, Arc::new(SystemClock))?;
    let told = serde_json::to_string(&proofs).map_err(|error| Error::Output(error.into()))?;
    writeln!(io::stdout(), "{told}").map_err(Error::Output)
}

/// What a file, or standard input, says in JSON.
fn read<T: DeserializeOwned>(source: Option<&Path>) -> Result<T, Error> {
    let name = source.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let mut text = String::new();
    let read = match source {
        Some(path) => fs::File::open(path).and_then(|file| file.take(CONFIG_MAX).read_to_string(&mut text)),
        None => io::stdin().lock().take(CONFIG_MAX).read_to_string(&mut text),
    };
    read.map_err(|error| Error::Read(name.clone(), error))?;
    serde_json::from_str(&text).map_err(|error| Error::Parse(name, error))
}

fn listen_for(kind: SignalKind) -> Result<Signal, Error> {
    signal(kind).map_err(Error::Signals)
}

/// As many connections as the operating system lets an unprivileged process have.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tell(format_args!("the limit on open files stays as it is: {error}"));
    }
}

/// Tell the operator. Where standard error is gone there is nobody left to tell.
fn tell(what: std::fmt::Arguments<'_>) {
    let _nobody_left = writeln!(io::stderr(), "{what}");
}
