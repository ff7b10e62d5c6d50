//! The handshake and the commands of one connection.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};
use decnet_model::event::{ClientInfoKind, Event, Secret};
use decnet_persona::{Product, bait};
use rand::Rng as _;
use rcgen::DnType;
use rsa::{Oaep, RsaPrivateKey, pkcs8::EncodePublicKey as _};
use sha1::{Digest as _, Sha1};

use super::{
    Mysql, MysqlConfig, command,
    packet::{First, Format, Login, Out, Reader},
    prepared::{self, Misfit, Statement},
    sql::{self, Asker, Database, Flavour, Outcome, SqlError},
};
use crate::{
    Service as _,
    serve::{
        BuildError, Decoy, Full, Host, Peer, Room, SessionError, Tap,
        artifact::Capture,
        login::{Logins, Offer},
        tls::{Ahead, Identity, Look, Tls},
    },
};

/// The longest packet before somebody has signed in.
const LOGIN_MAX: usize = 64 * 1024;
/// The longest command. The product takes 16 MiB; nobody needs that against bait, and a connection's memory is bounded.
const COMMAND_MAX: usize = 1 << 20;
/// `connect_timeout` and `wait_timeout`.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const WAIT_PATIENCE: Duration = Duration::from_secs(28_800);

/// How long MariaDB lets somebody wait who could not become another user, and how often it looks at such a wish at all
/// (`failed_com_change_user` in `sql_parse.cc`). MySQL hangs up after the first one.
const CHANGE_PAUSE: Duration = Duration::from_secs(1);
const CHANGES_MAX: u32 = 3;
/// Values that are captured at the same time, each in a file of its own.
const CAPTURES_MAX: usize = 16;

const NATIVE: &str = "mysql_native_password";
const CACHING: &str = "caching_sha2_password";

/// What all visitors share.
pub(super) struct Server {
    database: Database,
    logins: Logins,
    host: Arc<Host>,
    tls: Option<Tls>,
    /// The key that MySQL 8 has passwords encrypted with; made when the first client asks for it.
    rsa: OnceLock<Option<RsaPrivateKey>>,
    greeting_version: String,
    connections: AtomicU32,
}

/// What the server's certificate is drawn by.
pub(crate) const LABEL: &str = "mysql";

/// How the certificate looks that `product` makes for itself. MariaDB has none of its own before 11.4; MySQL makes one when it is
/// initialised.
pub(crate) fn look(product: &Product) -> Option<Look> {
    let name = format!(
        "MySQL_Server_{}_Auto_Generated_Server_Certificate",
        product.version
    );
    (product.name != "MariaDB").then(|| Look {
        subject: vec![(DnType::CommonName, name)],
        dns_names: Vec::new(),
        addresses: Vec::new(),
        ca: Some(false),
        days: 3650,
    })
}

impl Decoy for Mysql {
    fn build(config: MysqlConfig, host: &Arc<Host>) -> Result<Self, BuildError> {
        let persona = &host.persona;
        let product = Self::program(&config, persona)?;
        let mariadb = product.name == "MariaDB";
        let major: u32 = product
            .version
            .split('.')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(8);
        let id = persona.release().id;
        let comment = match (mariadb, id) {
            (true, "debian" | "ubuntu") => {
                let version = persona.release().version_id;
                format!("{} {version}", if id == "debian" { "Debian" } else { "Ubuntu" })
            }
            (true, _) => "MariaDB Server".to_owned(),
            (false, "ubuntu") => "(Ubuntu)".to_owned(),
            (false, _) => "MySQL Community Server - GPL".to_owned(),
        };
        let tls = if let Some(look) = look(&product) {
            let fault = |error: &dyn std::fmt::Display| BuildError::of::<Self>(None, error);
            let identity = Identity::self_signed(host, LABEL, &look).map_err(|e| fault(&e))?;
            Some(Tls {
                config: identity.server_config(&[]).map_err(|e| fault(&e))?,
                // Clients begin the handshake without waiting for anything, and the server reads packet by packet.
                ahead: Ahead::Handshake,
                unmet: b"",
            })
        } else {
            None
        };
        let mut accounts: Vec<(String, String)> = persona
            .users
            .iter()
            .map(|user| (user.name.clone(), user.password.clone()))
            .collect();
        accounts.push(("root".to_owned(), persona.password("mysql/root")));
        let greeting_version = if mariadb && major < 11 {
            // Old replicas would take 10 for older than 5: MariaDB puts this before its version.
            format!("5.5.5-{}", product.banner)
        } else {
            product.banner.clone()
        };
        let started = persona.rng("mysql/connections").range(8, 4000);
        let secret = persona.secret("mysql/uid");
        let (uid, _) = secret.split_at(20.min(secret.len()));
        let uid = if mariadb {
            STANDARD.encode(uid)
        } else {
            let hex = hex::encode(uid);
            let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
            parts.join("-")
        };
        // The tables are older than the uptime.
        let made = persona.boot_time
            - i64::try_from(persona.rng("mysql/made").range(86_400, 30_000_000)).unwrap_or(86_400);
        // Drawn anew at each start, as the server does.
        let sequence = rand::random::<u16>();
        let made = time::OffsetDateTime::from_unix_timestamp(made).map_or_else(|_| String::new(), shown);
        Ok(Self {
            server: Server {
                database: Database::new(
                    Flavour {
                        mariadb,
                        version: product.banner,
                        comment,
                    },
                    bait::database(persona),
                    persona.hostname.clone(),
                    uid,
                    (sequence, persona.mac.0),
                    made,
                ),
                logins: Logins::with_accounts(&config.accept, persona, accounts),
                host: Arc::clone(host),
                tls,
                rsa: OnceLock::new(),
                greeting_version,
                connections: AtomicU32::new(u32::try_from(started).unwrap_or(8)),
            },
        })
    }

    fn room(&self) -> Room {
        // `max_connections` of both products.
        Room {
            all: 151,
            ..Room::default()
        }
    }

    fn busy(&self, _full: Full) -> Cow<'static, [u8]> {
        let mut out = Out::default();
        out.error(1040, "08004", "Too many connections");
        Cow::Owned(out.bytes)
    }

    async fn session(&self, peer: Peer, tap: Tap) -> Result<(), SessionError> {
        let mut visit = Visit {
            server: &self.server,
            address: peer.addr().ip().to_canonical(),
            peer: Some(peer),
            tap,
            out: Out::default(),
            capabilities: 0,
            extended: 0,
            salt: fresh_salt(),
            statements: BTreeMap::new(),
            prepared: 0,
            captures: BTreeMap::new(),
            failed_changes: 0,
        };
        let ended = visit.converse().await;
        // What was said last is sent in any case, as far as the visitor still listens.
        let _unheard = visit.flush().await;
        if let Some(peer) = visit.peer.take() {
            peer.close().await;
        }
        ended
    }
}

/// A packet of the client, or why there is none.
enum Incoming {
    Packet(Vec<u8>),
    End,
    OutOfOrder,
    TooLong,
}

struct Visit<'a> {
    server: &'a Server,
    address: IpAddr,
    /// Gone only while and after TLS fails to begin.
    peer: Option<Peer>,
    tap: Tap,
    out: Out,
    capabilities: u32,
    extended: u32,
    /// The challenge of the handshake.
    salt: [u8; 20],
    statements: BTreeMap<u32, Statement>,
    /// How many statements were to be prepared: the number of the last one.
    prepared: u32,
    /// Long data on their way in, by the numbers of statement and value.
    captures: BTreeMap<(u32, u16), Capture>,
    /// How often the visitor wanted to be another user and was not let.
    failed_changes: u32,
}

/// How somebody who wanted in came off.
struct Admission {
    admitted: bool,
    with_password: bool,
}

impl Visit<'_> {
    fn peer(&mut self) -> io::Result<&mut Peer> {
        self.peer
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.out.bytes);
        self.peer()?.send(&bytes).await
    }

    /// Read the next packet. `first` is the number that it has to have.
    async fn read(&mut self, number: u8, max: usize) -> io::Result<Incoming> {
        let header = match self.peer()?.read_block(4).await {
            Ok(header) => header,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Incoming::End),
            Err(error) => return Err(error),
        };
        let (len, sequence) = match *header.as_slice() {
            [a, b, c, sequence] => (u32::from_le_bytes([a, b, c, 0]), sequence),
            _ => return Ok(Incoming::End),
        };
        if sequence != number {
            return Ok(Incoming::OutOfOrder);
        }
        self.out.sequence = sequence.wrapping_add(1);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > max {
            return Ok(Incoming::TooLong);
        }
        Ok(Incoming::Packet(self.peer()?.read_block(len).await?))
    }

    /// A packet of the handshake; `None` where there is none, which is answered.
    async fn read_login(&mut self) -> io::Result<Option<Vec<u8>>> {
        let number = self.out.sequence;
        match self.read(number, LOGIN_MAX).await? {
            Incoming::Packet(payload) => Ok(Some(payload)),
            Incoming::End => Ok(None),
            Incoming::OutOfOrder => {
                self.violation("a packet out of order", b"");
                self.out.error(1156, "08S01", "Got packets out of order");
                Ok(None)
            }
            Incoming::TooLong => {
                self.violation("a handshake that is too long", b"");
                self.out.error(1043, "08S01", "Bad handshake");
                Ok(None)
            }
        }
    }

    fn violation(&self, what: &'static str, bytes: &[u8]) {
        self.tap.emit(Event::Violation { what, bytes });
    }

    async fn converse(&mut self) -> Result<(), SessionError> {
        self.peer()?.set_idle(CONNECT_PATIENCE);
        let id = self.server.connections.fetch_add(1, Ordering::Relaxed);
        let greeting = self.server.greeting(id, &self.salt);
        self.out.packet(&greeting);
        self.flush().await?;
        let Some(login) = self.read_first().await? else {
            return Ok(());
        };
        self.capabilities = login.capabilities;
        // What both sides have.
        self.extended = login.extended & u32::from(self.server.extended());
        self.introduce(&login);
        let Some(admission) = self.authenticate(&login, false).await? else {
            return Ok(());
        };
        match self.become_user(&login, &admission, id)? {
            Ok(asker) => {
                self.out.ok();
                self.flush().await?;
                self.peer()?.set_idle(WAIT_PATIENCE);
                self.commands(asker).await
            }
            Err(refusal) => {
                self.say(&refusal);
                Ok(())
            }
        }
    }

    /// Report what a client says of itself.
    fn introduce(&self, login: &Login) {
        for (name, value) in &login.attributes {
            let value = [name.as_slice(), b"=", value].concat();
            self.tap.emit(Event::ClientInfo {
                kind: ClientInfoKind::ClientName,
                value: &value,
            });
        }
        if !login.database.is_empty() {
            self.tap.emit(Event::ClientInfo {
                kind: ClientInfoKind::Schema,
                value: &login.database,
            });
        }
    }

    /// Whether the client is let in, by what the product has its passwords proved with; `None` where it left. Who is in `already` is
    /// challenged anew, whatever it has said.
    async fn authenticate(&mut self, login: &Login, already: bool) -> io::Result<Option<Admission>> {
        if self.server.mariadb() {
            // Of the handshake, also for another user.
            self.native(login, self.salt, already).await
        } else {
            let salt = if already { fresh_salt() } else { self.salt };
            self.caching(login, salt, already).await
        }
    }

    /// Who asks from now on, in the database that was wanted, or why nobody does.
    fn become_user(
        &mut self,
        login: &Login,
        admission: &Admission,
        id: u32,
    ) -> io::Result<Result<Asker, SqlError>> {
        let port = self.peer()?.addr().port();
        let mut asker = self.server.asker(login, self.address, port, id);
        asker.with_password = admission.with_password;
        asker.password_hash = admission
            .with_password
            .then(|| self.server.password_hash(&asker.user));
        self.server.database.greet(&mut asker, login.charset);
        if !admission.admitted {
            return Ok(Err(asker.denied()));
        }
        if !login.database.is_empty() {
            let name = String::from_utf8_lossy(&login.database).into_owned();
            match self.server.database.schema(&name) {
                Some(name) => asker.database = Some(name.to_owned()),
                None => return Ok(Err(self.server.database.no_schema(&name, &asker))),
            }
        }
        Ok(Ok(asker))
    }

    fn say(&mut self, error: &SqlError) {
        self.out.error(error.code, error.state, &error.text);
    }

    /// The client's first packet, after TLS where it wants that.
    async fn read_first(&mut self) -> io::Result<Option<Login>> {
        self.out.sequence = 1;
        loop {
            let Some(payload) = self.read_login().await? else {
                return Ok(None);
            };
            let encrypted = self.peer()?.is_tls();
            match (First::parse(&payload), &self.server.tls) {
                (Some(First::Login(login)), _) => return Ok(Some(login)),
                (Some(First::Tls), Some(tls)) if !encrypted => {
                    let peer = self.peer.take().ok_or(io::ErrorKind::NotConnected)?;
                    let mut peer = peer.start_tls(tls).await?;
                    peer.set_idle(CONNECT_PATIENCE);
                    self.peer = Some(peer);
                }
                _ => {
                    self.violation("a bad handshake", &payload);
                    self.out.error(1043, "08S01", "Bad handshake");
                    return Ok(None);
                }
            }
        }
    }

    /// Ask the client to use `plugin` with a challenge; its response.
    async fn switch(&mut self, plugin: &str, salt: &[u8; 20]) -> io::Result<Option<Vec<u8>>> {
        let request = [&[0xfe][..], plugin.as_bytes(), &[0], salt, &[0]].concat();
        self.out.packet(&request);
        self.flush().await?;
        self.read_login().await
    }

    fn attempt(&self, login: &Login, secret: Secret<'_>, mechanism: &str, accepted: bool) {
        self.tap.emit(Event::AuthAttempt {
            principal: &login.user,
            secret,
            mechanism,
            accepted,
        });
    }

    /// Whether the client gets in by mysql_native_password; `None` where it left. It is `challenged` where its first response is nothing
    /// to go by.
    async fn native(
        &mut self,
        login: &Login,
        salt: [u8; 20],
        challenged: bool,
    ) -> io::Result<Option<Admission>> {
        let mut response = login.response.clone();
        if !login.plugin.is_empty() && (challenged || login.plugin != NATIVE.as_bytes()) {
            let Some(again) = self.switch(NATIVE, &salt).await? else {
                return Ok(None);
            };
            response = again;
        }
        let made_with = |password: &[u8]| native_response(&salt, password).as_slice() == response;
        let given = !response.is_empty();
        let offer = if given {
            Offer::Proof(&made_with)
        } else {
            Offer::Password(b"")
        };
        let accepted = self.server.logins.admits(self.address, &login.user, &offer);
        let secret = if given {
            native_secret(&salt, &response)
        } else {
            Secret::None
        };
        self.attempt(login, secret, NATIVE, accepted);
        Ok(Some(Admission {
            admitted: accepted,
            with_password: given,
        }))
    }

    /// As [`Self::native`], by caching_sha2_password. The cache is always cold, so that the password itself comes: in
    /// clear over TLS, or encrypted with the server's key.
    async fn caching(
        &mut self,
        login: &Login,
        salt: [u8; 20],
        challenged: bool,
    ) -> io::Result<Option<Admission>> {
        let mut response = login.response.clone();
        if challenged || login.plugin != CACHING.as_bytes() {
            let Some(again) = self.switch(CACHING, &salt).await? else {
                return Ok(None);
            };
            response = again;
        }
        if response.is_empty() || response == [0] {
            let accepted = self
                .server
                .logins
                .admits(self.address, &login.user, &Offer::Password(b""));
            self.attempt(login, Secret::None, CACHING, accepted);
            return Ok(Some(Admission {
                admitted: accepted,
                with_password: false,
            }));
        }
        self.out.packet(&[1, 4]);
        self.flush().await?;
        let password = match self.password(&salt).await {
            Ok(Some(password)) => password,
            other => {
                // It does not give the password away: its response to the challenge is what there is.
                let secret = Secret::Crackable {
                    kind: "caching_sha2_password",
                    text: format!(
                        "$mysql-sha2-scramble${}*{}",
                        hex::encode(salt),
                        hex::encode(&response)
                    ),
                };
                self.attempt(login, secret, CACHING, false);
                return other.map(|_| None);
            }
        };
        let accepted = self
            .server
            .logins
            .admits(self.address, &login.user, &Offer::Password(&password));
        self.attempt(login, Secret::Plaintext(&password), CACHING, accepted);
        Ok(Some(Admission {
            admitted: accepted,
            with_password: true,
        }))
    }

    /// The password of a full authentication; `None` where the client leaves.
    async fn password(&mut self, salt: &[u8; 20]) -> io::Result<Option<Vec<u8>>> {
        let Some(mut packet) = self.read_login().await? else {
            return Ok(None);
        };
        if self.peer()?.is_tls() {
            return Ok(Some(until_nul(&packet)));
        }
        let Some(key) = self.server.rsa_key() else {
            return Ok(None);
        };
        if packet == [2] {
            let pem = key
                .to_public_key()
                .to_public_key_pem(rsa::pkcs8::LineEnding::LF)
                .map_err(io::Error::other)?;
            let answer = [&[1][..], pem.as_bytes()].concat();
            self.out.packet(&answer);
            self.flush().await?;
            let Some(encrypted) = self.read_login().await? else {
                return Ok(None);
            };
            packet = encrypted;
        }
        let Ok(mut plain) = key.decrypt(Oaep::<Sha1>::new(), &packet) else {
            self.violation("a password that the key does not open", &packet);
            return Ok(None);
        };
        for (byte, mask) in plain.iter_mut().zip(salt.iter().cycle()) {
            *byte ^= mask;
        }
        Ok(Some(until_nul(&plain)))
    }

    async fn commands(&mut self, mut asker: Asker) -> Result<(), SessionError> {
        loop {
            let payload = match self.read(0, COMMAND_MAX).await? {
                Incoming::Packet(payload) => payload,
                Incoming::End => return Ok(()),
                Incoming::OutOfOrder => {
                    self.violation("a packet out of order", b"");
                    self.out.sequence = 1;
                    self.out.error(1156, "08S01", "Got packets out of order");
                    return Ok(());
                }
                Incoming::TooLong => {
                    self.out.error(
                        1153,
                        "08S01",
                        "Got a packet bigger than 'max_allowed_packet' bytes",
                    );
                    return Ok(());
                }
            };
            let (command, text) = payload.split_first().unwrap_or((&0, &[]));
            self.report(*command, text, &asker);
            match *command {
                0x01 => return Ok(()),
                0x02 => self.choose(text, &mut asker),
                0x03 => match prepared::query_text(text, self.capabilities) {
                    Some(text) => {
                        self.query(text, &mut asker, Format::Text);
                        self.lapse(&mut asker).await;
                    }
                    None => self.malformed(),
                },
                0x04 => self.fields(text, &asker),
                0x09 => self.statistics(),
                0x0a => self.run("SHOW PROCESSLIST", &[], &mut asker, Format::Text),
                0x0c => {
                    let id = number_of(text);
                    if id == asker.connection_id {
                        self.killed();
                        return Ok(());
                    }
                    self.run(&format!("KILL {id}"), &[], &mut asker, Format::Text);
                }
                0x0e => self.out.ok(),
                0x11 => {
                    if !self.change_user(text, &mut asker).await? {
                        return Ok(());
                    }
                }
                // COM_SET_OPTION ends in EOF; there are two options.
                0x1b if matches!(text, [] | [0 | 1, 0, ..]) => self.out.packet(&[0xfe, 0, 0, 2, 0]),
                0x16 => self.prepare(text, &mut asker),
                0x17 => {
                    self.execute(text, &mut asker);
                    self.lapse(&mut asker).await;
                }
                // Like COM_STMT_CLOSE it has no answer.
                0x18 => self.long_data(text, &asker),
                0x19 => {
                    let number = number_of(text);
                    self.captured(Some(number));
                    self.statements.remove(&number);
                }
                0x1a => self.reset_statement(number_of(text)),
                0x1c => self.fetch(number_of(text)),
                0x1f => {
                    self.forget_statements();
                    asker.reset();
                    self.out.ok();
                }
                0xfa if self.server.mariadb() => self.malformed(),
                other => match self.server.refusal(other, &asker) {
                    Some(refusal) => self.say(&refusal),
                    None => self.unknown_command(),
                },
            }
            self.flush().await?;
        }
    }

    /// Report a command that no event of its own tells of: statements are queries, and whoever wants to be another user has a password.
    fn report(&self, command: u8, payload: &[u8], asker: &Asker) {
        let executes = command == 0x17 && self.statements.contains_key(&number_of(payload));
        if matches!(command, 0x03 | 0x11) || executes {
            return;
        }
        let database = asker.database.as_deref().unwrap_or_default();
        self.tap.emit(Event::Command {
            line: &command::line(command, payload),
            detail: &[("database", database.as_bytes())],
        });
    }

    fn unknown_command(&mut self) {
        self.out.error(1047, "08S01", "Unknown command");
    }

    fn malformed(&mut self) {
        let end = if self.server.mariadb() { "" } else { "." };
        self.out
            .error(1835, "HY000", &format!("Malformed communication packet{end}"));
    }

    /// The visitor has ended its own connection.
    fn killed(&mut self) {
        if self.server.mariadb() {
            self.out.error(1927, "70100", "Connection was killed");
        } else {
            self.out.error(1317, "70100", "Query execution was interrupted");
        }
    }

    /// COM_CHANGE_USER: the login once more within a connection. Whether the connection goes on.
    async fn change_user(&mut self, packet: &[u8], asker: &mut Asker) -> io::Result<bool> {
        // What the session had is gone, however this comes out.
        self.forget_statements();
        asker.reset();
        let mariadb = self.server.mariadb();
        let login = Login::changed(packet, self.capabilities);
        let reported = login.as_ref().map_or(packet, |login| &login.user);
        let database = login.as_ref().map_or(&[][..], |login| &login.database);
        self.tap.emit(Event::Command {
            line: &command::line(0x11, reported),
            detail: &[("database", database)],
        });
        let refusal = match &login {
            Some(login) if mariadb && self.failed_changes >= CHANGES_MAX => {
                // Nobody looks at it, and it is evidence all the same.
                self.introduce(login);
                let secret = if login.response.is_empty() {
                    Secret::None
                } else {
                    native_secret(&self.salt, &login.response)
                };
                self.attempt(login, secret, NATIVE, false);
                None
            }
            Some(login) => {
                self.introduce(login);
                let Some(admission) = self.authenticate(login, true).await? else {
                    return Ok(false);
                };
                match self.become_user(login, &admission, asker.connection_id)? {
                    Ok(other) => {
                        *asker = other;
                        self.out.ok();
                        return Ok(true);
                    }
                    Err(refusal) => Some(refusal),
                }
            }
            None => {
                self.violation("a malformed change of the user", packet);
                None
            }
        };
        self.failed_changes += 1;
        if mariadb {
            tokio::time::sleep(CHANGE_PAUSE).await;
        }
        match refusal {
            Some(refusal) => self.say(&refusal),
            None => self.unknown_command(),
        }
        Ok(mariadb)
    }

    /// COM_STMT_SEND_LONG_DATA: a part of a value. All of it is captured, for statements too that there are not, and what memory allows is
    /// the value when the statement is executed.
    fn long_data(&mut self, packet: &[u8], asker: &Asker) {
        let mut r = Reader(packet);
        let (Some(statement), Some(value)) = (
            r.array().map(u32::from_le_bytes),
            r.array().map(u16::from_le_bytes),
        ) else {
            return;
        };
        let held: usize = self.statements.values().map(Statement::bytes).sum();
        if let Some(known) = self.statements.get_mut(&statement) {
            known.extend(value, r.0, prepared::TEXT_MAX.saturating_sub(held));
        }
        if r.0.is_empty() {
            return;
        }
        let place = (statement, value);
        if self.captures.len() >= CAPTURES_MAX
            && !self.captures.contains_key(&place)
            && let Some((_, oldest)) = self.captures.pop_first()
        {
            oldest.finish();
        }
        let tap = &self.tap;
        let capture = self.captures.entry(place).or_insert_with(|| {
            let name = format!("statement-{statement}-parameter-{value}");
            tap.artifact(name.as_bytes(), "mysql-long-data", asker.user.as_bytes())
        });
        capture.write(r.0);
    }

    /// The long data of a statement, or of all, are whole.
    fn captured(&mut self, of: Option<u32>) {
        let whole = |place: &(u32, u16)| of.is_none_or(|of| of == place.0);
        let (done, open) = std::mem::take(&mut self.captures)
            .into_iter()
            .partition(|(place, _)| whole(place));
        self.captures = open;
        for (_, capture) in done {
            capture.finish();
        }
    }

    fn forget_statements(&mut self) {
        self.captured(None);
        self.statements.clear();
    }

    fn reset_statement(&mut self, number: u32) {
        self.captured(Some(number));
        match self.statements.get_mut(&number) {
            Some(statement) => {
                statement.reset();
                self.out.ok();
            }
            None => self.unknown_statement(number, "reset"),
        }
    }

    /// COM_STMT_FETCH: rows of a cursor, of which there are none.
    fn fetch(&mut self, number: u32) {
        if self.statements.contains_key(&number) {
            let text = format!("The statement ({number}) has no open cursor");
            self.out.error(1421, "HY000", &text);
        } else {
            self.unknown_statement(number, "fetch");
        }
    }

    fn unknown_statement(&mut self, number: u32, function: &str) {
        let text = format!("Unknown prepared statement handler ({number}) given to mysqld_stmt_{function}");
        self.out.error(1243, "HY000", &text);
    }

    /// Wait as long as SLEEP and BENCHMARK said.
    async fn lapse(&self, asker: &mut Asker) {
        let delay = std::mem::take(&mut asker.delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    fn choose(&mut self, name: &[u8], asker: &mut Asker) {
        let name = String::from_utf8_lossy(name).into_owned();
        if name.is_empty() {
            return self.out.error(1046, "3D000", "No database selected");
        }
        match self.server.database.schema(&name) {
            Some(name) => {
                asker.database = Some(name.to_owned());
                self.out.ok();
            }
            None => {
                let refusal = self.server.database.no_schema(&name, asker);
                self.say(&refusal);
            }
        }
    }

    /// COM_STMT_PREPARE. The statement is tried with NULL for its values, which shows its columns and its faults.
    fn prepare(&mut self, text: &[u8], asker: &mut Asker) {
        let held: usize = self.statements.values().map(Statement::bytes).sum();
        if self.statements.len() >= prepared::STATEMENTS_MAX || held + text.len() > prepared::TEXT_MAX {
            return self.out.error(
                1461,
                "42000",
                "Can't create more than max_prepared_stmt_count statements (current value: 16382)",
            );
        }
        // One that fails has had its number, too.
        self.prepared = self.prepared.wrapping_add(1);
        let text = String::from_utf8_lossy(text).into_owned();
        let places = sql::places(&text);
        let statement = Statement::new(text, places);
        // What it does to the session it does when it is executed.
        let columns = match self.server.database.run(&statement.text, &[], &mut asker.clone()) {
            Outcome::Rows { columns, .. } => columns,
            Outcome::Done | Outcome::Use(_) => Vec::new(),
            Outcome::Error(error) => return self.say(&error),
        };
        self.out.prepared(
            self.prepared,
            &columns,
            statement.places.len(),
            self.capabilities,
            self.extended,
        );
        self.statements.insert(self.prepared, statement);
    }

    /// COM_STMT_EXECUTE.
    fn execute(&mut self, packet: &[u8], asker: &mut Asker) {
        let number = number_of(packet);
        self.captured(Some(number));
        // The statement, flags and how often.
        if packet.len() < 9 {
            return self.malformed();
        }
        let rest = packet.get(4..).unwrap_or_default();
        let capabilities = self.capabilities;
        let bound = match self.statements.get_mut(&number) {
            Some(statement) => statement
                .bind(rest, capabilities)
                .map(|values| (statement.text.clone(), values)),
            None => return self.unknown_statement(number, "execute"),
        };
        match bound {
            Ok((text, values)) => {
                let reported = Statement::new(text.clone(), sql::places(&text)).with(&values);
                self.answer(&text, &values, reported.as_bytes(), asker, Format::Binary);
            }
            Err(misfit) => {
                self.violation("a malformed execution", packet);
                let function = match misfit {
                    Misfit::Execution => "execute",
                    Misfit::LongData => "send_long_data",
                };
                let text = format!("Incorrect arguments to mysqld_stmt_{function}");
                self.out.error(1210, "HY000", &text);
            }
        }
    }

    fn query(&mut self, text: &[u8], asker: &mut Asker, format: Format) {
        let statement = String::from_utf8_lossy(text).into_owned();
        self.answer(&statement, &[], text, asker, format);
    }

    /// Answer `statement` with `values` for its marks; `reported` is what evidence says of it.
    fn answer(
        &mut self,
        statement: &str,
        values: &[String],
        reported: &[u8],
        asker: &mut Asker,
        format: Format,
    ) {
        let database = asker.database.clone().unwrap_or_default();
        self.tap.emit(Event::Query {
            text: reported,
            database: database.as_bytes(),
        });
        if let Some(name) = sql::exploit(&String::from_utf8_lossy(reported)) {
            self.tap.emit(Event::Exploit {
                name,
                bytes: reported,
            });
        }
        self.run(statement, values, asker, format);
    }

    /// Answer `statement`, of which evidence tells already.
    fn run(&mut self, statement: &str, values: &[String], asker: &mut Asker, format: Format) {
        let now = self.server.host.clock.now();
        asker.uptime_s = self.server.host.uptime_s();
        asker.unix_time = now.unix_timestamp();
        asker.now = shown(now);
        match self.server.database.run(statement, values, asker) {
            Outcome::Done => self.out.ok(),
            Outcome::Use(name) => {
                asker.database = Some(name);
                self.out.ok();
            }
            Outcome::Rows { columns, rows } => {
                self.out
                    .result(&columns, &rows, format, self.capabilities, self.extended);
            }
            Outcome::Error(error) => self.say(&error),
        }
    }

    /// COM_FIELD_LIST: the columns of a table.
    fn fields(&mut self, text: &[u8], asker: &Asker) {
        let table = Reader(text).until_nul().unwrap_or_default();
        let statement = format!(
            "SELECT * FROM `{}` LIMIT 0",
            String::from_utf8_lossy(table).replace('`', "``")
        );
        match self.server.database.run(&statement, &[], &mut asker.clone()) {
            Outcome::Rows { columns, .. } => {
                for column in columns {
                    let mut definition = column.definition(self.extended);
                    // The default value follows; there is none.
                    definition.push(0xfb);
                    self.out.packet(&definition);
                }
                self.out.packet(&[0xfe, 0, 0, 2, 0]);
            }
            Outcome::Error(error) => self.say(&error),
            Outcome::Done | Outcome::Use(_) => self.out.ok(),
        }
    }

    fn statistics(&mut self) {
        let uptime = self.server.host.uptime_s();
        let questions = self.server.connections.load(Ordering::Relaxed).saturating_mul(3);
        let text = format!(
            "Uptime: {uptime}  Threads: 1  Questions: {questions}  Slow queries: 0  Opens: 33  Open tables: 26  Queries per \
             second avg: 0.012"
        );
        self.out.packet(text.as_bytes());
    }
}

impl Server {
    fn mariadb(&self) -> bool {
        self.database.flavour.mariadb
    }

    /// MariaDB's further capabilities: progress reports, bulk parameters, extended and cached metadata.
    fn extended(&self) -> u8 {
        if self.mariadb() { 0x1d } else { 0 }
    }

    /// Handshake V10.
    fn greeting(&self, id: u32, salt: &[u8; 20]) -> Vec<u8> {
        // As MariaDB 10.11 and MySQL 8.0 send them out of the box; MariaDB says no CLIENT_MYSQL and no TLS.
        let (capabilities, charset, extended, plugin): (u32, u8, [u8; 4], &str) = if self.mariadb() {
            (0x81ff_f7fe, 45, [self.extended(), 0, 0, 0], NATIVE)
        } else {
            (0xdfff_ffff, 255, [0; 4], CACHING)
        };
        let [low_a, low_b, high_a, high_b] = capabilities.to_le_bytes();
        let (first, second) = salt.split_at(8);
        let mut out = vec![10];
        out.extend_from_slice(self.greeting_version.as_bytes());
        out.push(0);
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(first);
        out.extend_from_slice(&[0, low_a, low_b, charset, 2, 0, high_a, high_b, 21]);
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&extended);
        out.extend_from_slice(second);
        out.push(0);
        out.extend_from_slice(plugin.as_bytes());
        out.push(0);
        out
    }

    /// What the server says to a command that it knows and the account may not give; `None` where it does not know it.
    fn refusal(&self, command: u8, asker: &Asker) -> Option<SqlError> {
        let mariadb = self.mariadb();
        let privilege = match command {
            0x07 => "RELOAD",
            // MySQL 8 has no such command any more, and MariaDB none that asks for a GTID.
            0x08 if mariadb => "SHUTDOWN",
            0x0d => "SUPER",
            0x12 => "REPLICATION SLAVE",
            0x1e if !mariadb => "REPLICATION SLAVE",
            0x15 => return Some(asker.denied()),
            _ => return None,
        };
        Some(self.database.lacks(privilege))
    }

    fn asker(&self, login: &Login, address: IpAddr, port: u16, id: u32) -> Asker {
        Asker {
            user: String::from_utf8_lossy(&login.user).chars().take(128).collect(),
            host: if address.is_loopback() {
                "localhost".to_owned()
            } else {
                address.to_string()
            },
            port,
            connection_id: id,
            ..Asker::default()
        }
    }

    /// `mysql.user`'s hash of an account's password. Who got in without knowing one gets a hash that fits none.
    fn password_hash(&self, user: &str) -> String {
        let persona = &self.host.persona;
        let known = persona
            .users
            .iter()
            .find(|account| account.name == user)
            .map(|account| account.password.clone());
        let known = known.or_else(|| (user == "root").then(|| persona.password("mysql/root")));
        let hash = match known {
            Some(password) => Sha1::digest(Sha1::digest(password)),
            None => Sha1::digest(persona.secret(&format!("mysql/hash/{user}"))),
        };
        format!("*{}", hex::encode_upper(hash))
    }

    fn rsa_key(&self) -> Option<&RsaPrivateKey> {
        let made = self.rsa.get_or_init(|| {
            let mut rng = ChaCha20Rng::from_seed(self.host.persona.secret("mysql/rsa"));
            RsaPrivateKey::new(&mut rng, 2048).ok()
        });
        made.as_ref()
    }
}

/// A moment as the server writes it.
fn shown(at: time::OffsetDateTime) -> String {
    format!(
        "{} {:02}:{:02}:{:02}",
        at.date(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// Twenty characters as the server draws them: seven bits, and neither NUL nor `$`.
fn fresh_salt() -> [u8; 20] {
    let mut rng = rand::rng();
    std::array::from_fn(|_| match rng.random_range(1..128_u8) {
        b'$' => b'%',
        other => other,
    })
}

/// The number of a statement, with which packets about it begin.
fn number_of(packet: &[u8]) -> u32 {
    Reader(packet).array().map_or(0, u32::from_le_bytes)
}

fn until_nul(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec()
}

/// A response to the challenge `salt`, as hashcat takes it (mode 11200).
fn native_secret(salt: &[u8; 20], response: &[u8]) -> Secret<'static> {
    Secret::Crackable {
        kind: "mysql_native_password",
        text: format!("$mysqlna${}*{}", hex::encode(salt), hex::encode(response)),
    }
}

/// SHA1(password) XOR SHA1(salt, SHA1(SHA1(password))).
fn native_response(salt: &[u8; 20], password: &[u8]) -> [u8; 20] {
    let once = Sha1::digest(password);
    let twice = Sha1::digest(once);
    let mut mask = Sha1::new();
    mask.update(salt);
    mask.update(twice);
    let mask = mask.finalize();
    let mut out = [0; 20];
    for ((slot, a), b) in out.iter_mut().zip(once).zip(mask) {
        *slot = a ^ b;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_are_fresh_and_without_nul() {
        let (a, b) = (fresh_salt(), fresh_salt());
        assert_ne!(a, b);
        assert!(
            a.iter()
                .chain(&b)
                .all(|byte| *byte != 0 && *byte < 128 && *byte != b'$')
        );
    }
}
