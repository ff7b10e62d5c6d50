//! The fleet: what is wanted of it. What is wanted becomes desired state in the database, and a task whose progress
//! the reconciler reports; nothing here starts or stops a decoy.

use decnet_db::{DesiredRow, TaskOperation};
use decnet_fleet::{DesiredDecky, resolve};
use decnet_model::{
    fleet::FleetSpec,
    id::TaskId,
    name::DeckyName,
    permission::{ManageFleet, ViewFleet},
    topic::Topic,
    view::{ArchetypeView, DeckyView, FieldError, ServiceView, TaskAccepted, TaskView},
};
use uuid::Uuid;

use crate::{Domain, DomainError, Permit, evidence::Faults};

/// Tasks that a listing goes back.
const TASKS: u32 = 50;
/// The longest interval between two mutations: a year.
const MAX_INTERVAL_MINUTES: u32 = 525_600;

impl Domain {
    /// Every decky, wanted or on its way out.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn decky_list(&self, _permit: &Permit<ViewFleet>) -> Result<Vec<DeckyView>, DomainError> {
        Ok(self.inner.store.decky_list().await?)
    }

    /// Want the deckies of `spec`: names, addresses and personas are settled now, the rest is the reconciler's.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] with every fault of the specification.
    pub async fn decky_deploy(
        &self,
        permit: &Permit<ManageFleet>,
        spec: FleetSpec,
    ) -> Result<TaskAccepted, DomainError> {
        todo!()
    }

    /// Want these deckies no more; all of them where `names` is empty.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] for the first name that is none.
    pub async fn decky_teardown(
        &self,
        permit: &Permit<ManageFleet>,
        names: &[DeckyName],
    ) -> Result<TaskAccepted, DomainError> {
        todo!()
    }

    /// Take a decky down and bring it up again as it is wanted.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn decky_redeploy(
        &self,
        permit: &Permit<ManageFleet>,
        name: &DeckyName,
    ) -> Result<TaskAccepted, DomainError> {
        todo!()
    }

    /// Let a decky change its services now.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn decky_mutate(
        &self,
        permit: &Permit<ManageFleet>,
        name: &DeckyName,
    ) -> Result<TaskAccepted, DomainError> {
        todo!()
    }

    /// Set the minutes between two mutations of a decky; `None` for never.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Invalid`] naming `minutes`.
    pub async fn decky_set_mutate_interval(
        &self,
        permit: &Permit<ManageFleet>,
        name: &DeckyName,
        minutes: Option<u32>,
    ) -> Result<(), DomainError> {
        todo!()
    }

    /// Try a decky again that was given up after failing too often.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn decky_clear_quarantine(
        &self,
        permit: &Permit<ManageFleet>,
        name: &DeckyName,
    ) -> Result<(), DomainError> {
        todo!()
    }

    /// The kinds of deckies that can be deployed.
    #[must_use]
    pub fn archetype_list(&self, _permit: &Permit<ViewFleet>) -> Vec<ArchetypeView> {
        todo!()
    }

    /// The services that a decky can have.
    #[must_use]
    pub fn service_list(&self, _permit: &Permit<ViewFleet>) -> Vec<ServiceView> {
        todo!()
    }

    /// The latest tasks, newest first.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn task_list(&self, _permit: &Permit<ViewFleet>) -> Result<Vec<TaskView>, DomainError> {
        Ok(self.inner.store.task_list(TASKS).await?)
    }

    /// How a task stands.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn task_get(&self, _permit: &Permit<ViewFleet>, id: TaskId) -> Result<TaskView, DomainError> {
        self.inner.store.task_get(id).await?.ok_or_else(|| DomainError::not_found("task", id))
    }
}
