//! Scripts of other sites: those of configured origins may use the API, all others nothing.

use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use decnet_domain::Options;
use decnet_model::state::Role;
use decnet_runtime::settings::WebOrigin;
use serde_json::json;

use crate::app::{Answer, App, PASSWORD};

const CONSOLE: &str = "http://console.decnet.test:3000";

/// Origins that look like the one that is configured, and are others.
const OTHERS: &[&str] = &[
    "http://evil.test",
    "http://console.decnet.test",
    "http://console.decnet.test:3001",
    "https://console.decnet.test:3000",
    "http://console.decnet.test:3000.evil.test",
    "http://evil.test/http://console.decnet.test:3000",
    "http://CONSOLE.decnet.test:3000",
    "null",
    "*",
];

async fn opened(origins: &[&str]) -> App {
    App::with(Options::default(), |config| {
        config.cors_origins = origins.iter().map(|o| WebOrigin::of(o).unwrap()).collect();
    })
    .await
}

fn said<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

fn varies_by_origin(answer: &Answer) -> bool {
    answer
        .headers
        .get_all(header::VARY)
        .iter()
        .flat_map(|value| value.to_str().unwrap().split(','))
        .any(|name| name.trim().eq_ignore_ascii_case("origin"))
}

/// No word of CORS is in the answer.
fn is_closed(answer: &Answer) -> bool {
    answer
        .headers
        .keys()
        .all(|name| !name.as_str().starts_with("access-control-"))
}

/// What a browser asks before it has a script of `origin` delete a decky.
async fn preflight(app: &App, path: &str, origin: &str) -> Answer {
    app.at(Method::OPTIONS, path)
        .header(header::ORIGIN, origin)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "DELETE")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization")
        .send()
        .await
}

/// The cookie of a session of vera's.
async fn cookie(app: &App) -> String {
    let login = app.login("vera", PASSWORD).send().await;
    let cookie = said(&login.headers, "set-cookie").unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// Sign out with the cookie, as a script of `origin` on the same site would.
async fn write(app: &App, path: &str, cookie: &str, origin: &str) -> Answer {
    app.at(Method::POST, path)
        .json(&json!({}))
        .header(header::COOKIE, cookie)
        .header(header::ORIGIN, origin)
        .header(HeaderName::from_static("sec-fetch-site"), "same-site")
        .send()
        .await
}

#[tokio::test]
async fn scripts_of_a_configured_origin_may_read_and_write_by_the_api() {
    let app = opened(&["https://other.test", CONSOLE]).await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let from_console = |path: &str| app.get(path).header(header::ORIGIN, CONSOLE);
    for (answer, status) in [
        (from_console("/stats").token(&token).send().await, StatusCode::OK),
        (from_console("/stats").send().await, StatusCode::UNAUTHORIZED),
        (from_console("/nowhere").send().await, StatusCode::NOT_FOUND),
    ] {
        // A refusal, too, can be read: otherwise a script would only see that something failed.
        assert_eq!(answer.status, status);
        let says = |name| said(&answer.headers, name);
        assert_eq!(says("access-control-allow-origin"), Some(CONSOLE), "{status}");
        assert_eq!(says("access-control-allow-credentials"), Some("true"), "{status}");
        assert!(
            says("access-control-expose-headers")
                .unwrap()
                .contains("retry-after")
        );
        assert!(varies_by_origin(&answer), "{status}");
    }
    let asked = preflight(&app, "/api/v1/deckies/web-01", CONSOLE).await;
    assert_eq!((asked.status, asked.text.as_str()), (StatusCode::NO_CONTENT, ""));
    let says = |name| said(&asked.headers, name).unwrap();
    assert_eq!(says("access-control-allow-origin"), CONSOLE);
    assert_eq!(says("access-control-allow-credentials"), "true");
    assert!(
        says("access-control-allow-methods")
            .split(", ")
            .any(|m| m == "DELETE")
    );
    for name in ["authorization", "content-type"] {
        let allowed = says("access-control-allow-headers");
        assert!(allowed.split(", ").any(|h| h == name), "{name}: {allowed}");
    }
    let cookie = cookie(&app).await;
    let written = write(&app, "/api/v1/auth/logout", &cookie, CONSOLE).await;
    assert_eq!(written.status, StatusCode::NO_CONTENT, "{written:?}");
    assert_eq!(
        said(&written.headers, "access-control-allow-origin"),
        Some(CONSOLE)
    );
}

#[tokio::test]
async fn scripts_of_any_other_origin_may_do_neither() {
    let app = opened(&["https://other.test", CONSOLE]).await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let cookie = cookie(&app).await;
    for origin in OTHERS {
        let read = app.get("/stats").token(&token).header(header::ORIGIN, origin);
        let read = read.send().await;
        assert!(is_closed(&read), "{origin}: {read:?}");
        assert!(
            varies_by_origin(&read),
            "{origin}: a cache must not give it to the console"
        );
        let asked = preflight(&app, "/api/v1/deckies/web-01", origin).await;
        assert_eq!(asked.problem(), "method-not-allowed", "{origin}");
        assert!(is_closed(&asked), "{origin}: {asked:?}");
        let written = write(&app, "/api/v1/auth/logout", &cookie, origin).await;
        assert_eq!(written.problem(), "cross-site", "{origin}");
        assert!(is_closed(&written), "{origin}: {written:?}");
    }
    // Who is no browser says no origin, and is told nothing of any.
    let program = app.get("/stats").token(&token).send().await;
    assert!(is_closed(&program) && varies_by_origin(&program), "{program:?}");
}

#[tokio::test]
async fn what_is_no_api_stays_closed_to_a_configured_origin() {
    let app = opened(&[CONSOLE]).await;
    app.user("vera", Role::Viewer).await;
    let page = app.page("/login").header(header::ORIGIN, CONSOLE).send().await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(is_closed(&page), "{:?}", page.headers);
    let asked = preflight(&app, "/ui/logout", CONSOLE).await;
    assert!(!asked.status.is_success() && is_closed(&asked), "{asked:?}");
    let cookie = cookie(&app).await;
    let written = write(&app, "/ui/logout", &cookie, CONSOLE).await;
    assert_eq!(written.problem(), "cross-site");
    assert!(is_closed(&written), "{written:?}");
}

#[tokio::test]
async fn where_no_origin_is_configured_nothing_is_told_of_any() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let cookie = cookie(&app).await;
    for origin in OTHERS.iter().chain([&CONSOLE]) {
        let read = app.get("/stats").token(&token).header(header::ORIGIN, origin);
        let read = read.send().await;
        assert!(is_closed(&read) && !varies_by_origin(&read), "{origin}: {read:?}");
        let asked = preflight(&app, "/api/v1/deckies/web-01", origin).await;
        assert_eq!(asked.problem(), "method-not-allowed", "{origin}");
        let written = write(&app, "/api/v1/auth/logout", &cookie, origin).await;
        assert_eq!(written.problem(), "cross-site", "{origin}");
    }
}
