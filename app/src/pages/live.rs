//! Live logs: every line of evidence as it comes, filtered by what the URL says.

use std::sync::Arc;

use decnet_model::{
    event::EventKind,
    permission::{ManageFleet, ViewQuarantine},
    query::{HistogramQuery, LogQuery},
    view::{DeckyView, LogView, Page},
};
use leptos::prelude::*;
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use time::{Duration, OffsetDateTime};

use crate::{
    api::{
        Answer,
        evidence::{self, AsOf},
        fleet,
    },
    components::{
        chart::{Buckets, Histogram, Series, by_minute},
        download::Export,
        filter::{Chips, Choice, FilterForm, SearchField, WordField},
        frame::{PageHead, may},
        icon::{Icon, Mark},
        log::{LogDrawer, LogTable, Shown},
        notice::{Empty, Fetched, LeftOut, Loading, NothingFits, NothingYet, Problem},
        pager::{More, Pager},
        range::moving_start,
        table::Row,
        when::use_present,
    },
    live::{TAKEN, fleet_now, take_up, use_live},
    text,
    url::{self, Between},
};

const FIELDS: &[&str] = &["search", "decky", "service", "event_type", "attacker_ip"];

/// What waits while the table is held still, newest first.
#[derive(Debug, Clone, Default)]
struct Waiting {
    rows: Vec<Arc<LogView>>,
    /// How many there are, also of those that are too many to be kept.
    count: usize,
}

/// The page.
#[component]
pub(crate) fn LivePage() -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let params = use_query_map();
    let deckies = fleet_now();
    let filters = Memo::new(move |_| params.with(url::filters));
    let counted = present.counted();
    let asked = Memo::new(move |_| filters.with(|f| url::log_query(f, counted.get())));
    let query = Signal::derive(move || asked.with(|(query, _)| query.clone()));
    let paused = RwSignal::new(false);
    let waiting = RwSignal::new(Waiting::default());
    // What stands still does so whatever was missed meanwhile; that is fetched afterwards.
    let epoch = Memo::new(move |held: Option<&u32>| match held {
        Some(held) if paused.get() => *held,
        _ => live.epoch.get(),
    });
    // That time goes on is no reason to ask again: whenever that is done, the time that ends now is counted anew.
    let page = Resource::new(
        move || (filters.get(), epoch.get()),
        move |_| evidence::log_page(query.get_untracked()),
    );
    let toggle = move |_| paused.update(|paused| *paused = !*paused);
    let count = move || waiting.with(|waiting| waiting.count);
    // What the table shows at the moment, for the drawer.
    let shown = Shown::new(None);
    let export = Signal::derive(move || query.with(url::export_logs));
    view! {
        <PageHead title="Live">
            <button
                type="button"
                class="button"
                class:on=move || paused.get()
                aria-pressed=move || if paused.get() { "true" } else { "false" }
                on:click=toggle
            >
                {move || {
                    if paused.get() {
                        view! { <Mark icon=Icon::Play />"Resume" }.into_any()
                    } else {
                        view! { <Mark icon=Icon::Pause />"Pause" }.into_any()
                    }
                }}
                {move || Some(count()).filter(|n| *n > 0).map(|n| view! { <span class="count">{n}</span> })}
            </button>
            <Export from=export />
        </PageHead>
        <Filters deckies=deckies />
        <Chips filters=url::LOG_FILTERS />
        <LeftOut faults=Signal::derive(move || asked.with(|(_, faults)| faults.join("; "))) />
        <TimeColumns filters=filters query=query />
        <Unread />
        <Fetched from=page draw={
            move |first| {
                view! { <Rows first page query=query.get_untracked() paused waiting shown deckies /> }.into_any()
            }
        } />
        <LogDrawer shown=shown />
    }
    .into_any()
}

/// What was there when the page was fetched, what came since, and what is older, as far as it was asked for.
#[component]
fn Rows(
    first: AsOf<Page<LogView>>,
    /// Where they come from, to begin anew.
    page: Resource<Answer<AsOf<Page<LogView>>>>,
    query: LogQuery,
    paused: RwSignal<bool>,
    waiting: RwSignal<Waiting>,
    shown: Shown,
    deckies: Signal<Vec<DeckyView>>,
) -> impl IntoView {
    let live = use_live();
    let start = use_query_map().with_untracked(moving_start);
    let filtered = query
        != LogQuery {
            limit: query.limit,
            ..LogQuery::default()
        };
    let which = if query.before.is_some() { "next" } else { "newest" };
    let (reached, first) = first;
    let newest = first.data.first().map_or(reached, |row| row.id.max(reached));
    let pager = Pager::new(first, {
        let query = query.clone();
        move |before| {
            let page = evidence::log_page(LogQuery {
                before,
                start_time: start.get_untracked().or(query.start_time),
                ..query.clone()
            });
            async move { Ok(page.await?.1) }
        }
    });
    waiting.set(Waiting::default());
    let came = RwSignal::new(Vec::<Arc<LogView>>::new());
    let anew = Callback::new(move |()| page.refetch());
    live.after(
        newest,
        Box::new(move |mut rows: Vec<Arc<LogView>>| {
            rows.retain(|row| url::matches(&query, row));
            if rows.is_empty() {
            } else if paused.get_untracked() {
                waiting.update(|waiting| {
                    waiting.count += rows.len();
                    rows.append(&mut waiting.rows);
                    // One more says that there were too many.
                    rows.truncate(TAKEN + 1);
                    waiting.rows = rows;
                });
            } else {
                take_up(came, rows, anew);
            }
        }),
    );
    Effect::new(move |_| {
        if !paused.get() {
            let held = waiting.try_update(std::mem::take).unwrap_or_default();
            take_up(came, held.rows, anew);
        }
    });
    // What is older is shown no more, unless what is shown is held still.
    let begins = Memo::new(move |held: Option<&Option<OffsetDateTime>>| match held {
        Some(held) if paused.get() => *held,
        _ => start.get(),
    });
    let rows = Memo::new(move |_| {
        let begins = begins.get();
        let is_in = |row: &&Arc<LogView>| begins.is_none_or(|begins| row.at >= begins);
        let mut rows: Vec<Row<LogView>> = came.with(|came| {
            let came = came.iter().filter(is_in);
            came.map(|row| (row.clone(), true)).collect()
        });
        pager.rows.with(|stored| {
            let stored = stored.iter().filter(is_in);
            rows.extend(stored.map(|row| (row.clone(), false)));
        });
        rows
    });
    shown.set_value(Some(rows));
    let words = move || pager.words_with(which, came.with(Vec::len), rows.with(Vec::len), "event", "events");
    let nothing = move || match pager.unknown() {
        Some(pages) => view! { <NothingYet pages which /> }.into_any(),
        None => view! { <Nothing filtered deckies /> }.into_any(),
    };
    view! {
        <Show when=move || rows.with(|rows| !rows.is_empty()) fallback=move || nothing>
            <LogTable rows=rows>
                <p class="table-note">{words}</p>
            </LogTable>
        </Show>
        <More pager=pager words="Older" />
    }
    .into_any()
}

/// How many lines did not become evidence, for those who may see which.
#[component]
fn Unread() -> impl IntoView {
    let live = use_live();
    let sees = may::<ViewQuarantine>();
    let first = Resource::new(move || live.epoch.get(), |_| evidence::stats_get());
    let number = move || match live.stats.get() {
        Some(stats) => stats.quarantined,
        None => first
            .get()
            .and_then(Result::ok)
            .map_or(0, |stats| stats.quarantined),
    };
    view! {
        <Transition>
            {move || {
                let number = number();
                (sees.get() && number > 0)
                    .then(|| {
                        let words = text::plural(number, "line", "lines");
                        view! { <p class="table-note"><a href="/quarantine">{words}" could not be read"</a></p> }
                    })
            }}
        </Transition>
    }
    .into_any()
}

#[component]
fn Filters(deckies: Signal<Vec<DeckyView>>) -> impl IntoView {
    let live = use_live();
    let services = Resource::new(|| (), |()| fleet::service_list());
    // Of those that are gone, too, there is something to find.
    let seen = Resource::new(move || live.epoch.get(), |_| evidence::deckies_seen());
    let decky_options = Signal::derive(move || {
        let mut names: Vec<_> = deckies
            .get()
            .into_iter()
            .map(|decky| decky.name.to_string())
            .collect();
        names.sort_unstable();
        let seen = seen.get().and_then(Result::ok).unwrap_or_default();
        let gone: Vec<_> = seen.into_iter().filter(|name| !names.contains(name)).collect();
        let there = names.into_iter().map(|name| (name.clone(), name));
        let gone = gone.into_iter().map(|name| {
            let words = format!("{} (gone)", text::visible(&name));
            (name, words)
        });
        there.chain(gone).collect::<Vec<_>>()
    });
    let service_options = Signal::derive(move || match services.get() {
        Some(Ok(services)) => services
            .into_iter()
            .map(|s| (s.slug.to_string(), s.label))
            .collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let types: Vec<(String, String)> = EventKind::ALL
        .iter()
        .map(|kind| (kind.as_str().to_owned(), text::event_words(kind.as_str())))
        .collect();
    let none = Signal::stored(Vec::new());
    let choices = |deckies: Signal<Vec<_>>, services: Signal<Vec<_>>| {
        view! {
            <Choice name="decky" label="Decky" any="any decky" options=deckies />
            <Choice name="service" label="Service" any="any service" options=services />
        }
    };
    view! {
        <FilterForm fields=FIELDS label="Filter log rows">
            <SearchField name="search" placeholder="Text, or field:value" />
            // Until it is known what there is to choose, the choices stand there all the same: what is below must not jump.
            <Transition fallback=move || choices(none, none)>{choices(decky_options, service_options)}</Transition>
            <Choice name="event_type" label="Type of event" any="any event" options=Signal::stored(types) />
            <WordField name="attacker_ip" label="Source address" most=45 />
        </FilterForm>
    }
    .into_any()
}

/// How many of the rows that are filtered for when. A column leads to its time.
#[component]
fn TimeColumns(
    /// What is asked anew by.
    filters: Memo<ParamsMap>,
    query: Signal<LogQuery>,
) -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let params = use_query_map();
    let span = move || {
        let query = LogQuery {
            limit: None,
            before: None,
            ..query.get_untracked()
        };
        let between = Between {
            start: query.start_time,
            end: query.end_time,
        };
        let buckets = Buckets::of(between, Duration::hours(24), present.now.get_untracked());
        (buckets, query)
    };
    let counted = Resource::new(
        move || (filters.get(), live.epoch.get()),
        move |_| {
            let (buckets, query) = span();
            evidence::log_histogram(HistogramQuery {
                decky: query.decky,
                service: query.service,
                search: query.search,
                event_type: query.event_type,
                attacker_ip: query.attacker_ip,
                start_time: Some(buckets.start),
                end_time: buckets.end,
                interval_minutes: u32::try_from(buckets.step).ok(),
            })
        },
    );
    let href = Callback::new(move |(from, to)| url::at_time("/live", &params.get_untracked(), from, to));
    view! {
        <section class="panel columns" aria-label="Events over time">
            <Transition fallback=|| view! { <div class="histogram-blank"></div> }>
                {move || Suspend::new(async move {
                    // Not tracked: what is drawn changes with what was counted, not before.
                    let (shown, query) = span();
                    match counted.await {
                        Ok((reached, counts)) => {
                            let none = shown.last(present.now.get_untracked());
                            let since = counts.first().map_or(none, |bucket| bucket.start);
                            let is_cut = since > shown.start;
                            let came = live.counted(reached, move |row| url::matches(&query, row));
                            let series = Signal::derive(move || {
                                let last = shown.last(present.now.get());
                                came.with(|came| Series::new(by_minute(&counts), came, last, shown.step, shown.length))
                            });
                            view! {
                                <Histogram series=series what="events" href=href height=72 />
                                {is_cut.then(|| view! { <CountedSince since /> })}
                            }
                                .into_any()
                        }
                        Err(fault) => view! { <Problem fault /> }.into_any(),
                    }
                })}
            </Transition>
        </section>
    }
    .into_any()
}

/// Says that a drawing does not begin where its time does.
#[component]
fn CountedSince(since: OffsetDateTime) -> impl IntoView {
    let present = use_present();
    let since = move || text::short_date(present.local(since));
    view! {
        <p class="panel-note">
            "Text, type and source are counted among the newest 50,000 rows: these begin at "{since}", and what is before is not drawn."
        </p>
    }
    .into_any()
}

#[component]
fn Nothing(filtered: bool, deckies: Signal<Vec<DeckyView>>) -> impl IntoView {
    if filtered {
        view! { <NothingFits /> }.into_any()
    } else {
        view! { <FirstTouch deckies=deckies /> }.into_any()
    }
}

/// Nothing has touched a decoy yet: how to be the first.
#[component]
pub(crate) fn FirstTouch(deckies: Signal<Vec<DeckyView>>) -> impl IntoView {
    let manages = may::<ManageFleet>();
    view! {
        <Transition fallback=|| view! { <Loading rows=3 /> }>
            {move || {
                let command = deckies.with(|deckies| text::touch_some(deckies));
                match command {
                    Some(command) => {
                        view! {
                            <Empty
                                title="Nothing has touched your decoys yet"
                                hint="Be the first: touch one from another terminal and watch it arrive here."
                                command=command
                            />
                        }
                            .into_any()
                    }
                    None => {
                        view! {
                            <Empty
                                title="Nothing has touched your decoys yet"
                                hint="No decoy is listening. Deploy a few; they look like real, boring hosts."
                                command="decnet deploy --archetype linux-server --deckies 4"
                            >
                                // Read on its own: what is inside of a component is made untracked.
                                {move || {
                                    manages
                                        .get()
                                        .then(|| {
                                            view! {
                                                <a class="button primary" href="/fleet?dialog=deploy">"Deploy deckies"</a>
                                            }
                                        })
                                }}
                            </Empty>
                        }
                            .into_any()
                    }
                }
            }}
        </Transition>
    }
    .into_any()
}
