//! What the browser calls the page.

use leptos::prelude::*;

/// Call the page so: on the server in the document's head, in the browser whenever `words` change.
pub(crate) fn entitle(words: impl Fn() -> String + Send + Sync + 'static) {
    // To make it is what puts it into the head.
    #[cfg(feature = "ssr")]
    drop(view! { <leptos_meta::Title text=words /> });
    // The browser's half has no use for the rest of that crate.
    #[cfg(not(feature = "ssr"))]
    Effect::new(move |_| document().set_title(&words()));
}
