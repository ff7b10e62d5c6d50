//! A file on its way in over SCP or SFTP: its head, its size and its hash. The bytes themselves go to the evidence as
//! they come, so that a long file takes no more memory than a short one.

use sha2::{Digest as _, Sha256};

use crate::shell::vfs::{HEAD_MAX, Kind};

/// What is known of it so far.
#[derive(Default)]
pub(super) struct Upload {
    head: Vec<u8>,
    size: u64,
    hash: Sha256,
}

impl Upload {
    /// The next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = HEAD_MAX.saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(room));
        self.size += u64::try_from(bytes.len()).unwrap_or(0);
        self.hash.update(bytes);
    }

    /// Bytes so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// All of its bytes, while they are kept.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (self.size == u64::try_from(self.head.len()).unwrap_or(u64::MAX)).then_some(&self.head)
    }

    /// Write `bytes` at `at`, behind its end or over what is there; false where that part is not kept any more.
    pub(super) fn patch(&mut self, at: u64, bytes: &[u8]) -> bool {
        let (Some(_), Ok(at)) = (self.whole(), usize::try_from(at)) else {
            return false;
        };
        let end = at.saturating_add(bytes.len());
        if end > HEAD_MAX {
            return false;
        }
        if self.head.len() < end {
            self.head.resize(end, 0);
        }
        if let Some(place) = self.head.get_mut(at..end) {
            place.copy_from_slice(bytes);
        }
        let head = std::mem::take(&mut self.head);
        *self = Self::default();
        self.push(&head);
        true
    }

    /// Cut it, or lengthen it by zeros; false where it is not kept whole.
    pub(super) fn resize(&mut self, size: u64) -> bool {
        let (Some(_), Ok(size)) = (self.whole(), usize::try_from(size)) else {
            return false;
        };
        if size > HEAD_MAX {
            return false;
        }
        let mut head = std::mem::take(&mut self.head);
        head.resize(size, 0);
        *self = Self::default();
        self.push(&head);
        true
    }

    /// As the file system keeps it.
    pub(super) fn kind(&self) -> Kind {
        let head = self.head.as_slice().into();
        match self.whole() {
            Some(_) => Kind::File(head),
            None => Kind::Cut {
                head,
                size: self.size,
                sha256: self.hash.clone().finalize().into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_keeps_its_head_its_size_and_its_hash() {
        let mut upload = Upload::default();
        let bytes = vec![7; HEAD_MAX + 5];
        for part in bytes.chunks(1_000) {
            upload.push(part);
        }
        let Kind::Cut { head, size, sha256 } = upload.kind() else {
            panic!("kept whole");
        };
        assert_eq!(
            (head.len(), size),
            (HEAD_MAX, u64::try_from(bytes.len()).unwrap())
        );
        assert_eq!(sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
        assert!(!upload.patch(0, b"x"), "the rest is gone");
    }

    #[test]
    fn a_short_file_may_be_written_in_any_order() {
        let mut upload = Upload::default();
        assert!(upload.patch(4, b"end") && upload.patch(0, b"head"));
        assert_eq!(upload.whole(), Some(&b"headend"[..]));
        assert!(!upload.patch(u64::MAX, b"x") && upload.size() == 7);
    }
}
