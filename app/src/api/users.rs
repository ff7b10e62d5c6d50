//! Accounts as administrators keep them, everybody's API tokens, and the audit log.
//!
//! What changes something is a plain form too, so it takes text as a form gives it and leads back to the page.

use decnet_model::{
    query::AuditQuery,
    view::{ApiTokenView, AuditView, Page, UserView},
};
use leptos::prelude::*;

use super::{Answer, json::Json};
#[cfg(feature = "ssr")]
use super::{Fault, FaultKind, access::parsed, ssr::permitted};

/// Every account, by name.
#[server(prefix = "/ui", endpoint = "user_list", input = Json, output = Json)]
pub async fn user_list() -> Answer<Vec<UserView>> {
    let (domain, manage) = permitted()?;
    Ok(domain.user_list(&manage).await?)
}

/// How many open sessions and how many API tokens an account has.
#[server(prefix = "/ui", endpoint = "user_access", input = Json, output = Json)]
pub async fn user_access(id: String) -> Answer<(u64, u64)> {
    let (domain, manage) = permitted()?;
    Ok(domain.user_access(&manage, parsed(&id)?).await?)
}

/// Make an account, whose password has to be changed at the first sign-in.
#[server(prefix = "/ui", endpoint = "user_create", output = Json)]
pub async fn user_create(username: String, password: String, role: String) -> Answer<()> {
    let (domain, manage) = permitted()?;
    let user = domain
        .user_create(
            &manage,
            parsed(&username.to_lowercase())?,
            &password.into(),
            parsed(&role)?,
        )
        .await?;
    leptos_axum::redirect(&format!("/settings/users?user={}", user.id));
    Ok(())
}

/// Give an account another role. Its sessions end.
#[server(prefix = "/ui", endpoint = "user_set_role", output = Json)]
pub async fn user_set_role(id: String, role: String) -> Answer<()> {
    let (domain, manage) = permitted()?;
    let user = domain
        .user_set_role(&manage, parsed(&id)?, parsed(&role)?)
        .await?;
    leptos_axum::redirect(&format!("/settings/users?user={}", user.id));
    Ok(())
}

/// Give an account another password, to be changed at its next sign-in. Its sessions end.
#[server(prefix = "/ui", endpoint = "user_reset_password", output = Json)]
pub async fn user_reset_password(id: String, password: String) -> Answer<()> {
    let (domain, manage) = permitted()?;
    domain
        .user_reset_password(&manage, parsed(&id)?, &password.into())
        .await?;
    leptos_axum::redirect(&format!("/settings/users?user={}", id.trim()));
    Ok(())
}

/// Let an account sign in no more (`disabled` is `true`), or again. Its sessions end.
#[server(prefix = "/ui", endpoint = "user_set_disabled", output = Json)]
pub async fn user_set_disabled(id: String, disabled: bool) -> Answer<()> {
    let (domain, manage) = permitted()?;
    let user = domain.user_set_disabled(&manage, parsed(&id)?, disabled).await?;
    leptos_axum::redirect(&format!("/settings/users?user={}", user.id));
    Ok(())
}

/// Take away an account's second factor, for whoever lost it.
#[server(prefix = "/ui", endpoint = "user_second_factor_reset", output = Json)]
pub async fn user_second_factor_reset(id: String) -> Answer<()> {
    let (domain, manage) = permitted()?;
    domain.user_second_factor_reset(&manage, parsed(&id)?).await?;
    leptos_axum::redirect(&format!("/settings/users?user={}", id.trim()));
    Ok(())
}

/// End every session of an account.
#[server(prefix = "/ui", endpoint = "user_sessions_end", output = Json)]
pub async fn user_sessions_end(id: String) -> Answer<()> {
    let (domain, manage) = permitted()?;
    domain.user_sessions_end(&manage, parsed(&id)?).await?;
    leptos_axum::redirect(&format!("/settings/users?user={}", id.trim()));
    Ok(())
}

/// Remove an account; `confirm` has to be its name.
#[server(prefix = "/ui", endpoint = "user_delete", output = Json)]
pub async fn user_delete(id: String, name: String, confirm: String) -> Answer<()> {
    let (domain, manage) = permitted()?;
    if confirm.trim() != name {
        return Err(Fault::new(FaultKind::Invalid, format!("type {name} to confirm")));
    }
    domain.user_delete(&manage, parsed(&id)?).await?;
    leptos_axum::redirect("/settings/users");
    Ok(())
}

/// Everybody's API tokens, by owner and name.
#[server(prefix = "/ui", endpoint = "token_list_all", input = Json, output = Json)]
pub async fn token_list_all() -> Answer<Vec<ApiTokenView>> {
    let (domain, manage) = permitted()?;
    Ok(domain.token_list_all(&manage).await?)
}

/// End API tokens, whoever's they are: their ids, with commas between them.
#[server(prefix = "/ui", endpoint = "tokens_end", output = Json)]
pub async fn tokens_end(ids: String) -> Answer<()> {
    use decnet_domain::DomainError;
    use decnet_model::id::ApiTokenId;
    let (domain, manage) = permitted()?;
    let ids: Vec<ApiTokenId> = ids.split(',').map(parsed).collect::<Result<_, Fault>>()?;
    for id in ids {
        match domain.token_revoke_any(&manage, id).await {
            // One that somebody else has ended meanwhile is as it should be.
            Ok(()) | Err(DomainError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    leptos_axum::redirect("/settings/tokens");
    Ok(())
}

/// A page of the audit log, newest first.
#[server(prefix = "/ui", endpoint = "audit_page", input = Json, output = Json)]
pub async fn audit_page(query: AuditQuery) -> Answer<Page<AuditView>> {
    let (domain, see) = permitted()?;
    Ok(domain.audit_page(&see, query).await?)
}
