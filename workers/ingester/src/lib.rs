//! The ingester: from the spool into the database.
//!
//! It reads lines from where the database says it is, has [`decnet_db::meaning`] say what they mean, and stores them
//! with everything that they count for and the new position in one transaction. Killed at any instruction it goes
//! on where the database stands. Nothing here writes evidence but [`Store::ingest_batch`].
//!
//! A batch that does not go in because the database is full or gone is tried again for as long as that takes. One that
//! the database refuses for what is in it would be refused for ever: it is halved until the line stands alone, which
//! then goes into quarantine, and the others in as ever.
//!
//! A line that an ignore rule fits moves the position and is counted, and is nothing else; the spool has it. Beside the turns,
//! [`Keeper`] deletes rows that are older than an operator wants to keep them.
//!
//! Start at [`Ingester::turn`]. Deliberately absent: what a line means, and anything that can be derived later from what
//! is stored (the profiler's).

mod keeper;
mod worker;

use std::path::{Path, PathBuf};

use decnet_bus::Bus;
use decnet_db::{
    DbError, Store,
    ingest::{Batch, Ingested, Unreadable},
    meaning::{self, Evidence},
};
use decnet_model::{
    clock::{SharedClock, from_micros},
    ignore::IgnoreRule,
    topic::Topic,
};
use decnet_runtime::exit::chain;
use decnet_spool::{Arrivals, Line, Position, Reader, SpoolError};
use tokio::time::{Duration, Instant};

pub use keeper::Keeper;
pub use worker::IngesterWorker;

/// The name under which the spool keeps segments.
const READER: &str = "ingester";

/// The most lines of a batch, however far behind: it bounds memory, and how long other writers wait for SQLite.
const MAX_LINES: usize = 4096;
/// The most bytes of a batch, but for a single longer line. With the parsed fields a statement stays well within the
/// 16 MiB that MySQL takes.
const MAX_BYTES: usize = 2 << 20;
/// How long ignore rules are taken for unchanged.
const RULES_GOOD_FOR: Duration = Duration::from_secs(2);
/// How often the spool is told what it may drop.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_secs(1);

/// The name under which the database keeps the position in the spool in `dir`: several hosts may store into one.
///
/// # Errors
/// Where the spool's identity can be neither read nor made.
pub fn reader_of(dir: &Path) -> Result<String, SpoolError> {
    Ok(format!("{READER}-{}", decnet_spool::identity(dir)?))
}

/// Why lines were not stored this time.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The spool could not be read.
    #[error("cannot read the spool")]
    Spool(#[from] SpoolError),
    /// The database did not take the batch. It is read and tried again.
    #[error("cannot store lines")]
    Store(#[from] DbError),
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The spool had nothing new.
    Idle,
    /// So many lines were stored.
    Stored {
        /// Lines, those in quarantine too.
        lines: usize,
        /// Whether the batch was full, so that more is waiting.
        behind: bool,
    },
    /// The database refuses something in so many lines. Nothing was stored; the next turn begins at the same line and
    /// takes half as many.
    Refused {
        /// Lines of the batch.
        lines: usize,
    },
}

/// Stores the lines of a spool.
pub struct Ingester {
    store: Store,
    bus: Bus,
    clock: SharedClock,
    dir: PathBuf,
    /// What the database calls the reader of this spool; unknown while there is none.
    name: Option<String>,
    reader: Reader,
    arrivals: Arrivals,
    /// Where the database stands.
    stored: Position,
    batch_size: usize,
    /// Lines of the next batch: it grows while batches come out full.
    lines: usize,
    acknowledged: Option<(Instant, Position)>,
    /// What is noise, and when that was last asked.
    ignored: (Option<Instant>, Vec<IgnoreRule>),
}

impl Ingester {
    /// An ingester of the spool in `dir`, in batches of `batch_size` lines while it keeps up.
    ///
    /// # Errors
    /// Where the position cannot be read.
    pub async fn open(
        store: Store,
        bus: Bus,
        clock: SharedClock,
        dir: PathBuf,
        batch_size: usize,
    ) -> Result<Self, IngestError> {
        let reader = Reader::open(&dir, Position::START);
        let arrivals = Arrivals::of(&dir);
        let batch_size = batch_size.clamp(1, MAX_LINES);
        let mut ingester = Self {
            store,
            bus,
            clock,
            dir,
            name: None,
            reader,
            arrivals,
            stored: Position::START,
            batch_size,
            lines: batch_size,
            acknowledged: None,
            ignored: (None, Vec::new()),
        };
        ingester.name().await?;
        Ok(ingester)
    }

    /// What the database calls the reader of this spool; it is looked up once the spool is there.
    async fn name(&mut self) -> Result<Option<String>, IngestError> {
        if self.name.is_none() && self.dir.exists() {
            let name = reader_of(&self.dir)?;
            self.store.spool_reader_rename(READER, &name).await?;
            self.stored = self.store.spool_position(&name).await?;
            self.reader.seek(self.stored);
            self.name = Some(name);
        }
        Ok(self.name.clone())
    }

    /// Why lines were not stored, on one line, with the way out where there is no room.
    #[must_use]
    pub fn told(&self, error: &IngestError) -> String {
        let way_out = match error {
            IngestError::Store(error) => self.store.way_out(error),
            IngestError::Spool(_) => None,
        };
        match way_out {
            Some(way_out) => format!("{way_out}: {}", chain(error)),
            None => chain(error),
        }
    }

    /// Where the database stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.stored
    }

    /// Bytes in the spool that are not stored.
    ///
    /// # Errors
    /// Where the spool cannot be read.
    pub fn lag_bytes(&self) -> Result<u64, IngestError> {
        Ok(self.reader.lag_bytes()?)
    }

    /// Stores the next batch, if there are lines.
    ///
    /// # Errors
    /// Nothing was stored then, and the next turn begins at the same line; after [`SpoolError::Gap`] at the first
    /// line that there is.
    pub async fn turn(&mut self) -> Result<Turn, IngestError> {
        let Some(name) = self.name().await? else {
            return Ok(Turn::Idle);
        };
        let mut lines = self.reader.next_batch(self.lines, MAX_BYTES)?;
        if lines.is_empty() && self.is_sent_back(&name).await? {
            lines = self.reader.next_batch(self.lines, MAX_BYTES)?;
        }
        let Some(last) = lines.last() else {
            self.lines = self.batch_size;
            self.acknowledge(true)?;
            return Ok(Turn::Idle);
        };
        let to = last.end;
        self.refresh_rules().await?;
        let (count, full) = (lines.len(), self.is_full(&lines));
        let alone = match lines.as_slice() {
            [line] => Some(line.clone()),
            _ => None,
        };
        let batch = self.read(&name, lines, to);
        let mut stored = self.store.ingest_batch(&batch).await;
        if let Err(error) = &stored
            && error.is_refusal()
        {
            let Some(line) = alone else {
                self.lines = count / 2;
                self.reader.seek(self.stored);
                return Ok(Turn::Refused { lines: count });
            };
            let why = format!("the database refuses it: {}", chain(error));
            tracing::error!(position = %to, why, "a line is kept in quarantine");
            stored = self.store.ingest_batch(&self.quarantined(&name, line, why)).await;
        }
        match stored {
            Ok(done) => {
                self.stored = to;
                self.lines = if full {
                    (self.lines * 2).min(MAX_LINES)
                } else {
                    self.batch_size
                };
                self.tell(&done);
                self.acknowledge(false)?;
                Ok(Turn::Stored {
                    lines: count,
                    behind: full,
                })
            }
            Err(error) => {
                if matches!(error, DbError::PositionMoved { .. }) {
                    self.stored = self.store.spool_position(&name).await?;
                    self.arrivals.forget();
                }
                self.reader.seek(self.stored);
                Err(error.into())
            }
        }
    }

    /// Whether the database stands elsewhere than where this left it: an operator has everything stored again. A batch would
    /// find that out by itself, but none comes while nothing happens.
    async fn is_sent_back(&mut self, name: &str) -> Result<bool, IngestError> {
        let stands = self.store.spool_position(name).await?;
        let moved = stands != self.stored;
        if moved {
            self.stored = stands;
            self.reader.seek(stands);
            self.arrivals.forget();
        }
        Ok(moved)
    }

    fn is_full(&self, lines: &[Line]) -> bool {
        lines.len() >= self.lines || lines.iter().map(|l| l.bytes.len()).sum::<usize>() > MAX_BYTES / 2
    }

    fn read(&mut self, name: &str, lines: Vec<Line>, to: Position) -> Batch {
        let now = self.clock.now();
        let mut batch = self.batch_to(name, to);
        batch.lines.reserve(lines.len());
        for line in lines {
            // A line that waited for us, or is stored again, arrived when the spool took it.
            let arrived = self.arrivals.between(line.end);
            let (earliest, received_at) = arrived.map_or((now, now), |(first, last)| {
                (from_micros(first), from_micros(last))
            });
            match meaning::read(&line.bytes, received_at) {
                Ok(evidence) if self.is_ignored(&evidence) => batch.ignored += 1,
                Ok(evidence) => batch.lines.push(Evidence {
                    received_at: evidence.at.max(earliest).min(received_at),
                    ..evidence
                }),
                Err(why) => batch.quarantine.push(Unreadable {
                    raw: line.bytes,
                    why: why.to_string(),
                    end: line.end,
                    received_at,
                }),
            }
        }
        batch
    }

    fn is_ignored(&self, line: &Evidence) -> bool {
        let (_, rules) = &self.ignored;
        rules.iter().any(|rule| {
            rule.lines
                .fits(line.attacker, &line.decky, &line.service, &line.event_type)
        })
    }

    /// Asks for the ignore rules again now and then. Where they cannot be read nothing is stored either: a line that should have been
    /// ignored would make an attacker of somebody.
    async fn refresh_rules(&mut self) -> Result<(), IngestError> {
        let (asked, rules) = &mut self.ignored;
        if asked.is_none_or(|at| at.elapsed() >= RULES_GOOD_FOR) {
            match self.store.ignore_rules().await {
                Ok(new) => *rules = new,
                Err(error) => {
                    self.reader.seek(self.stored);
                    return Err(error.into());
                }
            }
            *asked = Some(Instant::now());
        }
        Ok(())
    }

    /// A batch that does nothing but keep `line`.
    fn quarantined(&self, name: &str, line: Line, why: String) -> Batch {
        let mut batch = self.batch_to(name, line.end);
        batch.quarantine.push(Unreadable {
            raw: line.bytes,
            why,
            end: line.end,
            received_at: self.clock.now(),
        });
        batch
    }

    fn batch_to(&self, name: &str, to: Position) -> Batch {
        Batch {
            reader: name.to_owned(),
            from: self.stored,
            to,
            lines: Vec::new(),
            quarantine: Vec::new(),
            ignored: 0,
        }
    }

    /// Hints for those who look at the database.
    fn tell(&self, done: &Ingested) {
        if let Some(last_id) = done.last_id {
            let payload = serde_json::json!({ "last_id": last_id, "count": done.rows });
            self.bus.publish(Topic::system_log(), payload);
        }
        for (id, ip) in &done.new_attackers {
            let payload = serde_json::json!({ "id": id, "ip": ip });
            self.bus.publish(Topic::attacker_observed(), payload);
        }
    }

    /// Tells the spool how far it may drop segments: now and then, and when there is nothing else to do.
    fn acknowledge(&mut self, idle: bool) -> Result<(), IngestError> {
        let due = match self.acknowledged {
            None => true,
            Some((_, at)) if at == self.stored => false,
            Some((when, _)) => idle || when.elapsed() >= ACKNOWLEDGE_EVERY,
        };
        if due && self.dir.exists() {
            decnet_spool::acknowledge(&self.dir, READER, self.stored)?;
            self.acknowledged = Some((Instant::now(), self.stored));
        }
        Ok(())
    }
}
