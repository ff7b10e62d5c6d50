//! Channels (RFC 4254), as serverloop.c, session.c and channels.c of OpenSSH have them: what a visitor may do once it has
//! signed in. What a channel was asked to do is done by a task of its own ([`super::session`]).

use std::{collections::BTreeMap, sync::Arc};

use decnet_model::event::{ClientInfoKind, Event};
use rand::Rng as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    auth::Entered,
    fields::{Fields, Message},
    inbox::{Inbox, Inlet, inbox},
    link::Link,
    messages::{
        CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_EXTENDED_DATA, CHANNEL_FAILURE, CHANNEL_OPEN,
        CHANNEL_OPEN_CONFIRMATION, CHANNEL_OPEN_FAILURE, CHANNEL_REQUEST, CHANNEL_SUCCESS,
        CHANNEL_WINDOW_ADJUST, GLOBAL_REQUEST, REQUEST_FAILURE, REQUEST_SUCCESS,
    },
    server::Visit,
    session::{Job, Session, Terminal},
    transport::{Packet, over},
};
use crate::{serve::SessionError, shell::vfs::Shared as Overlay};

/// `MaxSessions` of sshd_config. As there, one whose channel is closed counts until its job has ended.
const MAX_SESSIONS: usize = 10;
/// Bytes that a channel takes ahead of its job (CHAN_SES_WINDOW_DEFAULT), and in one packet (CHAN_SES_PACKET_DEFAULT).
const WINDOW: u32 = 2 << 20;
/// See [`WINDOW`].
const PACKET: u32 = 32 << 10;
/// Environment variables that one channel may set, and their longest value.
const VARIABLES_MAX: usize = 64;
/// See [`VARIABLES_MAX`].
const VARIABLE_MAX: usize = 4_096;
/// Messages of jobs that wait to be sent.
const WAITING: usize = 8;

/// SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, section 5.1).
const PROHIBITED: u32 = 1;
/// SSH_OPEN_CONNECT_FAILED.
const FAILED: u32 = 2;

/// What a job has to say.
enum Word {
    Data(Vec<u8>),
    Error(Vec<u8>),
    Exit(u32),
}

/// The channel or the connection is gone.
#[derive(Debug)]
pub(super) struct Gone;

/// A job's way to its visitor.
pub(super) struct Output {
    serial: u64,
    words: mpsc::Sender<(u64, Word)>,
    /// Bytes that the visitor takes.
    window: Arc<Semaphore>,
    /// Bytes that it takes in one packet.
    packet: usize,
}

impl Output {
    /// For who is gone.
    #[cfg(test)]
    pub(super) fn to_nobody() -> Self {
        let window = Arc::new(Semaphore::new(0));
        window.close();
        Self {
            serial: 0,
            words: mpsc::channel(1).0,
            window,
            packet: 1,
        }
    }

    async fn say(&self, word: Word) -> Result<(), Gone> {
        self.words.send((self.serial, word)).await.map_err(|_| Gone)
    }

    /// As many of `left` bytes as there is room for, at least one.
    async fn room(&self, left: usize) -> Result<usize, Gone> {
        self.window.acquire().await.map_err(|_| Gone)?.forget();
        let more = (left.min(self.packet) - 1).min(self.window.available_permits());
        let more = u32::try_from(more).unwrap_or(0);
        // Nobody else takes of it, so that what is there is there.
        let taken = self.window.try_acquire_many(more).map_or(0, |permits| {
            permits.forget();
            usize::try_from(more).unwrap_or(0)
        });
        Ok(1 + taken)
    }

    async fn parts(&self, bytes: &[u8], word: fn(Vec<u8>) -> Word) -> Result<(), Gone> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = self.room(rest.len()).await?;
            let (part, later) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            self.say(word(part.to_vec())).await?;
            rest = later;
        }
        Ok(())
    }

    pub(super) async fn data(&self, bytes: &[u8]) -> Result<(), Gone> {
        self.parts(bytes, Word::Data).await
    }

    /// Onto standard error.
    pub(super) async fn error(&self, bytes: &[u8]) -> Result<(), Gone> {
        self.parts(bytes, Word::Error).await
    }

    /// The job has ended.
    pub(super) async fn close(&self, status: u32) -> Result<(), Gone> {
        self.say(Word::Exit(status)).await
    }
}

/// One channel before and while it does its job.
struct Channel {
    serial: u64,
    /// The visitor's number for it.
    remote: u32,
    /// Bytes that the visitor takes, and how many in one packet.
    window: Arc<Semaphore>,
    packet: u32,
    /// Bytes that it may send, and those that it sent beyond.
    receives: u32,
    exceeded: u32,
    terminal: Option<Terminal>,
    variables: Vec<(String, String)>,
    input: Inlet,
    /// Until there is a job.
    inbox: Option<Inbox>,
    /// Its place among [`MAX_SESSIONS`].
    place: Arc<OwnedSemaphorePermit>,
    /// The visitor sends nothing more.
    ended: bool,
    closed: bool,
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Whoever waits for room waits no longer.
        self.window.close();
    }
}

impl Channel {
    fn message(&self, kind: u8) -> Message {
        Message::new(kind).u32(self.remote)
    }

    /// What is said when the job has ended. sshd hears that from two sides, the pipe and the process, and from either of them
    /// first; this is what it mostly says. One OpenSSH tells the other that it reads no more (`eow@openssh.com`).
    fn farewell(&mut self, status: u32, tells: bool) -> Vec<Message> {
        self.closed = true;
        let request = |name: &[u8]| self.message(CHANNEL_REQUEST).string(name).flag(false);
        let exit = request(b"exit-status").u32(status);
        let no_more = (tells && !self.ended).then(|| request(b"eow@openssh.com"));
        let end = self.message(CHANNEL_EOF);
        let close = self.message(CHANNEL_CLOSE);
        let early = tells && (self.ended || self.terminal.is_some());
        let (before, after) = if early {
            (Some(end), None)
        } else {
            (None, Some(end))
        };
        before
            .into_iter()
            .chain([exit])
            .chain(no_more)
            .chain(after)
            .chain([close])
            .collect()
    }

    fn has_job(&self) -> bool {
        self.inbox.is_none()
    }

    /// What is to be told of the bytes that the job has taken (`channel_check_window`).
    fn adjust(&mut self) -> Option<Message> {
        let used = WINDOW - self.receives;
        if !self.has_job() || self.closed || !(used > 3 * PACKET || self.receives < WINDOW / 2) {
            return None;
        }
        let taken = self.input.taken();
        self.receives = self.receives.saturating_add(taken).min(WINDOW);
        (taken > 0).then(|| self.message(CHANNEL_WINDOW_ADJUST).u32(taken))
    }
}

/// The channels of one connection.
pub(super) struct Channels<'a> {
    link: &'a mut Link,
    visit: &'a Visit,
    entered: Entered,
    /// What the visitor left before, from its first job on.
    overlay: Option<Overlay>,
    open: BTreeMap<u32, Channel>,
    /// Places for sessions.
    places: Arc<Semaphore>,
    serial: u64,
    words: mpsc::Sender<(u64, Word)>,
    /// A job has taken something.
    took: Arc<Notify>,
    no_more: bool,
}

/// What happened.
enum Happened {
    Came(Packet),
    Said(u64, Word),
    Took,
}

/// Serve who has signed in until either side ends the connection.
pub(super) async fn serve(link: &mut Link, visit: &Visit, entered: Entered) -> Result<(), SessionError> {
    let rekey_bytes = visit.shared.rekey_bytes;
    if visit.shared.proposal.openssh {
        let all = link.kex.keys().all();
        let message = Message::new(GLOBAL_REQUEST)
            .string(b"hostkeys-00@openssh.com")
            .flag(false);
        let message = all.iter().fold(message, |message, key| message.string(key));
        link.transport.send(message).await?;
    }
    // Before there is a channel nothing is kept for any.
    let first = link.next().await?;
    let (words, mut said) = mpsc::channel(WAITING);
    let took = Arc::new(Notify::new());
    let mut channels = Channels {
        link,
        visit,
        entered,
        overlay: None,
        open: BTreeMap::new(),
        places: Arc::new(Semaphore::new(MAX_SESSIONS)),
        serial: 0,
        words,
        took: Arc::clone(&took),
        no_more: false,
    };
    channels.message(&first).await?;
    loop {
        channels.link.transport.flush().await?;
        if channels.link.transport.is_worn(rekey_bytes) {
            channels.link.kex.begin(&mut channels.link.transport).await?;
        }
        let exchanges = channels.link.transport.holds();
        let happened = tokio::select! {
            packet = channels.link.transport.read() => Happened::Came(packet?),
            Some((serial, word)) = said.recv(), if !exchanges => Happened::Said(serial, word),
            () = took.notified() => Happened::Took,
        };
        match happened {
            Happened::Came(packet) => {
                if let Some(packet) = channels.link.sift(packet).await? {
                    channels.message(&packet).await?;
                }
            }
            Happened::Said(serial, word) => channels.say(serial, word),
            Happened::Took => channels.adjust(),
        }
    }
}

impl Channels<'_> {
    fn push(&mut self, message: Message) {
        self.link.transport.push(message);
    }

    fn adjust(&mut self) {
        for channel in self.open.values_mut() {
            if let Some(message) = channel.adjust() {
                self.link.transport.push(message);
            }
        }
    }

    /// What a job says goes to its channel, if that is still there.
    fn say(&mut self, serial: u64, word: Word) {
        let Some(channel) = self.open.values_mut().find(|channel| channel.serial == serial) else {
            return;
        };
        let message = match word {
            Word::Data(bytes) => channel.message(CHANNEL_DATA).string(&bytes),
            Word::Error(bytes) => channel.message(CHANNEL_EXTENDED_DATA).u32(1).string(&bytes),
            Word::Exit(status) => {
                let tells = self.visit.shared.proposal.openssh
                    && self.link.kex.client().starts_with(b"SSH-2.0-OpenSSH");
                for message in channel.farewell(status, tells) {
                    self.link.transport.push(message);
                }
                return;
            }
        };
        self.push(message);
    }

    async fn message(&mut self, packet: &Packet) -> Result<(), SessionError> {
        let mut fields = Fields(packet.body());
        match packet.kind() {
            GLOBAL_REQUEST => self.global(&mut fields).ok_or_else(over),
            CHANNEL_OPEN => {
                let done = self.open(&mut fields).ok_or_else(over)?;
                self.unless(packet, done).await
            }
            CHANNEL_OPEN_CONFIRMATION | CHANNEL_OPEN_FAILURE => {
                let what = if packet.kind() == CHANNEL_OPEN_FAILURE {
                    "open failure"
                } else {
                    "open confirmation"
                };
                let id = fields.u32().ok_or_else(over)?;
                self.unless(packet, Err(nonexistent(what, id))).await
            }
            CHANNEL_WINDOW_ADJUST => self.adjusted(&mut fields).ok_or_else(over),
            CHANNEL_DATA => {
                let id = fields.u32().ok_or_else(over)?;
                let data = fields.bytes().ok_or_else(over)?;
                let done = self.data(id, data);
                self.unless(packet, done).await
            }
            CHANNEL_EXTENDED_DATA => {
                // No job of ours reads any.
                let id = fields.u32().ok_or_else(over)?;
                let done = self.known("extended data", id).map(|_| ());
                self.unless(packet, done).await
            }
            CHANNEL_EOF => {
                let id = fields.u32().ok_or_else(over)?;
                let done = self.known("ieof", id).map(|channel| {
                    channel.ended = true;
                    channel.input.end();
                });
                self.unless(packet, done).await
            }
            CHANNEL_CLOSE => {
                let id = fields.u32().ok_or_else(over)?;
                let done = self
                    .known("oclose", id)
                    .map(|channel| (!channel.closed).then(|| channel.message(CHANNEL_CLOSE)));
                if let Ok(Some(message)) = &done {
                    self.push(message.clone());
                }
                self.open.remove(&id);
                self.unless(packet, done.map(|_| ())).await
            }
            CHANNEL_REQUEST => {
                let done = self.request(&mut fields).ok_or_else(over)?;
                self.unless(packet, done).await
            }
            CHANNEL_SUCCESS | CHANNEL_FAILURE | REQUEST_SUCCESS | REQUEST_FAILURE => Ok(()),
            _ => self.link.transport.unimplemented(packet).await,
        }
    }

    /// End the connection with the words of what is wrong.
    async fn unless(&mut self, packet: &Packet, done: Result<(), String>) -> Result<(), SessionError> {
        match done {
            Ok(()) => Ok(()),
            Err(words) => Err(self.link.transport.refuse(packet, &words).await),
        }
    }

    fn known(&mut self, what: &str, id: u32) -> Result<&mut Channel, String> {
        self.open.get_mut(&id).ok_or_else(|| nonexistent(what, id))
    }

    fn refused(&self, via: &'static str, target: &str) {
        self.visit.tap.emit(Event::ForwardRefused {
            via,
            target: target.as_bytes(),
        });
    }

    /// A request that belongs to no channel; `None` where it ends before it should.
    fn global(&mut self, fields: &mut Fields<'_>) -> Option<()> {
        let (name, wants_reply) = (fields.cstring()?, fields.flag()?);
        let mut success = None;
        match name {
            b"tcpip-forward" => {
                let (address, port) = (fields.text()?, fields.u32()?);
                self.refused("tcpip-forward", &format!("{address}:{port}"));
            }
            b"streamlocal-forward@openssh.com" => {
                let path = fields.text()?;
                self.refused("streamlocal-forward", &path);
            }
            b"hostkeys-prove-00@openssh.com" => success = self.proofs(fields),
            b"no-more-sessions@openssh.com" => self.no_more = true,
            _ => {}
        }
        if wants_reply {
            self.push(success.unwrap_or_else(|| Message::new(REQUEST_FAILURE)));
        }
        Some(())
    }

    /// Proofs that the machine has the keys that are asked for; nobody needs one twice.
    fn proofs(&self, fields: &mut Fields<'_>) -> Option<Message> {
        let mut message = Message::new(REQUEST_SUCCESS);
        for _ in self.link.kex.keys().all() {
            if fields.0.is_empty() {
                break;
            }
            message = message.string(&self.link.kex.prove(fields.bytes()?)?);
        }
        fields.0.is_empty().then_some(message)
    }

    /// Another channel; `None` where the message ends before it should.
    fn open(&mut self, fields: &mut Fields<'_>) -> Option<Result<(), String>> {
        let (kind, remote) = (fields.cstring()?, fields.u32()?);
        let (window, packet) = (fields.u32()?, fields.u32()?);
        let reason = match kind {
            b"session" if self.no_more => {
                let words = "Possible attack: attempt to open a session after additional sessions disabled";
                return Some(Err(words.to_owned()));
            }
            b"session" => match Arc::clone(&self.places).try_acquire_owned() {
                Ok(place) => {
                    let message = self.session(remote, window, packet, place);
                    self.push(message);
                    return Some(Ok(()));
                }
                Err(_all_taken) => FAILED,
            },
            b"direct-tcpip" => {
                let (host, port) = (fields.text()?, fields.u32()?);
                self.refused("direct-tcpip", &format!("{host}:{port}"));
                PROHIBITED
            }
            b"direct-streamlocal@openssh.com" => {
                let path = fields.text()?;
                self.refused("direct-streamlocal", &path);
                PROHIBITED
            }
            _ => FAILED,
        };
        self.push(
            Message::new(CHANNEL_OPEN_FAILURE)
                .u32(remote)
                .u32(reason)
                .string(b"open failed")
                .string(b""),
        );
        Some(Ok(()))
    }

    fn session(&mut self, remote: u32, window: u32, packet: u32, place: OwnedSemaphorePermit) -> Message {
        // OpenSSH takes the first place that is free.
        let id = (0..).find(|id| !self.open.contains_key(id)).unwrap_or_default();
        self.serial += 1;
        let (input, inbox) = inbox(Arc::clone(&self.took));
        let channel = Channel {
            serial: self.serial,
            remote,
            window: Arc::new(Semaphore::new(usize::try_from(window).unwrap_or(0))),
            packet,
            receives: 0,
            exceeded: 0,
            terminal: None,
            variables: Vec::new(),
            input,
            inbox: Some(inbox),
            place: Arc::new(place),
            ended: false,
            closed: false,
        };
        self.open.insert(id, channel);
        // Nothing may be sent into it before it has a job.
        Message::new(CHANNEL_OPEN_CONFIRMATION)
            .u32(remote)
            .u32(id)
            .u32(0)
            .u32(PACKET)
    }

    /// The visitor takes more bytes.
    fn adjusted(&mut self, fields: &mut Fields<'_>) -> Option<()> {
        let (id, more) = (fields.u32()?, fields.u32()?);
        if let Some(channel) = self.open.get(&id) {
            let more = usize::try_from(more).ok()?;
            let sum = channel.window.available_permits().checked_add(more)?;
            u32::try_from(sum).ok()?;
            channel.window.add_permits(more);
        }
        Some(())
    }

    fn data(&mut self, id: u32, data: &[u8]) -> Result<(), String> {
        let tap = &self.visit.tap;
        let channel = self.open.get_mut(&id).ok_or_else(|| nonexistent("data", id))?;
        if !channel.has_job() {
            return Ok(());
        }
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        match channel.receives.checked_sub(len) {
            Some(left) => {
                channel.receives = left;
                channel.exceeded = 0;
            }
            None => {
                channel.exceeded = channel.exceeded.saturating_add(len - channel.receives);
                channel.receives = 0;
                // A tenth more is put up with.
                if channel.exceeded > WINDOW / 10 {
                    tap.emit(Event::Limited {
                        what: "channel_input_bytes",
                        limit: WINDOW.into(),
                    });
                    return Err(format!("channel {id}: peer ignored channel window"));
                }
            }
        }
        channel.input.data(data);
        Ok(())
    }

    /// A request for a channel; `None` where the message ends before it should.
    fn request(&mut self, fields: &mut Fields<'_>) -> Option<Result<(), String>> {
        let (id, name, wants_reply) = (fields.u32()?, fields.cstring()?, fields.flag()?);
        if !self.open.contains_key(&id) {
            let words = format!("server_input_channel_req: unknown channel {id}");
            return Some(Err(words));
        }
        let granted = self.granted(id, name, fields)?;
        if let Some(channel) = self
            .open
            .get(&id)
            .filter(|channel| wants_reply && !channel.closed)
        {
            let kind = if granted { CHANNEL_SUCCESS } else { CHANNEL_FAILURE };
            let message = channel.message(kind);
            self.push(message);
        }
        Some(Ok(()))
    }

    fn granted(&mut self, id: u32, name: &[u8], fields: &mut Fields<'_>) -> Option<bool> {
        Some(match name {
            b"shell" => self.start(id, Job::Shell),
            b"exec" => self.start(id, Job::Exec(fields.bytes()?.to_vec())),
            b"subsystem" => match fields.bytes()? {
                b"sftp" => self.start(id, Job::Sftp),
                other => {
                    self.visit.tap.emit(Event::Violation {
                        what: "no such subsystem",
                        bytes: other,
                    });
                    false
                }
            },
            b"pty-req" => self.terminal(id, fields)?,
            b"env" => self.variable(id, fields)?,
            b"window-change" => {
                let (columns, rows) = (fields.u32()?, fields.u32()?);
                self.open.get(&id)?.input.resize(columns, rows);
                true
            }
            b"auth-agent-req@openssh.com" => {
                self.refused("agent", "");
                false
            }
            b"x11-req" => {
                let _single = fields.flag()?;
                let protocol = fields.text()?;
                self.refused("x11", &protocol);
                false
            }
            b"signal" => self.open.get(&id)?.has_job(),
            b"break" => self.open.get(&id)?.terminal.is_some(),
            _ => false,
        })
    }

    fn terminal(&mut self, id: u32, fields: &mut Fields<'_>) -> Option<bool> {
        let (term, columns, rows) = (fields.text()?, fields.u32()?, fields.u32()?);
        self.visit.tap.emit(Event::ClientInfo {
            kind: ClientInfoKind::Terminal,
            value: term.as_bytes(),
        });
        let channel = self.open.get_mut(&id)?;
        if channel.has_job() || channel.terminal.is_some() {
            return Some(false);
        }
        let name = term.chars().filter(char::is_ascii_graphic).take(64).collect();
        channel.terminal = Some(Terminal { name, columns, rows });
        Some(true)
    }

    fn variable(&mut self, id: u32, fields: &mut Fields<'_>) -> Option<bool> {
        let (name, value) = (fields.text()?, fields.text()?);
        let text = format!("{name}={value}");
        self.visit.tap.emit(Event::ClientInfo {
            kind: ClientInfoKind::Environment,
            value: text.as_bytes(),
        });
        // AcceptEnv LANG LC_*, as distributions have it.
        let granted = name == "LANG" || name.starts_with("LC_");
        let channel = self.open.get_mut(&id)?;
        if channel.variables.len() < VARIABLES_MAX && text.len() <= VARIABLE_MAX {
            channel.variables.push((name, value));
        }
        Some(granted && !channel.has_job())
    }

    /// Begin a job; false where the channel has one.
    fn start(&mut self, id: u32, job: Job) -> bool {
        let Visit {
            shared,
            tap,
            address,
            local,
        } = self.visit;
        let Some(channel) = self.open.get_mut(&id) else {
            return false;
        };
        let Some(inbox) = channel.inbox.take() else {
            return false;
        };
        channel.receives = WINDOW;
        // OpenSSH opens the window first, and then says that the request is granted.
        let message = channel.message(CHANNEL_WINDOW_ADJUST).u32(WINDOW);
        self.link.transport.push(message);
        let ip = address.ip().to_canonical();
        let overlay = self.overlay.get_or_insert_with(|| {
            let now = tap.clock().now().unix_timestamp();
            shared.overlays.of(ip, now)
        });
        let session = Session {
            overlay: Arc::clone(overlay),
            shared: Arc::clone(shared),
            tap: tap.clone(),
            user: self.entered.user.clone(),
            client: format!("{ip} {} {}", address.port(), local.port()),
            terminal: channel.terminal.clone(),
            variables: std::mem::take(&mut channel.variables),
            input: inbox,
            output: Arc::new(Output {
                serial: channel.serial,
                words: self.words.clone(),
                window: Arc::clone(&channel.window),
                packet: usize::try_from(channel.packet.clamp(1, PACKET)).unwrap_or(1),
            }),
            secret: Some(self.entered.secret.clone()),
            seed: rand::rng().random(),
        };
        // It ends with its channel, and waits where the visit does. Like the visit it is waited for when the decky stops: what it
        // has taken in is reported at its end.
        let (tap, place) = (tap.clone(), Arc::clone(&channel.place));
        let mut running = Box::pin(async move {
            session.run(job).await;
            drop(place);
        });
        let _tracked = shared.host.sessions.spawn(std::future::poll_fn(move |cx| {
            std::task::ready!(tap.poll_room(cx));
            running.as_mut().poll(cx)
        }));
        true
    }
}

fn nonexistent(what: &str, id: u32) -> String {
    format!("{what} packet referred to nonexistent channel {id}")
}
