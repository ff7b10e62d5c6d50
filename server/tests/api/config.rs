//! Settings that are changed while DECNET runs.

use axum::http::{Method, StatusCode, header};
use decnet_domain::{Actor, Setting};
use decnet_model::{clock::Clock, fleet::FleetSpec, permission::ManageFleet, state::Role};
use serde_json::{Value, json};

use crate::{
    app::{App, PASSWORD, token},
    stream::Stream,
};

async fn config(app: &App, token: &str) -> Value {
    let answer = app.get("/config").token(token).send().await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn a_setting_is_checked_set_shown_audited_and_left_to_the_configuration_again() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (_, viewer) = app.user("vera", Role::Viewer).await;
    let before = config(&app, &viewer).await;
    assert_eq!(
        before,
        json!({
            "deployment_limit": 200, "mutation_interval_minutes": 0, "session_lifetime_minutes": 240,
            "changed": [], "ignore_rules": [], "ignored_lines": 0
        })
    );
    for (path, field, shown, good, bad) in [
        (
            "deployment-limit",
            "deployment_limit",
            "deployment_limit",
            [1, 10_000],
            [0, 10_001],
        ),
        (
            "global-mutation-interval",
            "minutes",
            "mutation_interval_minutes",
            [0, 525_600],
            [-1, 525_601],
        ),
        ("retention", "days", "retention_days", [1, 36_500], [0, 36_501]),
        (
            "session-lifetime",
            "minutes",
            "session_lifetime_minutes",
            [5, 10_080],
            [4, 10_081],
        ),
    ] {
        let put = async |body: Value| {
            app.put(&format!("/config/{path}"), &body)
                .token(&admin)
                .send()
                .await
        };
        for value in bad.map(Value::from).into_iter().chain([json!("7"), json!(1.5)]) {
            assert_eq!(
                put(json!({ field: value })).await.fields(),
                [field],
                "{path} {value}"
            );
        }
        assert_eq!(put(json!({})).await.fields(), [field], "nothing is not null");
        for value in good {
            assert_eq!(put(json!({ field: value })).await.status, StatusCode::NO_CONTENT);
            let now = config(&app, &viewer).await;
            assert_eq!(now[shown], value);
            assert_eq!(now["changed"].as_array().unwrap().len(), 1, "{now}");
        }
        assert_eq!(put(json!({ field: null })).await.status, StatusCode::NO_CONTENT);
        assert_eq!(config(&app, &viewer).await, before, "{path}");
    }
    let audit = app.get("/audit?limit=500").token(&admin).send().await.text;
    for entry in [
        "retention-days = 36500",
        "retention-days = the configuration's",
        "deployment-limit = 1\"",
    ] {
        assert!(audit.contains(entry), "{entry}: {audit}");
    }
}

#[tokio::test]
async fn the_most_deckies_and_the_life_of_a_session_are_heeded_at_once() {
    let app = App::new().await;
    let admin = app.admin().await;
    let body = json!({ "deployment_limit": 1 });
    app.put("/config/deployment-limit", &body)
        .token(&admin)
        .send()
        .await;
    let permit = app
        .domain
        .permit::<ManageFleet>(&Actor::operator("test"))
        .unwrap();
    let two: FleetSpec =
        serde_json::from_value(json!({ "deckies": [{ "archetype": "web-server", "amount": 2 }] })).unwrap();
    let refused = app.domain.decky_deploy(&permit, two.clone()).await.unwrap_err();
    assert!(refused.to_string().contains('1'), "{refused}");
    let body = json!({ "deployment_limit": 2 });
    app.put("/config/deployment-limit", &body)
        .token(&admin)
        .send()
        .await;
    app.domain.decky_deploy(&permit, two).await.unwrap();

    let body = json!({ "minutes": 5 });
    app.put("/config/session-lifetime", &body)
        .token(&admin)
        .send()
        .await;
    let login = app.login("root", PASSWORD).send().await;
    let cookie = login.headers[axum::http::header::SET_COOKIE]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(cookie.contains("Max-Age=300;"), "{cookie}");
    let short = token(&login);
    app.clock.advance(time::Duration::seconds(299));
    assert_eq!(
        app.get("/stats").token(&short).send().await.status,
        StatusCode::OK
    );
    app.clock.advance(time::Duration::seconds(1));
    assert_eq!(
        app.get("/stats").token(&short).send().await.problem(),
        "unauthenticated"
    );
    assert_eq!(
        app.get("/stats").token(&admin).send().await.status,
        StatusCode::OK,
        "from before"
    );
}

#[tokio::test]
async fn ignore_rules_are_validated_listed_and_removed() {
    let app = App::new().await;
    let admin = app.admin().await;
    let add = async |body: &Value| app.post("/config/ignore-rules", body).token(&admin).send().await;
    for (body, field) in [
        (json!({ "lines": {} }), "network"),
        (json!({ "lines": { "network": "0.0.0.0/0" } }), "network"),
        (json!({ "lines": { "decky": "a b" } }), "decky"),
        (json!({ "lines": { "service": "x".repeat(65) } }), "service"),
        (json!({ "lines": { "event_type": "" } }), "event_type"),
        (json!({ "lines": { "service": "ssh" }, "note": "a\u{7}" }), "note"),
        (json!({ "lines": { "network": "192.0.2.0/33" } }), "lines.network"),
        (json!({ "lines": { "port": 22 } }), "lines.port"),
        (json!({ "note": "x" }), "lines"),
    ] {
        let fields = add(&body).await.fields();
        assert_eq!(fields, [field], "{body}");
    }
    let body =
        json!({ "lines": { "network": "192.0.2.77/24", "service": "ssh" }, "note": "our own scanner" });
    let made = add(&body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(
        made.json()["lines"],
        json!({ "network": "192.0.2.0/24", "service": "ssh" })
    );
    assert_eq!(made.json()["created_by"], "root");
    assert_eq!(add(&body).await.problem(), "conflict", "the same once more");
    let second = add(&json!({ "lines": { "network": "2001:db8::1" } }))
        .await
        .json();
    assert_eq!(second["lines"]["network"], "2001:db8::1/128");
    let (_, viewer) = app.user("vera", Role::Viewer).await;
    assert_eq!(
        config(&app, &viewer).await["ignore_rules"],
        json!([made.json(), second])
    );

    let delete = async |id: &str| {
        let path = format!("/config/ignore-rules/{id}");
        app.ask(Method::DELETE, &path).token(&admin).send().await
    };
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(delete(&id).await.status, StatusCode::NO_CONTENT);
    assert_eq!(delete(&id).await.problem(), "not-found");
    assert_eq!(config(&app, &viewer).await["ignore_rules"], json!([second]));
    for n in 1..100 {
        let body = json!({ "lines": { "network": format!("198.51.100.{n}") } });
        assert_eq!(add(&body).await.status, StatusCode::CREATED, "{n}");
    }
    assert_eq!(add(&body).await.problem(), "conflict", "there are a hundred");
}

#[tokio::test]
async fn all_evidence_is_deleted_after_the_word_for_it_and_what_comes_is_stored_and_streamed() {
    let app = App::new().await;
    let admin = app.admin().await;
    for n in 0..5 {
        let fields = [("src_ip", "192.0.2.7"), ("command", &*format!("old{n}"))];
        app.ingest("web-01", &fields, "command").await;
    }
    let mut stream = Stream::open(&app, &admin, None).await;
    let known = stream.wait_for("snapshot").await;
    assert_eq!(known.envelope["payload"]["forgotten"], 0);
    let known = known.id.unwrap();
    let reinit = async |body: Value| {
        let ask = app
            .ask(Method::DELETE, "/config/reinit")
            .json(&body)
            .token(&admin);
        ask.send().await
    };
    for word in ["", "yes", "Delete all evidence", "delete all evidence "] {
        assert_eq!(
            reinit(json!({ "confirmation": word })).await.fields(),
            ["confirmation"]
        );
    }
    assert_eq!(app.get("/logs").token(&admin).send().await.json()["total"], 5);
    let done = reinit(json!({ "confirmation": decnet_domain::REINITIALISE })).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{done:?}");
    let told = stream.wait_for("forgotten").await;
    assert_eq!(told.envelope["payload"]["up_to"], 6);
    assert_eq!(told.id.as_deref(), Some("6"), "who was told is not told again");
    let mut late = Stream::open(&app, &admin, Some(&known)).await;
    assert_eq!(late.next().await.unwrap().envelope["type"], "forgotten");
    let mut anew = Stream::open(&app, &admin, told.id.as_deref()).await;
    assert_eq!(anew.next().await.unwrap().envelope["type"], "stats");
    for path in ["/logs", "/attackers", "/bounty", "/quarantine"] {
        let page = app.get(path).token(&admin).send().await.json();
        assert_eq!(page["data"], json!([]), "{path}");
    }
    let stats = app.store.stats(app.clock.now()).await.unwrap();
    assert_eq!(
        (stats.total_logs, stats.unique_attackers, stats.bounties),
        (0, 0, 0)
    );
    app.ingest(
        "web-01",
        &[("src_ip", "192.0.2.7"), ("command", "new")],
        "command",
    )
    .await;
    let said = stream.wait_for("logs").await;
    assert!(said.envelope.to_string().contains("\"new\""), "{said:?}");
    stream.wait_for("stats").await;
    // By another process, which this one hears nothing of.
    app.store.evidence_forget().await.unwrap();
    let told = stream.wait_for("forgotten").await;
    assert_eq!(told.envelope["payload"]["up_to"], 8);
    let counted = stream.wait_for("stats").await;
    assert_eq!(counted.envelope["payload"]["total_logs"], 0);
    let audit = app.get("/audit").token(&admin).send().await.json();
    let results: Vec<_> = audit["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["action"] == "evidence.reinitialise")
        .map(|e| e["result"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(results, ["ok", "invalid", "invalid", "invalid", "invalid"]);
    // The audit log is no evidence of intruders, and neither are settings.
    let set = app
        .store
        .setting_number_set(Setting::RetentionDays, Some(3))
        .await;
    set.unwrap();
    assert_eq!(config(&app, &admin).await["retention_days"], 3);
}

#[tokio::test]
async fn by_the_dashboard_rows_are_deleted_for_their_age_only_where_the_words_were_typed() {
    let app = App::new().await;
    app.ingest("web-01", &[("src_ip", "192.0.2.7")], "connect").await;
    app.clock.advance(time::Duration::days(40));
    let admin = app.admin().await;
    let set = async |body: &'static str| {
        let form = app
            .ask(Method::POST, "/ui/setting_change")
            .token(&admin)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        form.send().await
    };
    for unsaid in ["", "&confirm=", "&confirm=delete"] {
        let body = format!("name=retention-days&value=30{unsaid}");
        let refused = set(body.leak()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{unsaid}");
        assert!(refused.text.contains("delete old rows"), "{}", refused.text);
    }
    assert_eq!(config(&app, &admin).await["retention_days"], Value::Null);
    // Where nothing goes there is nothing to say.
    for (body, days) in [
        ("name=retention-days&value=60", 60),
        ("name=retention-days&value=30&confirm=+delete+old+rows+", 30),
    ] {
        let done = set(body).await;
        assert!(done.status.is_success(), "{}: {}", done.status, done.text);
        assert_eq!(config(&app, &admin).await["retention_days"], days);
    }
}
