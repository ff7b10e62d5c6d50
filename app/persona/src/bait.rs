//! What lies around on a machine: files, redis keys, database rows, as data.
//!
//! Bait is TOML with `{{placeholders}}` that the persona fills (see [`template`]). The built-in one stands in the
//! crate's `bait/` folder; an operator's own is a folder of the same files, read by [`Bait::load`].
//!
//! - `files.toml`: home directories, configuration with passwords in it, the FTP tree (below [`FTP_ROOT`])
//! - `redis.toml`: keys
//! - `database.toml`: databases, tables, rows
//! - `site.toml`: texts of web sites
//! - `phrases.toml`: lists of phrases that the others draw from, so that no two machines say the same in the same words
//!
//! A single service may have bait of its own (see [`SERVICES`]). It is one machine all the same: what FTP shows a shell finds, too, and
//! the keys of redis are those that its client finds there.

mod country;
pub mod template;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs::{self, File},
    io::{self, Read as _},
    ops::Range,
    path::Path,
    sync::LazyLock,
};

use serde::Deserialize;
use toml::Spanned;

use crate::{Distro, OsFamily, Persona, Rng, archetype};
use template::{Context, Template};

/// The folder whose content an FTP server shows.
pub const FTP_ROOT: &str = "/srv/ftp";

/// The most bytes of one bait file: bait is held in memory, for each decky.
pub const MAX_FILE: u64 = 256 * 1024;
/// The most bytes of a file that describes bait.
pub const MAX_SOURCE: u64 = 1024 * 1024;
/// The most rows of one table.
pub const MAX_ROWS: u32 = 2000;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaitFile {
    /// Absolute path, divided by `/`.
    pub path: String,
    /// Permission bits, such as `0o644`.
    pub mode: u32,
    /// Account that owns it.
    pub owner: String,
    /// Unix time in seconds of its last change; before the machine's deployment.
    pub mtime: i64,
    /// What is in it.
    pub content: Vec<u8>,
}

/// A key of redis.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisEntry {
    /// The key.
    pub key: String,
    /// What it holds.
    pub value: RedisValue,
    /// Seconds until it expires, counted from the start of the service.
    pub ttl: Option<u64>,
}

/// A value of redis.
#[derive(Debug, Clone, PartialEq)]
pub enum RedisValue {
    /// A string.
    String(String),
    /// A list, head first.
    List(Vec<String>),
    /// A set.
    Set(Vec<String>),
    /// A hash: fields and values.
    Hash(Vec<(String, String)>),
    /// A sorted set: members and scores.
    SortedSet(Vec<(String, f64)>),
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Its tables.
    pub tables: Vec<Table>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns; the first is the primary key.
    pub columns: Vec<Column>,
    /// Its rows, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as MySQL writes it: `int(11)`, `varchar(64)`, `datetime`.
    pub sql_type: String,
}

/// A field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// NULL.
    Null,
    /// A whole number.
    Int(i64),
    /// Anything else, as its text.
    Text(String),
}

/// Texts of a web site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Title of the pages.
    pub title: String,
    /// A line below it.
    pub slogan: String,
    /// Headed paragraphs: heading and text.
    pub sections: Vec<(String, String)>,
}

/// The services that show bait, by slug.
pub const SERVICES: [&str; 5] = [SHELL, FTP, HTTP, REDIS, MYSQL];
const SHELL: &str = "ssh";
const FTP: &str = "ftp";
const HTTP: &str = "http";
const REDIS: &str = "redis";
const MYSQL: &str = "mysql";

/// The files of a persona, as its shell shows them: what its FTP server shows is among them.
#[must_use]
pub fn files(persona: &Persona) -> Vec<BaitFile> {
    let (own, shared) = (of(persona, SHELL), of(persona, FTP));
    let mut files = own.files(persona);
    let has_ftp = persona.services.iter().any(|service| service.as_str() == FTP);
    if has_ftp && !std::ptr::eq(own, shared) {
        let is_shared = |file: &BaitFile| Path::new(&file.path).starts_with(FTP_ROOT);
        files.retain(|file| !is_shared(file));
        files.extend(shared.files(persona).into_iter().filter(is_shared));
    }
    files
}

/// The files of a persona, as its FTP server shows them.
#[must_use]
pub fn ftp_files(persona: &Persona) -> Vec<BaitFile> {
    of(persona, FTP).files(persona)
}

/// The redis keys of a persona.
#[must_use]
pub fn redis(persona: &Persona) -> Vec<RedisEntry> {
    of(persona, REDIS).redis(persona)
}

/// The databases of a persona.
#[must_use]
pub fn database(persona: &Persona) -> Vec<Database> {
    of(persona, MYSQL).database(persona)
}

/// The web site of a persona.
#[must_use]
pub fn site(persona: &Persona) -> Site {
    of(persona, HTTP).site(persona)
}

/// The bait that `service` of a persona shows: its own, that of the machine, or the built-in one.
fn of<'a>(persona: &'a Persona, service: &str) -> &'a Bait {
    let own = persona.service_bait.get(service).or(persona.bait.as_ref());
    own.map_or_else(|| &*BUILT_IN, AsRef::as_ref)
}

/// Bait that cannot be used: where, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bait {file}: {}{problem}", .place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct BaitFault {
    /// Its file, or its folder.
    pub file: String,
    /// The line, and the entry that begins there; nothing where it is about the whole.
    pub place: Option<String>,
    /// What is wrong and what is allowed.
    pub problem: String,
}

/// A checked set of bait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bait {
    files: Vec<FileSource>,
    redis: Vec<RedisSource>,
    databases: Vec<DatabaseSource>,
    sites: Vec<SiteSource>,
    phrases: Phrases,
}

/// Lists of phrases by name. They are kept as text and read when they are drawn: every process of a machine holds all of them, and
/// says few.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Phrases(BTreeMap<String, Box<[Box<str>]>>);

impl Phrases {
    fn of(&self, list: &str) -> &[Box<str>] {
        self.0.get(list).map(AsRef::as_ref).unwrap_or_default()
    }
}

static BUILT_IN: LazyLock<Bait> = LazyLock::new(|| {
    let mut faults = Vec::new();
    let bait = Bait::parse(
        &[
            ("files.toml", include_str!("../bait/files.toml")),
            ("redis.toml", include_str!("../bait/redis.toml")),
            ("database.toml", include_str!("../bait/database.toml")),
            ("site.toml", include_str!("../bait/site.toml")),
            ("phrases.toml", include_str!("../bait/phrases.toml")),
        ],
        &mut faults,
    );
    // A test holds that there is none.
    debug_assert!(faults.is_empty(), "{faults:?}");
    bait
});

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    file: Vec<Spanned<FileSource>>,
    key: Vec<Spanned<RedisSource>>,
    database: Vec<Spanned<DatabaseSource>>,
    site: Vec<Spanned<SiteSource>>,
    phrases: BTreeMap<String, Spanned<Vec<String>>>,
}

/// Which machines an entry is for.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
struct When {
    /// Operating-system families; all where empty.
    os: Vec<String>,
    /// Distributions; all where empty.
    distros: Vec<String>,
    /// Archetypes; all where empty.
    archetypes: Vec<String>,
    /// Per cent of the machines that have it; all where absent.
    chance: Option<u8>,
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct FileSource {
    path: Template,
    #[serde(default)]
    when: When,
    #[serde(default = "root")]
    owner: Template,
    #[serde(default = "mode")]
    mode: String,
    /// Days before the last boot within which it was last changed.
    #[serde(default = "days")]
    days: [u32; 2],
    #[serde(default)]
    content: Template,
    /// Instead of content: noise behind a file type's first bytes, as archives look.
    noise: Option<Noise>,
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Noise {
    /// First bytes, hex.
    magic: String,
    /// Bytes in all, at least and at most.
    size: [u64; 2],
}

fn root() -> Template {
    Template::literal("root")
}
fn mode() -> String {
    "0644".to_owned()
}
fn days() -> [u32; 2] {
    [1, 400]
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct RedisSource {
    key: Template,
    #[serde(default)]
    when: When,
    #[serde(default = "one")]
    count: [u32; 2],
    ttl: Option<[u64; 2]>,
    string: Option<Template>,
    list: Option<Vec<Template>>,
    set: Option<Vec<Template>>,
    hash: Option<Vec<[Template; 2]>>,
    sorted_set: Option<Vec<[Template; 2]>>,
}

fn one() -> [u32; 2] {
    [1, 1]
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct DatabaseSource {
    name: Template,
    #[serde(default)]
    when: When,
    table: Vec<Spanned<TableSource>>,
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct TableSource {
    name: String,
    rows: [u32; 2],
    /// Name, type and template of the value.
    columns: Vec<[String; 3]>,
    #[serde(skip)]
    templates: Vec<Template>,
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct SiteSource {
    #[serde(default)]
    when: When,
    title: Template,
    slogan: Template,
    /// How many of the sections are shown, at least and at most, in a drawn order; all as they stand where absent.
    show: Option<[u32; 2]>,
    sections: Vec<[Template; 2]>,
}

impl Bait {
    /// An operator's own bait: every `*.toml` of `dir`. What a kind has no entry for is left empty.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn load(dir: &Path) -> Result<Self, Vec<BaitFault>> {
        let fault = |file: &Path, problem: String| BaitFault {
            file: file.display().to_string(),
            place: None,
            problem,
        };
        let entries = fs::read_dir(dir).map_err(|e| vec![fault(dir, format!("cannot be read: {e}"))])?;
        let mut paths: Vec<_> = entries
            .filter_map(Result::ok)
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "toml"))
            .collect();
        paths.sort();
        let mut faults = Vec::new();
        if paths.is_empty() {
            let problem = "holds no .toml file; it takes files.toml, redis.toml, database.toml, site.toml and phrases.toml";
            faults.push(fault(dir, problem.to_owned()));
        }
        let mut texts = Vec::new();
        for path in &paths {
            match read(path) {
                Ok(text) => texts.push((path.display().to_string(), text)),
                Err(e) => faults.push(fault(path, format!("cannot be read: {e}"))),
            }
        }
        let sources: Vec<(&str, &str)> = texts.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        let bait = Self::parse(&sources, &mut faults);
        if faults.is_empty() { Ok(bait) } else { Err(faults) }
    }

    fn parse(sources: &[(&str, &str)], faults: &mut Vec<BaitFault>) -> Self {
        let mut bait = Self::default();
        for (file, text) in sources {
            let line = |at: Range<usize>| text.bytes().take(at.start).filter(|b| *b == b'\n').count() + 1;
            match toml::from_str::<Document>(text) {
                Ok(document) => bait.take(document, |at, entry, problem| {
                    faults.push(BaitFault {
                        file: (*file).to_owned(),
                        place: Some(format!("line {}, {entry}", line(at))),
                        problem,
                    });
                }),
                Err(e) => faults.push(BaitFault {
                    file: (*file).to_owned(),
                    place: e.span().map(|at| format!("line {}", line(at))),
                    problem: e.message().to_owned(),
                }),
            }
        }
        for (entry, problem) in bait.phrase_faults() {
            faults.push(BaitFault {
                file: sources
                    .iter()
                    .map(|(file, _)| *file)
                    .collect::<Vec<_>>()
                    .join(", "),
                place: Some(entry),
                problem,
            });
        }
        bait
    }

    /// Lists of phrases that are drawn from and are none, and those that lead back to themselves.
    fn phrase_faults(&self) -> Vec<(String, String)> {
        let lists_of = |list: &str| -> BTreeSet<String> {
            let templates = self
                .phrases
                .of(list)
                .iter()
                .filter_map(|text| text.parse::<Template>().ok());
            templates
                .flat_map(|template| template.lists().map(str::to_owned).collect::<Vec<_>>())
                .collect()
        };
        let mut faults = Vec::new();
        let mut told = BTreeSet::new();
        let mut missing = |entry: String, list: &str| {
            if self.phrases.of(list).is_empty() && told.insert((entry.clone(), list.to_owned())) {
                faults.push((entry, format!("there are no phrases {list:?}")));
            }
        };
        for (entry, template) in self.templates() {
            template.lists().for_each(|list| missing(entry.clone(), list));
        }
        for name in self.phrases.0.keys() {
            lists_of(name)
                .iter()
                .for_each(|list| missing(format!("phrases {name}"), list));
        }
        for name in self.phrases.0.keys() {
            let mut reached = BTreeSet::new();
            let mut next = lists_of(name);
            while let Some(list) = next.pop_first() {
                if reached.insert(list.clone()) {
                    next.extend(lists_of(&list));
                }
            }
            if reached.contains(name) {
                faults.push((
                    format!("phrases {name}"),
                    "they lead back to themselves, so that drawing never ends".to_owned(),
                ));
            }
        }
        faults
    }

    /// Every template that stands in an entry, by what names the entry.
    fn templates(&self) -> Vec<(String, &Template)> {
        let mut out = Vec::new();
        for file in &self.files {
            let of = [&file.path, &file.owner, &file.content];
            out.extend(of.map(|template| (format!("file {}", file.path), template)));
        }
        for entry in &self.redis {
            let name = || format!("key {}", entry.key);
            let pairs = entry.hash.iter().chain(&entry.sorted_set).flatten().flatten();
            let values = entry.list.iter().chain(&entry.set).flatten();
            let all = std::iter::once(&entry.key)
                .chain(&entry.string)
                .chain(values)
                .chain(pairs);
            out.extend(all.map(|template| (name(), template)));
        }
        for database in &self.databases {
            out.push((format!("database {}", database.name), &database.name));
            for table in &database.table {
                let name = || format!("table {}", table.get_ref().name);
                out.extend(
                    table
                        .get_ref()
                        .templates
                        .iter()
                        .map(|template| (name(), template)),
                );
            }
        }
        for site in &self.sites {
            let all = [&site.title, &site.slogan]
                .into_iter()
                .chain(site.sections.iter().flatten());
            out.extend(all.map(|template| (format!("site {}", site.title), template)));
        }
        out
    }

    /// Add what stands in a file. What is wrong with it is told by where the entry stands, its name and the problem.
    fn take(&mut self, document: Document, mut fault: impl FnMut(Range<usize>, String, String)) {
        for file in document.file {
            let (at, file) = (file.span(), file.into_inner());
            let mut fault = |problem: String| fault(at.clone(), format!("file {}", file.path), problem);
            file.when.faults().into_iter().for_each(&mut fault);
            disorder("days", file.days).into_iter().for_each(&mut fault);
            if !file.path.to_string().starts_with(['/', '{']) {
                fault("the path is not absolute".to_owned());
            }
            if u32::from_str_radix(&file.mode, 8).map_or(true, |m| m > 0o7777) {
                fault(format!("mode {:?} is not octal", file.mode));
            }
            if let Some(noise) = &file.noise {
                disorder("size", noise.size).into_iter().for_each(&mut fault);
                let [_, most] = noise.size;
                if most > MAX_FILE {
                    fault(format!("size {most} is over {MAX_FILE}"));
                }
                if unhex(&noise.magic).is_none() {
                    fault(format!("magic {:?} is not hex", noise.magic));
                }
            }
            self.files.push(file);
        }
        for entry in document.key {
            let (at, entry) = (entry.span(), entry.into_inner());
            let mut fault = |problem: String| fault(at.clone(), format!("key {}", entry.key), problem);
            entry.when.faults().into_iter().for_each(&mut fault);
            disorder("count", entry.count).into_iter().for_each(&mut fault);
            let ttl = entry.ttl.and_then(|ttl| disorder("ttl", ttl));
            ttl.into_iter().for_each(&mut fault);
            for [member, score] in entry.sorted_set.iter().flatten() {
                // What a persona fills in is known only with it.
                let text = score.to_string();
                if !text.contains("{{") && text.parse::<f64>().map_or(true, f64::is_nan) {
                    fault(format!("the score of {member}, {text:?}, is no number"));
                }
            }
            if entry.values() != 1 {
                fault("needs exactly one of string, list, set, hash, sorted_set".to_owned());
            }
            let [_, most] = entry.count;
            if most > MAX_ROWS {
                fault(format!("count {most} is over {MAX_ROWS}"));
            }
            self.redis.push(entry);
        }
        for database in document.database {
            let (at, mut database) = (database.span(), database.into_inner());
            for problem in database.when.faults() {
                fault(at.clone(), format!("database {}", database.name), problem);
            }
            for table in &mut database.table {
                let at = table.span();
                let table = table.get_mut();
                let place = format!("table {}", table.name);
                if let Some(problem) = disorder("rows", table.rows) {
                    fault(at.clone(), place.clone(), problem);
                }
                let [_, most] = table.rows;
                if most > MAX_ROWS {
                    fault(
                        at.clone(),
                        place.clone(),
                        format!("{most} rows are over {MAX_ROWS}"),
                    );
                }
                for [name, _, text] in &table.columns {
                    match text.parse::<Template>() {
                        Ok(template) => table.templates.push(template),
                        Err(problem) => {
                            fault(at.clone(), format!("{place}, column {name}"), problem.to_string());
                        }
                    }
                }
            }
            self.databases.push(database);
        }
        for site in document.site {
            let (at, site) = (site.span(), site.into_inner());
            let shown = site.show.and_then(|show| disorder("show", show));
            for problem in site.when.faults().into_iter().chain(shown) {
                fault(at.clone(), format!("site {}", site.title), problem);
            }
            self.sites.push(site);
        }
        for (name, list) in document.phrases {
            let (at, list) = (list.span(), list.into_inner());
            let place = format!("phrases {name}");
            if list.is_empty() {
                fault(at.clone(), place.clone(), "there is none in it".to_owned());
            }
            for problem in list.iter().filter_map(|text| text.parse::<Template>().err()) {
                fault(at.clone(), place.clone(), problem.to_string());
            }
            let list = list.into_iter().map(String::into_boxed_str).collect();
            if self.phrases.0.insert(name, list).is_some() {
                fault(at, place, "they stand in another file, too".to_owned());
            }
        }
    }

    /// The files of a persona.
    #[must_use]
    pub fn files(&self, persona: &Persona) -> Vec<BaitFile> {
        let mut out: Vec<BaitFile> = Vec::new();
        for (source, mut rng) in chosen(&self.files, |f| &f.when, "files", persona) {
            let mut context = Context::new(persona, &self.phrases, &mut rng);
            let path = context.fill(&source.path);
            let owner = context.fill(&source.owner);
            let mut content = context.fill(&source.content).into_bytes();
            if let Some(noise) = &source.noise {
                content = noise.bytes(&mut rng);
            }
            let [newest, oldest] = source.days;
            out.push(BaitFile {
                path,
                mode: u32::from_str_radix(&source.mode, 8).unwrap_or(0o644),
                owner,
                mtime: past(persona, &mut rng, newest.into(), oldest.into()),
                content,
            });
        }
        out
    }

    /// The redis keys of a persona.
    #[must_use]
    pub fn redis(&self, persona: &Persona) -> Vec<RedisEntry> {
        let mut out: Vec<RedisEntry> = Vec::new();
        for (source, mut rng) in chosen(&self.redis, |k| &k.when, "redis", persona) {
            let [least, most] = source.count;
            let count = rng.range(least.into(), most.into());
            for i in 1..=count {
                let mut context = Context::new(persona, &self.phrases, &mut rng).row(i);
                let key = context.fill(&source.key);
                let value = source.value(&mut context);
                let ttl = source.ttl.map(|[least, most]| rng.range(least, most));
                if !out.iter().any(|e| e.key == key) {
                    out.push(RedisEntry { key, value, ttl });
                }
            }
        }
        out
    }

    /// The databases of a persona.
    #[must_use]
    pub fn database(&self, persona: &Persona) -> Vec<Database> {
        chosen(&self.databases, |d| &d.when, "database", persona)
            .map(|(source, mut rng)| Database {
                name: Context::new(persona, &self.phrases, &mut rng).fill(&source.name),
                tables: source
                    .table
                    .iter()
                    .map(|table| table.get_ref().fill(persona, &self.phrases, &mut rng))
                    .collect(),
            })
            .collect()
    }

    /// The web site of a persona: one of those that fit it.
    #[must_use]
    pub fn site(&self, persona: &Persona) -> Site {
        let mut fitting: Vec<_> = chosen(&self.sites, |s| &s.when, "site", persona).collect();
        let index = persona.rng("bait/site").index(fitting.len());
        if index >= fitting.len() {
            return Site {
                title: persona.company.clone(),
                slogan: String::new(),
                sections: Vec::new(),
            };
        }
        let (source, mut rng) = fitting.swap_remove(index);
        let mut sections: Vec<_> = source.sections.iter().collect();
        if let Some([least, most]) = source.show {
            rng.shuffle(&mut sections);
            let shown = rng.range(least.into(), most.into());
            sections.truncate(usize::try_from(shown).unwrap_or(usize::MAX));
        }
        let mut context = Context::new(persona, &self.phrases, &mut rng);
        Site {
            title: context.fill(&source.title),
            slogan: context.fill(&source.slogan),
            sections: sections
                .into_iter()
                .map(|[heading, text]| (context.fill(heading), context.fill(text)))
                .collect(),
        }
    }
}

/// The entries that are for this persona, each with its own stream, so that a new entry does not change the others.
fn chosen<'a, T>(
    all: &'a [T],
    when: impl Fn(&T) -> &When + 'a,
    kind: &'a str,
    persona: &'a Persona,
) -> impl Iterator<Item = (&'a T, Rng)> + 'a {
    all.iter().enumerate().filter_map(move |(i, entry)| {
        let mut rng = persona.rng(&format!("bait/{kind}/{i}"));
        when(entry).holds(persona, &mut rng).then_some((entry, rng))
    })
}

/// The text of a file of bait, of which there is a most.
fn read(path: &Path) -> io::Result<String> {
    let about = fs::metadata(path)?;
    // A pipe would be waited for, and a device never ends.
    if !about.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if about.len() > MAX_SOURCE {
        let size = about.len();
        return Err(io::Error::other(format!(
            "it has {size} bytes, and {MAX_SOURCE} are allowed: divide it, or leave something out"
        )));
    }
    let mut text = String::new();
    // It may grow meanwhile.
    File::open(path)?.take(MAX_SOURCE).read_to_string(&mut text)?;
    Ok(text)
}

/// What is wrong with a range that is called `name`; nothing where it is one.
fn disorder<T: PartialOrd + Display>(name: &str, [least, most]: [T; 2]) -> Option<String> {
    (least > most)
        .then(|| format!("{name} = [{least}, {most}]: the first is the least, and the second the most"))
}

impl When {
    /// Words that no machine fits: nobody would ever see the entry.
    fn faults(&self) -> Vec<String> {
        let systems: Vec<&str> = OsFamily::ALL.iter().map(|os| os.as_str()).collect();
        let distros: Vec<&str> = Distro::ALL.iter().map(|distro| distro.as_str()).collect();
        let kinds: Vec<&str> = archetype::ALL.iter().map(|kind| kind.slug).collect();
        let mut faults = Vec::new();
        for (name, given, known) in [
            ("os", &self.os, systems),
            ("distros", &self.distros, distros),
            ("archetypes", &self.archetypes, kinds),
        ] {
            for word in given.iter().filter(|word| !known.contains(&word.as_str())) {
                faults.push(format!(
                    "when.{name}: there is no {word:?}; there are {}",
                    known.join(", ")
                ));
            }
        }
        if let Some(chance) = self.chance.filter(|chance| *chance > 100) {
            faults.push(format!("when.chance = {chance}: it is per cent, 0 to 100"));
        }
        faults
    }

    fn holds(&self, persona: &Persona, rng: &mut Rng) -> bool {
        let drawn = rng.below(100);
        (self.os.is_empty() || self.os.iter().any(|o| o == persona.os.as_str()))
            && (self.distros.is_empty() || self.distros.iter().any(|d| d == persona.distro.as_str()))
            && (self.archetypes.is_empty() || self.archetypes.contains(&persona.archetype))
            && self.chance.is_none_or(|chance| drawn < u64::from(chance))
    }
}

impl Noise {
    fn bytes(&self, rng: &mut Rng) -> Vec<u8> {
        let [least, most] = self.size;
        let size = usize::try_from(rng.range(least, most)).unwrap_or_default();
        let mut out = vec![0; size];
        rng.fill(&mut out);
        for (slot, byte) in out.iter_mut().zip(unhex(&self.magic).unwrap_or_default()) {
            *slot = byte;
        }
        out
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    let digits = digits?;
    digits.len().is_multiple_of(2).then(|| {
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect()
    })
}

/// A time between `newest` and `oldest` days before the last boot.
fn past(persona: &Persona, rng: &mut Rng, newest: u64, oldest: u64) -> i64 {
    let seconds = rng.range(newest * 86_400, oldest * 86_400);
    persona
        .boot_time
        .saturating_sub(i64::try_from(seconds).unwrap_or_default())
}

impl RedisSource {
    fn values(&self) -> usize {
        usize::from(self.string.is_some())
            + usize::from(self.list.is_some())
            + usize::from(self.set.is_some())
            + usize::from(self.hash.is_some())
            + usize::from(self.sorted_set.is_some())
    }

    fn value(&self, context: &mut Context<'_>) -> RedisValue {
        if let Some(items) = &self.list {
            RedisValue::List(items.iter().map(|t| context.fill(t)).collect())
        } else if let Some(items) = &self.set {
            RedisValue::Set(items.iter().map(|t| context.fill(t)).collect())
        } else if let Some(items) = &self.hash {
            RedisValue::Hash(
                items
                    .iter()
                    .map(|[k, v]| (context.fill(k), context.fill(v)))
                    .collect(),
            )
        } else if let Some(items) = &self.sorted_set {
            RedisValue::SortedSet(
                items
                    .iter()
                    .map(|[member, score]| {
                        (
                            context.fill(member),
                            context.fill(score).parse().unwrap_or_default(),
                        )
                    })
                    .collect(),
            )
        } else {
            RedisValue::String(self.string.as_ref().map(|t| context.fill(t)).unwrap_or_default())
        }
    }
}

impl TableSource {
    fn fill(&self, persona: &Persona, phrases: &Phrases, rng: &mut Rng) -> Table {
        let [least, most] = self.rows;
        let count = rng.range(least.into(), most.into());
        let columns: Vec<Column> = self
            .columns
            .iter()
            .map(|[name, sql_type, _]| Column {
                name: name.clone(),
                sql_type: sql_type.clone(),
            })
            .collect();
        let rows = (1..=count)
            .map(|i| {
                let mut context = Context::new(persona, phrases, rng).row(i);
                columns
                    .iter()
                    .zip(&self.templates)
                    .map(|(column, template)| column.value(context.fill(template)))
                    .collect()
            })
            .collect();
        Table {
            name: self.name.clone(),
            columns,
            rows,
        }
    }
}

impl Column {
    fn value(&self, text: String) -> Value {
        let whole = self.sql_type.contains("int");
        match text.parse() {
            Ok(number) if whole => Value::Int(number),
            _ if text == "NULL" => Value::Null,
            _ => Value::Text(text),
        }
    }
}
