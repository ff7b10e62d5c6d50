//! What time it is for whoever deletes by age, which nothing brings back.
//!
//! A clock may be put forward by a fault, a mistake or somebody who wants traces gone, and everything is old at once. So it is
//! held against the time that passed: by the monotonic clock while a process runs, and by a note in the database, or the
//! arrival of the newest evidence, where one begins. A clock that went further than that is believed only after it has
//! shown so for a day: long enough for somebody to see it and to put it right. Until then time is reckoned from the last
//! that was believed. A clock that was put back is believed at once, because less is deleted by it.
//!
//! The price: after a host stood still, what is too old stays for up to a day longer.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::{DbError, Store, backend::Sql};

/// How much further than the time that passed a clock may come without being doubted.
const SLACK: Duration = Duration::from_secs(60 * 60);
/// How long a clock that came further is doubted.
const DOUBT: Duration = Duration::from_secs(24 * 60 * 60);
/// How old the note in the database gets.
const NOTE_EVERY: Duration = Duration::from_secs(10 * 60);
/// The setting that holds what was believed last, in microseconds since the Unix epoch.
const NOTE: &str = "believed-time";

/// Reckons what time it is, from one look to the next.
#[derive(Debug, Clone, Default)]
pub struct Reckoning {
    /// What was believed last, and when that was.
    last: Option<(OffsetDateTime, Instant)>,
    /// Since when the clock has been doubted.
    doubted: Option<Instant>,
    noted: Option<Instant>,
}

impl Reckoning {
    /// What time it is `at` this moment, of which a clock says that it is `shown`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn look(
        &mut self,
        store: &Store,
        shown: OffsetDateTime,
        at: Instant,
    ) -> Result<OffsetDateTime, DbError> {
        let last = match self.last {
            Some(last) => last,
            None => (store.time_believed().await?.unwrap_or(shown), at),
        };
        let time = self.reckon(last, shown, at);
        self.last = Some((time, at));
        if self.noted.is_none_or(|noted| at >= noted + NOTE_EVERY) {
            store
                .setting_set(NOTE, &decnet_model::clock::micros(time).to_string())
                .await?;
            self.noted = Some(at);
        }
        Ok(time)
    }

    fn reckon(
        &mut self,
        (time, then): (OffsetDateTime, Instant),
        shown: OffsetDateTime,
        at: Instant,
    ) -> OffsetDateTime {
        let reckoned = later(time, at.saturating_duration_since(then));
        if shown <= later(reckoned, SLACK) {
            self.doubted = None;
            return shown;
        }
        let Some(since) = self.doubted else {
            tracing::warn!(%shown, %reckoned, "the clock is ahead of the time that passed; for a day nothing is deleted by it");
            self.doubted = Some(at);
            return reckoned;
        };
        if at.saturating_duration_since(since) < DOUBT {
            return reckoned;
        }
        tracing::warn!(%shown, %reckoned, "the clock has been ahead for a day, and is believed");
        self.doubted = None;
        shown
    }
}

fn later(time: OffsetDateTime, by: Duration) -> OffsetDateTime {
    time.saturating_add(time::Duration::try_from(by).unwrap_or(time::Duration::MAX))
}

impl Store {
    /// What time it was when a process last noted that it believed it, or when the newest evidence arrived.
    async fn time_believed(&self) -> Result<Option<OffsetDateTime>, DbError> {
        const OPERATION: &str = "read what time it was";
        if let Some(text) = self.setting_get(NOTE).await? {
            let noted = text.parse::<i64>().map_err(|_| DbError::Corrupt {
                operation: OPERATION,
                what: format!("{NOTE}: {text:?}"),
            })?;
            return Ok(Some(decnet_model::clock::from_micros(noted)));
        }
        let newest = "SELECT received_at FROM logs ORDER BY id DESC LIMIT 1";
        let newest = self.backend.fetch_optional(Sql::new(OPERATION, newest)).await?;
        newest.map(|row| row.columns(OPERATION).time(0)).transpose()
    }
}
