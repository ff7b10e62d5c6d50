//! The network stack of the system that a decky claims to be, as its kernel and its neighbours see it.

use std::collections::BTreeSet;

use decnet_lab::Lab;
use serde_json::Value;

use crate::{
    host::Host,
    intruder::{Rights, from_inside},
    visitor::{attack, said, text},
};

/// What is set, below `/proc/sys/net/ipv4`. The first is what a ping shows.
const KEYS: [&str; 9] = [
    "ip_default_ttl",
    "tcp_timestamps",
    "tcp_sack",
    "tcp_window_scaling",
    "tcp_ecn",
    "ip_no_pmtu_disc",
    "icmp_ratelimit",
    "icmp_ratemask",
    "tcp_rmem",
];

/// Systems, and what each has there: what `sysctls` of app/fleet/src/engine/stack.rs says of them.
const STACKS: [(&str, [&str; 9]); 3] = [
    (
        "linux",
        [
            "64",
            "1",
            "1",
            "1",
            "2",
            "0",
            "1000",
            "6168",
            "4096 131072 6291456",
        ],
    ),
    (
        "windows_server",
        ["128", "0", "1", "1", "0", "0", "0", "0", "4096 65536 8388608"],
    ),
    (
        "embedded",
        ["64", "0", "1", "0", "0", "1", "1000", "6168", "4096 16384 65536"],
    ),
];

/// Every decky answers a ping like its system, and the first of each system has all that such a stack is told.
pub(crate) fn behaves_as_claimed(lab: &Lab, host: &Host<'_>, fleet: &[Value]) {
    let mut looked_at = BTreeSet::new();
    for decky in fleet {
        let (name, os) = (text(decky, "name"), text(decky, "os"));
        let stack = STACKS.iter().find(|(system, _)| *system == os);
        let (_, wanted) = stack.unwrap_or_else(|| panic!("nobody says how {os} behaves: {decky}"));
        let answer = said(&attack(lab, &["ping", "-c", "1", "-W", "5", &text(decky, "ip")]));
        let ttl = format!("ttl={} ", wanted[0]);
        assert!(answer.contains(&ttl), "{name}, {os}, is not of {ttl}: {answer}");
        if !looked_at.insert(os.clone()) {
            continue;
        }
        let files = KEYS.map(|key| format!("/proc/sys/net/ipv4/{key}"));
        let words: Vec<&str> = ["cat"]
            .into_iter()
            .chain(files.iter().map(String::as_str))
            .collect();
        let shown = from_inside(host, &name, Rights::All, &words).output().unwrap();
        let values = said(&shown);
        let spaced = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let values: Vec<String> = values.lines().map(spaced).collect();
        assert_eq!(values, wanted, "{KEYS:?} of {name}, {os}: {shown:?}");
    }
    assert!(looked_at.len() > 1, "there is one system only: {looked_at:?}");
}
