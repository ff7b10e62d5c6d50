//! Errors as `application/problem+json` (RFC 9457): a stable type, public text, and for a fault of ours an id under
//! which the log has the whole story.

use std::{error::Error, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use decnet_domain::DomainError;
use decnet_model::view::{FieldError, Problem};
use decnet_runtime::exit::chain;
use uuid::Uuid;

/// When to ask again for what needs something that does not answer: about as long as a database takes to start.
const AWAY: Duration = Duration::from_secs(5);

/// An answer that is no success. The type is the last part of `/problems/<type>` and never changes its meaning.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            cause: None,
        }
    }

    /// 400: the request cannot be read at all.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "The request cannot be read",
            detail,
        )
    }

    /// 415: the body is not JSON, or does not say so.
    #[must_use]
    pub fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Not a JSON body",
            "send the body as application/json",
        )
    }

    /// 413: the body is over its limit.
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            "send less at once",
        )
    }

    /// 422: fields are not as they have to be.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let error = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "A field is not as it has to be",
            errors
                .iter()
                .map(|e| format!("{}: {}", e.field, e.message))
                .collect::<Vec<_>>()
                .join("; "),
        );
        Self { errors, ..error }
    }

    /// 404: no such route.
    #[must_use]
    pub fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            "there is nothing at this address",
        )
    }

    /// 405: the route has no such method.
    #[must_use]
    pub fn no_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Method not allowed",
            "this address does not answer to this method",
        )
    }

    /// 403: a page of another site sent the request.
    #[must_use]
    pub fn cross_site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross-site",
            "The request came from another site",
            "change things from the dashboard itself, or by an API client without a browser's Origin header",
        )
    }

    /// 429: too many requests.
    #[must_use]
    pub fn too_many(retry_after: Duration) -> Self {
        let error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many requests",
            "slow down; Retry-After says for how long",
        );
        Self {
            retry_after: Some(retry_after),
            ..error
        }
    }

    /// 504: no answer in time.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "No answer in time",
            "try again in a moment",
        )
    }

    /// 500: a fault of ours.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong here",
            "the log has the whole story under error_id",
        );
        Self {
            cause: Some(cause.into()),
            ..error
        }
    }
}

impl From<DomainError> for ApiError {
    fn from(error: DomainError) -> Self {
        let text = error.to_string();
        match error {
            DomainError::Unauthenticated => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Not signed in", text)
            }
            DomainError::BadCredentials => {
                Self::new(StatusCode::UNAUTHORIZED, "bad-credentials", "Not signed in", text)
            }
            DomainError::PasswordChangeRequired => Self::new(
                StatusCode::FORBIDDEN,
                "password-change-required",
                "The password has to be changed",
                text,
            ),
            DomainError::EnrolmentRequired => Self::new(
                StatusCode::FORBIDDEN,
                "enrolment-required",
                "A second factor has to be enrolled",
                text,
            ),
            DomainError::BadCode => Self::new(StatusCode::UNAUTHORIZED, "bad-code", "Not signed in", text),
            DomainError::Forbidden { .. } => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", text)
            }
            DomainError::SessionRequired => Self::new(
                StatusCode::FORBIDDEN,
                "session-required",
                "Not with an API token",
                text,
            ),
            DomainError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", text),
            DomainError::Conflict(_) => Self::new(
                StatusCode::CONFLICT,
                "conflict",
                "The present state does not allow it",
                text,
            ),
            DomainError::Invalid(errors) => Self::invalid(errors),
            DomainError::TooMany { retry_after, .. } => Self {
                detail: text,
                ..Self::too_many(retry_after)
            },
            DomainError::Busy { retry_after } => {
                let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", text);
                Self {
                    retry_after: Some(retry_after),
                    ..error
                }
            }
            error @ DomainError::Unavailable { .. } => {
                let public = Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "Something that is needed does not answer",
                    "try again in a moment; the log has the whole story under error_id",
                );
                Self {
                    retry_after: Some(AWAY),
                    cause: Some(Box::new(error)),
                    ..public
                }
            }
            DomainError::Unanswered(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unanswered",
                "Another part of the host did not do it",
                text,
            ),
            error @ DomainError::DiskFull { .. } => {
                let public = Self::new(StatusCode::SERVICE_UNAVAILABLE, "disk-full", "No room left", text);
                Self {
                    cause: Some(Box::new(error)),
                    ..public
                }
            }
            error @ DomainError::Internal { .. } => Self::internal(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error_id = self.cause.as_ref().map(|cause| {
            let id = Uuid::new_v4().to_string();
            tracing::error!(
                error_id = id,
                status = self.status.as_u16(),
                "{}",
                chain(cause.as_ref())
            );
            id
        });
        let causes = self.cause.map(|cause| Causes(chain(cause.as_ref())));
        let problem = Problem {
            kind: format!("/problems/{}", self.kind),
            title: self.title.into(),
            status: self.status.as_u16(),
            detail: self.detail,
            error_id,
            errors: self.errors,
        };
        let mut response = (self.status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            // Rounded up: who comes back at the stated second is let in.
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(wait.as_millis().div_ceil(1000).max(1) as u64),
            );
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"decnet\""),
            );
        }
        if let Some(causes) = causes {
            response.extensions_mut().insert(causes);
        }
        response
    }
}

/// What led to an error of ours, for development mode.
#[derive(Debug, Clone)]
pub struct Causes(pub String);
