//! The REST API, `/api/v1`: one file a resource. A handler takes a permit, calls the domain and gives its answer.
//!
//! Every route stands in the OpenAPI document because both come from the same line in [`api`]; a test walks the
//! document and asks for every route without a session and as a viewer. What a handler takes is read by [`extract`],
//! which refuses what does not fit in the document's own terms; what every route can answer beside its success is said
//! in one place, `description`.

pub mod account;
pub mod audit;
pub mod config;
mod description;
pub mod evidence;
mod explain;
pub mod export;
pub mod extract;
pub mod fleet;
pub mod host;
pub mod sessions;
pub mod stream;
pub mod tokens;
pub mod totp;
pub mod users;

use axum::{
    Json, Router,
    http::StatusCode,
    middleware::from_fn_with_state,
    routing::{any, get},
};
use serde_json::Value;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    http::{from_known_origins, wrap},
    problem::ApiError,
    shared::{self, Shared},
    throttle::Throttle,
};

/// Where the API lives.
pub const PREFIX: &str = "/api/v1";

/// What a handler gives: the view that was asked for, or a problem.
type Answer<T> = Result<Json<T>, ApiError>;

/// The same for what was only accepted, or made, with its status.
type Told<T> = Result<(StatusCode, Json<T>), ApiError>;

/// A whole list.
type File = Result<axum::response::Response, ApiError>;

/// The same for what has nothing to show.
type Done = Result<StatusCode, ApiError>;

/// The lists, and the settings, that everybody who may see evidence sees alike.
fn lists() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(evidence::stats))
        .routes(routes!(evidence::tops))
        .routes(routes!(evidence::logs))
        .routes(routes!(evidence::histogram))
        .routes(routes!(evidence::log))
        .routes(routes!(evidence::attackers))
        .routes(routes!(evidence::attacker))
        .routes(routes!(evidence::attacker_commands))
        .routes(routes!(evidence::attacker_logs))
        .routes(routes!(evidence::attacker_traversal))
        .routes(routes!(evidence::bounty))
        .routes(routes!(evidence::reuse))
        .routes(routes!(fleet::deckies))
        .routes(routes!(config::get))
}

/// Every route with its description, `lists` among them.
fn api(lists: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
    let routes = lists
        .routes(routes!(account::login))
        .routes(routes!(account::second_factor))
        .routes(routes!(account::logout))
        .routes(routes!(account::change_password))
        .routes(routes!(account::me))
        .routes(routes!(totp::get, totp::begin))
        .routes(routes!(totp::confirm))
        .routes(routes!(totp::recovery_codes))
        .routes(routes!(totp::disable))
        .routes(routes!(totp::reset))
        .routes(routes!(sessions::list, sessions::end_others))
        .routes(routes!(sessions::export))
        .routes(routes!(sessions::end))
        .routes(routes!(sessions::end_all))
        .routes(routes!(tokens::own, tokens::create))
        .routes(routes!(tokens::own_export))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::all))
        .routes(routes!(tokens::all_export))
        .routes(routes!(tokens::revoke_any))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::export))
        .routes(routes!(users::set_role))
        .routes(routes!(users::reset_password))
        .routes(routes!(users::set_disabled))
        .routes(routes!(users::delete))
        .routes(routes!(evidence::logs_export))
        .routes(routes!(evidence::attackers_export))
        .routes(routes!(evidence::commands_export))
        .routes(routes!(evidence::bounty_export))
        .routes(routes!(evidence::bounty_one))
        .routes(routes!(evidence::wordlist))
        .routes(routes!(evidence::hashcat))
        .routes(routes!(evidence::reuse_export))
        .routes(routes!(evidence::reuse_one))
        .routes(routes!(evidence::alerts))
        .routes(routes!(evidence::quarantine))
        .routes(routes!(evidence::quarantine_export))
        .routes(routes!(fleet::deckies_export))
        .routes(routes!(fleet::deploy))
        .routes(routes!(fleet::teardown))
        .routes(routes!(fleet::redeploy))
        .routes(routes!(fleet::stop))
        .routes(routes!(fleet::start))
        .routes(routes!(fleet::reap_orphans))
        .routes(routes!(fleet::mutate))
        .routes(routes!(fleet::mutate_interval))
        .routes(routes!(fleet::clear_quarantine))
        .routes(routes!(fleet::archetypes))
        .routes(routes!(fleet::services))
        .routes(routes!(fleet::network))
        .routes(routes!(fleet::tasks))
        .routes(routes!(fleet::tasks_export))
        .routes(routes!(fleet::task))
        .routes(routes!(host::workers))
        .routes(routes!(host::workers_export))
        .routes(routes!(host::stop_worker))
        .routes(routes!(host::start_worker))
        .routes(routes!(host::start_all_workers))
        .routes(routes!(host::clear_worker_quarantine))
        .routes(routes!(host::health))
        .routes(routes!(audit::page))
        .routes(routes!(audit::export))
        .routes(routes!(config::deployment_limit))
        .routes(routes!(config::mutation_interval))
        .routes(routes!(config::retention))
        .routes(routes!(config::session_lifetime))
        .routes(routes!(config::ignore))
        .routes(routes!(config::ignore_rules_export))
        .routes(routes!(config::ignore_no_more))
        .routes(routes!(config::reinitialise))
        .routes(routes!(stream::open));
    OpenApiRouter::with_openapi(description::Doc::openapi()).nest(PREFIX, routes)
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> Value {
    description::document(api(lists()).split_for_parts().1)
}

/// The API's routes, without what every request passes through.
///
/// # Errors
/// Where the public URL is no origin.
pub fn routes(state: &AppState) -> Result<Router, tower_http::csrf::ConfigError> {
    let shared = Shared::new(state);
    let lists = lists().layer(from_fn_with_state(shared, shared::answer));
    let (router, _) = api(lists).split_for_parts();
    // Written once: it is the same for everybody, and it is no secret.
    let text = document();
    let nothing = || any(|| async { ApiError::no_route() });
    let router = router
        .route(
            &format!("{PREFIX}/openapi.json"),
            get(move || async move { Json(text) }),
        )
        .route("/api", nothing())
        .route("/api/", nothing())
        .route("/api/{*rest}", nothing())
        .method_not_allowed_fallback(|| async { ApiError::no_method() })
        .with_state(state.clone());
    from_known_origins(router, &state.config, &state.config.cors_origins)
}

/// The API alone, as a whole service: what the tests talk to.
///
/// # Errors
/// Where the public URL is no origin.
pub fn router(state: &AppState) -> Result<Router, tower_http::csrf::ConfigError> {
    let router = routes(state)?.fallback(|| async { ApiError::no_route() });
    Ok(wrap(router, state, &Throttle::default()))
}
