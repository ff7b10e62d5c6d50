//! The machine's host keys.

use decnet_persona::{Persona, Rng};
use russh::keys::{
    Algorithm, EcdsaCurve, PrivateKey,
    ssh_key::{
        self,
        private::{Ed25519Keypair, RsaKeypair},
        rand_core::{Infallible, TryCryptoRng, TryRng},
    },
};

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
pub(super) fn host_keys(persona: &Persona, rsa_bits: usize) -> Result<Vec<PrivateKey>, ssh_key::Error> {
    let rng = |label| Repeatable(persona.rng(label));
    let rsa = PrivateKey::from(RsaKeypair::random(&mut rng("ssh/host/rsa"), rsa_bits)?);
    let ecdsa = PrivateKey::random(
        &mut rng("ssh/host/ecdsa"),
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
    )?;
    let ed25519 = PrivateKey::from(Ed25519Keypair::from_seed(&persona.secret("ssh/host/ed25519")));
    Ok(vec![rsa, ecdsa, ed25519])
}
