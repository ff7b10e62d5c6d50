//! The keyboard: Ctrl-K opens the palette, j and k walk the rows of a page, Esc closes what is open, ? shows the list.
//! And what closes menus: Esc, a click elsewhere, going where one of their links leads.
//!
//! Rows are links (or buttons) marked `data-row`, so that Enter is the browser's own and a screen reader knows them.

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_navigate};
use wasm_bindgen::JsCast as _;
use web_sys::{FocusOptions, HtmlElement, KeyboardEvent};

use super::range::use_carried;

/// What the list of shortcuts says.
pub(crate) const SHORTCUTS: &[(&str, &str)] = &[
    ("Ctrl K", "go anywhere, find anybody"),
    ("j  k", "next and previous row"),
    ("Enter", "open the row"),
    ("x", "select the row"),
    ("Esc", "close what is open"),
    ("/", "go to the search field"),
    ("g o", "overview"),
    ("g l", "live"),
    ("g a", "attackers"),
    ("g c", "credentials"),
    ("g f", "fleet"),
    ("g w", "workers"),
    ("g s", "settings"),
    ("?", "this list"),
];

/// How often, and after what pause each, a row is looked for whose list is still on its way.
const ROW_TRIES: u32 = 60;
const ROW_PAUSE: Duration = Duration::from_millis(50);

/// Listen for the shortcuts, in a browser. `help` opens the list, `palette` the palette; Esc follows the first link marked
/// `data-close`.
pub(crate) fn listen(help: RwSignal<bool>, palette: RwSignal<bool>) {
    let navigate = use_navigate();
    let after_g = RwSignal::new(false);
    let carried = use_carried();
    // A page that comes takes the focus, as one does that the browser loads: what had it may be gone. One that the reader comes back to
    // gives it to the row that they left by.
    let path = use_location().pathname;
    let left_by = StoredValue::new(Vec::<(String, String)>::new());
    let is_back = StoredValue::new(false);
    let last_row = StoredValue::new(None);
    Effect::new(move |before: Option<String>| {
        let path = path.get();
        if let Some(before) = before.filter(|before| *before != path) {
            if let Some(row) = last_row.try_update_value(Option::take).flatten() {
                left_by.update_value(|left_by| {
                    left_by.retain(|(left, _)| *left != before);
                    left_by.push((before, row));
                });
            }
            focus_page();
            let row = left_by.with_value(|left_by| {
                let (_, row) = left_by.iter().find(|(left, _)| *left == path)?;
                Some(row.clone())
            });
            if let Some(row) = row {
                // Once it is told whether that was the way back: the router hears of it first.
                let if_back = move || {
                    if is_back.try_get_value() == Some(true) {
                        focus_row_when_there(row, ROW_TRIES);
                    }
                };
                set_timeout(if_back, Duration::ZERO);
            }
        }
        path
    });
    // A click comes too late for this: the router may have gone elsewhere by then.
    let focused = window_event_listener(leptos::ev::focusin, move |event| {
        let on = event
            .target()
            .and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        last_row.set_value(on.and_then(|on| on.get_attribute("data-row")));
    });
    let backs = window_event_listener(leptos::ev::popstate, move |_| is_back.set_value(true));
    let touched = window_event_listener(leptos::ev::pointerdown, move |_| is_back.set_value(false));
    let go = navigate.clone();
    let clicks = window_event_listener(leptos::ev::click, move |event| {
        let on = event
            .target()
            .and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        // The router takes links of HTML only, and would let those of a drawing load a new page.
        let drawn = on.as_ref().and_then(|on| on.closest("svg a[href]").ok()?);
        let plain = event.button() == 0
            && !(event.ctrl_key() || event.meta_key() || event.shift_key() || event.alt_key())
            && !event.default_prevented();
        if let Some(to) = drawn
            .filter(|_| plain)
            .and_then(|link| link.get_attribute("href"))
        {
            event.prevent_default();
            let scroll = to.split('?').next() != Some(&path.get_untracked());
            go(
                &to,
                leptos_router::NavigateOptions {
                    scroll,
                    ..leptos_router::NavigateOptions::default()
                },
            );
        }
        let inside = on.as_ref().and_then(|on| on.closest("details.menu").ok()?);
        let leads = on.is_some_and(|on| matches!(on.closest("a"), Ok(Some(_))));
        close_menus(inside.as_ref().filter(|_| !leads));
    });
    let handle = window_event_listener(leptos::ev::keydown, move |event: KeyboardEvent| {
        is_back.set_value(false);
        if (event.ctrl_key() || event.meta_key()) && !event.alt_key() && event.key() == "k" {
            event.prevent_default();
            palette.update(|open| *open = !*open);
            return;
        }
        if event.ctrl_key() || event.meta_key() || event.alt_key() || event.default_prevented() {
            return;
        }
        let typing = event
            .target()
            .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
            .is_some_and(|el| {
                el.matches("input, textarea, select, [contenteditable]")
                    .unwrap_or(false)
            });
        let key = event.key();
        if key == "Escape" {
            if let Some(menu) = open_menu() {
                close_menus(None);
                if let Ok(Some(summary)) = menu.query_selector("summary") {
                    drop(summary.unchecked_into::<HtmlElement>().focus());
                }
            } else if typing {
                blur();
            } else if help.get_untracked() {
                help.set(false);
            } else {
                click("[data-close]");
            }
            return;
        }
        if typing {
            return;
        }
        // What is modal keeps the keyboard to itself.
        if find("dialog[open]").is_some() {
            if key == "?" {
                help.set(false);
            }
            return;
        }
        if after_g.get_untracked() {
            after_g.set(false);
            let to = match key.as_str() {
                "o" => "/",
                "l" => "/live",
                "a" => "/attackers",
                "c" => "/credentials",
                "f" => "/fleet",
                "w" => "/workers",
                "s" => "/settings",
                _ => return,
            };
            event.prevent_default();
            navigate(&carried.on(to), leptos_router::NavigateOptions::default());
            return;
        }
        match key.as_str() {
            "j" => walk(1),
            "k" => walk(-1),
            "g" => {
                after_g.set(true);
                set_timeout(move || after_g.set(false), Duration::from_millis(900));
            }
            "x" => tick(),
            "/" if focus("[data-search]") => event.prevent_default(),
            "?" => help.update(|open| *open = !*open),
            _ => {}
        }
    });
    on_cleanup(move || {
        handle.remove();
        clicks.remove();
        backs.remove();
        focused.remove();
        touched.remove();
    });
}

/// The menu that is open.
fn open_menu() -> Option<HtmlElement> {
    find("details.menu[open]")
}

/// Close every menu but `keep`.
fn close_menus(keep: Option<&web_sys::Element>) {
    let Some(Ok(menus)) = document().map(|d| d.query_selector_all("details.menu[open]")) else {
        return;
    };
    for menu in (0..menus.length()).filter_map(|i| menus.get(i)) {
        if !keep.is_some_and(|keep| menu.is_same_node(Some(keep))) {
            drop(menu.unchecked_into::<web_sys::Element>().remove_attribute("open"));
        }
    }
}

/// Focus the row `by` further on from the focused one.
fn walk(by: i32) {
    let Some(document) = document() else { return };
    let Ok(rows) = document.query_selector_all("[data-row]") else {
        return;
    };
    let Ok(length) = i32::try_from(rows.length()) else {
        return;
    };
    if length == 0 {
        return;
    }
    let focused = document.active_element();
    let at = (0..length).find(|&i| {
        let row = u32::try_from(i).ok().and_then(|i| rows.get(i));
        row.zip(focused.as_ref())
            .is_some_and(|(row, focused)| row.is_same_node(Some(focused)))
    });
    let next = match at {
        Some(at) => (at + by).clamp(0, length - 1),
        None if by > 0 => 0,
        None => length - 1,
    };
    if let Some(row) = u32::try_from(next).ok().and_then(|i| rows.get(i))
        && let Ok(row) = row.dyn_into::<HtmlElement>()
    {
        drop(row.focus());
    }
}

/// Tick the box of the row that has the focus, or untick it.
fn tick() {
    let row = document()
        .and_then(|d| d.active_element())
        .and_then(|el| el.closest("tr").ok()?);
    let found = row.and_then(|row| row.query_selector("[data-tick]").ok()?);
    if let Some(found) = found.and_then(|el| el.dyn_into::<HtmlElement>().ok()) {
        found.click();
    }
}

/// Focus the link of the row that is called so, once its list has come, unless the reader has gone elsewhere meanwhile.
fn focus_row_when_there(name: String, tries: u32) {
    let still_here = || {
        let active = document()?.active_element()?;
        Some(active.id() == "main" || active.tag_name() == "BODY")
    };
    if !focus_row(&name) && tries > 0 && still_here() == Some(true) {
        set_timeout(move || focus_row_when_there(name, tries - 1), ROW_PAUSE);
    }
}

/// Focus the link of the row that is called so, where it is in the page. Whether it is.
pub(crate) fn focus_row(name: &str) -> bool {
    let rows = document().and_then(|d| d.query_selector_all("[data-row]").ok());
    let row = rows.and_then(|rows| {
        (0..rows.length())
            .filter_map(|i| rows.get(i)?.dyn_into::<HtmlElement>().ok())
            .find(|row| row.get_attribute("data-row").as_deref() == Some(name))
    });
    row.is_some_and(|row| row.focus().is_ok())
}

/// The page's document; there is none on the server, where clean-up code runs too.
fn document() -> Option<web_sys::Document> {
    if cfg!(target_arch = "wasm32") {
        web_sys::window()?.document()
    } else {
        None
    }
}

fn find(selector: &str) -> Option<HtmlElement> {
    document()?.query_selector(selector).ok()??.dyn_into().ok()
}

/// Focus the first element that fits, if there is one.
pub(crate) fn focus(selector: &str) -> bool {
    find(selector).is_some_and(|el| el.focus().is_ok())
}

/// Focus the content of the page where it stands: the router scrolls.
fn focus_page() {
    if let Some(main) = find("#main") {
        let still = FocusOptions::new();
        still.set_prevent_scroll(true);
        drop(main.focus_with_options(&still));
    }
}

fn click(selector: &str) {
    if let Some(el) = find(selector) {
        el.click();
    }
}

fn blur() {
    let Some(document) = document() else { return };
    if let Some(el) = document
        .active_element()
        .and_then(|el| el.dyn_into::<HtmlElement>().ok())
    {
        drop(el.blur());
    }
}
