//! The store: everything that DECNET keeps in a database, on SQLite or on MySQL and MariaDB.
//!
//! This is the only crate with SQL. Start at [`Store`]; its operations stand in one module a resource, and are named
//! resource first. Reads give the views of `decnet_model::view`; writes take what they need and the time, so that
//! nothing here asks a clock but the migrations. Lists are keyset-paged with an opaque cursor, and totals come from
//! counters that are kept in the transaction of the rows, so that no page and no total scans a table.
//!
//! [`ingest`] is how evidence comes in and [`meaning`] what a line of it means. Deliberately absent: permissions and
//! limits of input (`decnet-domain`), and any knowledge of where the spool lies.

mod api_tokens;
mod audit;
mod backend;
mod credentials;
mod cursor;
mod error;
mod evidence;
mod fleet;
pub mod ingest;
pub mod meaning;
mod migrate;
mod options;
mod order;
#[cfg(test)]
mod plans;
pub mod profile;
mod reckoning;
mod retention;
pub mod search;
mod second_factor;
mod sessions;
mod settings;
mod tasks;
mod texts;
mod traversal;
mod users;
mod workers;

use std::time::Duration;

pub use api_tokens::{ApiTokenRow, NewApiToken, TokenDigest};
pub use error::DbError;
pub use evidence::TopColumn;
pub use fleet::{DeckyRecord, NewDecky, Observation};
pub use options::{Options, url_faults};
pub use reckoning::Reckoning;
pub use second_factor::SecondFactorRow;
pub use sessions::SessionNote;
pub use settings::Setting;
pub use users::{NewUser, UserRow};

use backend::{Backend, Sql};

/// Attempts to connect at start, and the pause after the first; it doubles.
const CONNECT_ATTEMPTS: u32 = 5;
const CONNECT_PAUSE: Duration = Duration::from_millis(250);

/// The open database. Cheap to clone; every operation may be cancelled by dropping it, and then has either happened
/// whole or not at all.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Backend,
}

impl Store {
    /// Connects, in five attempts. It makes the file of an SQLite database and no schema: see [`Store::migrate`].
    ///
    /// # Errors
    /// [`DbError::Options`], [`DbError::Unreachable`], [`DbError::NotADatabase`].
    pub async fn connect(options: &Options) -> Result<Self, DbError> {
        options.validate()?;
        let mut pause = CONNECT_PAUSE;
        let mut attempt = 1;
        loop {
            match Backend::open(options).await {
                Ok(backend) => return Ok(Self { backend }),
                Err(source) if error::is_no_database(&source) => {
                    let url = options.public_url();
                    return Err(DbError::NotADatabase { url, source });
                }
                Err(error) => {
                    let url = options.public_url();
                    tracing::warn!(url, attempt, of = CONNECT_ATTEMPTS, %error, "database cannot be reached");
                    if attempt == CONNECT_ATTEMPTS {
                        return Err(DbError::Unreachable {
                            url,
                            attempts: attempt,
                            source: error,
                        });
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    /// Where there is no room and what to do about it, if that is why something failed with `error`: for the log and for whoever
    /// runs the host.
    #[must_use]
    pub fn way_out(&self, error: &DbError) -> Option<String> {
        let place = &self.backend.place;
        error
            .is_full()
            .then(|| format!("no room for the database {place}; free space on its disk"))
    }

    /// Brings the schema up to date and gives the names of the migrations that ran. Several may do so at once.
    ///
    /// # Errors
    /// [`DbError::SchemaNewer`] and [`DbError::SchemaUnknown`] where the database is not this program's.
    pub async fn migrate(&self) -> Result<Vec<&'static str>, DbError> {
        migrate::migrate(&self.backend).await
    }

    /// Succeeds only where the schema is exactly the one that this program knows.
    ///
    /// # Errors
    /// One of the errors for which [`DbError::is_schema`] holds, saying what to do.
    pub async fn check_schema(&self) -> Result<(), DbError> {
        migrate::check(&self.backend).await
    }

    /// Whether the database answers: for health.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.backend
            .fetch(Sql::new("ask the database whether it answers", "SELECT 1"))
            .await
            .map(drop)
    }

    /// How often this store and its copies read what `operation` says, in the words that errors have for it (`read log rows`): what many ask for
    /// at once is to be read once, and can be held to that.
    #[must_use]
    pub fn reads(&self, operation: &str) -> u64 {
        self.backend.reads(operation)
    }

    /// Closes every connection, waiting for those that are in use.
    pub async fn close(&self) {
        self.backend.close().await;
    }
}
