//! What answers visitors: the [`Decoy`] trait, the [`Tap`] that is the only way to report, and the [`Peer`] that
//! holds every connection to its limits.
//!
//! [`runner::Decky`] runs the services of one decky; start there for how a connection becomes a session, and at
//! [`Decoy`] for what a service has to provide.

pub mod client_hello;
pub mod identity;
pub mod login;
pub mod peer;
pub mod relay;
pub mod runner;
pub(crate) mod tarpit;
pub mod tls;

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use decnet_model::clock::SharedClock;
use decnet_persona::Persona;
pub use peer::Peer;
use tokio_util::task::TaskTracker;

pub(crate) use crate::evidence::trouble;
pub use crate::evidence::{Tap, artifact, recorder, sink, tap};
use crate::{
    Service,
    knob::{KnobFault, Misfit},
};

/// The services that a decky offers by now; a live reconfiguration changes them.
#[derive(Debug, Default)]
pub struct Services(RwLock<Vec<Offered>>);

/// A service that a decky offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Its slug.
    pub slug: String,
    /// When it was added, in Unix seconds; `None` for those of the machine's start.
    pub since: Option<i64>,
}

impl Services {
    /// What is offered now.
    #[must_use]
    pub fn now(&self) -> Vec<Offered> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on `slugs` are offered: those that were before keep their age, the others are `since` then.
    pub fn set<'a>(&self, slugs: impl IntoIterator<Item = &'a str>, since: Option<i64>) {
        let mut offered = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let next = slugs
            .into_iter()
            .map(|slug| {
                let before = offered.iter().find(|o| o.slug == slug);
                before.cloned().unwrap_or_else(|| Offered {
                    slug: slug.to_owned(),
                    since,
                })
            })
            .collect();
        *offered = next;
    }
}

/// What every service of one decky shares.
pub struct Host {
    /// Who the decky pretends to be.
    pub persona: Persona,
    /// What the decky offers by now.
    pub services: Arc<Services>,
    /// The only clock that a service may ask.
    pub clock: SharedClock,
    /// Where captured files go; `None` where nothing may be written (they are then only reported).
    pub artifacts: Option<std::path::PathBuf>,
    /// Where session recordings go; `None` where nothing may be written.
    pub transcripts: Option<std::path::PathBuf>,
    /// Its sessions, and what goes on of them beside their connections: a decky stops when all have ended.
    pub sessions: TaskTracker,
    /// The machine's own certificate, made when the first service wants it.
    snakeoil: Mutex<Option<Arc<tls::Identity>>>,
}

impl Host {
    /// The machine that `persona` describes, without folders to write to.
    #[must_use]
    pub fn new(persona: Persona, clock: SharedClock) -> Self {
        let services = Services::default();
        services.set(persona.services.iter().map(|slug| slug.as_str()), None);
        Self {
            services: Arc::new(services),
            persona,
            clock,
            artifacts: None,
            transcripts: None,
            sessions: TaskTracker::new(),
            snakeoil: Mutex::default(),
        }
    }

    /// Seconds since the persona's boot; at least one.
    #[must_use]
    pub fn uptime_s(&self) -> u64 {
        let up = self
            .clock
            .now()
            .unix_timestamp()
            .saturating_sub(self.persona.boot_time);
        u64::try_from(up).unwrap_or_default().max(1)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("persona", &self.persona.hostname)
            .finish_non_exhaustive()
    }
}

/// A service that cannot be started as configured.
#[derive(Debug, thiserror::Error)]
#[error("{service}: {}{problem}", .knob.as_ref().map(|knob| format!("{knob}: ")).unwrap_or_default())]
pub struct BuildError {
    /// Slug of the service.
    pub service: String,
    /// The knob at fault, if it is one.
    pub knob: Option<String>,
    /// What is wrong with it and what is allowed.
    pub problem: String,
}

impl BuildError {
    /// Service `S` cannot be started, because of `knob` where it is one.
    pub fn of<S: Service>(knob: Option<&str>, problem: impl std::fmt::Display) -> Self {
        Self {
            service: S::META.slug.to_owned(),
            knob: knob.map(str::to_owned),
            problem: problem.to_string(),
        }
    }
}

impl From<Misfit> for BuildError {
    fn from(misfit: Misfit) -> Self {
        Self {
            service: misfit.service.to_owned(),
            knob: Some(misfit.knob.to_owned()),
            problem: misfit.problem,
        }
    }
}

impl From<KnobFault> for BuildError {
    fn from(fault: KnobFault) -> Self {
        Self {
            service: fault.service,
            knob: None,
            problem: fault.problem,
        }
    }
}

/// Why a session ended before its time. Never shown to a visitor; reported as a `disconnect` reason.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The network failed, the peer vanished, or a limit closed the connection (see [`peer::Meter::closed_by`]).
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Nobody answers behind a relay.
    #[error("nobody answers: {0}")]
    Unanswered(std::io::Error),
    /// The peer broke the protocol beyond what the real product answers; already reported as a violation.
    #[error("the peer broke the protocol: {0}")]
    Violation(&'static str),
}

/// How many connections a product takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// From everybody together.
    pub all: u32,
    /// From one address.
    pub each: u32,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            all: u32::MAX,
            each: u32::MAX,
        }
    }
}

/// Why a visitor cannot be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are too many visitors.
    Everyone,
    /// There are too many connections from this address.
    Address(IpAddr),
}

/// A service that answers visitors.
///
/// MUST: report through `tap` only; answer as the product and version of the persona would; keep per-connection
/// memory bounded whatever the peer sends; use no clock, file or socket of its own. MUST NOT: panic, block the
/// thread, or connect anywhere but back to its visitor ([`Peer::call_back`], and [`Service::calls_back`] says so). `connect` and `disconnect` are reported by the runner, not by the service.
pub trait Decoy: Service + Sized + Send + Sync {
    /// Prepare what all sessions share: keys, certificates, bait. Runs once per start.
    ///
    /// # Errors
    /// Where a knob contradicts the persona, or what is needed cannot be made.
    fn build(config: Self::Config, host: &Arc<Host>) -> Result<Self, BuildError>;

    /// Answer one visitor until either side closes.
    ///
    /// # Errors
    /// Where the connection ended otherwise than by the protocol.
    fn session(&self, peer: Peer, tap: Tap) -> impl Future<Output = Result<(), SessionError>> + Send;

    /// How many visitors the real product takes as its package configures it; without a bound by default. The decky's own
    /// limits are a ceiling above it.
    fn room(&self) -> Room {
        Room::default()
    }

    /// What the real product sends before it closes a connection that it has no room for; nothing by default.
    fn busy(&self, _full: Full) -> Cow<'static, [u8]> {
        Cow::Borrowed(b"")
    }
}

/// A [`Decoy`] of any service, or a [`relay::Relayed`] one, as the runner holds it.
pub trait AnyDecoy: Send + Sync {
    /// The name of the service in evidence.
    fn slug(&self) -> &str;

    /// The address that a visitor believes to be on, who arrived at `local`.
    fn shown(&self, local: SocketAddr) -> SocketAddr {
        local
    }

    /// See [`Decoy::session`].
    fn session<'a>(
        &'a self,
        peer: Peer,
        tap: Tap,
    ) -> Pin<Box<dyn Future<Output = Result<(), SessionError>> + Send + 'a>>;

    /// See [`Decoy::room`].
    fn room(&self) -> Room;

    /// See [`Decoy::busy`].
    fn busy(&self, full: Full) -> Cow<'static, [u8]>;
}

impl<D: Decoy> AnyDecoy for D {
    fn slug(&self) -> &str {
        D::META.slug
    }

    fn session<'a>(
        &'a self,
        peer: Peer,
        tap: Tap,
    ) -> Pin<Box<dyn Future<Output = Result<(), SessionError>> + Send + 'a>> {
        Box::pin(Decoy::session(self, peer, tap))
    }

    fn room(&self) -> Room {
        Decoy::room(self)
    }

    fn busy(&self, full: Full) -> Cow<'static, [u8]> {
        Decoy::busy(self, full)
    }
}
