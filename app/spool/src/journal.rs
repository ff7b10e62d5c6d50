//! The commit journal of the newest segment: one text line a commit, `checksum json`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    SpoolError,
    digest::{Digest, SHORT, checksum},
    layout,
};

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
    /// The short digests of the lines of this commit, one behind the other: they say which line it was that changed. They
    /// cost 16 bytes a line and no hashing, since the chain is made of the same digests. Journals of old have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) digests: String,
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
    /// The earliest and the latest time of a commit: neither has to be that of the first or the last one, since clocks are
    /// put back.
    pub(crate) first_us: i64,
    pub(crate) last_us: i64,
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
                last_us: record.at,
                last: record.clone(),
                marks: BTreeMap::new(),
                end: 0,
                torn: 0,
                damaged: 0,
            });
            next.first_us = next.first_us.min(record.at);
            next.last_us = next.last_us.max(record.at);
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

/// The digests of the first `lines` lines of a segment as they were written, one behind the other; nothing where its
/// journal is gone, or from before there were any.
pub(crate) fn digests(dir: &Path, segment: u64, lines: u64) -> Result<Option<String>, SpoolError> {
    let path = layout::segment_file(dir, segment, layout::JOURNAL);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(SpoolError::io("open", &path)(e)),
    };
    let mut digests = String::new();
    let (mut whole, mut before) = (true, 0);
    Journal::read(&file, |record| {
        whole &= has_all(&record.digests, record.lines - before);
        before = record.lines;
        digests.push_str(&record.digests);
    })
    .map_err(SpoolError::io("read", &path))?;
    let wanted = usize::try_from(lines).unwrap_or(usize::MAX).saturating_mul(SHORT);
    digests.truncate(wanted);
    Ok((whole && digests.len() == wanted).then_some(digests))
}

/// Whether `digests` are those of so many lines.
pub(crate) fn has_all(digests: &str, lines: u64) -> bool {
    usize::try_from(lines).is_ok_and(|lines| digests.len() == lines.saturating_mul(SHORT))
}
