//! The local engine with a stand-in for the decoy program: a shell script that speaks its protocol (`ready` on
//! standard error, SIGHUP for a new configuration) and writes one line of evidence.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use decnet_decoys::config::DeckyConfig;
use decnet_fleet::{
    DesiredDecky, Engine as _, EngineError, Limits, Options, StepError,
    engine::local::{LocalEngine, LocalOptions},
    execute, plan, resolve,
};
use decnet_model::{fleet::DeckySpec, name::DeckyName};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use tokio::sync::mpsc;

use crate::{Six, fleet, now, of};

const PROGRAM: &str = r#"#!/bin/sh
echo $$ > pid
tr '\0' '\n' < /proc/$$/environ > environment
tr '\0' ' ' < /proc/$$/cmdline > command
cat /proc/$$/comm > comm
if grep -q refuse-to-start config.json; then echo "port in use" >&2; exit 1; fi
trap 'if grep -q refuse config.json; then echo "configuration not applied: no" >&2; else echo "configuration applied" >&2; fi' HUP
trap 'exit 0' TERM
trap 'echo well >&2' USR1
if [ -e ../../hang ]; then while :; do sleep 0.05; done; fi
while [ -e ../../together ] && [ "$(ls ../*/pid | wc -l)" -lt 4 ]; do sleep 0.05; done
echo "evidence of a visitor"
echo ready >&2
while :; do sleep 1 & wait $!; done
"#;

fn program(dir: &Path) -> PathBuf {
    let path = dir.join("program.sh");
    fs::write(&path, PROGRAM).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn options(dir: &Path) -> LocalOptions {
    LocalOptions {
        deckies: dir.join("deckies"),
        outlets: dir.join("outlets"),
        program: program(dir),
        port_offset: 10_000,
        network: limits().network,
    }
}

/// Where nothing but these tests stands.
fn limits() -> Limits {
    Limits {
        network: "127.68.0.0/16".parse().unwrap(),
        ..Limits::default()
    }
}

fn standing(deckies: Vec<DeckySpec>) -> Vec<DesiredDecky> {
    resolve(&fleet(deckies), &[], &limits(), &Six, now()).unwrap()
}

fn engine(dir: &Path) -> Arc<LocalEngine> {
    Arc::new(LocalEngine::open(options(dir), Arc::new(Six)).unwrap())
}

async fn reconcile(engine: &Arc<LocalEngine>, desired: &[DesiredDecky]) -> Vec<(DeckyName, StepError)> {
    let steps = plan(desired, &engine.observe().await.unwrap());
    let (send, _progress) = mpsc::unbounded_channel();
    let options = Options {
        attempts: 1,
        ..Options::default()
    };
    execute(engine, steps, options, &send).await.into_iter().collect()
}

fn pid_of(dir: &Path, decky: &DesiredDecky) -> Pid {
    let text = fs::read_to_string(dir.join("deckies").join(decky.name.as_str()).join("pid")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap())
}

/// Whether the process is there and no zombie.
fn alive(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "waited in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn deckies_are_made_run_reconfigured_and_taken_away_and_their_evidence_stays() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let desired = standing(vec![of("web-server", 3)]);
    assert_eq!(reconcile(&engine, &desired).await, []);
    let observed = engine.observe().await.unwrap();
    assert!(observed.len() == 3 && observed.iter().all(|o| o.running));
    assert_eq!(
        plan(&desired, &observed),
        [],
        "planning what was just built gives no steps"
    );

    let home = dir.path().join("deckies").join(desired[0].name.as_str());
    let config: DeckyConfig = serde_json::from_slice(&fs::read(home.join("config.json")).unwrap()).unwrap();
    assert_eq!(config.persona, desired[0].persona);
    assert!(
        config
            .services
            .iter()
            .all(|s| s.listen.iter().all(|l| l.ip() == desired[0].ip))
    );
    let mode = |file: &str| fs::metadata(home.join(file)).unwrap().permissions().mode() & 0o777;
    // As root it is read by the user that the program becomes.
    let shared = if geteuid().is_root() { 0o640 } else { 0o600 };
    assert_eq!((mode("config.json"), mode("desired.json")), (shared, 0o600));
    let outlets = dir.path().join("outlets").join(desired[0].name.as_str());
    let evidence: Vec<_> = fs::read_dir(outlets)
        .unwrap()
        .map(|e| fs::read_to_string(e.unwrap().path()).unwrap())
        .collect();
    assert_eq!(evidence, ["evidence of a visitor\n"]);

    let pid = pid_of(dir.path(), &desired[0]);
    let mut changed = desired.clone();
    changed[0] = changed[0].clone().with_services(&["redis".parse().unwrap()]);
    assert_eq!(reconcile(&engine, &changed).await, []);
    assert_eq!(pid_of(dir.path(), &desired[0]), pid, "the process goes on");
    let config = fs::read_to_string(home.join("config.json")).unwrap();
    assert!(config.contains("redis") && plan(&changed, &engine.observe().await.unwrap()).is_empty());

    fs::write(home.join("artifacts/catch.bin"), "x").unwrap();
    assert_eq!(reconcile(&engine, &[]).await, []);
    assert_eq!(engine.observe().await.unwrap(), []);
    assert!(!alive(pid) && home.join("artifacts/catch.bin").exists() && !home.join("config.json").exists());
}

#[tokio::test]
async fn a_visitor_who_reads_the_process_list_learns_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let desired = standing(vec![of("web-server", 1)]);
    assert_eq!(reconcile(&engine, &desired).await, []);
    let home = dir.path().join("deckies").join(desired[0].name.as_str());
    let read = |file: &str| fs::read_to_string(home.join(file)).unwrap();
    assert_eq!(read("comm").trim(), "netsvcd");
    assert!(
        !read("environment").contains("CARGO") && !read("environment").contains("HOME="),
        "{}",
        read("environment")
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn a_decky_that_dies_is_seen_dead_with_the_reason_and_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let desired = standing(vec![of("web-server", 1)]);
    assert_eq!(reconcile(&engine, &desired).await, []);
    let pid = pid_of(dir.path(), &desired[0]);
    kill(pid, Signal::SIGKILL).unwrap();
    let begun = Instant::now();
    let dead = loop {
        let seen = engine.observe().await.unwrap().remove(0);
        if !seen.running {
            break seen;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "its death was not seen"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(dead.seen.died.unwrap().contains("signal 9"));
    assert_eq!(reconcile(&engine, &desired).await, []);
    assert!(engine.observe().await.unwrap()[0].running);
    assert_ne!(pid_of(dir.path(), &desired[0]), pid);
    engine.shutdown().await;
    assert!(!alive(pid_of(dir.path(), &desired[0])), "ended with the engine");
}

#[tokio::test]
async fn what_a_decky_says_when_it_cannot_start_or_refuses_a_configuration_is_the_error() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let mut desired = standing(vec![of("web-server", 1)]);
    desired[0].persona.overrides.company = Some("refuse-to-start".into());
    let failed = reconcile(&engine, &desired).await;
    assert!(
        failed[0].1.message.contains("port in use") && failed[0].1.message.contains("exit status 1"),
        "{failed:?}"
    );

    desired[0].persona.overrides.company = None;
    assert_eq!(reconcile(&engine, &desired).await, []);
    desired[0].services[0]
        .knobs
        .insert("banner".into(), "refuse".into());
    let failed = reconcile(&engine, &desired).await;
    assert!(failed[0].1.message.contains("not applied: no"), "{failed:?}");
    let observed = engine.observe().await.unwrap();
    assert!(
        observed[0].running && !plan(&desired, &observed).is_empty(),
        "the change is still to be made"
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn a_decky_whose_port_somebody_has_is_not_started_and_the_way_out_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    // An address that no other test has.
    let desired = [DesiredDecky {
        ip: "127.68.9.9".parse().unwrap(),
        ..standing(vec![of("web-server", 1)]).remove(0)
    }];
    let port = 80 + engine.port_offset();
    let taken = TcpListener::bind((desired[0].ip, port)).unwrap();
    let failed = reconcile(&engine, &desired).await.remove(0).1;
    assert_eq!(failed.taken, Some(desired[0].ip));
    let words = [
        format!("127.68.9.9:{port}, which http needs"),
        "`ss -ltnp`".into(),
        "fleet-network".into(),
    ];
    assert!(words.iter().all(|word| failed.message.contains(word)), "{failed}");
    let seen = engine.observe().await.unwrap().remove(0);
    assert_eq!(
        (seen.running, seen.seen.died),
        (false, None),
        "it was not started, and did not die"
    );
    // Whoever settles addresses knows of it.
    let around = engine.surroundings().await.unwrap().unwrap();
    assert_eq!(around.network, limits().network);
    assert!(around.reserved.contains(&desired[0].ip), "{around:?}");

    // Where the port of an address that is nobody's is taken, too, no other address helps.
    let everywhere = TcpListener::bind(("127.255.255.254", port)).unwrap();
    let failed = reconcile(&engine, &desired).await.remove(0).1;
    assert!(
        failed.taken.is_none() && failed.message.contains("without http"),
        "{failed}"
    );
    drop(everywhere);

    drop(taken);
    assert_eq!(reconcile(&engine, &desired).await, []);
    assert!(
        !engine
            .surroundings()
            .await
            .unwrap()
            .unwrap()
            .reserved
            .contains(&desired[0].ip)
    );
    // A service that comes later leaves it where it is.
    let taken = TcpListener::bind((desired[0].ip, 6379)).unwrap();
    let more = [desired[0].clone().with_services(&["redis".parse().unwrap()])];
    let failed = reconcile(&engine, &more).await.remove(0).1;
    assert!(
        failed.taken.is_none() && failed.message.contains(":6379, which redis needs"),
        "{failed}"
    );
    drop(taken);
    assert_eq!(reconcile(&engine, &more).await, []);
    engine.shutdown().await;
}

#[tokio::test]
async fn several_deckies_begin_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    // Each is ready only once four are there.
    fs::write(dir.path().join("together"), "").unwrap();
    let engine = engine(dir.path());
    let desired = standing(vec![of("web-server", 4)]);
    assert_eq!(reconcile(&engine, &desired).await, []);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_start_that_is_cut_short_leaves_nobody_behind_once_it_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let hang = dir.path().join("hang");
    fs::write(&hang, "").unwrap();
    let engine = engine(dir.path());
    let desired = standing(vec![of("web-server", 1)]);
    let started = dir
        .path()
        .join("deckies")
        .join(desired[0].name.as_str())
        .join("pid");
    let there = async {
        while !fs::read_to_string(&started).is_ok_and(|pid| pid.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        done = reconcile(&engine, &desired) => panic!("{done:?}"),
        () = there => {}
    }
    let first = pid_of(dir.path(), &desired[0]);
    assert!(alive(first) && !engine.observe().await.unwrap()[0].running);
    fs::remove_file(&hang).unwrap();
    assert_eq!(reconcile(&engine, &desired).await, []);
    assert!(!alive(first) && alive(pid_of(dir.path(), &desired[0])));
    engine.shutdown().await;
}

#[tokio::test]
async fn two_engines_never_work_in_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let _first = engine(dir.path());
    assert!(matches!(
        LocalEngine::open(options(dir.path()), Arc::new(Six)),
        Err(EngineError::Busy(_))
    ));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = LocalOptions {
        program: dir.path().join("none"),
        ..options(dir.path())
    };
    let error = LocalEngine::open(missing, Arc::new(Six)).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}

#[test]
fn children_end_with_an_engine_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    let host = test.ancestors().nth(2).unwrap().join("examples/local_fleet");
    let mut parent = Command::new(host)
        .args([
            program(dir.path()).as_os_str(),
            dir.path().as_os_str(),
            "4".as_ref(),
            "127.67.0.0/16".as_ref(),
            "ssh:22".as_ref(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("started 4 deckies"), "{line}");
    let pids: Vec<Pid> = (1..=4)
        .map(|n| {
            let text = fs::read_to_string(dir.path().join(format!("deckies/box-{n:02}/pid"))).unwrap();
            Pid::from_raw(text.trim().parse().unwrap())
        })
        .collect();
    assert!(pids.iter().all(|pid| alive(*pid)));
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until("children of a killed engine end", || {
        !pids.iter().any(|pid| alive(*pid))
    });
}
