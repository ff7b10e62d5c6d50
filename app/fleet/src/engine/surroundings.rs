//! Who stands where deckies with addresses of their own can stand: asked for seldom, as it takes a moment.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use decnet_model::name::DeckyName;
use decnet_persona::Mac;
use tokio::sync::Mutex;

use super::{
    EngineError, StepError, Surroundings,
    lan::{Lan, LanOptions},
};

/// How long it is taken for granted who is on the network.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// The most addresses that are asked for who has them.
const ASKED: usize = 1024;

/// The surroundings as they were when somebody last looked.
#[derive(Debug, Default)]
pub(super) struct Lookout(Mutex<Option<(Instant, Surroundings)>>);

impl Lookout {
    /// The network that `options` lead to, and the addresses of it that somebody has: not those who are our `own`.
    pub(super) async fn surroundings(
        &self,
        options: &LanOptions,
        own: impl FnOnce() -> BTreeSet<Mac> + Send,
    ) -> Result<Surroundings, EngineError> {
        let mut known = self.0.lock().await;
        if let Some((when, surroundings)) = &*known
            && when.elapsed() < KNOWN_FOR
        {
            return Ok(surroundings.clone());
        }
        let lan = Lan::find(options).await?;
        let network = options.range.unwrap_or(lan.network);
        // Whoever has the gateway's hardware address has everybody's way out.
        let asked: Vec<Ipv4Addr> = network.hosts().take(ASKED).chain(lan.gateway).collect();
        let (mut others, own) = (lan.taken(asked).await?, own());
        others.retain(|_, mac| !own.contains(mac));
        let macs = others.iter().map(|(address, mac)| (*mac, *address));
        let macs = macs.chain([(lan.mac, lan.host)]);
        let found = Surroundings {
            network: network.into(),
            macs: macs.map(|(mac, address)| (mac, address.into())).collect(),
            reserved: others
                .into_keys()
                .chain(lan.own.iter().copied())
                .chain(lan.gateway)
                .map(IpAddr::V4)
                .collect(),
        };
        *known = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    /// Make sure that nobody on `lan` has `address`, or the hardware address `own` that `name` is to have there: both would lose their
    /// visitors. Who has the latter cannot be asked of all at once: this host, the gateway and whoever was seen last are known.
    pub(super) async fn is_free(
        &self,
        lan: &Lan,
        address: Ipv4Addr,
        name: &DeckyName,
        own: Mac,
    ) -> Result<(), StepError> {
        let asked = [address].into_iter().chain(lan.gateway).collect();
        let taken = lan.taken(asked).await.map_err(StepError::not_now)?;
        if lan.seen_as(own) == own {
            let gateway = lan.gateway.filter(|gateway| *gateway != address);
            let gateway = gateway.filter(|gateway| taken.get(gateway) == Some(&own));
            let known = self.0.lock().await;
            let seen = known.as_ref().and_then(|(_, seen)| seen.macs.get(&own).copied());
            let host = (own == lan.mac).then_some(lan.host);
            let of = host.or(gateway).map(IpAddr::V4).or(seen);
            if let Some(of) = of.filter(|of| *of != IpAddr::V4(address)) {
                return Err(StepError::lasting(format!(
                    "{own} is the hardware address of {of}, another machine on the network: deploy {name} with another one, or \
                     without --mac, which has one drawn"
                )));
            }
        }
        let Some(mac) = taken.get(&address) else {
            return Ok(());
        };
        if *mac == own {
            return Err(StepError::transient(format!(
                "{address}: what {name} was before is still going away"
            )));
        }
        // Whoever is deployed next must not be given it.
        *self.0.lock().await = None;
        Err(StepError::taken(
            address.into(),
            format!(
                "{address} is in use by the machine {mac}: deploy {name} at another one, or without --ip, which has one chosen"
            ),
        ))
    }
}
