//! ARP (RFC 826): who has an address, as frames.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use decnet_persona::Mac;
use pnet_datalink::DataLinkReceiver;

/// The length of an Ethernet frame with an ARP packet for IPv4.
const ARP_FRAME: usize = 42;

/// A broadcast that asks for `target`, from `mac` and `sender` (RFC 826).
pub(super) fn request(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> [u8; ARP_FRAME] {
    let mut frame = [0; ARP_FRAME];
    let parts: [&[u8]; 8] = [
        &[0xff; 6],
        &mac.0,
        // ARP; Ethernet, IPv4, lengths of their addresses; a request.
        &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1],
        &mac.0,
        &sender.octets(),
        &[0; 6],
        &target.octets(),
        &[],
    ];
    for (slot, byte) in frame.iter_mut().zip(parts.into_iter().flatten()) {
        *slot = *byte;
    }
    frame
}

/// Who an ARP packet says that it is from, whether asked or not.
fn sender(frame: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let (head, rest) = (frame.get(12..20)?, frame.get(22..32)?);
    if head != [0x08, 0x06, 0, 1, 0x08, 0, 6, 4] {
        return None;
    }
    let (mac, address) = rest.split_first_chunk::<6>()?;
    let address = Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?);
    (!address.is_unspecified()).then_some((address, Mac(*mac)))
}

/// What became of a frame that was to be sent.
pub(super) fn sent(result: Option<io::Result<()>>) -> io::Result<()> {
    result.unwrap_or_else(|| Err(io::Error::other("the frame was not taken")))
}

/// Note who has one of the addresses that were `asked` for, until all are known or it has taken too long.
pub(super) fn hear(
    receive: &mut dyn DataLinkReceiver,
    patience: Duration,
    asked: &BTreeSet<Ipv4Addr>,
    taken: &mut BTreeMap<Ipv4Addr, Mac>,
) -> io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < patience && taken.len() < asked.len() {
        match receive.next() {
            Ok(frame) => {
                if let Some((address, mac)) = sender(frame).filter(|(a, _)| asked.contains(a)) {
                    taken.insert(address, mac);
                }
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_frame_that_says_who_asks_and_for_whom() {
        let mac = Mac([0x3c, 0x52, 0x82, 1, 2, 3]);
        let frame = request(mac, Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 0, 0, 9));
        assert_eq!(
            hex(&frame),
            "ffffffffffff3c5282010203080600010800060400013c52820102030a0000070000000000000a000009"
        );
        assert_eq!(sender(&frame), Some((Ipv4Addr::new(10, 0, 0, 7), mac)));
    }

    #[test]
    fn a_probe_claims_no_address_and_what_is_no_arp_is_passed_over() {
        let probe = request(
            Mac([2, 0, 0, 0, 0, 1]),
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::LOCALHOST,
        );
        assert_eq!(sender(&probe), None);
        let mut other = request(Mac([2, 0, 0, 0, 0, 1]), Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
        assert!(sender(&other).is_some());
        other[13] = 0;
        assert_eq!(sender(&other), None);
        for length in 0..ARP_FRAME {
            assert_eq!(sender(&other[..length]), None);
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}
