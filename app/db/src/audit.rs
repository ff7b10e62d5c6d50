//! The audit log: who did what. It can be appended to and read; triggers in the database refuse everything else.

use std::net::IpAddr;

use decnet_model::{
    clock::micros,
    query::AuditQuery,
    view::{AuditView, Page},
};
use time::OffsetDateTime;

use crate::{
    DbError, Store,
    backend::{Sql, contains},
    cursor,
};

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

    /// Entries, newest first. A text is looked for row by row until a page is full.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] for a limit or a cursor that cannot be.
    pub async fn audit_page(&self, query: &AuditQuery) -> Result<Page<AuditView>, DbError> {
        const OPERATION: &str = "read the audit log";
        let size = cursor::page_size(query.limit)?;
        let before = cursor::id_of(query.before.as_deref())?.unwrap_or(i64::MAX);
        let text = "SELECT id, at, actor, action, target, from_ip, result FROM audit_log WHERE id < ?";
        let mut sql = Sql::new(OPERATION, text).bind(before);
        // The name itself, or what is below it; a range, so that the index has it.
        for (column, name, below) in [("actor", &query.actor, '/'), ("action", &query.action, '.')] {
            if let Some(name) = name {
                let next = char::from_u32(u32::from(below) + 1).unwrap_or(below);
                sql.push(&format!(
                    " AND ({column} = ? OR ({column} >= ? AND {column} < ?))"
                ))
                .arg(name.as_str())
                .arg(format!("{name}{below}"))
                .arg(format!("{name}{next}"));
            }
        }
        if let Some(start) = query.start_time {
            sql.push(" AND at >= ?").arg(micros(start));
        }
        if let Some(end) = query.end_time {
            sql.push(" AND at < ?").arg(micros(end));
        }
        if let Some(target) = query.target.as_deref().filter(|text| !text.is_empty()) {
            sql.push(&format!(" AND {}", self.backend.dialect().like("target")))
                .arg(contains(target));
        }
        sql.push(" ORDER BY id DESC LIMIT ?").arg(size + 1);
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
