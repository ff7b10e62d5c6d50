//! The bus: publish and subscribe between the processes of a host, or of several through NATS.
//!
//! It only says "look now". Nothing is stored, acknowledged or replayed; every reader also looks on a timer, so a lost
//! event costs latency and never data, and a process does all its work with the bus off or dead.
//!
//! Start at [`Bus`] to use it, at [`Broker`] for the daemon, at [`wire`] for what is on the socket.
//!
//! # What is counted
//!
//! A subscription gets every event that the bus takes after the subscription stood ([`Subscription::established`]) and whose topic
//! its pattern matches, in the order in which each publisher sent them, its own process's included. When it is too
//! slow, the oldest that wait for it give way, and in their place comes one `system.bus.dropped` event with their
//! exact number ([`Dropped`]). So, for each subscription and as long as its connection holds:
//!
//! > events that the bus took = events received + losses reported + events still waiting
//!
//! What a publisher never handed over it counts itself ([`Stats`]): published = sent + dropped + still queued. What nobody can count are
//! events that were under way when a connection broke: those in the socket of a broker that died, and those that
//! were published while a subscriber was away. A subscriber that was away learns that much: its first event after
//! the reconnection is a `system.bus.dropped` with `gap` set. Over NATS the server itself counts nothing; what is counted is
//! the queue between the NATS client and the subscriber, and a slow consumer inside the NATS client shows as a gap.
//!
//! Deliberately absent: queue groups, request and reply, persistence, and any right but that of opening the socket.

mod broker;
mod bus;
mod config;
mod event;
mod outlet;
mod queue;
mod transport;
pub mod wire;

pub use broker::{Broker, BrokerConfig, BrokerError, Counters, FIGURES};
pub use bus::{Bus, Stats, Subscription};
pub use config::{BusConfig, Endpoint, NatsUrl, default_socket_path};
pub use event::{Dropped, Event, Payload, VERSION};

/// A bus address that is none.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Neither a socket nor NATS.
    #[error("a bus address is nats://host[:port], unix:<path>, an absolute path, or none")]
    Endpoint,
    /// A NATS address that cannot be read. Its text is not repeated: it may hold a password.
    #[error("NATS address: {source}")]
    NatsUrl {
        /// What is wrong with it.
        source: std::io::Error,
    },
}
