//! What ARCHITECTURE.md promises about the shape of the project, held by reading the files that git tracks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Which of our crates each crate of app/ may use; everything that is not in app/ may use all of these.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("syslog", &["model"]),
    ("persona", &["model"]),
    ("pki", &["model"]),
    ("bus", &["model"]),
    ("spool", &["model", "syslog"]),
    ("decoys", &["model", "syslog", "persona"]),
    ("control", &[]),
    ("db", &["model", "syslog", "spool"]),
    ("fleet", &["model", "syslog", "spool", "persona", "decoys"]),
    ("runtime", &["model", "bus", "db", "spool"]),
    (
        "domain",
        &[
            "model", "syslog", "persona", "bus", "spool", "decoys", "db", "fleet", "runtime",
        ],
    ),
    ("testkit", &["model", "syslog", "persona", "decoys", "bus"]),
    ("app", &["model", "domain"]),
];

/// What only tests may use; but for the command line, which shows with them what DECNET is.
const FOR_TESTS: &[&str] = &["testkit", "control"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

fn tracked() -> Vec<PathBuf> {
    let out = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "git lists the files");
    let names = String::from_utf8(out.stdout).unwrap();
    // A file may be removed and that not committed yet.
    names
        .split_terminator('\0')
        .map(PathBuf::from)
        .filter(|p| root().join(p).exists())
        .collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    let rust = tracked()
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "rs"));
    rust.map(|p| (p.clone(), fs::read_to_string(root().join(p)).unwrap()))
        .collect()
}

/// Folder and manifest of every member of the workspace.
fn members() -> BTreeMap<PathBuf, toml::Table> {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    members
        .iter()
        .map(|m| PathBuf::from(m.as_str().unwrap()))
        .map(|folder| {
            let text = fs::read_to_string(root().join(&folder).join("Cargo.toml")).unwrap();
            (folder, text.parse().unwrap())
        })
        .collect()
}

/// What a crate is made of, and what its tests are made of.
const IN_EARNEST: &[&str] = &["dependencies", "build-dependencies"];
const IN_TESTS: &[&str] = &["dev-dependencies"];

/// What stands in these tables of a manifest, for every machine or for some.
fn dependencies<'a>(manifest: &'a toml::Table, kinds: &[&str]) -> BTreeMap<String, &'a toml::Value> {
    let of_some = manifest.get("target").and_then(toml::Value::as_table);
    let of_some = of_some
        .into_iter()
        .flat_map(|targets| targets.values())
        .filter_map(toml::Value::as_table);
    std::iter::once(manifest)
        .chain(of_some)
        .flat_map(|tables| kinds.iter().filter_map(move |kind| tables.get(*kind)?.as_table()))
        .flatten()
        .map(|(name, spec)| (name.clone(), spec))
        .collect()
}

/// `decnet-bus` of app/bus, but not a package of workers/.
fn ours(name: &str) -> Option<&str> {
    name.strip_prefix("decnet-")
        .filter(|rest| !rest.starts_with("worker-"))
}

#[test]
fn arrows_point_into_app_and_downwards() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for (folder, manifest) in members() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let in_app = folder.starts_with("app");
        let uses = |kinds| dependencies(&manifest, kinds).into_keys();
        let earnest = uses(IN_EARNEST).map(|name| (name, false));
        for (dependency, in_tests) in earnest.chain(uses(IN_TESTS).map(|name| (name, true))) {
            assert!(
                !dependency.starts_with("decnet-worker-")
                    && dependency != "decnet-server"
                    && dependency != "decnet-frontend",
                "{} depends on {dependency}, which is a process",
                folder.display()
            );
            let Some(target) = ours(&dependency) else { continue };
            let for_tests = FOR_TESTS.contains(&target);
            assert!(
                in_tests || !for_tests || folder == Path::new("workers/cli"),
                "{} depends on {dependency} in earnest, which is for tests",
                folder.display()
            );
            if in_app {
                let may = allowed
                    .get(name)
                    .unwrap_or_else(|| panic!("{name} stands in no line of ARROWS"));
                assert!(
                    may.contains(&target) || in_tests && for_tests,
                    "app/{name} may not depend on {target}"
                );
            } else if !(folder.starts_with("deploy") && target == "lab") {
                assert!(
                    allowed.contains_key(target),
                    "{} depends on {dependency}, which is not in app/",
                    folder.display()
                );
            }
        }
    }
}

#[test]
fn the_frontend_is_the_app_and_nothing_else() {
    let members = members();
    let uses: Vec<_> = dependencies(&members[Path::new("frontend")], IN_EARNEST)
        .into_keys()
        .filter(|name| ours(name).is_some())
        .collect();
    assert_eq!(uses, ["decnet-app"]);
}

#[test]
fn every_crate_inherits_the_lints_and_names_no_version_of_its_own() {
    for (folder, manifest) in members() {
        let inherits = manifest
            .get("lints")
            .and_then(|l| l.get("workspace"))
            .and_then(toml::Value::as_bool);
        assert_eq!(
            inherits,
            Some(true),
            "{} does not inherit the workspace's lints",
            folder.display()
        );
        let all = [IN_EARNEST, IN_TESTS].concat();
        for (name, spec) in dependencies(&manifest, &all) {
            let inherited = spec.get("workspace").and_then(toml::Value::as_bool);
            assert_eq!(
                inherited,
                Some(true),
                "{}: the version of {name} belongs into the root",
                folder.display()
            );
        }
    }
}

#[test]
fn only_their_owners_know_sql_docker_and_http_statuses() {
    for (folder, manifest) in members() {
        let uses: BTreeSet<_> = dependencies(&manifest, IN_EARNEST).into_keys().collect();
        let owner = |krate: &str, owners: &[&str]| {
            assert!(
                !uses.contains(krate) || owners.iter().any(|o| folder == Path::new(o)),
                "{} depends on {krate}, which is the business of {owners:?}",
                folder.display()
            );
        };
        owner("sqlx", &["app/db"]);
        owner("bollard", &["app/fleet"]);
        owner("tower-http", &["server"]);
        owner("axum", &["server", "app"]);
    }
    // A decoy answers statements, and a test may put a fault into a database; nobody else writes any.
    let may_write_sql = |path: &Path| {
        path.starts_with("app/db")
            || path.starts_with("app/decoys")
            || path.iter().any(|part| part == "tests" || part == "benches")
    };
    for (path, text) in sources() {
        for statement in [
            "\"SELECT ",
            "\"INSERT INTO ",
            "\"DELETE FROM ",
            "\"UPDATE ",
            "\"CREATE TABLE ",
        ] {
            assert!(
                may_write_sql(&path) || !text.contains(statement),
                "{} writes SQL: {statement}",
                path.display()
            );
        }
        if !path.starts_with("server") && path != Path::new("deploy/xtask/tests/tidy.rs") {
            assert!(
                !text.contains("StatusCode::"),
                "{} knows HTTP status codes",
                path.display()
            );
        }
    }
}

#[test]
fn the_model_does_no_io() {
    for (path, text) in sources().iter().filter(|(p, _)| p.starts_with("app/model/src")) {
        for io in [
            "std::fs",
            "std::process",
            "std::thread",
            "TcpStream",
            "UdpSocket",
            "tokio",
            "std::env",
        ] {
            assert!(!text.contains(io), "{} uses {io}", path.display());
        }
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    // The parts of an integration test are told by its main.rs.
    let part_of_a_test = |p: &Path| p.iter().any(|c| c == "tests") && !p.ends_with("main.rs");
    for (path, text) in sources().into_iter().filter(|(path, _)| !part_of_a_test(path)) {
        assert!(
            text.starts_with("//!"),
            "{} does not open with what it is for",
            path.display()
        );
    }
}

#[test]
fn nothing_is_left_for_later() {
    for (path, text) in sources() {
        if path == Path::new("deploy/xtask/tests/tidy.rs") {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            for mark in ["todo!(", "unimplemented!(", "#[ignore", "TODO", "FIXME", "XXX"] {
                // `.XXXX` is how mktemp and its imitators spell a random name.
                let named = line.contains(mark) && !line.contains("XXXX");
                assert!(!named, "{}:{number}: {mark}", path.display());
            }
        }
    }
}

#[test]
fn every_path_that_the_documents_name_exists() {
    let tops = [
        "app/",
        "frontend/",
        "server/",
        "workers/",
        "style/",
        "end2end/",
        "deploy/",
        "fuzz/",
    ];
    for document in [
        "ARCHITECTURE.md",
        "README.md",
        "CONTRIBUTING.md",
        "ROADMAP.md",
        "STYLE.md",
    ] {
        let text = fs::read_to_string(root().join(document)).unwrap_or_else(|e| panic!("{document}: {e}"));
        for word in text.split('`').skip(1).step_by(2) {
            // `workers/*` and `app/{a,b}` are patterns, not paths.
            if tops.iter().any(|top| word.starts_with(top)) && !word.contains(['*', '{', '<', ' ']) {
                let path = word.split(':').next().unwrap_or(word);
                assert!(
                    root().join(path).exists(),
                    "{document} names {path}, which is not there"
                );
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or(link);
            if !target.is_empty() && !target.contains("://") {
                assert!(
                    root().join(target).exists(),
                    "{document} links to {target}, which is not there"
                );
            }
        }
    }
}

#[test]
fn pages_may_speak_to_cargo_leptos_where_it_listens() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let port = &manifest["workspace"]["metadata"]["leptos"][0]["reload-port"];
    let ui = fs::read_to_string(root().join("server/src/ui.rs")).unwrap();
    assert!(ui.contains(&format!("const RELOAD_PORT: u32 = {port};")));
}

#[test]
fn nothing_names_a_machine_or_a_package_host() {
    // Spelt in two halves, so that this file does not name them itself.
    let hosts: Vec<String> = [
        ("registry.npmjs", ".org"),
        ("static.crates", ".io"),
        ("index.crates", ".io"),
        ("deb.debian", ".org"),
        ("files.pythonhosted", ".org"),
    ]
    .iter()
    .map(|(a, b)| format!("{a}{b}"))
    .chain(
        [("/ro", "ot/.cargo"), ("/wor", "k/main"), ("/wor", "k/shared")]
            .iter()
            .map(|(a, b)| format!("{a}{b}")),
    )
    .collect();
    for path in tracked() {
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for host in &hosts {
            assert!(!text.contains(host.as_str()), "{} names {host}", path.display());
        }
    }
}
