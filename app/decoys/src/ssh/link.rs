//! A connection whose keys are exchanged: messages for the layers above, whatever else comes in between.

use super::{
    fields::Fields,
    kex::Kex,
    messages::{
        DEBUG, DISCONNECT, EXT_INFO, IGNORE, KEXINIT, PING, PONG, SERVICE_REQUEST, UNIMPLEMENTED,
        USERAUTH_MIN,
    },
    transport::{Packet, Transport, over},
};
use crate::{serve::SessionError, ssh::fields::Message};

/// A connection.
pub(super) struct Link {
    pub(super) transport: Transport,
    pub(super) kex: Kex,
    /// The client takes extensions also while it signs in (`ext-info-in-auth@openssh.com`).
    pub(super) takes_extensions: bool,
}

impl Link {
    /// The next message for the layers above.
    pub(super) async fn next(&mut self) -> Result<Packet, SessionError> {
        loop {
            let packet = self.transport.read().await?;
            if let Some(packet) = self.sift(packet).await? {
                return Ok(packet);
            }
        }
    }

    /// Answer `packet` if it belongs to the transport.
    pub(super) async fn sift(&mut self, packet: Packet) -> Result<Option<Packet>, SessionError> {
        match packet.kind() {
            DISCONNECT => return Err(over()),
            IGNORE | DEBUG | UNIMPLEMENTED => {}
            // In a box: it is rare and large.
            KEXINIT => Box::pin(self.kex.answer(&mut self.transport, &packet)).await?,
            EXT_INFO => self.takes_extensions |= takes_extensions(packet.body()),
            PING => {
                let data = Fields(packet.body()).bytes().ok_or_else(over)?;
                self.transport.send(Message::new(PONG).string(data)).await?;
            }
            SERVICE_REQUEST | USERAUTH_MIN.. => return Ok(Some(packet)),
            _ => self.transport.unimplemented(&packet).await?,
        }
        Ok(None)
    }
}

/// Whether a client's EXT_INFO says that it takes another one.
fn takes_extensions(body: &[u8]) -> bool {
    let mut fields = Fields(body);
    let count = fields.u32().unwrap_or_default();
    (0..count)
        .map_while(|_| Some((fields.bytes()?, fields.bytes()?)))
        .any(|(name, _)| name == b"ext-info-in-auth@openssh.com")
}
