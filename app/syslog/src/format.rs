//! Values to one RFC 5424 line.
//!
//! Whatever is handed in, what comes out is one line that [`Message::parse`] reads back: control characters become
//! `\xNN`, bytes that a header field or a name cannot hold become `_`, quotes, brackets and backslashes are escaped.

use std::io::Write as _;

use time::{OffsetDateTime, UtcOffset};

use decnet_model::event::SD_ID;

use crate::{FACILITY, Message, Severity};

/// The header of a line that we write ourselves.
#[derive(Debug, Clone, Copy)]
pub struct LineHead<'a> {
    /// How grave it is.
    pub severity: Severity,
    /// When it happened.
    pub timestamp: OffsetDateTime,
    /// The decky's name.
    pub hostname: &'a str,
    /// The service.
    pub app_name: &'a str,
    /// The type of the event: `EventKind::as_str`.
    pub msgid: &'a str,
}

/// Append one whole line, `\n` included, to `out`: facility local0, PROCID `-`, and `fields` as the one element
/// [`SD_ID`]. No fields make no element; an empty `msg` makes no message part.
pub fn format_line<K: AsRef<str>, V: AsRef<str>>(
    head: &LineHead<'_>,
    fields: impl IntoIterator<Item = (K, V)>,
    msg: &str,
    out: &mut Vec<u8>,
) {
    header(
        out,
        FACILITY,
        head.severity,
        Some(head.timestamp),
        [head.hostname, head.app_name, "-", head.msgid],
    );
    let mut fields = fields.into_iter().peekable();
    if fields.peek().is_some() {
        element(out, SD_ID, fields);
    } else {
        out.push(b'-');
    }
    message(out, msg);
}

impl Message {
    /// Append this message as one whole line, `\n` included, to `out`.
    pub fn format(&self, out: &mut Vec<u8>) {
        let fields = [&self.hostname, &self.app_name, &self.procid, &self.msgid];
        header(
            out,
            self.facility.min(23),
            self.severity,
            self.timestamp,
            fields.map(|field| field.as_deref().unwrap_or("-")),
        );
        if self.sd.is_empty() {
            out.push(b'-');
        }
        for e in &self.sd {
            element(out, &e.id, e.params.iter().map(|(name, value)| (name, value)));
        }
        message(out, &self.msg);
    }
}

/// Longest HOSTNAME, APP-NAME, PROCID and MSGID (RFC 5424 section 6).
const FIELD_LIMITS: [usize; 4] = [255, 48, 128, 32];

fn header(
    out: &mut Vec<u8>,
    facility: u8,
    severity: Severity,
    timestamp: Option<OffsetDateTime>,
    fields: [&str; 4],
) {
    let pri = u16::from(facility) * 8 + u16::from(severity.code());
    // Writing to a Vec cannot fail.
    let _infallible = write!(out, "<{pri}>1 ");
    match timestamp.and_then(|at| at.checked_to_offset(UtcOffset::UTC)) {
        // Four digits of year are all that the format has.
        Some(at) if (0..=9999).contains(&at.year()) => {
            let _infallible = write!(
                out,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                at.year(),
                u8::from(at.month()),
                at.day(),
                at.hour(),
                at.minute(),
                at.second(),
                at.microsecond()
            );
        }
        _ => out.push(b'-'),
    }
    out.push(b' ');
    for (field, limit) in fields.into_iter().zip(FIELD_LIMITS) {
        if field.is_empty() {
            out.push(b'-');
        }
        out.extend(
            field
                .bytes()
                .take(limit)
                .map(|b| if b.is_ascii_graphic() { b } else { b'_' }),
        );
        out.push(b' ');
    }
}

fn element<K: AsRef<str>, V: AsRef<str>>(out: &mut Vec<u8>, id: &str, params: impl Iterator<Item = (K, V)>) {
    out.push(b'[');
    name(out, id);
    for (key, value) in params {
        out.push(b' ');
        name(out, key.as_ref());
        out.extend_from_slice(b"=\"");
        escaped(out, value.as_ref());
        out.push(b'"');
    }
    out.push(b']');
}

fn name(out: &mut Vec<u8>, raw: &str) {
    if raw.is_empty() {
        out.push(b'_');
    }
    out.extend(raw.bytes().map(|b| match b {
        b'=' | b']' | b'"' => b'_',
        b if b.is_ascii_graphic() => b,
        _ => b'_',
    }));
}

fn escaped(out: &mut Vec<u8>, value: &str) {
    // Most values hold nothing that is escaped, and go as they are.
    let plain = |b: &u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\' | b']');
    if value.as_bytes().iter().all(plain) {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    for c in value.chars() {
        match c {
            '"' | '\\' | ']' => out.extend_from_slice(&[b'\\', c as u8]),
            // The backslash of \xNN is itself escaped here, so that it reads back as it stands.
            c if c.is_control() => hex(out, c, "\\\\x"),
            c => push(out, c),
        }
    }
}

fn message(out: &mut Vec<u8>, msg: &str) {
    if !msg.is_empty() {
        out.push(b' ');
        for c in msg.chars() {
            if c.is_control() {
                hex(out, c, "\\x");
            } else {
                push(out, c);
            }
        }
    }
    out.push(b'\n');
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn hex(out: &mut Vec<u8>, c: char, prefix: &str) {
    for b in c.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a Vec cannot fail.
        let _infallible = write!(out, "{prefix}{b:02x}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;
    use crate::{Element, fields_of};

    const HEAD: LineHead<'static> = LineHead {
        severity: Severity::Info,
        timestamp: datetime!(2026-01-02 03:04:05.000_006 +01:00),
        hostname: "web-01",
        app_name: "ssh",
        msgid: "auth_attempt",
    };

    /// The text that a reader is promised for `raw`: control characters shown, the rest as it was.
    fn shown(raw: &str) -> String {
        let mut out = String::new();
        for c in raw.chars() {
            if c.is_control() {
                for b in c.to_string().bytes() {
                    out.push_str(&format!("\\x{b:02x}"));
                }
            } else {
                out.push(c);
            }
        }
        out
    }

    #[test]
    fn a_line_looks_like_this() {
        let mut out = Vec::new();
        format_line(
            &HEAD,
            [("src_ip", "192.0.2.7"), ("command", r#"echo "a]\"#)],
            "",
            &mut out,
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<134>1 2026-01-02T02:04:05.000006Z web-01 ssh - auth_attempt [relay@55555 src_ip=\"192.0.2.7\" command=\"echo \\\"a\\]\\\\\"]\n"
        );
    }

    #[test]
    fn without_fields_and_text_the_line_is_still_whole() {
        let mut out = Vec::new();
        format_line(&HEAD, std::iter::empty::<(&str, &str)>(), "", &mut out);
        assert!(out.ends_with(b" auth_attempt -\n"));
        assert!(Message::parse(&out).unwrap().sd.is_empty());
    }

    /// Text made of what could break a line, and of anything else.
    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            r#"[\]\["\\= \n\r\x00\x1b\x7f\u{85}\u{2028}\u{feff}aé-]{0,24}"#,
            any::<String>()
        ]
    }

    proptest! {
        #[test]
        fn fields_come_back_whatever_they_hold(
            fields in prop::collection::btree_map(r"[a-z_0-9]{1,40}", hostile(), 0..6),
            msg in hostile(),
        ) {
            let mut out = Vec::new();
            format_line(&HEAD, &fields, &msg, &mut out);
            let text = std::str::from_utf8(&out).unwrap();
            prop_assert_eq!(text.chars().filter(|c| c.is_control()).count(), 1, "only the line end");
            let parsed = Message::parse(&out).unwrap();
            prop_assert_eq!(parsed.timestamp, Some(HEAD.timestamp));
            prop_assert_eq!(parsed.hostname.as_deref(), Some("web-01"));
            let want: Vec<_> = fields.iter().map(|(k, v)| (k.clone(), shown(v))).collect();
            let got: Vec<_> = fields_of(&parsed).into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(got, want);
            // A byte order mark at the very start of the message is a mark, not text.
            let shown_msg = shown(&msg);
            prop_assert_eq!(parsed.msg.as_str(), shown_msg.strip_prefix('\u{feff}').unwrap_or(&shown_msg));
        }

        #[test]
        fn a_parsed_message_formats_to_itself(
            pri in 0_u8..192,
            micros in -62_000_000_000_000_000_i64..250_000_000_000_000_000,
            header in prop::array::uniform4(prop::option::of(r"[!-~&&[^-]][!-~]{0,20}")),
            sd in prop::collection::vec((r"[a-z@.0-9]{1,20}", prop::collection::vec((r"[a-zA-Z_.]{1,34}", r#"[\]\["\\= xé-]{0,16}"#), 0..4)), 0..3),
            msg in r#"[\]\["\\= xé-]{0,30}"#,
        ) {
            let [hostname, app_name, procid, msgid] = header;
            let message = Message {
                facility: pri / 8,
                severity: Severity::of_pri(pri),
                timestamp: Some(decnet_model::clock::from_micros(micros)),
                hostname, app_name, procid, msgid,
                sd: sd.into_iter().map(|(id, params)| Element { id, params }).collect(),
                msg,
            };
            let mut out = Vec::new();
            message.format(&mut out);
            prop_assert_eq!(Message::parse(&out).unwrap(), message);
        }

        #[test]
        fn header_fields_and_names_hold_nothing_that_ends_them(host in hostile(), key in hostile()) {
            let mut out = Vec::new();
            format_line(&LineHead { hostname: &host, ..HEAD }, [(&key, "v")], "m", &mut out);
            let parsed = Message::parse(&out).unwrap();
            prop_assert_eq!(parsed.msgid.as_deref(), Some("auth_attempt"));
            prop_assert_eq!(parsed.sd[0].params.len(), 1);
            prop_assert_eq!(parsed.sd[0].params[0].1.as_str(), "v");
            prop_assert_eq!(parsed.msg.as_str(), "m");
        }
    }
}
