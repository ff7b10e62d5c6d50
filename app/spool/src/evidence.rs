//! Whether a spool still holds what was written, and taking a part of it elsewhere with its proof.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
};

use decnet_model::clock::{from_micros, micros};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    Digest, SpoolError,
    digest::{Chain, root},
    journal::Journal,
    layout,
    seal::{Closed, Lines, Seal},
    writer::closed_by,
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
    /// Number of the first segment that is there. What was before it was dropped by the caps, or by somebody else: a
    /// chain cannot tell, a note of an earlier root can.
    pub first_segment: Option<u64>,
    /// Root of the last sealed segment that was found good: note it elsewhere, and later everything up to it is proved.
    pub root: Option<Digest>,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
}

/// The first thing that is wrong with a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// In which segment.
    pub segment: u64,
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
    /// In the newest segment, which has no seal yet: something between these two lines, both included.
    LinesAltered(u64, u64),
    /// The segment is not there, though a later one is, or a manifest names it.
    SegmentMissing,
    /// There are lines that neither a seal nor a journal accounts for.
    SealMissing,
    /// The lines are as the seal has them, but the seal is not the one that was made.
    SealChanged,
    /// It does not follow the segment before it.
    ChainBroken,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segment = self.segment;
        match self.kind {
            FaultKind::LineChanged(n) => write!(f, "segment {segment}, line {n}: changed"),
            FaultKind::LineInserted(n) => write!(f, "segment {segment}, line {n}: inserted"),
            FaultKind::LineCut(n) => write!(f, "segment {segment}, line {n}: cut out"),
            FaultKind::LinesAltered(a, b) => write!(f, "segment {segment}, lines {a} to {b}: altered"),
            FaultKind::SegmentMissing => write!(f, "segment {segment}: missing"),
            FaultKind::SealMissing => write!(f, "segment {segment}: lines without seal or journal"),
            FaultKind::SealChanged => write!(f, "segment {segment}: its seal was changed or made anew"),
            FaultKind::ChainBroken => write!(f, "segment {segment}: does not follow the segment before it"),
        }
    }
}

/// What a bundle of evidence holds: its `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// `decnet-evidence 1`.
    pub format: String,
    /// Start of the range that was asked for; lines count by when they arrived.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// End of that range, itself not in it.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// Whole segments that have lines of the range, in order.
    pub segments: Vec<BundleSegment>,
    /// How to check it.
    pub note: String,
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
                    `decnet spool verify <this folder>` checks all of it.";

/// Check a spool, or a bundle that [`export`] made: every line against its seal, every seal against the one before.
/// The writer may be at work meanwhile.
///
/// # Errors
/// [`SpoolError::Io`] where something cannot be read. What is *wrong* is not an error but [`Verified::fault`].
pub fn verify(dir: &Path) -> Result<Verified, SpoolError> {
    // The writer closes and drops segments while we look. A fault that is still there when nothing moved is one.
    let mut before = layout::segments(dir, layout::LOG)?;
    for _ in 0..5 {
        let found = verify_once(dir);
        if matches!(&found, Ok(Verified { fault: None, .. })) {
            return found;
        }
        let after = layout::segments(dir, layout::LOG)?;
        if after == before {
            break;
        }
        before = after;
    }
    verify_once(dir)
}

fn verify_once(dir: &Path) -> Result<Verified, SpoolError> {
    let logs = layout::segments(dir, layout::LOG)?;
    let seals = layout::segments(dir, layout::SEAL)?;
    let journals = layout::segments(dir, layout::JOURNAL)?;
    let all: BTreeSet<u64> = logs.union(&seals).copied().collect();
    let mut report = Verified {
        segments: 0,
        lines: 0,
        bytes: 0,
        first_segment: all.first().copied(),
        root: None,
        fault: None,
    };
    let mut roots = Vec::new();
    let mut previous: Option<(u64, Digest)> = None;
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
        let fault = |segment, kind| Some(Fault { segment, kind });
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
    report.fault = check_manifest(dir, &roots)?;
    Ok(report)
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
    if let Some(kind) = first_difference(&actual, &seal.digests) {
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

/// Where `actual` lines first differ from the `sealed` ones, and what was done there: judged by what follows.
fn first_difference(actual: &[String], sealed: &[String]) -> Option<FaultKind> {
    let same = actual.iter().zip(sealed).take_while(|(a, s)| a == s).count();
    let (a, s) = (actual.get(same..)?, sealed.get(same..)?);
    let line = u64::try_from(same).unwrap_or(u64::MAX).saturating_add(1);
    let follow = |x: &[String], y: &[String]| !x.is_empty() && x.first() == y.first();
    Some(match (a, s) {
        ([], []) => return None,
        ([], _) => FaultKind::LineCut(line),
        (_, []) => FaultKind::LineInserted(line),
        ([_, a_rest @ ..], [_, s_rest @ ..]) => {
            if a_rest == s_rest || follow(a_rest, s_rest) {
                FaultKind::LineChanged(line)
            } else if follow(a_rest, s) {
                FaultKind::LineInserted(line)
            } else if follow(a, s_rest) {
                FaultKind::LineCut(line)
            } else {
                match a.len().cmp(&s.len()) {
                    std::cmp::Ordering::Less => FaultKind::LineCut(line),
                    std::cmp::Ordering::Equal => FaultKind::LineChanged(line),
                    std::cmp::Ordering::Greater => FaultKind::LineInserted(line),
                }
            }
        }
    })
}

/// Compare the newest segment with its journal, commit by commit.
fn check_open(dir: &Path, segment: u64) -> Result<Result<Closed, FaultKind>, SpoolError> {
    let path = layout::segment_file(dir, segment, layout::JOURNAL);
    let file = File::open(&path).map_err(SpoolError::io("open", &path))?;
    let mut commits = Vec::new();
    let journal = Journal::read(&file, |record| commits.push((record.lines, record.chain)))
        .map_err(SpoolError::io("read", &path))?;
    let Some(journal) = journal else {
        return Ok(Err(FaultKind::SealMissing));
    };
    let path = layout::segment_file(dir, segment, layout::LOG);
    let mut lines = Lines::open(&path, journal.last.end)?;
    let mut chain = Chain::new(segment, &journal.predecessor);
    let mut count = 0;
    for (end, value) in commits {
        let first = count + 1;
        while count < end
            && let Some(line) = lines.next().map_err(SpoolError::io("read", &path))?
        {
            chain.line(line);
            count += 1;
        }
        if count != end || chain.value() != value {
            return Ok(Err(FaultKind::LinesAltered(first, end.max(first))));
        }
    }
    Ok(Ok(closed_by(segment, &journal)))
}

/// Whether a bundle holds all that its manifest names. A spool has no manifest.
fn check_manifest(dir: &Path, roots: &[(u64, Digest)]) -> Result<Option<Fault>, SpoolError> {
    let path = dir.join(layout::MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(SpoolError::io("read", &path)(e)),
    };
    let bundle: Bundle = serde_json::from_slice(&text).map_err(|e| SpoolError::Damaged {
        path: path.clone(),
        what: format!("not the manifest of a bundle: {e}"),
    })?;
    for wanted in bundle.segments {
        let segment = wanted.segment;
        match roots.iter().find(|(number, _)| *number == segment) {
            None => {
                return Ok(Some(Fault {
                    segment,
                    kind: FaultKind::SegmentMissing,
                }));
            }
            Some((_, root)) if *root != wanted.root => {
                return Ok(Some(Fault {
                    segment,
                    kind: FaultKind::SealChanged,
                }));
            }
            Some(_) => {}
        }
    }
    Ok(None)
}

/// Copy all segments that have lines which arrived from `since` to before `until` into the new folder `out`, each with
/// its seal, and a manifest. Segments go whole, since a seal proves a whole segment. The writer may be at work meanwhile.
///
/// # Errors
/// [`SpoolError::Exists`] where `out` is already there; [`SpoolError::Io`], [`SpoolError::Damaged`].
pub fn export(
    dir: &Path,
    since: OffsetDateTime,
    until: OffsetDateTime,
    out: &Path,
) -> Result<Bundle, SpoolError> {
    match fs::create_dir(out) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(SpoolError::Exists(out.to_owned())),
        made => made.map_err(SpoolError::io("make folder", out))?,
    }
    let mut bundle = Bundle {
        format: "decnet-evidence 1".into(),
        since,
        until,
        segments: Vec::new(),
        note: NOTE.into(),
    };
    for segment in layout::segments(dir, layout::LOG)? {
        let (closed, is_closed) = known(dir, segment)?;
        if closed.lines == 0 || closed.first_us >= micros(until) || closed.last_us < micros(since) {
            continue;
        }
        copy_segment(dir, out, &closed)?;
        closed.seal(out, out)?;
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
    let text =
        serde_json::to_vec_pretty(&bundle).map_err(|e| SpoolError::io("encode", &manifest)(e.into()))?;
    layout::put(&manifest, |file| file.write_all(&text))?;
    Ok(bundle)
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

fn copy_segment(dir: &Path, out: &Path, closed: &Closed) -> Result<(), SpoolError> {
    let from = layout::segment_file(dir, closed.segment, layout::LOG);
    let to = layout::segment_file(out, closed.segment, layout::LOG);
    let log = File::open(&from).map_err(SpoolError::io("open", &from))?;
    layout::put(&to, |file| io::copy(&mut log.take(closed.bytes), file).map(drop))
}
