//! Filters that live in the URL: the form that sets them, and the chips that show them and take them away.

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
};
use wasm_bindgen::JsCast as _;

use super::{
    focus,
    icon::{Icon, Mark},
    range,
    when::use_present,
};
use crate::{piece::parts, text, url};

/// A form of filters. Without JavaScript it is a GET form; with it, every change goes into the URL at once.
#[component]
pub(crate) fn FilterForm(
    /// The parameters that its fields set; every other stays as it is.
    fields: &'static [&'static str],
    /// What it is, for a screen reader.
    label: &'static str,
    children: Children,
) -> impl IntoView {
    let navigate = use_navigate();
    let location = use_location();
    let query = use_query_map();
    let path = location.pathname;
    let apply = move |form: web_sys::HtmlFormElement| {
        let Ok(data) = web_sys::FormData::new_with_form(&form) else {
            return;
        };
        let values: Vec<_> = fields
            .iter()
            .map(|field| (*field, data.get(field).as_string()))
            .collect();
        let mut changes: Vec<_> = values
            .iter()
            .map(|(field, value)| (*field, value.as_deref()))
            .collect();
        changes.push(("log", None));
        let to = url::with(&path.get_untracked(), &query.get_untracked(), &changes);
        navigate(
            &to,
            NavigateOptions {
                scroll: false,
                ..NavigateOptions::default()
            },
        );
    };
    let on_change = {
        let apply = apply.clone();
        move |event: web_sys::Event| {
            let field = event.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
            if let Some(Ok(Some(form))) = field.map(|f| f.closest("form"))
                && let Ok(form) = form.dyn_into()
            {
                apply(form);
            }
        }
    };
    let on_submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        if let Some(form) = event.target().and_then(|t| t.dyn_into().ok()) {
            apply(form);
        }
    };
    // Without scripts the form carries along what it has no field for.
    let others = query.with_untracked(|q| {
        q.clone()
            .into_iter()
            .filter(|(key, _)| !fields.contains(&key.as_ref()) && key != url::BEFORE)
            .map(|(key, value)| (key.to_string(), value))
            .collect::<Vec<_>>()
    });
    view! {
        <form
            class="filters"
            method="get"
            action=move || path.get()
            role="search"
            aria-label=label
            on:change=on_change
            on:submit=on_submit
        >
            {children()}
            {others.into_iter().map(|(key, value)| view! { <input type="hidden" name=key value=value /> }).collect_view()}
            <noscript>
                <button type="submit" class="button">"Apply"</button>
            </noscript>
        </form>
    }
    .into_any()
}

/// The id of the field for text; a page has one.
const SEARCH: &str = "field-search";

/// A field for text of a [`FilterForm`].
#[component]
pub(crate) fn SearchField(name: &'static str, placeholder: &'static str) -> impl IntoView {
    let query = use_query_map();
    let value = move || query.with(|q| q.get(name).unwrap_or_default());
    view! {
        <label class="search">
            <Mark icon=Icon::Search />
            <span class="sr">{placeholder}</span>
            <input
                id=SEARCH
                type="search"
                name=name
                placeholder=placeholder
                maxlength="512"
                autocomplete="off"
                spellcheck="false"
                data-search=""
                value=value
                prop:value=value
            />
        </label>
    }
    .into_any()
}

/// A field for a name or an address of a [`FilterForm`].
#[component]
pub(crate) fn WordField(
    name: &'static str,
    label: &'static str,
    /// The most characters.
    most: u32,
) -> impl IntoView {
    let query = use_query_map();
    let value = move || query.with(|q| q.get(name).unwrap_or_default());
    view! {
        <label class="source">
            <span class="sr">{label}</span>
            <input name=name placeholder=label.to_lowercase() maxlength=most autocomplete="off" spellcheck="false" value=value prop:value=value />
        </label>
    }
    .into_any()
}

/// A choice of a [`FilterForm`]: value and words. The empty value is `any`.
#[component]
pub(crate) fn Choice(
    name: &'static str,
    label: &'static str,
    #[prop(into)] any: String,
    #[prop(into)] options: Signal<Vec<(String, String)>>,
) -> impl IntoView {
    let query = use_query_map();
    let chosen = Memo::new(move |_| query.with(|q| q.get(name).unwrap_or_default()));
    let all = move || {
        let mut all = options.get();
        let chosen = chosen.get();
        // What the URL says is offered even where the list does not have it: a filter that is set must be seen.
        if !chosen.is_empty() && !all.iter().any(|(value, _)| *value == chosen) {
            all.push((chosen.clone(), chosen));
        }
        all
    };
    view! {
        <label class="choice">
            <span class="sr">{label}</span>
            <select name=name class:set=move || !chosen.get().is_empty() prop:value=move || { all(); chosen.get() }>
                <option value="">{any}</option>
                {move || {
                    all()
                        .into_iter()
                        .map(|(value, words)| {
                            let is = value == chosen.get();
                            view! {
                                <option value=value selected=is>
                                    {words}
                                </option>
                            }
                        })
                        .collect_view()
                }}
            </select>
            <Mark icon=Icon::Down />
        </label>
    }
    .into_any()
}

/// A filter that is set: its parameter, the word for it, and its value.
type Filter = (&'static str, &'static str, String);

/// What is filtered by, each with a way to take it away. How that looks comes with a page on which anything is set.
#[component]
pub(crate) fn Chips(filters: &'static [(&'static str, &'static str)]) -> impl IntoView {
    let query = use_query_map();
    let set = Memo::new(move |_| {
        let mut set: Vec<Filter> = Vec::new();
        query.with(|q| {
            for (key, words) in filters {
                // What is no time is left out, and said to be.
                let value = url::value(q, key).filter(|value| url::is_read(key, value));
                set.extend(value.map(|value| (*key, *words, value)));
            }
        });
        set
    });
    let chips = move || {
        let set = set.get();
        focus::give_back();
        (!set.is_empty()).then(|| {
            let chips = CHIPS.shown();
            view! { {move || chips.get().map(|chips| chips(set.clone()))} }.into_any()
        })
    };
    view! { {move || chips()} }.into_any()
}

parts! {
    pub(crate) CHIPS: fn(Vec<Filter>) -> AnyView = chips: |set| view! { <SetFilters set /> }.into_any();
}

/// What takes the focus where no chip is left.
const LAST_OF_ALL: [&str; 2] = [SEARCH, "main"];

/// The id of the link that takes away the chip with these words.
fn chip_id(words: &str) -> String {
    format!("chip-{}", words.replace(' ', "-"))
}

#[component]
fn SetFilters(set: Vec<Filter>) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let present = use_present();
    let without = move |keys: &[&'static str]| {
        let changes: Vec<_> = keys.iter().map(|key| (*key, None)).collect();
        url::with(&path.get(), &query.get(), &changes)
    };
    let keys: Vec<_> = set.iter().map(|(key, ..)| *key).collect();
    let (times, others): (Vec<_>, Vec<_>) = set.into_iter().partition(|(key, ..)| url::TIMES.contains(key));
    // A time is one thing, in the words and the zone of the choice in the top bar, however many parameters say it.
    let time = (!times.is_empty()).then(|| {
        let words = Signal::derive(move || query.with(|q| range::words(q, present)));
        (url::TIMES.to_vec(), "time", words)
    });
    let others = others.into_iter().map(|(key, words, value)| {
        let value = text::ellipsis(&text::visible(&value), 40);
        (vec![key], words, Signal::stored(value))
    });
    let chips: Vec<_> = others.chain(time).collect();
    let ids: Vec<_> = chips.iter().map(|(_, words, _)| chip_id(words)).collect();
    // Where the focus goes when a chip is taken away: to the next one, or one before, or where there is none to what filters.
    let then = |taken: usize| {
        let (before, rest) = ids.split_at(taken.min(ids.len()));
        let after = rest.iter().skip(1).chain(before.iter().rev());
        let mut then: Vec<_> = after.map(String::as_str).collect();
        then.extend(LAST_OF_ALL);
        then.join(" ")
    };
    let thens: Vec<_> = (0..ids.len()).map(then).collect();
    let all = (chips.len() > 1).then(|| {
        view! {
            <li>
                <a id="chips-clear" class="clear" href=move || without(&keys) data-noscroll="" data-then=LAST_OF_ALL.join(" ")>
                    "clear all"
                </a>
            </li>
        }
        .into_any()
    });
    view! {
        <ul class="chips" aria-label="Filters that are set">
            {chips
                .into_iter()
                .zip(thens)
                .map(|((keys, words, value), then)| {
                    let label = move || format!("Remove the filter {words} {}", value.get());
                    view! {
                        <li class="chip">
                            <span class="chip-key">{words}</span>
                            <bdi dir="auto">{value}</bdi>
                            <a id=chip_id(words) href=move || without(&keys) aria-label=label data-noscroll="" data-then=then>
                                <Mark icon=Icon::Close />
                            </a>
                        </li>
                    }
                    .into_any()
                })
                .collect::<Vec<_>>()}
            {all}
        </ul>
    }
    .into_any()
}
