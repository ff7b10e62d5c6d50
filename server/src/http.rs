//! What every request passes through, outermost first: a request id and a log line, security headers, the limit on
//! time, where the request comes from, the general rate limit, for changes a task of their own, the catching of panics, the
//! limit on the body's size, and the packing of what is answered. The refusal of changes from other sites stands within, because the API may have been
//! opened to some of them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use decnet_runtime::settings::WebOrigin;
use futures::{StreamExt as _, stream};
use tokio::sync::oneshot;
use tower::ServiceBuilder;
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, NotForContentType, Predicate, SizeAbove},
    },
    csrf::{CsrfLayer, ProtectionError},
    limit::RequestBodyLimitLayer,
};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    AppState, Config, client, cors,
    problem::{ApiError, Causes},
    serve::Underway,
    session,
    throttle::Throttle,
};

/// The most bytes of a body.
pub const MAX_BODY: usize = 1024 * 1024;
/// How long a request may take to be answered. A stream is answered at once and then goes on, and so does a change that is not
/// through by then.
const PATIENCE: Duration = Duration::from_secs(30);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A policy that lets a document do nothing: for everything that is no page.
const CSP_NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Put everything around `router` that every request passes through.
pub fn wrap(router: Router, state: &AppState, throttle: &Throttle) -> Router {
    // What came packed from the site's folder stays as it is, and events go out as they come.
    let packed = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(worth_packing());
    router
        .layer(
            ServiceBuilder::new()
                .layer(CatchPanicLayer::custom(panicked))
                .layer(RequestBodyLimitLayer::new(MAX_BODY))
                .layer(packed),
        )
        .layer(middleware::from_fn_with_state(
            Arc::new((state.clone(), throttle.clone())),
            around,
        ))
}

/// Refuse what would change something and comes from another origin than the dashboard's own and these `others`, by what a browser
/// says of it (`Sec-Fetch-Site` and `Origin`).
///
/// # Errors
/// Where the public URL, or one of the others, is no origin.
pub fn from_known_origins(
    router: Router,
    config: &Config,
    others: &[WebOrigin],
) -> Result<Router, tower_http::csrf::ConfigError> {
    let own = CsrfLayer::new().add_trusted_origin(&config.public_url)?;
    let csrf = others
        .iter()
        .try_fold(own, |csrf, origin| csrf.add_trusted_origin(origin.as_str()))?
        .with_rejection_response(|_: ProtectionError| ApiError::cross_site().into_response());
    Ok(router.layer(csrf))
}

/// Pages and long answers are. A secret that could be guessed by the length of what is packed is in none of them: the session is in a
/// cookie, and no other site can have a browser send it.
fn worth_packing() -> impl Predicate {
    DefaultPredicate::new()
        .and(SizeAbove::new(1_024))
        .and(NotForContentType::new("font/"))
}

/// Give the request an id that stands in the answer and in every log line about it, and see that it is answered in time, one way or the
/// other. An id that the client sends is not taken: it would be a client's text in our log.
///
/// All that is ours around a request is this one layer: a router copies everything within a layer for each request.
async fn around(State(shared): State<Arc<(AppState, Throttle)>>, request: Request, next: Next) -> Response {
    let (state, throttle) = &*shared;
    let id = Uuid::new_v4().to_string();
    let span = tracing::info_span!("request", id, method = %request.method(), path = %request.uri().path().escape_debug());
    async move {
        let policy = cors::Policy::of(&state.config, &request);
        let admitted = admitted(state, throttle, policy.as_ref(), request, next);
        let answer = tokio::time::timeout(PATIENCE, admitted).await;
        let answer = answer.unwrap_or_else(|_| ApiError::timeout().into_response());
        let mut response = secure(state, answer);
        if let Some(policy) = policy {
            policy.tell(response.headers_mut());
        }
        tracing::debug!(status = response.status().as_u16(), "answered");
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    }
    .instrument(span)
    .await
}

/// Find out where the request comes from and what token it carries, and turn away what is over its limit or says itself that it is too large.
async fn admitted(
    state: &AppState,
    throttle: &Throttle,
    policy: Option<&cors::Policy>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = client::resolve(&state.config, &request);
    request.extensions_mut().insert(client);
    let bearer = session::bearer(request.headers(), state);
    let counted_by = bearer.as_ref().and_then(|bearer| state.domain.bearer_id(bearer));
    if let Err(wait) = throttle.admit(counted_by, client) {
        return ApiError::too_many(wait).into_response();
    }
    if let Some(told) = policy.and_then(|policy| policy.preflight(&request)) {
        return told;
    }
    if let Some(bearer) = bearer {
        request.extensions_mut().insert(bearer);
    }
    if declares_too_much(request.headers()) {
        return ApiError::too_large().into_response();
    }
    if request.method().is_safe() {
        return next.run(request).await;
    }
    whole(request, next).await
}

/// Run what may change something in a task of its own: a client that leaves, or whose time is up, ends the waiting for it, and
/// not a change between what it does and its entry in the audit log. What that client did not send yet is not waited for.
async fn whole(mut request: Request, next: Next) -> Response {
    let underway = request.extensions_mut().remove::<Underway>();
    let (_waiting, gone) = oneshot::channel();
    let request = request.map(|body| while_awaited(body, gone));
    let change = async move {
        let answer = next.run(request).await;
        drop(underway);
        answer
    };
    tokio::spawn(change.in_current_span())
        .await
        .unwrap_or_else(|error| ApiError::internal(error).into_response())
}

/// `body`, which breaks off with an error once nobody waits for the answer: `gone` tells, by its other half that is dropped.
fn while_awaited(body: Body, gone: oneshot::Receiver<()>) -> Body {
    let parts = stream::unfold((body.into_data_stream(), gone), |(mut parts, mut gone)| async {
        let part = tokio::select! {
            biased;
            part = parts.next() => part?,
            _ = &mut gone => Err(axum::Error::new("nobody waits for the answer any more")),
        };
        Some((part, (parts, gone)))
    });
    Body::from_stream(parts)
}

/// Security headers. A page brings its own content security policy, because it knows its nonce.
fn secure(state: &AppState, mut response: Response) -> Response {
    if state.config.show_causes {
        response = with_causes(response);
    }
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: with that, browsers send `Origin: null` with a plain form, which then looks like another
        // site's, and the form's server function does not know where to lead back to.
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(CSP_NOTHING));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if state.config.is_https() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    response
}

/// In development mode, say in a header what led to an error of ours.
fn with_causes(mut response: Response) -> Response {
    if let Some(Causes(text)) = response.extensions_mut().remove::<Causes>()
        && let Ok(value) = HeaderValue::try_from(text.escape_default().to_string())
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-decnet-causes"), value);
    }
    response
}

/// Whether a body is too large by what its request says: then it is refused unread, in our own words.
fn declares_too_much(headers: &HeaderMap) -> bool {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    declared.is_some_and(|n| n > MAX_BODY as u64)
}

/// A panic is a fault of ours like any other: the client gets an id, the log has the text.
fn panicked(cause: Box<dyn std::any::Any + Send>) -> axum::http::Response<Body> {
    let text = cause
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_else(|| "of an unknown kind".into());
    let response = ApiError::internal(format!("a handler panicked: {text}")).into_response();
    debug_assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    response
}
