//! `cargo xtask package`: an archive with the release programs, the dashboard's files and the licences.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    place::{Place, Profile},
    programs, setup,
    shell::{sh, step},
    site,
};

/// What `cargo xtask package` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the archive goes
    #[arg(long, default_value = "dist")]
    out: PathBuf,
}

/// `cargo xtask package`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    setup::for_build(place)?;
    step("Building the programs", || {
        programs::build(place, Profile::Release)
    })?;
    step("Building the dashboard", || site::build(place, Profile::Release))?;
    let name = format!("decnet-{}-x86_64-linux", env!("CARGO_PKG_VERSION"));
    let out = place.root.join(&options.out);
    let staging = place.target.join("package").join(&name);
    step("Packing", || {
        if staging.exists() {
            fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))?;
        }
        fs::create_dir_all(&staging)?;
        fs::create_dir_all(&out)?;
        for (_, program) in programs::PROGRAMS {
            fs::copy(
                place.programs(Profile::Release).join(program),
                staging.join(program),
            )
            .with_context(|| format!("cannot copy {program}"))?;
        }
        sh(Command::new("cp")
            .arg("-r")
            .arg(place.site(Profile::Release))
            .arg(staging.join("site")))?;
        for file in ["README.md", "LICENSE-APACHE", "LICENSE-MIT", "CHANGELOG.md"] {
            fs::copy(place.root.join(file), staging.join(file))
                .with_context(|| format!("cannot copy {file}"))?;
        }
        // Sorted, with fixed owners and times: the same programs give the same archive.
        sh(Command::new("tar")
            .args([
                "--sort=name",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
                "--mtime=@0",
                "-czf",
            ])
            .arg(out.join(format!("{name}.tar.gz")))
            .arg("-C")
            .arg(place.target.join("package"))
            .arg(&name))
    })?;
    println!("{}", out.join(format!("{name}.tar.gz")).display());
    Ok(())
}
