//! How each product words and orders its answers.
//!
//! nginx's were compared with nginx 1.22.1 (`tests/http.rs`); Apache's follow `modules/http/http_protocol.c` of 2.4,
//! lighttpd's `src/http-header-glue.c` and `connections.c` of 1.4, IIS's the answers of Windows Server 2019.

use std::{borrow::Cow, io::Write as _};

use decnet_persona::Persona;
use time::OffsetDateTime;

use super::{
    coding,
    request::{Fault, Request, Strictness},
};

/// The program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    Nginx,
    Apache,
    Lighttpd,
    Iis,
}

/// A product as it is installed on the persona.
#[derive(Debug)]
pub(super) struct Dialect {
    pub(super) product: Product,
    /// The `Server` header.
    pub(super) banner: String,
    /// Upstream version: major, minor, patch.
    version: [u32; 3],
    /// Whether Apache signs its error pages, as Debian's and Alpine's packages have it.
    signed: bool,
    /// Whether the package compresses, as Debian's have it.
    compresses: bool,
    /// Paths that the package's own configuration keeps from visitors, with all that is below them.
    denied: &'static [&'static str],
    /// Folders of the package's own aliases, which may not be listed.
    pub(super) folders: &'static [&'static str],
    /// Whether Apache answers TRACE, which Debian's packages switch off.
    traces: bool,
    /// The order of methods in Apache's `Allow`: its hash tables are seeded anew in each process.
    allow: &'static str,
    fqdn: String,
}

/// A file of the site.
#[derive(Debug)]
pub(super) struct File {
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// The body in gzip, where the product compresses it.
    pub(super) packed: Option<Vec<u8>>,
    /// Unix time in seconds.
    pub(super) modified: i64,
    pub(super) last_modified: String,
    pub(super) etag: String,
}

/// What happens to the connection after an answer, and what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It stays, as HTTP/1.1 has it.
    Stays,
    /// It stays because the visitor asked, for this many requests more.
    StaysAsAsked(u32),
    /// It ends.
    Closes,
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sending {
    pub(super) after: After,
    /// Whether the body is left out.
    pub(super) head_only: bool,
    /// Whether the visitor knows chunks: HTTP/1.1.
    pub(super) chunks: bool,
}

/// How a visitor learns where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunked,
    /// There is none, or the connection ends with it.
    Untold,
}

/// An answer, but for what the product adds by itself.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// Empty where the answer has none.
    pub(super) content_type: Cow<'a, str>,
    /// The file that is served.
    pub(super) file: Option<&'a File>,
    /// First and last byte of a part, and length of the whole.
    pub(super) part: Option<(usize, usize, usize)>,
    /// Headers that a program behind the server adds.
    pub(super) extra: Vec<(&'static str, String)>,
    /// Whether a program made the body: nginx then does not know its length.
    pub(super) made: bool,
    /// Whether the program is a Tomcat behind the server: it tells the length, and its status line has no reason.
    pub(super) relayed: bool,
    /// Whether the body is in gzip.
    pub(super) packed: bool,
    pub(super) body: Cow<'a, [u8]>,
}

impl<'a> Answer<'a> {
    /// A file, whole.
    pub(super) fn file(file: &'a File) -> Self {
        Self {
            status: 200,
            content_type: Cow::Borrowed(file.content_type),
            file: Some(file),
            part: None,
            extra: Vec::new(),
            made: false,
            relayed: false,
            packed: false,
            body: file.body.as_slice().into(),
        }
    }

    /// What a program answers.
    pub(super) fn made(status: u16, content_type: &'a str, body: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            status,
            content_type: Cow::Borrowed(content_type),
            file: None,
            part: None,
            extra: Vec::new(),
            made: true,
            relayed: false,
            packed: false,
            body: body.into(),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((name, value.into()));
        self
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
pub(super) fn http_date(at: OffsetDateTime) -> String {
    let weekday = at.weekday().to_string();
    let month = at.month().to_string();
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        weekday.get(..3).unwrap_or_default(),
        at.day(),
        month.get(..3).unwrap_or_default(),
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// Unix time of an HTTP date.
pub(super) fn parse_http_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix(" GMT")?;
    let at = OffsetDateTime::parse(
        &format!("{text} +0000"),
        &time::format_description::well_known::Rfc2822,
    );
    at.ok().map(OffsetDateTime::unix_timestamp)
}

impl Dialect {
    /// That of `product` on the machine `persona`.
    pub(super) fn of(persona: &Persona, product: decnet_persona::Product) -> Self {
        let kind = match product.name {
            "nginx" => Product::Nginx,
            "Apache" => Product::Apache,
            "Microsoft-IIS" => Product::Iis,
            _ => Product::Lighttpd,
        };
        let mut version = [0; 3];
        for (slot, number) in version.iter_mut().zip(product.version.split('.')) {
            *slot = number.parse().unwrap_or_default();
        }
        let id = persona.release().id;
        let debian = matches!(id, "debian" | "ubuntu" | "kali");
        let orders = [
            "GET,POST,OPTIONS,HEAD",
            "HEAD,GET,POST,OPTIONS",
            "POST,OPTIONS,HEAD,GET",
            "OPTIONS,HEAD,GET,POST",
        ];
        Self {
            product: kind,
            banner: product.banner,
            version,
            signed: debian || id == "alpine",
            compresses: debian,
            denied: match kind {
                // mods-enabled/status.conf: `Require local`.
                Product::Apache if debian => &["/server-status"],
                _ => &[],
            },
            folders: match (kind, id) {
                // mods-enabled/alias.conf: without `Indexes`.
                (Product::Apache, "debian" | "ubuntu" | "kali") => &["/icons/", "/icons/small/"],
                // httpd.conf: a ScriptAlias.
                (Product::Apache, "rocky" | "fedora") => &["/cgi-bin/"],
                _ => &[],
            },
            traces: !debian,
            allow: persona
                .rng("http/allow")
                .pick(&orders)
                .copied()
                .unwrap_or("GET,POST,OPTIONS,HEAD"),
            fqdn: persona.fqdn(),
        }
    }

    pub(super) fn strictness(&self) -> Strictness {
        match self.product {
            Product::Nginx => Strictness::Nginx {
                strict: self.version >= [1, 21, 1],
            },
            _ => Strictness::Apache,
        }
    }

    /// Whether the configuration that the product comes with denies `path`, whether there is such a thing or not.
    pub(super) fn denies(&self, path: &[u8]) -> bool {
        let below = |denied: &&str| {
            path.strip_prefix(denied.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        // `<FilesMatch "^\.ht">` of every package of Apache.
        (self.product == Product::Apache && path.starts_with(b"/.ht")) || self.denied.iter().any(below)
    }

    pub(super) fn traces(&self) -> bool {
        self.product == Product::Apache && self.traces
    }

    pub(super) fn allow(&self) -> &'static str {
        self.allow
    }

    /// Whether the program is of this version or a later one.
    pub(super) fn is_from(&self, version: [u32; 3]) -> bool {
        self.version >= version
    }

    /// Seconds of patience between requests, and how many one connection may make.
    pub(super) fn keep_alive(&self) -> (u64, u32) {
        match self.product {
            Product::Nginx if self.version >= [1, 19, 10] => (65, 1000),
            Product::Nginx => (65, 100),
            // MaxKeepAliveRequests counts those after the first.
            Product::Apache => (5, 101),
            Product::Lighttpd => (5, 1000),
            Product::Iis => (120, u32::MAX),
        }
    }

    /// The longest body that is taken.
    pub(super) fn body_max(&self) -> u64 {
        match self.product {
            Product::Nginx => 1 << 20,
            Product::Iis => 30_000_000,
            // LimitRequestBody is 1 GiB since 2.4.54; the connection's own limit is met before.
            _ => 1 << 30,
        }
    }

    pub(super) fn reason(&self, status: u16) -> &'static str {
        let nginx = self.product == Product::Nginx;
        match status {
            100 => "Continue",
            200 => "OK",
            201 => "Created",
            206 => "Partial Content",
            301 => "Moved Permanently",
            302 if nginx => "Moved Temporarily",
            302 => "Found",
            304 => "Not Modified",
            400 => "Bad Request",
            401 if nginx => "Authorization Required",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 if nginx => "Not Allowed",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            413 => "Request Entity Too Large",
            414 if nginx => "Request-URI Too Large",
            414 => "Request-URI Too Long",
            416 => "Requested Range Not Satisfiable",
            417 => "Expectation Failed",
            501 => "Not Implemented",
            505 => "HTTP Version Not Supported",
            _ => "Internal Server Error",
        }
    }

    /// Status and note that a malformed request gets.
    pub(super) fn verdict(&self, fault: Fault) -> (u16, &'static str) {
        let nginx = self.product == Product::Nginx;
        match fault {
            Fault::Bad => (400, ""),
            Fault::Version if nginx => (505, ""),
            Fault::Version => (400, ""),
            Fault::LineTooLong => (414, ""),
            Fault::HeaderTooLong if nginx => (400, "Request Header Or Cookie Too Large"),
            Fault::HeaderTooLong => (400, "Size of a request header field exceeds server limit."),
            Fault::TooManyHeaders if nginx => (400, ""),
            Fault::TooManyHeaders => (
                400,
                "The number of request header fields exceeds this server's limit.",
            ),
            Fault::Coding if self.product == Product::Apache => (400, ""),
            Fault::Coding => (501, ""),
        }
    }

    /// The product's own page for `status`.
    pub(super) fn error(
        &self,
        status: u16,
        note: &str,
        request: Option<&Request<'_>>,
        port: u16,
    ) -> Answer<'static> {
        let reason = self.reason(status);
        let (content_type, body) = match self.product {
            Product::Nginx => ("text/html", self.nginx_page(status, reason, note)),
            Product::Apache => (
                "text/html; charset=iso-8859-1",
                self.apache_page(status, reason, note, request, port),
            ),
            Product::Lighttpd => ("text/html", lighttpd_page(status, reason)),
            Product::Iis if status == 400 => ("text/html; charset=us-ascii", iis_refusal(reason)),
            Product::Iis => ("text/html", iis_page(status, reason)),
        };
        Answer {
            made: false,
            ..Answer::made(status, content_type, body.into_bytes())
        }
    }

    fn nginx_page(&self, status: u16, reason: &str, note: &str) -> String {
        let line = format!("{status} {reason}");
        // Only its page for headers that are too large carries a note.
        let (title, note) = if note.is_empty() || status != 400 {
            (line.clone(), String::new())
        } else {
            (format!("{status} {note}"), format!("<center>{note}</center>\r\n"))
        };
        format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{line}</h1></center>\r\n\
             {note}<hr><center>{}</center>\r\n</body>\r\n</html>\r\n",
            self.banner
        )
    }

    fn apache_page(
        &self,
        status: u16,
        reason: &str,
        note: &str,
        request: Option<&Request<'_>>,
        port: u16,
    ) -> String {
        let method = request.map_or_else(String::new, |r| escaped(r.method));
        let text = match status {
            301 | 302 => format!("<p>The document has moved <a href=\"{note}\">here</a>.</p>\n"),
            400 => format!(
                "<p>Your browser sent a request that this server could not understand.<br />\n{note}</p>\n"
            ),
            401 => "<p>This server could not verify that you\nare authorized to access the document\nrequested.  \
                    Either you supplied the wrong\ncredentials (e.g., bad password), or your\nbrowser doesn't \
                    understand how to supply\nthe credentials required.</p>\n"
                .to_owned(),
            403 => "<p>You don't have permission to access this resource.</p>\n".to_owned(),
            404 => "<p>The requested URL was not found on this server.</p>\n".to_owned(),
            405 => format!("<p>The requested method {method} is not allowed for this URL.</p>\n"),
            408 => "<p>Server timeout waiting for the HTTP request from the client.</p>\n".to_owned(),
            413 => {
                let target = request.map_or_else(String::new, |r| escaped(&r.path));
                format!(
                    "The requested resource<br />{target}<br />\ndoes not allow request data with {method} requests, \
                     or the amount of data provided in\nthe request exceeds the capacity limit.\n"
                )
            }
            414 => "<p>The requested URL's length exceeds the capacity\nlimit for this server.<br />\n</p>\n".to_owned(),
            416 => "<p>None of the range-specifier values in the Range\nrequest-header field overlap the current \
                    extent\nof the selected resource.</p>\n"
                .to_owned(),
            417 => format!(
                "<p>The expectation given in the Expect request-header\nfield could not be met by this server.\n\
                 The client sent<pre>\n    Expect: {note}\n</pre>\n</p><p>Only the 100-continue expectation is \
                 supported.</p>\n"
            ),
            501 => format!("<p>{method} not supported for current URL.<br />\n</p>\n"),
            _ => String::new(),
        };
        let signature = if self.signed {
            let host = request
                .and_then(Request::host)
                .map_or_else(|| self.fqdn.clone(), escaped);
            format!(
                "<hr>\n<address>{} Server at {host} Port {port}</address>\n",
                self.banner
            )
        } else {
            String::new()
        };
        format!(
            "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>{status} {reason}</title>\n\
             </head><body>\n<h1>{reason}</h1>\n{text}{signature}</body></html>\n"
        )
    }

    /// Whether such a body is compressed for those who want it.
    pub(super) fn compresses(&self, status: u16, content_type: &str, len: usize) -> bool {
        self.compresses && coding::compresses(self.product, status, content_type, len)
    }

    /// Compress what was made for `request`, where the product does so. A file is compressed once, when the site is made.
    pub(super) fn pack<'a>(&self, answer: Answer<'a>, request: &Request<'_>) -> Answer<'a> {
        // Apache sends its own error pages past the filter; nginx compresses those, too.
        let filtered = answer.file.is_none() && (answer.made || self.product == Product::Nginx);
        if !filtered
            || !self.compresses(answer.status, &answer.content_type, answer.body.len())
            || !coding::is_wanted(self.product, request)
        {
            return answer;
        }
        Answer {
            packed: true,
            body: Cow::Owned(coding::gzip(self.product, &answer.body)),
            ..answer
        }
    }

    /// Whether the end of `answer` shows only by the end of the connection, to a visitor who knows no chunks.
    pub(super) fn ends_by_closing(&self, answer: &Answer<'_>) -> bool {
        self.product == Product::Nginx && answer.made && !answer.relayed && !answer.body.is_empty()
    }

    /// Append the head of `answer`, and its body unless `head_only`. One buffer, so that it is sent by one write.
    pub(super) fn write(&self, answer: &Answer<'_>, how: &Sending, date: &str, out: &mut Vec<u8>) {
        let bodyless = matches!(answer.status, 100 | 304);
        let unknown = match self.product {
            Product::Nginx => ((answer.made && !answer.relayed) || answer.packed) && !answer.body.is_empty(),
            // This page is made behind the filter that counts.
            Product::Apache => answer.status == 416,
            Product::Lighttpd | Product::Iis => false,
        };
        let length = match (unknown && !bodyless, how) {
            (false, _) => Length::Known(answer.body.len()),
            (true, Sending { head_only: true, .. } | Sending { chunks: false, .. }) => Length::Untold,
            (true, _) => Length::Chunked,
        };
        out.reserve(512 + answer.body.len());
        // nginx and mod_proxy send the status line on as they got it.
        let reason = if answer.relayed {
            ""
        } else {
            self.reason(answer.status)
        };
        // Writing to a Vec cannot fail.
        let _infallible = write!(out, "HTTP/1.1 {} {reason}\r\n", answer.status);
        match self.product {
            Product::Nginx => self.nginx_head(out, answer, how.after, length, date),
            Product::Apache => self.apache_head(out, answer, how.after, length, date),
            Product::Lighttpd | Product::Iis => self.other_head(out, answer, how.after, date),
        }
        out.extend_from_slice(b"\r\n");
        if how.head_only || bodyless {
            return;
        }
        if length == Length::Chunked {
            let _infallible = write!(out, "{:x}\r\n", answer.body.len());
            out.extend_from_slice(&answer.body);
            out.extend_from_slice(b"\r\n0\r\n\r\n");
        } else {
            out.extend_from_slice(&answer.body);
        }
    }

    fn nginx_head(&self, head: &mut Vec<u8>, answer: &Answer<'_>, after: After, length: Length, date: &str) {
        line(head, "Server", &self.banner);
        line(head, "Date", date);
        let unchanged = answer.status == 304;
        if !unchanged && !answer.content_type.is_empty() {
            line(head, "Content-Type", &answer.content_type);
        }
        if let Length::Known(n) = length
            && !unchanged
        {
            number(head, "Content-Length", n);
        }
        if let Some(file) = answer.file {
            line(head, "Last-Modified", &file.last_modified);
        }
        let location = |(name, _): &&(&'static str, String)| *name == "Location";
        if let Some((name, value)) = answer.extra.iter().find(location) {
            line(head, name, value);
        }
        if length == Length::Chunked {
            line(head, "Transfer-Encoding", "chunked");
        }
        line(
            head,
            "Connection",
            if after == After::Closes {
                "close"
            } else {
                "keep-alive"
            },
        );
        for (name, value) in answer.extra.iter().filter(|e| !location(e)) {
            line(head, name, value);
        }
        if let Some(file) = answer.file {
            if answer.packed {
                // The same content, and not the same bytes: the tag becomes a weak one.
                pieces(head, &["ETag: W/", &file.etag]);
            } else {
                line(head, "ETag", &file.etag);
            }
        }
        if answer.packed {
            line(head, "Content-Encoding", "gzip");
        } else {
            self.ranges(head, answer);
        }
    }

    fn apache_head(&self, head: &mut Vec<u8>, answer: &Answer<'_>, after: After, length: Length, date: &str) {
        line(head, "Date", date);
        line(head, "Server", &self.banner);
        let unchanged = answer.status == 304;
        if let Some(file) = answer.file {
            if !unchanged {
                line(head, "Last-Modified", &file.last_modified);
            }
            match file.etag.strip_suffix('"') {
                Some(tag) if answer.packed => pieces(head, &["ETag: ", tag, "-gzip\""]),
                _ => line(head, "ETag", &file.etag),
            }
            if !unchanged {
                line(head, "Accept-Ranges", "bytes");
            }
        }
        for (name, value) in &answer.extra {
            line(head, name, value);
        }
        // The headers of another server stay in their order.
        let told = !unchanged && !answer.content_type.is_empty();
        if answer.relayed && told {
            line(head, "Content-Type", &answer.content_type);
        }
        // What the filter has touched stands ahead of the length, what it would touch for others stands behind.
        if answer.packed {
            line(head, "Vary", "Accept-Encoding");
            line(head, "Content-Encoding", "gzip");
            self.ranges(head, answer);
        }
        if let Length::Known(n) = length
            && !unchanged
        {
            number(head, "Content-Length", n);
        }
        if !answer.packed {
            let whole = answer.part.map_or(answer.body.len(), |(_, _, whole)| whole);
            if (answer.file.is_some() || answer.made)
                && self.compresses(answer.status, &answer.content_type, whole)
            {
                line(head, "Vary", "Accept-Encoding");
            }
            self.ranges(head, answer);
        }
        if length == Length::Chunked {
            line(head, "Transfer-Encoding", "chunked");
        }
        match after {
            After::Stays => {}
            After::StaysAsAsked(left) => {
                let _infallible = write!(head, "Keep-Alive: timeout=5, max={left}\r\n");
                line(head, "Connection", "Keep-Alive");
            }
            After::Closes => line(head, "Connection", "close"),
        }
        if told && !answer.relayed {
            line(head, "Content-Type", &answer.content_type);
        }
    }

    fn other_head(&self, head: &mut Vec<u8>, answer: &Answer<'_>, after: After, date: &str) {
        let iis = self.product == Product::Iis;
        // What HTTP.sys refuses never reaches IIS.
        let banner = if iis && answer.status == 400 {
            "Microsoft-HTTPAPI/2.0"
        } else {
            &self.banner
        };
        if !answer.content_type.is_empty() {
            line(head, "Content-Type", &answer.content_type);
        }
        for (name, value) in &answer.extra {
            line(head, name, value);
        }
        if let Some(file) = answer.file {
            let entries = [
                ("Last-Modified", file.last_modified.as_str()),
                ("Accept-Ranges", "bytes"),
                ("ETag", file.etag.as_str()),
            ];
            for (name, value) in entries {
                line(head, name, value);
            }
            self.ranges(head, answer);
        }
        let length = answer.body.len();
        if iis {
            line(head, "Server", banner);
            line(head, "Date", date);
        } else {
            number(head, "Content-Length", length);
        }
        if after == After::Closes {
            line(head, "Connection", "close");
        }
        if iis {
            number(head, "Content-Length", length);
        } else {
            line(head, "Date", date);
            line(head, "Server", banner);
        }
    }

    fn ranges(&self, head: &mut Vec<u8>, answer: &Answer<'_>) {
        match answer.part {
            Some(_) if answer.status == 416 && self.product == Product::Apache => {}
            Some((_, _, whole)) if answer.status == 416 => {
                line(head, "Content-Range", &format!("bytes */{whole}"));
            }
            Some((first, last, whole)) => {
                line(head, "Content-Range", &format!("bytes {first}-{last}/{whole}"));
            }
            None if self.product == Product::Nginx && answer.file.is_some() && answer.status == 200 => {
                line(head, "Accept-Ranges", "bytes");
            }
            None => {}
        }
    }

    /// The entity tag as the product makes it of size and time.
    pub(super) fn etag(&self, len: usize, modified: i64, inode: u32) -> String {
        match self.product {
            Product::Nginx => format!("\"{modified:x}-{len:x}\""),
            // The modification time in microseconds; files of packages have whole seconds.
            Product::Apache => format!("\"{len:x}-{:x}\"", modified.saturating_mul(1_000_000)),
            Product::Lighttpd => format!("\"{inode}\""),
            Product::Iis => format!("\"{:x}1d9:0\"", modified),
        }
    }
}

fn line(head: &mut Vec<u8>, name: &str, value: &str) {
    pieces(head, &[name, ": ", value]);
}

/// A line made of `pieces`.
fn pieces(head: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        head.extend_from_slice(piece.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
}

fn number(head: &mut Vec<u8>, name: &str, value: usize) {
    // Writing to a Vec cannot fail.
    let _infallible = write!(head, "{name}: {value}\r\n");
}

/// Visitor's bytes inside HTML, as `ap_escape_html` has them.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

fn lighttpd_page(status: u16, reason: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 \
         Transitional//EN\"\n         \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n<html \
         xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n <head>\n  <title>{status} \
         {reason}</title>\n </head>\n <body>\n  <h1>{status} {reason}</h1>\n </body>\n</html>\n"
    )
}

fn iis_refusal(reason: &str) -> String {
    format!(
        "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"\"http://www.w3.org/TR/html4/strict.dtd\">\r\n\
         <HTML><HEAD><TITLE>{reason}</TITLE>\r\n<META HTTP-EQUIV=\"Content-Type\" Content=\"text/html; \
         charset=us-ascii\"></HEAD>\r\n<BODY><h2>{reason} - Invalid Verb</h2>\r\n<hr><p>HTTP Error 400. The request \
         verb is invalid.</p>\r\n</BODY></HTML>\r\n"
    )
}

fn iis_page(status: u16, reason: &str) -> String {
    format!(
        "<!DOCTYPE html>\r\n<html>\r\n<head>\r\n<title>{status} - {reason}</title>\r\n</head>\r\n<body>\r\n\
         <h1>Server Error</h1>\r\n<h2>{status} - {reason}</h2>\r\n</body>\r\n</html>\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_rfc_both_ways() {
        let at = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            parse_http_date(b"Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(parse_http_date(b"yesterday"), None);
    }

    #[test]
    fn a_visitors_words_stay_words_in_a_page() {
        assert_eq!(escaped(b"<x \"&\r\n>"), "&lt;x &quot;&amp;&gt;");
    }
}
