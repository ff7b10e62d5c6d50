//! Lists that come page by page: what is there already, and a way to what follows.

use std::sync::Arc;

use decnet_model::view::Page;
use leptos::{html, prelude::*};

use super::{notice::Problem, sight};
use crate::{api::Answer, text};

/// How near the end of a list has to come to the window for more of it to be fetched by itself.
const NEAR_PX: f64 = 600.0;
/// Rows up to which that is done; the rest is asked for by hand.
const BY_ITSELF: usize = 20_000;

/// A list as far as it was asked for. A copy is the same list.
pub(crate) struct Pager<T: Send + Sync + 'static> {
    /// The rows so far.
    pub(crate) rows: RwSignal<Vec<Arc<T>>>,
    /// How many there are in all, where that is known.
    pub(crate) total: Option<u64>,
    next: RwSignal<Option<String>>,
    more: Action<String, Answer<()>>,
}

impl<T: Send + Sync + 'static> Clone for Pager<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Pager<T> {}

impl<T: Send + Sync + 'static> Pager<T> {
    /// A list that begins with `first`; `fetch` gives the page at a cursor.
    pub(crate) fn new<F, Fut>(first: Page<T>, fetch: F) -> Self
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer<Page<T>>> + Send + 'static,
    {
        let next = RwSignal::new(first.next);
        let rows = RwSignal::new(first.data.into_iter().map(Arc::new).collect::<Vec<_>>());
        let more = Action::new(move |cursor: &String| {
            let page = fetch(cursor.clone());
            async move {
                let page = page.await?;
                rows.update(|rows| rows.extend(page.data.into_iter().map(Arc::new)));
                next.set(page.next);
                Ok(())
            }
        });
        Self {
            rows,
            total: first.total,
            next,
            more,
        }
    }

    /// How many rows there are: `120 of 4,000 attackers` where not all are here.
    pub(crate) fn words(self, have: usize, one: &str, many: &str) -> String {
        let have = u64::try_from(have).unwrap_or(u64::MAX);
        match self.total {
            Some(total) if total > have => {
                format!("{} of {}", text::count(have), text::plural(total, one, many))
            }
            _ if self.next.with(Option::is_some) => format!("the first {}", text::plural(have, one, many)),
            _ => text::plural(have, one, many),
        }
    }

    fn fetch(self) {
        if let Some(cursor) = self.next.get_untracked()
            && !self.more.pending().get_untracked()
        {
            self.more.dispatch(cursor);
        }
    }
}

/// The way to what follows: by scrolling near it, or by its button.
#[component]
pub(crate) fn More<T: Send + Sync + 'static>(
    pager: Pager<T>,
    #[prop(default = "Load more")] words: &'static str,
) -> impl IntoView {
    let button = NodeRef::<html::Button>::new();
    let began = StoredValue::new(false);
    sight::watch(move || {
        // Only scrolling fetches: a list that is shorter than the window does not grow without being asked.
        if !began.get_value() {
            began.set_value(true);
            return;
        }
        let near = || {
            let top = button.get_untracked()?.get_bounding_client_rect().top();
            let window_px = web_sys::window()?.inner_height().ok()?.as_f64()?;
            Some(top < window_px + NEAR_PX)
        };
        if pager.rows.with_untracked(Vec::len) < BY_ITSELF && near() == Some(true) {
            pager.fetch();
        }
    });
    let pending = pager.more.pending();
    view! {
        {move || {
            pager
                .next
                .with(Option::is_some)
                .then(|| {
                    view! {
                        <button
                            type="button"
                            class="button more"
                            node_ref=button
                            disabled=move || pending.get()
                            on:click=move |_| pager.fetch()
                        >
                            {move || if pending.get() { "Loading…" } else { words }}
                        </button>
                    }
                })
        }}
        {move || {
            let fault = pager.more.value().get().and_then(Result::err);
            fault.map(|fault| view! { <Problem fault again=Callback::new(move |()| pager.fetch()) /> })
        }}
    }
    .into_any()
}
