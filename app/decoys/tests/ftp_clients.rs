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
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
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
