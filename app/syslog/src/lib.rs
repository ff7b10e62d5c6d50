//! RFC 5424 lines: format and parse, and octet-counted framing (RFC 6587 section 3.4.1, RFC 5425 section 4.3).
//!
//! The decoys, the collector and the ingester write and read evidence through this crate and nothing else, so a line
//! means the same everywhere. Start at [`format_line`] for writing, [`Message::parse`] for reading, [`fields_of`] and
//! [`source_address`] for what a line says, [`OctetCounting`] for lines on a stream.
//!
//! Deliberately absent: I/O, and RFC 3164 ("BSD") lines. What does not parse is the caller's to keep: the ingester
//! stores such lines as they came.
//!
//! An attacker chooses much of what stands in a line. Parsing takes any bytes and never panics; formatting leaves no
//! control character in a line and escapes whatever could end a value early.

mod attribution;
mod format;
mod framing;
mod parse;

pub use attribution::{fields_of, source_address};
pub use format::{LineHead, format_line};
pub use framing::{FrameError, OctetCounting};
pub use parse::ParseError;

use time::OffsetDateTime;

/// The facility of every line that we write: local0 (RFC 5424 table 1).
pub const FACILITY: u8 = 16;

/// How grave a message is (RFC 5424 table 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// 0: system is unusable.
    Emergency,
    /// 1: action must be taken immediately.
    Alert,
    /// 2: critical conditions.
    Critical,
    /// 3: error conditions.
    Error,
    /// 4: warning conditions.
    Warning,
    /// 5: normal but significant condition.
    Notice,
    /// 6: informational messages.
    Info,
    /// 7: debug-level messages.
    Debug,
}

impl Severity {
    const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// The number that stands in PRI, 0 to 7.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The severity of a PRI value: its lowest three bits.
    #[must_use]
    pub fn of_pri(pri: u8) -> Self {
        Self::ALL
            .into_iter()
            .find(|severity| severity.code() == pri & 7)
            .unwrap_or(Self::Debug)
    }
}

/// One structured-data element: `[id name="value" …]` (RFC 5424 section 6.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// SD-ID, such as `relay@55555`.
    pub id: String,
    /// PARAM-NAME and unescaped PARAM-VALUE, in the order of the line. A name may come more than once.
    pub params: Vec<(String, String)>,
}

/// A parsed line. A NIL value (`-`) is `None`.
///
/// Text is as it was sent, but for bytes that are not UTF-8: each of those reads `\xNN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// 0 to 23 (RFC 5424 table 1).
    pub facility: u8,
    /// How grave it is.
    pub severity: Severity,
    /// When it was said to happen: UTC, to the microsecond.
    pub timestamp: Option<OffsetDateTime>,
    /// For us the decky's name.
    pub hostname: Option<String>,
    /// For us the service.
    pub app_name: Option<String>,
    /// Process id or whatever a program puts there.
    pub procid: Option<String>,
    /// For us the type of the event.
    pub msgid: Option<String>,
    /// Structured data, in order.
    pub sd: Vec<Element>,
    /// The free text, without byte order mark and line end; empty where there is none.
    pub msg: String,
}
