//! The host's health, told whatever fails.

use std::time::Duration;

use axum::http::{StatusCode, header};
use decnet_domain::Options;
use serde_json::{Value, json};

use crate::app::{Answer, App};

/// The health as it is told once `fits` takes it.
async fn until(app: &App, token: Option<&str>, fits: impl Fn(&Answer) -> bool) -> Answer {
    let looking = async {
        loop {
            let ask = app.get("/health");
            let answer = match token {
                Some(token) => ask.token(token),
                None => ask,
            };
            let answer = answer.send().await;
            if fits(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking)
        .await
        .unwrap_or_else(|_| panic!("the health is never told so"))
}

fn database(answer: &Answer) -> Value {
    let told = answer.json();
    let parts = told["components"].as_array().cloned().unwrap_or_default();
    let found = parts.into_iter().find(|part| part["name"] == "database");
    found.map_or(Value::Null, |part| part["status"].clone())
}

#[tokio::test]
async fn a_database_that_is_away_is_told_without_asking_it_and_fails_no_request_as_a_fault_of_ours() {
    let options = Options {
        health_interval: Duration::from_millis(20),
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let (_, token) = app.user("vera", decnet_model::state::Role::Viewer).await;
    until(&app, Some(&token), |answer| database(answer) == "ok").await;

    app.store.close().await;
    let told = until(&app, Some(&token), |answer| database(answer) == "failing").await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    let anybody = app.get("/health").send().await;
    assert_eq!(
        (anybody.status, anybody.json()),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "status": "unhealthy", "components": [] })
        )
    );
    let made_up = app.get("/health").token("a.b.c").send().await;
    assert_eq!(made_up.json()["components"], json!([]));

    let logs = app.get("/logs").token(&token).send().await;
    assert_eq!(
        (logs.status, logs.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    );
    assert_eq!(logs.headers[header::RETRY_AFTER], "5");
}
