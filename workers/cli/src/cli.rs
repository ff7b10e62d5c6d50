//! What there is on the command line.

use std::{ffi::OsString, fmt, net::IpAddr, path::PathBuf, str::FromStr};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use decnet_model::{
    name::{DeckyName, ServiceSlug, TokenName, UserName, WorkerName},
    state::WORKERS,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The whole command line. What a flattened part says of itself would stand in place of these words, hence `about`.
#[derive(Debug, Parser)]
#[command(
    name = "decnet",
    version,
    about = "A deception network: decoy machines that pass for real hosts, and the evidence of who touched them",
    propagate_version = true,
    subcommand_required = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which installation.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlaceArgs {
    /// The INI file [default: /etc/decnet/decnet.ini]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept [env: DECNET_DATA_DIR] [default: /var/lib/decnet for root, else ~/.local/share/decnet]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Any other key of the configuration, such as --set batch-size=200; `decnet config keys` lists them
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// How a listing is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ListArgs {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole host in the foreground: bus, server and workers
    Up(UpArgs),
    /// Make what an installation needs: folders, secrets, database, the first administrator
    Init,
    /// Deploy deckies
    Deploy(Box<DeployArgs>),
    /// Take deckies down
    Teardown(TeardownArgs),
    /// Take deckies down and bring them up again
    Redeploy(TargetArgs),
    /// Stop deckies: they keep address and identity, and stay stopped until they are started
    Stop(TargetArgs),
    /// Have stopped deckies run again as who they were
    Start(TargetArgs),
    /// Let deckies change their services now
    Mutate(TargetArgs),
    /// End the quarantine of deckies that were given up after failing too often: they are tried again
    Clear(ClearArgs),
    /// How the fleet does
    Status(StatusArgs),
    /// The services that a decky can have
    Services(ListArgs),
    /// The kinds of deckies that can be deployed
    Archetypes(ListArgs),
    /// The distributions that a decky can pass for
    Distros(ListArgs),
    /// The configuration: check it, show it, list its keys
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The database: bring it to this version, see its version
    #[command(subcommand)]
    Db(DbCommand),
    /// Accounts of the dashboard
    #[command(subcommand)]
    User(UserCommand),
    /// The workers of this host
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Evidence: the newest lines, or as they come
    Logs(LogsArgs),
    /// The spool: what was recorded, and proof that nobody changed it
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Store what the spool has
    Ingest(IngestArgs),
    /// Demo evidence
    #[command(subcommand)]
    Demo(DemoCommand),
    /// Try the decoys
    #[command(subcommand)]
    Lab(LabCommand),
    /// Measure this installation
    #[command(subcommand, hide = true)]
    Bench(BenchCommand),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write man pages into a folder
    Man {
        /// The folder
        out: PathBuf,
    },
    /// A worker in the foreground: decnet bus, server, collector, ingester, profiler, mutator
    #[command(external_subcommand)]
    Daemon(Vec<OsString>),
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Deploy a demo fleet of four deckies, unless there is a fleet already
    #[arg(long)]
    pub(crate) demo: bool,
    /// Where the dashboard listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Serve the dashboard by TLS: auto with a certificate of the installation's own authority, off, or PEM files of your
    /// own [default: off]
    #[arg(long, value_name = "auto|off|CERT,KEY")]
    pub(crate) tls: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// A fleet description (INI, or JSON by its ending). A container image of your own can be a service there, in a section
    /// custom-NAME with image, command, ports and memory_mb
    #[arg(long, short = 'f', value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// How many [default: 1]
    #[arg(long, short = 'n')]
    pub(crate) deckies: Option<Said<u32>>,
    /// What kind; `decnet archetypes` lists them
    #[arg(long, short = 'a', required_unless_present_any = ["services", "file"])]
    pub(crate) archetype: Option<String>,
    /// Services, by comma; the archetype's where absent
    #[arg(long, value_delimiter = ',')]
    pub(crate) services: Vec<Said<ServiceSlug>>,
    /// A knob of one of their services, such as --knob http.site=company, as often as wanted; `decnet services` lists them. The
    /// service is added where --services does not name it
    #[arg(long = "knob", value_name = "SERVICE.KEY=VALUE")]
    pub(crate) knobs: Vec<Said<KnobArg>>,
    /// Choose other services that fit the archetype
    #[arg(long)]
    pub(crate) randomize_services: bool,
    /// Distribution; `decnet distros` lists them
    #[arg(long)]
    pub(crate) distro: Option<String>,
    /// Operating-system family that their network shows, where the distribution's does not do: linux, windows, windows_server
    /// or embedded, as far as what they are can be it
    #[arg(long)]
    pub(crate) os: Option<String>,
    /// Name, or the beginning of the names where there are several
    #[arg(long)]
    pub(crate) name: Option<Said<DeckyName>>,
    /// Address, for a single decky
    #[arg(long)]
    pub(crate) ip: Option<Said<IpAddr>>,
    /// Hardware address, for a single decky; one of a fitting vendor where absent
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mac: Option<String>,
    /// Host name, for a single decky; made from the seed where absent
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// What the personas are made from, best nothing that can be guessed: the same seed gives the same machines
    #[arg(long)]
    pub(crate) seed: Option<String>,
    /// Folder of your own bait (files.toml, redis.toml, database.toml, site.toml), or of that of one service alone, such as
    /// --bait redis=DIR; empty for the built-in one, or for a service for that of its decky
    #[arg(long, value_name = "[SERVICE=]DIR")]
    pub(crate) bait: Vec<BaitArg>,
    /// What they may begin by themselves, where the engine can keep them from it: deny, dns (questions to any name server) or allow
    #[arg(long, value_name = "WHAT")]
    pub(crate) egress: Option<String>,
    /// Share the interface's hardware address, as Wi-Fi needs; refused unless the host was started with fleet-driver=ipvlan,
    /// since all deckies share one network
    #[arg(long)]
    pub(crate) ipvlan: bool,
    /// The interface that they stand behind; refused unless the host was started with this fleet-interface
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<String>,
    /// The way out of their network; refused unless the host was started with this fleet-gateway
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway: Option<String>,
    /// Minutes between mutations, 0 for never
    #[arg(long, value_name = "MINUTES")]
    pub(crate) mutate_interval: Option<Said<u32>>,
    /// Take down every decky that is not named here
    #[arg(long)]
    pub(crate) replace: bool,
    /// Only print what would be done
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

impl DeployArgs {
    /// The options given that say what a decky is, each with what says the same in a file.
    pub(crate) fn of_deckies(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        // By name, so that an option which is new is not forgotten here.
        let Self {
            file: _,
            deckies,
            archetype,
            services,
            knobs,
            randomize_services,
            distro,
            os,
            name,
            ip,
            mac,
            hostname,
            seed,
            bait,
            egress,
            mutate_interval,
            // The installation's, and what is done with the deckies.
            ipvlan: _,
            interface: _,
            gateway: _,
            replace: _,
            dry_run: _,
            wait: _,
        } = self;
        let all = [
            (deckies.is_some(), "--deckies", "amount"),
            (archetype.is_some(), "--archetype", "archetype"),
            (!services.is_empty(), "--services", "services"),
            (!knobs.is_empty(), "--knob", "the knobs of a service"),
            (*randomize_services, "--randomize-services", "randomize_services"),
            (distro.is_some(), "--distro", "distro"),
            (os.is_some(), "--os", "os"),
            (name.is_some(), "--name", "the name of a decky"),
            (ip.is_some(), "--ip", "ip"),
            (mac.is_some(), "--mac", "mac"),
            (hostname.is_some(), "--hostname", "hostname"),
            (seed.is_some(), "--seed", "seed"),
            (!bait.is_empty(), "--bait", "bait"),
            (egress.is_some(), "--egress", "egress"),
            (
                mutate_interval.is_some(),
                "--mutate-interval",
                "mutate_interval_minutes",
            ),
        ];
        let given = all.into_iter().filter(|(is_given, ..)| *is_given);
        given.map(|(_, option, key)| (option, key))
    }
}

/// What was said of a decky, read or as it stands there: what cannot be read is told with everything else that is wrong, and not alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said<T> {
    Read(T),
    /// The text, and what is wrong with it.
    Wrong(String, String),
}

impl<T> Said<T> {
    /// What it is, where it could be read.
    pub(crate) fn read(&self) -> Option<&T> {
        match self {
            Self::Read(it) => Some(it),
            Self::Wrong(..) => None,
        }
    }
}

impl<T: FromStr<Err: fmt::Display>> From<&str> for Said<T> {
    fn from(text: &str) -> Self {
        match text.parse() {
            Ok(it) => Self::Read(it),
            Err(why) => Self::Wrong(text.to_owned(), why.to_string()),
        }
    }
}

/// A knob of a service, as text: what its value is, the service knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnobArg {
    pub(crate) service: ServiceSlug,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A folder of bait: for one service, or for all that there is on a decky.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaitArg {
    pub(crate) service: Option<ServiceSlug>,
    pub(crate) folder: String,
}

impl From<&str> for BaitArg {
    fn from(text: &str) -> Self {
        let named = text
            .split_once('=')
            .and_then(|(service, folder)| Some((service.parse().ok()?, folder)));
        let (service, folder) = match named {
            Some((service, folder)) => (Some(service), folder),
            None => (None, text),
        };
        // Nobody reads it in the folder of this command.
        let from_root = std::path::absolute(folder).map(|folder| folder.display().to_string());
        Self {
            service,
            folder: from_root.unwrap_or_else(|_| folder.to_owned()),
        }
    }
}

impl FromStr for KnobArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('=')
            .and_then(|(name, value)| name.split_once('.').map(|(service, key)| (service, key, value)))
            .filter(|(_, key, _)| !key.is_empty());
        let Some((service, key, value)) = parts else {
            return Err("give it as SERVICE.KEY=VALUE".to_owned());
        };
        Ok(Self {
            service: service.parse().map_err(|error| format!("{error}"))?,
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Long work.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WaitArgs {
    /// Do not wait for the work to be done
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Names of deckies
    #[arg(required_unless_present = "all")]
    pub(crate) names: Vec<DeckyName>,
    /// Every decky
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TeardownArgs {
    /// Names of deckies
    #[arg(required_unless_present_any = ["all", "id"])]
    pub(crate) names: Vec<DeckyName>,
    /// The same, as it is called elsewhere
    #[arg(long, value_name = "NAME")]
    pub(crate) id: Vec<DeckyName>,
    /// Every decky
    #[arg(long, conflicts_with_all = ["names", "id"])]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClearArgs {
    /// Names of deckies
    #[arg(required = true)]
    pub(crate) names: Vec<DeckyName>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Who a decky pretends to be
    #[arg(long, value_name = "NAME")]
    pub(crate) persona: Option<DeckyName>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration and tell every fault
    Check(ListArgs),
    /// Every value in effect and where it comes from; secrets are redacted
    Show(ListArgs),
    /// Every key that there is
    Keys(ListArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Bring the database to this version
    Migrate(ListArgs),
    /// Whether the database is of this version
    Status(ListArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Every account
    List(ListArgs),
    /// Make an account; its password is read from standard input, or drawn and printed
    Create {
        /// Its name
        name: UserName,
        /// What it may do
        #[arg(long, default_value = "viewer")]
        role: RoleArg,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Give an account another role
    Role {
        /// Its name
        name: UserName,
        /// What it may do
        role: RoleArg,
    },
    /// Give an account a new password, read from standard input, or drawn and printed
    Reset {
        /// Its name
        name: UserName,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Let an account sign in no more
    Disable {
        /// Its name
        name: UserName,
    },
    /// Let an account sign in again
    Enable {
        /// Its name
        name: UserName,
    },
    /// Remove an account
    Delete {
        /// Its name
        name: UserName,
    },
    /// End every session of an account; its API tokens stay
    Logout {
        /// Its name
        name: UserName,
    },
    /// Second factors
    #[command(subcommand)]
    Totp(TotpCommand),
    /// API tokens, with which programs sign in
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TotpCommand {
    /// Take the second factor of an account away, whose owner lost it
    Reset {
        /// Its name
        name: UserName,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it: it is shown this once
    Add {
        /// Whose it is
        user: UserName,
        /// What it is called
        name: TokenName,
        /// What it may do at most
        #[arg(long, default_value = "viewer")]
        role: RoleArg,
        /// When it ends
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// Every token, without its text
    List {
        /// Only this account's
        user: Option<UserName>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// End a token
    Revoke {
        /// Whose it is
        user: UserName,
        /// What it is called
        name: TokenName,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleArg {
    /// Looks
    Viewer,
    /// Does everything
    Admin,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// Every worker and how it does
    List(ListArgs),
    /// Tell a worker to stop; it then stays stopped
    Stop {
        /// Its name
        #[arg(value_parser = worker_arg())]
        name: WorkerName,
    },
    /// Have `decnet up` start a worker that is down
    Start {
        /// Its name
        #[arg(value_parser = worker_arg(), required_unless_present = "all")]
        name: Option<WorkerName>,
        /// Every worker that is down
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// Have `decnet up` try a worker again that is in quarantine because it died too often
    Clear {
        /// Its name
        #[arg(value_parser = worker_arg())]
        name: WorkerName,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on with what comes
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// How many of the newest lines
    #[arg(long, short = 'n', default_value_t = 20)]
    pub(crate) lines: u32,
    /// Only this decky
    #[arg(long)]
    pub(crate) decky: Option<String>,
    /// Only this service
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// Only this type of event
    #[arg(long = "type", value_name = "EVENT")]
    pub(crate) event_type: Option<String>,
    /// Only this source address
    #[arg(long)]
    pub(crate) source: Option<IpAddr>,
    /// Text in the line
    #[arg(long)]
    pub(crate) search: Option<String>,
    /// The lines that did not become evidence, with what is wrong with them
    #[arg(
        long,
        conflicts_with_all = ["follow", "decky", "service", "event_type", "source", "search"]
    )]
    pub(crate) quarantine: bool,
    /// The lines as they stand in the spool
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    /// A line of JSON a row, and not one document: so it can be read while it goes on
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpoolCommand {
    /// Segments, readers and how far they are
    Status(ListArgs),
    /// Prove that nobody changed, cut or inserted a line; names the first one otherwise
    Verify {
        /// An evidence bundle [default: this installation's spool]
        folder: Option<PathBuf>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Write an evidence bundle with its proof into a new folder: whole segments, each with lines of the interval
    ///
    /// A seal proves a whole segment, so whole segments go into the bundle: also their lines from before and after the interval. The
    /// bundle's own proof, which is printed, holds the interval and the list of its segments.
    Export {
        /// Lines that arrived not before this time (RFC 3339, or a date alone: its midnight in UTC) [default: the beginning]
        #[arg(long, value_parser = time_arg)]
        since: Option<OffsetDateTime>,
        /// Lines that arrived before this time (RFC 3339, or a date alone: its midnight in UTC) [default: now]
        #[arg(long, value_parser = time_arg)]
        until: Option<OffsetDateTime>,
        /// The folder to make
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Forget everything that was derived from the spool and let the ingester store it again
    #[arg(long, required = true)]
    pub(crate) rebuild: bool,
    /// Even where the spool has fewer lines than the database
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DemoCommand {
    /// Put a reproducible day of invented evidence into the spool, its files and recordings into folders of deckies, and those into the
    /// fleet
    Seed {
        /// How many lines
        #[arg(long, default_value_t = 50_000)]
        events: u64,
        /// How many attackers
        #[arg(long, default_value_t = 40)]
        attackers: u32,
        /// How many deckies
        #[arg(long, default_value_t = 20)]
        deckies: u32,
        /// The same seed gives the same day
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// When the day ends (RFC 3339, or a date alone: its midnight in UTC) [default: now]
        #[arg(long, value_parser = time_arg)]
        end: Option<OffsetDateTime>,
        /// Even where there is evidence already: what is invented cannot be taken out again
        #[arg(long)]
        yes: bool,
        /// Leave its deckies out of the fleet, where they would stand, stopped
        #[arg(long)]
        no_fleet: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Say the same to real servers and to decoys of the same product and version, and show what both answer
    ///
    /// Each real server that is installed is started on a port of 127.0.0.1 and in a temporary folder, beside a decoy of its product
    /// and version; both are gone at the end. Banners, what is negotiated, and answers to what no client says are compared, and
    /// answers are timed. What differs between any two real servers, such as a salt, is masked by rules that are printed. Exit code: 0
    /// where all is the same, 1 where something differs, 69 where nothing could be compared.
    Compare(CompareArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Services, or products of them by themselves [default: all]
    #[arg(value_parser = PossibleValuesParser::new(crate::lab::choices()))]
    pub(crate) services: Vec<String>,
    /// How often each answer is timed
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) runs: u16,
    /// The answers whole, however long they are
    #[arg(long, conflicts_with = "json")]
    pub(crate) all: bool,
    /// As JSON, with the answers whole
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Memory of a whole host with ten deckies, and the cost of a login
    Host {
        /// Deckies to deploy
        #[arg(long, default_value_t = 10)]
        deckies: u32,
        /// Logins to make
        #[arg(long, default_value_t = 50)]
        logins: u32,
    },
}

/// A name of the closed list of workers, which shells complete.
fn worker_arg() -> impl TypedValueParser<Value = WorkerName> {
    PossibleValuesParser::new(WORKERS.iter().copied()).try_map(|name| name.parse::<WorkerName>())
}

/// A time, or the midnight in UTC that a date begins with.
fn time_arg(text: &str) -> Result<OffsetDateTime, String> {
    let midnight = (text.len() == "2026-01-31".len()).then(|| format!("{text}T00:00:00Z"));
    OffsetDateTime::parse(midnight.as_deref().unwrap_or(text), &Rfc3339).map_err(|error| {
        format!("{error}; give it like 2026-01-31T12:00:00Z, or 2026-01-31 for its midnight in UTC")
    })
}
