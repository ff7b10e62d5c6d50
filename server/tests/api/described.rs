//! Fleets that are described by a text, and what the deploy dialog has to choose from.

use decnet_domain::{Actor, DomainError, Options};
use decnet_model::{
    fleet::FleetSpec,
    permission::{ManageFleet, ViewFleet},
};
use serde_json::json;

use crate::app::App;

fn fleet(deckies: &serde_json::Value) -> FleetSpec {
    serde_json::from_value(json!({ "deckies": deckies })).unwrap()
}

fn faults(refused: DomainError) -> Vec<(String, String)> {
    let DomainError::Invalid(fields) = refused else {
        panic!("{refused}")
    };
    let told = fields.into_iter().map(|fault| (fault.field, fault.message));
    told.collect()
}

#[tokio::test]
async fn what_a_form_asks_for_is_the_same_as_text_under_a_name_that_nobody_has() {
    let app = App::new().await;
    let actor = Actor::operator("test");
    let see = app.domain.permit::<ViewFleet>(&actor).unwrap();
    let manage = app.domain.permit::<ManageFleet>(&actor).unwrap();
    let asked = fleet(&json!([{
        "archetype": "web-server", "amount": 2, "seed": "again", "distro": "rocky9", "mutate_interval_minutes": 45,
        "services": [{ "slug": "ssh", "knobs": { "banner": "007" } }, { "slug": "http" }],
    }]));
    let text = app.domain.description_make(&see, asked.clone()).await.unwrap();
    assert!(text.starts_with("[web-server]\n"), "{text}");
    let asked_for = app.domain.decky_preview(&see, asked.clone()).await.unwrap();
    let described = app.domain.description_preview(&see, &text).await.unwrap();
    let told = |deckies: &[decnet_model::view::DeckyView]| -> Vec<_> {
        let told = deckies.iter().map(|d| {
            (
                d.hostname.clone(),
                d.distro.clone(),
                d.services.clone(),
                d.mutate_interval_minutes,
            )
        });
        told.collect()
    };
    assert_eq!(told(&described.deckies), told(&asked_for));
    assert!(described.leaving.is_empty(), "{described:?}");

    // Once they are there, the same would change them: what has no name is another group.
    app.domain.description_deploy(&manage, &text).await.unwrap();
    let there = app.domain.decky_list(&see).await.unwrap();
    let names: Vec<_> = there.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["web-server-01", "web-server-02"]);
    let text = app.domain.description_make(&see, asked).await.unwrap();
    assert!(text.starts_with("[web-server-2]\n"), "{text}");

    // What would be taken down is told before.
    let only = "[general]\nreplace = yes\n[web-server-02]\narchetype = web-server\n";
    let plan = app.domain.description_preview(&see, only).await.unwrap();
    assert_eq!(plan.deckies.len(), 1);
    let leaving = plan.leaving.iter().map(|decky| decky.name.as_str());
    assert_eq!(leaving.collect::<Vec<_>>(), ["web-server-01"]);
    assert_eq!(app.domain.decky_list(&see).await.unwrap().len(), 2);
}

#[tokio::test]
async fn every_fault_of_a_described_fleet_is_told_by_its_line_and_nothing_is_wanted() {
    let app = App::new().await;
    let actor = Actor::operator("test");
    let see = app.domain.permit::<ViewFleet>(&actor).unwrap();
    let manage = app.domain.permit::<ManageFleet>(&actor).unwrap();
    let text = "\
[web]
archetype = web-server
amount = lots
ip = 8.8.8.8
services = http, own
[web.http]
accept = maybe
[custom-own]
image = a
ports = 8080
";
    let previewed = app.domain.description_preview(&see, text).await.map(drop);
    let deployed = app.domain.description_deploy(&manage, text).await.map(drop);
    for refused in [previewed, deployed] {
        let told = faults(refused.unwrap_err());
        let lines: Vec<_> = told.iter().map(|(line, _)| line.as_str()).collect();
        assert!(
            ["line 3", "line 4", "line 5", "line 7"]
                .iter()
                .all(|line| lines.contains(line)),
            "{told:?}"
        );
        assert!(
            told.iter()
                .any(|(_, problem)| problem.contains("needs engine=docker")),
            "{told:?}"
        );
    }
    assert!(app.domain.decky_list(&see).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_folders_of_bait_are_offered_that_hold_some_and_may_be_named() {
    let host = tempfile::tempdir().unwrap();
    let (bait, elsewhere) = (host.path().join("bait"), host.path().join("elsewhere"));
    for folder in [&bait.join("shop"), &elsewhere] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("files.toml"), "").unwrap();
    }
    std::fs::create_dir(bait.join("empty")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, bait.join("link")).unwrap();
    let options = Options {
        bait_dir: Some(bait.clone()),
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let manage = app
        .domain
        .permit::<ManageFleet>(&Actor::operator("test"))
        .unwrap();
    let shop = bait.canonicalize().unwrap().join("shop").display().to_string();
    assert_eq!(app.domain.bait_list(&manage), std::slice::from_ref(&shop));
    // What is offered is taken, and beside a folder that is not, every other fault is told.
    let admin = app.admin().await;
    let spec = |folder: &str, hostname: &str| json!({ "deckies": [{ "archetype": "linux-server", "bait": folder, "hostname": hostname }] });
    let taken = app
        .post("/deckies/deploy", &spec(&shop, "db-7"))
        .token(&admin)
        .send()
        .await;
    assert_eq!(taken.status, axum::http::StatusCode::ACCEPTED, "{taken:?}");
    let refused = app
        .post("/deckies/deploy", &spec("/etc", "-no-"))
        .token(&admin)
        .send()
        .await;
    assert_eq!(refused.fields(), ["deckies[0].bait", "deckies[0].hostname"]);
    // Where nobody ever laid any, none is offered.
    let none = App::new().await;
    let manage = none
        .domain
        .permit::<ManageFleet>(&Actor::operator("test"))
        .unwrap();
    assert_eq!(none.domain.bait_list(&manage), [""; 0]);
}
