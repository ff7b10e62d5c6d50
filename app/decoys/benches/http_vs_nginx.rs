//! The http decoy against nginx: the same page, one thread each, on the same machine.
//!
//! Both record every request: the decoy its evidence, one `write` a line into a file, and nginx its access log, as Debian's
//! configuration has it. wrk asks; it shares the processors with both, so requests a second say as much about wrk as about
//! the server, and the figure to trust is the processor time of a request, by which the bar is judged.
//!
//! The decoy runs in this process, which does nothing else while wrk asks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark: it ends at the first fault, and prints its figures"
)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use decnet_decoys::{
    config::{DeckyConfig, Limits, ServiceEntry},
    serve::{runner::Decky, sink::Sink},
};
use decnet_model::clock::SystemClock;
use decnet_persona::{Distro, Persona, PersonaSpec, ProductKind, Seed};

/// The decoy answers at least this many requests for each of nginx's, in the same processor time.
const BAR: f64 = 0.5;
/// Clock ticks a second in `/proc/PID/stat`: USER_HZ is 100 on every Linux that the project runs on.
const TICKS: f64 = 100.0;
/// Connections at a time.
const CONNECTIONS: &str = "16";
/// Seconds of each run. The median of [`RUNS`] counts.
const SECONDS: &str = "4";
const RUNS: usize = 3;

struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// nginx in one process, with what Debian's configuration switches on.
fn nginx(folder: &Path, page: &[u8]) -> Option<(Nginx, SocketAddr)> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    fs::create_dir(folder.join("html")).unwrap();
    fs::write(folder.join("html/index.html"), page).unwrap();
    let f = folder.display();
    let config = format!(
        "daemon off; master_process off; pid {f}/pid; error_log {f}/err;\nevents {{ worker_connections 768; }}\nhttp {{ \
         access_log {f}/access.log; sendfile on; tcp_nopush on; gzip on; client_body_temp_path {f}/b; proxy_temp_path {f}/p; \
         fastcgi_temp_path {f}/f; uwsgi_temp_path {f}/u; scgi_temp_path {f}/s; types {{ text/html html; }} server {{ \
         listen {address}; root {f}/html; location / {{ try_files $uri $uri/ =404; }} }} }}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let child = Command::new("nginx")
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&file)
        .spawn();
    let child = Nginx(child.ok()?);
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "nginx does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some((child, address))
}

/// The decoy on a thread of its own, with its evidence in `evidence`.
fn decoy(evidence: &Path) -> SocketAddr {
    let spec = (0..64_u8)
        .map(|n| PersonaSpec {
            distro: Some(Distro::Debian12),
            ..PersonaSpec::new(Seed::from_bytes([n; 16]), "web-server")
        })
        .find(|spec| Persona::derive(spec).unwrap().product(ProductKind::Web).name == "nginx")
        .unwrap();
    let config = DeckyConfig {
        name: "decky-01".parse().unwrap(),
        persona: spec,
        services: vec![ServiceEntry {
            slug: "http".parse().unwrap(),
            knobs: BTreeMap::from([("site".to_owned(), "company".into())]),
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            relays: Vec::new(),
        }],
        artifacts: None,
        transcripts: None,
        evidence: None,
        pulse: None,
        user: decnet_decoys::config::NOBODY,
        reach: Vec::new(),
        limits: Limits::default(),
    };
    let sink = Arc::new(Sink::file(File::create(evidence).unwrap()));
    let (tell, told) = mpsc::channel();
    // Ends with the process.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let decky = Decky::start(config, sink, Arc::new(SystemClock)).unwrap();
            tell.send(decky.listening()[0].1).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
}

/// The body of the page at `/`.
fn page(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    answer.split_off(end + 4)
}

/// Seconds of processor time that process `pid` has used, in user space and in the kernel.
fn processor_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in parentheses may hold blanks; utime and stime are fields 14 and 15 (proc(5)).
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |n: usize| fields[n - 3].parse::<f64>().unwrap();
    (ticks(14) + ticks(15)) / TICKS
}

/// What one run of wrk shows.
struct Run {
    /// Requests a second.
    rate: f64,
    /// Processor seconds of the server for 1000 requests.
    cost: f64,
}

fn run(address: SocketAddr, pid: u32, keep_alive: bool) -> Run {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c", CONNECTIONS, "-d", SECONDS]);
    if !keep_alive {
        wrk.args(["-H", "Connection: close"]);
    }
    let before = processor_s(pid);
    let began = Instant::now();
    let told = wrk.arg(format!("http://{address}/")).output().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let used = processor_s(pid) - before;
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        !told.contains("Non-2xx") && !told.contains("Socket errors"),
        "{told}"
    );
    let count = told
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "));
    let count: f64 = count.unwrap_or_else(|| panic!("{told}")).0.parse().unwrap();
    Run {
        rate: count / seconds,
        cost: used / count * 1000.0,
    }
}

fn median(mut all: Vec<Run>) -> Run {
    all.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    all.swap_remove(all.len() / 2)
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    if Command::new("wrk").arg("--version").output().is_err() {
        println!("skipped: wrk is not installed");
        return;
    }
    let evidence = folder.path().join("evidence");
    let ours = decoy(&evidence);
    let page = page(ours);
    let Some((nginx, theirs)) = nginx(folder.path(), &page) else {
        println!("skipped: nginx is not installed");
        return;
    };
    println!(
        "a page of {} bytes, {CONNECTIONS} connections, median of {RUNS} runs of {SECONDS} s",
        page.len()
    );
    for (what, keep_alive) in [("keep-alive", true), ("a connection each", false)] {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        // By turns, so that what else the machine does weighs on both.
        for _ in 0..RUNS {
            a.push(run(ours, std::process::id(), keep_alive));
            b.push(run(theirs, nginx.0.id(), keep_alive));
        }
        let (a, b) = (median(a), median(b));
        println!(
            "{what:18} decoy {:7.0} requests/s, {:.4} CPU s per 1000",
            a.rate, a.cost
        );
        println!(
            "{what:18} nginx {:7.0} requests/s, {:.4} CPU s per 1000",
            b.rate, b.cost
        );
        let ratio = b.cost / a.cost;
        println!(
            "{what:18} requests in the same CPU time, to nginx {ratio:.2} (bar {BAR}): {}; requests/s, to nginx {:.2}",
            if ratio >= BAR { "met" } else { "missed" },
            a.rate / b.rate
        );
    }
    let lines = fs::read_to_string(&evidence).unwrap().lines().count();
    println!("{lines} lines of evidence were written meanwhile");
}
