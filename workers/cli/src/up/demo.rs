//! The demo fleet: four deckies of different kinds, so that a first look has something to touch.

use anyhow::Result;
use decnet_model::{
    fleet::{DeckySpec, FleetSpec},
    permission::{ManageFleet, ViewFleet},
    view::DeckyView,
};
use decnet_persona::Persona;
use decnet_runtime::Settings;

use crate::{commands::fleet::watch, host::Host, output::Prefixed};

/// Name and archetype of each.
const FLEET: &[(&str, &str)] = &[
    ("web-01", "web-server"),
    ("db-01", "database-server"),
    ("mail-01", "mail-server"),
    ("srv-01", "linux-server"),
];

/// Deploy the demo fleet, unless there is a fleet already; gives commands that touch its services.
pub(super) async fn deploy(settings: Settings, screen: &Prefixed) -> Result<Vec<String>> {
    let host = Host::with(settings).await?;
    let permit = host.permit::<ManageFleet>()?;
    let view = host.permit::<ViewFleet>()?;
    let before = host.domain.decky_list(&view).await?;
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
        let accepted = host
            .domain
            .decky_deploy(
                &permit,
                FleetSpec {
                    deckies,
                    replace: false,
                },
            )
            .await?;
        watch(&host, &accepted, |task| {
            screen.line("up", &format!("[{}/{}] {}", task.done, task.total, task.step));
        })
        .await?;
    }
    let mut touches = Vec::new();
    for decky in host.domain.decky_list(&view).await?.iter().filter(|d| d.desired) {
        let persona = host.domain.decky_persona(&permit, &decky.name).await?;
        touches.extend(commands(decky, &persona));
    }
    host.close().await;
    Ok(touches)
}

/// Commands that touch each service of a decky with its ordinary client, signing in where that is more to look at.
fn commands(decky: &DeckyView, persona: &Persona) -> Vec<String> {
    let account = persona
        .users
        .iter()
        .find(|u| !u.full_name.is_empty() && !u.shell.ends_with("nologin"));
    let (user, password) = account.map_or(("admin", "admin"), |u| (u.name.as_str(), u.password.as_str()));
    let listening = decky
        .services
        .iter()
        .filter_map(|s| Some((s.slug.as_str(), s.listen.first()?)));
    listening
        .filter_map(|(slug, listen)| {
            let (ip, port) = listen.rsplit_once(':')?;
            Some(match slug {
                "ssh" => format!("ssh -p {port} {user}@{ip}    # password: {password}"),
                "http" => format!("curl -i http://{listen}/"),
                "redis" => format!("redis-cli -h {ip} -p {port} info server"),
                "ftp" => format!("curl ftp://{listen}/ --user '{user}:{password}'"),
                "mysql" => format!("mysql --host {ip} --port {port} --user {user} --password='{password}'"),
                "smtp" => format!("swaks --server {ip} --port {port} --to {user}@{}", persona.domain),
                _ => return None,
            })
        })
        .collect()
}
