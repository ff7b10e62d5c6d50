//! Deckies as child processes on addresses of the loopback interface: no container, no root, nothing to install.
//!
//! Each is a process (`children.rs`) with its own 127.x.y.z address. It listens on the standard ports where this user may
//! bind them; ports below 1024 are moved up by a fixed offset where not.
//!
//! Nobody else may have a port of its address, such as another host of this machine: before one is started its ports are tried, as a
//! container's address is asked for by ARP. Whoever settles addresses passes over those where somebody listens.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use decnet_model::name::DeckyName;
use ipnet::IpNet;

use super::{
    Engine, EngineError, ObservedDecky, StepError, Surroundings,
    children::{self, Children, is_taken},
};
use crate::{Catalogue, DesiredDecky, Step};

/// An address of the loopback interface that no decky is given and nobody is likely to listen on.
const NOBODYS: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 254);
/// How long what a decky was before may take to leave its ports, …
const LEAVES: Duration = Duration::from_secs(2);
/// … and how often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// Where the engine works and what it runs.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// `deckies/` of the data directory.
    pub deckies: PathBuf,
    /// `outlets/` of the data directory.
    pub outlets: PathBuf,
    /// The decoy program.
    pub program: PathBuf,
    /// Added to ports below 1024 where this user may not bind them.
    pub port_offset: u16,
    /// Where deckies are given addresses.
    pub network: IpNet,
}

/// See the module.
#[derive(Debug)]
pub struct LocalEngine {
    children: Children,
    /// What is added to ports below 1024; 0 where they may be bound.
    offset: u16,
    network: IpNet,
}

impl LocalEngine {
    /// Take the folder and get ready. Needs a tokio runtime.
    ///
    /// # Errors
    /// Where another engine has the folder, or the program is not there.
    pub fn open(options: LocalOptions, catalogue: Arc<dyn Catalogue + Send>) -> Result<Self, EngineError> {
        let offset = if may_bind_low_ports() {
            0
        } else {
            options.port_offset
        };
        let network = options.network;
        let options = children::Options {
            deckies: options.deckies,
            outlets: options.outlets,
            program: options.program,
            port_offset: offset,
            ask: children::ASK,
        };
        let children = Children::open(options, catalogue)?;
        if offset > 0 {
            tracing::info!(
                offset,
                "ports below 1024 need a privilege that is not there: they are moved up"
            );
        }
        Ok(Self {
            children,
            offset,
            network,
        })
    }

    /// What is added to ports below 1024.
    #[must_use]
    pub fn port_offset(&self) -> u16 {
        self.offset
    }

    async fn start(&self, name: &DeckyName) -> Result<(), StepError> {
        let decky = self.children.made(name)?;
        if self.children.is_running(name) {
            return Ok(());
        }
        if !(decky.ip.is_ipv4() && decky.ip.is_loopback()) {
            return Err(StepError::lasting(format!(
                "{}: local deckies live in 127.0.0.0/8",
                decky.ip
            )));
        }
        // What a start that was cut short left of it would have its ports.
        self.children.stop(name).await?;
        self.has_ports(&decky, LEAVES).await?;
        let Err(error) = self.children.start(decky.clone(), None).await else {
            return Ok(());
        };
        // Another host may have begun at the same moment, and been the first.
        let Err(taken) = self.has_ports(&decky, Duration::ZERO).await else {
            return Err(error);
        };
        self.children.stop(name).await?;
        Err(taken)
    }

    /// Make sure that nobody else has a port that `decky` is about to listen on; who is leaving gets `patience`.
    async fn has_ports(&self, decky: &DesiredDecky, patience: Duration) -> Result<(), StepError> {
        let begun = Instant::now();
        let (slug, port, at) = loop {
            match self.children.taken(decky) {
                None => return Ok(()),
                Some(taken) if begun.elapsed() >= patience => break taken,
                Some(_) => tokio::time::sleep(LOOK).await,
            }
        };
        let name = &decky.name;
        // Whoever has the port of an address that nobody uses has it of every address: no other one helps.
        if is_taken(port, SocketAddr::new(NOBODYS.into(), at.port())) {
            return Err(StepError::lasting(format!(
                "{at}, which {slug} needs, is in use by who listens on every address of this machine: end what listens there \
                 (`ss -ltnp` names it), have it listen on its own address alone, or deploy {name} without {slug}"
            )));
        }
        Err(StepError::taken(
            at.ip(),
            format!(
                "{at}, which {slug} needs, is in use: end what listens there (`ss -ltnp` names it), deploy {name} at another \
                 address, or take addresses of another network by fleet-network"
            ),
        ))
    }

    async fn reconfigure(&self, decky: &DesiredDecky) -> Result<(), StepError> {
        // Of one that runs the address stays, and its sessions with it.
        self.has_ports(decky, Duration::ZERO)
            .await
            .map_err(|taken| StepError::lasting(taken.message))?;
        self.children.reconfigure(decky).await
    }
}

impl Engine for LocalEngine {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn observe(&self) -> Result<Vec<ObservedDecky>, EngineError> {
        self.children.observe()
    }

    async fn surroundings(&self) -> Result<Option<Surroundings>, EngineError> {
        let own = self.children.addresses();
        let mut reserved = listening();
        reserved.retain(|ip| self.network.contains(ip) && !own.contains(ip));
        Ok(Some(Surroundings {
            network: self.network,
            reserved,
            macs: BTreeMap::new(),
        }))
    }

    async fn run(&self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::Create(decky) => {
                self.children.stop(&decky.name).await?;
                self.children.write(decky).await
            }
            Step::Start(name) => self.start(name).await,
            Step::Reconfigure(decky) => self.reconfigure(decky).await,
            Step::Stop(name) => self.children.stop(name).await,
            Step::Remove(name) => {
                self.children.stop(name).await?;
                self.children.remove(name).await
            }
        }
    }

    async fn changed(&self) {
        self.children.changed().await;
    }

    async fn shutdown(&self) {
        self.children.shutdown().await;
    }
}

/// Whether this user may bind the ports of the well-known services.
fn may_bind_low_ports() -> bool {
    // An address where nobody listens, so that only the permission decides.
    let probe = TcpListener::bind((NOBODYS, 81));
    !matches!(probe, Err(e) if e.kind() == io::ErrorKind::PermissionDenied)
}

/// The addresses of this machine on which somebody waits for visitors. Where the kernel does not say, nobody is passed over: each
/// decky's own ports are tried before it is started.
fn listening() -> BTreeSet<IpAddr> {
    [("tcp", "0A"), ("udp", "07")]
        .into_iter()
        .flat_map(|(table, state)| {
            let table = fs::read_to_string(format!("/proc/self/net/{table}")).unwrap_or_default();
            in_state(&table, state)
        })
        .collect()
}

/// The local addresses of a `table` of proc(5) that are in `state`: each line has a number, the local address and port, the other
/// one's, and the state. An address is a number in hex, as it lies in this machine's memory.
fn in_state(table: &str, state: &str) -> Vec<IpAddr> {
    let listens = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next()?;
        if words.nth(1)? != state {
            return None;
        }
        let number = u32::from_str_radix(local.split_once(':')?.0, 16).ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(number.to_ne_bytes())))
    });
    listens.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_on_an_address_is_known() {
        let address = Ipv4Addr::new(127, 94, 7, 3);
        let other = Ipv4Addr::new(127, 94, 7, 4);
        let listener = TcpListener::bind((address, 0)).unwrap();
        let datagrams = std::net::UdpSocket::bind((other, 0)).unwrap();
        let known = listening();
        assert!(
            known.contains(&address.into()) && known.contains(&other.into()),
            "{known:?}"
        );
        drop((listener, datagrams));
        let known = listening();
        assert!(
            !known.contains(&address.into()) && !known.contains(&other.into()),
            "{known:?}"
        );
        assert_eq!(
            in_state(
                "  sl  local_address rem_address   st\n  0: zz 1 0A\n 1: 0:1\n",
                "0A"
            ),
            Vec::<IpAddr>::new()
        );
    }
}
