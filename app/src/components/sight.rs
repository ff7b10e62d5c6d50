//! Whoever has to know what is seen: called when anything is scrolled or the window changes its size, at most once a frame.

use std::{cell::RefCell, collections::BTreeMap};

use leptos::prelude::*;
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};

/// What the browser calls.
type Listener = Closure<dyn FnMut(web_sys::Event)>;

/// What anything seen depends on.
const EVENTS: [&str; 2] = ["scroll", "resize"];

thread_local! {
    /// Who listens. Not a signal: on the server a component may end in another thread than it began in.
    static LISTENERS: RefCell<BTreeMap<u32, Listener>> = const { RefCell::new(BTreeMap::new()) };
}

/// Call `look` after each change of what is seen, and once to begin with, as long as the component lives. In a browser.
pub(crate) fn watch(look: impl Fn() + Clone + 'static) {
    let number = StoredValue::new(None::<u32>);
    Effect::new(move |_| {
        look();
        let waiting = RwSignal::new(false);
        let look = look.clone();
        let listener = Listener::new(move |_| {
            if waiting.try_get_untracked().unwrap_or(true) {
                return;
            }
            waiting.set(true);
            let look = look.clone();
            request_animation_frame(move || {
                if waiting.try_set(false).is_none() {
                    look();
                }
            });
        });
        number.set_value(Some(listen(listener)));
    });
    on_cleanup(move || {
        if let Some(number) = number.try_get_value().flatten() {
            forget(number);
        }
    });
}

fn listen(listener: Listener) -> u32 {
    if let Err(err) = each(|window, event| {
        // What scrolls may be any element, and scrolling does not bubble: only on the way down it is heard everywhere.
        window.add_event_listener_with_callback_and_bool(event, listener.as_ref().unchecked_ref(), true)
    }) {
        leptos::logging::warn!("what is scrolled is not heard: {err:?}");
    }
    LISTENERS.with_borrow_mut(|all| {
        let number = all.last_key_value().map_or(0, |(last, _)| last + 1);
        all.insert(number, listener);
        number
    })
}

fn forget(number: u32) {
    let Some(listener) = LISTENERS.with_borrow_mut(|all| all.remove(&number)) else {
        return;
    };
    if let Err(err) = each(|window, event| {
        window.remove_event_listener_with_callback_and_bool(event, listener.as_ref().unchecked_ref(), true)
    }) {
        leptos::logging::warn!("what is scrolled is still heard: {err:?}");
    }
}

fn each(act: impl Fn(&web_sys::Window, &str) -> Result<(), JsValue>) -> Result<(), JsValue> {
    let Some(window) = web_sys::window() else {
        return Ok(());
    };
    EVENTS.iter().try_for_each(|event| act(&window, event))
}
