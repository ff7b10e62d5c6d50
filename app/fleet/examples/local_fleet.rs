//! Start a number of local deckies, say how long it took, and keep them until standard input ends.
//!
//! `local_fleet PROGRAM FOLDER COUNT NETWORK SLUG:PORT...`: PROGRAM is the decoy program, FOLDER an empty folder to work
//! in, NETWORK such as `127.77.0.0/16`, SLUG:PORT a service of a Linux server, such as `redis:6379`. Prints one line
//! `started COUNT deckies in N ms`, then those that failed.
#![allow(clippy::print_stdout, reason = "a program for people and tests")]

use std::{collections::BTreeMap, io::Read as _, path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use decnet_decoys::Port;
use decnet_fleet::{
    Catalogue, Engine as _, Limits, Options,
    engine::local::{LocalEngine, LocalOptions},
    execute, plan, resolve,
};
use decnet_model::{
    clock::{Clock as _, SystemClock},
    fleet::{DeckySpec, FleetSpec},
    name::ServiceSlug,
};

/// The services that were given, each with one port.
struct Given(BTreeMap<ServiceSlug, Port>);

impl Catalogue for Given {
    fn slugs(&self) -> Vec<ServiceSlug> {
        self.0.keys().cloned().collect()
    }
    fn ports(&self, slug: &ServiceSlug) -> Option<Vec<Port>> {
        self.0.get(slug).map(|port| vec![*port])
    }
    fn default_knobs(&self, _: &ServiceSlug) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::new()
    }
    fn check_knob(&self, _: &ServiceSlug, _: &str, _: &serde_json::Value) -> Result<(), String> {
        Ok(())
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [program, folder, count, network, services @ ..] = args.as_slice() else {
        println!("usage: local_fleet PROGRAM FOLDER COUNT NETWORK SLUG:PORT...");
        return ExitCode::from(2);
    };
    match run(program, folder, count, network, services) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(
    program: &str,
    folder: &str,
    count: &str,
    network: &str,
    services: &[String],
) -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(folder);
    let mut catalogue = Given(BTreeMap::new());
    for service in services {
        let (slug, port) = service.split_once(':').ok_or("a service is SLUG:PORT")?;
        catalogue.0.insert(slug.parse()?, Port::Tcp(port.parse()?));
    }
    let spec = FleetSpec {
        deckies: vec![DeckySpec {
            name: Some("box".parse()?),
            amount: Some(count.parse()?),
            archetype: Some("linux-server".into()),
            ..DeckySpec::default()
        }],
        replace: false,
    };
    let limits = Limits {
        deckies: 1000,
        network: network.parse()?,
        ..Limits::default()
    };
    let desired = resolve(&spec, &[], &limits, &catalogue, SystemClock.now()).map_err(|faults| {
        faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let options = LocalOptions {
            deckies: folder.join("deckies"),
            outlets: folder.join("outlets"),
            program: program.into(),
            port_offset: 10_000,
            network: limits.network,
        };
        let engine = Arc::new(LocalEngine::open(options, Arc::new(catalogue))?);
        let begun = Instant::now();
        let steps = plan(&desired, &engine.observe().await?);
        let (send, _progress) = tokio::sync::mpsc::unbounded_channel();
        let failed = execute(&engine, steps, Options::default(), &send).await;
        println!(
            "started {} deckies in {} ms",
            desired.len() - failed.len(),
            begun.elapsed().as_millis()
        );
        for (name, error) in &failed {
            println!("failed {name}: {error}");
        }
        let input = tokio::task::spawn_blocking(|| std::io::stdin().lock().take(1).bytes().count());
        input.await?;
        engine.shutdown().await;
        Ok(())
    })
}
