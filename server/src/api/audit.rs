//! The audit log.

use axum::Json;
use decnet_model::{
    permission::ViewAudit,
    query::AuditQuery,
    view::{AuditView, Page},
};

use super::{
    Answer, File,
    export::{self, Export, FormatQuery},
    extract::Filter,
};
use crate::session::May;

/// Who did what, on what, from where, and with which result; newest first.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = Page<AuditView>, description = "A page"))
)]
pub async fn page(
    May { domain, permit }: May<ViewAudit>,
    Filter(query): Filter<AuditQuery>,
) -> Answer<Page<AuditView>> {
    Ok(Json(domain.audit_page(&permit, query).await?))
}

/// All of it that the filters leave, as a file.
#[utoipa::path(
    get, path = "/audit/export", tag = "audit", params(FormatQuery, AuditQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<AuditView> = "application/json")), description = "The file"))
)]
pub async fn export(
    May { domain, permit }: May<ViewAudit>,
    Export { format, query }: Export<AuditQuery>,
) -> File {
    export::file("audit", format, (domain, permit), move |domain, permit, next| {
        let query = AuditQuery {
            limit: export::ROWS,
            before: next.or_else(|| query.before.clone()),
            ..query.clone()
        };
        async move { domain.audit_page(&permit, query).await }
    })
    .await
}
