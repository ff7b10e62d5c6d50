//! Deckies: what is wanted of each, and what was last observed.
//!
//! The operator's side writes what is wanted ([`NewDecky`], dismissals) and the reconciler what it observes
//! ([`Observation`]); neither touches the other's columns.

use std::net::IpAddr;

use decnet_model::{
    clock::{from_micros, micros},
    name::DeckyName,
    state::DeckyState,
    view::{DeckyService, DeckyView},
};
use time::OffsetDateTime;

use crate::{
    DbError, Store,
    backend::{Row, Sql},
};

/// A decky as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDecky {
    /// Its name.
    pub name: DeckyName,
    /// Slug of its archetype.
    pub archetype: String,
    /// Slug of its distribution.
    pub distro: String,
    /// Operating-system family.
    pub os: String,
    /// Host name.
    pub hostname: String,
    /// Address, its alone.
    pub ip: IpAddr,
    /// Hardware address.
    pub mac: String,
    /// Its services, which listen nowhere yet.
    pub services: Vec<DeckyService>,
    /// The engine that runs it.
    pub engine: String,
    /// Minutes between mutations.
    pub mutate_interval_minutes: Option<u32>,
    /// Everything that the engine needs to make it; the store does not look inside.
    pub spec: serde_json::Value,
}

/// A decky as the reconciler needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeckyRecord {
    /// What readers get.
    pub view: DeckyView,
    /// What [`NewDecky::spec`] was.
    pub spec: serde_json::Value,
    /// Rises with each change of what is wanted.
    pub revision: u64,
    /// When it died lately, oldest first.
    pub failures: Vec<OffsetDateTime>,
    /// It is left alone until an operator clears it.
    pub quarantined: bool,
}

/// What the reconciler observes of a decky.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// How it does.
    pub state: DeckyState,
    /// What went wrong.
    pub last_error: Option<String>,
    /// Where its services listen; as stored where absent.
    pub services: Option<Vec<DeckyService>>,
}

const OPERATION: &str = "read deckies";

const SELECT: &str = "SELECT d.name, d.desired, d.revision, d.spec, d.archetype, d.distro, d.os, d.hostname, d.ip, d.mac, \
     d.services, d.engine, d.state, d.last_error, d.since, d.mutate_interval_minutes, d.last_mutation_at, d.failures, \
     d.quarantined, COALESCE(t.seen_count, 0), d.stopped FROM deckies d LEFT JOIN tallies t ON t.scope = 'decky' AND t.name = ";

fn record(row: &Row) -> Result<DeckyRecord, DbError> {
    let c = row.columns(OPERATION);
    let failures: Vec<i64> = c.json(17)?;
    Ok(DeckyRecord {
        view: DeckyView {
            name: c.parsed(0)?,
            desired: c.flag(1)?,
            stopped: c.flag(20)?,
            archetype: c.text(4)?,
            distro: c.text(5)?,
            os: c.text(6)?,
            hostname: c.text(7)?,
            ip: c.parsed(8)?,
            mac: c.text(9)?,
            services: c.json(10)?,
            engine: c.text(11)?,
            state: c.parsed(12)?,
            last_error: c.opt_text(13)?,
            since: c.time(14)?,
            mutate_interval_minutes: c.opt_int(15)?.and_then(|n| u32::try_from(n).ok()),
            last_mutation: c.opt_time(16)?,
            event_count: c.count(19)?,
        },
        revision: c.count(2)?,
        spec: c.json(3)?,
        failures: failures.into_iter().map(from_micros).collect(),
        quarantined: c.flag(18)?,
    })
}

impl Store {
    fn decky_select(&self, rest: &str) -> Sql {
        // A tally's name is bytes, a decky's is text.
        let name = match self.backend.dialect() {
            crate::backend::Dialect::Sqlite => "CAST(d.name AS BLOB)",
            crate::backend::Dialect::MySql => "CAST(d.name AS BINARY)",
        };
        Sql::new(OPERATION, format!("{SELECT}{name} {rest}"))
    }

    /// Every decky, wanted or not yet gone, by name. Not paged: a fleet has a limit.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_list(&self) -> Result<Vec<DeckyView>, DbError> {
        Ok(self.decky_records().await?.into_iter().map(|r| r.view).collect())
    }

    /// One decky.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_get(&self, name: &DeckyName) -> Result<Option<DeckyView>, DbError> {
        Ok(self.decky_record(name).await?.map(|r| r.view))
    }

    /// Every decky as the reconciler needs it, by name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_records(&self) -> Result<Vec<DeckyRecord>, DbError> {
        self.backend
            .fetch(self.decky_select("ORDER BY d.name"))
            .await?
            .iter()
            .map(record)
            .collect()
    }

    /// One decky as the reconciler needs it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_record(&self, name: &DeckyName) -> Result<Option<DeckyRecord>, DbError> {
        let sql = self.decky_select("WHERE d.name = ?").bind(name.as_str());
        self.backend
            .fetch_optional(sql)
            .await?
            .as_ref()
            .map(record)
            .transpose()
    }

    /// Wants these deckies, all or none. One that is there keeps its state, and is wanted in its new form; one that was stopped
    /// is to run again where this `starts` it, and stays stopped otherwise.
    ///
    /// # Errors
    /// [`DbError::Taken`] where another decky has the address.
    pub async fn decky_put(
        &self,
        deckies: &[NewDecky],
        starts: bool,
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        let insert = "INSERT INTO deckies (name, desired, revision, spec, archetype, distro, os, hostname, ip, mac, \
             services, engine, state, since, mutate_interval_minutes, failures, quarantined) \
             VALUES (?, 1, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, '[]', 0)";
        let update = "UPDATE deckies SET desired = 1, revision = revision + 1, spec = ?, archetype = ?, distro = ?, \
             os = ?, hostname = ?, ip = ?, mac = ?, services = ?, engine = ?, mutate_interval_minutes = ?, \
             stopped = CASE WHEN ? THEN 0 ELSE stopped END WHERE name = ?";
        let mut tx = self.backend.begin().await?;
        for decky in deckies {
            // Not an upsert: on MySQL that would also merge into another decky that has the address.
            let lock = self.backend.dialect().for_update();
            let there = Sql::new(OPERATION, format!("SELECT 1 FROM deckies WHERE name = ?{lock}"));
            let there = tx
                .fetch_optional(there.bind(decky.name.as_str()))
                .await?
                .is_some();
            let columns = |sql: Sql| {
                sql.bind(decky.spec.to_string())
                    .bind(&decky.archetype)
                    .bind(&decky.distro)
                    .bind(&decky.os)
                    .bind(&decky.hostname)
                    .bind(decky.ip.to_string())
                    .bind(&decky.mac)
                    .bind(json(&decky.services))
                    .bind(&decky.engine)
            };
            let sql = if there {
                columns(Sql::new("change a decky", update))
                    .bind(decky.mutate_interval_minutes)
                    .bind(starts)
                    .bind(decky.name.as_str())
            } else {
                columns(Sql::new("add a decky", insert).bind(decky.name.as_str()))
                    .bind(now)
                    .bind(decky.mutate_interval_minutes)
            };
            match tx.execute(sql).await {
                Err(DbError::Query {
                    source: sqlx::Error::Database(e),
                    ..
                }) if e.is_unique_violation() => {
                    return Err(DbError::Taken {
                        what: format!("address {} (wanted by {})", decky.ip, decky.name),
                    });
                }
                other => other?,
            };
        }
        tx.commit().await
    }

    /// Wants these deckies no more; gives those that were wanted.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_dismiss(&self, names: &[DeckyName]) -> Result<Vec<DeckyName>, DbError> {
        let text = "UPDATE deckies SET desired = 0, stopped = 0, revision = revision + 1 WHERE name = ? AND desired = 1";
        let mut dismissed = Vec::new();
        let mut tx = self.backend.begin().await?;
        for name in names {
            if tx
                .execute(Sql::new("dismiss a decky", text).bind(name.as_str()))
                .await?
                > 0
            {
                dismissed.push(name.clone());
            }
        }
        tx.commit().await?;
        Ok(dismissed)
    }

    /// Wants these deckies to stand still, or to run again: all or none. Their deaths until now count no more, because an
    /// operator has seen to them.
    ///
    /// # Errors
    /// [`DbError::Missing`] for the first that is not there, or not wanted.
    pub async fn decky_set_stopped(&self, names: &[DeckyName], stopped: bool) -> Result<(), DbError> {
        let text = "UPDATE deckies SET stopped = ?, revision = revision + 1, failures = '[]', quarantined = 0 \
                    WHERE name = ? AND desired = 1";
        let mut tx = self.backend.begin().await?;
        for name in names {
            let sql = Sql::new("stop or start a decky", text)
                .bind(stopped)
                .bind(name.as_str());
            found(name, tx.execute(sql).await?)?;
        }
        tx.commit().await
    }

    /// Sets or ends a decky's mutation interval.
    ///
    /// # Errors
    /// [`DbError::Missing`].
    pub async fn decky_set_interval(&self, name: &DeckyName, minutes: Option<u32>) -> Result<(), DbError> {
        let text = "UPDATE deckies SET mutate_interval_minutes = ? WHERE name = ?";
        let sql = Sql::new("change a mutation interval", text)
            .bind(minutes)
            .bind(name.as_str());
        found(name, self.backend.execute(sql).await?)
    }

    /// Notes that a decky was mutated: for the interval.
    ///
    /// # Errors
    /// [`DbError::Missing`].
    pub async fn decky_mutated(&self, name: &DeckyName, now: OffsetDateTime) -> Result<(), DbError> {
        let text = "UPDATE deckies SET last_mutation_at = ? WHERE name = ?";
        found(
            name,
            self.backend
                .execute(Sql::new("note a mutation", text).bind(now).bind(name.as_str()))
                .await?,
        )
    }

    /// Stores what was observed. `since` moves only where the state is another.
    ///
    /// # Errors
    /// [`DbError::Missing`].
    pub async fn decky_observe(
        &self,
        name: &DeckyName,
        seen: &Observation,
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        // MySQL assigns from left to right: `since` has to look at the old state.
        let text = "UPDATE deckies SET since = CASE WHEN state <> ? THEN ? ELSE since END, state = ?, \
                    last_error = ?, services = COALESCE(?, services) WHERE name = ?";
        let sql = Sql::new("store what was observed of a decky", text)
            .bind(seen.state.as_str())
            .bind(now)
            .bind(seen.state.as_str())
            .bind(seen.last_error.clone())
            .bind(seen.services.as_ref().map(json))
            .bind(name.as_str());
        found(name, self.backend.execute(sql).await?)
    }

    /// Stores when a decky died lately, and whether it is in quarantine for it.
    ///
    /// # Errors
    /// [`DbError::Missing`].
    pub async fn decky_set_failures(
        &self,
        name: &DeckyName,
        failures: &[OffsetDateTime],
        quarantined: bool,
    ) -> Result<(), DbError> {
        let times: Vec<_> = failures.iter().copied().map(micros).collect();
        let text = "UPDATE deckies SET failures = ?, quarantined = ? WHERE name = ?";
        let sql = Sql::new("store a decky's failures", text)
            .bind(json(&times))
            .bind(quarantined)
            .bind(name.as_str());
        found(name, self.backend.execute(sql).await?)
    }

    /// Forgets a decky that is not wanted, once it is gone. Gives whether there was one: one that is wanted again
    /// meanwhile stays.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_remove(&self, name: &DeckyName) -> Result<bool, DbError> {
        let sql = Sql::new(
            "forget a decky",
            "DELETE FROM deckies WHERE name = ? AND desired = 0",
        );
        Ok(self.backend.execute(sql.bind(name.as_str())).await? > 0)
    }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    // Lists of numbers and of plain structures always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

fn found(name: &DeckyName, rows: u64) -> Result<(), DbError> {
    if rows == 0 {
        Err(DbError::Missing {
            what: format!("decky {name}"),
        })
    } else {
        Ok(())
    }
}
