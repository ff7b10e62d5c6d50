//! Second factors and the recovery codes beside them. Secrets come and go sealed: this crate has no key for them.

use decnet_model::id::UserId;
use time::OffsetDateTime;

use crate::{
    DbError, Store,
    backend::{Arg, Sql, Tx},
};

/// A second factor as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondFactorRow {
    /// The sealed secret.
    pub sealed: Vec<u8>,
    /// Whether its owner has shown a code of it; before that it asks nothing of anybody.
    pub confirmed: bool,
    /// The newest time step of which a code was accepted.
    pub last_step: i64,
    /// When it was begun, or confirmed.
    pub since: OffsetDateTime,
}

impl std::fmt::Debug for SecondFactorRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecondFactorRow")
            .field("confirmed", &self.confirmed)
            .field("last_step", &self.last_step)
            .finish_non_exhaustive()
    }
}

const OPERATION: &str = "change a second factor";

impl Store {
    /// The second factor of a user, confirmed or not.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn second_factor_get(&self, user: UserId) -> Result<Option<SecondFactorRow>, DbError> {
        const READ: &str = "read a second factor";
        let text = "SELECT secret, confirmed, last_step, since FROM second_factors WHERE user_id = ?";
        let row = self
            .backend
            .fetch_optional(Sql::new(READ, text).bind(user.0))
            .await?;
        row.map(|row| {
            let c = row.columns(READ);
            Ok(SecondFactorRow {
                sealed: c.blob(0)?,
                confirmed: c.flag(1)?,
                last_step: c.int(2)?,
                since: c.time(3)?,
            })
        })
        .transpose()
    }

    /// Begins a second factor, in place of one that was never confirmed.
    ///
    /// # Errors
    /// [`DbError::Taken`] where there is a confirmed one.
    pub async fn second_factor_begin(
        &self,
        user: UserId,
        sealed: &[u8],
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        let lock = self.backend.dialect().for_update();
        let text = format!("SELECT confirmed FROM second_factors WHERE user_id = ?{lock}");
        if let Some(row) = tx.fetch_optional(Sql::new(OPERATION, text).bind(user.0)).await?
            && row.columns(OPERATION).flag(0)?
        {
            return Err(DbError::Taken {
                what: "the place of the second factor".into(),
            });
        }
        forget(&mut tx, user).await?;
        let text = "INSERT INTO second_factors (user_id, secret, confirmed, last_step, since) VALUES (?, ?, 0, 0, ?)";
        tx.execute(Sql::new(OPERATION, text).bind(user.0).bind(sealed).bind(now))
            .await?;
        tx.commit().await
    }

    /// Makes a begun second factor count, with the digests of its recovery codes.
    ///
    /// # Errors
    /// [`DbError::Missing`] where none is begun, or it counts already.
    pub async fn second_factor_confirm(
        &self,
        user: UserId,
        step: i64,
        codes: &[[u8; 32]],
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        let text = "UPDATE second_factors SET confirmed = 1, last_step = ?, since = ? \
                    WHERE user_id = ? AND confirmed = 0";
        let sql = Sql::new(OPERATION, text).bind(step).bind(now).bind(user.0);
        if tx.execute(sql).await? == 0 {
            return Err(missing());
        }
        replace_codes(&mut tx, user, codes).await?;
        tx.commit().await
    }

    /// Notes that a code of that time step was accepted; false where one of it or of a later one was before.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn second_factor_step(&self, user: UserId, step: i64) -> Result<bool, DbError> {
        let text =
            "UPDATE second_factors SET last_step = ? WHERE user_id = ? AND confirmed = 1 AND last_step < ?";
        let sql = Sql::new(OPERATION, text).bind(step).bind(user.0).bind(step);
        Ok(self.backend.execute(sql).await? > 0)
    }

    /// Uses a recovery code up; false where there is no such one.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn recovery_code_use(&self, user: UserId, digest: &[u8; 32]) -> Result<bool, DbError> {
        let text = "DELETE FROM recovery_codes WHERE user_id = ? AND digest = ?";
        let sql = Sql::new("use a recovery code", text)
            .bind(user.0)
            .bind(digest.as_slice());
        Ok(self.backend.execute(sql).await? > 0)
    }

    /// Recovery codes that are left.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn recovery_code_count(&self, user: UserId) -> Result<u64, DbError> {
        const COUNT: &str = "count recovery codes";
        let sql = Sql::new(COUNT, "SELECT COUNT(*) FROM recovery_codes WHERE user_id = ?").bind(user.0);
        let row = self.backend.fetch_optional(sql).await?;
        row.map_or(Ok(0), |row| row.columns(COUNT).count(0))
    }

    /// Puts new recovery codes in the place of the old ones.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn recovery_codes_replace(&self, user: UserId, codes: &[[u8; 32]]) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        replace_codes(&mut tx, user, codes).await?;
        tx.commit().await
    }

    /// Takes a user's second factor away with its recovery codes, and ends every session that began before
    /// `tokens_valid_from`, where that is given.
    ///
    /// # Errors
    /// [`DbError::Missing`] where there is none.
    pub async fn second_factor_delete(
        &self,
        user: UserId,
        tokens_valid_from: Option<OffsetDateTime>,
    ) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        if !forget(&mut tx, user).await? {
            return Err(missing());
        }
        if let Some(at) = tokens_valid_from {
            let text = "UPDATE users SET tokens_valid_from = ? WHERE id = ?";
            tx.execute(Sql::new(OPERATION, text).bind(at).bind(user.0))
                .await?;
        }
        tx.commit().await
    }
}

fn missing() -> DbError {
    DbError::Missing {
        what: "second factor".into(),
    }
}

async fn forget(tx: &mut Tx, user: UserId) -> Result<bool, DbError> {
    let codes = "DELETE FROM recovery_codes WHERE user_id = ?";
    tx.execute(Sql::new(OPERATION, codes).bind(user.0)).await?;
    let factor = "DELETE FROM second_factors WHERE user_id = ?";
    Ok(tx.execute(Sql::new(OPERATION, factor).bind(user.0)).await? > 0)
}

async fn replace_codes(tx: &mut Tx, user: UserId, codes: &[[u8; 32]]) -> Result<(), DbError> {
    let old = "DELETE FROM recovery_codes WHERE user_id = ?";
    tx.execute(Sql::new(OPERATION, old).bind(user.0)).await?;
    let rows: Vec<[Arg; 2]> = codes
        .iter()
        .map(|digest| [user.0.into(), digest.as_slice().into()])
        .collect();
    tx.insert_rows(
        OPERATION,
        "INSERT INTO recovery_codes (user_id, digest) VALUES ",
        "",
        rows,
    )
    .await
}
