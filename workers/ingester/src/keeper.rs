//! Retention: deleting log rows that are older than an operator wants to keep them, by a time that no leap of the clock makes
//! (`decnet_db::Reckoning`). That the clock leapt is told, whether or not anything is deleted by it.

use std::time::{Duration, Instant};

use decnet_db::{DbError, Reckoning, Setting, Store};
use decnet_model::clock::SharedClock;
use decnet_runtime::exit::chain;
use time::OffsetDateTime;

/// Rows of a step: on SQLite the ingester waits for it.
const STEP: u32 = 1_000;
/// The pause between two steps, in which the ingester gets its turn.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked whether anything has become too old.
const EVERY: Duration = Duration::from_secs(60);
/// How far a clock may come from the time that passed since the last look before it leapt.
const LEAP: time::Duration = time::Duration::minutes(1);

/// Deletes what is too old.
#[derive(Clone)]
pub struct Keeper {
    store: Store,
    clock: SharedClock,
    reckoning: Reckoning,
    leaps: Leaps,
}

/// Sees that a clock leaps.
#[derive(Debug, Clone, Default)]
struct Leaps {
    /// What the clock showed at the last look, and when that was.
    last: Option<(OffsetDateTime, Instant)>,
}

impl Keeper {
    /// A keeper of what is in `store`.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock) -> Self {
        Self {
            store,
            clock,
            reckoning: Reckoning::default(),
            leaps: Leaps::default(),
        }
    }

    /// One step, `at` this moment; gives how many rows were deleted.
    ///
    /// # Errors
    /// Where the database fails; nothing is deleted then.
    pub async fn step(&mut self, at: Instant) -> Result<u64, DbError> {
        let shown = self.clock.now();
        if let Some(from) = self.leaps.look(shown, at) {
            tracing::warn!(
                %from,
                to = %shown,
                "the clock of this host leapt, or the host stood still: lines bear the time that it shows"
            );
        }
        let Some(days) = self.store.setting_number(Setting::RetentionDays).await? else {
            return Ok(0);
        };
        let now = self.reckoning.look(&self.store, shown, at).await?;
        // A time before the beginning of time is older than everything.
        let Some(before) = now.checked_sub(time::Duration::days(days.into())) else {
            return Ok(0);
        };
        self.store.evidence_expire(before, STEP).await
    }

    /// Step for ever.
    pub(crate) async fn keep(&mut self) {
        loop {
            let pause = match self.step(Instant::now()).await {
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

impl Leaps {
    /// What it would be by the last look and the time that passed, where the clock shows something else by more than [`LEAP`]. Told
    /// once: the next look goes on from what is `shown` now, `at` this moment.
    fn look(&mut self, shown: OffsetDateTime, at: Instant) -> Option<OffsetDateTime> {
        let (before, then) = self.last.replace((shown, at))?;
        let passed = time::Duration::try_from(at.saturating_duration_since(then)).ok()?;
        let due = before.checked_add(passed)?;
        ((shown - due).abs() > LEAP).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_leaps_is_told_once_with_what_it_would_be() {
        let (begun, begin) = (OffsetDateTime::UNIX_EPOCH, Instant::now());
        let mut leaps = Leaps::default();
        let mut look = |shown: i64, passed: u64| {
            let shown = begun + time::Duration::minutes(shown);
            let due = leaps.look(shown, begin + Duration::from_secs(60 * passed))?;
            Some((due - begun).whole_minutes())
        };
        assert_eq!(look(0, 0), None, "there was no look before");
        assert_eq!(look(1, 1), None);
        assert_eq!(look(3, 2), None, "it may be a minute off");
        assert_eq!(look(50_000, 3), Some(4), "set ahead");
        assert_eq!(look(-9, 4), Some(50_001), "put back");
        assert_eq!(look(-8, 5), None, "told once");
        assert_eq!(look(-7, 6), None);
    }
}
