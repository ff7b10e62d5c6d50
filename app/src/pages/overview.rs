//! The overview: is anything happening, who is it, and does the host do well.

use std::{collections::BTreeMap, sync::Arc};

use decnet_model::{
    permission::ManageFleet,
    query::LogQuery,
    state::{DeckyState, WORKERS, WorkerState},
    view::{AttackerView, Count, DeckyView, LogView, Stats, WorkerView},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use time::Duration;

use super::live::FirstTouch;
use crate::{
    api::evidence::{self, FEED, FEED_FROM, Overview, Touch},
    components::{
        chart::{Buckets, Histogram, Series, by_minute},
        frame::{PageHead, may},
        glyph::Glyph,
        guide::{self, Guide},
        icon::{Icon, Mark},
        log::{LogDrawer, LogGlance, Shown},
        loom::Loom,
        notice::Fetched,
        range::{use_carried, words},
        said::Said,
        stat::{ShareBar, StatCard, WorkerBadge},
        table::Row,
        when::{Ago, use_present},
    },
    live::use_live,
    order,
    piece::parts,
    text,
    url::{self, Between},
};

/// Rows of a top list.
const TOP: usize = 6;
/// Rows of the feed that the page comes with. The others are drawn when it is alive: each costs a slow machine some milliseconds.
const FIRST: usize = 12;

/// The page.
#[component]
pub(crate) fn OverviewPage() -> impl IntoView {
    let live = use_live();
    let manages = may::<ManageFleet>();
    let shown = Shown::new(None);
    let params = use_query_map();
    let present = use_present();
    let asked = Memo::new(move |_| {
        let now = present.now.get_untracked();
        let (between, _) = params.with(|p| Between::of(p, now));
        (between, Buckets::of(between, Duration::hours(1), now))
    });
    let overview = Resource::new(
        move || (asked.get(), live.epoch.get()),
        |((between, buckets), _)| {
            let rows = LogQuery {
                limit: Some(FEED_FROM),
                start_time: between.start,
                end_time: between.end,
                ..LogQuery::default()
            };
            evidence::overview_get(rows, buckets.start.unix_timestamp(), buckets.step)
        },
    );
    view! {
        <PageHead title="Overview">
            <Suspense>
                {move || {
                    manages
                        .get()
                        .then(|| {
                            view! {
                                <a class="button" href="/fleet?dialog=deploy">
                                    <Mark icon=Icon::Plus />
                                    "Deploy"
                                </a>
                            }
                        })
                }}
            </Suspense>
        </PageHead>
        <Fetched
            from=overview
            rows=10
            draw=move |overview| {
                let (between, buckets) = asked.get_untracked();
                view! { <Full overview shown between buckets /> }.into_any()
            }
        />
        <LogDrawer shown=shown />
    }
    .into_any()
}

#[component]
fn Full(overview: Overview, shown: Shown, between: Between, buckets: Buckets) -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let carried = use_carried();
    let params = use_query_map();
    let ever = between.is_ever();
    let Overview {
        stats: first,
        tops,
        columns,
        logs,
        touches,
        workers,
        untouched,
    } = overview;
    let stats = Signal::derive(move || live.stats.get().unwrap_or_else(|| first.clone()));
    let total = Signal::derive(move || ever.then(|| stats.with(|s| s.unique_attackers)));
    let series = Signal::derive(move || {
        let came = live.minutes.get();
        Series::new(
            by_minute(&columns),
            &came,
            buckets.last(present.now.get()),
            buckets.step,
            buckets.length,
        )
    });
    let stored: Vec<_> = logs.into_iter().map(Arc::new).collect();
    let newest = stored.first().map(|row| row.id);
    let room = RwSignal::new(FIRST);
    Effect::new(move |_| {
        set_timeout(
            move || {
                // The page may be gone by then.
                room.try_set(FEED);
            },
            std::time::Duration::ZERO,
        );
    });
    let feed = Memo::new(move |_| {
        let mut rows: Vec<Row<LogView>> = live.rows.with(|rows| {
            let new = rows
                .iter()
                .filter(|row| row.attacker_id.is_some() && newest.is_none_or(|newest| row.id > newest))
                .filter(|row| between.has(row.at, row.at));
            new.take(FEED).map(|row| (row.clone(), true)).collect()
        });
        rows.extend(stored.iter().map(|row| (row.clone(), false)));
        rows.truncate(room.get());
        rows
    });
    let touches = Signal::derive(move || {
        let mut all = touches.clone();
        live.rows.with(|rows| {
            let new = rows
                .iter()
                .filter(|row| newest.is_none_or(|newest| row.id > newest));
            let new = new.filter(|row| between.has(row.at, row.at));
            all.extend(Touch::of(new.map(|row| row.as_ref())));
        });
        all
    });
    let attackers = {
        let first = tops.attackers.clone();
        Memo::new(move |_| {
            let mut known: BTreeMap<_, _> = first.iter().map(|a| (a.id, a.clone())).collect();
            live.attackers.with(|changed| {
                let changed = changed
                    .iter()
                    .filter(|(_, a)| between.has(a.first_seen, a.last_seen));
                known.extend(changed.map(|(id, a)| (*id, a.clone())));
            });
            let mut known: Vec<AttackerView> = known.into_values().collect();
            let key = |a: &AttackerView| {
                (u128::from(a.event_count) << 64) | order::signed(a.last_seen.unix_timestamp())
            };
            order::by(&mut known, |a| order::greatest(key(a)));
            known.truncate(TOP + 2);
            known
        })
    };
    let fleet_note = move || {
        let stats = stats.get();
        let failing = live.deckies.with(|deckies| {
            deckies.as_ref().map_or(0, |d| {
                d.values()
                    .filter(|d| matches!(d.state, DeckyState::Failed | DeckyState::Degraded))
                    .count()
            })
        });
        if failing > 0 {
            format!("{failing} in trouble")
        } else {
            format!("of {} wanted", text::count(stats.deployed_deckies))
        }
    };
    let (deckies, services, credentials, commands) = (
        StoredValue::new(tops.deckies),
        StoredValue::new(tops.services),
        StoredValue::new(tops.credentials),
        StoredValue::new(tops.commands),
    );
    let untouched = Signal::derive(move || {
        let known = live
            .deckies
            .with(|d| d.as_ref().map(|d| d.values().cloned().collect::<Vec<_>>()));
        known.unwrap_or_else(|| untouched.clone())
    });
    let skipped = guide::skipped();
    let quiet = move || stats.with(|s| s.unique_attackers == 0) && feed.with(Vec::is_empty);
    shown.set_value(Some(feed));
    let href = Callback::new(move |(from, to)| url::at_time("/", &params.get(), from, to));
    let heading = move || {
        if ever {
            "Last hour".to_owned()
        } else {
            params.with(|p| words(p, present))
        }
    };
    // Through plain functions, so that a signal's machinery is there once for all of them.
    let value = |of: fn(&Stats) -> u64| Signal::derive(move || stats.with(of));
    let note = |of: fn(&Stats) -> String| Signal::derive(move || stats.with(of));
    let counters = [
        (
            "Events",
            "/live",
            false,
            value(|s| s.total_logs),
            note(|s| format!("{} in the last hour", text::count(s.last_hour))),
        ),
        (
            "Attackers",
            "/attackers",
            true,
            value(|s| s.unique_attackers),
            note(|_| "different addresses".to_owned()),
        ),
        (
            "Sign-in attempts",
            "/live?event_type=auth_attempt",
            true,
            value(|s| s.auth_attempts),
            note(|s| {
                format!(
                    "{} captured",
                    text::plural(s.credentials, "credential", "credentials")
                )
            }),
        ),
        (
            "Loot",
            "/attackers",
            true,
            value(|s| s.bounties),
            note(|_| "credentials, files and more".to_owned()),
        ),
        (
            "Deckies up",
            "/fleet",
            false,
            value(|s| s.active_deckies),
            Signal::derive(fleet_note),
        ),
    ];
    let states = worker_states(workers);
    // Between a decoy and what stands here: while one of these rests, nothing moves.
    let rests = move || {
        let states = states.get();
        let (name, state) = states
            .into_iter()
            .find(|(name, state)| matches!(*name, "collector" | "ingester") && *state != WorkerState::Ok)?;
        let words = format!(
            "The {name} does not work ({state}): what stands here is not live. What happens meanwhile is recorded, and comes later."
        );
        Some(view! { <p class="away" role="alert">{words}" "<a href="/workers">"Workers"</a></p> }.into_any())
    };
    view! {
        {rests}
        <section class="stats" aria-label="Counters">
            {counters
                .into_iter()
                .map(|(label, href, hot, value, note)| view! { <StatCard label value note href hot /> })
                .collect_view()}
        </section>
        {(!ever).then(|| view! { <p class="table-note">"The counters are of all time; what stands below is of the time that is shown."</p> })}
        <Show when=move || !quiet() fallback=move || { let quiet = QUIET.shown(); move || quiet.get().map(|quiet| quiet(untouched, skipped)) }>
            <div class="overview" class:ever=ever>
                <section class="panel wide">
                    <header>
                        <h2>{heading}</h2>
                        <span class="panel-note">
                            {move || text::plural(series.with(Series::sum), "event", "events")}
                        </span>
                    </header>
                    <Histogram series=series what="events" href=href height=88 />
                </section>
                <section class="panel who-what">
                    <header>
                        <h2>"Who touches what"</h2>
                        <span class="panel-note legend">
                            <i class="w-touch"></i>"touched"<i class="w-probe"></i>"tried"<i class="w-hands"></i>"hands on"
                        </span>
                        <a href=carried.to("/attackers")>"all attackers"</a>
                    </header>
                    <Loom known=attackers touches=touches total=total />
                </section>
                <section class="panel feed">
                    <header>
                        <h2>{if between.end.is_none() { "Now" } else { "Then" }}</h2>
                        <a href=carried.to("/live")>"all events"</a>
                    </header>
                    <LogGlance rows=feed />
                </section>
                <section class="panel">
                    <header>
                        <h2>"Top attackers"</h2>
                        <a href=carried.to("/attackers?sort_by=active")>"by events"</a>
                    </header>
                    <ol class="top-list">
                        {move || {
                            attackers
                                .get()
                                .into_iter()
                                .take(TOP)
                                .map(|a| {
                                    view! {
                                        <li>
                                            <a href=format!("/attackers/{}", a.id)>
                                                <Glyph seed=a.glyph size=20 />
                                                <code class="top-name">{a.ip.to_string()}</code>
                                                <span class="top-side"><Ago at=a.last_seen /></span>
                                                <span class="top-count">{text::count(a.event_count)}</span>
                                            </a>
                                        </li>
                                    }
                                })
                                .collect_view()
                        }}
                    </ol>
                </section>
                {ever
                    .then(|| {
                        view! {
                            <TopList title="Credentials" counts=credentials.get_value() />
                            <TopList title="Commands" counts=commands.get_value() param="event_type=command&search" class="long" />
                        }
                    })}
                <TopList title="Deckies" counts=deckies.get_value() param="decky" class="short" />
                <TopList title="Services" counts=services.get_value() param="service" class="short" />
            </div>
        </Show>
        <Workers states />
    }
    .into_any()
}

parts! {
    pub(crate) QUIET: fn(Signal<Vec<DeckyView>>, RwSignal<bool>) -> AnyView = quiet: |deckies, skip| view! { <Quiet deckies skip /> }.into_any();
}

/// Nothing has happened yet: the first steps, or the next one for who knows them.
#[component]
fn Quiet(deckies: Signal<Vec<DeckyView>>, skip: RwSignal<bool>) -> impl IntoView {
    move || {
        if skip.get() {
            view! { <section class="panel"><FirstTouch deckies=deckies /></section> }.into_any()
        } else {
            view! { <Guide deckies=deckies skip=skip /> }.into_any()
        }
    }
}

/// A top list; a row leads to the log rows of it, which `param` of the URL names. Without `param` rows lead nowhere.
#[component]
fn TopList(
    title: &'static str,
    counts: Vec<Count>,
    #[prop(optional)] param: &'static str,
    /// What is in it: short names, or long lines.
    #[prop(optional)]
    class: &'static str,
) -> impl IntoView {
    let carried = use_carried();
    let most = counts.iter().map(|c| c.count).max().unwrap_or(1);
    let empty = counts.is_empty();
    view! {
        <section class=format!("panel {class}")>
            <header><h2>{title}</h2></header>
            {empty.then(|| view! { <p class="none">"Nothing yet."</p> })}
            <ol class="top-list">
                {counts
                    .into_iter()
                    .take(TOP)
                    .map(|c| {
                        let row = view! {
                            <code class="top-name"><Said text=c.name.clone() max=34 /></code>
                            <span class="top-count">{text::count(c.count)}</span>
                            <ShareBar value=c.count most=most />
                        };
                        let row = if param.is_empty() {
                            view! { <span class="top-row">{row}</span> }.into_any()
                        } else {
                            let to = format!("/live?{param}={}", url::escape(&c.name));
                            view! { <a href=carried.to(&to)>{row}</a> }.into_any()
                        };
                        view! { <li>{row}</li> }
                    })
                    .collect_view()}
            </ol>
        </section>
    }
    .into_any()
}

/// How the host's workers do, in the order in which evidence passes them.
fn worker_states(first: Vec<WorkerView>) -> Memo<Vec<(&'static str, WorkerState)>> {
    let live = use_live();
    Memo::new(move |_| {
        WORKERS
            .iter()
            .map(|name| {
                let heard = live
                    .workers
                    .with(|w| w.values().find(|w| w.name.as_str() == *name).map(|w| w.state));
                let state = heard
                    .or_else(|| first.iter().find(|w| w.name.as_str() == *name).map(|w| w.state))
                    .unwrap_or(WorkerState::Unknown);
                (*name, state)
            })
            .collect::<Vec<_>>()
    })
}

/// The host's workers.
#[component]
fn Workers(states: Memo<Vec<(&'static str, WorkerState)>>) -> impl IntoView {
    view! {
        <section class="workers" aria-label="Workers">
            <span>"Workers"</span>
            {move || {
                states
                    .get()
                    .into_iter()
                    .map(|(name, state)| view! { <WorkerBadge name=name.to_owned() state=state /> })
                    .collect_view()
            }}
        </section>
    }
    .into_any()
}
