//! The bus inside one process, for tests: a publish is in every matching subscription's queue when it returns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use decnet_model::topic::{Pattern, Topic};

use crate::{
    bus::Feed,
    queue::{Limits, Queue},
};

pub(crate) struct Hub {
    limits: Limits,
    subscriptions: Mutex<Vec<(Pattern, Weak<Queue>)>>,
}

impl Hub {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            subscriptions: Mutex::default(),
        }
    }

    fn subscriptions(&self) -> MutexGuard<'_, Vec<(Pattern, Weak<Queue>)>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, topic: &Topic, frame: &[u8]) {
        self.subscriptions().retain(|(pattern, inbox)| {
            let Some(inbox) = inbox.upgrade() else {
                return false;
            };
            if pattern.matches(topic) && inbox.push(frame, 1).first {
                inbox.wake();
            }
            true
        });
    }

    pub(crate) fn subscribe(&self, pattern: Pattern) -> Feed {
        let inbox = Arc::new(Queue::new(self.limits));
        self.subscriptions().push((pattern, Arc::downgrade(&inbox)));
        Feed::established(inbox)
    }
}
