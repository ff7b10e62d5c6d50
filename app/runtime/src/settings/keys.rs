//! Every key that there is. Adding one: a line here, and a line where [`super::Settings`] reads it; a test holds that
//! neither is forgotten.

use decnet_model::state::WORKERS;

/// Which INI section a key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `[decnet]`: read in every mode.
    Common,
    /// `[master]`: read where `mode` is `master`.
    Master,
    /// `[agent]`: read where `mode` is `agent`.
    Agent,
}

impl Section {
    /// Its name in the INI file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Common => "decnet",
            Self::Master => "master",
            Self::Agent => "agent",
        }
    }

    /// The section of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Common, Self::Master, Self::Agent]
            .into_iter()
            .find(|s| s.as_str() == name)
    }
}

/// One key of the configuration: `name` in the INI file and on the command line, `DECNET_NAME` in the environment.
#[derive(Debug)]
pub struct Key {
    /// Its name, with hyphens.
    pub name: &'static str,
    /// Where it may stand in the INI file.
    pub section: Section,
    /// What it is where nobody says anything, in words.
    pub default: &'static str,
    /// What it may be.
    pub allowed: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Redacted wherever it is shown, and no command-line flag (those can be read by every process).
    pub secret: bool,
    /// How many paths its value is, divided by a comma; 0 where it is none.
    pub paths: u8,
    /// May carry a user with a password, malformed or not: a fault does not repeat its value.
    pub account: bool,
    /// The workers that read it; all where empty.
    pub used_by: &'static [&'static str],
}

impl Key {
    /// Its environment variable.
    #[must_use]
    pub fn env(&self) -> String {
        format!("DECNET_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Whether `worker` reads it.
    #[must_use]
    pub fn is_for(&self, worker: &str) -> bool {
        self.used_by.is_empty() || self.used_by.contains(&worker) || !WORKERS.contains(&worker)
    }
}

const fn key(
    section: Section,
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    doc: &'static str,
    used_by: &'static [&'static str],
) -> Key {
    Key {
        name,
        section,
        default,
        allowed,
        doc,
        secret: false,
        paths: 0,
        account: false,
        used_by,
    }
}

const fn with_path(key: Key) -> Key {
    Key { paths: 1, ..key }
}

const fn with_two_paths(key: Key) -> Key {
    Key { paths: 2, ..key }
}

const fn with_account(key: Key) -> Key {
    Key { account: true, ..key }
}

const fn secret(
    name: &'static str,
    allowed: &'static str,
    doc: &'static str,
    used_by: &'static [&'static str],
) -> Key {
    Key {
        name,
        section: Section::Master,
        default: "-",
        allowed,
        doc,
        secret: true,
        paths: 0,
        account: true,
        used_by,
    }
}

const STORES: &[&str] = &["server", "ingester", "profiler", "mutator"];

/// Keys of the one network that deckies with addresses of their own share.
pub const LAN: &[&str] = &["fleet-interface", "fleet-driver", "fleet-gateway"];

/// Every key.
pub const KEYS: &[Key] = &[
    key(
        Section::Common,
        "mode",
        "master",
        "master or agent",
        "What this host is in the deception network",
        &[],
    ),
    key(
        Section::Common,
        "disallow-master",
        "false",
        "true or false",
        "This host is an agent: no stronger source takes this back or makes it a master",
        &[],
    ),
    with_path(key(
        Section::Common,
        "data-dir",
        "/var/lib/decnet for root, else ~/.local/share/decnet",
        "an absolute path",
        "Where everything is kept",
        &[],
    )),
    key(
        Section::Common,
        "environment",
        "production",
        "production or development",
        "In development, errors show what led to them",
        &[],
    ),
    key(
        Section::Common,
        "log-level",
        "info",
        "error, warn, info, debug, trace or off, or a filter such as decnet_spool=debug,warn",
        "What is logged",
        &[],
    ),
    key(
        Section::Common,
        "log-format",
        "text",
        "text or json",
        "How it is logged",
        &[],
    ),
    with_path(key(
        Section::Common,
        "log-file-path",
        "standard error",
        "an absolute path",
        "Log to this file instead",
        &[],
    )),
    key(
        Section::Common,
        "bus-enabled",
        "true",
        "true or false",
        "Without the bus every worker polls",
        &[],
    ),
    with_account(key(
        Section::Common,
        "bus-url",
        "the bus of the `decnet up` that runs on data-dir, else unix:// and the first of /run/decnet, $XDG_RUNTIME_DIR/decnet and ~/.decnet, with bus.sock",
        "unix:///path or nats://host:port",
        "Where the bus is",
        &[],
    )),
    key(
        Section::Common,
        "spool-segment-bytes",
        "67108864",
        "1048576 to 4294967296",
        "A spool segment is closed and sealed at this size",
        &["collector"],
    ),
    key(
        Section::Common,
        "spool-segment-age-s",
        "86400",
        "60 to 2592000",
        "A spool segment is closed and sealed at this age",
        &["collector"],
    ),
    key(
        Section::Common,
        "spool-cap-bytes",
        "10737418240",
        "67108864 or more",
        "Segments that every reader is past are dropped beyond this",
        &["collector"],
    ),
    key(
        Section::Common,
        "spool-hard-cap-bytes",
        "53687091200",
        "at least spool-cap-bytes",
        "Segments are dropped, read or not, beyond this",
        &["collector"],
    ),
    key(
        Section::Common,
        "spool-min-free-bytes",
        "268435456",
        "0 or more",
        "Take no lines while the disk has less room than this",
        &["collector"],
    ),
    key(
        Section::Common,
        "commit-interval-ms",
        "100",
        "10 to 250",
        "Longest time between a line and its fsync",
        &["collector"],
    ),
    secret(
        "database-url",
        "sqlite:///path or mysql://user:password@host/name",
        "The database; SQLite in the data directory where absent",
        STORES,
    ),
    key(
        Section::Master,
        "db-pool-size",
        "4",
        "1 to 100",
        "Connections that are kept open for reading",
        STORES,
    ),
    key(
        Section::Master,
        "db-max-wait-ms",
        "10000",
        "100 to 600000",
        "Longest wait for a free connection",
        STORES,
    ),
    key(
        Section::Master,
        "db-pool-recycle-s",
        "3600",
        "0 to 86400; 0 is never",
        "Age at which a connection is replaced",
        STORES,
    ),
    key(
        Section::Master,
        "db-pool-pre-ping",
        "true, false on SQLite",
        "true or false",
        "Test a connection before it is used",
        STORES,
    ),
    key(
        Section::Master,
        "batch-size",
        "100",
        "1 to 10000",
        "Lines that the ingester stores at once",
        &["ingester"],
    ),
    key(
        Section::Master,
        "batch-max-wait-ms",
        "250",
        "1 to 10000",
        "Longest time that a line waits for its batch",
        &["ingester"],
    ),
    key(
        Section::Master,
        "listen",
        "127.0.0.1:8080",
        "address:port, the port from 1 to 65535",
        "Where the dashboard and the API listen",
        &["server"],
    ),
    with_two_paths(key(
        Section::Master,
        "tls",
        "off",
        "auto, off, or two absolute paths CERT,KEY",
        "Serve by TLS: auto with a certificate of the installation's own authority, or with PEM files of your own",
        &["server"],
    )),
    key(
        Section::Master,
        "max-connections",
        "2048",
        "16 to 65536",
        "Connections that the server has open at once; one address gets half of them",
        &["server"],
    ),
    with_account(key(
        Section::Master,
        "public-url",
        "http://, with tls https://, and listen",
        "http(s)://host[:port]",
        "How browsers reach the dashboard: decides Secure cookies and the origin that may post",
        &["server"],
    )),
    with_path(key(
        Section::Master,
        "site-root",
        "site beside the program",
        "an absolute path",
        "Folder of the dashboard's files",
        &["server"],
    )),
    secret(
        "jwt-secret",
        "at least 32 bytes; in secrets/jwt.key where absent",
        "Signs sessions",
        &["server"],
    ),
    secret(
        "totp-key",
        "at least 32 bytes; in secrets/totp.key where absent",
        "Seals the secrets of second factors in the database",
        &["server"],
    ),
    key(
        Section::Master,
        "require-totp",
        "false",
        "true or false",
        "Whoever has no second factor may only enrol one",
        &["server"],
    ),
    key(
        Section::Master,
        "jwt-exp-minutes",
        "240",
        "5 to 10080",
        "How long a login lasts",
        &["server"],
    ),
    key(
        Section::Master,
        "admin-user",
        "admin",
        "a user name",
        "The first administrator",
        &["server"],
    ),
    secret(
        "admin-password",
        "12 to 128 characters, and no common password; drawn and printed once where absent",
        "The first administrator's password until it is changed",
        &["server"],
    ),
    key(
        Section::Master,
        "trusted-proxies",
        "none",
        "networks by comma, such as 127.0.0.1/32",
        "Believe X-Forwarded-For from these only",
        &["server"],
    ),
    with_account(key(
        Section::Master,
        "cors-origins",
        "none",
        "origins by comma as browsers write them, http(s)://host[:port] in small letters, such as https://console.example.org",
        "Scripts of these sites may use the REST API with a token, or with the session of whoever runs them; the dashboard's own \
         functions stay closed to them",
        &["server"],
    )),
    key(
        Section::Master,
        "sse-max-per-user",
        "5",
        "1 to 100",
        "Event streams that a user may have open",
        &["server"],
    ),
    key(
        Section::Master,
        "api-shared-ms",
        "500",
        "0 to 5000 milliseconds; 0 makes each anew",
        "How long the answer to a list of the API is everybody's who asks for the same",
        &["server"],
    ),
    key(
        Section::Master,
        "engine",
        "local",
        "local, docker or netns",
        "What runs the deckies: processes on addresses of the loopback interface, containers with addresses of their own, or \
         processes with addresses of their own in network namespaces (root, no Docker)",
        &["mutator", "server"],
    ),
    key(
        Section::Master,
        "fleet-network",
        "127.66.0.0/16 of local deckies; the interface's network for docker and netns",
        "a network inside 127.0.0.0/8, or for docker and netns inside the interface's network",
        "Addresses of deckies",
        &["mutator", "server"],
    ),
    key(
        Section::Master,
        "fleet-interface",
        "that of the default route",
        "a name, such as eth0",
        "The interface whose network deckies with addresses of their own stand in",
        &["mutator"],
    ),
    key(
        Section::Master,
        "fleet-driver",
        "macvlan",
        "macvlan or ipvlan",
        "How they share the interface: with hardware addresses of their own, or with its own (Wi-Fi)",
        &["mutator"],
    ),
    key(
        Section::Master,
        "fleet-gateway",
        "that of the default route",
        "an address",
        "The way out of their network",
        &["mutator"],
    ),
    with_path(key(
        Section::Master,
        "docker-socket",
        "/var/run/docker.sock",
        "an absolute path",
        "The socket of the Docker daemon",
        &["mutator"],
    )),
    with_path(key(
        Section::Master,
        "docker-folder",
        "/var/lib/netsvcd",
        "an absolute path that says nothing of this program: a container can read it",
        "What containers are told, and their evidence",
        &["mutator"],
    )),
    key(
        Section::Master,
        "port-offset",
        "10000",
        "1024 to 50000",
        "Added to ports that this user may not bind",
        &["mutator", "server"],
    ),
    key(
        Section::Master,
        "deployment-limit",
        "200",
        "1 to 10000",
        "Most deckies",
        &["mutator", "server"],
    ),
    key(
        Section::Master,
        "mutate-interval-minutes",
        "0",
        "0 to 525600; 0 is never",
        "How often deckies mutate that have no interval of their own",
        &["mutator", "server"],
    ),
    with_path(key(
        Section::Master,
        "decoy-program",
        "decnet-decoy beside the program",
        "an absolute path",
        "The program that deckies run",
        &["mutator"],
    )),
];

/// Whether `worker` works with the database. That is the master's, and so is then the worker.
#[must_use]
pub fn uses_database(worker: &str) -> bool {
    STORES.contains(&worker)
}

/// The key of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.name == name)
}
