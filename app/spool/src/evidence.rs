//! What a spool holds, whether that is still what was written, and taking a part of it elsewhere with its proof.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read as _, Write as _},
    ops::RangeInclusive,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use decnet_model::clock::{from_micros, micros};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    Digest, Position, SpoolError,
    digest::{Chain, SHORT, proof, root},
    journal::{self, Journal, has_all},
    layout,
    reader::{acknowledgements, read_committed},
    seal::{Closed, Lines, Seal},
    writer::{closed_by, is_written},
};

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Segments that were found good.
    pub segments: u64,
    /// Lines in them.
    pub lines: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Number of the first segment that is there. What was before it was dropped by the caps, as the spool has noted; whoever
    /// can write the folder can write such a note, too, but not undo a note of an earlier root.
    pub first_segment: Option<u64>,
    /// Root of the last sealed segment that was found good: note it elsewhere, and later everything up to it is proved.
    pub root: Option<Digest>,
    /// Proof of a bundle's manifest, its interval with it, where all of the bundle is good. Who can write the folder can make
    /// another manifest with another proof: compare it with what [`export`] told.
    pub proof: Option<Digest>,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
}

/// The first thing that is wrong with a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// In which segment; none where it is the manifest of a bundle.
    pub segment: Option<u64>,
    /// What it is.
    pub kind: FaultKind,
}

/// What is wrong. Lines count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// This line is not what was written.
    LineChanged(u64),
    /// This line was not written here.
    LineInserted(u64),
    /// The line that was this one is not there.
    LineCut(u64),
    /// Something between these two lines, both included, in a newest segment whose journal does not tell line by line: it
    /// was written by an earlier version, or changed itself.
    LinesAltered(u64, u64),
    /// The segment is not there, though a later one is, or its journal, or a manifest or a reader's position names it.
    SegmentMissing,
    /// There are lines that neither a seal nor a journal accounts for.
    SealMissing,
    /// The lines are as the seal has them, but the seal is not the one that was made.
    SealChanged,
    /// It does not follow the segment before it.
    ChainBroken,
    /// The manifest of a bundle is not the one that was made: its interval, or what it says of a segment.
    ManifestChanged,
    /// Behind what was committed there is more.
    BytesBehind {
        /// Where in the log it begins.
        offset: u64,
        /// How much it is.
        bytes: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segment = self.segment.unwrap_or_default();
        match self.kind {
            FaultKind::LineChanged(n) => write!(f, "segment {segment}, line {n}: changed"),
            FaultKind::LineInserted(n) => write!(f, "segment {segment}, line {n}: inserted"),
            FaultKind::LineCut(n) => write!(f, "segment {segment}, line {n}: cut out"),
            FaultKind::LinesAltered(a, b) => write!(f, "segment {segment}, lines {a} to {b}: altered"),
            FaultKind::SegmentMissing => write!(f, "segment {segment}: missing"),
            FaultKind::SealMissing => write!(f, "segment {segment}: lines without seal or journal"),
            FaultKind::SealChanged => write!(f, "segment {segment}: its seal was changed or made anew"),
            FaultKind::ChainBroken => write!(f, "segment {segment}: does not follow the segment before it"),
            FaultKind::ManifestChanged => write!(
                f,
                "{}: changed, so that its interval and what it says of the segments prove nothing",
                layout::MANIFEST
            ),
            FaultKind::BytesBehind { offset, bytes } => write!(
                f,
                "segment {segment} ({segment:010}.log), from byte {offset} on: {bytes} bytes that no commit accounts for, \
                 appended by somebody else or left by a collector that was killed, which cuts them off when it starts"
            ),
        }
    }
}

/// What a bundle of evidence holds: its `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// `decnet-evidence 2`.
    pub format: String,
    /// Start of the range that was asked for; lines count by when they arrived.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// End of that range, itself not in it.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// Whole segments in order, from the first to the last that has lines of the range, so that each is proved to follow the
    /// one before it. Those of a clock that was set ahead and back stand between and may have none.
    pub segments: Vec<BundleSegment>,
    /// How to check it.
    pub note: String,
    /// SHA-256 over all of this with zeros in this place.
    pub proof: Digest,
}

impl Bundle {
    fn proven(self) -> Result<Self, serde_json::Error> {
        let unproven = Self {
            proof: Digest::NONE,
            ..self
        };
        let proof = proof(&serde_json::to_vec(&unproven)?);
        Ok(Self { proof, ..unproven })
    }
}

/// What [`export`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// What the bundle holds.
    pub bundle: Bundle,
    /// What [`verify`] says is wrong with it: evidence that was altered before goes as it is, and proves that much.
    pub fault: Option<Fault>,
}

/// One segment of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleSegment {
    /// Its number: `NNNNNNNNNN.log` and `.seal` are beside the manifest.
    pub segment: u64,
    /// Lines in it.
    pub lines: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// When it was begun.
    #[serde(with = "time::serde::rfc3339")]
    pub first: OffsetDateTime,
    /// When its last line arrived.
    #[serde(with = "time::serde::rfc3339")]
    pub last: OffsetDateTime,
    /// Root of the segment before it.
    pub predecessor: Digest,
    /// Its root.
    pub root: Digest,
    /// Whether it was closed; a segment that was still being written carries a seal of what it had so far.
    pub closed: bool,
}

const NOTE: &str = "Whole segments of a DECNET spool: NNNNNNNNNN.log holds the lines, .seal their digests. \
                    `decnet spool verify <this folder>` checks all of it, and that this \
                    manifest is as it was made.";

/// Whether a folder is a spool, or a bundle with its manifest: any other has nothing that [`verify`] could find missing.
#[must_use]
pub fn is_evidence(dir: &Path) -> bool {
    let telling = [layout::MANIFEST, layout::ID, layout::LOCK, layout::READERS];
    telling.iter().any(|name| dir.join(name).exists())
}

/// Check a spool, or a bundle that [`export`] made: every line against its seal, every seal against the one before.
/// The writer may be at work meanwhile.
///
/// # Errors
/// [`SpoolError::Io`] where something cannot be read. What is *wrong* is not an error but [`Verified::fault`].
pub fn verify(dir: &Path) -> Result<Verified, SpoolError> {
    // The writer closes and drops segments while we look. A fault that is still there when nothing moved is one.
    let files = || {
        let [logs, seals, journals] =
            [layout::LOG, layout::SEAL, layout::JOURNAL].map(|kind| layout::segments(dir, kind));
        Ok::<_, SpoolError>((logs?, seals?, journals?))
    };
    let mut before = files()?;
    for _ in 0..20 {
        let found = verify_once(dir);
        if matches!(&found, Ok(Verified { fault: None, .. })) {
            return found;
        }
        let after = files()?;
        if after == before {
            break;
        }
        before = after;
    }
    verify_once(dir)
}

fn verify_once(dir: &Path) -> Result<Verified, SpoolError> {
    // Before anything else, so that a writer at work is not taken for one whose lines are gone.
    let told = told(dir)?;
    let logs = layout::segments(dir, layout::LOG)?;
    let seals = layout::segments(dir, layout::SEAL)?;
    let journals = layout::segments(dir, layout::JOURNAL)?;
    let all: BTreeSet<u64> = [&logs, &seals, &journals]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let mut report = Verified {
        segments: 0,
        lines: 0,
        bytes: 0,
        first_segment: all.first().copied(),
        root: None,
        proof: None,
        fault: None,
    };
    let mut roots = Vec::new();
    let mut previous: Option<(u64, Digest)> = None;
    let mut end = Position::START;
    let mut lines = 0;
    for segment in all {
        let found = if !logs.contains(&segment) {
            Err(FaultKind::SegmentMissing)
        } else if seals.contains(&segment) {
            check_sealed(dir, segment)?
        } else if journals.contains(&segment) {
            check_open(dir, segment)?
        } else if fs::metadata(layout::segment_file(dir, segment, layout::LOG)).is_ok_and(|m| m.len() == 0) {
            continue;
        } else {
            Err(FaultKind::SealMissing)
        };
        let fault = |segment, kind| {
            Some(Fault {
                segment: Some(segment),
                kind,
            })
        };
        if previous.is_none()
            && let Ok(closed) = &found
            && !follows_what_was_dropped(dir, closed)?
        {
            report.fault = fault(segment.saturating_sub(1), FaultKind::SegmentMissing);
        }
        if let Some((before, root)) = previous {
            if before + 1 != segment {
                report.fault = fault(before + 1, FaultKind::SegmentMissing);
            } else if found.as_ref().is_ok_and(|closed| closed.predecessor != root) {
                report.fault = fault(segment, FaultKind::ChainBroken);
            }
        }
        match found {
            Err(kind) => report.fault = report.fault.or(fault(segment, kind)),
            Ok(closed) if report.fault.is_none() => {
                previous = Some((segment, closed.root()));
                end = Position {
                    segment,
                    offset: closed.bytes,
                };
                lines = closed.lines;
                roots.push((segment, closed.root()));
                report.segments += 1;
                report.lines += closed.lines;
                report.bytes += closed.bytes;
                if seals.contains(&segment) {
                    report.root = Some(closed.root());
                }
            }
            Ok(_) => {}
        }
        if report.fault.is_some() {
            return Ok(report);
        }
    }
    if told > end {
        report.fault = Some(Fault {
            segment: Some(told.segment),
            kind: if told.segment == end.segment {
                FaultKind::LineCut(lines + 1)
            } else {
                FaultKind::SegmentMissing
            },
        });
        return Ok(report);
    }
    match check_manifest(dir, &roots)? {
        Ok(proof) => report.proof = proof,
        Err(fault) => report.fault = Some(fault),
    }
    Ok(report)
}

/// Whether the first segment of a spool follows the one that was dropped last, if one was. A bundle begins anywhere, and its
/// manifest says where.
fn follows_what_was_dropped(dir: &Path, first: &Closed) -> Result<bool, SpoolError> {
    if first.predecessor == Digest::NONE || dir.join(layout::MANIFEST).exists() {
        return Ok(true);
    }
    let path = dir.join(layout::DROPPED);
    let note = match fs::read_to_string(&path) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(SpoolError::io("read", &path)(error)),
    };
    let (segment, root) = note.trim_end().split_once(' ').unwrap_or_default();
    let dropped: Option<(u64, Digest)> = segment.parse().ok().zip(root.parse().ok());
    Ok(dropped.is_some_and(|(segment, root)| {
        // The writer notes a drop before it does it.
        first.segment == segment || first.predecessor == root
    }))
}

/// How far readers were told that lines are committed, and how far they say that they are: never further than the spool
/// goes, also after a crash.
fn told(dir: &Path) -> Result<Position, SpoolError> {
    let committed = read_committed(dir)?;
    // A bundle has no readers.
    let acknowledged = if dir.join(layout::READERS).is_dir() {
        acknowledgements(dir)?
    } else {
        Vec::new()
    };
    Ok(acknowledged
        .into_iter()
        .chain(committed)
        .max()
        .unwrap_or(Position::START))
}

/// Compare a sealed segment with its seal, line by line.
fn check_sealed(dir: &Path, segment: u64) -> Result<Result<Closed, FaultKind>, SpoolError> {
    let seal = Seal::read(dir, segment)?;
    let path = layout::segment_file(dir, segment, layout::LOG);
    let mut lines = Lines::open(&path, u64::MAX)?;
    let mut chain = Chain::new(segment, &seal.closed.predecessor);
    let mut actual = Vec::with_capacity(seal.digests.len());
    while let Some(line) = lines.next().map_err(SpoolError::io("read", &path))? {
        actual.push(chain.line(line).short());
    }
    if let Some(kind) = first_difference(0, &actual, &seal.digests) {
        return Ok(Err(kind));
    }
    let closed = seal.closed;
    let genuine = closed.segment == segment
        && chain.value() == closed.chain
        && u64::try_from(actual.len()).is_ok_and(|lines| lines == closed.lines)
        && root(&closed.chain, closed.lines, closed.first_us, closed.last_us) == seal.root;
    Ok(if genuine {
        Ok(closed)
    } else {
        Err(FaultKind::SealChanged)
    })
}

/// Where `actual` lines first differ from the `written` ones, and what was done there: judged by where either goes on
/// as the other does. Line numbers begin after `before`.
fn first_difference(before: u64, actual: &[String], written: &[String]) -> Option<FaultKind> {
    let same = actual.iter().zip(written).take_while(|(a, w)| a == w).count();
    let line = before + u64::try_from(same).unwrap_or(u64::MAX).saturating_add(1);
    Some(match (actual.get(same..)?, written.get(same..)?) {
        ([], []) => return None,
        ([], _) => FaultKind::LineCut(line),
        (_, []) => FaultKind::LineInserted(line),
        ([found, after_found @ ..], [wanted, after_wanted @ ..]) => {
            let inserted = after_found.iter().position(|digest| digest == wanted);
            let cut = after_wanted.iter().position(|digest| digest == found);
            if after_found.first() == after_wanted.first() {
                FaultKind::LineChanged(line)
            } else {
                match (inserted, cut) {
                    (None, None) => FaultKind::LineChanged(line),
                    (Some(inserted), Some(cut)) if cut < inserted => FaultKind::LineCut(line),
                    (Some(_), _) => FaultKind::LineInserted(line),
                    (None, Some(_)) => FaultKind::LineCut(line),
                }
            }
        }
    })
}

/// What the journal tells of a commit.
struct Commit {
    /// Lines of the segment after it.
    end: u64,
    /// Value of the chain after it.
    chain: Digest,
    /// The short digests of its lines, one behind the other.
    digests: String,
}

/// Compare the newest segment with its journal, commit by commit.
fn check_open(dir: &Path, segment: u64) -> Result<Result<Closed, FaultKind>, SpoolError> {
    let path = layout::segment_file(dir, segment, layout::JOURNAL);
    let file = File::open(&path).map_err(SpoolError::io("open", &path))?;
    let mut commits = Vec::new();
    let journal = Journal::read(&file, |record| {
        commits.push(Commit {
            end: record.lines,
            chain: record.chain,
            digests: record.digests.clone(),
        });
    })
    .map_err(SpoolError::io("read", &path))?;
    let Some(journal) = journal else {
        return Ok(Err(FaultKind::SealMissing));
    };
    let path = layout::segment_file(dir, segment, layout::LOG);
    let mut lines = Lines::open(&path, journal.last.end)?;
    let mut chain = Chain::new(segment, &journal.predecessor);
    let mut count = 0;
    let mut left = commits.as_slice();
    while let [commit, later @ ..] = left {
        let before = count;
        while count < commit.end
            && let Some(line) = lines.next().map_err(SpoolError::io("read", &path))?
        {
            chain.line(line);
            count += 1;
        }
        if count != commit.end || chain.value() != commit.chain {
            return Ok(Err(first_altered(&path, before, left)?.unwrap_or(
                FaultKind::LinesAltered(before + 1, commit.end.max(before + 1)),
            )));
        }
        left = later;
    }
    Ok(match behind(dir, segment, journal.last.end)? {
        Some(kind) => Err(kind),
        None => Ok(closed_by(segment, &journal)),
    })
}

/// For how long, and how often, it is looked whether a writer at work accounts for what is behind its last commit: it
/// writes lines before it commits them. The time begins when the disk has what was given to it until now, as a busy one
/// keeps a writer waiting between the two for longer than that.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// What is behind the `end` of what a segment's journal accounts for, unless it is a commit of a writer at work.
fn behind(dir: &Path, segment: u64, end: u64) -> Result<Option<FaultKind>, SpoolError> {
    let log = layout::segment_file(dir, segment, layout::LOG);
    let len = || {
        let metadata = fs::metadata(&log).map_err(SpoolError::io("look at", &log))?;
        Ok::<_, SpoolError>(metadata.len())
    };
    let first = len()?;
    if first <= end {
        return Ok(None);
    }
    let found = FaultKind::BytesBehind {
        offset: end,
        bytes: first - end,
    };
    let path = layout::segment_file(dir, segment, layout::JOURNAL);
    if is_written(dir)? {
        let synced = File::open(&log).and_then(|file| file.sync_data());
        synced.map_err(SpoolError::io("sync", &log))?;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let written = is_written(dir)?;
        let file = match File::open(&path) {
            Ok(file) => file,
            // It was closed meanwhile: its seal is to be asked.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(found)),
            Err(e) => return Err(SpoolError::io("open", &path)(e)),
        };
        let Some(journal) = Journal::read(&file, |_| {}).map_err(SpoolError::io("read", &path))? else {
            return Ok(Some(FaultKind::SealMissing));
        };
        let (end, now) = (journal.last.end, len()?);
        if end >= first || now <= end {
            return Ok(None);
        }
        if !written || Instant::now() >= until {
            return Ok(Some(FaultKind::BytesBehind {
                offset: end,
                bytes: now - end,
            }));
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// What was done first to the lines of `commits`, before which `before` lines are as they were written; nothing where
/// the journal does not tell line by line.
fn first_altered(path: &Path, before: u64, commits: &[Commit]) -> Result<Option<FaultKind>, SpoolError> {
    let mut written = Vec::new();
    let mut end = before;
    for commit in commits {
        if !has_all(&commit.digests, commit.end.saturating_sub(end)) {
            break;
        }
        let digests = commit.digests.as_bytes().chunks(SHORT);
        written.extend(digests.map(|digest| String::from_utf8_lossy(digest).into_owned()));
        end = commit.end;
    }
    // To the very end: what was inserted moves the last lines beyond where the journal has the end.
    let mut lines = Lines::open(path, u64::MAX)?;
    let mut actual = Vec::with_capacity(written.len());
    let mut count = 0;
    while let Some(line) = lines.next().map_err(SpoolError::io("read", path))? {
        count += 1;
        if count > before {
            actual.push(Digest::of_line(line).short());
        }
    }
    // Lines behind those that are known may be in the middle of their commit.
    if actual.starts_with(&written) {
        return Ok(None);
    }
    Ok(first_difference(before, &actual, &written))
}

/// Whether a bundle holds all that its manifest names, and the manifest is as it was made: its proof. A spool has no manifest.
fn check_manifest(dir: &Path, roots: &[(u64, Digest)]) -> Result<Result<Option<Digest>, Fault>, SpoolError> {
    let path = dir.join(layout::MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
        Err(e) => return Err(SpoolError::io("read", &path)(e)),
    };
    let bundle: Bundle = serde_json::from_slice(&text).map_err(|e| SpoolError::Damaged {
        path: path.clone(),
        what: format!("not the manifest of a bundle: {e}"),
    })?;
    for wanted in &bundle.segments {
        let kind = match roots.iter().find(|(number, _)| *number == wanted.segment) {
            None => FaultKind::SegmentMissing,
            Some((_, root)) if *root != wanted.root => FaultKind::SealChanged,
            Some(_) => continue,
        };
        return Ok(Err(Fault {
            segment: Some(wanted.segment),
            kind,
        }));
    }
    let made = bundle
        .clone()
        .proven()
        .map_err(|e| SpoolError::io("encode", &path)(e.into()))?;
    let named = bundle.segments.iter().map(|s| s.segment);
    Ok(
        if made == bundle && named.eq(roots.iter().map(|(number, _)| *number)) {
            Ok(Some(bundle.proof))
        } else {
            Err(Fault {
                segment: None,
                kind: FaultKind::ManifestChanged,
            })
        },
    )
}

/// Copy all segments from the first to the last that has lines which arrived from `since` to before `until` into the new
/// folder `out`, each with its seal, and a manifest, and verify what came of it. Segments go whole, since a seal proves a
/// whole segment. The writer may be at work meanwhile.
///
/// # Errors
/// [`SpoolError::Interval`] where `until` is not after `since`; [`SpoolError::Exists`] where `out` is already there;
/// [`SpoolError::Io`], [`SpoolError::Damaged`].
pub fn export(
    dir: &Path,
    since: OffsetDateTime,
    until: OffsetDateTime,
    out: &Path,
) -> Result<Exported, SpoolError> {
    if since >= until {
        return Err(SpoolError::Interval { since, until });
    }
    match DirBuilder::new().mode(0o700).create(out) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(SpoolError::Exists(out.to_owned())),
        made => made.map_err(SpoolError::io("make folder", out))?,
    }
    let made = fill(dir, since, until, out).and_then(|bundle| {
        let fault = verify(out)?.fault;
        Ok(Exported { bundle, fault })
    });
    made.inspect_err(|_| {
        // Half of a bundle would only be in the way of the next; why it is one is told, and counts for more than that it stays.
        let _stays = fs::remove_dir_all(out);
    })
}

/// Copy into the new folder `out`.
fn fill(dir: &Path, since: OffsetDateTime, until: OffsetDateTime, out: &Path) -> Result<Bundle, SpoolError> {
    let mut bundle = Bundle {
        format: "decnet-evidence 2".into(),
        since,
        until,
        segments: Vec::new(),
        note: NOTE.into(),
        proof: Digest::NONE,
    };
    let all = layout::segments(dir, layout::LOG)?;
    let mut fitting: Option<RangeInclusive<u64>> = None;
    for segment in &all {
        let (closed, _) = known(dir, *segment)?;
        if closed.lines > 0 && closed.first_us < micros(until) && closed.last_us >= micros(since) {
            let first = fitting.map_or(*segment, |fitting| *fitting.start());
            fitting = Some(first..=*segment);
        }
    }
    let wanted = |segment: &u64| fitting.as_ref().is_some_and(|range| range.contains(segment));
    for segment in all.into_iter().filter(wanted) {
        // The writer may have written on since, or closed it.
        let (closed, is_closed) = known(dir, segment)?;
        // A closed segment goes as it stands; one that is being written, as far as it is committed.
        copy_segment(dir, out, segment, if is_closed { u64::MAX } else { closed.bytes })?;
        let written = written(dir, &closed)?;
        closed.seal(out, out, written.as_deref())?;
        bundle.segments.push(BundleSegment {
            segment,
            lines: closed.lines,
            bytes: closed.bytes,
            first: from_micros(closed.first_us),
            last: from_micros(closed.last_us),
            predecessor: closed.predecessor,
            root: closed.root(),
            closed: is_closed,
        });
    }
    let manifest = out.join(layout::MANIFEST);
    let bundle = bundle
        .proven()
        .map_err(|e| SpoolError::io("encode", &manifest)(e.into()))?;
    let text =
        serde_json::to_vec_pretty(&bundle).map_err(|e| SpoolError::io("encode", &manifest)(e.into()))?;
    layout::put(&manifest, |file| file.write_all(&text))?;
    // Unlike a spool, whose group may read it, a bundle is its maker's alone; until here its folder kept others out.
    for entry in fs::read_dir(out).map_err(SpoolError::io("list", out))? {
        let path = entry.map_err(SpoolError::io("list", out))?.path();
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(SpoolError::io("set the mode of", &path))?;
    }
    Ok(bundle)
}

/// A segment of a spool, as its seal or its journal has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: u64,
    /// Committed lines in it; `None` where neither a seal nor a journal tells, which [`verify`] says more of.
    pub lines: Option<u64>,
    /// Committed bytes in it; those of the log where neither tells.
    pub bytes: u64,
    /// Whether it is sealed: it takes no more lines.
    pub sealed: bool,
}

/// Every segment of the spool in `dir`, the oldest first. Looks at no line. The writer may be at work meanwhile.
///
/// # Errors
/// [`SpoolError::Io`] where the folder, a seal or a journal cannot be read.
pub fn segments(dir: &Path) -> Result<Vec<Segment>, SpoolError> {
    let mut all = Vec::new();
    for number in layout::segments(dir, layout::LOG)? {
        let segment = match known(dir, number) {
            Ok((closed, sealed)) => Segment {
                number,
                lines: Some(closed.lines),
                bytes: closed.bytes,
                sealed,
            },
            Err(error) if !says_nothing(&error) => return Err(error),
            Err(_) => match fs::metadata(layout::segment_file(dir, number, layout::LOG)) {
                Ok(log) if log.len() > 0 => Segment {
                    number,
                    lines: None,
                    bytes: log.len(),
                    sealed: false,
                },
                // It was begun just now, or dropped.
                _ => continue,
            },
        };
        all.push(segment);
    }
    Ok(all)
}

/// Whether what would tell of a segment is not there, or not whole.
fn says_nothing(error: &SpoolError) -> bool {
    match error {
        SpoolError::Damaged { .. } => true,
        SpoolError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// What is known of a segment from its seal or, before that is there, its journal; and whether it is closed.
fn known(dir: &Path, segment: u64) -> Result<(Closed, bool), SpoolError> {
    let path = layout::segment_file(dir, segment, layout::JOURNAL);
    // The journal goes when the seal has come, so that one of the two is always there.
    match File::open(&path) {
        Ok(file) => {
            let journal = Journal::read(&file, |_| {}).map_err(SpoolError::io("read", &path))?;
            match journal {
                Some(journal) => Ok((closed_by(segment, &journal), false)),
                None => Err(SpoolError::Damaged {
                    path,
                    what: "no whole record".into(),
                }),
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok((Seal::read_head(dir, segment)?.closed, true)),
        Err(e) => Err(SpoolError::io("open", &path)(e)),
    }
}

/// The digests of a segment's lines as they were written: in its journal, or its seal.
fn written(dir: &Path, closed: &Closed) -> Result<Option<String>, SpoolError> {
    if let Some(digests) = journal::digests(dir, closed.segment, closed.lines)? {
        return Ok(Some(digests));
    }
    // The journal goes when the seal has come. One of old has no digests, and no seal.
    let seal = layout::segment_file(dir, closed.segment, layout::SEAL);
    if !seal.exists() {
        return Ok(None);
    }
    let digests = Seal::read(dir, closed.segment)?.digests.concat();
    Ok(has_all(&digests, closed.lines).then_some(digests))
}

fn copy_segment(dir: &Path, out: &Path, segment: u64, bytes: u64) -> Result<(), SpoolError> {
    let from = layout::segment_file(dir, segment, layout::LOG);
    let to = layout::segment_file(out, segment, layout::LOG);
    let log = File::open(&from).map_err(SpoolError::io("open", &from))?;
    layout::put(&to, |file| io::copy(&mut log.take(bytes), file).map(drop))
}

#[cfg(test)]
mod tests {
    use crate::{Options, Writer};

    use super::*;

    #[test]
    fn of_a_journal_without_digests_the_commit_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            free_floor_bytes: 0,
            ..Options::default()
        };
        let mut writer = Writer::open(dir.path(), options).unwrap();
        let segment = writer.position().segment;
        for commit in [["one", "two"], ["three", "four"]] {
            for line in commit {
                writer.append(line.as_bytes()).unwrap();
            }
            writer.commit().unwrap();
        }
        drop(writer);
        let path = layout::segment_file(dir.path(), segment, layout::JOURNAL);
        let mut old = Vec::new();
        Journal::read(&File::open(&path).unwrap(), |record| {
            let mut record = record.clone();
            record.digests.clear();
            old.extend(record.encode().unwrap());
        })
        .unwrap();
        fs::write(&path, old).unwrap();
        let fault = || verify(dir.path()).unwrap().fault.map(|f| f.kind);
        assert_eq!(fault(), None);
        fs::write(
            layout::segment_file(dir.path(), segment, layout::LOG),
            "one\ntwo\nthree\nfouR\n",
        )
        .unwrap();
        assert_eq!(fault(), Some(FaultKind::LinesAltered(3, 4)));
    }
}
