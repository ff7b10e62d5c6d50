//! Settings that operators change while DECNET runs, and beginning anew without old evidence.

use decnet_db::Setting;
use decnet_model::{
    id::IgnoreRuleId,
    ignore::{IgnoreMatch, IgnoreRule, MAX_RULES},
    permission::{ManageSettings, Reinitialise, ViewSettings},
    topic::Topic,
    view::ConfigView,
};
use decnet_runtime::exit::chain;
use uuid::Uuid;

use crate::{Domain, DomainError, Permit};

/// What has to be typed before all evidence is deleted.
pub const REINITIALISE: &str = "delete all evidence";

/// What a setting may be: its field in a request, and its bounds.
fn bounds(setting: Setting) -> (&'static str, std::ops::RangeInclusive<u32>) {
    match setting {
        Setting::DeploymentLimit => ("deployment_limit", 1..=10_000),
        Setting::MutationInterval => ("minutes", 0..=525_600),
        Setting::RetentionDays => ("days", 1..=36_500),
        Setting::SessionMinutes => ("minutes", 5..=10_080),
    }
}

impl Domain {
    /// What is in effect.
    ///
    /// # Errors
    /// [`DomainError::Internal`] where the database fails.
    pub async fn config(&self, _permit: &Permit<ViewSettings>) -> Result<ConfigView, DomainError> {
        let store = &self.inner.store;
        let mut changed = Vec::new();
        let mut values = [None; Setting::ALL.len()];
        for (value, setting) in values.iter_mut().zip(Setting::ALL) {
            *value = store.setting_number(setting).await?;
            changed.extend(value.map(|_| setting.name().to_owned()));
        }
        let [
            deployment_limit,
            mutation_interval,
            retention_days,
            session_minutes,
        ] = values;
        Ok(ConfigView {
            deployment_limit: deployment_limit.unwrap_or(self.inner.options.fleet.deckies),
            mutation_interval_minutes: mutation_interval
                .unwrap_or(self.inner.options.mutate_interval_minutes),
            retention_days,
            session_lifetime_minutes: session_minutes.unwrap_or_else(|| self.configured_session_minutes()),
            changed,
            ignore_rules: store.ignore_rules().await?,
            ignored_lines: self.stats_cached().await?.ignored,
        })
    }

    fn configured_session_minutes(&self) -> u32 {
        u32::try_from(self.inner.options.token_lifetime.as_secs() / 60).unwrap_or(u32::MAX)
    }

    /// How long a session lasts that begins now.
    pub(crate) async fn session_lifetime(&self) -> std::time::Duration {
        match self.inner.store.setting_number(Setting::SessionMinutes).await {
            Ok(Some(minutes)) => std::time::Duration::from_secs(60 * u64::from(minutes)),
            Ok(None) => self.inner.options.token_lifetime,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "the lifetime of sessions could not be read; the configuration's is taken"
                );
                self.inner.options.token_lifetime
            }
        }
    }

    /// Set a number, or with `None` leave it to the configuration again: for the retention that is keeping everything.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming the field: `deployment_limit` 1 to 10000, `minutes` of the mutation interval 0 (never) to
    /// 525600, `days` 1 to 36500, `minutes` of a session 5 to 10080.
    pub async fn setting_change(
        &self,
        permit: &Permit<ManageSettings>,
        setting: Setting,
        value: Option<u32>,
    ) -> Result<(), DomainError> {
        let shown = value.map_or_else(|| "the configuration's".to_owned(), |v| v.to_string());
        let target = format!("{} = {shown}", setting.name());
        let outcome = async {
            let (field, allowed) = bounds(setting);
            if value.is_some_and(|value| !allowed.contains(&value)) {
                let words = format!("{} to {}", allowed.start(), allowed.end());
                return Err(DomainError::field(field, words));
            }
            Ok(self.inner.store.setting_number_set(setting, value).await?)
        }
        .await;
        self.audited(permit.actor(), "config.set", &target, outcome).await
    }

    /// How many log rows are older than `days`: so many are deleted once the retention is that.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming `days`, as where it is set.
    pub async fn retention_preview(
        &self,
        _permit: &Permit<ManageSettings>,
        days: u32,
    ) -> Result<u64, DomainError> {
        let (field, allowed) = bounds(Setting::RetentionDays);
        if !allowed.contains(&days) {
            let words = format!("{} to {}", allowed.start(), allowed.end());
            return Err(DomainError::field(field, words));
        }
        let now = self.inner.clock.now();
        let before = now.saturating_sub(time::Duration::days(days.into()));
        Ok(self.inner.store.evidence_older(before).await?)
    }

    /// Ignore lines from now on. The ingester heeds it within seconds; rows that are there stay.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] with every fault of the rule, [`DomainError::Conflict`] where there are a hundred, or the same
    /// one.
    pub async fn ignore_rule_create(
        &self,
        permit: &Permit<ManageSettings>,
        lines: IgnoreMatch,
        note: String,
    ) -> Result<IgnoreRule, DomainError> {
        let target = serde_json::to_string(&lines).unwrap_or_default();
        let outcome = async {
            let faults = lines.faults(&note);
            if !faults.is_empty() {
                return Err(DomainError::Invalid(faults));
            }
            let rule = IgnoreRule {
                id: IgnoreRuleId(Uuid::new_v4()),
                lines,
                note,
                created_by: permit.actor().name.clone(),
                created_at: self.inner.clock.now(),
            };
            self.inner
                .store
                .ignore_rules_change(|rules| {
                    if rules.len() >= MAX_RULES {
                        return Err(DomainError::Conflict(format!("there are {MAX_RULES} rules")));
                    }
                    if rules.iter().any(|there| there.lines == rule.lines) {
                        return Err(DomainError::Conflict("there is such a rule".into()));
                    }
                    rules.push(rule.clone());
                    Ok(())
                })
                .await?;
            Ok(rule)
        }
        .await;
        self.audited(permit.actor(), "config.ignore_rule_create", &target, outcome)
            .await
    }

    /// Ignore those lines no more.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn ignore_rule_delete(
        &self,
        permit: &Permit<ManageSettings>,
        id: IgnoreRuleId,
    ) -> Result<(), DomainError> {
        let change = self.inner.store.ignore_rules_change(|rules| {
            let before = rules.len();
            rules.retain(|rule| rule.id != id);
            if rules.len() == before {
                return Err(DomainError::not_found("ignore rule", id));
            }
            Ok(())
        });
        let outcome = change.await;
        self.audited(
            permit.actor(),
            "config.ignore_rule_delete",
            &id.to_string(),
            outcome,
        )
        .await
    }

    /// Delete all evidence and what was derived from it from the database; what comes from now on is stored as ever. The spool
    /// keeps every line: `decnet ingest --rebuild` stores all of them again. It goes on where the caller goes away. Every event stream
    /// tells of it, of this process and of others.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming `confirmation`, unless that is [`REINITIALISE`].
    pub async fn reinitialise(
        &self,
        permit: &Permit<Reinitialise>,
        confirmation: &str,
    ) -> Result<(), DomainError> {
        let actor = permit.actor().clone();
        if confirmation != REINITIALISE {
            let outcome = Err(DomainError::field(
                "confirmation",
                format!("type: {REINITIALISE}"),
            ));
            return self
                .audited(&actor, "evidence.reinitialise", "evidence", outcome)
                .await;
        }
        let domain = self.clone();
        let work = tokio::spawn(async move {
            let outcome = domain
                .inner
                .store
                .evidence_forget()
                .await
                .map_err(DomainError::from);
            if outcome.is_ok() {
                domain.summaries_outdated().await;
                domain
                    .inner
                    .bus
                    .publish(Topic::evidence_forgotten(), serde_json::json!({}));
            }
            domain
                .audited(&actor, "evidence.reinitialise", "evidence", outcome)
                .await
        });
        work.await
            .unwrap_or_else(|error| Err(DomainError::internal("deleting all evidence", error)))
    }
}
