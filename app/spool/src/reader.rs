//! Readers: from a position, any number of them, with or without a writer.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::{Gap, Position, SpoolError, digest::checksum, layout};

/// How much is read at once; a longer line is read whole all the same.
const CHUNK: usize = 256 << 10;

/// A line of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line, without its line end.
    pub bytes: Vec<u8>,
    /// Where the line after it begins: store this together with the line's effect.
    pub end: Position,
}

/// Reads a spool from a position. It keeps no state on disk: the position belongs to the caller, who stores it in the
/// same transaction as what the lines did, and passes it to [`acknowledge`] now and then.
pub struct Reader {
    dir: PathBuf,
    position: Position,
    log: Option<(u64, File)>,
}

impl Reader {
    /// A reader of the spool in `dir`, from `position` on. The folder need not be there yet.
    #[must_use]
    pub fn open(dir: &Path, position: Position) -> Self {
        Self {
            dir: dir.to_owned(),
            position,
            log: None,
        }
    }

    /// After the last line that [`next_batch`](Self::next_batch) gave.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Go on at `position`: back to what was stored, when a transaction failed.
    pub fn seek(&mut self, position: Position) {
        self.position = position;
    }

    /// The next committed lines: at most `max_lines`, and at most `max_bytes` but for a single longer line. Empty when
    /// there are none now; ask again later.
    ///
    /// # Errors
    /// [`SpoolError::Gap`] once, when lines were dropped unread: the next call goes on after them.
    /// [`SpoolError::Ahead`] where this reader knows more than the spool; [`SpoolError::Io`].
    pub fn next_batch(&mut self, max_lines: usize, max_bytes: usize) -> Result<Vec<Line>, SpoolError> {
        loop {
            let Some(committed) = read_committed(&self.dir)? else {
                return Ok(Vec::new());
            };
            if self.position == Position::START {
                self.position = self.oldest()?.unwrap_or(committed);
            }
            if self.position > committed {
                return Err(SpoolError::Ahead {
                    position: self.position,
                    committed,
                });
            }
            let Some(limit) = self.limit(committed)? else {
                let to = self.oldest_from(self.position.segment)?.unwrap_or(committed);
                return Err(self.gap(to));
            };
            if self.position.offset < limit {
                return self.read(limit, max_lines.max(1), max_bytes);
            }
            if self.position.segment == committed.segment {
                return Ok(Vec::new());
            }
            let next = self.oldest_from(self.position.segment + 1)?.unwrap_or(committed);
            if next.segment != self.position.segment + 1 {
                return Err(self.gap(next));
            }
            self.position = next;
        }
    }

    /// Committed bytes that this reader has not read.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn lag_bytes(&self) -> Result<u64, SpoolError> {
        let Some(committed) = read_committed(&self.dir)? else {
            return Ok(0);
        };
        let mut lag = 0;
        for segment in layout::segments(&self.dir, layout::LOG)? {
            let end = if segment == committed.segment {
                committed.offset
            } else {
                let path = layout::segment_file(&self.dir, segment, layout::LOG);
                fs::metadata(&path).map(|m| m.len()).unwrap_or_default()
            };
            if segment > self.position.segment && segment <= committed.segment {
                lag += end;
            } else if segment == self.position.segment {
                lag += end.saturating_sub(self.position.offset);
            }
        }
        Ok(lag)
    }

    /// Where the lines of this reader's segment end; `None` where that segment is gone.
    fn limit(&mut self, committed: Position) -> Result<Option<u64>, SpoolError> {
        let number = self.position.segment;
        if !matches!(&self.log, Some((open, _)) if *open == number) {
            let path = layout::segment_file(&self.dir, number, layout::LOG);
            match File::open(&path) {
                Ok(file) => self.log = Some((number, file)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(SpoolError::io("open", &path)(e)),
            }
        }
        if number == committed.segment {
            return Ok(Some(committed.offset));
        }
        let Some((_, file)) = &self.log else {
            return Ok(None);
        };
        let len = file
            .metadata()
            .map_err(SpoolError::io("look at", &self.dir))?
            .len();
        Ok(Some(len))
    }

    fn read(&mut self, limit: u64, max_lines: usize, max_bytes: usize) -> Result<Vec<Line>, SpoolError> {
        let Some((_, file)) = &self.log else {
            return Ok(Vec::new());
        };
        let left = usize::try_from(limit - self.position.offset).unwrap_or(usize::MAX);
        let mut want = left.min(CHUNK);
        let mut lines: Vec<Line> = Vec::new();
        let mut bytes = 0;
        // A chunk without a line end holds part of a long line: read more of it.
        while lines.is_empty() {
            let mut chunk = vec![0; want];
            file.read_exact_at(&mut chunk, self.position.offset)
                .map_err(SpoolError::io("read a segment of", &self.dir))?;
            let mut offset = self.position.offset;
            for piece in chunk.split_inclusive(|b| *b == b'\n') {
                // What is committed ends with a line end; a segment that does not was tampered with, and is read.
                let whole = piece.ends_with(b"\n") || want == left && !piece.is_empty();
                if !whole || lines.len() == max_lines || !lines.is_empty() && bytes + piece.len() > max_bytes
                {
                    break;
                }
                bytes += piece.len();
                offset += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                lines.push(Line {
                    bytes: piece.strip_suffix(b"\n").unwrap_or(piece).to_vec(),
                    end: Position {
                        segment: self.position.segment,
                        offset,
                    },
                });
            }
            want = left.min(want.saturating_mul(2));
        }
        if let Some(last) = lines.last() {
            self.position = last.end;
        }
        Ok(lines)
    }

    fn gap(&mut self, to: Position) -> SpoolError {
        let from = std::mem::replace(&mut self.position, to);
        SpoolError::Gap(Gap { from, to })
    }

    fn oldest(&self) -> Result<Option<Position>, SpoolError> {
        self.oldest_from(0)
    }

    fn oldest_from(&self, segment: u64) -> Result<Option<Position>, SpoolError> {
        let segments = layout::segments(&self.dir, layout::LOG)?;
        Ok(segments.range(segment..).next().map(|segment| Position {
            segment: *segment,
            offset: 0,
        }))
    }
}

/// Tell the spool in `dir` that the reader `name` has stored everything before `position`, so that it may drop those
/// segments. The first call registers the reader. The truth stays in the reader's own store: this may lag behind it,
/// and must never run ahead.
///
/// # Errors
/// [`SpoolError::Name`], [`SpoolError::Io`].
pub fn acknowledge(dir: &Path, name: &str, position: Position) -> Result<(), SpoolError> {
    let path = dir.join(layout::READERS).join(layout::checked_name(name)?);
    // Not synced: an older acknowledgement after a crash only keeps segments for longer.
    let temporary = dir.join(layout::READERS).join(format!(".{name}.tmp"));
    fs::write(&temporary, format!("{position}\n"))
        .and_then(|()| fs::rename(&temporary, &path))
        .map_err(SpoolError::io("write", &path))
}

/// What tells the spool in `dir` from every other: 16 characters, made up when it is first asked for. Who keeps positions of
/// several spools in one place keeps them apart by it.
///
/// # Errors
/// [`SpoolError::Io`], [`SpoolError::Damaged`].
pub fn identity(dir: &Path) -> Result<String, SpoolError> {
    let path = dir.join(layout::ID);
    if !path.try_exists().map_err(SpoolError::io("look for", &path))? {
        let made = uuid::Uuid::new_v4().simple().to_string();
        let draft = dir.join(format!(".{}.{made}", layout::ID));
        let (id, _) = made.split_at(16);
        fs::write(&draft, format!("{id}\n")).map_err(SpoolError::io("make", &path))?;
        // Whoever came first has made it.
        let linked = fs::hard_link(&draft, &path).or_else(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(e),
        });
        layout::remove(&draft)?;
        linked.map_err(SpoolError::io("make", &path))?;
    }
    let text = fs::read_to_string(&path).map_err(SpoolError::io("read", &path))?;
    let id = text.trim();
    if id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(id.to_owned());
    }
    Err(SpoolError::Damaged {
        path,
        what: "has to hold the 16 hexadecimal digits that the database knows this spool by; put them back from its \
               table spool_positions, or remove the file to have every line stored again"
            .to_owned(),
    })
}

/// Where the reader `name` says it is; `None` where it is not registered.
///
/// # Errors
/// [`SpoolError::Name`], [`SpoolError::Io`], [`SpoolError::Damaged`].
pub fn acknowledged(dir: &Path, name: &str) -> Result<Option<Position>, SpoolError> {
    let path = dir.join(layout::READERS).join(layout::checked_name(name)?);
    match fs::read_to_string(&path) {
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|e: crate::position::PositionError| SpoolError::Damaged {
                path: path.clone(),
                what: e.to_string(),
            }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(SpoolError::io("read", &path)(e)),
    }
}

/// Take the reader `name` off the list of those that segments are kept for.
///
/// # Errors
/// [`SpoolError::Name`], [`SpoolError::Io`].
pub fn forget(dir: &Path, name: &str) -> Result<(), SpoolError> {
    layout::remove(&dir.join(layout::READERS).join(layout::checked_name(name)?))
}

/// The positions of all registered readers. One that cannot be read counts as being at the start.
pub(crate) fn acknowledgements(dir: &Path) -> Result<Vec<Position>, SpoolError> {
    let readers = dir.join(layout::READERS);
    let mut all = Vec::new();
    for entry in fs::read_dir(&readers).map_err(SpoolError::io("list", &readers))? {
        let entry = entry.map_err(SpoolError::io("list", &readers))?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        if layout::checked_name(&name).is_ok() {
            all.push(match acknowledged(dir, &name) {
                Ok(position) => position.unwrap_or(Position::START),
                Err(e) => {
                    tracing::warn!(reader = name, error = %e, "a reader's position cannot be read; nothing is dropped");
                    Position::START
                }
            });
        }
    }
    Ok(all)
}

/// Length of the committed position as text: two numbers, checksum, line end.
const COMMITTED_LEN: usize = 20 + 1 + 20 + 1 + 16 + 1;

/// Tell readers how far they may read. In place and not synced: readers need no more than a position that is durable,
/// and after a crash the writer writes it anew.
pub(crate) fn write_committed(file: &File, at: Position) -> io::Result<()> {
    let body = format!("{:020}:{:020}", at.segment, at.offset);
    let text = format!("{body} {}\n", checksum(body.as_bytes()));
    file.write_all_at(text.as_bytes(), 0)
}

/// How far readers may read; `None` where no writer has said so yet.
pub(crate) fn read_committed(dir: &Path) -> Result<Option<Position>, SpoolError> {
    let path = dir.join(layout::COMMITTED);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(SpoolError::io("open", &path)(e)),
    };
    // A read beside a write may see half of each. The writer is done in no time; after a crash it may never be.
    for _ in 0..100 {
        let mut text = [0; COMMITTED_LEN];
        match file.read_exact_at(&mut text, 0) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(SpoolError::io("read", &path)(e)),
        }
        let whole = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.trim_end().split_once(' '))
            .filter(|(body, sum)| checksum(body.as_bytes()) == *sum);
        if let Some((body, _)) = whole {
            return Ok(body.parse().ok());
        }
        std::thread::yield_now();
    }
    Ok(None)
}
