//! Pages that come in a piece of WebAssembly of their own, so that a browser loads what it shows and not the whole
//! dashboard.
//!
//! `pieces!` makes the view of a route from a page. With feature `split`, which the release build of the browser's half
//! has, it marks where wasm-split cuts; without it the page is there from the beginning. The server renders a page as
//! ever and names its piece in the head, so that it is fetched beside the main module; [`fetch`] waits for it before the
//! page is taken over, which then happens in one go.
//!
//! `parts!` does the same for parts of pages that are mostly not there.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use leptos::prelude::*;
use leptos_router::{ChooseView, hooks::use_url};

use crate::{
    api::{Fault, FaultKind},
    components::{self, toast::use_toasts},
    pages,
};

/// What comes, or `None` where its piece does not.
pub(crate) type Coming<T> = Pin<Box<dyn Future<Output = Option<T>>>>;

/// The view of a route, in a piece of its own. One type for all pages, because the router has code for each type of view.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    /// What the piece is called.
    pub(crate) name: &'static str,
    /// Shows the page, once its piece is there.
    pub(crate) show: fn() -> Coming<AnyView>,
    /// Fetches the piece.
    pub(crate) load: fn() -> Coming<()>,
}

/// Views of routes, each a constant: the page in the piece of that name; and `ALL` of them.
macro_rules! pieces {
    ($($view:ident = $name:ident: $page:path),* $(,)?) => {
        $(
            pub(crate) const $view: $crate::piece::Piece = {
                #[cfg(feature = "split")]
                #[leptos::wasm_split::wasm_split($name, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
                fn show() -> Result<leptos::prelude::AnyView, leptos::wasm_split::SplitLoaderError> {
                    Ok(leptos::prelude::IntoAny::into_any($page()))
                }

                #[cfg(not(feature = "split"))]
                async fn show() -> Result<leptos::prelude::AnyView, std::convert::Infallible> {
                    Ok(leptos::prelude::IntoAny::into_any($page()))
                }

                #[cfg(not(feature = "split"))]
                async fn load() -> Result<(), std::convert::Infallible> {
                    Ok(())
                }

                $crate::piece::Piece {
                    name: stringify!($name),
                    show: || Box::pin(async { show().await.ok() }),
                    load: || Box::pin(async { load().await.ok() }),
                }
            };
        )*

        /// All of them.
        pub(crate) const ALL: &[$crate::piece::Piece] = &[$($view),*];
    };
}
pub(crate) use pieces;

/// What a piece is called, and what fetches it.
pub(crate) type Named = (&'static str, fn() -> Coming<()>);

/// What comes in a piece of its own, for a part of a page that is mostly not there: a closed drawer, the palette.
#[derive(Clone, Copy)]
pub(crate) struct Part<F: 'static> {
    name: &'static str,
    /// Fetches it.
    fetch: fn() -> Coming<F>,
    /// Fetches its piece.
    load: fn() -> Coming<()>,
}

/// A [`Part`] that is shown.
#[derive(Clone, Copy)]
pub(crate) struct Shown<F: 'static> {
    part: Part<F>,
    /// Whether its piece is there.
    here: Signal<bool>,
}

impl<F: Copy + 'static> Shown<F> {
    /// The function, once its piece is there.
    pub(crate) fn get(self) -> Option<F> {
        self.here.get().then(|| now((self.part.fetch)())).flatten()
    }
}

/// [`Part`]s, each a constant: a function that captures nothing, or several, in the piece of that name.
macro_rules! parts {
    ($($(#[$doc:meta])* $vis:vis $part:ident: $type:ty = $name:ident: $function:expr;)*) => {
        $(
            $(#[$doc])*
            $vis const $part: $crate::piece::Part<$type> = {
                #[cfg(feature = "split")]
                #[leptos::wasm_split::wasm_split($name, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
                fn fetch() -> Result<$type, leptos::wasm_split::SplitLoaderError> {
                    Ok($function)
                }

                #[cfg(not(feature = "split"))]
                async fn fetch() -> Result<$type, std::convert::Infallible> {
                    Ok($function)
                }

                #[cfg(not(feature = "split"))]
                async fn load() -> Result<(), std::convert::Infallible> {
                    Ok(())
                }

                $crate::piece::Part::new(
                    stringify!($name),
                    || Box::pin(async { fetch().await.ok() }),
                    || Box::pin(async { load().await.ok() }),
                )
            };
        )*
    };
}
pub(crate) use parts;

impl<F: Copy + Send + Sync + 'static> Part<F> {
    pub(crate) const fn new(name: &'static str, fetch: fn() -> Coming<F>, load: fn() -> Coming<()>) -> Self {
        Self { name, fetch, load }
    }

    /// For [`fetch`].
    pub(crate) const fn named(self) -> Named {
        (self.name, self.load)
    }

    /// The function, once its piece is there.
    pub(crate) async fn fetch(self) -> Option<F> {
        (self.fetch)().await
    }

    /// For a part that is shown: its function is there at once where its piece is, as it is when the page is taken over, because the
    /// server has named it.
    pub(crate) fn shown(self) -> Shown<F> {
        #[cfg(feature = "ssr")]
        announce(self.name);
        Shown {
            part: self,
            here: is_here((self.load)()),
        }
    }
}

/// Whether a piece that comes is there.
fn is_here(mut coming: Coming<()>) -> Signal<bool> {
    if let Poll::Ready(here) = poll(&mut coming) {
        return Signal::stored(here.is_some());
    }
    let here = RwSignal::new(false);
    let toasts = use_toasts();
    leptos::task::spawn_local(async move {
        match coming.await {
            // Who asked for it may be gone by then.
            Some(()) => drop(here.try_set(true)),
            None => toasts.failed(&Fault::new(
                FaultKind::Unavailable,
                "A part of this page did not come from the server. Is it away, or was it updated? Load the page again.",
            )),
        }
    });
    here.into()
}

/// What comes, if it is there now.
fn now<T>(mut coming: Coming<T>) -> Option<T> {
    match poll(&mut coming) {
        Poll::Ready(here) => here,
        Poll::Pending => None,
    }
}

fn poll<T>(coming: &mut Coming<T>) -> Poll<Option<T>> {
    coming.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

impl ChooseView for Piece {
    async fn choose(self) -> AnyView {
        #[cfg(feature = "ssr")]
        announce(self.name);
        or_leave((self.show)()).await
    }

    async fn preload(&self) {
        or_leave((self.load)()).await;
    }
}

/// Name the file of the piece in the page's head. Leptos' own way comes too late for pages that are rendered whole.
#[cfg(feature = "ssr")]
fn announce(name: &str) {
    use leptos_meta::Link;

    let Some(manifest) = use_context::<leptos::WasmSplitManifest>() else {
        return;
    };
    let (folder, pieces, loader) = &*manifest.0.read_value();
    for file in pieces.get(name).into_iter().flatten() {
        // To render them is what puts them into the head.
        let file = format!("{folder}/{file}.wasm");
        let _html = view! { <Link rel="preload" href=file as_="fetch" type_="application/wasm" crossorigin="anonymous" /> }.to_html();
        let loader = format!("{folder}/{loader}");
        let _html = view! { <Link rel="modulepreload" href=loader /> }.to_html();
    }
}

/// Fetch the piece that is called `name`; whether it is there now.
pub async fn fetch(name: &str) -> bool {
    let pages = pages::ALL.iter().map(|piece| (piece.name, piece.load));
    let mut pieces = pages.chain(components::PARTS.iter().copied());
    match pieces.find(|(called, _)| *called == name) {
        Some((_, load)) => load().await.is_some(),
        None => false,
    }
}

/// What comes. Where it does not (the network is away, or the server has been updated and has other pieces by now), the
/// browser goes to the page by itself: the server renders it, and every page works as plain HTML.
async fn or_leave<T>(coming: Coming<T>) -> T {
    // Where to: asked before the wait, after which the reader may be on the way elsewhere.
    let url = use_url().get_untracked();
    match coming.await {
        Some(here) => here,
        None => {
            let path = format!("{}?{}", url.path(), url.search());
            if let Some(window) = web_sys::window()
                && window.location().assign(&path).is_err()
            {
                leptos::logging::warn!("the browser does not go to {path}");
            }
            std::future::pending().await
        }
    }
}

/// The files of all pieces, where there are any: what `boot.js` fetches once nothing else is to do.
pub(crate) fn all() -> Option<String> {
    let manifest = use_context::<leptos::WasmSplitManifest>()?;
    let (_, pieces, _) = &*manifest.0.read_value();
    let files: std::collections::BTreeSet<_> = pieces.values().flatten().map(String::as_str).collect();
    Some(files.into_iter().collect::<Vec<_>>().join(" "))
}
