//! The drawer of one decky: who it pretends to be, how it does, what it saw, and what can be done with it.

use decnet_model::{state::DeckyState, view::DeckyView};
use leptos::prelude::*;
use leptos_router::{
    hooks::{use_location, use_query_map},
    params::ParamsMap,
};

use super::{DAY_STEP, Day, deckies::DeckyOrders};
use crate::{
    api::fleet::{ClearQuarantine, IntervalSet},
    components::{
        archetype::ArchetypeMark,
        chart::{HeatStrip, Series, by_minute},
        drawer::Drawer,
        icon::{Icon, Mark},
        notice::{Empty, Problem},
        said::{Command, CopyButton},
        stat::StateBadge,
        toast::tell,
        when::{Ago, Elapsed, use_present},
    },
    live::use_live,
    pages::login::FormFault,
    text, url,
};

/// The drawer of the decky that `?decky=` names.
#[component]
pub(super) fn DeckyDrawer(deckies: Memo<Vec<DeckyView>>, manages: Signal<bool>, day: Day) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[("decky", None)]));
    let name = Memo::new(move |_| query.with(|q| url::value(q, "decky")));
    // A form is drawn anew with what it changed, before the answer is there.
    let (interval, again) = (
        ServerAction::<IntervalSet>::new(),
        ServerAction::<ClearQuarantine>::new(),
    );
    tell(interval, "The interval holds from now on.");
    tell(again, "The decky is tried again.");
    let there = Memo::new(move |_| {
        let name = name.get()?;
        deckies.with(|deckies| deckies.iter().any(|d| d.name.as_str() == name).then_some(name))
    });
    move || {
        name.get().map(|name| match there.get() {
            Some(name) => {
                view! { <Drawer title=name.clone() row=name.clone() close=close><Inside name deckies manages day interval again /></Drawer> }
                    .into_any()
            }
            None => {
                let logs = format!("/live?decky={}", url::escape(&name));
                view! {
                    <Drawer title=text::visible(&name) row=name close=close>
                        <Empty title="No such decky" hint="It is not in the fleet, or no more. What it recorded stays in the log.">
                            <a class="button" href=logs><Mark icon=Icon::Live />"All it saw"</a>
                        </Empty>
                    </Drawer>
                }
                .into_any()
            }
        })
    }
}

#[component]
fn Inside(
    name: String,
    deckies: Memo<Vec<DeckyView>>,
    manages: Signal<bool>,
    day: Day,
    interval: ServerAction<IntervalSet>,
    again: ServerAction<ClearQuarantine>,
) -> impl IntoView {
    // What became of another decky's is told no more.
    interval.clear();
    again.clear();
    let decky = {
        let name = name.clone();
        Memo::new(move |_| deckies.with(|all| all.iter().find(|d| d.name.as_str() == name).cloned()))
    };
    move || {
        decky.get().map(|decky| {
            let name = decky.name.to_string();
            let logs = format!("/live?decky={name}");
            let given_up = decky.quarantined || decky.state == DeckyState::Failed;
            view! {
                <p class="drawer-state">
                    <StateBadge state=Signal::stored(decky.state) />
                    <span class="muted">"for "<Elapsed since=decky.since /></span>
                    {manages.get().then(|| view! { <DeckyOrders name=name.clone() desired=decky.desired stopped=decky.stopped /> })}
                </p>
                {decky
                    .stopped
                    .then(|| view! { <p class="muted">"An operator stopped it. Nothing starts or changes it until it is started again."</p> })}
                {decky
                    .last_error
                    .clone()
                    .map(|error| view! { <p class="card-error"><Mark icon=Icon::Alert />{text::visible(&error)}</p> })}
                {(given_up && manages.get()).then(|| view! { <Again name=name.clone() clear=again /> })}
                <dl class="facts">
                    <dt>"Address"</dt>
                    <dd><code>{decky.ip.to_string()}</code><CopyButton text=decky.ip.to_string() what="address" /></dd>
                    <dt>"Hardware"</dt>
                    <dd><code>{decky.mac.clone()}</code></dd>
                    <dt>"Host name"</dt>
                    <dd><code>{decky.hostname.clone()}</code></dd>
                    <dt>"Pretends"</dt>
                    <dd>
                        <span class="who">
                            <ArchetypeMark slug=decky.archetype.clone() />
                            {format!("{} on {} ({})", decky.archetype, decky.distro, decky.os)}
                        </span>
                    </dd>
                    <dt>"Runs on"</dt>
                    <dd>{format!("the {} engine", decky.engine)}</dd>
                    <dt>"Mutation"</dt>
                    <dd>
                        {match decky.mutate_interval_minutes {
                            Some(0) => "never".into_any(),
                            Some(minutes) => format!("every {}", text::interval(minutes)).into_any(),
                            None => view! { <a href="/settings/host">"as the whole fleet"</a> }.into_any(),
                        }}
                        {decky.last_mutation.map(|at| view! { <span class="muted">", last "<Ago at /></span> })}
                    </dd>
                    <dt>"Events"</dt>
                    <dd><a href=logs.clone()>{text::plural(decky.event_count, "event", "events")}</a></dd>
                </dl>
                <h3>"Last 24 hours"</h3>
                <Traffic name=name.clone() day=day />
                <h3>"Services"</h3>
                <ul class="services">
                    {decky
                        .services
                        .iter()
                        .map(|service| {
                            let slug = service.slug.to_string();
                            let at = service.listen.first().cloned();
                            view! {
                                <li>
                                    <span class="tag">{slug.clone()}</span>
                                    {service.image.clone().map(|image| view! { <code class="muted">{image}</code> })}
                                    {match at {
                                        Some(at) => view! { <Command text=text::touch_command(&decky.distro, &slug, &at) /> }.into_any(),
                                        None => view! { <span class="muted">"not listening"</span> }.into_any(),
                                    }}
                                </li>
                            }
                        })
                        .collect_view()}
                </ul>
                {manages
                    .get()
                    .then(|| view! { <h3>"New services every"</h3><Interval name=name minutes=decky.mutate_interval_minutes set=interval /> })}
                <p class="drawer-foot"><a class="button" href=logs><Mark icon=Icon::Live />"All it saw"</a></p>
            }
        })
    }
}

/// What it saw, half an hour a mark.
#[component]
fn Traffic(name: String, day: Day) -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let step = i64::from(DAY_STEP);
    let href = {
        let name = name.clone();
        Callback::new(move |(from, to)| {
            let mut only = ParamsMap::new();
            only.insert("decky", name.clone());
            url::at_time("/live", &only, from, to)
        })
    };
    view! {
        <Transition fallback=|| view! { <div class="heat"></div> }>
            {move || {
                let name = name.clone();
                Suspend::new(async move {
                    match day.await {
                        Some(Ok((reached, buckets))) => {
                            let came = live.counted(reached, move |row| row.decky == name);
                            let series = Signal::derive(move || {
                                let now = present.now.get();
                                came.with(|came| Series::new(by_minute(&buckets), came, now, step, 24 * 60 / step))
                            });
                            view! { <HeatStrip series=series href=href /> }.into_any()
                        }
                        Some(Err(fault)) => view! { <Problem fault /> }.into_any(),
                        None => ().into_any(),
                    }
                })
            }}
        </Transition>
    }
    .into_any()
}

/// How often it changes its services.
#[component]
fn Interval(name: String, minutes: Option<u32>, set: ServerAction<IntervalSet>) -> impl IntoView {
    let fault = move || set.value().get().and_then(Result::err);
    view! {
        <ActionForm action=set>
            <div class="inline-form">
                <input type="hidden" name="name" value=name />
                <label>
                    <span class="sr">"Minutes between two changes of services"</span>
                    <input
                        name="minutes"
                        type="number"
                        min="0"
                        max="525600"
                        placeholder="as the fleet"
                        title="0 for never"
                        value=minutes.map(|m| m.to_string())
                    />
                </label>
                <span class="muted">"minutes"</span>
                <button type="submit" class="button" disabled=move || set.pending().get()>"Set"</button>
            </div>
            <FormFault fault=fault />
        </ActionForm>
    }
    .into_any()
}

/// A decky that was given up after failing too often is tried again.
#[component]
fn Again(name: String, clear: ServerAction<ClearQuarantine>) -> impl IntoView {
    let fault = move || clear.value().get().and_then(Result::err);
    view! {
        <ActionForm action=clear>
            <input type="hidden" name="name" value=name />
            <button type="submit" class="button" disabled=move || clear.pending().get()>
                <Mark icon=Icon::Again />
                "Try it again"
            </button>
            <FormFault fault=fault />
        </ActionForm>
    }
    .into_any()
}
