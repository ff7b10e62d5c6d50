//! What all deckies stand on: the interface, the network and the image, made once and shared.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr},
};

use bollard::{
    Docker,
    errors::Error as DockerError,
    models::{ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::CreateContainerOptionsBuilder,
};
use decnet_model::fleet::Egress;
use futures::TryStreamExt as _;

use super::{DockerEngine, LABEL, container::inside, daemon::unavailable, image, network};
use crate::{
    DesiredDecky, EngineError, StepError,
    engine::{
        contain::{self, Doors},
        lan::Lan,
        namespace::Namespace,
    },
};

/// How many addresses are looked at for one at which a container can be tried.
const NEAR: u32 = 16;

/// What deckies stand on.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) lan: Lan,
    pub(super) network: String,
    pub(super) image: String,
}

impl DockerEngine {
    /// Interface, network and image; made once, and again where something of it is gone.
    pub(super) async fn ground(&self) -> Result<Ground, EngineError> {
        let mut ground = self.ground.lock().await;
        if let Some(ground) = &*ground {
            return Ok(ground.clone());
        }
        contain::tool().map_err(EngineError::Unavailable)?;
        let docker = self.docker().await?;
        let lan = self.lan().await?;
        let image = image::ensure(&docker, &self.id, &self.options.program).await?;
        let network = network::ensure(&docker, &self.id, self.options.lan.driver, &lan).await?;
        let made = Ground { lan, network, image };
        *ground = Some(made.clone());
        Ok(made)
    }

    pub(super) async fn lan(&self) -> Result<Lan, EngineError> {
        Lan::find(&self.options.lan).await
    }

    /// Make sure that `first` can be made.
    pub(super) async fn try_one(&self, docker: &Docker, first: &DesiredDecky) -> Result<(), EngineError> {
        let ground = self.ground().await?;
        self.clear_probe(docker).await?;
        let there = self.containers(docker).await?;
        let runs = |container: &ContainerSummary| container.state == Some(ContainerSummaryStateEnum::RUNNING);
        let IpAddr::V4(address) = first.ip else {
            // Its start says why not.
            return Ok(());
        };
        if there.own.values().flatten().any(runs) {
            // Those that run are proof enough.
            return Ok(());
        }
        // In a network that is gone with this value.
        let contained = inside(|| contain::contain(&Namespace::new()?, Egress::Deny, &Doors::default()));
        contained.await.map_err(|e| EngineError::Unavailable(e.message))?;
        match self.free_near(&ground.lan, address).await? {
            Some(free) => self.probe(docker, &ground, free).await,
            // Where somebody has each of them, the start of each decky says so.
            None => Ok(()),
        }
    }

    /// An address at which a container is in nobody's way: `first`, or one that follows it.
    async fn free_near(&self, lan: &Lan, first: Ipv4Addr) -> Result<Option<Ipv4Addr>, EngineError> {
        let range = self.options.lan.range.unwrap_or(lan.network);
        let near = (0..NEAR).filter_map(|n| u32::from(first).checked_add(n).map(Ipv4Addr::from));
        let near: Vec<Ipv4Addr> = near
            .filter(|ip| range.contains(ip) && *ip != lan.network.broadcast())
            .filter(|ip| !lan.own.contains(ip) && lan.gateway != Some(*ip))
            .collect();
        let taken = lan.taken(near.clone()).await?;
        Ok(near.into_iter().find(|ip| !taken.contains_key(ip)))
    }

    fn probe_name(&self) -> String {
        format!("probe-{}", self.id.chars().take(6).collect::<String>())
    }

    /// Take away the container of a trial that was cut short.
    pub(super) async fn clear_probe(&self, docker: &Docker) -> Result<(), EngineError> {
        let gone = self.remove_container(docker, &self.probe_name()).await;
        gone.map_err(|e: StepError| EngineError::Unavailable(e.message))
    }

    /// Start a container like a decky's, see it end well, and take it away: that a network can be made does not say that
    /// a container can be started on it.
    async fn probe(&self, docker: &Docker, ground: &Ground, address: Ipv4Addr) -> Result<(), EngineError> {
        let name = self.probe_name();
        let mut body = self.body(ground, &[], Some(address), None);
        body.cmd = Some(vec!["--help".to_owned()]);
        body.labels = Some(HashMap::from([(LABEL.to_owned(), self.id.clone())]));
        let tried = async {
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            docker.create_container(Some(options), body).await?;
            docker.start_container(&name, None).await?;
            docker.wait_container(&name, None).try_collect::<Vec<_>>().await
        }
        .await;
        let tried = match tried {
            Ok(_) => Ok(()),
            Err(DockerError::DockerContainerWaitError { code, .. }) => {
                let how = format!("in a container it ends with {code}");
                let told = self.last_words(docker, &name, &how).await;
                Err(EngineError::Program {
                    path: self.options.program.clone(),
                    source: io::Error::other(told),
                })
            }
            Err(error) => Err(unavailable(
                &format!(
                    "no container can be started on {} by the driver {}",
                    ground.lan.interface,
                    self.options.lan.driver.as_str()
                ),
                &error,
            )),
        };
        self.clear_probe(docker).await?;
        tried
    }

    /// Take away what was made for deckies that cannot be made; where others are on it, it stays.
    pub(super) async fn give_up(&self, docker: &Docker) -> Result<(), EngineError> {
        *self.ground.lock().await = None;
        self.clear_probe(docker).await?;
        if self.containers(docker).await?.own.is_empty() {
            network::remove(docker, &self.id).await?;
            image::remove(docker, &self.id, None).await?;
        }
        Ok(())
    }
}
