//! The daemon: how it is found and asked, and what its complaints mean.

use std::{collections::HashMap, path::Path};

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker, errors::Error as DockerError};

use super::LABEL;
use crate::EngineError;

/// The oldest API that sets the hardware address of an endpoint: older daemons take it and ignore it.
const OLDEST: (usize, usize) = (1, 44);

/// The daemon behind `socket`, of a version that does what deckies need.
pub(super) async fn connect(socket: &Path) -> Result<Docker, EngineError> {
    let shown = socket.display();
    let cannot = |why: String| {
        EngineError::Unavailable(format!(
            "Docker at {shown} cannot be used: {why}. Is it installed and running, and may this user open its socket \
             (root, or the group docker)? docker-socket names another one"
        ))
    };
    let path = socket.to_string_lossy();
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
            "Docker at {shown} speaks API {major_version}.{minor_version}; {major}.{minor} is needed (Docker 25 or \
             newer): older daemons ignore the hardware address that a decky is given"
        )));
    }
    Ok(docker)
}

/// What the daemon said, with what to do about it.
pub(super) fn unavailable(doing: &str, error: &DockerError) -> EngineError {
    let hint = match error {
        DockerError::DockerResponseServerError { message, .. }
        | DockerError::DockerStreamError { error: message } => hint(message),
        DockerError::RequestTimeoutError => "; the daemon does not answer: systemctl restart docker",
        _ => "",
    };
    EngineError::Unavailable(format!("{doing}: {}{hint}", said(error)))
}

/// The way out of what daemons complain of.
pub(super) fn hint(message: &str) -> &'static str {
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

pub(super) fn said(error: &DockerError) -> String {
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

pub(super) fn status(error: &DockerError) -> Option<u16> {
    match error {
        DockerError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// A filter for what is ours.
pub(super) fn ours(id: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{LABEL}={id}")])])
}
