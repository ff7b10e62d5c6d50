//! SHA-256 values, and the chain that ties a segment's lines to each other and to the segment before.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Hex digits of a short digest.
pub(crate) const SHORT: usize = 16;

/// A SHA-256 value; as text 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// What stands for the predecessor of the first segment.
    pub(crate) const NONE: Self = Self([0; 32]);

    fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Of one line, its line end included.
    pub(crate) fn of_line(line: &[u8]) -> Self {
        Self::of(&[line])
    }

    /// The [`SHORT`] hex digits by which a seal and a journal name a line: enough to find the line, the root of the chain
    /// proves it.
    pub(crate) fn short(&self) -> String {
        let (short, _) = self.0.split_at(SHORT / 2);
        hex::encode(short)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 value in hex")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(s: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(s, &mut bytes).map_err(|_| DigestError)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(s: String) -> Result<Self, DigestError> {
        s.parse()
    }
}

impl From<Digest> for String {
    fn from(d: Digest) -> Self {
        d.to_string()
    }
}

/// The running digest of a segment: SHA-256 over its predecessor's root, its number, and the SHA-256 of each line.
#[derive(Clone)]
pub(crate) struct Chain(Sha256);

impl Chain {
    pub(crate) fn new(segment: u64, predecessor: &Digest) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"decnet spool chain 1\0");
        hasher.update(predecessor.0);
        hasher.update(segment.to_le_bytes());
        Self(hasher)
    }

    /// Take in a line, its line end included.
    pub(crate) fn line(&mut self, line: &[u8]) -> Digest {
        let digest = Digest::of_line(line);
        self.0.update(digest.0);
        digest
    }

    pub(crate) fn value(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }
}

/// The root that a seal carries: the chain's value, bound to the number of lines and the times of the segment.
pub(crate) fn root(chain: &Digest, lines: u64, first_us: i64, last_us: i64) -> Digest {
    Digest::of(&[
        b"decnet spool root 1\0",
        &chain.0,
        &lines.to_le_bytes(),
        &first_us.to_le_bytes(),
        &last_us.to_le_bytes(),
    ])
}

/// The proof that a bundle's manifest carries of itself.
pub(crate) fn proof(manifest: &[u8]) -> Digest {
    Digest::of(&[b"decnet evidence proof 1\0", manifest])
}

/// A short checksum of a journal record or of the committed position, against torn writes.
pub(crate) fn checksum(body: &[u8]) -> String {
    Digest::of(&[body]).short()
}
