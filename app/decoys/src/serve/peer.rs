//! A visitor's connection, held to its limits.
//!
//! [`Peer`] is a byte stream over TCP or TLS that counts what passes, ends a connection that is idle, too long or too
//! talkative, and remembers why. Its reading helpers never allocate by a length that the visitor gave: memory grows
//! only with bytes that have arrived, up to the caller's bound. While there is no room for evidence nothing is handed on that the
//! visitor said, also of what came already: a pipeline waits within itself.
//!
//! A limit fails the next *read*; writing stays possible as long as it does not have to wait, so that a service can
//! say its product's words of farewell. A visitor that is gone is answered all the same, and nobody hears it: what it said before is
//! evidence, and is read to its end as if it were still there. In a tarpit the first bytes of each answer wait, and stay with the service until then.
//!
//! What came and nobody took is evidence, too: its first KiB is reported when the peer ends, once. A service that takes a request in
//! pieces says where it begins and that it is whole ([`Peer::begin_request`]), so that one that was cut counts as not taken.

use std::{
    any::Any,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use decnet_model::event::{CloseReason, Event};
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, Sleep},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    client_hello,
    tap::Tap,
    tls::{Ahead, Tls},
};
use crate::config::Limits;

/// How much is read from the network at once.
const CHUNK: usize = 4096;
/// The most of a TLS ClientHello that is kept for its fingerprint. Post-quantum hellos take about 2 KiB.
const HELLO_MAX: usize = 16 * 1024;
/// The type of a TLS record that carries a part of a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
/// How much is said to a visitor that is gone while nothing more comes in of what it has said: what only talks learns by this that
/// nobody hears it.
const UNHEARD_MAX: usize = 1 << 20;
/// How much is told of what came and nobody took.
const UNTAKEN_MAX: usize = 1024;
/// How long [`Peer::close`] waits for the visitor to close, too.
const LINGER: Duration = Duration::from_secs(2);

/// A byte stream that a [`Peer`] can be made over.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + Sync {
    /// What it is, for what only one kind of stream can do.
    fn as_any(&self) -> &dyn Any;
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static> Transport for T {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What one connection may use.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Time without a byte in either direction.
    pub idle: Duration,
    /// Time in all.
    pub total: Duration,
    /// Bytes from the peer.
    pub bytes_in: u64,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self {
            idle: Duration::from_secs(limits.idle_s.into()),
            total: Duration::from_secs(limits.total_s.into()),
            bytes_in: limits.bytes_in,
        }
    }
}

/// What is known of a connection while it lasts and after it ended; shared with the runner.
#[derive(Debug, Default)]
pub struct Meter {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    closed_by: AtomicU8,
}

impl Meter {
    /// Bytes from the peer, as they passed on the network.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes to the peer, as they passed on the network.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// What ended the connection, if something has.
    pub fn closed_by(&self) -> Option<CloseReason> {
        let index = usize::from(self.closed_by.load(Ordering::Relaxed));
        CloseReason::ALL.get(index.checked_sub(1)?).copied()
    }

    /// Remember why the connection ended; the first reason stands.
    fn close(&self, reason: CloseReason) {
        let index = CloseReason::ALL
            .iter()
            .position(|r| *r == reason)
            .unwrap_or_default();
        let code = u8::try_from(index + 1).unwrap_or(u8::MAX);
        // A later reason is only a consequence of the first one, so losing the race is right.
        let _first_stands = self
            .closed_by
            .compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A visitor's connection.
pub struct Peer {
    stream: Stream,
    /// Bytes that were read from the stream and not yet taken; `taken` of them are gone.
    buffer: Vec<u8>,
    taken: usize,
    /// While a request is under way: the first bytes that were taken of it, up to [`UNTAKEN_MAX`].
    begun: Option<Vec<u8>>,
    /// Whether what comes is ciphertext to this layer.
    is_sealed: bool,
    addr: SocketAddr,
    local: SocketAddr,
    bounds: Bounds,
    meter: Arc<Meter>,
    tap: Tap,
    /// How long each answer is held back.
    tarpit: Duration,
    /// Whether an answer is still to come to what was taken of the visitor's words, as the first one is to its coming.
    owes: bool,
    /// Until when the answer is held back that is there.
    held: Option<Pin<Box<Sleep>>>,
}

/// A port that waits for a second connection of one visitor, as FTP's data connections are.
pub struct DataListener {
    listener: TcpListener,
    local: SocketAddr,
    visitor: IpAddr,
    bounds: Bounds,
    meter: Arc<Meter>,
    tap: Tap,
}

impl DataListener {
    /// Address and port.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The visitor's connection, if it comes within `patience`. Somebody else's is reported and closed. Its bytes
    /// count with those of the first connection.
    ///
    /// # Errors
    /// `TimedOut` where it does not come.
    pub async fn accept(self, patience: Duration) -> io::Result<Peer> {
        let visitor = async {
            loop {
                let (stream, addr) = self.listener.accept().await?;
                if addr.ip().to_canonical() == self.visitor {
                    return Ok((stream, addr));
                }
                let other = addr.to_string();
                self.tap.emit(Event::Violation {
                    what: "a data connection from another address",
                    bytes: other.as_bytes(),
                });
            }
        };
        let (stream, addr) = tokio::time::timeout(patience, visitor)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
            .flatten()?;
        // The end of a data connection says nothing about the session's; only its bytes are shared.
        let mut peer = Peer::new(stream, addr, self.local, self.bounds, self.tap);
        peer.counts_for(self.meter);
        Ok(peer)
    }
}

enum Stream {
    Plain(Metered),
    Tls(Box<TlsStream<Metered>>),
    /// While TLS begins: a failed handshake leaves nothing to talk over.
    Gone,
}

impl Peer {
    /// A peer over `io`, which has come from `addr` to `local`.
    pub fn new(
        io: impl Transport + 'static,
        addr: SocketAddr,
        local: SocketAddr,
        bounds: Bounds,
        tap: Tap,
    ) -> Self {
        let meter = Arc::new(Meter::default());
        Self {
            stream: Stream::Plain(Metered::new(Box::new(io), bounds, Arc::clone(&meter))),
            buffer: Vec::new(),
            taken: 0,
            begun: None,
            is_sealed: false,
            addr,
            local,
            bounds,
            meter,
            tap,
            tarpit: Duration::ZERO,
            owes: true,
            held: None,
        }
    }

    /// Hold each answer back for `tarpit`, from its first byte on. Whoever has gone meanwhile is not waited for, and the limits of the
    /// connection go on; only that the product would be less patient with silence does not count, as it is not the visitor's.
    pub fn set_tarpit(&mut self, tarpit: Duration) {
        self.tarpit = tarpit;
    }

    /// Count bytes for `meter`, too.
    fn counts_for(&mut self, meter: Arc<Meter>) {
        if let Some(metered) = self.metered_mut() {
            metered.counts_for = Some(meter);
        }
    }

    /// Where the visitor comes from.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address and port that was reached.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Counters and the reason of the end, also after the peer is gone.
    #[must_use]
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// What the connection may use.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Whether something was said to the visitor that nobody hears, as it is gone.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        self.metered().is_none_or(|metered| metered.unheard.is_some())
    }

    /// Begin the idle time anew: something has happened elsewhere, such as on a data connection.
    pub fn touch(&mut self) {
        if let Some(metered) = self.metered_mut() {
            metered.touch();
        }
    }

    /// Listen on another port of the address that was reached, for a connection from this visitor and nobody else.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn listen_beside(&self) -> io::Result<DataListener> {
        let listener = TcpListener::bind((self.local.ip(), 0)).await?;
        Ok(DataListener {
            local: listener.local_addr()?,
            listener,
            visitor: self.addr.ip().to_canonical(),
            bounds: self.left(),
            meter: Arc::clone(&self.meter),
            tap: self.tap.clone(),
        })
    }

    /// Connect to `port` of the visitor, and to nobody else: as FTP's active mode does. It comes from `own` port of the address that was
    /// reached, where that can be had, and from any other where not. Its bytes count with those of this connection, and it may use
    /// what this one has left.
    ///
    /// # Errors
    /// `TimedOut` where nobody answers within `patience`, otherwise what the network says.
    pub async fn call_back(&self, port: u16, own: u16, patience: Duration) -> io::Result<Self> {
        let (here, visitor) = (self.local.ip().to_canonical(), self.addr.ip().to_canonical());
        let socket = socket_at(SocketAddr::new(here, own))
            .or_else(|_taken_or_forbidden| socket_at(SocketAddr::new(here, 0)))?;
        let (bounds, to) = (self.left(), SocketAddr::new(visitor, port));
        let stream = tokio::time::timeout(patience.min(bounds.total), socket.connect(to))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
            .flatten()?;
        let local = stream.local_addr()?;
        let mut peer = Self::new(stream, to, local, bounds, self.tap.clone());
        peer.counts_for(Arc::clone(&self.meter));
        Ok(peer)
    }

    /// What may still be used of the bounds.
    fn left(&self) -> Bounds {
        let total = self.metered().map_or(Duration::ZERO, |metered| {
            metered.ends.saturating_duration_since(Instant::now())
        });
        Bounds {
            total,
            bytes_in: self.bounds.bytes_in.saturating_sub(self.meter.bytes_in()),
            ..self.bounds
        }
    }

    /// Be less patient with silence from now on, as the product is. Never makes it more patient than the limits.
    pub fn set_idle(&mut self, idle: Duration) {
        if let Some(metered) = self.metered_mut() {
            metered.idle = idle.min(metered.bounds.idle);
            metered.touch();
        }
    }

    /// Bytes that have arrived and were not taken yet: over zero while a visitor pipelines.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    /// Wait until what the visitor said next can be recorded. Who takes commands from [`Peer::buffered`] by itself asks before
    /// each of them; what reads here does so by itself.
    pub async fn room(&self) {
        std::future::poll_fn(|cx| self.tap.poll_room(cx)).await;
    }

    /// Read more of what arrives into [`Peer::buffered`]; `false` at the end of the stream. The caller bounds how
    /// often it does so without taking anything.
    ///
    /// # Errors
    /// Where the network fails or a limit is reached.
    pub async fn fill(&mut self) -> io::Result<bool> {
        self.room().await;
        std::future::poll_fn(|cx| self.poll_more(cx)).await.map(|n| n > 0)
    }

    /// A request begins with what is taken next. Until [`Peer::end_request`] says that it is whole, or was reported otherwise, what
    /// is taken of it counts as not taken should the peer end.
    pub fn begin_request(&mut self) {
        self.begun = Some(Vec::new());
    }

    /// What was taken since [`Peer::begin_request`] is whole, or was reported.
    pub fn end_request(&mut self) {
        self.begun = None;
    }

    /// From here on what comes is ciphertext that only the service can open: what nobody takes of it says nothing, and is not reported.
    pub fn seal_input(&mut self) {
        self.is_sealed = true;
    }

    /// Take `n` of the buffered bytes away.
    pub fn advance(&mut self, n: usize) {
        let waiting = self.buffered();
        self.owes |= n > 0 && !waiting.is_empty();
        let end = self.buffer.len().min(self.taken.saturating_add(n));
        if let Some(begun) = &mut self.begun {
            keep_head(begun, self.buffer.get(self.taken..end).unwrap_or_default());
        }
        self.taken = end;
        if self.taken == self.buffer.len() {
            self.taken = 0;
            // An idle connection costs no buffer.
            self.buffer = Vec::new();
        }
    }

    /// The next line without its ending (`LF` or `CR LF`); `None` at the end of the stream. What comes before the end of the
    /// stream without a line ending is a last line; ask [`Peer::read_until_lf`] where the difference matters.
    ///
    /// # Errors
    /// `InvalidData` where the line is longer than `max` bytes (its first part is then taken);
    /// otherwise where the network fails or a limit is reached.
    pub async fn read_line(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(mut line) = self.read_until_lf(max.saturating_add(2)).await? else {
            return Ok(None);
        };
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        if line.len() > max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
        }
        Ok(Some(line))
    }

    /// The next line with its `LF`. Without one at its end it was cut at `max` bytes (the rest is still to be read)
    /// or the stream has ended. `None` at the end of the stream.
    ///
    /// # Errors
    /// Where the network fails or a limit is reached.
    pub async fn read_until_lf(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        self.room().await;
        let mut searched = 0;
        loop {
            let bytes = self.buffered();
            let end = bytes
                .iter()
                .skip(searched)
                .take(max.saturating_sub(searched))
                .position(|b| *b == b'\n');
            let len = match end {
                Some(at) => searched + at + 1,
                None if bytes.len() >= max => max,
                None => {
                    searched = bytes.len();
                    if self.fill().await? {
                        continue;
                    }
                    if searched == 0 {
                        return Ok(None);
                    }
                    searched
                }
            };
            let line = self.buffered().get(..len).unwrap_or_default().to_vec();
            self.advance(len);
            return Ok(Some(line));
        }
    }

    /// Exactly `len` bytes. Memory grows with what arrives, not with `len`; the caller bounds `len`.
    ///
    /// # Errors
    /// `UnexpectedEof` where the stream ends before; otherwise where the network fails or a limit is reached.
    pub async fn read_block(&mut self, len: usize) -> io::Result<Vec<u8>> {
        self.room().await;
        // A block that is cut is not taken, whether or not it is a part of something longer.
        let is_all = self.begun.is_none();
        self.begun.get_or_insert_default();
        let mut block = Vec::new();
        while block.len() < len {
            let part = self.buffered();
            let part = part.get(..len - block.len()).unwrap_or(part);
            let n = part.len();
            block.extend_from_slice(part);
            self.advance(n);
            if block.len() < len && !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if is_all {
            self.begun = None;
        }
        Ok(block)
    }

    /// Take `len` bytes and forget them.
    ///
    /// # Errors
    /// As [`Peer::read_block`].
    pub async fn skip(&mut self, mut len: u64) -> io::Result<()> {
        while len > 0 {
            let n = self
                .buffered()
                .len()
                .min(usize::try_from(len).unwrap_or(usize::MAX));
            self.advance(n);
            len -= u64::try_from(n).unwrap_or(len);
            if len > 0 && !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Send all of `bytes`, now.
    ///
    /// # Errors
    /// Where the network fails or a limit is reached.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }

    /// Close in order: say that nothing more will come (and TLS's `close_notify`), then wait a moment for the visitor to close as
    /// well, so that the last words are not lost to a reset. What it still says meanwhile nobody takes.
    pub async fn close(mut self) {
        self.begun.get_or_insert_default();
        // The visitor may be gone already; closing is all that is left to do either way.
        let _gone = tokio::time::timeout(LINGER, async {
            self.shutdown().await?;
            self.advance(usize::MAX);
            while self.fill().await? {
                self.advance(usize::MAX);
            }
            io::Result::Ok(())
        })
        .await;
    }

    /// Close at once, as a port does where nobody listens.
    pub fn reset(mut self) {
        let tcp = self.metered_mut().and_then(|metered| {
            let io: &dyn Transport = metered.io.as_ref();
            io.as_any().downcast_ref::<TcpStream>()
        });
        if let Some(tcp) = tcp {
            // Where that fails it is closed in order, which is all that is left to do.
            let _in_order = socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }

    /// Speak TLS from here on, as the server. Reports what the ClientHello says of the visitor, also of a handshake that fails. What of
    /// bytes that came already does not begin a handshake is a protocol violation (CVE-2011-0411), reported; [`Tls::ahead`] says what becomes
    /// of them.
    ///
    /// # Errors
    /// Where the handshake fails, the network fails or a limit is reached.
    pub async fn start_tls(mut self, tls: &Tls) -> io::Result<Self> {
        self.upgrade(tls).await?;
        Ok(self)
    }

    /// As [`Peer::start_tls`], in place.
    ///
    /// # Errors
    /// As [`Peer::start_tls`]; nothing more can be said to the visitor then.
    pub async fn upgrade(&mut self, tls: &Tls) -> io::Result<()> {
        let is_handshake = |bytes: &[u8]| bytes.first() == Some(&HANDSHAKE);
        let mut early = self.take_buffered();
        let mut told = 0;
        if !early.is_empty() && (tls.ahead == Ahead::Forgotten || !is_handshake(&early)) {
            self.tap.emit(Event::Violation {
                what: "plaintext ahead of the TLS handshake",
                bytes: &early,
            });
            told = early.len();
        }
        if tls.ahead == Ahead::Forgotten {
            early.clear();
            told = 0;
        }
        if !tls.unmet.is_empty() {
            if early.is_empty() {
                self.fill().await?;
                early = self.take_buffered();
            }
            if !is_handshake(&early) {
                // Who is only half gone still hears it.
                let _unheard = self.send(tls.unmet).await;
                self.stream = Stream::Gone;
                if !self.handshake_failed(&early) {
                    self.leave(early.get(told..).unwrap_or_default());
                }
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no TLS handshake"));
            }
        }
        let Stream::Plain(mut io) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(io::Error::other("TLS within TLS"));
        };
        io.heard = Some(Vec::new());
        io.give_back(early);
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
        let (heard, outcome) = match acceptor.accept(io).into_fallible().await {
            Ok(mut stream) => (stream.get_mut().0.heard.take(), Ok(stream)),
            Err((error, mut io)) => (io.heard.take(), Err(error)),
        };
        let heard = heard.unwrap_or_default();
        let hello = client_hello::ClientHello::parse(&heard);
        if let Some(hello) = &hello {
            hello.report(&self.tap);
        } else if outcome.is_err() {
            self.leave(heard.get(told..).unwrap_or_default());
        }
        match outcome {
            Ok(stream) => {
                self.stream = Stream::Tls(Box::new(stream));
                Ok(())
            }
            Err(error) => {
                self.handshake_failed(error.to_string().as_bytes());
                Err(error)
            }
        }
    }

    /// Report that no TLS came about, unless the visitor is gone or a limit is reached; whether it was reported.
    fn handshake_failed(&self, bytes: &[u8]) -> bool {
        let is_reported = self.meter.closed_by().is_none();
        if is_reported {
            self.tap.emit(Event::Violation {
                what: "the TLS handshake failed",
                bytes,
            });
            self.meter.close(CloseReason::Violation);
        }
        is_reported
    }

    /// `bytes` were taken, and nothing came of them.
    fn leave(&mut self, bytes: &[u8]) {
        keep_head(self.begun.get_or_insert_default(), bytes);
    }

    /// Take what is buffered.
    fn take_buffered(&mut self) -> Vec<u8> {
        let bytes = self.buffered().to_vec();
        self.advance(usize::MAX);
        bytes
    }

    fn metered(&self) -> Option<&Metered> {
        match &self.stream {
            Stream::Plain(io) => Some(io),
            Stream::Tls(tls) => Some(tls.get_ref().0),
            Stream::Gone => None,
        }
    }

    fn metered_mut(&mut self) -> Option<&mut Metered> {
        match &mut self.stream {
            Stream::Plain(io) => Some(io),
            Stream::Tls(tls) => Some(tls.get_mut().0),
            Stream::Gone => None,
        }
    }

    /// Read once from the stream to the end of the buffer; the number of bytes, 0 at the end of the stream.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [0; CHUNK];
        let mut chunk = ReadBuf::new(&mut chunk);
        ready!(self.stream.poll_read(cx, &mut chunk))?;
        if self.taken > 0 && self.taken * 2 >= self.buffer.len() {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(chunk.filled());
        Poll::Ready(Ok(chunk.filled().len()))
    }

    /// Ready once the next bytes may go to the visitor.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.tarpit.is_zero() || !self.owes {
            return Poll::Ready(());
        }
        if self.held.is_none()
            && let Some(metered) = self.metered_mut()
        {
            metered.holds = true;
        }
        let tarpit = self.tarpit;
        let held = self
            .held
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(tarpit)));
        // Who is gone would keep its place for as long as it liked.
        if held.as_mut().poll(cx).is_pending() && !self.is_unheard() && self.poll_gone(cx).is_pending() {
            return Poll::Pending;
        }
        self.held = None;
        self.owes = false;
        if let Some(metered) = self.metered_mut() {
            metered.holds = false;
            metered.touch();
        }
        Poll::Ready(())
    }

    /// Ready once the visitor says nothing more, or a limit is reached. What it says until then is kept for the next read, and
    /// not much more of it than that would have kept.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.buffered().len() < CHUNK {
            match ready!(self.poll_more(cx)) {
                Ok(1..) => {}
                // Who asks again is told again.
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        match self.metered_mut() {
            Some(metered) => metered.poll_limits::<()>(cx).map(drop),
            None => Poll::Ready(()),
        }
    }
}

/// Add `bytes` to the first [`UNTAKEN_MAX`].
fn keep_head(head: &mut Vec<u8>, bytes: &[u8]) {
    let room = UNTAKEN_MAX.saturating_sub(head.len());
    head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.begun.get_or_insert_default();
        self.advance(usize::MAX);
        let untaken = self.begun.take().unwrap_or_default();
        if !untaken.is_empty() && !self.is_sealed {
            self.tap.emit(Event::Violation {
                what: "input that came to nothing",
                bytes: &untaken,
            });
        }
    }
}

impl AsyncRead for Peer {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.tap.poll_room(cx));
        let waiting = this.buffered();
        if waiting.is_empty() {
            let before = out.filled().len();
            let read = this.stream.poll_read(cx, out);
            let new = out.filled().get(before..).unwrap_or_default();
            this.owes |= !new.is_empty();
            if let Some(begun) = &mut this.begun {
                keep_head(begun, new);
            }
            return read;
        }
        let part = waiting.get(..out.remaining()).unwrap_or(waiting);
        let n = part.len();
        out.put_slice(part);
        this.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Peer {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.tap.poll_room(cx));
        if this.buffered().is_empty() {
            ready!(this.poll_more(cx))?;
        }
        Poll::Ready(Ok(this.buffered()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.get_mut().advance(n);
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_held(cx));
        match &mut this.stream {
            Stream::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Stream::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => Pin::new(io).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Stream::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(io) => Pin::new(io).poll_read(cx, out),
            Self::Tls(tls) => match Pin::new(tls).poll_read(cx, out) {
                // Many clients close without close_notify; to a service that is an end of stream like any other.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                other => other,
            },
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

/// A socket that connects from `own`.
fn socket_at(own: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if own.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // The port may be held by what is left of a connection before.
    socket.set_reuseaddr(true)?;
    socket.bind(own)?;
    Ok(socket)
}

/// The layer next to the network: counts, keeps time, and listens in on a ClientHello.
///
/// One timer serves both time limits and is not touched per read: when it fires, it is set again to what the last
/// activity allows. Its waker is that of the task which polled last, so both halves of a split peer belong into one task.
struct Metered {
    io: Box<dyn Transport>,
    bounds: Bounds,
    idle: Duration,
    /// Whether an answer is held back: until it goes, silence is ours, and only the limit counts.
    holds: bool,
    ends: Instant,
    active: Instant,
    timer: Pin<Box<Sleep>>,
    meter: Arc<Meter>,
    /// The meter of the connection that this one belongs to.
    counts_for: Option<Arc<Meter>>,
    heard: Option<Vec<u8>>,
    /// Bytes that were read, and are to be read again.
    again: Vec<u8>,
    /// Since writing failed: bytes that were said to nobody since something was read, or more than [`UNHEARD_MAX`] once there is nothing
    /// more to read.
    unheard: Option<usize>,
}

impl Metered {
    fn new(io: Box<dyn Transport>, bounds: Bounds, meter: Arc<Meter>) -> Self {
        let now = Instant::now();
        Self {
            io,
            idle: bounds.idle,
            holds: false,
            ends: now + bounds.total,
            active: now,
            timer: Box::pin(tokio::time::sleep(bounds.idle.min(bounds.total))),
            bounds,
            meter,
            counts_for: None,
            heard: None,
            again: Vec::new(),
            unheard: None,
        }
    }

    /// Say `bytes` to nobody, as long as the visitor may have said something that was not read yet.
    fn say_unheard(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let said = self.unheard.unwrap_or_default().saturating_add(bytes.len());
        self.unheard = Some(said);
        if said > UNHEARD_MAX {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(bytes.len())
    }

    /// So much was read; nothing at the end, or where reading fails.
    fn was_read(&mut self, bytes: usize) {
        if let Some(unheard) = &mut self.unheard {
            *unheard = if bytes == 0 { usize::MAX } else { 0 };
        }
    }

    /// Let `bytes` be read before what comes: they have come already, and were counted then.
    fn give_back(&mut self, bytes: Vec<u8>) {
        self.again = bytes;
    }

    /// Listen in on what is read.
    fn hear(&mut self, bytes: &[u8]) {
        if let Some(heard) = &mut self.heard {
            let room = HELLO_MAX.saturating_sub(heard.len());
            heard.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    /// Something passed, or the patience changed.
    fn touch(&mut self) {
        self.active = Instant::now();
        let due = self.due();
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
    }

    fn due(&self) -> Instant {
        let idle = if self.holds { self.bounds.idle } else { self.idle };
        self.ends.min(self.active + idle)
    }

    /// Pending while there is time; the error of the limit that was reached otherwise.
    fn poll_limits<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            if let Some(reason) = self.meter.closed_by()
                && matches!(
                    reason,
                    CloseReason::Idle | CloseReason::TooLong | CloseReason::TooMuch
                )
            {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason.as_str())));
            }
            ready!(self.timer.as_mut().poll(cx));
            let due = self.due();
            if Instant::now() >= due {
                let reason = if due == self.ends {
                    CloseReason::TooLong
                } else {
                    CloseReason::Idle
                };
                self.meter.close(reason);
                // Should the connection have ended for another reason before, the time is up all the same.
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason.as_str())));
            }
            self.timer.as_mut().reset(due);
        }
    }

    fn failed(&self, error: io::Error) -> io::Error {
        let gone = matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        );
        self.meter.close(if gone {
            CloseReason::Peer
        } else {
            CloseReason::Network
        });
        error
    }
}

impl AsyncRead for Metered {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if Instant::now() >= this.ends || this.meter.closed_by() == Some(CloseReason::TooMuch) {
            this.meter.close(CloseReason::TooLong);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if !this.again.is_empty() {
            let n = this.again.len().min(out.remaining());
            let part: Vec<u8> = this.again.drain(..n).collect();
            out.put_slice(&part);
            this.hear(&part);
            return Poll::Ready(Ok(()));
        }
        let before = out.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, out) {
            Poll::Pending => this.poll_limits(cx),
            Poll::Ready(Err(error)) => {
                this.was_read(0);
                Poll::Ready(Err(this.failed(error)))
            }
            Poll::Ready(Ok(())) => {
                let new = out.filled().get(before..).unwrap_or_default();
                this.was_read(new.len());
                if new.is_empty() {
                    this.meter.close(CloseReason::Peer);
                    return Poll::Ready(Ok(()));
                }
                this.hear(new);
                let n = u64::try_from(new.len()).unwrap_or(u64::MAX);
                let sum = this
                    .meter
                    .bytes_in
                    .fetch_add(n, Ordering::Relaxed)
                    .saturating_add(n);
                if let Some(other) = &this.counts_for {
                    other.bytes_in.fetch_add(n, Ordering::Relaxed);
                }
                if sum > this.bounds.bytes_in {
                    this.meter.close(CloseReason::TooMuch);
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "too many bytes")));
                }
                this.touch();
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.unheard.is_some() {
            return Poll::Ready(this.say_unheard(bytes));
        }
        match Pin::new(&mut this.io).poll_write(cx, bytes) {
            Poll::Pending => this.poll_limits(cx),
            Poll::Ready(Err(error)) => {
                // Why it ended is noted; that it did is told by the next read that finds nothing more.
                let _noted = this.failed(error);
                Poll::Ready(this.say_unheard(bytes))
            }
            Poll::Ready(Ok(n)) => {
                for meter in [Some(&this.meter), this.counts_for.as_ref()]
                    .into_iter()
                    .flatten()
                {
                    let n = u64::try_from(n).unwrap_or(u64::MAX);
                    meter.bytes_out.fetch_add(n, Ordering::Relaxed);
                }
                this.touch();
                Poll::Ready(Ok(n))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.io).poll_flush(cx) {
            Poll::Pending => this.poll_limits(cx),
            ready => ready,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use decnet_model::clock::SystemClock;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;
    use crate::serve::{artifact::Artifacts, sink::Sink, tap::Evidence};

    const TARPIT: Duration = Duration::from_secs(1);

    /// A visitor's end, and a slow peer at the other.
    fn slow() -> (DuplexStream, Peer) {
        let (theirs, mut peer) = reporting_to(&Arc::new(Sink::to(io::sink())));
        peer.set_tarpit(TARPIT);
        (theirs, peer)
    }

    /// A visitor's end, and the peer at the other, whose evidence goes to `sink`.
    fn reporting_to(sink: &Arc<Sink>) -> (DuplexStream, Peer) {
        let (theirs, ours) = tokio::io::duplex(64 * 1024);
        let evidence = Arc::new(Evidence {
            sink: Arc::clone(sink),
            artifacts: Arc::new(Artifacts::open(None, &Limits::default()).unwrap()),
            clock: Arc::new(SystemClock),
            decky: "decky-01".to_owned(),
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let tap = Tap::of_session(&evidence, "test", address, address);
        let peer = Peer::new(ours, address, address, Bounds::from(&Limits::default()), tap);
        (theirs, peer)
    }

    /// A disk that is full until somebody makes room.
    struct Disk(Arc<AtomicBool>);

    impl io::Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipeline_that_came_already_waits_within_itself_for_room() {
        let is_full = Arc::new(AtomicBool::new(true));
        let sink = Arc::new(Sink::to(Disk(Arc::clone(&is_full))));
        let (mut visitor, mut peer) = reporting_to(&sink);
        visitor.write_all(b"one\ntwo\nthree").await.unwrap();
        assert_eq!(peer.read_line(10).await.unwrap().unwrap(), b"one");
        // More than half of what waits in memory.
        for _ in 0..300 {
            sink.write_line(&[b'\n'; CHUNK]);
        }
        // Every way to what is there, and each as if it had not been tried.
        assert!(tokio::time::timeout(TARPIT, peer.read_line(10)).await.is_err());
        assert!(tokio::time::timeout(TARPIT, peer.read_block(3)).await.is_err());
        assert!(tokio::time::timeout(TARPIT, peer.fill()).await.is_err());
        assert!(tokio::time::timeout(TARPIT, peer.read_u8()).await.is_err());
        assert!(tokio::time::timeout(TARPIT, peer.fill_buf()).await.is_err());
        is_full.store(false, Ordering::SeqCst);
        let (line, ()) = tokio::join!(peer.read_line(10), async { sink.flush() });
        assert_eq!(line.unwrap().unwrap(), b"two");
        assert_eq!(peer.read_block(5).await.unwrap(), b"three");
    }

    /// How long `what` takes where time stands still but for timers.
    async fn time_of<T>(what: impl Future<Output = T>) -> (Duration, T) {
        let began = Instant::now();
        let done = what.await;
        (began.elapsed(), done)
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_is_held_back_once_also_in_a_pipeline() {
        let (mut visitor, mut peer) = slow();
        let (greeting, sent) = time_of(peer.send(b"hello\n")).await;
        sent.unwrap();
        assert!(greeting >= TARPIT, "{greeting:?}");
        visitor.write_all(b"one\ntwo\n").await.unwrap();
        for _ in 0..2 {
            peer.read_line(10).await.unwrap().unwrap();
            let (first, _) = time_of(peer.send(b"so ")).await;
            let (rest, _) = time_of(peer.send(b"be it\n")).await;
            assert!(first >= TARPIT && rest.is_zero(), "{first:?} {rest:?}");
        }
        drop(peer);
        let mut heard = String::new();
        visitor.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "hello\nso be it\nso be it\n");
    }

    #[tokio::test(start_paused = true)]
    async fn the_silence_of_a_tarpit_is_not_the_visitors() {
        let (mut visitor, mut peer) = slow();
        peer.set_idle(TARPIT / 2);
        peer.send(b"hello\n").await.unwrap();
        assert_eq!(peer.meter().closed_by(), None);
        visitor.write_all(b"one\n").await.unwrap();
        assert!(peer.read_line(10).await.is_ok());
        let (patience, silence) = time_of(peer.read_line(10)).await;
        assert!(
            silence.is_err() && patience <= TARPIT,
            "the product's own patience is back"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_while_an_answer_waits_is_read_later_and_not_hoarded() {
        let (mut visitor, mut peer) = slow();
        let flood = vec![b'a'; 8 * CHUNK];
        visitor.write_all(&flood).await.unwrap();
        peer.send(b"hello\n").await.unwrap();
        assert!(peer.buffered().len() < 2 * CHUNK, "{}", peer.buffered().len());
        assert_eq!(peer.read_block(flood.len()).await.unwrap(), flood);
    }

    #[tokio::test]
    async fn what_somebody_said_who_is_gone_is_read_to_its_end_and_then_nobody_is_talked_to() {
        let (mut visitor, mut peer) = slow();
        peer.set_tarpit(Duration::ZERO);
        visitor.write_all(b"one\ntwo\n").await.unwrap();
        drop(visitor);
        for said in [b"one", b"two"] {
            peer.send(b"an answer\n").await.unwrap();
            assert_eq!(peer.read_line(10).await.unwrap().unwrap(), said);
        }
        peer.send(b"an answer\n").await.unwrap();
        assert!(peer.is_unheard());
        assert_eq!(peer.read_line(10).await.unwrap(), None);
        assert!(peer.send(b"an answer\n").await.is_err());
        assert_eq!(peer.meter().closed_by(), Some(CloseReason::Peer));
        assert_eq!(peer.meter().bytes_out(), 0, "nobody heard it");
    }

    #[tokio::test]
    async fn who_only_talks_learns_that_nobody_hears_it() {
        let (visitor, mut peer) = slow();
        peer.set_tarpit(Duration::ZERO);
        drop(visitor);
        let mut said = 0;
        while peer.send(&[b'y'; CHUNK]).await.is_ok() {
            said += CHUNK;
            assert!(said <= UNHEARD_MAX, "{said} bytes were said to nobody");
        }
    }

    /// A visitor's end, the peer at the other, and what it reports.
    fn heard() -> (DuplexStream, Peer, Lines) {
        let lines = Lines::default();
        let (visitor, peer) = reporting_to(&Arc::new(Sink::to(lines.clone())));
        (visitor, peer, lines)
    }

    /// Lines, as they are written.
    #[derive(Clone, Default)]
    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        /// The only line, which tells what came to nothing.
        fn only(&self) -> String {
            let all = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            assert_eq!(all.lines().count(), 1, "{all}");
            assert!(all.contains("what=\"input that came to nothing\""), "{all}");
            all
        }

        fn is_empty(&self) -> bool {
            self.0.lock().unwrap().is_empty()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_and_nobody_took_is_told_once_at_the_end() {
        let (mut visitor, mut peer, lines) = heard();
        visitor.write_all(b"taken\nwaiting").await.unwrap();
        assert_eq!(peer.read_line(10).await.unwrap().unwrap(), b"taken");
        // Nobody says more: the limits end it.
        assert!(peer.read_line(10).await.is_err());
        assert!(lines.is_empty());
        drop(peer);
        assert!(lines.only().contains("bytes=\"waiting\""), "{}", lines.only());

        // Also what comes while it is closed; and no more of it than is told of anything.
        let (mut visitor, peer, lines) = heard();
        visitor.write_all(&[b'a'; 3 * CHUNK]).await.unwrap();
        drop(visitor);
        peer.close().await;
        assert!(lines.only().contains(&format!("\"{}\"", "a".repeat(UNTAKEN_MAX))));

        let (mut visitor, mut peer, lines) = heard();
        visitor.write_all(b"all is taken\n").await.unwrap();
        peer.read_line(20).await.unwrap();
        drop(visitor);
        peer.close().await;
        assert!(lines.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_cut_counts_as_not_taken_and_a_whole_one_does_not() {
        let (mut visitor, mut peer, lines) = heard();
        visitor.write_all(b"whole\nhead\nbodyrest").await.unwrap();
        peer.begin_request();
        peer.read_line(10).await.unwrap();
        peer.end_request();
        peer.begin_request();
        peer.read_line(10).await.unwrap();
        peer.read_block(4).await.unwrap();
        drop(peer);
        let told = lines.only();
        assert!(told.contains("bodyrest") && told.contains("head"), "{told}");
        assert!(!told.contains("whole"), "{told}");

        // A block that is cut is a request of its own.
        let (mut visitor, mut peer, lines) = heard();
        visitor.write_all(b"wholecut").await.unwrap();
        drop(visitor);
        peer.read_block(5).await.unwrap();
        assert!(peer.read_block(5).await.is_err());
        drop(peer);
        assert!(lines.only().contains("bytes=\"cut\""), "{}", lines.only());

        // Ciphertext says nothing.
        let (mut visitor, mut peer, lines) = heard();
        visitor.write_all(b"sealed").await.unwrap();
        peer.fill().await.unwrap();
        peer.seal_input();
        drop(peer);
        assert!(lines.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_all_is_answered_at_once() {
        let (mut visitor, mut peer) = slow();
        visitor.write_all(b"one\n").await.unwrap();
        visitor.shutdown().await.unwrap();
        let (time, sent) = time_of(peer.send(b"hello\n")).await;
        assert!(sent.is_ok() && time < TARPIT, "{time:?}");
        assert_eq!(peer.read_line(10).await.unwrap().unwrap(), b"one");
    }
}
