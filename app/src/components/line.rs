//! The line: what one attacker did along time, a lane a decky. In a lane stand their connections as bars, what they did as marks whose
//! shape tells what it was, and changes of the fleet as ticks. The higher a mark stands, the nearer it is to an intruder's hands.
//! Dragging over a part of it makes that the time that the page shows.

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

use super::{brush::Brush, ink::Ink, when::use_present};
use crate::{
    api::evidence::{Change, LANES},
    text::{self, Kind, Weight},
    url::{self, Between},
};

/// The width of the drawing in hundredths of a hundredth: heights are pixels, so that shapes keep theirs at any width.
const WIDTH: i64 = 10_000;
/// The least width of a bar, and from how near on two things are at one place.
const LEAST: i64 = 30;
const NEAR: i64 = 60;
/// Height of a lane.
const HEIGHT: &str = "46";
/// Where strokes stand in it; bars are below.
const GROUND: i64 = 32;
/// Bars that a lane shows at one time.
const ROWS: usize = 3;
/// Changes that the title of a tick names.
const NAMED: usize = 4;

type Ends = (OffsetDateTime, OffsetDateTime);

/// What a lane shows, by place.
#[derive(Debug)]
struct Lane<'a> {
    decky: &'a str,
    bars: Vec<Bar>,
    marks: Vec<(i64, &'a ActivityView)>,
    ticks: Vec<(i64, Vec<&'a Change>)>,
}

/// Connections that are drawn as one.
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

/// What is where, a lane a decky, who was touched first on top.
fn lanes<'a>(
    marks: &'a [ActivityView],
    visits: &'a [VisitView],
    changes: &'a [Change],
    (first, last): Ends,
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
    let mut deckies: Vec<&str> = Vec::new();
    for (_, decky) in touched {
        if !deckies.contains(&decky) {
            deckies.push(decky);
        }
    }
    deckies.truncate(LANES);
    let lane = |decky: &'a str| {
        let mut here: Vec<_> = marks
            .iter()
            .filter(|mark| mark.decky == decky)
            .map(|mark| (place(mark.first_at), mark))
            .collect();
        // One mark of a kind at a place, the heaviest: a thousand tries in a minute are one.
        here.sort_by_key(|(x, mark)| {
            let weight = std::cmp::Reverse(text::weight(&mark.event_type));
            (text::kind(&mark.event_type), *x / NEAR, weight, *x)
        });
        here.dedup_by_key(|(x, mark)| (text::kind(&mark.event_type), *x / NEAR));
        let mut theirs: Vec<_> = shown.iter().filter(|visit| visit.decky == decky).collect();
        theirs.sort_by_key(|visit| visit.first_at);
        let mut bars: Vec<Bar> = Vec::new();
        for visit in theirs {
            let from = place(visit.first_at).min(WIDTH - LEAST);
            put(&mut bars, from, place(visit.last_at).max(from + LEAST), visit);
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
            bars,
            marks: here,
            ticks,
        }
    };
    deckies.into_iter().map(lane).collect()
}

/// Adds a bar in the first row that is free from there on. Where none is, it lengthens the one that is over first.
fn put(bars: &mut Vec<Bar>, from: i64, to: i64, visit: &VisitView) {
    let reach = |row| {
        let ends = bars.iter().filter(|bar| bar.row == row).map(|bar| bar.to);
        ends.max().unwrap_or(i64::MIN)
    };
    if let Some(row) = (0..ROWS).find(|row| reach(*row) < from) {
        bars.push(Bar {
            from,
            to,
            row,
            visit: visit.clone(),
            mixed: false,
        });
        return;
    }
    let row = (0..ROWS).min_by_key(|row| reach(*row)).unwrap_or(0);
    if let Some(bar) = bars.iter_mut().rfind(|bar| bar.row == row) {
        bar.to = bar.to.max(to);
        bar.mixed |= bar.visit.service != visit.service;
        bar.visit.last_at = bar.visit.last_at.max(visit.last_at);
        bar.visit.sessions += visit.sessions;
        bar.visit.commands += visit.commands;
        bar.visit.ended &= visit.ended;
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
    for (x, mark) in &lane.marks {
        let (kind, weight) = (text::kind(&mark.event_type), text::weight(&mark.event_type));
        let mut title = format!(
            "{} {} {}",
            clock(mark.first_at),
            text::visible(&mark.service),
            text::visible(&text::event_words(&mark.event_type)),
        );
        if mark.count > 1 {
            let more = text::plural(mark.count, "event", "events");
            title.push_str(&format!(", {more} about then"));
        }
        open(&mut ink, mark.log_id);
        stand(
            &mut ink,
            *x,
            height(kind),
            weight.class(),
            outline(kind, weight),
            &title,
        );
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
        kind("sign-in", Kind::Credential, Weight::Probe),
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
    view! { <ul class="shapes" aria-hidden="true">{Vec::from(shapes.map(shape))}</ul> }.into_any()
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
        let (marks, visits) = (marks.get(), visits.get());
        let Some((first, last)) = ends(&marks, &visits, between) else {
            return view! { <p class="none">"Nothing happened then."</p> }.into_any();
        };
        let changes = changes.get();
        let lanes = lanes(&marks, &visits, &changes, (first, last));
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
            .map(|lane| view! { <li><code class="lane-name">{text::visible(&text::ellipsis(lane.decky, 22))}</code></li> })
            .collect_view();
        let label = format!(
            "{} at {} from {} to {}",
            text::plural(rows, "row", "rows"),
            text::plural(u64::try_from(lanes.len()).unwrap_or(0), "decky", "deckies"),
            text::exact(first, None),
            text::exact(last, None),
        );
        let rest = (left_out > 0).then(|| {
            format!(
                "and {left_out} more {}",
                if left_out == 1 { "decky" } else { "deckies" }
            )
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
        let lanes = lanes(&[], &visits, &[], (at(0), at(1_000)));
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
        let lanes = lanes(&[], &visits, &[], (at(0), at(1_000)));
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
    fn a_touch_of_a_moment_has_a_bar_that_can_be_seen_at_either_end() {
        let visits = [visit("web-01", "ssh", 0, 0), visit("web-01", "ssh", 1_000, 1_000)];
        let lanes = lanes(&[], &visits, &[], (at(0), at(1_000)));
        assert_eq!(bars(&lanes[0]), [(0, LEAST, 0), (WIDTH - LEAST, WIDTH, 0)]);
    }

    #[test]
    fn a_session_whose_end_was_not_seen_goes_to_its_last_row_and_says_so() {
        let mut open = visit("web-01", "ssh", 0, 90);
        (open.ended, open.commands) = (false, 1);
        let visits = [open];
        let ends = ends(&[], &visits, Between::default()).unwrap();
        assert_eq!(ends, (at(0), at(90)));
        let lanes = lanes(&[], &visits, &[], ends);
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
        let lanes = lanes(&marks, &[], &[], (at(0), at(1_000)));
        let kinds: Vec<_> = lanes[0].marks.iter().map(|(_, mark)| &*mark.event_type).collect();
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
    fn changes_are_ticks_of_their_decky_and_those_at_one_place_are_one() {
        let marks = [mark("web-01", 0, "connect"), mark("db-01", 900, "connect")];
        let changes = [
            change("web-01", 501, "http started"),
            change("web-01", 500, "ssh stopped"),
            change("web-01", 700, "ssh → ftp"),
            change("web-01", 1_700, "later"),
            change("mail-01", 500, "nobody was there"),
        ];
        let lanes = lanes(&marks, &[], &changes, (at(0), at(1_000)));
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
    fn hostile_words_stay_text() {
        let hostile = "</title><script>alert(1)</script>\u{202e}\"";
        let mut marks = [mark("web-01", 0, hostile)];
        marks[0].service = hostile.into();
        let visits = [visit("web-01", hostile, 0, 10)];
        let changes = [change("web-01", 5, hostile)];
        let lanes = lanes(&marks, &visits, &changes, (at(0), at(60)));
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
