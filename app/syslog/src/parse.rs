//! Bytes to [`Message`]: strict about structure, generous about what real programs send.
//!
//! Tolerated beyond RFC 5424: header fields and names over their length limits, missing structured data (the rest is
//! then the message), an unescaped `]` inside a quoted value, repeated SD-IDs, up to nine digits of a second's
//! fraction (kept to the microsecond), second 60, lower-case `t` and `z`, a line end. Refused: anything where guessing
//! would move a boundary between fields, above all an element that does not close.

use std::fmt::Write as _;

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use crate::{Element, Message, Severity};

/// Why bytes are not an RFC 5424 line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It does not begin with `<`, a number from 0 to 191 without leading zeros, and `>`.
    #[error("no priority: a line begins with <0> to <191>")]
    Priority,
    /// The version is not 1.
    #[error("the version after the priority is not 1")]
    Version,
    /// The line ends within the header, or a header field is empty or has a control character in it.
    #[error("the header field {0} is missing or malformed")]
    Header(&'static str),
    /// Neither NIL nor a date and time with an offset.
    #[error("the timestamp is neither - nor RFC 3339 with an offset")]
    Timestamp,
    /// An element without a valid SD-ID.
    #[error(
        "structured data at byte {0}: an element needs a name of printable ASCII without = ] \" or space"
    )]
    ElementName(usize),
    /// A parameter that is not `name="value"`.
    #[error("structured data at byte {0}: expected name=\"value\"")]
    Param(usize),
    /// A value or an element does not end.
    #[error("structured data at byte {0}: the line ends within an element")]
    Unterminated(usize),
    /// Something else than a space after the structured data.
    #[error("byte {0}: expected a space after the structured data")]
    AfterStructuredData(usize),
}

impl Message {
    /// Parse one line; a `\n` or `\r\n` at its end is not part of it.
    ///
    /// # Errors
    /// [`ParseError`] names what rule the bytes break; offsets count from the start of `line`.
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        let mut cursor = Cursor {
            rest: bare,
            total: bare.len(),
        };
        let pri = cursor.priority()?;
        if cursor.until_space() != Some(b"1".as_slice()) {
            return Err(ParseError::Version);
        }
        let timestamp = match cursor.field("TIMESTAMP")? {
            b"-" => None,
            text => Some(timestamp(text).ok_or(ParseError::Timestamp)?),
        };
        let hostname = nil_or_text(cursor.field("HOSTNAME")?);
        let app_name = nil_or_text(cursor.field("APP-NAME")?);
        let procid = nil_or_text(cursor.field("PROCID")?);
        let msgid = nil_or_text(cursor.last_field("MSGID")?);
        let sd = cursor.structured_data()?;
        let msg = cursor.rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cursor.rest);
        Ok(Self {
            facility: pri / 8,
            severity: Severity::of_pri(pri),
            timestamp,
            hostname,
            app_name,
            procid,
            msgid,
            sd,
            msg: text(msg),
        })
    }

    /// The HOSTNAME of a line as it stands there, NIL as `-`; `None` where the line does not parse so far, and so not at all.
    #[must_use]
    pub fn hostname_of(line: &[u8]) -> Option<&[u8]> {
        let mut cursor = Cursor {
            rest: line,
            total: line.len(),
        };
        cursor.priority().ok()?;
        if cursor.until_space()? != b"1" {
            return None;
        }
        cursor.field("TIMESTAMP").ok()?;
        cursor.field("HOSTNAME").ok()
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Cursor<'a> {
    fn at(&self) -> usize {
        self.total - self.rest.len()
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, tail)) if *first == byte => {
                self.rest = tail;
                true
            }
            _ => false,
        }
    }

    /// What stands before the first byte for which `end` holds; everything where there is none.
    fn until(&mut self, end: impl Fn(u8) -> bool) -> &'a [u8] {
        let len = self.rest.iter().position(|b| end(*b)).unwrap_or(self.rest.len());
        let (head, tail) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = tail;
        head
    }

    /// What stands before the next space, and the space is gone; `None` where there is no space.
    fn until_space(&mut self) -> Option<&'a [u8]> {
        let head = self.until(|b| b == b' ');
        self.eat(b' ').then_some(head)
    }

    fn priority(&mut self) -> Result<u8, ParseError> {
        if !self.eat(b'<') {
            return Err(ParseError::Priority);
        }
        let digits = self.until(|b| !b.is_ascii_digit());
        let leading_zero = digits.len() > 1 && digits.first() == Some(&b'0');
        if digits.is_empty() || digits.len() > 3 || leading_zero || !self.eat(b'>') {
            return Err(ParseError::Priority);
        }
        match number(digits) {
            Some(pri @ 0..=191) => u8::try_from(pri).map_err(|_| ParseError::Priority),
            _ => Err(ParseError::Priority),
        }
    }

    fn field(&mut self, name: &'static str) -> Result<&'a [u8], ParseError> {
        let value = self.until_space().ok_or(ParseError::Header(name))?;
        checked(value, name)
    }

    /// The last header field, after which the line may end.
    fn last_field(&mut self, name: &'static str) -> Result<&'a [u8], ParseError> {
        let value = self.until(|b| b == b' ');
        self.eat(b' ');
        checked(value, name)
    }

    /// The elements, leaving the message in `rest`.
    fn structured_data(&mut self) -> Result<Vec<Element>, ParseError> {
        match self.rest {
            [b'-'] => {
                self.rest = &[];
                return Ok(Vec::new());
            }
            [b'-', b' ', msg @ ..] => {
                self.rest = msg;
                return Ok(Vec::new());
            }
            [b'[', ..] => {}
            // No structured data at all: what is here is the message.
            _ => return Ok(Vec::new()),
        }
        let mut elements = Vec::with_capacity(1);
        while self.eat(b'[') {
            elements.push(self.element()?);
        }
        if self.rest.is_empty() || self.eat(b' ') {
            Ok(elements)
        } else {
            Err(ParseError::AfterStructuredData(self.at()))
        }
    }

    fn element(&mut self) -> Result<Element, ParseError> {
        let at = self.at();
        let id = self.until(|b| !is_name_byte(b));
        if id.is_empty() {
            return Err(ParseError::ElementName(at));
        }
        let mut params = Vec::new();
        loop {
            if self.eat(b']') {
                return Ok(Element { id: text(id), params });
            }
            if self.rest.is_empty() {
                return Err(ParseError::Unterminated(self.at()));
            }
            if !self.eat(b' ') {
                return Err(ParseError::Param(self.at()));
            }
            // More than one space between parameters, or one before the bracket, moves no boundary.
            while self.eat(b' ') {}
            if self.rest.first() != Some(&b']') {
                params.push(self.param()?);
            }
        }
    }

    fn param(&mut self) -> Result<(String, String), ParseError> {
        let at = self.at();
        let name = self.until(|b| !is_name_byte(b));
        if name.is_empty() || !self.eat(b'=') || !self.eat(b'"') {
            return Err(if self.rest.is_empty() {
                ParseError::Unterminated(self.at())
            } else {
                ParseError::Param(at)
            });
        }
        Ok((text(name), self.value()?))
    }

    /// A value after its opening quote, unescaped. Only `\"`, `\\` and `\]` are escapes; any other backslash stands
    /// for itself (RFC 5424 section 6.3.3).
    fn value(&mut self) -> Result<String, ParseError> {
        let mut value = self.until(|b| b == b'"' || b == b'\\');
        if self.eat(b'"') {
            return Ok(text(value));
        }
        let mut bytes = value.to_vec();
        loop {
            if self.eat(b'\\') {
                match self.rest.split_first() {
                    Some((escaped @ (b'"' | b'\\' | b']'), tail)) => {
                        bytes.push(*escaped);
                        self.rest = tail;
                    }
                    _ => bytes.push(b'\\'),
                }
            } else if self.eat(b'"') {
                return Ok(text(&bytes));
            } else {
                return Err(ParseError::Unterminated(self.at()));
            }
            value = self.until(|b| b == b'"' || b == b'\\');
            bytes.extend_from_slice(value);
        }
    }
}

/// A byte of an SD-NAME: printable ASCII without `=`, `]`, `"` and space (RFC 5424 section 6).
fn is_name_byte(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'=' | b']' | b'"')
}

fn checked<'a>(value: &'a [u8], name: &'static str) -> Result<&'a [u8], ParseError> {
    if value.is_empty() || value.iter().any(u8::is_ascii_control) {
        Err(ParseError::Header(name))
    } else {
        Ok(value)
    }
}

fn nil_or_text(value: &[u8]) -> Option<String> {
    (value != b"-").then(|| text(value))
}

/// Bytes as text; what is not UTF-8 becomes `\xNN`.
fn text(bytes: &[u8]) -> String {
    if let Ok(valid) = std::str::from_utf8(bytes) {
        return valid.to_owned();
    }
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for b in chunk.invalid() {
            // Writing to a String cannot fail.
            let _infallible = write!(out, "\\x{b:02x}");
        }
    }
    out
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0_u32, |n, b| {
        b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0'))
    })
}

/// RFC 3339 with an offset, to UTC, cut to the microsecond.
fn timestamp(raw: &[u8]) -> Option<OffsetDateTime> {
    let (date, rest) = raw.split_at_checked(10)?;
    let [y @ .., b'-', mo1, mo2, b'-', d1, d2] = date else {
        return None;
    };
    let month = Month::try_from(u8::try_from(number(&[*mo1, *mo2])?).ok()?).ok()?;
    let day = u8::try_from(number(&[*d1, *d2])?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(number(y)?).ok()?, month, day).ok()?;

    let (clock, rest) = rest.split_at_checked(9)?;
    let [b'T' | b't', h1, h2, b':', m1, m2, b':', s1, s2] = clock else {
        return None;
    };
    let hour = u8::try_from(number(&[*h1, *h2])?).ok()?;
    let minute = u8::try_from(number(&[*m1, *m2])?).ok()?;
    // A leap second has no place in Unix time: it is the last second of its minute.
    let second = u8::try_from(number(&[*s1, *s2])?).ok()?;
    let second = if second == 60 { 59 } else { second };

    let (fraction, offset) = match rest.strip_prefix(b".") {
        None => (0, rest),
        Some(rest) => {
            let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let (digits, offset) = rest.split_at_checked(len)?;
            (microseconds(digits)?, offset)
        }
    };
    let time = Time::from_hms_micro(hour, minute, second, fraction).ok()?;
    let offset = match offset {
        [b'Z' | b'z'] => UtcOffset::UTC,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let minutes = i32::try_from(number(&[*m1, *m2]).filter(|m| *m < 60)?).ok()?;
            let seconds = i32::try_from(number(&[*h1, *h2]).filter(|h| *h < 24)?).ok()? * 3600 + minutes * 60;
            UtcOffset::from_whole_seconds(if *sign == b'-' { -seconds } else { seconds }).ok()?
        }
        _ => return None,
    };
    date.with_time(time)
        .assume_offset(offset)
        .checked_to_offset(UtcOffset::UTC)
}

fn microseconds(digits: &[u8]) -> Option<u32> {
    let len = u32::try_from(digits.len())
        .ok()
        .filter(|len| (1..=9).contains(len))?;
    let n = number(digits)?;
    Some(if len > 6 {
        n / 10_u32.pow(len - 6)
    } else {
        n * 10_u32.pow(6 - len)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    fn parse(line: &str) -> Message {
        Message::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_5424_section_6_5_parse() {
        let one = parse(
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8",
        );
        assert_eq!((one.facility, one.severity), (4, Severity::Critical));
        assert_eq!(one.timestamp, Some(datetime!(2003-10-11 22:14:15.003 UTC)));
        assert_eq!(one.procid, None);
        assert_eq!(one.msgid.as_deref(), Some("ID47"));
        assert_eq!(one.msg, "'su root' failed for lonvick on /dev/pts/8");

        let two = parse(
            "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
        );
        assert_eq!(two.timestamp, Some(datetime!(2003-08-24 12:14:15.000_003 UTC)));
        assert_eq!(two.procid.as_deref(), Some("8710"));

        let three = parse(
            r#"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"][examplePriority@32473 class="high"]"#,
        );
        assert_eq!(three.sd.len(), 2);
        assert_eq!(three.sd[0].params[2], ("eventID".into(), "1011".into()));
        assert_eq!(three.msg, "");
    }

    #[test]
    fn an_escaped_bracket_quote_or_backslash_never_ends_a_value() {
        let m = parse(
            r#"<134>1 - - - - - [relay@55555 urls="[\"http://a/\]\",\"b\"\]" path="C:\\" after="kept"] text"#,
        );
        assert_eq!(
            m.sd[0].params,
            [
                ("urls".to_owned(), r#"["http://a/]","b"]"#.to_owned()),
                ("path".to_owned(), r"C:\".to_owned()),
                ("after".to_owned(), "kept".to_owned()),
            ]
        );
        assert_eq!(m.msg, "text");
    }

    #[test]
    fn a_backslash_before_anything_else_stands_for_itself_and_a_bare_bracket_in_quotes_is_text() {
        let m = parse(r#"<134>1 - - - - - [x a="\n\x41" b="[1]" c=""]"#);
        let values: Vec<_> = m.sd[0].params.iter().map(|(_, v)| v.as_str()).collect();
        assert_eq!(values, [r"\n\x41", "[1]", ""]);
    }

    #[test]
    fn missing_structured_data_leaves_the_rest_as_the_message() {
        for (line, msg) in [
            (
                "<38>1 2024-05-01T10:00:00+02:00 web sshd 712 - Failed password",
                "Failed password",
            ),
            (
                "<38>1 2024-05-01T10:00:00+02:00 web sshd 712 - -  Failed password",
                " Failed password",
            ),
            ("<38>1 - web sshd 712 - -dash", "-dash"),
            ("<38>1 - web sshd 712 -", ""),
            ("<38>1 - web sshd 712 - -", ""),
            ("<38>1 - web sshd 712 - - \r\n", ""),
        ] {
            let m = parse(line);
            assert_eq!((m.msg.as_str(), m.sd.len()), (msg, 0), "{line}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_shown_and_not_fatal() {
        let m = Message::parse(b"<134>1 - h\xff a - - [x k=\"\xc3(\"] m\xfe").unwrap();
        assert_eq!(m.hostname.as_deref(), Some(r"h\xff"));
        assert_eq!(m.sd[0].params[0].1, r"\xc3(");
        assert_eq!(m.msg, r"m\xfe");
    }

    #[test]
    fn structure_that_would_have_to_be_guessed_is_refused() {
        use ParseError as E;
        for (line, want) in [
            ("", E::Priority),
            ("no syslog", E::Priority),
            ("<>1 - - - - - -", E::Priority),
            ("<192>1 - - - - - -", E::Priority),
            ("<013>1 - - - - - -", E::Priority),
            ("<99999999999>1 - - - - - -", E::Priority),
            ("<13>2 - - - - - -", E::Version),
            ("<13>May  1 10:00:00 web sshd: x", E::Version),
            ("<13>1 - - -", E::Header("APP-NAME")),
            ("<13>1 -  - - - -", E::Header("HOSTNAME")),
            ("<13>1 yesterday - - - - -", E::Timestamp),
            ("<13>1 2024-05-01T10:00:00 - - - - -", E::Timestamp),
            ("<13>1 2024-02-30T10:00:00Z - - - - -", E::Timestamp),
            ("<13>1 - - - - - []", E::ElementName(17)),
            ("<13>1 - - - - - [x a=b]", E::Param(19)),
            ("<13>1 - - - - - [x a=\"b\"", E::Unterminated(24)),
            ("<13>1 - - - - - [x a=\"b\\\"]", E::Unterminated(26)),
            ("<13>1 - - - - - [x]y", E::AfterStructuredData(19)),
        ] {
            assert_eq!(Message::parse(line.as_bytes()), Err(want), "{line}");
        }
    }

    #[test]
    fn timestamps_are_cut_to_the_microsecond_and_moved_to_utc() {
        for (text, want) in [
            ("2024-12-31T23:59:60Z", datetime!(2024-12-31 23:59:59 UTC)),
            (
                "2024-05-01T00:30:00.5+05:30",
                datetime!(2024-04-30 19:00:00.5 UTC),
            ),
            (
                "2024-05-01T00:30:00.123456789-00:00",
                datetime!(2024-05-01 00:30:00.123_456 UTC),
            ),
        ] {
            let got = parse(&format!("<13>1 {text} - - - - -")).timestamp.unwrap();
            assert_eq!(got, want);
            assert_eq!(got.offset(), UtcOffset::UTC);
        }
        // Out of the calendar once it is in UTC.
        assert!(timestamp(b"9999-12-31T23:59:59-23:59").is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(raw in prop::collection::vec(any::<u8>(), 0..300)) {
            let _either = Message::parse(&raw);
        }

        #[test]
        fn anything_after_a_good_header_parses_or_is_refused(tail in r#"[\[\]"\\= a@é-]{0,60}"#) {
            let _either = Message::parse(format!("<134>1 2024-05-01T00:30:00Z h a 1 m {tail}").as_bytes());
        }

        #[test]
        fn any_text_as_a_timestamp_parses_or_is_refused(raw in r"[0-9TZ:.+-]{0,40}") {
            let _either = timestamp(raw.as_bytes());
        }
    }
}
