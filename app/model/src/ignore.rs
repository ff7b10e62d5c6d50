//! Ignore rules: which lines of evidence are noise, such as those of one's own scanner.
//!
//! A line that a rule fits is kept in the spool and counted, and becomes neither a row nor an attacker.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{id::IgnoreRuleId, view::FieldError};

/// Rules that there may be.
pub const MAX_RULES: usize = 100;
/// The most characters of a decky, a service or an event type in a rule.
const MAX_WORD: usize = 64;
/// The most characters of a note.
const MAX_NOTE: usize = 200;

/// Which lines a rule is about: those that agree with everything that is said here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IgnoreMatch {
    /// Source addresses: a network, or a single address.
    #[serde(skip_serializing_if = "Option::is_none", with = "network")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 49))]
    pub network: Option<IpNet>,
    /// Only this decky.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64))]
    pub decky: Option<String>,
    /// Only this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64))]
    pub service: Option<String>,
    /// Only this type of event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64))]
    pub event_type: Option<String>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IgnoreRule {
    /// Its id.
    pub id: IgnoreRuleId,
    /// Which lines it is about.
    pub lines: IgnoreMatch,
    /// Why there is such a rule.
    pub note: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

impl IgnoreMatch {
    /// What is wrong with it as part of a new rule, together with `note`.
    #[must_use]
    pub fn faults(&self, note: &str) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut add = |field: &str, message: String| {
            faults.push(FieldError {
                field: field.into(),
                message,
            });
        };
        for (field, word) in [
            ("decky", &self.decky),
            ("service", &self.service),
            ("event_type", &self.event_type),
        ] {
            let is_word = |w: &String| {
                (1..=MAX_WORD).contains(&w.chars().count()) && w.chars().all(|c| c.is_ascii_graphic())
            };
            if word.as_ref().is_some_and(|w| !is_word(w)) {
                add(
                    field,
                    format!("1 to {MAX_WORD} printable ASCII characters without spaces"),
                );
            }
        }
        if note.chars().count() > MAX_NOTE || note.chars().any(char::is_control) {
            add(
                "note",
                format!("at most {MAX_NOTE} characters, none of them a control character"),
            );
        }
        if *self == Self::default() {
            add(
                "network",
                "a rule without any condition would ignore everything".into(),
            );
        }
        if self.network.is_some_and(|network| network.prefix_len() == 0) && self.is_network_alone() {
            add(
                "network",
                "this network is every address: name a decky, a service or an event type, too".into(),
            );
        }
        faults
    }

    fn is_network_alone(&self) -> bool {
        self.decky.is_none() && self.service.is_none() && self.event_type.is_none()
    }

    /// Whether a line is one of those.
    #[must_use]
    pub fn fits(&self, source: Option<IpAddr>, decky: &str, service: &str, event_type: &str) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        let from = |network: IpNet| source.is_some_and(|ip| network.contains(&ip.to_canonical()));
        self.network.is_none_or(from)
            && same(&self.decky, decky)
            && same(&self.service, service)
            && same(&self.event_type, event_type)
    }
}

/// A network in its text form, or an address that stands for itself.
mod network {
    use std::net::IpAddr;

    use ipnet::IpNet;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(network: &Option<IpNet>, to: S) -> Result<S::Ok, S::Error> {
        network.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<IpNet>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let network = text.parse::<IpNet>().map(|network| network.trunc());
        let network = network.or_else(|_| text.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical())));
        network
            .map(Some)
            .map_err(|_| D::Error::custom("a network such as 192.0.2.0/24, or an address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> IgnoreMatch {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_rule_fits_what_agrees_with_all_that_it_says() {
        let ip = |text: &str| text.parse().ok();
        let all =
            rule(r#"{"network":"192.0.2.77/24","decky":"web-01","service":"ssh","event_type":"connect"}"#);
        assert_eq!(all.network.unwrap().to_string(), "192.0.2.0/24");
        assert!(all.fits(ip("192.0.2.9"), "web-01", "ssh", "connect"));
        assert!(all.fits(ip("::ffff:192.0.2.9"), "web-01", "ssh", "connect"));
        for (source, decky, service, kind) in [
            (ip("192.0.3.9"), "web-01", "ssh", "connect"),
            (None, "web-01", "ssh", "connect"),
            (ip("192.0.2.9"), "web-02", "ssh", "connect"),
            (ip("192.0.2.9"), "web-01", "http", "connect"),
            (ip("192.0.2.9"), "web-01", "ssh", "command"),
        ] {
            assert!(!all.fits(source, decky, service, kind));
        }
        let one = rule(r#"{"network":"2001:db8::1"}"#);
        assert!(one.fits(ip("2001:db8::1"), "a", "b", "c") && !one.fits(ip("2001:db8::2"), "a", "b", "c"));
        assert!(rule(r#"{"service":"ssh"}"#).fits(None, "a", "ssh", "c"));
    }

    #[test]
    fn a_rule_that_ignores_everything_or_cannot_be_is_refused() {
        let field = |text: &str| {
            let faults = rule(text).faults("");
            faults.into_iter().map(|fault| fault.field).collect::<Vec<_>>()
        };
        assert_eq!(field("{}"), ["network"]);
        assert_eq!(field(r#"{"network":"0.0.0.0/0"}"#), ["network"]);
        assert_eq!(field(r#"{"network":"::/0"}"#), ["network"]);
        assert_eq!(
            field(r#"{"decky":"","service":"a b","event_type":"\u0007"}"#),
            ["decky", "service", "event_type"]
        );
        assert_eq!(field(r#"{"network":"0.0.0.0/0","service":"ssh"}"#), [""; 0]);
        assert_eq!(rule(r#"{"service":"ssh"}"#).faults("a\nb").len(), 1);
        assert_eq!(rule(r#"{"service":"ssh"}"#).faults(&"x".repeat(201)).len(), 1);
        for bad in [
            r#"{"network":"192.0.2.0/33"}"#,
            r#"{"network":"web"}"#,
            r#"{"port":1}"#,
        ] {
            assert!(serde_json::from_str::<IgnoreMatch>(bad).is_err(), "{bad}");
        }
    }
}
