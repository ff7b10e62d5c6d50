//! The REST API, `/api/v1`: one file a resource. A handler takes a permit, calls the domain and gives its answer.
//!
//! Every route stands in the OpenAPI document because both come from the same line in [`api`]; a test walks the
//! document and asks for every route without a session and as a viewer.

pub mod account;
pub mod audit;
pub mod evidence;
pub mod extract;
pub mod fleet;
pub mod host;
pub mod stream;
pub mod users;

use axum::{Json, Router, routing::get};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{AppState, http::wrap, problem::ApiError, throttle::Throttle};

/// Where the API lives.
pub const PREFIX: &str = "/api/v1";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "DECNET",
        description = "What the deception network recorded, and what is wanted of its fleet. Errors are \
                       application/problem+json (RFC 9457). Lists are keyset-paged: `next` of a page is `before` of \
                       the following one. Times are RFC 3339.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    modifiers(&Security),
    security(("bearer" = []), ("cookie" = [])),
    components(schemas(decnet_model::view::Problem))
)]
struct Doc;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Default::default);
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new("decnet_session"));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    }
}

/// Every route with its description.
fn api() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(account::login))
        .routes(routes!(account::logout))
        .routes(routes!(account::change_password))
        .routes(routes!(account::me))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::set_role))
        .routes(routes!(users::reset_password))
        .routes(routes!(users::set_disabled))
        .routes(routes!(users::delete))
        .routes(routes!(evidence::stats))
        .routes(routes!(evidence::tops))
        .routes(routes!(evidence::logs))
        .routes(routes!(evidence::histogram))
        .routes(routes!(evidence::log))
        .routes(routes!(evidence::attackers))
        .routes(routes!(evidence::attacker))
        .routes(routes!(evidence::attacker_commands))
        .routes(routes!(evidence::attacker_logs))
        .routes(routes!(evidence::bounty))
        .routes(routes!(fleet::deckies))
        .routes(routes!(fleet::deploy))
        .routes(routes!(fleet::teardown))
        .routes(routes!(fleet::redeploy))
        .routes(routes!(fleet::mutate))
        .routes(routes!(fleet::mutate_interval))
        .routes(routes!(fleet::clear_quarantine))
        .routes(routes!(fleet::archetypes))
        .routes(routes!(fleet::services))
        .routes(routes!(fleet::tasks))
        .routes(routes!(fleet::task))
        .routes(routes!(host::workers))
        .routes(routes!(host::stop_worker))
        .routes(routes!(host::health))
        .routes(routes!(audit::page))
        .routes(routes!(stream::open));
    OpenApiRouter::with_openapi(Doc::openapi()).nest(PREFIX, routes)
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> Document {
    api().split_for_parts().1
}

/// The API's routes, without what every request passes through.
pub fn routes(state: &AppState) -> Router {
    let (router, document) = api().split_for_parts();
    // Written once: it is the same for everybody, and it is no secret.
    let text = serde_json::to_value(&document).unwrap_or_default();
    router
        .route(
            &format!("{PREFIX}/openapi.json"),
            get(move || async move { Json(text) }),
        )
        .route(
            "/api/{*rest}",
            axum::routing::any(|| async { ApiError::no_route() }),
        )
        .method_not_allowed_fallback(|| async { ApiError::no_method() })
        .with_state(state.clone())
}

/// The API alone, as a whole service: what the tests talk to.
///
/// # Errors
/// Where the public URL is no origin.
pub fn router(state: &AppState) -> Result<Router, tower_http::csrf::ConfigError> {
    wrap(
        routes(state).fallback(|| async { ApiError::no_route() }),
        state,
        &Throttle::default(),
    )
}
