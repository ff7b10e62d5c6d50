//! The collector's side of outlets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use decnet_model::name::DeckyName;
use decnet_syslog::Message;
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    unistd::{Whence, lseek},
};

use super::number_of;
use crate::{SpoolError, Writer, layout};

/// The longest line that is taken whole. What is longer is cut here and counted.
pub const MAX_LINE: usize = 64 << 10;

/// The most that is read from one outlet before the next has its turn: a flood from one decky starves no other.
const TURN: usize = 256 << 10;

/// As many bytes in hand are committed at once.
const BATCH: usize = 1 << 20;

/// Blocks are given back in steps of this many bytes.
const FREE_STEP: u64 = 256 << 10;

/// What an inlet did since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Lines that were committed to the spool.
    pub lines: u64,
    /// Lines of a decky's outlet that were another's by their host name; see [`Inlet`].
    pub foreign_lines: u64,
    /// Lines that were over [`MAX_LINE`] and lost their tail.
    pub cut_lines: u64,
    /// Last lines without a line end whose writer is gone, taken as they were.
    pub torn_lines: u64,
    /// Outlets that were shorter than what had been taken from them: after a power cut, or somebody cut them.
    pub shrunk_files: u64,
    /// Finished outlets that were removed.
    pub removed_files: u64,
    /// Bytes that were given back from outlets in use.
    pub freed_bytes: u64,
    /// Outlets and folders that could not be read or removed, each counted once.
    pub failed_files: u64,
}

/// Takes the lines of all outlets below a folder into the spool.
///
/// A decky speaks for itself alone: a line of `web-01/…` whose HOSTNAME is not `web-01` becomes `outlet of web-01: <line>`, which is no
/// RFC 5424 line, so that whoever reads the spool puts it into quarantine. Whoever takes a decky over cannot write what another one saw. A
/// source that no decky can be called, such as `_mutator`, speaks for whom it says.
///
/// It has no position of its own: how far each outlet was taken stands in the [`Writer`]'s marks.
pub struct Inlet {
    root: PathBuf,
    files: BTreeMap<String, Intake>,
    totals: Totals,
    /// What was complained about, so that it is said once.
    told: BTreeSet<String>,
    /// What could not be done at this look, each with why.
    failing: BTreeMap<String, String>,
    /// What could not be done at the look before.
    failed: BTreeSet<String>,
    holes: bool,
    buffer: Vec<u8>,
}

/// An outlet that is being taken in.
struct Intake {
    file: File,
    path: PathBuf,
    /// Length at which no whole line was left.
    settled_at: Option<u64>,
    /// No line end before here, in a line that is too long.
    searched: u64,
    /// Bytes that were given back.
    freed: u64,
    /// Nobody can write to it any more, and all of it is in hand or in the spool.
    done: bool,
}

impl Inlet {
    /// An inlet of the outlets below `root`. The folder need not be there yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            files: BTreeMap::new(),
            totals: Totals::default(),
            told: BTreeSet::new(),
            failing: BTreeMap::new(),
            failed: BTreeSet::new(),
            holes: true,
            buffer: Vec::new(),
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Outlets that are there.
    #[must_use]
    pub fn outlets(&self) -> usize {
        self.files.len()
    }

    /// What could not be done at the last two looks: outlets of which no lines are taken, or that are not freed, each with why. Once is not
    /// enough: whoever takes a source away may do so while it is looked at.
    pub fn failing(&self) -> impl Iterator<Item = String> {
        let lasting = self
            .failing
            .iter()
            .filter(|(what, _)| self.failed.contains(*what));
        lasting.map(|(what, why)| format!("cannot {what}: {why}"))
    }

    /// Take what all outlets have, a turn each, commit it, and free what is committed. Tells whether some outlet may
    /// have more already, so that no pause is due.
    ///
    /// # Errors
    /// What [`Writer::commit`] says. After [`SpoolError::Full`] call again later with the same writer: what is in hand
    /// is committed first, and outlets stay unread until that succeeds. An outlet that cannot be read is logged,
    /// counted and told by [`Self::failing`], and stops no other.
    pub fn pump(&mut self, writer: &mut Writer) -> Result<bool, SpoolError> {
        self.commit(writer)?;
        self.failed = std::mem::take(&mut self.failing).into_keys().collect();
        self.scan(writer);
        let mut more = false;
        let keys: Vec<String> = self.files.keys().cloned().collect();
        for key in keys {
            match self.take(&key, writer) {
                Ok(has_more) => more |= has_more,
                Err(TakeError::Spool(e)) => return Err(e),
                Err(TakeError::Outlet(e)) => self.complain(&key, "read an outlet", &e),
            }
            if writer.pending_bytes() >= BATCH {
                self.commit(writer)?;
            }
        }
        self.commit(writer)?;
        self.free(writer);
        Ok(more)
    }

    fn commit(&mut self, writer: &mut Writer) -> Result<(), SpoolError> {
        let lines = writer.pending_lines();
        writer.commit()?;
        self.totals.lines += lines;
        Ok(())
    }

    /// Find new outlets, and forget marks of those that are gone. Those of a source that cannot be looked into are neither.
    fn scan(&mut self, writer: &mut Writer) {
        let sources = match self.sources() {
            Ok(sources) => sources,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Err(e) => {
                self.complain("", "list the outlets", &e);
                return;
            }
        };
        let (mut seen, mut unseen) = (BTreeSet::new(), BTreeSet::new());
        for (source, path) in sources {
            if let Err(e) = self.list(&source, &path, &mut seen, writer) {
                self.complain(&source, "list the outlets of", &e);
                unseen.insert(source);
            }
        }
        // What is open of a source that is out of reach is let go: under that name there may be another file when it is back.
        self.files.retain(|key, _| seen.contains(key));
        let gone: Vec<String> = writer
            .marked_sources()
            .filter(|key| !seen.contains(*key))
            .filter(|key| key.contains('/') && !unseen.contains(source_of(key)))
            .map(str::to_owned)
            .collect();
        for key in gone {
            writer.unmark(&key);
        }
    }

    /// The sources that there may be, each with its path.
    fn sources(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let mut sources = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(name) = name.to_str().filter(|name| layout::checked_name(name).is_ok()) {
                sources.push((name.to_owned(), entry.path()));
            }
        }
        Ok(sources)
    }

    fn list(
        &mut self,
        source: &str,
        path: &Path,
        seen: &mut BTreeSet<String>,
        writer: &mut Writer,
    ) -> io::Result<()> {
        if !is_folder(path)? {
            return Ok(());
        }
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else {
                continue;
            };
            match entry.file_type() {
                Ok(kind) if kind.is_file() => {}
                Ok(_) => continue,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            }
            let key = format!("{source}/{file_name}");
            if number_of(file_name, "new").is_some() {
                if let Err(e) = remove_abandoned(&entry.path()) {
                    self.complain(&key, "remove an outlet that was never one", &e);
                }
            } else if number_of(file_name, "log").is_some() {
                if !self.files.contains_key(&key) {
                    self.adopt(&key, entry.path(), writer);
                }
                seen.insert(key);
            }
        }
        Ok(())
    }

    fn adopt(&mut self, key: &str, path: PathBuf, writer: &mut Writer) {
        // Writing is needed to free blocks, not to read.
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .or_else(|_| File::open(&path));
        match opened {
            Ok(file) => {
                if writer.marked(key).is_none()
                    && let Some(freed) = freed_before(&file)
                {
                    // The spool that has those lines is another one.
                    tracing::warn!(
                        outlet = key,
                        freed,
                        "the start of an outlet was taken by a spool that is gone"
                    );
                    writer.mark(key, freed);
                }
                let intake = Intake {
                    file,
                    path,
                    settled_at: None,
                    searched: 0,
                    freed: 0,
                    done: false,
                };
                self.files.insert(key.to_owned(), intake);
            }
            Err(e) => self.complain(key, "open an outlet", &e),
        }
    }

    /// Take one turn of one outlet in hand; tells whether it may have more.
    fn take(&mut self, key: &str, writer: &mut Writer) -> Result<bool, TakeError> {
        let foreign = self.totals.foreign_lines;
        let more = self.take_lines(key, writer);
        let source = source_of(key);
        if self.totals.foreign_lines > foreign && self.told.insert(format!("foreign {source}")) {
            tracing::error!(
                source,
                "a decky wrote lines that name another host: somebody may have taken it over; they go to the quarantine"
            );
        }
        more
    }

    fn take_lines(&mut self, key: &str, writer: &mut Writer) -> Result<bool, TakeError> {
        let decky = source_of(key).parse::<DeckyName>().ok();
        let decky = decky.as_ref();
        let Some(intake) = self.files.get_mut(key) else {
            return Ok(false);
        };
        let taken = writer.marked(key).unwrap_or(0);
        let len = intake.file.metadata()?.len();
        if len < taken {
            // Its bytes are in the spool; reading it from the start would double them.
            tracing::error!(
                outlet = key,
                len,
                taken,
                "an outlet is shorter than what was taken from it"
            );
            self.totals.shrunk_files += 1;
            writer.mark(key, len);
            return Ok(false);
        }
        if len == taken || intake.settled_at == Some(len) {
            if !intake.is_finished(len)? {
                return Ok(false);
            }
            if len == taken {
                intake.done = true;
            } else {
                let rest = read_at(&intake.file, taken, len, MAX_LINE + 1, &mut self.buffer)?;
                self.totals.torn_lines += 1;
                append_line(writer, decky, rest, &mut self.totals)?;
                writer.mark(key, len);
            }
            // One more turn removes it.
            return Ok(len > taken);
        }

        let chunk = read_at(&intake.file, taken, len, TURN, &mut self.buffer)?;
        if let Some(last) = chunk.iter().rposition(|b| *b == b'\n') {
            let mut offset = taken;
            for line in chunk
                .get(..=last)
                .unwrap_or_default()
                .split_inclusive(|b| *b == b'\n')
            {
                if let Err(e) = append_line(writer, decky, line, &mut self.totals) {
                    // What was appended must not be appended again.
                    writer.mark(key, offset);
                    return Err(e.into());
                }
                offset += u64::try_from(line.len()).unwrap_or(u64::MAX);
            }
            writer.mark(key, offset);
            return Ok(chunk.len() == TURN);
        }
        if chunk.len() > MAX_LINE {
            let head = chunk.get(..=MAX_LINE).unwrap_or(chunk).to_vec();
            let from = intake.searched.max(taken);
            if let Some(end) = find_line_end(&intake.file, from, len, &mut self.buffer)? {
                append_line(writer, decky, &head, &mut self.totals)?;
                writer.mark(key, end);
                return Ok(true);
            }
            intake.searched = len;
        }
        intake.settled_at = Some(len);
        Ok(true)
    }

    /// Give back what is committed: remove finished outlets, punch holes into the others.
    fn free(&mut self, writer: &mut Writer) {
        let mut removed = Vec::new();
        let mut failures = Vec::new();
        for (key, intake) in &mut self.files {
            let committed = writer.committed_mark(key).unwrap_or(0);
            if intake.done {
                match intake.file.metadata() {
                    Ok(m) if m.len() > committed => continue,
                    _ => {}
                }
                match fs::remove_file(&intake.path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        failures.push((key.clone(), "remove an outlet", e));
                    }
                    _ => {
                        self.totals.removed_files += 1;
                        removed.push(key.clone());
                    }
                }
            } else if self.holes && committed >= intake.freed + FREE_STEP {
                let end = committed / FREE_STEP * FREE_STEP;
                match punch(&intake.file, intake.freed, end) {
                    Ok(()) => {
                        self.totals.freed_bytes += end - intake.freed;
                        intake.freed = end;
                    }
                    Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                        self.holes = false;
                        tracing::warn!(
                            outlets = %self.root.display(),
                            "this file system cannot free what was taken from a file in use; outlets keep their size until their writer ends"
                        );
                    }
                    Err(e) => failures.push((key.clone(), "free the taken part of an outlet", e.into())),
                }
            }
        }
        for key in removed {
            self.files.remove(&key);
            writer.unmark(&key);
        }
        for (key, action, e) in failures {
            self.complain(&key, action, &e);
        }
    }

    fn complain(&mut self, key: &str, action: &str, e: &io::Error) {
        let what = format!("{action} {key}").trim_end().to_owned();
        if self.told.insert(what.clone()) {
            self.totals.failed_files += 1;
            tracing::warn!(outlet = key, error = %e, "cannot {action}");
        }
        self.failing.insert(what, e.to_string());
    }
}

enum TakeError {
    Outlet(io::Error),
    Spool(SpoolError),
}

impl From<io::Error> for TakeError {
    fn from(e: io::Error) -> Self {
        Self::Outlet(e)
    }
}

impl From<SpoolError> for TakeError {
    fn from(e: SpoolError) -> Self {
        Self::Spool(e)
    }
}

impl Intake {
    /// Whether nobody can write to it any more and it is still `len` long.
    fn is_finished(&self, len: u64) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        self.file.unlock()?;
        // Looked at only after the lock was had: what was written before the writer ended is seen.
        Ok(self.file.metadata()?.len() == len)
    }
}

/// Whether there is a folder. A link to one too: an engine may keep a source's outlets where a container can reach them. Where that is
/// not there now, what is in it is not gone.
fn is_folder(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        looked => return looked.map(|meta| meta.is_dir()),
    }
    match fs::read_link(path) {
        Ok(target) => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "{} leads to {}, which is not there; remove the link if that is gone for good",
                path.display(),
                target.display()
            ),
        )),
        // It is gone since it was listed.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn source_of(key: &str) -> &str {
    key.split_once('/').map_or(key, |(source, _)| source)
}

/// Append a line of `decky`, where it is one's, that may be too long. Empty lines say nothing and are left out.
fn append_line(
    writer: &mut Writer,
    decky: Option<&DeckyName>,
    line: &[u8],
    totals: &mut Totals,
) -> Result<(), SpoolError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.is_empty() {
        return Ok(());
    }
    let named;
    let line = match (decky, Message::hostname_of(line)) {
        (Some(decky), Some(host)) if host != decky.as_str().as_bytes() => {
            totals.foreign_lines += 1;
            named = [format!("outlet of {decky}: ").as_bytes(), line].concat();
            named.as_slice()
        }
        _ => line,
    };
    let Some(head) = line.get(..MAX_LINE).filter(|head| head.len() < line.len()) else {
        return writer.append(line);
    };
    // Not within a character: up to three bytes that go on with one are left out, and the byte that begins it.
    let tail = head
        .iter()
        .rev()
        .take(4)
        .position(|b| b & 0xc0 != 0x80)
        .unwrap_or(0);
    let cut = match (line.get(MAX_LINE), head.len().checked_sub(tail + 1)) {
        (Some(next), Some(start)) if next & 0xc0 == 0x80 => start,
        _ => head.len(),
    };
    writer.append(head.get(..cut).unwrap_or(head))?;
    totals.cut_lines += 1;
    tracing::warn!(max = MAX_LINE, "a line of an outlet was too long and was cut");
    Ok(())
}

/// What stands from `from` to `len`, at most `max` bytes.
fn read_at<'a>(
    file: &File,
    from: u64,
    len: u64,
    max: usize,
    buffer: &'a mut Vec<u8>,
) -> io::Result<&'a [u8]> {
    let want = usize::try_from(len - from).unwrap_or(usize::MAX).min(max);
    buffer.resize(want, 0);
    file.read_exact_at(buffer, from)?;
    Ok(buffer)
}

/// The offset after the first line end at or after `from`.
fn find_line_end(file: &File, mut from: u64, len: u64, buffer: &mut Vec<u8>) -> io::Result<Option<u64>> {
    while from < len {
        let chunk = read_at(file, from, len, TURN, buffer)?;
        if let Some(at) = chunk.iter().position(|b| *b == b'\n') {
            return Ok(Some(from + u64::try_from(at).unwrap_or(u64::MAX) + 1));
        }
        from += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
    }
    Ok(None)
}

/// How much of the start of `file` was given back, which would read as zeros.
fn freed_before(file: &File) -> Option<u64> {
    let data = match lseek(file, 0, Whence::SeekData) {
        Ok(data) => u64::try_from(data).ok(),
        // Nothing but a hole, or nothing at all.
        Err(Errno::ENXIO) => file.metadata().ok().map(|m| m.len()),
        Err(_) => None,
    };
    data.filter(|data| *data > 0)
}

fn punch(file: &File, from: u64, to: u64) -> Result<(), Errno> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let from = i64::try_from(from).map_err(|_| Errno::EFBIG)?;
    let to = i64::try_from(to).map_err(|_| Errno::EFBIG)?;
    fallocate(file, flags, from, to - from)
}

/// Remove an outlet whose maker died before it had a name.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    let removed = File::open(path).and_then(|file| match file.try_lock() {
        Ok(()) => fs::remove_file(path),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(e)) => Err(e),
    });
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
