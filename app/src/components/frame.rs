//! What stands around every page: the rail, the top bar with the last 24 hours and the live dot, and on a phone the bar
//! at the bottom.

use decnet_model::{permission::Permission, state::WorkerState, view::Me};
use leptos::{prelude::*, server_fn::ServerFn as _};
use leptos_router::{
    components::{Outlet, Redirect},
    hooks::{use_location, use_query_map},
    params::ParamsMap,
};

use super::{
    bell::{Bell, Unread},
    chart::{HeatStrip, Series},
    dialog::Dialog,
    icon::{Icon, Mark},
    keys,
    palette::Palette,
    range::{Carried, TimeRange, use_carried},
    store,
    task::TaskCorner,
    title::entitle,
    toast::{ToastCorner, Toasts},
    when::use_present,
};
use crate::{
    api::{Answer, account, evidence},
    live::{Link, Live, use_live},
    text, url,
};
use time::OffsetDateTime;

/// Minutes of the heat strip: a day.
const MINUTES: i64 = 24 * 60;

/// A tick of the present that is this late was slept through. Browsers give pages that are long out of sight one a minute.
const SLEPT: time::Duration = time::Duration::seconds(90);

/// Where one can go.
pub(crate) const PLACES: &[(&str, &str, Icon)] = &[
    ("/", "Overview", Icon::Overview),
    ("/live", "Live", Icon::Live),
    ("/attackers", "Attackers", Icon::Attackers),
    ("/credentials", "Credentials", Icon::Credentials),
    ("/fleet", "Fleet", Icon::Fleet),
    ("/workers", "Workers", Icon::Workers),
    ("/settings", "Settings", Icon::Settings),
];
/// How many of them the rail and the bar of a phone show as daily ones; the rail has the others at its foot.
const DAILY: usize = 5;

/// Who reads the page, for whatever depends on what they may do. It is read below a `Suspense`.
#[derive(Clone, Copy)]
pub(crate) struct Reader(Resource<Answer<Option<Me>>>);

/// Whether whoever reads this page holds the permission. The server checks it again, whatever a page shows.
pub(crate) fn may<P: Permission>() -> Signal<bool> {
    let reader = use_context::<Reader>();
    Signal::derive(move || {
        reader.is_some_and(|Reader(me)| matches!(me.get(), Some(Ok(Some(me))) if me.role.covers(P::ROLE)))
    })
}

/// The frame. Nobody gets past it without a session and a password of their own.
#[component]
pub(crate) fn Frame() -> impl IntoView {
    let me = Resource::new_blocking(|| (), |()| account::who());
    let location = use_location();
    let login = move || {
        let query = location.search.get_untracked();
        let path = location.pathname.get_untracked();
        url::login(&if query.is_empty() {
            path
        } else {
            format!("{path}?{query}")
        })
    };
    provide_context(Reader(me));
    view! {
        <Room me=me />
        <Suspense>
            {move || Suspend::new(async move {
                match me.await {
                    Ok(None) => view! { <Redirect path=login() /> }.into_any(),
                    Ok(Some(me)) if me.must_change_password => view! { <Redirect path="/password" /> }.into_any(),
                    Ok(Some(me)) if me.must_enrol => view! { <Redirect path="/second-factor" /> }.into_any(),
                    _ => ().into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

/// Rail, bars and page. No resource is made below a `Suspense` here or in the pages: the server renders what is in one
/// more than once, and the browser would count other resources than the server did.
#[component]
fn Room(me: Resource<Answer<Option<Me>>>) -> impl IntoView {
    let live = Live::new();
    provide_context(live);
    provide_context(Carried::new());
    provide_context(Toasts::new());
    provide_context(Unread(RwSignal::new(0)));
    let help = RwSignal::new(false);
    let palette = RwSignal::new(false);
    let query = use_query_map();
    let path = use_location().pathname;
    Effect::new(move |_| {
        live.start();
        keys::listen(help, palette);
    });
    let present = use_present();
    Effect::new(move |before: Option<OffsetDateTime>| {
        let now = present.now.get();
        // The machine slept: the stream may be dead without having said so.
        if before.is_some_and(|before| now - before > SLEPT) {
            live.start();
        }
        now
    });
    on_cleanup(crate::live::close);
    let help_shown = move || help.get() || query.with(|q| q.get_str("help").is_some());
    let no_help = Signal::derive(move || url::with(&path.get(), &query.get(), &[("help", None)]));
    Effect::new(move |_| {
        // Leaving by the link of the dialog takes it out of the URL; this takes it out of the signal.
        no_help.track();
        help.set(false);
    });
    view! {
        <a class="skip" href="#main" rel="external">"Skip to the content"</a>
        <div class="frame">
            <nav class="rail" aria-label="Pages">
                <a class="brand" href="/" aria-label="DECNET, overview"><Brand /><span>"DECNET"</span></a>
                <ul>{places(0..DAILY)}</ul>
                <div class="rail-foot">
                    <ul>{places(DAILY..PLACES.len())}</ul>
                    <a class="rail-link" href=move || url::with(&path.get(), &query.get(), &[("help", Some("keys"))]) data-noscroll="">
                        <Mark icon=Icon::Help />
                        <span>"Shortcuts"</span>
                    </a>
                </div>
            </nav>
            <header class="top">
                <a
                    class="find"
                    href="/live"
                    aria-label="Go to a page, a decky or an address"
                    on:click=move |event| {
                        event.prevent_default();
                        palette.set(true);
                    }
                >
                    <Mark icon=Icon::Search />
                    <kbd>"Ctrl K"</kbd>
                </a>
                <Heat />
                <TimeRange />
                <LiveDot />
                <Bell />
                <Suspense>
                    {move || me.get().and_then(Result::ok).flatten().map(|me| view! { <UserMenu me=me /> })}
                </Suspense>
            </header>
            <main id="main" tabindex="-1">
                <Outlet />
                // The last, so that they move nothing when they come.
                <Unstored />
                <Away />
            </main>
            <nav class="bottom" aria-label="Pages">
                <ul>{places(0..DAILY)}</ul>
            </nav>
        </div>
        <Palette open=palette />
        <TaskCorner />
        <ToastCorner />
        {move || {
            help_shown()
                .then(|| {
                    view! {
                        <Dialog title="Shortcuts" close=no_help>
                            <dl class="shortcuts">
                                {keys::SHORTCUTS
                                    .iter()
                                    .map(|(keys, what)| {
                                        let keys = keys.split_whitespace().map(|k| view! { <kbd>{k}</kbd> }).collect_view();
                                        view! { <dt>{keys}</dt><dd>{*what}</dd> }
                                    })
                                    .collect_view()}
                            </dl>
                        </Dialog>
                    }
                })
        }}
    }
    .into_any()
}

fn places(which: std::ops::Range<usize>) -> impl IntoView {
    let carried = use_carried();
    let path = use_location().pathname;
    PLACES
        .get(which)
        .unwrap_or_default()
        .iter()
        .map(|(href, words, icon)| {
            let is = move || {
                path.with(|path| path == href || (*href != "/" && path.starts_with(&format!("{href}/"))))
            };
            view! {
                <li>
                    <a href=carried.to(href) aria-current=move || is().then_some("page")>
                        <Mark icon=*icon />
                        <span>{*words}</span>
                    </a>
                </li>
            }
        })
        .collect_view()
}

/// The sign of the product: a net with one knot that was touched.
#[component]
pub(crate) fn Brand() -> impl IntoView {
    view! {
        <svg class="brand-mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
            <path d="M12 2L21 7V17L12 22L3 17V7ZM12 2V22M3 7L21 17M21 7L3 17" />
            <circle cx="12" cy="12" r="3" />
        </svg>
    }
    .into_any()
}

/// The last 24 hours, on every page.
#[component]
fn Heat() -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let query = use_query_map();
    let path = use_location().pathname;
    // A time of the strip is what this page shows then, or else the log.
    let href = Callback::new(move |(from, to)| {
        let path = path.get();
        if url::is_timed(&path) {
            url::at_time(&path, &query.get(), from, to)
        } else {
            url::at_time("/live", &ParamsMap::new(), from, to)
        }
    });
    let day = Resource::new(move || live.epoch.get(), |_| evidence::day_get());
    view! {
        <div class="heat-frame">
            <Transition fallback=|| {
                view! { <div class="heat"></div> }
            }>
                {move || Suspend::new(async move {
                    match day.await {
                        Ok(day) => {
                            let came = live.counted(day.reached, |row| row.attacker_ip.is_some());
                            let series = Signal::derive(move || {
                                came.with(|came| Series::new(day.by_minute(), came, present.now.get(), 1, MINUTES))
                            });
                            view! { <HeatStrip series=series href=href /> }.into_any()
                        }
                        Err(_) => view! { <span class="heat-none">"no histogram"</span> }.into_any(),
                    }
                })}
            </Transition>
            <span class="heat-edge" aria-hidden="true">"24 h"</span>
        </div>
    }
    .into_any()
}

/// Says that what the page shows is no longer how it is, and since when.
#[component]
pub(crate) fn Away() -> impl IntoView {
    let live = use_live();
    let present = use_present();
    let away = Memo::new(move |_| live.link.get() == Link::Lost);
    let since = RwSignal::new(None);
    Effect::new(move |_| since.set(away.get().then(text::now)));
    move || {
        away.get().then(|| {
            let since = move || {
                since
                    .get()
                    .map(|at| format!(" It is as of {}.", text::clock(present.local(at))))
            };
            view! {
                <p class="away" role="alert">
                    <Mark icon=Icon::Alert />
                    <span>
                        <b>"The server cannot be reached."</b>
                        " What stands here does not move."{since}
                        " What happens meanwhile is recorded, and comes once the server answers."
                    </span>
                </p>
            }
        })
    }
}

/// Which worker between a decoy and what stands here rests, and how it does: while one rests, nothing moves.
fn resting(live: Live) -> Memo<Option<(String, WorkerState)>> {
    Memo::new(move |_| {
        live.workers.with(|known| {
            let rests = known.values().find(|w| {
                matches!(w.name.as_str(), "collector" | "ingester") && w.state != WorkerState::Ok
            })?;
            Some((rests.name.to_string(), rests.state))
        })
    })
}

/// Says that nothing comes to the page because nothing is stored. The overview says it above all else; and without a server that is what is
/// to be said.
#[component]
fn Unstored() -> impl IntoView {
    let live = use_live();
    let path = use_location().pathname;
    let rests = resting(live);
    let told = Memo::new(move |_| {
        let elsewhere = path.with(|path| path != "/") && live.link.get() != Link::Lost;
        rests.get().filter(|_| elsewhere)
    });
    move || {
        told.get().map(|(name, state)| {
            view! {
                <p class="away" role="alert">
                    <Mark icon=Icon::Alert />
                    <span>
                        <b>{format!("The {name} does not work ({state}).")}</b>
                        " New evidence is not stored: what happens meanwhile is recorded, and comes later. "
                        <a href="/workers">"Workers"</a>
                    </span>
                </p>
            }
        })
    }
}

/// How what happens reaches this page, and how late.
#[component]
pub(crate) fn LiveDot() -> impl IntoView {
    let live = use_live();
    // In seconds, where it is as much as one.
    let behind = Memo::new(move |_| {
        let lag_ms = live.lag_ms.get().filter(|_| live.link.get() == Link::Open)?;
        u64::try_from(lag_ms / 1_000).ok().filter(|lag_s| *lag_s > 0)
    });
    // The stream may be open, and nothing come by it.
    let unstored = resting(live);
    let rests = move || {
        unstored
            .get()
            .filter(|_| matches!(live.link.get(), Link::Open | Link::Polling))
    };
    let words = move || match live.link.get() {
        _ if rests().is_some() => "not stored",
        Link::Opening => "connecting",
        Link::Open if behind.get().is_some() => "live, ",
        Link::Open => "live",
        Link::Broken => "reconnecting",
        Link::Polling => "every 4 s",
        Link::Lost => "server lost",
    };
    // On a phone this alone is seen.
    let late = move || {
        behind
            .get()
            .filter(|_| rests().is_none())
            .map(|lag_s| view! { <b>{text::span(lag_s)}<span>" behind"</span></b> })
    };
    let title = move || match live.link.get() {
        Link::Opening => {
            "The event stream is being opened; the page shows what was there when it was loaded.".to_owned()
        }
        Link::Open => match live.lag_ms.get() {
            Some(lag) => {
                format!(
                    "The event stream is open; the newest row that it told of had come in {lag} ms before."
                )
            }
            None => "The event stream is open.".to_owned(),
        },
        Link::Broken => {
            "The event stream broke and is being opened again; what came in between will be fetched."
                .to_owned()
        }
        Link::Polling => {
            "The event stream does not open from here, so the server is asked every 4 seconds.".to_owned()
        }
        Link::Lost => "The server does not answer. It is being tried again.".to_owned(),
    };
    let class = move || {
        format!(
            "live-dot {}",
            match live.link.get() {
                _ if rests().is_some() => "broken",
                Link::Opening => "opening",
                Link::Open => "open",
                Link::Broken => "broken",
                Link::Polling => "polling",
                Link::Lost => "lost",
            }
        )
    };
    let title = move || match rests() {
        Some((name, state)) => format!(
            "The server answers, but the {name} does not work ({state}): what happens is recorded, and comes once it does."
        ),
        None => title(),
    };
    view! {
        <span class=class title=title role="status">
            <i aria-hidden="true"></i>
            <span>{words}</span>
            {late}
        </span>
    }
    .into_any()
}

/// Theme, password, signing out.
#[component]
fn UserMenu(me: Me) -> impl IntoView {
    view! {
        <details class="menu">
            <summary aria-label=format!("Account of {}", me.username)>
                <Mark icon=Icon::User />
                <span class="menu-name">{me.username.to_string()}</span>
                <Mark icon=Icon::Down />
            </summary>
            <div class="menu-body">
                <p class="menu-who">
                    <b>{me.username.to_string()}</b>
                    <span class="badge idle">{me.role.as_str()}</span>
                </p>
                <ThemeChoice />
                <a href="/workers" class="on-phone"><Mark icon=Icon::Workers />"Workers"</a>
                <a href="/settings" class="on-phone"><Mark icon=Icon::Settings />"Settings"</a>
                <a href="/password"><Mark icon=Icon::Key />"Change password"</a>
                // Left to the browser: nothing that was shown stays in its memory.
                <form method="post" action=account::Logout::url()>
                    <button type="submit"><Mark icon=Icon::Leave />"Sign out"</button>
                </form>
            </div>
        </details>
    }
    .into_any()
}

/// Dark, light, or as the machine has it. Kept in the browser; `theme.js` sets it before the first paint.
#[component]
pub(crate) fn ThemeChoice() -> impl IntoView {
    let theme = RwSignal::new(String::new());
    Effect::new(move |_| theme.set(store::get(THEME_KEY).unwrap_or_default()));
    let choose = move |chosen: &'static str| {
        store_theme(chosen);
        theme.set(chosen.to_owned());
    };
    view! {
        <div class="theme" role="group" aria-label="Theme">
            <Mark icon=Icon::Theme />
            {[("", "auto"), ("dark", "dark"), ("light", "light")]
                .into_iter()
                .map(|(value, words)| {
                    view! {
                        <button
                            type="button"
                            aria-pressed=move || if theme.get() == value { "true" } else { "false" }
                            on:click=move |_| choose(value)
                        >
                            {words}
                        </button>
                    }
                })
                .collect_view()}
        </div>
    }
    .into_any()
}

/// The key of the browser's storage that `theme.js` reads too.
const THEME_KEY: &str = "decnet-theme";

/// Show `theme` and keep it where the browser lets us.
fn store_theme(theme: &str) {
    if let Some(root) = web_sys::window()
        .and_then(|w| w.document())
        .and_then(|d| d.document_element())
    {
        let shown = if theme.is_empty() {
            root.remove_attribute("data-theme")
        } else {
            root.set_attribute("data-theme", theme)
        };
        if shown.is_err() {
            leptos::logging::warn!("the theme cannot be set");
        }
    }
    store::put(THEME_KEY, theme);
}

/// The head of a page: its title, what it says of itself, and what can be done there.
#[component]
pub(crate) fn PageHead(
    #[prop(into)] title: Signal<String>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    // The server asks for the title when the page is through, and what it was made of may be gone by then.
    let first = title.get_untracked();
    let unread = use_context::<Unread>();
    let text = move || {
        let title = title.try_get().unwrap_or_else(|| first.clone());
        // Who has the page in another tab sees that there is something to look at.
        match unread.and_then(|Unread(unread)| unread.try_get()) {
            Some(unread @ 1..) => format!("({unread}) {title} · DECNET"),
            _ => format!("{title} · DECNET"),
        }
    };
    entitle(text);
    view! {
        <header class="page-head">
            <h1>{move || text::visible(&title.get())}</h1>
            <div class="page-tools">{children.map(|children| children())}</div>
        </header>
    }
    .into_any()
}
