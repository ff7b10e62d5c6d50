//! Counters, log rows, attackers and what they left.

use std::{collections::BTreeMap, net::IpAddr};

use decnet_model::{
    event::{EventKind, field},
    id::{AttackerId, LogId},
    query::{AttackerQuery, BountyQuery, HistogramQuery, LogQuery, ReuseQuery},
    view::{
        ActivityView, AlertView, AttackerView, BountyView, CommandView, DeckyView, HistogramBucket, LogView,
        Page, QuarantineView, ReuseDetail, ReuseView, Stats, StreamSnapshot, Tops, VisitView, WorkerView,
    },
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

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
    /// Who touched what, minute by minute, as far as the newest rows tell; of a time with a start, as far as samples of all of it do.
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
    /// Their address.
    pub ip: IpAddr,
    /// What seeds their glyph.
    pub glyph: String,
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
            let (Some(attacker), Some(ip)) = (row.attacker_id, row.attacker_ip) else {
                continue;
            };
            let at_s = row.at.unix_timestamp();
            let weight = text::weight(&row.event_type);
            let touch = touches
                .entry((attacker, &row.decky, at_s.div_euclid(60)))
                .or_insert_with(|| Self {
                    attacker,
                    ip,
                    glyph: row.attacker_glyph.clone().unwrap_or_else(|| ip.to_string()),
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

    /// The touches of a part of a time, as its sample has them: each counts for all that it stands for.
    #[cfg(feature = "ssr")]
    fn of_all(sample: &decnet_domain::Sample) -> Vec<Self> {
        let rows = u64::try_from(sample.rows.len()).unwrap_or(u64::MAX).max(1);
        let mut touches = Self::of(&sample.rows);
        for touch in &mut touches {
            let count = (u64::from(touch.count) * sample.count).div_ceil(rows);
            touch.count = u32::try_from(count).unwrap_or(u32::MAX);
        }
        touches
    }
}

/// Everything that the page of one attacker shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dossier {
    /// Their sums.
    pub attacker: AttackerView,
    /// What they left.
    pub left: Left,
    /// Where they were and when.
    pub trail: Trail,
    /// Their newest log rows.
    pub logs: Page<LogView>,
}

/// What an attacker left, the newest of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// Command lines.
    pub commands: Page<CommandView>,
    /// What they gave away or brought.
    pub loot: Vec<BountyView>,
    /// Whether there is more of that.
    pub more_loot: bool,
    /// Marks of their own software.
    pub fingerprints: Vec<BountyView>,
}

/// Where an attacker was and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trail {
    /// For each part of the time what was heaviest at a decky then, of each kind, with how many log rows there were. Only of the
    /// deckies that they touched most.
    pub marks: Vec<ActivityView>,
    /// Their connections to these deckies; the longest, where there are too many.
    pub visits: Vec<VisitView>,
    /// What the fleet changed at these deckies meanwhile.
    pub changes: Vec<Change>,
    /// Log rows by decky and service, most first.
    pub places: Vec<Place>,
    /// Whether these are all log rows of the time, and not only the newest.
    pub whole: bool,
}

/// A decky, a service of it, and how many log rows there are.
pub(crate) type Place = (String, String, u64);

/// A change of a decky's services by the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which decky.
    pub decky: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The log row that tells it.
    pub log_id: LogId,
    /// What changed.
    pub words: String,
}

impl Change {
    /// The change that a log row tells, if it does and the row is no visitor's.
    pub(crate) fn of(row: &LogView) -> Option<Self> {
        let words = match row.event_type.parse::<EventKind>().ok()? {
            _ if row.attacker_id.is_some() => return None,
            EventKind::ServiceStarted => format!("{} started", row.service),
            EventKind::ServiceStopped => format!("{} stopped", row.service),
            EventKind::Mutation => match row.fields.get("trigger") {
                Some(trigger) => format!("{} (mutation, {trigger})", text::summary(row)),
                None => format!("{} (mutation)", text::summary(row)),
            },
            _ => return None,
        };
        Some(Self {
            decky: row.decky.clone(),
            at: row.at,
            log_id: row.id,
            words,
        })
    }
}

/// Adds a row that is new to the connection that it belongs to.
pub(crate) fn lengthen(visits: &mut Vec<VisitView>, row: &LogView) {
    let Some(session) = row.fields.get(field::SESSION).filter(|id| !id.is_empty()) else {
        return;
    };
    let kind = row.event_type.parse::<EventKind>().ok();
    let commands = u64::from(matches!(kind, Some(EventKind::Command | EventKind::Query)));
    let ended = matches!(kind, Some(EventKind::Disconnect | EventKind::SessionEnded));
    match visits
        .iter_mut()
        .find(|visit| visit.session == *session && visit.decky == row.decky && visit.service == row.service)
    {
        Some(visit) => {
            visit.last_at = visit.last_at.max(row.at);
            visit.commands += commands;
            visit.ended |= ended;
        }
        None => visits.push(VisitView {
            decky: row.decky.clone(),
            service: row.service.clone(),
            first_at: row.at,
            last_at: row.at,
            log_id: row.id,
            session: session.clone(),
            sessions: 1,
            commands,
            ended,
        }),
    }
}

#[cfg(feature = "ssr")]
impl Trail {
    fn of(activity: Vec<ActivityView>, mut visits: Vec<VisitView>, width: time::Duration) -> Self {
        let mut places: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut deckies: BTreeMap<&str, u64> = BTreeMap::new();
        for one in &activity {
            *places.entry((&one.decky, &one.service)).or_default() += one.count;
            *deckies.entry(&one.decky).or_default() += one.count;
        }
        let rows = deckies.values().sum::<u64>();
        let mut most: Vec<_> = deckies.into_iter().collect();
        most.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        most.truncate(LANES);
        let shown = |decky: &str| most.iter().any(|(shown, _)| *shown == decky);
        let mut places: Vec<Place> = places
            .into_iter()
            .map(|((decky, service), count)| (decky.to_owned(), service.to_owned(), count))
            .collect();
        places.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        let mut marks: BTreeMap<(&str, i128, text::Kind), ActivityView> = BTreeMap::new();
        for one in activity.iter().filter(|one| shown(&one.decky)) {
            let part = one.first_at.unix_timestamp_nanos() / width.whole_nanoseconds().max(1);
            marks
                .entry((&one.decky, part, text::kind(&one.event_type)))
                .and_modify(|mark| {
                    let (count, last_at) = (mark.count + one.count, mark.last_at.max(one.last_at));
                    if text::weight(&one.event_type) > text::weight(&mark.event_type) {
                        *mark = one.clone();
                    }
                    (mark.count, mark.last_at) = (count, last_at);
                })
                .or_insert_with(|| one.clone());
        }
        // Who is at a decky and silent has a bar there, where what they did elsewhere leaves a lane.
        let room = LANES - most.len();
        let mut silent: Vec<String> = Vec::new();
        visits.retain(|visit| {
            if !shown(&visit.decky) && !silent.contains(&visit.decky) {
                if silent.len() >= room {
                    return false;
                }
                silent.push(visit.decky.clone());
            }
            true
        });
        visits.sort_by_key(|visit| visit.first_at - visit.last_at);
        visits.truncate(VISITS);
        Self {
            marks: marks.into_values().collect(),
            visits,
            changes: Vec::new(),
            places,
            whole: rows < u64::from(decnet_domain::ACTIVITY),
        }
    }

    /// The deckies that have a lane.
    fn deckies(&self) -> Vec<String> {
        let marked = self.marks.iter().map(|mark| &mark.decky);
        let visited = self.visits.iter().map(|visit| &visit.decky);
        let deckies: std::collections::BTreeSet<_> = marked.chain(visited).collect();
        deckies.into_iter().cloned().collect()
    }
}

/// Deckies that have a lane in the line of an attacker; the rest is counted.
pub(crate) const LANES: usize = 8;
/// Parts of the time of which each has a mark in a lane.
#[cfg(feature = "ssr")]
const PARTS: i32 = 160;
/// Connections that are told of an attacker at once.
#[cfg(feature = "ssr")]
const VISITS: usize = 600;
/// Command lines, and of everything else that an attacker left as many, that their page shows.
pub(crate) const LEFT: usize = 20;

/// Rows of the overview's feed; on all but wide screens the style sheet shows fewer.
pub(crate) const FEED: usize = 34;
/// The newest rows among which those of the feed are looked for.
pub(crate) const FEED_FROM: u32 = 500;

/// The overview: log rows counted from `start_s` (seconds since 1970) to the end of the time of `rows` in columns of `step` minutes,
/// and of that time whatever is kept by time.
#[server(prefix = "/ui", endpoint = "overview_get", input = Json, output = Json)]
pub async fn overview_get(rows: LogQuery, start_s: i64, step: i64) -> Answer<Overview> {
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
    let columns = HistogramQuery {
        start_time: time::OffsetDateTime::from_unix_timestamp(start_s).ok(),
        end_time: rows.end_time,
        interval_minutes: u32::try_from(step).ok(),
        ..HistogramQuery::default()
    };
    let spread = match rows.start_time {
        Some(start) => {
            let end = rows.end_time.unwrap_or_else(crate::text::now);
            Some(domain.log_sample(&see, start, end).await?)
        }
        None => None,
    };
    // What decoys say of themselves is in the log; here stands what somebody did to them.
    let mut logs = domain.log_page(&see, rows).await?.data;
    logs.retain(|row| row.attacker_id.is_some());
    let touches = spread.map_or_else(
        || Touch::of(&logs),
        |spread| spread.iter().flat_map(Touch::of_all).collect(),
    );
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
        forgotten: domain.evidence_forgotten(&see).await?,
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

/// How many log rows of intruders there were in each minute of the last 24 hours: a list of buckets would be twenty times as long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// The first minute, since 1970.
    start: i64,
    counts: Vec<u64>,
}

impl Day {
    /// Each minute (since 1970) in which a decoy was touched, and how often.
    pub(crate) fn by_minute(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        (self.start..)
            .zip(self.counts.iter().copied())
            .filter(|(_, count)| *count > 0)
    }
}

/// The last 24 hours, by the minute.
#[server(prefix = "/ui", endpoint = "day_get", input = Json, output = Json)]
pub async fn day_get() -> Answer<Day> {
    let (domain, see) = permitted()?;
    let (start, counts) = domain.touches_of_day(&see).await?;
    Ok(Day { start, counts })
}

/// A page of attackers.
#[server(prefix = "/ui", endpoint = "attacker_page", input = Json, output = Json)]
pub async fn attacker_page(query: AttackerQuery) -> Answer<Page<AttackerView>> {
    let (domain, see) = permitted()?;
    Ok(domain.attacker_page(&see, query).await?)
}

/// The deckies of which there is evidence, by name, also those that are gone.
#[server(prefix = "/ui", endpoint = "deckies_seen", output = Json)]
pub async fn deckies_seen() -> Answer<Vec<String>> {
    let (domain, see) = permitted()?;
    Ok(domain.deckies_seen(&see).await?)
}

/// One attacker.
#[server(prefix = "/ui", endpoint = "attacker_get", input = Json, output = Json)]
pub async fn attacker_get(id: AttackerId) -> Answer<AttackerView> {
    let (domain, see) = permitted()?;
    Ok(domain.attacker_get(&see, id).await?)
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
    let between = (rows.start_time, rows.end_time);
    let first = rows.start_time.unwrap_or(attacker.first_seen);
    let last = rows.end_time.unwrap_or(attacker.last_seen);
    let width = ((last - first) / PARTS).max(time::Duration::SECOND);
    let activity = domain.attacker_activity(&see, id, between, width).await?;
    let visits = domain.attacker_visits(&see, id, between, width).await?;
    let mut trail = Trail::of(activity, visits, width);
    let meanwhile = (
        Some(first),
        Some(last.saturating_add(time::Duration::MICROSECOND)),
    );
    let changes = domain.fleet_changes(&see, &trail.deckies(), meanwhile).await?;
    trail.changes = changes.iter().filter_map(Change::of).collect();
    let left = left_of(&domain, &see, &attacker, between).await?;
    let rows = LogQuery {
        limit: Some(100),
        attacker_ip: Some(attacker.ip),
        ..rows
    };
    Ok(Dossier {
        trail,
        left,
        logs: domain.log_page(&see, rows).await?,
        attacker,
    })
}

/// What an attacker left in the time that `rows` asks for.
#[server(prefix = "/ui", endpoint = "left_get", input = Json, output = Json)]
pub async fn left_get(id: AttackerId, rows: LogQuery) -> Answer<Left> {
    let (domain, see) = permitted()?;
    let attacker = domain.attacker_get(&see, id).await?;
    left_of(&domain, &see, &attacker, (rows.start_time, rows.end_time)).await
}

#[cfg(feature = "ssr")]
async fn left_of(
    domain: &decnet_domain::Domain,
    see: &decnet_domain::Permit<decnet_model::permission::ViewEvidence>,
    attacker: &AttackerView,
    between: (Option<time::OffsetDateTime>, Option<time::OffsetDateTime>),
) -> Answer<Left> {
    use decnet_model::state::BountyKind;
    let all = BountyQuery {
        limit: Some(200),
        attacker_ip: Some(attacker.ip),
        start_time: between.0,
        end_time: between.1,
        ..BountyQuery::default()
    };
    let prints = BountyQuery {
        bounty_type: Some(BountyKind::Fingerprint),
        ..all.clone()
    };
    let bounties = domain.bounty_page(see, all).await?;
    let mut loot = bounties.data;
    loot.retain(|b| b.kind != BountyKind::Fingerprint);
    let more_loot = loot.len() > LEFT || bounties.next.is_some();
    loot.truncate(LEFT);
    // The same software shows the same mark at every decky: here it stands once.
    let mut fingerprints: Vec<BountyView> = Vec::new();
    for print in domain.bounty_page(see, prints).await?.data {
        match fingerprints.iter_mut().find(|known| known.value == print.value) {
            Some(known) => known.count += print.count,
            None => fingerprints.push(print),
        }
    }
    fingerprints.truncate(LEFT);
    let commands = domain.attacker_commands(see, attacker.id, between, u32::try_from(LEFT).ok(), None);
    Ok(Left {
        commands: commands.await?,
        loot,
        more_loot,
        fingerprints,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, event_type: &str, fields: &[(&str, &str)]) -> LogView {
        let at = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(id);
        LogView {
            id: LogId(id),
            at,
            received_at: at,
            decky: "web-01".into(),
            service: "ssh".into(),
            event_type: event_type.into(),
            attacker_ip: None,
            attacker_id: None,
            attacker_glyph: None,
            fields: fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            message: String::new(),
            raw: String::new(),
        }
    }

    #[test]
    fn new_rows_lengthen_their_connection_or_begin_one() {
        let mut visits = Vec::new();
        for new in [
            row(1, "connect", &[("session", "a")]),
            row(2, "connect", &[("session", "b")]),
            row(3, "command", &[("session", "a")]),
            row(4, "command", &[]),
            row(5, "disconnect", &[("session", "a")]),
        ] {
            lengthen(&mut visits, &new);
        }
        let told: Vec<_> = visits
            .iter()
            .map(|v| {
                let (first, last) = (v.first_at.unix_timestamp(), v.last_at.unix_timestamp());
                (&*v.session, first, last, v.log_id.0, v.commands, v.ended)
            })
            .collect();
        assert_eq!(told, [("a", 1, 5, 1, 1, true), ("b", 2, 2, 2, 0, false)]);
    }

    #[test]
    fn a_change_is_told_by_the_fleet_alone() {
        let words = |row: &LogView| Change::of(row).map(|change| change.words);
        let fields = [
            ("services_before", "ssh,http"),
            ("services_after", "ftp"),
            ("trigger", "schedule"),
        ];
        let mutation = row(1, "mutation", &fields);
        assert_eq!(words(&mutation).unwrap(), "ssh, http → ftp (mutation, schedule)");
        let started = row(2, "service_started", &[("listen", "192.0.2.7:22")]);
        assert_eq!(words(&started).unwrap(), "ssh started");
        assert_eq!(words(&row(3, "service_stopped", &[])).unwrap(), "ssh stopped");
        assert_eq!(words(&row(4, "command", &fields)), None);
        assert_eq!(words(&row(5, "something-foreign", &fields)), None);
        let mut visitor = mutation;
        visitor.attacker_id = Some(AttackerId(Default::default()));
        assert_eq!(words(&visitor), None);
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn a_part_of_the_time_keeps_a_mark_of_each_kind_and_a_silent_session_has_a_lane() {
        let at = |second| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second);
        let one = |second, event_type: &str| ActivityView {
            decky: "web-01".into(),
            service: "ssh".into(),
            event_type: event_type.into(),
            first_at: at(second),
            last_at: at(second),
            log_id: LogId(second),
            count: 2,
        };
        let activity = vec![
            one(1, "connect"),
            one(2, "request"),
            one(3, "command"),
            one(4, "client_fingerprint"),
        ];
        let visit = |decky: String, last| VisitView {
            decky,
            service: "ssh".into(),
            first_at: at(0),
            last_at: at(last),
            log_id: LogId(1),
            session: "a".into(),
            sessions: 1,
            commands: 0,
            ended: true,
        };
        let mut visits: Vec<_> = (0..20).map(|n| visit(format!("quiet-{n}"), 5)).collect();
        visits.extend((0..2_000).map(|n| visit("web-01".into(), n)));
        let trail = Trail::of(activity, visits, time::Duration::MINUTE);
        let marks: Vec<_> = trail.marks.iter().map(|m| (&*m.event_type, m.count)).collect();
        assert_eq!(marks, [("request", 4), ("client_fingerprint", 2), ("command", 2)]);
        assert_eq!(trail.deckies().len(), 1, "the longest come first");
        assert_eq!(trail.visits.len(), VISITS);
        assert_eq!(trail.places, [("web-01".to_owned(), "ssh".to_owned(), 8)]);
        let few = (0..20).map(|n| visit(format!("quiet-{n}"), 5)).collect();
        let trail = Trail::of(vec![one(1, "connect")], few, time::Duration::MINUTE);
        assert_eq!(trail.deckies().len(), LANES);
    }
}
