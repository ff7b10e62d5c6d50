//! Who stands where deckies with addresses of their own can stand: asked for seldom, as it takes a moment.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use decnet_model::name::DeckyName;
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
    /// The network that `options` lead to, and the addresses of it that somebody has.
    pub(super) async fn surroundings(&self, options: &LanOptions) -> Result<Surroundings, EngineError> {
        let mut known = self.0.lock().await;
        if let Some((when, surroundings)) = &*known
            && when.elapsed() < KNOWN_FOR
        {
            return Ok(surroundings.clone());
        }
        let lan = Lan::find(options).await?;
        let network = options.range.unwrap_or(lan.network);
        let asked: Vec<Ipv4Addr> = network.hosts().take(ASKED).collect();
        let taken = lan.taken(asked).await?;
        let found = Surroundings {
            network: network.into(),
            reserved: taken
                .into_keys()
                .chain(lan.own.iter().copied())
                .chain(lan.gateway)
                .map(IpAddr::V4)
                .collect(),
        };
        *known = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    /// Make sure that nobody on `lan` has `address`: both would lose half of their visitors. `name` is who is to have it.
    pub(super) async fn is_free(
        &self,
        lan: &Lan,
        address: Ipv4Addr,
        name: &DeckyName,
    ) -> Result<(), StepError> {
        let taken = lan.taken(vec![address]).await.map_err(StepError::not_now)?;
        let Some(mac) = taken.get(&address) else {
            return Ok(());
        };
        // Whoever is deployed next must not be given it.
        *self.0.lock().await = None;
        Err(StepError::lasting(format!(
            "{address} is in use by the machine {mac}: take {name} down and deploy it again, which gives it another address"
        )))
    }
}
