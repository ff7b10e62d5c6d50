//! The loop: take, commit, tell, pause. Plain blocking code on a thread of its own.
//!
//! Nothing ends it but the order to stop. A full disk leaves outlets unread until there is room; after any other error
//! the spool is opened anew, which finds out what reached the disk. Outlets keep what is not committed, so that trying
//! again is always right.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use decnet_spool::{
    Dropped, Options, Recovery, SpoolError, Writer,
    outlet::{Inlet, Totals},
};

/// How long to wait before trying again what failed.
const RETRY: Duration = Duration::from_millis(500);

/// How often age and size of the spool are looked at while no lines come.
const MAINTAIN_EVERY: Duration = Duration::from_secs(5);

/// Where lines come from and go to.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) spool: PathBuf,
    pub(crate) outlets: PathBuf,
    pub(crate) options: Options,
}

/// What there is to tell after a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Lines that this turn committed.
    pub(crate) lines: u64,
    /// Outlets that are there.
    pub(crate) outlets: usize,
    /// Everything so far.
    pub(crate) totals: Totals,
    /// What was dropped so far to stay under the spool's caps.
    pub(crate) dropped: Dropped,
    /// Why no lines can be taken.
    pub(crate) trouble: Option<String>,
    /// Why none can be taken of some outlets.
    pub(crate) unread: Option<String>,
}

/// Takes lines from the outlets to the spool.
pub(crate) struct Pump {
    places: Places,
    pause: Duration,
    /// `None` after an error that makes it necessary to look at the disk anew.
    writer: Option<Writer>,
    inlet: Inlet,
    told_lines: u64,
    dropped: Dropped,
    maintained: Instant,
}

impl Pump {
    /// Open the spool and get ready to take lines every `pause`. A disk that is full is no reason not to start.
    pub(crate) fn open(places: Places, pause: Duration) -> Result<Self, SpoolError> {
        let writer = match open(&places) {
            Err(e) if e.is_full() => None,
            opened => Some(opened?),
        };
        Ok(Self {
            inlet: Inlet::new(&places.outlets),
            places,
            pause,
            writer,
            told_lines: 0,
            dropped: Dropped::default(),
            maintained: Instant::now(),
        })
    }

    /// Take turns until `stop` is closed, then one more, for what was written until then.
    pub(crate) fn run(&mut self, stop: &Receiver<()>, mut tell: impl FnMut(&Turn)) {
        loop {
            let (turn, more) = self.turn();
            let pause = match (&turn.trouble, more) {
                (Some(_), _) => RETRY,
                (None, true) => Duration::ZERO,
                (None, false) => self.pause,
            };
            tell(&turn);
            if stop.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                let (last, _) = self.turn();
                tell(&last);
                return;
            }
        }
    }

    /// One turn of every outlet, and whether there may be more at once.
    fn turn(&mut self) -> (Turn, bool) {
        let result = self.take();
        let (more, trouble) = match result {
            Ok(more) => (more, None),
            Err(e) => {
                if !e.is_full() {
                    // What reached the disk is uncertain: the next turn opens the spool again and finds out.
                    self.writer = None;
                }
                (false, Some(e.to_string()))
            }
        };
        let totals = self.inlet.totals();
        let lines = totals.lines - std::mem::replace(&mut self.told_lines, totals.lines);
        let turn = Turn {
            lines,
            outlets: self.inlet.outlets(),
            totals,
            dropped: self.dropped,
            trouble,
            unread: self.unread(),
        };
        (turn, more)
    }

    fn unread(&self) -> Option<String> {
        let mut failing = self.inlet.failing();
        let first = failing.next()?;
        Some(match failing.count() {
            0 => first,
            more => format!("{first} (and {more} more)"),
        })
    }

    fn take(&mut self) -> Result<bool, SpoolError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            closed => closed.insert(open(&self.places)?),
        };
        let before = writer.dropped();
        let taken = self.inlet.pump(writer);
        let maintained = if self.maintained.elapsed() < MAINTAIN_EVERY {
            Ok(())
        } else {
            self.maintained = Instant::now();
            writer.maintain()
        };
        let after = writer.dropped();
        self.dropped.read_segments += after.read_segments - before.read_segments;
        self.dropped.unread_segments += after.unread_segments - before.unread_segments;
        self.dropped.unread_bytes += after.unread_bytes - before.unread_bytes;
        let more = taken?;
        maintained?;
        // Whoever watches hears of a disk without room before there is a line for it.
        writer.check_room()?;
        Ok(more)
    }
}

fn open(places: &Places) -> Result<Writer, SpoolError> {
    let writer = Writer::open(&places.spool, places.options.clone())?;
    let Recovery {
        cut_bytes,
        torn_journal_bytes,
        altered: _,
    } = writer.recovery();
    if cut_bytes + torn_journal_bytes > 0 {
        tracing::warn!(
            cut_bytes,
            torn_journal_bytes,
            "the spool ended in the middle of a commit and was cut back to the one before; its lines are taken again"
        );
    }
    tracing::info!(position = %writer.position(), "spool open");
    Ok(writer)
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::mpsc, thread};

    use decnet_spool::{Position, Reader, outlet::Outlet};

    use super::*;

    fn places(root: &Path) -> Places {
        Places {
            spool: root.join("spool"),
            outlets: root.join("outlets"),
            options: Options {
                free_floor_bytes: 0,
                ..Options::default()
            },
        }
    }

    fn lines(root: &Path) -> usize {
        let mut reader = Reader::open(&root.join("spool"), Position::START);
        reader.next_batch(1000, usize::MAX).unwrap().len()
    }

    #[test]
    fn a_stopped_pump_has_taken_what_was_written_before_the_stop() {
        let root = tempfile::tempdir().unwrap();
        let mut pump = Pump::open(places(root.path()), Duration::from_secs(3600)).unwrap();
        let (stop, stopped) = mpsc::channel();
        let (told, turns) = mpsc::channel();
        let running = thread::spawn(move || pump.run(&stopped, |turn| told.send(turn.clone()).unwrap()));
        assert_eq!(turns.recv().unwrap().lines, 0);
        let mut outlet = Outlet::create(&root.path().join("outlets"), "web-01").unwrap();
        outlet.append(b"just in time").unwrap();
        drop(stop);
        running.join().unwrap();
        let last = turns.try_iter().last().unwrap();
        assert_eq!((last.lines, last.outlets, last.trouble), (1, 1, None));
        assert_eq!(lines(root.path()), 1);
    }

    #[test]
    fn while_there_is_no_room_outlets_wait_and_nothing_is_lost_or_doubled_when_there_is() {
        let root = tempfile::tempdir().unwrap();
        let mut full = places(root.path());
        full.options.free_floor_bytes = u64::MAX;
        let mut pump = Pump::open(full, Duration::ZERO).unwrap();
        let (idle, _) = pump.turn();
        let told = idle.trouble.expect("nobody has to come before it is told");
        assert!(told.contains("lower spool-min-free-bytes"), "{told}");
        let mut outlet = Outlet::create(&root.path().join("outlets"), "web-01").unwrap();
        for n in 0..3 {
            outlet.append(format!("line {n}").as_bytes()).unwrap();
            let (turn, more) = pump.turn();
            assert!(turn.trouble.is_some_and(|trouble| trouble.contains("no room")));
            assert_eq!((turn.lines, more, lines(root.path())), (0, false, 0));
        }
        // Room is made, as far as the writer can see.
        drop(pump);
        let mut pump = Pump::open(places(root.path()), Duration::ZERO).unwrap();
        assert_eq!(pump.turn().0.lines, 3);
        assert_eq!(pump.turn().0.lines, 0);
        assert_eq!(lines(root.path()), 3);
    }

    #[test]
    fn outlets_that_cannot_be_reached_are_told_while_lines_of_the_others_are_taken() {
        let root = tempfile::tempdir().unwrap();
        let outlets = root.path().join("outlets");
        let mut pump = Pump::open(places(root.path()), Duration::ZERO).unwrap();
        let mut outlet = Outlet::create(&outlets, "web-01").unwrap();
        for away in ["db-01", "mail-01"] {
            std::os::unix::fs::symlink(root.path().join("unmounted"), outlets.join(away)).unwrap();
        }
        pump.turn();
        outlet.append(b"one").unwrap();
        let (turn, _) = pump.turn();
        assert_eq!((turn.lines, turn.trouble), (1, None));
        let told = turn.unread.unwrap();
        assert!(
            told.contains("db-01") && told.contains("unmounted") && told.ends_with("(and 1 more)"),
            "{told}"
        );
        std::fs::create_dir(root.path().join("unmounted")).unwrap();
        assert_eq!(pump.turn().0.unread, None);
    }

    #[test]
    fn after_an_error_that_is_not_want_of_room_the_spool_is_opened_anew() {
        let root = tempfile::tempdir().unwrap();
        let mut pump = Pump::open(places(root.path()), Duration::ZERO).unwrap();
        let mut outlet = Outlet::create(&root.path().join("outlets"), "web-01").unwrap();
        outlet.append(b"one").unwrap();
        assert_eq!(pump.turn().0.lines, 1);

        // The folder goes away under it.
        let spool = root.path().join("spool");
        let aside = root.path().join("aside");
        std::fs::rename(&spool, &aside).unwrap();
        std::fs::write(&spool, "not a folder").unwrap();
        outlet.append(b"two").unwrap();
        assert!(pump.turn().0.trouble.is_some());
        assert!(pump.turn().0.trouble.is_some());
        std::fs::remove_file(&spool).unwrap();
        std::fs::rename(&aside, &spool).unwrap();
        assert_eq!(pump.turn().0.trouble, None);
        assert_eq!(lines(root.path()), 2);
    }
}
