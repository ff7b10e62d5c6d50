//! `cargo leptos`, which `.cargo/config.toml` turns into `cargo xtask leptos`: cargo-leptos with everything that it looks
//! for at hand, so that nothing has to be put on anybody's PATH.

use std::{env, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result, anyhow};

use crate::{
    place::Place,
    setup::{self, CARGO_LEPTOS, WASM_BINDGEN, wasm},
};

/// What `cargo leptos` takes: all of it goes to cargo-leptos.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// serve, watch, build, …, and their options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// `cargo leptos …`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    setup::for_build(place)?;
    setup::cargo_leptos(place)?;
    let cargo_leptos = place.tool("cargo-leptos", CARGO_LEPTOS).join("bin");
    let tools = [
        place.tool("wasm-bindgen", WASM_BINDGEN).join("bin"),
        place.root.join("style/node_modules/.bin"),
    ];
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(tools.into_iter().chain(env::split_paths(&path)))
        .context("a folder's name has a colon, which PATH cannot hold")?;
    let mut command = Command::new(cargo_leptos.join("cargo-leptos"));
    command
        .args(&options.rest)
        .current_dir(&place.root)
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", &place.target);
    if let Some(toolchain) = wasm::linked_toolchain() {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    // It takes this process's place: Ctrl-C and the exit code are its own.
    Err(anyhow!("could not start cargo-leptos: {}", command.exec()))
}
