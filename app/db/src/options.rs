//! How the database is reached.

use std::{fmt, path::PathBuf, str::FromStr as _, time::Duration};

use sqlx::{mysql::MySqlConnectOptions, sqlite::SqliteConnectOptions};

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
        let mut faults: Vec<String> = url_faults(&self.url)
            .into_iter()
            .map(|fault| format!("url: {fault}"))
            .collect();
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
        let Some((account, place)) = self.url.rsplit_once('@') else {
            return self.url.clone();
        };
        match account.split_once("://") {
            Some((scheme, account)) => {
                let user = account.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}@{place}")
            }
            // No URL that anything connects to; whatever stands there may be a password.
            None => format!("…@{place}"),
        }
    }
}

/// Everything that is wrong with the URL of a database, each in words that go on after its name. None of them repeats
/// anything of it, since it may hold a password, well-formed or not.
#[must_use]
pub fn url_faults(url: &str) -> Vec<&'static str> {
    match url.split_once(':') {
        Some(("sqlite", path)) => sqlite_faults(url, path),
        Some(("mysql" | "mariadb", rest)) => mysql_faults(url, rest),
        _ => vec!["begins with none of sqlite:, mysql: and mariadb:"],
    }
}

fn sqlite_faults(url: &str, rest: &str) -> Vec<&'static str> {
    let rest = rest.trim_start_matches("//");
    let path = rest.split('?').next().unwrap_or_default();
    if path.is_empty() || rest.contains(":memory:") || rest.contains("mode=memory") {
        vec!["names no file; SQLite in memory would be another one for each process"]
    } else if path.ends_with('/') {
        vec!["names a folder and no file"]
    } else if SqliteConnectOptions::from_str(url).is_err() {
        vec!["has something after ? that SQLite does not know"]
    } else {
        Vec::new()
    }
}

const ENCODE: &str =
    "has an account that cannot be read; / ? # and % in a password are written %2F %3F %23 and %25";

fn mysql_faults(url: &str, rest: &str) -> Vec<&'static str> {
    let Some(rest) = rest.strip_prefix("//") else {
        return vec!["has no // after its scheme"];
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = rest.split('?').next().unwrap_or_default();
    let (account, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    // The password ended the authority before its host.
    if account.is_empty() && (path.contains('@') || path.is_empty() && rest.contains('@')) {
        return vec![ENCODE];
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    let mut faults = Vec::new();
    if host.is_empty() {
        faults.push("names no host");
    }
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        faults.push("has a port that is none of 1 to 65535");
    }
    match path.strip_prefix('/').unwrap_or_default() {
        "" => faults.push("names no database, as in mysql://user:password@host/decnet"),
        name if name.contains('/') => faults.push("does not name one database after its host"),
        _ => {}
    }
    if faults.is_empty() && MySqlConnectOptions::from_str(url).is_err() {
        let without_query = url.split('?').next().unwrap_or_default();
        faults.push(match MySqlConnectOptions::from_str(without_query) {
            Ok(_) => "has something after ? that cannot be",
            Err(_) if account.is_empty() => "names a host that cannot be",
            Err(_) => ENCODE,
        });
    }
    faults
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
        for malformed in ["mysql:/me:geheim@host/decnet", "me:geheim@host"] {
            assert!(
                !Options::new(malformed).public_url().contains("geheim"),
                "{malformed}"
            );
        }
    }
}
