//! The overview: is anything happening, who is it, and does the host do well.

use std::sync::Arc;

use decnet_model::{
    permission::ManageFleet,
    query::LogQuery,
    state::{DeckyState, WORKERS, WorkerState},
    view::{Count, LogView, Stats},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use time::{Duration, OffsetDateTime};

use super::live::FirstTouch;
use crate::{
    api::evidence::{self, Active, FEED, FEED_FROM, Overview, TopLists, Touch, is_narrow},
    components::{
        archetype::DeckyMark,
        chart::{Buckets, Histogram, Series},
        filter::Chips,
        frame::{PageHead, may},
        glyph::Glyph,
        guide::{self, Guide},
        icon::{Icon, Mark},
        log::{LogDrawer, LogGlance, Shown},
        loom::{Chosen, Loom},
        notice::{Fetched, LeftOut},
        range::{moving_start, use_carried, words},
        said::Said,
        stat::{ShareBar, StatCard, WorkerBadge},
        table::Row,
        when::{Ago, use_present},
    },
    live::{fleet_from, use_live},
    order,
    piece::parts,
    text,
    url::{self, Between},
};

/// Rows of a top list.
const TOP: usize = 6;
/// Rows of the feed that the page comes with. The others are drawn when it is alive: each costs a slow machine some milliseconds.
const FIRST: usize = 12;

/// What the page can be made to show alone, with the words for it.
const CHIPS: &[(&str, &str)] = &[("attacker_ip", "source"), ("decky", "decky")];

/// The page.
#[component]
pub(crate) fn OverviewPage() -> impl IntoView {
    let live = use_live();
    let manages = may::<ManageFleet>();
    let shown = Shown::new(None);
    let params = use_query_map();
    let present = use_present();
    let filters = Memo::new(move |_| params.with(url::filters));
    // That time goes on is no reason to ask again: whenever that is done, the time that ends now is counted anew.
    let asked = move || {
        let now = present.now.get_untracked();
        filters.with_untracked(|f| {
            let (between, _) = Between::of(f, now);
            let rows = LogQuery {
                decky: url::value(f, "decky"),
                attacker_ip: url::source(f, &mut Vec::new()).map(|ip| ip.to_canonical()),
                start_time: between.start,
                end_time: between.end,
                ..LogQuery::default()
            };
            (rows, Buckets::of(between, Duration::hours(1), now))
        })
    };
    let faults = Signal::derive(move || {
        let mut faults = Vec::new();
        filters.with(|f| url::source(f, &mut faults));
        faults.join("; ")
    });
    let overview = Resource::new(
        move || (filters.get(), live.epoch.get()),
        move |_| {
            let (rows, buckets) = asked();
            let rows = LogQuery {
                limit: Some(FEED_FROM),
                ..rows
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
                                .into_any()
                        })
                }}
            </Suspense>
        </PageHead>
        <Chips filters=CHIPS />
        <LeftOut faults=faults />
        <Fetched
            from=overview
            rows=10
            draw=move |it| {
                let (rows, buckets) = asked();
                let anew = Callback::new(move |()| overview.refetch());
                view! { <Full overview=it anew shown asked=rows buckets /> }.into_any()
            }
        />
        <LogDrawer shown=shown />
    }
    .into_any()
}

#[component]
fn Full(
    overview: Overview,
    /// Fetches it again.
    anew: Callback<()>,
    shown: Shown,
    /// What the page shows.
    asked: LogQuery,
    buckets: Buckets,
) -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let carried = use_carried();
    let params = use_query_map();
    let between = Between {
        start: asked.start_time,
        end: asked.end_time,
    };
    let ever = between.is_ever();
    let narrow = is_narrow(&asked);
    let chosen = Chosen {
        ip: asked.attacker_ip,
        decky: asked.decky.clone(),
    };
    let Overview {
        reached,
        stats: first,
        tops,
        columns,
        logs,
        touches,
        workers,
        untouched,
    } = overview;
    let total_then = first.total_logs;
    let stats = Signal::derive(move || live.stats.get().unwrap_or_else(|| first.clone()));
    let total = Signal::derive(move || ever.then(|| stats.with(|s| s.unique_attackers)));
    // At whatever time: what is counted and what came have theirs already.
    let theirs = {
        let chosen = chosen.clone();
        move |row: &LogView| chosen.has(row.attacker_ip, &row.decky)
    };
    let counted = live.counted(reached, theirs.clone());
    let series = Signal::derive(move || {
        let last = buckets.last(present.now.get());
        counted.with(|came| Series::new(columns.iter().copied(), came, last, buckets.step, buckets.length))
    });
    let stored: Vec<_> = logs.into_iter().map(Arc::new).collect();
    let newest = stored.first().map_or(reached, |row| row.id.max(reached));
    let came = live.came(
        newest,
        move |row| row.attacker_id.is_some() && between.has(row.at, row.at),
        anew,
    );
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
        let mut rows: Vec<Row<LogView>> = came.with(|rows| {
            let new = rows.iter().filter(|row| theirs(row)).take(FEED);
            new.map(|row| (row.clone(), true)).collect()
        });
        rows.extend(stored.iter().map(|row| (row.clone(), false)));
        rows.truncate(room.get());
        rows
    });
    let touches = Signal::derive(move || {
        let mut all = touches.clone();
        came.with(|rows| all.extend(Touch::of(rows.iter().map(|row| row.as_ref()))));
        all
    });
    let start = params.with_untracked(moving_start);
    let tops = followed(tops, asked.clone(), start, stats, total_then);
    let of_them = chosen.clone();
    let attackers = Memo::new(move |_| {
        let mut known: Vec<Active> = live.attackers.with(|changed| {
            changed
                .values()
                .filter(|a| between.has(a.first_seen, a.last_seen))
                .filter(|a| of_them.ip.is_none_or(|ip| a.ip == ip))
                .filter(|a| {
                    of_them
                        .decky
                        .as_ref()
                        .is_none_or(|decky| a.deckies.contains(decky))
                })
                .map(Active::of)
                .collect()
        });
        tops.with(|tops| {
            for before in &tops.attackers {
                if known.iter().all(|a| a.id != before.id) {
                    known.push(before.clone());
                }
            }
        });
        let key =
            |a: &Active| (u128::from(a.event_count) << 64) | order::signed(a.last_seen.unix_timestamp());
        order::by(&mut known, |a| order::greatest(key(a)));
        known.truncate(TOP + 2);
        known
    });
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
            format!("of {} in the fleet", text::count(stats.deployed_deckies))
        }
    };
    let top = move |of: fn(&TopLists) -> &Vec<Count>| Memo::new(move |_| tops.with(|tops| of(tops).clone()));
    // How far the top lists reach: those of sums that nobody keeps by time, and the others.
    let (summed, counted_by) = match (narrow, ever) {
        (true, _) => (Reach::Newest, Reach::Newest),
        (false, true) => (Reach::Shown, Reach::Shown),
        (false, false) => (Reach::AllTime, Reach::Shown),
    };
    let of_all = match (narrow, ever) {
        (false, true) => None,
        (false, false) => Some(
            "The counters are of all time; what stands below is of the time that is shown, but where it says otherwise.",
        ),
        (true, _) => Some(
            "The counters are of everything, and so are the numbers of attackers. All else below is of what was chosen alone; the threads of others stay faint.",
        ),
    };
    // Nobody keeps by time, nor by decky, how much an attacker did.
    let of_attackers = match (narrow, ever) {
        (true, _) => Some("of everything they did"),
        (false, false) => Some("of all time"),
        (false, true) => None,
    };
    let of_threads = if between.start.is_some() {
        "of samples of this time".to_owned()
    } else {
        newest_words()
    };
    let of_all = of_all.map(|words| view! { <p class="table-note">{words}</p> }.into_any());
    // What leads from here to what is counted keeps what was chosen.
    let by = chosen
        .ip
        .map_or_else(String::new, |ip| format!("attacker_ip={ip}&"));
    let there = chosen.decky.as_ref().map_or_else(
        || by.clone(),
        |decky| format!("{by}decky={}&", url::escape(decky)),
    );
    let all_events = format!("/live?{there}");
    let all_events = all_events.trim_end_matches(['?', '&']).to_owned();
    let quiet = Memo::new(move |_| stats.with(|s| s.unique_attackers == 0) && feed.with(Vec::is_empty));
    shown.set_value(Some(feed));
    let href = Callback::new(move |(from, to)| url::at_time("/", &params.get(), from, to));
    let heading = Signal::derive(move || {
        if ever {
            "Last hour".to_owned()
        } else {
            params.with(|p| words(p, present))
        }
    });
    let sum = Signal::derive(move || text::plural(series.with(Series::sum), "event", "events"));
    // The last hour is told once, by the columns below: what the server counted is of another minute than these by now.
    let hour = Signal::derive(move || {
        if ever && !narrow {
            format!("{} in the last hour", text::count(series.with(Series::sum)))
        } else {
            "all that is stored".to_owned()
        }
    });
    // Through plain functions, so that a signal's machinery is there once for all of them.
    let value = |of: fn(&Stats) -> u64| Signal::derive(move || stats.with(of));
    let note = |of: fn(&Stats) -> String| Signal::derive(move || stats.with(of));
    let counters = [
        ("Events", "/live", false, value(|s| s.total_logs), hour),
        (
            "Attackers",
            "/attackers",
            true,
            value(|s| s.unique_attackers),
            note(|_| "different addresses".to_owned()),
        ),
        (
            "Tries",
            "/live?event_type=auth_attempt",
            true,
            value(|s| s.auth_attempts),
            note(|s| {
                format!(
                    "to sign in, {} captured",
                    text::plural(s.credentials, "credential", "credentials")
                )
            }),
        ),
        (
            "Loot",
            "/credentials",
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
    let leading = move |a: Active| {
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
        .into_any()
    };
    let busy = move || {
        view! {
            <div class="overview">
                <section class="panel wide">
                    <header>
                        <h2>{heading}</h2>
                        <span class="panel-note">{sum}</span>
                    </header>
                    <Histogram series=series what="events" href=href height=88 />
                </section>
                <section class="panel who-what">
                    <header>
                        <h2>"Who touches what"</h2>
                        <span class="panel-note">{of_threads.clone()}</span>
                        <span class="panel-note legend">
                            <i class="w-touch"></i>"touched"<i class="w-probe"></i>"tried"<i class="w-hands"></i>"hands on"
                        </span>
                        <a href=carried.to("/attackers")>"all attackers"</a>
                    </header>
                    <Loom known=attackers touches=touches total=total chosen=chosen.clone() />
                </section>
                <section class="panel feed">
                    <header>
                        <h2>{if between.end.is_none() { "Now" } else { "Then" }}</h2>
                        <a href=carried.to(&all_events)>"all events"</a>
                    </header>
                    <LogGlance rows=feed />
                </section>
                <section class="panel">
                    <header>
                        <h2>"Top attackers"</h2>
                        {of_attackers.map(|words| view! { <span class="panel-note">{words}</span> }.into_any())}
                        <a href=carried.to("/attackers?sort_by=active")>"by events"</a>
                    </header>
                    <ol class="top-list">
                        {move || attackers.get().into_iter().take(TOP).map(leading).collect::<Vec<_>>()}
                    </ol>
                </section>
                <TopList title="Credentials" counts=top(|tops| &tops.credentials) to=format!("/credentials?{by}bounty_type=credential&search=") reach=summed />
                <TopList title="Commands" counts=top(|tops| &tops.commands) to=format!("/live?{there}event_type=command&search=") class="long" reach=summed />
                <TopList title="Deckies" counts=top(|tops| &tops.deckies) to=format!("/live?{by}decky=") class="short" deckies=true reach=counted_by />
                <TopList title="Services" counts=top(|tops| &tops.services) to=format!("/live?{there}service=") class="short" reach=counted_by />
            </div>
        }
        .into_any()
    };
    let nothing = move || {
        let (quiet, untouched) = (QUIET.shown(), untouched.clone());
        view! { {move || quiet.get().map(|quiet| quiet(untouched.clone()))} }.into_any()
    };
    let counters = counters
        .map(|(label, href, hot, value, note)| view! { <StatCard label value note href hot /> }.into_any());
    view! {
        {move || rests()}
        <section class="stats" aria-label="Counters">{counters.into_iter().collect::<Vec<_>>()}</section>
        {of_all}
        {move || if quiet.get() { nothing() } else { busy() }}
        <Workers states />
    }
    .into_any()
}

parts! {
    pub(crate) QUIET: fn(Option<String>) -> AnyView = quiet: |untouched| view! { <Quiet untouched /> }.into_any();
    pub(crate) NEXT: fn(LogQuery, RwSignal<TopLists>, StoredValue<bool>) = tops: ask_again;
}

/// Nothing has happened yet: the first steps, or the next one for who knows them.
#[component]
fn Quiet(
    /// The fleet as JSON.
    untouched: Option<String>,
) -> impl IntoView {
    let skip = guide::skipped();
    let first = untouched.map_or(Ok(Vec::new()), |json| serde_json::from_str(&json));
    let first = first.unwrap_or_else(|err| {
        leptos::logging::warn!("what the server told of the fleet cannot be read: {err}");
        Vec::new()
    });
    let deckies = fleet_from(move || first.clone());
    move || {
        if skip.get() {
            view! { <section class="panel"><FirstTouch deckies=deckies /></section> }.into_any()
        } else {
            view! { <Guide deckies=deckies skip=skip /> }.into_any()
        }
    }
}

/// The top lists, which were `first` when there were `total` rows: asked for again as long as rows come, with every tick of the present,
/// and no more once the time is over that they are of. Where its `start` moves, they are of what it is by then. What asks comes in a piece
/// of its own, once rows have come.
fn followed(
    first: TopLists,
    rows: LogQuery,
    start: Signal<Option<OffsetDateTime>>,
    stats: Signal<Stats>,
    total: u64,
) -> RwSignal<TopLists> {
    let present = use_present();
    let tops = RwSignal::new(first);
    let asking = StoredValue::new(false);
    Effect::new(move |known: Option<u64>| {
        let now = present.now.get();
        let known = known.unwrap_or(total);
        let total = stats.with_untracked(|stats| stats.total_logs);
        let is_over = rows.end_time.is_some_and(|end| end <= now);
        if known == total || is_over || asking.get_value() {
            return known;
        }
        asking.set_value(true);
        let rows = LogQuery {
            start_time: start.get_untracked().or(rows.start_time),
            ..rows.clone()
        };
        leptos::task::spawn_local(async move {
            match NEXT.fetch().await {
                Some(ask_again) => ask_again(rows, tops, asking),
                None => drop(asking.try_set_value(false)),
            }
        });
        total
    });
    tops
}

/// Ask for the `tops` of these rows. The page may be gone by the time that they come.
fn ask_again(rows: LogQuery, tops: RwSignal<TopLists>, asking: StoredValue<bool>) {
    leptos::task::spawn_local(async move {
        // A fault leaves what is there: the live dot tells of a server that does not answer.
        if let Ok(next) = evidence::tops_get(rows).await {
            tops.try_set(next);
        }
        asking.try_set_value(false);
    });
}

/// What a top list counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// What the page shows.
    Shown,
    /// All time, where the page shows a part.
    AllTime,
    /// The newest rows of what the page shows.
    Newest,
}

/// What says that something is only of the rows from which those of the feed are taken.
fn newest_words() -> String {
    format!("newest {FEED_FROM} events")
}

/// A top list; a row leads to what it counts.
#[component]
fn TopList(
    title: &'static str,
    counts: Memo<Vec<Count>>,
    /// Where a row leads: the URL up to its name.
    to: String,
    /// What is in it: short names, or long lines.
    #[prop(optional)]
    class: &'static str,
    /// Whether its names are those of deckies.
    #[prop(optional)]
    deckies: bool,
    reach: Reach,
) -> impl IntoView {
    let carried = use_carried();
    let note = match reach {
        Reach::Shown => None,
        Reach::AllTime => Some("of all time".to_owned()),
        Reach::Newest => Some(newest_words()),
    };
    let beyond = reach == Reach::AllTime;
    let empty = move || {
        counts
            .with(Vec::is_empty)
            .then(|| view! { <p class="none">"Nothing yet."</p> }.into_any())
    };
    let rows = move || {
        let counts = counts.get();
        let most = counts.iter().map(|c| c.count).max().unwrap_or(1);
        let row = |c: Count| {
            let href = format!("{to}{}", url::escape(&c.name));
            let href = if beyond {
                Signal::stored(href)
            } else {
                carried.to(&href)
            };
            let mark = deckies.then(|| view! { <DeckyMark name=c.name.clone() /> }.into_any());
            view! {
                <li>
                    <a href=href>
                        {mark}
                        <code class="top-name"><Said text=c.name max=34 /></code>
                        <span class="top-count">{text::count(c.count)}</span>
                        <ShareBar value=c.count most=most />
                    </a>
                </li>
            }
            .into_any()
        };
        counts.into_iter().take(TOP).map(row).collect::<Vec<_>>()
    };
    view! {
        <section class=format!("panel {class}")>
            <header>
                <h2>{title}</h2>
                {note.map(|note| view! { <span class="panel-note">{note}</span> }.into_any())}
            </header>
            {move || empty()}
            <ol class="top-list">{move || rows()}</ol>
        </section>
    }
    .into_any()
}

/// How the host's workers do, in the order in which evidence passes them.
fn worker_states(first: Vec<WorkerState>) -> Signal<Vec<(&'static str, WorkerState)>> {
    let live = use_live();
    Signal::derive(move || {
        let states = WORKERS.iter().zip(first.iter().copied());
        live.workers.with(|workers| {
            let heard = |name: &str| workers.values().find(|worker| worker.name.as_str() == name);
            states
                .map(|(name, first)| (*name, heard(name).map_or(first, |worker| worker.state)))
                .collect()
        })
    })
}

/// The host's workers.
#[component]
fn Workers(states: Signal<Vec<(&'static str, WorkerState)>>) -> impl IntoView {
    let badge = |(name, state): (&str, WorkerState)| {
        view! { <WorkerBadge name=name.to_owned() state=state /> }.into_any()
    };
    view! {
        <section class="workers" aria-label="Workers">
            <span>"Workers"</span>
            {move || states.get().into_iter().map(badge).collect::<Vec<_>>()}
        </section>
    }
    .into_any()
}
