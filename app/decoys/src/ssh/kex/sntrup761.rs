//! Streamlined NTRU Prime 761, the half that a server needs: a secret for the holder of a public key.
//!
//! Source: "NTRU Prime: round 3" (Bernstein and others, 2020), sections 3 and 4 of the specification, with the encodings of its
//! section 4.5; `sntrup761x25519-sha512` takes it from there (draft-josefsson-ntruprime-ssh).
//!
//! Deliberately absent: keys of ours, and opening what is sealed with them. Only a client does that.

use aws_lc_rs::digest::{SHA512, digest};

/// Coefficients of a polynomial.
const P: usize = 761;
/// What they are taken modulo.
const Q: u16 = 4_591;
/// Coefficients that are not zero in a short polynomial.
const WEIGHT: usize = 286;
/// What a coefficient of a public key is stored above.
const HALF: i32 = 2_295;
/// What a rounded coefficient is taken modulo: those are multiples of three.
const ROUNDED: u16 = Q.div_ceil(3);

/// Bytes of a public key.
pub(super) const PUBLIC: usize = 1_158;
/// Bytes of what is sent back: the rounded product, and its confirmation.
#[cfg(test)]
const CIPHERTEXT: usize = 1_007 + HASH;
const HASH: usize = 32;

/// The first half of SHA-512 of a byte and `parts` (section 4.3).
fn hash(prefix: u8, parts: &[&[u8]]) -> [u8; HASH] {
    let mut all = vec![prefix];
    parts.iter().for_each(|part| all.extend_from_slice(part));
    let mut half = [0; HASH];
    for (to, from) in half.iter_mut().zip(digest(&SHA512, &all).as_ref()) {
        *to = *from;
    }
    half
}

/// A ciphertext for the holder of `public`, and the secret in it. `random` gives 761 words.
pub(super) fn encapsulate(public: &[u8; PUBLIC], random: impl FnMut() -> u32) -> (Vec<u8>, [u8; HASH]) {
    let short = short(random);
    let key = decode(public, &[Q; P]);
    let key: Vec<i32> = key.into_iter().map(|n| i32::from(n) - HALF).collect();
    let rounded: Vec<u16> = product(&key, &short)
        .into_iter()
        .map(|n| {
            let nearest = n - (n + 1).rem_euclid(3) + 1;
            u16::try_from((nearest + HALF) / 3).unwrap_or_default()
        })
        .collect();
    let mut ciphertext = encode(rounded, vec![ROUNDED; P]);
    let input = hash(3, &[&packed(&short)]);
    ciphertext.extend_from_slice(&hash(2, &[&input, &hash(4, &[public])]));
    let secret = hash(1, &[&input, &ciphertext]);
    (ciphertext, secret)
}

/// A random short polynomial: [`WEIGHT`] coefficients are 1 or -1, in an order that sorting random words gives.
fn short(mut random: impl FnMut() -> u32) -> Vec<i32> {
    let mut words: Vec<u32> = (0..P)
        .map(|n| {
            let word = random();
            if n < WEIGHT { word & !1 } else { word & !3 | 1 }
        })
        .collect();
    words.sort_unstable();
    words
        .into_iter()
        .map(|word| match word & 3 {
            0 => -1,
            1 => 0,
            _ => 1,
        })
        .collect()
}

/// A short polynomial in bytes, four coefficients each.
fn packed(short: &[i32]) -> Vec<u8> {
    let four = |chunk: &[i32]| {
        chunk
            .iter()
            .rev()
            .fold(0, |byte, n| byte << 2 | u8::try_from(n + 1).unwrap_or_default())
    };
    short.chunks(4).map(four).collect()
}

/// The product modulo x^761 - x - 1, each coefficient between -2295 and 2295.
fn product(big: &[i32], short: &[i32]) -> Vec<i32> {
    let mut all = vec![0_i32; 2 * P];
    for (n, factor) in short.iter().enumerate().filter(|(_, factor)| **factor != 0) {
        // At most 761 of them are added, of at most 2295 each.
        for (sum, coefficient) in all.iter_mut().skip(n).zip(big) {
            *sum += factor * coefficient;
        }
    }
    let (low, high) = all.split_at_mut(P);
    // x^761 is x + 1; what would still be too high after that is always zero.
    for (n, more) in high.iter().enumerate() {
        for at in [n, n + 1] {
            if let Some(sum) = low.get_mut(at) {
                *sum += more;
            }
        }
    }
    low.iter()
        .map(|n| (n + HALF).rem_euclid(i32::from(Q)) - HALF)
        .collect()
}

/// Numbers below `limits` as bytes (`Encode` of section 4.5): pairs become one number of the product of both limits, and
/// that sheds bytes as long as it is large.
fn encode(mut numbers: Vec<u16>, mut limits: Vec<u16>) -> Vec<u8> {
    const LARGE: u32 = 1 << 14;
    let mut out = Vec::new();
    let mut shed = |mut number: u32, mut limit: u32, until: u32| {
        while limit >= until {
            out.push(number.to_le_bytes()[0]);
            number >>= 8;
            limit = limit.div_ceil(256);
        }
        let short = |n: u32| u16::try_from(n).unwrap_or_default();
        (short(number), short(limit))
    };
    while numbers.len() > 1 {
        let pairs = numbers.chunks(2).zip(limits.chunks(2));
        (numbers, limits) = pairs
            .map(|pair| match pair {
                (&[low, high], &[limit, higher]) => shed(
                    u32::from(low) + u32::from(high) * u32::from(limit),
                    u32::from(limit) * u32::from(higher),
                    LARGE,
                ),
                (last, limit) => (
                    last.first().copied().unwrap_or_default(),
                    limit.first().copied().unwrap_or_default(),
                ),
            })
            .unzip();
    }
    for (number, limit) in numbers.into_iter().zip(limits) {
        shed(number.into(), limit.into(), 2);
    }
    out
}

/// The numbers that `bytes` are, each taken below its limit (`Decode` of section 4.5): any bytes are some numbers.
fn decode(bytes: &[u8], limits: &[u16]) -> Vec<u16> {
    const LARGE: u32 = 1 << 14;
    if let &[limit] = limits {
        let count = match limit {
            1 => 0,
            2..=256 => 1,
            _ => 2,
        };
        let number = bytes
            .iter()
            .take(count)
            .rev()
            .fold(0, |number, byte| number << 8 | u32::from(*byte));
        return vec![u16::try_from(number % u32::from(limit).max(1)).unwrap_or_default()];
    }
    let mut bytes = bytes;
    // The bytes that each pair has shed, and their range; what is left of the pair is decoded with the others.
    let (mut shed, mut inner) = (Vec::new(), Vec::new());
    for pair in limits.chunks(2) {
        let &[limit, higher] = pair else {
            inner.extend_from_slice(pair);
            continue;
        };
        let mut left = u32::from(limit) * u32::from(higher);
        let (mut number, mut range) = (0, 1);
        while left >= LARGE {
            let (byte, rest) = bytes.split_first().unwrap_or((&0, &[]));
            bytes = rest;
            number += u32::from(*byte) * range;
            range *= 256;
            left = left.div_ceil(256);
        }
        shed.push((number, range));
        inner.push(u16::try_from(left).unwrap_or_default());
    }
    let inner = decode(bytes, &inner);
    let mut numbers = Vec::with_capacity(limits.len());
    let mut shed = shed.into_iter();
    for (pair, rest) in limits.chunks(2).zip(inner) {
        let &[limit, higher] = pair else {
            numbers.push(rest);
            continue;
        };
        let (number, range) = shed.next().unwrap_or((0, 1));
        let both = number + range * u32::from(rest);
        let (limit, higher) = (u32::from(limit), u32::from(higher));
        for part in [both % limit, both / limit % higher] {
            numbers.push(u16::try_from(part).unwrap_or_default());
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A generator that anybody can repeat (xorshift32).
    fn words() -> impl FnMut() -> u32 {
        let mut state = 2_463_534_242_u32;
        move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        }
    }

    #[test]
    fn a_public_key_is_as_long_as_the_numbers_in_it() {
        assert_eq!(encode(vec![0; P], vec![Q; P]).len(), PUBLIC);
        let (ciphertext, _) = encapsulate(&[0; PUBLIC], words());
        assert_eq!(ciphertext.len(), CIPHERTEXT);
    }

    /// The key whose coefficients count up, in steps of seven.
    fn key() -> [u8; PUBLIC] {
        let numbers = (0..P).map(|n| u16::try_from(n * 7 % usize::from(Q)).unwrap());
        encode(numbers.collect(), vec![Q; P]).try_into().unwrap()
    }

    #[test]
    fn the_secret_is_the_one_that_openssh_agreed_with() {
        // Taken when OpenSSH 9.2's client and this had come to the same secrets.
        let (ciphertext, secret) = encapsulate(&key(), words());
        assert_eq!(
            hex::encode(hash(0, &[&ciphertext])),
            "2c967e2a4d4d47c35027fd568cfea3b6281153e88be22b9b5826580c032b7677"
        );
        assert_eq!(
            hex::encode(secret),
            "26f7940075df22b2e181d3526c83899b2b309a18022def9f15682af253e32b3b"
        );
    }

    #[test]
    fn a_short_polynomial_has_its_weight() {
        let short = short(words());
        assert_eq!(short.iter().filter(|n| **n != 0).count(), WEIGHT);
        assert_eq!(packed(&short).len(), P.div_ceil(4));
    }

    proptest! {
        #[test]
        fn numbers_are_decoded_as_they_were_encoded(numbers in prop::collection::vec(0..Q, P)) {
            let encoded = encode(numbers.clone(), vec![Q; P]);
            prop_assert_eq!(decode(&encoded, &[Q; P]), numbers);
        }

        #[test]
        fn any_bytes_are_a_public_key(bytes in prop::collection::vec(any::<u8>(), PUBLIC)) {
            let key: [u8; PUBLIC] = bytes.try_into().unwrap();
            prop_assert!(decode(&key, &[Q; P]).iter().all(|n| *n < Q));
            let (ciphertext, _) = encapsulate(&key, words());
            prop_assert_eq!(ciphertext.len(), CIPHERTEXT);
        }
    }
}
