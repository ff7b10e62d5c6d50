//! No answer shows a secret, or where this host keeps its things: every view is fed a full row, and all of them are looked at.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use aws_lc_rs::digest;
use axum::http::{Method, StatusCode, header};
use decnet_db::Observation;
use decnet_domain::Options;
use decnet_model::{
    clock::Clock as _,
    id::TaskId,
    state::{ALARM, DeckyState, Role, WorkerState},
    topic::Topic,
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
    "/settings/tokens",
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

/// What parts of a host say when it does badly: each names a place, the system or the database.
const ALARMS: [(&str, &str); 2] = [
    (
        "ingester",
        "cannot commit: error returned from database: (code: 13) database or disk is full",
    ),
    (
        "profiler",
        "write /srv/decnet/spool/1796070792.log: No space left on device (os error 28)",
    ),
];
const AWAY: &str = "/srv/docker.sock: Connection refused (os error 111)";
const REFUSED: &str = "make /srv/decnet/deckies/web-01: Permission denied (os error 13)";
const FAILED: &str = "service ssh: listen on 192.0.2.3:22: Address already in use (os error 98)";

/// The heartbeat of `name`, which says `alarm`.
fn alarmed(app: &App, (name, alarm): (&str, &str)) -> WorkerView {
    WorkerView {
        state: WorkerState::Ok,
        last_heard: Some(app.clock.now()),
        pid: Some(7),
        tasks: [(ALARM.to_owned(), alarm.to_owned())].into(),
        ..WorkerView::unheard(name.parse().unwrap())
    }
}

#[tokio::test]
async fn of_a_host_in_trouble_a_viewer_is_told_that_and_an_administrator_why() {
    let options = Options {
        health_interval: Duration::from_millis(20),
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let admin = app.admin().await;
    let (_, viewer) = app.user("vera", Role::Viewer).await;
    furnish(&app, &admin).await;
    for worker in ALARMS {
        app.store
            .worker_heartbeat_put(&alarmed(&app, worker))
            .await
            .unwrap();
    }
    let note = json!({ "engine": "docker", "away": AWAY }).to_string();
    app.store.setting_set("fleet-engine", &note).await.unwrap();
    let seen = Observation {
        state: DeckyState::Failed,
        last_error: Some(FAILED.to_owned()),
        services: None,
    };
    let web = "web-01".parse().unwrap();
    app.store
        .decky_observe(&web, &seen, app.clock.now())
        .await
        .unwrap();

    let tasks = app.get("/tasks").token(&admin).send().await.json();
    let task: TaskId = serde_json::from_value(tasks[0]["id"].clone()).unwrap();
    app.store
        .task_end(task, Some(REFUSED), app.clock.now())
        .await
        .unwrap();

    let wanted = async {
        loop {
            let told = app.get("/health").token(&admin).send().await.text;
            if [ALARMS[0].1, ALARMS[1].1, AWAY].iter().all(|w| told.contains(w)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wanted)
        .await
        .expect("an administrator is told by the health");

    let marks =
        ["os error", "(code:", "/srv/", "192.0.2.3:22"].map(|word| text("what is not for viewers", word));
    let workers = [ALARMS[0].1, ALARMS[1].1].as_slice();
    let asked = [
        ("/health", [ALARMS[0].1, ALARMS[1].1, AWAY].as_slice()),
        ("/workers", workers),
        ("/workers/export?format=json", workers),
        ("/workers/export?format=csv", &[]),
        // Of the host the first part stands for all.
        ("/alerts", &[AWAY, FAILED]),
        ("/deckies", &[FAILED]),
        ("/fleet/export?format=json", &[FAILED]),
        ("/tasks", &[REFUSED]),
    ];
    for (path, words) in asked {
        let full = app.get(path).token(&admin).send().await.text;
        assert!(words.iter().all(|w| full.contains(w)), "{path}: {full}");
        let public = app.get(path).token(&viewer).send().await;
        assert!(
            path.starts_with("/health") || public.status == StatusCode::OK,
            "{public:?}"
        );
        assert!(
            public.text.contains("administrators see wh"),
            "{path}: {public:?}"
        );
        look(path, &public.text, &marks);
        // Nothing of what the one was told is kept for the other.
        let again = app.get(path).token(&admin).send().await.text;
        assert!(words.iter().all(|w| again.contains(w)), "{path}: {again}");
    }
    for page in ["/", "/workers", "/fleet", "/fleet?decky=web-01"] {
        let answer = app.at(Method::GET, page).token(&viewer).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        look(page, &answer.text, &marks);
    }
    let page = app.at(Method::GET, "/workers").token(&admin).send().await.text;
    assert!(page.contains("(code: 13)") && page.contains("(os error 28)"));

    let mut streams = [
        Stream::open(&app, &viewer, None).await,
        Stream::open(&app, &admin, None).await,
    ];
    for (stream, is_full) in streams.iter_mut().zip([false, true]) {
        let snapshot = stream.wait_for("snapshot").await.envelope.to_string();
        let all = [ALARMS[0].1, ALARMS[1].1, FAILED];
        assert!(all.iter().all(|w| snapshot.contains(w) == is_full), "{snapshot}");
    }
    app.clock.advance(time::Duration::seconds(1));
    let later = alarmed(&app, ("profiler", "read /srv/decnet/spool: (os error 5)"));
    app.store.worker_heartbeat_put(&later).await.unwrap();
    app.bus.publish(Topic::worker_health(&later.name), &later);
    // What the worker says and what the health makes of it come in any order.
    for (mut stream, words) in streams
        .into_iter()
        .zip(["administrators see what", "(os error 5)"])
    {
        let mut missing = BTreeSet::from(["health", "worker"]);
        while !missing.is_empty() {
            let next = tokio::time::timeout(Duration::from_secs(30), stream.next()).await;
            let said = next.expect("it is told").expect("the stream goes on").envelope;
            let told = said.to_string();
            if words.starts_with("administrators") {
                look("the stream", &told, &marks);
            }
            if told.contains(words) {
                missing.remove(said["type"].as_str().unwrap());
            }
        }
    }
}

/// What an engine says that cannot be asked, and one that finds no network.
const UNASKED: &str = "Docker at /srv/docker.sock cannot be used: Connection refused (os error 111)";
const NO_NETWORK: &str = "there is no interface nosuch0 to put deckies on; there are: lo, enp7s0";

#[tokio::test]
async fn of_what_waits_and_cannot_be_deployed_a_viewer_is_told_that_and_an_administrator_why() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (_, viewer) = app.user("vera", Role::Viewer).await;
    furnish(&app, &admin).await;
    let marks = ["/srv/", "os error", "nosuch0", "enp7s0"].map(|word| text("what is not for viewers", word));
    let call = |path: &str, body: &str| {
        let kind = match body {
            "" => "application/x-www-form-urlencoded",
            _ => "application/json",
        };
        let ask = app.ask(Method::POST, path);
        ask.header(header::CONTENT_TYPE, kind).body(body.to_owned())
    };

    let tasks = app.get("/tasks").token(&admin).send().await.json();
    let task: TaskId = serde_json::from_value(tasks[0]["id"].clone()).unwrap();
    for (before, step) in [
        ("waiting", format!("waiting: {UNASKED}")),
        (
            "waiting to create web-01",
            format!("waiting to create web-01: {UNASKED}"),
        ),
    ] {
        app.store.task_progress(task, 0, 2, &step).await.unwrap();
        let public = format!("{before}: administrators see why");
        let ways = ["/tasks", &format!("/tasks/{task}"), "/tasks/export?format=json"];
        let mut told = Vec::new();
        for path in ways {
            let full = app.get(path).token(&admin).send().await.text;
            let public = app.get(path).token(&viewer).send().await.text;
            told.push((path, full, public));
        }
        let one = json!({ "id": task }).to_string();
        for (path, body) in [("/ui/task_list", ""), ("/ui/task_get", &one)] {
            let full = call(path, body).token(&admin).send().await.text;
            let public = call(path, body).token(&viewer).send().await.text;
            told.push((path, full, public));
        }
        for (token, told) in [(&admin, &step), (&viewer, &public)] {
            let mut stream = Stream::open(&app, token, None).await;
            let snapshot = stream.wait_for("snapshot").await.envelope;
            assert_eq!(snapshot["payload"]["tasks"][0]["step"], **told);
        }
        for (path, full, hidden) in told {
            assert!(full.contains(&step), "{path}: {full}");
            assert!(hidden.contains(&public), "{path}: {hidden}");
            look(path, &hidden, &marks);
        }
    }
    // What is done is no secret.
    app.store.task_progress(task, 1, 2, "start web-01").await.unwrap();
    let told = app.get("/tasks").token(&viewer).send().await.json();
    assert_eq!(told[0]["step"], "start web-01");

    let note = json!({ "engine": "netns", "problem": NO_NETWORK }).to_string();
    app.store.setting_set("fleet-engine", &note).await.unwrap();
    let form = json!({ "archetype": "linux-server", "amount": "1", "name": "", "seed": "", "interval": "" });
    let form = json!({ "form": form }).to_string();
    let described = json!({ "text": "[web]\narchetype = linux-server\n" }).to_string();
    for (path, body) in [
        ("/fleet/network", None),
        ("/ui/deploy_choices", Some("")),
        ("/ui/deploy_preview", Some(form.as_str())),
        ("/ui/description_preview", Some(&described)),
    ] {
        let ask = |token: &str| match body {
            None => app.get(path).token(token),
            Some(body) => call(path, body).token(token),
        };
        let full = ask(&admin).send().await.text;
        assert!(full.contains(NO_NETWORK), "{path}: {full}");
        let public = ask(&viewer).send().await.text;
        assert!(public.contains("administrators see why"), "{path}: {public}");
        look(path, &public, &marks);
    }
}

#[test]
fn a_server_without_its_secret_says_so_before_it_makes_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_decnet-server"))
        .env_clear()
        .env("DECNET_DATA_DIR", dir.path())
        .env("DECNET_BUS_ENABLED", "false")
        .env("DECNET_SSE_MAX_PER_USER", "0")
        .current_dir(dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(78), "{told}");
    for words in [
        "2 faults in the configuration",
        "sse-max-per-user",
        "jwt.key): there is none; set it in the environment",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
