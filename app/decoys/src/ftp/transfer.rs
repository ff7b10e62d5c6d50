//! Data connections: a listing, a download, an upload.

use std::{io, time::Duration};

use tokio_rustls::rustls::ServerConfig;

use crate::serve::{
    Peer,
    artifact::{Capture, Stored},
    peer::DataListener,
};

/// How long a server waits for the visitor's data connection (vsftpd: `accept_timeout`).
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of an upload stays in memory, to be fetched again.
pub(super) const UPLOAD_KEPT: usize = 256 * 1024;

/// A data connection that is to come, and whether it is to be encrypted.
pub(super) struct Channel {
    pub(super) listener: DataListener,
    pub(super) tls: Option<std::sync::Arc<ServerConfig>>,
}

impl Channel {
    async fn open(self) -> io::Result<Peer> {
        let peer = self.listener.accept(PATIENCE).await?;
        match self.tls {
            Some(config) => peer.start_tls(config).await,
            None => Ok(peer),
        }
    }

    /// Send `bytes`.
    pub(super) async fn send(self, bytes: &[u8]) -> io::Result<()> {
        let mut peer = self.open().await?;
        peer.send(bytes).await?;
        peer.close().await;
        Ok(())
    }

    /// Take all that comes into `capture`, which is finished at the end; also its first bytes.
    pub(super) async fn receive(self, mut capture: Capture) -> io::Result<(Stored, Vec<u8>)> {
        let mut peer = self.open().await?;
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
