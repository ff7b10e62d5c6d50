//! Deploying: what is to be deployed, and what would come of it.
//!
//! The form says what stands in it and no more: what a field may hold, the server tells beside the field.

mod field;

use decnet_model::{
    name::ServiceSlug,
    view::{ArchetypeView, DeckyView, FleetNetworkView, KnobView, ServiceView},
};
use leptos::{html, prelude::*};

use self::field::{Asked, Field, Told};
use super::{Choices, mark::ArchetypeMark};
use crate::{
    api::fleet::{self, Deploy, DeployForm as Filled, Deployable, Knobs, MAX_AMOUNT},
    components::{
        dialog::Dialog,
        notice::{Loading, Problem},
    },
    pages::login::FormFault,
    text,
};

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

/// The dialog.
#[component]
pub(super) fn DeployDialog(
    choices: Choices,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    view! {
        <Dialog title="Deploy deckies" close=close>
            <Suspense fallback=|| view! { <Loading rows=5 /> }>
                {move || Suspend::new(async move {
                    match choices.await {
                        Some(Ok(choices)) => view! { <DeployForm choices deckies close /> }.into_any(),
                        Some(Err(fault)) => view! { <Problem fault /> }.into_any(),
                        None => ().into_any(),
                    }
                })}
            </Suspense>
        </Dialog>
    }
    .into_any()
}

#[component]
fn DeployForm(choices: Deployable, deckies: Memo<Vec<DeckyView>>, close: Signal<String>) -> impl IntoView {
    let Deployable {
        archetypes,
        services,
        network,
    } = choices;
    let contains = network.contains;
    let deploy = ServerAction::<Deploy>::new();
    let pending = deploy.pending();
    let begin = archetypes.first().map(|a| a.slug.clone()).unwrap_or_default();
    let form = RwSignal::new(Filled {
        archetype: begin.clone(),
        amount: "1".to_owned(),
        egress: if contains {
            "deny".to_owned()
        } else {
            String::new()
        },
        ..Filled::default()
    });
    let plan = Action::new(|form: &Filled| {
        let form = form.clone();
        async move { (form.clone(), fleet::deploy_preview(form).await) }
    });
    let show_plan = move |_| {
        deploy.clear();
        // What is shown is what will be deployed: both are made from one seed.
        if form.with_untracked(|form| form.seed.trim().is_empty()) {
            form.update(|form| form.seed = text::draw(16));
        }
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
    let known = archetypes.clone();
    let archetype = Memo::new(move |_| {
        let slug = form.with(|form| form.archetype.clone());
        known.iter().find(|a| a.slug == slug).cloned()
    });
    view! {
        <ActionForm action=deploy>
            <div node_ref=node>
                <Network network />
                <Archetypes archetypes begin form />
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
                    <Field
                        asked=Asked {
                            note: " of a single one",
                            placeholder: "the next that is free".to_owned(),
                            max_length: 45,
                            ..Asked::new("ip", "Address")
                        }
                        value=Signal::derive(move || form.with(|form| form.ip.clone()))
                        set=Callback::new(move |text| form.update(|form| form.ip = text))
                        told
                    />
                    <Field
                        asked=Asked {
                            note: " min",
                            placeholder: "never".to_owned(),
                            number: Some((1, 525_600)),
                            ..Asked::new("interval", "New services every")
                        }
                        value=Signal::derive(move || form.with(|form| form.interval.clone()))
                        set=Callback::new(move |text| form.update(|form| form.interval = text))
                        told
                    />
                    <Field
                        asked=Asked {
                            note: " for the same again",
                            placeholder: "drawn".to_owned(),
                            ..Asked::new("seed", "Seed")
                        }
                        value=Signal::derive(move || form.with(|form| form.seed.clone()))
                        set=Callback::new(move |text| form.update(|form| form.seed = text))
                        told
                    />
                </div>
                {contains.then(|| view! { <EgressChoice form /> })}
                <Adjust services archetype form told />
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

/// Whether the form has a field of that name to tell a fault at.
fn has_field(field: &str, contains: bool) -> bool {
    match field {
        "amount" | "name" | "ip" | "interval" | "seed" => true,
        "egress" => contains,
        _ => field.starts_with("knobs["),
    }
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
fn Archetypes(archetypes: Vec<ArchetypeView>, begin: String, form: RwSignal<Filled>) -> impl IntoView {
    let draw = move |archetype: ArchetypeView| {
        let slug = archetype.slug.clone();
        let is_begin = slug == begin;
        let services: Vec<_> = archetype.services.iter().map(ToString::to_string).collect();
        let fitting = services.clone();
        let choose = move |_| {
            form.update(|form| {
                form.archetype.clone_from(&slug);
                form.knobs.retain(|service, _| fitting.contains(service));
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
        </fieldset>
    }
    .into_any()
}

/// What the deckies may begin by themselves.
#[component]
fn EgressChoice(form: RwSignal<Filled>) -> impl IntoView {
    let draw = |&(value, label, words): &(&'static str, &'static str, &'static str)| {
        view! {
            <label>
                <input
                    type="radio"
                    name="form[egress]"
                    value=value
                    checked=value == "deny"
                    on:change=move |_| form.update(|form| form.egress = value.to_owned())
                />
                <b>{label}</b>
                <span class="muted">{words}</span>
            </label>
        }
    };
    view! {
        <fieldset class="egress">
            <legend>"What they may begin by themselves"</legend>
            {EGRESS.iter().map(draw).collect_view()}
        </fieldset>
    }
    .into_any()
}

/// The knobs of the services that fit the archetype. What does not fit is no part of the form.
#[component]
fn Adjust(
    services: Vec<ServiceView>,
    archetype: Memo<Option<ArchetypeView>>,
    form: RwSignal<Filled>,
    told: Told,
) -> impl IntoView {
    let is_wrong = move || told.with(|told| told.iter().any(|told| told.field.starts_with("knobs[")));
    let draw = move |service: ServiceView| {
        let slug = service.slug;
        let of = slug.to_string();
        let has = StoredValue::new(move |list: fn(&ArchetypeView) -> &Vec<ServiceSlug>| {
            archetype.with(|a| a.as_ref().is_some_and(|a| list(a).contains(&slug)))
        });
        let fits = move || has.with_value(|has| has(|a| &a.services));
        let is_usual = move || has.with_value(|has| has(|a| &a.usual));
        let knobs = service.knobs.into_iter();
        view! {
            <fieldset class="adjust-service" hidden=move || !fits() disabled=move || !fits()>
                <legend>
                    {service.label}
                    {move || (!is_usual()).then(|| view! { <small>" comes with the first thing that is set here"</small> })}
                </legend>
                <div class="deploy-fields">
                    {knobs.map(|knob| view! { <Knob service=of.clone() knob form told /> }).collect_view()}
                </div>
            </fieldset>
        }
    };
    // A fault opens the fold; that it is mended does not close it.
    let fold = NodeRef::<html::Details>::new();
    Effect::new(move |_| {
        if is_wrong()
            && let Some(fold) = fold.get()
        {
            fold.set_open(true);
        }
    });
    view! {
        <details class="adjust" node_ref=fold open=untrack(is_wrong)>
            <summary>
                "Adjust services"
                {move || {
                    let set = form.with(|form| number_set(&form.knobs));
                    (set > 0).then(|| format!(" ({set} set)"))
                }}
            </summary>
            {services.into_iter().map(draw).collect_view()}
        </details>
    }
    .into_any()
}

fn number_set(knobs: &Knobs) -> usize {
    let values = knobs.values().flat_map(std::collections::BTreeMap::values);
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

/// What would come of the form, as far as it can be said without the server: the fleet before and after, and what comes.
fn preview(
    archetype: &ArchetypeView,
    form: &Filled,
    deckies: Memo<Vec<DeckyView>>,
) -> Option<(String, String)> {
    // What is wrong is told at its field, by the server.
    let spec = fleet::deploy_spec(form).ok()?;
    let group = spec.deckies.first()?;
    let number = u64::from(group.amount.unwrap_or(1));
    let is_set = |service: &&ServiceSlug| {
        let knobs = form.knobs.get(service.as_str());
        archetype.usual.contains(service)
            || knobs.is_some_and(|knobs| knobs.values().any(|value| !value.trim().is_empty()))
    };
    let services = archetype.services.iter().filter(is_set);
    let services: Vec<_> = services.map(ToString::to_string).collect();
    let here = u64::try_from(deckies.with(Vec::len)).unwrap_or(0);
    let name = match &group.name {
        Some(name) if number > 1 => format!("named {name}-01 to {name}-{number:02}"),
        Some(name) => format!("named {name}"),
        None => "named after the archetype".to_owned(),
    };
    let mutation = group.mutate_interval_minutes.map_or_else(
        || "keeping its services".to_owned(),
        |m| format!("changing services every {}", text::interval(m)),
    );
    let again: Vec<_> = match &group.name {
        Some(name) if number > 1 => (1..=number).map(|n| format!("{name}-{n:02}")).collect(),
        Some(name) => vec![name.to_string()],
        None => Vec::new(),
    };
    let is_here = |name: &String| deckies.with_untracked(|all| all.iter().any(|d| d.name.as_str() == name));
    let again: Vec<_> = again.into_iter().filter(is_here).collect();
    let anew = match again.as_slice() {
        [] => String::new(),
        [one] => format!(" {one} is there already: it is set up anew, and open sessions on it end."),
        [first, .., last] => format!(
            " {} are there already ({first} to {last}): they are set up anew, and open sessions on them end.",
            again.len(),
        ),
    };
    let more = number - u64::try_from(again.len()).unwrap_or(number).min(number);
    Some((
        format!("{} → {}", here, text::plural(here + more, "decky", "deckies")),
        format!(
            "{} × {}, {name}, with {}, {mutation}.{anew}",
            number,
            archetype.label,
            services.join(", "),
        ),
    ))
}

/// The deckies as they would be.
#[component]
fn Plan(plan: Vec<DeckyView>, deckies: Memo<Vec<DeckyView>>) -> impl IntoView {
    view! {
        <div class="table-frame plan">
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Address"</th>
                        <th scope="col">"Host name"</th>
                        <th scope="col">"Pretends"</th>
                        <th scope="col">"Services"</th>
                    </tr>
                </thead>
                <tbody>
                    {plan
                        .into_iter()
                        .map(|decky| {
                            let is_here = deckies.with_untracked(|all| all.iter().any(|d| d.name == decky.name));
                            let services: Vec<_> = decky.services.iter().map(|s| s.slug.to_string()).collect();
                            view! {
                                <tr>
                                    <td>
                                        {decky.name.to_string()}
                                        {is_here.then(|| view! { <span class="tag">"set up anew"</span> })}
                                    </td>
                                    <td>
                                        <code>{decky.ip.to_string()}</code>
                                        {(decky.engine != "local").then(|| view! { <code class="mac">{decky.mac}</code> })}
                                    </td>
                                    <td><code>{decky.hostname}</code></td>
                                    <td>{decky.distro}</td>
                                    <td>{services.join(", ")}</td>
                                </tr>
                            }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}
