//! Which scripts of other sites may use the REST API: those of the origins that the configuration names, and otherwise none
//! (the Fetch standard, section 3.3, "CORS protocol").
//!
//! A browser asks for this; who is none needs nothing of it. That changes come from such an origin or from the dashboard's
//! own is checked beside it, in [`crate::http::from_known_origins`]: a browser that was refused here has sent its request.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::Config;

/// How long a browser keeps what it was told of a route, in seconds.
const REMEMBERED_S: &str = "600";

/// The origin of a script that may use what was asked for.
pub(crate) struct Guest(HeaderValue);

/// What the answer to a request says of other sites' scripts; none where it is no matter of theirs.
pub(crate) struct Policy(Option<Guest>);

impl Policy {
    /// For `request`; none outside the API, and where no origin is configured.
    pub(crate) fn of(config: &Config, request: &Request) -> Option<Self> {
        if config.cors_origins.is_empty() || !request.uri().path().starts_with("/api/") {
            return None;
        }
        let origin = request.headers().get(header::ORIGIN);
        let known = |origin: &&HeaderValue| {
            let mut origins = config.cors_origins.iter();
            origins.any(|known| known.as_str().as_bytes() == origin.as_bytes())
        };
        Some(Self(origin.filter(known).cloned().map(Guest)))
    }

    /// The answer where the request only asks what it may send.
    pub(crate) fn preflight(&self, request: &Request) -> Option<Response> {
        let asks = request.method() == Method::OPTIONS
            && request
                .headers()
                .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        (asks && self.0.is_some()).then(|| {
            let told = [
                (
                    header::ACCESS_CONTROL_ALLOW_METHODS,
                    "GET, HEAD, POST, PUT, DELETE",
                ),
                (
                    header::ACCESS_CONTROL_ALLOW_HEADERS,
                    "authorization, content-type, last-event-id",
                ),
                (header::ACCESS_CONTROL_MAX_AGE, REMEMBERED_S),
            ];
            (StatusCode::NO_CONTENT, told).into_response()
        })
    }

    /// Say in an answer whose scripts may read it.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Self(Some(Guest(origin))) = self else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
            (
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                "content-disposition, retry-after, x-request-id",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}
