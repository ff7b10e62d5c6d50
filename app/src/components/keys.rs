//! The keyboard: Ctrl-K opens the palette, j and k walk the rows of a page, Esc closes what is open, ? shows the list.
//! And what closes menus: Esc, a click elsewhere, going where one of their links leads.
//!
//! Rows are links (or buttons) marked `data-row`, so that Enter is the browser's own and a screen reader knows them.

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_navigate};
use wasm_bindgen::JsCast as _;
use web_sys::{FocusOptions, HtmlElement, HtmlInputElement, KeyboardEvent};

use super::{focus, range::use_carried};

/// What the list of shortcuts says.
pub(crate) const SHORTCUTS: &[(&str, &str)] = &[
    ("Ctrl K", "go anywhere, find anybody"),
    ("j  k", "next and previous row, also of an open drawer"),
    ("Enter", "open the row"),
    (
        "x",
        "select the row, where rows have a box: the fleet as a table, API tokens",
    ),
    ("Esc", "close what is open"),
    ("← ↑ → ↓", "along the threads of the loom, from one of its names"),
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

/// Listen for the shortcuts, in a browser. `help` opens the list, `palette` the palette; Esc follows the first link marked
/// `data-close`.
pub(crate) fn listen(help: RwSignal<bool>, palette: RwSignal<bool>) {
    focus::note();
    let navigate = use_navigate();
    let after_g = RwSignal::new(false);
    let carried = use_carried();
    // A page that comes takes the focus, as one does that the browser loads: what had it may be gone. One that the reader comes back to
    // has the drawer open again by which they left, and that gives it to its row.
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let path = path.get();
        if before.is_some_and(|before| before != path) {
            focus_page();
        }
        path
    });
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
                leave_field();
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
            "j" | "k" => {
                if let Some(to) = walk(if key == "j" { 1 } else { -1 }) {
                    let here = leptos_router::NavigateOptions {
                        replace: true,
                        scroll: false,
                        ..leptos_router::NavigateOptions::default()
                    };
                    navigate(&to, here);
                }
            }
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

/// Focus the row `by` further on from the focused one. While a drawer is open, from the row that is in it; then that one's place is to be
/// opened in its stead.
fn walk(by: i32) -> Option<String> {
    let document = document()?;
    let rows = document.query_selector_all("[data-row]").ok()?;
    let length = i32::try_from(rows.length()).ok()?;
    if length == 0 {
        return None;
    }
    let row = |i: i32| rows.get(u32::try_from(i).ok()?)?.dyn_into::<HtmlElement>().ok();
    let opened = find("[data-of]").and_then(|drawer| drawer.get_attribute("data-of"));
    let focused = document.active_element();
    let at = (0..length).find(|&i| {
        row(i).is_some_and(|row| match &opened {
            Some(_) => row.get_attribute("data-row") == opened,
            None => row.is_same_node(focused.as_deref()),
        })
    });
    let next = match at {
        Some(at) => (at + by).clamp(0, length - 1),
        None if by > 0 => 0,
        None => length - 1,
    };
    let row = row(next)?;
    drop(row.focus());
    opened.and_then(|_| row.get_attribute("href"))
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

/// Has what opened the drawer of a row, where that is a link to it that stands elsewhere.
const OPENED: &str = "data-opened";

/// Note what has the focus as what opens the drawer of the row that is called so. A row itself is found again without, and one drawer that
/// takes the place of another, as one does that is filled, is opened by what opened that.
pub(crate) fn note_opener(name: &str) {
    let link = document().and_then(|d| d.active_element());
    let Some(link) = link.filter(|link| link.matches("main a:not(.drawer a)").unwrap_or(false)) else {
        return;
    };
    if let Some(before) = find(&format!("[{OPENED}]")) {
        drop(before.remove_attribute(OPENED));
    }
    if !link.has_attribute("data-row") {
        drop(link.set_attribute(OPENED, name));
    }
}

/// Give the focus back to what opened the drawer of the row that is called so, where it is in the page; else to the row.
pub(crate) fn focus_row(name: &str) {
    let opener = find(&format!("[{OPENED}]"));
    if let Some(link) = opener.filter(|link| link.get_attribute(OPENED).as_deref() == Some(name)) {
        drop(link.focus());
        return;
    }
    let rows = document().and_then(|d| d.query_selector_all("[data-row]").ok());
    let row = rows.and_then(|rows| {
        (0..rows.length())
            .filter_map(|i| rows.get(i)?.dyn_into::<HtmlElement>().ok())
            .find(|row| row.get_attribute("data-row").as_deref() == Some(name))
    });
    if let Some(row) = row {
        drop(row.focus());
    }
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

/// Leave the field that has the focus. Who looked for something may look for something else: of a search field the first press takes
/// the text away.
fn leave_field() {
    let Some(el) = document().and_then(|document| document.active_element()) else {
        return;
    };
    let search = el
        .dyn_ref::<HtmlInputElement>()
        .filter(|el| el.type_() == "search" && !el.value().is_empty());
    if let Some(field) = search {
        field.set_value("");
        // The browser tells of a change only when the field is left.
        if let Some(form) = field.form()
            && let Err(err) = form.request_submit()
        {
            leptos::logging::warn!("the filter without the text is not asked for: {err:?}");
        }
    } else if let Some(el) = el.dyn_ref::<HtmlElement>() {
        drop(el.blur());
    }
}
