//! The commit journal of the newest segment: one text line a commit, `checksum json`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead as _, BufReader},
};

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, checksum};

/// One commit. The first record of a journal opens its segment: it has no lines, all marks, and the predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// When, in microseconds since 1970.
    pub(crate) at: i64,
    /// Bytes of the segment that are committed.
    pub(crate) end: u64,
    /// Lines of the segment that are committed.
    pub(crate) lines: u64,
    /// Value of the chain over those lines.
    pub(crate) chain: Digest,
    /// Root of the segment before this one; only in the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) predecessor: Option<Digest>,
    /// Marks that changed: the new position in each source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) marks: BTreeMap<String, u64>,
    /// Marks that are no longer needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gone: Vec<String>,
}

impl Record {
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let body = serde_json::to_string(self)?;
        Ok(format!("{} {body}\n", checksum(body.as_bytes())).into_bytes())
    }

    /// The record of a line without its line end; `None` where the line is torn or damaged.
    fn decode(line: &[u8]) -> Option<Self> {
        let (sum, body) = line.split_at_checked(16)?;
        let body = body.strip_prefix(b" ")?;
        (checksum(body).as_bytes() == sum).then(|| serde_json::from_slice(body).ok())?
    }
}

/// What a journal tells.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) predecessor: Digest,
    pub(crate) first_us: i64,
    /// The last whole record.
    pub(crate) last: Record,
    /// All marks after it.
    pub(crate) marks: BTreeMap<String, u64>,
    /// End of the last whole record in the journal's file.
    pub(crate) end: u64,
    /// Bytes after it: a torn write.
    pub(crate) torn: u64,
    /// Unreadable records before it: damage, since a torn write is only ever the last one.
    pub(crate) damaged: u64,
}

impl Journal {
    /// Read a journal; `None` where it has no whole record. `each` sees every record in order.
    pub(crate) fn read(file: &File, mut each: impl FnMut(&Record)) -> io::Result<Option<Self>> {
        let mut journal: Option<Self> = None;
        let mut input = BufReader::new(file);
        let mut line = Vec::new();
        let mut at = 0;
        let mut unreadable = 0;
        loop {
            line.clear();
            let len = input.read_until(b'\n', &mut line)?;
            if len == 0 {
                break;
            }
            at += u64::try_from(len).unwrap_or(u64::MAX);
            let Some(record) = line.strip_suffix(b"\n").and_then(Record::decode) else {
                unreadable += 1;
                continue;
            };
            each(&record);
            let next = journal.get_or_insert_with(|| Self {
                predecessor: record.predecessor.unwrap_or(Digest::NONE),
                first_us: record.at,
                last: record.clone(),
                marks: BTreeMap::new(),
                end: 0,
                torn: 0,
                damaged: 0,
            });
            next.marks.extend(record.marks.clone());
            for source in &record.gone {
                next.marks.remove(source);
            }
            next.last = record;
            next.end = at;
            next.damaged = unreadable;
        }
        if let Some(journal) = &mut journal {
            journal.torn = at - journal.end;
        }
        Ok(journal)
    }
}
