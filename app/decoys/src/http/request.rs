//! Reading a request: RFC 9112 with the tolerance of each product.
//!
//! Nothing here allocates by a length that the visitor gave. Start at [`head_end`], which finds where a head ends, and
//! [`parse`], which takes it apart.

/// Which product's tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// nginx; since 1.21.1 a malformed header name and CONNECT are faults.
    Nginx {
        /// Whether it is 1.21.1 or later.
        strict: bool,
    },
    /// Apache with `HttpProtocolOptions Strict`, the default since 2.4.25.
    Apache,
}

/// The longest request line and header line: nginx's buffer of 8 KiB, Apache's `LimitRequestLine` of 8190.
pub const LINE_MAX: usize = 8190;
/// The most that a head may take: nginx's four large buffers.
pub const HEAD_MAX: usize = 4 * 8192;
/// Apache's `LimitRequestFields`.
const FIELDS_MAX: usize = 100;

/// What is wrong with a request, as the products tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not a request, or a malformed part of one.
    Bad,
    /// A version that is not spoken.
    Version,
    /// The request line is too long.
    LineTooLong,
    /// A header line, or all together, are too long.
    HeaderTooLong,
    /// Too many header lines.
    TooManyHeaders,
    /// A transfer coding that is not spoken.
    Coding,
}

/// How long the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So many bytes; zero where there is none.
    Known(u64),
    /// Chunks (RFC 9112 section 7.1).
    Chunked,
}

/// The version that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// A request line without version: the answer is the page alone.
    V09,
    /// HTTP/1.0.
    V10,
    /// HTTP/1.1, and what calls itself a later 1.x.
    V11,
}

/// A request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Method, as sent.
    pub method: &'a [u8],
    /// Target, as sent.
    pub target: &'a [u8],
    /// Version.
    pub version: Version,
    /// Names and values in the order in which they came.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
    /// The path: decoded, without query, `.` and `..` resolved; `*` for a request to the server itself.
    pub path: Vec<u8>,
    /// Whether the path names something that no file system has (`%00`, `%2f`): Apache says 404 to it.
    pub unnameable: bool,
    /// Whether the path is malformed or leads above the root, where that does not keep the product from reading on
    /// (Apache): the path is then `/`.
    pub misleading: bool,
    /// Length of the body.
    pub length: Length,
}

impl<'a> Request<'a> {
    /// The value of the first header called `name` (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let found = |(key, _): &&(&[u8], &[u8])| key.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().find(found).map(|(_, value)| *value)
    }

    /// Whether a `Connection` header names `token`.
    #[must_use]
    pub fn connection(&self, token: &str) -> bool {
        self.header("connection").is_some_and(|value| {
            value
                .split(|b| *b == b',')
                .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
        })
    }

    /// The query, without `?`; empty where there is none.
    #[must_use]
    pub fn query(&self) -> &'a [u8] {
        let at = self.target.iter().position(|b| *b == b'?');
        at.and_then(|at| self.target.get(at + 1..)).unwrap_or_default()
    }

    /// The port that was asked for, where one was.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        let authority = if self.method == b"CONNECT" {
            self.target
        } else {
            self.header("host")?
        };
        let colon = authority.iter().rposition(|b| *b == b':')?;
        std::str::from_utf8(authority.get(colon + 1..)?)
            .ok()?
            .parse()
            .ok()
    }

    /// The host that was asked for, without port.
    #[must_use]
    pub fn host(&self) -> Option<&'a [u8]> {
        let host = self.header("host")?;
        let end = match host.first() {
            Some(b'[') => host.iter().position(|b| *b == b']').map(|at| at + 1),
            _ => host.iter().position(|b| *b == b':'),
        };
        host.get(..end.unwrap_or(host.len()))
            .filter(|host| !host.is_empty())
    }
}

/// How far a head has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More has to come.
    Partial,
    /// It is these many bytes.
    Whole(usize),
    /// It will never be one.
    Fault(Fault),
}

/// Bytes of empty lines ahead of a request: they are passed over (RFC 9112 section 2.2).
#[must_use]
pub fn leading_blank(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count()
}

/// Where the head at the beginning of `bytes` ends. A request line that is wrong, or of HTTP/0.9, ends it at once.
#[must_use]
pub fn head_end(bytes: &[u8], strictness: Strictness) -> Progress {
    let nginx = matches!(strictness, Strictness::Nginx { .. });
    // nginx reads byte by byte and answers as soon as no method can come of it; Apache waits for the line.
    let not_method = |b: &u8| !(b.is_ascii_uppercase() || matches!(b, b'_' | b'-'));
    if nginx && let Some(at) = bytes.iter().position(not_method) {
        let ends_method = at > 0 && bytes.get(at) == Some(&b' ');
        if !ends_method {
            return Progress::Fault(Fault::Bad);
        }
    }
    let Some(line_end) = bytes.iter().position(|b| *b == b'\n') else {
        return if bytes.len() > LINE_MAX {
            Progress::Fault(Fault::LineTooLong)
        } else {
            Progress::Partial
        };
    };
    if line_end > LINE_MAX {
        return Progress::Fault(Fault::LineTooLong);
    }
    let line = bytes.get(..line_end).unwrap_or_default();
    match request_line(trim_cr(line), strictness) {
        Err(fault) => return Progress::Fault(fault),
        Ok((_, _, Version::V09)) => return Progress::Whole(line_end + 1),
        Ok(_) => {}
    }
    let mut at = line_end + 1;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|b| *b == b'\n') else {
            return if rest.len() > LINE_MAX || at + rest.len() > HEAD_MAX {
                Progress::Fault(Fault::HeaderTooLong)
            } else {
                Progress::Partial
            };
        };
        if end > LINE_MAX || at + end > HEAD_MAX {
            return Progress::Fault(Fault::HeaderTooLong);
        }
        let line = trim_cr(rest.get(..end).unwrap_or_default());
        at += end + 1;
        if line.is_empty() {
            return Progress::Whole(at);
        }
    }
}

fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

type Line<'a> = (&'a [u8], &'a [u8], Version);

fn request_line(line: &[u8], strictness: Strictness) -> Result<Line<'_>, Fault> {
    let nginx = matches!(strictness, Strictness::Nginx { .. });
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().unwrap_or_default();
    let is_method = |b: &u8| {
        if nginx {
            b.is_ascii_uppercase() || matches!(b, b'_' | b'-')
        } else {
            is_token(*b)
        }
    };
    if method.is_empty() || !method.iter().all(is_method) {
        return Err(Fault::Bad);
    }
    let mut words: Vec<&[u8]> = words.take(16).collect();
    if nginx {
        // Any number of blanks divides the words, and some may follow.
        words.retain(|word| !word.is_empty());
    }
    if nginx
        && let Some([first, rest @ ..]) = words.first()
        && *first != b'/'
        && !(first.is_ascii_alphabetic() && rest.windows(3).any(|w| w == b"://"))
    {
        // It looks at the target before it comes to the version.
        return Err(Fault::Bad);
    }
    let (target, version) = match *words.as_slice() {
        [target] => (target, Version::V09),
        [target, version] => (target, parse_version(version, nginx)?),
        _ => return Err(Fault::Bad),
    };
    if target.is_empty() || target.iter().any(|b| b.is_ascii_control()) {
        return Err(Fault::Bad);
    }
    if version == Version::V09 && method != b"GET" {
        return Err(Fault::Bad);
    }
    Ok((method, target, version))
}

fn parse_version(word: &[u8], nginx: bool) -> Result<Version, Fault> {
    let number = word.strip_prefix(b"HTTP/").ok_or(Fault::Bad)?;
    if nginx {
        // One digit before the dot decides; more digits are a version that nobody speaks.
        let major_len = number.iter().take_while(|b| b.is_ascii_digit()).count();
        let major = number.get(..major_len).unwrap_or_default();
        return match (major, number.get(major_len..).unwrap_or_default()) {
            ([b'1'], [b'.', minor @ ..]) => match minor {
                [b'0'] => Ok(Version::V10),
                minor if (1..=3).contains(&minor.len()) && minor.iter().all(u8::is_ascii_digit) => {
                    Ok(Version::V11)
                }
                _ => Err(Fault::Bad),
            },
            ([] | [b'0', ..], _) => Err(Fault::Bad),
            ([b'1'], _) => Err(Fault::Bad),
            _ => Err(Fault::Version),
        };
    }
    match number {
        b"1.0" => Ok(Version::V10),
        // What calls itself later than 1.1 is answered as 1.1.
        [b'1'..=b'9', b'.', minor] if minor.is_ascii_digit() => Ok(Version::V11),
        _ => Err(Fault::Bad),
    }
}

/// Take a whole head apart.
///
/// # Errors
/// Where the product refuses it.
pub fn parse(head: &[u8], strictness: Strictness) -> Result<Request<'_>, Fault> {
    let mut lines = head.split(|b| *b == b'\n').map(trim_cr);
    let (method, target, version) = request_line(lines.next().unwrap_or_default(), strictness)?;
    let mut headers = Vec::with_capacity(16);
    for line in lines.take_while(|line| !line.is_empty()) {
        if headers.len() == FIELDS_MAX {
            return Err(Fault::TooManyHeaders);
        }
        if let Some(header) = header_line(line, strictness)? {
            headers.push(header);
        }
    }
    let nginx = matches!(strictness, Strictness::Nginx { .. });
    let mut request = Request {
        method,
        target,
        version,
        headers,
        path: Vec::new(),
        unnameable: false,
        misleading: false,
        length: Length::Known(0),
    };
    if method == b"CONNECT" && strictness == (Strictness::Nginx { strict: true }) {
        return Err(Fault::Bad);
    }
    check_host(&request)?;
    request.length = length(&request)?;
    let path = match target {
        b"*" if !nginx && method == b"OPTIONS" => {
            request.path = b"*".to_vec();
            return Ok(request);
        }
        [b'/', ..] => target,
        // The target is a host and a port (RFC 9112 section 3.2.3).
        _ if !nginx && method == b"CONNECT" => b"/",
        _ => absolute_path(target).ok_or(Fault::Bad)?,
    };
    match normalise(path, nginx) {
        Some((path, unnameable)) => (request.path, request.unnameable) = (path, unnameable),
        None if nginx => return Err(Fault::Bad),
        // Apache has read the whole head by then, and answers as the host that it names.
        None => {
            request.path = b"/".to_vec();
            request.misleading = true;
        }
    }
    Ok(request)
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

type Header<'a> = (&'a [u8], &'a [u8]);

/// One header; `None` where the product passes over it.
fn header_line(line: &[u8], strictness: Strictness) -> Result<Option<Header<'_>>, Fault> {
    let Some(colon) = line.iter().position(|b| *b == b':') else {
        return match strictness {
            Strictness::Nginx { strict: false } => Ok(None),
            // A name without blanks and colon is an invalid header, which `ignore_invalid_headers` passes over.
            Strictness::Nginx { strict: true } if line.iter().all(|b| is_token(*b)) => Ok(None),
            _ => Err(Fault::Bad),
        };
    };
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    if value.contains(&0) {
        return Err(Fault::Bad);
    }
    match strictness {
        Strictness::Apache if name.is_empty() || !name.iter().all(|b| is_token(*b)) => Err(Fault::Bad),
        Strictness::Nginx { strict: true } if name.iter().any(|b| *b <= b' ' || *b == 0x7f) => {
            Err(Fault::Bad)
        }
        Strictness::Nginx { .. } if !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-') => Ok(None),
        _ => Ok(Some((name, value))),
    }
}

fn check_host(request: &Request<'_>) -> Result<(), Fault> {
    let mut hosts = request
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    let Some((_, host)) = hosts.next() else {
        return if request.version == Version::V11 {
            Err(Fault::Bad)
        } else {
            Ok(())
        };
    };
    let odd = |b: &u8| *b <= b' ' || *b >= 0x7f || matches!(b, b'/' | b'\\' | b'?' | b'#' | b'@');
    if hosts.next().is_some() || host.iter().any(odd) {
        return Err(Fault::Bad);
    }
    Ok(())
}

fn length(request: &Request<'_>) -> Result<Length, Fault> {
    let given = match request.header("content-length") {
        None => None,
        Some(digits) if !digits.is_empty() && digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
        }
        Some(_) => return Err(Fault::Bad),
    };
    match request.header("transfer-encoding") {
        None => Ok(Length::Known(given.unwrap_or(0))),
        Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => match given {
            // Both at once is how requests are smuggled.
            Some(_) => Err(Fault::Bad),
            None => Ok(Length::Chunked),
        },
        Some(_) => Err(Fault::Coding),
    }
}

/// The path of `http://host/path`.
fn absolute_path(target: &[u8]) -> Option<&[u8]> {
    let rest = target
        .strip_prefix(b"http://")
        .or_else(|| target.strip_prefix(b"https://"))?;
    let slash = rest.iter().position(|b| *b == b'/');
    Some(slash.and_then(|at| rest.get(at..)).unwrap_or(b"/"))
}

/// The value of a hex digit.
fn hex(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).and_then(|v| u8::try_from(v).ok())
}

/// Decode `%xx` where it is well-formed, and leave the rest.
#[must_use]
pub fn percent_decoded(text: &[u8], plus_is_blank: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((b, tail)) = rest.split_first() {
        rest = tail;
        match (b, tail) {
            (b'%', [hi, lo, after @ ..]) if hex(*hi).is_some() && hex(*lo).is_some() => {
                out.push(hex(*hi).unwrap_or_default() << 4 | hex(*lo).unwrap_or_default());
                rest = after;
            }
            (b'+', _) if plus_is_blank => out.push(b' '),
            _ => out.push(*b),
        }
    }
    out
}

/// The path decoded and without `.`, `..` and double slashes, and whether it is unnameable; `None` where it is
/// malformed or leads above the root.
fn normalise(path: &[u8], nginx: bool) -> Option<(Vec<u8>, bool)> {
    let path = path
        .split(|b| matches!(b, b'?' | b'#'))
        .next()
        .unwrap_or_default();
    let mut unnameable = false;
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((b, tail)) = rest.split_first() {
        rest = tail;
        if *b != b'%' {
            decoded.push(*b);
            continue;
        }
        let [hi, lo, after @ ..] = tail else { return None };
        let byte = hex(*hi)? << 4 | hex(*lo)?;
        rest = after;
        if byte == 0 && nginx {
            return None;
        }
        if byte == b'/' && !nginx {
            // To Apache it is no separator: `..` beside it is part of a name, and leads nowhere.
            unnameable = true;
            decoded.extend_from_slice(b"%2f");
            continue;
        }
        unnameable |= byte == 0;
        decoded.push(byte);
    }
    let mut out: Vec<&[u8]> = Vec::new();
    let mut folder = true;
    for part in decoded.split(|b| *b == b'/') {
        folder = true;
        match part {
            b"" | b"." => {}
            b".." => {
                out.pop()?;
            }
            _ => {
                out.push(part);
                folder = false;
            }
        }
    }
    let mut clean = Vec::with_capacity(decoded.len() + 1);
    for part in &out {
        clean.push(b'/');
        clean.extend_from_slice(part);
    }
    if folder {
        clean.push(b'/');
    }
    Some((clean, unnameable))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NGINX: Strictness = Strictness::Nginx { strict: true };
    const OLD_NGINX: Strictness = Strictness::Nginx { strict: false };

    fn outcome(raw: &[u8], strictness: Strictness) -> Result<Vec<u8>, Option<Fault>> {
        match head_end(raw, strictness) {
            Progress::Partial => Err(None),
            Progress::Fault(fault) => Err(Some(fault)),
            Progress::Whole(n) => match parse(&raw[..n], strictness) {
                // Taken apart, and then answered as a bad one.
                Ok(request) if request.misleading => Err(Some(Fault::Bad)),
                Ok(request) => Ok(request.path),
                Err(fault) => Err(Some(fault)),
            },
        }
    }

    #[test]
    fn each_product_takes_and_refuses_what_the_real_one_does() {
        let bad = Err(Some(Fault::Bad));
        let root = Ok(b"/".to_vec());
        for (raw, nginx, apache) in [
            (
                &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
                root.clone(),
                root.clone(),
            ),
            (b"GET /\r\n", root.clone(), root.clone()),
            (
                b"GET / HTTP/1337\r\nHost: a\r\n\r\n",
                Err(Some(Fault::Version)),
                bad.clone(),
            ),
            (
                // Apache takes any version that looks like one of its own protocols, as a real one shows.
                b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
                Err(Some(Fault::Version)),
                root.clone(),
            ),
            (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", root.clone(), bad.clone()),
            (b"GET / HTTP/1.1\r\n\r\n", bad.clone(), bad.clone()),
            (b"GET / HTTP/1.0\r\n\r\n", root.clone(), root.clone()),
            (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", bad.clone(), root.clone()),
            (b"\x16\x03\x01", bad.clone(), Err(None)),
            (b"QUIT", Err(None), Err(None)),
            (
                b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
                bad.clone(),
                bad.clone(),
            ),
            (
                b"GET /%2e%2e/%2e%2e/etc HTTP/1.1\r\nHost: a\r\n\r\n",
                bad.clone(),
                bad.clone(),
            ),
            (
                b"GET /%2e%2e%2fetc HTTP/1.1\r\nHost: a\r\n\r\n",
                bad.clone(),
                Ok(b"/..%2fetc".to_vec()),
            ),
            (
                b"GET /a/../ HTTP/1.1\r\nHost: a\r\n\r\n",
                root.clone(),
                root.clone(),
            ),
            (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", bad.clone(), bad.clone()),
            (
                b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
                bad.clone(),
                Ok(b"*".to_vec()),
            ),
            (
                b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
                bad.clone(),
                bad.clone(),
            ),
            (
                b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                bad.clone(),
                bad.clone(),
            ),
            (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", root.clone(), root),
        ] {
            let shown = String::from_utf8_lossy(raw);
            assert_eq!(outcome(raw, NGINX), nginx, "nginx: {shown}");
            assert_eq!(outcome(raw, Strictness::Apache), apache, "apache: {shown}");
        }
        assert!(outcome(b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", OLD_NGINX).is_ok());
    }

    #[test]
    fn a_body_with_two_lengths_is_refused() {
        let raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(outcome(raw, NGINX), Err(Some(Fault::Bad)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_a_path_never_climbs(
            raw in prop::collection::vec(any::<u8>(), 0..200),
            path in "(/|\\.|%2e|%2f|a|\\?){0,20}",
        ) {
            for strictness in [NGINX, OLD_NGINX, Strictness::Apache] {
                let _any = outcome(&raw, strictness);
                let line = format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n");
                if let Ok(path) = outcome(line.as_bytes(), strictness) {
                    prop_assert!(path.starts_with(b"/"));
                    prop_assert!(!path.split(|b| *b == b'/').any(|part| part == b".."));
                }
            }
        }
    }
}
