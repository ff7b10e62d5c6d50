//! Scripts: `lua.rs` runs them, and here is what they may ask of the server. What goes beyond it gives nothing, as a script without
//! `return` does.

use std::rc::Rc;

use decnet_model::event::Event;
use sha1::{Digest as _, Sha1};

use super::{
    budget::{Budget, OVERHEAD},
    commands::{NOT_AN_INTEGER, Visitor, lower},
    lua, table,
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
/// What the words of one of them may take.
const CALL_BYTES_MAX: usize = 8 << 20;

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
    let list = |items: &[Vec<u8>]| {
        lua::Value::table(
            items
                .iter()
                .map(|item| lua::Value::Text(item.as_slice().into()))
                .collect(),
        )
    };
    let globals = vec![("KEYS".to_owned(), list(keys)), ("ARGV".to_owned(), list(argv))];
    let mut script = Script {
        visitor,
        sha: &sha,
        calls: 0,
    };
    let mut tables = lua::Tables::default();
    match lua::run(text, globals, &mut script, &mut tables) {
        Ok(value) | Err(lua::Stop::Failed(value)) => {
            reply(&value, 0, &visitor.budget).unwrap_or_else(|refusal| refusal)
        }
        Err(lua::Stop::Error(line, text)) => failed(visitor, line, &text, &sha),
        Err(lua::Stop::Memory) => out_of_memory(visitor, &sha),
        Err(lua::Stop::Unknown) => Reply::Nil,
    }
}

/// Lua has no memory left (`LUA_ERRMEM`): an error without a line.
fn out_of_memory(visitor: &Visitor<'_>, sha: &str) -> Reply {
    Reply::Error(if visitor.server.version.at_least(7, 0) {
        "ERR not enough memory".to_owned()
    } else {
        format!("ERR Error running script (call to f_{sha}): not enough memory ")
    })
}

/// An error of the language, as the server words it.
fn failed(visitor: &Visitor<'_>, line: u32, text: &str, sha: &str) -> Reply {
    Reply::Error(if visitor.server.version.at_least(7, 0) {
        format!("ERR user_script:{line}: {text} script: {sha}, on @user_script:{line}.")
    } else if text.starts_with("Script attempted") {
        format!(
            "ERR Error running script (call to f_{sha}): @enable_strict_lua:15: user_script:{line}: {text} "
        )
    } else {
        format!(
            "ERR Error running script (call to f_{sha}): @user_script:{line}: user_script:{line}: {text} "
        )
    })
}

/// A value of a script on its way out: numbers become whole ones, and a list ends at its first nil. A table that stands in many places
/// is written as often, so each part is taken from the answer's budget.
fn reply(value: &lua::Value, depth: u32, budget: &Budget) -> Result<Reply, Reply> {
    Ok(match value {
        lua::Value::Text(text) => {
            budget.charge(&**text)?;
            Reply::bulk(text)
        }
        lua::Value::Table(table) => {
            let table = table.borrow();
            if let Some(lua::Value::Text(text)) = table.named.get(&b"err"[..]) {
                budget.charge(&**text)?;
                return Ok(Reply::Error(String::from_utf8_lossy(text).into_owned()));
            }
            if let Some(lua::Value::Text(text)) = table.named.get(&b"ok"[..]) {
                budget.charge(&**text)?;
                return Ok(match &**text {
                    b"OK" => Reply::OK,
                    b"PONG" => Reply::Status("PONG"),
                    other => Reply::Text(String::from_utf8_lossy(other).replace(['\r', '\n'], " ")),
                });
            }
            budget.charge(&[][..])?;
            if depth > DEPTH_MAX {
                return Ok(Reply::error("ERR reached lua stack limit"));
            }
            let items = table.items.iter().take_while(|v| !matches!(v, lua::Value::Nil));
            let items: Result<_, Reply> = items.map(|v| reply(v, depth + 1, budget)).collect();
            Reply::Array(items?)
        }
        plain => {
            budget.charge(&[][..])?;
            match plain {
                lua::Value::Bool(true) => Reply::Int(1),
                #[expect(clippy::cast_possible_truncation, reason = "as the server cuts it")]
                lua::Value::Number(n) => Reply::Int(*n as i64),
                _ => Reply::Nil,
            }
        }
    })
}

/// An answer of the server as a script sees it.
fn value(reply: Reply) -> lua::Value {
    match reply {
        #[expect(clippy::cast_precision_loss, reason = "as Lua's numbers are")]
        Reply::Int(n) => lua::Value::Number(n as f64),
        Reply::Bulk(text) | Reply::Verbatim(text) => lua::Value::Text(text.into()),
        Reply::Double(n) => lua::Value::Text(super::wire::double(n).into_bytes().into()),
        Reply::Status(text) => lua::Value::named("ok", lua::Value::Text(text.as_bytes().into())),
        Reply::Error(text) => lua::Value::named("err", lua::Value::Text(text.into_bytes().into())),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
            lua::Value::table(items.into_iter().map(value).collect())
        }
        Reply::Map(pairs) => lua::Value::table(
            pairs
                .into_iter()
                .flat_map(|(k, v)| [value(k), value(v)])
                .collect(),
        ),
        _ => lua::Value::Bool(false),
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
    sha: &'s str,
    calls: u32,
}

impl lua::Host for Script<'_, '_> {
    fn call(&mut self, name: &str, args: &[lua::Value], line: u32) -> Option<Result<lua::Value, lua::Stop>> {
        let (library, function) = name.split_once('.')?;
        if library != "redis" && library != "server" {
            return None;
        }
        let text = |i: usize| args.get(i).and_then(lua::Value::text).ok_or(lua::Stop::Unknown);
        Some(match function {
            "call" | "pcall" => self.command(args, function == "pcall", line),
            "sha1hex" => text(0).map(|t| lua::Value::Text(hex::encode(Sha1::digest(t)).into_bytes().into())),
            "status_reply" => text(0).map(|t| lua::Value::named("ok", lua::Value::Text(t))),
            "error_reply" => text(0).map(|t| {
                // What is more than one word begins with its code.
                let t = t.strip_prefix(b"-").unwrap_or(&t);
                let coded = t.contains(&b' ') || !self.visitor.server.version.at_least(7, 0);
                let code: &[u8] = if coded { b"" } else { b"ERR " };
                lua::Value::named("err", lua::Value::Text([code, t].concat().into()))
            }),
            "log" | "set_repl" | "replicate_commands" | "setresp" | "breakpoint" | "debug" => {
                Ok(lua::Value::Nil)
            }
            _ => Err(lua::Stop::Unknown),
        })
    }
}

impl Script<'_, '_> {
    /// A command of the server; where it fails, the script does, unless it is `protected`.
    fn command(&mut self, args: &[lua::Value], protected: bool, line: u32) -> Result<lua::Value, lua::Stop> {
        self.calls += 1;
        if self.calls > CALLS_MAX {
            return Err(lua::Stop::Unknown);
        }
        let version = self.visitor.server.version;
        // A string that stands in a table many times is kept once there, and once for each word here.
        let given: Option<Vec<Rc<[u8]>>> = args.iter().map(lua::Value::text).collect();
        let bytes = given.iter().flatten().map(|word| word.len() + OVERHEAD);
        if bytes.sum::<usize>() > CALL_BYTES_MAX {
            return Err(lua::Stop::Memory);
        }
        let plain = given.is_some();
        let words: Vec<Vec<u8>> = given.iter().flatten().map(|word| word.to_vec()).collect();
        let name = lower(words.first());
        let new = version.at_least(7, 0);
        let refused = match table::command(&name, version) {
            _ if !plain => Some("Lua redis lib command arguments must be strings or integers"),
            _ if words.is_empty() => Some("Please specify at least one argument for this redis.call()"),
            None if new => Some("Unknown Redis command called from script"),
            None => Some("Unknown Redis command called from Lua script"),
            Some(command) if !command.takes(words.len()) => {
                Some("Wrong number of args calling Redis command from script")
            }
            Some(command) if command.has("noscript") => Some("This Redis command is not allowed from script"),
            Some(_) => None,
        };
        let answer = match refused {
            Some(words) if new => Reply::Error(format!("ERR {words}")),
            Some(words) => Reply::Error(format!("@user_script: {line}: {words}")),
            None => self.visitor.execute(&name, &words),
        };
        match answer {
            Reply::Error(words) if !protected => {
                let sha = self.sha;
                let text = if new {
                    format!("{words} script: {sha}, on @user_script:{line}.")
                } else {
                    format!("ERR Error running script (call to f_{sha}): @user_script:{line}: {words} ")
                };
                Err(lua::Stop::Failed(lua::Value::named(
                    "err",
                    lua::Value::Text(text.into_bytes().into()),
                )))
            }
            answer => Ok(value(answer)),
        }
    }
}
