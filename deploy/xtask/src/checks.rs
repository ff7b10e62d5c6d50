//! `cargo xtask lint`: formatting, the dependencies' licences, and clippy for both halves.

use anyhow::{Result, bail};

use crate::{
    licences,
    place::Place,
    setup::{self, wasm},
    shell::{cargo, sh, step},
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

/// Every check, and how it went.
pub(crate) fn all(place: &Place) -> Vec<(&'static str, Result<()>)> {
    vec![
        (
            "formatting",
            step("Checking formatting", || {
                sh(cargo(place).args(["fmt", "--all", "--check"]))
            }),
        ),
        (
            "licences",
            step("Checking licences and sources of the dependencies", || {
                licences::check(place)
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
    ]
}
