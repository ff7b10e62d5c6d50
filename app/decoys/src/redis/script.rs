//! Scripts, as far as intruders' are simple: values, lists, variables, `KEYS`, `ARGV` and commands of the server. What is
//! longer than that gives nothing, as a script without `return` does.

use std::collections::HashMap;

use decnet_model::event::Event;
use sha1::{Digest as _, Sha1};

use super::{
    commands::{NOT_AN_INTEGER, Visitor, lower},
    table,
    wire::{Reply, number},
};

/// What reaches out of the sandbox.
const ESCAPES: [&[u8]; 6] = [
    b"package.loadlib",
    b"package",
    b"io.popen",
    b"os.execute",
    b"require",
    b"loadstring",
];
/// How deep lists and calls may stand in each other.
const DEPTH_MAX: u32 = 16;
/// Commands that one script may call.
const CALLS_MAX: u32 = 1000;

/// Why a script ends before its end.
enum Stop {
    /// It is none of those that are understood.
    Unknown,
    /// It names a global that is not there.
    NoGlobal(String),
    /// A command failed.
    Failed(Reply),
}

pub(super) fn eval(visitor: &mut Visitor<'_>, args: &[Vec<u8>]) -> Reply {
    let code = args.first().map_or(&[][..], Vec::as_slice);
    let Some(keys) = args.get(1).and_then(|n| number(n)) else {
        return Reply::error(NOT_AN_INTEGER);
    };
    let Ok(keys) = usize::try_from(keys) else {
        return Reply::error("ERR Number of keys can't be negative");
    };
    let rest = args.get(2..).unwrap_or_default();
    let Some((keys, argv)) = rest.split_at_checked(keys) else {
        return Reply::error("ERR Number of keys can't be greater than number of args");
    };
    let contains = |what: &[u8]| code.windows(what.len()).any(|window| window == what);
    let exploit = if contains(b"package.loadlib") || contains(b"luaopen_io") {
        "CVE-2022-0543"
    } else {
        "redis-eval"
    };
    visitor.tap.emit(Event::Exploit {
        name: exploit,
        bytes: code,
    });
    let sha = hex::encode(Sha1::digest(code));
    if let Some(escape) = ESCAPES.iter().find(|escape| contains(escape)) {
        // A patched server: the sandbox has no such global.
        let global = escape.split(|b| *b == b'.').next().unwrap_or_default();
        if global != b"loadstring" && global != b"os" {
            return no_such_global(visitor, &String::from_utf8_lossy(global), &sha);
        }
    }
    let Ok(text) = std::str::from_utf8(code) else {
        return Reply::Nil;
    };
    let mut script = Script {
        visitor,
        rest: text,
        keys,
        argv,
        sha: &sha,
        variables: HashMap::new(),
        calls: 0,
    };
    match script.run() {
        Ok(reply) | Err(Stop::Failed(reply)) => reply,
        Err(Stop::NoGlobal(name)) => no_such_global(visitor, &name, &sha),
        Err(Stop::Unknown) => Reply::Nil,
    }
}

fn no_such_global(visitor: &Visitor<'_>, global: &str, sha: &str) -> Reply {
    Reply::Error(if visitor.server.version.at_least(7, 0) {
        format!(
            "ERR user_script:1: Script attempted to access nonexistent global variable '{global}' script: {sha}, on @user_script:1."
        )
    } else {
        format!(
            "ERR Error running script (call to f_{sha}): @enable_strict_lua:15: user_script:1: Script attempted to access nonexistent global variable '{global}' "
        )
    })
}

struct Script<'s, 'v> {
    visitor: &'s mut Visitor<'v>,
    rest: &'s str,
    keys: &'s [Vec<u8>],
    argv: &'s [Vec<u8>],
    sha: &'s str,
    variables: HashMap<&'s str, Reply>,
    calls: u32,
}

impl<'s> Script<'s, '_> {
    fn run(&mut self) -> Result<Reply, Stop> {
        loop {
            while self.takes(";") {}
            if self.rest.is_empty() {
                return Ok(Reply::Nil);
            }
            match self.word() {
                "return" => {
                    while self.takes(";") {}
                    if self.rest.is_empty() {
                        return Ok(Reply::Nil);
                    }
                    let value = self.value(0)?;
                    while self.takes(";") {}
                    return if self.rest.is_empty() {
                        Ok(value)
                    } else {
                        Err(Stop::Unknown)
                    };
                }
                "local" => {
                    let name = self.word();
                    self.expect("=")?;
                    let value = self.value(0)?;
                    self.variables.insert(name, value);
                }
                name @ ("redis.call" | "redis.pcall") => drop(self.call(name == "redis.pcall", 0)?),
                _ => return Err(Stop::Unknown),
            }
        }
    }

    fn takes(&mut self, mark: &str) -> bool {
        let rest = self.rest.trim_start();
        let after = rest.strip_prefix(mark);
        self.rest = after.unwrap_or(rest);
        after.is_some()
    }

    fn expect(&mut self, mark: &str) -> Result<(), Stop> {
        if self.takes(mark) {
            Ok(())
        } else {
            Err(Stop::Unknown)
        }
    }

    /// The next name, with its dots; empty where there is none.
    fn word(&mut self) -> &'s str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        let (word, after) = rest
            .split_at_checked(end.unwrap_or(rest.len()))
            .unwrap_or((rest, ""));
        self.rest = after;
        word
    }

    fn value(&mut self, depth: u32) -> Result<Reply, Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::Unknown);
        }
        let rest = self.rest.trim_start();
        self.rest = rest;
        for quote in ['\'', '"'] {
            if let Some(after) = rest.strip_prefix(quote) {
                let (text, after) = after.split_once(quote).ok_or(Stop::Unknown)?;
                self.rest = after;
                return if text.contains('\\') {
                    Err(Stop::Unknown)
                } else {
                    Ok(Reply::bulk(text))
                };
            }
        }
        if self.takes("{") {
            return Ok(Reply::Array(self.values("}", depth)?));
        }
        let minus = self.takes("-");
        let word = self.word();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            // A number becomes a whole one on its way out.
            let whole = word.split('.').next().unwrap_or_default();
            let n: i64 = whole.parse().map_err(|_| Stop::Unknown)?;
            return Ok(Reply::Int(if minus { -n } else { n }));
        }
        if minus {
            return Err(Stop::Unknown);
        }
        match word {
            "" => Err(Stop::Unknown),
            "nil" | "false" => Ok(Reply::Nil),
            "true" => Ok(Reply::Int(1)),
            "KEYS" | "ARGV" => {
                let list = if word == "KEYS" { self.keys } else { self.argv };
                if !self.takes("[") {
                    return Ok(Reply::bulks(list));
                }
                let n: usize = self.word().parse().map_err(|_| Stop::Unknown)?;
                self.expect("]")?;
                Ok(n.checked_sub(1)
                    .and_then(|n| list.get(n))
                    .map_or(Reply::Nil, Reply::bulk))
            }
            "redis.call" | "redis.pcall" => self.call(word == "redis.pcall", depth),
            "redis.sha1hex" => match self.arguments(depth)?.as_slice() {
                [Reply::Bulk(text)] => Ok(Reply::bulk(hex::encode(Sha1::digest(text)))),
                _ => Err(Stop::Unknown),
            },
            name => match self.variables.get(name) {
                Some(value) => Ok(value.clone()),
                None if name.contains('.') || self.rest.trim_start().starts_with('(') => Err(Stop::Unknown),
                None => Err(Stop::NoGlobal(name.to_owned())),
            },
        }
    }

    /// Values to the closing mark.
    fn values(&mut self, end: &str, depth: u32) -> Result<Vec<Reply>, Stop> {
        let mut values = Vec::new();
        while !self.takes(end) {
            if !values.is_empty() {
                self.expect(",")?;
            }
            values.push(self.value(depth + 1)?);
        }
        Ok(values)
    }

    fn arguments(&mut self, depth: u32) -> Result<Vec<Reply>, Stop> {
        self.expect("(")?;
        self.values(")", depth)
    }

    /// A command of the server; where it fails, the script does, unless it is `protected`.
    fn call(&mut self, protected: bool, depth: u32) -> Result<Reply, Stop> {
        let words: Option<Vec<Vec<u8>>> = self
            .arguments(depth)?
            .into_iter()
            .map(|word| match word {
                Reply::Bulk(text) => Some(text),
                Reply::Int(n) => Some(n.to_string().into_bytes()),
                _ => None,
            })
            .collect();
        self.calls += 1;
        if self.calls > CALLS_MAX {
            return Err(Stop::Unknown);
        }
        let version = self.visitor.server.version;
        let words = words.unwrap_or_default();
        let name = lower(words.first());
        let new = version.at_least(7, 0);
        let refused = match table::command(&name, version) {
            _ if words.is_empty() => Some("Please specify at least one argument for this redis.call()"),
            None if new => Some("Unknown Redis command called from script"),
            None => Some("Unknown Redis command called from Lua script"),
            Some(command) if !command.takes(words.len()) => {
                Some("Wrong number of args calling Redis command from script")
            }
            Some(command) if command.has("noscript") => Some("This Redis command is not allowed from script"),
            Some(_) => None,
        };
        let reply = match refused {
            Some(words) if new => Reply::Error(format!("ERR {words}")),
            Some(words) => Reply::Error(format!("@user_script: 1: {words}")),
            None => self.visitor.execute(&name, &words),
        };
        match reply {
            Reply::Error(words) if !protected => {
                let sha = self.sha;
                Err(Stop::Failed(Reply::Error(if new {
                    format!("{words} script: {sha}, on @user_script:1.")
                } else {
                    format!("ERR Error running script (call to f_{sha}): @user_script:1: {words} ")
                })))
            }
            reply => Ok(reply),
        }
    }
}
