//! That everybody learns where a decky is that was started: whoever took another machine for it would not find it.

use decnet_lab::Lab;

use crate::{
    host::until_seen,
    visitor::{attack, said},
};

/// Another machine, which is not there.
const OTHER: &str = "02:00:00:00:00:01";

/// Where the attacker believes `ip` to be.
fn believed(lab: &Lab, ip: &str) -> String {
    said(&attack(lab, &["ip", "neigh", "show", "to", ip, "dev", "eth0"]))
}

/// Let the attacker believe that another machine has `ip`, and be sure of it.
pub(crate) fn mistaken(lab: &Lab, ip: &str) {
    let told = attack(
        lab,
        &[
            "ip",
            "neigh",
            "replace",
            ip,
            "lladdr",
            OTHER,
            "dev",
            "eth0",
            "nud",
            "reachable",
        ],
    );
    let believed = believed(lab, ip);
    assert!(believed.contains(OTHER), "{believed}: {told:?}");
}

/// Wait until the attacker was told that `ip` is at `mac`. It asks nobody: who had been answered would hold it for reachable, where
/// one who was only told calls it stale (`arp_process` of Linux).
pub(crate) fn announced(lab: &Lab, ip: &str, mac: &str) {
    until_seen(&format!("the attacker is told that {ip} is at {mac}"), || {
        let believed = believed(lab, ip);
        let told = believed.contains(&format!("lladdr {mac} STALE"));
        told.then_some(()).ok_or(believed)
    });
}
