//! Deckies as child processes with addresses of their own on a real network: containers without Docker, for root.
//!
//! Each is a process (`children.rs`) in a network namespace that is furnished before it is started: the network stack of the
//! system that it claims (`stack.rs`), rules that let it answer and begin nothing (`contain.rs`), and an interface on the
//! host's network (`lan.rs`). So nobody can speak to one that is not contained. The namespace and all that is in it go with the
//! process, whatever ends that; only the interface by which the host reaches its deckies has to be taken away.
//!
//! What it may do on this host is the decoy program's own confinement, as for a local decky: there is no file system of its
//! own, and no limit of memory. It ends with the engine.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
};

use decnet_model::{fleet::Egress, name::DeckyName};
use decnet_persona::{Mac, OsFamily, Persona};
use futures::{StreamExt as _, TryFutureExt as _};
use tokio::sync::OwnedMutexGuard;

use super::{
    Engine, EngineError, ObservedDecky, StepError, Surroundings,
    children::{self, Children},
    contain::{self, Doors},
    home,
    lan::{self, Lan, LanOptions},
    namespace::Namespace,
    stack,
    surroundings::Lookout,
    watch::{Bounds, LOOKS, Watch, Watched},
};
use crate::{Catalogue, DesiredDecky, Step};

/// Where the engine works and what it runs.
#[derive(Debug, Clone)]
pub struct NetnsOptions {
    /// `deckies/` of the data directory.
    pub deckies: PathBuf,
    /// `outlets/` of the data directory.
    pub outlets: PathBuf,
    /// The decoy program.
    pub program: PathBuf,
    /// Where the deckies stand.
    pub lan: LanOptions,
}

/// See the module.
#[derive(Debug)]
pub struct NetnsEngine {
    children: Children,
    lan: LanOptions,
    lookout: Lookout,
    watch: Watch,
    /// The interface by which this host reaches its deckies.
    shim: String,
}

impl NetnsEngine {
    /// Take the folder and get ready. Needs a tokio runtime.
    ///
    /// # Errors
    /// Where another engine has the folder, or the program is not there.
    pub fn open(options: NetnsOptions, catalogue: Arc<dyn Catalogue + Send>) -> Result<Self, EngineError> {
        let children = children::Options {
            deckies: options.deckies.clone(),
            outlets: options.outlets,
            program: options.program,
            port_offset: 0,
            ask: children::ASK,
        };
        Ok(Self {
            children: Children::open(children, catalogue)?,
            lan: options.lan,
            lookout: Lookout::default(),
            watch: Watch::default(),
            shim: lan::shim(&home::installation(&options.deckies)?),
        })
    }

    async fn start(&self, name: &DeckyName) -> Result<(), StepError> {
        let decky = self.children.made(name)?;
        if self.children.is_running(name) {
            return Ok(());
        }
        // What a start that was cut short left of it would have its address.
        self.stop(name).await?;
        let IpAddr::V4(address) = decky.ip else {
            return Err(StepError::lasting(format!(
                "{}: deckies in network namespaces have IPv4 addresses",
                decky.ip
            )));
        };
        let persona = Persona::derive(&decky.persona)
            .map_err(|e| StepError::lasting(format!("the persona of {name}: {e}")))?;
        let lan = Lan::find(&self.lan).await.map_err(StepError::not_now)?;
        self.lookout.is_free(&lan, address, name, persona.mac).await?;
        let namespace = self
            .join(&lan, &decky, address, &persona)
            .await
            .map_err(StepError::not_now)?;
        self.children.start(decky, Some(namespace)).await
    }

    /// See that those that run are still contained, where it is time to look at them.
    async fn watch_over(&self, observed: &[ObservedDecky]) {
        let running = observed.iter().filter(|decky| decky.running);
        let due: Vec<_> = running
            .filter_map(|decky| Some((decky.name.clone(), self.watch.due(&decky.name)?)))
            .collect();
        if due.is_empty() {
            return;
        }
        let lan = Lan::find(&self.lan).await.ok();
        let look = |(name, mut watched): (DeckyName, OwnedMutexGuard<Watched>)| {
            let lan = lan.as_ref();
            async move {
                let (Some(pid), Ok(made)) = (self.children.pid(&name), self.children.made(&name)) else {
                    return;
                };
                let host = match (lan, made.ip) {
                    (Some(lan), IpAddr::V4(address)) => {
                        let shim = lan.reach(&self.shim, address).await.ok().flatten();
                        shim.map(|mac| (lan.host, mac))
                    }
                    _ => None,
                };
                let bounds = Bounds {
                    pid,
                    egress: made.egress,
                    doors: Doors::default(),
                    host,
                };
                watched.look(&name, bounds).await;
            }
        };
        futures::stream::iter(due).for_each_concurrent(LOOKS, look).await;
    }

    /// A network for `decky`, in which it has its `address` and can be reached.
    async fn join(
        &self,
        lan: &Lan,
        decky: &DesiredDecky,
        address: Ipv4Addr,
        persona: &Persona,
    ) -> Result<Namespace, EngineError> {
        let namespace = furnish(lan, persona.os, decky.egress, Some(persona.mac)).await?;
        let shim = lan.reach(&self.shim, address).await?;
        let inside = lan.clone();
        let namespace = blocking(move || {
            namespace.inside_async(|| inside.settle(address, shim).map_err(io::Error::other))?;
            Ok(namespace)
        })
        .await?;
        lan.announce(lan.seen_as(persona.mac), address).await?;
        Ok(namespace)
    }

    async fn stop(&self, name: &DeckyName) -> Result<(), StepError> {
        self.children.stop(name).await?;
        // What comes next is looked at anew.
        self.watch.forget(name);
        match self.children.home(name).read().map(|decky| decky.ip) {
            Some(IpAddr::V4(address)) => lan::forget(&self.shim, address).await.map_err(StepError::not_now),
            _ => Ok(()),
        }
    }
}

impl Engine for NetnsEngine {
    fn name(&self) -> &'static str {
        "netns"
    }

    async fn observe(&self) -> Result<Vec<ObservedDecky>, EngineError> {
        let mut observed = self.children.observe()?;
        self.watch_over(&observed).await;
        for decky in observed.iter_mut().filter(|decky| decky.running) {
            decky.seen.uncontained = self.watch.ails(&decky.name);
        }
        Ok(observed)
    }

    async fn prepare(&self, _first: &DesiredDecky) -> Result<(), EngineError> {
        // Those that run are proof enough.
        if self.children.is_any_running() {
            return Ok(());
        }
        contain::tool().map_err(EngineError::Unavailable)?;
        let lan = Lan::find(&self.lan).await?;
        // A place like a decky's, which is gone with this value.
        furnish(&lan, OsFamily::Linux, Egress::Deny, None).await.map(drop)
    }

    async fn surroundings(&self) -> Result<Option<Surroundings>, EngineError> {
        let own = || {
            self.children
                .made_all()
                .into_iter()
                .filter_map(|decky| decky.persona.mac)
        };
        self.lookout
            .surroundings(&self.lan, || own().collect())
            .await
            .map(Some)
    }

    async fn tidy(&self) -> Result<(), EngineError> {
        lan::remove_shim(&self.shim).await
    }

    async fn run(&self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::Create(decky) => {
                self.stop(&decky.name).await?;
                self.children.write(decky).await
            }
            Step::Start(name) => self.start(name).await,
            Step::Reconfigure(decky) => self.children.reconfigure(decky).await,
            Step::Stop(name) => self.stop(name).await,
            Step::Remove(name) => {
                self.stop(name).await?;
                self.children.remove(name).await
            }
        }
    }

    async fn changed(&self) {
        self.children.changed().await;
    }

    async fn shutdown(&self) {
        self.children.shutdown().await;
        // Nobody is left behind it.
        if let Err(error) = lan::remove_shim(&self.shim).await {
            tracing::warn!(interface = self.shim, %error, "not taken away");
        }
    }
}

/// A network that behaves like one of `os`, contained, with an interface on `lan` that is still off.
async fn furnish(
    lan: &Lan,
    os: OsFamily,
    egress: Egress,
    mac: Option<Mac>,
) -> Result<Namespace, EngineError> {
    let namespace = blocking(move || {
        let namespace = Namespace::new()?;
        namespace.inside(|| {
            stack::set(os)?;
            stack::without_ipv6("all")
        })?;
        contain::contain(&namespace, egress, &Doors::default())?;
        Ok(namespace)
    })
    .await?;
    lan.extend(&namespace, mac).await?;
    Ok(namespace)
}

/// Do what a thread has to wait for.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, EngineError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)
        .and_then(|done| done)
        .map_err(|error| {
            let hint = if error.kind() == io::ErrorKind::PermissionDenied {
                "; that is for root: start the host as root, or leave engine=netns out"
            } else {
                ""
            };
            EngineError::Unavailable(format!("a network of its own for a decky: {error}{hint}"))
        })
}
