//! Signing in and out, and one's own account.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use decnet_domain::{Login, SignedIn};
use decnet_model::{
    permission::{ChangePassword, OwnAccount},
    view::Me,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{Answer, extract::Body};
use crate::{
    AppState,
    problem::ApiError,
    session::{self, From, May, Signed},
};

/// A name and a password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    #[schema(max_length = 64)]
    username: String,
    #[schema(value_type = String, max_length = 128, format = Password)]
    password: SecretString,
}

/// A new password, and the present one as proof.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordRequest {
    #[schema(value_type = String, max_length = 128, format = Password)]
    old_password: SecretString,
    #[schema(value_type = String, min_length = 12, max_length = 128, format = Password)]
    new_password: SecretString,
}

/// A session that just began. The same token is in the session cookie.
#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    access_token: String,
    /// `bearer`.
    token_type: &'static str,
    /// Only changing the password is allowed until it is done.
    must_change_password: bool,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// The password was right, and the account has a second factor: a code has to follow.
#[derive(Debug, Serialize, ToSchema)]
pub struct SecondFactorChallenge {
    /// `true`.
    second_factor_required: bool,
    /// For `/auth/second-factor`, once, together with a code. It opens nothing else.
    challenge: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// The challenge of a login, and a code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorRequest {
    #[schema(value_type = String, max_length = 1024)]
    challenge: SecretString,
    /// The code of this moment, or a recovery code.
    #[schema(value_type = String, max_length = 64)]
    code: SecretString,
}

/// Begin a session, or its first step where the account has a second factor.
#[utoipa::path(
    post, path = "/auth/login", tag = "auth", security(()), request_body = LoginRequest,
    responses(
        (status = 200, body = Token, description = "Signed in; the session cookie is set"),
        (status = 202, body = SecondFactorChallenge, description = "The password is right; a code has to follow")
    )
)]
pub async fn login(
    State(state): State<AppState>,
    From(from): From,
    Body(request): Body<LoginRequest>,
) -> Result<Response, ApiError> {
    let login = state
        .domain
        .login(&request.username, &request.password, from)
        .await?;
    match login {
        Login::In(signed_in) => begun(&signed_in, &state),
        Login::SecondFactor(challenge) => {
            let challenge = SecondFactorChallenge {
                second_factor_required: true,
                challenge: challenge.text.expose_secret().to_owned(),
                expires_at: challenge.expires_at,
            };
            Ok((StatusCode::ACCEPTED, Json(challenge)).into_response())
        }
    }
}

/// Begin a session: the second step.
#[utoipa::path(
    post, path = "/auth/second-factor", tag = "auth", security(()), request_body = SecondFactorRequest,
    responses((status = 200, body = Token, description = "Signed in; the session cookie is set"))
)]
pub async fn second_factor(
    State(state): State<AppState>,
    From(from): From,
    Body(request): Body<SecondFactorRequest>,
) -> Result<Response, ApiError> {
    let signed_in = state
        .domain
        .login_second(&request.challenge, &request.code, from)
        .await?;
    begun(&signed_in, &state)
}

/// End the session.
#[utoipa::path(
    post, path = "/auth/logout", tag = "auth",
    responses((status = 204, description = "Signed out; the token is good no more"))
)]
pub async fn logout(State(state): State<AppState>, Signed(actor): Signed) -> Result<Response, ApiError> {
    state.domain.logout(&actor).await?;
    Ok((
        StatusCode::NO_CONTENT,
        [(header::SET_COOKIE, session::no_cookie(&state.config)?)],
    )
        .into_response())
}

/// Change one's own password. Every session of the account ends; the answer is a new one.
#[utoipa::path(
    post, path = "/auth/change-password", tag = "auth", request_body = ChangePasswordRequest,
    responses((status = 200, body = Token, description = "Changed; the new session's cookie is set"))
)]
pub async fn change_password(
    State(state): State<AppState>,
    May { domain, permit }: May<ChangePassword>,
    Body(request): Body<ChangePasswordRequest>,
) -> Result<Response, ApiError> {
    let signed_in = domain
        .password_change(&permit, &request.old_password, &request.new_password)
        .await?;
    begun(&signed_in, &state)
}

/// Who is signed in.
#[utoipa::path(
    get, path = "/auth/me", tag = "auth",
    responses((status = 200, body = Me, description = "The account"))
)]
pub async fn me(May { domain, permit }: May<OwnAccount>) -> Answer<Me> {
    Ok(Json(domain.me(&permit)?))
}

fn begun(signed_in: &SignedIn, state: &AppState) -> Result<Response, ApiError> {
    let token = Token {
        access_token: signed_in.token.expose_secret().to_owned(),
        token_type: "bearer",
        must_change_password: signed_in.me.must_change_password,
        expires_at: signed_in.expires_at,
    };
    Ok((
        [(header::SET_COOKIE, session::cookie(signed_in, &state.config)?)],
        Json(token),
    )
        .into_response())
}
