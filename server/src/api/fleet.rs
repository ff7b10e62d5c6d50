//! The fleet: what is wanted of it, and how far that is.

use axum::{Json, http::StatusCode};
use decnet_model::{
    fleet::FleetSpec,
    id::TaskId,
    name::DeckyName,
    permission::{ManageFleet, ViewFleet},
    view::{ArchetypeView, DeckyView, FleetNetworkView, ServiceView, TaskAccepted, TaskReport, TaskView},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Answer, Done, File, Told,
    export::{self, Export, FormatQuery, NoFilter},
    extract::{Body, Param},
};
use crate::session::May;

/// How often a decky changes its services.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MutateIntervalRequest {
    /// Minutes between two mutations, 0 for never; `null` for what `mutation_interval_minutes` of the configuration says.
    #[schema(minimum = 0, maximum = 525600, required)]
    #[serde(deserialize_with = "super::config::present")]
    minutes: Option<u32>,
}

fn accepted(task: TaskAccepted) -> Told<TaskAccepted> {
    Ok((StatusCode::ACCEPTED, Json(task)))
}

/// Every decky, wanted or on its way out.
#[utoipa::path(
    get, path = "/deckies", tag = "fleet",
    responses((status = 200, body = Vec<DeckyView>, description = "The list"))
)]
pub async fn deckies(May { domain, permit }: May<ViewFleet>) -> Answer<Vec<DeckyView>> {
    Ok(Json(domain.decky_list(&permit).await?))
}

/// Want these deckies.
#[utoipa::path(
    post, path = "/deckies/deploy", tag = "fleet", request_body = FleetSpec,
    responses(
        (status = 202, body = TaskAccepted, description = "Wanted; the task tells the progress"),
        (status = 409, description = "Others changed the fleet again and again meanwhile, or it is not known where deckies can stand")
    )
)]
pub async fn deploy(
    May { domain, permit }: May<ManageFleet>,
    Body(spec): Body<FleetSpec>,
) -> Told<TaskAccepted> {
    accepted(domain.decky_deploy(&permit, spec).await?)
}

/// Want a decky no more.
#[utoipa::path(
    delete, path = "/deckies/{name}", tag = "fleet", params(("name" = DeckyName, Path)),
    responses((status = 202, body = TaskAccepted, description = "Wanted; the task tells the progress"))
)]
pub async fn teardown(
    May { domain, permit }: May<ManageFleet>,
    Param(name): Param<DeckyName>,
) -> Told<TaskAccepted> {
    accepted(domain.decky_teardown(&permit, &[name]).await?)
}

/// Take a decky down and bring it up again.
#[utoipa::path(
    post, path = "/deckies/{name}/redeploy", tag = "fleet", params(("name" = DeckyName, Path)),
    responses(
        (status = 202, body = TaskAccepted, description = "Wanted; the task tells the progress"),
        (status = 409, description = "It is stopped")
    )
)]
pub async fn redeploy(
    May { domain, permit }: May<ManageFleet>,
    Param(name): Param<DeckyName>,
) -> Told<TaskAccepted> {
    accepted(domain.decky_redeploy(&permit, &[name]).await?)
}

/// Stop a decky. It keeps its address and its identity, and stays stopped until it is started.
#[utoipa::path(
    post, path = "/deckies/{name}/stop", tag = "fleet", params(("name" = DeckyName, Path)),
    responses((status = 202, body = TaskAccepted, description = "Wanted; the task tells the progress"))
)]
pub async fn stop(
    May { domain, permit }: May<ManageFleet>,
    Param(name): Param<DeckyName>,
) -> Told<TaskAccepted> {
    accepted(domain.decky_stop(&permit, &[name]).await?)
}

/// Have a stopped decky run again as who it was.
#[utoipa::path(
    post, path = "/deckies/{name}/start", tag = "fleet", params(("name" = DeckyName, Path)),
    responses((status = 202, body = TaskAccepted, description = "Wanted; the task tells the progress"))
)]
pub async fn start(
    May { domain, permit }: May<ManageFleet>,
    Param(name): Param<DeckyName>,
) -> Told<TaskAccepted> {
    accepted(domain.decky_start(&permit, &[name]).await?)
}

/// Take away deckies that run and that nobody wants.
#[utoipa::path(
    post, path = "/deckies/reap-orphans", tag = "fleet",
    responses((status = 202, body = TaskAccepted, description = "Ordered; the task tells the progress, and which were reaped"))
)]
pub async fn reap_orphans(May { domain, permit }: May<ManageFleet>) -> Told<TaskAccepted> {
    accepted(domain.decky_reap(&permit).await?)
}

/// Let a decky change its services now.
#[utoipa::path(
    post, path = "/deckies/{name}/mutate", tag = "fleet", params(("name" = DeckyName, Path)),
    responses(
        (status = 202, body = TaskAccepted, description = "Wanted; the task tells the progress"),
        (status = 409, description = "It is stopped")
    )
)]
pub async fn mutate(
    May { domain, permit }: May<ManageFleet>,
    Param(name): Param<DeckyName>,
) -> Told<TaskAccepted> {
    accepted(domain.decky_mutate(&permit, &[name]).await?)
}

/// Set how often a decky changes its services.
#[utoipa::path(
    put, path = "/deckies/{name}/mutate-interval", tag = "fleet", request_body = MutateIntervalRequest,
    params(("name" = DeckyName, Path)),
    responses((status = 204, description = "Set"))
)]
pub async fn mutate_interval(
    May { domain, permit }: May<ManageFleet>,
    Param(name): Param<DeckyName>,
    Body(request): Body<MutateIntervalRequest>,
) -> Done {
    domain
        .decky_set_mutate_interval(&permit, &name, request.minutes)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Try a decky again that was given up after failing too often.
#[utoipa::path(
    delete, path = "/deckies/{name}/quarantine", tag = "fleet", params(("name" = DeckyName, Path)),
    responses((status = 204, description = "Out of quarantine"))
)]
pub async fn clear_quarantine(
    May { domain, permit }: May<ManageFleet>,
    Param(name): Param<DeckyName>,
) -> Done {
    domain.decky_clear_quarantine(&permit, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The kinds of deckies that can be deployed.
#[utoipa::path(
    get, path = "/archetypes", tag = "fleet",
    responses((status = 200, body = Vec<ArchetypeView>, description = "The list"))
)]
pub async fn archetypes(May { domain, permit }: May<ViewFleet>) -> Answer<Vec<ArchetypeView>> {
    Ok(Json(domain.archetype_list(&permit)))
}

/// The services that a decky can have.
#[utoipa::path(
    get, path = "/services", tag = "fleet",
    responses((status = 200, body = Vec<ServiceView>, description = "The list"))
)]
pub async fn services(May { domain, permit }: May<ViewFleet>) -> Answer<Vec<ServiceView>> {
    Ok(Json(domain.service_list(&permit)))
}

/// Where new deckies will stand, and how much room there is.
#[utoipa::path(
    get, path = "/fleet/network", tag = "fleet",
    responses((status = 200, body = FleetNetworkView, description = "The network, or why nothing can be deployed"))
)]
pub async fn network(May { domain, permit }: May<ViewFleet>) -> Answer<FleetNetworkView> {
    Ok(Json(domain.fleet_network(&permit).await?))
}

/// The latest tasks, newest first.
#[utoipa::path(
    get, path = "/tasks", tag = "fleet",
    responses((status = 200, body = Vec<TaskView>, description = "The list"))
)]
pub async fn tasks(May { domain, permit }: May<ViewFleet>) -> Answer<Vec<TaskView>> {
    Ok(Json(domain.task_list(&permit).await?))
}

/// All tasks, newest first, as a file.
#[utoipa::path(
    get, path = "/tasks/export", tag = "fleet", params(FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<TaskView> = "application/json")), description = "The file"))
)]
pub async fn tasks_export(
    May { domain, permit }: May<ViewFleet>,
    Export { format, .. }: Export<NoFilter>,
) -> File {
    export::file(
        "tasks",
        format,
        (domain, permit),
        |domain, permit, next| async move { domain.task_page(&permit, export::ROWS, next).await },
    )
    .await
}

/// How a task stands, and what it is about.
#[utoipa::path(
    get, path = "/tasks/{id}", tag = "fleet", params(("id" = TaskId, Path)),
    responses((status = 200, body = TaskReport, description = "The task"))
)]
pub async fn task(May { domain, permit }: May<ViewFleet>, Param(id): Param<TaskId>) -> Answer<TaskReport> {
    Ok(Json(domain.task_report(&permit, id).await?))
}

/// Every decky, as a file.
#[utoipa::path(
    get, path = "/fleet/export", tag = "fleet", params(FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<DeckyView> = "application/json")), description = "The file"))
)]
pub async fn deckies_export(
    May { domain, permit }: May<ViewFleet>,
    Export { format, .. }: Export<NoFilter>,
) -> File {
    let data = domain.decky_list(&permit).await?;
    export::whole("deckies", format, (domain, permit), data).await
}
