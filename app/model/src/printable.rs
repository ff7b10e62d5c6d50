//! Attacker bytes as text that can be written, read and turned back.
//!
//! Valid UTF-8 stands as it is, but for control characters; control characters and bytes that are not UTF-8 become
//! `\xNN` (one a byte). A backslash is itself escaped only where an `x` follows it, so that Windows paths stay
//! readable and the escape is still reversible: [`bytes_of`] gives the exact bytes back.

use std::fmt::Write as _;

/// The printable form of `raw`, whole.
#[must_use]
pub fn printable(raw: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut previous_backslash = false;
    for chunk in raw.utf8_chunks() {
        for c in chunk.valid().chars() {
            if previous_backslash && c == 'x' {
                out.pop();
                out.push_str("\\x5cx");
                previous_backslash = false;
                continue;
            }
            previous_backslash = c == '\\';
            if c.is_control() {
                let mut buf = [0; 4];
                escape(&mut out, c.encode_utf8(&mut buf).as_bytes());
            } else {
                out.push(c);
            }
        }
        if !chunk.invalid().is_empty() {
            // A lone backslash before an escaped byte would read as the start of another escape only if it were
            // followed by 'x', and what follows here is a backslash: nothing to do.
            previous_backslash = false;
            escape(&mut out, chunk.invalid());
        }
    }
    out
}

/// The printable form of at most the first `max` bytes of `raw`, and how many bytes were left out.
#[must_use]
pub fn printable_head(raw: &[u8], max: usize) -> (String, usize) {
    let head = raw.get(..max).unwrap_or(raw);
    (printable(head), raw.len() - head.len())
}

/// The bytes whose printable form is `text`.
#[must_use]
pub fn bytes_of(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        if b == b'\\'
            && let [b'x', hi, lo, after @ ..] = tail
            && let (Some(hi), Some(lo)) = (hex(*hi), hex(*lo))
        {
            out.push(hi << 4 | lo);
            rest = after;
        } else {
            out.push(b);
            rest = tail;
        }
    }
    out
}

fn escape(out: &mut String, bytes: &[u8]) {
    for b in bytes {
        // Writing to a String cannot fail.
        let _infallible = write!(out, "\\x{b:02x}");
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_byte_comes_back(raw in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(bytes_of(&printable(&raw)), raw);
        }

        #[test]
        fn escapes_in_the_input_are_not_taken_for_ours(text in r"(\\|x|[0-9a-f]|\n|é){0,40}") {
            prop_assert_eq!(bytes_of(&printable(text.as_bytes())), text.as_bytes());
        }

        #[test]
        fn no_control_character_is_left(raw in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!printable(&raw).chars().any(char::is_control));
        }
    }

    #[test]
    fn windows_paths_stay_readable() {
        assert_eq!(printable(br"C:\Users\admin"), r"C:\Users\admin");
        assert_eq!(printable(b"a\0b\xff"), r"a\x00b\xff");
    }
}
