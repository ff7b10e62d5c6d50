//! Connections: TLS, slow and silent clients, limits, and the end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use decnet_bus::Bus;
use decnet_domain::Options;
use decnet_model::{
    clock::{Clock, SystemClock},
    state::Role,
};
use decnet_pki::{Authority, Names, ServerCertificate, Source};
use decnet_runtime::{Shutdown, supervisor::Door};
use decnet_server::serve::{Limits, serve};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::app::{App, PASSWORD};

/// Longer than anything here takes: a bound, not a measure.
const BOUND: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(150);

/// Limits that no test runs into unless it sets them.
fn patient() -> Limits {
    Limits {
        handshake: BOUND * 4,
        head: BOUND * 4,
        idle: BOUND * 4,
        drain: BOUND * 4,
        ..Limits::default()
    }
}

/// A server that listens.
struct Listening {
    address: SocketAddr,
    stop: Shutdown,
    task: JoinHandle<()>,
    root: CertificateDer<'static>,
    _dir: tempfile::TempDir,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listening {
    async fn plain(router: Router, limits: Limits) -> Self {
        Self::new(router, limits, false).await
    }

    async fn tls(router: Router, limits: Limits) -> Self {
        Self::new(router, limits, true).await
    }

    async fn new(router: Router, limits: Limits, tls: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (pki, now) = (dir.path().join("pki"), SystemClock.now());
        let root = Authority::ensure(&pki, now).unwrap().certificate().clone();
        let names = Names {
            dns: ["localhost".to_owned()].into(),
            ..Names::default()
        };
        let config = tls.then(|| {
            let certificate = ServerCertificate::open(Source::Authority { dir: pki, names }, now).unwrap();
            certificate.config().unwrap()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Shutdown::new();
        let task = tokio::spawn(serve(listener, router, config, limits, stop.clone()));
        Self {
            address,
            stop,
            task,
            root,
            _dir: dir,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn connect_from(&self, ip: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn handshake(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        shake(self.connect().await, Some(&self.root), protocol)
            .await
            .unwrap()
    }

    /// Tell it to stop, and wait until it has.
    async fn stopped(mut self) {
        self.stop.request();
        timeout(BOUND, &mut self.task)
            .await
            .expect("the server does not stop")
            .unwrap();
    }
}

async fn shake(
    tcp: TcpStream,
    root: Option<&CertificateDer<'static>>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(root.cloned());
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").unwrap(), tcp)
        .await
}

/// Everything that comes until the other side closes. A reset is an end, too.
async fn to_the_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let read = timeout(BOUND, tokio::io::copy(stream, &mut bytes)).await;
    drop(read.expect("the server does not close the connection"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The head and the body of one answer, whose length has to be declared.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    };
    timeout(BOUND, read).await.expect("no answer")
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(stream).await
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

#[tokio::test]
async fn by_tls_the_cookie_is_secure_and_browsers_are_told_to_come_back_by_tls() {
    let app = App::with(Options::default(), |c| c.public_url = "https://localhost".into()).await;
    app.user("vera", Role::Viewer).await;
    let server = Listening::tls(app.router.clone(), patient()).await;
    let mut stream = server.handshake(b"http/1.1").await;
    let body = format!(r#"{{"username":"vera","password":"{PASSWORD}"}}"#);
    let request = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let (head, _) = answer(&mut stream).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let cookie = head.lines().find(|line| line.starts_with("set-cookie")).unwrap();
    assert!(
        cookie.contains("__host-decnet_session=") && cookie.contains("; secure"),
        "{cookie}"
    );
    assert!(
        head.contains("strict-transport-security: max-age=31536000"),
        "{head}"
    );
}

#[tokio::test]
async fn without_tls_there_is_neither() {
    let app = App::new().await;
    app.user("vera", Role::Viewer).await;
    let login = app.login("vera", PASSWORD).send().await;
    assert!(!login.headers.contains_key("strict-transport-security"));
    assert!(!login.headers["set-cookie"].to_str().unwrap().contains("Secure"));
}

#[tokio::test]
async fn who_does_not_trust_the_authority_hangs_up_and_others_are_served() {
    let server = Listening::tls(hello(), patient()).await;
    let stranger = shake(server.connect().await, None, b"http/1.1").await;
    assert!(stranger.unwrap_err().to_string().contains("UnknownIssuer"));
    let mut stream = server.handshake(b"http/1.1").await;
    assert_eq!(ask(&mut stream, "/").await.1, "hello");
}

#[tokio::test]
async fn a_client_that_speaks_plain_http_to_the_tls_port_is_told_so() {
    let server = Listening::tls(hello(), patient()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let told = to_the_end(&mut stream).await;
    assert!(
        told.starts_with("HTTP/1.1 400 ") && told.contains("speaks TLS"),
        "{told}"
    );
    assert!(told.to_lowercase().contains("connection: close"), "{told}");
}

type Sender = hyper::client::conn::http2::SendRequest<Body>;

/// An HTTP/2 connection; the task ends with the connection.
async fn http2(stream: TlsStream<TcpStream>) -> (Sender, JoinHandle<()>) {
    let io = TokioIo::new(stream);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    let task = tokio::spawn(async move { drop(connection.await) });
    (sender, task)
}

async fn ask_http2(sender: &mut Sender) -> hyper::Response<hyper::body::Incoming> {
    let request = hyper::Request::get("https://localhost/").body(Body::empty());
    timeout(BOUND, sender.send_request(request.unwrap()))
        .await
        .expect("no answer")
        .unwrap()
}

#[tokio::test]
async fn http_2_is_spoken_with_whoever_asks_for_it() {
    let server = Listening::tls(hello(), patient()).await;
    let (mut sender, _task) = http2(server.handshake(b"h2").await).await;
    for _ in 0..3 {
        let answer = ask_http2(&mut sender).await;
        assert_eq!(answer.version(), hyper::Version::HTTP_2);
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_or_half_a_head_is_dropped() {
    let limits = || Limits {
        handshake: SHORT,
        head: SHORT,
        ..patient()
    };
    let plain = Listening::plain(hello(), limits()).await;
    assert_eq!(to_the_end(&mut plain.connect().await).await, "", "silent");
    let mut half = plain.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nHost: loc").await.unwrap();
    to_the_end(&mut half).await;
    let mut kept = plain.connect().await;
    assert_eq!(ask(&mut kept, "/").await.1, "hello");
    assert_eq!(to_the_end(&mut kept).await, "", "silent after an answer");

    let tls = Listening::tls(hello(), limits()).await;
    assert_eq!(
        to_the_end(&mut tls.connect().await).await,
        "",
        "silent before the handshake"
    );
    let mut half = tls.connect().await;
    half.write_all(&[22, 3, 1, 2]).await.unwrap();
    to_the_end(&mut half).await;
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let mut shaken = tls.handshake(protocol).await;
        to_the_end(&mut shaken).await;
    }
}

#[tokio::test]
async fn an_http_2_connection_that_is_not_used_is_closed_in_order() {
    let limits = Limits {
        idle: SHORT,
        ..patient()
    };
    let server = Listening::tls(hello(), limits).await;
    let (mut sender, ended) = http2(server.handshake(b"h2").await).await;
    assert_eq!(ask_http2(&mut sender).await.status(), 200);
    timeout(BOUND, ended).await.expect("it stays open").unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let (dropped, mut ended) = mpsc::channel::<()>(1);
    let endless = move || async move {
        let answer = Farewell(dropped);
        Body::from_stream(futures::stream::repeat_with(move || {
            let _alive = &answer;
            Ok::<_, std::io::Error>(vec![b'x'; 65_536])
        }))
    };
    let limits = Limits {
        idle: SHORT,
        ..patient()
    };
    let server = Listening::plain(Router::new().route("/", get(endless)), limits).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let told = timeout(BOUND, ended.recv()).await.expect("it is waited for");
    assert_eq!(told, Some(()));
}

/// Says when it is dropped.
struct Farewell(mpsc::Sender<()>);

impl Drop for Farewell {
    fn drop(&mut self) {
        // Full only where it was said already.
        self.0.try_send(()).ok();
    }
}

#[tokio::test]
async fn one_address_cannot_take_every_place() {
    let limits = Limits {
        connections: 4,
        ..patient()
    };
    let server = Listening::plain(hello(), limits).await;
    let mut greedy = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect_from("127.0.0.2").await;
        assert_eq!(ask(&mut stream, "/").await.1, "hello");
        greedy.push(stream);
    }
    let mut third = server.connect_from("127.0.0.2").await;
    assert_eq!(to_the_end(&mut third).await, "");
    let mut other = server.connect_from("127.0.0.3").await;
    assert_eq!(ask(&mut other, "/").await.1, "hello");
    // A place that is given back can be had again, once the server has seen it.
    drop(greedy.pop());
    let again = async {
        loop {
            let mut stream = server.connect_from("127.0.0.2").await;
            let sent = stream
                .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .await;
            if sent.is_ok() && to_the_end(&mut stream).await.contains("hello") {
                return;
            }
        }
    };
    timeout(BOUND, again).await.expect("the place is lost");
}

#[tokio::test]
async fn who_comes_when_every_place_is_taken_waits_for_one() {
    let limits = Limits {
        connections: 2,
        ..patient()
    };
    let server = Listening::plain(hello(), limits).await;
    let mut first = server.connect_from("127.0.0.2").await;
    let mut second = server.connect_from("127.0.0.3").await;
    ask(&mut first, "/").await;
    ask(&mut second, "/").await;
    let mut waiting = server.connect_from("127.0.0.4").await;
    drop(first);
    assert_eq!(ask(&mut waiting, "/").await.1, "hello");
}

#[tokio::test]
async fn the_end_closes_idle_and_silent_connections_at_once() {
    for tls in [false, true] {
        let server = Listening::new(hello(), patient(), tls).await;
        let mut silent = server.connect().await;
        if tls {
            let (mut sender, ended) = http2(server.handshake(b"h2").await).await;
            ask_http2(&mut sender).await;
            let mut idle = server.handshake(b"http/1.1").await;
            ask(&mut idle, "/").await;
            let mut shaken = server.handshake(b"http/1.1").await;
            server.stopped().await;
            timeout(BOUND, ended).await.expect("HTTP/2 stays open").unwrap();
            to_the_end(&mut idle).await;
            to_the_end(&mut shaken).await;
        } else {
            let mut idle = server.connect().await;
            ask(&mut idle, "/").await;
            server.stopped().await;
            assert_eq!(to_the_end(&mut idle).await, "");
        }
        assert_eq!(to_the_end(&mut silent).await, "");
    }
}

/// A route that tells when it was reached and answers when it is told.
fn slow() -> (Router, Arc<Notify>, Arc<Notify>) {
    let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (reached, go) = (reached.clone(), go.clone());
        move || async move {
            reached.notify_one();
            go.notified().await;
            "done"
        }
    };
    (Router::new().route("/", get(handler)), reached, go)
}

#[tokio::test]
async fn a_request_that_is_under_way_at_the_end_is_answered() {
    let (router, reached, go) = slow();
    let server = Listening::plain(router, patient()).await;
    let mut stream = server.connect().await;
    let asked = tokio::spawn(async move { ask(&mut stream, "/").await });
    timeout(BOUND, reached.notified()).await.unwrap();
    let stopped = tokio::spawn(server.stopped());
    go.notify_one();
    assert_eq!(asked.await.unwrap().1, "done");
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_server() {
    let (router, reached, _go) = slow();
    let limits = Limits {
        drain: SHORT,
        ..patient()
    };
    let server = Listening::plain(router, limits).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    timeout(BOUND, reached.notified()).await.unwrap();
    server.stopped().await;
    assert_eq!(to_the_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_change_whose_client_has_left_is_waited_for_at_the_end_and_is_in_the_audit_log() {
    let run = tempfile::tempdir().unwrap();
    let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let door = Door::open(run.path()).unwrap();
    let host = tokio::spawn({
        let (reached, go) = (reached.clone(), go.clone());
        door.serve(move |_| {
            let (reached, go) = (reached.clone(), go.clone());
            async move {
                reached.notify_one();
                go.notified().await;
                Ok(())
            }
        })
    });
    let options = Options {
        run_dir: Some(run.path().to_owned()),
        ..Options::default()
    };
    let app = App::with_bus(Bus::none(), options, |_| {}).await;
    let admin = app.admin().await;
    let mut server = Listening::plain(app.router.clone(), patient()).await;
    let mut stream = server.connect().await;
    let start = format!(
        "POST /api/v1/workers/profiler/start HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {admin}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(start.as_bytes()).await.unwrap();
    timeout(BOUND, reached.notified())
        .await
        .expect("nobody was asked");
    drop(stream);
    server.stop.request();
    assert!(
        timeout(SHORT, &mut server.task).await.is_err(),
        "the server ends in the middle of what it was asked to do"
    );
    go.notify_one();
    server.stopped().await;
    let told = app.get("/audit?action=worker.start").token(&admin).send().await;
    let entry = told.json()["data"][0].clone();
    assert_eq!(
        (entry["target"].as_str(), entry["result"].as_str()),
        (Some("profiler"), Some("ok")),
        "{entry}"
    );
    host.abort();
}
