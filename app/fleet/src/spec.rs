//! Fleets described by a text: INI, or JSON as the API takes it.
//!
//! ```ini
//! [general]
//! replace = yes            ; take down every decky that is not in this file
//!
//! [web]                    ; a decky, or with amount= a group web-01, web-02 …
//! archetype = web-server
//! amount = 3
//! bait = /etc/decnet/bait  ; a folder of your own bait; empty for the built-in one
//!
//! [web.http]               ; knobs of a service of it; the service is added where services= does not name it
//! tarpit_ms = 200         ; every service has it: each answer is held back so long
//! accept = editor:spring24, admin:admin    ; who gets in: accounts of your own, or never, listed, weak, always, after_3
//! ; bait = /etc/decnet/shop                ; a folder of bait for this service alone; empty for that of its decky
//!
//! [custom-intranet]        ; a container image of your own, a service for every decky that names it: services = ssh, intranet
//! image = registry.example/intranet:2      ; `binary` is the same; Docker has it, or pulls it once
//! command = /srv/app --port 8080           ; `exec` is the same; what the image says where it is left out; quotes hold words together
//! ports = 8080, 9090                       ; the TCP ports that it answers on
//! memory_mb = 256                          ; the most memory that it gets
//! ```
//!
//! An image of one's own needs the engine docker. It stands beside the decky's own program, in the same network and as contained;
//! what passes between visitors and it is recorded.
//!
//! Keys of a decky are the fields of [`DeckySpec`]; `services` is a list divided by commas. `;` and `#` begin a comment
//! at the start of a line, and `;` also after white space.

mod write;

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Display,
    str::FromStr,
};

use decnet_model::{
    fit::{Fitted, MOST, fit},
    fleet::{DeckySpec, FleetSpec, OwnImage, ServiceSpec},
    name::{DeckyName, ServiceSlug},
};
use decnet_persona::archetype;
use serde_json::{Map, Value};

pub use self::write::to_ini;
use crate::{
    BuiltIn, Catalogue, SpecFault, own_image,
    resolve::{self, SERVICES_READ},
};

/// The most bytes of a text.
pub const MAX_TEXT: usize = 512 * 1024;

/// The most sections of a text: far more than the deckies that an installation may have.
const MAX_SECTIONS: usize = 2000;

/// What the section of an operator's own image begins with.
const CUSTOM: &str = "custom-";

/// What in a service's section is none of its knobs, which a test holds: its folder of bait.
pub const BAIT: &str = "bait";

/// The section that is about all deckies.
const GENERAL: &str = "general";

/// The fleet that `text` describes, checked against the built-in catalogue.
///
/// # Errors
/// Every fault, with its line.
pub fn from_ini(text: &str) -> Result<FleetSpec, Vec<SpecFault>> {
    from_ini_with(text, &BuiltIn)
}

/// [`from_ini`] with another catalogue.
///
/// # Errors
/// Every fault, with its line.
pub fn from_ini_with(text: &str, catalogue: &dyn Catalogue) -> Result<FleetSpec, Vec<SpecFault>> {
    let described = Described::read(text, catalogue);
    let faults = described.faults(resolve::check(&described.spec, catalogue));
    if faults.is_empty() {
        Ok(described.spec)
    } else {
        Err(faults)
    }
}

/// What a text says of a fleet, and where.
#[derive(Debug)]
pub struct Described {
    /// The fleet, as far as it could be read. Nothing of it is checked.
    pub spec: FleetSpec,
    places: Places,
    /// What could not be read.
    unread: Vec<SpecFault>,
}

/// Where the fields of a fleet stand in its text.
#[derive(Debug)]
enum Places {
    /// Each on a line.
    Lines(BTreeMap<String, usize>),
    /// Where they are in the fleet, but for what could not be read.
    Fields(Fitted<FleetSpec>),
}

/// The field of faults that are about the whole text.
const TEXT: &str = "text";

impl Described {
    /// Read `text`, which is INI. The faults of it are asked for by [`Described::faults`].
    #[must_use]
    pub fn read(text: &str, catalogue: &dyn Catalogue) -> Self {
        let text = unmarked(text);
        let mut reader = Reader {
            catalogue,
            spec: FleetSpec::default(),
            lines: BTreeMap::new(),
            sections: BTreeMap::new(),
            customs: BTreeMap::new(),
            faults: Vec::new(),
        };
        if text.len() > MAX_TEXT {
            let problem = format!("{} bytes; allowed are {MAX_TEXT}", text.len());
            reader.faults.push(SpecFault::new(TEXT, problem));
        } else {
            reader.read(text);
        }
        Self {
            spec: reader.spec,
            places: Places::Lines(reader.lines),
            unread: reader.faults,
        }
    }

    /// [`Described::read`] of a text that is JSON.
    #[must_use]
    pub fn read_json(text: &str) -> Self {
        let value = serde_json::from_str::<Value>(unmarked(text));
        let broken = value.as_ref().err().map(|error| {
            let said = error.to_string();
            let what = said.split(" at line ").next().unwrap_or_default();
            let problem = format!("not JSON from column {} on: {what}", error.column());
            SpecFault {
                line: Some(error.line()),
                ..SpecFault::new(TEXT, problem)
            }
        });
        let mut fitted = fit::<FleetSpec>(value.unwrap_or_else(|_| Value::Object(Map::new())));
        let faults = fitted.faults.iter().map(|fault| {
            let field = if fault.field.is_empty() {
                TEXT
            } else {
                &fault.field
            };
            SpecFault::new(field, in_words(&fault.message))
        });
        let cut = (fitted.faults.len() >= MOST).then(|| {
            SpecFault::new(
                TEXT,
                format!("{MOST} faults and maybe more: the rest is not looked at"),
            )
        });
        Self {
            unread: broken.into_iter().chain(faults).chain(cut).collect(),
            spec: fitted.value.take().unwrap_or_default(),
            places: Places::Fields(fitted),
        }
    }

    /// Whether all of the text could be read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Everything that is wrong with the text, in its order: what could not be read, and of `checked`, which is wrong with
    /// the fleet, what that does not tell already in other words. Each is told with its line.
    #[must_use]
    pub fn faults(&self, checked: impl IntoIterator<Item = SpecFault>) -> Vec<SpecFault> {
        let mut faults = self.unread.clone();
        let whole = faults.iter().any(|unread| unread.field == TEXT);
        let lines: HashSet<usize> = faults.iter().filter_map(|unread| unread.line).collect();
        let unplaced: Vec<&SpecFault> = self.unread.iter().filter(|f| f.line.is_none()).collect();
        // What stands once in a text may be wrong with each decky that takes it from there.
        let mut once: HashSet<(usize, String)> = HashSet::new();
        for mut fault in checked {
            match &self.places {
                Places::Lines(lines) => fault.line = line_of(&fault.field, lines),
                Places::Fields(fitted) => fault.field = fitted.original(&fault.field),
            }
            let is_told = whole
                || fault.line.is_some_and(|line| lines.contains(&line))
                || unplaced.iter().any(|unread| {
                    is_within(&fault.field, &unread.field) || is_within(&unread.field, &fault.field)
                });
            let is_new = |line| once.insert((line, fault.problem.clone()));
            if !is_told && fault.line.is_none_or(is_new) {
                faults.push(fault);
            }
        }
        faults.sort_by_key(|f| f.line);
        faults
    }
}

/// `text` without the mark by which some editors begin one.
fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// What serde says of a value, which it tells in terms of Rust, for whoever wrote the file. What a type of ours says stays.
fn in_words(said: &str) -> String {
    let plain = said.replace('`', "");
    let kind = |name: &str| match name {
        "u8" | "u16" | "u32" | "u64" => "a whole number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" | "sequence" => "a list".to_owned(),
        "a map" | "map" => "an object".to_owned(),
        other if other.starts_with("struct ") => "an object".to_owned(),
        other => other.to_owned(),
    };
    for refused in ["invalid type: ", "invalid value: "] {
        let given = plain.strip_prefix(refused);
        if let Some((given, expected)) = given.and_then(|rest| rest.split_once(", expected ")) {
            return format!("it has to be {}, and is {}", kind(expected), kind(given));
        }
    }
    if let Some((field, known)) = plain
        .strip_prefix("unknown field ")
        .and_then(|rest| rest.split_once(", expected "))
    {
        let known = known.trim_start_matches("one of ").replace(" or ", ", ");
        return format!("there is no field {field}; there are {known}");
    }
    if let Some(field) = plain.strip_prefix("missing field ") {
        return format!("{field} is needed");
    }
    if let Some(field) = plain.strip_prefix("duplicate field ") {
        return format!("{field} stands twice");
    }
    said.to_owned()
}

/// Whether `field` is `other`, or a part of it.
fn is_within(field: &str, other: &str) -> bool {
    let rest = field.strip_prefix(other);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The line of a field, or of the nearest field that it belongs to.
fn line_of(field: &str, lines: &BTreeMap<String, usize>) -> Option<usize> {
    let mut field = field;
    loop {
        if let Some(line) = lines.get(field) {
            return Some(*line);
        }
        let (shorter, _) = field.rsplit_once(['.', '['])?;
        field = shorter;
    }
}

struct Section<'a> {
    name: &'a str,
    line: usize,
    pairs: Vec<(&'a str, &'a str, usize)>,
}

/// An operator's own image.
struct Custom {
    image: OwnImage,
    /// Where its section begins, and its keys, by their names in [`OwnImage`].
    line: usize,
    lines: Vec<(&'static str, usize)>,
    /// Whether a decky has it.
    named: bool,
}

struct Reader<'a> {
    catalogue: &'a dyn Catalogue,
    spec: FleetSpec,
    /// Where each field stands.
    lines: BTreeMap<String, usize>,
    /// Index of the decky of a section.
    sections: BTreeMap<String, usize>,
    customs: BTreeMap<ServiceSlug, Custom>,
    faults: Vec<SpecFault>,
}

impl Reader<'_> {
    fn read(&mut self, text: &str) {
        let sections = self.sections(text);
        // Images and knobs belong to deckies, which may stand above or below them.
        let (images, others): (Vec<_>, Vec<_>) = sections.iter().partition(|s| s.name.starts_with(CUSTOM));
        for section in images {
            self.custom(section);
        }
        for section in others.iter().filter(|s| !s.name.contains('.')) {
            self.plain(section);
        }
        for section in others.iter().filter(|s| s.name.contains('.')) {
            self.knobs(section);
        }
        for (slug, custom) in std::mem::take(&mut self.customs) {
            let Custom {
                image,
                line,
                lines,
                named,
            } = custom;
            if !named {
                for (key, problem) in own_image::faults(&image) {
                    let at = lines.iter().find(|(given, _)| *given == key);
                    let at = at.map_or(line, |(_, line)| *line);
                    // What could not be read is told as that.
                    if self.faults.iter().all(|told| told.line != Some(at)) {
                        self.fault(at, format!("{slug}: {problem}"));
                    }
                }
                self.fault(
                    line,
                    format!(
                        "no decky has the service {slug}: name it in services, or take [{CUSTOM}{slug}] away"
                    ),
                );
            }
        }
    }

    fn fault(&mut self, line: usize, problem: impl Display) {
        self.faults.push(SpecFault {
            field: format!("line {line}"),
            line: Some(line),
            problem: problem.to_string(),
        });
    }

    fn sections<'t>(&mut self, text: &'t str) -> Vec<Section<'t>> {
        let mut out: Vec<Section<'t>> = Vec::new();
        // Those of all sections, and of the keys in the last one.
        let (mut names, mut keys) = (HashSet::new(), HashSet::new());
        for (i, raw) in text.lines().enumerate() {
            let line = i + 1;
            let content = without_comment(raw).trim();
            if content.is_empty() {
                continue;
            }
            if let Some(name) = content.strip_prefix('[') {
                let Some(name) = name.strip_suffix(']').map(str::trim) else {
                    self.fault(line, "the section's name is not closed by ]");
                    continue;
                };
                if out.len() == MAX_SECTIONS {
                    self.fault(
                        line,
                        format!("more than {MAX_SECTIONS} sections: from here on nothing is read"),
                    );
                    break;
                }
                if !names.insert(name) {
                    self.fault(line, format!("section [{name}] stands twice"));
                }
                keys.clear();
                out.push(Section {
                    name,
                    line,
                    pairs: Vec::new(),
                });
            } else if let Some((key, value)) = content.split_once('=') {
                let (key, value) = (key.trim(), value.trim());
                match out.last_mut() {
                    Some(section) if !keys.insert(key) => {
                        let name = section.name;
                        self.fault(line, format!("{key} stands twice in [{name}]"));
                    }
                    Some(section) => section.pairs.push((key, value, line)),
                    None => self.fault(line, format!("{key} stands before any section")),
                }
            } else {
                self.fault(line, "neither [section] nor key = value");
            }
        }
        out
    }

    fn plain(&mut self, section: &Section<'_>) {
        if section.name == GENERAL {
            for &(key, value, line) in &section.pairs {
                match (key, value) {
                    ("replace", "yes" | "true" | "1") => self.spec.replace = true,
                    ("replace", "no" | "false" | "0") => self.spec.replace = false,
                    ("replace", _) => self.fault(line, format!("replace = {value:?}: yes or no")),
                    _ => {
                        let problem = match of_installation(key) {
                            Some(name) => format!(
                                "{key}: all deckies share one network, which is the installation's: start the host with {name}={value}, \
                                 and leave it out here"
                            ),
                            None => format!("[general] has no key {key}; there is: replace"),
                        };
                        self.fault(line, problem);
                    }
                }
            }
            return;
        }
        let index = self.spec.deckies.len();
        let at = format!("deckies[{index}]");
        self.lines.insert(at.clone(), section.line);
        self.sections.insert(section.name.to_owned(), index);
        let mut decky = DeckySpec::default();
        match section.name.parse::<DeckyName>() {
            Ok(name) => decky.name = Some(name),
            Err(error) => self.fault(section.line, error),
        }
        for &(key, value, line) in &section.pairs {
            // The original's spelling and that of the API are one key.
            let field = match key.replace('-', "_").as_str() {
                "nmap_os" => "os".to_owned(),
                "mutate_interval" => "mutate_interval_minutes".to_owned(),
                other => other.to_owned(),
            };
            self.lines.insert(format!("{at}.{field}"), line);
            if let Err(problem) = set(&mut decky, &field, value) {
                self.fault(line, problem);
            }
        }
        for (i, service) in decky.services.iter_mut().enumerate() {
            let line = self
                .lines
                .get(&format!("{at}.services"))
                .copied()
                .unwrap_or(section.line);
            let field = format!("{at}.services[{i}]");
            if let Some(custom) = self.customs.get_mut(&service.slug) {
                custom.named = true;
                service.image = Some(custom.image.clone());
                self.lines.insert(format!("{field}.image"), custom.line);
                for (key, line) in &custom.lines {
                    self.lines.insert(format!("{field}.image.{key}"), *line);
                }
            }
            self.lines.insert(field, line);
        }
        self.spec.deckies.push(decky);
    }

    fn custom(&mut self, section: &Section<'_>) {
        let slug = section.name.strip_prefix(CUSTOM).unwrap_or_default();
        let slug: ServiceSlug = match slug.parse() {
            Ok(slug) => slug,
            Err(error) => {
                self.fault(section.line, error);
                return;
            }
        };
        let mut image = OwnImage {
            image: String::new(),
            command: Vec::new(),
            ports: Vec::new(),
            memory_mb: None,
        };
        let mut lines: Vec<(&'static str, usize)> = Vec::new();
        for &(key, value, line) in &section.pairs {
            match set_image(&mut image, key, value) {
                Ok(key) if lines.iter().any(|(other, _)| *other == key) => {
                    self.fault(
                        line,
                        format!("{key} stands twice in [{}], under two names", section.name),
                    );
                }
                Ok(key) => lines.push((key, line)),
                Err(problem) => {
                    self.fault(line, problem);
                    // What it was to be is not missing, too.
                    lines.extend(image_key(key).map(|key| (key, line)));
                }
            }
        }
        let custom = Custom {
            image,
            line: section.line,
            lines,
            named: false,
        };
        // One that stands twice is refused as that.
        self.customs.entry(slug).or_insert(custom);
    }

    fn knobs(&mut self, section: &Section<'_>) {
        let Some((owner, slug)) = section.name.rsplit_once('.') else {
            return;
        };
        let Some(index) = self.sections.get(owner).copied() else {
            self.fault(
                section.line,
                format!("there is no section [{owner}] that {slug} could belong to"),
            );
            return;
        };
        let slug: ServiceSlug = match slug.parse() {
            Ok(slug) => slug,
            Err(error) => {
                self.fault(section.line, error);
                return;
            }
        };
        let Some(decky) = self.spec.deckies.get_mut(index) else {
            return;
        };
        let knobs = section.pairs.iter().map(|&(key, value, _)| (key, value));
        let place = adjust(decky, &slug, knobs, self.catalogue);
        let at = format!("deckies[{index}].services[{place}]");
        for (key, _, line) in &section.pairs {
            let field = match *key {
                BAIT => format!("{at}.{BAIT}"),
                knob => format!("{at}.knobs.{knob}"),
            };
            self.lines.insert(field, *line);
        }
        self.lines.entry(at).or_insert(section.line);
    }
}

/// The key of the configuration that says what `key` of a description says elsewhere.
fn of_installation(key: &str) -> Option<&'static str> {
    Some(match key {
        "net" | "network" | "subnet" => "fleet-network",
        "gw" | "gateway" => "fleet-gateway",
        "interface" => "fleet-interface",
        _ => return None,
    })
}

/// Set knobs of a service of `decky` that are given as text: each becomes what its default is; [`BAIT`] among them is its folder of
/// bait. The service is added where the decky does not have it; its place among the services.
pub fn adjust<'a>(
    decky: &mut DeckySpec,
    slug: &ServiceSlug,
    knobs: impl IntoIterator<Item = (&'a str, &'a str)>,
    catalogue: &dyn Catalogue,
) -> usize {
    let defaults = catalogue.default_knobs(slug);
    let (bait, knobs): (Vec<_>, Vec<_>) = knobs.into_iter().partition(|(key, _)| *key == BAIT);
    let bait = bait.last().map(|(_, folder)| (*folder).to_owned());
    let knobs = knobs.into_iter();
    let knobs = knobs
        .map(|(key, value)| (key.to_owned(), typed(value, defaults.get(key))))
        .collect();
    if decky.services.is_empty() {
        // Knobs for one service must not turn off the others that the archetype brings.
        decky.services = unnamed(decky, catalogue);
    }
    match decky
        .services
        .iter_mut()
        .enumerate()
        .find(|(_, s)| s.slug == *slug)
    {
        Some((place, service)) => {
            service.knobs = knobs;
            service.bait = bait;
            place
        }
        None => {
            decky.services.push(ServiceSpec {
                knobs,
                bait,
                ..ServiceSpec::of(slug.clone())
            });
            decky.services.len() - 1
        }
    }
}

/// The services that `decky` has where none are named.
fn unnamed(decky: &DeckySpec, catalogue: &dyn Catalogue) -> Vec<ServiceSpec> {
    let archetype = decky
        .archetype
        .as_deref()
        .and_then(|slug| archetype::find(slug).ok());
    archetype
        .map(|archetype| resolve::usual(archetype, catalogue))
        .into_iter()
        .flatten()
        .map(ServiceSpec::of)
        .collect()
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with([';', '#']) {
        return "";
    }
    let cut = [" ;", "\t;"].iter().filter_map(|mark| line.find(mark)).min();
    cut.and_then(|at| line.get(..at)).unwrap_or(line)
}

fn set(decky: &mut DeckySpec, field: &str, value: &str) -> Result<(), String> {
    fn parsed<T: FromStr>(field: &str, value: &str, what: &str) -> Result<Option<T>, String> {
        value
            .parse()
            .map(Some)
            .map_err(|_| format!("{field} = {value:?} is not {what}"))
    }
    match field {
        "amount" => decky.amount = parsed(field, value, "a number")?,
        "archetype" => decky.archetype = Some(value.to_owned()),
        "services" => {
            for slug in value.split(',').map(str::trim).filter(|s| !s.is_empty()) {
                if decky.services.len() == SERVICES_READ {
                    return Err(format!("{field}: more than {SERVICES_READ}"));
                }
                let slug: ServiceSlug = slug.parse().map_err(|e| format!("{e}"))?;
                decky.services.push(ServiceSpec::of(slug));
            }
        }
        "randomize_services" => {
            decky.randomize_services = match value {
                "yes" | "true" | "1" => true,
                "no" | "false" | "0" => false,
                _ => return Err(format!("{field} = {value:?}: yes or no")),
            }
        }
        "distro" => decky.distro = Some(value.to_owned()),
        "os" => decky.os = Some(value.to_owned()),
        "ip" => decky.ip = parsed(field, value, "an address")?,
        "mac" => decky.mac = Some(value.to_owned()),
        "hostname" => decky.hostname = Some(value.to_owned()),
        "seed" => decky.seed = Some(value.to_owned()),
        "bait" => decky.bait = Some(value.to_owned()),
        "egress" => decky.egress = Some(value.to_owned()),
        "mutate_interval_minutes" => {
            decky.mutate_interval_minutes = match value {
                "never" => Some(0),
                _ => parsed(field, value, "a number of minutes, or never")?,
            }
        }
        _ => {
            return Err(format!(
                "a decky has no key {field}; there are: amount, archetype, services, randomize_services, distro, os, \
                 ip, mac, hostname, seed, bait, mutate_interval_minutes, egress"
            ));
        }
    }
    Ok(())
}

/// The name in [`OwnImage`] of a key of an operator's own image. The names `binary` and `exec` are those of the original.
fn image_key(key: &str) -> Option<&'static str> {
    Some(match key {
        "image" | "binary" => "image",
        "command" | "exec" => "command",
        "ports" => "ports",
        "memory_mb" | "memory-mb" => "memory_mb",
        _ => return None,
    })
}

fn set_image(image: &mut OwnImage, key: &str, value: &str) -> Result<&'static str, String> {
    let Some(field) = image_key(key) else {
        return Err(format!(
            "an image has no key {key}; there are: image, command, ports, memory_mb"
        ));
    };
    match field {
        "image" => image.image = value.to_owned(),
        "command" => {
            image.command = own_image::words(value).map_err(|e| format!("{key} = {value:?}: {e}"))?
        }
        "ports" => {
            let ports = value.split(',').map(str::trim).filter(|port| !port.is_empty());
            let read = |port: &str| {
                port.parse()
                    .map_err(|_| format!("{key} = {value:?}: {port} is not the number of a port"))
            };
            image.ports = ports.map(read).collect::<Result<_, _>>()?;
        }
        _ => {
            let number = value.parse();
            image.memory_mb = Some(number.map_err(|_| format!("{key} = {value:?} is not a number of MiB"))?);
        }
    }
    Ok(field)
}

/// The value of a knob, of the kind that its default has; a guess where the default does not tell.
fn typed(text: &str, default: Option<&Value>) -> Value {
    let plain = || Value::String(text.to_owned());
    match default {
        // What is not there by default is a text.
        Some(Value::String(_) | Value::Null) => plain(),
        Some(Value::Bool(_)) => match text {
            "yes" | "on" => Value::Bool(true),
            "no" | "off" => Value::Bool(false),
            _ => serde_json::from_str(text).unwrap_or_else(|_| plain()),
        },
        Some(Value::Array(_)) if !text.starts_with('[') => text
            .split(',')
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .map(|s| Value::String(s.to_owned()))
            .collect(),
        _ => serde_json::from_str(text).unwrap_or_else(|_| plain()),
    }
}
