//! The demo fleet: four deckies of different kinds, so that a first look has something to touch.

use anyhow::Result;
use decnet_decoys::ftp;
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
        if let Some(error) = decky.last_error.as_ref().filter(|_| decky.services.is_empty()) {
            screen.line("up", &format!("{} does not run: {error}", decky.name));
        }
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
                // It keeps out who is let in elsewhere.
                "ftp" => {
                    let user = ftp::account(persona)?;
                    format!("curl ftp://{listen}/ --user '{}:{}'", user.name, user.password)
                }
                "mysql" => format!("mysql --host {ip} --port {port} --user {user} --password='{password}'"),
                "smtp" => format!(
                    "echo 'Subject: hello' | curl smtp://{listen}/client.example --mail-from you@client.example --mail-rcpt {user}@{} --upload-file -",
                    persona.domain
                ),
                _ => return None,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use decnet_model::{state::DeckyState, view::DeckyService};
    use decnet_persona::{PersonaSpec, Seed, archetype};
    use time::OffsetDateTime;

    use super::*;

    /// The commands for a decky that is `persona` and runs `slug`.
    fn commands_for(slug: &str, listen: &str, persona: &Persona) -> Vec<String> {
        let decky = DeckyView {
            name: "decky-01".parse().unwrap(),
            state: DeckyState::Running,
            desired: true,
            stopped: false,
            archetype: persona.archetype.clone(),
            distro: persona.distro.to_string(),
            os: persona.os.to_string(),
            hostname: persona.hostname.clone(),
            ip: "127.66.0.2".parse().unwrap(),
            mac: persona.mac.to_string(),
            services: vec![DeckyService {
                slug: slug.parse().unwrap(),
                listen: vec![listen.to_owned()],
                image: None,
            }],
            engine: "local".to_owned(),
            last_error: None,
            since: OffsetDateTime::UNIX_EPOCH,
            mutate_interval_minutes: None,
            last_mutation: None,
            event_count: 0,
        };
        commands(&decky, persona)
    }

    #[test]
    fn every_machine_has_an_account_that_its_ftp_server_lets_in_and_that_one_is_told() {
        for archetype in archetype::ALL {
            for seed in 0..16 {
                let spec = PersonaSpec::new(Seed::from_bytes([seed; 16]), archetype.slug);
                let persona = Persona::derive(&spec).unwrap();
                let commands = commands_for("ftp", "127.66.0.2:21", &persona);
                let [command] = &commands[..] else {
                    panic!("{} {seed}: {commands:?}", archetype.slug)
                };
                let account = command
                    .strip_prefix("curl ftp://127.66.0.2:21/ --user '")
                    .and_then(|rest| rest.strip_suffix('\''))
                    .unwrap();
                let (name, password) = account.split_once(':').unwrap();
                assert!(persona.accepts(name, password).is_some(), "{command}");
                assert_eq!(ftp::bar(&persona, name), None, "{command}");
            }
        }
    }

    #[test]
    fn mail_is_sent_by_a_program_that_a_newcomer_has() {
        let spec = PersonaSpec::new(Seed::from_bytes([1; 16]), "mail-server");
        let persona = Persona::derive(&spec).unwrap();
        let commands = commands_for("smtp", "127.66.0.4:25", &persona);
        let sends = "echo 'Subject: hello' | curl smtp://127.66.0.4:25/client.example ";
        assert!(commands.iter().all(|c| c.starts_with(sends)), "{commands:?}");
        assert_eq!(commands.len(), 1);
    }
}
