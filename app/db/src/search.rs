//! Pages of log rows, and the search in them.
//!
//! Rows are listed by descending id. A span of time is turned into a span of ids by the minutes that the ingester
//! counts, so that it needs no index of its own and no sort. Of several filters the index of the one is read of which there are fewest rows,
//! and no further than [`WINDOW`] rows a page: what the others leave of them may be few.
//!
//! A search is words with all of which a row must agree (`decnet_model::search`). The index of texts only narrows (`texts`): each row
//! that it gives is held against the words. What is not yet indexed is read, newest first and at most [`WINDOW`] rows a page,
//! after which the page's cursor leads on, so that no search reads a whole table at once. InnoDB finds all that there is before it gives
//! the newest: there the newest `UNASKED` rows are read before the index is asked, which is enough for most words that are common.

use decnet_model::{
    clock::micros,
    event::{EventKind, field},
    id::{AttackerId, LogId},
    query::LogQuery,
    search::{Column, Word, escaped, words},
    view::{ActivityView, LogView, MAX_SEARCH, Page, VisitView},
};
use time::{Duration, OffsetDateTime};

use crate::{
    DbError, Store,
    backend::{Arg, Dialect, Merge, Sql, Tx, contains},
    cursor,
    evidence::{SELECT_LOGS, log},
    meaning::attacker_id,
    retention::DELETED,
    texts::{AUDIT, FINDS, LOGS, Texts, trigrams},
};

/// Rows that one page of a search without an index reads at most.
pub const WINDOW: i64 = 50_000;

/// Rows that a page reads before an index is asked that finds everything before it gives the newest.
const UNASKED: i64 = 1_000;

const OPERATION: &str = "read log rows";
const FORGET: &str = "forget the search index";
/// Up to where rows are deleted without a trace in the index.
const TIDIED: &str = "search_tidied";

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

/// Whether a query is of a time.
fn is_timed(query: &LogQuery) -> bool {
    query.start_time.is_some() || query.end_time.is_some()
}

/// The texts that a row's line must have, with a NUL between them.
fn wanted(words: &[Word]) -> String {
    let texts = words.iter().filter_map(|word| match word {
        Word::Text(text) | Word::Field(_, text) => Some(text.as_str()),
        Word::Column(..) | Word::Address(_) => None,
    });
    texts.collect::<Vec<_>>().join("\0")
}

/// The column of a word.
fn column_name(column: Column) -> &'static str {
    match column {
        Column::Decky => "l.decky",
        Column::Service => "l.service",
        Column::EventType => "l.event_type",
    }
}

/// An index by which rows are read, and what they have in it.
struct By {
    index: &'static str,
    column: &'static str,
    value: Arg,
    /// How many rows have it, of those that are gone, too.
    rows: i64,
    /// Whether all of them may be read for a page: there are few, or each fits.
    whole: bool,
}

/// The span of ids that a page may have, both ends included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

impl Store {
    /// Log rows, newest first. A page with filters may be short and still have a next one.
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
        let mut page = self.filtered(query, &words, span, size).await?;
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
    /// those that are empty; and the bucket from which on they tell what happened. Of what has an index (a source, a decky, a type of
    /// event or a service: the first that is asked for) or else of all rows the newest [`WINDOW`] are read. Where there are more, the
    /// first bucket is that after the earliest row which was read, which may have others beside it; or that of the latest, where all are
    /// of one.
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
        let mut unread = Sql::new(OPERATION, "SELECT l.id");
        newest(&mut unread);
        unread.arg(1_i64).push(" OFFSET ?").arg(WINDOW);
        let is_cut = self.backend.fetch_optional(unread).await?.is_some();
        let columns = if words.is_empty() {
            "l.at, l.decky, l.service, l.event_type, l.attacker_id"
        } else {
            "l.at, l.decky, l.service, l.event_type, l.attacker_id, l.raw, l.fields"
        };
        // Rows that do not fit count nothing, and tell how far was read.
        let mut sql = Sql::new(OPERATION, "SELECT l.at - l.at % ?, COUNT(CASE WHEN 1 = 1");
        sql.arg(width_us);
        self.conditions(&mut sql, query, &words);
        sql.push(" THEN 1 END) FROM (SELECT ").push(columns);
        newest(&mut sql);
        sql.arg(WINDOW).push(") l GROUP BY 1");
        let rows = self.backend.fetch(sql).await?;
        let read = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok((c.int(0)?.div_euclid(width_us), c.count(1)?))
        });
        let mut counts: Vec<(i64, u64)> = read.collect::<Result<_, DbError>>()?;
        let buckets = || counts.iter().map(|(bucket, _)| *bucket);
        // Not by the newest row that was not read: what is stored last need not have happened last.
        let since = match (buckets().min(), buckets().max()) {
            (Some(first), Some(last)) if is_cut => (first + 1).min(last),
            _ => i64::MIN,
        };
        counts.retain(|(_, n)| *n > 0);
        Ok((since, counts))
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
            "SELECT decky, service, event_type, MIN(at), MAX(at), MIN(id), COUNT(*), accepted FROM (SELECT l.id, l.at, l.decky, \
             l.service, l.event_type, CASE WHEN l.event_type = ? AND ",
        );
        sql.arg(EventKind::AuthAttempt.as_str());
        sql.push(&self.backend.dialect().json_text("l.fields"))
            .arg(format!("$.\"{}\"", field::OUTCOME));
        sql.push(" = 'accepted' THEN 1 ELSE 0 END AS accepted FROM logs l WHERE l.attacker_id = ? AND l.id >= ? AND l.id <= ?");
        sql.arg(id.0).arg(span.low).arg(span.high);
        self.conditions(&mut sql, &query, &[]);
        sql.push(" ORDER BY l.id DESC LIMIT ?) t GROUP BY decky, service, event_type, accepted, at - at % ?")
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
                accepted: c.int(7)? != 0,
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
        let sql = if !is_timed(query) {
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

    /// A page of rows that agree with the query and with words that are no texts.
    async fn filtered(
        &self,
        query: &LogQuery,
        words: &[Word],
        span: Span,
        size: usize,
    ) -> Result<Page<LogView>, DbError> {
        let by = self.narrowest(query, words).await?;
        let newest = if by.as_ref().map_or(!is_timed(query), |by| by.whole) {
            span.low
        } else {
            span.low.max(span.high.saturating_sub(WINDOW - 1))
        };
        let mut reached = newest;
        let newest = Span { low: newest, ..span };
        let mut rows = self.rows(query, words, by.as_ref(), newest, size + 1).await?;
        // Among the newest there are not enough: as far as the index leads.
        if let Some(by) = &by
            && rows.len() <= size
            && reached > span.low
        {
            let high = reached - 1;
            let low = self.reached_by(by, Span { high, ..span }).await?;
            reached = low.unwrap_or(span.low);
            let older = Span { low: reached, high };
            let left = size + 1 - rows.len();
            rows.extend(self.rows(query, words, Some(by), older, left).await?);
        }
        let mut page = cursor::page(rows, size, |l| cursor::of_id(l.id.0));
        if page.next.is_none() && reached > span.low {
            page.next = Some(cursor::of_id(reached));
        }
        Ok(page)
    }

    /// Of what is asked for and has an index, that which fewest rows have.
    async fn narrowest(&self, query: &LogQuery, words: &[Word]) -> Result<Option<By>, DbError> {
        let columns = [
            (Column::Decky, &query.decky),
            (Column::Service, &query.service),
            (Column::EventType, &query.event_type),
        ];
        let columns = columns
            .into_iter()
            .filter_map(|(column, value)| Some((column, value.as_ref()?)));
        let more = words.iter().filter_map(|word| match word {
            Word::Column(column, value) => Some((*column, value)),
            _ => None,
        });
        let mut all = Vec::new();
        for (column, value) in columns.chain(more) {
            let (index, scope) = match column {
                Column::Decky => ("logs_decky", "decky"),
                Column::Service => ("logs_service", "service"),
                Column::EventType => ("logs_event_type", "event_type"),
            };
            let count = Sql::new(
                OPERATION,
                "SELECT seen_count FROM tallies WHERE scope = ? AND name = ?",
            );
            let count = count.bind(scope).bind(value.as_bytes());
            all.push((index, column_name(column), Arg::from(value), count));
        }
        let more = words.iter().filter_map(|word| match word {
            Word::Address(ip) => Some(*ip),
            _ => None,
        });
        for ip in query.attacker_ip.into_iter().chain(more) {
            let id = attacker_id(ip).0;
            let count = Sql::new(OPERATION, "SELECT event_count FROM attackers WHERE id = ?").bind(id);
            all.push(("logs_attacker", "l.attacker_id", id.into(), count));
        }
        let alone = all.len() == 1 && !is_timed(query);
        let mut narrowest: Option<By> = None;
        for (index, column, value, count) in all {
            let rows = if alone {
                i64::MAX
            } else {
                let count = self.backend.fetch_optional(count).await?;
                count.map_or(Ok(0), |row| row.columns(OPERATION).int(0))?
            };
            if narrowest.as_ref().is_none_or(|by| rows < by.rows) {
                narrowest = Some(By {
                    index,
                    column,
                    value,
                    rows,
                    whole: alone || rows <= WINDOW,
                });
            }
        }
        Ok(narrowest)
    }

    /// The last row of a span that a page reads by an index. None where it reads all of them.
    async fn reached_by(&self, by: &By, span: Span) -> Result<Option<i64>, DbError> {
        let text = format!(
            "SELECT l.id FROM logs l{} WHERE l.id >= ? AND l.id <= ? AND {} = ? ORDER BY l.id DESC LIMIT 1 OFFSET ?",
            self.backend.dialect().by_index(Some(by.index)),
            by.column
        );
        let sql = Sql::new(OPERATION, text)
            .bind(span.low)
            .bind(span.high)
            .bind(by.value.clone())
            .bind(WINDOW - 1);
        let row = self.backend.fetch_optional(sql).await?;
        row.map(|row| row.columns(OPERATION).int(0)).transpose()
    }

    /// At most `limit` rows of a span that agree with the query and with every word.
    async fn rows(
        &self,
        query: &LogQuery,
        words: &[Word],
        by: Option<&By>,
        span: Span,
        limit: usize,
    ) -> Result<Vec<LogView>, DbError> {
        if span.low > span.high || limit == 0 {
            return Ok(Vec::new());
        }
        let from = match by {
            Some(by) => format!("FROM logs l{}", self.backend.dialect().by_index(Some(by.index))),
            None => "FROM logs l".to_owned(),
        };
        let select = SELECT_LOGS.replacen("FROM logs l", &from, 1);
        let mut sql = Sql::new(OPERATION, format!("{select} WHERE l.id >= ? AND l.id <= ?"));
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
                // No line has a NUL, which ends a pattern on SQLite.
                Word::Text(text) | Word::Field(_, text) if text.contains('\0') => {
                    sql.push(" AND 1 = 0");
                }
                Word::Text(text) => {
                    let like = dialect.like("l.raw");
                    let escaped = escaped(text);
                    if escaped == *text {
                        sql.push(&format!(" AND {like}")).arg(contains(text));
                    } else {
                        sql.push(&format!(" AND ({like} OR {like})"));
                        sql.arg(contains(text)).arg(contains(&escaped));
                    }
                }
                Word::Column(column, value) => {
                    let column = column_name(*column);
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
        let wanted = wanted(words);
        let indexed = if trigrams(&wanted).next().is_some() {
            self.log_cursor(LOGS.cursor).await?.min(span.high)
        } else {
            span.low - 1
        };
        let unasked = match self.backend.dialect() {
            Dialect::Sqlite => 0,
            Dialect::MySql => UNASKED,
        };
        // What is not indexed, newest first, as far as one page may read.
        let floor = span.low.max(span.high.saturating_sub(WINDOW - 1));
        let newest = Span {
            low: floor.max((indexed + 1).min(span.high.saturating_sub(unasked - 1))),
            ..span
        };
        let mut rows = self.rows(query, words, None, newest, size + 1).await?;
        let mut reached = newest.low;
        if rows.len() <= size && reached > span.low {
            let left = size + 1 - rows.len();
            let question = if reached <= indexed + 1 {
                self.texts_question(&LOGS, &wanted, indexed).await?
            } else {
                None
            };
            let high = reached - 1;
            if let Some(question) = question {
                let older = Span { high, ..span };
                rows.extend(self.indexed_rows(query, words, older, left, question).await?);
                reached = span.low;
            } else {
                let older = Span { low: floor, high };
                rows.extend(self.rows(query, words, None, older, left).await?);
                reached = floor;
            }
        }
        let mut page = cursor::page(rows, size, |l| cursor::of_id(l.id.0));
        if page.next.is_none() && reached > span.low {
            page.next = Some(cursor::of_id(reached));
        }
        Ok(page)
    }

    /// [`Store::rows`] of a span that is indexed wholly.
    async fn indexed_rows(
        &self,
        query: &LogQuery,
        words: &[Word],
        span: Span,
        limit: usize,
        question: String,
    ) -> Result<Vec<LogView>, DbError> {
        let mut sql = Sql::new(
            OPERATION,
            SELECT_LOGS.replace("FROM logs l", "FROM log_search s JOIN logs l ON l.id = s.rowid"),
        );
        let matches = LOGS.matches(self.backend.dialect());
        sql.push(&format!(" WHERE {matches} AND s.rowid >= ? AND s.rowid <= ?"));
        sql.arg(question).arg(span.low).arg(span.high);
        self.conditions(&mut sql, query, words);
        sql.push(" ORDER BY s.rowid DESC LIMIT ?").arg(limit);
        self.backend.fetch(sql).await?.iter().map(log).collect()
    }

    /// Brings each index on by at most `rows` rows; gives how many there were.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn search_index(&self, rows: u32) -> Result<u64, DbError> {
        let mut indexed = 0;
        for texts in [&LOGS, &FINDS, &AUDIT] {
            indexed += self.texts_index(texts, rows).await?;
        }
        Ok(indexed)
    }

    /// Makes the indexes of evidence anew where more log rows were deleted than are left, and more than `least`; gives whether that was
    /// done. It takes about as long as indexing those that are left did; searches go on, and whoever deletes evidence waits. SQLite's
    /// indexes need none of that. Finds are deleted with all evidence only, which counts here as its log rows do.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn search_tidy(&self, least: i64) -> Result<bool, DbError> {
        if self.backend.dialect() == Dialect::Sqlite {
            return Ok(false);
        }
        let deleted = self.log_cursor(DELETED).await?;
        let gone = deleted - self.log_cursor(TIDIED).await?;
        let left = self.log_cursor(LOGS.cursor).await? - deleted;
        if gone <= left.max(least) {
            return Ok(false);
        }
        // OPTIMIZE would tell a failure in a row of its answer, and the other way, word by word, is a setting of the whole server.
        for Texts { index, .. } in [&LOGS, &FINDS] {
            let text = format!("ALTER TABLE {index} FORCE");
            self.backend
                .execute(Sql::new("make the search index anew", text))
                .await?;
        }
        let mut tx = self.backend.begin().await?;
        self.log_cursor_set(&mut tx, TIDIED, deleted).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Holds the index to the end of a transaction, which has to do that before it deletes log rows: a step that indexes them meanwhile
    /// would leave them in the index for good. SQLite's transactions are alone.
    pub(crate) async fn search_hold_in(&self, tx: &mut Tx) -> Result<(), DbError> {
        self.log_cursor_in(tx, LOGS.cursor).await.map(drop)
    }

    /// Takes the rows from `first` to `last` out of the index, which the transaction holds.
    pub(crate) async fn search_expire_in(&self, tx: &mut Tx, first: i64, last: i64) -> Result<(), DbError> {
        let text = "DELETE FROM log_search WHERE rowid >= ? AND rowid <= ?";
        tx.execute(Sql::new(FORGET, text).bind(first).bind(last))
            .await
            .map(drop)
    }

    /// Holds the indexes of evidence as [`Store::search_hold_in`] does, and empties them.
    pub(crate) async fn search_clear_in(&self, tx: &mut Tx) -> Result<(), DbError> {
        for Texts { index, cursor, .. } in [&LOGS, &FINDS] {
            let text = match self.backend.dialect() {
                Dialect::Sqlite => format!("INSERT INTO {index} ({index}) VALUES ('delete-all')"),
                Dialect::MySql => format!("DELETE FROM {index}"),
            };
            // Not deleted, and first: it is the index's lock.
            self.log_cursor_set(tx, cursor, 0).await?;
            tx.execute(Sql::new(FORGET, text)).await?;
        }
        Ok(())
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
