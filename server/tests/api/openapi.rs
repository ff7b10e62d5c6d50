//! The API's description is checked in: a change of the API is a change of `openapi.json`, seen in review.

use axum::http::StatusCode;
use serde_json::{Value, json};

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
    let document = answer.json();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            for (status, declared) in operation["responses"].as_object().unwrap() {
                let shared = declared["$ref"]
                    .as_str()
                    .map(|at| document.pointer(at.trim_start_matches('#')).cloned());
                let refusal =
                    shared.map_or_else(|| declared.clone(), |found| found.expect("a dangling reference"));
                let problem = &refusal["content"]["application/problem+json"];
                assert_eq!(
                    problem.is_object(),
                    status.as_str() >= "400",
                    "{method} {path} {status}"
                );
            }
            for always in ["401", "403", "429", "500", "503", "504"] {
                assert!(
                    operation["responses"][always].is_object(),
                    "{method} {path} {always}"
                );
            }
        }
    }
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    fn walk(document: &Value, part: &Value) {
        match part {
            Value::Object(fields) => {
                if let Some(at) = fields.get("$ref") {
                    let at = at.as_str().unwrap();
                    let found = document.pointer(at.trim_start_matches('#'));
                    assert!(found.is_some(), "{at} is nowhere");
                }
                fields.values().for_each(|field| walk(document, field));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
            _ => {}
        }
    }
    let document = decnet_server::api::document();
    walk(&document, &document);
    // Words of a closed list are those that are sent, not the names of them in the program.
    assert_eq!(
        document["components"]["schemas"]["Role"]["enum"],
        json!(["viewer", "admin"])
    );
}
