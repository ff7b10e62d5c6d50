//! The audit log: who did what, on what, from where, and with which result. Append-only.

use std::{net::IpAddr, sync::atomic::Ordering};

use decnet_model::{
    permission::{Operate, Permission, ViewAudit},
    query::AuditQuery,
    view::{AuditView, MAX_SEARCH, Page},
};
use decnet_runtime::exit::chain;

use crate::{
    Actor, Domain, DomainError, Permit,
    evidence::{self, MAX_FILTER},
};

impl Domain {
    /// The newest entries first.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming every field at fault.
    pub async fn audit_page(
        &self,
        _permit: &Permit<ViewAudit>,
        query: AuditQuery,
    ) -> Result<Page<AuditView>, DomainError> {
        let mut faults = evidence::Faults::default();
        faults.limit(query.limit);
        faults.text("actor", query.actor.as_deref(), MAX_FILTER);
        faults.text("action", query.action.as_deref(), MAX_FILTER);
        faults.text("target", query.target.as_deref(), MAX_SEARCH);
        faults.text("before", query.before.as_deref(), MAX_FILTER);
        faults.span(query.start_time, query.end_time);
        faults.none()?;
        Ok(self.inner.store.audit_page(&query).await?)
    }

    /// Write down what somebody took away as a file: which list, of what form and with which filters, and how many rows of it they got.
    pub async fn note_download<P: Permission>(
        &self,
        permit: &Permit<P>,
        list: &str,
        what: &str,
        result: &str,
    ) {
        let action = format!("export.{list}");
        self.audit(permit.actor(), &action, what, result).await;
    }

    /// Write down what the operator did at the command line to files of the installation, and whether it was done.
    ///
    /// # Errors
    /// Where the database fails: what was done is done, and the operator is to hear that it is not in the log.
    pub async fn note_operation(
        &self,
        permit: &Permit<Operate>,
        action: &str,
        target: &str,
        done: bool,
    ) -> Result<(), DomainError> {
        let actor = permit.actor();
        let result = if done { "ok" } else { "failed" };
        let (now, from) = (self.inner.clock.now(), actor.from.ip);
        self.inner
            .store
            .audit_append(now, &actor.audit_name(), action, target, from, result)
            .await?;
        Ok(())
    }

    /// Write an entry. A failure is logged and not passed on: what was done is done, and the log has it.
    pub(crate) async fn audit(&self, actor: &Actor, action: &str, target: &str, result: &str) {
        self.audit_as(&actor.audit_name(), actor.from.ip, action, target, result)
            .await;
    }

    /// Like [`Domain::audit`], for somebody who is not signed in.
    pub(crate) async fn audit_as(
        &self,
        actor: &str,
        from: Option<IpAddr>,
        action: &str,
        target: &str,
        result: &str,
    ) {
        let now = self.inner.clock.now();
        if let Err(error) = self
            .inner
            .store
            .audit_append(now, actor, action, target, from, result)
            .await
        {
            tracing::error!(
                error = chain(&error),
                actor,
                action,
                target,
                result,
                "the audit log could not be written"
            );
        }
    }

    /// Write an entry from where nothing can be waited for.
    pub(crate) fn audit_later(
        &self,
        actor: &Actor,
        action: &'static str,
        target: &'static str,
        result: &'static str,
    ) {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let (domain, actor) = (self.clone(), actor.clone());
                runtime.spawn(async move { domain.audit(&actor, action, target, result).await });
            }
            Err(_) => tracing::warn!(
                actor = actor.name(),
                action,
                target,
                result,
                "outside the audit log"
            ),
        }
    }

    /// How many changes there were through this domain, whoever asked for them and by whatever way. What was refused is none.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.inner.changes.load(Ordering::Acquire)
    }

    /// Write down how a change went, whichever way it did.
    pub(crate) async fn audited<T>(
        &self,
        actor: &Actor,
        action: &str,
        target: &str,
        outcome: Result<T, DomainError>,
    ) -> Result<T, DomainError> {
        if outcome.as_ref().err().is_none_or(DomainError::is_ours) {
            self.inner.changes.fetch_add(1, Ordering::Release);
        }
        let result = outcome.as_ref().err().map_or("ok", DomainError::result);
        self.audit(actor, action, target, result).await;
        outcome
    }
}
