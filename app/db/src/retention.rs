//! Deleting evidence: rows that are older than an operator wants to keep them, in small steps, or all of it at once.
//!
//! Ids of log rows never come back: readers go on from the last id that they saw. Where the newest row is deleted, the cursor
//! [`DELETED`] remembers how far ids were.

use std::collections::BTreeSet;

use decnet_model::id::LogId;
use time::OffsetDateTime;

use crate::{
    DbError, Store,
    backend::{Sql, Tx},
};

/// The cursor over log rows up to which they are deleted.
pub(crate) const DELETED: &str = "deleted";
/// The cursor over log rows at which all evidence was deleted last. That has an id of its own, so that who knew the newest row is told
/// of it, and who was told is not told again.
const FORGOTTEN: &str = "forgotten";

const OPERATION: &str = "delete old evidence";

impl Store {
    /// Deletes log rows and quarantined lines that were stored before `before`: the oldest `rows` of each at most. Counters, time
    /// buckets, attackers and bounties stay. Gives how many there were.
    ///
    /// # Errors
    /// Where the database fails; nothing is deleted then.
    pub async fn evidence_expire(&self, before: OffsetDateTime, rows: u32) -> Result<u64, DbError> {
        let before = decnet_model::clock::micros(before);
        let mut tx = self.backend.begin().await?;
        self.search_hold_in(&mut tx).await?;
        let logs = self.expire_logs(&mut tx, before, rows).await?;
        let text = "SELECT id, received_at FROM quarantine ORDER BY id LIMIT ?";
        let oldest = tx.fetch(Sql::new(OPERATION, text).bind(rows)).await?;
        let mut last = None;
        let mut lines = 0;
        for row in &oldest {
            let c = row.columns(OPERATION);
            if c.int(1)? >= before {
                break;
            }
            last = Some(c.int(0)?);
            lines += 1;
        }
        if let Some(last) = last {
            let sql = Sql::new(OPERATION, "DELETE FROM quarantine WHERE id <= ?").bind(last);
            tx.execute(sql).await?;
        }
        tx.commit().await?;
        Ok(logs + lines)
    }

    /// How many log rows [`Store::evidence_expire`] would delete in all. Ids rise in the order of storing, so those that are too old
    /// are the beginning of the table, whose end is found by halving; and ids have no gaps but where all evidence was deleted, so
    /// nothing is counted.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn evidence_older(&self, before: OffsetDateTime) -> Result<u64, DbError> {
        const OPERATION: &str = "count old evidence";
        let before = decnet_model::clock::micros(before);
        let ends = Sql::new(OPERATION, "SELECT MIN(id), MAX(id) FROM logs");
        let ends = match self.backend.fetch_optional(ends).await? {
            Some(row) => {
                let c = row.columns(OPERATION);
                c.opt_int(0)?.zip(c.opt_int(1)?)
            }
            None => None,
        };
        let Some((first, last)) = ends else {
            return Ok(0);
        };
        let (mut low, mut high) = (first, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let text = "SELECT received_at FROM logs WHERE id >= ? ORDER BY id LIMIT 1";
            let row = self
                .backend
                .fetch_optional(Sql::new(OPERATION, text).bind(middle))
                .await?;
            let is_old = match row {
                Some(row) => row.columns(OPERATION).int(0)? < before,
                None => false,
            };
            if is_old {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(u64::try_from(low - first).unwrap_or(0))
    }

    async fn expire_logs(&self, tx: &mut Tx, before: i64, rows: u32) -> Result<u64, DbError> {
        // Ids rise in the order of storing, so what is too old is the beginning of the table.
        let text = "SELECT id, received_at, attacker_id FROM logs ORDER BY id LIMIT ?";
        let oldest = tx.fetch(Sql::new(OPERATION, text).bind(rows)).await?;
        let (mut first, mut last) = (None, None);
        let mut attackers = BTreeSet::new();
        let mut count = 0;
        for row in &oldest {
            let c = row.columns(OPERATION);
            if c.int(1)? >= before {
                break;
            }
            first = first.or(Some(c.int(0)?));
            last = Some(c.int(0)?);
            attackers.extend(c.opt_uuid(2)?);
            count += 1;
        }
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(0);
        };
        // First, because it may wait, and nobody should wait for what else is deleted.
        self.search_expire_in(tx, first, last).await?;
        for attacker in attackers {
            let text = "DELETE FROM commands WHERE attacker_id = ? AND log_id <= ?";
            tx.execute(Sql::new(OPERATION, text).bind(attacker).bind(last))
                .await?;
        }
        tx.execute(Sql::new(OPERATION, "DELETE FROM logs WHERE id <= ?").bind(last))
            .await?;
        self.log_cursor_set(tx, DELETED, last).await?;
        Ok(count)
    }

    /// At which id all evidence was deleted last: every row that is there has a larger one. 0 where it never was.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn evidence_forgotten(&self) -> Result<LogId, DbError> {
        self.log_cursor(FORGOTTEN).await.map(LogId)
    }

    /// The largest id that a log row, or the deletion of all, ever had; 0 before the first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn log_reached(&self) -> Result<LogId, DbError> {
        let newest = self.log_last_id().await?;
        Ok(match newest {
            Some(newest) => newest,
            None => LogId(self.log_cursor(DELETED).await?),
        })
    }

    /// Gives the deletion of all evidence an id of its own, in its transaction and before the rows are gone.
    pub(crate) async fn mark_forgotten(&self, tx: &mut Tx) -> Result<(), DbError> {
        let newest = Sql::new("find the last log row", "SELECT MAX(id) FROM logs");
        let newest = match tx.fetch_optional(newest).await? {
            Some(row) => row.columns("find the last log row").opt_int(0)?,
            None => None,
        };
        let newest = match newest {
            Some(newest) => newest,
            None => self.log_cursor_in(tx, DELETED).await?,
        };
        self.log_cursor_set(tx, DELETED, newest + 1).await?;
        self.log_cursor_set(tx, FORGOTTEN, newest + 1).await
    }

    /// Forgets all evidence and whatever was derived from it, and stores what comes from now on: the ingester goes on in the
    /// spool where it is. The spool keeps everything; [`Store::evidence_clear`] lets it be stored again.
    ///
    /// # Errors
    /// Where the database fails; nothing is forgotten then.
    pub async fn evidence_forget(&self) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        self.evidence_clear_in(&mut tx).await?;
        tx.commit().await
    }
}
