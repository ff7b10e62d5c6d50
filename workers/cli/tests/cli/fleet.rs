//! Orders to the fleet, and what is told of it.

use decnet_db::{NewDecky, Observation};
use decnet_model::{
    clock::{Clock as _, SystemClock},
    name::DeckyName,
    state::DeckyState,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PROGRAM, decnet, good, said, with_store};

/// What `words` print as JSON.
fn printed(dir: &TempDir, words: &str) -> Value {
    serde_json::from_str(&good(dir.path(), words)).unwrap()
}

/// As the reconciler writes down that a decky runs.
fn runs(dir: &TempDir, names: &[&str]) {
    with_store(dir.path(), async |store| {
        for name in names {
            let seen = Observation {
                state: DeckyState::Running,
                last_error: None,
                services: None,
            };
            let now = SystemClock.now();
            store
                .decky_observe(&name.parse().unwrap(), &seen, now)
                .await
                .unwrap();
        }
    });
}

#[test]
fn a_decky_in_quarantine_is_tried_again_once_it_is_cleared_and_no_other_with_it() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let names = ["front", "back"];
    for name in names {
        let deploy = format!("deploy --archetype web-server --name {name} --no-wait");
        good(dir.path(), &deploy);
    }
    let names = names.map(|name| name.parse::<DeckyName>().unwrap());
    with_store(dir.path(), async |store| {
        for name in &names {
            let deaths = [SystemClock.now(); 5];
            store.decky_set_failures(name, &deaths, true).await.unwrap();
        }
    });
    let held = || {
        with_store(dir.path(), async |store| {
            let mut held = Vec::new();
            for name in &names {
                let record = store.decky_record(name).await.unwrap().unwrap();
                held.push((record.view.quarantined, record.failures.len()));
            }
            held
        })
    };
    assert_eq!(held(), [(true, 5), (true, 5)]);
    let unknown = decnet(PROGRAM, dir.path())
        .args(["clear", "nobody"])
        .output()
        .unwrap();
    let (_, stderr, code) = said(&unknown);
    assert!(code == 64 && stderr.contains("decky nobody"), "{code}: {stderr}");
    assert_eq!(held(), [(true, 5), (true, 5)]);
    let told = good(dir.path(), "clear front");
    assert_eq!(told, "1 tried again: front\n");
    assert_eq!(held(), [(false, 0), (true, 5)]);
}

#[test]
fn a_dry_run_tells_the_steps_and_what_would_go_and_changes_nothing() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    for name in ["front", "back", "side"] {
        let deploy = format!("deploy --archetype linux-server --services ssh --name {name} --no-wait");
        good(dir.path(), &deploy);
    }
    let steps = |deckies: &Value| -> Vec<(String, Value, Value)> {
        let deckies = deckies.as_array().unwrap().iter();
        let of = |d: &Value| {
            let name = d["name"].as_str().unwrap().to_owned();
            (name, d["desired"].clone(), d["steps"].clone())
        };
        deckies.map(of).collect()
    };
    let front = "deploy --archetype linux-server --name front";
    // Nobody has made it yet.
    let planned = printed(&dir, &format!("{front} --services ssh --dry-run --json"));
    assert_eq!(
        steps(&planned),
        [("front".to_owned(), json!(true), json!(["create", "start"]))]
    );
    runs(&dir, &["front", "back", "side"]);
    let before = good(dir.path(), "status --json");
    for (words, expected) in [
        ("--services ssh", json!([])),
        ("--services ssh,redis", json!(["change services"])),
        (
            "--services ssh --hostname other7",
            json!(["stop", "create", "start"]),
        ),
    ] {
        let planned = printed(&dir, &format!("{front} {words} --dry-run --json"));
        assert_eq!(
            steps(&planned),
            [("front".to_owned(), json!(true), expected)],
            "{words}"
        );
    }
    let planned = printed(
        &dir,
        &format!("{front} --services ssh --replace --dry-run --json"),
    );
    let goes = json!(["stop", "remove"]);
    assert_eq!(
        steps(&planned),
        [
            ("front".to_owned(), json!(true), json!([])),
            ("back".to_owned(), json!(false), goes.clone()),
            ("side".to_owned(), json!(false), goes),
        ]
    );
    let table = good(dir.path(), &format!("{front} --services ssh --replace --dry-run"));
    let line = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name));
        line.unwrap().to_owned()
    };
    assert!(line("front").contains("nothing: it is so"), "{table}");
    assert!(line("back").contains("stop, remove"), "{table}");
    assert!(
        table.contains("2 would be taken down (--replace): back, side\n"),
        "{table}"
    );
    assert_eq!(good(dir.path(), "status --json"), before, "nothing was changed");
}

#[test]
fn an_order_to_mutate_all_leaves_out_who_would_not_change_and_says_why() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    for (name, kind) in [
        ("front", "web-server"),
        ("way", "deaddeck"),
        ("held", "web-server"),
        ("other", "web-server"),
    ] {
        let deploy = format!("deploy --archetype {kind} --name {name} --no-wait");
        good(dir.path(), &deploy);
    }
    with_store(dir.path(), async |store| {
        let held = "held".parse().unwrap();
        store.decky_set_failures(&held, &[], true).await.unwrap();
        let other = store.decky_record(&"other".parse().unwrap()).await.unwrap();
        let other = other.unwrap();
        let unreadable = NewDecky {
            name: other.view.name,
            archetype: other.view.archetype,
            distro: other.view.distro,
            os: other.view.os,
            hostname: other.view.hostname,
            ip: other.view.ip,
            mac: other.view.mac,
            services: other.view.services,
            engine: other.view.engine,
            mutate_interval_minutes: None,
            spec: json!({ "from": "another version" }),
        };
        store.decky_change(&[(unreadable, other.revision)]).await.unwrap();
    });
    let order = decnet(PROGRAM, dir.path())
        .args(["mutate", "--all", "--no-wait", "--json"])
        .output()
        .unwrap();
    let (stdout, stderr, code) = said(&order);
    assert_eq!(code, 0, "{stderr}");
    let accepted: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(accepted["deckies"], json!(["front"]));
    for told in [
        "1 left out, because no other services fit: way\n",
        "1 left out, because they are in quarantine: held\n",
        "1 left out, because what is wanted of them cannot be read: other\n",
    ] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
}

#[test]
fn deckies_are_taken_down_by_name_and_by_id_and_their_names_are_free_for_other_machines() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let deploy = "deploy --archetype web-server --name front --no-wait";
    good(dir.path(), deploy);
    good(dir.path(), "deploy --archetype web-server --name back --no-wait");
    let shown = |name: &str| {
        let all = printed(&dir, "status --json");
        let mut all = all.as_array().unwrap().iter();
        let decky = all.find(|decky| decky["name"] == name).unwrap();
        ["mac", "ip"].map(|field| decky[field].clone())
    };
    let before = shown("front");
    let gone = printed(&dir, "teardown --id front back --no-wait --json");
    assert_eq!(gone["deckies"], json!(["back", "front"]));
    let there = before[1].as_str().unwrap();
    let refused = decnet(PROGRAM, dir.path())
        .args([
            "deploy",
            "--archetype",
            "web-server",
            "--name",
            "side",
            "--ip",
            there,
        ])
        .output()
        .unwrap();
    let (_, stderr, code) = said(&refused);
    let told = format!("{there} is the address of front, which is being taken down: wait, or choose another");
    assert!(code != 0 && stderr.contains(&told), "{code}: {stderr}");
    good(dir.path(), deploy);
    let after = shown("front");
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(
            before, after,
            "it is another machine, and the old one may be there yet"
        );
    }
}

#[test]
fn machines_whose_own_service_cannot_be_had_yet_say_what_they_are_known_by() {
    let dir = TempDir::new().unwrap();
    let kinds = printed(&dir, "archetypes --json");
    let summary = |slug: &str| {
        let mut kinds = kinds.as_array().unwrap().iter();
        let kind = kinds.find(|kind| kind["slug"] == slug).unwrap();
        kind["summary"].as_str().unwrap().to_owned()
    };
    assert!(
        summary("domain-controller").ends_with("; without ldap yet, so it is known by http alone"),
        "{}",
        summary("domain-controller")
    );
    assert!(!summary("web-server").contains("yet"));
}
