//! What comes through a channel, until its job takes it: bytes, the newest size of the terminal, and the end. Whatever a
//! visitor sends, and however often, no more waits here than bytes within the channel's window.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The most bytes that a job takes at once.
const PART: usize = 32 << 10;

/// What comes through a channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Data(Vec<u8>),
    /// Columns and rows.
    Resize(u32, u32),
    End,
}

/// A queue for one channel: the connection's side of it, and the job's. `took` is notified when the job has taken something.
pub(super) fn inbox(took: Arc<Notify>) -> (Inlet, Inbox) {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        came: Notify::new(),
        took,
    });
    (Inlet(Arc::clone(&shared)), Inbox(shared))
}

struct Shared {
    state: Mutex<State>,
    /// Something came for the job.
    came: Notify,
    took: Arc<Notify>,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// A size that the job has not been told.
    size: Option<(u32, u32)>,
    end: End,
    /// Bytes that were taken since the visitor was told.
    taken: u32,
    /// The channel is gone: nothing more comes.
    closed: bool,
    /// The job has ended.
    left: bool,
}

/// Whether the visitor sends nothing more.
#[derive(Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Came,
    Told,
}

impl State {
    fn take(&mut self, len: usize) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.taken = self.taken.saturating_add(len);
    }

    /// What the job is told next; nothing where that has yet to come.
    fn next(&mut self) -> Option<Next> {
        if let Some((columns, rows)) = self.size.take() {
            return Some(Next::Input(Input::Resize(columns, rows)));
        }
        if !self.bytes.is_empty() {
            let len = self.bytes.len().min(PART);
            let bytes = self.bytes.drain(..len).collect();
            if self.bytes.is_empty() {
                // A channel that waits costs no buffer.
                self.bytes = VecDeque::new();
            }
            self.take(len);
            return Some(Next::Input(Input::Data(bytes)));
        }
        if self.end == End::Came {
            self.end = End::Told;
            return Some(Next::Input(Input::End));
        }
        self.closed.then_some(Next::Closed)
    }
}

enum Next {
    Input(Input),
    Closed,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // It is changed in single steps: a panic elsewhere leaves it right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Change what waits, and wake the job.
    fn put(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.came.notify_one();
    }
}

/// The connection's side. When it is dropped the job hears that nothing more comes.
pub(super) struct Inlet(Arc<Shared>);

impl Inlet {
    pub(super) fn data(&self, bytes: &[u8]) {
        self.0.put(|state| {
            if state.left {
                // A job that has ended holds nothing up.
                state.take(bytes.len());
                self.0.took.notify_one();
            } else {
                state.bytes.extend(bytes);
            }
        });
    }

    /// The terminal has another size: as on a real one at once, ahead of bytes that wait.
    pub(super) fn resize(&self, columns: u32, rows: u32) {
        self.0.put(|state| state.size = Some((columns, rows)));
    }

    /// The visitor sends nothing more; how often it says so makes no difference.
    pub(super) fn end(&self) {
        self.0.put(|state| {
            if state.end == End::Open {
                state.end = End::Came;
            }
        });
    }

    /// How many bytes the job has taken since this was last asked.
    pub(super) fn taken(&self) -> u32 {
        std::mem::take(&mut self.0.state().taken)
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.0.put(|state| state.closed = true);
    }
}

/// The job's side.
pub(super) struct Inbox(Arc<Shared>);

impl Inbox {
    /// What came next, the end once; `None` where the channel is gone. May be dropped while it waits, and called again.
    pub(super) async fn recv(&mut self) -> Option<Input> {
        loop {
            let next = self.0.state().next();
            match next {
                Some(Next::Input(input)) => {
                    if matches!(input, Input::Data(_)) {
                        self.0.took.notify_one();
                    }
                    return Some(input);
                }
                Some(Next::Closed) => return None,
                None => self.0.came.notified().await,
            }
        }
    }

    /// The next bytes; `None` where no more come.
    pub(super) async fn bytes(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.recv().await? {
                Input::Data(bytes) => return Some(bytes),
                Input::Resize(..) => {}
                Input::End => return None,
            }
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.left = true;
        state.bytes = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_hears_the_newest_size_all_bytes_in_their_order_and_one_end() {
        let (inlet, mut inbox) = inbox(Arc::default());
        for n in 0..100_000 {
            inlet.resize(n, 24);
            inlet.data(b"");
            inlet.end();
        }
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(3 * PART).collect();
        for byte in &sent {
            inlet.data(&[*byte]);
        }
        let held = inlet.0.state().bytes.capacity();
        assert!(held <= 2 * sent.len(), "{held}");
        assert_eq!(inbox.recv().await, Some(Input::Resize(99_999, 24)));
        let mut came = Vec::new();
        while came.len() < sent.len() {
            let Some(Input::Data(bytes)) = inbox.recv().await else {
                panic!("after {} bytes", came.len());
            };
            came.extend(bytes);
        }
        assert_eq!(came, sent);
        assert_eq!(inlet.taken(), u32::try_from(sent.len()).unwrap());
        assert_eq!(inbox.recv().await, Some(Input::End));
        drop(inlet);
        assert_eq!(inbox.recv().await, None);
    }

    #[test]
    fn a_job_that_has_ended_keeps_nothing_and_holds_nothing_up() {
        let (inlet, inbox) = inbox(Arc::default());
        inlet.data(b"before");
        drop(inbox);
        assert_eq!(inlet.taken(), 0);
        inlet.data(b"after");
        assert_eq!(inlet.taken(), 5);
        assert!(inlet.0.state().bytes.is_empty());
    }
}
