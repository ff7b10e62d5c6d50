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
        let summaries = &self.inner.summaries;
        let intruders = summaries.intruders.get(|| self.intruders(evidence)).await?;
        Ok([host, deckies, intruders].into_iter().flatten().collect())
    }

    /// Who signed in lately: of the last 500 sign-ins that a decoy accepted.
    async fn intruders(&self, evidence: &Permit<ViewEvidence>) -> Result<Option<AlertView>, DomainError> {
        let accepted = LogQuery {
            limit: Some(MAX_LIMIT),
            search: Some(format!("{}:accepted", field::OUTCOME)),
            event_type: Some(EventKind::AuthAttempt.as_str().to_owned()),
            start_time: Some(self.inner.clock.now() - INTRUSION_FOR),
            ..LogQuery::default()
        };
        let rows = self.log_page(evidence, accepted).await?.data;
        Ok(of_intruders(&rows))
    }
}

/// Who got in by these sign-ins (newest first), the last one first.
fn of_intruders(rows: &[LogView]) -> Option<AlertView> {
    let mut last: BTreeMap<IpAddr, (OffsetDateTime, String)> = BTreeMap::new();
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
    let detail = rows
        .first()
        .map(|row| format!("{} of {}", row.service, row.decky));
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
        assert_eq!(of_intruders(&[]), None);
        let told = of_intruders(&[
            row(30, 1, Some("tool a")),
            row(20, 2, None),
            row(10, 1, Some("tool a")),
        ])
        .unwrap();
        assert_eq!(told.count, 2);
        assert_eq!(told.names, ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(told.glyphs, ["tool a", "192.0.2.2"]);
        let many: Vec<_> = (0..9).map(|n| row(n.into(), n, None)).collect();
        let told = of_intruders(&many).unwrap();
        assert_eq!((told.count, told.names.len()), (9, 5));
        assert_eq!(told.glyphs, told.names);
    }

    #[test]
    fn however_many_there_are_five_are_named_and_all_are_counted() {
        let names = (0..9).map(|n| format!("web-{n}")).collect();
        let told = alert(AlertKind::Fleet, names, String::new(), None).unwrap();
        assert_eq!((told.count, told.names.len()), (9, 5));
    }
}
