//! What a client is told of a request that does not fit: every fault at once, in our own words.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::app::{Answer, App};

/// The faults that a 422 tells, by field.
fn told(answer: &Answer) -> BTreeMap<String, String> {
    let fields = answer.fields();
    let problem = answer.json();
    let messages = problem["errors"].as_array().unwrap().iter();
    let messages = messages.map(|e| e["message"].as_str().unwrap().to_owned());
    fields.into_iter().zip(messages).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(field, message)| ((*field).to_owned(), (*message).to_owned()))
        .collect()
}

#[tokio::test]
async fn every_fault_of_a_body_is_told_at_once() {
    let app = App::new().await;
    let admin = app.admin().await;
    let make = |body: Value| app.post("/users", &body).token(&admin);
    let wrong = json!({ "username": 7, "password": ["x"], "role": "boss", "shell": "/bin/sh" });
    assert_eq!(
        told(&make(wrong).send().await),
        map(&[
            ("username", "text of 2 to 64 characters, not 7"),
            ("password", "text of 12 to 128 characters, not a list"),
            ("role", "one of viewer, admin, not \"boss\""),
            (
                "shell",
                "there is no such field; there are password, role, username"
            ),
        ])
    );
    assert_eq!(
        told(&make(json!({})).send().await),
        map(&[
            ("username", "is needed: text of 2 to 64 characters"),
            ("password", "is needed: text of 12 to 128 characters"),
        ])
    );
    assert_eq!(
        told(&make(json!([1, 2])).send().await),
        map(&[("body", "an object, not a list")])
    );
    let named = told(
        &make(json!({ "username": "No Good", "password": "x".repeat(20) }))
            .send()
            .await,
    );
    assert!(named["username"].contains("2 to 64 of a-z"), "{named:?}");
}

#[tokio::test]
async fn a_fault_deep_in_a_body_is_told_with_its_place() {
    let app = App::new().await;
    let admin = app.admin().await;
    let deploy = |body: Value| app.post("/deckies/deploy", &body).token(&admin);
    let spec = json!({
        "deckies": [
            { "archetype": "linux-server" },
            {
                "amount": "two", "ip": "nowhere", "colour": 1, "mutate_interval_minutes": -5,
                "services": [{ "slug": "ssh", "knobs": [] }, {}]
            }
        ],
        "replace": "yes"
    });
    let faults = told(&deploy(spec).send().await);
    let places: Vec<_> = faults.keys().map(String::as_str).collect();
    assert_eq!(
        places,
        [
            "deckies[1].amount",
            "deckies[1].colour",
            "deckies[1].ip",
            "deckies[1].mutate_interval_minutes",
            "deckies[1].services[0].knobs",
            "deckies[1].services[1].slug",
            "replace",
        ]
    );
    assert_eq!(faults["deckies[1].ip"], "an IP address, or null, not \"nowhere\"");
    assert_eq!(faults["replace"], "true or false, not \"yes\"");
    assert!(faults["deckies[1].services[1].slug"].starts_with("is needed"));
    let named = told(&deploy(json!({ "deckies": [{ "name": "-no-" }] })).send().await);
    assert!(named["deckies[0].name"].contains("a-z, 0-9 and -"), "{named:?}");
}

#[tokio::test]
async fn what_a_type_says_of_a_field_is_told_beside_what_the_schema_says() {
    let app = App::new().await;
    let admin = app.admin().await;
    let spec = json!({ "deckies": [
        { "name": "No Name", "amount": "two" },
        { "name": "-", "services": [{ "slug": "SSH" }, { "slug": "http" }, { "slug": "a b", "knobs": 1 }] },
    ] });
    let answer = app.post("/deckies/deploy", &spec).token(&admin).send().await;
    let faults = told(&answer);
    let places: Vec<_> = faults.keys().map(String::as_str).collect();
    assert_eq!(
        places,
        [
            "deckies[0].amount",
            "deckies[0].name",
            "deckies[1].name",
            "deckies[1].services[0].slug",
            "deckies[1].services[2].knobs",
            "deckies[1].services[2].slug",
        ]
    );
    assert!(faults["deckies[1].name"].contains("a-z, 0-9 and -"), "{faults:?}");
    assert_eq!(faults["deckies[1].services[2].knobs"], "an object, not 1");
}

#[tokio::test]
async fn a_password_of_the_wrong_type_is_not_told_again() {
    let app = App::new().await;
    let body = json!({ "username": 1, "password": 90_210_777_123_u64 });
    let answer = app.post("/auth/login", &body).send().await;
    assert_eq!(
        told(&answer)["password"],
        "text of at most 128 characters, not a number"
    );
    assert!(!answer.text.contains("90210777123"), "{}", answer.text);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_why() {
    let app = App::new().await;
    let send = |kind: &'static str, body: &'static str| {
        app.ask(Method::POST, "/auth/login")
            .header(header::CONTENT_TYPE, kind)
            .body(body)
    };
    for (body, words) in [
        ("", "the body is empty"),
        ("{\"username\": ", "JSON without an end"),
        ("{\"username\":\n  root}", "line 2, column 3"),
        ("<xml/>", "line 1, column 1"),
    ] {
        let answer = send("application/json; charset=utf-8", body).send().await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::BAD_REQUEST, "malformed")
        );
        assert!(answer.text.contains(words), "{}", answer.text);
    }
    let twice = r#"{"username": "a", "username": "b", "password": "c"}"#;
    assert_eq!(
        told(&send("application/json", twice).send().await),
        map(&[("body", "a field stands in it more than once")])
    );
    for kind in ["text/plain", "application/x-www-form-urlencoded", "json"] {
        let answer = send(kind, "{}").send().await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type")
        );
    }
    let none = app.ask(Method::POST, "/auth/login").body("{}").send().await;
    assert_eq!(none.problem(), "unsupported-media-type");
}

#[tokio::test]
async fn every_fault_of_a_query_is_told_at_once() {
    let app = App::new().await;
    let admin = app.admin().await;
    let get = |path: &str| app.get(path).token(&admin);
    let query = "/logs?limit=many&start_time=yesterday&attacker_ip=nobody&token=x&decky=a&decky=b";
    assert_eq!(
        told(&get(query).send().await),
        map(&[
            ("limit", "a whole number from 1 to 500, not \"many\""),
            (
                "start_time",
                "a time such as 2026-11-20T21:53:00Z, not \"yesterday\""
            ),
            ("attacker_ip", "an IP address, not \"nobody\""),
            (
                "token",
                "there is no such parameter; there are limit, before, search, decky, service, event_type, attacker_ip, \
                 start_time, end_time"
            ),
            ("decky", "is given more than once"),
        ])
    );
    assert_eq!(
        told(&get("/bounty?bounty_type=gold&limit=0x10").send().await),
        map(&[
            (
                "bounty_type",
                "one of credential, artifact, payload, fingerprint, not \"gold\""
            ),
            ("limit", "a whole number from 1 to 500, not \"0x10\""),
        ])
    );
    assert_eq!(
        told(&get("/attackers/first").send().await),
        map(&[(
            "id",
            "an id such as 01890a5d-ac96-774b-bcce-b302099a8057, not \"first\""
        )])
    );
    assert_eq!(
        told(&get("/logs/first").send().await),
        map(&[("id", "a whole number, not \"first\"")])
    );
    let long = told(
        &get(&format!("/logs?limit=x&{}=1", "y".repeat(3_000)))
            .send()
            .await,
    );
    assert!(long.keys().all(|field| field.chars().count() < 50), "{long:?}");
    assert_eq!(get("/attackers/%ff").send().await.problem(), "malformed");
}

/// What serde says, in any of its texts.
const OF_SERDE: &[&str] = &[
    "invalid type",
    "invalid value",
    "expected",
    "struct ",
    "missing field",
    "unknown field",
    "variant",
];

#[tokio::test]
async fn no_route_tells_a_fault_in_the_words_of_the_program() {
    let app = App::new().await;
    let admin = app.admin().await;
    let document = decnet_server::api::document();
    let whole = |schema: &Value| match schema["$ref"].as_str() {
        Some(at) => document.pointer(at.trim_start_matches('#')).unwrap().clone(),
        None => schema.clone(),
    };
    let junk = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1.5),
        json!("\u{202e}<b>"),
        json!([null]),
        json!({ "a": 1 }),
    ];
    let mut refused = 0;
    let mut looked = |answer: Answer, what: &str| {
        if answer.status == StatusCode::UNPROCESSABLE_ENTITY {
            refused += 1;
            for (field, message) in told(&answer) {
                assert!(
                    !OF_SERDE.iter().any(|words| message.contains(words)),
                    "{what}: {field}: {message}"
                );
            }
        }
    };
    for (path, methods) in document["paths"].as_object().unwrap() {
        let uri = path
            .replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057")
            .replace("{name}", "web-01");
        for (method, operation) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            let properties = whole(body)["properties"].as_object().cloned().unwrap_or_default();
            for (name, value) in properties
                .keys()
                .flat_map(|name| junk.iter().map(move |j| (name, j)))
            {
                let body = json!({ name: value });
                let answer = app
                    .ask(method.clone(), &uri)
                    .token(&admin)
                    .json(&body)
                    .send()
                    .await;
                looked(answer, &format!("{method} {path} {body}"));
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                if parameter["in"] != "query" {
                    continue;
                }
                for text in ["", "%00", "-1", "1e3", "99999999999999999999", "x"] {
                    let asked = format!("{uri}?{name}={text}");
                    let answer = app.ask(method.clone(), &asked).token(&admin).send().await;
                    looked(answer, &asked);
                }
            }
        }
    }
    assert!(refused > 100, "{refused} requests were refused");
}
