//! What keeps an installation from starting, told before anything has begun.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

use tempfile::TempDir;

use crate::{PROGRAM, decnet, said};

#[test]
fn a_weak_secret_is_told_before_there_is_a_database_and_with_all_other_faults_where_that_is_asked() {
    let dir = TempDir::new().unwrap();
    let secrets = dir.path().join("data/secrets");
    fs::create_dir_all(&secrets).unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o700)).unwrap();
    let key = secrets.join("jwt.key");
    fs::write(&key, "short").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let weak = format!("jwt-secret ({}): is 5 bytes long", key.display());
    for (words, faults) in [
        (["up"].as_slice(), "1 fault "),
        (&["init"], "1 fault "),
        (&["config", "check"], "1 fault "),
        (&["--set", "batch-size=many", "config", "check"], "2 faults "),
    ] {
        let output = decnet(PROGRAM, dir.path()).args(words).output().unwrap();
        let (_, stderr, code) = said(&output);
        assert_eq!(code, 78, "{words:?}: {stderr}");
        assert!(
            stderr.contains(&weak) && stderr.contains(faults) && stderr.contains("openssl rand"),
            "{words:?}: {stderr}"
        );
        assert!(!stderr.contains("collector"), "a worker began: {stderr}");
    }
    assert!(!dir.path().join("data/decnet.db").exists());

    // Who has no use for it goes on.
    let shown = decnet(PROGRAM, dir.path())
        .args(["config", "show"])
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    fs::remove_file(&key).unwrap();
    let checked = decnet(PROGRAM, dir.path())
        .args(["config", "check"])
        .output()
        .unwrap();
    assert!(checked.status.success(), "`decnet up` makes one: {checked:?}");
}

#[test]
fn each_attempt_to_reach_the_database_is_seen_while_a_start_waits() {
    let dir = TempDir::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = decnet(PROGRAM, dir.path())
        .arg("up")
        .env("DECNET_DATABASE_URL", format!("mysql://u:hidden-pw@{free}/d"))
        .output()
        .unwrap();
    let (_, stderr, code) = said(&output);
    assert_eq!(code, 69, "{stderr}");
    for attempt in 1..=5 {
        assert!(stderr.contains(&format!("attempt={attempt} of=5")), "{stderr}");
    }
    assert!(!stderr.contains("hidden-pw"), "{stderr}");
}

#[test]
fn a_data_directory_whose_path_is_too_long_for_a_socket_is_told_with_the_limit() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("d".repeat(110));
    let output = decnet(PROGRAM, dir.path())
        .args(["up", "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    let (_, stderr, code) = said(&output);
    assert_eq!(code, 69, "{stderr}");
    for words in ["at most 107 bytes", "give a --data-dir whose path is", "shorter"] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}
