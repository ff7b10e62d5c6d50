//! The command palette: go anywhere, find anybody, from the keyboard. Ctrl-K opens it.

use decnet_model::{permission::ManageFleet, query::AttackerQuery, view::DeckyView};
use leptos::{ev, html, prelude::*};
use leptos_router::hooks::use_navigate;

use super::{
    frame::{PLACES, may},
    glyph::Glyph,
    icon::{Icon, Mark},
};
use crate::{
    api::{evidence, fleet},
    live::use_live,
    piece::parts,
    text, url,
};

/// Entries of a kind that are shown.
const MOST: usize = 6;

/// One place to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) words: String,
    /// What it is.
    pub(crate) note: String,
    pub(crate) href: String,
    pub(crate) sign: Sign,
}

/// What stands before an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sign {
    Icon(Icon),
    /// The mark of an attacker, from what seeds it.
    Glyph(String),
}

/// The palette, where `open` says so.
#[component]
pub(crate) fn Palette(open: RwSignal<bool>) -> impl IntoView {
    move || {
        open.get().then(|| {
            let opened = OPENED.shown();
            move || opened.get().map(|opened| opened(open))
        })
    }
}

parts! {
    OPENED: fn(RwSignal<bool>) -> AnyView = palette: |open| view! { <Opened open=open /> }.into_any();
}

#[component]
fn Opened(open: RwSignal<bool>) -> impl IntoView {
    let live = use_live();
    let manages = may::<ManageFleet>();
    let typed = RwSignal::new(String::new());
    let attackers = Resource::new(
        move || typed.get().trim().to_owned(),
        |typed| async move {
            if typed.is_empty() {
                return Vec::new();
            }
            let query = AttackerQuery {
                limit: u32::try_from(MOST).ok(),
                search: Some(typed),
                ..AttackerQuery::default()
            };
            // Who cannot be found is not in the list; the live dot tells of a server that does not answer.
            evidence::attacker_page(query)
                .await
                .map(|page| page.data)
                .unwrap_or_default()
        },
    );
    let deckies = Resource::new(|| (), |()| fleet::decky_list());
    let entries = Memo::new(move |_| {
        let typed = typed.get();
        let known = live.deckies.with(|known| {
            known
                .as_ref()
                .map(|known| known.values().cloned().collect::<Vec<_>>())
        });
        let deckies = known
            .or_else(|| deckies.get().and_then(Result::ok))
            .unwrap_or_default();
        let mut entries = fixed(&typed, manages.get());
        entries.extend(of_deckies(&typed, &deckies));
        let found = attackers.get().unwrap_or_default();
        entries.extend(found.into_iter().map(|attacker| Entry {
            words: attacker.ip.to_string(),
            note: format!(
                "attacker, {}",
                text::plural(attacker.event_count, "event", "events")
            ),
            href: format!("/attackers/{}", attacker.id),
            sign: Sign::Glyph(attacker.glyph),
        }));
        let typed = typed.trim();
        if !typed.is_empty() {
            entries.push(Entry {
                words: format!(
                    "Search the log for “{}”",
                    text::ellipsis(&text::visible(typed), 40)
                ),
                note: String::new(),
                href: format!("/live?search={}", url::escape(typed)),
                sign: Sign::Icon(Icon::Search),
            });
        }
        entries
    });
    view! { <Choose open typed entries /> }.into_any()
}

/// The dialog: what is typed, and the places that are left, through which the arrows lead.
#[component]
pub(crate) fn Choose(
    open: RwSignal<bool>,
    typed: RwSignal<String>,
    #[prop(into)] entries: Signal<Vec<Entry>>,
) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let field = NodeRef::<html::Input>::new();
    let at = RwSignal::new(0_usize);
    Effect::new(move |_| {
        if let Some(dialog) = dialog.get() {
            if dialog.show_modal().is_err() {
                dialog.set_open(true);
            }
            if let Some(field) = field.get_untracked() {
                drop(field.focus());
            }
        }
    });
    // Closed as such and not only taken away, the browser gives the focus back to what had it.
    on_cleanup(move || {
        if let Some(dialog) = dialog.try_get_untracked().flatten() {
            dialog.close();
        }
    });
    Effect::new(move |_| {
        entries.track();
        at.set(0);
    });
    let navigate = use_navigate();
    let go = Callback::new(move |href: String| {
        open.set(false);
        navigate(&href, leptos_router::NavigateOptions::default());
    });
    let on_key = move |event: ev::KeyboardEvent| {
        let last = entries.with_untracked(Vec::len).saturating_sub(1);
        match event.key().as_str() {
            "ArrowDown" => at.update(|at| *at = if *at >= last { 0 } else { *at + 1 }),
            "ArrowUp" => at.update(|at| *at = at.checked_sub(1).unwrap_or(last)),
            "Enter" => {
                let chosen =
                    entries.with_untracked(|entries| entries.get(at.get_untracked()).map(|e| e.href.clone()));
                if let Some(href) = chosen {
                    go.run(href);
                }
            }
            _ => return,
        }
        event.prevent_default();
    };
    let cancel = move |event: web_sys::Event| {
        event.prevent_default();
        open.set(false);
    };
    // A click beside the dialog is one on its backdrop, which is the dialog itself.
    let beside = move |event: ev::MouseEvent| {
        if event.target() == event.current_target() {
            open.set(false);
        }
    };
    let list = move || {
        entries
            .get()
            .into_iter()
            .enumerate()
            .map(|(i, entry)| {
                let href = entry.href.clone();
                let sign = match entry.sign {
                    Sign::Icon(icon) => view! { <Mark icon=icon /> }.into_any(),
                    Sign::Glyph(seed) => view! { <Glyph seed=seed size=16 /> }.into_any(),
                };
                view! {
                    <li
                        id=format!("palette-{i}")
                        role="option"
                        aria-selected=move || if at.get() == i { "true" } else { "false" }
                        on:click=move |_| go.run(href.clone())
                        on:mousemove=move |_| {
                            if at.get_untracked() != i {
                                at.set(i);
                            }
                        }
                    >
                        {sign}
                        <span>{entry.words}</span>
                        <small>{entry.note}</small>
                    </li>
                }
            })
            .collect_view()
    };
    view! {
        <dialog class="palette" node_ref=dialog aria-label="Go to" on:cancel=cancel on:click=beside>
            <label class="search">
                <Mark icon=Icon::Search />
                <span class="sr">"Where to?"</span>
                <input
                    node_ref=field
                    type="text"
                    role="combobox"
                    aria-expanded="true"
                    aria-controls="palette-list"
                    aria-activedescendant=move || format!("palette-{}", at.get())
                    placeholder="A page, a decky, an address, or text of the log"
                    maxlength="512"
                    autocomplete="off"
                    spellcheck="false"
                    on:input=move |event| typed.set(event_target_value(&event))
                    on:keydown=on_key
                />
                <kbd>"Esc"</kbd>
            </label>
            <Transition>
                <ul id="palette-list" role="listbox" aria-label="Places">{list}</ul>
            </Transition>
        </dialog>
    }
    .into_any()
}

/// Pages and orders.
fn fixed(typed: &str, manages: bool) -> Vec<Entry> {
    let pages = PLACES.iter().map(|(href, words, icon)| Entry {
        words: (*words).to_owned(),
        note: "page".into(),
        href: (*href).to_owned(),
        sign: Sign::Icon(*icon),
    });
    let orders = [("Deploy deckies", "/fleet?dialog=deploy", Icon::Plus)].map(|(words, href, icon)| Entry {
        words: words.into(),
        note: "order".into(),
        href: href.into(),
        sign: Sign::Icon(icon),
    });
    let orders = orders.into_iter().filter(|_| manages);
    let other = [
        ("Change password", "/password", Icon::Key),
        ("Shortcuts", "/?help=keys", Icon::Help),
    ]
    .map(|(words, href, icon)| Entry {
        words: words.into(),
        note: String::new(),
        href: href.into(),
        sign: Sign::Icon(icon),
    });
    pages
        .chain(orders)
        .chain(other)
        .filter(|entry| fits(&entry.words, typed))
        .collect()
}

fn of_deckies(typed: &str, deckies: &[DeckyView]) -> Vec<Entry> {
    if typed.trim().is_empty() {
        return Vec::new();
    }
    let fitting = deckies.iter().filter(|decky| {
        [decky.name.as_str(), &decky.hostname, &decky.ip.to_string()]
            .iter()
            .any(|word| fits(word, typed))
    });
    fitting
        .take(MOST)
        .map(|decky| Entry {
            words: decky.name.to_string(),
            note: format!("decky, {}, {}", decky.ip, decky.state),
            href: format!("/fleet?decky={}", decky.name),
            sign: Sign::Icon(Icon::Fleet),
        })
        .collect()
}

/// Whether `words` holds every word that was typed, whatever their case.
fn fits(words: &str, typed: &str) -> bool {
    let words = words.to_lowercase();
    typed
        .to_lowercase()
        .split_whitespace()
        .all(|part| words.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_narrows_the_places_and_orders_are_for_those_who_may() {
        let words = |typed, manages| {
            fixed(typed, manages)
                .into_iter()
                .map(|e| e.words)
                .collect::<Vec<_>>()
        };
        assert!(words("", true).len() > PLACES.len());
        assert_eq!(words("dePLOY", true), ["Deploy deckies"]);
        assert_eq!(words("dePLOY", false), Vec::<String>::new());
        assert_eq!(words("over", false), ["Overview"]);
    }
}
