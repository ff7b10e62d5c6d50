//! Reading evidence: log rows, attackers, bounties, counters.

use std::{collections::BTreeMap, net::IpAddr};

use decnet_model::{
    clock::{from_micros, micros},
    event::{EventKind, field},
    id::{AttackerId, LogId},
    name::DeckyName,
    printable::printable,
    query::{AttackerQuery, AttackerSort, BountyQuery, BountySort, HistogramQuery, LogQuery, SortOrder},
    state::BountyKind,
    view::{
        AttackerView, BountyView, CommandView, Count, HistogramBucket, LogView, Page, QuarantineView, Stats,
        Tops,
    },
};
use time::OffsetDateTime;

use crate::{
    DbError, Store,
    backend::{Row, Sql, contains, starts_with},
    cursor,
    meaning::{attacker_id, command_of},
};

/// What a top list of a span of time counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopColumn {
    /// Deckies.
    Decky,
    /// Services.
    Service,
}

/// The most buckets of a histogram.
const MAX_BUCKETS: i64 = 10_000;

/// Deckies of one statement that counts their sessions.
const DECKIES_AT_ONCE: usize = 500;

const LOGS: &str = "read log rows";
const ATTACKERS: &str = "read attackers";
const BOUNTIES: &str = "read bounties";

/// Selects what [`log`] reads.
pub(crate) const SELECT_LOGS: &str = "SELECT l.id, l.at, l.received_at, l.decky, l.service, l.event_type, a.ip, \
     l.attacker_id, l.fields, l.message, l.raw, COALESCE(p.glyph, a.ip) FROM logs l \
     LEFT JOIN attackers a ON a.id = l.attacker_id LEFT JOIN attacker_profiles p ON p.attacker_id = l.attacker_id";

pub(crate) fn log(row: &Row) -> Result<LogView, DbError> {
    let c = row.columns(LOGS);
    Ok(LogView {
        id: LogId(c.int(0)?),
        at: c.time(1)?,
        received_at: c.time(2)?,
        decky: c.text(3)?,
        service: c.text(4)?,
        event_type: c.text(5)?,
        attacker_ip: c.opt_text(6)?.map(|_| c.parsed(6)).transpose()?,
        attacker_id: c.opt_uuid(7)?.map(AttackerId),
        attacker_glyph: c.opt_text(11)?,
        fields: c.json(8)?,
        message: c.text(9)?,
        raw: c.text(10)?,
    })
}

const SELECT_ATTACKERS: &str = "SELECT a.id, a.ip, a.first_seen, a.last_seen, a.event_count, a.auth_count, \
     a.command_count, a.credential_count, a.bounty_count, COALESCE(p.session_count, 0), p.glyph \
     FROM attackers a LEFT JOIN attacker_profiles p ON p.attacker_id = a.id";

fn attacker(row: &Row) -> Result<AttackerView, DbError> {
    let c = row.columns(ATTACKERS);
    let ip: IpAddr = c.parsed(1)?;
    Ok(AttackerView {
        id: AttackerId(c.uuid(0)?),
        ip,
        first_seen: c.time(2)?,
        last_seen: c.time(3)?,
        event_count: c.count(4)?,
        auth_count: c.count(5)?,
        command_count: c.count(6)?,
        credential_count: c.count(7)?,
        bounty_count: c.count(8)?,
        session_count: c.count(9)?,
        deckies: Vec::new(),
        services: Vec::new(),
        glyph: c.opt_text(10)?.unwrap_or_else(|| ip.to_string()),
    })
}

impl Store {
    /// One log row.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn log_get(&self, id: LogId) -> Result<Option<LogView>, DbError> {
        let sql = Sql::new(LOGS, format!("{SELECT_LOGS} WHERE l.id = ?")).bind(id.0);
        self.backend
            .fetch_optional(sql)
            .await?
            .as_ref()
            .map(log)
            .transpose()
    }

    /// The rows after `id`, oldest first, at most `limit`: for a stream that goes on where it was.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn log_after(&self, id: LogId, limit: u32) -> Result<Vec<LogView>, DbError> {
        let text = format!("{SELECT_LOGS} WHERE l.id > ? ORDER BY l.id LIMIT ?");
        let sql = Sql::new(LOGS, text).bind(id.0).bind(limit);
        self.backend.fetch(sql).await?.iter().map(log).collect()
    }

    /// The id of the newest row.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn log_last_id(&self) -> Result<Option<LogId>, DbError> {
        let row = self
            .backend
            .fetch_optional(Sql::new(LOGS, "SELECT MAX(id) FROM logs"))
            .await?;
        Ok(match row {
            Some(row) => row.columns(LOGS).opt_int(0)?.map(LogId),
            None => None,
        })
    }

    /// Lines that did not become evidence, those met last first.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] for a limit or a cursor that cannot be.
    pub async fn quarantine_page(
        &self,
        limit: Option<u32>,
        before: Option<&str>,
    ) -> Result<Page<QuarantineView>, DbError> {
        const OPERATION: &str = "read the quarantine";
        let size = cursor::page_size(limit)?;
        let text = "SELECT id, received_at, segment, byte_offset, why, raw FROM quarantine WHERE id < ? \
                    ORDER BY id DESC LIMIT ?";
        let sql = Sql::new(OPERATION, text)
            .bind(cursor::id_of(before)?.unwrap_or(i64::MAX))
            .bind(size + 1);
        let rows = self.backend.fetch(sql).await?;
        let lines = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok(QuarantineView {
                id: c.int(0)?,
                received_at: c.time(1)?,
                segment: c.count(2)?,
                offset: c.count(3)?,
                why: c.text(4)?,
                line: printable(&c.blob(5)?),
            })
        });
        let lines = lines.collect::<Result<Vec<_>, DbError>>()?;
        let mut page = cursor::page(lines, size, |line| cursor::of_id(line.id));
        page.total = Some(self.counter("quarantined").await?);
        Ok(page)
    }

    /// Rows counted by time of happening, in the buckets that the span from `start_time` to `end_time` (both needed here)
    /// touches, empty ones too, oldest first. Buckets begin at multiples of their width since the Unix epoch; of the first and the
    /// last those rows count that are in the minutes which the span touches.
    ///
    /// Rows of a text, a type or a source are counted as far as the newest [`WINDOW`](crate::search::WINDOW) tell: buckets before them are not there.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] naming the field.
    pub async fn log_histogram(&self, query: &HistogramQuery) -> Result<Vec<HistogramBucket>, DbError> {
        let bad = |field, rule: &str| DbError::BadQuery {
            field,
            rule: rule.into(),
        };
        let width = i64::from(query.interval_minutes.unwrap_or(15));
        if !(1..=1440).contains(&width) {
            return Err(bad("interval_minutes", "1 to 1440"));
        }
        let start = query.start_time.ok_or_else(|| bad("start_time", "needed"))?;
        let end = query.end_time.ok_or_else(|| bad("end_time", "needed"))?;
        let minute = |us: i64| us.div_euclid(60_000_000);
        let (from, until) = (minute(micros(start)), minute(micros(end) - 1) + 1);
        let (mut first, last) = (from.div_euclid(width), (until - 1).div_euclid(width));
        if end <= start || last - first >= MAX_BUCKETS {
            return Err(bad(
                "end_time",
                &format!("after the start, and at most {MAX_BUCKETS} buckets later"),
            ));
        }
        let counted = if query.search.is_some() || query.event_type.is_some() || query.attacker_ip.is_some() {
            let rows = LogQuery {
                search: query.search.clone(),
                decky: query.decky.clone(),
                service: query.service.clone(),
                event_type: query.event_type.clone(),
                attacker_ip: query.attacker_ip,
                start_time: query.start_time,
                end_time: query.end_time,
                ..LogQuery::default()
            };
            let (since, counted) = self.log_counts(&rows, width).await?;
            first = first.max(since);
            counted
        } else {
            self.counted(query, width, from, until).await?
        };
        let mut counts: BTreeMap<i64, u64> = (first..=last).map(|bucket| (bucket, 0)).collect();
        for (bucket, count) in counted {
            if let Some(sum) = counts.get_mut(&bucket) {
                *sum += count;
            }
        }
        let bucket = |(no, count)| HistogramBucket {
            start: from_micros(no * width * 60_000_000),
            count,
        };
        Ok(counts.into_iter().map(bucket).collect())
    }

    /// How many rows of a decky and a service, or of all, the ingester counted from minute `from` to before `until`: each with the
    /// number of its bucket of `width` minutes.
    async fn counted(
        &self,
        query: &HistogramQuery,
        width: i64,
        from: i64,
        until: i64,
    ) -> Result<Vec<(i64, u64)>, DbError> {
        const OPERATION: &str = "count log rows by time";
        // The sums are the database's: a minute a row would be 1,440 of them a day.
        const SUMS: &str = "SELECT minute_no - minute_no % ?, CAST(SUM(seen_count) AS SIGNED) FROM";
        let mut sql = Sql::new(OPERATION, SUMS).bind(width);
        if query.decky.is_none() && query.service.is_none() {
            sql.push(" log_minutes WHERE minute_no >= ? AND minute_no < ?")
                .arg(from)
                .arg(until);
        } else {
            from_buckets(&mut sql, width % 60 == 0, from, until);
            sql.push(" WHERE 1 = 1");
        }
        for (column, value) in [("decky", &query.decky), ("service", &query.service)] {
            if let Some(value) = value {
                sql.push(&format!(" AND {column} = ?")).arg(value.as_str());
            }
        }
        sql.push(" GROUP BY 1");
        let rows = self.backend.fetch(sql).await?;
        let counted = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok((c.int(0)?.div_euclid(width), c.count(1)?))
        });
        counted.collect()
    }

    /// How many log rows of each minute (since 1970) from `first` to `last` are of intruders, oldest first; a minute without any is not there.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn touches_by_minute(&self, first: i64, last: i64) -> Result<Vec<(i64, u64)>, DbError> {
        const OPERATION: &str = "count touches by the minute";
        let text = "SELECT minute_no, touch_count FROM log_minutes WHERE minute_no >= ? AND minute_no <= ? AND touch_count > 0 \
                    ORDER BY minute_no";
        let rows = self
            .backend
            .fetch(Sql::new(OPERATION, text).bind(first).bind(last))
            .await?;
        rows.iter()
            .map(|row| {
                let c = row.columns(OPERATION);
                Ok((c.int(0)?, c.count(1)?))
            })
            .collect()
    }

    /// The dashboard's counters.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn stats(&self, now: OffsetDateTime) -> Result<Stats, DbError> {
        const OPERATION: &str = "read the counters";
        let mut counters = BTreeMap::new();
        for row in self
            .backend
            .fetch(Sql::new(OPERATION, "SELECT name, value FROM counters"))
            .await?
        {
            let c = row.columns(OPERATION);
            counters.insert(c.text(0)?, c.count(1)?);
        }
        let get = |name: &str| counters.get(name).copied().unwrap_or_default();
        let minute = micros(now).div_euclid(60_000_000);
        let text = "SELECT (SELECT COUNT(*) FROM deckies WHERE desired = 1), \
                    (SELECT COUNT(*) FROM deckies WHERE desired = 1 AND state = 'running'), \
                    (SELECT CAST(COALESCE(SUM(seen_count), 0) AS SIGNED) FROM log_minutes \
                     WHERE minute_no > ? AND minute_no <= ?)";
        let sql = Sql::new(OPERATION, text).bind(minute - 60).bind(minute);
        let (deployed, active, last_hour) = match self.backend.fetch_optional(sql).await? {
            Some(row) => {
                let c = row.columns(OPERATION);
                (c.count(0)?, c.count(1)?, c.count(2)?)
            }
            None => (0, 0, 0),
        };
        Ok(Stats {
            total_logs: get("logs"),
            unique_attackers: get("attackers"),
            auth_attempts: get("auth_attempts"),
            credentials: get("bounties.credential"),
            bounties: get("bounties"),
            quarantined: get("quarantined"),
            ignored: get("ignored"),
            deployed_deckies: deployed,
            active_deckies: active,
            last_hour,
        })
    }

    async fn counter(&self, name: &str) -> Result<u64, DbError> {
        let sql = Sql::new("read a counter", "SELECT value FROM counters WHERE name = ?").bind(name);
        let row = self.backend.fetch_optional(sql).await?;
        row.map_or(Ok(0), |row| row.columns("read a counter").count(0))
    }

    /// The first `limit` of each top list.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn tops(&self, limit: u32) -> Result<Tops, DbError> {
        let text = format!("{SELECT_ATTACKERS} ORDER BY a.event_count DESC, a.id DESC LIMIT ?");
        let rows = self.backend.fetch(Sql::new(ATTACKERS, text).bind(limit)).await?;
        let mut attackers = rows.iter().map(attacker).collect::<Result<Vec<_>, _>>()?;
        self.fill_touched(&mut attackers).await?;
        Ok(Tops {
            attackers,
            deckies: self.top("decky", limit).await?,
            services: self.top("service", limit).await?,
            credentials: self.top("credential", limit).await?,
            commands: self.top("command", limit).await?,
        })
    }

    /// How many log rows each decky or service (the `column`) had from `start` to `end`, most first, to the minute.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn top_between(
        &self,
        column: TopColumn,
        start: OffsetDateTime,
        end: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<Count>, DbError> {
        const OPERATION: &str = "read a top list of a span of time";
        let column = match column {
            TopColumn::Decky => "decky",
            TopColumn::Service => "service",
        };
        let text = format!("SELECT {column}, CAST(SUM(seen_count) AS SIGNED) AS n FROM");
        let mut sql = Sql::new(OPERATION, text);
        let minute = |us: i64| us.div_euclid(60_000_000);
        let is_long = end - start > time::Duration::days(2);
        from_buckets(
            &mut sql,
            is_long,
            minute(micros(start)),
            minute(micros(end) - 1) + 1,
        );
        sql.push(&format!(" GROUP BY {column} ORDER BY n DESC, {column} LIMIT ?"))
            .arg(limit);
        let rows = self.backend.fetch(sql).await?;
        rows.iter()
            .map(|row| {
                let c = row.columns(OPERATION);
                Ok(Count {
                    name: c.text(0)?,
                    count: c.count(1)?,
                })
            })
            .collect()
    }

    /// The deckies of which there is evidence, by name: those with most rows, where there are more than `limit`. Read from what the
    /// ingester counted.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn deckies_seen(&self, limit: u32) -> Result<Vec<String>, DbError> {
        let seen = self.top("decky", limit).await?;
        let mut names: Vec<_> = seen.into_iter().map(|decky| decky.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Log rows by decky and hour since 1970, from hour `first` on.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_hours(&self, first: i64) -> Result<Vec<(String, i64, u64)>, DbError> {
        const OPERATION: &str = "read the traffic of the deckies";
        let text = "SELECT decky, minute_no, CAST(SUM(seen_count) AS SIGNED) FROM log_buckets \
                    WHERE width = 60 AND minute_no >= ? GROUP BY decky, minute_no";
        let sql = Sql::new(OPERATION, text).bind(first.saturating_mul(60));
        let rows = self.backend.fetch(sql).await?;
        rows.iter()
            .map(|row| {
                let c = row.columns(OPERATION);
                Ok((c.text(0)?, c.int(1)?.div_euclid(60), c.count(2)?))
            })
            .collect()
    }

    /// How many sessions are open now on each of these deckies; one without any is not there.
    ///
    /// Open is what connected since `since` and did not disconnect, by its session's id. What a decoy could not report the end
    /// of, because it was killed, is over once the service was started again. No earlier `since` is needed than the longest time
    /// that a decoy lets a session last. Evidence that is still on its way is not counted.
    ///
    /// This reads all rows of these deckies since then, by the index of deckies.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_open_sessions(
        &self,
        deckies: &[DeckyName],
        since: OffsetDateTime,
    ) -> Result<BTreeMap<String, u64>, DbError> {
        const OPERATION: &str = "count open sessions";
        let recent = LogQuery {
            start_time: Some(since),
            ..LogQuery::default()
        };
        let mut open: BTreeMap<String, u64> = BTreeMap::new();
        let Some(span) = self.span(&recent).await? else {
            return Ok(open);
        };
        for deckies in deckies.chunks(DECKIES_AT_ONCE) {
            let theirs = format!("decky IN (?{}) AND id >= ?", ", ?".repeat(deckies.len() - 1));
            let bind = |mut sql: Sql| {
                for decky in deckies {
                    sql.arg(decky.as_str());
                }
                sql.bind(span.low)
            };
            let text = format!(
                "SELECT decky, service, MAX(id) FROM logs WHERE {theirs} AND event_type = '{}' GROUP BY decky, service",
                EventKind::ServiceStarted
            );
            let mut started = BTreeMap::new();
            for row in self.backend.fetch(bind(Sql::new(OPERATION, text))).await? {
                let c = row.columns(OPERATION);
                started.insert((c.text(0)?, c.text(1)?), c.int(2)?);
            }
            let session = self.backend.dialect().json_text("fields");
            let text = format!(
                "SELECT decky, service, {session} AS session, MAX(id) FROM logs WHERE {theirs} AND event_type IN ('{}', '{}') \
                 GROUP BY decky, service, session HAVING COUNT(CASE WHEN event_type = '{}' THEN 1 END) = 0",
                EventKind::Connect,
                EventKind::Disconnect,
                EventKind::Disconnect
            );
            let sql = Sql::new(OPERATION, text).bind(format!("$.{}", field::SESSION));
            for row in self.backend.fetch(bind(sql)).await? {
                let c = row.columns(OPERATION);
                let (decky, service) = (c.text(0)?, c.text(1)?);
                // Without an id nobody could tell its end.
                if c.opt_text(2)?.is_none() {
                    continue;
                }
                let connected = c.int(3)?;
                let place = (decky, service);
                if started.get(&place).is_none_or(|started| *started < connected) {
                    *open.entry(place.0).or_default() += 1;
                }
            }
        }
        Ok(open)
    }

    async fn top(&self, scope: &str, limit: u32) -> Result<Vec<Count>, DbError> {
        const OPERATION: &str = "read a top list";
        let text =
            "SELECT name, seen_count FROM tallies WHERE scope = ? ORDER BY seen_count DESC, name LIMIT ?";
        let rows = self
            .backend
            .fetch(Sql::new(OPERATION, text).bind(scope).bind(limit))
            .await?;
        rows.iter()
            .map(|row| {
                let c = row.columns(OPERATION);
                let name = String::from_utf8(c.blob(0)?).map_err(|e| c.corrupt(format!("name: {e}")))?;
                Ok(Count {
                    name,
                    count: c.count(1)?,
                })
            })
            .collect()
    }

    /// One attacker.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn attacker_get(&self, id: AttackerId) -> Result<Option<AttackerView>, DbError> {
        Ok(self.attacker_list(&[id]).await?.pop())
    }

    /// These attackers, as far as there are such; at most 500.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn attacker_list(&self, ids: &[AttackerId]) -> Result<Vec<AttackerView>, DbError> {
        let ids = ids.get(..500).unwrap_or(ids);
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = Sql::new(ATTACKERS, SELECT_ATTACKERS);
        sql.push(" WHERE a.id IN (?")
            .push(&", ?".repeat(ids.len() - 1))
            .push(")");
        for id in ids {
            sql.arg(id.0);
        }
        let rows = self.backend.fetch(sql).await?;
        let mut attackers = rows.iter().map(attacker).collect::<Result<Vec<_>, _>>()?;
        self.fill_touched(&mut attackers).await?;
        Ok(attackers)
    }

    /// Attackers. While one is being active it may move between the pages of a reader, and is then missed or comes in
    /// its new place; those that are quiet come exactly once.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] naming the field.
    pub async fn attacker_page(&self, query: &AttackerQuery) -> Result<Page<AttackerView>, DbError> {
        let size = cursor::page_size(query.limit)?;
        let sort = query.sort_by.unwrap_or(AttackerSort::Recent);
        let rank = match sort {
            AttackerSort::Recent => "a.last_seen",
            AttackerSort::Active => "a.event_count",
            AttackerSort::AuthCount => "a.auth_count",
            AttackerSort::CommandCount => "a.command_count",
            AttackerSort::BountyCount => "a.bounty_count",
        };
        let descending = query.sort_order != Some(SortOrder::Asc);
        let mut sql = Sql::new(ATTACKERS, format!("{SELECT_ATTACKERS} WHERE 1 = 1"));
        if let Some((at, id)) = cursor::ranked_of(query.before.as_deref())? {
            let (after, ranks) = self.backend.dialect().after(rank, "a.id", descending);
            sql.push(&format!(" AND {after}"));
            for _ in 0..ranks {
                sql.arg(at);
            }
            sql.arg(id);
        }
        for (table, column, value) in [
            ("attacker_services", "service", &query.service),
            ("attacker_deckies", "decky", &query.decky),
        ] {
            if let Some(value) = value {
                sql.push(&format!(
                    " AND EXISTS (SELECT 1 FROM {table} t WHERE t.attacker_id = a.id AND t.{column} = ?)"
                ));
                sql.arg(value.as_str());
            }
        }
        seen_within(&mut sql, "a", query.start_time, query.end_time);
        let search = query.search.as_deref().unwrap_or_default();
        if !search.is_empty() {
            let like = |column| self.backend.dialect().like(column);
            sql.push(&format!(
                " AND ({} OR EXISTS (SELECT 1 FROM attacker_deckies t WHERE t.attacker_id = a.id AND {}) \
                 OR EXISTS (SELECT 1 FROM attacker_services t WHERE t.attacker_id = a.id AND {}))",
                like("a.ip"),
                like("t.decky"),
                like("t.service")
            ));
            sql.arg(starts_with(search))
                .arg(contains(search))
                .arg(contains(search));
        }
        let way = if descending { "DESC" } else { "ASC" };
        sql.push(&format!(" ORDER BY {rank} {way}, a.id {way} LIMIT ?"))
            .arg(size + 1);
        let rows = self.backend.fetch(sql).await?;
        let attackers = rows.iter().map(attacker).collect::<Result<Vec<_>, _>>()?;
        let mut page = cursor::page(attackers, size, |a| cursor::of_ranked(sort.rank(a), a.id.0));
        self.fill_touched(&mut page.data).await?;
        let ever = query.start_time.is_none() && query.end_time.is_none();
        if ever && query.service.is_none() && query.decky.is_none() && search.is_empty() {
            page.total = Some(self.counter("attackers").await?);
        }
        Ok(page)
    }

    /// Fills in which deckies and services each attacker touched.
    async fn fill_touched(&self, attackers: &mut [AttackerView]) -> Result<(), DbError> {
        if attackers.is_empty() {
            return Ok(());
        }
        for (table, column) in [("attacker_deckies", "decky"), ("attacker_services", "service")] {
            // A row an attacker, and not a row a name: rows are what costs.
            let names = self.backend.dialect().json_array(column);
            let mut sql = Sql::new(ATTACKERS, format!("SELECT attacker_id, {names} FROM {table}"));
            sql.push(" WHERE attacker_id IN (?")
                .push(&", ?".repeat(attackers.len() - 1))
                .push(") GROUP BY attacker_id");
            for attacker in attackers.iter() {
                sql.arg(attacker.id.0);
            }
            let mut touched: BTreeMap<AttackerId, Vec<String>> = BTreeMap::new();
            for row in self.backend.fetch(sql).await? {
                let c = row.columns(ATTACKERS);
                let mut names: Vec<String> = c.json(1)?;
                names.sort_unstable();
                touched.insert(AttackerId(c.uuid(0)?), names);
            }
            for attacker in attackers.iter_mut() {
                let names = touched.remove(&attacker.id).unwrap_or_default();
                if column == "decky" {
                    attacker.deckies = names;
                } else {
                    attacker.services = names;
                }
            }
        }
        Ok(())
    }

    /// The command lines of an attacker from `start` to `end`, newest first.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] naming the field.
    pub async fn attacker_command_page(
        &self,
        id: AttackerId,
        (start, end): (Option<OffsetDateTime>, Option<OffsetDateTime>),
        limit: Option<u32>,
        before: Option<&str>,
    ) -> Result<Page<CommandView>, DbError> {
        const OPERATION: &str = "read commands";
        let size = cursor::page_size(limit)?;
        let text = "SELECT l.id, l.at, l.decky, l.service, l.fields FROM commands c JOIN logs l ON l.id = c.log_id \
                    WHERE c.attacker_id = ? AND c.log_id < ?";
        let mut sql = Sql::new(OPERATION, text)
            .bind(id.0)
            .bind(cursor::id_of(before)?.unwrap_or(i64::MAX));
        if let Some(start) = start {
            sql.push(" AND l.at >= ?").arg(micros(start));
        }
        if let Some(end) = end {
            sql.push(" AND l.at < ?").arg(micros(end));
        }
        sql.push(" ORDER BY c.log_id DESC LIMIT ?").arg(size + 1);
        let rows = self.backend.fetch(sql).await?;
        let commands = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            let fields: BTreeMap<String, String> = c.json(4)?;
            Ok(CommandView {
                log_id: LogId(c.int(0)?),
                at: c.time(1)?,
                decky: c.text(2)?,
                service: c.text(3)?,
                command: command_of(&fields).to_owned(),
            })
        });
        let commands = commands.collect::<Result<Vec<_>, DbError>>()?;
        Ok(cursor::page(commands, size, |c| cursor::of_id(c.log_id.0)))
    }

    /// One bounty.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn bounty_get(&self, id: i64) -> Result<Option<BountyView>, DbError> {
        let sql = Sql::new(BOUNTIES, format!("{SELECT_BOUNTIES} WHERE b.id = ?")).bind(id);
        let row = self.backend.fetch_optional(sql).await?;
        row.as_ref().map(bounty).transpose()
    }

    /// Bounties. While one is being seen it may move between the pages of a reader who sorts by that, as an attacker does.
    /// A search reads rows until a page is full, because there is no index of texts; so do a kind and a service in another order
    /// than that of finding.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] naming the field.
    pub async fn bounty_page(&self, query: &BountyQuery) -> Result<Page<BountyView>, DbError> {
        let size = cursor::page_size(query.limit)?;
        let sort = query.sort_by.unwrap_or(BountySort::Found);
        let descending = query.sort_order != Some(SortOrder::Asc);
        let way = if descending { "DESC" } else { "ASC" };
        let mut sql = Sql::new(BOUNTIES, format!("{SELECT_BOUNTIES} WHERE 1 = 1"));
        let before = query.before.as_deref();
        // The plus keeps a filter from being walked by its own index and sorted: most finds are of one kind.
        let (order, plus) = match sort {
            BountySort::Found => {
                if let Some(id) = cursor::id_of(before)? {
                    sql.push(if descending {
                        " AND b.id < ?"
                    } else {
                        " AND b.id > ?"
                    })
                    .arg(id);
                }
                (format!("b.id {way}"), "")
            }
            BountySort::Recent | BountySort::Count => {
                // Those that let somebody in are few: found by their index, and sorted.
                let plus = if query.accepted == Some(true) { "" } else { "+" };
                let rank = match sort {
                    BountySort::Count => "b.seen_count",
                    _ => "b.last_seen",
                };
                if let Some((at, id)) = cursor::pair_of(before)? {
                    let (after, ranks) = self.backend.dialect().after(rank, "b.id", descending);
                    sql.push(&format!(" AND {after}"));
                    for _ in 0..ranks {
                        sql.arg(at);
                    }
                    sql.arg(id);
                }
                (format!("{rank} {way}, b.id {way}"), plus)
            }
        };
        if let Some(kind) = query.bounty_type {
            sql.push(&format!(" AND {plus}b.kind = ?")).arg(kind.as_str());
        }
        if let Some(accepted) = query.accepted {
            sql.push(&format!(" AND {plus}b.was_accepted = ? AND +b.kind = ?"))
                .arg(i64::from(accepted))
                .arg(BountyKind::Credential.as_str());
        }
        if let Some(service) = &query.service {
            sql.push(&format!(" AND {plus}b.service = ?"))
                .arg(service.as_str());
        }
        if let Some(ip) = query.attacker_ip {
            sql.push(" AND b.attacker_id = ?").arg(attacker_id(ip).0);
        }
        seen_within(&mut sql, "b", query.start_time, query.end_time);
        let search = query.search.as_deref().unwrap_or_default();
        if !search.is_empty() {
            let columns = ["b.principal", "b.value", "b.decky", "b.service", "a.ip"];
            let any = columns
                .map(|column| self.backend.dialect().like(column))
                .join(" OR ");
            sql.push(&format!(" AND ({any})"));
            for _ in columns {
                sql.arg(contains(search));
            }
        }
        sql.push(&format!(" ORDER BY {order} LIMIT ?")).arg(size + 1);
        let rows = self.backend.fetch(sql).await?;
        let bounties = rows.iter().map(bounty).collect::<Result<Vec<_>, _>>()?;
        let mut page = cursor::page(bounties, size, |b| match sort {
            BountySort::Found => cursor::of_id(b.id),
            BountySort::Recent | BountySort::Count => cursor::of_pair(sort.rank(b), b.id),
        });
        let ever = query.start_time.is_none() && query.end_time.is_none();
        let narrow = query.service.is_some() || query.attacker_ip.is_some() || query.accepted.is_some();
        if ever && !narrow && search.is_empty() {
            let counter = query
                .bounty_type
                .map(|kind: BountyKind| format!("bounties.{kind}"));
            page.total = Some(self.counter(counter.as_deref().unwrap_or("bounties")).await?);
        }
        Ok(page)
    }
}

/// What the ingester counted by decky and service from minute `from` to before `until`. Where it may be done by hours, whole ones are
/// read as such, and by the minute only what is left at both ends.
fn from_buckets(sql: &mut Sql, by_hours: bool, from: i64, until: i64) {
    let (begin, end) = (from + (-from).rem_euclid(60), until - until.rem_euclid(60));
    let parts: &[(i64, i64, i64)] = if by_hours && begin < end {
        &[(60, begin, end), (1, from, begin), (1, end, until)]
    } else {
        &[(1, from, until)]
    };
    let mut before = " (";
    for (width, from, until) in parts {
        sql.push(before)
            .push("SELECT minute_no, decky, service, seen_count FROM log_buckets WHERE width = ? AND minute_no >= ? AND minute_no < ?")
            .arg(*width)
            .arg(*from)
            .arg(*until);
        before = " UNION ALL ";
    }
    sql.push(") b");
}

/// Only rows of `table` whose time, from first to last, reaches into the span.
fn seen_within(sql: &mut Sql, table: &str, start: Option<OffsetDateTime>, end: Option<OffsetDateTime>) {
    if let Some(start) = start {
        sql.push(&format!(" AND {table}.last_seen >= ?"))
            .arg(micros(start));
    }
    if let Some(end) = end {
        sql.push(&format!(" AND {table}.first_seen < ?")).arg(micros(end));
    }
}

/// Selects what [`bounty`] reads.
pub(crate) const SELECT_BOUNTIES: &str = "SELECT b.id, b.kind, b.first_seen, b.last_seen, b.seen_count, a.ip, b.attacker_id, b.decky, \
     b.service, b.principal, b.secret_kind, b.value, b.log_id, b.accepted_count, COALESCE(p.glyph, a.ip) FROM bounties b \
     JOIN attackers a ON a.id = b.attacker_id LEFT JOIN attacker_profiles p ON p.attacker_id = a.id";

pub(crate) fn bounty(row: &Row) -> Result<BountyView, DbError> {
    let c = row.columns(BOUNTIES);
    Ok(BountyView {
        id: c.int(0)?,
        kind: c.parsed(1)?,
        first_seen: c.time(2)?,
        last_seen: c.time(3)?,
        count: c.count(4)?,
        attacker_ip: c.parsed(5)?,
        attacker_id: AttackerId(c.uuid(6)?),
        attacker_glyph: c.text(14)?,
        decky: c.text(7)?,
        service: c.text(8)?,
        principal: c.opt_text(9)?,
        secret_kind: c.opt_text(10)?,
        value: c.text(11)?,
        log_id: LogId(c.int(12)?),
        accepted: c.count(13)?,
    })
}
