//! Heartbeats: every 30 s a worker says that it lives and what it is doing.
//!
//! They go to the bus, and to the database where the worker has one, so that they are seen with the bus off too.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use decnet_bus::Bus;
use decnet_db::Store;
use decnet_model::{
    clock::SharedClock, name::WorkerName, state::WorkerState, topic::Topic, view::WorkerView,
};
use tokio::time::Instant;

use crate::{VERSION, exit::chain};

/// How often a worker is heard.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// What a worker is doing, by task: it stands in its heartbeat.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<BTreeMap<String, String>>>);

impl Status {
    /// Say what `task` is doing.
    pub fn set(&self, task: &str, text: impl Into<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(task.to_owned(), text.into());
    }

    /// Forget `task`.
    pub fn clear(&self, task: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
    }

    /// Everything that was said.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Sends a worker's heartbeats.
pub(crate) struct Heart {
    pub(crate) name: WorkerName,
    pub(crate) bus: Bus,
    pub(crate) store: Option<Store>,
    pub(crate) clock: SharedClock,
    pub(crate) status: Status,
    pub(crate) started: Instant,
}

impl Heart {
    /// Beat until dropped.
    pub(crate) async fn beat(&self) {
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            tick.tick().await;
            self.say(WorkerState::Ok).await;
        }
    }

    /// Say once how the worker does.
    pub(crate) async fn say(&self, state: WorkerState) {
        let view = WorkerView {
            name: self.name.clone(),
            state,
            last_heard: Some(self.clock.now()),
            pid: Some(std::process::id()),
            version: Some(VERSION.to_owned()),
            uptime_s: Some(self.started.elapsed().as_secs()),
            tasks: self.status.all(),
        };
        self.bus.publish(Topic::worker_health(&self.name), &view);
        if let Some(store) = &self.store
            && let Err(error) = store.worker_heartbeat_put(&view).await
        {
            tracing::warn!(error = chain(&error), "heartbeat not stored");
        }
    }
}
