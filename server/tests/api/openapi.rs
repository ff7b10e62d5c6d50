//! The API's description is checked in: a change of the API is a change of `openapi.json`, seen in review.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{app::App, breaks::breaks};

/// Has the checked-in description be the present one: `1` where nothing breaks a client, and `breaking` where something does and that is meant.
const UPDATE: &str = "UPDATE_OPENAPI";

#[test]
fn the_description_that_is_checked_in_is_the_present_one() {
    let document = decnet_server::api::document();
    let mut now = serde_json::to_string_pretty(&document).unwrap();
    now.push('\n');
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let then = std::fs::read_to_string(path).unwrap();
    if now == then {
        return;
    }
    let broken = breaks(&serde_json::from_str(&then).unwrap(), &document);
    let update = std::env::var(UPDATE).unwrap_or_default();
    if update == "breaking" || update == "1" && broken.is_empty() {
        std::fs::write(path, &now).unwrap();
        return;
    }
    assert!(
        broken.is_empty(),
        "clients that were written by openapi.json would break:\n- {}\nWhere that is meant, run this test with {UPDATE}=breaking, and \
         tell it in CHANGELOG.md",
        broken.join("\n- ")
    );
    panic!(
        "the API has something new, which breaks no client: run this test with {UPDATE}=1 and look at the difference of openapi.json"
    );
}

/// The lists and files of the API: path, and the names of what they take in the query.
fn lists() -> Vec<(String, Vec<String>)> {
    let document = decnet_server::api::document();
    let paths = document["paths"].as_object().unwrap();
    let lists = paths.iter().filter_map(|(path, methods)| {
        let parameters = methods["get"]["parameters"].as_array()?.iter();
        let names = parameters.filter(|parameter| parameter["in"] == "query");
        let names = names.map(|parameter| parameter["name"].as_str().unwrap().to_owned());
        Some((path.clone(), names.collect()))
    });
    lists.collect()
}

fn takes(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known == name)
}

#[tokio::test]
async fn every_list_and_file_refuses_what_is_no_cursor_and_a_time_that_does_not_end_after_it_begins() {
    let app = App::new().await;
    let admin = app.admin().await;
    let fields = [("src_ip", "192.0.2.1"), ("command", "id")];
    app.ingest("web-01", &fields, "command").await;
    let attacker = decnet_db::meaning::attacker_id("192.0.2.1".parse().unwrap()).to_string();
    let (mut cursors, mut spans) = (0, 0);
    for (path, names) in lists() {
        let path = path.replace("{id}", &attacker);
        if takes(&names, "before") {
            cursors += 1;
            for cursor in [
                "",
                "null",
                "0",
                "i",
                "i%2B1",
                "i1x",
                "i1000000000000000000",
                "p1",
                "p1.x",
                "r1",
                "r1.2a",
                "i1;",
                "%00",
            ] {
                let answer = app
                    .get(&format!("{path}?before={cursor}"))
                    .token(&admin)
                    .send()
                    .await;
                assert_eq!(answer.fields(), ["before"], "{path} {cursor:?}");
            }
        }
        if takes(&names, "start_time") && takes(&names, "end_time") {
            spans += 1;
            for (start, end) in [
                ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z"),
                ("2000-01-02T00:00:00Z", "2000-01-01T00:00:00Z"),
            ] {
                let asked = format!("{path}?start_time={start}&end_time={end}");
                let answer = app.get(&asked).token(&admin).send().await;
                assert_eq!(answer.fields(), ["end_time"], "{path} {start} {end}");
            }
        }
    }
    assert!(
        cursors >= 14 && spans >= 11,
        "{cursors} lists with a cursor, {spans} with a time"
    );
}

#[test]
fn the_contract_knows_of_every_route_whose_time_has_to_end_after_it_begins() {
    let known = include_str!("../schemathesis.toml");
    for (path, names) in lists() {
        if takes(&names, "start_time") && takes(&names, "end_time") {
            let operation = format!("include-name = \"GET {path}\"");
            assert!(
                known.contains(&operation),
                "server/tests/schemathesis.toml has no {operation}"
            );
        }
    }
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
