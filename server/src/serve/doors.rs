//! How many may come in: at all, and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;

/// How often it is logged at most that every place is taken.
const LOG_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Doors {
    places: Arc<Semaphore>,
    share: usize,
    proxies: Vec<IpNet>,
    inside: Arc<Mutex<HashMap<IpAddr, usize>>>,
    told: Mutex<Option<Instant>>,
}

/// A place for one connection, given back when dropped.
pub(super) struct Place {
    _free: OwnedSemaphorePermit,
    household: IpAddr,
    inside: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.household) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.household);
            }
        }
    }
}

impl Doors {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.connections)),
            share: limits.connections.div_ceil(2),
            proxies: limits.proxies.clone(),
            inside: Arc::default(),
            told: Mutex::default(),
        }
    }

    /// Wait for a free place. Meanwhile clients wait in the listener's queue.
    pub(super) async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        if self.places.available_permits() == 0 {
            self.tell();
        }
        // Fails only for a closed semaphore, and nobody closes this one.
        self.places.clone().acquire_owned().await.ok()
    }

    fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() > LOG_EVERY) {
            *told = Some(Instant::now());
            tracing::warn!("every place is taken (max-connections): new connections wait");
        }
    }

    /// Give the place `free` to a connection from `ip`; none where that address has its share already.
    pub(super) fn enter(&self, free: Option<OwnedSemaphorePermit>, ip: IpAddr) -> Option<Place> {
        let ip = ip.to_canonical();
        let household = household(ip);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inside.get(&household).copied().unwrap_or(0);
        if count >= self.share && !self.proxies.iter().any(|net| net.contains(&ip)) {
            return None;
        }
        let free = free?;
        inside.insert(household, count + 1);
        Some(Place {
            _free: free,
            household,
            inside: self.inside.clone(),
        })
    }
}

/// Addresses that one client can have all of: a single one of IPv4, a /64 of IPv6 (RFC 6177 section 2).
fn household(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn enter(doors: &Doors, ip: &str) -> Option<Place> {
        doors.enter(doors.wait().await, ip.parse().unwrap())
    }

    #[tokio::test]
    async fn an_address_gets_half_of_the_places_and_a_proxy_all() {
        let limits = Limits {
            connections: 4,
            proxies: vec!["192.0.2.9/32".parse().unwrap()],
            ..Limits::default()
        };
        let doors = Doors::new(&limits);
        let first = enter(&doors, "2001:db8::1").await;
        let second = enter(&doors, "2001:db8::2").await;
        assert!(first.is_some() && second.is_some());
        assert!(enter(&doors, "2001:db8::3").await.is_none(), "the same /64");
        let other = enter(&doors, "2001:db8:0:1::1").await;
        assert!(other.is_some(), "another /64");
        drop((first, other));
        assert!(enter(&doors, "2001:db8::3").await.is_some(), "a place came back");
        let by_proxy = [
            enter(&doors, "192.0.2.9").await,
            enter(&doors, "::ffff:192.0.2.9").await,
            enter(&doors, "192.0.2.9").await,
        ];
        assert!(by_proxy.iter().all(Option::is_some));
        assert_eq!(doors.places.available_permits(), 0);
        drop((second, by_proxy));
        assert_eq!(doors.places.available_permits(), 4);
        assert!(
            doors.inside.lock().unwrap().is_empty(),
            "nothing is kept of who left"
        );
    }
}
