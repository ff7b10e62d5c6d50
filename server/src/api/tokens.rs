//! API tokens: what programs sign in with.

use axum::{Json, http::StatusCode};
use decnet_domain::TokenRequest;
use decnet_model::{
    id::ApiTokenId,
    name::TokenName,
    permission::{ManageUsers, OwnAccess},
    state::Role,
    view::ApiTokenView,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Answer, Done, File, Told,
    export::{self, Export, FormatQuery, NoFilter},
    extract::{Body, Param},
};
use crate::session::May;

/// A new API token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTokenRequest {
    /// No other token of the account has it.
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._@-]([A-Za-z0-9._@ -]*[A-Za-z0-9._@-])?$")]
    name: TokenName,
    /// What it may do at most; never more than its owner.
    #[serde(default = "viewer")]
    role: Role,
    #[serde(default = "quarter")]
    #[schema(minimum = 1, maximum = 3650, default = 90)]
    expires_in_days: u32,
}

fn viewer() -> Role {
    Role::Viewer
}

fn quarter() -> u32 {
    90
}

/// An API token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedToken {
    /// For `Authorization: Bearer`. Shown this once and stored nowhere.
    token: String,
    details: ApiTokenView,
}

/// One's own API tokens, by name.
#[utoipa::path(
    get, path = "/auth/tokens", tag = "auth",
    responses((status = 200, body = Vec<ApiTokenView>, description = "The tokens, without their texts"))
)]
pub async fn own(May { domain, permit }: May<OwnAccess>) -> Answer<Vec<ApiTokenView>> {
    Ok(Json(domain.token_list(&permit).await?))
}

/// One's own API tokens, as a file.
#[utoipa::path(
    get, path = "/auth/tokens/export", tag = "auth", params(FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<ApiTokenView> = "application/json")), description = "The file"))
)]
pub async fn own_export(
    May { domain, permit }: May<OwnAccess>,
    Export { format, .. }: Export<NoFilter>,
) -> File {
    let data = domain.token_list(&permit).await?;
    export::whole("tokens", format, (domain, permit), data).await
}

/// Make an API token of one's own. Only in a session: a token makes no tokens.
#[utoipa::path(
    post, path = "/auth/tokens", tag = "auth", request_body = CreateTokenRequest,
    responses(
        (status = 201, body = CreatedToken, description = "Made; its text is shown this once"),
        (status = 409, description = "The name is taken, or the account has fifty tokens")
    )
)]
pub async fn create(
    May { domain, permit }: May<OwnAccess>,
    Body(request): Body<CreateTokenRequest>,
) -> Told<CreatedToken> {
    let request = TokenRequest {
        name: request.name,
        role: request.role,
        days: request.expires_in_days,
    };
    let made = domain.token_create(&permit, request).await?;
    let created = CreatedToken {
        token: made.text.expose_secret().to_owned(),
        details: made.view,
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// End one of one's own API tokens.
#[utoipa::path(
    delete, path = "/auth/tokens/{id}", tag = "auth", params(("id" = ApiTokenId, Path)),
    responses((status = 204, description = "It is good no more"))
)]
pub async fn revoke(May { domain, permit }: May<OwnAccess>, Param(id): Param<ApiTokenId>) -> Done {
    domain.token_revoke(&permit, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Everybody's API tokens, by owner and name.
#[utoipa::path(
    get, path = "/tokens", tag = "users",
    responses((status = 200, body = Vec<ApiTokenView>, description = "The tokens, without their texts"))
)]
pub async fn all(May { domain, permit }: May<ManageUsers>) -> Answer<Vec<ApiTokenView>> {
    Ok(Json(domain.token_list_all(&permit).await?))
}

/// Everybody's API tokens, as a file.
#[utoipa::path(
    get, path = "/tokens/export", tag = "users", params(FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<ApiTokenView> = "application/json")), description = "The file"))
)]
pub async fn all_export(
    May { domain, permit }: May<ManageUsers>,
    Export { format, .. }: Export<NoFilter>,
) -> File {
    let data = domain.token_list_all(&permit).await?;
    export::whole("tokens", format, (domain, permit), data).await
}

/// End anybody's API token.
#[utoipa::path(
    delete, path = "/tokens/{id}", tag = "users", params(("id" = ApiTokenId, Path)),
    responses((status = 204, description = "It is good no more"))
)]
pub async fn revoke_any(May { domain, permit }: May<ManageUsers>, Param(id): Param<ApiTokenId>) -> Done {
    domain.token_revoke_any(&permit, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
