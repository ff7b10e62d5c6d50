//! The engine that the configuration names.

use super::{
    Engine, EngineError, ObservedDecky, StepError, Surroundings, docker::DockerEngine, local::LocalEngine,
    netns::NetnsEngine,
};
use crate::{DesiredDecky, Step};

/// One of the engines.
#[derive(Debug)]
pub enum AnyEngine {
    /// Child processes.
    Local(Box<LocalEngine>),
    /// Child processes in network namespaces.
    Netns(Box<NetnsEngine>),
    /// Containers.
    Docker(Box<DockerEngine>),
}

/// The same of whichever it is.
macro_rules! of {
    ($engine:expr, $it:ident => $what:expr) => {
        match $engine {
            Self::Local($it) => $what,
            Self::Netns($it) => $what,
            Self::Docker($it) => $what,
        }
    };
}

impl Engine for AnyEngine {
    fn name(&self) -> &'static str {
        of!(self, it => it.name())
    }

    async fn observe(&self) -> Result<Vec<ObservedDecky>, EngineError> {
        of!(self, it => it.observe().await)
    }

    async fn prepare(&self, first: &DesiredDecky) -> Result<(), EngineError> {
        of!(self, it => it.prepare(first).await)
    }

    async fn surroundings(&self) -> Result<Option<Surroundings>, EngineError> {
        of!(self, it => it.surroundings().await)
    }

    async fn tidy(&self) -> Result<(), EngineError> {
        of!(self, it => it.tidy().await)
    }

    async fn sweep(&self) -> Result<(), EngineError> {
        of!(self, it => it.sweep().await)
    }

    fn outlives(&self) -> bool {
        of!(self, it => it.outlives())
    }

    async fn run(&self, step: &Step) -> Result<(), StepError> {
        of!(self, it => it.run(step).await)
    }

    async fn changed(&self) {
        of!(self, it => it.changed().await)
    }

    async fn shutdown(&self) {
        of!(self, it => it.shutdown().await)
    }
}
