//! Sealing what the database keeps and only the server may read: AES-256-GCM under a key from the data directory's secrets.
//! A copy of the database alone gives nothing away.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{DomainError, random::random};

/// Seals and opens.
pub(crate) struct Seal(LessSafeKey);

impl Seal {
    /// With a key made from `secret`, which is as long as a signing secret.
    pub(crate) fn new(secret: &SecretString) -> Result<Self, DomainError> {
        let key = digest(
            &SHA256,
            format!("decnet seal 1\n{}", secret.expose_secret()).as_bytes(),
        );
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref());
        let key = key.map_err(|_| DomainError::internal("sealing secrets", "the key has a wrong length"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals `secret`, to be opened for the same `owner` only.
    pub(crate) fn seal(&self, owner: &[u8], secret: &[u8]) -> Result<Vec<u8>, DomainError> {
        // Random nonces are good for 2^32 messages under a key (NIST SP 800-38D section 8.3): there are as many as users.
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = nonce.to_vec();
        let mut body = secret.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut body)
            .map_err(|_| DomainError::internal("sealing secrets", "it is too long"))?;
        sealed.extend(body);
        Ok(sealed)
    }

    /// Opens what was sealed for `owner`; nothing where it was changed, moved, or sealed with another key.
    pub(crate) fn open(&self, owner: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        let mut body = body.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let secret = self.0.open_in_place(nonce, Aad::from(owner), &mut body).ok()?;
        Some(secret.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_owner_under_its_key_and_unchanged() {
        let seal = Seal::new(&"a".repeat(32).into()).unwrap();
        let sealed = seal.seal(b"ann", b"secret").unwrap();
        assert_eq!(seal.open(b"ann", &sealed).as_deref(), Some(b"secret".as_slice()));
        assert_ne!(seal.seal(b"ann", b"secret").unwrap(), sealed, "no two alike");
        assert_eq!(seal.open(b"bob", &sealed), None);
        assert_eq!(
            Seal::new(&"b".repeat(32).into()).unwrap().open(b"ann", &sealed),
            None
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(b"ann", &changed), None, "byte {at}");
        }
        assert_eq!(seal.open(b"ann", &[]), None);
    }
}
