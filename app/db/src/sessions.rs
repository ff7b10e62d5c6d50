//! Open sessions, as their user sees them, and ending them.

use std::net::IpAddr;

use decnet_model::{
    id::{TokenId, UserId},
    view::SessionView,
};
use time::OffsetDateTime;

use crate::{
    DbError, Store,
    backend::{Merge, Sql, Tx},
};

/// The most sessions of a list: those used last.
const LISTED: u32 = 200;

/// A session as it is just being used.
#[derive(Debug, Clone)]
pub struct SessionNote {
    /// The id of its token.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserId,
    /// The user's `tokens_valid_from` when it began, in microseconds.
    pub generation: i64,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// Now.
    pub seen_at: OffsetDateTime,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
    /// Where it is used from.
    pub ip: Option<IpAddr>,
    /// What the program that uses it calls itself.
    pub agent: String,
}

/// Open sessions, from `sessions s JOIN users u`.
const OPEN: &str = "s.generation = u.tokens_valid_from AND s.expires_at > ? \
                    AND NOT EXISTS (SELECT 1 FROM revoked_tokens r WHERE r.id = s.id)";

impl Store {
    /// Notes that a session is used.
    ///
    /// # Errors
    /// Where the database fails, or its user is gone.
    pub async fn session_note(&self, note: &SessionNote) -> Result<(), DbError> {
        let put = ["last_seen_at", "from_ip", "agent"].map(|column| (column, Merge::Put));
        let upsert = self.backend.dialect().upsert("id", &put);
        let text = format!(
            "INSERT INTO sessions (id, user_id, generation, started_at, last_seen_at, expires_at, from_ip, agent) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?){upsert}"
        );
        let sql = Sql::new("note a session", text)
            .bind(note.id.0)
            .bind(note.user.0)
            .bind(note.generation)
            .bind(note.started_at)
            .bind(note.seen_at)
            .bind(note.expires_at)
            .bind(note.ip.map(|ip| ip.to_string()))
            .bind(&note.agent);
        self.backend.execute(sql).await.map(drop)
    }

    /// The open sessions of a user, those used last first; at most 200. `current` is the one that asks.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn session_list(
        &self,
        user: UserId,
        current: Option<TokenId>,
        now: OffsetDateTime,
    ) -> Result<Vec<SessionView>, DbError> {
        const OPERATION: &str = "read sessions";
        let text = format!(
            "SELECT s.id, s.started_at, s.last_seen_at, s.expires_at, s.from_ip, s.agent \
             FROM sessions s JOIN users u ON u.id = s.user_id \
             WHERE s.user_id = ? AND {OPEN} ORDER BY s.last_seen_at DESC, s.id LIMIT ?"
        );
        let sql = Sql::new(OPERATION, text).bind(user.0).bind(now).bind(LISTED);
        let rows = self.backend.fetch(sql).await?;
        let views = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            let id = TokenId(c.uuid(0)?);
            Ok(SessionView {
                id,
                started_at: c.time(1)?,
                last_seen_at: c.time(2)?,
                expires_at: c.time(3)?,
                address: c.opt_text(4)?.map(|_| c.parsed(4)).transpose()?,
                user_agent: c.text(5)?,
                current: current == Some(id),
            })
        });
        views.collect()
    }

    /// Ends an open session of a user.
    ///
    /// # Errors
    /// [`DbError::Missing`] where the user has no such session.
    pub async fn session_end(&self, user: UserId, id: TokenId, now: OffsetDateTime) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        let ended = self.end_where(&mut tx, user, "s.id = ?", id, now).await?;
        if ended == 0 {
            return Err(DbError::Missing {
                what: format!("session {id}"),
            });
        }
        tx.commit().await
    }

    /// Ends every open session of a user but `kept`; gives how many.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn session_end_others(
        &self,
        user: UserId,
        kept: TokenId,
        now: OffsetDateTime,
    ) -> Result<u64, DbError> {
        let mut tx = self.backend.begin().await?;
        let ended = self.end_where(&mut tx, user, "s.id <> ?", kept, now).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn end_where(
        &self,
        tx: &mut Tx,
        user: UserId,
        which: &'static str,
        id: TokenId,
        now: OffsetDateTime,
    ) -> Result<u64, DbError> {
        let insert = self.backend.dialect().insert_ignore();
        let text = format!(
            "{insert}revoked_tokens (id, user_id, expires_at) SELECT s.id, s.user_id, s.expires_at \
             FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.user_id = ? AND {OPEN} AND {which}"
        );
        let sql = Sql::new("end sessions", text).bind(user.0).bind(now).bind(id.0);
        tx.execute(sql).await
    }

    /// Ends every session of a user, noted or not.
    ///
    /// # Errors
    /// [`DbError::Missing`].
    pub async fn user_end_sessions(
        &self,
        user: UserId,
        tokens_valid_from: OffsetDateTime,
    ) -> Result<(), DbError> {
        let text = "UPDATE users SET tokens_valid_from = ? WHERE id = ?";
        let sql = Sql::new("end all sessions", text)
            .bind(tokens_valid_from)
            .bind(user.0);
        match self.backend.execute(sql).await? {
            0 => Err(DbError::Missing { what: "user".into() }),
            _ => Ok(()),
        }
    }
}
