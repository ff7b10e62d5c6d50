//! What visitors see of an operator's own bait.
#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use decnet_persona::{Distro, Overrides, PersonaSpec, Seed};
use support::{start, start_with};

const FILES: &str = r#"
[[file]]
path = "/srv/ftp/plans/turbine-7.txt"
content = "the blades of {{company}}"

[[file]]
path = "/root/turbine-7.txt"
content = "spare key under the mat"
"#;
const KEYS: &str = "[[key]]\nkey = \"turbine:7\"\nstring = \"running\"\n";
const SITES: &str = r#"
[[site]]
title = "Turbine Hall Seven"
slogan = "We turn"
sections = [["Blades", "Sharp ones"]]
"#;

fn persona(bait: &Path) -> PersonaSpec {
    PersonaSpec {
        distro: Some(Distro::Debian12),
        overrides: Overrides {
            bait: Some(bait.display().to_string()),
            ..Overrides::default()
        },
        ..PersonaSpec::new(Seed::from_bytes([9; 16]), "web-server")
    }
}

#[test]
fn visitors_of_a_service_with_bait_of_its_own_see_that_and_nothing_of_the_machines() {
    let (whole, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(whole.path().join("files.toml"), FILES).unwrap();
    std::fs::write(whole.path().join("redis.toml"), KEYS).unwrap();
    std::fs::write(own.path().join("redis.toml"), KEYS.replace("turbine", "boiler")).unwrap();
    let mut spec = persona(whole.path());
    let folder = own.path().display().to_string();
    spec.overrides.service_bait = [("redis".parse().unwrap(), folder)].into();

    let redis = start("redis", spec.clone(), &[]);
    let heard = hear(redis.address, "KEYS *\r\nGET boiler:7\r\nQUIT\r\n");
    assert!(
        heard.contains("boiler:7\r\n$7\r\nrunning") && !heard.contains("turbine"),
        "{heard}"
    );
    let ftp = start("ftp", spec, &[]);
    let heard = hear(
        ftp.address,
        "USER anonymous\r\nPASS x\r\nTYPE I\r\nSIZE plans/turbine-7.txt\r\nQUIT\r\n",
    );
    assert!(heard.contains("\r\n213 "), "{heard}");
}

/// All that comes back for `said`.
fn hear(address: SocketAddr, said: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(said.as_bytes()).unwrap();
    let mut heard = Vec::new();
    stream.take(1 << 20).read_to_end(&mut heard).unwrap();
    String::from_utf8_lossy(&heard).into_owned()
}

#[test]
fn visitors_of_ftp_http_redis_and_ssh_see_the_operators_own_bait() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("files.toml"), FILES).unwrap();
    std::fs::write(folder.path().join("redis.toml"), KEYS).unwrap();
    std::fs::write(folder.path().join("site.toml"), SITES).unwrap();

    let ftp = start("ftp", persona(folder.path()), &[]);
    let heard = hear(
        ftp.address,
        "USER anonymous\r\nPASS x\r\nTYPE I\r\nSIZE plans/turbine-7.txt\r\nQUIT\r\n",
    );
    assert!(heard.contains("\r\n213 "), "{heard}");

    let http = start_with("http", persona(folder.path()), &[("site", "company".into())]);
    let heard = hear(http.address, "GET / HTTP/1.0\r\n\r\n");
    assert!(
        heard.contains("Turbine Hall Seven") && heard.contains("Sharp ones"),
        "{heard}"
    );

    let redis = start("redis", persona(folder.path()), &[]);
    assert!(
        hear(redis.address, "KEYS *\r\nGET turbine:7\r\nQUIT\r\n").contains("turbine:7\r\n$7\r\nrunning")
    );

    let ssh = start("ssh", persona(folder.path()), &[("accept", "always")]);
    let visit = Command::new("sshpass")
        .args(["-p", "x", "ssh", "-p", &ssh.address.port().to_string()])
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args(["root@127.0.0.1", "cat /root/turbine-7.txt"])
        .output();
    match visit {
        Ok(visit) => assert_eq!(String::from_utf8_lossy(&visit.stdout), "spare key under the mat"),
        Err(error) => decnet_testkit::skipped(&format!("sshpass cannot be run: {error}")),
    }
}
