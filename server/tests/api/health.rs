//! What is told and what goes on when a part of the host fails: a database that is away, a full disk.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::{StatusCode, header};
use decnet_bus::{Bus, BusConfig};
use decnet_db::Observation;
use decnet_domain::Options;
use decnet_model::{
    clock::Clock,
    id::UserId,
    name::DeckyName,
    state::{DeckyState, Role, WorkerState},
    topic::Topic,
    view::WorkerView,
};
use decnet_runtime::heartbeat;
use serde_json::{Value, json};

use crate::app::{Answer, App, PASSWORD, token};

/// The health as it is told once `fits` takes it.
async fn until(app: &App, token: Option<&str>, fits: impl Fn(&Answer) -> bool) -> Answer {
    let looking = async {
        loop {
            let ask = app.get("/health");
            let answer = match token {
                Some(token) => ask.token(token),
                None => ask,
            };
            let answer = answer.send().await;
            if fits(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking)
        .await
        .unwrap_or_else(|_| panic!("the health is never told so"))
}

/// The part of that name.
fn part(answer: &Answer, name: &str) -> Value {
    let told = answer.json();
    let parts = told["components"].as_array().cloned().unwrap_or_default();
    let found = parts.into_iter().find(|part| part["name"] == name);
    found.unwrap_or_default()
}

fn database(answer: &Answer) -> Value {
    part(answer, "database")["status"].clone()
}

#[tokio::test]
async fn a_database_that_is_away_is_told_without_asking_it_and_fails_no_request_as_a_fault_of_ours() {
    let options = Options {
        health_interval: Duration::from_millis(20),
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    until(&app, Some(&token), |answer| database(answer) == "ok").await;

    app.store.close().await;
    let told = until(&app, Some(&token), |answer| database(answer) == "failing").await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    let anybody = app.get("/health").send().await;
    assert_eq!(
        (anybody.status, anybody.json()),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "status": "unhealthy", "components": [] })
        )
    );
    let made_up = app.get("/health").token("a.b.c").send().await;
    assert_eq!(made_up.json()["components"], json!([]));

    let logs = app.get("/logs").token(&token).send().await;
    assert_eq!(
        (logs.status, logs.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    );
    assert_eq!(logs.headers[header::RETRY_AFTER], "5");
}

#[tokio::test]
async fn what_a_worker_says_of_itself_stands_in_the_health_before_the_next_look_in_turn() {
    let options = Options {
        health_interval: Duration::from_secs(3600),
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    for (state, status) in [(WorkerState::Ok, "ok"), (WorkerState::Stopped, "failing")] {
        until(&app, Some(&token), |answer| {
            let beat = WorkerView {
                state,
                last_heard: Some(app.clock.now()),
                pid: Some(7),
                ..WorkerView::unheard("collector".parse().unwrap())
            };
            app.bus.publish(Topic::worker_health(&beat.name), &beat);
            part(answer, "collector")["status"] == status
        })
        .await;
    }
}

#[tokio::test]
async fn a_bus_of_others_that_is_away_is_told_in_the_health() {
    let options = Options {
        health_interval: Duration::from_millis(20),
        ..Options::default()
    };
    // Nobody listens there.
    let bus = BusConfig::new("nats://127.0.0.1:1".parse().unwrap());
    let app = App::with_bus(Bus::connect(&bus, "test"), options, |_| {}).await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let told = until(&app, Some(&token), |answer| {
        part(answer, "bus")["status"] == "failing"
    })
    .await;
    assert_eq!(part(&told, "bus")["critical"], false, "evidence needs no bus");
}

#[tokio::test]
async fn deckies_that_do_not_run_degrade_the_host_and_a_container_engine_that_is_away_fails_it() {
    let options = Options {
        health_interval: Duration::from_millis(20),
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let fleet = |answer: &Answer| part(answer, "fleet");
    let told = until(&app, Some(&token), |answer| fleet(answer)["status"] == "ok").await;
    assert_eq!(part(&told, "container engine"), Value::Null, "nobody noted one");

    let admin = app.admin().await;
    let spec = json!({ "deckies": [{ "archetype": "linux-server", "amount": 4 }] });
    let accepted = app.post("/deckies/deploy", &spec).token(&admin).send().await;
    let names: Vec<DeckyName> = serde_json::from_value(accepted.json()["deckies"].clone()).unwrap();
    let told = until(&app, Some(&token), |answer| {
        fleet(answer)["detail"]
            .as_str()
            .is_some_and(|d| d.contains("of 4"))
    })
    .await;
    assert_eq!(fleet(&told)["status"], "ok", "they are being made");

    // As the reconciler writes it down.
    let states = [
        DeckyState::Failed,
        DeckyState::Failed,
        DeckyState::Degraded,
        DeckyState::Running,
    ];
    for (name, state) in names.iter().zip(states) {
        let seen = Observation {
            state,
            last_error: None,
            services: None,
        };
        app.store
            .decky_observe(name, &seen, app.clock.now())
            .await
            .unwrap();
    }
    app.store.decky_set_failures(&names[0], &[], true).await.unwrap();
    // One that an operator stopped is none that should run.
    let extra = json!({ "deckies": [{ "archetype": "linux-server", "name": "resting" }] });
    app.post("/deckies/deploy", &extra).token(&admin).send().await;
    let rests = app.post("/deckies/resting/stop", &json!({})).token(&admin);
    assert_eq!(rests.send().await.status, StatusCode::ACCEPTED);
    let told = until(&app, Some(&token), |answer| fleet(answer)["status"] == "degraded").await;
    let detail = "of 4 wanted deckies 1 failed, 1 in quarantine, 1 degraded, 1 stopped";
    let told = match fleet(&told)["detail"] == detail {
        true => told,
        // The look may have been in between.
        false => until(&app, Some(&token), |answer| fleet(answer)["detail"] == detail).await,
    };
    assert_eq!(fleet(&told)["critical"], false);

    let note = async |away: Option<&str>| {
        let note = json!({ "engine": "docker", "away": away }).to_string();
        app.store.setting_set("fleet-engine", &note).await.unwrap();
    };
    note(Some("no daemon answers")).await;
    let told = until(&app, Some(&token), |answer| {
        part(answer, "container engine")["status"] == "failing"
    })
    .await;
    assert_eq!(
        (told.status, &told.json()["status"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("unhealthy"))
    );
    let engine = part(&told, "container engine");
    assert_eq!(
        (&engine["critical"], &engine["detail"]),
        (&json!(true), &json!("does not answer: administrators see why"))
    );
    let told = app.get("/health").token(&admin).send().await;
    assert_eq!(part(&told, "container engine")["detail"], "no daemon answers");
    note(None).await;
    let told = until(&app, Some(&token), |answer| {
        part(answer, "container engine")["status"] != "failing"
    })
    .await;
    assert!(
        part(&told, "container engine")["detail"]
            .to_string()
            .contains("no mutator"),
        "{told:?}"
    );
}

/// Fill `disk`, on which the database of `app` is, with a file, whose path this gives, until not even a login can be noted.
async fn fill(app: &App, disk: &Path, user: UserId) -> PathBuf {
    let ballast = disk.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    // The database has some room of its own: first the file cannot grow, and then the log before it neither.
    let filler = "x".repeat(100_000);
    let fill = async |at| app.store.audit_append(at, "a", "b", &filler, None, "ok").await;
    let note = async |at| app.store.user_logged_in(user, at).await;
    let mut writes = 0;
    while fill(app.clock.now()).await.is_ok() || note(app.clock.now()).await.is_ok() {
        // What is stored already is not written again.
        app.clock.advance(time::Duration::milliseconds(1));
        writes += 1;
        assert!(writes < 10_000, "the disk is never full");
    }
    ballast
}

#[test]
fn a_full_disk_is_told_in_the_health_and_what_it_kept_from_being_stored_is_stored_later() {
    let test = "health::a_full_disk_is_told_in_the_health_and_what_it_kept_from_being_stored_is_stored_later";
    let Some(disk) = decnet_testkit::disk::small(test, "16m").unwrap() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = Options {
            health_interval: Duration::from_millis(20),
            run_dir: Some(disk.join("run")),
            ..Options::default()
        };
        let app = App::on(&disk, options).await;
        let (vera, token) = app.user("vera", Role::Viewer).await;
        let (_, admin) = app.user("root", Role::Admin).await;
        let say = |name: &str, alarm: Option<&str>| {
            let beat = WorkerView {
                name: name.parse().unwrap(),
                state: WorkerState::Ok,
                last_heard: Some(app.clock.now()),
                pid: Some(7),
                version: None,
                uptime_s: None,
                tasks: alarm
                    .map(|text| (heartbeat::ALARM.to_owned(), text.to_owned()))
                    .into_iter()
                    .collect(),
                kept_by: None,
            };
            app.bus.publish(Topic::worker_health(&beat.name), &beat);
        };
        // The subscription stands once the background has begun.
        until(&app, Some(&token), |answer| {
            say("collector", None);
            part(answer, "collector")["status"] == "ok"
        })
        .await;

        let ballast = fill(&app, &disk, vera.id).await;
        app.clock.advance(time::Duration::seconds(1));
        for name in ["collector", "ingester"] {
            say(name, Some("no room"));
        }
        let told = until(&app, Some(&token), |answer| {
            database(answer) == "degraded" && part(answer, "ingester")["status"] == "degraded"
        })
        .await;
        assert_eq!(
            (told.status, &told.json()["status"]),
            (StatusCode::OK, &json!("degraded"))
        );
        let public = "something keeps it from its work: administrators see what";
        let told_to_admin = app.get("/health").token(&admin).send().await;
        for (told, detail) in [(&told, public), (&told_to_admin, "no room")] {
            let collector = part(told, "collector");
            assert_eq!(
                (&collector["status"], &collector["detail"]),
                (&json!("degraded"), &json!(detail))
            );
        }
        let why = part(&told, "database")["detail"].to_string();
        assert!(why.contains("disk is full"), "{why}");
        for (token, words) in [(&token, public), (&admin, "no room")] {
            let listed = app.get("/workers").token(token).send().await.json();
            let listed = listed.as_array().unwrap().iter();
            let said = listed.filter(|worker| worker["tasks"][heartbeat::ALARM] == words);
            assert_eq!(said.count(), 2, "the list of workers agrees");
        }

        std::fs::remove_file(&ballast).unwrap();
        until(&app, Some(&token), |answer| database(answer) == "ok").await;
        let stored = app.store.worker_list(app.clock.now()).await.unwrap();
        let of = |name: &str| stored.iter().find(|worker| worker.name.as_str() == name).unwrap();
        assert_eq!(of("collector").tasks[heartbeat::ALARM], "no room");
        assert_eq!(
            of("ingester").last_heard,
            None,
            "it has a database, and writes for itself"
        );
    });
}

#[test]
fn on_a_full_disk_one_can_sign_in_and_a_change_is_refused_with_the_reason() {
    let test = "health::on_a_full_disk_one_can_sign_in_and_a_change_is_refused_with_the_reason";
    let Some(disk) = decnet_testkit::disk::small(test, "16m").unwrap() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let app = App::on(&disk, Options::default()).await;
        let (root, _) = app.user("root", Role::Admin).await;
        let ballast = fill(&app, &disk, root.id).await;

        let token = token(&app.login("root", PASSWORD).send().await);
        let new = json!({ "username": "vera", "password": PASSWORD, "role": "viewer" });
        let refused = app.post("/users", &new).token(&token).send().await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "disk-full")
        );
        assert!(
            refused.text.contains("the disk of the database is full"),
            "{}",
            refused.text
        );
        assert_eq!(
            app.get("/users").token(&token).send().await.status,
            StatusCode::OK
        );

        std::fs::remove_file(&ballast).unwrap();
        let made = app.post("/users", &new).token(&token).send().await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    });
}
