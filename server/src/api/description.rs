//! What the OpenAPI document says of the API as a whole, and of every route alike.
//!
//! A route's own attribute says what it is for and what its success looks like. Which refusals it can meet follows from
//! what it takes: those are added here, in one place, and a test holds every answer of the whole suite against them.

use axum::http::StatusCode;
use serde_json::{Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, OpenApi as Document, PathItem, Ref, RefOr, Response,
        path::{Operation, ParameterIn},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The parameter that a list has, and its export has not.
pub(super) const PAGE_SIZE: &str = "limit";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "DECNET",
        description = "What the deception network recorded, and what is wanted of its fleet. Errors are \
                       application/problem+json (RFC 9457). Lists are keyset-paged: `next` of a page is `before` of \
                       the following one; a page with filters may be short, or empty, and still have a `next`: only without one a list \
                       is at its end. Times are RFC 3339.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    modifiers(&Security),
    security(("bearer" = []), ("cookie" = [])),
    components(schemas(decnet_model::view::Problem, decnet_model::query::AttackerSort, decnet_model::query::BountySort, decnet_model::query::SortOrder,
        decnet_model::query::ReuseScope,
        decnet_model::query::Wordlist, decnet_model::query::HashKind, decnet_model::query::ExportFormat))
)]
pub(super) struct Doc;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Default::default);
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The token of a session, or an API token"))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new("decnet_session"));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    }
}

/// Who can meet a refusal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    /// Every request.
    Always,
    /// One that has something in its path.
    ByPath,
    /// One that has something in its path, its query or its body.
    ByInput,
    /// One with a body.
    ByBody,
}

/// The refusals that follow from what a route takes: status, name in the document, words.
const REFUSALS: &[(StatusCode, &str, &str, Met)] = &[
    (
        StatusCode::BAD_REQUEST,
        "Malformed",
        "The request cannot be read",
        Met::ByInput,
    ),
    (
        StatusCode::UNAUTHORIZED,
        "Unauthenticated",
        "Nobody is signed in, or not as who they say",
        Met::Always,
    ),
    (
        StatusCode::FORBIDDEN,
        "Forbidden",
        "Not with this account, not before its password is changed, or not from another site",
        Met::Always,
    ),
    (
        StatusCode::NOT_FOUND,
        "NotFound",
        "There is no such thing",
        Met::ByPath,
    ),
    (
        StatusCode::PAYLOAD_TOO_LARGE,
        "TooLarge",
        "The body is over its limit",
        Met::ByBody,
    ),
    (
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "NotJson",
        "The body does not say that it is JSON",
        Met::ByBody,
    ),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        "Invalid",
        "Fields are not as they have to be: `errors` names each",
        Met::ByInput,
    ),
    (
        StatusCode::TOO_MANY_REQUESTS,
        "TooMany",
        "Too much at once; `Retry-After` says for how long",
        Met::Always,
    ),
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal",
        "A fault of the server; the log has `error_id`",
        Met::Always,
    ),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "Unavailable",
        "Something that is needed does not answer",
        Met::Always,
    ),
    (
        StatusCode::GATEWAY_TIMEOUT,
        "Timeout",
        "There was no answer in time",
        Met::Always,
    ),
];

/// The document as it is served.
pub(super) fn document(routes: Document) -> Value {
    let mut document = serde_json::to_value(complete(routes)).unwrap_or_default();
    in_terms_of_clients(&mut document);
    document
}

/// Addresses in the formats that JSON Schema has: it knows version 4 and version 6, and no word for either of them.
fn in_terms_of_clients(part: &mut Value) {
    match part {
        Value::Object(fields) => {
            if fields.get("format").is_some_and(|format| format == "ip") {
                fields.remove("format");
                fields.insert(
                    "anyOf".into(),
                    json!([{ "format": "ipv4" }, { "format": "ipv6" }]),
                );
            }
            fields.values_mut().for_each(in_terms_of_clients);
        }
        Value::Array(items) => items.iter_mut().for_each(in_terms_of_clients),
        _ => {}
    }
}

/// Add to every operation the refusals that it can meet, each as a problem; take from exports what pages have.
fn complete(mut document: Document) -> Document {
    let components = document.components.get_or_insert_with(Default::default);
    for (_, name, words, _) in REFUSALS {
        components
            .responses
            .insert((*name).to_owned(), problem(words).into());
    }
    for (path, item) in &mut document.paths.paths {
        if path.ends_with("/export") {
            for parameters in operations(item).filter_map(|operation| operation.parameters.as_mut()) {
                parameters.retain(|parameter| !matches!(parameter, RefOr::T(p) if p.name == PAGE_SIZE));
            }
        }
    }
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let answers = &mut operation.responses.responses;
        for (status, answer) in answers.iter_mut() {
            // What a route tells of its own refusals is only why.
            if let RefOr::T(answer) = answer
                && status.starts_with('4')
            {
                tell_problem(answer);
            }
        }
        let by = |place: &ParameterIn| {
            let mut parameters = operation.parameters.iter().flatten();
            parameters.any(|parameter| matches!(parameter, RefOr::T(p) if p.parameter_in == *place))
        };
        let body = operation.request_body.is_some();
        let path = by(&ParameterIn::Path);
        let input = body || path || by(&ParameterIn::Query);
        for (status, name, _, met) in REFUSALS {
            let can = match met {
                Met::Always => true,
                Met::ByPath => path,
                Met::ByInput => input,
                Met::ByBody => body,
            };
            if !can {
                continue;
            }
            match operation.responses.responses.get_mut(status.as_str()) {
                Some(RefOr::T(own)) => tell_problem(own),
                Some(RefOr::Ref(_)) => {}
                None => {
                    let shared = RefOr::Ref(Ref::from_response_name(*name));
                    operation
                        .responses
                        .responses
                        .insert(status.as_str().to_owned(), shared);
                }
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

fn problem(words: &str) -> Response {
    let mut answer = Response::new(words);
    tell_problem(&mut answer);
    answer
}

fn tell_problem(answer: &mut Response) {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    answer
        .content
        .entry("application/problem+json".to_owned())
        .or_insert_with(|| content.into());
}
