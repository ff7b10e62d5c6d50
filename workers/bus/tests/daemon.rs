//! The program itself: started, used, refused and stopped as a service manager would.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use decnet_bus::{Bus, BusConfig};
use decnet_model::{
    clock::{Clock as _, SystemClock},
    state::WorkerState,
    view::WorkerView,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const BOUND: Duration = Duration::from_secs(30);

fn decnet_bus(folder: &Path, url: &str) -> Command {
    std::fs::create_dir_all(folder.join("data")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_decnet-bus"));
    command
        .env_clear()
        .env("DECNET_DATA_DIR", folder.join("data"))
        .env("DECNET_BUS_URL", url)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a process that ends by itself says; it is ended where it does not.
fn output(mut child: Child) -> Output {
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > BOUND {
            child.kill().unwrap();
            panic!(
                "still running after {BOUND:?}: {:?}",
                child.wait_with_output().unwrap()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// What the bus last left behind.
fn left(folder: &Path) -> Option<WorkerView> {
    let name = "bus".parse().unwrap();
    decnet_runtime::heartbeat::left(&folder.join("data/run"), &name, SystemClock.now())
}

#[tokio::test]
async fn it_carries_events_refuses_a_second_one_and_ends_with_0_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus.sock");
    let url = format!("unix:{}", socket.display());
    let first = decnet_bus(folder.path(), &url).spawn().unwrap();
    let pid = first.id();

    let carried = tokio::time::timeout(BOUND, async {
        let bus = Bus::connect(&BusConfig::unix(&socket), "test");
        let mut subscription = bus.subscribe("system.log".parse().unwrap());
        subscription.established().await;
        bus.publish(decnet_model::topic::Topic::system_log(), 7);
        subscription.recv().await.unwrap().payload
    })
    .await;

    let second = output(decnet_bus(folder.path(), &url).spawn().unwrap());
    let elsewhere = output(decnet_bus(&folder.path().join("other"), &url).spawn().unwrap());
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGTERM).unwrap();
    let first = output(first);
    assert_eq!(carried.unwrap(), serde_json::json!(7), "{}", text(&first));
    // Who works on its data directory, and who has its socket.
    let data = folder.path().join("data");
    for (refused, place) in [(second, data.as_path()), (elsewhere, socket.as_path())] {
        let told = text(&refused);
        assert_eq!(refused.status.code(), Some(69), "{told}");
        assert!(
            told.contains(&pid.to_string()) && told.contains(place.to_str().unwrap()),
            "{told}"
        );
    }
    assert_eq!(first.status.code(), Some(0), "{}", text(&first));
    assert!(!socket.exists());
    assert!(
        !text(&first).contains("WARN") && text(&first).contains("stopped"),
        "an orderly stop is no reason to warn: {}",
        text(&first)
    );
    let left = left(folder.path());
    assert_eq!(
        left.map(|beat| (beat.state, beat.pid)),
        Some((WorkerState::Stopped, Some(pid)))
    );
}

#[test]
fn where_the_bus_needs_no_broker_it_says_so_and_ends_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let ended = output(
        decnet_bus(folder.path(), "nats://127.0.0.1:4222")
            .spawn()
            .unwrap(),
    );
    assert_eq!(ended.status.code(), Some(78), "{}", text(&ended));
    assert!(text(&ended).contains("nats://127.0.0.1:4222"), "{}", text(&ended));
}

#[test]
fn without_its_data_directory_it_says_what_to_do_and_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("unix:{}", folder.path().join("bus.sock").display());
    let refused = |place: &Path, code: i32, words: &str| {
        let ended = output(
            decnet_bus(folder.path(), &url)
                .env("DECNET_DATA_DIR", place)
                .spawn()
                .unwrap(),
        );
        let told = text(&ended);
        assert_eq!(ended.status.code(), Some(code), "{told}");
        assert!(
            told.contains(words) && told.contains(place.to_str().unwrap()) && told.contains("--data-dir"),
            "{told}"
        );
    };
    refused(&folder.path().join("gone"), 69, "`decnet init`");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    refused(&file, 78, "is no directory");
    // Nobody may write there, not even root.
    refused(Path::new("/proc/self"), 77, "writable");
    assert!(!folder.path().join("gone").exists());
}

#[tokio::test]
async fn told_to_stop_over_itself_it_says_that_it_does_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus.sock");
    let running = decnet_bus(folder.path(), &format!("unix:{}", socket.display()))
        .spawn()
        .unwrap();
    let pid = running.id();
    let bus = Bus::connect(&BusConfig::unix(&socket), "test");
    let there = tokio::time::timeout(BOUND, async {
        bus.subscribe("system.log".parse().unwrap()).established().await;
    });
    there.await.unwrap();
    let told = decnet_runtime::order::stop(&bus, &"bus".parse().unwrap(), "ann", None).await;
    let ended = output(running);
    told.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended));
    let left = left(folder.path());
    let beat = left.unwrap();
    assert_eq!((beat.state, beat.pid), (WorkerState::Stopped, Some(pid)));
    assert_eq!(beat.tasks["order"], "to stop, from ann");
}
