//! What runs deckies: the [`Engine`] trait, and one engine a module.

pub mod any;
mod children;
mod contain;
pub mod docker;
mod home;
pub mod lan;
pub mod local;
mod namespace;
pub mod netns;
mod stack;
mod surroundings;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use decnet_model::name::{DeckyName, ServiceSlug};
use decnet_persona::Mac;
pub use home::installation;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{DesiredDecky, Digest, Step};

/// A decky as an engine sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Where its services listen, as far as it runs.
    pub listen: BTreeMap<ServiceSlug, Vec<SocketAddr>>,
    /// How it ended, where it ran and does not; of one that runs, how a part of it ended, or that it hangs.
    pub died: Option<String>,
    /// How it ended when it was last ended by a step and did not do so in order: evidence of it may be lost.
    pub lost: Option<String>,
    /// Why it is not known whether one that runs is contained.
    pub uncontained: Option<String>,
}

/// A decky as it is, whether or not anybody wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedDecky {
    /// Its name.
    pub name: DeckyName,
    /// [`DesiredDecky::identity`](crate::DesiredDecky::identity) of what it was made from; absent where that cannot be
    /// read.
    pub identity: Option<Digest>,
    /// [`DesiredDecky::loadout`](crate::DesiredDecky::loadout) of what it runs, or would run.
    pub loadout: Option<Digest>,
    /// Whether it runs.
    pub running: bool,
    /// The rest.
    pub seen: Seen,
}

/// An engine that cannot be used or looked at.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another process holds its folder.
    #[error("{0} is in use by another engine: only one may run deckies there")]
    Busy(PathBuf),
    /// The program that deckies run is not there.
    #[error("the decoy program {path}: {source}")]
    Program {
        /// Where it was looked for.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// What it works with is not there, or cannot do what is needed; with the way out.
    #[error("{0}")]
    Unavailable(String),
    /// A folder could not be used.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
}

impl EngineError {
    /// `path` could not be used for `operation`.
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}

/// The network that an engine's deckies stand in, as the engine found it or was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The network.
    pub network: IpNet,
    /// Addresses of it that somebody has.
    pub reserved: BTreeSet<IpAddr>,
    /// The hardware addresses of machines on it that are no deckies of ours, this host's among them, and where each is.
    #[serde(default)]
    pub macs: BTreeMap<Mac, IpAddr>,
}

/// What is noted of an engine in the database, so that whoever settles addresses knows where deckies stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineNote {
    /// Its name.
    pub engine: String,
    /// Where its deckies stand; absent where that is not known.
    #[serde(default)]
    pub surroundings: Option<Surroundings>,
    /// Why that is not known.
    #[serde(default)]
    pub problem: Option<String>,
    /// Why it could not be asked for its deckies when that was last tried.
    #[serde(default)]
    pub away: Option<String>,
    /// What its configuration says of the one network that its deckies share, by key: `fleet-driver` and the like.
    #[serde(default)]
    pub lan: BTreeMap<String, String>,
}

impl EngineNote {
    /// The setting that it is.
    pub const SETTING: &str = "fleet-engine";

    /// Whether deckies are containers, which nobody starts or ends without the daemon.
    #[must_use]
    pub fn has_daemon(&self) -> bool {
        outlives_mutator(&self.engine)
    }
}

/// Whether what the engine called `name` made runs on without the mutator, whichever engine that one has now.
#[must_use]
pub fn outlives_mutator(name: &str) -> bool {
    name == "docker"
}

/// A step that failed, or is not done yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// What went wrong, for the operator.
    pub message: String,
    /// Whether trying again may help.
    pub transient: bool,
    /// Whether nothing failed: what it needs is on its way, and the step is run again in a later round, so that no other waits for
    /// it. The message says how far that is.
    pub waits: bool,
    /// The decky's address, where what is wrong is that somebody else has it.
    pub taken: Option<IpAddr>,
}

impl StepError {
    /// One that trying again may help.
    #[must_use]
    pub fn transient(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            transient: true,
            waits: false,
            taken: None,
        }
    }

    /// What a step stands on is not there. It may be in a moment.
    fn not_now(error: EngineError) -> Self {
        Self::transient(error.to_string())
    }

    /// One that stays until somebody changes something.
    #[must_use]
    pub fn lasting(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            transient: false,
            waits: false,
            taken: None,
        }
    }

    /// The decky cannot have its `address`, because somebody else has it.
    #[must_use]
    pub fn taken(address: IpAddr, message: impl Into<String>) -> Self {
        Self {
            taken: Some(address),
            ..Self::lasting(message)
        }
    }

    /// One that cannot be done yet. [`Engine::changed`] returns when it can.
    #[must_use]
    pub fn waiting(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            transient: false,
            waits: true,
            taken: None,
        }
    }
}

/// What runs deckies somewhere.
///
/// MUST: make every step repeatable; see in `observe` what an earlier process of this engine left behind; touch
/// nothing that is not its own. MUST NOT: keep a decky running when the engine is gone and nobody could see it.
pub trait Engine: Send + Sync + 'static {
    /// Its name in configuration and in views.
    fn name(&self) -> &'static str;

    /// Every decky that there is, wanted or not.
    fn observe(&self) -> impl Future<Output = Result<Vec<ObservedDecky>, EngineError>> + Send;

    /// Make sure that deckies can be made at all, and leave nothing behind where they cannot. Asked before steps that make
    /// some; `first` is the first of them.
    fn prepare(&self, first: &DesiredDecky) -> impl Future<Output = Result<(), EngineError>> + Send {
        let _not_needed = first;
        async { Ok(()) }
    }

    /// Where its deckies stand, and who is there already; `None` where nobody can be asked.
    fn surroundings(&self) -> impl Future<Output = Result<Option<Surroundings>, EngineError>> + Send {
        async { Ok(None) }
    }

    /// Take away what deckies share: there are none, and none are wanted.
    fn tidy(&self) -> impl Future<Output = Result<(), EngineError>> + Send {
        async { Ok(()) }
    }

    /// Take away what no decky uses any more, such as the program that they ran before there was a newer one. Asked after steps.
    fn sweep(&self) -> impl Future<Output = Result<(), EngineError>> + Send {
        async { Ok(()) }
    }

    /// Whether its deckies run on when the engine is gone.
    fn outlives(&self) -> bool {
        false
    }

    /// Run one step to its end, or say that it waits for something ([`StepError::waiting`]).
    fn run(&self, step: &Step) -> impl Future<Output = Result<(), StepError>> + Send;

    /// Wait until something may have changed without a step, such as a decky that died. May return for nothing.
    fn changed(&self) -> impl Future<Output = ()> + Send;

    /// The engine is going away; deckies that do not outlive it are ended.
    fn shutdown(&self) -> impl Future<Output = ()> + Send;
}
