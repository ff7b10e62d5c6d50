//! A visitor from another machine of the lab, with real clients; and what is read of the deckies that it visits.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Child, Output, Stdio},
};

use decnet_lab::{Lab, Place};
use serde_json::Value;

use crate::host::{Host, until, until_seen};

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Name, address and hardware address of each.
pub(crate) fn machines(fleet: &[Value]) -> BTreeMap<String, (String, String)> {
    fleet
        .iter()
        .map(|d| (text(d, "name"), (text(d, "ip"), text(d, "mac"))))
        .collect()
}

/// Name, state and fault of each that does not run.
pub(crate) fn ailing(fleet: &[Value]) -> Vec<String> {
    let ailing = fleet.iter().filter(|d| d["state"] != "running");
    ailing
        .map(|d| {
            format!(
                "{}: {}, {}",
                text(d, "name"),
                text(d, "state"),
                text(d, "last_error")
            )
        })
        .collect()
}

/// What a decky of the fleet runs.
pub(crate) fn services(fleet: &[Value], name: &str) -> Vec<String> {
    let decky = fleet.iter().find(|d| text(d, "name") == name).unwrap();
    let services = decky["services"].as_array().unwrap();
    services.iter().map(|s| text(s, "slug")).collect()
}

/// Where a service of a decky listens.
pub(crate) fn listens(decky: &Value, slug: &str) -> Option<String> {
    let services = decky["services"].as_array()?;
    let service = services.iter().find(|s| s["slug"] == slug)?;
    Some(service["listen"][0].as_str()?.to_owned())
}

/// Every service of every decky of `fleet` has told of a visitor who came from `source`.
pub(crate) fn all_told(host: &Host<'_>, fleet: &[Value], source: &str) {
    for decky in fleet {
        let name = text(decky, "name");
        let visited = services(fleet, &name);
        until_seen(&format!("the visits to {name} are evidence"), || {
            let rows = host.evidence(&["--decky", &name, "--source", source]);
            let told: BTreeSet<String> = rows.iter().map(|row| text(row, "service")).collect();
            let all = visited.iter().all(|slug| told.contains(slug));
            all.then_some(())
                .ok_or_else(|| format!("{told:?} of {visited:?}"))
        });
    }
}

pub(crate) fn attack(lab: &Lab, words: &[&str]) -> Output {
    let (program, rest) = words.split_first().unwrap();
    lab.command(Place::Attacker, program)
        .args(rest)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A conversation with each service; what the visitor saw.
pub(crate) fn visit(lab: &Lab, decky: &Value, slug: &str) -> String {
    let listen = listens(decky, slug).unwrap();
    let (ip, port) = listen.rsplit_once(':').unwrap();
    let seen = match slug {
        "http" => attack(
            lab,
            &["curl", "-sS", "-i", "-m", "10", &format!("http://{listen}/")],
        ),
        "redis" => attack(lab, &["redis-cli", "-h", ip, "-p", port, "info", "server"]),
        "ftp" | "smtp" => attack(
            lab,
            &["sh", "-c", &format!("echo QUIT | timeout 10 nc -w 5 {ip} {port}")],
        ),
        "ssh" => attack(
            lab,
            &[
                "sshpass",
                "-p",
                "123456",
                "ssh",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "NumberOfPasswordPrompts=1",
                "-p",
                port,
                &format!("root@{ip}"),
                "id",
            ],
        ),
        "mysql" => attack(
            lab,
            &[
                "mysql",
                "--connect-timeout=10",
                "--host",
                ip,
                "--port",
                port,
                "--user=root",
                "--password=root",
                "-e",
                "select 1",
            ],
        ),
        other => panic!("no client of {other}"),
    };
    format!("{}{}", said(&seen), String::from_utf8_lossy(&seen.stderr))
}

/// What each service says that nobody else does.
pub(crate) fn is_answer(slug: &str, seen: &str) -> bool {
    match slug {
        "http" => seen.starts_with("HTTP/1.1"),
        "redis" => seen.contains("redis_version") || seen.contains("NOAUTH"),
        "ftp" | "smtp" => seen.starts_with("220"),
        "ssh" => seen.contains("uid=0") || seen.contains("Permission denied"),
        // The name of the column, and the row.
        "mysql" => {
            seen.contains("Access denied for user") || seen.lines().filter(|line| *line == "1").count() == 2
        }
        _ => false,
    }
}

#[test]
fn what_a_client_says_of_nobody_is_no_answer_of_a_service() {
    for (slug, answer, of_nobody) in [
        (
            "mysql",
            "1\n1\nWARNING: a password on the command line",
            "ERROR 2003 (HY000): Can't connect to MySQL server on '10.66.0.11:3306' (111)",
        ),
        (
            "mysql",
            "ERROR 1045 (28000): Access denied for user 'root'@'10.66.0.1' (using password: YES)",
            "ERROR 2013 (HY000): Lost connection to MySQL server at 'handshake', system error: 11",
        ),
        (
            "http",
            "HTTP/1.1 200 OK\r\n",
            "curl: (7) Failed to connect to 10.66.0.11 port 80",
        ),
        (
            "redis",
            "# Server\r\nredis_version:7.0.15\r\n",
            "Could not connect to Redis at 10.66.0.11:6379: Connection refused",
        ),
        (
            "ssh",
            "root@10.66.0.11: Permission denied (publickey,password).",
            "ssh: connect to host 10.66.0.11 port 22: Connection refused",
        ),
        ("smtp", "220 mail.example.net ESMTP\r\n", "10.66.0.220: refused"),
    ] {
        assert!(is_answer(slug, answer), "{slug}: {answer}");
        assert!(!is_answer(slug, of_nobody), "{slug}: {of_nobody}");
    }
}

/// A connection that stands, and stays open.
pub(crate) fn hold_open(lab: &Lab, fleet: &[Value], name: &str) -> Child {
    let decky = fleet.iter().find(|d| text(d, "name") == name).unwrap();
    let listen = listens(decky, "http").unwrap();
    let (ip, port) = listen.rsplit_once(':').unwrap();
    let child = lab
        .command(Place::Attacker, "sh")
        .arg("-c")
        .arg(format!("sleep 60 | nc {ip} {port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the visit stands", || {
        let standing = lab
            .command(Place::Attacker, "ss")
            .args([
                "-Htn",
                "state",
                "established",
                "dst",
                ip,
                "dport",
                "=",
                &format!(":{port}"),
            ])
            .output()
            .unwrap();
        (!standing.stdout.is_empty()).then_some(())
    });
    child
}
