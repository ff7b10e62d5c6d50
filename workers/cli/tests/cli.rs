//! The program as its callers see it: what it says, where, and with which exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cli/fleet.rs"]
mod fleet;
#[path = "cli/lab.rs"]
mod lab;
#[path = "cli/starts.rs"]
mod starts;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use decnet_model::{
    clock::{Clock as _, SystemClock},
    state::{DeckyState, WORKERS, WorkerState},
    view::WorkerView,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_decnet");

/// The program on a data directory of its own, with nothing of this machine's configuration.
fn decnet(program: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", dir)
        .env("DECNET_DATA_DIR", dir.join("data"))
        .env("DECNET_BUS_ENABLED", "false")
        .env("DECNET_LISTEN", free_address())
        .current_dir(dir)
        .stdin(Stdio::null());
    command
}

/// Where nothing listens, so that a program of this machine's own does not matter.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// What the process `pid` says that is the worker `name`, and lives.
fn beat(name: &str, pid: u32) -> WorkerView {
    WorkerView {
        state: WorkerState::Ok,
        last_heard: Some(SystemClock.now()),
        pid: Some(pid),
        ..WorkerView::unheard(name.parse().unwrap())
    }
}

/// Standard output, standard error, exit code.
fn said(output: &Output) -> (String, String, i32) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().unwrap_or(-1),
    )
}

#[test]
fn faults_go_to_standard_error_with_the_code_of_their_kind() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("agent.ini"), "[decnet]\nmode = agent\n").unwrap();
    let held = "[decnet]\nmode = agent\ndisallow-master = true\n";
    fs::write(dir.path().join("held.ini"), held).unwrap();
    for (words, code, word) in [
        ("--set nope=1 config check", 64, "no such key"),
        ("frobnicate", 64, "no command"),
        ("deploy --nope", 64, "--nope"),
        ("status --config agent.ini", 77, "agent"),
        ("up --config agent.ini", 77, "agent"),
        ("init --config agent.ini", 77, "agent.ini:2"),
        ("status --config held.ini", 77, "held.ini:2"),
        ("status --config held.ini --set mode=master", 78, "held.ini:3"),
        ("ingest --rebuild --config agent.ini", 77, "agent"),
        ("--set listen=127.0.0.1:99999 config check", 78, "listen"),
        (
            "config check --config gone.ini",
            78,
            "gone.ini): there is no such file: name one that is there by --config",
        ),
        // Of a network for documentation, so no machine has it.
        (
            "up --listen 192.0.2.7:8080",
            69,
            "192.0.2.7:8080 is no address of this machine: give one that is by --listen",
        ),
        ("collector", 69, "decnet-collector"),
        ("--set batch-size ingester", 64, "KEY=VALUE"),
        ("up --tls maybe", 78, "auto, off, or two absolute paths"),
        ("deploy --file gone.ini", 69, "gone.ini"),
        ("man agent.ini/pages", 69, "agent.ini"),
        ("user create UPPER", 64, "user name"),
        (
            "deploy --archetype web-server --name web-",
            64,
            "no - at its beginning or end",
        ),
        (
            "deploy --archetype web-server --knob http.site",
            64,
            "give it as SERVICE.KEY=VALUE",
        ),
        (
            "deploy --archetype web-server --knob site=company",
            64,
            "give it as SERVICE.KEY=VALUE",
        ),
        (
            "deploy --archetype web-server --knob http.site=login --knob http.site=company",
            64,
            "--knob http.site: it stands twice",
        ),
        ("spool verify gone", 69, "there is no gone: name a spool"),
        (
            "spool verify agent.ini",
            69,
            "agent.ini is no folder: name a spool",
        ),
        (
            "--data-dir agent.ini init",
            78,
            "agent.ini is no directory: give another by --data-dir",
        ),
        ("--data-dir agent.ini status", 78, "agent.ini is no directory"),
        (
            "--data-dir agent.ini spool verify",
            78,
            "agent.ini is no directory",
        ),
        (
            "--data-dir agent.ini/sub demo seed",
            78,
            "agent.ini is no directory; give another",
        ),
        (
            "lab compare nope",
            64,
            "[possible values: ssh, openssh, http, nginx",
        ),
        ("lab compare redis", 69, "the program of the decoys is not there"),
        ("worker stop colector", 64, "a similar value exists: 'collector'"),
        (
            "worker start nobody",
            64,
            "[possible values: bus, server, collector, ingester, profiler, mutator]",
        ),
    ] {
        // A copy stands alone in its folder: there are no workers beside it.
        let program = dir.path().join("decnet");
        if !program.exists() {
            fs::copy(PROGRAM, &program).unwrap();
        }
        let output = decnet(&program, dir.path())
            .args(words.split(' '))
            .output()
            .unwrap();
        let (stdout, stderr, got) = said(&output);
        assert_eq!(got, code, "{words}: {stderr}");
        assert!(
            stderr.contains(word) && stdout.is_empty(),
            "{words}: {stdout} {stderr}"
        );
    }
}

#[test]
fn an_agent_lists_its_workers_and_proves_its_spool() {
    let dir = TempDir::new().unwrap();
    let on_agent = |words: &str| good(dir.path(), &format!("{words} --set mode=agent"));
    let mut spool =
        decnet_spool::Writer::open(&dir.path().join("data/spool"), decnet_spool::Options::default()).unwrap();
    spool
        .append(b"<134>1 2027-01-15T08:00:00Z web-01 ssh - - - x")
        .unwrap();
    spool.commit().unwrap();
    drop(spool);
    let beat = beat("collector", std::process::id());
    decnet_runtime::heartbeat::leave(&dir.path().join("data/run"), &beat).unwrap();
    let workers: serde_json::Value = serde_json::from_str(&on_agent("worker list --json")).unwrap();
    let listed: Vec<_> = workers.as_array().unwrap().iter().collect();
    let of = |name: &str| {
        listed
            .iter()
            .find(|w| w["name"] == name)
            .map(|w| w["state"].clone())
    };
    assert_eq!(of("collector").unwrap(), "ok");
    assert_eq!(of("bus").unwrap(), "unknown");
    assert!(of("ingester").is_none(), "the master's: {workers}");
    on_agent("spool verify");
    on_agent("spool status");
    on_agent("spool export out");
}

#[test]
fn without_a_database_every_command_that_reads_says_how_to_get_one_and_makes_none() {
    let dir = TempDir::new().unwrap();
    for there in [false, true] {
        if there {
            fs::create_dir(dir.path().join("data")).unwrap();
        }
        for words in [
            "status",
            "logs",
            "user list",
            "user token list",
            "worker list",
            "db status",
            "ingest --rebuild",
            "deploy --archetype linux-server",
            "spool status",
            "spool verify",
            "spool export out",
        ] {
            let output = decnet(PROGRAM, dir.path())
                .args(words.split(' '))
                .output()
                .unwrap();
            let (stdout, stderr, code) = said(&output);
            assert_eq!((code, stdout.as_str()), (69, ""), "{words}: {stderr}");
            assert!(
                stderr.contains("run `decnet init` or `decnet up` first") && stderr.lines().count() == 1,
                "{words}: {stderr}"
            );
            let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
            let made = fs::read_dir(dir.path().join("data")).map_or(0, Iterator::count);
            assert_eq!((left.len(), made), (usize::from(there), 0), "{words}");
        }
    }
}

#[test]
fn a_line_of_evidence_is_printed_without_what_steers_a_terminal_and_ends_where_it_ends() {
    let dir = TempDir::new().unwrap();
    assert!(
        decnet(PROGRAM, dir.path())
            .arg("init")
            .status()
            .unwrap()
            .success()
    );
    let at = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let lines = [
        r#"<134>1 2027-01-15T08:00:00Z web-01 ssh - command [relay@55555 src_ip="192.0.2.7" command="echo \"C:\\tmp\\x00\""]"#,
        "<134>1 2027-01-15T08:00:01Z web-01 sshd - - - Invalid user \u{1b}]0;owned\u{7} from 192.0.2.7",
    ];
    let batch = decnet_db::ingest::Batch {
        reader: "test".into(),
        from: decnet_spool::Position::START,
        to: decnet_spool::Position {
            segment: 1,
            offset: 1,
        },
        lines: lines
            .iter()
            .map(|line| decnet_db::meaning::read(line.as_bytes(), at).unwrap())
            .collect(),
        quarantine: Vec::new(),
        ignored: 0,
    };
    store(dir.path(), &batch);

    let (stdout, ..) = said(&decnet(PROGRAM, dir.path()).arg("logs").output().unwrap());
    let [command, message] = stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("{stdout:?}")
    };
    // A backslash of the value is one; a quote in it does not end it.
    assert!(command.ends_with(r#"command="echo \"C:\tmp\x00\"""#), "{command}");
    assert!(
        message.contains("Invalid user") && message.ends_with("from 192.0.2.7"),
        "{message:?}"
    );
    assert!(!message.contains(char::is_control), "{message:?}");
    let raw = decnet(PROGRAM, dir.path())
        .args(["logs", "--raw"])
        .output()
        .unwrap();
    assert_eq!(
        said(&raw).0,
        format!("{}\n{}\n", lines[0], lines[1]),
        "every byte, into a pipe"
    );
}

/// Store `batch` in the database of the data directory below `dir`, as the ingester does.
fn store(dir: &Path, batch: &decnet_db::ingest::Batch) {
    with_store(dir, async |store| store.ingest_batch(batch).await.unwrap());
}

/// Do `work` with the database of the data directory below `dir`.
fn with_store<T>(dir: &Path, work: impl AsyncFnOnce(&decnet_db::Store) -> T) -> T {
    let url = format!("sqlite://{}", dir.join("data/decnet.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = decnet_db::Store::connect(&decnet_db::Options::new(url))
            .await
            .unwrap();
        let outcome = work(&store).await;
        store.close().await;
        outcome
    })
}

/// Run the program below `dir` to its end, which has to be good, and give what it printed.
fn good(dir: &Path, words: &str) -> String {
    let output = decnet(PROGRAM, dir).args(words.split(' ')).output().unwrap();
    let (stdout, stderr, code) = said(&output);
    assert_eq!(code, 0, "{words}: {stderr}");
    stdout
}

#[test]
fn how_a_decky_does_is_unknown_once_the_mutator_is_gone_without_a_word() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    for name in ["front", "back"] {
        good(
            dir.path(),
            &format!("deploy --archetype web-server --name {name} --no-wait"),
        );
    }
    with_store(dir.path(), async |store| {
        let seen = decnet_db::Observation {
            state: DeckyState::Running,
            last_error: None,
            services: None,
        };
        let now = SystemClock.now();
        store
            .decky_observe(&"front".parse().unwrap(), &seen, now)
            .await
            .unwrap();
    });
    let cleared = good(dir.path(), "clear front back --json");
    assert_eq!(
        serde_json::from_str::<Vec<String>>(&cleared).unwrap(),
        ["front", "back"]
    );
    let unknown = decnet(PROGRAM, dir.path())
        .args(["clear", "nobody"])
        .output()
        .unwrap();
    let (_, stderr, code) = said(&unknown);
    assert!(code == 64 && stderr.contains("decky nobody"), "{code}: {stderr}");
    let mut mutator = Command::new("sleep").arg("600").spawn().unwrap();
    let beat = beat("mutator", mutator.id());
    // It says so in both places, and only one of them is read together with its process.
    decnet_runtime::heartbeat::leave(&dir.path().join("data/run"), &beat).unwrap();
    with_store(dir.path(), async |store| {
        store.worker_heartbeat_put(&beat).await.unwrap();
    });
    let states = || {
        let listed: serde_json::Value = serde_json::from_str(&good(dir.path(), "status --json")).unwrap();
        let state = |name: &str| {
            let decky = listed.as_array().unwrap().iter().find(|d| d["name"] == name);
            decky.unwrap()["state"].clone()
        };
        [state("front"), state("back")]
    };
    assert_eq!(states(), ["running", "pending"]);
    mutator.kill().unwrap();
    mutator.wait().unwrap();
    // What is pending needs nobody who looks after it to be that.
    assert_eq!(states(), ["unknown", "pending"]);
    let table = good(dir.path(), "status");
    assert!(table.contains("unknown (mutator not heard since 20"), "{table}");
    let workers = good(dir.path(), "worker list");
    assert!(
        workers
            .lines()
            .any(|line| line.starts_with("mutator") && line.contains("stale")),
        "{workers}"
    );
}

#[test]
fn deckies_are_told_to_stop_and_to_start_and_what_is_stopped_is_not_changed() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    for name in ["front", "back"] {
        good(
            dir.path(),
            &format!("deploy --archetype web-server --name {name} --no-wait"),
        );
    }
    let json = |words: &str| serde_json::from_str::<serde_json::Value>(&good(dir.path(), words)).unwrap();
    let stopped = || {
        let deckies = json("status --json");
        let stopped = deckies
            .as_array()
            .unwrap()
            .iter()
            .filter(|d| d["stopped"] == true);
        stopped
            .map(|d| d["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(stopped(), Vec::<String>::new());
    let told = json("stop front --no-wait --json");
    assert_eq!(told["deckies"], serde_json::json!(["front"]));
    assert!(told["task"].is_string(), "{told}");
    assert_eq!(stopped(), ["front"]);
    for words in ["mutate back front --no-wait", "redeploy front --no-wait"] {
        let output = decnet(PROGRAM, dir.path())
            .args(words.split(' '))
            .output()
            .unwrap();
        let (_, stderr, code) = said(&output);
        assert!(
            code == 64 && stderr.contains("front is stopped: start it first"),
            "{words}: {code}: {stderr}"
        );
    }
    // Of all of them an order takes those that it is for.
    for (words, about) in [
        ("redeploy --all", vec!["back"]),
        ("start --all", vec!["front"]),
        ("stop --all", vec!["back", "front"]),
        ("mutate --all", vec![]),
        ("start back", vec!["back"]),
    ] {
        let told = json(&format!("{words} --no-wait --json"));
        assert_eq!(told["deckies"], serde_json::json!(about), "{words}");
    }
    assert_eq!(stopped(), ["front"]);
    let unknown = decnet(PROGRAM, dir.path())
        .args(["stop", "nobody"])
        .output()
        .unwrap();
    let (_, stderr, code) = said(&unknown);
    assert!(code == 64 && stderr.contains("decky nobody"), "{code}: {stderr}");
}

#[test]
fn lines_that_did_not_become_evidence_are_listed_with_the_reason_and_byte_by_byte() {
    let dir = TempDir::new().unwrap();
    let init = decnet(PROGRAM, dir.path()).arg("init").output().unwrap();
    assert!(init.status.success(), "{init:?}");
    let logs = |words: &[&str]| {
        decnet(PROGRAM, dir.path())
            .args(["logs", "--quarantine"])
            .args(words)
            .output()
            .unwrap()
    };
    assert!(said(&logs(&[])).0.starts_with("Every line"), "{:?}", logs(&[]));
    let end = |offset| decnet_spool::Position { segment: 3, offset };
    let kept = |raw: &[u8], offset| decnet_db::ingest::Unreadable {
        raw: raw.to_vec(),
        why: "no version".to_owned(),
        end: end(offset),
        received_at: time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap(),
    };
    let batch = decnet_db::ingest::Batch {
        reader: "test".into(),
        from: decnet_spool::Position::START,
        to: end(20),
        lines: Vec::new(),
        quarantine: vec![kept(b"first \xff\x1b[2J", 10), kept(b"second", 20)],
        ignored: 0,
    };
    store(dir.path(), &batch);

    let (stdout, stderr, code) = said(&logs(&[]));
    assert_eq!(code, 0, "{stderr}");
    let [first, second] = stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("{stdout:?}")
    };
    assert!(
        first.ends_with(r"3:10  no version: first \xff\x1b[2J"),
        "{first:?}"
    );
    assert!(second.ends_with("3:20  no version: second"), "{second:?}");
    assert_eq!(logs(&["--raw"]).stdout, b"first \xff\x1b[2J\nsecond\n");
    let json: serde_json::Value = serde_json::from_slice(&logs(&["--json", "-n", "1"]).stdout).unwrap();
    assert_eq!((&json["line"], &json["segment"]), (&"second".into(), &3.into()));
    let (_, stderr, code) = said(&logs(&["--decky", "web-01"]));
    assert_eq!(code, 64, "it has no filters: {stderr}");
}

#[test]
fn every_fault_of_a_fleet_file_is_told_at_once_by_line_and_none_of_it_is_deployed() {
    let dir = TempDir::new().unwrap();
    let text = "[front]\narchetype = web-server\ndistro = beos\nip = 8.8.8.8\nhostname = -bad-\n\n[back]\n\
                archetype = web-server\ncolour = blue\n";
    fs::write(dir.path().join("fleet.ini"), text).unwrap();
    let deploy = || {
        let deploy = ["deploy", "--no-wait", "--file", "fleet.ini"];
        said(&decnet(PROGRAM, dir.path()).args(deploy).output().unwrap())
    };
    let told = |lines: &[usize]| {
        let (_, stderr, code) = deploy();
        assert_eq!(code, 64, "{stderr}");
        assert!(
            stderr.contains(&format!("fleet.ini has {} faults:", lines.len())),
            "{stderr}"
        );
        for line in lines {
            assert!(stderr.contains(&format!("\n  line {line}: ")), "{line}: {stderr}");
        }
    };
    // Which addresses there are, only an installation knows.
    told(&[3, 5, 9]);
    good(dir.path(), "init");
    told(&[3, 4, 5, 9]);
    let only_address = "[front]\narchetype = web-server\nip = 8.8.8.8\n";
    fs::write(dir.path().join("fleet.ini"), only_address).unwrap();
    let (_, stderr, code) = deploy();
    assert_eq!(code, 64, "{stderr}");
    assert!(
        stderr.contains("fleet.ini has 1 fault:\n  line 3: 8.8.8.8 is outside"),
        "{stderr}"
    );
    assert_eq!(good(dir.path(), "status --json").trim(), "[]");
    fs::write(
        dir.path().join("fleet.ini"),
        only_address.replace("8.8.8.8", "127.66.0.9"),
    )
    .unwrap();
    assert_eq!(deploy().2, 0);
}

#[test]
fn an_option_that_says_what_a_decky_is_is_refused_beside_a_file_with_the_way_out() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    fs::write(dir.path().join("fleet.ini"), "[front]\narchetype = web-server\n").unwrap();
    for (option, key) in [
        ("--deckies 1", "amount"),
        ("-n 1", "amount"),
        ("--archetype web-server", "archetype"),
        ("--services http,ssh", "services"),
        ("--knob http.site=company", "the knobs of a service"),
        ("--randomize-services", "randomize_services"),
        ("--distro debian12", "distro"),
        ("--os linux", "os"),
        ("--name front", "the name of a decky"),
        ("--ip 127.66.0.9", "ip"),
        ("--mac 02:00:5e:00:53:07", "mac"),
        ("--hostname shop7", "hostname"),
        ("--seed s", "seed"),
        ("--bait /srv", "bait"),
        ("--egress dns", "egress"),
        ("--mutate-interval 5", "mutate_interval_minutes"),
    ] {
        for how in ["--no-wait", "--dry-run"] {
            let words = format!("deploy --file fleet.ini {how} {option}");
            let output = decnet(PROGRAM, dir.path())
                .args(words.split(' '))
                .output()
                .unwrap();
            let (stdout, stderr, code) = said(&output);
            assert_eq!((code, stdout.as_str()), (64, ""), "{words}: {stderr}");
            let name = match option.split(' ').next().unwrap() {
                "-n" => "--deckies",
                name => name,
            };
            let told = format!(
                "{name} cannot be used with --file, because fleet.ini says what its deckies are: write {key} there, or leave \
                 --file out"
            );
            assert!(stderr.contains(&told), "{words}: {stderr}");
        }
    }
    let output = decnet(PROGRAM, dir.path())
        .args(["deploy", "--file", "gone.ini", "--mac", "zz", "--distro", "beos"])
        .output()
        .unwrap();
    let (_, stderr, code) = said(&output);
    assert_eq!(code, 64, "{stderr}");
    assert!(
        stderr.contains("--distro, --mac cannot be used with --file")
            && stderr.contains("write distro, mac there"),
        "{stderr}"
    );
    assert_eq!(good(dir.path(), "status --json").trim(), "[]");

    // What is done with the deckies is no word about them.
    good(dir.path(), "deploy --archetype web-server --name other --no-wait");
    let shown = good(dir.path(), "deploy --file fleet.ini --dry-run --json");
    assert!(shown.contains("\"front\""), "{shown}");
    good(dir.path(), "deploy --file fleet.ini --no-wait --json --replace");
    let deckies: serde_json::Value = serde_json::from_str(&good(dir.path(), "status --json")).unwrap();
    let desired = |name: &str| {
        let mut all = deckies.as_array().unwrap().iter();
        all.find(|decky| decky["name"] == name).unwrap()["desired"].clone()
    };
    assert_eq!((desired("front"), desired("other")), (true.into(), false.into()));
}

#[test]
fn every_fault_of_a_fleet_in_json_is_told_at_once_by_field() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let text = r#"{ "deckies": [
        { "archetype": "web-server", "amount": "two", "ip": "8.8.8.8" }, { "archetype": "beos" }, { "name": "No Name" }
    ] }"#;
    fs::write(dir.path().join("fleet.json"), text).unwrap();
    let output = decnet(PROGRAM, dir.path())
        .args(["deploy", "--no-wait", "--file", "fleet.json"])
        .output()
        .unwrap();
    let (_, stderr, code) = said(&output);
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("fleet.json has 5 faults:"), "{stderr}");
    for field in [
        "[0].amount",
        "[0].ip",
        "[1].archetype",
        "[2].name",
        "[2].archetype",
    ] {
        assert!(
            stderr.contains(&format!("\n  deckies{field}: ")),
            "{field}: {stderr}"
        );
    }
    assert_eq!(good(dir.path(), "status --json").trim(), "[]");
}

#[test]
fn everything_that_a_decky_may_be_told_in_a_file_it_may_be_told_in_words() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let words = "deploy --no-wait --archetype web-server --name front --os linux --mac 02-00-5E-00-53-07 --hostname shop7 \
                 --knob http.site=company --knob redis.requirepass=one=two --knob redis.protected_mode=yes";
    good(dir.path(), words);
    let record = with_store(dir.path(), async |store| {
        store.decky_record(&"front".parse().unwrap()).await.unwrap()
    });
    let spec = record.unwrap().spec;
    let persona = ["os", "mac", "hostname"].map(|field| spec["persona"][field].as_str().unwrap().to_owned());
    assert_eq!(persona, ["linux", "02:00:5e:00:53:07", "shop7"]);
    let knobs = |slug: &str| {
        let mut services = spec["services"].as_array().unwrap().iter();
        services.find(|service| service["slug"] == slug).unwrap()["knobs"].clone()
    };
    assert_eq!(knobs("http"), serde_json::json!({ "site": "company" }));
    assert_eq!(
        knobs("redis"),
        serde_json::json!({ "requirepass": "one=two", "protected_mode": true })
    );
    // The archetype's other services are there all the same.
    knobs("ftp");
}

#[test]
fn bait_is_given_to_a_decky_and_to_a_single_service_and_a_dry_run_shows_whose_it_is() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    for (folder, file) in [
        ("all", "files.toml"),
        ("keys", "redis.toml"),
        ("a=b", "files.toml"),
    ] {
        fs::create_dir(dir.path().join(folder)).unwrap();
        fs::write(dir.path().join(folder).join(file), "").unwrap();
    }
    let path = |folder: &str| {
        fs::canonicalize(dir.path())
            .unwrap()
            .join(folder)
            .display()
            .to_string()
    };
    let (all, keys) = (path("all"), path("keys"));
    let words =
        "deploy --archetype linux-server --name front --services ssh,redis --bait all --bait redis=keys";
    let shown = good(dir.path(), &format!("{words} --dry-run"));
    assert!(
        shown.contains(&format!("Bait of front: {all}, redis {keys}\n")),
        "{shown}"
    );
    let shown = good(dir.path(), &format!("{words} --dry-run --json"));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[0]["bait"], all);
    assert_eq!(shown[0]["service_bait"], serde_json::json!({ "redis": keys }));
    let wanted = || {
        let record = with_store(dir.path(), async |store| {
            store.decky_record(&"front".parse().unwrap()).await.unwrap()
        });
        record.unwrap().spec["persona"]["overrides"].clone()
    };
    good(dir.path(), &format!("{words} --no-wait"));
    assert_eq!(wanted()["bait"], all);
    assert_eq!(wanted()["service_bait"], serde_json::json!({ "redis": keys }));
    // It is still there after it was made anew.
    good(dir.path(), "redeploy front --no-wait");
    assert_eq!(wanted()["service_bait"], serde_json::json!({ "redis": keys }));
    let empty = "deploy --archetype linux-server --name front --bait= --bait redis= --no-wait";
    good(dir.path(), empty);
    let overrides = wanted();
    assert!(
        overrides["bait"].is_null() && overrides["service_bait"].is_null(),
        "{overrides}"
    );
    // What stands before = and is no service belongs to the folder.
    let odd = good(
        dir.path(),
        "deploy --archetype linux-server --name front --bait ./a=b --dry-run",
    );
    assert!(odd.contains(&format!("Bait of front: {}", path("a=b"))), "{odd}");

    for (words, told) in [
        ("linux-server --bait all --bait all", "--bait: it stands twice"),
        (
            "linux-server --bait redis=all --bait redis=keys",
            "--bait redis: it stands twice",
        ),
        ("linux-server --bait gone", "/gone: cannot be read: No such file"),
        ("linux-server --bait redis=gone", "--bait redis: redis: bait "),
        (
            "mail-server --bait smtp=all",
            "--bait smtp: smtp: it shows no bait; these do: ssh, ftp",
        ),
    ] {
        let words = format!("deploy --no-wait --archetype {words}");
        let output = decnet(PROGRAM, dir.path())
            .args(words.split(' '))
            .output()
            .unwrap();
        let (stdout, stderr, code) = said(&output);
        assert_eq!((code, stdout.as_str()), (64, ""), "{words}: {stderr}");
        assert!(
            stderr.contains(told) && !stderr.contains(" -: "),
            "{words}: {stderr}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_decky_is_told_after_the_option_that_said_it() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    for (words, told) in [
        ("--os beos", "--os: "),
        (
            "--os windows",
            "--os: web-server can be linux and not windows; these can: windows-workstation",
        ),
        ("--mac 01:00:5e:00:00:01", "--mac: "),
        (
            "-n 2 --mac 02:00:5e:00:53:07",
            "--mac: 2 deckies cannot share one",
        ),
        ("--hostname -bad-", "--hostname"),
        ("--knob http.site=castle", "--knob http.site: "),
        (
            "--distro debian12 --knob ssh.version=SSH-2.0-dropbear_2020.81",
            "--knob ssh.version: ssh.version of web-server-01, which runs Debian GNU/Linux 12",
        ),
        ("--knob http.colour=blue", "--knob http.colour: "),
        ("--knob nope.a=1", "--knob nope: no service nope"),
        (
            "--services http,nope --knob nope.a=1",
            "--services: no service nope",
        ),
    ] {
        for how in ["--no-wait", "--dry-run"] {
            let words = format!("deploy --archetype web-server {how} {words}");
            // A value that begins with - belongs to its option all the same.
            let words = words.replace("--hostname -", "--hostname=-");
            let output = decnet(PROGRAM, dir.path())
                .args(words.split(' '))
                .output()
                .unwrap();
            let (stdout, stderr, code) = said(&output);
            assert_eq!((code, stdout.as_str()), (64, ""), "{words}: {stderr}");
            assert!(stderr.contains(told), "{words}: {stderr}");
        }
    }
    assert_eq!(good(dir.path(), "status --json").trim(), "[]");
}

#[test]
fn who_a_decky_pretends_to_be_is_told_with_its_accounts() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    good(
        dir.path(),
        "deploy --no-wait --archetype web-server --name front --hostname shop7 --mac 02:00:5e:00:53:07 --seed s",
    );
    let told: serde_json::Value =
        serde_json::from_str(&good(dir.path(), "status --persona front --json")).unwrap();
    let persona = &told["persona"];
    assert!(
        persona["host_name"].as_str().unwrap().starts_with("shop7."),
        "{told}"
    );
    assert_eq!(
        (&persona["mac"], &persona["archetype"]),
        (&"02:00:5e:00:53:07".into(), &"web-server".into())
    );
    let printed = good(dir.path(), "status --persona front");
    // How long it is up may be another day by now.
    for (field, value) in persona
        .as_object()
        .unwrap()
        .iter()
        .filter(|(field, _)| *field != "up_for")
    {
        assert!(printed.contains(value.as_str().unwrap()), "{field}: {printed}");
    }
    let users = told["users"].as_array().unwrap();
    assert!(!users.is_empty());
    for user in users {
        let line = printed
            .lines()
            .find(|line| line.split(' ').next() == user["name"].as_str());
        assert!(
            line.unwrap().contains(user["password"].as_str().unwrap()),
            "{user}: {printed}"
        );
    }

    // Programs, keys and bait, each in both.
    let program = told["programs"][0].as_object().unwrap();
    let fingerprint = told["proofs"][0]["fingerprint"].as_str().unwrap();
    let site = told["bait"]["site"].as_str().unwrap();
    assert!(!site.is_empty() && fingerprint.len() == 32 * 3 - 1, "{told}");
    for word in [
        program["name"].as_str().unwrap(),
        program["version"].as_str().unwrap(),
        program["banner"].as_str().unwrap(),
        fingerprint,
        site,
        "Bait: the built-in one",
    ] {
        assert!(printed.contains(word), "{word}: {printed}");
    }
    let files = told["bait"]["files"].as_array().unwrap();
    assert!(!files.is_empty());
    for file in files {
        assert!(printed.contains(file.as_str().unwrap()), "{file}: {printed}");
    }

    let nobody = decnet(PROGRAM, dir.path())
        .args(["status", "--persona", "nobody"])
        .output()
        .unwrap();
    let (stdout, stderr, code) = said(&nobody);
    assert_eq!((code, stdout.as_str()), (64, ""), "{stderr}");
    assert!(stderr.contains("there is no decky nobody"), "{stderr}");
}

#[test]
fn a_data_directory_that_cannot_be_written_is_told_with_the_way_out_and_nothing_is_made() {
    let dir = TempDir::new().unwrap();
    let locked = dir.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write everywhere, and is somebody else here, who reaches nothing but this folder.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("decnet");
    fs::copy(PROGRAM, &program).unwrap();
    for words in ["init", "up"] {
        for (place, refused) in [("locked/data", "locked/data"), ("locked", "locked/secrets")] {
            let mut command = decnet(&program, dir.path());
            if nix::unistd::geteuid().is_root() {
                command.uid(65_534).gid(65_534);
            }
            command.args([words, "--data-dir", place]);
            let output = match command.output() {
                Ok(output) => output,
                Err(error) => {
                    return decnet_testkit::skipped(&format!(
                        "another user cannot run {}: {error}",
                        program.display()
                    ));
                }
            };
            let (stdout, stderr, code) = said(&output);
            assert_eq!((code, stdout.as_str()), (77, ""), "{words} {place}: {stderr}");
            let told = format!(
                "data directory {}: Permission denied (os error 13); give another with --data-dir, or make it writable for \
                 this user",
                dir.path().join(refused).display()
            );
            assert!(stderr.contains(&told), "{words} {place}: {stderr}");
            assert_eq!(fs::read_dir(&locked).unwrap().count(), 0);
        }
    }
}

#[test]
fn what_belongs_to_somebody_else_is_told_with_the_way_out() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    fs::write(dir.path().join("theirs.ini"), "[decnet]\n").unwrap();
    let locked = [dir.path().join("data/decnet.db"), dir.path().join("theirs.ini")];
    for file in &locked {
        fs::set_permissions(file, fs::Permissions::from_mode(0o000)).unwrap();
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path().join("data"), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("decnet");
    fs::copy(PROGRAM, &program).unwrap();
    for (words, code, told) in [
        (
            "status",
            77,
            "decnet.db: Permission denied (os error 13); run this as the user who keeps it, or name a data directory of your \
             own by --data-dir",
        ),
        ("logs", 77, "run this as the user who keeps it"),
        (
            "config check --config theirs.ini",
            78,
            "theirs.ini): this user may not read it: let them, or run this as one who may",
        ),
    ] {
        let mut command = decnet(&program, dir.path());
        if nix::unistd::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        let output = match command.args(words.split(' ')).output() {
            Ok(output) => output,
            Err(error) => {
                return decnet_testkit::skipped(&format!(
                    "another user cannot run {}: {error}",
                    program.display()
                ));
            }
        };
        let (stdout, stderr, got) = said(&output);
        assert_eq!((got, stdout.as_str()), (code, ""), "{words}: {stderr}");
        assert!(stderr.contains(told), "{words}: {stderr}");
    }
}

#[test]
fn a_data_directory_may_be_named_from_where_one_is() {
    let dir = TempDir::new().unwrap();
    let meant = fs::canonicalize(dir.path()).unwrap().join("h1");
    for words in ["--data-dir h1", "--set data-dir=h1"] {
        let shown = good(dir.path(), &format!("{words} config show --json"));
        let keys: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let told = keys
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["key"] == "data-dir");
        assert_eq!(told.unwrap()["value"], meant.display().to_string(), "{words}");
    }
}

#[test]
fn the_driver_is_the_hosts_and_a_deployment_that_wants_another_is_told_its_key() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let output = decnet(PROGRAM, dir.path())
        .args(["deploy", "--archetype", "web-server", "--dry-run", "--ipvlan"])
        .output()
        .unwrap();
    let (_, stderr, code) = said(&output);
    assert_eq!(code, 64, "{stderr}");
    assert!(
        stderr.contains("start the host with fleet-driver=ipvlan"),
        "{stderr}"
    );
    // All that is said of the network at once.
    let words = "deploy --archetype web-server --dry-run --ipvlan --interface lan7 --gateway 192.0.2.9";
    let output = decnet(PROGRAM, dir.path())
        .args(words.split(' '))
        .output()
        .unwrap();
    let (_, stderr, code) = said(&output);
    assert_eq!(code, 64, "{stderr}");
    for told in [
        "fleet-driver=ipvlan",
        "fleet-interface=lan7",
        "fleet-gateway=192.0.2.9",
    ] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
}

#[test]
fn whatever_is_wrong_with_the_words_of_a_deployment_is_told_at_once() {
    let dir = TempDir::new().unwrap();
    let words = "deploy --archetype web-server --no-wait --ip 1.2.3 --name No_Name --deckies two --mutate-interval often \
                 --services http,Not+One --knob http --knob http.site=castle --os windows --mac zz --hostname -bad- --egress out";
    let words = words.replace("--hostname -", "--hostname=-");
    let told = [
        "--ip: 1.2.3: ",
        "--name: No_Name: ",
        "--deckies: two: ",
        "--mutate-interval: often: ",
        "--services: Not+One: ",
        "--knob: http: give it as SERVICE.KEY=VALUE",
        "--knob http.site: ",
        "--os: ",
        "--mac: ",
        "--hostname: ",
        "--egress: ",
    ];
    let refused = |words: &str| {
        let output = decnet(PROGRAM, dir.path())
            .args(words.split_whitespace())
            .output()
            .unwrap();
        let (stdout, stderr, code) = said(&output);
        assert_eq!((code, stdout.as_str()), (64, ""), "{stderr}");
        stderr
    };
    // Whoever has no installation hears it, too, and what is wrong with the network's.
    let stderr = refused(&format!("{words} --gateway 1.2.3"));
    assert!(stderr.contains("fleet-gateway"), "{stderr}");
    for told in told {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
    good(dir.path(), "init");
    let stderr = refused(&words);
    for told in told {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
    assert_eq!(good(dir.path(), "status --json").trim(), "[]");
}

#[test]
fn a_number_of_deckies_out_of_range_is_refused_with_the_range_and_nothing_is_deployed() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    for number in ["0", "100000"] {
        for how in ["--no-wait", "--dry-run"] {
            let output = decnet(PROGRAM, dir.path())
                .args(["deploy", "--archetype", "web-server", "--deckies", number, how])
                .output()
                .unwrap();
            let (stdout, stderr, code) = said(&output);
            assert_eq!((code, stdout.as_str()), (64, ""), "{number} {how}: {stderr}");
            assert!(
                stderr.contains(&format!("{number}: allowed are 1 to 1000")),
                "{number} {how}: {stderr}"
            );
        }
    }
    assert_eq!(good(dir.path(), "status --json").trim(), "[]");
}

#[test]
fn addresses_come_from_the_network_that_the_host_was_started_with() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let preview = |network: &str| {
        let words = format!("deploy --archetype web-server --dry-run --json{network}");
        said(
            &decnet(PROGRAM, dir.path())
                .args(words.split(' '))
                .output()
                .unwrap(),
        )
    };
    let address = |stdout: &str| {
        let deckies: serde_json::Value = serde_json::from_str(stdout).unwrap();
        deckies[0]["ip"].as_str().unwrap().to_owned()
    };
    assert_eq!(address(&preview("").0), "127.66.0.2");
    // As the server does when it starts.
    with_store(dir.path(), async |store| {
        store
            .setting_set("fleet-network", "127.177.0.0/16")
            .await
            .unwrap();
    });
    assert_eq!(address(&preview("").0), "127.177.0.2");
    assert_eq!(
        address(&preview(" --set fleet-network=127.177.0.0/16").0),
        "127.177.0.2"
    );
    let (stdout, stderr, code) = preview(" --set fleet-network=127.99.0.0/16");
    assert_eq!((code, stdout.as_str()), (64, ""));
    assert!(
        stderr.contains("127.177.0.0/16, and not 127.99.0.0/16"),
        "{stderr}"
    );
}

#[test]
fn what_a_dry_run_shows_is_deployed_with_the_seed_that_it_tells() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let machines = |json: &str| -> Vec<String> {
        let deckies: serde_json::Value = serde_json::from_str(json).unwrap();
        let identity = |d: &serde_json::Value| {
            let fields = ["name", "ip", "hostname", "mac", "distro", "services"];
            let identity = fields.map(|field| match &d[field] {
                serde_json::Value::Array(services) => {
                    services.iter().map(|s| s["slug"].to_string()).collect()
                }
                value => value.to_string(),
            });
            identity.join(" ")
        };
        let mut all: Vec<_> = deckies.as_array().unwrap().iter().map(identity).collect();
        all.sort();
        all
    };
    let group = "deploy --archetype linux-server -n 3 --name front --randomize-services";
    let shown = good(dir.path(), &format!("{group} --dry-run --json"));
    let seed = serde_json::from_str::<serde_json::Value>(&shown).unwrap()[0]["seed"].clone();
    let other = good(dir.path(), &format!("{group} --dry-run --json"));
    assert_ne!(machines(&shown), machines(&other), "each run draws its own");
    good(
        dir.path(),
        &format!("{group} --no-wait --seed {}", seed.as_str().unwrap()),
    );
    assert_eq!(machines(&shown), machines(&good(dir.path(), "status --json")));

    // It makes machines that have what is set on them.
    let set = "deploy --archetype web-server --distro debian12 -n 4 --name shop --knob http.banner=nginx --dry-run --json";
    let shown = good(dir.path(), set);
    let seed = serde_json::from_str::<serde_json::Value>(&shown).unwrap()[0]["seed"].clone();
    let again = good(dir.path(), &format!("{set} --seed {}", seed.as_str().unwrap()));
    assert_eq!(machines(&shown), machines(&again));

    // Who is there stays who it is, and needs no seed for that.
    let again = good(
        dir.path(),
        "deploy --archetype linux-server -n 3 --name front --dry-run",
    );
    assert!(again.contains("front-03") && !again.contains("seed"), "{again}");

    let fleet = "[general]\nreplace = yes\n[shop]\narchetype = web-server\n";
    fs::write(dir.path().join("fleet.ini"), fleet).unwrap();
    let shown = good(dir.path(), "deploy --file fleet.ini --dry-run");
    let (_, told) = shown.split_once("To deploy these very machines: ").unwrap();
    let seed = told.trim().strip_suffix(" below [shop]").unwrap();
    fs::write(dir.path().join("fleet.ini"), format!("{fleet}{seed}\n")).unwrap();
    good(dir.path(), "deploy --file fleet.ini --no-wait");
    let deployed: serde_json::Value = serde_json::from_str(&good(dir.path(), "status --json")).unwrap();
    let shop = deployed.as_array().unwrap().iter().find(|d| d["name"] == "shop");
    let hostname = shop.unwrap()["hostname"].as_str().unwrap();
    assert!(shown.contains(hostname), "{hostname}: {shown}");
}

#[test]
fn a_second_signal_ends_a_host_at_once() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("decnet");
    fs::copy(PROGRAM, &program).unwrap();
    for worker in WORKERS {
        // It tells that it runs, is never ready, and does not end when it is told to.
        let script =
            format!("#!/bin/sh\ntrap '' TERM INT\n: > running.{worker}\nwhile :; do sleep 0.1; done\n");
        let path = dir.path().join(format!("decnet-{worker}"));
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut up = decnet(&program, dir.path())
        .arg("up")
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(up.id().try_into().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.path().join("running.mutator").exists() {
        assert!(Instant::now() < deadline, "the workers were never started");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut stderr = BufReader::new(up.stderr.take().unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let mut text = String::new();
    while !text.contains("stopping in order") {
        assert_ne!(stderr.read_line(&mut text).unwrap(), 0, "{text}");
    }
    // Two signals within 300 ms count as one.
    std::thread::sleep(Duration::from_millis(500));
    kill(pid, Signal::SIGINT).unwrap();
    up.wait().unwrap();
    stderr.read_to_string(&mut text).unwrap();
    assert!(text.contains("stopped at once"), "{text}");
}

/// Set for workers that are this test program, and do nothing.
const IDLE: &str = "DECNET_TEST_IDLE";

/// Not a test of its own: a worker that is ready at once, and does nothing until it is ended.
#[test]
fn idle_worker() {
    if std::env::var_os(IDLE).is_none() {
        return;
    }
    let supervisor = std::env::var_os("NOTIFY_SOCKET").unwrap();
    let told = std::os::unix::net::UnixDatagram::unbound()
        .unwrap()
        .send_to(b"READY=1\n", supervisor);
    told.unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_host_whose_disk_has_too_little_room_says_so_in_its_greeting_and_in_its_status() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("decnet");
    fs::copy(PROGRAM, &program).unwrap();
    let itself = std::env::current_exe().unwrap();
    for worker in WORKERS {
        let script = format!(
            "#!/bin/sh\nexec '{}' --exact idle_worker --nocapture\n",
            itself.display()
        );
        let path = dir.path().join(format!("decnet-{worker}"));
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let greeting = |floor: u64| {
        let mut up = decnet(&program, dir.path())
            .args(["up", "--set", &format!("spool-min-free-bytes={floor}")])
            .env(IDLE, "")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(up.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("Ctrl-C stops it") {
            assert_ne!(stdout.read_line(&mut text).unwrap(), 0, "{text}");
        }
        kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        stdout.read_to_string(&mut text).unwrap();
        assert_eq!(up.wait().unwrap().code(), Some(0));
        text
    };
    let told = greeting(u64::MAX);
    for words in [
        "NOTHING IS RECORDED YET: no room for the spool",
        "data/spool",
        "free space, or lower spool-min-free-bytes",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let told = greeting(0);
    assert!(!told.contains("RECORDED"), "{told}");

    let of_collector = |alarm: Option<&str>| WorkerView {
        tasks: alarm
            .map(|text| (decnet_model::state::ALARM.to_owned(), text.to_owned()))
            .into_iter()
            .collect(),
        ..beat("collector", std::process::id())
    };
    let status = |words: &str| {
        let output = decnet(PROGRAM, dir.path()).args(words.split(' ')).output();
        let (_, stderr, code) = said(&output.unwrap());
        assert_eq!(code, 0, "{stderr}");
        stderr
    };
    let run = dir.path().join("data/run");
    decnet_runtime::heartbeat::leave(&run, &of_collector(Some("no room for the spool"))).unwrap();
    for words in ["status", "status --json"] {
        assert_eq!(status(words), "collector cannot work: no room for the spool\n");
    }
    decnet_runtime::heartbeat::leave(&run, &of_collector(None)).unwrap();
    assert_eq!(status("status"), "");
}

#[test]
fn completions_and_man_pages_have_every_command_and_worker_and_offer_workers_to_start_and_stop() {
    let dir = TempDir::new().unwrap();
    let run = |words: &[&str]| {
        let output = decnet(PROGRAM, dir.path()).args(words).output().unwrap();
        let (stdout, stderr, code) = said(&output);
        assert_eq!(code, 0, "{words:?}: {stderr}");
        stdout
    };
    run(&["man", "pages"]);
    let mut commands = commands();
    commands.extend(WORKERS.iter().map(|worker| vec![(*worker).to_owned()]));
    assert!(commands.len() > 40, "{commands:?}");
    for words in &commands {
        let page = dir.path().join(format!("pages/decnet-{}.1", words.join("-")));
        let text = fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
        assert!(text.contains(".SH SYNOPSIS"), "{text}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        for words in &commands {
            for word in words {
                assert!(script.contains(word.as_str()), "{shell}: {word}");
            }
        }
        for option in ["--data-dir", "--batch-size", "--tls", "--dry-run"] {
            let option = if shell == "fish" {
                option.trim_start_matches('-')
            } else {
                option
            };
            assert!(script.contains(option), "{shell}: {option}");
        }
    }
    // `worker start`, `worker stop` and `worker clear` are completed with the names that there are.
    let offered = format!(":({})", WORKERS.join(" "));
    let script = run(&["completions", "zsh"]);
    assert_eq!(script.matches(&offered).count(), 3, "{script}");
}

#[test]
fn a_first_start_that_fails_still_tells_the_password() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("decnet");
    fs::copy(PROGRAM, &program).unwrap();
    // No worker stands beside the copy, so the host cannot start; the account was made before.
    let (stdout, stderr, code) = said(&decnet(&program, dir.path()).arg("up").output().unwrap());
    assert_eq!(code, 69, "{stderr}");
    assert!(stdout.contains("Log in as admin with the password "), "{stdout}");
    // Paths on the command line begin where they were typed, and only the server looks for the files.
    let again = decnet(&program, dir.path())
        .args(["up", "--tls", "cert.pem,key.pem"])
        .output();
    let (stdout, stderr, code) = said(&again.unwrap());
    assert_eq!(code, 69, "{stderr}");
    assert!(!stdout.contains("password"), "told once: {stdout}");
}

#[test]
fn a_port_in_use_is_told_in_one_line_before_anything_is_made() {
    let dir = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = decnet(PROGRAM, dir.path())
        .args(["up", "--listen", &address])
        .output()
        .unwrap();
    let (out, err, code) = said(&output);
    assert_eq!((out.as_str(), code), ("", 69), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.contains(&address) && err.contains("--listen"), "{err}");
    assert!(!dir.path().join("data").exists());
}

#[test]
fn invented_evidence_is_not_mixed_with_what_is_there_unless_asked_for() {
    let dir = TempDir::new().unwrap();
    let seed = |more: &[&str]| {
        let output = decnet(PROGRAM, dir.path())
            .args(["demo", "seed", "--events", "10"])
            .args(more)
            .output()
            .unwrap();
        said(&output)
    };
    let (_, err, code) = seed(&[]);
    assert_eq!(code, 0, "{err}");
    assert!(!err.contains("audit"), "there is no log yet: {err}");
    let (_, err, code) = seed(&[]);
    assert_eq!(code, 69);
    assert!(err.contains("--yes") && err.contains("--data-dir"), "{err}");
    assert_eq!(seed(&["--yes"]).2, 0);
}

/// Files below `folder` by their names in it.
fn files_below(folder: &Path) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

#[test]
fn a_day_of_demo_evidence_is_the_same_each_time_and_what_it_left_is_told() {
    let seeded = || {
        let dir = TempDir::new().unwrap();
        let told = good(dir.path(), "demo seed --events 4000 --end 2026-02-01");
        let data = dir.path().join("data");
        let figure = |word: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(word)).unwrap();
            let digits = line.trim().split(|c: char| !c.is_ascii_digit()).next().unwrap();
            digits.parse::<usize>().unwrap()
        };
        let figures = ["events", "attackers", "deckies", "files", "recordings"].map(figure);
        assert!(told.contains(data.join("deckies").to_str().unwrap()), "{told}");
        let journal = files_below(&data.join("spool"));
        let lines = journal.values().flatten().filter(|b| **b == b'\n').count();
        (figures, lines, files_below(&data.join("deckies")))
    };
    let (figures, lines, left) = seeded();
    let [events, attackers, deckies, files, recordings] = figures;
    assert_eq!((events, deckies), (4_000, 20));
    assert!(
        lines >= events && (30..=40).contains(&attackers),
        "{lines} {figures:?}"
    );
    let kept = |name: &std::path::PathBuf| {
        name.iter().any(|part| part == "artifacts") && name.extension().is_none_or(|e| e != "json")
    };
    assert_eq!(left.keys().filter(|name| kept(name)).count(), files);
    let headers: usize = left
        .iter()
        .filter(|(name, _)| name.iter().any(|part| part == "transcripts"))
        .map(|(_, shard)| String::from_utf8_lossy(shard).matches("\"hdr\":").count())
        .sum();
    assert_eq!(headers, recordings);
    assert!(files > 5 && recordings > 5, "{figures:?}");
    let (again, _, left_again) = seeded();
    assert_eq!(figures, again);
    assert!(left == left_again, "another day was left");
}

#[test]
fn the_deckies_of_demo_evidence_are_in_the_fleet_stand_still_and_leave_others_alone() {
    // Before there is an installation there is no fleet; the way to it is told.
    let dir = TempDir::new().unwrap();
    let told = good(dir.path(), "demo seed --events 10");
    assert!(told.contains("`--events 0 --yes`"), "{told}");

    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let fleet = || with_store(dir.path(), async |store| store.decky_list().await.unwrap());
    let told = good(dir.path(), "demo seed --events 0 --no-fleet");
    assert!(!told.contains("fleet") && fleet().is_empty(), "{told}");
    let told = good(dir.path(), "demo seed --events 0 --deckies 1");
    assert!(told.contains("fleet       1 more, stopped"), "{told}");
    let placed = fleet();
    let [first] = &placed[..] else {
        panic!("{placed:?}")
    };
    assert_eq!(
        (first.name.as_str(), first.archetype.as_str()),
        ("web-01", "web-server")
    );
    assert_eq!((first.state, first.stopped), (DeckyState::Stopped, true));
    // One that is there is another's business, above all while it runs.
    let name = first.name.clone();
    with_store(dir.path(), async |store| {
        store
            .decky_set_stopped(std::slice::from_ref(&name), false)
            .await
            .unwrap();
    });
    let running = fleet();
    let told = good(dir.path(), "demo seed --events 0 --yes");
    assert!(told.contains("fleet       19 more, stopped"), "{told}");
    let all = fleet();
    assert_eq!(all.len(), 20);
    for decky in &all {
        if decky.name.as_str() == "web-01" {
            assert_eq!(Some(decky), running.first());
            continue;
        }
        assert_eq!(
            (decky.state, decky.desired, decky.stopped),
            (DeckyState::Stopped, true, true)
        );
        assert!(!decky.services.is_empty(), "{decky:?}");
    }
    let named = |name: &str| all.iter().find(|decky| decky.name.as_str() == name).unwrap();
    for (name, kind) in [
        ("db-01", "database-server"),
        ("mail-03", "mail-server"),
        ("files-02", "file-server"),
    ] {
        assert_eq!(named(name).archetype, kind);
    }
    // Who does so again has them all already.
    let told = good(dir.path(), "demo seed --events 0 --yes");
    assert!(told.contains("fleet       0 more, stopped"), "{told}");
    assert_eq!(fleet(), all);
}

#[test]
fn demo_evidence_names_a_folder_that_cannot_keep_it() {
    let dir = TempDir::new().unwrap();
    let deckies = dir.path().join("data/deckies");
    fs::create_dir_all(dir.path().join("data")).unwrap();
    fs::write(&deckies, "no folder").unwrap();
    let seed = decnet(PROGRAM, dir.path())
        .args(["demo", "seed", "--events", "10"])
        .output()
        .unwrap();
    let (out, err, code) = said(&seed);
    assert_eq!((out.as_str(), code), ("", 69), "{err}");
    assert!(err.contains(deckies.to_str().unwrap()), "{err}");
}

#[test]
fn what_an_operator_does_to_the_files_is_in_the_audit_log_or_is_said_not_to_be() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    good(dir.path(), "demo seed --events 10");
    let run = |words: &str| {
        said(
            &decnet(PROGRAM, dir.path())
                .args(words.split(' '))
                .output()
                .unwrap(),
        )
    };
    assert_eq!(run("demo seed --events 10").2, 69);
    let (_, err, code) = run("spool export out");
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(run("spool export out").2, 64, "it is there already");
    good(dir.path(), "ingest --rebuild");
    let noted = with_store(dir.path(), async |store| {
        store
            .audit_page(&decnet_model::query::AuditQuery::default())
            .await
            .unwrap()
            .data
    });
    let who = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap()
        .name;
    let noted: Vec<_> = noted
        .iter()
        .rev()
        .filter(|entry| entry.actor == format!("cli:{who}"))
        .map(|entry| (entry.action.as_str(), entry.result.as_str()))
        .collect();
    assert_eq!(
        noted,
        [
            ("fleet.place", "ok"),
            ("demo.seed", "ok"),
            ("demo.seed", "failed"),
            ("spool.export", "ok"),
            ("spool.export", "failed"),
            ("evidence.rebuild", "ok"),
        ]
    );

    // What works without a database does so, and says what it could not do.
    fs::rename(dir.path().join("data/decnet.db"), dir.path().join("away.db")).unwrap();
    for (words, why) in [
        ("spool export bundle", "there is no database"),
        (
            "spool export other --set mode=agent",
            "the audit log is the master's",
        ),
    ] {
        let (out, err, code) = run(words);
        assert_eq!(code, 0, "{words}: {err}");
        assert!(out.contains("10 lines"), "{out}");
        assert!(
            err.contains("spool.export could not be written into the audit log") && err.contains(why),
            "{err}"
        );
    }
    good(dir.path(), "spool verify bundle");
    let manifest = dir.path().join("bundle/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text.replace("1970-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
    )
    .unwrap();
    let (_, err, code) = run("spool verify bundle");
    assert_eq!(code, 1);
    assert!(err.contains("manifest.json: changed"), "{err}");
    fs::remove_file(&manifest).unwrap();
    let (_, err, code) = run("spool verify bundle");
    assert_eq!(code, 1);
    assert!(err.contains("neither a spool nor a bundle"), "{err}");
}

#[test]
fn the_status_of_the_spool_lists_its_segments() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    for folder in ["spool/readers", "bait"] {
        assert!(dir.path().join("data").join(folder).is_dir(), "{folder}");
    }
    assert!(good(dir.path(), "spool status").contains("There is no segment yet."));
    for words in ["spool verify", "spool verify data/spool"] {
        assert!(
            good(dir.path(), words).contains("no line has been written yet"),
            "{words}"
        );
    }
    assert!(
        good(dir.path(), "spool export nothing").contains("Nothing arrived between 1970-01-01T00:00:00Z and")
    );
    good(dir.path(), "demo seed --events 10");
    let status: serde_json::Value = serde_json::from_str(&good(dir.path(), "spool status --json")).unwrap();
    let [segment] = &status["segments"].as_array().unwrap()[..] else {
        panic!("{status}")
    };
    assert_eq!(
        (&segment["lines"], &segment["state"]),
        (&10.into(), &"open".into())
    );
    let row = ["segment", "lines", "bytes"]
        .map(|cell| segment[cell].to_string())
        .join("  ");
    let table = good(dir.path(), "spool status");
    let squeezed: Vec<_> = table
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join("  "))
        .collect();
    assert!(squeezed.contains(&format!("{row}  open")), "{table}");
}

#[test]
fn the_interval_of_a_bundle_may_be_given_by_dates_which_mean_their_midnight_in_utc() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    good(dir.path(), "demo seed --events 10 --end 2026-02-01");
    good(
        dir.path(),
        "spool export --since 2020-02-29 --until 2099-12-31 out",
    );
    let manifest = fs::read_to_string(dir.path().join("out/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(
        (&manifest["since"], &manifest["until"]),
        (&"2020-02-29T00:00:00Z".into(), &"2099-12-31T00:00:00Z".into())
    );
    let output = decnet(PROGRAM, dir.path())
        .args([
            "spool",
            "export",
            "--since",
            "2026-02-01",
            "--until",
            "2026-01-01",
            "other",
        ])
        .output()
        .unwrap();
    let (_, stderr, code) = said(&output);
    assert_ne!(code, 0);
    assert!(
        stderr.contains("since 2026-02-01T00:00:00Z is not before until 2026-01-01T00:00:00Z"),
        "{stderr}"
    );
    for no_time in ["2021-02-29", "2020-1-1", "yesterday", "2020-01-01T"] {
        let output = decnet(PROGRAM, dir.path())
            .args(["spool", "export", "--since", no_time, "other"])
            .output()
            .unwrap();
        let (_, stderr, code) = said(&output);
        assert_eq!(code, 64, "{no_time}: {stderr}");
        assert!(
            stderr.contains("2026-01-31 for its midnight"),
            "{no_time}: {stderr}"
        );
    }
    assert!(!dir.path().join("other").exists());
}

#[test]
fn a_filter_that_is_no_word_of_ours_is_told_with_what_may_have_been_meant() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let logs = |words: &[&str]| {
        said(
            &decnet(PROGRAM, dir.path())
                .arg("logs")
                .args(words)
                .output()
                .unwrap(),
        )
    };
    for (words, near) in [
        (
            ["--type", "auth"],
            "of type \"auth\" was ever recorded; there are, among others: auth_attempt",
        ),
        (["--type", "comand"], "among others: command"),
        (
            ["--service", "shh"],
            "of service \"shh\" was ever recorded; there are, among others: ssh",
        ),
    ] {
        let (out, err, code) = logs(&words);
        assert_eq!((out.as_str(), code), ("", 64), "{words:?}: {err}");
        assert!(err.contains(near) && err.lines().count() == 1, "{err}");
    }
    for words in [["--type", "command"], ["--service", "ssh"]] {
        assert_eq!(
            logs(&words),
            (String::new(), String::new(), 0),
            "nothing yet, but it can come"
        );
    }
    // A word of somebody else's that was recorded is one.
    let at = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let end = decnet_spool::Position {
        segment: 1,
        offset: 1,
    };
    let batch = decnet_db::ingest::Batch {
        reader: "test".into(),
        from: decnet_spool::Position::START,
        to: end,
        lines: vec![
            decnet_db::meaning::read(b"<134>1 2027-01-15T08:00:00Z web-01 sshd - EXTRA - x", at).unwrap(),
        ],
        quarantine: Vec::new(),
        ignored: 0,
    };
    store(dir.path(), &batch);
    for words in [["--type", "EXTRA"], ["--service", "sshd"]] {
        let (out, err, code) = logs(&words);
        assert_eq!((out.lines().count(), err.as_str(), code), (1, "", 0), "{words:?}");
    }
    let (out, err, code) = logs(&["--type", "EXTRA", "--decky", "db-01"]);
    assert_eq!((out.as_str(), err.as_str(), code), ("", "", 0));
}

#[test]
fn faults_of_the_configuration_are_json_where_that_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let words = "--set listen=nowhere --set batch-size=none config check --json";
    let (out, err, code) = said(
        &decnet(PROGRAM, dir.path())
            .args(words.split(' '))
            .output()
            .unwrap(),
    );
    assert_eq!(code, 78, "{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["ok"], false);
    let keys = faulty_keys(&told);
    assert!(
        keys.contains(&&"listen".into()) && keys.contains(&&"batch-size".into()),
        "{told}"
    );
}

#[test]
fn what_a_stronger_source_covers_is_a_warning_and_the_configuration_is_in_order() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("mine.ini"), "[master]\n\nbatch-size = many\n").unwrap();
    let run = |words: &str| {
        let mut command = decnet(PROGRAM, dir.path());
        command.env("DECNET_BATCH_SIZE", "50").args(words.split(' '));
        said(&command.output().unwrap())
    };
    let (out, err, code) = run("config check --config mine.ini");
    assert!(code == 0 && out.contains("is in order"), "{out} {err}");
    assert!(
        err.starts_with("warning: batch-size (mine.ini:3): \"many\" is not a whole number"),
        "{err}"
    );
    let (out, err, code) = run("config check --json --config mine.ini");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["ok"], code, err.as_str()), (&true.into(), 0, ""));
    assert_eq!(
        (&told["warnings"][0]["key"], &told["warnings"][0]["from"]),
        (&"batch-size".into(), &"mine.ini:3".into())
    );
    let (_, err, code) = run("init --config mine.ini");
    assert_eq!(code, 0, "{err}");
}

#[test]
fn what_is_wrong_with_set_is_told_with_what_is_wrong_with_the_configuration() {
    let dir = TempDir::new().unwrap();
    let run = |words: &str| {
        let output = decnet(PROGRAM, dir.path())
            .args(words.split(' '))
            .env("DECNET_BATCH_SIZE", "zero")
            .output();
        said(&output.unwrap())
    };
    let wrong = "--set foo=1 --set jwt-secret=hunter2 --set hunter2";
    for words in ["config check", "init", "status"] {
        let (out, err, code) = run(&format!("{words} {wrong}"));
        assert_eq!((code, out.as_str()), (64, ""), "{words}: {err}");
        assert!(!err.contains("hunter2"), "{err}");
        for told in [
            "4 faults",
            "--set foo (command line): there is no such key",
            "--set jwt-secret (command line): a secret",
            "--set (command line): give it as KEY=VALUE",
            "batch-size (environment DECNET_BATCH_SIZE): \"zero\"",
        ] {
            assert!(err.contains(told), "{words}: {told}: {err}");
        }
    }
    // A worker is another program, which has nothing of it.
    let (_, err, code) = run(&format!("{wrong} collector"));
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("3 faults") && !err.contains("hunter2"), "{err}");
    let (out, _, code) = run("config check --json --set foo=1");
    assert_eq!(code, 64);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let keys = faulty_keys(&told);
    assert_eq!(keys, ["--set foo", "batch-size"]);
    assert_eq!(run("config check").2, 78);
}

/// What a host on the data directory below `dir` holds as long as it runs, whose bus is away.
fn running_host(dir: &Path) -> decnet_runtime::supervisor::Lock {
    fs::create_dir_all(dir.join("data/run")).unwrap();
    let mut sources = decnet_runtime::settings::Sources::default();
    let data = dir.join("data").display().to_string();
    sources.flags.insert("data-dir", data.clone());
    sources
        .flags
        .insert("bus-url", format!("unix:{data}/run/bus.sock"));
    let settings = decnet_runtime::Settings::read(&sources).unwrap();
    decnet_runtime::supervisor::Lock::take(&settings).unwrap()
}

#[test]
fn an_order_that_nobody_takes_ends_with_69_and_says_who_was_not_there() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let _lock = running_host(dir.path());
    let refused = |words: &str, bus: &str| {
        let mut command = decnet(PROGRAM, dir.path());
        command.args(words.split(' '));
        match bus {
            "of the host" => command.env_remove("DECNET_BUS_ENABLED"),
            url => command
                .env("DECNET_BUS_ENABLED", "true")
                .env("DECNET_BUS_URL", url),
        };
        let (stdout, stderr, code) = said(&command.output().unwrap());
        assert_eq!((code, stdout.as_str()), (69, ""), "{words}: {stderr}");
        stderr
    };
    for mode in ["", " --set mode=agent"] {
        let away = refused(&format!("worker stop collector{mode}"), "of the host");
        assert!(
            away.contains("was not told to stop") && away.contains("data/run/bus.sock does not answer"),
            "{away}"
        );
        let off = refused(&format!("worker stop collector{mode}"), "none");
        assert!(off.contains("the bus is off"), "{off}");
        let absent = refused(&format!("worker start collector{mode}"), "none");
        assert!(absent.contains("no `decnet up` runs on"), "{absent}");
    }
}

#[test]
fn a_migration_says_what_it_applied() {
    let dir = TempDir::new().unwrap();
    let told = good(dir.path(), "db migrate");
    for word in [
        "Applied to sqlite:",
        "decnet.db: ",
        "foundation",
        "The database is of this version.",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(
        good(dir.path(), "db migrate"),
        "The database is of this version.\n"
    );
}

#[test]
fn the_bus_that_is_no_worker_here_is_listed_as_what_it_is() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let row = |bus: &str| {
        let listed = decnet(PROGRAM, dir.path())
            .args(["worker", "list"])
            .env("DECNET_BUS_ENABLED", "true")
            .env("DECNET_BUS_URL", bus)
            .output();
        let (stdout, stderr, code) = said(&listed.unwrap());
        assert_eq!(code, 0, "{stderr}");
        let rows: Vec<_> = stdout.lines().filter(|line| line.starts_with("bus ")).collect();
        let [row] = rows[..] else { panic!("{stdout}") };
        row.split_whitespace().nth(1).unwrap().to_owned()
    };
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(row("none"), "off");
    assert_eq!(
        row(&format!("nats://me:hunter2@{away}")),
        format!("nats://{away}")
    );
    assert_eq!(row("unix:/nowhere/bus.sock"), "unknown");
}

#[test]
fn what_is_no_database_is_told_at_once_with_the_way_out() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let database = dir.path().join("data/decnet.db");
    for rest in ["-wal", "-shm"] {
        let _gone = fs::remove_file(dir.path().join(format!("data/decnet.db{rest}")));
    }
    fs::write(&database, "no database\n".repeat(1000)).unwrap();
    for words in ["status", "db migrate"] {
        let output = decnet(PROGRAM, dir.path())
            .args(words.split(' '))
            .output()
            .unwrap();
        let (_, stderr, code) = said(&output);
        assert_eq!(code, 78, "{words}: {stderr}");
        assert!(
            stderr.contains(database.to_str().unwrap()) && stderr.contains("move it away"),
            "{words}: {stderr}"
        );
        assert!(!stderr.contains("attempt"), "{words}: {stderr}");
    }
    // As it says.
    fs::rename(&database, dir.path().join("away")).unwrap();
    good(dir.path(), "init");
    good(dir.path(), "status");
}

#[test]
fn a_second_host_on_the_same_data_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let _lock = running_host(dir.path());
    let (_, stderr, code) = said(&decnet(PROGRAM, dir.path()).arg("up").output().unwrap());
    assert_eq!(code, 69);
    assert!(
        stderr.contains(&format!("process {}", std::process::id())) && stderr.contains("--data-dir"),
        "{stderr}"
    );
}

#[test]
fn a_signal_ends_a_start_that_waits_for_its_database() {
    let dir = TempDir::new().unwrap();
    // It accepts connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://u:p@{}/d", silent.local_addr().unwrap());
    let mut up = decnet(PROGRAM, dir.path())
        .arg("up")
        .env("DECNET_DATABASE_URL", url)
        .spawn()
        .unwrap();
    let _connection = silent.accept().unwrap();
    kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(0));
}

#[test]
fn a_database_that_refuses_is_named_with_its_reason_and_without_its_password() {
    let dir = TempDir::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = decnet(PROGRAM, dir.path())
        .arg("status")
        .env("DECNET_DATABASE_URL", format!("mysql://u:hidden-pw@{free}/d"))
        .output()
        .unwrap();
    let (_, stderr, code) = said(&output);
    assert_eq!(code, 69);
    assert!(
        stderr.contains("refused") && stderr.contains(&free.to_string()) && !stderr.contains("hidden-pw"),
        "{stderr}"
    );
}

#[test]
fn every_listing_is_json_where_that_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let init = decnet(PROGRAM, dir.path()).arg("init").output().unwrap();
    assert!(init.status.success(), "{init:?}");
    for words in [
        "status",
        "services",
        "archetypes",
        "distros",
        "config show",
        "config keys",
        "user list",
        "user token list",
        "worker list",
        "spool status",
        "spool verify",
        "config check",
        "db migrate",
        "db status",
    ] {
        let output = decnet(PROGRAM, dir.path())
            .args(words.split(' '))
            .arg("--json")
            .output()
            .unwrap();
        let (stdout, stderr, code) = said(&output);
        assert_eq!(code, 0, "{words}: {stderr}");
        serde_json::from_str::<serde_json::Value>(&stdout)
            .unwrap_or_else(|e| panic!("{words}: {e}: {stdout}"));
    }
}

#[test]
fn every_release_that_a_decky_may_be_of_is_listed() {
    let dir = TempDir::new().unwrap();
    let table = good(dir.path(), "distros");
    let json: serde_json::Value = serde_json::from_str(&good(dir.path(), "distros --json")).unwrap();
    for distro in decnet_persona::Distro::ALL {
        let row = table
            .lines()
            .find(|line| line.split(' ').next() == Some(distro.as_str()));
        let listed = json
            .as_array()
            .unwrap()
            .iter()
            .find(|d| d["slug"] == distro.as_str());
        let Some(kind) = decnet_persona::archetype::of_distro(*distro).next() else {
            assert!(row.is_none() && listed.is_none(), "no decky can be {distro}");
            continue;
        };
        assert!(row.unwrap().contains(kind.slug), "{row:?}");
        assert!(listed.unwrap()["archetypes"].to_string().contains(kind.slug));
        let told = listed.unwrap()["releases"].as_array().unwrap();
        for release in distro.releases() {
            assert!(row.unwrap().contains(release.pretty), "{distro}: {row:?}");
            assert!(told.contains(&release.pretty.into()), "{distro}: {told:?}");
        }
    }
    assert!(json.to_string().contains("Debian GNU/Linux 12") && !json.to_string().contains("FreeBSD"));
}

#[test]
fn an_account_is_made_and_its_password_reset_in_json_with_the_password_that_was_drawn() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let json = |words: &str| -> serde_json::Value { serde_json::from_str(&good(dir.path(), words)).unwrap() };
    let made = json("user create eve --role admin --json");
    assert_eq!(
        (&made["username"], &made["role"]),
        (&"eve".into(), &"admin".into())
    );
    let reset = json("user reset eve --json");
    assert_eq!(
        (&reset["id"], &reset["must_change_password"]),
        (&made["id"], &true.into())
    );
    let (first, second) = (
        made["password"].as_str().unwrap(),
        reset["password"].as_str().unwrap(),
    );
    assert!(first.len() >= 12 && second.len() >= 12 && first != second);
    // One that was given is not told again.
    let given = dir.path().join("given");
    fs::write(&given, "correct horse battery\n").unwrap();
    let output = decnet(PROGRAM, dir.path())
        .args(["user", "reset", "eve", "--json"])
        .stdin(fs::File::open(&given).unwrap())
        .output()
        .unwrap();
    let (stdout, stderr, code) = said(&output);
    assert_eq!(code, 0, "{stderr}");
    let told: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(
        told["username"] == "eve" && told.get("password").is_none(),
        "{told}"
    );
}

#[test]
fn an_api_token_is_made_listed_and_revoked_and_its_text_told_once() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let token = good(dir.path(), "user token add admin feed --role admin --days 7");
    assert!(
        token.starts_with("dnt_") && token.trim_end().len() == 47,
        "{token}"
    );
    let list = good(dir.path(), "user token list admin");
    assert!(
        list.contains("feed") && list.contains("never") && !list.contains("dnt_"),
        "{list}"
    );
    for (words, word) in [
        ("user token add admin feed", "taken"),
        ("user token add nobody feed", "no user nobody"),
        ("user token add admin x --days 0", "1..=3650"),
        ("user token revoke admin other", "no token other"),
        ("user token list nobody", "no user nobody"),
    ] {
        let output = decnet(PROGRAM, dir.path())
            .args(words.split(' '))
            .output()
            .unwrap();
        let (stdout, stderr, code) = said(&output);
        assert!(
            code == 64 && stderr.contains(word) && stdout.is_empty(),
            "{words}: {code} {stderr}"
        );
    }
    good(dir.path(), "user token revoke admin feed");
    assert!(good(dir.path(), "user token list").contains("no API token"));
}

#[test]
fn a_second_factor_is_taken_away_where_there_is_one_and_its_key_is_private() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let key = dir.path().join("data/secrets/totp.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let reset = || {
        let output = decnet(PROGRAM, dir.path())
            .args(["user", "totp", "reset", "admin"])
            .output();
        said(&output.unwrap())
    };
    let (_, stderr, code) = reset();
    assert!(
        code == 64 && stderr.contains("no second factor"),
        "{code} {stderr}"
    );
    with_store(dir.path(), async |store| {
        let admin = store.user_list().await.unwrap().remove(0).id;
        let now = SystemClock.now();
        store.second_factor_begin(admin, &[1], now).await.unwrap();
        store.second_factor_confirm(admin, 1, &[], now).await.unwrap();
    });
    let (stdout, stderr, code) = reset();
    assert!(code == 0 && stdout.contains("password alone"), "{code} {stderr}");
}

#[test]
fn a_first_password_that_everybody_tries_is_refused_before_anything_is_made() {
    let dir = TempDir::new().unwrap();
    for words in ["config check", "init", "up"] {
        let output = decnet(PROGRAM, dir.path())
            .args(words.split(' '))
            .env("DECNET_ADMIN_PASSWORD", "password1234")
            .output()
            .unwrap();
        let (_, stderr, code) = said(&output);
        assert_eq!(code, 78, "{words}: {stderr}");
        assert!(
            stderr.contains("admin-password") && stderr.contains("is among the first that an attacker tries"),
            "{words}: {stderr}"
        );
        assert!(!dir.path().join("data").exists(), "{words}");
    }
}

#[test]
fn a_folder_of_secrets_that_others_may_write_to_is_refused_and_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    good(dir.path(), "init");
    let secrets = dir.path().join("data/secrets");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o777)).unwrap();
    for words in ["init", "up"] {
        let (_, stderr, code) = said(&decnet(PROGRAM, dir.path()).arg(words).output().unwrap());
        assert_eq!(code, 78, "{words}: {stderr}");
        assert!(
            stderr.contains("data/secrets can be written to by others (mode 0777); run `chmod 700`"),
            "{words}: {stderr}"
        );
        assert_eq!(
            fs::metadata(&secrets).unwrap().permissions().mode() & 0o777,
            0o777
        );
    }
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o700)).unwrap();
    good(dir.path(), "init");
}

#[test]
fn a_host_goes_on_without_whoever_read_its_output() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("decnet");
    fs::copy(PROGRAM, &program).unwrap();
    let mut up = decnet(&program, dir.path())
        .arg("up")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((up.stdout.take(), up.stderr.take()));
    // It has no workers, so it ends by itself; by its own code, and not by a closed pipe.
    assert_eq!(up.wait().unwrap().code(), Some(69));
}

/// What `words` with `--help` print.
fn help(words: &[String]) -> String {
    let output = Command::new(PROGRAM).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help lists, each with what it says of it.
fn listed(help: &str) -> Vec<(String, String)> {
    let (_, list) = help.split_once("Commands:\n").unwrap_or_default();
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(name, about)| (name.to_owned(), about.trim().to_owned()))
        .filter(|(name, _)| name != "help")
        .collect()
}

/// Every command, those of groups too.
fn commands() -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut left = vec![Vec::<String>::new()];
    while let Some(words) = left.pop() {
        for (name, about) in listed(&help(&words)) {
            assert!(!about.is_empty(), "{words:?} {name}");
            left.push(words.iter().cloned().chain([name]).collect());
        }
        if !words.is_empty() {
            all.push(words);
        }
    }
    all
}

#[test]
fn help_of_every_command_says_something_of_every_option() {
    for words in commands().into_iter().chain([Vec::new()]) {
        let text = help(&words);
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let line = line.trim();
            let is_option = line.starts_with('-') && !line.starts_with("- ");
            // The explanation stands beside the option, or below it where one of the options has a long one.
            let explained = line.contains("  ") || lines.peek().is_some_and(|next| !next.trim().is_empty());
            assert!(!is_option || explained, "{words:?}: {line} is not explained");
        }
    }
    let text = help(&[]);
    for worker in WORKERS {
        assert!(text.contains(worker), "{worker}: {text}");
    }
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    let mut all = commands();
    all.push(Vec::new());
    all.sort();
    let told = |words: &Vec<String>| format!("$ decnet {} --help\n{}", words.join(" "), help(words));
    let text: Vec<_> = all.iter().map(told).collect();
    insta::assert_snapshot!(text.join("\n").replace("decnet  --help", "decnet --help"));
}

/// The keys of the faults that `config check --json` tells.
fn faulty_keys(told: &serde_json::Value) -> Vec<&serde_json::Value> {
    let faults = told["faults"].as_array().unwrap();
    faults.iter().map(|fault| &fault["key"]).collect()
}
