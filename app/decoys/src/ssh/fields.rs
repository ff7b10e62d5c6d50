//! The data types of the protocol (RFC 4251, section 5): read out of what came, and written into what goes. SFTP has
//! the same ones.

/// Reads one field after the other; `None` where the bytes end before the field does.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.u8().map(|byte| byte != 0)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A `string`, or the bytes of an `mpint`.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    /// A `string` that OpenSSH reads as one of C: without a zero in it.
    pub(super) fn cstring(&mut self) -> Option<&'a [u8]> {
        self.bytes().filter(|bytes| !bytes.contains(&0))
    }

    /// A `string` for people; what is not UTF-8 of it is replaced.
    pub(super) fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(self.bytes()?).into_owned())
    }
}

/// A message while it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

impl Message {
    /// A message of type `kind`.
    pub(super) fn new(kind: u8) -> Self {
        Self(vec![kind])
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u8(self, byte: u8) -> Self {
        self.raw(&[byte])
    }

    pub(super) fn flag(self, flag: bool) -> Self {
        self.u8(u8::from(flag))
    }

    pub(super) fn u32(self, number: u32) -> Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn string(self, bytes: &[u8]) -> Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
            .raw(bytes)
    }

    /// The number that `bytes` are, most significant first.
    pub(super) fn mpint(self, bytes: &[u8]) -> Self {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let bytes = bytes.get(start..).unwrap_or_default();
        // With its highest bit set it would be a negative number.
        let zero: &[u8] = if bytes.first().is_some_and(|byte| *byte >= 0x80) {
            &[0]
        } else {
            &[]
        };
        let len = zero.len() + bytes.len();
        self.u32(u32::try_from(len).unwrap_or(u32::MAX))
            .raw(zero)
            .raw(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_as_the_rfc_has_them() {
        // The examples of RFC 4251, section 5.
        for (number, written) in [
            (&[0][..], &[0, 0, 0, 0][..]),
            (
                &[0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
                &[0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
            ),
            (&[0, 0x80], &[0, 0, 0, 2, 0, 0x80]),
        ] {
            assert_eq!(Message::default().mpint(number).0, written);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text: Vec<u8>, number: u32, flag: bool) {
            let message = Message::new(7).string(&text).u32(number).flag(flag).0;
            let mut fields = Fields(&message);
            prop_assert_eq!(fields.u8(), Some(7));
            prop_assert_eq!(fields.bytes(), Some(&text[..]));
            prop_assert_eq!(fields.u32(), Some(number));
            prop_assert_eq!(fields.flag(), Some(flag));
            prop_assert_eq!(fields.u8(), None);
        }

        #[test]
        fn no_bytes_are_read_that_are_not_there(bytes: Vec<u8>) {
            let mut fields = Fields(&bytes);
            while let Some(read) = fields.bytes() {
                prop_assert!(read.len() <= bytes.len());
            }
        }
    }
}
