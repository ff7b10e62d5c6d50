//! The use-cases of DECNET: what the API, the dashboard and the command line call, and where every rule lives.
//!
//! A caller proves who it is once ([`Domain::authenticate`] gives an [`Actor`]), asks for the permission that it needs
//! ([`Domain::permit`] gives a [`Permit`]) and hands the permit to the use-case. A permit cannot be made in another
//! way, so a use-case cannot be reached without its role check. Whatever changes something is written to the audit
//! log, refused attempts too.
//!
//! Deliberately absent: HTTP, cookies, HTML, and SQL. Start at [`Domain`]; the use-cases stand in one file a resource.

mod alerts;
mod api_tokens;
mod attempts;
mod audit;
mod auth;
mod cached;
mod error;
mod evidence;
mod fleet;
mod health;
mod password;
mod permit;
mod random;
mod seal;
mod second_factor;
mod seen;
mod session;
mod sessions;
mod settings;
mod stream;
mod token;
mod totp;
mod users;
mod workers;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use decnet_bus::Bus;
use decnet_db::Store;
use decnet_model::{clock::SharedClock, name::UserName};
use decnet_runtime::{Settings, installed::Places};
use secrecy::SecretString;

pub use api_tokens::{MadeToken, TokenRequest, is_api_token};
pub use auth::{Bearer, FirstAdmin, Login, SignedIn};
pub use decnet_fleet::StepKind;
pub use error::DomainError;
pub use evidence::{ACTIVITY, Sample};
pub use fleet::{FleetPlan, Machine, Mutable, archetypes, service_adjust, services};
pub use password::generate as generate_password;
pub use permit::{Actor, Permit};
pub use second_factor::{Challenge, Enrolment};
pub use settings::REINITIALISE;
pub use stream::EventStream;

pub use decnet_db::Setting;

/// What the use-cases need to be told. Every process that holds a [`Domain`] makes its own.
#[derive(Debug, Clone)]
pub struct Options {
    /// What session tokens are signed with, at least 32 bytes. Only the server has it; without it nobody signs in.
    pub jwt_secret: Option<SecretString>,
    /// What secrets of second factors are sealed with, at least 32 bytes. Only the server has it; without it nobody enrols.
    pub second_factor_key: Option<SecretString>,
    /// Whether everybody has to have a second factor: who has none may only enrol one.
    pub require_second_factor: bool,
    /// How long a session lasts; 240 minutes.
    pub token_lifetime: Duration,
    /// Streams that one user may have open; 5.
    pub sse_max_per_user: usize,
    /// Name of the first admin; `admin`.
    pub admin_user: Option<UserName>,
    /// Password of the first admin as the environment has it; drawn where absent.
    pub admin_password: Option<SecretString>,
    /// Password hashes computed at the same time; one for two of the machine's cores.
    pub hash_parallelism: usize,
    /// How many deckies there may be, and where their addresses are taken from.
    pub fleet: decnet_fleet::Limits,
    /// Whether the operator of this process said where they are taken from. The network of the installation, which its
    /// server notes, holds otherwise; see [`Domain::fleet_network_note`].
    pub fleet_network_given: bool,
    /// Minutes between two mutations of a decky that has no interval of its own, where no setting says otherwise; 0 is never.
    pub mutate_interval_minutes: u32,
    /// The engine that runs new deckies; `local`. The one that the installation's mutator runs holds, where none was given.
    pub engine: String,
    /// Whether the operator of this process named it.
    pub engine_given: bool,
    /// What the command line of this process said of the network that deckies with addresses of their own share. It is the
    /// installation's, and has to be what its mutator runs with.
    pub lan_ordered: BTreeMap<String, String>,
    /// How often the parts of the host are looked at in the background; 5 s.
    pub health_interval: Duration,
    /// Where the workers of this host leave their heartbeats. Without it, only what the database has of them is known.
    pub run_dir: Option<PathBuf>,
    /// Where it is looked whether workers are installed.
    pub installed: Places,
    /// The folder in which bait that is named over the network has to lie; anywhere where absent.
    pub bait_dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            second_factor_key: None,
            require_second_factor: false,
            token_lifetime: Duration::from_secs(240 * 60),
            sse_max_per_user: 5,
            admin_user: None,
            admin_password: None,
            hash_parallelism: std::thread::available_parallelism()
                .map_or(1, usize::from)
                .div_ceil(2),
            fleet: decnet_fleet::Limits::default(),
            fleet_network_given: false,
            mutate_interval_minutes: 0,
            engine: "local".into(),
            engine_given: false,
            lan_ordered: BTreeMap::new(),
            health_interval: Duration::from_secs(5),
            run_dir: None,
            installed: Places::here(),
            bait_dir: None,
        }
    }
}

impl Options {
    /// Those of a configuration, without the secrets that sign sessions and seal second factors: only the server asks for
    /// those.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            require_second_factor: settings.server.require_totp,
            token_lifetime: settings.server.jwt_expiry,
            sse_max_per_user: settings.server.sse_max_per_user,
            admin_user: Some(settings.server.admin_user.clone()),
            admin_password: settings.server.admin_password.clone(),
            fleet: decnet_fleet::Limits {
                deckies: settings.fleet.deployment_limit,
                network: settings.fleet.network,
                ..decnet_fleet::Limits::default()
            },
            fleet_network_given: settings.is_given("fleet-network"),
            mutate_interval_minutes: settings
                .fleet
                .mutate_interval
                .map_or(0, |every| u32::try_from(every.as_secs() / 60).unwrap_or(u32::MAX)),
            engine: settings.fleet.engine.clone(),
            engine_given: settings.is_given("engine"),
            lan_ordered: settings.lan_ordered(),
            run_dir: Some(settings.run_dir()),
            bait_dir: Some(settings.data_dir.join("bait")),
            ..Self::default()
        }
    }
}

/// The use-cases. A clone is another handle on the same caches and limits.
#[derive(Clone)]
pub struct Domain {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) clock: SharedClock,
    pub(crate) options: Options,
    pub(crate) hasher: password::Hasher,
    pub(crate) attempts: attempts::Attempts,
    pub(crate) tokens: Option<token::Tokens>,
    pub(crate) seal: Option<seal::Seal>,
    pub(crate) steps: second_factor::Steps,
    pub(crate) sessions: session::Sessions,
    pub(crate) summaries: evidence::Summaries,
    pub(crate) health: health::Board,
    pub(crate) heard: workers::Heard,
    pub(crate) hub: stream::Hub,
    pub(crate) deploying: tokio::sync::Mutex<()>,
    pub(crate) changes: AtomicU64,
}

impl Domain {
    /// The use-cases over a store and a bus.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the password hash or the token key cannot be set up.
    pub fn new(store: Store, bus: Bus, clock: SharedClock, options: Options) -> Result<Self, DomainError> {
        let hasher = password::Hasher::new(options.hash_parallelism)?;
        let tokens = options.jwt_secret.as_ref().map(token::Tokens::new);
        let seal = options
            .second_factor_key
            .as_ref()
            .map(seal::Seal::new)
            .transpose()?;
        let hub = stream::Hub::new(options.sse_max_per_user);
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                bus,
                clock,
                hasher,
                attempts: attempts::Attempts::default(),
                tokens,
                seal,
                steps: second_factor::Steps::default(),
                sessions: session::Sessions::default(),
                summaries: evidence::Summaries::default(),
                health: health::Board::default(),
                heard: workers::Heard::default(),
                hub,
                deploying: tokio::sync::Mutex::new(()),
                changes: AtomicU64::new(0),
                options,
            }),
        })
    }

    /// What a long-lived process runs beside its requests: the reader behind the event streams, the health probes,
    /// the keeper of heartbeats that only the bus tells, and the watch for users that another process changed. Never returns; stop it by dropping it.
    pub async fn background(&self) {
        tokio::join!(
            self.stream_reader(),
            self.health_refresher(),
            self.heartbeat_keeper(),
            self.user_watch(),
            self.token_sweeper()
        );
    }
}

/// Where a request came from: for limits, for the audit log, and for the list of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub ip: Option<IpAddr>,
    agent: Option<Arc<str>>,
}

/// The most characters that are kept of what a client calls itself.
const MAX_AGENT: usize = 200;

impl Source {
    /// A request from `ip` of a client that calls itself `agent`, which is anybody's text: it is bounded, and nothing in it is
    /// left that would steer a terminal.
    #[must_use]
    pub fn new(ip: Option<IpAddr>, agent: Option<&[u8]>) -> Self {
        let agent = agent.map(|raw| {
            let (text, _) = decnet_model::printable::printable_head(raw, MAX_AGENT);
            text.chars().take(MAX_AGENT).collect::<String>().into()
        });
        Self { ip, agent }
    }

    pub(crate) fn agent(&self) -> &str {
        self.agent.as_deref().unwrap_or_default()
    }
}

/// How long a request waits for what it leaves behind; the work goes on by itself then.
const BRIEFLY: Duration = Duration::from_millis(100);

/// Do what a request need not wait for where it takes long: a note that is written while somebody else writes much.
pub(crate) async fn briefly(work: impl Future<Output = ()> + Send + 'static) {
    // Over time is no fault: the task goes on.
    tokio::time::timeout(BRIEFLY, tokio::spawn(work)).await.ok();
}
