//! Real servers, as Debian packages them, that decoys are held against: found, started and ended.
//!
//! `decnet lab compare` and the decoys' tests ask the same of both. A control listens on a free port of 127.0.0.1, works in a
//! temporary folder with a configuration that says what its package's does, and is gone, with its folder, when its [`Control`] is
//! dropped. Start at [`start`]; what each product is told stands in `setup.rs`. [`ssh`] makes the words of a client, which both say.
//!
//! Deliberately absent: what else is asked of a server, and every decoy.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

mod process;
mod setup;
pub mod ssh;

use process::Ending;

/// A server that can be a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// OpenSSH's sshd.
    OpenSsh,
    /// nginx.
    Nginx,
    /// Apache.
    Apache,
    /// Redis.
    Redis,
    /// MariaDB.
    MariaDb,
    /// Postfix.
    Postfix,
    /// Exim 4.
    Exim,
    /// vsftpd.
    VsFtpd,
    /// ProFTPD.
    ProFtpd,
}

impl Product {
    /// Each, in the order in which services are listed.
    pub const ALL: &'static [Self] = &[
        Self::OpenSsh,
        Self::Nginx,
        Self::Apache,
        Self::Redis,
        Self::MariaDb,
        Self::Postfix,
        Self::Exim,
        Self::VsFtpd,
        Self::ProFtpd,
    ];

    /// Its name as a persona's products have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.about().0
    }

    /// The decoys' service that it is a control of.
    #[must_use]
    pub const fn service(self) -> &'static str {
        self.about().1
    }

    /// Debian's package of it.
    #[must_use]
    pub const fn package(self) -> &'static str {
        self.about().2
    }

    /// Its program.
    const fn program(self) -> &'static str {
        self.about().3
    }

    /// Whether only root can start it.
    const fn is_roots(self) -> bool {
        self.about().4
    }

    const fn about(self) -> (&'static str, &'static str, &'static str, &'static str, bool) {
        match self {
            Self::OpenSsh => ("OpenSSH", "ssh", "openssh-server", "sshd", false),
            Self::Nginx => ("nginx", "http", "nginx", "nginx", false),
            Self::Apache => ("Apache", "http", "apache2", "apache2", false),
            Self::Redis => ("Redis", "redis", "redis-server", "redis-server", false),
            Self::MariaDb => ("MariaDB", "mysql", "mariadb-server", "mariadbd", false),
            Self::Postfix => ("Postfix", "smtp", "postfix", "postfix", true),
            Self::Exim => ("Exim", "smtp", "exim4-daemon-light", "exim4", true),
            Self::VsFtpd => ("vsFTPd", "ftp", "vsftpd", "vsftpd", true),
            Self::ProFtpd => ("ProFTPD", "ftp", "proftpd-core", "proftpd", true),
        }
    }
}

/// Why there is no control.
#[derive(Debug, thiserror::Error)]
pub enum Absence {
    /// It is not installed.
    #[error("{0} is not installed (Debian: {package})", package = .1.package())]
    NotInstalled(&'static str, Product),
    /// This user may not start it.
    #[error("{name} has to be started as root", name = .0.name())]
    NeedsRoot(Product),
    /// It does not say which version it is.
    #[error("{name} does not tell its version: {1}", name = .0.name())]
    Version(Product, String),
    /// It was started and does not answer.
    #[error("{name} does not answer: {1}", name = .0.name())]
    Silent(Product, String),
    /// The operating system forbids what it needs.
    #[error("{name}: {1}: {2}", name = .0.name())]
    Io(Product, String, io::Error),
}

/// A server that is installed.
#[derive(Debug, Clone)]
pub struct Installed {
    product: Product,
    program: PathBuf,
    /// Its version as it says it: `9.2`, `1.22.1`, `10.11.6-MariaDB-0+deb12u1`.
    pub version: String,
}

/// Find `product` and ask it for its version.
///
/// # Errors
/// Where it is not installed, or says no version.
pub fn installed(product: Product) -> Result<Installed, Absence> {
    let program = found(product.program(), product)?;
    let version = setup::version(product, &program)?;
    Ok(Installed {
        product,
        program,
        version,
    })
}

/// What a control says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Words<'a> {
    /// Its host name with domain; `localhost` where empty. Of those that say it: Apache, Postfix and Exim.
    pub host: &'a str,
    /// The domain whose mail it takes, for postmaster alone. Of Postfix and Exim.
    pub domain: &'a str,
    /// Its version, where another than its own is wanted. Of MariaDB.
    pub version: &'a str,
}

/// A running server. It ends when this is dropped, and its folder goes.
#[derive(Debug)]
pub struct Control {
    // Before the folder, because it works there until it has ended.
    ending: Ending,
    address: SocketAddr,
    version: String,
    folder: tempfile::TempDir,
}

impl Control {
    /// Its own version, as [`Installed`] has it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its folder. sshd lets in who has the key `owner` there; mariadbd answers its root on the socket `s`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Start `server`, and wait until it answers. Where this is dropped before, nothing is left either.
///
/// - sshd has keys of its own, and lets nobody in by a password who is nobody's;
/// - nginx and Apache serve a page, a text (`robots.txt`) and a folder that may not be listed (`wp-content`);
/// - mariadbd has an account `r` with the password `p`, which may read the table `t` of the database `b`;
/// - Postfix and Exim take mail for postmaster and trust no client;
/// - vsftpd and ProFTPD let guests in; those of vsftpd may write.
///
/// Needs a tokio runtime with time and network.
///
/// # Errors
/// Where it cannot be started, or does not answer within a minute.
pub async fn start(server: &Installed, words: Words<'_>) -> Result<Control, Absence> {
    let product = server.product;
    if product.is_roots() && !nix::unistd::geteuid().is_root() {
        return Err(Absence::NeedsRoot(product));
    }
    setup::start(server, words).await
}

/// Where a program is: servers stand in folders that are not on everybody's path.
fn found(program: &'static str, product: Product) -> Result<PathBuf, Absence> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let standard = ["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(standard)
        .map(|folder| folder.join(program))
        .find(|file| file.is_absolute() && file.is_file())
        .ok_or(Absence::NotInstalled(program, product))
}
