//! Where the bus is: what [`crate::Bus::connect`] is told.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::BusError;

/// How a process reaches the bus.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// Which transport, and where.
    pub endpoint: Endpoint,
    /// The most events that wait to be sent by this process, and, with the transports that queue on the
    /// subscriber's side (NATS, in-process), the most that wait for one subscription. The oldest give way.
    pub queue_events: usize,
    /// The same bound in bytes.
    pub queue_bytes: usize,
}

/// The transport and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// No bus: publishing does nothing, subscriptions stay silent.
    None,
    /// The broker of this host, on its UNIX socket.
    Unix(PathBuf),
    /// A NATS server, for a bus that spans hosts.
    Nats(NatsUrl),
}

/// One or more NATS servers: `nats://[user:password@]host[:port]`, separated by commas. Never shows its password.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl {
    text: String,
    servers: Vec<async_nats::ServerAddr>,
}

impl BusConfig {
    /// The bus at `endpoint`, with the usual bounds: 16,384 events or 16 MiB.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            queue_events: 16_384,
            queue_bytes: 16 << 20,
        }
    }

    /// The broker's socket at `path`.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::new(Endpoint::Unix(path.into()))
    }

    /// No bus.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Endpoint::None)
    }
}

impl NatsUrl {
    pub(crate) fn servers(&self) -> &[async_nats::ServerAddr] {
        &self.servers
    }
}

impl FromStr for NatsUrl {
    type Err = BusError;

    fn from_str(text: &str) -> Result<Self, BusError> {
        let servers = text
            .split(',')
            .map(|one| one.trim().parse::<async_nats::ServerAddr>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| BusError::NatsUrl { source })?;
        if servers.iter().any(|server| server.host().is_empty()) {
            return Err(BusError::Endpoint);
        }
        Ok(Self {
            text: text.to_owned(),
            servers,
        })
    }
}

/// Scheme, host and port of each server, without user and password.
impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, server) in self.servers.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(
                f,
                "{comma}{}://{}:{}",
                server.scheme(),
                server.host(),
                server.port()
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Endpoint {
    /// As it was configured, password and all: for where nobody else reads. [`fmt::Display`] shows none.
    #[must_use]
    pub fn with_password(&self) -> String {
        match self {
            Self::Nats(url) => url.text.clone(),
            other => other.to_string(),
        }
    }
}

/// `nats://…` (or `tls://…`), `unix:<path>`, an absolute path, or `none`.
impl FromStr for Endpoint {
    type Err = BusError;

    fn from_str(text: &str) -> Result<Self, BusError> {
        if text == "none" {
            Ok(Self::None)
        } else if let Some(path) = text.strip_prefix("unix:") {
            Ok(Self::Unix(path.strip_prefix("//").unwrap_or(path).into()))
        } else if text.starts_with('/') {
            Ok(Self::Unix(text.into()))
        } else if text.starts_with("nats://") || text.starts_with("tls://") {
            text.parse().map(Self::Nats)
        } else {
            Err(BusError::Endpoint)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Nats(url) => fmt::Display::fmt(url, f),
        }
    }
}

/// The socket's place where the configuration names none: `/run/decnet/bus.sock` where this user may enter that
/// folder, else `$XDG_RUNTIME_DIR/decnet/bus.sock`, else `$HOME/.decnet/bus.sock`; `None` where neither is set.
///
/// `variable` looks up an environment variable; broker and clients of one user come to the same answer.
#[must_use]
pub fn default_socket_path(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let system = Path::new("/run/decnet");
    let may_enter = nix::unistd::access(system, nix::unistd::AccessFlags::X_OK).is_ok();
    socket_path(may_enter.then_some(system), variable)
}

fn socket_path(system: Option<&Path>, variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| Path::new(value).is_absolute());
    let folder = match system {
        Some(folder) => folder.to_owned(),
        None => set("XDG_RUNTIME_DIR")
            .map(|run| Path::new(&run).join("decnet"))
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".decnet")))?,
    };
    Some(folder.join("bus.sock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_in_run_then_in_the_runtime_folder_then_at_home() {
        let both = |name: &str| match name {
            "XDG_RUNTIME_DIR" => Some("/run/user/7".to_owned()),
            "HOME" => Some("/home/x".to_owned()),
            _ => None,
        };
        let at = |system, variable: &dyn Fn(&str) -> Option<String>| {
            socket_path(system, variable).map(|path| path.display().to_string())
        };
        assert_eq!(
            at(Some(Path::new("/run/decnet")), &both).unwrap(),
            "/run/decnet/bus.sock"
        );
        assert_eq!(at(None, &both).unwrap(), "/run/user/7/decnet/bus.sock");
        let home_only = |name: &str| both(name).filter(|_| name == "HOME");
        assert_eq!(at(None, &home_only).unwrap(), "/home/x/.decnet/bus.sock");
        let relative = |_: &str| Some("not/absolute".to_owned());
        assert_eq!(
            at(None, &relative),
            None,
            "a relative folder would depend on where a process started"
        );
    }

    #[test]
    fn an_endpoint_is_read_from_text_and_never_shows_a_password() {
        assert_eq!("none".parse::<Endpoint>().unwrap(), Endpoint::None);
        assert_eq!(
            "/run/b.sock".parse::<Endpoint>().unwrap(),
            Endpoint::Unix("/run/b.sock".into())
        );
        assert_eq!(
            "unix:///run/b.sock".parse::<Endpoint>().unwrap(),
            Endpoint::Unix("/run/b.sock".into())
        );
        let nats: Endpoint = "nats://me:hunter2@192.0.2.1:4222,nats://192.0.2.2"
            .parse()
            .unwrap();
        assert_eq!(nats.to_string(), "nats://192.0.2.1:4222,nats://192.0.2.2:4222");
        assert!(!format!("{nats:?}").contains("hunter2"));
        assert_eq!(nats.with_password().parse::<Endpoint>().unwrap(), nats);
        for bad in ["", "http://x", "relative/path", "nats:///me:hunter2@192.0.2.1"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?}");
        }
    }
}
