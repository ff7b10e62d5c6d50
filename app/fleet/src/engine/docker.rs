//! Deckies as containers with addresses of their own on a real network.
//!
//! Each decky is one container whose image holds the decoy program and nothing else ([`image`]), on a MACVLAN or IPVLAN
//! network of this installation ([`network`]), with the network stack of the system that it claims ([`stack`]). It may
//! answer and begin nothing ([`contain`]). Its folder is the same as a local decky's (`home.rs`), but stands below a
//! folder with a neutral name, because a container can see where its mounts come from; `deckies/<name>` and
//! `outlets/<name>` of the data directory are links there. Its evidence goes straight into its outlet, so it is kept
//! while the daemon, the mutator or the collector is away.
//!
//! A decky starts with no service, is contained, and gets its services then: nobody can speak to one that is not contained.
//!
//! Containers outlive the mutator, and end with the daemon; the next look starts them again. Only what carries this
//! installation's label is ever touched.

mod contain;
mod image;
mod network;
mod stack;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bollard::{
    API_DEFAULT_VERSION, ClientVersion, Docker,
    container::LogOutput,
    errors::Error as DockerError,
    models::{
        ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, EndpointIpamConfig,
        EndpointSettings, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig,
        NetworkingConfig, ResourcesUlimits,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, EventsOptionsBuilder, KillContainerOptionsBuilder,
        ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
        StopContainerOptionsBuilder,
    },
};
use decnet_decoys::config::{DeckyConfig, NOBODY};
use decnet_model::name::DeckyName;
use decnet_persona::{Mac, Persona};
use decnet_spool::outlet::Outlet;
use futures::{Stream, StreamExt as _};
use ipnet::Ipv4Net;
use nix::fcntl::Flock;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::{
    Engine, EngineError, ObservedDecky, Seen, StepError, Surroundings,
    home::{self, Home},
    lan::{self, Lan},
};
use crate::{Catalogue, DesiredDecky, Step};

/// The label that says which installation something belongs to.
const LABEL: &str = "svc.installation";
/// The label with a container's decky.
const LABEL_NAME: &str = "svc.name";
/// The oldest API that sets the hardware address of an endpoint: older daemons take it and ignore it.
const OLDEST: (usize, usize) = (1, 44);
/// What the program says when it listens, and when it has taken what it was told.
const READY: &str = "ready";
const APPLIED: &str = "configuration applied";
/// How long it may take until it says so.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to end in order before it is killed, in seconds.
const GRACE: i32 = 6;
/// What it may use.
const MEMORY: i64 = 256 << 20;
const NANO_CPUS: i64 = 1_000_000_000;
const PIDS: i64 = 64;
const FILES: i64 = 8192;
/// Its interface, as Docker calls it.
const INTERFACE: &str = "eth0";
/// What it touches while it is well.
const PULSE: &str = "/run/alive";
/// How long it is taken for granted who is on the network.
const SURROUNDINGS_FOR: Duration = Duration::from_secs(300);
/// The most addresses that are asked for who has them.
const ASKED: usize = 1024;

/// How containers share the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Each has a hardware address of its own.
    Macvlan,
    /// All have the interface's hardware address: for radios and switches that allow one.
    Ipvlan,
}

impl Driver {
    /// Docker's word for it, and the configuration's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }
}

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
    /// The interface that the deckies stand behind; that of the default route where absent.
    pub interface: Option<String>,
    /// How they share it.
    pub driver: Driver,
    /// The way out of their network, where the default route does not tell.
    pub gateway: Option<Ipv4Addr>,
    /// The part of the interface's network that addresses are taken from; all of it where absent.
    pub range: Option<Ipv4Net>,
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
    surroundings: Mutex<Option<(Instant, Surroundings)>>,
    /// Whether the daemon was away since the last look: what ended then did not die of itself.
    was_away: AtomicBool,
    /// Held as long as the engine lives.
    _lock: Flock<fs::File>,
}

/// What deckies stand on.
#[derive(Debug, Clone)]
struct Ground {
    lan: Lan,
    network: String,
    image: String,
}

impl std::fmt::Debug for DockerEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerEngine")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What the daemon said, with what to do about it.
fn unavailable(doing: &str, error: &DockerError) -> EngineError {
    let hint = match error {
        DockerError::DockerResponseServerError { message, .. }
        | DockerError::DockerStreamError { error: message } => hint(message),
        DockerError::RequestTimeoutError => "; the daemon does not answer: systemctl restart docker",
        _ => "",
    };
    EngineError::Unavailable(format!("{doing}: {}{hint}", said(error)))
}

/// The way out of what daemons complain of.
fn hint(message: &str) -> &'static str {
    if message.contains("no space left") {
        "; the disk of Docker is full: docker system prune, or make room in its data folder"
    } else if message.contains("operation not supported") || message.contains("not supported") {
        "; this kernel cannot do that: choose another fleet-driver (macvlan or ipvlan), or load its module"
    } else if message.contains("permission denied") || message.contains("operation not permitted") {
        "; the daemon may not do that: it needs to run as root, not rootless"
    } else if message.contains("device or resource busy") {
        "; another network of Docker is on that interface: docker network ls"
    } else {
        ""
    }
}

fn said(error: &DockerError) -> String {
    match error {
        DockerError::DockerResponseServerError { message, .. } => message.clone(),
        other => {
            // What went wrong below HTTP stands in the sources.
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        }
    }
}

fn status(error: &DockerError) -> Option<u16> {
    match error {
        DockerError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// A filter for what is ours.
fn ours(id: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{LABEL}={id}")])])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
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
        let named = options.deckies.join(".installation");
        let id = installation(&named).map_err(EngineError::io("read", &named))?;
        Ok(Self {
            options,
            catalogue,
            id,
            client: Mutex::new(None),
            ground: Mutex::new(None),
            surroundings: Mutex::new(None),
            was_away: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// The daemon, of a version that does what deckies need.
    async fn docker(&self) -> Result<Docker, EngineError> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let socket = self.options.socket.display();
        let cannot = |why: String| {
            EngineError::Unavailable(format!(
                "Docker at {socket} cannot be used: {why}. Is it installed and running, and may this user open its socket \
                 (root, or the group docker)? docker-socket names another one"
            ))
        };
        let path = self.options.socket.to_string_lossy();
        let docker =
            Docker::connect_with_socket(&path, 120, API_DEFAULT_VERSION).map_err(|e| cannot(said(&e)))?;
        let docker = docker.negotiate_version().await.map_err(|e| cannot(said(&e)))?;
        let ClientVersion {
            major_version,
            minor_version,
        } = docker.client_version();
        if (major_version, minor_version) < OLDEST {
            let (major, minor) = OLDEST;
            return Err(EngineError::Unavailable(format!(
                "Docker at {socket} speaks API {major_version}.{minor_version}; {major}.{minor} is needed (Docker 25 or \
                 newer): older daemons ignore the hardware address that a decky is given"
            )));
        }
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
        let id: String = self.id.chars().take(8).collect();
        format!("lan-{id}")
    }

    async fn containers(
        &self,
        docker: &Docker,
    ) -> Result<BTreeMap<DeckyName, ContainerSummary>, EngineError> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&ours(&self.id))
            .build();
        let all = docker
            .list_containers(Some(options))
            .await
            .map_err(|error| unavailable("list containers", &error))?;
        Ok(all
            .into_iter()
            .filter_map(|container| {
                let name = container.labels.as_ref()?.get(LABEL_NAME)?.parse().ok()?;
                Some((name, container))
            })
            .collect())
    }

    /// Interface, network and image; made once, and again where something of it is gone.
    async fn ground(&self) -> Result<Ground, EngineError> {
        let mut ground = self.ground.lock().await;
        if let Some(ground) = &*ground {
            return Ok(ground.clone());
        }
        contain::tool().map_err(EngineError::Unavailable)?;
        let docker = self.docker().await?;
        let lan = self.lan().await?;
        let image = image::ensure(&docker, &self.id, &self.options.program).await?;
        let network = network::ensure(&docker, &self.id, self.options.driver, &lan).await?;
        let made = Ground { lan, network, image };
        *ground = Some(made.clone());
        Ok(made)
    }

    async fn lan(&self) -> Result<Lan, EngineError> {
        let options = &self.options;
        let lan = Lan::find(options.interface.as_deref(), options.gateway).await?;
        if lan.wireless && options.driver == Driver::Macvlan {
            return Err(EngineError::Unavailable(format!(
                "{} is a radio, and its access point knows one hardware address only: set fleet-driver to ipvlan, or name \
                 a wired interface with fleet-interface",
                lan.interface
            )));
        }
        if let Some(range) = options.range
            && !lan.network.contains(&range)
        {
            return Err(EngineError::Unavailable(format!(
                "the addresses {range} (fleet-network) are not inside {}, the network of {}",
                lan.network, lan.interface
            )));
        }
        Ok(lan)
    }

    /// Start a container like a decky's, and take it away: that a network can be made does not say that a container can
    /// be started on it.
    async fn probe(&self, docker: &Docker, ground: &Ground, address: Ipv4Addr) -> Result<(), EngineError> {
        let name = format!("probe-{}", self.id.chars().take(6).collect::<String>());
        let mut body = self.body(ground, &[], Some(address), None);
        body.cmd = Some(vec!["--help".to_owned()]);
        body.labels = Some(HashMap::from([(LABEL.to_owned(), self.id.clone())]));
        self.remove_container(docker, &name)
            .await
            .map_err(|e| EngineError::Unavailable(e.message))?;
        let tried = async {
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            docker.create_container(Some(options), body).await?;
            docker.start_container(&name, None).await
        }
        .await;
        self.remove_container(docker, &name)
            .await
            .map_err(|e| EngineError::Unavailable(e.message))?;
        tried.map_err(|error| {
            unavailable(
                &format!(
                    "no container can be started on a {} network of {}",
                    self.options.driver.as_str(),
                    ground.lan.interface
                ),
                &error,
            )
        })
    }

    /// What every container of ours is made with.
    fn body(
        &self,
        ground: &Ground,
        binds: &[String],
        address: Option<Ipv4Addr>,
        mac: Option<Mac>,
    ) -> ContainerCreateBody {
        let endpoint = EndpointSettings {
            ipam_config: address.map(|address| EndpointIpamConfig {
                ipv4_address: Some(address.to_string()),
                ..EndpointIpamConfig::default()
            }),
            // One that shares the interface's hardware address can have no other.
            mac_address: mac
                .filter(|_| self.options.driver == Driver::Macvlan)
                .map(|mac| mac.to_string()),
            ..EndpointSettings::default()
        };
        ContainerCreateBody {
            image: Some(ground.image.clone()),
            entrypoint: Some(vec![image::PROGRAM.to_owned()]),
            working_dir: Some(image::HOME.to_owned()),
            // As in a unit of a distribution: nothing that names Docker's way of starting a program.
            env: Some(vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()]),
            stop_signal: Some("SIGTERM".to_owned()),
            host_config: Some(HostConfig {
                network_mode: Some(ground.network.clone()),
                // Otherwise those of the host can be read in it, and a machine of this network would have the gateway.
                dns: Some(vec![ground.lan.gateway.unwrap_or(ground.lan.host).to_string()]),
                dns_search: Some(vec![".".to_owned()]),
                binds: Some(binds.to_vec()),
                readonly_rootfs: Some(true),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
                ipc_mode: Some("private".to_owned()),
                memory: Some(MEMORY),
                memory_swap: Some(MEMORY),
                nano_cpus: Some(NANO_CPUS),
                pids_limit: Some(PIDS),
                ulimits: Some(vec![ResourcesUlimits {
                    name: Some("nofile".to_owned()),
                    soft: Some(FILES),
                    hard: Some(FILES),
                }]),
                // What Docker would start by itself would not be contained.
                restart_policy: None,
                log_config: Some(HostConfigLogConfig {
                    typ: Some("json-file".to_owned()),
                    config: Some(HashMap::from(
                        [("max-size", "256k"), ("max-file", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())),
                    )),
                }),
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(ground.network.clone(), endpoint)])),
            }),
            ..ContainerCreateBody::default()
        }
    }

    async fn remove_container(&self, docker: &Docker, name: &str) -> Result<(), StepError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        match docker.remove_container(name, Some(options)).await {
            // It is gone, or somebody is at it.
            Err(error) if matches!(status(&error), Some(404)) => Ok(()),
            done => done.map_err(|error| StepError::transient(format!("remove {name}: {}", said(&error)))),
        }
    }

    /// Make the decky's folder, and the links by which the rest of the installation finds it.
    fn create(&self, decky: &DesiredDecky) -> Result<(), StepError> {
        let home = self.home(&decky.name);
        let parent = home.path().parent().map(Path::to_owned).unwrap_or_default();
        let io = |what: &str, path: &Path| {
            let told = format!("{what} {}", path.display());
            move |e: io::Error| StepError::transient(format!("{told}: {e}"))
        };
        fs::create_dir_all(&parent).map_err(io("make", &parent))?;
        home.write(decky, &self.config(decky, None))?;
        let lines = home.path().join(home::LINES);
        fs::create_dir_all(&lines).map_err(io("make", &lines))?;
        // The container's user passes this folder to its own file in it, and cannot make others.
        let user = user(decky.ip);
        home::share(&lines, 0o710, Some(user)).map_err(io("hand over", &lines))?;
        for evidence in [home::ARTIFACTS, home::TRANSCRIPTS] {
            let folder = home.path().join(evidence);
            chown(&folder, Some(user), Some(user)).map_err(io("hand over", &folder))?;
        }
        let name = decky.name.as_str();
        link(&self.options.deckies.join(name), home.path())?;
        link(&self.options.outlets.join(name), &lines)
    }

    /// What the program is told. `lines` is the outlet that its evidence goes to.
    fn config(&self, decky: &DesiredDecky, lines: Option<&Path>) -> DeckyConfig {
        let listen = home::listens(self.catalogue.as_ref(), decky, 0);
        let mut config = home::config(decky, listen, user(decky.ip));
        config.evidence = lines
            .and_then(Path::file_name)
            .map(|file| Path::new(home::LINES).join(file));
        config.pulse = Some(PULSE.into());
        config
    }

    async fn start(&self, name: &DeckyName) -> Result<(), StepError> {
        let home = self.home(name);
        let Some(decky) = home.read() else {
            return Err(StepError::lasting(format!("{name} was not created")));
        };
        let IpAddr::V4(address) = decky.ip else {
            return Err(StepError::lasting(format!(
                "{}: containers have IPv4 addresses",
                decky.ip
            )));
        };
        let persona = Persona::derive(&decky.persona)
            .map_err(|e| StepError::lasting(format!("the persona of {name}: {e}")))?;
        let docker = self.docker().await.map_err(not_now)?;
        let ground = self.ground().await.map_err(not_now)?;
        let container = self.container(name);
        home.note_applied(None)?;
        self.remove_container(&docker, &container).await?;
        // Whoever has the address by now would lose half of its visitors, and the decky as well.
        let taken = ground.lan.taken(vec![address]).await.map_err(not_now)?;
        if let Some(mac) = taken.get(&address) {
            return Err(StepError::lasting(format!(
                "{address} is in use by the machine {mac}: take {name} down and deploy it again, which gives it another \
                 address"
            )));
        }
        let outlet = Outlet::create(&self.options.outlets, name.as_str())
            .map_err(|e| StepError::transient(format!("outlet of {name}: {e}")))?;
        let lines = outlet.path().to_owned();
        let user = user(decky.ip);
        chown(&lines, Some(user), Some(user))
            .map_err(|e| StepError::transient(format!("hand over {}: {e}", lines.display())))?;
        let whole = self.config(&decky, Some(&lines));
        let mut bare = whole.clone();
        bare.services.clear();
        home.tell(&bare)?;

        let binds = [format!("{}:{}:rw", home.path().display(), image::HOME)];
        let mut body = self.body(&ground, &binds, Some(address), Some(persona.mac));
        body.hostname = Some(persona.hostname.clone());
        body.user = Some(format!("{user}:{user}"));
        body.cmd = Some(vec![home::CONFIG.to_owned()]);
        body.healthcheck = Some(HealthConfig {
            test: Some(
                ["CMD", image::PROGRAM, "--pulse", PULSE]
                    .map(str::to_owned)
                    .to_vec(),
            ),
            interval: Some(120_000_000_000),
            timeout: Some(10_000_000_000),
            retries: Some(2),
            start_period: Some(0),
            start_interval: None,
        });
        body.labels = Some(HashMap::from([
            (LABEL.to_owned(), self.id.clone()),
            (LABEL_NAME.to_owned(), name.to_string()),
        ]));
        if let Some(host) = &mut body.host_config {
            host.sysctls = Some(stack::sysctls(persona.os).into_iter().collect());
            host.tmpfs = Some(HashMap::from([(
                image::RUN.to_owned(),
                format!("size=64k,mode=755,uid={user},gid={user},noexec,nosuid,nodev"),
            )]));
        }
        let failed = |doing: &'static str| {
            move |error: DockerError| {
                let lasting = status(&error) == Some(400);
                let told = unavailable(doing, &error).to_string();
                if lasting {
                    StepError::lasting(told)
                } else {
                    StepError::transient(told)
                }
            }
        };
        let options = CreateContainerOptionsBuilder::default().name(&container).build();
        match docker.create_container(Some(options), body).await {
            // Network or image were taken away under us.
            Err(error) if status(&error) == Some(404) => {
                *self.ground.lock().await = None;
                return Err(failed("make its container")(error));
            }
            made => made.map_err(failed("make its container"))?,
        };
        let started = async {
            docker
                .start_container(&container, None)
                .await
                .map_err(failed("start its container"))?;
            let mut words = Box::pin(self.words(&docker, &container, true));
            heard(&mut words, READY).await?;
            self.settle_in(&docker, &container, &ground, &decky, address)
                .await?;
            self.tell(&docker, &container, &home, &whole, &mut words).await?;
            home.note_applied(Some(&decky))?;
            ground
                .lan
                .announce(mac_on(&ground, self.options.driver, persona.mac), address)
                .await
                .map_err(not_now)
        }
        .await;
        // Now it has the file open itself: until here nobody may take it for a finished one.
        drop(outlet);
        if started.is_err() {
            // A decky that is half there is none. Why it is not there matters more than that this failed, too.
            if let Err(error) = self.remove_container(&docker, &container).await {
                tracing::warn!(decky = %name, %error, "what is left of it could not be removed");
            }
        }
        started
    }

    /// Contain it, and let this host and it find each other.
    async fn settle_in(
        &self,
        docker: &Docker,
        container: &str,
        ground: &Ground,
        decky: &DesiredDecky,
        address: Ipv4Addr,
    ) -> Result<(), StepError> {
        let seen = docker
            .inspect_container(container, None)
            .await
            .map_err(|e| StepError::transient(format!("look at {container}: {}", said(&e))))?;
        let pid = seen
            .state
            .and_then(|state| state.pid)
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0)
            .ok_or_else(|| StepError::transient("it ended while it was started"))?;
        let reach = self.options.driver == Driver::Macvlan;
        let shim = if reach {
            Some(ground.lan.reach(&self.shim(), address).await.map_err(not_now)?)
        } else {
            None
        };
        let (egress, host) = (decky.egress, ground.lan.host);
        let done = tokio::task::spawn_blocking(move || {
            if let Some(shim) = shim {
                let known = contain::inside(pid, || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()?;
                    let known = runtime.block_on(lan::know_neighbour(INTERFACE, host, shim));
                    known.map_err(io::Error::other)
                });
                known
                    .and_then(|done| done)
                    .map_err(|e| StepError::transient(format!("tell it where the host is: {e}")))?;
            }
            contain::contain(pid, egress)
        })
        .await;
        done.unwrap_or_else(|gone| Err(StepError::transient(gone.to_string())))
    }

    /// What the program says to its standard error, from its first word on; `follow` waits for more.
    fn words(
        &self,
        docker: &Docker,
        container: &str,
        follow: bool,
    ) -> impl Stream<Item = Result<LogOutput, DockerError>> + use<> {
        let options = LogsOptionsBuilder::default()
            .follow(follow)
            .stderr(true)
            .tail("all")
            .build();
        docker.logs(container, Some(options))
    }

    /// Let a running program take `config`. `words` is what it says, read as far as it said before.
    async fn tell(
        &self,
        docker: &Docker,
        container: &str,
        home: &Home,
        config: &DeckyConfig,
        words: &mut (impl Stream<Item = Result<LogOutput, DockerError>> + Unpin),
    ) -> Result<(), StepError> {
        home.tell(config)?;
        let options = KillContainerOptionsBuilder::default().signal("SIGHUP").build();
        docker
            .kill_container(container, Some(options))
            .await
            .map_err(|e| StepError::transient(format!("signal {container}: {}", said(&e))))?;
        let heard = heard(words, APPLIED).await;
        home.take_back()?;
        heard
    }

    async fn reconfigure(&self, decky: &DesiredDecky) -> Result<(), StepError> {
        let docker = self.docker().await.map_err(not_now)?;
        let home = self.home(&decky.name);
        let lines = home.newest_lines();
        let config = self.config(decky, lines.as_deref());
        home.note_applied(None)?;
        let container = self.container(&decky.name);
        // Its log has no marks: what was said until now is counted, and passed over in the one that is followed.
        let before = self.words(&docker, &container, false).count().await;
        let mut words = Box::pin(self.words(&docker, &container, true).skip(before));
        self.tell(&docker, &container, &home, &config, &mut words).await?;
        home.note_desired(decky)?;
        home.note_applied(Some(decky))
    }

    async fn stop(&self, name: &DeckyName) -> Result<(), StepError> {
        let docker = self.docker().await.map_err(not_now)?;
        let container = self.container(name);
        let options = StopContainerOptionsBuilder::default().t(GRACE).build();
        match docker.stop_container(&container, Some(options)).await {
            // It is gone, or does not run.
            Err(error) if matches!(status(&error), Some(404 | 304)) => {}
            done => done.map_err(|e| StepError::transient(format!("stop {name}: {}", said(&e))))?,
        }
        self.remove_container(&docker, &container).await?;
        if let Some(IpAddr::V4(address)) = self.home(name).read().map(|decky| decky.ip) {
            let lan = self.ground.lock().await.as_ref().map(|ground| ground.lan.clone());
            let lan = match lan {
                Some(lan) => lan,
                None => self.lan().await.map_err(not_now)?,
            };
            lan.forget(&self.shim(), address).await.map_err(not_now)?;
        }
        Ok(())
    }

    async fn remove(&self, name: &DeckyName) -> Result<(), StepError> {
        self.stop(name).await?;
        let home = self.home(name);
        let gone = home.remove()?;
        for (link, target) in [
            (self.options.deckies.join(name.as_str()), home.path().to_owned()),
            (
                self.options.outlets.join(name.as_str()),
                home.path().join(home::LINES),
            ),
        ] {
            // Evidence that is still there must be found.
            if !target.exists() {
                unlink(&link)?;
            }
        }
        if gone && let Some(parent) = home.path().parent() {
            // The last one takes the folder with it.
            if let Err(error) = fs::remove_dir(parent)
                && !matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
                )
            {
                tracing::debug!(%error, "the folder of containers stays");
            }
        }
        Ok(())
    }
}

/// The hardware address that frames of a decky come from.
fn mac_on(ground: &Ground, driver: Driver, own: Mac) -> Mac {
    match driver {
        Driver::Macvlan => own,
        Driver::Ipvlan => ground.lan.mac,
    }
}

/// A fault of the ground that a step stands on. It may be better in a moment.
fn not_now(error: EngineError) -> StepError {
    StepError::transient(error.to_string())
}

/// Wait until the program says `word`. Whatever else it says is why it did not.
async fn heard(
    words: &mut (impl Stream<Item = Result<LogOutput, DockerError>> + Unpin),
    word: &str,
) -> Result<(), StepError> {
    let mut last = String::new();
    let wait = async {
        while let Some(said_now) = words.next().await {
            let bytes = said_now
                .map_err(|e| StepError::transient(format!("listen to it: {}", said(&e))))?
                .into_bytes();
            for line in String::from_utf8_lossy(&bytes).lines() {
                if line == word {
                    return Ok(());
                }
                last = line.chars().take(300).collect();
                if line.starts_with("configuration not applied") {
                    return Err(StepError::transient(last.clone()));
                }
            }
        }
        Err(StepError::lasting(if last.is_empty() {
            "it ended without a word".to_owned()
        } else {
            format!("it ended: {last}")
        }))
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(heard) => heard,
        Err(_) => Err(StepError::transient(format!(
            "it did not say {word:?} within {} s: {last}",
            PATIENCE.as_secs()
        ))),
    }
}

/// The user of the decky at `address`: no distribution gives out users from 1879048192 to 2147483647, which is as far
/// as Docker counts, and systemd leaves them free. Machines of one network differ in their last 28 bits.
fn user(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => 0x7000_0000 | (u32::from(address) & 0x0fff_ffff),
        IpAddr::V6(_) => NOBODY,
    }
}

/// The name of this installation towards Docker; drawn when it is first asked for.
fn installation(file: &Path) -> io::Result<String> {
    match fs::File::open(file) {
        Ok(file) => {
            let mut id = String::new();
            file.take(64).read_to_string(&mut id)?;
            let id = id.trim().to_owned();
            if id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Ok(id);
            }
            Err(io::Error::other(
                "it is not twelve hex digits, as this program writes it",
            ))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let id = hex(&rand::random::<[u8; 6]>());
            let new = file.with_extension("new");
            fs::write(&new, &id)?;
            fs::rename(&new, file)?;
            Ok(id)
        }
        Err(e) => Err(e),
    }
}

/// Make `link` lead to `target`. What is no link is somebody's, and stays.
fn link(link: &Path, target: &Path) -> Result<(), StepError> {
    let cannot = |e: io::Error| StepError::transient(format!("make the link {}: {e}", link.display()));
    match fs::symlink_metadata(link) {
        Ok(there) if there.is_symlink() => {
            if fs::read_link(link).map_err(cannot)? == target {
                return Ok(());
            }
            fs::remove_file(link).map_err(cannot)?;
        }
        // What a local decky of that name left behind.
        Ok(_) => match fs::remove_dir(link) {
            Ok(()) => {}
            Err(e) => {
                return Err(StepError::lasting(format!(
                    "{} is in the way: evidence of an earlier decky of this name is in it ({e}); move it elsewhere",
                    link.display()
                )));
            }
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(cannot(e)),
    }
    std::os::unix::fs::symlink(target, link).map_err(cannot)
}

fn unlink(link: &Path) -> Result<(), StepError> {
    match fs::remove_file(link) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StepError::transient(format!(
            "remove the link {}: {e}",
            link.display()
        ))),
        _ => Ok(()),
    }
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
        let mut names: BTreeSet<DeckyName> = containers.keys().cloned().collect();
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
            let container = containers.get(&name);
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
            let died = if ended && !was_away {
                let how = container.and_then(|c| c.status.clone()).unwrap_or_default();
                Some(self.last_words(&docker, &name, &how).await)
            } else {
                None
            };
            let listen = made
                .as_ref()
                .filter(|_| running)
                .map(|decky| home::listens(self.catalogue.as_ref(), decky, 0))
                .unwrap_or_default();
            all.push(ObservedDecky {
                identity: made.as_ref().map(DesiredDecky::identity),
                loadout: made.as_ref().map(DesiredDecky::loadout),
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
        let ground = self.ground().await?;
        let docker = self.docker().await?;
        let IpAddr::V4(address) = first.ip else {
            return Ok(());
        };
        // Those that run are proof enough.
        let there = self.containers(&docker).await?;
        if there
            .values()
            .any(|container| container.state == Some(ContainerSummaryStateEnum::RUNNING))
        {
            return Ok(());
        }
        let probed = self.probe(&docker, &ground, address).await;
        if probed.is_err() {
            *self.ground.lock().await = None;
            // Nothing half-made is left behind; where others are on it, it stays.
            if self.containers(&docker).await?.is_empty() {
                network::remove(&docker, &self.id).await?;
                image::remove(&docker, &self.id, None).await?;
            }
        }
        probed
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
        let mut known = self.surroundings.lock().await;
        if let Some((when, surroundings)) = &*known
            && when.elapsed() < SURROUNDINGS_FOR
        {
            return Ok(Some(surroundings.clone()));
        }
        let lan = self.lan().await?;
        let network = self.options.range.unwrap_or(lan.network);
        let asked: Vec<Ipv4Addr> = network.hosts().take(ASKED).collect();
        let taken = lan.taken(asked).await?;
        let reserved: BTreeSet<IpAddr> = taken
            .into_keys()
            .chain(lan.own.iter().copied())
            .chain(lan.gateway)
            .map(IpAddr::V4)
            .collect();
        let found = Surroundings {
            network: network.into(),
            reserved,
        };
        *known = Some((Instant::now(), found.clone()));
        Ok(Some(found))
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
        match events.next().await {
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

impl DockerEngine {
    /// How a container ended, with what its program said last.
    async fn last_words(&self, docker: &Docker, name: &DeckyName, how: &str) -> String {
        let options = LogsOptionsBuilder::default().stderr(true).tail("1").build();
        let mut words = Box::pin(docker.logs(&self.container(name), Some(options)));
        let last = match words.next().await {
            Some(Ok(output)) => String::from_utf8_lossy(&output.into_bytes()).trim().to_owned(),
            // Its log went with it.
            Some(Err(_)) | None => String::new(),
        };
        if last.is_empty() {
            how.to_owned()
        } else {
            format!("{last} ({how})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_keeps_its_name_and_a_name_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".installation");
        let id = installation(&file).unwrap();
        assert_eq!(id.len(), 12);
        assert_eq!(installation(&file).unwrap(), id);
        fs::write(&file, "of somebody else").unwrap();
        assert!(installation(&file).is_err());
    }

    #[test]
    fn a_decky_is_a_user_of_its_own_that_docker_takes() {
        let users: BTreeSet<u32> = (0..=255)
            .map(|last| user(IpAddr::V4(Ipv4Addr::new(192, 168, 1, last))))
            .collect();
        assert_eq!(users.len(), 256);
        assert!(
            users
                .iter()
                .all(|user| (0x7000_0000..=0x7fff_ffff).contains(user))
        );
    }

    #[test]
    fn what_is_in_the_way_of_a_link_is_told_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("web-1"), folder.path().join("ab12"));
        link(&from, &to).unwrap();
        link(&from, &to).unwrap();
        assert_eq!(fs::read_link(&from).unwrap(), to);
        unlink(&from).unwrap();
        fs::create_dir_all(from.join("artifacts")).unwrap();
        let error = link(&from, &to).unwrap_err();
        assert!(
            !error.transient && error.message.contains("in the way"),
            "{error}"
        );
        assert!(from.join("artifacts").exists());
    }
}
