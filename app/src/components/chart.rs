//! Counts over time: the histogram, the heat strip and the sparkline, as SVG of our own.

use decnet_model::view::HistogramBucket;
use leptos::prelude::*;
use leptos_router::{NavigateOptions, hooks::use_navigate};
use time::{Duration, OffsetDateTime};

use super::{brush::Brush, ink::Ink, when::use_present};
use crate::{text, url::Between};

const MINUTES_A_DAY: i64 = 1_440;

/// Counts in buckets of equal width without gaps, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Series {
    /// Start of the first bucket, in minutes since 1970.
    pub(crate) start: i64,
    /// Width of a bucket in minutes.
    pub(crate) step: i64,
    /// What was counted.
    pub(crate) counts: Vec<u64>,
}

impl Series {
    /// The `length` buckets of `step` minutes up to and with the one that holds `end`: what was `counted`, and what `came` since, both
    /// by the minute (since 1970).
    pub(crate) fn new(
        counted: impl Iterator<Item = (i64, u64)>,
        came: &[(i64, u64)],
        end: OffsetDateTime,
        step: i64,
        length: i64,
    ) -> Self {
        let step = step.max(1);
        let length = length.clamp(1, 2_000);
        let last = end.unix_timestamp().div_euclid(60).div_euclid(step) * step;
        let start = last - (length - 1) * step;
        let mut counts = vec![0_u64; usize::try_from(length).unwrap_or(1)];
        for (minute, count) in counted.chain(came.iter().copied()) {
            let slot = usize::try_from((minute - start).div_euclid(step))
                .ok()
                .and_then(|i| counts.get_mut(i));
            if let Some(slot) = slot {
                *slot += count;
            }
        }
        Self { start, step, counts }
    }

    /// The most in one bucket.
    pub(crate) fn most(&self) -> u64 {
        self.counts.iter().copied().max().unwrap_or(0)
    }

    /// All together.
    pub(crate) fn sum(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// From and until when the buckets are that a part of the width, told in shares of it, touches.
    pub(crate) fn part(&self, from: f64, to: f64) -> (OffsetDateTime, OffsetDateTime) {
        let length = i64::try_from(self.counts.len()).unwrap_or(1).max(1);
        let (first, last) = (slot(from, length), slot(to, length));
        (
            at_minute(self.start + first * self.step),
            at_minute(self.start + (last + 1) * self.step),
        )
    }

    /// Start and end of each bucket with its count.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (OffsetDateTime, OffsetDateTime, u64)> + '_ {
        (0_i64..).zip(&self.counts).map(|(i, count)| {
            let from = self.start + i * self.step;
            (at_minute(from), at_minute(from + self.step), *count)
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a place in a drawing, clamped to it"
)]
fn slot(share: f64, length: i64) -> i64 {
    ((share * length as f64).floor() as i64).clamp(0, length - 1)
}

/// What the server counted, by the minute.
pub(crate) fn by_minute(buckets: &[HistogramBucket]) -> impl Iterator<Item = (i64, u64)> {
    buckets
        .iter()
        .map(|bucket| (bucket.start.unix_timestamp().div_euclid(60), bucket.count))
}

/// Buckets for a span of time: its start, its end where that is fixed, their width in minutes and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buckets {
    pub(crate) start: OffsetDateTime,
    pub(crate) end: Option<OffsetDateTime>,
    pub(crate) step: i64,
    pub(crate) length: i64,
}

impl Buckets {
    /// For `between`; where that has no start, for the time of length `usual` before its end.
    pub(crate) fn of(between: Between, usual: Duration, now: OffsetDateTime) -> Self {
        let end = between.end.unwrap_or(now);
        let start = between.start.unwrap_or(end - usual);
        let minutes = (end - start).whole_minutes().max(1);
        let step = step_for(minutes);
        let mut buckets = Self {
            start,
            end: between.end,
            step,
            length: (minutes + step - 1) / step,
        };
        if between.start.is_some() {
            // Where a time that was chosen begins and ends within buckets, these are drawn, too.
            let no = |at: OffsetDateTime| at.unix_timestamp().div_euclid(60 * step);
            buckets.length = no(buckets.last(now)) - no(start) + 1;
        }
        buckets
    }

    /// When the last bucket is, `now` being now.
    pub(crate) fn last(self, now: OffsetDateTime) -> OffsetDateTime {
        self.end.map_or(now, |end| end - Duration::SECOND)
    }
}

fn at_minute(minute: i64) -> OffsetDateTime {
    decnet_model::clock::from_micros(minute.saturating_mul(60_000_000))
}

/// The step in minutes that gives about a hundred buckets for a span, of those that a reader can count with.
pub(crate) fn step_for(minutes: i64) -> i64 {
    const STEPS: &[i64] = &[1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, MINUTES_A_DAY];
    STEPS
        .iter()
        .copied()
        .find(|step| minutes <= step * 110)
        .unwrap_or(MINUTES_A_DAY)
}

/// Height of the histogram in its own units, and the width of a column.
const TALL: u64 = 1_000;
const COLUMN: usize = 100;

/// Columns over time. With `href`, each column leads to the evidence of its time, and dragging over some to that of theirs.
#[component]
pub(crate) fn Histogram(
    #[prop(into)] series: Signal<Series>,
    /// What is counted: `events`.
    what: &'static str,
    /// The URL of a span of time.
    #[prop(optional, into)]
    href: Option<Callback<(OffsetDateTime, OffsetDateTime), String>>,
    /// Height in pixels.
    #[prop(default = 96)]
    height: u32,
) -> impl IntoView {
    let present = use_present();
    let words = move |of: fn(&Series, &str) -> String| Signal::derive(move || series.with(|s| of(s, what)));
    let label = words(|s, what| {
        format!(
            "{} {what}, at most {} in {}",
            text::count(s.sum()),
            text::count(s.most()),
            step_words(s.step)
        )
    });
    let view_box = words(|s, _| format!("0 0 {} {TALL}", s.counts.len() * COLUMN));
    let steps = words(|s, _| format!("per {}, at most {}", step_words(s.step), text::count(s.most())));
    let strokes = Signal::derive(move || {
        series.with(|s| {
            let (most, wide) = (s.most().max(1), s.counts.len() * COLUMN);
            let mut ink = Ink::default();
            ink.mark(
                "path",
                &[
                    ("class", &"grid"),
                    ("d", &format_args!("M0 40H{wide}M0 520H{wide}")),
                ],
            );
            for (i, (from, to, count)) in s.buckets().enumerate() {
                let tall = if count == 0 {
                    0
                } else {
                    (count.saturating_mul(960) / most).max(30)
                };
                if let Some(href) = href {
                    ink.open("a", &[("href", &href.run((from, to))), ("tabindex", &-1)]);
                }
                ink.open("g", &[("class", &"column")]);
                ink.title(&format!(
                    "{} to {}: {} {what}",
                    text::short_date(present.local(from)),
                    text::clock_minutes(present.local(to)),
                    text::count(count),
                ));
                ink.mark(
                    "rect",
                    &[
                        ("class", &"reach"),
                        ("x", &(i * COLUMN)),
                        ("width", &COLUMN),
                        ("height", &TALL),
                    ],
                );
                ink.mark(
                    "rect",
                    &[
                        ("class", &"bar"),
                        ("x", &(i * COLUMN + COLUMN / 10)),
                        ("y", &TALL.saturating_sub(tall)),
                        ("width", &(COLUMN * 8 / 10)),
                        ("height", &tall),
                    ],
                );
                ink.close("g");
                if href.is_some() {
                    ink.close("a");
                }
            }
            ink.mark(
                "path",
                &[("class", &"base"), ("d", &format_args!("M0 995H{wide}"))],
            );
            ink.markup()
        })
    });
    let edge = move |last: bool| {
        Signal::derive(move || {
            series.with(|s| {
                let span = s.step * i64::try_from(s.counts.len()).unwrap_or(0);
                let at = if last { s.start + span } else { s.start };
                let local = present.local(at_minute(at));
                // A whole day ends at the time of day at which it began: then the day is told, too.
                if span >= MINUTES_A_DAY {
                    text::short_date(local)
                } else {
                    text::clock_minutes(local)
                }
            })
        })
    };
    let drawing = view! {
        <svg
            viewBox=view_box
            height=height
            preserveAspectRatio="none"
            role="group"
            aria-label=label
            inner_html=strokes
        ></svg>
    };
    view! {
        <figure class="histogram">
            {brushed(series, href, drawing.into_any())}
            <figcaption>
                <span>{edge(false)}</span>
                <span class="step">{steps}</span>
                <span>{edge(true)}</span>
            </figcaption>
        </figure>
    }
    .into_any()
}

/// A drawing of `series` that can be dragged over, where that leads anywhere.
fn brushed(
    series: Signal<Series>,
    href: Option<Callback<(OffsetDateTime, OffsetDateTime), String>>,
    drawing: AnyView,
) -> AnyView {
    let Some(href) = href else { return drawing };
    let navigate = use_navigate();
    let on = Callback::new(move |(from, to)| {
        let to = href.run(series.with_untracked(|series| series.part(from, to)));
        let here = NavigateOptions {
            scroll: false,
            ..NavigateOptions::default()
        };
        navigate(&to, here);
    });
    view! { <Brush on=on>{drawing}</Brush> }.into_any()
}

fn step_words(step: i64) -> String {
    match step {
        1 => "minute".to_owned(),
        60 => "hour".to_owned(),
        MINUTES_A_DAY => "day".to_owned(),
        _ => text::span(u64::try_from(step * 60).unwrap_or(0)),
    }
}

/// Marks of a strip that lead somewhere: what is smaller is not hit.
const LEADING: usize = 144;

/// The last 24 hours as one strip: the darker, the quieter. Each part of it leads to its time, and dragging over some to theirs.
#[component]
pub(crate) fn HeatStrip(
    #[prop(into)] series: Signal<Series>,
    /// The URL of a span of time.
    #[prop(into)]
    href: Callback<(OffsetDateTime, OffsetDateTime), String>,
) -> impl IntoView {
    let present = use_present();
    let marks = Signal::derive(move || {
        series.with(|s| {
            let mut ink = Ink::default();
            for (level, runs) in heat_runs(&s.counts).iter().enumerate().skip(1) {
                if !runs.is_empty() {
                    ink.mark("path", &[("class", &format_args!("heat-{level}")), ("d", runs)]);
                }
            }
            let wide = s.counts.len().div_ceil(LEADING).max(1);
            let buckets: Vec<_> = s.buckets().collect();
            for (i, part) in buckets.chunks(wide).enumerate() {
                let [(from, ..), ..] = part else { continue };
                let to = part.last().map_or(*from, |(_, to, _)| *to);
                ink.open("a", &[("href", &href.run((*from, to))), ("tabindex", &-1)]);
                ink.open(
                    "rect",
                    &[("x", &(i * wide)), ("width", &part.len()), ("height", &10)],
                );
                ink.title(&format!(
                    "{} to {}: {}",
                    text::clock_minutes(present.local(*from)),
                    text::clock_minutes(present.local(to)),
                    text::plural(part.iter().map(|(.., count)| count).sum(), "touch", "touches"),
                ));
                ink.close("rect");
                ink.close("a");
            }
            ink.markup()
        })
    });
    let words = move |of: fn(&Series) -> String| Signal::derive(move || series.with(of));
    let view_box = words(|s| format!("0 0 {} 10", s.counts.len()));
    let label = words(|s| format!("The last 24 hours: {}", text::plural(s.sum(), "touch", "touches")));
    let drawing = view! {
        <svg
            class="heat"
            viewBox=view_box
            preserveAspectRatio="none"
            role="group"
            aria-label=label
            inner_html=marks
        ></svg>
    };
    brushed(series, Some(href), drawing.into_any())
}

/// For each heat, the buckets that have it, as strokes along the middle of the strip.
fn heat_runs(counts: &[u64]) -> [String; 6] {
    let most = counts.iter().copied().max().unwrap_or(0);
    let mut paths = <[String; 6]>::default();
    let mut at = 0;
    for run in counts.chunk_by(|a, b| heat(*a, most) == heat(*b, most)) {
        let level = run.first().map_or(0, |count| heat(*count, most));
        if let Some(path) = usize::try_from(level).ok().and_then(|level| paths.get_mut(level)) {
            path.push_str(&format!("M{at} 5h{}", run.len()));
        }
        at += run.len();
    }
    paths
}

/// How hot a count is, 0 to 5: by its share of the hottest, with anything at all told from nothing.
fn heat(count: u64, most: u64) -> u64 {
    if count == 0 {
        0
    } else {
        (count.saturating_mul(5).div_ceil(most.max(1))).clamp(1, 5)
    }
}

/// The last 24 hours as a line: its shape only, the highest hour at the top.
#[component]
pub(crate) fn Sparkline(
    /// What was counted in each hour, oldest first.
    hours: Vec<u64>,
) -> impl IntoView {
    let label = format!(
        "The last 24 hours: {}",
        text::plural(hours.iter().sum(), "event", "events")
    );
    let (whole, begun) = spark(&hours);
    view! {
        <svg class="spark" viewBox="0 0 92 20" preserveAspectRatio="none" role="img" aria-label=label>
            <path d=whole />
            <path class="begun" d=begun />
        </svg>
    }
    .into_any()
}

/// A line through `counts`, 4 apart and 18 high; a flat one where there is nothing. The way to the last is a line of its own:
/// that hour has only begun, and would look like the end of what goes on.
fn spark(counts: &[u64]) -> (String, String) {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let points: Vec<_> = counts
        .iter()
        .enumerate()
        .map(|(i, count)| {
            let tall = count.saturating_mul(18).div_ceil(most);
            format!("{} {}", i * 4, 19_u64.saturating_sub(tall))
        })
        .collect();
    match points.as_slice() {
        [whole @ .., before, last] => {
            let whole = whole
                .iter()
                .chain([before])
                .map(String::as_str)
                .collect::<Vec<_>>();
            (format!("M{}", whole.join("L")), format!("M{before}L{last}"))
        }
        _ => ("M0 19H92".to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_series_has_no_gaps_and_counts_what_came_since() {
        let stored = [
            HistogramBucket {
                start: datetime!(2026-11-20 11:58:00 UTC),
                count: 3,
            },
            HistogramBucket {
                start: datetime!(2026-11-19 00:00:00 UTC),
                count: 99,
            },
        ];
        let end = datetime!(2026-11-20 12:00:30 UTC);
        let live = [(end.unix_timestamp() / 60, 2)];
        let series = Series::new(by_minute(&stored), &live, end, 1, 4);
        assert_eq!(series.counts, [0, 3, 0, 2]);
        let starts: Vec<_> = series.buckets().map(|(from, ..)| from).collect();
        assert_eq!(starts.first(), Some(&datetime!(2026-11-20 11:57:00 UTC)));
    }

    #[test]
    fn a_part_of_the_width_is_the_time_of_the_buckets_that_it_touches() {
        let series = Series {
            start: 1_000,
            step: 10,
            counts: vec![0; 6],
        };
        for (from, to, minutes) in [
            (0.0, 1.0, (1_000, 1_060)),
            (0.2, 0.2, (1_010, 1_020)),
            (0.34, 0.49, (1_020, 1_030)),
            (0.34, 0.51, (1_020, 1_040)),
        ] {
            let part = series.part(from, to);
            assert_eq!(
                part,
                (at_minute(minutes.0), at_minute(minutes.1)),
                "{from} to {to}"
            );
        }
    }

    #[test]
    fn a_chosen_time_is_drawn_to_both_its_ends() {
        let now = datetime!(2026-11-20 12:05:30 UTC);
        let of = |start, end| {
            let buckets = Buckets::of(Between { start, end }, Duration::hours(24), now);
            let series = Series::new(
                [].into_iter(),
                &[],
                buckets.last(now),
                buckets.step,
                buckets.length,
            );
            let ends: Vec<_> = series.buckets().map(|(from, to, _)| (from, to)).collect();
            (ends.first().unwrap().0, ends.last().unwrap().1)
        };
        let (start, end) = (
            datetime!(2026-11-20 07:07:10 UTC),
            datetime!(2026-11-20 12:03 UTC),
        );
        let (from, to) = of(Some(start), Some(end));
        assert!(from <= start && to >= end, "{from} {to}");
        // Ends that are edges have nothing beyond them.
        let (start, end) = (datetime!(2026-11-20 10:00 UTC), datetime!(2026-11-20 11:00 UTC));
        assert_eq!(of(Some(start), Some(end)), (start, end));
        let since = of(Some(start), None);
        assert!(since.0 == start && since.1 > now, "{since:?}");
        // A time that nobody chose has whole buckets only.
        let (from, _) = of(None, None);
        assert!(from > now - Duration::hours(24), "{from}");
    }

    #[test]
    fn a_span_is_cut_into_about_a_hundred_buckets() {
        for (minutes, step) in [(15, 1), (60, 1), (1_440, 15), (10_080, 120), (1_000_000, 1_440)] {
            assert_eq!(step_for(minutes), step, "{minutes}");
        }
    }

    #[test]
    fn buckets_of_one_heat_that_follow_each_other_are_one_stroke() {
        let [quiet, coldest, .., hottest] = heat_runs(&[0, 9, 9, 0, 1, 100]);
        assert_eq!(quiet, "M0 5h1M3 5h1");
        assert_eq!(coldest, "M1 5h2M4 5h1");
        assert_eq!(hottest, "M5 5h1");
    }

    #[test]
    fn the_highest_hour_is_at_the_top_and_one_event_is_no_flat_line() {
        let of = |counts: &[u64]| {
            let (whole, begun) = spark(counts);
            format!("{whole} {begun}")
        };
        assert_eq!(of(&[0, 1, 1_000]), "M0 19L4 18 M4 18L8 1");
        assert_eq!(of(&[0, 0]), "M0 19 M0 19L4 19");
        assert_eq!(of(&[]), "M0 19H92 ");
    }

    #[test]
    fn heat_grows_with_the_count_and_stays_in_its_scale() {
        let heats: Vec<_> = [0, 1, 10, 100, 1_000, 10_000]
            .iter()
            .map(|c| heat(*c, 10_000))
            .collect();
        assert!(heats.is_sorted(), "{heats:?}");
        assert_eq!((heats.first(), heats.last()), (Some(&0), Some(&5)));
    }
}
