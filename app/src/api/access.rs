//! What opens one's own account beside the password: the second factor, open sessions, and API tokens.
//!
//! What shows a secret once answers with it, so it needs scripts; the rest are plain forms too.

use decnet_model::view::{ApiTokenView, SecondFactorView, SessionView};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Answer, json::Json};
#[cfg(feature = "ssr")]
use super::{Fault, FaultKind, ssr::permitted};

/// A second factor that waits for its first code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// In base32, for whoever types it.
    pub secret: String,
    /// The same as a QR code: the path of its dark squares, in a square of `size`.
    pub path: String,
    /// See `path`.
    pub size: u32,
}

/// An API token that was just made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Its text, which is nowhere else.
    pub text: String,
    /// Its name.
    pub name: String,
}

/// How one's own second factor stands.
#[server(prefix = "/ui", endpoint = "second_factor_get", input = Json, output = Json)]
pub async fn second_factor_get() -> Answer<SecondFactorView> {
    let (domain, own) = permitted()?;
    Ok(domain.second_factor(&own).await?)
}

/// Begin to set one up: it counts once a code of it was shown.
#[server(prefix = "/ui", endpoint = "second_factor_begin", output = Json)]
pub async fn second_factor_begin() -> Answer<Enrolment> {
    use secrecy::ExposeSecret as _;
    let (domain, own) = permitted()?;
    let enrolment = domain.second_factor_begin(&own).await?;
    let (path, size) = picture(enrolment.uri.expose_secret())?;
    Ok(Enrolment {
        secret: enrolment.secret.expose_secret().to_owned(),
        path,
        size,
    })
}

/// Complete it with a code; gives the recovery codes.
#[server(prefix = "/ui", endpoint = "second_factor_confirm", output = Json)]
pub async fn second_factor_confirm(code: String) -> Answer<Vec<String>> {
    let (domain, own) = permitted()?;
    Ok(shown(
        &domain
            .second_factor_confirm(&own, &code.trim().to_owned().into())
            .await?,
    ))
}

/// Draw new recovery codes: the old ones are good no more.
#[server(prefix = "/ui", endpoint = "recovery_codes_renew", output = Json)]
pub async fn recovery_codes_renew(code: String) -> Answer<Vec<String>> {
    let (domain, own) = permitted()?;
    Ok(shown(
        &domain
            .recovery_codes_renew(&own, &code.trim().to_owned().into())
            .await?,
    ))
}

/// Sign in with the password alone again.
#[server(prefix = "/ui", endpoint = "second_factor_disable", output = Json)]
pub async fn second_factor_disable(password: String, code: String) -> Answer<()> {
    let (domain, own) = permitted()?;
    domain
        .second_factor_disable(&own, &password.into(), &code.trim().to_owned().into())
        .await?;
    leptos_axum::redirect("/settings");
    Ok(())
}

/// One's own open sessions, and API tokens.
#[server(prefix = "/ui", endpoint = "access_list", input = Json, output = Json)]
pub async fn access_list() -> Answer<(Vec<SessionView>, Vec<ApiTokenView>)> {
    let (domain, own) = permitted()?;
    Ok((domain.session_list(&own).await?, domain.token_list(&own).await?))
}

/// End one of one's own sessions.
#[server(prefix = "/ui", endpoint = "session_end", output = Json)]
pub async fn session_end(id: String) -> Answer<()> {
    let (domain, own) = permitted()?;
    domain.session_end(&own, parsed(&id)?).await?;
    leptos_axum::redirect("/settings");
    Ok(())
}

/// End all of one's own sessions but this one.
#[server(prefix = "/ui", endpoint = "session_end_others", output = Json)]
pub async fn session_end_others() -> Answer<()> {
    let (domain, own) = permitted()?;
    domain.session_end_others(&own).await?;
    leptos_axum::redirect("/settings");
    Ok(())
}

/// Make an API token.
#[server(prefix = "/ui", endpoint = "token_create", output = Json)]
pub async fn token_create(name: String, role: String, days: u32) -> Answer<Made> {
    use secrecy::ExposeSecret as _;
    let (domain, own) = permitted()?;
    let request = decnet_domain::TokenRequest {
        name: parsed(&name)?,
        role: parsed(&role)?,
        days,
    };
    let made = domain.token_create(&own, request).await?;
    Ok(Made {
        text: made.text.expose_secret().to_owned(),
        name: made.view.name.to_string(),
    })
}

/// End an API token.
#[server(prefix = "/ui", endpoint = "token_revoke", output = Json)]
pub async fn token_revoke(id: String) -> Answer<()> {
    let (domain, own) = permitted()?;
    domain.token_revoke(&own, parsed(&id)?).await?;
    leptos_axum::redirect("/settings");
    Ok(())
}

#[cfg(feature = "ssr")]
fn shown(codes: &[secrecy::SecretString]) -> Vec<String> {
    use secrecy::ExposeSecret as _;
    codes.iter().map(|code| code.expose_secret().to_owned()).collect()
}

/// A value as a form gives it.
#[cfg(feature = "ssr")]
pub(super) fn parsed<T>(text: &str) -> Result<T, Fault>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.trim()
        .parse()
        .map_err(|err: T::Err| Fault::new(FaultKind::Invalid, err.to_string()))
}

/// The QR code of `text`, with its quiet zone of four squares (ISO/IEC 18004).
#[cfg(feature = "ssr")]
fn picture(text: &str) -> Result<(String, u32), Fault> {
    use std::fmt::Write as _;
    const QUIET: i32 = 4;
    let code = qrcodegen::QrCode::encode_text(text, qrcodegen::QrCodeEcc::Medium)
        .map_err(|err| Fault::new(FaultKind::Internal, format!("no QR code of the secret: {err}")))?;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            // Writing to a string cannot fail.
            let _written = write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    Ok((path, (code.size() + 2 * QUIET).unsigned_abs()))
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::picture;

    #[test]
    fn the_picture_has_its_three_corners_and_a_quiet_zone() {
        let (path, size) = picture("otpauth://totp/DECNET:admin?secret=ABCDEFGH&issuer=DECNET").unwrap();
        let (last, first) = (size - 5, 4);
        for (x, y) in [(first, first), (last, first), (first, last)] {
            assert!(path.contains(&format!("M{x} {y}h")), "{x} {y}");
        }
        assert!(!path.contains(&format!("M{last} {last}h")) || size > 25);
        assert!(!path.contains("M3 ") && !path.contains(" 3h"));
    }
}
