//! The machine's host keys.

use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use crypto_bigint::{NonZero, RandomMod as _, U256};
use decnet_persona::{Persona, ProductKind, Rng};
use rsa::{
    Pkcs1v15Sign, RsaPrivateKey,
    rand_core::{Infallible, TryCryptoRng, TryRng},
    traits::PublicKeyParts as _,
};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use super::{fields::Message, proposal::Proposal};

/// The order of the curve P-256 (FIPS 186-4, D.1.2.3).
const P256_ORDER: U256 =
    U256::from_be_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

/// Keys that cannot be made; it would take a generator that is broken.
#[derive(Debug, thiserror::Error)]
#[error("a key of {0} cannot be made")]
pub(super) struct KeyError(&'static str);

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

/// The Ed25519 host key of the persona as `known_hosts` has it, and its fingerprint as `ssh` shows it.
pub(crate) fn host_key(persona: &Persona) -> (String, String) {
    let Ok(key) = Ed25519KeyPair::from_seed_unchecked(&persona.secret("ssh/host/ed25519")) else {
        return (String::new(), String::new());
    };
    let sent = Message::default()
        .string(b"ssh-ed25519")
        .string(key.public_key().as_ref());
    (STANDARD.encode(&sent.0), fingerprint(&sent.0))
}

/// The fingerprint of a public key, as `ssh` and `ssh-keygen` show it.
fn fingerprint(public: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(public)))
}

/// The host keys of the persona's own server: of which kind, and its fingerprint.
///
/// # Errors
/// Where they cannot be made.
pub(crate) fn fingerprints(persona: &Persona) -> Result<[(&'static str, String); 3], String> {
    let version = persona.product(ProductKind::Ssh).banner;
    let bits = Proposal::of(&version, persona).rsa_bits;
    let keys = HostKeys::new(persona, bits).map_err(|error| error.to_string())?;
    let [rsa, ecdsa, ed25519] = &keys.public;
    let of = |kind, public: &[u8]| (kind, fingerprint(public));
    Ok([of("RSA", rsa), of("ECDSA", ecdsa), of("ED25519", ed25519)])
}

/// The three host keys of the persona, the same at every start.
pub(super) struct HostKeys {
    rsa: RsaPrivateKey,
    ecdsa: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    /// Their public halves as they are sent, in that order.
    public: [Vec<u8>; 3],
}

/// A way to sign, which says with which key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Ed25519,
    EcdsaP256,
    RsaSha512,
    RsaSha256,
    RsaSha1,
}

impl Algorithm {
    /// The one that is called `name`.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "ssh-ed25519" => Self::Ed25519,
            "ecdsa-sha2-nistp256" => Self::EcdsaP256,
            "rsa-sha2-512" => Self::RsaSha512,
            "rsa-sha2-256" => Self::RsaSha256,
            "ssh-rsa" => Self::RsaSha1,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::RsaSha512 => "rsa-sha2-512",
            Self::RsaSha256 => "rsa-sha2-256",
            Self::RsaSha1 => "ssh-rsa",
        }
    }

    /// Whether a signature takes milliseconds, which other connections should not wait for.
    pub(super) fn is_slow(self) -> bool {
        self.is_rsa()
    }

    pub(super) fn is_rsa(self) -> bool {
        matches!(self, Self::RsaSha512 | Self::RsaSha256 | Self::RsaSha1)
    }
}

impl HostKeys {
    /// Those of `persona`. The RSA key takes about a second of arithmetic.
    pub(super) fn new(persona: &Persona, rsa_bits: usize) -> Result<Self, KeyError> {
        let rng = |label| Repeatable(persona.rng(label));
        let rsa = RsaPrivateKey::new(&mut rng("ssh/host/rsa"), rsa_bits).map_err(|_| KeyError("RSA"))?;
        let failed = || KeyError("ECDSA");
        let order = NonZero::new(P256_ORDER).into_option().ok_or_else(failed)?;
        let scalar = U256::random_mod_vartime(&mut rng("ssh/host/ecdsa"), &order);
        let scalar = scalar.to_be_bytes();
        let point = PrivateKey::from_private_key(&ECDH_P256, scalar.as_ref())
            .map_err(|_| failed())?
            .compute_public_key()
            .map_err(|_| failed())?;
        let ecdsa = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            scalar.as_ref(),
            point.as_ref(),
        )
        .map_err(|_| failed())?;
        let ed25519 = Ed25519KeyPair::from_seed_unchecked(&persona.secret("ssh/host/ed25519"))
            .map_err(|_| KeyError("Ed25519"))?;
        let public = [
            Message::default()
                .string(b"ssh-rsa")
                .mpint(&rsa.e_bytes())
                .mpint(&rsa.n_bytes()),
            Message::default()
                .string(b"ecdsa-sha2-nistp256")
                .string(b"nistp256")
                .string(point.as_ref()),
            Message::default()
                .string(b"ssh-ed25519")
                .string(ed25519.public_key().as_ref()),
        ];
        Ok(Self {
            rsa,
            ecdsa,
            ed25519,
            public: public.map(|message| message.0),
        })
    }

    /// The public key that `algorithm` signs with.
    pub(super) fn public(&self, algorithm: Algorithm) -> &[u8] {
        let [rsa, ecdsa, ed25519] = &self.public;
        match algorithm {
            Algorithm::Ed25519 => ed25519,
            Algorithm::EcdsaP256 => ecdsa,
            Algorithm::RsaSha512 | Algorithm::RsaSha256 | Algorithm::RsaSha1 => rsa,
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Vec<u8>] {
        &self.public
    }

    /// The signature of `data`, with the name of its algorithm (RFC 4253, section 6.6; RFC 8332; RFC 5656, section 3.1.2;
    /// RFC 8709).
    pub(super) fn sign(&self, algorithm: Algorithm, data: &[u8]) -> Option<Vec<u8>> {
        let rsa = |scheme: Pkcs1v15Sign, hash: &[u8]| self.rsa.sign(scheme, hash).ok();
        let signature = match algorithm {
            Algorithm::Ed25519 => self.ed25519.sign(data).as_ref().to_vec(),
            Algorithm::EcdsaP256 => {
                let both = self.ecdsa.sign(&SystemRandom::new(), data).ok()?;
                let (r, s) = both.as_ref().split_at_checked(32)?;
                Message::default().mpint(r).mpint(s).0
            }
            Algorithm::RsaSha512 => rsa(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(data))?,
            Algorithm::RsaSha256 => rsa(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(data))?,
            Algorithm::RsaSha1 => rsa(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(data))?,
        };
        let signed = Message::default()
            .string(algorithm.name().as_bytes())
            .string(&signature);
        Some(signed.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use decnet_persona::{PersonaSpec, Seed};

    use super::*;

    #[test]
    fn two_machines_share_no_host_key_and_one_has_the_same_at_every_start() {
        let keys = |seed| {
            let spec = PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server");
            let keys = HostKeys::new(&Persona::derive(&spec).unwrap(), 1024).unwrap();
            keys.all().iter().cloned().collect::<BTreeSet<_>>()
        };
        let (one, other) = (keys(5), keys(6));
        assert_eq!(one.len(), 3);
        assert!(one.is_disjoint(&other));
        assert_eq!(one, keys(5));
    }
}
