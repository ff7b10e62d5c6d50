//! What a machine or an intruder said: always text, its direction its own, its tricks made visible; and the button
//! that copies it.

use leptos::prelude::*;

use super::icon::{Icon, Mark};
use crate::text;

/// Text of an intruder. `max` characters of it are shown, the middle left out; the whole is in the tooltip.
#[component]
pub(crate) fn Said(#[prop(into)] text: String, #[prop(optional)] max: Option<usize>) -> impl IntoView {
    let whole = text::visible(&text);
    let shown = max.map_or_else(|| whole.clone(), |max| text::ellipsis(&whole, max));
    let title = (shown != whole).then(|| text::ellipsis(&whole, 600));
    view! { <bdi class="said" dir="auto" title=title>{shown}</bdi> }
}

/// Characters up to which a text of an intruder is shown whole without being asked for.
const LONG: usize = 600;

/// Text of an intruder that may be long: then its start and its end, and the whole on demand.
#[component]
pub(crate) fn Long(#[prop(into)] text: String) -> impl IntoView {
    let length = text.chars().count();
    let rest = (length > LONG).then(|| {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        view! {
            <details class="whole">
                <summary>{format!("all {}", text::plural(length, "character", "characters"))}</summary>
                <code><Said text=text.clone() /></code>
            </details>
        }
    });
    view! {
        <code><Said text=text max=LONG /></code>
        {rest}
    }
    .into_any()
}

/// A button that puts `text` on the clipboard, and says so.
#[component]
pub(crate) fn CopyButton(
    #[prop(into)] text: String,
    /// What is copied, for those who do not see the icon.
    #[prop(into)]
    what: String,
) -> impl IntoView {
    let done = RwSignal::new(false);
    let copy = move |event: web_sys::MouseEvent| {
        event.stop_propagation();
        event.prevent_default();
        let Some(window) = web_sys::window() else { return };
        // The promise's outcome is not waited for: a browser that refuses says so itself.
        drop(window.navigator().clipboard().write_text(&text));
        done.set(true);
        set_timeout(move || done.set(false), std::time::Duration::from_millis(1_400));
    };
    view! {
        <button type="button" class="copy" class:done=done on:click=copy aria-label=format!("Copy {what}")>
            <Mark icon=Icon::Copy />
            <span class="copied" role="status">{move || if done.get() { "copied" } else { "" }}</span>
        </button>
    }
}

/// A command to run in a terminal, with its copy button.
#[component]
pub(crate) fn Command(#[prop(into)] text: String) -> impl IntoView {
    view! {
        <span class="command">
            <code>{text.clone()}</code>
            <CopyButton text=text what="command" />
        </span>
    }
}
