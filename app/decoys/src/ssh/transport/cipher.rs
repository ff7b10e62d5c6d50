//! Encryption of packets (RFC 4253, section 6): one [`Seal`] for what goes, one [`Open`] for what comes.
//!
//! Sources: RFC 4344 (counter modes), RFC 5647 and OpenSSH's PROTOCOL (GCM), PROTOCOL.chacha20poly1305, and PROTOCOL,
//! section 1.6 (encrypt-then-mac).

use aes::{Aes128, Aes192, Aes256};
use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey,
    chacha20_poly1305_openssh::{OpeningKey, SealingKey},
};
use cbc::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser, KeyIvInit, StreamCipher};
use des::TdesEde3;
use rand::Rng as _;

use super::mac::{self, Mac};

/// The longest packet, without its length and its tag (PACKET_MAX_SIZE of OpenSSH's packet.c).
pub(super) const PACKET_MAX: usize = 256 << 10;
/// What packets are a multiple of at least.
const BLOCK_MIN: usize = 8;
const TAG: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    ChaCha20Poly1305,
    Gcm,
    Ctr,
    Cbc,
}

/// A kind of cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ssh) struct Kind {
    mode: Mode,
    pub(super) key_len: usize,
    pub(super) iv_len: usize,
    pub(super) block: usize,
}

impl Kind {
    /// The kind that is called `name`.
    pub(in crate::ssh) fn of(name: &str) -> Option<Self> {
        let (mode, key_len, iv_len, block) = match name {
            "chacha20-poly1305@openssh.com" => (Mode::ChaCha20Poly1305, 64, 0, 8),
            "aes128-gcm@openssh.com" => (Mode::Gcm, 16, 12, 16),
            "aes256-gcm@openssh.com" => (Mode::Gcm, 32, 12, 16),
            "aes128-ctr" => (Mode::Ctr, 16, 16, 16),
            "aes192-ctr" => (Mode::Ctr, 24, 16, 16),
            "aes256-ctr" => (Mode::Ctr, 32, 16, 16),
            "3des-ctr" => (Mode::Ctr, 24, 8, 8),
            "aes128-cbc" => (Mode::Cbc, 16, 16, 16),
            "aes192-cbc" => (Mode::Cbc, 24, 16, 16),
            "aes256-cbc" => (Mode::Cbc, 32, 16, 16),
            "3des-cbc" => (Mode::Cbc, 24, 8, 8),
            _ => return None,
        };
        Some(Self {
            mode,
            key_len,
            iv_len,
            block,
        })
    }

    /// It needs no MAC beside it.
    pub(in crate::ssh) fn is_whole(self) -> bool {
        matches!(self.mode, Mode::ChaCha20Poly1305 | Mode::Gcm)
    }
}

/// What a key exchange gives for one direction.
pub(in crate::ssh) struct Material {
    pub(in crate::ssh) cipher: Kind,
    /// Of a cipher that needs one.
    pub(in crate::ssh) mac: Option<mac::Kind>,
    pub(in crate::ssh) iv: Vec<u8>,
    pub(in crate::ssh) key: Vec<u8>,
    pub(in crate::ssh) mac_key: Vec<u8>,
}

impl Material {
    /// How many bytes of everything it takes: IV, key and key of the MAC.
    pub(in crate::ssh) fn lengths(cipher: Kind, mac: Option<mac::Kind>) -> [usize; 3] {
        [cipher.iv_len, cipher.key_len, mac.map_or(0, |mac| mac.key_len)]
    }
}

/// A cipher that goes over all bytes in their order.
trait Transform: Send + Sync {
    /// Over `bytes`, whole blocks.
    fn apply(&mut self, bytes: &mut [u8]);
}

struct Keystream<C>(C);
struct Encrypting<C>(C);
struct Decrypting<C>(C);

impl<C: StreamCipher + Send + Sync> Transform for Keystream<C> {
    fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

impl<C: BlockModeEncrypt + Send + Sync> Transform for Encrypting<C> {
    fn apply(&mut self, bytes: &mut [u8]) {
        let (blocks, _no_rest) = Array::<u8, C::BlockSize>::slice_as_chunks_mut(bytes);
        self.0.encrypt_blocks(blocks);
    }
}

impl<C: BlockModeDecrypt + Send + Sync> Transform for Decrypting<C> {
    fn apply(&mut self, bytes: &mut [u8]) {
        let (blocks, _no_rest) = Array::<u8, C::BlockSize>::slice_as_chunks_mut(bytes);
        self.0.decrypt_blocks(blocks);
    }
}

fn keystream<C>(key: &[u8], iv: &[u8]) -> Option<Box<dyn Transform>>
where
    C: KeyIvInit + StreamCipher + Send + Sync + 'static,
{
    Some(Box::new(Keystream(C::new_from_slices(key, iv).ok()?)))
}

/// CBC in the direction that `seals` says.
fn chain<E, D>(key: &[u8], iv: &[u8], seals: bool) -> Option<Box<dyn Transform>>
where
    E: KeyIvInit + BlockModeEncrypt + BlockSizeUser + Send + Sync + 'static,
    D: KeyIvInit + BlockModeDecrypt + BlockSizeUser + Send + Sync + 'static,
{
    Some(if seals {
        Box::new(Encrypting(E::new_from_slices(key, iv).ok()?))
    } else {
        Box::new(Decrypting(D::new_from_slices(key, iv).ok()?))
    })
}

fn transform(kind: Kind, key: &[u8], iv: &[u8], seals: bool) -> Option<Box<dyn Transform>> {
    use cbc::{Decryptor as D, Encryptor as E};
    use ctr::Ctr128BE;
    match (kind.mode, kind.key_len, kind.block) {
        (Mode::Ctr, 16, _) => keystream::<Ctr128BE<Aes128>>(key, iv),
        (Mode::Ctr, 24, 16) => keystream::<Ctr128BE<Aes192>>(key, iv),
        (Mode::Ctr, 32, _) => keystream::<Ctr128BE<Aes256>>(key, iv),
        (Mode::Ctr, 24, 8) => keystream::<ctr::Ctr64BE<TdesEde3>>(key, iv),
        (Mode::Cbc, 16, _) => chain::<E<Aes128>, D<Aes128>>(key, iv, seals),
        (Mode::Cbc, 24, 16) => chain::<E<Aes192>, D<Aes192>>(key, iv, seals),
        (Mode::Cbc, 32, _) => chain::<E<Aes256>, D<Aes256>>(key, iv, seals),
        (Mode::Cbc, 24, 8) => chain::<E<TdesEde3>, D<TdesEde3>>(key, iv, seals),
        _ => None,
    }
}

/// A cipher with a MAC beside it.
struct Pair {
    transform: Box<dyn Transform>,
    mac: Mac,
}

/// GCM, whose nonce counts packets.
struct Gcm {
    key: LessSafeKey,
    nonce: [u8; 12],
}

impl Gcm {
    fn new(material: &Material) -> Option<Self> {
        let algorithm = if material.cipher.key_len == 16 {
            &AES_128_GCM
        } else {
            &AES_256_GCM
        };
        Some(Self {
            key: LessSafeKey::new(UnboundKey::new(algorithm, &material.key).ok()?),
            nonce: *material.iv.first_chunk()?,
        })
    }

    /// The next nonce: the last eight bytes are a counter.
    fn next(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        if let Some(counter) = self.nonce.last_chunk_mut::<8>() {
            *counter = u64::from_be_bytes(*counter).wrapping_add(1).to_be_bytes();
        }
        nonce
    }
}

enum Sealing {
    Clear,
    ChaCha(Box<SealingKey>),
    Gcm(Box<Gcm>),
    Pair(Box<Pair>),
}

/// Encrypts what goes.
pub(super) struct Seal {
    state: Sealing,
    pub(super) block: usize,
}

impl Seal {
    /// Before keys were exchanged.
    pub(super) fn clear() -> Self {
        Self {
            state: Sealing::Clear,
            block: BLOCK_MIN,
        }
    }

    pub(super) fn new(material: &Material) -> Option<Self> {
        let state = match material.cipher.mode {
            Mode::ChaCha20Poly1305 => Sealing::ChaCha(Box::new(SealingKey::new(material.key.first_chunk()?))),
            Mode::Gcm => Sealing::Gcm(Box::new(Gcm::new(material)?)),
            Mode::Ctr | Mode::Cbc => Sealing::Pair(Box::new(Pair {
                transform: transform(material.cipher, &material.key, &material.iv, true)?,
                mac: material.mac?.key(&material.mac_key)?,
            })),
        };
        Some(Self {
            state,
            block: material.cipher.block,
        })
    }

    /// Append packet number `seq` with `payload` to `out`.
    pub(super) fn seal(&mut self, seq: u32, payload: &[u8], out: &mut Vec<u8>) {
        let length_is_apart = match &self.state {
            Sealing::Clear => false,
            Sealing::ChaCha(_) | Sealing::Gcm(_) => true,
            Sealing::Pair(pair) => pair.mac.kind.after,
        };
        let apart = if length_is_apart { 4 } else { 0 };
        let mut padding = self.block - (5 + payload.len() - apart) % self.block;
        if padding < 4 {
            padding += self.block;
        }
        let start = out.len();
        let len = u32::try_from(1 + payload.len() + padding).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.push(u8::try_from(padding).unwrap_or(u8::MAX));
        out.extend_from_slice(payload);
        let padded = out.len();
        out.resize(padded + padding, 0);
        if !matches!(self.state, Sealing::Clear) {
            rand::rng().fill(out.get_mut(padded..).unwrap_or_default());
        }
        let packet = out.get_mut(start..).unwrap_or_default();
        let tag = match &mut self.state {
            Sealing::Clear => Vec::new(),
            Sealing::ChaCha(key) => {
                let mut tag = [0; TAG];
                key.seal_in_place(seq, packet, &mut tag);
                tag.to_vec()
            }
            Sealing::Gcm(gcm) => {
                let nonce = gcm.next();
                let (length, rest) = packet.split_at_mut(4);
                // It fails only for more bytes than a packet ever has; without its tag nobody would take it.
                gcm.key
                    .seal_in_place_separate_tag(nonce, Aad::from(&*length), rest)
                    .map(|tag| tag.as_ref().to_vec())
                    .unwrap_or_default()
            }
            Sealing::Pair(pair) if pair.mac.kind.after => {
                pair.transform.apply(packet.get_mut(4..).unwrap_or_default());
                pair.mac.tag(seq, packet)
            }
            Sealing::Pair(pair) => {
                let tag = pair.mac.tag(seq, packet);
                pair.transform.apply(packet);
                tag
            }
        };
        out.extend_from_slice(&tag);
    }
}

enum Opening {
    Clear,
    ChaCha(Box<OpeningKey>),
    Gcm(Box<Gcm>),
    Pair(Box<Pair>),
}

/// What is made of the bytes that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// More have to come.
    Incomplete,
    /// A packet: its length, the padding's length, the payload and the padding; and how many bytes it was.
    Packet(Vec<u8>, usize),
    /// None that may be.
    Corrupt,
}

/// Decrypts what comes.
pub(super) struct Open {
    state: Opening,
    pub(super) block: usize,
    /// The first block of a packet whose rest has yet to come, decrypted already.
    begun: Vec<u8>,
}

impl Open {
    /// Before keys were exchanged.
    pub(super) fn clear() -> Self {
        Self {
            state: Opening::Clear,
            block: BLOCK_MIN,
            begun: Vec::new(),
        }
    }

    pub(super) fn new(material: &Material) -> Option<Self> {
        let state = match material.cipher.mode {
            Mode::ChaCha20Poly1305 => Opening::ChaCha(Box::new(OpeningKey::new(material.key.first_chunk()?))),
            Mode::Gcm => Opening::Gcm(Box::new(Gcm::new(material)?)),
            Mode::Ctr | Mode::Cbc => Opening::Pair(Box::new(Pair {
                transform: transform(material.cipher, &material.key, &material.iv, false)?,
                mac: material.mac?.key(&material.mac_key)?,
            })),
        };
        Some(Self {
            state,
            block: material.cipher.block,
            begun: Vec::new(),
        })
    }

    /// Look at `bytes`, which begin with packet number `seq`. The caller takes away those of a packet, and no others.
    pub(super) fn open(&mut self, seq: u32, bytes: &[u8]) -> Opened {
        self.try_open(seq, bytes).unwrap_or(Opened::Incomplete)
    }

    /// `None` where more bytes have to come.
    fn try_open(&mut self, seq: u32, bytes: &[u8]) -> Option<Opened> {
        let first = *bytes.first_chunk::<4>()?;
        let (length, apart, tag_len) = match &mut self.state {
            Opening::ChaCha(key) => (key.decrypt_packet_length(seq, first), 4, TAG),
            Opening::Gcm(_) => (first, 4, TAG),
            Opening::Pair(pair) if pair.mac.kind.after => (first, 4, pair.mac.kind.tag_len),
            Opening::Pair(pair) => {
                if self.begun.is_empty() {
                    let mut block = bytes.get(..self.block)?.to_vec();
                    pair.transform.apply(&mut block);
                    self.begun = block;
                }
                (*self.begun.first_chunk()?, 0, pair.mac.kind.tag_len)
            }
            Opening::Clear => {
                // OpenSSH decides nothing before it has a whole block.
                let _block = bytes.get(..self.block)?;
                (first, 0, 0)
            }
        };
        let len = usize::try_from(u32::from_be_bytes(length)).ok()?;
        if !(5..=PACKET_MAX).contains(&len) || !(4 + len - apart).is_multiple_of(self.block) {
            return Some(Opened::Corrupt);
        }
        let end = 4 + len;
        let mut packet = bytes.get(..end)?.to_vec();
        let tag = bytes.get(end..end + tag_len)?;
        let fine = match &mut self.state {
            Opening::Clear => true,
            Opening::ChaCha(key) => key.open_in_place(seq, &mut packet, tag.first_chunk()?).is_ok(),
            Opening::Gcm(gcm) => {
                let nonce = gcm.next();
                let rest = packet.get_mut(4..)?;
                gcm.key
                    .open_in_place_separate_tag(nonce, Aad::from(first), tag, rest)
                    .is_ok()
            }
            Opening::Pair(pair) if pair.mac.kind.after => {
                let fine = pair.mac.verify(seq, &packet, tag);
                if fine {
                    pair.transform.apply(packet.get_mut(4..)?);
                }
                fine
            }
            Opening::Pair(pair) => {
                let begun = std::mem::take(&mut self.begun);
                let (head, rest) = packet.split_at_mut_checked(begun.len())?;
                head.copy_from_slice(&begun);
                pair.transform.apply(rest);
                pair.mac.verify(seq, &packet, tag)
            }
        };
        Some(if fine {
            Opened::Packet(packet, end + tag_len)
        } else {
            Opened::Corrupt
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CIPHERS: [&str; 11] = [
        "chacha20-poly1305@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
        "3des-ctr",
        "aes128-cbc",
        "aes192-cbc",
        "aes256-cbc",
        "3des-cbc",
    ];
    const MACS: [&str; 5] = [
        "hmac-sha1-96",
        "hmac-sha2-256",
        "hmac-sha2-512-etm@openssh.com",
        "umac-64@openssh.com",
        "umac-128-etm@openssh.com",
    ];

    fn material(cipher: &str, mac: &str) -> Material {
        Material {
            cipher: Kind::of(cipher).unwrap(),
            mac: mac::Kind::of(mac),
            iv: vec![1; 16],
            key: (0..64).collect(),
            mac_key: vec![3; 64],
        }
        .cut()
    }

    impl Material {
        fn cut(mut self) -> Self {
            let [iv, key, _] = Self::lengths(self.cipher, self.mac);
            self.iv.truncate(iv);
            self.key.truncate(key);
            self
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_sealed_is_opened_again_however_it_arrives(
            cipher in prop::sample::select(&CIPHERS[..]),
            mac in prop::sample::select(&MACS[..]),
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..4),
            step in 1_usize..50,
        ) {
            let material = material(cipher, mac);
            let (mut seal, mut open) = (Seal::new(&material).unwrap(), Open::new(&material).unwrap());
            for (seq, payload) in (7..).zip(&payloads) {
                let mut sealed = Vec::new();
                seal.seal(seq, payload, &mut sealed);
                let mut part = 0;
                let packet = loop {
                    match open.open(seq, &sealed[..part]) {
                        Opened::Incomplete => part = (part + step).min(sealed.len()),
                        Opened::Packet(packet, len) => {
                            prop_assert_eq!(len, sealed.len());
                            break packet;
                        }
                        Opened::Corrupt => panic!("{cipher} {mac}"),
                    }
                };
                let padding = usize::from(packet[4]);
                prop_assert!(padding >= 4);
                prop_assert_eq!(&packet[5..packet.len() - padding], &payload[..]);
            }
        }

        #[test]
        fn a_changed_bit_is_noticed(
            cipher in prop::sample::select(&CIPHERS[..]),
            mac in prop::sample::select(&MACS[..]),
            // Behind the length, which says how much more to wait for.
            at in 4_usize..60,
            bit in 0_u8..8,
        ) {
            let material = material(cipher, mac);
            let mut sealed = Vec::new();
            Seal::new(&material).unwrap().seal(0, &[5; 60], &mut sealed);
            sealed[at] ^= 1 << bit;
            let opened = Open::new(&material).unwrap().open(0, &sealed);
            prop_assert!(!matches!(opened, Opened::Packet(..)), "{} {}", cipher, mac);
        }

        #[test]
        fn any_bytes_are_opened_or_not(
            cipher in prop::sample::select(&CIPHERS[..]),
            mac in prop::sample::select(&MACS[..]),
            bytes: Vec<u8>,
        ) {
            let _either = Open::new(&material(cipher, mac)).unwrap().open(0, &bytes);
            let _either = Open::clear().open(0, &bytes);
        }
    }
}
