//! `cargo xtask fuzz`: every parser of outside bytes, for a while each. Needs a nightly toolchain and cargo-fuzz.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{
    place::Place,
    shell::{has, sh, step},
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
    if !has("cargo-fuzz") {
        bail!("cargo-fuzz is not installed: cargo install cargo-fuzz --locked");
    }
    let folder = place.root.join("fuzz/fuzz_targets");
    let mut targets: Vec<String> = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|e| e.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    targets.sort();
    for target in targets
        .iter()
        .filter(|t| options.targets.is_empty() || options.targets.contains(t))
    {
        step(&format!("Fuzzing {target} for {} s", options.seconds), || {
            sh(std::process::Command::new("cargo")
                .args(["+nightly", "fuzz", "run", target, "--", "-rss_limit_mb=2048"])
                .arg(format!("-max_total_time={}", options.seconds))
                .current_dir(place.root.join("fuzz"))
                .env("CARGO_TARGET_DIR", place.cache.join("fuzz-target")))
        })?;
    }
    Ok(())
}
