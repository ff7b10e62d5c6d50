//! The server's half of the server functions: who asks, and what a use-case's error becomes.

use axum::http::{
    header::{REFERER, SET_COOKIE},
    request::Parts,
};
use decnet_domain::{Actor, Domain, DomainError, Permit};
use decnet_model::{id::ErrorId, permission::Permission};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

use super::{Fault, FaultKind};
use crate::visit::{Cookie, Visit};

/// The request that is being answered.
pub(super) fn visit() -> Result<Visit, Fault> {
    use_context::<Visit>().ok_or_else(|| mounted_without("Visit"))
}

/// The use-cases, and the permit of whoever asks.
pub(super) fn permitted<P: Permission>() -> Result<(Domain, Permit<P>), Fault> {
    let visit = visit()?;
    let permit = visit.domain.permit(visit.actor()?)?;
    Ok((visit.domain, permit))
}

impl Visit {
    /// Whoever asks, if anybody is signed in.
    pub(super) fn actor(&self) -> Result<&Actor, Fault> {
        Ok(self.actor.as_ref().ok_or(DomainError::Unauthenticated)?)
    }
}

/// The page that the request came from, where the browser says so.
pub(super) fn referer() -> Option<String> {
    let parts = use_context::<Parts>()?;
    Some(parts.headers.get(REFERER)?.to_str().ok()?.to_owned())
}

/// Have the browser keep something for us, or forget it.
pub(super) fn set_cookie(visit: &Visit, cookie: Cookie<'_>) -> Result<(), Fault> {
    let response = use_context::<ResponseOptions>().ok_or_else(|| mounted_without("ResponseOptions"))?;
    let cookie = (visit.cookie)(cookie)
        .ok_or_else(|| Fault::new(FaultKind::Internal, "the session's cookie could not be made"))?;
    response.append_header(SET_COOKIE, cookie);
    Ok(())
}

fn mounted_without(what: &'static str) -> Fault {
    tracing::error!(what, "the app was mounted without a context that it needs");
    Fault::new(FaultKind::Internal, "the server was put together wrongly")
}

impl From<DomainError> for Fault {
    fn from(err: DomainError) -> Self {
        let kind = match &err {
            DomainError::Unauthenticated => FaultKind::SignedOut,
            DomainError::PasswordChangeRequired => FaultKind::PasswordChange,
            DomainError::EnrolmentRequired => FaultKind::Enrolment,
            DomainError::Forbidden { .. } | DomainError::SessionRequired => FaultKind::Forbidden,
            DomainError::NotFound { .. } => FaultKind::NotFound,
            DomainError::BadCredentials
            | DomainError::BadCode
            | DomainError::Conflict(_)
            | DomainError::Unanswered(_)
            | DomainError::Invalid(_) => FaultKind::Invalid,
            DomainError::TooMany { .. } | DomainError::Busy { .. } => FaultKind::Limited,
            DomainError::Unavailable { .. } => FaultKind::Unavailable,
            DomainError::DiskFull { .. } | DomainError::Internal { .. } => FaultKind::Internal,
        };
        let mut fault = Self::new(kind, err.to_string());
        match err {
            DomainError::Invalid(fields) => fault.fields = fields,
            DomainError::TooMany { retry_after, .. } => {
                fault.detail = format!(
                    "{}; try again in {}",
                    fault.detail,
                    crate::text::span(retry_after.as_secs().max(1))
                );
            }
            DomainError::Unavailable { .. } | DomainError::DiskFull { .. } | DomainError::Internal { .. } => {
                let id = ErrorId(uuid::Uuid::new_v4());
                tracing::error!(error_id = %id, error = &err as &dyn std::error::Error, "a server function failed");
                fault.error_id = Some(id.to_string());
            }
            _ => {}
        }
        fault
    }
}
