//! `cargo xtask lab`: a network of its own to try decoys in, with a Docker daemon and an attacker.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};
use decnet_lab::{ATTACKER, Docker, GATEWAY, HOST, INTERFACE, Lab, Place as Where};

use crate::{
    place::Place,
    setup,
    shell::{sh, step},
};

/// The lab of this command; tests have others.
const NAME: &str = "lab";

/// What `cargo xtask lab` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make it: a host with a Docker daemon, a gateway and an attacker, in network namespaces
    Up,
    /// Take it away, with every container in it
    Down,
    /// A shell in it, or one command
    Shell {
        /// Where
        #[arg(value_enum, default_value = "attacker")]
        place: Side,
        /// The command
        #[arg(last = true)]
        command: Vec<String>,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Side {
    /// Runs the decoys
    Host,
    /// Visits them
    Attacker,
    /// The way out, which leads nowhere
    Gateway,
}

/// `cargo xtask lab`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    setup::for_lab()?;
    let docker = step("Looking for a Docker that is new enough", || {
        Docker::ensure(&place.cache)
    })?;
    let folder: PathBuf = place.cache.join("lab");
    match &options.action {
        Action::Up => {
            let lab = step("Making the lab", || Lab::up(NAME, &folder, Some(docker)))?;
            println!(
                "host {HOST} on {INTERFACE}, gateway {GATEWAY}, attacker {ATTACKER}; Docker at {}",
                lab.socket().display()
            );
            println!(
                "A host with decoys in it: cargo xtask lab shell host -- {}/decnet up --set engine=docker \
                 --set docker-socket={} (or engine=netns, without Docker)",
                place.programs(crate::place::Profile::Release).display(),
                lab.socket().display()
            );
            println!("Visit them: cargo xtask lab shell attacker -- nmap {HOST}/24");
            lab.keep();
            Ok(())
        }
        Action::Down => step("Taking the lab away", || {
            Lab::of(NAME, &folder, Some(docker)).down()
        }),
        Action::Shell { place, command } => {
            let lab = Lab::of(NAME, &folder, Some(docker));
            if !lab.is_up() {
                lab.keep();
                bail!("there is no lab: cargo xtask lab up");
            }
            let side = match place {
                Side::Host => Where::Host,
                Side::Attacker => Where::Attacker,
                Side::Gateway => Where::Gateway,
            };
            let shell = || vec![std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned())];
            let words = if command.is_empty() {
                shell()
            } else {
                command.clone()
            };
            let done = match words.split_first() {
                Some((program, arguments)) => {
                    let mut inside: Command = lab.command(side, program);
                    sh(inside.args(arguments))
                }
                None => Ok(()),
            };
            lab.keep();
            done
        }
    }
}

/// Why no lab can be made on this machine, where none can: its tests are left out then, and say so.
pub(crate) fn cannot_be_made(place: &Place) -> Option<String> {
    let tried = || {
        setup::for_lab()?;
        let docker = Docker::ensure(&place.cache)?;
        let name = format!("try{}", std::process::id());
        Lab::up(&name, &place.cache.join(&name), Some(docker))?.down()
    };
    tried().err().map(|error| format!("{error:#}"))
}
