//! Settings that are changed while DECNET runs.

use axum::{Json, http::StatusCode};
use decnet_domain::Setting;
use decnet_model::{
    id::IgnoreRuleId,
    ignore::{IgnoreMatch, IgnoreRule},
    permission::{ManageSettings, Reinitialise, ViewSettings},
    view::ConfigView,
};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{
    Answer, Done, File, Told,
    export::{self, Export, FormatQuery, NoFilter},
    extract::{Body, Param},
};
use crate::session::May;

/// A number or `null`, and not nothing: an empty request must not undo a setting.
pub(super) fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    Option::deserialize(from)
}

/// Most deckies.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentLimitRequest {
    /// `null` for what the configuration of the host says.
    #[schema(minimum = 1, maximum = 10000, required)]
    #[serde(deserialize_with = "present")]
    deployment_limit: Option<u32>,
}

/// How often deckies change that have no interval of their own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalMutationIntervalRequest {
    /// Minutes between two mutations, 0 for never; `null` for what the configuration of the host says.
    #[schema(minimum = 0, maximum = 525600, required)]
    #[serde(deserialize_with = "present")]
    minutes: Option<u32>,
}

/// How long log rows are kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionRequest {
    /// `null` to keep them.
    #[schema(minimum = 1, maximum = 36500, required)]
    #[serde(deserialize_with = "present")]
    days: Option<u32>,
}

/// How long a session lasts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionLifetimeRequest {
    /// `null` for what the configuration of the host says.
    #[schema(minimum = 5, maximum = 10080, required)]
    #[serde(deserialize_with = "present")]
    minutes: Option<u32>,
}

/// A new ignore rule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateIgnoreRuleRequest {
    lines: IgnoreMatch,
    /// Why.
    #[serde(default)]
    #[schema(max_length = 200)]
    note: String,
}

/// The word for it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReinitialiseRequest {
    /// That it is meant.
    #[schema(pattern = "^delete all evidence$")]
    confirmation: String,
}

/// What is in effect.
#[utoipa::path(
    get, path = "/config", tag = "config",
    responses((status = 200, body = ConfigView, description = "The settings"))
)]
pub async fn get(May { domain, permit }: May<ViewSettings>) -> Answer<ConfigView> {
    Ok(Json(domain.config(&permit).await?))
}

/// Set the most deckies.
#[utoipa::path(
    put, path = "/config/deployment-limit", tag = "config", request_body = DeploymentLimitRequest,
    responses((status = 204, description = "Set"))
)]
pub async fn deployment_limit(
    May { domain, permit }: May<ManageSettings>,
    Body(request): Body<DeploymentLimitRequest>,
) -> Done {
    domain
        .setting_change(&permit, Setting::DeploymentLimit, request.deployment_limit)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set how often deckies change that have no interval of their own.
#[utoipa::path(
    put, path = "/config/global-mutation-interval", tag = "config", request_body = GlobalMutationIntervalRequest,
    responses((status = 204, description = "Set"))
)]
pub async fn mutation_interval(
    May { domain, permit }: May<ManageSettings>,
    Body(request): Body<GlobalMutationIntervalRequest>,
) -> Done {
    domain
        .setting_change(&permit, Setting::MutationInterval, request.minutes)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set how long log rows are kept. Older ones are deleted step by step; counters stay, and so does the spool.
#[utoipa::path(
    put, path = "/config/retention", tag = "config", request_body = RetentionRequest,
    responses((status = 204, description = "Set"))
)]
pub async fn retention(
    May { domain, permit }: May<ManageSettings>,
    Body(request): Body<RetentionRequest>,
) -> Done {
    domain
        .setting_change(&permit, Setting::RetentionDays, request.days)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set how long sessions last that begin from now on.
#[utoipa::path(
    put, path = "/config/session-lifetime", tag = "config", request_body = SessionLifetimeRequest,
    responses((status = 204, description = "Set"))
)]
pub async fn session_lifetime(
    May { domain, permit }: May<ManageSettings>,
    Body(request): Body<SessionLifetimeRequest>,
) -> Done {
    domain
        .setting_change(&permit, Setting::SessionMinutes, request.minutes)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The ignore rules, as a file.
#[utoipa::path(
    get, path = "/config/ignore-rules/export", tag = "config", params(FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<IgnoreRule> = "application/json")), description = "The file"))
)]
pub async fn ignore_rules_export(
    May { domain, permit }: May<ViewSettings>,
    Export { format, .. }: Export<NoFilter>,
) -> File {
    let data = domain.config(&permit).await?.ignore_rules;
    export::whole("ignore-rules", format, (domain, permit), data).await
}

/// Ignore lines from now on: they are kept in the spool and counted, and become neither rows nor attackers.
#[utoipa::path(
    post, path = "/config/ignore-rules", tag = "config", request_body = CreateIgnoreRuleRequest,
    responses(
        (status = 201, body = IgnoreRule, description = "Made"),
        (status = 409, description = "There is such a rule, or there are a hundred")
    )
)]
pub async fn ignore(
    May { domain, permit }: May<ManageSettings>,
    Body(request): Body<CreateIgnoreRuleRequest>,
) -> Told<IgnoreRule> {
    let rule = domain
        .ignore_rule_create(&permit, request.lines, request.note)
        .await?;
    Ok((StatusCode::CREATED, Json(rule)))
}

/// Ignore those lines no more.
#[utoipa::path(
    delete, path = "/config/ignore-rules/{id}", tag = "config", params(("id" = IgnoreRuleId, Path)),
    responses((status = 204, description = "Gone"))
)]
pub async fn ignore_no_more(
    May { domain, permit }: May<ManageSettings>,
    Param(id): Param<IgnoreRuleId>,
) -> Done {
    domain.ignore_rule_delete(&permit, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete all evidence, and what was derived from it, from the database. The spool keeps every line: `decnet ingest --rebuild`
/// on the host stores all of them again.
#[utoipa::path(
    delete, path = "/config/reinit", tag = "config", request_body = ReinitialiseRequest,
    responses((status = 204, description = "All evidence is gone from the database"))
)]
pub async fn reinitialise(
    May { domain, permit }: May<Reinitialise>,
    Body(request): Body<ReinitialiseRequest>,
) -> Done {
    domain.reinitialise(&permit, &request.confirmation).await?;
    Ok(StatusCode::NO_CONTENT)
}
