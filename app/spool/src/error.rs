//! What can go wrong with a spool.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use nix::errno::Errno;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::Position;

/// A stretch of lines that a reader cannot have: their segments were dropped, or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Where the reader was.
    pub from: Position,
    /// Where it goes on.
    pub to: Position,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", self.from, self.to)
    }
}

/// What can go wrong with a spool, an outlet, or a bundle of evidence.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The operating system refused something.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is no room. What is in hand stays in hand; commit again when there is.
    #[error("no room for the spool in {}: {detail}", dir.display())]
    Full {
        /// The spool's folder.
        dir: PathBuf,
        /// Which limit was met.
        detail: String,
    },
    /// Another writer has this folder.
    #[error("the spool in {} is being written by process {pid}; one writer a folder", dir.display())]
    Locked {
        /// The spool's folder.
        dir: PathBuf,
        /// Process id of the other writer as it wrote it down, or `unknown`.
        pid: String,
    },
    /// What reached the disk is uncertain after an earlier error: open the writer again, which finds out.
    #[error("the spool in {} must be opened again after an earlier error", dir.display())]
    Uncertain {
        /// The spool's folder.
        dir: PathBuf,
    },
    /// A file does not hold what it must.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the way out.
        what: String,
    },
    /// A line with a line break in it.
    #[error("a line must not hold a line break")]
    LineBreak,
    /// A source, reader or outlet name that could not be a file name everywhere.
    #[error("name {0:?}: 1 to 64 of a-z, 0-9, '_', '.' and -, not beginning with '.'")]
    Name(String),
    /// Lines are missing between where the reader was and where it goes on. Told once; reading goes on after it.
    #[error("lines were dropped before they were read: {0}")]
    Gap(Gap),
    /// The reader is further than the spool. Passes by itself where a writer has yet to open the spool after a crash.
    #[error(
        "the reader is at {position}, the spool only at {committed}: start the collector, or, where the spool was \
         replaced by an older one, reset the reader's position"
    )]
    Ahead {
        /// Where the reader is.
        position: Position,
        /// Where the spool ends.
        committed: Position,
    },
    /// An interval that ends before it begins, or as it begins.
    #[error("since {} is not before until {}: there is nothing between them", stated(.since), stated(.until))]
    Interval {
        /// Where it begins.
        since: OffsetDateTime,
        /// Where it ends.
        until: OffsetDateTime,
    },
    /// The bundle's folder is already there.
    #[error("{}: already there; evidence is exported into a new folder", .0.display())]
    Exists(PathBuf),
}

impl SpoolError {
    /// Whether it is for want of room, and passes when there is some.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// An `Io` error from `action` on `path`; to be used as `.map_err(SpoolError::io("read", &path))`.
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// A time as it is asked for.
fn stated(at: &OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

/// Whether `e` says that a disk or a quota is full.
pub(crate) fn is_no_room(e: &io::Error) -> bool {
    [Errno::ENOSPC, Errno::EDQUOT]
        .iter()
        .any(|errno| e.raw_os_error() == Some(*errno as i32))
}
