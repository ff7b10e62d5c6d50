//! The audit log.

use axum::{Json, extract::State};
use decnet_model::{
    permission::ViewAudit,
    view::{AuditView, Page, Problem},
};

use super::{evidence::PageQuery, extract::Filter};
use crate::{AppState, problem::ApiError, session::May};

/// Who did what, on what, from where, and with which result; newest first.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(PageQuery),
    responses(
        (status = 200, body = Page<AuditView>, description = "A page"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn page(
    State(state): State<AppState>,
    May(permit): May<ViewAudit>,
    Filter(page): Filter<PageQuery>,
) -> Result<Json<Page<AuditView>>, ApiError> {
    Ok(Json(
        state.domain.audit_page(&permit, page.limit, page.before).await?,
    ))
}
