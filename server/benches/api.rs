//! The API under load: a whole host of the release programs, and a minimal FastAPI service on the same SQLite file.
//!
//! `cargo xtask bench api`, or `cargo bench -p decnet-server --bench api -- [rows…]` with `DECNET_PROGRAMS` (the folder of
//! the programs) and `FASTAPI` (a Python environment). For each number of rows, 100,000 and 1,000,000 where none is named:
//!
//! 1. Processor time of the server per 1,000 requests, by endpoint, one request at a time; the same of FastAPI. With each answer
//!    made anew, for what it grows by with the rows; and with the last number as the server comes, for the other bars. Both are told.
//! 2. With the last number: 500 users for 60 s, each with a connection of its own, who wait 10 to 50 ms between requests
//!    of the mix in `MIX`, beside five open streams. No answer but 200; p99 under 200 ms.
//! 3. The same again while strangers guess passwords without pause: p99 less than twice that of before.
//!
//! Each user looks for a word of their own choice, at a page and an attacker of their own, so that answers are shared only where people would
//! share them. With the rows there are more attackers, who did as much each: an answer is as long with more rows as with fewer, and how
//! long is told.
//!
//! The client shares the processors with the server, so what it measures of time is the worse for it. The evidence goes
//! the way of all evidence, through the spool and the ingester; a filled data directory is kept for the next run.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark: it ends at the first fault, and prints its figures"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{net::TcpSocket, task::JoinSet, time::sleep};

const LISTEN: &str = "127.0.0.1:18089";
const BASELINE: &str = "127.0.0.1:18090";
const FIRST_PASSWORD: &str = "first-Light-2026-harbour";
const PASSWORD: &str = "correct-horse-battery-42";

const USERS: usize = 500;
const STREAMS: usize = 5;
/// API tokens that the users share: each has a limit of its own.
const TOKENS: usize = 20;
const SPAN: Duration = Duration::from_secs(60);
/// The setting `api-shared-ms` as it comes.
const SHARED_MS: u32 = 500;
/// How long an endpoint is asked for its processor time, and how often: the median counts.
const ASKED: Duration = Duration::from_secs(1);
const ASKED_TIMES: usize = 3;
/// Lines of evidence of one attacker.
const ROWS_AN_ATTACKER: u64 = 500;
/// A host is at rest that takes less than this of one processor.
const REST: f64 = 0.03;
/// How much longer a row may take to be stored and indexed where there are more of them.
const FILL_BAR: f64 = 2.0;
/// Guesses at a time in a storm.
const GUESSERS: u8 = 16;

const P99_BAR_MS: f64 = 200.0;
const STORM_BAR: f64 = 2.0;
const BASELINE_BAR: f64 = 20.0;
const GROWTH_BAR: f64 = 1.2;
/// Clock ticks a second in `/proc/PID/stat`: USER_HZ is 100 on every Linux that the project runs on.
const TICKS: f64 = 100.0;

/// What is asked for: name, path, path of the baseline, how often among 63 requests, processor seconds per 1,000 requests
/// of the Python original where they are known.
type Endpoint = (&'static str, &'static str, &'static str, usize, Option<f64>);

/// What users look for: words of the evidence, rare ones and common ones.
const WORDS: &[&str] = &[
    "wget",
    "curl",
    "busybox",
    "MIRAI",
    "tftp",
    "crontab",
    "nproc",
    "chmod",
    "sysupdate",
    "passwd",
    "shadow",
    "whoami",
    "phpmyadmin",
    "phpunit",
    "actuator",
    "boaform",
    "luci",
    "robots",
    "authorized_keys",
    "cpuinfo",
];

/// `{before}` stands for an id in the log, `{attacker}` for one of the attackers, `{ip}` for its address, `{word}` for one of [`WORDS`]:
/// each user has another.
const MIX: &[Endpoint] = &[
    ("stats", "/stats", "/stats", 10, Some(1.21)),
    ("logs", "/logs?limit=50", "/logs", 8, Some(3.2)),
    ("attackers", "/attackers?limit=50", "/attackers", 8, Some(7.9)),
    ("deckies", "/deckies", "/deckies", 7, Some(0.98)),
    ("bounty", "/bounty?limit=50", "/bounty", 6, None),
    (
        "histogram",
        "/logs/histogram?interval_minutes=60",
        "/logs/histogram",
        5,
        None,
    ),
    (
        "search",
        "/logs?limit=50&search={word}",
        "/logs/search?text={word}",
        5,
        Some(32.0),
    ),
    (
        "filtered, paged",
        "/logs?limit=50&service=ssh&before={before}",
        "/logs/filtered?service=ssh&before={before}",
        8,
        None,
    ),
    ("health", "/health", "/health", 3, None),
    ("config", "/config", "/config", 3, None),
    (
        "attacker",
        "/attackers/{attacker}",
        "/attacker?ip={ip}",
        0,
        Some(9.1),
    ),
];

/// A process that is ended with the value.
struct Process(Child);

impl Process {
    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; waiting tells.
        let _ended = kill(
            Pid::from_raw(i32::try_from(self.0.id()).unwrap()),
            Signal::SIGTERM,
        );
        let _reaped = self.0.wait();
    }
}

fn programs() -> PathBuf {
    std::env::var_os("DECNET_PROGRAMS")
        .expect("DECNET_PROGRAMS is not set: `cargo xtask bench api` sets it")
        .into()
}

fn decnet(data: &Path) -> Command {
    let mut command = Command::new(programs().join("decnet"));
    command
        .arg("--data-dir")
        .arg(data)
        .env("DECNET_ADMIN_PASSWORD", FIRST_PASSWORD)
        .env(
            "DECNET_BUS_URL",
            format!("unix://{}", data.join("run/bus.sock").display()),
        );
    command
}

/// A whole host on `data`, up, whose answers are shared among those who ask the same for so many milliseconds.
fn up(data: &Path, shared_ms: u32) -> Process {
    let mut child = decnet(data)
        .args(["up", "--demo", "--listen", LISTEN])
        .args(["--set", "fleet-network=127.98.0.0/24"])
        .args(["--set", &format!("api-shared-ms={shared_ms}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let host = Process(child);
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    assert!(
        lines.any(|line| line.contains("DECNET is up")),
        "decnet up ended before it was up"
    );
    // Its words after that go nowhere, but a full pipe would hold it up.
    std::thread::spawn(move || lines.for_each(drop));
    host
}

/// One keep-alive connection to a server.
struct Connection {
    host: &'static str,
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn open(host: &'static str, from: Option<Ipv4Addr>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(from) = from {
            socket.bind(SocketAddr::from((from, 0))).unwrap();
        }
        let stream = socket.connect(host.parse().unwrap()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { host, sender }
    }

    /// The answer's status and body.
    async fn ask(&mut self, path: &str, token: Option<&str>, body: Option<&Value>) -> (u16, Bytes) {
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.host);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::from(body)).unwrap();
        self.sender.ready().await.unwrap();
        let answer = self.sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    }

    async fn json(&mut self, path: &str, token: Option<&str>, body: Option<&Value>) -> Value {
        let (status, text) = self.ask(path, token, body).await;
        let text = String::from_utf8_lossy(&text);
        assert!((200..300).contains(&status), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }
}

fn api(path: &str) -> String {
    format!("/api/v1{path}")
}

/// Fill a data directory with `rows` lines of evidence, all of them ingested and indexed, and make tokens. The seconds that
/// storing and indexing a row took.
async fn fill(data: &Path, rows: u64) -> f64 {
    let begin = Instant::now();
    let seeded = decnet(data)
        .args([
            "demo",
            "seed",
            "--events",
            &rows.to_string(),
            "--attackers",
            &(rows / ROWS_AN_ATTACKER).to_string(),
        ])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(seeded.success(), "demo seed ended with {seeded}");
    let host = up(data, SHARED_MS);
    let mut server = Connection::open(LISTEN, None).await;
    let first = json!({"username": "admin", "password": FIRST_PASSWORD});
    let session = server.json(&api("/auth/login"), None, Some(&first)).await;
    let change = json!({"old_password": FIRST_PASSWORD, "new_password": PASSWORD});
    let token = session["access_token"].as_str().unwrap().to_owned();
    server
        .json(&api("/auth/change-password"), Some(&token), Some(&change))
        .await;
    let again = json!({"username": "admin", "password": PASSWORD});
    let session = server.json(&api("/auth/login"), None, Some(&again)).await;
    let token = session["access_token"].as_str().unwrap().to_owned();
    let mut tokens = Vec::new();
    for n in 0..TOKENS {
        let request = json!({"name": format!("load-{n}"), "role": "admin", "expires_in_days": 3650});
        let made = server
            .json(&api("/auth/tokens"), Some(&token), Some(&request))
            .await;
        tokens.push(made["token"].as_str().unwrap().to_owned());
    }
    // All is in the database and in the index when nobody has anything to do any more.
    loop {
        at_rest(&host).await;
        // Anew each time: a connection that is not used is closed meanwhile.
        let mut server = Connection::open(LISTEN, None).await;
        let stats = server.json(&api("/stats"), Some(&tokens[0]), None).await;
        if stats["total_logs"].as_u64().unwrap() >= rows {
            break;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(3_600),
            "the ingester does not get through"
        );
    }
    drop(host);
    fs::write(data.join("load-tokens"), tokens.join("\n")).unwrap();
    let took = begin.elapsed().as_secs_f64();
    println!("{rows} rows went in and were indexed in {took:.0} s");
    took / f64::from(u32::try_from(rows).unwrap())
}

/// Wait until a host has nothing to do: what it found in its data is read, stored and indexed.
async fn at_rest(host: &Process) {
    let begin = Instant::now();
    loop {
        let before = cpu_s(host.pid());
        sleep(Duration::from_secs(3)).await;
        if (cpu_s(host.pid()) - before) / 3.0 < REST {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(3_600),
            "the host does not come to rest"
        );
    }
}

/// Processes of `/proc`, with their parents.
fn children() -> Vec<(u32, u32)> {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
        .collect()
}

/// The fields of `/proc/PID/stat` from the state on (proc(5)).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

fn own_cpu_s(pid: u32) -> f64 {
    let fields = stat(pid).unwrap_or_default();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS
}

/// User and system time of a process and of all below it.
fn cpu_s(root: u32) -> f64 {
    let all = children();
    let mut family = vec![root];
    let mut at = 0;
    while let Some(pid) = family.get(at).copied() {
        family.extend(
            all.iter()
                .filter(|(_, parent)| *parent == pid)
                .map(|(pid, _)| pid),
        );
        at += 1;
    }
    family.into_iter().map(own_cpu_s).sum()
}

fn server_of(host: &Process) -> u32 {
    let below = children().into_iter().filter(|(_, parent)| *parent == host.pid());
    let is_server =
        |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("decnet-server"));
    below
        .map(|(pid, _)| pid)
        .find(is_server)
        .expect("the host has no server")
}

/// What `{before}`, `{attacker}`, `{ip}` and `{word}` of the paths are.
struct Filling {
    newest: usize,
    /// Ids and addresses.
    attackers: Vec<(String, String)>,
}

impl Filling {
    async fn of(server: &mut Connection, token: &str) -> Self {
        let attackers = server.json(&api("/attackers?limit=500"), Some(token), None).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let attackers = attackers["data"].as_array().unwrap().iter();
        let logs = server.json(&api("/logs?limit=1"), Some(token), None).await;
        let newest = logs["data"][0]["id"].as_u64().unwrap();
        Self {
            newest: usize::try_from(newest).unwrap(),
            attackers: attackers.map(|a| (text(&a["id"]), text(&a["ip"]))).collect(),
        }
    }

    /// Where this user is in the log: they are spread over all of it.
    fn before(&self, user: usize) -> usize {
        self.newest / (USERS + 1) * (user % USERS + 1)
    }

    fn path(&self, of: &str, user: usize) -> String {
        let (id, _) = &self.attackers[user % self.attackers.len()];
        api(&of
            .replace("{before}", &format!("i{}", self.before(user)))
            .replace("{attacker}", id)
            .replace("{word}", WORDS[user % WORDS.len()]))
    }

    fn baseline(&self, of: &str, user: usize) -> String {
        let (_, ip) = &self.attackers[user % self.attackers.len()];
        of.replace("{before}", &self.before(user).to_string())
            .replace("{ip}", ip)
            .replace("{word}", WORDS[user % WORDS.len()])
    }

    /// A path for each user, or one where it is the same for all.
    fn paths(of: &str, path: impl Fn(&str, usize) -> String) -> Vec<String> {
        let users = if of.contains('{') { USERS } else { 1 };
        (0..users).map(|user| path(of, user)).collect()
    }
}

/// What a thousand requests cost.
#[derive(Clone, Copy)]
struct Cost {
    cpu_s: f64,
    /// Bytes of an answer, on average.
    bytes: f64,
}

/// What `pid` needs per 1,000 requests for these paths in turn, one at a time, with the tokens in turn: the median of some rounds.
async fn cost(connection: &mut Connection, pid: u32, paths: &[String], tokens: &[String]) -> Cost {
    // What looks nobody up, such as the health, grants the limit of a token only where that was good a moment ago.
    for token in tokens {
        connection.json(&api("/auth/me"), Some(token), None).await;
    }
    let (mut paths, mut tokens) = (paths.iter().cycle(), tokens.iter().cycle());
    let mut rounds = Vec::new();
    for _ in 0..ASKED_TIMES {
        let (begin, before) = (Instant::now(), own_cpu_s(pid));
        let (mut asked, mut bytes) = (0_u32, 0_usize);
        while begin.elapsed() < ASKED {
            let (path, token) = (paths.next().unwrap(), tokens.next().map(String::as_str));
            let (status, text) = connection.ask(path, token, None).await;
            assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&text));
            bytes += text.len();
            asked += 1;
        }
        rounds.push(Cost {
            cpu_s: (own_cpu_s(pid) - before) / f64::from(asked) * 1_000.0,
            bytes: f64::from(u32::try_from(bytes / usize::try_from(asked).unwrap()).unwrap()),
        });
    }
    rounds.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
    rounds[ASKED_TIMES / 2]
}

/// FastAPI on the database of a data directory.
async fn baseline(data: &Path) -> Process {
    let environment = PathBuf::from(
        std::env::var_os("FASTAPI").expect("FASTAPI is not set: `cargo xtask bench api` sets it"),
    );
    let (_, port) = BASELINE.split_once(':').unwrap();
    let process = Command::new(environment.join("bin/python"))
        .args([
            "-m",
            "uvicorn",
            "baseline:app",
            "--port",
            port,
            "--no-access-log",
            "--log-level",
            "warning",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/benches"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("DATABASE", data.join("decnet.db"))
        .spawn()
        .unwrap();
    let process = Process(process);
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(BASELINE).await.is_ok() {
            return process;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("FastAPI does not listen");
}

/// Ours and the baseline's costs of each endpoint, by name.
type Costs = BTreeMap<&'static str, (Cost, Cost)>;

/// Ours and the baseline's processor time of the whole mix.
fn of_mix(costs: &Costs) -> (f64, f64) {
    let sum = |of: fn(&(Cost, Cost)) -> Cost| -> f64 {
        MIX.iter()
            .map(|(name, .., weight, _)| of(&costs[name]).cpu_s * f64::from(u32::try_from(*weight).unwrap()))
            .sum()
    };
    (sum(|c| c.0), sum(|c| c.1))
}

async fn costs(host: &Process, data: &Path, tokens: &[String]) -> Costs {
    let python = baseline(data).await;
    let mut server = Connection::open(LISTEN, None).await;
    let mut other = Connection::open(BASELINE, None).await;
    let filling = Filling::of(&mut server, &tokens[0]).await;
    let pid = server_of(host);
    let mut costs = Costs::new();
    println!(
        "{:<16} {:>12} {:>12} {:>8} {:>10} {:>8} {:>10}",
        "CPU-s per 1,000", "DECNET", "FastAPI", "ratio", "original", "ratio", "bytes"
    );
    for (name, path, theirs, _, original) in MIX {
        let paths = Filling::paths(path, |of, user| filling.path(of, user));
        let ours = cost(&mut server, pid, &paths, tokens).await;
        let paths = Filling::paths(theirs, |of, user| filling.baseline(of, user));
        let theirs = cost(&mut other, python.pid(), &paths, &[]).await;
        let of_original = original.map_or_else(
            || format!("{:>10} {:>8}", "", ""),
            |cost| format!("{cost:>10.2} {:>8.1}", cost / ours.cpu_s),
        );
        println!(
            "{name:<16} {:>12.3} {:>12.3} {:>8.1} {of_original} {:>10.0}",
            ours.cpu_s,
            theirs.cpu_s,
            theirs.cpu_s / ours.cpu_s,
            ours.bytes
        );
        costs.insert(name, (ours, theirs));
    }
    let (ours, theirs) = of_mix(&costs);
    println!(
        "{:<16} {:>12} {:>12} {:>8.1} (bar {BASELINE_BAR})",
        "the mix",
        "",
        "",
        theirs / ours
    );
    costs
}

/// Milliseconds that 99 of 100 of them, and half of them, did not exceed.
fn quantile(sorted: &[f64], of: f64) -> f64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let at = (sorted.len() as f64 * of) as usize;
    sorted.get(at.min(sorted.len() - 1)).copied().unwrap_or(f64::NAN)
}

/// The load of [`USERS`] for [`SPAN`]: p99 in milliseconds.
async fn load(host: &Process, tokens: &Arc<Vec<String>>, what: &str) -> f64 {
    let mut server = Connection::open(LISTEN, None).await;
    let filling = Filling::of(&mut server, &tokens[0]).await;
    // Spread out, so that not every user asks for the same thing at the same moment.
    let mut requests: Vec<usize> = Vec::new();
    let most = MIX.iter().map(|(.., weight, _)| *weight).max().unwrap();
    for turn in 0..most {
        for (n, (_, _, _, weight, _)) in MIX.iter().enumerate() {
            if turn < *weight {
                requests.push(n);
            }
        }
    }
    let requests = Arc::new(requests);
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = Connection::open(LISTEN, None).await;
        let token = &tokens[0];
        let request = Request::get(api("/stream"))
            .header("host", LISTEN)
            .header("authorization", format!("Bearer {token}"))
            .body(Full::default())
            .unwrap();
        let mut answer = stream.sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200, "a stream is refused");
        streams.push(tokio::spawn(async move {
            while let Some(Ok(_)) = answer.frame().await {}
        }));
    }
    let cpu = cpu_s(server_of(host));
    let begin = Instant::now();
    let mut users = JoinSet::new();
    for user in 0..USERS {
        let (tokens, requests) = (Arc::clone(tokens), Arc::clone(&requests));
        let paths: Vec<String> = MIX.iter().map(|(_, path, ..)| filling.path(path, user)).collect();
        users.spawn(async move {
            let mut server = Connection::open(LISTEN, None).await;
            let token = &tokens[user % tokens.len()];
            let mut taken: Vec<(usize, f64)> = Vec::new();
            let mut wrong: Vec<(usize, u16)> = Vec::new();
            let mut at = user * 7;
            while begin.elapsed() < SPAN {
                let n = requests[at % requests.len()];
                let asked = Instant::now();
                let (status, _) = server.ask(&paths[n], Some(token), None).await;
                taken.push((n, asked.elapsed().as_secs_f64() * 1_000.0));
                if status != 200 {
                    wrong.push((n, status));
                }
                at += 1;
                // 10 to 50 ms, by a step that visits every value.
                sleep(Duration::from_millis(
                    10 + u64::try_from((at * 17 + user) % 41).unwrap(),
                ))
                .await;
            }
            (taken, wrong)
        });
    }
    let mut taken = vec![Vec::new(); MIX.len()];
    let mut wrong = BTreeMap::<(usize, u16), u32>::new();
    while let Some(user) = users.join_next().await {
        let (of_user, wrong_of_user) = user.unwrap();
        for (n, ms) in of_user {
            taken[n].push(ms);
        }
        for what in wrong_of_user {
            *wrong.entry(what).or_default() += 1;
        }
    }
    let span = begin.elapsed().as_secs_f64();
    let cpu = cpu_s(server_of(host)) - cpu;
    for stream in streams {
        assert!(!stream.is_finished(), "a stream broke off under load");
        stream.abort();
    }
    let mut all: Vec<f64> = taken.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let count = f64::from(u32::try_from(all.len()).unwrap());
    println!(
        "{what}: {:.0} requests a second, {:.3} CPU-s per 1,000, p50 {:.1} ms, p99 {:.1} ms",
        count / span,
        cpu / count * 1_000.0,
        quantile(&all, 0.5),
        quantile(&all, 0.99)
    );
    for (of_endpoint, (name, ..)) in taken.iter_mut().zip(MIX) {
        of_endpoint.sort_by(f64::total_cmp);
        if !of_endpoint.is_empty() {
            println!(
                "  {name:<16} {:>8} requests, p50 {:>6.1} ms, p99 {:>6.1} ms",
                of_endpoint.len(),
                quantile(of_endpoint, 0.5),
                quantile(of_endpoint, 0.99)
            );
        }
    }
    assert!(
        wrong.is_empty(),
        "answers but 200: {:?}",
        wrong
            .iter()
            .map(|((n, status), count)| (MIX[*n].0, status, count))
            .collect::<Vec<_>>()
    );
    quantile(&all, 0.99)
}

/// Strangers who guess: names that do not exist, from addresses that change, as fast as they are answered.
async fn storm() -> BTreeMap<u16, u32> {
    let mut guessers = JoinSet::new();
    let begin = Instant::now();
    for guesser in 0..GUESSERS {
        guessers.spawn(async move {
            let mut answers = BTreeMap::<u16, u32>::new();
            let mut n = 0_u16;
            while begin.elapsed() < SPAN {
                let [high, low] = n.to_be_bytes();
                let mut server =
                    Connection::open(LISTEN, Some(Ipv4Addr::new(127, 100 + guesser, high, low.max(1)))).await;
                let guess = json!({"username": format!("guess-{guesser}-{n}"), "password": "a-wrong-password-indeed"});
                let (status, _) = server.ask(&api("/auth/login"), None, Some(&guess)).await;
                *answers.entry(status).or_default() += 1;
                n = n.wrapping_add(1);
            }
            answers
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(of_guesser) = guessers.join_next().await {
        for (status, count) in of_guesser.unwrap() {
            *answers.entry(status).or_default() += count;
        }
    }
    answers
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let named: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let sizes = if named.is_empty() {
        vec![100_000, 1_000_000]
    } else {
        named
    };
    let mut failed = Vec::new();
    let mut check = |held: bool, what: String| {
        println!("{} {what}", if held { "held:  " } else { "MISSED:" });
        if !held {
            failed.push(what);
        }
    };
    let mut by_size: Vec<Costs> = Vec::new();
    let mut filled = Vec::new();
    let mut shared = Costs::new();
    for (n, rows) in sizes.iter().enumerate() {
        let data = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("bench-api-{rows}-{}", rows / ROWS_AN_ATTACKER));
        if !data.join("load-tokens").is_file() {
            if data.exists() {
                fs::remove_dir_all(&data).unwrap();
            }
            filled.push(fill(&data, *rows).await);
        }
        let tokens = fs::read_to_string(data.join("load-tokens")).unwrap();
        let tokens: Arc<Vec<String>> = Arc::new(tokens.lines().map(str::to_owned).collect());
        let host = up(&data, 0);
        at_rest(&host).await;
        println!("\n{rows} rows, each answer made anew");
        by_size.push(costs(&host, &data, &tokens).await);
        drop(host);
        if n + 1 < sizes.len() {
            continue;
        }
        let host = up(&data, SHARED_MS);
        at_rest(&host).await;
        println!("\n{rows} rows, as it comes: an answer is shared for {SHARED_MS} ms");
        shared = costs(&host, &data, &tokens).await;
        println!();
        let calm = load(&host, &tokens, &format!("{USERS} users")).await;
        check(calm < P99_BAR_MS, format!("p99 {calm:.1} ms (bar {P99_BAR_MS})"));
        let storm = tokio::spawn(storm());
        let stormy = load(&host, &tokens, &format!("{USERS} users and {GUESSERS} guessers")).await;
        println!("  guesses by status: {:?}", storm.await.unwrap());
        check(
            stormy / calm < STORM_BAR,
            format!(
                "p99 in a storm of logins {stormy:.1} ms, {:.2} times (bar {STORM_BAR})",
                stormy / calm
            ),
        );
    }
    println!();
    // Data of an earlier run was not filled in now.
    if let ([first, .., last], true) = (filled.as_slice(), filled.len() == sizes.len()) {
        check(
            last / first <= FILL_BAR,
            format!(
                "storing and indexing: {:.2} times the time a row at {} rows of that at {} (bar {FILL_BAR})",
                last / first,
                sizes[sizes.len() - 1],
                sizes[0]
            ),
        );
    }
    let (small, large) = (&by_size[0], &by_size[by_size.len() - 1]);
    for (name, .., original) in MIX {
        let (ours, anew) = (shared[name].0.cpu_s, large[name].0.cpu_s);
        if let Some(original) = original {
            check(
                original / ours >= BASELINE_BAR,
                format!(
                    "{name}: {:.1} times cheaper than the original, {:.1} times with each answer made anew (bar {BASELINE_BAR})",
                    original / ours,
                    original / anew
                ),
            );
        }
        if by_size.len() > 1 {
            let of_small = small[name].0;
            let growth = anew / of_small.cpu_s;
            check(
                growth <= GROWTH_BAR,
                format!(
                    "{name}: {growth:.2} times the cost at {} rows of that at {}, for {:.2} times the bytes (bar {GROWTH_BAR})",
                    sizes[sizes.len() - 1],
                    sizes[0],
                    large[name].0.bytes / of_small.bytes
                ),
            );
        }
    }
    let ((ours, theirs), (anew, theirs_anew)) = (of_mix(&shared), of_mix(large));
    check(
        theirs / ours >= BASELINE_BAR,
        format!(
            "the mix: {:.1} times the requests of FastAPI in the same processor time, {:.1} times with each answer made anew (bar {BASELINE_BAR})",
            theirs / ours,
            theirs_anew / anew
        ),
    );
    assert!(failed.is_empty(), "{} bars missed", failed.len());
}
