//! The spool: a folder of numbered segments of plain RFC 5424 lines, readable with `tail` and `grep`.
//!
//! Every piece of evidence passes through here once. A line is durable when [`Writer::commit`] has returned, and the
//! position in the source that it came from became durable in the same step, so that a collector that is killed
//! between any two instructions neither loses nor doubles a line.
//!
//! | file | what it is |
//! |---|---|
//! | `NNNNNNNNNN.log` | the lines of a segment |
//! | `NNNNNNNNNN.journal` | one record a commit: end of the lines, digest chain, a digest of each line, source marks. Only of the newest segment |
//! | `NNNNNNNNNN.seal` | of a closed segment: a digest of each line and the root of the chain |
//! | `committed` | how far readers may read: a hint that is rebuilt from the journal |
//! | `readers/<name>` | how far a registered reader is; segments before all of them may be dropped |
//! | `dropped` | the segment that was dropped last, and its root: what is first now has to follow it |
//! | `lock` | held by the one writer; holds its process id |
//!
//! A commit writes the lines, fdatasyncs them, writes the journal record, fdatasyncs that, and only then moves
//! `committed`. Readers therefore never see a line that a power cut could take back, and never read the journal, but to learn when lines
//! arrived ([`Arrivals`]).
//! Opening a writer finds the journal's last whole record and cuts the segment back to it.
//!
//! The first segment of a new folder is numbered by the clock (seconds since 1970), the following ones count up. A
//! reader that brings a position of a folder that was since wiped sees a gap, not lines that it mistakes for read.
//!
//! Start at [`Writer`] and [`Reader`]; [`outlet`] is how other processes hand lines over; [`verify`] and [`export`] are
//! what evidence is for. Deliberately absent: parsing (lines are bytes), async, and a limit on line length (the
//! [`outlet::Inlet`] cuts).

mod arrival;
mod digest;
mod error;
mod evidence;
mod journal;
mod layout;
pub mod outlet;
mod position;
mod reader;
mod seal;
mod writer;

pub use arrival::Arrivals;
pub use digest::Digest;
pub use error::{Gap, SpoolError};
pub use evidence::{
    Bundle, BundleSegment, Exported, Fault, FaultKind, Segment, Verified, export, is_evidence, segments,
    verify,
};
pub use position::Position;
pub use reader::{Line, Reader, acknowledge, acknowledged, forget, identity};
pub use writer::{Dropped, Options, Recovery, Writer, room};
