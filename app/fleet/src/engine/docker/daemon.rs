//! The daemon: how it is found and asked, and what its complaints mean.

use std::{collections::HashMap, io, path::Path};

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
            "Docker at {shown} cannot be used: {why}. Is it installed and running (systemctl start docker), and may this user \
             open its socket (root, or the group docker)? docker-socket names another one"
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
    // Whatever was being done, nothing is until it is there: it is told the same each time.
    if let Some(why) = away(error) {
        return EngineError::Unavailable(format!(
            "Docker does not answer ({why}): is dockerd running? systemctl start docker; then it goes on by itself"
        ));
    }
    let hint = match error {
        DockerError::DockerResponseServerError { message, .. }
        | DockerError::DockerStreamError { error: message } => hint(message),
        DockerError::RequestTimeoutError => "; the daemon does not answer: systemctl restart docker",
        _ => "",
    };
    EngineError::Unavailable(format!("{doing}: {}{hint}", said(error)))
}

/// Why nobody answers at the daemon's socket, where that is so.
fn away(error: &DockerError) -> Option<&'static str> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::ConnectionRefused => Some("nobody listens on its socket"),
                io::ErrorKind::NotFound => Some("its socket is not there"),
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::UnexpectedEof => Some("it went away"),
                _ => None,
            };
        }
        source = cause.source();
    }
    None
}

/// The way out of what daemons complain of.
pub(super) fn hint(message: &str) -> &'static str {
    if message.contains("no space left") {
        "; the disk of Docker is full: docker system prune, or make room in its data folder"
    } else if message.contains("operation not supported") || message.contains("not supported") {
        "; this kernel cannot do that: choose another fleet-driver (macvlan or ipvlan), or load its module"
    } else if message.contains("permission denied") || message.contains("operation not permitted") {
        "; the daemon may not do that: it needs to run as root, not rootless"
    } else if message.contains("has active endpoints") {
        "; deckies stand on it: take them down first (decnet teardown --all), then it is made anew"
    } else if message.contains("device or resource busy") {
        "; something else has that interface, such as a bridge or another network of Docker (`ip -d link`, `docker network ls`): \
         name another one with fleet-interface"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_daemon_that_went_away_is_told_with_the_way_out_whatever_was_being_done() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let path = socket.display().to_string();
        let asked = async || {
            let docker = Docker::connect_with_socket(&path, 5, API_DEFAULT_VERSION).unwrap();
            let error = docker.list_networks(None).await.unwrap_err();
            unavailable("list networks", &error).to_string()
        };
        // Its socket stays where it was killed.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let told = asked().await;
        assert_eq!(
            told,
            "Docker does not answer (nobody listens on its socket): is dockerd running? systemctl start docker; then it goes on \
             by itself"
        );
    }
}
