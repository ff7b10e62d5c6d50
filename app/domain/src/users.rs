//! Accounts, as administrators keep them.

use decnet_db::{NewUser, UserRow};
use decnet_model::{id::UserId, name::UserName, permission::ManageUsers, state::Role, view::UserView};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{Domain, DomainError, Permit, auth::later, password};

impl Domain {
    /// Every account, by name.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn user_list(&self, _permit: &Permit<ManageUsers>) -> Result<Vec<UserView>, DomainError> {
        Ok(self.inner.store.user_list().await?.iter().map(view).collect())
    }

    /// How many open sessions and how many API tokens an account has: what a change of it ends. Of sessions 200 are counted at most.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn user_access(
        &self,
        permit: &Permit<ManageUsers>,
        id: UserId,
    ) -> Result<(u64, u64), DomainError> {
        let user = self.user_row(id).await?;
        let sessions = self.inner.store.session_list(id, None, self.inner.clock.now());
        let sessions = sessions.await?.len();
        let mut tokens = self.token_list_all(permit).await?;
        tokens.retain(|token| token.owner == user.username);
        let count = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
        Ok((count(sessions), count(tokens.len())))
    }

    /// Make an account. Its password has to be changed at the first login.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming `password`, [`DomainError::Conflict`] where the name is taken.
    pub async fn user_create(
        &self,
        permit: &Permit<ManageUsers>,
        username: UserName,
        password: &SecretString,
        role: Role,
    ) -> Result<UserView, DomainError> {
        let outcome = async {
            password::check(password, username.as_str())
                .map_err(|fault| DomainError::field("password", fault.to_string()))?;
            let new = NewUser {
                id: UserId(Uuid::new_v4()),
                username: username.clone(),
                role,
                password_hash: self.inner.hasher.hash(password).await?,
                must_change_password: true,
                created_at: self.inner.clock.now(),
            };
            self.inner.store.user_create(&new).await?;
            Ok(view(&self.user_row(new.id).await?))
        }
        .await;
        self.audited(permit.actor(), "user.create", username.as_str(), outcome)
            .await
    }

    /// Give a user another role. Its sessions end.
    ///
    /// # Errors
    /// [`DomainError::NotFound`]; [`DomainError::Conflict`] for the last admin.
    pub async fn user_set_role(
        &self,
        permit: &Permit<ManageUsers>,
        id: UserId,
        role: Role,
    ) -> Result<UserView, DomainError> {
        let whose = self.user_label(id).await;
        let target = format!("{whose} = {role}");
        let outcome = async {
            let user = self.user_row(id).await?;
            // Nothing changes, so nobody is signed out.
            if user.role == role {
                return Ok(view(&user));
            }
            let valid_from = later(self.inner.clock.now(), user.tokens_valid_from);
            self.inner.store.user_set_role(id, role, valid_from).await?;
            self.user_changed(id);
            Ok(view(&self.user_row(id).await?))
        }
        .await;
        self.audited(permit.actor(), "user.role", &target, outcome).await
    }

    /// Give a user a new password, which it has to change at its next login. Its sessions end.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Invalid`] naming `new_password`.
    pub async fn user_reset_password(
        &self,
        permit: &Permit<ManageUsers>,
        id: UserId,
        password: &SecretString,
    ) -> Result<(), DomainError> {
        let whose = self.user_label(id).await;
        let outcome = async {
            let user = self.user_row(id).await?;
            password::check(password, user.username.as_str())
                .map_err(|fault| DomainError::field("new_password", fault.to_string()))?;
            let hash = self.inner.hasher.hash(password).await?;
            let valid_from = later(self.inner.clock.now(), user.tokens_valid_from);
            self.inner
                .store
                .user_set_password(id, &hash, true, valid_from)
                .await?;
            self.user_changed(id);
            Ok(())
        }
        .await;
        self.audited(permit.actor(), "user.reset_password", &whose, outcome)
            .await
    }

    /// Let a user sign in no more, or again. Its sessions end; whoever may sign in no more loses their API tokens, too.
    ///
    /// # Errors
    /// [`DomainError::NotFound`]; [`DomainError::Conflict`] for the last admin.
    pub async fn user_set_disabled(
        &self,
        permit: &Permit<ManageUsers>,
        id: UserId,
        disabled: bool,
    ) -> Result<UserView, DomainError> {
        let whose = self.user_label(id).await;
        let outcome = async {
            let user = self.user_row(id).await?;
            // Nothing changes, so nobody is signed out.
            if user.disabled == disabled {
                return Ok(view(&user));
            }
            let valid_from = later(self.inner.clock.now(), user.tokens_valid_from);
            self.inner
                .store
                .user_set_disabled(id, disabled, valid_from)
                .await?;
            self.user_changed(id);
            Ok(view(&self.user_row(id).await?))
        }
        .await;
        let action = if disabled { "user.disable" } else { "user.enable" };
        self.audited(permit.actor(), action, &whose, outcome).await
    }

    /// Remove an account. Its sessions end.
    ///
    /// # Errors
    /// [`DomainError::NotFound`]; [`DomainError::Conflict`] for the last admin.
    pub async fn user_delete(&self, permit: &Permit<ManageUsers>, id: UserId) -> Result<(), DomainError> {
        let whose = self.user_label(id).await;
        let outcome = async {
            self.inner.store.user_delete(id).await?;
            self.user_changed(id);
            Ok(())
        }
        .await;
        self.audited(permit.actor(), "user.delete", &whose, outcome).await
    }

    /// What the audit log calls a user: the name, which says something after the account is gone, too; the id, where it is
    /// nobody's.
    pub(crate) async fn user_label(&self, id: UserId) -> String {
        let user = self.inner.store.user_get(id).await;
        user.ok()
            .flatten()
            .map_or_else(|| id.to_string(), |user| user.username.to_string())
    }

    pub(crate) async fn user_row(&self, id: UserId) -> Result<UserRow, DomainError> {
        self.inner
            .store
            .user_get(id)
            .await?
            .ok_or_else(|| DomainError::not_found("user", id))
    }
}

fn view(user: &UserRow) -> UserView {
    UserView {
        id: user.id,
        username: user.username.clone(),
        role: user.role,
        disabled: user.disabled,
        must_change_password: user.must_change_password,
        second_factor: user.second_factor,
        created_at: user.created_at,
        last_login_at: user.last_login_at,
    }
}
