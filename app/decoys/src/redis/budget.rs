//! How much memory an answer may take.
//!
//! A few words of a visitor ask for the same value thousands of times, and the process that answers is small. Whatever copies a value
//! more than once asks a [`Budget`] before it does, every reply is taken from it, and past its end the server is out of memory.
//! Start at [`Budget::charge`].

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{commands::out_of_memory, wire::Reply};

/// Bytes of one answer: more than a world holds, so that all of it can be looked at.
pub(super) const ANSWER_MAX: usize = 12 << 20;
/// Bytes of answers that wait until their visitors read them, of all visitors together.
const UNREAD_MAX: usize = 32 << 20;
/// What an answer may take in any case.
const ANSWER_MIN: usize = 64 * 1024;
/// What a value takes beside its bytes: its place in a collection, and what the allocator adds.
pub(super) const OVERHEAD: usize = 64;

/// What one answer may still take.
#[derive(Debug)]
pub(super) struct Budget {
    left: Cell<usize>,
}

impl Budget {
    /// A budget of so many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        Self {
            left: Cell::new(bytes),
        }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.left.get()
    }

    /// Take what `value`, which is about to be copied, will need.
    ///
    /// # Errors
    /// The server's words where there is not so much left.
    pub(super) fn charge<T: Measured + ?Sized>(&self, value: &T) -> Result<(), Reply> {
        let left = self.left.get().checked_sub(value.bytes());
        self.left.set(left.ok_or_else(out_of_memory)?);
        Ok(())
    }

    /// The reply of a command that began when `before` was left: what it takes is taken now, in place of what its making took.
    pub(super) fn settle(&self, before: usize, reply: Reply) -> Reply {
        match before.checked_sub(reply.bytes()) {
            Some(left) => {
                self.left.set(left);
                reply
            }
            None => {
                self.left.set(before);
                out_of_memory()
            }
        }
    }
}

/// What knows how much memory it takes.
pub(super) trait Measured {
    /// Bytes, what stands around them included.
    fn bytes(&self) -> usize;
}

impl Measured for [u8] {
    fn bytes(&self) -> usize {
        self.len() + OVERHEAD
    }
}

impl Measured for Vec<u8> {
    fn bytes(&self) -> usize {
        self.as_slice().bytes()
    }
}

/// The answers of a server that nobody has read yet.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: AtomicUsize,
}

impl Unread {
    /// What the next answer may take.
    pub(super) fn budget(&self) -> usize {
        let room = UNREAD_MAX.saturating_sub(self.bytes.load(Ordering::Relaxed));
        room.clamp(ANSWER_MIN, ANSWER_MAX)
    }

    /// Count an answer of so many bytes for as long as the result lives.
    pub(super) fn hold(&self, bytes: usize) -> impl Drop + use<'_> {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Held { of: self, bytes }
    }
}

struct Held<'a> {
    of: &'a Unread,
    bytes: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_nobody_reads_leave_less_for_the_next_one_and_never_nothing() {
        let unread = Unread::default();
        assert_eq!(unread.budget(), ANSWER_MAX);
        let first = unread.hold(UNREAD_MAX - ANSWER_MAX / 2);
        assert_eq!(unread.budget(), ANSWER_MAX / 2);
        let second = unread.hold(UNREAD_MAX);
        assert_eq!(unread.budget(), ANSWER_MIN);
        drop((first, second));
        assert_eq!(unread.budget(), ANSWER_MAX);
    }

    #[test]
    fn what_a_command_took_while_it_worked_is_given_back_for_what_it_answers() {
        let budget = Budget::of(10_000);
        let before = budget.left();
        budget.charge(&vec![0; 9000]).unwrap();
        assert!(budget.charge(&vec![0; 9000]).is_err());
        assert_eq!(budget.settle(before, Reply::Nil), Reply::Nil);
        assert_eq!(budget.left(), before - OVERHEAD);
        let huge = Reply::Bulk(vec![0; 10_000]);
        assert_eq!(budget.settle(budget.left(), huge), out_of_memory());
        assert_eq!(budget.left(), before - OVERHEAD);
    }
}
