//! Deploying: what is to be deployed, and what would come of it.
//!
//! The usual way is three decisions: the kind of machine, how many, and what they serve. What is rarely asked for is folded
//! away ([`more`]), and what a form of one group cannot say (several groups, images of one's own, replacing the fleet) is said
//! as text ([`description`]). Both say what stands in them and no more: what a field may hold, the server tells beside it.

mod description;
mod field;
mod more;
mod plan;
mod services;

use decnet_model::view::{ArchetypeView, DeckyView, FleetNetworkView};
use leptos::{html, prelude::*};
use leptos_router::{hooks::use_query_map, params::ParamsMap};

use self::{
    description::DescriptionForm,
    field::{Asked, Field, FieldFault, Told, problem_of},
    more::More,
    plan::{Plan, preview},
    services::{Adjust, Services},
};
use super::{Choices, mark::ArchetypeMark};
use crate::{
    api::deploy::{self, Deploy, DeployForm as Filled, Deployable, MAX_AMOUNT},
    components::{
        dialog::Dialog,
        notice::{Loading, Problem},
    },
    pages::login::FormFault,
    text, url,
};

/// The parameter of the URL that says how the fleet is described, and its value for text.
const AS: &str = "as";
const TEXT: &str = "text";

/// The dialog.
#[component]
pub(super) fn DeployDialog(
    choices: Choices,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let query = use_query_map();
    view! {
        <Dialog title="Deploy deckies" close=close>
            <Suspense fallback=|| view! { <Loading rows=5 /> }>
                {move || Suspend::new(async move {
                    match choices.await {
                        Some(Ok(choices)) => view! { <Ways choices query deckies close /> }.into_any(),
                        Some(Err(fault)) => view! { <Problem fault /> }.into_any(),
                        None => ().into_any(),
                    }
                })}
            </Suspense>
        </Dialog>
    }
    .into_any()
}

/// The form, or the text. Both are there, so that going from one to the other loses nothing.
#[component]
fn Ways(
    choices: Deployable,
    query: Memo<ParamsMap>,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let form = RwSignal::new(Filled {
        archetype: choices
            .archetypes
            .first()
            .map(|a| a.slug.clone())
            .unwrap_or_default(),
        amount: "1".to_owned(),
        egress: if choices.network.contains {
            "deny".to_owned()
        } else {
            String::new()
        },
        ..Filled::default()
    });
    let as_text = Memo::new(move |_| query.with(|q| q.get_str(AS) == Some(TEXT)));
    let to = move |way: Option<&str>| url::with("/fleet", &query.get(), &[(AS, way)]);
    let is_here = move |text: bool| (as_text.get() == text).then_some("true");
    let network = choices.network.clone();
    view! {
        <nav class="switch words" aria-label="Describe them by">
            <a href=move || to(None) aria-current=move || is_here(false) data-noscroll="">"A form"</a>
            <a href=move || to(Some(TEXT)) aria-current=move || is_here(true) data-noscroll="">"As text"</a>
        </nav>
        <Network network />
        <div hidden=move || as_text.get()>
            <DeployForm choices form deckies close />
        </div>
        <div hidden=move || !as_text.get()>
            <DescriptionForm as_text form deckies close />
        </div>
    }
    .into_any()
}

#[component]
fn DeployForm(
    choices: Deployable,
    form: RwSignal<Filled>,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let Deployable {
        archetypes,
        services,
        systems,
        bait,
        network,
    } = choices;
    let contains = network.contains;
    let deploy = ServerAction::<Deploy>::new();
    let pending = deploy.pending();
    let plan = Action::new(|form: &Filled| {
        let form = form.clone();
        async move { (form.clone(), deploy::deploy_preview(form).await) }
    });
    let show_plan = move |_| {
        deploy.clear();
        sow(form);
        plan.dispatch(form.get_untracked());
    };
    // A plan of what the form no longer says is none.
    let planned = move || {
        plan.value()
            .get()
            .filter(|(of, _)| form.with(|form| of == form))
            .map(|(_, plan)| plan)
    };
    let fault = Signal::derive(move || {
        let refused = deploy.value().get().and_then(Result::err);
        refused.or_else(|| planned().and_then(Result::err))
    });
    let told = Told::derive(move || fault.get().map(|fault| fault.fields).unwrap_or_default());
    // What has a field of its own is told there.
    let elsewhere = move || {
        fault.get().and_then(|mut fault| {
            let all = fault.fields.len();
            fault.fields.retain(|told| !has_field(&told.field, contains));
            (all == 0 || !fault.fields.is_empty()).then_some(fault)
        })
    };
    let node = NodeRef::<html::Div>::new();
    Effect::new(move |_| {
        // Once the faults are drawn, the first is where one goes on.
        if fault.with(Option::is_some) {
            request_animation_frame(move || field::focus_first_fault(node));
        }
    });
    let scripted = RwSignal::new(false);
    Effect::new(move |_| scripted.set(true));
    let scripted = Signal::from(scripted);
    let known = archetypes.clone();
    let archetype = Memo::new(move |_| {
        let slug = form.with(|form| form.archetype.clone());
        known.iter().find(|a| a.slug == slug).cloned()
    });
    view! {
        <ActionForm action=deploy>
            <div node_ref=node>
                <Archetypes archetypes=archetypes.clone() form told />
                <div class="deploy-fields">
                    <Field
                        asked=Asked {
                            number: Some((1, MAX_AMOUNT)),
                            required: true,
                            ..Asked::new("amount", "How many")
                        }
                        value=Signal::derive(move || form.with(|form| form.amount.clone()))
                        set=Callback::new(move |text| form.update(|form| form.amount = text))
                        told
                    />
                    <Field
                        asked=Asked {
                            note: " or prefix",
                            placeholder: "from the archetype".to_owned(),
                            max_length: 60,
                            pattern: Some((
                                "[a-z0-9]([a-z0-9\\-]*[a-z0-9])?",
                                "a-z, 0-9 and -, with no - at its beginning or end",
                            )),
                            ..Asked::new("name", "Name")
                        }
                        value=Signal::derive(move || form.with(|form| form.name.clone()))
                        set=Callback::new(move |text| form.update(|form| form.name = text))
                        told
                    />
                </div>
                <Services services=services.clone() archetype form told scripted />
                <Adjust services archetype form told scripted />
                <More archetypes archetype systems bait contains form told scripted />
            </div>
            {move || {
                archetype
                    .get()
                    .and_then(|archetype| preview(&archetype, &form.get(), deckies))
                    .map(|(fleet, words)| {
                        view! {
                            <p class="preview" role="status">
                                <b>{fleet}</b>
                                {words}
                            </p>
                        }
                    })
            }}
            {move || planned().and_then(Result::ok).map(|plan| view! { <Plan plan deckies /> })}
            <FormFault fault=elsewhere />
            <footer>
                <a class="button" href=move || close.get() data-noscroll="">"Cancel"</a>
                <button type="button" class="button" disabled=move || plan.pending().get() on:click=show_plan>
                    "Show the plan"
                </button>
                <button type="submit" class="button primary" disabled=move || pending.get()>
                    {move || if pending.get() { "Deploying…" } else { "Deploy" }}
                </button>
            </footer>
        </ActionForm>
    }
    .into_any()
}

/// Give `form` a seed where it has none: what is shown and what will be deployed are made from one.
fn sow(form: RwSignal<Filled>) {
    if form.with_untracked(|form| form.seed.trim().is_empty()) {
        form.update(|form| form.seed = text::draw(16));
    }
}

/// Whether the form has a field of that name to tell a fault at.
fn has_field(field: &str, contains: bool) -> bool {
    matches!(field, "archetype" | "amount" | "name" | "services")
        || field.starts_with("knobs[")
        || more::has_field(field, contains)
}

/// Where the deckies will stand, or why none can be deployed.
#[component]
fn Network(network: FleetNetworkView) -> impl IntoView {
    let FleetNetworkView {
        engine,
        network,
        taken,
        reserved,
        free,
        problem,
        ..
    } = network;
    if let Some(problem) = problem {
        return view! {
            <div class="form-fault" role="alert">
                <p>"Nothing can be deployed now (engine "<b>{engine}</b>")."</p>
                <p>{text::title(&problem)}</p>
            </div>
        }
        .into_any();
    }
    let machines = |n: u64| text::plural(n, "other machine", "other machines");
    let others = (reserved > 0).then(|| format!(", {}", machines(reserved)));
    let room = match free {
        0 => "no address is free".to_owned(),
        free => format!("{} free", text::plural(free, "address is", "addresses are")),
    };
    view! {
        <p class="deploy-network">
            "On the engine "<b>{engine}</b>" in "<code>{network}</code>": "{text::plural(taken, "decky", "deckies")} {others}", "
            {room}"."
        </p>
    }
    .into_any()
}

#[component]
fn Archetypes(archetypes: Vec<ArchetypeView>, form: RwSignal<Filled>, told: Told) -> impl IntoView {
    let begin = form.with_untracked(|form| form.archetype.clone());
    let problem = problem_of(told, "archetype".to_owned());
    let draw = move |archetype: ArchetypeView| {
        let is_begin = archetype.slug == begin;
        let services: Vec<_> = archetype.services.iter().map(ToString::to_string).collect();
        let of = archetype.clone();
        let choose = move |_| {
            form.update(|form| {
                form.archetype.clone_from(&of.slug);
                if !of.distros.contains(&form.distro) {
                    form.distro.clear();
                }
                services::fit(form, &of);
            });
        };
        view! {
            <label class="archetype">
                <input
                    type="radio"
                    name="form[archetype]"
                    value=archetype.slug.clone()
                    checked=is_begin
                    autofocus=is_begin
                    on:change=choose
                />
                <span class="archetype-body">
                    <ArchetypeMark slug=archetype.slug />
                    <b>{archetype.label}</b>
                    <span class="muted">{archetype.summary}</span>
                    <span class="names">
                        {services.into_iter().map(|s| view! { <span class="tag">{s}</span> }).collect_view()}
                    </span>
                </span>
            </label>
        }
    };
    view! {
        <fieldset class="archetypes">
            <legend>"Archetype"</legend>
            {archetypes.into_iter().map(draw).collect_view()}
            <FieldFault problem />
        </fieldset>
    }
    .into_any()
}
