//! What every answer carries and every request is checked for.

use axum::{
    body::Body,
    http::{HeaderName, Method, StatusCode, header},
};
use decnet_domain::Options;
use decnet_model::state::Role;
use serde_json::json;

use crate::app::{App, PASSWORD};

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_an_id() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    for path in [
        "/stats",
        "/nowhere",
        "/users",
        "/api/v1/openapi.json",
        "/api/else",
    ] {
        let answer = app.get(path).token(&token).send().await;
        let has = |name: &str| {
            answer
                .headers
                .get(name)
                .unwrap_or_else(|| panic!("{path}: no {name}"))
                .to_str()
                .unwrap()
        };
        assert_eq!(has("x-content-type-options"), "nosniff");
        assert_eq!(has("referrer-policy"), "same-origin");
        assert!(has("content-security-policy").contains("default-src 'none'"));
        assert!(has("content-security-policy").contains("frame-ancestors 'none'"));
        assert!(!has("content-security-policy").contains("unsafe-inline"));
        assert_eq!(has("cache-control"), "no-store");
        assert!(has("x-request-id").parse::<uuid::Uuid>().is_ok());
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    let sent = app
        .get("/stats")
        .header(HeaderName::from_static("x-request-id"), "mine")
        .send()
        .await;
    assert_ne!(
        sent.headers["x-request-id"], "mine",
        "a client's text does not get into the log"
    );
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let app = App::new().await;
    assert_eq!(app.get("/nowhere").send().await.problem(), "not-found");
    for path in [
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/logs",
        "/api/v1/logs/1/2",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = app.at(method, path).send().await;
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (StatusCode::NOT_FOUND, "not-found")
            );
        }
    }
    for (method, path, allowed) in [
        (Method::PATCH, "/logs", "GET,HEAD"),
        (Method::DELETE, "/users", "GET,HEAD,POST"),
        (Method::GET, "/auth/login", "POST"),
        (Method::OPTIONS, "/deckies/web-01", "DELETE"),
    ] {
        let answer = app.ask(method, path).send().await;
        assert_eq!(answer.problem(), "method-not-allowed", "{path}");
        let mut methods: Vec<_> = answer.headers[header::ALLOW]
            .to_str()
            .unwrap()
            .split(',')
            .collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let app = App::new().await;
    let large = "x".repeat(decnet_server::http::MAX_BODY + 1);
    let said = app
        .ask(Method::POST, "/auth/login")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, &large.len().to_string())
        .body(large.clone());
    assert_eq!(said.send().await.problem(), "too-large");
    let chunks = futures::stream::iter(
        large
            .into_bytes()
            .chunks(65_536)
            .map(|c| Ok::<_, std::io::Error>(c.to_vec()))
            .collect::<Vec<_>>(),
    );
    let unsaid = app
        .ask(Method::POST, "/auth/login")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from_stream(chunks));
    let answer = unsaid.send().await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "too-large")
    );
}

#[tokio::test]
async fn a_change_from_another_site_is_refused_even_with_the_cookie() {
    let app = App::new().await;
    app.user("vera", Role::Viewer).await;
    let login = app.login("vera", PASSWORD).send().await;
    let cookie = login.headers[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let site = HeaderName::from_static("sec-fetch-site");
    let logout = || {
        app.post("/auth/logout", &json!({}))
            .header(header::COOKIE, &cookie)
    };
    assert_eq!(
        logout().header(site.clone(), "cross-site").send().await.problem(),
        "cross-site"
    );
    assert_eq!(
        logout().header(site.clone(), "same-site").send().await.problem(),
        "cross-site"
    );
    assert_eq!(
        logout()
            .header(header::ORIGIN, "http://evil.test")
            .send()
            .await
            .problem(),
        "cross-site"
    );
    let own = logout()
        .header(header::ORIGIN, "http://decnet.test:8080")
        .header(site, "same-origin")
        .send()
        .await;
    assert_eq!(own.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_stranger_cannot_dodge_its_limit_by_naming_other_addresses() {
    let app = App::new().await;
    let forwarded = HeaderName::from_static("x-forwarded-for");
    for n in 0..10 {
        app.login("vera", "wrong-password-1")
            .header(forwarded.clone(), &format!("203.0.113.{n}"))
            .send()
            .await;
    }
    let eleventh = app
        .login("other", "wrong-password-1")
        .header(forwarded.clone(), "203.0.113.99")
        .send()
        .await;
    assert_eq!(eleventh.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn behind_a_named_proxy_each_client_has_its_own_limit() {
    let app = App::with(Options::default(), |c| {
        c.trusted_proxies = vec!["198.51.100.1/32".parse().unwrap()]
    })
    .await;
    let forwarded = HeaderName::from_static("x-forwarded-for");
    let attempt = |n: u8, made_up: &str| {
        app.login(&format!("user-{n}"), "wrong-password-1")
            .header(forwarded.clone(), &format!("{made_up}203.0.113.7"))
    };
    for n in 0..10 {
        assert_eq!(
            attempt(n, "6.6.6.6, ").send().await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(
        attempt(11, "7.7.7.7, ").send().await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    let other = app
        .login("someone", "wrong-password-1")
        .header(forwarded.clone(), "203.0.113.8")
        .send()
        .await;
    assert_eq!(other.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_flood_is_slowed_down_and_a_session_beside_it_is_not() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let mut limited = None;
    for n in 0..3_000 {
        // A made-up token buys no limit of its own.
        let answer = app.get("/nowhere").token(&format!("{token}{n}")).send().await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.expect("three thousand requests and no limit");
    assert_eq!(limited.problem(), "too-many-requests");
    assert!(limited.headers.contains_key(header::RETRY_AFTER));
    for _ in 0..50 {
        let answer = app.get("/auth/me").token(&token).send().await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_fault_of_ours_tells_the_client_an_id_and_nothing_else() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    app.get("/auth/me").token(&token).send().await;
    app.store.close().await;
    let answer = app.get("/logs").token(&token).send().await;
    assert!(answer.status.is_server_error(), "{answer:?}");
    answer.problem();
    let problem = answer.json();
    assert!(
        problem["error_id"]
            .as_str()
            .unwrap()
            .parse::<uuid::Uuid>()
            .is_ok()
    );
    assert!(
        !answer.text.contains("pool") && !answer.text.contains("sql"),
        "{}",
        answer.text
    );
    assert!(!answer.headers.contains_key("x-decnet-causes"));
}
