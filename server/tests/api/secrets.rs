//! No answer shows a secret, or where this host keeps its things: every view is fed a full row, and all of them are looked at.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use axum::http::{Method, StatusCode};
use decnet_domain::Options;
use decnet_model::{
    clock::Clock as _,
    state::{Role, WorkerState},
    view::WorkerView,
};
use serde_json::{Value, json};

use crate::{
    app::{App, JWT_SECRET, PASSWORD, TOTP_KEY},
    stream::Stream,
    totp::{Phone, challenge},
};

/// The pages; what they show comes from the same views, and from what is handed to the browser beside it.
const PAGES: &[&str] = &[
    "/",
    "/live",
    "/attackers",
    "/attackers/{attacker}",
    "/credentials",
    "/credentials/reuse",
    "/fleet",
    "/fleet?decky={decky}",
    "/workers",
    "/settings",
    "/settings/host",
    "/settings/users",
    "/settings/audit",
    "/quarantine",
];

/// A secret, and each text as which a view could show it.
struct Mark {
    what: &'static str,
    forms: Vec<String>,
}

fn text(what: &'static str, secret: impl Into<String>) -> Mark {
    Mark {
        what,
        forms: vec![secret.into()],
    }
}

/// Bytes as they are, in hexadecimal digits, in base64 and as the list of numbers that serde makes of them.
fn bytes(what: &'static str, secret: &[u8]) -> Mark {
    let hex = secret.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let numbers: Vec<String> = secret.iter().map(u8::to_string).collect();
    let base64 = |alphabet: &[u8; 64]| -> String {
        let bits: Vec<u8> = secret
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
            .collect();
        // What is left over at the end depends on what follows.
        bits.chunks_exact(6)
            .map(|six| six.iter().fold(0, |n, bit| n << 1 | usize::from(*bit)))
            .map(|n| char::from(alphabet[n]))
            .collect()
    };
    let standard = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let for_urls = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    Mark {
        what,
        forms: vec![
            String::from_utf8_lossy(secret).into_owned(),
            hex.to_uppercase(),
            hex,
            numbers.join(","),
            base64(standard),
            base64(for_urls),
        ],
    }
}

/// What a route has to be asked with: of each choice the first.
fn needed(document: &Value, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let required = parameters.filter(|p| p["in"] == "query" && p["required"] == true);
    let pairs: Vec<String> = required
        .map(|parameter| {
            let schema = &parameter["schema"];
            let named = schema["$ref"]
                .as_str()
                .and_then(|at| document.pointer(at.trim_start_matches('#')));
            let choice = &named.unwrap_or(schema)["enum"][0];
            format!(
                "{}={}",
                parameter["name"].as_str().unwrap(),
                choice.as_str().unwrap()
            )
        })
        .collect();
    pairs.join("&")
}

fn look(place: &str, answer: &str, marks: &[Mark]) {
    for mark in marks {
        for form in &mark.forms {
            assert!(
                !answer.contains(form.as_str()),
                "{place} shows {}: {answer}",
                mark.what
            );
        }
    }
}

/// A row for every view: evidence of each kind, a decky, a task, a worker, a rule, and lines that could not be read.
async fn furnish(app: &App, admin: &str) {
    for (decky, ip, user) in [("web-01", "192.0.2.1", "root"), ("web-02", "192.0.2.2", "admin")] {
        let login = [("src_ip", ip), ("principal", user), ("secret_printable", "toor")];
        app.ingest(decky, &login, "auth_attempt").await;
        app.ingest(decky, &[("src_ip", ip), ("command", "id")], "command")
            .await;
    }
    while app.store.credentials_step(2).await.unwrap() > 0 {}
    app.quarantine(b"no line at all", "no priority").await;
    let beat = WorkerView {
        state: WorkerState::Ok,
        last_heard: Some(app.clock.now()),
        pid: Some(7),
        version: Some("1.2.3".into()),
        ..WorkerView::unheard("profiler".parse().unwrap())
    };
    app.store.worker_heartbeat_put(&beat).await.unwrap();
    for (path, body) in [
        (
            "/deckies/deploy",
            json!({ "deckies": [{ "archetype": "linux-server", "name": "web-01" }] }),
        ),
        (
            "/config/ignore-rules",
            json!({ "lines": { "decky": "noisy" }, "note": "ours" }),
        ),
    ] {
        let made = app.post(path, &body).token(admin).send().await;
        assert!(made.status.is_success(), "{path}: {made:?}");
    }
}

#[tokio::test]
async fn no_answer_no_page_and_no_event_shows_a_secret_or_a_path_of_this_host() {
    let run = tempfile::tempdir().unwrap();
    let options = Options {
        run_dir: Some(run.path().to_owned()),
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let admin = app.admin().await;
    furnish(&app, &admin).await;

    // An account that has everything, beside another that is stored likewise.
    let begun = app.ask(Method::POST, "/auth/totp").token(&admin).send().await;
    let begun = begun.json();
    let phone = Phone::of(&begun);
    let code = json!({ "code": phone.fresh(&app) });
    let confirmed = app.post("/auth/totp/confirm", &code).token(&admin).send().await;
    let confirmed = confirmed.json();
    let new = json!({ "name": "feed", "role": "admin" });
    let made = app.post("/auth/tokens", &new).token(&admin).send().await.json();
    let made = made["token"].as_str().unwrap();
    let half_in = challenge(&app.login("root", PASSWORD).send().await);
    app.user("vera", Role::Viewer).await;

    let token_digest = digest::digest(&digest::SHA256, made.as_bytes());
    let stored = app
        .store
        .api_token_by_digest(token_digest.as_ref().try_into().unwrap())
        .await
        .unwrap();
    assert!(stored.is_some(), "that is what is stored of a token");
    let users = app.store.user_list().await.unwrap();
    let root = users.iter().find(|u| u.username.as_str() == "root").unwrap();
    let sealed = app.store.second_factor_get(root.id).await.unwrap();
    let sealed = sealed.unwrap().sealed;
    assert!(
        !sealed
            .windows(phone.secret.len())
            .any(|part| part == phone.secret),
        "sealed at rest"
    );
    let mut marks = vec![
        text("a password", PASSWORD),
        text("a hash's name", "argon2"),
        text("an API token", made),
        text("a session", admin.as_str()),
        text("a challenge", half_in),
        text("a second factor", begun["secret"].as_str().unwrap()),
        bytes("a second factor", &phone.secret),
        bytes("a sealed second factor", &sealed),
        bytes("a token's digest", token_digest.as_ref()),
        bytes("what signs sessions", JWT_SECRET.as_bytes()),
        bytes("what seals second factors", TOTP_KEY.as_bytes()),
        text(
            "where the database is",
            app.site_root.parent().unwrap().to_str().unwrap(),
        ),
        text("where workers leave word", run.path().to_str().unwrap()),
    ];
    marks.extend(
        users
            .iter()
            .map(|user| text("a password's hash", user.password_hash.as_str())),
    );
    let codes = confirmed["recovery_codes"].as_array().unwrap();
    assert!(!codes.is_empty());
    marks.extend(
        codes
            .iter()
            .map(|code| text("a recovery code", code.as_str().unwrap())),
    );

    let first = async |path: &str| {
        let list = app.get(path).token(&admin).send().await.json();
        let rows = list.get("data").unwrap_or(&list);
        let id = &rows[0]["id"];
        id.as_str().map_or_else(|| id.to_string(), str::to_owned)
    };
    let attacker = first("/attackers").await;
    let ids = [
        ("/api/v1/logs/", first("/logs").await),
        ("/api/v1/attackers/", attacker.clone()),
        ("/api/v1/bounty/", first("/bounty").await),
        ("/api/v1/credential-reuse/", first("/credential-reuse").await),
        ("/api/v1/tasks/", first("/tasks").await),
    ];
    let document = decnet_server::api::document();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods.get("get").is_none() || path.ends_with("/stream") {
            continue;
        }
        let path = match ids.iter().find(|(start, _)| path.starts_with(start)) {
            Some((_, id)) => path.replace("{id}", id),
            None => path.replace("{name}", "web-01"),
        };
        assert!(!path.contains('{'), "{path}: which one?");
        let asked_with = needed(&document, &methods["get"]);
        let queries = match path.ends_with("/export") {
            true => vec!["format=csv".to_owned(), "format=json".to_owned()],
            false => vec![asked_with],
        };
        for query in queries {
            let path = format!("{path}?{query}");
            let answer = app.get(&path).token(&admin).send().await;
            let full = answer.status == StatusCode::OK || path.contains("/health?");
            assert!(full, "{path} answers nothing that could be looked at: {answer:?}");
            look(&path, &answer.text, &marks);
            assert!(!answer.text.contains("dnt_"), "{path} shows somebody's API token");
            asked += 1;
        }
    }
    assert!(asked > 40, "{asked}");

    for page in PAGES {
        let path = page.replace("{attacker}", &attacker).replace("{decky}", "web-01");
        let answer = app.at(Method::GET, &path).token(&admin).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        look(&path, &answer.text, &marks);
    }

    let mut stream = Stream::open(&app, &admin, None).await;
    let snapshot = stream.wait_for("snapshot").await.envelope;
    assert_ne!(snapshot["payload"]["logs"], Value::Array(Vec::new()));
    look("the stream", &snapshot.to_string(), &marks);
}
