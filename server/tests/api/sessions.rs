//! Open sessions: seen, and ended.

use axum::http::{Method, StatusCode, header};
use decnet_model::state::Role;
use serde_json::{Value, json};

use crate::{
    app::{App, PASSWORD, token},
    stream::Stream,
};

async fn listed(app: &App, token: &str) -> Vec<Value> {
    let answer = app.get("/auth/sessions").token(token).send().await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json().as_array().unwrap().clone()
}

async fn signed_in(app: &App, name: &str, from: &str, agent: &str) -> String {
    let login = app
        .login(name, PASSWORD)
        .from(from)
        .header(header::USER_AGENT, agent);
    token(&login.send().await)
}

#[tokio::test]
async fn a_user_sees_its_open_sessions_and_which_is_this_one() {
    let app = App::new().await;
    let (_, first) = app.user("vera", Role::Viewer).await;
    app.user("other", Role::Viewer).await;
    app.clock.advance(time::Duration::minutes(3));
    let hostile = format!("<script>x</script>\t\u{202e}{}", "y".repeat(500));
    let second = signed_in(&app, "vera", "203.0.113.9", &hostile).await;
    let mine = listed(&app, &second).await;
    assert_eq!(mine.len(), 2, "{mine:?}");
    assert_eq!(
        (&mine[0]["current"], &mine[1]["current"]),
        (&json!(true), &json!(false))
    );
    let id = mine[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(mine[0]["address"], "203.0.113.9");
    assert_eq!(mine[0]["started_at"], "2027-01-15T08:03:00Z");
    assert_eq!(mine[1]["last_seen_at"], "2027-01-15T08:00:00Z");
    let agent = mine[0]["user_agent"].as_str().unwrap();
    assert!(
        agent.starts_with("<script>x</script>\\x09") && agent.chars().count() <= 200,
        "{agent}"
    );

    // Used from elsewhere a minute later.
    app.clock.advance(time::Duration::seconds(60));
    let stats = app.get("/stats").token(&second).from("203.0.113.10");
    stats.header(header::USER_AGENT, "curl/8").send().await;
    // Both were used in the same minute now, so either may come first.
    let mine = listed(&app, &first).await;
    let other = mine.iter().find(|s| s["current"] == false).unwrap();
    assert_eq!(
        (&other["address"], &other["user_agent"]),
        (&json!("203.0.113.10"), &json!("curl/8"))
    );
    assert_eq!(other["last_seen_at"], "2027-01-15T08:04:00Z");
    assert_eq!(other["id"], json!(id), "the same session");
}

#[tokio::test]
async fn an_ended_session_is_out_at_once_with_its_stream_and_the_others_go_on() {
    let app = App::new().await;
    let (_, one) = app.user("vera", Role::Viewer).await;
    app.clock.advance(time::Duration::minutes(1));
    let two = signed_in(&app, "vera", "203.0.113.9", "two").await;
    let (_, other) = app.user("other", Role::Viewer).await;
    let id = listed(&app, &two).await[0]["id"].as_str().unwrap().to_owned();
    let mut ended = Stream::open(&app, &two, None).await;
    let mut goes_on = Stream::open(&app, &one, None).await;
    for stream in [&mut ended, &mut goes_on] {
        stream.wait_for("snapshot").await;
    }
    let end = |by: &str| app.ask(Method::DELETE, &format!("/auth/sessions/{id}")).token(by);
    assert_eq!(end(&other).send().await.problem(), "not-found", "another's");
    assert_eq!(app.get("/stats").token(&two).send().await.status, StatusCode::OK);

    assert_eq!(end(&one).send().await.status, StatusCode::NO_CONTENT);
    tokio::time::timeout(std::time::Duration::from_secs(1), ended.ends())
        .await
        .expect("the stream goes on");
    assert_eq!(
        app.get("/stats").token(&two).send().await.problem(),
        "unauthenticated"
    );
    assert_eq!(end(&one).send().await.problem(), "not-found", "ended once");
    assert_eq!(listed(&app, &one).await.len(), 1);
    app.ingest("web-01", &[("src_ip", "192.0.2.7"), ("command", "id")], "command")
        .await;
    goes_on.wait_for("logs").await;
}

#[tokio::test]
async fn all_others_end_at_once_and_this_one_goes_on() {
    let app = App::new().await;
    let (_, one) = app.user("vera", Role::Viewer).await;
    let two = signed_in(&app, "vera", "203.0.113.9", "two").await;
    let three = signed_in(&app, "vera", "203.0.113.10", "three").await;
    let (_, other) = app.user("other", Role::Viewer).await;
    let mut streams = Vec::new();
    for token in [&two, &three, &one] {
        let mut stream = Stream::open(&app, token, None).await;
        stream.wait_for("snapshot").await;
        streams.push(stream);
    }
    let mut goes_on = streams.pop().unwrap();
    let done = app.ask(Method::DELETE, "/auth/sessions").token(&one).send().await;
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    for mut stream in streams {
        tokio::time::timeout(std::time::Duration::from_secs(1), stream.ends())
            .await
            .expect("the stream goes on");
    }
    for gone in [&two, &three] {
        assert_eq!(
            app.get("/stats").token(gone).send().await.problem(),
            "unauthenticated"
        );
    }
    for here in [&one, &other] {
        assert_eq!(app.get("/stats").token(here).send().await.status, StatusCode::OK);
    }
    app.ingest("web-01", &[("src_ip", "192.0.2.7"), ("command", "id")], "command")
        .await;
    goes_on.wait_for("logs").await;
    let audit = app.get("/audit").token(&app.admin().await).send().await.text;
    assert!(audit.contains("session.end_others"), "{audit}");
}

#[tokio::test]
async fn an_administrator_ends_all_sessions_of_a_user_and_its_tokens_stay() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (vera, one) = app.user("vera", Role::Viewer).await;
    let two = signed_in(&app, "vera", "203.0.113.9", "two").await;
    let new = json!({ "name": "feed" });
    let made = app.post("/auth/tokens", &new).token(&one).send().await.json();
    let feed = made["token"].as_str().unwrap();
    let mut stream = Stream::open(&app, &two, None).await;
    stream.wait_for("snapshot").await;
    let path = format!("/users/{}/sessions", vera.id);
    let done = app.ask(Method::DELETE, &path).token(&admin).send().await;
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    stream.ends().await;
    for gone in [&one, &two] {
        assert_eq!(
            app.get("/stats").token(gone).send().await.problem(),
            "unauthenticated"
        );
    }
    assert_eq!(app.get("/stats").token(feed).send().await.status, StatusCode::OK);
    let new = signed_in(&app, "vera", "203.0.113.9", "three").await;
    assert_eq!(listed(&app, &new).await.len(), 1);
    let nobody = "/users/01890a5d-ac96-774b-bcce-b302099a8057/sessions";
    assert_eq!(
        app.ask(Method::DELETE, nobody)
            .token(&admin)
            .send()
            .await
            .problem(),
        "not-found"
    );
}

#[tokio::test]
async fn a_second_factor_throws_out_who_knew_the_password_alone() {
    let app = App::new().await;
    let (_, mine) = app.user("vera", Role::Viewer).await;
    let thief = signed_in(&app, "vera", "203.0.113.9", "thief").await;
    crate::totp::enrol(&app, &mine).await;
    assert_eq!(
        app.get("/stats").token(&thief).send().await.problem(),
        "unauthenticated"
    );
    assert_eq!(app.get("/stats").token(&mine).send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn before_something_is_done_to_an_account_the_page_says_how_much_of_it_ends() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (vera, first) = app.user("vera", Role::Viewer).await;
    let second = token(&app.login("vera", PASSWORD).send().await);
    for token in [&first, &second] {
        app.get("/auth/me").token(token).send().await;
    }
    let page = async |order: &str| {
        let page = format!("/settings/users?user={}&order={order}", vera.id);
        app.at(Method::GET, &page).token(&admin).send().await.text
    };
    for (order, said) in [
        (
            "password",
            "Ends 2 sessions of vera; they sign in again with the new password",
        ),
        (
            "remove",
            "Ends 2 sessions of vera, and there is no API token of theirs",
        ),
        (
            "role",
            "Ends 2 sessions of vera; they sign in again, and may do then",
        ),
    ] {
        let page = page(order).await;
        assert!(page.contains(said), "{order}: {page}");
    }
    // What cannot be done to them, or is nothing, has none.
    for order in ["factor", "enable", "nonsense"] {
        assert!(!page(order).await.contains("<dialog"), "{order}");
    }
}
