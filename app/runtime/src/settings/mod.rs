//! The configuration: read from every source, checked whole, every fault at once.
//!
//! [`Settings::read`] binds nothing and writes nothing. [`Settings::explain`] tells each value with where it came from.

pub mod keys;
pub mod sources;
mod web_origin;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use decnet_bus::{BusConfig, BusError, Endpoint};
use decnet_model::{
    name::UserName,
    password::{self, PasswordFault},
};
use ipnet::IpNet;
use secrecy::SecretString;

use self::{
    keys::{KEYS, LAN, by_name},
    sources::{DISALLOW_MASTER, Gathered, Raw, gather, truth},
};
pub use self::{
    sources::{Fault, Origin, Sources},
    web_origin::WebOrigin,
};
use crate::{
    exit::{Exit, StartError},
    secret, supervisor,
};

/// What this host is in the deception network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Has the database and the dashboard.
    Master,
    /// Runs deckies for a master elsewhere.
    Agent,
}

/// How much errors tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Public text and an error id.
    Production,
    /// Everything that led to it.
    Development,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The checked configuration of a process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// See [`Mode`].
    pub mode: Mode,
    /// The master's commands are refused on an agent.
    pub disallow_master: bool,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// See [`Environment`].
    pub environment: Environment,
    /// Filter of log lines.
    pub log_level: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where log lines go; standard error where absent.
    pub log_file_path: Option<PathBuf>,
    /// The bus.
    pub bus: BusConfig,
    /// The spool.
    pub spool: SpoolSettings,
    /// The database.
    pub database: DatabaseSettings,
    /// The ingester.
    pub ingest: IngestSettings,
    /// The server.
    pub server: ServerSettings,
    /// The fleet.
    pub fleet: FleetSettings,
    explained: Vec<Explained>,
}

/// The spool's limits.
#[derive(Debug, Clone)]
pub struct SpoolSettings {
    /// A segment is closed at this size.
    pub segment_bytes: u64,
    /// A segment is closed at this age.
    pub segment_age: Duration,
    /// Read segments are dropped beyond this.
    pub cap_bytes: u64,
    /// Unread segments too are dropped beyond this.
    pub hard_cap_bytes: u64,
    /// No lines are taken while the disk has less room than this.
    pub min_free_bytes: u64,
    /// Longest time between a line and its fsync.
    pub commit_interval: Duration,
}

/// The database and its pool.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `sqlite:///path` or `mysql://…`.
    pub url: SecretString,
    /// Connections kept open.
    pub pool_size: u32,
    /// Longest wait for one.
    pub max_wait: Duration,
    /// Age at which one is replaced; never where absent.
    pub recycle: Option<Duration>,
    /// Whether one is tested before use.
    pub pre_ping: bool,
}

/// The ingester's batches.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Lines stored at once.
    pub batch_size: usize,
    /// Longest time that a line waits.
    pub batch_max_wait: Duration,
}

/// How the server speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    Off,
    /// With a certificate that the installation's own authority issues.
    Auto,
    /// With an operator's PEM files.
    Files {
        /// The chain, leaf first.
        chain: PathBuf,
        /// The leaf's key.
        key: PathBuf,
    },
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Auto => f.write_str("auto"),
            Self::Files { chain, key } => write!(f, "{},{}", chain.display(), key.display()),
        }
    }
}

/// What only the server uses.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How it speaks TLS.
    pub tls: Tls,
    /// Connections that it has open at once.
    pub max_connections: usize,
    /// How browsers reach it, without a slash at the end.
    pub public_url: String,
    /// Folder of the dashboard's files.
    pub site_root: PathBuf,
    /// Signs sessions; in a key file where absent. See [`Settings::jwt_secret`].
    jwt_secret: Option<SecretString>,
    /// Seals the secrets of second factors; in a key file where absent. See [`Settings::totp_key`].
    totp_key: Option<SecretString>,
    /// Whether everybody has to have a second factor.
    pub require_totp: bool,
    /// How long a login lasts.
    pub jwt_expiry: Duration,
    /// The first administrator.
    pub admin_user: UserName,
    /// Its password until it is changed.
    pub admin_password: Option<SecretString>,
    /// Networks whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whose scripts may use the REST API.
    pub cors_origins: Vec<WebOrigin>,
    /// Event streams that a user may have open.
    pub sse_max_per_user: usize,
    /// How long an answer of the API is everybody's who asks for the same.
    pub answers_good_for: Duration,
}

/// What the planner and the engines use.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// Name of the engine.
    pub engine: String,
    /// Addresses of deckies.
    pub network: IpNet,
    /// Whether that was given, and is not the default of local deckies.
    pub network_given: bool,
    /// Where deckies with addresses of their own stand.
    pub lan: LanSettings,
    /// What the engine docker works with.
    pub docker: DockerSettings,
    /// Added to ports that this user may not bind.
    pub port_offset: u16,
    /// Most deckies.
    pub deployment_limit: u32,
    /// How often deckies mutate that have no interval of their own.
    pub mutate_interval: Option<Duration>,
    /// The program that deckies run.
    pub decoy_program: PathBuf,
}

/// What the engine docker works with.
#[derive(Debug, Clone)]
pub struct DockerSettings {
    /// The daemon's socket.
    pub socket: PathBuf,
    /// The folder of the containers' own folders.
    pub folder: PathBuf,
}

/// Where deckies of the engines docker and netns stand.
#[derive(Debug, Clone)]
pub struct LanSettings {
    /// The interface that deckies stand behind.
    pub interface: Option<String>,
    /// Whether they share its hardware address.
    pub ipvlan: bool,
    /// The way out of their network.
    pub gateway: Option<Ipv4Addr>,
}

/// One key with its value and where it came from; a secret's value is redacted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explained {
    /// The key.
    pub key: &'static str,
    /// Its value in effect.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = if self.0.len() == 1 { "fault" } else { "faults" };
        write!(f, "{} {faults} in the configuration:", self.0.len())?;
        for fault in &self.0 {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Where the words of the command line are wrong, that decides what the process exits with.
impl From<Faults> for StartError {
    fn from(faults: Faults) -> Self {
        let wrong_words =
            |fault: &Fault| fault.origin == Origin::CommandLine && by_name(&fault.key).is_none();
        Self {
            exit: if faults.0.iter().any(wrong_words) {
                Exit::Usage
            } else {
                Exit::Config
            },
            message: faults.to_string(),
        }
    }
}

impl Settings {
    /// Read and check everything that `sources` say.
    ///
    /// # Errors
    /// Every fault there is, each with its key, its source and what is allowed.
    pub fn read(sources: &Sources) -> Result<Self, Faults> {
        let mut reader = Reader::of(sources);
        let settings = reader.settings(sources);
        // Where the key files are is not known where the data directory is wrong.
        let is_wrong = |faults: &[Fault], key: &str| faults.iter().any(|fault| fault.key == key);
        let reads = sources.worker == Some("server") || sources.key_files;
        if reads && settings.mode == Mode::Master && !is_wrong(&reader.faults, "data-dir") {
            let mut keys = settings.key_faults(sources.worker.is_some());
            // What stands in the configuration is a fault already, and the file does not count then.
            keys.retain(|fault| !is_wrong(&reader.faults, &fault.key));
            reader.faults.extend(keys);
        }
        if reader.faults.is_empty() {
            Ok(Self {
                explained: reader.explained,
                ..settings
            })
        } else {
            Err(Faults(reader.faults))
        }
    }

    /// What is wrong with values that a stronger source covers. They do not count, so nothing is refused for them; they would
    /// be faults on the day that nothing covers them any more.
    #[must_use]
    pub fn covered_faults(sources: &Sources) -> Vec<Fault> {
        let mut reader = Reader::of(sources);
        let _in_effect = reader.settings(sources);
        reader.covered_faults
    }

    /// Each key with its value in effect and where that came from, secrets redacted.
    #[must_use]
    pub fn explain(&self) -> &[Explained] {
        &self.explained
    }

    /// Whether somebody said what `key` is; its default is in effect otherwise.
    #[must_use]
    pub fn is_given(&self, key: &str) -> bool {
        let default = Origin::Default.to_string();
        self.explained.iter().any(|e| e.key == key && e.origin != default)
    }

    /// What is in effect of the one network that deckies with addresses of their own share, by key; what is found by itself is
    /// not among it.
    #[must_use]
    pub fn lan(&self) -> BTreeMap<String, String> {
        let of_lan = self.explained.iter().filter(|e| LAN.contains(&e.key));
        // A hyphen is shown for what nobody said.
        of_lan
            .filter(|e| e.value != "-")
            .map(|e| (e.key.to_owned(), e.value.clone()))
            .collect()
    }

    /// What the command line said of that network.
    #[must_use]
    pub fn lan_ordered(&self) -> BTreeMap<String, String> {
        let ordered = Origin::CommandLine.to_string();
        let mut lan = self.lan();
        lan.retain(|key, _| self.explained.iter().any(|e| e.key == key && e.origin == ordered));
        lan
    }

    /// Refuses what is the master's where this host is an agent: `what` says who asks, such as "this command".
    ///
    /// # Errors
    /// On an agent.
    pub fn for_master(&self, what: &str) -> Result<(), StartError> {
        if self.mode == Mode::Master {
            return Ok(());
        }
        let said = self.explained.iter().find(|e| e.key == "mode");
        let by = said.map_or("default", |e| e.origin.as_str());
        let or = if self.disallow_master {
            ""
        } else {
            ", or set mode to master to make this host one"
        };
        Err(StartError::not_permitted(format!(
            "{what} is the master's, and this host is an agent ({by}): run it on the master{or}"
        )))
    }

    /// What is wrong with the key files of the secrets that are not configured: with those that are there, and, where they are
    /// `needed`, that they are not. An installation that is not made yet has none.
    #[must_use]
    pub fn key_faults(&self, needed: bool) -> Vec<Fault> {
        let needed = needed && self.data_dir.is_dir();
        let files = [
            ("jwt-secret", self.has_jwt_secret(), self.jwt_key_file(), needed),
            (
                "totp-key",
                self.has_totp_key(),
                self.totp_key_file(),
                needed && self.server.require_totp,
            ),
        ];
        let unsound = files
            .into_iter()
            .filter_map(|(key, is_configured, file, needed)| {
                if is_configured || (!needed && !file.exists()) {
                    return None;
                }
                let problem = secret::of_file(&file).err()?;
                Some(Fault {
                    key: key.to_owned(),
                    origin: Origin::File(file, 0),
                    problem,
                })
            });
        unsound.collect()
    }

    /// The secret that signs sessions: asked for by the server alone.
    ///
    /// # Errors
    /// Where there is none, or it is weak, or others can read it.
    pub fn jwt_secret(&self) -> Result<SecretString, StartError> {
        secret::load(
            "jwt-secret",
            self.server.jwt_secret.as_ref(),
            &self.jwt_key_file(),
        )
    }

    /// Where the secret that signs sessions is kept unless it is configured.
    #[must_use]
    pub fn jwt_key_file(&self) -> PathBuf {
        self.data_dir.join("secrets/jwt.key")
    }

    /// What seals the secrets of second factors: asked for by the server alone. Absent where an installation from before
    /// there were second factors has none yet, and none is required.
    ///
    /// # Errors
    /// Where it is weak, or others can read it; or there is none, and it is required.
    pub fn totp_key(&self) -> Result<Option<SecretString>, StartError> {
        let file = self.totp_key_file();
        if self.server.totp_key.is_none() && !file.exists() && !self.server.require_totp {
            return Ok(None);
        }
        secret::load("totp-key", self.server.totp_key.as_ref(), &file).map(Some)
    }

    /// Where the key of second factors is kept unless it is configured.
    #[must_use]
    pub fn totp_key_file(&self) -> PathBuf {
        self.data_dir.join("secrets/totp.key")
    }

    /// Whether a key of second factors is configured, so that no key file is needed.
    #[must_use]
    pub fn has_totp_key(&self) -> bool {
        self.server.totp_key.is_some()
    }

    /// The folder of the installation's certificate authority.
    #[must_use]
    pub fn pki_dir(&self) -> PathBuf {
        self.data_dir.join("secrets/pki")
    }

    /// Whether a secret that signs sessions is configured, so that no key file is needed.
    #[must_use]
    pub fn has_jwt_secret(&self) -> bool {
        self.server.jwt_secret.is_some()
    }

    /// The spool's folder.
    #[must_use]
    pub fn spool_dir(&self) -> PathBuf {
        self.data_dir.join("spool")
    }

    /// The folder of sockets, locks and heartbeats.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.data_dir.join("run")
    }

    /// The folder of evidence files that the collector takes in.
    #[must_use]
    pub fn outlets_dir(&self) -> PathBuf {
        self.data_dir.join("outlets")
    }

    /// How to connect to the database.
    #[must_use]
    pub fn store_options(&self) -> decnet_db::Options {
        decnet_db::Options {
            url: secrecy::ExposeSecret::expose_secret(&self.database.url).to_owned(),
            max_connections: self.database.pool_size,
            acquire_timeout: self.database.max_wait,
            max_lifetime: self.database.recycle,
            pre_ping: self.database.pre_ping,
        }
    }

    /// The folder of local deckies.
    #[must_use]
    pub fn deckies_dir(&self) -> PathBuf {
        self.data_dir.join("deckies")
    }
}

struct Reader {
    values: BTreeMap<&'static str, Raw>,
    covered: BTreeMap<&'static str, Vec<Raw>>,
    doubled: BTreeMap<&'static str, Vec<Raw>>,
    faults: Vec<Fault>,
    covered_faults: Vec<Fault>,
    explained: Vec<Explained>,
}

impl Reader {
    fn of(sources: &Sources) -> Self {
        let Gathered {
            values,
            covered,
            doubled,
            faults,
        } = gather(sources);
        Self {
            values,
            covered,
            faults,
            covered_faults: Vec::new(),
            explained: Vec::new(),
            doubled,
        }
    }

    /// The value of `name` as `parse` understands it; `default` where nobody says anything, and, so that reading
    /// goes on to the next fault, where it is not understood.
    fn read<T>(
        &mut self,
        name: &'static str,
        default: T,
        show: impl Fn(&T) -> String,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        let Some(key) = by_name(name) else {
            unreachable!("{name} is not in the list of keys")
        };
        let fault = |raw: &Raw, problem: &str| {
            let shown = if key.account {
                "the value".to_owned()
            } else {
                quoted(&raw.text)
            };
            Fault {
                key: name.to_owned(),
                origin: raw.origin.clone(),
                problem: format!("{shown} {problem}; allowed: {}", key.allowed),
            }
        };
        for raw in self.covered.get(name).into_iter().flatten() {
            if let Err(problem) = parse(&raw.text) {
                self.covered_faults.push(fault(raw, &problem));
            }
        }
        for raw in self.doubled.get(name).into_iter().flatten() {
            if let Err(problem) = parse(&raw.text) {
                self.faults.push(fault(raw, &problem));
            }
        }
        let (value, origin) = match self.values.get(name) {
            None => (default, Origin::Default),
            Some(raw) => match parse(&raw.text) {
                Ok(value) => (value, raw.origin.clone()),
                Err(problem) => {
                    self.faults.push(fault(raw, &problem));
                    (default, raw.origin.clone())
                }
            },
        };
        let shown = if key.secret && origin != Origin::Default {
            "[redacted]".to_owned()
        } else {
            show(&value)
        };
        self.explained.push(Explained {
            key: name,
            value: shown,
            origin: origin.to_string(),
        });
        value
    }

    fn number<T>(&mut self, name: &'static str, default: T, range: std::ops::RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        self.read(name, default, T::to_string, |text| match text.parse() {
            Ok(n) if range.contains(&n) => Ok(n),
            Ok(_) => Err(format!("is not from {} to {}", range.start(), range.end())),
            Err(_) => Err("is not a whole number in range".to_owned()),
        })
    }

    fn flag(&mut self, name: &'static str, default: bool) -> bool {
        self.read(name, default, bool::to_string, |text| {
            truth(text).ok_or_else(|| "is neither true nor false".to_owned())
        })
    }

    fn one_of<T: Copy + PartialEq>(&mut self, name: &'static str, default: T, words: &[(&str, T)]) -> T {
        let show = |value: &T| {
            words
                .iter()
                .find(|(_, v)| v == value)
                .map(|(w, _)| (*w).to_owned())
                .unwrap_or_default()
        };
        self.read(name, default, show, |text| {
            words
                .iter()
                .find(|(w, _)| *w == text)
                .map(|(_, v)| *v)
                .ok_or_else(|| "is not known".to_owned())
        })
    }

    fn path(&mut self, name: &'static str, default: PathBuf) -> PathBuf {
        self.read(name, default, |p| p.display().to_string(), absolute)
    }

    fn secret(
        &mut self,
        name: &'static str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<SecretString> {
        self.read(
            name,
            None,
            |_| "-".to_owned(),
            |text| check(text).map(|()| Some(SecretString::from(text.to_owned()))),
        )
    }

    fn settings(&mut self, sources: &Sources) -> Settings {
        let mode = self.one_of(
            "mode",
            Mode::Master,
            &[("master", Mode::Master), ("agent", Mode::Agent)],
        );
        let disallow_master = self.flag(DISALLOW_MASTER, false);
        self.master_is_allowed(mode, disallow_master);
        let data_dir = self.path("data-dir", default_data_dir(sources));
        let environment = self.one_of(
            "environment",
            Environment::Production,
            &[
                ("production", Environment::Production),
                ("development", Environment::Development),
            ],
        );
        let log_level = self.read("log-level", "info".to_owned(), String::clone, |text| {
            crate::logging::filter(text).map(|_filter| text.to_owned())
        });
        let log_format = self.one_of(
            "log-format",
            LogFormat::Text,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        );
        let log_file_path = self.read(
            "log-file-path",
            None,
            |p: &Option<PathBuf>| {
                p.as_ref()
                    .map_or_else(|| "standard error".to_owned(), |p| p.display().to_string())
            },
            |text| absolute(text).map(Some),
        );
        Settings {
            mode,
            disallow_master,
            environment,
            log_level,
            log_format,
            log_file_path,
            bus: self.bus(sources, &data_dir),
            spool: self.spool(),
            database: self.database(&data_dir),
            ingest: IngestSettings {
                batch_size: self.number("batch-size", 100, 1..=10_000),
                batch_max_wait: Duration::from_millis(self.number("batch-max-wait-ms", 250, 1..=10_000)),
            },
            server: self.server(sources),
            fleet: self.fleet(),
            data_dir,
            explained: Vec::new(),
        }
    }

    fn bus(&mut self, sources: &Sources, data_dir: &Path) -> BusConfig {
        let enabled = self.flag("bus-enabled", true);
        let socket = decnet_bus::default_socket_path(|name| sources.env.get(name).cloned())
            .unwrap_or_else(|| data_dir.join("run/bus.sock"));
        // Whoever names no bus is of the host that runs on this data directory, where one does.
        if !self.values.contains_key("bus-url")
            && let Some((bus, file)) = supervisor::bus_of(&data_dir.join("run"))
        {
            let raw = Raw {
                text: bus.with_password(),
                origin: Origin::File(file, 2),
            };
            self.values.insert("bus-url", raw);
        }
        let endpoint = self.read("bus-url", Endpoint::Unix(socket), Endpoint::to_string, |text| {
            match text.parse() {
                Ok(Endpoint::Unix(path)) if path.is_relative() => {
                    Err("has a path that is not absolute".to_owned())
                }
                Ok(endpoint) => Ok(endpoint),
                // What the parser says may be a piece of a password that it took for something else.
                Err(BusError::NatsUrl { .. }) => Err("is no address of a NATS server".to_owned()),
                Err(BusError::Endpoint) => Err("is no address of a bus".to_owned()),
            }
        });
        if enabled {
            BusConfig::new(endpoint)
        } else {
            BusConfig::none()
        }
    }

    fn spool(&mut self) -> SpoolSettings {
        let cap_bytes = self.number("spool-cap-bytes", 10 << 30, 64 << 20..=u64::MAX);
        let settings = SpoolSettings {
            segment_bytes: self.number("spool-segment-bytes", 64 << 20, 1 << 20..=4 << 30),
            segment_age: Duration::from_secs(self.number("spool-segment-age-s", 86_400, 60..=2_592_000)),
            cap_bytes,
            hard_cap_bytes: self.number(
                "spool-hard-cap-bytes",
                (50 << 30).max(cap_bytes),
                64 << 20..=u64::MAX,
            ),
            min_free_bytes: self.number("spool-min-free-bytes", 256 << 20, 0..=u64::MAX),
            commit_interval: Duration::from_millis(self.number("commit-interval-ms", 100, 10..=250)),
        };
        if settings.hard_cap_bytes < settings.cap_bytes {
            self.contradiction("spool-hard-cap-bytes", "is below spool-cap-bytes");
        }
        if settings.segment_bytes > settings.hard_cap_bytes {
            self.contradiction(
                "spool-segment-bytes",
                "is above spool-hard-cap-bytes; a segment that is being written is never dropped",
            );
        }
        settings
    }

    fn database(&mut self, data_dir: &Path) -> DatabaseSettings {
        let url = self.secret("database-url", |text| {
            let mut faults = decnet_db::url_faults(text);
            let file = decnet_db::Options::new(text).sqlite_file();
            if faults.is_empty() && file.is_some_and(|file| file.is_relative()) {
                faults.push("has a path that is not absolute");
            }
            if faults.is_empty() {
                Ok(())
            } else {
                Err(faults.join(" and "))
            }
        });
        let url = url.unwrap_or_else(|| {
            SecretString::from(format!("sqlite://{}", data_dir.join("decnet.db").display()))
        });
        let sqlite = secrecy::ExposeSecret::expose_secret(&url).starts_with("sqlite:");
        DatabaseSettings {
            url,
            pool_size: self.number("db-pool-size", 4, 1..=100),
            max_wait: Duration::from_millis(self.number("db-max-wait-ms", 10_000, 100..=600_000)),
            recycle: Some(Duration::from_secs(self.number(
                "db-pool-recycle-s",
                3_600,
                0..=86_400,
            )))
            .filter(|d| !d.is_zero()),
            pre_ping: self.flag("db-pool-pre-ping", !sqlite),
        }
    }

    fn server(&mut self, sources: &Sources) -> ServerSettings {
        let listen = self.read(
            "listen",
            SocketAddr::from(([127, 0, 0, 1], 8080)),
            SocketAddr::to_string,
            |text| match text.parse::<SocketAddr>() {
                Ok(addr) if addr.port() > 0 => Ok(addr),
                Ok(_) => Err("has port 0; ports go from 1 to 65535".to_owned()),
                Err(_) => Err("is not address:port".to_owned()),
            },
        );
        let tls = self.read("tls", Tls::Off, Tls::to_string, |text| match text {
            "off" => Ok(Tls::Off),
            "auto" => Ok(Tls::Auto),
            files => {
                let (chain, key) = files
                    .split_once(',')
                    .ok_or("is neither auto nor off nor CERT,KEY")?;
                let path = |text: &str| {
                    absolute(text.trim()).map_err(|why| format!("has {}, which {why}", quoted(text)))
                };
                let (chain, key) = (path(chain)?, path(key)?);
                Ok(Tls::Files { chain, key })
            }
        });
        let scheme = if tls == Tls::Off { "http" } else { "https" };
        // Nobody can go to 0.0.0.0; whoever started it can go to this machine.
        let at = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listen.port())
            }
            IpAddr::V6(ip) if ip.is_unspecified() => {
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), listen.port())
            }
            _ => listen,
        };
        let public_url = self.read("public-url", format!("{scheme}://{at}"), String::clone, |text| {
            let url = text.trim_end_matches('/');
            let host = url
                .strip_prefix("https://")
                .or_else(|| url.strip_prefix("http://"));
            match host {
                Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => {
                    Ok(url.to_owned())
                }
                _ => Err("is no address of a web site without a path".to_owned()),
            }
        });
        // The other way round is a proxy that ends TLS in front of this server.
        if tls != Tls::Off && public_url.starts_with("http://") {
            self.contradiction("public-url", "is http://, and tls is on");
        }
        let admin_user = self.read("admin-user", default_admin(), UserName::to_string, |text| {
            text.parse()
                .map_err(|e: decnet_model::name::NameError| e.rule.to_owned())
        });
        let admin_password = self.secret("admin-password", |text| {
            password::check(text, admin_user.as_str()).map_err(|fault| match fault {
                PasswordFault::TooShort | PasswordFault::TooLong => {
                    format!("has {} characters", text.chars().count())
                }
                PasswordFault::Common => "is among the first that an attacker tries".to_owned(),
            })
        });
        ServerSettings {
            listen,
            tls,
            max_connections: self.number("max-connections", 2_048, 16..=65_536),
            public_url,
            site_root: self.path("site-root", default_site_root(sources)),
            jwt_secret: self.secret("jwt-secret", |text| secret::weakness(text).map_or(Ok(()), Err)),
            totp_key: self.secret("totp-key", |text| secret::weakness(text).map_or(Ok(()), Err)),
            require_totp: self.flag("require-totp", false),
            jwt_expiry: Duration::from_secs(60 * self.number::<u64>("jwt-exp-minutes", 240, 5..=10_080)),
            admin_user,
            admin_password,
            trusted_proxies: self.read(
                "trusted-proxies",
                Vec::new(),
                |nets| nets.iter().map(IpNet::to_string).collect::<Vec<_>>().join(","),
                |text| {
                    text.split(',')
                        .map(str::trim)
                        .filter(|t| !t.is_empty())
                        .map(|t| {
                            t.parse::<IpNet>()
                                .or_else(|_| t.parse::<std::net::IpAddr>().map(IpNet::from))
                                .map_err(|_| format!("has {}, which is no network", quoted(t)))
                        })
                        .collect()
                },
            ),
            cors_origins: self.read(
                "cors-origins",
                Vec::new(),
                |origins| {
                    origins
                        .iter()
                        .map(WebOrigin::as_str)
                        .collect::<Vec<_>>()
                        .join(",")
                },
                |text| {
                    let each = text.split(',').map(str::trim).filter(|t| !t.is_empty());
                    // What stands there may be an address with a password.
                    let wrong = |n| format!("has a {}. entry that is no origin", n + 1);
                    each.enumerate()
                        .map(|(n, t)| WebOrigin::of(t).ok_or_else(|| wrong(n)))
                        .collect()
                },
            ),
            sse_max_per_user: self.number("sse-max-per-user", 5, 1..=100),
            answers_good_for: Duration::from_millis(self.number("api-shared-ms", 500, 0..=5_000)),
        }
    }

    fn fleet(&mut self) -> FleetSettings {
        let engine = self.one_of(
            "engine",
            "local",
            &[("local", "local"), ("docker", "docker"), ("netns", "netns")],
        );
        let local = engine == "local";
        FleetSettings {
            engine: engine.to_owned(),
            network_given: self.values.contains_key("fleet-network"),
            network: self.read(
                "fleet-network",
                IpNet::V4(default_network()),
                IpNet::to_string,
                |text| match text.parse() {
                    Ok(IpNet::V4(net)) if net.addr() != net.network() => {
                        Err(format!("is no network: {} would be", net.trunc()))
                    }
                    Ok(IpNet::V4(net)) if local == (net.network().is_loopback() && net.prefix_len() >= 8) => {
                        Ok(IpNet::V4(net))
                    }
                    Ok(_) if local => Err("is not inside 127.0.0.0/8, where local deckies live".to_owned()),
                    Ok(_) => Err("is no IPv4 network that others reach".to_owned()),
                    Err(_) => Err("is no network".to_owned()),
                },
            ),
            port_offset: self.number("port-offset", 10_000, 1_024..=50_000),
            deployment_limit: self.number("deployment-limit", 200, 1..=10_000),
            mutate_interval: Some(Duration::from_secs(
                60 * self.number::<u64>("mutate-interval-minutes", 0, 0..=525_600),
            ))
            .filter(|d| !d.is_zero()),
            decoy_program: self.path("decoy-program", beside_program("decnet-decoy")),
            lan: self.lan(),
            docker: self.docker(),
        }
    }

    fn docker(&mut self) -> DockerSettings {
        DockerSettings {
            socket: self.read(
                "docker-socket",
                "/var/run/docker.sock".into(),
                |p: &PathBuf| p.display().to_string(),
                |text| absolute(text.strip_prefix("unix://").unwrap_or(text)),
            ),
            folder: self.path("docker-folder", "/var/lib/netsvcd".into()),
        }
    }

    fn lan(&mut self) -> LanSettings {
        LanSettings {
            interface: self.read(
                "fleet-interface",
                None,
                |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned()),
                |text| {
                    // The kernel's own rule for names.
                    let fits = (1..16).contains(&text.len())
                        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
                    if fits {
                        Ok(Some(text.to_owned()))
                    } else {
                        Err("is no name of an interface".to_owned())
                    }
                },
            ),
            ipvlan: self.one_of("fleet-driver", false, &[("macvlan", false), ("ipvlan", true)]),
            gateway: self.read(
                "fleet-gateway",
                None,
                |gateway: &Option<Ipv4Addr>| gateway.map_or_else(|| "-".to_owned(), |g| g.to_string()),
                |text| {
                    text.parse()
                        .map(Some)
                        .map_err(|_| "is no IPv4 address".to_owned())
                },
            ),
        }
    }

    /// What an installation decided to be, no flag and no variable changes.
    fn master_is_allowed(&mut self, mode: Mode, disallow_master: bool) {
        // A word that is no mode is a fault already.
        let said = self.values.get("mode").is_none_or(|raw| raw.text == "master");
        if let Some(decided) = self.values.get(DISALLOW_MASTER)
            && disallow_master
            && mode == Mode::Master
            && said
        {
            let problem = format!(
                "is master, and {} has {DISALLOW_MASTER}, with which a host is an agent, whatever flags and variables say: \
                 set mode to agent, or take {DISALLOW_MASTER} out there",
                decided.origin
            );
            self.contradiction("mode", &problem);
        }
    }

    fn contradiction(&mut self, name: &'static str, problem: &str) {
        let origin = self
            .values
            .get(name)
            .map_or(Origin::Default, |raw| raw.origin.clone());
        self.faults.push(Fault {
            key: name.to_owned(),
            origin,
            problem: problem.to_owned(),
        });
    }
}

/// What a fault repeats of a value that is no secret: an address with an account may stand in the wrong place.
fn quoted(text: &str) -> String {
    if text.contains('@') {
        "the value".to_owned()
    } else {
        format!("{text:?}")
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err("is not an absolute path".to_owned())
    }
}

fn default_data_dir(sources: &Sources) -> PathBuf {
    let of_user = || {
        let home = || Some(PathBuf::from(sources.env.get("HOME")?).join(".local/share"));
        sources
            .env
            .get("XDG_DATA_HOME")
            .map(PathBuf::from)
            .or_else(home)
            .map(|p| p.join("decnet"))
    };
    if sources.root { None } else { of_user() }.unwrap_or_else(|| PathBuf::from("/var/lib/decnet"))
}

fn beside_program(name: &str) -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join(name)))
        .unwrap_or_else(|| PathBuf::from("/usr/lib/decnet").join(name))
}

/// `cargo leptos` says in the environment where it puts the site, relative to the working directory.
fn default_site_root(sources: &Sources) -> PathBuf {
    let by_leptos = || {
        Some(
            sources
                .working_dir
                .as_ref()?
                .join(sources.env.get("LEPTOS_SITE_ROOT")?),
        )
    };
    by_leptos().unwrap_or_else(|| beside_program("site"))
}

fn default_admin() -> UserName {
    // "admin" fits the pattern of user names, as a test of that pattern shows.
    "admin"
        .parse()
        .unwrap_or_else(|_| unreachable!("admin is a user name"))
}

fn default_network() -> ipnet::Ipv4Net {
    ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 66, 0, 0), 16)
}

/// Every key, for documentation and for `decnet config keys`.
#[must_use]
pub fn all_keys() -> &'static [keys::Key] {
    KEYS
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn with_ini(text: &str) -> (tempfile::TempDir, Sources) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decnet.ini");
        fs::write(&path, text).unwrap();
        let sources = Sources {
            config: Some(path),
            working_dir: Some(dir.path().to_owned()),
            ..Sources::default()
        };
        (dir, sources)
    }

    #[test]
    fn a_log_level_is_a_level_or_a_filter_and_no_misspelt_word() {
        for good in [
            "info",
            "WARN",
            "decnet_spool=debug,warn",
            "off",
            "decnet_bus[peer]=trace",
        ] {
            let (_dir, sources) = with_ini(&format!("[decnet]\nlog-level = {good}\n"));
            assert_eq!(Settings::read(&sources).unwrap().log_level, good);
        }
        for bad in ["loud", "debgu", "decnet_spool=loud", "info,quiet", "a=b=c"] {
            let (_dir, sources) = with_ini(&format!("[decnet]\nlog-level = {bad}\n"));
            let faults = Settings::read(&sources).unwrap_err().to_string();
            assert!(faults.contains("log-level"), "{bad}: {faults}");
            assert_eq!(faults.matches(&format!("{bad:?}")).count(), 1, "{faults}");
        }
        let (_dir, sources) = with_ini("[decnet]\nlog-level = info,quiet\n");
        let faults = Settings::read(&sources).unwrap_err().to_string();
        assert!(
            faults.contains("\"info,quiet\" has \"quiet\", which is no level"),
            "{faults}"
        );
    }

    #[test]
    fn no_fault_tells_what_may_be_a_secret() {
        for (key, text) in [
            ("bus-url", "nats://bob:top@hunter2@127.0.0.1:99999"),
            ("bus-url", "natz://bob:hunter2@127.0.0.1"),
            ("bus-url", "nats:/bob:hunter2@127.0.0.1"),
            ("bus-url", "nats:bob:hunter2@127.0.0.1"),
            ("bus-url", "bob:hunter2@127.0.0.1"),
            ("bus-url", "nats://bob:hunter2"),
            ("bus-url", "nats:///bob:hunter2@127.0.0.1"),
            ("bus-url", "nats://127.0.0.1,hunter2://127.0.0.1"),
            ("bus-url", "unix:nats://bob:hunter2@127.0.0.1"),
            ("public-url", "https://bob:hunter2@web.test"),
            ("public-url", "https:bob:hunter2"),
            ("database-url", "mysql:/bob:hunter2@127.0.0.1/decnet"),
            ("database-url", "mysql://bob:hunter2/decnet"),
            ("database-url", "mysql://bob:hunter2@127.0.0.1"),
            ("listen", "http://bob:hunter2@127.0.0.1"),
            ("trusted-proxies", "127.0.0.1, http://bob:hunter2@127.0.0.1"),
            ("cors-origins", "https://web.test, https://bob:hunter2@web.test"),
            ("cors-origins", "https:bob:hunter2"),
            ("tls", "/a, bob:hunter2@x"),
            ("log-level", "nats://bob:hunter2@127.0.0.1"),
            // Lines that are none, and keys that are no name.
            ("jwt-secret:", "hunter2"),
            ("jwt-secret hunter2", ""),
        ] {
            let section = if ["bus-url", "log-level"].contains(&key) {
                "decnet"
            } else {
                "master"
            };
            let (_dir, sources) = with_ini(&format!("[{section}]\n{key} = {text}\n"));
            let faults = Settings::read(&sources).unwrap_err().to_string();
            assert!(
                !faults.contains("hunter2") && !faults.contains("bob"),
                "{key} {text}: {faults}"
            );
            assert!(faults.contains("decnet.ini:2)"), "{key} {text}: {faults}");
        }
        for line in [
            "hunter2",
            "jwt-secret hunter2",
            "[hunter2",
            "[hunter2]",
            "hunter2=",
            "jwt-secret: hunter2==",
        ] {
            let (dir, mut sources) = with_ini(&format!("[master]\n{line}\n"));
            let faults = Settings::read(&sources).unwrap_err().to_string();
            assert!(
                !faults.contains("hunter2") && faults.contains("decnet.ini:2)"),
                "{line}: {faults}"
            );
            sources.config = None;
            fs::write(
                dir.path().join(".env.local"),
                format!("DECNET_JWT_SECRET {line}\n"),
            )
            .unwrap();
            let faults = Settings::read(&sources).unwrap_err().to_string();
            assert!(
                !faults.contains("hunter2") && faults.contains(".env.local:1)"),
                "{line}: {faults}"
            );
        }
    }

    #[test]
    fn no_password_of_an_address_is_shown() {
        for url in [
            "nats://bob:hunter2@127.0.0.1",
            "nats://192.0.2.1,bob:hunter2@127.0.0.1",
            "tls://hunter2@127.0.0.1:1",
        ] {
            let (_dir, sources) = with_ini(&format!("[decnet]\nbus-url = {url}\n"));
            let settings = Settings::read(&sources).unwrap();
            let shown = format!("{:?}{settings:?}", settings.explain());
            assert!(
                !shown.contains("hunter2") && shown.contains("127.0.0.1"),
                "{shown}"
            );
        }
    }

    #[test]
    fn the_address_of_the_database_is_checked_with_everything_else() {
        for good in [
            "sqlite:///var/lib/decnet/decnet.db",
            "mysql://decnet@db.test/decnet",
            "mariadb://u:p%40ss@[2001:db8::1]:3307/decnet?ssl-mode=REQUIRED",
        ] {
            let (_dir, sources) = with_ini(&format!("[master]\ndatabase-url = {good}\n"));
            Settings::read(&sources).unwrap();
        }
        for (bad, words) in [
            (
                "postgres://u:hunter2@h/d",
                "begins with none of sqlite:, mysql: and mariadb:",
            ),
            ("sqlite://", "names no file"),
            ("sqlite::memory:", "names no file"),
            ("sqlite:///var/lib/decnet/", "names a folder"),
            ("sqlite://decnet.db", "not absolute"),
            ("sqlite:///a.db?speed=hunter2", "after ?"),
            ("mysql:u:hunter2@h/d", "has no // after its scheme"),
            ("mysql://u:hunter2@/d", "names no host"),
            ("mysql://u:hunter2@h", "names no database"),
            (
                "mysql://u:hunter2@:99999",
                "names no host and has a port that is none of 1 to 65535 and names no database",
            ),
            ("mysql://u:hunter2@h:0/d", "has a port"),
            ("mysql://u:hunter2@h/d/e", "one database"),
            ("mysql://u:hun/ter2@h/d", "%2F"),
            ("mysql://u:hunter2%ff@h/d", "%2F"),
            ("mysql://u:hunter2@h/d?ssl-mode=often", "after ?"),
        ] {
            let (_dir, sources) = with_ini(&format!(
                "[decnet]\nmode = king\n[master]\ndatabase-url = {bad}\n"
            ));
            let faults = Settings::read(&sources).unwrap_err();
            let told = faults.to_string();
            assert_eq!(faults.0.len(), 2, "{told}");
            assert!(
                told.contains(words) && told.contains("decnet.ini:4)"),
                "{bad}: {told}"
            );
            assert!(!told.contains("hun"), "{bad}: {told}");
        }
    }

    #[test]
    fn a_segment_is_not_larger_than_all_that_a_spool_may_hold() {
        let caps = "spool-cap-bytes = 67108864\nspool-hard-cap-bytes = 67108864\n";
        let (_dir, sources) = with_ini(&format!("[decnet]\n{caps}spool-segment-bytes = 67108864\n"));
        Settings::read(&sources).unwrap();
        let (_dir, sources) = with_ini(&format!("[decnet]\n{caps}spool-segment-bytes = 67108865\n"));
        let told = Settings::read(&sources).unwrap_err().to_string();
        assert!(
            told.contains("spool-segment-bytes (")
                && told.contains(":4)")
                && told.contains("above spool-hard-cap-bytes"),
            "{told}"
        );
    }

    #[test]
    fn a_file_may_begin_with_the_mark_that_windows_editors_put_there() {
        let (dir, sources) = with_ini("\u{feff}[decnet]\r\nmode = agent\r\n");
        fs::write(
            dir.path().join(".env.local"),
            "\u{feff}DECNET_LOG_FORMAT=json\r\n",
        )
        .unwrap();
        let settings = Settings::read(&sources).unwrap();
        assert_eq!(
            (settings.mode, settings.log_format),
            (Mode::Agent, LogFormat::Json)
        );
    }

    /// The fuzzer's seeds: those that begin with "good" are settings, those that begin with "bad" have faults.
    #[test]
    fn the_seeds_of_the_fuzzer_are_settings_or_have_faults_with_lines() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/settings_ini");
        let mut seen = 0;
        for entry in fs::read_dir(corpus).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = fs::read_to_string(entry.path()).unwrap();
            let (_dir, sources) = with_ini(&text);
            match Settings::read(&sources) {
                Ok(_) => assert!(!name.starts_with("bad"), "{name} has no fault"),
                Err(faults) => {
                    assert!(!name.starts_with("good"), "{name}: {faults}");
                    for fault in &faults.0 {
                        let told = matches!(fault.origin, Origin::File(_, line) if line <= text.lines().count() && line > 0);
                        assert!(told, "{name}: {fault}");
                    }
                }
            }
            seen += 1;
        }
        assert!(seen >= 9, "{seen} seeds");
    }

    #[test]
    fn nothing_said_gives_the_defaults_and_every_key_is_read() {
        let settings = Settings::read(&Sources::default()).unwrap();
        let read: Vec<_> = settings.explain().iter().map(|e| e.key).collect();
        for key in KEYS {
            assert!(
                read.contains(&key.name),
                "{} is in the list of keys and nobody reads it",
                key.name
            );
        }
        assert_eq!(read.len(), KEYS.len());
        assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn the_stronger_source_wins() {
        let (dir, mut sources) =
            with_ini("[master]\nbatch-size = 10\nlisten = 127.0.0.1:1111\nadmin-user = ini\n");
        fs::write(
            dir.path().join(".env.local"),
            "DECNET_BATCH_SIZE=20\nDECNET_LISTEN='127.0.0.1:2222'\nOTHER=1\n",
        )
        .unwrap();
        sources.env.insert("DECNET_BATCH_SIZE".into(), "30".into());
        assert_eq!(Settings::read(&sources).unwrap().ingest.batch_size, 30);
        sources.flags.insert("batch-size", "40".into());
        let settings = Settings::read(&sources).unwrap();
        assert_eq!(settings.ingest.batch_size, 40);
        assert_eq!(settings.server.listen.port(), 2222);
        assert_eq!(settings.server.admin_user.as_str(), "ini");
        let origin = |key: &str| {
            settings
                .explain()
                .iter()
                .find(|e| e.key == key)
                .unwrap()
                .origin
                .clone()
        };
        assert_eq!(origin("batch-size"), "command line");
        assert!(origin("listen").ends_with(".env.local:2"));
        assert!(origin("admin-user").ends_with("decnet.ini:4"));
        assert_eq!(origin("port-offset"), "default");
    }

    #[test]
    fn a_fault_that_a_stronger_source_covers_is_told_and_refuses_nothing() {
        let (dir, mut sources) = with_ini(
            "[decnet]\ndisallow-master = maybe\nmode = agent\n[master]\nbatch-size = many\ndatabase-url = mysql://u:hunter2@h\nlisten = 127.0.0.1:1\n",
        );
        fs::write(dir.path().join(".env.local"), "DECNET_BATCH_SIZE=0\n").unwrap();
        sources.flags.insert("mode", "master".into());
        sources.flags.insert("listen", "127.0.0.1:2".into());
        for (name, value) in [
            ("DECNET_BATCH_SIZE", "30"),
            ("DECNET_DISALLOW_MASTER", "no"),
            ("DECNET_DATABASE_URL", "mysql://u:p@h/d"),
        ] {
            sources.env.insert(name.into(), value.into());
        }
        assert_eq!(Settings::read(&sources).unwrap().ingest.batch_size, 30);
        let told: Vec<_> = Settings::covered_faults(&sources)
            .iter()
            .map(|fault| fault.to_string().replace(&dir.path().display().to_string(), ""))
            .collect();
        let starts = [
            "disallow-master (/decnet.ini:2): \"maybe\" is neither true nor false",
            "database-url (/decnet.ini:6): the value names no database",
            "batch-size (/.env.local:1): \"0\" is not from 1 to 10000",
            "batch-size (/decnet.ini:5): \"many\" is not a whole number",
        ];
        assert_eq!(told.len(), starts.len(), "{told:#?}");
        for (told, start) in told.iter().zip(starts) {
            assert!(told.starts_with(start) && told.contains("; allowed: "), "{told}");
        }
        // What counts is no warning, and what does not is no fault beside one.
        sources.env.insert("DECNET_BATCH_SIZE".into(), "none".into());
        assert_eq!(Settings::read(&sources).unwrap_err().0.len(), 1);
        assert_eq!(Settings::covered_faults(&sources).len(), starts.len());
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_line_and_what_is_allowed() {
        let (_dir, sources) = with_ini(
            "[decnet]\nmode = king\n[master]\nlisten = 127.0.0.1:0\nbatch-size = many\nlisen = 1\n[what]\nxyzzy = 1\nmax-connections = 3\n[0f8fad5b]\n[master]\ndata-dir = relative\n",
        );
        let faults = Settings::read(&sources).unwrap_err().0;
        let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
        for (key, line, word) in [
            ("mode", 2, "master or agent"),
            ("listen", 4, "1 to 65535"),
            ("batch-size", 5, "1 to 10000"),
            ("lisen", 6, "did you mean listen?"),
            ("section", 7, "[what] is unknown; there are [decnet], [master]"),
            ("xyzzy", 8, "unknown key"),
            ("max-connections", 9, "16 to 65536"),
            ("section", 10, "it is unknown; there"),
            ("data-dir", 12, "[decnet]"),
            ("data-dir", 12, "an absolute path"),
        ] {
            let good = told.iter().any(|t| {
                t.starts_with(&format!("{key} (")) && t.contains(&format!(":{line})")) && t.contains(word)
            });
            assert!(good, "{key} line {line} {word}: {told:#?}");
        }
        assert_eq!(faults.len(), 10, "{told:#?}");
    }

    #[test]
    fn of_a_key_in_the_wrong_place_that_and_what_is_wrong_with_its_value_is_told() {
        let told = |text: &str| {
            let (_dir, sources) = with_ini(text);
            let faults = Settings::read(&sources).unwrap_err().0;
            faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for text in ["[decnet]\nbatch-size = many\n", "\nbatch-size = many\n[decnet]\n"] {
            let told = told(text);
            assert_eq!(told.len(), 2, "{told:#?}");
            assert!(
                told.iter()
                    .all(|t| t.starts_with("batch-size (") && t.contains(":2)")),
                "{told:#?}"
            );
            for words in ["below [master]", "\"many\" is not a whole number"] {
                assert!(told.iter().any(|t| t.contains(words)), "{words}: {told:#?}");
            }
        }
        assert_eq!(told("[decnet]\nbatch-size = 10\n").len(), 1);
        // An agent has no use for it, whatever its value is.
        assert_eq!(told("[decnet]\nmode = agent\nbatch-size = many\n").len(), 1);
        assert_eq!(told("[agent]\nbatch-size = many\n").len(), 1);
    }

    #[test]
    fn wrong_words_of_the_command_line_are_told_with_all_other_faults_and_decide_the_exit_code() {
        let mut sources = Sources::default();
        sources.env.insert("DECNET_BATCH_SIZE".into(), "zero".into());
        sources.flags.insert("listen", "nowhere".into());
        let exit = |sources: &Sources| StartError::from(Settings::read(sources).unwrap_err()).exit;
        assert_eq!(exit(&sources), Exit::Config);
        sources.wrong_flags.push(Fault {
            key: "--set foo".to_owned(),
            origin: Origin::CommandLine,
            problem: "there is no such key".to_owned(),
        });
        assert_eq!(exit(&sources), Exit::Usage);
        let told = Settings::read(&sources).unwrap_err().to_string();
        for fault in [
            "3 faults",
            "--set foo (command line): there",
            "batch-size (",
            "listen (",
        ] {
            assert!(told.contains(fault), "{fault}: {told}");
        }
    }

    #[test]
    fn the_public_url_is_one_that_somebody_can_go_to() {
        for (listen, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://[::1]:8080"),
            ("192.0.2.7:80", "http://192.0.2.7:80"),
        ] {
            let (_dir, sources) = with_ini(&format!("[master]\nlisten = {listen}\n"));
            assert_eq!(Settings::read(&sources).unwrap().server.public_url, url);
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it_or_is_a_fault_beside_all_others() {
        let origins = |text: &str| {
            let (_dir, sources) = with_ini(&format!("[master]\ncors-origins = {text}\n"));
            Settings::read(&sources).map(|settings| {
                let origins = settings.server.cors_origins;
                origins.iter().map(|o| o.as_str().to_owned()).collect::<Vec<_>>()
            })
        };
        assert_eq!(origins("").unwrap(), Vec::<String>::new());
        assert_eq!(
            origins("https://console.test , http://127.0.0.1:3000,https://[::1]:8443").unwrap(),
            [
                "https://console.test",
                "http://127.0.0.1:3000",
                "https://[::1]:8443"
            ]
        );
        for wrong in [
            "*",
            "null",
            "console.test",
            "ftp://console.test",
            "https://",
            "https://Console.test",
            "https://console.test/",
            "https://console.test/path",
            "https://*.console.test",
            "https://console.test:443",
            "http://console.test:80",
            "http://console.test:0",
            "http://console.test:065",
            "http://console.test:99999",
            "http://console.test:",
            "https://[::1",
            "https://[0::1]",
            "https://[::1]x",
            "https://kön.test",
        ] {
            let (_dir, sources) = with_ini(&format!(
                "[master]\nsse-max-per-user = 0\ncors-origins = https://a.test, {wrong}\n"
            ));
            let faults = Settings::read(&sources).unwrap_err();
            let told = faults.to_string();
            assert_eq!(faults.0.len(), 2, "{wrong}: {told}");
            assert!(
                told.contains("cors-origins") && told.contains("2. entry") && told.contains("1 to 100"),
                "{wrong}: {told}"
            );
        }
    }

    #[test]
    fn tls_makes_the_public_url_https_and_its_faults_are_told_with_all_others() {
        let tls = |text: &str| {
            let (_dir, sources) = with_ini(&format!("[master]\nlisten = 127.0.0.1:8443\n{text}\n"));
            Settings::read(&sources).map(|settings| settings.server)
        };
        assert_eq!(tls("").unwrap().public_url, "http://127.0.0.1:8443");
        let auto = tls("tls = auto").unwrap();
        assert_eq!(
            (auto.tls, auto.public_url.as_str()),
            (Tls::Auto, "https://127.0.0.1:8443")
        );
        let files = tls("tls = /etc/a.pem, /etc/b.pem\npublic-url = https://decoys.test/").unwrap();
        let (chain, key) = ("/etc/a.pem".into(), "/etc/b.pem".into());
        assert_eq!(
            (files.tls, files.public_url.as_str()),
            (Tls::Files { chain, key }, "https://decoys.test")
        );
        // A proxy in front of the server ends TLS.
        assert_eq!(tls("public-url = https://decoys.test").unwrap().tls, Tls::Off);
        for (text, words) in [
            ("tls = yes", "is neither auto nor off nor CERT,KEY"),
            (
                "tls = a.pem,/etc/b.pem",
                "\"a.pem\", which is not an absolute path",
            ),
            (
                "tls = auto\npublic-url = http://decoys.test",
                "is http://, and tls is on",
            ),
        ] {
            let faults = tls(&format!("{text}\nmax-connections = 3")).unwrap_err();
            assert_eq!(faults.0.len(), 2, "{faults}");
            let told = faults.to_string();
            assert!(told.contains(words) && told.contains("16 to 65536"), "{told}");
        }
    }

    #[test]
    fn a_worker_never_sees_the_other_roles_section() {
        let text = "[decnet]\nmode = agent\n[master]\nlisten = not even an address\n";
        let (_dir, sources) = with_ini(text);
        assert_eq!(Settings::read(&sources).unwrap().mode, Mode::Agent);
        let (_dir, sources) = with_ini(&text.replace("mode = agent", "mode = master"));
        assert_eq!(Settings::read(&sources).unwrap_err().0.len(), 1);
    }

    #[test]
    fn what_an_installation_refuses_no_flag_and_no_variable_takes_back() {
        let agent = "[decnet]\nmode = agent\ndisallow-master = yes\n";
        let (_dir, sources) = with_ini(agent);
        let settings = Settings::read(&sources).unwrap();
        assert_eq!((settings.mode, settings.disallow_master), (Mode::Agent, true));

        let told = |change: &dyn Fn(&mut Sources), text: &str| {
            let (dir, mut sources) = with_ini(text);
            change(&mut sources);
            let faults = Settings::read(&sources).unwrap_err();
            assert_eq!(faults.0.len(), 1, "{faults}");
            faults.to_string().replace(&dir.path().display().to_string(), "")
        };
        let by_flag = told(&|s| drop(s.flags.insert("mode", "master".into())), agent);
        assert!(by_flag.contains("mode (command line): is master"), "{by_flag}");
        let by_variable = told(
            &|s| drop(s.env.insert("DECNET_MODE".into(), "master".into())),
            agent,
        );
        assert!(
            by_variable.contains("mode (environment DECNET_MODE)"),
            "{by_variable}"
        );
        let taken_back = told(
            &|s| {
                s.flags.insert("disallow-master", "false".into());
                s.env.insert("DECNET_DISALLOW_MASTER".into(), "true".into());
            },
            agent,
        );
        assert!(
            taken_back.contains("disallow-master (command line): \"false\" takes nothing back"),
            "{taken_back}"
        );
        let no_mode = told(&|_| (), &agent.replace("mode = agent\n", "\n"));
        assert!(no_mode.contains("mode (default)"), "{no_mode}");
        for told in [by_flag, by_variable, taken_back, no_mode] {
            assert!(
                told.contains("/decnet.ini:3 has") && told.contains("take"),
                "{told}"
            );
        }

        // Nor does another file.
        let (host, mut sources) = with_ini("[decnet]\ndisallow-master = yes\n[master]\nlisten = nowhere\n");
        sources.default_config = sources.config.take();
        sources.config = Some(host.path().join("mine.ini"));
        for (mine, kept) in [
            ("", false),
            ("disallow-master = no\n", false),
            ("mode = agent\n", true),
        ] {
            fs::write(host.path().join("mine.ini"), format!("[decnet]\n{mine}")).unwrap();
            match Settings::read(&sources) {
                Ok(settings) => assert!(kept && settings.disallow_master),
                Err(faults) => assert!(
                    !kept && faults.to_string().contains("/decnet.ini:2 has"),
                    "{faults}"
                ),
            }
        }

        for (host_file, told) in [
            (
                b"[decnet]\ndisallow-master = maybe\n".as_slice(),
                "neither yes nor no",
            ),
            (b"[decnet]\n\xff\n", "UTF-8"),
        ] {
            fs::write(host.path().join("decnet.ini"), host_file).unwrap();
            let faults = Settings::read(&sources).unwrap_err().to_string();
            assert!(faults.contains(told), "{faults}");
        }

        // Where nobody refuses it, the order is the usual one.
        let (_dir, mut sources) = with_ini("[decnet]\nmode = agent\ndisallow-master = no\n");
        sources.flags.insert("mode", "master".into());
        assert_eq!(Settings::read(&sources).unwrap().mode, Mode::Master);
        // A variable may refuse it, too.
        let (_dir, mut sources) = with_ini("[decnet]\ndisallow-master = no\n");
        sources.env.insert("DECNET_DISALLOW_MASTER".into(), "1".into());
        sources.flags.insert("mode", "agent".into());
        assert!(Settings::read(&sources).unwrap().disallow_master);
    }

    #[test]
    fn secrets_are_redacted_and_weak_ones_refused_without_being_shown() {
        let mut sources = Sources::default();
        sources.env.insert("DECNET_JWT_SECRET".into(), "hunter2".into());
        let told = Settings::read(&sources).unwrap_err().to_string();
        assert!(
            told.contains("jwt-secret (environment DECNET_JWT_SECRET)") && !told.contains("hunter2"),
            "{told}"
        );
        let strong = "0f8fad5b-d9cb-469f-a165-70867728950e-x";
        sources.env.insert("DECNET_JWT_SECRET".into(), strong.into());
        sources
            .env
            .insert("DECNET_DATABASE_URL".into(), "mysql://u:topsecret@h/d".into());
        let settings = Settings::read(&sources).unwrap();
        let shown = format!("{:?}{:?}", settings.explain(), settings);
        assert!(!shown.contains(strong) && !shown.contains("topsecret"), "{shown}");
        assert!(settings.database.pre_ping);
    }

    #[test]
    fn the_servers_key_file_is_looked_at_with_the_settings_and_told_with_every_other_fault() {
        use std::os::unix::fs::PermissionsExt as _;
        let (dir, ini) = with_ini("[master]\nbatch-size = many\n");
        let read = |worker, key_files| {
            let mut sources = Sources {
                worker,
                key_files,
                ..ini.clone()
            };
            let data = dir.path().display().to_string();
            sources.flags.insert("data-dir", data);
            let faults = Settings::read(&sources).unwrap_err().0;
            faults
                .iter()
                .skip(1)
                .map(|f| f.to_string().replace(&dir.path().display().to_string(), ""))
                .collect::<Vec<_>>()
        };
        let none = "jwt-secret (/secrets/jwt.key): there is none; set it in the environment, or let `decnet up` or \
                    `decnet init` make one";
        assert_eq!(read(Some("server"), false), [none]);
        assert_eq!(read(None, true), [""; 0], "it is made by `decnet up`");

        let file = dir.path().join("secrets/jwt.key");
        fs::create_dir(dir.path().join("secrets")).unwrap();
        fs::set_permissions(dir.path().join("secrets"), fs::Permissions::from_mode(0o700)).unwrap();
        let put = |text: &str, mode| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("short", 0o600);
        let short = "jwt-secret (/secrets/jwt.key): is 5 bytes long; at least 32 are needed; make one with \
                     `openssl rand -base64 48`";
        assert_eq!(read(Some("server"), false), [short]);
        assert_eq!(read(None, true), [short]);
        assert_eq!(read(None, false), [""; 0], "others have no use for it");
        assert_eq!(read(Some("ingester"), false), [""; 0]);

        let good = "0f8fad5b-d9cb-469f-a165-70867728950e-x";
        put(good, 0o644);
        assert!(read(None, true)[0].contains("chmod 600"));
        put(good, 0o600);
        assert_eq!(read(Some("server"), true), [""; 0]);
    }

    #[test]
    fn of_a_key_that_stands_twice_both_values_are_looked_at() {
        for (first, second, wrong) in [("many", "10", "many"), ("10", "many", "many")] {
            let (_dir, sources) = with_ini(&format!(
                "[master]\nbatch-size = {first}\nbatch-size = {second}\n"
            ));
            let told = Settings::read(&sources).unwrap_err().to_string();
            assert!(told.starts_with("2 faults"), "{told}");
            assert!(
                told.contains("stands a second time") && told.contains(&format!("{wrong:?} is not a whole")),
                "{told}"
            );
        }
        // A stronger source covers neither: the line is wrong all the same.
        let (_dir, mut sources) = with_ini("[master]\nbatch-size = many\nbatch-size = 10\n");
        sources.flags.insert("batch-size", "7".into());
        assert_eq!(Settings::read(&sources).unwrap_err().0.len(), 2);
    }

    #[test]
    fn a_first_password_keeps_the_rule_for_all_and_is_refused_with_every_other_fault() {
        let told = |user: &str, password: &str| {
            let mut sources = Sources::default();
            for (name, value) in [
                ("DECNET_ADMIN_USER", user),
                ("DECNET_ADMIN_PASSWORD", password),
                ("DECNET_BATCH_SIZE", "many"),
            ] {
                sources.env.insert(name.into(), value.into());
            }
            let faults = Settings::read(&sources).unwrap_err();
            assert_eq!(faults.0.len(), 2, "{faults}");
            let told = faults.to_string();
            assert!(
                told.contains("admin-password (environment DECNET_ADMIN_PASSWORD): the value ")
                    && told.contains("12 to 128 characters"),
                "{told}"
            );
            assert!(!told.contains(password), "{told}");
            told
        };
        assert!(told("admin", "short-one").contains("has 9 characters"));
        assert!(told("admin", &"long".repeat(33)).contains("has 132 characters"));
        for (user, common) in [("admin", "password1234"), ("margarete", "margarete2026!")] {
            assert!(told(user, common).contains("is among the first that an attacker tries"));
        }
        let mut sources = Sources::default();
        let good = "blue-otter-41-canoe";
        sources.env.insert("DECNET_ADMIN_PASSWORD".into(), good.into());
        assert!(Settings::read(&sources).unwrap().server.admin_password.is_some());
    }

    #[test]
    fn a_named_file_that_is_not_there_is_a_fault_and_the_usual_one_is_not() {
        let gone = PathBuf::from("/nonexistent/decnet.ini");
        assert!(
            Settings::read(&Sources {
                config: Some(gone.clone()),
                ..Sources::default()
            })
            .is_err()
        );
        assert!(
            Settings::read(&Sources {
                default_config: Some(gone),
                ..Sources::default()
            })
            .is_ok()
        );
    }

    #[test]
    fn root_keeps_its_data_below_var_and_others_at_home() {
        let mut sources = Sources {
            root: true,
            ..Sources::default()
        };
        sources.env.insert("HOME".into(), "/home/me".into());
        assert_eq!(
            Settings::read(&sources).unwrap().data_dir,
            PathBuf::from("/var/lib/decnet")
        );
        sources.root = false;
        assert_eq!(
            Settings::read(&sources).unwrap().data_dir,
            PathBuf::from("/home/me/.local/share/decnet")
        );
    }
}
