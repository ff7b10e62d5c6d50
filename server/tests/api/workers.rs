//! The workers: heartbeats that only the bus tells, and telling a worker to stop.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use axum::http::{Method, StatusCode};
use decnet_bus::Bus;
use decnet_domain::Options;
use decnet_model::{
    clock::Clock,
    state::{ORDER, Role, WORKERS, WorkerState},
    topic::Topic,
    view::WorkerView,
};
use decnet_runtime::{
    Settings,
    heartbeat::{self, QUARANTINE},
    installed::Places,
    settings::Sources,
    supervisor::{Door, Lock, Order},
};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::app::App;

fn beat(name: &str) -> WorkerView {
    WorkerView {
        name: name.parse().unwrap(),
        state: WorkerState::Ok,
        last_heard: Some(time::OffsetDateTime::UNIX_EPOCH),
        pid: Some(7),
        version: Some("1.2.3".into()),
        uptime_s: Some(5),
        tasks: BTreeMap::from([("spool".to_owned(), "at 0:17".to_owned())]),
        kept_by: None,
    }
}

fn say(app: &App, beat: &WorkerView) {
    app.bus.publish(Topic::worker_health(&beat.name), beat);
}

async fn listed(app: &App, token: &str, name: &str) -> Value {
    let all = app.get("/workers").token(token).send().await.json();
    let found = all.as_array().unwrap().iter().find(|w| w["name"] == name);
    found.unwrap().clone()
}

/// The worker as it is listed once `fits` takes it.
async fn until(app: &App, token: &str, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let looking = async {
        loop {
            let worker = listed(app, token, name).await;
            if fits(&worker) {
                return worker;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking)
        .await
        .unwrap_or_else(|_| panic!("{name} is never listed so"))
}

#[tokio::test]
async fn a_worker_without_a_database_is_listed_by_what_it_says_on_the_bus() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    assert_eq!(listed(&app, &token, "collector").await["state"], "unknown");
    // The subscription stands once the background has begun: until then nobody hears.
    let worker = until_heard(&app, &token, &beat("collector")).await;
    assert_eq!(
        (&worker["pid"], &worker["version"], &worker["tasks"]["spool"]),
        (&json!(7), &json!("1.2.3"), &json!("at 0:17"))
    );
    let heard = app
        .clock
        .now()
        .format(&time::format_description::well_known::Rfc3339);
    assert_eq!(
        worker["last_heard"],
        json!(heard.unwrap()),
        "the time of arrival, not what it says"
    );
    let stopped = WorkerView {
        state: WorkerState::Stopped,
        ..beat("collector")
    };
    say(&app, &stopped);
    until(&app, &token, "collector", |w| w["state"] == "stopped").await;
}

/// Say `beat` until somebody hears it.
async fn until_heard(app: &App, token: &str, beat: &WorkerView) -> Value {
    let name = beat.name.as_str();
    until(app, token, name, |w| {
        say(app, beat);
        w["state"] == "ok"
    })
    .await
}

#[tokio::test]
async fn the_bus_cannot_speak_for_workers_that_write_themselves_nor_invent_any() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    until_heard(&app, &token, &beat("bus")).await;
    let mut huge = beat("collector");
    huge.version = Some("v".repeat(100_000));
    huge.tasks = (0..64)
        .map(|n| (format!("{n:04}-{}", "t".repeat(1_000)), "ä".repeat(1_000)))
        .collect();
    let said_by_another = Topic::worker_health(&"collector".parse().unwrap());
    app.bus.publish(&said_by_another, beat("ingester"));
    app.bus.publish(&said_by_another, "no heartbeat");
    app.bus.publish(
        &said_by_another,
        json!({ "name": "collector", "state": "unknown", "last_heard": null, "tasks": {} }),
    );
    for name in ["ingester", "profiler", "mutator", "server", "barista"] {
        say(&app, &beat(name));
    }
    // Events of one publisher come in their order: what is above was heard when this one is stored.
    say(&app, &huge);
    let worker = until(&app, &token, "collector", |w| w["state"] == "ok").await;
    assert_eq!(worker["version"].as_str().unwrap().len(), 64);
    let tasks = worker["tasks"].as_object().unwrap();
    assert_eq!(tasks.len(), 32);
    assert!(
        tasks
            .iter()
            .all(|(name, text)| name.len() == 64 && text.as_str().unwrap().chars().count() == 512)
    );
    let all = app.get("/workers").token(&token).send().await.json();
    for worker in all.as_array().unwrap() {
        let heard = ["bus", "collector"].contains(&worker["name"].as_str().unwrap());
        assert_eq!(worker["state"] == "ok", heard, "{worker}");
        assert_ne!(worker["name"], "barista");
    }
}

#[tokio::test]
async fn without_the_bus_no_worker_can_be_told_to_stop_and_the_answer_says_so() {
    let app = App::with_bus(Bus::none(), Options::default(), |_| {}).await;
    let admin = app.admin().await;
    let answer = app
        .post("/workers/profiler/stop", &json!({}))
        .token(&admin)
        .send()
        .await;
    assert_eq!(answer.problem(), "unanswered");
    assert!(answer.text.contains("the bus is off"), "{}", answer.text);
}

#[tokio::test]
async fn a_worker_was_told_to_stop_when_it_says_so_and_not_before() {
    let app = App::new().await;
    let admin = app.admin().await;
    let stop = async || {
        let order = app.post("/workers/profiler/stop", &json!({})).token(&admin);
        order.send().await
    };
    let unheard = stop().await;
    assert_eq!(unheard.problem(), "unanswered");
    assert!(unheard.text.contains("nobody heard"), "{}", unheard.text);
    let mut control = app.bus.subscribe("system.profiler.control".parse().unwrap());
    let profiler = async {
        let order = control.recv().await.unwrap();
        assert_eq!(order.payload["requested_by"], "root");
        let obeying = BTreeMap::from([(ORDER.to_owned(), "to stop, from root".to_owned())]);
        say(
            &app,
            &WorkerView {
                tasks: obeying,
                ..beat("profiler")
            },
        );
    };
    let (told, ()) = tokio::join!(stop(), profiler);
    assert_eq!(told.status, axum::http::StatusCode::ACCEPTED, "{}", told.text);
}

#[tokio::test]
async fn a_worker_is_started_and_without_the_bus_stopped_by_the_host_that_runs_it() {
    let data = tempfile::tempdir().unwrap();
    let run = data.path().join("run");
    std::fs::create_dir(&run).unwrap();
    let options = Options {
        run_dir: Some(run.clone()),
        ..Options::default()
    };
    let app = App::with_bus(Bus::none(), options, |_| {}).await;
    let admin = app.admin().await;
    let start = async |name: &str| {
        let order = app
            .post(&format!("/workers/{name}/start"), &json!({}))
            .token(&admin);
        order.send().await
    };
    let nobody = start("profiler").await;
    assert_eq!(nobody.problem(), "unanswered");
    assert!(nobody.text.contains("no `decnet up` runs on"), "{}", nobody.text);
    let door = Door::open(&run).unwrap();
    let host = tokio::spawn(door.serve(|order| async move {
        match order {
            Order::Start(name) if name.as_str() == "profiler" => Ok(()),
            Order::Start(name) => Err(format!("decnet-{name} runs already")),
            Order::Stop(name) if name.as_str() == "collector" => Ok(()),
            Order::Stop(name) | Order::Clear(name) => Err(format!("decnet-{name} does not run")),
        }
    }));
    assert_eq!(start("profiler").await.status, axum::http::StatusCode::NO_CONTENT);
    let again = start("mutator").await;
    assert_eq!(again.problem(), "conflict");
    assert!(again.text.contains("runs already"), "{}", again.text);
    assert_eq!(start("barista").await.problem(), "not-found");
    let all = app.post("/workers/start-all", &json!({})).token(&admin);
    let all = all.send().await.json();
    assert_eq!(
        (&all["started"], &all["already_running"]),
        (&json!(["profiler"]), &json!(["server"]))
    );
    assert_eq!(
        all["failed"][0],
        json!({ "name": "collector", "reason": "decnet-collector runs already" })
    );
    let stop = async |name: &str| {
        let order = app
            .post(&format!("/workers/{name}/stop"), &json!({}))
            .token(&admin);
        order.send().await
    };
    assert_eq!(stop("collector").await.status, axum::http::StatusCode::ACCEPTED);
    let down = stop("mutator").await;
    assert_eq!(down.problem(), "conflict");
    assert!(down.text.contains("does not run"), "{}", down.text);
    host.abort();
}

#[tokio::test]
async fn all_workers_are_started_side_by_side_and_one_that_says_nothing_keeps_no_other_from_it() {
    let data = tempfile::tempdir().unwrap();
    let options = Options {
        run_dir: Some(data.path().to_owned()),
        ..Options::default()
    };
    let app = App::with_bus(Bus::none(), options, |_| {}).await;
    let admin = app.admin().await;
    // All but the server, and the bus, which there is none of. Who is asked answers once everybody is.
    let asked = Arc::new(Barrier::new(WORKERS.len() - 2));
    let door = Door::open(data.path()).unwrap();
    let host = tokio::spawn(door.serve(move |order| {
        let asked = asked.clone();
        async move {
            asked.wait().await;
            match order.worker().as_str() {
                "mutator" => panic!("it hangs up without a word"),
                _ => Ok(()),
            }
        }
    }));
    let all = app.post("/workers/start-all", &json!({})).token(&admin);
    let all = tokio::time::timeout(Duration::from_secs(20), all.send())
        .await
        .expect("one after the other");
    assert_eq!(all.status, StatusCode::OK, "{}", all.text);
    let all = all.json();
    assert_eq!(all["started"], json!(["collector", "ingester", "profiler"]));
    assert_eq!(all["failed"][0]["name"], "mutator");
    assert!(
        all["failed"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("did not answer"),
        "{all}"
    );
    host.abort();
}

#[tokio::test]
async fn a_worker_in_quarantine_is_shown_with_its_last_words_until_what_keeps_it_has_tried_it_again() {
    let data = tempfile::tempdir().unwrap();
    let run = data.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::write(data.path().join("decnet-profiler"), "").unwrap();
    let options = Options {
        run_dir: Some(run.clone()),
        installed: Places {
            programs: data.path().to_owned(),
            units: Vec::new(),
        },
        health_interval: Duration::from_millis(20),
        ..Options::default()
    };
    let app = App::with_bus(Bus::none(), options, |_| {}).await;
    let admin = app.admin().await;
    for (name, kept_by) in [("profiler", "nobody"), ("mutator", "missing")] {
        assert_eq!(listed(&app, &admin, name).await["kept_by"], kept_by);
    }
    let why = "in quarantine after 5 deaths within 10 minutes: ended with code 1: no room";
    let left = WorkerView {
        state: WorkerState::Quarantined,
        last_heard: Some(app.clock.now()),
        tasks: BTreeMap::from([(QUARANTINE.to_owned(), why.to_owned())]),
        ..WorkerView::unheard("profiler".parse().unwrap())
    };
    heartbeat::leave(&run, &left).unwrap();
    let forgotten = listed(&app, &admin, "profiler").await;
    assert_eq!(
        (&forgotten["state"], &forgotten["tasks"]),
        (&json!("stopped"), &json!({})),
        "the host that put it there is gone"
    );
    let mut sources = Sources::default();
    sources
        .flags
        .insert("data-dir", data.path().display().to_string());
    let up = Lock::take(&Settings::read(&sources).unwrap()).unwrap();
    let worker = listed(&app, &admin, "profiler").await;
    assert_eq!(
        (&worker["state"], &worker["kept_by"], &worker["tasks"][QUARANTINE]),
        (&json!("quarantined"), &json!("up"), &json!(why))
    );
    let told = async {
        loop {
            let health = app.get("/health").token(&admin).send().await.json();
            let mut parts = health["components"].as_array().into_iter().flatten();
            let detail = parts
                .find(|part| part["name"] == "profiler")
                .and_then(|part| part["detail"].as_str());
            if let Some(detail) = detail.filter(|detail| detail.starts_with("in quarantine")) {
                break detail.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(30), told)
        .await
        .expect("the health tells it, too");
    assert_eq!(
        told, "in quarantine: the page of the workers says why",
        "its last lines are not for every token"
    );
    let page = app.page("/workers").token(&admin).send().await.text;
    for words in [why, "is left alone until ", "it has to be installed first"] {
        assert!(page.contains(words), "{words}: {page}");
    }

    let clear = async |name: &str| {
        let order = app.ask(Method::DELETE, &format!("/workers/{name}/quarantine"));
        order.token(&admin).send().await
    };
    assert_eq!(clear("profiler").await.problem(), "unanswered");
    let door = Door::open(&run).unwrap();
    let host = tokio::spawn(door.serve(|order| async move {
        match order {
            Order::Clear(name) if name.as_str() == "profiler" => Ok(()),
            other => Err(format!("decnet-{} is not in quarantine", other.worker())),
        }
    }));
    assert_eq!(clear("profiler").await.status, StatusCode::NO_CONTENT);
    let other = clear("mutator").await;
    assert_eq!(other.problem(), "conflict");
    assert!(other.text.contains("not in quarantine"), "{}", other.text);
    assert_eq!(clear("barista").await.problem(), "not-found");
    host.abort();
    drop(up);
}

#[tokio::test]
async fn without_the_bus_a_worker_without_a_database_is_listed_by_what_it_leaves_on_its_host() {
    let host = tempfile::tempdir().unwrap();
    let options = Options {
        run_dir: Some(host.path().to_owned()),
        ..Options::default()
    };
    let app = App::with_bus(Bus::none(), options, |_| {}).await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    assert_eq!(listed(&app, &token, "collector").await["state"], "unknown");

    let left = |name: &str, state| {
        let beat = WorkerView {
            state,
            last_heard: Some(app.clock.now()),
            pid: Some(std::process::id()),
            ..beat(name)
        };
        heartbeat::leave(host.path(), &beat).unwrap();
        // By the clock of this test alone.
        let file = host.path().join(format!("{name}.health"));
        let mut text: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        text["at"].take();
        fs::write(&file, text.to_string()).unwrap();
    };
    left("collector", WorkerState::Ok);
    let worker = listed(&app, &token, "collector").await;
    assert_eq!(
        (&worker["state"], &worker["pid"], &worker["tasks"]["spool"]),
        (&json!("ok"), &json!(std::process::id()), &json!("at 0:17"))
    );
    app.clock.advance(time::Duration::seconds(91));
    assert_eq!(listed(&app, &token, "collector").await["state"], "stale");
    left("collector", WorkerState::Stopped);
    assert_eq!(listed(&app, &token, "collector").await["state"], "stopped");
    let all = app.get("/workers").token(&token).send().await.json();
    assert!(
        all.as_array().unwrap().iter().all(|w| w["name"] != "bus"),
        "nobody misses a broker of a bus that is off: {all}"
    );

    // The newest counts, wherever it stands.
    left("profiler", WorkerState::Ok);
    app.clock.advance(time::Duration::seconds(60));
    let stored = WorkerView {
        last_heard: Some(app.clock.now()),
        pid: Some(7),
        ..beat("profiler")
    };
    app.store.worker_heartbeat_put(&stored).await.unwrap();
    assert_eq!(listed(&app, &token, "profiler").await["pid"], 7);
    app.clock.advance(time::Duration::seconds(60));
    left("profiler", WorkerState::Ok);
    assert_eq!(listed(&app, &token, "profiler").await["pid"], std::process::id());
}
