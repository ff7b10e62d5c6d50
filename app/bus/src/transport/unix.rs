//! The client's side of the broker's socket.
//!
//! A process has one connection that publishes, fed by a queue, and one for each subscription. A subscription reads
//! its socket itself, without a queue of its own: whoever is slow makes the broker's queue grow, which is the one
//! place where events are dropped and counted.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, BytesMut};
use decnet_model::topic::{Pattern, Topic};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    runtime::Handle,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    bus::{Outgoing, Shared},
    event::Event,
    wire::{self, Frame, Hello},
};

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// For how long a broker may take to say its name.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How much is read, or written, at once.
const CHUNK: usize = 64 << 10;

/// A connection and what was read from it beyond the broker's `HELLO`.
struct Link {
    stream: UnixStream,
    buffer: BytesMut,
}

impl Link {
    async fn open(path: &Path, name: &str, pattern: Option<&Pattern>) -> io::Result<Self> {
        let mut greeting = Vec::new();
        wire::encode_hello(name, &mut greeting).map_err(io::Error::other)?;
        if let Some(pattern) = pattern {
            wire::encode_bare("SUB", pattern.as_str(), &mut greeting);
        }
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(&greeting).await?;
        let mut buffer = BytesMut::with_capacity(4096);
        loop {
            if let Some((frame, used)) = wire::decode(&buffer).map_err(io::Error::other)? {
                let Frame::Hello { body } = frame else {
                    return Err(io::Error::other("not a DECNET bus: no HELLO"));
                };
                Hello::parse(body).map_err(io::Error::other)?;
                buffer.advance(used);
                return Ok(Self { stream, buffer });
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::Error::other("the broker closed the connection at once"));
            }
        }
    }

    /// Tries until it succeeds, ever more slowly.
    async fn open_eventually(path: &Path, pattern: Option<&Pattern>, shared: &Shared) -> Self {
        let mut retry = FIRST_RETRY;
        loop {
            let opened = timeout(HANDSHAKE, Self::open(path, &shared.name, pattern));
            match opened
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            {
                Ok(link) => {
                    shared.outage.over();
                    return link;
                }
                Err(error) => shared.outage.failed(&error),
            }
            sleep(retry).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    }
}

/// Sends what is published, until the bus is closed and the queue empty.
pub(crate) async fn publisher(path: PathBuf, shared: Arc<Shared>) {
    let mut outbox = Outbox::default();
    loop {
        let mut link = tokio::select! {
            link = Link::open_eventually(&path, None, &shared) => link,
            () = shared.ended.cancelled() => return,
        };
        match outbox.pump(&mut link, &shared).await {
            Ok(()) => return,
            Err(error) => shared.outage.failed(&error),
        }
    }
}

/// What was taken from the queue and is not written yet; it survives a broken connection.
#[derive(Default)]
struct Outbox {
    taken: Vec<Outgoing>,
    unsent: VecDeque<usize>,
    bytes: Vec<u8>,
}

impl Outbox {
    /// Writes until the bus is closed (`Ok`) or the connection breaks.
    async fn pump(&mut self, link: &mut Link, shared: &Shared) -> io::Result<()> {
        loop {
            self.write(&mut link.stream, shared).await?;
            link.buffer.clear();
            tokio::select! {
                biased;
                () = shared.outbox.ready() => self.take(shared),
                read = link.stream.read_buf(&mut link.buffer) => if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                },
                () = shared.ended.cancelled() => {
                    let mut bye = Vec::new();
                    wire::encode_bare("BYE", "", &mut bye);
                    return link.stream.write_all(&bye).await;
                }
            }
        }
    }

    fn take(&mut self, shared: &Shared) {
        // What was lost in front was counted when it was dropped.
        shared.outbox.take(CHUNK, &mut self.taken);
        for outgoing in self.taken.drain(..) {
            self.unsent.push_back(outgoing.frame.len());
            self.bytes.extend_from_slice(&outgoing.frame);
        }
    }

    /// On an error what is left begins with the first event that did not get out whole: the broker forgets a torn one.
    async fn write(&mut self, stream: &mut UnixStream, shared: &Shared) -> io::Result<()> {
        let mut written = 0;
        let result = loop {
            match self.bytes.get(written..) {
                None | Some([]) => break Ok(()),
                Some(rest) => match stream.write(rest).await {
                    Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => written += n,
                    Err(error) => break Err(error),
                },
            }
        };
        let mut whole = 0;
        let mut events = 0;
        while let Some(length) = self.unsent.pop_front_if(|length| whole + *length <= written) {
            whole += length;
            events += 1;
        }
        self.bytes.drain(..whole);
        shared.sent(events);
        result
    }
}

/// The receiving end of one subscription.
pub(crate) struct Reader {
    path: PathBuf,
    pattern: Pattern,
    shared: Arc<Shared>,
    runtime: Handle,
    state: State,
    acknowledged: bool,
    last_topic: Option<Topic>,
    /// The connection was lost and what was missed meanwhile is still to be told.
    gap: bool,
}

enum State {
    /// A task, so that the subscription comes to stand while nobody receives, and a receive can be given up.
    Connecting(JoinHandle<Link>),
    Connected(Link),
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let State::Connecting(task) = &self.state {
            task.abort();
        }
    }
}

impl Reader {
    pub(crate) fn new(path: PathBuf, pattern: Pattern, shared: Arc<Shared>, runtime: Handle) -> Self {
        let state = State::Connecting(connect(&runtime, &path, &pattern, &shared));
        Self {
            path,
            pattern,
            shared,
            runtime,
            state,
            acknowledged: false,
            last_topic: None,
            gap: false,
        }
    }

    /// The next event. Cancel safe.
    pub(crate) async fn recv(&mut self) -> Event {
        loop {
            if let Some(event) = self.step().await {
                return event;
            }
        }
    }

    /// Returns once the broker has said that the subscription stands. Cancel safe.
    pub(crate) async fn established(&mut self) {
        while !self.acknowledged {
            // The broker says so before the first event of a connection, so none is passed over here.
            self.step().await;
        }
    }

    /// One thing at a time: a frame of the buffer, a read, or the connection.
    async fn step(&mut self) -> Option<Event> {
        match &mut self.state {
            State::Connecting(task) => match task.await {
                Ok(link) => {
                    self.state = State::Connected(link);
                    None
                }
                Err(error) => {
                    // Only where the runtime is going down, and this task with it.
                    tracing::debug!(%error, "the bus connection was given up");
                    std::future::pending().await
                }
            },
            State::Connected(link) => {
                let broken = match wire::decode(&link.buffer) {
                    Ok(Some((Frame::Event { topic, body }, used))) => {
                        // Most come from where the one before came from.
                        if self.last_topic.as_ref().is_none_or(|last| last.as_str() != topic) {
                            self.last_topic = topic.parse().ok();
                        }
                        let topic = self.last_topic.clone();
                        let event = topic.and_then(|topic| Event::decode_checked(topic, body).ok());
                        link.buffer.advance(used);
                        // What cannot be shown is counted all the same.
                        return Some(event.unwrap_or_else(|| self.shared.stamp.dropped(1, false)));
                    }
                    Ok(Some((Frame::Subscribe { .. }, used))) => {
                        link.buffer.advance(used);
                        self.acknowledged = true;
                        return std::mem::take(&mut self.gap).then(|| self.shared.stamp.dropped(0, true));
                    }
                    Ok(Some((Frame::Bye, _))) => io::ErrorKind::ConnectionReset.into(),
                    Ok(Some((_, used))) => {
                        link.buffer.advance(used);
                        return None;
                    }
                    Ok(None) => {
                        link.buffer.reserve(CHUNK);
                        match link.stream.read_buf(&mut link.buffer).await {
                            Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                            Ok(_) => return None,
                            Err(error) => error,
                        }
                    }
                    Err(error) => io::Error::other(error),
                };
                self.shared.outage.failed(&broken);
                self.gap = true;
                self.acknowledged = false;
                self.state =
                    State::Connecting(connect(&self.runtime, &self.path, &self.pattern, &self.shared));
                None
            }
        }
    }
}

fn connect(runtime: &Handle, path: &Path, pattern: &Pattern, shared: &Arc<Shared>) -> JoinHandle<Link> {
    let (path, pattern, shared) = (path.to_owned(), pattern.clone(), Arc::clone(shared));
    runtime.spawn(async move { Link::open_eventually(&path, Some(&pattern), &shared).await })
}
