//! Long work on the fleet, and the leases that keep two processes from doing the same.

use decnet_model::{
    id::TaskId,
    name::DeckyName,
    view::{Page, TaskReport, TaskView},
};
use time::{Duration, OffsetDateTime};

use crate::{
    DbError, Store,
    backend::{Row, Sql, told},
    cursor,
};

const OPERATION: &str = "read tasks";
const SELECT: &str =
    "SELECT id, operation, status, steps_done, steps_total, step, error, started_at, ended_at FROM tasks";
const REPORT: &str = "SELECT id, operation, status, steps_done, steps_total, step, error, started_at, ended_at, \
                      deckies, COALESCE(reaped, '[]') FROM tasks";

fn task(row: &Row) -> Result<TaskView, DbError> {
    let c = row.columns(OPERATION);
    let narrow = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(TaskView {
        id: TaskId(c.uuid(0)?),
        operation: c.text(1)?,
        status: c.text(2)?,
        done: narrow(c.int(3)?),
        total: narrow(c.int(4)?),
        step: c.text(5)?,
        error: c.opt_text(6)?,
        started_at: c.time(7)?,
        ended_at: c.opt_time(8)?,
    })
}

/// A task with its lists, which its row has last.
fn report(row: &Row) -> Result<TaskReport, DbError> {
    let c = row.columns(OPERATION);
    Ok(TaskReport {
        task: task(row)?,
        deckies: c.json(9)?,
        reaped: c.json(10)?,
    })
}

impl Store {
    /// The lease of who makes the fleet what is wanted of it.
    pub const FLEET_LEASE: &str = "fleet";

    /// Begins a task on `deckies`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn task_create(
        &self,
        id: TaskId,
        operation: &str,
        deckies: &[DeckyName],
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        let text = "INSERT INTO tasks (id, operation, deckies, status, steps_done, steps_total, step, started_at) \
                    VALUES (?, ?, ?, 'running', 0, 0, '', ?)";
        let deckies = serde_json::to_string(deckies).unwrap_or_default();
        let sql = Sql::new("begin a task", text)
            .bind(id.0)
            .bind(operation)
            .bind(deckies)
            .bind(now);
        self.backend.execute(sql).await.map(drop)
    }

    /// Notes how far a running task is; of a `step` in very many words the first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn task_progress(&self, id: TaskId, done: u32, total: u32, step: &str) -> Result<(), DbError> {
        let text =
            "UPDATE tasks SET steps_done = ?, steps_total = ?, step = ? WHERE id = ? AND status = 'running'";
        let sql = Sql::new("note a task's progress", text)
            .bind(done)
            .bind(total)
            .bind(told(step))
            .bind(id.0);
        self.backend.execute(sql).await.map(drop)
    }

    /// Notes which orphans a running task takes away.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn task_reap(&self, id: TaskId, orphans: &[DeckyName]) -> Result<(), DbError> {
        let text = "UPDATE tasks SET reaped = ? WHERE id = ? AND status = 'running'";
        let orphans = serde_json::to_string(orphans).unwrap_or_default();
        let sql = Sql::new("note what a task takes away", text)
            .bind(orphans)
            .bind(id.0);
        self.backend.execute(sql).await.map(drop)
    }

    /// Ends a running task; it failed where there is an error, of which the first words are kept where they are very many.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn task_end(
        &self,
        id: TaskId,
        error: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        let text = "UPDATE tasks SET status = ?, error = ?, ended_at = ? WHERE id = ? AND status = 'running'";
        let status = if error.is_some() { "failed" } else { "succeeded" };
        let sql = Sql::new("end a task", text)
            .bind(status)
            .bind(error.map(told))
            .bind(now)
            .bind(id.0);
        self.backend.execute(sql).await.map(drop)
    }

    /// The running tasks, oldest first: what a reconciler goes on with after a restart.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn task_running(&self) -> Result<Vec<TaskReport>, DbError> {
        let text = format!("{REPORT} WHERE status = 'running' ORDER BY started_at, id");
        let rows = self.backend.fetch(Sql::new(OPERATION, text)).await?;
        rows.iter().map(report).collect()
    }

    /// One task with what it is about.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn task_report(&self, id: TaskId) -> Result<Option<TaskReport>, DbError> {
        let sql = Sql::new(OPERATION, format!("{REPORT} WHERE id = ?")).bind(id.0);
        let row = self.backend.fetch_optional(sql).await?;
        row.as_ref().map(report).transpose()
    }

    /// One task.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn task_get(&self, id: TaskId) -> Result<Option<TaskView>, DbError> {
        let sql = Sql::new(OPERATION, format!("{SELECT} WHERE id = ?")).bind(id.0);
        self.backend
            .fetch_optional(sql)
            .await?
            .as_ref()
            .map(task)
            .transpose()
    }

    /// Tasks, newest first.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] for a limit or a cursor that cannot be.
    pub async fn task_page(
        &self,
        limit: Option<u32>,
        before: Option<&str>,
    ) -> Result<Page<TaskView>, DbError> {
        let size = cursor::page_size(limit)?;
        let mut sql = Sql::new(OPERATION, SELECT);
        if let Some((at, id)) = cursor::ranked_of(before)? {
            sql.push(" WHERE started_at <= ? AND (started_at < ? OR id < ?)")
                .arg(at)
                .arg(at)
                .arg(id);
        }
        sql.push(" ORDER BY started_at DESC, id DESC LIMIT ?")
            .arg(size + 1);
        let tasks: Vec<_> = self
            .backend
            .fetch(sql)
            .await?
            .iter()
            .map(task)
            .collect::<Result<_, _>>()?;
        let cursor = |t: &TaskView| cursor::of_ranked(decnet_model::clock::micros(t.started_at), t.id.0);
        Ok(cursor::page(tasks, size, cursor))
    }

    /// Takes the lease `name`, or renews it, until `now + ttl`; gives whether `holder` has it. A lease that ran out
    /// may be taken by anybody; so may one that runs on for longer than twice `ttl`, which only a clock that was put back since
    /// explains: whoever lives renews it in time.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn lease_acquire(
        &self,
        name: &str,
        holder: &str,
        now: OffsetDateTime,
        ttl: Duration,
    ) -> Result<bool, DbError> {
        let mut tx = self.backend.begin().await?;
        let make = format!(
            "{}leases (name, holder, expires_at) VALUES (?, '', 0)",
            self.backend.dialect().insert_ignore()
        );
        tx.execute(Sql::new("make a lease", make).bind(name)).await?;
        let text = "UPDATE leases SET holder = ?, expires_at = ? WHERE name = ? AND (holder = ? OR expires_at <= ? OR expires_at > ?)";
        let sql = Sql::new("take a lease", text)
            .bind(holder)
            .bind(now + ttl)
            .bind(name)
            .bind(holder)
            .bind(now)
            .bind(now + ttl * 2);
        let taken = tx.execute(sql).await? > 0;
        tx.commit().await?;
        Ok(taken)
    }

    /// Whether anybody has the lease `name`. Whoever had it and was killed has it until it runs out.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn lease_is_held(&self, name: &str, now: OffsetDateTime) -> Result<bool, DbError> {
        let text = "SELECT 1 FROM leases WHERE name = ? AND holder <> '' AND expires_at > ?";
        let sql = Sql::new("look at a lease", text).bind(name).bind(now);
        Ok(self.backend.fetch_optional(sql).await?.is_some())
    }

    /// Gives the lease back before it runs out.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn lease_release(&self, name: &str, holder: &str) -> Result<(), DbError> {
        let sql = Sql::new(
            "give a lease back",
            "DELETE FROM leases WHERE name = ? AND holder = ?",
        );
        self.backend.execute(sql.bind(name).bind(holder)).await.map(drop)
    }
}
