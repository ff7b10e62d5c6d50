use std::collections::BTreeMap;

use decnet_db::{DbError, NewDecky, Observation, Store};
use decnet_model::{
    id::TaskId,
    name::DeckyName,
    state::{DeckyState, WORKERS, WorkerState},
    view::{DeckyService, WorkerView},
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    Database,
    lines::{at, command, store},
};

fn decky(name: &str, ip: &str) -> NewDecky {
    NewDecky {
        name: name.parse().unwrap(),
        archetype: "web-server".into(),
        distro: "debian-12".into(),
        os: "linux".into(),
        hostname: "www".into(),
        ip: ip.parse().unwrap(),
        mac: "02:00:00:00:00:01".into(),
        services: vec![DeckyService {
            slug: "ssh".parse().unwrap(),
            listen: Vec::new(),
            image: None,
        }],
        engine: "local".into(),
        mutate_interval_minutes: Some(30),
        spec: serde_json::json!({ "seed": "s" }),
    }
}

fn name(text: &str) -> DeckyName {
    text.parse().unwrap()
}

/// The deckies that there are, by name and revision: what a deployment is settled beside.
async fn there(db: &Store) -> BTreeMap<DeckyName, u64> {
    let records = db.decky_records().await.unwrap();
    records.into_iter().map(|r| (r.view.name, r.revision)).collect()
}

/// Deploy beside whatever there is.
async fn deploy(db: &Store, deckies: &[NewDecky], now: OffsetDateTime) -> Result<(), DbError> {
    let beside = there(db).await;
    db.decky_deploy(deckies, &[], &beside, now).await.map(drop)
}

pub(crate) async fn a_decky_is_wanted_observed_dismissed_and_forgotten(database: &Database) {
    let db = &database.store;
    let web = name("web-01");
    let both = [decky("web-01", "127.1.0.1"), decky("db-01", "127.1.0.2")];
    deploy(db, &both, at(0)).await.unwrap();
    let first = db.decky_record(&web).await.unwrap().unwrap();
    assert_eq!(
        (first.view.state, first.view.desired, first.view.since),
        (DeckyState::Pending, true, at(0))
    );
    assert_eq!(
        (first.revision, &first.spec["seed"]),
        (1, &serde_json::json!("s"))
    );

    let services = vec![DeckyService {
        slug: "ssh".parse().unwrap(),
        listen: vec!["127.1.0.1:22".into()],
        image: None,
    }];
    let mut seen = Observation {
        state: DeckyState::Running,
        last_error: None,
        services: Some(services.clone()),
    };
    db.decky_observe(&web, &seen, at(10)).await.unwrap();
    seen.services = None;
    seen.last_error = Some("slow".into());
    // At once with others, of whom one is not there.
    let all = [(name("nobody"), seen.clone()), (web.clone(), seen.clone())];
    db.decky_observe_all(&all, at(20)).await.unwrap();
    store(
        db,
        &[
            command(1, "web-01", "192.0.2.1", "id"),
            command(2, "other", "192.0.2.1", "id"),
        ],
    )
    .await;
    let view = db.decky_get(&web).await.unwrap().unwrap();
    assert_eq!(
        (view.state, view.since, view.services),
        (DeckyState::Running, at(10), services)
    );
    assert_eq!((view.last_error.as_deref(), view.event_count), (Some("slow"), 1));

    db.decky_mutated(&web, at(30)).await.unwrap();
    db.decky_set_interval(&web, None).await.unwrap();
    db.decky_set_failures(&web, &[at(1), at(2)], true).await.unwrap();
    deploy(db, &[decky("web-01", "127.1.0.9")], at(40)).await.unwrap();
    let record = db.decky_record(&web).await.unwrap().unwrap();
    assert_eq!(
        (record.revision, record.view.state),
        (3, DeckyState::Running),
        "its interval was one change, and this is another"
    );
    assert!(!record.view.stopped, "a new decky is to run");
    assert_eq!(
        (record.failures, record.view.quarantined),
        (vec![at(1), at(2)], true)
    );
    assert_eq!(
        (record.view.last_mutation, record.view.ip),
        (Some(at(30)), "127.1.0.9".parse().unwrap())
    );

    assert!(
        !db.decky_remove(&web).await.unwrap(),
        "a wanted decky is not forgotten"
    );
    assert_eq!(
        db.decky_dismiss(&[name("web-01"), name("none")]).await.unwrap(),
        [name("web-01")]
    );
    assert!(
        db.decky_dismiss(std::slice::from_ref(&web))
            .await
            .unwrap()
            .is_empty()
    );
    let stats = db.stats(at(0)).await.unwrap();
    assert_eq!((stats.deployed_deckies, stats.active_deckies), (1, 0));
    assert!(db.decky_remove(&web).await.unwrap());
    assert_eq!(db.decky_list().await.unwrap().len(), 1);
    assert!(matches!(
        db.decky_observe(&web, &seen, at(0)).await,
        Err(DbError::Missing { .. })
    ));
}

pub(crate) async fn a_decky_is_stopped_and_started_whatever_else_is_wanted_of_it(database: &Database) {
    let db = &database.store;
    let names = [name("web-01"), name("db-01")];
    let both = [decky("web-01", "127.1.0.1"), decky("db-01", "127.1.0.2")];
    deploy(db, &both, at(0)).await.unwrap();
    let record = async |name| db.decky_record(name).await.unwrap().unwrap();
    db.decky_set_failures(&names[0], &[at(1)], true).await.unwrap();
    db.decky_set_stopped(&names, true).await.unwrap();
    let stopped = record(&names[0]).await;
    assert!(stopped.view.stopped && stopped.view.desired);
    assert_eq!(
        (stopped.revision, stopped.failures, stopped.view.quarantined),
        (2, vec![], false)
    );
    // Made anew all or none, and with it what was noted of their deaths.
    db.decky_set_failures(&names[0], &[at(1)], true).await.unwrap();
    let (web, data) = (stopped.revision, record(&names[1]).await.revision);
    let anew = |of_data| [(both[0].clone(), web), (both[1].clone(), of_data)];
    let refused = db.decky_redeploy(&anew(data - 1)).await;
    assert!(matches!(refused, Err(DbError::Changed { .. })), "{refused:?}");
    let held = record(&names[0]).await;
    assert_eq!(
        (held.revision, held.failures, held.view.quarantined),
        (web, vec![at(1)], true)
    );
    db.decky_redeploy(&anew(data)).await.unwrap();
    let stopped = record(&names[0]).await;
    assert_eq!(
        (stopped.revision, stopped.failures, stopped.view.quarantined),
        (web + 1, vec![], false)
    );
    // A change is no start.
    db.decky_change(&[(both[0].clone(), stopped.revision)])
        .await
        .unwrap();
    assert!(record(&names[0]).await.view.stopped);
    // A deployment is one, in the same breath.
    deploy(db, &both[..1], at(1)).await.unwrap();
    assert!(!record(&names[0]).await.view.stopped);
    assert!(record(&names[1]).await.view.stopped);
    db.decky_set_stopped(&names, true).await.unwrap();
    // All or none.
    let unknown = [name("web-01"), name("none")];
    let refused = db.decky_set_stopped(&unknown, false).await;
    assert!(matches!(refused, Err(DbError::Missing { .. })), "{refused:?}");
    assert!(record(&names[0]).await.view.stopped);
    db.decky_set_stopped(&names[..1], false).await.unwrap();
    assert!(!record(&names[0]).await.view.stopped);
    assert!(record(&names[1]).await.view.stopped);
    // What is to stand still from the start never waits for anybody.
    let resting = [decky("mail-01", "127.1.0.3")];
    let beside = there(db).await;
    db.decky_deploy_stopped(&resting, &beside, at(2)).await.unwrap();
    let mail = record(&resting[0].name).await;
    assert!(mail.view.stopped && mail.view.desired);
    assert_eq!((mail.view.state, mail.view.since), (DeckyState::Stopped, at(2)));
    let stale = db.decky_deploy_stopped(&resting, &beside, at(3)).await;
    assert!(matches!(stale, Err(DbError::Changed { .. })), "{stale:?}");
    // What is wanted no more is not stopped either, and is not to be had back by that.
    db.decky_dismiss(&names).await.unwrap();
    let gone = record(&names[1]).await;
    assert!(!gone.view.stopped && !gone.view.desired);
    let refused = db.decky_set_stopped(&names, true).await;
    assert!(matches!(refused, Err(DbError::Missing { .. })), "{refused:?}");
}

pub(crate) async fn an_address_belongs_to_one_decky_and_a_refused_batch_changes_nothing(database: &Database) {
    let db = &database.store;
    deploy(db, &[decky("a", "127.1.0.1")], at(0)).await.unwrap();
    let refused = deploy(db, &[decky("b", "127.1.0.2"), decky("c", "127.1.0.1")], at(0)).await;
    assert!(matches!(refused, Err(DbError::Taken { .. })), "{refused:?}");
    let names: Vec<_> = db
        .decky_list()
        .await
        .unwrap()
        .into_iter()
        .map(|d| d.name.to_string())
        .collect();
    assert_eq!(names, ["a"]);
}

pub(crate) async fn of_two_deployments_settled_beside_the_same_fleet_one_is_refused_whole(
    database: &Database,
) {
    let db = &database.store;
    let before = there(db).await;
    let one = [decky("web-01", "127.1.0.1")];
    let same_name = [decky("db-01", "127.1.0.2"), decky("web-01", "127.1.0.3")];
    let first = db.decky_deploy(&one, &[], &before, at(0));
    let second = db.decky_deploy(&same_name, &[], &before, at(0));
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let refused = first.and(second);
    assert!(matches!(refused, Err(DbError::Changed { .. })), "{refused:?}");
    let names = there(db).await.into_keys().map(String::from).collect::<Vec<_>>();
    assert!(names == ["web-01"] || names == ["db-01", "web-01"], "{names:?}");

    // What was ordered of one since makes it another fleet; what went since does not.
    let all = ["web-01", "db-01"].map(name);
    db.decky_dismiss(&all).await.unwrap();
    for gone in &all {
        db.decky_remove(gone).await.unwrap();
    }
    let three = ["a", "b", "c"].map(name);
    let addresses = ["127.1.0.1", "127.1.0.2", "127.1.0.3"];
    let made: Vec<_> = three
        .iter()
        .zip(addresses)
        .map(|(name, ip)| decky(name.as_str(), ip))
        .collect();
    deploy(db, &made, at(1)).await.unwrap();
    let stale = there(db).await;
    db.decky_set_stopped(&three[..1], true).await.unwrap();
    let refused = db.decky_deploy(&made[..1], &three[1..], &stale, at(2)).await;
    assert!(matches!(refused, Err(DbError::Changed { .. })), "{refused:?}");
    let a = db.decky_record(&three[0]).await.unwrap().unwrap();
    assert!(a.view.stopped, "the order holds");
    let fresh = there(db).await;
    db.decky_dismiss(&three[2..]).await.unwrap();
    assert!(db.decky_remove(&three[2]).await.unwrap());
    let left = db
        .decky_deploy(&made[..1], &three[1..], &fresh, at(3))
        .await
        .unwrap();
    assert_eq!(left, three[1..2], "only what was there could leave");
    let b = db.decky_get(&three[1]).await.unwrap().unwrap();
    assert!(!b.desired);
}

pub(crate) async fn a_change_made_from_what_is_wanted_no_more_is_refused_and_told_by_nobody(
    database: &Database,
) {
    let db = &database.store;
    let web = [name("web-01")];
    deploy(db, &[decky("web-01", "127.1.0.1")], at(0)).await.unwrap();
    let record = async || db.decky_record(&web[0]).await.unwrap().unwrap();
    let mut other = decky("web-01", "127.1.0.1");
    other.spec = serde_json::json!({ "seed": "other" });
    let mutate = async |revision, told: Result<(), &'static str>| {
        let mut was_told = false;
        let tell = || -> Result<(), DbError> {
            was_told = true;
            told.map_err(|what| DbError::Taken { what: what.into() })
        };
        let done = db.decky_mutate(&other, revision, at(5), tell).await;
        (done.ok(), was_told)
    };
    // Each order makes what was read before it a thing of the past.
    let read = record().await.revision;
    db.decky_set_interval(&web[0], Some(5)).await.unwrap();
    assert_eq!(mutate(read, Ok(())).await, (Some(false), false));
    let kept = record().await;
    assert_eq!(kept.view.mutate_interval_minutes, Some(5));
    db.decky_set_stopped(&web, true).await.unwrap();
    assert_eq!(mutate(kept.revision, Ok(())).await, (Some(false), false));
    let kept = record().await;
    assert!(kept.view.stopped && kept.view.last_mutation.is_none());
    db.decky_dismiss(&web).await.unwrap();
    let change = [(other.clone(), kept.revision)];
    let refused = db.decky_change(&change).await;
    assert!(matches!(refused, Err(DbError::Changed { .. })), "{refused:?}");
    let gone = record().await;
    assert!(!gone.view.desired, "it is not wanted again by that");
    assert_eq!(
        mutate(gone.revision, Ok(())).await,
        (Some(false), false),
        "nor what is on its way out"
    );
    assert_eq!(gone.spec["seed"], "s");

    deploy(db, &[decky("web-01", "127.1.0.1")], at(6)).await.unwrap();
    let read = record().await.revision;
    assert_eq!(mutate(read, Err("the outlet")).await, (None, true));
    assert_eq!(
        record().await.spec["seed"],
        "s",
        "what cannot be told does not happen"
    );
    assert_eq!(mutate(read, Ok(())).await, (Some(true), true));
    let now = record().await;
    assert_eq!(
        (now.revision, now.view.last_mutation, &now.spec["seed"]),
        (read + 1, Some(at(5)), &serde_json::json!("other"))
    );
}

pub(crate) async fn a_lease_has_one_holder(database: &Database) {
    let db = &database.store;
    let take = |who: &'static str, second| db.lease_acquire("fleet", who, at(second), Duration::seconds(30));
    let (a, b) = tokio::join!(take("a", 0), take("b", 0));
    let taken = [a, b].into_iter().filter(|r| matches!(r, Ok(true))).count();
    assert_eq!(taken, 1);
    let (holder, other) = if take("a", 1).await.unwrap() {
        ("a", "b")
    } else {
        ("b", "a")
    };
    assert!(!take(other, 20).await.unwrap());
    assert!(take(holder, 25).await.unwrap(), "renewed");
    assert!(!take(other, 40).await.unwrap());
    assert!(take(other, 56).await.unwrap(), "it ran out");
    assert!(!take(holder, 57).await.unwrap());
    db.lease_release("fleet", holder).await.unwrap();
    assert!(!take(holder, 58).await.unwrap(), "only its holder gives it back");
    let held = |second| db.lease_is_held("fleet", at(second));
    assert!(held(58).await.unwrap() && !held(56 + 31).await.unwrap());
    db.lease_release("fleet", other).await.unwrap();
    assert!(!held(58).await.unwrap());
    assert!(take(holder, 59).await.unwrap());
    // Put back by a little, the clock gives nobody a lease that is held; by more than that, nobody waits for an hour.
    assert!(!take(other, 40).await.unwrap());
    assert!(take(other, 59 - 3600).await.unwrap());
    assert!(!take(holder, 60 - 3600).await.unwrap());
}

pub(crate) async fn a_task_is_followed_from_its_start_to_its_end(database: &Database) {
    let db = &database.store;
    let ids: Vec<_> = (0..3).map(|_| TaskId(Uuid::new_v4())).collect();
    for (n, id) in (0..).zip(&ids) {
        db.task_create(*id, "deploy", &[name("web-01")], at(n))
            .await
            .unwrap();
    }
    db.task_progress(ids[0], 1, 4, "start web-01").await.unwrap();
    db.task_end(ids[1], Some("no address left"), at(9)).await.unwrap();
    db.task_end(ids[1], None, at(10)).await.unwrap();
    db.task_progress(ids[1], 3, 4, "late").await.unwrap();
    let task = db.task_get(ids[1]).await.unwrap().unwrap();
    assert_eq!(
        (task.status.as_str(), task.error.as_deref(), task.ended_at),
        ("failed", Some("no address left"), Some(at(9)))
    );
    assert_eq!(task.done, 0, "an ended task goes no further");
    let running = db.task_running().await.unwrap();
    assert_eq!(
        running.iter().map(|t| t.task.id).collect::<Vec<_>>(),
        [ids[0], ids[2]]
    );
    assert_eq!(
        (running[0].task.step.as_str(), &running[0].deckies),
        ("start web-01", &vec![name("web-01")])
    );
    assert_eq!(running[0].reaped, []);
    db.task_reap(ids[0], &[name("left-01")]).await.unwrap();
    db.task_reap(ids[1], &[name("left-02")]).await.unwrap();
    let reaped = |at| async move { db.task_report(at).await.unwrap().unwrap().reaped };
    assert_eq!(reaped(ids[0]).await, [name("left-01")]);
    assert_eq!(reaped(ids[1]).await, [], "an ended task takes nothing away");
    assert_eq!(db.task_report(TaskId(Uuid::new_v4())).await.unwrap(), None);
    let page = db.task_page(Some(2), None).await.unwrap();
    let rest = db.task_page(Some(2), page.next.as_deref()).await.unwrap();
    let listed: Vec<_> = page.data.iter().chain(&rest.data).map(|t| t.id).collect();
    assert_eq!(listed, [ids[2], ids[1], ids[0]]);
}

pub(crate) async fn heartbeats_show_who_is_heard_stale_and_unknown(database: &Database) {
    let db = &database.store;
    let mut beat = WorkerView {
        name: "ingester".parse().unwrap(),
        state: WorkerState::Ok,
        last_heard: Some(at(0)),
        pid: Some(7),
        version: Some("1".into()),
        uptime_s: Some(3),
        tasks: BTreeMap::from([("spool".into(), "at the end".into())]),
        kept_by: None,
    };
    db.worker_heartbeat_put(&beat).await.unwrap();
    let find =
        |list: Vec<WorkerView>, name: &str| list.into_iter().find(|w| w.name.as_str() == name).unwrap();
    let list = db.worker_list(at(90)).await.unwrap();
    assert_eq!(list.len(), WORKERS.len());
    assert_eq!(find(list.clone(), "bus").state, WorkerState::Unknown);
    assert_eq!(find(list, "ingester"), beat);
    assert_eq!(
        find(db.worker_list(at(91)).await.unwrap(), "ingester").state,
        WorkerState::Stale
    );
    beat.state = WorkerState::Stopped;
    db.worker_heartbeat_put(&beat).await.unwrap();
    assert_eq!(
        find(db.worker_list(at(500)).await.unwrap(), "ingester").state,
        WorkerState::Stopped
    );
}
