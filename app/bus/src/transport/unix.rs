//! The client's side of the broker's socket.
//!
//! A process has one connection that publishes, fed by a queue, and one for each subscription. A subscription reads
//! its socket itself, without a queue of its own: whoever is slow makes the broker's queue grow, which is the one
//! place where events are dropped and counted.

use std::{
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
    bus::Shared,
    event::Event,
    wire::{self, Frame, Hello},
};

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// For how long a broker may take to say its name.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How much is read at once.
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

    /// The event at the front of the buffer, if there is a whole one.
    fn next_event(&mut self, last_topic: &mut Option<Topic>, shared: &Shared) -> Option<Event> {
        let Ok(Some((Frame::Event { topic, body }, used))) = wire::decode(&self.buffer) else {
            return None;
        };
        // Most come from where the one before came from.
        if last_topic.as_ref().is_none_or(|last| last.as_str() != topic) {
            *last_topic = topic.parse().ok();
        }
        let topic = last_topic.clone();
        let event = topic.and_then(|topic| Event::decode_checked(topic, body).ok());
        self.buffer.advance(used);
        // What cannot be shown is counted all the same.
        Some(event.unwrap_or_else(|| shared.stamp.dropped(1, false)))
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
    loop {
        let last = shared.ended.is_cancelled();
        let link = tokio::select! {
            link = Link::open_eventually(&path, None, &shared) => link,
            () = shared.ended.cancelled() => match last_words(&path, &shared).await {
                Some(link) => link,
                None => return,
            },
        };
        let ended = pump(link, &shared).await;
        shared.sent(shared.outbox.detach());
        match ended {
            Ok(()) => return,
            Err(error) => shared.outage.failed(&error),
        }
        if last {
            return;
        }
    }
}

/// A connection for what waits still when the bus is closed, where somebody answers at once.
async fn last_words(path: &Path, shared: &Shared) -> Option<Link> {
    if shared.outbox.is_empty() {
        return None;
    }
    match Link::open(path, &shared.name, None).await {
        Ok(link) => Some(link),
        Err(error) => {
            shared.outage.failed(&error);
            None
        }
    }
}

/// Writes what publishers leave in the queue, until the bus is closed (`Ok`) or the connection breaks.
async fn pump(link: Link, shared: &Shared) -> io::Result<()> {
    let (mut read, write) = link.stream.into_split();
    let write = Arc::new(write);
    shared.outbox.attach(Arc::clone(&write));
    let mut ignored = link.buffer;
    let mut ending = false;
    loop {
        let flushed = shared.outbox.flush(|_, _| {})?;
        shared.sent(flushed.events);
        if !flushed.done {
            write.writable().await?;
            continue;
        }
        if ending {
            return Ok(());
        }
        ignored.clear();
        tokio::select! {
            biased;
            () = shared.outbox.queue.woken() => {}
            read = read.read_buf(&mut ignored) => if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            },
            () = shared.ended.cancelled() => {
                let flushed = shared.outbox.flush(|_, _| {})?;
                shared.sent(flushed.events);
                if flushed.done {
                    let mut bye = Vec::new();
                    wire::encode_bare("BYE", "", &mut bye);
                    shared.outbox.answer(&bye);
                    ending = true;
                }
            }
        }
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

    /// The next event, if it was read already.
    pub(crate) fn buffered(&mut self) -> Option<Event> {
        match &mut self.state {
            State::Connecting(_) => None,
            State::Connected(link) => link.next_event(&mut self.last_topic, &self.shared),
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
                if let Some(event) = link.next_event(&mut self.last_topic, &self.shared) {
                    return Some(event);
                }
                let broken = match wire::decode(&link.buffer) {
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
