//! Bringing a database to the schema of this program, and telling when it is at another.
//!
//! Migrations are numbered files, one folder a dialect, and are never changed once released: the table
//! `schema_migrations` keeps the digest of what ran. On SQLite each runs whole or not at all; MySQL and MariaDB commit
//! every DDL statement by themselves, so there a failed migration is told by name and mended by hand.

use std::time::Duration;

use decnet_model::clock::{Clock as _, SystemClock};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, MySqlPool};

use crate::{
    DbError,
    backend::{Backend, Dialect, Pools, Sql, Tx},
    texts,
};

struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    mysql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            mysql: include_str!(concat!("../migrations/mysql/", $name, ".sql")),
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations![1 "0001_foundation", 2 "0002_api_tokens", 3 "0003_second_factors", 4 "0004_sessions", 5 "0005_credentials", 6 "0006_attacker_orders", 7 "0007_touches", 8 "0008_reaped", 9 "0009_bounty_orders", 10 "0010_accepted", 11 "0011_stopped", 12 "0012_search", 13 "0013_finds_of_attacker", 14 "0014_large_tasks", 15 "0015_texts", 16 "0016_reuse_of_a_kind"];

/// How long one server waits for another that is migrating.
const LOCK_WAIT: Duration = Duration::from_secs(120);

const VERSIONS_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    name VARCHAR(128) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    applied_at BIGINT NOT NULL
)";

impl Migration {
    fn script(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::MySql => self.mysql,
        }
    }

    fn digest(&self, dialect: Dialect) -> String {
        Sha256::digest(self.script(dialect))
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }
}

/// Runs what is missing; gives the names of what ran. Several may be called at once, in several processes.
pub(crate) async fn migrate(backend: &Backend) -> Result<Vec<&'static str>, DbError> {
    texts::suits(backend).await?;
    match &backend.pools {
        // The write transaction is the lock: SQLite has one at a time.
        Pools::Sqlite { .. } => run(backend).await,
        Pools::MySql(pool) => locked(pool, backend).await,
    }
}

async fn locked(pool: &MySqlPool, backend: &Backend) -> Result<Vec<&'static str>, DbError> {
    let failed = |source| DbError::Query {
        operation: "lock the database for migration",
        source,
    };
    // A connection of its own, closed at the end whatever happens: the lock belongs to the connection.
    let mut connection = pool.acquire().await.map_err(failed)?.detach();
    let got: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(CONCAT('decnet.migrate.', DATABASE()), ?)")
        .bind(i64::try_from(LOCK_WAIT.as_secs()).unwrap_or(i64::MAX))
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    if got != Some(1) {
        return Err(failed(sqlx::Error::PoolTimedOut));
    }
    let result = run(backend).await;
    connection.close().await.map_err(failed)?;
    result
}

async fn run(backend: &Backend) -> Result<Vec<&'static str>, DbError> {
    let dialect = backend.dialect();
    let mut tx = backend.begin().await?;
    refuse_foreign_tables(&mut tx, dialect).await?;
    tx.execute(Sql::new("make the table of migrations", VERSIONS_TABLE))
        .await?;
    let there = applied(tx.fetch(applied_sql()).await?)?;
    compare(dialect, &there)?;
    let mut ran = Vec::new();
    for migration in MIGRATIONS.get(there.len()..).unwrap_or_default() {
        tracing::info!(migration = migration.name, "migrating the database");
        tx.script(migration.name, migration.script(dialect)).await?;
        tx.execute(
            Sql::new(
                "note a migration",
                "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)",
            )
            .bind(migration.version)
            .bind(migration.name)
            .bind(migration.digest(dialect))
            .bind(SystemClock.now()),
        )
        .await?;
        ran.push(migration.name);
    }
    tx.commit().await?;
    Ok(ran)
}

/// Succeeds only where the schema is exactly this program's.
pub(crate) async fn check(backend: &Backend) -> Result<(), DbError> {
    let tables = backend.fetch(list_tables(backend.dialect())).await?;
    let tables = names(tables)?;
    if tables.is_empty() {
        return Err(DbError::SchemaMissing);
    }
    if !tables.iter().any(|t| t == "schema_migrations") {
        return Err(not_ours(&tables));
    }
    let there = applied(backend.fetch(applied_sql()).await?)?;
    compare(backend.dialect(), &there)?;
    let known = MIGRATIONS.last().map_or(0, |m| m.version);
    match there.last() {
        Some((found, ..)) if *found == known => texts::suits(backend).await,
        Some((found, ..)) => Err(DbError::SchemaOlder { found: *found, known }),
        None => Err(DbError::SchemaMissing),
    }
}

fn applied_sql() -> Sql {
    Sql::new(
        "read the schema's version",
        "SELECT version, name, digest FROM schema_migrations ORDER BY version",
    )
}

type Applied = (i64, String, String);

fn applied(rows: Vec<crate::backend::Row>) -> Result<Vec<Applied>, DbError> {
    rows.iter()
        .map(|row| {
            let c = row.columns("read the schema's version");
            Ok((c.int(0)?, c.text(1)?, c.text(2)?))
        })
        .collect()
}

/// What ran must be a head of what this program knows.
fn compare(dialect: Dialect, there: &[Applied]) -> Result<(), DbError> {
    let known = MIGRATIONS.last().map_or(0, |m| m.version);
    if let Some((found, ..)) = there.last()
        && *found > known
    {
        return Err(DbError::SchemaNewer { found: *found, known });
    }
    for ((version, name, digest), ours) in there.iter().zip(MIGRATIONS) {
        if *version != ours.version || *digest != ours.digest(dialect) {
            return Err(DbError::SchemaUnknown(format!(
                "migration {version} ({name}) is not this program's {}",
                ours.name
            )));
        }
    }
    Ok(())
}

fn list_tables(dialect: Dialect) -> Sql {
    Sql::new(
        "list tables",
        match dialect {
            Dialect::Sqlite => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
            }
            Dialect::MySql => {
                "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables WHERE table_schema = DATABASE()"
            }
        },
    )
}

fn names(rows: Vec<crate::backend::Row>) -> Result<Vec<String>, DbError> {
    rows.iter()
        .map(|row| row.columns("list tables").text(0))
        .collect()
}

/// A database with tables and without our mark belongs to somebody else.
async fn refuse_foreign_tables(tx: &mut Tx, dialect: Dialect) -> Result<(), DbError> {
    let tables = names(tx.fetch(list_tables(dialect)).await?)?;
    if tables.is_empty() || tables.iter().any(|t| t == "schema_migrations") {
        Ok(())
    } else {
        Err(not_ours(&tables))
    }
}

fn not_ours(tables: &[String]) -> DbError {
    let some: Vec<_> = tables.iter().take(3).map(String::as_str).collect();
    DbError::SchemaUnknown(format!(
        "it has tables ({} …) and no schema_migrations",
        some.join(", ")
    ))
}
