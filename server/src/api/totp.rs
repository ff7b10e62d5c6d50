//! The second factor of one's own account, and taking another's away.

use axum::{Json, http::StatusCode};
use decnet_model::{
    id::UserId,
    permission::{ManageUsers, OwnFactor},
    view::SecondFactorView,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Answer, Done, Told,
    extract::{Body, Param},
};
use crate::session::May;

/// A code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeRequest {
    #[schema(value_type = String, max_length = 64)]
    code: SecretString,
}

/// The password, and a code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableTotpRequest {
    #[schema(value_type = String, max_length = 128, format = Password)]
    password: SecretString,
    #[schema(value_type = String, max_length = 64)]
    code: SecretString,
}

/// A second factor that waits for its first code.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotpEnrolment {
    /// In base32, for whoever types it.
    secret: String,
    /// The same for an authenticator program, as a picture.
    uri: String,
}

/// Codes for whoever lost the authenticator program.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoveryCodes {
    /// Each is good once. Shown this once and stored nowhere.
    recovery_codes: Vec<String>,
}

impl From<Vec<SecretString>> for RecoveryCodes {
    fn from(codes: Vec<SecretString>) -> Self {
        Self {
            recovery_codes: codes.iter().map(|code| code.expose_secret().to_owned()).collect(),
        }
    }
}

/// How one's own second factor stands.
#[utoipa::path(
    get, path = "/auth/totp", tag = "auth",
    responses((status = 200, body = SecondFactorView, description = "How it stands"))
)]
pub async fn get(May { domain, permit }: May<OwnFactor>) -> Answer<SecondFactorView> {
    Ok(Json(domain.second_factor(&permit).await?))
}

/// Begin to enrol a second factor. It counts once a code of it is shown.
#[utoipa::path(
    post, path = "/auth/totp", tag = "auth",
    responses(
        (status = 201, body = TotpEnrolment, description = "Begun; the secret is shown this once"),
        (status = 409, description = "There is one, to be disabled first; or the host has no key for it")
    )
)]
pub async fn begin(May { domain, permit }: May<OwnFactor>) -> Told<TotpEnrolment> {
    let begun = domain.second_factor_begin(&permit).await?;
    let enrolment = TotpEnrolment {
        secret: begun.secret.expose_secret().to_owned(),
        uri: begun.uri.expose_secret().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(enrolment)))
}

/// Finish to enrol: show a code of the new second factor.
#[utoipa::path(
    post, path = "/auth/totp/confirm", tag = "auth", request_body = CodeRequest,
    responses(
        (status = 200, body = RecoveryCodes, description = "Signing in takes a code from now on"),
        (status = 404, description = "None was begun")
    )
)]
pub async fn confirm(
    May { domain, permit }: May<OwnFactor>,
    Body(request): Body<CodeRequest>,
) -> Answer<RecoveryCodes> {
    Ok(Json(
        domain.second_factor_confirm(&permit, &request.code).await?.into(),
    ))
}

/// Put new recovery codes in the place of the old ones.
#[utoipa::path(
    post, path = "/auth/totp/recovery-codes", tag = "auth", request_body = CodeRequest,
    responses(
        (status = 200, body = RecoveryCodes, description = "The old ones are good no more"),
        (status = 404, description = "There is no second factor")
    )
)]
pub async fn recovery_codes(
    May { domain, permit }: May<OwnFactor>,
    Body(request): Body<CodeRequest>,
) -> Answer<RecoveryCodes> {
    Ok(Json(
        domain.recovery_codes_renew(&permit, &request.code).await?.into(),
    ))
}

/// Take one's own second factor away.
#[utoipa::path(
    post, path = "/auth/totp/disable", tag = "auth", request_body = DisableTotpRequest,
    responses(
        (status = 204, description = "Signing in takes the password alone"),
        (status = 404, description = "There is no second factor")
    )
)]
pub async fn disable(
    May { domain, permit }: May<OwnFactor>,
    Body(request): Body<DisableTotpRequest>,
) -> Done {
    domain
        .second_factor_disable(&permit, &request.password, &request.code)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take another's second factor away, who lost it. Their sessions end.
#[utoipa::path(
    delete, path = "/users/{id}/totp", tag = "users", params(("id" = UserId, Path)),
    responses(
        (status = 204, description = "Gone"),
        (status = 409, description = "It is one's own, which takes a password and a code to disable")
    )
)]
pub async fn reset(May { domain, permit }: May<ManageUsers>, Param(id): Param<UserId>) -> Done {
    domain.user_second_factor_reset(&permit, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
