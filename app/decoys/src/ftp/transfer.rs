//! Data connections: a listing, a download, an upload.

use std::{io, time::Duration};

use crate::serve::{
    Peer,
    artifact::{Capture, Stored},
    peer::DataListener,
    tls::Tls,
};

/// How long a server waits for a data connection, whoever begins it (vsftpd: `accept_timeout` and `connect_timeout`).
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of an upload stays in memory, to be fetched again.
pub(super) const UPLOAD_KEPT: usize = 256 * 1024;

/// How a data connection comes about.
pub(super) enum Way {
    /// The visitor connects to this port (PASV, EPSV).
    Passive(DataListener),
    /// The server connects to this port of the visitor (PORT, EPRT).
    Active(u16),
}

/// A data connection that is to come, and whether it is to be encrypted.
pub(super) struct Channel {
    pub(super) way: Way,
    pub(super) tls: Option<Tls>,
}

impl Channel {
    /// Wait for it, or make it, beside the connection `control`; `own` is the port that the server makes it from, where it may.
    pub(super) async fn open(self, control: &Peer, own: u16) -> io::Result<Data> {
        let peer = match self.way {
            Way::Passive(listener) => listener.accept(PATIENCE).await?,
            Way::Active(port) => control.call_back(port, own, PATIENCE).await?,
        };
        Ok(Data { peer, tls: self.tls })
    }
}

/// A data connection that stands.
pub(super) struct Data {
    peer: Peer,
    tls: Option<Tls>,
}

impl Data {
    /// The server is TLS's server in active mode, too (RFC 4217 section 7).
    async fn begun(self) -> io::Result<Peer> {
        match self.tls {
            Some(tls) => self.peer.start_tls(&tls).await,
            None => Ok(self.peer),
        }
    }

    /// Send `bytes`.
    pub(super) async fn send(self, bytes: &[u8]) -> io::Result<()> {
        let mut peer = self.begun().await?;
        peer.send(bytes).await?;
        if peer.is_unheard() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        peer.close().await;
        Ok(())
    }

    /// Take all that comes into `capture`, which is finished at the end; also its first bytes.
    pub(super) async fn receive(self, mut capture: Capture) -> io::Result<(Stored, Vec<u8>)> {
        let mut peer = self.begun().await?;
        let mut kept = Vec::new();
        while peer.fill().await? {
            let bytes = peer.buffered();
            capture.write(bytes);
            let room = UPLOAD_KEPT.saturating_sub(kept.len());
            kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            peer.advance(usize::MAX);
        }
        Ok((capture.finish(), kept))
    }
}
