//! One exchange: the client's share goes in, ours and the secret of both come out.
//!
//! Sources: RFC 8731 and RFC 5656 (elliptic curves), RFC 4253 section 8 and RFC 8268 (fixed groups), RFC 4419 (group exchange),
//! draft-ietf-sshm-ntruprime-ssh and draft-ietf-sshm-mlkem-hybrid-kex (with a post-quantum part).

use aws_lc_rs::{
    agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey, X25519},
    digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest},
    kem::{EncapsulationKey, ML_KEM_768},
};
use crypto_bigint::{
    BoxedUint, Odd,
    modular::{BoxedMontyForm, BoxedMontyParams},
};

use super::{
    groups::{GROUP14, GROUP16, GROUP18, Group},
    sntrup761,
};
use crate::ssh::fields::Message;

/// Bytes of an X25519 key.
const X25519_LEN: usize = 32;
/// Bytes of an ML-KEM-768 key (FIPS 203, table 3).
const ML_KEM_LEN: usize = 1_184;

/// How a secret is agreed on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    Curve(&'static agreement::Algorithm),
    /// X25519 and Streamlined NTRU Prime together.
    Sntrup,
    /// X25519 and ML-KEM together.
    MlKem,
    Group(Group),
    /// The group is chosen first.
    GroupExchange,
}

/// A method with the hash that goes with it.
#[derive(Debug, Clone, Copy)]
pub(in crate::ssh) struct Kind {
    pub(super) method: Method,
    pub(super) hash: &'static Algorithm,
}

impl Kind {
    /// The kind that is called `name`.
    pub(in crate::ssh) fn of(name: &str) -> Option<Self> {
        let (method, hash) = match name {
            "curve25519-sha256" | "curve25519-sha256@libssh.org" => (Method::Curve(&X25519), &SHA256),
            "ecdh-sha2-nistp256" => (Method::Curve(&ECDH_P256), &SHA256),
            "ecdh-sha2-nistp384" => (Method::Curve(&ECDH_P384), &SHA384),
            "ecdh-sha2-nistp521" => (Method::Curve(&ECDH_P521), &SHA512),
            "sntrup761x25519-sha512" | "sntrup761x25519-sha512@openssh.com" => (Method::Sntrup, &SHA512),
            "mlkem768x25519-sha256" => (Method::MlKem, &SHA256),
            "diffie-hellman-group14-sha1" => (Method::Group(GROUP14), &SHA1_FOR_LEGACY_USE_ONLY),
            "diffie-hellman-group14-sha256" => (Method::Group(GROUP14), &SHA256),
            "diffie-hellman-group16-sha512" => (Method::Group(GROUP16), &SHA512),
            "diffie-hellman-group18-sha512" => (Method::Group(GROUP18), &SHA512),
            "diffie-hellman-group-exchange-sha1" => (Method::GroupExchange, &SHA1_FOR_LEGACY_USE_ONLY),
            "diffie-hellman-group-exchange-sha256" => (Method::GroupExchange, &SHA256),
            _ => return None,
        };
        Some(Self { method, hash })
    }
}

/// What an exchange comes to.
pub(super) struct Agreed {
    /// Both shares as the exchange hash has them, the client's and ours. Ours goes to the client just so.
    pub(super) shares: Vec<u8>,
    pub(super) ours: Vec<u8>,
    /// The secret as it is hashed, its length included.
    pub(super) secret: Vec<u8>,
}

/// What goes to the client, and the secret that it makes of it.
type Pair = (Vec<u8>, Vec<u8>);

impl Method {
    /// Whether it takes milliseconds, which other connections should not wait for.
    pub(super) fn is_slow(self) -> bool {
        matches!(self, Self::Group(_) | Self::GroupExchange)
    }

    /// Answer the share `theirs`, whose secret is hashed with `hash` where it has two parts. `None` where it is no share.
    pub(super) fn answer(self, hash: &'static Algorithm, theirs: &[u8]) -> Option<Agreed> {
        let hybrid = |len: usize, seal: fn(&[u8]) -> Option<Pair>| {
            let (key, point) = theirs.split_at_checked(len)?;
            if point.len() != X25519_LEN {
                return None;
            }
            let (mut ours, mut secret) = seal(key)?;
            let (point, shared) = curve(&X25519, point)?;
            ours.extend_from_slice(&point);
            secret.extend_from_slice(&shared);
            let secret = Message::default().string(digest(hash, &secret).as_ref()).0;
            Some(of_strings(theirs, &ours, secret))
        };
        match self {
            Self::Curve(algorithm) => {
                let (ours, secret) = curve(algorithm, theirs)?;
                Some(of_strings(theirs, &ours, Message::default().mpint(&secret).0))
            }
            Self::Sntrup => hybrid(sntrup761::PUBLIC, |key| {
                // A source of randomness that fails would give zeros.
                let mut words = vec![0; 4 * 761];
                aws_lc_rs::rand::fill(&mut words).ok()?;
                let mut words = words.as_chunks::<4>().0.iter();
                let random = || words.next().map_or(0, |word| u32::from_ne_bytes(*word));
                let (ciphertext, secret) = sntrup761::encapsulate(key.first_chunk()?, random);
                Some((ciphertext, secret.to_vec()))
            }),
            Self::MlKem => hybrid(ML_KEM_LEN, |key| {
                let key = EncapsulationKey::new(&ML_KEM_768, key).ok()?;
                let (ciphertext, secret) = key.encapsulate().ok()?;
                Some((ciphertext.as_ref().to_vec(), secret.as_ref().to_vec()))
            }),
            Self::Group(group) => finite_field(group, theirs),
            // The group takes its place once it is chosen.
            Self::GroupExchange => None,
        }
    }
}

fn of_strings(theirs: &[u8], ours: &[u8], secret: Vec<u8>) -> Agreed {
    let sent = Message::default().string(ours).0;
    Agreed {
        shares: Message::default().string(theirs).raw(&sent).0,
        ours: sent,
        secret,
    }
}

/// A point of ours and the secret shared with the one who has `theirs`.
fn curve(algorithm: &'static agreement::Algorithm, theirs: &[u8]) -> Option<Pair> {
    let key = PrivateKey::generate(algorithm).ok()?;
    let ours = key.compute_public_key().ok()?;
    let theirs = UnparsedPublicKey::new(algorithm, theirs);
    let secret = agreement::agree(&key, theirs, (), |secret| Ok(secret.to_vec())).ok()?;
    Some((ours.as_ref().to_vec(), secret))
}

fn finite_field(group: Group, theirs: &[u8]) -> Option<Agreed> {
    let prime = BoxedUint::from_be_slice(&group.prime(), group.bits).ok()?;
    let start = theirs.iter().position(|byte| *byte != 0)?;
    let share = BoxedUint::from_be_slice(theirs.get(start..)?, group.bits).ok()?;
    let one = BoxedUint::one_with_precision(group.bits);
    // Nothing but 0, 1 and p - 1 gives itself away so (RFC 4253, section 8).
    if share <= one || share >= prime.wrapping_sub(&one) {
        return None;
    }
    let params = BoxedMontyParams::new_vartime(Odd::new(prime).into_option()?);
    // Twice the bits that any of the ciphers is strong, as OpenSSH draws it (dh_gen_key).
    let mut exponent = [0; 64];
    aws_lc_rs::rand::fill(&mut exponent).ok()?;
    let bits = 512;
    let exponent = BoxedUint::from_be_slice(&exponent, bits).ok()?;
    let power = |base: BoxedUint| {
        BoxedMontyForm::new(base, &params)
            .pow_bounded_exp(&exponent, bits)
            .retrieve()
            .to_be_bytes()
    };
    let two = one.wrapping_add(&one);
    let ours = Message::default().mpint(&power(two)).0;
    Some(Agreed {
        shares: Message::default().mpint(theirs).raw(&ours).0,
        ours,
        secret: Message::default().mpint(&power(share)).0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_none_is_refused() {
        for name in [
            "curve25519-sha256",
            "ecdh-sha2-nistp256",
            "sntrup761x25519-sha512",
            "mlkem768x25519-sha256",
            "diffie-hellman-group14-sha256",
            "diffie-hellman-group-exchange-sha256",
        ] {
            let Kind { method, hash } = Kind::of(name).unwrap();
            for share in [&[][..], &[1], &[0; 32], &[0xff; 2_000]] {
                assert!(method.answer(hash, share).is_none(), "{name}: {share:?}");
            }
        }
    }

    #[test]
    fn both_sides_of_a_group_agree() {
        let prime = BoxedUint::from_be_slice(&GROUP14.prime(), GROUP14.bits).unwrap();
        let params = BoxedMontyParams::new_vartime(Odd::new(prime).into_option().unwrap());
        let power = |base: &[u8]| {
            let start = base.iter().position(|byte| *byte != 0).unwrap();
            let base = BoxedUint::from_be_slice(&base[start..], GROUP14.bits).unwrap();
            let exponent = BoxedUint::from_be_slice(&[0xa5; 32], 256).unwrap();
            BoxedMontyForm::new(base, &params)
                .pow(&exponent)
                .retrieve()
                .to_be_bytes()
        };
        let agreed = Method::Group(GROUP14).answer(&SHA256, &power(&[2])).unwrap();
        // Behind its length.
        let secret = Message::default().mpint(&power(&agreed.ours[4..])).0;
        assert_eq!(agreed.secret, secret);
    }
}
