//! The commands by which an open server is taken over, answered as a server that lets itself be: settings that aim
//! the dump at a crontab or a key file, replication from a rogue master, modules, scripts that leave the sandbox.
//!
//! Each is reported by name, and what the dump would have put on the disk is captured.

use decnet_model::event::Event;
use sha1::{Digest as _, Sha1};

use super::{
    commands::{NOT_AN_INTEGER, Visitor, lower, shown, wrong_number},
    keyspace::Database,
    script, table,
    wire::{Reply, number},
};

/// Folders that a server which runs as root can change to.
const FOLDERS: [&str; 20] = [
    "/",
    "/root",
    "/root/.ssh",
    "/home",
    "/etc",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/cron.hourly",
    "/etc/init.d",
    "/var",
    "/var/lib",
    "/var/lib/redis",
    "/var/spool",
    "/var/spool/cron",
    "/var/spool/cron/crontabs",
    "/var/log",
    "/var/www",
    "/var/www/html",
    "/tmp",
    "/var/tmp",
];

/// Answer `name`, if it is one of these commands.
pub(super) fn execute(visitor: &mut Visitor<'_>, name: &str, args: &[Vec<u8>]) -> Option<Reply> {
    Some(match name {
        "config" => config(visitor, args),
        "save" => {
            save(visitor);
            Reply::OK
        }
        "bgsave" => {
            save(visitor);
            Reply::Status("Background saving started")
        }
        "bgrewriteaof" => Reply::Status("Background append only file rewriting started"),
        "lastsave" => Reply::Int(visitor.server.worlds.see(visitor.address, |w| w.last_save)),
        "slaveof" | "replicaof" => replicate(visitor, name, args),
        "replconf" => Reply::OK,
        "module" => module(visitor, args),
        "debug" => debug(visitor, args),
        "eval" | "eval_ro" => script::eval(visitor, args),
        "evalsha" | "evalsha_ro" => Reply::error("NOSCRIPT No matching script. Please use EVAL."),
        "script" => scripts(visitor, args),
        "migrate" => migrate(visitor, args),
        "shutdown" => {
            visitor.tap.emit(Event::Exploit {
                name: "redis-shutdown",
                bytes: b"SHUTDOWN",
            });
            Reply::error("ERR Errors trying to SHUTDOWN. Check logs.")
        }
        _ => return None,
    })
}

fn config(visitor: &mut Visitor<'_>, args: &[Vec<u8>]) -> Reply {
    let rest = args.get(1..).unwrap_or_default();
    match lower(args.first()).as_str() {
        "get" => Reply::Map(visitor.settings_like(rest)),
        "set" => set(visitor, rest),
        "help" => Reply::bulks(["CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]),
        // RESETSTAT and REWRITE.
        _ => Reply::OK,
    }
}

fn set(visitor: &mut Visitor<'_>, pairs: &[Vec<u8>]) -> Reply {
    let version = visitor.server.version;
    let new = version.at_least(7, 0);
    if !pairs.len().is_multiple_of(2) {
        return Reply::error(if new {
            "ERR wrong number of arguments for 'config|set' command"
        } else {
            "ERR Unknown subcommand or wrong number of arguments for 'set'. Try CONFIG HELP."
        });
    }
    let mut checked = Vec::new();
    for pair in pairs.chunks(2) {
        let [name, value] = pair else { continue };
        let known = lower(Some(name));
        if !table::settings(version).any(|(setting, _)| setting == known) {
            return Reply::Error(if new {
                format!(
                    "ERR Unknown option or number of arguments for CONFIG SET - '{}'",
                    shown(name)
                )
            } else {
                format!("ERR Unsupported CONFIG parameter: {}", shown(name))
            });
        }
        aims(visitor, &known, value);
        if let Err(problem) = allowed(visitor, &known, value) {
            return Reply::Error(if new {
                format!("ERR CONFIG SET failed (possibly related to argument '{known}') - {problem}")
            } else if known == "dir" {
                format!("ERR Changing directory: {problem}")
            } else {
                format!("ERR Invalid argument '{}' for CONFIG SET '{known}'", shown(value))
            });
        }
        checked.push((known, shown(value)));
    }
    visitor
        .server
        .worlds
        .change(visitor.address, |world| world.settings.extend(checked));
    Reply::OK
}

/// Report a setting that prepares a takeover.
fn aims(visitor: &Visitor<'_>, name: &str, value: &[u8]) {
    let exploit = match name {
        "dir" | "dbfilename" => "redis-dump-to-file",
        "protected-mode" | "requirepass" | "slave-read-only" | "replica-read-only" => "redis-reconfigure",
        _ => return,
    };
    let bytes = [b"CONFIG SET ", name.as_bytes(), b" ", value].concat();
    visitor.tap.emit(Event::Exploit {
        name: exploit,
        bytes: &bytes,
    });
}

fn allowed(visitor: &Visitor<'_>, name: &str, value: &[u8]) -> Result<(), &'static str> {
    let server = visitor.server;
    let guarded = server.config.guarded && server.version.at_least(7, 0);
    match name {
        "dir" | "dbfilename" if guarded => Err("can't set protected config"),
        "daemonize" | "port" | "databases" | "unixsocket" | "logfile" | "supervised"
            if server.version.at_least(7, 0) && (name != "port") =>
        {
            Err("can't set immutable config")
        }
        "dir" => exists(visitor, value),
        "dbfilename" if value.contains(&b'/') => Err("dbfilename can't be a path, just a filename"),
        _ => Ok(()),
    }
}

fn exists(visitor: &Visitor<'_>, folder: &[u8]) -> Result<(), &'static str> {
    let folder = std::str::from_utf8(folder).map_err(|_| "No such file or directory")?;
    let trimmed = match folder.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    };
    let users = &visitor.server.host.persona.users;
    let of_user = users
        .iter()
        .any(|u| trimmed == u.home || trimmed.strip_suffix("/.ssh") == Some(&u.home));
    let known = FOLDERS.contains(&trimmed) || of_user || trimmed == ".";
    if known {
        Ok(())
    } else {
        Err("No such file or directory")
    }
}

/// SAVE and its like: what a visitor put into the data set would stand in the file now.
fn save(visitor: &Visitor<'_>) {
    let server = visitor.server;
    let now = server.now() / 1000;
    let payload: Vec<u8> = server.worlds.see(visitor.address, |world| {
        let strings: Vec<&[u8]> = world
            .databases
            .iter()
            .flat_map(Database::foreign_strings)
            .collect();
        strings.join(&b'\n')
    });
    server.worlds.change(visitor.address, |world| {
        world.last_save = now;
        world.changes = 0;
    });
    if payload.is_empty() {
        return;
    }
    let setting = |name: &str| server.setting(visitor.address, name).unwrap_or_default();
    let path = format!(
        "{}/{}",
        setting("dir").trim_end_matches('/'),
        setting("dbfilename")
    );
    visitor.tap.emit(Event::Exploit {
        name: "redis-dump-to-file",
        bytes: format!("SAVE to {path}").as_bytes(),
    });
    let mut capture = visitor.tap.artifact(path.as_bytes(), "redis-save", b"default");
    capture.write(&payload);
    capture.finish();
}

fn replicate(visitor: &Visitor<'_>, name: &str, args: &[Vec<u8>]) -> Reply {
    let [host, port] = args else {
        return Reply::Error(wrong_number(name));
    };
    let off = host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one");
    if off {
        visitor
            .server
            .worlds
            .change(visitor.address, |world| world.master = None);
        return Reply::OK;
    }
    let Some(number) = number(port).and_then(|port| u16::try_from(port).ok()) else {
        return Reply::error(if visitor.server.version.at_least(7, 0) {
            "ERR Invalid master port"
        } else {
            NOT_AN_INTEGER
        });
    };
    let target = [host.as_slice(), b":", port].concat();
    visitor.tap.emit(Event::Exploit {
        name: "redis-rogue-master",
        bytes: &target,
    });
    visitor.tap.emit(Event::ForwardRefused {
        via: "SLAVEOF",
        target: &target,
    });
    let master = (shown(host), number);
    visitor
        .server
        .worlds
        .change(visitor.address, |world| world.master = Some(master));
    Reply::OK
}

fn module(visitor: &Visitor<'_>, args: &[Vec<u8>]) -> Reply {
    let server = visitor.server;
    let guarded = server.config.guarded && server.version.at_least(7, 0);
    let lists = matches!(lower(args.first()).as_str(), "list" | "help");
    if guarded && !lists {
        report_module(visitor, args);
        return Reply::error(
            "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
        );
    }
    match lower(args.first()).as_str() {
        "list" => Reply::Array(Vec::new()),
        "load" | "loadex" => {
            report_module(visitor, args);
            Reply::error("ERR Error loading the extension. Please check the server logs.")
        }
        "unload" => Reply::error("ERR Error unloading module: no such module with that name"),
        _ => Reply::bulks(["MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]),
    }
}

fn report_module(visitor: &Visitor<'_>, args: &[Vec<u8>]) {
    visitor.tap.emit(Event::Exploit {
        name: "redis-module-load",
        bytes: &args.join(&b' '),
    });
}

fn debug(visitor: &Visitor<'_>, args: &[Vec<u8>]) -> Reply {
    visitor.tap.emit(Event::Exploit {
        name: "redis-debug",
        bytes: &args.join(&b' '),
    });
    let server = visitor.server;
    if server.config.guarded && server.version.at_least(7, 0) {
        return Reply::error(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
        );
    }
    match lower(args.first()).as_str() {
        "sleep" | "jmap" | "reload" | "loadaof" | "set-active-expire" | "quicklist-packed-threshold" => {
            Reply::OK
        }
        "object" => Reply::error("ERR no such key"),
        // A server that crashed would be gone; this one was started again by its supervisor before anybody looked.
        "segfault" | "panic" | "oom" | "restart" | "crash-and-recover" | "assert" => Reply::Silent,
        _ => Reply::Error(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP.",
            shown(args.first().map_or(&[], Vec::as_slice))
        )),
    }
}

fn scripts(visitor: &Visitor<'_>, args: &[Vec<u8>]) -> Reply {
    let rest = args.get(1..).unwrap_or_default();
    match lower(args.first()).as_str() {
        "load" => {
            let code = rest.first().map_or(&[][..], Vec::as_slice);
            visitor.tap.emit(Event::Exploit {
                name: "redis-eval",
                bytes: code,
            });
            Reply::bulk(hex::encode(Sha1::digest(code)))
        }
        "exists" => Reply::Array(rest.iter().map(|_| Reply::Int(0)).collect()),
        "kill" => Reply::error("NOTBUSY No scripts in execution right now."),
        _ => Reply::OK,
    }
}

fn migrate(visitor: &Visitor<'_>, args: &[Vec<u8>]) -> Reply {
    let target = args.get(..2).unwrap_or_default().join(&b':');
    visitor.tap.emit(Event::ForwardRefused {
        via: "MIGRATE",
        target: &target,
    });
    let key = args.get(2).map_or(&[][..], Vec::as_slice);
    let now = visitor.server.now();
    if visitor.see(|db| db.get(key, now).is_some()) == Some(true) {
        Reply::error("IOERR error or timeout connecting to the client")
    } else {
        Reply::Status("NOKEY")
    }
}
