//! Other machines on the host's own interface, as virtual machines and other programs put them there. The kernel keeps the host from
//! hearing them; deckies stand among them.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use decnet_lab::{INTERFACE, Lab, Place};

use crate::host::{Engine, Host, lab_without_docker, until};

/// A machine that answers as long as this value lives.
struct Sibling(Child);

impl Sibling {
    fn on_the_interface(lab: &Lab) -> Self {
        let child = Command::new("unshare")
            .args(["--net", "sleep", "3600"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let sibling = Self(child);
        let (own, pid) = (fs::read_link("/proc/self/ns/net").unwrap(), sibling.0.id());
        until("it has a network of its own", || {
            let theirs = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
            (theirs != own).then_some(())
        });
        let made = [
            "link",
            "add",
            "link",
            INTERFACE,
            "name",
            "eth0",
            "netns",
            &pid.to_string(),
            "type",
            "macvlan",
            "mode",
            "bridge",
        ];
        decnet_lab::run(lab.command(Place::Host, "ip").args(made)).unwrap();
        sibling.ip(&["link", "set", "eth0", "up"]);
        sibling
    }

    fn ip(&self, words: &[&str]) {
        let network = format!("--net=/proc/{}/ns/net", self.0.id());
        decnet_lab::run(Command::new("nsenter").args([&network, "--", "ip"]).args(words)).unwrap();
    }

    fn takes(&self, address: &str) {
        self.ip(&["addr", "add", &format!("{address}/24"), "dev", "eth0"]);
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn no_decky_takes_the_address_of_another_machine_on_the_hosts_own_interface() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab_without_docker("siblings", folder.path()) else {
        return;
    };
    let sibling = Sibling::on_the_interface(&lab);
    sibling.takes("10.66.0.2");
    let mut host = Host::with(Engine::Netns, &lab, &folder);
    host.up();
    until("the mutator says where deckies can stand", || {
        let tried = host.run(&["deploy", "--archetype", "web-server", "--name", "one"]);
        tried.status.success().then_some(())
    });
    let address = |name: &str| {
        let fleet = host.fleet();
        let decky = fleet.iter().find(|decky| decky["name"] == name).unwrap();
        assert_eq!(decky["state"], "running", "{decky}");
        decky["ip"].as_str().unwrap().to_owned()
    };
    assert_eq!(address("one"), "10.66.0.3");

    // One that came since: the decky goes elsewhere, or says so where it was told to stand there.
    sibling.takes("10.66.0.4");
    host.ok(&["deploy", "--archetype", "web-server", "--name", "two"]);
    assert_eq!(address("two"), "10.66.0.5");
    sibling.takes("10.66.0.6");
    let said = host.fails(&[
        "deploy",
        "--archetype",
        "web-server",
        "--name",
        "three",
        "--ip",
        "10.66.0.6",
    ]);
    assert!(said.contains("10.66.0.6 is in use by the machine"), "{said}");
    // Deckies are no strangers to each other: one that is started anew finds its own address free.
    host.ok(&["teardown", "three"]);
    host.ok(&["redeploy", "one"]);
    assert_eq!(address("one"), "10.66.0.3");
    host.ok(&["teardown", "--all"]);
    host.down();
}
