//! The ftp decoy as ordinary clients and a guessing program find it: hydra, lftp, curl and nmap's scripts.
//!
//! Where one of them is not installed, what needs it says so and is skipped.
#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Output},
    time::Duration,
};

use decnet_decoys::ftp;
use decnet_persona::{Distro, Persona, PersonaSpec, ProductKind, Seed};
use support::{Site, start};

/// A machine of `distro` whose FTP server is vsftpd.
fn spec(distro: Distro) -> PersonaSpec {
    spec_of(distro, "vsFTPd")
}

/// A machine of `distro` whose FTP server is `product`.
fn spec_of(distro: Distro, product: &str) -> PersonaSpec {
    (0..=255)
        .map(|seed| PersonaSpec {
            distro: Some(distro),
            ..PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server")
        })
        .find(|spec| Persona::derive(spec).unwrap().product(ProductKind::Ftp).name == product)
        .unwrap()
}

/// A person of the machine who signs in: name and password.
fn person(spec: &PersonaSpec) -> (String, String) {
    let persona = Persona::derive(spec).unwrap();
    let user = persona
        .users
        .iter()
        .find(|u| u.uid >= 1000 && !u.shell.ends_with("nologin"))
        .unwrap();
    (user.name.clone(), user.password.clone())
}

/// What `program` answers; nothing, and a word about it, where it is not installed.
fn run(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(_) => {
            decnet_testkit::skipped(&format!("{program} is not installed"));
            None
        }
    }
}

/// The answers to these lines, one after the other.
fn talk(site: &Site, lines: &[&str]) -> Vec<String> {
    let stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut reader = BufReader::new(stream);
    let mut answers = Vec::new();
    for line in std::iter::once(&"").chain(lines) {
        if !line.is_empty() {
            write!(reader.get_mut(), "{line}\r\n").unwrap();
        }
        let mut answer = String::new();
        reader.read_line(&mut answer).unwrap();
        answers.push(answer.trim_end().to_owned());
    }
    answers
}

#[test]
fn root_is_kept_out_as_the_distributions_package_keeps_it_out() {
    for (distro, of_user, of_pass) in [
        (
            Distro::Debian12,
            "331 Please specify the password.",
            "530 Login incorrect.",
        ),
        (
            Distro::Rocky9,
            "530 Permission denied.",
            "503 Login with USER first.",
        ),
    ] {
        let spec = spec(distro);
        let root = Persona::derive(&spec)
            .unwrap()
            .user("root")
            .unwrap()
            .password
            .clone();
        let site = start("ftp", spec, &[]);
        let answers = talk(&site, &["USER root", &format!("PASS {root}")]);
        assert_eq!(&answers[1..], [of_user, of_pass], "{distro}");
        site.lines
            .wait(&["auth_attempt", "principal=\"root\"", "outcome=\"refused\""]);
        let code: String = of_user.chars().take(3).collect();
        let status = format!("status=\"{code}\"");
        site.lines
            .wait(&[" request ", "method=\"USER\"", "path=\"root\"", &status]);
        let all = site.lines.all();
        assert!(!all.contains(" command "), "{distro}: nobody is in yet: {all}");
    }
}

#[test]
fn commands_are_those_of_who_is_logged_in() {
    let site = start("ftp", spec(Distro::Debian12), &[]);
    talk(
        &site,
        &[
            "SYST",
            "USER anonymous",
            "PASS a@b.example",
            "CWD pub of all",
            "NOOP",
        ],
    );
    site.lines.wait(&[" command ", "NOOP", "user=\"anonymous\""]);
    let all = site.lines.all();
    let of = |kind: &str| all.lines().filter(|line| line.contains(kind)).collect::<Vec<_>>();
    let (commands, requests) = (of(" command "), of(" request "));
    assert!(
        commands.len() >= 2 && commands[0].contains("CWD pub of all") && commands[1].contains("NOOP"),
        "{commands:?}"
    );
    assert!(
        requests.len() == 2
            && requests[0].contains("method=\"SYST\"")
            && requests[0].contains("status=\"530\"")
            && requests[1].contains("method=\"USER\"")
            && requests[1].contains("status=\"331\""),
        "{requests:?}"
    );
}

#[test]
fn what_is_said_at_the_door_is_recorded_before_it_is_answered() {
    for product in ["vsFTPd", "ProFTPD"] {
        let site = start("ftp", spec_of(Distro::Debian12, product), &[]);
        let mut door = BufReader::new(TcpStream::connect(site.address).unwrap());
        door.get_ref()
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut answer = String::new();
        door.read_line(&mut answer).unwrap();
        // After the last of them nothing comes: the server waits for a handshake.
        for (word, arg, code) in [("USER", "somebody", "331"), ("AUTH", "TLS", "234")] {
            write!(door.get_mut(), "{word} {arg}\r\n").unwrap();
            answer.clear();
            door.read_line(&mut answer).unwrap();
            assert!(answer.starts_with(code), "{product}: {answer}");
            let told = site.lines.all();
            let words = [
                " request ".to_owned(),
                format!("method=\"{word}\""),
                format!("path=\"{arg}\""),
                format!("status=\"{code}\""),
            ];
            let is_it = |line: &str| words.iter().all(|part| line.contains(part));
            assert_eq!(
                told.lines().filter(|line| is_it(line)).count(),
                1,
                "{product}: {told}"
            );
        }
    }
}

#[test]
fn the_account_that_is_told_to_a_newcomer_gets_in() {
    for (distro, product) in [
        (Distro::Debian12, "vsFTPd"),
        (Distro::Debian12, "ProFTPD"),
        (Distro::Rocky9, "vsFTPd"),
        (Distro::Alpine, "vsFTPd"),
    ] {
        let spec = spec_of(distro, product);
        let persona = Persona::derive(&spec).unwrap();
        let user = ftp::account(&persona).unwrap();
        let site = start("ftp", spec, &[]);
        let answers = talk(
            &site,
            &[
                format!("USER {}", user.name).as_str(),
                format!("PASS {}", user.password).as_str(),
            ],
        );
        assert!(answers[2].starts_with("230"), "{distro} {product}: {answers:?}");
    }
}

#[test]
fn hydra_finds_the_password_that_there_is_and_no_other() {
    let spec = spec(Distro::Debian12);
    let (name, password) = person(&spec);
    let site = start("ftp", spec, &[]);
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("words");
    std::fs::write(&list, format!("123456\nletmein\n{password}\n")).unwrap();
    let port = site.address.port().to_string();
    let args = [
        "-I",
        "-l",
        &name,
        "-P",
        list.to_str().unwrap(),
        "-s",
        &port,
        "-t",
        "2",
        "-f",
        "127.0.0.1",
        "ftp",
    ];
    let Some(output) = run("hydra", &args) else { return };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = format!("login: {name}   password: {password}");
    assert!(
        told.contains(&found),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(told.contains("1 valid password found"), "{told}");
    site.lines
        .wait(&["auth_attempt", "123456", "outcome=\"refused\""]);
}

#[test]
fn what_curl_uploads_a_later_curl_finds_and_lftp_mirrors() {
    let spec = spec(Distro::Debian12);
    let (name, password) = person(&spec);
    let home = Persona::derive(&spec).unwrap().user(&name).unwrap().home.clone();
    let site = start("ftp", spec, &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tool.sh");
    std::fs::write(&file, "#!/bin/sh\nid\n").unwrap();
    let url = format!("ftp://127.0.0.1:{}/tool.sh", site.address.port());
    let account = format!("{name}:{password}");
    let Some(output) = run(
        "curl",
        &["-sS", "-T", file.to_str().unwrap(), "-u", &account, &url],
    ) else {
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    site.lines.wait(&["file_captured", "tool.sh"]);
    let again = run("curl", &["-sS", "-u", &account, &url]).unwrap();
    assert_eq!(String::from_utf8_lossy(&again.stdout), "#!/bin/sh\nid\n");
    let listed = run("curl", &["-sS", "-u", &account, url.trim_end_matches("tool.sh")]).unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed
            .lines()
            .any(|l| l.starts_with("-rw") && l.ends_with(" tool.sh")),
        "{listed}"
    );
    let place = folder.path().join("mirrored");
    let script = format!(
        "set net:max-retries 1; set ftp:ssl-allow no; open -u {name},{password} -p {} 127.0.0.1; mirror {home} {}; put {} -o other.sh; cat other.sh; rm tool.sh; cls -1; bye",
        site.address.port(),
        place.display(),
        file.display()
    );
    let Some(output) = run("lftp", &["-c", &script]) else {
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        std::fs::read_to_string(place.join("tool.sh")).unwrap(),
        "#!/bin/sh\nid\n"
    );
    assert!(
        told.contains("#!/bin/sh\nid\n") && told.contains("other.sh"),
        "{told}"
    );
    let gone = run("curl", &["-sS", "-u", &account, &url]).unwrap();
    assert!(!gone.status.success());
}

#[test]
fn what_curl_uploads_in_active_mode_is_captured_listed_and_fetched_so() {
    for product in ["vsFTPd", "ProFTPD"] {
        let spec = spec_of(Distro::Debian12, product);
        let (name, password) = person(&spec);
        let site = support::start_with("ftp", spec, &[("active", true.into())]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tool.sh");
        std::fs::write(&file, "#!/bin/sh\nid\n").unwrap();
        let folder_url = format!("ftp://127.0.0.1:{}/", site.address.port());
        let (url, account) = (format!("{folder_url}tool.sh"), format!("{name}:{password}"));
        let actively = |more: &[&str]| -> Option<String> {
            let args = [&["-sS", "--ftp-port", "-", "-u", account.as_str()][..], more].concat();
            let output = run("curl", &args)?;
            let fault = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{product}: {fault}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let Some(_) = actively(&["-T", file.to_str().unwrap(), &url]) else {
            return;
        };
        site.lines.wait(&["file_captured", "tool.sh", "via=\"stor\""]);
        assert_eq!(actively(&[&url]).unwrap(), "#!/bin/sh\nid\n", "{product}");
        let listed = actively(&[&folder_url]).unwrap();
        assert!(
            listed
                .lines()
                .any(|l| l.starts_with("-rw") && l.ends_with(" tool.sh")),
            "{product}: {listed}"
        );
        site.lines.wait(&["command", "EPRT |1|127.0.0.1|"]);
    }
}

#[test]
fn active_mode_reaches_the_visitor_where_it_listens_and_nobody_else() {
    for (product, refused, illegal) in [
        (
            "vsFTPd",
            "425 Failed to establish connection.",
            "500 Illegal PORT command.",
        ),
        (
            "ProFTPD",
            "425 Unable to build data connection: Connection refused",
            "500 Illegal PORT command",
        ),
    ] {
        let site = support::start_with(
            "ftp",
            spec_of(Distro::Debian12, product),
            &[("active", true.into())],
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let [high, low] = listener.local_addr().unwrap().port().to_be_bytes();
        let port = |address: &str| format!("PORT {address},{high},{low}");
        let heard = std::thread::spawn(move || {
            let (mut data, from) = listener.accept().unwrap();
            let mut heard = String::new();
            data.read_to_string(&mut heard).unwrap();
            (heard, from.ip())
        });
        let login = ["USER anonymous", "PASS a@b.example"];
        let own = port("127,0,0,1");
        let answers = talk(&site, &[&login[..], &[own.as_str(), "LIST", "NOOP"]].concat());
        assert!(
            answers[3].starts_with("200 ")
                && answers[4].starts_with("150 ")
                && answers[5].starts_with("226 "),
            "{product}: {answers:?}"
        );
        let (listing, from) = heard.join().unwrap();
        assert!(listing.contains("drwx"), "{product}: {listing}");
        assert_eq!(
            from,
            site.address.ip(),
            "it comes from the address that was reached"
        );

        // Nobody listens there any more; and once it has failed, it is to be asked for again.
        let answers = talk(&site, &[&login[..], &[own.as_str(), "LIST", "NOOP"]].concat());
        assert_eq!(answers[4], refused, "{product}");
        assert!(answers[5].starts_with("200 "), "{product}: {answers:?}");

        for other in [port("127,0,0,2"), "PORT 127,0,0,1,3,255".to_owned()] {
            let answers = talk(&site, &[&login[..], &[other.as_str()]].concat());
            assert_eq!(answers[3], illegal, "{product}: {other}");
        }
        site.lines
            .wait(&["forward_refused", "via=\"PORT\"", "127.0.0.2:"]);
        site.lines
            .wait(&["forward_refused", "via=\"PORT\"", "127.0.0.1:1023"]);
    }
}

#[test]
fn active_mode_fails_as_behind_a_firewall_where_no_operator_allows_it() {
    let spec = spec(Distro::Debian12);
    let site = start("ftp", spec, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let [high, low] = listener.local_addr().unwrap().port().to_be_bytes();
    let port = format!("PORT 127,0,0,1,{high},{low}");
    let answers = talk(
        &site,
        &["USER anonymous", "PASS a@b.example", port.as_str(), "LIST"],
    );
    assert_eq!(answers[4], "425 Failed to establish connection.");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody has come");
}

#[test]
fn nmaps_scripts_are_answered_as_by_a_vsftpd() {
    let site = start("ftp", spec(Distro::Debian12), &[]);
    let port = site.address.port().to_string();
    let args = [
        "-n",
        "-Pn",
        "-sT",
        "-sV",
        "--script",
        "ftp-anon,ftp-syst,ftp-bounce",
        "-p",
        &port,
        "127.0.0.1",
    ];
    let Some(output) = run("nmap", &args) else { return };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "vsftpd 3.0.3",
        "ftp-anon: Anonymous FTP login allowed (FTP code 230)",
        "vsFTPd 3.0.3 - secure, fast, stable",
        "TYPE: ASCII",
        "Control connection is plain text",
    ] {
        assert!(told.contains(part), "no {part} in:\n{told}");
    }
    assert!(!told.contains("bounce working"), "{told}");
}
