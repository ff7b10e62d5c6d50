//! Where values come from, strongest first: flags, environment, `.env.local`, the INI file, defaults.
//!
//! Everything is read through [`Sources`], so that a test can hand in any of them without touching the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::keys::{KEYS, Key, Section, by_name};

/// Variables `DECNET_…` that say something else than a key: the INI file, `decnet up`'s own process, and, for the tests of
/// the whole, the folder of programs. So do those that begin with `DECNET_TEST_`.
const NO_KEYS: &[&str] = &["CONFIG", "SUPERVISOR", "PROGRAMS"];

/// The key by which an installation decides to be an agent for good.
pub(super) const DISALLOW_MASTER: &str = "disallow-master";

/// What stands in the place of a key in the fault of a file that cannot be read.
const UNREAD: &str = "config";

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line: a worker takes every key by a flag of its own, `decnet` most of them by `--set`.
    CommandLine,
    /// An environment variable.
    Env(String),
    /// A line of a file; the file as a whole at line 0.
    File(PathBuf, usize),
    /// Nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::File(path, 0) => write!(f, "{}", path.display()),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, or what stands in its place.
    pub key: String,
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.key, self.origin, self.problem)
    }
}

/// What the operator said, before it is understood.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Values of flags, by key.
    pub flags: BTreeMap<&'static str, String>,
    /// What is wrong with flags that give no value to a key: told with all that is wrong with values.
    pub wrong_flags: Vec<Fault>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Variables `DECNET_…` whose name or value is not UTF-8.
    pub malformed: BTreeSet<String>,
    /// Working directory, for `.env.local`.
    pub working_dir: Option<PathBuf>,
    /// The INI file, where one was named; it has to exist then.
    pub config: Option<PathBuf>,
    /// The INI file that is read where it exists and none was named.
    pub default_config: Option<PathBuf>,
    /// Whether the process is root: decides the default data directory.
    pub root: bool,
    /// Whether the key files of secrets are looked at, too, where there are some: `decnet config check` and who starts the server.
    /// The server itself does so always, and needs them.
    pub key_files: bool,
    /// The worker that reads: secrets of others are none of its business, good or bad. Everything is read where absent.
    pub worker: Option<&'static str>,
}

impl Sources {
    /// Those of this process, without flags.
    #[must_use]
    pub fn of_process() -> Self {
        let (env, malformed) = text_of(std::env::vars_os());
        Self {
            flags: BTreeMap::new(),
            wrong_flags: Vec::new(),
            config: env.get("DECNET_CONFIG").map(PathBuf::from),
            env,
            malformed,
            working_dir: std::env::current_dir().ok(),
            default_config: Some(PathBuf::from("/etc/decnet/decnet.ini")),
            root: nix::unistd::geteuid().is_root(),
            key_files: false,
            worker: None,
        }
    }

    /// Nothing but a data directory, as a test has it: nothing of this process and this machine.
    #[must_use]
    pub fn at(data_dir: &Path) -> Self {
        Self {
            flags: BTreeMap::from([("data-dir", data_dir.display().to_string())]),
            working_dir: Some(data_dir.to_owned()),
            ..Self::default()
        }
    }

    /// Take `text` for `key` from the command line. Paths begin there where it was typed; those of the configuration begin at
    /// the root.
    pub fn flag(&mut self, key: &Key, text: &str) {
        // What cannot be made one is refused as any other that is not absolute; a socket may stand there as a URL.
        let from_here = |path: &str| match std::path::absolute(path) {
            Ok(whole) if !path.contains("://") => whole.display().to_string(),
            _ => path.to_owned(),
        };
        let text = match (key.paths, text.split_once(',')) {
            (0, _) | (2.., None) => text.to_owned(),
            (1, _) => from_here(text),
            (2.., Some((one, other))) => format!("{},{}", from_here(one), from_here(other)),
        };
        self.flags.insert(key.name, text);
    }
}

/// The variables that are text, and the names of ours that are not.
fn text_of(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let (mut env, mut malformed) = (BTreeMap::new(), BTreeSet::new());
    for (name, value) in variables {
        match (name.to_str(), value.to_str()) {
            (Some(name), Some(value)) => {
                env.insert(name.to_owned(), value.to_owned());
            }
            // What other programs keep there is none of our business.
            _ if !name.as_encoded_bytes().starts_with(b"DECNET_") => {}
            _ => {
                malformed.insert(name.to_string_lossy().into_owned());
            }
        }
    }
    (env, malformed)
}

/// Text of a key, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// What all sources say together.
pub(super) struct Gathered {
    /// Every key's strongest value.
    pub(super) values: BTreeMap<&'static str, Raw>,
    /// What else is said of a key, and does not count.
    pub(super) covered: BTreeMap<&'static str, Vec<Raw>>,
    /// The earlier lines of a key that stands several times in the INI file: which of them was meant is not known.
    pub(super) doubled: BTreeMap<&'static str, Vec<Raw>>,
    /// What is wrong with the sources themselves.
    pub(super) faults: Vec<Fault>,
}

/// Every key's strongest value and what that covers, and what is wrong with the files.
pub(super) fn gather(sources: &Sources) -> Gathered {
    let (mut values, mut covered, mut doubled) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut faults = sources.wrong_flags.clone();
    let ini = ini_file(sources).map_or_else(Ini::new, |path| ini_values(path, &mut faults));
    let dotenv = dotenv_values(sources, &mut faults);
    env_faults(sources, &mut faults);
    // The mode decides which sections count, so it is settled first, in the same order of strength.
    let mode_of = |raw: Option<&Raw>| raw.map(|r| r.text.clone());
    let mode = sources
        .flags
        .get("mode")
        .or_else(|| sources.env.get("DECNET_MODE"))
        .cloned()
        .or_else(|| mode_of(dotenv.get("mode")))
        .or_else(|| mode_of(ini.get("mode").and_then(|lines| lines.last()).map(|(_, raw)| raw)))
        // A mode that is none is a fault of its own; the master's faults are told beside it.
        .filter(|mode| mode == Section::Agent.as_str())
        .unwrap_or_else(|| Section::Master.as_str().to_owned());
    for key in KEYS {
        if key.secret && sources.worker.is_some_and(|worker| !key.is_for(worker)) {
            continue;
        }
        let lines = ini.get(key.name).into_iter().flatten();
        let is_read = |section: &Section| *section == Section::Common || section.as_str() == mode;
        let lines = lines.filter(|(section, _)| is_read(section));
        let mut lines: Vec<Raw> = lines.map(|(_, raw)| raw.clone()).collect();
        let from_ini = lines.pop();
        doubled.insert(key.name, lines);
        let env = key.env();
        let from_flag = sources.flags.get(key.name).map(|text| Raw {
            text: text.clone(),
            origin: Origin::CommandLine,
        });
        let from_env = sources.env.get(&env).map(|text| Raw {
            text: text.clone(),
            origin: Origin::Env(env),
        });
        let from_dotenv = dotenv.get(key.name).cloned();
        let said = [from_flag, from_env, from_dotenv, from_ini].into_iter().flatten();
        let mut said: Vec<Raw> = said.collect();
        let holds = if key.name == DISALLOW_MASTER {
            said.extend(decided_by_host(sources, &mut faults));
            weakest_yes(&said, &mut faults)
        } else {
            0
        };
        if holds < said.len() {
            values.insert(key.name, said.remove(holds));
            covered.insert(key.name, said);
        }
    }
    Gathered {
        values,
        covered,
        doubled,
        faults,
    }
}

/// Which holds of what is said of a key that no stronger source takes back, strongest first: the weakest that says yes
/// does, and who says otherwise is told where that is.
fn weakest_yes(said: &[Raw], faults: &mut Vec<Fault>) -> usize {
    let yes = |raw: &Raw| truth(&raw.text) == Some(true);
    let found = said.iter().rposition(yes);
    let Some((at, holds)) = found.and_then(|at| Some((at, said.get(at)?))) else {
        return 0;
    };
    for raw in said.iter().take(at).filter(|raw| truth(&raw.text) == Some(false)) {
        faults.push(Fault {
            key: DISALLOW_MASTER.to_owned(),
            origin: raw.origin.clone(),
            problem: format!(
                "{:?} takes nothing back: {} has it; to have it no more, take it out there",
                raw.text, holds.origin
            ),
        });
    }
    at
}

/// What a word means as true or false.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn read_text(path: &Path, faults: &mut Vec<Fault>) -> Option<String> {
    match fs::read_to_string(path) {
        // Editors on Windows begin a file with a byte order mark.
        Ok(text) => match text.strip_prefix('\u{feff}') {
            Some(rest) => Some(rest.to_owned()),
            None => Some(text),
        },
        Err(error) => {
            faults.push(Fault {
                key: UNREAD.to_owned(),
                origin: Origin::File(path.to_owned(), 0),
                problem: match error.kind() {
                    io::ErrorKind::NotFound => {
                        "there is no such file: name one that is there by --config or DECNET_CONFIG"
                            .to_owned()
                    }
                    io::ErrorKind::PermissionDenied => {
                        "this user may not read it: let them, or run this as one who may".to_owned()
                    }
                    _ => format!("cannot be read: {error}"),
                },
            });
            None
        }
    }
}

/// The INI file that is read.
fn ini_file(sources: &Sources) -> Option<&Path> {
    sources.config.as_deref().or_else(|| usual_file(sources))
}

/// The host's INI file, where there is one.
fn usual_file(sources: &Sources) -> Option<&Path> {
    let usual = sources.default_config.as_deref()?;
    usual.try_exists().unwrap_or(true).then_some(usual)
}

/// What the host's own file says of [`DISALLOW_MASTER`] where another one is read: naming that takes it no more back than a
/// flag does. What else stands in it, right or wrong, does not count then.
fn decided_by_host(sources: &Sources, faults: &mut Vec<Fault>) -> Option<Raw> {
    let usual = usual_file(sources).filter(|usual| ini_file(sources) != Some(*usual))?;
    let mut theirs = Vec::new();
    let found = ini_values(usual, &mut theirs)
        .remove(DISALLOW_MASTER)
        .and_then(|mut lines| lines.pop());
    faults.extend(theirs.into_iter().filter(|fault| fault.key == UNREAD));
    let (_, raw) = found?;
    if truth(&raw.text).is_none() {
        faults.push(Fault {
            key: DISALLOW_MASTER.to_owned(),
            origin: raw.origin.clone(),
            problem: format!("{:?} is neither yes nor no", raw.text),
        });
    }
    (truth(&raw.text) == Some(true)).then_some(raw)
}

/// What an INI file says of each key, line by line: more than one is a fault, and the last counts.
type Ini = BTreeMap<&'static str, Vec<(Section, Raw)>>;

fn ini_values(path: &Path, faults: &mut Vec<Fault>) -> Ini {
    let Some(text) = read_text(path, faults) else {
        return Ini::new();
    };
    let mut out = Ini::new();
    let mut section = None;
    // That a section is unknown is one fault, not one a line: what stands below is read as where it belongs.
    let mut is_unknown = false;
    for (number, line) in (1..).zip(text.lines()) {
        let origin = Origin::File(path.to_owned(), number);
        let mut fault = |key: &str, problem: String| {
            faults.push(Fault {
                key: key.to_owned(),
                origin: origin.clone(),
                problem,
            });
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            let name = line.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
            let name = name.map(str::trim);
            section = name.and_then(Section::by_name);
            is_unknown = section.is_none();
            if is_unknown {
                let named = name.filter(|name| is_like_a_key(&name.to_ascii_lowercase()));
                let named = named.map_or_else(|| "it".to_owned(), |name| format!("[{name}]"));
                fault(
                    "section",
                    format!("{named} is unknown; there are [decnet], [master] and [agent]"),
                );
            }
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            fault(LINE, "neither a section nor `key = value`".to_owned());
            continue;
        };
        let (name, value) = (name.trim().to_ascii_lowercase().replace('_', "-"), value.trim());
        let told = told(&name, value);
        let value = value
            .strip_prefix('"')
            .and_then(|v| v.strip_suffix('"'))
            .unwrap_or(value);
        let Some(key) = by_name(&name) else {
            fault(told, format!("unknown key{}", nearest(&name)));
            continue;
        };
        if key.section == Section::Master && section == Some(Section::Agent) {
            fault(&name, "is the master's; an agent has no use for it".to_owned());
            continue;
        }
        let belongs = key.section.as_str();
        let in_section = match section {
            Some(section) if section == key.section || section == Section::Agent => section,
            // It is read as where it belongs, so that what is wrong with its value is told beside that.
            Some(_) => {
                fault(&name, format!("belongs below [{belongs}]"));
                key.section
            }
            None if is_unknown => key.section,
            None => {
                fault(
                    &name,
                    format!("stands before any section; put it below [{belongs}]"),
                );
                key.section
            }
        };
        let raw = Raw {
            text: value.to_owned(),
            origin: origin.clone(),
        };
        let lines = out.entry(key.name).or_default();
        if let Some((_, first)) = lines.first() {
            fault(&name, format!("stands a second time; first at {}", first.origin));
        }
        lines.push((in_section, raw));
    }
    out
}

fn dotenv_values(sources: &Sources, faults: &mut Vec<Fault>) -> BTreeMap<&'static str, Raw> {
    let Some(path) = sources.working_dir.as_ref().map(|d| d.join(".env.local")) else {
        return BTreeMap::new();
    };
    if !path.try_exists().unwrap_or(false) {
        return BTreeMap::new();
    }
    let Some(text) = read_text(&path, faults) else {
        return BTreeMap::new();
    };
    let mut out = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let origin = Origin::File(path.clone(), number);
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        // Other programs keep their variables in the same file.
        if line.is_empty() || line.starts_with('#') || line.contains('=') && !line.starts_with("DECNET_") {
            continue;
        }
        let assigned = line.strip_prefix("DECNET_").and_then(|rest| rest.split_once('='));
        let Some((rest, value)) = assigned else {
            faults.push(Fault {
                key: LINE.to_owned(),
                origin,
                problem: "not NAME=value".to_owned(),
            });
            continue;
        };
        let value = value.trim();
        let value = value
            .strip_prefix(['"', '\''])
            .and_then(|v| v.strip_suffix(['"', '\'']))
            .unwrap_or(value);
        let name = rest.trim().to_ascii_lowercase().replace('_', "-");
        match by_name(&name) {
            Some(key) => {
                out.insert(
                    key.name,
                    Raw {
                        text: value.to_owned(),
                        origin,
                    },
                );
            }
            None => faults.push(Fault {
                key: match told(&name, value) {
                    LINE => LINE.to_owned(),
                    _ => format!("DECNET_{}", rest.trim()),
                },
                origin,
                problem: format!("unknown key{}", nearest(&name)),
            }),
        }
    }
    out
}

/// What stands in the place of a key in the fault of a line whose text is not repeated.
const LINE: &str = "line";

/// `name` where a fault may repeat it. A secret whose line is malformed can stand where a key is expected, such as
/// base64 with the `=` at its end: what no key looks like is not repeated.
fn told<'a>(name: &'a str, value: &str) -> &'a str {
    if is_like_a_key(name) && !value.is_empty() && !value.starts_with('=') {
        name
    } else {
        LINE
    }
}

/// Whether a key may look like that.
fn is_like_a_key(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

/// Variables of this name that are no text, and those that are no key: nobody would miss them otherwise, since they have no
/// effect.
fn env_faults(sources: &Sources, faults: &mut Vec<Fault>) {
    let is_read = |name: &str| {
        let key = KEYS.iter().find(|key| key.env() == name);
        key.is_none_or(|key| !key.secret || sources.worker.is_none_or(|worker| key.is_for(worker)))
    };
    faults.extend(
        sources
            .malformed
            .iter()
            .filter(|name| is_read(name))
            .map(|name| Fault {
                key: name.clone(),
                origin: Origin::Env(name.clone()),
                problem: "is not UTF-8 text".to_owned(),
            }),
    );
    for name in sources.env.keys() {
        let Some(rest) = name.strip_prefix("DECNET_") else {
            continue;
        };
        let key = rest.to_ascii_lowercase().replace('_', "-");
        if by_name(&key).is_none() && !NO_KEYS.contains(&rest) && !rest.starts_with("TEST_") {
            faults.push(Fault {
                key: name.clone(),
                origin: Origin::Env(name.clone()),
                problem: format!("unknown key{}", nearest(&key)),
            });
        }
    }
}

/// "; did you mean …?" where a known key is close: a short name has no room for many slips of the finger.
fn nearest(name: &str) -> String {
    KEYS.iter()
        .map(|key| (distance(key.name, name), key.name))
        .min()
        .filter(|(distance, _)| *distance <= (name.len() / 2).min(3))
        .map(|(_, name)| format!("; did you mean {name}?"))
        .unwrap_or_else(|| "; `decnet config keys` lists what there is".to_owned())
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y)).min(*slot + 1).min(left + 1);
            diagonal = *slot;
            *slot = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_reads_the_secrets_that_it_uses_and_no_others() {
        let mut sources = Sources::default();
        sources.env.insert("DECNET_JWT_SECRET".into(), "short".into());
        sources
            .env
            .insert("DECNET_DATABASE_URL".into(), "mysql://u:p@h/d".into());
        let read = |worker: Option<&'static str>| {
            let sources = Sources {
                worker,
                ..sources.clone()
            };
            let values = gather(&sources).values;
            (
                values.contains_key("jwt-secret"),
                values.contains_key("database-url"),
            )
        };
        assert_eq!(read(Some("collector")), (false, false));
        assert_eq!(read(Some("ingester")), (false, true));
        assert_eq!(read(Some("server")), (true, true));
        assert_eq!(read(None), (true, true), "`decnet config check` reads everything");
    }

    #[test]
    fn a_path_of_the_command_line_begins_where_it_was_typed() {
        let here = std::env::current_dir().unwrap();
        let here = here.display();
        for (key, typed, meant) in [
            ("data-dir", "h1", format!("{here}/h1")),
            ("data-dir", "/srv/a,b", "/srv/a,b".to_owned()),
            ("data-dir", "", String::new()),
            ("log-file-path", "./log", format!("{here}/log")),
            ("tls", "a.pem,/b.pem", format!("{here}/a.pem,/b.pem")),
            ("tls", "auto", "auto".to_owned()),
            (
                "docker-socket",
                "unix:///run/d.sock",
                "unix:///run/d.sock".to_owned(),
            ),
            ("listen", "127.0.0.1:1", "127.0.0.1:1".to_owned()),
        ] {
            let mut sources = Sources::default();
            sources.flag(by_name(key).unwrap(), typed);
            assert_eq!(sources.flags[key], meant, "{typed}");
        }
        // The workers' own programs take it so, too.
        let flags = crate::worker::settings_args(clap::Command::new("worker"), "server");
        let said = flags
            .try_get_matches_from(["worker", "--data-dir", "h1"])
            .unwrap();
        let sources = crate::worker::sources(&said);
        assert_eq!(sources.flags["data-dir"], format!("{here}/h1"));
        // Every key whose value is a path by what it says.
        for key in KEYS.iter().filter(|key| key.allowed.contains("absolute path")) {
            assert_ne!(key.paths, 0, "{}", key.name);
        }
    }

    #[test]
    fn a_misspelt_variable_is_a_fault_wherever_it_stands() {
        let mut sources = Sources::default();
        for (name, value) in [
            ("DECNET_BATCHSIZE", "7"),
            ("DECNET_CONFIG", "/x.ini"),
            ("DECNET_TEST_KILL", "1"),
            ("DECNETWORK", "1"),
            ("DECNET_BATCH_SIZE", "7"),
        ] {
            sources.env.insert(name.into(), value.into());
        }
        let faults = gather(&sources).faults;
        let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["DECNET_BATCHSIZE (environment DECNET_BATCHSIZE): unknown key; did you mean batch-size?"]
        );
    }

    #[test]
    fn a_variable_of_ours_that_is_no_text_is_a_fault_and_one_of_others_is_not() {
        use std::os::unix::ffi::OsStringExt as _;
        let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
        let (env, malformed) = text_of(
            [
                (bytes(b"DECNET_LISTEN"), bytes(b"127.0.0.1:8\xff")),
                (bytes(b"DECNET_JWT_SECRET"), bytes(b"hunter2\xff")),
                (bytes(b"DECNET_MO\xffDE"), bytes(b"agent")),
                (bytes(b"LS_COLORS"), bytes(b"\xff")),
                (bytes(b"DECNET_MODE"), bytes(b"agent")),
            ]
            .into_iter(),
        );
        assert_eq!(env.len(), 1);
        let told = |worker: Option<&'static str>| {
            let told = gather(&Sources {
                env: env.clone(),
                malformed: malformed.clone(),
                worker,
                ..Sources::default()
            });
            told.faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let fault = |name: &str| format!("{name} (environment {name}): is not UTF-8 text");
        let (listen, secret, mode) = (
            fault("DECNET_LISTEN"),
            fault("DECNET_JWT_SECRET"),
            fault("DECNET_MO\u{fffd}DE"),
        );
        assert_eq!(told(None), [secret, listen.clone(), mode.clone()]);
        assert_eq!(told(Some("collector")), [listen, mode]);
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        for (name, near) in [
            ("batchsize", "batch-size"),
            ("lisen", "listen"),
            ("moed", "mode"),
            ("database-ur", "database-url"),
        ] {
            assert_eq!(nearest(name), format!("; did you mean {near}?"));
        }
        for name in ["foo", "x", "", "food", "bar", "no-key-at-all"] {
            assert_eq!(
                nearest(name),
                "; `decnet config keys` lists what there is",
                "{name}"
            );
        }
    }

    #[test]
    fn distance_is_the_number_of_edits() {
        for (a, b, n) in [
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
        ] {
            assert_eq!(distance(a, b), n, "{a} {b}");
        }
    }
}
