//! The audit log.

use axum::Json;
use decnet_model::{
    permission::ViewAudit,
    view::{AuditView, Page},
};

use super::{
    Answer, File,
    evidence::PageQuery,
    export::{self, Export, FormatQuery, NoFilter},
    extract::Filter,
};
use crate::session::May;

/// Who did what, on what, from where, and with which result; newest first.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(PageQuery),
    responses((status = 200, body = Page<AuditView>, description = "A page"))
)]
pub async fn page(
    May { domain, permit }: May<ViewAudit>,
    Filter(page): Filter<PageQuery>,
) -> Answer<Page<AuditView>> {
    Ok(Json(domain.audit_page(&permit, page.limit, page.before).await?))
}

/// All of it, as a file.
#[utoipa::path(
    get, path = "/audit/export", tag = "audit", params(FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<AuditView> = "application/json")), description = "The file"))
)]
pub async fn export(May { domain, permit }: May<ViewAudit>, Export { format, .. }: Export<NoFilter>) -> File {
    export::file(
        "audit",
        format,
        (domain, permit),
        |domain, permit, next| async move { domain.audit_page(&permit, export::ROWS, next).await },
    )
    .await
}
