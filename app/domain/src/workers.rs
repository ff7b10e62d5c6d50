//! The host's daemons: how they do by their heartbeats, and telling one to stop.

use decnet_model::{
    name::WorkerName,
    permission::{ManageWorkers, ViewFleet},
    state::{WORKERS, WorkerState},
    topic::Topic,
    view::WorkerView,
};
use time::Duration;

use crate::{Domain, DomainError, Permit};

/// A worker that was not heard for so long is stale: three heartbeats.
pub(crate) const STALE_AFTER: Duration = Duration::seconds(90);

impl Domain {
    /// Every worker of the closed list, heard or not.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn worker_list(&self, _permit: &Permit<ViewFleet>) -> Result<Vec<WorkerView>, DomainError> {
        self.workers().await
    }

    pub(crate) async fn workers(&self) -> Result<Vec<WorkerView>, DomainError> {
        let now = self.inner.clock.now();
        let mut heard = self.inner.store.worker_heartbeat_list().await?;
        let mut list = Vec::with_capacity(WORKERS.len());
        for name in WORKERS {
            let name: WorkerName = name.parse().map_err(|e| DomainError::internal("naming a worker", e))?;
            let mut worker = match heard.iter().position(|w| w.name == name) {
                Some(at) => heard.swap_remove(at),
                None => never_heard(name),
            };
            let silent = worker.last_heard.is_none_or(|at| now - at > STALE_AFTER);
            if worker.state == WorkerState::Ok && silent {
                worker.state = WorkerState::Stale;
            }
            list.push(worker);
        }
        Ok(list)
    }

    /// Tell a worker to stop. It drains and ends by itself; its heartbeat tells when.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] for a name that is no worker's, [`DomainError::Conflict`] for the server, which would
    /// cut off whoever asks, and where there is no bus to tell it over.
    pub async fn worker_stop(&self, permit: &Permit<ManageWorkers>, name: &WorkerName) -> Result<(), DomainError> {
        let outcome = if !WORKERS.contains(&name.as_str()) {
            Err(DomainError::not_found("worker", name))
        } else if name.as_str() == "server" {
            Err(DomainError::Conflict("the server cannot be stopped through itself".into()))
        } else {
            let order = serde_json::json!({ "action": "stop", "requested_by": permit.actor().name() });
            self.inner.bus.publish(Topic::worker_control(name), order);
            Ok(())
        };
        self.audited(permit.actor(), "worker.stop", name.as_str(), outcome).await
    }
}

fn never_heard(name: WorkerName) -> WorkerView {
    WorkerView {
        name,
        state: WorkerState::Unknown,
        last_heard: None,
        pid: None,
        version: None,
        uptime_s: None,
        tasks: std::collections::BTreeMap::new(),
    }
}
