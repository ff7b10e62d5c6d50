//! What opens beside or above a page, each in its states: named by `?show=`, as on the pages, so that it takes the keyboard as it
//! does there.

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};

use super::sample;
use crate::{
    api::FaultKind,
    components::{
        dialog::Dialog,
        drawer::Drawer,
        glyph::Glyph,
        notice::{Empty, Loading, Problem},
        palette::{Choose, Entry},
        said::CopyButton,
        when::Ago,
    },
    pages::login::FormFault,
    text, url,
};

/// The page without any of it.
const HERE: &str = "/gallery";

/// Each word of `?show=`.
const SHOWN: &[(&str, &str)] = &[
    ("drawer", "Drawer"),
    ("drawer-loading", "Drawer, loading"),
    ("drawer-nothing", "Drawer of what is gone"),
    ("drawer-problem", "Drawer, trouble"),
    ("dialog", "Dialog"),
    ("dialog-danger", "Dialog before the worst"),
    ("dialog-loading", "Dialog, loading"),
    ("dialog-fault", "Dialog, refused"),
    ("palette", "Palette"),
    ("palette-nothing", "Palette, nothing fits"),
];

/// The way to each. They are rows, so that `j` and `k` lead from drawer to drawer.
#[component]
pub(super) fn Ways() -> impl IntoView {
    let ways = SHOWN.iter().map(|(show, words)| {
        let href = format!("{HERE}?show={show}");
        view! { <a class="button" href=href data-row=*show data-noscroll="">{*words}</a> }
    });
    view! {
        <p class="inline-form">
            {ways.collect_view()}
            <a class="button" href=format!("{HERE}?help=keys") data-noscroll="">"Shortcuts"</a>
        </p>
    }
    .into_any()
}

/// What the URL names.
#[component]
pub(super) fn Above() -> impl IntoView {
    let query = use_query_map();
    let shown = Memo::new(move |_| query.with(|q| url::value(q, "show")));
    move || {
        let shown = shown.get()?;
        let (_, words) = SHOWN.iter().find(|(show, _)| *show == shown)?;
        let (kind, state) = shown.split_once('-').unwrap_or((&shown, ""));
        Some(match kind {
            "drawer" => drawer(&shown, state),
            "dialog" => dialog(words, state),
            _ => view! { <Places nothing=state == "nothing" /> }.into_any(),
        })
    }
}

fn drawer(row: &str, state: &str) -> AnyView {
    let close = Signal::stored(HERE.to_owned());
    let inside = match state {
        "loading" => view! { <Loading /> }.into_any(),
        "nothing" => view! { <Empty title="No such decky" hint="It is not in the fleet, or no more. What it recorded stays in the log." /> }.into_any(),
        "problem" => view! { <Problem fault=sample::fault(FaultKind::Internal) /> }.into_any(),
        _ => view! {
            <p class="drawer-ways">
                <a class="button primary" href=HERE>"Everything about it"</a>
                <a class="button" href=HERE>"Log"</a>
            </p>
            <dl class="facts">
                <dt>"Address"</dt>
                <dd>
                    <span class="who"><Glyph seed="fingerprint 1" size=24 /><code>"192.0.2.7"</code></span>
                    <CopyButton text="192.0.2.7" what="address" />
                </dd>
                <dt>"Last"</dt>
                <dd><Ago at=text::now() /><span class="exact">{text::exact(text::now(), None)}</span></dd>
                <dt>"Events"</dt>
                <dd>"48,213"</dd>
            </dl>
            <h3>"Line" <CopyButton text="a line" what="line" /></h3>
            <div class="raw">"<134>1 2026-11-20T12:00:00Z web-01 ssh - command - "{"a".repeat(300)}</div>
        }
        .into_any(),
    };
    view! { <Drawer title="A row" row=row close=close>{inside}</Drawer> }.into_any()
}

fn dialog(title: &str, state: &str) -> AnyView {
    let close = Signal::stored(HERE.to_owned());
    let danger = state == "danger";
    let fault = (state == "fault").then(|| sample::fault(FaultKind::Invalid));
    let inside = if state == "loading" {
        view! { <Loading rows=5 /> }.into_any()
    } else {
        view! {
            <ul class="named"><li><code>"web-01"</code></li><li><code>"db-01"</code><span class="muted">" is not there"</span></li></ul>
            <p>"Stops 2 deckies with 5 services, ends 1 live session, and gives the addresses back. What they recorded stays."</p>
            {danger
                .then(|| {
                    view! {
                        <div class="form">
                            <label><span>"Type " <b>"all"</b> " to confirm"</span><input autocomplete="off" spellcheck="false" /></label>
                        </div>
                    }
                })}
            <FormFault fault=move || fault.clone() />
            <footer>
                <a class="button" href=HERE data-noscroll="">"Cancel"</a>
                <button type="button" class="button primary" class:danger=danger>"Take down"</button>
            </footer>
        }
        .into_any()
    };
    view! { <Dialog title=title close=close>{inside}</Dialog> }.into_any()
}

/// The palette, over entries of its own.
#[component]
fn Places(nothing: bool) -> impl IntoView {
    let open = RwSignal::new(true);
    let navigate = use_navigate();
    Effect::new(move |_| {
        if !open.get() {
            let here = NavigateOptions {
                scroll: false,
                ..NavigateOptions::default()
            };
            navigate(HERE, here);
        }
    });
    let entries: Vec<Entry> = if nothing {
        sample::entries().into_iter().rev().take(1).collect()
    } else {
        sample::entries()
    };
    view! { <Choose open=open typed=RwSignal::new(String::new()) entries=Signal::stored(entries) /> }
        .into_any()
}
