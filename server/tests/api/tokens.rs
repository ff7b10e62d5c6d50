//! API tokens: made, used, and ended.

use axum::http::{Method, StatusCode, header};
use decnet_domain::{Actor, DomainError, Source, TokenRequest};
use decnet_model::{
    permission::{ManageUsers, ViewAudit},
    query::AuditQuery,
    state::Role,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::app::{Answer, App, PASSWORD, token};

async fn make(app: &App, session: &str, name: &str, role: &str) -> Answer {
    let new = json!({ "name": name, "role": role, "expires_in_days": 30 });
    app.post("/auth/tokens", &new).token(session).send().await
}

/// The token's text and its id.
fn made(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let made = answer.json();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    (text(&made["token"]), text(&made["details"]["id"]))
}

#[tokio::test]
async fn a_token_opens_what_its_role_does_and_its_text_is_shown_once() {
    let app = App::new().await;
    let admin = app.admin().await;
    let answer = make(&app, &admin, "read only", "viewer").await;
    let (text, id) = made(&answer);
    assert!(text.starts_with("dnt_") && text.len() == 47, "{text}");
    assert_eq!(app.get("/stats").token(&text).send().await.status, StatusCode::OK);
    assert_eq!(app.get("/audit").token(&text).send().await.problem(), "forbidden");
    let me = app.get("/auth/me").token(&text).send().await.json();
    assert_eq!(
        (me["username"].as_str(), me["role"].as_str()),
        (Some("root"), Some("viewer"))
    );

    let (power, _) = made(&make(&app, &admin, "power", "admin").await);
    assert_eq!(
        app.get("/audit").token(&power).send().await.status,
        StatusCode::OK
    );

    let list = app.get("/auth/tokens").token(&admin).send().await;
    let first = list.json()[1].clone();
    assert_eq!(
        (first["name"].as_str(), first["id"].as_str()),
        (Some("read only"), Some(id.as_str()))
    );
    assert_eq!(first["last_used_at"], "2027-01-15T08:00:00Z");
    assert!(
        !list.text.contains("dnt_") && !list.text.contains("digest"),
        "{}",
        list.text
    );
    let audit = app.get("/audit").token(&admin).send().await;
    assert!(
        audit.text.contains("root/read only") && !audit.text.contains("dnt_"),
        "{}",
        audit.text
    );
    assert!(audit.text.contains("\"token.create\""), "{}", audit.text);
}

#[tokio::test]
async fn a_token_makes_no_tokens_and_touches_no_account() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (text, id) = made(&make(&app, &admin, "power", "admin").await);
    let (user, _) = app.user("vera", Role::Viewer).await;
    let change = json!({ "old_password": PASSWORD, "new_password": format!("{PASSWORD}-2") });
    let asks = [
        app.post("/auth/tokens", &json!({ "name": "more" })),
        app.get("/auth/tokens"),
        app.ask(Method::DELETE, &format!("/auth/tokens/{id}")),
        app.get("/tokens"),
        app.ask(Method::DELETE, &format!("/tokens/{id}")),
        app.post("/auth/change-password", &change),
        app.post("/auth/logout", &json!({})),
        app.get("/users"),
        app.post(
            "/users",
            &json!({ "username": "eve", "password": PASSWORD, "role": "admin" }),
        ),
        app.put(
            &format!("/users/{}/reset-password", user.id),
            &json!({ "new_password": PASSWORD }),
        ),
        app.put(&format!("/users/{}/role", user.id), &json!({ "role": "admin" })),
        app.ask(Method::DELETE, &format!("/users/{}", user.id)),
    ];
    for ask in asks {
        let answer = ask.token(&text).send().await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::FORBIDDEN, "session-required")
        );
    }
    let users = app.get("/users").token(&admin).send().await.json();
    assert_eq!(users.as_array().unwrap().len(), 2, "{users}");
    assert_eq!(app.get("/stats").token(&text).send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_comes_in_the_authorization_header_and_nowhere_else() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (text, _) = made(&make(&app, &admin, "feed", "viewer").await);
    let asks = [
        app.get("/stats")
            .header(header::COOKIE, &format!("decnet_session={text}")),
        app.get("/stats").header(header::AUTHORIZATION, &text),
        app.get("/stats")
            .header(header::AUTHORIZATION, &format!("Basic {text}")),
        app.get("/stats")
            .header(header::AUTHORIZATION, &format!("Token {text}")),
        app.get("/stats")
            .header(axum::http::HeaderName::from_static("x-api-key"), &text),
        app.get(&format!("/stats?token={text}")),
        app.get(&format!("/stats?access_token={text}")),
    ];
    for ask in asks {
        assert_eq!(ask.send().await.problem(), "unauthenticated");
    }
}

#[tokio::test]
async fn a_revoked_token_ends_at_once_and_with_it_its_stream() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (_, vera) = app.user("vera", Role::Viewer).await;
    let (text, id) = made(&make(&app, &vera, "feed", "viewer").await);
    let (other, other_id) = made(&make(&app, &vera, "other", "viewer").await);
    let mut stream = crate::stream::Stream::open(&app, &text, None).await;
    stream.wait_for("snapshot").await;

    let (_, mallory) = app.user("mallory", Role::Viewer).await;
    let path = format!("/auth/tokens/{id}");
    let others = app.ask(Method::DELETE, &path).token(&mallory).send().await;
    assert_eq!(others.problem(), "not-found");
    assert_eq!(app.get("/stats").token(&text).send().await.status, StatusCode::OK);

    let done = app.ask(Method::DELETE, &path).token(&vera).send().await;
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    assert_eq!(
        app.get("/stats").token(&text).send().await.problem(),
        "unauthenticated"
    );
    tokio::time::timeout(std::time::Duration::from_secs(1), stream.ends())
        .await
        .expect("the stream goes on");
    assert_eq!(
        app.get("/stats").token(&other).send().await.status,
        StatusCode::OK
    );

    let all = app.get("/tokens").token(&admin).send().await.json();
    assert_eq!(
        (all.as_array().unwrap().len(), all[0]["owner"].as_str()),
        (1, Some("vera"))
    );
    let path = format!("/tokens/{other_id}");
    let done = app.ask(Method::DELETE, &path).token(&admin).send().await;
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    assert_eq!(
        app.get("/stats").token(&other).send().await.problem(),
        "unauthenticated"
    );
    assert_eq!(
        app.ask(Method::DELETE, &path)
            .token(&admin)
            .send()
            .await
            .problem(),
        "not-found"
    );
}

#[tokio::test]
async fn a_token_shrinks_and_ends_with_its_owner() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (ann, session) = app.user("ann", Role::Admin).await;
    let (text, _) = made(&make(&app, &session, "power", "admin").await);
    let audit = || app.get("/audit").token(&text);
    // In the cache now: each change has to drop it.
    assert_eq!(audit().send().await.status, StatusCode::OK);
    let role = |role: &str| {
        app.put(&format!("/users/{}/role", ann.id), &json!({ "role": role }))
            .token(&admin)
    };
    assert!(role("viewer").send().await.status.is_success());
    assert_eq!(audit().send().await.problem(), "forbidden");
    assert_eq!(app.get("/stats").token(&text).send().await.status, StatusCode::OK);
    assert!(role("admin").send().await.status.is_success());
    assert_eq!(audit().send().await.status, StatusCode::OK);

    let reset = json!({ "new_password": format!("{PASSWORD}-9") });
    let path = format!("/users/{}/reset-password", ann.id);
    assert!(
        app.put(&path, &reset)
            .token(&admin)
            .send()
            .await
            .status
            .is_success()
    );
    assert_eq!(audit().send().await.problem(), "password-change-required");

    let disable = |disabled: bool| {
        let path = format!("/users/{}/disabled", ann.id);
        app.put(&path, &json!({ "disabled": disabled })).token(&admin)
    };
    assert!(disable(true).send().await.status.is_success());
    assert_eq!(audit().send().await.problem(), "unauthenticated");
    assert!(disable(false).send().await.status.is_success());
    assert_eq!(audit().send().await.problem(), "unauthenticated", "for good");

    let (bob, session) = app.user("bob", Role::Viewer).await;
    let (text, _) = made(&make(&app, &session, "feed", "viewer").await);
    assert_eq!(app.get("/stats").token(&text).send().await.status, StatusCode::OK);
    let gone = app
        .ask(Method::DELETE, &format!("/users/{}", bob.id))
        .token(&admin)
        .send()
        .await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(
        app.get("/stats").token(&text).send().await.problem(),
        "unauthenticated"
    );
}

#[tokio::test]
async fn a_token_ends_by_itself_and_outlives_a_password() {
    let app = App::new().await;
    let (_, session) = app.user("vera", Role::Viewer).await;
    let (text, _) = made(&make(&app, &session, "feed", "viewer").await);
    let change = json!({ "old_password": PASSWORD, "new_password": format!("{PASSWORD}-2") });
    token(
        &app.post("/auth/change-password", &change)
            .token(&session)
            .send()
            .await,
    );
    app.clock
        .advance(time::Duration::days(30) - time::Duration::seconds(1));
    assert_eq!(app.get("/stats").token(&text).send().await.status, StatusCode::OK);
    app.clock.advance(time::Duration::seconds(1));
    assert_eq!(
        app.get("/stats").token(&text).send().await.problem(),
        "unauthenticated"
    );
}

#[tokio::test]
async fn what_a_token_may_not_be_is_told_by_field() {
    let app = App::new().await;
    let (_, session) = app.user("vera", Role::Viewer).await;
    for (new, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": " x" }), "name"),
        (json!({ "name": "a/b" }), "name"),
        (json!({ "name": "x".repeat(65) }), "name"),
        (json!({ "name": "x", "role": "admin" }), "role"),
        (json!({ "name": "x", "role": "root" }), "role"),
        (json!({ "name": "x", "expires_in_days": 0 }), "expires_in_days"),
        (json!({ "name": "x", "expires_in_days": 3651 }), "expires_in_days"),
        (json!({ "name": "x", "expires_in_days": -1 }), "expires_in_days"),
    ] {
        let answer = app.post("/auth/tokens", &new).token(&session).send().await;
        assert_eq!(answer.fields(), [field], "{new}");
    }
    made(&make(&app, &session, "x", "viewer").await);
    assert_eq!(make(&app, &session, "x", "viewer").await.problem(), "conflict");
    for n in 1..50 {
        made(&make(&app, &session, &format!("x{n}"), "viewer").await);
    }
    let one_more = make(&app, &session, "x50", "viewer").await;
    assert!(
        one_more.problem() == "conflict" && one_more.text.contains("50 tokens"),
        "{one_more:?}"
    );
}

#[tokio::test]
async fn only_the_command_line_makes_a_token_for_somebody_else() {
    let app = App::new().await;
    let admin = app.admin().await;
    let vera = app.user("vera", Role::Viewer).await.0;
    let request = |role| TokenRequest {
        name: "feed".parse().unwrap(),
        role,
        days: 1,
    };
    let bearer = app.domain.bearer(&admin).unwrap();
    let actor = app.domain.authenticate(&bearer, Source::default()).await.unwrap();
    let permit = app.domain.permit::<ManageUsers>(&actor).unwrap();
    let refused = app
        .domain
        .token_create_for(&permit, vera.id, request(Role::Viewer))
        .await;
    assert!(
        matches!(refused, Err(DomainError::Forbidden { .. })),
        "{refused:?}"
    );

    let operator = Actor::operator("test");
    let permit = app.domain.permit::<ManageUsers>(&operator).unwrap();
    let more = app
        .domain
        .token_create_for(&permit, vera.id, request(Role::Admin))
        .await;
    assert!(matches!(more, Err(DomainError::Invalid(_))), "{more:?}");
    let made = app
        .domain
        .token_create_for(&permit, vera.id, request(Role::Viewer))
        .await
        .unwrap();
    assert!(!format!("{made:?}").contains("dnt_"), "a token is a secret");
    let text = made.text.expose_secret();
    let me = app.get("/auth/me").token(text).send().await.json();
    assert_eq!(me["username"], "vera");

    // What a token does stands in the audit log under both names.
    app.get("/audit").token(text).send().await;
    let permit = app.domain.permit::<ViewAudit>(&operator).unwrap();
    loop {
        let page = app
            .domain
            .audit_page(&permit, AuditQuery::default())
            .await
            .unwrap();
        if page
            .data
            .iter()
            .any(|e| e.actor == "vera/feed" && e.result == "denied")
        {
            break;
        }
        tokio::task::yield_now().await;
    }
}
