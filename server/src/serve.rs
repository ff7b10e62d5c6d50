//! The listener: connections in, requests to the router, by TLS or without.
//!
//! What axum's own `serve` has not: TLS, a limit on open connections, and deadlines for clients that say nothing or
//! speak slowly, so that neither costs more than one of many places for some seconds. Start at [`serve`].

mod doors;
mod pulse;

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    response::Response,
};
use decnet_runtime::Shutdown;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use ipnet::IpNet;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::ServiceExt;

use self::{
    doors::Doors,
    pulse::{Pulse, Watched},
};

/// How much a client may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once. One address, or one /64 of IPv6, gets half of them; the rest is for others.
    pub connections: usize,
    /// Proxies, which bring many clients from one address and may take all.
    pub proxies: Vec<IpNet>,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long the head of a request may take, and the silence between two requests of HTTP/1.1.
    pub head: Duration,
    /// How long nothing may go over a connection in either direction; longer than a request may take to be answered,
    /// and than an event stream is silent.
    pub idle: Duration,
    /// How long open requests, and changes whose client has left, are waited for at the end; the worker shell allows ten seconds.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            proxies: Vec::new(),
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            drain: Duration::from_secs(8),
        }
    }
}

/// How long a connection that is being closed may take to say so.
const FAREWELL: Duration = Duration::from_secs(2);
/// The wait after an accept that failed for want of something, such as file descriptors.
const OUT_OF_BREATH: Duration = Duration::from_millis(100);
/// The most bytes of an HTTP/1 head.
const MAX_HEAD: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// Serve `router` on `listener`, with TLS where there is a configuration for it, until `stop`; then take no more
/// connections, close the idle ones and wait for the others, as long as [`Limits::drain`] allows.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    limits: Limits,
    stop: Shutdown,
) {
    let doors = Doors::new(&limits);
    let guide = Guide {
        router,
        tls: tls.map(TlsAcceptor::from),
        limits: Arc::new(limits),
        stop,
    };
    let mut connections = JoinSet::new();
    loop {
        let free = tokio::select! {
            biased;
            () = guide.stop.requested() => break,
            free = doors.wait() => free,
        };
        let accepted = tokio::select! {
            biased;
            () = guide.stop.requested() => break,
            accepted = listener.accept() => accepted,
        };
        while let Some(ended) = connections.try_join_next() {
            told_of_panic(ended);
        }
        match accepted {
            Ok((tcp, peer)) => {
                if let Some(place) = doors.enter(free, peer.ip()) {
                    let guide = guide.clone();
                    connections.spawn(async move {
                        guide.attend(tcp, peer).await;
                        drop(place);
                    });
                } else {
                    tracing::debug!(%peer, "refused: the address has its share of connections");
                }
            }
            // The client has gone again.
            Err(error) if is_of_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken");
                sleep(OUT_OF_BREATH).await;
            }
        }
    }
    drop(listener);
    let drained = timeout(guide.limits.drain, async {
        while let Some(ended) = connections.join_next().await {
            told_of_panic(ended);
        }
    });
    if drained.await.is_err() {
        tracing::warn!(connections = connections.len(), "cut off at the end");
        connections.shutdown().await;
    }
}

fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn told_of_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection panicked");
    }
}

/// An extension of every request: a connection, and its place, lasts until nobody holds this any more. What goes on after its
/// client has left takes it along, so that the end of the server waits for that, too.
#[derive(Clone)]
pub(crate) struct Underway {
    _held: mpsc::Sender<Infallible>,
}

/// What every connection needs.
#[derive(Clone)]
struct Guide {
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: Arc<Limits>,
    stop: Shutdown,
}

impl Guide {
    /// Take a connection from its first byte to the end of what it asked for.
    async fn attend(&self, tcp: TcpStream, peer: SocketAddr) {
        let (held, mut underway) = mpsc::channel(1);
        self.connection(tcp, peer, Underway { _held: held }).await;
        // Nothing is ever sent: it ends with the last of those who could.
        underway.recv().await;
    }

    async fn connection(&self, tcp: TcpStream, peer: SocketAddr, underway: Underway) {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY");
        }
        let Some(acceptor) = &self.tls else {
            return self.http1(tcp, peer, underway).await;
        };
        let shaken = tokio::select! {
            shaken = timeout(self.limits.handshake, handshake(tcp, acceptor)) => shaken,
            () = self.stop.requested() => return,
        };
        match shaken {
            Ok(Ok(Some(stream))) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                self.http2(stream, peer, underway).await;
            }
            Ok(Ok(Some(stream))) => self.http1(stream, peer, underway).await,
            Ok(Ok(None)) => {}
            // Usual: scanners, and browsers that do not trust the authority yet.
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake"),
            Err(_) => tracing::debug!(%peer, "no TLS handshake in time"),
        }
    }

    async fn http1<S>(&self, stream: S, peer: SocketAddr, underway: Underway)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let pulse = Arc::new(Pulse::default());
        let io = TokioIo::new(Watched::new(stream, pulse.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, self.service(peer, pulse.clone(), underway));
        self.drive(connection, &pulse, peer).await;
    }

    async fn http2<S>(&self, stream: S, peer: SocketAddr, underway: Underway)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let pulse = Arc::new(Pulse::default());
        let io = TokioIo::new(Watched::new(stream, pulse.clone()));
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .serve_connection(io, self.service(peer, pulse.clone(), underway));
        self.drive(connection, &pulse, peer).await;
    }

    /// The router, for the requests of one connection.
    fn service(
        &self,
        peer: SocketAddr,
        pulse: Arc<Pulse>,
        underway: Underway,
    ) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static> + use<>
    {
        let router = self.router.clone();
        service_fn(move |mut request: Request<Incoming>| {
            pulse.asked();
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(underway.clone());
            router.clone().oneshot(request)
        })
    }

    /// Run `connection` until it ends by itself, nothing goes over it any more, or the server stops.
    async fn drive<C>(&self, connection: C, pulse: &Pulse, peer: SocketAddr)
    where
        C: GracefulConnection,
        C::Error: std::fmt::Display,
    {
        let mut connection = pin!(connection);
        let mut first = pin!(sleep(self.limits.head));
        let mut waited = false;
        let mut stopping = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    return;
                }
                () = first.as_mut(), if !waited => {
                    if !pulse.has_asked() {
                        return;
                    }
                    waited = true;
                }
                () = self.stop.requested(), if !stopping => {
                    // Hyper waits for a first request even now; whoever said nothing has none under way.
                    if !pulse.has_spoken() {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                    stopping = true;
                }
                () = pulse.silent_for(self.limits.idle) => {
                    connection.as_mut().graceful_shutdown();
                    if timeout(FAREWELL, connection).await.is_err() {
                        tracing::debug!(%peer, "cut off: nothing was sent or taken");
                    }
                    return;
                }
            }
        }
    }
}

/// The first byte of a TLS connection: a handshake record (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// The TLS session on `tcp`; `None` for a client that has gone, or does not speak TLS and was told so.
async fn handshake(tcp: TcpStream, acceptor: &TlsAcceptor) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    match tcp.peek(&mut first).await? {
        0 => Ok(None),
        _ if first == [HANDSHAKE_RECORD] => acceptor.accept(tcp).await.map(Some),
        _ => refuse_plain(tcp).await.map(|()| None),
    }
}

const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\n\
                     Content-Type: text/plain; charset=utf-8\r\n\
                     Content-Length: 48\r\n\
                     X-Content-Type-Options: nosniff\r\n\
                     Connection: close\r\n\
                     \r\n\
                     This port speaks TLS: use https:// to reach it.\n";

/// Tell a client that speaks plain HTTP what is wrong.
async fn refuse_plain(mut tcp: TcpStream) -> io::Result<()> {
    tcp.write_all(PLAIN.as_bytes()).await?;
    tcp.shutdown().await?;
    // Closing on unread bytes resets the connection, and the answer is lost with it.
    let mut rest = tcp.take(MAX_HEAD as u64);
    timeout(FAREWELL, tokio::io::copy(&mut rest, &mut tokio::io::sink()))
        .await
        .unwrap_or(Ok(0))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::PLAIN;

    #[test]
    fn the_plain_answer_is_as_long_as_it_says() {
        let (head, body) = PLAIN.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }
}
