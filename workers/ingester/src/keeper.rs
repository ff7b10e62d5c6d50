//! Retention: deleting log rows that are older than an operator wants to keep them.

use std::time::Duration;

use decnet_db::{DbError, Setting, Store};
use decnet_model::clock::SharedClock;
use decnet_runtime::exit::chain;

/// Rows of a step: on SQLite the ingester waits for it.
const STEP: u32 = 1_000;
/// The pause between two steps, in which the ingester gets its turn.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked whether anything has become too old.
const EVERY: Duration = Duration::from_secs(60);

/// Deletes what is too old.
#[derive(Clone)]
pub struct Keeper {
    store: Store,
    clock: SharedClock,
}

impl Keeper {
    /// A keeper of what is in `store`.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// One step; gives how many rows were deleted.
    ///
    /// # Errors
    /// Where the database fails; nothing is deleted then.
    pub async fn step(&self) -> Result<u64, DbError> {
        let Some(days) = self.store.setting_number(Setting::RetentionDays).await? else {
            return Ok(0);
        };
        // A time before the beginning of time is older than everything.
        let Some(before) = self.clock.now().checked_sub(time::Duration::days(days.into())) else {
            return Ok(0);
        };
        self.store.evidence_expire(before, STEP).await
    }

    /// Step for ever.
    pub(crate) async fn keep(&self) {
        loop {
            let pause = match self.step().await {
                Ok(0) => EVERY,
                Ok(rows) => {
                    tracing::debug!(rows, "rows were older than the retention");
                    PAUSE
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "old rows could not be deleted");
                    EVERY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}
