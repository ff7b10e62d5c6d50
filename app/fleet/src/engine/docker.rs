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
    net::IpAddr,
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
    watch::{Bounds, LOOKS, Watch},
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
    watch: Watch,
    /// Held while the folder of a decky is made or taken away. It has the links that lead elsewhere, which was told.
    folders: std::sync::Mutex<BTreeSet<PathBuf>>,
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
            watch: Watch::default(),
            folders: std::sync::Mutex::default(),
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

    /// See that those that run, each in its container, are still contained, where it is time to look at them.
    async fn watch_over(&self, docker: &Docker, run: Vec<(DeckyName, String)>) {
        let ground = self.ground.lock().await.clone();
        let look = |(name, container): (DeckyName, String)| {
            let ground = ground.as_ref();
            async move {
                let Some(mut watched) = self.watch.due(&name) else {
                    return;
                };
                // What is being changed is contained by whoever changes it; what is gone needs it no more.
                let (Some(made), Ok(pid)) =
                    (self.home(&name).applied(), self.process(docker, &container).await)
                else {
                    return;
                };
                let host = match (ground, made.ip) {
                    (Some(ground), IpAddr::V4(address)) => {
                        let shim = ground.lan.reach(&self.shim(), address).await.ok().flatten();
                        shim.map(|mac| (ground.lan.host, mac))
                    }
                    _ => None,
                };
                let bounds = Bounds {
                    pid,
                    egress: made.egress,
                    doors: self.doors(&made),
                    host,
                };
                watched.look(&name, bounds).await;
            }
        };
        futures::stream::iter(run).for_each_concurrent(LOOKS, look).await;
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

    fn folders(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.folders
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
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
                containers.own.entry(name).or_default().push(container);
            }
        }
        Ok(containers)
    }
}

/// Whether Docker's health check of a container failed as often as it may. A summary says so in the words of its status only:
/// `Up 9 minutes (unhealthy)`.
fn is_unwell(container: &ContainerSummary) -> bool {
    let status = container.status.as_deref().unwrap_or_default();
    status.ends_with("(unhealthy)")
}

/// The containers of an installation.
#[derive(Debug, Default)]
struct Containers {
    /// The deckies' own: one each, unless somebody made more.
    own: BTreeMap<DeckyName, Vec<ContainerSummary>>,
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
        let mut run = Vec::new();
        for name in names {
            let home = self.home(&name);
            let own = containers.own.get(&name).map(Vec::as_slice).unwrap_or_default();
            let (container, more) = match own {
                [first, more @ ..] => (Some(first), !more.is_empty()),
                [] => (None, false),
            };
            let state = container.and_then(|c| c.state);
            // One that somebody took off its network answers nobody, and is started anew.
            let connected = container
                .and_then(|c| c.network_settings.as_ref()?.networks.as_ref())
                .is_some_and(|networks| networks.contains_key(&network::name(&self.id)));
            let running = state == Some(ContainerSummaryStateEnum::RUNNING) && connected;
            let first = container.and_then(|c| c.id.as_deref()).unwrap_or_default();
            let unwell = running && container.is_some_and(is_unwell);
            let made = if running { home.applied() } else { home.read() };
            let ended = matches!(
                state,
                Some(ContainerSummaryStateEnum::EXITED | ContainerSummaryStateEnum::DEAD)
            );
            let mut died = if ended && !was_away {
                let how = container.and_then(|c| c.status.clone()).unwrap_or_default();
                Some(self.last_words(&docker, first, &how).await)
            } else {
                None
            };
            let company = containers
                .beside
                .get(&name)
                .map(Vec::as_slice)
                .unwrap_or_default();
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
            if unwell {
                died = Some(
                    "it runs and does nothing: it gives no sign of life to Docker's health check".to_owned(),
                );
            }
            if running {
                run.push((name.clone(), first.to_owned()));
            }
            let listen = made
                .as_ref()
                .filter(|_| running)
                .map(|decky| home::listens(self.catalogue.as_ref(), decky, 0))
                .unwrap_or_default();
            all.push(ObservedDecky {
                // One that hangs takes no order, so it is nothing that could be changed: it is made anew. So is one that is there twice.
                identity: made
                    .as_ref()
                    .filter(|_| !unwell && !more)
                    .map(DesiredDecky::identity),
                loadout: made
                    .as_ref()
                    .filter(|_| beside == Beside::Whole && !unwell && !more)
                    .map(DesiredDecky::loadout),
                running,
                seen: Seen {
                    listen,
                    died,
                    ..Seen::default()
                },
                name,
            });
        }
        self.watch_over(&docker, run).await;
        for decky in all.iter_mut().filter(|decky| decky.running) {
            decky.seen.uncontained = self.watch.ails(&decky.name);
        }
        self.leave_gone();
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
        let own = || {
            let made = home::names(&self.options.deckies).filter_map(|name| self.home(&name).read());
            made.filter_map(|decky| decky.persona.mac).collect()
        };
        self.lookout.surroundings(&self.options.lan, own).await.map(Some)
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
        self.clear_probe(&docker).await?;
        network::remove(&docker, &self.id).await?;
        image::remove(&docker, &self.id, None).await?;
        lan::remove_shim(&self.shim()).await
    }

    async fn sweep(&self) -> Result<(), EngineError> {
        let ground = self.ground.lock().await.clone();
        match ground {
            Some(ground) => image::remove(&self.docker().await?, &self.id, Some(&ground.image)).await,
            // Which image is the present one is not known yet.
            None => Ok(()),
        }
    }

    fn outlives(&self) -> bool {
        true
    }

    async fn shutdown(&self) {}
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn options(folder: &Path) -> DockerOptions {
        DockerOptions {
            deckies: folder.join("deckies"),
            outlets: folder.join("outlets"),
            folder: folder.join("neutral"),
            program: folder.join("program"),
            socket: folder.join("socket"),
            lan: LanOptions {
                interface: None,
                driver: lan::Driver::Macvlan,
                gateway: None,
                range: None,
            },
        }
    }

    #[test]
    fn what_waits_for_the_collector_is_found_until_it_is_taken_and_leaves_nothing_then() {
        if !nix::unistd::geteuid().is_root() {
            decnet_testkit::skipped("folders are handed over by root, and this is not root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |sub: &str| folder.path().join(sub);
        let engine = DockerEngine::open(options(folder.path()), Arc::new(crate::BuiltIn)).unwrap();
        let spec = serde_json::from_value(serde_json::json!({ "deckies": [
            { "name": "web", "archetype": "web-server" }, { "name": "stays", "archetype": "web-server" },
        ] }));
        let now = time::OffsetDateTime::UNIX_EPOCH;
        let limits = crate::Limits::default();
        let fleet = crate::resolve(&spec.unwrap(), &[], &limits, &crate::BuiltIn, now).unwrap();
        for decky in &fleet {
            engine.create(decky).unwrap();
        }
        let (web, stays) = (engine.home(&fleet[0].name), engine.home(&fleet[1].name));
        let lines = at("outlets/web/1.log");
        fs::write(&lines, "evidence").unwrap();
        // Torn down, while nobody takes its lines.
        fs::remove_file(web.path().join("desired.json")).unwrap();
        engine.leave_gone();
        assert_eq!(fs::read_to_string(&lines).unwrap(), "evidence");
        assert!(!web.path().join(home::CONFIG).exists());
        fs::remove_file(&lines).unwrap();
        engine.leave_gone();
        assert!(!web.path().exists() && stays.is_made());
        // Its link was seen before it was made.
        engine.leave_if_gone(&fleet[1].name);
        assert!(stays.is_made());
        for links in ["deckies", "outlets"] {
            let links = home::links(&at(links), &at(links));
            assert_eq!(links, BTreeSet::from([fleet[1].name.clone()]));
        }
    }

    #[test]
    fn links_that_lead_elsewhere_stay_and_are_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |sub: &str| folder.path().join(sub);
        let engine = DockerEngine::open(options(folder.path()), Arc::new(crate::BuiltIn)).unwrap();
        // Torn down before `docker-folder` was changed, with lines that nobody has taken yet.
        fs::create_dir_all(at("earlier/out")).unwrap();
        fs::write(at("earlier/out/1.log"), "evidence").unwrap();
        std::os::unix::fs::symlink(at("earlier"), at("deckies/web")).unwrap();
        std::os::unix::fs::symlink(at("earlier/out"), at("outlets/web")).unwrap();
        let strays = BTreeSet::from([at("deckies/web"), at("outlets/web")]);
        for _ in 0..2 {
            engine.leave_gone();
            assert_eq!(fs::read_to_string(at("outlets/web/1.log")).unwrap(), "evidence");
            assert!(at("deckies/web").is_symlink());
            assert_eq!(*engine.folders(), strays);
        }
    }

    #[test]
    fn a_container_is_unwell_once_its_check_has_failed_for_good() {
        let of = |status: Option<&str>| {
            is_unwell(&ContainerSummary {
                status: status.map(str::to_owned),
                ..ContainerSummary::default()
            })
        };
        assert!(of(Some("Up 9 minutes (unhealthy)")));
        for well in [
            Some("Up 9 minutes (healthy)"),
            Some("Up 3 seconds (health: starting)"),
            Some("Up 3 seconds"),
            Some("Exited (137) 2 seconds ago"),
            None,
        ] {
            assert!(!of(well), "{well:?}");
        }
    }
}
