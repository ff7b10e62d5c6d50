//! The bounded queue between a producer that must never wait and a consumer that may be slow: when it is full the
//! oldest give way, and the consumer learns how many, in the place where they are missing.
//!
//! It holds whole frames, one behind the other as they will be written, so that an event costs a copy and no allocation.
//! One consumer a queue; any number of producers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};
use tokio::sync::Notify;

use crate::wire;

/// The memory that an empty queue may keep.
const KEPT: usize = 256 << 10;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

pub(crate) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    ready: Notify,
    room: Notify,
}

#[derive(Default)]
struct State {
    frames: BytesMut,
    /// How many frames these are.
    count: usize,
    /// Dropped in front of `frames` since the consumer last took.
    lost: u64,
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "whoever pushes into an empty queue has to see to it that somebody takes"]
pub(crate) struct Pushed {
    /// How many of the oldest it cost.
    pub(crate) lost: u64,
    /// Nothing waited before.
    pub(crate) first: bool,
}

/// What a consumer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) frames: usize,
    /// Nothing waits any more.
    pub(crate) all: bool,
}

/// What a consumer finds at the front.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Lost(u64),
    Frame(Vec<u8>),
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            ready: Notify::new(),
            room: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends `count` whole frames, dropping the oldest until the rest fits. The last one always fits.
    pub(crate) fn push(&self, frames: &[u8], count: usize) -> Pushed {
        let state = &mut *self.lock();
        let first = state.append(frames, count);
        let mut lost = 0;
        while state.count > 1 && (state.count > self.limits.items || state.frames.len() > self.limits.bytes) {
            let Some(length) = wire::frame_length(&state.frames) else {
                break;
            };
            state.frames.advance(length);
            state.count -= 1;
            lost += 1;
        }
        state.lost += lost;
        Pushed { lost, first }
    }

    /// Appends a frame once there is room for it: for producers that would rather wait than lose.
    pub(crate) async fn push_wait(&self, frame: &[u8]) -> Pushed {
        if let Some(pushed) = self.push_if_room(frame) {
            return pushed;
        }
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if let Some(pushed) = self.push_if_room(frame) {
                return pushed;
            }
            room.await;
        }
    }

    fn push_if_room(&self, frame: &[u8]) -> Option<Pushed> {
        let state = &mut *self.lock();
        let room = state.count < self.limits.items && state.frames.len() + frame.len() <= self.limits.bytes;
        (room || state.count == 0).then(|| Pushed {
            lost: 0,
            first: state.append(frame, 1),
        })
    }

    /// Tells the consumer that there is something to take.
    pub(crate) fn wake(&self) {
        self.ready.notify_one();
    }

    /// Takes from the front: first the loss, then the frame behind it.
    pub(crate) fn pop(&self) -> Option<Next> {
        let mut state = self.lock();
        if state.lost > 0 {
            return Some(Next::Lost(std::mem::take(&mut state.lost)));
        }
        let mut frame = Vec::new();
        let taken = state.take(1, &mut frame);
        drop(state);
        self.room.notify_waiters();
        (taken > 0).then_some(Next::Frame(frame))
    }

    /// Moves frames from the front to the end of `into`, at least one and then up to `bytes` of them. Before that, what was
    /// lost in front of them is told by `tell`.
    pub(crate) fn take(
        &self,
        bytes: usize,
        into: &mut Vec<u8>,
        tell: impl FnOnce(u64, &mut Vec<u8>),
    ) -> Taken {
        let mut state = self.lock();
        let lost = std::mem::take(&mut state.lost);
        if lost > 0 {
            tell(lost, into);
        }
        let frames = state.take(bytes, into);
        let all = state.count == 0;
        drop(state);
        self.room.notify_waiters();
        Taken { frames, all }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().count == 0
    }

    /// Whether half of what may wait waits.
    pub(crate) fn is_crowded(&self) -> bool {
        let state = self.lock();
        state.count > self.limits.items / 2 || state.frames.len() > self.limits.bytes / 2
    }

    /// Returns once it is no longer crowded.
    pub(crate) async fn relieved(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if !self.is_crowded() {
                return;
            }
            room.await;
        }
    }

    /// Returns after a [`Queue::wake`], also one from before the call.
    pub(crate) async fn woken(&self) {
        self.ready.notified().await;
    }

    /// Returns once there is something to take.
    pub(crate) async fn ready(&self) {
        while self.lock().count == 0 {
            // A push into the empty queue between the look and here leaves a permit behind.
            self.woken().await;
        }
    }
}

impl State {
    /// Whether nothing waited before.
    fn append(&mut self, frames: &[u8], count: usize) -> bool {
        let first = self.count == 0;
        self.frames.extend_from_slice(frames);
        self.count += count;
        first
    }

    fn take(&mut self, bytes: usize, into: &mut Vec<u8>) -> usize {
        if self.frames.len() <= bytes {
            into.extend_from_slice(&self.frames);
            self.frames.clear();
            if self.frames.capacity() > KEPT {
                self.frames = BytesMut::new();
            }
            return std::mem::take(&mut self.count);
        }
        let (mut frames, mut length) = (0, 0);
        while length < bytes
            && let Some(next) = wire::frame_length(self.frames.get(length..).unwrap_or_default())
        {
            length += next;
            frames += 1;
        }
        into.extend_from_slice(self.frames.get(..length).unwrap_or_default());
        self.frames.advance(length);
        self.count -= frames;
        frames
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// A frame that carries its number, and as many spaces.
    fn frame(number: u32, padding: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        wire::encode::<wire::FrameError>("EVT", "a", &mut frame, |out| {
            out.extend_from_slice(&number.to_be_bytes());
            out.resize(out.len() + padding, b' ');
            Ok(())
        })
        .unwrap();
        frame
    }

    fn numbers(mut frames: &[u8]) -> Vec<u32> {
        let mut numbers = Vec::new();
        while let Some((wire::Frame::Event { body, .. }, used)) = wire::decode(frames).unwrap() {
            numbers.push(u32::from_be_bytes(*body.first_chunk().unwrap()));
            frames = &frames[used..];
        }
        assert!(frames.is_empty());
        numbers
    }

    fn limits(items: usize, bytes: usize) -> Limits {
        Limits { items, bytes }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Vec<usize>),
        Pop,
        Take(usize),
    }

    proptest! {
        /// Against a plain count: whatever is pushed, one by one or in runs, comes out in order or is counted as lost where it
        /// is missing, and no more waits than may.
        #[test]
        fn pushed_is_taken_or_counted_in_its_place(
            steps in prop::collection::vec(prop_oneof![
                3 => prop::collection::vec(0usize..40, 1..6).prop_map(Step::Push),
                1 => Just(Step::Pop),
                1 => (1usize..200).prop_map(Step::Take),
            ], 0..200),
            items in 1usize..20,
            bytes in 1usize..400,
        ) {
            let queue = Queue::new(limits(items, bytes));
            let (mut pushed, mut expected, mut lost) = (0u32, 0u32, 0);
            for step in steps.into_iter().chain([Step::Take(usize::MAX)]) {
                match step {
                    Step::Push(run) => {
                        let mut frames = Vec::new();
                        for padding in &run {
                            frames.extend(frame(pushed, *padding));
                            pushed += 1;
                        }
                        lost += queue.push(&frames, run.len()).lost;
                        let state = queue.lock();
                        prop_assert!(state.count <= items && (state.count == 1 || state.frames.len() <= bytes));
                    }
                    Step::Pop => match queue.pop() {
                        Some(Next::Lost(n)) => expected += u32::try_from(n).unwrap(),
                        Some(Next::Frame(frame)) => {
                            prop_assert_eq!(numbers(&frame), [expected]);
                            expected += 1;
                        }
                        None => {}
                    },
                    Step::Take(bytes) => {
                        let mut out = Vec::new();
                        let taken = queue.take(bytes, &mut out, |n, _| expected += u32::try_from(n).unwrap());
                        let numbers = numbers(&out);
                        prop_assert_eq!(numbers.len(), taken.frames);
                        for number in numbers {
                            prop_assert_eq!(number, expected);
                            expected += 1;
                        }
                        prop_assert_eq!(taken.all, expected == pushed);
                    }
                }
            }
            prop_assert_eq!(expected, pushed);
            prop_assert!(lost <= u64::from(pushed));
        }
    }

    #[test]
    fn an_item_larger_than_the_queue_replaces_what_is_in_it() {
        let queue = Queue::new(limits(10, 100));
        assert!(queue.push(&frame(1, 60), 1).first);
        assert_eq!(
            queue.push(&frame(2, 500), 1),
            Pushed {
                lost: 1,
                first: false
            }
        );
        assert_eq!(queue.pop(), Some(Next::Lost(1)));
        assert_eq!(queue.pop(), Some(Next::Frame(frame(2, 500))));
        assert_eq!(queue.pop(), None);
    }

    #[tokio::test]
    async fn a_waiting_producer_loses_nothing() {
        let queue = Arc::new(Queue::new(limits(4, 1000)));
        let producer = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                for number in 0..1000 {
                    if queue.push_wait(&frame(number, 1)).await.first {
                        queue.wake();
                    }
                }
            }
        });
        let (mut out, mut taken) = (Vec::new(), 0);
        while taken < 1000 {
            queue.ready().await;
            taken += queue.take(3, &mut out, |lost, _| panic!("{lost} lost")).frames;
        }
        producer.await.unwrap();
        assert!(numbers(&out).into_iter().eq(0..1000));
    }
}
