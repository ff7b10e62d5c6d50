//! The conversation.

use std::{borrow::Cow, io, net::IpAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use decnet_model::{
    clock::SharedClock,
    event::{ClientInfoKind, Event, Secret},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use rand::Rng as _;
use time::OffsetDateTime;

use super::{
    Smtp, SmtpConfig,
    line::{Path, PathFault, split, subject, unquoted},
    words::{EXIM, MICROSOFT, POSTFIX, Words},
};
use crate::{
    Service as _,
    serve::{
        BuildError, Decoy, Full, Host, Peer, Room, SessionError, Tap,
        artifact::Capture,
        login::{Logins, Offer},
        tls::{Ahead, GNUTLS_UNMET, Identity, Tls},
    },
};

/// The longest command line: Postfix's `line_length_limit`.
const LINE_MAX: usize = 2048;
/// The longest command line of Exim, `SMTP_CMD_BUFFER_SIZE`: of a longer one it takes so much and a byte more for a command that it does
/// not know, and the rest for the next.
const EXIM_LINE_MAX: usize = 16 * 1024;
/// The longest line of an authentication: `smtpd_sasl_response_limit`.
const SASL_MAX: usize = 12_288;
/// The longest piece of a mail that is held in memory.
const PIECE_MAX: usize = 8192;
/// How much of a mail is looked through for its subject.
const HEAD_MAX: usize = 8192;
/// `smtpd_recipient_limit`.
const RECIPIENTS_MAX: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Product {
    Postfix,
    Exim,
    Microsoft,
}

/// What all visitors share.
pub(super) struct Server {
    config: SmtpConfig,
    product: Product,
    words: &'static Words,
    /// Major and minor version.
    version: (u32, u32),
    banner: String,
    host: String,
    domain: String,
    /// Names that take mail: accounts, and those that every domain has.
    mailboxes: Vec<String>,
    logins: Logins,
    tls: Option<Tls>,
    clock: SharedClock,
    busy: String,
}

impl Decoy for Smtp {
    fn build(config: SmtpConfig, host: &Arc<Host>) -> Result<Self, BuildError> {
        let persona = &host.persona;
        let told = Self::program(&config, persona)?;
        let (product, words) = match told.name {
            "Exim" => (Product::Exim, &EXIM),
            "Postfix" => (Product::Postfix, &POSTFIX),
            _ => (Product::Microsoft, &MICROSOFT),
        };
        let tls = if config.starttls {
            let fault = |error: &dyn std::fmt::Display| BuildError::of::<Self>(Some("starttls"), error);
            let identity = Identity::snakeoil(host).map_err(|e| fault(&e))?;
            let id = persona.release().id;
            let is_gnutls = product == Product::Exim && matches!(id, "debian" | "ubuntu" | "kali");
            Some(Tls {
                config: identity.server_config(&[]).map_err(|e| fault(&e))?,
                // As all three do; Exim without complaint, because it lets visitors pipeline from the start on (PIPECONNECT).
                ahead: Ahead::Forgotten,
                unmet: if is_gnutls { GNUTLS_UNMET } else { b"" },
            })
        } else {
            None
        };
        let mut version = told
            .version
            .split('.')
            .map(|part| part.parse().unwrap_or_default());
        let roles = [
            "postmaster",
            "abuse",
            "info",
            "sales",
            "support",
            "office",
            "webmaster",
        ];
        let people = persona.users.iter().map(|user| user.name.to_ascii_lowercase());
        let fqdn = persona.fqdn();
        Ok(Self {
            server: Server {
                logins: Logins::new(&config.accept, host),
                config,
                product,
                words,
                version: (
                    version.next().unwrap_or_default(),
                    version.next().unwrap_or_default(),
                ),
                banner: told.banner,
                domain: persona.domain.to_ascii_lowercase(),
                mailboxes: people.chain(roles.map(str::to_owned)).collect(),
                tls,
                clock: Arc::clone(&host.clock),
                busy: format!("{}\r\n", words.busy.replace("{host}", &fqdn)),
                host: fqdn,
            },
        })
    }

    fn room(&self) -> Room {
        match self.server.product {
            // `smtpd_client_connection_count_limit`.
            Product::Postfix => Room {
                each: 50,
                ..Room::default()
            },
            // `smtp_accept_max`.
            Product::Exim => Room {
                all: 20,
                ..Room::default()
            },
            // The receive connector's `MaxInboundConnection` and `MaxInboundConnectionPerSource`.
            Product::Microsoft => Room { all: 5000, each: 20 },
        }
    }

    fn busy(&self, full: Full) -> Cow<'static, [u8]> {
        match full {
            Full::Everyone if self.server.product == Product::Postfix => Cow::Borrowed(b""),
            Full::Everyone => Cow::Owned(self.server.busy.clone().into_bytes()),
            Full::Address(from) => Cow::Owned(
                self.server
                    .busy
                    .replace("{address}", &from.to_string())
                    .into_bytes(),
            ),
        }
    }

    async fn session(&self, peer: Peer, tap: Tap) -> Result<(), SessionError> {
        let mut talk = Talk::new(&self.server, peer, tap);
        let ended = talk.converse().await;
        if let Err(SessionError::Io(error)) = &ended
            && error.kind() == io::ErrorKind::TimedOut
        {
            talk.say(self.server.words.timeout, "");
            // The visitor was silent for too long; whether it still hears this is all the same.
            let _unheard = talk.flush().await;
        }
        if let Some(peer) = talk.peer.take() {
            peer.close().await;
        }
        ended
    }
}

/// A mail on its way in.
#[derive(Default)]
struct Envelope {
    from: Option<Vec<u8>>,
    to: Vec<Vec<u8>>,
    /// A recipient was refused: DATA is then answered differently.
    refused: bool,
    /// How the last one was refused, which Exim tells again.
    refusal: Option<String>,
    chunks: Option<Mail>,
}

/// The text of a mail.
struct Mail {
    file: Capture,
    head: Vec<u8>,
    size: u64,
    /// Whether the last line lacks its end.
    open: bool,
}

impl Mail {
    fn take(&mut self, bytes: &[u8]) {
        self.open = bytes.last().map_or(self.open, |last| *last != b'\n');
        let room = HEAD_MAX.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.size = self
            .size
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.file.write(bytes);
    }
}

/// One visitor.
struct Talk<'a> {
    server: &'a Server,
    /// Gone only while and after TLS fails to begin.
    peer: Option<Peer>,
    tap: Tap,
    address: IpAddr,
    out: Vec<u8>,
    greeted: bool,
    user: Option<Vec<u8>>,
    envelope: Envelope,
    errors: u32,
    /// Commands that Exim did not know: it counts them by themselves, too.
    unknown: u32,
}

/// Whether the conversation goes on.
type Goes = bool;

impl<'a> Talk<'a> {
    fn new(server: &'a Server, mut peer: Peer, tap: Tap) -> Self {
        peer.set_idle(Duration::from_secs(server.words.patience_s));
        Self {
            server,
            address: peer.addr().ip().to_canonical(),
            peer: Some(peer),
            tap,
            out: Vec::new(),
            greeted: false,
            user: None,
            envelope: Envelope::default(),
            errors: 0,
            unknown: 0,
        }
    }

    fn peer(&mut self) -> io::Result<&mut Peer> {
        self.peer
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Append an answer; `arg` is a visitor's word, of which control characters are dropped.
    fn say(&mut self, words: &str, arg: &str) {
        let arg: String = arg.chars().filter(|c| !c.is_control()).take(512).collect();
        let line = words
            .replace("{host}", &self.server.host)
            .replace("{ip}", &self.address.to_string())
            .replace("{arg}", &arg);
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    fn fault(&mut self, words: &str, arg: &str) {
        if self.server.product != Product::Exim {
            self.errors += 1;
            return self.say(words, arg);
        }
        // Exim counts what breaks the protocol, not what it refuses; the last error says that it was too many.
        let (code, text) = words.split_at_checked(4).unwrap_or((words, ""));
        let counts = matches!(code, "500 " | "501 " | "503 " | "501-" | "503-");
        self.errors += u32::from(counts);
        if counts && self.errors >= self.server.words.errors_max {
            let code = code.get(..3).unwrap_or_default();
            self.say(
                &format!("{code}-{text}\r\n{code} Too many syntax or protocol errors"),
                arg,
            );
        } else {
            self.say(words, arg);
        }
    }

    /// A command that Exim does not know.
    fn unknown_to_exim(&mut self) {
        self.unknown += 1;
        if self.unknown >= self.server.words.errors_max {
            self.errors = self.server.words.errors_max;
            self.say("500 Too many unrecognized commands", "");
        } else {
            self.fault(self.server.words.unknown, "");
        }
    }

    /// What Exim answers otherwise than by its wording; whether it did.
    fn exim_alone(&mut self, verb: &[u8], rest: &[u8]) -> bool {
        let colon = rest.contains(&b':');
        let shown = String::from_utf8_lossy(rest).into_owned();
        match verb {
            b"MAIL" | b"RCPT" if !colon => self.unknown_to_exim(),
            b"MAIL" if !self.greeted => self.say("503 HELO or EHLO required", ""),
            b"MAIL" | b"RCPT" if self.envelope.from.is_some() == (verb == b"RCPT") => {
                let path = shown.split_once(':').map_or("", |(_, path)| path.trim());
                let (address, more) = path.split_once('>').unwrap_or((path, ""));
                let inside = address.strip_prefix('<').unwrap_or(address);
                if inside.starts_with('"') {
                    // A quoted local part may hold blanks and brackets (RFC 5321 section 4.1.2).
                    return false;
                } else if verb == b"RCPT" && path == "<>" {
                    self.refused("501 <>: missing or malformed local part", "");
                } else if let Some((word, _)) = inside.split_once(' ') {
                    let words = format!(
                        "501 {{arg}}: \"@\" or \".\" expected after \"{}\"",
                        word.replace(['{', '}'], "")
                    );
                    self.refused(&words, path);
                } else if verb == b"RCPT" && !more.trim().is_empty() {
                    let words = "501 {arg}: malformed address: {more} may not follow {address}> ";
                    let words = words.replace("{more}", more.trim()).replace("{address}", address);
                    self.refused(&words, path);
                } else {
                    return false;
                }
            }
            b"RCPT" => self.refused(self.server.words.rcpt_first, ""),
            b"DATA" | b"RSET" if !rest.is_empty() => self.fault("501 unexpected argument data", ""),
            b"DATA" if self.envelope.to.is_empty() => {
                let words = self.server.words.data_first;
                match self.envelope.refusal.clone() {
                    Some(refusal) => {
                        let words = format!(
                            "503-All RCPT commands were rejected with this error:\r\n503-{refusal}\r\n{words}"
                        );
                        self.fault(&words, "");
                    }
                    None => self.fault(words, ""),
                }
            }
            b"VRFY" if rest.is_empty() => self.say("501 empty address", ""),
            b"VRFY" if !shown.contains('@') && !shown.eq_ignore_ascii_case("postmaster") => {
                self.say("501 {arg}: recipient address must contain a domain", &shown);
            }
            b"VRFY" => self.say(self.server.words.vrfy, ""),
            b"EXPN" => self.say(self.server.words.not_implemented, ""),
            b"TURN" | b"SAML" | b"SEND" | b"SOML" | b"" => self.unknown_to_exim(),
            b"BDAT" => {
                let size = shown
                    .split(' ')
                    .next()
                    .and_then(|digits| digits.parse::<u64>().ok());
                if size.is_some() && !self.envelope.to.is_empty() {
                    return false;
                }
                // What follows a chunk that is not wanted is passed over with it.
                let words = match size {
                    None => "501 missing size for BDAT command",
                    Some(1..) => return false,
                    Some(0) => "503 valid RCPT command must precede BDAT",
                };
                self.fault(words, "");
            }
            _ => return false,
        }
        true
    }

    /// Refuse a recipient, and remember how.
    fn refused(&mut self, words: &str, arg: &str) {
        self.envelope.refusal = Some(words.replace("{arg}", arg));
        self.fault(words, arg);
    }

    async fn flush(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        self.peer()?.send(&out).await
    }

    async fn converse(&mut self) -> Result<(), SessionError> {
        let server = self.server;
        let exim_date = match server.product {
            Product::Exim => format!(" {}", rfc2822(server.clock.now())),
            _ => String::new(),
        };
        let banner = format!("220 {} {}{exim_date}\r\n", server.host, server.banner);
        self.out.extend_from_slice(banner.as_bytes());
        loop {
            if self.peer()?.buffered().is_empty() || self.out.len() > 16 * 1024 {
                self.flush().await?;
            }
            let Some(line) = self.read_command().await? else {
                if server.product == Product::Exim {
                    // Who is only half gone still hears it.
                    self.say("421 {host} lost input connection", "");
                    let _unheard = self.flush().await;
                }
                return Ok(());
            };
            let goes = self.command(&line).await?;
            if self.errors >= server.words.errors_max && server.product == Product::Exim {
                // That it was too many stood in the last answer.
                self.flush().await?;
                return Ok(());
            }
            if self.errors >= server.words.errors_max {
                self.say(server.words.too_many_errors, "");
                self.flush().await?;
                return Ok(());
            }
            if !goes {
                self.flush().await?;
                return Ok(());
            }
        }
    }

    /// The next command line. Of one that is too long its beginning, and its rest is passed over; not by Exim.
    async fn read_command(&mut self) -> io::Result<Option<Vec<u8>>> {
        let is_exim = self.server.product == Product::Exim;
        let peer = self.peer()?;
        peer.begin_request();
        let line = read_line(peer, is_exim).await?;
        if line.is_some() {
            peer.end_request();
        }
        Ok(line)
    }

    async fn command(&mut self, line: &[u8]) -> io::Result<Goes> {
        let words = self.server.words;
        let (verb, rest) = split(line);
        let postfix = self.server.product == Product::Postfix;
        let arg = String::from_utf8_lossy(rest).into_owned();
        let is_overlong = self.server.product == Product::Exim && line.len() > EXIM_LINE_MAX;
        if verb != b"AUTH" || is_overlong {
            self.tap.emit(Event::Command { line, detail: &[] });
        }
        if is_overlong {
            self.unknown_to_exim();
            return Ok(true);
        }
        if self.server.product == Product::Exim && self.exim_alone(&verb, rest) {
            return Ok(true);
        }
        match verb.as_slice() {
            b"HELO" | b"EHLO" => self.hello(&verb, rest),
            b"MAIL" => self.mail(rest),
            b"RCPT" => self.recipient(rest),
            b"DATA" | b"RSET" if postfix && !rest.is_empty() => {
                let syntax = format!("501 5.5.4 Syntax: {}", String::from_utf8_lossy(&verb));
                self.fault(&syntax, "");
            }
            b"DATA" => return self.data().await,
            b"BDAT" => return self.chunk(rest).await,
            b"RSET" => {
                self.envelope = Envelope::default();
                self.say(words.rset, "");
            }
            b"NOOP" => self.say(words.noop, ""),
            b"VRFY" => self.verify(rest, &arg),
            b"XCLIENT" | b"XFORWARD" if postfix => {
                self.fault("550 5.7.0 Error: insufficient authorization", "");
            }
            b"ETRN" if postfix && rest.is_empty() => self.fault("500 Syntax: ETRN domain", ""),
            b"ETRN" => self.say(words.etrn, &arg),
            b"HELP" if !postfix => self.say(words.help, ""),
            b"EXPN" | b"TURN" | b"SAML" | b"SEND" | b"SOML" if !postfix => {
                self.fault(words.not_implemented, "")
            }
            b"QUIT" => {
                self.say(words.quit, "");
                return Ok(false);
            }
            b"STARTTLS" => return self.start_tls(rest).await,
            b"AUTH" => self.authenticate(rest).await?,
            b"GET" | b"POST" | b"CONNECT" if !words.goodbye.is_empty() => {
                self.tap.emit(Event::Violation {
                    what: "not the mail protocol",
                    bytes: line,
                });
                self.say(words.goodbye, "");
                return Ok(false);
            }
            b"" => self.fault(
                if self.server.product == Product::Postfix {
                    words.line_too_long
                } else {
                    words.unknown
                },
                "",
            ),
            _ => {
                // Header lines and the like: somebody relays through an HTTP proxy. Since 3.7, `smtpd_forbidden_commands`
                // also names what begins with no letter.
                let header = verb.contains(&b':') && !words.goodbye.is_empty();
                let bogus = !verb.first().is_some_and(u8::is_ascii_alphabetic);
                if header || bogus && postfix && self.server.version >= (3, 7) {
                    self.tap.emit(Event::Violation {
                        what: "not the mail protocol",
                        bytes: line,
                    });
                    self.say(words.goodbye, "");
                    return Ok(false);
                }
                if self.server.product == Product::Exim {
                    self.unknown_to_exim();
                    return Ok(true);
                }
                let old = self.server.product == Product::Postfix && self.server.version < (3, 7);
                self.fault(
                    if old {
                        "502 5.5.2 Error: command not recognized"
                    } else {
                        words.unknown
                    },
                    "",
                );
            }
        }
        Ok(true)
    }

    fn hello(&mut self, verb: &[u8], rest: &[u8]) {
        let words = self.server.words;
        let name = String::from_utf8_lossy(rest).into_owned();
        let extended = verb == b"EHLO";
        let literal = name.starts_with('[') && name.ends_with(']');
        let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        let exim = self.server.product == Product::Exim;
        let bad = rest.is_empty() || exim && !literal && name.contains(odd);
        if bad && exim {
            // The one error that does not say that it was the last.
            self.errors += 1;
            self.say(
                if extended {
                    words.ehlo_syntax
                } else {
                    words.helo_syntax
                },
                "",
            );
            return;
        }
        if bad && self.server.product != Product::Microsoft {
            self.fault(
                if extended {
                    words.ehlo_syntax
                } else {
                    words.helo_syntax
                },
                "",
            );
            return;
        }
        self.tap.emit(Event::ClientInfo {
            kind: ClientInfoKind::EhloName,
            value: rest,
        });
        self.greeted = true;
        self.envelope = Envelope::default();
        if !extended {
            self.say(words.hello, &name);
            return;
        }
        let mut lines = vec![words.hello.get(4..).unwrap_or_default().to_owned()];
        lines.extend(self.extensions());
        let last = lines.len() - 1;
        for (i, line) in lines.iter().enumerate() {
            let divider = if i == last { ' ' } else { '-' };
            self.say(&format!("250{divider}{line}"), &name);
        }
    }

    fn extensions(&self) -> Vec<String> {
        let server = self.server;
        let size = format!("SIZE {}", server.config.size);
        let auth = server.config.auth.then(|| "AUTH PLAIN LOGIN CRAM-MD5".to_owned());
        let encrypted = self.peer.as_ref().is_some_and(Peer::is_tls);
        let tls = (server.tls.is_some() && !encrypted).then(|| "STARTTLS".to_owned());
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let mut out = Vec::new();
        match server.product {
            Product::Postfix => {
                out.extend([
                    "PIPELINING".to_owned(),
                    size,
                    "VRFY".to_owned(),
                    "ETRN".to_owned(),
                ]);
                out.extend(tls);
                out.extend(auth);
                out.extend(owned(&["ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8"]));
                if server.version >= (3, 4) {
                    out.push("CHUNKING".to_owned());
                }
            }
            Product::Exim => {
                out.extend([size, "8BITMIME".to_owned(), "PIPELINING".to_owned()]);
                out.push(
                    if server.version >= (4, 95) {
                        "PIPECONNECT"
                    } else {
                        "X_PIPE_CONNECT"
                    }
                    .to_owned(),
                );
                out.extend(auth);
                out.push("CHUNKING".to_owned());
                out.extend(tls);
                out.extend(owned(&["PRDR", "HELP"]));
            }
            Product::Microsoft => {
                out.extend(auth);
                out.extend(tls);
                out.push(size);
                out.extend(owned(&[
                    "PIPELINING",
                    "DSN",
                    "ENHANCEDSTATUSCODES",
                    "8bitmime",
                    "BINARYMIME",
                    "CHUNKING",
                    "VRFY",
                    "OK",
                ]));
            }
        }
        out
    }

    fn mail(&mut self, rest: &[u8]) {
        let words = self.server.words;
        if self.envelope.from.is_some() {
            return self.fault(words.mail_nested, "");
        }
        match Path::parse(rest, b"FROM:") {
            Err(PathFault::Syntax) => self.fault(words.mail_syntax, ""),
            Err(PathFault::Address) => {
                self.fault(words.mail_address, &String::from_utf8_lossy(rest));
            }
            Ok(path) => {
                let size = path
                    .parameter("SIZE")
                    .and_then(|digits| std::str::from_utf8(digits).ok());
                let size = size.map_or(Some(0), |digits| digits.parse::<u64>().ok());
                let exim = self.server.product == Product::Exim;
                let Some(size) = size.or(exim.then_some(0)) else {
                    return self.fault("501 5.5.4 Bad message size syntax", "");
                };
                if size > u64::from(self.server.config.size) {
                    return self.fault(words.too_big, "");
                }
                let known = ["SIZE", "BODY", "AUTH", "RET", "ENVID"];
                let unknown = path.parameters.iter().find(|parameter| {
                    if let [body @ .., b'='] = parameter.get(..5).unwrap_or_default()
                        && body.eq_ignore_ascii_case(b"BODY")
                    {
                        let value = parameter.get(5..).unwrap_or_default();
                        return !value.eq_ignore_ascii_case(b"7BIT")
                            && !value.eq_ignore_ascii_case(b"8BITMIME");
                    }
                    let key = parameter.split(|b| *b == b'=').next().unwrap_or_default();
                    !key.eq_ignore_ascii_case(b"SMTPUTF8")
                        && !known.iter().any(|k| key.eq_ignore_ascii_case(k.as_bytes()))
                });
                if let (Some(option), false) = (unknown, exim) {
                    let option = String::from_utf8_lossy(option).into_owned();
                    return self.fault("555 5.5.4 Unsupported option: {arg}", &option);
                }
                let shown = String::from_utf8_lossy(&path.mailbox).into_owned();
                self.envelope.from = Some(path.mailbox);
                self.say(words.mail_ok, &shown);
            }
        }
    }

    fn recipient(&mut self, rest: &[u8]) {
        let words = self.server.words;
        if self.envelope.from.is_none() {
            return self.fault(words.rcpt_first, "");
        }
        let path = match Path::parse(rest, b"TO:") {
            Err(PathFault::Syntax) => return self.fault(words.rcpt_syntax, ""),
            Err(PathFault::Address) => return self.fault(words.rcpt_address, &String::from_utf8_lossy(rest)),
            Ok(path) if path.mailbox.is_empty() => return self.fault(words.rcpt_address, "<>"),
            Ok(path) => path,
        };
        let known = |key: &[u8]| key.eq_ignore_ascii_case(b"NOTIFY") || key.eq_ignore_ascii_case(b"ORCPT");
        let unknown = path
            .parameters
            .iter()
            .find(|p| !known(p.split(|b| *b == b'=').next().unwrap_or_default()));
        if let Some(option) = unknown.filter(|_| self.server.product == Product::Postfix) {
            let option = String::from_utf8_lossy(option).into_owned();
            return self.fault("555 5.5.4 Unsupported option: {arg}", &option);
        }
        let shown = String::from_utf8_lossy(&path.mailbox).into_owned();
        let own = self.server.is_own(&path.parts().1);
        if !own && self.user.is_none() {
            self.tap.emit(Event::ForwardRefused {
                via: "relay",
                target: &path.mailbox,
            });
            self.envelope.refused = true;
            self.fault(words.rcpt_relay, &shown);
        } else if own && !self.server.takes(path.parts().0) {
            self.envelope.refused = true;
            self.fault(words.rcpt_unknown, &shown);
        } else if self.envelope.to.len() == RECIPIENTS_MAX {
            self.fault(words.rcpt_many, "");
        } else {
            self.envelope.to.push(path.mailbox);
            self.say(words.rcpt_ok, &shown);
        }
    }

    fn verify(&mut self, rest: &[u8], arg: &str) {
        let words = self.server.words;
        if rest.is_empty() {
            return self.fault(words.vrfy_syntax, "");
        }
        let shown = arg.trim_matches(['<', '>']).to_owned();
        let (local, domain) = shown.split_once('@').unwrap_or((&shown, ""));
        let own = self.server.is_own(domain.to_ascii_lowercase().as_bytes());
        let known = own && self.server.takes(local.as_bytes());
        if known {
            self.say(words.vrfy, &shown);
        } else if own {
            self.fault(words.vrfy_unknown, &shown);
        } else {
            self.fault(words.rcpt_relay, &shown);
        }
    }

    /// Whether a mail may begin; says why not.
    fn may_begin(&mut self) -> bool {
        let words = self.server.words;
        if !self.envelope.to.is_empty() {
            return true;
        }
        self.fault(
            if self.envelope.refused {
                words.data_none_valid
            } else {
                words.data_first
            },
            "",
        );
        false
    }

    fn new_mail(&self, id: &str) -> Mail {
        let user = self.user.clone().unwrap_or_default();
        Mail {
            file: self.tap.artifact(format!("{id}.eml").as_bytes(), "smtp", &user),
            head: Vec::new(),
            size: 0,
            open: false,
        }
    }

    async fn data(&mut self) -> io::Result<Goes> {
        if self.envelope.chunks.is_some() {
            self.fault("503 5.5.1 Error: DATA after BDAT", "");
            return Ok(true);
        }
        if !self.may_begin() {
            return Ok(true);
        }
        self.say(self.server.words.data_go, "");
        self.flush().await?;
        let id = self.server.queue_id();
        let mut mail = self.new_mail(&id);
        // Whether a line begins: only then a dot is special (RFC 5321 section 4.5.2).
        let mut begins = true;
        loop {
            let Some(piece) = self.peer()?.read_until_lf(PIECE_MAX).await? else {
                // The visitor is gone in the middle; what came is kept, as truncated.
                return Ok(false);
            };
            if begins && matches!(piece.as_slice(), b".\r\n" | b".\n") {
                break;
            }
            let text = match piece.strip_prefix(b".") {
                Some(rest) if begins => rest,
                _ => &piece,
            };
            begins = piece.last() == Some(&b'\n');
            mail.take(text);
        }
        self.accept_mail(mail, &id, None);
        Ok(true)
    }

    async fn chunk(&mut self, rest: &[u8]) -> io::Result<Goes> {
        let words = self.server.words;
        let mut parts = rest.split(u8::is_ascii_whitespace);
        let size = parts.next().and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(size) = size.and_then(|digits| digits.parse::<u64>().ok()) else {
            if self.server.product == Product::Postfix {
                // It cannot tell what follows from commands, and hangs up.
                self.fault("521 5.5.4 Syntax: BDAT count [LAST]", "");
                return Ok(false);
            }
            self.fault("501 5.5.4 Syntax: BDAT count [LAST]", "");
            return Ok(true);
        };
        let last = parts
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case(b"LAST"));
        // The bytes follow in any case (RFC 3030 section 2).
        if !self.may_begin() {
            self.peer()?.skip(size).await?;
            return Ok(true);
        }
        let id = self.server.queue_id();
        let mut mail = match self.envelope.chunks.take() {
            Some(mail) => mail,
            None => self.new_mail(&id),
        };
        let mut left = size;
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(PIECE_MAX).min(PIECE_MAX);
            let bytes = self.peer()?.read_block(piece).await?;
            left -= u64::try_from(bytes.len()).unwrap_or(left);
            mail.take(&bytes);
        }
        if last {
            // Postfix counts in lines, and gives the last one its end.
            let size = mail.size.saturating_add(if mail.open { 2 } else { 0 });
            self.accept_mail(mail, &id, Some(size));
        } else {
            self.envelope.chunks = Some(mail);
            self.say(words.chunk_ok, &size.to_string());
        }
        Ok(true)
    }

    fn accept_mail(&mut self, mail: Mail, id: &str, chunked: Option<u64>) {
        let words = self.server.words;
        let envelope = std::mem::take(&mut self.envelope);
        if mail.size > u64::from(self.server.config.size) {
            // Kept all the same: what is too long for a mail server is not for evidence.
            mail.file.finish();
            return self.fault(words.too_big, "");
        }
        let subject = subject(&mail.head);
        let stored = mail.file.keep();
        self.tap.emit(Event::MailAccepted {
            from: envelope.from.as_deref().unwrap_or_default(),
            to: &envelope.to,
            subject: &subject,
            file: stored.as_captured(),
            queue_id: id,
        });
        let queued = match chunked {
            Some(size) if self.server.product == Product::Postfix => {
                format!("250 2.0.0 Ok: {size} bytes queued as {id}")
            }
            _ => words.queued.replace("{id}", id),
        };
        self.say(&queued, "");
    }

    async fn start_tls(&mut self, rest: &[u8]) -> io::Result<Goes> {
        let words = self.server.words;
        let Some(tls) = &self.server.tls else {
            let postfix = self.server.product == Product::Postfix;
            self.fault(
                if postfix {
                    words.not_implemented
                } else {
                    words.unknown
                },
                "",
            );
            return Ok(true);
        };
        if !rest.is_empty() {
            self.fault(words.tls_syntax, "");
            return Ok(true);
        }
        if self.peer()?.is_tls() {
            self.fault(words.tls_again, "");
            return Ok(true);
        }
        self.say(words.tls_go, "");
        self.flush().await?;
        let peer = self.peer.take().ok_or(io::ErrorKind::NotConnected)?;
        let mut peer = peer.start_tls(tls).await?;
        peer.set_idle(Duration::from_secs(words.patience_s));
        self.peer = Some(peer);
        // Everything said before is forgotten (RFC 3207 section 4.2).
        self.greeted = false;
        self.user = None;
        self.envelope = Envelope::default();
        Ok(true)
    }

    async fn authenticate(&mut self, rest: &[u8]) -> io::Result<()> {
        let words = self.server.words;
        if !self.server.config.auth {
            self.fault(words.auth_off, "");
            return Ok(());
        }
        if !self.greeted && self.server.product == Product::Postfix {
            self.fault("503 5.5.1 Error: send HELO/EHLO first", "");
            return Ok(());
        }
        if self.user.is_some() {
            self.fault(words.auth_again, "");
            return Ok(());
        }
        if self.envelope.from.is_some() {
            self.fault(words.auth_in_mail, "");
            return Ok(());
        }
        let (mechanism, initial) = split(rest);
        let initial = (!initial.is_empty()).then(|| initial.to_vec());
        match mechanism.as_slice() {
            b"" => self.fault(words.auth_syntax, ""),
            b"PLAIN" => self.auth_plain(initial).await?,
            b"LOGIN" => self.auth_login(initial).await?,
            b"CRAM-MD5" => self.auth_cram().await?,
            _ => self.fault(words.auth_mechanism, ""),
        }
        Ok(())
    }

    /// Ask for a response and decode it; `None` where the visitor gives up or sends nonsense, which is answered.
    async fn respond(&mut self, challenge: &str) -> io::Result<Option<Vec<u8>>> {
        self.out
            .extend_from_slice(format!("334 {challenge}\r\n").as_bytes());
        self.flush().await?;
        let line = match self.peer()?.read_line(SASL_MAX).await {
            Ok(line) => line.ok_or(io::ErrorKind::UnexpectedEof)?,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.fault("500 5.5.6 SASL response limit exceeded", "");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if line == b"*" {
            self.fault(self.server.words.auth_aborted, "");
            return Ok(None);
        }
        Ok(self.decode(&line))
    }

    fn decode(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        if text == b"=" {
            return Some(Vec::new());
        }
        let decoded = STANDARD.decode(text.trim_ascii()).ok();
        if decoded.is_none() {
            self.tap.emit(Event::Violation {
                what: "not base64 in AUTH",
                bytes: text,
            });
            self.fault(self.server.words.auth_failed, "");
        }
        decoded
    }

    async fn auth_plain(&mut self, initial: Option<Vec<u8>>) -> io::Result<()> {
        let response = match initial {
            Some(text) => self.decode(&text),
            None => self.respond("").await?,
        };
        let Some(response) = response else { return Ok(()) };
        // authorization identity, account, password (RFC 4616).
        let mut parts = response.splitn(3, |b| *b == 0).skip(1);
        match (parts.next(), parts.next()) {
            (Some(user), Some(password)) => self.password("AUTH PLAIN", user, password),
            _ => self.fault(self.server.words.auth_failed, ""),
        }
        Ok(())
    }

    async fn auth_login(&mut self, initial: Option<Vec<u8>>) -> io::Result<()> {
        let user = match initial {
            Some(text) => self.decode(&text),
            None => self.respond("VXNlcm5hbWU6").await?,
        };
        let Some(user) = user else { return Ok(()) };
        let Some(password) = self.respond("UGFzc3dvcmQ6").await? else {
            return Ok(());
        };
        self.password("AUTH LOGIN", &user, &password);
        Ok(())
    }

    fn password(&mut self, mechanism: &str, user: &[u8], password: &[u8]) {
        let account = self.server.account(user);
        let accepted = self
            .server
            .logins
            .admits(self.address, account, &Offer::Password(password));
        self.judge(mechanism, user, Secret::Plaintext(password), accepted);
    }

    async fn auth_cram(&mut self) -> io::Result<()> {
        let (number, now) = (
            rand::rng().random::<u64>(),
            self.server.clock.now().unix_timestamp(),
        );
        let challenge = format!("<{number}.{now}@{}>", self.server.host);
        let encoded = STANDARD.encode(&challenge);
        let Some(response) = self.respond(&encoded).await? else {
            return Ok(());
        };
        let Some(blank) = response.iter().rposition(|b| *b == b' ') else {
            self.fault(self.server.words.auth_failed, "");
            return Ok(());
        };
        let (user, digest) = response.split_at(blank);
        let digest = digest.get(1..).unwrap_or_default().to_ascii_lowercase();
        let made_with = |password: &[u8]| cram_md5(challenge.as_bytes(), password).as_bytes() == digest;
        let account = self.server.account(user);
        let accepted = self
            .server
            .logins
            .admits(self.address, account, &Offer::Proof(&made_with));
        let secret = Secret::Crackable {
            kind: "cram_md5",
            // hashcat's mode 16400.
            text: format!("$cram_md5${encoded}${}", STANDARD.encode(&response)),
        };
        self.judge("AUTH CRAM-MD5", user, secret, accepted);
        Ok(())
    }

    fn judge(&mut self, mechanism: &str, user: &[u8], secret: Secret<'_>, accepted: bool) {
        self.tap.emit(Event::AuthAttempt {
            principal: user,
            secret,
            mechanism,
            accepted,
        });
        if accepted {
            self.user = Some(user.get(..256).unwrap_or(user).to_vec());
            self.say(self.server.words.auth_ok, "");
        } else {
            self.fault(self.server.words.auth_failed, "");
        }
    }
}

impl Server {
    /// Whether mail for `domain` is this server's own; an empty one is that of a mailbox without domain.
    fn is_own(&self, domain: &[u8]) -> bool {
        domain.is_empty()
            || domain == self.domain.as_bytes()
            || domain == self.host.as_bytes()
            || domain == b"localhost"
    }

    /// Whether `local` is a mailbox here, quoted or not; what follows a `+` is the owner's business.
    fn takes(&self, local: &[u8]) -> bool {
        let local = unquoted(local);
        let local = local.split(|b| *b == b'+').next().unwrap_or_default();
        self.mailboxes
            .iter()
            .any(|name| name.as_bytes().eq_ignore_ascii_case(local))
    }

    /// The account that a user name is for: with or without this server's domain.
    fn account<'u>(&self, user: &'u [u8]) -> &'u [u8] {
        match user.iter().rposition(|b| *b == b'@') {
            Some(at) => {
                let (local, domain) = user.split_at(at);
                let domain = domain.get(1..).unwrap_or_default().to_ascii_lowercase();
                if self.is_own(&domain) { local } else { user }
            }
            None => user,
        }
    }

    /// A queue id as the product makes it.
    fn queue_id(&self) -> String {
        let mut rng = rand::rng();
        match self.product {
            // Microseconds of the second and the inode, in hex (`enable_long_queue_ids = no`).
            Product::Postfix => format!(
                "{:05X}{:X}",
                rng.random_range(0..1_000_000_u32),
                rng.random_range(0x2_0000..0x40_0000_u32)
            ),
            // Seconds, process and fraction, in base 62; four digits for the process until 4.96.
            Product::Exim => {
                let now = u64::try_from(self.clock.now().unix_timestamp()).unwrap_or_default();
                let (pid, fraction) = (rng.random_range(1000..900_000), rng.random_range(0..2000));
                if self.version >= (4, 97) {
                    format!("{}-{}-{}", base62(now, 6), base62(pid, 11), base62(fraction, 4))
                } else {
                    format!("{}-{}-{}", base62(now, 6), base62(pid, 6), base62(fraction, 2))
                }
            }
            Product::Microsoft => {
                let text: String = (0..16)
                    .map(|_| char::from(rng.sample(rand::distr::Alphanumeric)))
                    .collect();
                format!(
                    "{}{text}",
                    self.host.split('.').next().unwrap_or_default().to_uppercase()
                )
            }
        }
    }
}

/// A command line of `peer`, see [`Talk::read_command`]; `None` where it was cut, and at the end.
async fn read_line(peer: &mut Peer, is_exim: bool) -> io::Result<Option<Vec<u8>>> {
    let max = if is_exim { EXIM_LINE_MAX + 1 } else { LINE_MAX };
    let Some(line) = peer.read_until_lf(max).await? else {
        return Ok(None);
    };
    if line.last() == Some(&b'\n') {
        return Ok(Some(line.trim_ascii_end().to_vec()));
    }
    if is_exim {
        return Ok((line.len() == max).then_some(line));
    }
    let mut rest = line.len() == LINE_MAX;
    while rest {
        rest = match peer.read_until_lf(LINE_MAX).await? {
            Some(more) => more.last() != Some(&b'\n'),
            None => false,
        };
    }
    Ok(if line.len() == LINE_MAX { Some(line) } else { None })
}

fn base62(mut number: u64, digits: usize) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = vec!['0'; digits];
    for slot in out.iter_mut().rev() {
        let digit = usize::try_from(number % 62).unwrap_or_default();
        *slot = DIGITS.get(digit).copied().map_or('0', char::from);
        number /= 62;
    }
    out.into_iter().collect()
}

/// The response to a CRAM-MD5 challenge, in hex (RFC 2195).
fn cram_md5(challenge: &[u8], password: &[u8]) -> String {
    match Hmac::<Md5>::new_from_slice(password) {
        Ok(mut mac) => {
            mac.update(challenge);
            hex::encode(mac.finalize().into_bytes())
        }
        // HMAC takes keys of any length.
        Err(_) => String::new(),
    }
}

fn rfc2822(at: OffsetDateTime) -> String {
    at.format(&time::format_description::well_known::Rfc2822)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cram_md5_matches_the_example_of_rfc_2195() {
        assert_eq!(
            cram_md5(b"<1896.697170952@postoffice.reston.mci.net>", b"tanstaaftanstaaf"),
            "b913a602c7eda7a495b4e6e7334d3890"
        );
    }

    #[test]
    fn base_62_counts_as_exim_does() {
        assert_eq!(
            (base62(0, 2), base62(61, 2), base62(62, 2)),
            ("00".into(), "0z".into(), "10".into())
        );
    }
}
