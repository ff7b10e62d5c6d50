//! The program as it is run, with the bus off or dead.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what went wrong by panicking"
)]

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use decnet_bus::{Bus, BusConfig};
use decnet_model::{
    clock::{Clock as _, SystemClock},
    state::WorkerState,
    topic::{Pattern, Topic},
};
use decnet_runtime::heartbeat;
use decnet_spool::{Position, Reader, outlet::Outlet};
use decnet_testkit::bus::{self, Mortal};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a collector is killed; a tenth of that has to come while lines were taken and lines were left, as otherwise
/// nothing was tried.
const KILLS: u64 = 30;

fn collector(data_dir: &Path) -> Command {
    with_bus(data_dir, &["--bus-enabled", "false"])
}

fn with_bus(data_dir: &Path, bus: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_decnet-collector"));
    command
        .args(bus)
        .args(["--spool-min-free-bytes", "0", "--data-dir"])
        .arg(data_dir)
        .current_dir(data_dir)
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

struct Running(Child);

impl Running {
    fn stop(mut self) -> Option<i32> {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where a test failed before it stopped it.
        let _ended_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}

fn wait_for_lines(spool: &Path, count: usize) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut reader = Reader::open(spool, Position::START);
    let mut lines = Vec::new();
    while lines.len() < count && Instant::now() < deadline {
        let batch = reader.next_batch(1000, usize::MAX).unwrap();
        lines.extend(
            batch
                .into_iter()
                .map(|line| String::from_utf8(line.bytes).unwrap()),
        );
        std::thread::yield_now();
    }
    lines
}

fn wait_for_heartbeat(data_dir: &Path, state: WorkerState, pid: u32) {
    let deadline = Instant::now() + PATIENCE;
    let name = "collector".parse().unwrap();
    loop {
        let left = heartbeat::left(&data_dir.join("run"), &name, SystemClock.now())
            .map(|beat| (beat.state, beat.pid));
        if left == Some((state, Some(pid))) {
            return;
        }
        assert!(Instant::now() < deadline, "{left:?} instead of {state} of {pid}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn without_bus_and_database_lines_go_to_the_spool_and_sigterm_drains() {
    let root = tempfile::tempdir().unwrap();
    let (spool, outlets) = (root.path().join("spool"), root.path().join("outlets"));
    let mut outlet = Outlet::create(&outlets, "web-01").unwrap();
    outlet.append(b"before the start").unwrap();
    let running = Running(collector(root.path()).spawn().unwrap());
    assert_eq!(wait_for_lines(&spool, 1), ["before the start"]);
    outlet.append(b"while it runs").unwrap();
    assert_eq!(wait_for_lines(&spool, 2).len(), 2);
    wait_for_heartbeat(root.path(), WorkerState::Ok, running.0.id());

    // Only one at a time, and the second one says why.
    let second = collector(root.path()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(69));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&format!("process {}", running.0.id())), "{said}");

    outlet.append(b"at the end").unwrap();
    let pid = running.0.id();
    assert_eq!(running.stop(), Some(0));
    wait_for_heartbeat(root.path(), WorkerState::Stopped, pid);
    assert_eq!(
        wait_for_lines(&spool, 3),
        ["before the start", "while it runs", "at the end"]
    );
    assert_eq!(decnet_spool::verify(&spool).unwrap().fault, None);
}

#[test]
fn killed_again_and_again_it_delivers_every_line_once() {
    let root = tempfile::tempdir().unwrap();
    let (spool, outlets) = (root.path().join("spool"), root.path().join("outlets"));
    let mut outlet = Outlet::create(&outlets, "web-01").unwrap();
    let mut want = Vec::new();
    let mut reader = Reader::open(&spool, Position::START);
    let (mut taken, mut midway) = (0, 0);
    for round in 0..KILLS {
        let before = taken;
        let mut running = Running(collector(root.path()).spawn().unwrap());
        let begin = Instant::now();
        // Every third is killed from before it has opened the spool on; the others from the first line on that they took,
        // over more than the time between two commits.
        let mut since = (round % 3 == 0).then_some(begin);
        let mut n = 0;
        loop {
            let is_last = since.is_some_and(|since| since.elapsed() >= Duration::from_millis(round * 4));
            let line = format!("round {round} line {n}");
            outlet.append(line.as_bytes()).unwrap();
            want.push(line);
            n += 1;
            if is_last {
                break;
            }
            if since.is_none() {
                taken += reader.next_batch(1000, usize::MAX).unwrap().len();
                since = (taken > before).then(Instant::now);
                assert!(begin.elapsed() < PATIENCE, "round {round}: it takes no line");
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        loop {
            let batch = reader.next_batch(1000, usize::MAX).unwrap();
            if batch.is_empty() {
                break;
            }
            taken += batch.len();
        }
        midway += u64::from(taken > before && taken < want.len());
    }
    assert!(
        midway >= KILLS / 10,
        "hardly any kill ({midway} of {KILLS}) came in the middle of the work"
    );
    let running = Running(collector(root.path()).spawn().unwrap());
    assert_eq!(wait_for_lines(&spool, want.len()), want);
    assert_eq!(running.stop(), Some(0));
    assert_eq!(wait_for_lines(&spool, want.len()), want);
}

#[test]
fn with_a_bus_that_is_killed_or_never_answers_it_goes_on_and_ends_in_order() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    for is_killed in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let (spool, outlets) = (root.path().join("spool"), root.path().join("outlets"));
        let path = root.path().join("bus.sock");
        let mut outlet = Outlet::create(&outlets, "web-01").unwrap();
        let url = format!("unix:{}", path.display());
        let start = || Running(with_bus(root.path(), &["--bus-url", &url]).spawn().unwrap());
        let (running, _mute) = if is_killed {
            let broker = Mortal::start(&path).unwrap();
            let running = runtime.block_on(async {
                let bus = Bus::connect(&BusConfig::unix(&path), "test");
                let mut heard = bus.subscribe(Pattern::exactly(&Topic::system_log()));
                let listens = tokio::time::timeout(PATIENCE, heard.established());
                listens.await.unwrap();
                let running = start();
                outlet.append(b"told on the bus").unwrap();
                let told = tokio::time::timeout(PATIENCE, heard.recv())
                    .await
                    .unwrap()
                    .unwrap();
                assert_eq!(told.payload["lines"], 1);
                running
            });
            broker.kill();
            (running, None)
        } else {
            let mute = bus::mute(&path).unwrap();
            outlet.append(b"told to nobody").unwrap();
            (start(), Some(mute))
        };
        assert_eq!(wait_for_lines(&spool, 1).len(), 1);
        outlet.append(b"afterwards").unwrap();
        assert_eq!(wait_for_lines(&spool, 2).last().unwrap(), "afterwards");
        wait_for_heartbeat(root.path(), WorkerState::Ok, running.0.id());
        assert_eq!(running.stop(), Some(0));
    }
}
