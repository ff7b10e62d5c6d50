//! The network that deckies with addresses of their own stand in: which interface leads there, who is there already,
//! and how everybody learns of a new machine.

mod arp;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

use decnet_persona::Mac;
use futures::{TryFutureExt as _, TryStreamExt as _};
use ipnet::Ipv4Net;
use nix::errno::Errno;
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};
use rtnetlink::{
    Handle, LinkIpVlan, LinkMacVlan, RouteMessageBuilder,
    packet_route::{
        address::AddressAttribute,
        link::{InfoPortKind, IpVlanMode, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode},
        neighbour::NeighbourState,
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteScope},
    },
};

use super::{EngineError, namespace::Namespace, stack};

/// How long whoever has an address may take to say so. RFC 5227 waits longer; on a wire answers come within a
/// millisecond.
const ARP_PATIENCE: Duration = Duration::from_millis(400);
/// How often each address is asked for.
const ARP_ROUNDS: usize = 2;
/// Pause after this many requests: switches drop broadcasts that come too fast.
const ARP_BURST: usize = 32;

/// What a decky's interface is called, whoever makes it.
pub(super) const INTERFACE: &str = "eth0";

/// How deckies share the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Each has a hardware address of its own.
    Macvlan,
    /// All have the interface's hardware address: for radios and switches that allow one.
    Ipvlan,
}

impl Driver {
    /// The kernel's word for it, Docker's, and the configuration's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }
}

/// Where deckies with addresses of their own stand, as far as that is configured.
#[derive(Debug, Clone)]
pub struct LanOptions {
    /// The interface that they stand behind; that of the default route where absent.
    pub interface: Option<String>,
    /// How they share it.
    pub driver: Driver,
    /// The way out of their network, where the default route does not tell.
    pub gateway: Option<Ipv4Addr>,
    /// The part of the interface's network that addresses are taken from; all of it where absent.
    pub range: Option<Ipv4Net>,
}

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
    /// How deckies share it.
    driver: Driver,
    /// Every address of this host.
    pub(super) own: BTreeSet<Ipv4Addr>,
}

fn unusable(problem: impl Into<String>) -> EngineError {
    EngineError::Unavailable(problem.into())
}

/// What netlink said, with what to do about it.
fn netlink(doing: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> EngineError {
    let doing = doing.into();
    move |error| {
        let errno = match &error {
            rtnetlink::Error::NetlinkError(e) => Errno::from_raw(-e.raw_code()),
            _ => Errno::UnknownErrno,
        };
        let hint = match errno {
            Errno::EPERM => "; interfaces are made by root or with CAP_NET_ADMIN",
            Errno::EOPNOTSUPP => {
                "; this kernel cannot do that: choose another fleet-driver (macvlan or ipvlan), or load its module"
            }
            Errno::EBUSY => {
                "; a bridge, or interfaces of another driver, have that interface: name another one with fleet-interface"
            }
            Errno::EADDRINUSE => "; an interface that is going away still has its hardware address",
            _ => "",
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
    /// The network behind the interface that `options` name, or the one that the default route leads to.
    pub(super) async fn find(options: &LanOptions) -> Result<Self, EngineError> {
        let netlink_of = open()?;
        let links = links(&netlink_of).await?;
        let default = default_route(&netlink_of).await?;
        let link = match (options.interface.as_deref(), default) {
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
        if let Some(whole) = whole(link, &links) {
            return Err(unusable(format!(
                "the interface {name} is a part of {whole}, and no other machine can stand on it: name {whole} with \
                 fleet-interface"
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
        if let Some(gateway) = options.gateway.filter(|g| !network.contains(g)) {
            return Err(unusable(format!(
                "the gateway {gateway} (fleet-gateway) is outside {network}, the network of {name}"
            )));
        }
        if let Some(range) = options.range.filter(|r| !network.contains(r)) {
            return Err(unusable(format!(
                "the addresses {range} (fleet-network) are not inside {network}, the network of {name}"
            )));
        }
        let wireless = Path::new("/sys/class/net").join(&name).join("wireless").exists();
        if wireless && options.driver == Driver::Macvlan {
            return Err(unusable(format!(
                "{name} is a radio, and its access point knows one hardware address only: set fleet-driver to ipvlan, or \
                 name a wired interface with fleet-interface"
            )));
        }
        Ok(Self {
            index: link.header.index,
            mac,
            host,
            network,
            gateway: options.gateway.or(found),
            driver: options.driver,
            own: addresses.into_iter().map(|(_, address, _)| address).collect(),
            interface: name,
        })
    }

    /// Who answers for these addresses: on the wire, and of the machines on this host's interface, such as its virtual machines, those
    /// of other programs, and deckies.
    pub(super) async fn taken(
        &self,
        addresses: Vec<Ipv4Addr>,
    ) -> Result<BTreeMap<Ipv4Addr, Mac>, EngineError> {
        let lan = self.clone();
        let beside = self.beside().await;
        self.on_the_wire("ask who is there", move |send, receive| match &beside {
            Some(beside) => {
                let (mut send, _) = beside.inside(|| channel(INTERFACE))?;
                lan.ask(&addresses, &mut *send, receive)
            }
            None => lan.ask(&addresses, send, receive),
        })
        .await
    }

    /// A place on the interface as a decky has it, for as long as this value lives; nothing where there can be none. Who asks from there
    /// is heard by the machines on the interface, too, which the kernel keeps apart from the host. It has no address and answers
    /// nobody, and what is sent from it bears the host's own hardware address: the answers are seen on the interface.
    async fn beside(&self) -> Option<Namespace> {
        if self.driver == Driver::Ipvlan {
            return None;
        }
        let made = async {
            let namespace = on_its_thread(|| {
                let namespace = Namespace::new()?;
                namespace.inside(|| stack::without_ipv6("all"))?;
                Ok(namespace)
            })
            .await?;
            self.extend(&namespace, None).await?;
            on_its_thread(move || {
                namespace.inside_async(|| activate().map_err(io::Error::other))?;
                Ok(namespace)
            })
            .await
        };
        match made.await {
            Ok(namespace) => Some(namespace),
            Err(error) => {
                // No decky can stand there either, which its start tells.
                tracing::debug!(%error, interface = self.interface, "only the wire is asked who is there");
                None
            }
        }
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
                    let frame = arp::request(self.mac, Ipv4Addr::UNSPECIFIED, *address);
                    arp::sent(send.send_to(&frame, None))?;
                }
                arp::hear(receive, Duration::from_millis(10), &asked, &mut taken)?;
            }
            arp::hear(receive, ARP_PATIENCE / 2, &asked, &mut taken)?;
        }
        Ok(taken)
    }

    /// The hardware address that frames of a decky come from whose `own` that would be.
    pub(super) fn seen_as(&self, own: Mac) -> Mac {
        match self.driver {
            Driver::Macvlan => own,
            Driver::Ipvlan => self.mac,
        }
    }

    /// Tell everybody that `address` is at `mac` now: whoever remembers another machine there would not find it.
    pub(super) async fn announce(&self, mac: Mac, address: Ipv4Addr) -> Result<(), EngineError> {
        self.on_the_wire("announce an address", move |send, _| {
            arp::sent(send.send_to(&arp::request(mac, address, address), None))
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
            let (mut send, mut receive) = channel(&name)?;
            work(&mut *send, &mut *receive)
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

    /// Make a decky's interface in `namespace`, which stands on this network. It is off, and has no address.
    pub(super) async fn extend(&self, namespace: &Namespace, mac: Option<Mac>) -> Result<(), EngineError> {
        let made = match self.driver {
            Driver::Macvlan => {
                let made = LinkMacVlan::new(INTERFACE, self.index, MacVlanMode::Bridge)
                    .setns_by_fd(namespace.as_raw_fd());
                match mac {
                    Some(mac) => made.address(mac.0.to_vec()).build(),
                    None => made.build(),
                }
            }
            Driver::Ipvlan => LinkIpVlan::new(INTERFACE, self.index, IpVlanMode::L2)
                .setns_by_fd(namespace.as_raw_fd())
                .build(),
        };
        let doing = format!(
            "make an interface of the driver {} on {}",
            self.driver.as_str(),
            self.interface
        );
        let made = open()?.link().add(made).execute().await;
        made.map_err(netlink(doing))
    }

    /// Let this host reach `address` past the interface `shim`, which is made where it is not there. The kernel keeps a
    /// host and the machines on its interface apart otherwise. Gives the shim's hardware address, which the decky has to
    /// be told: the shim itself answers nobody, so that the network sees no machine that is none. With
    /// [`Driver::Ipvlan`] there can be no such interface.
    pub(super) async fn reach(&self, shim: &str, address: Ipv4Addr) -> Result<Option<Mac>, EngineError> {
        if self.driver == Driver::Ipvlan {
            return Ok(None);
        }
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
            stack::write(&format!("net.ipv4.conf.{shim}.arp_ignore"), "8")
                .and_then(|()| stack::without_ipv6(shim))
                .map_err(|e| unusable(e.to_string()))?;
        }
        let link = find_link(&netlink_of, shim)
            .await?
            .ok_or_else(|| unusable(format!("the interface {shim} is gone")))?;
        let mac = mac_of(&link).ok_or_else(|| unusable(format!("{shim} has no hardware address")))?;
        switch_on(&netlink_of, link.header.index)
            .await
            .map_err(netlink("switch the shim on"))?;
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .output_interface(link.header.index)
            .pref_source(self.host)
            .scope(RouteScope::Link)
            .build();
        netlink_of
            .route()
            .add(route)
            .replace()
            .execute()
            .await
            .map_err(netlink("make a route to a decky"))?;
        Ok(Some(mac))
    }

    /// In this thread's network: give a decky's interface `address`, tell it where the host is, and switch everything on.
    pub(super) async fn settle(&self, address: Ipv4Addr, shim: Option<Mac>) -> Result<(), EngineError> {
        let netlink_of = open()?;
        for name in ["lo", INTERFACE] {
            let link = find_link(&netlink_of, name)
                .await?
                .ok_or_else(|| unusable(format!("there is no {name} in it")))?;
            let index = link.header.index;
            if name == INTERFACE {
                netlink_of
                    .address()
                    .add(index, IpAddr::V4(address), self.network.prefix_len())
                    .execute()
                    .await
                    .map_err(netlink("give a decky its address"))?;
            }
            switch_on(&netlink_of, index)
                .await
                .map_err(netlink("switch a decky's interface on"))?;
        }
        if let Some(shim) = shim {
            know_neighbour(INTERFACE, self.host, shim).await?;
        }
        let Some(gateway) = self.gateway else {
            return Ok(());
        };
        let way_out = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
        let made = netlink_of.route().add(way_out).execute().await;
        made.map_err(netlink("tell a decky the way out"))
    }
}

/// The bridge or bond that `link` is a part of, and that takes all of its frames.
fn whole<'a>(link: &LinkMessage, links: &'a [LinkMessage]) -> Option<&'a str> {
    let takes_all = |kind: &LinkInfo| {
        matches!(
            kind,
            LinkInfo::PortKind(InfoPortKind::Bridge | InfoPortKind::Bond)
        )
    };
    let is_part = link
        .attributes
        .iter()
        .any(|a| matches!(a, LinkAttribute::LinkInfo(infos) if infos.iter().any(takes_all)));
    let index = link.attributes.iter().find_map(|a| match a {
        LinkAttribute::Controller(index) => Some(*index),
        _ => None,
    });
    let index = index.filter(|_| is_part)?;
    links
        .iter()
        .find(|link| link.header.index == index)
        .and_then(name_of)
}

/// Frames to and from an interface of this thread's network.
fn channel(name: &str) -> io::Result<(Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>)> {
    let interface = pnet_datalink::interfaces().into_iter().find(|i| i.name == name);
    let interface = interface.ok_or_else(|| io::Error::other(format!("{name} is gone")))?;
    let config = Config {
        read_timeout: Some(Duration::from_millis(10)),
        promiscuous: false,
        ..Config::default()
    };
    match pnet_datalink::channel(&interface, config)? {
        Channel::Ethernet(send, receive) => Ok((send, receive)),
        _ => Err(io::Error::other(format!("{name} is no Ethernet"))),
    }
}

/// Do what a thread has to wait for.
async fn on_its_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, EngineError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(io::Error::other).flatten();
    done.map_err(|error| unusable(error.to_string()))
}

/// Forget that `address` is reached past the interface `shim`.
pub(super) async fn forget(shim: &str, address: Ipv4Addr) -> Result<(), EngineError> {
    let netlink_of = open()?;
    let Some(link) = find_link(&netlink_of, shim).await? else {
        return Ok(());
    };
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(address, 32)
        .output_interface(link.header.index)
        .scope(RouteScope::Link)
        .build();
    match netlink_of.route().del(route).execute().await {
        // It was gone.
        Err(rtnetlink::Error::NetlinkError(e)) if matches!(e.raw_code(), -3 | -2) => Ok(()),
        done => done.map_err(netlink("forget a route to a decky")),
    }
}

/// What the interface is called by which the host of this installation reaches its deckies.
pub(super) fn shim(installation: &str) -> String {
    let id: String = installation.chars().take(8).collect();
    format!("lan-{id}")
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

/// Let whoever is in this thread's network know that `address` is at `mac`, for good. It is an entry like those of the interface's own
/// (NUD_NOARP of rtnetlink(7)): nobody is ever asked, and what lists neighbours passes it over, because the kernel never learned it.
pub(super) async fn know_neighbour(interface: &str, address: Ipv4Addr, mac: Mac) -> Result<(), EngineError> {
    let netlink_of = open()?;
    let link = find_link(&netlink_of, interface)
        .await?
        .ok_or_else(|| unusable(format!("there is no {interface} in it")))?;
    netlink_of
        .neighbours()
        .add(link.header.index, IpAddr::V4(address))
        .link_layer_address(&mac.0)
        .state(NeighbourState::Noarp)
        .replace()
        .execute()
        .await
        .map_err(netlink("tell a decky where the host is"))
}

/// In this thread's network: switch a decky's interface on.
async fn activate() -> Result<(), EngineError> {
    let netlink_of = open()?;
    let link = find_link(&netlink_of, INTERFACE).await?;
    let link = link.ok_or_else(|| unusable(format!("there is no {INTERFACE} in it")))?;
    let done = switch_on(&netlink_of, link.header.index).await;
    done.map_err(netlink("switch an interface on"))
}

async fn switch_on(handle: &Handle, index: u32) -> Result<(), rtnetlink::Error> {
    let mut up = LinkMessage::default();
    up.header.index = index;
    up.header.flags = LinkFlags::Up;
    up.header.change_mask = LinkFlags::Up;
    handle.link().set(up).execute().await
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
