//! The one writer of a spool.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use decnet_model::clock::{SharedClock, SystemClock, micros};

use crate::{
    Digest, Position, SpoolError,
    digest::Chain,
    error::is_no_room,
    journal::{self, Journal, Record},
    layout,
    reader::{acknowledgements, write_committed},
    seal::{Closed, Lines, Seal},
};

/// The most bytes that are held in hand; [`Writer::append`] refuses more until a commit succeeds.
const MAX_BATCH: usize = 8 << 20;

/// A journal may grow to the size of a segment, since single lines may be committed; and to this in any case.
const MIN_JOURNAL: u64 = 1 << 20;

/// How a spool is kept.
#[derive(Clone)]
pub struct Options {
    /// A segment is closed when it would grow over this.
    pub segment_bytes: u64,
    /// A segment is closed when it is this old.
    pub segment_age: Duration,
    /// Over this, segments that all registered readers are past are dropped, oldest first.
    pub total_bytes: u64,
    /// Over this, segments are dropped even if they were not read.
    pub hard_bytes: u64,
    /// Lines are refused while the file system has less than this left.
    pub free_floor_bytes: u64,
    /// Where the time comes from.
    pub clock: SharedClock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            segment_age: Duration::from_secs(24 * 60 * 60),
            total_bytes: 4 << 30,
            hard_bytes: 8 << 30,
            free_floor_bytes: 64 << 20,
            clock: Arc::new(SystemClock),
        }
    }
}

/// What opening a writer found and put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Bytes of lines that had not been committed, and were cut off. Their sources still have them.
    pub cut_bytes: u64,
    /// Bytes of a torn journal record that were cut off.
    pub torn_journal_bytes: u64,
    /// Whether the newest segment was not as it had been written. It was closed as it is; verifying tells more.
    pub altered: bool,
}

/// What was dropped to stay under the caps, since this writer was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Segments that all readers were past.
    pub read_segments: u64,
    /// Segments that were dropped unread: evidence was lost.
    pub unread_segments: u64,
    /// Bytes of those.
    pub unread_bytes: u64,
}

/// The one writer of a spool's folder.
///
/// Lines and marks are held in hand until [`commit`](Self::commit) makes them durable together. Dropping a writer
/// drops what is in hand; the sources still have it.
pub struct Writer {
    dir: PathBuf,
    options: Options,
    /// Held for its lock, which ends with it.
    lock: File,
    committed_file: File,
    segment: Segment,
    marks: BTreeMap<String, u64>,
    batch: Batch,
    /// Closed segments and the bytes that they take.
    closed: BTreeMap<u64, u64>,
    /// Closed segments that are not sealed yet.
    unsealed: Vec<Closed>,
    recovery: Recovery,
    dropped: Dropped,
    uncertain: bool,
}

/// The newest segment.
struct Segment {
    number: u64,
    log: File,
    journal: File,
    journal_end: u64,
    predecessor: Digest,
    chain: Chain,
    /// Value of the chain in the last record: the same, unless somebody else changed the log.
    committed_chain: Digest,
    end: u64,
    lines: u64,
    first_us: i64,
    last_us: i64,
}

/// What is in hand.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    count: u64,
    /// New positions; `None` where a mark is no longer needed.
    marks: BTreeMap<String, Option<u64>>,
}

impl Writer {
    /// Open the spool in `dir`, which is made where it is not there, and put right what a crash left.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] while another writer has it; [`SpoolError::Damaged`] where lines stand in a segment that
    /// nothing accounts for; [`SpoolError::Full`] and [`SpoolError::Io`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, SpoolError> {
        layout::make_dir(&dir.join(layout::READERS))?;
        let lock = lock(dir)?;
        let committed = dir.join(layout::COMMITTED);
        let committed_file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&committed)
            .map_err(SpoolError::io("open", &committed))?;

        let found = recover(dir, &options).map_err(|e| full_if_no_room(dir, e))?;
        let mut writer = Self {
            dir: dir.to_owned(),
            options,
            lock,
            committed_file,
            closed: BTreeMap::new(),
            unsealed: found.unsealed,
            segment: found.segment,
            marks: found.marks,
            batch: Batch::default(),
            recovery: found.recovery,
            dropped: Dropped::default(),
            uncertain: false,
        };
        for number in layout::segments(dir, layout::LOG)? {
            if number < writer.segment.number {
                writer.closed.insert(number, size_on_disk(dir, number)?);
            }
        }
        writer.publish()?;
        if writer.recovery.altered {
            tracing::error!(
                segment = writer.segment.number,
                "the newest segment of the spool is not as it was written; it is closed as it stands, verify it"
            );
            writer.rotate()?;
        }
        writer.maintain()?;
        Ok(writer)
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// What was dropped to stay under the caps.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// The end of what is committed.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            segment: self.segment.number,
            offset: self.segment.end,
        }
    }

    /// Bytes of lines in hand.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.batch.lines.len()
    }

    /// Lines in hand.
    #[must_use]
    pub fn pending_lines(&self) -> u64 {
        self.batch.count
    }

    /// Take a line in hand; a `\n` at its end may be there or not.
    ///
    /// # Errors
    /// [`SpoolError::LineBreak`] for a line with a line break inside; [`SpoolError::Full`] while a full disk keeps
    /// more than 8 MiB in hand.
    pub fn append(&mut self, line: &[u8]) -> Result<(), SpoolError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.contains(&b'\n') {
            return Err(SpoolError::LineBreak);
        }
        if !self.batch.lines.is_empty() && self.batch.lines.len() + line.len() >= MAX_BATCH {
            return Err(self.full("the lines in hand have not been committed"));
        }
        self.batch.lines.extend_from_slice(line);
        self.batch.lines.push(b'\n');
        self.batch.count += 1;
        Ok(())
    }

    /// Take in hand that everything before `position` of `source` was appended.
    pub fn mark(&mut self, source: &str, position: u64) {
        self.batch.marks.insert(source.to_owned(), Some(position));
    }

    /// Take in hand that `source` is gone for good. It goes with the next commit that has something else to say.
    pub fn unmark(&mut self, source: &str) {
        self.batch.marks.insert(source.to_owned(), None);
    }

    /// How far `source` was taken, counting what is in hand.
    #[must_use]
    pub fn marked(&self, source: &str) -> Option<u64> {
        match self.batch.marks.get(source) {
            Some(in_hand) => *in_hand,
            None => self.marks.get(source).copied(),
        }
    }

    /// How far `source` was taken durably.
    #[must_use]
    pub fn committed_mark(&self, source: &str) -> Option<u64> {
        self.marks.get(source).copied()
    }

    /// All sources that have a mark.
    pub fn marked_sources(&self) -> impl Iterator<Item = &str> {
        let in_hand = self
            .batch
            .marks
            .iter()
            .filter(|(_, mark)| mark.is_some())
            .map(|(source, _)| source);
        let durable = self
            .marks
            .keys()
            .filter(|source| !self.batch.marks.contains_key(*source));
        in_hand.chain(durable).map(String::as_str)
    }

    /// Make everything in hand durable; gives the end of what is committed. With nothing in hand it does nothing.
    ///
    /// # Errors
    /// [`SpoolError::Full`]: nothing was taken back that had been committed, everything in hand stays there, and a later
    /// call goes on where this one stopped. After any other error the writer is [`SpoolError::Uncertain`]: drop it and
    /// open another.
    pub fn commit(&mut self) -> Result<Position, SpoolError> {
        if self.uncertain {
            return Err(SpoolError::Uncertain {
                dir: self.dir.clone(),
            });
        }
        if self.batch.count == 0 && self.batch.marks.values().all(Option::is_none) {
            return Ok(self.position());
        }
        self.check_place()?;
        self.check_room()?;
        let len = u64::try_from(self.batch.lines.len()).unwrap_or(u64::MAX);
        if self.segment.lines > 0
            && (self.segment.end.saturating_add(len) > self.options.segment_bytes
                || self.segment.journal_end > self.options.segment_bytes.max(MIN_JOURNAL)
                || self.is_old())
        {
            self.rotate()?;
        }
        self.write_batch()?;
        self.publish()?;
        Ok(self.position())
    }

    /// What has to be done from time to time when no lines come: close a segment that is old, seal what a full disk
    /// left unsealed, keep the total under its caps.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn maintain(&mut self) -> Result<(), SpoolError> {
        if self.segment.lines > 0 && self.is_old() {
            self.rotate()?;
        }
        self.seal_closed()?;
        self.enforce_caps()
    }

    /// Close the newest segment and begin the next. Commits call it by size and by age.
    ///
    /// # Errors
    /// [`SpoolError::Full`] leaves everything as it was.
    pub fn rotate(&mut self) -> Result<(), SpoolError> {
        let old = self.segment.closed();
        let now = self.now_us();
        let next = Segment::create(&self.dir, old.segment + 1, old.root(), &self.marks, now)
            .map_err(|e| full_if_no_room(&self.dir, e))?;
        self.segment = next;
        self.closed.insert(old.segment, old.bytes);
        self.unsealed.push(old);
        self.publish()?;
        // Where there is no room for a seal now, maintenance makes it up; the lines are safe and in order.
        match self.seal_closed().and_then(|()| self.enforce_caps()) {
            Err(e) if e.is_full() => Ok(()),
            done => done,
        }
    }

    fn write_batch(&mut self) -> Result<(), SpoolError> {
        let now = self.now_us();
        let mut chain = self.segment.chain.clone();
        let mut digests = String::new();
        for line in self.batch.lines.split_inclusive(|b| *b == b'\n') {
            digests.push_str(&chain.line(line).short());
        }
        let (marks, gone): (Vec<_>, Vec<_>) = self.batch.marks.iter().partition(|(_, mark)| mark.is_some());
        let record = Record {
            at: now,
            end: self.segment.end + u64::try_from(self.batch.lines.len()).unwrap_or(u64::MAX),
            lines: self.segment.lines + self.batch.count,
            chain: chain.value(),
            digests,
            predecessor: None,
            marks: marks
                .into_iter()
                .filter_map(|(source, mark)| Some((source.clone(), (*mark)?)))
                .collect(),
            gone: gone.into_iter().map(|(source, _)| source.clone()).collect(),
        };
        let log = layout::segment_file(&self.dir, self.segment.number, layout::LOG);
        let journal = layout::segment_file(&self.dir, self.segment.number, layout::JOURNAL);
        let encoded = record
            .encode()
            .map_err(SpoolError::io("encode a record of", &journal))?;

        // Anything that fails from here on leaves bytes that no journal record accounts for. A full disk lets us take
        // them back and try later; after another error only a fresh look at the disk tells what is there.
        let segment = &self.segment;
        let lines_written = segment
            .log
            .write_all_at(&self.batch.lines, segment.end)
            .and_then(|()| segment.log.sync_data());
        if let Err(e) = lines_written {
            return Err(self.take_back(e, "write", &log, false));
        }
        if let Err(e) = segment.journal.write_all_at(&encoded, segment.journal_end) {
            return Err(self.take_back(e, "write", &journal, false));
        }
        // Once the record is whole, taking it back could itself be half done: never guess.
        if let Err(e) = segment.journal.sync_data() {
            return Err(self.take_back(e, "sync", &journal, true));
        }

        let batch = std::mem::take(&mut self.batch);
        for (source, mark) in batch.marks {
            match mark {
                Some(position) => self.marks.insert(source, position),
                None => self.marks.remove(&source),
            };
        }
        let segment = &mut self.segment;
        segment.journal_end += u64::try_from(encoded.len()).unwrap_or(u64::MAX);
        segment.end = record.end;
        segment.lines = record.lines;
        segment.chain = chain;
        segment.committed_chain = record.chain;
        segment.first_us = segment.first_us.min(now);
        segment.last_us = segment.last_us.max(now);
        Ok(())
    }

    /// Undo a commit that failed with `e`: back to what the journal accounts for, or to being uncertain.
    fn take_back(
        &mut self,
        e: std::io::Error,
        action: &'static str,
        path: &Path,
        certain_only: bool,
    ) -> SpoolError {
        let undone = !certain_only
            && is_no_room(&e)
            && self.segment.journal.set_len(self.segment.journal_end).is_ok()
            && self.segment.log.set_len(self.segment.end).is_ok();
        if undone {
            return self.full(&format!("{action} {}: {e}", path.display()));
        }
        self.uncertain = true;
        SpoolError::io(action, path)(e)
    }

    /// Writing goes on undisturbed in files that somebody moved or removed: into nowhere.
    fn check_place(&mut self) -> Result<(), SpoolError> {
        let path = self.dir.join(layout::LOCK);
        let held = self.lock.metadata().map_err(SpoolError::io("look at", &path))?;
        let there = fs::metadata(&path).ok();
        if there.is_some_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            return Ok(());
        }
        self.uncertain = true;
        Err(SpoolError::Damaged {
            path: self.dir.clone(),
            what: "the spool was moved or removed under its writer".into(),
        })
    }

    /// Whether the disk has more room than is to be left: where it has not, the next commit will take nothing. Who looks before
    /// there are lines knows it in time.
    ///
    /// # Errors
    /// As [`room`].
    pub fn check_room(&self) -> Result<(), SpoolError> {
        room(&self.dir, self.options.free_floor_bytes)
    }

    fn publish(&self) -> Result<(), SpoolError> {
        let path = self.dir.join(layout::COMMITTED);
        match write_committed(&self.committed_file, self.position()) {
            // The file has its block since the first write; where even that one finds no room, readers wait.
            Err(e) if !is_no_room(&e) => Err(SpoolError::io("write", &path)(e)),
            _ => Ok(()),
        }
    }

    fn seal_closed(&mut self) -> Result<(), SpoolError> {
        while let Some(closed) = self.unsealed.first() {
            let written = journal::digests(&self.dir, closed.segment, closed.lines)?;
            let unaltered = closed
                .seal(&self.dir, &self.dir, written.as_deref())
                .map_err(|e| full_if_no_room(&self.dir, e))?;
            if !unaltered {
                tracing::error!(
                    segment = closed.segment,
                    "a segment of the spool was changed by somebody else while it was open; verify it"
                );
            }
            let number = closed.segment;
            layout::remove(&layout::segment_file(&self.dir, number, layout::JOURNAL))?;
            self.closed.insert(number, size_on_disk(&self.dir, number)?);
            self.unsealed.remove(0);
        }
        Ok(())
    }

    fn enforce_caps(&mut self) -> Result<(), SpoolError> {
        let mut total = self.closed.values().sum::<u64>() + self.segment.end + self.segment.journal_end;
        if total <= self.options.total_bytes {
            return Ok(());
        }
        let readers = acknowledgements(&self.dir)?;
        while total > self.options.total_bytes
            && let Some((&number, &bytes)) = self.closed.first_key_value()
        {
            let log = layout::segment_file(&self.dir, number, layout::LOG);
            let end = fs::metadata(&log).map(|m| m.len()).unwrap_or_default();
            // A spool that nobody has registered for is unread, not read by all.
            let read = !readers.is_empty()
                && readers.iter().all(|at| {
                    *at >= Position {
                        segment: number,
                        offset: end,
                    }
                });
            if !read {
                if total <= self.options.hard_bytes {
                    return Ok(());
                }
                tracing::error!(
                    segment = number,
                    bytes,
                    hard_bytes = self.options.hard_bytes,
                    "the spool is over its hard cap: evidence that was not read is dropped"
                );
                self.dropped.unread_segments += 1;
                self.dropped.unread_bytes += bytes;
            } else {
                self.dropped.read_segments += 1;
            }
            // Before it is gone: what is first from now on has to follow it.
            if let Some(root) = self.root_of(number)? {
                layout::put(&self.dir.join(layout::DROPPED), |out| {
                    writeln!(out, "{number} {root}")
                })?;
            }
            for extension in [layout::LOG, layout::SEAL, layout::JOURNAL] {
                layout::remove(&layout::segment_file(&self.dir, number, extension))?;
            }
            self.unsealed.retain(|closed| closed.segment != number);
            self.closed.remove(&number);
            total = total.saturating_sub(bytes);
        }
        Ok(())
    }

    /// The root of a closed segment, whether it is sealed already or not; nothing where its seal is gone.
    fn root_of(&self, segment: u64) -> Result<Option<Digest>, SpoolError> {
        if let Some(closed) = self.unsealed.iter().find(|closed| closed.segment == segment) {
            return Ok(Some(closed.root()));
        }
        match Seal::read_head(&self.dir, segment) {
            Ok(seal) => Ok(Some(seal.root)),
            Err(SpoolError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A segment of the future is as old as it is far away: the clock was put back since, and waiting for it would keep the
    /// segment open for that much longer.
    fn is_old(&self) -> bool {
        let age = self.now_us().saturating_sub(self.segment.first_us);
        u128::from(age.unsigned_abs()) >= self.options.segment_age.as_micros()
    }

    fn now_us(&self) -> i64 {
        micros(self.options.clock.now())
    }

    fn full(&self, detail: &str) -> SpoolError {
        SpoolError::Full {
            dir: self.dir.clone(),
            detail: detail.to_owned(),
        }
    }
}

impl Segment {
    /// Begin segment `number`. The journal comes last: a log without one is a beginning that was interrupted.
    fn create(
        dir: &Path,
        number: u64,
        predecessor: Digest,
        marks: &BTreeMap<String, u64>,
        now_us: i64,
    ) -> Result<Self, SpoolError> {
        let log = layout::segment_file(dir, number, layout::LOG);
        File::create(&log).map_err(SpoolError::io("create", &log))?;
        let chain = Chain::new(number, &predecessor);
        let record = Record {
            at: now_us,
            end: 0,
            lines: 0,
            chain: chain.value(),
            digests: String::new(),
            predecessor: Some(predecessor),
            marks: marks.clone(),
            gone: Vec::new(),
        };
        let path = layout::segment_file(dir, number, layout::JOURNAL);
        let encoded = record
            .encode()
            .map_err(SpoolError::io("encode a record of", &path))?;
        layout::put(&path, |out| out.write_all(&encoded))?;
        Ok(Self {
            number,
            log: open_for_writing(&log)?,
            journal: open_for_writing(&path)?,
            journal_end: u64::try_from(encoded.len()).unwrap_or(u64::MAX),
            predecessor,
            chain,
            committed_chain: record.chain,
            end: 0,
            lines: 0,
            first_us: now_us,
            last_us: now_us,
        })
    }

    fn closed(&self) -> Closed {
        Closed {
            segment: self.number,
            predecessor: self.predecessor,
            lines: self.lines,
            bytes: self.end,
            first_us: self.first_us,
            last_us: self.last_us,
            chain: self.committed_chain,
        }
    }
}

/// What [`recover`] found in a folder.
struct Found {
    segment: Segment,
    marks: BTreeMap<String, u64>,
    unsealed: Vec<Closed>,
    recovery: Recovery,
}

fn recover(dir: &Path, options: &Options) -> Result<Found, SpoolError> {
    let now_us = micros(options.clock.now());
    let journals = layout::segments(dir, layout::JOURNAL)?;
    let logs = layout::segments(dir, layout::LOG)?;
    let seals = layout::segments(dir, layout::SEAL)?;
    remove_interrupted(dir, &logs, &journals, &seals)?;

    let Some(&newest) = journals.last() else {
        // A new spool; or one whose newest segment was taken away. Its number is not used again: a reader's position
        // in it must not be taken for one in the new segment.
        let by_clock = u64::try_from(now_us / 1_000_000).unwrap_or(0).max(1);
        let (number, predecessor) = match seals.last() {
            Some(&sealed) => (by_clock.max(sealed + 2), Seal::read_head(dir, sealed)?.root),
            None => (by_clock, Digest::NONE),
        };
        let marks = BTreeMap::new();
        return Ok(Found {
            segment: Segment::create(dir, number, predecessor, &marks, now_us)?,
            marks,
            unsealed: Vec::new(),
            recovery: Recovery::default(),
        });
    };

    let mut unsealed = Vec::new();
    for &number in journals.range(..newest) {
        if seals.contains(&number) || !logs.contains(&number) {
            // Sealed, or dropped: only the removal of its journal was missing.
            layout::remove(&layout::segment_file(dir, number, layout::JOURNAL))?;
        } else {
            let journal = read_journal(dir, number)?;
            unsealed.push(closed_by(number, &journal));
        }
    }

    let journal = read_journal(dir, newest)?;
    let (segment, mut recovery) = resume(dir, newest, &journal)?;
    recovery.torn_journal_bytes = journal.torn;
    if journal.damaged > 0 {
        tracing::error!(
            segment = newest,
            records = journal.damaged,
            "the spool's journal is damaged; lines may come twice"
        );
    }
    Ok(Found {
        segment,
        marks: journal.marks,
        unsealed,
        recovery,
    })
}

/// Remove logs whose segment was never begun: they are empty, and have neither journal nor seal.
fn remove_interrupted(
    dir: &Path,
    logs: &BTreeSet<u64>,
    journals: &BTreeSet<u64>,
    seals: &BTreeSet<u64>,
) -> Result<(), SpoolError> {
    for number in logs
        .iter()
        .filter(|n| !journals.contains(n) && !seals.contains(n))
    {
        let path = layout::segment_file(dir, *number, layout::LOG);
        let len = fs::metadata(&path)
            .map_err(SpoolError::io("look at", &path))?
            .len();
        if len > 0 {
            return Err(SpoolError::Damaged {
                path,
                what: "lines without a journal or a seal; move the file elsewhere to go on without it".into(),
            });
        }
        layout::remove(&path)?;
    }
    Ok(())
}

fn read_journal(dir: &Path, number: u64) -> Result<Journal, SpoolError> {
    let path = layout::segment_file(dir, number, layout::JOURNAL);
    let file = File::open(&path).map_err(SpoolError::io("open", &path))?;
    Journal::read(&file, |_| {})
        .map_err(SpoolError::io("read", &path))?
        .ok_or_else(|| SpoolError::Damaged {
            path: path.clone(),
            what: "no whole record; move this journal and its segment elsewhere to go on without them".into(),
        })
}

/// The segment of `journal`, seen as closed at its last record.
pub(crate) fn closed_by(segment: u64, journal: &Journal) -> Closed {
    Closed {
        segment,
        predecessor: journal.predecessor,
        lines: journal.last.lines,
        bytes: journal.last.end,
        first_us: journal.first_us,
        last_us: journal.last_us,
        chain: journal.last.chain,
    }
}

/// Cut the newest segment back to its last commit, and see whether it is still what was committed.
fn resume(dir: &Path, number: u64, journal: &Journal) -> Result<(Segment, Recovery), SpoolError> {
    let log_path = layout::segment_file(dir, number, layout::LOG);
    let journal_path = layout::segment_file(dir, number, layout::JOURNAL);
    let log = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&log_path)
        .map_err(SpoolError::io("open", &log_path))?;
    let journal_file = open_for_writing(&journal_path)?;
    let mut recovery = Recovery::default();
    let end = journal.last.end;
    let mut chain = Chain::new(number, &journal.predecessor);
    let mut lines = Lines::open(&log_path, end)?;
    while let Some(line) = lines.next().map_err(SpoolError::io("read", &log_path))? {
        chain.line(line);
    }
    recovery.altered = chain.value() != journal.last.chain;
    let len = log
        .metadata()
        .map_err(SpoolError::io("look at", &log_path))?
        .len();
    // What was inserted moved committed lines beyond the end: nothing is cut from a log that somebody changed.
    if len > end && !recovery.altered {
        recovery.cut_bytes = len - end;
        log.set_len(end)
            .and_then(|()| log.sync_data())
            .map_err(SpoolError::io("cut", &log_path))?;
    }
    if journal.torn > 0 {
        journal_file
            .set_len(journal.end)
            .and_then(|()| journal_file.sync_data())
            .map_err(SpoolError::io("cut", &journal_path))?;
    }
    let segment = Segment {
        number,
        log,
        journal: journal_file,
        journal_end: journal.end,
        predecessor: journal.predecessor,
        chain,
        committed_chain: journal.last.chain,
        end,
        lines: journal.last.lines,
        first_us: journal.first_us,
        last_us: journal.last_us,
    };
    Ok((segment, recovery))
}

fn open_for_writing(path: &Path) -> Result<File, SpoolError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(SpoolError::io("open", path))
}

/// How often, and after which pause, a held lock is tried again.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

fn lock(dir: &Path) -> Result<File, SpoolError> {
    let path = dir.join(layout::LOCK);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(SpoolError::io("open", &path))?;
    let mut tries = 0;
    let locked = loop {
        match file.try_lock() {
            // A child that the last holder was just starting shares the lock until it runs its own program: that is
            // soon over, and no reason to refuse.
            Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            tried => break tried,
        }
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            (&mut file)
                .take(20)
                .read_to_string(&mut pid)
                .map_err(SpoolError::io("read", &path))?;
            let pid = pid.trim();
            return Err(SpoolError::Locked {
                dir: dir.to_owned(),
                pid: if pid.is_empty() { "unknown" } else { pid }.to_owned(),
            });
        }
        Err(TryLockError::Error(e)) => return Err(SpoolError::io("lock", &path)(e)),
    }
    let noted = file
        .set_len(0)
        .and_then(|()| file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0));
    match noted {
        // The number is a courtesy to whom we keep out; a full disk must not keep us out.
        Err(e) if !is_no_room(&e) => Err(SpoolError::io("write", &path)(e)),
        _ => Ok(file),
    }
}

/// Whether a writer has this spool now.
pub(crate) fn is_written(dir: &Path) -> Result<bool, SpoolError> {
    let path = dir.join(layout::LOCK);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(SpoolError::io("open", &path)(e)),
    };
    // Shared and let go at once: a writer that starts just now tries again.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(SpoolError::io("lock", &path)(e)),
    }
}

fn size_on_disk(dir: &Path, number: u64) -> Result<u64, SpoolError> {
    let mut total = 0;
    for extension in [layout::LOG, layout::SEAL, layout::JOURNAL] {
        let path = layout::segment_file(dir, number, extension);
        match fs::metadata(&path) {
            Ok(m) => total += m.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(SpoolError::io("look at", &path)(e)),
        }
    }
    Ok(total)
}

/// Whether a spool in `dir` would take lines that is to leave `free_floor_bytes` bytes of its disk.
///
/// # Errors
/// [`SpoolError::Full`] with both figures and the way out; [`SpoolError::Io`] where there is no such folder.
pub fn room(dir: &Path, free_floor_bytes: u64) -> Result<(), SpoolError> {
    let stat = nix::sys::statvfs::statvfs(dir)
        .map_err(|e| SpoolError::io("ask for the free space of", dir)(e.into()))?;
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    if free >= free_floor_bytes {
        return Ok(());
    }
    Err(SpoolError::Full {
        dir: dir.to_owned(),
        detail: format!(
            "{free} bytes are free, {free_floor_bytes} are to be left; free space, or lower spool-min-free-bytes"
        ),
    })
}

fn full_if_no_room(dir: &Path, e: SpoolError) -> SpoolError {
    match e {
        SpoolError::Io { action, path, source } if is_no_room(&source) => SpoolError::Full {
            dir: dir.to_owned(),
            detail: format!("{action} {}: {source}", path.display()),
        },
        other => other,
    }
}
