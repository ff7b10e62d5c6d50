//! Authentication and channels: what sshd decides, before a shell is reached.

use std::{
    borrow::Cow,
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use decnet_model::event::{ClientInfoKind, Event, Secret};
use decnet_persona::ProductKind;
use rand::Rng as _;
use russh::{
    Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, Disconnect, Limits, Pty, SshId,
    keys::HashAlg,
    server::{
        Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, PublicKeyOffer, Response,
        Session as Connection, run_stream,
    },
};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Ssh, SshConfig, keys,
    proposal::{Dialogue, Proposal},
    session::{Inbox, Input, Job, Session, Terminal},
    wire::{self, Wire},
};
use crate::{
    serve::{
        BuildError, Decoy, Full, Host, Peer, SessionError, Tap,
        login::{Logins, Offer},
    },
    shell::{
        Template,
        vfs::{Overlays, Shared as Overlay},
    },
};

/// What OpenSSH makes every failure take at least, and past which it adds nothing any more (auth2.c).
const FAILURE_MIN: Duration = Duration::from_millis(5);
/// See [`FAILURE_MIN`].
const FAILURE_MAX: Duration = Duration::from_secs(5);
/// `LoginGraceTime` of sshd_config.
const LOGIN_GRACE: Duration = Duration::from_secs(120);
/// What sshd says to whom it has no room for.
const MAX_STARTUPS_WORDS: &[u8] = b"Exceeded MaxStartups\r\n";
/// `MaxStartups` of sshd_config: as many that have not signed in yet are taken without question, past that the rate (in
/// hundredths) begins at which visitors are dropped, and at the full number all are.
const STARTUPS_BEGIN: u32 = 10;
/// See [`STARTUPS_BEGIN`].
const STARTUPS_RATE: u32 = 30;
/// See [`STARTUPS_BEGIN`].
const STARTUPS_FULL: u32 = 100;
/// `MaxSessions` of sshd_config.
const MAX_SESSIONS: usize = 10;
/// Bytes of input that a channel may be behind with before the connection is closed.
const BEHIND_MAX: usize = 4 << 20;
/// Environment variables that one channel may set, and their longest value.
const VARIABLES_MAX: usize = 64;
/// See [`VARIABLES_MAX`].
const VARIABLE_MAX: usize = 4_096;

/// What all sessions share.
pub(super) struct Shared {
    pub(super) host: Arc<Host>,
    pub(super) template: Template,
    config: SshConfig,
    version: String,
    proposal: Proposal,
    /// Names of the key exchanges that are offered.
    kex: Arc<[String]>,
    /// What the time of a refusal depends on beside the user.
    refusal_secret: [u8; 32],
    logins: Logins,
    /// Connections that have not signed in yet.
    startups: Arc<AtomicU32>,
    /// What visitors left, by their address.
    pub(super) overlays: Overlays,
    /// The server's configuration, once the host keys are made.
    ready: watch::Receiver<Option<Arc<Config>>>,
}

impl Shared {
    /// What a terminal shows after `user` signed in from `source`: the message of the day, and the login before.
    pub(super) fn greeting(&self, user: &str, source: &str, now: i64) -> String {
        let machine = &self.template.machine;
        let motd = machine.distribution.motd(&machine.uname, machine.architecture);
        if !machine.distribution.tells_last_login() {
            return motd;
        }
        let Some(before) = machine.login(user, source, now) else {
            return motd;
        };
        let at =
            time::OffsetDateTime::from_unix_timestamp(before.at).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        let (week, month) = (at.weekday().to_string(), at.month().to_string());
        let head = |text: &str| text.chars().take(3).collect::<String>();
        format!(
            "{motd}Last login: {} {} {:>2} {:02}:{:02}:{:02} {} from {}\n",
            head(&week),
            head(&month),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.year(),
            before.from
        )
    }
}

impl Decoy for Ssh {
    fn build(config: SshConfig, host: &Arc<Host>) -> Result<Self, BuildError> {
        let product = host.persona.product(ProductKind::Ssh);
        let version = config.version.clone().unwrap_or(product.banner);
        if !version.starts_with("SSH-2.0-")
            || version.len() > 200
            || version.bytes().any(|b| !(32..127).contains(&b))
        {
            return Err(BuildError::of::<Self>(
                "version",
                format!(
                    "{:?} does not begin with SSH-2.0-, or is longer than 200 printable characters",
                    version.chars().take(60).collect::<String>()
                ),
            ));
        }
        let (made, ready) = watch::channel(None);
        let persona = host.persona.clone();
        let server_id = SshId::Standard(Cow::Owned(version.clone()));
        let proposal = Proposal::of(&version, &host.persona);
        let (offered, bits) = (proposal.clone(), proposal.rsa_bits);
        // A second of arithmetic that nobody has to wait for: visitors are greeted meanwhile.
        std::thread::Builder::new()
            .name("hostkeys".to_owned())
            .spawn(move || match keys::host_keys(&persona, bits) {
                Ok(keys) => {
                    // Without a receiver the service is gone already.
                    let _gone = made.send(Some(Arc::new(server_config(server_id, keys, &offered))));
                }
                Err(error) => {
                    crate::serve::trouble(format_args!("ssh: the host keys cannot be made: {error}"))
                }
            })
            .map_err(|error| BuildError::of::<Self>("-", format!("the host keys cannot be made: {error}")))?;
        let logins = Logins::new(config.accept, host);
        let template = Template::new(&host.persona, Arc::clone(&host.services));
        let shared = Shared {
            host: Arc::clone(host),
            template,
            config,
            version,
            kex: proposal.kex_names(),
            proposal,
            refusal_secret: host.persona.secret("ssh/refusal"),
            logins,
            startups: Arc::default(),
            overlays: Overlays::default(),
            ready,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    fn busy(&self, _full: Full) -> Cow<'static, [u8]> {
        Cow::Borrowed(MAX_STARTUPS_WORDS)
    }

    async fn session(&self, mut peer: Peer, tap: Tap) -> Result<(), SessionError> {
        let (startup, before) = Startup::begin(&self.shared.startups);
        let counts = self.shared.version.contains("OpenSSH");
        if counts && is_dropped(before, rand::rng().random_range(0..100)) {
            tap.emit(Event::Limited {
                what: "startups",
                limit: STARTUPS_FULL.into(),
            });
            peer.send(MAX_STARTUPS_WORDS).await?;
            peer.close().await;
            return Ok(());
        }
        let (address, local) = (peer.addr(), peer.local());
        let Shared {
            version, proposal, ..
        } = &*self.shared;
        let greeted = wire::greet(&mut peer, &tap, version, &proposal.refusals);
        let greeted = tokio::time::timeout(LOGIN_GRACE, greeted).await;
        let client = match greeted {
            Ok(Ok(Some(client))) => client,
            Ok(Ok(None)) => {
                peer.close().await;
                return Ok(());
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Ok(()),
        };
        let mut ready = self.shared.ready.clone();
        let config = match ready.wait_for(Option::is_some).await {
            Ok(config) => config.clone(),
            Err(_) => None,
        };
        let Some(config) = config else { return Ok(()) };
        let (authenticated, mut is_in) = watch::channel(false);
        let visitor = Visitor {
            shared: Arc::clone(&self.shared),
            tap: tap.clone(),
            address,
            local,
            user: String::new(),
            secret: None,
            overlay: None,
            authenticated,
            channels: HashMap::new(),
            line: Arc::default(),
            principal: None,
            attempts: 0,
            failures: 0,
        };
        let line = Arc::clone(&visitor.line);
        // russh drives a connection in a task of its own: it has to end with the session, also where that is dropped.
        let stop = CancellationToken::new();
        let _ends_it = stop.clone().drop_guard();
        let stream = Wire::new(
            peer,
            tap.clone(),
            &self.shared.version,
            client,
            Arc::clone(&self.shared.kex),
            stop.cancelled_owned(),
        );
        // In a box, whose two kilobytes are given back once the connection runs.
        let connection = Box::pin(run_stream(config, stream, visitor))
            .await
            .map_err(|Fault(error)| told(error))?;
        // It is set nowhere else.
        let _first = line.set(connection.handle());
        tokio::pin!(connection);
        let grace = async {
            let passed = tokio::time::timeout(LOGIN_GRACE, is_in.wait_for(|is_in| *is_in))
                .await
                .is_ok();
            if passed {
                drop(startup);
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = &mut connection => match ended {
                Ok(()) => Ok(()),
                Err(Fault(error)) => Err(told(error)),
            },
            () = grace => Ok(()),
        }
    }
}

fn told(error: russh::Error) -> SessionError {
    match error {
        russh::Error::IO(error) => SessionError::Io(error),
        russh::Error::Disconnect | russh::Error::HUP => {
            SessionError::Io(std::io::ErrorKind::UnexpectedEof.into())
        }
        russh::Error::NoCommonAlgo { .. } => SessionError::Violation("no common algorithm"),
        other => SessionError::Io(std::io::Error::other(other)),
    }
}

fn server_config(server_id: SshId, keys: Vec<russh::keys::PrivateKey>, proposal: &Proposal) -> Config {
    Config {
        server_id,
        keys,
        methods: proposal.method_set(),
        // How long a refusal takes depends on its method and its user: see `Visitor::refuse`.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        // For what russh refuses by itself, such as a method that is not there; the rest `Visitor::failed` counts.
        max_auth_attempts: usize::try_from(proposal.tries).unwrap_or(0) + 1,
        inactivity_timeout: None,
        keepalive_interval: None,
        window_size: 2 << 20,
        maximum_packet_size: 32 << 10,
        channel_buffer_size: 16,
        event_buffer_size: 8,
        limits: Limits::default(),
        preferred: proposal.preferred(),
        nodelay: true,
        ..Config::default()
    }
}

/// Why a connection ends early.
#[derive(Debug)]
struct Fault(russh::Error);

impl From<russh::Error> for Fault {
    fn from(error: russh::Error) -> Self {
        Self(error)
    }
}

/// One channel before and while it does its job.
struct Open {
    output: Option<Arc<ChannelWriteHalf<Msg>>>,
    terminal: Option<Terminal>,
    variables: Vec<(String, String)>,
    input: mpsc::UnboundedSender<Input>,
    /// Bytes of input that the job has not taken yet.
    behind: Arc<AtomicUsize>,
    receiver: Option<mpsc::UnboundedReceiver<Input>>,
}

/// One visitor.
struct Visitor {
    shared: Arc<Shared>,
    tap: Tap,
    address: SocketAddr,
    local: SocketAddr,
    user: String,
    /// The password that let it in.
    secret: Option<Vec<u8>>,
    /// What it left before, from the moment it is in.
    overlay: Option<Overlay>,
    authenticated: watch::Sender<bool>,
    channels: HashMap<ChannelId, Open>,
    /// The connection, once russh has it.
    line: Arc<OnceLock<Handle>>,
    /// Whom the first request was for.
    principal: Option<String>,
    /// Requests to authenticate, and those of them that count as failed.
    attempts: u32,
    failures: u32,
}

/// One connection that has not signed in yet, as long as it lives.
struct Startup(Arc<AtomicU32>);

impl Startup {
    /// Another one, and how many there were before.
    fn begin(all: &Arc<AtomicU32>) -> (Self, u32) {
        let before = all.fetch_add(1, Ordering::Relaxed);
        (Self(Arc::clone(all)), before)
    }
}

impl Drop for Startup {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a visitor is dropped who comes while `startups` others have not signed in, where `drawn` of a hundred is its luck
/// (`should_drop_connection` of sshd.c).
fn is_dropped(startups: u32, drawn: u32) -> bool {
    let over = match startups.checked_sub(STARTUPS_BEGIN) {
        None => return false,
        Some(_) if startups >= STARTUPS_FULL => return true,
        Some(over) => over,
    };
    let rate = (100 - STARTUPS_RATE) * over / (STARTUPS_FULL - STARTUPS_BEGIN) + STARTUPS_RATE;
    drawn < rate
}

/// How long OpenSSH makes a refusal take that was found after `elapsed`: the time that belongs to the user, doubled until
/// it is long enough (`ensure_minimum_time_since` and `user_specific_delay` of auth2.c).
fn evened_out(elapsed: Duration, secret: &[u8; 32], user: &str) -> Duration {
    if elapsed > FAILURE_MAX {
        return elapsed;
    }
    let digest: [u8; 32] = Sha256::new()
        .chain_update(user)
        .chain_update(secret)
        .finalize()
        .into();
    let [a, b, c, d, ..] = digest;
    let mut time = FAILURE_MIN + Duration::from_nanos(u64::from(u32::from_be_bytes([a, b, c, d])) / 1_000);
    while time < elapsed {
        time *= 2;
    }
    time
}

/// How long PAM makes a wrong password take: half to one and a half times `mean`, and most often about that.
fn pam_delay(mean: Duration) -> Duration {
    let mut rng = rand::rng();
    let thirds: f64 = (0..3).map(|_| rng.random::<f64>()).sum();
    mean.mul_f64(0.5 + thirds / 3.0)
}

impl Visitor {
    /// Another request to authenticate, for `user`. OpenSSH hangs up where that is somebody else than before.
    async fn begin(&mut self, user: &str) -> Result<(), Fault> {
        self.attempts += 1;
        let principal = self.principal.get_or_insert_with(|| user.to_owned());
        if principal == user {
            return Ok(());
        }
        let words = format!(
            "Change of username or service not allowed: ({principal},ssh-connection) -> ({user},ssh-connection)"
        );
        self.hang_up(words).await
    }

    /// End the connection as OpenSSH's `ssh_packet_disconnect` does, as soon as what is being answered has been.
    async fn hang_up(&self, words: String) -> Result<(), Fault> {
        if let Some(line) = self.line.get() {
            // It seldom happens, and without the box every connection would keep room for it.
            Box::pin(line.disconnect(Disconnect::ProtocolError, words, String::new())).await?;
        }
        Ok(())
    }

    /// Refuse a request that began at `began`, and count it.
    async fn refuse(&mut self, user: &str, began: Instant) -> Result<Auth, Fault> {
        if self.shared.proposal.evens_out {
            let elapsed = began.elapsed();
            let time = evened_out(elapsed, &self.shared.refusal_secret, user);
            tokio::time::sleep(time.saturating_sub(elapsed)).await;
        }
        self.failed().await
    }

    async fn failed(&mut self) -> Result<Auth, Fault> {
        self.failures += 1;
        if self.failures >= self.shared.proposal.tries {
            self.hang_up("Too many authentication failures".to_owned())
                .await?;
        }
        Ok(self.refusal())
    }

    fn refusal(&self) -> Auth {
        // Without the methods russh would take the one that failed from the list.
        Auth::Reject {
            proceed_with_methods: Some(self.shared.proposal.method_set()),
            partial_success: false,
        }
    }

    fn has_method(&self, name: &str) -> bool {
        self.shared
            .proposal
            .methods
            .split(',')
            .any(|method| method == name)
    }

    async fn password(&mut self, user: &str, password: &str, mechanism: &'static str) -> Result<Auth, Fault> {
        let began = Instant::now();
        let ip = self.address.ip().to_canonical();
        let accepted = self.has_method(mechanism)
            && self
                .shared
                .logins
                .admits(ip, user.as_bytes(), &Offer::Password(password.as_bytes()));
        self.attempt(user, Secret::Plaintext(password.as_bytes()), mechanism, accepted);
        if accepted {
            self.user = user.to_owned();
            self.secret = Some(password.as_bytes().to_vec());
            return Ok(Auth::Accept);
        }
        if self.has_method(mechanism) {
            let mean = Duration::from_millis(self.shared.config.refusal_ms.into());
            tokio::time::sleep(pam_delay(mean)).await;
        }
        self.refuse(user, began).await
    }

    fn attempt(&self, user: &str, secret: Secret<'_>, mechanism: &str, accepted: bool) {
        self.tap.emit(Event::AuthAttempt {
            principal: user.as_bytes(),
            secret,
            mechanism,
            accepted,
        });
    }

    fn refused(&self, via: &'static str, target: &str) {
        self.tap.emit(Event::ForwardRefused {
            via,
            target: target.as_bytes(),
        });
    }

    fn start(&mut self, id: ChannelId, job: Job, connection: &mut Connection) -> Result<(), Fault> {
        let user = self.user.clone();
        let Some(open) = self.channels.get_mut(&id) else {
            return Ok(connection.channel_failure(id)?);
        };
        let (Some(input), Some(output)) = (open.receiver.take(), open.output.take()) else {
            return Ok(connection.channel_failure(id)?);
        };
        connection.channel_success(id)?;
        let overlay = self.overlay.get_or_insert_with(|| {
            let now = self.tap.clock().now().unix_timestamp();
            self.shared.overlays.of(self.address.ip().to_canonical(), now)
        });
        let session = Session {
            overlay: Arc::clone(overlay),
            shared: Arc::clone(&self.shared),
            tap: self.tap.clone(),
            user,
            client: format!(
                "{} {} {}",
                self.address.ip().to_canonical(),
                self.address.port(),
                self.local.port()
            ),
            terminal: open.terminal.clone(),
            variables: std::mem::take(&mut open.variables),
            input: Inbox {
                receiver: input,
                behind: Arc::clone(&open.behind),
            },
            output,
            secret: self.secret.clone(),
            seed: rand::rng().random(),
        };
        tokio::spawn(session.run(job));
        Ok(())
    }
}

impl Handler for Visitor {
    type Error = Fault;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Fault> {
        Ok(self
            .shared
            .config
            .banner
            .as_ref()
            .map(|text| format!("{text}\r\n")))
    }

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Fault> {
        self.begin(user).await?;
        if self.attempts > 1 {
            return self.failed().await;
        }
        Ok(self.refusal())
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Fault> {
        self.begin(user).await?;
        self.password(user, password, "password").await
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Fault> {
        if let Some(mut answers) = response {
            let answer = answers.next().unwrap_or_default();
            return self
                .password(user, &String::from_utf8_lossy(&answer), "keyboard-interactive")
                .await;
        }
        self.begin(user).await?;
        let Dialogue::Asks(question) = self.shared.proposal.dialogue else {
            return self.refuse(user, Instant::now()).await;
        };
        let host = &self.shared.host.persona.hostname;
        let question = question.replace("{user}", user).replace("{host}", host);
        Ok(Auth::Partial {
            name: Cow::Borrowed(""),
            instructions: Cow::Borrowed(""),
            prompts: Cow::Owned(vec![(Cow::Owned(question), false)]),
        })
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Fault> {
        let began = Instant::now();
        self.begin(user).await?;
        let fingerprint = offer.public_key.fingerprint(HashAlg::Sha256).to_string();
        let secret = Secret::PublicKey {
            algorithm: offer.algorithm.as_str(),
            fingerprint: &fingerprint,
        };
        self.attempt(user, secret, "publickey", false);
        self.refuse(user, began).await
    }

    async fn auth_succeeded(&mut self, _connection: &mut Connection) -> Result<(), Fault> {
        self.authenticated.send_replace(true);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _connection: &mut Connection,
    ) -> Result<(), Fault> {
        if self.channels.len() >= MAX_SESSIONS {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        }
        let id = channel.id();
        // Input comes through the handler's own methods; the reading half would only hold a second copy.
        let (_unused, output) = channel.split();
        let (input, receiver) = mpsc::unbounded_channel();
        self.channels.insert(
            id,
            Open {
                output: Some(Arc::new(output)),
                terminal: None,
                variables: Vec::new(),
                input,
                behind: Arc::default(),
                receiver: Some(receiver),
            },
        );
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        host: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        _connection: &mut Connection,
    ) -> Result<(), Fault> {
        self.refused("direct-tcpip", &format!("{host}:{port}"));
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _connection: &mut Connection,
    ) -> Result<(), Fault> {
        self.refused("direct-streamlocal", path);
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        _connection: &mut Connection,
    ) -> Result<bool, Fault> {
        self.refused("tcpip-forward", &format!("{address}:{port}"));
        Ok(false)
    }

    async fn streamlocal_forward(&mut self, path: &str, _connection: &mut Connection) -> Result<bool, Fault> {
        self.refused("streamlocal-forward", path);
        Ok(false)
    }

    async fn agent_request(&mut self, id: ChannelId, connection: &mut Connection) -> Result<bool, Fault> {
        self.refused("agent", "");
        connection.channel_failure(id)?;
        Ok(false)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single: bool,
        protocol: &str,
        _cookie: &str,
        _screen: u32,
        connection: &mut Connection,
    ) -> Result<(), Fault> {
        self.refused("x11", protocol);
        Ok(connection.channel_failure(id)?)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        connection: &mut Connection,
    ) -> Result<(), Fault> {
        let text = format!("{name}={value}");
        self.tap.emit(Event::ClientInfo {
            kind: ClientInfoKind::Environment,
            value: text.as_bytes(),
        });
        if let Some(open) = self.channels.get_mut(&id)
            && open.variables.len() < VARIABLES_MAX
            && text.len() <= VARIABLE_MAX
        {
            open.variables.push((name.to_owned(), value.to_owned()));
        }
        if name == "LANG" || name.starts_with("LC_") {
            Ok(connection.channel_success(id)?)
        } else {
            Ok(connection.channel_failure(id)?)
        }
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        connection: &mut Connection,
    ) -> Result<(), Fault> {
        self.tap.emit(Event::ClientInfo {
            kind: ClientInfoKind::Terminal,
            value: term.as_bytes(),
        });
        match self.channels.get_mut(&id) {
            Some(open) => {
                let name = term.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
                open.terminal = Some(Terminal { name, columns, rows });
                Ok(connection.channel_success(id)?)
            }
            None => Ok(connection.channel_failure(id)?),
        }
    }

    async fn shell_request(&mut self, id: ChannelId, connection: &mut Connection) -> Result<(), Fault> {
        self.start(id, Job::Shell, connection)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        connection: &mut Connection,
    ) -> Result<(), Fault> {
        self.start(id, Job::Exec(command.to_vec()), connection)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        connection: &mut Connection,
    ) -> Result<(), Fault> {
        if name == "sftp" {
            return self.start(id, Job::Sftp, connection);
        }
        self.tap.emit(Event::Violation {
            what: "no such subsystem",
            bytes: name.as_bytes(),
        });
        Ok(connection.channel_failure(id)?)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _connection: &mut Connection,
    ) -> Result<(), Fault> {
        if let Some(open) = self.channels.get(&id) {
            // A job that has ended hears nothing any more.
            let _ended = open.input.send(Input::Resize(columns, rows));
        }
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _connection: &mut Connection) -> Result<(), Fault> {
        if let Some(open) = self.channels.get(&id) {
            if open.behind.fetch_add(data.len(), Ordering::Relaxed) > BEHIND_MAX {
                self.tap.emit(Event::Limited {
                    what: "channel_input_bytes",
                    limit: u64::try_from(BEHIND_MAX).unwrap_or(0),
                });
                return Err(Fault(russh::Error::Disconnect));
            }
            // A job that has ended hears nothing any more.
            let _ended = open.input.send(Input::Data(data.to_vec()));
        }
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _connection: &mut Connection) -> Result<(), Fault> {
        if let Some(open) = self.channels.get(&id) {
            // A job that has ended hears nothing any more.
            let _ended = open.input.send(Input::End);
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _connection: &mut Connection) -> Result<(), Fault> {
        self.channels.remove(&id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_takes_the_time_of_its_user_doubled_until_it_is_long_enough() {
        let secret = [7; 32];
        let own = evened_out(Duration::ZERO, &secret, "root");
        assert!(own >= FAILURE_MIN && own < FAILURE_MIN * 2, "{own:?}");
        for ms in [1, 6, 40, 1_900, 4_900] {
            let elapsed = Duration::from_millis(ms);
            let time = evened_out(elapsed, &secret, "root");
            let times = (0..12).map(|n| own * (1 << n)).collect::<Vec<_>>();
            assert!(times.contains(&time) && time >= elapsed && (time == own || time / 2 < elapsed));
        }
        assert_ne!(own, evened_out(Duration::ZERO, &secret, "admin"));
        assert_ne!(own, evened_out(Duration::ZERO, &[8; 32], "root"));
        let long = Duration::from_secs(6);
        assert_eq!(evened_out(long, &secret, "root"), long);
    }

    #[test]
    fn visitors_who_have_not_signed_in_are_dropped_as_max_startups_has_it() {
        let dropped = |startups| (0..100).filter(|drawn| is_dropped(startups, *drawn)).count();
        assert_eq!(
            [0, 9, 10, 55, 99, 100, 5000].map(dropped),
            [0, 0, 30, 65, 99, 100, 100]
        );
    }

    #[test]
    fn pam_takes_half_to_one_and_a_half_times_its_mean() {
        let mean = Duration::from_secs(2);
        for _ in 0..1_000 {
            let delay = pam_delay(mean);
            assert!(delay >= mean / 2 && delay <= mean * 3 / 2, "{delay:?}");
        }
    }
}
