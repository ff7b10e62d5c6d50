//! `decnet config`: check it, show it, list its keys. Opens no database and binds nothing.

use anyhow::Result;
use decnet_runtime::{
    Settings, StartError,
    settings::{Fault, Sources, keys::KEYS},
};
use serde_json::json;

use crate::{
    cli::{ConfigCommand, PlaceArgs},
    host, output,
};

/// `decnet config …`
pub(crate) fn run(place: &PlaceArgs, command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Check(list) => {
            let sources = Sources {
                key_files: true,
                ..host::sources(place)
            };
            let covered = Settings::covered_faults(&sources);
            let listed = |faults: &[Fault]| -> Vec<_> {
                let one =
                    |f: &Fault| json!({ "key": f.key, "from": f.origin.to_string(), "problem": f.problem });
                faults.iter().map(one).collect()
            };
            if !list.json {
                for fault in &covered {
                    eprintln!("warning: {fault}; a stronger source covers it");
                }
            }
            let settings = match Settings::read(&sources) {
                Ok(settings) => settings,
                Err(faults) => {
                    if list.json {
                        output::json(&json!({
                            "ok": false, "faults": listed(&faults.0), "warnings": listed(&covered),
                        }))?;
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
                return output::json(&json!({
                    "ok": true, "faults": [], "warnings": listed(&covered), "set": said, "by_default": by_default,
                }));
            }
            println!(
                "The configuration is in order ({said} keys set, {} by default).",
                KEYS.len() - said
            );
        }
        ConfigCommand::Show(list) => {
            let settings = Settings::read(&host::sources(place)).map_err(StartError::from)?;
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
