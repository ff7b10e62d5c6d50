//! An operator's own images: each is a container of its own in the network of the decky's, where it is contained like it.
//!
//! It is hardened as far as anybody's program can be: no capability but that of binding low ports, no new privileges, a root that
//! cannot be written, bounded memory, processes and logs. What it was made from stands in a label, so that one which is no longer
//! what is wanted is known, as is one in a network that is gone. The images themselves are the operator's, and never removed.

use std::collections::{HashMap, HashSet};

use bollard::{
    Docker,
    errors::Error as DockerError,
    models::{ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, HostConfig},
    query_parameters::{CreateContainerOptionsBuilder, ListContainersOptionsBuilder},
};
use decnet_decoys::Port;
use decnet_model::{
    fleet::OwnImage,
    name::{DeckyName, ServiceSlug},
};
use sha2::{Digest as _, Sha256};

use super::{
    DockerEngine, LABEL, LABEL_BESIDE, LABEL_MADE, LABEL_SLUG,
    container::{RESOLVER, resolver},
    daemon::{ours, said, status, unavailable},
    hardened::hardened,
    pull,
};
use crate::{
    DesiredDecky, EngineError, StepError,
    engine::{
        contain::Doors,
        home::{self, hex},
    },
    own_image,
};

/// How many processes and threads one may have.
const PIDS: i64 = 128;
/// Where it may write, in memory, and how.
const SCRATCH: [(&str, &str); 3] = [
    ("/tmp", "size=16m,mode=1777,noexec,nosuid,nodev"),
    ("/var/tmp", "size=16m,mode=1777,noexec,nosuid,nodev"),
    ("/run", "size=16m,mode=755,noexec,nosuid,nodev"),
];
/// The same for what an image declares as a volume, which would be a folder without a bound on the host.
const VOLUME: &str = "size=64m,mode=1777,noexec,nosuid,nodev";

/// How the containers beside a decky's own do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beside {
    /// All that are wanted run, and no other is there.
    Whole,
    /// One is missing, is not what is wanted, or is there and not wanted.
    Other,
    /// One ended: which, how, and the container.
    Ended(ServiceSlug, String, String),
}

/// What the containers `there` are to a decky that runs `made` in the container `first`.
pub(super) fn judge(made: &DesiredDecky, first: &str, there: &[ContainerSummary]) -> Beside {
    let mut wanted = 0;
    let mut missing = false;
    for (slug, own) in made.own_images() {
        wanted += 1;
        let Some(container) = there.iter().find(|c| is_made_as(c, slug, own, first)) else {
            missing = true;
            continue;
        };
        match container.state {
            Some(ContainerSummaryStateEnum::RUNNING) => {}
            Some(ContainerSummaryStateEnum::EXITED | ContainerSummaryStateEnum::DEAD) => {
                let how = container.status.clone().unwrap_or_default();
                // How long ago it was changes with each look.
                let how = how.split_inclusive(')').next().unwrap_or_default().to_owned();
                return Beside::Ended(slug.clone(), how, container.id.clone().unwrap_or_default());
            }
            _ => missing = true,
        }
    }
    if missing || there.len() != wanted {
        Beside::Other
    } else {
        Beside::Whole
    }
}

fn label<'a>(container: &'a ContainerSummary, name: &str) -> Option<&'a str> {
    container.labels.as_ref()?.get(name).map(String::as_str)
}

fn is_made_as(container: &ContainerSummary, slug: &ServiceSlug, own: &OwnImage, first: &str) -> bool {
    label(container, LABEL_SLUG) == Some(slug.as_str())
        && label(container, LABEL_MADE) == Some(mark(own, first).as_str())
}

/// What a container of `own` in the network of the container `first` is known by.
fn mark(own: &OwnImage, first: &str) -> String {
    let digest = Sha256::new()
        // It always has a JSON form.
        .chain_update(serde_json::to_vec(own).unwrap_or_default())
        .chain_update(first)
        // One of an earlier version lacks what is bound there.
        .chain_update(RESOLVER)
        .finalize();
    hex(digest.get(..8).unwrap_or_default())
}

/// The decky that a container of ours stands beside.
pub(super) fn beside_whom(container: &ContainerSummary) -> Option<DeckyName> {
    label(container, LABEL_BESIDE)?.parse().ok()
}

/// What an image says of itself that matters here.
#[derive(Debug, Default)]
pub(super) struct Found {
    volumes: Vec<String>,
}

impl DockerEngine {
    /// The images of `decky` that are there, and why not all are: one that is not is pulled, which nobody waits for here.
    pub(super) async fn images(
        &self,
        docker: &Docker,
        decky: &DesiredDecky,
    ) -> (HashMap<String, Found>, Option<StepError>) {
        let mut found = HashMap::new();
        let mut missing: Option<StepError> = None;
        let mut asked = HashSet::new();
        for (slug, own) in decky.own_images() {
            if !asked.insert(&own.image) {
                continue;
            }
            match self.image(docker, slug, &own.image).await {
                Ok(seen) => {
                    found.insert(own.image.clone(), seen);
                }
                // What has failed is told before what is on its way.
                Err(why) if missing.as_ref().is_none_or(|first| first.waits && !why.waits) => {
                    missing = Some(why);
                }
                Err(_) => {}
            }
        }
        (found, missing)
    }

    async fn image(&self, docker: &Docker, slug: &ServiceSlug, name: &str) -> Result<Found, StepError> {
        match docker.inspect_image(name).await {
            Ok(seen) => {
                self.pulls.is_there(name);
                let volumes = seen.config.and_then(|config| config.volumes);
                Ok(Found {
                    volumes: volumes.unwrap_or_default().into_iter().collect(),
                })
            }
            Err(error) if status(&error) == Some(404) => {
                let begin = |progress| pull::pull(docker.clone(), name.to_owned(), progress);
                Err(match self.pulls.ask(name, begin) {
                    Ok(how_far) => StepError::waiting(format!("{slug}: {how_far}")),
                    Err(why) => StepError::lasting(format!(
                        "{slug}: the image {name} is not on this host, and cannot be pulled ({why}): `docker pull {name}` where \
                         that works, or `docker load` it from a file; then it goes on by itself"
                    )),
                })
            }
            Err(error) => Err(StepError::not_now(unavailable("look for an image", &error))),
        }
    }

    /// The containers beside the one of `name`.
    async fn those_beside(
        &self,
        docker: &Docker,
        name: &DeckyName,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        self.labelled(docker, LABEL_BESIDE, name).await
    }

    /// The containers of this installation of which `label` says `name`.
    pub(super) async fn labelled(
        &self,
        docker: &Docker,
        label: &str,
        name: &DeckyName,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let mut filters = ours(&self.id);
        if let Some(labels) = filters.get_mut("label") {
            labels.push(format!("{label}={name}"));
        }
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let all = docker.list_containers(Some(options)).await;
        all.map_err(|error| unavailable("list containers", &error))
    }

    /// Take away every container beside that of `name`, but those that `stays`. Gives whether there was any.
    pub(super) async fn clear_beside(
        &self,
        docker: &Docker,
        name: &DeckyName,
        stays: impl Fn(&ContainerSummary) -> bool,
    ) -> Result<bool, StepError> {
        let there = self
            .those_beside(docker, name)
            .await
            .map_err(StepError::not_now)?;
        let unwanted: Vec<&ContainerSummary> = there.iter().filter(|c| !stays(c)).collect();
        for id in unwanted.iter().filter_map(|container| container.id.as_deref()) {
            self.remove_container(docker, id).await?;
        }
        Ok(!unwanted.is_empty())
    }

    /// Take away the containers beside that of `decky` which are not what it wants, or do not run. `first` is its own. Gives whether
    /// there was any.
    pub(super) async fn clear_unwanted(
        &self,
        docker: &Docker,
        decky: &DesiredDecky,
        first: &str,
    ) -> Result<bool, StepError> {
        let stays = |container: &ContainerSummary| {
            container.state == Some(ContainerSummaryStateEnum::RUNNING)
                && decky
                    .own_images()
                    .any(|(slug, own)| is_made_as(container, slug, own, first))
        };
        self.clear_beside(docker, &decky.name, stays).await
    }

    /// Start what `decky` wants beside its own container `first`, and is not there, as far as its image is among those `found`.
    pub(super) async fn start_beside(
        &self,
        docker: &Docker,
        decky: &DesiredDecky,
        first: &str,
        found: &HashMap<String, Found>,
    ) -> Result<(), StepError> {
        if decky.own_images().next().is_none() {
            return Ok(());
        }
        let there = self
            .those_beside(docker, &decky.name)
            .await
            .map_err(StepError::not_now)?;
        let ground = self.ground().await.map_err(StepError::not_now)?;
        let resolver = resolver(&ground, &self.home(&decky.name))?;
        for (slug, own) in decky.own_images() {
            let Some(image) = found.get(&own.image) else {
                continue;
            };
            if there.iter().any(|c| is_made_as(c, slug, own, first)) {
                continue;
            }
            let short: String = self.id.chars().take(6).collect();
            let container = format!("{}.{slug}-{short}", decky.name);
            let body = self.body_beside(&decky.name, slug, own, first, image, &resolver);
            let failed = |error: DockerError| {
                let told = format!("{slug}: start {}: {}", own.image, said(&error));
                match status(&error) {
                    // What the image or its command is not made for.
                    Some(400 | 404) => StepError::lasting(told),
                    _ => StepError::transient(told),
                }
            };
            // One of another kind has the name, or one that was never started.
            self.remove_container(docker, &container).await?;
            let options = CreateContainerOptionsBuilder::default().name(&container).build();
            docker
                .create_container(Some(options), body)
                .await
                .map_err(failed)?;
            if let Err(error) = docker.start_container(&container, None).await {
                self.remove_container(docker, &container).await?;
                return Err(failed(error));
            }
        }
        Ok(())
    }

    fn body_beside(
        &self,
        name: &DeckyName,
        slug: &ServiceSlug,
        own: &OwnImage,
        first: &str,
        image: &Found,
        resolver: &str,
    ) -> ContainerCreateBody {
        let memory = i64::from(own_image::memory_mb(own)) << 20;
        let volumes = image.volumes.iter();
        let scratch = SCRATCH
            .map(|(folder, how)| (folder.to_owned(), how.to_owned()))
            .into_iter()
            .chain(volumes.map(|folder| (folder.clone(), VOLUME.to_owned())));
        ContainerCreateBody {
            image: Some(own.image.clone()),
            // What is said is all that it runs: the image's own entry point is set aside by an empty one.
            entrypoint: (!own.command.is_empty()).then(|| vec![String::new()]),
            cmd: (!own.command.is_empty()).then(|| own.command.clone()),
            labels: Some(HashMap::from([
                (LABEL.to_owned(), self.id.clone()),
                (LABEL_BESIDE.to_owned(), name.to_string()),
                (LABEL_SLUG.to_owned(), slug.to_string()),
                (LABEL_MADE.to_owned(), mark(own, first)),
            ])),
            host_config: Some(HostConfig {
                network_mode: Some(format!("container:{first}")),
                // It would get Docker's own, whatever the container of that network has in its place.
                binds: Some(vec![resolver.to_owned()]),
                tmpfs: Some(scratch.collect()),
                cap_add: Some(vec!["NET_BIND_SERVICE".to_owned()]),
                ..hardened(memory, PIDS)
            }),
            ..ContainerCreateBody::default()
        }
    }

    /// Who comes into `decky`.
    pub(super) fn doors(&self, decky: &DesiredDecky) -> Doors {
        let mut doors = Doors::default();
        for service in &decky.services {
            if let Some(own) = &service.image {
                doors.relays.extend(own_image::relays(own));
                continue;
            }
            for port in self.catalogue.ports(&service.slug).unwrap_or_default() {
                match port {
                    Port::Tcp(port) => doors.tcp.push(port),
                    Port::Udp(port) => doors.udp.push(port),
                }
            }
        }
        doors
    }
}

/// Whether containers may stand beside that of a decky with this folder: one that was made without images has none.
pub(super) fn may_have_company(home: &home::Home) -> bool {
    home.read().is_none_or(|made| made.own_images().next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decky() -> DesiredDecky {
        let spec = serde_json::from_value(serde_json::json!({ "deckies": [{
            "name": "web",
            "services": [{ "slug": "ssh" }, { "slug": "intranet", "image": { "image": "a:1", "ports": [8080] } }]
        }] }));
        let limits = crate::Limits {
            own_images: true,
            ..crate::Limits::default()
        };
        let now = time::OffsetDateTime::UNIX_EPOCH;
        crate::resolve(&spec.unwrap(), &[], &limits, &crate::BuiltIn, now)
            .unwrap()
            .remove(0)
    }

    fn container(own: &OwnImage, first: &str, state: ContainerSummaryStateEnum) -> ContainerSummary {
        ContainerSummary {
            id: Some("c".to_owned()),
            status: Some("Exited (137) 2 seconds ago".to_owned()),
            state: Some(state),
            labels: Some(HashMap::from([
                (LABEL_BESIDE.to_owned(), "web".to_owned()),
                (LABEL_SLUG.to_owned(), "intranet".to_owned()),
                (LABEL_MADE.to_owned(), mark(own, first)),
            ])),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn what_stands_beside_a_decky_is_whole_ended_or_something_else() {
        use ContainerSummaryStateEnum::{CREATED, EXITED, RUNNING};
        let decky = decky();
        let (_, own) = decky.own_images().next().unwrap();
        let there = |first, state| vec![container(own, first, state)];
        assert_eq!(judge(&decky, "f1", &there("f1", RUNNING)), Beside::Whole);
        let ended = Beside::Ended("intranet".parse().unwrap(), "Exited (137)".into(), "c".into());
        assert_eq!(judge(&decky, "f1", &there("f1", EXITED)), ended);
        for other in [
            vec![],
            there("f1", CREATED),
            // In the network of a container that is gone.
            there("f0", RUNNING),
            [there("f1", RUNNING), there("f0", RUNNING)].concat(),
        ] {
            assert_eq!(judge(&decky, "f1", &other), Beside::Other, "{other:?}");
        }
        let changed = OwnImage {
            memory_mb: Some(64),
            ..own.clone()
        };
        let other = vec![container(&changed, "f1", RUNNING)];
        assert_eq!(judge(&decky, "f1", &other), Beside::Other);
        let alone = decky.clone().with_services(&["ssh".parse().unwrap()]);
        assert_eq!(judge(&alone, "f1", &[]), Beside::Whole);
        assert_eq!(judge(&alone, "f1", &there("f1", RUNNING)), Beside::Other);
    }
}
