//! Deckies as containers with addresses of their own on a real network.
//!
//! Each decky is one container whose image holds the decoy program and nothing else ([`image`]), on a MACVLAN or IPVLAN
//! network of this installation ([`network`]), with the network stack of the system that it claims (`stack.rs`). It may
//! answer and begin nothing (`contain.rs`). Its folder is the same as a local decky's (`home.rs`), but stands below a
//! folder with a neutral name, because a container can see where its mounts come from; `deckies/<name>` and
//! `outlets/<name>` of the data directory are links there. Its evidence goes straight into its outlet, so it is kept
//! while the daemon, the mutator or the collector is away.
//!
//! An operator's own image is a container beside the decky's own, in its network ([`beside`]). One that this host does not have is
//! pulled meanwhile ([`pull`]).
//!
//! A decky starts with no service, is contained, and gets its services then: nobody can speak to one that is not contained.
//!
//! Containers outlive the mutator, and end with the daemon; the next look starts them again. Only what carries this
//! installation's label is ever touched.

mod beside;
mod container;
mod daemon;
mod ground;
mod hardened;
mod image;
mod network;
mod pull;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bollard::{
    Docker,
    models::{ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder},
};
use decnet_model::name::DeckyName;
use futures::StreamExt as _;
use nix::fcntl::Flock;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use self::{
    beside::Beside,
    daemon::{ours, unavailable},
    ground::Ground,
    pull::Pulls,
};
use super::{
    Engine, EngineError, ObservedDecky, Seen, StepError, Surroundings,
    home::{self, Home, hex},
    lan::{self, LanOptions},
    surroundings::Lookout,
};
use crate::{Catalogue, DesiredDecky, Step};

/// The label that says which installation something belongs to.
const LABEL: &str = "svc.installation";
/// The label with a container's decky.
const LABEL_NAME: &str = "svc.name";
/// The labels of a container of an operator's own image: the decky that it stands beside, the service that it is, and what it was
/// made from.
const LABEL_BESIDE: &str = "svc.beside";
const LABEL_SLUG: &str = "svc.slug";
const LABEL_MADE: &str = "svc.made";

/// Where the engine works and what it runs.
#[derive(Debug, Clone)]
pub struct DockerOptions {
    /// `deckies/` of the data directory.
    pub deckies: PathBuf,
    /// `outlets/` of the data directory.
    pub outlets: PathBuf,
    /// The folder of the containers' own folders. A container can read this path.
    pub folder: PathBuf,
    /// The decoy program, static.
    pub program: PathBuf,
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Where the containers stand.
    pub lan: LanOptions,
}

/// See the module.
pub struct DockerEngine {
    options: DockerOptions,
    catalogue: Arc<dyn Catalogue + Send>,
    /// Which installation this is: what is labelled with it is ours.
    id: String,
    client: Mutex<Option<Docker>>,
    /// What `prepare` made.
    ground: Mutex<Option<Ground>>,
    lookout: Lookout,
    /// Operators' images that are on their way.
    pulls: Pulls,
    /// Whether the daemon was away since the last look: what ended then did not die of itself.
    was_away: AtomicBool,
    /// Held as long as the engine lives.
    _lock: Flock<fs::File>,
}

impl std::fmt::Debug for DockerEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerEngine")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl DockerEngine {
    /// Get ready. The daemon is asked when the first look is made, so that it may come later.
    ///
    /// # Errors
    /// Where the folders cannot be used.
    pub fn open(options: DockerOptions, catalogue: Arc<dyn Catalogue + Send>) -> Result<Self, EngineError> {
        let lock = home::hold(&options.deckies)?;
        for folder in [&options.outlets, &options.folder] {
            fs::create_dir_all(folder).map_err(EngineError::io("create", folder))?;
        }
        Ok(Self {
            id: home::installation(&options.deckies)?,
            options,
            catalogue,
            client: Mutex::new(None),
            ground: Mutex::new(None),
            lookout: Lookout::default(),
            pulls: Pulls::default(),
            was_away: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// The daemon.
    async fn docker(&self) -> Result<Docker, EngineError> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let docker = daemon::connect(&self.options.socket).await?;
        *client = Some(docker.clone());
        Ok(docker)
    }

    fn home(&self, name: &DeckyName) -> Home {
        Home::at(self.options.folder.join(&self.id).join(self.neutral(name)))
    }

    /// A decky's name where a container can read it.
    fn neutral(&self, name: &DeckyName) -> String {
        let digest = Sha256::new()
            .chain_update(&self.id)
            .chain_update(name.as_str())
            .finalize();
        hex(digest.get(..6).unwrap_or_default())
    }

    fn container(&self, name: &DeckyName) -> String {
        let id: String = self.id.chars().take(6).collect();
        format!("{name}-{id}")
    }

    fn shim(&self) -> String {
        lan::shim(&self.id)
    }

    async fn containers(&self, docker: &Docker) -> Result<Containers, EngineError> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&ours(&self.id))
            .build();
        let all = docker
            .list_containers(Some(options))
            .await
            .map_err(|error| unavailable("list containers", &error))?;
        let mut containers = Containers::default();
        for container in all {
            let name = container
                .labels
                .as_ref()
                .and_then(|labels| labels.get(LABEL_NAME));
            // An image's container has the labels of the image, too, whatever they are.
            if let Some(name) = beside::beside_whom(&container) {
                containers.beside.entry(name).or_default().push(container);
            } else if let Some(name) = name.and_then(|name| name.parse().ok()) {
                containers.own.insert(name, container);
            }
        }
        Ok(containers)
    }
}

/// The containers of an installation.
#[derive(Debug, Default)]
struct Containers {
    /// The deckies' own.
    own: BTreeMap<DeckyName, ContainerSummary>,
    /// Those of operators' images, by the decky that they stand beside.
    beside: BTreeMap<DeckyName, Vec<ContainerSummary>>,
}

impl Engine for DockerEngine {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn observe(&self) -> Result<Vec<ObservedDecky>, EngineError> {
        let docker = self.docker().await?;
        let containers = self.containers(&docker).await;
        if containers.is_err() {
            self.was_away.store(true, Ordering::SeqCst);
        }
        let containers = containers?;
        let was_away = self.was_away.swap(false, Ordering::SeqCst);
        let mut names: BTreeSet<DeckyName> = containers
            .own
            .keys()
            .chain(containers.beside.keys())
            .cloned()
            .collect();
        let links = fs::read_dir(&self.options.deckies).map_err(|source| EngineError::Io {
            operation: "read",
            path: self.options.deckies.clone(),
            source,
        })?;
        for entry in links {
            let entry = entry.map_err(|source| EngineError::Io {
                operation: "read",
                path: self.options.deckies.clone(),
                source,
            })?;
            let name = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(name) = name.filter(|name| self.home(name).is_made()) {
                names.insert(name);
            }
        }
        let mut all = Vec::with_capacity(names.len());
        for name in names {
            let home = self.home(&name);
            let container = containers.own.get(&name);
            let state = container.and_then(|c| c.state);
            // One that somebody took off its network answers nobody, and is started anew.
            let connected = container
                .and_then(|c| c.network_settings.as_ref()?.networks.as_ref())
                .is_some_and(|networks| networks.contains_key(&network::name(&self.id)));
            let running = state == Some(ContainerSummaryStateEnum::RUNNING) && connected;
            let made = if running { home.applied() } else { home.read() };
            let ended = matches!(
                state,
                Some(ContainerSummaryStateEnum::EXITED | ContainerSummaryStateEnum::DEAD)
            );
            let mut died = if ended && !was_away {
                let how = container.and_then(|c| c.status.clone()).unwrap_or_default();
                Some(self.last_words(&docker, &self.container(&name), &how).await)
            } else {
                None
            };
            let company = containers
                .beside
                .get(&name)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let first = container.and_then(|c| c.id.as_deref()).unwrap_or_default();
            let beside = match made.as_ref().filter(|_| running) {
                Some(made) => beside::judge(made, first, company),
                // What it runs is judged once it runs.
                None => Beside::Whole,
            };
            if let (Beside::Ended(slug, how, id), false) = (&beside, was_away) {
                died = Some(format!(
                    "{slug} ended: {}",
                    self.last_words(&docker, id, how).await
                ));
            }
            let listen = made
                .as_ref()
                .filter(|_| running)
                .map(|decky| home::listens(self.catalogue.as_ref(), decky, 0))
                .unwrap_or_default();
            all.push(ObservedDecky {
                identity: made.as_ref().map(DesiredDecky::identity),
                loadout: made
                    .as_ref()
                    .filter(|_| beside == Beside::Whole)
                    .map(DesiredDecky::loadout),
                running,
                seen: Seen { listen, died },
                name,
            });
        }
        Ok(all)
    }

    async fn prepare(&self, first: &DesiredDecky) -> Result<(), EngineError> {
        if self.ground.lock().await.is_some() {
            return Ok(());
        }
        let docker = self.docker().await?;
        let prepared = self.try_one(&docker, first).await;
        if prepared.is_err() {
            // Nothing half-made is left behind. Why it cannot be done matters more than that this failed, too.
            if let Err(error) = self.give_up(&docker).await {
                tracing::warn!(%error, "what was made for deckies could not be taken away");
            }
        }
        prepared
    }

    async fn run(&self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::Create(decky) => {
                self.stop(&decky.name).await?;
                self.create(decky)
            }
            Step::Start(name) => self.start(name).await,
            Step::Reconfigure(decky) => self.reconfigure(decky).await,
            Step::Stop(name) => self.stop(name).await,
            Step::Remove(name) => self.remove(name).await,
        }
    }

    async fn surroundings(&self) -> Result<Option<Surroundings>, EngineError> {
        self.lookout.surroundings(&self.options.lan).await.map(Some)
    }

    async fn changed(&self) {
        let Ok(docker) = self.docker().await else {
            return std::future::pending().await;
        };
        let mut filters = ours(&self.id);
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        filters.insert("event".to_owned(), vec!["die".to_owned()]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let mut events = Box::pin(docker.events(Some(options)));
        let event = tokio::select! {
            event = events.next() => event,
            () = self.pulls.ended() => return,
        };
        match event {
            Some(Ok(_)) => {}
            // The daemon is going away, and its containers with it.
            Some(Err(_)) | None => {
                self.was_away.store(true, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    async fn tidy(&self) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        *self.ground.lock().await = None;
        network::remove(&docker, &self.id).await?;
        image::remove(&docker, &self.id, None).await?;
        lan::remove_shim(&self.shim()).await
    }

    fn outlives(&self) -> bool {
        true
    }

    async fn shutdown(&self) {}
}
