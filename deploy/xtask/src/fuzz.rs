//! `cargo xtask fuzz`: every parser of outside bytes, for a while each.
//!
//! Sanitizers are unstable flags of rustc: a nightly toolchain takes them, and where there is none the one in use does when
//! it is told that it may (`RUSTC_BOOTSTRAP`).

use std::{env, fs, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    place::Place,
    setup,
    shell::{output, sh, step},
};

/// What `cargo xtask fuzz` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these targets
    targets: Vec<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// `cargo xtask fuzz`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    let targets = targets(place, &options.targets)?;
    let nightly = output(Command::new("rustup").args(["run", "nightly", "rustc", "--version"])).is_some();
    setup::cargo_fuzz(place)?;
    let tools = place.tool("cargo-fuzz", setup::CARGO_FUZZ).join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    // Cargo looks for its subcommands on the PATH.
    let path = env::join_paths(std::iter::once(tools).chain(env::split_paths(&path)))?;
    for target in targets {
        step(&format!("Fuzzing {target} for {} s", options.seconds), || {
            let mut cargo = Command::new("cargo");
            if nightly {
                cargo.arg("+nightly");
            } else {
                cargo.env("RUSTC_BOOTSTRAP", "1");
            }
            sh(cargo
                .args(["fuzz", "run", &target, "--", "-rss_limit_mb=2048"])
                .arg(format!("-max_total_time={}", options.seconds))
                .current_dir(place.root.join("fuzz"))
                .env("PATH", &path)
                .env("CARGO_TARGET_DIR", place.cache.join("fuzz-target")))
        })?;
    }
    Ok(())
}

/// The targets of these names, or all.
fn targets(place: &Place, wanted: &[String]) -> Result<Vec<String>> {
    let folder = place.root.join("fuzz/fuzz_targets");
    let mut all: Vec<String> = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|e| e.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    all.sort();
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!("there is no fuzz target {unknown}; there are {}", all.join(", "));
    }
    all.retain(|name| wanted.is_empty() || wanted.contains(name));
    Ok(all)
}
