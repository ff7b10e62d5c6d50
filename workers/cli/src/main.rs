//! `decnet`: the command line. Reads and changes what the other processes of this host read, through the same
//! use-cases as the dashboard.
//!
//! Start at [`cli::Cli`] for what there is; each command is a file in `commands`, and `up` runs a whole host.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod cli;
mod commands;
mod host;
mod lab;
mod output;
mod up;

use std::{io::Write as _, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _};
use decnet_runtime::{Exit, StartError, exit::chain};

use crate::cli::Cli;

fn main() -> ExitCode {
    let parsed = command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return decnet_runtime::worker::print_clap(&error),
    };
    if !matches!(cli.command, cli::Command::Up(_)) {
        end_on_closed_pipe();
    }
    // Installing fails only where one is installed already, which is as good.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A host outlives its terminal, and its last words with it.
            let _closed = writeln!(std::io::stderr(), "decnet: {}", chain(&*error));
            exit_code(&error).into()
        }
    }
}

/// A listing into `head` ends like any other program's, without a word. A whole host goes on without its terminal.
#[expect(
    unsafe_code,
    reason = "nix marks every signal disposition unsafe; the default one runs no handler of ours"
)]
fn end_on_closed_pipe() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: SIG_DFL installs no handler, so nothing runs that would have to be async-signal-safe.
    if let Err(error) = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) } {
        eprintln!("decnet: SIGPIPE: {error}");
    }
}

/// What an error means to whoever called the program: the outermost cause that has a meaning decides.
fn exit_code(error: &anyhow::Error) -> Exit {
    error.chain().find_map(meaning).unwrap_or(Exit::Failed)
}

fn meaning(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    use decnet_domain::DomainError;
    use decnet_spool::SpoolError;

    if let Some(start) = cause.downcast_ref::<StartError>() {
        return Some(start.exit);
    }
    if let Some(error) = cause.downcast_ref::<DomainError>() {
        return match error {
            DomainError::Invalid(_) | DomainError::NotFound { .. } | DomainError::Conflict(_) => {
                Some(Exit::Usage)
            }
            DomainError::Forbidden { .. } | DomainError::SessionRequired => Some(Exit::NotPermitted),
            DomainError::Unavailable { .. } | DomainError::Unanswered(_) | DomainError::Busy { .. } => {
                Some(Exit::Unavailable)
            }
            _ => Some(Exit::Failed),
        };
    }
    if let Some(error) = cause.downcast_ref::<SpoolError>() {
        return match error {
            SpoolError::Full { .. } | SpoolError::Locked { .. } => Some(Exit::Unavailable),
            SpoolError::Exists(_) | SpoolError::Interval { .. } => Some(Exit::Usage),
            // The system's error is the next in the chain.
            SpoolError::Io { .. } => None,
            _ => Some(Exit::Failed),
        };
    }
    let error = cause.downcast_ref::<std::io::Error>()?;
    Some(StartError::io("", error).exit)
}

/// The command line as clap knows it.
fn command() -> clap::Command {
    Cli::command().after_help(format!(
        "Workers, in the foreground: decnet {}",
        decnet_model::state::WORKERS.join("|")
    ))
}

/// The same with the workers, which are programs of their own, among the commands: for completions and man pages.
fn documented_command() -> clap::Command {
    decnet_model::state::WORKERS
        .iter()
        .fold(command(), |all, worker| {
            all.subcommand(commands::daemon::command(worker))
        })
}
