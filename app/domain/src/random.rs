//! Randomness for secrets, from the cryptographic library's own generator.

use crate::DomainError;

/// `N` bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], DomainError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| DomainError::internal("drawing a secret", "the generator of random numbers failed"))?;
    Ok(bytes)
}
