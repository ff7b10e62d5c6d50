//! When lines arrived, as far as a spool knows: to the commit in the open segment, to the span of all its commits in a
//! sealed one.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::{Position, SpoolError, journal::Journal, layout, seal::Seal};

/// Tells when lines were committed. It looks once for each segment, when it is asked for the first line of it.
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
    /// The commits that were there at the first look: where each ended, and when it was.
    Open(Vec<(u64, i64)>),
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

    /// Between which times, in microseconds since 1970, the line that ends at `end` was committed. Nothing for a line that was not
    /// there at the first look: whoever reads it meets it as it comes.
    /// Nor for one whose segment does not tell, because its files are damaged; that is logged.
    pub fn between(&mut self, end: Position) -> Option<(i64, i64)> {
        let known = match self.known.take().filter(|(segment, _)| *segment == end.segment) {
            Some((_, known)) => known,
            None => self.look(end.segment).unwrap_or_else(|error| {
                tracing::warn!(segment = end.segment, %error, "when its lines arrived is not known");
                Known::Open(Vec::new())
            }),
        };
        let between = match &known {
            Known::Sealed(first, last) => Some((*first, *last)),
            Known::Open(commits) => {
                let at = commits.partition_point(|(to, _)| *to < end.offset);
                commits.get(at).map(|(_, at)| (*at, *at))
            }
        };
        self.known = Some((end.segment, known));
        between
    }

    /// Look anew at what comes next: the reader has gone back.
    pub fn forget(&mut self) {
        self.known = None;
    }

    fn look(&self, segment: u64) -> Result<Known, SpoolError> {
        match Seal::read_head(&self.dir, segment) {
            Ok(seal) => return Ok(Known::Sealed(seal.closed.first_us, seal.closed.last_us)),
            Err(SpoolError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let path = layout::segment_file(&self.dir, segment, layout::JOURNAL);
        let mut commits = Vec::new();
        match File::open(&path) {
            Ok(file) => {
                let read = Journal::read(&file, |record| commits.push((record.end, record.at)));
                read.map_err(SpoolError::io("read", &path))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(SpoolError::io("open", &path)(error)),
        }
        Ok(Known::Open(commits))
    }
}
