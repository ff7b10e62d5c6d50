//! The bounded queue between a producer that must never wait and a consumer that may be slow: when it is full the
//! oldest give way, and the consumer learns how many, in the place where they are missing.
//!
//! One consumer a queue; any number of producers.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

/// The size that counts against [`Limits::bytes`].
pub(crate) trait Weight {
    fn weight(&self) -> usize;
}

impl Weight for std::sync::Arc<[u8]> {
    fn weight(&self) -> usize {
        self.len()
    }
}

pub(crate) struct Queue<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    ready: Notify,
    room: Notify,
}

struct State<T> {
    items: VecDeque<T>,
    bytes: usize,
    /// Dropped in front of `items` since the consumer last took.
    lost: u64,
}

/// What a consumer finds at the front.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    Lost(u64),
    Item(T),
}

impl<T: Weight> Queue<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::new(State {
                items: VecDeque::new(),
                bytes: 0,
                lost: 0,
            }),
            ready: Notify::new(),
            room: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends `item`, dropping the oldest until it fits; says how many that cost. The item itself always fits.
    pub(crate) fn push(&self, item: T) -> u64 {
        let mut state = self.lock();
        let mut lost = 0;
        while !state.items.is_empty() && !self.has_room(&state, &item) {
            if let Some(oldest) = state.items.pop_front() {
                state.bytes -= oldest.weight();
                lost += 1;
            }
        }
        state.lost += lost;
        self.append(state, item);
        lost
    }

    /// Appends `item` once there is room for it: for producers that would rather wait than lose.
    pub(crate) async fn push_wait(&self, item: T) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let state = self.lock();
                if state.items.is_empty() || self.has_room(&state, &item) {
                    return self.append(state, item);
                }
            }
            room.await;
        }
    }

    fn has_room(&self, state: &State<T>, item: &T) -> bool {
        state.items.len() < self.limits.items && state.bytes + item.weight() <= self.limits.bytes
    }

    fn append(&self, mut state: MutexGuard<'_, State<T>>, item: T) {
        let was_empty = state.items.is_empty();
        state.bytes += item.weight();
        state.items.push_back(item);
        drop(state);
        if was_empty {
            self.ready.notify_one();
        }
    }

    /// Takes from the front: first the loss, then the item behind it.
    pub(crate) fn pop(&self) -> Option<Next<T>> {
        let mut state = self.lock();
        if state.lost > 0 {
            return Some(Next::Lost(std::mem::take(&mut state.lost)));
        }
        let item = state.items.pop_front()?;
        state.bytes -= item.weight();
        drop(state);
        self.room.notify_waiters();
        Some(Next::Item(item))
    }

    /// Moves items from the front to `into`, at least one and then up to `bytes` of them; says how many were lost in
    /// front of them.
    pub(crate) fn take(&self, bytes: usize, into: &mut Vec<T>) -> u64 {
        let mut state = self.lock();
        let mut taken = 0;
        while taken < bytes
            && let Some(item) = state.items.pop_front()
        {
            taken += item.weight();
            into.push(item);
        }
        state.bytes -= taken;
        let lost = std::mem::take(&mut state.lost);
        drop(state);
        self.room.notify_waiters();
        lost
    }

    /// Whether half of what may wait waits.
    pub(crate) fn is_crowded(&self) -> bool {
        let state = self.lock();
        state.items.len() > self.limits.items / 2 || state.bytes > self.limits.bytes / 2
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

    /// Returns once there is something to take.
    pub(crate) async fn ready(&self) {
        while self.lock().items.is_empty() {
            // A push into the empty queue between the look and here leaves a permit behind.
            self.ready.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Arc};

    use proptest::prelude::*;

    use super::*;

    impl Weight for (u32, usize) {
        fn weight(&self) -> usize {
            self.1
        }
    }

    fn limits(items: usize, bytes: usize) -> Limits {
        Limits { items, bytes }
    }

    proptest! {
        /// Against a plain list: whatever is pushed comes out in order or is counted as lost where it is missing.
        #[test]
        fn pushed_is_taken_or_counted_in_its_place(
            steps in prop::collection::vec(prop_oneof![
                (0usize..40).prop_map(Some),
                Just(None),
            ], 0..300),
            items in 1usize..20,
            bytes in 1usize..200,
        ) {
            let queue = Queue::new(limits(items, bytes));
            let mut expected = 0u32;
            let mut pushed = 0u32;
            let mut out = VecDeque::new();
            for step in steps {
                match step {
                    Some(weight) => {
                        queue.push((pushed, weight));
                        pushed += 1;
                    }
                    None => out.extend(queue.pop()),
                }
            }
            while let Some(next) = queue.pop() {
                out.push_back(next);
            }
            for next in out {
                match next {
                    Next::Lost(n) => expected += u32::try_from(n).unwrap(),
                    Next::Item((number, _)) => {
                        prop_assert_eq!(number, expected);
                        expected += 1;
                    }
                }
            }
            prop_assert_eq!(expected, pushed);
        }
    }

    #[test]
    fn an_item_larger_than_the_queue_replaces_what_is_in_it() {
        let queue = Queue::new(limits(10, 100));
        queue.push((1, 60));
        assert_eq!(queue.push((2, 500)), 1);
        assert_eq!(queue.pop(), Some(Next::Lost(1)));
        assert_eq!(queue.pop(), Some(Next::Item((2, 500))));
        assert_eq!(queue.pop(), None);
    }

    #[tokio::test]
    async fn a_waiting_producer_loses_nothing() {
        let queue = Arc::new(Queue::new(limits(4, 1000)));
        let producer = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                for number in 0..1000 {
                    queue.push_wait((number, 1)).await;
                }
            }
        });
        let mut taken = Vec::new();
        while taken.len() < 1000 {
            queue.ready().await;
            assert_eq!(queue.take(3, &mut taken), 0);
        }
        producer.await.unwrap();
        assert!(taken.iter().map(|(number, _)| *number).eq(0..1000));
    }
}
