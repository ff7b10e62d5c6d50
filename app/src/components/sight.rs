//! Whoever has to know what is seen: called when anything is scrolled, or changes its size, at most once a frame; and as long as the page
//! itself is looked at.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use leptos::prelude::*;
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};

/// What anything seen depends on.
const EVENTS: [&str; 2] = ["scroll", "resize"];

/// Leaves alone again what was watched.
type End = Box<dyn FnOnce()>;

thread_local! {
    /// For each that watches. Not a signal: on the server a component may end in another thread than it began in.
    static ENDS: RefCell<BTreeMap<u32, End>> = const { RefCell::new(BTreeMap::new()) };
}

/// Call `look` after each change of what is seen, and once to begin with, as long as the component lives. In a browser.
pub(crate) fn watch(look: impl Fn() + Clone + 'static) {
    while_alive(move || {
        look();
        let look = once_a_frame(look.clone());
        let listener = Closure::<dyn FnMut(web_sys::Event)>::new(move |_| look());
        let heard = each_event(|window, event| {
            // What scrolls may be any element, and scrolling does not bubble: only on the way down it is heard everywhere.
            window.add_event_listener_with_callback_and_bool(event, listener.as_ref().unchecked_ref(), true)
        });
        if let Err(err) = heard {
            leptos::logging::warn!("what is scrolled is not heard: {err:?}");
        }
        Box::new(move || {
            let left = each_event(|window, event| {
                window.remove_event_listener_with_callback_and_bool(
                    event,
                    listener.as_ref().unchecked_ref(),
                    true,
                )
            });
            if let Err(err) = left {
                leptos::logging::warn!("what is scrolled is still heard: {err:?}");
            }
        })
    });
}

/// Call `look` after each change of the size of one of the `elements`, which are asked for once, as long as the component lives. In a
/// browser.
pub(crate) fn watch_sizes(
    elements: impl Fn() -> Vec<web_sys::Element> + 'static,
    look: impl Fn() + Clone + 'static,
) {
    while_alive(move || {
        let callback = Closure::<dyn FnMut()>::new(once_a_frame(look.clone()));
        match web_sys::ResizeObserver::new(callback.as_ref().unchecked_ref()) {
            Ok(observer) => {
                for element in elements() {
                    observer.observe(&element);
                }
                Box::new(move || {
                    observer.disconnect();
                    drop(callback);
                })
            }
            Err(err) => {
                leptos::logging::warn!("what changes its size is not seen: {err:?}");
                Box::new(|| ())
            }
        }
    });
}

/// Call `act` every so often while the page is looked at, and at once when it is looked at again, as long as the component lives. In a
/// browser.
pub(crate) fn while_looked_at(every: Duration, act: impl Fn() + Clone + 'static) {
    while_alive(move || {
        let act = act.clone();
        let look = move || {
            let document = web_sys::window().and_then(|window| window.document());
            if document.is_some_and(|document| !document.hidden()) {
                act();
            }
        };
        let clock = set_interval_with_handle(look.clone(), every);
        let back = window_event_listener_untyped("visibilitychange", move |_| look());
        Box::new(move || {
            back.remove();
            match clock {
                Ok(clock) => clock.clear(),
                Err(err) => leptos::logging::warn!("nothing was asked for again by the clock: {err:?}"),
            }
        })
    });
}

/// Begin once the component is in the page, and end with it.
fn while_alive(begin: impl Fn() -> End + 'static) {
    let number = StoredValue::new(None::<u32>);
    Effect::new(move |_| {
        let end = begin();
        number.set_value(Some(ENDS.with_borrow_mut(|all| {
            let number = all.last_key_value().map_or(0, |(last, _)| last + 1);
            all.insert(number, end);
            number
        })));
    });
    on_cleanup(move || {
        let end = number
            .try_get_value()
            .flatten()
            .and_then(|number| ENDS.with_borrow_mut(|all| all.remove(&number)));
        if let Some(end) = end {
            end();
        }
    });
}

/// `look` for whoever calls too often: it looks in the next frame, if the component is still there by then.
fn once_a_frame(look: impl Fn() + Clone + 'static) -> impl Fn() {
    let waiting = RwSignal::new(false);
    move || {
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
    }
}

fn each_event(act: impl Fn(&web_sys::Window, &str) -> Result<(), JsValue>) -> Result<(), JsValue> {
    let Some(window) = web_sys::window() else {
        return Ok(());
    };
    EVENTS.iter().try_for_each(|event| act(&window, event))
}
