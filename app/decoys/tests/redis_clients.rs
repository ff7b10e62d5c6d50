//! The redis decoy as redis-cli, a guessing program and nmap's script find it.
//!
//! Where one of them is not installed, what needs it says so and is skipped.
#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{
    process::{Command, Output},
    time::Instant,
};

use decnet_persona::{Distro, PersonaSpec, Seed};
use support::start_with;

fn spec() -> PersonaSpec {
    PersonaSpec {
        distro: Some(Distro::Debian12),
        ..PersonaSpec::new(Seed::from_bytes([4; 16]), "database-server")
    }
}

/// What `program` answers; nothing, and a word about it, where it is not installed.
fn run(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(_) => {
            decnet_testkit::skipped(&format!("{program} is not installed"));
            None
        }
    }
}

#[test]
fn hydra_finds_the_password_that_there_is() {
    let site = start_with("redis", spec(), &[("requirepass", "three".into())]);
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "one\ntwo\nthree\nfour\n").unwrap();
    let port = site.address.port().to_string();
    let args = [
        "-I",
        "-t",
        "1",
        "-P",
        list.path().to_str().unwrap(),
        "-s",
        &port,
        "127.0.0.1",
        "redis",
    ];
    let Some(output) = run("hydra", &args) else { return };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains("password: three") && told.contains("1 valid password found"),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    site.lines
        .wait(&["auth_attempt", "three", "outcome=\"accepted\""]);
}

#[test]
fn a_secret_that_the_version_does_not_take_is_evidence_too() {
    // Redis 5 knows no accounts, and refuses two words before it looks at them.
    let old = PersonaSpec {
        distro: Some(Distro::Ubuntu20),
        ..spec()
    };
    let site = start_with("redis", old, &[]);
    let port = site.address.port().to_string();
    for (words, outcome, reported) in [
        (
            &["AUTH", "intruder", "canary-two"][..],
            "wrong number of arguments for 'auth'",
            &["auth_attempt", "principal=\"intruder\"", "canary-two", "refused"][..],
        ),
        (
            &["AUTH", "canary-one"],
            "no password is set",
            &["auth_attempt", "principal=\"default\"", "canary-one", "refused"],
        ),
        (
            &["AUTH", "canary-1", "canary-2", "canary-3"],
            "wrong number of arguments for 'auth'",
            &["command", "canary-1 canary-2 canary-3"],
        ),
    ] {
        let Some(output) = run("redis-cli", &[&["-p", &port][..], words].concat()) else {
            return;
        };
        let told =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(outcome), "{words:?}: {told}");
        site.lines.wait(reported);
    }
}

#[test]
fn nmaps_script_reads_what_info_says() {
    let site = start_with("redis", spec(), &[]);
    let port = site.address.port().to_string();

    let script = "+redis-info";
    let args = [
        "-n",
        "-Pn",
        "-sT",
        "-sV",
        "--script",
        script,
        "-p",
        &port,
        "127.0.0.1",
    ];
    let Some(output) = run("nmap", &args) else { return };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "Redis key-value store 7.0.15",
        "Version: 7.0.15",
        "Operating System: Linux 6.1.0-",
        "Role: master",
    ] {
        assert!(told.contains(part), "no {part} in:\n{told}");
    }
}

#[test]
fn what_blocks_waits_as_long_as_it_said_and_holds_back_nothing_before_it() {
    let site = start_with("redis", spec(), &[]);
    let port = site.address.port().to_string();
    let began = Instant::now();
    let Some(output) = run("redis-cli", &["-p", &port, "BLPOP", "nothing-here", "1"]) else {
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "");
    assert!(began.elapsed().as_millis() >= 1000);
}
