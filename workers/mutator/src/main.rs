//! `decnet-mutator`: makes the fleet what is wanted of it, and changes it on schedule.
//!
//! It looks whenever the bus says that something changed, when a decky died, and every 5 s. All rules stand in
//! [`reconcile`]; this file is the worker around them.

use std::{collections::BTreeMap, path::Path, process::ExitCode, sync::Arc, time::Duration};

use decnet_fleet::{
    BuiltIn, Engine, EngineError,
    engine::{
        any::AnyEngine,
        docker::{DockerEngine, DockerOptions},
        installation,
        lan::{Driver, LanOptions},
        local::{LocalEngine, LocalOptions},
        netns::{NetnsEngine, NetnsOptions},
    },
};
use decnet_model::topic::{Pattern, Topic};
use decnet_runtime::{
    Context, RunError, Settings, Shutdown, StartError, Status, Wake, Worker, settings::FleetSettings,
};
use ipnet::IpNet;

mod reconcile;

use reconcile::{Parts, Reconciler, Round};

/// How often it looks where nobody says anything. An operator waits for it where the bus is off.
const INTERVAL: Duration = Duration::from_secs(5);

struct Mutator<E> {
    reconciler: Reconciler<E>,
    wake: Wake,
    /// How often it looks at the latest, as `wake` does.
    interval: Duration,
    status: Status,
}

impl<E: Engine> Mutator<E> {
    /// One that looks every `interval` at the latest.
    fn looking(reconciler: Reconciler<E>, ctx: &Context, interval: Duration) -> Self {
        Self {
            reconciler,
            wake: ctx.wake(vec![Pattern::exactly(&Topic::fleet_changed())], interval),
            interval,
            status: ctx.status.clone(),
        }
    }

    /// Look, and wait for a reason to look again, until `shutdown`.
    async fn reconcile(mut self, shutdown: Shutdown) -> Result<(), RunError> {
        loop {
            self.wake.drain();
            let round = tokio::select! {
                round = self.reconciler.round() => round,
                () = shutdown.requested() => break,
            };
            if round.is_ok() && self.status.calm() {
                tracing::info!("the fleet is reconciled again");
            }
            let again = match round {
                Ok(Round::Done {
                    wanted,
                    running,
                    again,
                }) => {
                    self.status
                        .set("fleet", format!("{running} of {wanted} deckies run"));
                    again
                }
                Ok(Round::Elsewhere) => {
                    self.status.set("fleet", "another mutator holds the lease");
                    None
                }
                // The database or the folder may come back; what runs goes on meanwhile.
                Err(error) => {
                    let error = self.reconciler.told(&error);
                    if let Some(times) = self.status.alarm(&error) {
                        tracing::error!(
                            error,
                            times,
                            "the fleet could not be reconciled; it is tried again"
                        );
                    }
                    self.status.set("fleet", "not reconciled");
                    None
                }
            };
            tokio::select! {
                _ = self.wake.next() => {}
                () = self.reconciler.engine().changed() => {}
                () = tokio::time::sleep(again.unwrap_or(self.interval)) => {}
                () = shutdown.requested() => break,
            }
        }
        let ended = self.reconciler.shutdown().await;
        ended.map_err(|error| RunError::new("the deckies are ended, and the database does not know", error))
    }
}

impl Worker for Mutator<AnyEngine> {
    const NAME: &'static str = "mutator";
    const ABOUT: &'static str =
        "Makes the fleet what is wanted of it: deploys, restarts, mutates, takes down";
    const DATABASE: bool = true;

    async fn build(ctx: Context) -> Result<Self, StartError> {
        let settings = &ctx.settings;
        let engine = engine(settings).map_err(|error| StartError::unavailable(error.to_string()))?;
        // The engine holds its folder, so an installation is one reconciler. Host and folder are for whoever reads the name: hosts of
        // the same name with the same folder may share a database.
        let folder = settings.deckies_dir();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let installation =
            installation(&folder).map_err(|error| StartError::unavailable(error.to_string()))?;
        let mut reconciler = Reconciler::new(Parts {
            holder: holder(&installation, &host, &folder),
            store: ctx.store()?,
            bus: ctx.bus.clone(),
            clock: Arc::clone(&ctx.clock),
            catalogue: Arc::new(BuiltIn),
            outlets: settings.outlets_dir(),
            mutate_interval: settings.fleet.mutate_interval,
            lan: if settings.fleet.engine == "local" {
                BTreeMap::new()
            } else {
                settings.lan()
            },
            engine: Arc::new(engine),
        });
        let fleet = &settings.fleet;
        reconciler
            .note_begun(fleet.network_given.then_some(fleet.network))
            .await
            .map_err(|error| StartError::unavailable(error.to_string()))?;
        Ok(Self::looking(reconciler, &ctx, INTERVAL))
    }

    async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        self.reconcile(shutdown).await
    }
}

/// The engine that the configuration names.
fn engine(settings: &Settings) -> Result<AnyEngine, EngineError> {
    let fleet = &settings.fleet;
    let (deckies, outlets) = (settings.deckies_dir(), settings.outlets_dir());
    let program = fleet.decoy_program.clone();
    let catalogue = Arc::new(BuiltIn);
    match fleet.engine.as_str() {
        "docker" => {
            let options = DockerOptions {
                deckies,
                outlets,
                folder: fleet.docker.folder.clone(),
                program,
                socket: fleet.docker.socket.clone(),
                lan: lan(fleet),
            };
            DockerEngine::open(options, catalogue).map(|engine| AnyEngine::Docker(Box::new(engine)))
        }
        "netns" => {
            let options = NetnsOptions {
                deckies,
                outlets,
                program,
                lan: lan(fleet),
            };
            NetnsEngine::open(options, catalogue).map(|engine| AnyEngine::Netns(Box::new(engine)))
        }
        _ => {
            let options = LocalOptions {
                deckies,
                outlets,
                program,
                port_offset: fleet.port_offset,
                network: fleet.network,
            };
            LocalEngine::open(options, catalogue).map(|engine| AnyEngine::Local(Box::new(engine)))
        }
    }
}

/// Where deckies with addresses of their own stand.
fn lan(fleet: &FleetSettings) -> LanOptions {
    LanOptions {
        interface: fleet.lan.interface.clone(),
        driver: if fleet.lan.ipvlan {
            Driver::Ipvlan
        } else {
            Driver::Macvlan
        },
        gateway: fleet.lan.gateway,
        range: match fleet.network {
            IpNet::V4(range) if fleet.network_given => Some(range),
            _ => None,
        },
    }
}

/// Who holds the lease: the database keeps 128 characters, of which the ends tell most.
fn holder(installation: &str, host: &str, folder: &Path) -> String {
    let host: String = host.trim().chars().take(24).collect();
    let folder: Vec<char> = folder.display().to_string().chars().collect();
    let tail: String = folder.iter().skip(folder.len().saturating_sub(80)).collect();
    format!("{installation}:{host}:{tail}")
}

fn main() -> ExitCode {
    decnet_runtime::main::<Mutator<AnyEngine>>()
}
