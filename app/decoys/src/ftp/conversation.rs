//! One visitor's control connection.

use std::{borrow::Cow, io, net::IpAddr, sync::Arc, time::Duration};

use decnet_model::event::{ClientInfoKind, CloseReason, Event, Secret};
use decnet_persona::{bait, product::ProductKind};
use time::{OffsetDateTime, macros::format_description};

use super::{
    Bar, Ftp, FtpConfig, bar,
    transfer::{Channel, Data, Way},
    tree::{Left, Node, Tree, parent, resolve},
    wording::{self, Product, Say},
};
use crate::{
    Service as _,
    serve::{
        BuildError, Decoy, Full, Host, Peer, Room, SessionError, Tap,
        login::{Logins, Offer},
        tls::{Ahead, Identity, Tls},
    },
};

/// The longest command line (vsftpd: `VSFTP_MAX_COMMAND_LINE`).
const LINE_MAX: usize = 4096;
/// How long a server waits for a command (vsftpd: `idle_session_timeout`, ProFTPD: `TimeoutIdle`).
const IDLE: Duration = Duration::from_secs(300);
/// Logins that fail before the server hangs up (vsftpd: `max_login_fails`, ProFTPD: `MaxLoginAttempts`).
const FAILURES_MAX: u32 = 3;
/// How long a failed login takes (vsftpd: `delay_failed_login`).
const FAILURE_DELAY: Duration = Duration::from_secs(1);

/// What all visitors share.
pub(super) struct Server {
    config: FtpConfig,
    host: Arc<Host>,
    product: Product,
    version: String,
    /// Who packaged ProFTPD, as its greeting says it.
    packager: &'static str,
    banner: String,
    logins: Logins,
    tree: Tree,
    left: Left,
    tls: Option<Tls>,
}

impl Decoy for Ftp {
    fn build(config: FtpConfig, host: &Arc<Host>) -> Result<Self, BuildError> {
        let own = Self::program(&config, &host.persona)?;
        let product = if own.name == "ProFTPD" {
            Product::ProFtpd
        } else {
            Product::VsFtpd
        };
        let tls = if config.tls {
            let identity = Identity::snakeoil(host).map_err(|e| BuildError::of::<Ftp>(Some("tls"), e))?;
            Some(Tls {
                config: identity
                    .server_config(&[])
                    .map_err(|e| BuildError::of::<Ftp>(Some("tls"), e))?,
                ahead: match product {
                    // It looks for the end of a line before it takes any of it off the socket (`str_netfd_alloc`).
                    Product::VsFtpd => Ahead::Handshake,
                    // Since 1.3.4 (bug 3624).
                    Product::ProFtpd => Ahead::Forgotten,
                },
                unmet: b"",
            })
        } else {
            None
        };
        let server = Server {
            product,
            packager: if host.persona.product(ProductKind::Ftp).banner.contains("(Debian)") {
                "Debian"
            } else {
                "ProFTPD"
            },
            version: own.version,
            banner: own.banner,
            logins: Logins::new(&config.accept, host),
            tree: Tree::of(&host.persona),
            left: Left::default(),
            tls,
            host: Arc::clone(host),
            config,
        };
        Ok(Self { server })
    }

    fn room(&self) -> Room {
        match self.server.product {
            // tunables.c.
            Product::VsFtpd => Room { all: 2000, each: 50 },
            // `MaxInstances` of the packages' configuration.
            Product::ProFtpd => Room {
                all: 30,
                ..Room::default()
            },
        }
    }

    fn busy(&self, full: Full) -> Cow<'static, [u8]> {
        let what = match (self.server.product, full) {
            (Product::VsFtpd, Full::Everyone) => Say::TooMany,
            (Product::VsFtpd, Full::Address(_)) => Say::TooManyOfAddress,
            // It closes without a word.
            (Product::ProFtpd, _) => return Cow::Borrowed(b""),
        };
        let mut words = self.server.product.says(&what).into_bytes();
        words.extend_from_slice(b"\r\n");
        Cow::Owned(words)
    }

    async fn session(&self, peer: Peer, tap: Tap) -> Result<(), SessionError> {
        let mut visitor = Visitor::new(&self.server, peer, tap);
        let outcome = visitor.converse().await;
        if let Err(SessionError::Io(error)) = &outcome
            && error.kind() == io::ErrorKind::TimedOut
            && visitor.peer.meter().closed_by() == Some(CloseReason::Idle)
        {
            // The visitor may be gone; the words are said as far as they can be.
            let _gone = visitor.say(&Say::Timeout).await;
        }
        visitor.peer.close().await;
        outcome
    }
}

/// One visitor.
struct Visitor<'a> {
    server: &'a Server,
    peer: Peer,
    tap: Tap,
    tree: Tree,
    /// The tree as others of the same address see it.
    shared: Tree,
    /// The name that USER gave.
    named: Option<String>,
    /// The account, once logged in, and whether it is the anonymous one.
    account: Option<(String, bool)>,
    failures: u32,
    /// What was said at the door, until it is reported with the code of the reply to it.
    asked: Option<Vec<u8>>,
    /// The folder that the visitor takes for the root.
    root: String,
    folder: String,
    ascii: bool,
    private: bool,
    channel: Option<Channel>,
    /// Whether the visitor has promised by EPSV ALL to use nothing else (RFC 2428 section 4).
    extended_only: bool,
    renames: Option<String>,
    restart: u64,
}

/// Whether the conversation goes on.
enum Next {
    Go,
    Stop,
}

impl<'a> Visitor<'a> {
    fn new(server: &'a Server, mut peer: Peer, tap: Tap) -> Self {
        peer.set_idle(IDLE);
        let now = server.host.clock.now().unix_timestamp();
        let tree = server.left.by(peer.addr().ip().to_canonical(), &server.tree, now);
        Self {
            server,
            peer,
            tap,
            shared: tree.clone(),
            tree,
            named: None,
            account: None,
            failures: 0,
            asked: None,
            root: bait::FTP_ROOT.to_owned(),
            folder: "/".to_owned(),
            ascii: true,
            private: false,
            channel: None,
            extended_only: false,
            renames: None,
            restart: 0,
        }
    }

    async fn converse(&mut self) -> Result<(), SessionError> {
        let greeting = self
            .server
            .product
            .greeting(&self.server.banner, self.peer.local());
        self.line(&greeting).await?;
        loop {
            self.peer.begin_request();
            let Some(mut line) = self.peer.read_until_lf(LINE_MAX).await? else {
                return Ok(());
            };
            if line.last() != Some(&b'\n') {
                let is_vsftpd = self.server.product == Product::VsFtpd;
                if line.len() >= LINE_MAX {
                    self.tap.emit(Event::Violation {
                        what: "a command line that is too long",
                        bytes: &line,
                    });
                    self.peer.end_request();
                    // ProFTPD hangs up without a word.
                    if is_vsftpd {
                        self.say(&Say::TooLong).await?;
                    }
                    return Err(SessionError::Violation("a command line that is too long"));
                }
                // Cut off by the end of the stream: no command to vsftpd, and one to ProFTPD.
                if is_vsftpd {
                    return Ok(());
                }
            }
            self.peer.end_request();
            while matches!(line.last(), Some(b'\n' | b'\r')) {
                line.pop();
            }
            // vsftpd passes over empty lines without a word.
            if line.is_empty() && self.server.product == Product::ProFtpd {
                self.line("500 Invalid command: try being more creative").await?;
            }
            if !line.is_empty() {
                let next = self.obey(&line).await;
                self.share();
                if let Next::Stop = next? {
                    return Ok(());
                }
            }
            self.peer.touch();
        }
    }

    /// Let what this session changed outlive it, for its address.
    fn share(&mut self) {
        if self.tree.is(&self.shared) {
            return;
        }
        let now = self.server.host.clock.now().unix_timestamp();
        let address = self.peer.addr().ip().to_canonical();
        self.tree = self.server.left.keep(address, &self.shared, &self.tree, now);
        self.shared = self.tree.clone();
    }

    async fn line(&mut self, text: &str) -> io::Result<()> {
        self.report(text.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0));
        self.peer.send(format!("{text}\r\n").as_bytes()).await
    }

    async fn say(&mut self, what: &Say<'_>) -> io::Result<()> {
        let text = self.server.product.says(what);
        self.line(&text).await
    }

    /// Report what was said at the door, unless that was done, with the code of the reply that is about to be sent; 0 where there
    /// is none.
    fn report(&mut self, status: u16) {
        let Some(line) = self.asked.take() else { return };
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        self.tap.emit(Event::Request {
            method: parts.next().unwrap_or_default(),
            target: parts.next().unwrap_or_default(),
            status,
            headers: &[],
            body: &[],
        });
    }

    /// Report what was said, and do it. A command is what somebody does who is logged in; what is said at the door is a request, which
    /// anybody can make. A password is reported as what was tried with it, and nowhere else.
    async fn obey(&mut self, line: &[u8]) -> Result<Next, SessionError> {
        let text = String::from_utf8_lossy(line);
        let (word, arg) = text.split_once(' ').unwrap_or((&text, ""));
        let command: String = word.chars().take(80).collect::<String>().to_ascii_uppercase();
        if command == "PASS" {
            return self.follow(word, &command, arg, line).await;
        }
        if let Some((user, _)) = &self.account {
            self.tap.emit(Event::Command {
                line,
                detail: &[("user", user.as_bytes())],
            });
            return self.follow(word, &command, arg, line).await;
        }
        self.asked = Some(line.to_vec());
        let next = self.follow(word, &command, arg, line).await;
        self.report(0);
        next
    }

    /// What the command does.
    async fn follow(
        &mut self,
        word: &str,
        command: &str,
        arg: &str,
        line: &[u8],
    ) -> Result<Next, SessionError> {
        if self.server.product == Product::ProFtpd
            && (OTHER_PROTOCOLS.contains(&word)
                || word.starts_with("SSH-2.0-")
                || word.starts_with("SSH-1.99-"))
        {
            return Ok(Next::Stop);
        }
        if self.server.product == Product::ProFtpd
            && let Some(reply) = self.proftpd_alone(command, arg)
        {
            self.line(&reply).await?;
            return Ok(Next::Go);
        }
        match command {
            "USER" => self.user(arg).await?,
            "PASS" => return self.pass(line.get(5..).unwrap_or_default()).await,
            "QUIT" => {
                self.say(&Say::Goodbye).await?;
                return Ok(Next::Stop);
            }
            "AUTH" => return self.auth(arg).await,
            "PBSZ" | "PROT" if self.peer.is_tls() => self.protect(command, arg).await?,
            "PBSZ" | "PROT" if self.server.tls.is_some() => self.say(&Say::NotEncrypted(command)).await?,
            "FEAT" => self.features().await?,
            "OPTS" if arg.eq_ignore_ascii_case("utf8 on") => {
                let text = match self.server.product {
                    Product::VsFtpd => "200 Always in UTF8 mode.",
                    Product::ProFtpd => "200 UTF8 set to on",
                };
                self.line(text).await?;
            }
            "OPTS" if self.server.product == Product::VsFtpd => {
                self.line("501 Option not understood.").await?
            }
            "CLNT" if self.server.product == Product::ProFtpd => {
                self.tap.emit(Event::ClientInfo {
                    kind: ClientInfoKind::ClientSoftware,
                    value: arg.as_bytes(),
                });
                self.line("200 OK").await?;
            }
            "SYST" if self.server.product == Product::ProFtpd => self.line("215 UNIX Type: L8").await?,
            "NOOP" if self.server.product == Product::ProFtpd => self.say(&Say::Noop).await?,
            _ if self.account.is_none() => {
                let known = KNOWN.contains(&command) || self.server.product == Product::VsFtpd;
                if known {
                    self.say(&Say::NotLoggedIn).await?;
                } else {
                    self.say(&Say::Unknown(command)).await?;
                }
            }
            _ => self.inside(command, arg).await?,
        }
        Ok(Next::Go)
    }

    /// What ProFTPD answers and vsftpd knows nothing of, or tells otherwise by more than its wording.
    fn proftpd_alone(&mut self, command: &str, arg: &str) -> Option<String> {
        let inside = self.account.is_some();
        let encrypted = self.peer.is_tls() || self.server.tls.is_some();
        let reply = match command {
            "HELP" if arg.is_empty() => self.server.product.help().to_owned(),
            "HELP" => {
                let asked = arg.to_ascii_uppercase();
                match wording::PROFTPD_SYNTAX
                    .iter()
                    .find(|(command, _)| *command == asked)
                {
                    Some((command, syntax)) => format!("214 Syntax: {command}{syntax}"),
                    None => format!("502 Unknown command '{asked}'"),
                }
            }
            "OPTS" if !arg.eq_ignore_ascii_case("utf8 on") => {
                let word = arg.split(' ').next().unwrap_or_default().to_ascii_uppercase();
                format!("500 OPTS {word} not understood")
            }
            "AUTH" | "PBSZ" | "PROT" | "CCC" if !encrypted => format!("500 {command} not understood"),
            "USER" if arg.is_empty() => "500 USER: command requires a parameter".to_owned(),
            "USER"
                if self
                    .account
                    .as_ref()
                    .is_some_and(|(_, guest)| *guest && self.is_anonymous(arg)) =>
            {
                format!("230 User {arg} logged in")
            }
            _ if !inside => return None,
            "HOST" => "503 Bad sequence of commands".to_owned(),
            "LANG" => "500 Unable to handle command".to_owned(),
            "RANG" => format!("500 'RANG {arg}' not understood"),
            "TYPE" | "RETR" if arg.is_empty() => format!("500 '{command}' not understood"),
            "MKD" | "XMKD" | "RMD" | "XRMD" | "CWD" | "XCWD" | "DELE" | "SIZE" | "MDTM" if arg.is_empty() => {
                "501 Invalid number of parameters".to_owned()
            }
            "PWD" | "XPWD" if !arg.is_empty() => "501 Invalid number of parameters".to_owned(),
            "STRU" if arg.eq_ignore_ascii_case("F") => "200 Structure set to F".to_owned(),
            "MODE" if arg.eq_ignore_ascii_case("S") => "200 Mode set to S".to_owned(),
            "STRU" => format!("504 'STRU {arg}' unsupported structure type"),
            "MODE" => format!("504 'MODE {arg}' unsupported transfer mode"),
            "ALLO" => "202 No storage allocation necessary".to_owned(),
            "ABOR" => "226 Abort successful".to_owned(),
            "REST" => match arg.parse::<u64>() {
                Err(_) => "501 REST requires a value greater than or equal to 0".to_owned(),
                Ok(1..) if self.ascii => "501 REST: Resuming transfers not allowed in ASCII mode".to_owned(),
                Ok(at) => {
                    self.restart = at;
                    format!("350 Restarting at {at}. Send STORE or RETRIEVE to initiate transfer")
                }
            },
            "PASV" | "PORT" | "EPRT" if self.extended_only => {
                format!("500 Illegal {command} command, EPSV ALL in effect")
            }
            "PORT" if port_target(arg).is_none() => "501 Illegal PORT command".to_owned(),
            "EPRT" if eprt_target(arg).is_none() => "501 Illegal EPRT command".to_owned(),
            "EPSV" if arg.eq_ignore_ascii_case("ALL") => {
                self.extended_only = true;
                "200 EPSV ALL command successful".to_owned()
            }
            "EPSV" if !matches!(arg, "" | "1" | "2") => {
                "522 Network protocol not supported, use (1,2)".to_owned()
            }
            "STAT" if !arg.is_empty() && self.tree.get(&self.real(arg)).is_none() => {
                format!("450 {arg}: No such file or directory")
            }
            "MLST" if self.tree.get(&self.real(arg)).is_none() => format!("550 '{arg}' cannot be listed"),
            "MFMT" => {
                let path = arg.split_once(' ').map_or("", |(_, path)| path);
                if self.tree.get(&self.real(path)).is_some() {
                    format!("550 {path}: Operation not permitted")
                } else {
                    format!("550 {path}: No such file or directory")
                }
            }
            "STOU" if !self.server.config.writable => {
                "450 STOU: unable to generate unique filename".to_owned()
            }
            _ => return None,
        };
        Some(reply)
    }

    async fn user(&mut self, name: &str) -> io::Result<()> {
        if let Some((_, anonymous)) = self.account {
            return self.say(&Say::AlreadyLoggedIn(anonymous)).await;
        }
        if self.bar(name) == Some(Bar::Name) {
            self.tap.emit(Event::AuthAttempt {
                principal: name.as_bytes(),
                secret: Secret::None,
                mechanism: "USER",
                accepted: false,
            });
            return self.line("530 Permission denied.").await;
        }
        let anonymous = self.is_anonymous(name);
        self.named = Some(name.to_owned());
        self.say(&Say::NeedPassword(name, anonymous)).await
    }

    fn is_anonymous(&self, name: &str) -> bool {
        self.server.config.anonymous && matches!(name.to_ascii_lowercase().as_str(), "anonymous" | "ftp")
    }

    /// How the product's package keeps the account out. An operator that lets everybody in, or names it, means it.
    fn bar(&self, name: &str) -> Option<Bar> {
        bar(&self.server.host.persona, name).filter(|_| !self.server.config.accept.names(name))
    }

    async fn pass(&mut self, password: &[u8]) -> Result<Next, SessionError> {
        let Some(name) = self.named.take() else {
            let refusal = if self.account.is_some() {
                Say::PasswordAgain
            } else {
                Say::UserFirst
            };
            self.say(&refusal).await?;
            return Ok(Next::Go);
        };
        let anonymous = self.is_anonymous(&name);
        let from: IpAddr = self.peer.addr().ip().to_canonical();
        let accepted = anonymous
            || self.bar(&name).is_none()
                && self
                    .server
                    .logins
                    .admits(from, name.as_bytes(), &Offer::Password(password));
        self.tap.emit(Event::AuthAttempt {
            principal: name.as_bytes(),
            secret: Secret::Plaintext(password),
            mechanism: "PASS",
            accepted,
        });
        if !accepted {
            self.failures += 1;
            tokio::time::sleep(FAILURE_DELAY).await;
            self.say(&Say::LoginIncorrect).await?;
            return Ok(if self.failures >= FAILURES_MAX {
                Next::Stop
            } else {
                Next::Go
            });
        }
        if anonymous {
            self.tap.emit(Event::ClientInfo {
                kind: ClientInfoKind::ClientSoftware,
                value: password,
            });
        } else {
            self.root = "/".to_owned();
            let home = self
                .server
                .host
                .persona
                .user(&name)
                .map_or("/", |user| user.home.as_str());
            home.clone_into(&mut self.folder);
            if !self.tree.is_folder(home) {
                self.folder = "/".to_owned();
            }
        }
        self.say(&Say::LoggedIn(&name, anonymous)).await?;
        self.account = Some((name, anonymous));
        Ok(Next::Go)
    }

    /// RFC 4217.
    async fn auth(&mut self, mechanism: &str) -> Result<Next, SessionError> {
        let wanted = matches!(
            mechanism.to_ascii_uppercase().as_str(),
            "TLS" | "TLS-C" | "SSL" | "TLS-P"
        );
        let Some(tls) = self.server.tls.as_ref().filter(|_| !self.peer.is_tls()) else {
            let refusal = match self.server.product {
                Product::VsFtpd if self.account.is_none() => Say::NotLoggedIn,
                _ => Say::Unknown("AUTH"),
            };
            self.say(&refusal).await?;
            return Ok(Next::Go);
        };
        if !wanted {
            self.line("504 Unknown AUTH type.").await?;
            return Ok(Next::Go);
        }
        self.line(match self.server.product {
            Product::VsFtpd => "234 Proceed with negotiation.",
            Product::ProFtpd => "234 AUTH TLS successful",
        })
        .await?;
        self.peer.upgrade(tls).await?;
        Ok(Next::Go)
    }

    async fn protect(&mut self, command: &str, arg: &str) -> io::Result<()> {
        let vs = self.server.product == Product::VsFtpd;
        match (command, arg.to_ascii_uppercase().as_str()) {
            ("PBSZ", _) if vs => self.line("200 PBSZ set to 0.").await,
            ("PBSZ", _) => self.line("200 PBSZ 0 successful").await,
            (_, level @ ("P" | "C")) => {
                self.private = level == "P";
                let text = match (vs, self.private) {
                    (true, true) => "200 PROT now Private.",
                    (true, false) => "200 PROT now Clear.",
                    (false, true) => "200 Protection set to Private",
                    (false, false) => "200 Protection set to Clear",
                };
                self.line(text).await
            }
            _ => self.line("504 PROT not supported.").await,
        }
    }

    async fn features(&mut self) -> io::Result<()> {
        let debian = self.server.packager == "Debian";
        let mut lines: Vec<&str> = self.server.product.features(debian);
        if self.server.tls.is_some() {
            lines.extend(["AUTH TLS", "PBSZ", "PROT"]);
            lines.sort_unstable();
        }
        let mut text = String::from("211-Features:\r\n");
        for line in lines {
            text.push_str(&format!(" {line}\r\n"));
        }
        text.push_str("211 End");
        self.line(&text).await
    }

    /// The absolute path of what the visitor calls `path`.
    fn real(&self, path: &str) -> String {
        let seen = resolve(&self.folder, path);
        if self.root == "/" {
            seen
        } else {
            format!("{}{}", self.root, seen.trim_end_matches('/'))
        }
    }

    /// Commands of somebody who is logged in.
    async fn inside(&mut self, command: &str, arg: &str) -> io::Result<()> {
        let path = self.real(arg);
        let writable = self.server.config.writable;
        match command {
            "SYST" => self.line("215 UNIX Type: L8").await,
            "NOOP" => self.say(&Say::Noop).await,
            "HELP" => self.line(self.server.product.help()).await,
            "STAT" if arg.is_empty() => self.status().await,
            "STAT" => {
                let listing = self.listing(&path, false);
                self.line(&format!("213-Status follows:\r\n{listing}213 End of status"))
                    .await
            }
            "PWD" | "XPWD" => {
                let shown = self.folder.replace('"', "\"\"");
                self.line(&format!("257 \"{shown}\" is the current directory"))
                    .await
            }
            "CWD" | "XCWD" | "CDUP" | "XCUP" => {
                let to = if command.ends_with("UP") { ".." } else { arg };
                let there = self.tree.is_folder(&self.real(to));
                if there {
                    self.folder = resolve(&self.folder, to);
                }
                if there && command.ends_with("UP") && self.server.product == Product::ProFtpd {
                    return self.line("250 CDUP command successful").await;
                }
                self.say(&Say::Cwd(there, arg)).await
            }
            "TYPE" => {
                let kind = arg.to_ascii_uppercase();
                match kind.as_str() {
                    "A" | "A N" | "I" | "L8" | "L 8" => {
                        self.ascii = kind.starts_with('A');
                        self.say(&Say::Type(if self.ascii { "A" } else { "I" })).await
                    }
                    _ => self.say(&Say::BadType(arg)).await,
                }
            }
            "STRU" if arg.eq_ignore_ascii_case("F") => self.line("200 Structure set to F.").await,
            "STRU" => self.say(&Say::BadStructure(arg)).await,
            "MODE" if arg.eq_ignore_ascii_case("S") => self.line("200 Mode set to S.").await,
            "MODE" => self.say(&Say::BadMode(arg)).await,
            "ALLO" => self.line("202 ALLO command ignored.").await,
            "ACCT" | "SMNT" | "REIN" => self.say(&Say::NotImplemented(command)).await,
            "ABOR" => self.line("225 No transfer to ABOR.").await,
            "OPTS" => self.line("501 Option not understood.").await,
            "REST" => {
                self.restart = arg.parse().unwrap_or(0);
                let at = self.restart;
                self.line(&format!("350 Restart position accepted ({at}).")).await
            }
            "PASV" | "PORT" | "EPRT" if self.extended_only => self.say(&Say::Denied(arg)).await,
            "PASV" | "EPSV" => self.passive(command, arg).await,
            "PORT" | "EPRT" => self.active(command, arg).await,
            "LIST" | "NLST" => self.list(command == "NLST", arg).await,
            "MLSD" | "MLST" if self.server.product == Product::ProFtpd => {
                self.machine_list(command, arg).await
            }
            "SIZE" if self.ascii && self.server.product == Product::ProFtpd => {
                self.line("550 SIZE not allowed in ASCII mode").await
            }
            "SIZE" => match self
                .tree
                .get(&path)
                .filter(|node| !node.is_folder())
                .map(|node| node.size)
            {
                Some(size) => self.line(&format!("213 {size}")).await,
                None => self.say(&Say::NoSize(arg)).await,
            },
            "MDTM" => match self
                .tree
                .get(&path)
                .filter(|node| !node.is_folder())
                .map(|node| stamp(node.mtime))
            {
                Some(stamp) => self.line(&format!("213 {stamp}")).await,
                None => self.say(&Say::NoTime(arg)).await,
            },
            "RETR" => self.retrieve(arg).await,
            "STOR" | "APPE" | "STOU" if writable => self.store(command, arg).await,
            "DELE" if writable => {
                let done = self.tree.remove(&path, false);
                self.say(&Say::Deleted(done, arg)).await
            }
            "RMD" | "XRMD" if writable => {
                let done = self.tree.remove(&path, true);
                self.say(&Say::Removed(done, arg)).await
            }
            "MKD" | "XMKD" if writable => {
                let folder = self.node(None, 4096, 0o755);
                let made = self.tree.get(&path).is_none() && self.tree.put(&path, folder);
                let shown = resolve(&self.folder, arg);
                self.say(&Say::Made(made.then_some(shown.as_str()), arg)).await
            }
            "RNFR" if writable => {
                let there = self.tree.get(&path).is_some();
                self.renames = there.then_some(path);
                self.say(&Say::RenameFrom(there, arg)).await
            }
            "RNTO" if writable => match self.renames.take() {
                None => self.say(&Say::RenameFirst).await,
                Some(from) => {
                    let done = self.tree.rename(&from, &path);
                    self.say(&Say::Renamed(done, arg)).await
                }
            },
            "SITE" => self.site(arg).await,
            // ProFTPD looks for what is named before it asks for the right to it.
            "DELE" | "RMD" | "XRMD" | "RNFR"
                if self.server.product == Product::ProFtpd && self.tree.get(&path).is_none() =>
            {
                self.say(&Say::RetrieveFailed(arg)).await
            }
            "RNTO" if self.server.product == Product::ProFtpd => self.say(&Say::RenameFirst).await,
            "STOR" | "APPE" | "STOU" | "DELE" | "RMD" | "XRMD" | "MKD" | "XMKD" | "RNFR" | "RNTO" => {
                self.say(&Say::Denied(arg)).await
            }
            _ => self.say(&Say::Unknown(command)).await,
        }
    }

    fn node(&self, content: Option<Arc<[u8]>>, size: u64, mode: u32) -> Node {
        let (owner, anonymous) = self.account.clone().unwrap_or_default();
        let owner = if anonymous { "ftp".to_owned() } else { owner };
        let uid = self.server.host.persona.user(&owner).map_or(101, |user| user.uid);
        let mtime = self.server.host.clock.now().unix_timestamp();
        Node {
            content,
            size,
            mode,
            uid,
            owner,
            mtime,
        }
    }

    async fn status(&mut self) -> io::Result<()> {
        let from = self.peer.addr().ip().to_canonical();
        // ProFTPD asks for the name of an address; most have none.
        let name = if from.is_loopback() {
            "localhost".to_owned()
        } else {
            from.to_string()
        };
        let user = self
            .account
            .as_ref()
            .map_or("ftp", |(name, anonymous)| if *anonymous { "ftp" } else { name });
        let kind = if self.ascii { "ASCII" } else { "BINARY" };
        let version = &self.server.version;
        let text = match self.server.product {
            Product::VsFtpd => format!(
                "211-FTP server status:\r\n     Connected to {from}\r\n     Logged in as {user}\r\n     TYPE: {kind}\r\n     No session bandwidth limit\r\n     Session timeout in seconds is 300\r\n     Control connection is plain text\r\n     Data connections will be plain text\r\n     At session startup, client count was 1\r\n     vsFTPd {version} - secure, fast, stable\r\n211 End of status"
            ),
            Product::ProFtpd => format!(
                "211-Status of '{}'\r\n Connected from {name} ({from})\r\n Logged in as {user}\r\n TYPE: {kind}, STRUcture: File, Mode: Stream\r\n No data connection\r\n211 End of status",
                self.server.packager
            ),
        };
        self.line(&text).await
    }

    async fn site(&mut self, arg: &str) -> io::Result<()> {
        let word = arg.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let vs = self.server.product == Product::VsFtpd;
        let guest = self.account.as_ref().is_some_and(|(_, anonymous)| *anonymous);
        match word.as_str() {
            "" if !vs => self.line("500 'SITE' requires parameters").await,
            "HELP" if !vs => self.line(wording::PROFTPD_SITE_HELP).await,
            "CHMOD" | "CHGRP" if !vs => {
                let path = arg.splitn(3, ' ').nth(2).unwrap_or_default();
                let there = self.tree.get(&self.real(path)).is_some();
                let why = if there {
                    "Operation not permitted"
                } else {
                    "No such file or directory"
                };
                self.line(&format!("550 {path}: {why}")).await
            }
            "HELP" | "UMASK" | "CHMOD" if vs && guest => self.say(&Say::Denied(arg)).await,
            "HELP" => self.line("214 CHMOD UMASK HELP").await,
            "UMASK" => self.line("200 Your current UMASK is 077").await,
            "CHMOD" if self.server.config.writable => {
                let target = self.real(arg.splitn(3, ' ').nth(2).unwrap_or_default());
                if self.tree.get(&target).is_some() {
                    self.line("200 SITE CHMOD command ok.").await
                } else {
                    self.line("550 SITE CHMOD command failed.").await
                }
            }
            "EXEC" | "CPFR" | "CPTO" => {
                // CVE-2015-3306: ProFTPD's mod_copy without login; and the older SITE EXEC holes.
                let name = if word == "EXEC" {
                    "ftp-site-exec"
                } else {
                    "CVE-2015-3306"
                };
                self.tap.emit(Event::Exploit {
                    name,
                    bytes: arg.as_bytes(),
                });
                self.unknown_site(vs && guest, arg).await
            }
            _ => self.unknown_site(vs && guest, arg).await,
        }
    }

    async fn unknown_site(&mut self, denied: bool, arg: &str) -> io::Result<()> {
        if denied {
            return self.say(&Say::Denied(arg)).await;
        }
        match self.server.product {
            Product::VsFtpd => self.line("500 Unknown SITE command.").await,
            Product::ProFtpd => {
                let word = arg.split(' ').next().unwrap_or_default().to_ascii_uppercase();
                self.line(&format!("500 'SITE {word}' not understood")).await
            }
        }
    }

    async fn passive(&mut self, command: &str, arg: &str) -> io::Result<()> {
        if arg.eq_ignore_ascii_case("ALL") {
            self.extended_only = true;
            return self.line("200 EPSV ALL ok.").await;
        }
        let v4 = match self.peer.local().ip().to_canonical() {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        };
        let own = if v4.is_some() { "1" } else { "2" };
        if command == "EPSV" && !arg.is_empty() && arg != own {
            return self.line("522 Bad network protocol.").await;
        }
        let listener = self.peer.listen_beside().await?;
        let port = listener.local().port();
        self.agree(Way::Passive(listener));
        match (command, v4) {
            ("EPSV", _) => {
                self.line(&format!("229 Entering Extended Passive Mode (|||{port}|)"))
                    .await
            }
            (_, Some(v4)) => {
                let [a, b, c, d] = v4.octets();
                let dot = if self.server.product == Product::VsFtpd {
                    "."
                } else {
                    ""
                };
                self.line(&format!(
                    "227 Entering Passive Mode ({a},{b},{c},{d},{},{}){dot}",
                    port / 256,
                    port % 256
                ))
                .await
            }
            (_, None) => self.line("522 Bad network protocol.").await,
        }
    }

    /// The next data connection comes about so.
    fn agree(&mut self, way: Way) {
        let tls = self.server.tls.clone().filter(|_| self.private);
        self.channel = Some(Channel { way, tls });
    }

    /// PORT and EPRT: to the visitor's own address accepted, to another refused and reported.
    async fn active(&mut self, command: &str, arg: &str) -> io::Result<()> {
        let target = if command == "PORT" {
            port_target(arg)
        } else {
            eprt_target(arg)
        };
        let Some((address, port)) = target else {
            return self.say(&Say::BadPort(command)).await;
        };
        self.channel = None;
        if address != self.peer.addr().ip().to_canonical() || port < 1024 {
            let target = format!("{address}:{port}");
            self.tap.emit(Event::ForwardRefused {
                via: "PORT",
                target: target.as_bytes(),
            });
            return self.say(&Say::BadPort(command)).await;
        }
        self.agree(Way::Active(port));
        self.say(&Say::Ok(command)).await
    }

    /// The data connection that is to be used now, with `start` said once it stands, as both products do; nothing where a refusal was
    /// said.
    async fn data(&mut self, start: &Say<'_>) -> io::Result<Option<Data>> {
        let Some(channel) = self.channel.take() else {
            self.say(&Say::NoData).await?;
            return Ok(None);
        };
        let opened = if matches!(channel.way, Way::Active(_)) && !self.server.config.active {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            channel.open(&self.peer, self.data_port()).await
        };
        self.peer.touch();
        let refusal = match opened {
            Ok(data) => {
                self.say(start).await?;
                return Ok(Some(data));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Say::DataRefused,
            Err(_) => Say::DataFailed,
        };
        self.say(&refusal).await?;
        Ok(None)
    }

    /// The port that the server connects from.
    fn data_port(&self) -> u16 {
        match self.server.product {
            // `connect_from_port_20`, which its packages switch on.
            Product::VsFtpd => 20,
            // The one below that of the control connection (RFC 959 section 8).
            Product::ProFtpd => self.peer.local().port().saturating_sub(1),
        }
    }

    /// Say how a transfer ended.
    async fn transferred(&mut self, outcome: io::Result<()>, end: &Say<'_>) -> io::Result<()> {
        self.peer.touch();
        match outcome {
            Ok(()) => self.say(end).await,
            Err(_) => self.line("426 Failure writing network stream.").await,
        }
    }

    async fn list(&mut self, names_only: bool, arg: &str) -> io::Result<()> {
        // Options as `ls` takes them are common, and change little.
        let path = arg
            .split(' ')
            .find(|word| !word.starts_with('-'))
            .unwrap_or_default();
        let listing = self.listing(&self.real(path), names_only);
        let Some(data) = self.data(&Say::ListStart).await? else {
            return Ok(());
        };
        let outcome = data.send(listing.as_bytes()).await;
        self.transferred(outcome, &Say::ListEnd).await
    }

    fn listing(&self, path: &str, names_only: bool) -> String {
        let now = self.server.host.clock.now().unix_timestamp();
        let entries = match self.tree.get(path) {
            Some(node) if node.is_folder() => self.tree.list(path),
            Some(node) => vec![(path.rsplit('/').next().unwrap_or(path), node)],
            None => Vec::new(),
        };
        let mut out = String::new();
        for (name, node) in entries {
            if names_only {
                out.push_str(&format!("{name}\r\n"));
                continue;
            }
            let links = if node.is_folder() { 2 } else { 1 };
            let date = ls_date(node.mtime, now);
            let (perms, size) = (node.permissions(), node.size);
            let line = match self.server.product {
                Product::VsFtpd => {
                    format!(
                        "{perms} {links:>4} {uid:<8} {uid:<8} {size:>8} {date} {name}\r\n",
                        uid = node.uid
                    )
                }
                Product::ProFtpd => {
                    format!(
                        "{perms} {links:>3} {o:<8} {o:<8} {size:>8} {date} {name}\r\n",
                        o = node.owner
                    )
                }
            };
            out.push_str(&line);
        }
        out
    }

    /// RFC 3659 section 7.
    async fn machine_list(&mut self, command: &str, arg: &str) -> io::Result<()> {
        let path = self.real(arg);
        let facts = |name: &str, node: &Node| {
            let (kind, size) = if node.is_folder() {
                ("dir", String::new())
            } else {
                ("file", format!("size={};", node.size))
            };
            let perm = if node.is_folder() { "flcdmpe" } else { "adfrw" };
            format!(
                "modify={};perm={perm};{size}type={kind};UNIX.group={uid};UNIX.groupname={o};UNIX.mode=0{:o};UNIX.owner={uid};UNIX.ownername={o}; {name}",
                stamp(node.mtime),
                node.mode,
                uid = node.uid,
                o = node.owner
            )
        };
        if command == "MLST" {
            let text = self
                .tree
                .get(&path)
                .map(|node| facts(&resolve(&self.folder, arg), node));
            return match text {
                Some(text) => {
                    self.line(&format!(
                        "250-Start of list for {arg}\r\n {text}\r\n250 End of list"
                    ))
                    .await
                }
                None => self.say(&Say::RetrieveFailed(arg)).await,
            };
        }
        if !self.tree.is_folder(&path) {
            return self.say(&Say::RetrieveFailed(arg)).await;
        }
        let listing: String = self
            .tree
            .list(&path)
            .iter()
            .map(|(name, node)| format!("{}\r\n", facts(name, node)))
            .collect();
        let Some(data) = self.data(&Say::MachineListStart).await? else {
            return Ok(());
        };
        let outcome = data.send(listing.as_bytes()).await;
        self.transferred(outcome, &Say::TransferEnd).await
    }

    async fn retrieve(&mut self, arg: &str) -> io::Result<()> {
        let path = self.real(arg);
        let content = self.tree.get(&path).and_then(|node| node.content.clone());
        let found = content.is_some();
        let Some(content) = content else {
            self.tap.emit(Event::Download {
                path: path.as_bytes(),
                size: 0,
                found,
            });
            // vsftpd asks for the data connection first, whatever the file.
            let unasked = self.channel.is_none();
            let refusal = match self.server.product {
                Product::VsFtpd if unasked => Say::NoData,
                _ => Say::RetrieveFailed(arg),
            };
            return self.say(&refusal).await;
        };
        let at = usize::try_from(std::mem::take(&mut self.restart)).unwrap_or(usize::MAX);
        let part = content.get(at..).unwrap_or_default();
        let size = u64::try_from(content.len()).unwrap_or_default();
        let outcome = match self.data(&Say::RetrieveStart(arg, size)).await? {
            Some(data) => Some(data.send(part).await),
            None => None,
        };
        let sent = if matches!(outcome, Some(Ok(()))) {
            u64::try_from(part.len()).unwrap_or_default()
        } else {
            0
        };
        self.tap.emit(Event::Download {
            path: path.as_bytes(),
            size: sent,
            found,
        });
        match outcome {
            Some(outcome) => self.transferred(outcome, &Say::TransferEnd).await,
            // The refusal was said.
            None => Ok(()),
        }
    }

    async fn store(&mut self, command: &str, arg: &str) -> io::Result<()> {
        let name = if command == "STOU" { "file.1" } else { arg };
        let path = self.real(name);
        if arg.is_empty() && command != "STOU"
            || self.tree.is_folder(&path)
            || !self.tree.is_folder(parent(&path))
        {
            return self
                .say(&if self.server.product == Product::VsFtpd {
                    Say::Cwd(false, arg)
                } else {
                    Say::RetrieveFailed(arg)
                })
                .await;
        }
        let Some(data) = self.data(&Say::StoreStart(name)).await? else {
            return Ok(());
        };
        let via = if command == "APPE" { "appe" } else { "stor" };
        let user = self.account.as_ref().map_or("", |(name, _)| name).to_owned();
        let capture = self.tap.artifact(path.as_bytes(), via, user.as_bytes());
        let outcome = match data.receive(capture).await {
            Ok((stored, kept)) => {
                let node = self.node(Some(kept.into()), stored.size, 0o600);
                // Where the session has no more room the file is captured all the same, and does not show.
                self.tree.put(&path, node);
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.transferred(outcome, &Say::TransferEnd).await
    }
}

/// First words of HTTP and SMTP, to which ProFTPD hangs up without one of its own.
const OTHER_PROTOCOLS: [&str; 14] = [
    "GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "CONNECT", "PATCH", "EHLO", "HELO", "MAIL", "RCPT",
    "DATA", "VRFY",
];

/// Commands that ProFTPD knows, also before a login.
const KNOWN: [&str; 32] = [
    "CWD", "XCWD", "CDUP", "XCUP", "PORT", "PASV", "EPRT", "EPSV", "ALLO", "RNFR", "RNTO", "DELE", "MDTM",
    "RMD", "XRMD", "MKD", "XMKD", "PWD", "XPWD", "SIZE", "HELP", "TYPE", "STRU", "MODE", "RETR", "STOR",
    "APPE", "REST", "LIST", "NLST", "STAT", "SITE",
];

/// The address and port of PORT: `h1,h2,h3,h4,p1,p2` (RFC 959 section 5.3.2).
fn port_target(arg: &str) -> Option<(IpAddr, u16)> {
    let numbers: Vec<u8> = arg
        .split(',')
        .map(|n| n.trim().parse().ok())
        .collect::<Option<_>>()?;
    let [a, b, c, d, high, low] = numbers.as_slice() else {
        return None;
    };
    Some((IpAddr::from([*a, *b, *c, *d]), u16::from_be_bytes([*high, *low])))
}

/// The address and port of EPRT: `|1|address|port|` (RFC 2428 section 2).
fn eprt_target(arg: &str) -> Option<(IpAddr, u16)> {
    let mark = arg.chars().next()?;
    let parts: Vec<&str> = arg.split(mark).collect();
    let ["", family, address, port, ""] = parts.as_slice() else {
        return None;
    };
    let address: IpAddr = address.parse().ok()?;
    let fits = *family == if address.is_ipv4() { "1" } else { "2" };
    let port = port.parse().ok()?;
    fits.then_some((address, port))
}

/// `YYYYMMDDHHMMSS` in UTC (RFC 3659 section 2.3).
fn stamp(unix: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(format_description!("[year][month][day][hour][minute][second]"))
        .unwrap_or_default()
}

/// The date of `ls -l`: with the year where it is more than half a year away.
fn ls_date(unix: i64, now: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let recent = (now - 182 * 86_400..=now + 3600).contains(&unix);
    let shown = if recent {
        at.format(format_description!("[month repr:short] [day] [hour]:[minute]"))
    } else {
        at.format(format_description!("[month repr:short] [day]  [year]"))
    };
    shown.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_active_mode_are_read_as_the_rfcs_write_them() {
        assert_eq!(
            port_target("127,0,0,1,4,1"),
            Some((IpAddr::from([127, 0, 0, 1]), 1025))
        );
        assert_eq!(
            eprt_target("|1|127.0.0.1|1025|"),
            Some((IpAddr::from([127, 0, 0, 1]), 1025))
        );
        assert_eq!(eprt_target("|2|::1|1025|").map(|t| t.1), Some(1025));
        for bad in ["", "1,2,3", "1,2,3,4,5,999", "|1|::1|1|", "|1|1.2.3.4|x|"] {
            assert_eq!(port_target(bad).or(eprt_target(bad)), None, "{bad}");
        }
    }

    #[test]
    fn dates_show_the_year_once_they_are_old() {
        let now = 1_795_000_000;
        assert_eq!(ls_date(now, now), "Nov 18 11:06");
        assert!(ls_date(now - 400 * 86_400, now).ends_with("  2025"));
    }
}
