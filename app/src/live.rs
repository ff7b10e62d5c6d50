//! What happens now: one event stream a browser, kept in signals that the pages read.
//!
//! [`Live::start`] opens `/api/v1/stream`, with [`stream`], or hears it from the tab that did ([`share`]). A stream that breaks is opened again after a growing pause;
//! one that never opens (a proxy that buffers, too many tabs) gives way to asking the server every few seconds, and the
//! live dot says so. On the server nothing is ever started: there the signals keep what they began with.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use decnet_model::{
    id::{AttackerId, LogId, TaskId},
    name::{DeckyName, WorkerName},
    view::{AttackerView, DeckyView, LogView, Stats, TaskView, WorkerView},
};
use leptos::prelude::*;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, EventSource, MessageEvent};

use crate::{api::fleet, piece::parts};

mod share;
mod stream;

/// How long after what feeds the store did not come it is asked for again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// How what happens reaches this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Not yet: what is shown is as of the page's loading.
    Opening,
    /// The stream is open.
    Open,
    /// The stream broke; it is opened again.
    Broken,
    /// There is no stream: the server is asked every few seconds.
    Polling,
    /// The server does not answer at all.
    Lost,
}

/// The store. A copy is the same store.
#[derive(Clone, Copy)]
pub(crate) struct Live {
    /// How it comes.
    pub(crate) link: RwSignal<Link>,
    /// How long the last event was on its way, in milliseconds over the fastest one.
    pub(crate) lag_ms: RwSignal<Option<i64>>,
    /// Counters, since they first changed.
    pub(crate) stats: RwSignal<Option<Stats>>,
    /// New log rows, newest first.
    pub(crate) rows: RwSignal<VecDeque<Arc<LogView>>>,
    /// New log rows by the minute (since 1970) in which they happened.
    pub(crate) minutes: RwSignal<BTreeMap<i64, u64>>,
    /// Those of intruders.
    pub(crate) touches: RwSignal<BTreeMap<i64, u64>>,
    /// Attackers that changed.
    pub(crate) attackers: RwSignal<BTreeMap<AttackerId, AttackerView>>,
    /// The whole fleet, since it was first heard of.
    pub(crate) deckies: RwSignal<Option<BTreeMap<DeckyName, DeckyView>>>,
    /// Workers that were heard of.
    pub(crate) workers: RwSignal<BTreeMap<WorkerName, WorkerView>>,
    /// Pieces of long work that moved.
    pub(crate) tasks: RwSignal<BTreeMap<TaskId, TaskView>>,
    /// Rises when something may have been missed: what was fetched has to be fetched again.
    pub(crate) epoch: RwSignal<u32>,
    /// Rises when the host does otherwise than it did.
    pub(crate) health: RwSignal<u32>,
    /// The newest row seen.
    pub(crate) newest: RwSignal<Option<LogId>>,
    /// The last deletion of all evidence that the stream knew of when it greeted.
    forgotten: RwSignal<Option<LogId>>,
    /// The newest row that was there already when the stream greeted.
    greeted_with: RwSignal<Option<LogId>>,
    /// Least difference of clocks seen, in milliseconds: what is above it is lag.
    skew_ms: RwSignal<Option<i64>>,
    failures: RwSignal<u32>,
    /// What another tab told while this one asks how things stand, where it asks.
    held: StoredValue<Option<Vec<String>>>,
    greeted: RwSignal<bool>,
    stopped: RwSignal<bool>,
}

type OnMessage = Closure<dyn FnMut(MessageEvent)>;
type OnEvent = Closure<dyn FnMut(Event)>;

/// An open stream and what it calls.
struct Connection {
    source: EventSource,
    _message: OnMessage,
    _open: OnEvent,
    _error: OnEvent,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.source.close();
    }
}

thread_local! {
    /// The stream, where it is this page that has it open.
    static CONNECTION: RefCell<Option<Connection>> = const { RefCell::new(None) };
    /// This page's place among the tabs.
    static SEAT: RefCell<Option<share::Seat>> = const { RefCell::new(None) };
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            link: RwSignal::new(Link::Opening),
            lag_ms: RwSignal::new(None),
            stats: RwSignal::new(None),
            rows: RwSignal::new(VecDeque::new()),
            minutes: RwSignal::new(BTreeMap::new()),
            touches: RwSignal::new(BTreeMap::new()),
            attackers: RwSignal::new(BTreeMap::new()),
            deckies: RwSignal::new(None),
            workers: RwSignal::new(BTreeMap::new()),
            tasks: RwSignal::new(BTreeMap::new()),
            epoch: RwSignal::new(0),
            health: RwSignal::new(0),
            newest: RwSignal::new(None),
            forgotten: RwSignal::new(None),
            greeted_with: RwSignal::new(None),
            skew_ms: RwSignal::new(None),
            failures: RwSignal::new(0),
            held: StoredValue::new(None),
            greeted: RwSignal::new(false),
            stopped: RwSignal::new(false),
        }
    }

    /// Open the stream, in a browser. What reads it comes in a piece of its own.
    pub(crate) fn start(self) {
        self.stopped.set(false);
        leptos::task::spawn_local(async move {
            match FEED.fetch().await {
                Some(feed) => (feed.open)(self),
                None if self.is_stopped() => {}
                None => {
                    self.link.set(Link::Lost);
                    set_timeout(move || self.start(), AGAIN);
                }
            }
        });
    }

    /// Fetch a task until it has ended or the stream tells of it. Where that does not come, the stream does not either, and the live
    /// dot says so.
    pub(crate) fn follow(self, task: TaskId) {
        leptos::task::spawn_local(async move {
            if let Some(feed) = FEED.fetch().await {
                (feed.ask)(self, task);
            }
        });
    }

    /// How many rows of those that `belongs` takes came since the page was loaded, by the minute (since 1970) in which they
    /// happened.
    pub(crate) fn arrived(self, belongs: impl Fn(&LogView) -> bool) -> BTreeMap<i64, u64> {
        let known = self.greeted_with.get();
        let mut minutes = BTreeMap::new();
        self.rows.with(|rows| {
            let came = rows
                .iter()
                .take_while(|row| known.is_none_or(|known| row.id > known));
            for row in came.filter(|row| belongs(row)) {
                *minutes.entry(minute(row)).or_default() += 1;
            }
        });
        minutes
    }

    /// Whether nobody looks any more: the frame is gone, or nobody is signed in.
    fn is_stopped(self) -> bool {
        self.stopped.try_get_untracked().unwrap_or(true)
    }
}

/// What feeds a store.
#[derive(Clone, Copy)]
struct Feed {
    open: fn(Live),
    ask: fn(Live, TaskId),
}

parts! {
    FEED: Feed = stream: Feed { open: |live| live.open(), ask: |live, task| live.ask(task) };
}

/// Close the stream, if one is open, and leave it to another tab. The signals of a store may be gone by then.
pub(crate) fn close() {
    drop(CONNECTION.take());
    drop(SEAT.take());
}

fn minute(row: &LogView) -> i64 {
    row.at.unix_timestamp().div_euclid(60)
}

/// The store of this page.
///
/// Without one (a component outside the frame) a still one, so that nothing needs to be special there.
pub(crate) fn use_live() -> Live {
    use_context::<Live>().unwrap_or_else(Live::new)
}

/// The fleet as it was when the page was loaded, and as the stream tells since. It is read below a `Suspense`.
pub(crate) fn fleet_now() -> Signal<Vec<DeckyView>> {
    let live = use_live();
    let first = Resource::new(|| (), |()| fleet::decky_list());
    Signal::derive(move || {
        let known = live
            .deckies
            .with(|d| d.as_ref().map(|d| d.values().cloned().collect::<Vec<_>>()));
        known
            .or_else(|| first.get().and_then(Result::ok))
            .unwrap_or_default()
    })
}
