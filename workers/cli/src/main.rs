//! `decnet`: the command line. Reads and changes what the other processes of this host read, through the same
//! use-cases as the dashboard.
//!
//! Start at [`cli::Cli`] for what there is; each command is a file in `commands`, and `up` runs a whole host.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod cli;
mod commands;
mod host;
mod output;
mod up;

use std::{io::Write as _, process::ExitCode};

use clap::{CommandFactory, Parser};
use decnet_runtime::{Exit, StartError, exit::chain};

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
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

/// What an error means to whoever called the program.
fn exit_code(error: &anyhow::Error) -> Exit {
    use decnet_domain::DomainError;

    if let Some(start) = error.downcast_ref::<StartError>() {
        return start.exit;
    }
    match error.downcast_ref::<DomainError>() {
        Some(DomainError::Invalid(_) | DomainError::NotFound { .. } | DomainError::Conflict(_)) => {
            Exit::Usage
        }
        Some(DomainError::Forbidden { .. }) => Exit::NotPermitted,
        _ => Exit::Failed,
    }
}

/// The command line as clap knows it, for completions and man pages.
fn command() -> clap::Command {
    Cli::command()
}
