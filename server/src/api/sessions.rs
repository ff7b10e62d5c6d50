//! Open sessions.

use axum::{Json, http::StatusCode};
use decnet_model::{
    id::{TokenId, UserId},
    permission::{ManageUsers, OwnAccess},
    view::SessionView,
};

use super::{
    Answer, Done, File,
    export::{self, Export, FormatQuery, NoFilter},
    extract::Param,
};
use crate::session::May;

/// One's own open sessions, those used last first.
#[utoipa::path(
    get, path = "/auth/sessions", tag = "auth",
    responses((status = 200, body = Vec<SessionView>, description = "The sessions, at most 200"))
)]
pub async fn list(May { domain, permit }: May<OwnAccess>) -> Answer<Vec<SessionView>> {
    Ok(Json(domain.session_list(&permit).await?))
}

/// One's own open sessions, as a file.
#[utoipa::path(
    get, path = "/auth/sessions/export", tag = "auth", params(FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<SessionView> = "application/json")), description = "The file"))
)]
pub async fn export(May { domain, permit }: May<OwnAccess>, Export { format, .. }: Export<NoFilter>) -> File {
    let data = domain.session_list(&permit).await?;
    export::whole("sessions", format, (domain, permit), data).await
}

/// End every session of one's own but the one that asks.
#[utoipa::path(
    delete, path = "/auth/sessions", tag = "auth",
    responses((status = 204, description = "They are over, and their streams"))
)]
pub async fn end_others(May { domain, permit }: May<OwnAccess>) -> Done {
    domain.session_end_others(&permit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End one of one's own sessions.
#[utoipa::path(
    delete, path = "/auth/sessions/{id}", tag = "auth", params(("id" = TokenId, Path)),
    responses((status = 204, description = "It is over, and its streams"))
)]
pub async fn end(May { domain, permit }: May<OwnAccess>, Param(id): Param<TokenId>) -> Done {
    domain.session_end(&permit, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End every session of an account. Its API tokens stay.
#[utoipa::path(
    delete, path = "/users/{id}/sessions", tag = "users", params(("id" = UserId, Path)),
    responses((status = 204, description = "They are over, and their streams"))
)]
pub async fn end_all(May { domain, permit }: May<ManageUsers>, Param(id): Param<UserId>) -> Done {
    domain.user_sessions_end(&permit, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
