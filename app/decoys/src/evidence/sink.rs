//! Where evidence leaves the process: whole lines, one `write` each, never silently dropped.
//!
//! Normally that is a file, past whose end the file system holds [`RESERVE`] bytes: what was taken can be written on a full disk,
//! too. Where the disk has no room for more of that, a part is left for what the end brings, and until then visitors wait
//! ([`Sink::poll_room`]): a decoy that cannot record must not go on talking. The room past the end is blocks without bytes:
//! whoever reads the file finds lines only.
//!
//! What cannot be written at once waits in a bounded backlog and is written before anything newer. A pipe, or a file system that
//! holds nothing, has that alone. Only when the reader is gone for good (`EPIPE`), when the backlog is full though visitors wait, or
//! when the process has to end and there is still no room ([`Sink::give_up`]), are lines lost, and then they are counted
//! ([`Sink::lost`]) and told.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
};

use super::trouble;

/// Bytes that are held past the end of the file, and the most that wait in memory.
const RESERVE: usize = 2 << 20;
/// Of these, what the end may bring: each of 4,096 connections is reported as ended in some 230 bytes.
const LAST_WORDS: usize = 1 << 20;
/// After so many bytes that were written, as many more are held: the system call is paid by a thousand lines.
const STEP: usize = 256 << 10;

/// The way out for evidence, shared by all services of a process. Whoever runs them calls [`Sink::flush`] every now and then.
pub struct Sink {
    state: Mutex<State>,
    /// [`State::is_short`], to be asked at any time.
    short: AtomicBool,
}

struct State {
    out: Box<dyn Write + Send>,
    /// What `out` writes to, where room is held in it.
    file: Option<Arc<File>>,
    /// Bytes that can be taken yet: that are held in the file, or may wait in memory where none are.
    room: usize,
    /// The disk had no room for more of `room`.
    full: bool,
    backlog: Vec<u8>,
    /// Who waits for room.
    waiting: Vec<Waker>,
    lost: u64,
    broken: bool,
    in_trouble: bool,
}

impl Sink {
    /// Write to the process's standard output, past the buffers of the standard library.
    ///
    /// # Errors
    /// Where the process has no standard output.
    pub fn stdout() -> io::Result<Self> {
        Ok(Self::file(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }

    /// Append to `file`, and hold room in it where it is one that can.
    #[must_use]
    pub fn file(file: File) -> Self {
        let file = Arc::new(file);
        let sink = Self::of(Box::new(Arc::clone(&file)), Some(file));
        let mut state = sink.state();
        state.hold();
        sink.settle(&mut state);
        drop(state);
        sink
    }

    /// Write to `out`.
    #[must_use]
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Self::of(Box::new(out), None)
    }

    fn of(out: Box<dyn Write + Send>, file: Option<Arc<File>>) -> Self {
        Self {
            state: Mutex::new(State {
                out,
                room: if file.is_some() { 0 } else { RESERVE },
                file,
                full: false,
                backlog: Vec::new(),
                waiting: Vec::new(),
                lost: 0,
                broken: false,
                in_trouble: false,
            }),
            short: AtomicBool::new(false),
        }
    }

    /// Write one line, which ends in `LF`.
    pub fn write_line(&self, line: &[u8]) {
        let mut state = self.state();
        if !state.backlog.is_empty() {
            state.drain();
        }
        if state.broken {
            state.lost += 1;
        } else if state.backlog.is_empty() {
            match write_all(&mut *state.out, line) {
                Ok(()) => state.wrote(line.len()),
                Err((done, error)) => {
                    state.wrote(done);
                    let rest = line.get(done..).unwrap_or_default();
                    state.backlog.extend_from_slice(rest);
                    state.fail(&error);
                }
            }
        } else if state.backlog.len() + line.len() > RESERVE {
            state.lost += 1;
            if state.lost == 1 {
                trouble(format_args!(
                    "there is no room for evidence: lines of it are lost"
                ));
            }
        } else {
            state.backlog.extend_from_slice(line);
        }
        self.settle(&mut state);
    }

    /// Try again to write what waits, and to have room held: now and then, and before the process ends.
    pub fn flush(&self) {
        let mut state = self.state();
        if state.broken {
            return;
        }
        if !state.backlog.is_empty() {
            state.drain();
        }
        if state.full && state.backlog.is_empty() {
            state.hold();
        }
        self.settle(&mut state);
    }

    /// Ready while a visitor may be answered: what comes of it can be written. Else whoever asks is woken when that is so again.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.short.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let mut state = self.state();
        if !state.is_short() {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Whether anything waits to be written.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.state().backlog.is_empty()
    }

    /// Try for the last time to write what waits. What is not written then is lost, and so is whatever comes after it.
    pub fn give_up(&self) {
        self.flush();
        let mut state = self.state();
        if !state.backlog.is_empty() {
            let lines = state.lose();
            trouble(format_args!(
                "{lines} lines of evidence are lost: they could not be written before the end"
            ));
        }
        self.settle(&mut state);
    }

    /// Whether nobody takes evidence any more: the decoy should end.
    #[must_use]
    pub fn broken(&self) -> bool {
        self.state().broken
    }

    /// Lines that nobody took.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.state().lost
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A writer that panicked leaves at worst half a line in the backlog; going on is better than losing the rest.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a change: let visitors wait, or go on.
    fn settle(&self, state: &mut State) {
        let short = state.is_short();
        if self.short.swap(short, Ordering::AcqRel) != short && short {
            trouble(format_args!(
                "there is no room for more evidence: visitors wait until there is; free space on the disk"
            ));
        }
        if !short {
            for waker in std::mem::take(&mut state.waiting) {
                waker.wake();
            }
        }
        if state.in_trouble && !state.full && state.backlog.is_empty() && !state.broken {
            state.in_trouble = false;
            match state.lost {
                0 => trouble(format_args!("evidence is written again; nothing was lost")),
                lost => trouble(format_args!(
                    "evidence is written again; {lost} lines of it are lost"
                )),
            }
        }
    }
}

impl State {
    /// Whether what is left is for the end alone.
    fn is_short(&self) -> bool {
        !self.broken && self.room.saturating_sub(self.backlog.len()) < LAST_WORDS
    }

    /// Have the file system hold [`RESERVE`] bytes past the end of the file.
    fn hold(&mut self) {
        let Some(file) = &self.file else { return };
        match reserve(file) {
            Ok(()) => {
                self.room = RESERVE;
                self.full = false;
            }
            Err(error @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => {
                self.full = true;
                if !std::mem::replace(&mut self.in_trouble, true) {
                    let left = self.room;
                    trouble(format_args!(
                        "the disk has no room for evidence beyond {left} bytes that it holds: {error}"
                    ));
                }
            }
            // Neither a pipe nor every file system can: there the backlog is all.
            Err(_) => {
                self.file = None;
                self.room = RESERVE;
                self.full = false;
            }
        }
    }

    /// So many bytes were written.
    fn wrote(&mut self, bytes: usize) {
        if self.file.is_some() {
            self.room = self.room.saturating_sub(bytes);
            if self.room <= RESERVE - STEP && !self.full {
                self.hold();
            }
        }
    }

    fn drain(&mut self) {
        match write_all(&mut *self.out, &self.backlog) {
            Ok(()) => {
                let bytes = std::mem::take(&mut self.backlog).len();
                self.wrote(bytes);
            }
            Err((done, error)) => {
                self.backlog.drain(..done);
                self.wrote(done);
                self.fail(&error);
            }
        }
    }

    fn fail(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.lose();
            trouble(format_args!("nobody reads the evidence any more: {error}"));
            return;
        }
        if self.file.is_some() {
            // It does not hold what it said, or the last of it is written.
            self.room = 0;
            self.full = true;
        }
        if !std::mem::replace(&mut self.in_trouble, true) {
            trouble(format_args!("evidence waits, it cannot be written: {error}"));
        }
    }

    /// Take nothing any more, and count what waits as lost; gives how many lines that are.
    fn lose(&mut self) -> u64 {
        self.broken = true;
        let lines = self.backlog.iter().filter(|b| **b == b'\n').count();
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        self.lost += lines;
        self.backlog = Vec::new();
        lines
    }
}

/// Have the file system keep room for [`RESERVE`] bytes past the end of `file`, which stays as long as it is.
fn reserve(file: &File) -> Result<(), Errno> {
    let size = |bytes: u64| i64::try_from(bytes).map_err(|_| Errno::EFBIG);
    let length = file.metadata().map_err(|_| Errno::EBADF)?.len();
    let (from, bytes) = (size(length)?, i64::try_from(RESERVE).map_err(|_| Errno::EFBIG)?);
    loop {
        match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, from, bytes) {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// Write all of `bytes`; on failure how many were written. A full pipe is waited for.
fn write_all(out: &mut dyn Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return Err((done, io::ErrorKind::WriteZero.into())),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5))
            }
            Err(error) => return Err((done, error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex, atomic::AtomicUsize},
        task::Wake,
    };

    use super::*;

    /// A disk that takes `room` bytes, seven at a time, and then fails with `error`.
    struct Disk {
        room: Arc<Mutex<usize>>,
        kept: Arc<Mutex<Vec<u8>>>,
        error: io::ErrorKind,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut room = self.room.lock().unwrap();
            if *room == 0 {
                return Err(self.error.into());
            }
            let n = bytes.len().min(*room).min(7);
            *room -= n;
            self.kept.lock().unwrap().extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Shared<T> = Arc<Mutex<T>>;

    fn disk(error: io::ErrorKind, room: usize) -> (Sink, Shared<usize>, Shared<Vec<u8>>) {
        let (room, kept) = (Arc::new(Mutex::new(room)), Arc::new(Mutex::new(Vec::new())));
        let sink = Sink::to(Disk {
            room: Arc::clone(&room),
            kept: Arc::clone(&kept),
            error,
        });
        (sink, room, kept)
    }

    #[test]
    fn lines_that_a_full_disk_refused_come_whole_and_in_order_once_there_is_room() {
        let (sink, room, kept) = disk(io::ErrorKind::StorageFull, 10);
        for i in 0..5 {
            sink.write_line(format!("line number {i}\n").as_bytes());
        }
        assert_eq!(kept.lock().unwrap().len(), 10);
        *room.lock().unwrap() = 10_000;
        sink.write_line(b"last\n");
        let all = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        assert_eq!(
            all,
            "line number 0\nline number 1\nline number 2\nline number 3\nline number 4\nlast\n"
        );
        assert_eq!(sink.lost(), 0);
    }

    /// Whether whoever answers visitors has to wait, and how often those who wait were woken.
    fn waits_for_room(sink: &Sink, wakes: &Arc<Wakes>) -> bool {
        let waker = Waker::from(Arc::clone(wakes));
        sink.poll_room(&Context::from_waker(&waker)).is_pending()
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn visitors_wait_over_half_a_backlog_and_a_full_one_is_counted() {
        let (sink, room, kept) = disk(io::ErrorKind::StorageFull, 0);
        let wakes = Arc::new(Wakes::default());
        let mut line = vec![b'x'; 600 * 1024];
        line.push(b'\n');
        sink.write_line(&line);
        assert!(!waits_for_room(&sink, &wakes));
        sink.write_line(&line);
        // Asked twice, it is woken once.
        assert!(waits_for_room(&sink, &wakes) && waits_for_room(&sink, &wakes));
        sink.write_line(&line);
        assert_eq!(sink.lost(), 0, "what an end brings has room");
        sink.write_line(&line);
        assert_eq!((sink.lost(), sink.broken()), (1, false));
        sink.flush();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);

        *room.lock().unwrap() = usize::MAX;
        sink.flush();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert!(!waits_for_room(&sink, &wakes));
        assert_eq!(kept.lock().unwrap().len(), 3 * line.len());
        assert_eq!(sink.lost(), 1);
    }

    #[test]
    fn what_a_full_disk_takes_is_what_was_held_before_it_was_full() {
        let test = "evidence::sink::tests::what_a_full_disk_takes_is_what_was_held_before_it_was_full";
        let Some(disk) = decnet_testkit::disk::small(test, "16m").unwrap() else {
            return;
        };
        let path = disk.join("1.log");
        let (sink, wakes) = (
            Sink::file(File::create(&path).unwrap()),
            Arc::new(Wakes::default()),
        );
        let length = || std::fs::metadata(&path).unwrap().len();
        assert_eq!(length(), 0, "a reader finds nothing in what is held");
        let line = |n: usize| format!("{n} {}\n", "x".repeat(1_000));
        let mut want = String::new();
        let mut taken = 0;
        let mut write = |lines: usize| {
            for _ in 0..lines {
                want.push_str(&line(taken));
                sink.write_line(line(taken).as_bytes());
                taken += 1;
            }
            want.clone()
        };
        // More than is held: it moves on with the end.
        write(3_000);
        let ballast = disk.join("ballast");
        let mut filled = File::create(&ballast).unwrap();
        while filled.write_all(&[0; 4_096]).is_ok() {}
        while !waits_for_room(&sink, &wakes) {
            write(1);
        }
        // What sessions and services say at their end.
        let all = write(900);
        assert_eq!((sink.waits(), sink.lost()), (false, 0));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), all);

        std::fs::remove_file(&ballast).unwrap();
        drop(filled);
        sink.flush();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert!(!waits_for_room(&sink, &wakes));
        let all = write(2_000);
        sink.give_up();
        assert_eq!((sink.broken(), sink.lost()), (false, 0));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), all);
    }

    #[test]
    fn what_finds_no_room_until_the_end_is_counted_and_what_does_is_not() {
        let (sink, room, kept) = disk(io::ErrorKind::StorageFull, 0);
        sink.write_line(b"one\n");
        assert!(sink.waits());
        *room.lock().unwrap() = 4;
        sink.give_up();
        assert_eq!((sink.waits(), sink.broken(), sink.lost()), (false, false, 0));
        sink.write_line(b"two\n");
        sink.write_line(b"three\n");
        sink.give_up();
        sink.write_line(b"four\n");
        assert_eq!((sink.waits(), sink.broken(), sink.lost()), (false, true, 3));
        assert_eq!(*kept.lock().unwrap(), b"one\n");
    }

    #[test]
    fn without_a_reader_lines_are_counted_and_the_sink_says_so() {
        let (sink, _, _) = disk(io::ErrorKind::BrokenPipe, 0);
        sink.write_line(b"one\n");
        sink.write_line(b"two\n");
        assert!(sink.broken());
        assert_eq!(sink.lost(), 2);
    }
}
