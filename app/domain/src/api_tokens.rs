//! API tokens: what programs sign in with instead of a session.
//!
//! A token's text is `dnt_` and 256 random bits, shown once; stored is its SHA-256, which is enough for a secret that
//! nobody can guess. It may do what its own role and its owner's both allow, so that it ends or shrinks together with its
//! owner, and never what is for persons only ([`decnet_model::permission::Bearer`]).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use decnet_db::{ApiTokenRow, NewApiToken, TokenDigest, UserRow};
use decnet_model::{
    id::{ApiTokenId, UserId},
    name::TokenName,
    permission::{ManageUsers, OwnAccess},
    state::Role,
    view::ApiTokenView,
};
use decnet_runtime::exit::chain;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    Actor, Domain, DomainError, Permit, Source, briefly, permit::Credential, random::random, session::Change,
};

/// What the text of every API token begins with: secret scanners find it by that.
const PREFIX: &str = "dnt_";
/// Characters after the prefix: 32 bytes in base64.
const LENGTH: usize = 43;
/// The least time between two notes of a token's use.
const GRAIN: Duration = Duration::minutes(1);
/// The longest life of a token, in days.
const MAX_DAYS: u32 = 3_650;
/// Tokens that one user may have.
const MOST: usize = 50;

/// What a token is to be.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// Its name, which no other token of its owner has.
    pub name: TokenName,
    /// What it may do at most.
    pub role: Role,
    /// Days until it ends, 1 to 3650.
    pub days: u32,
}

/// A token that was just made. Its text is nowhere else.
#[derive(Debug, Clone)]
pub struct MadeToken {
    /// The text, for `Authorization: Bearer`.
    pub text: SecretString,
    /// What is known of it from now on.
    pub view: ApiTokenView,
}

/// Whether `text` claims to be an API token. Those come in an `Authorization` header only: never in a cookie, which a browser
/// would send along by itself.
#[must_use]
pub fn is_api_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// What `text` is looked up by, where it has the form of a token.
pub(crate) fn digest(text: &str) -> Option<TokenDigest> {
    let secret = text.strip_prefix(PREFIX)?;
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (secret.len() == LENGTH && secret.bytes().all(is_base64)).then(|| Sha256::digest(text).into())
}

impl Domain {
    /// One's own tokens, by name.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn token_list(&self, permit: &Permit<OwnAccess>) -> Result<Vec<ApiTokenView>, DomainError> {
        let owner = permit.actor().id.ok_or(DomainError::Unauthenticated)?;
        Ok(self.inner.store.api_token_list(Some(owner)).await?)
    }

    /// Everybody's tokens, by owner and name.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn token_list_all(
        &self,
        _permit: &Permit<ManageUsers>,
    ) -> Result<Vec<ApiTokenView>, DomainError> {
        Ok(self.inner.store.api_token_list(None).await?)
    }

    /// Make a token of one's own.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming `role` or `expires_in_days`, [`DomainError::Conflict`] where the name is taken or
    /// there are fifty.
    pub async fn token_create(
        &self,
        permit: &Permit<OwnAccess>,
        request: TokenRequest,
    ) -> Result<MadeToken, DomainError> {
        let actor = permit.actor();
        let owner = actor.id.ok_or(DomainError::Unauthenticated)?;
        let target = format!("{}/{}", actor.name, request.name);
        let outcome = self.token_make(owner, actor.role, request).await;
        self.audited(actor, "token.create", &target, outcome).await
    }

    /// Make a token for somebody: at the command line of the machine only, because whoever has a token acts in its owner's
    /// name.
    ///
    /// # Errors
    /// [`DomainError::Forbidden`] for everybody else; as [`Domain::token_create`], and [`DomainError::NotFound`].
    pub async fn token_create_for(
        &self,
        permit: &Permit<ManageUsers>,
        owner: UserId,
        request: TokenRequest,
    ) -> Result<MadeToken, DomainError> {
        let actor = permit.actor();
        let target = format!("{owner}/{}", request.name);
        let outcome = async {
            if !matches!(actor.credential, Credential::Operator) {
                return Err(DomainError::Forbidden {
                    permission: "tokens for others",
                });
            }
            let user = self.inner.store.user_get(owner).await?;
            let user = user.ok_or_else(|| DomainError::not_found("user", owner))?;
            self.token_make(owner, user.role, request).await
        }
        .await;
        self.audited(actor, "token.create", &target, outcome).await
    }

    async fn token_make(
        &self,
        owner: UserId,
        most: Role,
        request: TokenRequest,
    ) -> Result<MadeToken, DomainError> {
        if !(1..=MAX_DAYS).contains(&request.days) {
            return Err(DomainError::field("expires_in_days", format!("1 to {MAX_DAYS}")));
        }
        if !most.covers(request.role) {
            return Err(DomainError::field("role", "more than its owner may do"));
        }
        if self.inner.store.api_token_list(Some(owner)).await?.len() >= MOST {
            return Err(DomainError::Conflict(format!(
                "there are {MOST} tokens; revoke one that is not used"
            )));
        }
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<32>()?));
        let created_at = self.inner.clock.now();
        let new = NewApiToken {
            id: ApiTokenId(Uuid::new_v4()),
            owner,
            name: request.name,
            digest: Sha256::digest(&text).into(),
            role: request.role,
            created_at,
            expires_at: created_at + Duration::days(request.days.into()),
        };
        self.inner.store.api_token_create(&new).await?;
        let made = self.inner.store.api_token_list(Some(owner)).await?;
        let view = made.into_iter().find(|token| token.id == new.id);
        Ok(MadeToken {
            text: text.into(),
            view: view.ok_or_else(|| DomainError::not_found("API token", new.id))?,
        })
    }

    /// End one of one's own tokens. What it is used for at this moment ends too.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], for another's token too.
    pub async fn token_revoke(&self, permit: &Permit<OwnAccess>, id: ApiTokenId) -> Result<(), DomainError> {
        let owner = permit.actor().id.ok_or(DomainError::Unauthenticated)?;
        self.token_end(permit.actor(), id, Some(owner)).await
    }

    /// End anybody's token.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn token_revoke_any(
        &self,
        permit: &Permit<ManageUsers>,
        id: ApiTokenId,
    ) -> Result<(), DomainError> {
        self.token_end(permit.actor(), id, None).await
    }

    async fn token_end(
        &self,
        actor: &Actor,
        id: ApiTokenId,
        only_of: Option<UserId>,
    ) -> Result<(), DomainError> {
        let mut target = id.to_string();
        let outcome = async {
            let found = self.inner.store.api_token_get(id).await?;
            let (token, owner) = found
                .filter(|(_, owner)| only_of.is_none_or(|only| only == owner.id))
                .ok_or_else(|| DomainError::not_found("API token", id))?;
            target = format!("{}/{}", owner.username, token.name);
            self.inner.store.api_token_delete(id).await?;
            self.inner.sessions.changed(Change::ApiToken(id));
            self.tell_user_changed(owner.id);
            Ok(())
        }
        .await;
        self.audited(actor, "token.revoke", &target, outcome).await
    }

    /// Who is behind an API token.
    pub(crate) async fn authenticate_api_token(
        &self,
        digest: &TokenDigest,
        from: Source,
    ) -> Result<Actor, DomainError> {
        let (token, owner) = match self.inner.sessions.api_token(digest) {
            Some(known) => known,
            None => {
                let epoch = self.inner.sessions.epoch();
                let found = self.inner.store.api_token_by_digest(digest).await?;
                let known = found.ok_or(DomainError::Unauthenticated)?;
                self.inner.sessions.put_api_token(*digest, known.clone(), epoch);
                known
            }
        };
        let now = self.inner.clock.now();
        let role = role_now(&token, &owner, now).ok_or(DomainError::Unauthenticated)?;
        self.token_note_use(digest, &token, now).await;
        Ok(Actor {
            id: Some(owner.id),
            name: owner.username.to_string(),
            role,
            from,
            must_change_password: owner.must_change_password,
            second_factor: owner.second_factor,
            must_enrol: self.must_enrol(&owner),
            credential: Credential::ApiToken {
                id: token.id,
                name: token.name,
            },
        })
    }

    /// The id of an API token that was good a moment ago; nothing is looked up.
    pub(crate) fn api_token_id(&self, digest: &TokenDigest) -> Option<ApiTokenId> {
        let (token, _) = self.inner.sessions.api_token(digest)?;
        Some(token.id)
    }

    /// The owner of an API token that was good a moment ago, and what it may do now; nothing is looked up.
    pub(crate) fn api_token_role(&self, digest: &TokenDigest) -> Option<(UserRow, Role)> {
        let (token, owner) = self.inner.sessions.api_token(digest)?;
        let role = role_now(&token, &owner, self.inner.clock.now())?;
        Some((owner, role))
    }

    /// Whether what an API token was good for when `actor` came with it is still so, as far as the database says.
    pub(crate) async fn api_token_holds(&self, id: ApiTokenId, actor: &Actor) -> Result<bool, DomainError> {
        let Some((token, owner)) = self.inner.store.api_token_get(id).await? else {
            return Ok(false);
        };
        let role = role_now(&token, &owner, self.inner.clock.now());
        Ok(role == Some(actor.role) && !owner.must_change_password && !self.must_enrol(&owner))
    }

    async fn token_note_use(&self, digest: &TokenDigest, token: &ApiTokenRow, now: OffsetDateTime) {
        if token.last_used_at.is_some_and(|at| (now - at).abs() < GRAIN) {
            return;
        }
        // In memory first, so that of many requests at once one writes.
        self.inner.sessions.api_token_used(digest, now);
        let (domain, id) = (self.clone(), token.id);
        briefly(async move {
            if let Err(error) = domain.inner.store.api_token_used(id, now, GRAIN).await {
                tracing::warn!(error = chain(&error), token = %id, "the use of an API token could not be noted");
            }
        })
        .await;
    }
}

/// What a token may do at `now`; nothing once it or its owner has ended.
fn role_now(token: &ApiTokenRow, owner: &UserRow, now: OffsetDateTime) -> Option<Role> {
    (!owner.disabled && now < token.expires_at).then(|| token.role.min(owner.role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_token_is_looked_up() {
        let good = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([7; 32]));
        assert!(is_api_token(&good) && digest(&good).is_some());
        for bad in [
            "dnt_".to_owned(),
            good.replace("dnt_", ""),
            good.replace("dnt_", "DNT_"),
            format!("{good}A"),
            good.trim_end_matches(char::is_alphanumeric).to_owned(),
            good.replace('c', "\0"),
            good.replace('c', " "),
            good.replace('c', "="),
            good.replace('c', "\u{e9}"),
        ] {
            assert_ne!(bad, good);
            assert_eq!(digest(&bad), None, "{bad:?}");
        }
    }
}
