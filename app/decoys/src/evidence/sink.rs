//! Where evidence leaves the process: whole lines, one `write` each, never silently dropped.
//!
//! Normally that is standard output. What cannot be written at once waits in a bounded backlog and is written before
//! anything newer. When the backlog is full the whole decoy waits: a decoy that cannot record must not go on talking.
//! Only when the reader is gone for good (`EPIPE`) are lines lost, and then they are counted and told, and [`Sink::broken`] is
//! how the process learns that it should end.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::trouble;

/// The most bytes that wait before the decoy itself has to.
const BACKLOG_MAX: usize = 1 << 20;
/// How long to wait before a failed write is tried again while the backlog is full.
const RETRY: Duration = Duration::from_millis(100);

/// The way out for evidence, shared by all services of a process.
pub struct Sink {
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    backlog: Vec<u8>,
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
        Ok(Self::to(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }

    /// Write to `out`.
    #[must_use]
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Self {
            state: Mutex::new(State {
                out: Box::new(out),
                backlog: Vec::new(),
                lost: 0,
                broken: false,
                in_trouble: false,
            }),
        }
    }

    /// Write one line, which ends in `LF`.
    pub fn write_line(&self, line: &[u8]) {
        let mut state = self.state();
        if state.broken {
            state.lost += 1;
            return;
        }
        if state.backlog.is_empty() {
            match write_all(&mut *state.out, line) {
                Ok(()) => return,
                Err((done, error)) => {
                    let rest = line.get(done..).unwrap_or_default();
                    state.backlog.extend_from_slice(rest);
                    state.fail(&error);
                }
            }
        } else {
            state.backlog.extend_from_slice(line);
            state.drain();
        }
        while state.backlog.len() > BACKLOG_MAX && !state.broken {
            std::thread::sleep(RETRY);
            state.drain();
        }
    }

    /// Try again to write what waits, for instance before the process ends.
    pub fn flush(&self) {
        let mut state = self.state();
        if !state.broken && !state.backlog.is_empty() {
            state.drain();
        }
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
}

impl State {
    fn drain(&mut self) {
        match write_all(&mut *self.out, &self.backlog) {
            Ok(()) => {
                self.backlog = Vec::new();
                if std::mem::take(&mut self.in_trouble) {
                    trouble(format_args!("evidence is written again; nothing was lost"));
                }
            }
            Err((done, error)) => {
                self.backlog.drain(..done);
                self.fail(&error);
            }
        }
    }

    fn fail(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.broken = true;
            let waiting = self.backlog.iter().filter(|b| **b == b'\n').count();
            self.lost += u64::try_from(waiting).unwrap_or(u64::MAX);
            self.backlog = Vec::new();
            trouble(format_args!("nobody reads the evidence any more: {error}"));
        } else if !std::mem::replace(&mut self.in_trouble, true) {
            trouble(format_args!("evidence waits, it cannot be written: {error}"));
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
    use std::sync::{Arc, Mutex};

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

    #[test]
    fn a_full_backlog_makes_the_writer_wait_until_there_is_room() {
        let (sink, room, kept) = disk(io::ErrorKind::StorageFull, 0);
        let sink = Arc::new(sink);
        let line = vec![b'x'; 600 * 1024];
        sink.write_line(&line);
        let writer = std::thread::spawn({
            let (sink, line) = (Arc::clone(&sink), line.clone());
            move || sink.write_line(&line)
        });
        *room.lock().unwrap() = usize::MAX;
        writer.join().unwrap();
        assert_eq!(kept.lock().unwrap().len(), 2 * line.len());
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
