//! Deploying: what is to be deployed, and what would come of it.

use decnet_model::view::{ArchetypeView, DeckyView};
use leptos::prelude::*;

use super::{Archetypes, deckies::ArchetypeMark};
use crate::{
    api::{
        Answer,
        fleet::{self, Deploy, DeployForm as Filled, MAX_AMOUNT},
    },
    components::{
        dialog::Dialog,
        notice::{Loading, Problem},
    },
    pages::login::FormFault,
    text,
};

/// The dialog.
#[component]
pub(super) fn DeployDialog(
    archetypes: Archetypes,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    view! {
        <Dialog title="Deploy deckies" close=close>
            <Suspense fallback=|| view! { <Loading rows=5 /> }>
                {move || Suspend::new(async move {
                    match archetypes.await {
                        Ok(archetypes) => view! { <DeployForm archetypes=archetypes deckies=deckies close=close /> }.into_any(),
                        Err(fault) => view! { <Problem fault /> }.into_any(),
                    }
                })}
            </Suspense>
        </Dialog>
    }
    .into_any()
}

#[component]
fn DeployForm(
    archetypes: Vec<ArchetypeView>,
    deckies: Memo<Vec<DeckyView>>,
    close: Signal<String>,
) -> impl IntoView {
    let deploy = ServerAction::<Deploy>::new();
    let pending = deploy.pending();
    let fault = move || deploy.value().get().and_then(Result::err);
    let chosen = RwSignal::new(archetypes.first().map(|a| a.slug.clone()).unwrap_or_default());
    let amount = RwSignal::new("1".to_owned());
    let prefix = RwSignal::new(String::new());
    let interval = RwSignal::new(String::new());
    let seed = RwSignal::new(String::new());
    let form = move || Filled {
        archetype: chosen.get(),
        amount: amount.get(),
        name: prefix.get(),
        seed: seed.get(),
        interval: interval.get(),
    };
    let plan = Action::new(|form: &Filled| {
        let form = form.clone();
        async move { (form.clone(), fleet::deploy_preview(form).await) }
    });
    let show_plan = move |_| {
        // What is shown is what will be deployed: both are made from one seed.
        if seed.with_untracked(|seed| seed.trim().is_empty()) {
            seed.set(text::draw(16));
        }
        plan.dispatch(untrack(form));
    };
    // A plan of what the form no longer says is none.
    let planned = move || {
        plan.value()
            .get()
            .filter(|(of, _)| *of == form())
            .map(|(_, plan)| plan)
    };
    let known = archetypes.clone();
    let preview = move || {
        let slug = chosen.get();
        let archetype = known.iter().find(|a| a.slug == slug)?;
        let spec = fleet::deploy_spec(&slug, &amount.get(), &prefix.get(), "", &interval.get()).ok()?;
        let group = spec.deckies.first()?;
        let number = u64::from(group.amount.unwrap_or(1));
        let services: Vec<_> = archetype.services.iter().map(ToString::to_string).collect();
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
        let is_here =
            |name: &String| deckies.with_untracked(|all| all.iter().any(|d| d.name.as_str() == name));
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
                "{} × {}, {name}, with services that fit it ({}), {mutation}.{anew}",
                number,
                archetype.label,
                services.join(", "),
            ),
        ))
    };
    view! {
        <ActionForm action=deploy>
            <fieldset class="archetypes">
                <legend>"Archetype"</legend>
                {archetypes
                    .into_iter()
                    .enumerate()
                    .map(|(i, archetype)| {
                        let slug = archetype.slug.clone();
                        let services: Vec<_> = archetype.services.iter().map(ToString::to_string).collect();
                        view! {
                            <label class="archetype">
                                <input
                                    type="radio"
                                    name="archetype"
                                    value=archetype.slug.clone()
                                    checked=i == 0
                                    autofocus=i == 0
                                    on:change=move |_| chosen.set(slug.clone())
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
                    })
                    .collect_view()}
            </fieldset>
            <div class="deploy-fields">
                <label>
                    <span>"How many"</span>
                    <input
                        name="amount"
                        type="number"
                        min="1"
                        max=MAX_AMOUNT
                        value="1"
                        required
                        on:input=move |event| amount.set(event_target_value(&event))
                    />
                </label>
                <label>
                    <span>"Name"<small>" or prefix"</small></span>
                    <input
                        name="name"
                        placeholder="from the archetype"
                        maxlength="60"
                        pattern="[a-z0-9]([a-z0-9\\-]*[a-z0-9])?"
                        title="a-z, 0-9 and -, with no - at its beginning or end"
                        autocomplete="off"
                        on:input=move |event| prefix.set(event_target_value(&event))
                    />
                </label>
                <label>
                    <span>"New services every"<small>" min"</small></span>
                    <input
                        name="interval"
                        type="number"
                        min="1"
                        max="525600"
                        placeholder="never"
                        on:input=move |event| interval.set(event_target_value(&event))
                    />
                </label>
                <label>
                    <span>"Seed"<small>" for the same again"</small></span>
                    <input
                        name="seed"
                        placeholder="drawn"
                        maxlength="128"
                        autocomplete="off"
                        prop:value=move || seed.get()
                        on:input=move |event| seed.set(event_target_value(&event))
                    />
                </label>
            </div>
            {move || {
                preview()
                    .map(|(fleet, words)| {
                        view! {
                            <p class="preview" role="status">
                                <b>{fleet}</b>
                                {words}
                            </p>
                        }
                    })
            }}
            {move || planned().map(|plan| view! { <Plan plan deckies /> })}
            <FormFault fault=fault />
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

/// The deckies as they would be.
#[component]
fn Plan(plan: Answer<Vec<DeckyView>>, deckies: Memo<Vec<DeckyView>>) -> impl IntoView {
    let planned = match plan {
        Ok(planned) => planned,
        Err(fault) => return view! { <Problem fault /> }.into_any(),
    };
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
                    {planned
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
