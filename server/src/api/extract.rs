//! Bodies, queries and path parameters whose faults are answered as problems that name the field.

use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{StatusCode, request::Parts},
};
use decnet_model::view::FieldError;
use serde::de::DeserializeOwned;

use crate::problem::ApiError;

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ApiError::too_large())
            }
            Err(JsonRejection::MissingJsonContentType(_)) => Err(ApiError::not_json()),
            Err(JsonRejection::JsonDataError(error)) => {
                Err(ApiError::invalid(vec![field_error(&error.body_text())]))
            }
            Err(_) => Err(ApiError::malformed("the body is not JSON")),
        }
    }
}

/// The query of a URL.
#[derive(Debug)]
pub struct Filter<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Filter<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => {
                Err(ApiError::invalid(vec![field_error(&error.body_text())]))
            }
            Err(_) => Err(ApiError::malformed("the query cannot be read")),
        }
    }
}

/// A parameter in the path.
#[derive(Debug)]
pub struct Param<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Param<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                Err(ApiError::invalid(vec![FieldError {
                    field: "path".into(),
                    message: shorten(error.body_text().trim_start_matches("Invalid URL: ")),
                }]))
            }
            Err(error) => Err(ApiError::internal(error)),
        }
    }
}

/// The field and the fault out of axum's text, which is `<what failed>: <path of the field>: <fault>`.
fn field_error(text: &str) -> FieldError {
    let fault = text.split_once(": ").map_or(text, |(_, fault)| fault);
    let unplaced = |message: &str| {
        // A field that is missing or too many has no path; the message has its name in back quotes.
        let named = message.split('`').nth(1).filter(|_| message.contains("field"));
        FieldError {
            field: shorten(named.unwrap_or("body")),
            message: shorten(message),
        }
    };
    match fault.split_once(": ") {
        Some((path, message)) if path != "." && !path.contains([' ', '`']) => FieldError {
            field: shorten(path),
            message: shorten(message),
        },
        Some((".", message)) => unplaced(message),
        _ => unplaced(fault),
    }
}

/// What a client sent may stand in the text: no more of it than fits a line.
fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_found_in_axums_text() {
        for (text, field) in [
            (
                "Failed to deserialize query string: limit: invalid digit found in string",
                "limit",
            ),
            (
                "Failed to deserialize query string: unknown field `token`, expected one of `limit`",
                "token",
            ),
            (
                "Failed to deserialize the JSON body into the target type: deckies[0].ip: invalid IP address syntax at line 1 column 20",
                "deckies[0].ip",
            ),
            (
                "Failed to deserialize the JSON body into the target type: missing field `password` at line 1 column 2",
                "password",
            ),
            (
                "Failed to deserialize the JSON body into the target type: invalid type: string \"a\", expected struct X",
                "body",
            ),
        ] {
            assert_eq!(field_error(text).field, field, "{text}");
        }
    }
}
