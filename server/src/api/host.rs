//! The host: its workers and its health.

use axum::{Extension, Json, extract::State, http::StatusCode};
use decnet_domain::Bearer;
use decnet_model::{
    name::WorkerName,
    permission::{ManageWorkers, ViewFleet},
    view::{Health, StartAll, WorkerView},
};

use super::{
    Answer, Done, File, Told,
    export::{self, Export, FormatQuery, NoFilter},
    extract::Param,
};
use crate::{AppState, session::May};

/// Every worker, heard or not.
#[utoipa::path(
    get, path = "/workers", tag = "host",
    responses((status = 200, body = Vec<WorkerView>, description = "The workers"))
)]
pub async fn workers(May { domain, permit }: May<ViewFleet>) -> Answer<Vec<WorkerView>> {
    Ok(Json(domain.worker_list(&permit).await?))
}

/// Every worker, as a file.
#[utoipa::path(
    get, path = "/workers/export", tag = "host", params(FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<WorkerView> = "application/json")), description = "The file"))
)]
pub async fn workers_export(
    May { domain, permit }: May<ViewFleet>,
    Export { format, .. }: Export<NoFilter>,
) -> File {
    let data = domain.worker_list(&permit).await?;
    export::whole("workers", format, (domain, permit), data).await
}

/// Tell a worker to stop, and wait until it says that it does.
#[utoipa::path(
    post, path = "/workers/{name}/stop", tag = "host", params(("name" = WorkerName, Path)),
    responses(
        (status = 202, description = "Told; its heartbeat says when it has stopped"),
        (status = 409, description = "It is the server itself"),
        (status = 503, description = "It was not told: the bus is off or away, or it does not listen")
    )
)]
pub async fn stop_worker(May { domain, permit }: May<ManageWorkers>, Param(name): Param<WorkerName>) -> Done {
    domain.worker_stop(&permit, &name).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Have a worker started by the `decnet up` of this host, and wait until it is ready.
#[utoipa::path(
    post, path = "/workers/{name}/start", tag = "host", params(("name" = WorkerName, Path)),
    responses(
        (status = 204, description = "It runs"),
        (status = 409, description = "It runs already, or could not be started"),
        (status = 503, description = "No `decnet up` runs this host")
    )
)]
pub async fn start_worker(
    May { domain, permit }: May<ManageWorkers>,
    Param(name): Param<WorkerName>,
) -> Done {
    domain.worker_start(&permit, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have a worker tried again that died too often, by the `decnet up` of this host, and wait until it is ready.
#[utoipa::path(
    delete, path = "/workers/{name}/quarantine", tag = "host", params(("name" = WorkerName, Path)),
    responses(
        (status = 204, description = "It runs"),
        (status = 409, description = "It is not in quarantine, or does not come up"),
        (status = 503, description = "No `decnet up` runs this host")
    )
)]
pub async fn clear_worker_quarantine(
    May { domain, permit }: May<ManageWorkers>,
    Param(name): Param<WorkerName>,
) -> Done {
    domain.worker_clear_quarantine(&permit, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have every worker started that is down, and wait until each is ready or is not.
#[utoipa::path(
    post, path = "/workers/start-all", tag = "host",
    responses(
        (status = 200, body = StartAll, description = "What became of each"),
        (status = 503, description = "No `decnet up` runs this host")
    )
)]
pub async fn start_all_workers(May { domain, permit }: May<ManageWorkers>) -> Answer<StartAll> {
    Ok(Json(domain.worker_start_all(&permit).await?))
}

/// How the host does, as it was last looked at. Answers whatever fails, and waits half a second at most to learn who asks.
#[utoipa::path(
    get, path = "/health", tag = "host", security((), ("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, body = Health, description = "Healthy or degraded"),
        (status = 503, body = Health, description = "Something critical fails")
    )
)]
pub async fn health(State(state): State<AppState>, bearer: Option<Extension<Bearer>>) -> Told<Health> {
    let health = state.domain.health(bearer.as_deref()).await?;
    let status = if health.status == "unhealthy" {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    Ok((status, Json(health)))
}
