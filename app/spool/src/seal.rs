//! Seals of closed segments.
//!
//! A seal is a text file: a few `key value` lines, an empty line, then 16 hex digits for each line of the log, in
//! order. The root proves all of it; the short digests say which line it was that changed. Who can write the folder
//! can also write new seals from there on: note the root that [`crate::verify`] tells somewhere else to prove more.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
};

use crate::{
    SpoolError,
    digest::{Chain, Digest, SHORT, root},
    layout,
};

const FORMAT: &str = "decnet-spool-seal 1";

/// What is known of a segment that takes no more lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) segment: u64,
    pub(crate) predecessor: Digest,
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    pub(crate) first_us: i64,
    pub(crate) last_us: i64,
    /// Value of the chain when the lines were written: what the log must still give.
    pub(crate) chain: Digest,
}

impl Closed {
    pub(crate) fn root(&self) -> Digest {
        root(&self.chain, self.lines, self.first_us, self.last_us)
    }

    /// Write the seal of this segment from the log in `from` into `to`. Tells whether the log is as it was written.
    ///
    /// A log that was changed while it was open gets the root of what had been written, so that verifying fails, and the
    /// digests of that where `written` has them, so that verifying names the line.
    pub(crate) fn seal(&self, from: &Path, to: &Path, written: Option<&str>) -> Result<bool, SpoolError> {
        let path = layout::segment_file(from, self.segment, layout::LOG);
        let mut lines = Lines::open(&path, self.bytes)?;
        let mut chain = Chain::new(self.segment, &self.predecessor);
        layout::put(&layout::segment_file(to, self.segment, layout::SEAL), |out| {
            writeln!(out, "{FORMAT}")?;
            writeln!(out, "segment {}", self.segment)?;
            writeln!(out, "predecessor {}", self.predecessor)?;
            writeln!(out, "lines {}", self.lines)?;
            writeln!(out, "bytes {}", self.bytes)?;
            writeln!(out, "first_us {}", self.first_us)?;
            writeln!(out, "last_us {}", self.last_us)?;
            writeln!(out, "chain {}", self.chain)?;
            writeln!(out, "root {}", self.root())?;
            writeln!(out)?;
            while let Some(line) = lines.next()? {
                let digest = chain.line(line);
                if written.is_none() {
                    writeln!(out, "{}", digest.short())?;
                }
            }
            for digest in written.unwrap_or_default().as_bytes().chunks(SHORT) {
                out.write_all(digest)?;
                writeln!(out)?;
            }
            Ok(())
        })?;
        Ok(chain.value() == self.chain)
    }
}

/// A seal that was read: what it says of its segment, and the short digests in order.
pub(crate) struct Seal {
    pub(crate) closed: Closed,
    /// The root as it stands in the file.
    pub(crate) root: Digest,
    pub(crate) digests: Vec<String>,
}

impl Seal {
    pub(crate) fn read(dir: &Path, segment: u64) -> Result<Self, SpoolError> {
        Self::parse(dir, segment, true)
    }

    /// Only what stands before the digests.
    pub(crate) fn read_head(dir: &Path, segment: u64) -> Result<Self, SpoolError> {
        Self::parse(dir, segment, false)
    }

    fn parse(dir: &Path, segment: u64, whole: bool) -> Result<Self, SpoolError> {
        let path = layout::segment_file(dir, segment, layout::SEAL);
        let file = File::open(&path).map_err(SpoolError::io("open", &path))?;
        let mut lines = BufReader::new(file).lines();
        let bad = |what: &str| SpoolError::Damaged {
            path: path.clone(),
            what: format!("not a seal: {what}"),
        };
        let mut next = |key: &'static str| -> Result<String, SpoolError> {
            let line = lines.next().transpose().map_err(SpoolError::io("read", &path))?;
            let line = line.unwrap_or_default();
            line.strip_prefix(key)
                .map(|value| value.trim_start().to_owned())
                .ok_or_else(|| bad(&format!("expected {key:?}")))
        };
        next(FORMAT)?;
        let number = |text: String| text.parse().map_err(|_| bad("a number is malformed"));
        let signed = |text: String| text.parse().map_err(|_| bad("a time is malformed"));
        let digest = |text: String| text.parse().map_err(|_| bad("a digest is malformed"));
        let closed = Closed {
            segment: number(next("segment")?)?,
            predecessor: digest(next("predecessor")?)?,
            lines: number(next("lines")?)?,
            bytes: number(next("bytes")?)?,
            first_us: signed(next("first_us")?)?,
            last_us: signed(next("last_us")?)?,
            chain: digest(next("chain")?)?,
        };
        let root = digest(next("root")?)?;
        next("")?;
        let mut digests = Vec::new();
        if whole {
            for line in lines {
                digests.push(line.map_err(SpoolError::io("read", &path))?);
            }
        }
        Ok(Self {
            closed,
            root,
            digests,
        })
    }
}

/// The first `bytes` bytes of a log, line by line, each with its line end.
pub(crate) struct Lines {
    input: BufReader<io::Take<File>>,
    line: Vec<u8>,
}

impl Lines {
    pub(crate) fn open(path: &Path, bytes: u64) -> Result<Self, SpoolError> {
        let file = File::open(path).map_err(SpoolError::io("open", path))?;
        Ok(Self {
            input: BufReader::with_capacity(1 << 16, file.take(bytes)),
            line: Vec::new(),
        })
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let len = self.input.read_until(b'\n', &mut self.line)?;
        Ok((len > 0).then_some(self.line.as_slice()))
    }
}
