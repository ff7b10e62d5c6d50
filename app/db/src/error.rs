//! What can go wrong in the store, by what a caller can do about it.

/// Why an operation of the [`Store`](crate::Store) failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The options make no sense; every fault is listed.
    #[error("database options: {}", .0.join("; "))]
    Options(Vec<String>),

    /// No connection after every attempt at start.
    #[error("database {url} cannot be reached ({attempts} attempts): {source}")]
    Unreachable {
        /// The URL without its password.
        url: String,
        /// Attempts that were made.
        attempts: u32,
        /// The last failure.
        source: sqlx::Error,
    },

    /// The database has no schema yet.
    #[error("the database is empty: run `decnet db migrate`, or start the server once")]
    SchemaMissing,

    /// The database lacks migrations that this program needs.
    #[error("the database is at schema {found} and this program needs {known}: run `decnet db migrate`")]
    SchemaOlder {
        /// Last migration in the database.
        found: i64,
        /// Last migration of this program.
        known: i64,
    },

    /// The database was migrated by a newer program.
    #[error(
        "the database is at schema {found} and this program knows up to {known}: run the newer program, or restore a backup from before"
    )]
    SchemaNewer {
        /// Last migration in the database.
        found: i64,
        /// Last migration of this program.
        known: i64,
    },

    /// The database has a migration of the same number and another content, or tables that are not ours.
    #[error("the database has a schema that is not DECNET's: {0}")]
    SchemaUnknown(String),

    /// A statement failed.
    #[error("cannot {operation}")]
    Query {
        /// What was being done, such as `read users`.
        operation: &'static str,
        /// Why it failed.
        source: sqlx::Error,
    },

    /// A stored value is not what it should be.
    #[error("cannot {operation}: the database holds a bad {what}")]
    Corrupt {
        /// What was being done.
        operation: &'static str,
        /// Which value, and what is wrong with it.
        what: String,
    },

    /// A query asks for something that cannot be: which field, and what is allowed.
    #[error("{field}: {rule}")]
    BadQuery {
        /// Field of the query.
        field: &'static str,
        /// What is allowed.
        rule: String,
    },

    /// Something of that name is there already.
    #[error("{what} is taken")]
    Taken {
        /// What was to be made.
        what: String,
    },

    /// There is no such thing.
    #[error("there is no {what}")]
    Missing {
        /// What was looked for.
        what: String,
    },

    /// The change would leave nobody who may administer.
    #[error("this is the last administrator who can sign in")]
    LastAdmin,

    /// Another ingester has moved the position meanwhile, or this one is stale: nothing was stored.
    #[error("the batch starts at {batch} and the database stands at {stored}: another ingester is at work")]
    PositionMoved {
        /// Where the batch starts.
        batch: String,
        /// Where the database stands.
        stored: String,
    },
}

impl DbError {
    /// Whether the schema is the reason: a worker then exits with 78, because trying again does not help.
    #[must_use]
    pub fn is_schema(&self) -> bool {
        matches!(
            self,
            Self::SchemaMissing
                | Self::SchemaOlder { .. }
                | Self::SchemaNewer { .. }
                | Self::SchemaUnknown(_)
        )
    }

    /// Whether the request is at fault rather than the database.
    #[must_use]
    pub fn is_bad_query(&self) -> bool {
        matches!(self, Self::BadQuery { .. })
    }
}
