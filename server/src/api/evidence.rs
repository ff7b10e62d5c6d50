//! What was recorded: counters, logs, attackers, bounties.

use axum::Json;
use decnet_model::{
    id::{AttackerId, LogId},
    permission::{ViewEvidence, ViewQuarantine},
    query::{AttackerQuery, BountyQuery, HistogramQuery, LogQuery},
    view::{
        AttackerView, BountyView, CommandView, HistogramBucket, LogView, Page, QuarantineView, Stats, Tops,
    },
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Answer,
    extract::{Filter, Param},
};
use crate::session::May;

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
    responses((status = 200, body = Stats, description = "The counters"))
)]
pub async fn stats(May { domain, permit }: May<ViewEvidence>) -> Answer<Stats> {
    Ok(Json(domain.stats(&permit).await?))
}

/// The most active attackers, deckies, services and credentials.
#[utoipa::path(
    get, path = "/tops", tag = "tops",
    responses((status = 200, body = Tops, description = "The top lists"))
)]
pub async fn tops(May { domain, permit }: May<ViewEvidence>) -> Answer<Tops> {
    Ok(Json(domain.tops(&permit).await?))
}

/// Log rows, newest first.
#[utoipa::path(
    get, path = "/logs", tag = "logs", params(LogQuery),
    responses((status = 200, body = Page<LogView>, description = "A page"))
)]
pub async fn logs(
    May { domain, permit }: May<ViewEvidence>,
    Filter(query): Filter<LogQuery>,
) -> Answer<Page<LogView>> {
    Ok(Json(domain.log_page(&permit, query).await?))
}

/// Log rows counted in buckets of time.
#[utoipa::path(
    get, path = "/logs/histogram", tag = "logs", params(HistogramQuery),
    responses((status = 200, body = Vec<HistogramBucket>, description = "The buckets, oldest first"))
)]
pub async fn histogram(
    May { domain, permit }: May<ViewEvidence>,
    Filter(query): Filter<HistogramQuery>,
) -> Answer<Vec<HistogramBucket>> {
    Ok(Json(domain.log_histogram(&permit, query).await?))
}

/// One log row.
#[utoipa::path(
    get, path = "/logs/{id}", tag = "logs", params(("id" = LogId, Path)),
    responses((status = 200, body = LogView, description = "The row"))
)]
pub async fn log(May { domain, permit }: May<ViewEvidence>, Param(id): Param<LogId>) -> Answer<LogView> {
    Ok(Json(domain.log_get(&permit, id).await?))
}

/// Source addresses and what they did in sum.
#[utoipa::path(
    get, path = "/attackers", tag = "attackers", params(AttackerQuery),
    responses((status = 200, body = Page<AttackerView>, description = "A page"))
)]
pub async fn attackers(
    May { domain, permit }: May<ViewEvidence>,
    Filter(query): Filter<AttackerQuery>,
) -> Answer<Page<AttackerView>> {
    Ok(Json(domain.attacker_page(&permit, query).await?))
}

/// One attacker.
#[utoipa::path(
    get, path = "/attackers/{id}", tag = "attackers", params(("id" = AttackerId, Path)),
    responses((status = 200, body = AttackerView, description = "The attacker"))
)]
pub async fn attacker(
    May { domain, permit }: May<ViewEvidence>,
    Param(id): Param<AttackerId>,
) -> Answer<AttackerView> {
    Ok(Json(domain.attacker_get(&permit, id).await?))
}

/// The command lines of an attacker, newest first.
#[utoipa::path(
    get, path = "/attackers/{id}/commands", tag = "attackers", params(("id" = AttackerId, Path), PageQuery),
    responses((status = 200, body = Page<CommandView>, description = "A page"))
)]
pub async fn attacker_commands(
    May { domain, permit }: May<ViewEvidence>,
    Param(id): Param<AttackerId>,
    Filter(page): Filter<PageQuery>,
) -> Answer<Page<CommandView>> {
    Ok(Json(
        domain
            .attacker_commands(&permit, id, page.limit, page.before)
            .await?,
    ))
}

/// The log rows of an attacker, newest first.
#[utoipa::path(
    get, path = "/attackers/{id}/logs", tag = "attackers", params(("id" = AttackerId, Path), PageQuery),
    responses((status = 200, body = Page<LogView>, description = "A page"))
)]
pub async fn attacker_logs(
    May { domain, permit }: May<ViewEvidence>,
    Param(id): Param<AttackerId>,
    Filter(page): Filter<PageQuery>,
) -> Answer<Page<LogView>> {
    Ok(Json(
        domain.attacker_logs(&permit, id, page.limit, page.before).await?,
    ))
}

/// Loot: credentials, files, payloads, fingerprints.
#[utoipa::path(
    get, path = "/bounty", tag = "bounty", params(BountyQuery),
    responses((status = 200, body = Page<BountyView>, description = "A page"))
)]
pub async fn bounty(
    May { domain, permit }: May<ViewEvidence>,
    Filter(query): Filter<BountyQuery>,
) -> Answer<Page<BountyView>> {
    Ok(Json(domain.bounty_page(&permit, query).await?))
}

/// Lines of the spool that did not become evidence, those met last first.
#[utoipa::path(
    get, path = "/quarantine", tag = "logs", params(PageQuery),
    responses((status = 200, body = Page<QuarantineView>, description = "A page"))
)]
pub async fn quarantine(
    May { domain, permit }: May<ViewQuarantine>,
    Filter(page): Filter<PageQuery>,
) -> Answer<Page<QuarantineView>> {
    Ok(Json(
        domain.quarantine_page(&permit, page.limit, page.before).await?,
    ))
}
