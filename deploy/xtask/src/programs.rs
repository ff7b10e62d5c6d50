//! The programs of a host.

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

/// Build them all in one go, so that what they share is built once; for release the program inside a decky on its own,
/// because it is built in another way.
pub(crate) fn build(place: &Place, profile: Profile) -> Result<()> {
    let mut command = match profile {
        _ if !site::in_pieces(profile) => cargo(place),
        // The server's half of the dashboard has to be made as the browser's.
        _ => cargo(&place.with_flags(&[site::ERASED])),
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
