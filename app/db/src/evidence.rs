//! Reading evidence: log rows, attackers, bounties, counters.

use std::{collections::BTreeMap, net::IpAddr};

use decnet_model::{
    clock::{from_micros, micros},
    event::{EventKind, field},
    id::{AttackerId, LogId},
    name::DeckyName,
    printable::printable,
    query::{
        AttackerQuery, AttackerSort, BountyQuery, BountySort, HistogramQuery, LogQuery, QuarantineQuery,
        SortOrder,
    },
    state::BountyKind,
    view::{
        AttackerView, BountyView, CommandView, Count, HistogramBucket, LogView, MAX_SEARCH, Page,
        QuarantineView, Stats, Tops,
    },
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    DbError, Store,
    backend::{Arg, Dialect, Row, Sql, contains, starts_with},
    cursor,
    meaning::{attacker_id, command_of},
    order::{Order, Place, Reach, Walk},
    search::WINDOW,
    texts::{FINDS, Few, Parts},
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

/// Lines of the quarantine of one statement, where a text is looked for in them.
const READ_AT_ONCE: usize = 500;

/// Deckies of one statement that counts their sessions.
const DECKIES_AT_ONCE: usize = 500;

/// Names of deckies and services by which attackers are looked up at once.
const MAX_NAMES: usize = 500;

/// Where the rows of these lists come from, as it stands in what selects them.
const ATTACKERS_FROM: &str = "attackers a";
pub(crate) const BOUNTIES_FROM: &str = "bounties b";

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

    /// Lines that did not become evidence, those met last first. A page of a filter may be short and still have a next one: it reads
    /// [`WINDOW`] lines at most, along their ids, and so needs no index that each line would have to be put into.
    ///
    /// A text is looked for here, in what is told of a line: neither engine finds one in bytes that are no text.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] for a limit, a cursor or a text that cannot be.
    pub async fn quarantine_page(&self, query: &QuarantineQuery) -> Result<Page<QuarantineView>, DbError> {
        const OPERATION: &str = "read the quarantine";
        const FROM: &str = "quarantine q";
        let dialect = self.backend.dialect();
        let size = cursor::page_size(query.limit)?;
        let order = Order::by_id("q.id", true);
        let mut after = cursor::id_of(query.before.as_deref())?.map(|id| Place { rank: 0, id });
        let text = query.search.as_deref().unwrap_or_default().to_lowercase();
        if text.chars().count() > MAX_SEARCH {
            let rule = format!("at most {MAX_SEARCH} characters");
            return Err(DbError::BadQuery {
                field: "search",
                rule,
            });
        }
        let reach = if query.is_filtered() {
            let walk = Walk {
                from: FROM,
                order,
                before: after,
                along: &[],
            };
            self.reach(&walk, WINDOW).await?
        } else {
            None
        };
        let has = |told: &str| told.to_lowercase().contains(&text);
        let at_once = if text.is_empty() { size + 1 } else { READ_AT_ONCE };
        let mut lines: Vec<QuarantineView> = Vec::new();
        loop {
            let mut sql = Sql::new(
                OPERATION,
                format!(
                    "SELECT q.id, q.received_at, q.segment, q.byte_offset, q.why, q.raw FROM {FROM} WHERE 1 = 1"
                ),
            );
            if let Some(after) = after {
                order.after(dialect, &mut sql, after);
            }
            if let Some(reach) = &reach {
                order.within(dialect, &mut sql, reach);
            }
            if let Some(segment) = query.segment {
                // No segment has a number that the column cannot have.
                sql.push(" AND q.segment = ?")
                    .arg(i64::try_from(segment).unwrap_or(-1));
            }
            if let Some(start) = query.start_time {
                sql.push(" AND q.received_at >= ?").arg(micros(start));
            }
            if let Some(end) = query.end_time {
                sql.push(" AND q.received_at < ?").arg(micros(end));
            }
            order.sort(&mut sql);
            sql.arg(at_once);
            let rows = self.backend.fetch(sql).await?;
            for row in &rows {
                let c = row.columns(OPERATION);
                let line = QuarantineView {
                    id: c.int(0)?,
                    received_at: c.time(1)?,
                    segment: c.count(2)?,
                    offset: c.count(3)?,
                    why: c.text(4)?,
                    line: printable(&c.blob(5)?),
                };
                after = Some(Place { rank: 0, id: line.id });
                if text.is_empty() || has(&line.line) || has(&line.why) {
                    lines.push(line);
                }
            }
            if rows.len() < at_once || lines.len() > size {
                break;
            }
        }
        lines.truncate(size + 1);
        let mut page = cursor::page(lines, size, |line| cursor::of_id(line.id));
        page.next = page.next.or(reach.map(|reach| cursor::of_id(reach.last.id)));
        if !query.is_filtered() {
            page.total = Some(self.counter("quarantined").await?);
        }
        Ok(page)
    }

    /// Rows counted by time of happening, in the buckets that the span from `start_time` to `end_time` (both needed here)
    /// touches, empty ones too, oldest first. Buckets begin at multiples of their width since the Unix epoch; of the first and the
    /// last those rows count that are in the minutes which the span touches.
    ///
    /// Rows of a text, a type or a source are counted as far as the newest [`WINDOW`] tell: buckets before them are not there.
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

    /// How many sessions are open now on each of these deckies, one without any is not there; and whether that are all. Of sessions that
    /// began before the newest [`WINDOW`] log rows nothing is told.
    ///
    /// Open is what connected since `since` and did not disconnect, by its session's id. What a decoy could not report the end
    /// of, because it was killed, is over once the service was started again. No earlier `since` is needed than the longest time
    /// that a decoy lets a session last. Evidence that is still on its way is not counted.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_open_sessions(
        &self,
        deckies: &[DeckyName],
        since: OffsetDateTime,
    ) -> Result<(BTreeMap<String, u64>, bool), DbError> {
        const OPERATION: &str = "count open sessions";
        let recent = LogQuery {
            start_time: Some(since),
            ..LogQuery::default()
        };
        let mut open: BTreeMap<String, u64> = BTreeMap::new();
        let Some(span) = self.span(&recent).await? else {
            return Ok((open, true));
        };
        let low = span.low.max(span.high.saturating_sub(WINDOW - 1));
        for deckies in deckies.chunks(DECKIES_AT_ONCE) {
            let theirs = format!("decky IN (?{}) AND id >= ?", ", ?".repeat(deckies.len() - 1));
            let bind = |mut sql: Sql| {
                for decky in deckies {
                    sql.arg(decky.as_str());
                }
                sql.bind(low)
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
        Ok((open, low == span.low))
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
    /// its new place; those that are quiet come exactly once. A page of a search, a decky, a service or a time may be short and still have a
    /// next one: where many may fit, the list is walked, by [`WINDOW`] rows a page at most.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] naming the field.
    pub async fn attacker_page(&self, query: &AttackerQuery) -> Result<Page<AttackerView>, DbError> {
        let dialect = self.backend.dialect();
        let size = cursor::page_size(query.limit)?;
        let sort = query.sort_by.unwrap_or(AttackerSort::Recent);
        let rank = match sort {
            AttackerSort::Recent => "a.last_seen",
            AttackerSort::Active => "a.event_count",
            AttackerSort::AuthCount => "a.auth_count",
            AttackerSort::CommandCount => "a.command_count",
            AttackerSort::BountyCount => "a.bounty_count",
        };
        let order = Order::by_rank(rank, "a.id", query.sort_order != Some(SortOrder::Asc));
        let before = cursor::ranked_of(query.before.as_deref())?.map(|(rank, id)| Place { rank, id });
        let search = query.search.as_deref().unwrap_or_default();
        if search.contains('\0') {
            return Ok(cursor::nothing());
        }
        let narrow = !search.is_empty() || query.service.is_some() || query.decky.is_some();
        // In the order of when they were seen last, a start is a place in the index.
        let recent = sort == AttackerSort::Recent;
        let mut along = Vec::new();
        if let Some(start) = query.start_time.filter(|_| recent) {
            along.push(("a.last_seen >= ?", micros(start).into()));
        }
        let passes = narrow || query.end_time.is_some() || query.start_time.is_some() && !recent;
        let few = self.attackers_few(query, search, recent).await?;
        let cursor_of = |rank, id| cursor::of_ranked(rank, id);
        let select = |reach: Option<Reach<Uuid>>| {
            let mut sql = match &few {
                Some(few) => few.of(ATTACKERS, dialect, SELECT_ATTACKERS, ATTACKERS_FROM, "a.id"),
                None => Sql::new(ATTACKERS, SELECT_ATTACKERS),
            };
            sql.push(" WHERE 1 = 1");
            if let Some(before) = before {
                order.after(dialect, &mut sql, before);
            }
            if let Some(reach) = &reach {
                order.within(dialect, &mut sql, reach);
            }
            attacker_has(&mut sql, dialect, query, search);
            order.sort(&mut sql);
            sql.arg(size + 1);
            sql
        };
        let read = |rows: &[Row]| {
            let attackers = rows.iter().map(attacker).collect::<Result<Vec<_>, _>>()?;
            Ok(cursor::page(attackers, size, |a| cursor_of(sort.rank(a), a.id.0)))
        };
        let walk = (passes && few.is_none()).then_some(Walk {
            from: ATTACKERS_FROM,
            order,
            before,
            along: &along,
        });
        let mut page = self
            .walk(walk, select, read, |place| cursor_of(place.rank, place.id))
            .await?;
        self.fill_touched(&mut page.data).await?;
        let ever = query.start_time.is_none() && query.end_time.is_none();
        if ever && !narrow {
            page.total = Some(self.counter("attackers").await?);
        }
        Ok(page)
    }

    /// Those who can fit, where they are few: whose address begins with the search or who touched a decky or a service whose name has it, or
    /// else who touched the decky or the service that is asked for; or who were seen since the start, which `recent` says is no use because the
    /// order has it.
    async fn attackers_few(
        &self,
        query: &AttackerQuery,
        search: &str,
        recent: bool,
    ) -> Result<Option<Few>, DbError> {
        let touched = |column: &str, names: Vec<String>| {
            let others = ", ?".repeat(names.len().saturating_sub(1));
            let table = if column == "decky" {
                "attacker_deckies"
            } else {
                "attacker_services"
            };
            let text = format!("SELECT t.attacker_id AS id FROM {table} t WHERE t.{column} IN (?{others})");
            (text, names.into_iter().map(Arg::from).collect::<Vec<_>>())
        };
        let mut ways: Vec<Parts> = Vec::new();
        if search.is_empty() {
            let asked = [("decky", &query.decky), ("service", &query.service)];
            let asked = asked
                .into_iter()
                .find_map(|(column, name)| Some((column, name.clone()?)));
            ways.extend(asked.map(|(column, name)| vec![touched(column, vec![name])]));
        } else if let Some(names) = self.touched_names(search).await? {
            let beginning = search.to_ascii_lowercase();
            // What an address is written with stands before the tilde.
            let end = format!("{beginning}~");
            let text = "SELECT a.id AS id FROM attackers a WHERE a.ip >= ? AND a.ip < ?".to_owned();
            let mut parts = vec![(text, vec![beginning.into(), end.into()])];
            parts.extend(names.into_iter().map(|(column, names)| touched(&column, names)));
            ways.push(parts);
        }
        if let Some(start) = query.start_time.filter(|_| !recent) {
            ways.push(vec![seen_since(ATTACKERS_FROM, "a", start)]);
        }
        self.few(ways).await
    }

    /// The names of touched deckies and services that have a text in them, by their column. There are as many as there were deckies, however
    /// much was touched. None where that are more than [`MAX_NAMES`].
    async fn touched_names(&self, text: &str) -> Result<Option<BTreeMap<String, Vec<String>>>, DbError> {
        let name = match self.backend.dialect() {
            Dialect::Sqlite => "CAST(name AS TEXT)",
            Dialect::MySql => "name",
        };
        let like = self.backend.dialect().like(name);
        let sql =
            format!("SELECT scope, name FROM tallies WHERE scope IN ('decky', 'service') AND {like} LIMIT ?");
        let rows = self
            .backend
            .fetch(Sql::new(ATTACKERS, sql).bind(contains(text)).bind(MAX_NAMES + 1))
            .await?;
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in &rows {
            let c = row.columns(ATTACKERS);
            let name = String::from_utf8(c.blob(1)?).map_err(|e| c.corrupt(format!("name: {e}")))?;
            names.entry(c.text(0)?).or_default().push(name);
        }
        Ok((rows.len() <= MAX_NAMES).then_some(names))
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

    /// Who used a credential since `since` with which a decoy had let them in: address, what seeds their glyph, and when they used one
    /// last. In no order.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn signed_in_since(
        &self,
        since: OffsetDateTime,
    ) -> Result<Vec<(IpAddr, String, OffsetDateTime)>, DbError> {
        const OPERATION: &str = "read who got in";
        let text = "SELECT a.ip, COALESCE(p.glyph, a.ip), MAX(b.last_seen) FROM bounties b \
                    JOIN attackers a ON a.id = b.attacker_id LEFT JOIN attacker_profiles p ON p.attacker_id = a.id \
                    WHERE b.was_accepted = 1 AND b.last_seen >= ? GROUP BY a.ip, p.glyph";
        let rows = self
            .backend
            .fetch(Sql::new(OPERATION, text).bind(micros(since)))
            .await?;
        let who = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok((c.parsed(0)?, c.text(1)?, c.time(2)?))
        });
        who.collect()
    }

    /// Bounties. While one is being seen it may move between the pages of a reader who sorts by that, as an attacker does.
    /// A page with filters may be short and still have a next one: where many may fit, the list is walked, by [`WINDOW`] rows a page at most.
    /// What an attacker left, and what let somebody in, is found by an index of its own.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] naming the field.
    pub async fn bounty_page(&self, query: &BountyQuery) -> Result<Page<BountyView>, DbError> {
        let dialect = self.backend.dialect();
        let size = cursor::page_size(query.limit)?;
        let sort = query.sort_by.unwrap_or(BountySort::Found);
        let descending = query.sort_order != Some(SortOrder::Asc);
        let before = query.before.as_deref();
        // The plus keeps a filter from being walked by its own index and sorted: most finds are of one kind.
        let (order, before, plus) = match sort {
            BountySort::Found => {
                let before = cursor::id_of(before)?.map(|id| Place { rank: 0, id });
                (Order::by_id("b.id", descending), before, "")
            }
            BountySort::Recent | BountySort::Count => {
                let rank = match sort {
                    BountySort::Count => "b.seen_count",
                    _ => "b.last_seen",
                };
                // Those that let somebody in are few: found by their index, and sorted.
                let plus = if query.accepted == Some(true) { "" } else { "+" };
                let before = cursor::pair_of(before)?.map(|(rank, id)| Place { rank, id });
                (Order::by_rank(rank, "b.id", descending), before, plus)
            }
        };
        let search = query.search.as_deref().unwrap_or_default();
        if search.contains('\0') {
            return Ok(cursor::nothing());
        }
        let mut few = if search.is_empty() {
            None
        } else {
            // What stands on both sides of a colon may stand in two columns.
            self.texts_few(&FINDS, &search.replacen(':', "\0", 1)).await?
        };
        // What the index of the order has, too: everything else is passed by on the way.
        let found = sort == BountySort::Found;
        let recent = sort == BountySort::Recent;
        let kind = query
            .bounty_type
            .map(|kind| ("b.kind = ?", Arg::from(kind.as_str())));
        let service = query
            .service
            .as_ref()
            .map(|name| ("b.service = ?", Arg::from(name)));
        let along: Vec<_> = match (sort, query.start_time) {
            (BountySort::Found, _) => service.clone().or(kind.clone()).into_iter().collect(),
            (BountySort::Recent, Some(start)) => vec![("b.last_seen >= ?", micros(start).into())],
            (BountySort::Recent | BountySort::Count, _) => Vec::new(),
        };
        let walked = query.attacker_ip.is_none() && query.accepted != Some(true);
        let passes = !search.is_empty()
            || query.end_time.is_some()
            || query.accepted.is_some()
            || query.start_time.is_some() && !recent
            || kind.is_some() && (!found || service.is_some())
            || service.is_some() && !found;
        if few.is_none() && walked && passes {
            let since = query.start_time.filter(|_| !recent);
            let since = since.map(|start| seen_since(BOUNTIES_FROM, "b", start));
            let of = |(condition, arg): (&str, Arg)| {
                let text = format!("SELECT b.id AS id FROM {BOUNTIES_FROM} WHERE {condition}");
                (text, vec![arg])
            };
            let ways = [since, service.map(of), kind.map(of)];
            let ways = ways.into_iter().flatten().map(|part| vec![part]);
            few = self.few(ways.collect()).await?;
        }
        let cursor_of = |rank, id| match sort {
            BountySort::Found => cursor::of_id(id),
            BountySort::Recent | BountySort::Count => cursor::of_pair(rank, id),
        };
        let select = |reach: Option<Reach<i64>>| {
            let mut sql = match &few {
                Some(few) => few.of(BOUNTIES, dialect, SELECT_BOUNTIES, BOUNTIES_FROM, "b.id"),
                None => Sql::new(BOUNTIES, SELECT_BOUNTIES),
            };
            sql.push(" WHERE 1 = 1");
            if let Some(before) = before {
                order.after(dialect, &mut sql, before);
            }
            if let Some(reach) = &reach {
                order.within(dialect, &mut sql, reach);
            }
            if let Some(kind) = query.bounty_type {
                // Of two filters the service's index is walked.
                let plus = if query.service.is_some() { "+" } else { plus };
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
            bounty_has(&mut sql, dialect, search);
            order.sort(&mut sql);
            sql.arg(size + 1);
            sql
        };
        let read = |rows: &[Row]| {
            let bounties = rows.iter().map(bounty).collect::<Result<Vec<_>, _>>()?;
            Ok(cursor::page(bounties, size, |b| cursor_of(sort.rank(b), b.id)))
        };
        let walk = (walked && passes && few.is_none()).then_some(Walk {
            from: BOUNTIES_FROM,
            order,
            before,
            along: &along,
        });
        let mut page = self
            .walk(walk, select, read, |place| cursor_of(place.rank, place.id))
            .await?;
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

/// Only attackers who agree with the filters of a query.
fn attacker_has(sql: &mut Sql, dialect: Dialect, query: &AttackerQuery, search: &str) {
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
    seen_within(sql, "a", query.start_time, query.end_time);
    if search.is_empty() {
        return;
    }
    let like = |column| dialect.like(column);
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

/// Only finds that have a text in one of their columns, or in two as credentials are told: `account:secret`.
fn bounty_has(sql: &mut Sql, dialect: Dialect, search: &str) {
    if search.is_empty() {
        return;
    }
    let columns = ["b.principal", "b.value", "b.decky", "b.service", "a.ip"];
    let any = columns.map(|column| dialect.like(column)).join(" OR ");
    sql.push(&format!(" AND ({any}"));
    for _ in columns {
        sql.arg(contains(search));
    }
    if let Some((principal, secret)) = search.split_once(':') {
        let like = |column| dialect.like(column);
        sql.push(&format!(" OR {} AND {}", like("b.principal"), like("b.value")));
        sql.arg(contains(principal)).arg(contains(secret));
    }
    sql.push(")");
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

/// The rows of a list, whose name in it is `table`, that were seen at a time or after it.
fn seen_since(from: &str, table: &str, start: OffsetDateTime) -> (String, Vec<Arg>) {
    let text = format!("SELECT {table}.id AS id FROM {from} WHERE {table}.last_seen >= ?");
    (text, vec![micros(start).into()])
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
