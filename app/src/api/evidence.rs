//! Counters, log rows, attackers and what they left.

#[cfg(feature = "ssr")]
use std::collections::BTreeMap;
use std::net::IpAddr;

use decnet_model::{
    event::{EventKind, field},
    id::{AttackerId, LogId},
    query::{AttackerQuery, BountyQuery, HistogramQuery, LogQuery, QuarantineQuery, ReuseQuery},
    state::WorkerState,
    view::{
        ActivityView, AlertView, AttackerView, BountyView, CommandView, Count, HistogramBucket, LogView,
        Page, QuarantineView, ReuseDetail, ReuseView, Stats, TraversalView, VisitView,
    },
};
#[cfg(feature = "ssr")]
use decnet_model::{
    query::{AttackerSort, TraversalQuery},
    state::WORKERS,
    view::Tops,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Answer, json::Json};
#[cfg(feature = "ssr")]
use super::{Fault, FaultKind, ssr::permitted};
#[cfg(feature = "ssr")]
use crate::components::chart::by_minute;
use crate::text::{self, Weight};

/// An answer, and the log row up to which it certainly reaches: from there on a page goes by what the stream tells. A row that comes while
/// the answer is being made may be in it all the same.
pub(crate) type AsOf<T> = (LogId, T);

/// What the overview begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Up to which log row it reaches.
    pub reached: LogId,
    /// Counters.
    pub stats: Stats,
    /// Top lists.
    pub tops: TopLists,
    /// Log rows by the minute (since 1970), oldest first.
    pub columns: Vec<(i64, u64)>,
    /// The newest log rows of attackers, newest first.
    pub logs: Vec<LogView>,
    /// Who touched what, minute by minute, as far as the newest rows tell; of a time with a start, as far as samples of all of it do.
    pub touches: Vec<Touch>,
    /// How each of the host's workers does, in the order of `WORKERS`.
    pub workers: Vec<WorkerState>,
    /// The fleet as JSON, where nothing has touched it yet: to say how to. Only the part of the page that says it reads what a decky is.
    pub untouched: Option<String>,
}

/// The top lists of the overview.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopLists {
    /// The most active attackers.
    pub attackers: Vec<Active>,
    /// Deckies by log rows.
    pub deckies: Vec<Count>,
    /// Services by log rows.
    pub services: Vec<Count>,
    /// What was tried most often to sign in with.
    pub credentials: Vec<Count>,
    /// Command lines by how often they were given.
    pub commands: Vec<Count>,
}

#[cfg(feature = "ssr")]
impl From<Tops> for TopLists {
    fn from(tops: Tops) -> Self {
        Self {
            attackers: tops.attackers.iter().map(Active::of).collect(),
            deckies: tops.deckies,
            services: tops.services,
            credentials: tops.credentials,
            commands: tops.commands,
        }
    }
}

/// What the overview shows of an attacker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Active {
    /// Who.
    pub id: AttackerId,
    /// Their address.
    pub ip: IpAddr,
    /// What seeds their glyph.
    pub glyph: String,
    /// When they were last seen.
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen: OffsetDateTime,
    /// Log rows.
    pub event_count: u64,
    /// Where they were.
    pub deckies: Vec<String>,
}

impl Active {
    pub(crate) fn of(attacker: &AttackerView) -> Self {
        Self {
            id: attacker.id,
            ip: attacker.ip,
            glyph: attacker.glyph.clone(),
            last_seen: attacker.last_seen,
            event_count: attacker.event_count,
            deckies: attacker.deckies.clone(),
        }
    }
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
    /// The touches of `rows`, which are in the order of time: each minute's in one.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a LogView>) -> Vec<Self> {
        let mut touches: Vec<Self> = Vec::new();
        for row in rows {
            let (Some(attacker), Some(ip)) = (row.attacker_id, row.attacker_ip) else {
                continue;
            };
            let at_s = row.at.unix_timestamp();
            let weight = text::row_weight(row);
            let minute = at_s.div_euclid(60);
            let mut then = touches
                .iter_mut()
                .rev()
                .take_while(|touch| touch.at_s.div_euclid(60) == minute);
            match then.find(|touch| touch.attacker == attacker && touch.decky == row.decky) {
                Some(touch) => {
                    touch.at_s = touch.at_s.max(at_s);
                    touch.weight = touch.weight.max(weight);
                    touch.count += 1;
                }
                None => touches.push(Self {
                    attacker,
                    ip,
                    glyph: row.attacker_glyph.clone().unwrap_or_else(|| ip.to_string()),
                    decky: row.decky.clone(),
                    at_s,
                    weight,
                    count: 1,
                }),
            }
        }
        touches
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
    /// Up to which log row it reaches.
    pub reached: LogId,
    /// Their sums.
    pub attacker: AttackerView,
    /// What they left.
    pub left: Left,
    /// Where they were and when.
    pub trail: Trail,
    /// How they went from one decky to another.
    pub way: TraversalView,
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
    /// Marks of their own software, each once.
    pub fingerprints: Vec<BountyView>,
    /// Whether there are more of these, or were seen more often than is counted.
    pub more_fingerprints: bool,
}

/// Where an attacker was and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trail {
    /// For each part of the time what was heaviest at a decky then, of each kind, with how many log rows there were. Only of the
    /// deckies that they touched most.
    pub marks: Vec<ActivityView>,
    /// Their connections to these deckies; the longest, where there are too many.
    pub visits: Vec<VisitView>,
    /// What the fleet changed meanwhile at these deckies, and at those of the way.
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
    /// What so many `lanes` show.
    fn of(
        activity: Vec<ActivityView>,
        mut visits: Vec<VisitView>,
        width: time::Duration,
        lanes: usize,
    ) -> Self {
        let mut places: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut deckies: BTreeMap<&str, u64> = BTreeMap::new();
        for one in &activity {
            *places.entry((&one.decky, &one.service)).or_default() += one.count;
            *deckies.entry(&one.decky).or_default() += one.count;
        }
        let rows = deckies.values().sum::<u64>();
        let mut most: Vec<_> = deckies.into_iter().collect();
        most.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        most.truncate(lanes);
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
                    let weight = |of: &ActivityView| text::weight(&of.event_type, of.accepted);
                    if weight(one) > weight(mark) {
                        *mark = one.clone();
                    }
                    (mark.count, mark.last_at) = (count, last_at);
                })
                .or_insert_with(|| one.clone());
        }
        // Who is at a decky and silent has a bar there, where what they did elsewhere leaves a lane.
        let room = lanes.saturating_sub(most.len());
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

/// Deckies that have a lane in the line of an attacker; the rest is counted, and has one when it is asked for.
pub(crate) const LANES: usize = 8;
/// The most lanes of a line.
pub(crate) const MAX_LANES: usize = 64;
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
    let reached = domain.log_reached(&see).await?;
    let stats = domain.stats(&see).await?;
    let untouched = if stats.unique_attackers == 0 {
        let deckies = domain.decky_list(&fleet).await?;
        let json = serde_json::to_string(&deckies);
        Some(json.map_err(|err| Fault::new(FaultKind::Internal, err.to_string()))?)
    } else {
        None
    };
    let tops = tops_of(&domain, &see, &rows).await?;
    let columns = HistogramQuery {
        decky: rows.decky.clone(),
        attacker_ip: rows.attacker_ip,
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
    let everything = LogQuery {
        decky: None,
        attacker_ip: None,
        ..rows.clone()
    };
    let mut logs = touching(&domain, &see, everything).await?;
    let mut touches = spread.map_or_else(
        || Touch::of(&logs),
        |spread| spread.iter().flat_map(Touch::of_all).collect(),
    );
    if is_narrow(&rows) {
        logs = touching(&domain, &see, rows).await?;
        // The loom has all threads, and those that were chosen however long ago something passed along them.
        let known: std::collections::BTreeSet<_> = touches
            .iter()
            .map(|touch| (touch.attacker, touch.decky.clone()))
            .collect();
        let chosen = Touch::of(&logs).into_iter();
        touches.extend(chosen.filter(|touch| !known.contains(&(touch.attacker, touch.decky.clone()))));
    }
    logs.truncate(FEED);
    Ok(Overview {
        reached,
        touches,
        stats,
        untouched,
        tops: tops.into(),
        columns: by_minute(&domain.log_histogram(&see, columns).await?).collect(),
        logs,
        workers: states_of(&domain.worker_list(&fleet).await?),
    })
}

/// How each of [`WORKERS`] does.
#[cfg(feature = "ssr")]
fn states_of(workers: &[decnet_model::view::WorkerView]) -> Vec<WorkerState> {
    let state = |name: &&str| {
        let worker = workers.iter().find(|worker| worker.name.as_str() == *name);
        worker.map_or(WorkerState::Unknown, |worker| worker.state)
    };
    WORKERS.iter().map(state).collect()
}

/// A page of log rows without those of nobody.
#[cfg(feature = "ssr")]
async fn touching(
    domain: &decnet_domain::Domain,
    see: &decnet_domain::Permit<decnet_model::permission::ViewEvidence>,
    rows: LogQuery,
) -> Answer<Vec<LogView>> {
    let mut logs = domain.log_page(see, rows).await?.data;
    logs.retain(|row| row.attacker_id.is_some());
    Ok(logs)
}

/// The overview's top lists, of the time of `rows`.
#[server(prefix = "/ui", endpoint = "tops_get", input = Json, output = Json)]
pub async fn tops_get(rows: LogQuery) -> Answer<TopLists> {
    let (domain, see) = permitted()?;
    Ok(tops_of(&domain, &see, &rows).await?.into())
}

#[cfg(feature = "ssr")]
async fn tops_of(
    domain: &decnet_domain::Domain,
    see: &decnet_domain::Permit<decnet_model::permission::ViewEvidence>,
    rows: &LogQuery,
) -> Answer<Tops> {
    if is_narrow(rows) {
        return tops_of_rows(domain, see, rows).await;
    }
    // Credentials and commands are counted over all time only.
    let ever = domain.tops(see).await?;
    if rows.start_time.is_none() && rows.end_time.is_none() {
        return Ok(ever);
    }
    let start = rows.start_time.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let end = rows.end_time.unwrap_or_else(crate::text::now);
    Ok(Tops {
        credentials: ever.credentials,
        commands: ever.commands,
        ..domain.tops_between(see, start, end).await?
    })
}

/// Whether the overview shows what one attacker did, or what was done at one decky, only.
pub(crate) fn is_narrow(rows: &LogQuery) -> bool {
    rows.attacker_ip.is_some() || rows.decky.is_some()
}

/// Rows of a top list.
#[cfg(feature = "ssr")]
const TOP: u32 = 8;

/// The top lists of an attacker or a decky: nobody counts these as they come in, so the newest [`FEED_FROM`] rows are counted here.
#[cfg(feature = "ssr")]
async fn tops_of_rows(
    domain: &decnet_domain::Domain,
    see: &decnet_domain::Permit<decnet_model::permission::ViewEvidence>,
    rows: &LogQuery,
) -> Answer<Tops> {
    let newest = LogQuery {
        limit: Some(FEED_FROM),
        ..rows.clone()
    };
    let logs = domain.log_page(see, newest).await?.data;
    let attackers = match (rows.attacker_ip, logs.first().and_then(|row| row.attacker_id)) {
        (None, _) => {
            let touched = AttackerQuery {
                limit: Some(TOP),
                sort_by: Some(AttackerSort::Active),
                decky: rows.decky.clone(),
                start_time: rows.start_time,
                end_time: rows.end_time,
                ..AttackerQuery::default()
            };
            domain.attacker_page(see, touched).await?.data
        }
        (Some(_), Some(id)) => vec![domain.attacker_get(see, id).await?],
        (Some(_), None) => Vec::new(),
    };
    Ok(Tops {
        attackers,
        deckies: counts(&logs, |row| Some(row.decky.clone())),
        services: counts(&logs, |row| Some(row.service.clone())),
        credentials: counts(&logs, |row| {
            let secret = row.fields.get(field::SECRET)?;
            let principal = row.fields.get(field::PRINCIPAL).map_or("", String::as_str);
            (row.event_type == EventKind::AuthAttempt.as_str()).then(|| format!("{principal}:{secret}"))
        }),
        commands: counts(&logs, |row| {
            let kind = row.event_type.parse::<EventKind>().ok()?;
            matches!(kind, EventKind::Command | EventKind::Query).then(|| text::summary(row))
        }),
    })
}

/// How many of `rows` have each name that `of` gives them, most first.
#[cfg(feature = "ssr")]
fn counts(rows: &[LogView], of: impl Fn(&LogView) -> Option<String>) -> Vec<Count> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for name in rows.iter().filter_map(of) {
        *counts.entry(name).or_default() += 1;
    }
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|(name, count)| Count { name, count })
        .collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    counts.truncate(usize::try_from(TOP).unwrap_or(usize::MAX));
    counts
}

/// What the stream would begin with that goes on after this row: its events, as it sends them. For browsers that cannot have the
/// stream, asked every few seconds, and for tabs that hear another's.
#[server(prefix = "/ui", endpoint = "snapshot", input = Json, output = Json)]
pub async fn snapshot(after: Option<LogId>) -> Answer<Vec<String>> {
    let (domain, see) = permitted()?;
    let events = domain.stream_beginning(&see, after).await?;
    let written = events.iter().map(serde_json::to_string);
    let written: Result<_, _> = written.collect();
    written.map_err(|err| Fault::new(FaultKind::Internal, err.to_string()))
}

/// A page of log rows.
#[server(prefix = "/ui", endpoint = "log_page", input = Json, output = Json)]
pub async fn log_page(query: LogQuery) -> Answer<AsOf<Page<LogView>>> {
    let (domain, see) = permitted()?;
    Ok((
        domain.log_reached(&see).await?,
        domain.log_page(&see, query).await?,
    ))
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
pub async fn quarantine_page(query: QuarantineQuery) -> Answer<Page<QuarantineView>> {
    let (domain, see) = permitted()?;
    Ok(domain.quarantine_page(&see, query).await?)
}

/// Log rows counted by time.
#[server(prefix = "/ui", endpoint = "log_histogram", input = Json, output = Json)]
pub async fn log_histogram(query: HistogramQuery) -> Answer<AsOf<Vec<HistogramBucket>>> {
    let (domain, see) = permitted()?;
    Ok((
        domain.log_reached(&see).await?,
        domain.log_histogram(&see, query).await?,
    ))
}

/// How many log rows of intruders there were in each minute of the last 24 hours: a list of buckets would be twenty times as long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Up to which log row it reaches.
    pub(crate) reached: LogId,
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
    let reached = domain.log_reached(&see).await?;
    let (start, counts) = domain.touches_of_day(&see).await?;
    Ok(Day {
        reached,
        start,
        counts,
    })
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

/// Where else the secret of this find was used: what stands among what is used again, by its id.
#[server(prefix = "/ui", endpoint = "elsewhere_get", input = Json, output = Json)]
pub async fn elsewhere_get(bounty: i64) -> Answer<Option<i64>> {
    let (domain, see) = permitted()?;
    Ok(domain.reuse_of(&see, bounty).await?)
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

/// One attacker with all that the page shows, of the time that `rows` asks for; with a lane in the line for each decky, as far as there
/// are not too many, or of some.
#[server(prefix = "/ui", endpoint = "dossier_get", input = Json, output = Json)]
pub async fn dossier_get(id: AttackerId, rows: LogQuery, all_lanes: Option<bool>) -> Answer<Dossier> {
    let (domain, see) = permitted()?;
    let reached = domain.log_reached(&see).await?;
    let attacker = domain.attacker_get(&see, id).await?;
    let between = (rows.start_time, rows.end_time);
    let first = rows.start_time.unwrap_or(attacker.first_seen);
    let last = rows.end_time.unwrap_or(attacker.last_seen);
    let width = ((last - first) / PARTS).max(time::Duration::SECOND);
    let activity = domain.attacker_activity(&see, id, between, width).await?;
    let visits = domain.attacker_visits(&see, id, between, width).await?;
    let lanes = if all_lanes == Some(true) { MAX_LANES } else { LANES };
    let mut trail = Trail::of(activity, visits, width, lanes);
    let way = TraversalQuery {
        service: None,
        start_time: rows.start_time,
        end_time: rows.end_time,
    };
    let meanwhile = (
        Some(first),
        Some(last.saturating_add(time::Duration::MICROSECOND)),
    );
    let way = domain.attacker_traversal(&see, id, way).await?;
    let mut deckies = trail.deckies();
    deckies.extend(way.stations.iter().map(|station| station.decky.clone()));
    deckies.sort_unstable();
    deckies.dedup();
    let changes = domain.fleet_changes(&see, &deckies, meanwhile).await?;
    trail.changes = changes.iter().filter_map(Change::of).collect();
    let left = left_of(&domain, &see, &attacker, between).await?;
    let rows = LogQuery {
        limit: Some(100),
        attacker_ip: Some(attacker.ip),
        ..rows
    };
    Ok(Dossier {
        reached,
        trail,
        way,
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
    let of = |kind, limit| BountyQuery {
        limit,
        bounty_type: Some(kind),
        attacker_ip: Some(attacker.ip),
        start_time: between.0,
        end_time: between.1,
        ..BountyQuery::default()
    };
    // By kind: those of which there are most would leave none of the others among the newest.
    let mut loot = Vec::new();
    let mut more_loot = false;
    for kind in BountyKind::ALL {
        if *kind != BountyKind::Fingerprint {
            let page = domain
                .bounty_page(see, of(*kind, u32::try_from(LEFT).ok()))
                .await?;
            more_loot |= page.next.is_some();
            loot.extend(page.data);
        }
    }
    loot.sort_by_key(|find| std::cmp::Reverse(find.id));
    more_loot |= loot.len() > LEFT;
    loot.truncate(LEFT);
    // The same software shows the same mark at every decky: here it stands once.
    let prints = domain
        .bounty_page(see, of(BountyKind::Fingerprint, Some(200)))
        .await?;
    let mut fingerprints: Vec<BountyView> = Vec::new();
    for print in prints.data {
        match fingerprints.iter_mut().find(|known| known.value == print.value) {
            Some(known) => known.count += print.count,
            None => fingerprints.push(print),
        }
    }
    let more_fingerprints = fingerprints.len() > LEFT || prints.next.is_some();
    fingerprints.truncate(LEFT);
    let commands = domain.attacker_commands(see, attacker.id, between, u32::try_from(LEFT).ok(), None);
    Ok(Left {
        commands: commands.await?,
        loot,
        more_loot,
        fingerprints,
        more_fingerprints,
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
    fn what_one_did_to_a_decky_in_a_minute_is_one_touch_whoever_came_between() {
        let by = |n: u8, id: i64, event_type: &str| LogView {
            attacker_ip: Some(IpAddr::from([192, 0, 2, n])),
            attacker_id: format!("01890a5d-ac96-774b-bcce-b302099a80{n:02x}").parse().ok(),
            ..row(id, event_type, &[])
        };
        let rows = [
            by(1, 130, "connect"),
            row(129, "service_started", &[]),
            by(2, 128, "connect"),
            by(1, 121, "command"),
            by(1, 119, "connect"),
        ];
        let touches = Touch::of(&rows);
        let told: Vec<_> = touches
            .iter()
            .map(|t| (t.ip.to_string(), t.at_s, t.weight, t.count))
            .collect();
        let (first, second) = ("192.0.2.1".to_owned(), "192.0.2.2".to_owned());
        let expected = [
            (first.clone(), 130, Weight::Hands, 2),
            (second, 128, Weight::Touch, 1),
            (first, 119, Weight::Touch, 1),
        ];
        assert_eq!(told, expected);
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
    fn names_are_counted_and_those_met_most_come_first() {
        let rows: Vec<_> = (1..=20)
            .map(|n| {
                let name = if n % 3 == 0 { "often" } else { "rare" };
                row(n, if n < 15 { "command" } else { "query" }, &[("command", name)])
            })
            .collect();
        let told = |of: fn(&LogView) -> Option<String>| {
            let counts = counts(&rows, of).into_iter();
            counts.map(|c| (c.name, c.count)).collect::<Vec<_>>()
        };
        assert_eq!(
            told(|row| row.fields.get("command").cloned()),
            [("rare".to_owned(), 14), ("often".to_owned(), 6)]
        );
        assert_eq!(told(|_| None), []);
        assert_eq!(told(|row| Some(row.id.0.to_string())).len(), 8);
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
            accepted: false,
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
        let trail = Trail::of(activity, visits, time::Duration::MINUTE, LANES);
        let marks: Vec<_> = trail.marks.iter().map(|m| (&*m.event_type, m.count)).collect();
        assert_eq!(marks, [("request", 4), ("client_fingerprint", 2), ("command", 2)]);
        assert_eq!(trail.deckies().len(), 1, "the longest come first");
        assert_eq!(trail.visits.len(), VISITS);
        assert_eq!(trail.places, [("web-01".to_owned(), "ssh".to_owned(), 8)]);
        let few: Vec<_> = (0..20).map(|n| visit(format!("quiet-{n}"), 5)).collect();
        let lanes = |lanes| {
            let trail = Trail::of(
                vec![one(1, "connect")],
                few.clone(),
                time::Duration::MINUTE,
                lanes,
            );
            trail.deckies().len()
        };
        assert_eq!((lanes(LANES), lanes(MAX_LANES)), (LANES, 21));
    }
}
