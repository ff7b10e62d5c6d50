//! One answer for all who ask the same within a moment.
//!
//! Lists of evidence are the same for everybody of a role, and a busy dashboard asks for the same ones again and
//! again. The first one to ask makes the answer; who asks meanwhile waits for it, and who asks in the next half second
//! gets its bytes. A change, by this API or the dashboard, ends all moments. Whoever asks is checked first, always.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use decnet_model::permission::ViewEvidence;
use http_body_util::BodyExt as _;

use crate::{AppState, problem::ApiError, session::May};

/// The most bytes of an answer that is kept: a page of fifty rows has twenty thousand.
const MOST_BYTES: usize = 64 * 1024;
/// The most answers that are kept at a time.
const MOST_ANSWERS: usize = 128;

/// The answers of this moment. A copy has the same ones.
#[derive(Clone)]
pub(crate) struct Shared {
    state: AppState,
    answers: Arc<Mutex<HashMap<String, Slot>>>,
}

/// The answer to one question: whoever holds the lock makes it.
type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

#[derive(Clone)]
struct Kept {
    made: Instant,
    /// How many changes there had been before it was made.
    changes: u64,
    headers: HeaderMap,
    body: Bytes,
}

impl Shared {
    pub(crate) fn new(state: &AppState) -> Self {
        Self {
            state: state.clone(),
            answers: Arc::default(),
        }
    }

    fn good_for(&self) -> Duration {
        self.state.config.answers_good_for
    }

    fn slot(&self, question: &str) -> Slot {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = answers.get(question) {
            return slot.clone();
        }
        if answers.len() >= MOST_ANSWERS {
            let good_for = self.good_for();
            // One that is being made is in use.
            answers.retain(|_, slot| {
                slot.try_lock().map_or(true, |kept| {
                    kept.as_ref().is_some_and(|kept| kept.made.elapsed() < good_for)
                })
            });
        }
        let slot = Slot::default();
        if answers.len() < MOST_ANSWERS {
            answers.insert(question.to_owned(), slot.clone());
        }
        slot
    }
}

/// Middleware of lists that everybody who may see evidence sees alike.
pub(crate) async fn answer(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if request.method() != Method::GET || shared.good_for().is_zero() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let role = match May::<ViewEvidence>::of(&parts, &shared.state).await {
        Ok(may) => may.permit.actor().role(),
        Err(refused) => return refused.into_response(),
    };
    // Of the deckies some are told more than others.
    let asked = parts.uri.path_and_query();
    let question = format!("{role} {}", asked.map_or("/", |asked| asked.as_str()));
    let slot = shared.slot(&question);
    let mut kept = slot.lock().await;
    let changes = shared.state.domain.changes();
    if let Some(kept) = kept.as_ref()
        && kept.changes == changes
        && kept.made.elapsed() < shared.good_for()
    {
        return (kept.headers.clone(), kept.body.clone()).into_response();
    }
    let answer = next.run(Request::from_parts(parts, body)).await;
    let (head, body) = answer.into_parts();
    if head.status != StatusCode::OK {
        return Response::from_parts(head, body);
    }
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return ApiError::internal(error).into_response(),
    };
    *kept = (body.len() <= MOST_BYTES).then(|| Kept {
        made: Instant::now(),
        changes,
        headers: head.headers.clone(),
        body: body.clone(),
    });
    Response::from_parts(head, Body::from(body))
}
