use decnet_fleet::{
    BuiltIn, Limits, resolve,
    spec::{Described, from_ini, from_ini_with},
};
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
        faults[0]
            .problem
            .contains("holds no .toml file; it takes files.toml"),
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
