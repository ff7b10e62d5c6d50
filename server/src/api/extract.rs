//! Bodies, queries and path parameters, each of its type or else a problem that names every field at fault: see
//! [`explain`](super::explain).

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Path, Query, RawPathParams, Request, path::ErrorKind,
        rejection::PathRejection,
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::{IntoParams, PartialSchema};

use super::explain;
use crate::problem::ApiError;

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + PartialSchema, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::not_json());
        }
        let bytes = match Bytes::from_request(request, state).await {
            Ok(bytes) => bytes,
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(ApiError::too_large());
            }
            Err(_) => return Err(ApiError::malformed("the body ended before its time")),
        };
        if let Ok(body) = serde_json::from_slice(&bytes) {
            return Ok(Self(body));
        }
        match serde_json::from_slice(&bytes) {
            Ok(mut value) => {
                // Only then: a value has forgotten what else was wrong, such as a field that stands there twice.
                let again = whole_numbers(&mut value).then(|| T::deserialize(&value));
                match again {
                    Some(Ok(body)) => Ok(Self(body)),
                    _ => Err(ApiError::invalid(explain::body::<T>(&value))),
                }
            }
            Err(_) if bytes.is_empty() => Err(ApiError::malformed("the body is empty: send JSON")),
            Err(error) if error.is_eof() => Err(ApiError::malformed("the body is JSON without an end")),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                let words = format!("the body is not JSON: look at line {line}, column {column}");
                Err(ApiError::malformed(words))
            }
        }
    }
}

/// Write `3.0` as `3`: to JSON Schema, and to clients whose numbers are all of one kind, they are the same. Whether there
/// was any.
fn whole_numbers(value: &mut Value) -> bool {
    let each = |found: bool, value: &mut Value| whole_numbers(value) || found;
    match value {
        Value::Number(number) if number.is_f64() => {
            // Up to 2^53, where every whole number still has a double of its own.
            let whole = number
                .as_f64()
                .filter(|n| n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0);
            let whole = whole.and_then(|n| format!("{n:.0}").parse::<i64>().ok());
            if let Some(same) = whole {
                *value = same.into();
            }
            whole.is_some()
        }
        Value::Array(items) => items.iter_mut().fold(false, each),
        Value::Object(fields) => fields.values_mut().fold(false, each),
        _ => false,
    }
}

/// Whether the body says that it is JSON (RFC 8259 section 11, RFC 6839 section 3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(kind)) = headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str()) else {
        return false;
    };
    let essence = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

/// The query of a URL.
#[derive(Debug)]
pub struct Filter<T>(pub T);

impl<T: DeserializeOwned + IntoParams, S: Send + Sync> FromRequestParts<S> for Filter<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        if let Ok(Query(query)) = Query::try_from_uri(&parts.uri) {
            return Ok(Self(query));
        }
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::malformed("the query cannot be read"))?;
        Err(ApiError::invalid(explain::query::<T>(&pairs)))
    }
}

/// A parameter in the path.
#[derive(Debug)]
pub struct Param<T>(pub T);

impl<T: DeserializeOwned + PartialSchema + Send, S: Send + Sync> FromRequestParts<S> for Param<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let error = match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => return Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => error,
            Err(error) => return Err(ApiError::internal(error)),
        };
        let Ok(given) = RawPathParams::from_request_parts(parts, state).await else {
            return Err(ApiError::malformed("the address has bytes that are no UTF-8"));
        };
        let said = match error.kind() {
            ErrorKind::Message(words) | ErrorKind::DeserializeError { message: words, .. } => words.as_str(),
            _ => "",
        };
        let (name, text) = given.iter().next().unwrap_or(("path", ""));
        Err(ApiError::invalid(explain::parameter::<T>(name, text, said)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_json() {
        for (kind, is) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("text/json", false),
            ("application/jsonp", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
            assert_eq!(is_json(&headers), is, "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
