//! Outlets: how other processes hand their lines to the collector.
//!
//! A writer of lines (a decoy, the mutator) owns a file
//! `<outlets>/<source>/<unix_ms>.log` and appends whole lines to it; nothing that it does can fail for want of a
//! collector. The collector's [`Inlet`] takes the lines into the spool, remembers how far it is in the spool's own
//! commits, and gives back the disk blocks of what it took.
//!
//! Whether a file can still grow is told by a lock, not guessed: [`Outlet::create`] takes a shared `flock`, which lives
//! as long as any process holds the file open, a child's standard output included, and goes with the last of them even
//! on SIGKILL. A file that can be locked is finished: its torn last line is taken as it is, and it is removed. So a decoy
//! that drains slowly while its successor has already begun loses nothing.
//!
//! Outlets are not synced: a power cut may take lines of the last seconds that no commit has seen.

mod inlet;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use decnet_model::clock::{Clock as _, SystemClock, micros};

pub use inlet::{Inlet, MAX_LINE, Totals};

use crate::{SpoolError, layout};

/// The append-only file of one writer of lines.
#[derive(Debug)]
pub struct Outlet {
    file: File,
    path: PathBuf,
    torn: bool,
}

impl Outlet {
    /// Make a new outlet of `source` below the folder `outlets`, newer than all others of that source.
    ///
    /// # Errors
    /// [`SpoolError::Name`] for a source that is not 1 to 64 of a-z, 0-9, `_`, `.` and `-`; [`SpoolError::Io`].
    pub fn create(outlets: &Path, source: &str) -> Result<Self, SpoolError> {
        let dir = outlets.join(layout::checked_name(source)?);
        layout::make_dir(&dir)?;
        let mut number = u64::try_from(micros(SystemClock.now()) / 1000).unwrap_or(0);
        if let Some(newest) = newest(&dir)? {
            number = number.max(newest + 1);
        }
        loop {
            if let Some(outlet) =
                Self::create_as(&dir, number).map_err(SpoolError::io("make an outlet in", &dir))?
            {
                return Ok(outlet);
            }
            number += 1;
        }
    }

    /// An outlet with this number; `None` where another process has it. It gets its name only once it is locked, so
    /// that the collector never takes it for a finished one.
    fn create_as(dir: &Path, number: u64) -> io::Result<Option<Self>> {
        let unnamed = dir.join(format!("{number}.new"));
        let path = dir.join(format!("{number}.log"));
        let file = match OpenOptions::new().append(true).create_new(true).open(&unnamed) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(e) => return Err(e),
        };
        file.lock_shared()?;
        // Unlike a rename, a link never replaces.
        let linked = fs::hard_link(&unnamed, &path);
        match fs::remove_file(&unnamed) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        match linked {
            Ok(()) => Ok(Some(Self {
                file,
                path,
                torn: false,
            })),
            // Somebody else's, or the collector removed it before it was locked.
            Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Append one whole line; a `\n` at its end may be there or not. Line breaks inside would make two of it and are
    /// refused.
    ///
    /// # Errors
    /// [`SpoolError::LineBreak`]; [`SpoolError::Io`], after which the line may be there in part, on a line of its own.
    pub fn append(&mut self, line: &[u8]) -> Result<(), SpoolError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.contains(&b'\n') {
            return Err(SpoolError::LineBreak);
        }
        let mut whole = Vec::with_capacity(line.len() + 2);
        if self.torn {
            whole.push(b'\n');
        }
        whole.extend_from_slice(line);
        whole.push(b'\n');
        let written = self.file.write_all(&whole);
        self.torn = written.is_err();
        written.map_err(SpoolError::io("write", &self.path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file itself, to become a child's standard output. The child must append whole lines.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }
}

/// The number of an outlet's file name with this extension.
fn number_of(name: &str, extension: &str) -> Option<u64> {
    let stem = name.strip_suffix(extension)?.strip_suffix('.')?;
    stem.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| stem.parse().ok())?
}

fn newest(dir: &Path) -> Result<Option<u64>, SpoolError> {
    let mut newest = None;
    for entry in fs::read_dir(dir).map_err(SpoolError::io("list", dir))? {
        let entry = entry.map_err(SpoolError::io("list", dir))?;
        newest = newest.max(entry.file_name().to_str().and_then(|name| number_of(name, "log")));
    }
    Ok(newest)
}
