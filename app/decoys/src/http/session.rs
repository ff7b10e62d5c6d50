//! One visitor's requests, from the first byte to the last answer.

use std::{
    borrow::Cow,
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use decnet_model::{
    clock::SharedClock,
    event::{ClientInfoKind, Event, MAX_VALUE},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::Rng as _;
use sha2::Sha256;

use super::{
    Http, HttpConfig, SiteKind, coding,
    credentials::{self, Credentials},
    dialect::{After, Answer, Dialect, File, Product, Sending, escaped, http_date, parse_http_date},
    exploit,
    request::{Fault, Length, Progress, Request, Strictness, Version, head_end, leading_blank, parse},
    site::Site,
    tomcat::{Tomcat, is_guarded},
    wordpress::Blog,
};
use crate::{
    Service as _,
    serve::{
        BuildError, Decoy, Host, Peer, SessionError, Tap,
        artifact::Capture,
        login::{Logins, Offer},
    },
};

/// The longest line that begins a chunk.
const CHUNK_LINE_MAX: usize = 256;
/// What is reported as the status of a request that was not answered.
const UNANSWERED: u16 = 0;
/// Parts that one answer may have: Apache's `MaxRanges`.
const PARTS_MAX: usize = 200;
/// How long the rest of a head may take: nginx's `client_header_timeout`, Apache's `RequestReadTimeout`.
const HEAD_NGINX: Duration = Duration::from_secs(60);
const HEAD_APACHE: Duration = Duration::from_secs(20);
/// Pages of programs may not be stored; the date is what PHP says for "long ago".
const PHP_EXPIRES: &str = "Thu, 19 Nov 1981 08:52:00 GMT";

/// What all visitors share.
pub(super) struct Server {
    host: Arc<Host>,
    dialect: Dialect,
    site: Site,
    logins: Logins,
    date: DateHeader,
    /// What login cookies are signed with; new in each process.
    cookie_key: [u8; 32],
    cookie_name: String,
    /// What stands between the parts of an answer in Apache; drawn by each process.
    boundary: u64,
    /// The same in nginx: a count.
    boundaries: AtomicU64,
}

/// The `Date` header, written once a second as the products do.
struct DateHeader {
    clock: SharedClock,
    /// The second, and its text.
    last: Mutex<(i64, Arc<str>)>,
}

impl DateHeader {
    fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            last: Mutex::new((i64::MIN, "".into())),
        }
    }

    fn text(&self) -> Arc<str> {
        let now = self.clock.now();
        // Whatever a thread left behind that panicked here is still a second and its text.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != now.unix_timestamp() {
            *last = (now.unix_timestamp(), http_date(now).into());
        }
        Arc::clone(&last.1)
    }
}

/// A body: its beginning in memory, and where it is longer or an upload all of it in a file.
struct Body<'a> {
    request: &'a Request<'a>,
    tap: &'a Tap,
    kept: Vec<u8>,
    file: Option<Capture>,
    /// Whether it has not come to its end.
    is_cut: bool,
}

impl<'a> Body<'a> {
    /// The body of `request`, of which nothing has come yet.
    fn of(request: &'a Request<'a>, tap: &'a Tap) -> Self {
        Self {
            request,
            tap,
            kept: Vec::new(),
            file: None,
            is_cut: false,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = MAX_VALUE.saturating_sub(self.kept.len());
        if self.file.is_none() && bytes.len() > room {
            // How long it becomes nobody knows before: chunks do not say.
            let kept = std::mem::take(&mut self.kept);
            self.capture().write(&kept);
            self.kept = kept;
        }
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if let Some(file) = &mut self.file {
            file.write(bytes);
        }
    }

    /// Begin to keep what comes as a file.
    fn capture(&mut self) -> &mut Capture {
        let via = if self.request.method == b"PUT" {
            "put"
        } else {
            "post"
        };
        let (tap, path) = (self.tap, &self.request.path);
        self.file.get_or_insert_with(|| tap.artifact(path, via, b""))
    }
}

/// Where a request comes from.
struct Visitor<'a> {
    address: IpAddr,
    port: u16,
    tap: &'a Tap,
}

impl Decoy for Http {
    fn build(config: HttpConfig, host: &Arc<Host>) -> Result<Self, BuildError> {
        let product = Self::program(&config, &host.persona)?;
        let dialect = Dialect::of(&host.persona, product);
        Ok(Self {
            server: Server {
                host: Arc::clone(host),
                site: Site::new(config.site, &host.persona, &dialect),
                dialect,
                logins: Logins::new(&config.accept, host),
                date: DateHeader::new(Arc::clone(&host.clock)),
                cookie_key: rand::rng().random(),
                cookie_name: format!("wordpress_logged_in_{}", host.persona.rng("http/cookie").hex(32)),
                boundary: rand::rng().random(),
                boundaries: AtomicU64::new(1),
            },
        })
    }

    async fn session(&self, mut peer: Peer, tap: Tap) -> Result<(), SessionError> {
        let ended = self.server.converse(&mut peer, &tap).await;
        peer.close().await;
        ended
    }
}

impl Server {
    async fn converse(&self, peer: &mut Peer, tap: &Tap) -> Result<(), SessionError> {
        let apache = self.dialect.product == Product::Apache;
        let (patience, requests_max) = self.dialect.keep_alive();
        let (head_patience, strictness) = match self.dialect.strictness() {
            strictness @ Strictness::Nginx { .. } => (HEAD_NGINX, strictness),
            strictness => (HEAD_APACHE, strictness),
        };
        let mut agent: Vec<u8> = Vec::new();
        let mut out = Vec::new();
        peer.set_idle(head_patience);
        for served in 1..=requests_max {
            let left = requests_max - served;
            let head = match read_head(peer, strictness, head_patience, &mut out).await {
                Ok(Some(Ok(head))) => head,
                Ok(None) => return Ok(()),
                Ok(Some(Err(fault))) => return self.refuse(peer, tap, fault, None).await,
                Err(error) => return self.gave_up(peer, error).await,
            };
            let request = match parse(&head, strictness) {
                Ok(request) => request,
                Err(fault) => return self.refuse(peer, tap, fault, Some(&head)).await,
            };
            if let Some(value) = request.header("user-agent")
                && value != agent
            {
                agent = value.to_vec();
                tap.emit(Event::ClientInfo {
                    kind: ClientInfoKind::UserAgent,
                    value,
                });
            }
            let visitor = Visitor {
                address: peer.addr().ip().to_canonical(),
                port: peer.local().port(),
                tap,
            };
            let mut body = Body::of(&request, tap);
            let (answer, early) = if self.is_answered_before_its_body(&request) {
                let answer = if self.is_too_long(&request) {
                    self.error(413, "", &request, &visitor)
                } else {
                    self.respond(&request, b"", None, false, &visitor)
                };
                (answer, true)
            } else {
                let read = self.read_body(peer, &request, &mut body).await;
                if !matches!(read, Ok(Ok(()))) {
                    body.is_cut = true;
                    // What was offered as far as it came was offered.
                    self.try_credentials(&request, &body.kept, &visitor);
                }
                match read {
                    Ok(Ok(())) => (self.answer(&request, &body.kept, &visitor), false),
                    Ok(Err(417)) => {
                        let expected = request.header("expect").unwrap_or_default();
                        (self.error(417, &escaped(expected), &request, &visitor), false)
                    }
                    Ok(Err(status)) => (self.error(status, "", &request, &visitor), false),
                    // To Apache a body that ends before its length is a bad request; nginx says nothing.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && apache => {
                        (self.error(400, "", &request, &visitor), false)
                    }
                    Err(error) => {
                        self.report(&request, UNANSWERED, body);
                        return Err(error.into());
                    }
                }
            };
            let answer = self.dialect.pack(answer, &request);
            let mut after = self.after(&request, &answer, left);
            // Apache ends the connection behind what it did not understand, and does not say so.
            let unsaid = answer.status == 417;
            if request.version == Version::V09 {
                out.extend_from_slice(&answer.body);
            } else {
                let how = Sending {
                    after,
                    head_only: request.method == b"HEAD",
                    chunks: request.version == Version::V11,
                };
                self.dialect.write(&answer, &how, &self.date.text(), &mut out);
            }
            let mut broken = None;
            if early {
                // What somebody sends who has his answer is evidence all the same.
                match self.read_refused_body(peer, &out, &request, &mut body).await {
                    Ok(true) => {}
                    Ok(false) => (after, body.is_cut) = (After::Closes, true),
                    Err(error) => (broken, body.is_cut) = (Some(error), true),
                }
                out.clear();
                self.try_credentials(&request, &body.kept, &visitor);
            }
            self.report(&request, answer.status, body);
            if let Some(error) = broken {
                return Err(error.into());
            }
            // More requests of a pipeline are answered before anything is sent, up to a bound.
            if unsaid {
                after = After::Closes;
            }
            if after == After::Closes || peer.buffered().is_empty() || out.len() > 64 * 1024 {
                if !out.is_empty() {
                    peer.send(&out).await?;
                }
                out.clear();
                out.shrink_to(4096);
            }
            if after == After::Closes {
                return Ok(());
            }
            peer.set_idle(Duration::from_secs(patience));
        }
        Ok(())
    }

    /// What becomes of the connection after `answer`.
    fn after(&self, request: &Request<'_>, answer: &Answer<'_>, left: u32) -> After {
        let asked = request.connection("keep-alive");
        let wanted = match request.version {
            Version::V09 => false,
            Version::V10 => asked,
            Version::V11 => !request.connection("close"),
        };
        let drops = matches!(answer.status, 400 | 408 | 413 | 414 | 500 | 501 | 505);
        let nginx_trace = request.method == b"TRACE" && self.dialect.product == Product::Nginx;
        let unmarked = request.version == Version::V10 && self.dialect.ends_by_closing(answer);
        // To Apache a visitor that waits for the word to go on, and has nothing to send, waits still.
        let waits = self.dialect.product == Product::Apache
            && request.length == Length::Known(0)
            && request
                .header("expect")
                .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        if !wanted || drops || nginx_trace || unmarked || waits || left == 0 {
            After::Closes
        } else if asked {
            After::StaysAsAsked(left)
        } else {
            After::Stays
        }
    }

    /// Answer what is no request, and end.
    async fn refuse(
        &self,
        peer: &mut Peer,
        tap: &Tap,
        fault: Fault,
        head: Option<&[u8]>,
    ) -> Result<(), SessionError> {
        let bytes = match head {
            Some(head) => head.to_vec(),
            None => {
                let bytes = peer.buffered().to_vec();
                peer.advance(usize::MAX);
                bytes
            }
        };
        tap.emit(Event::Violation {
            what: "not an HTTP request",
            bytes: &bytes,
        });
        if let Some(name) = exploit::of_refused(&bytes) {
            let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
            tap.emit(Event::Exploit {
                name,
                bytes: line.trim_ascii(),
            });
        }
        let (status, note) = self.dialect.verdict(fault);
        let answer = self.dialect.error(status, note, None, peer.local().port());
        self.farewell(peer, &answer).await?;
        Ok(())
    }

    /// The visitor was too slow: nginx says nothing, Apache says so where a request had begun.
    async fn gave_up(&self, peer: &mut Peer, error: io::Error) -> Result<(), SessionError> {
        let begun = leading_blank(peer.buffered()) < peer.buffered().len();
        if error.kind() == io::ErrorKind::TimedOut && begun && self.dialect.product == Product::Apache {
            let answer = self.dialect.error(408, "", None, peer.local().port());
            self.farewell(peer, &answer).await?;
        }
        Err(error.into())
    }

    /// Send the last answer of a connection.
    async fn farewell(&self, peer: &mut Peer, answer: &Answer<'_>) -> io::Result<()> {
        let how = Sending {
            after: After::Closes,
            head_only: false,
            chunks: true,
        };
        let mut out = Vec::new();
        self.dialect.write(answer, &how, &self.date.text(), &mut out);
        peer.send(&out).await
    }

    fn is_too_long(&self, request: &Request<'_>) -> bool {
        matches!(request.length, Length::Known(n) if n > self.dialect.body_max())
    }

    /// Whether the product answers as soon as it has the head: a body that is too long, and on nginx one that no
    /// program waits for.
    fn is_answered_before_its_body(&self, request: &Request<'_>) -> bool {
        if request.length == Length::Known(0) {
            return false;
        }
        let waited_for = self.dialect.product != Product::Nginx
            || self.takes_logins(&request.path)
            || self.has_program(&request.path);
        self.is_too_long(request) || !waited_for
    }

    /// Send `answer`, then read the body of the request that it answers; whether another request can follow it.
    async fn read_refused_body(
        &self,
        peer: &mut Peer,
        answer: &[u8],
        request: &Request<'_>,
        body: &mut Body<'_>,
    ) -> io::Result<bool> {
        peer.send(answer).await?;
        if self.is_too_long(request) {
            return Ok(false);
        }
        Ok(self.read_framed(peer, request, body).await?.is_ok())
    }

    /// Read the body; the status to answer with where it is malformed.
    async fn read_body(
        &self,
        peer: &mut Peer,
        request: &Request<'_>,
        body: &mut Body<'_>,
    ) -> io::Result<Result<(), u16>> {
        let expected = request.header("expect").filter(|value| !value.is_empty());
        let known = expected.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        if expected.is_some() && !known && self.dialect.product == Product::Apache {
            return Ok(Err(417));
        }
        let bodyless = request.length == Length::Known(0);
        // nginx asks for a body of nothing, too.
        if known && (!bodyless || self.dialect.product == Product::Nginx) {
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if bodyless {
            return Ok(Ok(()));
        }
        self.read_framed(peer, request, body).await
    }

    /// Read the body without asking for it.
    async fn read_framed(
        &self,
        peer: &mut Peer,
        request: &Request<'_>,
        body: &mut Body<'_>,
    ) -> io::Result<Result<(), u16>> {
        let kind = request.header("content-type").unwrap_or_default();
        let is_form = kind.to_ascii_lowercase().starts_with(b"multipart/form-data");
        if is_form || request.method == b"PUT" {
            body.capture();
        }
        match request.length {
            Length::Known(n) => {
                read_piece(peer, n, body).await?;
                Ok(Ok(()))
            }
            Length::Chunked => self.read_chunks(peer, body).await,
        }
    }

    async fn read_chunks(&self, peer: &mut Peer, body: &mut Body<'_>) -> io::Result<Result<(), u16>> {
        let mut sum: u64 = 0;
        loop {
            // What is no chunk is told at the end.
            peer.begin_request();
            let Some(size) = read_chunk_size(peer).await? else {
                return Ok(Err(400));
            };
            peer.end_request();
            sum = sum.saturating_add(size);
            if sum > self.dialect.body_max() {
                return Ok(Err(413));
            }
            if size == 0 {
                break;
            }
            read_piece(peer, size, body).await?;
            peer.begin_request();
            if !matches!(peer.read_line(0).await, Ok(Some(_))) {
                return Ok(Err(400));
            }
        }
        // Trailers are read and dropped, as both products do.
        for _ in 0..64 {
            match peer.read_line(super::request::LINE_MAX).await? {
                Some(line) if !line.is_empty() => {}
                _ => return Ok(Ok(())),
            }
        }
        Ok(Err(400))
    }

    /// Report a request and the status that it was answered with.
    fn report(&self, request: &Request<'_>, status: u16, body: Body<'_>) {
        let tap = body.tap;
        for name in exploit::named(request, &body.kept) {
            let bytes = [request.target, &body.kept].join(&b'\n');
            tap.emit(Event::Exploit {
                name,
                bytes: bytes.trim_ascii_end(),
            });
        }
        tap.emit(Event::Request {
            method: request.method,
            target: request.target,
            status,
            headers: &request.headers,
            body: &body.kept,
        });
        // One that is cut is dropped here, and by that reported as truncated.
        if let Some(file) = body.file.filter(|_| !body.is_cut) {
            file.finish();
        }
    }

    fn error(
        &self,
        status: u16,
        note: &str,
        request: &Request<'_>,
        visitor: &Visitor<'_>,
    ) -> Answer<'static> {
        let port = request.port().unwrap_or(visitor.port);
        self.dialect.error(status, note, Some(request), port)
    }

    fn answer<'a>(&'a self, request: &'a Request<'a>, body: &[u8], visitor: &Visitor<'_>) -> Answer<'a> {
        let (offered, admitted) = self.try_credentials(request, body, visitor);
        self.respond(request, body, offered.as_ref(), admitted, visitor)
    }

    /// What the request offers to prove who it is from, and whether that lets it in. Reports the attempt.
    fn try_credentials(
        &self,
        request: &Request<'_>,
        body: &[u8],
        visitor: &Visitor<'_>,
    ) -> (Option<Credentials>, bool) {
        let kind = request.header("content-type").unwrap_or_default();
        let offered = request.header("authorization").and_then(credentials::of_header);
        let offered = offered.or_else(|| credentials::of_form(kind, body));
        let offered = offered.or_else(|| xmlrpc_credentials(&request.path, body));
        let admitted = offered
            .as_ref()
            .is_some_and(|offer| self.try_login(offer, request, visitor));
        (offered, admitted)
    }

    fn respond<'a>(
        &'a self,
        request: &'a Request<'a>,
        body: &[u8],
        offered: Option<&Credentials>,
        admitted: bool,
        visitor: &Visitor<'_>,
    ) -> Answer<'a> {
        let apache = self.dialect.product == Product::Apache;
        let path = request.path.as_slice();
        if path == b"*" {
            return Answer::made(200, "", Vec::new());
        }
        if request.method == b"TRACE" {
            return self.trace(request, visitor);
        }
        if apache && !is_known_method(request.method) {
            return self
                .error(501, "", request, visitor)
                .with("Allow", self.dialect.allow());
        }
        if request.misleading {
            return self.error(400, "", request, visitor);
        }
        if request.unnameable {
            return self.error(404, "", request, visitor);
        }
        if let Some(answer) = self.program(request, body, offered, admitted, visitor) {
            return answer;
        }
        self.stored(request, visitor)
    }

    fn trace(&self, request: &Request<'_>, visitor: &Visitor<'_>) -> Answer<'static> {
        if !self.dialect.traces() {
            let refused = self.error(405, "", request, visitor);
            return if self.dialect.product == Product::Apache {
                refused.with("Allow", "")
            } else {
                refused
            };
        }
        let mut echo = [b"TRACE ", request.target, b" HTTP/1.1\r\n"].concat();
        for (name, value) in &request.headers {
            echo.extend_from_slice(&[*name, b": ", *value, b"\r\n"].concat());
        }
        echo.extend_from_slice(b"\r\n");
        Answer::made(200, "message/http", echo)
    }

    /// What lies in the document root.
    fn stored<'a>(&'a self, request: &'a Request<'a>, visitor: &Visitor<'_>) -> Answer<'a> {
        let apache = self.dialect.product == Product::Apache;
        if self.dialect.denies(&request.path) {
            return self.error(403, "", request, visitor);
        }
        let reads = matches!(request.method, b"GET" | b"HEAD") || (apache && request.method == b"POST");
        if apache && request.method == b"OPTIONS" {
            let kind = self.site.file(&request.path).map_or("", |file| file.content_type);
            return Answer {
                made: false,
                ..Answer::made(200, kind, Vec::new()).with("Allow", self.dialect.allow())
            };
        }
        if apache && !reads {
            return self
                .error(405, "", request, visitor)
                .with("Allow", self.dialect.allow());
        }
        let folders = self.dialect.folders.iter();
        let mut aliased = folders.map(|folder| folder.as_bytes());
        if self.site.folder(&request.path) || aliased.any(|folder| folder == request.path) {
            return self.error(403, "", request, visitor);
        }
        let slashed = [request.path.as_slice(), b"/"].concat();
        if self.site.folder(&slashed) {
            return self.redirect(301, &String::from_utf8_lossy(&slashed), request, visitor);
        }
        let Some(file) = self.site.file(&request.path) else {
            return self.error(404, "", request, visitor);
        };
        if !reads {
            return self.error(405, "", request, visitor);
        }
        if self.unchanged(request, &file.etag, &file.last_modified, file.modified) {
            return Answer {
                status: 304,
                body: Cow::Borrowed(b""),
                ..Answer::file(file)
            };
        }
        let packed = file
            .packed
            .as_ref()
            .filter(|_| coding::is_wanted(self.dialect.product, request));
        let entity = packed.unwrap_or(&file.body);
        let whole = entity.len();
        // nginx serves no part of what it compresses on the way; Apache takes the part of what it has compressed.
        let range = request
            .header("range")
            .filter(|_| packed.is_none() || apache)
            .and_then(|range| parts_of(range, whole));
        let (status, part, body) = match range.as_deref() {
            None => (200, None, entity.as_slice()),
            Some([]) => {
                return Answer {
                    part: Some((0, 0, whole)),
                    ..self.error(416, "", request, visitor)
                };
            }
            Some([(first, last)]) => (
                206,
                Some((*first, *last, whole)),
                entity.get(*first..=*last).unwrap_or_default(),
            ),
            Some(parts) => {
                return Answer {
                    packed: packed.is_some(),
                    ..self.in_parts(parts, entity, file)
                };
            }
        };
        Answer {
            status,
            part,
            packed: packed.is_some(),
            body: Cow::Borrowed(body),
            ..Answer::file(file)
        }
    }

    /// Several parts of a file, each with a head of its own (RFC 9110 section 14.6).
    fn in_parts<'a>(&self, parts: &[(usize, usize)], entity: &[u8], file: &'a File) -> Answer<'a> {
        let (boundary, kind, range) = match self.dialect.product {
            Product::Apache => (format!("{:016x}", self.boundary), "Content-type", "Content-range"),
            _ => {
                let count = self.boundaries.fetch_add(1, Ordering::Relaxed);
                (format!("{count:020}"), "Content-Type", "Content-Range")
            }
        };
        let mut body = Vec::new();
        for (first, last) in parts {
            let head = format!(
                "\r\n--{boundary}\r\n{kind}: {}\r\n{range}: bytes {first}-{last}/{}\r\n\r\n",
                file.content_type,
                entity.len()
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(entity.get(*first..=*last).unwrap_or_default());
        }
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Answer {
            status: 206,
            content_type: Cow::Owned(format!("multipart/byteranges; boundary={boundary}")),
            body: Cow::Owned(body),
            ..Answer::file(file)
        }
    }

    fn unchanged(&self, request: &Request<'_>, etag: &str, last_modified: &str, modified: i64) -> bool {
        if let Some(tags) = request.header("if-none-match") {
            let same = |tag: &[u8]| {
                let tag = tag.trim_ascii();
                tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
            };
            return tags.split(|b| *b == b',').any(same);
        }
        let Some(since) = request.header("if-modified-since") else {
            return false;
        };
        if self.dialect.product == Product::Nginx {
            // `if_modified_since exact`, the default.
            return since == last_modified.as_bytes();
        }
        // A date that is still to come says nothing (RFC 9110 section 13.1.3).
        let now = self.date.clock.now().unix_timestamp();
        parse_http_date(since).is_some_and(|since| modified <= since && since <= now)
    }

    fn redirect(
        &self,
        status: u16,
        to: &str,
        request: &Request<'_>,
        visitor: &Visitor<'_>,
    ) -> Answer<'static> {
        // nginx knows the port that it listens on, Apache believes the visitor first.
        let asked = request.port().filter(|_| self.dialect.product == Product::Apache);
        let port = match asked.unwrap_or(visitor.port) {
            80 => String::new(),
            port => format!(":{port}"),
        };
        let location = match request.host() {
            Some(host) => format!("http://{}{port}{to}", String::from_utf8_lossy(host)),
            None => to.to_owned(),
        };
        self.error(status, &location, request, visitor)
            .with("Location", location)
    }

    fn try_login(&self, offer: &Credentials, request: &Request<'_>, visitor: &Visitor<'_>) -> bool {
        let here = self.takes_logins(&request.path);
        let accepted = match offer {
            Credentials::Password { user, password, .. } => {
                here && self
                    .logins
                    .admits(visitor.address, user, &Offer::Password(password))
            }
            Credentials::Other { .. } => false,
        };
        visitor.tap.emit(Event::AuthAttempt {
            principal: offer.user(),
            secret: offer.secret(),
            mechanism: offer.mechanism(),
            accepted,
        });
        accepted
    }

    /// Whether somebody can sign in at `path`.
    fn takes_logins(&self, path: &[u8]) -> bool {
        match self.site.kind {
            SiteKind::Company | SiteKind::Wordpress => matches!(path, b"/wp-login.php" | b"/xmlrpc.php"),
            SiteKind::Login | SiteKind::Router => matches!(path, b"/" | b"/login" | b"/login.cgi"),
            SiteKind::Tomcat => is_guarded(path),
            SiteKind::Default | SiteKind::Auto => false,
        }
    }

    /// Whether a program behind the server reads what is sent to `path`.
    fn has_program(&self, path: &[u8]) -> bool {
        match self.site.kind {
            SiteKind::Company => path == b"/wp-admin" || path.starts_with(b"/wp-admin/"),
            SiteKind::Wordpress => !self.is_stored(path),
            SiteKind::Login | SiteKind::Router => path == b"/admin" || path.starts_with(b"/admin/"),
            SiteKind::Tomcat => true,
            SiteKind::Default | SiteKind::Auto => false,
        }
    }

    /// Whether the server answers at `path` by itself: what lies in its folders, and what it keeps from visitors.
    fn is_stored(&self, path: &[u8]) -> bool {
        let slashed = [path, b"/"].concat();
        let mut aliased = self.dialect.folders.iter().map(|folder| folder.as_bytes());
        self.dialect.denies(path)
            || (path != b"/" && self.site.file(path).is_some())
            || self.site.folder(path)
            || self.site.folder(&slashed)
            || aliased.any(|folder| folder == path || folder == slashed)
    }

    /// The blog as `request` finds it: at home at the name of its machine, or at the address by which it was asked for.
    fn the_blog(&self, request: &Request<'_>) -> Blog<'_> {
        let persona = &self.host.persona;
        let fits = |host: &&[u8]| {
            host.iter()
                .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(b))
        };
        let own = persona.fqdn();
        let asked = request.host().filter(fits);
        let asked = asked.map_or_else(|| own.clone(), |host| String::from_utf8_lossy(host).into_owned());
        let is_address = asked.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let home = if is_address { &asked } else { &own };
        let port = match request.port() {
            None | Some(80) => String::new(),
            Some(port) => format!(":{port}"),
        };
        Blog {
            persona,
            look: &self.site.look,
            version: self.site.release,
            home: format!("http://{home}{port}"),
            asked: format!("http://{asked}{port}"),
        }
    }

    /// What a program behind the server answers; `None` where there is none at the path.
    fn program<'a>(
        &'a self,
        request: &Request<'_>,
        body: &[u8],
        offered: Option<&Credentials>,
        admitted: bool,
        visitor: &Visitor<'_>,
    ) -> Option<Answer<'a>> {
        match self.site.kind {
            SiteKind::Company => self.blog(request, body, offered, admitted),
            SiteKind::Wordpress => self.blog(request, body, offered, admitted).or_else(|| {
                let path = request.path.as_slice();
                if self.is_stored(path) && !Blog::is_silent(path) {
                    return None;
                }
                let script = path.ends_with(b".php") && !path.starts_with(b"/wp-") && path != b"/index.php";
                // nginx hands the name on to PHP, which looks for the file.
                Some(if script && self.dialect.product == Product::Nginx {
                    Answer::made(404, "text/html; charset=UTF-8", &b"File not found.\n"[..])
                } else {
                    self.the_blog(request).answer(request)
                })
            }),
            SiteKind::Login | SiteKind::Router => self.portal(request, offered, admitted, visitor),
            SiteKind::Tomcat => {
                let tomcat = Tomcat {
                    persona: &self.host.persona,
                    version: self.site.release,
                    favicon: self.site.file(b"/favicon.ico"),
                };
                Some(tomcat.answer(request, offered.filter(|_| admitted)))
            }
            SiteKind::Default | SiteKind::Auto => None,
        }
    }

    fn blog<'a>(
        &'a self,
        request: &Request<'_>,
        body: &[u8],
        offered: Option<&Credentials>,
        admitted: bool,
    ) -> Option<Answer<'a>> {
        let html = "text/html; charset=UTF-8";
        let uncached = |answer: Answer<'a>| {
            answer
                .with("Expires", "Wed, 11 Jan 1984 05:00:00 GMT")
                .with("Cache-Control", "no-cache, must-revalidate, max-age=0")
        };
        let moved =
            |answer: Answer<'a>, to: String| answer.with("X-Redirect-By", "WordPress").with("Location", to);
        let blog = self.the_blog(request);
        match request.path.as_slice() {
            b"/wp-login.php" => {
                let test = "wordpress_test_cookie=WP%20Cookie%20check; path=/; HttpOnly";
                let answer = match offered {
                    Some(offered) if admitted => {
                        let cookie = format!(
                            "{}={}; path=/; HttpOnly",
                            self.cookie_name,
                            self.cookie(offered.user())
                        );
                        let answer = uncached(Answer::made(302, html, Vec::new()));
                        let answer = answer
                            .with("Set-Cookie", test)
                            .with("X-Frame-Options", "SAMEORIGIN")
                            .with("Set-Cookie", cookie);
                        return Some(moved(answer, format!("{}/wp-admin/", blog.home)));
                    }
                    Some(offered) => {
                        let refusal = blog.refusal(offered.user());
                        Answer::made(200, html, blog.login(&refusal).into_bytes())
                    }
                    None => Answer::made(200, html, blog.login("").into_bytes()),
                };
                Some(
                    uncached(answer)
                        .with("Set-Cookie", test)
                        .with("X-Frame-Options", "SAMEORIGIN"),
                )
            }
            // Without an action it does nothing, and says so by a nought.
            b"/wp-admin/admin-ajax.php" => Some(
                uncached(
                    Answer::made(400, html, &b"0"[..])
                        .with("X-Robots-Tag", "noindex")
                        .with("X-Content-Type-Options", "nosniff"),
                )
                .with("X-Frame-Options", "SAMEORIGIN"),
            ),
            path if path == b"/wp-admin" || path.starts_with(b"/wp-admin/") => {
                let user = self.cookie_user(request, &self.cookie_name);
                Some(match user {
                    Some(user) => uncached(Answer::made(200, html, blog.dashboard(&user).into_bytes())),
                    None => {
                        let home = blog.home.replace(':', "%3A").replace('/', "%2F");
                        let to = format!(
                            "{}/wp-login.php?redirect_to={home}%2Fwp-admin%2F&reauth=1",
                            blog.home
                        );
                        moved(uncached(Answer::made(302, html, Vec::new())), to)
                    }
                })
            }
            b"/xmlrpc.php" if request.query() == b"rsd" => Some(Answer::made(
                200,
                "text/xml; charset=UTF-8",
                blog.discovery().into_bytes(),
            )),
            b"/xmlrpc.php" if request.method != b"POST" => Some(
                Answer::made(
                    405,
                    "text/plain;charset=UTF-8",
                    &b"XML-RPC server accepts POST requests only."[..],
                )
                .with("Allow", "POST"),
            ),
            b"/xmlrpc.php" => Some(blog.xmlrpc(body, admitted)),
            _ => None,
        }
    }

    fn portal<'a>(
        &'a self,
        request: &Request<'_>,
        offered: Option<&Credentials>,
        admitted: bool,
        visitor: &Visitor<'_>,
    ) -> Option<Answer<'a>> {
        let html = "text/html; charset=UTF-8";
        let action = if self.site.kind == SiteKind::Router {
            "/login.cgi"
        } else {
            "/login"
        };
        let uncached = |answer: Answer<'a>| {
            answer
                .with("Expires", PHP_EXPIRES)
                .with("Cache-Control", "no-store")
        };
        let at_login = matches!(request.path.as_slice(), b"/" | b"/login" | b"/login.cgi");
        match offered {
            Some(offered) if at_login && request.method == b"POST" && admitted => {
                let cookie = format!("session={}; path=/; HttpOnly", self.cookie(offered.user()));
                Some(
                    uncached(Answer::made(302, html, Vec::new()))
                        .with("Set-Cookie", cookie)
                        .with("Location", "/admin/"),
                )
            }
            Some(_) if at_login && request.method == b"POST" => {
                let look = &self.site.look;
                let page = look.login_page(&self.site.title, action, look.refusal());
                Some(uncached(Answer::made(200, html, page.into_bytes())))
            }
            _ if request.path == action.as_bytes() => {
                let page = self.site.look.login_page(&self.site.title, action, "");
                Some(uncached(Answer::made(200, html, page.into_bytes())))
            }
            _ if request.path == b"/admin" || request.path.starts_with(b"/admin/") => {
                Some(match self.cookie_user(request, "session") {
                    Some(user) => {
                        let page = self.site.look.inside_page(&self.site.title, &user);
                        uncached(Answer::made(200, html, page.into_bytes()))
                    }
                    None => self.redirect(302, "/", request, visitor),
                })
            }
            _ => None,
        }
    }

    /// A cookie that says who signed in: the name, a nonce, and a signature over both, all hex.
    fn cookie(&self, user: &[u8]) -> String {
        let nonce = hex::encode(rand::rng().random::<[u8; 8]>());
        let user = hex::encode(user.get(..64).unwrap_or(user));
        let signature = self.signature(&format!("{user}.{nonce}"));
        format!("{user}.{nonce}.{signature}")
    }

    fn signature(&self, text: &str) -> String {
        let mut mac = match Hmac::<Sha256>::new_from_slice(&self.cookie_key) {
            Ok(mac) => mac,
            // HMAC takes keys of any length.
            Err(_) => return String::new(),
        };
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    fn cookie_user(&self, request: &Request<'_>, name: &str) -> Option<Vec<u8>> {
        let cookies = std::str::from_utf8(request.header("cookie")?).ok()?;
        cookies.split(';').find_map(|cookie| {
            let value = cookie.trim().strip_prefix(name)?.strip_prefix('=')?;
            let (text, signature) = value.rsplit_once('.')?;
            let (user, _nonce) = text.split_once('.')?;
            (self.signature(text) == signature).then(|| hex::decode(user).ok())?
        })
    }
}

fn is_known_method(method: &[u8]) -> bool {
    // Those of RFC 9110, 5789 and WebDAV, which Apache registers by itself.
    [
        &b"GET"[..],
        b"HEAD",
        b"POST",
        b"PUT",
        b"DELETE",
        b"CONNECT",
        b"OPTIONS",
        b"TRACE",
        b"PATCH",
        b"PROPFIND",
        b"PROPPATCH",
        b"MKCOL",
        b"COPY",
        b"MOVE",
        b"LOCK",
        b"UNLOCK",
        b"REPORT",
        b"SEARCH",
    ]
    .contains(&method)
}

/// The account and password of WordPress's XML-RPC calls: their first two string parameters.
fn xmlrpc_credentials(path: &[u8], body: &[u8]) -> Option<Credentials> {
    if path != b"/xmlrpc.php" {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let mut strings = text
        .split("<string>")
        .skip(1)
        .filter_map(|rest| rest.split("</string>").next());
    Some(Credentials::Password {
        user: strings.next()?.as_bytes().to_vec(),
        password: strings.next()?.as_bytes().to_vec(),
        mechanism: "xmlrpc",
    })
}

/// The parts of `len` bytes that a Range header asks for and that there are; `None` where the whole is served: another unit,
/// nonsense, or more in parts than in the whole.
fn parts_of(ranges: &[u8], len: usize) -> Option<Vec<(usize, usize)>> {
    let ranges = std::str::from_utf8(ranges).ok()?.strip_prefix("bytes=")?;
    let asked: Option<Vec<_>> = ranges.split(',').map(|range| part_of(range, len)).collect();
    let parts: Vec<_> = asked?.into_iter().flatten().collect();
    let sum: usize = parts.iter().map(|(first, last)| last - first + 1).sum();
    (parts.len() <= PARTS_MAX && (parts.len() < 2 || sum <= len)).then_some(parts)
}

/// One part of `len` bytes that a Range header asks for (RFC 9110 section 14.1.2): first and last byte; `Some(None)` where
/// it lies outside. `None` where it is nonsense.
fn part_of(range: &str, len: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = range.trim().split_once('-')?;
    let end = len.checked_sub(1)?;
    Some(match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first > last => return None,
        (Ok(first), Ok(last)) => (first <= end).then_some((first, last.min(end))),
        (Ok(first), Err(_)) if last.is_empty() => (first <= end).then_some((first, end)),
        (Err(_), Ok(0)) if first.is_empty() => None,
        (Err(_), Ok(tail)) if first.is_empty() => Some((len.saturating_sub(tail), end)),
        _ => return None,
    })
}

/// The next head; `None` at the end of the stream. While a pipeline's answers wait in `out`, they are sent before more is read.
async fn read_head(
    peer: &mut Peer,
    strictness: Strictness,
    patience: Duration,
    out: &mut Vec<u8>,
) -> io::Result<Option<Result<Vec<u8>, Fault>>> {
    let mut begun = false;
    peer.room().await;
    loop {
        let blank = leading_blank(peer.buffered());
        peer.advance(blank);
        if !peer.buffered().is_empty() {
            match head_end(peer.buffered(), strictness) {
                Progress::Whole(n) => {
                    let head = peer.buffered().get(..n).unwrap_or_default().to_vec();
                    peer.advance(n);
                    return Ok(Some(Ok(head)));
                }
                Progress::Fault(fault) => return Ok(Some(Err(fault))),
                Progress::Partial if !begun => {
                    begun = true;
                    peer.set_idle(patience);
                }
                Progress::Partial => {}
            }
        }
        if !out.is_empty() {
            peer.send(out).await?;
            out.clear();
        }
        if !peer.fill().await? {
            return Ok(None);
        }
    }
}

async fn read_piece(peer: &mut Peer, mut len: u64, body: &mut Body<'_>) -> io::Result<()> {
    while len > 0 {
        if peer.buffered().is_empty() && !peer.fill().await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let part = peer.buffered();
        let room = usize::try_from(len).unwrap_or(usize::MAX);
        let part = part.get(..room).unwrap_or(part);
        let n = part.len();
        body.take(part);
        peer.advance(n);
        len = len.saturating_sub(u64::try_from(n).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// The size of the next chunk; `None` where it is none.
async fn read_chunk_size(peer: &mut Peer) -> io::Result<Option<u64>> {
    let line = match peer.read_line(CHUNK_LINE_MAX).await {
        Ok(line) => line.ok_or(io::ErrorKind::UnexpectedEof)?,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
        Err(error) => return Err(error),
    };
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    Ok(std::str::from_utf8(digits)
        .ok()
        .filter(|digits| !digits.starts_with('+') && digits.len() <= 15)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_the_part_the_rfc_says() {
        assert_eq!(parts_of(b"bytes=0-9", 100), Some(vec![(0, 9)]));
        assert_eq!(parts_of(b"bytes=90-", 100), Some(vec![(90, 99)]));
        assert_eq!(parts_of(b"bytes=-5", 100), Some(vec![(95, 99)]));
        assert_eq!(parts_of(b"bytes=-500", 100), Some(vec![(0, 99)]));
        assert_eq!(parts_of(b"bytes=100-", 100), Some(vec![]));
        assert_eq!(parts_of(b"bytes=0-1, 3-4,200-", 100), Some(vec![(0, 1), (3, 4)]));
        for whole in [
            &b"bytes=5-1"[..],
            b"lines=0-1",
            b"bytes=a-b",
            b"bytes=0-80,10-90",
            b"",
        ] {
            assert_eq!(parts_of(whole, 100), None);
        }
    }

    #[test]
    fn xmlrpc_calls_give_account_and_password() {
        let body = b"<params><param><value><string>eva</string></value></param><param><value><string>x</string></value>";
        let found = xmlrpc_credentials(b"/xmlrpc.php", body).unwrap();
        assert_eq!(found.user(), b"eva");
        assert_eq!(xmlrpc_credentials(b"/", body), None);
    }
}
