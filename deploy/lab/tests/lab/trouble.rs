//! What cannot work is told with the way out, and leaves nothing half-made behind.

use decnet_lab::Place;

use crate::host::{Host, lab, until};

#[test]
fn what_cannot_be_deployed_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab("trouble", folder.path()) else {
        return;
    };
    let made = || {
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
    };

    // A driver that the kernel does not have: its network can be made, and no container started on it.
    if !std::path::Path::new("/sys/module/ipvlan").exists() {
        let mut host = Host::new(&lab, &folder);
        host.set("fleet-driver", "ipvlan");
        host.up();
        let told = until("a deployment is tried", || {
            let said = host.fails(&["deploy", "--archetype", "web-server", "--name", "one"]);
            (!said.contains("has not looked yet")).then_some(said)
        });
        assert!(told.contains("ipvlan") && told.contains("fleet-driver"), "{told}");
        assert_eq!(made(), "", "something half-made is left");
        host.ok(&["teardown", "--all"]);
        host.down();
    } else {
        println!("left out: this kernel has ipvlan");
    }

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
    // One that came since.
    let late = "10.66.0.99";
    decnet_lab::run(
        lab.command(Place::Attacker, "ip")
            .args(["addr", "add", "10.66.0.99/24", "dev", "eth0"]),
    )
    .unwrap();
    let said = host.fails(&[
        "deploy",
        "--archetype",
        "web-server",
        "--name",
        "three",
        "--ip",
        late,
    ]);
    assert!(
        said.contains(late) && said.contains("in use by the machine"),
        "{said}"
    );
    host.ok(&["teardown", "--all"]);
    until("nothing is left", || made().is_empty().then_some(()));

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

#[test]
fn a_daemon_that_is_not_there_is_told_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut lab, _turn)) = lab("away", folder.path()) else {
        return;
    };
    lab.end_daemon(nix::sys::signal::Signal::SIGTERM).unwrap();
    let mut host = Host::new(&lab, &folder);
    host.up();
    let told = until("the host says that Docker is away", || {
        let said = host.ok(&["worker", "list", "--json"]);
        said.contains("docker.sock").then_some(said)
    });
    assert!(told.contains("Is it installed and running"), "{told}");
    host.down();
}
