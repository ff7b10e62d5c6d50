//! The demo fleet: four deckies of different kinds, so that a first look has something to touch.

use anyhow::Result;
use decnet_model::{
    fleet::{DeckySpec, FleetSpec},
    permission::{ManageFleet, ViewFleet},
    view::DeckyView,
};
use decnet_runtime::Settings;

use crate::{commands::fleet::watch, host::Host};

/// Name and archetype of each.
const FLEET: &[(&str, &str)] = &[
    ("web-01", "web-server"),
    ("db-01", "database-server"),
    ("mail-01", "mail-server"),
    ("srv-01", "linux-server"),
];

/// Deploy the demo fleet, unless there is a fleet already, and say how to touch it.
pub(super) async fn deploy(settings: Settings) -> Result<()> {
    let host = Host::with(settings).await?;
    let permit = host.permit::<ViewFleet>()?;
    let before = host.domain.decky_list(&permit).await?;
    if before.iter().all(|d| !d.desired) {
        let deckies = FLEET
            .iter()
            .map(|(name, archetype)| {
                Ok(DeckySpec {
                    name: Some(name.parse()?),
                    archetype: Some((*archetype).to_owned()),
                    ..DeckySpec::default()
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let spec = FleetSpec {
            deckies,
            replace: false,
        };
        let accepted = host
            .domain
            .decky_deploy(&host.permit::<ManageFleet>()?, spec)
            .await?;
        watch(&host, &accepted, |task| {
            println!("  [{}/{}] {}", task.done, task.total, task.step)
        })
        .await?;
    }
    let deckies = host.domain.decky_list(&permit).await?;
    println!();
    println!("  Touch a decky from another terminal, and watch it in the dashboard:");
    for decky in deckies.iter().filter(|d| d.desired) {
        for command in touches(decky) {
            println!("    {command}");
        }
    }
    println!();
    host.close().await;
    Ok(())
}

/// Commands that touch each service of a decky with its ordinary client.
fn touches(decky: &DeckyView) -> Vec<String> {
    let listening = decky
        .services
        .iter()
        .filter_map(|s| Some((s.slug.as_str(), s.listen.first()?)));
    listening
        .filter_map(|(slug, listen)| {
            let (ip, port) = listen.rsplit_once(':')?;
            Some(match slug {
                "ssh" => format!("ssh -p {port} root@{ip}"),
                "http" => format!("curl -i http://{listen}/"),
                "redis" => format!("redis-cli -h {ip} -p {port} info server"),
                "ftp" => format!("curl ftp://{listen}/ --user admin:admin"),
                "mysql" => format!("mysql --host {ip} --port {port} --user root --password=root"),
                "smtp" => format!("swaks --server {ip} --port {port} --to admin@example.com"),
                _ => return None,
            })
        })
        .collect()
}
