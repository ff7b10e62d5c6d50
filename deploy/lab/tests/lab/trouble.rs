//! What cannot work is told with the way out, and leaves nothing half-made behind.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use decnet_lab::{Docker, GATEWAY, HOST, INTERFACE, Lab, Place};
use nix::sys::signal::Signal;

use crate::{
    host::{Host, lab, lab_with, until, until_seen},
    visitor::{ailing, is_answer, machines, said, visit},
};

/// Everything that Docker has.
fn made(lab: &Lab) -> String {
    let mut all = String::new();
    for words in [
        ["ps", "-aq"].as_slice(),
        &["network", "ls", "-q", "--filter", "type=custom"],
        &["images", "-aq"],
    ] {
        let output = lab.docker().args(words).output().unwrap();
        all.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    all
}

fn mounted(how: &[&str], place: &Path) {
    decnet_lab::run(Command::new("mount").args(how).arg(place)).unwrap();
}

/// What a host with these settings says to who deploys. Nothing is left of it.
fn refuses(lab: &Lab, settings: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::new(lab, &folder);
    for (key, value) in settings {
        host.set(key, value);
    }
    refused(lab, &mut host)
}

/// What this host says to who deploys. Nothing is left of it.
fn refused(lab: &Lab, host: &mut Host<'_>) -> String {
    host.up();
    let told = until("a deployment is tried", || {
        let said = host.fails(&["deploy", "--archetype", "web-server", "--name", "one"]);
        (!said.contains("has not looked yet")).then_some(said)
    });
    assert_eq!(made(lab), "", "something half-made is left after: {told}");
    for decky in host.fleet() {
        assert_ne!(decky["state"], "running", "{told}");
    }
    host.down();
    told
}

#[test]
fn what_cannot_be_deployed_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab("trouble", folder.path()) else {
        return;
    };

    // A driver that the kernel does not have: its network can be made, and no container started on it.
    if Path::new("/sys/module/ipvlan").exists() {
        decnet_testkit::skipped("this kernel has ipvlan");
    } else {
        let told = refuses(&lab, &[("fleet-driver", "ipvlan")]);
        assert!(told.contains("ipvlan") && told.contains("fleet-driver"), "{told}");
    }

    // An interface that is not there, and a way out that is elsewhere.
    let told = refuses(&lab, &[("fleet-interface", "eth7")]);
    assert!(
        told.contains("no interface eth7") && told.contains("lan0"),
        "{told}"
    );
    let told = refuses(&lab, &[("fleet-gateway", "192.0.2.1")]);
    assert!(
        told.contains("192.0.2.1") && told.contains("outside 10.66.0.0/24"),
        "{told}"
    );

    // A program that no container can run, and one that is not there.
    let told = refuses(&lab, &[("decoy-program", "/bin/ls")]);
    assert!(
        told.contains("/bin/ls") && told.contains("linked dynamically"),
        "{told}"
    );
    let script = folder.path().join("decoy");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let told = refuses(&lab, &[("decoy-program", &script.display().to_string())]);
    assert!(told.contains(&script.display().to_string()), "{told}");
    let told = refuses(&lab, &[("decoy-program", "/nowhere/decoy")]);
    assert!(
        told.contains("/nowhere/decoy") && told.contains("No such file"),
        "{told}"
    );

    // A host that may not speak to the wire.
    let bare = tempfile::tempdir().unwrap();
    let mut host = Host::new(&lab, &bare);
    host.through(&["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]);
    let told = refused(&lab, &mut host);
    assert!(told.contains("CAP_NET_RAW"), "{told}");

    // One that may not enter the networks of its deckies.
    let bare = tempfile::tempdir().unwrap();
    let mut host = Host::new(&lab, &bare);
    host.through(&["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]);
    let told = refused(&lab, &mut host);
    assert!(told.contains("CAP_SYS_ADMIN") && told.contains("root"), "{told}");

    // An interface that a bridge has.
    let ip = |words: &[&str]| {
        decnet_lab::run(lab.command(Place::Host, "ip").args(words)).unwrap();
    };
    ip(&["link", "add", "part0", "type", "veth", "peer", "name", "part1"]);
    ip(&["link", "add", "whole0", "type", "bridge"]);
    ip(&["link", "set", "part0", "master", "whole0", "up"]);
    ip(&["addr", "add", "192.0.2.1/24", "dev", "part0"]);
    let told = refuses(&lab, &[("fleet-interface", "part0")]);
    assert!(
        told.contains("part of whole0") && told.contains("fleet-interface"),
        "{told}"
    );
    ip(&["link", "del", "whole0"]);
    ip(&["link", "del", "part0"]);

    // An address that another machine has.
    let mut host = Host::new(&lab, &folder);
    host.up();
    let taken = until("it is known who is there", || {
        let said = host.fails(&[
            "deploy",
            "--archetype",
            "web-server",
            "--name",
            "two",
            "--ip",
            decnet_lab::ATTACKER,
        ]);
        (!said.contains("has not looked yet")).then_some(said)
    });
    assert!(taken.contains("is in use by another machine"), "{taken}");
    // The hardware address of one, which would take its visitors, and the way out of everybody.
    for (place, interface, ip) in [(Place::Gateway, "eth0", GATEWAY), (Place::Host, INTERFACE, HOST)] {
        let shown = lab
            .command(place, "ip")
            .args(["-o", "link", "show", interface])
            .output()
            .unwrap();
        let shown = said(&shown);
        let (_, mac) = shown.split_once("link/ether ").unwrap();
        let mac = mac.split_whitespace().next().unwrap();
        let told = host.fails(&[
            "deploy",
            "--archetype",
            "web-server",
            "--name",
            "two",
            "--mac",
            mac,
        ]);
        assert!(
            told.contains(mac) && told.contains(ip) && told.contains("another machine"),
            "{told}"
        );
    }
    // One that came since: the first that would be given out. Another one is.
    let attacker = |words: &[&str]| {
        decnet_lab::run(lab.command(Place::Attacker, "ip").args(words)).unwrap();
    };
    attacker(&["addr", "add", "10.66.0.2/24", "dev", "eth0"]);
    host.ok(&["deploy", "--archetype", "web-server", "--name", "three"]);
    assert_eq!(host.fleet()[0]["ip"], "10.66.0.3");
    // One that came since, and was chosen: nobody knows better.
    let late = "10.66.0.5";
    attacker(&["addr", "add", "10.66.0.5/24", "dev", "eth0"]);
    let said = host.fails(&[
        "deploy",
        "--archetype",
        "web-server",
        "--name",
        "four",
        "--ip",
        late,
    ]);
    assert!(
        said.contains(late) && said.contains("in use by the machine"),
        "{said}"
    );
    leave_a_trial(&lab, &host);
    attacker(&["addr", "del", "10.66.0.2/24", "dev", "eth0"]);
    attacker(&["addr", "del", "10.66.0.5/24", "dev", "eth0"]);
    host.ok(&["teardown", "--all"]);
    until("nothing is left", || made(&lab).is_empty().then_some(()));

    // No address is left.
    host.down();
    let mut host = Host::new(&lab, &folder);
    host.set("fleet-network", "10.66.0.64/30");
    host.up();
    let said = until("the smaller network is known", || {
        let said = host.fails(&["deploy", "--archetype", "web-server", "--deckies", "3"]);
        said.contains("10.66.0.64/30").then_some(said)
    });
    assert!(said.contains("is free"), "{said}");
    host.down();
}

/// What a mutator leaves that is killed while it tries whether a container can be started.
fn leave_a_trial(lab: &Lab, host: &Host<'_>) {
    let id = fs::read_to_string(host.data.join("deckies/.installation")).unwrap();
    let images = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
    let image = said(&lab.docker().args(images).output().unwrap());
    let name = format!("probe-{}", id.chars().take(6).collect::<String>());
    let label = format!("svc.installation={id}");
    let trial = [
        "create",
        "--name",
        &name,
        "--label",
        &label,
        image.trim(),
        "--help",
    ];
    decnet_lab::run(lab.docker().args(trial)).unwrap();
}

#[test]
fn a_daemon_that_is_not_there_is_told_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab("away", folder.path()) else {
        return;
    };
    lab.end_daemon(Signal::SIGTERM).unwrap();
    let mut host = Host::new(&lab, &folder);
    host.up();
    let told = until("the host says that Docker is away", || {
        let said = host.ok(&["worker", "list", "--json"]);
        said.contains("docker.sock").then_some(said)
    });
    assert!(told.contains("Is it installed and running"), "{told}");

    // What is ordered meanwhile is done once it is there.
    until_seen("a decky is ordered", || {
        let tried = host.run(&[
            "deploy",
            "--archetype",
            "web-server",
            "--name",
            "one",
            "--no-wait",
        ]);
        if tried.status.success() {
            Ok(())
        } else {
            Err(format!("{tried:?}"))
        }
    });
    assert_eq!(ailing(&host.fleet()).len(), 1);
    lab.start_daemon().unwrap();
    let (first, machine) = comes("it is deployed once the daemon is there", &lab, &host, "");

    // Restarted in order under the host, and killed while that is down.
    lab.end_daemon(Signal::SIGTERM).unwrap();
    until("the host says that Docker is gone", || {
        let said = host.ok(&["worker", "list", "--json"]);
        said.contains("is dockerd running? systemctl start docker")
            .then_some(())
    });
    lab.start_daemon().unwrap();
    let (second, again) = comes("it is back after the daemon was restarted", &lab, &host, &first);
    assert_eq!(again, machine);
    host.down();
    lab.end_daemon(Signal::SIGKILL).unwrap();
    lab.start_daemon().unwrap();
    host.up();
    let (third, again) = comes("it is back after host and daemon", &lab, &host, &second);
    assert_eq!(again, machine);

    // A host of another engine can neither see nor end it, and does not say so.
    host.down();
    host.set("engine", "local");
    host.up();
    let told = host.fails(&["teardown", "--all"]);
    assert!(told.contains("start the host with engine=docker"), "{told}");
    let runs = || said(&lab.docker().args(["ps", "-q"]).output().unwrap());
    assert_eq!(runs(), third);
    assert_eq!(host.fleet()[0]["state"], "stopping");
    host.down();
    host.set("engine", "docker");
    host.up();
    until("it is taken down once that is done", || {
        (runs().is_empty() && host.fleet().is_empty()).then_some(())
    });
    host.down();
}

/// Wait until the one decky, which has a web server, runs in another container than `before` and answers; gives its container, and
/// what it is on the network.
fn comes(
    what: &str,
    lab: &Lab,
    host: &Host<'_>,
    before: &str,
) -> (String, BTreeMap<String, (String, String)>) {
    until_seen(what, || {
        let runs = said(&lab.docker().args(["ps", "-q"]).output().unwrap());
        let fleet = host.fleet();
        let ailing = ailing(&fleet);
        if runs.lines().count() != 1 || runs == before || fleet.len() != 1 || !ailing.is_empty() {
            return Err(format!("{runs:?} after {before:?}, {ailing:?}"));
        }
        let seen = visit(lab, &fleet[0], "http");
        if is_answer("http", &seen) {
            Ok((runs, machines(&fleet)))
        } else {
            Err(seen)
        }
    })
}

#[test]
fn a_daemon_that_is_too_old_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab_with("old", folder.path(), Docker::too_old) else {
        return;
    };
    let told = refuses(&lab, &[]);
    assert!(
        told.contains("speaks API 1.4") && told.contains("Docker 25 or newer"),
        "{told}"
    );
}

#[test]
fn a_full_disk_under_docker_is_told_and_nothing_half_made_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("docker/data");
    fs::create_dir_all(&data).unwrap();
    if nix::unistd::geteuid().is_root() {
        // The lab unmounts what is below its folder. The daemon has room for what it needs itself, and for no image.
        mounted(&["-t", "tmpfs", "-o", "size=1m", "none"], &data);
    }
    let Some((lab, _turn)) = lab("full", folder.path()) else {
        return;
    };
    let told = refuses(&lab, &[]);
    assert!(
        told.contains("no space left") && told.contains("docker system prune"),
        "{told}"
    );

    // With room it goes on by itself: nobody has to start anything again.
    let mut host = Host::new(&lab, &folder);
    host.up();
    until("a deployment is refused for want of room", || {
        let said = host.fails(&["deploy", "--archetype", "web-server", "--name", "two"]);
        said.contains("no space left").then_some(())
    });
    mounted(&["-o", "remount,size=256m"], &data);
    until("it runs once there is room", || {
        host.fleet()
            .iter()
            .all(|decky| decky["state"] == "running")
            .then_some(())
    });
    host.ok(&["teardown", "--all"]);
    host.down();
}
