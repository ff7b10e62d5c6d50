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

/// `text` as it is shown to a person, on a terminal and in a browser: every character that draws nothing, or that turns the
/// direction of what follows, made visible as `⟨U+202E⟩`. Evidence has its control characters escaped already; most of
/// these are none by Unicode's reckoning, and deceive a reader all the same. Line breaks stay.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if deceives(c) {
            // Writing to a String cannot fail.
            let _infallible = write!(out, "⟨U+{:04X}⟩", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character shows something else than what is written: a control character, but for the line break, or one of
/// Unicode's invisible, joining, selecting, tagging or direction-turning ones.
#[must_use]
pub fn deceives(c: char) -> bool {
    let steers = c.is_control() && c != '\n';
    let hides = matches!(
        c,
        '\u{00ad}'
            | '\u{034f}'
            | '\u{061c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    steers || hides
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
    fn what_hides_or_turns_text_is_shown_and_what_people_write_is_not_touched() {
        assert_eq!(visible("exe\u{202e}gpj\u{200b}.sh"), "exe⟨U+202E⟩gpj⟨U+200B⟩.sh");
        assert_eq!(visible("שלום <b>é\n漢字"), "שלום <b>é\n漢字");
        assert_eq!(visible("a\x1b[2Jb\tc"), "a⟨U+001B⟩[2Jb⟨U+0009⟩c");
        // Every control of the bidirectional algorithm (UAX #9, 2), and a few of each other kind.
        let turning = "\u{061c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let hiding = "\u{ad}\u{200d}\u{2028}\u{2060}\u{180e}\u{fe0f}\u{feff}\u{fffa}\u{13437}\u{1bca0}\u{1d173}\u{e0041}";
        for c in turning.chars().chain(hiding.chars()) {
            let shown = visible(&c.to_string());
            assert_eq!(shown, format!("⟨U+{:04X}⟩", u32::from(c)));
        }
    }

    #[test]
    fn windows_paths_stay_readable() {
        assert_eq!(printable(br"C:\Users\admin"), r"C:\Users\admin");
        assert_eq!(printable(b"a\0b\xff"), r"a\x00b\xff");
    }
}
