//! One way to run a statement on either engine.
//!
//! Both engines take `?` for an argument, so a statement stands once, as a [`Sql`]. Where the dialects differ, and only
//! there, [`Dialect`] has the words. Everything here is private to the crate.
//!
//! SQLite has one writer connection and some readers, because it has one writer anyway: waiting for it in our queue is
//! fair and cheap, and waiting for it in SQLite's busy handler is neither.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::Path,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Executor, MySql, MySqlPool, Row as _, Sqlite, SqlitePool,
    Transaction,
    mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlRow},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use uuid::Uuid;

use crate::{DbError, Options};

/// How long SQLite waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Statements kept prepared on a connection: every statement of this crate, and multi-row inserts in eight sizes.
const STATEMENT_CACHE: usize = 256;

/// Which SQL is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    MySql,
}

/// How a column of an upsert goes on from what is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Merge {
    /// The new value replaces it.
    Put,
    /// The new value is added to it.
    Add,
    /// The lower one stays.
    Min,
    /// The higher one stays.
    Max,
}

impl Dialect {
    /// What follows the VALUES of an insert, so that a row that is there (by its unique `key`) is merged instead.
    pub(crate) fn upsert(self, key: &str, columns: &[(&str, Merge)]) -> String {
        let mut out = match self {
            Self::Sqlite => format!(" ON CONFLICT ({key}) DO UPDATE SET "),
            Self::MySql => " ON DUPLICATE KEY UPDATE ".to_owned(),
        };
        for (i, (column, merge)) in columns.iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            let new = match self {
                Self::Sqlite => format!("excluded.{column}"),
                Self::MySql => format!("VALUES({column})"),
            };
            let (min, max) = match self {
                Self::Sqlite => ("MIN", "MAX"),
                Self::MySql => ("LEAST", "GREATEST"),
            };
            out.push_str(&match merge {
                Merge::Put => format!("{column} = {new}"),
                Merge::Add => format!("{column} = {column} + {new}"),
                Merge::Min => format!("{column} = {min}({column}, {new})"),
                Merge::Max => format!("{column} = {max}({column}, {new})"),
            });
        }
        out
    }

    /// An insert that leaves a row with the same key alone.
    pub(crate) fn insert_ignore(self) -> &'static str {
        match self {
            Self::Sqlite => "INSERT OR IGNORE INTO ",
            Self::MySql => "INSERT IGNORE INTO ",
        }
    }

    /// `column LIKE ?` without regard to case, for a pattern of [`contains`] or [`starts_with`].
    pub(crate) fn like(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("{column} LIKE ? ESCAPE '!'"),
            // Collations without regard to case have none to accents either, and take all emoji for one.
            Self::MySql => {
                format!("LOWER(CONVERT({column} USING utf8mb4) COLLATE utf8mb4_bin) LIKE LOWER(?) ESCAPE '!'")
            }
        }
    }

    /// The rows after a place in an order by `rank` and then `id`, both of one index: the condition, and how often it takes the
    /// place's rank before its id. Each engine finds the place in its index by one form and not by the other.
    pub(crate) fn after(self, rank: &str, id: &str, descending: bool) -> (String, usize) {
        let than = if descending { '<' } else { '>' };
        match self {
            Self::Sqlite => (format!("({rank}, {id}) {than} (?, ?)"), 1),
            Self::MySql => (format!("({rank} {than} ? OR ({rank} = ? AND {id} {than} ?))"), 2),
        }
    }

    /// All values of a column of a group, as a JSON array in no order.
    pub(crate) fn json_array(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("json_group_array({column})"),
            Self::MySql => format!("JSON_ARRAYAGG({column})"),
        }
    }

    /// The text at a path (an argument) of a JSON column; NULL where there is none.
    pub(crate) fn json_text(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("json_extract({column}, ?)"),
            Self::MySql => format!("JSON_UNQUOTE(JSON_EXTRACT({column}, ?))"),
        }
    }

    /// What follows a table's name, so that its rows are read by this index, or by none but its primary key, whatever the engine thinks of it.
    pub(crate) fn by_index(self, index: Option<&str>) -> String {
        match (self, index) {
            (Self::Sqlite, Some(index)) => format!(" INDEXED BY {index}"),
            (Self::Sqlite, None) => " NOT INDEXED".to_owned(),
            (Self::MySql, index) => format!(" FORCE INDEX ({})", index.unwrap_or("PRIMARY")),
        }
    }

    /// Reads a row so that nobody changes it before this transaction ends. SQLite's write transactions are alone.
    pub(crate) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql => " FOR UPDATE",
        }
    }
}

/// A LIKE pattern for texts that contain `text`, with ! as the escape.
pub(crate) fn contains(text: &str) -> String {
    format!("%{}", starts_with(text))
}

/// A LIKE pattern for texts that start with `text`.
pub(crate) fn starts_with(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            out.push('!');
        }
        out.push(c);
    }
    out.push('%');
    out
}

/// The most characters of [`told`]: four bytes each fit the smallest column that takes any, a TEXT of MySQL (65,535 bytes).
const MAX_TOLD: usize = 16_000;

/// Words for operators, such as the faults of a whole fleet in one: as much of them as every column takes. What is refused
/// for its length would be refused each time that it is tried.
pub(crate) fn told(words: &str) -> Cow<'_, str> {
    match words.char_indices().nth(MAX_TOLD) {
        Some((end, _)) => Cow::Owned(format!("{} …", words.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(words),
    }
}

/// An argument of a statement.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

macro_rules! arg_from {
    ($($from:ty => |$v:ident| $make:expr),* $(,)?) => {$(
        impl From<$from> for Arg {
            fn from($v: $from) -> Self {
                $make
            }
        }
    )*};
}
arg_from! {
    i64 => |v| Self::Int(v),
    u32 => |v| Self::Int(i64::from(v)),
    u64 => |v| Self::Int(i64::try_from(v).unwrap_or(i64::MAX)),
    usize => |v| Self::Int(i64::try_from(v).unwrap_or(i64::MAX)),
    bool => |v| Self::Int(i64::from(v)),
    String => |v| Self::Text(v),
    &str => |v| Self::Text(v.to_owned()),
    &String => |v| Self::Text(v.clone()),
    Cow<'_, str> => |v| Self::Text(v.into_owned()),
    Vec<u8> => |v| Self::Blob(v),
    &[u8] => |v| Self::Blob(v.to_vec()),
    Uuid => |v| Self::Blob(v.as_bytes().to_vec()),
    time::OffsetDateTime => |v| Self::Int(decnet_model::clock::micros(v)),
}

impl<T: Into<Arg>> From<Option<T>> for Arg {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Null, Into::into)
    }
}

/// A statement with its arguments, and what it does in words, for errors.
#[derive(Debug)]
pub(crate) struct Sql {
    operation: &'static str,
    text: Cow<'static, str>,
    args: Vec<Arg>,
}

impl Sql {
    pub(crate) fn new(operation: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            operation,
            text: text.into(),
            args: Vec::new(),
        }
    }

    /// The next argument.
    pub(crate) fn bind(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More text, never from outside: arguments go through [`Sql::arg`].
    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// The next argument, while a statement is put together.
    pub(crate) fn arg(&mut self, arg: impl Into<Arg>) -> &mut Self {
        self.args.push(arg.into());
        self
    }
}

/// A row of a result, read by column number.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    MySql(MySqlRow),
}

macro_rules! on_row {
    ($self:ident, $row:ident => $body:expr) => {
        match $self {
            Row::Sqlite($row) => $body,
            Row::MySql($row) => $body,
        }
    };
}

/// Reads the columns of a row and remembers what for.
pub(crate) struct Columns<'r> {
    pub(crate) operation: &'static str,
    pub(crate) row: &'r Row,
}

impl Row {
    pub(crate) fn columns(&self, operation: &'static str) -> Columns<'_> {
        Columns { operation, row: self }
    }
}

impl Columns<'_> {
    pub(crate) fn corrupt(&self, what: impl Into<String>) -> DbError {
        DbError::Corrupt {
            operation: self.operation,
            what: what.into(),
        }
    }

    fn failed(&self, source: sqlx::Error) -> DbError {
        DbError::Query {
            operation: self.operation,
            source,
        }
    }

    pub(crate) fn opt_int(&self, i: usize) -> Result<Option<i64>, DbError> {
        let row = self.row;
        on_row!(row, r => r.try_get_unchecked::<Option<i64>, _>(i)).map_err(|e| self.failed(e))
    }

    pub(crate) fn int(&self, i: usize) -> Result<i64, DbError> {
        self.opt_int(i)?
            .ok_or_else(|| self.corrupt(format!("NULL in column {i}")))
    }

    pub(crate) fn count(&self, i: usize) -> Result<u64, DbError> {
        let n = self.int(i)?;
        u64::try_from(n).map_err(|_| self.corrupt(format!("count {n}")))
    }

    pub(crate) fn flag(&self, i: usize) -> Result<bool, DbError> {
        Ok(self.int(i)? != 0)
    }

    pub(crate) fn opt_text(&self, i: usize) -> Result<Option<String>, DbError> {
        let row = self.row;
        on_row!(row, r => r.try_get_unchecked::<Option<String>, _>(i)).map_err(|e| self.failed(e))
    }

    pub(crate) fn text(&self, i: usize) -> Result<String, DbError> {
        self.opt_text(i)?
            .ok_or_else(|| self.corrupt(format!("NULL in column {i}")))
    }

    pub(crate) fn opt_blob(&self, i: usize) -> Result<Option<Vec<u8>>, DbError> {
        let row = self.row;
        on_row!(row, r => r.try_get_unchecked::<Option<Vec<u8>>, _>(i)).map_err(|e| self.failed(e))
    }

    pub(crate) fn blob(&self, i: usize) -> Result<Vec<u8>, DbError> {
        self.opt_blob(i)?
            .ok_or_else(|| self.corrupt(format!("NULL in column {i}")))
    }

    pub(crate) fn opt_uuid(&self, i: usize) -> Result<Option<Uuid>, DbError> {
        self.opt_blob(i)?
            .map(|b| Uuid::from_slice(&b).map_err(|e| self.corrupt(format!("id: {e}"))))
            .transpose()
    }

    pub(crate) fn uuid(&self, i: usize) -> Result<Uuid, DbError> {
        self.opt_uuid(i)?
            .ok_or_else(|| self.corrupt(format!("NULL in column {i}")))
    }

    pub(crate) fn opt_time(&self, i: usize) -> Result<Option<time::OffsetDateTime>, DbError> {
        Ok(self.opt_int(i)?.map(decnet_model::clock::from_micros))
    }

    pub(crate) fn time(&self, i: usize) -> Result<time::OffsetDateTime, DbError> {
        Ok(decnet_model::clock::from_micros(self.int(i)?))
    }

    /// A column whose text is a name, an address, a word of a closed list …
    pub(crate) fn parsed<T: FromStr>(&self, i: usize) -> Result<T, DbError>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.text(i)?;
        text.parse().map_err(|e| self.corrupt(format!("{text:?}: {e}")))
    }

    /// A column that holds JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, i: usize) -> Result<T, DbError> {
        serde_json::from_str(&self.text(i)?).map_err(|e| self.corrupt(format!("JSON: {e}")))
    }
}

fn with_args<'q, DB>(sql: Sql) -> sqlx::query::Query<'q, DB, DB::Arguments>
where
    DB: sqlx::Database,
    i64: sqlx::Type<DB> + for<'e> sqlx::Encode<'e, DB>,
    Option<i64>: sqlx::Type<DB> + for<'e> sqlx::Encode<'e, DB>,
    String: sqlx::Type<DB> + for<'e> sqlx::Encode<'e, DB>,
    Vec<u8>: sqlx::Type<DB> + for<'e> sqlx::Encode<'e, DB>,
{
    // Every text is put together in this crate from constants; what comes from outside is an argument.
    let mut query = sqlx::query::<DB>(AssertSqlSafe(sql.text));
    for arg in sql.args {
        query = match arg {
            Arg::Null => query.bind(None::<i64>),
            Arg::Int(v) => query.bind(v),
            Arg::Text(v) => query.bind(v),
            Arg::Blob(v) => query.bind(v),
        };
    }
    query
}

/// The open database.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) pools: Pools,
    /// Where the database is, for messages.
    pub(crate) place: Arc<str>,
    /// How often what was read outside of a transaction, by what it is in words.
    reads: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    /// What was read outside of a transaction, for tests of how an engine goes about it.
    #[cfg(test)]
    pub(crate) statements: Arc<Mutex<Vec<Statement>>>,
}

/// A statement and what was bound to it.
#[cfg(test)]
pub(crate) type Statement = (String, Vec<Arg>);

/// Its connections.
#[derive(Debug, Clone)]
pub(crate) enum Pools {
    Sqlite { reader: SqlitePool, writer: SqlitePool },
    MySql(MySqlPool),
}

/// A write transaction. Dropped without [`Tx::commit`], it is rolled back before its connection is used again.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    /// Absent only while a statement runs.
    MySql(Option<Transaction<'static, MySql>>),
}

/// Runs `work` to its end even where the caller goes away midway. sqlx loses a MySQL connection whose query is dropped
/// while the answer is under way: it stays checked out for good. SQLite's queries run on threads of their own and come
/// through it unharmed; the conformance suite drops calls on both.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, sqlx::Error> {
    // The task is never aborted, so it fails only by a panic or with the runtime.
    tokio::spawn(work)
        .await
        .map_err(|e| sqlx::Error::Io(std::io::Error::other(e)))
}

impl Backend {
    /// Opens the pools and makes one connection.
    pub(crate) async fn open(options: &Options) -> Result<Self, sqlx::Error> {
        let pools = if options.url.starts_with("sqlite:") {
            Pools::open_sqlite(options).await?
        } else {
            Pools::open_mysql(options).await?
        };
        let place = match options.sqlite_file() {
            Some(file) => file.display().to_string(),
            None => options.public_url(),
        };
        Ok(Self {
            pools,
            place: place.into(),
            reads: Arc::default(),
            #[cfg(test)]
            statements: Arc::default(),
        })
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.pools {
            Pools::Sqlite { .. } => Dialect::Sqlite,
            Pools::MySql(_) => Dialect::MySql,
        }
    }

    /// How often that was read.
    pub(crate) fn reads(&self, operation: &str) -> u64 {
        let reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        reads.get(operation).copied().unwrap_or_default()
    }

    /// Rows of a SELECT.
    pub(crate) async fn fetch(&self, sql: Sql) -> Result<Vec<Row>, DbError> {
        let operation = sql.operation;
        *self
            .reads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(operation)
            .or_default() += 1;
        #[cfg(test)]
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((sql.text.to_string(), sql.args.clone()));
        match &self.pools {
            Pools::Sqlite { reader, .. } => with_args::<Sqlite>(sql)
                .fetch_all(reader)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Pools::MySql(pool) => {
                let pool = pool.clone();
                to_the_end(async move { with_args::<MySql>(sql).fetch_all(&pool).await })
                    .await
                    .flatten()
                    .map(|rows| rows.into_iter().map(Row::MySql).collect())
            }
        }
        .map_err(|source| DbError::Query { operation, source })
    }

    /// The first row of a SELECT that gives few.
    pub(crate) async fn fetch_optional(&self, sql: Sql) -> Result<Option<Row>, DbError> {
        Ok(self.fetch(sql).await?.into_iter().next())
    }

    /// One statement that changes something, in a transaction of its own. Gives the rows that it matched.
    pub(crate) async fn execute(&self, sql: Sql) -> Result<u64, DbError> {
        let operation = sql.operation;
        match &self.pools {
            Pools::Sqlite { writer, .. } => with_args::<Sqlite>(sql)
                .execute(writer)
                .await
                .map(|done| done.rows_affected()),
            Pools::MySql(pool) => {
                let pool = pool.clone();
                to_the_end(async move { with_args::<MySql>(sql).execute(&pool).await })
                    .await
                    .flatten()
                    .map(|done| done.rows_affected())
            }
        }
        .map_err(|source| DbError::Query { operation, source })
    }

    /// Begins a write transaction.
    pub(crate) async fn begin(&self) -> Result<Tx, DbError> {
        match &self.pools {
            // Taking the write lock at once: a transaction that first reads cannot wait for it later.
            Pools::Sqlite { writer, .. } => writer.begin_with("BEGIN IMMEDIATE").await.map(Tx::Sqlite),
            Pools::MySql(pool) => {
                let pool = pool.clone();
                to_the_end(async move { pool.begin().await })
                    .await
                    .flatten()
                    .map(|tx| Tx::MySql(Some(tx)))
            }
        }
        .map_err(|source| DbError::Query {
            operation: "begin a transaction",
            source,
        })
    }

    /// Closes every connection, after those that are in use.
    pub(crate) async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { reader, writer } => {
                reader.close().await;
                writer.close().await;
            }
            Pools::MySql(pool) => pool.close().await,
        }
    }
}

impl Pools {
    async fn open_sqlite(options: &Options) -> Result<Self, sqlx::Error> {
        let connect = SqliteConnectOptions::from_str(&options.url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What is committed outlives a power cut: on the ingester's word the spool drops what the database has, and
            // who signed somebody out was told that it is done. NORMAL, usual with WAL, may undo the last transactions.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENT_CACHE)
            .disable_statement_logging();
        create_private(connect.get_filename()).map_err(sqlx::Error::Io)?;
        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(options.acquire_timeout)
                .max_lifetime(options.max_lifetime)
                .test_before_acquire(false)
        };
        let writer = pool()
            .max_connections(1)
            // A transaction that finds no room is rolled back by SQLite itself; the library's own rollback then fails, and
            // it takes the connection to be in that transaction for ever. Such a one is replaced.
            .after_release(|connection, _| {
                Box::pin(async move {
                    // A rollback that is under way is through then.
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
            .connect_with(connect.clone())
            .await?;
        let reader = pool()
            .max_connections(options.max_connections)
            .idle_timeout(Duration::from_secs(60))
            .connect_with(connect.pragma("query_only", "on"))
            .await?;
        Ok(Self::Sqlite { reader, writer })
    }

    async fn open_mysql(options: &Options) -> Result<Self, sqlx::Error> {
        let connect = MySqlConnectOptions::from_str(&options.url)?
            .charset("utf8mb4")
            .collation("utf8mb4_bin")
            .statement_cache_capacity(STATEMENT_CACHE)
            .disable_statement_logging();
        // A pool tries again until its time is over, and then tells nothing but that. One connection tells why there is
        // none, and tells it at once.
        let probe = tokio::time::timeout(options.acquire_timeout, connect.connect())
            .await
            .map_err(|late| sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, late)))??;
        probe.close().await?;
        let pool = MySqlPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .max_lifetime(options.max_lifetime)
            .test_before_acquire(options.pre_ping)
            .connect_with(connect)
            .await?;
        Ok(Self::MySql(pool))
    }
}

/// The file holds password hashes, so nobody else may read it. SQLite gives its side files the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut open = std::fs::OpenOptions::new();
    open.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    open.open(path).map(drop)
}

/// Runs a statement of a transaction to its end: see [`to_the_end`]. Where the caller goes away meanwhile, the
/// transaction is dropped, and so rolled back, when the statement has ended.
async fn on_mysql<T: Send + 'static, F>(
    held: &mut Option<Transaction<'static, MySql>>,
    work: impl FnOnce(Transaction<'static, MySql>) -> F,
) -> Result<T, sqlx::Error>
where
    F: Future<Output = (Transaction<'static, MySql>, Result<T, sqlx::Error>)> + Send + 'static,
{
    let tx = held.take().ok_or(sqlx::Error::WorkerCrashed)?;
    let (tx, result) = to_the_end(work(tx)).await?;
    *held = Some(tx);
    result
}

impl Tx {
    pub(crate) async fn fetch(&mut self, sql: Sql) -> Result<Vec<Row>, DbError> {
        let operation = sql.operation;
        match self {
            Self::Sqlite(tx) => with_args::<Sqlite>(sql)
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Self::MySql(tx) => on_mysql(tx, |mut tx| async move {
                let rows = with_args::<MySql>(sql).fetch_all(&mut *tx).await;
                (tx, rows)
            })
            .await
            .map(|rows| rows.into_iter().map(Row::MySql).collect()),
        }
        .map_err(|source| DbError::Query { operation, source })
    }

    pub(crate) async fn fetch_optional(&mut self, sql: Sql) -> Result<Option<Row>, DbError> {
        Ok(self.fetch(sql).await?.into_iter().next())
    }

    pub(crate) async fn execute(&mut self, sql: Sql) -> Result<u64, DbError> {
        let operation = sql.operation;
        match self {
            Self::Sqlite(tx) => with_args::<Sqlite>(sql)
                .execute(&mut **tx)
                .await
                .map(|done| done.rows_affected()),
            Self::MySql(tx) => on_mysql(tx, |mut tx| async move {
                let done = with_args::<MySql>(sql).execute(&mut *tx).await;
                (tx, done)
            })
            .await
            .map(|done| done.rows_affected()),
        }
        .map_err(|source| DbError::Query { operation, source })
    }

    /// Runs a script of our own: several statements, no arguments.
    pub(crate) async fn script(
        &mut self,
        operation: &'static str,
        script: &'static str,
    ) -> Result<(), DbError> {
        match self {
            Self::Sqlite(tx) => (**tx).execute(sqlx::raw_sql(script)).await.map(drop),
            Self::MySql(tx) => on_mysql(tx, |mut tx| async move {
                let done = (*tx).execute(sqlx::raw_sql(script)).await;
                (tx, done)
            })
            .await
            .map(drop),
        }
        .map_err(|source| DbError::Query { operation, source })
    }

    pub(crate) async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::MySql(None) => Err(sqlx::Error::WorkerCrashed),
            Self::MySql(Some(tx)) => to_the_end(tx.commit()).await.flatten(),
        }
        .map_err(|source| DbError::Query {
            operation: "commit",
            source,
        })
    }

    /// Inserts many rows: `head` is `INSERT INTO t (a, b) VALUES `, `tail` what follows the rows.
    ///
    /// Rows go in groups of a power of two, so that few statements stay prepared whatever the number of rows is.
    pub(crate) async fn insert_rows<const N: usize>(
        &mut self,
        operation: &'static str,
        head: &str,
        tail: &str,
        rows: Vec<[Arg; N]>,
    ) -> Result<(), DbError> {
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while left > 0 {
            let group = group_size(left);
            left -= group;
            let mut text = String::with_capacity(head.len() + tail.len() + group * (2 * N + 3));
            text.push_str(head);
            for i in 0..group {
                text.push_str(if i == 0 { "(?" } else { ", (?" });
                text.push_str(&", ?".repeat(N - 1));
                text.push(')');
            }
            text.push_str(tail);
            let args = rows.by_ref().take(group).flatten().collect();
            self.execute(Sql {
                operation,
                text: text.into(),
                args,
            })
            .await?;
        }
        Ok(())
    }

    /// Which of `keys` stand in `column` of `table`.
    pub(crate) async fn existing(
        &mut self,
        operation: &'static str,
        table: &str,
        column: &str,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Vec<u8>>, DbError> {
        let mut found = Vec::new();
        let mut rest = keys;
        while !rest.is_empty() {
            let (group, after) = rest.split_at(group_size(rest.len()));
            rest = after;
            let text = format!(
                "SELECT {column} FROM {table} WHERE {column} IN (?{})",
                ", ?".repeat(group.len() - 1)
            );
            let args = group.iter().map(|k| Arg::Blob(k.clone())).collect();
            for row in self
                .fetch(Sql {
                    operation,
                    text: text.into(),
                    args,
                })
                .await?
            {
                found.push(row.columns(operation).blob(0)?);
            }
        }
        Ok(found)
    }
}

/// The greatest power of two that is at most `left`, up to 128.
fn group_size(left: usize) -> usize {
    1 << left.min(128).ilog2()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[tokio::test]
    async fn what_sqlite_commits_is_synced_and_not_only_written() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(format!("sqlite://{}", folder.path().join("decnet.db").display()));
        let Pools::Sqlite { writer, .. } = Backend::open(&options).await.unwrap().pools else {
            unreachable!("the URL names SQLite")
        };
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&writer)
            .await
            .unwrap();
        // 2 is FULL: https://www.sqlite.org/pragma.html#pragma_synchronous
        let level: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&writer)
            .await
            .unwrap();
        assert_eq!((mode.as_str(), level), ("wal", 2));
    }
}
