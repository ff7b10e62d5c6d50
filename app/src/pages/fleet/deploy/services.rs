//! Which services the deckies have, and what is set on them.

use std::collections::BTreeMap;

use decnet_model::{
    name::ServiceSlug,
    view::{ArchetypeView, KnobView, ServiceView},
};
use leptos::prelude::*;

use super::field::{Asked, Field, FieldFault, Fold, Told, problem_of};
use crate::api::deploy::{DRAWN, DeployForm as Filled, Knobs, THESE};

/// The ways to say which services they have: the value, the label, and what comes of it.
const WAYS: [(&str, &str, &str); 3] = [
    ("", "The usual", "What such a machine has from the start."),
    (
        DRAWN,
        "Drawn",
        "Each decky gets a set of its own that fits; the plan shows which.",
    ),
    (THESE, "These", "What is ticked, and nothing else."),
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

/// Have `form` say no more of its services than `archetype` can have.
pub(super) fn fit(form: &mut Filled, archetype: &ArchetypeView) {
    let fits = |slug: &str| archetype.services.iter().any(|service| service.as_str() == slug);
    form.services.retain(|slug, _| fits(slug));
    if form.choice == THESE && form.services.is_empty() {
        form.choice.clear();
    }
    keep_knobs(form, archetype);
}

/// Forget what is set on services that the deckies do not have.
fn keep_knobs(form: &mut Filled, archetype: &ArchetypeView) {
    let served = served(form, archetype);
    form.knobs
        .retain(|slug, _| served.iter().any(|service| service.as_str() == slug));
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
    archetype: Memo<Option<ArchetypeView>>,
    form: RwSignal<Filled>,
    told: Told,
    scripted: Signal<bool>,
) -> impl IntoView {
    let choice = Memo::new(move |_| form.with(|form| form.choice.clone()));
    let problem = problem_of(told, "services".to_owned());
    let is_wrong = move || problem.with(|problem| (!problem.is_empty()).then_some("true"));
    let change = move |change: &dyn Fn(&mut Filled, &ArchetypeView)| {
        if let Some(archetype) = archetype.get_untracked() {
            form.update(|form| change(form, &archetype));
        }
    };
    let draw_way = move |(value, label, _): (&'static str, &'static str, &'static str)| {
        let choose = move |_| {
            change(&|form, archetype| {
                // What is shown as ticked is what one goes on from.
                let ticked = named(&served(form, archetype));
                form.services = if value == THESE { ticked } else { BTreeMap::new() };
                form.choice = value.to_owned();
                keep_knobs(form, archetype);
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
                let served = a.as_ref().map(|a| form.with(|form| served(form, a)));
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
                let mut ticked = served(form, archetype);
                ticked.retain(|service| slug.with_value(|slug| service.as_str() != slug));
                form.choice = THESE.to_owned();
                form.services = named(&ticked);
                if on {
                    form.services.insert(slug.get_value(), "yes".to_owned());
                } else {
                    slug.with_value(|slug| form.knobs.remove(slug));
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
        <fieldset class="services" tabindex="-1" aria-invalid=is_wrong aria-describedby="about-services">
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
    archetype: Memo<Option<ArchetypeView>>,
    form: RwSignal<Filled>,
    told: Told,
    scripted: Signal<bool>,
) -> impl IntoView {
    let is_wrong = move || told.with(|told| told.iter().any(|told| told.field.starts_with("knobs[")));
    let known = Memo::new(move |_| {
        archetype.with(|a| form.with(|form| a.as_ref().map(|a| served(form, a)).unwrap_or_default()))
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
    view! {
        <Fold
            label="Adjust services"
            set=Signal::derive(move || form.with(|form| number_set(&form.knobs)))
            is_wrong=Signal::derive(is_wrong)
        >
            {services.into_iter().map(draw).collect_view()}
            <p class="muted" hidden=move || known.with(|known| !known.is_empty())>
                "What is drawn is as it comes: choose services to adjust them."
            </p>
        </Fold>
    }
    .into_any()
}

fn number_set(knobs: &Knobs) -> usize {
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
    let asked = Asked::knob(&service, &knob);
    let set = Callback::new(move |text| {
        form.update(|form| {
            let knobs = form.knobs.entry(service.clone()).or_default();
            knobs.insert(knob.name.clone(), text);
        });
    });
    view! { <Field asked value set told /> }.into_any()
}
