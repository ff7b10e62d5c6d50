//! What was recorded: logs, attackers, bounties, counters. Everything here only reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use decnet_db::TopColumn;
use decnet_decoys::config::Limits;
use decnet_model::{
    clock::micros,
    id::{AttackerId, LogId},
    name::DeckyName,
    permission::{ManageFleet, ViewEvidence, ViewQuarantine},
    query::{
        AttackerQuery, AttackerSort, BountyQuery, HashKind, HistogramQuery, LogQuery, QuarantineQuery,
        ReuseQuery, TraversalQuery, Wordlist,
    },
    view::{
        ActivityView, AlertView, AttackerView, BountyView, CommandView, FieldError, HistogramBucket, LogView,
        MAX_LIMIT, MAX_SEARCH, Page, QuarantineView, ReuseDetail, ReuseView, Stats, Tops, TraversalView,
        VisitView,
    },
};
use time::OffsetDateTime;

use crate::{
    Domain, DomainError, Permit,
    cached::{Cached, Together},
};

/// How long counters are taken for current. With an open stream they are forgotten earlier: as soon as there are new rows.
const GOOD_FOR: Duration = Duration::from_millis(500);
/// Parts of a time of which each has a sample, and the rows of one.
const SAMPLES: u32 = 25;
const SAMPLE: u32 = 20;
/// The most buckets of a histogram: a month in steps of a quarter of an hour.
const MAX_BUCKETS: i64 = 3_000;
/// Hours of the traffic of a decky.
const TRAFFIC_HOURS: u8 = 24;
/// Rows of an attacker of which it is told where and when they were, the newest: so many are read on every look at somebody.
pub const ACTIVITY: u32 = 20_000;
/// How long before a time a connection is looked for that reaches into it: as long as a decoy lets one last where nobody set
/// anything else.
const REACH: time::Duration = time::Duration::hours(6);
/// Deckies whose open sessions are counted at once.
const COUNTED: usize = 500;
/// Changes of the fleet that are told at once, the newest.
const CHANGES: u32 = 200;
/// The most characters of a filter that names one thing.
pub(crate) const MAX_FILTER: usize = 128;

/// Answers that many ask for at the same time.
pub(crate) struct Summaries {
    stats: Cached<Stats>,
    tops: Cached<Tops>,
    /// Who signed in to a decoy, lately.
    pub(crate) intruders: Together<Option<AlertView>>,
    logs: Together<Page<LogView>>,
    histograms: Together<Vec<HistogramBucket>>,
    attackers: Together<Page<AttackerView>>,
    bounties: Together<Page<BountyView>>,
}

impl Default for Summaries {
    fn default() -> Self {
        Self {
            stats: Cached::new(GOOD_FOR),
            tops: Cached::new(GOOD_FOR),
            intruders: Together::default(),
            logs: Together::default(),
            histograms: Together::default(),
            attackers: Together::default(),
            bounties: Together::default(),
        }
    }
}

/// Log rows that stand for all of a part of a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The newest of it, newest first.
    pub rows: Vec<LogView>,
    /// How many there are.
    pub count: u64,
}

impl Domain {
    /// The dashboard's counters, at most half a second old.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn stats(&self, _permit: &Permit<ViewEvidence>) -> Result<Stats, DomainError> {
        self.stats_cached().await
    }

    pub(crate) async fn stats_cached(&self) -> Result<Stats, DomainError> {
        self.inner
            .summaries
            .stats
            .get(|| async { Ok(self.inner.store.stats(self.inner.clock.now()).await?) })
            .await
    }

    /// There are new rows: what was counted before is no longer current.
    pub(crate) async fn stats_outdated(&self) {
        self.inner.summaries.stats.forget().await;
    }

    /// All evidence was deleted: nothing holds that was told of it.
    pub(crate) async fn summaries_outdated(&self) {
        self.stats_outdated().await;
        self.inner.summaries.tops.forget().await;
    }

    /// The newest log row, or the deletion of all that came after it: what is read from now on has it, and whatever was before.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn log_reached(&self, _permit: &Permit<ViewEvidence>) -> Result<LogId, DomainError> {
        Ok(self.inner.store.log_reached().await?)
    }

    /// The most active attackers, deckies and services, and the most frequent credentials and commands, at most half a second
    /// old.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn tops(&self, _permit: &Permit<ViewEvidence>) -> Result<Tops, DomainError> {
        self.inner
            .summaries
            .tops
            .get(|| async { Ok(self.inner.store.tops(TOP).await?) })
            .await
    }

    /// Which deckies and services had most log rows from `start` to `end`, and who of the attackers seen then is the most active.
    /// Credentials and commands are counted over all time only, so there are none.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] for a span that ends before it begins.
    pub async fn tops_between(
        &self,
        permit: &Permit<ViewEvidence>,
        start: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<Tops, DomainError> {
        let query = AttackerQuery {
            limit: Some(TOP),
            sort_by: Some(AttackerSort::Active),
            start_time: Some(start),
            end_time: Some(end),
            ..AttackerQuery::default()
        };
        let mut attackers = self.attacker_page(permit, query.clone()).await?;
        // A page may be short.
        while attackers.data.len() < usize::try_from(TOP).unwrap_or(0)
            && let Some(before) = attackers.next.take()
        {
            let query = AttackerQuery {
                before: Some(before),
                ..query.clone()
            };
            let more = self.attacker_page(permit, query).await?;
            attackers.data.extend(more.data);
            attackers.next = more.next;
        }
        attackers.data.truncate(usize::try_from(TOP).unwrap_or(0));
        let store = &self.inner.store;
        Ok(Tops {
            attackers: attackers.data,
            deckies: store.top_between(TopColumn::Decky, start, end, TOP).await?,
            services: store.top_between(TopColumn::Service, start, end, TOP).await?,
            credentials: Vec::new(),
            commands: Vec::new(),
        })
    }

    /// The deckies of which there is evidence, by name, whether or not they are still there: 500 at most.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn deckies_seen(&self, _permit: &Permit<ViewEvidence>) -> Result<Vec<String>, DomainError> {
        Ok(self.inner.store.deckies_seen(MAX_LIMIT).await?)
    }

    /// How many log rows of each decky there were in each of the last 24 hours, this one with them, oldest first; a decky
    /// without any is not there.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn decky_traffic(
        &self,
        _permit: &Permit<ViewEvidence>,
    ) -> Result<BTreeMap<String, Vec<u64>>, DomainError> {
        let first = self.inner.clock.now().unix_timestamp().div_euclid(3_600) - i64::from(TRAFFIC_HOURS - 1);
        let mut traffic: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (decky, hour, count) in self.inner.store.decky_hours(first).await? {
            // What a clock that goes wrong dates ahead is of none of these hours.
            let Ok(at) = usize::try_from(hour - first) else {
                continue;
            };
            let hours = || std::iter::repeat_n(0, TRAFFIC_HOURS.into()).collect();
            if let Some(slot) = traffic.entry(decky).or_insert_with(hours).get_mut(at) {
                *slot = count;
            }
        }
        Ok(traffic)
    }

    /// How many sessions are open now on these deckies, together, and whether that are all: they are counted on the first 500 of them, as
    /// far as the newest log rows tell. It is who may end them that may ask.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn decky_open_sessions(
        &self,
        _permit: &Permit<ManageFleet>,
        deckies: &[DeckyName],
    ) -> Result<(u64, bool), DomainError> {
        let longest = Duration::from_secs(Limits::default().total_s.into());
        let since = self.inner.clock.now() - longest;
        // Each once, however often it was named.
        let mut deckies: Vec<_> = BTreeSet::from_iter(deckies).into_iter().cloned().collect();
        let named = deckies.len();
        deckies.truncate(COUNTED);
        let (open, all) = self.inner.store.decky_open_sessions(&deckies, since).await?;
        Ok((open.into_values().sum(), all && deckies.len() == named))
    }

    /// A page of log rows, newest first.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming the field that is over its limit.
    pub async fn log_page(
        &self,
        _permit: &Permit<ViewEvidence>,
        query: LogQuery,
    ) -> Result<Page<LogView>, DomainError> {
        let mut faults = Faults::default();
        faults.limit(query.limit);
        faults.text("search", query.search.as_deref(), MAX_SEARCH);
        faults.text("decky", query.decky.as_deref(), MAX_FILTER);
        faults.text("service", query.service.as_deref(), MAX_FILTER);
        faults.text("event_type", query.event_type.as_deref(), MAX_FILTER);
        faults.text("before", query.before.as_deref(), MAX_FILTER);
        faults.span(query.start_time, query.end_time);
        faults.none()?;
        self.inner
            .summaries
            .logs
            .get(format!("{query:?}"), || async {
                Ok(self.inner.store.log_page(&query).await?)
            })
            .await
    }

    /// Log rows that stand for all of a time, oldest part first: of each of its parts the newest, with how many there are in it.
    /// What it costs does not depend on how many that is.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] for a time that ends before it begins or is longer than eight years.
    pub async fn log_sample(
        &self,
        permit: &Permit<ViewEvidence>,
        start: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<Vec<Sample>, DomainError> {
        let minutes = (end - start).whole_minutes() / i64::from(SAMPLES);
        let width = u32::try_from(minutes).unwrap_or(1).clamp(1, 1_440);
        let counted = HistogramQuery {
            start_time: Some(start),
            end_time: Some(end),
            interval_minutes: Some(width),
            ..HistogramQuery::default()
        };
        let buckets = self.log_histogram(permit, counted).await?;
        let width = time::Duration::minutes(width.into());
        let parts = usize::try_from(SAMPLES).unwrap_or(1);
        let mut samples = Vec::new();
        for part in buckets.chunks(buckets.len().div_ceil(parts).max(1)) {
            let count: u64 = part.iter().map(|bucket| bucket.count).sum();
            let (Some(first), Some(last)) = (part.first(), part.last()) else {
                continue;
            };
            if count == 0 {
                continue;
            }
            let query = LogQuery {
                limit: Some(SAMPLE),
                start_time: Some(first.start.max(start)),
                end_time: Some((last.start + width).min(end)),
                ..LogQuery::default()
            };
            samples.push(Sample {
                rows: self.log_page(permit, query).await?.data,
                count,
            });
        }
        Ok(samples)
    }

    /// One log row.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn log_get(&self, _permit: &Permit<ViewEvidence>, id: LogId) -> Result<LogView, DomainError> {
        self.inner
            .store
            .log_get(id)
            .await?
            .ok_or_else(|| DomainError::not_found("log row", id.0))
    }

    /// Lines that did not become evidence, those met last first.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming the field.
    pub async fn quarantine_page(
        &self,
        _permit: &Permit<ViewQuarantine>,
        query: QuarantineQuery,
    ) -> Result<Page<QuarantineView>, DomainError> {
        let mut faults = Faults::default();
        faults.limit(query.limit);
        faults.text("search", query.search.as_deref(), MAX_SEARCH);
        faults.text("before", query.before.as_deref(), MAX_FILTER);
        faults.span(query.start_time, query.end_time);
        if query
            .segment
            .is_some_and(|segment| i64::try_from(segment).is_err())
        {
            faults.add("segment", format!("at most {}", i64::MAX));
        }
        faults.none()?;
        Ok(self.inner.store.quarantine_page(&query).await?)
    }

    /// How many log rows of each minute (since 1970) of the last 24 hours are of intruders, and the first of these minutes.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn touches_of_day(
        &self,
        _permit: &Permit<ViewEvidence>,
    ) -> Result<(i64, Vec<u64>), DomainError> {
        let last = micros(self.inner.clock.now()).div_euclid(60_000_000);
        let first = last - 24 * 60 + 1;
        let touched = self.inner.store.touches_by_minute(first, last).await?;
        let touched: BTreeMap<i64, u64> = touched.into_iter().collect();
        let count = |minute| touched.get(&minute).copied().unwrap_or_default();
        Ok((first, (first..=last).map(count).collect()))
    }

    /// Log rows counted in buckets of time, oldest first. Of a text, a type or a source, those before the newest rows are not there.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming the field, for a span of more than 3,000 buckets too.
    pub async fn log_histogram(
        &self,
        _permit: &Permit<ViewEvidence>,
        mut query: HistogramQuery,
    ) -> Result<Vec<HistogramBucket>, DomainError> {
        // As it was asked: without an end, each who asks has another one.
        let question = format!("{query:?}");
        let mut faults = Faults::default();
        faults.text("search", query.search.as_deref(), MAX_SEARCH);
        faults.text("decky", query.decky.as_deref(), MAX_FILTER);
        faults.text("service", query.service.as_deref(), MAX_FILTER);
        faults.text("event_type", query.event_type.as_deref(), MAX_FILTER);
        let minutes = query.interval_minutes.unwrap_or(15);
        if !(1..=1440).contains(&minutes) {
            faults.add("interval_minutes", "1 to 1440");
        }
        let end = query.end_time.unwrap_or_else(|| self.inner.clock.now());
        let start = query
            .start_time
            .or_else(|| end.checked_sub(time::Duration::hours(24)))
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        if start >= end {
            faults.add("end_time", "has to be after start_time");
        } else if (end - start).whole_minutes() / i64::from(minutes.max(1)) > MAX_BUCKETS {
            faults.add(
                "interval_minutes",
                "too narrow for so long a time: at most 3000 buckets",
            );
        }
        faults.none()?;
        query.start_time = Some(start);
        query.end_time = Some(end);
        query.interval_minutes = Some(minutes);
        self.inner
            .summaries
            .histograms
            .get(question, || async {
                Ok(self.inner.store.log_histogram(&query).await?)
            })
            .await
    }

    /// A page of attackers.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming the field that is over its limit.
    pub async fn attacker_page(
        &self,
        _permit: &Permit<ViewEvidence>,
        query: AttackerQuery,
    ) -> Result<Page<AttackerView>, DomainError> {
        let mut faults = Faults::default();
        faults.limit(query.limit);
        faults.text("search", query.search.as_deref(), MAX_SEARCH);
        faults.text("service", query.service.as_deref(), MAX_FILTER);
        faults.text("decky", query.decky.as_deref(), MAX_FILTER);
        faults.text("before", query.before.as_deref(), MAX_FILTER);
        faults.span(query.start_time, query.end_time);
        faults.none()?;
        self.inner
            .summaries
            .attackers
            .get(format!("{query:?}"), || async {
                Ok(self.inner.store.attacker_page(&query).await?)
            })
            .await
    }

    /// One attacker.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn attacker_get(
        &self,
        _permit: &Permit<ViewEvidence>,
        id: AttackerId,
    ) -> Result<AttackerView, DomainError> {
        self.inner
            .store
            .attacker_get(id)
            .await?
            .ok_or_else(|| DomainError::not_found("attacker", id))
    }

    /// What an attacker did in a time, as far as the newest [`ACTIVITY`] rows of it tell: each decky's, service's and event type's of a
    /// bucket of time in one.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn attacker_activity(
        &self,
        _permit: &Permit<ViewEvidence>,
        id: AttackerId,
        between: (Option<OffsetDateTime>, Option<OffsetDateTime>),
        width: time::Duration,
    ) -> Result<Vec<ActivityView>, DomainError> {
        let width_us = i64::try_from(width.whole_microseconds()).unwrap_or(i64::MAX);
        let store = &self.inner.store;
        Ok(store.attacker_activity(id, between, width_us, ACTIVITY).await?)
    }

    /// The connections of an attacker that reach into a time, as far as the newest [`ACTIVITY`] rows tell: those that begin in one
    /// bucket of time and end in one are told as one.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn attacker_visits(
        &self,
        _permit: &Permit<ViewEvidence>,
        id: AttackerId,
        between: (Option<OffsetDateTime>, Option<OffsetDateTime>),
        width: time::Duration,
    ) -> Result<Vec<VisitView>, DomainError> {
        let width_us = i64::try_from(width.whole_microseconds()).unwrap_or(i64::MAX);
        let store = &self.inner.store;
        Ok(store
            .attacker_visits(id, between, REACH, width_us, ACTIVITY)
            .await?)
    }

    /// The way of an attacker through deckies, as far as the newest [`ACTIVITY`] rows of a time tell.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Invalid`] naming the field.
    pub async fn attacker_traversal(
        &self,
        permit: &Permit<ViewEvidence>,
        id: AttackerId,
        query: TraversalQuery,
    ) -> Result<TraversalView, DomainError> {
        let mut faults = Faults::default();
        faults.text("service", query.service.as_deref(), MAX_FILTER);
        faults.span(query.start_time, query.end_time);
        faults.none()?;
        self.attacker_get(permit, id).await?;
        let store = &self.inner.store;
        Ok(store.attacker_traversal(id, &query, ACTIVITY).await?)
    }

    /// The newest log rows of a time, at most some hundred, in which the fleet says what it changed at one of `deckies`.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn fleet_changes(
        &self,
        _permit: &Permit<ViewEvidence>,
        deckies: &[String],
        between: (Option<OffsetDateTime>, Option<OffsetDateTime>),
    ) -> Result<Vec<LogView>, DomainError> {
        Ok(self.inner.store.fleet_changes(deckies, between, CHANGES).await?)
    }

    /// The command lines of an attacker from the one time to the other, newest first.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Invalid`] naming the field.
    pub async fn attacker_commands(
        &self,
        permit: &Permit<ViewEvidence>,
        id: AttackerId,
        between: (Option<OffsetDateTime>, Option<OffsetDateTime>),
        limit: Option<u32>,
        before: Option<String>,
    ) -> Result<Page<CommandView>, DomainError> {
        let mut faults = Faults::default();
        faults.limit(limit);
        faults.span(between.0, between.1);
        faults.none()?;
        self.attacker_get(permit, id).await?;
        Ok(self
            .inner
            .store
            .attacker_command_page(id, between, limit, before.as_deref())
            .await?)
    }

    /// The log rows of an attacker, newest first.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Invalid`] naming the field.
    pub async fn attacker_logs(
        &self,
        permit: &Permit<ViewEvidence>,
        id: AttackerId,
        limit: Option<u32>,
        before: Option<String>,
    ) -> Result<Page<LogView>, DomainError> {
        let attacker = self.attacker_get(permit, id).await?;
        self.log_page(
            permit,
            LogQuery {
                limit,
                before,
                attacker_ip: Some(attacker.ip),
                ..LogQuery::default()
            },
        )
        .await
    }

    /// A page of bounties, newest first.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming the field that is over its limit.
    pub async fn bounty_page(
        &self,
        _permit: &Permit<ViewEvidence>,
        query: BountyQuery,
    ) -> Result<Page<BountyView>, DomainError> {
        let mut faults = Faults::default();
        faults.limit(query.limit);
        faults.text("search", query.search.as_deref(), MAX_SEARCH);
        faults.text("service", query.service.as_deref(), MAX_FILTER);
        faults.text("before", query.before.as_deref(), MAX_FILTER);
        faults.span(query.start_time, query.end_time);
        faults.none()?;
        self.inner
            .summaries
            .bounties
            .get(format!("{query:?}"), || async {
                Ok(self.inner.store.bounty_page(&query).await?)
            })
            .await
    }

    /// One bounty.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn bounty_get(
        &self,
        _permit: &Permit<ViewEvidence>,
        id: i64,
    ) -> Result<BountyView, DomainError> {
        let found = self.inner.store.bounty_get(id).await?;
        found.ok_or_else(|| DomainError::not_found("bounty", id))
    }

    /// Credentials that turned up at several deckies or with several attackers, spread widest first.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming the field that is over its limit.
    pub async fn reuse_page(
        &self,
        _permit: &Permit<ViewEvidence>,
        query: ReuseQuery,
    ) -> Result<Page<ReuseView>, DomainError> {
        let mut faults = Faults::default();
        faults.limit(query.limit);
        faults.text("secret_kind", query.secret_kind.as_deref(), 64);
        faults.text("before", query.before.as_deref(), MAX_FILTER);
        faults.none()?;
        Ok(self.inner.store.reuse_page(&query).await?)
    }

    /// A credential that turned up in several places, and each of them.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn reuse_get(
        &self,
        _permit: &Permit<ViewEvidence>,
        id: i64,
    ) -> Result<ReuseDetail, DomainError> {
        let found = self.inner.store.reuse_get(id).await?;
        found.ok_or_else(|| DomainError::not_found("reused credential", id))
    }

    /// The reused secret that a find's is, by its id; none where it was found in one place.
    ///
    /// # Errors
    /// [`DomainError::NotFound`] where there is no such find.
    pub async fn reuse_of(
        &self,
        permit: &Permit<ViewEvidence>,
        bounty: i64,
    ) -> Result<Option<i64>, DomainError> {
        let find = self.bounty_get(permit, bounty).await?;
        let kind = find.secret_kind.unwrap_or_default();
        Ok(self.inner.store.reuse_of(&kind, &find.value).await?)
    }

    /// Lines for a password cracker, each once, oldest first; at most 500 a page.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] for a cursor that is none.
    pub async fn wordlist_page(
        &self,
        _permit: &Permit<ViewEvidence>,
        list: Wordlist,
        before: Option<String>,
    ) -> Result<Page<String>, DomainError> {
        Ok(self.inner.store.wordlist_page(list, before.as_deref()).await?)
    }

    /// Hashes as hashcat takes them, each once, oldest first; at most 500 a page.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] for a cursor that is none.
    pub async fn hashcat_page(
        &self,
        _permit: &Permit<ViewEvidence>,
        kind: HashKind,
        before: Option<String>,
    ) -> Result<Page<String>, DomainError> {
        Ok(self.inner.store.hashcat_page(kind, before.as_deref()).await?)
    }
}

/// Rows of each top list.
const TOP: u32 = 8;

/// What is wrong with a query, all of it.
#[derive(Default)]
pub(crate) struct Faults(Vec<FieldError>);

impl Faults {
    pub(crate) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
    }

    pub(crate) fn limit(&mut self, limit: Option<u32>) {
        if limit.is_some_and(|n| !(1..=MAX_LIMIT).contains(&n)) {
            self.add("limit", format!("1 to {MAX_LIMIT}"));
        }
    }

    pub(crate) fn span(&mut self, start: Option<OffsetDateTime>, end: Option<OffsetDateTime>) {
        if let (Some(start), Some(end)) = (start, end)
            && start >= end
        {
            self.add("end_time", "has to be after start_time");
        }
    }

    pub(crate) fn text(&mut self, field: &str, text: Option<&str>, max: usize) {
        if text.is_some_and(|t| t.chars().count() > max) {
            self.add(field, format!("at most {max} characters"));
        }
    }

    pub(crate) fn none(self) -> Result<(), DomainError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(DomainError::Invalid(self.0))
        }
    }
}
