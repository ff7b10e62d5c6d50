//! `decnet user`: accounts of the dashboard.

use std::io::{self, IsTerminal, Read};

use anyhow::{Context, Result};
use decnet_domain::{Permit, TokenRequest};
use decnet_model::{id::UserId, name::UserName, permission::ManageUsers, state::Role, view::UserView};
use decnet_runtime::secret::{ExposeSecret, SecretString};

use crate::{
    cli::{PlaceArgs, RoleArg, TokenCommand, TotpCommand, UserCommand},
    host::{Host, usage},
    output,
};

/// The most bytes of a password that are read from standard input.
const MAX_INPUT: u64 = 4096;

/// `decnet user …`
pub(crate) async fn run(place: &PlaceArgs, command: &UserCommand) -> Result<()> {
    let host = Host::open(place).await?;
    let permit = host.permit::<ManageUsers>()?;
    match command {
        UserCommand::List(list) => {
            let users = host.domain.user_list(&permit).await?;
            if list.json {
                return output::json(&users);
            }
            let rows: Vec<_> = users
                .iter()
                .map(|u| {
                    let state = match (u.disabled, u.must_change_password) {
                        (true, _) => "disabled",
                        (_, true) => "must change the password",
                        _ => "active",
                    };
                    let last = u.last_login_at.map_or_else(|| "never".to_owned(), output::time);
                    vec![u.username.to_string(), u.role.to_string(), state.to_owned(), last]
                })
                .collect();
            output::table(
                &["NAME", "ROLE", "STATE", "LAST LOGIN"],
                &rows,
                "There is no account.",
            );
        }
        UserCommand::Create { name, role, list } => {
            let (password, drawn) = password()?;
            let user = host
                .domain
                .user_create(&permit, name.clone(), &password, role.role())
                .await?;
            let drawn = drawn.then_some(&password);
            if list.json {
                told_as_json(&user, drawn)?;
            } else {
                println!("{name} may sign in as {}.", role.role());
                tell(drawn);
            }
        }
        UserCommand::Role { name, role } => {
            host.domain
                .user_set_role(&permit, id(&host, name).await?, role.role())
                .await?;
            println!("{name} is {} now; its sessions have ended.", role.role());
        }
        UserCommand::Reset { name, list } => {
            let (password, drawn) = password()?;
            host.domain
                .user_reset_password(&permit, user(&host, name).await?.id, &password)
                .await?;
            let drawn = drawn.then_some(&password);
            if list.json {
                // As it is now: the password has to be changed.
                told_as_json(&user(&host, name).await?, drawn)?;
            } else {
                println!("{name} has a new password and has to change it; its sessions have ended.");
                tell(drawn);
            }
        }
        UserCommand::Disable { name } => {
            host.domain
                .user_set_disabled(&permit, id(&host, name).await?, true)
                .await?;
            println!("{name} cannot sign in any more; its sessions have ended.");
        }
        UserCommand::Enable { name } => {
            host.domain
                .user_set_disabled(&permit, id(&host, name).await?, false)
                .await?;
            println!("{name} may sign in again.");
        }
        UserCommand::Delete { name } => {
            host.domain.user_delete(&permit, id(&host, name).await?).await?;
            println!("{name} is gone; its sessions have ended.");
        }
        UserCommand::Logout { name } => {
            host.domain
                .user_sessions_end(&permit, id(&host, name).await?)
                .await?;
            println!("{name} is signed out everywhere.");
        }
        UserCommand::Totp(TotpCommand::Reset { name }) => {
            host.domain
                .user_second_factor_reset(&permit, id(&host, name).await?)
                .await?;
            println!("{name} signs in with the password alone; its sessions have ended.");
        }
        UserCommand::Token(command) => token(&host, &permit, command).await?,
    }
    host.close().await;
    Ok(())
}

/// `decnet user token …`
async fn token(host: &Host, permit: &Permit<ManageUsers>, command: &TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Add {
            user,
            name,
            role,
            days,
        } => {
            let request = TokenRequest {
                name: name.clone(),
                role: role.role(),
                days: *days,
            };
            let owner = id(host, user).await?;
            let made = host.domain.token_create_for(permit, owner, request).await?;
            // The token alone on standard output, for a script to keep.
            println!("{}", made.text.expose_secret());
            eprintln!(
                "It is told once; it acts as {user} ({} at most) until {}.",
                made.view.role,
                output::time(made.view.expires_at)
            );
        }
        TokenCommand::List { user, list } => {
            let mut tokens = host.domain.token_list_all(permit).await?;
            if let Some(user) = user {
                id(host, user).await?;
                tokens.retain(|token| token.owner == *user);
            }
            if list.json {
                return output::json(&tokens);
            }
            let rows: Vec<_> = tokens
                .iter()
                .map(|token| {
                    let used = token
                        .last_used_at
                        .map_or_else(|| "never".to_owned(), output::time);
                    vec![
                        token.owner.to_string(),
                        token.name.to_string(),
                        token.role.to_string(),
                        output::time(token.expires_at),
                        used,
                    ]
                })
                .collect();
            output::table(
                &["USER", "TOKEN", "ROLE", "EXPIRES", "LAST USED"],
                &rows,
                "There is no API token.",
            );
        }
        TokenCommand::Revoke { user, name } => {
            let tokens = host.domain.token_list_all(permit).await?;
            let token = tokens
                .into_iter()
                .find(|token| token.owner == *user && token.name == *name)
                .ok_or_else(|| {
                    usage(format!(
                        "{user} has no token {name}; `decnet user token list` lists them"
                    ))
                })?;
            host.domain.token_revoke_any(permit, token.id).await?;
            println!("{name} of {user} is good no more.");
        }
    }
    Ok(())
}

impl RoleArg {
    fn role(self) -> Role {
        match self {
            Self::Viewer => Role::Viewer,
            Self::Admin => Role::Admin,
        }
    }
}

async fn id(host: &Host, name: &UserName) -> Result<UserId> {
    user(host, name).await.map(|user| user.id)
}

async fn user(host: &Host, name: &UserName) -> Result<UserView> {
    let users = host.domain.user_list(&host.permit::<ManageUsers>()?).await?;
    let user = users.into_iter().find(|u| u.username == *name);
    user.ok_or_else(|| usage(format!("there is no user {name}; `decnet user list` lists them")))
}

/// A password from standard input, or one that is drawn where that is a terminal.
fn password() -> Result<(SecretString, bool)> {
    if io::stdin().is_terminal() {
        return Ok((decnet_domain::generate_password(), true));
    }
    let mut text = String::new();
    io::stdin()
        .take(MAX_INPUT)
        .read_to_string(&mut text)
        .context("the password on standard input")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    // Windows ends its lines with two characters.
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Ok((decnet_domain::generate_password(), true));
    }
    Ok((SecretString::from(text.to_owned()), false))
}

/// An account, with the password that was drawn for it.
fn told_as_json(user: &UserView, drawn: Option<&SecretString>) -> Result<()> {
    let mut told = serde_json::to_value(user)?;
    if let (Some(fields), Some(password)) = (told.as_object_mut(), drawn) {
        fields.insert("password".to_owned(), password.expose_secret().into());
    }
    output::json(&told)
}

fn tell(drawn: Option<&SecretString>) {
    if let Some(password) = drawn {
        println!(
            "Its password is {} (told once; it has to be changed).",
            password.expose_secret()
        );
    }
}
