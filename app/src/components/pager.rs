//! Lists that come page by page: what is there already, and a way to what follows.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use decnet_model::view::Page;
use leptos::{html, prelude::*};
use leptos_router::hooks::{use_location, use_query_map};

use super::{ink::Ink, notice::Problem, sight, table::Listed};
use crate::{api::Answer, live::paced, text, url};

/// How near the end of a list has to come to the window for more of it to be fetched by itself.
const NEAR_PX: f64 = 600.0;
/// Rows up to which that is done; the rest is asked for by hand.
const BY_ITSELF: usize = 20_000;
/// Pages that are fetched to find what is new, until they reach what is here; more than that, and the list begins anew.
const RENEWED: usize = 8;
/// Pages without a row that are fetched at a time to find one.
const IN_VAIN: u32 = 20;
/// How often a list is asked for again of whose changes the stream does not tell.
const ASKED_EVERY: Duration = Duration::from_secs(10);

/// A list as far as it was asked for. A copy is the same list.
pub(crate) struct Pager<T: Listed> {
    /// The rows so far.
    pub(crate) rows: RwSignal<Vec<Arc<T>>>,
    /// How many there are in all, where that is known.
    total: RwSignal<Option<u64>>,
    /// The cursor of the page that follows, if one does.
    pub(crate) next: RwSignal<Option<String>>,
    /// Pages without a row since the last that had one: a search reads only so much for each, and its page may be empty and not the last.
    vain: RwSignal<u32>,
    more: Action<String, Answer<()>>,
    renew: Action<(), ()>,
}

impl<T: Listed> Clone for Pager<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Listed> Copy for Pager<T> {}

impl<T: Listed> Pager<T> {
    /// A list that begins with `first`; `fetch` gives the page at a cursor, and without one the first.
    pub(crate) fn new<F, Fut>(first: Page<T>, fetch: F) -> Self
    where
        F: Fn(Option<String>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer<Page<T>>> + Send + 'static,
    {
        let fetch = Arc::new(fetch);
        let vain = RwSignal::new(u32::from(first.data.is_empty() && first.next.is_some()));
        let next = RwSignal::new(first.next);
        let total = RwSignal::new(first.total);
        let rows = RwSignal::new(first.data.into_iter().map(Arc::new).collect::<Vec<_>>());
        let more = Action::new({
            let fetch = fetch.clone();
            move |cursor: &String| {
                let (fetch, mut cursor) = (fetch.clone(), cursor.clone());
                async move {
                    for _ in 0..IN_VAIN {
                        let page = fetch(Some(cursor)).await?;
                        // Who asked for another list meanwhile wants no more of this one.
                        let Some(here) = rows.try_with_untracked(|rows| ids(rows)) else {
                            return Ok(());
                        };
                        let is_empty = page.data.is_empty();
                        // A row that moved since may stand here already.
                        let page_rows = page.data.into_iter().filter(|row| !here.contains(&row.row_id()));
                        rows.update(|rows| rows.extend(page_rows.map(Arc::new)));
                        next.set(page.next.clone());
                        vain.update(|vain| *vain = if is_empty { *vain + 1 } else { 0 });
                        match page.next {
                            Some(next) if is_empty => cursor = next,
                            _ => break,
                        }
                    }
                    Ok(())
                }
            }
        });
        let renew = Action::new(move |(): &()| {
            let fetch = fetch.clone();
            async move {
                let here = rows.with_untracked(|rows| ids(rows));
                let (mut came, mut cursor, mut met) = (Vec::new(), None, false);
                for _ in 0..RENEWED {
                    // A fault leaves what is there: the live dot tells of a server that does not answer.
                    let Ok(page) = fetch(cursor.take()).await else {
                        return;
                    };
                    total.set(page.total);
                    met = page.data.iter().any(|row| here.contains(&row.row_id()));
                    came.extend(page.data.into_iter().map(Arc::new));
                    cursor = page.next;
                    if met || here.is_empty() || cursor.is_none() {
                        break;
                    }
                }
                // Where all of it came, what did not come is no more.
                let goes_on = met && cursor.is_some();
                rows.update(|rows| {
                    let held = std::mem::replace(rows, came);
                    if goes_on {
                        let again = ids(rows);
                        rows.extend(held.into_iter().filter(|row| !again.contains(&row.row_id())));
                    }
                });
                if !goes_on {
                    next.set(cursor);
                }
            }
        });
        Self {
            rows,
            total,
            next,
            vain,
            more,
            renew,
        }
    }

    /// A list that comes whole, because it is never long: it begins with `first`, and `fetch` gives all of it anew.
    pub(crate) fn whole<F, Fut>(first: Vec<T>, fetch: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer<Vec<T>>> + Send + 'static,
    {
        let page = |data| Page {
            data,
            next: None,
            total: None,
        };
        Self::new(page(first), move |_| {
            let all = fetch();
            async move { all.await.map(page) }
        })
    }

    /// Fetch the start of the list again whenever `told` changes, but not with every event of a stream, and take in what is new or not as it
    /// was. What is shown stays.
    pub(crate) fn follow(self, told: Memo<Option<u64>>) {
        let told = paced(told);
        let done = StoredValue::new(None);
        let pending = self.renew.pending();
        Effect::new(move |_| {
            let now = told.get();
            if !pending.get() && done.get_value() != now {
                done.set_value(now);
                self.renew.dispatch(());
            }
        });
    }

    /// Do so every few seconds, and when the reader comes back to the page: for what no event of the stream tells of.
    pub(crate) fn follow_by_asking(self) {
        let times = RwSignal::new(0_u64);
        sight::while_looked_at(ASKED_EVERY, move || times.update(|times| *times += 1));
        self.follow(Memo::new(move |_| Some(times.get()).filter(|times| *times > 0)));
    }

    /// How many rows there are: `120 of 4,000 attackers` where not all are here.
    pub(crate) fn words(self, have: usize, one: &str, many: &str) -> String {
        self.words_with("first", 0, have, one, many)
    }

    /// The same where the last `came` of them came since the list was fetched, which its total does not count; `which` of them are here
    /// where nobody knows how many there are.
    pub(crate) fn words_with(self, which: &str, came: usize, have: usize, one: &str, many: &str) -> String {
        let [came, have] = [came, have].map(|n| u64::try_from(n).unwrap_or(u64::MAX));
        match self.total.get().map(|total| total.saturating_add(came)) {
            Some(total) if total > have => {
                format!("{} of {}", text::count(have), text::plural(total, one, many))
            }
            _ if self.next.with(Option::is_some) => format!("the {which} {}", text::plural(have, one, many)),
            _ => text::plural(have, one, many),
        }
    }

    /// How many pages were read last without finding a row, where there is more to be read: then nobody knows yet whether there is one.
    pub(crate) fn unknown(self) -> Option<u32> {
        let vain = self.vain.get();
        (vain > 0 && self.next.with(Option::is_some)).then_some(vain)
    }

    /// Fetch the page that follows, if there is one.
    pub(crate) fn fetch(self) {
        if let Some(cursor) = self.next.get_untracked()
            && !self.more.pending().get_untracked()
        {
            self.more.dispatch(cursor);
        }
    }
}

fn ids<T: Listed>(rows: &[Arc<T>]) -> BTreeSet<String> {
    rows.iter().map(|row| row.row_id()).collect()
}

/// The way to what follows, and back to the start, for a reader without scripts. It is markup: a browser with scripts takes what stands in a
/// `noscript` for text.
fn by_links<T: Listed>(pager: Pager<T>, words: &str) -> String {
    if cfg!(not(feature = "ssr")) {
        return String::new();
    }
    let (path, params) = (
        use_location().pathname.get_untracked(),
        use_query_map().get_untracked(),
    );
    let mut ink = Ink::default();
    let mut link = |to: Option<&str>, words: &str| {
        let to = url::with(&path, &params, &[(url::BEFORE, to)]);
        ink.words("a", &[("class", &"button more"), ("href", &to)], words);
    };
    if params.get_str(url::BEFORE).is_some() {
        link(None, "From the start");
    }
    if let Some(next) = pager.next.get_untracked() {
        link(Some(&next), words);
    }
    ink.markup()
}

/// The way to what follows: by scrolling near it, or by its button.
#[component]
pub(crate) fn More<T: Listed>(
    pager: Pager<T>,
    #[prop(default = "Load more")] words: &'static str,
) -> impl IntoView {
    let button = NodeRef::<html::Button>::new();
    let fetch_near = move || {
        let near = || {
            let top = button.try_get_untracked()??.get_bounding_client_rect().top();
            let window_px = web_sys::window()?.inner_height().ok()?.as_f64()?;
            Some(top < window_px + NEAR_PX)
        };
        // Where so much was read in vain the reader says whether to go on. Once the list is gone it is near nothing.
        let by_itself = || pager.vain.get_untracked() == 0 && pager.rows.with_untracked(Vec::len) < BY_ITSELF;
        if near() == Some(true) && by_itself() {
            pager.fetch();
        }
    };
    let began = StoredValue::new(false);
    sight::watch(move || {
        // Only scrolling fetches: a list that is shorter than the window does not grow without being asked.
        if began.get_value() {
            fetch_near();
        }
        began.set_value(true);
    });
    // A list that came empty, and not whole, has not begun yet.
    Effect::new(move |_| {
        if pager.vain.get_untracked() > 0 {
            pager.fetch();
        }
    });
    // Who has come to the end meanwhile cannot scroll any further to say so.
    Effect::new(move |_| {
        if matches!(pager.more.value().get(), Some(Ok(()))) {
            request_animation_frame(fetch_near);
        }
    });
    let pending = pager.more.pending();
    let by_links = by_links(pager, words);
    view! {
        <noscript inner_html=by_links></noscript>
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
