//! A dialog whose being open stands in the URL: it can be linked to, works without JavaScript, and Back closes it.

use leptos::{html, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};

use super::icon::{Icon, Mark};

/// A modal dialog. It is there as long as it is rendered; closing it goes to `close`, the URL without it.
///
/// The browser's own `<dialog>` keeps the focus inside and takes Esc.
#[component]
pub(crate) fn Dialog(
    #[prop(into)] title: String,
    #[prop(into)] close: Signal<String>,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    let navigate = use_navigate();
    Effect::new(move |_| {
        if let Some(dialog) = node.get() {
            // It was rendered open for readers without JavaScript; now it can be truly modal.
            dialog.close();
            if dialog.show_modal().is_err() {
                dialog.set_open(true);
            }
        }
    });
    // Closed as such and not only taken away, the browser gives the focus back to what had it.
    on_cleanup(move || {
        if let Some(dialog) = node.try_get_untracked().flatten() {
            dialog.close();
        }
    });
    let cancel = move |event: web_sys::Event| {
        event.prevent_default();
        navigate(
            &close.get_untracked(),
            NavigateOptions {
                scroll: false,
                ..NavigateOptions::default()
            },
        );
    };
    view! {
        <dialog class="dialog" open node_ref=node on:cancel=cancel aria-labelledby="dialog-title">
            <header>
                <h2 id="dialog-title">{title}</h2>
                <a class="icon-button" href=move || close.get() aria-label="Close" data-close="" data-noscroll="">
                    <Mark icon=Icon::Close />
                </a>
            </header>
            {children()}
        </dialog>
    }
    .into_any()
}
