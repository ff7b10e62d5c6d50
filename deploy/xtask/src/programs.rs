//! The programs of a host.

use std::process::Command;

use anyhow::Result;

use crate::{
    decoy,
    place::{Place, Profile},
    shell::{cargo, sh},
    site,
};

/// Packages and their programs.
pub(crate) const PROGRAMS: &[(&str, &str)] = &[
    ("decnet-worker-cli", "decnet"),
    ("decnet-server", "decnet-server"),
    ("decnet-worker-bus", "decnet-bus"),
    ("decnet-worker-collector", "decnet-collector"),
    ("decnet-worker-ingester", "decnet-ingester"),
    ("decnet-worker-profiler", "decnet-profiler"),
    ("decnet-worker-mutator", "decnet-mutator"),
    ("decnet-worker-decoy", "decnet-decoy"),
];

/// A cargo command for the release profile: the server's half of the dashboard has to be made as the browser's, and all
/// that is built with other flags is built anew.
pub(crate) fn release(place: &Place) -> Command {
    cargo(&place.with_flags(&[site::ERASED]))
}

/// Build them all in one go, so that what they share is built once; for release the program inside a decky on its own,
/// because it is built in another way.
pub(crate) fn build(place: &Place, profile: Profile) -> Result<()> {
    let mut command = match profile {
        Profile::Dev => cargo(place),
        Profile::Release => release(place),
    };
    command.args(["build", "--bins"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    for (package, _) in PROGRAMS {
        if profile == Profile::Dev || *package != decoy::PACKAGE {
            command.args(["-p", package]);
        }
    }
    sh(&mut command)?;
    if profile == Profile::Release {
        decoy::build(place)?;
    }
    Ok(())
}
