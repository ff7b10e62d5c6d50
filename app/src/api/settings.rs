//! Settings that are changed while DECNET runs. What changes something is a plain form too.

use decnet_model::view::ConfigView;
use leptos::prelude::*;

use super::{Answer, json::Json};
#[cfg(feature = "ssr")]
use super::{Fault, FaultKind, access::parsed, ssr::permitted};
#[cfg(feature = "ssr")]
use decnet_model::view::FieldError;

/// Where every form of settings leads back to.
pub(crate) const PAGE: &str = "/settings/host";

/// What has to be typed before log rows are deleted for their age.
pub(crate) const AGE_WORDS: &str = "delete old rows";

/// What is in effect.
#[server(prefix = "/ui", endpoint = "config_get", input = Json, output = Json)]
pub async fn config_get() -> Answer<ConfigView> {
    let (domain, see) = permitted()?;
    Ok(domain.config(&see).await?)
}

/// Change the setting called `name`; nothing is what the configuration of the host says. Where log rows would be deleted by that,
/// `confirm` has to be the words that the page names.
#[server(prefix = "/ui", endpoint = "setting_change", output = Json)]
pub async fn setting_change(name: String, value: String, confirm: Option<String>) -> Answer<()> {
    use decnet_domain::Setting;
    let (domain, manage) = permitted::<decnet_model::permission::ManageSettings>()?;
    let setting = Setting::ALL
        .iter()
        .copied()
        .find(|setting| setting.name() == name)
        .ok_or_else(|| Fault::new(FaultKind::Invalid, "there is no such setting"))?;
    let value = match value.trim() {
        "" => None,
        value => Some(parsed(value).map_err(|fault| of_field("value", fault.detail))?),
    };
    if let (Setting::RetentionDays, Some(days)) = (setting, value)
        && confirm.is_none_or(|typed| typed.trim() != AGE_WORDS)
        && domain.retention_preview(&manage, days).await? > 0
    {
        return Err(of_field("confirm", format!("type: {AGE_WORDS}")));
    }
    domain.setting_change(&manage, setting, value).await?;
    leptos_axum::redirect(PAGE);
    Ok(())
}

/// How many log rows would be deleted, were they kept for so many `days`; none where all are kept, which is nothing.
#[server(prefix = "/ui", endpoint = "retention_preview", input = Json, output = Json)]
pub async fn retention_preview(days: String) -> Answer<u64> {
    let (domain, manage) = permitted()?;
    match days.trim() {
        "" => Ok(0),
        days => {
            let days = parsed(days).map_err(|fault| of_field("days", fault.detail))?;
            Ok(domain.retention_preview(&manage, days).await?)
        }
    }
}

/// Keep lines out that agree with everything that is said; what is empty is not said.
#[server(prefix = "/ui", endpoint = "ignore_rule_create", output = Json)]
pub async fn ignore_rule_create(
    network: String,
    decky: String,
    service: String,
    event_type: String,
    note: String,
) -> Answer<()> {
    use decnet_model::{ignore::IgnoreMatch, permission::ManageSettings};
    let (domain, manage) = permitted::<ManageSettings>()?;
    let word = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let network = match word(network) {
        None => None,
        // A single address is a network of one.
        Some(text) => Some(
            text.parse()
                .or_else(|_| text.parse::<std::net::IpAddr>().map(Into::into))
                .map_err(|_| of_field("network", "an address, or a network such as 192.0.2.0/24".into()))?,
        ),
    };
    let lines = IgnoreMatch {
        network,
        decky: word(decky),
        service: word(service),
        event_type: word(event_type),
    };
    domain
        .ignore_rule_create(&manage, lines, note.trim().to_owned())
        .await?;
    leptos_axum::redirect(PAGE);
    Ok(())
}

/// Look at such lines again, from now on.
#[server(prefix = "/ui", endpoint = "ignore_rule_delete", output = Json)]
pub async fn ignore_rule_delete(id: String) -> Answer<()> {
    let (domain, manage) = permitted()?;
    domain.ignore_rule_delete(&manage, parsed(&id)?).await?;
    leptos_axum::redirect(PAGE);
    Ok(())
}

/// Delete all evidence from the database; `confirm` has to be the words that the page names.
#[server(prefix = "/ui", endpoint = "reinitialise", output = Json)]
pub async fn reinitialise(confirm: String) -> Answer<()> {
    let (domain, permit) = permitted()?;
    domain.reinitialise(&permit, confirm.trim()).await?;
    leptos_axum::redirect("/");
    Ok(())
}

#[cfg(feature = "ssr")]
fn of_field(field: &str, message: String) -> Fault {
    let mut fault = Fault::new(FaultKind::Invalid, "The form has a fault");
    fault.fields.push(FieldError {
        field: field.into(),
        message,
    });
    fault
}
