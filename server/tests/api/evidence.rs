//! Reading what was recorded: pages, limits, hostile text.

use axum::http::StatusCode;
use decnet_model::state::Role;
use serde_json::Value;

use crate::app::App;

/// What an intruder may leave in a field, hoping that somebody looks at it.
const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'; DROP TABLE logs; --",
    "\u{202e}gnp.exe\u{200b}",
    "%s%n{{7*7}}${jndi:ldap://x}",
    "a]b\"c\\d",
];

async fn viewer(app: &App) -> String {
    app.user("vera", Role::Viewer).await.1
}

async fn get(app: &App, token: &str, path: &str) -> Value {
    let answer = app.get(path).token(token).send().await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.json()
}

#[tokio::test]
async fn an_empty_database_answers_everywhere() {
    let app = App::new().await;
    let token = viewer(&app).await;
    for path in ["/logs", "/attackers", "/bounty"] {
        assert_eq!(
            get(&app, &token, path).await["data"],
            Value::Array(Vec::new()),
            "{path}"
        );
    }
    assert_eq!(get(&app, &token, "/stats").await["total_logs"], 0);
    get(&app, &token, "/tops").await;
    get(&app, &token, "/logs/histogram").await;
    assert_eq!(get(&app, &token, "/deckies").await, Value::Array(Vec::new()));
    let workers = get(&app, &token, "/workers").await;
    assert!(
        workers
            .as_array()
            .unwrap()
            .iter()
            .all(|w| w["state"] == "unknown"),
        "{workers}"
    );
}

#[tokio::test]
async fn an_answer_is_everybodys_for_a_moment_and_nobodys_after_a_change() {
    let hour = std::time::Duration::from_secs(3_600);
    let app = App::with(decnet_domain::Options::default(), |config| {
        config.answers_good_for = hour
    })
    .await;
    let token = viewer(&app).await;
    let admin = app.admin().await;
    let count = async |token: &str, path: &str| {
        let page = get(&app, token, path).await;
        page["data"].as_array().unwrap().len()
    };
    let touch = async || app.ingest("web-01", &[("src_ip", "192.0.2.7")], "connect").await;
    touch().await;
    assert_eq!(count(&token, "/logs?limit=50").await, 1);
    touch().await;
    assert_eq!(count(&token, "/logs?limit=50").await, 1, "made a moment ago");
    assert_eq!(count(&admin, "/logs?limit=50").await, 1, "for everybody");
    assert_eq!(count(&token, "/logs?limit=49").await, 2, "another question");
    // Who may not ask gets nothing that others asked for, and no refusal is kept for those who may.
    for path in ["/logs?limit=50", "/logs?limit=48"] {
        assert_eq!(app.get(path).send().await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(count(&token, "/logs?limit=48").await, 2);
    let refused = app.get("/logs?limit=0").token(&token).send().await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    // Nor does what is refused change anything: whoever guesses passwords has no list made anew.
    let guess = serde_json::json!({"username": "admin", "password": "a-wrong-password-indeed"});
    let refused = app.post("/auth/login", &guess).send().await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(count(&token, "/logs?limit=50").await, 1);
    // What may have changed something.
    let rule = serde_json::json!({"lines": {"decky": "db-01"}, "note": "of no account"});
    let made = app.post("/config/ignore-rules", &rule).token(&admin).send().await;
    assert!(made.status.is_success(), "{}", made.status);
    assert_eq!(count(&token, "/logs?limit=50").await, 2);
    // More questions than are kept.
    for limit in 1..=300 {
        let page = count(&token, &format!("/attackers?limit={limit}")).await;
        assert_eq!(page, 1);
    }
    assert_eq!(count(&token, "/logs?limit=50").await, 2);
}

#[tokio::test]
async fn hostile_text_comes_back_as_it_was_and_never_as_html() {
    let app = App::new().await;
    let token = viewer(&app).await;
    for text in HOSTILE {
        app.ingest("web-01", &[("src_ip", "192.0.2.7"), ("command", text)], "command")
            .await;
    }
    let answer = app.get("/logs").token(&token).send().await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    let rows = answer.json()["data"].as_array().unwrap().clone();
    let mut seen: Vec<_> = rows
        .iter()
        .map(|row| row["fields"]["command"].as_str().unwrap().to_owned())
        .collect();
    seen.reverse();
    assert_eq!(seen, HOSTILE);
    let attackers = get(&app, &token, "/attackers").await;
    let id = attackers["data"][0]["id"].as_str().unwrap().to_owned();
    let commands = get(&app, &token, &format!("/attackers/{id}/commands")).await;
    assert_eq!(commands["data"].as_array().unwrap().len(), HOSTILE.len());
    assert_eq!(
        get(&app, &token, &format!("/attackers/{id}/logs")).await["data"]
            .as_array()
            .unwrap()
            .len(),
        HOSTILE.len()
    );
    // Searching for it is no different from searching for anything else.
    for text in HOSTILE {
        let query: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
        let answer = app
            .get(&format!("/logs?search={query}"))
            .token(&token)
            .send()
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{text:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_double() {
    let app = App::new().await;
    let token = viewer(&app).await;
    for n in 0..7 {
        app.ingest(
            "web-01",
            &[("src_ip", "192.0.2.7"), ("command", &format!("c{n}"))],
            "command",
        )
        .await;
    }
    let mut seen = Vec::new();
    let mut path = "/logs?limit=3".to_owned();
    loop {
        let page = get(&app, &token, &path).await;
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["fields"]["command"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/logs?limit=3&before={next}");
    }
    assert_eq!(seen, ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]);
    let id = get(&app, &token, "/logs?limit=1").await["data"][0]["id"]
        .as_i64()
        .unwrap();
    assert_eq!(
        get(&app, &token, &format!("/logs/{id}")).await["fields"]["command"],
        "c6"
    );
    assert_eq!(
        app.get("/logs/999999").token(&token).send().await.problem(),
        "not-found"
    );
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_naming_the_field() {
    let app = App::new().await;
    let token = viewer(&app).await;
    let long = "x".repeat(513);
    for (path, field) in [
        ("/logs?limit=501", "limit"),
        ("/logs?limit=0", "limit"),
        ("/logs?limit=-1", "limit"),
        ("/logs?limit=many", "limit"),
        (&format!("/logs?search={long}"), "search"),
        ("/logs?start_time=yesterday", "start_time"),
        ("/logs?attacker_ip=300.1.1.1", "attacker_ip"),
        ("/logs?before=%00%FF", "before"),
        ("/logs?before=nonsense", "before"),
        (
            "/logs?start_time=2026-01-02T00:00:00Z&end_time=2026-01-01T00:00:00Z",
            "end_time",
        ),
        ("/logs?nonsense=1", "nonsense"),
        ("/logs/histogram?interval_minutes=0", "interval_minutes"),
        (
            "/logs/histogram?interval_minutes=1&start_time=2000-01-01T00:00:00Z",
            "interval_minutes",
        ),
        ("/attackers?limit=1000", "limit"),
        ("/attackers?sort_by=name", "sort_by"),
        ("/attackers?sort_order=up", "sort_order"),
        ("/bounty?bounty_type=gold", "bounty_type"),
        ("/bounty?sort_by=name", "sort_by"),
        ("/attackers/not-a-uuid", "id"),
        ("/logs/not-a-number", "id"),
    ] {
        let answer = app.get(path).token(&token).send().await;
        assert_eq!(answer.fields(), [field], "{path}");
    }
    assert_eq!(
        app.get(&format!("/logs?search={}", "x".repeat(512)))
            .token(&token)
            .send()
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn credentials_are_counted_and_listed_as_bounty() {
    let app = App::new().await;
    let token = viewer(&app).await;
    let fields = [
        ("src_ip", "192.0.2.7"),
        ("principal", "root"),
        ("secret_kind", "plaintext"),
        ("secret_printable", "toor"),
        ("secret_b64", "dG9vcg=="),
        ("outcome", "refused"),
    ];
    app.ingest("web-01", &fields, "auth_attempt").await;
    let bounty = get(&app, &token, "/bounty?bounty_type=credential").await;
    assert_eq!(bounty["data"][0]["principal"], "root");
    assert_eq!(bounty["data"][0]["value"], "toor");
    let attacker = get(&app, &token, "/attackers").await;
    assert_eq!(bounty["data"][0]["attacker_glyph"], attacker["data"][0]["glyph"]);
    let stats = get(&app, &token, "/stats").await;
    assert_eq!(
        (
            stats["total_logs"].as_u64(),
            stats["auth_attempts"].as_u64(),
            stats["unique_attackers"].as_u64()
        ),
        (Some(1), Some(1), Some(1))
    );
}

#[tokio::test]
async fn lines_that_did_not_become_evidence_are_listed_page_by_page_with_every_byte() {
    let app = App::new().await;
    let admin = app.admin().await;
    for n in 0..3_u8 {
        app.quarantine(&[b'<', n, 0xfe], "no version").await;
    }
    let first = get(&app, &admin, "/quarantine?limit=2").await;
    assert_eq!(first["total"], 3);
    let before = first["next"].as_str().unwrap();
    let second = get(&app, &admin, &format!("/quarantine?limit=2&before={before}")).await;
    assert!(second.get("next").is_none());
    let lines: Vec<_> = [&first, &second]
        .iter()
        .flat_map(|page| page["data"].as_array().unwrap())
        .map(|kept| {
            (
                kept["line"].as_str().unwrap().to_owned(),
                kept["offset"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            (r"<\x02\xfe".to_owned(), 3),
            (r"<\x01\xfe".to_owned(), 2),
            (r"<\x00\xfe".to_owned(), 1)
        ]
    );
    assert_eq!(first["data"][0]["why"], "no version");
    let refused = app.get("/quarantine?limit=501").token(&admin).send().await;
    assert_eq!(refused.fields(), ["limit"]);
}

#[tokio::test]
async fn a_row_has_the_glyph_of_its_attacker() {
    let app = App::new().await;
    let token = viewer(&app).await;
    app.ingest("web-01", &[("src_ip", "192.0.2.7")], "connect").await;
    app.ingest("web-01", &[], "connect").await;
    let rows = get(&app, &token, "/logs").await;
    let attacker = get(&app, &token, "/attackers").await;
    assert_eq!(rows["data"][1]["attacker_glyph"], attacker["data"][0]["glyph"]);
    assert!(
        rows["data"][0].get("attacker_glyph").is_none(),
        "nobody's row has none"
    );
}
