//! What a fleet of containers costs: twenty deckies to bare `docker run` of the same image in the same run, a hundred of
//! them, and what scanners take each system for.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark"
)]

#[expect(dead_code, reason = "tests use more of it")]
#[path = "../tests/lab/host.rs"]
mod host;

use std::{
    fs,
    process::Stdio,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use decnet_lab::{Lab, Place};
use host::{Host, lab, until};
use serde_json::{Value, json};

/// Deckies of the comparison.
const FLEET: usize = 20;
/// Containers that are started at the same time, as the executor does.
const PARALLEL: usize = 16;
/// Archetypes of the families that there are.
const SYSTEMS: [&str; 4] = ["web-server", "windows-workstation", "windows-server", "printer"];

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab("bench", folder.path()) else {
        return;
    };
    let mut host = Host::new(&lab, &folder);
    host.up();
    let warm = until("a first decky, with network and image", || {
        let begun = Instant::now();
        let tried = host.run(&["deploy", "--archetype", "web-server", "--name", "first"]);
        tried.status.success().then(|| begun.elapsed())
    });
    println!(
        "first decky, with network and image    {:6.2} s",
        warm.as_secs_f64()
    );

    let begun = Instant::now();
    host.ok(&[
        "deploy",
        "--archetype",
        "linux-server",
        "--deckies",
        &FLEET.to_string(),
    ]);
    let deployed = begun.elapsed();
    memory(&lab, FLEET + 1);
    let bare = docker_run(&lab);
    let begun = Instant::now();
    host.ok(&["teardown", "--all"]);
    let gone = begun.elapsed();
    println!(
        "{FLEET} deckies deployed                    {:6.2} s (bar 15), to {FLEET} bare docker runs in {:.2} s: {:.2}",
        deployed.as_secs_f64(),
        bare.0.as_secs_f64(),
        deployed.as_secs_f64() / bare.0.as_secs_f64()
    );
    println!(
        "{FLEET} deckies torn down                   {:6.2} s (bar 5), to docker rm of {FLEET} in {:.2} s: {:.2}",
        gone.as_secs_f64(),
        bare.1.as_secs_f64(),
        gone.as_secs_f64() / bare.1.as_secs_f64()
    );

    let begun = Instant::now();
    host.ok(&["deploy", "--archetype", "web-server", "--deckies", "100"]);
    println!(
        "100 deckies deployed                   {:6.2} s",
        begun.elapsed().as_secs_f64()
    );
    memory(&lab, 100);
    let begun = Instant::now();
    host.ok(&["teardown", "--all"]);
    println!(
        "100 deckies torn down                  {:6.2} s",
        begun.elapsed().as_secs_f64()
    );

    systems(&lab, &host, &folder);
    host.down();
}

/// How long starting and removing as many containers of the same image takes, several at once.
fn docker_run(lab: &Lab) -> (Duration, Duration) {
    let image = String::from_utf8(
        lab.docker()
            .args(["images", "-q", "netsvc*"])
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    let names: Vec<String> = (0..FLEET).map(|n| format!("bare-{n}")).collect();
    let all = |work: &(dyn Fn(&str) + Sync)| {
        let waiting = Mutex::new(names.clone());
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..PARALLEL {
                scope.spawn(|| {
                    while let Some(name) = { waiting.lock().unwrap().pop() } {
                        work(&name);
                    }
                });
            }
        });
        begun.elapsed()
    };
    let started = all(&|name| {
        // It waits for its configuration from standard input.
        let mut run = lab.docker();
        run.args([
            "run",
            "--detach",
            "--interactive",
            "--network",
            "none",
            "--name",
            name,
            image.trim(),
        ])
        .arg("/usr/sbin/netsvcd");
        decnet_lab::run(&mut run).unwrap();
    });
    let removed = all(&|name| decnet_lab::run(lab.docker().args(["rm", "--force", name])).unwrap());
    (started, removed)
}

/// What the containers take, and what Docker takes for them.
fn memory(lab: &Lab, deckies: usize) {
    let ids = String::from_utf8(lab.docker().args(["ps", "-q"]).output().unwrap().stdout).unwrap();
    let mut inspect = lab.docker();
    inspect
        .args(["inspect", "--format", "{{.State.Pid}}"])
        .args(ids.split_whitespace());
    let pids = String::from_utf8(inspect.output().unwrap().stdout).unwrap();
    let pids: Vec<i32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), deckies);
    let own: f64 = pids.iter().map(|pid| pss(*pid)).sum();
    let shims: f64 = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|comm| comm.starts_with("containerd-shim"))
        })
        .map(pss)
        .sum();
    let count = f64::from(u32::try_from(deckies).unwrap());
    println!(
        "{deckies} deckies                             {:6.2} MB PSS each, and Docker's shims {:.2} MB each",
        own / count,
        shims / count
    );
}

/// Megabytes of a process; nothing where it has ended.
fn pss(pid: i32) -> f64 {
    let table = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = table
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .unwrap_or_default();
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    kilobytes / 1024.0
}

/// What nmap and p0f take each family for, with what sysctls reach.
fn systems(lab: &Lab, host: &Host<'_>, folder: &tempfile::TempDir) {
    let deckies: Vec<Value> = SYSTEMS
        .iter()
        .map(|kind| json!({"name": kind, "services": [{"slug": "http"}, {"slug": "ftp"}], "archetype": kind}))
        .collect();
    let file = folder.path().join("systems.json");
    fs::write(&file, json!({"deckies": deckies}).to_string()).unwrap();
    host.ok(&["deploy", "--file", file.to_str().unwrap()]);
    println!("\n{:16} {:60} p0f of a server", "claimed", "nmap -O");
    for decky in host.fleet() {
        let ip = decky["ip"].as_str().unwrap();
        let p0f = lab
            .command(Place::Attacker, "timeout")
            .args(["12", "p0f", "-i", "eth0", &format!("host {ip}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok();
        thread::sleep(Duration::from_secs(1));
        for _ in 0..3 {
            // Only its packets matter.
            let _page = lab
                .command(Place::Attacker, "curl")
                .args(["-s", "-o", "/dev/null", "-m", "3", &format!("http://{ip}/")])
                .status();
        }
        let scan = lab
            .command(Place::Attacker, "nmap")
            .args([
                "-O",
                "--osscan-guess",
                "-n",
                "-Pn",
                "-p",
                "21,80,81",
                "--max-retries",
                "2",
                ip,
            ])
            .output()
            .unwrap();
        let scan = String::from_utf8_lossy(&scan.stdout).into_owned();
        let verdict = scan
            .lines()
            .find_map(|line| {
                let found = line
                    .strip_prefix("OS details: ")
                    .or_else(|| line.strip_prefix("Aggressive OS guesses: "))
                    .or_else(|| line.strip_prefix("Running: "))
                    .or_else(|| line.strip_prefix("No exact OS matches"))?;
                Some(found.chars().take(60).collect::<String>())
            })
            .unwrap_or_else(|| "nothing".to_owned());
        let passive = p0f.map(|child| child.wait_with_output().unwrap()).map_or_else(
            || "p0f is not installed".to_owned(),
            |output| {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let mut of_server = text.split(".-[").filter(|part| part.contains("syn+ack"));
                of_server.next().map_or_else(
                    || "nothing".to_owned(),
                    |part| {
                        let of = |key: &str| {
                            let line = part.lines().find_map(|line| line.split_once(key));
                            line.map_or("", |(_, value)| value.trim())
                        };
                        format!("{} ({})", of("os       = "), of("raw_sig  = "))
                    },
                )
            },
        );
        println!(
            "{:16} {verdict:60} {passive}",
            decky["os"].as_str().unwrap_or_default()
        );
    }
    host.ok(&["teardown", "--all"]);
}
