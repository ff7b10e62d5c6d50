//! What a machine or an intruder said: always text, its direction its own, its tricks made visible; and the button
//! that copies it.

use std::time::Duration;

use leptos::{html, prelude::*, task::spawn_local};
use wasm_bindgen_futures::JsFuture;

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

/// Characters at the end of an address, or of another value without a space, that are always shown; the style sheet knows the number, too.
const ADDRESS_END: usize = 5;
/// Characters from which on a value without a space is one that is told from others by its ends: a hash, a key, a token.
const HASH: usize = 24;

/// The address of a machine. Where there is no room for all of it, its middle is left out: long ones of one network differ at
/// the end.
#[component]
pub(crate) fn Address(#[prop(into)] ip: String) -> impl IntoView {
    let parts = ip
        .contains(':')
        .then(|| ip.split_at_checked(ip.len().saturating_sub(ADDRESS_END)))
        .flatten()
        .map(|(start, end)| (start.to_owned(), end.to_owned()));
    match parts {
        Some((start, end)) => {
            view! { <code class="address" title=ip><span>{start}</span>{end}</code> }.into_any()
        }
        None => view! { <code>{ip}</code> }.into_any(),
    }
}

/// Text of an intruder in one line, as [`Said`] shows it. Where it ends in a long word, as hashes and keys are, it loses what has no room before its
/// last letters.
#[component]
pub(crate) fn Ends(#[prop(into)] text: String, max: usize) -> impl IntoView {
    let whole = text::visible(&text);
    match parts_of(&text::ellipsis(&whole, max)) {
        Some((start, end)) => {
            let title = text::ellipsis(&whole, 600);
            view! { <code class="address"><bdi class="said" dir="auto" title=title><span>{start}</span>{end}</bdi></code> }.into_any()
        }
        None => view! { <code><Said text=text max=max /></code> }.into_any(),
    }
}

/// A text whose last word is long, in what may be cut and what is always shown. What is not all ASCII may be written the other way round, and
/// is not taken apart.
fn parts_of(text: &str) -> Option<(String, String)> {
    let last = text.rsplit(' ').next().unwrap_or_default();
    let plain = text.chars().all(|c| c == '…' || c.is_ascii_graphic() || c == ' ');
    if last.chars().count() < HASH || !plain {
        return None;
    }
    let (start, end) = text.split_at_checked(text.len().checked_sub(ADDRESS_END)?)?;
    Some((start.to_owned(), end.to_owned()))
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

/// A button that puts `text` on the clipboard, and says whether it is there. Where the browser does not let a page do that (without a
/// secure connection none does), the text stands there marked, for the reader to copy.
#[component]
pub(crate) fn CopyButton(
    #[prop(into)] text: String,
    /// What is copied, for those who do not see the icon.
    #[prop(into)]
    what: String,
) -> impl IntoView {
    let done = RwSignal::new(false);
    let by_hand = RwSignal::new(false);
    let label = format!("Copy {what}");
    let text = StoredValue::new(text);
    let copy = move |event: web_sys::MouseEvent| {
        event.stop_propagation();
        event.prevent_default();
        let text = text.get_value();
        spawn_local(async move {
            // The button may be gone by then.
            if is_copied(&text).await {
                done.try_set(true);
                set_timeout(
                    move || {
                        done.try_set(false);
                    },
                    Duration::from_millis(1_400),
                );
            } else {
                by_hand.try_set(true);
            }
        });
    };
    view! {
        <button type="button" class="copy" class:done=done on:click=copy aria-label=label>
            <Mark icon=Icon::Copy />
            <span class="copied" role="status">{move || if done.get() { "copied" } else { "" }}</span>
        </button>
        {move || by_hand.get().then(|| view! { <ByHand text=text.get_value() by_hand /> })}
    }
    .into_any()
}

/// Whether the browser put `text` on the clipboard.
async fn is_copied(text: &str) -> bool {
    let Some(window) = web_sys::window() else {
        return false;
    };
    let clipboard = window.navigator().clipboard();
    !clipboard.is_undefined() && JsFuture::from(clipboard.write_text(text)).await.is_ok()
}

/// A text for the reader to copy: marked, until they are somewhere else.
#[component]
fn ByHand(text: String, by_hand: RwSignal<bool>) -> impl IntoView {
    let node = NodeRef::<html::Textarea>::new();
    Effect::new(move |_| {
        if let Some(field) = node.get() {
            drop(field.focus());
            field.select();
        }
    });
    view! {
        <label class="by-hand">
            <span>"This browser lets no page copy here. It is marked: copy it with Ctrl C."</span>
            <textarea node_ref=node readonly rows="3" spellcheck="false" on:blur=move |_| by_hand.set(false)>{text}</textarea>
        </label>
    }
    .into_any()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_by_its_ends_keeps_them() {
        let hash = "92674389fa1e47a27ddd8d9b63ecd42b";
        let parts = |text: &str| parts_of(text).map(|(start, end)| (start.len(), end));
        assert_eq!(parts(&format!("hassh {hash}")), Some((33, "cd42b".to_owned())));
        assert_eq!(parts(hash), Some((27, "cd42b".to_owned())));
        assert_eq!(parts("cat /etc/passwd"), None);
        assert_eq!(parts(&format!("{hash} is its hash")), None);
        assert_eq!(parts(&format!("שלום{hash}")), None);
        assert_eq!(parts(""), None);
    }
}
