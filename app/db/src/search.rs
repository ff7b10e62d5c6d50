//! Pages of log rows, and the search in them.
//!
//! Rows are listed by descending id. A span of time is turned into a span of ids by the minutes that the ingester
//! counts, so that it needs no index of its own and no sort.
//!
//! A search is words with all of which a row must agree: `text`, `"several words"`, or `key:value`, where the key is
//! a column (decky, service, type, ip) or a field. On SQLite trigrams of the lines are indexed by the profiler, behind
//! the ingester: an index in the ingester's own transaction would cost more than everything else in it. What is not yet
//! indexed is read, like everything on MySQL and MariaDB (whose n-gram parser only one of the two has): newest first and
//! at most [`WINDOW`] rows a page, after which the page's cursor leads on, so that no search reads a whole table at once.

use std::net::IpAddr;

use decnet_model::{
    clock::micros,
    event::{EventKind, field},
    id::{AttackerId, LogId},
    query::LogQuery,
    view::{ActivityView, LogView, MAX_SEARCH, Page, VisitView},
};
use time::{Duration, OffsetDateTime};

use crate::{
    DbError, Store,
    backend::{Backend, Dialect, Merge, Sql, Tx, contains},
    cursor,
    evidence::{SELECT_LOGS, log},
    meaning::attacker_id,
};

/// Rows that one page of a search without an index reads at most.
pub const WINDOW: i64 = 50_000;

/// Trigrams of a search that the index is asked for: the first ones tell nearly everything.
const MAX_TRIGRAMS: usize = 24;

const OPERATION: &str = "read log rows";
const CURSOR: &str = "search";

/// A word of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Text(String),
    Column(&'static str, String),
    Address(IpAddr),
    Field(String, String),
}

fn words(search: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut rest = search.trim_start();
    while !rest.is_empty() {
        let (token, after) = match rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
            Some((quoted, after)) => (Word::Text(quoted.to_owned()), after),
            None => {
                let (token, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                (word(token), after)
            }
        };
        if token != Word::Text(String::new()) {
            found.push(token);
        }
        rest = after.trim_start();
    }
    found
}

fn word(token: &str) -> Word {
    let text = || Word::Text(token.to_owned());
    let Some((key, value)) = token.split_once(':') else {
        return text();
    };
    let starts_like_a_key = key.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let is_key = key.len() <= 40
        && key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    // `http://…` and `fe80::1` are text.
    if !starts_like_a_key || !is_key || value.is_empty() || value.starts_with("//") || value.starts_with(':')
    {
        return text();
    }
    match key {
        "decky" => Word::Column("l.decky", value.to_owned()),
        "service" => Word::Column("l.service", value.to_owned()),
        "type" | "event" | "event_type" => Word::Column("l.event_type", value.to_owned()),
        "ip" | "attacker" | "attacker_ip" => value.parse().map_or_else(|_| text(), Word::Address),
        _ => Word::Field(key.to_owned(), value.to_owned()),
    }
}

/// The words of a query's search.
fn search_words(query: &LogQuery) -> Result<Vec<Word>, DbError> {
    let search = query.search.as_deref().unwrap_or_default();
    if search.chars().count() > MAX_SEARCH {
        let rule = format!("at most {MAX_SEARCH} characters");
        return Err(DbError::BadQuery {
            field: "search",
            rule,
        });
    }
    Ok(words(search))
}

/// The trigrams of `text`, without those that hold a character which a line escapes: such a text may stand in the
/// line in two ways.
fn trigrams(text: &str) -> impl Iterator<Item = String> {
    // No line has a NUL, and FTS5 would take it for the end of the question.
    text.split(['"', '\\', ']', '\0']).flat_map(|run| {
        let chars: Vec<char> = run.chars().collect();
        chars
            .windows(3)
            .map(|w| w.iter().collect())
            .collect::<Vec<String>>()
    })
}

/// `text` as it stands in a structured-data value (RFC 5424 section 6.3.3).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The span of ids that a page may have, both ends included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

impl Store {
    /// Log rows, newest first. A page of a search may be short and still have a next one.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] naming the field.
    pub async fn log_page(&self, query: &LogQuery) -> Result<Page<LogView>, DbError> {
        let size = cursor::page_size(query.limit)?;
        let words = search_words(query)?;
        let before = cursor::id_of(query.before.as_deref())?.unwrap_or(i64::MAX);
        let Some(mut span) = self.span(query).await? else {
            return Ok(Page {
                data: Vec::new(),
                next: None,
                total: None,
            });
        };
        span.high = span.high.min(before.saturating_sub(1));
        let is_text = |w: &Word| matches!(w, Word::Text(_) | Word::Field(..));
        if words.iter().any(is_text) {
            return self.search(query, &words, span, size).await;
        }
        let rows = self.rows(query, &words, span, size + 1).await?;
        let mut page = cursor::page(rows, size, |l| cursor::of_id(l.id.0));
        let unfiltered = LogQuery {
            limit: query.limit,
            before: query.before.clone(),
            ..LogQuery::default()
        };
        if *query == unfiltered {
            page.total = Some(self.log_count().await?);
        }
        Ok(page)
    }

    /// The rows of a query counted by time of happening: each bucket of `width` minutes by its number since 1970, in no order, without
    /// those that are empty; and the first of them that is counted wholly. Of what has an index (a source, a decky, a type of
    /// event or a service: the first that is asked for) or else of all rows the newest [`WINDOW`] are read.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] naming the field.
    pub(crate) async fn log_counts(
        &self,
        query: &LogQuery,
        width: i64,
    ) -> Result<(i64, Vec<(i64, u64)>), DbError> {
        const OPERATION: &str = "count log rows";
        let words = search_words(query)?;
        let Some(span) = self.span(query).await? else {
            return Ok((i64::MIN, Vec::new()));
        };
        let width_us = width * 60_000_000;
        let newest = |sql: &mut Sql| {
            sql.push(" FROM logs l WHERE l.id >= ? AND l.id <= ?")
                .arg(span.low)
                .arg(span.high);
            let columns = [
                ("l.decky", &query.decky),
                ("l.event_type", &query.event_type),
                ("l.service", &query.service),
            ];
            let given = columns
                .iter()
                .find_map(|(column, value)| Some((column, value.as_ref()?)));
            if let Some(ip) = query.attacker_ip {
                sql.push(" AND l.attacker_id = ?").arg(attacker_id(ip).0);
            } else if let Some((column, value)) = given {
                sql.push(&format!(" AND {column} = ?")).arg(value.as_str());
            }
            sql.push(" ORDER BY l.id DESC LIMIT ?");
        };
        let mut unread = Sql::new(OPERATION, "SELECT l.at");
        newest(&mut unread);
        unread.arg(1_i64).push(" OFFSET ?").arg(WINDOW);
        let since = match self.backend.fetch_optional(unread).await? {
            Some(row) => micros(row.columns(OPERATION).time(0)?).div_euclid(width_us) + 1,
            None => i64::MIN,
        };
        let columns = if words.is_empty() {
            "l.at, l.decky, l.service, l.event_type, l.attacker_id"
        } else {
            "l.at, l.decky, l.service, l.event_type, l.attacker_id, l.raw, l.fields"
        };
        let mut sql = Sql::new(OPERATION, "SELECT l.at - l.at % ?, COUNT(*) FROM (SELECT ");
        sql.arg(width_us).push(columns);
        newest(&mut sql);
        sql.arg(WINDOW).push(") l WHERE 1 = 1");
        self.conditions(&mut sql, query, &words);
        sql.push(" GROUP BY 1");
        let rows = self.backend.fetch(sql).await?;
        let counts = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok((c.int(0)?.div_euclid(width_us), c.count(1)?))
        });
        Ok((since, counts.collect::<Result<_, DbError>>()?))
    }

    /// What the newest `limit` rows of an attacker in a time tell, each decky's, service's and event type's of a bucket of time in one.
    /// Buckets are `width_us` microseconds long. In no order.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn attacker_activity(
        &self,
        id: AttackerId,
        (start, end): (Option<OffsetDateTime>, Option<OffsetDateTime>),
        width_us: i64,
        limit: u32,
    ) -> Result<Vec<ActivityView>, DbError> {
        let query = LogQuery {
            start_time: start,
            end_time: end,
            ..LogQuery::default()
        };
        let Some(span) = self.span(&query).await? else {
            return Ok(Vec::new());
        };
        let mut sql = Sql::new(
            OPERATION,
            "SELECT decky, service, event_type, MIN(at), MAX(at), MIN(id), COUNT(*) FROM (SELECT l.id, l.at, l.decky, l.service, \
             l.event_type FROM logs l WHERE l.attacker_id = ? AND l.id >= ? AND l.id <= ?",
        );
        sql.arg(id.0).arg(span.low).arg(span.high);
        self.conditions(&mut sql, &query, &[]);
        sql.push(" ORDER BY l.id DESC LIMIT ?) t GROUP BY decky, service, event_type, at - at % ?")
            .arg(limit)
            .arg(width_us.max(1));
        let rows = self.backend.fetch(sql).await?;
        let activity = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok(ActivityView {
                decky: c.text(0)?,
                service: c.text(1)?,
                event_type: c.text(2)?,
                first_at: c.time(3)?,
                last_at: c.time(4)?,
                log_id: LogId(c.int(5)?),
                count: c.count(6)?,
            })
        });
        activity.collect()
    }

    /// The connections of an attacker that reach into a time, as far as the newest `limit` rows tell that are from `reach` before its
    /// start to its end. Of each decky and service those that begin in one bucket of time and end in one are told as one; buckets are
    /// `width_us` microseconds long. In no order.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn attacker_visits(
        &self,
        id: AttackerId,
        (start, end): (Option<OffsetDateTime>, Option<OffsetDateTime>),
        reach: Duration,
        width_us: i64,
        limit: u32,
    ) -> Result<Vec<VisitView>, DbError> {
        let query = LogQuery {
            start_time: start.map(|start| start.saturating_sub(reach)),
            end_time: end,
            ..LogQuery::default()
        };
        let Some(span) = self.span(&query).await? else {
            return Ok(Vec::new());
        };
        let mut sql = Sql::new(
            OPERATION,
            "SELECT decky, service, MIN(first_at), MAX(last_at), MIN(log_id), MIN(visit), COUNT(*), CAST(SUM(commands) AS SIGNED), \
             MIN(ended) FROM (SELECT decky, service, visit, MIN(at) AS first_at, MAX(at) AS last_at, MIN(id) AS log_id, \
             COUNT(CASE WHEN event_type IN (?, ?) THEN 1 END) AS commands, \
             COUNT(CASE WHEN event_type IN (?, ?) THEN 1 END) AS ended FROM (SELECT l.id, l.at, l.decky, l.service, l.event_type, ",
        );
        sql.arg(EventKind::Command.as_str())
            .arg(EventKind::Query.as_str());
        sql.arg(EventKind::Disconnect.as_str())
            .arg(EventKind::SessionEnded.as_str());
        sql.push(&self.backend.dialect().json_text("l.fields"))
            .arg(format!("$.\"{}\"", field::SESSION));
        sql.push(" AS visit FROM logs l WHERE l.attacker_id = ? AND l.id >= ? AND l.id <= ?");
        sql.arg(id.0).arg(span.low).arg(span.high);
        self.conditions(&mut sql, &query, &[]);
        sql.push(" ORDER BY l.id DESC LIMIT ?) t WHERE visit <> '' GROUP BY decky, service, visit) v WHERE last_at >= ?")
            .arg(limit)
            .arg(start.map_or(i64::MIN, micros));
        sql.push(" GROUP BY decky, service, first_at - first_at % ?, last_at - last_at % ?")
            .arg(width_us.max(1))
            .arg(width_us.max(1));
        let rows = self.backend.fetch(sql).await?;
        let visits = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok(VisitView {
                decky: c.text(0)?,
                service: c.text(1)?,
                first_at: c.time(2)?,
                last_at: c.time(3)?,
                log_id: LogId(c.int(4)?),
                session: c.text(5)?,
                sessions: c.count(6)?,
                commands: c.count(7)?,
                ended: c.int(8)? > 0,
            })
        });
        visits.collect()
    }

    /// The newest `limit` rows of a time in which the fleet says what it changed at one of `deckies`, newest first: mutations, and
    /// services that began or ended.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn fleet_changes(
        &self,
        deckies: &[String],
        (start, end): (Option<OffsetDateTime>, Option<OffsetDateTime>),
        limit: u32,
    ) -> Result<Vec<LogView>, DbError> {
        let query = LogQuery {
            start_time: start,
            end_time: end,
            ..LogQuery::default()
        };
        let Some((span, (first, others))) = self.span(&query).await?.zip(deckies.split_first()) else {
            return Ok(Vec::new());
        };
        // Nobody's rows are few: it is their index that is read.
        let mut sql = Sql::new(
            OPERATION,
            format!(
                "{SELECT_LOGS} WHERE l.attacker_id IS NULL AND l.id >= ? AND l.id <= ? AND l.event_type IN (?, ?, ?) AND l.decky IN (?"
            ),
        );
        sql.arg(span.low).arg(span.high);
        for kind in [
            EventKind::Mutation,
            EventKind::ServiceStarted,
            EventKind::ServiceStopped,
        ] {
            sql.arg(kind.as_str());
        }
        sql.arg(first.as_str());
        for decky in others {
            sql.push(", ?").arg(decky.as_str());
        }
        sql.push(")");
        self.conditions(&mut sql, &query, &[]);
        sql.push(" ORDER BY l.id DESC LIMIT ?").arg(limit);
        self.backend.fetch(sql).await?.iter().map(log).collect()
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn log_count(&self) -> Result<u64, DbError> {
        let row = self.backend.fetch_optional(Sql::new(
            OPERATION,
            "SELECT value FROM counters WHERE name = 'logs'",
        ));
        row.await?.map_or(Ok(0), |row| row.columns(OPERATION).count(0))
    }

    /// The ids between which every row of the query's time lies; none where there are no rows.
    pub(crate) async fn span(&self, query: &LogQuery) -> Result<Option<Span>, DbError> {
        let sql = if query.start_time.is_none() && query.end_time.is_none() {
            // Each by its own end of the index: both in one SELECT would read it all.
            Sql::new(
                OPERATION,
                "SELECT (SELECT MIN(id) FROM logs), (SELECT MAX(id) FROM logs)",
            )
        } else {
            let minute = |at| micros(at).div_euclid(60_000_000);
            let text =
                "SELECT MIN(min_id), MAX(max_id) FROM log_minutes WHERE minute_no >= ? AND minute_no <= ?";
            Sql::new(OPERATION, text)
                .bind(query.start_time.map_or(i64::MIN, minute))
                .bind(query.end_time.map_or(i64::MAX, minute))
        };
        let Some(row) = self.backend.fetch_optional(sql).await? else {
            return Ok(None);
        };
        let c = row.columns(OPERATION);
        Ok(c.opt_int(0)?
            .zip(c.opt_int(1)?)
            .map(|(low, high)| Span { low, high }))
    }

    /// At most `limit` rows of a span that agree with the query and with every word.
    async fn rows(
        &self,
        query: &LogQuery,
        words: &[Word],
        span: Span,
        limit: usize,
    ) -> Result<Vec<LogView>, DbError> {
        if span.low > span.high || limit == 0 {
            return Ok(Vec::new());
        }
        let mut sql = Sql::new(OPERATION, format!("{SELECT_LOGS} WHERE l.id >= ? AND l.id <= ?"));
        sql.arg(span.low).arg(span.high);
        self.conditions(&mut sql, query, words);
        sql.push(" ORDER BY l.id DESC LIMIT ?").arg(limit);
        self.backend.fetch(sql).await?.iter().map(log).collect()
    }

    fn conditions(&self, sql: &mut Sql, query: &LogQuery, words: &[Word]) {
        let dialect = self.backend.dialect();
        let columns = [
            ("l.decky", &query.decky),
            ("l.service", &query.service),
            ("l.event_type", &query.event_type),
        ];
        for (column, value) in columns {
            if let Some(value) = value {
                sql.push(&format!(" AND {column} = ?")).arg(value.as_str());
            }
        }
        if let Some(ip) = query.attacker_ip {
            sql.push(" AND l.attacker_id = ?").arg(attacker_id(ip).0);
        }
        if let Some(at) = query.start_time {
            sql.push(" AND l.at >= ?").arg(at);
        }
        if let Some(at) = query.end_time {
            sql.push(" AND l.at < ?").arg(at);
        }
        for word in words {
            match word {
                Word::Text(text) => {
                    let like = dialect.like("l.raw");
                    sql.push(&format!(" AND ({like} OR {like})"));
                    sql.arg(contains(text)).arg(contains(&escaped(text)));
                }
                Word::Column(column, value) => {
                    sql.push(&format!(" AND {column} = ?")).arg(value.as_str());
                }
                Word::Address(ip) => {
                    sql.push(" AND l.attacker_id = ?").arg(attacker_id(*ip).0);
                }
                Word::Field(key, value) => {
                    let field = dialect.json_text("l.fields");
                    sql.push(&format!(" AND {}", dialect.like(&field)));
                    sql.arg(format!("$.\"{key}\"")).arg(contains(value));
                }
            }
        }
    }

    async fn search(
        &self,
        query: &LogQuery,
        words: &[Word],
        span: Span,
        size: usize,
    ) -> Result<Page<LogView>, DbError> {
        let asked = match self.backend {
            Backend::Sqlite { .. } => match_expression(words),
            Backend::MySql(_) => None,
        };
        let indexed = match asked {
            Some(_) => self.log_cursor(CURSOR).await?.min(span.high),
            None => span.low - 1,
        };
        // What is not indexed, newest first, as far as one page may read.
        let tail = Span {
            low: span
                .low
                .max(indexed + 1)
                .max(span.high.saturating_sub(WINDOW - 1)),
            ..span
        };
        let mut rows = self.rows(query, words, tail, size + 1).await?;
        let tail_is_read = tail.low <= indexed.max(span.low - 1) + 1;
        if let Some(asked) = asked
            && tail_is_read
            && rows.len() <= size
        {
            let mut sql = Sql::new(
                OPERATION,
                SELECT_LOGS.replace("FROM logs l", "FROM log_search s JOIN logs l ON l.id = s.rowid"),
            );
            sql.push(" WHERE log_search MATCH ? AND s.rowid >= ? AND s.rowid <= ?");
            sql.arg(asked).arg(span.low).arg(indexed);
            self.conditions(&mut sql, query, words);
            sql.push(" ORDER BY s.rowid DESC LIMIT ?")
                .arg(size + 1 - rows.len());
            for row in self.backend.fetch(sql).await? {
                rows.push(log(&row)?);
            }
        }
        let mut page = cursor::page(rows, size, |l| cursor::of_id(l.id.0));
        if page.next.is_none() && !tail_is_read {
            page.next = Some(cursor::of_id(tail.low));
        }
        Ok(page)
    }

    /// Brings the search index on by at most `rows` rows; gives how many there were. Nothing where there is no index.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn search_index(&self, rows: u32) -> Result<u64, DbError> {
        const INDEX: &str = "index log rows for the search";
        if self.backend.dialect() == Dialect::MySql {
            return Ok(0);
        }
        let from = self.log_cursor(CURSOR).await?;
        let text = "SELECT COUNT(*), MAX(id) FROM (SELECT id FROM logs WHERE id > ? ORDER BY id LIMIT ?)";
        let found = self
            .backend
            .fetch_optional(Sql::new(INDEX, text).bind(from).bind(rows))
            .await?;
        let Some((count, Some(to))) = found
            .map(|row| Ok((row.columns(INDEX).count(0)?, row.columns(INDEX).opt_int(1)?)))
            .transpose()?
        else {
            return Ok(0);
        };
        let mut tx = self.backend.begin().await?;
        if self.log_cursor_in(&mut tx, CURSOR).await? != from {
            return Ok(0);
        }
        let text = "INSERT INTO log_search (rowid, raw) SELECT id, raw FROM logs WHERE id > ? AND id <= ?";
        tx.execute(Sql::new(INDEX, text).bind(from).bind(to)).await?;
        self.log_cursor_set(&mut tx, CURSOR, to).await?;
        tx.commit().await?;
        Ok(count)
    }

    pub(crate) async fn search_clear_in(&self, tx: &mut Tx) -> Result<(), DbError> {
        if self.backend.dialect() == Dialect::Sqlite {
            let text = "INSERT INTO log_search (log_search) VALUES ('delete-all')";
            tx.execute(Sql::new("forget the search index", text)).await?;
        }
        let sql = Sql::new(
            "forget the search index",
            "DELETE FROM log_cursors WHERE name = ?",
        )
        .bind(CURSOR);
        tx.execute(sql).await.map(drop)
    }

    /// The last row that the reader `name` of log rows has seen; 0 before the first.
    pub(crate) async fn log_cursor(&self, name: &str) -> Result<i64, DbError> {
        let row = self.backend.fetch_optional(cursor_sql(name, "")).await?;
        row.map_or(Ok(0), |row| row.columns(OPERATION).int(0))
    }

    pub(crate) async fn log_cursor_in(&self, tx: &mut Tx, name: &str) -> Result<i64, DbError> {
        let row = tx
            .fetch_optional(cursor_sql(name, self.backend.dialect().for_update()))
            .await?;
        row.map_or(Ok(0), |row| row.columns(OPERATION).int(0))
    }

    pub(crate) async fn log_cursor_set(&self, tx: &mut Tx, name: &str, to: i64) -> Result<(), DbError> {
        let upsert = self.backend.dialect().upsert("name", &[("log_id", Merge::Put)]);
        let text = format!("INSERT INTO log_cursors (name, log_id) VALUES (?, ?){upsert}");
        tx.execute(Sql::new("move a cursor over log rows", text).bind(name).bind(to))
            .await
            .map(drop)
    }
}

fn cursor_sql(name: &str, lock: &str) -> Sql {
    Sql::new(
        OPERATION,
        format!("SELECT log_id FROM log_cursors WHERE name = ?{lock}"),
    )
    .bind(name)
}

/// What the index is asked for: rows that have all of these trigrams. None where the words give none.
fn match_expression(words: &[Word]) -> Option<String> {
    let texts = words.iter().filter_map(|word| match word {
        Word::Text(text) | Word::Field(_, text) => Some(text),
        Word::Column(..) | Word::Address(_) => None,
    });
    let mut asked: Vec<String> = texts.flat_map(|text| trigrams(text)).collect();
    asked.sort();
    asked.dedup();
    asked.truncate(MAX_TRIGRAMS);
    // Quoted for FTS5; a quote cannot be among them, see `trigrams`.
    (!asked.is_empty()).then(|| {
        asked
            .iter()
            .map(|t| format!("\"{t}\""))
            .collect::<Vec<_>>()
            .join(" AND ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_words_phrases_and_keys() {
        let text = |t: &str| Word::Text(t.into());
        assert_eq!(words(r#"wget "a b"  x"#), [text("wget"), text("a b"), text("x")]);
        assert_eq!(words("decky:web-01"), [Word::Column("l.decky", "web-01".into())]);
        assert_eq!(
            words("ip:192.0.2.7"),
            [Word::Address("192.0.2.7".parse().unwrap())]
        );
        assert_eq!(
            words("principal:root"),
            [Word::Field("principal".into(), "root".into())]
        );
        for plain in [
            "http://x/y",
            "fe80::1",
            "C:\\x",
            "a:",
            ":b",
            "2001:db8::1",
            "ip:nonsense",
            "\"open",
        ] {
            assert_eq!(words(plain), [text(plain)], "{plain}");
        }
        assert_eq!(words("  \"\" "), []);
    }

    #[test]
    fn trigrams_leave_out_what_a_line_escapes() {
        assert_eq!(trigrams(r#"ab"cdef]gh"#).collect::<Vec<_>>(), ["cde", "def"]);
        assert_eq!(trigrams("abc\0def").collect::<Vec<_>>(), ["abc", "def"]);
        assert_eq!(match_expression(&words("ab")), None);
        assert_eq!(
            match_expression(&words("wget")).as_deref(),
            Some("\"get\" AND \"wge\"")
        );
    }
}
