//! A panel at the side with everything about one row. That it is open stands in the URL, so it can be linked to, works
//! without JavaScript, and Back closes it. The keys that walk the rows (`keys`) lead it from row to row.

use leptos::{html, prelude::*};

use super::{
    icon::{Icon, Mark},
    keys,
};

/// The panel. It takes the focus, and gives it back to what opened it, or the row that it belongs to.
#[component]
pub(crate) fn Drawer(
    #[prop(into)] title: String,
    /// The row: what its link has in `data-row`.
    #[prop(into)]
    row: String,
    /// The URL without the drawer.
    close: Signal<String>,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<html::A>::new();
    let (of, opened) = (row.clone(), row.clone());
    Effect::new(move |_| {
        if let Some(link) = node.get() {
            keys::note_opener(&opened);
            // What had to be fetched is made before it is in the page.
            let is_there = link.is_connected();
            let focus = move || drop(link.focus());
            if is_there {
                focus();
            } else {
                request_animation_frame(focus);
            }
        }
    });
    on_cleanup(move || {
        keys::focus_row(&row);
    });
    let label = title.clone();
    view! {
        <div class="drawer" role="dialog" aria-label=label data-of=of>
            <header>
                <h2>{title}</h2>
                <a
                    class="icon-button"
                    node_ref=node
                    href=move || close.get()
                    aria-label="Close"
                    data-close=""
                    data-noscroll=""
                >
                    <Mark icon=Icon::Close />
                </a>
            </header>
            <div class="drawer-body">{children()}</div>
        </div>
    }
    .into_any()
}
