//! The machine's host keys, and the algorithms it offers in OpenSSH's order.

use std::borrow::Cow;

use decnet_persona::{Persona, Rng};
use russh::{
    Preferred, cipher, compression, kex,
    keys::{
        Algorithm, EcdsaCurve, HashAlg, PrivateKey,
        ssh_key::{
            self,
            private::{Ed25519Keypair, RsaKeypair},
            rand_core::{Infallible, TryCryptoRng, TryRng},
        },
    },
    mac,
};

/// Bits of the RSA key, as `ssh-keygen -A` makes it since OpenSSH 7.9.
const RSA_BITS: usize = 3_072;

/// Randomness that a persona repeats, for the key generators.
struct Repeatable(Rng);

impl TryRng for Repeatable {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::try_from(self.0.next_u64() >> 32).unwrap_or(0))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Repeatable {}

/// The three host keys of the persona, the same at every start. The RSA key takes about a second of arithmetic.
pub(super) fn host_keys(persona: &Persona) -> Result<Vec<PrivateKey>, ssh_key::Error> {
    let rng = |label| Repeatable(persona.rng(label));
    let rsa = PrivateKey::from(RsaKeypair::random(&mut rng("ssh/host/rsa"), RSA_BITS)?);
    let ecdsa = PrivateKey::random(
        &mut rng("ssh/host/ecdsa"),
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
    )?;
    let ed25519 = PrivateKey::from(Ed25519Keypair::from_seed(&persona.secret("ssh/host/ed25519")));
    Ok(vec![rsa, ecdsa, ed25519])
}

/// What OpenSSH 8.9 to 9.x offers, in its order (`myproposal.h`), without what russh lacks.
pub(super) fn preferred() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(&[
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::ECDH_SHA2_NISTP256,
            kex::ECDH_SHA2_NISTP384,
            kex::ECDH_SHA2_NISTP521,
            kex::DH_GEX_SHA256,
            kex::DH_G16_SHA512,
            kex::DH_G18_SHA512,
            kex::DH_G14_SHA256,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
        ]),
        key: Cow::Borrowed(&[
            Algorithm::Rsa {
                hash: Some(HashAlg::Sha512),
            },
            Algorithm::Rsa {
                hash: Some(HashAlg::Sha256),
            },
            Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP256,
            },
            Algorithm::Ed25519,
        ]),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(&[
            cipher::CHACHA20_POLY1305,
            cipher::AES_128_CTR,
            cipher::AES_192_CTR,
            cipher::AES_256_CTR,
            cipher::AES_128_GCM,
            cipher::AES_256_GCM,
        ]),
        mac: Cow::Borrowed(&[
            mac::HMAC_SHA256_ETM,
            mac::HMAC_SHA512_ETM,
            mac::HMAC_SHA1_ETM,
            mac::HMAC_SHA256,
            mac::HMAC_SHA512,
            mac::HMAC_SHA1,
        ]),
        compression: Cow::Borrowed(&[compression::NONE, compression::ZLIB_LEGACY]),
    }
}
