//! A fleet of containers from its deployment to its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::Instant,
};

use decnet_lab::{ATTACKER, GATEWAY, HOST, Lab, Place};
use nix::sys::signal::Signal;

use crate::{
    announced::{announced, mistaken},
    bounds::{bounded, tells_its_health},
    host::{Host, decoy, lab, until, until_seen},
    intruder::{contained, contained_again, host_is_no_neighbour, tells_no_names},
    killed::{everything_killed, killed_anywhere},
    scan::let_out,
    stack::behaves_as_claimed,
    stopped::stopped_and_started,
    visitor::{ailing, all_told, attack, hold_open, is_answer, machines, said, services, text, visit},
};

/// Twenty deckies of every kind that six services make believable.
const FLEET: &str = "\
[web]
archetype = web-server
amount = 5
[db]
archetype = database-server
amount = 3
[mail]
archetype = mail-server
amount = 4
[srv]
archetype = linux-server
amount = 4
[files]
archetype = file-server
[win]
archetype = windows-server
[paper]
archetype = printer
[dead]
archetype = deaddeck
";

/// What would tell what it is.
const WORDS: [&str; 7] = [
    "decnet", "decky", "deckies", "honeypot", "decoy", "mutator", "intruder",
];

/// The container of each decky that runs, by the decky's name.
fn containers(lab: &Lab) -> BTreeMap<String, String> {
    let all = lab
        .docker()
        .args(["ps", "--format", "{{.Names}} {{.ID}}"])
        .output()
        .unwrap();
    let of = |line: &str| {
        let (name, id) = line.split_once(' ')?;
        // What is added says whose installation it is.
        let (decky, _) = name.rsplit_once('-')?;
        Some((decky.to_owned(), id.to_owned()))
    };
    said(&all).lines().filter_map(of).collect()
}

/// Everything of ours that Docker and the host have.
fn traces(lab: &Lab) -> String {
    let mut all = String::new();
    for words in [
        ["ps", "-aq"].as_slice(),
        &["network", "ls", "-q", "--filter", "driver=macvlan"],
        &["images", "-aq"],
    ] {
        all.push_str(&said(&lab.docker().args(words).output().unwrap()));
    }
    let mut ip = |words: &[&str]| {
        all.push_str(&said(
            &lab.command(Place::Host, "ip").args(words).output().unwrap(),
        ));
    };
    ip(&["-br", "link", "show", "type", "macvlan"]);
    ip(&["route", "show", "proto", "static", "dev", "lan0"]);
    all
}

#[test]
fn twenty_deckies_live_on_a_network_are_visited_mutate_survive_and_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab_of, _turn)) = lab("fleet", folder.path()) else {
        return;
    };
    let before = traces(&lab_of);
    let description = folder.path().join("fleet.ini");
    fs::write(&description, FLEET).unwrap();
    let mut host = Host::new(&lab_of, &folder);
    host.up();

    // Deployed, each on an address and a hardware address of its own.
    let begun = Instant::now();
    let told = until("the mutator says where deckies can stand", || {
        let tried = host.run(&["deploy", "--file", description.to_str().unwrap()]);
        tried.status.success().then(|| said(&tried))
    });
    println!(
        "    20 deckies deployed in {:.1} s\n{told}",
        begun.elapsed().as_secs_f64()
    );
    let fleet = until("all of them run", || {
        let fleet = host.fleet();
        fleet.iter().all(|d| d["state"] == "running").then_some(fleet)
    });
    assert_eq!(fleet.len(), 20);
    let known = machines(&fleet);
    let addresses: BTreeSet<&String> = known.values().map(|(ip, _)| ip).collect();
    assert_eq!(addresses.len(), 20);
    assert!(
        !addresses
            .iter()
            .any(|ip| [HOST, GATEWAY, ATTACKER].contains(&ip.as_str()))
    );

    // Visited by real clients from another machine.
    let mut visited = 0;
    for decky in &fleet {
        for service in decky["services"].as_array().unwrap() {
            let slug = text(service, "slug");
            let seen = visit(&lab_of, decky, &slug);
            assert!(is_answer(&slug, &seen), "{} {slug}: {seen}", text(decky, "name"));
            visited += 1;
        }
    }
    println!("    {visited} services answered");
    let neighbours = said(&attack(&lab_of, &["ip", "neigh"]));
    for (ip, mac) in known.values() {
        let line = neighbours
            .lines()
            .find(|line| line.starts_with(&format!("{ip} ")));
        assert!(
            line.is_some_and(|line| line.contains(mac.as_str())),
            "{ip} is not at {mac}: {neighbours}"
        );
    }
    // The host reaches them, too, and is no other machine for that.
    let (ip, _) = &known["web-01"];
    let own = lab_of
        .command(Place::Host, "curl")
        .args(["-sS", "-m", "10", "-o", "/dev/null", &format!("http://{ip}/")])
        .output()
        .unwrap();
    assert!(own.status.success(), "{}", String::from_utf8_lossy(&own.stderr));
    let asked = said(&attack(
        &lab_of,
        &["arping", "-c", "2", "-w", "3", "-I", "eth0", HOST],
    ));
    let answers: BTreeSet<&str> = asked
        .split(['[', ']'])
        .filter(|part| part.len() == 17 && part.contains(':'))
        .collect();
    assert_eq!(
        answers.len(),
        1,
        "more than one machine says that it is the host: {asked}"
    );

    // Every visit is evidence, with the visitor's own address.
    all_told(&host, &fleet, ATTACKER);

    behaves_as_claimed(&lab_of, &host, &fleet);
    contained(&lab_of, &host, &fleet);
    contained_again(&lab_of, &host, "srv-01");
    for name in known.keys() {
        looks_like_nothing(&lab_of, &host, name);
    }
    // And who could read the program would read none of the words.
    let program = String::from_utf8_lossy(&fs::read(decoy()).unwrap()).to_ascii_lowercase();
    for word in WORDS {
        assert!(!program.contains(word), "the program says {word}");
    }
    // Two that may begin something: neither is told of the others.
    for (name, egress) in [("asks", "dns"), ("free", "allow")] {
        let deploy = [
            "deploy",
            "--archetype",
            "linux-server",
            "--name",
            name,
            "--egress",
            egress,
        ];
        host.ok(&deploy);
    }
    let_out(&lab_of, &host, "asks", "free");
    for name in ["asks", "free", "srv-01"] {
        tells_no_names(&host, name, &fleet);
        host_is_no_neighbour(&host, name);
    }
    host.ok(&["teardown", "asks", "free"]);

    // A mutation changes one and disturbs nobody else.
    let made = containers(&lab_of);
    assert!(made.keys().eq(known.keys()), "{made:?}");
    let (old, mut open) = (services(&fleet, "web-01"), hold_open(&lab_of, &fleet, "web-02"));
    host.ok(&["mutate", "web-01"]);
    assert_ne!(services(&host.fleet(), "web-01"), old);
    deploy_baited(&host, folder.path(), "late");
    let now = containers(&lab_of);
    for (name, container) in &made {
        assert_eq!(now.get(name), Some(container), "{name} was made anew");
    }
    assert!(
        open.try_wait().unwrap().is_none(),
        "a visit to another decky was cut"
    );
    open.kill().unwrap();
    open.wait().unwrap();
    shows_bait(&lab_of, &host, "late");
    renamed_and_gone(&lab_of, &host, "late");

    // Whatever of ours is killed: the fleet stays, and what came meanwhile is not lost.
    let decky = fleet.iter().find(|d| text(d, "name") == "web-03").unwrap();
    everything_killed(&lab_of, &mut host, decky);
    // A decky that dies is back, contained as before, and whoever took another machine for it learns where it is.
    let (ip, mac) = &known["srv-02"];
    mistaken(&lab_of, ip);
    let victim = &made["srv-02"];
    decnet_lab::run(lab_of.docker().args(["kill", "--signal", "KILL", victim])).unwrap();
    until("it is back", || {
        let again = containers(&lab_of).remove("srv-02");
        again.filter(|id| id != victim)
    });
    announced(&lab_of, ip, mac);
    let now = containers(&lab_of);
    for (name, container) in made.iter().filter(|(name, _)| *name != "srv-02") {
        assert_eq!(
            now.get(name),
            Some(container),
            "{name} did not outlive its mutator"
        );
    }

    stopped_and_started(&lab_of, &host, "srv-02");

    // The daemon is killed under it and comes back, and by itself so does the fleet.
    let made = containers(&lab_of);
    lab_of.end_daemon(Signal::SIGKILL).unwrap();
    lab_of.start_daemon().unwrap();
    let again = until_seen("the fleet is back after the daemon", || {
        let (now, fleet) = (containers(&lab_of), host.fleet());
        let anew = |(name, old): (&String, &String)| now.get(name).is_some_and(|id| id != old);
        if made.iter().all(anew) && fleet.len() == 20 && ailing(&fleet).is_empty() {
            Ok(fleet)
        } else {
            Err(format!("{:?}, {now:?} after {made:?}", ailing(&fleet)))
        }
    });
    assert_eq!(machines(&again), known);
    for decky in &again {
        let slug = text(&decky["services"][0], "slug");
        // What the database says may be of before; that it answers again is what counts.
        until_seen(&format!("{} answers again", text(decky, "name")), || {
            let seen = visit(&lab_of, decky, &slug);
            if is_answer(&slug, &seen) {
                Ok(())
            } else {
                Err(seen)
            }
        });
    }

    // Gone without a trace.
    let begun = Instant::now();
    host.ok(&["teardown", "--all"]);
    println!("    torn down in {:.1} s", begun.elapsed().as_secs_f64());
    until("nothing of it is left", || {
        (traces(&lab_of) == before).then_some(())
    });
    assert!(host.fleet().is_empty());
    host.down();
}

/// Deploy a decky with bait of its operator, and redis on it with some of its own.
fn deploy_baited(host: &Host<'_>, folder: &Path, name: &str) {
    let of = |what: &str, file: &str, text: &str| {
        let folder = folder.join(what);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
        folder.display().to_string()
    };
    let all = of(
        "all",
        "all.toml",
        "[[file]]\npath = \"/srv/ftp/turbine.txt\"\ncontent = \"seven\"\n[[key]]\nkey = \"turbine\"\nstring = \"7\"\n",
    );
    let keys = of(
        "keys",
        "redis.toml",
        "[[key]]\nkey = \"boiler\"\nstring = \"8\"\n",
    );
    let deploy = ["deploy", "--name", name, "--archetype", "linux-server"];
    let bait = ["--services", "ftp,redis", "--bait", &all, "--bait"];
    let redis = format!("redis={keys}");
    let words: Vec<&str> = deploy.into_iter().chain(bait).chain([redis.as_str()]).collect();
    host.ok(&words);
}

/// Its visitors see that bait, each service its own, and nobody finds where it came from.
fn shows_bait(lab: &Lab, host: &Host<'_>, name: &str) {
    let fleet = host.fleet();
    let decky = fleet.iter().find(|d| text(d, "name") == name).unwrap();
    let ip = text(decky, "ip");
    let keys = said(&attack(lab, &["redis-cli", "-h", &ip, "--raw", "keys", "*"]));
    assert_eq!(keys.trim(), "boiler");
    let asked = "USER anonymous\\r\\nPASS x\\r\\nTYPE I\\r\\nSIZE turbine.txt\\r\\nQUIT\\r\\n";
    let asked = format!("printf '{asked}' | timeout 10 nc -w 5 {ip} 21");
    let heard = said(&attack(lab, &["sh", "-c", &asked]));
    assert!(heard.contains("213 5"), "{heard}");
    let pid = host.pid_of(name);
    assert!(
        !fs::exists(format!("/proc/{pid}/root/var/lib/netsvcd/share")).unwrap(),
        "the bait can still be read"
    );
}

/// A container that somebody called otherwise is the decky's all the same; and where its evidence is not taken yet it stays until it is.
fn renamed_and_gone(lab: &Lab, host: &Host<'_>, name: &str) {
    let fleet = host.fleet();
    let decky = fleet.iter().find(|d| text(d, "name") == name).unwrap();
    let links = ["deckies", "outlets"].map(|folder| host.data.join(folder).join(name));
    let told = || {
        let rows = host.evidence(&["--decky", name, "--source", ATTACKER]);
        rows.iter().filter(|row| text(row, "service") == "redis").count()
    };
    host.ok(&["worker", "stop", "collector"]);
    until("its collector has ended", || {
        host.pids("decnet-collector").is_empty().then_some(())
    });
    let before = told();
    let seen = visit(lab, decky, "redis");
    assert!(is_answer("redis", &seen), "{seen}");
    let container = containers(lab).remove(name).unwrap();
    decnet_lab::run(lab.docker().args(["rename", &container, "foreign"])).unwrap();
    host.ok(&["teardown", name]);
    let left = lab
        .docker()
        .args(["ps", "-aq", "--filter", "name=foreign"])
        .output()
        .unwrap();
    assert_eq!(said(&left), "");
    assert!(links.iter().all(|link| link.exists()), "evidence cannot be found");
    until("another collector is started", || {
        let tried = host.run(&["worker", "start", "collector"]);
        tried.status.success().then_some(())
    });
    until("nothing of it is left here", || {
        links.iter().all(|link| !link.is_symlink()).then_some(())
    });
    until("what came last is evidence", || (told() > before).then_some(()));
}

/// Nothing that can be read inside a container says what it is, and nothing in it may do or take more than it needs.
fn looks_like_nothing(lab: &Lab, host: &Host<'_>, decky: &str) {
    let pid = host.pid_of(decky);
    let proc = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let all = containers(lab);
    let container = &all[decky];
    bounded(lab, container);
    tells_its_health(lab, container);
    let hostname = said(
        &lab.docker()
            .args(["inspect", "--format", "{{.Config.Hostname}}", container])
            .output()
            .unwrap(),
    );
    let files = said(
        &Command::new("find")
            .arg(format!("/proc/{pid}/root/"))
            .arg("-xdev")
            .output()
            .unwrap(),
    );
    let environment = proc("environ");
    let seen = [
        ("mounts", proc("mountinfo")),
        ("environment", environment.clone()),
        ("control group", proc("cgroup")),
        ("command", proc("cmdline")),
        ("name", proc("comm")),
        ("hosts", proc("root/etc/hosts")),
        ("resolver", proc("root/etc/resolv.conf")),
        ("host name", hostname),
        ("files", files),
    ];
    let temporary = host.data.parent().unwrap().display().to_string();
    for (what, content) in seen {
        assert!(
            !content.is_empty() || what == "environment",
            "nothing is known of its {what}"
        );
        let content = content.replace(&temporary, "").to_lowercase();
        for word in WORDS {
            assert!(!content.contains(word), "its {what} says {word}: {content}");
        }
    }
    assert_eq!(
        proc("root/etc/resolv.conf"),
        format!("nameserver {GATEWAY}\n"),
        "another resolver than the network's"
    );
    // Whoever is in it can run the program and not read it.
    let mode = fs::metadata(format!("/proc/{pid}/root/usr/sbin/netsvcd"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o711);
    assert!(
        !fs::exists(format!("/proc/{pid}/root/var/lib/netsvcd/config.json")).unwrap(),
        "what it was told can still be read"
    );
    let status = proc("status");
    let field = |name: &str| {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapInh:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set} {status}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    assert_ne!(field("Uid:"), "0");
}

#[test]
fn a_run_that_is_killed_anywhere_is_finished_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab_of, _turn)) = lab("kill", folder.path()) else {
        return;
    };
    let mut host = Host::new(&lab_of, &folder);
    let there = || {
        let all = lab_of
            .docker()
            .args(["ps", "-a", "--format", "{{.State}}"])
            .output()
            .unwrap();
        said(&all).lines().map(|state| state == "running").collect()
    };
    killed_anywhere(&mut host, there, || traces(&lab_of));
}
