//! The audit log: who did what. It can be appended to and read; triggers in the database refuse everything else.

use std::net::IpAddr;

use decnet_model::view::{AuditView, Page};
use time::OffsetDateTime;

use crate::{DbError, Store, backend::Sql, cursor};

impl Store {
    /// Appends an entry.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit_append(
        &self,
        now: OffsetDateTime,
        actor: &str,
        action: &str,
        target: &str,
        from: Option<IpAddr>,
        result: &str,
    ) -> Result<(), DbError> {
        let text =
            "INSERT INTO audit_log (at, actor, action, target, from_ip, result) VALUES (?, ?, ?, ?, ?, ?)";
        let sql = Sql::new("append to the audit log", text)
            .bind(now)
            .bind(actor)
            .bind(action)
            .bind(target)
            .bind(from.map(|ip| ip.to_string()))
            .bind(result);
        self.backend.execute(sql).await.map(drop)
    }

    /// Entries, newest first.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] for a limit or a cursor that cannot be.
    pub async fn audit_page(
        &self,
        limit: Option<u32>,
        before: Option<&str>,
    ) -> Result<Page<AuditView>, DbError> {
        const OPERATION: &str = "read the audit log";
        let size = cursor::page_size(limit)?;
        let text = "SELECT id, at, actor, action, target, from_ip, result FROM audit_log WHERE id < ? \
                    ORDER BY id DESC LIMIT ?";
        let sql = Sql::new(OPERATION, text)
            .bind(cursor::id_of(before)?.unwrap_or(i64::MAX))
            .bind(size + 1);
        let rows = self.backend.fetch(sql).await?;
        let entries = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok(AuditView {
                id: c.int(0)?,
                at: c.time(1)?,
                actor: c.text(2)?,
                action: c.text(3)?,
                target: c.text(4)?,
                from: c.opt_text(5)?.map(|_| c.parsed(5)).transpose()?,
                result: c.text(6)?,
            })
        });
        Ok(cursor::page(
            entries.collect::<Result<_, DbError>>()?,
            size,
            |e: &AuditView| cursor::of_id(e.id),
        ))
    }
}
