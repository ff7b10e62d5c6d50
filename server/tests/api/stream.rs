//! Live events: what they begin with, what follows, and when they end.

use std::time::Duration;

use axum::http::{HeaderName, Method, StatusCode, header};
use decnet_domain::Options;
use decnet_model::{
    clock::{Clock as _, SystemClock},
    id::TaskId,
    state::{Role, WorkerState},
    topic::Topic,
    view::WorkerView,
};
use decnet_testkit::bus::{DOOMS, Doomed};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::app::{App, PASSWORD};

/// How long an event may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a stream may go on whose reader may read no more. That is a promise, and not how long it takes.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A stream that is being read.
pub(crate) struct Stream {
    body: axum::body::Body,
    text: String,
}

/// An event: its id and its envelope.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) id: Option<String>,
    pub(crate) envelope: Value,
}

impl Stream {
    pub(crate) async fn open(app: &App, token: &str, last: Option<&str>) -> Self {
        Self::at(app, "/stream", token, last).await
    }

    async fn at(app: &App, path: &str, token: &str, last: Option<&str>) -> Self {
        let mut ask = app.get(path).token(token);
        if let Some(last) = last {
            ask = ask.header(HeaderName::from_static("last-event-id"), last);
        }
        let response = ask.open().await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next event; nothing when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let line = |name: &str| {
                    event
                        .lines()
                        .find_map(|l| l.strip_prefix(name))
                        .map(str::to_owned)
                };
                // A tick says only that the stream lives.
                let says = line("data: ").filter(|_| line("event: ").is_none());
                let said = says.map(|data| Said {
                    id: line("id: "),
                    envelope: serde_json::from_str(&data).unwrap(),
                });
                self.text = rest.to_owned();
                match said {
                    Some(said) => return Some(said),
                    None => continue,
                }
            }
            let frame = timeout(PATIENCE, self.body.frame())
                .await
                .expect("no event in time")?;
            self.text
                .push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
        }
    }

    /// The next event of that type.
    pub(crate) async fn wait_for(&mut self, kind: &str) -> Said {
        loop {
            let said = self.next().await.expect("the stream ended");
            assert_eq!(said.envelope["v"], 1);
            assert!(said.envelope["ts"].is_string());
            if said.envelope["type"] == kind {
                return said;
            }
        }
    }

    /// Read to the end; what was still to come does not matter.
    pub(crate) async fn ends(&mut self) {
        while self.next().await.is_some() {}
    }
}

fn commands(said: &Said) -> Vec<String> {
    let rows = said.envelope["payload"].as_array().unwrap();
    rows.iter()
        .map(|row| row["fields"]["command"].as_str().unwrap().to_owned())
        .collect()
}

async fn command(app: &App, text: &str) {
    app.ingest("web-01", &[("src_ip", "192.0.2.7"), ("command", text)], "command")
        .await;
    app.bus.publish(Topic::system_log(), json!({}));
}

#[tokio::test]
async fn a_snapshot_comes_first_and_then_each_row_once() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    command(&app, "before").await;
    let mut stream = Stream::open(&app, &token, None).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.envelope["type"], "snapshot");
    assert_eq!(
        first.envelope["payload"]["logs"][0]["fields"]["command"],
        "before"
    );
    assert_eq!(
        first.id.as_deref(),
        first.envelope["payload"]["logs"][0]["id"]
            .as_i64()
            .map(|n| n.to_string())
            .as_deref()
    );
    command(&app, "one").await;
    assert_eq!(commands(&stream.wait_for("logs").await), ["one"]);
    let attackers = stream.wait_for("attackers").await;
    assert_eq!(attackers.envelope["payload"][0]["ip"], "192.0.2.7");
    command(&app, "two").await;
    assert_eq!(commands(&stream.wait_for("logs").await), ["two"]);
}

#[tokio::test]
async fn the_counters_move_with_the_rows() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let mut stream = Stream::open(&app, &token, None).await;
    stream.wait_for("snapshot").await;
    for n in 1..=5 {
        command(&app, "id").await;
        stream.wait_for("attackers").await;
        // Told before the next look, which sends the next rows.
        command(&app, "next").await;
        let mut counted = None;
        loop {
            let said = stream.next().await.unwrap();
            match said.envelope["type"].as_str().unwrap() {
                "stats" => counted = said.envelope["payload"]["total_logs"].as_u64(),
                "logs" => break,
                _ => {}
            }
        }
        assert!(
            counted.is_some_and(|logs| logs > 2 * (n - 1)),
            "round {n}: {counted:?}"
        );
        stream.wait_for("stats").await;
    }
}

#[tokio::test]
async fn what_the_profiler_makes_of_rows_is_told_once_it_has_read_them() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let mut stream = Stream::open(&app, &token, None).await;
    stream.wait_for("snapshot").await;
    let fields = [
        ("src_ip", "192.0.2.7"),
        ("principal", "root"),
        ("secret_kind", "plaintext"),
        ("secret_printable", "toor"),
        ("outcome", "rejected"),
    ];
    app.ingest("web-01", &fields, "auth_attempt").await;
    let told = stream.wait_for("attackers").await;
    assert_eq!(told.envelope["payload"][0]["session_count"], 0);
    let step = app.store.profile_step(100).await.unwrap();
    let told = stream.wait_for("attackers").await;
    assert_eq!(told.envelope["payload"][0]["session_count"], 1);
    let profiled = stream.wait_for("profiled").await.envelope;
    assert_eq!(profiled["payload"]["up_to"], json!(step.last_id));
    assert_eq!(profiled["payload"]["compared"], 0);
    assert_eq!(app.store.credentials_step(100).await.unwrap(), 1);
    let compared = stream.wait_for("profiled").await.envelope;
    assert_ne!(compared["payload"]["compared"], 0);
}

#[tokio::test]
async fn with_the_bus_dead_the_rows_still_come() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let mut stream = Stream::open(&app, &token, None).await;
    stream.wait_for("snapshot").await;
    app.ingest(
        "web-01",
        &[("src_ip", "192.0.2.7"), ("command", "unheard")],
        "command",
    )
    .await;
    assert_eq!(commands(&stream.wait_for("logs").await), ["unheard"]);
}

#[tokio::test]
async fn with_a_bus_that_is_killed_or_never_answers_the_rows_still_come_and_orders_are_taken() {
    for doom in DOOMS {
        let sockets = tempfile::tempdir().unwrap();
        let path = sockets.path().join("bus.sock");
        let mut doomed = Doomed::meet(doom, &path, "server").await.unwrap();
        let app = App::with_bus(doomed.bus(), Options::default(), |_| {}).await;
        let admin = app.admin().await;
        let mut stream = Stream::open(&app, &admin, None).await;
        stream.wait_for("snapshot").await;
        command(&app, "before").await;
        assert_eq!(commands(&stream.wait_for("logs").await), ["before"], "{doom:?}");

        doomed.comes().await.unwrap();
        let sent = app.bus.stats().sent;
        command(&app, "after").await;
        assert_eq!(commands(&stream.wait_for("logs").await), ["after"], "{doom:?}");
        let spec = json!({ "deckies": [{ "archetype": "linux-server" }] });
        let accepted = app.post("/deckies/deploy", &spec).token(&admin).send().await;
        assert_eq!(accepted.status, StatusCode::ACCEPTED, "{doom:?}: {accepted:?}");
        assert_eq!(app.bus.stats().sent, sent, "{doom:?}: nobody takes anything");
    }
}

#[tokio::test]
async fn a_stream_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    command(&app, "seen").await;
    let id = {
        let mut stream = Stream::open(&app, &token, None).await;
        stream.wait_for("snapshot").await.id.unwrap()
    };
    command(&app, "missed").await;
    let mut stream = Stream::open(&app, &token, Some(&id)).await;
    assert_eq!(commands(&stream.wait_for("logs").await), ["missed"]);
    command(&app, "live").await;
    let live = stream.wait_for("logs").await;
    assert_eq!(commands(&live), ["live"]);
    assert!(live.id.unwrap().parse::<i64>().unwrap() > id.parse::<i64>().unwrap());
    let mut anew = Stream::open(&app, &token, Some("not an id")).await;
    anew.wait_for("snapshot").await;
}

#[tokio::test]
async fn another_stream_goes_on_where_its_url_says_and_the_header_is_the_later_word() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    for n in 0..80 {
        let fields = [("src_ip", "192.0.2.7"), ("command", &*n.to_string())];
        app.ingest("web-01", &fields, "command").await;
    }
    let missed = |from: usize| (from..80).map(|n| n.to_string()).collect::<Vec<_>>();
    // More than a snapshot has.
    let mut stream = Stream::at(&app, "/stream?after=10", &token, None).await;
    assert_eq!(commands(&stream.wait_for("logs").await), missed(10));
    let rest = stream.wait_for("snapshot").await;
    assert_eq!(rest.envelope["payload"]["logs"], json!([]), "nothing twice");
    let mut stream = Stream::at(&app, "/stream?after=10", &token, Some("70")).await;
    assert_eq!(commands(&stream.wait_for("logs").await), missed(70));
    let refused = app.get("/stream?after=first").token(&token).send().await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
}

#[tokio::test]
async fn a_stream_that_comes_back_is_told_of_everything_else_that_moved_meanwhile() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    command(&app, "seen").await;
    let id = {
        let mut stream = Stream::open(&app, &token, None).await;
        let greeted = stream.wait_for("snapshot").await;
        let attackers = &greeted.envelope["payload"]["attackers"];
        assert_eq!(attackers[0]["ip"], "192.0.2.7");
        assert_eq!(greeted.envelope["payload"]["tasks"], json!([]));
        greeted.id.unwrap()
    };
    let fields = [("src_ip", "192.0.2.8"), ("command", "missed")];
    app.ingest("web-01", &fields, "command").await;
    let task: TaskId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    app.store
        .task_create(task, "deploy", &[], app.clock.now())
        .await
        .unwrap();
    let mut stream = Stream::open(&app, &token, Some(&id)).await;
    assert_eq!(commands(&stream.wait_for("logs").await), ["missed"]);
    let attackers = stream.wait_for("attackers").await;
    assert_eq!(attackers.envelope["payload"][0]["ip"], "192.0.2.8");
    let rest = stream.wait_for("snapshot").await;
    assert_eq!(rest.envelope["payload"]["logs"], json!([]), "nothing twice");
    assert_eq!(rest.envelope["payload"]["tasks"][0]["id"], json!(task));
    let reached = rest.id.unwrap();
    assert!(reached.parse::<i64>().unwrap() > id.parse::<i64>().unwrap());

    // Where nothing was missed it goes on after the same id.
    let mut stream = Stream::open(&app, &token, Some(&reached)).await;
    assert_eq!(stream.wait_for("snapshot").await.id.as_deref(), Some(&*reached));
}

#[tokio::test]
async fn whoever_acted_is_told_of_however_many_there_are() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let mut stream = Stream::open(&app, &token, None).await;
    stream.wait_for("snapshot").await;
    let mut still: std::collections::BTreeSet<String> = (1..=120).map(|n| format!("192.0.2.{n}")).collect();
    for ip in &still {
        app.ingest("web-01", &[("src_ip", ip)], "connect").await;
    }
    while !still.is_empty() {
        let told = stream.wait_for("attackers").await;
        for attacker in told.envelope["payload"].as_array().unwrap() {
            still.remove(attacker["ip"].as_str().unwrap());
        }
    }
}

#[tokio::test]
async fn after_an_id_that_there_never_was_a_stream_begins_anew_and_misses_nothing() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    for last in ["1", "9223372036854775807"] {
        let mut stream = Stream::open(&app, &token, Some(last)).await;
        let first = stream.next().await.unwrap();
        assert_eq!(first.envelope["type"], "snapshot", "{last}");
        assert_eq!(first.id.as_deref(), Some("0"), "{last}");
    }
    command(&app, "there").await;
    let mut stream = Stream::open(&app, &token, Some("5000")).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.envelope["type"], "snapshot");
    assert_eq!(first.envelope["payload"]["logs"][0]["fields"]["command"], "there");
    assert_eq!(
        first.id.as_deref(),
        Some("1"),
        "what follows has ids that there are"
    );
    command(&app, "next").await;
    let next = stream.wait_for("logs").await;
    assert_eq!(
        (commands(&next), next.id.as_deref()),
        (vec!["next".to_owned()], Some("2"))
    );
    // What was seen is gone on after, also where nothing was there yet.
    let mut resumed = Stream::open(&app, &token, Some("0")).await;
    assert_eq!(commands(&resumed.wait_for("logs").await), ["there", "next"]);
}

#[tokio::test]
async fn the_sixth_stream_of_a_user_is_refused_and_a_place_comes_free() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(Stream::open(&app, &token, None).await);
    }
    let sixth = app.get("/stream").token(&token).send().await;
    assert_eq!(
        (sixth.status, sixth.problem().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "too-many-requests")
    );
    assert!(sixth.headers.contains_key(header::RETRY_AFTER));
    let (_, other) = app.user("viktor", Role::Viewer).await;
    Stream::open(&app, &other, None).await.wait_for("snapshot").await;
    drop(open.pop());
    // The place is given back when the stream's task is gone, shortly after the stream.
    let again = async {
        while app.get("/stream").token(&token).open().await.status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.expect("the place stays taken");
}

#[tokio::test]
async fn every_change_of_a_user_ends_all_its_streams_within_a_second_and_no_other() {
    let app = App::new().await;
    let admin = app.admin().await;
    let mut goes_on = Stream::open(&app, &admin, None).await;
    goes_on.wait_for("snapshot").await;
    for change in ["role", "reset-password", "change-password", "disabled", "delete"] {
        let (user, session) = app.user(change, Role::Viewer).await;
        let new = json!({ "name": "feed", "role": "viewer" });
        let made = app.post("/auth/tokens", &new).token(&session).send().await.json();
        let mut streams = Vec::new();
        for token in [session.as_str(), made["token"].as_str().unwrap()] {
            let mut stream = Stream::open(&app, token, None).await;
            stream.wait_for("snapshot").await;
            streams.push(stream);
        }
        let path = format!("/users/{}/{change}", user.id);
        let done = match change {
            "role" => app.put(&path, &json!({ "role": "admin" })).token(&admin),
            "reset-password" => {
                let new = json!({ "new_password": format!("{PASSWORD}-2") });
                app.put(&path, &new).token(&admin)
            }
            "change-password" => {
                let new = json!({ "old_password": PASSWORD, "new_password": format!("{PASSWORD}-2") });
                app.post("/auth/change-password", &new).token(&session)
            }
            "disabled" => app.put(&path, &json!({ "disabled": true })).token(&admin),
            _ => app
                .ask(Method::DELETE, &format!("/users/{}", user.id))
                .token(&admin),
        };
        let done = done.send().await;
        assert!(done.status.is_success(), "{change}: {done:?}");
        for (stream, of) in streams.iter_mut().zip(["the session", "the API token"]) {
            let ended = timeout(AT_ONCE, stream.ends()).await;
            assert!(ended.is_ok(), "{change}: the stream of {of} goes on");
        }
    }
    command(&app, "still here").await;
    assert_eq!(commands(&goes_on.wait_for("logs").await), ["still here"]);
}

#[tokio::test]
async fn a_stream_ends_when_its_session_is_signed_out_and_another_goes_on() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let other = crate::app::token(&app.login("vera", PASSWORD).send().await);
    let mut stream = Stream::open(&app, &token, None).await;
    let mut stays = Stream::open(&app, &other, None).await;
    app.post("/auth/logout", &json!({})).token(&token).send().await;
    timeout(AT_ONCE, stream.ends()).await.expect("the stream goes on");
    stays.wait_for("snapshot").await;
    command(&app, "still here").await;
    assert_eq!(commands(&stays.wait_for("logs").await), ["still here"]);
}

#[tokio::test]
async fn a_change_by_another_process_ends_the_stream_over_the_bus() {
    let app = App::new().await;
    let (user, token) = app.user("vera", Role::Viewer).await;
    let mut stream = Stream::open(&app, &token, None).await;
    stream.wait_for("snapshot").await;
    // Another process: its own domain on the same database and bus.
    let cli = decnet_domain::Domain::new(
        app.store.clone(),
        app.bus.clone(),
        std::sync::Arc::new(SystemClock),
        Options::default(),
    )
    .unwrap();
    let operator = decnet_domain::Actor::operator("test");
    let permit = cli
        .permit::<decnet_model::permission::ManageUsers>(&operator)
        .unwrap();
    cli.user_set_disabled(&permit, user.id, true).await.unwrap();
    timeout(AT_ONCE, stream.ends()).await.expect("the stream goes on");
    assert_eq!(
        app.get("/auth/me").token(&token).send().await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_dropped_and_not_waited_for() {
    let options = Options {
        sse_max_per_user: 1,
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let unread = app.get("/stream").token(&token).open().await;
    assert_eq!(unread.status(), StatusCode::OK);
    // Evidence goes on; the one place of the user comes free although its stream was never closed.
    let freed = async {
        loop {
            command(&app, "more").await;
            if app.get("/stream").token(&token).open().await.status() == StatusCode::OK {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed)
        .await
        .expect("the slow reader is still waited for");
    drop(unread);
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let mut stream = Stream::open(&app, &token, None).await;
    stream.wait_for("snapshot").await;
    app.shutdown.request();
    stream.ends().await;
}

#[tokio::test]
async fn a_token_in_the_address_opens_nothing() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    for path in ["/stream", "/logs", "/auth/me"] {
        for name in ["token", "access_token", "ticket"] {
            let answer = app.get(&format!("{path}?{name}={token}")).send().await;
            assert_eq!(answer.problem(), "unauthenticated", "{path} {name}");
        }
    }
}

#[tokio::test]
async fn that_the_host_does_otherwise_is_told_and_then_asked_for_as_told() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let mut stream = Stream::open(&app, &token, None).await;
    let failing = |health: &Value| {
        let parts = health["components"].as_array().unwrap();
        let collector = parts.iter().find(|part| part["name"] == "collector");
        collector.unwrap()["detail"] == "stopped"
    };
    // The subscription stands once the background has begun.
    loop {
        let beat = WorkerView {
            state: WorkerState::Stopped,
            last_heard: Some(app.clock.now()),
            pid: Some(7),
            ..WorkerView::unheard("collector".parse().unwrap())
        };
        app.bus.publish(Topic::worker_health(&beat.name), &beat);
        if failing(&stream.wait_for("health").await.envelope["payload"]) {
            break;
        }
    }
    let asked = app.get("/health").token(&token).send().await.json();
    assert!(failing(&asked), "{asked}");
}
