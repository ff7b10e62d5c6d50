//! What the profiler derives from stored rows: sessions and the seed of each attacker's glyph (`decnet_model::glyph`).
//!
//! A *session* is a stay: the rows of one attacker that are less than [`SESSION_GAP`] apart, in the order in which they
//! were stored. Each step reads rows from the profiler's own cursor and moves it in the same transaction, so that a step
//! that is killed is simply done again; the result does not depend on how the rows were cut into steps.

use std::collections::BTreeMap;

use decnet_model::{
    clock::from_micros,
    event::EventKind,
    glyph::Known,
    id::{AttackerId, LogId},
};
use time::{Duration, OffsetDateTime};

use crate::{
    DbError, Store,
    backend::{Arg, Merge, Sql, Tx},
    credentials,
};

/// An attacker who was quiet for so long has left; what comes after is another session.
pub const SESSION_GAP: Duration = Duration::minutes(15);

const OPERATION: &str = "profile attackers";
const CURSOR: &str = "profiler";

/// Events that tell what software somebody has.
const TELLS: [EventKind; 2] = [EventKind::Fingerprint, EventKind::ClientInfo];

/// An event's type and its fields.
type Told = (String, BTreeMap<String, String>);

/// A session that began or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionChange {
    /// Whose.
    pub attacker: AttackerId,
    /// Which of theirs, from 1.
    pub ordinal: u64,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// When something last happened in it.
    pub last_at: OffsetDateTime,
    /// Rows so far.
    pub event_count: u64,
}

/// What a step of the profiler came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileStep {
    /// Rows that were read.
    pub rows: usize,
    /// The last of them.
    pub last_id: Option<LogId>,
    /// Sessions that began.
    pub started: Vec<SessionChange>,
    /// Who left fingerprints, each with the time of the last.
    pub fingerprinted: Vec<(AttackerId, OffsetDateTime)>,
}

#[derive(Debug, Clone)]
struct Session {
    ordinal: i64,
    started_at: i64,
    last_at: i64,
    first_log_id: i64,
    last_log_id: i64,
    events: i64,
}

impl Store {
    /// Profiles at most `limit` rows that are new.
    ///
    /// # Errors
    /// Where the database fails; nothing has changed then.
    pub async fn profile_step(&self, limit: u32) -> Result<ProfileStep, DbError> {
        let from = self.log_cursor(CURSOR).await?;
        let text = "SELECT id, at, attacker_id, event_type FROM logs WHERE id > ? ORDER BY id LIMIT ?";
        let rows = self
            .backend
            .fetch(Sql::new(OPERATION, text).bind(from).bind(limit))
            .await?;
        let Some(last) = rows.last() else {
            return Ok(ProfileStep::default());
        };
        let to = last.columns(OPERATION).int(0)?;
        let mut seen: BTreeMap<AttackerId, Vec<(i64, i64)>> = BTreeMap::new();
        let mut fingerprinted: BTreeMap<AttackerId, i64> = BTreeMap::new();
        let mut tells = false;
        for row in &rows {
            let c = row.columns(OPERATION);
            let Some(id) = c.opt_uuid(2)?.map(AttackerId) else {
                continue;
            };
            seen.entry(id).or_default().push((c.int(0)?, c.int(1)?));
            let event_type = c.text(3)?;
            tells |= TELLS.iter().any(|kind| event_type == kind.as_str());
            if event_type == EventKind::Fingerprint.as_str() {
                let last = fingerprinted.entry(id).or_insert(i64::MIN);
                *last = c.int(1)?.max(*last);
            }
        }
        let told = if tells {
            self.software_told(from, to).await?
        } else {
            BTreeMap::new()
        };

        let mut tx = self.backend.begin().await?;
        if self.log_cursor_in(&mut tx, CURSOR).await? != from {
            // Another profiler was here; the next step sees where it is.
            return Ok(ProfileStep::default());
        }
        let mut step = ProfileStep {
            rows: rows.len(),
            last_id: Some(LogId(to)),
            started: Vec::new(),
            fingerprinted: fingerprinted
                .iter()
                .map(|(attacker, last)| (*attacker, from_micros(*last)))
                .collect(),
        };
        let mut sessions = Vec::new();
        let mut profiles: Vec<[Arg; 2]> = Vec::new();
        for (attacker, rows) in seen {
            let mut stays: Vec<_> = last_session(&mut tx, attacker).await?.into_iter().collect();
            let (known, before) = (stays.len(), stays.first().map(|stay| stay.last_log_id));
            group(&mut stays, &rows);
            for stay in stays.iter().skip(known) {
                step.started.push(change(attacker, stay));
            }
            profiles.push([attacker.0.into(), stays.last().map_or(0, |s| s.ordinal).into()]);
            // A session that nothing was added to stays as it is: closed, perhaps.
            let changed = stays.iter().filter(|stay| Some(stay.last_log_id) != before);
            sessions.extend(changed.map(|stay| session_row(attacker, stay)));
        }
        let dialect = self.backend.dialect();
        let upsert = dialect.upsert(
            "attacker_id, ordinal",
            &[
                ("started_at", Merge::Put),
                ("last_at", Merge::Put),
                ("last_log_id", Merge::Put),
                ("event_count", Merge::Put),
                ("closed", Merge::Put),
            ],
        );
        tx.insert_rows(
            OPERATION,
            "INSERT INTO attacker_sessions (attacker_id, ordinal, started_at, last_at, first_log_id, last_log_id, \
             event_count, closed) VALUES ",
            &upsert,
            sessions,
        )
        .await?;
        let upsert = dialect.upsert("attacker_id", &[("session_count", Merge::Put)]);
        tx.insert_rows(
            OPERATION,
            "INSERT INTO attacker_profiles (attacker_id, session_count) VALUES ",
            &upsert,
            profiles,
        )
        .await?;
        for (attacker, told) in told {
            set_glyph(&mut tx, attacker, &told).await?;
        }
        self.log_cursor_set(&mut tx, CURSOR, to).await?;
        tx.commit().await?;
        Ok(step)
    }

    /// How far the profiler is: the newest log row that it has read, and the newest find that it has compared with others.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn profile_reached(&self) -> Result<(LogId, i64), DbError> {
        let rows = self.log_cursor(CURSOR).await?;
        let finds = self.log_cursor(credentials::CURSOR).await?;
        Ok((LogId(rows), finds))
    }

    /// Whom the log rows after `from` up to `to` are about, each once.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn attackers_between(&self, from: LogId, to: LogId) -> Result<Vec<AttackerId>, DbError> {
        const OPERATION: &str = "see whom rows are about";
        let text =
            "SELECT DISTINCT attacker_id FROM logs WHERE id > ? AND id <= ? AND attacker_id IS NOT NULL";
        let rows = self
            .backend
            .fetch(Sql::new(OPERATION, text).bind(from.0).bind(to.0))
            .await?;
        let ids = rows.iter().map(|row| row.columns(OPERATION).uuid(0));
        ids.map(|id| id.map(AttackerId)).collect()
    }

    /// What the rows after `from` up to `to` tell of the software of attackers, by attacker, in the order in which it was stored.
    async fn software_told(&self, from: i64, to: i64) -> Result<BTreeMap<AttackerId, Vec<Told>>, DbError> {
        let text = "SELECT attacker_id, event_type, fields FROM logs WHERE id > ? AND id <= ? AND attacker_id IS NOT NULL \
                    AND event_type IN (?, ?) ORDER BY id";
        let mut sql = Sql::new(OPERATION, text).bind(from).bind(to);
        for kind in TELLS {
            sql.arg(kind.as_str());
        }
        let mut told: BTreeMap<AttackerId, Vec<Told>> = BTreeMap::new();
        for row in self.backend.fetch(sql).await? {
            let c = row.columns(OPERATION);
            told.entry(AttackerId(c.uuid(0)?))
                .or_default()
                .push((c.text(1)?, c.json(2)?));
        }
        Ok(told)
    }

    /// Ends the sessions in which nothing has happened for [`SESSION_GAP`], at most `limit`; gives them.
    ///
    /// # Errors
    /// Where the database fails; nothing has changed then.
    pub async fn session_close(
        &self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<SessionChange>, DbError> {
        let text = "SELECT attacker_id, ordinal, started_at, last_at, event_count FROM attacker_sessions \
                    WHERE closed = 0 AND last_at < ? ORDER BY last_at LIMIT ?";
        let due = Sql::new(OPERATION, text).bind(now - SESSION_GAP).bind(limit);
        let due = self.backend.fetch(due).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let mut ended = Vec::new();
        let mut tx = self.backend.begin().await?;
        for row in &due {
            let c = row.columns(OPERATION);
            let last_at = c.int(3)?;
            let text = "UPDATE attacker_sessions SET closed = 1 \
                        WHERE attacker_id = ? AND ordinal = ? AND closed = 0 AND last_at = ?";
            let sql = Sql::new("end a session", text)
                .bind(c.uuid(0)?)
                .bind(c.int(1)?)
                .bind(last_at);
            if tx.execute(sql).await? > 0 {
                ended.push(SessionChange {
                    attacker: AttackerId(c.uuid(0)?),
                    ordinal: c.count(1)?,
                    started_at: c.time(2)?,
                    last_at: from_micros(last_at),
                    event_count: c.count(4)?,
                });
            }
        }
        tx.commit().await?;
        Ok(ended)
    }

    /// The sessions of an attacker, newest first; at most `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn attacker_sessions(&self, id: AttackerId, limit: u32) -> Result<Vec<SessionChange>, DbError> {
        let text = "SELECT ordinal, started_at, last_at, event_count FROM attacker_sessions \
                    WHERE attacker_id = ? ORDER BY ordinal DESC LIMIT ?";
        let rows = self
            .backend
            .fetch(Sql::new(OPERATION, text).bind(id.0).bind(limit))
            .await?;
        rows.iter()
            .map(|row| {
                let c = row.columns(OPERATION);
                Ok(SessionChange {
                    attacker: id,
                    ordinal: c.count(0)?,
                    started_at: c.time(1)?,
                    last_at: c.time(2)?,
                    event_count: c.count(3)?,
                })
            })
            .collect()
    }

    /// Forgets everything that the profiler derived; it then begins anew.
    ///
    /// # Errors
    /// Where the database fails; nothing is forgotten then.
    pub async fn profile_clear(&self) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        self.profile_clear_in(&mut tx).await?;
        tx.commit().await
    }

    pub(crate) async fn profile_clear_in(&self, tx: &mut Tx) -> Result<(), DbError> {
        const FORGET: &str = "forget what was profiled";
        tx.execute(Sql::new(FORGET, "DELETE FROM attacker_sessions"))
            .await?;
        tx.execute(Sql::new(FORGET, "DELETE FROM attacker_profiles"))
            .await?;
        self.credentials_clear_in(tx).await?;
        tx.execute(Sql::new(FORGET, "DELETE FROM log_cursors WHERE name = ?").bind(CURSOR))
            .await
            .map(drop)
    }
}

/// Goes on from the last of `stays` with rows `(id, at)` in the order in which they were stored.
fn group(stays: &mut Vec<Session>, rows: &[(i64, i64)]) {
    let gap = i64::try_from(SESSION_GAP.whole_microseconds()).unwrap_or(i64::MAX);
    for &(id, at) in rows {
        match stays.last_mut() {
            // A row from before the session, from a decoy whose clock is behind, widens it.
            Some(stay) if at.saturating_sub(stay.last_at) < gap => {
                stay.started_at = stay.started_at.min(at);
                stay.last_at = stay.last_at.max(at);
                stay.last_log_id = id;
                stay.events += 1;
            }
            last => {
                let ordinal = last.map_or(1, |stay| stay.ordinal + 1);
                stays.push(Session {
                    ordinal,
                    started_at: at,
                    last_at: at,
                    first_log_id: id,
                    last_log_id: id,
                    events: 1,
                });
            }
        }
    }
}

fn change(attacker: AttackerId, stay: &Session) -> SessionChange {
    SessionChange {
        attacker,
        ordinal: u64::try_from(stay.ordinal).unwrap_or_default(),
        started_at: from_micros(stay.started_at),
        last_at: from_micros(stay.last_at),
        event_count: u64::try_from(stay.events).unwrap_or_default(),
    }
}

fn session_row(attacker: AttackerId, stay: &Session) -> [Arg; 8] {
    [
        attacker.0.into(),
        stay.ordinal.into(),
        stay.started_at.into(),
        stay.last_at.into(),
        stay.first_log_id.into(),
        stay.last_log_id.into(),
        stay.events.into(),
        // Something happened in it: it is open until it is found quiet.
        false.into(),
    ]
}

async fn last_session(tx: &mut Tx, attacker: AttackerId) -> Result<Option<Session>, DbError> {
    let text = "SELECT ordinal, started_at, last_at, first_log_id, last_log_id, event_count FROM attacker_sessions \
                WHERE attacker_id = ? ORDER BY ordinal DESC LIMIT 1";
    let row = tx
        .fetch_optional(Sql::new(OPERATION, text).bind(attacker.0))
        .await?;
    row.map(|row| {
        let c = row.columns(OPERATION);
        Ok(Session {
            ordinal: c.int(0)?,
            started_at: c.int(1)?,
            last_at: c.int(2)?,
            first_log_id: c.int(3)?,
            last_log_id: c.int(4)?,
            events: c.int(5)?,
        })
    })
    .transpose()
}

/// The glyph of an attacker is seeded by what is known of their software, so that one toolkit looks alike from every address. What was
/// told first stays, so it does not matter how the rows were cut into steps.
async fn set_glyph(tx: &mut Tx, attacker: AttackerId, told: &[Told]) -> Result<(), DbError> {
    let text = "SELECT glyph FROM attacker_profiles WHERE attacker_id = ?";
    let stored = tx
        .fetch_optional(Sql::new(OPERATION, text).bind(attacker.0))
        .await?;
    let stored = stored.map(|row| row.columns(OPERATION).opt_text(0)).transpose()?;
    let mut known = stored
        .flatten()
        .and_then(|seed| seed.parse::<Known>().ok())
        .unwrap_or_default();
    let mut new = false;
    for (event_type, fields) in told {
        new |= known.learn(event_type, fields);
    }
    if !new {
        return Ok(());
    }
    let sql = Sql::new(
        OPERATION,
        "UPDATE attacker_profiles SET glyph = ? WHERE attacker_id = ?",
    );
    tx.execute(sql.bind(known.to_string()).bind(attacker.0))
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grouped(rows: &[(i64, i64)], cuts: &[usize]) -> String {
        let mut stays = Vec::new();
        let mut rest = rows;
        for cut in cuts {
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            group(&mut stays, head);
            rest = tail;
        }
        group(&mut stays, rest);
        format!("{stays:?}")
    }

    proptest! {
        #[test]
        fn sessions_do_not_depend_on_how_the_rows_were_cut(
            minutes in prop::collection::vec(0_i64..200, 0..60),
            cuts in prop::collection::vec(0_usize..10, 0..12),
        ) {
            let rows: Vec<_> = (1..).zip(minutes.iter().map(|m| m * 60_000_000)).collect();
            prop_assert_eq!(grouped(&rows, &[]), grouped(&rows, &cuts));
        }
    }

    #[test]
    fn a_quiet_quarter_of_an_hour_ends_a_session() {
        let minute = 60_000_000;
        let mut stays = Vec::new();
        group(
            &mut stays,
            &[(1, 0), (2, 14 * minute), (3, 29 * minute), (4, 30 * minute)],
        );
        let lengths: Vec<_> = stays.iter().map(|s| (s.ordinal, s.events)).collect();
        assert_eq!(lengths, [(1, 2), (2, 2)]);
    }
}
