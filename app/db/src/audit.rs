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
    order::{Order, Place},
    texts::AUDIT,
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

    /// Entries, newest first. A page of a text may be short and still have a next one: where many entries may have it, they are read, by
    /// [`WINDOW`](crate::search::WINDOW) a page at most.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] for a limit or a cursor that cannot be.
    pub async fn audit_page(&self, query: &AuditQuery) -> Result<Page<AuditView>, DbError> {
        const OPERATION: &str = "read the audit log";
        const FROM: &str = "audit_log e";
        let dialect = self.backend.dialect();
        let size = cursor::page_size(query.limit)?;
        let order = Order::by_id("e.id", true);
        let before = cursor::id_of(query.before.as_deref())?.map(|id| Place { rank: 0, id });
        let target = query.target.as_deref().unwrap_or_default();
        if target.contains('\0') {
            return Ok(cursor::nothing());
        }
        let few = if target.is_empty() {
            None
        } else {
            self.texts_few(&AUDIT, target).await?
        };
        let reach = if !target.is_empty() && few.is_none() {
            self.reach(FROM, order, before).await?
        } else {
            None
        };
        let text = format!("SELECT e.id, e.at, e.actor, e.action, e.target, e.from_ip, e.result FROM {FROM}");
        let mut sql = match few {
            Some(few) => few.of(OPERATION, dialect, &text, FROM, "e.id"),
            None => Sql::new(OPERATION, text),
        };
        sql.push(" WHERE 1 = 1");
        if let Some(before) = before {
            order.after(dialect, &mut sql, before);
        }
        if let Some(reach) = &reach {
            order.within(dialect, &mut sql, reach);
        }
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
        if !target.is_empty() {
            sql.push(&format!(" AND {}", dialect.like("target")))
                .arg(contains(target));
        }
        order.sort(&mut sql);
        sql.arg(size + 1);
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
        let mut page = cursor::page(entries.collect::<Result<_, DbError>>()?, size, |e: &AuditView| {
            cursor::of_id(e.id)
        });
        page.next = page.next.or(reach.map(|reach| cursor::of_id(reach.last.id)));
        Ok(page)
    }
}
