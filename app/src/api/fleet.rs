//! The fleet: what runs, and orders to change it. Deploying is in [`deploy`](super::deploy).
//!
//! The orders are plain forms too, so they take text as a form gives it and redirect to the fleet with the task that
//! carries them out.

use std::collections::BTreeMap;

use decnet_model::{
    name::DeckyName,
    view::{DeckyView, ServiceView, TaskView},
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use decnet_model::{id::TaskId, name::NameError, view::FieldError};

#[cfg(feature = "ssr")]
use super::ssr::{permitted, referer};
use super::{Answer, json::Json};
#[cfg(any(feature = "ssr", test))]
use super::{Fault, FaultKind};

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

/// How many sessions are open now on these deckies, together, and whether that are all.
#[server(prefix = "/ui", endpoint = "decky_open_sessions", input = Json, output = Json)]
pub async fn decky_open_sessions(names: Vec<DeckyName>) -> Answer<(u64, bool)> {
    let (domain, order) = permitted()?;
    Ok(domain.decky_open_sessions(&order, &names).await?)
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

/// Set how often a decky changes its services: `minutes` between two changes, 0 for never, nothing for as often as the whole fleet.
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

/// What has to be typed before every decky is taken down at once.
pub const WHOLE_FLEET: &str = "take down the fleet";

/// Whether these are several deckies and all of the fleet that are wanted.
pub(crate) fn is_whole_fleet(names: &[String], deckies: &[DeckyView]) -> bool {
    let wanted: Vec<_> = deckies.iter().filter(|decky| decky.desired).collect();
    let mut named = wanted
        .iter()
        .map(|decky| names.iter().any(|name| name == decky.name.as_str()));
    wanted.len() > 1 && named.all(|is| is)
}

/// Take deckies down; `names` by comma. Where that is the whole fleet, `confirm` has to be [`WHOLE_FLEET`].
#[server(prefix = "/ui", endpoint = "teardown", output = Json)]
pub async fn teardown(names: String, #[server(default)] confirm: String) -> Answer<()> {
    let names = decky_names(&names)?;
    let (domain, manage) = permitted()?;
    let (_, see) = permitted()?;
    let texts: Vec<_> = names.iter().map(ToString::to_string).collect();
    if confirm.trim() != WHOLE_FLEET && is_whole_fleet(&texts, &domain.decky_list(&see).await?) {
        return Err(Fault::new(
            FaultKind::Invalid,
            format!("type {WHOLE_FLEET} to confirm"),
        ));
    }
    let accepted = domain.decky_teardown(&manage, &names).await?;
    follow(accepted.task);
    Ok(())
}

/// Lead on to the fleet and to what becomes of an order: as a table, where it was given from that.
#[cfg(feature = "ssr")]
pub(super) fn follow(task: TaskId) {
    let from = referer().unwrap_or_default();
    let query = from.split_once('?').map_or("", |(_, query)| query);
    let view = match query.split('&').any(|part| part == "view=table") {
        true => "view=table&",
        false => "",
    };
    leptos_axum::redirect(&format!("/fleet?{view}task={task}"));
}

/// Give deckies other services that fit their archetype; `names` by comma.
#[server(prefix = "/ui", endpoint = "mutate", output = Json)]
pub async fn mutate(names: String) -> Answer<()> {
    let names = decky_names(&names)?;
    let (domain, manage) = permitted()?;
    let accepted = domain.decky_mutate(&manage, &names).await?;
    follow(accepted.task);
    Ok(())
}

/// Stop deckies and start them again as they were; `names` by comma.
#[server(prefix = "/ui", endpoint = "redeploy", output = Json)]
pub async fn redeploy(names: String) -> Answer<()> {
    let names = decky_names(&names)?;
    let (domain, manage) = permitted()?;
    let accepted = domain.decky_redeploy(&manage, &names).await?;
    follow(accepted.task);
    Ok(())
}

/// Stop deckies, which stay as they are until they are started; `names` by comma.
#[server(prefix = "/ui", endpoint = "decky_stop", output = Json)]
pub async fn decky_stop(names: String) -> Answer<()> {
    let names = decky_names(&names)?;
    let (domain, manage) = permitted()?;
    let accepted = domain.decky_stop(&manage, &names).await?;
    follow(accepted.task);
    Ok(())
}

/// Have stopped deckies run again as they were; `names` by comma.
#[server(prefix = "/ui", endpoint = "decky_start", output = Json)]
pub async fn decky_start(names: String) -> Answer<()> {
    let names = decky_names(&names)?;
    let (domain, manage) = permitted()?;
    let accepted = domain.decky_start(&manage, &names).await?;
    follow(accepted.task);
    Ok(())
}

/// Minutes between mutations as a form gives them: 0 for never, nothing for as often as the whole fleet.
pub(super) fn interval_minutes(text: &str) -> Result<Option<u32>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let minutes = text.trim().parse::<u32>().ok().filter(|n| *n <= 525_600);
    minutes.map(Some).ok_or_else(|| {
        "a number of minutes from 1 to 525600, 0 for never, or nothing for as the whole fleet".into()
    })
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
    fn a_list_of_names_is_checked_whole() {
        assert_eq!(decky_names("web-1, web-2,").unwrap().len(), 2);
        assert!(decky_names("web-1,../etc").is_err());
        assert!(decky_names(" , ").is_err());
    }
}
