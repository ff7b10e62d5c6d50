//! Accounts.

use axum::{Json, http::StatusCode};
use decnet_model::{id::UserId, name::UserName, permission::ManageUsers, state::Role, view::UserView};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Answer, Done, File, Told,
    export::{self, Export, FormatQuery, NoFilter},
    extract::{Body, Param},
};
use crate::session::May;

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUserRequest {
    #[schema(value_type = String, min_length = 2, max_length = 64, pattern = "^[a-z0-9._@-]+$")]
    username: UserName,
    /// To be changed at the first login.
    #[schema(value_type = String, min_length = 12, max_length = 128, format = Password)]
    password: SecretString,
    #[serde(default = "viewer")]
    role: Role,
}

fn viewer() -> Role {
    Role::Viewer
}

/// Another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUserRoleRequest {
    role: Role,
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetUserPasswordRequest {
    /// To be changed at the next login.
    #[schema(value_type = String, min_length = 12, max_length = 128, format = Password)]
    new_password: SecretString,
}

/// Whether the account may sign in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableUserRequest {
    disabled: bool,
}

/// Every account, by name.
#[utoipa::path(
    get, path = "/users", tag = "users",
    responses((status = 200, body = Vec<UserView>, description = "The accounts"))
)]
pub async fn list(May { domain, permit }: May<ManageUsers>) -> Answer<Vec<UserView>> {
    Ok(Json(domain.user_list(&permit).await?))
}

/// Every account, as a file.
#[utoipa::path(
    get, path = "/users/export", tag = "users", params(FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<UserView> = "application/json")), description = "The file"))
)]
pub async fn export(
    May { domain, permit }: May<ManageUsers>,
    Export { format, .. }: Export<NoFilter>,
) -> File {
    let data = domain.user_list(&permit).await?;
    export::whole("users", format, (domain, permit), data).await
}

/// Make an account.
#[utoipa::path(
    post, path = "/users", tag = "users", request_body = CreateUserRequest,
    responses(
        (status = 201, body = UserView, description = "Made"),
        (status = 409, description = "The name is taken")
    )
)]
pub async fn create(
    May { domain, permit }: May<ManageUsers>,
    Body(request): Body<CreateUserRequest>,
) -> Told<UserView> {
    let user = domain
        .user_create(&permit, request.username, &request.password, request.role)
        .await?;
    Ok((StatusCode::CREATED, Json(user)))
}

/// Give an account another role. Its sessions end.
#[utoipa::path(
    put, path = "/users/{id}/role", tag = "users", request_body = UpdateUserRoleRequest, params(("id" = UserId, Path)),
    responses(
        (status = 200, body = UserView, description = "Changed"),
        (status = 409, description = "It is the last administrator who can sign in")
    )
)]
pub async fn set_role(
    May { domain, permit }: May<ManageUsers>,
    Param(id): Param<UserId>,
    Body(request): Body<UpdateUserRoleRequest>,
) -> Answer<UserView> {
    Ok(Json(domain.user_set_role(&permit, id, request.role).await?))
}

/// Give an account another password, to be changed at its next login. Its sessions end.
#[utoipa::path(
    put, path = "/users/{id}/reset-password", tag = "users", request_body = ResetUserPasswordRequest,
    params(("id" = UserId, Path)),
    responses((status = 204, description = "Changed"))
)]
pub async fn reset_password(
    May { domain, permit }: May<ManageUsers>,
    Param(id): Param<UserId>,
    Body(request): Body<ResetUserPasswordRequest>,
) -> Done {
    domain
        .user_reset_password(&permit, id, &request.new_password)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let an account sign in no more, or again. Its sessions end; who may sign in no more loses their API tokens.
#[utoipa::path(
    put, path = "/users/{id}/disabled", tag = "users", request_body = DisableUserRequest,
    params(("id" = UserId, Path)),
    responses(
        (status = 200, body = UserView, description = "Changed"),
        (status = 409, description = "It is the last administrator who can sign in")
    )
)]
pub async fn set_disabled(
    May { domain, permit }: May<ManageUsers>,
    Param(id): Param<UserId>,
    Body(request): Body<DisableUserRequest>,
) -> Answer<UserView> {
    Ok(Json(
        domain.user_set_disabled(&permit, id, request.disabled).await?,
    ))
}

/// Remove an account. Its sessions end.
#[utoipa::path(
    delete, path = "/users/{id}", tag = "users", params(("id" = UserId, Path)),
    responses(
        (status = 204, description = "Gone"),
        (status = 409, description = "It is the last administrator who can sign in")
    )
)]
pub async fn delete(May { domain, permit }: May<ManageUsers>, Param(id): Param<UserId>) -> Done {
    domain.user_delete(&permit, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
