//! Open sessions: a user sees and ends their own, an administrator ends everybody's.

use decnet_db::SessionNote;
use decnet_model::{
    id::{TokenId, UserId},
    permission::{ManageUsers, OwnAccess},
    view::SessionView,
};
use decnet_runtime::exit::chain;
use time::OffsetDateTime;

use crate::{
    Domain, DomainError, Permit, Source, auth::later, briefly, permit::Credential, session::Change,
    token::Claims,
};

impl Domain {
    /// One's own open sessions, those used last first.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn session_list(&self, permit: &Permit<OwnAccess>) -> Result<Vec<SessionView>, DomainError> {
        let (user, current) = own(permit)?;
        let now = self.inner.clock.now();
        Ok(self.inner.store.session_list(user, Some(current), now).await?)
    }

    /// End one of one's own sessions, this one too. Its streams end at once.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], for another's session too.
    pub async fn session_end(&self, permit: &Permit<OwnAccess>, id: TokenId) -> Result<(), DomainError> {
        let outcome = async {
            let (user, _) = own(permit)?;
            self.inner
                .store
                .session_end(user, id, self.inner.clock.now())
                .await?;
            self.inner.sessions.changed(Change::Token(id));
            self.tell_user_changed(user);
            Ok(())
        }
        .await;
        self.audited(permit.actor(), "session.end", &id.to_string(), outcome)
            .await
    }

    /// End every session of one's own but this one; gives how many. Their streams end at once.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn session_end_others(&self, permit: &Permit<OwnAccess>) -> Result<u64, DomainError> {
        let outcome = async {
            let (user, current) = own(permit)?;
            let now = self.inner.clock.now();
            let ended = self.inner.store.session_end_others(user, current, now).await?;
            self.inner.sessions.changed(Change::Access(user));
            self.tell_user_changed(user);
            Ok(ended)
        }
        .await;
        let actor = permit.actor();
        self.audited(actor, "session.end_others", &actor.name, outcome)
            .await
    }

    /// End every session of a user. Their API tokens stay; their streams end.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn user_sessions_end(
        &self,
        permit: &Permit<ManageUsers>,
        id: UserId,
    ) -> Result<(), DomainError> {
        let whose = self.user_label(id).await;
        let outcome = async {
            let user = self.user_row(id).await?;
            let valid_from = later(self.inner.clock.now(), user.tokens_valid_from);
            self.inner.store.user_end_sessions(id, valid_from).await?;
            self.user_changed(id);
            Ok(())
        }
        .await;
        self.audited(permit.actor(), "user.sessions_end", &whose, outcome)
            .await
    }

    /// Note that a session is used, at most once a minute. A session that could not be noted when it began is so the next time.
    pub(crate) async fn session_note_use(&self, claims: &Claims, from: &Source, now: OffsetDateTime) {
        if !self.inner.sessions.is_note_due(claims.jti, now) {
            return;
        }
        let time = |unix_s| OffsetDateTime::from_unix_timestamp(unix_s).unwrap_or(now);
        let note = SessionNote {
            id: claims.jti,
            user: claims.sub,
            generation: claims.r#gen,
            started_at: time(claims.iat),
            seen_at: now,
            expires_at: time(claims.exp),
            ip: from.ip,
            agent: from.agent().to_owned(),
        };
        let store = self.inner.store.clone();
        briefly(async move {
            if let Err(error) = store.session_note(&note).await {
                tracing::warn!(error = chain(&error), "the use of a session could not be noted");
            }
        })
        .await;
    }
}

/// Whose sessions, and which of them asks.
fn own(permit: &Permit<OwnAccess>) -> Result<(UserId, TokenId), DomainError> {
    let actor = permit.actor();
    match (actor.id, &actor.credential) {
        (Some(user), Credential::Session { token, .. }) => Ok((user, *token)),
        _ => Err(DomainError::Unauthenticated),
    }
}
