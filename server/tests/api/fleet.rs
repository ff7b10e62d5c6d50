//! What is wanted of the fleet and of the workers: desired state and orders, nothing more.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use decnet_bus::Bus;
use decnet_db::Observation;
use decnet_domain::{Actor, Domain, DomainError, Options};
use decnet_model::{
    clock::Clock,
    permission::{ManageFleet, ViewFleet},
    state::{DeckyState, Role},
    topic::{Pattern, Topic},
    view::DeckyView,
};
use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn a_deploy_settles_the_deckies_wakes_the_reconciler_and_is_told_as_a_task() {
    let app = App::new().await;
    let admin = app.admin().await;
    let mut woken = app.bus.subscribe(Pattern::exactly(&Topic::fleet_changed()));
    let spec = json!({ "deckies": [{ "archetype": "linux-server", "amount": 2 }] });
    let accepted = app.post("/deckies/deploy", &spec).token(&admin).send().await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{accepted:?}");
    let event = woken.recv().await.unwrap();
    assert_eq!(event.payload["task"], accepted.json()["task"]);
    let deckies = app.get("/deckies").token(&admin).send().await.json();
    let names: Vec<_> = deckies
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["name"].clone())
        .collect();
    assert_eq!(json!(names), accepted.json()["deckies"]);
    assert_ne!(deckies[0]["ip"], deckies[1]["ip"]);
    assert_eq!(
        (deckies[0]["state"].as_str(), deckies[0]["desired"].as_bool()),
        (Some("pending"), Some(true))
    );
    let task = format!("/tasks/{}", accepted.json()["task"].as_str().unwrap());
    let task = app.get(&task).token(&admin).send().await.json();
    assert_eq!(
        (task["operation"].as_str(), task["status"].as_str()),
        (Some("deploy"), Some("running"))
    );

    let path = format!("/deckies/{}", names[0].as_str().unwrap());
    let gone = app.ask(Method::DELETE, &path).token(&admin).send().await;
    assert_eq!(gone.status, StatusCode::ACCEPTED);
    let after = app.get("/deckies").token(&admin).send().await.json();
    assert_eq!(
        after[0]["desired"], false,
        "it stays in the list until the reconciler has taken it down"
    );
    let again = app.ask(Method::DELETE, &path).token(&admin).send().await;
    assert_eq!(again.problem(), "not-found");
    let replace =
        json!({ "deckies": [{ "archetype": "linux-server", "name": "only-one" }], "replace": true });
    let replaced = app.post("/deckies/deploy", &replace).token(&admin).send().await;
    assert_eq!(replaced.status, StatusCode::ACCEPTED, "{replaced:?}");
    let after = app.get("/deckies").token(&admin).send().await.json();
    let wanted: Vec<_> = after
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["desired"] == true)
        .map(|d| d["name"].clone())
        .collect();
    assert_eq!(wanted, ["only-one"]);
}

#[tokio::test]
async fn processes_that_deploy_at_the_same_time_settle_on_names_and_addresses_of_their_own() {
    let app = App::new().await;
    let processes: Vec<_> = (0..4)
        .map(|_| {
            let domain = Domain::new(
                app.store.clone(),
                Bus::none(),
                app.clock.clone(),
                Options::default(),
            );
            domain.unwrap()
        })
        .collect();
    let deploy = async |spec: &serde_json::Value| {
        let deploys = processes.iter().map(|domain| async {
            let permit = domain.permit(&Actor::operator("test")).unwrap();
            let spec = serde_json::from_value(spec.clone()).unwrap();
            domain.decky_deploy(&permit, spec).await
        });
        futures::future::join_all(deploys).await
    };
    // What is left open is another for each.
    let open = json!({ "deckies": [{ "archetype": "linux-server", "amount": 2 }] });
    for outcome in deploy(&open).await {
        outcome.unwrap();
    }
    let of = |deckies: &[DeckyView], what: fn(&DeckyView) -> String| {
        deckies.iter().map(what).collect::<BTreeSet<_>>()
    };
    let deckies = app.store.decky_list().await.unwrap();
    assert_eq!(deckies.len(), 8);
    assert_eq!(of(&deckies, |decky| decky.ip.to_string()).len(), 8);
    assert_eq!(of(&deckies, |decky| decky.mac.clone()).len(), 8);
    assert_eq!(of(&deckies, |decky| decky.hostname.clone()).len(), 8);
    // What is said belongs to one, and the others hear who has it.
    let said = json!({ "deckies": [{ "archetype": "linux-server", "mac": "3c:52:82:01:02:03" }] });
    let outcomes = deploy(&said).await;
    let (deployed, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((deployed.len(), refused.len()), (1, 3), "{refused:?}");
    for refusal in refused {
        let Err(DomainError::Invalid(faults)) = &refusal else {
            panic!("{refusal:?}");
        };
        assert_eq!(faults[0].field, "deckies[0].mac");
        assert!(faults[0].message.contains("is taken"), "{faults:?}");
    }
    assert_eq!(app.store.decky_list().await.unwrap().len(), 9);
    // So does an amount: the bound of the fleet holds for all together.
    let bound = decnet_db::Setting::DeploymentLimit;
    app.store.setting_number_set(bound, Some(12)).await.unwrap();
    let outcomes = deploy(&open).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(app.store.decky_list().await.unwrap().len(), 11);
    // A name that several want is one decky, wanted as the last of them says.
    let named = json!({ "deckies": [{ "name": "linux-server-01", "archetype": "linux-server" }] });
    for outcome in deploy(&named).await {
        outcome.unwrap();
    }
    assert_eq!(app.store.decky_list().await.unwrap().len(), 11);
    // Nobody's order to make it anew is lost either.
    let name = ["linux-server-01".parse().unwrap()];
    let record = async || app.store.decky_record(&name[0]).await.unwrap().unwrap();
    let before = record().await.spec["generation"].as_u64().unwrap();
    let again = processes.iter().map(|domain| async {
        let permit = domain.permit(&Actor::operator("test")).unwrap();
        domain.decky_redeploy(&permit, &name).await.unwrap();
    });
    futures::future::join_all(again).await;
    assert_eq!(record().await.spec["generation"].as_u64(), Some(before + 4));
}

#[tokio::test]
async fn a_decky_is_stopped_and_started_by_orders_and_while_it_is_stopped_it_is_no_fault_and_not_changed() {
    let app = App::new().await;
    let admin = app.admin().await;
    let spec = json!({ "deckies": [{ "archetype": "linux-server", "name": "web-01" }] });
    let deployed = app.post("/deckies/deploy", &spec).token(&admin).send().await;
    assert_eq!(deployed.status, StatusCode::ACCEPTED, "{deployed:?}");
    let mut woken = app.bus.subscribe(Pattern::exactly(&Topic::fleet_changed()));
    let order = async |order: &str, name: &str| {
        let path = format!("/deckies/{name}/{order}");
        app.post(&path, &json!({})).token(&admin).send().await
    };
    let decky = async || app.get("/deckies").token(&admin).send().await.json()[0].clone();
    let before = decky().await;
    assert_eq!(before["stopped"], false);

    let stopped = order("stop", "web-01").await;
    assert_eq!(stopped.status, StatusCode::ACCEPTED, "{stopped:?}");
    assert_eq!(stopped.json()["deckies"], json!(["web-01"]));
    let event = woken.recv().await.unwrap();
    assert_eq!(
        event.payload["task"],
        stopped.json()["task"],
        "the reconciler is woken"
    );
    let task = format!("/tasks/{}", stopped.json()["task"].as_str().unwrap());
    let task = app.get(&task).token(&admin).send().await.json();
    assert_eq!(task["operation"], "stop");
    let after = decky().await;
    assert_eq!(
        (
            &after["stopped"],
            &after["desired"],
            &after["ip"],
            &after["hostname"]
        ),
        (&json!(true), &json!(true), &before["ip"], &before["hostname"])
    );

    for change in ["mutate", "redeploy"] {
        let refused = order(change, "web-01").await;
        assert_eq!(refused.problem(), "conflict", "{change}: {refused:?}");
        assert!(
            refused.text.contains("web-01 is stopped: start it first"),
            "{}",
            refused.text
        );
    }
    // As the reconciler writes it down.
    let seen = Observation {
        state: DeckyState::Stopped,
        last_error: None,
        services: None,
    };
    let name = "web-01".parse().unwrap();
    app.store
        .decky_observe(&name, &seen, app.clock.now())
        .await
        .unwrap();
    let alerts = app.get("/alerts").token(&admin).send().await;
    assert_eq!(alerts.status, StatusCode::OK);
    assert!(!alerts.text.contains("web-01"), "{}", alerts.text);

    let started = order("start", "web-01").await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{started:?}");
    assert_eq!(decky().await["stopped"], false);
    assert_eq!(order("redeploy", "web-01").await.status, StatusCode::ACCEPTED);

    // Who deploys it anew wants it to run.
    order("stop", "web-01").await;
    let deployed = app.post("/deckies/deploy", &spec).token(&admin).send().await;
    assert_eq!(deployed.status, StatusCode::ACCEPTED, "{deployed:?}");
    assert_eq!(decky().await["stopped"], false);

    for unknown in ["stop", "start"] {
        assert_eq!(order(unknown, "none").await.problem(), "not-found");
    }
    let audit = app.get("/audit?limit=500").token(&admin).send().await.text;
    for action in ["fleet.stop", "fleet.start"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
}

#[tokio::test]
async fn a_decky_in_quarantine_is_tried_again_once_an_operator_says_so() {
    let app = App::new().await;
    let admin = app.admin().await;
    let spec = json!({ "deckies": [{ "archetype": "linux-server", "name": "web-01" }] });
    app.post("/deckies/deploy", &spec).token(&admin).send().await;
    let name = "web-01".parse().unwrap();
    let deaths = [app.clock.now(); 5];
    app.store.decky_set_failures(&name, &deaths, true).await.unwrap();
    let mut woken = app.bus.subscribe(Pattern::exactly(&Topic::fleet_changed()));
    let clear = async |name: &str, token: &str| {
        let path = format!("/deckies/{name}/quarantine");
        app.ask(Method::DELETE, &path).token(token).send().await
    };
    let record = async || app.store.decky_record(&name).await.unwrap().unwrap();

    let (_, viewer) = app.user("viewer", Role::Viewer).await;
    assert_eq!(clear("web-01", &viewer).await.status, StatusCode::FORBIDDEN);
    assert_eq!(clear("none", &admin).await.problem(), "not-found");
    assert!(record().await.view.quarantined, "nobody has cleared it yet");

    let cleared = clear("web-01", &admin).await;
    assert_eq!(cleared.status, StatusCode::NO_CONTENT, "{cleared:?}");
    let event = woken.recv().await.unwrap();
    assert_eq!(event.payload["decky"], "web-01", "the reconciler is woken");
    let after = record().await;
    assert_eq!((after.failures, after.view.quarantined), (vec![], false));
    // So it is by who has it made anew.
    app.store.decky_set_failures(&name, &deaths, true).await.unwrap();
    let again = app.post(&format!("/deckies/{name}/redeploy"), &json!({}));
    assert_eq!(again.token(&admin).send().await.status, StatusCode::ACCEPTED);
    assert!(!record().await.view.quarantined);
    let audit = app.get("/audit?limit=500").token(&admin).send().await.text;
    assert!(audit.contains("fleet.clear_quarantine"), "{audit}");
}

#[tokio::test]
async fn an_order_to_reap_is_a_task_whose_report_names_what_was_reaped() {
    let app = App::new().await;
    let admin = app.admin().await;
    let accepted = app
        .post("/deckies/reap-orphans", &json!({}))
        .token(&admin)
        .send()
        .await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{accepted:?}");
    let id = accepted.json()["task"].as_str().unwrap().to_owned();
    let orphan = "left-01".parse().unwrap();
    // As the reconciler notes it.
    let id = decnet_model::id::TaskId(id.parse().unwrap());
    app.store.task_reap(id, &[orphan]).await.unwrap();
    let task = app.get(&format!("/tasks/{id}")).token(&admin).send().await.json();
    assert_eq!(
        (&task["operation"], &task["deckies"], &task["reaped"]),
        (&json!("reap"), &json!([]), &json!(["left-01"]))
    );
}

#[tokio::test]
async fn every_fault_of_a_specification_is_named_and_nothing_is_wanted() {
    let app = App::new().await;
    let admin = app.admin().await;
    let spec =
        json!({ "deckies": [{ "archetype": "nonsense" }, { "archetype": "linux-server", "ip": "8.8.8.8" }] });
    let fields = app
        .post("/deckies/deploy", &spec)
        .token(&admin)
        .send()
        .await
        .fields();
    assert!(fields.iter().any(|f| f.starts_with("deckies[0]")), "{fields:?}");
    assert_eq!(app.get("/deckies").token(&admin).send().await.json(), json!([]));
    let misspelt = json!({ "deckys": [] });
    assert_eq!(
        app.post("/deckies/deploy", &misspelt)
            .token(&admin)
            .send()
            .await
            .fields(),
        ["deckys"]
    );
}

#[tokio::test]
async fn where_deckies_will_stand_is_told_with_its_room_or_with_what_hinders_them() {
    let app = App::new().await;
    let admin = app.admin().await;
    let network = async || app.get("/fleet/network").token(&admin).send().await.json();
    let all = network().await;
    assert_eq!(
        (&all["engine"], &all["contains"], &all["taken"]),
        (&json!("local"), &json!(false), &json!(0))
    );
    let free = all["free"].as_u64().unwrap();
    let spec = json!({ "deckies": [{ "archetype": "linux-server", "amount": 2 }] });
    app.post("/deckies/deploy", &spec).token(&admin).send().await;
    let some = network().await;
    assert_eq!((&some["network"], &some["taken"]), (&all["network"], &json!(2)));
    assert_eq!(some["free"].as_u64(), Some(free - 2));

    let note = async |note: serde_json::Value| {
        app.store
            .setting_set("fleet-engine", &note.to_string())
            .await
            .unwrap();
    };
    // Six addresses, of which the first is a gateway's and one is taken.
    let found = json!({ "network": "192.0.2.0/29", "reserved": ["192.0.2.1", "192.0.2.3"] });
    note(json!({ "engine": "docker", "surroundings": found })).await;
    assert_eq!(
        network().await,
        json!({
            "engine": "docker", "contains": true, "network": "192.0.2.0/29", "taken": 0, "reserved": 1, "free": 4
        })
    );
    note(json!({ "engine": "docker", "problem": "no daemon answers" })).await;
    let hindered = network().await;
    assert_eq!(
        (&hindered["engine"], &hindered["network"]),
        (&json!("docker"), &json!(null))
    );
    let problem = hindered["problem"].as_str().unwrap();
    let refused = app.post("/deckies/deploy", &spec).token(&admin).send().await;
    assert!(
        problem.contains("no daemon answers") && refused.text.contains(problem),
        "{refused:?}"
    );
}

#[tokio::test]
async fn services_tell_their_knobs_and_a_bad_value_is_told_at_its_knob() {
    let app = App::new().await;
    let admin = app.admin().await;
    let services = app.get("/services").token(&admin).send().await.json();
    let ssh = services
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["slug"] == "ssh")
        .unwrap();
    let knobs = ssh["knobs"].as_array().unwrap();
    let knob = |name: &str| knobs.iter().find(|knob| knob["name"] == name).unwrap();
    let refusal = knob("refusal_ms");
    assert_eq!(
        (&refusal["kind"], &refusal["preset"]),
        (&json!("number"), &json!("2000"))
    );
    assert_eq!(
        (&knob("accept")["kind"], &knob("banner")["preset"]),
        (&json!("text"), &json!(null))
    );
    let spec = json!({ "deckies": [{
        "archetype": "linux-server",
        "services": [{ "slug": "ssh", "knobs": { "refusal_ms": "soon", "accept": "maybe", "banner": "hello" } }]
    }] });
    let refused = app.post("/deckies/deploy", &spec).token(&admin).send().await;
    let at = |knob: &str| format!("deckies[0].services[0].knobs.{knob}");
    assert_eq!(refused.fields(), [at("accept"), at("refusal_ms")]);
}

#[tokio::test]
async fn an_interval_outlives_a_redeploy_and_is_bounded() {
    let app = App::new().await;
    let admin = app.admin().await;
    let spec = json!({ "deckies": [{ "archetype": "linux-server", "name": "web-01" }] });
    app.post("/deckies/deploy", &spec).token(&admin).send().await;
    let set = |minutes: serde_json::Value| {
        app.put("/deckies/web-01/mutate-interval", &json!({ "minutes": minutes }))
            .token(&admin)
    };
    assert_eq!(set(json!(525_601)).send().await.fields(), ["minutes"]);
    // Never, whatever the whole fleet does.
    assert_eq!(set(json!(0)).send().await.status, StatusCode::NO_CONTENT);
    let deckies = app.get("/deckies").token(&admin).send().await.json();
    assert_eq!(deckies[0]["mutate_interval_minutes"], 0);
    assert_eq!(set(json!(90)).send().await.status, StatusCode::NO_CONTENT);
    let again = app
        .post("/deckies/web-01/redeploy", &json!({}))
        .token(&admin)
        .send()
        .await;
    assert_eq!(again.status, StatusCode::ACCEPTED);
    let deckies = app.get("/deckies").token(&admin).send().await.json();
    assert_eq!(deckies[0]["mutate_interval_minutes"], 90);
    assert_eq!(
        app.post("/deckies/none/redeploy", &json!({}))
            .token(&admin)
            .send()
            .await
            .problem(),
        "not-found"
    );
    let misnamed = app.post("/deckies/No%20Name/mutate", &json!({})).token(&admin);
    let misnamed = misnamed.send().await;
    assert_eq!(misnamed.fields(), ["name"]);
    assert!(misnamed.text.contains("a-z, 0-9 and -"), "{}", misnamed.text);
}

#[tokio::test]
async fn nobody_tells_the_server_to_stop_through_itself_or_what_is_no_worker() {
    let app = App::new().await;
    let admin = app.admin().await;
    assert_eq!(
        app.post("/workers/barista/stop", &json!({}))
            .token(&admin)
            .send()
            .await
            .problem(),
        "not-found"
    );
    assert_eq!(
        app.post("/workers/server/stop", &json!({}))
            .token(&admin)
            .send()
            .await
            .problem(),
        "conflict"
    );
}

#[tokio::test]
async fn the_network_that_the_server_notes_holds_for_every_process_that_was_not_told_another() {
    let noted = |network: &str| {
        let mut options = Options {
            fleet_network_given: true,
            ..Options::default()
        };
        options.fleet.network = network.parse().unwrap();
        options
    };
    let app = App::with(noted("127.177.0.0/16"), |_| {}).await;
    app.domain.fleet_network_note().await.unwrap();
    let address = async |options: Options| {
        let domain = Domain::new(app.store.clone(), Bus::none(), app.clock.clone(), options).unwrap();
        let permit = domain.permit(&Actor::operator("test")).unwrap();
        let spec = serde_json::from_value(json!({ "deckies": [{ "archetype": "web-server" }] })).unwrap();
        let settled = domain.decky_preview(&permit, spec).await;
        settled.map(|deckies| deckies[0].ip.to_string())
    };
    assert_eq!(address(Options::default()).await.unwrap(), "127.177.0.2");
    assert_eq!(address(noted("127.177.0.0/16")).await.unwrap(), "127.177.0.2");
    let refused = address(noted("127.99.0.0/16")).await.unwrap_err();
    assert!(matches!(refused, DomainError::Conflict(_)), "{refused}");

    // The host is started again with another.
    let domain = Domain::new(
        app.store.clone(),
        Bus::none(),
        app.clock.clone(),
        noted("127.99.0.0/16"),
    );
    domain.unwrap().fleet_network_note().await.unwrap();
    assert_eq!(address(Options::default()).await.unwrap(), "127.99.0.2");
}

#[tokio::test]
async fn what_is_ordered_of_the_network_has_to_be_what_the_mutator_runs_with() {
    let app = App::new().await;
    let preview = async |key: &str, value: &str| {
        let options = Options {
            lan_ordered: [(key.to_owned(), value.to_owned())].into(),
            ..Options::default()
        };
        let domain = Domain::new(app.store.clone(), Bus::none(), app.clock.clone(), options).unwrap();
        let permit = domain.permit(&Actor::operator("test")).unwrap();
        let spec = serde_json::from_value(json!({ "deckies": [{ "archetype": "web-server" }] })).unwrap();
        match domain.decky_preview(&permit, spec).await {
            Ok(_) => None,
            Err(DomainError::Conflict(why)) => Some(why),
            Err(other) => panic!("{other}"),
        }
    };
    let on_loopback = preview("fleet-driver", "ipvlan").await.unwrap();
    assert!(
        on_loopback.contains("without a fleet-driver (its engine is local)"),
        "{on_loopback}"
    );
    let noted = json!({
        "engine": "docker",
        "surroundings": { "network": "192.0.2.0/24", "reserved": [] },
        "lan": { "fleet-driver": "macvlan", "fleet-interface": "eth0" },
    });
    app.store
        .setting_set("fleet-engine", &noted.to_string())
        .await
        .unwrap();
    assert_eq!(preview("fleet-driver", "macvlan").await, None);
    assert_eq!(preview("fleet-interface", "eth0").await, None);
    let other = preview("fleet-driver", "ipvlan").await.unwrap();
    assert!(
        other.contains("with the fleet-driver macvlan, and not ipvlan")
            && other.contains("fleet-driver=ipvlan"),
        "{other}"
    );
    let found = preview("fleet-gateway", "192.0.2.1").await.unwrap();
    assert!(found.contains("without a fleet-gateway"), "{found}");
}

#[tokio::test]
async fn a_banner_that_contradicts_its_machine_is_a_fault_of_the_fleet_and_nothing_of_it_is_wanted() {
    let app = App::new().await;
    let admin = app.admin().await;
    let spec = |banner: &str, ip: &str| {
        json!({ "deckies": [
            { "archetype": "linux-server", "ip": ip },
            { "archetype": "linux-server", "name": "front", "distro": "debian12",
              "services": [{ "slug": "http" }, { "slug": "ssh", "knobs": { "version": banner } }] },
        ] })
    };
    let dropbear = spec("SSH-2.0-dropbear_2020.81", "8.8.8.8");
    let refused = app.post("/deckies/deploy", &dropbear).token(&admin).send().await;
    assert_eq!(
        refused.fields(),
        ["deckies[0].ip", "deckies[1].services[1].knobs.version"]
    );
    for words in [
        "ssh.version of front",
        "Debian GNU/Linux 12",
        "leave version out for",
    ] {
        assert!(refused.text.contains(words), "{words}: {}", refused.text);
    }
    let deckies = app.get("/deckies").token(&admin).send().await.json();
    assert_eq!(deckies, json!([]));
    let fits = spec("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7", "127.66.0.9");
    let taken = app.post("/deckies/deploy", &fits).token(&admin).send().await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{taken:?}");
}

#[tokio::test]
async fn over_the_network_bait_is_taken_from_its_folder_only_and_the_command_line_takes_any() {
    let host = tempfile::tempdir().unwrap();
    let (bait, elsewhere) = (host.path().join("bait"), host.path().join("elsewhere"));
    for folder in [&bait.join("shop"), &elsewhere] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("files.toml"), "").unwrap();
    }
    std::os::unix::fs::symlink(&elsewhere, bait.join("link")).unwrap();
    let options = Options {
        bait_dir: Some(bait.clone()),
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let admin = app.admin().await;
    let spec = |folder: &str| json!({ "deckies": [{ "archetype": "linux-server", "bait": folder }] });
    let climbing = format!("{}/../elsewhere", bait.display());
    let linked = bait.join("link").display().to_string();
    for folder in [
        elsewhere.to_str().unwrap(),
        &climbing,
        &linked,
        "/",
        "/no/such/folder",
        "shop",
    ] {
        let refused = app
            .post("/deckies/deploy", &spec(folder))
            .token(&admin)
            .send()
            .await;
        assert_eq!(refused.fields(), ["deckies[0].bait"], "{folder}");
        assert!(refused.text.contains("no such folder in"), "{}", refused.text);
        let of_service = json!({ "deckies": [
            { "archetype": "linux-server", "services": [{ "slug": "ssh" }, { "slug": "redis", "bait": folder }] },
        ] });
        let refused = app
            .post("/deckies/deploy", &of_service)
            .token(&admin)
            .send()
            .await;
        assert_eq!(refused.fields(), ["deckies[0].services[1].bait"], "{folder}");
    }
    let within = bait.join("shop").display().to_string();
    for folder in [within.as_str(), ""] {
        let taken = app
            .post("/deckies/deploy", &spec(folder))
            .token(&admin)
            .send()
            .await;
        assert_eq!(taken.status, StatusCode::ACCEPTED, "{folder}: {taken:?}");
    }
    let permit = app
        .domain
        .permit::<ManageFleet>(&Actor::operator("test"))
        .unwrap();
    let any = serde_json::from_value(spec(elsewhere.to_str().unwrap())).unwrap();
    app.domain.decky_deploy(&permit, any).await.unwrap();
}

#[tokio::test]
async fn what_has_no_name_gets_one_in_a_description_that_no_decky_has() {
    let app = App::new().await;
    let admin = app.admin().await;
    let there = json!({ "deckies": [{ "archetype": "linux-server", "amount": 2 }] });
    let accepted = app.post("/deckies/deploy", &there).token(&admin).send().await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{accepted:?}");
    let spec = json!({ "deckies": [
        { "archetype": "linux-server" },
        { "name": "decky", "archetype": "linux-server" },
        { "archetype": "linux-server" },
        { "services": [{ "slug": "ssh" }] },
        { "archetype": "web-server", "amount": 2 },
        { "archetype": "No Such Kind" },
    ] });
    let permit = app.domain.permit::<ViewFleet>(&Actor::operator("test")).unwrap();
    let made = app
        .domain
        .description_make(&permit, serde_json::from_value(spec).unwrap());
    let text = made.await.unwrap();
    let sections: Vec<_> = text.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(
        sections,
        [
            "[linux-server-2]",
            "[decky]",
            "[linux-server-3]",
            "[decky-2]",
            "[web-server]",
            "[decky-3]",
        ],
        "{text}"
    );
}
