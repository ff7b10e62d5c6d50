//! `decnet config`: check it, show it, list its keys. Opens nothing and binds nothing.

use anyhow::Result;
use decnet_runtime::{Settings, StartError, settings::keys::KEYS};
use serde_json::json;

use crate::{
    cli::{ConfigCommand, PlaceArgs},
    host, output,
};

/// `decnet config …`
pub(crate) fn run(place: &PlaceArgs, command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Check(list) => {
            let settings = match Settings::read(&host::sources(place)?) {
                Ok(settings) => settings,
                Err(faults) => {
                    if list.json {
                        let faults: Vec<_> = faults
                            .0
                            .iter()
                            .map(|f| json!({ "key": f.key, "from": f.origin.to_string(), "problem": f.problem }))
                            .collect();
                        output::json(&json!({ "ok": false, "faults": faults }))?;
                    }
                    return Err(StartError::from(faults).into());
                }
            };
            let said = settings
                .explain()
                .iter()
                .filter(|e| e.origin != "default")
                .count();
            if list.json {
                let by_default = KEYS.len() - said;
                return output::json(
                    &json!({ "ok": true, "faults": [], "set": said, "by_default": by_default }),
                );
            }
            println!(
                "The configuration is in order ({said} keys set, {} by default).",
                KEYS.len() - said
            );
        }
        ConfigCommand::Show(list) => {
            let settings = host::settings(place)?;
            if list.json {
                return output::json(&settings.explain());
            }
            let rows: Vec<_> = settings
                .explain()
                .iter()
                .map(|e| vec![e.key.to_owned(), e.value.clone(), e.origin.clone()])
                .collect();
            output::table(&["KEY", "VALUE", "FROM"], &rows, "");
        }
        ConfigCommand::Keys(list) => {
            if list.json {
                let keys: Vec<_> = KEYS
                    .iter()
                    .map(|k| {
                        json!({
                            "key": k.name, "section": k.section.as_str(), "env": k.env(), "default": k.default,
                            "allowed": k.allowed, "secret": k.secret, "about": k.doc,
                        })
                    })
                    .collect();
                return output::json(&keys);
            }
            let rows: Vec<_> = KEYS
                .iter()
                .map(|k| {
                    vec![
                        format!("[{}] {}", k.section.as_str(), k.name),
                        k.env(),
                        k.default.to_owned(),
                        k.allowed.to_owned(),
                        k.doc.to_owned(),
                    ]
                })
                .collect();
            output::table(
                &["KEY", "ENVIRONMENT", "DEFAULT", "ALLOWED", "WHAT IT DOES"],
                &rows,
                "",
            );
        }
    }
    Ok(())
}
