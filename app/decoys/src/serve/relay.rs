//! A service that is none of ours: an operator's own program answers, and what passes is recorded.
//!
//! It stands outside the catalogue on purpose: no archetype, form or mutation can choose it, because it answers nothing itself.
//! What it records are [`Event::Exchange`]s: the first 4 KiB of what a visitor said and of what it was answered, told when the
//! visitor speaks again, when nothing more comes, and at the end. Beside ftp in active mode, which connects back
//! to its visitor, its connections to that program are the only ones that the process makes; the fleet says where to.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use decnet_model::{event::Event, name::ServiceSlug};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{AnyDecoy, Full, Peer, Room, SessionError, Tap, client_hello::ClientHello};
use crate::config::Relay;

/// The most bytes that are kept of what one side says in an exchange.
const KEPT: usize = 4096;
/// The most exchanges of one session that are told.
const EXCHANGES: u64 = 256;
/// How long the program may take to let a visitor in.
const PATIENCE: Duration = Duration::from_secs(5);
/// An exchange is over where nothing passed for so long.
const QUIET: Duration = Duration::from_secs(1);
/// How long a visitor may go on after the program has said all.
const LINGER: Duration = Duration::from_secs(10);
/// How much is passed on at once.
const CHUNK: usize = 16 * 1024;
/// As many visitors as may be led on at once: each takes two open files.
const ROOM: Room = Room { all: 1024, each: 256 };

/// See the module.
#[derive(Debug)]
pub struct Relayed {
    slug: String,
    by_door: BTreeMap<u16, Relay>,
}

impl Relayed {
    /// The service `slug`, whose visitors are led by `relays`.
    #[must_use]
    pub fn new(slug: &ServiceSlug, relays: &[Relay]) -> Self {
        Self {
            slug: slug.to_string(),
            by_door: relays.iter().map(|relay| (relay.listen, *relay)).collect(),
        }
    }

    async fn lead(&self, peer: Peer, tap: Tap) -> Result<(), SessionError> {
        let Some(to) = self.by_door.get(&peer.local().port()).map(|relay| relay.to) else {
            let nowhere = io::Error::other("no way leads on from there");
            peer.reset();
            return Err(SessionError::Unanswered(nowhere));
        };
        let reached = timeout(PATIENCE, TcpStream::connect(to)).await;
        match reached.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(program) => pass(peer, program, &tap).await,
            Err(error) => {
                peer.reset();
                Err(SessionError::Unanswered(error))
            }
        }
    }
}

impl AnyDecoy for Relayed {
    fn slug(&self) -> &str {
        &self.slug
    }

    fn shown(&self, local: SocketAddr) -> SocketAddr {
        let port = self
            .by_door
            .get(&local.port())
            .map_or(local.port(), |relay| relay.port);
        SocketAddr::new(local.ip(), port)
    }

    fn session<'a>(
        &'a self,
        peer: Peer,
        tap: Tap,
    ) -> Pin<Box<dyn Future<Output = Result<(), SessionError>> + Send + 'a>> {
        Box::pin(self.lead(peer, tap))
    }

    fn room(&self) -> Room {
        ROOM
    }

    fn busy(&self, _full: Full) -> std::borrow::Cow<'static, [u8]> {
        std::borrow::Cow::Borrowed(b"")
    }
}

/// Pass on what both sides say until both have said all, or one is gone.
async fn pass(peer: Peer, program: TcpStream, tap: &Tap) -> Result<(), SessionError> {
    // What is small is passed on at once; where that is refused it is only slower.
    let _only_slower = program.set_nodelay(true);
    let bounds = peer.bounds();
    let exchange = Exchange::new(tap);
    let (mut hears, mut says) = tokio::io::split(peer);
    let (mut answers, mut asks) = tokio::io::split(program);
    let passed = {
        let up = pump(&mut hears, &mut asks, bounds.idle, |bytes| {
            exchange.received(bytes)
        });
        let down = pump(&mut answers, &mut says, bounds.idle, |bytes| {
            exchange.answered(bytes)
        });
        let both = async {
            tokio::pin!(up, down);
            tokio::select! {
                over = &mut up => match over {
                    Ok(()) => down.await,
                    Err(error) => Err(error),
                },
                over = &mut down => match over {
                    // Who hears nothing more may still speak for a moment.
                    Ok(()) => timeout(LINGER, up).await.unwrap_or(Ok(())),
                    Err(error) => Err(error),
                },
            }
        };
        let told = async {
            loop {
                tokio::time::sleep(QUIET).await;
                exchange.tell_when_quiet();
                // The visitor's own limit ends the session first; this one where the visitor is no longer listened to.
                if exchange.silent_for() >= bounds.idle + QUIET {
                    break Err(io::ErrorKind::TimedOut.into());
                }
            }
        };
        tokio::select! {
            // The visitor's own limits end a silent one; this one who talks for ever, too.
            over = timeout(bounds.total, both) => over.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            over = told => over,
        }
    };
    drop(exchange);
    if let Err(error) = &passed
        && matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        )
    {
        // What the program does to the connection the visitor sees.
        hears.unsplit(says).reset();
    }
    Ok(passed?)
}

/// Pass on what comes, and the end of it. Whoever takes nothing for longer than `idle` keeps the other waiting no more.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    idle: Duration,
    mut heard: impl FnMut(&[u8]),
) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = from.read(&mut chunk).await?;
        let bytes = chunk.get(..n).unwrap_or_default();
        if bytes.is_empty() {
            return timeout(idle, to.shutdown()).await.map_err(late)?;
        }
        heard(bytes);
        timeout(idle, to.write_all(bytes)).await.map_err(late)??;
    }
}

/// What one visitor and the program say to each other, until it is told.
struct Exchange<'a> {
    tap: &'a Tap,
    said: Mutex<Said>,
}

struct Said {
    received: Kept,
    answered: Kept,
    last: Instant,
    /// Exchanges that were told.
    told: u64,
    /// Whether the visitor's ClientHello was told.
    greeted: bool,
}

#[derive(Default)]
struct Kept {
    head: Vec<u8>,
    bytes: u64,
}

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let n = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(n);
    }
}

impl<'a> Exchange<'a> {
    fn new(tap: &'a Tap) -> Self {
        Self {
            tap,
            said: Mutex::new(Said {
                received: Kept::default(),
                answered: Kept::default(),
                last: Instant::now(),
                told: 0,
                greeted: false,
            }),
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn received(&self, bytes: &[u8]) {
        // Who was answered and speaks again begins another exchange.
        if self.said().answered.bytes > 0 {
            self.tell();
        }
        let mut said = self.said();
        said.received.add(bytes);
        said.last = Instant::now();
        // TLS begins with the first words, or with later ones where both have agreed on it.
        if !said.greeted
            && let Some(hello) = ClientHello::parse(&said.received.head)
        {
            said.greeted = true;
            drop(said);
            hello.report(self.tap);
        }
    }

    fn answered(&self, bytes: &[u8]) {
        let mut said = self.said();
        said.answered.add(bytes);
        said.last = Instant::now();
    }

    /// How long neither side has said anything.
    fn silent_for(&self) -> Duration {
        self.said().last.elapsed()
    }

    fn tell_when_quiet(&self) {
        let is_quiet = self.said().last.elapsed() >= QUIET;
        if is_quiet {
            self.tell();
        }
    }

    /// Tell what was not told yet.
    fn tell(&self) {
        let mut said = self.said();
        if said.received.bytes == 0 && said.answered.bytes == 0 {
            return;
        }
        let (received, answered) = (
            std::mem::take(&mut said.received),
            std::mem::take(&mut said.answered),
        );
        said.told += 1;
        let told = said.told;
        drop(said);
        if told <= EXCHANGES {
            self.tap.emit(Event::Exchange {
                received: &received.head,
                received_bytes: received.bytes,
                answered: &answered.head,
                answered_bytes: answered.bytes,
            });
        } else if told == EXCHANGES + 1 {
            self.tap.emit(Event::Limited {
                what: "exchanges",
                limit: EXCHANGES,
            });
        }
    }
}

impl Drop for Exchange<'_> {
    /// However the session ends, nothing of it stays untold.
    fn drop(&mut self) {
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use decnet_model::clock::SystemClock;

    use super::*;
    use crate::{
        config::Limits,
        serve::{artifact::Artifacts, sink::Sink, tap::Evidence},
    };

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_hello_is_told_once_also_in_two_parts_and_after_other_words() {
        let hello = include_bytes!("../../../../fuzz/corpus/client_hello/tls13_grease");
        let (first, second) = hello.split_at(50);
        let lines = Lines::default();
        let evidence = Arc::new(Evidence {
            sink: Arc::new(Sink::to(lines.clone())),
            artifacts: Arc::new(Artifacts::open(None, &Limits::default()).unwrap()),
            clock: Arc::new(SystemClock),
            decky: "decky-01".to_owned(),
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let told = || String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        for before in [&b""[..], b"STARTTLS\r\n"] {
            lines.0.lock().unwrap().clear();
            let tap = Tap::of_session(&evidence, "own", address, address);
            let exchange = Exchange::new(&tap);
            if !before.is_empty() {
                exchange.received(before);
                exchange.answered(b"220 go on\r\n");
            }
            exchange.received(first);
            assert_eq!(told().matches(" client_fingerprint ").count(), 0);
            exchange.received(second);
            exchange.answered(b"a server's hello");
            exchange.received(hello);
            drop(exchange);
            let told = told();
            assert_eq!(told.matches("fingerprint_kind=\"ja4\"").count(), 1, "{told}");
            assert_eq!(told.matches("info_kind=\"tls_versions\"").count(), 1, "{told}");
        }
    }
}
