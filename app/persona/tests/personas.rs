//! What a persona promises: the same for a seed, nothing in common between two, and nothing that gives it away.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use decnet_persona::{
    Distro, GIVEAWAYS, Mac, Overrides, Persona, PersonaSpec, ProductKind, Seed,
    archetype::{self, ALL},
    bait::{self, Bait, RedisValue, Value},
    mac::Vendor,
};
use proptest::prelude::*;

fn spec(seed: &str, archetype: &str) -> PersonaSpec {
    PersonaSpec::new(seed.parse::<Seed>().unwrap(), archetype)
}

fn persona(seed: &str, archetype: &str) -> Persona {
    Persona::derive(&spec(seed, archetype)).unwrap()
}

fn any_archetype() -> impl Strategy<Value = &'static str> {
    prop::sample::select(ALL.iter().map(|a| a.slug).collect::<Vec<_>>())
}

/// Every password, key and token of a machine.
fn secrets(p: &Persona) -> BTreeSet<String> {
    let mut out: BTreeSet<String> = p.users.iter().map(|u| u.password.clone()).collect();
    out.extend(["mysql/root", "redis", "backup", "vpn"].map(|label| p.password(label)));
    out.extend(["ssh", "tls", "mysql/salt"].map(|label| format!("{:x?}", p.secret(label))));
    out.insert(p.machine_id());
    out.insert(p.mac.to_string());
    for entry in bait::redis(p) {
        if let RedisValue::String(text) = entry.value
            && entry.key.starts_with("session:")
        {
            out.insert(text);
        }
    }
    for database in bait::database(p) {
        for table in database.tables {
            let secret =
                |name: &str| matches!(name, "password_hash" | "secret" | "user_pass" | "smtp_password");
            for (i, column) in table.columns.iter().enumerate().filter(|(_, c)| secret(&c.name)) {
                for row in &table.rows {
                    let Value::Text(text) = &row[i] else {
                        panic!("{} is no text", column.name)
                    };
                    out.insert(text.clone());
                }
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_spec_gives_the_same_machine(seed in "[a-z0-9]{1,20}", archetype in any_archetype()) {
        let (a, b) = (persona(&seed, archetype), persona(&seed, archetype));
        prop_assert_eq!(bait::files(&a), bait::files(&b));
        prop_assert_eq!(a, b);
    }

    #[test]
    fn two_seeds_share_no_secret(a in "[a-z0-9]{1,20}", b in "[a-z0-9]{1,20}", archetype in any_archetype()) {
        prop_assume!(a != b);
        let (a, b) = (secrets(&persona(&a, archetype)), secrets(&persona(&b, archetype)));
        let shared: Vec<_> = a.intersection(&b).collect();
        prop_assert!(shared.is_empty(), "{shared:?}");
    }

    #[test]
    fn nothing_that_a_visitor_sees_gives_it_away(seed in "[a-z0-9]{1,20}", archetype in any_archetype()) {
        let p = persona(&seed, archetype);
        let mut seen = vec![p.hostname.clone(), p.domain.clone(), p.company.clone(), p.uname(), p.os_release()];
        for file in bait::files(&p) {
            prop_assert!(file.path.starts_with('/') || file.path.starts_with("C:\\"), "{}", file.path);
            prop_assert!(file.mtime <= p.boot_time);
            prop_assert!(!file.path.contains("{{") && file.content.len() <= 256 * 1024);
            seen.push(file.path);
            // What is packed holds any four letters by chance now and then.
            match String::from_utf8(file.content) {
                Ok(text) => seen.push(text),
                Err(packed) => {
                    let letters = String::from_utf8_lossy(packed.as_bytes()).to_lowercase();
                    let told = GIVEAWAYS.iter().find(|giveaway| giveaway.len() > 4 && letters.contains(**giveaway));
                    prop_assert!(told.is_none(), "{told:?} in a packed file");
                }
            }
        }
        seen.push(format!("{:?} {:?} {:?}", bait::redis(&p), bait::database(&p), bait::site(&p)));
        for text in seen {
            // Drawn tokens are long and may hold any letters; words are not.
            for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() < 12) {
                for giveaway in GIVEAWAYS {
                    // Four letters stand in a drawn password by chance now and then; as a word they never do.
                    let told = if giveaway.len() > 4 { word.contains(giveaway) } else { word == *giveaway };
                    prop_assert!(!told, "{word} in {text}");
                }
            }
        }
    }

    #[test]
    fn names_are_valid_ones_under_endings_that_nobody_can_register(seed in "[a-z0-9]{1,20}", archetype in any_archetype()) {
        let p = persona(&seed, archetype);
        let label = |s: &str| (1..=63).contains(&s.len())
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !s.starts_with('-') && !s.ends_with('-');
        prop_assert!(label(&p.hostname), "{}", p.hostname);
        prop_assert!(p.domain.split('.').all(label), "{}", p.domain);
        let ending = p.domain.rsplit('.').next().unwrap();
        prop_assert!(["internal", "lan", "corp", "intranet", "private", "local", "home"].contains(&ending));
        if p.os.is_windows() {
            prop_assert!(p.hostname.len() <= 15 && p.hostname == p.hostname.to_uppercase());
        }
        prop_assert!(archetype::find(archetype).unwrap().vendors.contains(&p.mac.vendor().unwrap()));
        let logins: BTreeSet<_> = p.users.iter().map(|u| &u.name).collect();
        prop_assert_eq!(logins.len(), p.users.len());
    }

    #[test]
    fn a_machine_stays_who_it_is_when_its_services_or_its_name_change(seed in "[a-z0-9]{1,20}", archetype in any_archetype()) {
        let before = persona(&seed, archetype);
        let after = Persona::derive(&PersonaSpec {
            services: vec!["ssh".parse().unwrap()],
            hostname: Some("box".into()),
            ..spec(&seed, archetype)
        }).unwrap();
        prop_assert_eq!(&before.users, &after.users);
        prop_assert_eq!((before.mac, &before.domain, before.boot_time), (after.mac, &after.domain, after.boot_time));
    }
}

#[test]
fn a_persona_stays_the_same_across_releases() {
    let lines: Vec<String> = ["web-server", "database-server", "windows-server", "ip-camera"]
        .into_iter()
        .map(|archetype| {
            let p = persona("golden", archetype);
            let users: Vec<_> = p
                .users
                .iter()
                .map(|u| format!("{}:{}:{}", u.name, u.uid, u.password))
                .collect();
            let product = |kind| p.product(kind).banner;
            format!(
                "{} | {} | {} | {} | {} | {} | {} | {} | {}",
                p.fqdn(),
                p.company,
                p.mac,
                p.boot_time,
                p.machine_id(),
                users.join(" "),
                product(ProductKind::Ssh),
                product(ProductKind::Web),
                product(ProductKind::Ftp),
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn host_names_follow_many_schemes_and_seldom_repeat() {
    let names: Vec<String> = (0..500)
        .map(|i| persona(&format!("seed-{i}"), "linux-server").hostname)
        .collect();
    let different: BTreeSet<_> = names.iter().collect();
    assert!(different.len() > 350, "{}", different.len());
    let shape = |name: &String| -> String {
        name.chars()
            .map(|c| {
                if c.is_ascii_digit() {
                    '9'
                } else if c.is_alphabetic() {
                    'a'
                } else {
                    c
                }
            })
            .collect()
    };
    let shapes: BTreeSet<String> = names.iter().map(shape).collect();
    assert!(shapes.len() > 20, "{shapes:?}");
    let companies: BTreeSet<String> = (0..500)
        .map(|i| persona(&format!("seed-{i}"), "linux-server").company)
        .collect();
    assert!(companies.len() > 490, "{}", companies.len());
}

#[test]
fn a_device_that_bears_its_makers_name_has_an_address_of_that_maker_which_it_ends_in() {
    let mut named = BTreeSet::new();
    let given: Mac = "00:c0:ee:01:02:0a".parse().unwrap();
    for i in 0..300 {
        let mut spec = spec(&format!("seed-{i}"), "printer");
        // Also where an operator says which address it has.
        spec.mac = (i % 3 == 0).then_some(given);
        let p = Persona::derive(&spec).unwrap();
        let digits = p.mac.to_string().replace(':', "").to_uppercase();
        let (_, tail) = digits.split_at(6);
        for (begin, vendor, end) in [
            ("NPI", Vendor::Hp, tail),
            ("BRN", Vendor::Brother, digits.as_str()),
            ("KM", Vendor::Kyocera, tail),
        ] {
            if let Some(rest) = p.hostname.strip_prefix(begin) {
                assert_eq!((p.mac.vendor(), rest), (Some(vendor), end), "{}", p.hostname);
                named.insert(begin);
            }
        }
        assert!(p.mac == given || spec.mac.is_none());
    }
    assert_eq!(named.len(), 3, "each comes up: {named:?}");
}

#[test]
fn versions_of_one_machine_agree_with_its_distribution() {
    for distro in Distro::ALL {
        for seed in ["a", "b", "c", "d"] {
            let p = Persona::derive(&PersonaSpec {
                distro: Some(*distro),
                ..spec(seed, "linux-server")
            })
            .unwrap();
            let ssh = p.product(ProductKind::Ssh);
            let (uname, release) = (p.uname(), p.os_release());
            match distro {
                Distro::Debian12 => {
                    assert!(
                        ssh.banner.starts_with("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u"),
                        "{ssh:?}"
                    );
                    assert_eq!(ssh.version, "9.2p1");
                    assert!(
                        uname.contains(" 6.1.0-") && uname.ends_with("x86_64 GNU/Linux"),
                        "{uname}"
                    );
                    assert!(release.contains("VERSION_CODENAME=bookworm"), "{release}");
                    assert!(p.sql_product().banner.contains("+deb12u"));
                    assert!(
                        ["nginx/1.22.1"].contains(&p.product(ProductKind::Web).banner.as_str())
                            || p.product(ProductKind::Web).banner.ends_with("(Debian)")
                    );
                }
                Distro::Ubuntu22 => {
                    assert!(
                        ssh.banner.starts_with("SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0."),
                        "{ssh:?}"
                    );
                    assert!(
                        uname.contains("-generic #") && uname.contains("-Ubuntu SMP"),
                        "{uname}"
                    );
                    assert!(p.product(ProductKind::Web).banner.ends_with("(Ubuntu)"));
                }
                Distro::Rocky9 => assert!(
                    uname.contains(".el9_") && ssh.banner == "SSH-2.0-OpenSSH_8.7",
                    "{uname}"
                ),
                Distro::WindowsServer => {
                    assert_eq!(p.product(ProductKind::Web).name, "Microsoft-IIS");
                    assert_eq!(p.product(ProductKind::Ftp).name, "Microsoft FTP Service");
                }
                _ => {}
            }
            for kind in [
                ProductKind::Web,
                ProductKind::Redis,
                ProductKind::Mysql,
                ProductKind::Mariadb,
                ProductKind::Ftp,
                ProductKind::Mail,
            ] {
                let product = p.product(kind);
                assert!(!product.banner.is_empty(), "{distro}: {kind:?}");
            }
        }
    }
}

#[test]
fn the_built_in_bait_is_without_fault_and_of_believable_size() {
    let bait = Bait::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("bait"));
    assert!(bait.is_ok(), "{bait:?}");
    let p = persona("size", "web-server");
    assert!(bait::files(&p).len() >= 12);
    assert!(bait::redis(&p).len() >= 60);
    let rows: usize = bait::database(&p)
        .iter()
        .flat_map(|d| &d.tables)
        .map(|t| t.rows.len())
        .sum();
    assert!(rows > 200, "{rows}");
    assert!(bait::files(&p).iter().any(|f| f.path.starts_with(bait::FTP_ROOT)));
}

/// Whether a shell would have read `line` to its end: quotes are closed, and nothing waits for more.
fn is_whole(line: &str) -> bool {
    let mut quote = None;
    for c in line.chars() {
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let joins = |word: Option<&&str>| matches!(word, None | Some(&("|" | "||" | "&&" | "&" | ";")));
    let empty = words
        .windows(2)
        .any(|pair| joins(pair.first()) && joins(pair.last()));
    quote.is_none() && !joins(words.first()) && !joins(words.last()) && !empty
}

#[test]
fn every_line_of_a_history_is_one_that_a_shell_has_read() {
    for cut in ["ls |", "| ls", "a && ", "echo 'x", "a | | b", ""] {
        assert!(!is_whole(cut), "{cut}");
    }
    let mut piped = BTreeSet::new();
    for distro in Distro::ALL.iter().filter(|distro| !distro.family().is_windows()) {
        for n in 0..12 {
            let spec = PersonaSpec {
                distro: Some(*distro),
                ..spec(&format!("history-{n}"), "linux-server")
            };
            let p = Persona::derive(&spec).unwrap();
            for file in bait::files(&p) {
                if !file.path.ends_with("_history") {
                    continue;
                }
                let text = String::from_utf8(file.content).unwrap();
                let lines: Vec<&str> = text.lines().collect();
                assert!(lines.len() > 8, "{text}");
                for line in lines {
                    assert!(line.trim() == line && is_whole(line), "{line:?} in:\n{text}");
                    piped.extend(line.contains(" | ").then(|| line.to_owned()));
                }
            }
        }
    }
    assert!(piped.len() > 50, "pipes are typed: {piped:?}");
}

/// The bait of a machine as lines of text, by what they stand in: histories, style and prose apart.
fn lines_of(p: &Persona) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for file in bait::files(p) {
        let Ok(text) = String::from_utf8(file.content) else {
            continue;
        };
        if file.path.ends_with("_history") {
            // Two people may well type the same command; not all of them, in the same order.
            out.push(("history".to_owned(), text));
        } else {
            out.extend(
                text.lines()
                    .map(|line| (file.path.clone(), line.trim().to_owned())),
            );
        }
    }
    let site = bait::site(p);
    let texts = site.sections.iter().flat_map(|(heading, text)| [heading, text]);
    for text in texts.chain([&site.title, &site.slogan]) {
        out.extend(text.lines().map(|line| ("site".to_owned(), line.to_owned())));
    }
    out
}

/// What stands on real machines in these very words.
const REAL: &[(&str, &str)] = &[
    (
        "define( 'DB_NAME', 'wordpress' );",
        "wp-config.php as WordPress's package for Debian names it",
    ),
    (
        "define( 'DB_USER', 'wp_user' );",
        "wp-config.php: the user of most guides",
    ),
    (
        "define( 'DB_HOST', 'localhost' );",
        "wp-config-sample.php of WordPress",
    ),
    (
        "define( 'DB_CHARSET', 'utf8mb4' );",
        "wp-config-sample.php of WordPress",
    ),
    (
        "define( 'WP_DEBUG', false );",
        "wp-config-sample.php of WordPress",
    ),
    (
        "require_once ABSPATH . 'wp-settings.php';",
        "wp-config-sample.php of WordPress",
    ),
    ("image: redis:6", "docker-compose.yml: the image of Docker Hub"),
    ("image: redis:7", "docker-compose.yml: the image of Docker Hub"),
];

/// Characters above which a line is its machine's own: what is shorter are words, and words are everybody's.
const OWN: usize = 24;

#[test]
fn no_two_machines_share_a_line_of_bait() {
    for archetype in ["web-server", "devops-host", "file-server", "windows-server"] {
        let mut owners = std::collections::BTreeMap::new();
        let mut shared = BTreeSet::new();
        for n in 0..40 {
            for (place, line) in lines_of(&persona(&format!("line-{n}"), archetype)) {
                if line.len() <= OWN || REAL.iter().any(|(real, _)| *real == line) {
                    continue;
                }
                let first = *owners.entry(line.clone()).or_insert(n);
                if first != n {
                    shared.insert((place, line));
                }
            }
        }
        assert!(owners.len() > 800, "{archetype}: {} lines", owners.len());
        assert!(shared.is_empty(), "{archetype}: {shared:#?}");
    }
}

#[test]
fn of_a_hundred_machines_no_two_write_forty_characters_alike() {
    let mut owners = std::collections::HashMap::new();
    let mut shared = BTreeSet::new();
    for n in 0..100 {
        let lines = lines_of(&persona(&format!("run-{n}"), "linux-server"));
        // Prose alone: the syntax of a configuration file is nobody's.
        let prose = |place: &str| {
            !["history", "config", "compose", ".env", "php", ".sh"]
                .iter()
                .any(|end| place.ends_with(end) || place.contains(end))
        };
        for (_, line) in lines.iter().filter(|(place, _)| prose(place)) {
            let chars: Vec<char> = line.chars().collect();
            for run in chars.windows(40) {
                let first = *owners.entry(run.to_vec()).or_insert(n);
                if first != n {
                    shared.insert(run.iter().collect::<String>());
                }
            }
        }
    }
    assert!(owners.len() > 8000, "{}", owners.len());
    assert!(shared.is_empty(), "{shared:#?}");
}

#[test]
fn numbers_and_places_in_sites_are_of_one_company() {
    let one = [
        "1 sites",
        "1 branches",
        "1 plants",
        "1 locations",
        "1 employees",
        "1 people",
        "1 days",
    ];
    let mut offices = 0;
    for n in 0..200 {
        let p = persona(&format!("place-{n}"), "web-server");
        let site = bait::site(&p);
        for (_, text) in &site.sections {
            let words = format!(" {} ", text.replace(['.', ',', ';', ':', '\n'], " "));
            for wrong in one {
                assert!(!words.contains(&format!(" {wrong} ")), "{text}");
            }
            // A telephone of one country beside an address of another would be seen.
            if let Some((_, number)) = text.split_once('+') {
                offices += 1;
                let company = p.company.as_str();
                for (form, dials) in [
                    ("Ltd", &["44 "][..]),
                    ("A/S", &["45 "]),
                    ("BV", &["31 "]),
                    ("GmbH", &["49 ", "43 "]),
                    ("Inc", &["1 "]),
                ] {
                    let right = dials.iter().any(|dial| number.starts_with(dial));
                    assert!(right || !company.ends_with(form), "{company}: {text}");
                }
            }
        }
    }
    assert!(offices > 20, "{offices}");
}

#[test]
fn phrases_that_are_missing_or_never_end_are_faults() {
    let dir = tempfile::tempdir().unwrap();
    let text = "\
[[file]]
path = '/a'
content = '{{say:none}} {{some:1:2:greetings,nobody}}'
[[site]]
title = 'a'
slogan = ''
show = [3, 1]
sections = []
[phrases]
greetings = ['hello', '{{say:circle}}']
circle = ['{{say:round}}']
round = ['{{some:1:1:circle}}']
empty = []
bad = ['{{unknown}}']
";
    std::fs::write(dir.path().join("a.toml"), text).unwrap();
    let faults: Vec<String> = Bait::load(dir.path())
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    let faults = faults.join("\n");
    for part in [
        "file /a: there are no phrases \"none\"",
        "file /a: there are no phrases \"nobody\"",
        "phrases circle: they lead back to themselves",
        "phrases round: they lead back to themselves",
        "phrases empty: there is none in it",
        "phrases bad: placeholder",
        "site a: show = [3, 1]",
    ] {
        assert!(faults.contains(part), "{part} not in:\n{faults}");
    }
    assert!(!faults.contains("phrases greetings"), "{faults}");
}

#[test]
fn a_password_in_a_file_is_the_one_in_the_database_and_the_cache() {
    let p = persona("joined", "web-server");
    let password = p.password("mysql/app");
    let env = bait::files(&p)
        .into_iter()
        .find(|f| f.path == "/opt/app/.env")
        .unwrap();
    assert!(String::from_utf8(env.content).unwrap().contains(&password));
    let redis = bait::redis(&p)
        .into_iter()
        .find(|e| e.key == "config:app")
        .unwrap();
    let RedisValue::Hash(fields) = redis.value else {
        panic!("{redis:?}")
    };
    assert!(fields.contains(&("db_password".into(), password)));
}

#[test]
fn faults_of_an_operators_bait_are_told_all_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("a.toml"),
        "[[file]]\npath = \"/a\"\ncontent = \"{{nobody}}\"\n",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("b.toml"),
        "[[file]]\npath = \"relative\"\nmode = \"999\"\n\n[[key]]\nkey = \"k\"\n",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("c.toml"),
        "[[database]]\nname = \"d\"\n\n[[database.table]]\nname = \"t\"\nrows = [1, 5000]\n\
         columns = [[\"a\", \"int\", \"1\"], [\"b\", \"int\", \"{{nobody}}\"]]\n",
    )
    .unwrap();
    let faults = Bait::load(dir.path()).unwrap_err();
    let text: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    for part in [
        "a.toml: line 3: ",
        "nobody",
        "b.toml: line 1, file relative: the path is not absolute",
        "b.toml: line 1, file relative: mode \"999\" is not octal",
        "b.toml: line 5, key k: needs exactly one of",
        "c.toml: line 4, table t: 5000 rows are over",
        "c.toml: line 4, table t, column b: ",
    ] {
        assert!(text.contains(part), "{part} not in:\n{text}");
    }
    assert!(Bait::load(&dir.path().join("none")).is_err());
}

#[test]
fn bait_that_nobody_would_ever_see_and_ranges_that_are_none_are_faults() {
    let dir = tempfile::tempdir().unwrap();
    let text = "\
[[file]]
path = '/a'
days = [400, 1]
when = { os = ['linx'], distros = ['debain'], archetypes = ['nope'], chance = 200 }
noise = { magic = '00', size = [9, 2] }
[[key]]
key = 'k'
count = [9, 2]
ttl = [60, 6]
sorted_set = [['ada', 'many'], ['bob', '{{int:1:9}}'], ['cleo', '1.5']]
[[database]]
name = 'd'
when = { distros = ['beos'] }
[[database.table]]
name = 't'
rows = [5, 1]
columns = [['a', 'int', '1']]
[[site]]
title = 's'
slogan = ''
sections = []
when = { archetypes = ['toaster'] }
";
    std::fs::write(dir.path().join("a.toml"), text).unwrap();
    let faults = Bait::load(dir.path()).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let told = told.join("\n");
    let parts = [
        "line 1, file /a: when.os: there is no \"linx\"; there are linux",
        "when.distros: there is no \"debain\"; there are debian12",
        "when.archetypes: there is no \"nope\"; there are linux-server",
        "when.chance = 200: it is per cent",
        "days = [400, 1]: the first is the least",
        "size = [9, 2]",
        "line 6, key k: count = [9, 2]",
        "ttl = [60, 6]",
        "the score of ada, \"many\", is no number",
        "database d: when.distros: there is no \"beos\"",
        "table t: rows = [5, 1]",
        "site s: when.archetypes: there is no \"toaster\"",
    ];
    for part in parts {
        assert!(told.contains(part), "{part} not in:\n{told}");
    }
    assert_eq!(faults.len(), parts.len(), "{told}");

    let big = "#".repeat(usize::try_from(bait::MAX_SOURCE).unwrap() + 1);
    std::fs::write(dir.path().join("a.toml"), big).unwrap();
    let faults = Bait::load(dir.path()).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].problem.contains("1048576 are allowed"), "{faults:?}");
}

#[test]
fn a_service_shows_its_own_bait_and_the_others_that_of_the_machine() {
    let folder = |name: &str| {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[[file]]\npath = \"/srv/ftp/{name}\"\n[[file]]\npath = \"/opt/{name}\"\n\
             [[key]]\nkey = \"{name}\"\nstring = \"1\"\n\
             [[site]]\ntitle = \"{name}\"\nslogan = \"\"\nsections = []\n\
             [[database]]\nname = \"{name}\"\n[[database.table]]\nname = \"t\"\nrows = [1, 1]\n\
             columns = [[\"a\", \"int\", \"1\"]]\n"
        );
        std::fs::write(dir.path().join("all.toml"), text).unwrap();
        Bait::load(dir.path()).unwrap()
    };
    let mut spec = spec("whose", "linux-server");
    spec.services = ["ssh", "ftp"].map(|slug| slug.parse().unwrap()).to_vec();
    let whole = Persona::derive(&spec).unwrap().with_bait(folder("all"));
    let shown = |p: &Persona| {
        let paths = |files: Vec<bait::BaitFile>| files.into_iter().map(|file| file.path).collect::<Vec<_>>();
        let keys = bait::redis(p)
            .into_iter()
            .map(|entry| entry.key)
            .collect::<Vec<_>>();
        let databases = bait::database(p)
            .into_iter()
            .map(|of| of.name)
            .collect::<Vec<_>>();
        (
            paths(bait::files(p)),
            paths(bait::ftp_files(p)),
            [keys.join(" "), databases.join(" "), bait::site(p).title],
        )
    };
    let (files, ftp, rest) = shown(&whole);
    assert_eq!(files, ["/srv/ftp/all", "/opt/all"]);
    assert_eq!(ftp, files);
    assert_eq!(rest, ["all", "all", "all"]);

    for (own, expected) in [
        ("redis", ["redis", "all", "all"]),
        ("mysql", ["all", "mysql", "all"]),
        ("http", ["all", "all", "http"]),
    ] {
        let p = whole
            .clone()
            .with_service_bait(&own.parse().unwrap(), folder(own));
        let (files, ftp, rest) = shown(&p);
        assert_eq!(
            (files.len(), ftp.len(), rest),
            (2, 2, expected.map(str::to_owned))
        );
    }
    // A shell finds what FTP shows, and nobody finds both.
    let p = whole
        .clone()
        .with_service_bait(&"ftp".parse().unwrap(), folder("ftp"));
    let (files, ftp, _) = shown(&p);
    assert_eq!(files, ["/opt/all", "/srv/ftp/ftp"]);
    assert_eq!(ftp, ["/srv/ftp/ftp", "/opt/ftp"]);
    let p = whole.with_service_bait(&"ssh".parse().unwrap(), folder("ssh"));
    let (files, ftp, _) = shown(&p);
    assert_eq!(files, ["/opt/ssh", "/srv/ftp/all"]);
    assert_eq!(ftp, ["/srv/ftp/all", "/opt/all"]);
    assert_eq!(bait::SERVICES.len(), 5, "each of them is shown here");
}

#[test]
fn overrides_are_taken_or_refused_with_the_rule() {
    let given = PersonaSpec {
        hostname: Some("PAYROLL01".into()),
        mac: Some("b8:27:eb:00:00:01".parse::<Mac>().unwrap()),
        overrides: Overrides {
            company: Some("Acme".into()),
            domain: Some("acme.lan".into()),
            deployed_at: Some(1_800_000_000),
            ..Overrides::default()
        },
        ..spec("x", "windows-server")
    };
    let p = Persona::derive(&given).unwrap();
    assert_eq!(
        (p.fqdn().as_str(), p.company.as_str()),
        ("PAYROLL01.acme.lan", "Acme")
    );
    assert!(p.boot_time < 1_800_000_000 - 3 * 3600 + 1 && p.uptime_s(1_800_000_000) >= 3 * 3600);
    let json = serde_json::to_string(&given).unwrap();
    assert_eq!(serde_json::from_str::<PersonaSpec>(&json).unwrap(), given);

    let long = PersonaSpec {
        hostname: Some("a-name-that-is-too-long".into()),
        ..spec("x", "windows-server")
    };
    assert!(Persona::derive(&long).unwrap_err().to_string().contains("15"));
    let dotted = PersonaSpec {
        hostname: Some("a.b".into()),
        ..spec("x", "linux-server")
    };
    assert!(Persona::derive(&dotted).is_err());
    let unknown = Persona::derive(&spec("x", "mainframe")).unwrap_err().to_string();
    assert!(unknown.contains("web-server"), "{unknown}");
}

#[test]
fn only_its_own_password_opens_an_account_that_has_a_shell() {
    let p = persona("login", "web-server");
    let root = &p.users[0];
    assert!(p.accepts("root", &root.password).is_some());
    assert!(p.accepts("root", "toor").is_none());
    let daemon = p.user("www-data").unwrap();
    assert!(p.accepts("www-data", &daemon.password).is_none());
}

/// Every kind of program.
const KINDS: [ProductKind; 7] = [
    ProductKind::Ssh,
    ProductKind::Web,
    ProductKind::Redis,
    ProductKind::Mysql,
    ProductKind::Mariadb,
    ProductKind::Ftp,
    ProductKind::Mail,
];

/// A machine of `distro`.
fn of(distro: Distro, seed: u8) -> Persona {
    Persona::derive(&PersonaSpec {
        distro: Some(distro),
        ..PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server")
    })
    .unwrap()
}

#[test]
fn no_program_of_a_persona_contradicts_it() {
    for (distro, seed) in Distro::ALL
        .iter()
        .flat_map(|distro| (0..8).map(move |seed| (*distro, seed)))
    {
        let p = of(distro, seed);
        for own in KINDS.map(|kind| p.product(kind)) {
            assert_eq!(
                p.product_saying(own.clone(), &own.banner),
                Ok(own.clone()),
                "{distro}"
            );
        }
    }
}

#[test]
fn what_contradicts_a_persona_is_told() {
    let said = |distro, kind, text: &str| {
        let p = of(distro, 1);
        p.product_saying(p.product(kind), text)
            .map(|product| product.version)
    };
    for (kind, text, why) in [
        (ProductKind::Ssh, "SSH-2.0-dropbear_2020.81", "names dropbear"),
        (
            ProductKind::Ssh,
            "SSH-2.0-OpenSSH_9.2p1 Ubuntu-3ubuntu0.6",
            "names Ubuntu",
        ),
        (
            ProductKind::Ssh,
            "SSH-2.0-OpenSSH_for_Windows_9.2",
            "names Windows",
        ),
        (
            ProductKind::Ssh,
            "SSH-2.0-OpenSSH_9.2p1 Debian-5+deb11u3",
            "of Debian 11",
        ),
        (ProductKind::Ssh, "SSH-2.0-OpenSSH_7.4", "is of version 7.4"),
        (ProductKind::Redis, "5.0.14", "Redis is 7.0.15"),
        (ProductKind::Mariadb, "8.0.36", "MariaDB is 10.11"),
        (
            ProductKind::Mariadb,
            "10.11.8-MariaDB-0ubuntu0.24.04.1",
            "names Ubuntu",
        ),
        (ProductKind::Mail, "ESMTP Sendmail 8.15", "names Sendmail"),
        (ProductKind::Web, "Microsoft-IIS/10.0", "names Microsoft-IIS"),
    ] {
        let fault = said(Distro::Debian12, kind, text).unwrap_err();
        assert!(fault.contains(why), "{text}: {fault}");
    }
    for (kind, text, version) in [
        (
            ProductKind::Ssh,
            "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u6",
            "9.2p1",
        ),
        (ProductKind::Redis, "7.0.11", "7.0.11"),
        (ProductKind::Mariadb, "10.11.3-MariaDB-1", "10.11.3"),
        // An operator's own words.
        (
            ProductKind::Mail,
            "ESMTP ready",
            of(Distro::Debian12, 1)
                .product(ProductKind::Mail)
                .version
                .as_str(),
        ),
    ] {
        assert_eq!(
            said(Distro::Debian12, kind, text).as_deref(),
            Ok(version),
            "{text}"
        );
    }
    // A rolling system has had every version, and no other's packages.
    assert!(said(Distro::Arch, ProductKind::Ssh, "SSH-2.0-OpenSSH_10.0").is_ok());
    assert!(said(Distro::Arch, ProductKind::Ssh, "SSH-2.0-OpenSSH_9.2p1 Debian-2").is_err());
}
