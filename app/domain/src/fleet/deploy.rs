//! Deploying a fleet that is described by a text, and what there is to choose from in a form.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use decnet_fleet::{
    BuiltIn, SpecFault,
    spec::{self, Described},
};
use decnet_model::{
    fleet::FleetSpec,
    permission::{ManageFleet, ViewFleet},
    view::{FieldError, TaskAccepted},
};
use decnet_persona::{OsFamily, archetype};

use super::{FleetPlan, aside, invalid};
use crate::{Actor, Domain, DomainError, Permit};

impl Domain {
    /// [`Domain::decky_deploy`] of the fleet that `text`, which is INI, describes.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] with every fault of the text, each by its `line 7`, or by its field where it has no line.
    pub async fn description_deploy(
        &self,
        permit: &Permit<ManageFleet>,
        text: &str,
    ) -> Result<TaskAccepted, DomainError> {
        let described = read(text).await?;
        if described.is_read() {
            let outcome = self.decky_deploy(permit, described.spec.clone()).await;
            return judged(described, outcome).await;
        }
        // What could not be read is refused with everything else that is wrong.
        let settled = self.description_check(permit.actor(), &described.spec).await;
        let refused: Result<TaskAccepted, _> = match judged(described, settled).await {
            Ok(()) => Err(DomainError::field("text", "it could not be read")),
            Err(refused) => Err(refused),
        };
        self.audited(permit.actor(), "fleet.deploy", "fleet", refused)
            .await
    }

    /// What [`Domain::description_deploy`] would make of `text`. Changes nothing.
    ///
    /// # Errors
    /// As of [`Domain::description_deploy`].
    pub async fn description_preview(
        &self,
        permit: &Permit<ViewFleet>,
        text: &str,
    ) -> Result<FleetPlan, DomainError> {
        let described = read(text).await?;
        let planned = self.decky_plan(permit, described.spec.clone()).await;
        judged(described, planned).await
    }

    /// The text that describes `spec`. What has no name in it gets one that no decky has.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] with every field that no line says.
    pub async fn description_make(
        &self,
        _permit: &Permit<ViewFleet>,
        mut spec: FleetSpec,
    ) -> Result<String, DomainError> {
        let there = self
            .inner
            .store
            .decky_list()
            .await?
            .into_iter()
            .map(|decky| decky.name);
        let named = spec.deckies.iter().filter_map(|decky| decky.name.clone());
        let mut taken: BTreeSet<String> = there.chain(named).map(String::from).collect();
        // Where the numbers of a kind go on.
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        for decky in spec.deckies.iter_mut().filter(|decky| decky.name.is_none()) {
            let kind = decky
                .archetype
                .as_deref()
                .and_then(|kind| archetype::find(kind).ok());
            let kind = kind.map_or("decky", |kind| kind.slug);
            let number = numbers.entry(kind).or_insert(1);
            let name = loop {
                let name = match *number {
                    1 => kind.to_owned(),
                    n => format!("{kind}-{n}"),
                };
                *number = number.saturating_add(1);
                if !is_taken(&taken, &name) {
                    break name;
                }
            };
            decky.name = name.parse().ok();
            taken.insert(name);
        }
        spec::to_ini(&spec, &BuiltIn).map_err(invalid)
    }

    /// The families of operating systems that a decky can claim.
    #[must_use]
    pub fn system_list(&self, _permit: &Permit<ViewFleet>) -> Vec<String> {
        let all = OsFamily::ALL.iter();
        // What no machine can be is nothing to choose.
        let can_be = all.filter(|os| archetype::of_family(**os).next().is_some());
        can_be.map(ToString::to_string).collect()
    }

    /// The folders of the operator's own bait, by path: those that may be named over the network and hold some.
    #[must_use]
    pub fn bait_list(&self, _permit: &Permit<ManageFleet>) -> Vec<String> {
        // Where there is no bait there is no folder.
        let root = self.inner.options.bait_dir.as_ref();
        let Some(root) = root.and_then(|root| root.canonicalize().ok()) else {
            return Vec::new();
        };
        let below = fs::read_dir(&root).into_iter().flatten().flatten();
        // What a link leads to may lie elsewhere.
        let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut folders: Vec<_> = below.map(|entry| entry.path()).collect();
        folders.push(root);
        folders.retain(|folder| {
            let mut files = fs::read_dir(folder).into_iter().flatten().flatten();
            files.any(|file| file.path().extension().is_some_and(|ending| ending == "toml"))
        });
        folders.sort();
        folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect()
    }

    /// What is wrong with deploying `spec`, if anything is.
    async fn description_check(&self, actor: &Actor, spec: &FleetSpec) -> Result<(), DomainError> {
        self.bait_check(actor, spec).await?;
        let there = self.inner.store.decky_records().await?;
        self.settle(spec, &there, &self.limits().await?).await.map(drop)
    }
}

/// Whether a decky, or one of a group, has the name already.
fn is_taken(taken: &BTreeSet<String>, name: &str) -> bool {
    let group = format!("{name}-");
    let mut after = taken.range(group.clone()..);
    taken.contains(name) || after.next().is_some_and(|other| other.starts_with(&group))
}

async fn read(text: &str) -> Result<Described, DomainError> {
    let text = text.to_owned();
    aside(move || Described::read(&text, &BuiltIn)).await
}

/// What came of a described fleet. Where that or the text has faults, all of them, in the order of the text.
async fn judged<T>(described: Described, outcome: Result<T, DomainError>) -> Result<T, DomainError> {
    let fields = match outcome {
        Ok(value) if described.is_read() => return Ok(value),
        Ok(_) => Vec::new(),
        Err(DomainError::Invalid(fields)) => fields,
        Err(error) => return Err(error),
    };
    let found = fields.into_iter().map(|fault| SpecFault {
        field: fault.field,
        line: None,
        problem: fault.message,
    });
    let told = aside(move || described.faults(found)).await?;
    let told = told.into_iter().map(|fault| FieldError {
        field: match fault.line {
            Some(line) => format!("line {line}"),
            None => fault.field,
        },
        message: fault.problem,
    });
    Err(DomainError::Invalid(told.collect()))
}
