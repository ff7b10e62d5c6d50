//! The dashboard: static files, pages that Leptos renders, and its server functions.
//!
//! A request is looked at in this order: the API, a file of the site's folder, a server function or a page.

use std::sync::{Arc, LazyLock};

use axum::{
    Json, Router,
    body::{self, Body},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::any,
};
use decnet_app::{
    App,
    api::{Fault, FaultKind},
    shell,
    visit::{self, Cookie, Visit},
};
use decnet_domain::{Actor, DomainError};
use leptos::{
    config::{Env, LeptosOptions},
    nonce::use_nonce,
    prelude::{provide_context, use_context},
    server_fn::error::SERVER_FN_ERROR_HEADER,
};
use leptos_axum::{AxumRouteListing, LeptosRoutes, ResponseOptions, generate_route_list};
use tower_http::services::ServeDir;

use crate::{
    AppState, Config, api,
    http::{from_known_origins, wrap},
    problem::ApiError,
    session,
    site::Package,
    throttle::Throttle,
};

/// Where `cargo leptos watch` tells an open page that there is a newer one: `reload-port` in Cargo.toml.
const RELOAD_PORT: u32 = 8081;

/// Whoever sends the request, if anybody is signed in: an extension of every request for a page.
#[derive(Debug, Clone)]
struct Visitor(Option<Actor>);

/// The whole server: the API and the dashboard.
///
/// # Errors
/// Where the public URL is no origin.
pub fn router(state: &AppState, throttle: &Throttle) -> Result<Router, tower_http::csrf::ConfigError> {
    let package = Package::find(&state.config.site_root);
    let files = ServeDir::new(&state.config.site_root)
        .append_index_html_on_directories(false)
        .precompressed_br()
        .precompressed_gzip()
        .call_fallback_on_method_not_allowed(true)
        .fallback(pages(state, &package));
    let files = Router::new()
        .fallback_service(files)
        .layer(middleware::from_fn_with_state(package, cached));
    let files = from_known_origins(files, &state.config, &[])?;
    Ok(wrap(api::routes(state)?.fallback_service(files), state, throttle))
}

/// The addresses of the pages. Leptos runs the whole app to find them, and as long as it does so, no other page of the process
/// may begin to load its data: it would wait for them for ever (leptos-rs/leptos, issue 4773). Hence once a process, and
/// before anything is served.
static ROUTES: LazyLock<Vec<AxumRouteListing>> = LazyLock::new(|| generate_route_list(App));

/// The pages and their server functions.
fn pages(state: &AppState, package: &Package) -> Router {
    let options = LeptosOptions::builder()
        .output_name("decnet")
        .site_root(state.config.site_root.to_string_lossy().into_owned())
        .site_pkg_dir(Arc::clone(&package.folder))
        .env(if state.config.show_causes {
            Env::DEV
        } else {
            Env::PROD
        })
        .reload_port(RELOAD_PORT)
        .build();
    let context = {
        let state = state.clone();
        let pieces = package.pieces.clone();
        move || {
            provide_visit(&state);
            if let Some(pieces) = &pieces {
                provide_context(pieces.clone());
            }
        }
    };
    let document = {
        let options = options.clone();
        move || shell(options.clone())
    };
    let nothing = || any(|| async { ApiError::no_route() });
    Router::new()
        .leptos_routes_with_context(&options, ROUTES.clone(), context, document)
        .route_layer(middleware::from_fn(led))
        .route_layer(middleware::from_fn(admitted))
        .route_layer(middleware::from_fn(named))
        // What is missing there is no page that a reader could be led to.
        .route("/pkg/{*rest}", nothing())
        .route("/fonts/{*rest}", nothing())
        .route("/ui/{*rest}", nothing())
        .with_state(options)
        .fallback(|| async { ApiError::no_route() })
        .method_not_allowed_fallback(|| async { ApiError::no_method() })
        .layer(middleware::from_fn_with_state(state.clone(), visitor))
}

/// Middleware: find out who asks, once a request.
async fn visitor(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let actor = match session::actor(&parts, &state).await {
        Ok(actor) => Some(actor),
        Err(error) if error.is_public() => None,
        Err(error) => {
            // The page itself says so when it asks the domain; here it is a visitor like any other.
            tracing::error!(
                error = decnet_runtime::exit::chain(&error),
                "a session could not be looked up"
            );
            None
        }
    };
    parts.extensions.insert(Visitor(actor));
    next.run(Request::from_parts(parts, body)).await
}

/// Middleware: lead whoever has to sign in or choose a password first there, before a page is rendered that they may not
/// see. The pages do so too, but only scripts and what asks for HTML follow those.
async fn led(request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>();
    let actor = visitor.and_then(|Visitor(actor)| actor.as_ref());
    let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD);
    match visit::detour(actor, here).filter(|_| is_page) {
        Some(first) => Redirect::to(&first).into_response(),
        None => next.run(request).await,
    }
}

/// Server functions that whoever has no session may call.
const OPEN: &[&str] = &["/ui/who", "/ui/login", "/ui/login_code", "/ui/logout"];

/// Middleware: turn away from the server functions who may call none of them yet, before anybody reads the arguments: what
/// those are is for who may give them. What a role may do, the domain says.
async fn admitted(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let visitor = request.extensions().get::<Visitor>();
    let actor = visitor.and_then(|Visitor(actor)| actor.as_ref());
    let reason = match actor {
        _ if !path.starts_with("/ui/") || OPEN.contains(&path) => None,
        None => Some(DomainError::Unauthenticated),
        Some(actor) if actor.must_change_password() => {
            (path != "/ui/password_change").then_some(DomainError::PasswordChangeRequired)
        }
        Some(actor) if actor.must_enrol() => {
            (!path.starts_with("/ui/second_factor_")).then_some(DomainError::EnrolmentRequired)
        }
        Some(_) => None,
    };
    let Some(reason) = reason else {
        return next.run(request).await;
    };
    let told = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    if told(header::ACCEPT).is_some_and(|kinds| kinds.contains("text/html")) {
        // A form without scripts: its sender comes to where the pages lead, and to no text of ours.
        let from: Option<Uri> = told(header::REFERER).and_then(|page| page.parse().ok());
        let here = from.as_ref().and_then(Uri::path_and_query);
        let here = here.map_or("/", |here| here.as_str());
        let first = visit::detour(actor, here).unwrap_or_else(|| "/".to_owned());
        return Redirect::to(&first).into_response();
    }
    let fault = Fault::from(reason);
    let kind = HeaderName::from_static(SERVER_FN_ERROR_HEADER);
    (status(fault.kind), [(kind, path)], Json(&fault)).into_response()
}

/// The status that the API has for a fault of that kind.
fn status(kind: FaultKind) -> StatusCode {
    match kind {
        FaultKind::SignedOut => StatusCode::UNAUTHORIZED,
        FaultKind::PasswordChange | FaultKind::Enrolment | FaultKind::Forbidden => StatusCode::FORBIDDEN,
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        FaultKind::Limited => StatusCode::TOO_MANY_REQUESTS,
        FaultKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        FaultKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The most bytes of a fault that a server function tells.
const MAX_FAULT: usize = 64 * 1024;

/// Middleware: server functions answer every fault with 500. Give each the status that the API has for it, so that a
/// refusal does not look like a fault of ours.
async fn named(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.status() != StatusCode::INTERNAL_SERVER_ERROR
        || !response.headers().contains_key(SERVER_FN_ERROR_HEADER)
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    #[expect(
        clippy::disallowed_methods,
        reason = "the router limits what comes in; this goes out, and has a limit too"
    )]
    let text = body::to_bytes(body, MAX_FAULT).await;
    let text = match text {
        Ok(text) => text,
        Err(error) => return ApiError::internal(error).into_response(),
    };
    if let Ok(fault) = serde_json::from_slice::<Fault>(&text) {
        parts.status = status(fault.kind);
    }
    Response::from_parts(parts, Body::from(text))
}

/// Give the page or server function that is being answered what it needs to know of the request, and the answer its
/// content security policy.
fn provide_visit(state: &AppState) {
    let parts = use_context::<axum::http::request::Parts>();
    let extensions = parts.as_ref().map(|parts| &parts.extensions);
    let config = Arc::clone(&state.config);
    let response = use_context::<ResponseOptions>();
    let answer = response.clone();
    provide_context(Visit {
        domain: state.domain.clone(),
        actor: extensions
            .and_then(|e| e.get::<Visitor>())
            .and_then(|Visitor(actor)| actor.clone()),
        from: parts.as_ref().map(session::source).unwrap_or_default(),
        challenge: parts
            .as_ref()
            .and_then(|parts| session::challenge(&parts.headers, &config)),
        cookie: Arc::new(move |cookie| {
            let cookie = match cookie {
                Cookie::Session(Some(signed_in)) => session::cookie(signed_in, &config),
                Cookie::Session(None) => session::no_cookie(&config),
                Cookie::Challenge(challenge) => session::challenge_cookie(challenge, &config),
            };
            cookie
                .inspect_err(|error| tracing::error!(?error, "a session cookie has no form as a header"))
                .ok()
        }),
        nothing_here: has_status(answer.clone(), StatusCode::NOT_FOUND),
        not_allowed: has_status(answer, StatusCode::FORBIDDEN),
    });
    if let (Some(nonce), Some(response)) = (use_nonce(), response) {
        match HeaderValue::try_from(page_policy(&nonce, &state.config)) {
            Ok(policy) => response.insert_header(header::CONTENT_SECURITY_POLICY, policy),
            Err(error) => tracing::error!(%error, "a page's content security policy has no form as a header"),
        }
    }
}

/// Gives the answer a status. A page that has nothing to show is still a page, but for one that leads elsewhere, such as to the
/// login.
fn has_status(answer: Option<ResponseOptions>, status: StatusCode) -> Arc<dyn Fn() + Send + Sync> {
    Arc::new(move || {
        if let Some(answer) = &answer
            && answer.0.read().is_ok_and(|parts| parts.status.is_none())
        {
            answer.set_status(status);
        }
    })
}

/// What a page may do: everything from here, nothing from elsewhere, and no inline script but those that Leptos makes
/// for hydration, which carry this answer's nonce.
fn page_policy(nonce: &str, config: &Config) -> String {
    let reload = if config.show_causes {
        format!(" ws://127.0.0.1:{RELOAD_PORT} ws://localhost:{RELOAD_PORT}")
    } else {
        String::new()
    };
    format!(
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' 'nonce-{nonce}'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'{reload}; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    )
}

/// Middleware: files are kept by browsers, for good where their address changes with their content, else they are asked
/// for again; answers about evidence are not kept at all.
async fn cached(State(package): State<Package>, request: Request, next: Next) -> Response {
    let for_good = package.is_for_good(request.uri().path());
    let mut response = next.run(request).await;
    let is_file = response.headers().contains_key(header::LAST_MODIFIED);
    if is_file {
        let kept = if for_good {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    }
    response
}
