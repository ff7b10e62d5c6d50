//! What was recorded: counters, logs, attackers, bounties.

use axum::{Json, extract::State};
use decnet_model::{
    id::{AttackerId, LogId},
    permission::ViewEvidence,
    query::{AttackerQuery, BountyQuery, HistogramQuery, LogQuery},
    view::{AttackerView, BountyView, CommandView, HistogramBucket, LogView, Page, Problem, Stats, Tops},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Filter, Param};
use crate::{AppState, problem::ApiError, session::May};

/// A page of a list without filters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows a page; 50 where absent.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// Cursor: `next` of the page before.
    #[param(max_length = 128)]
    pub before: Option<String>,
}

/// The dashboard's counters.
#[utoipa::path(
    get, path = "/stats", tag = "stats",
    responses(
        (status = 200, body = Stats, description = "The counters"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn stats(
    State(state): State<AppState>,
    May(permit): May<ViewEvidence>,
) -> Result<Json<Stats>, ApiError> {
    Ok(Json(state.domain.stats(&permit).await?))
}

/// The most active attackers, deckies, services and credentials.
#[utoipa::path(
    get, path = "/tops", tag = "tops",
    responses(
        (status = 200, body = Tops, description = "The top lists"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn tops(
    State(state): State<AppState>,
    May(permit): May<ViewEvidence>,
) -> Result<Json<Tops>, ApiError> {
    Ok(Json(state.domain.tops(&permit).await?))
}

/// Log rows, newest first.
#[utoipa::path(
    get, path = "/logs", tag = "logs", params(LogQuery),
    responses(
        (status = 200, body = Page<LogView>, description = "A page"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn logs(
    State(state): State<AppState>,
    May(permit): May<ViewEvidence>,
    Filter(query): Filter<LogQuery>,
) -> Result<Json<Page<LogView>>, ApiError> {
    Ok(Json(state.domain.log_page(&permit, query).await?))
}

/// Log rows counted in buckets of time.
#[utoipa::path(
    get, path = "/logs/histogram", tag = "logs", params(HistogramQuery),
    responses(
        (status = 200, body = Vec<HistogramBucket>, description = "The buckets, oldest first"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn histogram(
    State(state): State<AppState>,
    May(permit): May<ViewEvidence>,
    Filter(query): Filter<HistogramQuery>,
) -> Result<Json<Vec<HistogramBucket>>, ApiError> {
    Ok(Json(state.domain.log_histogram(&permit, query).await?))
}

/// One log row.
#[utoipa::path(
    get, path = "/logs/{id}", tag = "logs", params(("id" = LogId, Path)),
    responses(
        (status = 200, body = LogView, description = "The row"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn log(
    State(state): State<AppState>,
    May(permit): May<ViewEvidence>,
    Param(id): Param<LogId>,
) -> Result<Json<LogView>, ApiError> {
    Ok(Json(state.domain.log_get(&permit, id).await?))
}

/// Source addresses and what they did in sum.
#[utoipa::path(
    get, path = "/attackers", tag = "attackers", params(AttackerQuery),
    responses(
        (status = 200, body = Page<AttackerView>, description = "A page"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn attackers(
    State(state): State<AppState>,
    May(permit): May<ViewEvidence>,
    Filter(query): Filter<AttackerQuery>,
) -> Result<Json<Page<AttackerView>>, ApiError> {
    Ok(Json(state.domain.attacker_page(&permit, query).await?))
}

/// One attacker.
#[utoipa::path(
    get, path = "/attackers/{id}", tag = "attackers", params(("id" = AttackerId, Path)),
    responses(
        (status = 200, body = AttackerView, description = "The attacker"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn attacker(
    State(state): State<AppState>,
    May(permit): May<ViewEvidence>,
    Param(id): Param<AttackerId>,
) -> Result<Json<AttackerView>, ApiError> {
    Ok(Json(state.domain.attacker_get(&permit, id).await?))
}

/// The command lines of an attacker, newest first.
#[utoipa::path(
    get, path = "/attackers/{id}/commands", tag = "attackers", params(("id" = AttackerId, Path), PageQuery),
    responses(
        (status = 200, body = Page<CommandView>, description = "A page"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn attacker_commands(
    State(state): State<AppState>,
    May(permit): May<ViewEvidence>,
    Param(id): Param<AttackerId>,
    Filter(page): Filter<PageQuery>,
) -> Result<Json<Page<CommandView>>, ApiError> {
    Ok(Json(
        state
            .domain
            .attacker_commands(&permit, id, page.limit, page.before)
            .await?,
    ))
}

/// The log rows of an attacker, newest first.
#[utoipa::path(
    get, path = "/attackers/{id}/logs", tag = "attackers", params(("id" = AttackerId, Path), PageQuery),
    responses(
        (status = 200, body = Page<LogView>, description = "A page"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn attacker_logs(
    State(state): State<AppState>,
    May(permit): May<ViewEvidence>,
    Param(id): Param<AttackerId>,
    Filter(page): Filter<PageQuery>,
) -> Result<Json<Page<LogView>>, ApiError> {
    Ok(Json(
        state
            .domain
            .attacker_logs(&permit, id, page.limit, page.before)
            .await?,
    ))
}

/// Loot: credentials, files, payloads, fingerprints.
#[utoipa::path(
    get, path = "/bounty", tag = "bounty", params(BountyQuery),
    responses(
        (status = 200, body = Page<BountyView>, description = "A page"),
        (status = "default", body = Problem, content_type = "application/problem+json", description = "Not done")
    )
)]
pub async fn bounty(
    State(state): State<AppState>,
    May(permit): May<ViewEvidence>,
    Filter(query): Filter<BountyQuery>,
) -> Result<Json<Page<BountyView>>, ApiError> {
    Ok(Json(state.domain.bounty_page(&permit, query).await?))
}
