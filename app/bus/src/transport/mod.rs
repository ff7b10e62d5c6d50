//! The ways of an event: each transport carries what [`crate::Bus`] hands it and fills what a [`crate::Subscription`] reads.

pub(crate) mod fake;
pub(crate) mod nats;
pub(crate) mod unix;
