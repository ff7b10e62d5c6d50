//! A fleet of processes in network namespaces, from its deployment to its end: the same as with containers, without Docker.

use std::{collections::BTreeSet, fs, path::Path};

use decnet_lab::{ATTACKER, GATEWAY, HOST, INTERFACE, Lab, Place};
use serde_json::Value;

use crate::{
    announced::{announced, mistaken},
    host::{Engine, Host, decoys, kill, lab_without_docker, until},
    intruder::{contained, contained_again, reaches_gateway},
    killed::killed_anywhere,
    scan::let_out,
    stack::behaves_as_claimed,
    stopped::stopped_and_started,
    visitor::{all_told, attack, hold_open, is_answer, machines, said, services, text, visit},
};

/// What the other tests of deckies from within need, systems whose network stacks differ, and two that may begin something.
const FLEET: &str = "\
[web]
archetype = web-server
amount = 3
[srv]
archetype = linux-server
amount = 2
[db]
archetype = database-server
[win]
archetype = windows-server
[asks]
archetype = linux-server
egress = dns
[free]
archetype = linux-server
egress = allow
";
/// How many those are.
const DECKIES: usize = 9;

/// The interfaces and routes of the host that are not of the lab.
fn traces(lab: &Lab) -> String {
    let ip = |words: &[&str]| said(&lab.command(Place::Host, "ip").args(words).output().unwrap());
    let links = ip(&["-br", "link"]);
    let foreign = links
        .lines()
        .filter(|line| !line.starts_with(INTERFACE) && !line.starts_with("lo "));
    let mut all: String = foreign.map(|line| format!("{line}\n")).collect();
    all.push_str(&ip(&["route", "show", "scope", "link", "proto", "static"]));
    all
}

/// Whether anybody answers for an address, as another machine sees it.
pub(crate) fn is_there(lab: &Lab, ip: &str) -> bool {
    attack(lab, &["arping", "-c", "1", "-w", "1", "-I", "eth0", ip])
        .status
        .success()
}

/// All deckies, once every one runs.
fn running(host: &Host<'_>, deckies: usize) -> Vec<Value> {
    until("all of them run", || {
        let fleet = host.fleet();
        (fleet.len() == deckies && fleet.iter().all(|d| d["state"] == "running")).then_some(fleet)
    })
}

#[test]
fn deckies_in_namespaces_are_visited_mutate_end_with_their_mutator_come_back_and_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab_without_docker("netns", folder.path()) else {
        return;
    };
    let before = traces(&lab);
    let description = folder.path().join("fleet.ini");
    fs::write(&description, FLEET).unwrap();
    let mut host = Host::with(Engine::Netns, &lab, &folder);
    host.up();

    // Deployed, each on an address and a hardware address of its own.
    until("the mutator says where deckies can stand", || {
        let tried = host.run(&["deploy", "--file", description.to_str().unwrap()]);
        tried.status.success().then_some(())
    });
    let fleet = running(&host, DECKIES);
    let known = machines(&fleet);
    let addresses: BTreeSet<&String> = known.values().map(|(ip, _)| ip).collect();
    assert_eq!(addresses.len(), DECKIES);
    assert!(
        !addresses
            .iter()
            .any(|ip| [HOST, GATEWAY, ATTACKER].contains(&ip.as_str()))
    );

    // Visited by real clients from another machine, which sees each as a machine of its own.
    for decky in &fleet {
        for slug in services(&fleet, &text(decky, "name")) {
            let seen = visit(&lab, decky, &slug);
            assert!(is_answer(&slug, &seen), "{} {slug}: {seen}", text(decky, "name"));
        }
    }
    let neighbours = said(&attack(&lab, &["ip", "neigh"]));
    for (ip, mac) in known.values() {
        let line = neighbours
            .lines()
            .find(|line| line.starts_with(&format!("{ip} ")));
        assert!(
            line.is_some_and(|line| line.contains(mac.as_str())),
            "{ip} is not at {mac}: {neighbours}"
        );
    }
    behaves_as_claimed(&lab, &host, &fleet);
    // The host reaches them, too, and is no other machine for that.
    let url = format!("http://{}/", known["web-01"].0);
    decnet_lab::run(
        lab.command(Place::Host, "curl")
            .args(["-sS", "-m", "10", "-o", "/dev/null", &url]),
    )
    .unwrap();
    let asked = said(&attack(
        &lab,
        &["arping", "-c", "2", "-w", "3", "-I", "eth0", HOST],
    ));
    let answers: BTreeSet<&str> = asked
        .split(['[', ']'])
        .filter(|part| part.len() == 17 && part.contains(':'))
        .collect();
    assert_eq!(answers.len(), 1, "more than one machine is the host: {asked}");

    // Every visit is evidence, with the visitor's own address.
    let names: BTreeSet<String> = known.keys().cloned().collect();
    all_told(&host, &fleet, ATTACKER);

    contained(&lab, &host, &fleet);
    contained_again(&lab, &host, "srv-01");
    let_out(&lab, &host, "asks", "free");

    // A mutation changes one and disturbs nobody.
    let processes = host.decoys();
    assert_eq!(processes.keys().cloned().collect::<BTreeSet<_>>(), names);
    let (old, mut open) = (services(&fleet, "web-01"), hold_open(&lab, &fleet, "web-02"));
    host.ok(&["mutate", "web-01"]);
    let fleet = running(&host, DECKIES);
    assert_ne!(services(&fleet, "web-01"), old);
    assert_eq!(host.decoys(), processes, "one was made anew");
    let decky = fleet.iter().find(|d| text(d, "name") == "web-01").unwrap();
    for slug in services(&fleet, "web-01") {
        let seen = visit(&lab, decky, &slug);
        assert!(is_answer(&slug, &seen), "after its mutation, {slug}: {seen}");
    }
    assert!(open.try_wait().unwrap().is_none(), "an open visit was cut");
    open.kill().unwrap();
    open.wait().unwrap();

    // A decky that dies is back, the same machine, and contained as before; whoever took another one for it learns where it is.
    let (ip, mac) = &known["srv-02"];
    mistaken(&lab, ip);
    kill(processes["srv-02"]);
    until("it is back", || {
        let again = host.decoys().get("srv-02").copied();
        again.filter(|pid| *pid != processes["srv-02"])
    });
    announced(&lab, ip, mac);
    let fleet = running(&host, DECKIES);
    assert_eq!(machines(&fleet), known);
    let decky = fleet.iter().find(|d| text(d, "name") == "srv-02").unwrap();
    until("it answers again", || {
        is_answer("ssh", &visit(&lab, decky, "ssh")).then_some(())
    });
    assert!(!reaches_gateway(&lab, &host, "srv-02"), "the gateway answered");

    stopped_and_started(&lab, &host, "srv-02");

    // Killed with their mutator, nothing of them is left on the network or on the host; and all are back after it.
    host.kill();
    until("their processes are gone", || {
        host.decoys().is_empty().then_some(())
    });
    for (ip, _) in known.values() {
        until("their interfaces are gone", || {
            (!is_there(&lab, ip)).then_some(())
        });
    }
    host.up();
    until("all of them run anew", || {
        let fleet = host.fleet();
        let run = fleet.iter().all(|d| d["state"] == "running");
        (run && host.decoys().len() == DECKIES).then_some(())
    });
    let again = running(&host, DECKIES);
    assert_eq!(machines(&again), known);
    for decky in &again {
        let slug = services(&again, &text(decky, "name")).remove(0);
        until("it answers again", || {
            is_answer(&slug, &visit(&lab, decky, &slug)).then_some(())
        });
    }

    // Gone without a trace.
    assert_ne!(traces(&lab), before, "nothing is seen of the way to the deckies");
    host.ok(&["teardown", "--all"]);
    until("nothing of it is left", || {
        (traces(&lab) == before && host.decoys().is_empty()).then_some(())
    });
    assert!(host.fleet().is_empty());
    host.down();
}

#[test]
fn a_fleet_in_namespaces_whose_mutator_is_killed_anywhere_is_finished_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab_without_docker("netnskill", folder.path()) else {
        return;
    };
    let mut host = Host::with(Engine::Netns, &lab, &folder);
    let data = host.data.clone();
    let there = || decoys(&data).into_values().map(|_| true).collect();
    killed_anywhere(&mut host, there, || {
        format!("{}{:?}", traces(&lab), decoys(&data).keys())
    });
}

#[test]
fn what_cannot_be_deployed_in_namespaces_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab_without_docker("netnstold", folder.path()) else {
        return;
    };
    let before = traces(&lab);
    let web = ["deploy", "--archetype", "web-server", "--name"];
    let refused = |host: &Host<'_>, words: &[&str]| {
        until("a deployment is tried", || {
            let said = host.fails(&[&web[..], words].concat());
            (!said.contains("has not looked yet")).then_some(said)
        })
    };
    let host_with = |key: &str, value: &str| {
        let mut host = Host::with(Engine::Netns, &lab, &folder);
        host.set(key, value);
        host.up();
        host
    };
    let mut told = Vec::new();

    // A driver that the kernel does not have.
    if Path::new("/sys/module/ipvlan").exists() {
        decnet_testkit::skipped("this kernel has ipvlan");
    } else {
        let mut host = host_with("fleet-driver", "ipvlan");
        told.push((
            refused(&host, &["one"]),
            ["ipvlan", "choose another fleet-driver"],
        ));
        assert_eq!(traces(&lab), before, "something half-made is left");
        host.ok(&["teardown", "--all"]);
        host.down();
    }

    // Somebody who may not make namespaces.
    let mut host = Host::with(Engine::Netns, &lab, &folder);
    host.through(&["setpriv", "--bounding-set=-sys_admin"]);
    host.up();
    told.push((refused(&host, &["two"]), ["a network of its own", "as root"]));
    host.ok(&["teardown", "--all"]);
    host.down();

    // No tool to contain them with.
    let mut host = Host::with(Engine::Netns, &lab, &folder);
    host.through(&["env", "PATH=/nowhere"]);
    host.up();
    told.push((
        refused(&host, &["three"]),
        ["iptables-restore", "install the package"],
    ));
    host.ok(&["teardown", "--all"]);
    host.down();

    // An interface, and a way out, that are not there.
    for (key, value, words) in [
        ("fleet-interface", "lan7", ["no interface lan7", "there are: "]),
        (
            "fleet-gateway",
            "192.0.2.1",
            ["192.0.2.1", "outside 10.66.0.0/24"],
        ),
    ] {
        let mut host = host_with(key, value);
        told.push((refused(&host, &[key]), words));
        host.down();
    }

    // An address that another machine has, and one that it took since.
    let mut host = Host::with(Engine::Netns, &lab, &folder);
    host.up();
    let taken = until("it is known who is there", || {
        let said = refused(&host, &["five", "--ip", ATTACKER]);
        said.contains(ATTACKER).then_some(said)
    });
    told.push((taken, [ATTACKER, "is in use by another machine"]));
    decnet_lab::run(
        lab.command(Place::Attacker, "ip")
            .args(["addr", "add", "10.66.0.99/24", "dev", "eth0"]),
    )
    .unwrap();
    told.push((
        refused(&host, &["six", "--ip", "10.66.0.99"]),
        ["10.66.0.99", "in use by the machine"],
    ));
    host.ok(&["teardown", "--all"]);
    host.down();

    for (said, words) in told {
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
    assert_eq!(traces(&lab), before);
}
