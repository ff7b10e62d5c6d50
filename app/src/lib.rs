//! The dashboard: pages, the components that they are made of, and the server functions that feed them.
//!
//! One crate, two halves. With feature `ssr` it renders whole pages in the server and answers server functions; with
//! `hydrate` it takes over the rendered pages in the browser. Never both in one build. Every page works as plain HTML
//! first: the WASM adds the live stream, the keyboard and pages that change without a reload.
//!
//! Deliberately absent: rules (they are `decnet-domain`'s), cookies and status codes (the server's), inline scripts and
//! inline styles (the content security policy forbids them; Leptos' own scripts carry a nonce).
//!
//! Start at [`App`] for the routes, at [`shell`] for the document around them, and at `visit::Visit` for what whoever
//! mounts the app has to provide.

#![recursion_limit = "256"]

#[expect(
    missing_docs,
    reason = "the server macro makes a structure of every function's arguments, whose own documentation says what they are"
)]
pub mod api;
#[expect(
    unreachable_pub,
    reason = "the component macro makes the properties of every component public"
)]
mod components;
mod live;
mod order;
#[expect(
    unreachable_pub,
    reason = "the component macro makes the properties of every component public"
)]
mod pages;
mod piece;
pub mod text;
mod url;
#[cfg(feature = "ssr")]
pub mod visit;

use leptos::prelude::*;
use leptos_meta::MetaTags;
use leptos_router::{
    SsrMode,
    components::{ParentRoute, Route, Router, Routes},
    path,
};

use components::{frame::Frame, when::Present};
use pages::settings::SettingsFrame;
pub use piece::fetch;

/// The document around the pages.
///
/// `theme.js` sets the theme before the first paint and `boot.js` fetches the WASM: files, because inline scripts are
/// forbidden.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let pkg = options.site_pkg_dir.clone();
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="dark light" />
                <meta name="robots" content="noindex, nofollow" />
                <script src="/theme.js"></script>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <link rel="stylesheet" href=format!("/{pkg}/decnet.css") />
                <link
                    rel="preload"
                    href="/fonts/inter.woff2"
                    r#as="font"
                    r#type="font/woff2"
                    crossorigin="anonymous"
                />
                <link rel="modulepreload" href=format!("/{pkg}/decnet.js") />
                <link
                    rel="preload"
                    href=format!("/{pkg}/decnet.wasm")
                    r#as="fetch"
                    r#type="application/wasm"
                    crossorigin="anonymous"
                />
                <script type="module" src="/boot.js" data-pieces=piece::all()></script>
                <AutoReload options />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// The routes.
///
/// Pages are rendered whole before they are sent: what streams in later needs scripts to find its place, and a reader
/// without them would look at placeholders.
#[component]
pub fn App() -> impl IntoView {
    // The browser needs none of it.
    #[cfg(feature = "ssr")]
    leptos_meta::provide_meta_context();
    let present = Present::new();
    provide_context(present);
    Effect::new(move |_| present.start());
    view! {
        <Router>
            <Routes fallback=nowhere>
                <Route path=path!("/login") view=pages::LOGIN ssr=SsrMode::Async />
                <Route path=path!("/password") view=pages::PASSWORD ssr=SsrMode::Async />
                <Route path=path!("/second-factor") view=pages::SECOND_FACTOR ssr=SsrMode::Async />
                <ParentRoute path=path!("") view=Frame ssr=SsrMode::Async>
                    <Route path=path!("/") view=pages::OVERVIEW ssr=SsrMode::Async />
                    <Route path=path!("/live") view=pages::LIVE ssr=SsrMode::Async />
                    <Route path=path!("/attackers") view=pages::ATTACKERS ssr=SsrMode::Async />
                    <Route path=path!("/attackers/:id") view=pages::ATTACKER ssr=SsrMode::Async />
                    <Route path=path!("/credentials") view=pages::CREDENTIALS ssr=SsrMode::Async />
                    <Route path=path!("/credentials/reuse") view=pages::REUSE ssr=SsrMode::Async />
                    <Route path=path!("/fleet") view=pages::FLEET ssr=SsrMode::Async />
                    <Route path=path!("/workers") view=pages::WORKERS ssr=SsrMode::Async />
                    <ParentRoute path=path!("/settings") view=SettingsFrame ssr=SsrMode::Async>
                        <Route path=path!("/") view=pages::ACCOUNT ssr=SsrMode::Async />
                        <Route path=path!("/host") view=pages::HOST ssr=SsrMode::Async />
                        <Route path=path!("/users") view=pages::USERS ssr=SsrMode::Async />
                        <Route path=path!("/tokens") view=pages::TOKENS ssr=SsrMode::Async />
                        <Route path=path!("/audit") view=pages::AUDIT ssr=SsrMode::Async />
                    </ParentRoute>
                    <Route path=path!("/quarantine") view=pages::QUARANTINE ssr=SsrMode::Async />
                    <Route path=path!("/gallery") view=Gallery ssr=SsrMode::Async />
                    <Route path=path!("/*any") view=pages::LOST ssr=SsrMode::Async />
                </ParentRoute>
            </Routes>
        </Router>
    }
}

#[cfg(debug_assertions)]
use pages::gallery::GalleryPage as Gallery;

#[cfg(not(debug_assertions))]
use pages::LOST as Gallery;

/// What no route takes; `/*any` takes everything.
fn nowhere() -> impl IntoView {
    nothing_here();
    "There is no such page."
}

/// Tell whoever serves this page that there is nothing at its address, so that the answer says so to programs, too. In
/// the browser the page alone says it.
pub(crate) fn nothing_here() {
    #[cfg(feature = "ssr")]
    if let Some(visit) = use_context::<visit::Visit>() {
        (visit.nothing_here)();
    }
}

/// Tell whoever serves this page that the reader may not see what it is about; as [`nothing_here`] does.
pub(crate) fn not_allowed() {
    #[cfg(feature = "ssr")]
    if let Some(visit) = use_context::<visit::Visit>() {
        (visit.not_allowed)();
    }
}
