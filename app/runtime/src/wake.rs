//! Waiting for work: a bus event or the timer, whichever comes first.
//!
//! The bus only says "look now". A worker that waits here does all its work with the bus dead, and does it sooner with
//! the bus alive.

use std::time::Duration;

use decnet_bus::{Event, Subscription};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

/// What ended a wait.
#[derive(Debug)]
pub enum Woken {
    /// An event, and no more are waiting before it.
    Event(Event),
    /// The timer.
    Timer,
}

/// A source of wake-ups.
#[derive(Debug)]
pub struct Wake {
    subscriptions: Vec<Subscription>,
    interval: Duration,
}

impl Wake {
    /// Wakes on any event of `subscriptions`, and at the latest after `interval`.
    #[must_use]
    pub fn new(subscriptions: Vec<Subscription>, interval: Duration) -> Self {
        Self {
            subscriptions,
            interval,
        }
    }

    /// Wait. Several events that came while the worker was busy are one wake-up each; a caller that looks at
    /// everything anyway may call [`Wake::drain`] first.
    pub async fn next(&mut self) -> Woken {
        let deadline = Instant::now() + self.interval;
        let mut live = 0;
        let mut waiting: FuturesUnordered<_> = self
            .subscriptions
            .iter_mut()
            .map(|subscription| {
                live += 1;
                subscription.recv()
            })
            .collect();
        loop {
            if live == 0 {
                sleep_until(deadline).await;
                return Woken::Timer;
            }
            tokio::select! {
                event = waiting.next() => match event {
                    Some(Some(event)) => return Woken::Event(event),
                    // That subscription is closed for good; the timer goes on.
                    Some(None) | None => live -= 1,
                },
                () = sleep_until(deadline) => return Woken::Timer,
            }
        }
    }

    /// Forget the events that have come so far.
    pub fn drain(&mut self) {
        for subscription in &mut self.subscriptions {
            while let Some(Some(_)) = subscription.recv().now_or_never() {}
        }
    }
}
