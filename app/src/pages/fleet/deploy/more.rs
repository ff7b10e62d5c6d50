//! What is rarely asked of deckies: all that has a good answer where nothing is said.

use decnet_model::view::ArchetypeView;
use leptos::prelude::*;

use super::{
    Draft,
    field::{Field, FieldFault, Fold, Question, Told, is_wrong, problem_of},
};
use crate::api::deploy::DeployForm as Filled;

/// What a decky may begin by itself, and what comes of that.
const EGRESS: &[(&str, &str, &str)] = &[
    (
        "deny",
        "Nothing",
        "They answer their visitors and reach nobody: whoever takes one over is stuck there.",
    ),
    (
        "dns",
        "Questions for names",
        "They may ask any name server, which looks more alive; what an intruder wants out can leave in the questions.",
    ),
    (
        "allow",
        "Everything",
        "Whoever takes one over attacks your network, and others, from its address.",
    ),
];

/// The fields that are told of here.
const FIELDS: [&str; 8] = [
    "distro", "os", "hostname", "ip", "mac", "interval", "bait", "seed",
];

/// Whether the field is one of these.
pub(super) fn has_field(field: &str, contains: bool) -> bool {
    FIELDS.contains(&field) || (field == "egress" && contains)
}

/// The fields. `systems` and `bait` are those that there are.
#[component]
pub(super) fn More(
    archetypes: Vec<ArchetypeView>,
    systems: Vec<String>,
    bait: Vec<String>,
    contains: bool,
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
    let mut distros: Vec<String> = archetypes.into_iter().flat_map(|a| a.distros).collect();
    distros.sort();
    distros.dedup();
    let itself = |word: String| (word.clone(), word);
    let known = distros.iter().cloned().map(itself).collect();
    // Without scripts the archetype is not known here, and what does not fit is told.
    let fitting = Signal::derive(move || {
        let of = archetype.with(|a| a.as_ref().map(|a| a.distros.clone()));
        match of {
            Some(fitting) if scripted.get() => fitting,
            _ => distros.clone(),
        }
    });
    let set = Signal::derive(move || {
        said.with(|said| {
            let Filled {
                distro,
                os,
                hostname,
                ip,
                mac,
                interval,
                bait,
                seed,
                egress,
                ..
            } = said;
            let egress = if egress == "deny" { "" } else { egress.as_str() };
            // Nobody set a seed that was given for the plan.
            let seed = if draft.is_sown(seed) { "" } else { seed.as_str() };
            let fields: [&str; 9] = [distro, os, hostname, ip, mac, interval, bait, seed, egress];
            fields.iter().filter(|field| !field.trim().is_empty()).count()
        })
    });
    let has_wrong =
        Signal::derive(move || told.with(|told| told.iter().any(|told| has_field(&told.field, contains))));
    macro_rules! part {
        ($field:ident, $label:literal { $($asked:tt)* }) => {
            view! {
                <Field
                    asked=Question { $($asked)* ..Question::new(stringify!($field), $label) }
                    value=Signal::derive(move || said.with(|said| said.$field.clone()))
                    set=Callback::new(move |text| form.update(|form| form.$field = text))
                    told
                />
            }
        };
    }
    view! {
        <Fold label="More" note="system, names and addresses, bait, mutation" set is_wrong=has_wrong>
            <div class="deploy-fields">
                {part!(distro, "Distribution" {
                    placeholder: "one that fits".to_owned(),
                    options: known,
                    offered: Some(fitting),
                    summary: "Decides banners, versions and host names.".to_owned(),
                })}
                {part!(os, "System" {
                    placeholder: "that of the archetype".to_owned(),
                    options: systems.into_iter().map(itself).collect(),
                    summary: "What its network stack claims to be.".to_owned(),
                })}
                {part!(interval, "New services every" {
                    note: " min",
                    placeholder: "as the whole fleet".to_owned(),
                    number: Some((0, 525_600)),
                    summary: "A moving target: others that fit the archetype are drawn; 0 for never.".to_owned(),
                })}
                {part!(hostname, "Host name" {
                    note: " of a single one",
                    placeholder: "made from the seed".to_owned(),
                    max_length: 63,
                    summary: "What it calls itself, without domain.".to_owned(),
                })}
                {part!(ip, "Address" {
                    note: " of a single one",
                    placeholder: "the next that is free".to_owned(),
                    max_length: 45,
                })}
                {part!(mac, "Hardware address" {
                    note: " of a single one",
                    placeholder: "of a vendor that fits".to_owned(),
                    max_length: 17,
                })}
                {part!(bait, "Bait" {
                    note: " of your own",
                    placeholder: "the built-in one".to_owned(),
                    max_length: 4096,
                    examples: bait,
                    summary: "A folder, from / on, within bait of the data directory.".to_owned(),
                })}
                {part!(seed, "Seed" {
                    note: " for the same again",
                    placeholder: "drawn".to_owned(),
                    summary: "Whoever knows it knows their keys.".to_owned(),
                })}
            </div>
            {contains.then(|| view! { <EgressChoice form told /> })}
        </Fold>
    }
    .into_any()
}

/// What the deckies may begin by themselves.
#[component]
fn EgressChoice(form: RwSignal<Filled>, told: Told) -> impl IntoView {
    let problem = problem_of(told, "egress".to_owned());
    let draw = |&(value, label, words): &(&'static str, &'static str, &'static str)| {
        view! {
            <label>
                <input
                    type="radio"
                    name="form[egress]"
                    value=value
                    checked=value == "deny"
                    prop:checked=move || form.with(|form| form.egress == value)
                    on:change=move |_| form.update(|form| form.egress = value.to_owned())
                />
                <b>{label}</b>
                <span class="muted">{words}</span>
            </label>
        }
    };
    view! {
        <fieldset class="egress" tabindex="-1" aria-invalid=is_wrong(problem) aria-describedby="about-egress">
            <legend>"What they may begin by themselves"</legend>
            {EGRESS.iter().map(draw).collect_view()}
            <div id="about-egress">
                <FieldFault problem />
            </div>
        </fieldset>
    }
    .into_any()
}
