//! A mutator that is killed wherever it may be, and every other program of a host.

use std::{process::Stdio, thread, time::Duration};

use decnet_lab::{ATTACKER, Lab, Place};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    host::{Host, kill, signal, until, until_seen},
    visitor::{attack, is_answer, said, text},
};

/// What `decnet up` keeps running.
const WORKERS: [&str; 6] = ["mutator", "collector", "ingester", "profiler", "server", "bus"];

/// Killed wherever it may be, the mutator finishes what was wanted when it is back; nothing is there twice, and nothing
/// half-made stays. `there` says of each decky that there is whether it runs, `traces` what is left of them.
pub(crate) fn killed_anywhere(
    host: &mut Host<'_>,
    there: impl Fn() -> Vec<bool>,
    traces: impl Fn() -> String,
) {
    let before = traces();
    host.up();
    until("the mutator has looked", || {
        let tried = host.run(&[
            "deploy",
            "--archetype",
            "web-server",
            "--name",
            "zero",
            "--no-wait",
        ]);
        tried.status.success().then_some(())
    });
    // Before the first step, and then at one look after another that finds a step at work.
    let mut midway = 0;
    for (round, looks) in [0, 1, 2, 4, 8].into_iter().enumerate() {
        let name = format!("round{round}");
        ordered_while_stopped(
            host,
            &[
                "deploy",
                "--archetype",
                "linux-server",
                "--name",
                &name,
                "--deckies",
                "2",
                "--no-wait",
            ],
        );
        midway += u32::from(stopped_at_work(host, "deploying", looks));
        for pid in host.pids("decnet-mutator") {
            kill(pid);
        }
        until("what was wanted runs", || {
            // After its fifth death it is left alone until somebody has it tried again; before, that is refused.
            let _tried = host.run(&["worker", "clear", "mutator"]);
            let fleet = host.fleet();
            let all = fleet.len() == 1 + 2 * (round + 1) && fleet.iter().all(|d| d["state"] == "running");
            let there = there();
            (all && there.len() == fleet.len() && there.iter().all(|runs| *runs)).then_some(())
        });
    }
    println!("    {midway} of 5 killed while a decky was made");
    assert_ne!(midway, 0, "none was killed while it made a decky");
    ordered_while_stopped(host, &["teardown", "--all", "--no-wait"]);
    stopped_at_work(host, "stopping", 2);
    for pid in host.pids("decnet-mutator") {
        kill(pid);
    }
    until("nothing of it is left", || {
        let _tried = host.run(&["worker", "clear", "mutator"]);
        (traces() == before && host.fleet().is_empty()).then_some(())
    });
    host.down();
}

fn send_mutator(host: &Host<'_>, what: Signal) {
    for pid in host.pids("decnet-mutator") {
        signal(pid, what);
    }
}

/// Order something of a mutator that is stopped meanwhile, so that it has done nothing of it yet. Stopped while it writes it has the
/// database locked: then it goes on, and is stopped anew.
fn ordered_while_stopped(host: &Host<'_>, words: &[&str]) {
    until_seen("an order is taken while the mutator is stopped", || {
        send_mutator(host, Signal::SIGSTOP);
        let tried = host.run(words);
        if tried.status.success() {
            return Ok(());
        }
        send_mutator(host, Signal::SIGCONT);
        Err(format!("{tried:?}"))
    });
}

/// Let a mutator that is stopped run for moments only, until a look found deckies in the `state` of being worked on so many times,
/// or nothing is left to do. It is stopped again then; whether it is in the middle of a step.
fn stopped_at_work(host: &Host<'_>, state: &str, looks: u32) -> bool {
    const MOMENT: Duration = Duration::from_millis(10);
    let mut found = 0;
    for _ in 0..1_000 {
        let fleet = host.fleet();
        let at_work = fleet.iter().any(|decky| decky["state"] == state);
        found += u32::from(at_work);
        if found >= looks || fleet.iter().all(|decky| decky["state"] == "running") {
            return at_work;
        }
        send_mutator(host, Signal::SIGCONT);
        thread::sleep(MOMENT);
        send_mutator(host, Signal::SIGSTOP);
    }
    panic!("after a thousand moments nothing is {state}, and not everything runs");
}

/// Kill every worker of a host whose deckies outlive it, each once, and then all with the one that keeps them. Whoever visits
/// `decky`, which has a web server, is answered meanwhile, and what came then is evidence once.
pub(crate) fn everything_killed(lab: &Lab, host: &mut Host<'_>, decky: &Value) {
    let path_of = |name: &str| format!("/while-{name}-is-gone");
    let visited_without = |name: &str| {
        let url = format!("http://{}{}", text(decky, "ip"), path_of(name));
        let seen = attack(lab, &["curl", "-sS", "-i", "-m", "10", &url]);
        assert!(is_answer("http", &said(&seen)), "while {name} is gone: {seen:?}");
    };
    for name in WORKERS {
        let program = format!("decnet-{name}");
        let killed = host.pids(&program);
        assert!(!killed.is_empty(), "{program} does not run");
        for pid in &killed {
            kill(*pid);
        }
        visited_without(name);
        until_seen(&format!("{program} is started again, and heard"), || {
            let (workers, run) = (host.workers(), host.pids(&program));
            let worker = workers.iter().find(|worker| worker["name"] == name);
            let lives = worker.is_some_and(|worker| {
                let mut anew = run.iter().filter(|pid| !killed.contains(pid));
                worker["state"] == "ok" && anew.any(|pid| worker["pid"] == *pid)
            });
            let told = || format!("processes {run:?} after {killed:?}, told as {worker:?}");
            lives.then_some(()).ok_or_else(told)
        });
    }
    until_seen("the dashboard's server answers", || {
        let asked = lab
            .command(Place::Host, "curl")
            .args(["-sS", "-m", "10", "http://127.0.0.1:8080/api/v1/health"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let answers = said(&asked).contains("\"status\"");
        answers.then_some(()).ok_or_else(|| format!("{asked:?}"))
    });

    host.kill();
    visited_without("up");
    host.up();

    let mut wanted: Vec<String> = WORKERS.into_iter().chain(["up"]).map(path_of).collect();
    wanted.sort();
    let seen = until_seen("what came meanwhile is evidence", || {
        let name = text(decky, "name");
        let rows = host.evidence(&["--decky", &name, "--type", "request", "--source", ATTACKER]);
        let paths = rows.iter().map(|row| text(&row["fields"], "path"));
        let mut paths: Vec<String> = paths.filter(|path| path.starts_with("/while-")).collect();
        paths.sort();
        let all = wanted.iter().all(|path| paths.contains(path));
        if all { Ok(paths) } else { Err(format!("{paths:?}")) }
    });
    assert_eq!(seen, wanted, "not everything came once");
}
