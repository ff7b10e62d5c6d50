//! Every route, walked without a session, as a viewer, with an API token, and by who has to choose a password first.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode, header};
use decnet_model::state::Role;
use serde_json::{Value, json};

use crate::app::{Answer, App, PASSWORD, token};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nobody,
    Somebody,
    /// Somebody in a session: no API token.
    Person,
    Viewer,
    Admin,
    /// An administrator in a session: no API token.
    Keeper,
}
use Needs::{Admin, Keeper, Nobody, Person, Somebody, Viewer};

/// What every route needs. A route that is not in this table fails the walk: that is what it is for.
const TABLE: &[(&str, &str, Needs)] = &[
    ("post", "/auth/login", Nobody),
    ("post", "/auth/second-factor", Nobody),
    ("post", "/auth/logout", Person),
    ("get", "/auth/totp", Person),
    ("post", "/auth/totp", Person),
    ("post", "/auth/totp/confirm", Person),
    ("post", "/auth/totp/recovery-codes", Person),
    ("post", "/auth/totp/disable", Person),
    ("delete", "/users/{id}/totp", Keeper),
    ("post", "/auth/change-password", Person),
    ("get", "/auth/me", Somebody),
    ("get", "/auth/sessions", Person),
    ("get", "/auth/sessions/export", Person),
    ("delete", "/auth/sessions", Person),
    ("delete", "/auth/sessions/{id}", Person),
    ("delete", "/users/{id}/sessions", Keeper),
    ("get", "/auth/tokens", Person),
    ("get", "/auth/tokens/export", Person),
    ("post", "/auth/tokens", Person),
    ("delete", "/auth/tokens/{id}", Person),
    ("get", "/tokens", Keeper),
    ("get", "/tokens/export", Keeper),
    ("delete", "/tokens/{id}", Keeper),
    ("get", "/users", Keeper),
    ("get", "/users/export", Keeper),
    ("post", "/users", Keeper),
    ("put", "/users/{id}/role", Keeper),
    ("put", "/users/{id}/reset-password", Keeper),
    ("put", "/users/{id}/disabled", Keeper),
    ("delete", "/users/{id}", Keeper),
    ("get", "/stats", Viewer),
    ("get", "/tops", Viewer),
    ("get", "/logs", Viewer),
    ("get", "/logs/histogram", Viewer),
    ("get", "/logs/{id}", Viewer),
    ("get", "/attackers", Viewer),
    ("get", "/attackers/{id}", Viewer),
    ("get", "/attackers/{id}/commands", Viewer),
    ("get", "/attackers/{id}/logs", Viewer),
    ("get", "/attackers/{id}/traversal", Viewer),
    ("get", "/bounty", Viewer),
    ("get", "/bounty/export", Viewer),
    ("get", "/bounty/{id}", Viewer),
    ("get", "/bounty/wordlist", Viewer),
    ("get", "/bounty/hashcat", Viewer),
    ("get", "/credential-reuse", Viewer),
    ("get", "/credential-reuse/export", Viewer),
    ("get", "/credential-reuse/{id}", Viewer),
    ("get", "/alerts", Viewer),
    ("get", "/logs/export", Viewer),
    ("get", "/attackers/export", Viewer),
    ("get", "/attackers/{id}/commands/export", Viewer),
    ("get", "/fleet/export", Viewer),
    ("get", "/audit/export", Admin),
    ("get", "/quarantine", Admin),
    ("get", "/quarantine/export", Admin),
    ("get", "/deckies", Viewer),
    ("post", "/deckies/deploy", Admin),
    ("delete", "/deckies/{name}", Admin),
    ("post", "/deckies/{name}/redeploy", Admin),
    ("post", "/deckies/{name}/stop", Admin),
    ("post", "/deckies/{name}/start", Admin),
    ("post", "/deckies/reap-orphans", Admin),
    ("post", "/deckies/{name}/mutate", Admin),
    ("put", "/deckies/{name}/mutate-interval", Admin),
    ("delete", "/deckies/{name}/quarantine", Admin),
    ("get", "/archetypes", Viewer),
    ("get", "/services", Viewer),
    ("get", "/fleet/network", Viewer),
    ("get", "/tasks", Viewer),
    ("get", "/tasks/export", Viewer),
    ("get", "/tasks/{id}", Viewer),
    ("get", "/workers", Viewer),
    ("get", "/workers/export", Viewer),
    ("post", "/workers/{name}/stop", Admin),
    ("post", "/workers/{name}/start", Admin),
    ("post", "/workers/start-all", Admin),
    ("delete", "/workers/{name}/quarantine", Admin),
    ("get", "/health", Nobody),
    ("get", "/audit", Admin),
    ("get", "/config", Viewer),
    ("put", "/config/deployment-limit", Admin),
    ("put", "/config/global-mutation-interval", Admin),
    ("put", "/config/retention", Admin),
    ("put", "/config/session-lifetime", Admin),
    ("post", "/config/ignore-rules", Admin),
    ("get", "/config/ignore-rules/export", Viewer),
    ("delete", "/config/ignore-rules/{id}", Admin),
    ("delete", "/config/reinit", Keeper),
    ("get", "/stream", Viewer),
];

/// What every server function of the dashboard needs, with arguments that it can read. One that is not in this table
/// fails the walk too.
const FUNCTIONS: &[(&str, Needs, &str)] = &[
    ("who", Nobody, ""),
    ("login", Nobody, "username=a&password=b&next="),
    ("logout", Nobody, ""),
    ("password_change", Somebody, "old=a&new=b&again=b"),
    (
        "overview_get",
        Viewer,
        r#"{"rows":{},"start_s":1700000000,"step":1440}"#,
    ),
    ("tops_get", Viewer, r#"{"rows":{}}"#),
    ("snapshot", Viewer, "{}"),
    ("log_page", Viewer, r#"{"query":{}}"#),
    ("log_get", Viewer, r#"{"id":1}"#),
    ("day_get", Viewer, "{}"),
    ("log_histogram", Viewer, r#"{"query":{}}"#),
    ("stats_get", Viewer, ""),
    ("quarantine_page", Admin, r#"{"query":{}}"#),
    ("attacker_page", Viewer, r#"{"query":{}}"#),
    (
        "attacker_get",
        Viewer,
        r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057"}"#,
    ),
    (
        "dossier_get",
        Viewer,
        r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","rows":{}}"#,
    ),
    (
        "left_get",
        Viewer,
        r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","rows":{}}"#,
    ),
    ("deckies_seen", Viewer, ""),
    ("decky_list", Viewer, ""),
    ("decky_traffic", Viewer, ""),
    ("decky_open_sessions", Admin, r#"{"names":["web-01"]}"#),
    ("deploy_choices", Viewer, ""),
    ("service_list", Viewer, ""),
    ("task_list", Viewer, ""),
    (
        "task_get",
        Viewer,
        r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057"}"#,
    ),
    ("deploy", Admin, "form[archetype]=x&form[amount]=1"),
    ("teardown", Admin, "names=web-01"),
    ("mutate", Admin, "names=web-01"),
    ("redeploy", Admin, "names=web-01"),
    ("decky_stop", Admin, "names=web-01"),
    ("decky_start", Admin, "names=web-01"),
    (
        "deploy_preview",
        Viewer,
        r#"{"form":{"archetype":"x","amount":"1","name":"","seed":"","interval":""}}"#,
    ),
    (
        "description_make",
        Viewer,
        r#"{"form":{"archetype":"web-server","amount":"1"}}"#,
    ),
    ("description_deploy", Admin, "text=%5Bweb%5D"),
    ("description_preview", Viewer, r#"{"text":"[web]"}"#),
    ("interval_set", Admin, "name=web-01&minutes=5"),
    ("quarantine_clear", Admin, "name=web-01"),
    ("bounty_page", Viewer, r#"{"query":{}}"#),
    ("bounty_get", Viewer, r#"{"id":1}"#),
    ("elsewhere_get", Viewer, r#"{"bounty":1}"#),
    ("reuse_page", Viewer, r#"{"query":{}}"#),
    ("reuse_get", Viewer, r#"{"id":1}"#),
    (
        "user_access",
        Admin,
        r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057"}"#,
    ),
    ("retention_preview", Admin, r#"{"days":"30"}"#),
    ("alert_list", Viewer, "{}"),
    ("worker_list", Viewer, "{}"),
    ("health_get", Viewer, "{}"),
    ("worker_stop", Admin, "name=profiler"),
    ("worker_start", Admin, "name=profiler"),
    ("worker_start_all", Admin, ""),
    ("worker_clear", Admin, "name=profiler"),
    ("login_code", Nobody, "code=123456&next="),
    ("access_list", Viewer, "{}"),
    ("session_end", Viewer, "id=01890a5d-ac96-774b-bcce-b302099a8057"),
    ("session_end_others", Viewer, ""),
    ("token_create", Viewer, "name=x&role=viewer&days=1"),
    ("token_revoke", Viewer, "id=01890a5d-ac96-774b-bcce-b302099a8057"),
    ("second_factor_get", Viewer, "{}"),
    ("second_factor_begin", Viewer, ""),
    ("second_factor_confirm", Viewer, "code=123456"),
    ("second_factor_disable", Viewer, "password=x&code=123456"),
    ("recovery_codes_renew", Viewer, "code=123456"),
    ("config_get", Viewer, "{}"),
    ("setting_change", Admin, "name=retention-days&value=30"),
    (
        "ignore_rule_create",
        Admin,
        "network=&decky=web-01&service=&event_type=&note=",
    ),
    (
        "ignore_rule_delete",
        Admin,
        "id=01890a5d-ac96-774b-bcce-b302099a8057",
    ),
    ("reinitialise", Admin, "confirm=no"),
    ("user_list", Admin, "{}"),
    ("user_create", Admin, "username=eve&password=x&role=viewer"),
    (
        "user_set_role",
        Admin,
        "id=01890a5d-ac96-774b-bcce-b302099a8057&role=viewer",
    ),
    (
        "user_reset_password",
        Admin,
        "id=01890a5d-ac96-774b-bcce-b302099a8057&password=x",
    ),
    (
        "user_set_disabled",
        Admin,
        "id=01890a5d-ac96-774b-bcce-b302099a8057&disabled=true",
    ),
    (
        "user_second_factor_reset",
        Admin,
        "id=01890a5d-ac96-774b-bcce-b302099a8057",
    ),
    (
        "user_sessions_end",
        Admin,
        "id=01890a5d-ac96-774b-bcce-b302099a8057",
    ),
    (
        "user_delete",
        Admin,
        "id=01890a5d-ac96-774b-bcce-b302099a8057&name=eve&confirm=eve",
    ),
    ("token_list_all", Admin, "{}"),
    ("tokens_end", Admin, "ids=01890a5d-ac96-774b-bcce-b302099a8057"),
    ("audit_page", Admin, r#"{"query":{}}"#),
];

fn routes() -> BTreeMap<(String, String), String> {
    let document = decnet_server::api::document();
    let mut routes = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let short = path.strip_prefix("/api/v1").unwrap();
            let id = if short.starts_with("/logs") {
                "1"
            } else {
                "01890a5d-ac96-774b-bcce-b302099a8057"
            };
            let filled = path.replace("{id}", id).replace("{name}", "web-01");
            routes.insert((method.clone(), short.to_owned()), filled);
        }
    }
    routes
}

fn needs(method: &str, path: &str) -> Needs {
    let row = TABLE.iter().find(|(m, p, _)| *m == method && *p == path);
    row.unwrap_or_else(|| panic!("{method} {path} is not in the table of roles"))
        .2
}

#[tokio::test]
async fn without_a_session_every_route_is_closed_but_the_login_and_the_health() {
    let app = App::new().await;
    for ((method, path), uri) in routes() {
        let method_ = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let answer = app.ask(method_, &uri).json(&Value::Null).send().await;
        match needs(&method, &path) {
            Nobody => assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}"),
            _ => assert_eq!(answer.problem(), "unauthenticated", "{method} {path}"),
        }
    }
    assert_eq!(
        routes().len(),
        TABLE.len(),
        "the table has a route that is no more"
    );
}

#[tokio::test]
async fn a_viewer_is_refused_what_only_an_admin_may_and_nothing_else() {
    let app = App::new().await;
    let (_, viewer) = app.user("vera", Role::Viewer).await;
    for ((method, path), uri) in routes() {
        if path == "/auth/logout" {
            continue;
        }
        let method_ = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        // The stream's answer has no end: its head is enough.
        let (parts, body) = app
            .ask(method_, &uri)
            .token(&viewer)
            .json(&json!({}))
            .open()
            .await
            .into_parts();
        drop(body);
        let refused = parts.status == StatusCode::FORBIDDEN || parts.status == StatusCode::UNAUTHORIZED;
        assert_eq!(
            refused,
            matches!(needs(&method, &path), Admin | Keeper),
            "{method} {path}: {}",
            parts.status
        );
    }
}

/// What an administrator may call whose password has to be changed first, beside what anybody may.
const UNTIL_CHANGED: &[&str] = &["/auth/me", "/auth/change-password", "/auth/logout"];

#[tokio::test]
async fn until_the_password_is_changed_every_route_is_closed_but_that_and_ones_own_name() {
    let app = App::new().await;
    app.fresh_user("root", Role::Admin).await;
    let first = token(&app.login("root", &format!("{PASSWORD}-0")).send().await);
    // What ends the session comes last.
    let (last, others): (Vec<_>, Vec<_>) = routes()
        .into_iter()
        .partition(|((_, path), _)| path == "/auth/logout");
    for ((method, path), uri) in others.into_iter().chain(last) {
        let method_ = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let ask = app.ask(method_, &uri).token(&first).json(&json!({}));
        if needs(&method, &path) == Nobody || UNTIL_CHANGED.contains(&path.as_str()) {
            let status = ask.open().await.status();
            assert_ne!(status, StatusCode::FORBIDDEN, "{method} {path}");
        } else {
            let answer = ask.send().await;
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (StatusCode::FORBIDDEN, "password-change-required"),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn an_administrators_api_token_is_refused_what_is_for_persons_and_nothing_else() {
    let app = App::new().await;
    let session = app.admin().await;
    let new = json!({ "name": "all", "role": "admin" });
    let made = app.post("/auth/tokens", &new).token(&session).send().await;
    let token = made.json()["token"].as_str().unwrap().to_owned();
    for ((method, path), uri) in routes() {
        let method_ = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let answer = app.ask(method_, &uri).token(&token).json(&json!({})).open().await;
        let refused = answer.status() == StatusCode::FORBIDDEN || answer.status() == StatusCode::UNAUTHORIZED;
        assert_eq!(
            refused,
            matches!(needs(&method, &path), Person | Keeper),
            "{method} {path}: {}",
            answer.status()
        );
    }
}

/// Call a server function; the answer's text has the kind of fault.
async fn call(app: &App, name: &str, body: &str, token: Option<&str>) -> String {
    answer(app, name, body, token).await.text
}

async fn answer(app: &App, name: &str, body: &str, token: Option<&str>) -> Answer {
    let kind = if body.starts_with('{') {
        "application/json"
    } else {
        "application/x-www-form-urlencoded"
    };
    let ask = app
        .ask(Method::POST, &format!("/ui/{name}"))
        .header(header::CONTENT_TYPE, kind)
        .body(body.to_owned());
    let ask = match token {
        Some(token) => ask.token(token),
        None => ask,
    };
    ask.send().await
}

#[tokio::test]
async fn every_server_function_is_closed_to_whom_it_is_not_for() {
    let app = App::new().await;
    let registered: BTreeSet<String> = leptos::server_fn::axum::server_fn_paths()
        .map(|(path, _)| path.to_owned())
        .collect();
    let walked: BTreeSet<String> = FUNCTIONS.iter().map(|(name, ..)| format!("/ui/{name}")).collect();
    assert_eq!(
        registered, walked,
        "the table of server functions is not the list of them"
    );
    let (_, viewer) = app.user("vera", Role::Viewer).await;
    app.fresh_user("root", Role::Admin).await;
    let first = token(&app.login("root", &format!("{PASSWORD}-0")).send().await);
    for (name, needs, body) in FUNCTIONS {
        // Without a session, and before the password is chosen, what arguments a function takes is not told either.
        for (token, status, kind) in [
            (None, StatusCode::UNAUTHORIZED, "SignedOut"),
            (Some(first.as_str()), StatusCode::FORBIDDEN, "PasswordChange"),
        ] {
            let open = *needs == Nobody || token.is_some() && *name == "password_change";
            for body in ["", "{", body].into_iter().filter(|_| !open) {
                let refused = answer(&app, name, body, token).await;
                assert_eq!(
                    (refused.status, refused.json()["kind"].as_str()),
                    (status, Some(kind)),
                    "{name} {body:?}: {refused:?}"
                );
                assert_eq!(refused.json()["fields"], json!([]), "{name} {body:?}");
            }
        }
        let anonymous = call(&app, name, body, None).await;
        assert_eq!(
            anonymous.contains("SignedOut"),
            *needs != Nobody,
            "{name}: {anonymous}"
        );
        if *name == "logout" {
            continue;
        }
        let by_viewer = call(&app, name, body, Some(&viewer)).await;
        assert_eq!(
            by_viewer.contains("\"Forbidden\""),
            *needs == Admin,
            "{name}: {by_viewer}"
        );
    }
}
