//! `decnet bench`: figures of a whole host, measured on a host of its own in a temporary folder.
//!
//! `host`: memory (PSS, from /proc) of every process with a fleet of decoys idle, of a decoy alone, and the CPU time
//! that the server spends on a login.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::cli::{BenchCommand, PlaceArgs};

/// What the Python original needs: without any decky, for a decoy service, and for a thousand logins.
const ORIGINAL_HOST_MB: f64 = 1143.0;
const ORIGINAL_DECOY_MB: f64 = 23.0;
const ORIGINAL_LOGIN_CPU_S: f64 = 271.0;
/// Our bars.
const HOST_BAR_MB: f64 = 150.0;
const DECOY_BAR_MB: f64 = 8.0;

const LISTEN: &str = "127.0.0.1:18088";
const PASSWORD: &str = "correct-horse-battery-42";

/// `decnet bench …`
pub(crate) async fn run(_place: &PlaceArgs, command: &BenchCommand) -> Result<()> {
    let BenchCommand::Host { deckies, logins } = command;
    let (deckies, logins) = (*deckies, *logins);
    tokio::task::spawn_blocking(move || measure(deckies, logins)).await?
}

/// A host that runs while it is measured.
struct Running {
    child: Child,
    data_dir: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may have ended by itself; waiting tells.
            let _ended = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _reaped = self.child.wait();
        let _removed = fs::remove_dir_all(&self.data_dir);
    }
}

fn measure(deckies: u32, logins: u32) -> Result<()> {
    let data_dir = std::env::temp_dir().join(format!("decnet-bench-{}", std::process::id()));
    let me = std::env::current_exe()?;
    let mut child = Command::new(&me)
        .args(["--data-dir"])
        .arg(&data_dir)
        .args(["up", "--listen", LISTEN])
        .env("DECNET_ADMIN_PASSWORD", PASSWORD)
        .env(
            "DECNET_BUS_URL",
            format!("unix://{}", data_dir.join("run/bus.sock").display()),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("decnet up")?;
    let stdout = child.stdout.take().context("decnet up has no output")?;
    let mut running = Running {
        child,
        data_dir: data_dir.clone(),
    };
    let mut up = false;
    for line in BufReader::new(stdout).lines() {
        if line?.contains("DECNET is up") {
            up = true;
            break;
        }
    }
    if !up {
        bail!("decnet up ended with {}", running.child.wait()?);
    }
    let deploy = Command::new(&me)
        .arg("--data-dir")
        .arg(&data_dir)
        .args([
            "deploy",
            "--archetype",
            "linux-server",
            "--deckies",
            &deckies.to_string(),
        ])
        .env(
            "DECNET_BUS_URL",
            format!("unix://{}", data_dir.join("run/bus.sock").display()),
        )
        .stdout(Stdio::null())
        .status()?;
    if !deploy.success() {
        bail!("decnet deploy ended with {deploy}");
    }
    // Idle means that start-up is over: what it allocated for a moment has been given back.
    std::thread::sleep(Duration::from_secs(5));
    let root = running.child.id();
    let processes = family(root)?;
    let mut by_name = BTreeMap::<String, (u32, u64)>::new();
    for pid in &processes {
        let Some(pss) = pss_kib(*pid) else { continue };
        let slot = by_name.entry(name_of(*pid)).or_default();
        slot.0 += 1;
        slot.1 += pss;
    }
    let total: u64 = by_name.values().map(|(_, kib)| kib).sum();
    println!(
        "{:<24} {:>9} {:>12} {:>12}",
        "program", "processes", "PSS MB", "MB each"
    );
    for (name, (count, kib)) in &by_name {
        println!(
            "{name:<24} {count:>9} {:>12.1} {:>12.1}",
            mb(*kib),
            mb(*kib) / f64::from(*count)
        );
    }
    println!(
        "host with {deckies} deckies: {:.1} MB PSS (bar {HOST_BAR_MB}; the original {ORIGINAL_HOST_MB} without any): ratio to bar {:.2}",
        mb(total),
        mb(total) / HOST_BAR_MB
    );
    let decoys: Vec<u64> = processes
        .iter()
        .filter(|pid| is_decoy(**pid, &data_dir))
        .filter_map(|pid| rss_kib(*pid))
        .collect();
    if decoys.is_empty() {
        bail!("no decoy is running");
    }
    let mean = decoys.iter().sum::<u64>() / u64::try_from(decoys.len())?;
    println!(
        "a decky: {:.1} MB resident, {:.1} at most (bar {DECOY_BAR_MB}; the original {ORIGINAL_DECOY_MB} a service)",
        mb(mean),
        mb(decoys.iter().copied().max().unwrap_or(0))
    );
    login_cost(&processes, logins)
}

fn login_cost(processes: &[u32], logins: u32) -> Result<()> {
    let server = processes
        .iter()
        .copied()
        .find(|pid| name_of(*pid).starts_with("decnet-server"))
        .context("no server")?;
    let body = format!("{{\"username\":\"admin\",\"password\":\"{PASSWORD}\"}}");
    let before = cpu_s(server)?;
    let start = Instant::now();
    for _ in 0..logins {
        let mut stream = TcpStream::connect(LISTEN)?;
        write!(
            stream,
            "POST /api/v1/auth/login HTTP/1.1\r\nHost: {LISTEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut answer)?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            bail!(
                "a login was answered with {}",
                String::from_utf8_lossy(answer.get(..120).unwrap_or(&answer))
            );
        }
    }
    let cpu = (cpu_s(server)? - before) / f64::from(logins) * 1000.0;
    println!(
        "logins: {cpu:.1} CPU seconds a thousand, {:.1} ms each (the original {ORIGINAL_LOGIN_CPU_S}: {:.1} times as much)",
        start.elapsed().as_secs_f64() * 1000.0 / f64::from(logins),
        ORIGINAL_LOGIN_CPU_S / cpu
    );
    Ok(())
}

/// `root` and every process below it.
fn family(root: u32) -> Result<Vec<u32>> {
    let mut parents = BTreeMap::<u32, Vec<u32>>::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = stat(pid).and_then(|s| s.get(1)?.parse().ok()) {
            parents.entry(parent).or_default().push(pid);
        }
    }
    let mut all = vec![root];
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        all.extend(parents.get(&pid).into_iter().flatten());
        at += 1;
    }
    Ok(all)
}

/// The fields of /proc/PID/stat from the state on (proc(5)).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

/// User and system time, in seconds.
fn cpu_s(pid: u32) -> Result<f64> {
    let stat = stat(pid).context("the server is gone")?;
    let ticks = |i: usize| {
        stat.get(i)
            .and_then(|t| t.parse::<f64>().ok())
            .context("no CPU time in stat")
    };
    // USER_HZ is 100 on every Linux that this is built for.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

fn pss_kib(pid: u32) -> Option<u64> {
    kib_in(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

fn rss_kib(pid: u32) -> Option<u64> {
    kib_in(&format!("/proc/{pid}/status"), "VmRSS:")
}

fn kib_in(path: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines()
        .find_map(|l| l.strip_prefix(key))?
        .trim()
        .strip_suffix("kB")?
        .trim()
        .parse()
        .ok()
}

fn name_of(pid: u32) -> String {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
    exe.and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "?".to_owned())
}

/// Decoys hide what they are; they are told by the folder that they keep open.
fn is_decoy(pid: u32, data_dir: &std::path::Path) -> bool {
    let stdout = fs::read_link(format!("/proc/{pid}/fd/1")).ok();
    stdout.is_some_and(|path| path.starts_with(data_dir.join("outlets")))
}

fn mb(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
