//! What whoever is on watch should look at. Few and true: one alert a kind, each from what the host knows anyway, and gone when
//! its cause is.

use std::{collections::BTreeMap, net::IpAddr};

use decnet_model::{
    event::{EventKind, field},
    permission::{ViewEvidence, ViewFleet},
    query::LogQuery,
    state::{AlertKind, DeckyState},
    view::{AlertView, DeckyView, Health, LogView, MAX_LIMIT},
};
use time::{Duration, OffsetDateTime};

use crate::{Domain, DomainError, Permit, health::FLEET};

/// For how long somebody who signed in is told of.
const INTRUSION_FOR: Duration = Duration::hours(24);
/// Names that an alert tells.
const NAMES: usize = 5;

impl Domain {
    /// What is to be looked at, the worst first; nothing on a good day.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn alert_list(
        &self,
        fleet: &Permit<ViewFleet>,
        evidence: &Permit<ViewEvidence>,
    ) -> Result<Vec<AlertView>, DomainError> {
        // Before the first look nothing is known of the host, and nothing is told.
        let host = self.health_parts(fleet).ok().and_then(|health| of_host(&health));
        let deckies = of_fleet(&self.decky_list(fleet).await?);
        // A page asks because it was told of somebody: an answer of a moment ago would not have them, and nobody asks again soon.
        let summaries = &self.inner.summaries;
        let made = summaries
            .intruders
            .get("intruders".to_owned(), || self.intruders(evidence));
        let intruders = made.await?;
        Ok([host, deckies, intruders].into_iter().flatten().collect())
    }

    /// Who signed in lately. Where a decoy accepted more than 500 sign-ins, most of them may be of one: then those are told, too, who used
    /// a credential lately that had let them in.
    async fn intruders(&self, evidence: &Permit<ViewEvidence>) -> Result<Option<AlertView>, DomainError> {
        let since = self.inner.clock.now() - INTRUSION_FOR;
        let accepted = LogQuery {
            limit: Some(MAX_LIMIT),
            search: Some(format!("{}:accepted", field::OUTCOME)),
            event_type: Some(EventKind::AuthAttempt.as_str().to_owned()),
            start_time: Some(since),
            ..LogQuery::default()
        };
        let page = self.log_page(evidence, accepted).await?;
        let others = match page.next {
            Some(_) => self.inner.store.signed_in_since(since).await?,
            None => Vec::new(),
        };
        Ok(of_intruders(&page.data, others))
    }
}

/// Who got in, the last one first: by these sign-ins (newest first), and `others`, with what seeds their glyph and when that was.
fn of_intruders(rows: &[LogView], others: Vec<(IpAddr, String, OffsetDateTime)>) -> Option<AlertView> {
    let others = others.into_iter().map(|(ip, glyph, at)| (ip, (at, glyph)));
    let mut last: BTreeMap<IpAddr, (OffsetDateTime, String)> = others.collect();
    for row in rows {
        if let Some(ip) = row.attacker_ip {
            let glyph = || row.attacker_glyph.clone().unwrap_or_else(|| ip.to_string());
            let (at, _) = last.entry(ip).or_insert_with(|| (row.at, glyph()));
            *at = row.at.max(*at);
        }
    }
    let mut intruders: Vec<_> = last.into_iter().collect();
    intruders.sort_by_key(|(_, (at, _))| std::cmp::Reverse(*at));
    let since = intruders.first().map(|(_, (at, _))| *at);
    // Where that was is known of their own sign-in alone: of one who is only in `others` nothing says it.
    let last_row = intruders.first().and_then(|(ip, (at, _))| {
        let mut rows = rows.iter();
        rows.find(|row| row.attacker_ip == Some(*ip) && row.at >= *at)
    });
    let detail = last_row.map(|row| format!("{} of {}", row.service, row.decky));
    let names = intruders.iter().map(|(ip, _)| ip.to_string()).collect();
    let told = alert(AlertKind::Intrusion, names, detail.unwrap_or_default(), since)?;
    let glyphs = intruders.into_iter().map(|(_, (_, glyph))| glyph);
    Some(AlertView {
        glyphs: glyphs.take(told.names.len()).collect(),
        ..told
    })
}

/// Parts that do not do their work; the fleet has an alert of its own, which names its deckies.
fn of_host(health: &Health) -> Option<AlertView> {
    let parts = health.components.iter().filter(|c| c.name != FLEET);
    let mut bad: Vec<_> = parts.filter(|c| c.status != "ok").collect();
    bad.sort_by_key(|c| (!c.critical, c.status != "failing"));
    let detail = bad.first().map(|c| c.detail.clone()).unwrap_or_default();
    let names = bad.into_iter().map(|c| c.name.clone()).collect();
    alert(AlertKind::Host, names, detail, None)
}

/// Deckies that are wanted and failed, or lack something.
fn of_fleet(deckies: &[DeckyView]) -> Option<AlertView> {
    let mut bad: Vec<_> = deckies
        .iter()
        .filter(|d| d.desired && matches!(d.state, DeckyState::Failed | DeckyState::Degraded))
        .collect();
    bad.sort_by_key(|d| d.state != DeckyState::Failed);
    let since = bad.iter().map(|d| d.since).max();
    let detail = bad.first().and_then(|d| d.last_error.clone());
    let names = bad.into_iter().map(|d| d.name.to_string()).collect();
    alert(AlertKind::Fleet, names, detail.unwrap_or_default(), since)
}

/// An alert of these, if there are any.
fn alert(
    kind: AlertKind,
    mut names: Vec<String>,
    detail: String,
    since: Option<OffsetDateTime>,
) -> Option<AlertView> {
    let count = u64::try_from(names.len()).unwrap_or(u64::MAX);
    names.truncate(NAMES);
    (count > 0).then_some(AlertView {
        kind,
        count,
        names,
        glyphs: Vec::new(),
        detail,
        since,
    })
}

#[cfg(test)]
mod tests {
    use decnet_model::{clock::from_micros, id::LogId, view::HealthComponent};

    use super::*;

    #[test]
    fn a_host_that_does_well_is_no_alert_and_what_fails_comes_before_what_is_slow() {
        let part = |name: &str, status: &str, critical| HealthComponent {
            name: name.into(),
            status: status.into(),
            detail: format!("{name} is {status}"),
            critical,
        };
        let mut health = Health {
            status: "healthy".into(),
            components: vec![part("database", "ok", true)],
        };
        assert_eq!(of_host(&health), None);
        health.components.extend([
            part("collector", "degraded", false),
            part("profiler", "failing", false),
            part("ingester", "failing", true),
            part(FLEET, "degraded", false),
        ]);
        let told = of_host(&health).unwrap();
        assert_eq!(told.names, ["ingester", "profiler", "collector"]);
        assert_eq!((told.count, told.detail.as_str()), (3, "ingester is failing"));
    }

    #[test]
    fn intruders_are_told_with_their_glyphs_the_last_one_first() {
        let row = |second: i64, from: u8, glyph: Option<&str>| LogView {
            id: LogId(second),
            at: from_micros(second * 1_000_000),
            received_at: from_micros(second * 1_000_000),
            decky: "web-01".into(),
            service: "ssh".into(),
            event_type: EventKind::AuthAttempt.as_str().into(),
            attacker_ip: Some(IpAddr::from([192, 0, 2, from])),
            attacker_id: None,
            attacker_glyph: glyph.map(str::to_owned),
            fields: BTreeMap::new(),
            message: String::new(),
            raw: String::new(),
        };
        assert_eq!(of_intruders(&[], Vec::new()), None);
        let rows = [
            row(30, 1, Some("tool a")),
            row(20, 2, None),
            row(10, 1, Some("tool a")),
        ];
        let told = of_intruders(&rows, Vec::new()).unwrap();
        assert_eq!(told.count, 2);
        assert_eq!(told.names, ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(told.glyphs, ["tool a", "192.0.2.2"]);
        assert_eq!(told.detail, "ssh of web-01");
        let many: Vec<_> = (0..9).map(|n| row(n.into(), n, None)).collect();
        let told = of_intruders(&many, Vec::new()).unwrap();
        assert_eq!((told.count, told.names.len()), (9, 5));
        assert_eq!(told.glyphs, told.names);
        // One who is loud hides nobody, and who is in both is one.
        let other = |from, second: i64| {
            let ip = IpAddr::from([192, 0, 2, from]);
            (ip, "tool b".to_owned(), from_micros(second * 1_000_000))
        };
        let told = of_intruders(&rows[..1], vec![other(1, 12), other(3, 11), other(4, 40)]).unwrap();
        assert_eq!(told.count, 3);
        assert_eq!(told.names, ["192.0.2.4", "192.0.2.1", "192.0.2.3"]);
        assert_eq!(told.since, Some(from_micros(40_000_000)));
        // Where the last one was is not told by what another did.
        assert_eq!(told.detail, "");
        let told = of_intruders(&rows[..1], vec![other(1, 12), other(3, 11)]).unwrap();
        assert_eq!(
            (told.names[0].as_str(), told.detail.as_str()),
            ("192.0.2.1", "ssh of web-01")
        );
    }

    #[test]
    fn however_many_there_are_five_are_named_and_all_are_counted() {
        let names = (0..9).map(|n| format!("web-{n}")).collect();
        let told = alert(AlertKind::Fleet, names, String::new(), None).unwrap();
        assert_eq!((told.count, told.names.len()), (9, 5));
    }
}
