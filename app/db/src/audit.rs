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
    backend::{Arg, Row, Sql, contains},
    cursor,
    order::{Order, Place, Reach, Walk},
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

    /// Entries, newest first. A page with filters may be short and still have a next one: where many entries may fit, they are read, by
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
        let mut few = if target.is_empty() {
            None
        } else {
            self.texts_few(&AUDIT, target).await?
        };
        // The name itself, or what is below it; a range, so that the index has it.
        let names = [("e.actor", &query.actor, '/'), ("e.action", &query.action, '.')];
        let names = names.into_iter().filter_map(|(column, name, below)| {
            let name = name.as_ref()?;
            let next = char::from_u32(u32::from(below) + 1).unwrap_or(below);
            let range = [format!("{name}{below}"), format!("{name}{next}")];
            Some((
                column,
                [name.clone()].into_iter().chain(range).map(Arg::from).collect(),
            ))
        });
        let names: Vec<(&str, Vec<Arg>)> = names.collect();
        let mut times = Vec::new();
        if let Some(start) = query.start_time {
            times.push((" AND e.at >= ?", Arg::from(micros(start))));
        }
        if let Some(end) = query.end_time {
            times.push((" AND e.at < ?", Arg::from(micros(end))));
        }
        if few.is_none() {
            let named = names.iter().map(|(column, args)| {
                let (name, range) = args.split_at(1);
                let select = |condition: &str| format!("SELECT e.id AS id FROM {FROM} WHERE {condition}");
                vec![
                    (select(&format!("{column} = ?")), name.to_vec()),
                    (select(&format!("{column} >= ? AND {column} < ?")), range.to_vec()),
                ]
            });
            let (conditions, args): (Vec<_>, Vec<_>) = times.iter().cloned().unzip();
            let text = format!("SELECT e.id AS id FROM {FROM} WHERE 1 = 1{}", conditions.concat());
            let timed = (!times.is_empty()).then(|| vec![(text, args)]);
            few = self.few(named.chain(timed).collect()).await?;
        }
        let select = |reach: Option<Reach<i64>>| {
            let select = "SELECT e.id, e.at, e.actor, e.action, e.target, e.from_ip, e.result FROM";
            let mut sql = match &few {
                Some(few) => few.of(OPERATION, dialect, &format!("{select} {FROM}"), FROM, "e.id"),
                // Along the ids: by any other index all of somebody's would be read, and sorted.
                None => Sql::new(OPERATION, format!("{select} {FROM}{}", dialect.by_index(None))),
            };
            sql.push(" WHERE 1 = 1");
            if let Some(before) = before {
                order.after(dialect, &mut sql, before);
            }
            if let Some(reach) = &reach {
                order.within(dialect, &mut sql, reach);
            }
            for (column, args) in &names {
                sql.push(&format!(
                    " AND ({column} = ? OR ({column} >= ? AND {column} < ?))"
                ));
                for arg in args {
                    sql.arg(arg.clone());
                }
            }
            for (condition, at) in &times {
                sql.push(condition).arg(at.clone());
            }
            if !target.is_empty() {
                sql.push(&format!(" AND {}", dialect.like("target")))
                    .arg(contains(target));
            }
            order.sort(&mut sql);
            sql.arg(size + 1);
            sql
        };
        let read = |rows: &[Row]| {
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
            let entries = entries.collect::<Result<_, DbError>>()?;
            Ok(cursor::page(entries, size, |e: &AuditView| cursor::of_id(e.id)))
        };
        let passes = !target.is_empty() || !names.is_empty() || !times.is_empty();
        let walk = (passes && few.is_none()).then_some(Walk {
            from: FROM,
            order,
            before,
            along: &[],
        });
        self.walk(walk, select, read, |place| cursor::of_id(place.id))
            .await
    }
}
