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
use futures::TryStreamExt as _;

use super::{DockerEngine, LABEL, daemon::unavailable, image, network};
use crate::{
    DesiredDecky, EngineError, StepError,
    engine::{contain, lan::Lan},
};

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
        let there = self.containers(docker).await?;
        let runs = |container: &ContainerSummary| container.state == Some(ContainerSummaryStateEnum::RUNNING);
        match first.ip {
            // Those that run are proof enough.
            _ if there.own.values().any(runs) => Ok(()),
            IpAddr::V4(address) => self.probe(docker, &ground, address).await,
            // Its start says why not.
            IpAddr::V6(_) => Ok(()),
        }
    }

    /// Start a container like a decky's, see it end well, and take it away: that a network can be made does not say that
    /// a container can be started on it.
    async fn probe(&self, docker: &Docker, ground: &Ground, address: Ipv4Addr) -> Result<(), EngineError> {
        let name = format!("probe-{}", self.id.chars().take(6).collect::<String>());
        let gone = |e: StepError| EngineError::Unavailable(e.message);
        let mut body = self.body(ground, &[], Some(address), None);
        body.cmd = Some(vec!["--help".to_owned()]);
        body.labels = Some(HashMap::from([(LABEL.to_owned(), self.id.clone())]));
        self.remove_container(docker, &name).await.map_err(gone)?;
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
                    "no container can be started on a {} network of {}",
                    self.options.lan.driver.as_str(),
                    ground.lan.interface
                ),
                &error,
            )),
        };
        self.remove_container(docker, &name).await.map_err(gone)?;
        tried
    }

    /// Take away what was made for deckies that cannot be made; where others are on it, it stays.
    pub(super) async fn give_up(&self, docker: &Docker) -> Result<(), EngineError> {
        *self.ground.lock().await = None;
        if self.containers(docker).await?.own.is_empty() {
            network::remove(docker, &self.id).await?;
            image::remove(docker, &self.id, None).await?;
        }
        Ok(())
    }
}
