//! `cargo xtask lint`: formatting, clippy for both halves, and the dependencies' licences.

use anyhow::{Result, bail};

use crate::{
    place::Place,
    setup::{self, wasm},
    shell::{cargo, has, sh, step},
    test::NATIVE,
};

/// What `cargo xtask lint` takes.
#[derive(clap::Args)]
pub(crate) struct Options {}

/// `cargo xtask lint`.
pub(crate) fn run(place: &Place, _options: &Options) -> Result<()> {
    setup::for_build(place)?;
    let failed: Vec<_> = all(place)
        .into_iter()
        .filter_map(|(name, result)| {
            let error = result.err()?;
            println!("{name}: {error:#}");
            Some(name)
        })
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("{} did not pass", failed.join(", "))
    }
}

/// Every check that could be made, and how it went.
pub(crate) fn all(place: &Place) -> Vec<(&'static str, Result<()>)> {
    let mut checks = vec![
        (
            "formatting",
            step("Checking formatting", || {
                sh(cargo(place).args(["fmt", "--all", "--check"]))
            }),
        ),
        (
            "clippy",
            step("Checking the native half with clippy", || {
                let mut command = cargo(place);
                sh(command
                    .args(["clippy", "--all-targets", "--quiet"])
                    .args(NATIVE)
                    .args(["--", "-D", "warnings"]))
            }),
        ),
        (
            "clippy for the browser",
            step("Checking the browser's half with clippy", || {
                sh(cargo(place).args([
                    "clippy",
                    "-p",
                    "decnet-frontend",
                    "-p",
                    "decnet-app",
                    "-p",
                    "decnet-model",
                    "-p",
                    "decnet-decoys",
                    "--lib",
                    "--features",
                    "decnet-app/hydrate",
                    "--target",
                    wasm::TARGET,
                    "--quiet",
                    "--",
                    "-D",
                    "warnings",
                ]))
            }),
        ),
    ];
    // A check that is not made is neither passed nor failed.
    if has("cargo-deny") {
        checks.push(("licences", licences(place)));
    } else {
        println!("    skipped: licences, because cargo-deny is not installed (cargo install cargo-deny)");
    }
    checks
}

/// deny.toml: a check of the lock file, not of the code.
fn licences(place: &Place) -> Result<()> {
    step("Checking licences and duplicate versions", || {
        sh(cargo(place).args(["deny", "--offline", "check", "licenses", "bans", "sources"]))
    })
}
