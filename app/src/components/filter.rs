//! Filters that live in the URL: the form that sets them, and the chips that show them and take them away.

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
};
use wasm_bindgen::JsCast as _;

use super::icon::{Icon, Mark};
use crate::url;

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

/// What is filtered by, each with a way to take it away.
#[component]
pub(crate) fn Chips(filters: &'static [(&'static str, &'static str)]) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let set = Memo::new(move |_| {
        query.with(|q| {
            filters
                .iter()
                .filter_map(|(key, words)| Some((*key, *words, url::value(q, key)?)))
                .collect::<Vec<_>>()
        })
    });
    move || {
        {
        let set = set.get();
        (!set.is_empty()).then(|| {
            let cleared: Vec<_> = set.iter().map(|(key, ..)| (*key, None)).collect();
            let all = url::with(&path.get(), &query.get(), &cleared);
            let several = set.len() > 1;
            view! {
                <ul class="chips" aria-label="Filters that are set">
                    {set
                        .into_iter()
                        .map(|(key, words, value)| {
                            let without = url::with(&path.get(), &query.get(), &[(key, None)]);
                            let label = format!("Remove the filter {words} {value}");
                            view! {
                                <li class="chip">
                                    <span class="chip-key">{words}</span>
                                    <bdi dir="auto">{crate::text::ellipsis(&crate::text::visible(&value), 40)}</bdi>
                                    <a href=without aria-label=label data-noscroll="">
                                        <Mark icon=Icon::Close />
                                    </a>
                                </li>
                            }
                        })
                        .collect_view()}
                    {several.then(|| view! { <li><a class="clear" href=all data-noscroll="">"clear all"</a></li> })}
                </ul>
            }
        })
    }
    .into_any()
    }
}
