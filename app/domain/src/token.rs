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
/// What stands in the place of [`ACCESS`] where only the password was right.
const CHALLENGE: &str = "second-factor";
/// How long a code may take.
const CHALLENGE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: UserId,
    pub(crate) jti: TokenId,
    iss: String,
    aud: String,
    typ: String,
    /// Seconds since the epoch.
    pub(crate) iat: i64,
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
}

impl Tokens {
    pub(crate) fn new(secret: &SecretString) -> Self {
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
        }
    }

    /// A new session of `user`.
    pub(crate) fn issue(
        &self,
        lifetime: Duration,
        user: UserId,
        generation: i64,
        now: OffsetDateTime,
    ) -> Result<(String, Claims), DomainError> {
        self.issue_as(ACCESS, lifetime, user, generation, now)
    }

    /// What `user`, whose password was right, shows together with a code.
    pub(crate) fn issue_challenge(
        &self,
        user: UserId,
        generation: i64,
        now: OffsetDateTime,
    ) -> Result<(String, Claims), DomainError> {
        self.issue_as(CHALLENGE, CHALLENGE_LIFETIME, user, generation, now)
    }

    fn issue_as(
        &self,
        kind: &str,
        lifetime: Duration,
        user: UserId,
        generation: i64,
        now: OffsetDateTime,
    ) -> Result<(String, Claims), DomainError> {
        let iat = now.unix_timestamp();
        let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            sub: user,
            jti: TokenId(uuid::Uuid::new_v4()),
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            typ: kind.into(),
            iat,
            exp: iat.saturating_add(lifetime),
            r#gen: generation,
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|e| DomainError::internal("signing a session token", e))?;
        Ok((token, claims))
    }

    /// What the token of a session says, where it is ours, for us, and not expired.
    pub(crate) fn check(&self, token: &str, now: OffsetDateTime) -> Option<Claims> {
        self.check_as(ACCESS, token, now)
    }

    /// The same for a challenge.
    pub(crate) fn check_challenge(&self, token: &str, now: OffsetDateTime) -> Option<Claims> {
        self.check_as(CHALLENGE, token, now)
    }

    fn check_as(&self, kind: &str, token: &str, now: OffsetDateTime) -> Option<Claims> {
        let claims = decode::<Claims>(token, &self.decoding, &self.validation)
            .ok()?
            .claims;
        (claims.typ == kind && now.unix_timestamp() < claims.exp).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&secret.to_owned().into())
    }

    #[test]
    fn a_token_holds_until_it_expires_and_only_under_its_key() {
        let (ours, theirs) = (tokens(&"a".repeat(32)), tokens(&"b".repeat(32)));
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let (text, claims) = ours.issue(MINUTE, UserId(uuid::Uuid::new_v4()), 5, now).unwrap();
        assert_eq!(ours.check(&text, now), Some(claims));
        assert_eq!(theirs.check(&text, now), None);
        assert_eq!(ours.check(&text, now + time::Duration::seconds(60)), None);
    }

    /// A token signed with our own secret that says `claims` under `header`.
    fn sign(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(header), part(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, "a".repeat(32).as_bytes());
        let tag = hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    const HS256: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

    #[test]
    fn forged_and_stale_tokens_are_refused_one_and_all() {
        let ours = tokens(&"a".repeat(32));
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let (issued, good) = ours.issue(MINUTE, UserId(uuid::Uuid::new_v4()), 5, now).unwrap();
        let good = serde_json::to_value(&good).unwrap();
        let claims = good.to_string();
        // What follows differs from this in one thing each.
        assert!(ours.check(&sign(HS256, &claims), now).is_some());

        let mut bad: Vec<(String, String)> = Vec::new();
        let second = now.unix_timestamp();
        for (claim, value) in [
            ("iss", json!("someone")),
            ("iss", json!("")),
            ("iss", json!(null)),
            ("iss", json!(["someone"])),
            ("aud", json!("decnet-agent")),
            ("aud", json!("")),
            ("aud", json!(["someone", "else"])),
            ("typ", json!("refresh")),
            ("typ", json!("Access")),
            ("typ", json!(null)),
            ("exp", json!(second)),
            ("exp", json!(second - 1)),
            ("exp", json!(0)),
            ("exp", json!(-1)),
            ("exp", json!("9999999999")),
            ("exp", json!(null)),
            ("exp", json!(1e300)),
            ("sub", json!("root")),
            ("sub", json!("")),
            ("sub", json!(1)),
            ("jti", json!("1; DROP TABLE users")),
            ("jti", json!(null)),
            ("gen", json!("5")),
            ("gen", json!(null)),
        ] {
            let mut forged = good.clone();
            forged[claim] = value.clone();
            bad.push((format!("{claim} = {value}"), sign(HS256, &forged.to_string())));
        }
        for claim in ["iss", "aud", "typ", "exp", "sub", "jti", "gen", "iat"] {
            let mut forged = good.clone();
            forged.as_object_mut().unwrap().remove(claim);
            bad.push((format!("without {claim}"), sign(HS256, &forged.to_string())));
        }
        for header in [
            r#"{"typ":"JWT","alg":"none"}"#,
            r#"{"typ":"JWT","alg":"None"}"#,
            r#"{"typ":"JWT","alg":"HS384"}"#,
            r#"{"typ":"JWT","alg":"HS512"}"#,
            r#"{"typ":"JWT","alg":"RS256"}"#,
            r#"{"typ":"JWT","alg":"ES256","jwk":{"kty":"oct","k":"YQ"}}"#,
            r#"{"typ":"JWT","alg":""}"#,
            r#"{"typ":"JWT"}"#,
            "{}",
            "",
        ] {
            bad.push((format!("header {header}"), sign(header, &claims)));
        }
        let (head, tag) = issued.rsplit_once('.').unwrap();
        let (header, body) = head.split_once('.').unwrap();
        let (_, other) = tokens(&"a".repeat(32))
            .issue(MINUTE, UserId(uuid::Uuid::new_v4()), 5, now)
            .map(|(text, claims)| (claims, text))
            .unwrap();
        let other_body = other.split('.').nth(1).unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
        for (what, text) in [
            ("no signature", format!("{head}.")),
            ("no last dot", head.to_owned()),
            ("nothing signed", format!("{none}.{body}.")),
            ("another's claims", format!("{header}.{other_body}.{tag}")),
            (
                "a cut signature",
                issued.get(..issued.len() - 2).unwrap().to_owned(),
            ),
            ("a longer signature", format!("{issued}AA")),
            ("a fourth part", format!("{issued}.{tag}")),
            ("a signature of zeros", format!("{head}.{}", "A".repeat(43))),
            ("padding", format!("{issued}=")),
            ("a space before it", format!(" {issued}")),
            ("a line's end", format!("{issued}\n")),
            ("twice itself", format!("{issued}{issued}")),
            ("nothing", String::new()),
            ("dots", "..".to_owned()),
            ("bytes of no base64", "\u{e9}.\u{e9}.\u{e9}".to_owned()),
            ("no JSON", sign(HS256, "not json")),
            ("a list", sign(HS256, "[]")),
            ("too much", "A".repeat(100_000)),
        ] {
            bad.push((what.to_owned(), text));
        }
        let challenge = ours
            .issue_challenge(UserId(uuid::Uuid::new_v4()), 5, now)
            .unwrap()
            .0;
        assert!(ours.check_challenge(&challenge, now).is_some());
        assert_eq!(
            ours.check_challenge(&issued, now),
            None,
            "a session is no challenge"
        );
        assert_eq!(ours.check_challenge(&challenge, now + CHALLENGE_LIFETIME), None);
        bad.push(("a challenge".into(), challenge));
        let strange = tokens(&"b".repeat(32));
        bad.push((
            "another key".into(),
            strange
                .issue(MINUTE, UserId(uuid::Uuid::new_v4()), 5, now)
                .unwrap()
                .0,
        ));
        assert!(bad.len() >= 60, "{}", bad.len());
        for (what, text) in &bad {
            assert_eq!(ours.check(text, now), None, "{what}: {text}");
        }
    }
}
