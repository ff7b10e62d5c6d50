use std::collections::BTreeSet;

use decnet_fleet::{DesiredDecky, Limits, mutation, resolve};
use decnet_model::{
    fleet::{DeckySpec, FleetSpec, ServiceSpec},
    name::ServiceSlug,
};
use decnet_persona::archetype::{self, MAX_SERVICES};
use proptest::prelude::*;
use serde_json::json;

use crate::{Six, fleet, now, of, resolved};

fn service(slug: &str) -> ServiceSpec {
    ServiceSpec::of(slug.parse().unwrap())
}

#[test]
fn names_addresses_macs_seeds_and_host_names_are_settled_and_differ() {
    let deckies = resolved(vec![of("linux-server", 60), of("web-server", 60)]);
    assert_eq!(deckies.len(), 120);
    assert_eq!(deckies[0].ip.to_string(), "127.66.0.2");
    assert_eq!(deckies[0].name.as_str(), "linux-server-01");
    let different = |of: fn(&DesiredDecky) -> String| deckies.iter().map(of).collect::<BTreeSet<_>>().len();
    assert_eq!(different(|d| d.name.to_string()), 120);
    assert_eq!(different(|d| d.ip.to_string()), 120);
    assert_eq!(different(|d| d.persona.mac.unwrap().to_string()), 120);
    assert_eq!(different(|d| d.persona.hostname.clone().unwrap()), 120);
    assert_eq!(different(|d| d.persona.seed.to_string()), 120);
    assert!(
        deckies
            .iter()
            .all(|d| d.persona.distro.is_some() && !d.services.is_empty())
    );
}

#[test]
fn images_of_ones_own_stay_whatever_else_changes() {
    let limits = Limits {
        own_images: true,
        ..Limits::default()
    };
    // It has the port of the archetype's own first service.
    let own: ServiceSpec = serde_json::from_value(json!({
        "slug": "intranet", "image": { "image": "intranet", "ports": [80] }
    }))
    .unwrap();
    let named = fleet(vec![DeckySpec {
        name: Some("web".parse().unwrap()),
        services: vec![service("ssh"), own.clone()],
        ..of("web-server", 1)
    }]);
    let decky = resolve(&named, &[], &limits, &Six, now()).unwrap().remove(0);
    for round in 0..32 {
        let after = mutation::mutate(&decky, &Six, round).unwrap();
        assert!(after.services.contains(&own), "{after:?}");
        // ftp opens further ports, on which an image could be reached unseen.
        let fits = |slug: &ServiceSlug| !["http", "ftp"].contains(&slug.as_str());
        assert!(after.slugs().all(fits), "{after:?}");
        assert!(after.services.len() > 1 && after.services.len() <= MAX_SERVICES);
    }
    let mut beside = named.clone();
    beside.deckies[0].services.push(service("ftp"));
    let faults = resolve(&beside, &[], &limits, &Six, now()).unwrap_err();
    assert!(faults[0].to_string().contains("a decky of its own"), "{faults:?}");
    for randomize_services in [false, true] {
        let again = fleet(vec![DeckySpec {
            name: Some("web".parse().unwrap()),
            randomize_services,
            ..of("web-server", 1)
        }]);
        let after = resolve(&again, std::slice::from_ref(&decky), &limits, &Six, now()).unwrap();
        assert!(after[0].services.contains(&own), "{after:?}");
    }
    // On a machine of which nothing else is known it is a Linux server's.
    let alone = fleet(vec![DeckySpec {
        services: vec![own],
        ..DeckySpec::default()
    }]);
    let alone = resolve(&alone, &[], &limits, &Six, now()).unwrap();
    assert_eq!(alone[0].persona.archetype, "linux-server");
}

#[test]
fn every_fault_is_told_at_once_with_its_field() {
    let existing = resolved(vec![DeckySpec {
        seed: Some("s".into()),
        ..of("web-server", 1)
    }]);
    let spec = fleet(vec![
        DeckySpec {
            services: vec![
                service("gopher"),
                service("http"),
                service("http"),
                ServiceSpec {
                    knobs: [("nope".to_owned(), json!(1))].into(),
                    ..service("ssh")
                },
            ],
            os: Some("beos".into()),
            mac: Some("zz".into()),
            ..of("linux-server", 1)
        },
        DeckySpec {
            distro: Some("windows".into()),
            ip: Some("10.0.0.1".parse().unwrap()),
            ..of("web-server", 3)
        },
        DeckySpec {
            mutate_interval_minutes: Some(0),
            amount: Some(0),
            ..DeckySpec::default()
        },
        DeckySpec {
            services: vec![service("redis")],
            ..of("printer", 1)
        },
    ]);
    let limits = Limits {
        deckies: 4,
        ..Limits::default()
    };
    let faults = resolve(&spec, &existing, &limits, &Six, now()).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for (field, word) in [
        ("deckies[0].services[0]", "gopher"),
        ("deckies[0].services[2]", "twice"),
        ("deckies[0].services[3].knobs.nope", "nope"),
        ("deckies[0].os", "windows_server"),
        ("deckies[0].mac", "hex"),
        ("deckies[1].distro", "debian12"),
        ("deckies[1].ip", "share"),
        ("deckies[2].amount", "1 to 1000"),
        ("deckies[2].archetype", "name one"),
        ("deckies[2].mutate_interval_minutes", "525600"),
        ("deckies[3].services[0]", "does not belong"),
        ("deckies", "the limit is 4"),
    ] {
        assert!(
            told.iter()
                .any(|t| t.starts_with(&format!("{field}: ")) && t.contains(word)),
            "{field} {word}:\n{}",
            told.join("\n")
        );
    }
    let taken = DeckySpec {
        seed: Some("s".into()),
        ip: Some(existing[0].ip),
        ..of("web-server", 1)
    };
    let faults = resolve(&fleet(vec![taken]), &existing, &Limits::default(), &Six, now()).unwrap_err();
    assert_eq!(
        faults.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(),
        ["deckies[0].ip", "deckies[0].seed"]
    );
}

#[test]
fn deckies_of_one_seed_are_the_same_again_and_none_tells_of_the_others() {
    let group = |name: &str| DeckySpec {
        name: Some(name.parse().unwrap()),
        seed: Some("of our own".into()),
        ..of("web-server", 3)
    };
    let made = resolved(vec![group("web")]);
    let seeds = |deckies: &[DesiredDecky]| -> Vec<String> {
        deckies.iter().map(|d| d.persona.seed.to_string()).collect()
    };
    assert_eq!(seeds(&resolved(vec![group("shop")])), seeds(&made));
    for seed in seeds(&made) {
        assert!(!seed.contains("of our own") && seed.len() == 32, "{seed}");
    }
    let again = resolve(
        &fleet(vec![group("shop")]),
        &made,
        &Limits::default(),
        &Six,
        now(),
    );
    assert_eq!(again.unwrap_err()[0].field, "deckies[0].seed");
    let alone = resolved(vec![DeckySpec {
        amount: None,
        ..group("web")
    }]);
    assert_eq!(seeds(&alone), ["of our own"]);
}

#[test]
fn a_decky_whose_seed_was_numbered_stays_who_it_is() {
    let group = DeckySpec {
        name: Some("web".parse().unwrap()),
        seed: Some("of our own".into()),
        ..of("web-server", 2)
    };
    let mut old = resolved(vec![group.clone()]);
    for (nth, decky) in (1..).zip(&mut old) {
        decky.persona.seed = format!("of our own/{nth}").parse().unwrap();
    }
    let kept = resolve(&fleet(vec![group]), &old, &Limits::default(), &Six, now()).unwrap();
    for (kept, old) in kept.iter().zip(&old) {
        assert_eq!(kept.identity(), old.identity());
    }
}

#[test]
fn a_decky_that_is_named_again_is_changed_and_stays_who_it_is() {
    let name = Some("front".parse().unwrap());
    let before = resolved(vec![DeckySpec {
        name: name.clone(),
        ..of("linux-server", 1)
    }]);
    let spec = DeckySpec {
        name,
        services: vec![service("redis")],
        ..of("linux-server", 1)
    };
    let after = resolve(
        &fleet(vec![spec]),
        &before,
        &Limits::default(),
        &Six,
        now() + time::Duration::DAY,
    )
    .unwrap();
    assert_eq!(after[0].identity(), before[0].identity());
    assert_ne!(after[0].loadout(), before[0].loadout());
}

#[test]
fn a_small_network_that_is_full_is_a_fault() {
    let limits = Limits {
        network: "127.9.0.0/29".parse().unwrap(),
        ..Limits::default()
    };
    assert_eq!(
        resolve(&fleet(vec![of("web-server", 5)]), &[], &limits, &Six, now())
            .unwrap()
            .len(),
        5
    );
    let faults = resolve(&fleet(vec![of("web-server", 6)]), &[], &limits, &Six, now()).unwrap_err();
    assert!(faults[0].problem.contains("127.9.0.0/29"), "{faults:?}");
}

#[test]
fn an_empty_list_that_replaces_takes_everything_down() {
    let spec = FleetSpec {
        deckies: Vec::new(),
        replace: true,
    };
    assert_eq!(
        resolve(
            &spec,
            &resolved(vec![of("web-server", 2)]),
            &Limits::default(),
            &Six,
            now()
        )
        .unwrap(),
        []
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_mutation_is_another_set_that_fits_and_is_the_same_for_the_same_round(
        seed in "[a-z]{1,8}", round: u64, archetype in prop::sample::select(archetype::ALL.iter().map(|a| a.slug).collect::<Vec<_>>()),
    ) {
        let spec = DeckySpec { seed: Some(seed), randomize_services: true, ..of(archetype, 1) };
        let decky = resolved(vec![spec]).remove(0);
        let set = |d: &DesiredDecky| d.slugs().cloned().collect::<BTreeSet<ServiceSlug>>();
        let there = ["ssh", "http", "redis", "ftp", "mysql", "smtp"];
        let kind = archetype::find(archetype).unwrap();
        let core: ServiceSlug = kind.services.iter().find(|s| there.contains(s)).unwrap().parse().unwrap();
        prop_assert!(set(&decky).contains(&core), "{decky:?}");
        match mutation::mutate(&decky, &Six, round) {
            Some(after) => {
                prop_assert_ne!(set(&after), set(&decky));
                prop_assert!(set(&after).contains(&core), "{after:?}");
                prop_assert!((1..=MAX_SERVICES).contains(&after.services.len()));
                prop_assert!(after.slugs().all(|s| archetype::find(archetype).unwrap().fits(s)));
                prop_assert_eq!(after.identity(), decky.identity());
                prop_assert_eq!(mutation::mutate(&decky, &Six, round), Some(after));
            }
            None => {
                let fitting = archetype::find(archetype).unwrap().services.iter()
                    .filter(|s| ["ssh", "http", "redis", "ftp", "mysql", "smtp"].contains(s)).count();
                prop_assert_eq!(fitting, 1);
            }
        }
    }
}
