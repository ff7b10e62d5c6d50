//! The order to stop: from a signal, from the bus, or from the end of a sibling task.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// Tells a worker that it has to stop. Cheap to clone; every clone hears the same order.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<CancellationToken>);

impl Shutdown {
    /// One that nobody has given the order on yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Give the order.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether the order was given.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns once the order is given.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// The same order as a token, for libraries that take one.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        CancellationToken::clone(&self.0)
    }
}
