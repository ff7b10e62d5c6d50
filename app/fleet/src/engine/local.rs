//! Deckies as child processes on addresses of the loopback interface: no container, no root, nothing to install.
//!
//! Each is a process (`children.rs`) with its own 127.x.y.z address. It listens on the standard ports where this user may
//! bind them; ports below 1024 are moved up by a fixed offset where not.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use decnet_model::name::DeckyName;

use super::{
    Engine, EngineError, ObservedDecky, StepError,
    children::{self, Children},
};
use crate::{Catalogue, Step};

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
}

/// See the module.
#[derive(Debug)]
pub struct LocalEngine {
    children: Children,
    /// What is added to ports below 1024; 0 where they may be bound.
    offset: u16,
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
        let options = children::Options {
            deckies: options.deckies,
            outlets: options.outlets,
            program: options.program,
            port_offset: offset,
        };
        let children = Children::open(options, catalogue)?;
        if offset > 0 {
            tracing::info!(
                offset,
                "ports below 1024 need a privilege that is not there: they are moved up"
            );
        }
        Ok(Self { children, offset })
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
        self.children.start(decky, None).await
    }
}

impl Engine for LocalEngine {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn observe(&self) -> Result<Vec<ObservedDecky>, EngineError> {
        self.children.observe()
    }

    async fn run(&self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::Create(decky) => {
                self.children.stop(&decky.name).await?;
                self.children.write(decky)
            }
            Step::Start(name) => self.start(name).await,
            Step::Reconfigure(decky) => self.children.reconfigure(decky).await,
            Step::Stop(name) => self.children.stop(name).await,
            Step::Remove(name) => {
                self.children.stop(name).await?;
                self.children.home(name).remove().map(|_| ())
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
    let probe = TcpListener::bind((Ipv4Addr::new(127, 255, 255, 254), 81));
    !matches!(probe, Err(e) if e.kind() == io::ErrorKind::PermissionDenied)
}
