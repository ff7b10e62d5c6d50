//! A whole host in a lab: `decnet up` with an engine that gives deckies addresses, and its command line.

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use decnet_lab::{Docker, Lab, Place};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One lab at a time: each has a daemon and a fleet, and what they may take is measured.
static TURN: Mutex<()> = Mutex::new(());

/// What runs the deckies of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Containers.
    Docker,
    /// Processes in network namespaces.
    Netns,
}

/// The lab and this test's turn, or why there is none.
pub(crate) fn lab(name: &str, folder: &Path) -> Option<(Lab, MutexGuard<'static, ()>)> {
    lab_with(name, folder, Docker::ensure)
}

/// [`lab`] with the daemon that `find` finds, given a folder for what it downloads.
pub(crate) fn lab_with(
    name: &str,
    folder: &Path,
    find: impl FnOnce(&Path) -> anyhow::Result<Docker>,
) -> Option<(Lab, MutexGuard<'static, ()>)> {
    lab_of(name, folder, |cache| Some(find(cache).unwrap()))
}

/// [`lab`] without a daemon.
pub(crate) fn lab_without_docker(name: &str, folder: &Path) -> Option<(Lab, MutexGuard<'static, ()>)> {
    lab_of(name, folder, |_| None)
}

fn lab_of(
    name: &str,
    folder: &Path,
    docker: impl FnOnce(&Path) -> Option<Docker>,
) -> Option<(Lab, MutexGuard<'static, ()>)> {
    if let Some(why) = std::env::var_os(decnet_lab::LEFT_OUT) {
        decnet_testkit::skipped(&why.display().to_string());
        return None;
    }
    if !nix::unistd::geteuid().is_root() {
        decnet_testkit::skipped("network namespaces are made by root, and this is not root");
        return None;
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .unwrap()
        .join("decnet");
    let docker = docker(&cache);
    // Another test that failed in its turn has nothing to do with this one.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Namespaces are the machine's: another run may be beside this one.
    let name = format!("{name}{}", std::process::id());
    Some((Lab::up(&name, &folder.join("docker"), docker).unwrap(), turn))
}

/// The folder of the programs that this build made.
fn programs() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
}

/// The program of the decoys, as it is shipped: static, so that it runs in a container of its own.
pub(crate) fn decoy() -> PathBuf {
    let target = programs();
    let built = target.parent().unwrap().join("release/decnet-decoy");
    assert!(
        built.exists(),
        "{}: the program of the decoys is not built; `cargo xtask test` builds it",
        built.display()
    );
    built
}

/// See the module.
pub(crate) struct Host<'a> {
    lab: &'a Lab,
    pub(crate) data: PathBuf,
    /// Where containers find their folders.
    pub(crate) neutral: PathBuf,
    engine: Engine,
    settings: Vec<String>,
    /// What it is started through.
    through: Vec<String>,
    up: Option<Child>,
}

impl<'a> Host<'a> {
    /// One with containers.
    pub(crate) fn new(lab: &'a Lab, folder: &TempDir) -> Self {
        Self::with(Engine::Docker, lab, folder)
    }

    pub(crate) fn with(engine: Engine, lab: &'a Lab, folder: &TempDir) -> Self {
        let mut host = Self {
            lab,
            data: folder.path().join("data"),
            neutral: folder.path().join("netsvcd"),
            engine,
            settings: Vec::new(),
            through: Vec::new(),
            up: None,
        };
        match engine {
            Engine::Docker => {
                host.set("engine", "docker");
                host.set("docker-socket", &lab.socket().display().to_string());
                host.set("docker-folder", &host.neutral.display().to_string());
                host.set("decoy-program", &decoy().display().to_string());
            }
            Engine::Netns => host.set("engine", "netns"),
        }
        host
    }

    /// Give a key of the configuration.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|set| !set.starts_with(&format!("{key}=")));
        self.settings.push(format!("{key}={value}"));
    }

    /// Start it through a program that takes something from it.
    pub(crate) fn through(&mut self, words: &[&str]) {
        self.through = words.iter().map(|word| (*word).to_owned()).collect();
    }

    fn decnet(&self, words: &[&str]) -> Command {
        let program = programs().join("decnet");
        let mut command = match self.through.split_first() {
            None => self.lab.command(Place::Host, program),
            Some((first, rest)) => {
                let mut command = self.lab.command(Place::Host, first);
                command.args(rest).arg(program);
                command
            }
        };
        command.args(words).arg("--data-dir").arg(&self.data);
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command
    }

    /// Start it, and wait until it says that it is up.
    pub(crate) fn up(&mut self) {
        let mut child = self
            .decnet(&["up"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (send, heard) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                println!("      {line}");
                if line.contains("http://") {
                    // Whoever waited may have gone.
                    let _unheard = send.send(());
                }
            }
        });
        self.up = Some(child);
        heard.recv_timeout(PATIENCE).expect("the host did not come up");
    }

    /// End it in order.
    pub(crate) fn down(&mut self) {
        if let Some(mut child) = self.up.take() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
            // It may have ended by itself.
            let _gone = nix::sys::signal::kill(pid, Signal::SIGINT);
            let begun = Instant::now();
            while child.try_wait().unwrap().is_none() {
                assert!(begun.elapsed() < PATIENCE, "the host does not end");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Kill its mutator and then it, so that nobody ends anything in order or starts it again.
    pub(crate) fn kill(&mut self) {
        let mut up = self.up.take().expect("it does not run");
        signal(i32::try_from(up.id()).unwrap(), Signal::SIGSTOP);
        let mutators = self.pids("decnet-mutator");
        assert!(!mutators.is_empty(), "no mutator runs");
        for pid in mutators {
            kill(pid);
        }
        up.kill().unwrap();
        up.wait().unwrap();
        // The other workers end with it.
        until("its workers are gone", || self.pids("").is_empty().then_some(()));
    }

    /// Run the command line; what it printed, and how it ended.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.decnet(words).stdin(Stdio::null()).output().unwrap()
    }

    /// Run the command line, which has to succeed.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert!(output.status.success(), "decnet {}: {out}{err}", words.join(" "));
        out
    }

    /// Run the command line, which has to fail; what it said.
    pub(crate) fn fails(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            !output.status.success(),
            "decnet {} succeeded: {said}",
            words.join(" ")
        );
        said
    }

    /// The fleet.
    pub(crate) fn fleet(&self) -> Vec<Value> {
        let text = self.ok(&["status", "--json"]);
        let value: Value = serde_json::from_str(&text).unwrap();
        match value {
            Value::Array(all) => all,
            Value::Object(mut all) => all["deckies"].take().as_array().unwrap().clone(),
            other => panic!("no fleet: {other}"),
        }
    }

    /// Evidence that fits.
    pub(crate) fn evidence(&self, filter: &[&str]) -> Vec<Value> {
        let words: Vec<&str> = ["logs", "--json", "-n", "1000"]
            .iter()
            .chain(filter)
            .copied()
            .collect();
        let text = self.ok(&words);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Its workers, as it tells of them; nothing where it could not be asked.
    pub(crate) fn workers(&self) -> Vec<Value> {
        let told = self.run(&["worker", "list", "--json"]);
        serde_json::from_slice(&told.stdout).unwrap_or_default()
    }

    /// The process of a decky.
    pub(crate) fn pid_of(&self, decky: &str) -> i32 {
        match self.engine {
            Engine::Netns => self.decoys()[decky],
            Engine::Docker => {
                let docker = |words: &[&str]| {
                    let output = self.lab.docker().args(words).output().unwrap();
                    String::from_utf8_lossy(&output.stdout).trim().to_owned()
                };
                let id = docker(&["ps", "-q", "--filter", &format!("name=^{decky}-")]);
                let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &id]);
                pid.parse().unwrap()
            }
        }
    }

    /// The deckies that are processes of this host, by name.
    pub(crate) fn decoys(&self) -> BTreeMap<String, i32> {
        decoys(&self.data)
    }

    /// The processes of a worker of this host.
    pub(crate) fn pids(&self, program: &str) -> Vec<i32> {
        let data = self.data.display().to_string();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // It may have ended since.
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            let first = line.split('\0').next().unwrap_or_default();
            let here = line.contains(&data) || String::from_utf8_lossy(&environment).contains(&data);
            if first.ends_with(program) && here {
                found.push(pid);
            }
        }
        found
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.up {
            // It may have ended by itself.
            let _gone = child.kill().and_then(|()| child.wait().map(|_| ()));
        }
    }
}

/// The deckies that are processes of the host with the data directory `data`: each works in its own folder.
pub(crate) fn decoys(data: &Path) -> BTreeMap<String, i32> {
    let deckies = data.join("deckies");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // It may have ended since.
        let works_in = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let name = works_in.strip_prefix(&deckies).ok().and_then(Path::to_str);
        if let (Some(pid), Some(name)) = (pid, name.filter(|name| !name.is_empty())) {
            let twice = found.insert(name.to_owned(), pid);
            assert_eq!(twice, None, "{name} runs twice");
        }
    }
    found
}

pub(crate) fn kill(pid: i32) {
    signal(pid, Signal::SIGKILL);
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// Wait until `done` gives something.
pub(crate) fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    until_seen(what, || done().ok_or("not that"))
}

/// Wait until `done` gives something; where it never does, what it saw instead is told.
pub(crate) fn until_seen<T, S: Display>(what: &str, mut done: impl FnMut() -> Result<T, S>) -> T {
    let begun = Instant::now();
    loop {
        match done() {
            Ok(value) => return value,
            Err(seen) => assert!(
                begun.elapsed() < PATIENCE,
                "{what}: not within {} s; last seen: {seen}",
                PATIENCE.as_secs()
            ),
        }
        thread::sleep(Duration::from_millis(200));
    }
}
