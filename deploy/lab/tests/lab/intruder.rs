//! An intruder who has taken a decky over.

use std::process::{Command, Output, Stdio};

use decnet_lab::{ATTACKER, GATEWAY, HOST, Lab, Place};
use serde_json::Value;

use crate::{
    host::{Host, until},
    visitor::{is_answer, said, text, visit},
};

/// Run `program` as root in a decky's network, with no right but what it has itself.
pub(crate) fn inside(host: &Host<'_>, decky: &str, words: &[&str]) -> Output {
    let pid = host.pid_of(decky);
    let mut command = Command::new("nsenter");
    command
        .arg("--target")
        .arg(pid.to_string())
        .args([
            "--net",
            "--",
            "setpriv",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--ambient-caps=-all",
            "--no-new-privs",
        ])
        .args(words)
        .stdin(Stdio::null());
    command.output().unwrap()
}

/// Whoever is root in a decky's network gets no answer from anybody, and visitors still do.
pub(crate) fn contained(lab: &Lab, host: &Host<'_>, fleet: &[Value]) {
    // Everybody answers: what would be heard of is there to be heard.
    let serve = |place, port: &str| {
        lab.command(place, "sh")
            .arg("-c")
            .arg(format!("while true; do nc -l -p {port} -q 0 </dev/null; done"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut servers = vec![
        serve(Place::Host, "8081"),
        serve(Place::Gateway, "80"),
        serve(Place::Attacker, "8081"),
    ];
    let reach = |place, ip: &str, port: &str| {
        let tried = lab
            .command(place, "nc")
            .args(["-z", "-w", "2", ip, port])
            .stdin(Stdio::null())
            .status();
        tried.unwrap().success()
    };
    for (ip, port) in [(HOST, "8081"), (GATEWAY, "80")] {
        until("somebody is there to be reached", || {
            reach(Place::Attacker, ip, port).then_some(())
        });
    }
    let other = fleet.iter().find(|d| text(d, "name") == "web-02").unwrap();
    let targets = [
        (HOST.to_owned(), "8081"),
        (HOST.to_owned(), "8080"),
        (GATEWAY.to_owned(), "80"),
        ("169.254.169.254".to_owned(), "80"),
        (ATTACKER.to_owned(), "8081"),
        (text(other, "ip"), "80"),
    ];
    for (ip, port) in &targets {
        let tried = inside(host, "srv-01", &["nc", "-z", "-w", "2", ip, port]);
        assert!(
            !tried.status.success(),
            "{ip}:{port} was reached from inside a decky"
        );
    }
    let asked = inside(host, "srv-01", &["ping", "-c", "1", "-W", "2", GATEWAY]);
    assert!(!asked.status.success(), "the gateway answered: {}", said(&asked));
    let resolved = inside(
        host,
        "srv-01",
        &[
            "sh",
            "-c",
            "printf '\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7example\\3org\\0\\0\\1\\0\\1' | nc -u -w 2 127.0.0.11 53 | wc -c",
        ],
    );
    assert_eq!(said(&resolved).trim(), "0", "the daemon's resolver answered");
    let six = inside(host, "srv-01", &["sh", "-c", "cat /proc/net/if_inet6"]);
    assert!(
        !said(&six).contains("eth0"),
        "it has an IPv6 address: {}",
        said(&six)
    );
    // And yet it answers.
    let srv = fleet.iter().find(|d| text(d, "name") == "srv-01").unwrap();
    let seen = visit(lab, srv, "ssh");
    assert!(is_answer("ssh", &seen), "{seen}");
    for server in &mut servers {
        server.kill().unwrap();
        server.wait().unwrap();
    }
}
