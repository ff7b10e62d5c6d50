//! `decnet-collector`: takes the lines of all outlets into the spool. What it promises stands in [`decnet_spool`]; the
//! loop stands in [`pump`]. It needs neither the database nor the bus, and parses no more
//! of a line than whose it says that it is.

mod pump;
mod telling;

use std::{process::ExitCode, sync::mpsc};

use decnet_runtime::{Context, RunError, Shutdown, StartError, Worker};
use decnet_spool::{Options, SpoolError};

use crate::{
    pump::{Places, Pump},
    telling::Telling,
};

struct Collector {
    pump: Pump,
    telling: Telling,
}

impl Worker for Collector {
    const NAME: &'static str = "collector";
    const ABOUT: &'static str =
        "Takes the lines that decoys and other writers leave in their outlets into the spool";
    const DATABASE: bool = false;

    async fn build(ctx: Context) -> Result<Self, StartError> {
        let spool = &ctx.settings.spool;
        let places = Places {
            spool: ctx.settings.spool_dir(),
            outlets: ctx.settings.outlets_dir(),
            options: Options {
                segment_bytes: spool.segment_bytes,
                segment_age: spool.segment_age,
                total_bytes: spool.cap_bytes,
                hard_bytes: spool.hard_cap_bytes,
                free_floor_bytes: spool.min_free_bytes,
                clock: ctx.clock.clone(),
            },
        };
        // A line waits for the pause and for the commit: half of the time that it may wait goes to each.
        let pause = spool.commit_interval / 2;
        let pump = Pump::open(places, pause).map_err(|e| refusal(&e))?;
        Ok(Self {
            pump,
            telling: Telling::new(&ctx),
        })
    }

    async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self {
            mut pump,
            mut telling,
        } = self;
        // Dropping the sender ends the loop's pause at once, whichever way this function ends.
        let (stop, stopped) = mpsc::channel::<()>();
        let work = tokio::task::spawn_blocking(move || pump.run(&stopped, |turn| telling.tell(turn)));
        shutdown.requested().await;
        drop(stop);
        work.await.map_err(|e| RunError::new("the pump", e))
    }
}

/// A spool that cannot be opened, with the way out.
fn refusal(e: &SpoolError) -> StartError {
    match e {
        SpoolError::Io { source, .. } => StartError {
            message: e.to_string(),
            ..StartError::io("", source)
        },
        SpoolError::Damaged { .. } => StartError::config(e.to_string()),
        _ => StartError::unavailable(e.to_string()),
    }
}

fn main() -> ExitCode {
    decnet_runtime::main::<Collector>()
}
