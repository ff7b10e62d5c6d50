//! What happens now: one event stream a browser, kept in signals that the pages read.
//!
//! [`Live::start`] opens `/api/v1/stream`, with [`stream`], or hears it from the tab that did ([`share`]). A stream that breaks is opened again after a growing pause;
//! one that never opens (a proxy that buffers, too many tabs) gives way to asking the server every few seconds, and the
//! live dot says so. On the server nothing is ever started: there the signals keep what they began with.
//!
//! A page shows what it fetched and goes on from there by [`Live::came`] or [`Live::counted`]. Where that cannot be, because the stream
//! told less than all (who missed more rows than the server tells again is greeted with the newest only), [`Live::epoch`] rises, and everything is fetched again.

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
use time::OffsetDateTime;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, EventSource, MessageEvent};

use crate::{api::fleet, components::when::use_present, piece::parts};

mod share;
mod stream;

/// The most rows that a page takes as they come: with more of them it fetches what it shows anew, and they are behind "Older".
pub(crate) const TAKEN: usize = 2_000;
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
    /// How late what happens is told, in milliseconds: from when the newest row came in until the server told of it, and from there to
    /// here, over the fastest event.
    pub(crate) lag_ms: RwSignal<Option<i64>>,
    /// Counters, since they first changed.
    pub(crate) stats: RwSignal<Option<Stats>>,
    /// The newest log rows that were told, newest first.
    pub(crate) rows: RwSignal<VecDeque<Arc<LogView>>>,
    /// Attackers that changed, as far as they are kept: who shows one goes on with what was told last of it.
    pub(crate) attackers: RwSignal<BTreeMap<AttackerId, AttackerView>>,
    /// The newest find of which it is known where else it was used, once that moved.
    pub(crate) compared: RwSignal<Option<i64>>,
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
    /// The attackers that are kept, in the order in which they were told last.
    told: StoredValue<VecDeque<AttackerId>>,
    /// The newest row that was told, once the stream has greeted.
    newest: RwSignal<Option<LogId>>,
    /// Of the rows after this one none is missing among those that are kept.
    since: RwSignal<LogId>,
    /// The last deletion of all evidence that the stream knew of when it greeted.
    forgotten: RwSignal<Option<LogId>>,
    /// Least difference of clocks seen, in milliseconds: what is above it is lag.
    skew_ms: RwSignal<Option<i64>>,
    /// How late the rows were that were told last, in milliseconds, and when that was.
    late: StoredValue<Option<(i64, OffsetDateTime)>>,
    failures: RwSignal<u32>,
    /// What another tab told while this one asks how things stand, where it asks.
    held: StoredValue<Option<Vec<String>>>,
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
            attackers: RwSignal::new(BTreeMap::new()),
            compared: RwSignal::new(None),
            deckies: RwSignal::new(None),
            workers: RwSignal::new(BTreeMap::new()),
            tasks: RwSignal::new(BTreeMap::new()),
            epoch: RwSignal::new(0),
            health: RwSignal::new(0),
            told: StoredValue::new(VecDeque::new()),
            newest: RwSignal::new(None),
            since: RwSignal::new(LogId(0)),
            forgotten: RwSignal::new(None),
            skew_ms: RwSignal::new(None),
            late: StoredValue::new(None),
            failures: RwSignal::new(0),
            held: StoredValue::new(None),
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

    /// The rows of those that `belongs` takes which come after `from`, newest first. Where they become too many, `anew` is called once,
    /// which has to fetch again what they go on from.
    pub(crate) fn came(
        self,
        from: LogId,
        belongs: impl Fn(&LogView) -> bool + 'static,
        anew: Callback<()>,
    ) -> RwSignal<Vec<Arc<LogView>>> {
        let came = RwSignal::new(Vec::new());
        let take = move |mut rows: Vec<Arc<LogView>>| {
            rows.retain(|row| belongs(row));
            take_up(came, rows, anew);
        };
        self.after(from, Box::new(take));
        came
    }

    /// How many of those rows there are, by the minutes (since 1970) in which they happened, in any order.
    pub(crate) fn counted(
        self,
        from: LogId,
        belongs: impl Fn(&LogView) -> bool + 'static,
    ) -> RwSignal<Vec<(i64, u64)>> {
        let minutes = RwSignal::new(Vec::new());
        let take = move |mut rows: Vec<Arc<LogView>>| {
            rows.retain(|row| belongs(row));
            if !rows.is_empty() {
                minutes.update(|minutes| {
                    for row in rows {
                        count(minutes, minute(&row));
                    }
                });
            }
        };
        self.after(from, Box::new(take));
        minutes
    }

    /// Hand the rows after `from` to `take` as they come, newest first and each once, as long as whoever asks is there. Where one is
    /// missing the epoch rises, if it did not by itself, and `take` gets no more: what it goes on from is fetched again.
    pub(crate) fn after(self, from: LogId, take: Box<dyn Fn(Vec<Arc<LogView>>)>) {
        let epoch = self.epoch.get_untracked();
        let reached = StoredValue::new(Some(from));
        Effect::new(move |_| {
            let Some(from) = reached.get_value() else { return };
            let rows: Vec<_> = self.rows.with(|rows| {
                let new = rows.iter().take_while(|row| row.id > from);
                new.cloned().collect()
            });
            if self.since.get_untracked() > from {
                reached.set_value(None);
                if self.epoch.get_untracked() == epoch {
                    self.epoch.set(epoch + 1);
                }
            } else if let Some(newest) = rows.first() {
                reached.set_value(Some(newest.id));
                take(rows);
            }
        });
    }

    /// Whether nobody looks any more: the frame is gone, or nobody is signed in.
    fn is_stopped(self) -> bool {
        self.stopped.try_get_untracked().unwrap_or(true)
    }
}

/// `told`, taken up at once and from then on at most with every tick of the present: for what is asked of the server whenever it changes,
/// and may change with every event of the stream.
pub(crate) fn paced(told: Memo<Option<u64>>) -> Memo<Option<u64>> {
    let tick = use_present().now;
    // What was taken up, and with which tick.
    let taken = Memo::new(move |taken: Option<&(Option<u64>, Option<OffsetDateTime>)>| {
        let now = told.get();
        match taken {
            None => (now, None),
            // What the tick is matters only to whoever waits for the next.
            Some(taken) if taken.0 == now || taken.1 == Some(tick.get()) => *taken,
            Some(_) => (now, Some(tick.get_untracked())),
        }
    });
    Memo::new(move |_| taken.get().0)
}

/// Put rows that came, newest first, before those that came earlier. Where they become too many, `anew` is called, once: from then on
/// nothing is taken.
pub(crate) fn take_up(came: RwSignal<Vec<Arc<LogView>>>, mut rows: Vec<Arc<LogView>>, anew: Callback<()>) {
    let before = came.with_untracked(Vec::len);
    if rows.is_empty() || before > TAKEN {
        return;
    }
    came.update(|came| {
        rows.append(came);
        *came = rows;
    });
    if came.with_untracked(Vec::len) > TAKEN {
        anew.run(());
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

/// Count one more in a `minute`, which is most often one of the last that came.
fn count(minutes: &mut Vec<(i64, u64)>, minute: i64) {
    match minutes.iter_mut().rev().find(|(counted, _)| *counted == minute) {
        Some((_, count)) => *count += 1,
        None => minutes.push((minute, 1)),
    }
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
    let first = Resource::new(|| (), |()| fleet::decky_list());
    fleet_from(move || first.get().and_then(Result::ok).unwrap_or_default())
}

/// The fleet as the stream tells, and as it was `first` until it does.
pub(crate) fn fleet_from(
    first: impl Fn() -> Vec<DeckyView> + Send + Sync + 'static,
) -> Signal<Vec<DeckyView>> {
    let live = use_live();
    Signal::derive(move || {
        let known = live
            .deckies
            .with(|d| d.as_ref().map(|d| d.values().cloned().collect()));
        known.unwrap_or_else(&first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::when::Present;

    #[test]
    fn what_changes_is_taken_up_at_once_and_then_at_most_with_every_tick() {
        let owner = Owner::new();
        owner.set();
        let present = Present::new();
        provide_context(present);
        let told = RwSignal::new(Some(1));
        let taken = paced(Memo::new(move |_| told.get()));
        assert_eq!(taken.get_untracked(), Some(1));
        let tick = || present.now.update(|now| *now += time::Duration::seconds(5));
        let after = |now| {
            told.set(Some(now));
            taken.get_untracked()
        };
        assert_eq!(after(2), Some(2), "at once");
        assert_eq!(after(3), Some(2), "held back");
        assert_eq!(after(4), Some(2), "held back");
        tick();
        assert_eq!(taken.get_untracked(), Some(4), "with the tick");
        assert_eq!(after(5), Some(4), "held back");
        assert_eq!(after(4), Some(4), "as it was");
        tick();
        assert_eq!(taken.get_untracked(), Some(4), "nothing was told");
        assert_eq!(after(6), Some(6), "at once, after a tick without news");
        drop(owner);
    }
}
