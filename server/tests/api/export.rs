//! Whole lists as files.

use axum::http::{HeaderMap, StatusCode, header};
use decnet_model::state::Role;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::app::{Answer, App};

/// How long a row of the audit log may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The lines of a CSV file, each as its cells; a reader of our own, by RFC 4180.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut line, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => line.push(std::mem::take(&mut cell)),
            ('\r', false) => {
                assert_eq!(chars.next(), Some('\n'));
                line.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut line));
            }
            (c, true) => cell.push(c),
            (c, false) => panic!("{c:?} outside of quotes"),
        }
    }
    assert!(!quoted && line.is_empty() && cell.is_empty(), "cut off: {text:?}");
    lines
}

fn named(headers: &HeaderMap, kind: &str, name: &str) {
    assert_eq!(
        headers[header::CONTENT_TYPE].to_str().unwrap().split(';').next(),
        Some(kind)
    );
    let disposition = headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert_eq!(disposition, format!("attachment; filename=\"{name}\""));
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

async fn file(app: &App, token: &str, path: &str) -> Answer {
    let answer = app.get(path).token(token).send().await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
    answer
}

const HOSTILE: &[&str] = &[
    "=cmd|'/c calc'!A1",
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "a \"quoted\", text; <script>",
    "\u{202e}gnp.exe",
];

#[tokio::test]
async fn every_list_comes_whole_as_csv_and_as_json_and_no_cell_is_a_formula() {
    let app = App::new().await;
    let admin = app.admin().await;
    for n in 0..1_203 {
        let command = HOSTILE.get(n).copied().unwrap_or("id");
        let fields = [("src_ip", "192.0.2.7"), ("command", command)];
        app.ingest("web-01", &fields, "command").await;
    }
    for (n, text) in HOSTILE.iter().enumerate() {
        let ip = format!("192.0.2.{n}");
        let fields = [
            ("src_ip", ip.as_str()),
            ("principal", text),
            ("secret_printable", text),
        ];
        app.ingest("web-02", &fields, "auth_attempt").await;
    }
    let attacker = app
        .get("/attackers?search=192.0.2.7")
        .token(&admin)
        .send()
        .await
        .json();
    let attacker = attacker["data"][0]["id"].as_str().unwrap().to_owned();
    let commands = format!("/attackers/{attacker}/commands/export");
    for text in HOSTILE {
        app.quarantine(text.as_bytes(), "no priority").await;
    }
    app.quarantine(b"\xffnot text", "no priority").await;
    for (n, text) in HOSTILE.iter().enumerate() {
        let rule =
            json!({ "lines": { "decky": format!("noisy-{n}"), "network": "192.0.2.0/24" }, "note": text });
        let made = app.post("/config/ignore-rules", &rule).token(&admin).send().await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    }
    // More than the list of the latest.
    for _ in 0..60 {
        let ordered = app.post("/deckies/reap-orphans", &json!({})).token(&admin);
        assert_eq!(ordered.send().await.status, StatusCode::ACCEPTED);
    }
    // Of the lists of accounts, whatever others have.
    let (_, viewer) = app.user("vera", Role::Viewer).await;
    let mut secrets = Vec::new();
    for token in [&admin, &viewer] {
        let new = json!({ "name": "probe", "role": "viewer" });
        let made = app.post("/auth/tokens", &new).token(token).send().await.json();
        secrets.push(made["token"].as_str().unwrap().to_owned());
    }
    secrets.extend([admin.clone(), viewer]);
    let length = async |path: &str| {
        app.get(path)
            .token(&admin)
            .send()
            .await
            .json()
            .as_array()
            .unwrap()
            .len()
    };
    let (sessions, workers) = (length("/auth/sessions").await, length("/workers").await);
    for (path, name, rows, column) in [
        ("/logs/export", "logs", 1_203 + HOSTILE.len(), "raw"),
        ("/attackers/export", "attackers", HOSTILE.len() + 1, "ip"),
        (commands.as_str(), "commands", 1_203, "command"),
        ("/bounty/export", "bounty", HOSTILE.len(), "principal"),
        ("/fleet/export", "deckies", 0, "name"),
        ("/credential-reuse/export", "credential-reuse", 0, "value"),
        ("/quarantine/export", "quarantine", HOSTILE.len() + 1, "line"),
        ("/users/export", "users", 2, "username"),
        ("/tokens/export", "tokens", 2, "owner"),
        ("/auth/tokens/export", "tokens", 1, "name"),
        ("/auth/sessions/export", "sessions", sessions, "user_agent"),
        ("/workers/export", "workers", workers, "name"),
        ("/tasks/export", "tasks", 60, "operation"),
        (
            "/config/ignore-rules/export",
            "ignore-rules",
            HOSTILE.len(),
            "note",
        ),
    ] {
        let answer = file(&app, &admin, &format!("{path}?format=csv")).await;
        named(&answer.headers, "text/csv", &format!("decnet-{name}.csv"));
        assert!(
            !secrets.iter().any(|secret| answer.text.contains(secret)),
            "{path}"
        );
        let lines = csv(&answer.text);
        assert_eq!(lines.len(), rows + 1, "{path}");
        let head = &lines[0];
        let column_no = head.iter().position(|c| c == column).unwrap();
        for line in &lines {
            assert_eq!(line.len(), head.len());
            for cell in line {
                assert!(
                    !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
                    "{path}: {cell:?}"
                );
            }
        }
        assert_eq!(
            file(&app, &admin, path).await.text,
            answer.text,
            "CSV where nothing is said"
        );

        let answer = file(&app, &admin, &format!("{path}?format=json")).await;
        named(
            &answer.headers,
            "application/json",
            &format!("decnet-{name}.json"),
        );
        assert!(
            !secrets.iter().any(|secret| answer.text.contains(secret)),
            "{path}"
        );
        let whole = answer.json();
        let whole = whole.as_array().unwrap();
        assert_eq!(whole.len(), rows, "{path}");
        for (row, line) in whole.iter().zip(&lines[1..]) {
            let cell = line[column_no].trim_start_matches('\'');
            assert_eq!(row[column].as_str().unwrap().trim_start_matches('\''), cell);
        }
        let ids: std::collections::BTreeSet<_> = whole.iter().map(Value::to_string).collect();
        assert_eq!(ids.len(), rows, "{path}: each once");
    }
    let bounty = file(&app, &admin, "/bounty/export").await.text;
    let unread = file(&app, &admin, "/quarantine/export").await.text;
    assert!(
        unread.contains(r"\xffnot text"),
        "bytes that are no text: {unread}"
    );
    for text in HOSTILE {
        assert!(bounty.contains(&text.replace('"', "\"\"")), "{text}");
    }
}

/// The audit log, newest first, once it has `rows` of downloads.
async fn downloads(app: &App, admin: &str, rows: usize) -> Vec<(String, String, String, String)> {
    let wait = async {
        loop {
            let page = app
                .get("/audit?action=export&limit=500")
                .token(admin)
                .send()
                .await
                .json();
            let data = page["data"].as_array().unwrap().clone();
            if data.len() >= rows {
                return data;
            }
            tokio::task::yield_now().await;
        }
    };
    let told = timeout(PATIENCE, wait)
        .await
        .expect("not all downloads were written down");
    assert_eq!(told.len(), rows, "{told:?}");
    let word = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    told.iter()
        .map(|row| {
            (
                word(row, "actor"),
                word(row, "action"),
                word(row, "target"),
                word(row, "result"),
            )
        })
        .collect()
}

#[tokio::test]
async fn who_took_what_along_stands_in_the_audit_log_which_is_filtered_and_taken_along_itself() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (_, viewer) = app.user("vera", Role::Viewer).await;
    for n in 0..3 {
        let decky = format!("web-0{n}");
        app.ingest(&decky, &[("src_ip", "192.0.2.7"), ("command", "id")], "command")
            .await;
        let tried = [
            ("src_ip", "192.0.2.7"),
            ("principal", "root"),
            ("secret_printable", "toor"),
        ];
        app.ingest(&decky, &tried, "auth_attempt").await;
    }
    while app.store.credentials_step(100).await.unwrap() > 0 {}
    // What is refused is no download.
    for path in [
        "/logs/export?limit=1",
        "/users/export",
        "/logs/export?attacker_ip=x",
    ] {
        let answer = app.get(path).token(&viewer).send().await;
        assert!(answer.status.is_client_error(), "{path}");
    }
    let mut expected = Vec::new();
    for (token, who, path, list, what) in [
        (
            &viewer,
            "vera",
            "/logs/export?decky=web-01&format=json",
            "logs",
            "json, decky=web-01, 2 rows",
        ),
        (&admin, "root", "/users/export", "users", "csv, 2 rows"),
        (
            &viewer,
            "vera",
            "/bounty/wordlist?list=passwords",
            "wordlist",
            "passwords.txt, 1 row",
        ),
        (&viewer, "vera", "/bounty/export", "bounty", "csv, 3 rows"),
    ] {
        assert_eq!(file(&app, token, path).await.status, StatusCode::OK, "{path}");
        let row = (who, &*format!("export.{list}"), what, "ok");
        let row = (
            row.0.to_owned(),
            row.1.to_owned(),
            row.2.to_owned(),
            row.3.to_owned(),
        );
        expected.insert(0, row);
        assert_eq!(downloads(&app, &admin, expected.len()).await, expected);
    }
    // The log by who, what, on what and when.
    let find = async |query: &str| {
        let page = app
            .get(&format!("/audit?{query}"))
            .token(&admin)
            .send()
            .await
            .json();
        let rows = page["data"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| row["action"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(find("actor=vera&action=export").await.len(), 3);
    assert_eq!(find("actor=vera&action=export.bounty").await, ["export.bounty"]);
    assert_eq!(find("target=DECKY%3Dweb").await, ["export.logs"]);
    assert_eq!(
        find("action=exp").await,
        [""; 0],
        "the beginning of a word is none"
    );
    assert_eq!(
        find("actor=vera&action=export&end_time=2020-01-01T00:00:00Z").await,
        [""; 0]
    );
    assert_eq!(
        find("action=export&start_time=2020-01-01T00:00:00Z").await.len(),
        4
    );
    for (query, field) in [
        ("limit=501", "limit"),
        ("who=vera", "who"),
        ("start_time=soon", "start_time"),
        (
            "start_time=2026-01-02T00:00:00Z&end_time=2026-01-01T00:00:00Z",
            "end_time",
        ),
    ] {
        let answer = app.get(&format!("/audit?{query}")).token(&admin).send().await;
        assert_eq!(
            (answer.status, answer.fields()),
            (StatusCode::UNPROCESSABLE_ENTITY, vec![field.to_owned()])
        );
    }
    // Page by page, the same.
    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let page = app
            .get(&format!("/audit?action=export&limit=1{next}"))
            .token(&admin)
            .send()
            .await
            .json();
        paged.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["target"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(cursor) => next = format!("&before={cursor}"),
            None => break,
        }
    }
    assert_eq!(
        paged,
        expected.iter().map(|row| row.2.clone()).collect::<Vec<_>>()
    );
    let taken = file(&app, &admin, "/audit/export?actor=vera&action=export").await;
    named(&taken.headers, "text/csv", "decnet-audit.csv");
    assert_eq!(csv(&taken.text).len(), 1 + 3);
    let told = downloads(&app, &admin, 5).await;
    assert_eq!(told[0].2, "csv, actor=vera&action=export, 3 rows");
}

#[tokio::test]
async fn an_export_takes_the_filters_of_its_list_and_tells_faults_before_it_begins() {
    let app = App::new().await;
    let (_, viewer) = app.user("vera", Role::Viewer).await;
    for (decky, kind) in [
        ("web-01", "command"),
        ("web-02", "command"),
        ("web-01", "connect"),
    ] {
        app.ingest(decky, &[("src_ip", "192.0.2.7"), ("command", "id")], kind)
            .await;
    }
    let rows = async |query: &str| {
        let answer = file(&app, &viewer, &format!("/logs/export?{query}")).await;
        csv(&answer.text).len() - 1
    };
    assert_eq!(rows("").await, 3);
    assert_eq!(rows("decky=web-01&format=csv").await, 2);
    assert_eq!(rows("format=csv&decky=web-01&event_type=command").await, 1);
    assert_eq!(rows("search=id").await, 3);
    assert_eq!(rows("decky=web-01&before=i3").await, 1, "from a cursor on");
    for (path, field) in [
        ("/logs/export?format=xml", "format"),
        ("/logs/export?format=", "format"),
        ("/logs/export?nope=1", "nope"),
        ("/logs/export?limit=1", "limit"),
        ("/logs/export?attacker_ip=x", "attacker_ip"),
        ("/logs/export?before=x", "before"),
        ("/fleet/export?decky=web-01", "decky"),
        ("/workers/export?limit=5", "limit"),
        ("/bounty/wordlist", "list"),
        ("/bounty/wordlist?list=all", "list"),
        ("/bounty/hashcat?kind=plaintext", "kind"),
    ] {
        let answer = app.get(path).token(&viewer).send().await;
        assert_eq!(answer.fields(), [field], "{path}");
        assert!(!answer.headers.contains_key(header::CONTENT_DISPOSITION));
    }
    let nobody = "/attackers/01890a5d-ac96-774b-bcce-b302099a8057/commands/export";
    assert_eq!(app.get(nobody).token(&viewer).send().await.problem(), "not-found");
    for path in [
        "/audit/export",
        "/quarantine/export",
        "/users/export",
        "/tokens/export",
    ] {
        let answer = app.get(path).token(&viewer).send().await;
        assert_eq!(answer.problem(), "forbidden", "{path}");
    }
}

#[tokio::test]
async fn an_export_comes_page_by_page_and_is_cut_off_with_its_session() {
    let app = App::new().await;
    let (vera, viewer) = app.user("vera", Role::Viewer).await;
    let admin = app.admin().await;
    for n in 0..1_400 {
        let fields = [("src_ip", "192.0.2.7"), ("command", &*format!("command-{n}"))];
        app.ingest("web-01", &fields, "command").await;
    }
    let mut body = app.get("/logs/export").token(&viewer).open().await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let rows = csv(std::str::from_utf8(&first).unwrap()).len() - 1;
    assert_eq!(rows, 500, "a page at a time, whatever the list's length");
    let path = format!("/users/{}/sessions", vera.id);
    let ended = app
        .ask(axum::http::Method::DELETE, &path)
        .token(&admin)
        .send()
        .await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    let next = body.frame().await.unwrap();
    assert!(
        next.is_err(),
        "what comes after is an error, so that no client takes the file for whole"
    );
    assert!(body.frame().await.is_none());
    drop(body);
    let told = downloads(&app, &admin, 1).await;
    assert_eq!(
        (&*told[0].0, &*told[0].2, &*told[0].3),
        ("vera", "csv, 500 rows", "cut off")
    );
    // So does a reader who goes away.
    let mut body = app.get("/logs/export").token(&admin).open().await.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let told = downloads(&app, &admin, 2).await;
    assert_eq!((&*told[0].0, &*told[0].3), ("root", "broken off"));
}

#[tokio::test]
async fn reuse_and_lists_for_crackers_come_once_credentials_were_compared() {
    let app = App::new().await;
    let (_, viewer) = app.user("vera", Role::Viewer).await;
    for (decky, ip, user, password) in [
        ("web-01", "192.0.2.1", "root", "toor"),
        ("web-02", "192.0.2.1", "root", "toor"),
        ("web-02", "192.0.2.2", "admin", "toor"),
        ("web-03", "192.0.2.3", "admin", "once"),
    ] {
        let fields = [
            ("src_ip", ip),
            ("principal", user),
            ("secret_printable", password),
        ];
        app.ingest(decky, &fields, "auth_attempt").await;
    }
    let get = async |path: &str| app.get(path).token(&viewer).send().await;
    let found = get("/bounty").await.json()["data"][0].clone();
    assert_eq!(get(&format!("/bounty/{}", found["id"])).await.json(), found);
    assert_eq!(get("/bounty/999").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get("/credential-reuse").await.json(), json!({ "data": [] }));
    while app.store.credentials_step(2).await.unwrap() > 0 {}
    let secrets = get("/credential-reuse").await.json();
    let first = &secrets["data"][0];
    assert_eq!(secrets["data"].as_array().unwrap().len(), 1, "{secrets}");
    assert_eq!(
        (
            &first["value"],
            &first["deckies"],
            &first["attackers"],
            first.get("principal")
        ),
        (&json!("toor"), &json!(2), &json!(2), None)
    );
    let places = get(&format!("/credential-reuse/{}", first["id"])).await.json();
    let finds = places["finds"].as_array().unwrap();
    let mut deckies: Vec<_> = finds.iter().map(|find| find["decky"].as_str()).collect();
    deckies.sort_unstable();
    assert_eq!(places["reuse"], *first);
    assert_eq!(
        deckies,
        [Some("web-01"), Some("web-02"), Some("web-02")],
        "{places}"
    );
    assert_eq!(get("/credential-reuse/999").await.status, StatusCode::NOT_FOUND);
    let pairs = get("/credential-reuse?scope=pair&secret_kind=plaintext")
        .await
        .json();
    assert_eq!(
        (
            &pairs["data"][0]["principal"],
            &pairs["data"][0]["deckies"],
            &pairs["data"][0]["attackers"]
        ),
        (&json!("root"), &json!(2), &json!(1))
    );
    assert_eq!(get("/credential-reuse?limit=501").await.fields(), ["limit"]);
    assert_eq!(get("/credential-reuse?scope=user").await.fields(), ["scope"]);

    for (list, lines) in [
        ("users", vec!["admin", "root"]),
        ("passwords", vec!["once", "toor"]),
        ("pairs", vec!["admin:once", "admin:toor", "root:toor"]),
    ] {
        let answer = get(&format!("/bounty/wordlist?list={list}")).await;
        named(&answer.headers, "text/plain", &format!("decnet-{list}.txt"));
        let mut said: Vec<_> = answer.text.lines().collect();
        said.sort_unstable();
        assert_eq!(said, lines);
    }
    let hashes = get("/bounty/hashcat?kind=cram_md5").await;
    named(&hashes.headers, "text/plain", "decnet-cram_md5.hash");
    assert_eq!(hashes.text, "");
}
