//! A panel at the side with everything about one row. That it is open stands in the URL, so it can be linked to, works
//! without JavaScript, and Back closes it. The keys that walk the rows (`keys`) lead it from row to row.

use std::sync::Arc;

use leptos::{html, prelude::*};
use leptos_router::hooks::{use_location, use_query_map};

use super::{
    icon::{Icon, Mark},
    keys,
    notice::Empty,
    table::Listed,
};
use crate::{text, url};

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

/// The drawer of the row that `param` of the URL names, of a list whose rows never change: one of those that have come so far.
#[component]
pub(crate) fn RowDrawer<T: Listed>(
    rows: RwSignal<Vec<Arc<T>>>,
    param: &'static str,
    title: &'static str,
    /// What is told of the row.
    draw: fn(&T) -> AnyView,
) -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let close = Signal::derive(move || url::with(&path.get(), &query.get(), &[(param, None)]));
    let find = move |rows: &Vec<Arc<T>>, id: &str| rows.iter().find(|row| row.row_id() == id).cloned();
    let opened = Memo::new(move |_| {
        let id = query.with(|q| url::value(q, param))?;
        let is_there = rows.with(|rows| find(rows, &id).is_some());
        Some((id, is_there))
    });
    move || {
        opened.get().map(|(id, _)| {
            let inside = match rows.with_untracked(|rows| find(rows, &id)) {
                Some(row) => draw(&row),
                None => view! {
                    <Empty
                        title="It is not among the rows that are shown"
                        hint="Older ones come at the end of the list; a filter may leave it out."
                    />
                }
                .into_any(),
            };
            view! { <Drawer title=title row=text::visible(&id) close=close>{inside}</Drawer> }
        })
    }
}
