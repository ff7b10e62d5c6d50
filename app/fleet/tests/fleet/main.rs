//! What planning and the local engine promise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod documented;
mod ini;
mod local;
mod planning;
mod resolving;

use std::collections::BTreeMap;

use decnet_decoys::Port;
use decnet_fleet::{Catalogue, DesiredDecky, Limits, resolve};
use decnet_model::{
    fleet::{DeckySpec, FleetSpec},
    name::ServiceSlug,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Six services with three knobs: enough to plan with, whatever the real catalogue holds.
pub(crate) struct Six;

impl Catalogue for Six {
    fn slugs(&self) -> Vec<ServiceSlug> {
        ["ssh", "http", "redis", "ftp", "mysql", "smtp"]
            .iter()
            .map(|s| s.parse().unwrap())
            .collect()
    }
    fn ports(&self, slug: &ServiceSlug) -> Option<Vec<Port>> {
        let port = match slug.as_str() {
            "ssh" => 22,
            "http" => 80,
            "redis" => 6379,
            "ftp" => 21,
            "mysql" => 3306,
            "smtp" => 25,
            _ => return None,
        };
        Some(vec![Port::Tcp(port)])
    }
    fn default_knobs(&self, _: &ServiceSlug) -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("banner".into(), json!("")),
            ("tarpit_ms".into(), json!(0)),
            ("anonymous".into(), json!(true)),
        ])
    }
    fn check_knob(&self, slug: &ServiceSlug, name: &str, value: &Value) -> Result<(), String> {
        let kind = |v: &Value| std::mem::discriminant(v);
        match self.default_knobs(slug).get(name) {
            None => Err(format!("unknown knob {name}")),
            Some(default) if kind(default) != kind(value) => Err(format!("{name} is of the wrong kind")),
            Some(_) => Ok(()),
        }
    }
}

pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_780_000_000).unwrap()
}

pub(crate) fn of(archetype: &str, amount: u32) -> DeckySpec {
    DeckySpec {
        archetype: Some(archetype.into()),
        amount: Some(amount),
        ..DeckySpec::default()
    }
}

pub(crate) fn fleet(deckies: Vec<DeckySpec>) -> FleetSpec {
    FleetSpec {
        deckies,
        replace: false,
    }
}

pub(crate) fn resolved(deckies: Vec<DeckySpec>) -> Vec<DesiredDecky> {
    resolve(&fleet(deckies), &[], &Limits::default(), &Six, now()).unwrap()
}
