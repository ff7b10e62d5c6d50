//! The program as its callers see it: what it says, where, and with which exit code.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_decnet");

/// The program on a data directory of its own, with nothing of this machine's configuration.
fn decnet(program: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", dir)
        .env("DECNET_DATA_DIR", dir.join("data"))
        .env("DECNET_BUS_ENABLED", "false")
        .current_dir(dir)
        .stdin(Stdio::null());
    command
}

/// Standard output, standard error, exit code.
fn said(output: &Output) -> (String, String, i32) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().unwrap_or(-1),
    )
}

#[test]
fn faults_go_to_standard_error_with_the_code_of_their_kind() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("agent.ini"), "[decnet]\nmode = agent\n").unwrap();
    for (words, code, word) in [
        ("--set nope=1 config check", 64, "no such key"),
        ("frobnicate", 64, "no command"),
        ("deploy --nope", 64, "--nope"),
        ("status --config agent.ini", 77, "agent"),
        ("up --config agent.ini", 77, "agent"),
        ("init --config agent.ini", 77, "agent"),
        ("--set listen=127.0.0.1:99999 config check", 78, "listen"),
        ("config check --config gone.ini", 78, "gone.ini"),
        ("collector", 69, "decnet-collector"),
        ("--set batch-size ingester", 64, "KEY=VALUE"),
    ] {
        // A copy stands alone in its folder: there are no workers beside it.
        let program = dir.path().join("decnet");
        if !program.exists() {
            fs::copy(PROGRAM, &program).unwrap();
        }
        let output = decnet(&program, dir.path())
            .args(words.split(' '))
            .output()
            .unwrap();
        let (stdout, stderr, got) = said(&output);
        assert_eq!(got, code, "{words}: {stderr}");
        assert!(
            stderr.contains(word) && stdout.is_empty(),
            "{words}: {stdout} {stderr}"
        );
    }
}

#[test]
fn a_first_start_that_fails_still_tells_the_password() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("decnet");
    fs::copy(PROGRAM, &program).unwrap();
    // No worker stands beside the copy, so the host cannot start; the account was made before.
    let (stdout, stderr, code) = said(&decnet(&program, dir.path()).arg("up").output().unwrap());
    assert_eq!(code, 69, "{stderr}");
    assert!(stdout.contains("Log in as admin with the password "), "{stdout}");
    let (stdout, ..) = said(&decnet(&program, dir.path()).arg("up").output().unwrap());
    assert!(!stdout.contains("password"), "told once: {stdout}");
}

#[test]
fn a_second_host_on_the_same_data_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("data/run")).unwrap();
    let lock = fs::File::create(dir.path().join("data/run/up.lock")).unwrap();
    fs::write(dir.path().join("data/run/up.lock"), "4711\n").unwrap();
    lock.lock().unwrap();
    let (_, stderr, code) = said(&decnet(PROGRAM, dir.path()).arg("up").output().unwrap());
    assert_eq!(code, 69);
    assert!(
        stderr.contains("process 4711") && stderr.contains("--data-dir"),
        "{stderr}"
    );
}

#[test]
fn a_signal_ends_a_start_that_waits_for_its_database() {
    let dir = TempDir::new().unwrap();
    // It accepts connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://u:p@{}/d", silent.local_addr().unwrap());
    let mut up = decnet(PROGRAM, dir.path())
        .arg("up")
        .env("DECNET_DATABASE_URL", url)
        .spawn()
        .unwrap();
    let _connection = silent.accept().unwrap();
    kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(0));
}

#[test]
fn a_database_that_refuses_is_named_with_its_reason_and_without_its_password() {
    let dir = TempDir::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = decnet(PROGRAM, dir.path())
        .arg("status")
        .env("DECNET_DATABASE_URL", format!("mysql://u:hidden-pw@{free}/d"))
        .output()
        .unwrap();
    let (_, stderr, code) = said(&output);
    assert_eq!(code, 69);
    assert!(
        stderr.contains("refused") && stderr.contains(&free.to_string()) && !stderr.contains("hidden-pw"),
        "{stderr}"
    );
}

#[test]
fn every_listing_is_json_where_that_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let init = decnet(PROGRAM, dir.path()).arg("init").output().unwrap();
    assert!(init.status.success(), "{init:?}");
    for words in [
        "status",
        "services",
        "archetypes",
        "distros",
        "config show",
        "config keys",
        "user list",
        "worker list",
        "spool status",
    ] {
        let output = decnet(PROGRAM, dir.path())
            .args(words.split(' '))
            .arg("--json")
            .output()
            .unwrap();
        let (stdout, stderr, code) = said(&output);
        assert_eq!(code, 0, "{words}: {stderr}");
        serde_json::from_str::<serde_json::Value>(&stdout)
            .unwrap_or_else(|e| panic!("{words}: {e}: {stdout}"));
    }
}

#[test]
fn a_host_goes_on_without_whoever_read_its_output() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("decnet");
    fs::copy(PROGRAM, &program).unwrap();
    let mut up = decnet(&program, dir.path())
        .arg("up")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((up.stdout.take(), up.stderr.take()));
    // It has no workers, so it ends by itself; by its own code, and not by a closed pipe.
    assert_eq!(up.wait().unwrap().code(), Some(69));
}

#[test]
fn help_of_every_command_says_something_of_every_option() {
    let help = |words: &[String]| {
        let output = Command::new(PROGRAM).args(words).arg("--help").output().unwrap();
        assert!(output.status.success(), "{words:?}");
        output.stdout
    };
    let mut left = vec![Vec::<String>::new()];
    while let Some(words) = left.pop() {
        let text = String::from_utf8(help(&words)).unwrap();
        let mut in_commands = false;
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            match line {
                "Commands:" => in_commands = true,
                "" => in_commands = false,
                _ => {}
            }
            let line = line.trim();
            let is_option = line.starts_with('-') && !line.starts_with("- ");
            // The explanation stands beside the option, or below it where one of the options has a long one.
            let explained = line.contains("  ") || lines.peek().is_some_and(|next| !next.trim().is_empty());
            assert!(!is_option || explained, "{words:?}: {line} is not explained");
            if in_commands && let Some((name, about)) = line.split_once(' ') {
                assert!(!about.trim().is_empty(), "{words:?} {name}");
                if name != "help" {
                    left.push(words.iter().cloned().chain([name.to_owned()]).collect());
                }
            }
        }
    }
}
