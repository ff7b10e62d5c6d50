//! Packets (RFC 4253, section 6) over a visitor's connection: whole and right ones for the rest of the server, and what
//! OpenSSH's packet.c says to all others.
//!
//! A connection that waits holds no buffer: [`Transport::read`] takes what has come out of the [`Peer`], and what is to go
//! is written and forgotten by [`Transport::flush`].

pub(super) mod cipher;
pub(super) mod mac;
mod umac;

use std::{io, ops::Range};

use cipher::{Material, Open, Opened, PACKET_MAX, Seal};
use decnet_model::event::Event;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{
    fields::Message,
    messages::{DISCONNECT, KEXINIT, LOCAL_MIN, PING, UNIMPLEMENTED, USERAUTH_MIN},
};
use crate::serve::{Peer, SessionError, Tap};

/// How much of a packet is reported that none may be.
const REPORTED: usize = 64;
/// Messages that wait until keys are exchanged: more than any client asks for before it hears that it is to exchange them.
const HELD_MAX: usize = 4_096;
/// What is compressed at once.
const CHUNK: usize = 4_096;

/// A packet that came.
#[derive(Debug)]
pub(super) struct Packet {
    /// Its number.
    pub(super) seq: u32,
    /// All of it, decrypted.
    bytes: Vec<u8>,
    payload: Range<usize>,
}

impl Packet {
    /// The message in it, which has at least one byte.
    pub(super) fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload.clone()).unwrap_or_default()
    }

    /// Which message it is.
    pub(super) fn kind(&self) -> u8 {
        self.payload().first().copied().unwrap_or_default()
    }

    /// What the message says.
    pub(super) fn body(&self) -> &[u8] {
        self.payload().get(1..).unwrap_or_default()
    }
}

/// The connection is over, and what was to be said has been.
pub(super) fn over() -> SessionError {
    SessionError::Io(io::ErrorKind::UnexpectedEof.into())
}

/// The packets of one connection.
pub(super) struct Transport {
    peer: Peer,
    tap: Tap,
    open: Open,
    seal: Seal,
    /// Numbers of the next packets.
    seq_in: u32,
    seq_out: u32,
    /// What is sealed and not sent.
    out: Vec<u8>,
    /// What waits until keys are exchanged, as nothing else may go in between.
    held: Option<Vec<Vec<u8>>>,
    inflate: Option<Box<Decompress>>,
    deflate: Option<Box<Compress>>,
    /// Bytes that passed under the present keys.
    passed: u64,
    /// A packet that none may be was reported.
    reported: bool,
    /// PING is a message, as it is since OpenSSH 9.5.
    pings: bool,
}

impl Transport {
    /// The packets of `peer`, after the identifications.
    pub(super) fn new(peer: Peer, tap: Tap, pings: bool) -> Self {
        Self {
            peer,
            tap,
            open: Open::clear(),
            seal: Seal::clear(),
            seq_in: 0,
            seq_out: 0,
            out: Vec::new(),
            held: None,
            inflate: None,
            deflate: None,
            passed: 0,
            reported: false,
            pings,
        }
    }

    /// The next packet. May be dropped while it waits, and called again.
    pub(super) async fn read(&mut self) -> Result<Packet, SessionError> {
        if self.held.as_ref().is_some_and(|held| held.len() > HELD_MAX) {
            self.tap.emit(Event::Limited {
                what: "messages_before_keys",
                limit: u64::try_from(HELD_MAX).unwrap_or(u64::MAX),
            });
            return Err(over());
        }
        loop {
            match self.open.open(self.seq_in, self.peer.buffered()) {
                Opened::Incomplete => {
                    if !self.peer.fill().await? {
                        return Err(over());
                    }
                }
                // It prepares the words "Packet corrupt", but closes before it has sent them.
                Opened::Corrupt => {
                    let bytes = self.peer.buffered();
                    let bytes = bytes.get(..REPORTED).unwrap_or(bytes).to_vec();
                    self.report("an SSH packet that none may be", &bytes);
                    self.peer.advance(usize::MAX);
                    return Err(over());
                }
                Opened::Packet(bytes, len) => {
                    self.peer.advance(len);
                    self.passed = self.passed.saturating_add(u64::try_from(len).unwrap_or(0));
                    let seq = self.seq_in;
                    self.seq_in = seq.wrapping_add(1);
                    return self.look(seq, bytes).await;
                }
            }
        }
    }

    /// What is in the packet `bytes`, as `ssh_packet_read_poll2` looks at it.
    async fn look(&mut self, seq: u32, bytes: Vec<u8>) -> Result<Packet, SessionError> {
        let padding = bytes.get(4).copied().unwrap_or_default();
        let end = bytes.len().saturating_sub(padding.into());
        let mut packet = Packet {
            seq,
            payload: 5..end,
            bytes,
        };
        if padding < 4 {
            let words = format!("Corrupted padlen {padding} on input.");
            return Err(self.refuse(&packet, &words).await);
        }
        if let Some(stream) = &mut self.inflate {
            let Some(message) = inflated(stream, packet.payload()) else {
                self.report("an SSH packet that none may be", packet.payload());
                return Err(over());
            };
            packet.payload = 0..message.len();
            packet.bytes = message;
        }
        match packet.payload().first() {
            None => {
                self.report("an SSH packet that none may be", &packet.bytes);
                Err(over())
            }
            Some(&PING) if self.pings => Ok(packet),
            Some(&(0 | LOCAL_MIN..)) => {
                let words = format!("Invalid ssh2 packet type: {}", packet.kind());
                Err(self.refuse(&packet, &words).await)
            }
            Some(_) => Ok(packet),
        }
    }

    /// Put a message into the next [`Transport::flush`].
    pub(super) fn push(&mut self, message: Message) {
        let kind = message.0.first().copied().unwrap_or_default();
        let exchanges = matches!(kind, DISCONNECT..SERVICE | KEXINIT..USERAUTH_MIN);
        match &mut self.held {
            Some(held) if !exchanges => held.push(message.0),
            _ => self.seal(&message.0),
        }
    }

    fn seal(&mut self, payload: &[u8]) {
        let before = self.out.len();
        match &mut self.deflate {
            Some(stream) => {
                let payload = deflated(stream, payload);
                self.seal.seal(self.seq_out, &payload, &mut self.out);
            }
            None => self.seal.seal(self.seq_out, payload, &mut self.out),
        }
        self.seq_out = self.seq_out.wrapping_add(1);
        let len = u64::try_from(self.out.len() - before).unwrap_or(0);
        self.passed = self.passed.saturating_add(len);
    }

    /// Send what was put in.
    pub(super) async fn flush(&mut self) -> Result<(), SessionError> {
        if !self.out.is_empty() {
            let out = std::mem::take(&mut self.out);
            self.peer.send(&out).await?;
        }
        Ok(())
    }

    /// Send `message` now.
    pub(super) async fn send(&mut self, message: Message) -> Result<(), SessionError> {
        self.push(message);
        self.flush().await
    }

    /// Say that a packet is none that is known here.
    pub(super) async fn unimplemented(&mut self, packet: &Packet) -> Result<(), SessionError> {
        self.report("an SSH packet out of order", &packet.bytes);
        self.send(Message::new(UNIMPLEMENTED).u32(packet.seq)).await
    }

    /// Report a packet that none may be, and end the connection with these words.
    pub(super) async fn refuse(&mut self, packet: &Packet, words: &str) -> SessionError {
        self.report("an SSH packet that none may be", &packet.bytes);
        self.hang_up(words).await
    }

    /// End the connection as OpenSSH's `sshpkt_disconnect` does: SSH_DISCONNECT_PROTOCOL_ERROR with these words.
    pub(super) async fn hang_up(&mut self, words: &str) -> SessionError {
        let message = Message::new(DISCONNECT)
            .u32(2)
            .string(words.as_bytes())
            .string(b"");
        self.send(message).await.err().unwrap_or_else(over)
    }

    /// Report, the first time; OpenSSH answers any number of them.
    pub(super) fn report(&mut self, what: &'static str, bytes: &[u8]) {
        if !std::mem::replace(&mut self.reported, true) {
            let bytes = bytes.get(..REPORTED).unwrap_or(bytes);
            self.tap.emit(Event::Violation { what, bytes });
        }
    }

    pub(super) fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Nothing but key exchange goes from here on.
    pub(super) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Whether keys are being exchanged.
    pub(super) fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the present keys were used for as long as OpenSSH uses any (`ssh_set_newkeys`): 64 GiB, or 1 GiB where blocks
    /// are small.
    pub(super) fn is_worn(&self, limit: Option<u64>) -> bool {
        let blocks_limit = if self.seal.block < 16 { 1 << 30 } else { 1 << 36 };
        self.held.is_none() && self.passed >= limit.unwrap_or(blocks_limit)
    }

    /// Seal with these keys from the next packet on. Strict key exchange begins to count anew, and compression does. What was
    /// held may go now.
    pub(super) fn seal_with(&mut self, material: &Material, strict: bool) -> Option<()> {
        self.seal = Seal::new(material)?;
        if strict {
            self.seq_out = 0;
        }
        self.passed = 0;
        self.deflate(self.deflate.is_some());
        for message in self.held.take().unwrap_or_default() {
            self.seal(&message);
        }
        Some(())
    }

    /// Open with these keys from the next packet on; as [`Transport::seal_with`].
    pub(super) fn open_with(&mut self, material: &Material, strict: bool) -> Option<()> {
        self.open = Open::new(material)?;
        self.peer.seal_input();
        if strict {
            self.seq_in = 0;
        }
        self.inflate(self.inflate.is_some());
        Some(())
    }

    /// Compress what goes from the next packet on, or not.
    pub(super) fn deflate(&mut self, on: bool) {
        self.deflate = on.then(|| Box::new(Compress::new(Compression::new(6), true)));
    }

    /// As [`Transport::deflate`], for what comes.
    pub(super) fn inflate(&mut self, on: bool) {
        self.inflate = on.then(|| Box::new(Decompress::new(true)));
    }
}

/// The first type after those that are allowed between KEXINIT and NEWKEYS (RFC 4253, section 7.1).
const SERVICE: u8 = 5;

/// What a packet's payload is compressed to (RFC 4253, section 6.2).
fn deflated(stream: &mut Compress, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() / 2 + CHUNK);
    let mut rest = payload;
    loop {
        let before = stream.total_in();
        // It fails only where it is called wrongly.
        let _status = stream.compress_vec(rest, &mut out, FlushCompress::Partial);
        let taken = usize::try_from(stream.total_in() - before).unwrap_or(0);
        rest = rest.get(taken..).unwrap_or_default();
        // Room that is left over says that nothing waits inside.
        if rest.is_empty() && out.len() < out.capacity() {
            return out;
        }
        out.reserve(CHUNK);
    }
}

/// What it was before; `None` where it is no stream, or of more bytes than a packet may have.
fn inflated(stream: &mut Decompress, payload: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = payload;
    loop {
        out.reserve(CHUNK);
        let (before, had) = (stream.total_in(), out.len());
        let status = stream
            .decompress_vec(rest, &mut out, FlushDecompress::Sync)
            .ok()?;
        let taken = usize::try_from(stream.total_in() - before).ok()?;
        rest = rest.get(taken..)?;
        if out.len() > PACKET_MAX || status == Status::StreamEnd {
            return None;
        }
        // Room that is left over says that nothing waits inside.
        if rest.is_empty() && out.len() < out.capacity() {
            return Some(out);
        }
        if taken == 0 && out.len() == had {
            return None;
        }
    }
}

/// Look at `bytes` as at the unencrypted packets of a client, as far as they are whole; how many bytes those have.
#[must_use]
pub(super) fn fuzz(bytes: &[u8], mut seen: impl FnMut(&[u8])) -> usize {
    let mut open = Open::clear();
    let mut rest = bytes;
    for seq in 0.. {
        let Opened::Packet(packet, len) = open.open(seq, rest) else {
            break;
        };
        seen(packet.get(5..).unwrap_or_default());
        rest = rest.get(len..).unwrap_or_default();
    }
    bytes.len() - rest.len()
}

/// `payload` as an unencrypted packet.
pub(super) fn clear(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    Seal::clear().seal(0, payload, &mut packet);
    packet
}

/// Open `bytes` with each kind of cipher, and inflate them.
pub(super) fn fuzz_sealed(bytes: &[u8]) {
    for name in [
        "chacha20-poly1305@openssh.com",
        "aes128-gcm@openssh.com",
        "aes128-ctr",
        "3des-cbc",
    ] {
        for code in ["hmac-sha2-256", "umac-64-etm@openssh.com"] {
            let Some(cipher) = cipher::Kind::of(name) else {
                continue;
            };
            let mac = mac::Kind::of(code);
            let [iv, key, mac_key] = Material::lengths(cipher, mac).map(|len| vec![0; len]);
            let material = Material {
                cipher,
                mac,
                iv,
                key,
                mac_key,
            };
            let _opened = Open::new(&material).map(|mut open| open.open(0, bytes));
        }
    }
    let _inflated = inflated(&mut Decompress::new(true), bytes);
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc, time::Duration};

    use decnet_model::clock::SystemClock;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::Limits,
        serve::{artifact::Artifacts, peer::Bounds, sink::Sink, tap::Evidence},
    };

    #[tokio::test(start_paused = true)]
    async fn who_asks_on_and_on_and_exchanges_no_keys_is_left() {
        let evidence = Arc::new(Evidence {
            sink: Arc::new(Sink::to(io::sink())),
            artifacts: Arc::new(Artifacts::open(None, &Limits::default()).unwrap()),
            clock: Arc::new(SystemClock),
            decky: "decky-01".to_owned(),
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let tap = Tap::of_session(&evidence, "ssh", address, address);
        // Nobody reads and nobody hangs up.
        let (_theirs, ours) = tokio::io::duplex(64);
        let peer = Peer::new(
            ours,
            address,
            address,
            Bounds::from(&Limits::default()),
            tap.clone(),
        );
        let mut transport = Transport::new(peer, tap, true);
        transport.hold();
        let moment = Duration::from_secs(1);
        for _ in 0..HELD_MAX {
            transport.push(Message::new(100));
        }
        assert!(tokio::time::timeout(moment, transport.read()).await.is_err());
        transport.push(Message::new(100));
        assert!(matches!(
            tokio::time::timeout(moment, transport.read()).await,
            Ok(Err(_))
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn what_is_compressed_is_what_it_was(messages in prop::collection::vec(prop::collection::vec(0_u8..8, 1..20_000), 1..4)) {
            let (mut to, mut from) = (Compress::new(Compression::new(6), true), Decompress::new(true));
            for message in messages {
                let packed = deflated(&mut to, &message);
                // Without the values, which would be many.
                prop_assert!(inflated(&mut from, &packed) == Some(message));
            }
        }

        #[test]
        fn any_bytes_are_inflated_or_not(bytes: Vec<u8>) {
            let _either = inflated(&mut Decompress::new(true), &bytes);
        }
    }

    #[test]
    fn a_bomb_is_no_packet() {
        let packed = deflated(&mut Compress::new(Compression::new(6), true), &vec![0; 40 << 20]);
        assert!(packed.len() < 256 << 10);
        assert_eq!(inflated(&mut Decompress::new(true), &packed), None);
    }
}
