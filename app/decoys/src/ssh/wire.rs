//! Before the encrypted part: identification strings as OpenSSH's `kex_exchange_identification` reads them (kex.c,
//! RFC 4253 section 4.2), the client's packets as its `packet.c` takes or refuses them while nothing is encrypted yet, and
//! the client's HASSH out of its KEXINIT.
//!
//! russh gets whole, right packets only and would close at any other; what OpenSSH says to those is said here. The
//! tests of `tests/ssh_control.rs` hold the two against each other.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use decnet_model::event::{ClientInfoKind, Event, FingerprintKind};
use md5::{Digest as _, Md5};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::proposal::Refusals;
use crate::serve::{Peer, Tap};

/// The longest identification that OpenSSH reads (SSH_MAX_BANNER_LEN).
const BANNER_MAX: usize = 8_192;
/// The longest identification that russh takes, without line end.
const RUSSH_BANNER_MAX: usize = 253;
/// The longest packet that OpenSSH reads (PACKET_MAX_SIZE).
const PACKET_MAX: usize = 256 << 10;
/// What unencrypted packets are a multiple of.
const BLOCK: usize = 8;

const DISCONNECT: u8 = 1;
const IGNORE: u8 = 2;
const UNIMPLEMENTED: u8 = 3;
const DEBUG: u8 = 4;
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;
/// The client's part of a key exchange, but for that of a group exchange, which asks with the second and goes on with
/// the third (RFC 4419).
const KEX_INIT: u8 = 30;
const GEX_REQUEST: u8 = 34;
const GEX_INIT: u8 = 32;
/// The first type that belongs to authentication and later; OpenSSH hangs up on them without a word.
const USERAUTH_MIN: u8 = 50;
/// The first type that no packet on the wire may have (SSH2_MSG_LOCAL_MIN).
const LOCAL_MIN: u8 = 192;

/// What the first line of a client is to OpenSSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identification {
    /// A version string of protocol 2, without line end.
    Version(Vec<u8>),
    /// More bytes are needed.
    Incomplete,
    /// None at all.
    Invalid,
    /// That of another protocol.
    Differs,
}

/// Read an identification out of the bytes that came so far.
#[must_use]
pub(crate) fn identification(bytes: &[u8]) -> Identification {
    let mut line = Vec::new();
    let mut expect_newline = false;
    for &b in bytes {
        match b {
            b'\r' => expect_newline = true,
            b'\n' => {
                if !(line.len() > 4 && line.starts_with(b"SSH-")) {
                    return Identification::Invalid;
                }
                return version(line);
            }
            0 => return Identification::Invalid,
            _ if expect_newline => return Identification::Invalid,
            _ => line.push(b),
        }
        if line.len() > BANNER_MAX {
            return Identification::Invalid;
        }
    }
    Identification::Incomplete
}

/// `SSH-<major>.<minor>-<software>`: what OpenSSH's sscanf takes of it.
fn version(line: Vec<u8>) -> Identification {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.trim_start().parse::<i32>().ok();
    let rest = line.get(4..).unwrap_or_default();
    let mut parts = rest.splitn(2, |b| *b == b'-');
    let numbers = parts.next().unwrap_or_default();
    let software = parts.next().unwrap_or_default();
    let mut numbers = numbers.splitn(2, |b| *b == b'.');
    let (Some(major), Some(minor)) = (numbers.next().and_then(number), numbers.next().and_then(number))
    else {
        return Identification::Invalid;
    };
    if software.is_empty() {
        return Identification::Invalid;
    }
    if major == 2 || (major == 1 && minor == 99) {
        Identification::Version(line)
    } else {
        Identification::Differs
    }
}

/// The identification for russh, which takes less than OpenSSH: where it would refuse the client's, one that it takes.
/// Such a client sees OpenSSH's KEXINIT; it fails later, at the signature of the key exchange, which covers its
/// identification.
fn for_russh(line: &[u8]) -> Vec<u8> {
    let taken = line.len() <= RUSSH_BANNER_MAX
        && std::str::from_utf8(line).is_ok()
        && (line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-"));
    let mut line = if taken {
        line.to_vec()
    } else {
        b"SSH-2.0-OpenSSH".to_vec()
    };
    line.extend_from_slice(b"\r\n");
    line
}

/// Exchange identifications; what russh is to read as the client's, or none where the client was turned away.
pub(super) async fn greet(
    peer: &mut Peer,
    tap: &Tap,
    banner: &str,
    refusals: &Refusals,
) -> io::Result<Option<Vec<u8>>> {
    peer.send(format!("{banner}\r\n").as_bytes()).await?;
    loop {
        match identification(peer.buffered()) {
            Identification::Version(line) => {
                tap.emit(Event::ClientInfo {
                    kind: ClientInfoKind::SshVersion,
                    value: &line,
                });
                let end = peer.buffered().iter().position(|b| *b == b'\n');
                peer.advance(end.map_or(0, |at| at + 1));
                return Ok(Some(for_russh(&line)));
            }
            Identification::Incomplete => {
                if !peer.fill().await? {
                    return Ok(None);
                }
            }
            refused => {
                let bytes = peer.buffered().to_vec();
                tap.emit(Event::Violation {
                    what: "no SSH identification",
                    bytes: &bytes,
                });
                let words = match refused {
                    Identification::Differs => refusals.differs,
                    _ => refusals.invalid,
                };
                peer.send(words.as_bytes()).await?;
                return Ok(None);
            }
        }
    }
}

/// The ten lists of a KEXINIT's payload, and whether a guessed packet follows.
fn kexinit(payload: &[u8]) -> Option<(Vec<&str>, bool)> {
    let (&KEXINIT, rest) = payload.split_first()? else {
        return None;
    };
    let mut rest = rest.get(16..)?;
    let mut lists = Vec::new();
    for _ in 0..10 {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        lists.push(std::str::from_utf8(tail.get(..len)?).ok()?);
        rest = tail.get(len..)?;
    }
    Some((lists, rest.first().is_some_and(|follows| *follows != 0)))
}

/// HASSH of a client: its four lists of client-to-server algorithms and their MD5.
/// Source: Salesforce's specification, "kex;encryption;mac;compression".
#[must_use]
pub(crate) fn hassh(packet: &[u8]) -> Option<(String, String)> {
    let (lists, _) = kexinit(packet.get(5..)?)?;
    let text = [lists.first()?, lists.get(2)?, lists.get(4)?, lists.get(6)?]
        .map(|l| (*l).to_owned())
        .join(";");
    Some((hex::encode(Md5::digest(text.as_bytes())), text))
}

/// A packet that is not encrypted, with OpenSSH's padding: zeros, at least four.
fn packet(payload: &[u8]) -> Vec<u8> {
    let mut padding = BLOCK - (5 + payload.len()) % BLOCK;
    if padding < 4 {
        padding += BLOCK;
    }
    let len = u32::try_from(1 + payload.len() + padding).unwrap_or(0);
    let mut packet = len.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap_or(0));
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// What OpenSSH does with what came.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Waits for more.
    Incomplete,
    /// Takes the packet, which is this long in all.
    Take(usize),
    /// Skips it, and answers so.
    Answer(usize, Vec<u8>),
    /// Hangs up, after these bytes if there are any.
    HangUp(Vec<u8>),
}

/// The client's packets, as long as they are not encrypted.
struct Clear {
    /// Our key exchanges, to know which one is chosen.
    kex: Arc<[String]>,
    /// Number of the next packet.
    seq: u32,
    /// The type that comes next.
    expected: u8,
    strict: bool,
    /// A guessed packet may have to be skipped: russh knows which, and here any type of the key exchange is taken.
    guessed: bool,
}

impl Clear {
    fn new(kex: Arc<[String]>) -> Self {
        Self {
            kex,
            seq: 0,
            expected: KEXINIT,
            strict: false,
            guessed: false,
        }
    }

    /// Look at the bytes from the beginning of a packet on, as `ssh_packet_read_poll2` does.
    fn look(&mut self, bytes: &[u8]) -> Verdict {
        // OpenSSH decides nothing before it has a whole block.
        let (Some(len), Some(_)) = (bytes.first_chunk::<4>(), bytes.get(..BLOCK)) else {
            return Verdict::Incomplete;
        };
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        // It prepares the words "Packet corrupt", but closes before it has sent them.
        if !(5..=PACKET_MAX).contains(&len) || !(4 + len).is_multiple_of(BLOCK) {
            return Verdict::HangUp(Vec::new());
        }
        let Some(whole) = bytes.get(..4 + len) else {
            return Verdict::Incomplete;
        };
        let padding = whole.get(4).copied().unwrap_or_default();
        if padding < 4 {
            return disconnect(&format!("Corrupted padlen {padding} on input."));
        }
        let payload = (4 + len)
            .checked_sub(usize::from(padding))
            .and_then(|end| whole.get(5..end))
            .unwrap_or_default();
        let Some(&kind) = payload.first() else {
            return Verdict::HangUp(Vec::new());
        };
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        self.packet(kind, seq, payload, whole.len())
    }

    fn packet(&mut self, kind: u8, seq: u32, payload: &[u8], len: usize) -> Verdict {
        let expected = kind == self.expected || (self.guessed && (KEX_INIT..USERAUTH_MIN).contains(&kind));
        match kind {
            0 | LOCAL_MIN.. => disconnect(&format!("Invalid ssh2 packet type: {kind}")),
            DISCONNECT => Verdict::Take(len),
            USERAUTH_MIN.. => Verdict::HangUp(Vec::new()),
            IGNORE | UNIMPLEMENTED | DEBUG if !self.strict => Verdict::Take(len),
            _ if expected => self.go_on(payload, seq, len),
            _ if self.strict => disconnect(&format!(
                "strict KEX violation: unexpected packet type {kind} (seqnr {seq})"
            )),
            _ => {
                let mut payload = vec![UNIMPLEMENTED];
                payload.extend_from_slice(&seq.to_be_bytes());
                Verdict::Answer(len, packet(&payload))
            }
        }
    }

    /// The packet that was waited for: what is waited for now.
    fn go_on(&mut self, payload: &[u8], seq: u32, len: usize) -> Verdict {
        self.expected = match self.expected {
            KEXINIT => {
                if let Some((lists, follows)) = kexinit(payload) {
                    let theirs = lists.first().copied().unwrap_or_default();
                    let has = |name: &str| theirs.split(',').any(|n| n == name);
                    let ours = |name: &str| self.kex.iter().any(|n| n == name);
                    self.strict = has("kex-strict-c-v00@openssh.com") && ours("kex-strict-s-v00@openssh.com");
                    self.guessed = follows;
                    if self.strict && seq != 0 {
                        return disconnect("strict KEX violation: KEXINIT was not the first packet");
                    }
                    let chosen = theirs.split(',').find(|name| ours(name));
                    if chosen.is_some_and(|name| name.contains("group-exchange")) {
                        GEX_REQUEST
                    } else {
                        KEX_INIT
                    }
                } else {
                    // russh hangs up on it, as OpenSSH does.
                    KEX_INIT
                }
            }
            GEX_REQUEST => GEX_INIT,
            _ => NEWKEYS,
        };
        Verdict::Take(len)
    }
}

/// OpenSSH's `sshpkt_disconnect`: SSH_DISCONNECT_PROTOCOL_ERROR with these words.
fn disconnect(words: &str) -> Verdict {
    let mut payload = vec![DISCONNECT, 0, 0, 0, 2];
    for text in [words, ""] {
        payload.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
        payload.extend_from_slice(text.as_bytes());
    }
    Verdict::HangUp(packet(&payload))
}

/// Look at `bytes` as at the packets of a client, as far as they are whole; how many bytes russh would see.
#[must_use]
pub(crate) fn fuzz(mut bytes: &[u8]) -> usize {
    let mut clear = Clear::new(Arc::new(["curve25519-sha256".to_owned()]));
    let mut seen = 0;
    loop {
        match clear.look(bytes) {
            Verdict::Incomplete | Verdict::HangUp(_) => return seen,
            Verdict::Take(len) => {
                seen += len;
                bytes = bytes.get(len..).unwrap_or_default();
            }
            Verdict::Answer(len, _) => bytes = bytes.get(len..).unwrap_or_default(),
        }
    }
}

/// The connection as russh gets it: the identifications were exchanged already, and of what is not encrypted it sees what
/// OpenSSH would take.
pub(super) struct Wire {
    peer: Peer,
    tap: Tap,
    /// Bytes of our identification that russh has yet to write and that were sent already.
    sent_already: usize,
    /// What russh is to read before anything else.
    ahead: Vec<u8>,
    /// What came and is no whole packet yet.
    came: Vec<u8>,
    /// Until the client's NEWKEYS.
    clear: Option<Clear>,
    /// A packet that none may be was reported.
    reported: bool,
    /// What is still to be said for OpenSSH.
    saying: Vec<u8>,
    /// Nothing more is read: what was said last was a farewell, or russh has ended the connection. sshd closes at once.
    closed: bool,
    /// The session is over.
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    /// The rest of `peer`'s connection after `greet`, which said `banner` and gave `client`. Ends with `stop`.
    pub(super) fn new(
        peer: Peer,
        tap: Tap,
        banner: &str,
        client: Vec<u8>,
        kex: Arc<[String]>,
        stop: WaitForCancellationFutureOwned,
    ) -> Self {
        Self {
            peer,
            tap,
            sent_already: banner.len() + 2,
            ahead: client,
            came: Vec::new(),
            clear: Some(Clear::new(kex)),
            reported: false,
            saying: Vec::new(),
            closed: false,
            stop: Box::pin(stop),
        }
    }

    fn report(&self, packet: &[u8]) {
        if let Some((hash, raw)) = hassh(packet) {
            self.tap.emit(Event::Fingerprint {
                kind: FingerprintKind::Hassh,
                hash: &hash,
                raw: &raw,
            });
        }
    }

    /// Report what came, the first time; OpenSSH answers any number of them.
    fn violation(&mut self, what: &'static str) {
        if std::mem::replace(&mut self.reported, true) {
            return;
        }
        let bytes = self.came.get(..64).unwrap_or(&self.came);
        self.tap.emit(Event::Violation { what, bytes });
    }

    /// Look at what came; false where more has to come first.
    fn consider(&mut self) -> bool {
        let Some(clear) = &mut self.clear else {
            self.ahead = std::mem::take(&mut self.came);
            return !self.ahead.is_empty();
        };
        let is_kexinit = clear.expected == KEXINIT;
        match clear.look(&self.came) {
            Verdict::Incomplete => return false,
            Verdict::Take(len) => {
                let rest = self.came.split_off(len);
                self.ahead = std::mem::replace(&mut self.came, rest);
                match self.ahead.get(5) {
                    Some(&NEWKEYS) => {
                        self.clear = None;
                        self.ahead.append(&mut self.came);
                    }
                    Some(&KEXINIT) if is_kexinit => self.report(&self.ahead),
                    _ => {}
                }
            }
            Verdict::Answer(len, answer) => {
                self.violation("an SSH packet out of order");
                self.came.drain(..len);
                self.saying = answer;
            }
            Verdict::HangUp(farewell) => {
                self.violation("an SSH packet that none may be");
                self.saying = farewell;
                self.closed = true;
            }
        }
        true
    }

    /// Say what is left to say.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.saying.is_empty() {
            let n = ready!(Pin::new(&mut self.peer).poll_write(cx, &self.saying))?;
            self.saying.drain(..n);
        }
        Pin::new(&mut self.peer).poll_flush(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        loop {
            if wire.stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if !wire.ahead.is_empty() {
                let n = wire.ahead.len().min(buf.remaining());
                buf.put_slice(wire.ahead.get(..n).unwrap_or_default());
                if n == wire.ahead.len() {
                    // A connection that waits keeps no buffer.
                    wire.ahead = Vec::new();
                } else {
                    wire.ahead.drain(..n);
                }
                return Poll::Ready(Ok(()));
            }
            if !wire.saying.is_empty() {
                ready!(wire.poll_say(cx))?;
            }
            if wire.closed {
                return Poll::Ready(Ok(()));
            }
            if wire.clear.is_none() && wire.came.is_empty() {
                return Pin::new(&mut wire.peer).poll_read(cx, buf);
            }
            if !wire.consider() {
                let mut chunk = [0; 2_048];
                let mut chunk = ReadBuf::new(&mut chunk);
                ready!(Pin::new(&mut wire.peer).poll_read(cx, &mut chunk))?;
                if chunk.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
                wire.came.extend_from_slice(chunk.filled());
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.sent_already > 0 {
            let skipped = self.sent_already.min(bytes.len());
            self.sent_already -= skipped;
            return Poll::Ready(Ok(skipped));
        }
        Pin::new(&mut self.peer).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.peer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // russh would go on reading until the client closes, too.
        self.closed = true;
        Pin::new(&mut self.peer).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_before_the_identification_is_answered_as_openssh_does() {
        use Identification::{Differs, Incomplete, Invalid};
        for (bytes, expected) in [
            (&b"SSH-1337-OpenSSH_9\r\n"[..], Invalid),
            (b"GET / HTTP/1.1\r\n", Invalid),
            (b"\n", Invalid),
            (b"\r\r\r\r\r\r\r\r", Incomplete),
            (b"\r\r\r\r\r\r\r\rx", Invalid),
            (b"SSH-1.5-old\r\n", Differs),
            (b"SSH-9.9-new\n", Differs),
            (b"SSH-2.0-\n", Invalid),
            (b"SSH-2.0-Go", Incomplete),
        ] {
            assert_eq!(identification(bytes), expected, "{bytes:?}");
        }
        assert_eq!(
            identification(b"SSH-2.0-Go\r\n"),
            Identification::Version(b"SSH-2.0-Go".to_vec())
        );
        assert_eq!(
            identification(b"SSH-1.99-x\n"),
            Identification::Version(b"SSH-1.99-x".to_vec())
        );
    }

    fn kexinit_of(kex: &str) -> Vec<u8> {
        let mut payload = vec![KEXINIT];
        payload.extend_from_slice(&[7; 16]);
        payload.extend_from_slice(&u32::try_from(kex.len()).unwrap().to_be_bytes());
        payload.extend_from_slice(kex.as_bytes());
        payload.extend_from_slice(&[0; 9 * 4 + 5]);
        packet(&payload)
    }

    fn clear() -> Clear {
        let kex = [
            "curve25519-sha256",
            "diffie-hellman-group-exchange-sha256",
            "kex-strict-s-v00@openssh.com",
        ];
        Clear::new(kex.map(str::to_owned).into())
    }

    fn says(verdict: &Verdict, words: &str) -> bool {
        let Verdict::HangUp(packet) = verdict else {
            return false;
        };
        packet.windows(words.len()).any(|part| part == words.as_bytes())
    }

    #[test]
    fn a_key_exchange_passes_packet_by_packet() {
        for (kex, types) in [
            ("curve25519-sha256", &[KEX_INIT, NEWKEYS][..]),
            (
                "diffie-hellman-group-exchange-sha256,curve25519-sha256",
                &[GEX_REQUEST, GEX_INIT, NEWKEYS],
            ),
        ] {
            let mut clear = clear();
            let init = kexinit_of(kex);
            assert_eq!(
                clear.look(init.get(..init.len() - 1).unwrap()),
                Verdict::Incomplete
            );
            assert_eq!(
                clear.look(&[&init[..], b"more"].concat()),
                Verdict::Take(init.len())
            );
            for kind in types {
                let next = packet(&[*kind, 1, 2, 3]);
                assert_eq!(clear.look(&next), Verdict::Take(next.len()), "{kex}: {kind}");
            }
        }
    }

    #[test]
    fn a_packet_out_of_order_is_answered_or_ends_a_strict_exchange() {
        let service = packet(&[5, 0, 0, 0, 0]);
        let mut lenient = clear();
        let answer = packet(&[UNIMPLEMENTED, 0, 0, 0, 0]);
        assert_eq!(lenient.look(&service), Verdict::Answer(service.len(), answer));
        let strict = kexinit_of("kex-strict-c-v00@openssh.com,curve25519-sha256");
        assert!(says(&lenient.look(&strict), "KEXINIT was not the first packet"));

        let mut strictly = clear();
        assert_eq!(strictly.look(&strict), Verdict::Take(strict.len()));
        let ignored = packet(&[IGNORE, 0, 0, 0, 0]);
        assert!(says(
            &strictly.look(&ignored),
            "strict KEX violation: unexpected packet type 2 (seqnr 1)"
        ));
    }

    #[test]
    fn what_is_no_packet_ends_the_connection() {
        for silent in [[0, 0, 0, 0], [0, 0, 0, 13], [0x7f, 0, 0, 0]] {
            let bytes = [&silent[..], &[0; 12]].concat();
            assert_eq!(clear().look(&bytes), Verdict::HangUp(Vec::new()), "{silent:?}");
        }
        assert!(says(
            &clear().look(&[&[0, 0, 0, 12, 3][..], &[0; 11]].concat()),
            "Corrupted padlen 3 on input."
        ));
        assert!(says(
            &clear().look(&packet(&[200])),
            "Invalid ssh2 packet type: 200"
        ));
        assert_eq!(clear().look(&packet(&[50])), Verdict::HangUp(Vec::new()));
    }

    #[test]
    fn the_fuzz_corpus_is_read_to_its_end() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/ssh_hello");
        let mut whole = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let _either = identification(&bytes);
            let _maybe = hassh(&bytes);
            whole += usize::from(fuzz(&bytes) == bytes.len());
        }
        assert!(whole > 0, "no whole key exchange is among the seeds");
    }
}
