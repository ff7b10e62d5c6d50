//! Pages of log rows, and the search in them.
//!
//! Rows are listed by descending id. A span of time is turned into a span of ids by the minutes that the ingester
//! counts, so that it needs no index of its own and no sort.
//!
//! A search is words with all of which a row must agree: `text`, `"several words"`, or `key:value`, where the key is
//! a column (decky, service, type, ip) or a field. Trigrams of the lines are indexed by the profiler, behind the ingester:
//! an index in the ingester's own transaction would cost more than everything else in it. The index only narrows: each row
//! that it gives is held against the words. What is not yet indexed is read, newest first and at most [`WINDOW`] rows a page,
//! after which the page's cursor leads on, so that no search reads a whole table at once.
//!
//! The index is the table `log_search`. On SQLite that is FTS5, which makes the trigrams. On MySQL and MariaDB, whose n-gram
//! parser only one of the two has, it is a full-text index of InnoDB over words that we make: a row has every trigram of its
//! line once, as a word of a digit and three digits or letters (`gram`), which no parser cuts and no list of stopwords has.
//! Three things differ there:
//!
//! - The database folds case, here by the same `LOWER` as where a row is held against a word (`Dialect::like`), so that the
//!   index never loses what reading would find.
//! - InnoDB finds all that there is before it gives the newest. So the newest `UNASKED` rows are read before the index is
//!   asked, which is enough for most words that are common; the rarest trigrams are asked first, because each further one is
//!   only looked for among what the ones before have left; and those that are common are not asked: where all are, rows are read.
//! - InnoDB keeps a list of what was deleted, and every search reads it: [`Store::search_tidy`] makes the index anew before
//!   that list is long.

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
    retention::DELETED,
};

/// Rows that one page of a search without an index reads at most.
pub const WINDOW: i64 = 50_000;

/// Rows that a page reads before an index is asked that finds everything before it gives the newest.
const UNASKED: i64 = 1_000;

/// Trigrams of a search that the index is asked for: the first ones tell nearly everything.
const MAX_TRIGRAMS: usize = 24;

/// Newest rows, and characters of each, by which it is told which trigrams are rare.
const SAMPLE: usize = 100;
const SAMPLE_CHARS: u32 = 2_000;
/// A trigram that more rows of the sample have is not asked of InnoDB: it takes longer to find all that have it than to read rows.
const COMMON: usize = SAMPLE / 10;

/// Characters of a word of [`gram`].
const GRAM_CHARS: i64 = 4;
/// How many words there are: ten digits, each before three digits of base 36.
const GRAMS: u32 = 10 * 36 * 36 * 36;

/// About how many bytes of words go to the database in one statement: MariaDB takes no more than 16 MiB, and the words of the
/// longest line are a third of one.
const STATEMENT_BYTES: usize = 4 << 20;

const OPERATION: &str = "read log rows";
const INDEX: &str = "index log rows for the search";
const FORGET: &str = "forget the search index";
/// The last row that is indexed. Its row in the table of cursors is the index's lock on MySQL: whoever changes the index holds it.
const CURSOR: &str = "search";
/// Up to where rows are deleted without a trace in the index.
const TIDIED: &str = "search_tidied";

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

/// Every three characters in a row.
fn threes(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).skip(2);
    text.char_indices()
        .zip(ends)
        .filter_map(|((start, _), end)| text.get(start..end))
}

/// The trigrams of `text`, without those that hold a character which a line escapes: such a text may stand in the
/// line in two ways.
fn trigrams(text: &str) -> impl Iterator<Item = &str> {
    // No line has a NUL, and FTS5 would take it for the end of the question.
    text.split(['"', '\\', ']', '\0']).flat_map(threes)
}

/// The texts that a row's line must have, with a NUL between them.
fn wanted(words: &[Word]) -> String {
    let texts = words.iter().filter_map(|word| match word {
        Word::Text(text) | Word::Field(_, text) => Some(text.as_str()),
        Word::Column(..) | Word::Address(_) => None,
    });
    texts.collect::<Vec<_>>().join("\0")
}

/// A trigram as the number of its word: FNV-1a of its bytes (<http://www.isthe.com/chongo/tech/comp/fnv/>). Two may have one word, as an
/// index only narrows; in return words are short, which is most of what such an index costs, and nobody can make more than there are.
/// Stored rows have these words, so another way to make them needs the index to be made again.
fn gram(trigram: &str) -> u32 {
    let hash = trigram.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash % GRAMS
}

/// Adds the word of a number of [`gram`]. It begins with a digit, so that it is none of a language.
fn push_word(out: &mut String, gram: u32) {
    for place in [36 * 36 * 36, 36 * 36, 36, 1] {
        out.extend(char::from_digit(gram / place % 36, 36));
    }
}

/// Each trigram of a line once, as words.
fn line_words(line: &str) -> String {
    let mut grams: Vec<u32> = threes(line).map(gram).collect();
    grams.sort_unstable();
    grams.dedup();
    let mut out = String::with_capacity(grams.len() * 5);
    for gram in grams {
        if !out.is_empty() {
            out.push(' ');
        }
        push_word(&mut out, gram);
    }
    out
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
            self.log_cursor(CURSOR).await?.min(span.high)
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
        let mut rows = self.rows(query, words, newest, size + 1).await?;
        let mut reached = newest.low;
        if rows.len() <= size && reached > span.low {
            let left = size + 1 - rows.len();
            let question = if reached <= indexed + 1 {
                self.question(&wanted, indexed).await?
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
                rows.extend(self.rows(query, words, older, left).await?);
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
        let matches = self.backend.dialect().search_matches();
        sql.push(&format!(" WHERE {matches} AND s.rowid >= ? AND s.rowid <= ?"));
        sql.arg(question).arg(span.low).arg(span.high);
        self.conditions(&mut sql, query, words);
        sql.push(" ORDER BY s.rowid DESC LIMIT ?").arg(limit);
        self.backend.fetch(sql).await?.iter().map(log).collect()
    }

    /// What the index, which has the rows up to `indexed`, is asked: for rows with all trigrams of what is [`wanted`]. None where that
    /// would narrow next to nothing.
    async fn question(&self, wanted: &str, indexed: i64) -> Result<Option<String>, DbError> {
        if self.backend.dialect() == Dialect::Sqlite {
            return Ok(match_expression(wanted));
        }
        let fold = Sql::new(OPERATION, "SELECT LOWER(?)").bind(wanted);
        let Some(folded) = self.backend.fetch_optional(fold).await? else {
            return Ok(None);
        };
        let text = "SELECT LOWER(LEFT(raw, ?)) FROM logs WHERE id <= ? ORDER BY id DESC LIMIT ?";
        let newest = Sql::new(OPERATION, text)
            .bind(SAMPLE_CHARS)
            .bind(indexed)
            .bind(SAMPLE);
        let newest = self.backend.fetch(newest).await?;
        let sample = newest.iter().map(|row| row.columns(OPERATION).text(0));
        let sample = sample.collect::<Result<Vec<_>, DbError>>()?;
        Ok(boolean_expression(&folded.columns(OPERATION).text(0)?, &sample))
    }

    /// Brings the search index on by at most `rows` rows; gives how many there were.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn search_index(&self, rows: u32) -> Result<u64, DbError> {
        let from = self.log_cursor(CURSOR).await?;
        let text = "SELECT COUNT(*), MAX(id) FROM (SELECT id FROM logs WHERE id > ? ORDER BY id LIMIT ?) l";
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
        match self.backend.dialect() {
            Dialect::Sqlite => {
                let text =
                    "INSERT INTO log_search (rowid, raw) SELECT id, raw FROM logs WHERE id > ? AND id <= ?";
                tx.execute(Sql::new(INDEX, text).bind(from).bind(to)).await?;
            }
            Dialect::MySql => index_grams(&mut tx, from, to).await?,
        }
        self.log_cursor_set(&mut tx, CURSOR, to).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// Makes the index anew where more rows were deleted than are left in it, and more than `least`; gives whether that was done. It
    /// takes about as long as indexing those that are left did; searches go on, and whoever deletes evidence waits. SQLite's index needs
    /// none of that.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn search_tidy(&self, least: i64) -> Result<bool, DbError> {
        if self.backend.dialect() == Dialect::Sqlite {
            return Ok(false);
        }
        let deleted = self.log_cursor(DELETED).await?;
        let gone = deleted - self.log_cursor(TIDIED).await?;
        let left = self.log_cursor(CURSOR).await? - deleted;
        if gone <= left.max(least) {
            return Ok(false);
        }
        // OPTIMIZE would tell a failure in a row of its answer, and the other way, word by word, is a setting of the whole server.
        let text = "ALTER TABLE log_search FORCE";
        self.backend
            .execute(Sql::new("make the search index anew", text))
            .await?;
        let mut tx = self.backend.begin().await?;
        self.log_cursor_set(&mut tx, TIDIED, deleted).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Holds the index to the end of a transaction, which has to do that before it deletes log rows: a step that indexes them meanwhile
    /// would leave them in the index for good. SQLite's transactions are alone.
    pub(crate) async fn search_hold_in(&self, tx: &mut Tx) -> Result<(), DbError> {
        self.log_cursor_in(tx, CURSOR).await.map(drop)
    }

    /// Takes the rows from `first` to `last` out of the index, which the transaction holds.
    pub(crate) async fn search_expire_in(&self, tx: &mut Tx, first: i64, last: i64) -> Result<(), DbError> {
        let text = "DELETE FROM log_search WHERE rowid >= ? AND rowid <= ?";
        tx.execute(Sql::new(FORGET, text).bind(first).bind(last))
            .await
            .map(drop)
    }

    /// Holds the index as [`Store::search_hold_in`] does, and empties it.
    pub(crate) async fn search_clear_in(&self, tx: &mut Tx) -> Result<(), DbError> {
        let text = match self.backend.dialect() {
            Dialect::Sqlite => "INSERT INTO log_search (log_search) VALUES ('delete-all')",
            Dialect::MySql => "DELETE FROM log_search",
        };
        // Not deleted, and first: it is the index's lock.
        self.log_cursor_set(tx, CURSOR, 0).await?;
        tx.execute(Sql::new(FORGET, text)).await.map(drop)
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

/// What FTS5 is asked for rows with all of these trigrams. None where there are none.
fn match_expression(wanted: &str) -> Option<String> {
    let mut asked: Vec<&str> = trigrams(wanted).collect();
    asked.sort_unstable();
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

/// What a full-text index of InnoDB is asked for rows with all of these trigrams, those that fewest lines of the sample have first. None
/// where all are common.
fn boolean_expression(folded: &str, sample: &[String]) -> Option<String> {
    let lines_with = |trigram: &str| sample.iter().filter(|line| line.contains(trigram)).count();
    let mut distinct: Vec<&str> = trigrams(folded).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let mut asked: Vec<(usize, &str)> = distinct.into_iter().map(|t| (lines_with(t), t)).collect();
    asked.retain(|(lines, _)| *lines <= COMMON);
    asked.sort_unstable();
    asked.truncate(MAX_TRIGRAMS);
    let mut out = String::new();
    for (_, trigram) in &asked {
        out.push_str(if out.is_empty() { "+" } else { " +" });
        push_word(&mut out, gram(trigram));
    }
    (!out.is_empty()).then_some(out)
}

/// Puts the words of the rows after `from` up to `to` into the full-text index.
async fn index_grams(tx: &mut Tx, from: i64, to: i64) -> Result<(), DbError> {
    const HEAD: &str = "INSERT INTO log_search (rowid, grams) VALUES ";
    let text = "SELECT id, LOWER(raw) FROM logs WHERE id > ? AND id <= ?";
    let lines = tx.fetch(Sql::new(INDEX, text).bind(from).bind(to)).await?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for line in &lines {
        let c = line.columns(INDEX);
        let words = line_words(&c.text(1)?);
        bytes += words.len();
        rows.push([c.int(0)?.into(), words.into()]);
        if bytes >= STATEMENT_BYTES {
            tx.insert_rows(INDEX, HEAD, "", std::mem::take(&mut rows)).await?;
            bytes = 0;
        }
    }
    tx.insert_rows(INDEX, HEAD, "", rows).await
}

/// Succeeds where the server's full-text indexes take words of [`gram`]: shorter ones than it is set to they leave out, and a search
/// would find nothing.
pub(crate) async fn suits(backend: &Backend) -> Result<(), DbError> {
    const READ: &str = "read how the server indexes texts";
    if backend.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let row = backend.fetch_optional(Sql::new(READ, "SELECT @@innodb_ft_min_token_size"));
    let least = row.await?.map_or(Ok(0), |row| row.columns(READ).int(0))?;
    if least <= GRAM_CHARS {
        return Ok(());
    }
    Err(DbError::Unsuited {
        variable: "innodb_ft_min_token_size",
        found: least,
        rule: format!("at most {GRAM_CHARS}"),
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
        assert_eq!(
            trigrams("a\u{e9}\u{8a9e}\u{1F980}").collect::<Vec<_>>(),
            ["a\u{e9}\u{8a9e}", "\u{e9}\u{8a9e}\u{1F980}"]
        );
        assert_eq!(match_expression(&wanted(&words("ab"))), None);
        assert_eq!(
            match_expression(&wanted(&words("wget"))).as_deref(),
            Some("\"get\" AND \"wge\"")
        );
    }

    #[test]
    fn a_line_has_each_trigram_once_as_a_word() {
        let mut both = ["9nox", "66p6"];
        both.sort_unstable();
        assert_eq!(line_words("ababa"), both.join(" "));
        assert_eq!(line_words("ab"), "");
        for line in ["the", "\u{10FFFF}\u{10FFFF}\u{10FFFF}", "+-*", "\0\0\0"] {
            let word = line_words(line);
            assert_eq!(i64::try_from(word.len()).unwrap(), GRAM_CHARS);
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
            assert!(word.starts_with(|c: char| c.is_ascii_digit()));
        }
    }

    #[test]
    fn the_rarest_trigrams_are_asked_first_and_the_commonest_not_at_all() {
        // Of the lines of a sample, abc is in all, cde in as many as may be, xyz in one.
        let sample: Vec<String> = (0..SAMPLE)
            .map(|n| match n {
                0 => "abc cde xyz".to_owned(),
                n if n < COMMON => "abc cde".to_owned(),
                _ => "abc".to_owned(),
            })
            .collect();
        let asked = |wanted: &str| boolean_expression(wanted, &sample);
        assert_eq!(asked("abc\0cde\0xyz").as_deref(), Some("+7ug0 +09b9"));
        assert_eq!(asked("abc"), None);
        assert_eq!(asked("qqqqqq").as_deref(), Some("+18lu"));
        assert_eq!(asked(""), None);
        let long: String = ('\u{4e00}'..'\u{9fff}').take(200).collect();
        assert_eq!(asked(&long).unwrap().split(' ').count(), MAX_TRIGRAMS);
        // What an operator of the boolean mode is made of is no different from other characters.
        assert_eq!(asked("+-*").as_deref(), Some("+3xml"));
    }
}
