use decnet_fleet::{
    BuiltIn, DesiredDecky, Limits, check, mutation, resolve,
    spec::{BAIT, Described, from_ini, from_ini_with, to_ini},
};
use decnet_model::fleet::{DeckySpec, FleetSpec, ServiceSpec};
use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;

use crate::Six;

const GOOD: &str = "\
# a small fleet
[general]
replace = yes

[web]
archetype = web-server ; the usual
amount = 3
mutate-interval = 30

[web.http]
tarpit_ms = 200
banner = 8

[lone-db]
services = mysql, redis
ip = 127.66.1.9
";

#[test]
fn deckies_groups_and_knobs_are_read() {
    let spec = from_ini_with(GOOD, &Six).unwrap();
    assert!(spec.replace);
    let [web, db] = spec.deckies.as_slice() else {
        panic!("{spec:?}")
    };
    assert_eq!(
        (web.name.as_ref().unwrap().as_str(), web.amount),
        ("web", Some(3))
    );
    assert_eq!(web.mutate_interval_minutes, Some(30));
    let slugs: Vec<_> = web.services.iter().map(|s| s.slug.as_str()).collect();
    assert_eq!(
        slugs,
        ["http", "ftp"],
        "knobs of one service do not turn off the other"
    );
    assert_eq!(web.services[0].knobs["tarpit_ms"], json!(200));
    assert_eq!(
        web.services[0].knobs["banner"],
        json!("8"),
        "a text knob stays a text"
    );
    assert_eq!(db.ip, Some("127.66.1.9".parse().unwrap()));
}

#[test]
fn of_json_too_every_fault_is_told_at_once_each_with_its_field() {
    let text = r#"{ "deckies": [
        "web",
        { "archetype": "nonsense", "amount": "two" },
        { "services": [{ "slug": "SSH" }, { "slug": "gopher" }], "distro": 7, "ip": "127.66.1.9", "seed": "" }
    ] }"#;
    let described = Described::read_json(text);
    assert!(!described.is_read());
    let told: Vec<String> = described
        .faults(decnet_fleet::check(&described.spec, &Six))
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    assert_eq!(
        told,
        [
            "deckies[0]",
            "deckies[1].amount",
            "deckies[2].distro",
            "deckies[2].services[0].slug",
            "deckies[1].archetype",
            "deckies[2].seed",
            "deckies[2].services[1]",
        ]
    );
    for broken in ["{ \"deckies\": [", "7", ""] {
        let described = Described::read_json(broken);
        let told = described.faults(decnet_fleet::check(&described.spec, &Six));
        assert_eq!(told.len(), 1, "{broken}: {told:?}");
        assert_eq!(told[0].field, "text");
    }
    let good = Described::read_json(r#"{ "deckies": [{ "archetype": "web-server" }] }"#);
    assert!(good.is_read() && good.faults(decnet_fleet::check(&good.spec, &Six)).is_empty());
}

#[test]
fn faults_of_json_are_told_in_words_and_where_there_are_too_many_that_is_told_too() {
    let text = r#"{ "deckies": [
        { "amount": "two", "colour": 1, "services": [{ "knobs": {} }], "randomize_services": 3 },
        []
    ] }"#;
    let told: Vec<String> = Described::read_json(text)
        .faults([])
        .iter()
        .map(ToString::to_string)
        .collect();
    let all = told.join("\n");
    for words in [
        "deckies[0].amount: it has to be a whole number, and is string \"two\"",
        "deckies[0].colour: there is no field colour; there are name, amount, archetype",
        "deckies[0].services[0]: slug is needed",
        "deckies[0].randomize_services: it has to be true or false, and is integer 3",
    ] {
        assert!(all.contains(words), "{words} not in:\n{all}");
    }
    for rust in ["u32", "struct", "expected", "`", "invalid"] {
        assert!(!all.contains(rust), "{rust} in:\n{all}");
    }
    let many = vec![json!({ "amount": "many" }); 60];
    let told = Described::read_json(&json!({ "deckies": many }).to_string()).faults([]);
    assert!(
        told.iter().any(|fault| fault.problem.contains("maybe more")),
        "{told:?}"
    );
}

#[test]
fn a_mark_at_the_beginning_says_nothing_and_keys_of_the_network_say_where_that_is_said() {
    let text = "\u{feff}[web]\narchetype = web-server\n";
    assert_eq!(from_ini_with(text, &Six).unwrap().deckies.len(), 1);
    let text = "\u{feff}{ \"deckies\": [{ \"archetype\": \"web-server\" }] }";
    assert!(Described::read_json(text).is_read());

    let text = "[general]\nnet = 10.0.0.0/24\ngw = 10.0.0.1\ninterface = eth0\nlog_target = x\n[web]\narchetype = web-server\n";
    let faults = from_ini_with(text, &Six).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for (line, words) in [
        (2, "fleet-network=10.0.0.0/24"),
        (3, "fleet-gateway=10.0.0.1"),
        (4, "fleet-interface=eth0"),
        (5, "no key log_target"),
    ] {
        let is_it = |t: &String| t.starts_with(&format!("line {line}: ")) && t.contains(words);
        assert!(told.iter().any(is_it), "{words}:\n{}", told.join("\n"));
    }
    assert_eq!(told.len(), 4);
}

#[test]
fn an_image_that_no_decky_has_is_told_with_its_own_faults() {
    let text = "[web]\narchetype = web-server\n[custom-x]\nimage = Not An Image\nports = 0\n";
    let faults = from_ini_with(text, &Six).unwrap_err();
    let lines: Vec<_> = faults.iter().filter_map(|fault| fault.line).collect();
    assert_eq!(lines, [3, 4, 5], "{faults:?}");
}

#[test]
fn five_faults_are_told_at_once_each_with_its_line() {
    let text = "\
[web]
archetype = wep-server
amount = many
[db]
services = mysql
colour = blue
[db.mysql]
tarpit_ms = slow
[db.gopher]
x = 1
[ghost.http]
tarpit_ms = 1
";
    let faults = from_ini_with(text, &Six).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for (line, word) in [
        (2, "web-server"),
        (3, "number"),
        (6, "colour"),
        (8, "wrong kind"),
        (9, "gopher"),
        (11, "ghost"),
    ] {
        let found = told
            .iter()
            .any(|t| t.starts_with(&format!("line {line}: ")) && t.contains(word));
        assert!(found, "line {line} {word}:\n{}", told.join("\n"));
    }
    assert_eq!(told.len(), 6, "{}", told.join("\n"));
}

#[test]
fn what_is_wrong_with_the_fleet_and_what_the_network_does_not_have_come_in_one_round_by_line() {
    let text = "\
[web]
archetype = web-server
distro = beos
mac = zz
ip = 8.8.8.8
hostname = -bad-
[db]
services = mysql
seed = one
colour = blue
[cache]
services = redis
seed = one
ip = 127.66.0.1
[mail]
services = smtp
ip = 127.66.255.255
";
    let described = Described::read(text, &Six);
    let limits = Limits::default();
    let found = resolve(&described.spec, &[], &limits, &Six, OffsetDateTime::UNIX_EPOCH);
    let faults = described.faults(found.unwrap_err());
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let expected = [
        (3, "distribution"),
        (4, "hex"),
        (5, "8.8.8.8 is outside 127.66.0.0/16"),
        (6, "host name \"-bad-\""),
        (10, "colour"),
        (13, "share their keys"),
        (14, "127.66.0.1 is not an address for a decky"),
        (17, "127.66.255.255 is not an address for a decky"),
    ];
    assert_eq!(told.len(), expected.len(), "{}", told.join("\n"));
    for (told, (line, words)) in told.iter().zip(expected) {
        assert!(
            told.starts_with(&format!("line {line}: ")) && told.contains(words),
            "{told}"
        );
    }
    // A bad host name is one without any network, too.
    let faults = from_ini_with("[web]\narchetype = web-server\nhostname = -bad-\n", &Six).unwrap_err();
    assert_eq!(faults[0].line, Some(3));
}

#[test]
fn text_without_sections_doubled_keys_and_torn_lines_are_faults() {
    let faults = from_ini_with(
        "a = 1\n[x\nnonsense\n[web]\narchetype=web-server\narchetype=printer\n[web]\n",
        &Six,
    )
    .unwrap_err();
    let lines: Vec<_> = faults.iter().filter_map(|f| f.line).collect();
    for line in [1, 2, 3, 6, 7] {
        assert!(lines.contains(&line), "{faults:?}");
    }
    assert!(from_ini_with("", &Six).is_err());
    assert!(from_ini_with(&"#".repeat(600_000), &Six).is_err());
}

const OWN: &str = "\
[web]
archetype = web-server
services = http, intranet
amount = 2
[custom-intranet]
image = registry.example/intranet:2 ; where Docker finds it
command = /srv/app --motto \"to be or not\" --port 8080
ports = 8080, 9090
memory_mb = 128
[db]
services = mysql, intranet, other
[custom-other]
binary = other
exec = sh -c 'exit 1'
ports = 7
";

#[test]
fn an_image_of_ones_own_is_a_service_of_every_decky_that_names_it() {
    let spec = from_ini_with(OWN, &Six).unwrap();
    let [web, db] = spec.deckies.as_slice() else {
        panic!("{spec:?}")
    };
    let own = web.services[1].image.as_ref().unwrap();
    assert_eq!(own.image, "registry.example/intranet:2");
    assert_eq!(
        own.command,
        ["/srv/app", "--motto", "to be or not", "--port", "8080"]
    );
    assert_eq!(
        (own.ports.as_slice(), own.memory_mb),
        (&[8080, 9090][..], Some(128))
    );
    assert_eq!(web.services[0].image, None);
    assert_eq!(db.services[1].image.as_ref(), Some(own));
    let other = db.services[2].image.as_ref().unwrap();
    assert_eq!(
        (other.image.as_str(), other.ports.as_slice()),
        ("other", &[7][..])
    );
    assert_eq!(other.command, ["sh", "-c", "exit 1"]);

    // The same by JSON, there and back.
    let json = serde_json::to_string(&spec).unwrap();
    let again = Described::read_json(&json);
    assert!(again.is_read() && again.faults(check(&again.spec, &Six)).is_empty());
    assert_eq!(again.spec, spec);
    // Whoever has none writes none.
    assert_eq!(json.matches("\"image\":{").count(), 3);
}

#[test]
fn every_fault_of_an_image_is_told_once_with_its_line() {
    let text = "\
[web]
services = http, ssh, a, b, c, d, e
amount = 2
[again]
services = a
[custom-a]
ports = 80
colour = blue
[custom-b]
image = Not An Image
command = 'open
ports = 8080, 8080, none
[custom-c]
image = c
binary = c
ports = 65455, 9000, 9000, 65535
memory_mb = 1
[custom-d]
image = d
ports = 1,2,3,4,5,6,7,8,9
[custom-ssh]
image = e
ports = 23
[custom-nobody]
image = f
ports = 24
[custom-]
image = g
[custom-e]
image = g
ports = 9000
[web.a]
greeting = hello
";
    let faults = from_ini_with(text, &Six).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let expected = [
        (6, "name the image"),
        (7, "a and http both need Tcp(80)"),
        (8, "no key colour; there are: image, command, ports, memory_mb"),
        (10, "\"Not An Image\" is no name of an image"),
        (11, "the quote ' is not closed"),
        (12, "none is not the number of a port"),
        (15, "image stands twice"),
        (16, "led through a port that http has"),
        (16, "9000 stands twice"),
        (16, "65535: a port is a number from 1 to 65534"),
        (17, "1: allowed are 16 to 16384"),
        (20, "9 ports; allowed are 8"),
        (21, "ssh is a built-in service"),
        (24, "no decky has the service nobody"),
        (27, "service \"\""),
        (31, "e and c both need Tcp(9000)"),
        (33, "no knobs"),
    ];
    let all = told.join("\n");
    for (line, words) in expected {
        let is_it = |t: &&String| t.starts_with(&format!("line {line}: ")) && t.contains(words);
        assert_eq!(
            told.iter().filter(is_it).count(),
            1,
            "line {line} {words}:\n{all}"
        );
    }
    assert_eq!(told.len(), expected.len(), "{all}");
}

#[test]
fn an_engine_that_runs_no_images_is_told_with_the_way_out() {
    let described = Described::read(OWN, &Six);
    let found = |limits: &Limits| resolve(&described.spec, &[], limits, &Six, OffsetDateTime::UNIX_EPOCH);
    let faults = described.faults(found(&Limits::default()).unwrap_err());
    assert!(
        faults.iter().all(|f| f.problem.contains("needs engine=docker")),
        "{faults:?}"
    );
    let lines: Vec<_> = faults.iter().filter_map(|fault| fault.line).collect();
    assert_eq!(lines, [3, 11, 11]);
    let docker = Limits {
        own_images: true,
        ..Limits::default()
    };
    let deckies = found(&docker).unwrap();
    assert_eq!(deckies.len(), 3);
    let own: Vec<_> = deckies[2].own_images().map(|(slug, _)| slug.as_str()).collect();
    assert_eq!(own, ["intranet", "other"]);
    assert_eq!(
        deckies[0].offers()[1].image.as_deref(),
        Some("registry.example/intranet:2")
    );
}

/// The fuzzer's seeds, so that what it once found stays found.
#[test]
fn the_seeds_of_the_fuzzer_are_fleets_or_have_faults_with_lines() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/fleet_ini");
    let mut seen = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus is part of the repository") {
        let entry = entry.unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        match from_ini(&text) {
            // The seeds that begin with "bad" have faults, those that begin with "good" can be settled.
            Ok(spec) => {
                assert!(!name.starts_with("bad"), "{name}");
                let settled = resolve(
                    &spec,
                    &[],
                    &Limits::default(),
                    &BuiltIn,
                    OffsetDateTime::UNIX_EPOCH,
                );
                assert!(
                    !name.starts_with("good") || settled.is_ok(),
                    "{name}: {settled:?}"
                );
            }
            Err(faults) => {
                assert!(!name.starts_with("good"), "{name}: {faults:?}");
                let lines = text.lines().count();
                assert!(
                    faults
                        .iter()
                        .filter_map(|f| f.line)
                        .all(|line| (1..=lines).contains(&line)),
                    "{name}: {faults:?}"
                );
            }
        }
        seen += 1;
    }
    assert!(seen >= 9, "{seen} seeds");
}

proptest! {
    #[test]
    fn any_text_is_a_spec_or_faults(text in "(\\[[a-z.]{0,9}\\]?\n|[a-z_]{0,9} ?=? ?[a-z0-9;#]{0,9}\n|.{0,20}\n){0,12}") {
        if let Err(faults) = from_ini_with(&text, &Six) {
            prop_assert!(!faults.is_empty());
            let lines = text.lines().count();
            prop_assert!(faults.iter().filter_map(|f| f.line).all(|l| l >= 1 && l <= lines));
        }
    }
}

#[test]
fn a_folder_of_bait_is_taken_from_a_file_and_its_faults_name_what_to_mend() {
    let folder = tempfile::tempdir().unwrap();
    let text = |bait: &str| format!("[web]\narchetype = web-server\nbait = {bait}\n");
    let bait = folder.path().display().to_string();
    let faults = from_ini_with(&text(&bait), &Six).unwrap_err();
    assert_eq!(faults[0].line, Some(3));
    assert!(
        faults[0].problem.ends_with(&format!(
            "bait {bait}: holds no .toml file; it takes files.toml, redis.toml, database.toml, site.toml and phrases.toml"
        )),
        "{faults:?}"
    );
    std::fs::write(folder.path().join("files.toml"), "[[file]]\npath = 7\n").unwrap();
    let faults = from_ini_with(&text(&bait), &Six).unwrap_err();
    assert!(faults[0].problem.contains("files.toml: line 2"), "{faults:?}");
    std::fs::write(folder.path().join("files.toml"), "[[file]]\npath = \"/a\"\n").unwrap();
    let spec = from_ini_with(&text(&bait), &Six).unwrap();
    assert_eq!(spec.deckies[0].bait.as_deref(), Some(bait.as_str()));
    let faults = from_ini_with(&text("here"), &Six).unwrap_err();
    assert!(
        faults[0].problem.contains("name the folder from / on"),
        "{faults:?}"
    );
}

#[test]
fn a_folder_of_bait_of_a_service_is_taken_for_it_alone_and_its_faults_name_line_and_file() {
    let (good, bad) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(
        good.path().join("redis.toml"),
        "[[key]]\nkey = \"a\"\nstring = \"b\"\n",
    )
    .unwrap();
    std::fs::write(bad.path().join("redis.toml"), "\n[[key]]\nkey = \"a\"\n").unwrap();
    let (good, bad) = (
        good.path().display().to_string(),
        bad.path().display().to_string(),
    );
    let text = |redis: &str| {
        format!(
            "[db]\narchetype = linux-server\nservices = ssh, redis\n[db.redis]\nbait = {redis}\ntarpit_ms = 5\n"
        )
    };
    let spec = from_ini(&text(&good)).unwrap();
    let redis = &spec.deckies[0].services[1];
    assert_eq!(redis.bait.as_deref(), Some(good.as_str()));
    assert_eq!(redis.knobs.len(), 1, "{redis:?}");
    assert_eq!(from_ini(&to_ini(&spec, &BuiltIn).unwrap()).unwrap(), spec);
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(Described::read_json(&json).spec, spec);

    let now = OffsetDateTime::UNIX_EPOCH;
    let settled = |spec: &FleetSpec, before: &[_]| {
        resolve(spec, before, &Limits::default(), &BuiltIn, now)
            .unwrap()
            .remove(0)
    };
    let of = |decky: &DesiredDecky| -> Vec<String> {
        let bait = decky.persona.overrides.service_bait.iter();
        bait.map(|(slug, folder)| format!("{slug} {folder}")).collect()
    };
    let plain = settled(
        &from_ini("[db]\narchetype = linux-server\nservices = ssh, redis\n").unwrap(),
        &[],
    );
    assert_eq!(of(&plain), [""; 0]);
    let baited = settled(&spec, std::slice::from_ref(&plain));
    assert_eq!(of(&baited), [format!("redis {good}")]);
    assert_eq!(baited.persona.overrides.bait, None);
    // A program reads it as it begins, so another one is another decky, and nothing that one that runs is told.
    assert_ne!(baited.identity(), plain.identity());
    assert!(baited.services.iter().all(|service| service.bait.is_none()));
    // Who does not speak of it leaves it, as the database does, and mutations.
    let unsaid = from_ini("[db]\narchetype = linux-server\nservices = redis, http\n").unwrap();
    assert_eq!(of(&settled(&unsaid, std::slice::from_ref(&baited))), of(&baited));
    let kept: DesiredDecky = serde_json::from_value(serde_json::to_value(&baited).unwrap()).unwrap();
    assert_eq!(kept, baited);
    for round in 0..8 {
        let after = mutation::mutate(&baited, &BuiltIn, round).unwrap();
        assert_eq!(after.identity(), baited.identity());
    }
    for taken_away in [
        text(""),
        "[db]\narchetype = linux-server\nservices = ssh\n".to_owned(),
    ] {
        let spec = from_ini(&taken_away).unwrap();
        assert_eq!(of(&settled(&spec, std::slice::from_ref(&baited))), [""; 0]);
    }

    for (text, line, words) in [
        (
            text(&bad),
            5,
            format!("redis: bait {bad}/redis.toml: line 2, key a: needs exactly one of"),
        ),
        (
            text("here"),
            5,
            "redis: here: the decoys run elsewhere".to_owned(),
        ),
        (
            format!("[db]\narchetype = linux-server\n[db.smtp]\nbait = {good}\n"),
            4,
            "smtp: it shows no bait; these do: ssh, ftp, http, redis, mysql".to_owned(),
        ),
        (
            format!(
                "[db]\nservices = ssh, own\n[custom-own]\nimage = own\nports = 8080\n[db.own]\nbait = {good}\n"
            ),
            7,
            "own is an image, which shows what it brings".to_owned(),
        ),
    ] {
        let faults = from_ini(&text).unwrap_err();
        let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&format!("line {line}: {words}")), "{told:?}");
    }
    // The name is nobody's knob.
    for meta in decnet_decoys::catalogue::ALL {
        let knobs = decnet_decoys::catalogue::knobs(meta.slug);
        assert!(knobs.iter().all(|knob| knob.name != BAIT), "{}", meta.slug);
    }
    for slug in decnet_persona::bait::SERVICES {
        assert!(decnet_decoys::catalogue::find(slug).is_some(), "{slug}");
    }
}

#[test]
fn a_text_that_is_all_sections_keys_or_services_is_refused_and_read_only_so_far() {
    let many = |line: fn(usize) -> String| (0..50_000).map(line).collect::<String>();
    let sections = format!("[web]\narchetype = web-server\n{}", many(|n| format!("[a{n}]\n")));
    let described = Described::read(&sections, &Six);
    assert_eq!(described.spec.deckies.len(), 2000);
    let faults = described.faults([]);
    assert_eq!(faults.len(), 1, "{:?}", faults.get(..2));
    assert_eq!(faults[0].line, Some(2002));
    assert!(
        faults[0].problem.contains("more than 2000 sections"),
        "{faults:?}"
    );

    let keys = format!(
        "[web]\narchetype = web-server\n[web.http]\n{}",
        many(|n| format!("k{n}=\n"))
    );
    let faults = from_ini_with(&keys, &Six).unwrap_err();
    assert_eq!(faults.len(), 50_000, "each is told, once");
    let twice = from_ini_with("[web]\narchetype = web-server\narchetype = web-server\n", &Six).unwrap_err();
    assert!(
        twice[0].problem.contains("archetype stands twice in [web]"),
        "{twice:?}"
    );

    let services = format!("[web]\nservices = {}\n", many(|n| format!("a{n},")));
    let faults = from_ini_with(&services, &Six).unwrap_err();
    assert_eq!((faults.len(), faults[0].line), (1, Some(2)));
    assert!(faults[0].problem.contains("more than 100"), "{:?}", faults[0]);
}

proptest! {
    #[test]
    fn a_decky_of_any_name_is_itself_as_text_or_no_text_at_all(
        name in "general|custom-[a-z]{1,4}|custom|[a-z0-9][a-z0-9-]{0,8}[a-z0-9]|[a-z]",
    ) {
        let decky = DeckySpec {
            name: Some(name.parse().unwrap()),
            archetype: Some("web-server".into()),
            ..DeckySpec::default()
        };
        let spec = FleetSpec { deckies: vec![decky], replace: false };
        match to_ini(&spec, &Six) {
            Ok(text) => prop_assert_eq!(Described::read(&text, &Six).spec, spec),
            Err(faults) => {
                prop_assert!(name == "general" || name.starts_with("custom-"));
                prop_assert_eq!(&faults[0].field, "deckies[0].name");
                prop_assert!(faults[0].problem.contains("means something else"));
            }
        }
    }
}

/// A fleet that says everything that one can say.
const WHOLE: &str = "\
[general]
replace = yes

[web]
archetype = web-server
amount = 3
services = http, ssh, intranet
distro = debian12
os = linux
seed = a seed; of words
bait =
mutate_interval_minutes = 30
egress = dns

[web.http]
bait =
anonymous = false
banner = 8
tarpit_ms = 200

[web.ssh]
bait =

[one]
archetype = database-server
randomize_services = yes
ip = 127.66.1.9
mac = 00:50:56:01:02:03
hostname = db-7

[custom-intranet]
image = registry.example/intranet:2
command = /srv/app --motto 'to be or not' '' --port 8080
ports = 8080, 9090
memory_mb = 128
";

#[test]
fn a_fleet_as_text_is_the_fleet_again_whatever_it_says() {
    let spec = from_ini_with(WHOLE, &Six).unwrap();
    let text = to_ini(&spec, &Six).unwrap();
    assert_eq!(from_ini_with(&text, &Six).unwrap(), spec, "{text}");
    // It is the shape that people write, too.
    assert_eq!(text, WHOLE);
    for other in [GOOD, OWN] {
        let spec = from_ini_with(other, &Six).unwrap();
        let text = to_ini(&spec, &Six).unwrap();
        assert_eq!(from_ini_with(&text, &Six).unwrap(), spec, "{text}");
    }
}

#[test]
fn what_no_line_says_is_told_by_field_and_never_becomes_another_fleet() {
    let mut ssh = ServiceSpec::of("ssh".parse().unwrap());
    ssh.knobs.insert("banner".into(), json!("two\nlines"));
    ssh.knobs.insert("x\n[general]\nreplace".into(), json!("yes"));
    let decky = DeckySpec {
        name: Some("web".parse().unwrap()),
        services: vec![ssh],
        hostname: Some("a ; b".into()),
        seed: Some(" ends ".into()),
        distro: Some("debian12".into()),
        ..DeckySpec::default()
    };
    let unnamed = DeckySpec::default();
    let spec = FleetSpec {
        deckies: vec![decky, unnamed],
        replace: false,
    };
    let faults = to_ini(&spec, &Six).unwrap_err();
    let fields: Vec<_> = faults.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "deckies[0].hostname",
            "deckies[0].seed",
            "deckies[0].services[0].knobs.banner",
            "deckies[0].services[0].knobs.x\n[general]\nreplace",
            "deckies[1].name",
        ]
    );
}
