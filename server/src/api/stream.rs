//! Live events as server-sent events (WHATWG HTML, section 9.2).

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use decnet_model::{
    id::LogId,
    permission::ViewEvidence,
    view::{StreamBody, StreamEvent},
};
use futures::{Stream, StreamExt};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::Filter;
use crate::{AppState, problem::ApiError, session::May};

/// How often a silent stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where a stream goes on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Resume {
    /// Go on after this event, where `Last-Event-ID` names none: a browser sends that only when it opens the same stream again.
    #[param(minimum = 0)]
    after: Option<u64>,
}

/// Live events: a snapshot first, then what changes. With `Last-Event-ID`, or `after`, the log rows that were missed and whom they are
/// about come before it, and no rows in it. The envelope is `{v, type, ts, payload}`; an event's id is the newest log row that the stream
/// has told of. An id that no row has had yet, or that is too long ago, is none to go on after. `forgotten` says that all evidence was
/// deleted. `attackers` tells who did something at once, and again before `profiled` says that their visits, fingerprints and what they use
/// again are known, too. A stream that has nothing to tell sends an event named `tick` every 15 s.
#[utoipa::path(
    get, path = "/stream", tag = "stream",
    params(("Last-Event-ID" = Option<String>, Header, description = "Go on after this event"), Resume),
    responses((status = 200, body = String, content_type = "text/event-stream", description = "The events, until the session ends"))
)]
pub async fn open(
    State(state): State<AppState>,
    May { domain, permit }: May<ViewEvidence>,
    Filter(Resume { after }): Filter<Resume>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // What is no id of ours cannot be resumed from: such a stream begins anew. The header is the later of the two: what a browser sends
    // that opens this stream again after it broke.
    let resume = headers
        .get("last-event-id")
        .and_then(|v| v.to_str().ok()?.parse().ok())
        .or_else(|| i64::try_from(after?).ok())
        .map(LogId);
    let events = domain.stream(&permit, resume).await?;
    let shutdown = state.shutdown.clone();
    let until_stopped = async move { shutdown.requested().await };
    let events = encode(events.take_until(Box::pin(until_stopped)), resume);
    let mut response = Sse::new(events).keep_alive(keep_alive()).into_response();
    // Proxies that collect an answer before they hand it on would hold events back.
    response
        .headers_mut()
        .insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

/// What a silent stream sends. A named event, because a browser shows no comments to a page, which could not tell a quiet stream
/// from a dead one then; who takes only unnamed events does not see it either.
fn keep_alive() -> KeepAlive {
    let tick = Event::default().comment("").event("tick").data("{}");
    KeepAlive::new().interval(KEEP_ALIVE).event(tick)
}

/// Events as they go over the wire.
fn encode(
    events: impl Stream<Item = StreamEvent>,
    resume: Option<LogId>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut newest = resume;
    let mut begun = false;
    events.filter_map(move |event| {
        newest = match &event.body {
            // It begins anew: what it was to go on after may be an id that there never was. One that goes on begins otherwise.
            body @ StreamBody::Snapshot(_) if !begun => newest_log(body),
            body => newest.max(newest_log(body)),
        };
        begun = true;
        let written = Event::default().json_data(&event);
        let written = match written {
            Ok(event) => Some(Ok(match newest {
                Some(id) => event.id(id.0.to_string()),
                None => event,
            })),
            Err(error) => {
                tracing::error!(%error, "an event of the stream has no JSON form");
                None
            }
        };
        std::future::ready(written)
    })
}

fn newest_log(body: &StreamBody) -> Option<LogId> {
    match body {
        StreamBody::Snapshot(snapshot) => {
            let shown = snapshot.logs.iter().map(|row| row.id).max();
            Some(shown.unwrap_or(snapshot.forgotten))
        }
        StreamBody::Logs(rows) => rows.iter().map(|row| row.id).max(),
        StreamBody::Forgotten { up_to } => Some(*up_to),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_news_says_that_it_lives_in_an_event_that_a_page_sees() {
        let silent = futures::stream::pending::<Result<Event, Infallible>>();
        let mut body = Sse::new(silent)
            .keep_alive(keep_alive())
            .into_response()
            .into_body();
        for _ in 0..2 {
            let frame = body.frame().await.unwrap().unwrap();
            let text = std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
            assert_eq!(text, ": \nevent: tick\ndata: {}\n\n");
        }
    }
}
