//! Many who ask the same at the same moment, and how often that is read.

use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use decnet_domain::Options;
use decnet_model::{
    clock::Clock as _,
    query::{AttackerQuery, BountyQuery, LogQuery},
    state::Role,
};
use serde_json::{Value, json};

use crate::app::{App, Ask};

const CALLERS: usize = 50;

/// What is read for each of these, in the words of the store.
const STATS: &str = "read the counters";
const TOPS: &str = "read a top list";
const LOGS: &str = "read log rows";
const ATTACKERS: &str = "read attackers";
const BOUNTIES: &str = "read bounties";

/// A server with some evidence, on which nothing is read but for who asks, and a token.
async fn quiet(good_for: Duration) -> (App, String) {
    let app = App::with(Options::default(), |config| config.answers_good_for = good_for).await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    for n in 0..9 {
        let from = format!("192.0.2.{n}");
        let fields = [
            ("src_ip", from.as_str()),
            ("principal", "root"),
            ("secret_printable", "toor"),
        ];
        app.ingest("web-01", &fields, "auth_attempt").await;
    }
    app.rest().await;
    (app, token)
}

/// How often `operation` is read while `work` goes on.
async fn reads(app: &App, operation: &str, work: impl Future<Output = ()>) -> u64 {
    let before = app.store.reads(operation);
    work.await;
    app.store.reads(operation) - before
}

/// Fifty at once.
async fn all_ask<'a>(ask: impl Fn() -> Ask<'a>) {
    let answers = futures::future::join_all((0..CALLERS).map(|_| ask().send())).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (StatusCode::OK, &answers[0].text));
    }
}

/// How often one look of the store itself reads each of these.
async fn once(app: &App) -> [(&'static str, u64); 5] {
    let store = &app.store;
    let stats = async {
        store.stats(app.clock.now()).await.unwrap();
    };
    let tops = async {
        store.tops(8).await.unwrap();
    };
    let logs = async {
        store.log_page(&LogQuery::default()).await.unwrap();
    };
    let attackers = async {
        store.attacker_page(&AttackerQuery::default()).await.unwrap();
    };
    let bounties = async {
        store.bounty_page(&BountyQuery::default()).await.unwrap();
    };
    [
        (STATS, reads(app, STATS, stats).await),
        (TOPS, reads(app, TOPS, tops).await),
        (LOGS, reads(app, LOGS, logs).await),
        (ATTACKERS, reads(app, ATTACKERS, attackers).await),
        (BOUNTIES, reads(app, BOUNTIES, bounties).await),
    ]
}

#[tokio::test]
async fn fifty_programs_that_ask_the_same_at_once_have_it_read_once() {
    let (app, token) = quiet(Duration::from_secs(600)).await;
    let once = once(&app).await;
    for ((operation, once), path) in
        once.into_iter()
            .zip(["/stats", "/tops", "/logs", "/attackers", "/bounty"])
    {
        assert!(once > 0, "{operation}");
        let fifty = reads(&app, operation, all_ask(|| app.get(path).token(&token))).await;
        assert_eq!(fifty, once, "{path}");
        // And whoever asks a moment later.
        let more = reads(&app, operation, all_ask(|| app.get(path).token(&token))).await;
        assert_eq!(more, 0, "{path}");
    }
}

#[tokio::test]
async fn fifty_pages_that_ask_the_same_at_once_have_it_read_a_few_times() {
    let (app, token) = quiet(Duration::ZERO).await;
    let call = |function: &str, arguments: &Value| {
        let ask = app.ask(Method::POST, &format!("/ui/{function}")).token(&token);
        if arguments.is_null() {
            ask.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        } else {
            ask.json(arguments)
        }
    };
    let once = once(&app).await;
    let (nothing, query, rows) = (Value::Null, json!({ "query": {} }), json!({ "rows": {} }));
    let functions = [
        ("stats_get", &nothing),
        ("tops_get", &rows),
        ("log_page", &query),
        ("attacker_page", &query),
        ("bounty_page", &query),
    ];
    for ((operation, once), (function, arguments)) in once.into_iter().zip(functions) {
        let fifty = reads(&app, operation, all_ask(|| call(function, arguments))).await;
        // A page of the log says up to which row it reaches, which each asks for itself.
        let own = if function == "log_page" { CALLERS } else { 0 };
        // Who asks while a list is read waits for the next reading, which is for all of them: how many there are is up to how far apart
        // the fifty get through the door. Two were usual, three where the machine was busy.
        let most = 10 * once + u64::try_from(own).unwrap();
        assert!(
            (once..=most).contains(&fifty),
            "{function}: {fifty} reads, {once} of one"
        );
    }
}
