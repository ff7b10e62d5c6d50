//! Tokens that users make for their programs. Only a digest of each is stored.

use decnet_model::{
    id::{ApiTokenId, UserId},
    name::TokenName,
    state::Role,
    view::ApiTokenView,
};
use time::OffsetDateTime;

use crate::{
    DbError, Store,
    backend::{Row, Sql},
    users::{USER_COLUMNS, USER_WIDTH, UserRow, taken, user},
};

/// SHA-256 of a token's text.
pub type TokenDigest = [u8; 32];

/// A token as it is stored, without its digest: who asks for it has that already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiTokenRow {
    /// Its id.
    pub id: ApiTokenId,
    /// Its owner's name for it.
    pub name: TokenName,
    /// What it may do at most.
    pub role: Role,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
    /// When it was last used, as far as that was noted.
    pub last_used_at: Option<OffsetDateTime>,
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// Its id.
    pub id: ApiTokenId,
    /// Its owner.
    pub owner: UserId,
    /// The owner's name for it.
    pub name: TokenName,
    /// What it is looked up by.
    pub digest: TokenDigest,
    /// What it may do at most.
    pub role: Role,
    /// Now.
    pub created_at: OffsetDateTime,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
}

const TOKEN_COLUMNS: &str = "t.id, t.name, t.role, t.expires_at, t.last_used_at";

/// A token and its owner, from [`USER_COLUMNS`] and then [`TOKEN_COLUMNS`].
fn with_owner(row: &Row) -> Result<(ApiTokenRow, UserRow), DbError> {
    let c = row.columns("read an API token");
    let token = ApiTokenRow {
        id: ApiTokenId(c.uuid(USER_WIDTH)?),
        name: c.parsed(USER_WIDTH + 1)?,
        role: c.parsed(USER_WIDTH + 2)?,
        expires_at: c.time(USER_WIDTH + 3)?,
        last_used_at: c.opt_time(USER_WIDTH + 4)?,
    };
    Ok((token, user(row)?))
}

impl Store {
    /// Makes a token.
    ///
    /// # Errors
    /// [`DbError::Taken`] where its owner has one of that name.
    pub async fn api_token_create(&self, new: &NewApiToken) -> Result<(), DbError> {
        let text = "INSERT INTO api_tokens (id, user_id, name, digest, role, created_at, expires_at) \
                    VALUES (?, ?, ?, ?, ?, ?, ?)";
        let sql = Sql::new("make an API token", text)
            .bind(new.id.0)
            .bind(new.owner.0)
            .bind(new.name.as_str())
            .bind(new.digest.as_slice())
            .bind(new.role.as_str())
            .bind(new.created_at)
            .bind(new.expires_at);
        let made = self.backend.execute(sql).await.map(drop);
        made.map_err(|error| taken(error, || format!("token name {}", new.name)))
    }

    /// The token with that digest and its owner.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn api_token_by_digest(
        &self,
        digest: &TokenDigest,
    ) -> Result<Option<(ApiTokenRow, UserRow)>, DbError> {
        self.api_token_where("t.digest = ?", digest.as_slice()).await
    }

    /// The token of that id and its owner.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn api_token_get(&self, id: ApiTokenId) -> Result<Option<(ApiTokenRow, UserRow)>, DbError> {
        self.api_token_where("t.id = ?", id.0.as_bytes().as_slice()).await
    }

    async fn api_token_where(
        &self,
        condition: &'static str,
        key: &[u8],
    ) -> Result<Option<(ApiTokenRow, UserRow)>, DbError> {
        let text = format!(
            "SELECT {USER_COLUMNS}, {TOKEN_COLUMNS} FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE {condition}"
        );
        let sql = Sql::new("read an API token", text).bind(key);
        let row = self.backend.fetch_optional(sql).await?;
        row.as_ref().map(with_owner).transpose()
    }

    /// The tokens of `owner`, or everybody's, by owner and name. Not paged: operators are few, and each may have few.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn api_token_list(&self, owner: Option<UserId>) -> Result<Vec<ApiTokenView>, DbError> {
        const OPERATION: &str = "read API tokens";
        let mut sql = Sql::new(
            OPERATION,
            "SELECT t.id, t.name, u.username, t.role, t.created_at, t.expires_at, t.last_used_at \
             FROM api_tokens t JOIN users u ON u.id = t.user_id",
        );
        if let Some(owner) = owner {
            sql.push(" WHERE t.user_id = ?").arg(owner.0);
        }
        sql.push(" ORDER BY u.username, t.name");
        let rows = self.backend.fetch(sql).await?;
        let views = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok(ApiTokenView {
                id: ApiTokenId(c.uuid(0)?),
                name: c.parsed(1)?,
                owner: c.parsed(2)?,
                role: c.parsed(3)?,
                created_at: c.time(4)?,
                expires_at: c.time(5)?,
                last_used_at: c.opt_time(6)?,
            })
        });
        views.collect()
    }

    /// Notes that a token was used at `now`, unless a use within `grain` before stands there already.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn api_token_used(
        &self,
        id: ApiTokenId,
        now: OffsetDateTime,
        grain: time::Duration,
    ) -> Result<(), DbError> {
        // A use in the future is one before the clock was put back.
        let text = "UPDATE api_tokens SET last_used_at = ? \
                    WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ? OR last_used_at > ?)";
        let sql = Sql::new("note the use of an API token", text)
            .bind(now)
            .bind(id.0)
            .bind(now - grain)
            .bind(now);
        self.backend.execute(sql).await.map(drop)
    }

    /// Ends a token for good.
    ///
    /// # Errors
    /// [`DbError::Missing`].
    pub async fn api_token_delete(&self, id: ApiTokenId) -> Result<(), DbError> {
        let sql = Sql::new("end an API token", "DELETE FROM api_tokens WHERE id = ?").bind(id.0);
        match self.backend.execute(sql).await? {
            0 => Err(DbError::Missing {
                what: "API token".into(),
            }),
            _ => Ok(()),
        }
    }
}
