//! What whoever is on watch should look at. Few and true: one alert a kind, each from what the host knows anyway, and gone when
//! its cause is.

use std::collections::BTreeMap;

use decnet_model::{
    event::{EventKind, field},
    permission::{ViewEvidence, ViewFleet},
    query::LogQuery,
    state::{AlertKind, DeckyState},
    view::{AlertView, DeckyView, Health, MAX_LIMIT},
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
        let mut last: BTreeMap<String, OffsetDateTime> = BTreeMap::new();
        for row in &rows {
            if let Some(ip) = row.attacker_ip {
                let at = last.entry(ip.to_string()).or_insert(row.at);
                *at = row.at.max(*at);
            }
        }
        let mut names: Vec<_> = last.into_iter().collect();
        names.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        let since = names.first().map(|(_, at)| *at);
        let detail = rows
            .first()
            .map(|row| format!("{} of {}", row.service, row.decky));
        let names = names.into_iter().map(|(ip, _)| ip);
        Ok(alert(
            AlertKind::Intrusion,
            names.collect(),
            detail.unwrap_or_default(),
            since,
        ))
    }
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
        detail,
        since,
    })
}

#[cfg(test)]
mod tests {
    use decnet_model::view::HealthComponent;

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
    fn however_many_there_are_five_are_named_and_all_are_counted() {
        let names = (0..9).map(|n| format!("web-{n}")).collect();
        let told = alert(AlertKind::Fleet, names, String::new(), None).unwrap();
        assert_eq!((told.count, told.names.len()), (9, 5));
    }
}
