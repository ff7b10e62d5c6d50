//! What a decky may send: answers. Rules in its own network namespace let it reply to visitors and begin nothing, so
//! that whoever takes it over has taken a dead end.

use std::{
    fs,
    io::{self, Write as _},
    process::{Command, Stdio},
};

use decnet_model::fleet::Egress;

use super::namespace::Namespace;

/// The rules for IPv4, as iptables-restore(8) reads them.
///
/// What answers a visitor is part of a connection that conntrack(8) knows; a reset begins none, and answers what
/// conntrack takes for invalid, such as a scanner's odd flags. The resolver that Docker puts into every namespace
/// forwards to the host's, so it is no loopback to be allowed.
fn rules_v4(egress: Egress) -> String {
    let policy = if egress == Egress::Allow { "ACCEPT" } else { "DROP" };
    let mut rules = format!("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT {policy} [0:0]\n");
    match egress {
        Egress::Deny => rules.push_str("-A OUTPUT -d 127.0.0.11/32 -j DROP\n"),
        Egress::Dns => {
            for protocol in ["udp", "tcp"] {
                rules.push_str(&format!("-A OUTPUT -p {protocol} --dport 53 -j ACCEPT\n"));
            }
        }
        Egress::Allow => {}
    }
    rules.push_str(
        "-A OUTPUT -o lo -j ACCEPT\n\
         -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n\
         -A OUTPUT -p tcp --tcp-flags RST RST -j ACCEPT\n\
         COMMIT\n",
    );
    rules
}

/// The rules for IPv6: nobody is told that there is an address, so there is nobody to answer.
const RULES_V6: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n\
                        -A INPUT -i lo -j ACCEPT\n-A OUTPUT -o lo -j ACCEPT\nCOMMIT\n";

/// Contain the decky whose network is `namespace`.
pub(super) fn contain(namespace: &Namespace, egress: Egress) -> io::Result<()> {
    let contained = namespace.inside(|| {
        restore("iptables-restore", &rules_v4(egress))?;
        if fs::exists("/proc/net/if_inet6")? {
            restore("ip6tables-restore", RULES_V6)?;
        }
        Ok(())
    });
    contained.map_err(|e| io::Error::new(e.kind(), format!("contain it: {e}")))
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
    // Its lock is the host's, not the namespace's: others may hold it for a moment.
    let mut child = Command::new(tool)
        .args(["--wait", "10"])
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
    fn only_who_may_begin_something_gets_past_the_policy() {
        let deny = rules_v4(Egress::Deny);
        assert!(
            deny.contains(":OUTPUT DROP")
                && deny.contains("127.0.0.11/32 -j DROP")
                && !deny.contains("dport")
        );
        let dns = rules_v4(Egress::Dns);
        assert!(
            dns.contains(":OUTPUT DROP") && dns.contains("udp --dport 53") && !dns.contains("127.0.0.11")
        );
        assert!(rules_v4(Egress::Allow).contains(":OUTPUT ACCEPT"));
    }
}
