//! A day of evidence: intruders of several kinds on a fleet, as the decoys would have written it, with the files that they left,
//! recordings of their sessions, and the fleet's own changes of its services.
//!
//! Lines, files and recordings are made by what the decoys make theirs with (`decnet_decoys::evidence`), by a clock of the day's
//! own; what an intruder does is in `visit.rs`, what a session shows in `shell.rs`, what is left in `files.rs`. The same seed gives the
//! same day, byte for byte. Addresses are those that RFC 5737 and RFC 3849 set aside for documentation, and nothing that is left does
//! anything. Lines come in the order of their times.

mod files;
mod shell;
mod visit;

use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, DirBuilder, OpenOptions},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use decnet_decoys::{
    config::{ARTIFACTS, Limits, TRANSCRIPTS},
    evidence::{Tap, artifact::Artifacts, sink::Sink, tap::Evidence},
};
use decnet_model::{
    clock::{Clock as _, ManualClock, from_micros, micros},
    event::Event,
    fleet::{DeckySpec, FleetSpec, ServiceSpec},
    name::ServiceSlug,
};
use decnet_persona::{Rng, Seed, archetype};
use decnet_syslog::{LineHead, Severity, format_line};
use nix::unistd::geteuid;
use time::{Duration, OffsetDateTime};

use visit::Visit;

/// Events of the longest day all of whose visits may leave something. Of a longer one as many do as of that, spread over it: what
/// is kept has a bound, however long the day is.
const WHOLE: u64 = 60_000;
/// Events a mutation, and the most mutations of a day.
const EVENTS_A_MUTATION: u64 = 2_000;
const MUTATIONS_MOST: u64 = 12;

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Lines in all.
    pub events: u64,
    /// Source addresses.
    pub attackers: u32,
    /// Deckies that they touch.
    pub deckies: u32,
    /// The same seed gives the same day.
    pub seed: u64,
    /// When the day ends.
    pub end: OffsetDateTime,
}

impl Options {
    /// The usual day: 50,000 lines of 40 attackers on 20 deckies.
    #[must_use]
    pub fn until(end: OffsetDateTime) -> Self {
        Self {
            events: 50_000,
            attackers: 40,
            deckies: 20,
            seed: 1,
            end,
        }
    }
}

/// A folder that does not take what visitors leave.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", .folder.display())]
pub struct Fault {
    /// Which folder.
    pub folder: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Fault {
    fn of(folder: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            folder: folder.to_owned(),
            source,
        }
    }
}

/// What a day came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Source addresses in the lines.
    pub attackers: usize,
    /// Deckies in the lines.
    pub deckies: usize,
    /// Files that were kept; the same content is kept once a decky.
    pub files: usize,
    /// Sessions that were recorded.
    pub recordings: u64,
}

/// What an intruder is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Knocks everywhere once.
    Scanner,
    /// Tries passwords, fast.
    BruteForcer,
    /// Gets into ssh and runs the same commands.
    Bot,
    /// Takes redis servers over.
    RedisWorm,
    /// Asks web servers for what should not be there.
    WebScanner,
    /// Looks for a mail server that relays.
    Spammer,
    /// A person at a keyboard.
    Human,
}

const KINDS: &[(Kind, u64)] = &[
    (Kind::BruteForcer, 34),
    (Kind::WebScanner, 18),
    (Kind::Bot, 16),
    (Kind::Scanner, 14),
    (Kind::RedisWorm, 7),
    (Kind::Spammer, 6),
    (Kind::Human, 5),
];

/// A service of the catalogue and its port.
type Offer = (&'static str, u16);

/// What visitors know how to speak to.
const SERVICES: &[Offer] = &[
    ("ssh", 22),
    ("http", 80),
    ("ftp", 21),
    ("mysql", 3306),
    ("redis", 6379),
    ("smtp", 25),
];

/// The archetype of machines that may have all of these.
const GENERAL: &str = "linux-server";

/// What a decky is for: the start of its name, the archetype that it is one of, and what it serves.
type Role = (&'static str, &'static str, &'static [Offer]);

const ROLES: &[Role] = &[
    ("web", "web-server", &[("http", 80), ("ssh", 22), ("ftp", 21)]),
    ("db", "database-server", &[("mysql", 3306), ("ssh", 22)]),
    ("cache", GENERAL, &[("redis", 6379), ("ssh", 22)]),
    ("mail", "mail-server", &[("smtp", 25), ("ssh", 22)]),
    ("srv", GENERAL, &[("ssh", 22), ("http", 80)]),
    ("files", "file-server", &[("ftp", 21), ("ssh", 22)]),
];

struct Decky {
    name: String,
    archetype: &'static str,
    address: IpAddr,
    services: Vec<Offer>,
    /// Reports, and hashes files without keeping them.
    evidence: Arc<Evidence>,
    /// Where it keeps them; nothing until a visitor may leave something.
    home: Option<Home>,
}

/// What a decky keeps.
enum Home {
    /// Everything, in these folders.
    Kept {
        evidence: Arc<Evidence>,
        artifacts: PathBuf,
        transcripts: PathBuf,
    },
    /// Nothing: its folders are those of a decky that runs as a user of its own, who could lead whoever writes there elsewhere.
    Foreign,
}

struct Attacker {
    kind: Kind,
    ip: IpAddr,
    /// Seeds what its software looks like: two attackers with the same tool share it.
    tool: usize,
    /// Hours of the day at which it is busy, first and last.
    busy: (u64, u64),
}

/// A line that waits for its turn.
struct Pending {
    at: OffsetDateTime,
    line: Vec<u8>,
    decky: usize,
    /// Nobody's where the fleet or a service tells of itself.
    attacker: Option<usize>,
}

/// A line, with its time.
type Dated = (OffsetDateTime, Vec<u8>);

/// Takes what taps report, each line with its time.
#[derive(Clone)]
struct Heard {
    clock: Arc<ManualClock>,
    lines: Arc<Mutex<Vec<Dated>>>,
}

impl Heard {
    fn take(&self) -> Vec<Dated> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for Heard {
    /// One write is one line: see [`Sink`].
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let heard = (self.clock.now(), line.to_vec());
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(heard);
        // Two things never happen in the same microsecond.
        self.clock.advance(Duration::microseconds(137));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An iterator over the lines of a day, each ending in `\n`.
pub struct Day {
    options: Options,
    rng: Rng,
    clock: Arc<ManualClock>,
    heard: Heard,
    sink: Arc<Sink>,
    deckies: Vec<Decky>,
    attackers: Vec<Attacker>,
    /// Folder of the deckies' folders, where what visitors leave is kept.
    folder: Option<PathBuf>,
    /// Lines of visits that overlap, by time: the earliest first.
    pending: VecDeque<Pending>,
    made: u64,
    given: u64,
    visits: u64,
    mutations: u64,
    /// When the next visit begins.
    now: OffsetDateTime,
    /// Which attackers and deckies stand in a line that was given.
    seen: (Vec<bool>, Vec<bool>),
    /// Attackers and the deckies on which they left something: nobody does so twice.
    brought: BTreeSet<(usize, usize)>,
    /// Decky and name of each file that was kept.
    files: BTreeSet<(usize, String)>,
    recordings: u64,
    fault: Option<Fault>,
}

impl Day {
    /// The day that `options` describe, of which only lines are kept: files are hashed and reported, sessions are not recorded. At
    /// least one attacker and one decky take part.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let mut key = [0; 16];
        for (slot, byte) in key.iter_mut().zip(options.seed.to_be_bytes()) {
            *slot = byte;
        }
        let mut rng = Seed::from_bytes(key).rng("demo day");
        let begin = options.end - Duration::days(1);
        let clock = Arc::new(ManualClock::new(begin));
        let heard = Heard {
            clock: Arc::clone(&clock),
            lines: Arc::default(),
        };
        let sink = Arc::new(Sink::to(heard.clone()));
        let unkept = Arc::new(Artifacts::unkept(&Limits::default()));
        let deckies: Vec<_> = (0..options.deckies.max(1))
            .map(|n| {
                let (role, archetype, services) = ROLES
                    .get(usize::try_from(n).unwrap_or(0) % ROLES.len())
                    .copied()
                    .unwrap_or(("srv", GENERAL, &[("ssh", 22)]));
                let name = format!("{role}-{:02}", n / 6 + 1);
                let [_, _, high, low] = n.saturating_add(2).to_be_bytes();
                Decky {
                    address: Ipv4Addr::new(127, 66, high, low).into(),
                    services: services.to_vec(),
                    evidence: Arc::new(Evidence {
                        sink: Arc::clone(&sink),
                        artifacts: Arc::clone(&unkept),
                        clock: clock.clone(),
                        decky: name.clone(),
                    }),
                    home: None,
                    archetype,
                    name,
                }
            })
            .collect();
        let attackers: Vec<_> = (0..options.attackers.max(1))
            .map(|n| attacker(&mut rng, n))
            .collect();
        Self {
            now: begin,
            seen: (vec![false; attackers.len()], vec![false; deckies.len()]),
            options,
            rng,
            clock,
            heard,
            sink,
            deckies,
            attackers,
            folder: None,
            pending: VecDeque::new(),
            made: 0,
            given: 0,
            visits: 0,
            mutations: 0,
            brought: BTreeSet::new(),
            files: BTreeSet::new(),
            recordings: 0,
            fault: None,
        }
    }

    /// The same day, and what visitors leave is kept in the deckies' folders below `folder`, which is that of the deckies in a data
    /// directory. Where that cannot be done the lines end, and [`Day::finish`] says why.
    ///
    /// # Errors
    /// Where that folder takes nothing.
    pub fn keeping(options: Options, folder: &Path) -> Result<Self, Fault> {
        fs::create_dir_all(folder)
            .and_then(|()| probe(folder))
            .map_err(Fault::of(folder))?;
        Ok(Self {
            folder: Some(folder.to_owned()),
            ..Self::new(options)
        })
    }

    /// The day's deckies as it leaves them, for a fleet to have them, too. Addresses are the fleet's to give, and so is who they are
    /// beside their kind.
    #[must_use]
    pub fn fleet(&self) -> FleetSpec {
        let spec = |decky: &Decky| {
            let services: Vec<ServiceSlug> = decky
                .services
                .iter()
                .filter_map(|(slug, _)| slug.parse().ok())
                .collect();
            // What a mutation brought may be nothing that such a machine has; a general-purpose one has all of it.
            let fits =
                |slug: &str| archetype::find(slug).is_ok_and(|kind| services.iter().all(|s| kind.fits(s)));
            let kind = [decky.archetype, GENERAL].into_iter().find(|slug| fits(slug));
            DeckySpec {
                name: decky.name.parse().ok(),
                archetype: kind.map(str::to_owned),
                services: services.iter().cloned().map(ServiceSpec::of).collect(),
                ..DeckySpec::default()
            }
        };
        FleetSpec {
            deckies: self.deckies.iter().map(spec).collect(),
            replace: false,
        }
    }

    /// What the lines that were given came to, and what was kept.
    ///
    /// # Errors
    /// Where a folder did not take what a visitor left.
    pub fn finish(self) -> Result<Left, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let (attackers, deckies) = &self.seen;
        let seen = self.attackers.iter().zip(attackers).filter(|(_, seen)| **seen);
        Ok(Left {
            attackers: seen
                .map(|(attacker, _)| attacker.ip)
                .collect::<BTreeSet<_>>()
                .len(),
            deckies: deckies.iter().filter(|seen| **seen).count(),
            files: self.files.len(),
            recordings: self.recordings,
        })
    }

    /// Put what was heard of a decky among what waits.
    fn take(&mut self, decky: usize, attacker: Option<usize>) {
        for (at, line) in self.heard.take() {
            // A visit that would outlast the day is still going on when the day ends.
            if at > self.options.end {
                break;
            }
            // Nearly sorted: a visit's lines go behind what began before it.
            let place = self.pending.partition_point(|waiting| waiting.at <= at);
            self.pending.insert(
                place,
                Pending {
                    at,
                    line,
                    decky,
                    attacker,
                },
            );
            self.made += 1;
        }
    }

    /// Give a decky other services, where the time has come: a line of the mutator, then those of the services that end and begin.
    fn mutate(&mut self) {
        let all = (self.options.events / EVENTS_A_MUTATION).min(MUTATIONS_MOST);
        if self.mutations >= all {
            return;
        }
        // Each in the middle of its part of the day.
        let part = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
        let due = Duration::days(1) * part(2 * self.mutations + 1) / part(2 * all);
        if self.now < self.options.end - Duration::days(1) + due {
            return;
        }
        show(&self.clock, self.now);
        // Few of the fleet move, and these more than once.
        let index = self.rng.index(self.deckies.len().div_ceil(4));
        let Some(decky) = self.deckies.get_mut(index) else {
            return;
        };
        let after = other_services(&decky.services, &mut self.rng);
        let before = std::mem::replace(&mut decky.services, after);
        let slugs = |services: &[Offer]| {
            services
                .iter()
                .map(|(slug, _)| *slug)
                .collect::<Vec<_>>()
                .join(",")
        };
        let (from, to) = (slugs(&before), slugs(&decky.services));
        let event = Event::Mutation {
            from: &from,
            to: &to,
            trigger: if self.mutations % 3 == 1 {
                "operator"
            } else {
                "schedule"
            },
        };
        let mut line = Vec::new();
        // As `workers/mutator` writes it, which has no tap.
        let head = LineHead {
            severity: Severity::Notice,
            timestamp: self.clock.now(),
            hostname: &decky.name,
            app_name: "mutator",
            msgid: event.kind().as_str(),
        };
        format_line(&head, event.fields(), "", &mut line);
        self.sink.write_line(&line);
        // The decoy is told within a second or so.
        let told_ms = i64::try_from(self.rng.range(150, 1_200)).unwrap_or(0);
        self.clock.advance(Duration::milliseconds(told_ms));
        let listen = |port| SocketAddr::new(decky.address, port).to_string();
        for (slug, port) in before.iter().filter(|offer| !decky.services.contains(offer)) {
            Tap::of_service(&decky.evidence, *slug).emit(Event::ServiceStopped {
                listen: &listen(*port),
            });
        }
        for (slug, port) in decky.services.iter().filter(|offer| !before.contains(offer)) {
            Tap::of_service(&decky.evidence, *slug).emit(Event::ServiceStarted {
                listen: &listen(*port),
            });
        }
        self.mutations += 1;
        self.take(index, None);
    }

    /// Make one visit: everything that one attacker does to one service in a row.
    fn visit(&mut self) {
        let hour = u64::from(self.now.hour());
        // An attacker out of its hours gives its turn to another, a few times.
        let mut index = self.rng.index(self.attackers.len());
        for _ in 0..4 {
            if self
                .attackers
                .get(index)
                .is_some_and(|a| (a.busy.0..=a.busy.1).contains(&hour))
            {
                break;
            }
            index = self.rng.index(self.attackers.len());
        }
        let place = self.rng.index(self.deckies.len());
        let (Some(attacker), Some(decky)) = (self.attackers.get(index), self.deckies.get_mut(place)) else {
            return;
        };
        let wanted: &[&str] = match attacker.kind {
            Kind::RedisWorm => &["redis"],
            Kind::WebScanner => &["http"],
            Kind::Spammer => &["smtp"],
            Kind::Bot | Kind::Human => &["ssh"],
            Kind::BruteForcer => &["ssh", "ftp", "mysql"],
            Kind::Scanner => &[],
        };
        let fitting: Vec<_> = decky
            .services
            .iter()
            .filter(|(slug, _)| wanted.is_empty() || wanted.contains(slug))
            .collect();
        let Some(&&(service, port)) = self.rng.pick(&fitting) else {
            return;
        };
        let shows = self.visits.is_multiple_of(one_in(self.options.events));
        let leaves = shows && !self.brought.contains(&(index, place));
        self.visits += 1;
        if let (true, Some(folder), None) = (shows, &self.folder, &decky.home) {
            match decky.furnish(folder) {
                Ok(home) => decky.home = Some(home),
                Err(fault) => {
                    self.fault = Some(fault);
                    return;
                }
            }
        }
        show(&self.clock, self.now);
        let (evidence, kept, transcripts) = match &decky.home {
            Some(Home::Kept {
                evidence,
                artifacts,
                transcripts,
            }) if shows => (evidence, Some(artifacts), Some(transcripts.as_path())),
            _ => (&decky.evidence, None, None),
        };
        let src_port = u16::try_from(self.rng.range(1024, 65_535)).unwrap_or(u16::MAX);
        let mut visit = Visit {
            decky: &decky.name,
            service,
            attacker,
            clock: &self.clock,
            tap: Tap::of_known_session(
                evidence,
                service,
                SocketAddr::new(attacker.ip, src_port),
                SocketAddr::new(decky.address, port),
                self.rng.next_u64(),
            ),
            transcripts,
            shows,
            leaves,
            files: Vec::new(),
            recordings: 0,
        };
        visit.act(&mut self.rng);
        let (files, recordings) = (visit.files, visit.recordings);
        if !files.is_empty() {
            self.brought.insert((index, place));
        }
        if let Some(folder) = kept {
            // Why, its capture has told on standard error.
            if files.iter().any(String::is_empty) {
                let source = io::Error::other("it did not take what a visitor left");
                self.fault = Some(Fault::of(folder)(source));
            }
            self.files.extend(files.into_iter().map(|name| (place, name)));
        }
        self.recordings += recordings;
        self.take(place, Some(index));
    }
}

impl Iterator for Day {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.given == self.options.events {
            return None;
        }
        // A line may go out once no visit that is still to come can lie before it.
        while self.pending.front().is_none_or(|waiting| waiting.at > self.now) {
            let left = i64::try_from(self.options.events.saturating_sub(self.made)).unwrap_or(i64::MAX);
            if left == 0 {
                self.now = self.options.end;
                break;
            }
            self.mutate();
            let before = self.made;
            self.visit();
            if self.fault.is_some() {
                return None;
            }
            // The visits that are left are spread over the time that is left.
            let a_visit = i64::try_from(self.made - before).unwrap_or(1).max(8);
            let step =
                (self.options.end - self.now) / 1_i32.max(i32::try_from(left / a_visit).unwrap_or(i32::MAX));
            let permille = i32::try_from(self.rng.range(200, 1800)).unwrap_or(1000);
            self.now += step * permille / 1000;
            self.now = self.now.min(self.options.end - Duration::seconds(1));
        }
        let Pending {
            line,
            decky,
            attacker,
            ..
        } = self.pending.pop_front()?;
        self.given += 1;
        let (attackers, deckies) = &mut self.seen;
        for (all, index) in [(deckies, Some(decky)), (attackers, attacker)] {
            if let Some(index) = index
                && let Some(seen) = all.get_mut(index)
            {
                *seen = true;
            }
        }
        Some(line)
    }
}

impl Decky {
    /// Make its folders below `folder`, or find that they are somebody else's.
    fn furnish(&self, folder: &Path) -> Result<Home, Fault> {
        let home = folder.join(&self.name);
        let [artifacts, transcripts] = [ARTIFACTS, TRANSCRIPTS].map(|sub| home.join(sub));
        for sub in [&artifacts, &transcripts] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(sub)
                .map_err(Fault::of(sub))?;
            if fs::metadata(sub).map_err(Fault::of(sub))?.uid() != geteuid().as_raw() {
                return Ok(Home::Foreign);
            }
            probe(sub).map_err(Fault::of(sub))?;
        }
        let kept = Artifacts::beside(&artifacts, &Limits::default()).map_err(Fault::of(&artifacts))?;
        Ok(Home::Kept {
            evidence: Arc::new(Evidence {
                sink: Arc::clone(&self.evidence.sink),
                artifacts: Arc::new(kept),
                clock: Arc::clone(&self.evidence.clock),
                decky: self.name.clone(),
            }),
            artifacts,
            transcripts,
        })
    }
}

/// Let `clock` show the time of a visit.
fn show(clock: &ManualClock, time: OffsetDateTime) {
    clock.advance(from_micros(micros(time)) - clock.now());
}

/// Whether a folder takes a file.
fn probe(folder: &Path) -> io::Result<()> {
    // The name of a file that is on its way in, which the next decoy takes away if this is killed here.
    let path = folder.join(format!(".incoming-probe-{}", std::process::id()));
    drop(OpenOptions::new().write(true).create_new(true).open(&path)?);
    fs::remove_file(&path)
}

/// One in how many visits may leave something, of a day of so many events.
fn one_in(events: u64) -> u64 {
    1 + events / WHOLE
}

/// Other services than the `current` ones: the first stays, as it does where the mutator chooses (`mutation::choose` of `decnet-fleet`), and
/// one comes that was not there.
fn other_services(current: &[Offer], rng: &mut Rng) -> Vec<Offer> {
    let new: Vec<_> = SERVICES.iter().filter(|offer| !current.contains(offer)).collect();
    let (first, rest) = current.split_at(current.len().min(1));
    let mut after = first.to_vec();
    after.extend(rest.iter().filter(|_| rng.chance(1, 2)).take(2));
    after.extend(rng.pick(&new).copied());
    after
}

fn attacker(rng: &mut Rng, n: u32) -> Attacker {
    let total: u64 = KINDS.iter().map(|(_, weight)| weight).sum();
    // The first ones are one of each kind, so that a small day has them all.
    let kind = match KINDS.get(usize::try_from(n).unwrap_or(usize::MAX)) {
        Some((kind, _)) => *kind,
        None => {
            let mut at = rng.below(total);
            let mut chosen = Kind::Scanner;
            for (kind, weight) in KINDS {
                if at < *weight {
                    chosen = *kind;
                    break;
                }
                at -= weight;
            }
            chosen
        }
    };
    let host = u8::try_from(n % 250 + 2).unwrap_or(2);
    let group = |of: u64| u16::try_from(of).unwrap_or(0);
    let ip = match (n / 250, n % 11) {
        (block, 7) => {
            let (block, net) = (group(u64::from(block)), group(rng.below(0xffff)));
            Ipv6Addr::new(0x2001, 0xdb8, block, net, 0, 0, 0, u16::from(host)).into()
        }
        (block, which) => match (block + which) % 3 {
            0 => Ipv4Addr::new(192, 0, 2, host).into(),
            1 => Ipv4Addr::new(198, 51, 100, host).into(),
            _ => Ipv4Addr::new(203, 0, 113, host).into(),
        },
    };
    let first = rng.below(20);
    Attacker {
        kind,
        ip,
        tool: rng.index(6),
        busy: (first, first + rng.range(3, 12)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use decnet_model::printable::printable;
    use decnet_syslog::{Message, fields_of, source_address};
    use serde_json::{Value, json};
    use sha2::{Digest as _, Sha256};
    use time::macros::datetime;

    use super::*;

    fn options() -> Options {
        Options {
            events: 5_000,
            ..Options::until(datetime!(2026-01-02 12:00 UTC))
        }
    }

    /// A day whose files and recordings are kept.
    struct Kept {
        folder: tempfile::TempDir,
        lines: Vec<Message>,
        raw: Vec<Vec<u8>>,
        left: Left,
    }

    fn kept(options: Options) -> Kept {
        let folder = tempfile::tempdir().unwrap();
        let mut day = Day::keeping(options, &folder.path().join("deckies")).unwrap();
        let raw: Vec<_> = day.by_ref().collect();
        Kept {
            lines: raw.iter().map(|line| Message::parse(line).unwrap()).collect(),
            raw,
            left: day.finish().unwrap(),
            folder,
        }
    }

    impl Kept {
        /// The lines of recordings of one kind, by the recordings' ids.
        fn by_sid(&self, kind: &str) -> BTreeMap<&str, &Message> {
            let lines = self.of(kind).into_iter();
            lines.map(|line| (field(line, "sid"), line)).collect()
        }

        fn of(&self, kind: &str) -> Vec<&Message> {
            let lines = self.lines.iter();
            lines.filter(|m| m.msgid.as_deref() == Some(kind)).collect()
        }

        /// A folder of the decky that `line` is of.
        fn folder(&self, line: &Message, sub: &str) -> PathBuf {
            let decky = line.hostname.as_deref().unwrap();
            self.folder.path().join("deckies").join(decky).join(sub)
        }

        /// Every file below, by its path.
        fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
            let mut tree = BTreeMap::new();
            let mut folders = vec![self.folder.path().to_owned()];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        let name = path.strip_prefix(self.folder.path()).unwrap().to_owned();
                        tree.insert(name, fs::read(path).unwrap());
                    }
                }
            }
            tree
        }
    }

    fn field<'a>(line: &'a Message, name: &str) -> &'a str {
        let fields = fields_of(line).into_iter();
        let mut found = fields.filter_map(|(key, value)| (key == name).then_some(value));
        found.next().unwrap_or_else(|| panic!("{name} of {line:?}"))
    }

    #[test]
    fn the_same_seed_gives_the_same_day_and_another_seed_another() {
        let lines = |seed| Day::new(Options { seed, ..options() }).collect::<Vec<_>>();
        assert_eq!(lines(1), lines(1));
        assert_ne!(lines(1), lines(2));
        let (one, two) = (kept(options()), kept(options()));
        assert_eq!(one.raw, two.raw);
        assert_eq!((&one.left, one.tree()), (&two.left, two.tree()));
    }

    #[test]
    fn without_a_folder_files_are_reported_and_sessions_are_not_recorded() {
        let kinds = |lines: &[Message], kind: &str| {
            let of = lines.iter().filter(|m| m.msgid.as_deref() == Some(kind));
            of.cloned().collect::<Vec<_>>()
        };
        let lines: Vec<_> = Day::new(options())
            .map(|line| Message::parse(&line).unwrap())
            .collect();
        assert_eq!(lines.len(), 5_000);
        let files = kinds(&lines, "file_captured");
        assert!(!files.is_empty() && files.iter().all(|file| field(file, "stored_as").is_empty()));
        assert!(kinds(&lines, "session_recorded").is_empty() && !kinds(&lines, "session_skipped").is_empty());
        let kept = kept(options());
        assert_eq!(kept.of("session_skipped"), Vec::<&Message>::new());
    }

    #[test]
    fn a_day_has_what_was_asked_for_in_the_order_of_time() {
        let Kept { lines, left, .. } = kept(options());
        assert_eq!(lines.len(), 5_000);
        let times: Vec<_> = lines.iter().map(|m| m.timestamp.unwrap()).collect();
        assert!(times.is_sorted(), "lines are in the order of their times");
        let (first, last) = (times.first().unwrap(), times.last().unwrap());
        assert!(
            *last - *first > Duration::hours(20),
            "it is a whole day: {first} to {last}"
        );
        assert!(*last <= options().end, "nothing happens after its end: {last}");
        let deckies: BTreeSet<_> = lines.iter().filter_map(|m| m.hostname.clone()).collect();
        assert_eq!((deckies.len(), left.deckies), (20, 20));
        let attackers: BTreeSet<_> = lines.iter().filter_map(source_address).collect();
        assert_eq!(attackers.len(), left.attackers);
        let kinds: BTreeSet<_> = lines.iter().filter_map(|m| m.msgid.clone()).collect();
        for kind in [
            "connect",
            "auth_attempt",
            "command",
            "request",
            "exploit_attempt",
            "fetch_attempt",
            "file_captured",
            "mail_accepted",
            "mutation",
            "service_started",
            "session_started",
            "session_recorded",
        ] {
            assert!(kinds.contains(kind), "{kind} happens");
        }
    }

    #[test]
    fn every_file_that_a_line_names_is_there_with_its_hash_and_its_description() {
        let day = kept(options());
        let mut vias = BTreeSet::new();
        let mut files: BTreeMap<PathBuf, Vec<&Message>> = BTreeMap::new();
        for line in [day.of("file_captured"), day.of("mail_accepted")].concat() {
            let path = day.folder(line, ARTIFACTS).join(field(line, "stored_as"));
            let content = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(field(line, "sha256"), hex::encode(Sha256::digest(&content)));
            assert_eq!(field(line, "size"), content.len().to_string());
            assert!(content.len() < 2_000, "{} is small", path.display());
            vias.insert(field(line, "via").to_owned());
            files.entry(path).or_default().push(line);
        }
        for (path, lines) in &files {
            let description = fs::read(format!("{}.meta.json", path.display())).unwrap();
            let description: Value = serde_json::from_slice(&description).unwrap();
            // It tells of one that left it.
            let names = [
                ("sha256", "sha256"),
                ("original_path", "orig_path"),
                ("via", "via"),
                ("source", "src_ip"),
                ("session", "session"),
            ];
            let tells = |line: &&Message| {
                names
                    .iter()
                    .all(|(key, name)| description[key] == field(line, name))
            };
            assert!(lines.iter().any(tells), "{description}");
        }
        for via in ["redirect", "redis-save", "smtp"] {
            assert!(vias.contains(via), "{via} of {vias:?}");
        }
        // Who left something and was not told yet when the day ended is one of the last.
        assert!(
            (files.len()..files.len() + 3).contains(&day.left.files),
            "{:?}",
            day.left
        );
    }

    #[test]
    fn every_recording_that_a_line_names_is_an_asciicast_that_ends_with_its_session() {
        let day = kept(options());
        let recorded = day.of("session_recorded");
        assert!(
            (recorded.len()..recorded.len() + 3).contains(&usize::try_from(day.left.recordings).unwrap()),
            "{:?}",
            day.left
        );
        let (started, ended) = (day.by_sid("session_started"), day.by_sid("session_ended"));
        let mut typed = 0;
        for line in recorded {
            let sid = field(line, "sid");
            // The last line of the day may stand between the two.
            let Some(ended) = ended.get(sid) else { continue };
            let shard = fs::read_to_string(day.folder(line, TRANSCRIPTS).join(field(line, "shard"))).unwrap();
            let mut lines: Vec<Value> = shard
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .filter(|line: &Value| line["sid"] == sid)
                .collect();
            let header = lines.remove(0)["hdr"].take();
            let (begin, end) = (started[sid].timestamp.unwrap(), ended.timestamp.unwrap());
            assert_eq!(
                (&header["version"], &header["timestamp"]),
                (&json!(2), &json!(begin.unix_timestamp()))
            );
            assert!(header["width"].as_u64() >= Some(80) && header["height"].as_u64() >= Some(24));
            assert!(lines.len() >= 2, "{sid} shows what came in and what went out");
            let times: Vec<_> = lines.iter().map(|line| line["t"].as_f64().unwrap()).collect();
            assert!(times.is_sorted(), "{sid}: {times:?}");
            let duration = field(line, "duration_ms").parse::<f64>().unwrap() / 1_000.0;
            let lasted = (end - begin).as_seconds_f64();
            assert!(
                (lasted - duration).abs() < 0.01,
                "{sid}: {lasted} and {duration} s"
            );
            assert!(
                times.last().unwrap() <= &(duration + 0.001),
                "{sid} goes on after its end"
            );
            let bytes = |channel: &str| -> usize {
                let of = lines.iter().filter(|line| line["ch"] == channel);
                of.map(|line| line["d"].as_str().unwrap().len()).sum()
            };
            assert_eq!(field(line, "bytes"), bytes("o").to_string());
            assert_eq!(field(line, "keystrokes"), bytes("i").to_string());
            assert!(
                lines
                    .iter()
                    .all(|l| ["o", "i", "r"].contains(&l["ch"].as_str().unwrap()))
            );
            // A person's keys come one by one, and the terminal shows them.
            typed += usize::from(header["env"]["TERM"] == "xterm-256color" && lines.len() > 100);
            // What was typed, but for slips, is what was reported.
            let mut fed = String::new();
            for key in lines.iter().filter(|line| line["ch"] == "i") {
                match key["d"].as_str().unwrap() {
                    "\x7f" => {
                        fed.pop();
                    }
                    key => fed.push_str(key),
                }
            }
            let fed = printable(fed.as_bytes());
            let session = field(line, "session");
            let commands = day.of("command");
            for command in commands.into_iter().filter(|c| field(c, "session") == session) {
                let command = field(command, "command");
                assert!(fed.contains(command), "{sid}: {command} of {fed}");
            }
        }
        assert!(typed > 0, "somebody typed");
    }

    #[test]
    fn a_decky_that_mutates_says_so_as_the_mutator_does_and_has_the_services_that_it_says() {
        let day = kept(Options {
            events: 20_000,
            ..options()
        });
        let mutations = day.of("mutation");
        assert_eq!(mutations.len(), 10);
        let mut services: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut triggers = BTreeSet::new();
        for (line, raw) in day.lines.iter().zip(&day.raw) {
            let (decky, service) = (
                line.hostname.as_deref().unwrap(),
                line.app_name.as_deref().unwrap(),
            );
            match line.msgid.as_deref().unwrap() {
                "mutation" => {
                    assert!(raw.starts_with(b"<133>1 "), "{line:?}");
                    assert_eq!((service, source_address(line)), ("mutator", None));
                    let set = |name| field(line, name).split(',').collect::<BTreeSet<_>>();
                    let (before, after) = (set("services_before"), set("services_after"));
                    assert_ne!(before, after);
                    if let Some(known) = services.insert(decky, after) {
                        assert_eq!(known, before, "{line:?}");
                    }
                    triggers.insert(field(line, "trigger"));
                }
                kind @ ("service_started" | "service_stopped") => {
                    assert_eq!(source_address(line), None);
                    let begins = kind == "service_started";
                    assert_eq!(services[decky].contains(service), begins, "{line:?}");
                    field(line, "listen").parse::<SocketAddr>().unwrap();
                }
                // Who is there before a mutation may be there after it.
                "connect" if services.contains_key(decky) => {
                    assert!(services[decky].contains(service), "{line:?}");
                }
                _ => {}
            }
        }
        assert_eq!(triggers, BTreeSet::from(["operator", "schedule"]));
    }

    #[test]
    fn the_fleet_of_a_day_is_of_machines_that_have_what_its_deckies_serve_in_the_end() {
        let many = Options {
            events: 24_000,
            ..options()
        };
        let mut day = Day::new(many);
        let before = day.fleet();
        let lines: Vec<_> = day.by_ref().map(|line| Message::parse(&line).unwrap()).collect();
        let (fleet, mut changed) = (day.fleet(), 0);
        assert_eq!((fleet.deckies.len(), fleet.replace), (20, false));
        for (decky, was) in fleet.deckies.iter().zip(&before.deckies) {
            let name = decky.name.as_ref().unwrap();
            assert_eq!(Some(name), was.name.as_ref());
            let kind = archetype::find(decky.archetype.as_deref().unwrap()).unwrap();
            let slugs: Vec<_> = decky
                .services
                .iter()
                .map(|service| service.slug.clone())
                .collect();
            assert!(
                !slugs.is_empty() && slugs.iter().all(|slug| kind.fits(slug)),
                "{decky:?}"
            );
            let last = lines
                .iter()
                .filter(|line| line.hostname.as_deref() == Some(name.as_str()))
                .rfind(|line| line.msgid.as_deref() == Some("mutation"));
            if let Some(last) = last {
                let told: Vec<_> = field(last, "services_after").split(',').collect();
                assert_eq!(slugs.iter().map(ServiceSlug::as_str).collect::<Vec<_>>(), told);
                changed += 1;
            } else {
                assert_eq!(decky, was);
            }
        }
        assert!(changed > 0, "some mutated");
    }

    #[test]
    fn what_is_kept_has_a_bound_however_long_the_day_is() {
        assert_eq!((one_in(50_000), one_in(1_000_000)), (1, 17));
        for events in [60_000, 1_000_000, 100_000_000] {
            assert!(events / one_in(events) <= WHOLE, "{events}");
        }
    }

    #[test]
    fn a_folder_that_takes_nothing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let deckies = folder.path().join("deckies");
        fs::write(&deckies, "no folder").unwrap();
        let fault = Day::keeping(options(), &deckies).err().unwrap();
        assert!(
            fault.to_string().starts_with(&format!("{}: ", deckies.display())),
            "{fault}"
        );

        fs::remove_file(&deckies).unwrap();
        for n in 0..20 {
            let decky = Day::new(options()).deckies[n].name.clone();
            fs::create_dir_all(deckies.join(&decky)).unwrap();
            fs::write(deckies.join(decky).join(ARTIFACTS), "no folder").unwrap();
        }
        let mut day = Day::keeping(options(), &deckies).unwrap();
        assert!(day.by_ref().count() < 5_000);
        let fault = day.finish().unwrap_err();
        assert!(
            fault.folder.ends_with(ARTIFACTS) && fault.folder.starts_with(&deckies),
            "{fault}"
        );
    }
}
