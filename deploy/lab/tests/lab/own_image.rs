//! An operator's own image as a service of a decky: deployed, visited, recorded, contained, killed, changed and taken down.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use decnet_lab::{ATTACKER, GATEWAY, HOST, Lab, METADATA, Place};
use nix::sys::signal::Signal;

use crate::{
    bounds::bounded,
    host::{Host, PATIENCE, lab, until, until_seen},
    neighbours::Neighbours,
    scan::{Target, scanned},
    visitor::{ailing, attack, is_answer, listens, machines, said, services, text, visit},
};

/// What it is called.
const IMAGE: &str = "lab.example/intranet:1";
/// What its pages say.
const PAGE: &str = "the rota of next week";

const FLEET: &str = "\
[web]
archetype = linux-server
services = ssh, redis, intranet
[custom-intranet]
image = lab.example/intranet:1
command = /bin/busybox httpd -f -p 8080 -h /www
ports = 8080, 9090
memory_mb = 32
";

/// Make the image, from nothing but a program that needs nothing.
fn make_image(lab: &Lab, folder: &Path, name: &str) {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|path| fs::read(path).ok())
        .expect("no busybox: the package busybox-static has it");
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_size(u64::try_from(content.len()).unwrap());
        tar.append_data(&mut header, path, content).unwrap();
    };
    add("bin/busybox", 0o755, &busybox);
    add("www/index.html", 0o644, PAGE.as_bytes());
    let file = folder.join("image.tar");
    fs::write(&file, tar.into_inner().unwrap()).unwrap();
    let declared = "VOLUME /data";
    decnet_lab::run(
        lab.docker()
            .args(["import", "--change", declared])
            .arg(&file)
            .arg(name),
    )
    .unwrap();
}

fn docker(lab: &Lab, words: &[&str]) -> String {
    said(&lab.docker().args(words).output().unwrap())
        .trim()
        .to_owned()
}

/// The containers whose name begins so, and run.
fn containers(lab: &Lab, beginning: &str) -> Vec<String> {
    let all = docker(
        lab,
        &[
            "ps",
            "-q",
            "--no-trunc",
            "--filter",
            &format!("name=^{beginning}"),
        ],
    );
    all.lines().map(str::to_owned).collect()
}

/// The one container of the image.
fn own(lab: &Lab) -> Option<String> {
    match containers(lab, "web.intranet-").as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// Run something of the image inside its container, as root.
fn inside(lab: &Lab, words: &[&str]) -> Output {
    let own = own(lab).expect("the image does not run");
    lab.docker()
        .args(["exec", "--user", "0", &own, "/bin/busybox"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A visit to redis that stands, and is asked whether it still does.
struct Standing {
    client: Child,
    says: ChildStdin,
    heard: mpsc::Receiver<String>,
}

impl Standing {
    fn begin(lab: &Lab, ip: &str) -> Self {
        let mut client = lab
            .command(Place::Attacker, "nc")
            .args([ip, "6379"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, heard) = mpsc::channel();
        let stdout = client.stdout.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Whoever listened may have gone.
                let _unheard = send.send(line);
            }
        });
        let says = client.stdin.take().unwrap();
        let mut standing = Self { client, says, heard };
        standing.still_stands();
        standing
    }

    fn still_stands(&mut self) {
        self.says.write_all(b"PING\r\n").unwrap();
        let answer = self.heard.recv_timeout(PATIENCE).expect("the visit was cut");
        assert!(answer.contains("PONG") || answer.contains("NOAUTH"), "{answer}");
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.client.kill().and_then(|()| self.client.wait());
    }
}

fn fetch(lab: &Lab, ip: &str, path: &str) -> Output {
    attack(
        lab,
        &["curl", "-sS", "-m", "10", &format!("http://{ip}:8080/{path}")],
    )
}

/// Wait until the page is there.
fn answers(lab: &Lab, ip: &str) {
    until("the image answers", || {
        said(&fetch(lab, ip, "")).contains(PAGE).then_some(())
    });
}

#[test]
fn an_operators_own_image_is_a_service_that_is_recorded_contained_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab("own", folder.path()) else {
        return;
    };
    let description = folder.path().join("fleet.ini");
    let file = description.to_str().unwrap();
    fs::write(&description, FLEET).unwrap();
    let mut host = Host::new(&lab, &folder);
    host.up();

    // What is on no host and in no registry is told with the way out, and comes by itself once it is there.
    let told = until("the mutator says where deckies can stand", || {
        let tried = host.run(&["deploy", "--file", file]);
        let said = format!("{}{}", said(&tried), String::from_utf8_lossy(&tried.stderr));
        said.contains(IMAGE).then_some(said)
    });
    assert!(
        told.contains("docker pull") && told.contains("docker load"),
        "{told}"
    );
    make_image(&lab, folder.path(), IMAGE);
    let planned = host.ok(&["deploy", "--file", file, "--dry-run"]);
    assert!(planned.contains(&format!("intranet[{IMAGE}]")), "{planned}");
    host.ok(&["deploy", "--file", file]);
    let fleet = until("it runs", || {
        let fleet = host.fleet();
        fleet.iter().all(|d| d["state"] == "running").then_some(fleet)
    });
    assert_eq!(services(&fleet, "web"), ["intranet", "redis", "ssh"]);
    assert_eq!(fleet[0]["services"][0]["image"], IMAGE);
    let shown = host.ok(&["status"]);
    assert!(shown.contains(&format!("intranet[{IMAGE}]@")), "{shown}");
    let ip = text(&fleet[0], "ip");
    assert_eq!(listens(&fleet[0], "intranet"), Some(format!("{ip}:8080")));

    // Visited from another machine; the evidence has who it was, what it asked and what it was answered.
    answers(&lab, &ip);
    fetch(&lab, &ip, "secret/plan.txt?by=night");
    let evidence = |kind: &str, words: &str| {
        until(&format!("{kind} {words} is evidence"), || {
            let rows = host.evidence(&["--source", ATTACKER, "--service", "intranet"]);
            let is_it =
                |row: &&serde_json::Value| row["event_type"] == kind && row.to_string().contains(words);
            rows.iter().find(is_it).cloned()
        })
    };
    let exchange = evidence("exchange", "/secret/plan.txt?by=night");
    assert!(
        text(&exchange["fields"], "answered").contains("404"),
        "{exchange}"
    );
    assert_eq!(exchange["fields"]["dst_port"], "8080");
    evidence("connect", "8080");
    evidence("disconnect", "bytes_out");
    // Where the image does not answer the visitor is reset, and the evidence says so.
    let reset = attack(&lab, &["curl", "-sS", "-m", "10", &format!("http://{ip}:9090/")]);
    let told = String::from_utf8_lossy(&reset.stderr);
    // A reset that comes before curl has looked up from connecting is told by it as a failure to connect; the evidence knows better.
    assert!(
        told.contains("reset") || told.contains("Couldn't connect"),
        "{reset:?}"
    );
    evidence("disconnect", "unanswered");
    // The ports by which visitors are led are none to whoever finds them, nor is one that somebody opens inside.
    let opened = lab
        .docker()
        .args([
            "exec",
            "-d",
            &own(&lab).unwrap(),
            "/bin/busybox",
            "nc",
            "-l",
            "-p",
            "4444",
        ])
        .status()
        .unwrap();
    assert!(opened.success());
    until("somebody listens inside", || {
        // 4444 in hexadecimal.
        let table = said(&inside(&lab, &["cat", "/proc/net/tcp", "/proc/net/tcp6"]));
        table.contains(":115C ").then_some(())
    });
    for port in ["4444", &(65_535 - 8080_u16).to_string(), "8081"] {
        let tried = attack(&lab, &["nc", "-v", "-z", "-w", "3", &ip, port]);
        let told = String::from_utf8_lossy(&tried.stderr).into_owned();
        assert!(told.contains("refused"), "{port}: {told}");
    }

    contained(&lab, &host, &ip);
    hardened(&lab);

    // One that does not start is told, and no visit beside it notices.
    let mut redis = Standing::begin(&lab, &ip);
    let first = containers(&lab, "web-");
    fs::write(
        &description,
        FLEET.replace("/bin/busybox httpd", "/bin/nothing httpd"),
    )
    .unwrap();
    let failed = host.run(&["deploy", "--file", file]);
    assert!(!failed.status.success(), "{failed:?}");
    let told = until("the decky says what it lacks", || {
        let fleet = host.fleet();
        let why = text(&fleet[0], "last_error");
        (fleet[0]["state"] == "degraded" && why.contains(IMAGE)).then_some(why)
    });
    assert!(told.contains("/bin/nothing"), "{told}");
    redis.still_stands();
    fs::write(&description, FLEET).unwrap();
    host.ok(&["deploy", "--file", file]);
    answers(&lab, &ip);
    redis.still_stands();
    assert_eq!(containers(&lab, "web-"), first);

    // The daemon's own container of it dies and comes back, and no visit beside it notices.
    let before = own(&lab).unwrap();
    docker(&lab, &["kill", &before]);
    until("it is started again", || own(&lab).filter(|now| *now != before));
    answers(&lab, &ip);
    redis.still_stands();
    assert_eq!(containers(&lab, "web-"), first);
    // Services change, and the image with them, and again nobody else notices.
    let before = own(&lab).unwrap();
    for (from, to, runs) in [
        ("ssh, redis, intranet", "redis, intranet", true),
        ("redis, intranet", "ssh, redis", false),
        ("ssh, redis", "ssh, redis, intranet", true),
    ] {
        let changed = fs::read_to_string(&description)
            .unwrap()
            .replace(&format!("services = {from}"), &format!("services = {to}"));
        let changed = match (runs, changed.contains("[custom-")) {
            (true, false) => FLEET.to_owned(),
            (false, _) => changed.split("[custom-").next().unwrap().to_owned(),
            _ => changed,
        };
        fs::write(&description, changed).unwrap();
        host.ok(&["deploy", "--file", file]);
        let wanted = until("what is wanted runs", || {
            let fleet = host.fleet();
            let mut wanted: Vec<&str> = to.split(", ").collect();
            wanted.sort_unstable();
            (fleet[0]["state"] == "running" && services(&fleet, "web") == wanted).then_some(fleet)
        });
        assert_eq!(own(&lab).is_some(), runs, "{wanted:?}");
        redis.still_stands();
        if to == "redis, intranet" {
            assert_eq!(own(&lab), Some(before.clone()), "it was started anew for nothing");
        }
        if runs {
            answers(&lab, &ip);
        } else {
            assert!(!fetch(&lab, &ip, "").status.success());
        }
    }
    let seen = visit(&lab, &host.fleet()[0], "ssh");
    assert!(is_answer("ssh", &seen), "{seen}");
    drop(redis);

    // The decky's own container dies: both are made anew, as the network is another one.
    let both = || (containers(&lab, "web-"), own(&lab));
    let back = |before: &(Vec<String>, Option<String>)| {
        until_seen("both are back", || {
            let now = both();
            if now.0.len() == 1 && now.1.is_some() && now.0 != before.0 && now.1 != before.1 {
                Ok(())
            } else {
                Err(format!("{now:?} after {before:?}, {:?}", ailing(&host.fleet())))
            }
        });
        answers(&lab, &ip);
    };
    let before = both();
    docker(&lab, &["kill", &before.0[0]]);
    back(&before);
    // The daemon is killed under the host and comes back, and both do by themselves.
    let before = both();
    lab.end_daemon(Signal::SIGKILL).unwrap();
    lab.start_daemon().unwrap();
    back(&before);
    let again = until_seen("it runs", || {
        let fleet = host.fleet();
        let ailing = ailing(&fleet);
        if ailing.is_empty() {
            Ok(fleet)
        } else {
            Err(format!("{ailing:?}"))
        }
    });
    assert_eq!(machines(&again), machines(&fleet));
    let seen = visit(&lab, &again[0], "ssh");
    assert!(is_answer("ssh", &seen), "{seen}");

    // What is called as a decky's container would be, and is somebody else's, is not touched.
    let ours = docker(
        &lab,
        &["inspect", "--format", "{{.Name}}", &containers(&lab, "web-")[0]],
    );
    let theirs = ours.trim_start_matches('/').replacen("web-", "taken-", 1);
    let id = docker(
        &lab,
        &["create", "--name", &theirs, IMAGE, "/bin/busybox", "true"],
    );
    fs::write(&description, "[taken]\narchetype = linux-server\n").unwrap();
    let refused = host.run(&["deploy", "--file", file]);
    let told = format!("{}{}", said(&refused), String::from_utf8_lossy(&refused.stderr));
    assert!(told.contains("is not this installation's"), "{told}");
    assert_eq!(docker(&lab, &["inspect", "--format", "{{.Id}}", &theirs]), id);
    // With the volume that the image declares.
    docker(&lab, &["rm", "--volumes", &theirs]);

    // Gone; the image is the operator's.
    host.ok(&["teardown", "--all"]);
    until("no container is left", || {
        docker(&lab, &["ps", "-aq"]).is_empty().then_some(())
    });
    assert_eq!(docker(&lab, &["volume", "ls", "-q"]), "");
    assert!(!docker(&lab, &["images", "-q", IMAGE]).is_empty());
    host.down();
}

#[test]
fn an_image_that_is_slow_to_come_holds_no_other_decky_up_and_is_taken_once_it_is_there() {
    const SLOW: &str = "10.66.0.254:5000/intranet:1";
    let folder = tempfile::tempdir().unwrap();
    let Some((lab, _turn)) = lab("slow", folder.path()) else {
        return;
    };
    // A registry that lets everybody in and says nothing.
    let registry = lab
        .within(Place::Gateway, || TcpListener::bind((GATEWAY, 5000)).unwrap())
        .unwrap();
    let description = folder.path().join("fleet.ini");
    let file = description.to_str().unwrap();
    let fleet = format!(
        "{}[plain]\narchetype = linux-server\n",
        FLEET.replace(IMAGE, SLOW)
    );
    fs::write(&description, fleet).unwrap();
    let mut host = Host::new(&lab, &folder);
    host.up();
    let told = thread::scope(|scope| {
        let deploys = scope.spawn(|| {
            until("the mutator says where deckies can stand", || {
                let tried = host.run(&["deploy", "--file", file]);
                let said = format!("{}{}", said(&tried), String::from_utf8_lossy(&tried.stderr));
                said.contains(SLOW).then_some(said)
            })
        });
        let mut last = Vec::new();
        let waited = (0..400).any(|_| {
            thread::sleep(Duration::from_millis(200));
            last = host.fleet();
            let of = |name| last.iter().find(|d| text(d, "name") == name);
            let waits =
                of("web").is_some_and(|web| text(web, "last_error").contains(&format!("pulling {SLOW}")));
            waits && of("plain").is_some_and(|plain| plain["state"] == "running")
        });
        // Nobody waits for it any more.
        drop(registry);
        assert!(
            waited,
            "no image was waited for while the other decky ran: {last:?}"
        );
        deploys.join().unwrap()
    });
    assert!(told.contains("pulling") && told.contains("docker pull"), "{told}");
    make_image(&lab, folder.path(), SLOW);
    let fleet = until("it runs with its image", || {
        let fleet = host.fleet();
        fleet.iter().all(|d| d["state"] == "running").then_some(fleet)
    });
    let web = fleet.iter().find(|d| text(d, "name") == "web").unwrap();
    answers(&lab, &text(web, "ip"));
    host.ok(&["teardown", "--all"]);
    host.down();
}

/// Whoever is root in it reaches nobody.
fn contained(lab: &Lab, host: &Host<'_>, own_ip: &str) {
    let neighbours = Neighbours::answering(lab);
    // From the network that it shares with the decky, by whatever right.
    scanned(lab, host, "web", &Target::of_lab(), || {
        let page = fetch(lab, own_ip, "");
        assert!(said(&page).contains(PAGE), "{page:?}");
    });
    // And from within itself.
    let reach =
        |ip: &str, port: &str| inside(lab, &["nc", "-w", "2", ip, port, "-e", "/bin/busybox", "true"]);
    // The same words reach what may be reached: the image itself.
    let itself = reach("127.0.0.1", "8080");
    assert!(itself.status.success(), "{itself:?}");
    for (ip, port) in [
        (HOST, "8081"),
        (GATEWAY, "80"),
        (ATTACKER, "8081"),
        (METADATA, "80"),
        // The decky's own services: an image is no visitor, and makes no evidence.
        (own_ip, "22"),
        (own_ip, "6379"),
        (own_ip, "57455"),
    ] {
        let tried = reach(ip, port);
        assert!(
            !tried.status.success(),
            "{ip}:{port} was reached from inside: {tried:?}"
        );
    }
    drop(neighbours);
}

/// It may do next to nothing, and nothing in it says where it is.
fn hardened(lab: &Lab) {
    bounded(lab, &own(lab).unwrap());
    let status = said(&inside(lab, &["cat", "/proc/1/status"]));
    let field = |name: &str| {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    // CAP_NET_BIND_SERVICE is the tenth.
    assert_eq!(field("CapBnd:"), "0000000000000400", "{status}");
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    for (path, may) in [
        ("/www/x", false),
        ("/x", false),
        ("/tmp/x", true),
        ("/data/x", true),
    ] {
        assert_eq!(inside(lab, &["touch", path]).status.success(), may, "{path}");
    }
    let pid = docker(
        lab,
        &["inspect", "--format", "{{.State.Pid}}", &own(lab).unwrap()],
    );
    let files = said(
        &Command::new("find")
            .arg(format!("/proc/{pid}/root/"))
            .arg("-xdev")
            .output()
            .unwrap(),
    );
    assert!(files.contains("/www/index.html"), "{files}");
    assert_eq!(
        said(&inside(lab, &["cat", "/etc/resolv.conf"])),
        format!("nameserver {GATEWAY}\n"),
        "it asks another than the decky does"
    );
    for (what, content) in [
        ("environment", said(&inside(lab, &["cat", "/proc/1/environ"]))),
        ("control group", said(&inside(lab, &["cat", "/proc/1/cgroup"]))),
        ("host name", said(&inside(lab, &["hostname"]))),
        ("resolver", said(&inside(lab, &["cat", "/etc/resolv.conf"]))),
        ("files", files),
    ] {
        assert!(!content.trim().is_empty(), "its {what} could not be looked at");
        for word in ["decnet", "decky", "deckies", "honeypot", "decoy"] {
            assert!(
                !content.to_lowercase().contains(word),
                "its {what} says {word}: {content}"
            );
        }
    }
}
