//! The profiler: derives from stored evidence what the ingester does not keep, and what would slow it down.
//!
//! It follows the log rows with cursors of its own: sessions and glyphs ([`decnet_db::profile`]), what is the same among
//! credentials (`Store::credentials_step`) and the index behind the search ([`decnet_db::search`]). Each step moves its cursor in the transaction of its effect, so a kill at
//! any instruction costs a step; the result is the same however often it was killed, and after
//! `Store::profile_clear`. Counters and top lists are the ingester's.
//!
//! Events of sessions and fingerprints on the bus are for what happens now. Evidence that is older than [`NEWS`], from a rebuild or from a
//! backlog, is profiled in silence.

use std::time::Duration;

use decnet_bus::Bus;
use decnet_db::{
    DbError, Store,
    profile::{SESSION_GAP, SessionChange},
};
use decnet_model::{
    clock::SharedClock,
    topic::{Pattern, Topic},
};
use decnet_runtime::{Context, RunError, Shutdown, StartError, Status, Wake, Worker, exit::chain};
use time::OffsetDateTime;
use tokio::time::Instant;

/// How often the rows are looked at with nobody saying so: also how late the end of a session may be told.
const POLL: Duration = Duration::from_secs(5);
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the ingester is given way after a step: about as long as the step took. Whoever waits for SQLite looks again
/// after a tenth of a second.
const LEAST_WAY: Duration = Duration::from_millis(120);
const MOST_WAY: Duration = Duration::from_millis(500);
/// Rows of a profiling step.
const STEP: u32 = 2000;
/// Rows of an indexing step: the ingester waits for it on SQLite.
const INDEX_STEP: u32 = 250;
/// Rows that are deleted from the index before it is worth to make it anew.
const TIDY: i64 = 100_000;
/// Credentials of a comparing step: each is written three times.
const COMPARE_STEP: u32 = 250;
/// Sessions that are ended at once.
const ENDINGS: u32 = 500;
/// How old the last event of a session, or a fingerprint, may be to be news.
pub const NEWS: time::Duration = time::Duration::minutes(30);

/// Derives what it can from rows that are new.
pub struct Profiler {
    store: Store,
    bus: Bus,
    clock: SharedClock,
}

impl Profiler {
    /// A profiler of what is in `store`.
    #[must_use]
    pub fn new(store: Store, bus: Bus, clock: SharedClock) -> Self {
        Self { store, bus, clock }
    }

    /// One step of everything; gives whether there may be more to do at once.
    ///
    /// # Errors
    /// Where the database fails; the next turn goes on where this one was.
    pub async fn turn(&self) -> Result<bool, DbError> {
        let step = self.store.profile_step(STEP).await?;
        for session in &step.started {
            self.tell(&Topic::attacker_session_started(), session);
        }
        for (attacker, at) in &step.fingerprinted {
            if self.is_news(*at) {
                let payload = serde_json::json!({ "attacker": attacker });
                self.bus.publish(Topic::attacker_fingerprinted(), payload);
            }
        }
        let indexed = self.store.search_index(INDEX_STEP).await?;
        if indexed == 0 && self.store.search_tidy(TIDY).await? {
            tracing::info!("the search index was made anew, without what was deleted from it");
        }
        let compared = self.store.credentials_step(COMPARE_STEP).await?;
        let mut more = step.rows > 0 || indexed > 0 || compared > 0;
        if step.rows == 0 {
            // Only now is every row of a session known that could have kept it open.
            let ended = self.store.session_close(self.clock.now(), ENDINGS).await?;
            for session in &ended {
                self.tell(&Topic::attacker_session_ended(), session);
            }
            more |= !ended.is_empty();
        }
        Ok(more)
    }

    fn is_news(&self, at: OffsetDateTime) -> bool {
        self.clock.now() - at <= NEWS
    }

    fn tell(&self, topic: &Topic, session: &SessionChange) {
        if !self.is_news(session.last_at) {
            return;
        }
        let payload = serde_json::json!({
            "attacker": session.attacker,
            "ordinal": session.ordinal,
            "event_count": session.event_count,
            "quiet_minutes": SESSION_GAP.whole_minutes(),
        });
        self.bus.publish(topic, payload);
    }
}

/// Whether the ingester is storing, and so waits for the database while a step goes on.
struct Beside(u64);

impl Beside {
    /// Let the ingester get in before the next step, where it is at work: SQLite has one writer, takes no turns, and lets who
    /// asks at once go before who waits.
    async fn give_way(&mut self, store: &Store, step: Duration) -> Result<(), DbError> {
        let stored = store.log_count().await?;
        if std::mem::replace(&mut self.0, stored) != stored {
            tokio::time::sleep(step.clamp(LEAST_WAY, MOST_WAY)).await;
        }
        Ok(())
    }
}

/// The `decnet-profiler` daemon.
pub struct ProfilerWorker {
    profiler: Profiler,
    wake: Wake,
    status: Status,
}

impl ProfilerWorker {
    /// Like [`Worker::build`], with another polling interval.
    ///
    /// # Errors
    /// Where there is no database.
    pub fn polling(ctx: &Context, poll: Duration) -> Result<Self, StartError> {
        Ok(Self {
            profiler: Profiler::new(ctx.store()?, ctx.bus.clone(), ctx.clock.clone()),
            wake: ctx.wake(vec![Pattern::exactly(&Topic::system_log())], poll),
            status: ctx.status.clone(),
        })
    }
}

impl Worker for ProfilerWorker {
    const NAME: &'static str = "profiler";
    const ABOUT: &'static str =
        "Derives sessions and glyphs from stored evidence, and keeps the search index";
    const DATABASE: bool = true;

    async fn build(ctx: Context) -> Result<Self, StartError> {
        Self::polling(&ctx, POLL)
    }

    async fn run(mut self, shutdown: Shutdown) -> Result<(), RunError> {
        let mut beside = Beside(0);
        while !shutdown.is_requested() {
            let begin = Instant::now();
            let turn = match self.profiler.turn().await {
                Ok(true) => {
                    self.status.set("rows", "catching up");
                    let way = beside.give_way(&self.profiler.store, begin.elapsed());
                    tokio::select! {
                        () = shutdown.requested() => Ok(true),
                        given = way => given.map(|()| true),
                    }
                }
                other => other,
            };
            if turn.is_ok() && self.status.calm() {
                tracing::info!("profiling goes on");
            }
            let pause = match turn {
                Ok(true) => continue,
                Ok(false) => {
                    self.status.set("rows", "at the end");
                    None
                }
                Err(error) => {
                    let error = chain(&error);
                    if let Some(times) = self.status.alarm(&error) {
                        tracing::error!(error, times, "profiling failed; it is tried again");
                    }
                    Some(PAUSE)
                }
            };
            let wait = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => drop(self.wake.next().await),
                }
            };
            tokio::select! {
                () = shutdown.requested() => {}
                () = wait => {}
            }
        }
        Ok(())
    }
}
