//! The audit log.

use axum::Json;
use decnet_model::{
    permission::ViewAudit,
    view::{AuditView, Page},
};

use super::{Answer, evidence::PageQuery, extract::Filter};
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
