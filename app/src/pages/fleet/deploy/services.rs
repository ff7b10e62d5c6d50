//! Which services the deckies have, and what is set on them.

use std::collections::BTreeMap;

use decnet_model::{
    name::ServiceSlug,
    view::{ArchetypeView, KnobView, ServiceView},
};
use leptos::prelude::*;

use super::{
    Draft,
    field::{Field, FieldFault, Fold, Question, Told, is_wrong, problem_of},
};
use crate::api::deploy::{DRAWN, DeployForm as Filled, Knobs, THESE};

/// The ways to say which services they have: the value, the label, and what comes of it.
const WAYS: [(&str, &str, &str); 3] = [
    ("", "The usual", "What such a machine has from the start."),
    (THESE, "These", "What is ticked, and nothing else."),
    (
        DRAWN,
        "Drawn at random",
        "Each decky gets a set of its own that fits; the plan shows which.",
    ),
];

/// The services that `form` asks for, as far as that is known before they are drawn.
pub(super) fn served(form: &Filled, archetype: &ArchetypeView) -> Vec<ServiceSlug> {
    let chosen = |service: &&ServiceSlug| form.services.contains_key(service.as_str());
    match form.choice.as_str() {
        DRAWN => Vec::new(),
        THESE => archetype.services.iter().filter(chosen).cloned().collect(),
        _ => archetype.usual.clone(),
    }
}

/// What `form` says where its archetype is `archetype`, of those that there are: all that stands in it but what that one cannot
/// have. It stays in the form, for whoever only passes by an archetype or a way to choose services on the way to another.
pub(super) fn fitted(form: &Filled, archetype: &ArchetypeView, all: &[ArchetypeView]) -> Filled {
    let mut fitted = form.clone();
    fitted.services.retain(|slug, _| can_have(archetype, slug));
    let fits_nothing = fitted.services.is_empty() && !form.services.is_empty();
    if fitted.choice == THESE && fits_nothing {
        fitted.choice.clear();
    }
    if fitted.choice != THESE {
        fitted.services.clear();
    }
    let served = served(&fitted, archetype);
    fitted
        .knobs
        .retain(|slug, _| served.iter().any(|service| service.as_str() == slug));
    // What no archetype has is for the server to tell of.
    let has_it = |of: &ArchetypeView| of.distros.contains(&form.distro);
    if !has_it(archetype) && all.iter().any(has_it) {
        fitted.distro.clear();
    }
    fitted
}

fn can_have(archetype: &ArchetypeView, slug: &str) -> bool {
    archetype.services.iter().any(|service| service.as_str() == slug)
}

/// The services as the form names them.
fn named(services: &[ServiceSlug]) -> BTreeMap<String, String> {
    let ticked = services.iter().map(|slug| (slug.to_string(), "yes".to_owned()));
    ticked.collect()
}

/// The choice. Without scripts the archetype is not known here: every service is there, and a tick says enough.
#[component]
pub(super) fn Services(
    services: Vec<ServiceView>,
    draft: Draft,
    told: Told,
    scripted: Signal<bool>,
) -> impl IntoView {
    let Draft {
        form,
        archetype,
        said,
        ..
    } = draft;
    let choice = Memo::new(move |_| said.with(|said| said.choice.clone()));
    let problem = problem_of(told, "services".to_owned());
    let change = move |change: &dyn Fn(&mut Filled, &ArchetypeView)| {
        if let Some(archetype) = archetype.get_untracked() {
            form.update(|form| change(form, &archetype));
        }
    };
    let draw_way = move |(value, label, _): (&'static str, &'static str, &'static str)| {
        let choose = move |_| {
            change(&|form, archetype| {
                value.clone_into(&mut form.choice);
                // What was ticked before is what one goes on from, and else what is usual.
                if value == THESE && !form.services.keys().any(|slug| can_have(archetype, slug)) {
                    form.services = named(&archetype.usual);
                }
            });
        };
        view! {
            <label>
                <input
                    type="radio"
                    name="form[choice]"
                    value=value
                    checked=value.is_empty()
                    prop:checked=move || choice.with(|choice| choice == value)
                    on:change=choose
                />
                {label}
            </label>
        }
    };
    let draw_tick = move |service: ServiceView| {
        let slug = StoredValue::new(service.slug.to_string());
        let fits = move || {
            let is_one =
                |a: &ArchetypeView| slug.with_value(|slug| a.services.iter().any(|s| s.as_str() == slug));
            archetype.with(|a| a.as_ref().is_some_and(is_one))
        };
        let is_ticked = Memo::new(move |_| {
            archetype.with(|a| {
                let served = a.as_ref().map(|a| said.with(|said| served(said, a)));
                let mut served = served.into_iter().flatten();
                slug.with_value(|slug| served.any(|service| service.as_str() == slug))
            })
        });
        // What is usual is left to the archetype, so it is no part of the form.
        let name = move || {
            let is_said = !scripted.get() || choice.with(|choice| choice == THESE);
            is_said.then(|| slug.with_value(|slug| format!("form[services][{slug}]")))
        };
        let tick = move |event| {
            let on = event_target_checked(&event);
            change(&|form, archetype| {
                // What is shown as ticked is what one goes on from.
                form.services = said.with_untracked(|said| named(&served(said, archetype)));
                THESE.clone_into(&mut form.choice);
                if on {
                    form.services.insert(slug.get_value(), "yes".to_owned());
                } else {
                    slug.with_value(|slug| form.services.remove(slug));
                }
            });
        };
        view! {
            <label hidden=move || scripted.get() && !fits()>
                <input type="checkbox" name=name value="yes" prop:checked=move || is_ticked.get() on:change=tick />
                {service.label}
            </label>
        }
    };
    let help = move || {
        if !scripted.get() {
            return "Tick what they have; what does not fit is told. Without a tick they have what is usual for the archetype.";
        }
        let way = choice.with(|choice| WAYS.iter().find(|(value, ..)| value == choice));
        way.map_or("", |(_, _, help)| help)
    };
    view! {
        <fieldset class="services" tabindex="-1" aria-invalid=is_wrong(problem) aria-describedby="about-services">
            <legend>"Services"</legend>
            <div class="choices">{WAYS.map(draw_way).collect_view()}</div>
            <div class="choices">{services.into_iter().map(draw_tick).collect_view()}</div>
            <div id="about-services">
                <FieldFault problem />
                <p class="muted">{help}</p>
            </div>
        </fieldset>
    }
    .into_any()
}

/// The knobs of the services that the deckies have; of every one without scripts.
#[component]
pub(super) fn Adjust(
    services: Vec<ServiceView>,
    draft: Draft,
    told: Told,
    scripted: Signal<bool>,
) -> impl IntoView {
    let Draft {
        form,
        archetype,
        said,
        ..
    } = draft;
    let has_wrong = move || told.with(|told| told.iter().any(|told| told.field.starts_with("knobs[")));
    let known = Memo::new(move |_| {
        archetype.with(|a| said.with(|said| a.as_ref().map(|a| served(said, a)).unwrap_or_default()))
    });
    let draw = move |service: ServiceView| {
        let of = service.slug.to_string();
        let slug = service.slug;
        let is_out = Memo::new(move |_| scripted.get() && known.with(|known| !known.contains(&slug)));
        let knobs = service.knobs.into_iter();
        view! {
            <fieldset class="adjust-service" hidden=move || is_out.get() disabled=move || is_out.get()>
                <legend>{service.label}</legend>
                <div class="deploy-fields">
                    {knobs.map(|knob| view! { <Knob service=of.clone() knob form told /> }).collect_view()}
                </div>
            </fieldset>
        }
    };
    let nothing = move || {
        if said.with(|said| said.choice == DRAWN) {
            "What is drawn is as it comes: choose services to adjust them."
        } else {
            "Tick services to adjust them."
        }
    };
    view! {
        <Fold
            label="Adjust services"
            set=Signal::derive(move || said.with(|said| number_set(&said.knobs)))
            is_wrong=Signal::derive(has_wrong)
        >
            {services.into_iter().map(draw).collect_view()}
            <p class="muted" hidden=move || known.with(|known| !known.is_empty())>
                {nothing}
            </p>
        </Fold>
    }
    .into_any()
}

/// How many of `knobs` are set.
pub(super) fn number_set(knobs: &Knobs) -> usize {
    let values = knobs.values().flat_map(BTreeMap::values);
    values.filter(|value| !value.trim().is_empty()).count()
}

#[component]
fn Knob(service: String, knob: KnobView, form: RwSignal<Filled>, told: Told) -> impl IntoView {
    let (of, name) = (service.clone(), knob.name.clone());
    let value = Signal::derive(move || {
        let value = |form: &Filled| Some(form.knobs.get(&of)?.get(&name)?.clone());
        form.with(value).unwrap_or_default()
    });
    let asked = Question::knob(&service, &knob);
    let set = Callback::new(move |text| {
        form.update(|form| {
            let knobs = form.knobs.entry(service.clone()).or_default();
            knobs.insert(knob.name.clone(), text);
        });
    });
    view! { <Field asked value set told /> }.into_any()
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn what_an_archetype_cannot_have_is_not_said_of_it_and_is_said_again_of_one_that_can() {
        let all = decnet_domain::archetypes();
        let of = |slug: &str| all.iter().find(|a| a.slug == slug).unwrap();
        let knobs = |slug: &str| {
            (
                slug.to_owned(),
                BTreeMap::from([("banner".to_owned(), "x".to_owned())]),
            )
        };
        let form = Filled {
            choice: THESE.to_owned(),
            services: [("redis", "yes"), ("ssh", "yes")]
                .map(|(slug, yes)| (slug.to_owned(), yes.to_owned()))
                .into(),
            distro: "rocky9".to_owned(),
            knobs: [knobs("ssh"), knobs("redis"), knobs("http")].into(),
            ..Filled::default()
        };
        let said = |form: &Filled, slug: &str| {
            let said = fitted(form, of(slug), &all);
            let named = |of: Vec<&String>| of.into_iter().cloned().collect::<Vec<_>>().join(" ");
            (
                said.choice.clone(),
                named(said.services.keys().collect()),
                named(said.knobs.keys().collect()),
                said.distro,
            )
        };
        let four = |choice: &str, services: &str, knobs: &str, distro: &str| {
            (
                choice.to_owned(),
                services.to_owned(),
                knobs.to_owned(),
                distro.to_owned(),
            )
        };
        assert_eq!(
            said(&form, "linux-server"),
            four(THESE, "redis ssh", "redis ssh", "rocky9")
        );
        assert_eq!(said(&form, "deaddeck").1, "ssh");
        // Of a machine that can have none of them, the usual is asked for.
        let printer = said(&form, "printer");
        assert_eq!((printer.0.as_str(), printer.1.as_str()), ("", ""));
        assert_eq!(printer.3, "");
        let mut drawn = form.clone();
        drawn.choice = DRAWN.to_owned();
        assert_eq!(said(&drawn, "linux-server"), four(DRAWN, "", "", "rocky9"));
        // Nothing ticked is said as that, and what no archetype has is left for the server to tell of.
        let mut none = form;
        none.services.clear();
        none.distro = "beos".to_owned();
        assert_eq!(said(&none, "linux-server"), four(THESE, "", "", "beos"));
    }
}
