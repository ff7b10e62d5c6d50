use std::collections::BTreeSet;

use decnet_fleet::{
    BuiltIn, DesiredDecky, Limits, SpecFault, check, draw_fitting_seed, mutation, resolve, spec::Described,
};
use decnet_model::{
    fleet::{DeckySpec, FleetSpec, ServiceSpec},
    name::ServiceSlug,
};
use decnet_persona::{
    Distro, Persona, ProductKind,
    archetype::{self, MAX_SERVICES},
};
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
fn what_contradicts_something_else_is_told_and_not_passed_over() {
    let faults = |spec: DeckySpec, contains: bool| -> Vec<(String, String)> {
        let limits = Limits {
            contains,
            ..Limits::default()
        };
        let settled = resolve(&fleet(vec![spec]), &[], &limits, &Six, now());
        let faults = settled.err().unwrap_or_default().into_iter();
        faults.map(|fault| (fault.field, fault.problem)).collect()
    };
    let text = |text: &str| Some(text.to_owned());
    for (spec, contains, field, word) in [
        (
            DeckySpec {
                services: vec![service("ssh"), service("redis")],
                randomize_services: true,
                ..of("linux-server", 1)
            },
            true,
            "randomize_services",
            "ssh, redis",
        ),
        (
            DeckySpec {
                egress: text("allow"),
                ..of("linux-server", 2)
            },
            false,
            "egress",
            "engine=docker",
        ),
        (
            DeckySpec {
                distro: text("debian12"),
                os: text("windows"),
                ..of("linux-server", 1)
            },
            true,
            "os",
            "debian12 is linux and no windows",
        ),
        (
            DeckySpec {
                os: text("windows"),
                ..of("web-server", 1)
            },
            true,
            "os",
            "web-server can be linux and not windows; these can: windows-workstation",
        ),
        (
            DeckySpec {
                os: text("bsd"),
                ..of("iot-device", 1)
            },
            true,
            "os",
            "iot-device can be linux or embedded and not bsd; nothing answers like bsd yet",
        ),
    ] {
        let told = faults(spec.clone(), contains);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, format!("deckies[0].{field}"));
        assert!(told[0].1.contains(word), "{told:?}");
        // It is wrong in itself, or by the engine that it is for.
        let of_itself = check(&fleet(vec![spec]), &Six);
        assert_eq!(of_itself.len(), usize::from(contains), "{of_itself:?}");
    }
    for (spec, contains) in [
        (
            DeckySpec {
                randomize_services: true,
                ..of("linux-server", 1)
            },
            true,
        ),
        (
            DeckySpec {
                egress: text("allow"),
                ..of("linux-server", 1)
            },
            true,
        ),
        // Which is what it does.
        (
            DeckySpec {
                egress: text("deny"),
                ..of("linux-server", 1)
            },
            false,
        ),
        (
            DeckySpec {
                distro: text("debian12"),
                os: text("linux"),
                ..of("linux-server", 1)
            },
            true,
        ),
        // Its kind's, or the distribution's own.
        (
            DeckySpec {
                distro: text("alpine"),
                os: text("embedded"),
                ..of("iot-device", 1)
            },
            true,
        ),
        (
            DeckySpec {
                distro: text("alpine"),
                os: text("linux"),
                ..of("iot-device", 1)
            },
            true,
        ),
        // One of its distributions is of that family, and is chosen.
        (
            DeckySpec {
                os: text("linux"),
                ..of("iot-device", 1)
            },
            true,
        ),
    ] {
        assert_eq!(faults(spec.clone(), contains), [], "{spec:?}");
    }
}

#[test]
fn every_kind_of_machine_has_its_distributions_and_none_has_those_that_nothing_answers_for() {
    for distro in Distro::ALL {
        let kinds: Vec<_> = archetype::of_distro(*distro).map(|kind| kind.slug).collect();
        for kind in archetype::ALL {
            let spec = DeckySpec {
                distro: Some(distro.to_string()),
                ..of(kind.slug, 1)
            };
            let told = check(&fleet(vec![spec]), &Six);
            let refused = told.iter().any(|fault| fault.field == "deckies[0].distro");
            assert_eq!(
                kinds.contains(&kind.slug),
                !refused,
                "{distro} {}: {told:?}",
                kind.slug
            );
        }
        // What is offered where a word is none can be had.
        let offered = "beos".parse::<Distro>().unwrap_err().to_string();
        let words: Vec<&str> = offered.split([' ', ',']).collect();
        assert_eq!(words.contains(&distro.as_str()), !kinds.is_empty(), "{offered}");
    }
}

#[test]
fn a_machine_is_of_the_family_that_is_asked_for_from_its_distribution_on_also_when_that_changes() {
    let named = |os: Option<&str>, distro: Option<&str>| {
        fleet(vec![DeckySpec {
            name: Some("hub".parse().unwrap()),
            os: os.map(str::to_owned),
            distro: distro.map(str::to_owned),
            ..of("iot-device", 1)
        }])
    };
    let settled = |spec: &FleetSpec, there: &[DesiredDecky]| {
        let settled = resolve(spec, there, &Limits::default(), &Six, now())
            .unwrap()
            .remove(0);
        let persona = &settled.persona;
        ((persona.distro.unwrap(), persona.os.unwrap().as_str()), settled)
    };
    // Which distribution it is otherwise, its seed says.
    for _ in 0..16 {
        let (is, _) = settled(&named(Some("linux"), None), &[]);
        assert_eq!(is, (Distro::Alpine, "linux"));
    }
    let (is, device) = settled(&named(None, Some("firmware")), &[]);
    assert_eq!(is, (Distro::Firmware, "embedded"));
    let (is, changed) = settled(&named(Some("linux"), None), &[device]);
    assert_eq!(is, (Distro::Alpine, "linux"));
    let (is, _) = settled(&named(None, Some("firmware")), &[changed]);
    assert_eq!(is, (Distro::Firmware, "embedded"));
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
            mutate_interval_minutes: Some(525_601),
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
fn the_address_of_a_decky_that_is_being_taken_down_is_given_to_nobody_and_its_own_name_is_told() {
    let first = resolved(vec![of("web-server", 1)]).remove(0);
    let limits = Limits {
        leaving: [(first.ip, first.name)].into(),
        ..Limits::default()
    };
    let next = resolve(&fleet(vec![of("web-server", 1)]), &[], &limits, &Six, now()).unwrap();
    assert_ne!(next[0].ip, first.ip);
    let there = DeckySpec {
        ip: Some(first.ip),
        ..of("web-server", 1)
    };
    let faults = resolve(&fleet(vec![there]), &[], &limits, &Six, now()).unwrap_err();
    assert_eq!(
        faults[0].to_string(),
        "deckies[0].ip: 127.66.0.2 is the address of web-server-01, which is being taken down: wait, or choose another"
    );
}

#[test]
fn the_hardware_address_of_a_machine_of_the_network_is_nobodys_and_that_machine_is_named() {
    let asked = DeckySpec {
        name: Some("web-01".parse().unwrap()),
        mac: Some("52:54:00:12:34:56".into()),
        ..of("web-server", 1)
    };
    let asked = fleet(vec![asked]);
    let others = |mac: &str| Limits {
        macs: [(mac.parse().unwrap(), "192.0.2.254".parse().unwrap())].into(),
        ..Limits::default()
    };
    let faults = resolve(&asked, &[], &others("52:54:00:12:34:56"), &Six, now()).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "deckies[0].mac: 52:54:00:12:34:56 is the hardware address of 192.0.2.254, another machine on the network: both \
          would lose their visitors"
        ]
    );
    let made = resolve(&asked, &[], &others("52:54:00:12:34:57"), &Six, now()).unwrap();
    // Its own is its own, however often it is deployed.
    resolve(&asked, &made, &others("52:54:00:12:34:57"), &Six, now()).unwrap();
}

/// A service of the built-in catalogue with one knob.
fn set(slug: &str, knob: &str, value: &str) -> ServiceSpec {
    ServiceSpec {
        knobs: [(knob.to_owned(), json!(value))].into(),
        ..service(slug)
    }
}

/// What comes of `spec` with the built-in catalogue.
fn built_in(spec: &FleetSpec, existing: &[DesiredDecky]) -> Result<Vec<DesiredDecky>, Vec<SpecFault>> {
    resolve(spec, existing, &Limits::default(), &BuiltIn, now())
}

fn web_server(decky: &DesiredDecky) -> &'static str {
    let persona = Persona::derive(&decky.persona).unwrap();
    persona.product(ProductKind::Web).name
}

#[test]
fn a_knob_that_contradicts_its_machine_is_told_with_every_other_fault_before_anything_is_made() {
    let text = "\
[front]
archetype = linux-server
services = ssh, http, redis
distro = debian12
amount = 3
[front.ssh]
version = SSH-2.0-dropbear_2020.81
accept = after_0
[front.redis]
version = 5.0.14
[front.http]
banner = Apache/2.4.62 (Ubuntu)
[back]
archetype = web-server
ip = 8.8.8.8
[other]
archetype = web-server
hostname = -bad-
distro = rocky9
[other.ssh]
version = SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3
[unread]
archetype = linux-server
distro = beos
[unread.ssh]
version = SSH-2.0-dropbear_2020.81
";
    let described = Described::read(text, &BuiltIn);
    let faults = described.faults(built_in(&described.spec, &[]).unwrap_err());
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let expected = [
        (
            7,
            "ssh.version of front-01, which runs Debian GNU/Linux 12 (bookworm): \"SSH-2.0-dropbear_2020.81\" names dropbear",
        ),
        (8, "after_1 to after_100"),
        (10, "redis.version of front-01, which runs Debian GNU/Linux 12"),
        (12, "http.banner of front-01"),
        (15, "8.8.8.8 is outside"),
        (18, "host name"),
        (21, "ssh.version of other, which runs Rocky Linux 9"),
        (24, "distribution \"beos\""),
    ];
    assert_eq!(told.len(), expected.len(), "{}", told.join("\n"));
    for (told, (line, words)) in told.iter().zip(expected) {
        assert!(
            told.starts_with(&format!("line {line}: ")) && told.contains(words),
            "{line} {words}: {told}"
        );
    }
    assert!(
        told[2].contains("leave version out for \"7.0.15\""),
        "{}",
        told[2]
    );
    // Who has no installation to ask is told the same, but for what only that knows.
    let alone = described.faults(check(&described.spec, &BuiltIn));
    let lines: Vec<_> = alone.iter().filter_map(|fault| fault.line).collect();
    assert_eq!(lines, [7, 8, 10, 12, 18, 21, 24]);
}

#[test]
fn where_no_seed_is_given_a_machine_is_drawn_that_fits_what_is_set_on_it() {
    // Of Debian's web servers about every other one is an nginx.
    let spec = fleet(vec![DeckySpec {
        distro: Some("debian12".into()),
        services: vec![service("ssh"), set("http", "banner", "nginx/1.22.1")],
        ..of("web-server", 20)
    }]);
    for decky in built_in(&spec, &[]).unwrap() {
        assert_eq!(web_server(&decky), "nginx");
    }
    // The distribution is chosen with them.
    let spec = fleet(vec![DeckySpec {
        services: vec![set("ssh", "version", "SSH-2.0-OpenSSH_8.7")],
        ..of("linux-server", 3)
    }]);
    for decky in built_in(&spec, &[]).unwrap() {
        assert_eq!(decky.persona.distro.unwrap().as_str(), "rocky9");
    }
}

#[test]
fn a_seed_that_is_drawn_for_a_group_fits_each_of_it_and_one_that_is_given_is_not_exchanged() {
    let group = DeckySpec {
        distro: Some("debian12".into()),
        services: vec![set("http", "banner", "nginx")],
        ..of("web-server", 3)
    };
    let seed = draw_fitting_seed(&group, &BuiltIn).unwrap();
    let sown = DeckySpec {
        seed: Some(seed.to_string()),
        ..group.clone()
    };
    let deckies = built_in(&fleet(vec![sown.clone()]), &[]).unwrap();
    assert_eq!(
        deckies.iter().map(web_server).collect::<Vec<_>>(),
        ["nginx", "nginx", "nginx"]
    );
    let other = DeckySpec {
        services: vec![set("http", "banner", "Apache")],
        ..sown
    };
    let faults = built_in(&fleet(vec![other]), &[]).unwrap_err();
    assert_eq!(faults.len(), 1, "one of the group is told: {faults:?}");
    assert_eq!(faults[0].field, "deckies[0].services[0].knobs.banner");
    assert!(faults[0].problem.contains("or a seed that it fits"), "{faults:?}");
    let none = DeckySpec {
        services: vec![set("http", "banner", "Caddy")],
        ..group
    };
    assert_eq!(draw_fitting_seed(&none, &BuiltIn), None);
}

#[test]
fn a_machine_that_becomes_another_is_held_against_what_it_keeps() {
    let named = |distro: &str, services| DeckySpec {
        name: Some("front".parse().unwrap()),
        distro: Some(distro.into()),
        services,
        ..of("linux-server", 1)
    };
    let banner = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7";
    let before = named("debian12", vec![set("ssh", "version", banner)]);
    let before = built_in(&fleet(vec![before]), &[]).unwrap();
    let faults = built_in(&fleet(vec![named("ubuntu22", Vec::new())]), &before).unwrap_err();
    assert_eq!(faults[0].field, "deckies[0].services");
    assert!(
        faults[0]
            .problem
            .starts_with("ssh.version of front, which runs Ubuntu 22.04"),
        "{faults:?}"
    );
    let as_ever = built_in(&fleet(vec![named("debian12", Vec::new())]), &before).unwrap();
    assert_eq!(as_ever[0].services, before[0].services);
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

#[test]
fn no_two_deckies_have_one_host_name_however_it_is_written() {
    let named = |name: &str, hostname: &str| DeckySpec {
        name: Some(name.parse().unwrap()),
        hostname: Some(hostname.into()),
        ..of("linux-server", 1)
    };
    let faults = resolve(
        &fleet(vec![named("a", "twin"), named("b", "Twin")]),
        &[],
        &Limits::default(),
        &Six,
        now(),
    );
    let faults = faults.unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].field, "deckies[1].hostname");
    let there = resolved(vec![named("a", "twin")]);
    let settle = |name: &str| {
        resolve(
            &fleet(vec![named(name, "twin")]),
            &there,
            &Limits::default(),
            &Six,
            now(),
        )
    };
    assert!(settle("c").is_err());
    assert_eq!(settle("a").unwrap()[0].persona.hostname.as_deref(), Some("twin"));
}

#[test]
fn an_address_is_drawn_where_none_is_given_and_that_is_remembered() {
    let drawn = resolved(vec![of("linux-server", 1)]).remove(0);
    assert!(drawn.ip_drawn);
    let again = |ip| {
        let spec = DeckySpec {
            name: Some(drawn.name.clone()),
            ip,
            ..of("linux-server", 1)
        };
        let there = [drawn.clone()];
        resolve(&fleet(vec![spec]), &there, &Limits::default(), &Six, now())
            .unwrap()
            .remove(0)
    };
    assert!(again(None).ip_drawn);
    let chosen = again(Some(drawn.ip));
    assert!(!chosen.ip_drawn);
    // Where it stands is the same: nothing has to be made anew.
    assert_eq!(chosen.identity(), drawn.identity());
}
