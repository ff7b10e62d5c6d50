//! Command lines of SMTP (RFC 5321 section 4.1.1), as their products read them.

use std::borrow::Cow;

/// The most that a mailbox may take: 64 and 255 bytes with `@` (RFC 5321 section 4.5.3.1), generously.
const MAILBOX_MAX: usize = 512;

/// A command line: the verb in upper case, and what follows.
#[must_use]
pub fn split(line: &[u8]) -> (Vec<u8>, &[u8]) {
    let line = line.trim_ascii();
    let end = line
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(line.len());
    let (verb, rest) = line.split_at(end);
    (verb.to_ascii_uppercase(), rest.trim_ascii())
}

/// What a MAIL or RCPT command names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The mailbox without angle brackets and source route; empty for the null sender.
    pub mailbox: Vec<u8>,
    /// The parameters that follow, such as `SIZE=100`.
    pub parameters: Vec<Vec<u8>>,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// The keyword (`FROM:`, `TO:`) or the address is missing.
    Syntax,
    /// There is an address, and it is none.
    Address,
}

impl Path {
    /// The path of `rest`, what follows MAIL or RCPT; `keyword` is `FROM:` or `TO:`.
    ///
    /// # Errors
    /// As [`PathFault`] says.
    pub fn parse(rest: &[u8], keyword: &[u8]) -> Result<Self, PathFault> {
        let (given, rest) = rest.split_at_checked(keyword.len()).ok_or(PathFault::Syntax)?;
        if !given.eq_ignore_ascii_case(keyword) {
            return Err(PathFault::Syntax);
        }
        let rest = rest.trim_ascii();
        let (mailbox, after) = if let Some(inner) = rest.strip_prefix(b"<") {
            let end = closing(inner).ok_or(PathFault::Address)?;
            let (mailbox, after) = inner.split_at(end);
            (mailbox, after.get(1..).unwrap_or_default())
        } else {
            let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
            rest.split_at(end)
        };
        if mailbox.is_empty() && !rest.starts_with(b"<") {
            return Err(PathFault::Syntax);
        }
        let routeless = match mailbox.first() {
            // `@a,@b:user@host`: the route is to be ignored (RFC 5321 section 4.1.1.3).
            Some(b'@') => mailbox
                .iter()
                .position(|b| *b == b':')
                .and_then(|at| mailbox.get(at + 1..))
                .ok_or(PathFault::Address)?,
            _ => mailbox,
        };
        if routeless.len() > MAILBOX_MAX || !routeless.is_empty() && !is_mailbox(routeless) {
            return Err(PathFault::Address);
        }
        Ok(Self {
            mailbox: routeless.to_vec(),
            parameters: after
                .split(|b| *b == b' ')
                .filter(|p| !p.is_empty())
                .take(16)
                .map(<[u8]>::to_vec)
                .collect(),
        })
    }

    /// The value of parameter `name`, such as `SIZE`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters.iter().find_map(|parameter| {
            let (key, value) = parameter.split_at_checked(name.len())?;
            let value = value.strip_prefix(b"=")?;
            key.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        })
    }

    /// The part before the last `@`, and the domain in lower case; no domain for a mailbox of the machine itself.
    #[must_use]
    pub fn parts(&self) -> (&[u8], Vec<u8>) {
        match self.mailbox.iter().rposition(|b| *b == b'@') {
            Some(at) => {
                let (local, domain) = self.mailbox.split_at(at);
                (local, domain.get(1..).unwrap_or_default().to_ascii_lowercase())
            }
            None => (&self.mailbox, Vec::new()),
        }
    }
}

/// Where the `>` is that closes a path: not inside a quoted string.
fn closing(inner: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    inner.iter().position(|b| {
        let literal = escaped;
        escaped = *b == b'\\' && !literal;
        if *b == b'"' && !literal {
            quoted = !quoted;
        }
        *b == b'>' && !quoted
    })
}

/// A local part without its quotes, if it has any: what they stand around is the name (RFC 5321 section 4.1.2).
#[must_use]
pub fn unquoted(local: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = local
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    else {
        return Cow::Borrowed(local);
    };
    let mut escaped = false;
    let kept = inner.iter().copied().filter(|b| {
        escaped = *b == b'\\' && !escaped;
        !escaped
    });
    Cow::Owned(kept.collect())
}

fn is_mailbox(mailbox: &[u8]) -> bool {
    if mailbox.iter().any(|b| b.is_ascii_control()) {
        return false;
    }
    match mailbox.iter().rposition(|b| *b == b'@') {
        Some(at) => {
            let (local, domain) = mailbox.split_at(at);
            let domain = domain.get(1..).unwrap_or_default();
            let plain = !local.contains(&b' ') && !local.contains(&b'@') || local.starts_with(b"\"");
            !local.is_empty()
                && plain
                && !domain.is_empty()
                && !domain.contains(&b' ')
                && !domain.starts_with(b".")
        }
        None => !mailbox.contains(&b' '),
    }
}

/// The subject in a mail's head: unfolded, without line ends.
#[must_use]
pub fn subject(mail: &[u8]) -> Vec<u8> {
    let mut found: Option<Vec<u8>> = None;
    for line in mail.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match &mut found {
            Some(text) if line.starts_with(b" ") || line.starts_with(b"\t") => text.extend_from_slice(line),
            Some(_) => break,
            None if line.is_empty() => break,
            None => {
                if let Some((name, value)) = line.split_at_checked(8)
                    && name.eq_ignore_ascii_case(b"subject:")
                {
                    found = Some(value.trim_ascii_start().to_vec());
                }
            }
        }
    }
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mailbox(rest: &[u8]) -> Result<Vec<u8>, PathFault> {
        Path::parse(rest, b"FROM:").map(|path| path.mailbox)
    }

    #[test]
    fn paths_are_read_as_the_rfc_and_sloppy_clients_write_them() {
        for (rest, found) in [
            (&b"FROM:<a@b.example>"[..], Ok(&b"a@b.example"[..])),
            (b"from: <a@b.example> SIZE=3", Ok(b"a@b.example")),
            (b"FROM:a@b.example", Ok(b"a@b.example")),
            (b"FROM:<>", Ok(b"")),
            (b"FROM:<@r,@s:a@b>", Ok(b"a@b")),
            (b"FROM:<\"a>b\"@c>", Ok(b"\"a>b\"@c")),
            (b"FROM:<a b@c>", Err(PathFault::Address)),
            (b"FROM:<a@b", Err(PathFault::Address)),
            (b"FROM:<a@>", Err(PathFault::Address)),
            (b"FROM:", Err(PathFault::Syntax)),
            (b"TO:<a@b>", Err(PathFault::Syntax)),
            (b"", Err(PathFault::Syntax)),
        ] {
            assert_eq!(mailbox(rest), found.map(<[u8]>::to_vec), "{rest:?}");
        }
        let path = Path::parse(b"FROM:<a@B.Example> BODY=8BITMIME SIZE=77", b"FROM:").unwrap();
        assert_eq!(path.parameter("size"), Some(&b"77"[..]));
        assert_eq!(path.parts(), (&b"a"[..], b"b.example".to_vec()));
    }

    #[test]
    fn quotes_are_no_part_of_a_name() {
        for (local, name) in [
            (&b"\"a b\""[..], &b"a b"[..]),
            (b"\"a\\\"b\\\\c\"", b"a\"b\\c"),
            (b"\"\"", b""),
            (b"a\"b", b"a\"b"),
            (b"\"", b"\""),
        ] {
            assert_eq!(*unquoted(local), *name, "{local:?}");
        }
    }

    #[test]
    fn a_subject_is_unfolded_and_one_in_the_body_is_none() {
        assert_eq!(subject(b"From: a\r\nSubject: one\r\n two\r\n\r\nx"), b"one two");
        assert_eq!(subject(b"From: a\r\n\r\nSubject: no\r\n"), b"");
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..100)) {
            let (_verb, rest) = split(&line);
            let _any = Path::parse(rest, b"FROM:").map(|path| path.parts().1);
            let _any = mailbox(&[b"FROM:<", line.as_slice()].concat());
            let _any = subject(&line);
        }
    }
}
