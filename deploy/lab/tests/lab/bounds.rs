//! What Docker was told of a container of ours: how little it may do and take, and how to ask whether it is well.

use std::process::Stdio;

use decnet_lab::Lab;
use serde_json::Value;

use crate::visitor::text;

/// The most that one may take: bytes, billionths of a processor, processes and threads.
const MEMORY: i64 = 256 << 20;
const NANO_CPUS: i64 = 1_000_000_000;
const PIDS: i64 = 128;

fn inspected(lab: &Lab, container: &str) -> Value {
    let shown = lab.docker().args(["inspect", container]).output().unwrap();
    let all: Value = serde_json::from_slice(&shown.stdout).unwrap_or_else(|e| panic!("{e}: {shown:?}"));
    all[0].clone()
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// The container may do next to nothing, whatever runs in it, and there is a bound on everything that it takes.
pub(crate) fn bounded(lab: &Lab, container: &str) {
    let seen = inspected(lab, container);
    let host = &seen["HostConfig"];
    assert_eq!(host["ReadonlyRootfs"], true, "{host}");
    assert_eq!(host["Privileged"], false, "{host}");
    assert_eq!(words(&host["CapDrop"]), ["ALL"], "{host}");
    let added = words(&host["CapAdd"]);
    let low_ports = |capability: &&str| capability.trim_start_matches("CAP_") == "NET_BIND_SERVICE";
    assert!(added.iter().all(low_ports), "{added:?}");
    // And not that it goes without seccomp.
    assert_eq!(words(&host["SecurityOpt"]), ["no-new-privileges"], "{host}");
    for (what, most) in [("Memory", MEMORY), ("NanoCpus", NANO_CPUS), ("PidsLimit", PIDS)] {
        let bound = host[what].as_i64().unwrap_or_default();
        assert!((1..=most).contains(&bound), "{what} is {bound}: {host}");
    }
    assert_eq!(host["MemorySwap"], host["Memory"], "{host}");
    let log = &host["LogConfig"];
    assert_eq!(log["Type"], "json-file", "{log}");
    assert_eq!(log["Config"]["max-size"], "256k", "{log}");
    assert_eq!(log["Config"]["max-file"], "2", "{log}");
    // Docker would start it where it is not contained.
    let restarted = text(&host["RestartPolicy"], "Name");
    assert!(["", "no"].contains(&restarted.as_str()), "{host}");
    for namespace in ["NetworkMode", "PidMode", "IpcMode", "UTSMode", "CgroupnsMode"] {
        assert_ne!(host[namespace], "host", "{namespace} {host}");
    }
    // Neither the daemon's socket nor a folder that it is in.
    let mounts = &seen["Mounts"];
    for mount in mounts.as_array().unwrap() {
        let source = text(mount, "Source");
        let leads_to_docker = !source.is_empty() && lab.socket().starts_with(&source);
        assert!(!leads_to_docker && !source.ends_with(".sock"), "{mounts}");
        assert!(!text(mount, "Destination").ends_with(".sock"), "{mounts}");
    }
}

/// The command by which Docker asks whether a decky is well can be run in its container, and tells one that is from one that is
/// not.
pub(crate) fn tells_its_health(lab: &Lab, container: &str) {
    let seen = inspected(lab, container);
    let check = &seen["Config"]["Healthcheck"];
    let test = words(&check["Test"]);
    let ["CMD", command @ .., pulse] = test.as_slice() else {
        panic!("there is no health check: {check}");
    };
    let ask = |pulse: &str| {
        lab.docker()
            .args(["exec", container])
            .args(command)
            .arg(pulse)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let well = ask(pulse);
    assert!(well.status.success(), "{check}: {well:?}");
    // One that gave none.
    let without = ask("/run/nothing");
    assert_eq!(without.status.code(), Some(1), "{check}: {without:?}");
    assert_ne!(
        seen["State"]["Health"]["Status"], "unhealthy",
        "{}",
        seen["State"]
    );
}
