//! Live logs: every line of evidence as it comes, filtered by what the URL says.

use decnet_model::{
    event::EventKind,
    id::LogId,
    permission::{ManageFleet, ViewQuarantine},
    query::{HistogramQuery, LogQuery},
    view::{DeckyView, LogView, Page},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use time::{Duration, OffsetDateTime};

use crate::{
    api::{evidence, fleet},
    components::{
        chart::{Buckets, Histogram, Series, by_minute},
        download::Export,
        filter::{Chips, Choice, FilterForm, SearchField, WordField},
        frame::{PageHead, may},
        icon::{Icon, Mark},
        log::{LogDrawer, LogTable, Shown},
        notice::{Empty, Fetched, LeftOut, Loading, NothingFits, Problem},
        pager::{More, Pager},
        table::Row,
        when::use_present,
    },
    live::{fleet_now, use_live},
    text,
    url::{self, Between},
};

/// The most rows that stand in the table at once.
const SHOWN: usize = 500;
const FIELDS: &[&str] = &["search", "decky", "service", "event_type", "attacker_ip"];

/// The page.
#[component]
pub(crate) fn LivePage() -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let params = use_query_map();
    let deckies = fleet_now();
    let filters = Memo::new(move |_| params.with(url::filters));
    let asked = Memo::new(move |_| filters.with(|f| url::log_query(f, present.now.get_untracked())));
    let query = Signal::derive(move || asked.with(|(query, _)| query.clone()));
    let page = Resource::new(
        move || (query.get(), live.epoch.get()),
        |(query, _)| evidence::log_page(query),
    );
    // The newest row that is shown while the table is held still.
    let paused = RwSignal::new(None::<LogId>);
    let waiting = move || {
        let until = paused.get()?;
        let query = query.get();
        Some(live.rows.with(|rows| {
            rows.iter()
                .filter(|row| row.id > until && url::matches(&query, row))
                .count()
        }))
    };
    let toggle = move |_| {
        paused.update(|paused| {
            *paused = match paused {
                Some(_) => None,
                None => Some(live.newest.get_untracked().unwrap_or(LogId(0))),
            };
        });
    };
    // What the table shows at the moment, for the drawer.
    let shown = Shown::new(None);
    let export = Signal::derive(move || query.with(url::export_logs));
    view! {
        <PageHead title="Live">
            <button
                type="button"
                class="button"
                class:on=move || paused.get().is_some()
                aria-pressed=move || if paused.get().is_some() { "true" } else { "false" }
                on:click=toggle
            >
                {move || {
                    if paused.get().is_some() {
                        view! { <Mark icon=Icon::Play />"Resume" }.into_any()
                    } else {
                        view! { <Mark icon=Icon::Pause />"Pause" }.into_any()
                    }
                }}
                {move || waiting().filter(|n| *n > 0).map(|n| view! { <span class="count">{n}</span> })}
            </button>
            <Export from=export />
        </PageHead>
        <Filters deckies=deckies />
        <Chips filters=url::LOG_FILTERS />
        <LeftOut faults=Signal::derive(move || asked.with(|(_, faults)| faults.join("; "))) />
        <TimeColumns query=query />
        <Unread />
        <Fetched from=page draw={
            move |first| {
                view! { <Rows first=first query=query.get_untracked() paused=paused shown=shown deckies=deckies /> }.into_any()
            }
        } />
        <LogDrawer shown=shown />
    }
    .into_any()
}

/// What was there when the page was fetched, what came since, and what is older, as far as it was asked for.
#[component]
fn Rows(
    first: Page<LogView>,
    query: LogQuery,
    paused: RwSignal<Option<LogId>>,
    shown: Shown,
    deckies: Signal<Vec<DeckyView>>,
) -> impl IntoView {
    let live = use_live();
    let filtered = query
        != LogQuery {
            limit: query.limit,
            ..LogQuery::default()
        };
    let pager = Pager::new(first, {
        let query = query.clone();
        move |before| {
            evidence::log_page(LogQuery {
                before,
                ..query.clone()
            })
        }
    });
    let newest = pager.rows.with_untracked(|rows| rows.first().map(|row| row.id));
    let rows = Memo::new(move |_| {
        let until = paused.get();
        let mut rows: Vec<Row<LogView>> = live.rows.with(|rows| {
            rows.iter()
                .filter(|row| newest.is_none_or(|newest| row.id > newest))
                .filter(|row| until.is_none_or(|until| row.id <= until))
                .filter(|row| url::matches(&query, row))
                .take(SHOWN)
                .map(|row| (row.clone(), true))
                .collect()
        });
        pager
            .rows
            .with(|stored| rows.extend(stored.iter().map(|row| (row.clone(), false))));
        rows
    });
    shown.set_value(Some(rows));
    view! {
        <Show
            when=move || rows.with(|rows| !rows.is_empty())
            fallback=move || view! { <Nothing filtered deckies=deckies /> }
        >
            <LogTable rows=rows />
            <More pager=pager words="Older" />
        </Show>
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
fn TimeColumns(query: Signal<LogQuery>) -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let params = use_query_map();
    let span = Memo::new(move |_| {
        let query = LogQuery {
            limit: None,
            before: None,
            ..query.get()
        };
        let between = Between {
            start: query.start_time,
            end: query.end_time,
        };
        let buckets = Buckets::of(between, Duration::hours(24), present.now.get_untracked());
        (buckets, query)
    });
    let counted = Resource::new(
        move || (span.get(), live.epoch.get()),
        |((buckets, query), _)| {
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
                    let (shown, query) = span.get_untracked();
                    match counted.await {
                        Ok(counts) => {
                            let none = shown.last(present.now.get_untracked());
                            let since = counts.first().map_or(none, |bucket| bucket.start);
                            let is_cut = since > shown.start;
                            let series = Signal::derive(move || {
                                // Those of a filter are counted among the rows that are kept here, which are not all.
                                let came = if is_narrow(&query) {
                                    live.arrived(|row| url::matches(&query, row))
                                } else {
                                    live.minutes.get()
                                };
                                Series::new(by_minute(&counts), &came, shown.last(present.now.get()), shown.step, shown.length)
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

/// Whether `query` asks for more than a time.
fn is_narrow(query: &LogQuery) -> bool {
    let time = LogQuery {
        start_time: query.start_time,
        end_time: query.end_time,
        ..LogQuery::default()
    };
    *query != time
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
