//! Heartbeats: every 30 s, and at once when it gets into trouble, a worker says that it lives and what it is doing.
//!
//! It says so in three places: over the bus, which is quick; in the database, where the worker has one; and in the file
//! `run/<worker>.health` of the data directory, which needs neither. Who lists the workers takes the newest of them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use decnet_bus::Bus;
use decnet_db::Store;
use decnet_model::{
    clock::SharedClock, name::WorkerName, state::WorkerState, topic::Topic, view::WorkerView,
};
use nix::{
    errno::Errno,
    sys::signal::kill,
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::{sync::Notify, time::Instant};

use crate::{Recurring, VERSION, exit::chain, supervisor};

pub use decnet_model::state::{ALARM, QUARANTINE};

/// How often a worker is heard.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// By how much a clock that was not put forward or back may be off: it is slewed, and a heartbeat is written after it was
/// made.
const STEP: Duration = Duration::from_secs(5);

/// The most bytes of a file with a heartbeat that are read.
const MAX_FILE: u64 = 64 << 10;

/// What a worker is doing, by task: it stands in its heartbeat.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tasks: Mutex<BTreeMap<String, String>>,
    /// What keeps the worker from working.
    alarms: Recurring,
    /// The next heartbeat is due now.
    urgent: Notify,
}

impl Status {
    /// Say what `task` is doing.
    pub fn set(&self, task: &str, text: impl Into<String>) {
        self.tasks().insert(task.to_owned(), text.into());
    }

    /// Forget `task`.
    pub fn clear(&self, task: &str) {
        self.tasks().remove(task);
    }

    /// Say what keeps the worker from working, each time that it does. Where nothing did before, that is told at once. Answers
    /// how often it has been so where that is worth a line of the log, as [`Recurring`] has it.
    pub fn alarm(&self, text: impl Into<String>) -> Option<u64> {
        let text = text.into();
        let worth_a_line = self.0.alarms.again(&text);
        if self.tasks().insert(ALARM.to_owned(), text).is_none() {
            self.0.urgent.notify_one();
        }
        worth_a_line
    }

    /// The worker works. Where something kept it from that, this is news, and told at once.
    pub fn calm(&self) -> bool {
        self.0.alarms.over();
        let news = self.tasks().remove(ALARM).is_some();
        if news {
            self.0.urgent.notify_one();
        }
        news
    }

    /// Everything that was said.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, String> {
        self.tasks().clone()
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A heartbeat as it lies in its file.
#[derive(Serialize, Deserialize)]
struct Left {
    #[serde(flatten)]
    beat: WorkerView,
    /// Where the process id means something: containers that share a data directory number their processes themselves.
    #[serde(default)]
    pid_namespace: Option<PathBuf>,
    /// When, by a clock that nobody puts forward or back.
    #[serde(default)]
    at: Option<Moment>,
}

/// A moment since the kernel was started, sleep not counted: while a host sleeps no worker has to be heard.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Moment {
    boot: String,
    since_ms: u64,
}

impl Moment {
    /// The present one, where the kernel tells.
    fn now() -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let since = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?);
        Some(Self {
            boot: boot.trim().to_owned(),
            since_ms: u64::try_from(since.as_millis()).ok()?,
        })
    }

    /// How long ago it was; unknown where the kernel was started since.
    fn age(&self) -> Option<Duration> {
        let now = Self::now().filter(|now| now.boot == self.boot)?;
        Some(Duration::from_millis(now.since_ms.checked_sub(self.since_ms)?))
    }
}

/// Leave `beat` in the folder `run` for whoever is on the same host: whole, or the one before stays. On a full disk, which
/// is just what a heartbeat may have to tell of, it is written over the one before; who reads at that moment may find none.
///
/// # Errors
/// Where the file cannot be written.
pub fn leave(run: &Path, beat: &WorkerView) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(run)?;
    let path = file_of(run, &beat.name);
    let draft = run.join(format!(".{}.health", beat.name));
    let left = Left {
        beat: beat.clone(),
        pid_namespace: pid_namespace(),
        at: Moment::now(),
    };
    let text = serde_json::to_vec(&left)?;
    match fs::write(&draft, &text) {
        Ok(()) => fs::rename(&draft, &path),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            // It holds part of the text at most; the next heartbeat makes it anew.
            fs::remove_file(&draft).ok();
            write_over(&path, &text)
        }
        Err(error) => Err(error),
    }
}

/// Write into the blocks that `path` has already.
fn write_over(path: &Path, text: &[u8]) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.write_all_at(text, 0)?;
    file.set_len(u64::try_from(text.len()).map_err(io::Error::other)?)
}

/// What `worker` last left in the folder `run`; nothing where it never did, or the file is not what it leaves. A worker
/// that left no farewell and whose process is gone is [`WorkerState::Stale`] at once, and one in quarantine only
/// [`WorkerState::Stopped`] once the host that put it there is gone. When it was heard is told by the clock
/// whose present time is `now`, whatever that clock said then.
#[must_use]
pub fn left(run: &Path, worker: &WorkerName, now: OffsetDateTime) -> Option<WorkerView> {
    let mut text = Vec::new();
    File::open(file_of(run, worker))
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut text))
        .ok()?;
    let Left {
        mut beat,
        pid_namespace: theirs,
        at,
    } = serde_json::from_slice(&text).ok()?;
    let known_here = theirs.is_some() && theirs == pid_namespace();
    if beat.state == WorkerState::Ok && known_here && beat.pid.is_some_and(is_gone) {
        beat.state = WorkerState::Stale;
    }
    // What keeps a worker keeps its quarantine, too, and that ends with it.
    if beat.state == WorkerState::Quarantined && !supervisor::runs(run) {
        beat.state = WorkerState::Stopped;
        beat.tasks.remove(QUARANTINE);
    }
    // As the worker said it, unless the clock was put forward or back since.
    if known_here && let Some(age) = at.and_then(|at| at.age()) {
        let heard = now - age;
        let moved = beat.last_heard.map(|said| (said - heard).abs() > STEP);
        if moved.unwrap_or(true) {
            beat.last_heard = Some(heard);
        }
    }
    (beat.name == *worker).then_some(beat)
}

fn pid_namespace() -> Option<PathBuf> {
    fs::read_link("/proc/self/ns/pid").ok()
}

/// Whether the process `pid` has ended. One of another user, which may not be signalled, has not.
fn is_gone(pid: u32) -> bool {
    let there =
        i32::try_from(pid).is_ok_and(|pid| pid > 0 && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH));
    // What nobody has waited for yet has a number still. The state follows the name, which may have brackets itself.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !there
        || stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
}

fn file_of(run: &Path, worker: &WorkerName) -> PathBuf {
    run.join(format!("{worker}.health"))
}

/// Sends a worker's heartbeats.
pub(crate) struct Heart {
    pub(crate) name: WorkerName,
    pub(crate) bus: Bus,
    pub(crate) store: Option<Store>,
    /// Folder of the files.
    pub(crate) run: PathBuf,
    pub(crate) clock: SharedClock,
    pub(crate) status: Status,
    pub(crate) started: Instant,
    /// What keeps heartbeats from being stored, and from being left.
    pub(crate) faults: Recurring,
}

impl Heart {
    /// Beat until dropped.
    pub(crate) async fn beat(&self) {
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.status.0.urgent.notified() => {}
            }
            self.say(WorkerState::Ok).await;
        }
    }

    /// Say once how the worker does.
    pub(crate) async fn say(&self, state: WorkerState) {
        let view = self.view(state);
        self.bus.publish(Topic::worker_health(&self.name), &view);
        // Beside each other: neither a disk nor a database that hangs keeps the other from being told.
        tokio::join!(self.leave(view.clone()), self.store(&view));
    }

    /// Say it only to who listens now.
    pub(crate) fn say_on_bus(&self, state: WorkerState) {
        self.bus
            .publish(Topic::worker_health(&self.name), self.view(state));
    }

    fn view(&self, state: WorkerState) -> WorkerView {
        WorkerView {
            name: self.name.clone(),
            state,
            last_heard: Some(self.clock.now()),
            pid: Some(std::process::id()),
            version: Some(VERSION.to_owned()),
            uptime_s: Some(self.started.elapsed().as_secs()),
            tasks: self.status.all(),
            kept_by: None,
        }
    }

    async fn store(&self, view: &WorkerView) {
        if let Some(store) = &self.store
            && let Err(error) = store.worker_heartbeat_put(view).await
            && let Some(times) = self.faults.again(&format!("store: {error}"))
        {
            tracing::warn!(error = chain(&error), times, "heartbeat not stored");
        }
    }

    /// A disk that hangs holds up nothing but this.
    async fn leave(&self, view: WorkerView) {
        let run = self.run.clone();
        let written = tokio::task::spawn_blocking(move || leave(&run, &view)).await;
        match written.map_err(io::Error::other) {
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(error) => {
                if let Some(times) = self.faults.again(&format!("leave: {error}")) {
                    tracing::warn!(folder = %self.run.display(), %error, times, "heartbeat not left");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use decnet_model::clock::{Clock as _, SystemClock};

    use super::*;

    fn left(run: &Path, name: &WorkerName) -> Option<WorkerView> {
        super::left(run, name, SystemClock.now())
    }

    /// What the process `pid` says that is the worker `name`, and lives.
    fn beat(name: &str, pid: u32) -> WorkerView {
        WorkerView {
            state: WorkerState::Ok,
            last_heard: Some(SystemClock.now()),
            pid: Some(pid),
            ..WorkerView::unheard(name.parse().unwrap())
        }
    }

    fn heart(run: &Path) -> Heart {
        Heart {
            name: "collector".parse().unwrap(),
            bus: Bus::none(),
            store: None,
            run: run.to_owned(),
            clock: Arc::new(SystemClock),
            status: Status::default(),
            started: Instant::now(),
            faults: Recurring::default(),
        }
    }

    #[tokio::test]
    async fn without_bus_and_database_a_heartbeat_is_left_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let heart = heart(&run);
        assert_eq!(left(&run, &heart.name), None);
        heart.status.set("spool", "3 lines taken");
        heart.say(WorkerState::Ok).await;
        let beat = left(&run, &heart.name).unwrap();
        assert_eq!(
            (beat.state, beat.pid),
            (WorkerState::Ok, Some(std::process::id()))
        );
        assert_eq!(beat.tasks["spool"], "3 lines taken");
        heart.say(WorkerState::Stopped).await;
        assert_eq!(left(&run, &heart.name).unwrap().state, WorkerState::Stopped);
        let files: Vec<_> = fs::read_dir(&run)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(files, ["collector.health"], "no draft stays behind");
    }

    #[test]
    fn on_a_full_disk_a_heartbeat_is_left_all_the_same() {
        let test = "heartbeat::tests::on_a_full_disk_a_heartbeat_is_left_all_the_same";
        let Some(disk) = decnet_testkit::disk::small(test, "64k").unwrap() else {
            return;
        };
        let run = disk.join("run");
        let mut beat = WorkerView {
            tasks: BTreeMap::from([("spool".to_owned(), "x".repeat(200))]),
            ..beat("collector", std::process::id())
        };
        leave(&run, &beat).unwrap();
        let mut ballast = File::create(disk.join("ballast")).unwrap();
        while io::Write::write_all(&mut ballast, &[0; 512]).is_ok() {}
        for task in [ALARM, "spool"] {
            // A longer text, and a shorter one.
            beat.tasks.insert(task.to_owned(), "no room".to_owned());
            leave(&run, &beat).unwrap();
            let mut found = left(&run, &beat.name).unwrap();
            found.last_heard = beat.last_heard;
            assert_eq!(found, beat);
        }
        let files = fs::read_dir(&run).unwrap().count();
        assert_eq!(files, 1, "no draft stays behind");
    }

    #[test]
    fn what_is_no_heartbeat_of_that_worker_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let name: WorkerName = "bus".parse().unwrap();
        for text in [
            "",
            "{",
            "[]",
            r#"{"name":"collector","state":"ok","last_heard":null,"tasks":{}}"#,
        ] {
            fs::write(file_of(dir.path(), &name), text).unwrap();
            assert_eq!(left(dir.path(), &name), None, "{text}");
        }
    }

    #[test]
    fn a_worker_whose_process_is_gone_is_stale_at_once_unless_it_took_its_leave() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let mut beat = beat("mutator", process.id());
        let listed = |beat: &WorkerView| {
            leave(dir.path(), beat).unwrap();
            left(dir.path(), &beat.name).unwrap().state
        };
        assert_eq!(listed(&beat), WorkerState::Ok);
        process.kill().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while listed(&beat) != WorkerState::Stale {
            assert!(
                std::time::Instant::now() < deadline,
                "nobody waited for it, and it has ended"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        process.wait().unwrap();
        assert_eq!(listed(&beat), WorkerState::Stale);
        // Its number says nothing to those who do not count with it.
        let file = file_of(dir.path(), &beat.name);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("pid:[", "pid:[9")).unwrap();
        assert_eq!(left(dir.path(), &beat.name).unwrap().state, WorkerState::Ok);
        beat.state = WorkerState::Stopped;
        assert_eq!(listed(&beat), WorkerState::Stopped);
    }

    #[test]
    fn a_clock_that_is_put_forward_or_back_makes_no_heartbeat_older_or_newer() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.now();
        let beat = WorkerView {
            last_heard: Some(now - time::Duration::days(400)),
            ..beat("mutator", std::process::id())
        };
        leave(dir.path(), &beat).unwrap();
        let fresh = WorkerView {
            name: "bus".parse().unwrap(),
            last_heard: Some(now),
            ..beat.clone()
        };
        leave(dir.path(), &fresh).unwrap();
        assert_eq!(
            left(dir.path(), &fresh.name).unwrap().last_heard,
            Some(now),
            "the same however often it is looked at"
        );
        let since = |now| {
            now - super::left(dir.path(), &beat.name, now)
                .unwrap()
                .last_heard
                .unwrap()
        };
        for now in [
            now,
            now - time::Duration::days(900),
            now + time::Duration::hours(3),
        ] {
            let since = since(now);
            assert!((0..60).contains(&since.whole_seconds()), "{since}");
        }
        // Another kernel's clock says nothing here: then it is as the worker said.
        let file = file_of(dir.path(), &beat.name);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(r#""boot":""#, r#""boot":"another-"#)).unwrap();
        assert_eq!(since(now).whole_days(), 400);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_and_its_end_are_told_at_once_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let heart = heart(dir.path());
        let (status, name) = (heart.status.clone(), heart.name.clone());
        let alarm = || left(dir.path(), &name).and_then(|beat| beat.tasks.get(ALARM).cloned());
        let began = Instant::now();
        let story = async {
            while left(dir.path(), &name).is_none() {
                tokio::task::yield_now().await;
            }
            assert_eq!(status.alarm("no room: 9 bytes"), Some(1));
            assert_eq!(status.alarm("no room: 8 bytes"), None, "no news");
            while alarm().is_none() {
                tokio::task::yield_now().await;
            }
            assert!(status.calm());
            assert!(!status.calm(), "no news");
            while alarm().is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = heart.beat() => unreachable!("it beats until dropped"),
            () = story => {}
        }
        assert!(
            began.elapsed() < INTERVAL,
            "nobody waited for the next heartbeat in turn"
        );
    }
}
