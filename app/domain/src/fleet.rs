//! The fleet: what is wanted of it. What is wanted becomes desired state in the database, and a task whose progress
//! the reconciler reports; nothing here starts or stops a decoy.

use std::collections::BTreeSet;

use decnet_decoys::{Category, Meta, Port, catalogue};
use decnet_model::{
    fleet::FleetSpec,
    id::TaskId,
    name::DeckyName,
    permission::{ManageFleet, ViewFleet},
    topic::Topic,
    view::{ArchetypeView, DeckyView, ServiceView, TaskAccepted, TaskView},
};
use decnet_persona::archetype::{self, Archetype};
use uuid::Uuid;

use crate::{Domain, DomainError, Permit};

/// Tasks that a listing goes back.
const TASKS: u32 = 50;
/// The longest interval between two mutations, in minutes: a year.
const MAX_INTERVAL: u32 = 525_600;

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
        let outcome = self.deploy_unaudited(spec).await;
        let target = match &outcome {
            Ok(accepted) => names(&accepted.deckies),
            Err(_) => "fleet".into(),
        };
        self.audited(permit.actor(), "fleet.deploy", &target, outcome).await
    }

    /// Want these deckies no more; all of them where `names` is empty.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] for the first name that is none, or already on its way out.
    pub async fn decky_teardown(
        &self,
        permit: &Permit<ManageFleet>,
        wanted: &[DeckyName],
    ) -> Result<TaskAccepted, DomainError> {
        let outcome = async {
            let there: BTreeSet<DeckyName> =
                self.inner.store.decky_list().await?.into_iter().filter(|d| d.desired).map(|d| d.name).collect();
            if let Some(missing) = wanted.iter().find(|name| !there.contains(*name)) {
                return Err(DomainError::not_found("decky", missing));
            }
            let wanted = if wanted.is_empty() { there.into_iter().collect() } else { wanted.to_vec() };
            let dismissed = self.inner.store.decky_dismiss(&wanted).await?;
            self.begin("teardown", dismissed).await
        }
        .await;
        let target = if wanted.is_empty() { "fleet".into() } else { names(wanted) };
        self.audited(permit.actor(), "fleet.teardown", &target, outcome).await
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
        let outcome = self.begin_on("redeploy", name).await;
        self.audited(permit.actor(), "fleet.redeploy", name.as_str(), outcome).await
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
        let outcome = self.begin_on("mutate", name).await;
        self.audited(permit.actor(), "fleet.mutate", name.as_str(), outcome).await
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
        let outcome = async {
            if minutes.is_some_and(|m| !(1..=MAX_INTERVAL).contains(&m)) {
                return Err(DomainError::field("minutes", format!("1 to {MAX_INTERVAL}")));
            }
            self.wanted(name).await?;
            self.inner.store.decky_set_interval(name, minutes).await?;
            self.inner.bus.publish(Topic::fleet_changed(), serde_json::json!({ "decky": name }));
            Ok(())
        }
        .await;
        self.audited(permit.actor(), "fleet.mutate_interval", name.as_str(), outcome).await
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
        let outcome = async {
            self.wanted(name).await?;
            self.inner.store.decky_set_failures(name, &[], false).await?;
            self.inner.bus.publish(Topic::fleet_changed(), serde_json::json!({ "decky": name }));
            Ok(())
        }
        .await;
        self.audited(permit.actor(), "fleet.clear_quarantine", name.as_str(), outcome).await
    }

    /// The kinds of deckies that can be deployed.
    #[must_use]
    pub fn archetype_list(&self, _permit: &Permit<ViewFleet>) -> Vec<ArchetypeView> {
        archetype::ALL.iter().map(archetype_view).collect()
    }

    /// The services that a decky can have.
    #[must_use]
    pub fn service_list(&self, _permit: &Permit<ViewFleet>) -> Vec<ServiceView> {
        catalogue::ALL.iter().map(service_view).collect()
    }

    /// The latest tasks, newest first.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn task_list(&self, _permit: &Permit<ViewFleet>) -> Result<Vec<TaskView>, DomainError> {
        Ok(self.inner.store.task_page(Some(TASKS), None).await?.data)
    }

    /// How a task stands.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn task_get(&self, _permit: &Permit<ViewFleet>, id: TaskId) -> Result<TaskView, DomainError> {
        self.inner.store.task_get(id).await?.ok_or_else(|| DomainError::not_found("task", id))
    }

    async fn wanted(&self, name: &DeckyName) -> Result<DeckyView, DomainError> {
        let decky = self.inner.store.decky_get(name).await?.filter(|decky| decky.desired);
        decky.ok_or_else(|| DomainError::not_found("decky", name))
    }

    async fn begin_on(&self, operation: &'static str, name: &DeckyName) -> Result<TaskAccepted, DomainError> {
        self.wanted(name).await?;
        self.begin(operation, vec![name.clone()]).await
    }

    /// Hand the reconciler a task, and wake it.
    async fn begin(&self, operation: &'static str, deckies: Vec<DeckyName>) -> Result<TaskAccepted, DomainError> {
        let task = TaskId(Uuid::new_v4());
        self.inner.store.task_create(task, operation, &deckies, self.inner.clock.now()).await?;
        self.inner.bus.publish(Topic::fleet_changed(), serde_json::json!({ "task": task }));
        Ok(TaskAccepted { task, deckies })
    }
}

/// Names for the audit log, which has room for some.
fn names(deckies: &[DeckyName]) -> String {
    const SHOWN: usize = 8;
    let mut text: Vec<&str> = deckies.iter().take(SHOWN).map(DeckyName::as_str).collect();
    let more = format!("and {} more", deckies.len().saturating_sub(SHOWN));
    if deckies.len() > SHOWN {
        text.push(&more);
    }
    text.join(" ")
}

fn archetype_view(archetype: &Archetype) -> ArchetypeView {
    let served = archetype.services.iter().filter_map(|slug| catalogue::find(slug));
    ArchetypeView {
        slug: archetype.slug.into(),
        label: archetype.label.into(),
        summary: archetype.summary.into(),
        os: archetype.os.to_string(),
        distros: archetype.distros.iter().map(ToString::to_string).collect(),
        services: served.map(Meta::slug).collect(),
    }
}

fn service_view(meta: &Meta) -> ServiceView {
    let category = match meta.category {
        Category::RemoteAccess => "remote access",
        Category::Web => "web",
        Category::Files => "files",
        Category::Mail => "mail",
        Category::Database => "database",
    };
    let port = |port: &Port| match port {
        Port::Tcp(n) => format!("{n}/tcp"),
        Port::Udp(n) => format!("{n}/udp"),
    };
    ServiceView {
        slug: meta.slug(),
        label: meta.label.into(),
        category: category.into(),
        ports: meta.listen.iter().map(port).collect(),
    }
}
