//! Reading what was recorded: pages, limits, hostile text.

use axum::http::{Method, StatusCode, header};
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
async fn an_answer_is_for_everybody_of_a_role_for_a_moment_and_nobodys_after_a_change() {
    let hour = std::time::Duration::from_secs(3_600);
    let app = App::with(decnet_domain::Options::default(), |config| {
        config.answers_good_for = hour
    })
    .await;
    let token = viewer(&app).await;
    let admin = app.admin().await;
    let (_, other) = app.user("victor", Role::Viewer).await;
    let count = async |token: &str, path: &str| {
        let page = get(&app, token, path).await;
        page["data"].as_array().unwrap().len()
    };
    let touch = async || app.ingest("web-01", &[("src_ip", "192.0.2.7")], "connect").await;
    touch().await;
    assert_eq!(count(&token, "/logs?limit=50").await, 1);
    touch().await;
    assert_eq!(count(&token, "/logs?limit=50").await, 1, "made a moment ago");
    assert_eq!(
        count(&other, "/logs?limit=50").await,
        1,
        "for everybody of a role"
    );
    assert_eq!(count(&admin, "/logs?limit=50").await, 2, "who may see more");
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
    // And by the dashboard, whose functions are not of this API.
    let retention = async || get(&app, &admin, "/config").await["retention_days"].clone();
    assert_eq!(retention().await, Value::Null);
    let changed = app
        .ask(Method::POST, "/ui/setting_change")
        .token(&admin)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body("name=retention-days&value=3")
        .send()
        .await;
    assert!(
        changed.status.is_success(),
        "{}: {}",
        changed.status,
        changed.text
    );
    assert_eq!(retention().await, 3);
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
    // And those of a time, of which there is a file, too.
    for (time, number) in [("start_time", HOSTILE.len()), ("end_time", 0)] {
        let query = format!("{time}=2001-02-03T04:05:06Z");
        let of_time = get(&app, &token, &format!("/attackers/{id}/commands?{query}")).await;
        assert_eq!(of_time["data"].as_array().unwrap().len(), number, "{time}");
        let file = format!("/attackers/{id}/commands/export?{query}&format=json");
        let file = get(&app, &token, &file).await;
        assert_eq!(file.as_array().unwrap().len(), number, "{time}");
    }
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
async fn lines_that_did_not_become_evidence_are_found_by_text_segment_and_time_and_taken_along() {
    let app = App::new().await;
    let admin = app.admin().await;
    app.quarantine(b"a line of one sort", "no version").await;
    app.quarantine(b"another \xfe thing", "NO SORT").await;
    app.quarantine(b"neither", "no version").await;
    let lines = async |filters: &str| {
        let page = get(&app, &admin, &format!("/quarantine?{filters}")).await;
        let lines = page["data"].as_array().unwrap().iter();
        lines
            .map(|kept| kept["line"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        lines("search=sort").await,
        [r"another \xfe thing", "a line of one sort"]
    );
    assert_eq!(lines("search=%5Cxfe").await, [r"another \xfe thing"]);
    assert_eq!(lines("segment=0&search=neither").await, ["neither"]);
    assert_eq!(lines("segment=9").await, [""; 0]);
    assert_eq!(lines("end_time=1999-01-01T00:00:00Z").await, [""; 0]);
    assert_eq!(lines("start_time=1999-01-01T00:00:00Z").await.len(), 3);
    let first = get(&app, &admin, "/quarantine?search=sort&limit=1").await;
    assert!(first.get("total").is_none(), "a filtered list has none");
    let next = first["next"].as_str().unwrap();
    assert_eq!(
        lines(&format!("search=sort&before={next}")).await,
        ["a line of one sort"]
    );
    let file = app
        .get("/quarantine/export?search=sort&format=json")
        .token(&admin)
        .send()
        .await;
    let file: Value = serde_json::from_str(&file.text).unwrap();
    assert_eq!(file.as_array().unwrap().len(), 2);
    for (query, field) in [
        (format!("search={}", "x".repeat(513)), "search"),
        ("segment=-1".to_owned(), "segment"),
        ("segment=9223372036854775808".to_owned(), "segment"),
        (
            "start_time=2026-01-02T00:00:00Z&end_time=2026-01-01T00:00:00Z".to_owned(),
            "end_time",
        ),
        ("why=no".to_owned(), "why"),
    ] {
        for list in ["/quarantine", "/quarantine/export"] {
            let answer = app.get(&format!("{list}?{query}")).token(&admin).send().await;
            assert_eq!(answer.fields(), [field], "{list}?{query}");
        }
    }
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

#[tokio::test]
async fn the_way_of_an_attacker_has_their_deckies_in_order_and_the_hops_between_them() {
    let app = App::new().await;
    let token = viewer(&app).await;
    for (decky, session) in [("web-01", "a"), ("db-01", "b"), ("web-01", "c")] {
        let fields = [("src_ip", "192.0.2.7"), ("session", session)];
        app.ingest(decky, &fields, "connect").await;
    }
    let attackers = get(&app, &token, "/attackers").await;
    let path = format!(
        "/attackers/{}/traversal",
        attackers["data"][0]["id"].as_str().unwrap()
    );
    let way = get(&app, &token, &path).await;
    let told = |list: &str, keys: &[&str]| -> Vec<Vec<Value>> {
        let list = way[list].as_array().unwrap().iter();
        list.map(|one| keys.iter().map(|key| one[key].clone()).collect())
            .collect()
    };
    assert_eq!(
        told("stations", &["decky", "sessions", "events"]),
        [
            ["web-01".into(), 2.into(), 2.into()],
            ["db-01".into(), 1.into(), 1.into()] as [Value; 3]
        ]
    );
    assert_eq!(
        told("hops", &["from", "to", "count", "commands"]),
        [
            ["web-01".into(), "db-01".into(), 1.into(), 0.into()],
            ["db-01".into(), "web-01".into(), 1.into(), 0.into()] as [Value; 4]
        ]
    );
    assert_eq!((&way["whole"], &way["more_stations"]), (&true.into(), &0.into()));
    let none = get(&app, &token, &format!("{path}?service=ftp")).await;
    assert_eq!(none["stations"], Value::Array(Vec::new()));
    let long = "x".repeat(129);
    for (query, field) in [
        (format!("service={long}"), "service"),
        (
            "start_time=2026-01-02T00:00:00Z&end_time=2026-01-01T00:00:00Z".to_owned(),
            "end_time",
        ),
        ("decky=web-01".to_owned(), "decky"),
    ] {
        let answer = app.get(&format!("{path}?{query}")).token(&token).send().await;
        assert_eq!(answer.fields(), [field], "{query}");
    }
    let nobody = "/attackers/01890a5d-ac96-774b-bcce-b302099a8057/traversal";
    let answer = app.get(nobody).token(&token).send().await;
    assert_eq!(answer.problem(), "not-found");
}

#[tokio::test]
async fn the_overview_of_an_attacker_has_their_rows_and_sums_and_everybodys_threads() {
    let app = App::new().await;
    let token = viewer(&app).await;
    for (decky, ip, command) in [
        ("web-01", "192.0.2.7", "id"),
        ("db-01", "192.0.2.7", "uname -a"),
        ("web-01", "192.0.2.8", "ls"),
        ("web-01", "192.0.2.7", "id"),
    ] {
        let fields = [("src_ip", ip), ("command", command)];
        app.ingest(decky, &fields, "command").await;
    }
    // What is counted is before now.
    app.clock.advance(time::Duration::MINUTE);
    let overview = async |rows: Value| {
        let body = serde_json::json!({ "rows": rows, "start_s": 1_700_000_000, "step": 1_440 });
        let ask = app.ask(Method::POST, "/ui/overview_get").token(&token);
        ask.json(&body).send().await.json()
    };
    let told = |overview: &Value, of: &str, name: &str| -> Vec<String> {
        let list = overview.pointer(of).unwrap().as_array().unwrap().iter();
        list.map(|one| one[name].as_str().unwrap().to_owned()).collect()
    };
    let threads = |overview: &Value| {
        let touches = overview["touches"].as_array().unwrap().iter();
        let pairs = touches.map(|touch| (touch["ip"].to_string(), touch["decky"].to_string()));
        pairs.collect::<std::collections::BTreeSet<_>>().len()
    };
    let all = overview(serde_json::json!({})).await;
    assert_eq!(told(&all, "/logs", "attacker_ip").len(), 4);
    assert_eq!(threads(&all), 3);
    let one = overview(serde_json::json!({ "attacker_ip": "192.0.2.7" })).await;
    assert_eq!(told(&one, "/logs", "attacker_ip"), ["192.0.2.7"; 3]);
    assert_eq!(told(&one, "/tops/attackers", "ip"), ["192.0.2.7"]);
    assert_eq!(told(&one, "/tops/commands", "name"), ["id", "uname -a"]);
    assert_eq!(told(&one, "/tops/deckies", "name"), ["web-01", "db-01"]);
    assert_eq!(threads(&one), 3, "those of others stand beside");
    let there = overview(serde_json::json!({ "decky": "web-01" })).await;
    assert_eq!(told(&there, "/logs", "decky"), ["web-01"; 3]);
    assert_eq!(told(&there, "/tops/commands", "name"), ["id", "ls"]);
    assert_eq!(told(&there, "/tops/attackers", "ip").len(), 2);
    let both = serde_json::json!({ "attacker_ip": "192.0.2.8", "decky": "db-01" });
    let both = overview(both).await;
    assert_eq!(told(&both, "/logs", "decky"), [""; 0]);
    assert_eq!(told(&both, "/tops/commands", "name"), [""; 0]);
    let counted = |overview: &Value| -> u64 {
        let columns = overview["columns"].as_array().unwrap().iter();
        columns.map(|column| column[1].as_u64().unwrap()).sum()
    };
    assert_eq!(
        (counted(&all), counted(&one), counted(&there), counted(&both)),
        (4, 3, 3, 0)
    );
}

#[tokio::test]
async fn what_an_attacker_gave_away_is_not_covered_by_however_many_fingerprints_came_since() {
    let app = App::new().await;
    let token = viewer(&app).await;
    let tried = [
        ("src_ip", "192.0.2.7"),
        ("principal", "root"),
        ("secret_kind", "plaintext"),
        ("secret_printable", "toor"),
    ];
    app.ingest("web-01", &tried, "auth_attempt").await;
    let fetched = [("src_ip", "192.0.2.7"), ("url", "http://192.0.2.9/x")];
    app.ingest("web-01", &fetched, "fetch_attempt").await;
    let print = async |decky: usize, print: usize| {
        let fields = [
            ("src_ip", "192.0.2.7"),
            ("fingerprint", &*format!("print-{print}")),
        ];
        app.ingest(&format!("decky-{decky}"), &fields, "client_fingerprint")
            .await;
    };
    let attackers = app.get("/attackers").token(&token).send().await.json();
    let body = serde_json::json!({ "id": attackers["data"][0]["id"], "rows": {} });
    let left = async || {
        let ask = app.ask(Method::POST, "/ui/left_get").token(&token);
        ask.json(&body).send().await.json()
    };
    let told = |left: &Value, of: &str, name: &str| -> Vec<String> {
        let list = left[of].as_array().unwrap().iter();
        list.map(|one| one[name].as_str().unwrap().to_owned()).collect()
    };
    for decky in 0..100 {
        for mark in 0..2 {
            print(decky, mark).await;
        }
    }
    let now = left().await;
    assert_eq!(told(&now, "loot", "kind"), ["payload", "credential"]);
    assert_eq!(now["more_loot"], false, "that is all of it");
    assert_eq!(told(&now, "fingerprints", "value"), ["print-1", "print-0"]);
    assert_eq!(now["fingerprints"][0]["count"], 100);
    assert_eq!(now["more_fingerprints"], false);
    for mark in 2..22 {
        print(0, mark).await;
    }
    let now = left().await;
    assert_eq!(told(&now, "loot", "kind"), ["payload", "credential"]);
    assert_eq!(now["fingerprints"].as_array().unwrap().len(), 20);
    assert_eq!(now["more_fingerprints"], true);
}
