//! The server under test, and a client for it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, HeaderName, Method, Request, StatusCode, header},
};
use decnet_bus::Bus;
use decnet_db::Store;
use decnet_domain::{Actor, Domain, Options};
use decnet_model::{
    clock::{Clock, ManualClock},
    permission::ManageUsers,
    state::Role,
    view::UserView,
};
use decnet_runtime::Shutdown;
use decnet_server::{AppState, Config, throttle::Throttle, ui};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const PASSWORD: &str = "blue-otter-41-canoe";
/// What its sessions are signed with, and what it seals second factors with.
pub(crate) const JWT_SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
pub(crate) const TOTP_KEY: &str = "zyxwvutsrqponmlkjihgfedcba9876543210";

/// A server with a database of its own.
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) domain: Domain,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) shutdown: Shutdown,
    background: tokio::task::JoinHandle<()>,
    pub(crate) site_root: std::path::PathBuf,
    ingested: AtomicU64,
    _dir: tempfile::TempDir,
}

impl Drop for App {
    fn drop(&mut self) {
        self.background.abort();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {:?} {:?}", self.status, self.text))
    }

    /// The stable part of a problem's type, after looking that the whole has the shape of a problem.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(
            problem["title"].is_string() && problem["detail"].is_string(),
            "{problem}"
        );
        problem["type"]
            .as_str()
            .unwrap()
            .strip_prefix("/problems/")
            .unwrap()
            .to_owned()
    }

    /// The fields that a 422 names.
    pub(crate) fn fields(&self) -> Vec<String> {
        assert_eq!(
            (self.status, self.problem().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            "{self:?}"
        );
        self.json()["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["field"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A request in the making.
pub(crate) struct Ask<'a> {
    app: &'a App,
    request: axum::http::request::Builder,
    peer: SocketAddr,
    body: Body,
}

impl Ask<'_> {
    pub(crate) fn token(self, token: &str) -> Self {
        self.header(header::AUTHORIZATION, &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn from(mut self, ip: &str) -> Self {
        self.peer = SocketAddr::new(ip.parse().unwrap(), 40_000);
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        let mut ask = self.header(header::CONTENT_TYPE, "application/json");
        ask.body = Body::from(body.to_string());
        ask
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn open(self) -> axum::response::Response {
        let request = self
            .request
            .extension(ConnectInfo(self.peer))
            .body(self.body)
            .unwrap();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = self.app.router.clone().oneshot(request).await.unwrap();
        assert_described(&method, &path, answer.status());
        answer
    }

    pub(crate) async fn send(self) -> Answer {
        let (parts, body) = self.open().await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.into()).unwrap(),
        }
    }
}

/// Every answer of the API in any test is one that its description tells of.
fn assert_described(method: &Method, path: &str, status: StatusCode) {
    static PATHS: LazyLock<Value> = LazyLock::new(|| decnet_server::api::document()["paths"].clone());
    let fits = |template: &str| {
        let (there, here): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        there.len() == here.len()
            && there
                .iter()
                .zip(here)
                .all(|(there, here)| there.starts_with('{') || *there == here)
    };
    let described = PATHS
        .as_object()
        .unwrap()
        .iter()
        .filter(|(template, _)| fits(template));
    // A path without a variable part is meant before one that has one.
    let Some((_, methods)) = described.min_by_key(|(template, _)| template.matches('{').count()) else {
        return;
    };
    if let Some(operation) = methods.get(method.as_str().to_lowercase()) {
        assert!(
            operation["responses"].get(status.as_str()).is_some(),
            "{method} {path} answers {status}, which its description does not tell"
        );
    }
}

impl App {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default(), |_| {}).await
    }

    pub(crate) async fn with(options: Options, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_bus(Bus::fake(), options, change).await
    }

    pub(crate) async fn with_bus(bus: Bus, options: Options, change: impl FnOnce(&mut Config)) -> Self {
        Self::begin(tempfile::tempdir().unwrap(), bus, options, change).await
    }

    /// With its database on this disk.
    pub(crate) async fn on(disk: &std::path::Path, options: Options) -> Self {
        let dir = tempfile::tempdir_in(disk).unwrap();
        Self::begin(dir, Bus::fake(), options, |_| {}).await
    }

    async fn begin(
        dir: tempfile::TempDir,
        bus: Bus,
        options: Options,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let url = format!("sqlite://{}", dir.path().join("decnet.db").display());
        let store = Store::connect(&decnet_db::Options::new(url)).await.unwrap();
        store.migrate().await.unwrap();
        let start = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let options = Options {
            jwt_secret: Some(JWT_SECRET.to_owned().into()),
            second_factor_key: Some(TOTP_KEY.to_owned().into()),
            ..options
        };
        let domain = Domain::new(store.clone(), bus.clone(), clock.clone(), options).unwrap();
        let mut config = Config {
            public_url: "http://decnet.test:8080".into(),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            show_causes: false,
            answers_good_for: std::time::Duration::ZERO,
            site_root: dir.path().join("site"),
        };
        change(&mut config);
        let shutdown = Shutdown::new();
        let state = AppState {
            domain: domain.clone(),
            config: Arc::new(config),
            shutdown: shutdown.clone(),
        };
        let router = ui::router(&state, &Throttle::default()).unwrap();
        let background = tokio::spawn({
            let domain = domain.clone();
            async move { domain.background().await }
        });
        Self {
            router,
            domain,
            store,
            bus,
            clock,
            shutdown,
            background,
            site_root: dir.path().join("site"),
            ingested: AtomicU64::new(0),
            _dir: dir,
        }
    }

    /// Ends what goes on beside the requests: what is read from now on is read for them.
    pub(crate) async fn rest(&self) {
        self.background.abort();
        while !self.background.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let uri = if is_whole(path) {
            path.to_owned()
        } else {
            format!("/api/v1{path}")
        };
        self.at(method, &uri)
    }

    /// A request of a page.
    pub(crate) fn page(&self, path: &str) -> Ask<'_> {
        self.at(Method::GET, path)
    }

    /// A request of exactly this address.
    pub(crate) fn at(&self, method: Method, uri: &str) -> Ask<'_> {
        Ask {
            app: self,
            request: Request::builder()
                .method(method)
                .uri(uri)
                .header(header::HOST, "decnet.test:8080"),
            peer: "198.51.100.1:40000".parse().unwrap(),
            body: Body::empty(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Ask<'_> {
        self.ask(Method::POST, path).json(body)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Ask<'_> {
        self.ask(Method::PUT, path).json(body)
    }

    pub(crate) fn login(&self, name: &str, password: &str) -> Ask<'_> {
        self.post("/auth/login", &json!({ "username": name, "password": password }))
    }

    /// An account that must change its password, as an administrator makes it.
    pub(crate) async fn fresh_user(&self, name: &str, role: Role) -> UserView {
        let permit = self
            .domain
            .permit::<ManageUsers>(&Actor::operator("test"))
            .unwrap();
        let password = format!("{PASSWORD}-0").into();
        self.domain
            .user_create(&permit, name.parse().unwrap(), &password, role)
            .await
            .unwrap()
    }

    /// An account that works, and a token of it.
    pub(crate) async fn user(&self, name: &str, role: Role) -> (UserView, String) {
        let user = self.fresh_user(name, role).await;
        let first = token(&self.login(name, &format!("{PASSWORD}-0")).send().await);
        let change = json!({ "old_password": format!("{PASSWORD}-0"), "new_password": PASSWORD });
        let changed = self
            .post("/auth/change-password", &change)
            .token(&first)
            .send()
            .await;
        (user, token(&changed))
    }

    pub(crate) async fn admin(&self) -> String {
        self.user("root", Role::Admin).await.1
    }

    /// Store a line of evidence, as the ingester does.
    pub(crate) async fn ingest(&self, decky: &str, fields: &[(&str, &str)], kind: &str) {
        self.ingest_times(1, decky, fields, kind).await;
    }

    /// Store it so many times.
    pub(crate) async fn ingest_times(&self, times: usize, decky: &str, fields: &[(&str, &str)], kind: &str) {
        let escape = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
        let fields: String = fields
            .iter()
            .map(|(k, v)| format!(" {k}=\"{}\"", escape(v)))
            .collect();
        let at = self.clock.now();
        let stamp = at.format(&time::format_description::well_known::Rfc3339).unwrap();
        let line = format!("<134>1 {stamp} {decky} ssh - {kind} [relay@55555{fields}]");
        let mut batch = self.next_batch();
        let line = decnet_db::meaning::read(line.as_bytes(), at).unwrap();
        batch.lines = vec![line; times];
        self.store.ingest_batch(&batch).await.unwrap();
    }

    /// Store a line that did not become evidence.
    pub(crate) async fn quarantine(&self, raw: &[u8], why: &str) {
        let mut batch = self.next_batch();
        batch.quarantine.push(decnet_db::ingest::Unreadable {
            raw: raw.to_vec(),
            why: why.to_owned(),
            end: batch.to,
            received_at: self.clock.now(),
        });
        self.store.ingest_batch(&batch).await.unwrap();
    }

    fn next_batch(&self) -> decnet_db::ingest::Batch {
        let n = self.ingested.fetch_add(1, Ordering::SeqCst);
        let position = |offset| serde_json::from_value(json!({ "segment": 0, "offset": offset })).unwrap();
        decnet_db::ingest::Batch {
            reader: "test".into(),
            from: position(n),
            to: position(n + 1),
            lines: Vec::new(),
            quarantine: Vec::new(),
            ignored: 0,
        }
    }
}

/// Whether a path stands for itself; the others are the API's.
fn is_whole(path: &str) -> bool {
    ["/api/", "/ui/", "/pkg/", "/login", "/../", "/%2e"]
        .iter()
        .any(|start| path.starts_with(start))
        || path == "/"
}

/// The token of a session that just began.
pub(crate) fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}
