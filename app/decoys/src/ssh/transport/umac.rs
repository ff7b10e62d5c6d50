//! UMAC with AES-128 (RFC 4418), for tags of 8 and of 16 bytes: `umac-64@openssh.com` and `umac-128@openssh.com`.
//!
//! Deliberately absent: POLY-128, which only messages of more than 16 MiB need. The longest SSH packet has 256 KiB.

use aes::{
    Aes128,
    cipher::{BlockCipherEncrypt as _, KeyInit as _},
};

/// Bytes that NH hashes at once.
const L1_BLOCK: usize = 1_024;
/// The words of its key.
const L1_WORDS: usize = L1_BLOCK / 4;
/// What the key of one iteration lies behind that of the one before, in words (the Toeplitz construction).
const L1_SHIFT: usize = 4;
/// 2^36 - 5.
const P36: u64 = 0x000f_ffff_fffb;
/// 2^64 - 59.
const P64: u64 = u64::MAX - 58;
/// Which bits the key of POLY-64 has.
const POLY_MASK: u64 = 0x01ff_ffff_01ff_ffff;

/// One iteration of UHASH's second and third layer.
struct Iteration {
    poly_key: u64,
    inner: [u64; 8],
    mask: u32,
}

/// A key that was made ready.
pub(super) struct Umac {
    pad_cipher: Aes128,
    l1_key: Vec<u32>,
    iterations: Vec<Iteration>,
}

/// KDF of section 3.2.1: the `index`th stream of the key, in words.
struct Stream<'a> {
    cipher: &'a Aes128,
    index: u64,
    block: u64,
    words: std::vec::IntoIter<u32>,
}

impl<'a> Stream<'a> {
    fn new(cipher: &'a Aes128, index: u64) -> Self {
        Self {
            cipher,
            index,
            block: 0,
            words: Vec::new().into_iter(),
        }
    }

    fn word(&mut self) -> u32 {
        loop {
            if let Some(word) = self.words.next() {
                return word;
            }
            self.block += 1;
            let input = u128::from(self.index) << 64 | u128::from(self.block);
            let block = encrypt(self.cipher, input.to_be_bytes());
            self.words = words(&block, u32::from_be_bytes).collect::<Vec<_>>().into_iter();
        }
    }

    fn double_word(&mut self) -> u64 {
        u64::from(self.word()) << 32 | u64::from(self.word())
    }
}

fn encrypt(cipher: &Aes128, block: [u8; 16]) -> [u8; 16] {
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

/// `bytes` as words; the last one is filled up with zeros.
fn words(bytes: &[u8], read: impl Fn([u8; 4]) -> u32) -> impl Iterator<Item = u32> {
    bytes.chunks(4).map(move |chunk| {
        let mut word = [0; 4];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        read(word)
    })
}

impl Umac {
    /// For tags of `tag_len` bytes: 8 or 16.
    pub(super) fn new(key: &[u8; 16], tag_len: usize) -> Self {
        let cipher = Aes128::new(key.into());
        let count = tag_len / 4;
        let mut pad_key = [0; 16];
        let mut stream = Stream::new(&cipher, 0);
        for four in pad_key.chunks_mut(4) {
            four.copy_from_slice(&stream.word().to_be_bytes());
        }
        let mut stream = Stream::new(&cipher, 1);
        let l1_key = (0..L1_WORDS + L1_SHIFT * (count - 1))
            .map(|_| stream.word())
            .collect();
        let mut poly = Stream::new(&cipher, 2);
        let mut inner = Stream::new(&cipher, 3);
        let mut iterations: Vec<Iteration> = (0..count)
            .map(|_| {
                let poly_key = poly.double_word() & POLY_MASK;
                // The rest of each 24 bytes is POLY-128's.
                let _unused = (poly.double_word(), poly.double_word());
                Iteration {
                    poly_key,
                    inner: std::array::from_fn(|_| inner.double_word() % P36),
                    mask: 0,
                }
            })
            .collect();
        let mut mask = Stream::new(&cipher, 4);
        for iteration in &mut iterations {
            iteration.mask = mask.word();
        }
        Self {
            pad_cipher: Aes128::new(&pad_key.into()),
            l1_key,
            iterations,
        }
    }

    /// The tag of `message` with the number of its packet as the nonce.
    pub(super) fn tag(&self, nonce: u64, message: &[u8]) -> Vec<u8> {
        let mut tag: Vec<u8> = self
            .iterations
            .iter()
            .enumerate()
            .flat_map(|(n, iteration)| {
                let key = self.l1_key.get(n * L1_SHIFT..).unwrap_or_default();
                iteration.hash(key, message).to_be_bytes()
            })
            .collect();
        let len = tag.len();
        // Two tags of eight bytes come of one block: the lowest bit of the nonce says which half.
        let (input, half) = if len == 16 {
            (nonce, 0)
        } else {
            (nonce & !1, usize::from(nonce & 1 == 1))
        };
        let pad = encrypt(&self.pad_cipher, (u128::from(input) << 64).to_be_bytes());
        for (byte, pad) in tag.iter_mut().zip(pad.iter().skip(half * len)) {
            *byte ^= pad;
        }
        tag
    }
}

impl Iteration {
    fn hash(&self, l1_key: &[u32], message: &[u8]) -> u32 {
        let folded = if message.len() <= L1_BLOCK {
            nh(l1_key, message)
        } else {
            message
                .chunks(L1_BLOCK)
                .fold(1, |sum, block| poly(self.poly_key, sum, nh(l1_key, block)))
        };
        // The higher half of the sixteen bytes is zero without POLY-128.
        let sum = (0..4).fold(0_u64, |sum, n| {
            let part = (folded >> (48 - 16 * n)) & 0xffff;
            let key = self.inner.get(4 + n).copied().unwrap_or_default();
            // Four products of 16 and 36 bits stay below 2^54.
            sum + part * key
        });
        let [.., a, b, c, d] = (sum % P36).to_be_bytes();
        u32::from_be_bytes([a, b, c, d]) ^ self.mask
    }
}

/// One step of POLY-64 (section 5.3): multiply by the key and add a word, in the field of P64.
fn poly(key: u64, sum: u64, word: u64) -> u64 {
    let step = |sum: u64, word: u64| {
        let next = (u128::from(key) * u128::from(sum) + u128::from(word)) % u128::from(P64);
        u64::try_from(next).unwrap_or_default()
    };
    // What is no element of the field, or nearly not, takes two steps.
    if word >= 0xffff_ffff_0000_0000 {
        step(step(sum, P64 - 1), word.wrapping_sub(59))
    } else {
        step(sum, word)
    }
}

/// NH (section 5.2.2) of at most [`L1_BLOCK`] bytes, with their length in bits added.
fn nh(key: &[u32], block: &[u8]) -> u64 {
    let mut sum = u64::try_from(block.len() * 8).unwrap_or_default();
    // An empty message is hashed as one of zeros.
    let padded = block.len().div_ceil(32).max(1) * 8;
    let mut message = words(block, u32::from_le_bytes).chain(std::iter::repeat(0));
    for keys in key.get(..padded).unwrap_or(key).chunks_exact(8) {
        let mut added = [0; 8];
        for (to, key) in added.iter_mut().zip(keys) {
            *to = key.wrapping_add(message.next().unwrap_or_default());
        }
        let [a, b, c, d, e, f, g, h] = added.map(u64::from);
        for product in [a * e, b * f, c * g, d * h] {
            sum = sum.wrapping_add(product);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_the_rfc() {
        // RFC 4418, appendix, with the key and the nonce that it has. It gives 12 of the 16 bytes of the long tag.
        let nonce = u64::from_be_bytes(*b"bcdefghi");
        let long = Umac::new(b"abcdefghijklmnop", 16);
        let short = Umac::new(b"abcdefghijklmnop", 8);
        for (message, eight, twelve) in [
            (Vec::new(), "6e155fad26900be1", "32fedb100c79ad58f07ff764"),
            (b"aaa".to_vec(), "44b5cb542f220104", "185e4fe905cba7bd85e4c2dc"),
            (
                vec![b'a'; 1 << 10],
                "26bf2f5d60118bd9",
                "7a54abe04af82d60fb298c3c",
            ),
            (
                vec![b'a'; 1 << 15],
                "27f8ef643b0d118d",
                "7b136bd911e4b734286ef2be",
            ),
            (b"abc".to_vec(), "d4d7b9f6bd4fbfcf", "883c3d4b97a61976ffcf2323"),
            (b"abc".repeat(500), "d4cf26ddefd5c01a", "8824a260c53c66a36c9260a6"),
        ] {
            assert_eq!(hex::encode(short.tag(nonce, &message)), eight);
            assert!(hex::encode(long.tag(nonce, &message)).starts_with(twelve));
        }
    }
}
