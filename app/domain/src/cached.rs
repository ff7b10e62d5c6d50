//! What is expensive to make, made once for however many ask at the same time: [`Cached`] one value, which is kept for a while, [`Together`]
//! the answers to many questions, of which none is kept.

use std::{
    collections::HashMap,
    future::Future,
    sync::{self, Arc, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

/// A value that is good for some time. Who asks while it is being made waits for that one making.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    good_for: Duration,
    value: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Cached<T> {
    pub(crate) fn new(good_for: Duration) -> Self {
        Self {
            good_for,
            value: Mutex::new(None),
        }
    }

    /// The value, made by `make` where there is none that is still good. A failure is not kept; a caller that goes
    /// away midway leaves the making to the next one.
    pub(crate) async fn get<E, F>(&self, make: impl FnOnce() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut slot = self.value.lock().await;
        if let Some((made, value)) = slot.as_ref()
            && made.elapsed() < self.good_for
        {
            return Ok(value.clone());
        }
        let value = make().await?;
        *slot = Some((Instant::now(), value.clone()));
        Ok(value)
    }

    /// Forget the value, one that is being made just now too: it may be of before.
    pub(crate) async fn forget(&self) {
        *self.value.lock().await = None;
    }
}

/// Answers to questions that many ask at once, such as every open page when something is new. An answer is for whoever asked before
/// somebody began to make it, so nobody ever gets an older one than without this: of however many ask at the same moment the first makes
/// one, and of those who came meanwhile one makes another for all of them.
#[derive(Debug)]
pub(crate) struct Together<T> {
    being_made: sync::Mutex<HashMap<String, Slot<T>>>,
}

/// The answer to one question and when its making began. Whoever holds the lock makes it.
type Slot<T> = Arc<Mutex<Option<(Instant, T)>>>;

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self {
            being_made: sync::Mutex::default(),
        }
    }
}

impl<T: Clone> Together<T> {
    /// The answer to a question, made by `make` where no other that was asked for meanwhile will do. A failure is told to the one who
    /// met it; a caller that goes away midway leaves the making to the next one.
    pub(crate) async fn get<E, F>(&self, question: String, make: impl FnOnce() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let asked = Instant::now();
        let asker = Asker::of(self, question);
        let mut slot = asker.slot.lock().await;
        if let Some((begun, answer)) = slot.as_ref()
            && *begun >= asked
        {
            return Ok(answer.clone());
        }
        let begun = Instant::now();
        let answer = make().await?;
        *slot = Some((begun, answer.clone()));
        Ok(answer)
    }

    fn being_made(&self) -> sync::MutexGuard<'_, HashMap<String, Slot<T>>> {
        self.being_made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who asks, until they have an answer or go away. The last one takes the answer along.
struct Asker<'a, T: Clone> {
    together: &'a Together<T>,
    question: String,
    slot: Slot<T>,
}

impl<'a, T: Clone> Asker<'a, T> {
    fn of(together: &'a Together<T>, question: String) -> Self {
        let slot = together.being_made().entry(question.clone()).or_default().clone();
        Self {
            together,
            question,
            slot,
        }
    }
}

impl<T: Clone> Drop for Asker<'_, T> {
    fn drop(&mut self) {
        let mut being_made = self.together.being_made();
        // Given back while nobody else can: of two that go at the same time one sees that it is the last.
        drop(std::mem::take(&mut self.slot));
        let is_last = |slot: &Slot<T>| Arc::strong_count(slot) == 1;
        if being_made.get(&self.question).is_some_and(is_last) {
            being_made.remove(&self.question);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn fifty_callers_at_once_make_one_query() {
        let cached = Arc::new(Cached::new(Duration::from_secs(60)));
        let made = Arc::new(AtomicUsize::new(0));
        let callers = (0..50).map(|_| {
            let (cached, made) = (cached.clone(), made.clone());
            tokio::spawn(async move {
                cached
                    .get(|| async {
                        made.fetch_add(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        Ok::<_, ()>(7)
                    })
                    .await
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            assert_eq!(caller.await.unwrap(), Ok(7));
        }
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_is_forgotten_is_made_anew_also_while_it_was_being_made() {
        let cached = Cached::new(Duration::from_secs(60));
        let (begun, finish) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
        let old = cached.get(|| async {
            begun.notify_one();
            finish.notified().await;
            Ok::<_, ()>(1)
        });
        let forgetting = async {
            begun.notified().await;
            tokio::join!(cached.forget(), async { finish.notify_one() });
        };
        let (old, ()) = tokio::join!(old, forgetting);
        assert_eq!(old, Ok(1));
        assert_eq!(cached.get(|| async { Ok::<_, ()>(2) }).await, Ok(2));
    }

    #[tokio::test]
    async fn who_asks_while_an_answer_is_made_gets_one_that_is_no_older_than_the_question() {
        let together = Arc::new(Together::default());
        let made = Arc::new(AtomicUsize::new(0));
        let ask = |question: &'static str| {
            let (together, made) = (together.clone(), made.clone());
            async move {
                together
                    .get(question.to_owned(), || async {
                        let n = made.fetch_add(1, Ordering::SeqCst) + 1;
                        tokio::task::yield_now().await;
                        Ok::<_, ()>(n)
                    })
                    .await
                    .unwrap()
            }
        };
        let callers: Vec<_> = (0..50).map(|_| tokio::spawn(ask("one"))).collect();
        let mut answers = Vec::new();
        for caller in callers {
            answers.push(caller.await.unwrap());
        }
        // The first made theirs; all others asked while that was made, and one of them made another.
        answers.sort_unstable();
        assert_eq!((answers[0], &answers[1..]), (1, [2; 49].as_slice()));
        // Nothing is kept for who comes later, and another question is another answer.
        assert_eq!(ask("one").await, 3);
        assert_eq!(futures::join!(ask("one"), ask("other")), (4, 5));
        assert!(together.being_made().is_empty());
    }

    #[tokio::test]
    async fn an_answer_that_fails_or_is_given_up_is_made_by_the_next_who_asks() {
        let together = Together::default();
        let refused = together.get("one".to_owned(), || async { Err::<u8, _>("no") });
        let given = together.get("one".to_owned(), || async { Ok::<_, &str>(1) });
        assert_eq!(futures::join!(refused, given), (Err("no"), Ok(1)));
        let never = together.get("one".to_owned(), std::future::pending::<Result<u8, &str>>);
        assert!(futures::poll!(Box::pin(never)).is_pending());
        assert!(together.being_made().is_empty());
        assert_eq!(
            together
                .get("one".to_owned(), || async { Ok::<_, &str>(2) })
                .await,
            Ok(2)
        );
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let cached = Cached::new(Duration::from_secs(60));
        assert_eq!(cached.get(|| async { Err::<u8, _>("no") }).await, Err("no"));
        assert_eq!(cached.get(|| async { Ok::<_, &str>(1) }).await, Ok(1));
    }
}
