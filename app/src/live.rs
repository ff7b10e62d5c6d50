//! What happens now: one event stream a page load, kept in signals that the pages read.
//!
//! [`Live::start`] opens `/api/v1/stream` in the browser. A stream that breaks is opened again after a growing pause;
//! one that never opens (a proxy that buffers, too many tabs) gives way to asking the server every few seconds, and the
//! live dot says so. On the server nothing is ever started: there the signals keep what they began with.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use decnet_model::{
    clock::micros,
    id::{AttackerId, LogId, TaskId},
    name::{DeckyName, WorkerName},
    view::{
        AttackerView, DeckyView, LogView, Stats, StreamBody, StreamEvent, StreamSnapshot, TaskView,
        WorkerView,
    },
};
use leptos::prelude::*;
use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{Event, EventSource, MessageEvent};

use crate::{
    api::{FaultKind, evidence},
    text,
};

/// Where the stream is.
const STREAM: &str = "/api/v1/stream";
/// The names under which a server may send its events; unnamed ones arrive as `message`.
const NAMES: &[&str] = &[
    "message",
    "snapshot",
    "logs",
    "stats",
    "attackers",
    "decky",
    "decky_removed",
    "task",
    "worker",
];
/// The most new rows that are kept: what a page shows of them is far less.
const KEEP: usize = 1_000;
/// Failures in a row after which the server is asked instead.
const PATIENCE: u32 = 3;
/// How long ago a task may have ended that is still told of.
const NEWS: time::Duration = time::Duration::seconds(10);
/// Milliseconds between two questions where there is no stream.
const POLL_MS: u64 = 4_000;

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
    minutes: RwSignal<BTreeMap<i64, u64>>,
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
    /// The newest row seen.
    pub(crate) newest: RwSignal<Option<LogId>>,
    /// The newest row that was there already when the stream greeted.
    greeted_with: RwSignal<Option<LogId>>,
    /// Least difference of clocks seen, in milliseconds: what is above it is lag.
    skew_ms: RwSignal<Option<i64>>,
    failures: RwSignal<u32>,
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

thread_local! {
    /// The one stream of this page.
    static CONNECTION: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            link: RwSignal::new(Link::Opening),
            lag_ms: RwSignal::new(None),
            stats: RwSignal::new(None),
            rows: RwSignal::new(VecDeque::new()),
            minutes: RwSignal::new(BTreeMap::new()),
            attackers: RwSignal::new(BTreeMap::new()),
            deckies: RwSignal::new(None),
            workers: RwSignal::new(BTreeMap::new()),
            tasks: RwSignal::new(BTreeMap::new()),
            epoch: RwSignal::new(0),
            newest: RwSignal::new(None),
            greeted_with: RwSignal::new(None),
            skew_ms: RwSignal::new(None),
            failures: RwSignal::new(0),
            greeted: RwSignal::new(false),
            stopped: RwSignal::new(false),
        }
    }

    /// Open the stream, in a browser.
    pub(crate) fn start(self) {
        self.stopped.set(false);
        let Ok(source) = EventSource::new(STREAM) else {
            // A browser without event streams.
            self.poll();
            return;
        };
        let message = OnMessage::new(move |event: MessageEvent| {
            let Some(data) = event.data().as_string() else {
                return;
            };
            match StreamEvent::from_json(&data) {
                Ok(event) => self.take(event),
                Err(err) => leptos::logging::warn!("the stream sent what this page cannot read: {err}"),
            }
        });
        let open = OnEvent::new(move |_: Event| {
            self.failures.set(0);
            self.link.set(Link::Open);
        });
        let error = OnEvent::new(move |_: Event| self.broke());
        for name in NAMES {
            if source
                .add_event_listener_with_callback(name, message.as_ref().unchecked_ref())
                .is_err()
            {
                leptos::logging::warn!("cannot listen for {name}");
            }
        }
        source.set_onopen(Some(open.as_ref().unchecked_ref()));
        source.set_onerror(Some(error.as_ref().unchecked_ref()));
        let next = Connection {
            source,
            _message: message,
            _open: open,
            _error: error,
        };
        CONNECTION.with_borrow_mut(|held| {
            if let Some(old) = held.replace(next) {
                old.source.close();
            }
        });
    }

    /// How many rows of this decky and service came since the page was loaded, by the minute (since 1970) in which they
    /// happened.
    pub(crate) fn arrived(self, decky: Option<&str>, service: Option<&str>) -> BTreeMap<i64, u64> {
        if decky.is_none() && service.is_none() {
            return self.minutes.get();
        }
        let known = self.greeted_with.get();
        let mut minutes = BTreeMap::new();
        self.rows.with(|rows| {
            for row in rows
                .iter()
                .take_while(|row| known.is_none_or(|known| row.id > known))
            {
                if decky.is_none_or(|d| row.decky == d) && service.is_none_or(|s| row.service == s) {
                    *minutes.entry(minute(row)).or_default() += 1;
                }
            }
        });
        minutes
    }

    /// Whether nobody looks any more: the frame is gone, or nobody is signed in.
    fn is_stopped(self) -> bool {
        self.stopped.try_get_untracked().unwrap_or(true)
    }

    fn broke(self) {
        if self.is_stopped() {
            return;
        }
        let failures = self.failures.get_untracked() + 1;
        self.failures.set(failures);
        self.lag_ms.set(None);
        if failures > PATIENCE {
            // Not from within the handler of the stream that is being closed.
            set_timeout(
                move || {
                    close();
                    self.poll();
                },
                std::time::Duration::ZERO,
            );
            return;
        }
        self.link.set(Link::Broken);
        let pause = 500_u64 << failures.min(5);
        set_timeout(
            move || {
                if !self.is_stopped() && self.link.get_untracked() == Link::Broken {
                    self.start();
                }
            },
            std::time::Duration::from_millis(pause),
        );
    }

    /// Ask the server, and again after a while; every tenth time try the stream instead.
    fn poll(self) {
        leptos::task::spawn_local(async move {
            let answer = evidence::snapshot().await;
            if self.is_stopped() {
                return;
            }
            match answer {
                Ok(snapshot) => {
                    self.snapshot(snapshot);
                    self.link.set(Link::Polling);
                }
                Err(fault) if fault.kind == FaultKind::SignedOut => {
                    self.stopped.set(true);
                    self.link.set(Link::Lost);
                }
                Err(_) => self.link.set(Link::Lost),
            }
            let again = self.failures.get_untracked() + 1;
            self.failures.set(again);
            set_timeout(
                move || {
                    if self.is_stopped() {
                    } else if again.is_multiple_of(10) {
                        self.start();
                    } else {
                        self.poll();
                    }
                },
                std::time::Duration::from_millis(POLL_MS),
            );
        });
    }

    fn take(self, event: StreamEvent) {
        let now = text::now();
        let apart = (micros(now) - micros(event.ts)) / 1_000;
        let least = self
            .skew_ms
            .get_untracked()
            .map_or(apart, |least| least.min(apart));
        self.skew_ms.set(Some(least));
        self.lag_ms.set(Some(apart - least));
        self.link.set(Link::Open);
        match event.body {
            StreamBody::Snapshot(snapshot) => self.snapshot(*snapshot),
            StreamBody::Logs(rows) => self.add(rows, true),
            StreamBody::Stats(stats) => self.stats.set(Some(stats)),
            StreamBody::Attackers(changed) => self.attackers.update(|known| {
                known.extend(changed.into_iter().map(|attacker| (attacker.id, attacker)));
            }),
            StreamBody::Decky(decky) => self.deckies.update(|known| {
                known.get_or_insert_default().insert(decky.name.clone(), *decky);
            }),
            StreamBody::DeckyRemoved(name) => self.deckies.update(|known| {
                known.get_or_insert_default().remove(&name);
            }),
            StreamBody::Task(task) => {
                // A stream begins with the latest tasks; one that ended long before this page was there is no news.
                let news = task.ended_at.is_none_or(|ended| event.ts - ended < NEWS);
                self.tasks.update(|known| {
                    if news || known.contains_key(&task.id) {
                        known.insert(task.id, task);
                    }
                });
            }
            StreamBody::Worker(worker) => self.workers.update(|known| {
                known.insert(worker.name.clone(), worker);
            }),
        }
    }

    fn snapshot(self, snapshot: StreamSnapshot) {
        let StreamSnapshot {
            stats,
            mut logs,
            deckies,
            workers,
        } = snapshot;
        self.stats.set(Some(stats));
        self.deckies.set(Some(
            deckies
                .into_iter()
                .map(|decky| (decky.name.clone(), decky))
                .collect(),
        ));
        self.workers
            .update(|known| known.extend(workers.into_iter().map(|w| (w.name.clone(), w))));
        logs.reverse();
        let again = self.greeted.get_untracked();
        self.greeted.set(true);
        // A later greeting after a break: rows may have come in between, and not all of them are in it.
        let gap = again
            && match (self.newest.get_untracked(), logs.first()) {
                (Some(newest), Some(oldest)) => oldest.id > newest,
                _ => false,
            };
        self.add(logs, again);
        if gap {
            // What is fetched again counts them, so they are not counted here too.
            self.minutes.set(BTreeMap::new());
            self.greeted_with.set(self.newest.get_untracked());
            self.epoch.update(|epoch| *epoch += 1);
        }
    }

    /// Take rows, oldest first. The first greeting's rows are on the page already, so they are not counted.
    fn add(self, rows: Vec<LogView>, counted: bool) {
        let newest = self.newest.get_untracked();
        let rows: Vec<_> = rows
            .into_iter()
            .filter(|row| newest.is_none_or(|newest| row.id > newest))
            .collect();
        let Some(last) = rows.last() else { return };
        self.newest.set(Some(last.id));
        if !counted {
            self.greeted_with.set(Some(last.id));
        }
        if counted {
            self.minutes.update(|minutes| {
                for row in &rows {
                    *minutes.entry(minute(row)).or_default() += 1;
                }
            });
        }
        self.rows.update(|kept| {
            for row in rows {
                kept.push_front(Arc::new(row));
            }
            kept.truncate(KEEP);
        });
    }
}

fn minute(row: &LogView) -> i64 {
    row.at.unix_timestamp().div_euclid(60)
}

/// Close the stream, if one is open. The signals of a store may be gone by then.
pub(crate) fn close() {
    CONNECTION.with_borrow_mut(|held| {
        if let Some(old) = held.take() {
            old.source.close();
        }
    });
}

/// The store of this page.
///
/// Without one (a component outside the frame) a still one, so that nothing needs to be special there.
pub(crate) fn use_live() -> Live {
    use_context::<Live>().unwrap_or_else(Live::new)
}
