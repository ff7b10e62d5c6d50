//! When lines arrived, as far as a spool knows: to the commit in the open segment, to the span of all its commits in a
//! sealed one.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{Position, SpoolError, journal::Journal, layout, seal::Seal};

/// Tells when lines were committed. It looks at a segment when it is asked for the first line of it, and further into one that is open
/// whenever it is asked for a line behind what it knows.
#[derive(Debug)]
pub struct Arrivals {
    dir: PathBuf,
    known: Option<(u64, Known)>,
}

/// What is known of a segment. Times are microseconds since 1970.
#[derive(Debug)]
enum Known {
    /// The earliest and the latest commit.
    Sealed(i64, i64),
    /// Each commit so far.
    Open(Commits),
    /// Nothing: its files are gone or damaged.
    Untold,
}

/// The commits of a segment that was open when it was first looked at. Its journal stays readable here when it is sealed and the file
/// removed.
#[derive(Debug)]
struct Commits {
    path: PathBuf,
    journal: File,
    /// Bytes of the journal that were read.
    read: u64,
    /// Where each commit ended, and when it was.
    seen: Vec<(u64, i64)>,
}

impl Arrivals {
    /// Of the spool in `dir`.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            known: None,
        }
    }

    /// Between which times, in microseconds since 1970, the line that ends at `end` was committed. Nothing where no commit tells of it,
    /// as in a segment whose files are damaged; that is logged.
    pub fn between(&mut self, end: Position) -> Option<(i64, i64)> {
        let known = match self.known.take().filter(|(segment, _)| *segment == end.segment) {
            Some((_, known)) => Ok(known),
            None => self.look(end.segment),
        };
        let told = known.and_then(|mut known| {
            let between = known.between(end.offset)?;
            Ok((known, between))
        });
        let (known, between) = told.unwrap_or_else(|error| {
            tracing::warn!(segment = end.segment, %error, "when its lines arrived is not known");
            (Known::Untold, None)
        });
        self.known = Some((end.segment, known));
        between
    }

    /// Look anew at what comes next: the reader has gone back.
    pub fn forget(&mut self) {
        self.known = None;
    }

    fn look(&self, segment: u64) -> Result<Known, SpoolError> {
        if let Some(sealed) = self.sealed(segment)? {
            return Ok(sealed);
        }
        let path = layout::segment_file(&self.dir, segment, layout::JOURNAL);
        match File::open(&path) {
            Ok(journal) => Ok(Known::Open(Commits {
                path,
                journal,
                read: 0,
                seen: Vec::new(),
            })),
            // It may have been sealed between the two looks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(self.sealed(segment)?.unwrap_or(Known::Untold))
            }
            Err(error) => Err(SpoolError::io("open", &path)(error)),
        }
    }

    /// What the seal of a segment tells, where it has one.
    fn sealed(&self, segment: u64) -> Result<Option<Known>, SpoolError> {
        match Seal::read_head(&self.dir, segment) {
            Ok(seal) => Ok(Some(Known::Sealed(seal.closed.first_us, seal.closed.last_us))),
            Err(SpoolError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Known {
    /// Between which times the line was committed that ends at this byte of the segment.
    fn between(&mut self, offset: u64) -> Result<Option<(i64, i64)>, SpoolError> {
        match self {
            Self::Sealed(first, last) => Ok(Some((*first, *last))),
            Self::Open(commits) => Ok(commits.at(offset)?.map(|at| (at, at))),
            Self::Untold => Ok(None),
        }
    }
}

impl Commits {
    /// When the line was committed that ends at this byte of the segment.
    fn at(&mut self, offset: u64) -> Result<Option<i64>, SpoolError> {
        if self.seen.last().is_none_or(|(to, _)| *to < offset) {
            self.read_on().map_err(SpoolError::io("read", &self.path))?;
        }
        let at = self.seen.partition_point(|(to, _)| *to < offset);
        Ok(self.seen.get(at).map(|(_, at)| *at))
    }

    /// Read the commits that were made since the last time. What is not whole yet is read again then.
    fn read_on(&mut self) -> io::Result<()> {
        self.journal.seek(SeekFrom::Start(self.read))?;
        let seen = &mut self.seen;
        let read = Journal::read(&self.journal, |record| seen.push((record.end, record.at)))?;
        self.read += read.map_or(0, |journal| journal.end);
        Ok(())
    }
}
