//! The process around an [`Ingester`]: when it takes its turns.

use std::time::Duration;

use decnet_model::topic::{Pattern, Topic};
use decnet_runtime::{Context, RunError, Shutdown, StartError, Status, Wake, Worker, exit::chain};
use decnet_spool::SpoolError;
use tokio::time::{Instant, sleep_until};

use crate::{IngestError, Ingester, Keeper, Turn};

/// How often the spool is looked at with nobody saying so.
const POLL: Duration = Duration::from_secs(1);
/// How long after a failure the next turn is.
const PAUSE: Duration = Duration::from_secs(1);

/// The `decnet-ingester` daemon.
pub struct IngesterWorker {
    ingester: Ingester,
    keeper: Keeper,
    batch_max_wait: Duration,
    wake: Wake,
    status: Status,
}

impl Worker for IngesterWorker {
    const NAME: &'static str = "ingester";
    const ABOUT: &'static str =
        "Stores the spool's lines in the database, with everything that they count for";
    const DATABASE: bool = true;

    async fn build(ctx: Context) -> Result<Self, StartError> {
        Self::polling(ctx, POLL).await
    }

    async fn run(mut self, shutdown: Shutdown) -> Result<(), RunError> {
        let mut keeper = self.keeper.clone();
        tokio::select! {
            () = self.ingest(&shutdown) => Ok(()),
            () = keeper.keep() => Ok(()),
        }
    }
}

impl IngesterWorker {
    /// Take turns until the end.
    async fn ingest(&mut self, shutdown: &Shutdown) {
        while !shutdown.is_requested() {
            // The first line after a pause is stored at once; those that follow gather until the wait is over.
            let gathered = Instant::now() + self.batch_max_wait;
            let turn = self.ingester.turn().await;
            self.report(&turn);
            match turn {
                Ok(Turn::Stored { behind: true, .. } | Turn::Refused { .. }) => {}
                Ok(Turn::Stored { behind: false, .. }) => {
                    tokio::select! {
                        () = shutdown.requested() => {}
                        () = sleep_until(gathered) => {}
                    }
                }
                Ok(Turn::Idle) => {
                    tokio::select! {
                        () = shutdown.requested() => {}
                        _woken = self.wake.next() => {}
                    }
                }
                Err(_) => {
                    tokio::select! {
                        () = shutdown.requested() => {}
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            }
        }
    }

    /// Like [`Worker::build`], with another polling interval.
    ///
    /// # Errors
    /// Where the position in the spool cannot be read.
    pub async fn polling(ctx: Context, poll: Duration) -> Result<Self, StartError> {
        let ingester = Ingester::open(
            ctx.store()?,
            ctx.bus.clone(),
            ctx.clock.clone(),
            ctx.settings.spool_dir(),
            ctx.settings.ingest.batch_size,
        )
        .await
        .map_err(|error| StartError::unavailable(chain(&error)))?;
        tracing::info!(position = %ingester.position(), "going on in the spool");
        Ok(Self {
            ingester,
            keeper: Keeper::new(ctx.store()?, ctx.clock.clone()),
            batch_max_wait: ctx.settings.ingest.batch_max_wait,
            // The collector says so when the spool has grown. Our own word on what is stored wakes us once more, for
            // nothing, which is cheaper than a topic of its own.
            wake: ctx.wake(vec![Pattern::exactly(&Topic::system_log())], poll),
            status: ctx.status.clone(),
        })
    }

    fn report(&self, turn: &Result<Turn, IngestError>) {
        if turn.is_ok() && self.status.calm() {
            tracing::info!("lines are stored again");
        }
        match turn {
            Ok(Turn::Idle) => self.status.set("spool", "at the end"),
            Ok(Turn::Stored { behind, .. }) => match self.ingester.lag_bytes() {
                Ok(bytes) if *behind => self.status.set("spool", format!("{bytes} bytes behind")),
                _ => self.status.set("spool", "at the end"),
            },
            Ok(Turn::Refused { lines }) => {
                let words = format!("looking for what the database refuses in {lines} lines");
                self.status.set("spool", words);
            }
            Err(IngestError::Spool(error @ SpoolError::Gap(_))) => {
                tracing::error!(error = chain(error), "lines are missing from the spool");
                self.status.set("gap", error.to_string());
            }
            Err(error) => {
                let error = self.ingester.told(error);
                if let Some(times) = self.status.alarm(&error) {
                    tracing::error!(
                        error,
                        times,
                        "lines are not stored; the spool keeps them, and it is tried again"
                    );
                }
            }
        }
    }
}
