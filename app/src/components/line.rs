//! The line: what one attacker did along time, a lane a decky, a mark a row. The higher a mark reaches, the nearer it is
//! to an intruder's hands. Dragging over a part of it makes that the time that the page shows.

use decnet_model::view::ActivityView;
use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
};
use time::{Duration, OffsetDateTime};

use super::{brush::Brush, ink::Ink, when::use_present};
use crate::{
    api::evidence::LANES,
    text::{self, Weight},
    url::{self, Between},
};

/// Width of the drawing in its own units.
const WIDTH: i64 = 1_000;

/// From when to when a line goes: the time that is shown, as far as that has ends, else from the first mark to the last. A minute at
/// least, so that one touch stands at the start and not all over.
fn ends(marks: &[ActivityView], between: Between) -> Option<(OffsetDateTime, OffsetDateTime)> {
    let first = between
        .start
        .or_else(|| marks.iter().map(|mark| mark.first_at).min())?;
    let last = between
        .end
        .or_else(|| marks.iter().map(|mark| mark.last_at).max())?;
    let least = if between.is_ever() {
        Duration::minutes(1)
    } else {
        Duration::seconds(1)
    };
    Some((first, last.max(first + least)))
}

/// The time of a part of the width, in whole seconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a place in a drawing"
)]
fn part(
    (first, last): (OffsetDateTime, OffsetDateTime),
    from: f64,
    to: f64,
) -> (OffsetDateTime, OffsetDateTime) {
    let length = (last - first).whole_seconds().max(1) as f64;
    let at = |share: f64| Duration::seconds((share * length) as i64);
    (first + at(from), first + at(to) + Duration::seconds(1))
}

/// The line of `marks` over the time `between`.
#[component]
pub(crate) fn Line(
    marks: Signal<Vec<ActivityView>>,
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
        let Some(ends) = marks.with_untracked(|marks| ends(marks, between)) else {
            return;
        };
        let (start, end) = part(ends, from, to);
        let to = url::at_time(&path.get_untracked(), &query.get_untracked(), start, end);
        let here = NavigateOptions {
            scroll: false,
            ..NavigateOptions::default()
        };
        navigate(&to, here);
    });
    move || {
        let mut all = marks.get();
        all.sort_by_key(|mark| mark.first_at);
        let Some((first, last)) = ends(&all, between).filter(|_| !all.is_empty()) else {
            return view! { <p class="none">"Nothing happened then."</p> }.into_any();
        };
        let mut deckies: Vec<String> = Vec::new();
        for mark in &all {
            if !deckies.contains(&mark.decky) {
                deckies.push(mark.decky.clone());
            }
        }
        deckies.truncate(LANES);
        let touched = touched.get().max(deckies.len());
        let left_out = touched - deckies.len();
        let rows: u64 = all.iter().map(|mark| mark.count).sum();
        let length = (last - first).whole_milliseconds().max(1);
        let place = move |at: OffsetDateTime| {
            let along = (at - first).whole_milliseconds() * i128::from(WIDTH - 12) / length;
            6 + i64::try_from(along).unwrap_or(0)
        };
        let lanes = deckies
            .iter()
            .map(|decky| {
                let here = || all.iter().filter(|mark| mark.decky == *decky);
                let to = here().map(|mark| place(mark.last_at)).max().unwrap_or(0);
                let mut marks: Vec<(i64, Weight, &ActivityView)> = here()
                    .map(|mark| (place(mark.first_at), text::weight(&mark.event_type), mark))
                    .collect();
                // One mark a place, the heaviest: a thousand tries in a minute are one stroke.
                marks.sort_by_key(|(x, weight, _)| (*x / 3, std::cmp::Reverse(*weight)));
                marks.dedup_by_key(|(x, ..)| *x / 3);
                let from = marks.first().map_or(0, |(x, ..)| *x);
                let mut ink = Ink::default();
                ink.mark(
                    "path",
                    &[("class", &"rail"), ("d", &format_args!("M0 24.5H{WIDTH}"))],
                );
                ink.mark(
                    "path",
                    &[
                        ("class", &"stay"),
                        ("d", &format_args!("M{from} 24.5H{}", to + 2)),
                    ],
                );
                for (x, weight, mark) in marks {
                    let tall = match weight {
                        Weight::Ours | Weight::Touch => 6,
                        Weight::Probe => 14,
                        Weight::Hands => 22,
                    };
                    let id = mark.log_id.0.to_string();
                    let href = url::with(&path.get(), &query.get_untracked(), &[("log", Some(&id))]);
                    let mut title = format!(
                        "{} {} {}",
                        text::clock(present.local(mark.first_at)),
                        text::visible(&mark.service),
                        text::visible(&text::event_words(&mark.event_type)),
                    );
                    if mark.count > 1 {
                        let more = text::plural(mark.count, "event", "events");
                        title.push_str(&format!(", {more} about then"));
                    }
                    ink.open("a", &[("href", &href), ("tabindex", &-1), ("data-noscroll", &"")]);
                    ink.open(
                        "rect",
                        &[
                            ("class", &weight.class()),
                            ("x", &x),
                            ("y", &(24 - tall)),
                            ("width", &2.4),
                            ("height", &tall),
                        ],
                    );
                    ink.title(&title);
                    ink.close("rect");
                    ink.close("a");
                }
                view! {
                    <li>
                        <svg
                            viewBox=format!("0 0 {WIDTH} 26")
                            preserveAspectRatio="none"
                            height="26"
                            aria-hidden="true"
                            inner_html=ink.markup()
                        ></svg>
                    </li>
                }
            })
            .collect_view();
        let names = deckies
            .iter()
            .map(|decky| view! { <li><code class="lane-name">{text::visible(&text::ellipsis(decky, 22))}</code></li> })
            .collect_view();
        let label = format!(
            "{} at {} from {} to {}",
            text::plural(rows, "row", "rows"),
            text::plural(u64::try_from(deckies.len()).unwrap_or(0), "decky", "deckies"),
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
                    <Brush on=brushed><ol aria-hidden="true">{lanes}</ol></Brush>
                </div>
                <figcaption>
                    <span>{text::short_date(present.local(first))}</span>
                    <span>{rest}</span>
                    <span>{text::short_date(present.local(last))}</span>
                </figcaption>
            </figure>
        }
        .into_any()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

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
