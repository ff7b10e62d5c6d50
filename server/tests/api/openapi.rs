//! The API's description is checked in: a change of the API is a change of `openapi.json`, seen in review.

use axum::http::StatusCode;

use crate::app::App;

#[test]
fn the_description_that_is_checked_in_is_the_present_one() {
    let mut now = serde_json::to_string_pretty(&decnet_server::api::document()).unwrap();
    now.push('\n');
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let then = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        now == then,
        "the API changed: run this test with UPDATE_OPENAPI=1 and look at the difference of openapi.json"
    );
}

#[tokio::test]
async fn the_description_is_served_and_names_no_roles() {
    let app = App::new().await;
    let answer = app.get("/openapi.json").send().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["openapi"], "3.1.0");
    assert!(!answer.text.contains("evidence.view") && !answer.text.contains("\"x-role"));
    for (path, methods) in answer.json()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert!(
                problem.is_object(),
                "{method} {path} does not describe its errors"
            );
        }
    }
}
