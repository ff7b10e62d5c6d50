//! The host: its workers and its health.

use axum::{Json, extract::State, http::StatusCode};
use decnet_model::{
    name::WorkerName,
    permission::{ManageWorkers, ViewFleet},
    view::{Health, Problem, WorkerView},
};

use super::extract::Param;
use crate::{AppState, problem::ApiError, session::May};

/// Every worker, heard or not.
#[utoipa::path(
    get, path = "/workers", tag = "host",
    responses(
        (status = 200, body = Vec<WorkerView>, description = "The workers"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn workers(
    State(state): State<AppState>,
    May(permit): May<ViewFleet>,
) -> Result<Json<Vec<WorkerView>>, ApiError> {
    Ok(Json(state.domain.worker_list(&permit).await?))
}

/// Tell a worker to stop.
#[utoipa::path(
    post, path = "/workers/{name}/stop", tag = "host", params(("name" = WorkerName, Path)),
    responses(
        (status = 202, description = "Told; its heartbeat says when it has stopped"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn stop_worker(
    State(state): State<AppState>,
    May(permit): May<ManageWorkers>,
    Param(name): Param<WorkerName>,
) -> Result<StatusCode, ApiError> {
    state.domain.worker_stop(&permit, &name).await?;
    Ok(StatusCode::ACCEPTED)
}

/// How the host does, as it was last looked at.
#[utoipa::path(
    get, path = "/health", tag = "host",
    responses(
        (status = 200, body = Health, description = "Healthy or degraded"),
        (status = 503, body = Health, description = "Something critical fails"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn health(
    State(state): State<AppState>,
    May(permit): May<ViewFleet>,
) -> Result<(StatusCode, Json<Health>), ApiError> {
    let health = state.domain.health(&permit)?;
    let status = if health.status == "unhealthy" {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    Ok((status, Json(health)))
}
