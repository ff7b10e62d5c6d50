//! The first lines of a connection, as OpenSSH's `kex_exchange_identification` reads them (kex.c, RFC 4253 section 4.2). The
//! tests of `tests/ssh_control.rs` hold the two against each other.

use std::io;

use decnet_model::event::{ClientInfoKind, Event};

use super::proposal::Refusals;
use crate::serve::{Peer, Tap};

/// The longest identification that OpenSSH reads (SSH_MAX_BANNER_LEN).
const BANNER_MAX: usize = 8_192;

/// What the first line of a client is to OpenSSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identification {
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
pub(super) fn identification(bytes: &[u8]) -> Identification {
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

/// Exchange identifications; the client's without line end, or none where it was turned away.
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
                return Ok(Some(line));
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
                peer.advance(usize::MAX);
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
}
