//! `cargo xtask up`: from a fresh clone to a running host.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Result, anyhow};

use crate::{
    host,
    place::{Place, Profile},
    setup,
    shell::step,
    weight,
};

/// The options of `decnet up` that a first look needs. The program tells them all, once it is built.
const UP_OPTIONS: &str = "\
Options of `cargo xtask up`: see `cargo xtask up --help`. Those of the host go behind them, such as

  --listen ADDRESS:PORT    where the dashboard listens [default: 127.0.0.1:8080]
  --data-dir DIR           where everything is kept [default: /var/lib/decnet for root, else ~/.local/share/decnet]
  --tls auto|off|CERT,KEY  https with a certificate of the installation's own authority, or with yours [default: off]
  --set KEY=VALUE          any other key of the configuration, such as --set fleet-network=127.77.0.0/16

`decnet up --help` and `decnet config keys` list all of them; `cargo xtask up --build-only` says where `decnet` is.";

/// What `cargo xtask up` takes; everything else goes to `decnet up`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build the quicker way: slower programs
    #[arg(long)]
    dev: bool,
    /// Only build, do not run
    #[arg(long)]
    build_only: bool,
    /// Run without the demo fleet
    #[arg(long)]
    no_demo: bool,
    /// Options of `decnet up`, such as --listen 127.0.0.1:9000 or --data-dir
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "DECNET OPTIONS"
    )]
    rest: Vec<String>,
}

/// `cargo xtask up`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    let profile = if options.dev {
        Profile::Dev
    } else {
        Profile::Release
    };
    // Who asks what there is does not want to wait for a build.
    if options
        .rest
        .iter()
        .any(|option| option == "--help" || option == "-h")
    {
        println!("{UP_OPTIONS}");
        return Ok(());
    }
    setup::for_build(place)?;
    host::build(place, profile)?;
    if options.build_only {
        if profile == Profile::Release {
            step("Weighing the dashboard's pages", || weight::tell(place))?;
        }
        println!("The programs are in {}", place.programs(profile).display());
        return Ok(());
    }
    let mut command = Command::new(place.programs(profile).join("decnet"));
    command.arg("up");
    if !options.no_demo {
        command.arg("--demo");
    }
    // The host takes this process's place: Ctrl-C and the exit code are its own.
    Err(anyhow!(
        "could not start decnet: {}",
        command.args(&options.rest).exec()
    ))
}
