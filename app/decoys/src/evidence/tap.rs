//! The only way to report: a [`Tap`] stamps who, where and when on every event and writes it as one RFC 5424 line.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
};

use decnet_model::{
    clock::SharedClock,
    event::{Event, Field, field},
};
use rand::Rng as _;

use super::{
    artifact::{Artifacts, Capture},
    sink::Sink,
};

/// What all taps of one decky share.
pub struct Evidence {
    /// Where lines go.
    pub sink: Arc<Sink>,
    /// Where captured files go.
    pub artifacts: Arc<Artifacts>,
    /// What stamps the time.
    pub clock: SharedClock,
    /// The decky's name: the host name of every line.
    pub decky: String,
}

/// Reports what one visitor of one service does. Cheap to clone; every clone reports for the same session.
#[derive(Clone)]
pub struct Tap {
    scope: Arc<Scope>,
}

struct Scope {
    evidence: Arc<Evidence>,
    service: Arc<str>,
    visit: Option<Visit>,
    /// Bytes of files captured in this session.
    captured: AtomicU64,
}

struct Visit {
    session: String,
    src: String,
    src_port: u16,
    dst_port: u16,
}

impl Tap {
    /// A tap for what a service does by itself: it has no session and no peer.
    #[must_use]
    pub fn of_service(evidence: &Arc<Evidence>, service: impl Into<Arc<str>>) -> Self {
        Self::with(evidence, service.into(), None)
    }

    /// A tap for a new session: a visitor from `src` that reached `dst`.
    #[must_use]
    pub fn of_session(
        evidence: &Arc<Evidence>,
        service: impl Into<Arc<str>>,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> Self {
        Self::of_known_session(evidence, service, src, dst, rand::rng().random())
    }

    /// [`Self::of_session`] with an id that is known before: for evidence that has to come out alike each time.
    #[must_use]
    pub fn of_known_session(
        evidence: &Arc<Evidence>,
        service: impl Into<Arc<str>>,
        src: SocketAddr,
        dst: SocketAddr,
        session: u64,
    ) -> Self {
        let visit = Visit {
            session: format!("{session:016x}"),
            // An IPv4 visitor of a dual-stack socket is an IPv4 visitor.
            src: src.ip().to_canonical().to_string(),
            src_port: src.port(),
            dst_port: dst.port(),
        };
        Self::with(evidence, service.into(), Some(visit))
    }

    fn with(evidence: &Arc<Evidence>, service: Arc<str>, visit: Option<Visit>) -> Self {
        Self {
            scope: Arc::new(Scope {
                evidence: Arc::clone(evidence),
                service,
                visit,
                captured: AtomicU64::new(0),
            }),
        }
    }

    /// The session's id, 16 hex digits; empty for a tap of a service.
    #[must_use]
    pub fn session_id(&self) -> &str {
        self.scope.visit.as_ref().map_or("", |visit| &visit.session)
    }

    /// The visitor's address; empty for a tap of a service.
    #[must_use]
    pub fn source(&self) -> &str {
        self.scope.visit.as_ref().map_or("", |visit| &visit.src)
    }

    /// Slug of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.scope.service
    }

    /// The clock that stamps events.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.scope.evidence.clock
    }

    /// Ready while the visitor may be answered ([`Sink::poll_room`]).
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.scope.evidence.sink.poll_room(cx)
    }

    /// Report `event`: its line has been handed to the operating system when this returns.
    pub fn emit(&self, event: Event<'_>) {
        let mut fields: Vec<Field<'_>> = Vec::with_capacity(12);
        let (src_port, dst_port);
        if let Some(visit) = &self.scope.visit {
            src_port = visit.src_port.to_string();
            dst_port = visit.dst_port.to_string();
            fields.push((Cow::Borrowed(field::SRC), Cow::Borrowed(&visit.src)));
            fields.push((Cow::Borrowed(field::SRC_PORT), Cow::Borrowed(&src_port)));
            fields.push((Cow::Borrowed(field::DST_PORT), Cow::Borrowed(&dst_port)));
            fields.push((Cow::Borrowed(field::SESSION), Cow::Borrowed(&visit.session)));
        }
        fields.extend(event.fields());
        let head = decnet_syslog::LineHead {
            severity: decnet_syslog::Severity::Info,
            timestamp: self.scope.evidence.clock.now(),
            hostname: &self.scope.evidence.decky,
            app_name: &self.scope.service,
            msgid: event.kind().as_str(),
        };
        let mut line = Vec::with_capacity(512);
        decnet_syslog::format_line(&head, fields, "", &mut line);
        self.scope.evidence.sink.write_line(&line);
    }

    /// Begin to keep a file that the visitor leaves at `path` (its own words, never used as a path) as `user`.
    /// Give its bytes to the capture as they come; `via` says how it came: `stor`, `sftp`, `redirect` …
    #[must_use]
    pub fn artifact(&self, path: &[u8], via: &'static str, user: &[u8]) -> Capture {
        Capture::begin(self.clone(), path, via, user)
    }

    pub(super) fn artifacts(&self) -> &Arc<Artifacts> {
        &self.scope.evidence.artifacts
    }

    pub(super) fn captured_bytes(&self) -> &AtomicU64 {
        &self.scope.captured
    }
}
