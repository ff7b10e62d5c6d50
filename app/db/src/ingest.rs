//! How evidence comes in: a batch of lines, everything that they count for, and the position in the spool after them,
//! in one transaction.
//!
//! A batch says where in the spool it starts. Where the database stands elsewhere, somebody else has stored those lines,
//! and nothing of the batch is: so neither a restart nor a second ingester can double a line.

use std::collections::{BTreeMap, BTreeSet};

use decnet_model::{
    clock::micros,
    id::{AttackerId, LogId},
    state::BountyKind,
};
use decnet_spool::Position;
use time::OffsetDateTime;

use crate::{
    DbError, Store,
    backend::{Arg, Merge, Sql, Tx, told},
    meaning::{Evidence, Loot, attacker_id, command_of, cut, hash16},
    retention::DELETED,
};

/// The most characters of a credential's name in the top list; four bytes each fit the column.
const MAX_TALLY: usize = 128;

/// Lines of a spool between two positions, in their order.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Who reads: the name under which the position is kept.
    pub reader: String,
    /// Where the database must stand.
    pub from: Position,
    /// Where it stands afterwards.
    pub to: Position,
    /// The lines that could be read.
    pub lines: Vec<Evidence>,
    /// The lines that could not, or that the database refused.
    pub quarantine: Vec<Unreadable>,
    /// How many lines are neither, because an ignore rule fits them.
    pub ignored: u64,
}

/// A line that is not RFC 5424, or that the database refused.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// The line.
    pub raw: Vec<u8>,
    /// What is wrong with it.
    pub why: String,
    /// Where it ends in the spool.
    pub end: Position,
    /// When it was read.
    pub received_at: OffsetDateTime,
}

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ingested {
    /// Id of the last row; absent where every line went to quarantine.
    pub last_id: Option<LogId>,
    /// Rows that were stored.
    pub rows: usize,
    /// Attackers that were seen for the first time, with their addresses.
    pub new_attackers: Vec<(AttackerId, std::net::IpAddr)>,
}

/// What a batch has of one attacker.
struct Deeds {
    ip: std::net::IpAddr,
    first_seen: i64,
    last_seen: i64,
    events: u64,
    auths: u64,
    commands: u64,
    credentials: u64,
    bounties: u64,
}

/// A bounty in a batch.
struct Found<'a> {
    loot: &'a Loot,
    attacker: AttackerId,
    line: &'a Evidence,
    count: u64,
    accepted: u64,
    first_seen: i64,
    last_seen: i64,
    log_id: i64,
}

#[derive(Clone, Copy)]
struct Minute {
    count: u64,
    touches: u64,
    min_id: i64,
    max_id: i64,
}

/// Everything that a batch counts for, by what is written.
#[derive(Default)]
struct Sums<'a> {
    attackers: BTreeMap<AttackerId, Deeds>,
    attacker_deckies: BTreeSet<(AttackerId, &'a str)>,
    attacker_services: BTreeSet<(AttackerId, &'a str)>,
    bounties: BTreeMap<[u8; 16], Found<'a>>,
    commands: Vec<[Arg; 2]>,
    tallies: BTreeMap<(&'static str, Vec<u8>), u64>,
    minutes: BTreeMap<i64, Minute>,
    buckets: BTreeMap<(i64, i64, &'a str, &'a str), u64>,
    counters: BTreeMap<String, u64>,
}

impl<'a> Sums<'a> {
    fn count(&mut self, counter: &str, by: u64) {
        if by > 0 {
            *self.counters.entry(counter.to_owned()).or_default() += by;
        }
    }

    fn add(&mut self, id: i64, line: &'a Evidence) {
        let minute = micros(line.at).div_euclid(60_000_000);
        let slot = self.minutes.entry(minute).or_insert(Minute {
            count: 0,
            touches: 0,
            min_id: id,
            max_id: id,
        });
        slot.count += 1;
        slot.touches += u64::from(line.attacker.is_some());
        slot.max_id = id;
        for (width, start) in [(1, minute), (60, minute.div_euclid(60) * 60)] {
            *self
                .buckets
                .entry((width, start, &line.decky, &line.service))
                .or_default() += 1;
        }
        for (scope, name) in [
            ("decky", &line.decky),
            ("service", &line.service),
            ("event_type", &line.event_type),
        ] {
            *self.tallies.entry((scope, name.as_bytes().to_vec())).or_default() += 1;
        }
        let Some(ip) = line.attacker else {
            return;
        };
        let attacker = attacker_id(ip);
        let at = micros(line.seen_at());
        let meaning = &line.meaning;
        let deeds = self.attackers.entry(attacker).or_insert(Deeds {
            ip,
            first_seen: at,
            last_seen: at,
            events: 0,
            auths: 0,
            commands: 0,
            credentials: 0,
            bounties: 0,
        });
        deeds.first_seen = deeds.first_seen.min(at);
        deeds.last_seen = deeds.last_seen.max(at);
        deeds.events += 1;
        deeds.auths += u64::from(meaning.auth_attempt);
        deeds.commands += u64::from(meaning.command);
        self.attacker_deckies.insert((attacker, &line.decky));
        self.attacker_services.insert((attacker, &line.service));
        if meaning.command {
            self.commands.push([attacker.0.into(), id.into()]);
            let text = command_of(&line.fields);
            if !text.is_empty() {
                *self
                    .tallies
                    .entry(("command", cut(text, MAX_TALLY).as_bytes().to_vec()))
                    .or_default() += 1;
            }
        }
        self.count("auth_attempts", u64::from(meaning.auth_attempt));
        self.count("commands", u64::from(meaning.command));
        if let Some(loot) = &meaning.loot {
            self.add_loot(id, at, attacker, line, loot);
        }
    }

    fn add_loot(&mut self, id: i64, at: i64, attacker: AttackerId, line: &'a Evidence, loot: &'a Loot) {
        if loot.kind == BountyKind::Credential {
            let pair = format!("{}:{}", loot.principal.as_deref().unwrap_or_default(), loot.value);
            *self
                .tallies
                .entry(("credential", cut(&pair, MAX_TALLY).as_bytes().to_vec()))
                .or_default() += 1;
        }
        let digest = hash16([
            attacker.0.as_bytes().as_slice(),
            line.decky.as_bytes(),
            line.service.as_bytes(),
            loot.kind.as_str().as_bytes(),
            loot.principal.as_deref().unwrap_or_default().as_bytes(),
            loot.secret_kind.as_deref().unwrap_or_default().as_bytes(),
            loot.value.as_bytes(),
        ]);
        let found = self.bounties.entry(digest).or_insert(Found {
            loot,
            attacker,
            line,
            count: 0,
            accepted: 0,
            first_seen: at,
            last_seen: at,
            log_id: id,
        });
        found.count += 1;
        found.accepted += u64::from(loot.accepted);
        found.first_seen = found.first_seen.min(at);
        found.last_seen = found.last_seen.max(at);
    }
}

impl Store {
    /// Where `reader` goes on; [`Position::START`] where it never read.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn spool_position(&self, reader: &str) -> Result<Position, DbError> {
        let row = self.backend.fetch_optional(position_sql(reader, "")).await?;
        row.as_ref().map_or(Ok(Position::START), position)
    }

    /// Let what stands of the reader `old` be that of `new`, where nothing stands of that: positions were once kept without
    /// the spool's identity.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn spool_reader_rename(&self, old: &str, new: &str) -> Result<(), DbError> {
        // A table that is changed is read by MySQL only as one that was derived.
        let text = "UPDATE spool_positions SET reader = ? WHERE reader = ? \
             AND NOT EXISTS (SELECT 1 FROM (SELECT reader FROM spool_positions) AS known WHERE known.reader = ?)";
        let sql = Sql::new("rename the reader of a spool", text)
            .bind(new)
            .bind(old)
            .bind(new);
        self.backend.execute(sql).await.map(drop)
    }

    /// Stores a batch, whole or not at all.
    ///
    /// # Errors
    /// [`DbError::PositionMoved`] where the database does not stand where the batch starts.
    pub async fn ingest_batch(&self, batch: &Batch) -> Result<Ingested, DbError> {
        let dialect = self.backend.dialect();
        let mut tx = self.backend.begin().await?;
        let stored = tx
            .fetch_optional(position_sql(&batch.reader, dialect.for_update()))
            .await?;
        let stored = stored.as_ref().map_or(Ok(Position::START), position)?;
        if stored != batch.from {
            return Err(DbError::PositionMoved {
                batch: batch.from.to_string(),
                stored: stored.to_string(),
            });
        }
        let last = tx
            .fetch_optional(Sql::new("find the last log row", "SELECT MAX(id) FROM logs"))
            .await?;
        let last = match &last {
            Some(row) => row.columns("find the last log row").opt_int(0)?,
            None => None,
        };
        let last = match last {
            Some(last) => last,
            // Ids do not come back after the newest row was deleted.
            None => self.log_cursor_in(&mut tx, DELETED).await?,
        };

        let mut sums = Sums::default();
        let mut rows = Vec::with_capacity(batch.lines.len());
        for (id, line) in (last + 1..).zip(&batch.lines) {
            sums.add(id, line);
            rows.push(log_row(id, line));
        }
        sums.count("logs", u64::try_from(rows.len()).unwrap_or(u64::MAX));
        sums.count(
            "quarantined",
            u64::try_from(batch.quarantine.len()).unwrap_or(u64::MAX),
        );
        sums.count("ignored", batch.ignored);

        let mut done = Ingested {
            last_id: (!rows.is_empty()).then(|| LogId(last + i64::try_from(rows.len()).unwrap_or(0))),
            rows: rows.len(),
            new_attackers: Vec::new(),
        };
        tx.insert_rows(
            "store log rows",
            "INSERT INTO logs (id, at, received_at, decky, service, event_type, attacker_id, fields, message, raw) VALUES ",
            "",
            rows,
        )
        .await?;
        self.store_quarantine(&mut tx, batch).await?;
        self.store_bounties(&mut tx, &mut sums).await?;
        done.new_attackers = self.store_attackers(&mut tx, &mut sums).await?;
        self.store_counts(&mut tx, sums).await?;
        self.store_position(&mut tx, batch).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Forgets all evidence and where the ingester is in the spool, which it then reads again from the oldest line that
    /// there is. Who calls this makes sure that the spool still has what is wanted.
    ///
    /// # Errors
    /// Where the database fails; nothing is forgotten then.
    pub async fn evidence_clear(&self) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        self.evidence_clear_in(&mut tx).await?;
        tx.execute(Sql::new("forget all evidence", "DELETE FROM spool_positions"))
            .await?;
        tx.commit().await
    }

    pub(crate) async fn evidence_clear_in(&self, tx: &mut Tx) -> Result<(), DbError> {
        // First, because it may wait, and nobody should wait for what else is deleted.
        self.search_clear_in(tx).await?;
        self.mark_forgotten(tx).await?;
        for table in [
            "logs",
            "quarantine",
            "attackers",
            "attacker_deckies",
            "attacker_services",
            "bounties",
            "commands",
            "counters",
            "tallies",
            "log_minutes",
            "log_buckets",
        ] {
            tx.execute(Sql::new("forget all evidence", format!("DELETE FROM {table}")))
                .await?;
        }
        self.profile_clear_in(tx).await
    }

    async fn store_quarantine(&self, tx: &mut Tx, batch: &Batch) -> Result<(), DbError> {
        let rows = batch.quarantine.iter().map(|line| {
            [
                line.received_at.into(),
                batch.reader.as_str().into(),
                line.end.segment.into(),
                line.end.offset.into(),
                told(&line.why).into(),
                line.raw.as_slice().into(),
            ]
        });
        tx.insert_rows(
            "quarantine lines",
            "INSERT INTO quarantine (received_at, reader, segment, byte_offset, why, raw) VALUES ",
            "",
            rows.collect(),
        )
        .await
    }

    /// Stores bounties and adds those that are new to their attackers' counts.
    async fn store_bounties(&self, tx: &mut Tx, sums: &mut Sums<'_>) -> Result<(), DbError> {
        let bounties = std::mem::take(&mut sums.bounties);
        let digests: Vec<_> = bounties.keys().map(|d| d.to_vec()).collect();
        let known: BTreeSet<_> = tx
            .existing("look up bounties", "bounties", "digest", &digests)
            .await?
            .into_iter()
            .collect();
        let mut rows = Vec::with_capacity(bounties.len());
        for (digest, found) in bounties {
            let loot = found.loot;
            if !known.contains(digest.as_slice()) {
                sums.count("bounties", 1);
                sums.count(&format!("bounties.{}", loot.kind), 1);
                if let Some(deeds) = sums.attackers.get_mut(&found.attacker) {
                    deeds.bounties += 1;
                    deeds.credentials += u64::from(loot.kind == BountyKind::Credential);
                }
            }
            rows.push([
                digest.as_slice().into(),
                loot.kind.as_str().into(),
                found.attacker.0.into(),
                found.line.decky.as_str().into(),
                found.line.service.as_str().into(),
                loot.principal.clone().into(),
                loot.secret_kind.clone().into(),
                loot.value.as_str().into(),
                found.count.into(),
                found.accepted.into(),
                found.first_seen.into(),
                found.last_seen.into(),
                found.log_id.into(),
            ]);
        }
        // Oldest first, so that ids rise with the rows that they were found in.
        rows.sort_by_key(|row: &[Arg; 13]| match row {
            [.., Arg::Int(log_id)] => *log_id,
            _ => 0,
        });
        let upsert = self.backend.dialect().upsert(
            "digest",
            &[
                ("seen_count", Merge::Add),
                ("accepted_count", Merge::Add),
                ("first_seen", Merge::Min),
                ("last_seen", Merge::Max),
            ],
        );
        tx.insert_rows(
            "store bounties",
            "INSERT INTO bounties (digest, kind, attacker_id, decky, service, principal, secret_kind, value, \
             seen_count, accepted_count, first_seen, last_seen, log_id) VALUES ",
            &upsert,
            rows,
        )
        .await
    }

    /// Stores attackers and what they touched; gives those that are new.
    async fn store_attackers(
        &self,
        tx: &mut Tx,
        sums: &mut Sums<'_>,
    ) -> Result<Vec<(AttackerId, std::net::IpAddr)>, DbError> {
        let dialect = self.backend.dialect();
        let ids: Vec<_> = sums.attackers.keys().map(|id| id.0.as_bytes().to_vec()).collect();
        let known: BTreeSet<_> = tx
            .existing("look up attackers", "attackers", "id", &ids)
            .await?
            .into_iter()
            .collect();
        let new: Vec<_> = sums
            .attackers
            .iter()
            .filter(|(id, _)| !known.contains(id.0.as_bytes().as_slice()))
            .map(|(id, deeds)| (*id, deeds.ip))
            .collect();
        sums.count("attackers", u64::try_from(new.len()).unwrap_or(u64::MAX));
        let rows = sums.attackers.iter().map(|(id, deeds)| {
            [
                id.0.into(),
                deeds.ip.to_string().into(),
                deeds.first_seen.into(),
                deeds.last_seen.into(),
                deeds.events.into(),
                deeds.auths.into(),
                deeds.commands.into(),
                deeds.credentials.into(),
                deeds.bounties.into(),
            ]
        });
        let upsert = dialect.upsert(
            "id",
            &[
                ("first_seen", Merge::Min),
                ("last_seen", Merge::Max),
                ("event_count", Merge::Add),
                ("auth_count", Merge::Add),
                ("command_count", Merge::Add),
                ("credential_count", Merge::Add),
                ("bounty_count", Merge::Add),
            ],
        );
        tx.insert_rows(
            "store attackers",
            "INSERT INTO attackers (id, ip, first_seen, last_seen, event_count, auth_count, command_count, \
             credential_count, bounty_count) VALUES ",
            &upsert,
            rows.collect(),
        )
        .await?;
        let insert = dialect.insert_ignore();
        let pairs = |set: &BTreeSet<(AttackerId, &str)>| {
            set.iter()
                .map(|(id, name)| [id.0.into(), (*name).into()])
                .collect::<Vec<[Arg; 2]>>()
        };
        let head = format!("{insert}attacker_deckies (attacker_id, decky) VALUES ");
        tx.insert_rows("store touched deckies", &head, "", pairs(&sums.attacker_deckies))
            .await?;
        let head = format!("{insert}attacker_services (attacker_id, service) VALUES ");
        tx.insert_rows(
            "store touched services",
            &head,
            "",
            pairs(&sums.attacker_services),
        )
        .await?;
        let commands = std::mem::take(&mut sums.commands);
        tx.insert_rows(
            "store commands",
            "INSERT INTO commands (attacker_id, log_id) VALUES ",
            "",
            commands,
        )
        .await?;
        Ok(new)
    }

    async fn store_counts(&self, tx: &mut Tx, sums: Sums<'_>) -> Result<(), DbError> {
        let dialect = self.backend.dialect();
        let minutes = sums.minutes.into_iter();
        let minutes = minutes.map(|(no, m)| {
            [
                no.into(),
                m.count.into(),
                m.touches.into(),
                m.min_id.into(),
                m.max_id.into(),
            ]
        });
        tx.insert_rows(
            "count by minute",
            "INSERT INTO log_minutes (minute_no, seen_count, touch_count, min_id, max_id) VALUES ",
            &dialect.upsert(
                "minute_no",
                &[
                    ("seen_count", Merge::Add),
                    ("touch_count", Merge::Add),
                    ("min_id", Merge::Min),
                    ("max_id", Merge::Max),
                ],
            ),
            minutes.collect(),
        )
        .await?;
        let buckets = sums.buckets.into_iter();
        let buckets = buckets.map(|((width, start, decky, service), count)| {
            [
                width.into(),
                start.into(),
                decky.into(),
                service.into(),
                count.into(),
            ]
        });
        tx.insert_rows(
            "count by decky and service",
            "INSERT INTO log_buckets (width, minute_no, decky, service, seen_count) VALUES ",
            &dialect.upsert("width, minute_no, decky, service", &[("seen_count", Merge::Add)]),
            buckets.collect(),
        )
        .await?;
        let tallies = sums
            .tallies
            .into_iter()
            .map(|((scope, name), count)| [scope.into(), name.into(), count.into()]);
        tx.insert_rows(
            "count for the top lists",
            "INSERT INTO tallies (scope, name, seen_count) VALUES ",
            &dialect.upsert("scope, name", &[("seen_count", Merge::Add)]),
            tallies.collect(),
        )
        .await?;
        let counters = sums
            .counters
            .into_iter()
            .map(|(name, count)| [name.into(), count.into()]);
        tx.insert_rows(
            "count totals",
            "INSERT INTO counters (name, value) VALUES ",
            &dialect.upsert("name", &[("value", Merge::Add)]),
            counters.collect(),
        )
        .await
    }

    async fn store_position(&self, tx: &mut Tx, batch: &Batch) -> Result<(), DbError> {
        let upsert = self
            .backend
            .dialect()
            .upsert("reader", &[("segment", Merge::Put), ("byte_offset", Merge::Put)]);
        let text =
            format!("INSERT INTO spool_positions (reader, segment, byte_offset) VALUES (?, ?, ?){upsert}");
        let sql = Sql::new("store the position in the spool", text)
            .bind(batch.reader.as_str())
            .bind(batch.to.segment)
            .bind(batch.to.offset);
        tx.execute(sql).await.map(drop)
    }
}

fn log_row(id: i64, line: &Evidence) -> [Arg; 10] {
    [
        id.into(),
        line.at.into(),
        line.received_at.into(),
        line.decky.as_str().into(),
        line.service.as_str().into(),
        line.event_type.as_str().into(),
        line.attacker.map(|ip| attacker_id(ip).0).into(),
        // A map of texts always has a JSON form.
        serde_json::to_string(&line.fields).unwrap_or_default().into(),
        line.message.as_str().into(),
        line.raw.as_str().into(),
    ]
}

const POSITION: &str = "read the position in the spool";

fn position_sql(reader: &str, lock: &str) -> Sql {
    let text = format!("SELECT segment, byte_offset FROM spool_positions WHERE reader = ?{lock}");
    Sql::new(POSITION, text).bind(reader)
}

fn position(row: &crate::backend::Row) -> Result<Position, DbError> {
    let c = row.columns(POSITION);
    Ok(Position {
        segment: c.count(0)?,
        offset: c.count(1)?,
    })
}
