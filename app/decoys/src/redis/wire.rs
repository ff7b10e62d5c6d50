//! The Redis protocol: requests as RESP arrays or inline lines, replies in RESP 2 or 3.
//!
//! Specification: redis.io/docs/reference/protocol-spec. The wording of protocol errors is the server's own
//! (`networking.c` of 7.0): a scanner compares it.

use std::io;

use super::budget::{Measured, OVERHEAD};
use crate::serve::Peer;

/// The longest inline request or header line (`PROTO_INLINE_MAX_SIZE`).
const LINE_MAX: usize = 64 * 1024;
/// `proto-max-bulk-len`.
const BULK_MAX: i64 = 512 << 20;
/// What is kept of one request; the rest is read and forgotten.
const KEPT_MAX: usize = 4 << 20;
/// How many arguments are kept.
const ARGS_MAX: usize = 64 * 1024;
/// How deep [`Reply`]s are nested at most.
type Pairs = Vec<(Reply, Reply)>;

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A command with its arguments; never empty.
    Command(Vec<Vec<u8>>),
    /// An empty line or array: ignored.
    Nothing,
    /// Not the protocol: the server says so and closes. The text stands after `ERR Protocol error: `.
    Fault(String),
    /// The visitor has closed.
    End,
}

/// Read the next request. Who has not authenticated may send less (`authRequired` in `networking.c`).
///
/// What came of one that is none, or that was cut, is reported at the end of `peer`.
pub(super) async fn read_request(peer: &mut Peer, authenticated: bool) -> io::Result<Request> {
    peer.begin_request();
    let request = read_parts(peer, authenticated).await?;
    if matches!(request, Request::Command(_) | Request::Nothing) {
        peer.end_request();
    }
    Ok(request)
}

async fn read_parts(peer: &mut Peer, authenticated: bool) -> io::Result<Request> {
    let Some(mut line) = peer.read_until_lf(LINE_MAX).await? else {
        return Ok(Request::End);
    };
    let array = line.first() == Some(&b'*');
    if line.last() != Some(&b'\n') {
        return Ok(if line.len() < LINE_MAX {
            // The stream has ended within the line.
            Request::End
        } else if array {
            Request::Fault("too big mbulk count string".to_owned())
        } else {
            Request::Fault("too big inline request".to_owned())
        });
    }
    line.pop();
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if !array {
        return Ok(match split_inline(&line) {
            None => Request::Fault("unbalanced quotes in request".to_owned()),
            Some(args) if args.is_empty() => Request::Nothing,
            Some(args) => Request::Command(args),
        });
    }
    let count = match number(line.get(1..).unwrap_or_default()) {
        Some(n) if n <= i64::from(i32::MAX) => n,
        _ => return Ok(Request::Fault("invalid multibulk length".to_owned())),
    };
    if count > 10 && !authenticated {
        return Ok(Request::Fault("unauthenticated multibulk length".to_owned()));
    }
    read_arguments(peer, count, authenticated).await
}

async fn read_arguments(peer: &mut Peer, count: i64, authenticated: bool) -> io::Result<Request> {
    let mut args: Vec<Vec<u8>> = Vec::new();
    let mut room = KEPT_MAX;
    for _ in 0..count {
        let Some(line) = peer.read_until_lf(LINE_MAX).await? else {
            return Ok(Request::End);
        };
        if line.last() != Some(&b'\n') {
            return Ok(if line.len() < LINE_MAX {
                Request::End
            } else {
                Request::Fault("too big bulk count string".to_owned())
            });
        }
        let line = line.strip_suffix(b"\r\n").unwrap_or(&line);
        let Some((b'$', digits)) = line.split_first() else {
            let shown = line.first().map_or('\r', |b| char::from(*b));
            return Ok(Request::Fault(format!("expected '$', got '{shown}'")));
        };
        let len = match number(digits) {
            Some(n) if (0..=BULK_MAX).contains(&n) => n,
            _ => return Ok(Request::Fault("invalid bulk length".to_owned())),
        };
        if len > 16384 && !authenticated {
            return Ok(Request::Fault("unauthenticated bulk length".to_owned()));
        }
        let len = usize::try_from(len).unwrap_or_default();
        let kept = if args.len() < ARGS_MAX { len.min(room) } else { 0 };
        let arg = peer.read_block(kept).await?;
        let rest = u64::try_from(len - kept).unwrap_or_default();
        // The two bytes after it are a line end by convention; the server does not look at them either.
        peer.skip(rest + 2).await?;
        room -= kept;
        if args.len() < ARGS_MAX {
            args.push(arg);
        }
    }
    Ok(if args.is_empty() {
        Request::Nothing
    } else {
        Request::Command(args)
    })
}

/// A decimal number as `string2ll` takes it: no sign `+`, no spaces, no leading zeros.
pub(super) fn number(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && text != b"-0";
    if !canonical || text.len() > 20 {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Words of an inline request, with the server's quoting (`sdssplitargs`); `None` where a quote is not closed.
fn split_inline(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.iter().copied().peekable();
    loop {
        while rest.next_if(|b| b.is_ascii_whitespace() || *b == 0x0b).is_some() {}
        if rest.peek().is_none() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some(b) = rest.next_if(|b| !b.is_ascii_whitespace() && *b != 0) {
            match b {
                b'"' => {
                    loop {
                        match rest.next()? {
                            b'"' => break,
                            b'\\' => word.push(escaped(&mut rest)?),
                            b => word.push(b),
                        }
                    }
                    closed(rest.peek().copied())?;
                }
                b'\'' => {
                    loop {
                        match rest.next()? {
                            b'\'' => break,
                            b'\\' if rest.peek() == Some(&b'\'') => word.extend(rest.next()),
                            b => word.push(b),
                        }
                    }
                    closed(rest.peek().copied())?;
                }
                b => word.push(b),
            }
        }
        words.push(word);
        if rest.peek() == Some(&0) {
            // A NUL ends the line, as it ends a C string.
            return Some(words);
        }
    }
}

/// After a closing quote only a space or the end may follow.
fn closed(next: Option<u8>) -> Option<()> {
    next.is_none_or(|b| b.is_ascii_whitespace()).then_some(())
}

fn escaped(rest: &mut std::iter::Peekable<impl Iterator<Item = u8> + Clone>) -> Option<u8> {
    let mut ahead = rest.clone();
    if let (Some(b'x'), Some(high), Some(low)) = (ahead.next(), ahead.next(), ahead.next())
        && let (Some(high), Some(low)) = (char::from(high).to_digit(16), char::from(low).to_digit(16))
    {
        rest.nth(2);
        return u8::try_from(high << 4 | low).ok();
    }
    Some(match rest.next()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        b => b,
    })
}

/// A reply; how it is written depends on the protocol that the visitor chose.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    /// `+…`
    Status(&'static str),
    /// `+…`, of a script's own words.
    Text(String),
    /// `-…`: with its code, such as `ERR`.
    Error(String),
    /// `:…`
    Int(i64),
    /// `$…`
    Bulk(Vec<u8>),
    /// No value.
    Nil,
    /// No array.
    NilArray,
    /// `*…`
    Array(Vec<Reply>),
    /// Pairs: a flat array in RESP 2.
    Map(Pairs),
    /// An array in RESP 2.
    Set(Vec<Reply>),
    /// A bulk string in RESP 2.
    Double(f64),
    /// Text with its format: a bulk string in RESP 2.
    Verbatim(Vec<u8>),
    /// Out of band: an array in RESP 2.
    Push(Vec<Reply>),
    /// Several replies to one command.
    Several(Vec<Reply>),
    /// No reply at all.
    Silent,
}

impl Reply {
    pub(super) const OK: Self = Self::Status("OK");

    pub(super) fn bulk(text: impl AsRef<[u8]>) -> Self {
        Self::Bulk(text.as_ref().to_vec())
    }

    pub(super) fn bulks<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Array(texts.into_iter().map(Self::bulk).collect())
    }

    pub(super) fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    pub(super) fn count(n: usize) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// Append the reply to `out` in RESP `version` 2 or 3.
    pub(super) fn write(&self, version: u8, out: &mut Vec<u8>) {
        let resp3 = version >= 3;
        match self {
            Self::Status(text) => line(out, b'+', text.as_bytes()),
            Self::Text(text) => line(out, b'+', text.as_bytes()),
            Self::Error(text) => {
                // An error is one line, whatever a visitor's words in it.
                let text: Vec<u8> = text
                    .bytes()
                    .map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b })
                    .collect();
                line(out, b'-', &text);
            }
            Self::Int(n) => line(out, b':', n.to_string().as_bytes()),
            Self::Bulk(bytes) => bulk(out, b'$', bytes),
            Self::Nil if resp3 => out.extend_from_slice(b"_\r\n"),
            Self::NilArray if resp3 => out.extend_from_slice(b"_\r\n"),
            Self::Nil => out.extend_from_slice(b"$-1\r\n"),
            Self::NilArray => out.extend_from_slice(b"*-1\r\n"),
            Self::Array(items) => many(out, b'*', items, version),
            Self::Set(items) => many(out, if resp3 { b'~' } else { b'*' }, items, version),
            Self::Push(items) => many(out, if resp3 { b'>' } else { b'*' }, items, version),
            Self::Map(pairs) => {
                let (mark, n) = if resp3 {
                    (b'%', pairs.len())
                } else {
                    (b'*', pairs.len() * 2)
                };
                line(out, mark, n.to_string().as_bytes());
                for (key, value) in pairs {
                    key.write(version, out);
                    value.write(version, out);
                }
            }
            Self::Double(value) if resp3 => line(out, b',', double(*value).as_bytes()),
            Self::Double(value) => bulk(out, b'$', double(*value).as_bytes()),
            Self::Verbatim(text) if resp3 => bulk(out, b'=', &[b"txt:", text.as_slice()].concat()),
            Self::Verbatim(text) => bulk(out, b'$', text),
            Self::Several(replies) => {
                for reply in replies {
                    reply.write(version, out);
                }
            }
            Self::Silent => {}
        }
    }
}

impl Measured for Reply {
    /// At least as much as it is long when it is written.
    fn bytes(&self) -> usize {
        let text = match self {
            Self::Text(text) | Self::Error(text) => text.len(),
            Self::Bulk(bytes) | Self::Verbatim(bytes) => bytes.len(),
            Self::Status(text) => text.len(),
            Self::Array(items) | Self::Set(items) | Self::Push(items) | Self::Several(items) => {
                items.iter().map(Self::bytes).sum()
            }
            Self::Map(pairs) => pairs.iter().map(|(k, v)| k.bytes() + v.bytes()).sum(),
            // The longest double has as many digits as its exponent says.
            Self::Double(value) => double(*value).len(),
            Self::Int(_) | Self::Nil | Self::NilArray | Self::Silent => 0,
        };
        text + OVERHEAD
    }
}

/// A score as the server prints it: whole numbers without a point.
pub(super) fn double(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    format!("{value}")
}

fn line(out: &mut Vec<u8>, mark: u8, text: &[u8]) {
    out.push(mark);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn bulk(out: &mut Vec<u8>, mark: u8, bytes: &[u8]) {
    line(out, mark, bytes.len().to_string().as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn many(out: &mut Vec<u8>, mark: u8, items: &[Reply], version: u8) {
    line(out, mark, items.len().to_string().as_bytes());
    for item in items {
        item.write(version, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn inline_words_are_split_as_the_server_splits_them() {
        let words = |line: &[u8]| {
            split_inline(line).map(|w| {
                w.iter()
                    .map(|w| String::from_utf8_lossy(w).into_owned())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            words(b"  set  a b "),
            Some(vec!["set".into(), "a".into(), "b".into()])
        );
        assert_eq!(
            words(br#"set "a b" "\x41\n\"""#),
            Some(vec!["set".into(), "a b".into(), "A\n\"".into()])
        );
        assert_eq!(words(br"set 'it\'s'"), Some(vec!["set".into(), "it's".into()]));
        assert_eq!(words(br#"set "a"#), None);
        assert_eq!(words(br#"set "a"b"#), None);
        assert_eq!(words(b"   "), Some(vec![]));
    }

    #[test]
    fn numbers_are_taken_in_their_canonical_form_only() {
        assert_eq!(number(b"-12"), Some(-12));
        for bad in [
            &b"+1"[..],
            b"01",
            b"",
            b"-",
            b"-0",
            b"1 ",
            b"99999999999999999999",
        ] {
            assert_eq!(number(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn any_line_is_split_without_panic(line in prop::collection::vec(any::<u8>(), 0..100)) {
            let _any = split_inline(&line);
        }
    }
}
