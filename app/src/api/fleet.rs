//! The fleet: what runs, what can be deployed, and orders to change it.
//!
//! The orders are plain forms too, so they take text as a form gives it and redirect to the fleet with the task that
//! carries them out.

use std::collections::BTreeMap;

use decnet_model::{
    fleet::{DeckySpec, FleetSpec},
    name::DeckyName,
    view::{ArchetypeView, DeckyView, FieldError, FleetNetworkView, ServiceView, TaskView},
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

/// What there is to choose from in the deploy dialog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployable {
    /// The kinds of decky.
    pub archetypes: Vec<ArchetypeView>,
    /// What they can serve, with knobs.
    pub services: Vec<ServiceView>,
    /// Where they will stand.
    pub network: FleetNetworkView,
}

/// What can be deployed, and where it would stand.
#[server(prefix = "/ui", endpoint = "deploy_choices", output = Json)]
pub async fn deploy_choices() -> Answer<Deployable> {
    let (domain, see) = permitted()?;
    Ok(Deployable {
        archetypes: domain.archetype_list(&see),
        services: domain.service_list(&see),
        network: domain.fleet_network(&see).await?,
    })
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

/// Deploy what the form says.
#[server(prefix = "/ui", endpoint = "deploy", output = Json)]
pub async fn deploy(form: DeployForm) -> Answer<()> {
    let spec = adjusted_spec(&form)?;
    let (domain, manage) = permitted()?;
    let accepted = domain.decky_deploy(&manage, spec.clone()).await;
    let accepted = accepted.map_err(|error| at_fields(error.into(), &spec))?;
    leptos_axum::redirect(&format!("/fleet?task={}", accepted.task));
    Ok(())
}

/// What [`deploy`] would make, each decky as it would be: nothing is changed. With a seed, deploying makes just these.
#[server(prefix = "/ui", endpoint = "deploy_preview", input = Json, output = Json)]
pub async fn deploy_preview(form: DeployForm) -> Answer<Vec<DeckyView>> {
    let spec = adjusted_spec(&form)?;
    let (domain, see) = permitted()?;
    let preview = domain.decky_preview(&see, spec.clone()).await;
    preview.map_err(|error| at_fields(error.into(), &spec))
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

/// Knobs by service, as text.
pub type Knobs = BTreeMap<String, BTreeMap<String, String>>;

/// What stands in the deploy form, as it stands there: all but archetype and amount may be empty, or not be there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeployForm {
    /// Slug of the archetype.
    pub archetype: String,
    /// How many.
    pub amount: String,
    /// Name, or prefix of names.
    pub name: String,
    /// What the personas are made from.
    pub seed: String,
    /// Minutes between mutations.
    pub interval: String,
    /// The address of a single decky.
    pub ip: String,
    /// What they may begin by themselves.
    pub egress: String,
    /// What is set on their services; what is empty is not.
    pub knobs: Knobs,
}

/// What the deploy form asks for, but for its knobs; every field that says nothing sensible is named.
pub(crate) fn deploy_spec(form: &DeployForm) -> Result<FleetSpec, Fault> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, message: String| {
        faults.push(FieldError {
            field: field.into(),
            message,
        })
    };
    if form.archetype.is_empty() {
        fault("archetype", "choose one".into());
    }
    let amount = form.amount.trim().parse().ok();
    let amount = amount.filter(|n| (1..=MAX_AMOUNT).contains(n));
    if amount.is_none() {
        fault("amount", format!("a number from 1 to {MAX_AMOUNT}"));
    }
    let mut name = None;
    if let Some(given) = filled(&form.name) {
        match given.parse::<DeckyName>() {
            Ok(parsed) => name = Some(parsed),
            Err(err) => fault("name", err.rule.to_owned()),
        }
    }
    let minutes = interval_minutes(&form.interval).unwrap_or_else(|message| {
        fault("interval", message);
        None
    });
    if form.seed.chars().count() > 128 {
        fault("seed", "at most 128 characters".into());
    }
    let mut ip = None;
    if let Some(given) = filled(&form.ip) {
        match given.parse() {
            Ok(parsed) => ip = Some(parsed),
            Err(_) => fault(
                "ip",
                "not an address; four numbers with points between them are one".into(),
            ),
        }
    }
    if !faults.is_empty() {
        let mut invalid = Fault::new(FaultKind::Invalid, "The form has faults");
        invalid.fields = faults;
        return Err(invalid);
    }
    let spec = DeckySpec {
        name,
        amount,
        archetype: Some(form.archetype.clone()),
        seed: filled(&form.seed).map(str::to_owned),
        mutate_interval_minutes: minutes,
        ip,
        egress: filled(&form.egress).map(str::to_owned),
        ..DeckySpec::default()
    };
    Ok(FleetSpec {
        deckies: vec![spec],
        replace: false,
    })
}

/// What stands in a field, if anything does.
fn filled(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// What the deploy form asks for.
#[cfg(feature = "ssr")]
fn adjusted_spec(form: &DeployForm) -> Result<FleetSpec, Fault> {
    let mut spec = deploy_spec(form)?;
    for (service, knobs) in &form.knobs {
        let knobs: BTreeMap<_, _> = knobs
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), filled(value)?.to_owned())))
            .collect();
        if knobs.is_empty() {
            continue;
        }
        let service = service
            .parse()
            .map_err(|err: NameError| Fault::new(FaultKind::Invalid, err.to_string()))?;
        for decky in &mut spec.deckies {
            decnet_domain::service_adjust(decky, &service, &knobs);
        }
    }
    Ok(spec)
}

/// A fault of the fleet `spec` told at the fields of the form that it came from.
#[cfg(feature = "ssr")]
fn at_fields(mut fault: Fault, spec: &FleetSpec) -> Fault {
    for told in &mut fault.fields {
        told.field = match told.field.as_str() {
            // There are too many.
            "deckies" => "amount".to_owned(),
            field => {
                let field = field.strip_prefix("deckies[0].").unwrap_or(field);
                match field {
                    "mutate_interval_minutes" => "interval".to_owned(),
                    field => knob_field(field, spec).unwrap_or_else(|| field.to_owned()),
                }
            }
        };
    }
    fault
}

/// The field of the form for `services[1].knobs.banner`: `knobs[ssh][banner]`.
#[cfg(feature = "ssr")]
fn knob_field(field: &str, spec: &FleetSpec) -> Option<String> {
    let (place, knob) = field.strip_prefix("services[")?.split_once("].knobs.")?;
    // What is no number is a field of another kind.
    let service = spec.deckies.first()?.services.get(place.parse::<usize>().ok()?)?;
    Some(format!("knobs[{}][{knob}]", service.slug))
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
        let form = DeployForm {
            amount: "0".into(),
            name: "Not A Name".into(),
            interval: "soon".into(),
            ip: "10.0.0".into(),
            ..DeployForm::default()
        };
        let fault = deploy_spec(&form).unwrap_err();
        let fields: Vec<_> = fault.fields.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["archetype", "amount", "name", "interval", "ip"]);
    }

    #[cfg(feature = "ssr")]
    fn three(knobs: &[(&str, &str, &str)]) -> DeployForm {
        let mut form = DeployForm {
            archetype: "linux-server".into(),
            amount: "3".into(),
            name: " ".into(),
            ..DeployForm::default()
        };
        for (service, knob, value) in knobs {
            let service = form.knobs.entry((*service).into()).or_default();
            service.insert((*knob).into(), (*value).into());
        }
        form
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn fields_left_empty_in_a_deploy_form_are_left_to_the_fleet() {
        let spec = adjusted_spec(&three(&[("ssh", "banner", " "), ("ssh", "refusal_ms", "")])).unwrap();
        let [decky] = spec.deckies.as_slice() else {
            panic!("one group of deckies")
        };
        assert_eq!((decky.amount, &decky.name, &decky.seed), (Some(3), &None, &None));
        assert_eq!((decky.ip, &decky.egress), (None, &None));
        assert!(decky.services.is_empty() && !spec.replace);
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn a_knob_of_one_service_keeps_the_others_and_its_fault_is_told_at_its_field() {
        let spec = adjusted_spec(&three(&[("ssh", "banner", "007"), ("ssh", "refusal_ms", "soon")])).unwrap();
        let services = &spec.deckies[0].services;
        assert!(services.len() > 1, "{services:?}");
        let place = services.iter().position(|s| s.slug.as_str() == "ssh").unwrap();
        assert_eq!(services[place].knobs["banner"], "007");
        let mut fault = Fault::new(FaultKind::Invalid, "");
        fault.fields = [
            format!("deckies[0].services[{place}].knobs.refusal_ms"),
            "deckies[0].mutate_interval_minutes".to_owned(),
            "deckies[0].ip".to_owned(),
            "deckies".to_owned(),
        ]
        .map(|field| FieldError {
            field,
            message: String::new(),
        })
        .into();
        let told: Vec<_> = at_fields(fault, &spec)
            .fields
            .into_iter()
            .map(|f| f.field)
            .collect();
        assert_eq!(told, ["knobs[ssh][refusal_ms]", "interval", "ip", "amount"]);
    }

    #[test]
    fn a_list_of_names_is_checked_whole() {
        assert_eq!(decky_names("web-1, web-2,").unwrap().len(), 2);
        assert!(decky_names("web-1,../etc").is_err());
        assert!(decky_names(" , ").is_err());
    }
}
