//! The program as the fleet runs it: ready, changed by SIGHUP, ended by SIGTERM, and what it says when it cannot start.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

use std::{
    collections::HashSet,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    ops::Range,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use decnet_decoys::config::Proof;
use decnet_persona::{PersonaSpec, Seed};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A running program, ended with the test.
struct Running {
    child: Child,
    trouble: BufReader<ChildStderr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Running {
    fn start(config: &Path) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_decnet-decoy")).arg(config))
    }

    /// With no more than `files` open files.
    fn start_with_files(config: &Path, files: u32) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh"]);
        shell.arg(files.to_string());
        Self::run(shell.arg(env!("CARGO_BIN_EXE_decnet-decoy")).arg(config))
    }

    fn run(command: &mut Command) -> Self {
        Self::run_into(Stdio::piped(), command)
    }

    /// With its evidence into `out`.
    fn run_into(out: Stdio, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let trouble = BufReader::new(child.stderr.take().unwrap());
        Self { child, trouble }
    }

    /// Wait until it listens; whether the kernel restricts the files that it can read.
    fn ready(&mut self) -> bool {
        let mut first = self.says();
        let restricted = !first.starts_with("this kernel has no Landlock");
        if !restricted {
            first = self.says();
        }
        assert_eq!(first, "ready");
        restricted
    }

    /// The next line that it says to the operator.
    fn says(&mut self) -> String {
        let mut line = String::new();
        self.trouble.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Its exit status and all evidence.
    fn end(mut self) -> (Option<i32>, String) {
        let mut evidence = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut evidence)
            .unwrap();
        (self.child.wait().unwrap().code(), evidence)
    }
}

/// A folder that the program can still read when it is no longer root.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn config(services: &[(&str, SocketAddr)]) -> String {
    let services: Vec<String> = services
        .iter()
        .map(|(slug, addr)| format!(r#"{{"slug":"{slug}","listen":["{addr}"]}}"#))
        .collect();
    let archetype = decnet_persona::archetype::ALL.first().unwrap().slug;
    let persona = decnet_persona::PersonaSpec::new(decnet_persona::Seed::from_bytes([3; 16]), archetype);
    let persona = serde_json::to_string(&persona).unwrap();
    format!(
        r#"{{"name":"web-01","persona":{persona},"services":[{}]}}"#,
        services.join(",")
    )
}

fn ask(stream: &mut TcpStream, words: &[u8], answer: &[u8]) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(words).unwrap();
    let mut got = vec![0; answer.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(answer));
}

#[test]
fn services_come_and_go_by_sighup_without_dropping_other_sessions_and_sigterm_ends_in_order() {
    let folder = folder();
    let file = folder.path().join("config.json");
    let (redis, ftp) = (free_port(), free_port());
    fs::write(&file, config(&[("redis", redis)])).unwrap();
    let mut program = Running::start(&file);
    program.ready();

    let mut session = TcpStream::connect(redis).unwrap();
    ask(&mut session, b"PING\r\n", b"+PONG\r\n");
    assert!(TcpStream::connect(ftp).is_err());

    fs::write(&file, config(&[("redis", redis), ("ftp", ftp)])).unwrap();
    program.signal(Signal::SIGHUP);
    assert_eq!(program.says(), "configuration applied");
    ask(&mut TcpStream::connect(ftp).unwrap(), b"", b"220 ");
    ask(&mut session, b"PING\r\n", b"+PONG\r\n");

    fs::write(&file, "{").unwrap();
    program.signal(Signal::SIGHUP);
    let refusal = program.says();
    assert!(
        refusal.starts_with("configuration not applied: ") && refusal.contains("config.json"),
        "{refusal}"
    );
    ask(&mut session, b"PING\r\n", b"+PONG\r\n");

    fs::write(&file, config(&[("redis", redis)])).unwrap();
    program.signal(Signal::SIGHUP);
    assert_eq!(program.says(), "configuration applied");
    ask(&mut session, b"PING\r\n", b"+PONG\r\n");

    program.signal(Signal::SIGTERM);
    let (status, evidence) = program.end();
    assert_eq!(status, Some(0));
    let count = |what: &str| evidence.lines().filter(|line| line.contains(what)).count();
    assert_eq!(
        (count(" service_started "), count(" service_stopped ")),
        (2, 2),
        "{evidence}"
    );
    assert_eq!(count(" connect "), count(" disconnect "), "{evidence}");
    assert_eq!(count("reason=\"shutdown\""), 1, "{evidence}");
}

/// Whether the kernel can restrict where a program connects to: Landlock can since Linux 6.7.
fn restricts_connections() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(7))
}

#[test]
fn visitors_are_led_to_another_program_where_it_may_connect_and_nowhere_else() {
    let folder = folder();
    let file = folder.path().join("config.json");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let (door, to) = (free_port(), other.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut visitor, _) = other.accept().unwrap();
        ask(&mut visitor, b"welcome", b"hello");
        other
    });
    let led = |reach: u16| {
        let bare = config(&[]);
        let bare = bare.strip_suffix("\"services\":[]}").unwrap();
        format!(
            r#"{bare}"reach":[{reach}],"services":[{{"slug":"intranet","listen":["{door}"],"relays":[{{"listen":{},"port":8080,"to":"{to}"}}]}}]}}"#,
            door.port()
        )
    };
    fs::write(&file, led(to.port())).unwrap();
    let mut program = Running::start(&file);
    program.ready();
    ask(&mut TcpStream::connect(door).unwrap(), b"hello", b"welcome");
    let _other = answering.join().unwrap();
    program.signal(Signal::SIGTERM);
    let (status, evidence) = program.end();
    assert_eq!(status, Some(0));
    for words in [
        " intranet - exchange ",
        "dst_port=\"8080\"",
        "received=\"hello\"",
        "answered=\"welcome\"",
    ] {
        assert!(evidence.contains(words), "{words}: {evidence}");
    }

    // What it was not started with it cannot have later.
    fs::write(&file, led(9)).unwrap();
    let mut program = Running::start(&file);
    if !(program.ready() && restricts_connections()) {
        decnet_testkit::skipped("this kernel does not restrict where a program connects to");
        return;
    }
    fs::write(&file, led(to.port())).unwrap();
    program.signal(Signal::SIGHUP);
    assert_eq!(program.says(), "configuration applied");
    let mut visitor = TcpStream::connect(door).unwrap();
    assert!(visitor.read(&mut [0; 8]).is_err(), "it was led on");
    program.signal(Signal::SIGTERM);
    let (_, evidence) = program.end();
    assert!(evidence.contains("reason=\"unanswered\""), "{evidence}");
}

#[test]
fn it_connects_back_to_who_asks_for_that_by_ftp() {
    let folder = folder();
    let file = folder.path().join("config.json");
    let ftp = free_port();
    let allowed =
        config(&[("ftp", ftp)]).replace(r#""slug":"ftp","#, r#""slug":"ftp","knobs":{"active":true},"#);
    assert!(allowed.contains("active"));
    fs::write(&file, allowed).unwrap();
    let mut program = Running::start(&file);
    program.ready();
    let data = TcpListener::bind("127.0.0.1:0").unwrap();
    let [high, low] = data.local_addr().unwrap().port().to_be_bytes();
    let mut control = BufReader::new(TcpStream::connect(ftp).unwrap());
    let say = |control: &mut BufReader<TcpStream>, words: &str| {
        control.get_mut().write_all(words.as_bytes()).unwrap();
        let mut answer = String::new();
        control.read_line(&mut answer).unwrap();
        answer
    };
    let port = format!("PORT 127,0,0,1,{high},{low}\r\n");
    for (words, code) in [
        ("", "220"),
        ("USER anonymous\r\n", "331"),
        ("PASS a@b.example\r\n", "230"),
        (port.as_str(), "200"),
        ("LIST\r\n", "150"),
    ] {
        let answer = say(&mut control, words);
        assert!(answer.starts_with(code), "{words}: {answer}");
    }
    let mut listing = String::new();
    data.accept().unwrap().0.read_to_string(&mut listing).unwrap();
    assert!(listing.contains("drwx"), "{listing}");
    program.signal(Signal::SIGTERM);
    assert_eq!(program.end().0, Some(0));
}

#[test]
fn out_of_file_descriptors_it_waits_says_so_and_serves_again_once_there_are_some() {
    let folder = folder();
    let file = folder.path().join("config.json");
    let redis = free_port();
    fs::write(&file, config(&[("redis", redis)])).unwrap();
    let mut program = Running::start_with_files(&file, 40);
    program.ready();
    let mut first = TcpStream::connect(redis).unwrap();
    ask(&mut first, b"PING\r\n", b"+PONG\r\n");
    // The kernel takes them in; the program cannot.
    let more: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(redis).unwrap()).collect();
    let words = program.says();
    assert!(
        words.contains("accept") && words.contains("trying again"),
        "{words}"
    );
    ask(&mut first, b"PING\r\n", b"+PONG\r\n");
    drop(more);
    ask(&mut TcpStream::connect(redis).unwrap(), b"PING\r\n", b"+PONG\r\n");
    program.signal(Signal::SIGTERM);
    let (status, evidence) = program.end();
    assert_eq!(status, Some(0));
    let told = evidence
        .lines()
        .filter(|line| line.contains(" limit_reached "))
        .count();
    // Every pause is twice as long as the one before, so that waiting costs nothing.
    assert!((1..100).contains(&told), "{told} times told");
}

#[test]
fn it_reads_no_file_outside_its_folder_even_one_that_every_user_may_read() {
    let (inside, outside) = (folder(), folder());
    let file = inside.path().join("config.json");
    let redis = free_port();
    fs::write(&file, config(&[("redis", redis)])).unwrap();
    let mut program = Running::start(&file);
    if !program.ready() {
        decnet_testkit::skipped("this kernel has no Landlock");
        return;
    }
    // Another file of the same folder is read, so it is not the link itself that is refused.
    for (place, answer) in [
        (&inside, "configuration applied"),
        (&outside, "configuration not applied: "),
    ] {
        let other = place.path().join("other.json");
        fs::write(&other, config(&[("redis", redis)])).unwrap();
        fs::remove_file(&file).unwrap();
        symlink(&other, &file).unwrap();
        program.signal(Signal::SIGHUP);
        let words = program.says();
        assert!(words.starts_with(answer), "{words}");
        assert_eq!(
            words.contains("Permission denied"),
            place.path() == outside.path(),
            "{words}"
        );
    }
}

#[test]
fn it_ends_with_its_parent_whoever_it_became() {
    let folder = folder();
    let file = folder.path().join("config.json");
    fs::write(&file, config(&[("redis", free_port())])).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"setpriv --pdeathsig KILL "$@" & echo $! > "$0"; wait"#]);
    let pid = folder.path().join("pid");
    let mut program = Running::run(shell.arg(&pid).arg(env!("CARGO_BIN_EXE_decnet-decoy")).arg(&file));
    program.ready();
    let pid = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    // A zombie waits only for whoever inherited it.
    let lives = || {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
    };
    assert!(lives());
    program.child.kill().unwrap();
    // Its standard output stays open, so that is not why it ends.
    let begun = Instant::now();
    while lives() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let outlived = lives();
    if outlived {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    assert!(!outlived, "it outlived its parent");
}

#[test]
fn its_help_gives_nothing_away_and_arguments_that_it_does_not_have_are_named() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_decnet-decoy"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for help in ["--help", "-h"] {
        let (status, stdout, stderr) = run(&[help]);
        assert_eq!((status, stderr.as_str()), (Some(0), ""));
        assert!(stdout.starts_with("usage: PROGRAM [FILE]\n"), "{stdout}");
        for word in ["decnet", "decoy", "decky", "honey"] {
            assert!(!stdout.to_lowercase().contains(word), "{word}: {stdout}");
        }
    }
    for version in ["--version", "-V"] {
        let told = format!("{}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(run(&[version]), (Some(0), told, String::new()));
    }
    for (arguments, named) in [
        (&["--verbose"][..], "--verbose: "),
        (&["-x"], "-x: "),
        (&["config.json", "more.json"], "more.json: "),
    ] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!(
            (status, stdout.as_str()),
            (Some(64), ""),
            "{arguments:?}: {stderr}"
        );
        assert!(
            stderr.starts_with(named) && stderr.contains("--help"),
            "{arguments:?}: {stderr}"
        );
    }
    // What is no option is a file.
    let (status, _, stderr) = run(&["gone.json"]);
    assert_eq!(status, Some(1));
    assert!(stderr.starts_with("configuration gone.json: "), "{stderr}");
}

#[test]
fn it_prints_what_a_machine_proves_itself_with() {
    let ask = |spec: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_decnet-decoy"))
            .arg("--proofs")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(spec.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), output.stdout, said)
    };
    let spec = PersonaSpec {
        services: ["ssh", "redis"].map(|slug| slug.parse().unwrap()).to_vec(),
        ..PersonaSpec::new(Seed::from_bytes([5; 16]), "linux-server")
    };
    let spec = serde_json::to_string(&spec).unwrap();
    let (status, told, said) = ask(&spec);
    assert_eq!((status, said.as_str()), (Some(0), ""));
    let proofs: Vec<Proof> = serde_json::from_slice(&told).unwrap();
    let what: Vec<&str> = proofs.iter().map(|proof| proof.what.as_str()).collect();
    assert_eq!(what, ["RSA host key", "ECDSA host key", "ED25519 host key"]);
    assert_eq!(ask(&spec).1, told, "a machine stays who it is");
    let (status, told, said) = ask("{}");
    assert_eq!((status, told.as_slice()), (Some(1), &b""[..]));
    assert!(said.starts_with("configuration standard input: "), "{said}");
}

#[test]
fn a_port_in_use_is_named_and_nothing_runs() {
    let folder = folder();
    let file = folder.path().join("config.json");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    fs::write(&file, config(&[("ftp", free_port()), ("redis", addr)])).unwrap();
    let mut program = Running::start(&file);
    let words = program.says();
    assert!(
        words.contains("redis") && words.contains(&addr.to_string()),
        "{words}"
    );
    let (status, evidence) = program.end();
    assert_eq!((status, evidence.as_str()), (Some(1), ""));
}

#[test]
fn an_unknown_key_in_the_configuration_is_named() {
    let folder = folder();
    let file = folder.path().join("config.json");
    fs::write(&file, config(&[]).replacen('{', r#"{"colour":"red","#, 1)).unwrap();
    let mut program = Running::start(&file);
    let words = program.says();
    assert!(words.contains("colour"), "{words}");
    assert_eq!(program.end().0, Some(1));
}

#[test]
fn without_a_reader_of_its_evidence_it_ends() {
    let folder = folder();
    let file = folder.path().join("config.json");
    let redis = free_port();
    fs::write(&file, config(&[("redis", redis)])).unwrap();
    let mut program = Running::start(&file);
    program.ready();
    drop(program.child.stdout.take());
    // The session itself may be cut short: what is proved is how the program ends.
    let _cut_short = TcpStream::connect(redis).unwrap().write_all(b"PING\r\n");
    assert!(program.says().contains("nobody"));
    assert_eq!(program.child.wait().unwrap().code(), Some(1));
}

#[test]
fn evidence_that_finds_no_room_until_the_end_is_told_and_so_is_the_end() {
    let folder = folder();
    let file = folder.path().join("config.json");
    fs::write(&file, config(&[("redis", free_port())])).unwrap();
    // A device that is always full: full(4).
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_decnet-decoy"));
    let mut program = Running::run_into(full.into(), command.arg(&file));
    let mut told = Vec::new();
    while told.last().is_none_or(|words| words != "ready") {
        let words = program.says();
        assert!(!words.is_empty(), "it ended: {told:?}");
        told.push(words);
    }
    assert!(
        told.iter().any(|words| words.starts_with("evidence waits")),
        "{told:?}"
    );
    program.signal(Signal::SIGTERM);
    let mut last = String::new();
    program.trouble.read_to_string(&mut last).unwrap();
    assert_eq!(program.child.wait().unwrap().code(), Some(1));
    // That the service began, and that it ended.
    assert!(
        last.contains("2 lines of evidence are lost") && last.contains("2 lines of it are lost"),
        "{last}"
    );
}

/// Visitors who come to a full disk, and how many of their words, `visit-00000` and so on, were answered before they had to wait.
type Visitors = fn(SocketAddr) -> usize;

/// More than can be recorded of on a full disk.
const VISITS: usize = 60_000;

/// One after the other, each with one command of redis.
fn one_by_one(redis: SocketAddr) -> usize {
    let visit = |n: usize| {
        let mut visitor = TcpStream::connect(redis)?;
        visitor.write_all(format!("ECHO visit-{n:05}\r\n").as_bytes())?;
        visitor.read_exact(&mut [0; 5])
    };
    // The one that it lets wait hears nothing until it ends.
    (0..VISITS).take_while(|n| visit(*n).is_ok()).count()
}

/// One who says all of `visits` at once; how many lines that begin with `answer` came back until the end, or until all are answered.
fn at_once(
    address: SocketAddr,
    visits: Range<usize>,
    words: impl Fn(usize) -> String,
    answer: &str,
) -> usize {
    let Ok(visitor) = TcpStream::connect(address) else {
        return 0;
    };
    let wanted = visits.len();
    let all: String = visits.map(words).collect();
    let mut says = visitor.try_clone().unwrap();
    let speaker = std::thread::spawn(move || says.write_all(all.as_bytes()));
    // Where the connection is cut, what came before counts.
    let lines = BufReader::new(visitor).split(b'\n').map_while(Result::ok);
    let answered = lines
        .filter(|line| line.starts_with(answer.as_bytes()))
        .take(wanted)
        .count();
    // Nobody may have listened to the end of it.
    let _cut_short = speaker.join().unwrap();
    answered
}

fn pipelined_redis(redis: SocketAddr) -> usize {
    at_once(redis, 0..VISITS, |n| format!("ECHO visit-{n:05}\r\n"), "visit-")
}

fn pipelined_smtp(smtp: SocketAddr) -> usize {
    at_once(smtp, 0..VISITS, |n| format!("NOOP visit-{n:05}\r\n"), "250 ")
}

/// As many requests a connection as every product takes.
fn pipelined_http(http: SocketAddr) -> usize {
    const EACH: usize = 90;
    let words = |n: usize| format!("HEAD /visit-{n:05} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut answered = 0;
    while answered < VISITS {
        let now = at_once(http, answered..answered + EACH, words, "HTTP/1.1 ");
        answered += now;
        if now < EACH {
            break;
        }
    }
    answered
}

#[test]
fn on_a_full_disk_it_answers_what_it_can_record_and_all_of_that_is_there_after_its_end() {
    let test = "on_a_full_disk_it_answers_what_it_can_record_and_all_of_that_is_there_after_its_end";
    let Some(disk) = decnet_testkit::disk::small(test, "16m").unwrap() else {
        return;
    };
    let kinds: [(&str, Visitors); 4] = [
        ("redis", one_by_one),
        ("redis", pipelined_redis),
        ("smtp", pipelined_smtp),
        ("http", pipelined_http),
    ];
    for (service, visitors) in kinds {
        on_a_full_disk(&disk, service, visitors);
    }
}

fn on_a_full_disk(disk: &Path, service: &str, visitors: Visitors) {
    let folder = folder();
    let file = folder.path().join("config.json");
    let mut services = vec![("redis", free_port())];
    if service != "redis" {
        services.push((service, free_port()));
    }
    let (redis, visited) = (services.first().unwrap().1, services.last().unwrap().1);
    fs::write(&file, config(&services)).unwrap();
    let lines = disk.join("1.log");
    let outlet = fs::File::options()
        .create(true)
        .append(true)
        .open(&lines)
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_decnet-decoy"));
    let mut program = Running::run_into(outlet.into(), command.arg(&file));
    program.ready();
    // These stay until the end.
    let mut guests: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(redis).unwrap()).collect();
    for guest in &mut guests {
        ask(guest, b"PING\r\n", b"+PONG\r\n");
    }
    let ballast = disk.join("ballast");
    let mut filled = fs::File::create(&ballast).unwrap();
    while filled.write_all(&[0; 4096]).is_ok() {}

    let pid = Pid::from_raw(program.child.id().cast_signed());
    let visitors = std::thread::spawn(move || {
        let answered = visitors(visited);
        if answered >= VISITS {
            kill(pid, Signal::SIGTERM).unwrap();
        }
        answered
    });
    loop {
        let words = program.says();
        assert!(!words.is_empty(), "{service}: it let nobody wait");
        if words.contains("visitors wait") {
            break;
        }
    }
    program.signal(Signal::SIGTERM);
    let mut last = String::new();
    program.trouble.read_to_string(&mut last).unwrap();
    assert_eq!(program.child.wait().unwrap().code(), Some(0), "{service}: {last}");
    let answered = visitors.join().unwrap();
    assert!(answered > 100, "{service}: {answered}");

    drop(filled);
    fs::remove_file(&ballast).unwrap();
    let evidence = fs::read_to_string(&lines).unwrap();
    let told: HashSet<&str> = evidence
        .match_indices("visit-")
        .filter_map(|(at, _)| evidence.get(at..at + "visit-00000".len()))
        .collect();
    for n in 0..answered {
        let words = format!("visit-{n:05}");
        assert!(
            told.contains(words.as_str()),
            "{service}: {words} of {answered} is not there"
        );
    }
    let count = |what: &str| evidence.lines().filter(|line| line.contains(what)).count();
    assert_eq!(count(" connect "), count(" disconnect "));
    assert!(count("reason=\"shutdown\"") >= guests.len());
    assert_eq!(count(" service_stopped "), services.len());
    assert!(
        evidence.ends_with('\n') && evidence.lines().all(|line| line.starts_with("<134>1 ")),
        "whole lines and nothing else"
    );
    fs::remove_file(&lines).unwrap();
}

#[test]
fn asked_for_a_sign_of_life_it_gives_one_and_goes_on() {
    let folder = folder();
    let file = folder.path().join("config.json");
    let redis = free_port();
    fs::write(&file, config(&[("redis", redis)])).unwrap();
    let mut program = Running::start(&file);
    program.ready();
    for _ in 0..3 {
        program.signal(Signal::SIGUSR1);
        assert_eq!(program.says(), "well");
    }
    ask(&mut TcpStream::connect(redis).unwrap(), b"PING\r\n", b"+PONG\r\n");
    program.signal(Signal::SIGTERM);
    assert_eq!(program.end().0, Some(0));
}
