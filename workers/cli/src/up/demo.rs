//! The demo fleet: four deckies of different kinds, so that a first look has something to touch.

use anyhow::Result;
use decnet_decoys::ftp;
use decnet_model::{
    fleet::{DeckySpec, FleetSpec},
    permission::{ManageFleet, ViewFleet},
    state::DeckyState,
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

/// What the greeting tells of the fleet.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Commands that touch the demo fleet's services.
    pub(super) touches: Vec<String>,
    /// Deckies that do not run as they should, each with why.
    pub(super) amiss: Vec<String>,
}

/// Look at the fleet; where that is wanted, deploy the demo fleet before, unless there is a fleet already.
pub(super) async fn look(settings: Settings, wanted: bool, screen: &Prefixed) -> Result<Shown> {
    let host = Host::with(settings).await?;
    let permit = host.permit::<ManageFleet>()?;
    let view = host.permit::<ViewFleet>()?;
    let before = host.domain.decky_list(&view).await?;
    if wanted && before.iter().all(|d| !d.desired) {
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
    let mut shown = Shown::default();
    for decky in host.domain.decky_list(&view).await?.iter().filter(|d| d.desired) {
        shown.amiss.extend(amiss(decky));
        if wanted {
            let persona = host.domain.decky_persona(&permit, &decky.name).await?;
            shown.touches.extend(commands(decky, &persona));
        }
    }
    host.close().await;
    Ok(shown)
}

/// Why a decky does not run as it should; nothing where it does, is still to begin, or was stopped.
fn amiss(decky: &DeckyView) -> Option<String> {
    if decky.stopped || decky.state == DeckyState::Running {
        return None;
    }
    let failed = decky.quarantined || matches!(decky.state, DeckyState::Failed | DeckyState::Degraded);
    let why = match &decky.last_error {
        Some(why) => why.as_str(),
        None if failed => "`decnet status` says more",
        None => return None,
    };
    Some(format!("{} ({}): {why}", decky.name, decky.state))
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
    use decnet_model::view::DeckyService;
    use decnet_persona::{PersonaSpec, Seed, archetype};
    use time::OffsetDateTime;

    use super::*;

    /// The commands for a decky that is `persona` and runs `slug`.
    fn commands_for(slug: &str, listen: &str, persona: &Persona) -> Vec<String> {
        commands(&decky(slug, listen, persona), persona)
    }

    fn decky(slug: &str, listen: &str, persona: &Persona) -> DeckyView {
        DeckyView {
            name: "decky-01".parse().unwrap(),
            state: DeckyState::Running,
            desired: true,
            stopped: false,
            quarantined: false,
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
        }
    }

    #[test]
    fn the_greeting_names_who_does_not_run_and_why_and_nobody_else() {
        let spec = PersonaSpec::new(Seed::from_bytes([1; 16]), "web-server");
        let runs = decky("http", "127.66.0.2:80", &Persona::derive(&spec).unwrap());
        let why = Some("127.66.0.2:80 is in use".to_owned());
        let failed = DeckyView {
            state: DeckyState::Failed,
            last_error: why.clone(),
            ..runs.clone()
        };
        let told = amiss(&failed).unwrap();
        assert_eq!(told, "decky-01 (failed): 127.66.0.2:80 is in use");
        // It is tried again in a moment, and failed all the same.
        let waits = DeckyView {
            state: DeckyState::Deploying,
            ..failed.clone()
        };
        assert!(amiss(&waits).is_some());
        let begins = DeckyView {
            last_error: None,
            ..waits
        };
        let stopped = DeckyView {
            stopped: true,
            ..failed
        };
        for good in [runs, begins, stopped] {
            assert_eq!(amiss(&good), None, "{good:?}");
        }
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
