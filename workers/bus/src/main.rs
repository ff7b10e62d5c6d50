//! `decnet-bus`: the host's broker as a process. Everything that it does stands in [`decnet_bus::Broker`].

use std::{process::ExitCode, time::Duration};

use decnet_bus::{Broker, BrokerConfig, BrokerError, Endpoint, FIGURES};
use decnet_runtime::{Context, RunError, Shutdown, StartError, Status, Worker};
use tokio_util::sync::CancellationToken;

/// How often the heartbeat's figures are brought up to date.
const FIGURES_EVERY: Duration = Duration::from_secs(10);

struct Bus {
    broker: Broker,
    /// This process's own connection to the broker.
    own: decnet_bus::Bus,
    status: Status,
}

impl Worker for Bus {
    const NAME: &'static str = "bus";
    const ABOUT: &'static str = "The host's publish/subscribe broker on a UNIX socket";
    const DATABASE: bool = false;

    async fn build(ctx: Context) -> Result<Self, StartError> {
        let Endpoint::Unix(path) = &ctx.settings.bus.endpoint else {
            return Err(StartError::config(format!(
                "the bus is configured as {}, which needs no broker here: do not start decnet-bus, or set bus-enabled and \
                 a bus-url of unix:<path>",
                ctx.settings.bus.endpoint
            )));
        };
        let config = BrokerConfig {
            clock: ctx.clock,
            ..BrokerConfig::new(path)
        };
        let broker = Broker::bind(config).map_err(|error| match &error {
            BrokerError::Io { source, .. } => StartError {
                message: error.to_string(),
                ..StartError::io("", source)
            },
            BrokerError::Running { .. } | BrokerError::NotASocket { .. } => {
                StartError::unavailable(error.to_string())
            }
        })?;
        Ok(Self {
            broker,
            own: ctx.bus,
            status: ctx.status,
        })
    }

    async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { broker, own, status } = self;
        let counters = broker.counters();
        let figures = async {
            let mut tick = tokio::time::interval(FIGURES_EVERY);
            loop {
                tick.tick().await;
                status.set(FIGURES, counters().to_string());
            }
        };
        // The connection first: a broker that ends is an outage to whoever is connected to it.
        let end = CancellationToken::new();
        let ending = async {
            shutdown.requested().await;
            own.close().await;
            end.cancel();
            std::future::pending().await
        };
        tokio::select! {
            () = broker.serve(end.clone()) => Ok(()),
            () = figures => Ok(()),
            () = ending => Ok(()),
        }
    }
}

fn main() -> ExitCode {
    decnet_runtime::main::<Bus>()
}
