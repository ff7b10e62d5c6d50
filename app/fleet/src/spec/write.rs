//! A fleet as INI: what [`Described::read`](super::Described::read) makes the same fleet of.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
};

use decnet_model::{
    fleet::{DeckySpec, FleetSpec, OwnImage},
    name::ServiceSlug,
};
use serde_json::Value;

use super::{BAIT, CUSTOM, GENERAL, typed, without_comment};
use crate::{Catalogue, SpecFault, own_image};

/// `spec` as INI. Every decky of it needs a name, because sections have one.
///
/// # Errors
/// Every field that no line says: a line ends at a line break and where a comment begins, and loses white space at its ends.
pub fn to_ini(spec: &FleetSpec, catalogue: &dyn Catalogue) -> Result<String, Vec<SpecFault>> {
    let mut writer = Writer {
        text: String::new(),
        faults: Vec::new(),
    };
    if spec.replace {
        writer.section(GENERAL);
        writer.pair("replace", "replace", "yes");
    }
    let mut images = BTreeMap::new();
    for (i, decky) in spec.deckies.iter().enumerate() {
        let at = format!("deckies[{i}]");
        writer.decky(decky, &at, catalogue);
        for (j, service) in decky.services.iter().enumerate() {
            if let Some(image) = &service.image
                && *images.entry(&service.slug).or_insert(image) != image
            {
                let problem = format!("{} is another image on another decky", service.slug);
                writer.fault(&format!("{at}.services[{j}].image"), &problem);
            }
        }
    }
    for (slug, image) in images {
        writer.image(slug, image);
    }
    if writer.faults.is_empty() {
        Ok(writer.text)
    } else {
        Err(writer.faults)
    }
}

struct Writer {
    text: String,
    faults: Vec<SpecFault>,
}

impl Writer {
    fn fault(&mut self, field: &str, problem: &str) {
        self.faults.push(SpecFault::new(field, problem));
    }

    fn section(&mut self, name: impl Display) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _written = writeln!(self.text, "{gap}[{name}]");
    }

    /// `key = value`, where that is what is read of it.
    fn pair(&mut self, field: &str, key: &str, value: &str) {
        let line = format!("{key} = {value}");
        let line = line.trim_end();
        let read = without_comment(line).trim();
        let is_read = !line.contains(['\n', '\r'])
            && !read.starts_with('[')
            && read
                .split_once('=')
                .is_some_and(|(k, v)| (k.trim(), v.trim()) == (key, value));
        if is_read {
            self.text.push_str(line);
            self.text.push('\n');
        } else {
            self.fault(
                field,
                "no line of text says this: it has a line break, a comment's beginning or white space at an end",
            );
        }
    }

    fn decky(&mut self, decky: &DeckySpec, at: &str, catalogue: &dyn Catalogue) {
        // By name, so that a field which is new is not forgotten here.
        let DeckySpec {
            name,
            amount,
            archetype,
            services,
            randomize_services,
            distro,
            os,
            ip,
            mac,
            hostname,
            seed,
            bait,
            mutate_interval_minutes,
            egress,
        } = decky;
        let Some(name) = name else {
            self.fault(&format!("{at}.name"), "a section needs a name");
            return;
        };
        if name.as_str() == GENERAL || name.as_str().starts_with(CUSTOM) {
            self.fault(
                &format!("{at}.name"),
                &format!("{name}: a section of this name means something else; call the decky otherwise"),
            );
        }
        self.section(name);
        let slugs: Vec<&str> = services.iter().map(|s| s.slug.as_str()).collect();
        let fields = [
            ("archetype", archetype.clone()),
            ("amount", amount.map(|n| n.to_string())),
            ("services", (!slugs.is_empty()).then(|| slugs.join(", "))),
            ("randomize_services", randomize_services.then(|| "yes".to_owned())),
            ("distro", distro.clone()),
            ("os", os.clone()),
            ("ip", ip.map(|ip| ip.to_string())),
            ("mac", mac.clone()),
            ("hostname", hostname.clone()),
            ("seed", seed.clone()),
            ("bait", bait.clone()),
            (
                "mutate_interval_minutes",
                mutate_interval_minutes.map(|n| n.to_string()),
            ),
            ("egress", egress.clone()),
        ];
        for (key, value) in fields {
            if let Some(value) = value {
                self.pair(&format!("{at}.{key}"), key, &value);
            }
        }
        for (i, service) in services.iter().enumerate() {
            if service.knobs.is_empty() && service.bait.is_none() {
                continue;
            }
            self.section(format_args!("{name}.{}", service.slug));
            if let Some(folder) = &service.bait {
                self.pair(&format!("{at}.services[{i}].{BAIT}"), BAIT, folder);
            }
            let presets = catalogue.default_knobs(&service.slug);
            for (knob, value) in &service.knobs {
                let field = format!("{at}.services[{i}].knobs.{knob}");
                match knob_text(value, presets.get(knob)) {
                    Some(text) => self.pair(&field, knob, &text),
                    None => self.fault(&field, "no text says this value"),
                }
            }
        }
    }

    fn image(&mut self, slug: &ServiceSlug, own: &OwnImage) {
        self.section(format_args!("{CUSTOM}{slug}"));
        let field = |key: &str| format!("{CUSTOM}{slug}.{key}");
        self.pair(&field("image"), "image", &own.image);
        if !own.command.is_empty() {
            self.pair(&field("command"), "command", &own_image::line(&own.command));
        }
        let ports: Vec<_> = own.ports.iter().map(ToString::to_string).collect();
        self.pair(&field("ports"), "ports", &ports.join(", "));
        if let Some(memory) = own.memory_mb {
            self.pair(&field("memory_mb"), "memory_mb", &memory.to_string());
        }
    }
}

/// The text that a knob with this `preset` is read as `value` from.
fn knob_text(value: &Value, preset: Option<&Value>) -> Option<String> {
    let plain = value.as_str().map(str::to_owned);
    let mut ways = plain.into_iter().chain([value.to_string()]);
    ways.find(|text| typed(text, preset) == *value)
}
