//! Deploying, by a form or by a description in text.
//!
//! The form is plain, so it takes text as a form gives it. What it can say is one decky or group; what else there is to a
//! fleet, a description says.

use std::collections::BTreeMap;

use decnet_model::{
    fleet::{DeckySpec, FleetSpec, ServiceSpec},
    name::{DeckyName, ServiceSlug},
    view::{ArchetypeView, DeckyView, FieldError, FleetNetworkView, ServiceView},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use decnet_domain::{Domain, FleetPlan, Permit, StepKind};
#[cfg(feature = "ssr")]
use decnet_model::permission::{ManageFleet, ViewFleet};

use super::{Answer, fleet::interval_minutes, json::Json};
#[cfg(feature = "ssr")]
use super::{Fault, FaultKind, fleet::follow, ssr::permitted};

/// The most deckies that one form deploys.
pub const MAX_AMOUNT: u32 = 64;

/// What there is to choose from in the deploy dialog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployable {
    /// The kinds of decky.
    pub archetypes: Vec<ArchetypeView>,
    /// What they can serve, with knobs.
    pub services: Vec<ServiceView>,
    /// The families of operating systems that they can claim.
    pub systems: Vec<String>,
    /// Folders of the operator's own bait.
    pub bait: Vec<String>,
    /// Where they will stand.
    pub network: FleetNetworkView,
}

/// What can be deployed, and where it would stand.
#[server(prefix = "/ui", endpoint = "deploy_choices", output = Json)]
pub async fn deploy_choices() -> Answer<Deployable> {
    let (domain, see): (Domain, Permit<ViewFleet>) = permitted()?;
    // Whoever may not deploy has no use for paths of the host.
    let manage: Option<Permit<ManageFleet>> = permitted().ok().map(|(_, manage)| manage);
    Ok(Deployable {
        archetypes: domain.archetype_list(&see),
        services: domain.service_list(&see),
        systems: domain.system_list(&see),
        bait: manage.map(|manage| domain.bait_list(&manage)).unwrap_or_default(),
        network: domain.fleet_network(&see).await?,
    })
}

/// Deploy what the form says.
#[server(prefix = "/ui", endpoint = "deploy", output = Json)]
pub async fn deploy(form: DeployForm) -> Answer<()> {
    let (domain, manage): (_, Permit<ManageFleet>) = permitted()?;
    let asked = Asked::adjusted(&form);
    if !asked.faults.is_empty() {
        // What could not be read is refused with everything else that is wrong.
        let (_, see): (_, Permit<ViewFleet>) = permitted()?;
        return asked
            .judged(domain.decky_preview(&see, asked.spec.clone()).await)
            .map(drop);
    }
    let accepted = asked.judged(domain.decky_deploy(&manage, asked.spec.clone()).await)?;
    follow(accepted.task);
    Ok(())
}

/// A decky as it would be, and what becomes of one that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedDecky {
    /// As it would be.
    pub decky: DeckyView,
    /// How it comes to that.
    pub coming: Coming,
}

/// How a decky comes to what is wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coming {
    /// It is that.
    Is,
    /// It is started as it was.
    Started,
    /// Some of its services end, or others start; the machine stays who it is, and goes on.
    Reconfigured,
    /// It is made, in the place of what had its name.
    Made,
}

impl PlannedDecky {
    /// Every decky of a plan.
    #[cfg(feature = "ssr")]
    fn all(plan: FleetPlan) -> Vec<Self> {
        let FleetPlan { deckies, steps, .. } = plan;
        let coming = |name: &DeckyName| {
            let its = || steps.iter().filter(|(of, _)| of == name).map(|(_, step)| *step);
            let has = |kind| its().any(|step| step == kind);
            if has(StepKind::Create) {
                Coming::Made
            } else if has(StepKind::Reconfigure) {
                Coming::Reconfigured
            } else if has(StepKind::Start) {
                Coming::Started
            } else {
                Coming::Is
            }
        };
        let planned = deckies.into_iter().map(|decky| Self {
            coming: coming(&decky.name),
            decky,
        });
        planned.collect()
    }
}

/// What [`deploy`] would make, each decky as it would be: nothing is changed. With a seed, deploying makes just these.
#[server(prefix = "/ui", endpoint = "deploy_preview", input = Json, output = Json)]
pub async fn deploy_preview(form: DeployForm) -> Answer<Vec<PlannedDecky>> {
    let (domain, see): (_, Permit<ViewFleet>) = permitted()?;
    let asked = Asked::adjusted(&form);
    let plan = asked.judged(domain.decky_plan(&see, asked.spec.clone()).await)?;
    Ok(PlannedDecky::all(plan))
}

/// What the form says, as a description.
#[server(prefix = "/ui", endpoint = "description_make", input = Json, output = Json)]
pub async fn description_make(form: DeployForm) -> Answer<String> {
    let (domain, see): (_, Permit<ViewFleet>) = permitted()?;
    let asked = Asked::adjusted(&form);
    asked.judged(domain.description_make(&see, asked.spec.clone()).await)
}

/// Deploy the fleet that a text describes.
#[server(prefix = "/ui", endpoint = "description_deploy", output = Json)]
pub async fn description_deploy(text: String) -> Answer<()> {
    let (domain, manage): (_, Permit<ManageFleet>) = permitted()?;
    let accepted = domain.description_deploy(&manage, &text).await?;
    follow(accepted.task);
    Ok(())
}

/// What would come of a described fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DescribedPlan {
    /// The deckies as they would be.
    pub deckies: Vec<PlannedDecky>,
    /// Those that are there and would be taken down.
    pub leaving: Vec<DeckyName>,
}

/// What [`description_deploy`] would make of a text: nothing is changed.
#[server(prefix = "/ui", endpoint = "description_preview", input = Json, output = Json)]
pub async fn description_preview(text: String) -> Answer<DescribedPlan> {
    let (domain, see): (_, Permit<ViewFleet>) = permitted()?;
    let plan = domain.description_preview(&see, &text).await?;
    Ok(DescribedPlan {
        leaving: plan.leaving.iter().map(|decky| decky.name.clone()).collect(),
        deckies: PlannedDecky::all(plan),
    })
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
    /// Which services they have: nothing, [`DRAWN`] or [`THESE`].
    pub choice: String,
    /// The services that are chosen, by slug, where any are; what stands with them says nothing.
    pub services: BTreeMap<String, String>,
    /// Distribution.
    pub distro: String,
    /// Family of the operating system.
    pub os: String,
    /// Host name of a single decky.
    pub hostname: String,
    /// The address of a single decky.
    pub ip: String,
    /// The hardware address of a single decky.
    pub mac: String,
    /// What the personas are made from.
    pub seed: String,
    /// Minutes between mutations.
    pub interval: String,
    /// Folder of the operator's own bait.
    pub bait: String,
    /// What they may begin by themselves.
    pub egress: String,
    /// What is set on their services; what is empty is not.
    pub knobs: Knobs,
}

/// For each decky services of its own that fit, by its seed.
pub const DRAWN: &str = "drawn";
/// The services that are chosen, and no others.
pub const THESE: &str = "these";

/// What the deploy form asks for, as far as it could be read, and every field that says nothing sensible.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) spec: FleetSpec,
    pub(crate) faults: Vec<FieldError>,
}

impl Asked {
    /// All but the knobs.
    pub(crate) fn of(form: &DeployForm) -> Self {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: String| {
            faults.push(FieldError {
                field: field.into(),
                message,
            });
        };
        let archetype = filled(&form.archetype);
        if archetype.is_none() {
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
        let mut services = Vec::new();
        for slug in form.services.keys() {
            match slug.parse::<ServiceSlug>() {
                Ok(slug) => services.push(ServiceSpec::of(slug)),
                Err(err) => fault("services", err.to_string()),
            }
        }
        let is_set = |knobs: &BTreeMap<String, String>| knobs.values().any(|value| filled(value).is_some());
        let problem = match form.choice.as_str() {
            "" => None,
            DRAWN if !form.services.is_empty() || form.knobs.values().any(is_set) => {
                Some("what is drawn cannot be chosen or adjusted, too".to_owned())
            }
            DRAWN => None,
            THESE if form.services.is_empty() => Some("choose at least one".to_owned()),
            THESE => None,
            other => Some(format!("{other:?}: nothing, {DRAWN} or {THESE}")),
        };
        if let Some(problem) = problem {
            fault("services", problem);
        }
        let minutes = interval_minutes(&form.interval).unwrap_or_else(|message| {
            fault("interval", message);
            None
        });
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
        let text = |text: &str| filled(text).map(str::to_owned);
        let decky = DeckySpec {
            name,
            amount,
            archetype: archetype.map(str::to_owned),
            services,
            randomize_services: form.choice == DRAWN,
            distro: text(&form.distro),
            os: text(&form.os),
            ip,
            mac: text(&form.mac),
            hostname: text(&form.hostname),
            seed: text(&form.seed),
            bait: text(&form.bait),
            mutate_interval_minutes: minutes,
            egress: text(&form.egress),
        };
        Self {
            spec: FleetSpec {
                deckies: vec![decky],
                replace: false,
            },
            faults,
        }
    }

    /// With the knobs.
    #[cfg(feature = "ssr")]
    fn adjusted(form: &DeployForm) -> Self {
        let mut asked = Self::of(form);
        for (service, knobs) in &form.knobs {
            let knobs: BTreeMap<_, _> = knobs
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), filled(value)?.to_owned())))
                .collect();
            if knobs.is_empty() {
                continue;
            }
            match service.parse() {
                Ok(service) => {
                    for decky in &mut asked.spec.deckies {
                        decnet_domain::service_adjust(decky, &service, &knobs);
                    }
                }
                Err(err) => asked.faults.push(FieldError {
                    field: "services".into(),
                    message: err.to_string(),
                }),
            }
        }
        asked
    }

    /// What came of it. Where the form or that has faults, all of them, each at the field of the form that it is about.
    #[cfg(feature = "ssr")]
    fn judged<T>(&self, outcome: Result<T, decnet_domain::DomainError>) -> Answer<T> {
        let mut fault = match outcome {
            Ok(value) if self.faults.is_empty() => return Ok(value),
            Ok(_) => Fault::new(FaultKind::Invalid, "The form has faults"),
            Err(error) => Fault::from(error),
        };
        let found = std::mem::replace(&mut fault.fields, self.faults.clone());
        for mut told in found {
            told.field = self.form_field(&told.field);
            // What could not be read was left out; that it is missing is no fault of its own.
            if self.faults.iter().all(|unread| unread.field != told.field) {
                fault.fields.push(told);
            }
        }
        Err(fault)
    }

    /// The field of the form that a field of the fleet came from.
    #[cfg(feature = "ssr")]
    fn form_field(&self, field: &str) -> String {
        match field.strip_prefix("deckies[0].").unwrap_or(field) {
            // There are too many.
            "deckies" => "amount".to_owned(),
            "mutate_interval_minutes" => "interval".to_owned(),
            field if field.starts_with("services") => {
                self.knob_field(field).unwrap_or_else(|| "services".to_owned())
            }
            field => field.to_owned(),
        }
    }

    /// The field of the form for `services[1].knobs.banner`: `knobs[ssh][banner]`.
    #[cfg(feature = "ssr")]
    fn knob_field(&self, field: &str) -> Option<String> {
        let (place, knob) = field.strip_prefix("services[")?.split_once("].knobs.")?;
        // What is no number is a field of another kind.
        let decky = self.spec.deckies.first()?;
        let service = decky.services.get(place.parse::<usize>().ok()?)?;
        Some(format!("knobs[{}][{knob}]", service.slug))
    }
}

/// What stands in a field, if anything does.
fn filled(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deploy_form_names_every_faulty_field_at_once() {
        let form = DeployForm {
            amount: "0".into(),
            name: "Not A Name".into(),
            choice: THESE.into(),
            interval: "soon".into(),
            ip: "10.0.0".into(),
            ..DeployForm::default()
        };
        let asked = Asked::of(&form);
        let fields: Vec<_> = asked.faults.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(
            fields,
            ["archetype", "amount", "name", "services", "interval", "ip"]
        );
    }

    #[test]
    fn everything_that_stands_in_the_form_is_asked_for() {
        let form = DeployForm {
            archetype: "linux-server".into(),
            amount: "2".into(),
            name: "web".into(),
            choice: THESE.into(),
            services: [("ssh", "yes"), ("http", "")]
                .map(|(slug, yes)| (slug.to_owned(), yes.to_owned()))
                .into(),
            distro: "debian12".into(),
            os: "linux".into(),
            hostname: "db-7".into(),
            ip: "127.66.0.9".into(),
            mac: "00:50:56:01:02:03".into(),
            seed: " again ".into(),
            interval: "30".into(),
            bait: "/srv/bait".into(),
            egress: "dns".into(),
            knobs: Knobs::new(),
        };
        let asked = Asked::of(&form);
        assert!(asked.faults.is_empty(), "{asked:?}");
        let wanted = DeckySpec {
            name: Some("web".parse().unwrap()),
            amount: Some(2),
            archetype: Some("linux-server".into()),
            services: ["http", "ssh"]
                .map(|slug| ServiceSpec::of(slug.parse().unwrap()))
                .into(),
            randomize_services: false,
            distro: Some("debian12".into()),
            os: Some("linux".into()),
            ip: Some([127, 66, 0, 9].into()),
            mac: Some("00:50:56:01:02:03".into()),
            hostname: Some("db-7".into()),
            seed: Some("again".into()),
            bait: Some("/srv/bait".into()),
            mutate_interval_minutes: Some(30),
            egress: Some("dns".into()),
        };
        assert_eq!(asked.spec.deckies, [wanted]);
    }

    #[test]
    fn services_are_drawn_or_chosen_and_not_both() {
        let mut form = DeployForm {
            archetype: "linux-server".into(),
            amount: "1".into(),
            choice: DRAWN.into(),
            ..DeployForm::default()
        };
        let asked = Asked::of(&form);
        assert!(asked.faults.is_empty() && asked.spec.deckies[0].randomize_services);
        form.services.insert("ssh".into(), "yes".into());
        let fields = |form: &DeployForm| -> Vec<String> {
            let faults = Asked::of(form).faults.into_iter();
            faults.map(|fault| fault.field).collect()
        };
        assert_eq!(fields(&form), ["services"]);
        // A tick alone says enough, as without scripts.
        form.choice.clear();
        assert_eq!(fields(&form), [""; 0]);
        form.services.insert("../etc".into(), "yes".into());
        assert_eq!(fields(&form), ["services"]);
        form.services.clear();
        form.choice = "some".into();
        assert_eq!(fields(&form), ["services"]);
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
        let asked = Asked::adjusted(&three(&[("ssh", "banner", " "), ("ssh", "refusal_ms", "")]));
        assert!(asked.faults.is_empty() && !asked.spec.replace);
        let wanted = DeckySpec {
            archetype: Some("linux-server".into()),
            amount: Some(3),
            ..DeckySpec::default()
        };
        assert_eq!(asked.spec.deckies, [wanted]);
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn a_knob_of_one_service_keeps_the_others_and_every_fault_is_told_at_its_field() {
        let mut form = three(&[("ssh", "banner", "007"), ("ssh", "refusal_ms", "soon")]);
        form.name = "No Name".into();
        let asked = Asked::adjusted(&form);
        let services = &asked.spec.deckies[0].services;
        assert!(services.len() > 1, "{services:?}");
        let place = services.iter().position(|s| s.slug.as_str() == "ssh").unwrap();
        assert_eq!(services[place].knobs["banner"], "007");
        let found = [
            format!("deckies[0].services[{place}].knobs.refusal_ms"),
            "deckies[0].mutate_interval_minutes".to_owned(),
            "deckies[0].services[1]".to_owned(),
            "deckies[0].services".to_owned(),
            "deckies[0].bait".to_owned(),
            // It is told already, by whoever read the form.
            "deckies[0].name".to_owned(),
            "deckies".to_owned(),
        ];
        let found = found.map(|field| FieldError {
            field,
            message: String::new(),
        });
        let outcome: Result<(), _> = Err(decnet_domain::DomainError::Invalid(found.into()));
        let fault = asked.judged(outcome).unwrap_err();
        let told: Vec<_> = fault.fields.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(
            told,
            [
                "name",
                "knobs[ssh][refusal_ms]",
                "interval",
                "services",
                "services",
                "bait",
                "amount"
            ]
        );
        // What could not be read is refused, whatever else is right.
        let fields = asked.judged(Ok(())).unwrap_err().fields;
        assert_eq!(fields.len(), 1, "{fields:?}");
    }
}
