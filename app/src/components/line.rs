//! The line: what one attacker did along time, a lane a decky, a mark a row. The higher a mark reaches, the nearer it is
//! to an intruder's hands.

use std::sync::Arc;

use decnet_model::view::LogView;
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};

use super::when::use_present;
use crate::{
    text::{self, Weight},
    url,
};

/// Width of the drawing in its own units.
const WIDTH: i64 = 1_000;
/// Lanes that are drawn; the rest is counted.
const LANES: usize = 8;

/// The line of `rows`, newest first.
#[component]
pub(crate) fn Line(rows: Signal<Vec<Arc<LogView>>>) -> impl IntoView {
    let present = use_present();
    let query = use_query_map();
    let path = use_location().pathname;
    move || {
        let rows = rows.get();
        let (Some(last), Some(first)) = (rows.iter().map(|r| r.at).max(), rows.iter().map(|r| r.at).min())
        else {
            return view! { <p class="none">"No rows at hand."</p> }.into_any();
        };
        let mut deckies: Vec<String> = Vec::new();
        for row in rows.iter().rev() {
            if !deckies.contains(&row.decky) {
                deckies.push(row.decky.clone());
            }
        }
        let left_out = deckies.len().saturating_sub(LANES);
        deckies.truncate(LANES);
        // A minute at least, so that one touch stands at the start and not all over.
        let length = (last - first).whole_milliseconds().max(60_000);
        let place = move |row: &LogView| {
            let along = (row.at - first).whole_milliseconds() * i128::from(WIDTH - 12) / length;
            6 + i64::try_from(along).unwrap_or(0)
        };
        let lanes = deckies
            .iter()
            .map(|decky| {
                let mut marks: Vec<(i64, Weight, &Arc<LogView>)> =
                    rows.iter().filter(|row| row.decky == *decky).map(|row| (place(row), text::weight(&row.event_type), row)).collect();
                // One mark a place, the heaviest: a thousand tries in a minute are one stroke.
                marks.sort_by_key(|(x, weight, _)| (*x / 3, std::cmp::Reverse(*weight)));
                marks.dedup_by_key(|(x, ..)| *x / 3);
                let from = marks.first().map_or(0, |(x, ..)| *x);
                let to = marks.last().map_or(0, |(x, ..)| *x);
                let marks = marks
                    .into_iter()
                    .map(|(x, weight, row)| {
                        let tall = match weight {
                            Weight::Ours | Weight::Touch => 6,
                            Weight::Probe => 14,
                            Weight::Hands => 22,
                        };
                        let href = url::with(&path.get(), &query.get_untracked(), &[("log", Some(&row.id.0.to_string()))]);
                        let title = format!(
                            "{} {} {}: {}",
                            text::clock(present.local(row.at)),
                            row.service,
                            text::event_words(&row.event_type),
                            text::ellipsis(&text::visible(&text::summary(row)), 120),
                        );
                        view! {
                            <a href=href tabindex="-1" data-noscroll="">
                                <rect class=weight.class() x=x y=24 - tall width="2.4" height=tall>
                                    <title>{title}</title>
                                </rect>
                            </a>
                        }
                    })
                    .collect_view();
                view! {
                    <li>
                        <code class="lane-name">{text::visible(&text::ellipsis(decky, 22))}</code>
                        <svg viewBox=format!("0 0 {WIDTH} 26") preserveAspectRatio="none" height="26" aria-hidden="true">
                            <path class="rail" d=format!("M0 24.5H{WIDTH}") />
                            <path class="stay" d=format!("M{from} 24.5H{}", to + 2) />
                            {marks}
                        </svg>
                    </li>
                }
            })
            .collect_view();
        let label = format!(
            "{} at {} from {} to {}",
            text::plural(u64::try_from(rows.len()).unwrap_or(0), "row", "rows"),
            text::plural(
                u64::try_from(deckies.len() + left_out).unwrap_or(0),
                "decky",
                "deckies"
            ),
            text::exact(first, None),
            text::exact(last, None),
        );
        let end = first + time::Duration::milliseconds(i64::try_from(length).unwrap_or(60_000));
        view! {
            <figure class="line" aria-label=label>
                <ol>{lanes}</ol>
                <figcaption>
                    <span>{text::short_date(present.local(first))}</span>
                    <span>
                        {(left_out > 0).then(|| format!("and {}", text::plural(u64::try_from(left_out).unwrap_or(0), "more decky", "more deckies")))}
                    </span>
                    <span>{text::short_date(present.local(end))}</span>
                </figcaption>
            </figure>
        }
        .into_any()
    }
}
