//! What a decky may send: answers. Rules in its own network namespace let it reply to visitors and begin nothing, so
//! that whoever takes it over has taken a dead end.
//!
//! Where an operator's own image answers, too, rules say who comes in ([`lead`]): its visitors are led to the decoy program, which
//! records what they say, and nobody reaches a port that is no service's, whatever the image opens.

use std::{
    fs,
    io::{self, Write as _},
    process::{Command, Stdio},
};

use decnet_decoys::config::Relay;
use decnet_model::fleet::Egress;

use super::namespace::Namespace;

/// The chain of the ways from the decoy program to images. Its name can be read by nobody inside.
const WAYS: &str = "WAYS";

/// The filter for IPv4, as iptables-restore(8) reads it: what it may send, and who comes in.
///
/// What answers a visitor is part of a connection that conntrack(8) knows; a reset begins none, and answers what
/// conntrack takes for invalid, such as a scanner's odd flags. It is a header and nothing else, so that none carries anything out.
/// Whom a decky may reach, it never asks the resolver that Docker puts into every namespace: that one forwards to the host's, and
/// knows every other decky by name.
fn filter(egress: Egress, doors: &Doors) -> String {
    let policy = if egress == Egress::Allow { "ACCEPT" } else { "DROP" };
    let mut rules = format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT {policy} [0:0]\n\
         -A OUTPUT -d 127.0.0.11/32 -j DROP\n"
    );
    if egress == Egress::Dns {
        for protocol in ["udp", "tcp"] {
            rules.push_str(&format!("-A OUTPUT -p {protocol} --dport 53 -j ACCEPT\n"));
        }
    }
    rules.push_str(
        "-A OUTPUT -o lo -j ACCEPT\n\
         -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n\
         -A OUTPUT -p tcp --tcp-flags RST RST -m length --length 40 -j ACCEPT\n",
    );
    rules.push_str(&coming_in(doors));
    rules.push_str("COMMIT\n");
    rules
}

/// The rules for IPv6: nobody is told that there is an address, so there is nobody to answer.
const RULES_V6: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n\
                        -A INPUT -i lo -j ACCEPT\n-A OUTPUT -o lo -j ACCEPT\nCOMMIT\n";

/// Contain the decky whose network is `namespace`, and let in whom `doors` say.
pub(super) fn contain(namespace: &Namespace, egress: Egress, doors: &Doors) -> io::Result<()> {
    let contained = namespace.inside(|| {
        if !doors.relays.is_empty() {
            restore_with("iptables-restore", &["--noflush"], &ways(doors, jumps()?))?;
        }
        restore("iptables-restore", &filter(egress, doors))?;
        if speaks_v6()? {
            restore("ip6tables-restore", RULES_V6)?;
        }
        Ok(())
    });
    contained.map_err(|e| io::Error::new(e.kind(), format!("contain it: {e}")))
}

/// The rules in `namespace` as they are, in words that stay the same as long as nobody changes them.
pub(super) fn rules(namespace: &Namespace) -> io::Result<String> {
    let seen = namespace.inside(|| {
        let mut seen = saved("iptables-save", &[])?;
        if speaks_v6()? {
            seen.push_str(&saved("ip6tables-save", &["-t", "filter"])?);
        }
        Ok(seen)
    });
    let seen = seen.map_err(|e| io::Error::new(e.kind(), format!("look how it is contained: {e}")))?;
    Ok(uncounted(&seen))
}

/// What iptables-save(8) said, without when, and without how much passed.
fn uncounted(saved: &str) -> String {
    let lines = saved.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| match line.split_once(" [") {
        Some((chain, _)) if line.starts_with(':') => chain,
        _ => line,
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Whether this thread's network has IPv6.
fn speaks_v6() -> io::Result<bool> {
    fs::exists("/proc/thread-self/net/if_inet6")
}

/// Who comes into a decky beside whose program images answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Doors {
    /// How the visitors of images are led.
    pub(super) relays: Vec<Relay>,
    /// The TCP and UDP ports of its other services.
    pub(super) tcp: Vec<u16>,
    pub(super) udp: Vec<u16>,
}

/// How visitors of images are led, for `iptables-restore --noflush`; `jumps` says whether the way out of the chain of ways is there.
/// Connections that stand keep their ways, because a way is chosen with the first packet only.
fn ways(doors: &Doors, jumps: bool) -> String {
    let mut rules = format!("*nat\n:{WAYS} - [0:0]\n-F PREROUTING\n");
    if !jumps {
        rules.push_str(&format!("-A OUTPUT -j {WAYS}\n"));
    }
    for Relay { listen, port, to } in &doors.relays {
        rules.push_str(&format!(
            "-A PREROUTING ! -i lo -p tcp -m tcp --dport {port} -j REDIRECT --to-ports {listen}\n\
             -A {WAYS} -d {}/32 -p tcp -m tcp --dport {} -j REDIRECT --to-ports {port}\n",
            to.ip(),
            to.port()
        ));
    }
    rules.push_str("COMMIT\n");
    rules
}

/// Who comes in. What begins otherwise is answered as by a machine on which nobody listens. Nothing is asked of anybody where no
/// image answers: the kernel itself knows then who listens.
fn coming_in(doors: &Doors) -> String {
    let mut rules = String::new();
    if !doors.relays.is_empty() {
        // An image is no visitor: what it said to the decky's services would be evidence of somebody, and take others' room.
        for port in doors.relays.iter().map(|relay| &relay.listen).chain(&doors.tcp) {
            rules.push_str(&format!(
                "-A INPUT -i lo ! -d 127.0.0.0/8 -p tcp -m tcp --dport {port} --syn -j REJECT --reject-with tcp-reset\n"
            ));
        }
        rules.push_str("-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp ! --syn -j ACCEPT\n");
        for Relay { listen, .. } in &doors.relays {
            // Whoever was led there, and nobody who found the port.
            rules.push_str(&format!(
                "-A INPUT -p tcp -m tcp --dport {listen} -m conntrack --ctstate DNAT -j ACCEPT\n"
            ));
        }
        for port in &doors.tcp {
            rules.push_str(&format!("-A INPUT -p tcp -m tcp --dport {port} -j ACCEPT\n"));
        }
        for port in &doors.udp {
            rules.push_str(&format!("-A INPUT -p udp -m udp --dport {port} -j ACCEPT\n"));
        }
        rules.push_str(
            "-A INPUT -p tcp -j REJECT --reject-with tcp-reset\n\
             -A INPUT -p icmp -j ACCEPT\n\
             -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n\
             -A INPUT -p udp -j REJECT --reject-with icmp-port-unreachable\n\
             -A INPUT -j REJECT --reject-with icmp-proto-unreachable\n",
        );
    }
    rules
}

/// Let visitors of the decky whose network is `namespace` come in as `doors` say, and in no other way. Each table is changed in one
/// step.
pub(super) fn lead(namespace: &Namespace, doors: &Doors) -> io::Result<()> {
    let led = namespace.inside(|| {
        let rules = format!(
            "{}*filter\n-F INPUT\n{}COMMIT\n",
            ways(doors, jumps()?),
            coming_in(doors)
        );
        restore_with("iptables-restore", &["--noflush"], &rules)
    });
    led.map_err(|e| io::Error::new(e.kind(), format!("lead its visitors: {e}")))
}

/// Whether the way out of the chain of ways is there.
fn jumps() -> io::Result<bool> {
    let there = saved("iptables-save", &["-t", "nat"])?;
    Ok(there.lines().any(|line| line == format!("-A OUTPUT -j {WAYS}")))
}

/// The rules as they are, as `tool` tells them.
fn saved(tool: &str, options: &[&str]) -> io::Result<String> {
    let output = Command::new(tool)
        .args(options)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| io::Error::new(e.kind(), format!("{tool}: {e}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{tool}: {}", said.trim())))
}

/// Whether the tool that sets rules is there.
pub(super) fn tool() -> Result<(), String> {
    let there = Command::new("iptables-restore")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match there {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("iptables-restore does not work here ({status})")),
        Err(e) => Err(format!(
            "iptables-restore: {e}; deckies are contained with it: install the package iptables"
        )),
    }
}

fn restore(tool: &str, rules: &str) -> io::Result<()> {
    restore_with(tool, &[], rules)
}

fn restore_with(tool: &str, options: &[&str], rules: &str) -> io::Result<()> {
    // Its lock is the host's, not the namespace's: others may hold it for a moment.
    let mut child = Command::new(tool)
        .args(["--wait", "10"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("{tool}: {e}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(rules.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{tool}: {}", said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_led_to_an_image_comes_by_the_program_and_nobody_by_a_port_that_is_no_services() {
        let doors = Doors {
            relays: vec![Relay {
                listen: 57_455,
                port: 8080,
                to: ([127, 99, 31, 144], 9).into(),
            }],
            tcp: vec![22],
            udp: vec![],
        };
        let rules = format!("{}{}", ways(&doors, false), filter(Egress::Deny, &doors));
        for rule in [
            "-A PREROUTING ! -i lo -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 57455",
            "-A OUTPUT -j WAYS",
            "-A WAYS -d 127.99.31.144/32 -p tcp -m tcp --dport 9 -j REDIRECT --to-ports 8080",
            "-A INPUT -p tcp -m tcp --dport 57455 -m conntrack --ctstate DNAT -j ACCEPT",
            "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
            "-A INPUT -i lo ! -d 127.0.0.0/8 -p tcp -m tcp --dport 22 --syn -j REJECT --reject-with tcp-reset",
            "-A INPUT -i lo ! -d 127.0.0.0/8 -p tcp -m tcp --dport 57455 --syn -j REJECT --reject-with tcp-reset",
            "-A INPUT -p tcp -j REJECT --reject-with tcp-reset",
        ] {
            assert!(rules.lines().any(|line| line == rule), "{rule}:\n{rules}");
        }
        assert!(!rules.contains("INPUT -p tcp -m tcp --dport 8080"), "{rules}");
        assert!(!ways(&doors, true).contains("-A OUTPUT"));
        // Without an image nothing is asked of anybody.
        assert_eq!(coming_in(&Doors::default()), "");
        assert!(!ways(&Doors::default(), true).contains("-A "));
    }

    #[test]
    fn only_who_may_begin_something_gets_past_the_policy() {
        let of = |egress| filter(egress, &Doors::default());
        let deny = of(Egress::Deny);
        assert!(deny.contains(":OUTPUT DROP") && !deny.contains("dport"), "{deny}");
        let dns = of(Egress::Dns);
        assert!(
            dns.contains(":OUTPUT DROP") && dns.contains("udp --dport 53"),
            "{dns}"
        );
        let allow = of(Egress::Allow);
        assert!(allow.contains(":OUTPUT ACCEPT"), "{allow}");
        for rules in [deny, dns, allow] {
            // Before whatever is accepted: nobody asks Docker who is there.
            let mut rules = rules.lines().filter(|line| line.starts_with("-A OUTPUT"));
            assert_eq!(rules.next(), Some("-A OUTPUT -d 127.0.0.11/32 -j DROP"));
            let resets: Vec<&str> = rules.filter(|line| line.contains("RST")).collect();
            assert!(
                resets.len() == 1 && resets[0].contains("--length 40 "),
                "{resets:?}"
            );
        }
    }

    #[test]
    fn what_passed_since_is_no_other_rule() {
        let of = |when: &str, counts: &str, rule: &str| {
            format!(
                "# Generated by iptables-save on {when}\n*filter\n:OUTPUT DROP {counts}\n{rule}\nCOMMIT\n# {when}\n"
            )
        };
        let rule = "-A OUTPUT -o lo -j ACCEPT";
        let first = uncounted(&of("Mon", "[0:0]", rule));
        assert_eq!(first, format!("*filter\n:OUTPUT DROP\n{rule}\nCOMMIT\n"));
        assert_eq!(uncounted(&of("Tue", "[7:512]", rule)), first);
        assert_ne!(uncounted(&of("Tue", "[7:512]", "")), first);
    }
}
