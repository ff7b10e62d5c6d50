//! The fleet: what is wanted of it, and how far that is.

use axum::{Json, extract::State, http::StatusCode};
use decnet_model::{
    fleet::FleetSpec,
    id::TaskId,
    name::DeckyName,
    permission::{ManageFleet, ViewFleet},
    view::{ArchetypeView, DeckyView, Problem, ServiceView, TaskAccepted, TaskView},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::extract::{Body, Param};
use crate::{AppState, problem::ApiError, session::May};

/// How often a decky changes its services.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MutateIntervalRequest {
    /// Minutes between two mutations; `null` for never.
    #[schema(minimum = 1, maximum = 525600)]
    minutes: Option<u32>,
}

/// Every decky, wanted or on its way out.
#[utoipa::path(
    get, path = "/deckies", tag = "fleet",
    responses(
        (status = 200, body = Vec<DeckyView>, description = "The list"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn deckies(
    State(state): State<AppState>,
    May(permit): May<ViewFleet>,
) -> Result<Json<Vec<DeckyView>>, ApiError> {
    Ok(Json(state.domain.decky_list(&permit).await?))
}

/// Want these deckies.
#[utoipa::path(
    post, path = "/deckies/deploy", tag = "fleet", request_body = FleetSpec,
    responses(
        (status = 202, body = TaskAccepted, description = "Wanted; the task tells the progress"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn deploy(
    State(state): State<AppState>,
    May(permit): May<ManageFleet>,
    Body(spec): Body<FleetSpec>,
) -> Result<(StatusCode, Json<TaskAccepted>), ApiError> {
    Ok((
        StatusCode::ACCEPTED,
        Json(state.domain.decky_deploy(&permit, spec).await?),
    ))
}

/// Want a decky no more.
#[utoipa::path(
    delete, path = "/deckies/{name}", tag = "fleet", params(("name" = DeckyName, Path)),
    responses(
        (status = 202, body = TaskAccepted, description = "Wanted; the task tells the progress"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn teardown(
    State(state): State<AppState>,
    May(permit): May<ManageFleet>,
    Param(name): Param<DeckyName>,
) -> Result<(StatusCode, Json<TaskAccepted>), ApiError> {
    Ok((
        StatusCode::ACCEPTED,
        Json(state.domain.decky_teardown(&permit, &[name]).await?),
    ))
}

/// Take a decky down and bring it up again.
#[utoipa::path(
    post, path = "/deckies/{name}/redeploy", tag = "fleet", params(("name" = DeckyName, Path)),
    responses(
        (status = 202, body = TaskAccepted, description = "Wanted; the task tells the progress"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn redeploy(
    State(state): State<AppState>,
    May(permit): May<ManageFleet>,
    Param(name): Param<DeckyName>,
) -> Result<(StatusCode, Json<TaskAccepted>), ApiError> {
    Ok((
        StatusCode::ACCEPTED,
        Json(state.domain.decky_redeploy(&permit, &name).await?),
    ))
}

/// Let a decky change its services now.
#[utoipa::path(
    post, path = "/deckies/{name}/mutate", tag = "fleet", params(("name" = DeckyName, Path)),
    responses(
        (status = 202, body = TaskAccepted, description = "Wanted; the task tells the progress"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn mutate(
    State(state): State<AppState>,
    May(permit): May<ManageFleet>,
    Param(name): Param<DeckyName>,
) -> Result<(StatusCode, Json<TaskAccepted>), ApiError> {
    Ok((
        StatusCode::ACCEPTED,
        Json(state.domain.decky_mutate(&permit, &name).await?),
    ))
}

/// Set how often a decky changes its services.
#[utoipa::path(
    put, path = "/deckies/{name}/mutate-interval", tag = "fleet", request_body = MutateIntervalRequest,
    params(("name" = DeckyName, Path)),
    responses(
        (status = 204, description = "Set"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn mutate_interval(
    State(state): State<AppState>,
    May(permit): May<ManageFleet>,
    Param(name): Param<DeckyName>,
    Body(request): Body<MutateIntervalRequest>,
) -> Result<StatusCode, ApiError> {
    state
        .domain
        .decky_set_mutate_interval(&permit, &name, request.minutes)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Try a decky again that was given up after failing too often.
#[utoipa::path(
    delete, path = "/deckies/{name}/quarantine", tag = "fleet", params(("name" = DeckyName, Path)),
    responses(
        (status = 204, description = "Out of quarantine"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn clear_quarantine(
    State(state): State<AppState>,
    May(permit): May<ManageFleet>,
    Param(name): Param<DeckyName>,
) -> Result<StatusCode, ApiError> {
    state.domain.decky_clear_quarantine(&permit, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The kinds of deckies that can be deployed.
#[utoipa::path(
    get, path = "/archetypes", tag = "fleet",
    responses(
        (status = 200, body = Vec<ArchetypeView>, description = "The list"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn archetypes(
    State(state): State<AppState>,
    May(permit): May<ViewFleet>,
) -> Result<Json<Vec<ArchetypeView>>, ApiError> {
    Ok(Json(state.domain.archetype_list(&permit)))
}

/// The services that a decky can have.
#[utoipa::path(
    get, path = "/services", tag = "fleet",
    responses(
        (status = 200, body = Vec<ServiceView>, description = "The list"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn services(
    State(state): State<AppState>,
    May(permit): May<ViewFleet>,
) -> Result<Json<Vec<ServiceView>>, ApiError> {
    Ok(Json(state.domain.service_list(&permit)))
}

/// The latest tasks, newest first.
#[utoipa::path(
    get, path = "/tasks", tag = "fleet",
    responses(
        (status = 200, body = Vec<TaskView>, description = "The list"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn tasks(
    State(state): State<AppState>,
    May(permit): May<ViewFleet>,
) -> Result<Json<Vec<TaskView>>, ApiError> {
    Ok(Json(state.domain.task_list(&permit).await?))
}

/// How a task stands.
#[utoipa::path(
    get, path = "/tasks/{id}", tag = "fleet", params(("id" = TaskId, Path)),
    responses(
        (status = 200, body = TaskView, description = "The task"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn task(
    State(state): State<AppState>,
    May(permit): May<ViewFleet>,
    Param(id): Param<TaskId>,
) -> Result<Json<TaskView>, ApiError> {
    Ok(Json(state.domain.task_get(&permit, id).await?))
}
