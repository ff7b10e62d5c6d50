//! How the database is reached.

use std::{fmt, path::PathBuf, str::FromStr as _, time::Duration};

use sqlx::sqlite::SqliteConnectOptions;

use crate::DbError;

/// How the database is reached. Make it with [`Options::new`] and change what differs.
#[derive(Clone)]
pub struct Options {
    /// `sqlite:///path/to/decnet.db`, or `mysql://user:password@host:3306/name` (also `mariadb://`).
    pub url: String,
    /// The most connections that are open at a time, 1 to 1000; for SQLite the readers, beside the one writer.
    pub max_connections: u32,
    /// The longest that a caller waits for a connection, over zero.
    pub acquire_timeout: Duration,
    /// After how long a connection is replaced; never where absent.
    pub max_lifetime: Option<Duration>,
    /// Ask the server whether a connection is alive before it is used. Has no effect on SQLite, which is a file.
    pub pre_ping: bool,
}

impl Options {
    /// The defaults for `url`: 4 readers on SQLite and 20 connections elsewhere, 10 s to wait for one, replaced
    /// hourly, pre-ping on.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        Self {
            max_connections: if url.starts_with("sqlite:") { 4 } else { 20 },
            acquire_timeout: Duration::from_secs(10),
            max_lifetime: Some(Duration::from_secs(3600)),
            pre_ping: true,
            url,
        }
    }

    /// Every fault in these options.
    ///
    /// # Errors
    /// [`DbError::Options`] with all of them.
    pub fn validate(&self) -> Result<(), DbError> {
        let mut faults = Vec::new();
        match self.url.split_once(':') {
            Some(("sqlite", path)) => {
                let path = path.trim_start_matches("//");
                if path.is_empty() || path.contains(":memory:") || path.contains("mode=memory") {
                    faults.push("url: SQLite needs the path of a file".to_owned());
                }
            }
            Some(("mysql" | "mariadb", rest)) => {
                let has_name = rest
                    .trim_start_matches('/')
                    .split_once('/')
                    .is_some_and(|(_, name)| !name.split('?').next().unwrap_or_default().is_empty());
                if !has_name {
                    faults.push("url: name the database, as in mysql://user:password@host/decnet".to_owned());
                }
            }
            _ => faults.push("url: must start with sqlite:, mysql: or mariadb:".to_owned()),
        }
        if !(1..=1000).contains(&self.max_connections) {
            faults.push("max_connections: 1 to 1000".to_owned());
        }
        if self.acquire_timeout.is_zero() {
            faults.push("acquire_timeout: over zero".to_owned());
        }
        if self.max_lifetime.is_some_and(|l| l.is_zero()) {
            faults.push("max_lifetime: over zero".to_owned());
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(DbError::Options(faults))
        }
    }

    /// The file of an SQLite database; nothing for a database that is a server.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        let options = SqliteConnectOptions::from_str(&self.url).ok();
        options
            .filter(|_| self.url.starts_with("sqlite:"))
            .map(|o| o.get_filename().to_owned())
    }

    /// The URL without its password, for messages.
    #[must_use]
    pub fn public_url(&self) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return self.url.clone();
        };
        match rest.rsplit_once('@') {
            Some((account, place)) => {
                let user = account.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}@{place}")
            }
            None => self.url.clone(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.public_url())
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("max_lifetime", &self.max_lifetime)
            .field("pre_ping", &self.pre_ping)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Options {
        Options::new(url)
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let mut bad = options("postgres://x/y");
        bad.max_connections = 0;
        bad.acquire_timeout = Duration::ZERO;
        bad.max_lifetime = Some(Duration::ZERO);
        let Err(DbError::Options(faults)) = bad.validate() else {
            unreachable!("these options are wrong")
        };
        assert_eq!(faults.len(), 4, "{faults:?}");
    }

    #[test]
    fn a_database_without_a_name_or_a_file_is_refused() {
        for url in [
            "sqlite:",
            "sqlite::memory:",
            "mysql://u:p@h",
            "mysql://h/",
            "mariadb://h/?ssl=1",
        ] {
            assert!(options(url).validate().is_err(), "{url}");
        }
        for url in [
            "sqlite:a.db",
            "sqlite:///var/lib/a.db",
            "mysql://u:p@h:3306/decnet",
            "mariadb://h/d?x=y",
        ] {
            assert!(options(url).validate().is_ok(), "{url}");
        }
    }

    #[test]
    fn no_password_is_printed() {
        let options = options("mysql://me:geheim@pw@host/decnet");
        assert_eq!(options.public_url(), "mysql://me@host/decnet");
        assert!(!format!("{options:?}").contains("geheim"));
    }
}
