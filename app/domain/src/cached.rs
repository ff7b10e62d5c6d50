//! A value that is expensive to make, made once for however many ask at the same time.

use std::{future::Future, time::Duration};

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
    async fn a_failure_is_not_kept() {
        let cached = Cached::new(Duration::from_secs(60));
        assert_eq!(cached.get(|| async { Err::<u8, _>("no") }).await, Err("no"));
        assert_eq!(cached.get(|| async { Ok::<_, &str>(1) }).await, Ok(1));
    }
}
