//! `decnet config`: check it, show it, list its keys. Opens nothing and binds nothing.

use anyhow::Result;
use decnet_runtime::settings::keys::KEYS;

use crate::{
    cli::{ConfigCommand, PlaceArgs},
    host, output,
};

/// `decnet config …`
pub(crate) fn run(place: &PlaceArgs, command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Check => {
            let settings = host::settings(place)?;
            let said = settings
                .explain()
                .iter()
                .filter(|e| e.origin != "default")
                .count();
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
                        serde_json::json!({
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
