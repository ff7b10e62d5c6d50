//! One container: what it is made with, and how it becomes a decky.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{
    Docker,
    container::LogOutput,
    errors::Error as DockerError,
    models::{
        ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, NetworkingConfig,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, KillContainerOptionsBuilder, LogsOptionsBuilder,
        RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use decnet_decoys::config::DeckyConfig;
use decnet_model::{name::DeckyName, printable::printable_head};
use decnet_persona::{Mac, Persona};
use decnet_spool::outlet::Outlet;
use futures::{Stream, StreamExt as _, TryFutureExt as _};

use super::{
    DockerEngine, LABEL, LABEL_NAME, beside,
    daemon::{said, status, unavailable},
    ground::Ground,
    hardened::hardened,
    image,
};
use crate::{
    DesiredDecky, StepError,
    engine::{
        contain,
        home::{self, Home, link, unlink, user},
        lan::{self, Driver, INTERFACE},
        namespace::Namespace,
        stack,
    },
    own_image,
};

/// What the program says when it listens, and when it has taken what it was told.
const READY: &str = "ready";
const APPLIED: &str = "configuration applied";
/// How long it may take until it says so.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to end in order before it is killed, in seconds.
const GRACE: i32 = 6;
/// What it may use.
const MEMORY: i64 = 256 << 20;
const PIDS: i64 = 64;
/// The most bytes of what a container said last.
const LAST_WORDS: usize = 300;
/// Where a container reads whom it asks for names.
pub(super) const RESOLVER: &str = "/etc/resolv.conf";
/// What it touches while it is well.
const PULSE: &str = "/run/alive";

impl DockerEngine {
    /// What every container of ours is made with.
    pub(super) fn body(
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
                .filter(|_| self.options.lan.driver == Driver::Macvlan)
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
                // Whom the daemon's own resolver asks, where somebody asks that: never those of the host.
                dns: Some(vec![ground.lan.gateway.unwrap_or(ground.lan.host).to_string()]),
                dns_search: Some(vec![".".to_owned()]),
                binds: Some(binds.to_vec()),
                ..hardened(MEMORY, PIDS)
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(ground.network.clone(), endpoint)])),
            }),
            ..ContainerCreateBody::default()
        }
    }

    /// Whether there is a container called `name`, or with that id. One that is not this installation's is nobody's to touch.
    async fn is_there(&self, docker: &Docker, name: &str) -> Result<bool, StepError> {
        let seen = match docker.inspect_container(name, None).await {
            Err(error) if matches!(status(&error), Some(404)) => return Ok(false),
            seen => seen.map_err(|e| StepError::transient(format!("look at {name}: {}", said(&e))))?,
        };
        let labels = seen.config.and_then(|config| config.labels).unwrap_or_default();
        if labels.get(LABEL) == Some(&self.id) {
            return Ok(true);
        }
        Err(StepError::lasting(format!(
            "a container called {name} is not this installation's: rename it (`docker rename {name} …`), then it goes on by itself"
        )))
    }

    /// The ids of the containers of `name`, whatever they are called by now: there is one, unless somebody made more.
    async fn own(&self, docker: &Docker, name: &DeckyName) -> Result<Vec<String>, StepError> {
        let labelled = self.labelled(docker, LABEL_NAME, name).await;
        let labelled = labelled.map_err(StepError::not_now)?;
        // An image's container has the labels of the image, too.
        let own = labelled.into_iter().filter(|c| beside::beside_whom(c).is_none());
        Ok(own.filter_map(|container| container.id).collect())
    }

    /// End the containers of `name` and take them away.
    async fn clear_own(&self, docker: &Docker, name: &DeckyName) -> Result<(), StepError> {
        for id in self.own(docker, name).await? {
            let options = StopContainerOptionsBuilder::default().t(GRACE).build();
            match docker.stop_container(&id, Some(options)).await {
                // It is gone, or does not run.
                Err(error) if matches!(status(&error), Some(404 | 304)) => {}
                done => done.map_err(|e| StepError::transient(format!("stop {name}: {}", said(&e))))?,
            }
            self.remove_container(docker, &id).await?;
        }
        Ok(())
    }

    pub(super) async fn remove_container(&self, docker: &Docker, name: &str) -> Result<(), StepError> {
        if !self.is_there(docker, name).await? {
            return Ok(());
        }
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            // What an image declares as a volume goes with it.
            .v(true)
            .build();
        match docker.remove_container(name, Some(options)).await {
            // It is gone, or somebody is at it.
            Err(error) if matches!(status(&error), Some(404)) => Ok(()),
            done => done.map_err(|error| StepError::transient(format!("remove {name}: {}", said(&error)))),
        }
    }

    /// Make the decky's folder, and the links by which the rest of the installation finds it.
    pub(super) fn create(&self, decky: &DesiredDecky) -> Result<(), StepError> {
        let _alone = self.folders();
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
        // Of the host it sees nothing but its own folder.
        home::within(&mut config.persona);
        config
    }

    pub(super) async fn start(&self, name: &DeckyName) -> Result<(), StepError> {
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
        let docker = self.docker().await.map_err(StepError::not_now)?;
        let ground = self.ground().await.map_err(StepError::not_now)?;
        let _alone = self.watch.alone(name).await;
        home.note_applied(None)?;
        if beside::may_have_company(&home) {
            self.clear_beside(&docker, name, |_| false).await?;
        }
        self.clear_own(&docker, name).await?;
        // Nobody else may be called so.
        let called = self.container(name);
        self.remove_container(&docker, &called).await?;
        self.lookout
            .is_free(&ground.lan, address, name, persona.mac)
            .await?;
        let outlet = Outlet::create(&self.options.outlets, name.as_str())
            .map_err(|e| StepError::transient(format!("outlet of {name}: {e}")))?;
        let lines = outlet.path().to_owned();
        let user = user(decky.ip);
        chown(&lines, Some(user), Some(user))
            .map_err(|e| StepError::transient(format!("hand over {}: {e}", lines.display())))?;
        let whole = self.config(&decky, Some(&lines));
        let mut bare = whole.clone();
        bare.services.clear();
        // Images may come to it later.
        bare.reach = vec![own_image::REACH];
        home.tell(&bare)?;
        home.lend_bait(&decky.persona, Some(user))?;

        let binds = [
            format!("{}:{}:rw", home.path().display(), image::HOME),
            resolver(&ground, &home)?,
        ];
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
        let options = CreateContainerOptionsBuilder::default().name(&called).build();
        let container = match docker.create_container(Some(options), body).await {
            // Network or image were taken away under us.
            Err(error) if status(&error) == Some(404) => {
                *self.ground.lock().await = None;
                return Err(failed("make its container")(error));
            }
            made => made.map_err(failed("make its container"))?.id,
        };
        let started = async {
            docker
                .start_container(&container, None)
                .await
                .map_err(failed("start its container"))?;
            let mut words = Box::pin(self.words(&docker, &container, true));
            heard(&mut words, READY).await?;
            home.take_bait_back()?;
            let pid = self.process(&docker, &container).await?;
            self.settle_in(pid, &ground, &decky, address).await?;
            self.tell(&docker, &container, &home, &whole, &mut words).await?;
            home.note_applied(Some(&decky))?;
            ground
                .lan
                .announce(ground.lan.seen_as(persona.mac), address)
                .await
                .map_err(StepError::not_now)
        }
        .await;
        // Now it has the file open itself: until here nobody may take it for a finished one.
        drop(outlet);
        if started.is_err() {
            // A decky that is half there is none. Why it is not there matters more than that this failed, too.
            let removed = async {
                if beside::may_have_company(&home) {
                    self.clear_beside(&docker, name, |_| false).await?;
                }
                self.remove_container(&docker, &container).await
            };
            if let Err(error) = removed.await {
                tracing::warn!(decky = %name, %error, "what is left of it could not be removed");
            }
        }
        // An image that is missing or does not start takes no more of the decky than itself.
        started?;
        let (images, missing) = self.images(&docker, &decky).await;
        self.start_beside(&docker, &decky, &container, &images).await?;
        missing.map_or(Ok(()), Err)
    }

    /// The process of a running container.
    pub(super) async fn process(&self, docker: &Docker, container: &str) -> Result<u32, StepError> {
        let seen = docker
            .inspect_container(container, None)
            .await
            .map_err(|e| StepError::transient(format!("look at {container}: {}", said(&e))))?;
        let pid = seen.state.and_then(|state| state.pid);
        pid.and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0)
            .ok_or_else(|| StepError::transient(format!("{container} does not run")))
    }

    /// Contain it, and let this host and it find each other.
    async fn settle_in(
        &self,
        pid: u32,
        ground: &Ground,
        decky: &DesiredDecky,
        address: Ipv4Addr,
    ) -> Result<(), StepError> {
        let shim = ground
            .lan
            .reach(&self.shim(), address)
            .await
            .map_err(StepError::not_now)?;
        let (egress, host) = (decky.egress, ground.lan.host);
        let doors = self.doors(decky);
        inside(move || {
            let namespace = Namespace::of(pid)?;
            if let Some(shim) = shim {
                let told = || lan::know_neighbour(INTERFACE, host, shim).map_err(io::Error::other);
                namespace.inside_async(told)?;
            }
            contain::contain(&namespace, egress, &doors)
        })
        .await
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

    pub(super) async fn reconfigure(&self, decky: &DesiredDecky) -> Result<(), StepError> {
        let docker = self.docker().await.map_err(StepError::not_now)?;
        let home = self.home(&decky.name);
        let lines = home.newest_lines();
        let config = self.config(decky, lines.as_deref());
        let _alone = self.watch.alone(&decky.name).await;
        let first = self.own(&docker, &decky.name).await?.into_iter().next();
        let first = first.ok_or_else(|| StepError::transient(format!("{} has no container", decky.name)))?;
        let pid = self.process(&docker, &first).await?;
        // Before anything is changed: an image that cannot be had leaves the decky as it was.
        let (images, missing) = self.images(&docker, decky).await;
        if let Some(missing) = missing {
            let runs_that = home
                .applied()
                .is_some_and(|made| made.loadout() == decky.loadout());
            if runs_that {
                // Nothing is to change, only to be mended, and the images that are there wait for no other.
                self.clear_unwanted(&docker, decky, &first).await?;
                self.start_beside(&docker, decky, &first, &images).await?;
            }
            return Err(missing);
        }
        let had_company = beside::may_have_company(&home);
        home.note_applied(None)?;
        let doors = self.doors(decky);
        let cleared = self.clear_unwanted(&docker, decky, &first).await?;
        // Its log has no marks: what was said until now is counted, and passed over in the one that is followed.
        let before = self.words(&docker, &first, false).count().await;
        let mut words = Box::pin(self.words(&docker, &first, true).skip(before));
        self.tell(&docker, &first, &home, &config, &mut words).await?;
        if had_company || cleared || !doors.relays.is_empty() {
            // Once the program has its ports, so that no image has them before it, and before another image answers.
            inside(move || contain::lead(&Namespace::of(pid)?, &doors)).await?;
        }
        home.note_desired(decky)?;
        home.note_applied(Some(decky))?;
        // What stands beside it is judged by itself: an image that does not start is no reason to start the decky anew.
        self.start_beside(&docker, decky, &first, &images).await
    }

    pub(super) async fn stop(&self, name: &DeckyName) -> Result<(), StepError> {
        let docker = self.docker().await.map_err(StepError::not_now)?;
        if beside::may_have_company(&self.home(name)) {
            self.clear_beside(&docker, name, |_| false).await?;
        }
        self.clear_own(&docker, name).await?;
        if let Some(IpAddr::V4(address)) = self.home(name).read().map(|decky| decky.ip) {
            lan::forget(&self.shim(), address)
                .await
                .map_err(StepError::not_now)?;
        }
        Ok(())
    }

    pub(super) async fn remove(&self, name: &DeckyName) -> Result<(), StepError> {
        self.stop(name).await?;
        self.watch.forget(name);
        self.leave(name, &mut self.folders())
    }

    /// Take away what is left of `name` here, and the links to it: all but evidence that nobody has taken yet. `strays` are the links
    /// that lead elsewhere, as far as they were told.
    fn leave(&self, name: &DeckyName, strays: &mut BTreeSet<PathBuf>) -> Result<(), StepError> {
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
            if !target.exists()
                && let Some(leads) = unlink(&link, &target)?
                && !strays.contains(&link)
            {
                tracing::warn!(
                    decky = %name,
                    "{} leads to {}, which is not below the present docker-folder, and stays: remove it once its evidence is taken",
                    link.display(),
                    leads.display()
                );
                strays.insert(link);
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

    /// Take away what was left of deckies that are no more because their evidence had not been taken yet.
    pub(super) fn leave_gone(&self) {
        for name in home::links(&self.options.deckies, &self.options.outlets) {
            self.leave_if_gone(&name);
        }
    }

    /// The same of `name`. A step may make it anew after its link was seen, so whether there is one is asked while nobody can.
    pub(super) fn leave_if_gone(&self, name: &DeckyName) {
        let mut strays = self.folders();
        if !self.home(name).is_made()
            && let Err(error) = self.leave(name, &mut strays)
        {
            // It is in nobody's way, and tried again at the next look.
            tracing::debug!(decky = %name, %error, "what is left of it stays");
        }
    }

    /// How a container ended, with what its program said last.
    pub(super) async fn last_words(&self, docker: &Docker, container: &str, how: &str) -> String {
        let options = LogsOptionsBuilder::default().stderr(true).tail("1").build();
        let mut words = Box::pin(docker.logs(container, Some(options)));
        let last = match words.next().await {
            // An image may say what its visitors said to it.
            Some(Ok(output)) => printable_head(output.into_bytes().trim_ascii(), LAST_WORDS).0,
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

/// The mount that tells a container of the decky at `home` whom to ask for names: the gateway, as a machine of this network would. Without
/// it those that the host asks could be read there, or Docker's own, which nobody in it reaches.
pub(super) fn resolver(ground: &Ground, home: &Home) -> Result<String, StepError> {
    let says = home.ask_names_of(ground.lan.gateway.unwrap_or(ground.lan.host).into())?;
    Ok(format!("{}:{RESOLVER}:ro", says.display()))
}

/// Do what a thread has to wait for, in a decky's network.
pub(super) async fn inside(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), StepError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|gone| Err(io::Error::other(gone))).map_err(|e| {
        let way_out = match e.kind() {
            io::ErrorKind::PermissionDenied => {
                "; whose networks are entered or made needs root, or CAP_SYS_ADMIN, CAP_SYS_PTRACE and CAP_NET_ADMIN: start the \
                 host so"
            }
            _ => "",
        };
        StepError::transient(format!("the network of a decky: {e}{way_out}"))
    })
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
