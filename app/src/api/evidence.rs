//! Counters, log rows, attackers and what they left.

use std::collections::BTreeMap;

use decnet_model::{
    id::{AttackerId, LogId},
    query::{AttackerQuery, BountyQuery, HistogramQuery, LogQuery, ReuseQuery},
    view::{
        AlertView, AttackerView, BountyView, CommandView, DeckyView, HistogramBucket, LogView, Page,
        QuarantineView, ReuseDetail, ReuseView, Stats, StreamSnapshot, Tops, WorkerView,
    },
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::ssr::permitted;
use super::{Answer, json::Json};
use crate::text::{self, Weight};

/// What the overview begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Counters.
    pub stats: Stats,
    /// Top lists.
    pub tops: Tops,
    /// Log rows by time, oldest first.
    pub columns: Vec<HistogramBucket>,
    /// The newest log rows of attackers, newest first.
    pub logs: Vec<LogView>,
    /// Who touched what, minute by minute, as far as the newest rows tell.
    pub touches: Vec<Touch>,
    /// The host's workers.
    pub workers: Vec<WorkerView>,
    /// The fleet, where nothing has touched it yet: to say how to.
    pub untouched: Vec<DeckyView>,
}

/// What an attacker did to a decky in a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Touch {
    /// Who.
    pub attacker: AttackerId,
    /// At which decky.
    pub decky: String,
    /// When the last of it was, in seconds since 1970.
    pub at_s: i64,
    /// How near it came.
    pub weight: Weight,
    /// Log rows.
    pub count: u32,
}

impl Touch {
    /// The touches of `rows`, each minute's in one.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a LogView>) -> Vec<Self> {
        let mut touches: BTreeMap<(AttackerId, &str, i64), Self> = BTreeMap::new();
        for row in rows {
            let (Some(attacker), at_s) = (row.attacker_id, row.at.unix_timestamp()) else {
                continue;
            };
            let weight = text::weight(&row.event_type);
            let touch = touches
                .entry((attacker, &row.decky, at_s.div_euclid(60)))
                .or_insert_with(|| Self {
                    attacker,
                    decky: row.decky.clone(),
                    at_s,
                    weight,
                    count: 0,
                });
            touch.at_s = touch.at_s.max(at_s);
            touch.weight = touch.weight.max(weight);
            touch.count += 1;
        }
        touches.into_values().collect()
    }
}

/// Everything that the page of one attacker shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dossier {
    /// Their sums.
    pub attacker: AttackerView,
    /// Their newest command lines.
    pub commands: Page<CommandView>,
    /// What they left or gave away.
    pub bounties: Page<BountyView>,
    /// Their newest log rows.
    pub logs: Page<LogView>,
}

/// Rows of the overview's feed; on all but wide screens the style sheet shows fewer.
pub(crate) const FEED: usize = 26;
/// The newest rows among which those of the feed are looked for.
pub(crate) const FEED_FROM: u32 = 500;

/// The overview: log rows counted as `columns` asks, and of the time of `rows` whatever is kept by time.
#[server(prefix = "/ui", endpoint = "overview_get", input = Json, output = Json)]
pub async fn overview_get(columns: HistogramQuery, rows: LogQuery) -> Answer<Overview> {
    use decnet_model::permission::{ViewEvidence, ViewFleet};
    let (domain, see) = permitted::<ViewEvidence>()?;
    let (_, fleet) = permitted::<ViewFleet>()?;
    let stats = domain.stats(&see).await?;
    let untouched = if stats.unique_attackers == 0 {
        domain.decky_list(&fleet).await?
    } else {
        Vec::new()
    };
    let tops = match (rows.start_time, rows.end_time) {
        (None, None) => domain.tops(&see).await?,
        (start, end) => {
            let start = start.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
            let end = end.unwrap_or_else(crate::text::now);
            domain.tops_between(&see, start, end).await?
        }
    };
    // What decoys say of themselves is in the log; here stands what somebody did to them.
    let mut logs = domain.log_page(&see, rows).await?.data;
    logs.retain(|row| row.attacker_id.is_some());
    let touches = Touch::of(&logs);
    logs.truncate(FEED);
    Ok(Overview {
        touches,
        stats,
        untouched,
        tops,
        columns: domain.log_histogram(&see, columns).await?,
        logs,
        workers: domain.worker_list(&fleet).await?,
    })
}

/// What the stream would begin with: for browsers that cannot have the stream, asked every few seconds.
#[server(prefix = "/ui", endpoint = "snapshot", output = Json)]
pub async fn snapshot() -> Answer<StreamSnapshot> {
    use decnet_model::permission::{ViewEvidence, ViewFleet};
    let (domain, see) = permitted::<ViewEvidence>()?;
    let (_, fleet) = permitted::<ViewFleet>()?;
    Ok(StreamSnapshot {
        stats: domain.stats(&see).await?,
        logs: domain
            .log_page(
                &see,
                LogQuery {
                    limit: Some(100),
                    ..LogQuery::default()
                },
            )
            .await?
            .data,
        deckies: domain.decky_list(&fleet).await?,
        workers: domain.worker_list(&fleet).await?,
    })
}

/// A page of log rows.
#[server(prefix = "/ui", endpoint = "log_page", input = Json, output = Json)]
pub async fn log_page(query: LogQuery) -> Answer<Page<LogView>> {
    let (domain, see) = permitted()?;
    Ok(domain.log_page(&see, query).await?)
}

/// One log row.
#[server(prefix = "/ui", endpoint = "log_get", input = Json, output = Json)]
pub async fn log_get(id: LogId) -> Answer<LogView> {
    let (domain, see) = permitted()?;
    Ok(domain.log_get(&see, id).await?)
}

/// The counters.
#[server(prefix = "/ui", endpoint = "stats_get", output = Json)]
pub async fn stats_get() -> Answer<Stats> {
    let (domain, see) = permitted()?;
    Ok(domain.stats(&see).await?)
}

/// A page of the lines that did not become evidence.
#[server(prefix = "/ui", endpoint = "quarantine_page", input = Json, output = Json)]
pub async fn quarantine_page(before: Option<String>) -> Answer<Page<QuarantineView>> {
    let (domain, see) = permitted()?;
    Ok(domain.quarantine_page(&see, Some(100), before).await?)
}

/// Log rows counted by time.
#[server(prefix = "/ui", endpoint = "log_histogram", input = Json, output = Json)]
pub async fn log_histogram(query: HistogramQuery) -> Answer<Vec<HistogramBucket>> {
    let (domain, see) = permitted()?;
    Ok(domain.log_histogram(&see, query).await?)
}

/// A page of attackers.
#[server(prefix = "/ui", endpoint = "attacker_page", input = Json, output = Json)]
pub async fn attacker_page(query: AttackerQuery) -> Answer<Page<AttackerView>> {
    let (domain, see) = permitted()?;
    Ok(domain.attacker_page(&see, query).await?)
}

/// A page of what intruders gave away or left.
#[server(prefix = "/ui", endpoint = "bounty_page", input = Json, output = Json)]
pub async fn bounty_page(query: BountyQuery) -> Answer<Page<BountyView>> {
    let (domain, see) = permitted()?;
    Ok(domain.bounty_page(&see, query).await?)
}

/// One of them.
#[server(prefix = "/ui", endpoint = "bounty_get", input = Json, output = Json)]
pub async fn bounty_get(id: i64) -> Answer<BountyView> {
    let (domain, see) = permitted()?;
    Ok(domain.bounty_get(&see, id).await?)
}

/// A page of credentials that are used again elsewhere.
#[server(prefix = "/ui", endpoint = "reuse_page", input = Json, output = Json)]
pub async fn reuse_page(query: ReuseQuery) -> Answer<Page<ReuseView>> {
    let (domain, see) = permitted()?;
    Ok(domain.reuse_page(&see, query).await?)
}

/// One of them, with each place.
#[server(prefix = "/ui", endpoint = "reuse_get", input = Json, output = Json)]
pub async fn reuse_get(id: i64) -> Answer<ReuseDetail> {
    let (domain, see) = permitted()?;
    Ok(domain.reuse_get(&see, id).await?)
}

/// What is to be looked at.
#[server(prefix = "/ui", endpoint = "alert_list", input = Json, output = Json)]
pub async fn alert_list() -> Answer<Vec<AlertView>> {
    let (domain, evidence) = permitted()?;
    let (_, fleet) = permitted()?;
    Ok(domain.alert_list(&fleet, &evidence).await?)
}

/// One attacker with all that the page shows, of the time that `rows` asks for.
#[server(prefix = "/ui", endpoint = "dossier_get", input = Json, output = Json)]
pub async fn dossier_get(id: AttackerId, rows: LogQuery) -> Answer<Dossier> {
    let (domain, see) = permitted()?;
    let attacker = domain.attacker_get(&see, id).await?;
    let bounties = BountyQuery {
        limit: Some(200),
        attacker_ip: Some(attacker.ip),
        start_time: rows.start_time,
        end_time: rows.end_time,
        ..BountyQuery::default()
    };
    let rows = LogQuery {
        limit: Some(300),
        attacker_ip: Some(attacker.ip),
        ..rows
    };
    Ok(Dossier {
        commands: domain.attacker_commands(&see, id, Some(200), None).await?,
        bounties: domain.bounty_page(&see, bounties).await?,
        logs: domain.log_page(&see, rows).await?,
        attacker,
    })
}
