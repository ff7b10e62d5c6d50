//! The network that deckies with addresses of their own stand in: which interface leads there, who is there already,
//! and how everybody learns of a new machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};

use decnet_persona::Mac;
use futures::TryStreamExt as _;
use ipnet::Ipv4Net;
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};
use rtnetlink::{
    Handle, LinkMacVlan, RouteMessageBuilder,
    packet_route::{
        address::AddressAttribute,
        link::{LinkAttribute, LinkFlags, LinkMessage, MacVlanMode},
        route::{RouteAddress, RouteAttribute, RouteMessage},
    },
};

use super::EngineError;

/// How long whoever has an address may take to say so. RFC 5227 waits longer; on a wire answers come within a
/// millisecond.
const ARP_PATIENCE: Duration = Duration::from_millis(400);
/// How often each address is asked for.
const ARP_ROUNDS: usize = 2;
/// Pause after this many requests: switches drop broadcasts that come too fast.
const ARP_BURST: usize = 32;

/// An interface and the network behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lan {
    /// The interface's name.
    pub(super) interface: String,
    /// Its number.
    index: u32,
    /// Its hardware address.
    pub(super) mac: Mac,
    /// The host's own address there.
    pub(super) host: Ipv4Addr,
    /// The network.
    pub(super) network: Ipv4Net,
    /// The way out of it, where there is one.
    pub(super) gateway: Option<Ipv4Addr>,
    /// Whether it is a radio: an access point knows one hardware address a station.
    pub(super) wireless: bool,
    /// Every address of this host.
    pub(super) own: BTreeSet<Ipv4Addr>,
}

fn unusable(problem: impl Into<String>) -> EngineError {
    EngineError::Unavailable(problem.into())
}

/// What netlink said.
fn netlink(doing: &'static str) -> impl FnOnce(rtnetlink::Error) -> EngineError {
    move |error| {
        let denied = matches!(&error, rtnetlink::Error::NetlinkError(e) if e.raw_code() == -1);
        let hint = if denied {
            "; interfaces are made by root or with CAP_NET_ADMIN"
        } else {
            ""
        };
        unusable(format!("{doing}: {error}{hint}"))
    }
}

/// A connection to the kernel's netlink, which lives as long as the handle.
fn open() -> Result<Handle, EngineError> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|e| unusable(format!("netlink: {e}")))?;
    tokio::spawn(connection);
    Ok(handle)
}

impl Lan {
    /// The network behind `interface`, or the one that the default route leads to.
    pub(super) async fn find(
        interface: Option<&str>,
        gateway: Option<Ipv4Addr>,
    ) -> Result<Self, EngineError> {
        let netlink_of = open()?;
        let links = links(&netlink_of).await?;
        let default = default_route(&netlink_of).await?;
        let link = match (interface, default) {
            (Some(name), _) => links.iter().find(|l| name_of(l) == Some(name)).ok_or_else(|| {
                let names: Vec<&str> = links.iter().filter_map(name_of).collect();
                unusable(format!(
                    "there is no interface {name} (fleet-interface); there are: {}",
                    names.join(", ")
                ))
            })?,
            (None, Some((index, _))) => links
                .iter()
                .find(|l| l.header.index == index)
                .ok_or_else(|| unusable("the interface of the default route is gone"))?,
            (None, None) => {
                return Err(unusable(
                    "this host has no default route, so nothing tells which network the deckies belong in: name its \
                     interface with fleet-interface",
                ));
            }
        };
        let name = name_of(link).unwrap_or_default().to_owned();
        if !link.header.flags.contains(LinkFlags::Up) {
            return Err(unusable(format!(
                "the interface {name} is down: ip link set {name} up"
            )));
        }
        let mac = mac_of(link).ok_or_else(|| {
            unusable(format!(
                "the interface {name} has no hardware address, so no machine can stand beside it; name another one \
                 with fleet-interface"
            ))
        })?;
        let addresses = addresses(&netlink_of).await?;
        let (host, length) = addresses
            .iter()
            .find(|(index, ..)| *index == link.header.index)
            .map(|(_, address, length)| (*address, *length))
            .ok_or_else(|| {
                unusable(format!(
                    "the interface {name} has no IPv4 address, so nothing tells which network is behind it: give it one, \
                     or name another with fleet-interface"
                ))
            })?;
        let network = Ipv4Net::new(host, length)
            .map_err(|e| unusable(format!("the network of {name}: {e}")))?
            .trunc();
        let found = default
            .filter(|(index, _)| *index == link.header.index)
            .and_then(|(_, gateway)| gateway);
        if let Some(gateway) = gateway.filter(|g| !network.contains(g)) {
            return Err(unusable(format!(
                "the gateway {gateway} (fleet-gateway) is outside {network}, the network of {name}"
            )));
        }
        Ok(Self {
            index: link.header.index,
            mac,
            host,
            network,
            gateway: gateway.or(found),
            wireless: Path::new("/sys/class/net").join(&name).join("wireless").exists(),
            own: addresses.into_iter().map(|(_, address, _)| address).collect(),
            interface: name,
        })
    }

    /// Who answers for these addresses.
    pub(super) async fn taken(
        &self,
        addresses: Vec<Ipv4Addr>,
    ) -> Result<BTreeMap<Ipv4Addr, Mac>, EngineError> {
        let lan = self.clone();
        self.on_the_wire("ask who is there", move |send, receive| {
            lan.ask(&addresses, send, receive)
        })
        .await
    }

    fn ask(
        &self,
        addresses: &[Ipv4Addr],
        send: &mut dyn DataLinkSender,
        receive: &mut dyn DataLinkReceiver,
    ) -> io::Result<BTreeMap<Ipv4Addr, Mac>> {
        let asked: BTreeSet<Ipv4Addr> = addresses.iter().copied().collect();
        let mut taken = BTreeMap::new();
        for _ in 0..ARP_ROUNDS {
            for burst in addresses.chunks(ARP_BURST) {
                for address in burst.iter().filter(|a| !taken.contains_key(*a)) {
                    // A probe has no sender's address, so nobody learns a wrong one from it.
                    let frame = arp(self.mac, Ipv4Addr::UNSPECIFIED, *address);
                    sent(send.send_to(&frame, None))?;
                }
                hear(receive, Duration::from_millis(10), &asked, &mut taken)?;
            }
            hear(receive, ARP_PATIENCE / 2, &asked, &mut taken)?;
        }
        Ok(taken)
    }

    /// Tell everybody that `address` is at `mac` now: whoever remembers another machine there would not find it.
    pub(super) async fn announce(&self, mac: Mac, address: Ipv4Addr) -> Result<(), EngineError> {
        self.on_the_wire("announce an address", move |send, _| {
            sent(send.send_to(&arp(mac, address, address), None))
        })
        .await
    }

    async fn on_the_wire<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut dyn DataLinkSender, &mut dyn DataLinkReceiver) -> io::Result<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        let name = self.interface.clone();
        let done = tokio::task::spawn_blocking(move || {
            let interface = pnet_datalink::interfaces().into_iter().find(|i| i.name == name);
            let interface = interface.ok_or_else(|| io::Error::other(format!("{name} is gone")))?;
            let config = Config {
                read_timeout: Some(Duration::from_millis(10)),
                promiscuous: false,
                ..Config::default()
            };
            match pnet_datalink::channel(&interface, config)? {
                Channel::Ethernet(mut send, mut receive) => work(&mut *send, &mut *receive),
                _ => Err(io::Error::other(format!("{name} is no Ethernet"))),
            }
        })
        .await;
        let fault = |error: io::Error| {
            let hint = if error.kind() == io::ErrorKind::PermissionDenied {
                "; raw sockets are for root or CAP_NET_RAW"
            } else {
                ""
            };
            unusable(format!("{doing} on {}: {error}{hint}", self.interface))
        };
        match done {
            Ok(done) => done.map_err(fault),
            Err(gone) => Err(fault(io::Error::other(gone))),
        }
    }

    /// Let this host reach `address` past the interface `shim`, which is made where it is not there. The kernel keeps a
    /// host and the machines on its interface apart otherwise. Gives the shim's hardware address, which the decky has to
    /// be told: the shim itself answers nobody, so that the network sees no machine that is none.
    pub(super) async fn reach(&self, shim: &str, address: Ipv4Addr) -> Result<Mac, EngineError> {
        let netlink_of = open()?;
        if find_link(&netlink_of, shim).await?.is_none() {
            let made = LinkMacVlan::new(shim, self.index, MacVlanMode::Bridge).build();
            match netlink_of.link().add(made).execute().await {
                // Another decky was faster.
                Err(rtnetlink::Error::NetlinkError(e)) if e.raw_code() == -17 => {}
                made => made.map_err(netlink(
                    "make the interface by which this host reaches its deckies",
                ))?,
            }
            // Never answer who asks for an address: the interface below does that.
            fs::write(format!("/proc/sys/net/ipv4/conf/{shim}/arp_ignore"), "8")
                .map_err(|e| unusable(format!("silence {shim}: {e}")))?;
            let six = format!("/proc/sys/net/ipv6/conf/{shim}/disable_ipv6");
            if Path::new(&six).exists() {
                fs::write(&six, "1").map_err(|e| unusable(format!("silence {shim}: {e}")))?;
            }
        }
        let link = find_link(&netlink_of, shim)
            .await?
            .ok_or_else(|| unusable(format!("the interface {shim} is gone")))?;
        let mac = mac_of(&link).ok_or_else(|| unusable(format!("{shim} has no hardware address")))?;
        let mut up = LinkMessage::default();
        up.header.index = link.header.index;
        up.header.flags = LinkFlags::Up;
        up.header.change_mask = LinkFlags::Up;
        netlink_of
            .link()
            .set(up)
            .execute()
            .await
            .map_err(netlink("switch the shim on"))?;
        let route = self.route(link.header.index, address);
        netlink_of
            .route()
            .add(route)
            .replace()
            .execute()
            .await
            .map_err(netlink("make a route to a decky"))?;
        Ok(mac)
    }

    fn route(&self, shim: u32, address: Ipv4Addr) -> RouteMessage {
        RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .output_interface(shim)
            .pref_source(self.host)
            .scope(rtnetlink::packet_route::route::RouteScope::Link)
            .build()
    }

    /// Forget the way to `address`.
    pub(super) async fn forget(&self, shim: &str, address: Ipv4Addr) -> Result<(), EngineError> {
        let netlink_of = open()?;
        let Some(link) = find_link(&netlink_of, shim).await? else {
            return Ok(());
        };
        let route = self.route(link.header.index, address);
        match netlink_of.route().del(route).execute().await {
            // It was gone.
            Err(rtnetlink::Error::NetlinkError(e)) if matches!(e.raw_code(), -3 | -2) => Ok(()),
            done => done.map_err(netlink("forget a route to a decky")),
        }
    }
}

/// Take the interface `shim` away.
pub(super) async fn remove_shim(shim: &str) -> Result<(), EngineError> {
    let netlink_of = open()?;
    match find_link(&netlink_of, shim).await? {
        Some(link) => netlink_of
            .link()
            .del(link.header.index)
            .execute()
            .await
            .map_err(netlink("take the shim away")),
        None => Ok(()),
    }
}

/// Let whoever is in this thread's network know that `address` is at `mac`, for good.
pub(super) async fn know_neighbour(interface: &str, address: Ipv4Addr, mac: Mac) -> Result<(), EngineError> {
    let netlink_of = open()?;
    let link = find_link(&netlink_of, interface)
        .await?
        .ok_or_else(|| unusable(format!("there is no {interface} in it")))?;
    netlink_of
        .neighbours()
        .add(link.header.index, IpAddr::V4(address))
        .link_layer_address(&mac.0)
        .replace()
        .execute()
        .await
        .map_err(netlink("tell a decky where the host is"))
}

async fn links(handle: &Handle) -> Result<Vec<LinkMessage>, EngineError> {
    let all = handle.link().get().execute();
    all.try_collect().await.map_err(netlink("list interfaces"))
}

async fn find_link(handle: &Handle, name: &str) -> Result<Option<LinkMessage>, EngineError> {
    let all = links(handle).await?;
    Ok(all.into_iter().find(|link| name_of(link) == Some(name)))
}

fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn mac_of(link: &LinkMessage) -> Option<Mac> {
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::Address(bytes) => <[u8; 6]>::try_from(bytes.as_slice())
            .ok()
            .filter(|mac| *mac != [0; 6])
            .map(Mac),
        _ => None,
    })
}

/// Interface, address and length of the prefix of every IPv4 address of this host.
async fn addresses(handle: &Handle) -> Result<Vec<(u32, Ipv4Addr, u8)>, EngineError> {
    let all: Vec<_> = handle
        .address()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(netlink("list addresses"))?;
    Ok(all
        .iter()
        .filter_map(|message| {
            let address = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
                _ => None,
            })?;
            Some((message.header.index, address, message.header.prefix_len))
        })
        .collect())
}

/// Interface and gateway of the default route that counts.
async fn default_route(handle: &Handle) -> Result<Option<(u32, Option<Ipv4Addr>)>, EngineError> {
    let routes: Vec<RouteMessage> = handle
        .route()
        .get(RouteMessageBuilder::<Ipv4Addr>::new().build())
        .execute()
        .try_collect()
        .await
        .map_err(netlink("list routes"))?;
    let priority = |route: &RouteMessage| {
        let given = route.attributes.iter().find_map(|a| match a {
            RouteAttribute::Priority(priority) => Some(*priority),
            _ => None,
        });
        given.unwrap_or(0)
    };
    Ok(routes
        .iter()
        .filter(|route| {
            route.header.destination_prefix_length == 0
                && route.header.table == rtnetlink::packet_route::route::RouteHeader::RT_TABLE_MAIN
        })
        .min_by_key(|route| priority(route))
        .and_then(|route| {
            let interface = route.attributes.iter().find_map(|a| match a {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            })?;
            let gateway = route.attributes.iter().find_map(|a| match a {
                RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => Some(*gateway),
                _ => None,
            });
            Some((interface, gateway))
        }))
}

/// The length of an Ethernet frame with an ARP packet for IPv4.
const ARP_FRAME: usize = 42;

/// A broadcast that asks for `target`, from `mac` and `sender` (RFC 826).
fn arp(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> [u8; ARP_FRAME] {
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

fn sent(result: Option<io::Result<()>>) -> io::Result<()> {
    result.unwrap_or_else(|| Err(io::Error::other("the frame was not taken")))
}

fn hear(
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
        let frame = arp(mac, Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 0, 0, 9));
        assert_eq!(
            hex(&frame),
            "ffffffffffff3c5282010203080600010800060400013c52820102030a0000070000000000000a000009"
        );
        assert_eq!(sender(&frame), Some((Ipv4Addr::new(10, 0, 0, 7), mac)));
    }

    #[test]
    fn a_probe_claims_no_address_and_what_is_no_arp_is_passed_over() {
        let probe = arp(
            Mac([2, 0, 0, 0, 0, 1]),
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::LOCALHOST,
        );
        assert_eq!(sender(&probe), None);
        let mut other = arp(Mac([2, 0, 0, 0, 0, 1]), Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
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
