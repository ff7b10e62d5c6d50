//! `cargo xtask`: sets up, runs, tests, measures and packages the project.
//!
//! Two commands do everything on a fresh machine: `up` and `test`. The others are their parts. What is built, and tools
//! that cargo and pip install, go to a cache folder outside the clone (`CARGO_TARGET_DIR`, by default below `~/.cache/decnet`), so
//! that a second clone starts warm; npm's packages lie in the clone. Start reading at [`Command`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod bench;
mod checks;
mod contract;
mod decoy;
mod e2e;
mod fuzz;
mod host;
mod lab;
mod leptos;
mod licences;
mod package;
mod pieces;
mod place;
mod programs;
mod setup;
mod shear;
mod shell;
mod site;
mod test;
mod up;
mod wasm;
mod weight;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::place::Place;

/// Sets up, runs, tests, measures and packages DECNET.
#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    after_help = "On a fresh clone, `up` runs everything and `test` tests everything: each installs first what it needs."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building, developing and testing need: the WebAssembly target, tools, npm packages, test servers
    Setup(setup::Options),
    /// Build everything and run a whole host here, with a demo fleet: no root, no Docker
    Up(up::Options),
    /// Run every test: lints, unit, property, conformance and fault tests, the browser's
    Test(test::Options),
    /// Check formatting, clippy (native and WebAssembly) and the dependencies' licences
    Lint(checks::Options),
    /// Run the benchmarks: each prints ratios against a baseline of the same run
    Bench(bench::Options),
    /// Hold the API against its description with schemathesis
    Contract(contract::Options),
    /// Run the fuzz targets for a while each
    Fuzz(fuzz::Options),
    /// Run the browser tests alone
    E2e(e2e::Options),
    /// What `cargo leptos` runs: cargo-leptos with its tools at hand, for serve and watch
    #[command(disable_help_flag = true)]
    Leptos(leptos::Options),
    /// A network of its own with a Docker daemon and an attacker, to try decoys in (root)
    Lab(lab::Options),
    /// Make an archive with the release programs and the dashboard's files
    Package(package::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = Place::find().and_then(|place| match cli.command {
        Command::Setup(options) => setup::run(&place, &options),
        Command::Up(options) => up::run(&place, &options),
        Command::Test(options) => test::run(&place, &options),
        Command::Lint(options) => checks::run(&place, &options),
        Command::Bench(options) => bench::run(&place, &options),
        Command::Contract(options) => contract::run(&place, &options),
        Command::Fuzz(options) => fuzz::run(&place, &options),
        Command::E2e(options) => e2e::run(&place, &options),
        Command::Leptos(options) => leptos::run(&place, &options),
        Command::Lab(options) => lab::run(&place, &options),
        Command::Package(options) => package::run(&place, &options),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
