//! Databases to test on: an SQLite file, and a MariaDB server of our own.

use std::{
    future::Future,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use decnet_db::{Options, Store};
use sqlx::{Connection as _, MySqlConnection, SqliteConnection};
use tempfile::TempDir;

pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// An empty database with the schema in it.
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) options: Options,
    folder: Option<TempDir>,
}

impl Database {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(format!("sqlite://{}", folder.path().join("decnet.db").display()));
        Self::migrated(options, Some(folder)).await
    }

    async fn migrated(options: Options, folder: Option<TempDir>) -> Self {
        let store = Store::connect(&options).await.unwrap();
        store.migrate().await.unwrap();
        Self {
            store,
            options,
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.folder.is_some()
    }

    /// Statements behind the store's back, one after the other; gives the error of the first that fails.
    pub(crate) async fn raw(&self, statements: &[&'static str]) -> Result<(), sqlx::Error> {
        for statement in statements {
            if self.is_sqlite() {
                let mut connection = SqliteConnection::connect(&self.options.url).await?;
                sqlx::raw_sql(*statement).execute(&mut connection).await?;
                connection.close().await?;
            } else {
                let mut connection = MySqlConnection::connect(&self.options.url).await?;
                sqlx::raw_sql(*statement).execute(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }

    /// The number that a query gives.
    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        if self.is_sqlite() {
            let mut connection = SqliteConnection::connect(&self.options.url).await.unwrap();
            sqlx::query_scalar(query)
                .fetch_one(&mut connection)
                .await
                .unwrap()
        } else {
            let mut connection = MySqlConnection::connect(&self.options.url).await.unwrap();
            sqlx::query_scalar(query)
                .fetch_one(&mut connection)
                .await
                .unwrap()
        }
    }

    /// An empty database beside this one, without a schema.
    pub(crate) async fn sibling(&self) -> Options {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sibling{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut options = self.options.clone();
        if self.is_sqlite() {
            options.url = format!("sqlite://{}", self.folder().join(name).display());
        } else {
            let created: &'static str = Box::leak(format!("CREATE DATABASE {name}").into_boxed_str());
            self.raw(&[created]).await.unwrap();
            let (head, socket) = options.url.split_once('?').unwrap();
            let (server, _) = head.rsplit_once('/').unwrap();
            options.url = format!("{server}/{name}?{socket}");
        }
        options
    }
}

/// A MariaDB server on a temporary folder and a UNIX socket; ended when dropped.
pub(crate) struct Maria {
    server: Child,
    folder: TempDir,
}

impl Maria {
    /// With more of its options. None, with the reason on standard error, where MariaDB is not installed.
    pub(crate) fn start(options: &[&str]) -> Option<Self> {
        let find = |name: &str| {
            ["/usr/sbin", "/usr/bin", "/usr/local/bin"]
                .iter()
                .map(|d| Path::new(d).join(name))
                .find(|p| p.exists())
        };
        let (Some(server), Some(install)) = (find("mariadbd"), find("mariadb-install-db")) else {
            decnet_testkit::skipped(
                "mariadbd is not installed (Debian: mariadb-server); nothing is shown of MariaDB",
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let me = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let installed = Command::new(install)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--user={me}"))
            .args([
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(installed.success(), "mariadb-install-db: {installed}");
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let server = Command::new(server)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", folder.path().join("sock").display()))
            .arg(format!("--pid-file={}", folder.path().join("pid").display()))
            .arg(format!("--user={me}"))
            .args([
                "--skip-networking",
                // What is thrown away need not reach a disk.
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-flush-method=nosync",
                "--innodb-doublewrite=0",
                "--innodb-buffer-pool-size=32M",
            ])
            .args(options)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Some(Self { server, folder })
    }

    fn url(&self, database: &str) -> String {
        let socket: PathBuf = self.folder.path().join("sock");
        format!("mysql://root@localhost/{database}?socket={}", socket.display())
    }

    /// Another empty database with the schema in it.
    pub(crate) async fn database(&self) -> Database {
        Database::migrated(self.empty().await, None).await
    }

    /// Another empty database.
    pub(crate) async fn empty(&self) -> Options {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("case{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut connection = loop {
            match MySqlConnection::connect(&self.url("mysql")).await {
                Ok(connection) => break connection,
                Err(error) => {
                    let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                    assert!(
                        Instant::now() < deadline,
                        "MariaDB does not answer: {error}\n{}",
                        log()
                    );
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        Options::new(self.url(&name))
    }
}

impl Drop for Maria {
    fn drop(&mut self) {
        // A throw-away server: there is nothing to save.
        let _gone = self.server.kill();
        let _reaped = self.server.wait();
    }
}
