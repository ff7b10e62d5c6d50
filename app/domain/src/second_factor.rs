//! The second factor: codes from an authenticator program, and recovery codes for whoever lost it.
//!
//! Signing in takes two steps for who has one: the password gives a challenge, and the challenge with a code gives the session.
//! A challenge is good for nothing else, for five minutes, and once. Failures count to the limits on signing in; beyond ten of
//! one account in five minutes every address has to wait with a code, because whoever came that far knows the password. With a
//! recovery code, which nobody guesses, the owner gets in meanwhile.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use decnet_db::UserRow;
use decnet_model::{
    clock::micros,
    id::UserId,
    permission::{ManageUsers, OwnFactor},
    view::SecondFactorView,
};
use decnet_runtime::exit::chain;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::{
    Actor, Domain, DomainError, Permit, SignedIn, Source,
    attempts::{Attempt, Factor},
    auth::later,
    permit::Credential,
    random::random,
    seal::Seal,
    session::Change,
    totp,
};

/// Bytes of a secret: what RFC 4226 section 4 recommends.
const SECRET: usize = 20;
/// Recovery codes of a user.
const CODES: usize = 10;
/// Bytes of a recovery code: sixteen letters, which nobody guesses, so that a plain digest keeps them.
const CODE: usize = 10;
/// The most characters that are looked at as a code.
const MAX_CODE: usize = 64;

/// What the second step of signing in needs.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// Good for one session, together with a code.
    pub text: SecretString,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// A second factor that waits for its first code.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The secret in base32, for whoever types it.
    pub secret: SecretString,
    /// The same as an `otpauth:` address, for a picture.
    pub uri: SecretString,
}

/// Time steps that were accepted by this process: of a code that the database could not take note of, too.
#[derive(Debug, Default)]
pub(crate) struct Steps(Mutex<HashMap<UserId, i64>>);

impl Steps {
    /// Whether `step` is later than every one before.
    fn take(&self, user: UserId, step: i64) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.entry(user).or_insert(i64::MIN);
        let new = step > *last;
        *last = step.max(*last);
        new
    }

    fn forget(&self, user: UserId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&user);
    }
}

/// A code as it is compared: without what people put between its parts.
fn plain(code: &SecretString) -> String {
    let code = code.expose_secret().chars().take(MAX_CODE);
    code.filter(|c| !c.is_whitespace() && *c != '-')
        .flat_map(char::to_uppercase)
        .collect()
}

/// What a code that somebody typed is. Recovery codes are longer; what is neither is no code of an authenticator.
fn factor_of(plain: &str) -> Factor {
    match plain.len() {
        6 => Factor::Code,
        _ => Factor::Recovery,
    }
}

fn recovery_digest(user: UserId, plain: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(user.0.as_bytes())
        .chain_update(plain)
        .finalize()
        .into()
}

/// New recovery codes with what is stored of them.
fn recovery_codes(user: UserId) -> Result<(Vec<SecretString>, Vec<[u8; 32]>), DomainError> {
    let mut codes = (Vec::with_capacity(CODES), Vec::with_capacity(CODES));
    for _ in 0..CODES {
        let plain = totp::base32(&random::<CODE>()?);
        codes.1.push(recovery_digest(user, &plain));
        let mut shown = String::new();
        for (n, c) in plain.chars().enumerate() {
            if n > 0 && n % 4 == 0 {
                shown.push('-');
            }
            shown.extend(c.to_lowercase());
        }
        codes.0.push(shown.into());
    }
    Ok(codes)
}

impl Domain {
    /// The second step of signing in: the challenge of the first one, and a code or a recovery code.
    ///
    /// # Errors
    /// [`DomainError::Unauthenticated`] where the challenge is over or none, [`DomainError::BadCode`],
    /// [`DomainError::TooMany`].
    pub async fn login_second(
        &self,
        challenge: &SecretString,
        code: &SecretString,
        from: Source,
    ) -> Result<SignedIn, DomainError> {
        let mut name = "(unknown)".to_owned();
        let ip = from.ip;
        let outcome = self
            .login_second_unaudited(challenge, code, from, &mut name)
            .await;
        let result = outcome.as_ref().err().map_or("ok", DomainError::result);
        self.audit_as(&name, ip, "auth.second_factor", &name, result)
            .await;
        outcome
    }

    async fn login_second_unaudited(
        &self,
        challenge: &SecretString,
        code: &SecretString,
        from: Source,
        name: &mut String,
    ) -> Result<SignedIn, DomainError> {
        let now = self.inner.clock.now();
        let claims = self.tokens()?.check_challenge(challenge.expose_secret(), now);
        let claims = claims.ok_or(DomainError::Unauthenticated)?;
        let user = self.inner.store.user_get(claims.sub).await?;
        let user = user
            .filter(|u| !u.disabled && u.second_factor && micros(u.tokens_valid_from) == claims.r#gen)
            .ok_or(DomainError::Unauthenticated)?;
        *name = user.username.to_string();
        if self.inner.store.token_is_revoked(claims.jti).await? {
            return Err(DomainError::Unauthenticated);
        }
        let attempt = self.factor_attempt(factor_of(&plain(code)), from.ip, &user)?;
        if !self.code_accept(user.id, code).await? {
            return Err(DomainError::BadCode);
        }
        self.inner.attempts.succeeded(&attempt);
        let ends = OffsetDateTime::from_unix_timestamp(claims.exp).unwrap_or(now);
        if let Err(error) = self.inner.store.token_revoke(claims.jti, user.id, ends).await {
            // Its code is used up all the same.
            tracing::warn!(error = chain(&error), "a used challenge could not be noted");
        }
        self.session_begin(&user, &from, now).await
    }

    /// How one's own second factor stands.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn second_factor(&self, permit: &Permit<OwnFactor>) -> Result<SecondFactorView, DomainError> {
        let user = permit.actor().id.ok_or(DomainError::Unauthenticated)?;
        let row = self.inner.store.second_factor_get(user).await?;
        let row = row.filter(|row| row.confirmed);
        Ok(SecondFactorView {
            enabled: row.is_some(),
            required: self.inner.options.require_second_factor,
            since: row.map(|row| row.since),
            recovery_codes: self.inner.store.recovery_code_count(user).await?,
        })
    }

    /// Begin to enrol: draw a secret. It counts once a code of it is shown; until then one can begin anew.
    ///
    /// # Errors
    /// [`DomainError::Conflict`] where there is one that counts, or the host has no key to seal it with.
    pub async fn second_factor_begin(&self, permit: &Permit<OwnFactor>) -> Result<Enrolment, DomainError> {
        let actor = permit.actor();
        let outcome = async {
            let user = actor.id.ok_or(DomainError::Unauthenticated)?;
            let secret = random::<SECRET>()?;
            let seal = self.inner.seal.as_ref().ok_or_else(|| {
                DomainError::Conflict(
                    "this host has no key for second factors; `decnet init` makes one".into(),
                )
            })?;
            let sealed = seal.seal(user.0.as_bytes(), &secret)?;
            let now = self.inner.clock.now();
            let begun = self.inner.store.second_factor_begin(user, &sealed, now).await;
            begun.map_err(|error| match error {
                decnet_db::DbError::Taken { .. } => {
                    DomainError::Conflict("there is a second factor; disable it first".into())
                }
                other => other.into(),
            })?;
            let secret = totp::base32(&secret);
            Ok(Enrolment {
                uri: totp::uri(&actor.name, &secret).into(),
                secret: secret.into(),
            })
        }
        .await;
        self.audited(actor, "second_factor.begin", &actor.name, outcome)
            .await
    }

    /// Finish to enrol: a code of the new secret makes it count. The answer is the recovery codes, which are nowhere else. The
    /// user's other sessions end.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming `code`, [`DomainError::NotFound`] where none is begun, [`DomainError::TooMany`].
    pub async fn second_factor_confirm(
        &self,
        permit: &Permit<OwnFactor>,
        code: &SecretString,
    ) -> Result<Vec<SecretString>, DomainError> {
        let actor = permit.actor();
        let outcome = async {
            let user = self.own_row(actor).await?;
            let row = self.inner.store.second_factor_get(user.id).await?;
            let row = row
                .filter(|row| !row.confirmed)
                .ok_or_else(|| DomainError::not_found("second factor of", &user.username))?;
            let attempt = self.factor_attempt(Factor::Code, actor.from.ip, &user)?;
            let secret = self.unsealed(user.id, &row.sealed)?;
            let now = self.inner.clock.now();
            let step = totp::matching_step(&secret, &plain(code), now.unix_timestamp(), row.last_step);
            let step = step.ok_or_else(|| DomainError::field("code", "not the code of this moment"))?;
            self.inner.attempts.succeeded(&attempt);
            let (codes, digests) = recovery_codes(user.id)?;
            self.inner
                .store
                .second_factor_confirm(user.id, step, &digests, now)
                .await?;
            // Whoever knows the password alone is out.
            if let Credential::Session { token, .. } = actor.credential {
                self.inner.store.session_end_others(user.id, token, now).await?;
            }
            self.factor_changed(user.id);
            Ok(codes)
        }
        .await;
        self.audited(actor, "second_factor.enable", &actor.name, outcome)
            .await
    }

    /// Put new recovery codes in the place of the old ones.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming `code`, [`DomainError::NotFound`] where there is no second factor,
    /// [`DomainError::TooMany`].
    pub async fn recovery_codes_renew(
        &self,
        permit: &Permit<OwnFactor>,
        code: &SecretString,
    ) -> Result<Vec<SecretString>, DomainError> {
        let actor = permit.actor();
        let outcome = async {
            let user = self.own_row(actor).await?;
            self.code_check(actor.from.ip, &user, code).await?;
            let (codes, digests) = recovery_codes(user.id)?;
            self.inner.store.recovery_codes_replace(user.id, &digests).await?;
            Ok(codes)
        }
        .await;
        self.audited(actor, "second_factor.recovery_codes", &actor.name, outcome)
            .await
    }

    /// Take one's own second factor away.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming `password` or `code`, [`DomainError::NotFound`] where there is none,
    /// [`DomainError::TooMany`].
    pub async fn second_factor_disable(
        &self,
        permit: &Permit<OwnFactor>,
        password: &SecretString,
        code: &SecretString,
    ) -> Result<(), DomainError> {
        let actor = permit.actor();
        let outcome = async {
            let user = self.own_row(actor).await?;
            let attempt = self.factor_attempt(Factor::Code, actor.from.ip, &user)?;
            if !self
                .inner
                .hasher
                .verify(password, Some(&user.password_hash))
                .await?
            {
                return Err(DomainError::field("password", "this is not the present password"));
            }
            self.inner.attempts.succeeded(&attempt);
            self.code_check(actor.from.ip, &user, code).await?;
            self.inner.store.second_factor_delete(user.id, None).await?;
            self.inner.steps.forget(user.id);
            self.factor_changed(user.id);
            Ok(())
        }
        .await;
        self.audited(actor, "second_factor.disable", &actor.name, outcome)
            .await
    }

    /// Take another's second factor away, who lost it. Their sessions end.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] where there is no such user, or no second factor; [`DomainError::Conflict`] for one's own, which
    /// takes a password and a code to disable.
    pub async fn user_second_factor_reset(
        &self,
        permit: &Permit<ManageUsers>,
        id: UserId,
    ) -> Result<(), DomainError> {
        let actor = permit.actor();
        let whose = self.user_label(id).await;
        let outcome = async {
            if actor.id == Some(id) {
                return Err(DomainError::Conflict(
                    "this is your own: disable it with password and code".into(),
                ));
            }
            let user = self.user_row(id).await?;
            let valid_from = later(self.inner.clock.now(), user.tokens_valid_from);
            self.inner
                .store
                .second_factor_delete(id, Some(valid_from))
                .await?;
            self.inner.steps.forget(id);
            self.user_changed(id);
            Ok(())
        }
        .await;
        self.audited(actor, "user.second_factor_reset", &whose, outcome)
            .await
    }

    /// Count an attempt at a code.
    fn factor_attempt(
        &self,
        factor: Factor,
        from: Option<IpAddr>,
        user: &UserRow,
    ) -> Result<Attempt, DomainError> {
        let attempts = &self.inner.attempts;
        let begun = attempts.begin_factor(factor, from, user.username.as_str(), Instant::now());
        begun.map_err(|retry_after| DomainError::TooMany {
            what: "attempts",
            retry_after,
        })
    }

    /// Check a code of somebody who is signed in.
    async fn code_check(
        &self,
        from: Option<IpAddr>,
        user: &UserRow,
        code: &SecretString,
    ) -> Result<(), DomainError> {
        if !user.second_factor {
            return Err(DomainError::not_found("second factor of", &user.username));
        }
        let attempt = self.factor_attempt(factor_of(&plain(code)), from, user)?;
        if !self.code_accept(user.id, code).await? {
            return Err(DomainError::field(
                "code",
                "not the code of this moment, or used already",
            ));
        }
        self.inner.attempts.succeeded(&attempt);
        Ok(())
    }

    /// Whether `code` is right, and was never used. It is used from now on.
    async fn code_accept(&self, user: UserId, code: &SecretString) -> Result<bool, DomainError> {
        let plain = plain(code);
        if factor_of(&plain) == Factor::Recovery {
            let digest = recovery_digest(user, &plain);
            return Ok(self.inner.store.recovery_code_use(user, &digest).await?);
        }
        let row = self.inner.store.second_factor_get(user).await?;
        let Some(row) = row.filter(|row| row.confirmed) else {
            return Ok(false);
        };
        let secret = self.unsealed(user, &row.sealed)?;
        let now = self.inner.clock.now().unix_timestamp();
        let Some(step) = totp::matching_step(&secret, &plain, now, row.last_step) else {
            return Ok(false);
        };
        if !self.inner.steps.take(user, step) {
            return Ok(false);
        }
        match self.inner.store.second_factor_step(user, step).await {
            Ok(new) => Ok(new),
            // Whoever can mend a full disk has to get in first; this process remembers the code.
            Err(error) if error.is_full() => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a used code could not be noted"
                );
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn seal(&self) -> Result<&Seal, DomainError> {
        let seal = self.inner.seal.as_ref();
        seal.ok_or_else(|| {
            DomainError::internal(
                "sealing a second factor",
                "there is no totp-key; `decnet init` makes one",
            )
        })
    }

    fn unsealed(&self, user: UserId, sealed: &[u8]) -> Result<Vec<u8>, DomainError> {
        let opened = self.seal()?.open(user.0.as_bytes(), sealed);
        opened.ok_or_else(|| {
            DomainError::internal(
                "opening a second factor",
                "it was sealed with another totp-key; `decnet user totp reset` takes it away",
            )
        })
    }

    /// A user has a second factor now, or none: sessions go on and are looked up again.
    fn factor_changed(&self, id: UserId) {
        self.inner.sessions.changed(Change::Access(id));
        self.tell_user_changed(id);
    }

    async fn own_row(&self, actor: &Actor) -> Result<UserRow, DomainError> {
        let id = actor.id.ok_or(DomainError::Unauthenticated)?;
        let user = self.inner.store.user_get(id).await?;
        user.ok_or(DomainError::Unauthenticated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_codes_differ_and_are_read_as_people_type_them() {
        let user = UserId(uuid::Uuid::from_u128(1));
        let (codes, digests) = recovery_codes(user).unwrap();
        let shown: std::collections::BTreeSet<_> = codes.iter().map(|c| c.expose_secret()).collect();
        assert_eq!((shown.len(), digests.len()), (CODES, CODES));
        for (code, digest) in codes.iter().zip(&digests) {
            let text = code.expose_secret();
            assert_eq!(text.len(), 19, "{text}");
            for typed in [
                text.to_owned(),
                text.to_uppercase(),
                text.replace('-', " "),
                format!(" {text}\n"),
            ] {
                assert_eq!(recovery_digest(user, &plain(&typed.into())), *digest);
            }
            let other = UserId(uuid::Uuid::from_u128(2));
            assert_ne!(recovery_digest(other, &plain(code)), *digest);
        }
        assert_eq!(plain(&"123 456".to_owned().into()), "123456");
    }
}
