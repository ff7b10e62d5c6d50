//! The command palette: go anywhere, find anybody, from the keyboard. Ctrl-K opens it.

use std::net::IpAddr;

use decnet_model::{
    permission::{ManageFleet, ManageUsers, ViewAudit, ViewQuarantine},
    query::AttackerQuery,
    view::DeckyView,
};
use leptos::{ev, html, prelude::*};
use leptos_router::hooks::{use_location, use_navigate, use_query_map};
use web_sys::{ScrollIntoViewOptions, ScrollLogicalPosition};

use super::{
    archetype::ArchetypeMark,
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
    /// The mark of a decky, by its archetype.
    Archetype(String),
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
    let may = May {
        fleet: may::<ManageFleet>(),
        users: may::<ManageUsers>(),
        audit: may::<ViewAudit>(),
        quarantine: may::<ViewQuarantine>(),
    };
    let typed = RwSignal::new(String::new());
    let (query, path) = (use_query_map(), use_location().pathname);
    let help = move || url::with(&path.get(), &query.get(), &[("help", Some("keys"))]);
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
    // What is asked for is read here: the list stands at once, and waits for none of it.
    let allowed = RwSignal::new(May::default());
    Effect::new(move |_| allowed.set(may.now()));
    let (found, stored) = (RwSignal::new(Vec::new()), RwSignal::new(Vec::new()));
    Effect::new(move |_| found.set(attackers.get().unwrap_or_default()));
    Effect::new(move |_| stored.set(deckies.get().and_then(Result::ok).unwrap_or_default()));
    let entries = Memo::new(move |_| {
        let typed = typed.get();
        let known = live.deckies.with(|known| {
            known
                .as_ref()
                .map(|known| known.values().cloned().collect::<Vec<_>>())
        });
        let deckies = known.unwrap_or_else(|| stored.get());
        let mut entries = fixed(&typed, allowed.get(), &help());
        entries.extend(of_deckies(&typed, &deckies));
        entries.extend(searches(typed.trim()));
        // They come last of all, and come later: nothing may move away under who chooses among what is there.
        entries.extend(found.get().into_iter().map(|attacker| Entry {
            words: attacker.ip.to_string(),
            note: format!(
                "attacker, {}",
                text::plural(attacker.event_count, "event", "events")
            ),
            href: format!("/attackers/{}", attacker.id),
            sign: Sign::Glyph(attacker.glyph),
        }));
        entries
    });
    view! { <Choose open typed entries /> }.into_any()
}

/// Whether it is an address or a part of one, such as `192.0.2.`.
fn is_address(typed: &str) -> bool {
    let of_one = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':');
    typed.parse::<IpAddr>().is_ok()
        || (typed.contains(['.', ':'])
            && typed.contains(|c: char| c.is_ascii_digit())
            && typed.chars().all(of_one))
}

/// Where what was typed can be looked for: an address among the attackers first.
fn searches(typed: &str) -> Vec<Entry> {
    if typed.is_empty() {
        return Vec::new();
    }
    let words = text::ellipsis(&text::visible(typed), 40);
    let search = |(of, page, icon): (&str, &str, Icon)| Entry {
        words: format!("Search the {of} for “{words}”"),
        note: String::new(),
        href: format!("{page}?search={}", url::escape(typed)),
        sign: Sign::Icon(icon),
    };
    let mut searches = [
        ("log", "/live", Icon::Search),
        ("credentials", "/credentials", Icon::Key),
        ("attackers", "/attackers", Icon::Attackers),
    ];
    if is_address(typed) {
        searches.rotate_right(1);
    }
    searches.into_iter().map(search).collect()
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
        typed.track();
        at.set(0);
    });
    // What the arrows choose is brought into sight, where it is out of it.
    Effect::new(move |_| {
        let chosen = format!("palette-{}", at.get());
        if let Some(chosen) = document().get_element_by_id(&chosen) {
            let nearest = ScrollIntoViewOptions::new();
            nearest.set_block(ScrollLogicalPosition::Nearest);
            chosen.scroll_into_view_with_scroll_into_view_options(&nearest);
        }
    });
    let navigate = use_navigate();
    let path = use_location().pathname;
    let go = Callback::new(move |href: String| {
        open.set(false);
        // What opens beside the page leaves it where it stands.
        let scroll = href.split('?').next() != Some(&path.get_untracked());
        let options = leptos_router::NavigateOptions {
            scroll,
            ..leptos_router::NavigateOptions::default()
        };
        navigate(&href, options);
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
                    Sign::Archetype(slug) => view! { <ArchetypeMark slug /> }.into_any(),
                };
                view! {
                    <li
                        id=format!("palette-{i}")
                        role="option"
                        aria-selected=move || if at.get() == i { "true" } else { "false" }
                        on:click=move |_| go.run(href.clone())
                        on:mousemove=move |event| {
                            // A list that scrolls under a mouse that rests chooses nothing.
                            let moved = event.movement_x() != 0 || event.movement_y() != 0;
                            if moved && at.get_untracked() != i {
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

/// What the reader may, as far as places depend on it.
#[derive(Debug, Clone, Copy, Default)]
struct May<T> {
    fleet: T,
    users: T,
    audit: T,
    quarantine: T,
}

impl May<Signal<bool>> {
    fn now(self) -> May<bool> {
        May {
            fleet: self.fleet.get(),
            users: self.users.get(),
            audit: self.audit.get(),
            quarantine: self.quarantine.get(),
        }
    }
}

/// Pages and orders, those of them that the reader may; `help` is the page where they are, with the list of shortcuts. A page of
/// settings is found by what is on it, too.
fn fixed(typed: &str, may: May<bool>, help: &str) -> Vec<Entry> {
    let entry = |(words, note, href, icon): (&str, &str, &str, Icon)| Entry {
        words: words.to_owned(),
        note: note.to_owned(),
        href: href.to_owned(),
        sign: Sign::Icon(icon),
    };
    let pages = PLACES
        .iter()
        .map(|(href, words, icon)| (*words, "page", *href, *icon));
    let others = [
        (
            "Deploy deckies",
            "order",
            "/fleet?dialog=deploy",
            Icon::Plus,
            may.fleet,
        ),
        (
            "Reused credentials",
            "page",
            "/credentials/reuse",
            Icon::Credentials,
            true,
        ),
        ("Unread lines", "page", "/quarantine", Icon::Live, may.quarantine),
        (
            "Settings: account",
            "open sessions, your tokens, appearance",
            "/settings",
            Icon::Settings,
            true,
        ),
        (
            "Settings: second factor",
            "page",
            "/second-factor",
            Icon::Settings,
            true,
        ),
        (
            "Settings: installation",
            "retention, limits, ignore rules",
            "/settings/host",
            Icon::Settings,
            true,
        ),
        (
            "Settings: users",
            "page",
            "/settings/users",
            Icon::Settings,
            may.users,
        ),
        (
            "Settings: API tokens",
            "of everybody",
            "/settings/tokens",
            Icon::Settings,
            may.users,
        ),
        (
            "Settings: audit log",
            "page",
            "/settings/audit",
            Icon::Settings,
            may.audit,
        ),
        (
            "New API token",
            "order",
            "/settings?dialog=token",
            Icon::Plus,
            true,
        ),
        (
            "New user",
            "order",
            "/settings/users?dialog=user",
            Icon::Plus,
            may.users,
        ),
        ("Change password", "", "/password", Icon::Key, true),
        ("Shortcuts", "", help, Icon::Help, true),
    ];
    let others = others
        .into_iter()
        .filter_map(|(words, note, href, icon, may)| may.then_some((words, note, href, icon)));
    pages
        .chain(others)
        .map(entry)
        .filter(|entry| text::has_words(&format!("{} {}", entry.words, entry.note), typed))
        .collect()
}

fn of_deckies(typed: &str, deckies: &[DeckyView]) -> Vec<Entry> {
    if typed.trim().is_empty() {
        return Vec::new();
    }
    let fitting = deckies.iter().filter(|decky| {
        [decky.name.as_str(), &decky.hostname, &decky.ip.to_string()]
            .iter()
            .any(|word| text::has_words(word, typed))
    });
    fitting
        .take(MOST)
        .map(|decky| Entry {
            words: decky.name.to_string(),
            note: format!("decky, {}, {}", decky.ip, decky.state),
            href: format!("/fleet?decky={}", decky.name),
            sign: Sign::Archetype(decky.archetype.clone()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_narrows_the_places_and_orders_are_for_those_who_may() {
        let words = |typed, may| {
            let may = May {
                fleet: may,
                users: may,
                audit: may,
                quarantine: may,
            };
            let fitting = fixed(typed, may, "/live?help=keys");
            fitting.into_iter().map(|e| e.words).collect::<Vec<_>>()
        };
        assert!(words("", true).len() > PLACES.len());
        assert_eq!(words("dePLOY", true), ["Deploy deckies"]);
        assert_eq!(words("dePLOY", false), Vec::<String>::new());
        assert_eq!(words("over", false), ["Overview"]);
        assert_eq!(words("settings user", true), ["Settings: users"]);
        assert_eq!(words("settings user", false), Vec::<String>::new());
    }

    #[test]
    fn an_address_is_looked_for_among_the_attackers_first() {
        let pages = |typed| {
            let pages = searches(typed).into_iter().map(|e| e.href);
            pages.collect::<Vec<_>>()
        };
        assert_eq!(
            pages("wget & co"),
            [
                "/live?search=wget%20%26%20co",
                "/credentials?search=wget%20%26%20co",
                "/attackers?search=wget%20%26%20co",
            ]
        );
        assert_eq!(pages("192.0.2.7").first().unwrap(), "/attackers?search=192.0.2.7");
        for part in ["192.0.", "2001:db8:", "::1"] {
            assert!(pages(part)[0].starts_with("/attackers?"), "{part}");
        }
        for other in ["22", "wget:1", "a.b", "web-01.local"] {
            assert!(pages(other)[0].starts_with("/live?"), "{other}");
        }
        assert!(searches("").is_empty());
    }

    #[test]
    fn pages_of_settings_are_found_by_what_is_on_them() {
        let may = May {
            fleet: true,
            users: true,
            audit: true,
            quarantine: true,
        };
        let places = |typed| {
            let fitting = fixed(typed, may, "/live?last=1h&help=keys");
            fitting.into_iter().map(|e| e.href).collect::<Vec<_>>()
        };
        assert_eq!(places("retention"), ["/settings/host"]);
        assert_eq!(places("second"), ["/second-factor"]);
        assert_eq!(places("audit"), ["/settings/audit"]);
        assert_eq!(
            places("token"),
            ["/settings", "/settings/tokens", "/settings?dialog=token"]
        );
        assert_eq!(places("shortcuts"), ["/live?last=1h&help=keys"]);
    }
}
