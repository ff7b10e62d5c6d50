//! The host's daemons: how they do by their heartbeats, and telling one to stop.

use crate::{Domain, DomainError, Permit};
use decnet_model::{
    name::WorkerName,
    permission::{ManageWorkers, ViewFleet},
    state::WORKERS,
    topic::Topic,
    view::WorkerView,
};

impl Domain {
    /// Every worker of the closed list, heard or not.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn worker_list(&self, _permit: &Permit<ViewFleet>) -> Result<Vec<WorkerView>, DomainError> {
        self.workers().await
    }

    pub(crate) async fn workers(&self) -> Result<Vec<WorkerView>, DomainError> {
        Ok(self.inner.store.worker_list(self.inner.clock.now()).await?)
    }

    /// Tell a worker to stop. It drains and ends by itself; its heartbeat tells when.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] for a name that is no worker's, [`DomainError::Conflict`] for the server, which would
    /// cut off whoever asks, and where there is no bus to tell it over.
    pub async fn worker_stop(
        &self,
        permit: &Permit<ManageWorkers>,
        name: &WorkerName,
    ) -> Result<(), DomainError> {
        let outcome = if !WORKERS.contains(&name.as_str()) {
            Err(DomainError::not_found("worker", name))
        } else if name.as_str() == "server" {
            Err(DomainError::Conflict(
                "the server cannot be stopped through itself".into(),
            ))
        } else {
            let order = serde_json::json!({ "action": "stop", "requested_by": permit.actor().name() });
            self.inner.bus.publish(Topic::worker_control(name), order);
            Ok(())
        };
        self.audited(permit.actor(), "worker.stop", name.as_str(), outcome)
            .await
    }
}
