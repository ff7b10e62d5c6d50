//! A worker in the foreground: its own program, which stands beside this one, takes this process's place.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result};
use decnet_model::state::WORKERS;
use decnet_runtime::{StartError, installed::Places, settings::Faults, worker::settings_args};

use crate::{
    cli::PlaceArgs,
    host::{set_pair, usage},
};

/// `decnet <worker> …`
pub(crate) fn run(place: &PlaceArgs, words: &[OsString]) -> Result<()> {
    let (name, rest) = words.split_first().context("no command")?;
    let name = name.to_string_lossy();
    if !WORKERS.contains(&name.as_ref()) {
        return Err(usage(format!(
            "there is no command {name:?}; `decnet --help` lists them, and the workers are {}",
            WORKERS.join(", ")
        )));
    }
    let mut command = Command::new(Places::here().program(&name));
    if let Some(path) = &place.config {
        command.arg("--config").arg(path);
    }
    if let Some(path) = &place.data_dir {
        command.arg("--data-dir").arg(path);
    }
    let mut faults = Vec::new();
    for pair in &place.set {
        match set_pair(pair) {
            Ok((key, value)) => {
                command.arg(format!("--{}={value}", key.name));
            }
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(StartError::from(Faults(faults)).into());
    }
    let error = command.args(rest).exec();
    let program = command.get_program().display();
    Err(StartError::io(&format!("{program} could not be started"), &error).into())
}

/// The command line of a worker as clap knows it, without what every command of this program takes.
pub(crate) fn command(worker: &'static str) -> clap::Command {
    let whole = settings_args(clap::Command::new(worker), worker);
    let own = whole
        .get_arguments()
        .filter(|arg| !["config", "data-dir"].contains(&arg.get_id().as_str()));
    clap::Command::new(worker)
        .about(format!("Run the worker decnet-{worker} in the foreground"))
        .args(own)
}
