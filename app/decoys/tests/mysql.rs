//! The mysql decoy with the real `mysql` client, and against a real mariadbd.
//!
//! Where client or server are not installed, what needs them says so and is skipped.
#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a panic is the report, and a skipped comparison is printed"
)]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use decnet_decoys::mysql::packet;
use decnet_persona::{Distro, PersonaSpec, Seed};
use support::start;

fn persona(distro: Distro) -> PersonaSpec {
    PersonaSpec {
        distro: Some(distro),
        ..PersonaSpec::new(Seed::from_bytes([7; 16]), "database-server")
    }
}

fn has_client() -> bool {
    let found = Command::new("mysql").arg("--version").output().is_ok();
    if !found {
        println!("skipped: the mysql client is not installed");
    }
    found
}

/// What the client prints for `sql`, errors included.
fn ask(address: SocketAddr, user: &str, password: &str, sql: &str) -> String {
    let out = Command::new("mysql")
        .args([
            "--no-defaults",
            "--batch",
            "--protocol=tcp",
            "--connect-timeout=10",
        ])
        .args(["-h", &address.ip().to_string(), "-P", &address.port().to_string()])
        .args(["-u", user, &format!("-p{password}"), "-e", sql])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    let errors: String = errors
        .lines()
        .filter(|l| l.starts_with("ERROR"))
        .collect::<String>()
        .replace(" at line 1", "");
    format!("{}{errors}", String::from_utf8_lossy(&out.stdout))
}

/// The first packet of a new connection.
fn greeting(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut header = [0; 4];
    stream.read_exact(&mut header).unwrap();
    let mut payload = vec![0; usize::from(header[0])];
    stream.read_exact(&mut payload).unwrap();
    payload
}

/// What comes back for `raw` as the first packet.
fn answer_to(address: SocketAddr, raw: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut header = [0; 4];
    stream.read_exact(&mut header).unwrap();
    let mut rest = vec![0; usize::from(header[0])];
    stream.read_exact(&mut rest).unwrap();
    stream.write_all(raw).unwrap();
    stream.read_exact(&mut header).unwrap();
    let mut payload = vec![0; usize::from(header[0])];
    stream.read_exact(&mut payload).unwrap();
    payload
}

/// A greeting without what differs between two servers: version, connection id and salt.
fn shape(greeting: &[u8]) -> (u8, Vec<u8>, Vec<u8>) {
    let nul = greeting.iter().position(|b| *b == 0).unwrap();
    let middle = greeting[nul + 13..nul + 32].to_vec();
    (greeting[0], middle, greeting[nul + 32 + 12..].to_vec())
}

struct Mariadb(Child);

impl Drop for Mariadb {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A real server in `folder` with a database `b`, a table `t` and an account that may read it.
fn mariadbd(folder: &Path) -> Option<(Mariadb, SocketAddr)> {
    let data = folder.join("data");
    let user = String::from_utf8_lossy(&Command::new("id").arg("-un").output().unwrap().stdout)
        .trim()
        .to_owned();
    let made = Command::new("mariadb-install-db")
        .args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ])
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--user={user}"))
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("skipped: mariadb-install-db is not installed or fails");
        return None;
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let socket = folder.join("s");
    let child = Command::new("mariadbd")
        .args([
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--character-set-server=utf8mb4",
        ])
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", socket.display()))
        .arg(format!("--pid-file={}", folder.join("pid").display()))
        .arg(format!("--port={}", address.port()))
        .arg(format!("--user={user}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = Mariadb(child);
    let sql = "create database b; create table b.t (id int primary key, v varchar(20)); insert into b.t values (1,'x'); \
               delete from mysql.global_priv where User=''; flush privileges; \
               create user r@localhost identified by 'p'; grant select on b.* to r@localhost;";
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let done = Command::new("mysql")
            .args(["--no-defaults", "-uroot", "-e", sql, "-S"])
            .arg(&socket)
            .output()
            .unwrap();
        if done.status.success() {
            return Some((child, address));
        }
        assert!(
            Instant::now() < until,
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn greeting_and_errors_are_those_of_a_real_mariadbd() {
    if !has_client() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some((_server, real)) = mariadbd(folder.path()) else {
        return;
    };
    let ours = start("mysql", persona(Distro::Debian12), &[("accept", "always")]);
    assert_eq!(shape(&greeting(real)), shape(&greeting(ours.address)));
    for raw in [
        &b"\x05\0\0\x01abcde"[..],
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x01\0\0\x01\x0e",
    ] {
        assert_eq!(answer_to(real, raw), answer_to(ours.address, raw), "{raw:?}");
    }
    let mut different = String::new();
    for sql in [
        "selec 1",
        "use nope",
        "create database q",
        "drop database b",
        "insert into b.t values (2,'y')",
        "update b.t set v='y'",
        "delete from b.t",
        "drop table b.t",
        "create table b.u (id int)",
        "select 1 into outfile '/tmp/x'",
        "create function f returns string soname 'x.so'",
        "select load_file('/etc/passwd')",
        "select * from mysql.user",
        "select @@nope",
        "shutdown",
        "select 1",
        "select 'a' as b, 2 c",
        "select user(), current_user()",
        "select database()",
        "select * from t",
        "kill 999999",
    ] {
        let (a, b) = (ask(real, "r", "p", sql), ask(ours.address, "r", "p", sql));
        if a != b {
            different.push_str(&format!("=== {sql}\n--- mariadbd\n{a}\n--- ours\n{b}\n"));
        }
    }
    assert!(different.is_empty(), "{different}");
}

#[test]
fn a_guessed_login_leads_to_bait_and_everything_is_reported() {
    if !has_client() {
        return;
    }
    let site = start("mysql", persona(Distro::Debian12), &[("accept", "after_2")]);
    let refused = ask(site.address, "root", "first", "select 1");
    assert_eq!(
        refused,
        "ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)"
    );
    let databases = ask(site.address, "root", "second", "show databases");
    let name = databases
        .lines()
        .find(|line| !matches!(*line, "Database" | "information_schema"))
        .unwrap()
        .to_owned();
    let tables = ask(
        site.address,
        "root",
        "second",
        &format!("show tables from {name}"),
    );
    let table = tables.lines().nth(1).unwrap().to_owned();
    let rows = ask(
        site.address,
        "root",
        "second",
        &format!("use {name}; select * from {table} limit 2"),
    );
    assert_eq!(rows.lines().count(), 3, "{rows}");
    let count = ask(
        site.address,
        "root",
        "second",
        &format!("select count(*) from {name}.{table}"),
    );
    assert!(count.lines().nth(1).unwrap().parse::<u32>().unwrap() >= 2);
    let columns = ask(
        site.address,
        "root",
        "second",
        &format!(
            "select column_name from information_schema.columns where table_schema='{name}' and table_name='{table}'"
        ),
    );
    assert!(columns.lines().count() > 1, "{columns}");
    assert!(
        ask(
            site.address,
            "root",
            "second",
            &format!("describe {name}.{table}")
        )
        .starts_with("Field\tType")
    );
    ask(
        site.address,
        "root",
        "second",
        "select 'x' into dumpfile '/usr/lib/mysql/plugin/u.so'",
    );
    site.lines
        .wait(&["auth_attempt", "principal=\"root\"", "$mysqlna$", "refused"]);
    site.lines
        .wait(&["auth_attempt", "mysql_native_password", "accepted"]);
    site.lines.wait(&["client_info", "_client_name"]);
    site.lines.wait(&["query", "show databases"]);
    site.lines.wait(&["exploit_attempt", "mysql-into-dumpfile"]);
}

#[test]
fn two_connections_never_see_the_same_salt() {
    let site = start("mysql", persona(Distro::Debian12), &[]);
    assert_ne!(greeting(site.address)[24..], greeting(site.address)[24..]);
}

#[test]
fn the_seeds_of_the_fuzzer_are_read_without_a_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/mysql_packet");
    let mut logins = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let raw = std::fs::read(entry.unwrap().path()).unwrap();
        logins += usize::from(packet::First::parse(&raw).is_some());
    }
    assert!(logins >= 2);
}
