//! A scan from inside a decky: nobody answers it, while everybody answers the same scan from elsewhere, and visitors are answered
//! meanwhile. Where a decky may begin something, those answer whom it may reach.

use std::{
    collections::BTreeMap,
    process::{Output, Stdio},
    thread,
    time::Duration,
};

use decnet_lab::{ATTACKER, GATEWAY, HOST, Lab, METADATA, Place};

use crate::{
    host::Host,
    intruder::{Rights, from_inside},
    neighbours::{Neighbours, OF_ATTACKER, OF_GATEWAY, OF_GATEWAY_UDP, OF_HOST},
    visitor::said,
};

/// How everybody is scanned: few ports and few tries, so that it takes seconds where nobody answers.
const SCAN: [&str; 9] = [
    "-n",
    "-Pn",
    "-T4",
    "--max-retries",
    "1",
    "--host-timeout",
    "45s",
    "-oX",
    "-",
];
/// The ports, as nmap reads them.
const TCP: &str = "22,80,443,4222,8080,8081";
const BOTH: &str = "T:22,80,443,4222,8080,8081,U:53,67,123";
/// How many of each those are.
const HOW_MANY: (usize, usize) = (6, 3);

/// A way to scan: what it is called, nmap's words, and whether UDP is scanned, too.
struct Way {
    name: &'static str,
    words: &'static [&'static str],
    udp: bool,
}

/// As any program connects somewhere.
const BY_CONNECTING: Way = Way {
    name: "by connecting",
    words: &["--unprivileged", "-sT", "-p", TCP],
    udp: false,
};
/// By packets of its own, past the kernel's sockets.
const BY_PACKETS: Way = Way {
    name: "by packets",
    words: &["-sS", "-sU", "--send-ip", "-p", BOTH],
    udp: true,
};
/// By frames of its own, past the kernel's rules.
const BY_FRAMES: Way = Way {
    name: "by frames",
    words: &["-sS", "--send-eth", "-p", TCP],
    udp: false,
};

/// A machine, and what of it answers.
pub(crate) struct Target {
    ip: String,
    tcp: Vec<u16>,
    udp: Vec<u16>,
}

impl Target {
    /// A machine that answers on one TCP port at least.
    pub(crate) fn new(ip: &str, tcp: &[u16], udp: &[u16]) -> Self {
        Self {
            ip: ip.to_owned(),
            tcp: tcp.to_vec(),
            udp: udp.to_vec(),
        }
    }

    /// The machines of the lab that are no deckies, as [`Neighbours`](crate::neighbours::Neighbours) plays them.
    pub(crate) fn of_lab() -> Vec<Self> {
        vec![
            Self::new(HOST, &OF_HOST, &[]),
            Self::new(GATEWAY, &OF_GATEWAY, &OF_GATEWAY_UDP),
            Self::new(METADATA, &OF_GATEWAY, &OF_GATEWAY_UDP),
            Self::new(ATTACKER, &OF_ATTACKER, &[]),
        ]
    }

    /// Where from it is scanned to see that it answers: from another machine than itself.
    fn seen_from(&self) -> Place {
        if self.ip == ATTACKER {
            Place::Gateway
        } else {
            Place::Attacker
        }
    }
}

/// A port: address, protocol, number.
type Port = (String, String, u16);

/// What a scan saw of each port: its state, and why it is taken for that.
fn seen(scan: &Output) -> BTreeMap<Port, (String, String)> {
    let text = said(scan);
    let attribute = |of: &str, name: &str| -> String {
        let value = of.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest);
        value.split('"').next().unwrap_or_default().to_owned()
    };
    let mut seen = BTreeMap::new();
    for host in text.split("<host ").skip(1) {
        let ip = attribute(host, "addr");
        for port in host.split("<port ").skip(1) {
            let number = attribute(port, "portid").parse().unwrap();
            let state = (attribute(port, "state"), attribute(port, "reason"));
            seen.insert((ip.clone(), attribute(port, "protocol"), number), state);
        }
    }
    seen
}

fn words<'a>(way: &Way, targets: impl IntoIterator<Item = &'a Target>) -> Vec<String> {
    let ips = targets.into_iter().map(|target| target.ip.as_str());
    let all = ["nmap"].into_iter().chain(SCAN).chain(way.words.iter().copied());
    all.chain(ips).map(str::to_owned).collect()
}

/// See that what answers answers this scan: what nobody answers from inside is there to be answered.
fn is_answered_elsewhere(lab: &Lab, way: &Way, targets: &[Target]) {
    for place in [Place::Attacker, Place::Gateway] {
        let there: Vec<&Target> = targets.iter().filter(|t| t.seen_from() == place).collect();
        let words = words(way, there.iter().copied());
        let wanted = |target: &&Target| -> Vec<Port> {
            let tcp = target.tcp.iter().map(|port| ("tcp", *port));
            let udp = target.udp.iter().filter(|_| way.udp).map(|port| ("udp", *port));
            tcp.chain(udp)
                .map(|(protocol, port)| (target.ip.clone(), protocol.to_owned(), port))
                .collect()
        };
        let wanted: Vec<Port> = there.iter().flat_map(wanted).collect();
        let mut last = String::new();
        // A machine that is busy may be late with an answer: that is no reason to take it for silent.
        let all_answered = (0..3).any(|_| {
            let scan = lab
                .command(place, &words[0])
                .args(&words[1..])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let seen = seen(&scan);
            last = format!("{}{}", said(&scan), String::from_utf8_lossy(&scan.stderr));
            wanted
                .iter()
                .all(|port| seen.get(port).is_some_and(|(state, _)| state == "open"))
        });
        assert!(
            all_answered,
            "{}, from the {}: not all of {wanted:?} are open:\n{last}",
            way.name,
            place.as_str()
        );
    }
}

/// Whoever scans `targets` as root from the network of `decky` hears nothing; `visit` is a visit to it that must be answered, and is
/// made while it scans and after.
pub(crate) fn scanned(lab: &Lab, host: &Host<'_>, decky: &str, targets: &[Target], visit: impl Fn()) {
    for (way, rights) in [
        // As whoever has taken the decky over, who is root at most, and may do nothing.
        (BY_CONNECTING, Rights::OfDecky),
        (BY_FRAMES, Rights::OfDecky),
        // As somebody who has found a way to more: the rules hold by themselves.
        (BY_PACKETS, Rights::All),
    ] {
        is_answered_elsewhere(lab, &way, targets);
        let words = words(&way, targets);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut scan = from_inside(host, decky, rights, &words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        loop {
            visit();
            if scan.try_wait().unwrap().is_some() {
                break;
            }
            // A visitor, and no flood of them.
            thread::sleep(Duration::from_millis(200));
        }
        let scan = scan.wait_with_output().unwrap();
        let told = format!(
            "{} with {rights:?}, from inside {decky}:\n{}{}",
            way.name,
            said(&scan),
            String::from_utf8_lossy(&scan.stderr)
        );
        let seen = seen(&scan);
        let answered: Vec<_> = seen
            .iter()
            .filter(|(_, (_, reason))| reason != "no-response")
            .collect();
        assert!(answered.is_empty(), "{answered:?} answered a scan {told}");
        if way.name == BY_FRAMES.name {
            // It cannot even begin.
            assert!(!scan.status.success(), "frames could be sent {told}");
            continue;
        }
        assert!(scan.status.success(), "there was no scan {told}");
        let (tcp, udp) = HOW_MANY;
        let ports = targets.len() * (tcp + if way.udp { udp } else { 0 });
        assert_eq!(seen.len(), ports, "not everything was scanned {told}");
    }
    visit();
}

/// Of two deckies that may begin something, the one called `dns` reaches name servers and nothing else, and `allow` everybody.
pub(crate) fn let_out(lab: &Lab, host: &Host<'_>, dns: &str, allow: &str) {
    let neighbours = Neighbours::answering(lab);
    is_answered_elsewhere(lab, &BY_PACKETS, &Target::of_lab());
    let port = |ip: &str, protocol: &str, number| (ip.to_owned(), protocol.to_owned(), number);
    let name_server = port(GATEWAY, "udp", 53);
    let answered = answering(host, dns, &[&name_server]);
    let is_asked = |(_, protocol, number): &&Port| protocol == "udp" && *number == 53;
    let others: Vec<&Port> = answered.keys().filter(|port| !is_asked(port)).collect();
    assert!(
        others.is_empty(),
        "{dns} may ask name servers, and is answered by {others:?}"
    );
    let site = port(GATEWAY, "tcp", OF_GATEWAY[0]);
    let other = port(ATTACKER, "tcp", OF_ATTACKER[0]);
    answering(host, allow, &[&site, &other, &name_server]);
    drop(neighbours);
}

/// Which ports of the lab answer in any way who scans it from the network of `decky`, past the kernel's sockets and with every
/// right, and their states; `open` have to be open.
fn answering(host: &Host<'_>, decky: &str, open: &[&Port]) -> BTreeMap<Port, String> {
    let words = words(&BY_PACKETS, &Target::of_lab());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut answered = BTreeMap::new();
    let mut last = String::new();
    // As elsewhere: late is not silent.
    let all_open = (0..3).any(|_| {
        let scan = from_inside(host, decky, Rights::All, &words).output().unwrap();
        last = format!("{}{}", said(&scan), String::from_utf8_lossy(&scan.stderr));
        assert!(
            scan.status.success(),
            "there was no scan from inside {decky}:\n{last}"
        );
        for (port, (state, reason)) in seen(&scan) {
            if reason != "no-response" {
                answered.insert(port, state);
            }
        }
        let is_open = |port: &&Port| answered.get(*port).is_some_and(|state| state == "open");
        open.iter().all(is_open)
    });
    assert!(
        all_open,
        "from inside {decky}, not all of {open:?} are open:\n{last}"
    );
    answered
}
