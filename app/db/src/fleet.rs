//! Deckies: what is wanted of each, and what was last observed.
//!
//! The operator's side writes what is wanted ([`NewDecky`], dismissals) and the reconciler what it observes
//! ([`Observation`]); neither touches the other's columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use decnet_model::{
    clock::{from_micros, micros},
    name::DeckyName,
    state::DeckyState,
    view::{DeckyService, DeckyView},
};
use time::OffsetDateTime;

use crate::{
    DbError, Store,
    backend::{Row, Sql, Tx, told},
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
    /// Minutes between mutations, 0 for never.
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
/// The row of `leases` at which deployments take turns.
const DEPLOYING: &str = "deploy";

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
            quarantined: c.flag(18)?,
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

    /// Wants these deckies, and those that are `leaving` no more: all or none. One that is there keeps its state, is wanted in its
    /// new form, and is to run, also where it was stopped. Gives those that were wanted and are leaving.
    ///
    /// Names, addresses and the rest were settled `beside` the deckies that there were, by name and revision. Where one has come
    /// since, or is wanted otherwise than it was, two would settle on the same: nothing is changed then. What went since only
    /// left room.
    ///
    /// # Errors
    /// [`DbError::Changed`] where the fleet is another one; [`DbError::Taken`] where another decky has the address.
    pub async fn decky_deploy(
        &self,
        deckies: &[NewDecky],
        leaving: &[DeckyName],
        beside: &BTreeMap<DeckyName, u64>,
        now: OffsetDateTime,
    ) -> Result<Vec<DeckyName>, DbError> {
        self.decky_want(deckies, leaving, beside, false, now).await
    }

    /// [`Store::decky_deploy`] of deckies that are to stand still. As they have never run, that is their state from the start.
    ///
    /// # Errors
    /// As of [`Store::decky_deploy`].
    pub async fn decky_deploy_stopped(
        &self,
        deckies: &[NewDecky],
        beside: &BTreeMap<DeckyName, u64>,
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        self.decky_want(deckies, &[], beside, true, now).await.map(drop)
    }

    async fn decky_want(
        &self,
        deckies: &[NewDecky],
        leaving: &[DeckyName],
        beside: &BTreeMap<DeckyName, u64>,
        stopped: bool,
        now: OffsetDateTime,
    ) -> Result<Vec<DeckyName>, DbError> {
        const OPERATION: &str = "deploy deckies";
        let dialect = self.backend.dialect();
        // Those who deploy at the same time take turns at this row, because the rows of deckies that come stand nowhere yet. It is made
        // on its own: that lock is a weaker one, and two who hold it deadlock.
        let make = format!(
            "{}leases (name, holder, expires_at) VALUES (?, '', 0)",
            dialect.insert_ignore()
        );
        self.backend
            .execute(Sql::new(OPERATION, make).bind(DEPLOYING))
            .await?;
        let mut tx = self.backend.begin().await?;
        let lock = dialect.for_update();
        let turn = Sql::new(OPERATION, format!("SELECT 1 FROM leases WHERE name = ?{lock}"));
        tx.fetch_optional(turn.bind(DEPLOYING)).await?;
        let all = format!("SELECT name, revision FROM deckies ORDER BY name{lock}");
        let mut there = BTreeSet::new();
        for row in tx.fetch(Sql::new(OPERATION, all)).await? {
            let c = row.columns(OPERATION);
            let name: DeckyName = c.parsed(0)?;
            if beside.get(&name) != Some(&c.count(1)?) {
                return Err(changed(&name));
            }
            there.insert(name);
        }
        let insert = "INSERT INTO deckies (spec, archetype, distro, os, hostname, ip, mac, services, engine, \
             mutate_interval_minutes, name, since, state, stopped, desired, revision, failures, quarantined) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1, '[]', 0)";
        let update = format!("UPDATE deckies SET {FORM}, desired = 1, stopped = ? WHERE name = ?");
        let state = match stopped {
            true => DeckyState::Stopped,
            false => DeckyState::Pending,
        };
        for decky in deckies {
            let sql = if there.contains(&decky.name) {
                form(Sql::new("change a decky", update.clone()), decky)
                    .bind(stopped)
                    .bind(decky.name.as_str())
            } else {
                form(Sql::new("add a decky", insert), decky)
                    .bind(decky.name.as_str())
                    .bind(now)
                    .bind(state.as_str())
                    .bind(stopped)
            };
            put(&mut tx, sql, decky).await?;
        }
        let dismissed = dismiss(&mut tx, leaving).await?;
        tx.commit().await?;
        Ok(dismissed)
    }

    /// Wants deckies in a new form, each made from what was wanted of it at a revision: all or none. What is to stand still goes on
    /// doing so.
    ///
    /// # Errors
    /// [`DbError::Changed`] for the first that is wanted otherwise meanwhile, or not any more; [`DbError::Taken`] where another
    /// decky has the address.
    pub async fn decky_change(&self, deckies: &[(NewDecky, u64)]) -> Result<(), DbError> {
        self.change_all(FORM, deckies).await
    }

    /// [`Store::decky_change`] by an operator who has seen to the deckies: their deaths until now count no more.
    ///
    /// # Errors
    /// As of [`Store::decky_change`].
    pub async fn decky_redeploy(&self, deckies: &[(NewDecky, u64)]) -> Result<(), DbError> {
        let cleared = format!("{FORM}, failures = '[]', quarantined = 0");
        self.change_all(&cleared, deckies).await
    }

    async fn change_all(&self, columns: &str, deckies: &[(NewDecky, u64)]) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        for (decky, revision) in deckies {
            if !change(&mut tx, columns, decky, *revision).await? {
                return Err(changed(&decky.name));
            }
        }
        tx.commit().await
    }

    /// [`Store::decky_change`] of one, noted as a mutation. `tell` is called where the change can be made and before it is, so that
    /// nothing is told that does not happen, and nothing happens that is not told: killed in between, the decky is as it was. Gives
    /// whether it was still wanted as it was at `revision`; where it was not, nothing is changed.
    ///
    /// # Errors
    /// Where the database fails, and what `tell` says.
    pub async fn decky_mutate<E: From<DbError>>(
        &self,
        decky: &NewDecky,
        revision: u64,
        now: OffsetDateTime,
        tell: impl FnOnce() -> Result<(), E> + Send,
    ) -> Result<bool, E> {
        let mut tx = self.backend.begin().await?;
        if !change(&mut tx, FORM, decky, revision).await? {
            return Ok(false);
        }
        tx.execute(mutated(&decky.name, now)).await?;
        tell()?;
        tx.commit().await?;
        Ok(true)
    }

    /// Wants these deckies no more; gives those that were wanted.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_dismiss(&self, names: &[DeckyName]) -> Result<Vec<DeckyName>, DbError> {
        let mut tx = self.backend.begin().await?;
        let dismissed = dismiss(&mut tx, names).await?;
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
        let text = "UPDATE deckies SET mutate_interval_minutes = ?, revision = revision + 1 WHERE name = ?";
        let sql = Sql::new("change a mutation interval", text)
            .bind(minutes)
            .bind(name.as_str());
        found(name, self.backend.execute(sql).await?)
    }

    /// Notes that a decky had its time to mutate, although nothing came of it: for the interval.
    ///
    /// # Errors
    /// [`DbError::Missing`].
    pub async fn decky_mutated(&self, name: &DeckyName, now: OffsetDateTime) -> Result<(), DbError> {
        found(name, self.backend.execute(mutated(name, now)).await?)
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
        found(name, self.backend.execute(observed(name, seen, now)).await?)
    }

    /// [`Store::decky_observe`] of several at once: all or none. Those that are not there are left out.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn decky_observe_all(
        &self,
        seen: &[(DeckyName, Observation)],
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        let mut tx = self.backend.begin().await?;
        for (name, seen) in seen {
            tx.execute(observed(name, seen, now)).await?;
        }
        tx.commit().await
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

/// The columns that [`form`] has the arguments of.
const FORM: &str = "spec = ?, archetype = ?, distro = ?, os = ?, hostname = ?, ip = ?, mac = ?, services = ?, engine = ?, \
     mutate_interval_minutes = ?, revision = revision + 1";

/// `sql` with what is wanted of `decky`, in the order of [`FORM`].
fn form(sql: Sql, decky: &NewDecky) -> Sql {
    sql.bind(decky.spec.to_string())
        .bind(&decky.archetype)
        .bind(&decky.distro)
        .bind(&decky.os)
        .bind(&decky.hostname)
        .bind(decky.ip.to_string())
        .bind(&decky.mac)
        .bind(json(&decky.services))
        .bind(&decky.engine)
        .bind(decky.mutate_interval_minutes)
}

/// Runs `sql`, which gives `decky` its address. Gives the rows that it matched.
async fn put(tx: &mut Tx, sql: Sql, decky: &NewDecky) -> Result<u64, DbError> {
    match tx.execute(sql).await {
        Err(DbError::Query {
            source: sqlx::Error::Database(e),
            ..
        }) if e.is_unique_violation() => Err(DbError::Taken {
            what: format!("address {} (wanted by {})", decky.ip, decky.name),
        }),
        other => other,
    }
}

/// Wants a decky in a new form, where it is wanted as it was at `revision`. Gives whether it is. `columns` are those of [`FORM`], and what
/// else is set.
async fn change(tx: &mut Tx, columns: &str, decky: &NewDecky, revision: u64) -> Result<bool, DbError> {
    let text = format!("UPDATE deckies SET {columns} WHERE name = ? AND revision = ? AND desired = 1");
    let sql = form(Sql::new("change a decky", text), decky)
        .bind(decky.name.as_str())
        .bind(revision);
    Ok(put(tx, sql, decky).await? > 0)
}

async fn dismiss(tx: &mut Tx, names: &[DeckyName]) -> Result<Vec<DeckyName>, DbError> {
    let text =
        "UPDATE deckies SET desired = 0, stopped = 0, revision = revision + 1 WHERE name = ? AND desired = 1";
    let mut dismissed = Vec::new();
    for name in names {
        let sql = Sql::new("dismiss a decky", text).bind(name.as_str());
        if tx.execute(sql).await? > 0 {
            dismissed.push(name.clone());
        }
    }
    Ok(dismissed)
}

fn observed(name: &DeckyName, seen: &Observation, now: OffsetDateTime) -> Sql {
    // MySQL assigns from left to right: `since` has to look at the old state.
    let text = "UPDATE deckies SET since = CASE WHEN state <> ? THEN ? ELSE since END, state = ?, \
                last_error = ?, services = COALESCE(?, services) WHERE name = ?";
    Sql::new("store what was observed of a decky", text)
        .bind(seen.state.as_str())
        .bind(now)
        .bind(seen.state.as_str())
        .bind(seen.last_error.as_deref().map(told))
        .bind(seen.services.as_ref().map(json))
        .bind(name.as_str())
}

fn mutated(name: &DeckyName, now: OffsetDateTime) -> Sql {
    Sql::new(
        "note a mutation",
        "UPDATE deckies SET last_mutation_at = ? WHERE name = ?",
    )
    .bind(now)
    .bind(name.as_str())
}

fn changed(name: &DeckyName) -> DbError {
    DbError::Changed {
        what: format!("decky {name}"),
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
