//! Heartbeats of workers, and how they are doing by them.

use decnet_model::{
    name::WorkerName,
    state::{WORKERS, WorkerState},
    view::WorkerView,
};
use time::OffsetDateTime;

use crate::{
    DbError, Store,
    backend::{Merge, Row, Sql},
};

const OPERATION: &str = "read heartbeats";

impl Store {
    /// Stores a heartbeat: `last_heard` is when, [`WorkerState::Stopped`] says that it was the last.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn worker_heartbeat_put(&self, beat: &WorkerView) -> Result<(), DbError> {
        let upsert = self.backend.dialect().upsert(
            "name",
            &[
                ("state", Merge::Put),
                ("last_heard", Merge::Put),
                ("pid", Merge::Put),
                ("version", Merge::Put),
                ("uptime_s", Merge::Put),
                ("tasks", Merge::Put),
            ],
        );
        let tasks = serde_json::to_string(&beat.tasks).unwrap_or_default();
        let text = format!(
            "INSERT INTO worker_heartbeats (name, state, last_heard, pid, version, uptime_s, tasks) \
             VALUES (?, ?, ?, ?, ?, ?, ?){upsert}"
        );
        let sql = Sql::new("store a heartbeat", text)
            .bind(beat.name.as_str())
            .bind(beat.state.as_str())
            .bind(beat.last_heard.unwrap_or(OffsetDateTime::UNIX_EPOCH))
            .bind(beat.pid)
            .bind(beat.version.clone())
            .bind(beat.uptime_s)
            .bind(tasks);
        self.backend.execute(sql).await.map(drop)
    }

    /// Every worker of the closed list, in its order, heard or not.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn worker_list(&self, now: OffsetDateTime) -> Result<Vec<WorkerView>, DbError> {
        let text = "SELECT name, state, last_heard, pid, version, uptime_s, tasks FROM worker_heartbeats";
        let rows = self.backend.fetch(Sql::new(OPERATION, text)).await?;
        let heard: Vec<_> = rows
            .iter()
            .map(|row| worker(row, now))
            .collect::<Result<_, _>>()?;
        let all = WORKERS.iter().filter_map(|name| name.parse::<WorkerName>().ok());
        Ok(all
            .map(|name| match heard.iter().find(|w| w.name == name) {
                Some(worker) => worker.clone(),
                None => WorkerView::unheard(name),
            })
            .collect())
    }
}

fn worker(row: &Row, now: OffsetDateTime) -> Result<WorkerView, DbError> {
    let c = row.columns(OPERATION);
    let last_heard = c.time(2)?;
    let said: WorkerState = c.parsed(1)?;
    let narrow = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok());
    Ok(WorkerView {
        name: c.parsed(0)?,
        state: said.as_of(last_heard, now),
        last_heard: Some(last_heard),
        pid: narrow(c.opt_int(3)?),
        version: c.opt_text(4)?,
        uptime_s: c.opt_int(5)?.and_then(|n| u64::try_from(n).ok()),
        tasks: c.json(6)?,
        kept_by: None,
    })
}
