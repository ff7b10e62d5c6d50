//! The programs of a host.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    decoy,
    place::{Place, Profile},
    shell::{cargo, output, sh},
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

/// Makes of compiled WebAssembly what a browser loads. It is built with the programs, because it shares much with them.
const GLUE: &str = "decnet-glue";

/// Where it is, once the programs are built.
pub(crate) fn glue(place: &Place, profile: Profile) -> PathBuf {
    place.programs(profile).join(GLUE)
}

/// A cargo command for the release profile.
pub(crate) fn release(place: &Place) -> Result<Command> {
    release_with(place, &[])
}

/// [`release`], where rustc is given `more` flags, too. All that is built with other flags is built anew, so whatever is
/// made for release is made by one of the two.
pub(crate) fn release_with(place: &Place, more: &[&str]) -> Result<Command> {
    let mut flags = vec![site::ERASED.to_owned()];
    for (folder, name) in folders(place)? {
        flags.push(format!("--remap-path-prefix={}={name}", folder.display()));
    }
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    let mut command = cargo(place);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    Ok(command)
}

/// Folders of this machine that would stand in the words of panics, and what stands there instead. Of the clone's own
/// files only the part below it stands there.
pub(crate) fn folders(place: &Place) -> Result<[(PathBuf, &'static str); 3]> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))
        .context("`rustc --print sysroot` names no folder")?;
    Ok([
        (place.target.clone(), "target"),
        (decoy::cargo_home()?, "cargo"),
        (PathBuf::from(sysroot), "rust"),
    ])
}

/// Build them all in one go, so that what they share is built once; for release without the program inside a decky, which
/// is built in another way ([`decoy::build`]).
pub(crate) fn build(place: &Place, profile: Profile) -> Result<()> {
    let mut command = match profile {
        Profile::Dev => cargo(place),
        Profile::Release => release(place)?,
    };
    command.args(["build", "--bins", "-p", GLUE]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    for (package, _) in PROGRAMS {
        if profile == Profile::Dev || *package != decoy::PACKAGE {
            command.args(["-p", package]);
        }
    }
    sh(&mut command)
}
