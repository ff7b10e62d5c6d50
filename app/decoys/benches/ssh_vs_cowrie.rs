//! The ssh decoy against Cowrie: authentication attempts in the same processor time, from the same client.
//!
//! Both run as they are shipped: the decoy as the program inside a decky (`DECOY_BINARY`), Cowrie from PyPI (`COWRIE`, the
//! folder of its virtual environment) under twistd, and both record every attempt. The client is russh's, in this process;
//! it shares the processors with both, so the figure to trust is the processor time of the server, out of `/proc`.
//!
//! Then the memory of connections that wait: with a key exchanged and nobody signed in, and signed in.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark: it ends at the first fault, and prints its figures"
)]

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{Signal, kill},
    },
    unistd::{Pid, geteuid},
};
use russh::{
    Preferred, cipher, client, kex,
    keys::{Algorithm, EcdsaCurve, PublicKeyOrCertificate},
    mac,
};
use tempfile::TempDir;

/// The decoy takes at least this many attempts for each of Cowrie's, in the same processor time.
const BAR: f64 = 5.0;
/// Clock ticks a second in `/proc/PID/stat`: USER_HZ is 100 on every Linux that the project runs on.
const TICKS: f64 = 100.0;
/// Clients at a time: fewer than `MaxStartups` begins to drop.
const CLIENTS: usize = 8;
/// Attempts of one run, on the decoy and on Cowrie, which answers so few a second. The median of [`RUNS`] counts.
const ATTEMPTS: [usize; 2] = [1_500, 240];
const RUNS: usize = 3;
/// Connections of each kind whose memory is looked at, of the decoy and of Cowrie.
const WAITING: [usize; 2] = [1_000, 250];
/// What the decoy may take with twice as many that have exchanged keys, in MiB.
const MEMORY: f64 = 64.0;
/// Who gets in, and nobody else.
const USER: &str = "root";
const PASSWORD: &str = "letmein9";

/// A server under test.
struct Server {
    child: Child,
    address: SocketAddr,
    attempts: usize,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _gone = kill(self.pid(), Signal::SIGTERM);
        let _reaped = self.child.wait();
    }
}

impl Server {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Seconds of processor time so far, in user space and in the kernel.
    fn processor_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name in parentheses may hold blanks; utime and stime are fields 14 and 15 (proc(5)).
        let after_name = stat.rsplit(')').next().unwrap();
        let ticks: f64 = after_name
            .split_whitespace()
            .skip(14 - 3)
            .take(2)
            .map(|field| field.parse::<f64>().unwrap())
            .sum();
        ticks / TICKS
    }

    /// VmRSS, in KiB.
    fn resident_kib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// The decoy as the fleet runs it: evidence into a file. `knobs` are its own, but for the time of a refusal.
    fn decoy(program: &str, distro: &str, mut knobs: serde_json::Value) -> Self {
        // It is waited for, not worked for, by both.
        let refusal = ("refusal_ms".to_owned(), 1.into());
        knobs.as_object_mut().unwrap().extend([refusal]);
        let folder = tempfile::tempdir().unwrap();
        // Where root measures, the program becomes somebody else.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let config = serde_json::json!({
            "name": "bench-1",
            "persona": {"seed": "ssh-bench", "archetype": "linux-server", "distro": distro},
            "services": [{"slug": "ssh", "knobs": knobs, "listen": ["127.0.0.1:0"]}],
            "limits": {"connections_per_address": 2 * WAITING[0] + 1},
            "artifacts": folder.path().join("artifacts"),
            "transcripts": folder.path().join("transcripts"),
        });
        let file = folder.path().join("config.json");
        fs::write(&file, config.to_string()).unwrap();
        let evidence = folder.path().join("evidence");
        let mut child = Command::new(program)
            .arg(file)
            .stdin(Stdio::null())
            .stdout(File::create(&evidence).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut words = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut words)
            .unwrap();
        assert_eq!(words.trim_end(), "ready");
        let evidence = fs::read_to_string(&evidence).unwrap();
        let listen = evidence.split("listen=\"").nth(1).unwrap();
        Self {
            child,
            address: listen.split('"').next().unwrap().parse().unwrap(),
            attempts: ATTEMPTS[0],
            _folder: folder,
        }
    }

    /// Cowrie with its own defaults, but for the port and the one account.
    fn cowrie(environment: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for below in [
            "etc",
            "var/lib/cowrie/tty",
            "var/lib/cowrie/downloads",
            "var/log/cowrie",
            "var/run",
        ] {
            fs::create_dir_all(root.join(below)).unwrap();
        }
        // The port is free again between the two; should somebody take it, the client's first connection fails.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = format!(
            "[ssh]\nlisten_endpoints = tcp:{}:interface=127.0.0.1\n",
            address.port()
        );
        fs::write(root.join("etc/cowrie.cfg"), listen).unwrap();
        fs::write(root.join("etc/userdb.txt"), format!("{USER}:x:{PASSWORD}\n")).unwrap();
        let twistd = environment.join("bin/twistd");
        // It refuses to run as root, and another user may not read the environment: a user namespace in which root has
        // another number lets it.
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-user=1000"]).arg(twistd);
            command
        } else {
            Command::new(twistd)
        };
        let child = command
            .args([
                "-n",
                "--umask=0022",
                "--pidfile=",
                "--logger",
                "cowrie.python.logfile.logger",
                "cowrie",
            ])
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(File::create(root.join("out")).unwrap())
            .stderr(File::create(root.join("err")).unwrap())
            .spawn()
            .unwrap();
        let server = Self {
            child,
            address,
            attempts: ATTEMPTS[1],
            _folder: folder,
        };
        let until = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < until, "Cowrie does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// What OpenSSH's client prefers, as far as russh has it.
fn config() -> Arc<client::Config> {
    Arc::new(client::Config {
        preferred: Preferred {
            kex: Cow::Borrowed(&[
                kex::CURVE25519,
                kex::CURVE25519_PRE_RFC_8731,
                kex::ECDH_SHA2_NISTP256,
                kex::DH_G14_SHA256,
            ]),
            key: Cow::Borrowed(&[
                Algorithm::Ed25519,
                Algorithm::Ecdsa {
                    curve: EcdsaCurve::NistP256,
                },
            ]),
            cipher: Cow::Borrowed(&[
                cipher::CHACHA20_POLY1305,
                cipher::AES_128_CTR,
                cipher::AES_256_CTR,
            ]),
            mac: Cow::Borrowed(&[mac::HMAC_SHA256_ETM, mac::HMAC_SHA256]),
            ..Preferred::DEFAULT
        },
        inactivity_timeout: None,
        ..client::Config::default()
    })
}

/// Connect, again where the server turns somebody away: both take only so many at a time that are not signed in, and one that has just
/// hung up may still be among them.
async fn connect(address: SocketAddr, config: &Arc<client::Config>) -> client::Handle<Client> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match client::connect(Arc::clone(config), address, Client).await {
            Ok(session) => return session,
            Err(error) => assert!(Instant::now() < until, "{address} lets nobody in: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What one run shows.
struct Run {
    /// Processor milliseconds of the server for an attempt.
    cost: f64,
    /// Attempts a second.
    rate: f64,
}

fn median(mut all: Vec<Run>) -> Run {
    all.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    all.swap_remove(all.len() / 2)
}

/// Try `each` wrong passwords on every connection, as many as [`ATTEMPTS`] says in all.
async fn guess(server: &Server, each: usize) -> Run {
    let config = config();
    let rounds = server.attempts / CLIENTS / each;
    let (before, began) = (server.processor_s(), Instant::now());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (config, address) = (Arc::clone(&config), server.address);
            tokio::spawn(async move {
                for round in 0..rounds {
                    let mut session = connect(address, &config).await;
                    for guess in 0..each {
                        let word = format!("guess-{n}-{round}-{guess}");
                        let answer = session.authenticate_password("admin9", word).await.unwrap();
                        assert!(!answer.success());
                    }
                    // The server may have hung up already.
                    let _gone = session.disconnect(russh::Disconnect::ByApplication, "", "").await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let attempts = (rounds * each * CLIENTS) as f64;
    Run {
        cost: (server.processor_s() - before) / attempts * 1000.0,
        rate: attempts / seconds,
    }
}

/// Memory of a connection before and after it has signed in, in KiB, and of the whole server, in MiB: with `number` of each.
async fn waiting(server: &Server, number: usize) -> (f64, f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "1,000")]
    let count = number as f64;
    let config = config();
    // Whatever the first connection leaves behind belongs to none.
    let mut first = connect(server.address, &config).await;
    assert!(
        first
            .authenticate_password(USER, PASSWORD)
            .await
            .unwrap()
            .success()
    );
    let idle = server.resident_kib();
    let mut sessions = Vec::new();
    for _ in 0..number {
        let mut session = connect(server.address, &config).await;
        let answer = session.authenticate_password(USER, PASSWORD).await.unwrap();
        assert!(answer.success());
        sessions.push(session);
    }
    // Those stay; the others would be sent away after two minutes.
    let entered = server.resident_kib();
    for _ in 0..number {
        sessions.push(connect(server.address, &config).await);
    }
    let all = server.resident_kib();
    ((all - entered) / count, (entered - idle) / count, all / 1024.0)
}

fn main() {
    let Some(cowrie) = std::env::var_os("COWRIE") else {
        println!(
            "skipped: COWRIE names no environment that Cowrie is installed in; `cargo xtask bench ssh` makes one"
        );
        return;
    };
    let Ok(program) = std::env::var("DECOY_BINARY") else {
        println!("skipped: DECOY_BINARY names no program to measure; `cargo xtask bench ssh` builds it");
        return;
    };
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();

    let (ours, theirs) = (
        Server::decoy(&program, "debian12", serde_json::json!({"accept": "never"})),
        Server::cowrie(Path::new(&cowrie)),
    );
    // The decoy makes its host keys when it starts, Cowrie its own at the first connection: none of an attempt's cost.
    for server in [&ours, &theirs] {
        runtime.block_on(connect(server.address, &config()));
    }
    println!(
        "{ATTEMPTS:?} wrong passwords, {CLIENTS} clients at a time, median of {RUNS} runs; processor time is the server's"
    );
    for each in [3, 1] {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        // By turns, so that what else the machine does weighs on both.
        for _ in 0..RUNS {
            a.push(runtime.block_on(guess(&ours, each)));
            b.push(runtime.block_on(guess(&theirs, each)));
        }
        let (a, b) = (median(a), median(b));
        let what = format!("{each} a connection");
        for (name, run) in [("decoy", &a), ("Cowrie", &b)] {
            println!(
                "{what:14} {name:6} {:7.3} CPU ms an attempt, {:6.0} attempts/s",
                run.cost, run.rate
            );
        }
        let ratio = b.cost / a.cost;
        println!(
            "{what:14} attempts in the same CPU time, to Cowrie {ratio:.1} (bar {BAR}): {}",
            if ratio >= BAR { "met" } else { "missed" }
        );
    }
    drop((ours, theirs));

    println!("resident memory of a connection, of {WAITING:?} that wait:");
    let (ours, theirs) = (
        // As dropbear, a program that has no MaxStartups, which would let in a hundred only.
        Server::decoy(&program, "firmware", serde_json::json!({"accept": "always"})),
        Server::cowrie(Path::new(&cowrie)),
    );
    let [many, some] = WAITING;
    for (name, server, number) in [("decoy", ours, many), ("Cowrie", theirs, some)] {
        let (before, after, all) = runtime.block_on(waiting(&server, number));
        println!("  {name:6} {before:7.1} KiB with keys exchanged, {after:7.1} KiB signed in");
        if number == many {
            println!(
                "  {name:6} {all:7.1} MiB in all with {} (bar {MEMORY}): {}",
                2 * number,
                if all < MEMORY { "met" } else { "missed" }
            );
        }
    }
}
