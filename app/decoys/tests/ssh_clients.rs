//! The clients that scan and guess: nmap names what the persona claims, hydra finds the password, and every algorithm that
//! is offered works when OpenSSH's client chooses it. Where a client is missing the test says so and proves nothing.

#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use decnet_decoys::{
    config::DeckyConfig,
    serve::{runner::Decky, sink::Sink},
};
use decnet_model::clock::SystemClock;
use decnet_persona::{Distro, Persona, PersonaSpec, ProductKind, Seed};

mod support;

fn installed(programs: &[&str]) -> bool {
    for program in programs {
        if Command::new(program)
            .arg("-V")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_err()
        {
            decnet_testkit::skipped(&format!("{program} is not installed"));
            return false;
        }
    }
    true
}

/// A machine of `distro`, in the state that `seed` gives it.
fn spec(distro: Distro, seed: u8) -> PersonaSpec {
    PersonaSpec {
        distro: Some(distro),
        ..PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server")
    }
}

fn nmap(args: &[&str], ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let out = Command::new("nmap")
        .args(["-Pn", "-n", "-p", &ports.join(",")])
        .args(args)
        .arg("127.0.0.1")
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn nmap_names_the_program_and_the_version_of_every_persona() {
    if !installed(&["nmap"]) {
        return;
    }
    // One machine for each identification that there is.
    let mut machines = BTreeMap::new();
    for distro in Distro::ALL {
        for seed in 0..16 {
            let product = Persona::derive(&spec(*distro, seed))
                .unwrap()
                .product(ProductKind::Ssh);
            machines
                .entry(product.banner.clone())
                .or_insert((spec(*distro, seed), product));
        }
    }
    let sites: Vec<_> = machines
        .into_values()
        .map(|(spec, product)| (support::start("ssh", spec, &[]), product))
        .collect();
    let ports: Vec<u16> = sites.iter().map(|(site, _)| site.address.port()).collect();
    let report = nmap(&["-sV"], &ports);
    assert!(ports.len() > 20, "{}", ports.len());
    for (site, product) in &sites {
        let port = format!("{}/tcp", site.address.port());
        let line = report.lines().find(|line| line.starts_with(&port)).unwrap();
        let name = match product.name {
            "dropbear" => "Dropbear sshd",
            "Cisco" => "Cisco SSH",
            _ => "OpenSSH",
        };
        assert!(
            line.contains(" ssh ") && line.contains(name) && line.contains(&product.version),
            "{}: {line}",
            product.banner
        );
        println!(
            "{:45} {}",
            product.banner,
            line.split(" ssh ").nth(1).unwrap().trim()
        );
    }
}

#[test]
fn nmap_lists_the_algorithms_and_the_host_keys_that_it_asks_for() {
    if !installed(&["nmap"]) {
        return;
    }
    let site = support::start("ssh", spec(Distro::Debian12, 1), &[]);
    let scripts = "--script=ssh2-enum-algos,ssh-hostkey,ssh-auth-methods";
    let report = nmap(
        &["-sV", scripts, "--script-args=ssh.user=root,ssh_hostkey=full"],
        &[site.address.port()],
    );
    for words in [
        "server_host_key_algorithms: (4)",
        "encryption_algorithms: (6)",
        "chacha20-poly1305@openssh.com",
        "diffie-hellman-group18-sha512",
        "zlib@openssh.com",
        "ecdsa-sha2-nistp256 AAAA",
        "ssh-ed25519 AAAA",
        "publickey",
        "password",
    ] {
        assert!(report.contains(words), "{words:?} is not in\n{report}");
    }
    // It asks for the RSA key by its old signature, which OpenSSH gives up in 8.8.
    assert!(!report.contains("ssh-rsa AAAA"), "{report}");
    site.lines.wait(&["client_info", "SSH-2.0-Nmap"]);
}

#[test]
fn hydra_finds_the_password_that_wears_the_server_down() {
    if !installed(&["hydra"]) {
        return;
    }
    let knobs = [("accept", "after_4".into()), ("refusal_ms", 1.into())];
    let site = support::start_with("ssh", spec(Distro::Debian12, 1), &knobs);
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words");
    fs::write(&words, "alpha1\nbravo2\ncharlie3\ndelta4\necho5\n").unwrap();
    let out = Command::new("hydra")
        .args(["-I", "-t", "1", "-l", "root", "-P"])
        .arg(&words)
        .args(["-s", &site.address.port().to_string(), "ssh://127.0.0.1"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&out.stdout);
    let found = told.lines().find(|line| line.contains("login: root"));
    let found = found.unwrap_or_else(|| panic!("hydra found nothing:\n{told}"));
    let word = found.split("password: ").nth(1).unwrap().trim();
    assert_eq!(word, "delta4", "{told}");
    site.lines.wait(&["auth_attempt", "alpha1", "refused"]);
    site.lines.wait(&["auth_attempt", word, "accepted"]);
}

/// What `site` offers, by the option of OpenSSH's client that chooses it.
fn offered(site: &support::Site) -> BTreeMap<&'static str, Vec<String>> {
    let out = Command::new("ssh")
        .args([
            "-vv",
            "-F",
            "/dev/null",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ])
        .args([
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "KexAlgorithms=+diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1",
        ])
        .args([
            "-o",
            "HostKeyAlgorithms=+ssh-rsa",
            "-o",
            "Ciphers=+aes128-cbc",
            "-p",
        ])
        .args([&site.address.port().to_string(), "root@127.0.0.1", "true"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    let of_server = told
        .split("peer server KEXINIT proposal")
        .nth(1)
        .unwrap_or_else(|| panic!("{told}"));
    let list = |label: &str| -> Vec<String> {
        let line = of_server
            .lines()
            .find_map(|line| line.strip_prefix(&format!("debug2: {label}: ")));
        line.unwrap_or_else(|| panic!("no {label} in {told}"))
            .split(',')
            .map(str::to_owned)
            .collect()
    };
    BTreeMap::from([
        ("KexAlgorithms", list("KEX algorithms")),
        ("HostKeyAlgorithms", list("host key algorithms")),
        ("Ciphers", list("ciphers ctos")),
        ("MACs", list("MACs ctos")),
    ])
}

/// What OpenSSH's client has for one of its options: no marks of extensions, and no more what only old programs do.
fn known(option: &str) -> BTreeSet<String> {
    let out = Command::new("ssh").args(["-Q", option]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    text.lines().map(str::to_owned).collect()
}

/// A session of OpenSSH's client that runs `command` and ends well: what it printed, and what it says of itself.
fn session(site: &support::Site, options: &[&str], command: &str, input: &[u8]) -> (Vec<u8>, String) {
    let mut ssh = Command::new("sshpass");
    ssh.args(["-p", "letmein9", "ssh", "-v", "-F", "/dev/null"]);
    for option in [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "PubkeyAuthentication=no",
    ]
    .iter()
    .chain(options)
    {
        ssh.args(["-o", option]);
    }
    let mut child = ssh
        .args(["-p", &site.address.port().to_string(), "root@127.0.0.1", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let out = std::thread::scope(|scope| {
        // It answers while it is spoken to.
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{options:?} {command}: {told}");
    (out.stdout, told)
}

fn open_site(distro: Distro) -> support::Site {
    support::start_with("ssh", spec(distro, 1), &[("accept", "always".into())])
}

#[test]
fn a_command_runs_with_each_algorithm_that_the_client_has_too() {
    if !installed(&["ssh", "sshpass"]) {
        return;
    }
    let site = open_site(Distro::Debian12);
    let all = offered(&site);
    let jobs: Vec<(&str, &str)> = all
        .iter()
        .flat_map(|(option, names)| names.iter().map(|name| (*option, name.as_str())))
        .filter(|(option, name)| known(option).contains(*name))
        .collect();
    let next = Mutex::new(jobs.iter());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((option, name)) = { next.lock().unwrap().next() } {
                    // A MAC is used with ciphers that have none of their own.
                    let (chosen, cipher) = (format!("{option}={name}"), "Ciphers=aes256-ctr");
                    let options = [chosen.as_str(), cipher];
                    let options = if *option == "MACs" {
                        &options[..]
                    } else {
                        &options[..1]
                    };
                    let (out, told) = session(&site, options, "cat; uname -s", b"in\n");
                    assert_eq!(String::from_utf8_lossy(&out), "in\nLinux\n", "{told}");
                    assert!(told.contains(name), "{told}");
                }
            });
        }
    });
    println!("{} algorithms carry a command", jobs.len());
    assert!(jobs.len() > 28, "{jobs:?}");
}

#[test]
fn megabytes_pass_both_ways_while_keys_are_exchanged_again_and_again() {
    if !installed(&["ssh", "sshpass"]) {
        return;
    }
    const LEN: usize = 2_000_000;
    let site = open_site(Distro::Debian12);
    let noise: Vec<u8> = (0_u32..)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1])
        .take(LEN)
        .collect();
    for (cipher, mac, compresses, limit) in [
        ("chacha20-poly1305@openssh.com", "hmac-sha1", "no", "64K"),
        ("chacha20-poly1305@openssh.com", "hmac-sha1", "yes", "256K"),
        ("aes128-gcm@openssh.com", "hmac-sha1", "no", "256K"),
        ("aes128-ctr", "umac-64-etm@openssh.com", "no", "256K"),
        ("aes192-ctr", "umac-128@openssh.com", "yes", "256K"),
        ("aes256-ctr", "hmac-sha2-256", "no", "256K"),
    ] {
        let options: [&str; 5] = [
            // It is the quickest in a build without optimisation.
            "KexAlgorithms=curve25519-sha256",
            &format!("Ciphers={cipher}"),
            &format!("MACs={mac}"),
            &format!("Compression={compresses}"),
            &format!("RekeyLimit={limit}"),
        ];
        let command = format!("wc -c; head -c {LEN} /dev/zero");
        let (out, told) = session(&site, &options, &command, &noise);
        let (count, zeros) = out.split_at(out.iter().position(|b| *b == b'\n').unwrap() + 1);
        assert_eq!(String::from_utf8_lossy(count).trim(), LEN.to_string());
        assert!(
            zeros.len() == LEN && zeros.iter().all(|b| *b == 0),
            "{}",
            zeros.len()
        );
        let exchanges = told.matches("SSH2_MSG_NEWKEYS received").count();
        println!("{cipher:30} {mac:24} compression {compresses:3}: {exchanges} exchanges");
        assert!(exchanges > 10, "{told}");
    }
}

#[test]
fn long_files_arrive_whole_over_compressed_connections_whose_keys_change() {
    if !installed(&["ssh", "sshpass", "scp"]) {
        return;
    }
    let site = open_site(Distro::Debian12);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long");
    let content: Vec<u8> = (0_u32..800_000).flat_map(u32::to_le_bytes).collect();
    fs::write(&file, &content).unwrap();
    let back = folder.path().join("back");
    let copy = |way: &str, from: &str, to: &str| {
        let out = Command::new("sshpass")
            .args(["-p", "letmein9", "scp", way, "-C", "-F", "/dev/null"])
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ])
            .args(["-o", "PubkeyAuthentication=no", "-o", "RekeyLimit=256K"])
            .args(["-o", "KexAlgorithms=curve25519-sha256"])
            .args(["-P", &site.address.port().to_string(), from, to])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{way} {from} {to}: {told}");
    };
    // The old protocol, and SFTP.
    for (way, name, from) in [("-O", "old", 0), ("-s", "new", 1)] {
        copy(
            way,
            file.to_str().unwrap(),
            &format!("root@127.0.0.1:/tmp/{name}"),
        );
        let size = format!("size=\"{}\"", content.len());
        let line = site
            .lines
            .wait(&["file_captured", &format!("/tmp/{name}"), &size]);
        assert!(!line.contains("truncated=\"true\""), "{line}");
        // What the machine keeps whole comes back so.
        let short = folder.path().join("short");
        let part = &content[from..200_000];
        fs::write(&short, part).unwrap();
        fs::set_permissions(&short, fs::Permissions::from_mode(0o640)).unwrap();
        // With the time that it has, which is told beside it.
        let changed = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        let open = fs::File::options().write(true).open(&short).unwrap();
        open.set_modified(changed).unwrap();
        copy(
            &format!("{way}p"),
            short.to_str().unwrap(),
            &format!("root@127.0.0.1:/tmp/{name}.short"),
        );
        let path = format!("/tmp/{name}.short");
        site.lines.wait(&["file_captured", &path]);
        let told: Vec<serde_json::Value> = site
            .kept()
            .iter()
            .filter(|kept| kept.to_string_lossy().ends_with(".meta.json"))
            .map(|kept| serde_json::from_slice(&fs::read(kept).unwrap()).unwrap())
            .collect();
        let of_it = told
            .iter()
            .find(|of| of["original_path"] == path.as_str())
            .unwrap();
        assert_eq!(
            (&of_it["modified_at"], &of_it["mode"]),
            (&"2020-09-13T12:26:40Z".into(), &"0640".into()),
            "{path}"
        );
        copy(
            way,
            &format!("root@127.0.0.1:/tmp/{name}.short"),
            back.to_str().unwrap(),
        );
        assert!(fs::read(&back).unwrap() == part);
    }
}

struct AnyKey;

impl russh::client::Handler for AnyKey {
    type Error = russh::Error;
    async fn check_server_key(
        &mut self,
        _key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

#[test]
fn the_exchange_that_openssh_prefers_since_ten_works_with_another_client() {
    let knobs = [
        ("accept", "always".into()),
        ("version", "SSH-2.0-OpenSSH_10.0".into()),
    ];
    let site = support::start_with("ssh", spec(Distro::Arch, 1), &knobs);
    let preferred = russh::Preferred {
        kex: std::borrow::Cow::Borrowed(&[russh::kex::MLKEM768X25519_SHA256]),
        ..russh::Preferred::DEFAULT
    };
    let config = russh::client::Config {
        preferred,
        ..russh::client::Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(async {
        let mut session = russh::client::connect(config.into(), site.address, AnyKey)
            .await
            .unwrap();
        session.authenticate_password("root", "letmein9").await.unwrap()
    });
    assert!(answer.success());
}

#[test]
fn what_a_command_writes_to_both_streams_comes_in_the_order_in_which_it_was_written() {
    let site = open_site(Distro::Debian12);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let came = runtime.block_on(async {
        let config = russh::client::Config::default();
        let mut session = russh::client::connect(config.into(), site.address, AnyKey)
            .await
            .unwrap();
        session.authenticate_password("root", "letmein9").await.unwrap();
        let mut channel = session.channel_open_session().await.unwrap();
        channel.exec(true, "echo a; ls /nope; echo b").await.unwrap();
        let mut came = Vec::new();
        while let Some(message) = channel.wait().await {
            let (stream, data) = match message {
                russh::ChannelMsg::Data { data } => (1, data),
                russh::ChannelMsg::ExtendedData { data, ext: 1 } => (2, data),
                _ => continue,
            };
            came.push((stream, String::from_utf8_lossy(&data).into_owned()));
        }
        came
    });
    let refusal = "ls: cannot access '/nope': No such file or directory\n";
    let written = [(1, "a\n"), (2, refusal), (1, "b\n")];
    assert_eq!(came, written.map(|(stream, text)| (stream, text.to_owned())));
}

#[test]
fn every_algorithm_that_is_offered_works_when_it_is_chosen() {
    if !installed(&["ssh"]) {
        return;
    }
    // Between them they offer all that any persona does.
    let seeds = |distro: Distro| (0..16).map(move |seed| spec(distro, seed));
    let with = |distro: Distro, version: &str| {
        seeds(distro)
            .find(|spec| Persona::derive(spec).unwrap().product(ProductKind::Ssh).version == version)
            .unwrap()
    };
    let machines = [
        with(Distro::Debian12, "9.2p1"),
        with(Distro::WindowsServer, "7.7"),
        with(Distro::Firmware, "2018.76"),
        with(Distro::Ios, "1.25"),
    ];
    let mut tried = BTreeSet::new();
    for machine in machines {
        let site = support::start_with("ssh", machine, &[("refusal_ms", 1.into())]);
        let all = offered(&site);
        let jobs: Vec<(&str, String)> = all
            .iter()
            .flat_map(|(option, names)| names.iter().map(|name| (*option, name.clone())))
            .filter(|(option, name)| known(option).contains(name))
            .filter(|job| tried.insert(job.clone()))
            .collect();
        let next = Mutex::new(jobs.iter());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some((option, name)) = { next.lock().unwrap().next() } {
                        let mut ssh = Command::new("ssh");
                        ssh.args([
                            "-F",
                            "/dev/null",
                            "-o",
                            "BatchMode=yes",
                            "-o",
                            "StrictHostKeyChecking=no",
                        ]);
                        ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "RequiredRSASize=1024"]);
                        // The first value of an option counts. A MAC is used with ciphers that have none of their own.
                        ssh.args([
                            "-o",
                            &format!("{option}={name}"),
                            "-o",
                            "Ciphers=aes128-ctr,aes128-cbc",
                        ]);
                        ssh.args([
                            "-o",
                            "HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,ssh-rsa",
                        ]);
                        ssh.args([
                            "-o",
                            "KexAlgorithms=curve25519-sha256,diffie-hellman-group14-sha1",
                            "-p",
                        ]);
                        ssh.args([&site.address.port().to_string(), "root@127.0.0.1", "true"]);
                        let out = ssh.stdin(Stdio::null()).output().unwrap();
                        let told = String::from_utf8_lossy(&out.stderr);
                        // It got as far as to be refused: keys were exchanged, checked, and used.
                        assert!(told.contains("Permission denied"), "{option}={name}: {told}");
                    }
                });
            }
        });
    }
    println!("{} algorithms work", tried.len());
    assert!(tried.len() > 30, "{tried:?}");
}

#[test]
fn accounts_of_the_operator_sign_in_and_nobody_else_does() {
    let knobs = [("accept", "backup:spring, eva:".into()), ("refusal_ms", 1.into())];
    let machine = spec(Distro::Debian12, 1);
    let persona = Persona::derive(&machine).unwrap();
    let own = persona
        .users
        .iter()
        .find(|user| !user.shell.ends_with("nologin"))
        .unwrap();
    let site = support::start_with("ssh", machine, &knobs);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let signs_in = |user: &str, password: &str| {
        runtime.block_on(async {
            let config = russh::client::Config::default();
            let mut session = russh::client::connect(config.into(), site.address, AnyKey)
                .await
                .unwrap();
            session
                .authenticate_password(user, password)
                .await
                .unwrap()
                .success()
        })
    };
    assert!(signs_in("backup", "spring") && !signs_in("backup", "autumn"));
    assert!(!signs_in(&own.name, &own.password), "the machine's own");
    site.lines
        .wait(&["auth_attempt", "principal=\"backup\"", "spring", "accepted"]);
}

#[test]
fn what_many_sessions_wrote_is_kept_when_the_decky_stops_with_all_of_them_open() {
    const CONNECTIONS: usize = 10;
    // `MaxSessions`.
    const CHANNELS: usize = 10;
    let lines = support::Lines::default();
    let config: DeckyConfig = serde_json::from_value(serde_json::json!({
        "name": "decky-01",
        "persona": spec(Distro::Debian12, 1),
        "services": [{"slug": "ssh", "knobs": {"accept": "always"}, "listen": ["127.0.0.1:0"]}],
    }))
    .unwrap();
    let (told, listens) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let sink = Arc::new(Sink::to(lines.clone()));
    // As the decoy's process has it: one thread, and an end as soon as the decky has stopped.
    let process = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let decky = Decky::start(config, sink, Arc::new(SystemClock)).unwrap();
            told.send(decky.listening()[0].1).unwrap();
            stopped.await.unwrap();
            decky.stop(Duration::from_secs(60)).await;
        });
    });
    let address = listens.recv().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = runtime.block_on(async {
        let mut open = Vec::new();
        for connection in 0..CONNECTIONS {
            let config = Arc::new(russh::client::Config::default());
            let mut session = russh::client::connect(config, address, AnyKey).await.unwrap();
            session.authenticate_password("root", "letmein9").await.unwrap();
            for n in 0..CHANNELS {
                let mut channel = session.channel_open_session().await.unwrap();
                let command = format!("echo it > /tmp/left-{connection}-{n}; echo ready; cat");
                channel.exec(true, command).await.unwrap();
                while !matches!(channel.wait().await.unwrap(), russh::ChannelMsg::Data { .. }) {}
                open.push(channel);
            }
            assert!(session.channel_open_session().await.is_err(), "one too many");
        }
        open
    });
    stop.send(()).unwrap();
    process.join().unwrap();
    drop(open);
    let all = lines.all();
    let kept = all
        .lines()
        .filter(|line| line.contains("file_captured") && line.contains("/tmp/left-"))
        .count();
    assert_eq!(kept, CONNECTIONS * CHANNELS, "{all}");
}

#[test]
fn an_identification_that_is_cut_is_reported_once() {
    let site = support::start("ssh", spec(Distro::Debian12, 1), &[]);
    for said in [
        &b"SSH-2.0-cut_a"[..],
        b"SSH-2.0-x\r\n\0\0\x01\0cut_b",
        b"GET /cut_c HTTP/1.1\r\n",
    ] {
        let mut stream = TcpStream::connect(site.address).unwrap();
        stream.write_all(said).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
    }
    for cut in ["cut_a", "cut_b", "cut_c"] {
        let line = site.lines.wait(&["protocol_violation", cut]);
        let session = line
            .split("session=")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        site.lines.wait(&["disconnect", &session]);
        let all = site.lines.all();
        assert_eq!(all.matches(cut).count(), 1, "{all}");
    }
}
