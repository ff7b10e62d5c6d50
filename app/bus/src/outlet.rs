//! A queue and the socket into which it is emptied: what the broker has for each client, and a client for its broker.
//!
//! Whoever pushes into the empty queue writes at once, without a task in between, which is what an event's latency hangs
//! on. What the socket does not take is left to the task that owns the connection, which waits for the socket.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::{Duration, Instant},
};

use tokio::net::unix::OwnedWriteHalf;

use crate::{
    queue::{Limits, Queue},
    wire,
};

/// How much is written at once.
const CHUNK: usize = 64 << 10;
/// How many chunks are written in a row, before others get their turn.
const ROW: usize = 4;
/// How many events a publisher may write itself in a [`BURST_TIME`]: beyond that it is cheaper, and soon enough, to let
/// them gather.
const BURST: u32 = 32;
const BURST_TIME: Duration = Duration::from_millis(1);

pub(crate) struct Outlet {
    pub(crate) queue: Queue,
    out: Mutex<Out>,
}

/// What was taken from the queue and is not written yet.
struct Out {
    stream: Option<Arc<OwnedWriteHalf>>,
    bytes: Vec<u8>,
    /// How many of `bytes` are written.
    written: usize,
    /// How many events `bytes` are, the answers among them not counted.
    events: u64,
    burst_began: Instant,
    burst: u32,
}

/// What a flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flushed {
    /// Events that are written whole now.
    pub(crate) events: u64,
    /// Nothing is left to write.
    pub(crate) done: bool,
}

impl Outlet {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            queue: Queue::new(limits),
            out: Mutex::new(Out {
                stream: None,
                bytes: Vec::new(),
                written: 0,
                events: 0,
                burst_began: Instant::now(),
                burst: 0,
            }),
        }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to `stream` from now on.
    pub(crate) fn attach(&self, stream: Arc<OwnedWriteHalf>) {
        self.out().stream = Some(stream);
    }

    /// Writes nowhere from now on, and says how many of the events under way got out whole; with a torn one the next
    /// connection begins: the broker forgets its first part.
    pub(crate) fn detach(&self) -> u64 {
        let out = &mut *self.out();
        out.stream = None;
        let (mut whole, mut events) = (0, 0);
        while let Some(length) = wire::frame_length(out.bytes.get(whole..).unwrap_or_default())
            && whole + length <= out.written
        {
            whole += length;
            events += 1;
        }
        out.bytes.drain(..whole.min(out.bytes.len()));
        out.written = 0;
        out.events = out.events.saturating_sub(events);
        events
    }

    /// Whether nothing is under way and nothing queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.out().bytes.is_empty() && self.queue.is_empty()
    }

    /// Puts an answer behind what is under way and in front of what is queued.
    pub(crate) fn answer(&self, frame: &[u8]) {
        self.out().bytes.extend_from_slice(frame);
    }

    /// Writes what the socket takes. A loss is told by `tell`, in its place.
    ///
    /// # Errors
    /// The connection is broken, or there is none.
    pub(crate) fn flush(&self, tell: impl FnMut(u64, &mut Vec<u8>)) -> io::Result<Flushed> {
        self.out().flush(&self.queue, tell)
    }

    /// The publisher's flush: `None` where it is to be left to the connection's task. Never waits.
    pub(crate) fn flush_burst(&self) -> Option<Flushed> {
        let mut out = match self.out.try_lock() {
            Ok(out) => out,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let now = Instant::now();
        if now.duration_since(out.burst_began) > BURST_TIME {
            out.burst_began = now;
            out.burst = 0;
        }
        if out.burst >= BURST {
            return None;
        }
        out.burst += 1;
        // A broken connection is found again, and told, by its task. What was lost was counted when it was dropped.
        out.flush(&self.queue, |_, _| {}).ok()
    }
}

impl Out {
    fn flush(&mut self, queue: &Queue, mut tell: impl FnMut(u64, &mut Vec<u8>)) -> io::Result<Flushed> {
        let Some(stream) = self.stream.clone() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let mut flushed = Flushed {
            events: 0,
            done: false,
        };
        for _ in 0..ROW {
            let mut all = false;
            if self.bytes.is_empty() {
                let taken = queue.take(CHUNK, &mut self.bytes, &mut tell);
                self.events = taken.frames as u64;
                all = taken.all;
            }
            while let Some(rest @ [_, ..]) = self.bytes.get(self.written..) {
                match stream.try_write(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => self.written += n,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(flushed),
                    Err(error) => return Err(error),
                }
            }
            flushed.events += std::mem::take(&mut self.events);
            self.written = 0;
            self.bytes.clear();
            self.bytes.shrink_to(2 * CHUNK);
            if all {
                flushed.done = true;
                break;
            }
        }
        Ok(flushed)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::net::UnixStream as Peer};

    use proptest::prelude::*;
    use tokio::net::UnixStream;

    use super::*;
    use crate::wire::FrameError;

    fn frame(number: usize, length: usize) -> Vec<u8> {
        let mut out = Vec::new();
        wire::encode::<FrameError>("PUB", &format!("topic.{number}"), &mut out, |out| {
            out.resize(out.len() + length, b'x');
            Ok(())
        })
        .unwrap();
        out
    }

    /// The whole frames at the front of `bytes`: what the other side makes of a connection that broke behind them.
    fn whole(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some((_, used)) = wire::decode(bytes).unwrap() {
            let (frame, rest) = bytes.split_at(used);
            frames.push(frame.to_vec());
            bytes = rest;
        }
        frames
    }

    /// One connection: broken once the other side has read so much, or at the end. Gives everything that was written to
    /// it, and how many events the outlet counts as gone.
    async fn connection(outlet: &Outlet, broken_at: usize) -> (Vec<u8>, u64) {
        let (ours, mut theirs) = Peer::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let (read, write) = UnixStream::from_std(ours).unwrap().into_split();
        let write = Arc::new(write);
        outlet.attach(Arc::clone(&write));
        let (mut got, mut events, mut buffer) = (Vec::new(), 0, [0; 4096]);
        while got.len() < broken_at {
            write.writable().await.unwrap();
            let flushed = outlet.flush(|_, _| {}).unwrap();
            events += flushed.events;
            if flushed.done {
                break;
            }
            // To the last byte: nobody else makes room in the socket.
            while let Ok(n) = theirs.read(&mut buffer) {
                got.extend_from_slice(&buffer[..n]);
            }
        }
        events += outlet.detach();
        drop((read, write));
        theirs.set_nonblocking(false).unwrap();
        theirs.read_to_end(&mut got).unwrap();
        (got, events)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn wherever_connections_break_every_frame_arrives_once_whole_and_in_order(
            lengths in prop::collection::vec(prop_oneof![0_usize..200, 0_usize..150_000], 1..30),
            breaks in prop::collection::vec(0_usize..1_000_000, 0..6),
        ) {
            let frames: Vec<_> = lengths.iter().enumerate().map(|(n, length)| frame(n, *length)).collect();
            let outlet = Outlet::new(Limits { items: 1000, bytes: 64 << 20 });
            for frame in &frames {
                prop_assert_eq!(outlet.queue.push(frame, 1).lost, 0);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (arrived, events) = runtime.block_on(async {
                let (mut arrived, mut events) = (Vec::new(), 0);
                for broken_at in breaks.iter().copied().chain([usize::MAX]) {
                    let (got, gone) = connection(&outlet, broken_at).await;
                    arrived.extend(whole(&got));
                    events += gone;
                }
                (arrived, events)
            });
            prop_assert_eq!(events, frames.len() as u64);
            prop_assert!(arrived == frames, "{} of {} frames, or others", arrived.len(), frames.len());
        }
    }
}
