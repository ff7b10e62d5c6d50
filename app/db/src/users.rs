//! Accounts and the tokens that were ended before their time.

use std::fmt;

use decnet_model::{
    id::{TokenId, UserId},
    name::UserName,
    state::Role,
};
use time::{Duration, OffsetDateTime};

use crate::{
    DbError, Store,
    backend::{Merge, Row, Sql, Tx},
};

/// How long ended tokens are remembered that have expired.
const KEEP_EXPIRED: Duration = Duration::days(1);
/// The setting that names the account which still has the password that the configuration gave it at the first start.
/// Not the same as having to change it: that holds after a reset by an operator, too.
const FIRST_PASSWORD: &str = "first-password-of";

/// An account as it is stored. Not a view: it holds the password's hash, and its Debug leaves that out.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Its id.
    pub id: UserId,
    /// Its name.
    pub username: UserName,
    /// The password's hash, in PHC form.
    pub password_hash: String,
    /// What it may do.
    pub role: Role,
    /// It may not sign in.
    pub disabled: bool,
    /// Nothing but changing the password is allowed.
    pub must_change_password: bool,
    /// Tokens that were issued for another value of this are void.
    pub tokens_valid_from: OffsetDateTime,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When somebody last signed in.
    pub last_login_at: Option<OffsetDateTime>,
    /// Whether signing in takes a second factor.
    pub second_factor: bool,
}

impl fmt::Debug for UserRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRow")
            .field("id", &self.id)
            .field("username", &self.username)
            .field("role", &self.role)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// An account to be made. Its Debug leaves the hash out.
#[derive(Clone)]
pub struct NewUser {
    /// Its id.
    pub id: UserId,
    /// Its name.
    pub username: UserName,
    /// What it may do.
    pub role: Role,
    /// The password's hash, in PHC form.
    pub password_hash: String,
    /// Whether the password has to be changed at the first login.
    pub must_change_password: bool,
    /// Now.
    pub created_at: OffsetDateTime,
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser")
            .field("username", &self.username)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// What [`user`] reads, from `users u`.
pub(crate) const USER_COLUMNS: &str = "u.id, u.username, u.password_hash, u.role, u.disabled, u.must_change_password, \
                                       u.tokens_valid_from, u.created_at, u.last_login_at, \
                                       EXISTS (SELECT 1 FROM second_factors f \
                                       WHERE f.user_id = u.id AND f.confirmed = 1)";
/// How many columns that is.
pub(crate) const USER_WIDTH: usize = 10;

fn select(condition: &str) -> Sql {
    let text = format!("SELECT {USER_COLUMNS} FROM users u {condition}");
    Sql::new("read users", text)
}

pub(crate) fn user(row: &Row) -> Result<UserRow, DbError> {
    let c = row.columns("read a user");
    Ok(UserRow {
        id: UserId(c.uuid(0)?),
        username: c.parsed(1)?,
        password_hash: c.text(2)?,
        role: c.parsed(3)?,
        disabled: c.flag(4)?,
        must_change_password: c.flag(5)?,
        tokens_valid_from: c.time(6)?,
        created_at: c.time(7)?,
        last_login_at: c.opt_time(8)?,
        second_factor: c.flag(9)?,
    })
}

impl Store {
    /// Makes an account.
    ///
    /// # Errors
    /// [`DbError::Taken`] where the name is in use.
    pub async fn user_create(&self, new: &NewUser) -> Result<(), DbError> {
        let made = self.backend.execute(insert(new)).await.map(drop);
        made.map_err(|error| taken(error, || format!("user name {}", new.username)))
    }

    /// Makes the first account, whose password is the configuration's until it gets another.
    ///
    /// # Errors
    /// [`DbError::Taken`] where the name is in use, such as by another server that started at the same time.
    pub async fn user_create_first(&self, new: &NewUser) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        tx.execute(insert(new))
            .await
            .map_err(|error| taken(error, || format!("user name {}", new.username)))?;
        let upsert = self.backend.dialect().upsert("name", &[("value", Merge::Put)]);
        let text = format!("INSERT INTO settings (name, value) VALUES (?, ?){upsert}");
        let sql = Sql::new("note whose the first password is", text)
            .bind(FIRST_PASSWORD)
            .bind(new.id.0.to_string());
        tx.execute(sql).await?;
        tx.commit().await
    }

    /// Whether an account has the password that the configuration gave it at the first start: nobody has changed or reset
    /// it since.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn user_has_first_password(&self, id: UserId) -> Result<bool, DbError> {
        Ok(self.setting_get(FIRST_PASSWORD).await? == Some(id.0.to_string()))
    }

    /// Gives another first password, and ends every token that was issued before `tokens_valid_from`. Answers false, and
    /// changes nothing, where somebody has changed or reset the password meanwhile.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn user_set_first_password(
        &self,
        id: UserId,
        hash: &str,
        tokens_valid_from: OffsetDateTime,
    ) -> Result<bool, DbError> {
        let text = "UPDATE users SET password_hash = ?, tokens_valid_from = ? \
                    WHERE id = ? AND EXISTS (SELECT 1 FROM settings WHERE name = ? AND value = ?)";
        let sql = Sql::new("follow the configured password", text)
            .bind(hash)
            .bind(tokens_valid_from)
            .bind(id.0)
            .bind(FIRST_PASSWORD)
            .bind(id.0.to_string());
        Ok(self.backend.execute(sql).await? > 0)
    }

    /// The account of that name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn user_by_name(&self, name: &UserName) -> Result<Option<UserRow>, DbError> {
        let sql = select("WHERE u.username = ?").bind(name.as_str());
        self.backend
            .fetch_optional(sql)
            .await?
            .as_ref()
            .map(user)
            .transpose()
    }

    /// The account of that id.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn user_get(&self, id: UserId) -> Result<Option<UserRow>, DbError> {
        let sql = select("WHERE u.id = ?").bind(id.0);
        self.backend
            .fetch_optional(sql)
            .await?
            .as_ref()
            .map(user)
            .transpose()
    }

    /// Every account, by name. Not paged: operators are few.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn user_list(&self) -> Result<Vec<UserRow>, DbError> {
        self.backend
            .fetch(select("ORDER BY u.username"))
            .await?
            .iter()
            .map(user)
            .collect()
    }

    /// How many administrators can sign in.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn user_admin_count(&self) -> Result<u64, DbError> {
        let row = self.backend.fetch_optional(admins("")).await?;
        row.map_or(Ok(0), |row| row.columns("count administrators").count(0))
    }

    /// Gives a new password, and ends every token that was issued before `tokens_valid_from`. From then on, the password is
    /// no longer the configuration's.
    ///
    /// # Errors
    /// [`DbError::Missing`].
    pub async fn user_set_password(
        &self,
        id: UserId,
        hash: &str,
        must_change: bool,
        tokens_valid_from: OffsetDateTime,
    ) -> Result<(), DbError> {
        let text = "UPDATE users SET password_hash = ?, must_change_password = ?, tokens_valid_from = ? WHERE id = ?";
        let sql = Sql::new("change a password", text)
            .bind(hash)
            .bind(must_change)
            .bind(tokens_valid_from)
            .bind(id.0);
        let mut tx = self.backend.begin().await?;
        found(tx.execute(sql).await?)?;
        let text = "DELETE FROM settings WHERE name = ? AND value = ?";
        let sql = Sql::new("forget whose the first password is", text)
            .bind(FIRST_PASSWORD)
            .bind(id.0.to_string());
        tx.execute(sql).await?;
        tx.commit().await
    }

    /// Replaces the hash of an unchanged password, unless the password was changed meanwhile.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn user_rehash(&self, id: UserId, old: &str, new: &str) -> Result<(), DbError> {
        let text = "UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?";
        self.backend
            .execute(Sql::new("renew a hash", text).bind(new).bind(id.0).bind(old))
            .await
            .map(drop)
    }

    /// Gives another role and ends the tokens.
    ///
    /// # Errors
    /// [`DbError::Missing`]; [`DbError::LastAdmin`] where nobody else could administer, also under a race.
    pub async fn user_set_role(
        &self,
        id: UserId,
        role: Role,
        tokens_valid_from: OffsetDateTime,
    ) -> Result<(), DbError> {
        let sql = Sql::new(
            "change a role",
            "UPDATE users SET role = ?, tokens_valid_from = ? WHERE id = ?",
        )
        .bind(role.as_str())
        .bind(tokens_valid_from)
        .bind(id.0);
        self.keeping_an_admin(sql, Vec::new()).await
    }

    /// Forbids or allows to sign in and ends the tokens. API tokens are gone for good: a user who may sign in again makes
    /// new ones.
    ///
    /// # Errors
    /// [`DbError::Missing`]; [`DbError::LastAdmin`] where nobody else could administer, also under a race.
    pub async fn user_set_disabled(
        &self,
        id: UserId,
        disabled: bool,
        tokens_valid_from: OffsetDateTime,
    ) -> Result<(), DbError> {
        let sql = Sql::new(
            "disable a user",
            "UPDATE users SET disabled = ?, tokens_valid_from = ? WHERE id = ?",
        )
        .bind(disabled)
        .bind(tokens_valid_from)
        .bind(id.0);
        let tokens = Sql::new("end API tokens", "DELETE FROM api_tokens WHERE user_id = ?").bind(id.0);
        self.keeping_an_admin(sql, if disabled { vec![tokens] } else { Vec::new() })
            .await
    }

    /// Removes an account.
    ///
    /// # Errors
    /// [`DbError::Missing`]; [`DbError::LastAdmin`] where nobody else could administer, also under a race.
    pub async fn user_delete(&self, id: UserId) -> Result<(), DbError> {
        let sql = Sql::new("delete a user", "DELETE FROM users WHERE id = ?").bind(id.0);
        self.keeping_an_admin(sql, Vec::new()).await
    }

    /// Notes a login.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn user_logged_in(&self, id: UserId, now: OffsetDateTime) -> Result<(), DbError> {
        let sql = Sql::new("note a login", "UPDATE users SET last_login_at = ? WHERE id = ?")
            .bind(now)
            .bind(id.0);
        self.backend.execute(sql).await.map(drop)
    }

    /// Ends a token before it expires by itself.
    ///
    /// # Errors
    /// Where the database fails, or there is no such user.
    pub async fn token_revoke(
        &self,
        token: TokenId,
        user: UserId,
        expires_at: OffsetDateTime,
    ) -> Result<(), DbError> {
        let text = format!(
            "{}revoked_tokens (id, user_id, expires_at) VALUES (?, ?, ?)",
            self.backend.dialect().insert_ignore()
        );
        let sql = Sql::new("end a token", text)
            .bind(token.0)
            .bind(user.0)
            .bind(expires_at);
        self.backend.execute(sql).await.map(drop)
    }

    /// Whether a token was ended.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn token_is_revoked(&self, token: TokenId) -> Result<bool, DbError> {
        let sql = Sql::new("look up a token", "SELECT 1 FROM revoked_tokens WHERE id = ?").bind(token.0);
        Ok(self.backend.fetch_optional(sql).await?.is_some())
    }

    /// Forgets sessions and ended tokens that expired a day ago; gives how many. A clock that is put back by less makes none of
    /// them good again.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn token_prune(&self, now: OffsetDateTime) -> Result<u64, DbError> {
        let before = now - KEEP_EXPIRED;
        let mut pruned = 0;
        for text in [
            "DELETE FROM sessions WHERE expires_at < ?",
            "DELETE FROM revoked_tokens WHERE expires_at < ?",
        ] {
            let sql = Sql::new("forget expired tokens", text).bind(before);
            pruned += self.backend.execute(sql).await?;
        }
        Ok(pruned)
    }

    /// Runs a change of one user and what follows from it, unless it takes away the last administrator.
    async fn keeping_an_admin(&self, change: Sql, then: Vec<Sql>) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        let before = admin_count(&mut tx, self.backend.dialect().for_update()).await?;
        found(tx.execute(change).await?)?;
        if before > 0 && admin_count(&mut tx, "").await? == 0 {
            return Err(DbError::LastAdmin);
        }
        for sql in then {
            tx.execute(sql).await?;
        }
        tx.commit().await
    }
}

fn insert(new: &NewUser) -> Sql {
    let text = "INSERT INTO users (id, username, password_hash, role, disabled, must_change_password, \
                tokens_valid_from, created_at) VALUES (?, ?, ?, ?, 0, ?, ?, ?)";
    Sql::new("make a user", text)
        .bind(new.id.0)
        .bind(new.username.as_str())
        .bind(&new.password_hash)
        .bind(new.role.as_str())
        .bind(new.must_change_password)
        .bind(new.created_at)
        .bind(new.created_at)
}

fn admins(lock: &str) -> Sql {
    Sql::new(
        "count administrators",
        format!("SELECT COUNT(*) FROM users WHERE role = 'admin' AND disabled = 0{lock}"),
    )
}

async fn admin_count(tx: &mut Tx, lock: &str) -> Result<u64, DbError> {
    let row = tx.fetch_optional(admins(lock)).await?;
    row.map_or(Ok(0), |row| row.columns("count administrators").count(0))
}

/// `error`, or that `what` is taken where that is why.
pub(crate) fn taken(error: DbError, what: impl FnOnce() -> String) -> DbError {
    match error {
        DbError::Query {
            source: sqlx::Error::Database(e),
            ..
        } if e.is_unique_violation() => DbError::Taken { what: what() },
        other => other,
    }
}

fn found(rows: u64) -> Result<(), DbError> {
    if rows == 0 {
        Err(DbError::Missing { what: "user".into() })
    } else {
        Ok(())
    }
}
