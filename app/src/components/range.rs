//! Which time the pages show: chosen in the top bar or by dragging over a drawing, kept in the URL, carried from page to page.

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
    params::ParamsMap,
};
use time::{Duration, OffsetDateTime};
use wasm_bindgen::JsCast as _;

use super::{
    icon::{Icon, Mark},
    when::{Present, moment, use_present},
};
use crate::{text, url};

/// The time that was last chosen, for the links between pages.
#[derive(Clone, Copy)]
pub(crate) struct Carried(Memo<Vec<(&'static str, String)>>);

impl Carried {
    pub(crate) fn new() -> Self {
        let query = use_query_map();
        let path = use_location().pathname;
        Self(Memo::new(move |before: Option<&Vec<_>>| {
            let path = path.get();
            // One attacker's page looks at a part of what they did, which is of no use elsewhere.
            if url::is_timed(&path) && !path.starts_with("/attackers/") {
                query.with(|q| {
                    let set = url::TIMES
                        .iter()
                        .filter_map(|key| Some((*key, url::value(q, key)?)));
                    set.collect()
                })
            } else {
                before.cloned().unwrap_or_default()
            }
        }))
    }

    /// [`Carried::on`], as it is at any time.
    pub(crate) fn to(self, href: &str) -> Signal<String> {
        let href = href.to_owned();
        Signal::derive(move || self.on(&href))
    }

    /// `href`, with the time that is shown if the page there shows one.
    pub(crate) fn on(self, href: &str) -> String {
        let (path, query) = href.split_once('?').unwrap_or((href, ""));
        if !url::is_timed(path) {
            return href.to_owned();
        }
        let mut out = href.to_owned();
        let own = |key: &str| query.split('&').any(|pair| pair.split('=').next() == Some(key));
        for (key, value) in self.0.get() {
            if !own(key) {
                let and = if out.contains('?') { '&' } else { '?' };
                out.push_str(&format!("{and}{key}={}", url::escape(&value)));
            }
        }
        out
    }
}

/// What was last chosen; nothing outside of the frame.
pub(crate) fn use_carried() -> Carried {
    use_context::<Carried>().unwrap_or_else(|| Carried(Memo::new(|_| Vec::new())))
}

/// How long the time lasts that `params` name, where it ends now and has no start of its own: that moves.
fn lasting(params: &ParamsMap) -> Option<Duration> {
    let is_set = |key| {
        url::value(params, key)
            .as_deref()
            .and_then(text::parse_time)
            .is_some()
    };
    let last = url::value(params, "last").filter(|_| !is_set("start_time") && !is_set("end_time"))?;
    url::span(&last)
}

/// The start of the time that `params` name, where it moves: as it is at any time.
pub(crate) fn moving_start(params: &ParamsMap) -> Signal<Option<OffsetDateTime>> {
    let lasting = lasting(params);
    let counted = use_present().counted();
    Signal::derive(move || Some(counted.get() - lasting?))
}

/// The time that `params` name, in words.
pub(crate) fn words(params: &ParamsMap, present: Present) -> String {
    if let Some(last) = url::value(params, "last")
        && let Some((_, words)) = url::SPANS.iter().find(|(word, _)| *word == last)
    {
        return format!("Last {words}");
    }
    let at = |key| {
        url::value(params, key)
            .as_deref()
            .and_then(text::parse_time)
            .map(|at| present.local(at))
    };
    match (at("start_time"), at("end_time")) {
        (None, None) => "Any time".to_owned(),
        (Some(start), None) => format!("Since {}", text::short_date(start)),
        (None, Some(end)) => format!("Until {}", text::short_date(end)),
        (Some(start), Some(end)) if start.date() == end.date() => {
            format!("{} to {}", text::short_date(start), text::clock_minutes(end))
        }
        (Some(start), Some(end)) => format!("{} to {}", text::short_date(start), text::short_date(end)),
    }
}

/// The choice in the top bar, on pages that show a time.
#[component]
pub(crate) fn TimeRange() -> impl IntoView {
    let path = use_location().pathname;
    let shown = Memo::new(move |_| url::is_timed(&path.get()));
    view! { {move || shown.get().then(|| view! { <RangeMenu /> }.into_any())} }.into_any()
}

/// The choice.
#[component]
pub(crate) fn RangeMenu() -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let present = use_present();
    let words = Memo::new(move |_| query.with(|q| words(q, present)));
    let class = Signal::derive(move || {
        let class = if words.get() == "Any time" {
            "button"
        } else {
            "button on"
        };
        class.to_owned()
    });
    let label = Signal::derive(move || format!("Time: {}", words.get()));
    let to = move |last: Option<&'static str>| {
        url::with(
            &path.get(),
            &query.get(),
            &[
                ("last", last),
                ("start_time", None),
                ("end_time", None),
                ("log", None),
            ],
        )
    };
    let spans = move || {
        let chosen = query.with(|q| url::value(q, "last"));
        let ever = query.with(|q| url::TIMES.iter().all(|key| url::value(q, key).is_none()));
        let any = (to(None), ever, "Any time".to_owned());
        let rest = url::SPANS.iter().map(|(word, words)| {
            let is = chosen.as_deref() == Some(*word);
            (to(Some(word)), is, format!("Last {words}"))
        });
        let all = std::iter::once(any).chain(rest);
        all.map(|(href, is, words)| {
            view! { <a href=href aria-current=is.then_some("true") data-noscroll="">{words}</a> }.into_any()
        })
        .collect::<Vec<_>>()
    };
    view! {
        <details class="menu range">
                    <summary class=class aria-label=label>
                        <Mark icon=Icon::Clock />
                        <span class="range-words">{move || words.get()}</span>
                    </summary>
                    <div class="menu-body">
                        {move || spans()}
                        <Own />
                    </div>
                </details>
    }
    .into_any()
}

/// A time of one's own, from and until.
#[component]
fn Own() -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let present = use_present();
    let navigate = use_navigate();
    let field = move |key: &'static str| {
        Signal::derive(move || {
            let at = query
                .with(|q| url::value(q, key))
                .as_deref()
                .and_then(text::parse_time);
            at.map(|at| text::field_time(present.local(at)))
                .unwrap_or_default()
        })
    };
    let (start, end) = (field("start_time"), field("end_time"));
    let action = Signal::derive(move || path.get());
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let form = event
            .target()
            .and_then(|t| t.dyn_into::<web_sys::HtmlFormElement>().ok());
        let Some(Ok(data)) = form.map(|form| web_sys::FormData::new_with_form(&form)) else {
            return;
        };
        let at = |key| Some(text::rfc3339(moment(&data.get(key).as_string()?)?));
        let (start, end) = (at("start_time"), at("end_time"));
        let changes = [
            ("start_time", start.as_deref()),
            ("end_time", end.as_deref()),
            ("last", None),
            ("log", None),
        ];
        let to = url::with(&path.get_untracked(), &query.get_untracked(), &changes);
        navigate(
            &to,
            NavigateOptions {
                scroll: false,
                ..NavigateOptions::default()
            },
        );
    };
    // Without scripts the form carries the other filters along by itself.
    let others = move || {
        let others = query
            .get()
            .into_iter()
            .filter(|(key, _)| !url::TIMES.contains(&key.as_ref()));
        others
            .map(|(key, value)| view! { <input type="hidden" name=key.to_string() value=value /> }.into_any())
            .collect::<Vec<_>>()
    };
    // What is chosen may be on the other side of a change of clocks, and is taken so.
    let zone = Memo::new(move |_| match present.zone(present.now.get()) {
        Some(zone) if !zone.is_utc() => {
            let (hours, minutes, _) = zone.as_hms();
            format!("in your zone, now UTC{hours:+03}:{:02}", minutes.unsigned_abs())
        }
        // Some zones are at UTC for a part of the year only.
        Some(_) => "in your zone, now UTC".to_owned(),
        None => "in UTC".to_owned(),
    });
    view! {
        <form class="range-own" method="get" action=action on:submit=submit aria-label="A time of your own">
            {move || others()}
            <label><span>"From"</span><input type="datetime-local" name="start_time" value=start prop:value=start /></label>
            <label><span>"Until"</span><input type="datetime-local" name="end_time" value=end prop:value=end /></label>
            <div class="range-foot">
                <span class="menu-note">{move || zone.get()}</span>
                <button type="submit" class="button">"Show"</button>
            </div>
        </form>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_moves_where_the_url_says_how_long_and_no_moment() {
        let of = |pairs: &[(&'static str, &str)]| {
            lasting(
                &pairs
                    .iter()
                    .map(|(key, value)| (*key, (*value).to_owned()))
                    .collect(),
            )
        };
        assert_eq!(
            of(&[("last", "15m"), ("service", "ssh")]),
            Some(Duration::minutes(15))
        );
        assert_eq!(
            of(&[("last", "15m"), ("start_time", "yesterday")]),
            Some(Duration::minutes(15))
        );
        assert_eq!(
            of(&[("last", "15m"), ("start_time", "2026-11-20T12:00:00Z")]),
            None
        );
        assert_eq!(of(&[("last", "15m"), ("end_time", "2026-11-20T12:00:00Z")]), None);
        assert_eq!(of(&[("last", "forever")]), None);
        assert_eq!(of(&[]), None);
    }
}
