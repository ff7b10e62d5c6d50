//! The line: what one attacker did along time, a lane a decky. In a lane stand their sessions as bars, what they did as marks whose
//! shape tells what it was, and changes of the fleet as ticks. The higher a mark stands, the nearer it is to an intruder's hands.
//! Dragging over a part of it makes that the time that the page shows.

use std::collections::BTreeSet;

use decnet_model::{
    id::LogId,
    view::{ActivityView, VisitView},
};
use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
};
use time::{Duration, OffsetDateTime};

use super::{archetype::DeckyMark, brush::Brush, ink::Ink, when::use_present};
use crate::{
    api::evidence::{Change, LANES, MAX_LANES},
    text::{self, Kind, Weight},
    url::{self, Between},
};

/// The width of the drawing in hundredths of a hundredth: heights are pixels, so that shapes keep theirs at any width.
const WIDTH: i64 = 10_000;
/// The least width of a bar, and from how near on two things are at one place.
const LEAST: i64 = 30;
const NEAR: i64 = 60;
/// The width below which a session is too narrow for marks beside and above each other: about 12 pixels of a line on a desk.
const NARROW: i64 = 130;
/// How far off the next mark or tick has to be, and the lane's end, for a count to be written behind a mark.
const COUNTED: i64 = 400;
/// Height of a lane.
const HEIGHT: &str = "46";
/// Where strokes stand in it; bars are below.
const GROUND: i64 = 32;
/// Bars that a lane shows at one time.
const ROWS: usize = 3;
/// Changes that the title of a tick names.
const NAMED: usize = 4;

/// What has the URL ask for the lanes of all deckies.
const ALL: (&str, &str) = ("lanes", "all");

type Ends = (OffsetDateTime, OffsetDateTime);

/// What a lane shows, by place.
#[derive(Debug)]
struct Lane<'a> {
    decky: &'a str,
    bars: Vec<Bar>,
    marks: Vec<Mark<'a>>,
    ticks: Vec<(i64, Vec<&'a Change>)>,
}

/// What was done about a place.
#[derive(Debug)]
struct Mark<'a> {
    at: i64,
    /// The heaviest of it.
    of: &'a ActivityView,
    /// How many log rows there are of it.
    count: u64,
    /// Whether they are of more than one kind, for which there is no room here.
    mixed: bool,
}

impl Mark<'_> {
    /// What tells which of two is the heavier one.
    fn weight(&self) -> (Weight, Kind) {
        let of = self.of;
        (
            text::weight(&of.event_type, of.accepted),
            text::kind(&of.event_type),
        )
    }

    /// Take another one in.
    fn join(&mut self, other: &Self) {
        self.mixed |= other.mixed || self.weight().1 != other.weight().1;
        self.count += other.count;
        if other.weight() > self.weight() {
            (self.at, self.of) = (other.at, other.of);
        }
    }
}

/// Sessions that are drawn as one.
#[derive(Debug)]
struct Bar {
    from: i64,
    to: i64,
    /// How far below the first bar.
    row: usize,
    visit: VisitView,
    /// Whether they are to more than one service.
    mixed: bool,
}

/// From when to when a line goes: the time that is shown, as far as that has ends, else from the first thing to the last. A minute at
/// least, so that one touch stands at the start and not all over.
fn ends(marks: &[ActivityView], visits: &[VisitView], between: Between) -> Option<Ends> {
    let firsts = marks.iter().map(|mark| mark.first_at);
    let lasts = marks.iter().map(|mark| mark.last_at);
    let first = between
        .start
        .or_else(|| firsts.chain(visits.iter().map(|visit| visit.first_at)).min())?;
    let last = between
        .end
        .or_else(|| lasts.chain(visits.iter().map(|visit| visit.last_at)).max())?;
    let least = if between.is_ever() {
        Duration::minutes(1)
    } else {
        Duration::seconds(1)
    };
    Some((first, last.max(first.saturating_add(least))))
}

/// What is where, a lane a decky, who was touched first on top; at most so many.
fn lanes<'a>(
    marks: &'a [ActivityView],
    visits: &'a [VisitView],
    changes: &'a [Change],
    (first, last): Ends,
    most: usize,
) -> Vec<Lane<'a>> {
    let length = (last - first).whole_milliseconds().max(1);
    let place = |at: OffsetDateTime| {
        let along = (at.clamp(first, last) - first).whole_milliseconds() * i128::from(WIDTH) / length;
        i64::try_from(along).unwrap_or(0)
    };
    let shown: Vec<_> = visits
        .iter()
        .filter(|visit| visit.first_at <= last && visit.last_at >= first)
        .collect();
    let mut touched: Vec<(OffsetDateTime, &str)> = marks
        .iter()
        .map(|mark| (mark.first_at, &*mark.decky))
        .chain(
            shown
                .iter()
                .map(|visit| (visit.first_at.max(first), &*visit.decky)),
        )
        .collect();
    touched.sort_unstable();
    let mut known = BTreeSet::new();
    touched.retain(|(_, decky)| known.insert(*decky));
    let deckies = touched.into_iter().map(|(_, decky)| decky).take(most);
    let lane = |decky: &'a str| {
        let mut here: Vec<_> = marks
            .iter()
            .filter(|mark| mark.decky == decky)
            .map(|of| Mark {
                at: place(of.first_at),
                of,
                count: of.count,
                mixed: false,
            })
            .collect();
        // One mark of a kind at a place, the heaviest: a thousand tries in a minute are one.
        here.sort_by_key(|mark| {
            let (weight, kind) = mark.weight();
            (kind, mark.at / NEAR, std::cmp::Reverse(weight), mark.at)
        });
        here.dedup_by(|next, mark| {
            let same = next.weight().1 == mark.weight().1 && next.at / NEAR == mark.at / NEAR;
            if same {
                mark.join(next);
            }
            same
        });
        let mut theirs: Vec<_> = shown.iter().filter(|visit| visit.decky == decky).collect();
        theirs.sort_by_key(|visit| visit.first_at);
        let mut bars = Bars::default();
        for visit in theirs {
            let from = place(visit.first_at).min(WIDTH - LEAST);
            bars.put(from, place(visit.last_at).max(from + LEAST), visit);
        }
        let mut meanwhile: Vec<_> = changes
            .iter()
            .filter(|change| change.decky == decky && change.at >= first && change.at <= last)
            .collect();
        meanwhile.sort_by_key(|change| change.at);
        let mut ticks: Vec<(i64, Vec<&Change>)> = Vec::new();
        for change in meanwhile {
            let at = place(change.at);
            match ticks.last_mut() {
                Some((x, same)) if *x + NEAR > at => same.push(change),
                _ => ticks.push((at, vec![change])),
            }
        }
        Lane {
            decky,
            marks: in_room(here, &bars.all),
            bars: bars.all,
            ticks,
        }
    };
    deckies.map(lane).collect()
}

/// The marks as there is room for them: those within a session that is wide enough, each; of those elsewhere one for what is nearer together
/// than that, the heaviest. All kinds of a session of a moment above each other are a tower, as red as the next one.
fn in_room<'a>(mut marks: Vec<Mark<'a>>, bars: &[Bar]) -> Vec<Mark<'a>> {
    let is_wide = |at: i64| {
        let mut bars = bars.iter().filter(|bar| bar.to - bar.from >= NARROW);
        bars.any(|bar| (bar.from..=bar.to).contains(&at))
    };
    marks.sort_by_key(|mark| mark.at);
    let mut roomy = Vec::new();
    // From where on they are together, and what they came to.
    let mut crowd: Option<(i64, Mark<'a>)> = None;
    for mark in marks {
        if is_wide(mark.at) {
            roomy.push(mark);
            continue;
        }
        match &mut crowd {
            Some((from, all)) if *from + NARROW > mark.at => all.join(&mark),
            _ => roomy.extend(crowd.replace((mark.at, mark)).map(|(_, all)| all)),
        }
    }
    roomy.extend(crowd.map(|(_, all)| all));
    roomy.sort_by_key(|mark| (mark.weight().1, mark.at));
    roomy
}

/// The bars of a lane, as they are put beside and below each other.
#[derive(Default)]
struct Bars {
    all: Vec<Bar>,
    /// Of each row the place of its last bar, and up to where that reaches.
    last: [Option<(usize, i64)>; ROWS],
}

impl Bars {
    /// Adds a bar in the first row that is free from there on. Where none is, it lengthens the one that is over first.
    fn put(&mut self, from: i64, to: i64, visit: &VisitView) {
        let reach = |last: Option<(usize, i64)>| last.map_or(i64::MIN, |(_, reach)| reach);
        let mut rows = self.last.iter_mut().enumerate();
        if let Some((row, last)) = rows.find(|(_, last)| reach(**last) < from) {
            *last = Some((self.all.len(), to));
            self.all.push(Bar {
                from,
                to,
                row,
                visit: visit.clone(),
                mixed: false,
            });
            return;
        }
        let over_first = self.last.iter_mut().min_by_key(|last| reach(**last));
        let Some((place, until)) = over_first.and_then(Option::as_mut) else {
            return;
        };
        if let Some(bar) = self.all.get_mut(*place) {
            bar.to = bar.to.max(to);
            *until = bar.to;
            bar.mixed |= bar.visit.service != visit.service;
            bar.visit.last_at = bar.visit.last_at.max(visit.last_at);
            bar.visit.sessions += visit.sessions;
            bar.visit.commands += visit.commands;
            bar.visit.ended &= visit.ended;
        }
    }
}

impl Bar {
    /// What it shows, after the time: `ssh session, 4 min, 3 commands`.
    fn words(&self) -> String {
        let Self { visit, mixed, .. } = self;
        let service = if *mixed {
            String::new()
        } else {
            format!("{} ", text::visible(&visit.service))
        };
        let sessions = match visit.sessions {
            0 | 1 => format!("{service}session"),
            more => format!("{} {service}sessions", text::count(more)),
        };
        let lasted = (visit.last_at - visit.first_at).whole_milliseconds();
        let lasted = text::lasted_words(u64::try_from(lasted).unwrap_or(0));
        let open = if visit.ended { "" } else { " (no end seen)" };
        let commands = text::plural(visit.commands, "command", "commands");
        format!("{sessions}, {lasted}{open}, {commands}")
    }
}

/// The outline of a mark around its place.
fn outline(kind: Kind, weight: Weight) -> &'static str {
    match (kind, weight) {
        (Kind::Contact, Weight::Ours | Weight::Touch) => "M-.9 0V-5H.9V0Z",
        (Kind::Contact, Weight::Probe) => "M-.9 0V-9H.9V0Z",
        (Kind::Contact, Weight::Hands) => "M-.9 0V-13H.9V0Z",
        (Kind::Fingerprint, _) => "M0-3.7 3.7 0 0 3.7-3.7 0Z",
        // A key, whose bit is on the ground.
        (Kind::Credential, Weight::Hands) => "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0ZM-.9 2V10H2.6V8.4H.9V2Z",
        (Kind::Credential, _) => "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0Z",
        (Kind::Command, _) => "M-2.6-3.3 3.4 0-2.6 3.3Z",
        (Kind::Exploit, _) => "M0-3.9 1-1 3.9 0 1 1 0 3.9-1 1-3.9 0-1-1Z",
        (Kind::File, _) => "M-2.8-2.8H2.8V2.8H-2.8Z",
    }
}

/// How far down the marks of a kind stand: each kind has its height, so that none hides another's.
fn height(kind: Kind) -> &'static str {
    match kind {
        Kind::Contact => "32",
        Kind::Fingerprint => "28",
        Kind::Credential => "22",
        Kind::Command => "16",
        Kind::Exploit => "10",
        Kind::File => "4",
    }
}

/// The outline of a tick.
const TICK: &str = "M-3.4 0H3.4L.6 4.4V46H-.6V4.4Z";

/// A place along the width.
struct Along(i64);

impl std::fmt::Display for Along {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}%", self.0 / 100, self.0 % 100)
    }
}

/// The markup of a lane. `clock` writes times, `href` leads to a log row.
fn draw(lane: &Lane<'_>, clock: impl Fn(OffsetDateTime) -> String, href: impl Fn(LogId) -> String) -> String {
    let mut ink = Ink::default();
    ink.mark(
        "line",
        &[
            ("class", &"rail"),
            ("x2", &"100%"),
            ("y1", &GROUND),
            ("y2", &GROUND),
        ],
    );
    let open = |ink: &mut Ink, log: LogId| {
        ink.open(
            "a",
            &[("href", &href(log)), ("tabindex", &-1), ("data-noscroll", &"")],
        );
    };
    // A shape stands in a drawing of its own, whose origin is its place: a path knows no shares of a width.
    let stand =
        |ink: &mut Ink, x: i64, y: &'static str, class: &'static str, path: &'static str, title: &str| {
            ink.open("svg", &[("x", &Along(x)), ("y", &y)]);
            ink.open("path", &[("class", &class), ("d", &path)]);
            ink.title(title);
            ink.close("path");
            ink.close("svg");
        };
    for (x, changes) in &lane.ticks {
        let Some(change) = changes.first() else { continue };
        let words = changes
            .iter()
            .take(NAMED)
            .map(|change| text::visible(&change.words));
        let mut title = format!("{} {}", clock(change.at), words.collect::<Vec<_>>().join("; "));
        if changes.len() > NAMED {
            title.push_str(&format!("; and {} more", changes.len() - NAMED));
        }
        open(&mut ink, change.log_id);
        stand(&mut ink, *x, "0", "tick", TICK, &title);
        ink.close("a");
    }
    for bar in &lane.bars {
        let row = i64::try_from(bar.row).unwrap_or(0);
        open(&mut ink, bar.visit.log_id);
        ink.open(
            "rect",
            &[
                ("class", &"bar"),
                ("x", &Along(bar.from)),
                ("y", &(GROUND + 2 + 4 * row)),
                ("width", &Along(bar.to - bar.from)),
                ("height", &3),
                ("rx", &1),
            ],
        );
        ink.title(&format!("{} {}", clock(bar.visit.first_at), bar.words()));
        ink.close("rect");
        ink.close("a");
    }
    for mark in &lane.marks {
        let (weight, kind) = mark.weight();
        let of = mark.of;
        let mut title = format!(
            "{} {} {}{}",
            clock(of.first_at),
            text::visible(&of.service),
            text::visible(&text::event_words(&of.event_type)),
            if of.accepted { ", signed in" } else { "" },
        );
        if mark.count > 1 {
            let more = text::plural(mark.count, "event", "events");
            let what = if mark.mixed { " of all kinds" } else { "" };
            title.push_str(&format!(", {more}{what} about then"));
        }
        open(&mut ink, of.log_id);
        stand(
            &mut ink,
            mark.at,
            height(kind),
            weight.class(),
            outline(kind, weight),
            &title,
        );
        let ticks = lane.ticks.iter().map(|(at, _)| *at);
        let mut others = lane.marks.iter().map(|other| other.at).chain(ticks);
        let is_alone = mark.at + COUNTED < WIDTH && !others.any(|at| (1..COUNTED).contains(&(at - mark.at)));
        if mark.mixed && is_alone {
            ink.open("svg", &[("x", &Along(mark.at)), ("y", &height(kind))]);
            ink.words("text", &[("x", &6), ("y", &4)], &text::count(mark.count));
            ink.close("svg");
        }
        ink.close("a");
    }
    ink.markup()
}

/// What each shape means.
#[component]
fn Shapes() -> impl IntoView {
    let kind = |words, kind, weight: Weight| (words, weight.class(), outline(kind, weight));
    let shapes = [
        ("session", "bar", "M-6-1.5H6V1.5H-6Z"),
        ("touched", "w-touch", "M-.9 3V-2H.9V3Z"),
        ("tried", "w-probe", "M-.9 5V-4H.9V5Z"),
        ("got in", "w-hands", "M-.9 6V-6H.9V6Z"),
        kind("fingerprint", Kind::Fingerprint, Weight::Touch),
        kind("try", Kind::Credential, Weight::Probe),
        (
            "signed in",
            "w-hands",
            "M-3-3a3 3 0 1 0 6 0a3 3 0 1 0-6 0ZM-.9-1V6H2.6V4.4H.9V-1Z",
        ),
        kind("command", Kind::Command, Weight::Hands),
        kind("exploit", Kind::Exploit, Weight::Hands),
        kind("file", Kind::File, Weight::Hands),
        ("fleet changed", "tick", "M-3.4-6H3.4L.6-1.6V6H-.6V-1.6Z"),
    ];
    let shape = |(words, class, path): (&'static str, &'static str, &'static str)| {
        let mut ink = Ink::default();
        ink.mark("path", &[("class", &class), ("d", &path)]);
        view! {
            <li>
                <svg width="12" height="12" viewBox="-6 -6 12 12" inner_html=ink.markup()></svg>
                {words}
            </li>
        }
    };
    view! {
        <ul class="shapes" aria-hidden="true">
            {Vec::from(shapes.map(shape))}
            <li class="of-count">"number: events of all kinds there"</li>
        </ul>
    }
    .into_any()
}

/// The time of a part of the width, in whole seconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a place in a drawing"
)]
fn part((first, last): Ends, from: f64, to: f64) -> Ends {
    let length = (last - first).whole_seconds().max(1) as f64;
    let at = |share: f64| Duration::seconds((share * length) as i64);
    (first + at(from), first + at(to) + Duration::seconds(1))
}

/// The line of what one attacker did over the time `between`.
#[component]
pub(crate) fn Line(
    marks: Signal<Vec<ActivityView>>,
    visits: Signal<Vec<VisitView>>,
    changes: Memo<Vec<Change>>,
    /// How many deckies were touched, with those that have no marks.
    deckies: Signal<usize>,
    between: Between,
) -> impl IntoView {
    let touched = deckies;
    let present = use_present();
    let query = use_query_map();
    let path = use_location().pathname;
    let navigate = use_navigate();
    let all = Memo::new(move |_| query.with(|q| url::value(q, ALL.0).as_deref() == Some(ALL.1)));
    let brushed = Callback::new(move |(from, to)| {
        let ends = marks.with_untracked(|marks| visits.with_untracked(|visits| ends(marks, visits, between)));
        let Some(ends) = ends else { return };
        let (start, end) = part(ends, from, to);
        let to = url::at_time(&path.get_untracked(), &query.get_untracked(), start, end);
        let here = NavigateOptions {
            scroll: false,
            ..NavigateOptions::default()
        };
        navigate(&to, here);
    });
    move || {
        // Read where they are: of a busy attacker there are thousands, and each row that comes draws the line anew.
        let (marks, visits, changes) = (marks.read(), visits.read(), changes.read());
        let Some((first, last)) = ends(&marks, &visits, between) else {
            return view! { <p class="none">"Nothing happened then."</p> }.into_any();
        };
        let all = all.get();
        let most = if all { MAX_LANES } else { LANES };
        let lanes = lanes(&marks, &visits, &changes, (first, last), most);
        if lanes.is_empty() {
            return view! { <p class="none">"Nothing happened then."</p> }.into_any();
        }
        let touched = touched.get().max(lanes.len());
        let left_out = touched - lanes.len();
        let rows: u64 = marks.iter().map(|mark| mark.count).sum();
        let clock = |at| text::clock(present.local(at));
        let (here, query) = (path.get(), query.get_untracked());
        let href = |log: LogId| url::with(&here, &query, &[("log", Some(&log.0.to_string()))]);
        let drawn = lanes
            .iter()
            .map(|lane| {
                view! {
                    <li>
                        <svg height=HEIGHT aria-hidden="true" inner_html=draw(lane, clock, href)></svg>
                    </li>
                }
            })
            .collect_view();
        let names = lanes
            .iter()
            .map(|lane| {
                view! {
                    <li>
                        <DeckyMark name=lane.decky.to_owned() />
                        <code class="lane-name">{text::visible(&text::ellipsis(lane.decky, 22))}</code>
                    </li>
                }
            })
            .collect_view();
        let label = format!(
            "{} at {} from {} to {}",
            text::plural(rows, "row", "rows"),
            text::plural(u64::try_from(lanes.len()).unwrap_or(0), "decky", "deckies"),
            text::exact(first, None),
            text::exact(last, None),
        );
        let more = format!(
            "and {left_out} more {}",
            if left_out == 1 { "decky" } else { "deckies" }
        );
        let turned = |to| url::with(&here, &query, &[(ALL.0, to), ("log", None)]);
        // One link that turns its words and its way, so that who follows it still has it.
        let rest = (left_out > 0 || lanes.len() > LANES).then(|| {
            let (beyond, words, to) = match (all, left_out) {
                (false, _) => (
                    Some(format!("the {} most touched, ", lanes.len())),
                    more,
                    Some(ALL.1),
                ),
                (true, 0) => (None, format!("only {LANES} of them"), None),
                // More than are drawn in any case, or than are there yet.
                (true, _) => (Some(format!("{more}, ")), format!("only {LANES} of them"), None),
            };
            view! {
                {beyond}
                <a id="line-lanes" href=turned(to) data-noscroll="">{words}</a>
            }
        });
        view! {
            <figure class="line" aria-label=label>
                <div class="lanes">
                    <ol aria-label="Deckies">{names}</ol>
                    <Brush on=brushed><ol aria-hidden="true">{drawn}</ol></Brush>
                </div>
                <figcaption>
                    <span>{text::short_date(present.local(first))}</span>
                    <span>{rest}</span>
                    <span>{text::short_date(present.local(last))}</span>
                </figcaption>
            </figure>
            <Shapes />
        }
        .into_any()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const START: OffsetDateTime = datetime!(2026-11-20 12:00:00 UTC);

    fn at(second: i64) -> OffsetDateTime {
        START + Duration::seconds(second)
    }

    fn mark(decky: &str, second: i64, event_type: &str) -> ActivityView {
        ActivityView {
            decky: decky.into(),
            service: "ssh".into(),
            event_type: event_type.into(),
            first_at: at(second),
            last_at: at(second),
            log_id: LogId(second),
            count: 1,
            accepted: false,
        }
    }

    fn visit(decky: &str, service: &str, first: i64, last: i64) -> VisitView {
        VisitView {
            decky: decky.into(),
            service: service.into(),
            first_at: at(first),
            last_at: at(last),
            log_id: LogId(first),
            session: format!("{first:016x}"),
            sessions: 1,
            commands: 2,
            ended: true,
        }
    }

    fn change(decky: &str, second: i64, words: &str) -> Change {
        Change {
            decky: decky.into(),
            at: at(second),
            log_id: LogId(second),
            words: words.into(),
        }
    }

    /// From where to where each bar is, and in which row.
    fn bars(lane: &Lane<'_>) -> Vec<(i64, i64, usize)> {
        lane.bars.iter().map(|bar| (bar.from, bar.to, bar.row)).collect()
    }

    fn markup(lane: &Lane<'_>) -> String {
        draw(lane, text::clock, |log| format!("?log={}", log.0))
    }

    #[test]
    fn bars_end_where_the_shown_time_ends() {
        let visits = [
            visit("web-01", "ssh", -50, 100),
            visit("web-01", "ssh", 200, 2_000),
            visit("web-01", "ssh", -50, -10),
            visit("web-01", "ssh", 1_001, 1_010),
            visit("db-01", "ssh", -500, 5_000),
        ];
        let lanes = lanes(&[], &visits, &[], (at(0), at(1_000)), LANES);
        assert_eq!(
            lanes.iter().map(|lane| lane.decky).collect::<Vec<_>>(),
            ["db-01", "web-01"]
        );
        assert_eq!(bars(&lanes[0]), [(0, WIDTH, 0)]);
        assert_eq!(bars(&lanes[1]), [(0, 1_000, 0), (2_000, WIDTH, 0)]);
        // It still says how long it was.
        assert_eq!(lanes[1].bars[1].words(), "ssh session, 30 min, 2 commands");
    }

    #[test]
    fn sessions_at_once_are_below_each_other_and_the_rest_is_in_one() {
        let visits = [
            visit("web-01", "ssh", 0, 500),
            visit("web-01", "ssh", 100, 200),
            visit("web-01", "ssh", 100, 600),
            visit("web-01", "http", 150, 300),
            visit("web-01", "ssh", 400, 450),
        ];
        let lanes = lanes(&[], &visits, &[], (at(0), at(1_000)), LANES);
        let found = bars(&lanes[0]);
        assert_eq!(
            found,
            [
                (0, 5_000, 0),
                (1_000, 3_000, 1),
                (1_000, 6_000, 2),
                (4_000, 4_500, 1)
            ]
        );
        assert_eq!(lanes[0].bars[1].words(), "2 sessions, 3 min, 4 commands");
    }

    #[test]
    fn what_lengthened_a_bar_takes_its_place_too() {
        let visits = [
            visit("web-01", "ssh", 0, 300),
            visit("web-01", "ssh", 0, 400),
            visit("web-01", "ssh", 0, 500),
            // The first one is over first, and reaches further than the others by this.
            visit("web-01", "ssh", 200, 700),
            visit("web-01", "ssh", 450, 460),
            visit("web-01", "ssh", 650, 660),
        ];
        let lanes = lanes(&[], &visits, &[], (at(0), at(1_000)), LANES);
        assert_eq!(
            bars(&lanes[0]),
            [
                (0, 7_000, 0),
                (0, 4_000, 1),
                (0, 5_000, 2),
                (4_500, 4_600, 1),
                (6_500, 6_600, 1)
            ]
        );
    }

    #[test]
    fn a_touch_of_a_moment_has_a_bar_that_can_be_seen_at_either_end() {
        let visits = [visit("web-01", "ssh", 0, 0), visit("web-01", "ssh", 1_000, 1_000)];
        let lanes = lanes(&[], &visits, &[], (at(0), at(1_000)), LANES);
        assert_eq!(bars(&lanes[0]), [(0, LEAST, 0), (WIDTH - LEAST, WIDTH, 0)]);
    }

    #[test]
    fn a_session_whose_end_was_not_seen_goes_to_its_last_row_and_says_so() {
        let mut open = visit("web-01", "ssh", 0, 90);
        (open.ended, open.commands) = (false, 1);
        let visits = [open];
        let ends = ends(&[], &visits, Between::default()).unwrap();
        assert_eq!(ends, (at(0), at(90)));
        let lanes = lanes(&[], &visits, &[], ends, LANES);
        assert_eq!(bars(&lanes[0]), [(0, WIDTH, 0)]);
        let drawn = markup(&lanes[0]);
        assert!(
            drawn.contains("<title>12:00:00 ssh session, 1 min (no end seen), 1 command</title>"),
            "{drawn}"
        );
        assert!(drawn.contains("href=\"?log=0\""), "{drawn}");
    }

    #[test]
    fn each_kind_has_a_mark_at_a_place_and_the_heaviest_is_it() {
        let marks = [
            mark("web-01", 100, "connect"),
            mark("web-01", 101, "request"),
            mark("web-01", 102, "client_fingerprint"),
            mark("web-01", 103, "auth_attempt"),
            mark("web-01", 104, "auth_attempt"),
            mark("web-01", 105, "command"),
            mark("web-01", 105, "exploit_attempt"),
            mark("web-01", 105, "file_captured"),
            mark("web-01", 500, "something_foreign"),
        ];
        let visits = [visit("web-01", "ssh", 90, 130)];
        let lanes = lanes(&marks, &visits, &[], (at(0), at(1_000)), LANES);
        let kinds: Vec<_> = lanes[0].marks.iter().map(|mark| &*mark.of.event_type).collect();
        let one_each = [
            "request",
            "something_foreign",
            "client_fingerprint",
            "auth_attempt",
            "command",
            "exploit_attempt",
            "file_captured",
        ];
        assert_eq!(kinds, one_each);
        let drawn = markup(&lanes[0]);
        let outlines: std::collections::BTreeSet<_> = drawn
            .split("<path")
            .skip(1)
            .filter_map(|path| path.split(" d=\"").nth(1)?.split('"').next())
            .collect();
        assert_eq!(
            outlines.len(),
            6,
            "the two that asked for something look alike: {outlines:?}"
        );
    }

    #[test]
    fn a_session_too_narrow_for_its_marks_has_one_of_its_heaviest_kind_with_the_count() {
        let mut marks = Vec::new();
        for start in [10_000, 40_000] {
            for (n, what) in [
                "connect",
                "client_fingerprint",
                "auth_attempt",
                "command",
                "disconnect",
            ]
            .into_iter()
            .enumerate()
            {
                marks.push(mark("web-01", start + i64::try_from(n).unwrap(), what));
            }
        }
        let visits = [
            visit("web-01", "ssh", 10_000, 10_005),
            visit("web-01", "ssh", 40_000, 40_005),
        ];
        let told = |ends| {
            let lanes = lanes(&marks, &visits, &[], ends, LANES);
            let told = lanes[0].marks.iter().map(|mark| mark.of.event_type.clone());
            (told.collect::<Vec<_>>(), markup(&lanes[0]))
        };
        // Over a day each is a moment.
        let (kinds, drawn) = told((at(0), at(86_400)));
        assert_eq!(kinds, ["command", "command"]);
        assert!(
            drawn.contains("14:46:43 ssh command, 5 events of all kinds about then</title>"),
            "{drawn}"
        );
        assert_eq!(drawn.matches(">5</text>").count(), 2, "{drawn}");
        // Brushed, it is all that it was.
        let (kinds, drawn) = told((at(9_990), at(10_010)));
        for what in [
            "connect",
            "client_fingerprint",
            "auth_attempt",
            "command",
            "disconnect",
        ] {
            assert!(kinds.iter().any(|kind| kind == what), "{kinds:?}");
        }
        assert!(!drawn.contains("</text>"), "{drawn}");
    }

    #[test]
    fn a_count_is_not_written_where_the_fleet_changed_just_behind() {
        let marks = [
            mark("web-01", 10_000, "connect"),
            mark("web-01", 10_001, "command"),
        ];
        let counts = |changed: i64| {
            let changes = [change("web-01", changed, "http started")];
            let lanes = lanes(&marks, &[], &changes, (at(0), at(86_400)), LANES);
            assert_eq!((lanes[0].marks.len(), lanes[0].ticks.len()), (1, 1));
            markup(&lanes[0]).matches(">2</text>").count()
        };
        assert_eq!([counts(11_500), counts(9_000), counts(40_000)], [0, 1, 1]);
    }

    #[test]
    fn sessions_in_a_row_that_are_narrow_leave_a_mark_for_each_place_and_no_count_in_the_way() {
        let marks: Vec<_> = (0..20)
            .flat_map(|n| {
                [
                    mark("web-01", n * 200, "connect"),
                    mark("web-01", n * 200 + 1, "command"),
                ]
            })
            .collect();
        let visits: Vec<_> = (0..20)
            .map(|n| visit("web-01", "ssh", n * 200, n * 200 + 5))
            .collect();
        let lanes = lanes(&marks, &visits, &[], (at(0), at(86_400)), LANES);
        let drawn = &lanes[0].marks;
        assert!(drawn.len() < 20, "{drawn:?}");
        assert!(
            drawn.windows(2).all(|two| two[0].at + LEAST < two[1].at),
            "{drawn:?}"
        );
        assert_eq!(drawn.iter().map(|mark| mark.count).sum::<u64>(), 40);
        // Only behind the last one is room.
        assert_eq!(markup(&lanes[0]).matches("</text>").count(), 1);
    }

    #[test]
    fn who_was_let_in_has_a_mark_of_its_own_in_the_colour_of_hands() {
        let mut marks = [
            mark("web-01", 100, "auth_attempt"),
            mark("web-01", 101, "auth_attempt"),
        ];
        marks[1].accepted = true;
        let lanes = lanes(&marks, &[], &[], (at(0), at(1_000)), LANES);
        assert!(
            lanes[0].marks.iter().all(|mark| mark.of.accepted),
            "the heavier one stands"
        );
        let drawn = markup(&lanes[0]);
        assert!(
            drawn.contains("12:01:41 ssh auth attempt, signed in, 2 events about then</title>"),
            "{drawn}"
        );
        assert!(drawn.contains("class=\"w-hands\""), "{drawn}");
        assert_ne!(
            outline(Kind::Credential, Weight::Hands),
            outline(Kind::Credential, Weight::Probe)
        );
    }

    #[test]
    fn changes_are_ticks_of_their_decky_and_those_at_one_place_are_one() {
        let marks = [mark("web-01", 0, "connect"), mark("db-01", 900, "connect")];
        let changes = [
            change("web-01", 501, "http started"),
            change("web-01", 500, "ssh stopped"),
            change("web-01", 700, "ssh → ftp"),
            change("web-01", 1_700, "later"),
            change("mail-01", 500, "nobody was there"),
        ];
        let lanes = lanes(&marks, &[], &changes, (at(0), at(1_000)), LANES);
        let places: Vec<Vec<_>> = lanes
            .iter()
            .map(|lane| lane.ticks.iter().map(|(x, all)| (*x, all.len())).collect())
            .collect();
        assert_eq!(places, [vec![(5_000, 2), (7_000, 1)], vec![]]);
        let drawn = markup(&lanes[0]);
        assert!(
            drawn.contains("<title>12:08:20 ssh stopped; http started</title>"),
            "{drawn}"
        );
        assert!(drawn.contains("<svg x=\"70.00%\" y=\"0\">"), "{drawn}");
    }

    #[test]
    fn there_are_as_many_lanes_as_are_asked_for() {
        let names: Vec<_> = (0..30).map(|n| format!("web-{n:02}")).collect();
        let marks: Vec<_> = names.iter().map(|name| mark(name, 1, "connect")).collect();
        let drawn = |most| lanes(&marks, &[], &[], (at(0), at(60)), most).len();
        assert_eq!((drawn(LANES), drawn(MAX_LANES)), (LANES, 30));
    }

    #[test]
    fn hostile_words_stay_text() {
        let hostile = "</title><script>alert(1)</script>\u{202e}\"";
        let mut marks = [mark("web-01", 0, hostile)];
        marks[0].service = hostile.into();
        let visits = [visit("web-01", hostile, 0, 10)];
        let changes = [change("web-01", 5, hostile)];
        let lanes = lanes(&marks, &visits, &changes, (at(0), at(60)), LANES);
        let drawn = markup(&lanes[0]);
        assert!(!drawn.contains("<script"), "{drawn}");
        assert!(!drawn.contains('\u{202e}'), "{drawn}");
        assert_eq!(drawn.matches("&lt;script&gt;").count(), 4, "{drawn}");
        assert_eq!(drawn.matches("<title>").count(), 3, "{drawn}");
        assert_eq!(drawn.matches("</title>").count(), 3, "{drawn}");
    }

    #[test]
    fn a_part_of_the_line_is_whole_seconds_and_never_nothing() {
        let ends = (
            datetime!(2026-11-20 12:00:00 UTC),
            datetime!(2026-11-20 12:10:00 UTC),
        );
        assert_eq!(
            part(ends, 0.25, 0.5),
            (
                datetime!(2026-11-20 12:02:30 UTC),
                datetime!(2026-11-20 12:05:01 UTC)
            )
        );
        let (start, end) = part((ends.0, ends.0), 0.3, 0.3);
        assert!(start < end);
    }
}
