//! What a visitor of the redis decoy can make it use: the most memory that the process takes while it is asked for more than there is.
#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

#[path = "support/machine.rs"]
mod machine;

use std::{
    collections::BTreeMap,
    fs,
    sync::{Mutex, PoisonError},
};

use decnet_decoys::{catalogue, serve::peer::Bounds};
use decnet_persona::{Distro, PersonaSpec, Seed};
use machine::{BOUNDS, Machine, built, runtime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The peak belongs to the process: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

/// MiB that a visitor can make the process take: worlds, answers and scripts together stay below.
const BOUND_MIB: u64 = 110;
/// The longest value that a visitor can write.
const LONG: usize = 4 << 20;

/// A line of `/proc/self/status`, in KiB.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Who says something and listens.
struct Visitor<'m> {
    machine: &'m Machine,
}

impl Visitor<'_> {
    /// Say `requests` at once on a connection of their own: how many bytes come back, and the first and the last of them.
    fn say(&self, requests: &[Vec<u8>]) -> (usize, String, String) {
        let bounds = Bounds {
            bytes_in: 1 << 30,
            ..BOUNDS
        };
        runtime().block_on(async {
            let (io, session) = self.machine.visit(&self.machine.decoys[0], bounds);
            let (mut reader, mut writer) = tokio::io::split(io);
            let send = async {
                for request in requests {
                    writer.write_all(request).await.unwrap();
                }
                writer.shutdown().await.unwrap();
            };
            let hear = async {
                let (mut heard, mut first, mut last) = (0, Vec::new(), Vec::new());
                let mut chunk = vec![0; 64 * 1024];
                while let Ok(n @ 1..) = reader.read(&mut chunk).await {
                    heard += n;
                    if first.len() < 200 {
                        first.extend_from_slice(&chunk[..n.min(200)]);
                    }
                    last.extend_from_slice(&chunk[..n]);
                    last.drain(..last.len().saturating_sub(200));
                }
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                (heard, text(first), text(last))
            };
            tokio::join!(send, hear, session).1
        })
    }
}

fn command<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> Vec<u8> {
    let words: Vec<W> = words.into_iter().collect();
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn words(line: &str) -> Vec<u8> {
    command(line.split(' '))
}

fn eval(code: &str) -> Vec<u8> {
    command(["EVAL", code, "0"])
}

/// Let a visitor do what `attack` does, and hold the process to its bound.
fn bounded(attack: impl FnOnce(&Visitor<'_>)) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let spec = PersonaSpec {
        // Its Redis is of series 7.
        distro: Some(Distro::Debian12),
        ..PersonaSpec::new(Seed::from_bytes([1; 16]), "database-server")
    };
    let machine = built(&spec, |host| {
        vec![catalogue::build("redis", &BTreeMap::new(), host).unwrap()]
    });
    // What the process took before is no part of it.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    attack(&Visitor { machine: &machine });
    let took = status("VmHWM:").saturating_sub(before) / 1024;
    assert!(took < BOUND_MIB, "{took} MiB");
}

#[test]
fn a_value_that_is_asked_for_many_times_over_is_not_answered_as_often() {
    bounded(|visitor| {
        let long = "x".repeat(LONG);
        visitor.say(&[
            command(["SET", "a", &long]),
            command(["HSET", "h", "f", &"x".repeat(LONG / 4)]),
        ]);
        let many = |before: &[&'static str], word: &'static str| {
            let words = before.iter().copied().chain(std::iter::repeat_n(word, 150));
            command(words)
        };
        for request in [many(&["MGET"], "a"), many(&["HMGET", "h"], "f")] {
            let (heard, first, _) = visitor.say(&[request]);
            assert!(heard < 100 && first.starts_with("-OOM "), "{heard} {first}");
        }
        // One of them is fine, a world's worth of others, too.
        assert!(visitor.say(&[words("GET a")]).0 > LONG);
        assert!(visitor.say(&[words("MGET a a nobody h")]).0 > 2 * LONG);
        for get in [
            words("GET a"),
            words("HGETALL h"),
            words("GETRANGE a 0 -1"),
            words("COMMAND"),
        ] {
            let mut requests = vec![words("MULTI")];
            requests.extend(std::iter::repeat_n(get, 1000));
            requests.push(words("EXEC"));
            let (heard, _, last) = visitor.say(&requests);
            assert!(heard < 13 << 20 && last.contains("-OOM "), "{heard} {last}");
        }
    });
}

#[test]
fn what_waits_for_exec_is_counted_by_the_memory_that_it_takes() {
    bounded(|visitor| {
        let mut requests = vec![words("MULTI")];
        // Words of nothing: they were free, and there were 65,536 of them to a command.
        requests.extend(std::iter::repeat_n(
            command(std::iter::once("DEL").chain(std::iter::repeat_n("", 50_000))),
            90,
        ));
        requests.push(words("EXEC"));
        let (_, _, last) = visitor.say(&requests);
        assert!(
            last.contains("-OOM ")
                && last.ends_with("EXECABORT Transaction discarded because of previous errors.\r\n"),
            "{last}"
        );
    });
}

#[test]
fn sets_and_streams_that_are_named_many_times_over_are_copied_within_bounds() {
    bounded(|visitor| {
        let members: Vec<String> = (0..30_000).map(|n| format!("{n:040}")).collect();
        let zadd = members.iter().take(9000).flat_map(|m| ["1", m]);
        visitor.say(&[
            command(
                ["SADD", "s"]
                    .into_iter()
                    .chain(members.iter().map(String::as_str)),
            ),
            command(["ZADD", "z"].into_iter().chain(zadd)),
            command(["XADD", "x", "*", "f", &"x".repeat(1 << 20)]),
        ]);
        let many = |before: &[&'static str], word: &'static str, after: &[&'static str]| {
            let repeated = std::iter::repeat_n(word, 400);
            command(
                before
                    .iter()
                    .copied()
                    .chain(repeated)
                    .chain(after.iter().copied()),
            )
        };
        for request in [
            many(&["SUNION"], "s", &[]),
            many(&["SINTERSTORE", "t"], "s", &[]),
            many(&["SINTERCARD", "400"], "s", &[]),
            many(&["ZUNIONSTORE", "t", "400"], "z", &[]),
            many(&["XREAD", "STREAMS"], "x", &["0"; 400]),
        ] {
            let (heard, first, _) = visitor.say(&[request]);
            assert!(heard < 100 && first.starts_with("-OOM "), "{heard} {first}");
        }
        let (heard, first, _) = visitor.say(&[words("SINTER s s"), words("XREAD STREAMS x x 0 0")]);
        assert!(
            heard > (2 << 20) + 30_000 * 40 && first.starts_with("*30000\r\n"),
            "{first}"
        );
    });
}

#[test]
fn a_world_does_not_grow_by_names_that_the_server_takes_when_it_is_full() {
    bounded(|visitor| {
        let name = |n: usize| format!("{n}{}", "x".repeat(LONG - 100));
        visitor.say(&[words("XADD x 1-1 f v"), words("XGROUP CREATE x g 0")]);
        let mut refused = 0;
        for n in 0..30 {
            let (_, first, _) = visitor.say(&[command(["XGROUP", "CREATECONSUMER", "x", "g", &name(n)])]);
            refused += usize::from(first.starts_with("-OOM "));
        }
        assert!(refused > 25, "{refused}");
        visitor.say(&[words("FLUSHALL")]);
        let mut refused = 0;
        for n in 0..30 {
            let (_, first, _) = visitor.say(&[
                command(["SET", &n.to_string(), "x"]),
                command(["RENAME", &n.to_string(), &name(n)]),
            ]);
            refused += usize::from(first.contains("-OOM "));
        }
        assert!(refused > 25, "{refused}");
        visitor.say(&[words("FLUSHALL")]);
        // A consumer's name is kept once, and not with each entry that it was given.
        let mut requests: Vec<Vec<u8>> = (1..200).map(|n| words(&format!("XADD x {n}-1 f v"))).collect();
        requests.push(words("XGROUP CREATE x g 0"));
        requests.push(command([
            "XREADGROUP",
            "GROUP",
            "g",
            &name(0),
            "STREAMS",
            "x",
            ">",
        ]));
        visitor.say(&requests);
        let (_, first, _) = visitor.say(&[words("XPENDING x g - + 1000")]);
        assert!(first.starts_with("-OOM "), "{first}");
        let (heard, first, _) = visitor.say(&[words("XPENDING x g")]);
        assert!(
            heard > LONG - 100 && first.starts_with("*4\r\n:199\r\n"),
            "{first}"
        );
    });
}

#[test]
fn scripts_live_within_a_memory_of_their_own() {
    bounded(|visitor| {
        visitor.say(&[command(["SET", "a", &"x".repeat(LONG)])]);
        let long = "local s = string.rep('x', 1000000) local t = {} ";
        for (code, says) in [
            ("for i = 1, 500 do t[i] = s end return t", "-OOM "),
            (
                "for i = 1, 500 do t[i] = string.rep('x', 1000000) end",
                "-ERR not enough memory",
            ),
            (
                "for i = 1, 500 do t[i] = s end return redis.call('mget', unpack(t))",
                "-ERR not enough memory",
            ),
            (
                "for i = 1, 500 do t[i] = 'a' end return redis.call('mget', unpack(t))",
                "-OOM ",
            ),
            ("for i = 1, 500 do t[i] = redis.call('get', 'a') end", "-OOM "),
            (
                "t = {s} for i = 1, 14 do t = {t, t, t, t, t, t, t, t} end return t",
                "-OOM ",
            ),
            ("return #s", ":1000000"),
        ] {
            let (_, first, _) = visitor.say(&[eval(&format!("{long}{code}"))]);
            assert!(first.starts_with(says), "{code}: {first}");
        }
        // What one leaves is gone: tables in a circle, deep ones, and trees that are deep.
        let circle = format!("{long} t[1] = t for i = 1, 12 do t[i + 1] = s .. i end return 1");
        for _ in 0..20 {
            assert_eq!(visitor.say(&[eval(&circle)]).1, ":1\r\n");
        }
        let deep = "local t = {} for i = 1, 20000 do t = {t} end return 1";
        assert_eq!(visitor.say(&[eval(deep)]).1, ":1\r\n");
        let chain = format!("return a{}", ".a".repeat(LONG / 4));
        assert_eq!(visitor.say(&[eval(&chain)]).1, "$-1\r\n");
    });
}
