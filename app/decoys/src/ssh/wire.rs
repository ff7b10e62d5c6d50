//! Before the encrypted part: identification strings as OpenSSH's `kex_exchange_identification` reads them (kex.c,
//! RFC 4253 section 4.2), and the client's HASSH out of its KEXINIT.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use decnet_model::event::{ClientInfoKind, Event, FingerprintKind};
use md5::{Digest as _, Md5};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::serve::{Peer, Tap};

/// The longest identification that OpenSSH reads (SSH_MAX_BANNER_LEN).
const BANNER_MAX: usize = 8_192;
/// What is looked at for the client's KEXINIT; a packet is at most 35,000 bytes (RFC 4253 section 6.1).
const KEXINIT_MAX: usize = 36_000;

/// What the first line of a client is to OpenSSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identification {
    /// A version string of protocol 2, without line end.
    Version(Vec<u8>),
    /// More bytes are needed.
    Incomplete,
    /// Answered with these words, and closed.
    Refused(&'static [u8]),
}

const INVALID: Identification = Identification::Refused(b"Invalid SSH identification string.\r\n");

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
                    return INVALID;
                }
                return version(line);
            }
            0 => return INVALID,
            _ if expect_newline => return INVALID,
            _ => line.push(b),
        }
        if line.len() > BANNER_MAX {
            return INVALID;
        }
    }
    Identification::Incomplete
}

/// `SSH-<major>.<minor>-<software>`: what OpenSSH's sscanf takes of it.
fn version(line: Vec<u8>) -> Identification {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse::<i32>().ok();
    let rest = line.get(4..).unwrap_or_default();
    let mut parts = rest.splitn(2, |b| *b == b'-');
    let numbers = parts.next().unwrap_or_default();
    let software = parts.next().unwrap_or_default();
    let mut numbers = numbers.splitn(2, |b| *b == b'.');
    let (Some(major), Some(minor)) = (numbers.next().and_then(number), numbers.next().and_then(number))
    else {
        return INVALID;
    };
    if software.is_empty() {
        return INVALID;
    }
    if major == 2 || (major == 1 && minor == 99) {
        Identification::Version(line)
    } else {
        Identification::Refused(b"Protocol major versions differ.\r\n")
    }
}

/// Read and answer the client's identification; false where the client was turned away. Nothing is consumed.
pub(super) async fn greet(peer: &mut Peer, tap: &Tap, banner: &str) -> io::Result<bool> {
    peer.send(format!("{banner}\r\n").as_bytes()).await?;
    loop {
        match identification(peer.buffered()) {
            Identification::Version(line) => {
                tap.emit(Event::ClientInfo {
                    kind: ClientInfoKind::SshVersion,
                    value: &line,
                });
                return Ok(true);
            }
            Identification::Incomplete => {
                if !peer.fill().await? {
                    return Ok(false);
                }
            }
            Identification::Refused(words) => {
                let bytes = peer.buffered().to_vec();
                tap.emit(Event::Violation {
                    what: "no SSH identification",
                    bytes: &bytes,
                });
                peer.send(words).await?;
                return Ok(false);
            }
        }
    }
}

/// HASSH of a client: its four lists of client-to-server algorithms and their MD5.
/// Source: Salesforce's specification, "kex;encryption;mac;compression".
#[must_use]
pub(crate) fn hassh(packet: &[u8]) -> Option<(String, String)> {
    let payload = packet.get(5..)?;
    let (&20, rest) = payload.split_first()? else {
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
    let text = [lists.first()?, lists.get(2)?, lists.get(4)?, lists.get(6)?]
        .map(|l| (*l).to_owned())
        .join(";");
    Some((hex::encode(Md5::digest(text.as_bytes())), text))
}

/// The connection as russh gets it: the identification, which was sent already, is not sent again, and the client's
/// KEXINIT is looked at as it passes.
pub(super) struct Wire {
    peer: Peer,
    tap: Tap,
    /// Bytes of our identification that russh has yet to write and that were sent already.
    sent_already: usize,
    /// What came so far, until the KEXINIT is whole.
    heard: Option<Vec<u8>>,
}

impl Wire {
    pub(super) fn new(peer: Peer, tap: Tap, banner: &str) -> Self {
        Self {
            peer,
            tap,
            sent_already: banner.len() + 2,
            heard: Some(Vec::new()),
        }
    }

    fn listen(&mut self, bytes: &[u8]) {
        let Some(heard) = &mut self.heard else { return };
        heard.extend_from_slice(bytes);
        let Some(start) = heard.iter().position(|b| *b == b'\n').map(|i| i + 1) else {
            return;
        };
        let packet = heard.get(start..).unwrap_or_default();
        let Some(len) = packet.first_chunk::<4>().map(|l| u32::from_be_bytes(*l)) else {
            return;
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if packet.len() >= len.saturating_add(4) {
            if let Some((hash, raw)) = hassh(packet.get(..len + 4).unwrap_or_default()) {
                self.tap.emit(Event::Fingerprint {
                    kind: FingerprintKind::Hassh,
                    hash: &hash,
                    raw: &raw,
                });
            }
            self.heard = None;
        } else if len > KEXINIT_MAX {
            self.tap.emit(Event::Violation {
                what: "an SSH packet longer than any may be",
                bytes: packet.get(..64).unwrap_or(packet),
            });
            self.heard = None;
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.peer).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled {
            self.listen(buf.filled().get(before..).unwrap_or_default());
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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
        Pin::new(&mut self.peer).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_before_the_identification_is_answered_as_openssh_does() {
        let invalid = b"Invalid SSH identification string.\r\n";
        for (bytes, answer) in [
            (&b"SSH-1337-OpenSSH_9\r\n"[..], Some(&invalid[..])),
            (b"GET / HTTP/1.1\r\n", Some(invalid)),
            (b"\n", Some(invalid)),
            (b"\r\r\r\r\r\r\r\r", None),
            (b"\r\r\r\r\r\r\r\rx", Some(invalid)),
            (b"SSH-1.5-old\r\n", Some(b"Protocol major versions differ.\r\n")),
            (b"SSH-9.9-new\n", Some(b"Protocol major versions differ.\r\n")),
            (b"SSH-2.0-\n", Some(invalid)),
            (b"SSH-2.0-Go", None),
        ] {
            let expected = answer.map_or(Identification::Incomplete, Identification::Refused);
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
}
