//! The room on the disk that visitors cannot take: below it neither files nor recordings of theirs are kept, so that what is reported of
//! them goes on. It is absolute, and above what the spool leaves free by default.
//!
//! Both share one floor, as both are on the disk of their decky's folder: how much they wrote together says when to look anew.

use std::{
    io,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use decnet_model::event::Event;

use super::trouble;

/// So many bytes are written between two looks.
const STEP: u64 = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Floor {
    bytes: AtomicU64,
    /// Bytes that were written since the last look.
    unseen: AtomicU64,
    /// Whether there was too little at the last look.
    is_low: AtomicBool,
}

impl Floor {
    /// A floor of `bytes` that stay free; none where that is 0.
    pub(super) fn of(bytes: u64) -> Self {
        Self {
            bytes: AtomicU64::new(bytes),
            unseen: AtomicU64::new(0),
            is_low: AtomicBool::new(false),
        }
    }

    /// Bytes that stay free.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether `more` bytes may be written into `folder`. Looks anew once a MiB was written, and as long as there was too little.
    pub(super) fn takes(&self, folder: &Path, more: u64) -> bool {
        let unseen = self
            .unseen
            .fetch_add(more, Ordering::Relaxed)
            .saturating_add(more);
        if unseen < STEP && !self.is_low.load(Ordering::Relaxed) {
            return true;
        }
        match self.look(folder) {
            Ok(free) => free >= self.bytes(),
            Err(error) => {
                trouble(format_args!("how much room the disk has cannot be told: {error}"));
                false
            }
        }
    }

    /// What tells that something is not kept for this.
    pub(super) fn reached(&self) -> Event<'static> {
        Event::Limited {
            what: "free_floor_bytes",
            limit: self.bytes(),
        }
    }

    /// Bytes that the disk of `folder` has left for us, now.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub(super) fn look(&self, folder: &Path) -> io::Result<u64> {
        self.unseen.store(0, Ordering::Relaxed);
        let free = free_bytes(folder);
        let is_low = free.as_ref().map_or(true, |free| *free < self.bytes());
        self.is_low.store(is_low, Ordering::Relaxed);
        free
    }
}

#[cfg(test)]
impl Floor {
    /// Have no disk reach the floor, …
    pub(super) fn fill(&self) {
        self.bytes.store(u64::MAX, Ordering::Relaxed);
    }

    /// … and any.
    pub(super) fn empty(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(folder)?;
    #[allow(
        clippy::useless_conversion,
        reason = "the width of these fields differs between platforms"
    )]
    Ok(u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size())))
}
