//! Who is signed in, signing in and out, and changing one's password.
//!
//! The three that change something are plain forms too: without JavaScript the browser posts them and follows the
//! redirect.

use decnet_model::view::Me;
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::ssr::{begin_session, end_session, visit};
use super::{Answer, Fault, json::Json};

/// Who is signed in; nobody is not a fault.
#[server(prefix = "/ui", endpoint = "who", output = Json)]
pub async fn who() -> Result<Option<Me>, Fault> {
    let visit = visit()?;
    let Some(actor) = &visit.actor else {
        return Ok(None);
    };
    let permit = visit.domain.permit(actor)?;
    Ok(Some(visit.domain.me(&permit)?))
}

/// Sign in and go to `next`, a path of this site; to the overview where it is none, and to the choice of a password where
/// that comes first: any other page would ask for what it is not given yet.
#[server(prefix = "/ui", endpoint = "login", output = Json)]
pub async fn login(username: String, password: String, next: String) -> Answer<()> {
    let visit = visit()?;
    let password = secrecy::SecretString::from(password);
    let session = visit.domain.login(username.trim(), &password, visit.from).await?;
    begin_session(&visit, &session)?;
    leptos_axum::redirect(if session.me.must_change_password {
        "/password"
    } else {
        local_path(&next)
    });
    Ok(())
}

/// End the session.
#[server(prefix = "/ui", endpoint = "logout", output = Json)]
pub async fn logout() -> Answer<()> {
    let visit = visit()?;
    if let Some(actor) = &visit.actor {
        visit.domain.logout(actor).await?;
    }
    end_session(&visit)?;
    leptos_axum::redirect("/login");
    Ok(())
}

/// Change one's own password; `again` has to be the same as `new`.
#[server(prefix = "/ui", endpoint = "password_change", output = Json)]
pub async fn password_change(old: String, new: String, again: String) -> Answer<()> {
    let visit = visit()?;
    if new != again {
        return Err(Fault::new(
            super::FaultKind::Invalid,
            "the two new passwords differ",
        ));
    }
    let permit = visit.domain.permit(visit.actor()?)?;
    let session = visit
        .domain
        .password_change(&permit, &old.into(), &new.into())
        .await?;
    begin_session(&visit, &session)?;
    leptos_axum::redirect("/");
    Ok(())
}

/// `next` where it is a path of this site, else the overview: a login form must not send anybody elsewhere.
#[cfg(any(feature = "ssr", test))]
fn local_path(next: &str) -> &str {
    let local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.contains(|c: char| c.is_control())
        && !next.starts_with("/login");
    if local { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn a_login_leads_only_to_paths_of_this_site() {
        for bad in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/a\r\nx: y",
            "/login?next=/",
        ] {
            assert_eq!(local_path(bad), "/", "{bad:?}");
        }
        assert_eq!(
            local_path("/attackers?sort_by=active"),
            "/attackers?sort_by=active"
        );
    }
}
