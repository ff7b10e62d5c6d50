//! The attackers: everybody who touched a decoy.

use std::collections::BTreeMap;

use decnet_model::{
    query::{AttackerQuery, AttackerSort},
    view::{AttackerView, DeckyView, Page},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};

use super::live::{FirstTouch, fleet_now};
use crate::{
    api::{Answer, evidence, fleet},
    components::{
        filter::{Chips, Choice, FilterForm, SearchField},
        frame::PageHead,
        glyph::Glyph,
        notice::{Empty, Loading, Problem},
        said::Said,
        when::Ago,
    },
    live::use_live,
    text, url,
};

const FIELDS: &[&str] = &["search", "service", "decky", "sort_by"];
const CHIPS: &[(&str, &str)] = &[("search", "text"), ("service", "service"), ("decky", "decky")];
/// Names of deckies or services that a row shows before it counts the rest.
const NAMES: usize = 3;

/// The page.
#[component]
pub(crate) fn AttackersPage() -> impl IntoView {
    let live = use_live();
    let params = use_query_map();
    let query = Memo::new(move |_| params.with(url::attacker_query));
    let page = Resource::new(
        move || (query.get(), live.epoch.get()),
        |(query, _)| evidence::attacker_page(query),
    );
    let services = Resource::new(|| (), |()| fleet::service_list());
    let deckies = fleet_now();
    let options = Signal::derive(move || match services.get() {
        Some(Ok(services)) => services
            .into_iter()
            .map(|s| (s.slug.to_string(), s.label))
            .collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let orders = vec![("active".to_owned(), "most events first".to_owned())];
    view! {
        <PageHead title="Attackers" />
        <FilterForm fields=FIELDS label="Filter attackers">
            <SearchField name="search" placeholder="Address, decky or service" />
            <Transition>
                <Choice name="service" label="Service" any="any service" options=options />
            </Transition>
            <Choice name="sort_by" label="Order" any="last seen first" options=Signal::stored(orders) />
        </FilterForm>
        <Chips filters=CHIPS />
        <Transition fallback=|| view! { <Loading rows=12 /> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(first) => view! { <List first=first query=query.get_untracked() deckies=deckies /> }.into_any(),
                    Err(fault) => {
                        let again = Callback::new(move |()| page.refetch());
                        view! { <Problem fault again=again /> }.into_any()
                    }
                }
            })}
        </Transition>
    }
    .into_any()
}

/// Whether an attacker that just changed belongs to what is shown: the server's rule, for what the stream brings.
fn matches(query: &AttackerQuery, attacker: &AttackerView) -> bool {
    let has = |want: &Option<String>, have: &[String]| want.as_ref().is_none_or(|want| have.contains(want));
    has(&query.service, &attacker.services)
        && has(&query.decky, &attacker.deckies)
        && query.search.as_deref().is_none_or(|search| {
            attacker.ip.to_string().starts_with(search)
                || attacker
                    .deckies
                    .iter()
                    .chain(&attacker.services)
                    .any(|name| name.contains(search))
        })
}

#[component]
fn List(first: Page<AttackerView>, query: AttackerQuery, deckies: Signal<Vec<DeckyView>>) -> impl IntoView {
    let live = use_live();
    let path = use_location().pathname;
    let filtered = query.search.is_some() || query.service.is_some() || query.decky.is_some();
    let next = RwSignal::new(first.next);
    let total = first.total;
    let stored = RwSignal::new(first.data);
    let more = Action::new({
        let query = query.clone();
        move |before: &String| {
            let query = AttackerQuery {
                before: Some(before.clone()),
                ..query.clone()
            };
            async move {
                let page: Answer<_> = evidence::attacker_page(query).await;
                page.map(|page| {
                    stored.update(|stored| stored.extend(page.data));
                    next.set(page.next);
                })
            }
        }
    });
    let shown = Memo::new(move |_| {
        let mut shown: BTreeMap<_, _> =
            stored.with(|s| s.iter().map(|a| (a.id, (a.clone(), false))).collect());
        live.attackers.with(|changed| {
            for (id, attacker) in changed.iter().filter(|(_, a)| matches(&query, a)) {
                shown.insert(*id, (attacker.clone(), true));
            }
        });
        let mut shown: Vec<_> = shown.into_values().collect();
        match query.sort_by.unwrap_or(AttackerSort::Recent) {
            AttackerSort::Recent => shown.sort_by_key(|(a, _)| std::cmp::Reverse((a.last_seen, a.id))),
            AttackerSort::Active => {
                shown.sort_by_key(|(a, _)| std::cmp::Reverse((a.event_count, a.last_seen)))
            }
        }
        shown
    });
    let older = move || {
        next.get().map(|before| {
            view! {
                <button
                    type="button"
                    class="button more"
                    disabled=move || more.pending().get()
                    on:click=move |_| {
                        more.dispatch(before.clone());
                    }
                >
                    "Load more"
                </button>
            }
        })
    };
    let nothing = move || {
        if filtered {
            view! {
                <Empty title="Nobody fits these filters" hint="Take one away, or clear them all.">
                    <a class="button" href=path.get()>"Clear all filters"</a>
                </Empty>
            }
            .into_any()
        } else {
            view! { <FirstTouch deckies=deckies /> }.into_any()
        }
    };
    view! {
        <Show when=move || shown.with(|shown| !shown.is_empty()) fallback=nothing>
            <p class="table-note">
                {move || {
                    let have = shown.with(Vec::len);
                    match total {
                        Some(total) if usize::try_from(total).is_ok_and(|t| t > have) => {
                            format!("{have} of {}", text::count(total))
                        }
                        _ => text::plural(u64::try_from(have).unwrap_or(0), "attacker", "attackers"),
                    }
                }}
            </p>
            <div class="table-frame">
                <table class="table attackers">
                    <thead>
                        <tr>
                            <th scope="col">"Attacker"</th>
                            <th scope="col">"Last seen"</th>
                            <th scope="col" class="number">"Events"</th>
                            <th scope="col" class="number">"Sign-ins"</th>
                            <th scope="col" class="number">"Commands"</th>
                            <th scope="col" class="number">"Loot"</th>
                            <th scope="col">"Deckies"</th>
                            <th scope="col">"Services"</th>
                        </tr>
                    </thead>
                    <tbody>
                        <For
                            each=move || shown.get()
                            key=|(a, _)| (a.id, a.event_count, a.last_seen)
                            children=|(attacker, new)| view! { <AttackerRow attacker new /> }
                        />
                    </tbody>
                </table>
            </div>
            {older}
        </Show>
        {move || more.value().get().and_then(Result::err).map(|fault| view! { <Problem fault /> })}
    }
    .into_any()
}

#[component]
fn AttackerRow(attacker: AttackerView, new: bool) -> impl IntoView {
    let href = format!("/attackers/{}", attacker.id);
    let number = |n: u64, label: &'static str| {
        view! {
            <td class="number" class:zero=n == 0 data-label=label>
                {text::count(n)}
            </td>
        }
    };
    view! {
        <tr class:new=new>
            <td class="c-attacker">
                <a class="who" href=href data-row="">
                    <Glyph seed=attacker.glyph size=24 />
                    <code>{attacker.ip.to_string()}</code>
                </a>
            </td>
            <td class="c-seen"><Ago at=attacker.last_seen /></td>
            {number(attacker.event_count, "events")}
            {number(attacker.auth_count, "sign-ins")}
            {number(attacker.command_count, "commands")}
            {number(attacker.bounty_count, "loot")}
            <td class="c-names"><Names names=attacker.deckies /></td>
            <td class="c-names"><Names names=attacker.services /></td>
        </tr>
    }
    .into_any()
}

/// A few names and how many more there are.
#[component]
fn Names(names: Vec<String>) -> impl IntoView {
    let rest = names.len().saturating_sub(NAMES);
    let all = names.join(", ");
    view! {
        <span class="names" title=text::visible(&all)>
            {names
                .into_iter()
                .take(NAMES)
                .map(|name| view! { <span class="tag"><Said text=name max=20 /></span> })
                .collect_view()}
            {(rest > 0).then(|| view! { <span class="tag rest">{format!("+{rest}")}</span> })}
        </span>
    }
    .into_any()
}
