//! The mysql decoy with the real `mysql` client, and against a real mariadbd.
//!
//! Where client or server are not installed, what needs them says so and is skipped.
#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use decnet_control::{Product, Words};
use decnet_decoys::mysql::packet;
use decnet_persona::{Distro, Persona, PersonaSpec, Seed};
use sha1::{Digest as _, Sha1};
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
        decnet_testkit::skipped("the mysql client is not installed");
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

#[test]
fn greeting_and_errors_are_those_of_a_real_mariadbd() {
    if !has_client() {
        return;
    }
    let Some(server) = support::control(Product::MariaDb, "", Words::default()) else {
        return;
    };
    let real = server.address();
    let ours = start("mysql", persona(Distro::Debian12), &[("accept", "always")]);
    assert_eq!(shape(&greeting(real)), shape(&greeting(ours.address)));
    for raw in [
        &b"\x05\0\0\x01abcde"[..],
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x01\0\0\x01\x0e",
    ] {
        assert_eq!(answer_to(real, raw), answer_to(ours.address, raw), "{raw:?}");
    }
}

/// What the client tells of the columns of these settings: the type, and of numbers the length, the decimal places and the flags.
fn columns(address: SocketAddr, settings: &[&str]) -> Vec<String> {
    let list: Vec<String> = settings.iter().map(|name| format!("@@{name}")).collect();
    let out = Command::new("mysql")
        .args(["--no-defaults", "--table", "--column-type-info", "--protocol=tcp"])
        .args(["-h", &address.ip().to_string(), "-P", &address.port().to_string()])
        .args(["-ur", "-pp", "-e", &format!("select {}", list.join(", "))])
        .output()
        .unwrap();
    let (told, errors) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    assert!(out.status.success(), "{errors}");
    let mut columns: Vec<String> = Vec::new();
    for line in told.lines() {
        let (name, value) = line.split_once(':').unwrap_or_default();
        match (name, value.trim(), columns.last_mut()) {
            (field, name, _) if field.starts_with("Field ") => columns.push(name.to_owned()),
            // Those that are NULL are texts that are not there.
            ("Type", "VAR_STRING" | "NULL", Some(column)) => column.push_str(" text"),
            ("Type", number, Some(column)) => column.push_str(&format!(" {number}")),
            ("Length" | "Decimals" | "Flags", value, Some(column)) if !column.ends_with(" text") => {
                column.push_str(&format!(" {value}"));
            }
            _ => {}
        }
    }
    columns
}

#[test]
fn every_setting_is_described_as_by_a_real_mariadbd() {
    if !has_client() {
        return;
    }
    let Some(server) = support::control(Product::MariaDb, "10.11.", Words::default()) else {
        return;
    };
    let real = server.address();
    let ours = start("mysql", persona(Distro::Debian12), &[("accept", "always")]);
    let shown = [real, ours.address].map(|address| ask(address, "r", "p", "show variables"));
    let [of_real, of_ours] = shown.each_ref().map(|shown| {
        let lines = shown.lines().skip(1);
        lines
            .filter_map(|line| line.split('\t').next())
            .collect::<BTreeSet<_>>()
    });
    let names: Vec<&str> = of_real.intersection(&of_ours).copied().collect();
    assert!(names.len() > 600, "{}", names.len());
    for some in names.chunks(100) {
        let described = columns(ours.address, some);
        assert_eq!(described.len(), some.len());
        assert_eq!(described, columns(real, some));
    }
}

/// One statement a line; `DB` stands for the database of bait.
const STATEMENTS: &str = include_str!("data/mariadb-10.11.statements");

#[test]
fn a_dump_of_the_bait_goes_into_a_real_server_which_then_answers_every_statement_alike() {
    if !has_client() {
        return;
    }
    // A release whose wording is that of the control.
    let specs = (0..64).map(|n| PersonaSpec {
        seed: Seed::from_bytes([n; 16]),
        ..persona(Distro::Debian12)
    });
    let recent = |spec: &PersonaSpec| Persona::derive(spec).unwrap().sql_product().version == "10.11.11";
    let spec = specs.into_iter().find(recent).unwrap();
    let who = Persona::derive(&spec).unwrap();
    let version = who.sql_product().banner;
    let words = Words {
        version: &version,
        ..Words::default()
    };
    let Some(server) = support::control(Product::MariaDb, "", words) else {
        return;
    };
    let real = server.address();
    let ours = start("mysql", spec, &[("accept", "always")]);
    let databases = ask(ours.address, "r", "p", "show databases");
    let names: Vec<&str> = databases
        .lines()
        .filter(|l| !matches!(*l, "Database" | "information_schema"))
        .collect();
    let first = dump(ours.address, &names);
    let socket = server.folder().join("s");
    let import = |sql: &[u8]| {
        let mut client = Command::new("mysql")
            .args(["--no-defaults", "-uroot", "-S"])
            .arg(&socket)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        client.stdin.take().unwrap().write_all(sql).unwrap();
        assert!(client.wait().unwrap().success());
    };
    import(&first);
    for name in &names {
        import(
            format!("grant select, lock tables on {name}.* to r@localhost; analyze table {name}.users")
                .as_bytes(),
        );
    }
    import(b"drop database b; revoke all on b.* from r@localhost");
    // What the real server dumps again is what it was given.
    let told = |dump: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(dump);
        text.lines()
            .filter(|l| !l.starts_with("-- "))
            .map(str::to_owned)
            .collect()
    };
    let (ours_told, real_told) = (told(&first), told(&dump(real, &names)));
    for (ours, real) in ours_told.iter().zip(&real_told) {
        assert_eq!(ours, real);
    }
    assert_eq!(ours_told.len(), real_told.len());

    let database = *names.first().unwrap();
    let mut different = String::new();
    let mut count = 0;
    for line in STATEMENTS.lines() {
        let sql = line.replace("DB", database);
        let mut told = [ask(real, "r", "p", &sql), ask(ours.address, "r", "p", &sql)];
        for text in &mut told {
            *text = text
                .replace(&format!(":{}", real.port()), ":port")
                .replace(&format!("{}\n", real.port()), "3306\n");
        }
        let [a, b] = told.map(|text| settled(&sql, &text));
        if a != b {
            count += 1;
            different.push_str(&format!("=== {sql}\n--- mariadbd\n{a}\n--- ours\n{b}\n"));
        }
    }
    drop(server);
    assert!(
        different.is_empty(),
        "{count} of {} differ:\n{different}",
        STATEMENTS.lines().count()
    );
}

/// What differs between two servers of the same version: numbers of connections, the ports of the clients, hashes of passwords.
fn settled(sql: &str, text: &str) -> String {
    if let Some((before, after)) = text.split_once("PASSWORD '*") {
        return format!("{before}…{}", after.get(40..).unwrap());
    }
    if !sql.contains("processlist") {
        return text.to_owned();
    }
    let lines = text.lines().skip(1).map(|line| {
        let cells = line.split('\t').enumerate();
        cells
            .map(|(i, cell)| if matches!(i, 0 | 2) { "#" } else { cell })
            .collect::<Vec<_>>()
            .join("\t")
    });
    lines.collect()
}

/// What mysqldump makes of `databases`.
fn dump(address: SocketAddr, databases: &[&str]) -> Vec<u8> {
    let out = Command::new("mysqldump")
        .args(["--no-defaults", "--protocol=tcp", "--skip-dump-date"])
        .args(["-h", &address.ip().to_string(), "-P", &address.port().to_string()])
        .args(["-ur", "-pp", "--databases"])
        .args(databases)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
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
    for (condition, all) in [
        ("1=2 or (1=1 and not 1=2)", true),
        ("1 = 1 || 1 = 2", true),
        ("1=1 and 1=2 or 1=3", false),
        ("1 in (2, 3) or null is not null", false),
        ("0", false),
    ] {
        let sql = format!("select count(*) from {name}.{table} where {condition}");
        let found = ask(site.address, "root", "second", &sql);
        let found = found.lines().nth(1).unwrap_or(&found);
        let expected = if all { count.lines().nth(1).unwrap() } else { "0" };
        assert_eq!(found, expected, "{condition}");
    }
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

/// The payload of the next packet.
fn next_packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).unwrap();
    let mut payload = vec![0; usize::from(header[0]) + usize::from(header[1]) * 256];
    stream.read_exact(&mut payload).unwrap();
    payload
}

fn say(stream: &mut TcpStream, number: u8, payload: &[u8]) {
    let len = u8::try_from(payload.len()).unwrap();
    stream
        .write_all(&[&[len, 0, 0, number][..], payload].concat())
        .unwrap();
}

#[test]
fn a_prepared_statement_is_answered_by_type_and_reported_with_its_values() {
    let site = start("mysql", persona(Distro::Debian12), &[("accept", "always")]);
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    next_packet(&mut stream);
    let capabilities = packet::PROTOCOL_41 | packet::SECURE_CONNECTION | packet::PLUGIN_AUTH;
    let login = [
        &capabilities.to_le_bytes()[..],
        &[0; 28],
        b"root\0\x14",
        &[7; 20],
        b"mysql_native_password\0",
    ]
    .concat();
    say(&mut stream, 1, &login);
    assert_eq!(next_packet(&mut stream)[0], 0);
    say(&mut stream, 0, b"\x16SELECT ?, 'x', ?");
    let prepared = next_packet(&mut stream);
    assert_eq!(prepared, [0, 1, 0, 0, 0, 3, 0, 2, 0, 0, 0, 0]);
    // Two marks and three columns, each with an end.
    for _ in 0..2 + 1 + 3 + 1 {
        next_packet(&mut stream);
    }
    let values = [
        &b"\x17\x01\0\0\0\0\x01\0\0\0\x02\x01\x08\0\x06\0"[..],
        &5_i64.to_le_bytes(),
    ]
    .concat();
    say(&mut stream, 0, &values);
    assert_eq!(next_packet(&mut stream), [3]);
    for _ in 0..3 + 1 {
        next_packet(&mut stream);
    }
    assert_eq!(
        next_packet(&mut stream),
        [0, 0b1_0000, 5, 0, 0, 0, 0, 0, 0, 0, 1, b'x']
    );
    assert_eq!(next_packet(&mut stream)[0], 0xfe);
    site.lines.wait(&["query", "SELECT 5, 'x', NULL"]);
    // Closing has no answer; what is closed is unknown.
    say(&mut stream, 0, b"\x19\x01\0\0\0");
    say(&mut stream, 0, b"\x17\x01\0\0\0\0\x01\0\0\0");
    let unknown = next_packet(&mut stream);
    assert_eq!(unknown[..3], [0xff, 0xdb, 0x04]);
}

/// A connection that `r` has signed in on with the password `p`, or would have.
struct Wire {
    stream: TcpStream,
    salt: Vec<u8>,
}

impl Wire {
    fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let greeting = next_packet(&mut stream);
        let at = greeting.iter().position(|b| *b == 0).unwrap() + 5;
        let salt = [&greeting[at..at + 8], &greeting[at + 27..at + 39]].concat();
        let mut wire = Self { stream, salt };
        let capabilities = packet::PROTOCOL_41 | packet::SECURE_CONNECTION | packet::PLUGIN_AUTH;
        let login = [
            &capabilities.to_le_bytes()[..],
            &[0, 0, 0, 0, 45],
            &[0; 23],
            b"r\0\x14",
            &wire.proof("p"),
            b"mysql_native_password\0",
        ]
        .concat();
        say(&mut wire.stream, 1, &login);
        assert_eq!(next_packet(&mut wire.stream)[0], 0);
        wire
    }

    /// The response to the challenge.
    fn proof(&self, password: &str) -> Vec<u8> {
        let once = Sha1::digest(password);
        let mask = Sha1::digest([&self.salt[..], &Sha1::digest(once)].concat());
        once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
    }

    /// The answer to a command: one packet.
    fn ask(&mut self, command: &[u8]) -> Vec<u8> {
        say(&mut self.stream, 0, command);
        next_packet(&mut self.stream)
    }

    /// The packets of an answer up to its second end: columns, and rows.
    fn rows(&mut self, command: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = vec![self.ask(command)];
        let mut ends = 0;
        while ends < 2 && packets[0][0] != 0xff {
            packets.push(next_packet(&mut self.stream));
            ends += u8::from(packets.last().unwrap()[0] == 0xfe);
        }
        packets
    }

    /// Become `user`, or try to: the challenge, where there is one, and what comes of it.
    fn change_user(&mut self, user: &str, password: &str, database: &str) -> (bool, Vec<u8>) {
        let wanted = [
            b"\x11",
            user.as_bytes(),
            b"\0\x14",
            &[9; 20],
            database.as_bytes(),
            b"\0\x2d\0mysql_native_password\0",
        ]
        .concat();
        let first = self.ask(&wanted);
        let Some(challenge) = first.strip_prefix(b"\xfemysql_native_password\0") else {
            return (false, first);
        };
        // The one of the handshake, again.
        assert_eq!(challenge, [&self.salt[..], b"\0"].concat());
        let proof = self.proof(password);
        say(&mut self.stream, 2, &proof);
        (true, next_packet(&mut self.stream))
    }

    fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }
}

/// What a server says to all that a client can send beside statements.
fn told_of_commands(address: SocketAddr) -> Vec<(String, String)> {
    let mut told = Vec::new();
    let mut note = |what: String, answer: &[u8]| told.push((what, answer.escape_ascii().to_string()));
    let mut wire = Wire::open(address);
    for command in (0..=255_u8).filter(|c| {
        !matches!(
            c,
            0x01 | 0x03 | 0x04 | 0x09 | 0x0a | 0x0c | 0x11 | 0x18..=0x1a | 0x1c
        )
    }) {
        note(format!("{command:#x}"), &wire.ask(&[command]));
    }
    for command in [
        &b"\x05b"[..],
        b"\x07\x01",
        b"\x08\0",
        b"\x0c\xff\xff\xff\x7f",
        b"\x12\x04\0\0\0\0\0\x01\0\0\0bin.1",
        b"\x15\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x1a\x07\0\0\0",
        b"\x1b\x01\0",
        b"\x1b\x09\0",
        b"\x1c\x07\0\0\0\x01\0\0\0",
    ] {
        note(format!("{command:?}"), &wire.ask(command));
    }
    // Of the list of processes the columns, all but how wide they are.
    for column in wire
        .rows(b"\x0a")
        .iter()
        .take_while(|packet| packet[0] != 0xfe)
        .skip(1)
    {
        note(
            "a column of the processes".to_owned(),
            &column[..column.len() - 12],
        );
    }
    // Long data: for a statement that there is not, for one, for a value that it has not, and what a reset and an end do to them.
    say(&mut wire.stream, 0, b"\x18\x63\0\0\0\0\0nobody's");
    let prepared = wire.ask(b"\x16select ?, ?");
    let id = prepared[1..5].to_vec();
    for _ in 0..2 + 1 + 2 + 1 {
        next_packet(&mut wire.stream);
    }
    let to = |command: u8, rest: &[u8]| [&[command], &id[..], rest].concat();
    let blobs = to(0x17, b"\0\x01\0\0\0\x03\x01\xfc\0\xfc\0");
    for (parts, then) in [
        (&[&b"\0\0hello "[..], b"\0\0world", b"\x01\0abc"][..], &blobs[..]),
        (&[], &blobs),
        (&[b"\x01\0abc"], &to(0x17, b"\0\x01\0\0\0\x01\x01\xfc\0\x03\0")),
        (&[b"\x07\0abc"], &blobs),
        (&[], &blobs),
        (&[b"\0\0abc"], &to(0x1a, b"")),
        (&[], &blobs),
        (&[], &to(0x1c, b"\x01\0\0\0")),
    ] {
        for part in parts {
            say(&mut wire.stream, 0, &to(0x18, part));
        }
        let answer = if then[0] == 0x17 {
            wire.rows(then)
        } else {
            vec![wire.ask(then)]
        };
        // Columns of values are described by what the values are; the rows count.
        let row = answer.len().checked_sub(2).map_or(&answer[0], |at| &answer[at]);
        note(format!("{parts:?} {then:?}"), row);
    }
    note("reset".to_owned(), &wire.ask(b"\x1f"));
    note("of before the reset".to_owned(), &wire.ask(&to(0x1a, b"")));
    let own = wire.rows(b"\x03select connection_id()");
    let number: u32 = String::from_utf8_lossy(&own[3][1..]).parse().unwrap();
    note(
        "kill".to_owned(),
        &wire.ask(&[b"\x0c", &number.to_le_bytes()[..]].concat()),
    );
    note("closed".to_owned(), wire.is_closed().to_string().as_bytes());
    told
}

#[test]
fn every_command_of_the_protocol_is_answered_as_by_a_real_mariadbd() {
    let Some(server) = support::control(Product::MariaDb, "10.11.", Words::default()) else {
        return;
    };
    let ours = start("mysql", persona(Distro::Debian12), &[("accept", "r:p")]);
    let [theirs, told] = [server.address(), ours.address].map(told_of_commands);
    for (real, decoy) in theirs.iter().zip(&told) {
        assert_eq!(real, decoy);
    }
    assert_eq!(theirs.len(), told.len());
}

#[test]
fn who_wants_to_be_another_user_is_held_up_and_refused_as_by_a_real_mariadbd() {
    let Some(server) = support::control(Product::MariaDb, "10.11.", Words::default()) else {
        return;
    };
    let site = start("mysql", persona(Distro::Debian12), &[("accept", "r:p")]);
    let [theirs, ours] = [server.address(), site.address].map(|address| {
        let mut told = Vec::new();
        let mut wire = Wire::open(address);
        for (user, password, database) in [
            ("r", "p", ""),
            ("root", "canary-1", ""),
            ("r", "p", "nowhere"),
            ("r", "p", ""),
            ("nobody", "canary-2", ""),
            // The fourth is not looked at, were it right.
            ("r", "p", ""),
        ] {
            told.push(wire.change_user(user, password, database));
        }
        told.push((false, wire.ask(b"\x0e")));
        // Malformed ones count, too.
        let mut wire = Wire::open(address);
        for command in [
            &b"\x11r"[..],
            b"\x11r\0\x14abc",
            b"\x11r\0\0\0",
            b"\x11r\0\0\0\x2d\0",
        ] {
            told.push((false, wire.ask(command)));
        }
        told
    });
    assert_eq!(theirs, ours);
    site.lines
        .wait(&["auth_attempt", "principal=\"root\"", "$mysqlna$", "refused"]);
    site.lines
        .wait(&["auth_attempt", "principal=\"nobody\"", "$mysqlna$", "refused"]);
    site.lines.wait(&["client_info", "\"schema\"", "nowhere"]);
    site.lines.wait(&["command", "CHANGE_USER root"]);
    // The last one, which nobody looked at, is evidence as the others.
    let right = |lines: &str| {
        lines
            .lines()
            .filter(|l| l.contains("auth_attempt") && l.contains("principal=\"r\""))
            .count()
    };
    let text = site.lines.all();
    assert_eq!(right(&text), 2 + 3 + 1, "{text}");
}

#[test]
fn mysql_hangs_up_on_somebody_who_is_not_let_be_another_user() {
    let specs = (0..64).map(|n| PersonaSpec {
        seed: Seed::from_bytes([n; 16]),
        ..persona(Distro::Ubuntu22)
    });
    let of_mysql = |spec: &PersonaSpec| Persona::derive(spec).unwrap().sql_product().name == "MySQL";
    let spec = specs.into_iter().find(of_mysql).unwrap();
    let site = start("mysql", spec, &[("accept", "r:")]);
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    next_packet(&mut stream);
    let capabilities = packet::PROTOCOL_41 | packet::SECURE_CONNECTION | packet::PLUGIN_AUTH;
    let login = [
        &capabilities.to_le_bytes()[..],
        &[0; 28],
        b"r\0\0caching_sha2_password\0",
    ]
    .concat();
    say(&mut stream, 1, &login);
    assert_eq!(next_packet(&mut stream)[0], 0);
    let mut challenges = BTreeSet::new();
    for (user, refusal) in [
        ("r", None),
        (
            "eve",
            Some("#28000Access denied for user 'eve'@'localhost' (using password: NO)"),
        ),
    ] {
        let wanted = format!("\x11{user}\0\0\0\x2d\0caching_sha2_password\0");
        say(&mut stream, 0, wanted.as_bytes());
        let challenge = next_packet(&mut stream);
        assert!(challenge.starts_with(b"\xfecaching_sha2_password\0"));
        challenges.insert(challenge);
        say(&mut stream, 2, b"");
        let answer = next_packet(&mut stream);
        match refusal {
            None => assert_eq!(answer[0], 0),
            Some(refusal) => assert!(answer.ends_with(refusal.as_bytes()), "{answer:?}"),
        }
    }
    assert_eq!(challenges.len(), 2, "each has a challenge of its own");
    assert!(matches!(stream.read(&mut [0]), Ok(0)));
    site.lines.wait(&[
        "auth_attempt",
        "principal=\"eve\"",
        "caching_sha2_password",
        "refused",
    ]);
}

#[test]
fn every_command_and_all_long_data_are_reported() {
    let site = start("mysql", persona(Distro::Debian12), &[("accept", "always")]);
    let mut wire = Wire::open(site.address);
    wire.ask(b"\x12\x04\0\0\0\0\0\x07\0\0\0bin.000001");
    wire.ask(b"\x0c\x2a\0\0\0");
    wire.ask(b"\x0e");
    wire.ask(b"\x05canary_db");
    site.lines
        .wait(&["command", "BINLOG_DUMP position 4 flags 0 server 7 bin.000001"]);
    site.lines.wait(&["command", "PROCESS_KILL 42"]);
    site.lines.wait(&["command", "\"PING\""]);
    site.lines.wait(&["command", "CREATE_DB canary_db"]);
    wire.rows(b"\x16select ?");
    // A library for the server in parts, for a statement that there is and for one that there is not.
    for id in [1_u8, 9] {
        for part in [&b"\0\0\x7fELF canary"[..], b"\0\0 library"] {
            say(&mut wire.stream, 0, &[&[0x18, id, 0, 0, 0], part].concat());
        }
    }
    wire.rows(b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\xfc\0");
    site.lines.wait(&["command", "STMT_SEND_LONG_DATA 9 parameter 0"]);
    site.lines.wait(&["query", "ELF canary library'"]);
    let whole = hex::encode(sha2::Sha256::digest(b"\x7fELF canary library"));
    site.lines.wait(&[
        "file_captured",
        "mysql-long-data",
        "statement-1-parameter-0",
        &whole,
    ]);
    // What was not executed is told when it is reset, too.
    wire.ask(b"\x1a\x09\0\0\0");
    site.lines.wait(&[
        "file_captured",
        "mysql-long-data",
        "statement-9-parameter-0",
        &whole,
    ]);
}

#[test]
fn the_schema_that_a_login_names_is_evidence_whether_it_lets_in_or_not() {
    if !has_client() {
        return;
    }
    for accept in ["never", "always"] {
        let site = start("mysql", persona(Distro::Debian12), &[("accept", accept)]);
        let told = Command::new("mysql")
            .args(["--no-defaults", "--protocol=tcp", "--connect-timeout=10"])
            .args([
                "-h",
                &site.address.ip().to_string(),
                "-P",
                &site.address.port().to_string(),
            ])
            .args(["-uroot", "-px", "--database=canary_schema", "-e", "select 1"])
            .output()
            .unwrap();
        assert!(!told.status.success(), "{accept}");
        site.lines.wait(&["client_info", "\"schema\"", "canary_schema"]);
    }
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

#[test]
fn the_statements_of_the_fuzzer_are_answered_without_a_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/mysql_statement");
    let mut seeds = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        decnet_decoys::fuzz::mysql_statement(&std::fs::read(entry.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds >= 8);
}

#[test]
fn other_clients_find_their_way_in_and_are_reported() {
    let site = start("mysql", persona(Distro::Debian12), &[("accept", "always")]);
    let port = site.address.port().to_string();
    let script = format!(
        "import pymysql\nc = pymysql.connect(host='127.0.0.1', port={port}, user='root', password='x')\nk = \
         c.cursor()\nk.execute('select 1.50, 7, %s, cast(\\'2024-01-02 03:04:05\\' as datetime)', ('x',))\nprint(k.fetchone())\n\
         k.execute('select @@version')\nprint(len(k.fetchone()))\n"
    );
    let python = Command::new("/usr/bin/python3").args(["-c", &script]).output();
    match python {
        Ok(out) if out.status.success() => {
            let told = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(told.starts_with("(Decimal('1.50'), 7, 'x', "), "{told}");
            site.lines.wait(&["client_info", "pymysql"]);
        }
        other => decnet_testkit::skipped(&format!("python3-pymysql is not installed: {other:?}")),
    }
    let guarded = start("mysql", persona(Distro::Debian12), &[("accept", "after_3")]);
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "one\ntwo\nthree\nfour\n").unwrap();
    let hydra = Command::new("hydra")
        .args(["-I", "-t", "1", "-l", "root", "-P"])
        .arg(list.path())
        .args(["-s", &guarded.address.port().to_string(), "127.0.0.1", "mysql"])
        .output();
    match hydra {
        Ok(out) => {
            let told = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(told.contains("login: root   password: three"), "{told}");
            guarded
                .lines
                .wait(&["auth_attempt", "principal=\"root\"", "accepted"]);
        }
        Err(_) => decnet_testkit::skipped("hydra is not installed"),
    }
    let nmap = Command::new("nmap")
        .args([
            "-n",
            "-Pn",
            "-sT",
            "-sV",
            "--script",
            "mysql-info",
            "-p",
            &port,
            "127.0.0.1",
        ])
        .output();
    match nmap {
        Ok(out) => {
            let told = String::from_utf8_lossy(&out.stdout).into_owned();
            for part in [
                "Protocol: 10",
                "Version: ",
                "Auth Plugin Name: mysql_native_password",
                "-MariaDB",
            ] {
                assert!(told.contains(part), "{part} not in {told}");
            }
        }
        Err(_) => decnet_testkit::skipped("nmap is not installed"),
    }
}

#[test]
fn uuids_are_of_the_time_and_of_the_machines_own_network_card() {
    if !has_client() {
        return;
    }
    let spec = persona(Distro::Debian12);
    let mac = hex::encode(Persona::derive(&spec).unwrap().mac.0);
    let site = start("mysql", spec, &[("accept", "always")]);
    let shown = ask(
        site.address,
        "root",
        "x",
        "select uuid(); select uuid(); select uuid()",
    );
    let all: Vec<&str> = shown.lines().filter(|l| l.len() == 36).collect();
    assert_eq!(all.len(), 3, "{shown}");
    let ticks = |uuid: &str| {
        let parts: Vec<&str> = uuid.split('-').collect();
        assert_eq!(parts[4], mac, "{uuid}");
        assert!(parts[2].starts_with('1'), "{uuid}");
        u64::from_str_radix(
            &format!("{}{}{}", parts[2].strip_prefix('1').unwrap(), parts[1], parts[0]),
            16,
        )
        .unwrap()
    };
    let times: Vec<u64> = all.iter().map(|uuid| ticks(uuid)).collect();
    assert!(times.is_sorted() && times[0] < times[2], "{all:?}");
    let now =
        u64::try_from(decnet_model::clock::Clock::now(&decnet_model::clock::SystemClock).unix_timestamp())
            .unwrap();
    let seconds = (times[0] - 0x01b2_1dd2_1381_4000) / 10_000_000;
    assert!(seconds.abs_diff(now) < 60, "{seconds}");
    // The sequence of the clock stays for as long as the server runs.
    assert_eq!(all[0].split('-').nth(3), all[2].split('-').nth(3));
}

#[test]
fn accounts_and_a_version_of_the_operator_are_what_clients_meet() {
    if !has_client() {
        return;
    }
    let site = start(
        "mysql",
        persona(Distro::Debian12),
        &[
            ("accept", "app:s3cret, app:other"),
            ("version", "10.11.3-MariaDB-1"),
        ],
    );
    for password in ["s3cret", "other"] {
        assert_eq!(
            ask(site.address, "app", password, "select @@version"),
            "@@version\n10.11.3-MariaDB-1\n"
        );
    }
    for (user, password) in [("app", "wrong"), ("root", "s3cret")] {
        assert!(ask(site.address, user, password, "select 1").contains("ERROR 1045"));
    }
}
