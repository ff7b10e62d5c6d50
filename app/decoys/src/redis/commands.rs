//! One visitor's conversation: who it is, what a command needs before it is run, and the commands that concern the
//! connection and the server. Those that concern data stand in `data.rs`, takeover sequences in `takeover.rs`.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use decnet_model::{
    clock::micros,
    event::{ClientInfoKind, Event, Secret},
};
use decnet_persona::bait;
use sha2::{Digest as _, Sha256};

use super::{
    Redis, RedisConfig,
    budget::{Budget, Measured, Unread},
    data, glob, info,
    keyspace::{DATABASES, Database, World, Worlds},
    more,
    table::{self, Version},
    takeover,
    wire::{Reply, number},
};
use crate::{
    Service as _,
    serve::{
        BuildError, Host, Peer, Tap,
        login::{Logins, Offer},
    },
};

/// The most commands that MULTI queues and what they take, channels that one visitor subscribes to, and bytes of a client's name.
const QUEUE_MAX: usize = 1024;
const QUEUE_BYTES_MAX: usize = 8 << 20;
const CHANNELS_MAX: usize = 1024;
const NAME_MAX: usize = 256;
/// How long a command waits that is to wait for ever, in seconds.
const FOREVER_S: f64 = 300.0;
/// How much of a command line is put together for a report; the event cuts it further.
const LINE_MAX: usize = 9 * 1024;

/// What protected mode says (`networking.c`).
const DENIED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password \
is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to \
connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode \
sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same \
host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG \
REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis \
configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started \
the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication \
password for the default user. NOTE: You only need to do one of the above things in order for the server to start \
accepting connections from the outside.\r\n";

/// What all visitors share.
pub(super) struct Server {
    pub(super) config: RedisConfig,
    pub(super) host: Arc<Host>,
    pub(super) version: Version,
    pub(super) version_text: String,
    pub(super) worlds: Worlds,
    /// Unix time in seconds at which the server was started: soon after the machine.
    pub(super) started: i64,
    pub(super) run_id: String,
    pub(super) replication_id: String,
    pub(super) connections: AtomicU64,
    pub(super) commands: AtomicU64,
    pub(super) unread: Unread,
    logins: Logins,
}

impl Server {
    pub(super) fn new(config: RedisConfig, host: &Arc<Host>) -> Result<Self, BuildError> {
        let version_text = Redis::program(&config, &host.persona)?.banner;
        let mut rng = host.persona.rng("redis/start");
        let started = host.persona.boot_time + i64::try_from(rng.range(6, 40)).unwrap_or(10);
        let now = host.clock.now();
        let bait = Database::of_bait(&bait::redis(&host.persona), micros(now) / 1000);
        let last_save = now
            .unix_timestamp()
            .saturating_sub(i64::try_from(rng.range(20, 3500)).unwrap_or(600));
        let password = config.requirepass.clone().unwrap_or_default();
        Ok(Self {
            version: Version::parse(&version_text),
            version_text,
            worlds: Worlds::new(World::new(bait, last_save.max(started))),
            started,
            run_id: host.persona.rng("redis/run-id").hex(40),
            replication_id: host.persona.rng("redis/replication-id").hex(40),
            connections: AtomicU64::new(rng.range(40, 9000)),
            commands: AtomicU64::new(rng.range(90_000, 4_000_000)),
            unread: Unread::default(),
            logins: Logins::with_accounts(
                &config.accept,
                &host.persona,
                vec![("default".to_owned(), password)],
            ),
            config,
            host: Arc::clone(host),
        })
    }

    /// What a visitor is told who may not even talk.
    pub(super) fn turns_away(&self, address: IpAddr) -> Option<&'static [u8]> {
        let open = self.config.requirepass.is_none();
        (self.config.protected_mode && open && !address.to_canonical().is_loopback()).then_some(DENIED)
    }

    /// Now, in milliseconds of Unix time.
    pub(super) fn now(&self) -> i64 {
        micros(self.host.clock.now()) / 1000
    }

    /// Where a key stands in this server's hash table.
    pub(super) fn order(&self, key: &[u8]) -> u64 {
        let salt = self.host.persona.secret("redis/hash-seed");
        let digest = Sha256::new().chain_update(salt).chain_update(key).finalize();
        digest.iter().take(8).fold(0, |sum, b| sum << 8 | u64::from(*b))
    }

    /// A setting as `address` sees it.
    pub(super) fn setting(&self, address: IpAddr, name: &str) -> Option<String> {
        let own = self
            .worlds
            .see(address, |world| world.settings.get(name).cloned());
        own.or_else(|| self.settings().find(|(n, _)| *n == name).map(|(_, value)| value))
    }

    /// All settings as the server was started with them.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'static str, String)> {
        table::settings(self.version).map(|(name, value)| {
            let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
            let value = match name {
                "requirepass" => self.config.requirepass.clone().unwrap_or_default(),
                "protected-mode" => yes_no(self.config.protected_mode),
                "enable-protected-configs" | "enable-module-command" | "enable-debug-command" => {
                    yes_no(!self.config.guarded)
                }
                "bind" if !self.version.at_least(6, 2) => "0.0.0.0".to_owned(),
                _ => value.to_owned(),
            };
            (name, value)
        })
    }
}

/// One visitor.
pub(super) struct Visitor<'a> {
    pub(super) server: &'a Server,
    pub(super) tap: Tap,
    pub(super) address: IpAddr,
    pub(super) database: usize,
    addr: SocketAddr,
    local: SocketAddr,
    id: u64,
    since: i64,
    resp: u8,
    name: Vec<u8>,
    user: Option<&'static str>,
    /// Whether the last command had a secret that was looked at, and so reported.
    offered: bool,
    queue: Option<Queue>,
    channels: BTreeSet<Vec<u8>>,
    patterns: BTreeSet<Vec<u8>>,
    quits: bool,
    /// What the answer to the last request may still take.
    pub(super) budget: Budget,
    /// How long the answer to the last command takes: it waits for what nobody writes.
    pub(super) patience: Option<std::time::Duration>,
}

/// What MULTI has queued.
#[derive(Default)]
struct Queue {
    commands: Vec<Vec<Vec<u8>>>,
    bytes: usize,
    spoilt: bool,
}

impl<'a> Visitor<'a> {
    pub(super) fn new(server: &'a Server, peer: &Peer, tap: Tap) -> Self {
        Self {
            server,
            tap,
            address: peer.addr().ip().to_canonical(),
            database: 0,
            addr: peer.addr(),
            local: peer.local(),
            id: server.connections.fetch_add(1, Ordering::Relaxed) + 1,
            since: server.now(),
            resp: 2,
            name: Vec::new(),
            user: server.config.requirepass.is_none().then_some("default"),
            offered: false,
            queue: None,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            quits: false,
            budget: Budget::of(0),
            patience: None,
        }
    }

    pub(super) fn local_port(&self) -> u16 {
        self.local.port()
    }

    pub(super) fn authenticated(&self) -> bool {
        self.user.is_some()
    }

    pub(super) fn quits(&self) -> bool {
        self.quits
    }

    /// Answer one command: its words, the first of which is its name.
    pub(super) fn answer(&mut self, words: &[Vec<u8>], out: &mut Vec<u8>) {
        self.server.commands.fetch_add(1, Ordering::Relaxed);
        let name = lower(words.first());
        // A secret is reported as one, and nowhere else.
        if name != "auth" {
            self.report(words);
        }
        self.offered = false;
        self.budget = Budget::of(self.server.unread.budget());
        let reply = self.reply(&name, words);
        if name == "auth" && !self.offered {
            self.report_untaken(words);
        }
        if self.quits && reply == Reply::Silent {
            // Hung up on: what waits to be sent is dropped with the connection.
            out.clear();
        }
        // Once, and not by doubling: a long answer takes its length and no more.
        out.reserve(reply.bytes());
        reply.write(self.resp, out);
    }

    fn report(&self, words: &[Vec<u8>]) {
        let database = self.database.to_string();
        self.tap.emit(Event::Command {
            line: &command_line(words),
            detail: &[("database", database.as_bytes())],
        });
    }

    /// Report an AUTH that was not looked at: the server's version does not take two words, or it was queued.
    fn report_untaken(&self, words: &[Vec<u8>]) {
        let (principal, password): (&[u8], &[u8]) = match words {
            [_, password] => (b"default", password),
            [_, user, password] => (user, password),
            _ => return self.report(words),
        };
        self.report_attempt(principal, password, false);
    }

    fn report_attempt(&self, principal: &[u8], password: &[u8], accepted: bool) {
        self.tap.emit(Event::AuthAttempt {
            principal,
            secret: Secret::Plaintext(password),
            mechanism: "AUTH",
            accepted,
        });
    }

    fn reply(&mut self, name: &str, words: &[Vec<u8>]) -> Reply {
        let version = self.server.version;
        if matches!(name, "post" | "host:") {
            // The server takes these for a browser that was tricked into talking to it, and hangs up.
            self.tap.emit(Event::Violation {
                what: "HTTP spoken to Redis",
                bytes: &command_line(words),
            });
            self.quits = true;
            return Reply::Silent;
        }
        let refused = match table::command(name, version) {
            None => Some(unknown_command(words, version)),
            Some(command) if !command.takes(words.len()) => Some(wrong_number(name)),
            Some(command) if command.is_container(version) => self.check_subcommand(name, words),
            Some(_) => None,
        };
        if let Some(refusal) = refused {
            if let Some(queue) = &mut self.queue {
                queue.spoilt = true;
            }
            return Reply::Error(refusal);
        }
        if self.user.is_none() && !matches!(name, "auth" | "hello" | "quit" | "reset") {
            return Reply::error("NOAUTH Authentication required.");
        }
        if self.subscribed() > 0
            && self.resp < 3
            && !matches!(
                name,
                "subscribe"
                    | "unsubscribe"
                    | "psubscribe"
                    | "punsubscribe"
                    | "ssubscribe"
                    | "sunsubscribe"
                    | "ping"
                    | "quit"
                    | "reset"
            )
        {
            return Reply::Error(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            ));
        }
        if self.queue.is_some() && !matches!(name, "multi" | "exec" | "discard" | "watch" | "quit" | "reset")
        {
            return self.enqueue(words);
        }
        let reply = self.execute(name, words);
        if matches!(reply, Reply::Nil | Reply::NilArray)
            && let Some(seconds) = more::patience(name, words)
        {
            // For ever is until the visitor goes, or a limit of the decoy's is reached.
            let seconds = if seconds > 0.0 {
                seconds.min(FOREVER_S)
            } else {
                FOREVER_S
            };
            self.patience = std::time::Duration::try_from_secs_f64(seconds).ok();
        }
        reply
    }

    fn check_subcommand(&self, name: &str, words: &[Vec<u8>]) -> Option<String> {
        let version = self.server.version;
        let Some(word) = words.get(1) else {
            // Only COMMAND may come alone.
            return None;
        };
        let sub = lower(Some(word));
        let found = table::command(&format!("{name}|{sub}"), version);
        let fits = found.is_some_and(|command| command.takes(words.len()));
        if fits {
            return None;
        }
        let shown = shown(word);
        let container = name.to_ascii_uppercase();
        Some(if !version.at_least(7, 0) {
            format!(
                "ERR Unknown subcommand or wrong number of arguments for '{shown}'. Try {container} HELP."
            )
        } else if found.is_some() {
            wrong_number(&format!("{name}|{sub}"))
        } else {
            format!("ERR unknown subcommand '{shown}'. Try {container} HELP.")
        })
    }

    /// Run a command whose number of words is right, within what is left of the answer's budget.
    pub(super) fn execute(&mut self, name: &str, words: &[Vec<u8>]) -> Reply {
        if name == "exec" {
            // Each of its commands is counted by itself.
            return self.exec();
        }
        let before = self.budget.left();
        let reply = self.run(name, words);
        self.budget.settle(before, reply)
    }

    fn run(&mut self, name: &str, words: &[Vec<u8>]) -> Reply {
        let args = words.get(1..).unwrap_or_default();
        if let Some(refusal) = self.cannot_write(name) {
            return refusal;
        }
        match name {
            "ping" => self.ping(args),
            "echo" => args.first().map_or(Reply::Nil, Reply::bulk),
            "quit" => {
                self.quits = true;
                Reply::OK
            }
            "auth" => self.auth(args),
            "hello" => self.hello(args),
            "reset" => self.reset(),
            "select" => self.select(args),
            "client" => self.client(args),
            "acl" => self.acl(args),
            "command" => self.command(args),
            "multi" if self.queue.is_some() => Reply::error("ERR MULTI calls can not be nested"),
            "multi" => {
                self.queue = Some(Queue::default());
                Reply::OK
            }
            "discard" => match self.queue.take() {
                Some(_) => Reply::OK,
                None => Reply::error("ERR DISCARD without MULTI"),
            },
            "watch" if self.queue.is_some() => Reply::error("ERR WATCH inside MULTI is not allowed"),
            "watch" | "unwatch" | "readonly" | "readwrite" => Reply::OK,
            "subscribe" | "psubscribe" | "unsubscribe" | "punsubscribe" => self.subscriptions(name, args),
            "publish" | "spublish" | "wait" => Reply::Int(0),
            "pubsub" => Reply::Array(Vec::new()),
            "monitor" => Reply::OK,
            "info" => info::info(self, args),
            "time" => {
                let now = micros(self.server.host.clock.now());
                Reply::bulks([(now / 1_000_000).to_string(), (now % 1_000_000).to_string()])
            }
            "role" => self.role(),
            "slowlog" | "latency" | "memory" | "cluster" | "object" if asks_help(args) => help(name),
            "slowlog" => match lower(args.first()).as_str() {
                "len" => Reply::Int(0),
                "reset" => Reply::OK,
                _ => Reply::Array(Vec::new()),
            },
            "latency" => match lower(args.first()).as_str() {
                "reset" => Reply::Int(0),
                "doctor" => Reply::Verbatim(LATENCY_DOCTOR.to_vec()),
                _ => Reply::Array(Vec::new()),
            },
            "cluster" => Reply::error("ERR This instance has cluster support disabled"),
            "memory" if lower(args.first()) == "doctor" => Reply::Verbatim(MEMORY_DOCTOR.to_vec()),
            _ => takeover::execute(self, name, args)
                .or_else(|| data::execute(self, name, args))
                .unwrap_or_else(|| fallback(name, self.server.version)),
        }
    }

    fn cannot_write(&self, name: &str) -> Option<Reply> {
        let command = table::command(name, self.server.version).filter(|c| c.has("write"))?;
        let (replica, full) = self
            .server
            .worlds
            .see(self.address, |w| (w.master.is_some(), w.full()));
        if replica {
            return Some(Reply::error(
                "READONLY You can't write against a read only replica.",
            ));
        }
        (full && command.has("denyoom")).then(out_of_memory)
    }

    fn ping(&self, args: &[Vec<u8>]) -> Reply {
        if args.len() > 1 {
            return Reply::Error(wrong_number("ping"));
        }
        if self.subscribed() > 0 && self.resp < 3 {
            let echo = args.first().cloned().unwrap_or_default();
            return Reply::Array(vec![Reply::bulk("pong"), Reply::Bulk(echo)]);
        }
        args.first().map_or(Reply::Status("PONG"), Reply::bulk)
    }

    fn auth(&mut self, args: &[Vec<u8>]) -> Reply {
        let version = self.server.version;
        let (user, password): (&[u8], &[u8]) = match args {
            [password] => (b"default", password),
            [user, password] if version.at_least(6, 0) => (user, password),
            _ if version.at_least(6, 0) => return Reply::error("ERR syntax error"),
            _ => return Reply::Error(wrong_number("auth")),
        };
        let open = self.server.config.requirepass.is_none();
        let accepted = if open {
            // The default user has no password: any will do, where one names it.
            args.len() == 2 && user == b"default"
        } else {
            user == b"default"
                && self
                    .server
                    .logins
                    .admits(self.address, user, &Offer::Password(password))
        };
        self.report_attempt(user, password, accepted);
        self.offered = true;
        if accepted {
            self.user = Some("default");
            return Reply::OK;
        }
        Reply::error(match (open && args.len() == 1, version.at_least(6, 0)) {
            (true, true) => {
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
            }
            (true, false) => "ERR Client sent AUTH, but no password is set",
            (false, false) => "ERR invalid password",
            (false, true) if version.at_least(6, 2) => {
                "WRONGPASS invalid username-password pair or user is disabled."
            }
            (false, true) => "WRONGPASS invalid username-password pair",
        })
    }

    fn hello(&mut self, args: &[Vec<u8>]) -> Reply {
        let mut resp = self.resp;
        let mut rest = args;
        if let Some((wanted, tail)) = args.split_first() {
            match number(wanted) {
                None if self.server.version.at_least(6, 2) => {
                    return Reply::error("ERR Protocol version is not an integer or out of range");
                }
                Some(2) => resp = 2,
                Some(3) => resp = 3,
                _ => return Reply::error("NOPROTO unsupported protocol version"),
            }
            rest = tail;
        }
        let mut name = None;
        while let Some((option, tail)) = rest.split_first() {
            rest = match (lower(Some(option)).as_str(), tail) {
                ("auth", [_, _, after @ ..]) => {
                    let refusal = self.auth(tail.get(..2).unwrap_or_default());
                    if let Reply::Error(_) = refusal {
                        return refusal;
                    }
                    after
                }
                ("setname", [given, after @ ..]) => {
                    name = Some(given);
                    after
                }
                _ => {
                    return Reply::Error(format!("ERR Syntax error in HELLO option '{}'", shown(option)));
                }
            };
        }
        if self.user.is_none() {
            return Reply::error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
            );
        }
        if let Some(name) = name
            && let Err(refusal) = self.set_name(name)
        {
            return refusal;
        }
        self.resp = resp;
        let replica = self.server.worlds.see(self.address, |w| w.master.is_some());
        Reply::Map(vec![
            (Reply::bulk("server"), Reply::bulk("redis")),
            (Reply::bulk("version"), Reply::bulk(&self.server.version_text)),
            (Reply::bulk("proto"), Reply::Int(resp.into())),
            (
                Reply::bulk("id"),
                Reply::Int(i64::try_from(self.id).unwrap_or(i64::MAX)),
            ),
            (Reply::bulk("mode"), Reply::bulk("standalone")),
            (
                Reply::bulk("role"),
                Reply::bulk(if replica { "replica" } else { "master" }),
            ),
            (Reply::bulk("modules"), Reply::Array(Vec::new())),
        ])
    }

    fn reset(&mut self) -> Reply {
        self.queue = None;
        self.channels.clear();
        self.patterns.clear();
        self.database = 0;
        self.resp = 2;
        self.name.clear();
        self.user = self.server.config.requirepass.is_none().then_some("default");
        Reply::Status("RESET")
    }

    fn select(&mut self, args: &[Vec<u8>]) -> Reply {
        let Some(n) = args.first().and_then(|n| number(n)) else {
            return Reply::error(if self.server.version.at_least(6, 2) {
                NOT_AN_INTEGER
            } else {
                "ERR invalid DB index"
            });
        };
        match usize::try_from(n).ok().filter(|n| *n < DATABASES) {
            Some(n) => {
                self.database = n;
                Reply::OK
            }
            None => Reply::error("ERR DB index is out of range"),
        }
    }

    fn set_name(&mut self, name: &[u8]) -> Result<(), Reply> {
        if !name.iter().all(|b| (b'!'..=b'~').contains(b)) {
            return Err(Reply::error(
                "ERR Client names cannot contain spaces, newlines or special characters.",
            ));
        }
        self.tap.emit(Event::ClientInfo {
            kind: ClientInfoKind::ClientName,
            value: name,
        });
        self.name = name.get(..NAME_MAX).unwrap_or(name).to_vec();
        Ok(())
    }

    fn client(&mut self, args: &[Vec<u8>]) -> Reply {
        match lower(args.first()).as_str() {
            "id" => Reply::Int(i64::try_from(self.id).unwrap_or(i64::MAX)),
            "getname" if self.name.is_empty() => Reply::Nil,
            "getname" => Reply::bulk(&self.name),
            "setname" => match self.set_name(args.get(1).map_or(&[], Vec::as_slice)) {
                Ok(()) => Reply::OK,
                Err(refusal) => refusal,
            },
            "list" => Reply::Verbatim(self.client_line("client|list")),
            "info" => Reply::Verbatim(self.client_line("client|info")),
            "kill" => match args {
                [_, addr] if addr == self.addr.to_string().as_bytes() => {
                    self.quits = true;
                    Reply::OK
                }
                [_, _] => Reply::error("ERR No such client"),
                _ => Reply::Int(0),
            },
            "getredir" => Reply::Int(-1),
            "unblock" => Reply::Int(0),
            "trackinginfo" => Reply::Map(vec![
                (Reply::bulk("flags"), Reply::Set(vec![Reply::bulk("off")])),
                (Reply::bulk("redirect"), Reply::Int(-1)),
                (Reply::bulk("prefixes"), Reply::Array(Vec::new())),
            ]),
            "help" => help("client"),
            _ => Reply::OK,
        }
    }

    /// The visitor's line in CLIENT LIST.
    fn client_line(&self, command: &str) -> Vec<u8> {
        let version = self.server.version;
        let age = (self.server.now() - self.since).max(0) / 1000;
        // Descriptors 0 to 7 are the server's own; the same client keeps the same one.
        let descriptor = 8 + self.id % 7;
        let head = if version.at_least(6, 2) {
            format!(
                "id={} addr={} laddr={} fd={descriptor} name=",
                self.id, self.addr, self.local
            )
        } else {
            format!("id={} addr={} fd={descriptor} name=", self.id, self.addr)
        };
        let mut line = head.into_bytes();
        line.extend_from_slice(&self.name);
        let (sub, psub) = (self.channels.len(), self.patterns.len());
        let flags = if sub + psub > 0 { "P" } else { "N" };
        let db = self.database;
        let tail = if version.at_least(7, 0) {
            format!(
                " age={age} idle=0 flags={flags} db={db} sub={sub} psub={psub} ssub=0 multi=-1 qbuf=26 qbuf-free=20448 argv-mem=10 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=0 omem=0 tot-mem=22298 events=r cmd={command} user=default redir=-1 resp={}\n",
                self.resp
            )
        } else {
            let command = command.split('|').next().unwrap_or(command);
            let user = if version.at_least(6, 0) {
                " user=default"
            } else {
                ""
            };
            format!(
                " age={age} idle=0 flags={flags} db={db} sub={sub} psub={psub} multi=-1 qbuf=26 qbuf-free=32742 obl=0 oll=0 omem=0 events=r cmd={command}{user}\n"
            )
        };
        line.extend_from_slice(tail.as_bytes());
        line
    }

    fn acl(&self, args: &[Vec<u8>]) -> Reply {
        let channels = if self.server.version.at_least(6, 2) {
            " &*"
        } else {
            ""
        };
        match lower(args.first()).as_str() {
            "whoami" => Reply::bulk(self.user.unwrap_or("default")),
            "users" => Reply::bulks(["default"]),
            "list" => {
                let secret = match &self.server.config.requirepass {
                    None => "nopass".to_owned(),
                    Some(password) => format!("#{}", hex::encode(Sha256::digest(password.as_bytes()))),
                };
                Reply::bulks([format!("user default on {secret} ~*{channels} +@all")])
            }
            "cat" => Reply::bulks(CATEGORIES),
            "genpass" => {
                let bytes: [u8; 32] = rand::random();
                Reply::bulk(hex::encode(bytes))
            }
            "getuser" if args.get(1).is_none_or(|name| name != b"default") => Reply::Nil,
            "getuser" => Reply::Map(vec![
                (Reply::bulk("flags"), Reply::Set(vec![Reply::bulk("on")])),
                (Reply::bulk("passwords"), Reply::Array(Vec::new())),
                (Reply::bulk("commands"), Reply::bulk("+@all")),
                (Reply::bulk("keys"), Reply::bulk("~*")),
                (Reply::bulk("channels"), Reply::bulk("&*")),
                (Reply::bulk("selectors"), Reply::Array(Vec::new())),
            ]),
            "deluser" => Reply::Int(0),
            "log" if args.len() == 1 => Reply::Array(Vec::new()),
            "load" | "save" => Reply::error(
                "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
            ),
            "help" => help("acl"),
            _ => Reply::OK,
        }
    }

    fn command(&self, args: &[Vec<u8>]) -> Reply {
        let version = self.server.version;
        let named = |names: &[Vec<u8>]| -> Vec<Option<&'static table::Command>> {
            names
                .iter()
                .take(QUEUE_MAX)
                .map(|name| table::command(&lower(Some(name)), version))
                .collect()
        };
        let rest = args.get(1..).unwrap_or_default();
        match lower(args.first()).as_str() {
            "" => Reply::Array(table::commands(version).map(|c| c.describe(version)).collect()),
            "count" => Reply::count(table::commands(version).count()),
            "list" => Reply::bulks(table::commands(version).map(|c| c.name)),
            "info" if rest.is_empty() => {
                Reply::Array(table::commands(version).map(|c| c.describe(version)).collect())
            }
            "info" => {
                let missing = if version.at_least(7, 0) {
                    Reply::Nil
                } else {
                    Reply::NilArray
                };
                let mut entries = Vec::new();
                for command in named(rest) {
                    let entry = command.map_or(missing.clone(), |c| c.describe(version));
                    if let Err(refusal) = self.budget.charge(&entry) {
                        return refusal;
                    }
                    entries.push(entry);
                }
                Reply::Array(entries)
            }
            "docs" if rest.is_empty() => {
                Reply::Map(table::commands(version).map(table::Command::document).collect())
            }
            "docs" => Reply::Map(
                named(rest)
                    .into_iter()
                    .flatten()
                    .map(table::Command::document)
                    .collect(),
            ),
            "help" => help("command"),
            _ => Reply::error("ERR The command has no key arguments"),
        }
    }

    fn enqueue(&mut self, words: &[Vec<u8>]) -> Reply {
        let Some(queue) = &mut self.queue else {
            return Reply::OK;
        };
        // Words of no bytes take memory, too.
        let bytes: usize = words.iter().map(Measured::bytes).sum();
        if queue.commands.len() >= QUEUE_MAX || queue.bytes + bytes > QUEUE_BYTES_MAX {
            queue.spoilt = true;
            return out_of_memory();
        }
        queue.bytes += bytes;
        queue.commands.push(words.to_vec());
        Reply::Status("QUEUED")
    }

    fn exec(&mut self) -> Reply {
        match self.queue.take() {
            None => Reply::error("ERR EXEC without MULTI"),
            Some(queue) if queue.spoilt => {
                Reply::error("EXECABORT Transaction discarded because of previous errors.")
            }
            Some(queue) => {
                let commands = queue.commands.iter();
                Reply::Array(
                    commands
                        .map(|words| self.execute(&lower(words.first()), words))
                        .collect(),
                )
            }
        }
    }

    fn subscribed(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    fn subscriptions(&mut self, name: &str, args: &[Vec<u8>]) -> Reply {
        let off = name.contains("unsub");
        let of_patterns = name.starts_with('p');
        let own = if of_patterns {
            &self.patterns
        } else {
            &self.channels
        };
        let wanted: Vec<Option<Vec<u8>>> = if !args.is_empty() {
            args.iter().cloned().map(Some).collect()
        } else if own.is_empty() {
            vec![None]
        } else {
            own.iter().cloned().map(Some).collect()
        };
        let mut replies = Vec::new();
        for channel in wanted {
            let own = if of_patterns {
                &mut self.patterns
            } else {
                &mut self.channels
            };
            if let Some(channel) = &channel {
                if off {
                    own.remove(channel);
                } else if own.len() < CHANNELS_MAX {
                    own.insert(channel.get(..QUEUE_MAX).unwrap_or(channel).to_vec());
                }
            }
            replies.push(Reply::Push(vec![
                Reply::bulk(name),
                channel.map_or(Reply::Nil, Reply::Bulk),
                Reply::count(self.subscribed()),
            ]));
        }
        Reply::Several(replies)
    }

    fn role(&self) -> Reply {
        match self.server.worlds.see(self.address, |w| w.master.clone()) {
            None => Reply::Array(vec![
                Reply::bulk("master"),
                Reply::Int(0),
                Reply::Array(Vec::new()),
            ]),
            Some((host, port)) => Reply::Array(vec![
                Reply::bulk("slave"),
                Reply::bulk(host),
                Reply::Int(port.into()),
                Reply::bulk("connect"),
                Reply::Int(-1),
            ]),
        }
    }

    /// Look at the data that the visitor has selected.
    pub(super) fn see<T>(&self, look: impl FnOnce(&Database) -> T) -> Option<T> {
        let n = self.database;
        self.server
            .worlds
            .see(self.address, |world| world.databases.get(n).map(look))
    }

    /// Change the data that the visitor has selected.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Database) -> T) -> Option<T> {
        let n = self.database;
        self.server.worlds.change(self.address, |world| {
            world.changes += 1;
            world.database_mut(n).map(change)
        })
    }

    /// Settings that match one of `patterns`.
    pub(super) fn settings_like(&self, patterns: &[Vec<u8>]) -> Vec<(Reply, Reply)> {
        let own = self
            .server
            .worlds
            .see(self.address, |world| world.settings.clone());
        let mut found: Vec<(&'static str, String)> = self
            .server
            .settings()
            .filter(|(name, _)| patterns.iter().any(|p| glob::matches(p, name.as_bytes(), true)))
            .map(|(name, value)| (name, own.get(name).cloned().unwrap_or(value)))
            .collect();
        if self.server.version.at_least(7, 0) {
            // From version 7 on, settings stand in a hash table with a seed of its own.
            found.sort_by_cached_key(|(name, _)| self.server.order(name.as_bytes()));
        }
        found
            .into_iter()
            .map(|(name, value)| (Reply::bulk(name), Reply::bulk(value)))
            .collect()
    }
}

pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

const LATENCY_DOCTOR: &[u8] = b"I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it.\n";
const MEMORY_DOCTOR: &[u8] = b"Hi Sam, this instance is empty or is using very little memory, my issue detector can't be used in these conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I will be back to our programming as soon as I finished rebooting.\n";

const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The word in lower case; what is not UTF-8 matches no command.
pub(super) fn lower(word: Option<&Vec<u8>>) -> String {
    let word = word.map_or(&[][..], Vec::as_slice);
    let head = word.get(..128).unwrap_or(word);
    String::from_utf8_lossy(head).to_ascii_lowercase()
}

/// At most 128 characters of a visitor's word, as errors repeat it.
pub(super) fn shown(word: &[u8]) -> String {
    let head = word.get(..128).unwrap_or(word);
    let head = head.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(head).into_owned()
}

pub(super) fn wrong_number(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}

pub(super) fn out_of_memory() -> Reply {
    Reply::error("OOM command not allowed when used memory > 'maxmemory'.")
}

fn asks_help(args: &[Vec<u8>]) -> bool {
    args.first()
        .is_some_and(|word| word.eq_ignore_ascii_case(b"help"))
}

fn unknown_command(words: &[Vec<u8>], version: Version) -> String {
    let name = words.first().map_or_else(String::new, |word| shown(word));
    let new = version.at_least(7, 0);
    let mut args = String::new();
    for word in words.iter().skip(1) {
        if args.len() >= 128 {
            break;
        }
        let room = 128 - args.len();
        let word = shown(word.get(..room).unwrap_or(word));
        args.push_str(&if new {
            format!("'{word}' ")
        } else {
            format!("`{word}`, ")
        });
    }
    if new {
        format!("ERR unknown command '{name}', with args beginning with: {args}")
    } else {
        format!("ERR unknown command `{name}`, with args beginning with: {args}")
    }
}

/// What a command that is known and not played gets: a server that is short of memory, or holds nothing of the kind.
fn fallback(name: &str, version: Version) -> Reply {
    let writes = table::command(name, version).is_some_and(|c| c.has("write"));
    if writes {
        out_of_memory()
    } else {
        Reply::Array(Vec::new())
    }
}

/// The lines of `OBJECT HELP`, as 7.0 has them.
const OBJECT_HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Prints this help.",
];

/// The beginning of every HELP.
fn help(name: &str) -> Reply {
    if name == "object" {
        return Reply::Array(OBJECT_HELP.iter().map(|line| Reply::Status(line)).collect());
    }
    let container = name.to_ascii_uppercase();
    let head = format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    Reply::Array(vec![
        Reply::Text(head),
        Reply::Status("HELP"),
        Reply::Status("    Print this help."),
    ])
}

/// A command line as `MONITOR` would show it, without the quotes where none are needed.
fn command_line(words: &[Vec<u8>]) -> Vec<u8> {
    let mut line = Vec::new();
    for word in words {
        if !line.is_empty() {
            line.push(b' ');
        }
        if line.len() > LINE_MAX {
            break;
        }
        let part = word.get(..LINE_MAX).unwrap_or(word);
        if part.is_empty() || part.iter().any(u8::is_ascii_whitespace) {
            line.push(b'"');
            line.extend(part.iter().flat_map(|b| match b {
                b'"' | b'\\' => vec![b'\\', *b],
                b => vec![*b],
            }));
            line.push(b'"');
        } else {
            line.extend_from_slice(part);
        }
    }
    line
}
