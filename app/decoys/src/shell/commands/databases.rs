//! Clients of the databases that the machine runs. They reach its own server and get no further than its door:
//! what the server holds is for those who come over the network.

use std::time::Duration;

use super::{Call, Shell};
use crate::shell::reach::Reach;

/// The most bytes of an argument that are told back.
const SHOWN: usize = 128;

/// `mysql`, `mysqladmin` and `mysqldump` with a password on the command line, or none: see `Shell::mysql` for the one
/// that asks.
pub(super) fn mysql(shell: &mut Shell, call: &mut Call) -> u8 {
    let secret = password(&call.args).filter(|secret| !secret.is_empty());
    refuse(shell, call, secret.is_some())
}

/// What `-p` brought along: nothing where it is not there, an empty one where it asks.
pub(in crate::shell) fn password(args: &[String]) -> Option<String> {
    args.iter().find_map(|arg| {
        let value = arg.strip_prefix("--password").map(|v| v.trim_start_matches('='));
        let letter = || arg.strip_prefix("-p").filter(|_| !arg.starts_with("--"));
        value.or_else(letter).map(str::to_owned)
    })
}

/// How the server turns a client away.
pub(in crate::shell) fn refuse(shell: &mut Shell, call: &mut Call, with_password: bool) -> u8 {
    let user = call
        .value("-u", "--user")
        .unwrap_or_else(|| shell.env.user.clone());
    let user: String = user.chars().take(SHOWN).collect();
    let host = call
        .value("-h", "--host")
        .unwrap_or_else(|| "localhost".to_owned());
    let port = call
        .value("-P", "--port")
        .and_then(|p| p.parse().ok())
        .unwrap_or(3_306);
    let maria = shell.machine.upstream(&["mariadb-server"]).is_some();
    let dump = call.name.ends_with("dump");
    let head = match call.name.as_str() {
        name if dump => format!("{name}: Got error: "),
        name if name.ends_with("admin") => format!("{name}: connect to server at '{host}' failed\nerror: '"),
        _ => "ERROR ".to_owned(),
    };
    if with_password && !maria && password(&call.args).is_some_and(|p| !p.is_empty()) {
        let name = call.name.clone();
        call.err(format!(
            "{name}: [Warning] Using a password on the command line interface can be insecure.\n"
        ));
    }
    let (number, state, text) = match (host.as_str(), shell.reach(&host, port)) {
        ("localhost", Reach::Refused) => {
            let path = if shell.machine.distribution.has_dash() {
                "/var/run/mysqld/mysqld.sock"
            } else {
                "/var/lib/mysql/mysql.sock"
            };
            let why = format!("Can't connect to local MySQL server through socket '{path}' (2)");
            (2_002, "HY000", why)
        }
        (_, Reach::Refused) => (
            2_003,
            "HY000",
            format!("Can't connect to MySQL server on '{host}:{port}' (111)"),
        ),
        (_, Reach::Silent) => {
            let time = Duration::from_millis(u64::from(shell.machine.hang_ms));
            call.wait(time);
            (
                2_003,
                "HY000",
                format!("Can't connect to MySQL server on '{host}:{port}' (110)"),
            )
        }
        (_, Reach::Unknown) => {
            call.wait(Duration::from_secs(5));
            (2_005, "HY000", format!("Unknown MySQL server host '{host}' (-3)"))
        }
        // The plug-in that asks the socket knows no password; any other counts what was said.
        (_, Reach::Open(_)) if user == "root" && !with_password => (
            1_698,
            "28000",
            format!("Access denied for user '{user}'@'localhost'"),
        ),
        (_, Reach::Open(_)) => {
            let used = if with_password { "YES" } else { "NO" };
            (
                1_045,
                "28000",
                format!("Access denied for user '{user}'@'localhost' (using password: {used})"),
            )
        }
    };
    let line = match call.name.as_str() {
        _ if dump => format!("{head}{number}: {text} when trying to connect\n"),
        name if name.ends_with("admin") => format!("{head}{text}'\n"),
        _ => format!("{head}{number} ({state}): {text}\n"),
    };
    call.err(line);
    if dump { 2 } else { 1 }
}

/// Keys that a visitor may set through `redis-cli`, and the longest of their values.
const KEYS: usize = 64;
const VALUE: usize = 4_096;

/// What redis answers, as `redis-cli` shows it.
enum Reply {
    Status(&'static str),
    Fault(String),
    Count(i64),
    Text(String),
    Nil,
    List(Vec<String>),
}

impl Reply {
    /// At a terminal with the kind of the answer, into a pipe without.
    fn shown(&self, terminal: bool) -> String {
        match self {
            Self::Status(text) => format!("{text}\n"),
            Self::Fault(text) if terminal => format!("(error) {text}\n"),
            Self::Fault(text) => format!("{text}\n\n"),
            Self::Count(n) if terminal => format!("(integer) {n}\n"),
            Self::Count(n) => format!("{n}\n"),
            Self::Text(text) if terminal => format!("{text:?}\n"),
            Self::Text(text) => format!("{text}\n"),
            Self::Nil if terminal => "(nil)\n".to_owned(),
            Self::Nil => "\n".to_owned(),
            Self::List(all) if all.is_empty() && terminal => "(empty array)\n".to_owned(),
            Self::List(all) if all.is_empty() => "\n".to_owned(),
            Self::List(all) => all
                .iter()
                .enumerate()
                .map(|(i, text)| {
                    if terminal {
                        format!("{}) {text:?}\n", i + 1)
                    } else {
                        format!("{text}\n")
                    }
                })
                .collect(),
        }
    }
}

/// `redis-cli` with a command. It finds the bait that the server shows over the network; what it sets, this session finds.
pub(super) fn redis_cli(shell: &mut Shell, call: &mut Call) -> u8 {
    let mut words: Vec<String> = Vec::new();
    let mut it = call.args.iter();
    let (mut host, mut port, mut secret) = ("127.0.0.1".to_owned(), 6_379, false);
    while let Some(arg) = it.next() {
        if !words.is_empty() || !arg.starts_with('-') {
            words.push(arg.clone());
            continue;
        }
        match arg.as_str() {
            "-h" => host = it.next().cloned().unwrap_or_default(),
            "-p" => port = it.next().and_then(|p| p.parse().ok()).unwrap_or(0),
            "-a" | "--pass" => {
                it.next();
                secret = true;
            }
            "-n" | "-r" | "-i" | "-u" | "-s" | "--user" => {
                it.next();
            }
            _ => {}
        }
    }
    let why = match shell.reach(&host, port) {
        Reach::Open(_) => None,
        Reach::Refused => Some("Connection refused"),
        Reach::Silent => {
            let time = Duration::from_millis(u64::from(shell.machine.hang_ms));
            call.wait(time);
            Some("Connection timed out")
        }
        Reach::Unknown => {
            call.wait(Duration::from_secs(5));
            Some("Temporary failure in name resolution")
        }
    };
    if let Some(why) = why {
        call.err(format!("Could not connect to Redis at {host}:{port}: {why}\n"));
        return 1;
    }
    let unset = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
    if secret {
        call.err("Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe.\n");
        call.err(format!("AUTH failed: {unset}\n"));
    }
    if words.is_empty() {
        return 0;
    }
    let terminal = shell.terminal.is_some() && !call.piped && !call.args.iter().any(|a| a == "--raw");
    let reply = redis(shell, &words, unset).shown(terminal);
    call.out(reply);
    0
}

fn redis(shell: &mut Shell, words: &[String], unset: &str) -> Reply {
    use decnet_persona::bait::RedisValue;
    let name = words.first().map(|w| w.to_lowercase()).unwrap_or_default();
    let args = words.get(1..).unwrap_or_default();
    let first = args.first().map_or("", String::as_str);
    let wrong = || Reply::Fault(format!("ERR wrong number of arguments for '{name}' command"));
    let machine = std::sync::Arc::clone(&shell.machine);
    // What was set here hides the bait, what was deleted here is gone.
    let bait = |key: &str| machine.keys.iter().find(|e| e.key == key).map(|e| &e.value);
    let here = shell.redis.get(first).cloned();
    let found = bait(first).filter(|_| here.is_none());
    let own = here.flatten();
    let all = || -> Vec<String> {
        let hidden = |key: &str| shell.redis.contains_key(key);
        let baited = machine.keys.iter().map(|e| e.key.clone()).filter(|k| !hidden(k));
        let set = shell
            .redis
            .iter()
            .filter(|(_, v)| v.is_some())
            .map(|(k, _)| k.clone());
        baited.chain(set).collect()
    };
    match (name.as_str(), args.len()) {
        ("ping", 0) => Reply::Status("PONG"),
        ("ping" | "echo", 1) => Reply::Text(first.to_owned()),
        ("auth", 1..) => Reply::Fault(unset.to_owned()),
        ("quit" | "select" | "save" | "bgsave", _) => Reply::Status("OK"),
        ("dbsize", 0) => Reply::Count(i64::try_from(all().len()).unwrap_or(0)),
        ("keys", 1) => {
            let fits = |key: &String| crate::shell::glob::matches(first.as_bytes(), key.as_bytes());
            Reply::List(all().into_iter().filter(fits).collect())
        }
        ("exists", 1) => Reply::Count(i64::from(own.is_some() || found.is_some())),
        ("ttl", 1) => Reply::Count(if own.is_some() || found.is_some() { -1 } else { -2 }),
        ("type", 1) => Reply::Status(match (own, found) {
            (Some(_), _) | (_, Some(RedisValue::String(_))) => "string",
            (_, Some(RedisValue::List(_))) => "list",
            (_, Some(RedisValue::Set(_))) => "set",
            (_, Some(RedisValue::Hash(_))) => "hash",
            (_, Some(RedisValue::SortedSet(_))) => "zset",
            (None, None) => "none",
        }),
        ("get", 1) => match (own, found) {
            (Some(value), _) => Reply::Text(value),
            (None, Some(RedisValue::String(value))) => Reply::Text(value.clone()),
            (None, Some(_)) => {
                Reply::Fault("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned())
            }
            (None, None) => Reply::Nil,
        },
        ("set", 2..) => {
            let value: String = args
                .get(1)
                .map_or("", String::as_str)
                .chars()
                .take(VALUE)
                .collect();
            if shell.redis.len() < KEYS {
                shell
                    .redis
                    .insert(first.chars().take(VALUE).collect(), Some(value));
            }
            Reply::Status("OK")
        }
        ("del", 1) => {
            let there = own.is_some() || found.is_some();
            if shell.redis.len() < KEYS {
                shell.redis.insert(first.chars().take(VALUE).collect(), None);
            }
            Reply::Count(i64::from(there))
        }
        ("config", 2) if first.eq_ignore_ascii_case("get") => {
            let setting = args.get(1).map_or("", String::as_str);
            let value = match setting {
                "dir" => "/var/lib/redis",
                "dbfilename" => "dump.rdb",
                "requirepass" => "",
                "port" => "6379",
                "maxmemory" => "0",
                "protected-mode" => "no",
                _ => return Reply::List(Vec::new()),
            };
            Reply::List(vec![setting.to_owned(), value.to_owned()])
        }
        ("config", 3) if first.eq_ignore_ascii_case("set") => Reply::Status("OK"),
        ("info", _) => {
            let version = machine.upstream(&["redis-server", "redis"]).unwrap_or_default();
            Reply::Text(format!(
                "# Server\r\nredis_version:{version}\r\nredis_mode:standalone\r\nos:Linux {} {}\r\ntcp_port:6379\r\nuptime_in_seconds:{}\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n# Keyspace\r\ndb0:keys={},expires=0,avg_ttl=0\r\n",
                machine.kernel_release,
                machine.architecture,
                machine.uptime(shell.now()) - 4,
                all().len()
            ))
        }
        (
            "ping" | "echo" | "auth" | "dbsize" | "keys" | "exists" | "ttl" | "type" | "get" | "set" | "del"
            | "config",
            _,
        ) => wrong(),
        _ => {
            let shown: String = words
                .first()
                .map_or("", String::as_str)
                .chars()
                .take(SHOWN)
                .collect();
            let rest: String = args
                .iter()
                .take(8)
                .map(|a| format!("'{}' ", a.chars().take(SHOWN).collect::<String>()))
                .collect();
            Reply::Fault(format!(
                "ERR unknown command '{shown}', with args beginning with: {rest}"
            ))
        }
    }
}
