//! A fleet of containers from its deployment to its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    time::Instant,
};

use decnet_lab::{ATTACKER, GATEWAY, HOST, Lab, Place};
use nix::sys::signal::Signal;

use crate::{
    host::{Host, kill, lab, until},
    intruder::contained,
    killed::killed_anywhere,
    stopped::stopped_and_started,
    visitor::{attack, hold_open, is_answer, machines, said, services, text, visit},
};

/// Twenty deckies of every kind that six services make believable.
const FLEET: &str = "\
[web]
archetype = web-server
amount = 5
[db]
archetype = database-server
amount = 4
[mail]
archetype = mail-server
amount = 4
[srv]
archetype = linux-server
amount = 4
[files]
archetype = file-server
amount = 2
[dead]
archetype = deaddeck
";

/// Everything of ours that Docker and the host have.
fn traces(lab: &Lab) -> String {
    let mut all = String::new();
    for words in [
        ["ps", "-aq"].as_slice(),
        &["network", "ls", "-q", "--filter", "driver=macvlan"],
        &["images", "-aq"],
    ] {
        all.push_str(&said(&lab.docker().args(words).output().unwrap()));
    }
    let mut ip = |words: &[&str]| {
        all.push_str(&said(
            &lab.command(Place::Host, "ip").args(words).output().unwrap(),
        ));
    };
    ip(&["-br", "link", "show", "type", "macvlan"]);
    ip(&["route", "show", "proto", "static", "dev", "lan0"]);
    all
}

#[test]
fn twenty_deckies_live_on_a_network_are_visited_mutate_survive_and_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut lab_of, _turn)) = lab("fleet", folder.path()) else {
        return;
    };
    let before = traces(&lab_of);
    let description = folder.path().join("fleet.ini");
    fs::write(&description, FLEET).unwrap();
    let mut host = Host::new(&lab_of, &folder);
    host.up();

    // Deployed, each on an address and a hardware address of its own.
    let begun = Instant::now();
    let told = until("the mutator says where deckies can stand", || {
        let tried = host.run(&["deploy", "--file", description.to_str().unwrap()]);
        tried.status.success().then(|| said(&tried))
    });
    println!(
        "    20 deckies deployed in {:.1} s\n{told}",
        begun.elapsed().as_secs_f64()
    );
    let fleet = until("all of them run", || {
        let fleet = host.fleet();
        fleet.iter().all(|d| d["state"] == "running").then_some(fleet)
    });
    assert_eq!(fleet.len(), 20);
    let known = machines(&fleet);
    let addresses: BTreeSet<&String> = known.values().map(|(ip, _)| ip).collect();
    assert_eq!(addresses.len(), 20);
    assert!(
        !addresses
            .iter()
            .any(|ip| [HOST, GATEWAY, ATTACKER].contains(&ip.as_str()))
    );

    // Visited by real clients from another machine.
    let mut visited = 0;
    for decky in &fleet {
        for service in decky["services"].as_array().unwrap() {
            let slug = text(service, "slug");
            let seen = visit(&lab_of, decky, &slug);
            assert!(is_answer(&slug, &seen), "{} {slug}: {seen}", text(decky, "name"));
            visited += 1;
        }
    }
    println!("    {visited} services answered");
    let neighbours = said(&attack(&lab_of, &["ip", "neigh"]));
    for (ip, mac) in known.values() {
        let line = neighbours
            .lines()
            .find(|line| line.starts_with(&format!("{ip} ")));
        assert!(
            line.is_some_and(|line| line.contains(mac.as_str())),
            "{ip} is not at {mac}: {neighbours}"
        );
    }
    // The host reaches them, too, and is no other machine for that.
    let (ip, _) = &known["web-01"];
    let own = lab_of
        .command(Place::Host, "curl")
        .args(["-sS", "-m", "10", "-o", "/dev/null", &format!("http://{ip}/")])
        .output()
        .unwrap();
    assert!(own.status.success(), "{}", String::from_utf8_lossy(&own.stderr));
    let asked = said(&attack(
        &lab_of,
        &["arping", "-c", "2", "-w", "3", "-I", "eth0", HOST],
    ));
    let answers: BTreeSet<&str> = asked
        .split(['[', ']'])
        .filter(|part| part.len() == 17 && part.contains(':'))
        .collect();
    assert_eq!(
        answers.len(),
        1,
        "more than one machine says that it is the host: {asked}"
    );

    // Every visit is evidence, with the visitor's own address.
    let names: BTreeSet<String> = known.keys().cloned().collect();
    until("the visits are evidence", || {
        let rows = host.evidence(&["--source", ATTACKER]);
        let seen: BTreeSet<String> = rows.iter().map(|row| text(row, "decky")).collect();
        (seen == names).then_some(())
    });

    contained(&lab_of, &host, &fleet);
    looks_like_nothing(&lab_of, &host, "srv-01");

    // A mutation changes one and disturbs nobody else.
    let started = |name: &str| -> String {
        let all = lab_of
            .docker()
            .args(["ps", "--format", "{{.Names}} {{.ID}}"])
            .output()
            .unwrap();
        said(&all)
            .lines()
            .filter(|line| line.starts_with(&format!("{name}-")))
            .map(str::to_owned)
            .collect()
    };
    let containers: BTreeMap<&String, String> = known.keys().map(|name| (name, started(name))).collect();
    let (old, mut open) = (services(&fleet, "web-01"), hold_open(&lab_of, &fleet, "web-02"));
    host.ok(&["mutate", "web-01"]);
    assert_ne!(services(&host.fleet(), "web-01"), old);
    host.ok(&["deploy", "--name", "late", "--archetype", "web-server"]);
    for (name, container) in &containers {
        assert_eq!(&started(name), container, "{name} was made anew");
    }
    assert!(
        open.try_wait().unwrap().is_none(),
        "a visit to another decky was cut"
    );
    open.kill().unwrap();
    open.wait().unwrap();
    host.ok(&["teardown", "late"]);

    // Whatever of ours is killed: the fleet stays, and what came meanwhile is not lost.
    for program in [
        "decnet-mutator",
        "decnet-collector",
        "decnet-ingester",
        "decnet-bus",
    ] {
        let pids = host.pids(program);
        assert!(!pids.is_empty(), "{program} does not run");
        for pid in pids {
            kill(pid);
        }
        let decky = fleet.iter().find(|d| text(d, "name") == "web-03").unwrap();
        let seen = visit(&lab_of, decky, "http");
        assert!(is_answer("http", &seen), "after {program}: {seen}");
        until("it is started again", || {
            (!host.pids(program).is_empty()).then_some(())
        });
    }
    for (name, container) in &containers {
        assert_eq!(&started(name), container, "{name} did not outlive its mutator");
    }
    // A decky that dies is back, contained as before.
    let victim = said(
        &lab_of
            .docker()
            .args(["ps", "-q", "--filter", "name=^srv-02-"])
            .output()
            .unwrap(),
    );
    decnet_lab::run(lab_of.docker().args(["kill", "--signal", "KILL", victim.trim()])).unwrap();
    until("it is back", || {
        let again = said(
            &lab_of
                .docker()
                .args(["ps", "-q", "--filter", "name=^srv-02-"])
                .output()
                .unwrap(),
        );
        (!again.trim().is_empty() && again != victim).then_some(())
    });
    drop(host.evidence(&[]));

    stopped_and_started(&lab_of, &host, "srv-02");

    // The daemon is killed, and comes back.
    let data = host.data.clone();
    host.down();
    drop(host);
    lab_of.end_daemon(Signal::SIGKILL).unwrap();
    lab_of.start_daemon().unwrap();
    let mut host = Host::new(&lab_of, &folder);
    assert_eq!(host.data, data);
    host.up();
    let again = until("the fleet is back after the daemon", || {
        let fleet = host.fleet();
        (fleet.len() == 20 && fleet.iter().all(|d| d["state"] == "running")).then_some(fleet)
    });
    assert_eq!(machines(&again), known);
    for decky in again.iter().take(4) {
        let slug = text(&decky["services"][0], "slug");
        // What the database says may be of before; that it answers again is what counts.
        until("it answers again", || {
            is_answer(&slug, &visit(&lab_of, decky, &slug)).then_some(())
        });
    }

    // Gone without a trace.
    let begun = Instant::now();
    host.ok(&["teardown", "--all"]);
    println!("    torn down in {:.1} s", begun.elapsed().as_secs_f64());
    until("nothing of it is left", || {
        (traces(&lab_of) == before).then_some(())
    });
    assert!(host.fleet().is_empty());
    host.down();
}

/// Nothing that can be read inside a container says what it is.
fn looks_like_nothing(lab: &Lab, host: &Host<'_>, decky: &str) {
    let pid = host.pid_of(decky);
    let proc = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let inspect = said(
        &lab.docker()
            .args(["ps", "-q", "--filter", &format!("name=^{decky}-")])
            .output()
            .unwrap(),
    );
    let hostname = said(
        &lab.docker()
            .args(["inspect", "--format", "{{.Config.Hostname}}", inspect.trim()])
            .output()
            .unwrap(),
    );
    let files = said(
        &Command::new("find")
            .arg(format!("/proc/{pid}/root/"))
            .arg("-xdev")
            .output()
            .unwrap(),
    );
    let environment = proc("environ");
    let seen = [
        ("mounts", proc("mountinfo")),
        ("environment", environment.clone()),
        ("control group", proc("cgroup")),
        ("command", proc("cmdline")),
        ("name", proc("comm")),
        ("hosts", proc("root/etc/hosts")),
        ("resolver", proc("root/etc/resolv.conf")),
        ("host name", hostname),
        ("files", files),
    ];
    let temporary = host.data.parent().unwrap().display().to_string();
    for (what, content) in seen {
        assert!(
            !content.is_empty() || what == "environment",
            "nothing is known of its {what}"
        );
        let content = content.replace(&temporary, "").to_lowercase();
        for word in ["decnet", "decky", "deckies", "honeypot", "decoy"] {
            assert!(!content.contains(word), "its {what} says {word}: {content}");
        }
    }
    assert!(
        !fs::exists(format!("/proc/{pid}/root/var/lib/netsvcd/config.json")).unwrap(),
        "what it was told can still be read"
    );
    let status = proc("status");
    let field = |name: &str| {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapInh:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set} {status}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    assert_ne!(field("Uid:"), "0");
}

#[test]
fn a_run_that_is_killed_anywhere_is_finished_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab_of, _turn)) = lab("kill", folder.path()) else {
        return;
    };
    let mut host = Host::new(&lab_of, &folder);
    let there = || {
        let all = lab_of
            .docker()
            .args(["ps", "-a", "--format", "{{.State}}"])
            .output()
            .unwrap();
        said(&all).lines().map(|state| state == "running").collect()
    };
    killed_anywhere(&mut host, there, || traces(&lab_of));
}
