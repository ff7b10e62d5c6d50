//! The program under the engine that starts it: as root who it becomes, and that it goes on doing its work as that; and that it
//! is the same machine once it was stopped and started.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use decnet_fleet::{
    BuiltIn, DesiredDecky, Engine as _, Limits, Options, StepError,
    engine::local::{LocalEngine, LocalOptions},
    execute, plan, resolve,
};
use decnet_model::{
    clock::{Clock as _, SystemClock},
    fleet::{DeckySpec, FleetSpec},
};
use nix::unistd::geteuid;
use tokio::sync::mpsc;

/// CAP_NET_BIND_SERVICE, as `/proc/PID/status` writes it.
const BIND_LOW_PORTS: &str = "0000000000000400";

fn engine(folder: &Path) -> Arc<LocalEngine> {
    fs::create_dir_all(folder).unwrap();
    let options = LocalOptions {
        deckies: folder.join("deckies"),
        outlets: folder.join("outlets"),
        program: env!("CARGO_BIN_EXE_decnet-decoy").into(),
        port_offset: 10_000,
        network: "127.93.0.0/16".parse().unwrap(),
    };
    Arc::new(LocalEngine::open(options, Arc::new(BuiltIn)).unwrap())
}

fn desired() -> DesiredDecky {
    let spec = FleetSpec {
        deckies: vec![DeckySpec {
            archetype: Some("web-server".into()),
            amount: Some(1),
            ..DeckySpec::default()
        }],
        replace: false,
    };
    let limits = Limits {
        network: "127.93.0.0/16".parse().unwrap(),
        ..Limits::default()
    };
    let decky = resolve(&spec, &[], &limits, &BuiltIn, SystemClock.now())
        .unwrap()
        .remove(0);
    decky.with_services(&["ssh".parse().unwrap(), "redis".parse().unwrap()])
}

async fn reconcile(engine: &Arc<LocalEngine>, desired: &[DesiredDecky]) -> Vec<StepError> {
    let steps = plan(desired, &engine.observe().await.unwrap());
    let (send, _progress) = mpsc::unbounded_channel();
    let options = Options {
        attempts: 1,
        ..Options::default()
    };
    execute(engine, steps, options, &send)
        .await
        .into_values()
        .collect()
}

/// The process whose working directory is `home`.
fn process_in(home: &Path) -> String {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .find(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == home))
        .unwrap()
        .file_name()
        .into_string()
        .unwrap()
}

fn ask(address: (std::net::IpAddr, u16), words: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(words.as_bytes()).unwrap();
    let mut answer = [0; 512];
    let n = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn started_by_root_it_is_a_user_of_its_own_who_can_bind_low_ports_and_write_evidence_and_no_more() {
    if !geteuid().is_root() {
        decnet_testkit::skipped("only root can start a program as another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let engine = engine(&folder);
    let decky = desired();
    let home = folder.join("deckies").join(decky.name.as_str());
    // An earlier run as root left evidence.
    fs::create_dir_all(home.join("artifacts")).unwrap();
    fs::write(home.join("artifacts/old"), "x").unwrap();
    assert_eq!(reconcile(&engine, std::slice::from_ref(&decky)).await, []);

    let std::net::IpAddr::V4(address) = decky.ip else {
        panic!()
    };
    let user = u32::from(address).to_string();
    let user = if fs::read_to_string("/proc/self/uid_map")
        .unwrap()
        .contains("4294967295")
    {
        user.as_str()
    } else {
        "65534"
    };
    let pid = process_in(&home);
    let filters = |status: &str| -> u32 {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Seccomp_filters:"));
        line.unwrap().trim().parse().unwrap()
    };
    let own = fs::read_to_string("/proc/thread-self/status").unwrap();
    // Every thread: most of this is kept for each of them, and ssh makes its keys in one.
    let threads: Vec<_> = fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .flatten()
        .collect();
    for thread in threads {
        // The thread that makes the keys may have ended.
        let Ok(status) = fs::read_to_string(thread.path().join("status")) else {
            continue;
        };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(field("Uid:"), [user; 4]);
        assert_eq!(field("Gid:"), [user; 4]);
        assert_eq!(field("Groups:"), [""; 0]);
        assert_eq!(field("NoNewPrivs:"), ["1"]);
        // One more than it was started under, as a container has one of its own. What that keeps it from, `sockets.rs` tries.
        assert_eq!(filters(&status), filters(&own) + 1);
        for (set, held) in [
            ("CapEff:", BIND_LOW_PORTS),
            ("CapPrm:", BIND_LOW_PORTS),
            ("CapInh:", "0000000000000000"),
            ("CapAmb:", "0000000000000000"),
        ] {
            assert_eq!(field(set), [held], "{set}");
        }
    }
    let owner = |path: &str| fs::metadata(home.join(path)).unwrap().uid().to_string();
    assert_eq!(
        (owner("artifacts").as_str(), owner("artifacts/old").as_str()),
        (user, user)
    );
    assert_eq!(owner("transcripts"), user);
    assert_eq!(
        (owner(""), owner("config.json"), owner("decoy.log")),
        ("0".into(), "0".into(), "0".into())
    );
    let mode = |path: &str| fs::metadata(home.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(""), mode("config.json"), mode("desired.json")),
        (0o710, 0o640, 0o600)
    );

    // A service that comes later, on a low port, and what a visitor leaves there.
    let more = decky.clone().with_services(&[
        "ssh".parse().unwrap(),
        "redis".parse().unwrap(),
        "http".parse().unwrap(),
    ]);
    assert_eq!(reconcile(&engine, std::slice::from_ref(&more)).await, []);
    assert!(ask((decky.ip, 6379), "PING\r\n").starts_with('+'));
    let put = "PUT /x.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert!(ask((decky.ip, 80), put).starts_with("HTTP/1.1 "));
    let begun = Instant::now();
    let kept = loop {
        let kept = fs::read_dir(home.join("artifacts"))
            .unwrap()
            .flatten()
            .find(|entry| fs::read(entry.path()).is_ok_and(|content| content == b"hello"));
        if let Some(kept) = kept {
            break kept.metadata().unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the file was not kept");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(kept.uid().to_string(), user);

    // Its own specification is root's: the users alone keep it out, with Landlock or without.
    fs::remove_file(home.join("config.json")).unwrap();
    symlink("desired.json", home.join("config.json")).unwrap();
    let raw = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    nix::sys::signal::kill(raw, nix::sys::signal::Signal::SIGHUP).unwrap();
    let begun = Instant::now();
    while !fs::read_to_string(home.join("decoy.log"))
        .unwrap()
        .contains("Permission denied")
    {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "it read what is root's"
        );
        std::thread::sleep(Duration::from_millis(20));
    }

    engine.shutdown().await;
    assert!(!Path::new("/proc").join(&pid).exists());
    let outlets = folder.join("outlets").join(decky.name.as_str());
    let evidence: String = fs::read_dir(outlets)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert!(
        evidence.contains(" http ") || evidence.contains("service_stopped"),
        "{evidence}"
    );
}

/// The public key by which the ssh server there is known.
fn host_key(at: SocketAddr) -> String {
    let scan = Command::new("ssh-keyscan")
        .args([
            "-T",
            "20",
            "-t",
            "ed25519",
            "-p",
            &at.port().to_string(),
            &at.ip().to_string(),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(scan.stdout).unwrap();
    let key = said.split_whitespace().nth(2);
    key.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&scan.stderr)))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_answers_nobody_and_is_started_as_the_same_machine_by_another_engine_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let it = engine(&folder);
    let decky = DesiredDecky {
        // An address that no other test has.
        ip: "127.93.0.77".parse().unwrap(),
        ..desired()
    };
    let stopped = DesiredDecky {
        stopped: true,
        ..decky.clone()
    };
    assert_eq!(reconcile(&it, std::slice::from_ref(&decky)).await, []);
    let listen = it.observe().await.unwrap().remove(0).seen.listen;
    let at = |slug: &str| listen[&slug.parse().unwrap()][0];
    let key = host_key(at("ssh"));
    let outlets = || {
        fs::read_dir(folder.join("outlets").join(decky.name.as_str()))
            .unwrap()
            .count()
    };
    let refused = || {
        for slug in ["ssh", "redis"] {
            let error = TcpStream::connect(at(slug)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{slug}");
        }
    };

    assert_eq!(reconcile(&it, std::slice::from_ref(&stopped)).await, []);
    refused();
    let seen = it.observe().await.unwrap();
    assert_eq!(
        plan(std::slice::from_ref(&stopped), &seen),
        [],
        "it is what is wanted"
    );
    assert_eq!(
        (seen[0].identity, seen[0].running, seen[0].seen.died.as_deref()),
        (Some(decky.identity()), false, None),
        "it is there, and did not die"
    );
    assert_eq!(outlets(), 1, "what it recorded stays");

    // The mutator ends, and another one comes.
    it.shutdown().await;
    drop(it);
    let next = engine(&folder);
    assert_eq!(reconcile(&next, std::slice::from_ref(&stopped)).await, []);
    refused();
    assert_eq!(reconcile(&next, std::slice::from_ref(&decky)).await, []);
    assert_eq!(host_key(at("ssh")), key);
    assert!(ask((decky.ip, at("redis").port()), "PING\r\n").starts_with('+'));
    next.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_could_not_write_at_its_end_is_told_to_whoever_ended_it() {
    let test = "what_it_could_not_write_at_its_end_is_told_to_whoever_ended_it";
    let Some(disk) = decnet_testkit::disk::small(test, "16m").unwrap() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    // Full before it begins: nothing can be held for what it has to say.
    let outlets = disk.join("outlets");
    fs::create_dir(&outlets).unwrap();
    symlink(&outlets, folder.join("outlets")).unwrap();
    let ballast = disk.join("ballast");
    let mut filled = fs::File::create(&ballast).unwrap();
    while filled.write_all(&[0; 4096]).is_ok() {}
    let it = engine(&folder);
    let decky = DesiredDecky {
        // An address that no other test has.
        ip: "127.93.0.78".parse().unwrap(),
        ..desired()
    };
    let stopped = DesiredDecky {
        stopped: true,
        ..decky.clone()
    };
    assert_eq!(reconcile(&it, std::slice::from_ref(&decky)).await, []);
    assert_eq!(reconcile(&it, std::slice::from_ref(&stopped)).await, []);
    let seen = it.observe().await.unwrap().remove(0).seen;
    assert_eq!(seen.died, None);
    let lost = seen.lost.unwrap();
    // That each of its two services began, and that it ended.
    assert!(
        lost.contains(" lines of it are lost") && lost.contains("exit status 1"),
        "{lost}"
    );

    // The next end is in order.
    drop(filled);
    fs::remove_file(&ballast).unwrap();
    assert_eq!(reconcile(&it, std::slice::from_ref(&decky)).await, []);
    let seen = it.observe().await.unwrap().remove(0).seen;
    assert_eq!(
        seen.lost.as_deref(),
        Some(lost.as_str()),
        "it is told while it runs"
    );
    assert_eq!(reconcile(&it, std::slice::from_ref(&stopped)).await, []);
    assert_eq!(it.observe().await.unwrap().remove(0).seen.lost, None);
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hosts_that_begin_one_address_at_the_same_moment_one_has_it_and_the_other_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (one, other) = (engine(&folder.join("one")), engine(&folder.join("other")));
    // An address that no other test has.
    let decky = [DesiredDecky {
        ip: "127.93.0.88".parse().unwrap(),
        ..desired()
    }];
    let (first, second) = tokio::join!(reconcile(&one, &decky), reconcile(&other, &decky));
    let failed: Vec<StepError> = first.into_iter().chain(second).collect();
    let [failed] = &failed[..] else {
        panic!("both or neither have it: {failed:?}")
    };
    assert_eq!(failed.taken, Some(decky[0].ip));
    assert!(failed.message.contains("`ss -ltnp`"), "{failed}");
    let seen = [
        one.observe().await.unwrap().remove(0),
        other.observe().await.unwrap().remove(0),
    ];
    assert_eq!(seen.iter().filter(|decky| decky.running).count(), 1, "{seen:?}");
    // Whoever was the second did not die of it: it is given another address.
    assert!(seen.iter().all(|decky| decky.seen.died.is_none()), "{seen:?}");
    one.shutdown().await;
    other.shutdown().await;
}
