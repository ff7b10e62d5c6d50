//! What an operator may say of a service: accounts of its own, and banners and versions that do not contradict the persona.

#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

#[path = "support/machine.rs"]
mod machine;

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use decnet_decoys::{
    catalogue,
    serve::{BuildError, Host},
};
use decnet_model::clock::SystemClock;
use decnet_persona::{Distro, Persona, PersonaSpec, ProductKind, Seed};
use machine::{BOUNDS, built, runtime, say};
use serde_json::Value;

/// A machine of `distro` that `fits`.
fn spec(distro: Distro, fits: impl Fn(&Persona) -> bool) -> PersonaSpec {
    (0..64)
        .map(|seed| PersonaSpec {
            distro: Some(distro),
            ..PersonaSpec::new(Seed::from_bytes([seed; 16]), "linux-server")
        })
        .find(|spec| fits(&Persona::derive(spec).unwrap()))
        .unwrap()
}

fn knobs(of: &[(&str, &str)]) -> BTreeMap<String, Value> {
    of.iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect()
}

/// What service `slug` answers to `words`, and its evidence.
fn answer(spec: &PersonaSpec, slug: &str, set: &[(&str, &str)], words: &str) -> (String, String) {
    let machine = built(spec, |host| {
        vec![catalogue::build(slug, &knobs(set), host).unwrap()]
    });
    let heard = runtime().block_on(async {
        let (io, session) = machine.visit(&machine.decoys[0], BOUNDS);
        tokio::join!(say(io, words.as_bytes().to_vec()), session).0
    });
    (String::from_utf8_lossy(&heard).into_owned(), machine.lines.text())
}

/// Whether service `slug` of the machine `spec` can be had so.
fn build(spec: &PersonaSpec, slug: &str, knob: &str, value: &str) -> Result<(), BuildError> {
    let persona = Persona::derive(spec).unwrap();
    let host = Arc::new(Host::new(persona, Arc::new(SystemClock)));
    catalogue::build(slug, &knobs(&[(knob, value)]), &host).map(drop)
}

#[test]
fn accounts_of_the_operator_sign_in_and_those_of_the_machine_do_not() {
    const ACCEPT: (&str, &str) = ("accept", "root:toor, editor:spring:24");
    let spec = spec(Distro::Debian12, |p| {
        p.product(ProductKind::Mail).name == "Postfix" && p.product(ProductKind::Web).name == "Apache"
    });
    let persona = Persona::derive(&spec).unwrap();
    let own = persona
        .users
        .iter()
        .find(|user| user.name != "root" && !user.shell.ends_with("nologin"))
        .unwrap();
    for (user, password, gets_in) in [
        ("root", "toor", true),
        ("editor", "spring:24", true),
        ("editor", "toor", false),
        (own.name.as_str(), own.password.as_str(), false),
    ] {
        let outcome = if gets_in { "accepted" } else { "refused" };
        let told = |slug: &str, lines: &str| {
            let mut attempts = lines.lines().filter(|line| line.contains(" auth_attempt "));
            assert!(
                attempts
                    .any(|line| line.contains(&format!("principal=\"{user}\"")) && line.contains(outcome)),
                "{slug} {user}: {lines}"
            );
        };

        // Where the package itself keeps root out, who names it lets it in.
        let (heard, lines) = answer(
            &spec,
            "ftp",
            &[ACCEPT],
            &format!("USER {user}\r\nPASS {password}\r\nQUIT\r\n"),
        );
        assert_eq!(heard.contains("\r\n230 "), gets_in, "{user}: {heard}");
        told("ftp", &lines);

        let plain = STANDARD.encode(format!("\0{user}\0{password}"));
        let (heard, lines) = answer(
            &spec,
            "smtp",
            &[ACCEPT],
            &format!("EHLO a.example\r\nAUTH PLAIN {plain}\r\nQUIT\r\n"),
        );
        assert_eq!(heard.contains("\r\n235 "), gets_in, "{user}: {heard}");
        told("smtp", &lines);

        let basic = STANDARD.encode(format!("{user}:{password}"));
        let (heard, lines) = answer(
            &spec,
            "http",
            &[ACCEPT, ("site", "tomcat")],
            &format!(
                "GET /manager/html HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Basic {basic}\r\n\r\n"
            ),
        );
        assert_eq!(heard.starts_with("HTTP/1.1 200"), gets_in, "{user}: {heard}");
        told("http", &lines);
    }
}

#[test]
fn a_redis_with_a_password_takes_that_of_the_operators_list_instead() {
    let spec = spec(Distro::Debian12, |_| true);
    let set = [("requirepass", "old"), ("accept", "default:new")];
    let (heard, lines) = answer(&spec, "redis", &set, "AUTH old\r\nAUTH new\r\nPING\r\n");
    assert!(
        heard.starts_with("-WRONGPASS ") && heard.ends_with("+OK\r\n+PONG\r\n"),
        "{heard}"
    );
    assert!(lines.contains("accepted") && lines.contains("refused"), "{lines}");
}

#[test]
fn banners_and_versions_that_contradict_the_persona_are_refused_with_the_reason_and_the_way_out() {
    let spec = spec(Distro::Debian12, |p| {
        p.product(ProductKind::Mail).name == "Postfix"
            && p.product(ProductKind::Web).name == "Apache"
            && p.product(ProductKind::Ftp).name == "vsFTPd"
    });
    for (slug, knob, value, why) in [
        (
            "ssh",
            "version",
            "SSH-2.0-dropbear_2020.81",
            "names dropbear, and the persona has OpenSSH",
        ),
        (
            "ssh",
            "version",
            "SSH-2.0-OpenSSH_9.2p1 Ubuntu-3ubuntu0.6",
            "names Ubuntu, and the persona runs Debian GNU/Linux 12",
        ),
        (
            "ssh",
            "version",
            "SSH-2.0-OpenSSH_7.4",
            "is of version 7.4, and the persona's OpenSSH is 9.2p1",
        ),
        (
            "ssh",
            "version",
            "SSH-2.0-Unheard_1.0",
            "does not begin with SSH-2.0-OpenSSH_",
        ),
        (
            "ssh",
            "version",
            "OpenSSH_9.2p1",
            "does not begin with SSH-2.0-OpenSSH_",
        ),
        (
            "redis",
            "version",
            "5.0.14",
            "is of version 5.0.14, and the persona's Redis is 7.0.15",
        ),
        ("redis", "version", "new", "three numbers"),
        (
            "http",
            "banner",
            "nginx/1.22.1",
            "names nginx, and the persona has Apache",
        ),
        ("http", "banner", "Apache/2.4.57 (Ubuntu)", "names Ubuntu"),
        ("http", "banner", "Apache\r\nX-Powered-By: me", "in one line"),
        (
            "smtp",
            "banner",
            "ESMTP Exim 4.96",
            "names Exim, and the persona has Postfix",
        ),
        ("mysql", "version", "8.0.36", "three numbers and -MariaDB"),
        (
            "mysql",
            "version",
            "5.5.68-MariaDB",
            "is of version 5.5.68, and the persona's MariaDB is 10.11",
        ),
        (
            "ftp",
            "banner",
            "ProFTPD 1.3.5 Server",
            "names ProFTPD, and the persona has vsFTPd",
        ),
    ] {
        let fault = build(&spec, slug, knob, value).unwrap_err().to_string();
        assert!(fault.contains(why), "{slug} {value}: {fault}");
        assert!(fault.starts_with(&format!("{slug}: {knob}: ")), "{fault}");
    }
    let fault = build(&spec, "redis", "version", "5.0.14").unwrap_err().problem;
    assert!(
        fault.contains("leave version out for \"7.0.15\"") && fault.contains("distro"),
        "{fault}"
    );
}

#[test]
fn banners_and_versions_that_fit_are_what_visitors_meet() {
    let spec = spec(Distro::Debian12, |p| {
        p.product(ProductKind::Mail).name == "Postfix"
            && p.product(ProductKind::Web).name == "Apache"
            && p.product(ProductKind::Ftp).name == "vsFTPd"
    });
    for (slug, knob, value, words, meets) in [
        (
            "ssh",
            "version",
            "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7",
            "\r\n",
            "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n",
        ),
        (
            "redis",
            "version",
            "7.0.11",
            "INFO server\r\n",
            "redis_version:7.0.11\r\n",
        ),
        (
            "http",
            "banner",
            "Apache",
            "GET /none HTTP/1.0\r\n\r\n",
            "\r\nServer: Apache\r\n",
        ),
        (
            "smtp",
            "banner",
            "ESMTP of the house",
            "QUIT\r\n",
            " ESMTP of the house\r\n",
        ),
        (
            "ftp",
            "banner",
            "Mirror of Ubuntu and Debian",
            "QUIT\r\n",
            "220 Mirror of Ubuntu and Debian\r\n",
        ),
        ("mysql", "version", "10.11.2-MariaDB-1", "", "10.11.2-MariaDB-1\0"),
    ] {
        let (heard, _) = answer(&spec, slug, &[(knob, value)], words);
        assert!(heard.contains(meets), "{slug}: {heard:?}");
    }
}
