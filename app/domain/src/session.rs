//! Who is behind a token, remembered for ten seconds (longer while the database is away) and forgotten at once when the user changes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use decnet_db::{ApiTokenRow, TokenDigest, UserRow};
use decnet_model::id::{ApiTokenId, TokenId, UserId};
use time::OffsetDateTime;
use tokio::sync::broadcast;

/// How long a user is taken for unchanged without asking the database.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// How long one is remembered for while the database cannot be asked.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
/// The least time between two notes of a session's use.
const GRAIN: time::Duration = time::Duration::minutes(1);
/// Sessions over which expired ones are cleared away.
const SWEEP_OVER: usize = 1024;

/// What ends sessions and streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The user's password, role or state changed, or the user is gone.
    User(UserId),
    /// Some sessions of the user ended, or what is asked of them changed: each is looked at again.
    Access(UserId),
    /// Somebody signed out.
    Token(TokenId),
    /// An API token was revoked.
    ApiToken(ApiTokenId),
    /// Another process changed some user.
    Anybody,
}

/// The sessions that were looked up lately.
pub(crate) struct Sessions {
    known: Mutex<Known>,
    changes: broadcast::Sender<Change>,
}

#[derive(Default)]
struct Known {
    by_token: HashMap<TokenId, (Instant, UserRow)>,
    by_digest: HashMap<TokenDigest, (Instant, (ApiTokenRow, UserRow))>,
    /// When the use of a session was last noted.
    noted: HashMap<TokenId, OffsetDateTime>,
    /// Counts changes, so that what was read before one is not remembered after it.
    epoch: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            changes: broadcast::channel(64).0,
        }
    }
}

impl Sessions {
    /// The user of `token`, where it was looked up lately.
    pub(crate) fn get(&self, token: TokenId) -> Option<UserRow> {
        self.seen_within(GOOD_FOR, token)
    }

    /// The user of `token`, where it was looked up within the hour and nothing is known to have changed since: for what is told while the
    /// database does not answer, and for nothing that is done.
    pub(crate) fn remembered(&self, token: TokenId) -> Option<UserRow> {
        self.seen_within(REMEMBERED_FOR, token)
    }

    fn seen_within(&self, time: Duration, token: TokenId) -> Option<UserRow> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, user) = known.by_token.get(&token)?;
        (at.elapsed() < time).then(|| user.clone())
    }

    /// As if `time` had passed since each was looked up.
    #[cfg(test)]
    pub(crate) fn age(&self, time: Duration) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, _) in known.by_token.values_mut() {
            *at = at.checked_sub(time).unwrap();
        }
    }

    /// What [`Sessions::put`] wants back: taken before the database is asked.
    pub(crate) fn epoch(&self) -> u64 {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).epoch
    }

    /// Remember `user`, unless something changed since `epoch`.
    pub(crate) fn put(&self, token: TokenId, user: UserRow, epoch: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.epoch != epoch {
            return;
        }
        if known.by_token.len() >= SWEEP_OVER {
            known.by_token.retain(|_, (at, _)| at.elapsed() < GOOD_FOR);
        }
        known.by_token.insert(token, (Instant::now(), user));
    }

    /// Whether the use of a session at `now` is to be noted; from then on it counts as noted.
    pub(crate) fn is_note_due(&self, token: TokenId, now: OffsetDateTime) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lately = |at: &OffsetDateTime| (now - *at).abs() < GRAIN;
        if known.noted.get(&token).is_some_and(is_lately) {
            return false;
        }
        if known.noted.len() >= SWEEP_OVER {
            known.noted.retain(|_, at| is_lately(at));
        }
        known.noted.insert(token, now);
        true
    }

    /// The API token with that digest and its owner, where it was looked up lately.
    pub(crate) fn api_token(&self, digest: &TokenDigest) -> Option<(ApiTokenRow, UserRow)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, token) = known.by_digest.get(digest)?;
        (at.elapsed() < GOOD_FOR).then(|| token.clone())
    }

    /// Remember an API token, unless something changed since `epoch`.
    pub(crate) fn put_api_token(&self, digest: TokenDigest, token: (ApiTokenRow, UserRow), epoch: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.epoch != epoch {
            return;
        }
        if known.by_digest.len() >= SWEEP_OVER {
            known.by_digest.retain(|_, (at, _)| at.elapsed() < GOOD_FOR);
        }
        known.by_digest.insert(digest, (Instant::now(), token));
    }

    /// An API token was used at `now`.
    pub(crate) fn api_token_used(&self, digest: &TokenDigest, now: OffsetDateTime) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, (token, _))) = known.by_digest.get_mut(digest) {
            token.last_used_at = Some(now);
        }
    }

    /// Forget whom `change` is about, and tell the streams.
    pub(crate) fn changed(&self, change: Change) {
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.epoch += 1;
            match change {
                Change::User(id) | Change::Access(id) => {
                    known.by_token.retain(|_, (_, user)| user.id != id);
                    known.by_digest.retain(|_, (_, (_, owner))| owner.id != id);
                }
                Change::Token(token) => {
                    known.by_token.remove(&token);
                }
                Change::ApiToken(id) => known.by_digest.retain(|_, (_, (token, _))| token.id != id),
                Change::Anybody => {
                    known.by_token.clear();
                    known.by_digest.clear();
                }
            }
        }
        // Nobody may be listening; that is not a fault.
        self.changes.send(change).ok();
    }

    /// Every change from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}
