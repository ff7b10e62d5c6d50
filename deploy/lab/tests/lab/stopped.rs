//! A decky that an operator stops and starts again, as another machine of the network sees it.

use decnet_lab::Lab;

use crate::{
    host::{Host, until},
    netns::is_there,
    visitor::{attack, machines, said, text},
};

/// The public key by which the ssh server at `ip` is known.
fn host_key(lab: &Lab, ip: &str) -> Option<String> {
    let scan = said(&attack(lab, &["ssh-keyscan", "-T", "10", "-t", "ed25519", ip]));
    scan.split_whitespace().nth(2).map(str::to_owned)
}

/// Stop the decky called `name`, which has an ssh server: it is gone from the network, also for another mutator, until it is
/// started as the same machine.
pub(crate) fn stopped_and_started(lab: &Lab, host: &Host<'_>, name: &str) {
    let known = machines(&host.fleet());
    let (ip, _) = &known[name];
    let key = until("its host key is seen", || host_key(lab, ip));
    host.ok(&["stop", name]);
    let is_gone = || {
        until("nobody answers for its address", || {
            (!is_there(lab, ip)).then_some(())
        });
        let fleet = host.fleet();
        let decky = fleet.iter().find(|d| text(d, "name") == name).unwrap();
        assert_eq!(decky["state"], "stopped", "{decky}");
    };
    is_gone();

    host.ok(&["worker", "stop", "mutator"]);
    until("its mutator has ended", || {
        host.pids("decnet-mutator").is_empty().then_some(())
    });
    until("another one is started", || {
        let tried = host.run(&["worker", "start", "mutator"]);
        tried.status.success().then_some(())
    });
    // What is ordered already is done as soon as that one has looked.
    host.ok(&["stop", name]);
    until("the others run", || {
        let fleet = host.fleet();
        let rest = fleet.iter().filter(|d| text(d, "name") != name);
        rest.map(|d| &d["state"])
            .all(|state| state == "running")
            .then_some(())
    });
    is_gone();

    host.ok(&["start", name]);
    let again = until("its host key is seen again", || host_key(lab, ip));
    assert_eq!(again, key);
    assert_eq!(machines(&host.fleet()), known);
}
