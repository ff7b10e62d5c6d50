//! The metro map: the way of one attacker through deckies. Each decky is a station, in the order in which they were first touched, and each
//! step from one to another, a hop, a line between them. The stations and the hops are lists of links as well, so that nothing is told by
//! the drawing alone. Where there are too many hops the heaviest are drawn and listed (`HopView::weight`), and where there are too many
//! stations those at which they ran something. What is said to a decoy over one
//! connection is a session, here as in the line; an attacker's visits are something else (stays, divided by pauses).

use decnet_model::{
    event::EventKind,
    view::{HopView, LogView, MAX_STATIONS, StationView, TraversalView},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};

use super::{
    archetype::DeckyMark,
    ink::Ink,
    said::Said,
    when::{Clock, Present, use_present},
};
use crate::{
    api::evidence::Change,
    text::{self, Weight},
    url,
};

/// Height of a station in pixels, which the style sheet knows, too.
const ROW: i64 = 60;
/// Width of a side line's place.
const LANE: i64 = 12;
/// Side lines beside each other at most; the hops of others stand in the list only.
const LANES: usize = 8;
/// From the stations to the right end of the drawing.
const EDGE: i64 = 12;
/// Hops of the list, where it was not asked for all of them.
const LISTED: usize = 60;

/// Stations that are shown, where it was not asked for all of them.
const STATIONS: usize = 12;

/// What has the URL ask for a list of all hops.
const ALL: (&str, &str) = ("hops", "all");
/// What has it ask for all stations.
const ALL_STATIONS: (&str, &str) = ("stations", "all");

/// A hop as it is drawn.
#[derive(Debug, PartialEq)]
struct Track<'a> {
    /// The stations by their places.
    from: usize,
    to: usize,
    /// 0 is the line from each station down to the next, the others lie beside it.
    lane: usize,
    hop: &'a HopView,
}

/// The hops by where they are drawn, and how many have no place: the lightest.
fn tracks(way: &TraversalView) -> (Vec<Track<'_>>, usize) {
    let place = |decky: &str| way.stations.iter().position(|station| station.decky == decky);
    let mut ends: Vec<_> = way
        .hops
        .iter()
        .filter_map(|hop| Some((place(&hop.from)?, place(&hop.to)?, hop)))
        .collect();
    ends.sort_by_key(|(.., hop)| std::cmp::Reverse(hop.weight()));
    let by_weight = laid(&ends);
    let left_out = ends.len() - by_weight.len();
    // Short ones are near the stations, so that few lines cross; unless that takes more room than there is.
    let mut chosen: Vec<_> = by_weight
        .iter()
        .map(|track| (track.from, track.to, track.hop))
        .collect();
    chosen.sort_by_key(|(from, to, _)| from.abs_diff(*to));
    let by_length = laid(&chosen);
    let tracks = if by_length.len() == by_weight.len() {
        by_length
    } else {
        by_weight
    };
    (tracks, left_out)
}

/// Gives each hop the first lane that is free there, in their order; those for which none is are left out.
fn laid<'a>(ends: &[(usize, usize, &'a HopView)]) -> Vec<Track<'a>> {
    let mut taken: [Vec<(usize, usize)>; LANES] = Default::default();
    let mut tracks = Vec::new();
    for &(from, to, hop) in ends {
        if from + 1 == to {
            let lane = 0;
            tracks.push(Track { from, to, lane, hop });
            continue;
        }
        let (top, bottom) = (from.min(to), from.max(to));
        let mut lanes = (1..).zip(&mut taken);
        let free = lanes.find(|(_, lane)| {
            let mut taken = lane.iter();
            taken.all(|(above, below)| *below <= top || *above >= bottom)
        });
        if let Some((lane, taken)) = free {
            taken.push((top, bottom));
            tracks.push(Track { from, to, lane, hop });
        }
    }
    tracks
}

/// The hops that are listed, the hop that was made first first: all, or the heaviest.
fn listed(way: &TraversalView, all: bool) -> Vec<&HopView> {
    let mut hops: Vec<_> = way.hops.iter().enumerate().collect();
    if !all {
        hops.sort_by_key(|(_, hop)| std::cmp::Reverse(hop.weight()));
        hops.truncate(LISTED);
        hops.sort_by_key(|(place, _)| *place);
    }
    hops.into_iter().map(|(_, hop)| hop).collect()
}

/// The part of the way that is shown, with the hops between its stations: of more than [`STATIONS`] those at which they ran something, the
/// heaviest where these are too many as well, with the first station and the last one.
fn shown(way: &TraversalView, all: bool) -> TraversalView {
    let mut way = way.clone();
    if all || way.stations.len() <= STATIONS {
        return way;
    }
    let last = here(&way).map(|station| station.decky.clone());
    let commands = |decky: &str| {
        let hops = way.hops.iter().filter(|hop| hop.to == decky);
        hops.map(|hop| hop.commands).sum::<u64>()
    };
    let mut heaviest: Vec<_> = way
        .stations
        .iter()
        .enumerate()
        .map(|(place, station)| {
            let is_end = place == 0 || last.as_deref() == Some(&station.decky);
            ((is_end, commands(&station.decky)), station.decky.clone())
        })
        .filter(|((is_end, commands), _)| *is_end || *commands > 0)
        .collect();
    heaviest.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    heaviest.truncate(STATIONS);
    let is_shown = |decky: &str| heaviest.iter().any(|(_, shown)| shown == decky);
    way.stations.retain(|station| is_shown(&station.decky));
    way.hops.retain(|hop| is_shown(&hop.from) && is_shown(&hop.to));
    way
}

/// The decky whose session began last.
fn here(way: &TraversalView) -> Option<&StationView> {
    way.stations.iter().max_by_key(|station| station.last_session_at)
}

/// Goes on by a row that is newer than all of the way.
pub(crate) fn go_on(way: &mut TraversalView, row: &LogView) {
    let before = here(way).map(|station| (station.decky.clone(), station.last_at));
    let kind = row.event_type.parse::<EventKind>().ok();
    let is_full = way.stations.len() >= MAX_STATIONS;
    let begins = match way.stations.iter_mut().find(|station| station.decky == row.decky) {
        Some(station) => {
            station.events += 1;
            station.last_at = station.last_at.max(row.at);
            if let Err(place) = station.services.binary_search(&row.service) {
                station.services.insert(place, row.service.clone());
            }
            let begins = kind == Some(EventKind::Connect);
            if begins {
                station.sessions += 1;
                station.last_session_at = station.last_session_at.max(row.at);
            }
            begins
        }
        // Whether it is one of those that are not told cannot be seen.
        None if is_full => {
            way.more_stations = way.more_stations.max(1);
            return;
        }
        // What belongs to no session begins with its first row.
        None => {
            way.stations.push(StationView {
                decky: row.decky.clone(),
                services: vec![row.service.clone()],
                first_at: row.at,
                last_session_at: row.at,
                last_at: row.at,
                sessions: 1,
                events: 1,
                log_id: row.id,
            });
            true
        }
    };
    if let Some((from, left_at)) = before.filter(|(from, _)| begins && *from != row.decky) {
        let took = u64::try_from((row.at - left_at).whole_milliseconds()).unwrap_or(0);
        arrive(way, from, row, took);
    }
    let commands = u64::from(matches!(kind, Some(EventKind::Command | EventKind::Query)));
    let auth_attempts = u64::from(kind == Some(EventKind::AuthAttempt));
    if commands + auth_attempts > 0 {
        // As far as the stream tells it is by the hop by which they came here last that the session began.
        let here = way.hops.iter_mut().filter(|hop| hop.to == row.decky);
        if let Some(hop) = here.max_by_key(|hop| hop.last_at) {
            hop.commands += commands;
            hop.auth_attempts += auth_attempts;
        }
    }
}

/// Counts the hop by which a row came from a decky, which took so many milliseconds.
fn arrive(way: &mut TraversalView, from: String, row: &LogView, took: u64) {
    match way
        .hops
        .iter_mut()
        .find(|hop| hop.from == from && hop.to == row.decky)
    {
        Some(hop) => {
            hop.count += 1;
            hop.last_at = hop.last_at.max(row.at);
            hop.quickest_ms = hop.quickest_ms.min(took);
            hop.slowest_ms = hop.slowest_ms.max(took);
        }
        None => way.hops.push(HopView {
            from,
            to: row.decky.clone(),
            count: 1,
            commands: 0,
            auth_attempts: 0,
            first_at: row.at,
            last_at: row.at,
            quickest_ms: took,
            slowest_ms: took,
            log_id: row.id,
        }),
    }
}

/// How often a hop was made and how long it took: `3 times, after 4 s to 2 min`. Who went on while they were still there made no pause.
fn hop_words(hop: &HopView) -> String {
    let times = match hop.count {
        1 => "once".to_owned(),
        more => format!("{} times", text::count(more)),
    };
    if hop.slowest_ms == 0 {
        return format!("{times}, without a pause");
    }
    let (least, most) = (
        text::lasted_words(hop.quickest_ms),
        text::lasted_words(hop.slowest_ms),
    );
    if hop.quickest_ms == 0 {
        format!("{times}, after up to {most}")
    } else if least == most {
        format!("{times}, after {least}")
    } else {
        format!("{times}, after {least} to {most}")
    }
}

/// What was done by a hop, behind how often it was made: `, 5 commands, 1 try`. Nothing, where they only touched.
fn done_words(hop: &HopView) -> String {
    let done = [
        (hop.commands, "command", "commands"),
        (hop.auth_attempts, "try", "tries"),
    ];
    let done = done.iter().filter(|(count, ..)| *count > 0);
    done.map(|(count, one, many)| format!(", {}", text::plural(*count, one, many)))
        .collect()
}

/// How heavy the heaviest was that was done by a hop.
fn hop_weight(hop: &HopView) -> Weight {
    match hop.weight() {
        (true, ..) => Weight::Hands,
        (_, true, _) => Weight::Probe,
        _ => Weight::Touch,
    }
}

/// The way in words: `3 deckies, 5 hops`.
pub(crate) fn words(way: &TraversalView) -> String {
    let stations = u64::try_from(way.stations.len()).unwrap_or(u64::MAX) + way.more_stations;
    let hops = way.hops.iter().map(|hop| hop.count).sum::<u64>() + way.more_hops;
    let part = if way.whole { "" } else { ", by the newest events" };
    format!(
        "{}, {}{part}",
        text::plural(stations, "decky", "deckies"),
        text::plural(hops, "hop", "hops")
    )
}

/// What stands at a station below its name, behind the time of the first touch.
fn note(station: &StationView) -> String {
    let services: Vec<_> = station
        .services
        .iter()
        .take(4)
        .map(|service| text::visible(&text::ellipsis(service, 16)))
        .collect();
    let more = station.services.len().saturating_sub(services.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!(
        "{}{more} · {}, {}",
        services.join(", "),
        text::plural(station.sessions, "session", "sessions"),
        text::plural(station.events, "event", "events"),
    )
}

/// What the fleet changed at a decky, if it did: the newest of it, with times.
fn change_words(changes: &[Change], decky: &str, present: Present) -> Option<String> {
    let mut here: Vec<_> = changes.iter().filter(|change| change.decky == decky).collect();
    here.sort_by_key(|change| std::cmp::Reverse(change.at));
    let words = here.iter().take(6).map(|change| {
        let at = text::short_date(present.local(change.at));
        format!("{at} {}", text::visible(&change.words))
    });
    (!here.is_empty()).then(|| words.collect::<Vec<_>>().join("; "))
}

/// A drawing, and its size in pixels.
#[derive(Debug, Clone, PartialEq)]
struct Drawing {
    markup: String,
    width: i64,
    height: i64,
    /// Hops that stand in the list only.
    left_out: usize,
}

/// Where a station of this place stands.
fn middle(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(0) * ROW + ROW / 2
}

/// The line of a track, and the arrow at its end.
fn path(track: &Track<'_>, stations_x: i64) -> (String, String) {
    let (from, to) = (middle(track.from), middle(track.to));
    if track.lane == 0 {
        let half = i64::midpoint(from, to);
        return (
            format!("M{stations_x} {}V{}", from + 7, to - 7),
            format!("M{} {}l4 6l4-6z", stations_x - 4, half - 3),
        );
    }
    let lane = i64::try_from(track.lane).unwrap_or(0);
    let x = stations_x - 8 - LANE * lane;
    // It leaves a station on the side of where it leads, and comes on the side of where it is from, nearer to the middle.
    let down = if to > from { 1 } else { -1 };
    let (leaves, comes) = (from + 11 * down, to - 5 * down);
    let (bend, end) = (6 * down, stations_x - 9);
    (
        format!(
            "M{} {leaves}H{}Q{x} {leaves} {x} {}V{}Q{x} {comes} {} {comes}H{end}",
            stations_x - 4,
            x + 6,
            leaves + bend,
            comes - bend,
            x + 6,
        ),
        format!("M{} {}l6 3l-6 3z", end - 2, comes - 3),
    )
}

fn draw(way: &TraversalView) -> Drawing {
    let (tracks, left_out) = tracks(way);
    let lanes = tracks.iter().map(|track| track.lane).max().unwrap_or(0);
    let width = 2 * EDGE + LANE * i64::try_from(lanes).unwrap_or(0);
    let height = ROW * i64::try_from(way.stations.len()).unwrap_or(0);
    let x = width - EDGE;
    let mut ink = Ink::default();
    if let Some(last) = way.stations.len().checked_sub(1) {
        let (top, bottom) = (middle(0), middle(last));
        let rail = format!("M{x} {top}V{bottom}");
        ink.mark("path", &[("class", &"rail"), ("d", &rail)]);
    }
    for track in &tracks {
        let hop = track.hop;
        let (line, arrow) = path(track, x);
        // Twice as often is a pixel more, to six.
        let thick = 2 + hop.count.max(1).ilog2().min(4);
        ink.open(
            "g",
            &[("class", &format_args!("hop {}", hop_weight(hop).class()))],
        );
        ink.title(&format!(
            "{} to {}: {}{}",
            text::visible(&hop.from),
            text::visible(&hop.to),
            hop_words(hop),
            done_words(hop),
        ));
        ink.mark("path", &[("d", &line), ("stroke-width", &thick)]);
        ink.mark("path", &[("class", &"arrow"), ("d", &arrow)]);
        ink.mark("path", &[("class", &"reach"), ("d", &line)]);
        ink.close("g");
    }
    let now = here(way).map(|station| &*station.decky);
    for (place, station) in way.stations.iter().enumerate() {
        let class = if now == Some(&*station.decky) {
            "stop last"
        } else {
            "stop"
        };
        ink.mark(
            "circle",
            &[("class", &class), ("cx", &x), ("cy", &middle(place)), ("r", &6)],
        );
    }
    Drawing {
        markup: ink.markup(),
        width,
        height,
        left_out,
    }
}

/// The way of one attacker.
#[component]
pub(crate) fn Metro(
    way: Memo<TraversalView>,
    /// What the fleet changed at these deckies meanwhile.
    changes: Memo<Vec<Change>>,
    /// The URL of their log rows: that of one station follows.
    logs: String,
) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let all = Memo::new(move |_| query.with(|q| url::value(q, ALL.0).as_deref() == Some(ALL.1)));
    let all_stations =
        Memo::new(move |_| query.with(|q| url::value(q, ALL_STATIONS.0).as_deref() == Some(ALL_STATIONS.1)));
    let part = Memo::new(move |_| way.with(|way| shown(way, all_stations.get())));
    let names = Memo::new(move |_| {
        part.with(|part| {
            part.stations
                .iter()
                .map(|station| station.decky.clone())
                .collect::<Vec<_>>()
        })
    });
    let hops = Memo::new(move |_| {
        way.with(|way| {
            let hops = listed(way, all.get()).into_iter();
            hops.map(|hop| (hop.from.clone(), hop.to.clone()))
                .collect::<Vec<_>>()
        })
    });
    let drawing = Memo::new(move |_| part.with(draw));
    let is_none = Memo::new(move |_| names.with(Vec::is_empty));
    // Hops that are listed only when all are.
    let more = Memo::new(move |_| way.with(|way| way.hops.len().saturating_sub(LISTED)));
    let has_hops = Memo::new(move |_| way.with(|way| !way.hops.is_empty()));
    let rest = move || {
        let left_out = drawing.with(|drawing| drawing.left_out);
        let (stations, one) = way.with(|way| (way.more_stations, way.stations.len() == 1));
        let mut told = Vec::new();
        if one && stations == 0 {
            told.push("Nowhere else yet: a way begins with the second decky.".to_owned());
        }
        if stations > 0 {
            let later = text::plural(stations, "decky", "deckies");
            told.push(format!("{later} more, touched later, are not drawn."));
        }
        let untold = way.with(|way| way.more_hops);
        if untold > 0 {
            let hops = text::plural(untold, "hop", "hops");
            told.push(format!(
                "{hops} more, between deckies that are drawn, are only counted."
            ));
        }
        if left_out > 0 {
            let lines = part.with(|part| part.hops.len());
            let drawn = u64::try_from(lines.saturating_sub(left_out)).unwrap_or(0);
            let lines = text::plural(u64::try_from(lines).unwrap_or(0), "line", "lines");
            let list = if more.with(|more| *more > 0) && !all.get() {
                "the list has all, once it shows them"
            } else {
                "the list has all"
            };
            told.push(format!("{} of {lines} are drawn; {list}.", text::count(drawn)));
        }
        (!told.is_empty()).then(|| view! { <p class="table-note">{told.join(" ")}</p> })
    };
    // One link that turns its words and its way, so that who follows it still has it.
    let turn = move || {
        let more = more.get();
        (more > 0).then(|| {
            let words = move || {
                if all.get() {
                    format!("only the {LISTED} heaviest")
                } else {
                    let more = u64::try_from(more).unwrap_or(0);
                    format!("and {} more, lighter ones", text::count(more))
                }
            };
            let to = move || {
                let to = (!all.get()).then_some(ALL.1);
                url::with(&path.get(), &query.get(), &[(ALL.0, to), ("log", None)])
            };
            view! { <p class="table-note"><a id="way-hops" href=to data-noscroll="">{words}</a></p> }
        })
    };
    // This one, too.
    let beyond = Memo::new(move |_| way.with(|way| way.stations.len()) > STATIONS);
    let turn_stations = move || {
        beyond.get().then(|| {
            let words = move || {
                if all_stations.get() {
                    let busiest = way.with(|way| shown(way, false).stations.len());
                    format!("only the {busiest} busiest")
                } else {
                    let left_out = way
                        .with(|way| way.stations.len())
                        .saturating_sub(names.with(Vec::len));
                    let left_out = u64::try_from(left_out).unwrap_or(0);
                    format!("and {} less busy", text::count(left_out))
                }
            };
            let to = move || {
                let to = (!all_stations.get()).then_some(ALL_STATIONS.1);
                url::with(&path.get(), &query.get(), &[(ALL_STATIONS.0, to), ("log", None)])
            };
            view! { <p class="table-note"><a id="way-stations" href=to data-noscroll="">{words}</a></p> }
        })
    };
    let label = move || way.with(|way| format!("The way: {}", words(way)));
    move || {
        if is_none.get() {
            return view! { <p class="none">"Nothing happened then."</p> }.into_any();
        }
        let logs = logs.clone();
        let station = move |decky: String| view! { <Station way=part changes decky logs=logs.clone() /> };
        view! {
            <figure class="metro" aria-label=label>
                <div class="metro-map">
                    <svg
                        width=move || drawing.with(|drawing| drawing.width)
                        height=move || drawing.with(|drawing| drawing.height)
                        aria-hidden="true"
                        inner_html=move || drawing.with(|drawing| drawing.markup.clone())
                    ></svg>
                    <div>
                        <ol aria-label="Deckies in the order of the first touch">
                            <For each=move || names.get() key=String::clone children=station />
                        </ol>
                        {turn_stations}
                    </div>
                </div>
                <div class="hops">
                    <ol aria-label="Hops in the order in which they were first made">
                        <For
                            each=move || hops.get()
                            key=|ends| ends.clone()
                            children=move |(from, to)| view! { <Hop way from to /> }
                        />
                    </ol>
                    {turn}
                </div>
                <figcaption>
                    {move || has_hops.get().then(|| view! { <Key /> })}
                    {rest}
                </figcaption>
            </figure>
        }
        .into_any()
    }
}

/// What the words and the lines mean.
#[component]
fn Key() -> impl IntoView {
    view! {
        <p class="table-note">
            "A session is one connection to a decky. A hop is a step to another decky: the session that they began next was there. The more often it was made, the thicker is its line."
        </p>
        <p class="legend metro-legend">
            "By what they did after it"
            <i class="w-touch"></i>"touched"
            <i class="w-probe"></i>"tried to sign in"
            <i class="w-hands"></i>"ran commands"
        </p>
    }
    .into_any()
}

/// A station, and the hop down to the next.
#[component]
fn Station(
    way: Memo<TraversalView>,
    changes: Memo<Vec<Change>>,
    decky: String,
    logs: String,
) -> impl IntoView {
    let present = use_present();
    let href = format!("{logs}&decky={}", url::escape(&decky));
    let told = {
        let decky = decky.clone();
        Memo::new(move |_| {
            way.with(|way| {
                let station = way.stations.iter().find(|station| station.decky == decky)?;
                Some((station.first_at, note(station)))
            })
        })
    };
    let first_at = Memo::new(move |_| told.with(|told| told.as_ref().map(|(at, _)| *at)));
    let next = {
        let decky = decky.clone();
        let found = move |way: &TraversalView| {
            let mut rest = way.stations.iter().skip_while(|station| station.decky != decky);
            let next = rest.nth(1)?;
            let mut hops = way.hops.iter();
            hops.find(|hop| hop.from == decky && hop.to == next.decky)
                .map(hop_words)
        };
        move || {
            way.with(|way| found(way))
                .map(|words| view! { <span class="hop-down">{words}</span> })
        }
    };
    let is_last = {
        let decky = decky.clone();
        move || way.with(|way| here(way).is_some_and(|station| station.decky == decky))
    };
    let changed = {
        let decky = decky.clone();
        move || {
            let words = changes.with(|changes| change_words(changes, &decky, present));
            words.map(|words| view! { <span class="tag" title=words>"changed"<span class="beyond">" by the fleet"</span></span> })
        }
    };
    view! {
        <li>
            <a href=href>
                <DeckyMark name=decky.clone() />
                <code class="station-name"><Said text=decky max=28 /></code>
                <span class="station-tags">
                    {move || {
                        is_last().then(|| view! { <span class="tag">"last seen"<span class="beyond">" here"</span></span> })
                    }}
                    {changed}
                </span>
                <span class="station-note">
                    {move || first_at.get().map(|at| view! { <span class="station-when"><Clock at />" · "</span> })}
                    {move || told.with(|told| told.as_ref().map(|(_, words)| words.clone()))}
                </span>
            </a>
            {next}
        </li>
    }
    .into_any()
}

/// A hop in words, which leads to the row with which they first arrived by it.
#[component]
fn Hop(way: Memo<TraversalView>, from: String, to: String) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let told = {
        let (from, to) = (from.clone(), to.clone());
        Memo::new(move |_| {
            way.with(|way| {
                let mut hops = way.hops.iter();
                hops.find(|hop| hop.from == from && hop.to == to).cloned()
            })
        })
    };
    let href = move || {
        let log = told.with(|hop| hop.as_ref().map(|hop| hop.log_id.0.to_string()));
        url::with(&path.get(), &query.get(), &[("log", log.as_deref())])
    };
    let words = move || {
        let words = |hop: &HopView| format!("{}{}", hop_words(hop), done_words(hop));
        told.with(|hop| hop.as_ref().map(words))
    };
    let first_at = Memo::new(move |_| told.with(|hop| hop.as_ref().map(|hop| hop.first_at)));
    let when = move || first_at.get().map(|at| view! { <Clock at /> });
    view! {
        <li>
            <a href=href data-noscroll="">
                <span class="hop-ends">
                    <code><Said text=from max=20 /></code>
                    <span aria-hidden="true">"→"</span>
                    <span class="sr">" to "</span>
                    <code><Said text=to max=20 /></code>
                </span>
                <span class="hop-words">{words}</span>
                <span class="hop-when">{when}</span>
            </a>
        </li>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use decnet_model::id::LogId;
    use time::{Duration, OffsetDateTime};

    use super::*;

    fn at(second: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(second)
    }

    fn row(second: i64, decky: &str, service: &str, event_type: &str) -> LogView {
        LogView {
            id: LogId(second),
            at: at(second),
            received_at: at(second),
            decky: decky.into(),
            service: service.into(),
            event_type: event_type.into(),
            attacker_ip: None,
            attacker_id: None,
            attacker_glyph: None,
            fields: BTreeMap::new(),
            message: String::new(),
            raw: String::new(),
        }
    }

    fn nowhere() -> TraversalView {
        TraversalView {
            stations: Vec::new(),
            more_stations: 0,
            hops: Vec::new(),
            more_hops: 0,
            whole: true,
        }
    }

    /// A way by sessions at these deckies, ten seconds after each other.
    fn by(deckies: &[&str]) -> TraversalView {
        let mut way = nowhere();
        for (second, decky) in (0..).step_by(10).zip(deckies) {
            go_on(&mut way, &row(second, decky, "ssh", "connect"));
        }
        way
    }

    fn hops(way: &TraversalView) -> Vec<(&str, &str, u64)> {
        let hops = way.hops.iter();
        hops.map(|hop| (&*hop.from, &*hop.to, hop.count)).collect()
    }

    /// Each hop's ends and its lane.
    fn lanes(way: &TraversalView) -> Vec<(usize, usize, usize)> {
        let (tracks, left_out) = tracks(way);
        assert_eq!(left_out, 0);
        let mut lanes: Vec<_> = tracks.iter().map(|t| (t.from, t.to, t.lane)).collect();
        lanes.sort_unstable();
        lanes
    }

    #[test]
    fn stations_are_in_the_order_of_the_first_touch_and_a_way_goes_on_by_sessions() {
        let mut way = by(&["web-01", "db-01", "web-01", "web-01", "db-01", "mail-01"]);
        let names: Vec<_> = way.stations.iter().map(|s| &*s.decky).collect();
        assert_eq!(names, ["web-01", "db-01", "mail-01"]);
        let expected = [
            ("web-01", "db-01", 2),
            ("db-01", "web-01", 1),
            ("db-01", "mail-01", 1),
        ];
        assert_eq!(hops(&way), expected);
        // What is said in an open session is no step; it is what the next one is counted from.
        go_on(&mut way, &row(60, "mail-01", "smtp", "command"));
        go_on(&mut way, &row(61, "web-01", "http", "request"));
        assert_eq!(hops(&way), expected);
        let web = &way.stations[0];
        assert_eq!((web.events, web.sessions, web.last_session_at), (4, 3, at(30)));
        assert_eq!(web.services, ["http", "ssh"]);
        go_on(&mut way, &row(64, "web-01", "ssh", "connect"));
        let last = way.hops.last().unwrap();
        assert_eq!(
            (&*last.from, &*last.to, last.quickest_ms),
            ("mail-01", "web-01", 4_000)
        );
        assert_eq!(words(&way), "3 deckies, 5 hops");
    }

    #[test]
    fn what_belongs_to_no_session_begins_with_its_first_row_alone() {
        let mut way = by(&["web-01"]);
        for second in 5..8 {
            go_on(&mut way, &row(second, "foreign", "-", "something"));
        }
        assert_eq!(hops(&way), [("web-01", "foreign", 1)]);
        assert_eq!((way.stations[1].sessions, way.stations[1].events), (1, 3));
    }

    #[test]
    fn deckies_beyond_the_bound_are_told_and_not_drawn() {
        let names: Vec<_> = (0..MAX_STATIONS + 2).map(|n| format!("web-{n:02}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let way = by(&names);
        assert_eq!(way.stations.len(), MAX_STATIONS);
        assert_eq!(way.more_stations, 1, "one at least");
    }

    #[test]
    fn lines_that_overlap_lie_beside_each_other_and_others_share_a_place() {
        assert_eq!(lanes(&nowhere()), []);
        assert_eq!(lanes(&by(&["a", "b", "c"])), [(0, 1, 0), (1, 2, 0)]);
        // Back by one, back by two, and on over one.
        let way = by(&["a", "b", "a", "b", "c", "a", "c"]);
        assert_eq!(
            lanes(&way),
            [(0, 1, 0), (0, 2, 3), (1, 0, 1), (1, 2, 0), (2, 0, 2)]
        );
        let apart = by(&["a", "b", "a", "b", "c", "d", "c"]);
        assert_eq!(
            lanes(&apart),
            [(0, 1, 0), (1, 0, 1), (1, 2, 0), (2, 3, 0), (3, 2, 1)]
        );
    }

    /// A way from the first of so many deckies to each other and back.
    fn star(deckies: usize) -> TraversalView {
        let names: Vec<_> = (0..deckies).map(|n| format!("web-{n:02}")).collect();
        let mut deckies: Vec<&str> = Vec::new();
        for name in &names {
            deckies.extend([names[0].as_str(), name.as_str()]);
        }
        by(&deckies)
    }

    #[test]
    fn what_has_no_place_beside_the_others_is_counted() {
        let way = star(20);
        let (tracks, left_out) = tracks(&way);
        assert!(tracks.iter().all(|track| track.lane <= LANES));
        assert_eq!(tracks.len() + left_out, way.hops.len());
        assert!(left_out > 0);
        let drawing = draw(&way);
        assert_eq!(drawing.left_out, left_out);
        assert_eq!(drawing.markup.matches("<circle").count(), 20);
        assert_eq!(drawing.height, 20 * ROW);
        assert_eq!(drawing.width, 2 * EDGE + LANE * 8);
    }

    #[test]
    fn of_too_many_stations_those_are_shown_where_they_ran_something_and_both_ends() {
        let stations = |way: &TraversalView| way.stations.iter().map(|s| s.decky.clone()).collect::<Vec<_>>();
        let run = |way: &mut TraversalView, to: &str, commands| {
            let mut hops = way.hops.iter_mut();
            hops.find(|hop| hop.to == to).unwrap().commands = commands;
        };
        let few = star(STATIONS);
        assert_eq!(shown(&few, false), few);
        let mut many = star(30);
        run(&mut many, "web-20", 1);
        run(&mut many, "web-07", 3);
        let part = shown(&many, false);
        // The first, those two, and where they were last.
        assert_eq!(stations(&part), ["web-00", "web-07", "web-20", "web-29"]);
        let between = [
            ("web-00", "web-07"),
            ("web-07", "web-00"),
            ("web-00", "web-20"),
            ("web-20", "web-00"),
            ("web-00", "web-29"),
        ];
        assert_eq!(
            hops(&part)
                .into_iter()
                .map(|(from, to, _)| (from, to))
                .collect::<Vec<_>>(),
            between
        );
        assert_eq!(draw(&part).height, 4 * ROW);
        assert_eq!(shown(&many, true), many);
        // Where they ran something everywhere, the heaviest are as many as there is room for.
        for n in 1..29 {
            run(&mut many, &format!("web-{n:02}"), n);
        }
        let part = stations(&shown(&many, false));
        let mut expected = vec!["web-00".to_owned()];
        expected.extend((19..=29).map(|n| format!("web-{n:02}")));
        assert_eq!(part, expected);
    }

    #[test]
    fn the_heaviest_lines_are_drawn_however_far_they_go() {
        let mut way = star(20);
        // The longest line of all carries commands, the next one tries to sign in, the one after was made often: each is left out by length.
        let set = |way: &mut TraversalView, to: &str, weigh: fn(&mut HopView)| {
            let mut hops = way.hops.iter_mut();
            weigh(hops.find(|hop| hop.from == "web-00" && hop.to == to).unwrap());
        };
        set(&mut way, "web-19", |hop| hop.commands = 1);
        set(&mut way, "web-18", |hop| hop.auth_attempts = 9);
        set(&mut way, "web-17", |hop| hop.count = 40);
        let (tracks, left_out) = tracks(&way);
        let drawn = |to| tracks.iter().any(|track| (track.from, track.to) == (0, to));
        assert!(drawn(19) && drawn(18) && drawn(17), "{tracks:?}");
        let lightest = tracks.iter().filter(|track| track.lane > 0);
        assert_eq!(
            lightest.filter(|track| track.from.abs_diff(track.to) > 9).count(),
            3
        );
        assert_eq!(tracks.len() + left_out, way.hops.len());
        let mut weights: Vec<_> = way.hops.iter().map(HopView::weight).collect();
        weights.sort_unstable();
        assert_eq!(
            weights[weights.len() - 3..],
            [(false, false, 40), (false, true, 1), (true, false, 1)]
        );
        let drawn = draw(&way).markup;
        assert!(
            drawn.contains("web-00 to web-19: once, after 10 s, 1 command</title>"),
            "{drawn}"
        );
        for (class, lines) in [("hop w-hands", 1), ("hop w-probe", 1)] {
            assert_eq!(drawn.matches(class).count(), lines, "{class}");
        }
    }

    #[test]
    fn the_heaviest_hops_are_listed_in_the_order_in_which_they_were_made() {
        let mut way = star(40);
        let few = listed(&way, false);
        assert_eq!((few.len(), listed(&way, true).len()), (LISTED, way.hops.len()));
        let last = way.hops.len() - 1;
        assert!(!few.iter().any(|hop| hop.log_id == way.hops[last].log_id));
        way.hops[last].auth_attempts = 1;
        let few = listed(&way, false);
        assert_eq!(few[LISTED - 1].log_id, way.hops[last].log_id);
        assert!(few.windows(2).all(|two| two[0].first_at < two[1].first_at));
    }

    #[test]
    fn what_is_done_counts_for_the_hop_by_which_they_came() {
        let mut way = by(&["a", "b", "c", "b"]);
        go_on(&mut way, &row(31, "b", "ssh", "auth_attempt"));
        go_on(&mut way, &row(32, "b", "mysql", "query"));
        go_on(&mut way, &row(33, "a", "ssh", "command"));
        let done: Vec<_> = way
            .hops
            .iter()
            .map(|hop| (hop.commands, hop.auth_attempts))
            .collect();
        assert_eq!(hops(&way), [("a", "b", 1), ("b", "c", 1), ("c", "b", 1)]);
        assert_eq!(done, [(0, 0), (0, 0), (1, 1)]);
        assert_eq!(done_words(&way.hops[2]), ", 1 command, 1 try");
        assert_eq!(note(&way.stations[1]), "mysql, ssh · 2 sessions, 4 events");
    }

    #[test]
    fn every_line_stays_within_the_drawing_and_leads_from_station_to_station() {
        let way = by(&["a", "b", "c", "a", "c", "b", "a"]);
        let drawing = draw(&way);
        let x = drawing.width - EDGE;
        for track in &tracks(&way).0 {
            let (line, arrow) = path(track, x);
            let numbers = line
                .split(|c: char| !c.is_ascii_digit() && c != '-')
                .filter(|number| !number.is_empty())
                .map(|number| number.parse::<i64>().unwrap());
            for number in numbers {
                assert!((0..=drawing.height).contains(&number), "{track:?}: {line}");
            }
            assert!(arrow.ends_with('z'), "{arrow}");
        }
        let down = Track {
            from: 0,
            to: 2,
            lane: 1,
            hop: &way.hops[0],
        };
        // From the lower side of the first to the upper side of the third.
        assert_eq!(path(&down, 50).0, "M46 41H36Q30 41 30 47V139Q30 145 36 145H41");
        let up = Track {
            from: 2,
            to: 0,
            ..down
        };
        assert_eq!(path(&up, 50).0, "M46 139H36Q30 139 30 133V41Q30 35 36 35H41");
    }

    #[test]
    fn the_station_of_the_last_session_is_marked() {
        let way = by(&["a", "b", "a"]);
        let marked = draw(&way).markup;
        assert_eq!(marked.matches("class=\"stop last\"").count(), 1);
        assert_eq!(here(&way).unwrap().decky, "a");
        let first = marked.split("<circle").nth(1).unwrap();
        assert!(first.starts_with(" class=\"stop last\""), "{marked}");
    }

    #[test]
    fn hostile_names_stay_text() {
        let hostile = "</title><script>alert(1)</script>\u{202e}\"";
        let drawn = draw(&by(&["web-01", hostile, "web-01"])).markup;
        assert!(!drawn.contains("<script"), "{drawn}");
        assert!(!drawn.contains('\u{202e}'), "{drawn}");
        assert_eq!(drawn.matches("<title>").count(), 2);
    }

    #[test]
    fn how_long_a_hop_took_is_told_once_where_it_is_the_same() {
        let mut hop = by(&["a", "b"]).hops.remove(0);
        assert_eq!(hop_words(&hop), "once, after 10 s");
        hop.count = 3;
        hop.slowest_ms = 120_000;
        assert_eq!(hop_words(&hop), "3 times, after 10 s to 2 min");
        hop.quickest_ms = 0;
        assert_eq!(hop_words(&hop), "3 times, after up to 2 min");
        hop.slowest_ms = 0;
        assert_eq!(hop_words(&hop), "3 times, without a pause");
    }
}
