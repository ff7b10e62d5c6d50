//! Where a request comes from, with the proxies taken into account that the configuration names, and no others.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request},
    http::HeaderMap,
};
use ipnet::IpNet;

use crate::Config;

/// The address that a request comes from: an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

/// Find out where the request comes from.
#[must_use]
pub fn resolve(config: &Config, request: &Request) -> ClientAddr {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(peer)| peer.ip());
    // A request without a peer is one that a test made without a connection.
    let peer = peer.unwrap_or(IpAddr::from([127, 0, 0, 1])).to_canonical();
    ClientAddr(behind_proxies(peer, request.headers(), &config.trusted_proxies))
}

/// Walk `X-Forwarded-For` from its right end, which the nearest proxy wrote, as long as the writer is trusted. What
/// stands further left anybody may have made up.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut client = peer;
    let hops = headers.get_all("x-forwarded-for").into_iter().rev();
    for hop in hops.flat_map(|v| v.to_str().unwrap_or("").rsplit(',')) {
        if !is_trusted(&client) {
            break;
        }
        let Ok(hop) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        client = hop.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = ["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        behind_proxies(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_name_its_own_address() {
        assert_eq!(client("192.0.2.1", &["198.51.100.9"]), "192.0.2.1");
    }

    #[test]
    fn behind_trusted_proxies_the_last_untrusted_hop_is_the_client() {
        assert_eq!(client("127.0.0.1", &["198.51.100.9"]), "198.51.100.9");
        assert_eq!(
            client("127.0.0.1", &["6.6.6.6, 198.51.100.9, 10.1.1.1"]),
            "198.51.100.9"
        );
        assert_eq!(client("127.0.0.1", &["6.6.6.6", "198.51.100.9"]), "198.51.100.9");
        assert_eq!(client("127.0.0.1", &["6.6.6.6, nonsense"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }
}
