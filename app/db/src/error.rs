//! What can go wrong in the store, by what a caller can do about it.

use sqlx::mysql::MySqlDatabaseError;

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

    /// What lies in the place of an SQLite database is none.
    #[error(
        "{url} is no SQLite database: restore it from a backup, or move it away; `decnet init` then makes a new one, into which \
         the ingester stores the evidence of the spool again"
    )]
    NotADatabase {
        /// Where it lies.
        url: String,
        /// What SQLite says.
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

    /// The database server is set so that an index which this program needs would not work.
    #[error(
        "the database server has {variable} = {found}, and the search needs {rule}: set that in the server's configuration and start it \
         again"
    )]
    Unsuited {
        /// The server's variable.
        variable: &'static str,
        /// What it is.
        found: i64,
        /// What is needed.
        rule: String,
    },

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

    /// Somebody else was faster: what was to be changed is not what that was made from.
    #[error("{what} was changed meanwhile: try again")]
    Changed {
        /// What.
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
    /// Whether what the database holds, that it is none, or how its server is set is the reason: a worker then exits with 78,
    /// because trying again does not help.
    #[must_use]
    pub fn is_schema(&self) -> bool {
        matches!(
            self,
            Self::NotADatabase { .. }
                | Self::SchemaMissing
                | Self::SchemaOlder { .. }
                | Self::SchemaNewer { .. }
                | Self::SchemaUnknown(_)
                | Self::Unsuited { .. }
        )
    }

    /// Whether the database itself refuses what it was to store, as it will the next time: a value too long or out of
    /// range, a constraint, a trigger. A database that is full, locked, read-only or gone refuses nothing: there,
    /// trying again is right.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let Self::Query { source, .. } = self else {
            return false;
        };
        match source {
            sqlx::Error::Encode(_) => true,
            sqlx::Error::Database(error) => match error.try_downcast_ref::<MySqlDatabaseError>() {
                Some(error) => mysql_refuses(error.code(), error.number()),
                None => error.code().is_some_and(|code| sqlite_refuses(&code)),
            },
            _ => false,
        }
    }

    /// Whether the database cannot be reached just now, or sends everybody away: nothing that was asked is at fault, and
    /// asking again later is right.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Query { source, .. } => match source {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed => true,
                sqlx::Error::Database(error) => error
                    .try_downcast_ref::<MySqlDatabaseError>()
                    .is_some_and(|error| mysql_is_away(error.number())),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether there was no room left to write.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Self::Query {
            source: sqlx::Error::Database(error),
            ..
        } = self
        else {
            return false;
        };
        match error.try_downcast_ref::<MySqlDatabaseError>() {
            Some(error) => mysql_is_full(error.number()),
            None => error.code().is_some_and(|code| sqlite_is_full(&code)),
        }
    }

    /// Whether the request is at fault rather than the database.
    #[must_use]
    pub fn is_bad_query(&self) -> bool {
        matches!(self, Self::BadQuery { .. })
    }
}

/// SQLITE_NOTADB and SQLITE_CORRUPT, which is what a file is that only begins like one.
pub(crate) fn is_no_database(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    error.try_downcast_ref::<MySqlDatabaseError>().is_none()
        && error
            .code()
            .is_some_and(|code| matches!(code.parse::<i32>().map(|code| code & 0xff), Ok(11 | 26)))
}

/// Extended result codes of SQLite; the lower byte is what went wrong (sqlite.org/rescode.html): TOOBIG, CONSTRAINT (a
/// trigger's RAISE, too), MISMATCH.
fn sqlite_refuses(code: &str) -> bool {
    code.parse::<i32>()
        .is_ok_and(|code| matches!(code & 0xff, 18..=20))
}

/// SQLSTATE classes: data exception, constraint violation, SIGNAL of a trigger. Some errors of that kind come under
/// other states: a packet too large, a wrong value for a field, a CHECK of MySQL.
fn mysql_refuses(state: Option<&str>, number: u16) -> bool {
    let class = state.and_then(|state| state.get(..2));
    matches!(class, Some("22" | "23" | "45")) || matches!(number, 1153 | 1366 | 3819)
}

/// ER_CON_COUNT_ERROR, ER_SERVER_SHUTDOWN, ER_CONNECTION_KILLED.
fn mysql_is_away(number: u16) -> bool {
    matches!(number, 1040 | 1053 | 1927)
}

/// ER_DISK_FULL, ER_RECORD_FILE_FULL.
fn mysql_is_full(number: u16) -> bool {
    matches!(number, 1021 | 1114)
}

/// SQLITE_FULL, and SQLITE_IOERR_SHMSIZE: the memory that readers of a write-ahead log share is a file, too.
fn sqlite_is_full(code: &str) -> bool {
    matches!(code, "13" | "4874")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_database_would_refuse_again_is_a_refusal() {
        for (code, refused) in [
            ("18", true),
            ("1811", true),
            ("275", true),
            ("20", true),
            ("5", false),
            ("13", false),
            ("8", false),
            ("778", false),
            ("1", false),
        ] {
            assert_eq!(sqlite_refuses(code), refused, "SQLite {code}");
        }
        for (state, number, refused) in [
            ("22001", 1406, true),
            ("22003", 1264, true),
            ("23000", 1062, true),
            ("45000", 1644, true),
            ("08S01", 1153, true),
            ("HY000", 1366, true),
            ("HY000", 1114, false),
            ("HY000", 1205, false),
            ("40001", 1213, false),
            ("08S01", 1053, false),
            ("42S02", 1146, false),
        ] {
            assert_eq!(mysql_refuses(Some(state), number), refused, "{state} {number}");
        }
        let gone = DbError::Query {
            operation: "store log rows",
            source: sqlx::Error::PoolTimedOut,
        };
        assert!(!gone.is_refusal());
    }

    #[test]
    fn what_is_away_or_full_is_no_fault_of_a_request() {
        let failed = |source| DbError::Query {
            operation: "read users",
            source,
        };
        let cut = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        for away in [
            sqlx::Error::PoolTimedOut,
            sqlx::Error::PoolClosed,
            sqlx::Error::Io(cut()),
        ] {
            let away = failed(away);
            assert!(away.is_unreachable() && !away.is_full(), "{away:?}");
        }
        assert!(!failed(sqlx::Error::RowNotFound).is_unreachable());
        assert!(mysql_is_away(1053) && !mysql_is_away(1146) && !mysql_is_away(1114));
        assert!(mysql_is_full(1114) && !mysql_is_full(1205));
        assert!(sqlite_is_full("13") && !sqlite_is_full("5") && !sqlite_is_full("778"));
    }
}
