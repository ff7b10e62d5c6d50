//! `cargo xtask bench`: what the project promises in figures, each as a ratio to a baseline of the same run.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    decoy, e2e, host,
    place::{Place, Profile},
    programs, setup,
    shell::{sh, step},
    weight,
};

/// What `cargo xtask bench` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these: ingest, bus, decoy, http, ssh, host, docker, api, weight; all where none is named
    names: Vec<String>,
}

/// A benchmark: its name, what it measures, and how it is run.
type Bench = (&'static str, &'static str, fn(&Place) -> Result<()>);

const BENCHES: &[Bench] = &[
    (
        "ingest",
        "lines a second through the ingester, to a bare prepared-insert loop (bar 0.7)",
        |place| sh(programs::release(place)?.args(["bench", "-p", "decnet-worker-ingester"])),
    ),
    (
        "bus",
        "events a second and p99 latency, to nats-server (bars 1.0 and 0.5)",
        |place| sh(programs::release(place)?.args(["bench", "-p", "decnet-bus"])),
    ),
    (
        "decoy",
        "memory of a decky idle (8 MB) and with 2,000 connections (64 MB), of a hundred deckies (1 GB)",
        |place| {
            let program = decoy::build(place)?;
            sh(programs::release(place)?
                .args(["bench", "-p", "decnet-decoys", "--bench", "budget"])
                .env("DECOY_BINARY", program))
        },
    ),
    (
        "http",
        "requests of the http decoy in the same CPU time, to nginx (bar 0.5)",
        |place| {
            setup::for_tests(place)?;
            sh(programs::release(place)?.args([
                "bench",
                "-p",
                "decnet-decoys",
                "--features",
                "serve",
                "--bench",
                "http_vs_nginx",
            ]))
        },
    ),
    (
        "ssh",
        "authentication attempts of the ssh decoy in the same CPU time, to Cowrie (bar 5)",
        |place| {
            let cowrie = setup::python(place, &setup::COWRIE)?;
            let program = decoy::build(place)?;
            sh(programs::release(place)?
                .args([
                    "bench",
                    "-p",
                    "decnet-decoys",
                    "--features",
                    "serve",
                    "--bench",
                    "ssh_vs_cowrie",
                ])
                .env("DECOY_BINARY", program)
                .env("COWRIE", cowrie))
        },
    ),
    (
        "host",
        "memory of a host with ten deckies (150 MB) and of one decky (8 MB), CPU of a login",
        |place| {
            host::build(place, Profile::Release)?;
            sh(Command::new(place.programs(Profile::Release).join("decnet"))
                .args(["bench", "host"])
                .current_dir(&place.root))
        },
    ),
    (
        "docker",
        "a fleet of 20 containers (15 s, 5 s) to bare docker run, 100 of them, and what nmap and p0f take each system for",
        |place| {
            setup::for_tests(place)?;
            setup::for_lab()?;
            setup::for_scans()?;
            host::build(place, Profile::Release)?;
            sh(programs::release(place)?.args(["bench", "-p", "decnet-lab", "--bench", "docker"]))
        },
    ),
    (
        "api",
        "500 users on 1,000,000 rows (p99 200 ms), CPU of every endpoint to FastAPI's (bar 20), a storm of logins (bar 2)",
        |place| {
            let fastapi = setup::python(place, &setup::FASTAPI)?;
            host::build(place, Profile::Release)?;
            sh(programs::release(place)?
                .args(["bench", "-p", "decnet-server", "--bench", "api"])
                .env("DECNET_PROGRAMS", place.programs(Profile::Release))
                .env("FASTAPI", fastapi))
        },
    ),
    (
        "weight",
        "what a page of the dashboard loads (400 KB), and when the first is alive on a slow machine and network (2 s)",
        |place| {
            setup::for_tests(place)?;
            host::build(place, Profile::Release)?;
            let config = ["--config", "bench.config.ts"].map(str::to_owned);
            let measured = e2e::tests(place, Profile::Release, &config, None)?;
            // Told whether or not the time holds.
            weight::check(place)?;
            e2e::all_held(measured.count)
        },
    ),
];

/// `cargo xtask bench`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    if let Some(unknown) = options
        .names
        .iter()
        .find(|n| BENCHES.iter().all(|(name, ..)| name != n))
    {
        let known: Vec<_> = BENCHES.iter().map(|(name, ..)| *name).collect();
        bail!(
            "there is no benchmark {unknown:?}; there are {}",
            known.join(", ")
        );
    }
    setup::for_build(place)?;
    for (name, what, bench) in BENCHES {
        if options.names.is_empty() || options.names.iter().any(|n| n == name) {
            step(&format!("{name}: {what}"), || bench(place))?;
        }
    }
    Ok(())
}
