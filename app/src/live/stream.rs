//! What feeds the store: the stream, and the questions where there is none. It comes in a piece of its own, once the page
//! is alive.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use decnet_model::{
    clock::micros,
    id::{LogId, TaskId},
    view::{AttackerView, LogView, StreamBody, StreamEvent, StreamSnapshot, TaskView},
};
use leptos::prelude::*;
use time::OffsetDateTime;
use wasm_bindgen::JsCast as _;
use web_sys::{Event, EventSource, MessageEvent};

use super::{
    CONNECTION, Connection, Link, Live, OnEvent, OnMessage, SEAT, close,
    share::{Lock, Seat, word},
};
use crate::{
    api::{Answer, FaultKind, account, evidence, fleet},
    text, url,
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
    "profiled",
    "decky",
    "decky_removed",
    "task",
    "worker",
    "health",
    "forgotten",
];
/// The name of what a stream sends that has nothing to tell.
const TICK: &str = "tick";
/// For how long a stream that lives may be silent: the server has something to send every 15 s.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(40);
/// For how long the server may say nothing to what it was asked, before it counts as one that does not answer: it may be there, and stand
/// still.
const ANSWERS: std::time::Duration = std::time::Duration::from_secs(10);
/// The most new rows that are kept, for those who take them as they come: several events' worth.
const KEEP: usize = 1_000;
/// The most attackers that are kept: who shows one keeps it by itself.
const KEEP_ATTACKERS: usize = 1_000;
/// For how long it is told that rows were late after which none came.
const FADE: time::Duration = time::Duration::seconds(15);
/// Failures in a row after which the server is asked instead.
const PATIENCE: u32 = 3;
/// How long ago a task may have ended that is still told of.
const NEWS: time::Duration = time::Duration::seconds(10);
/// Milliseconds between two questions where there is no stream.
const POLL_MS: u64 = 4_000;

thread_local! {
    /// Rings when the open stream was silent for too long.
    static ALARM: Cell<Option<TimeoutHandle>> = const { Cell::new(None) };
}

impl Live {
    /// Open the stream, or hear it from the tab that has it. Nobody may look any more by the time that this is there.
    pub(super) fn open(self) {
        if self.is_stopped() {
            return;
        }
        match leads() {
            Some(true) => self.connect(),
            // It may have slept: what another tab told meanwhile is lost.
            Some(false) => {
                self.link.set(Link::Opening);
                self.heard();
                tell(word::HELLO);
            }
            None => match Seat::take(move |text| self.told(&text), move |lock| self.lock(lock)) {
                Some(seat) => {
                    SEAT.set(Some(seat));
                    self.heard();
                    tell(word::HELLO);
                }
                None => self.connect(),
            },
        }
    }

    fn lock(self, lock: Lock) {
        match lock {
            Lock::Granted => self.connect(),
            Lock::Stolen => {
                drop(CONNECTION.take());
                self.ask_for_lock(false);
                self.open();
            }
        }
    }

    fn ask_for_lock(self, steal: bool) {
        SEAT.with_borrow(|seat| {
            if let Some(seat) = seat {
                seat.ask(steal, move |lock| self.lock(lock));
            }
        });
    }

    /// Another tab speaks.
    fn told(self, text: &str) {
        let leads = leads() == Some(true);
        match text {
            word::HELLO if leads && self.link.get_untracked() == Link::Open => tell(word::LIVES),
            // The last words of a tab that has lost the lock, or what is no tab's to answer that does not lead.
            _ if leads || text == word::HELLO => {}
            word::LIVES => {
                self.heard();
                self.catch_up(None);
            }
            word::BROKEN => {
                self.lag_ms.set(None);
                self.link.set(Link::Broken);
            }
            word::ENDED => self.refused(),
            event => {
                self.heard();
                self.catch_up(Some(event));
            }
        }
    }

    /// Take an event that another tab told, after how things stand, where that is not known.
    fn catch_up(self, event: Option<&str>) {
        if self.link.get_untracked() == Link::Open {
            return self.take_all(event);
        }
        let asked = self.held.try_update_value(|held| {
            let asked = held.is_some();
            held.get_or_insert_default().extend(event.map(str::to_owned));
            asked
        });
        if asked != Some(false) {
            return;
        }
        leptos::task::spawn_local(async move {
            let answer = self.ask_beginning().await;
            let held = self
                .held
                .try_update_value(Option::take)
                .flatten()
                .unwrap_or_default();
            if self.is_stopped() {
                return;
            }
            match answer {
                Ok(()) => {
                    self.link.set(Link::Open);
                    self.take_all(held.iter().map(String::as_str));
                }
                Err(fault) if fault.kind == FaultKind::SignedOut => self.leave(),
                // What is told next asks again.
                Err(fault) => leptos::logging::warn!("how things stand is not known yet: {}", fault.detail),
            }
        });
    }

    /// Ask for what a stream would begin with that goes on after what was told, and take it.
    async fn ask_beginning(self) -> Answer<()> {
        for event in evidence::snapshot(self.newest.get_untracked()).await? {
            if self.is_stopped() {
                break;
            }
            if let Some(event) = read(&event) {
                self.hear(event);
            }
            // All of it may be more rows than are kept: who takes them as they come does so in between.
            leptos::task::tick().await;
        }
        Ok(())
    }

    fn take_all<'a>(self, events: impl IntoIterator<Item = &'a str>) {
        for event in events.into_iter().filter_map(read) {
            self.take(event);
        }
    }

    fn connect(self) {
        let Ok(source) = EventSource::new(&stream_url(self.newest.get_untracked())) else {
            // A browser without event streams.
            self.poll();
            return;
        };
        let message = OnMessage::new(move |event: MessageEvent| {
            self.heard();
            let data = event.data().as_string().filter(|_| event.type_() != TICK);
            tell(data.as_deref().unwrap_or(word::LIVES));
            self.take_all(data.as_deref());
        });
        let open = OnEvent::new(move |_: Event| {
            self.failures.set(0);
            self.link.set(Link::Open);
            self.heard();
        });
        let error = {
            let source = source.clone();
            OnEvent::new(move |_: Event| {
                if source.ready_state() == EventSource::CLOSED {
                    self.refused();
                } else {
                    self.broke();
                }
            })
        };
        self.heard();
        for name in NAMES.iter().chain([&TICK]) {
            if source
                .add_event_listener_with_callback(name, message.as_ref().unchecked_ref())
                .is_err()
            {
                leptos::logging::warn!("cannot listen for {name}");
            }
        }
        source.set_onopen(Some(open.as_ref().unchecked_ref()));
        source.set_onerror(Some(error.as_ref().unchecked_ref()));
        CONNECTION.set(Some(Connection {
            source,
            _message: message,
            _open: open,
            _error: error,
        }));
    }

    /// The stream lives: wait for its next sign of that.
    fn heard(self) {
        let silent = move || {
            ALARM.set(None);
            if self.is_stopped() {
            } else if CONNECTION.with_borrow(Option::is_some) {
                // Nobody said that it ended, and another would be as silent: the server is asked whether it is there.
                self.failures.set(PATIENCE);
                self.broke();
            } else if leads() == Some(false) {
                self.link.set(Link::Broken);
                self.ask_for_lock(true);
            }
            // Else the server is asked, and there is no stream to be silent.
        };
        let next = set_timeout_with_handle(silent, SILENCE).ok();
        if let Some(before) = ALARM.replace(next) {
            before.clear();
        }
    }

    /// The server did not open the stream: it has too many, or nobody is signed in any more.
    fn refused(self) {
        leptos::task::spawn_local(async move {
            match account::who().await {
                Ok(None) => self.leave(),
                _ => self.broke(),
            }
        });
    }

    /// The session has ended. Go to the login by a new page, so that nothing that was shown stays.
    fn leave(self) {
        if self.is_stopped() {
            return;
        }
        self.stopped.set(true);
        if leads() == Some(true) {
            tell(word::ENDED);
        }
        close();
        let Some(location) = web_sys::window().map(|window| window.location()) else {
            return;
        };
        let here = location
            .pathname()
            .and_then(|path| Ok(path + &location.search()?))
            .unwrap_or_default();
        if location.replace(&url::login(&here)).is_err() {
            self.link.set(Link::Lost);
        }
    }

    /// All evidence was deleted: get the page again, so that nothing stays of it.
    fn begin_anew(self) {
        if self.is_stopped() {
            return;
        }
        self.stopped.set(true);
        // Not from within the handler of the stream that is being closed.
        set_timeout(
            move || {
                close();
                if window().location().reload().is_err() {
                    self.link.set(Link::Lost);
                }
            },
            std::time::Duration::ZERO,
        );
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
        if leads() == Some(true) {
            tell(word::BROKEN);
        }
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
            // The question is not taken back: once the server goes on, it answers.
            let silent = move || {
                if !self.is_stopped() {
                    self.link.set(Link::Lost);
                }
            };
            let alarm = set_timeout_with_handle(silent, ANSWERS).ok();
            let answer = self.ask_beginning().await;
            if let Some(alarm) = alarm {
                alarm.clear();
            }
            if self.is_stopped() {
                return;
            }
            match answer {
                Ok(()) => {
                    // The first answer after none: the server is back, and the stream may open at once. Where it does not, one failure
                    // leads here again.
                    if self.link.get_untracked() != Link::Polling {
                        self.link.set(Link::Polling);
                        self.failures.set(PATIENCE);
                        return self.start();
                    }
                }
                Err(fault) if fault.kind == FaultKind::SignedOut => return self.leave(),
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

    /// Fetch a task until it has ended or the stream tells of it.
    pub(super) fn ask(self, id: TaskId) {
        leptos::task::spawn_local(async move {
            let Ok(task) = fleet::task_get(id).await else {
                return;
            };
            let ended = task.ended_at.is_some();
            if self.is_stopped() {
                return;
            }
            self.tasks.update(|tasks| {
                let newer = tasks
                    .get(&id)
                    .is_none_or(|known| known.ended_at.is_none() && known.done <= task.done);
                if newer {
                    tasks.insert(id, task);
                }
            });
            if !ended && self.link.get_untracked() != Link::Open {
                set_timeout(move || self.ask(id), std::time::Duration::from_secs(2));
            }
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
        if let StreamBody::Logs(rows) = &event.body
            && let Some(late) = late_ms(rows, event.ts)
        {
            self.late.set_value(Some((late, event.ts)));
        }
        let late = match self.late.get_value() {
            Some((late, then)) if event.ts - then < FADE => late,
            _ => 0,
        };
        self.lag_ms.set(Some(apart - least + late));
        self.link.set(Link::Open);
        self.hear(event);
    }

    /// Take what an event says, however it came here.
    fn hear(self, event: StreamEvent) {
        match event.body {
            StreamBody::Snapshot(snapshot) => self.snapshot(*snapshot),
            StreamBody::Logs(rows) => self.add(rows),
            StreamBody::Stats(stats) => self.stats.set(Some(stats)),
            StreamBody::Attackers(changed) => self.changed(changed),
            StreamBody::Profiled { compared, .. } => self.compared.set(Some(compared)),
            StreamBody::Decky(decky) => self.deckies.update(|known| {
                known.get_or_insert_default().insert(decky.name.clone(), *decky);
            }),
            StreamBody::DeckyRemoved(name) => self.deckies.update(|known| {
                known.get_or_insert_default().remove(&name);
            }),
            StreamBody::Task(task) => {
                // One that ended long ago is no news, for a server that has just started to watch them.
                let news = |task: &TaskView| task.ended_at.is_none_or(|ended| event.ts - ended < NEWS);
                self.moved(vec![task], &news);
            }
            StreamBody::Worker(worker) => self.workers.update(|known| {
                known.insert(worker.name.clone(), worker);
            }),
            StreamBody::Health(_) => self.health.update(|n| *n += 1),
            StreamBody::Forgotten { .. } => self.begin_anew(),
        }
    }

    fn snapshot(self, snapshot: StreamSnapshot) {
        let StreamSnapshot {
            stats,
            mut logs,
            attackers,
            deckies,
            workers,
            tasks,
            forgotten,
        } = snapshot;
        let known = self.forgotten.get_untracked();
        self.forgotten.set(Some(forgotten));
        if known.is_some_and(|known| known != forgotten) {
            return self.begin_anew();
        }
        self.stats.set(Some(stats));
        self.deckies.set(Some(
            deckies
                .into_iter()
                .map(|decky| (decky.name.clone(), decky))
                .collect(),
        ));
        self.workers
            .update(|known| known.extend(workers.into_iter().map(|w| (w.name.clone(), w))));
        let told = self.newest.get_untracked();
        if told.is_some() {
            // Nobody told of it meanwhile.
            self.health.update(|n| *n += 1);
        }
        self.moved(tasks, &|task| told.is_some() && task.ended_at.is_none());
        logs.reverse();
        // Of rows that are not in it nobody tells any more.
        let before = logs
            .first()
            .map_or(forgotten, |oldest| LogId(oldest.id.0.saturating_sub(1)));
        if told.is_none_or(|newest| before > newest) {
            self.rows.set(VecDeque::new());
            self.attackers.set(BTreeMap::new());
            self.told.set_value(VecDeque::new());
            self.since.set(before);
            self.newest.set(Some(before));
            // Before the first greeting who shows something knows how far that reaches, and finds out.
            if told.is_some() {
                self.epoch.update(|epoch| *epoch += 1);
            }
        }
        self.add(logs);
        self.changed(attackers);
    }

    /// Take rows, oldest first.
    fn add(self, rows: Vec<LogView>) {
        let newest = self.newest.get_untracked();
        let rows: Vec<_> = rows
            .into_iter()
            .filter(|row| newest.is_none_or(|newest| row.id > newest))
            .collect();
        let Some(last) = rows.last() else { return };
        self.newest.set(Some(last.id));
        self.rows.update(|kept| {
            for row in rows {
                kept.push_front(Arc::new(row));
            }
            if let Some(gone) = kept.get(KEEP) {
                self.since.set(gone.id);
            }
            kept.truncate(KEEP);
        });
    }

    fn changed(self, mut attackers: Vec<AttackerView>) {
        // The profiler may have made nothing new of what one did.
        self.attackers
            .with_untracked(|known| attackers.retain(|attacker| known.get(&attacker.id) != Some(attacker)));
        if attackers.is_empty() {
            return;
        }
        self.attackers.update(|known| {
            self.told.update_value(|told| {
                told.retain(|id| attackers.iter().all(|attacker| attacker.id != *id));
                for attacker in attackers {
                    told.push_back(attacker.id);
                    known.insert(attacker.id, attacker);
                }
                while told.len() > KEEP_ATTACKERS
                    && let Some(gone) = told.pop_front()
                {
                    known.remove(&gone);
                }
            });
        });
    }

    /// Take how tasks stand that are known, or of which that is news.
    fn moved(self, tasks: Vec<TaskView>, news: &dyn Fn(&TaskView) -> bool) {
        self.tasks.update(|known| {
            for task in tasks {
                if known.contains_key(&task.id) || news(&task) {
                    known.insert(task.id, task);
                }
            }
        });
    }
}

/// The stream that goes on after the newest row that was told, where one was. A stream that a browser opens again says so by itself; one
/// that is opened anew (after a pause, by another tab, where the old one was silent) does not.
fn stream_url(newest: Option<LogId>) -> String {
    match newest {
        Some(LogId(id)) => format!("{STREAM}?after={id}"),
        None => STREAM.to_owned(),
    }
}

/// An event as the stream sent it.
fn read(text: &str) -> Option<StreamEvent> {
    match StreamEvent::from_json(text) {
        Ok(event) => Some(event),
        Err(err) => {
            leptos::logging::warn!("the stream sent what this page cannot read: {err}");
            None
        }
    }
}

/// How late rows are that are told at a time, in milliseconds: since the newest of them came in, by the server's clock as the other is.
fn late_ms(rows: &[LogView], told: OffsetDateTime) -> Option<i64> {
    let came = rows.last()?.received_at;
    Some(((micros(told) - micros(came)) / 1_000).max(0))
}

/// Whether this tab is the one that has the stream, where tabs share one.
fn leads() -> Option<bool> {
    SEAT.with_borrow(|seat| seat.as_ref().map(Seat::leads))
}

/// Tell the other tabs, where tabs share a stream.
fn tell(text: &str) {
    SEAT.with_borrow(|seat| {
        if let Some(seat) = seat {
            seat.tell(text);
        }
    });
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    fn attacker(n: u32, event_count: u64) -> AttackerView {
        let at = datetime!(2026-11-20 12:00:00 UTC);
        let ip = std::net::IpAddr::from(n.to_be_bytes());
        AttackerView {
            id: format!("01890a5d-ac96-774b-bcce-b302{n:08x}").parse().unwrap(),
            ip,
            first_seen: at,
            last_seen: at,
            event_count,
            auth_count: 0,
            command_count: 0,
            credential_count: 0,
            bounty_count: 0,
            session_count: 0,
            deckies: Vec::new(),
            services: Vec::new(),
            glyph: ip.to_string(),
        }
    }

    #[test]
    fn of_attackers_those_are_kept_who_were_told_last() {
        let owner = Owner::new();
        owner.set();
        let live = Live::new();
        let last = 3 * u32::try_from(KEEP_ATTACKERS).unwrap();
        for n in 0..last {
            // The first does something now and then.
            if n % 500 == 0 {
                live.changed(vec![attacker(0, u64::from(n))]);
            }
            live.changed(vec![attacker(n + 1, 1)]);
        }
        live.attackers.with_untracked(|known| {
            assert_eq!(known.len(), KEEP_ATTACKERS);
            assert_eq!(known[&attacker(0, 0).id].event_count, u64::from(last - 500));
            assert!(known.contains_key(&attacker(last, 1).id));
            assert!(!known.contains_key(&attacker(1, 1).id));
        });
        assert_eq!(live.told.with_value(VecDeque::len), KEEP_ATTACKERS);
        drop(owner);
    }

    #[test]
    fn a_stream_that_is_opened_anew_goes_on_after_what_was_told() {
        assert_eq!(stream_url(None), "/api/v1/stream");
        assert_eq!(stream_url(Some(LogId(0))), "/api/v1/stream?after=0");
        assert_eq!(stream_url(Some(LogId(4_711))), "/api/v1/stream?after=4711");
    }

    #[test]
    fn rows_are_as_late_as_the_newest_of_them_came_in_before_it_was_told() {
        let told = datetime!(2026-11-20 12:00:00 UTC);
        let row = |id, ago_s| LogView {
            id: LogId(id),
            at: told - Duration::DAY,
            received_at: told - Duration::seconds(ago_s),
            decky: "web-01".into(),
            service: "ssh".into(),
            event_type: "connect".into(),
            attacker_ip: None,
            attacker_id: None,
            attacker_glyph: None,
            fields: BTreeMap::new(),
            message: String::new(),
            raw: String::new(),
        };
        assert_eq!(late_ms(&[row(1, 900), row(2, 600)], told), Some(600_000));
        assert_eq!(
            late_ms(&[row(1, -3)], told),
            Some(0),
            "by a clock that was set back"
        );
        assert_eq!(late_ms(&[], told), None);
    }
}
