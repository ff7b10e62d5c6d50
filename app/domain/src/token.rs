//! Session tokens: a JWT (RFC 7519) signed with HMAC-SHA256, checked for algorithm, issuer, audience, type and expiry.

use std::time::Duration;

use decnet_model::id::{TokenId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::DomainError;

const ISSUER: &str = "decnet";
const AUDIENCE: &str = "decnet-dashboard";
const ACCESS: &str = "access";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: UserId,
    pub(crate) jti: TokenId,
    iss: String,
    aud: String,
    typ: String,
    /// Seconds since the epoch.
    iat: i64,
    /// Seconds since the epoch.
    pub(crate) exp: i64,
    /// The user's `tokens_valid_from` when it was issued, in microseconds. A token is good only while the two are
    /// equal, so that no clock, coarse or jumping, decides whether an old session survives a password change.
    pub(crate) r#gen: i64,
}

/// Signs and checks tokens.
pub(crate) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    lifetime: Duration,
}

impl Tokens {
    pub(crate) fn new(secret: &SecretString, lifetime: Duration) -> Self {
        let secret = secret.expose_secret().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The clock is injected, so the library, which asks the system's, does not judge the time.
        validation.validate_exp = false;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            lifetime,
        }
    }

    /// A new session of `user`.
    pub(crate) fn issue(
        &self,
        user: UserId,
        generation: i64,
        now: OffsetDateTime,
    ) -> Result<(String, Claims), DomainError> {
        let iat = now.unix_timestamp();
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            sub: user,
            jti: TokenId(uuid::Uuid::new_v4()),
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            typ: ACCESS.into(),
            iat,
            exp: iat.saturating_add(lifetime),
            r#gen: generation,
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|e| DomainError::internal("signing a session token", e))?;
        Ok((token, claims))
    }

    /// What `token` says, where it is ours, for us, and not expired.
    pub(crate) fn check(&self, token: &str, now: OffsetDateTime) -> Option<Claims> {
        let claims = decode::<Claims>(token, &self.decoding, &self.validation)
            .ok()?
            .claims;
        (claims.typ == ACCESS && now.unix_timestamp() < claims.exp).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&secret.to_owned().into(), Duration::from_secs(60))
    }

    #[test]
    fn a_token_holds_until_it_expires_and_only_under_its_key() {
        let (ours, theirs) = (tokens(&"a".repeat(32)), tokens(&"b".repeat(32)));
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let (text, claims) = ours.issue(UserId(uuid::Uuid::new_v4()), 5, now).unwrap();
        assert_eq!(ours.check(&text, now), Some(claims));
        assert_eq!(theirs.check(&text, now), None);
        assert_eq!(ours.check(&text, now + time::Duration::seconds(60)), None);
    }

    #[test]
    fn another_algorithm_type_issuer_or_audience_is_refused() {
        let secret = "a".repeat(32);
        let ours = tokens(&secret);
        let now = OffsetDateTime::UNIX_EPOCH;
        let (_, good) = ours.issue(UserId(uuid::Uuid::new_v4()), 5, now).unwrap();
        let key = EncodingKey::from_secret(secret.as_bytes());
        let sign = |alg, claims: &Claims| encode(&Header::new(alg), claims, &key).unwrap();
        assert!(ours.check(&sign(Algorithm::HS256, &good), now).is_some());
        for (what, bad) in [
            ("algorithm", sign(Algorithm::HS512, &good)),
            (
                "type",
                sign(
                    Algorithm::HS256,
                    &Claims {
                        typ: "refresh".into(),
                        ..good.clone()
                    },
                ),
            ),
            (
                "issuer",
                sign(
                    Algorithm::HS256,
                    &Claims {
                        iss: "x".into(),
                        ..good.clone()
                    },
                ),
            ),
            (
                "audience",
                sign(
                    Algorithm::HS256,
                    &Claims {
                        aud: "x".into(),
                        ..good.clone()
                    },
                ),
            ),
        ] {
            assert_eq!(ours.check(&bad, now), None, "{what}");
        }
        // The header says that it is not signed: {"typ":"JWT","alg":"none"}.
        let (_, rest) = sign(Algorithm::HS256, &good)
            .split_once('.')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        let body = rest.split('.').next().unwrap();
        assert_eq!(
            ours.check(&format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{body}."), now),
            None
        );
    }
}
