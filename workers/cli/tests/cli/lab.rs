//! `decnet lab compare`, with the real servers that are installed.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{PROGRAM, decnet, said};

/// Product, probe, and why its answers differ: what is known of, and put up with.
const KNOWN: &[(&str, &str, &str)] = &[];

/// The command in a folder that servers can reach which give up root, with a folder for what is temporary; `None`, with the
/// reason printed, where there is no program for decoys.
fn compare(words: &[&str]) -> Option<(Command, TempDir, PathBuf)> {
    if !Path::new(PROGRAM).with_file_name("decnet-decoy").exists() {
        decnet_testkit::skipped("the program of the decoys is not built beside this one");
        return None;
    }
    let dir = TempDir::new().unwrap();
    let temporary = dir.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    for folder in [dir.path(), &temporary] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = decnet(PROGRAM, dir.path());
    command
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", &temporary)
        .args(["lab", "compare"])
        .args(words);
    Some((command, dir, temporary))
}

/// What is left in `folder`, and the processes that work in it.
fn left(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let here =
        |process: &PathBuf| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    (files.collect(), processes.filter(here).collect())
}

#[test]
fn decoys_answer_as_the_real_servers_that_are_installed() {
    let Some((mut command, _dir, temporary)) = compare(&["--json", "--runs", "3"]) else {
        return;
    };
    let (stdout, stderr, code) = said(&command.output().unwrap());
    let told: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let (mut differences, mut compared) = (Vec::new(), 0);
    for service in told["services"].as_array().unwrap() {
        let product = service["product"].as_str().unwrap();
        if service["state"] != "compared" {
            decnet_testkit::skipped(service["reason"].as_str().unwrap());
            continue;
        }
        compared += 1;
        let probes = service["probes"].as_array().unwrap();
        assert!(probes.len() >= 8, "{product}");
        for probe in probes {
            let name = probe["name"].as_str().unwrap();
            let is_known = KNOWN
                .iter()
                .any(|(of, known, _)| (*of, *known) == (product, name));
            match probe["verdict"].as_str().unwrap() {
                "same" => assert_eq!(probe["control"], probe["ours"], "{product}: {name}"),
                "differs where it should" => assert_ne!(probe["masks"].as_array().unwrap().len(), 0),
                _ if is_known => continue,
                _ => differences.push(format!(
                    "--- {product}: {name}\ncontrol: {}\nours:    {}",
                    probe["control"], probe["ours"]
                )),
            }
            assert!(
                !is_known,
                "{product}: {name} is the same, and stands among what differs"
            );
        }
        let timings = service["timings"].as_array().unwrap();
        assert_eq!(timings.len(), 3, "{product}");
        for timing in timings {
            assert_eq!(timing["runs"], 3, "{product}: {timing}");
            for of in [&timing["control"], &timing["ours"]] {
                let at = |name: &str| of[name].as_f64().unwrap();
                assert!(
                    at("p10_ms") <= at("median_ms") && at("median_ms") <= at("p90_ms"),
                    "{timing}"
                );
            }
            assert!(timing["ratio"].as_f64().unwrap() > 0.0, "{product}: {timing}");
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let expected = match (compared, &told["differing"]) {
        (0, _) => 69,
        (_, differing) if differing == 0 => 0,
        _ => 1,
    };
    assert_eq!(code, expected, "{stderr}");
    assert_eq!(left(&temporary), (Vec::new(), Vec::new()), "nothing stays behind");
}

#[test]
fn a_comparison_is_printed_as_a_table_with_the_times_and_what_was_masked() {
    let Some((mut command, _dir, _temporary)) = compare(&["nginx", "--runs", "1"]) else {
        return;
    };
    let (stdout, stderr, code) = said(&command.output().unwrap());
    if code == 69 {
        assert!(stdout.contains("Not compared:\n  nginx"), "{stdout}");
        assert!(stderr.contains("Debian: nginx"), "{stderr}");
        return decnet_testkit::skipped(&stderr);
    }
    for words in [
        "SERVICE  PRODUCT",
        "order of headers",
        "but for date",
        "HTTP/1.1 200 OK\\r\\n",
        "connect and GET /",
        "{date} of http: the time of the answer",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    assert!(!stdout.contains('\r') && !stdout.contains("Apache"), "{stdout}");
}

#[test]
fn an_interrupted_comparison_leaves_nothing_behind() {
    let Some((mut command, _dir, temporary)) = compare(&["redis", "--runs", "1000"]) else {
        return;
    };
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while left(&temporary).1.is_empty() {
        if child.try_wait().unwrap().is_some() {
            let (_, stderr, code) = said(&child.wait_with_output().unwrap());
            assert_eq!(code, 69, "{stderr}");
            return decnet_testkit::skipped(&stderr);
        }
        assert!(Instant::now() < until, "the real server does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(left(&temporary), (Vec::new(), Vec::new()));
}
