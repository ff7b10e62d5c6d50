//! Many readers at once. The server renders a page in several tasks and lets go of what it was made of as soon as it is
//! through: what is read later than that shows only under load.

use std::{net::SocketAddr, time::Duration};

use decnet_model::state::Role;
use decnet_runtime::Shutdown;
use decnet_server::serve::{Limits, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::app::App;

/// Readers of one page at the same moment.
const READERS: usize = 200;
/// More bytes than a page has.
const MOST: u64 = 8 << 20;
/// Longer than all of them take: a bound, not a measure.
const BOUND: Duration = Duration::from_secs(120);

/// The status and the text of a page.
async fn read(server: SocketAddr, path: &str, token: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: decnet.test:8080\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut bounded = stream.take(MOST);
    let read = timeout(BOUND, tokio::io::copy(&mut bounded, &mut answer)).await;
    read.expect("no answer").unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {text:?}")), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_readers_at_once_of_each_page_get_it_whole() {
    let app = App::new().await;
    let (_, token) = app.user("root", Role::Admin).await;
    for n in 0..20 {
        let from = format!("192.0.2.{n}");
        app.ingest("web-01", &[("src_ip", &from), ("command", "id")], "command")
            .await;
    }
    app.quarantine(b"no line at all", "no version").await;
    let attacker = decnet_db::meaning::attacker_id("192.0.2.7".parse().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let stop = Shutdown::new();
    let serving = tokio::spawn(serve(
        listener,
        app.router.clone(),
        None,
        Limits::default(),
        stop.clone(),
    ));
    for (path, status, title) in [
        ("/".to_owned(), 200, "Overview"),
        ("/live".to_owned(), 200, "Live"),
        ("/live?service=ssh&last=1h".to_owned(), 200, "Live"),
        ("/attackers".to_owned(), 200, "Attackers"),
        (format!("/attackers/{attacker}"), 200, "192.0.2.7"),
        ("/fleet".to_owned(), 200, "Fleet"),
        ("/quarantine".to_owned(), 200, "Unread lines"),
        ("/password".to_owned(), 200, "password"),
        ("/no-such-page".to_owned(), 404, "Not here"),
    ] {
        let mut readers = JoinSet::new();
        for _ in 0..READERS {
            let (path, token) = (path.clone(), token.clone());
            readers.spawn(async move { read(server, &path, &token).await });
        }
        while let Some(answer) = readers.join_next().await {
            let (got, text) = answer.unwrap();
            assert_eq!(got, status, "{path}: {text}");
            let named = text.split("<title>").nth(1);
            let named = named.and_then(|rest| rest.split("</title>").next());
            assert!(
                named.is_some_and(|named| named.contains(title)),
                "{path}: title {named:?}"
            );
            assert!(text.contains("</html>"), "{path}: cut off");
        }
    }
    stop.request();
    timeout(BOUND, serving).await.expect("the server stops").unwrap();
}
