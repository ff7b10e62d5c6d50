//! The fleet: what runs, what can be deployed, and orders to change it.
//!
//! The orders are plain forms too, so they take text as a form gives it and redirect to the fleet with the task that
//! carries them out.

use std::collections::BTreeMap;

use decnet_model::{
    fleet::{DeckySpec, FleetSpec},
    name::DeckyName,
    view::{ArchetypeView, DeckyView, FieldError, ServiceView, TaskView},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use decnet_model::name::NameError;

#[cfg(feature = "ssr")]
use super::ssr::permitted;
use super::{Answer, Fault, FaultKind, json::Json};

/// The most deckies that one form deploys.
pub const MAX_AMOUNT: u32 = 64;

/// Counts by decky.
pub type Traffic = BTreeMap<String, Vec<u64>>;

/// Every decky.
#[server(prefix = "/ui", endpoint = "decky_list", output = Json)]
pub async fn decky_list() -> Answer<Vec<DeckyView>> {
    let (domain, see) = permitted()?;
    Ok(domain.decky_list(&see).await?)
}

/// How many log rows of each decky there were in each of the last 24 hours, oldest first.
#[server(prefix = "/ui", endpoint = "decky_traffic", output = Json)]
pub async fn decky_traffic() -> Answer<Traffic> {
    let (domain, see) = permitted()?;
    Ok(domain.decky_traffic(&see).await?)
}

/// How many sessions are open now on these deckies, together.
#[server(prefix = "/ui", endpoint = "decky_open_sessions", input = Json, output = Json)]
pub async fn decky_open_sessions(names: Vec<DeckyName>) -> Answer<u64> {
    let (domain, see) = permitted()?;
    Ok(domain.decky_open_sessions(&see, &names).await?)
}

/// The kinds of decky that can be deployed.
#[server(prefix = "/ui", endpoint = "archetype_list", output = Json)]
pub async fn archetype_list() -> Answer<Vec<ArchetypeView>> {
    let (domain, see) = permitted()?;
    Ok(domain.archetype_list(&see))
}

/// The services that a decky can have.
#[server(prefix = "/ui", endpoint = "service_list", output = Json)]
pub async fn service_list() -> Answer<Vec<ServiceView>> {
    let (domain, see) = permitted()?;
    Ok(domain.service_list(&see))
}

/// Running and recent pieces of long work, newest first.
#[server(prefix = "/ui", endpoint = "task_list", output = Json)]
pub async fn task_list() -> Answer<Vec<TaskView>> {
    let (domain, see) = permitted()?;
    Ok(domain.task_list(&see).await?)
}

/// Deploy `amount` deckies of an archetype. The rest may be empty: `name` (a prefix where there are several), `seed`
/// and `interval` (minutes between mutations).
#[server(prefix = "/ui", endpoint = "deploy", output = Json)]
pub async fn deploy(
    archetype: String,
    amount: String,
    name: String,
    seed: String,
    interval: String,
) -> Answer<()> {
    let spec = deploy_spec(&archetype, &amount, &name, &seed, &interval)?;
    let (domain, manage) = permitted()?;
    let accepted = domain.decky_deploy(&manage, spec).await?;
    leptos_axum::redirect(&format!("/fleet?task={}", accepted.task));
    Ok(())
}

/// What [`deploy`] would make, each decky as it would be: nothing is changed. With a seed, deploying makes just these.
#[server(prefix = "/ui", endpoint = "deploy_preview", input = Json, output = Json)]
pub async fn deploy_preview(form: DeployForm) -> Answer<Vec<DeckyView>> {
    let DeployForm {
        archetype,
        amount,
        name,
        seed,
        interval,
    } = form;
    let spec = deploy_spec(&archetype, &amount, &name, &seed, &interval)?;
    let (domain, see) = permitted()?;
    Ok(domain.decky_preview(&see, spec).await?)
}

/// Set how often a decky changes its services: `minutes` between two changes, nothing for never.
#[server(prefix = "/ui", endpoint = "interval_set", output = Json)]
pub async fn interval_set(name: String, minutes: String) -> Answer<()> {
    let name = decky_name(&name)?;
    let minutes = interval_minutes(&minutes).map_err(|message| {
        let mut invalid = Fault::new(FaultKind::Invalid, "The form has a fault");
        invalid.fields.push(FieldError {
            field: "minutes".into(),
            message,
        });
        invalid
    })?;
    let (domain, manage) = permitted()?;
    domain.decky_set_mutate_interval(&manage, &name, minutes).await?;
    leptos_axum::redirect(&format!("/fleet?decky={name}"));
    Ok(())
}

/// Try a decky again that was given up after failing too often.
#[server(prefix = "/ui", endpoint = "quarantine_clear", output = Json)]
pub async fn clear_quarantine(name: String) -> Answer<()> {
    let name = decky_name(&name)?;
    let (domain, manage) = permitted()?;
    domain.decky_clear_quarantine(&manage, &name).await?;
    leptos_axum::redirect(&format!("/fleet?decky={name}"));
    Ok(())
}

/// Take deckies down; `names` by comma.
#[server(prefix = "/ui", endpoint = "teardown", output = Json)]
pub async fn teardown(names: String) -> Answer<()> {
    let names = decky_names(&names)?;
    let (domain, manage) = permitted()?;
    let accepted = domain.decky_teardown(&manage, &names).await?;
    leptos_axum::redirect(&format!("/fleet?task={}", accepted.task));
    Ok(())
}

/// Give deckies other services that fit their archetype; `names` by comma.
#[server(prefix = "/ui", endpoint = "mutate", output = Json)]
pub async fn mutate(names: String) -> Answer<()> {
    let names = decky_names(&names)?;
    let (domain, manage) = permitted()?;
    let accepted = domain.decky_mutate(&manage, &names).await?;
    leptos_axum::redirect(&format!("/fleet?task={}", accepted.task));
    Ok(())
}

/// Stop deckies and start them again as they were; `names` by comma.
#[server(prefix = "/ui", endpoint = "redeploy", output = Json)]
pub async fn redeploy(names: String) -> Answer<()> {
    let names = decky_names(&names)?;
    let (domain, manage) = permitted()?;
    let accepted = domain.decky_redeploy(&manage, &names).await?;
    leptos_axum::redirect(&format!("/fleet?task={}", accepted.task));
    Ok(())
}

/// What stands in the deploy form, as it stands there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployForm {
    /// Slug of the archetype.
    pub archetype: String,
    /// How many.
    pub amount: String,
    /// Name, or prefix of names; may be empty.
    pub name: String,
    /// What the personas are made from; may be empty.
    pub seed: String,
    /// Minutes between mutations; may be empty.
    pub interval: String,
}

/// What the deploy form asks for; every field that says nothing sensible is named.
pub(crate) fn deploy_spec(
    archetype: &str,
    amount: &str,
    name: &str,
    seed: &str,
    interval: &str,
) -> Result<FleetSpec, Fault> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, message: String| {
        faults.push(FieldError {
            field: field.into(),
            message,
        })
    };
    if archetype.is_empty() {
        fault("archetype", "choose one".into());
    }
    let wanted = amount
        .trim()
        .parse()
        .ok()
        .filter(|n| (1..=MAX_AMOUNT).contains(n));
    if wanted.is_none() {
        fault("amount", format!("a number from 1 to {MAX_AMOUNT}"));
    }
    let mut decky_name = None;
    if !name.trim().is_empty() {
        match name.trim().parse::<DeckyName>() {
            Ok(parsed) => decky_name = Some(parsed),
            Err(err) => fault("name", err.rule.to_owned()),
        }
    }
    let minutes = interval_minutes(interval).unwrap_or_else(|message| {
        fault("interval", message);
        None
    });
    if seed.chars().count() > 128 {
        fault("seed", "at most 128 characters".into());
    }
    if !faults.is_empty() {
        let mut invalid = Fault::new(FaultKind::Invalid, "The form has faults");
        invalid.fields = faults;
        return Err(invalid);
    }
    let spec = DeckySpec {
        name: decky_name,
        amount: wanted,
        archetype: Some(archetype.to_owned()),
        seed: Some(seed.trim().to_owned()).filter(|s| !s.is_empty()),
        mutate_interval_minutes: minutes,
        ..DeckySpec::default()
    };
    Ok(FleetSpec {
        deckies: vec![spec],
        replace: false,
    })
}

/// Minutes between mutations as a form gives them; nothing for never.
fn interval_minutes(text: &str) -> Result<Option<u32>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let minutes = text.trim().parse().ok().filter(|n| (1..=525_600).contains(n));
    minutes
        .map(Some)
        .ok_or_else(|| "a number of minutes from 1 to 525600, or nothing for never".into())
}

#[cfg(feature = "ssr")]
fn decky_name(text: &str) -> Result<DeckyName, Fault> {
    text.trim()
        .parse()
        .map_err(|err: NameError| Fault::new(FaultKind::Invalid, err.to_string()))
}

/// The names in a list by comma.
#[cfg(any(feature = "ssr", test))]
pub(crate) fn decky_names(list: &str) -> Result<Vec<DeckyName>, Fault> {
    let names: Result<Vec<DeckyName>, _> = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::parse)
        .collect();
    match names {
        Ok(names) if !names.is_empty() => Ok(names),
        Ok(_) => Err(Fault::new(FaultKind::Invalid, "no decky was named")),
        Err(err) => Err(Fault::new(FaultKind::Invalid, err.to_string())),
    }
}

/// One piece of long work.
#[server(prefix = "/ui", endpoint = "task_get", input = Json, output = Json)]
pub async fn task_get(id: decnet_model::id::TaskId) -> Answer<TaskView> {
    let (domain, see) = permitted()?;
    Ok(domain.task_get(&see, id).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deploy_form_names_every_faulty_field_at_once() {
        let fault = deploy_spec("", "0", "Not A Name", "", "soon").unwrap_err();
        let fields: Vec<_> = fault.fields.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["archetype", "amount", "name", "interval"]);
    }

    #[test]
    fn fields_left_empty_in_a_deploy_form_are_left_to_the_fleet() {
        let spec = deploy_spec("linux-server", "3", " ", "", "").unwrap();
        let [decky] = spec.deckies.as_slice() else {
            panic!("one group of deckies")
        };
        assert_eq!((decky.amount, &decky.name, &decky.seed), (Some(3), &None, &None));
        assert!(!spec.replace);
    }

    #[test]
    fn a_list_of_names_is_checked_whole() {
        assert_eq!(decky_names("web-1, web-2,").unwrap().len(), 2);
        assert!(decky_names("web-1,../etc").is_err());
        assert!(decky_names(" , ").is_err());
    }
}
