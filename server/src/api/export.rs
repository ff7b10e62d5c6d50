//! Whole lists as files: CSV or JSON of what a list shows, page by page, so that memory does not grow with the list.
//!
//! The first page is read before anything is answered, so that a fault is told as ever. A fault after that cuts the connection: a
//! client sees that the file is not whole. An export ends with the session that asked for it. Who took what along stands in the audit
//! log.

use std::{future::Future, io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::FromRequestParts,
    http::{HeaderValue, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use decnet_domain::{Domain, DomainError, Permit};
use decnet_model::{
    ignore::IgnoreRule,
    permission::Permission,
    query::ExportFormat,
    view::{
        ApiTokenView, AttackerView, AuditView, BountyView, CommandView, DeckyView, FieldError, LogView,
        MAX_LIMIT, Page, QuarantineView, ReuseView, SessionView, TaskView, UserView, WorkerView,
    },
};
use decnet_runtime::exit::chain;
use futures::StreamExt;
use serde::{Serialize, de::DeserializeOwned};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::IntoParams;

use super::{description::PAGE_SIZE, extract::Filter};
use crate::problem::ApiError;

/// Rows of a page of an export.
pub(super) const ROWS: Option<u32> = Some(MAX_LIMIT);

/// The form of an export.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FormatQuery {
    /// `csv` where absent.
    pub format: Option<ExportFormat>,
}

/// The form of a file, and what it was asked for with: what the audit log says of it.
#[derive(Debug, Clone)]
pub struct Form {
    kind: ExportFormat,
    asked: String,
}

/// The most characters of a query that the audit log keeps.
const MAX_ASKED: usize = 512;

impl Form {
    fn new(kind: ExportFormat, filters: &str) -> Self {
        let filters: String = filters.chars().take(MAX_ASKED).collect();
        let and = if filters.is_empty() { "" } else { ", " };
        Self {
            kind,
            asked: format!("{kind}{and}{filters}"),
        }
    }

    /// With whom or what the list is about, where its filters do not say so.
    pub(super) fn of(mut self, what: impl std::fmt::Display) -> Self {
        self.asked = format!("{} of {what}", self.asked);
        self
    }
}

/// Extractor: the form of an export, and the filters of its list without the size of a page.
#[derive(Debug)]
pub struct Export<Q> {
    /// The form.
    pub format: Form,
    /// The filters.
    pub query: Q,
}

impl<Q: DeserializeOwned + IntoParams, S: Send + Sync> FromRequestParts<S> for Export<Q> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let whole = parts.uri.query().unwrap_or_default();
        let (mut format, mut rest) = (ExportFormat::Csv, Vec::new());
        let fault = |field: &str, message: &str| {
            ApiError::invalid(vec![FieldError {
                field: field.into(),
                message: message.into(),
            }])
        };
        for pair in whole.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("format", word) => {
                    format = word.parse().map_err(|_| fault("format", "csv or json"))?;
                }
                (PAGE_SIZE, _) => {
                    return Err(fault(
                        PAGE_SIZE,
                        "there is no such parameter: a file has the whole list",
                    ));
                }
                _ => rest.push(pair),
            }
        }
        let filters = rest.join("&");
        let rest = format!("/?{filters}");
        let uri: Uri = rest
            .parse()
            .map_err(|_| ApiError::malformed("the query cannot be read"))?;
        let asked = std::mem::replace(&mut parts.uri, uri);
        let query = Filter::<Q>::from_request_parts(parts, state).await;
        parts.uri = asked;
        Ok(Self {
            format: Form::new(format, &filters),
            query: query?.0,
        })
    }
}

/// A list without filters.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct NoFilter {}

/// A view as a line of CSV.
pub(super) trait Record: Serialize {
    /// The names of its cells.
    const HEAD: &'static [&'static str];
    /// Its cells, in the same order.
    fn cells(&self) -> Vec<String>;
}

fn time(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

fn time_or_none(at: Option<OffsetDateTime>) -> String {
    at.map(time).unwrap_or_default()
}

fn text<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map(T::to_string).unwrap_or_default()
}

macro_rules! records {
    ($($view:ident |$row:ident| { $($name:literal: $cell:expr),* $(,)? })*) => {$(
        impl Record for $view {
            const HEAD: &'static [&'static str] = &[$($name),*];
            fn cells(&self) -> Vec<String> {
                let $row = self;
                vec![$($cell),*]
            }
        }
    )*};
}

records! {
    LogView |row| {
        "id": row.id.0.to_string(),
        "at": time(row.at),
        "received_at": time(row.received_at),
        "decky": row.decky.clone(),
        "service": row.service.clone(),
        "event_type": row.event_type.clone(),
        "attacker_ip": text(&row.attacker_ip),
        "fields": serde_json::to_string(&row.fields).unwrap_or_default(),
        "message": row.message.clone(),
        "raw": row.raw.clone(),
    }
    AttackerView |row| {
        "id": row.id.to_string(),
        "ip": row.ip.to_string(),
        "first_seen": time(row.first_seen),
        "last_seen": time(row.last_seen),
        "event_count": row.event_count.to_string(),
        "auth_count": row.auth_count.to_string(),
        "command_count": row.command_count.to_string(),
        "credential_count": row.credential_count.to_string(),
        "bounty_count": row.bounty_count.to_string(),
        "session_count": row.session_count.to_string(),
        "deckies": row.deckies.join(" "),
        "services": row.services.join(" "),
    }
    BountyView |row| {
        "id": row.id.to_string(),
        "kind": row.kind.to_string(),
        "first_seen": time(row.first_seen),
        "last_seen": time(row.last_seen),
        "count": row.count.to_string(),
        "accepted": row.accepted.to_string(),
        "attacker_ip": row.attacker_ip.to_string(),
        "decky": row.decky.clone(),
        "service": row.service.clone(),
        "principal": text(&row.principal),
        "secret_kind": text(&row.secret_kind),
        "value": row.value.clone(),
        "log_id": row.log_id.0.to_string(),
    }
    ReuseView |row| {
        "id": row.id.to_string(),
        "principal": text(&row.principal),
        "secret_kind": row.secret_kind.clone(),
        "value": row.value.clone(),
        "deckies": row.deckies.to_string(),
        "attackers": row.attackers.to_string(),
        "first_seen": time(row.first_seen),
        "last_spread": time(row.last_spread),
    }
    CommandView |row| {
        "log_id": row.log_id.0.to_string(),
        "at": time(row.at),
        "decky": row.decky.clone(),
        "service": row.service.clone(),
        "command": row.command.clone(),
    }
    DeckyView |row| {
        "name": row.name.to_string(),
        "state": row.state.to_string(),
        "desired": row.desired.to_string(),
        "stopped": row.stopped.to_string(),
        "quarantined": row.quarantined.to_string(),
        "archetype": row.archetype.clone(),
        "distro": row.distro.clone(),
        "os": row.os.clone(),
        "hostname": row.hostname.clone(),
        "ip": row.ip.to_string(),
        "mac": row.mac.clone(),
        "services": row.services.iter().map(|s| s.slug.as_str()).collect::<Vec<_>>().join(" "),
        "engine": row.engine.clone(),
        "last_error": text(&row.last_error),
        "since": time(row.since),
        "mutate_interval_minutes": text(&row.mutate_interval_minutes),
        "last_mutation": time_or_none(row.last_mutation),
        "event_count": row.event_count.to_string(),
    }
    AuditView |row| {
        "id": row.id.to_string(),
        "at": time(row.at),
        "actor": row.actor.clone(),
        "action": row.action.clone(),
        "target": row.target.clone(),
        "from": text(&row.from),
        "result": row.result.clone(),
    }
    UserView |row| {
        "id": row.id.to_string(),
        "username": row.username.to_string(),
        "role": row.role.to_string(),
        "disabled": row.disabled.to_string(),
        "must_change_password": row.must_change_password.to_string(),
        "second_factor": row.second_factor.to_string(),
        "created_at": time(row.created_at),
        "last_login_at": time_or_none(row.last_login_at),
    }
    SessionView |row| {
        "id": row.id.to_string(),
        "started_at": time(row.started_at),
        "last_seen_at": time(row.last_seen_at),
        "expires_at": time(row.expires_at),
        "address": text(&row.address),
        "user_agent": row.user_agent.clone(),
        "current": row.current.to_string(),
    }
    ApiTokenView |row| {
        "id": row.id.to_string(),
        "name": row.name.to_string(),
        "owner": row.owner.to_string(),
        "role": row.role.to_string(),
        "created_at": time(row.created_at),
        "expires_at": time(row.expires_at),
        "last_used_at": time_or_none(row.last_used_at),
    }
    WorkerView |row| {
        "name": row.name.to_string(),
        "state": row.state.to_string(),
        "last_heard": time_or_none(row.last_heard),
        "pid": text(&row.pid),
        "version": text(&row.version),
        "uptime_s": text(&row.uptime_s),
        "tasks": serde_json::to_string(&row.tasks).unwrap_or_default(),
        "kept_by": text(&row.kept_by),
    }
    TaskView |row| {
        "id": row.id.to_string(),
        "operation": row.operation.clone(),
        "status": row.status.clone(),
        "done": row.done.to_string(),
        "total": row.total.to_string(),
        "step": row.step.clone(),
        "error": text(&row.error),
        "started_at": time(row.started_at),
        "ended_at": time_or_none(row.ended_at),
    }
    IgnoreRule |row| {
        "id": row.id.to_string(),
        "network": text(&row.lines.network),
        "decky": text(&row.lines.decky),
        "service": text(&row.lines.service),
        "event_type": text(&row.lines.event_type),
        "note": row.note.clone(),
        "created_by": row.created_by.clone(),
        "created_at": time(row.created_at),
    }
    QuarantineView |row| {
        "id": row.id.to_string(),
        "received_at": time(row.received_at),
        "segment": row.segment.to_string(),
        "offset": row.offset.to_string(),
        "why": row.why.clone(),
        "line": row.line.clone(),
    }
}

/// One line of CSV (RFC 4180). A cell that a spreadsheet would take for a formula begins with an apostrophe, so that it is text
/// (OWASP, CSV Injection): what intruders type stands in them.
fn csv_line<S: AsRef<str>>(cells: impl IntoIterator<Item = S>, out: &mut String) {
    for (n, cell) in cells.into_iter().enumerate() {
        let cell = cell.as_ref();
        out.push_str(if n > 0 { ",\"" } else { "\"" });
        if cell.starts_with([
            '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
        ]) {
            out.push('\'');
        }
        out.push_str(&cell.replace('"', "\"\""));
        out.push('"');
    }
    out.push_str("\r\n");
}

/// A page of rows, with what stands before and after it in the file.
fn written<T: Record>(
    format: ExportFormat,
    page: &Page<T>,
    first: bool,
) -> Result<String, serde_json::Error> {
    let mut out = String::new();
    match format {
        ExportFormat::Csv => {
            if first {
                csv_line(T::HEAD, &mut out);
            }
            for row in &page.data {
                csv_line(row.cells(), &mut out);
            }
        }
        ExportFormat::Json => {
            if first {
                out.push('[');
            }
            for (n, row) in page.data.iter().enumerate() {
                out.push_str(if first && n == 0 { "\n" } else { ",\n" });
                out.push_str(&serde_json::to_string(row)?);
            }
            if page.next.is_none() {
                out.push_str("\n]\n");
            }
        }
    }
    Ok(out)
}

/// The list behind `page` as a file called `name`.
pub(super) async fn file<T, P, F, Fut>(
    name: &str,
    format: Form,
    (domain, permit): (Domain, Permit<P>),
    page: F,
) -> Result<Response, ApiError>
where
    T: Record + Send + Sync + 'static,
    P: Permission,
    F: Fn(Domain, Arc<Permit<P>>, Option<String>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Page<T>, DomainError>> + Send + 'static,
{
    let Form { kind: format, asked } = format;
    let mut first = true;
    let write = move |page: &Page<T>| {
        let text = written(format, page, first);
        first = false;
        text.map_err(io::Error::other)
    };
    let (kind, ending) = form(format);
    let note = Note::new(domain, permit, name, asked);
    stream(kind, &format!("{name}.{ending}"), note, page, write).await
}

/// A list that has no pages as a file called `name`.
pub(super) async fn whole<T: Record, P: Permission>(
    name: &str,
    format: Form,
    (domain, permit): (Domain, Permit<P>),
    data: Vec<T>,
) -> Result<Response, ApiError> {
    let Form { kind: format, asked } = format;
    let page = Page {
        data,
        next: None,
        total: None,
    };
    let text = written(format, &page, true).map_err(ApiError::internal)?;
    let what = described(&asked, page.data.len());
    domain.note_download(&permit, name, &what, WHOLE).await;
    let (kind, ending) = form(format);
    attachment(kind, &format!("{name}.{ending}"), Body::from(text))
}

/// What the audit log says of a file that was sent to its end, of one that could not be, and of one whose reader went away.
const WHOLE: &str = "ok";
const CUT: &str = "cut off";
const LEFT: &str = "broken off";

/// What was taken: `csv, decky=web-01, 1203 rows`.
fn described(asked: &str, rows: usize) -> String {
    format!("{asked}, {rows} {}", if rows == 1 { "row" } else { "rows" })
}

/// An export on its way. However it ends, the audit log has it then.
struct Note<P: Permission> {
    domain: Domain,
    permit: Arc<Permit<P>>,
    list: String,
    asked: String,
    rows: usize,
    /// Nothing before the first rows: what was refused is no download.
    result: Option<&'static str>,
}

impl<P: Permission> Note<P> {
    fn new(domain: Domain, permit: Permit<P>, list: &str, asked: String) -> Self {
        Self {
            domain,
            permit: Arc::new(permit),
            list: list.to_owned(),
            asked,
            rows: 0,
            result: None,
        }
    }
}

impl<P: Permission> Drop for Note<P> {
    fn drop(&mut self) {
        let Some(result) = self.result else { return };
        let what = described(&self.asked, self.rows);
        let (domain, permit) = (self.domain.clone(), self.permit.clone());
        let list = std::mem::take(&mut self.list);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move { domain.note_download(&permit, &list, &what, result).await });
            }
            Err(_) => tracing::warn!(list, what, result, "a download outside the audit log"),
        }
    }
}

/// The media type of a form, and how the names of its files end.
fn form(format: ExportFormat) -> (&'static str, &'static str) {
    match format {
        ExportFormat::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
        ExportFormat::Json => ("application/json", "json"),
    }
}

fn attachment(kind: &'static str, name: &str, body: Body) -> Result<Response, ApiError> {
    let name = HeaderValue::try_from(format!("attachment; filename=\"decnet-{name}\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, name.map_err(ApiError::internal)?),
    ];
    Ok((headers, body).into_response())
}

/// Lines of text, one a row, of `list`, as a file called `name`.
pub(super) async fn lines<P, F, Fut>(
    list: &str,
    name: &str,
    (domain, permit): (Domain, Permit<P>),
    page: F,
) -> Result<Response, ApiError>
where
    P: Permission,
    F: Fn(Domain, Arc<Permit<P>>, Option<String>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Page<String>, DomainError>> + Send + 'static,
{
    let write = |page: &Page<String>| Ok(page.data.iter().flat_map(|line| [line.as_str(), "\n"]).collect());
    let note = Note::new(domain, permit, list, name.to_owned());
    stream("text/plain; charset=utf-8", name, note, page, write).await
}

/// What is still to come of an export.
struct Rest<P: Permission, F, W> {
    note: Note<P>,
    page: F,
    write: W,
    next: Option<String>,
}

async fn stream<T, P, F, Fut, W>(
    kind: &'static str,
    name: &str,
    mut note: Note<P>,
    page: F,
    mut write: W,
) -> Result<Response, ApiError>
where
    T: Send + Sync + 'static,
    P: Permission,
    F: Fn(Domain, Arc<Permit<P>>, Option<String>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Page<T>, DomainError>> + Send + 'static,
    W: FnMut(&Page<T>) -> io::Result<String> + Send + 'static,
{
    let beginning = page(note.domain.clone(), note.permit.clone(), None).await?;
    let text = write(&beginning).map_err(ApiError::internal)?;
    note.rows = beginning.data.len();
    note.result = Some(LEFT);
    let rest = Rest {
        note,
        page,
        write,
        next: beginning.next,
    };
    let rest = futures::stream::unfold(Some(rest), |rest: Option<Rest<P, F, W>>| async move {
        let mut rest = rest?;
        let Some(next) = rest.next.take() else {
            rest.note.result = Some(WHOLE);
            return None;
        };
        match more(&mut rest, next).await {
            Ok(text) => Some((Ok(Bytes::from(text)), Some(rest))),
            Err(error) => {
                tracing::warn!(error = chain(&error), "an export was cut off");
                rest.note.result = Some(CUT);
                Some((Err(error), None))
            }
        }
    });
    let begun = futures::stream::iter([Ok(Bytes::from(text))]);
    // What packs a body asks once more after its end.
    attachment(kind, name, Body::from_stream(begun.chain(rest).fuse()))
}

/// The text of the page at `next`.
async fn more<T, P, F, Fut, W>(rest: &mut Rest<P, F, W>, next: String) -> io::Result<String>
where
    P: Permission,
    F: Fn(Domain, Arc<Permit<P>>, Option<String>) -> Fut,
    Fut: Future<Output = Result<Page<T>, DomainError>>,
    W: FnMut(&Page<T>) -> io::Result<String>,
{
    let Note { domain, permit, .. } = &rest.note;
    if !domain.permit_holds(permit).await {
        return Err(io::Error::other("the session has ended"));
    }
    let page = (rest.page)(domain.clone(), permit.clone(), Some(next));
    let page = page.await.map_err(io::Error::other)?;
    let text = (rest.write)(&page)?;
    rest.note.rows += page.data.len();
    rest.next = page.next;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        for (cell, line) in [
            ("plain", "\"plain\""),
            ("", "\"\""),
            ("a \"b\", c\r\nd", "\"a \"\"b\"\", c\r\nd\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("\u{ff1d}1", "\"'\u{ff1d}1\""),
            ("a=1", "\"a=1\""),
        ] {
            let mut out = String::new();
            csv_line([cell, "x"], &mut out);
            assert_eq!(out, format!("{line},\"x\"\r\n"));
        }
    }
}
