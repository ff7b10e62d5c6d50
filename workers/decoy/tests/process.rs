//! The program as the fleet runs it: ready, changed by SIGHUP, ended by SIGTERM, and what it says when it cannot start.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

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
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
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
