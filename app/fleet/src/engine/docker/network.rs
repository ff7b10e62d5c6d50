//! The network that containers are put on: one of this installation on the interface that the deckies belong behind.

use std::{collections::HashMap, net::Ipv4Addr};

use bollard::{
    Docker,
    models::{Ipam, IpamConfig, Network, NetworkCreateRequest},
};

use super::{LABEL, daemon::unavailable};
use crate::{
    EngineError,
    engine::lan::{Driver, Lan},
};

/// What the network of the installation `id` is called.
pub(super) fn name(id: &str) -> String {
    format!("lan-{id}")
}

/// The network of the installation `id` on `lan`, made where it is not there. One that was made for another interface, driver or
/// gateway is made anew, which needs it to be empty.
pub(super) async fn ensure(
    docker: &Docker,
    id: &str,
    driver: Driver,
    lan: &Lan,
) -> Result<String, EngineError> {
    let name = name(id);
    let failed = |doing: &'static str| move |error: bollard::errors::Error| unavailable(doing, &error);
    for network in all(docker).await? {
        let parent = option(&network, "parent");
        if is_ours(&network, id) {
            let fits = network.driver.as_deref() == Some(driver.as_str())
                && parent == Some(lan.interface.as_str())
                && subnet(&network) == Some(lan.network.to_string());
            if fits && leads_to(&network, lan.gateway) {
                return Ok(name);
            }
            let old = network.name.unwrap_or_default();
            docker.remove_network(&old).await.map_err(failed(
                "remove the network that was made for another interface or gateway",
            ))?;
        } else if parent == Some(lan.interface.as_str()) && is_labelled(&network) {
            return Err(EngineError::Unavailable(format!(
                "another installation has its deckies on {}, and an interface carries one network: name another interface \
                 with fleet-interface, or deploy with that installation",
                lan.interface
            )));
        } else if parent == Some(lan.interface.as_str()) {
            let other = network.name.unwrap_or_default();
            return Err(EngineError::Unavailable(format!(
                "the network {other} of Docker is on {} already, and an interface carries one: docker network rm {other}, \
                 or name another interface with fleet-interface",
                lan.interface
            )));
        } else if subnet(&network) == Some(lan.network.to_string()) {
            let other = network.name.unwrap_or_default();
            return Err(EngineError::Unavailable(format!(
                "the network {other} of Docker has the addresses {} already, which are those of {}: docker network rm {other}",
                lan.network, lan.interface
            )));
        }
    }
    let mode = match driver {
        Driver::Macvlan => ("macvlan_mode", "bridge"),
        Driver::Ipvlan => ("ipvlan_mode", "l2"),
    };
    let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: Some(driver.as_str().to_owned()),
        enable_ipv6: Some(false),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(lan.network.to_string()),
                // Without one Docker takes the first address, which may be a decky's.
                gateway: Some(lan.gateway.unwrap_or(lan.host).to_string()),
                // Whoever puts a container on it by hand must not get the host's address.
                auxiliary_addresses: Some(
                    lan.own
                        .iter()
                        .filter(|own| lan.network.contains(*own) && Some(**own) != lan.gateway)
                        .filter(|own| lan.gateway.is_some() || **own != lan.host)
                        .enumerate()
                        .map(|(nth, own)| (format!("host{nth}"), own.to_string()))
                        .collect(),
                ),
                ..IpamConfig::default()
            }]),
            ..Ipam::default()
        }),
        options: Some(HashMap::from([text(("parent", &lan.interface)), text(mode)])),
        labels: Some(HashMap::from([text((LABEL, id))])),
        ..NetworkCreateRequest::default()
    };
    docker
        .create_network(request)
        .await
        .map_err(failed("make the network"))?;
    Ok(name)
}

/// Take the network of the installation `id` away.
pub(super) async fn remove(docker: &Docker, id: &str) -> Result<(), EngineError> {
    for network in all(docker).await? {
        if let (true, Some(name)) = (is_ours(&network, id), &network.name) {
            docker
                .remove_network(name)
                .await
                .map_err(|error| unavailable("remove the network", &error))?;
        }
    }
    Ok(())
}

async fn all(docker: &Docker) -> Result<Vec<Network>, EngineError> {
    docker
        .list_networks(None)
        .await
        .map_err(|error| unavailable("list networks", &error))
}

fn is_ours(network: &Network, id: &str) -> bool {
    let labels = network.labels.as_ref();
    labels
        .and_then(|labels| labels.get(LABEL))
        .is_some_and(|of| of == id)
}

/// Whether an installation like this one made it.
fn is_labelled(network: &Network) -> bool {
    network
        .labels
        .as_ref()
        .is_some_and(|labels| labels.contains_key(LABEL))
}

fn option<'a>(network: &'a Network, key: &str) -> Option<&'a str> {
    network.options.as_ref()?.get(key).map(String::as_str)
}

/// Whether deckies on `network` leave it by `gateway`. Where none is known now, such as while a host starts, the one of before may come
/// back.
fn leads_to(network: &Network, gateway: Option<Ipv4Addr>) -> bool {
    let made_with = |config: &IpamConfig| config.gateway.clone();
    let ipam = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    let made_with = ipam.and_then(|config| config.first().and_then(made_with));
    gateway.is_none_or(|gateway| made_with == Some(gateway.to_string()))
}

fn subnet(network: &Network) -> Option<String> {
    network.ipam.as_ref()?.config.as_ref()?.first()?.subnet.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_leads_another_way_out_is_not_the_one_that_is_wanted() {
        let network = |gateway: Option<&str>| Network {
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    gateway: gateway.map(str::to_owned),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            ..Network::default()
        };
        let made = network(Some("192.0.2.1"));
        assert!(leads_to(&made, Some(Ipv4Addr::new(192, 0, 2, 1))));
        assert!(!leads_to(&made, Some(Ipv4Addr::new(192, 0, 2, 254))));
        assert!(leads_to(&made, None));
        assert!(!leads_to(&network(None), Some(Ipv4Addr::new(192, 0, 2, 1))));
    }
}
