//! Passwords: drawing them, and hashing them without slowing anything else down. Which ones are allowed is a rule of
//! [`decnet_model::password`], which the configuration keeps, too.
//!
//! Hashing is argon2id (RFC 9106) with 19 MiB, two passes and one lane, the least that OWASP's password storage
//! cheat sheet recommends. It runs on threads of its own, no more than half of the machine's cores, which run when nothing else
//! wants to; who does not get a place in the short queue is told so at once. So a login storm costs the attacker and not the
//! other requests. On a machine that is busy for seconds such a thread would hardly run, and nobody could sign in: then one
//! more takes part that only stands back.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};
use decnet_model::password::PasswordFault;
use secrecy::{ExposeSecret, SecretString};
use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
use tokio::sync::{Semaphore, oneshot};

use crate::DomainError;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// How far the thread stands back that sees to what has waited (nice(2)).
const NICE: i32 = 19;
/// How long a hash may wait for a thread that runs when nothing else wants to: longer than the queue takes on a machine that is not busy.
const IDLE_PATIENCE: Duration = Duration::from_secs(3);
/// How long the memory of hashes is kept for the next one: one login after another does not ask for it anew.
const KEPT: Duration = Duration::from_secs(1);
/// Hashes that may wait for each one that is being computed: about a second of waiting.
const WAITING_PER_CORE: usize = 32;

/// Check a new password of `user`.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn check(password: &SecretString, user: &str) -> Result<(), PasswordFault> {
    decnet_model::password::check(password.expose_secret(), user)
}

/// Give back to the system what hashes needed: 19 MiB for each thread that ever computed one, which the C library's allocator keeps.
fn give_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "one call of the C library, which takes a number")]
    // SAFETY: it looks at free memory only, under the allocator's own locks.
    let _whether_there_was_any = unsafe { nix::libc::malloc_trim(0) };
}

type Job = Box<dyn FnOnce() + Send>;

/// Computes hashes within bounds.
pub(crate) struct Hasher {
    argon2: Argon2<'static>,
    queue: Arc<Queue>,
    places: Arc<Semaphore>,
    /// What a login of an unknown user is checked against, so that it takes as long as any other.
    dummy: String,
    /// How many it was given to compute: tests hold by it what may not be told apart by time.
    #[cfg(test)]
    computed: std::sync::atomic::AtomicUsize,
}

impl Hasher {
    pub(crate) fn new(parallelism: usize) -> Result<Self, DomainError> {
        const DOING: &str = "setting up the password hash";
        let parallelism = parallelism.max(1);
        let params =
            Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| DomainError::internal(DOING, e))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = argon2
            .hash_password(uuid::Uuid::new_v4().as_bytes())
            .map_err(|e| DomainError::internal(DOING, e))?
            .to_string();
        let queue = Arc::new(Queue::default());
        queue.computed();
        let start = |life: fn(&Queue)| {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name("passwords".to_owned())
                .spawn(move || life(&queue))
                .map_err(|e| DomainError::internal(DOING, e))
        };
        for _ in 0..parallelism {
            start(when_idle)?;
        }
        start(what_has_waited)?;
        Ok(Self {
            argon2,
            queue,
            places: Arc::new(Semaphore::new(parallelism * (1 + WAITING_PER_CORE))),
            dummy,
            #[cfg(test)]
            computed: std::sync::atomic::AtomicUsize::new(0),
        })
    }

    #[cfg(test)]
    pub(crate) fn computed(&self) -> usize {
        self.computed.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Hash a new password, as a PHC string with its salt and parameters.
    pub(crate) async fn hash(&self, password: &SecretString) -> Result<String, DomainError> {
        let (argon2, password) = (self.argon2.clone(), password.clone());
        self.run("hashing a password", move || {
            argon2
                .hash_password(password.expose_secret().as_bytes())
                .map(|hash| hash.to_string())
        })
        .await?
        .map_err(|e| DomainError::internal("hashing a password", e))
    }

    /// Whether `password` is the one that `stored` was made from. Takes as long where there is no `stored`.
    pub(crate) async fn verify(
        &self,
        password: &SecretString,
        stored: Option<&str>,
    ) -> Result<bool, DomainError> {
        let known = stored.is_some();
        let (argon2, password) = (self.argon2.clone(), password.clone());
        let stored = stored.unwrap_or(&self.dummy).to_owned();
        let same = self
            .run("checking a password", move || {
                PasswordHash::new(&stored).map(|hash| {
                    argon2
                        .verify_password(password.expose_secret().as_bytes(), &hash)
                        .is_ok()
                })
            })
            .await?
            .map_err(|e| DomainError::internal("reading a stored password hash", e.to_string()))?;
        Ok(same && known)
    }

    /// Whether `stored` was made with other parameters than today's.
    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        PasswordHash::new(stored).map_or(true, |hash| {
            hash.algorithm != Algorithm::Argon2id.ident()
                || Params::try_from(&hash).map_or(true, |p| {
                    (p.m_cost(), p.t_cost(), p.p_cost()) != (MEMORY_KIB, PASSES, LANES)
                })
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DomainError> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(DomainError::Busy {
                retry_after: Duration::from_secs(2),
            });
        };
        #[cfg(test)]
        self.computed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let (done, answer) = oneshot::channel();
        // The place stays taken until the hash is computed, even when the request is given up meanwhile.
        let job = move || {
            let _unwanted = done.send(work());
            drop(place);
        };
        self.queue.push(Box::new(job));
        answer.await.map_err(|e| DomainError::internal(operation, e))
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Hashes to compute, oldest first.
#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    rings: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<(Instant, Job)>,
    closed: bool,
    /// Whether a hash was computed since memory was given back.
    computed: bool,
}

impl Queue {
    fn push(&self, job: Job) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.jobs.push_back((Instant::now(), job));
        drop(state);
        self.rings.notify_all();
    }

    fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.rings.notify_all();
    }

    /// Say that a hash was computed.
    fn computed(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).computed = true;
    }

    /// The next job, once it has waited for so long; none once the queue is closed.
    fn next(&self, waited: Duration) -> Option<Job> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.closed {
            let due = state
                .jobs
                .front()
                .map(|(since, _)| waited.saturating_sub(since.elapsed()));
            state = match due {
                Some(Duration::ZERO) => return state.jobs.pop_front().map(|(_, job)| job),
                Some(rest) => {
                    let waited = self.rings.wait_timeout(state, rest);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None if state.computed => {
                    let waited = self.rings.wait_timeout(state, KEPT);
                    let (mut state, end) = waited.unwrap_or_else(PoisonError::into_inner);
                    if end.timed_out() && std::mem::take(&mut state.computed) {
                        give_back();
                    }
                    state
                }
                None => self.rings.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        None
    }
}

/// The life of a thread that computes hashes when nothing else wants to run (`SCHED_IDLE` of sched(7)).
fn when_idle(queue: &Queue) {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let thread = thread_priority::thread_native_id();
    if let Err(error) = thread_priority::set_thread_priority_and_policy(thread, ThreadPriority::Min, policy) {
        tracing::warn!(%error, "a thread that hashes passwords does not give way to all else");
    }
    while let Some(job) = queue.next(Duration::ZERO) {
        job();
        queue.computed();
    }
}

/// The life of the thread that computes hashes for which nobody had the time.
fn what_has_waited(queue: &Queue) {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::warn!(%error, "a thread that hashes passwords runs with full priority");
    }
    while let Some(job) = queue.next(IDLE_PATIENCE) {
        job();
        queue.computed();
    }
}

/// A password that cannot be guessed: 120 bits in letters and digits that cannot be taken for each other.
#[must_use]
pub fn generate() -> SecretString {
    const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789X";
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let mut text = String::with_capacity(29);
    // Bytes 6 and 8 of a random UUID carry its version: they are left out.
    let random = a
        .as_bytes()
        .iter()
        .chain(b.as_bytes())
        .enumerate()
        .filter(|(n, _)| !matches!(n % 16, 6 | 8));
    for (n, (_, byte)) in random.take(24).enumerate() {
        if n > 0 && n % 6 == 0 {
            text.push('-');
        }
        text.extend(ALPHABET.get(usize::from(byte % 32)).map(|b| char::from(*b)));
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use decnet_model::password::MAX_PASSWORD;

    use super::*;

    #[test]
    fn a_password_that_is_drawn_is_allowed() {
        assert_eq!(check(&generate(), "admin"), Ok(()));
    }

    #[tokio::test]
    async fn the_last_character_of_the_longest_password_counts() {
        let hasher = Hasher::new(2).unwrap();
        let long = "é".repeat(MAX_PASSWORD - 1);
        let hash = hasher.hash(&format!("{long}a").into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(
            hasher
                .verify(&format!("{long}a").into(), Some(&hash))
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(&format!("{long}b").into(), Some(&hash))
                .await
                .unwrap()
        );
        assert!(!hasher.verify(&"anything".to_owned().into(), None).await.unwrap());
        assert!(!hasher.is_outdated(&hash));
        assert!(hasher.is_outdated(&hash.replace("m=19456", "m=8192")));
        assert!(
            !hasher.is_outdated(&hasher.dummy),
            "an unknown user's takes as long"
        );
    }

    #[test]
    fn what_has_waited_too_long_is_not_left_to_a_thread_that_does_not_run() {
        let queue = Queue::default();
        let (done, told) = std::sync::mpsc::channel();
        for n in 0..2 {
            let done = done.clone();
            queue.push(Box::new(move || done.send(n).unwrap()));
        }
        let patience = Duration::from_millis(50);
        let began = Instant::now();
        for n in 0..2 {
            queue.next(patience).unwrap()();
            assert_eq!(told.try_recv(), Ok(n));
        }
        assert!(began.elapsed() >= patience);
        queue.close();
        assert!(queue.next(Duration::ZERO).is_none());
    }

    #[tokio::test]
    async fn a_storm_is_turned_away_and_not_queued_without_end() {
        let hasher = Arc::new(Hasher::new(1).unwrap());
        let storm: Vec<_> = (0..200)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.verify(&"wrong".to_owned().into(), None).await })
            })
            .collect();
        let mut refused = 0;
        for one in storm {
            refused += usize::from(matches!(one.await.unwrap(), Err(DomainError::Busy { .. })));
        }
        assert_eq!(refused, 200 - (1 + WAITING_PER_CORE));
    }
}
