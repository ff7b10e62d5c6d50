//! The spool as its users see it: what it promises, with the faults that it promises to survive.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking, also in its helpers"
)]

mod evidence;
mod full_disk;
mod kill;
mod outlets;
mod reading;
mod recovery;

use std::{path::Path, sync::Arc};

use decnet_model::clock::ManualClock;
use decnet_spool::{Options, Position, Reader, SpoolError, Writer};
use time::macros::datetime;

/// Options that do not depend on the machine: a clock that stands still, no floor of free space.
fn options() -> Options {
    Options {
        free_floor_bytes: 0,
        clock: Arc::new(ManualClock::new(datetime!(2026-03-01 12:00 UTC))),
        ..Options::default()
    }
}

fn small_segments(segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        ..options()
    }
}

/// Append and commit `lines`, one commit each.
fn write(writer: &mut Writer, lines: impl IntoIterator<Item = impl AsRef<[u8]>>) {
    for line in lines {
        writer.append(line.as_ref()).unwrap();
        writer.commit().unwrap();
    }
}

/// All lines from `from` on, as text.
fn read_all(dir: &Path, from: Position) -> Vec<String> {
    let mut reader = Reader::open(dir, from);
    drain(&mut reader).unwrap()
}

fn drain(reader: &mut Reader) -> Result<Vec<String>, SpoolError> {
    let mut all = Vec::new();
    loop {
        let batch = reader.next_batch(7, 1000)?;
        if batch.is_empty() {
            return Ok(all);
        }
        all.extend(
            batch
                .into_iter()
                .map(|line| String::from_utf8(line.bytes).unwrap()),
        );
    }
}
