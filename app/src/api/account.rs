//! Who is signed in, signing in (in two steps where there is a second factor) and out, and changing one's password.
//!
//! What changes something is a plain form too: without JavaScript the browser posts them and follows the
//! redirect.

use decnet_model::view::Me;
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::ssr::{set_cookie, visit};
use super::{Answer, Fault, json::Json};
#[cfg(feature = "ssr")]
use crate::visit::{Cookie, Visit};
#[cfg(feature = "ssr")]
use decnet_domain::{Login as Step, SignedIn};

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
/// that comes first: any other page would ask for what it is not given yet. An account with a second factor is asked for
/// its code: the proof that the password was right is kept by the browser until then.
#[server(prefix = "/ui", endpoint = "login", output = Json)]
pub async fn login(username: String, password: String, next: String) -> Answer<()> {
    let visit = visit()?;
    let password = secrecy::SecretString::from(password);
    match visit
        .domain
        .login(username.trim(), &password, visit.from.clone())
        .await?
    {
        Step::In(session) => begun(&visit, &session, &next)?,
        Step::SecondFactor(challenge) => {
            set_cookie(&visit, Cookie::Challenge(Some(&challenge)))?;
            leptos_axum::redirect(&crate::url::code(local_path(&next)));
        }
    }
    Ok(())
}

/// Complete signing in with a code of the second factor, or a recovery code.
#[server(prefix = "/ui", endpoint = "login_code", output = Json)]
pub async fn login_code(code: String, next: String) -> Answer<()> {
    let visit = visit()?;
    let Some(challenge) = &visit.challenge else {
        return Err(Fault::new(
            super::FaultKind::Invalid,
            "the password was given too long ago: begin again with it",
        ));
    };
    let session = visit
        .domain
        .login_second(challenge, &code.trim().to_owned().into(), visit.from.clone())
        .await?;
    set_cookie(&visit, Cookie::Challenge(None))?;
    begun(&visit, &session, &next)
}

/// Have the browser keep the session, and lead it on.
#[cfg(feature = "ssr")]
fn begun(visit: &Visit, session: &SignedIn, next: &str) -> Result<(), Fault> {
    set_cookie(visit, Cookie::Session(Some(session)))?;
    let next = local_path(next);
    if session.me.must_change_password {
        leptos_axum::redirect(&crate::url::password(next));
    } else if session.me.must_enrol {
        leptos_axum::redirect("/second-factor");
    } else {
        leptos_axum::redirect(next);
    }
    Ok(())
}

/// End the session.
#[server(prefix = "/ui", endpoint = "logout", output = Json)]
pub async fn logout() -> Answer<()> {
    let visit = visit()?;
    if let Some(actor) = &visit.actor {
        visit.domain.logout(actor).await?;
    }
    set_cookie(&visit, Cookie::Session(None))?;
    leptos_axum::redirect("/login");
    Ok(())
}

/// Change one's own password; `again` has to be the same as `new`. It leads to `next`, where that is a path
/// of this site.
#[server(prefix = "/ui", endpoint = "password_change", output = Json)]
pub async fn password_change(old: String, new: String, again: String, next: Option<String>) -> Answer<()> {
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
    begun(&visit, &session, next.as_deref().unwrap_or_default())
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
