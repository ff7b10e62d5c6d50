//! An intruder who has taken a decky over.

use std::process::{Command, Output, Stdio};

use decnet_lab::{ATTACKER, ATTACKER_V6, GATEWAY, GATEWAY_V6, HOST, Lab, METADATA, Place, speaks_v6};
use serde_json::Value;

use crate::{
    host::{Host, until},
    neighbours::{Neighbours, OF_ATTACKER, OF_GATEWAY, OF_HOST, of_the_link},
    scan::{Target, scanned},
    visitor::{attack, is_answer, said, text, visit},
};

/// What somebody in a decky's network may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// What a decky's program has: none, even as root.
    OfDecky,
    /// What root of the host has.
    All,
}

/// `words` as root in a decky's network.
pub(crate) fn from_inside(host: &Host<'_>, decky: &str, rights: Rights, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg("--target")
        .arg(host.pid_of(decky).to_string())
        .args(["--net", "--"]);
    if rights == Rights::OfDecky {
        command.args([
            "setpriv",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--ambient-caps=-all",
            "--no-new-privs",
        ]);
    }
    command.args(words).stdin(Stdio::null());
    command
}

/// Try `words` from inside `decky`, by either right, after they did what they should in `place`: what makes them succeed is there.
/// `is_answered` judges what a try gave.
fn no_answer(
    lab: &Lab,
    host: &Host<'_>,
    (decky, place): (&str, Place),
    words: &[&str],
    is_answered: impl Fn(&Output) -> bool,
) {
    let mut elsewhere = None;
    let answered = (0..3).any(|_| {
        let tried = lab
            .command(place, words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let answered = is_answered(&tried);
        elsewhere = Some(tried);
        answered
    });
    assert!(
        answered,
        "{words:?} is not answered in the {}, where it should be: {elsewhere:?}",
        place.as_str()
    );
    for rights in [Rights::OfDecky, Rights::All] {
        let tried = from_inside(host, decky, rights, words).output().unwrap();
        assert!(
            !is_answered(&tried),
            "{words:?} is answered from inside {decky}, with {rights:?}: {tried:?}"
        );
    }
}

/// Whether the decky reaches the gateway, by whatever right.
pub(crate) fn reaches_gateway(lab: &Lab, host: &Host<'_>, decky: &str) -> bool {
    let ping = ["ping", "-c", "1", "-W", "1", GATEWAY];
    let here = attack(lab, &ping);
    assert!(here.status.success(), "the gateway answers nobody: {here:?}");
    let tried = from_inside(host, decky, Rights::All, &ping).output().unwrap();
    tried.status.success()
}

/// Whoever is root in a decky's network gets no answer from anybody, and visitors still do.
pub(crate) fn contained(lab: &Lab, host: &Host<'_>, fleet: &[Value]) {
    const DECKY: &str = "srv-01";
    // Everybody answers: what would be heard of is there to be heard.
    let neighbours = Neighbours::answering(lab);
    let decky = |name: &str| fleet.iter().find(|d| text(d, "name") == name).unwrap();
    let mut targets = Target::of_lab();
    targets.push(Target::new(&text(decky("web-02"), "ip"), &[80], &[]));
    scanned(lab, host, DECKY, &targets, || {
        let seen = visit(lab, decky(DECKY), "ssh");
        assert!(is_answer("ssh", &seen), "{seen}");
    });

    let from = |place| (DECKY, place);
    let succeeds = |tried: &Output| tried.status.success();
    // The server of the host listens on its loopback interface, which is no other's.
    let api = ["nc", "-z", "-w", "1", "127.0.0.1", "8080"];
    no_answer(lab, host, from(Place::Host), &api, succeeds);
    let ping = ["ping", "-c", "1", "-W", "1", GATEWAY];
    no_answer(lab, host, from(Place::Attacker), &ping, succeeds);
    // What is the address of example.org?
    for resolver in [GATEWAY, METADATA] {
        let ask = ask(resolver);
        no_answer(lab, host, from(Place::Attacker), &["sh", "-c", &ask], |tried| {
            said(tried).trim() != "0"
        });
    }
    // Docker puts one into every container's network. Nobody else has it to be asked.
    for rights in [Rights::OfDecky, Rights::All] {
        let asked = from_inside(host, DECKY, rights, &["sh", "-c", &ask("127.0.0.11")])
            .output()
            .unwrap();
        assert_eq!(
            said(&asked).trim(),
            "0",
            "the daemon's resolver answered: {asked:?}"
        );
    }
    resets_carry_nothing(host, DECKY);
    if speaks_v6() {
        no_answer_by_v6(lab, host, DECKY);
    } else {
        decnet_testkit::skipped("this kernel speaks no IPv6");
    }
    drop(neighbours);
}

/// A question for an address over UDP; prints how many bytes came back.
fn ask(resolver: &str) -> String {
    ask_for(resolver, "example.org", 1)
}

/// A question for a record of `kind` of `name` (RFC 1035 section 4.1) over UDP; prints how many bytes came back.
fn ask_for(resolver: &str, name: &str, kind: u8) -> String {
    let labels = name
        .split('.')
        .map(|label| format!("\\{:03o}{label}", label.len()));
    let labels: String = labels.collect();
    format!(
        "printf '\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0{labels}\\0\\0\\{kind:03o}\\0\\1' \
         | nc -u -w 1 {resolver} 53 | wc -c"
    )
}

/// Nobody in the network of `decky` is told by Docker's resolver which other deckies of `fleet` there are, by name or by address.
pub(crate) fn tells_no_names(host: &Host<'_>, decky: &str, fleet: &[Value]) {
    /// Records of an address, and of the name at one.
    const OF_NAME: u8 = 1;
    const OF_ADDRESS: u8 = 12;
    let other = fleet.iter().find(|d| text(d, "name") == "web-02").unwrap();
    let ip = text(other, "ip");
    let backwards: Vec<&str> = ip.rsplit('.').collect();
    for (name, kind) in [
        (text(other, "hostname"), OF_NAME),
        (text(other, "name"), OF_NAME),
        (format!("{}.in-addr.arpa", backwards.join(".")), OF_ADDRESS),
    ] {
        for rights in [Rights::OfDecky, Rights::All] {
            let asked = ask_for("127.0.0.11", &name, kind);
            let asked = from_inside(host, decky, rights, &["sh", "-c", &asked])
                .output()
                .unwrap();
            assert_eq!(said(&asked).trim(), "0", "{decky} was told of {name}: {asked:?}");
        }
    }
}

/// What lists the neighbours of `decky` does not say that its host is one which nobody else has.
pub(crate) fn host_is_no_neighbour(host: &Host<'_>, decky: &str) {
    for words in [["cat", "/proc/net/arp"], ["ip", "neigh"]] {
        let listed = said(
            &from_inside(host, decky, Rights::OfDecky, &words)
                .output()
                .unwrap(),
        );
        let fixed = |line: &&str| {
            let mut fields = line.split_whitespace();
            fields.next() == Some(HOST) || line.contains("PERMANENT") || fields.any(|field| field == "0x6")
        };
        let told: Vec<&str> = listed.lines().filter(fixed).collect();
        assert!(told.is_empty(), "{words:?} in {decky}: {told:?}");
    }
}

/// A decky whose rules somebody takes away is contained again without being made anew.
pub(crate) fn contained_again(lab: &Lab, host: &Host<'_>, decky: &str) {
    let pid = host.pid_of(decky);
    for words in [
        ["iptables", "-P", "OUTPUT", "ACCEPT"].as_slice(),
        &["iptables", "-F", "OUTPUT"],
    ] {
        decnet_lab::run(&mut from_inside(host, decky, Rights::All, words)).unwrap();
    }
    assert!(
        reaches_gateway(lab, host, decky),
        "it was contained by something else"
    );
    until("it is contained again", || {
        (!reaches_gateway(lab, host, decky)).then_some(())
    });
    assert_eq!(host.pid_of(decky), pid, "{decky} was made anew");
}

/// Resets leave a decky as long as they are nothing else: what they carried would get out.
fn resets_carry_nothing(host: &Host<'_>, decky: &str) {
    let left = || -> u64 {
        let listed = ["iptables", "-nvxL", "OUTPUT"];
        let listed = said(&from_inside(host, decky, Rights::All, &listed).output().unwrap());
        let line = listed.lines().find(|line| line.contains("length 40")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let send = |more: &[&str]| {
        let port = OF_ATTACKER[0].to_string();
        let reset = [
            "nmap",
            "-n",
            "-Pn",
            "-sS",
            "--send-ip",
            "--scanflags",
            "RST",
            "--max-retries",
            "0",
        ];
        let words: Vec<&str> = reset
            .into_iter()
            .chain(["-p", &port])
            .chain(more.iter().copied())
            .collect();
        let words: Vec<&str> = words.into_iter().chain([ATTACKER]).collect();
        let sent = from_inside(host, decky, Rights::All, &words).output().unwrap();
        assert!(sent.status.success(), "{sent:?}");
    };
    let before = left();
    send(&["--data-length", "13"]);
    assert_eq!(left(), before, "a reset left {decky} with what it carried");
    send(&[]);
    assert_ne!(left(), before, "no reset leaves {decky} at all");
}

/// Nobody is reached by addresses of the link or of a network, or by calling all.
fn no_answer_by_v6(lab: &Lab, host: &Host<'_>, decky: &str) {
    let succeeds = |tried: &Output| tried.status.success();
    let link = |place| of_the_link(lab, place).0;
    // Everybody's interface but the host's is called so, a decky's, too.
    let near = |place| format!("{}%eth0", link(place));
    for (place, address, port) in [
        (Place::Attacker, near(Place::Host), OF_HOST[2]),
        (Place::Attacker, near(Place::Gateway), OF_GATEWAY[0]),
        (Place::Attacker, GATEWAY_V6.to_owned(), OF_GATEWAY[0]),
        (Place::Gateway, near(Place::Attacker), OF_ATTACKER[0]),
    ] {
        let port = port.to_string();
        let connect = ["nc", "-6", "-z", "-w", "1", &address, &port];
        no_answer(lab, host, (decky, place), &connect, succeeds);
        let ping = ["ping", "-6", "-c", "1", "-W", "1", &address];
        no_answer(lab, host, (decky, place), &ping, succeeds);
    }
    let ping = ["ping", "-6", "-c", "1", "-W", "1", ATTACKER_V6];
    no_answer(lab, host, (decky, Place::Gateway), &ping, succeeds);
    // All of the link: who asks may hear itself.
    let gateway = link(Place::Gateway);
    let all = ["ping", "-6", "-c", "3", "-i", "0.3", "-W", "1", "ff02::1%eth0"];
    no_answer(lab, host, (decky, Place::Attacker), &all, |tried| {
        said(tried).contains(&format!("from {gateway}"))
    });
    let addresses = from_inside(host, decky, Rights::All, &["cat", "/proc/net/if_inet6"])
        .output()
        .unwrap();
    let addresses = said(&addresses);
    assert!(!addresses.contains("eth0"), "it has an IPv6 address: {addresses}");
}
