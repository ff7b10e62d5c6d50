//! A service that answers slowly: the knob that every service has, whatever its protocol.
//!
//! The answers wait in the [`Peer`], so what a visitor did is reported before it is answered.

use std::{borrow::Cow, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use super::{AnyDecoy, Full, Peer, Room, SessionError, Tap};

struct Tarpit {
    decoy: Arc<dyn AnyDecoy>,
    delay: Duration,
}

/// `decoy` with each answer held back for `delay`.
pub(crate) fn slowed(decoy: Arc<dyn AnyDecoy>, delay: Duration) -> Arc<dyn AnyDecoy> {
    if delay.is_zero() {
        return decoy;
    }
    Arc::new(Tarpit { decoy, delay })
}

impl AnyDecoy for Tarpit {
    fn slug(&self) -> &str {
        self.decoy.slug()
    }

    fn shown(&self, local: SocketAddr) -> SocketAddr {
        self.decoy.shown(local)
    }

    fn session<'a>(
        &'a self,
        mut peer: Peer,
        tap: Tap,
    ) -> Pin<Box<dyn Future<Output = Result<(), SessionError>> + Send + 'a>> {
        peer.set_tarpit(self.delay);
        self.decoy.session(peer, tap)
    }

    fn room(&self) -> Room {
        self.decoy.room()
    }

    fn busy(&self, full: Full) -> Cow<'static, [u8]> {
        self.decoy.busy(full)
    }
}
