//! Who has the focus keeps it where a page is fetched anew: what they were at may be drawn anew by that, or be something else now.
//!
//! The focus then stands on what has the same `id`, else on the heading of the part of the page that it was in: the element that
//! `aria-labelledby` of the part names, which takes the focus with `tabindex="-1"`. What has neither is not found again. Of what goes by
//! being used, `data-then` says the ids of what comes after it, the best first: for who goes by the keyboard alone.

use std::cell::RefCell;

use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, FocusOptions, HtmlElement};

thread_local! {
    /// The ids of what had the focus last, and of the heading above it.
    static HELD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Note from now on what has the focus, in a browser, as long as the component lives.
pub(crate) fn note() {
    let comes = window_event_listener_untyped("focusin", |event| {
        let at = event.target().and_then(|at| at.dyn_into::<Element>().ok());
        HELD.set(at.map(|at| names(&at)).unwrap_or_default());
    });
    // Who clicks elsewhere has left it, also where nothing else takes the focus.
    let goes = window_event_listener_untyped("mousedown", |_| HELD.set(Vec::new()));
    on_cleanup(move || {
        comes.remove();
        goes.remove();
    });
}

/// The id of what has the focus, where it has one.
pub(crate) fn at() -> Option<String> {
    let at = window().document()?.active_element()?.id();
    (!at.is_empty()).then_some(at)
}

/// Put the focus on what has this id; whether there is such a thing. The page stands still: what was asked for is where the reader looks.
pub(crate) fn stand_at(id: &str) -> bool {
    let Some(found) = window()
        .document()
        .and_then(|document| document.get_element_by_id(id))
    else {
        return false;
    };
    let still = FocusOptions::new();
    still.set_prevent_scroll(true);
    // A link of a drawing is no element of HTML, and takes the focus all the same.
    let found = found.unchecked_ref::<HtmlElement>();
    if let Err(error) = found.focus_with_options(&still) {
        leptos::logging::warn!("the focus was not set: {error:?}");
    }
    true
}

/// Give the focus back, once the component that asks is in the page, if what had it went with what stood there before.
pub(crate) fn give_back() {
    Effect::new(|_| {
        request_animation_frame(|| {
            let Some(document) = window().document() else {
                return;
            };
            let is_lost = document.active_element().is_none_or(|at| at.tag_name() == "BODY");
            if !is_lost {
                return;
            }
            let held = HELD.with_borrow(Clone::clone);
            for id in held {
                if stand_at(&id) {
                    break;
                }
            }
        });
    });
}

/// By which ids an element is found again, the best first.
fn names(at: &Element) -> Vec<String> {
    let part = at.closest("[aria-labelledby]").ok().flatten();
    let heading = part.and_then(|part| part.get_attribute("aria-labelledby"));
    let own = Some(at.id()).filter(|id| !id.is_empty());
    let by_keyboard = at.matches(":focus-visible").unwrap_or(false);
    let then = at.get_attribute("data-then").filter(|_| by_keyboard);
    let then = then.unwrap_or_default();
    let then = then.split_whitespace().map(str::to_owned);
    own.into_iter().chain(then).chain(heading).collect()
}
