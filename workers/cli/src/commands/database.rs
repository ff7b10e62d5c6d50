//! `decnet db` and `decnet init`.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use anyhow::Result;
use decnet_bus::Bus;
use decnet_db::Store;
use decnet_domain::{Domain, FirstAdmin};
use decnet_model::clock::{SharedClock, SystemClock};
use decnet_runtime::{
    Settings, StartError, logging,
    secret::{ExposeSecret, check_folder, ensure_key_file},
    settings::Faults,
    supervisor::Door,
    worker::connect,
};
use serde_json::json;

use crate::{
    cli::{DbCommand, PlaceArgs},
    host, output,
};

/// `decnet db …`
pub(crate) async fn run(place: &PlaceArgs, command: &DbCommand) -> Result<()> {
    let settings = host::master_settings(place)?;
    let database = settings.store_options().public_url();
    match command {
        DbCommand::Migrate(list) => {
            make_folders(&settings)?;
            let store = Store::connect(&settings.store_options())
                .await
                .map_err(StartError::from)?;
            let applied = store.migrate().await.map_err(StartError::from)?;
            if list.json {
                return output::json(&json!({ "database": database, "current": true, "applied": applied }));
            }
            if !applied.is_empty() {
                println!("Applied to {database}: {}.", applied.join(", "));
            }
        }
        DbCommand::Status(list) => {
            drop(connect(&settings).await?);
            if list.json {
                return output::json(&json!({ "database": database, "current": true }));
            }
        }
    }
    println!("The database is of this version.");
    Ok(())
}

/// `decnet init`
pub(crate) async fn init(place: &PlaceArgs) -> Result<()> {
    let settings = host::master_settings(place)?;
    let admin = prepare(&settings).await?;
    println!("Everything is in {}.", settings.data_dir.display());
    tell_password(&admin);
    Ok(())
}

/// Say how to log in where the password was drawn just now: it is told once.
pub(crate) fn tell_password(admin: &FirstAdmin) {
    if let Some(password) = &admin.generated_password {
        output::say(&format!(
            "Log in as {} with the password {} (told once; it has to be changed).\n",
            admin.username,
            password.expose_secret()
        ));
    }
}

/// Make what an installation needs and does not have yet: folders, the secret, the authority,
/// the schema, somebody who can sign in.
pub(crate) async fn prepare(settings: &Settings) -> Result<FirstAdmin> {
    Door::fits(&settings.run_dir()).map_err(|error| StartError::unavailable(error.to_string()))?;
    make_folders(settings)?;
    if !settings.has_jwt_secret() {
        ensure_key_file(&settings.jwt_key_file())?;
    }
    if !settings.has_totp_key() {
        ensure_key_file(&settings.totp_key_file())?;
    }
    // Before there is a database, and before a worker begins: the server would end on it when all others run.
    let faults = settings.key_faults(true);
    if !faults.is_empty() {
        return Err(StartError::from(Faults(faults)).into());
    }
    logging::show_attempts();
    let clock: SharedClock = Arc::new(SystemClock);
    decnet_pki::Authority::ensure(&settings.pki_dir(), clock.now())
        .map_err(|error| StartError::config(error.to_string()))?;
    let store = Store::connect(&settings.store_options())
        .await
        .map_err(StartError::from)?;
    store.migrate().await.map_err(StartError::from)?;
    let domain = Domain::new(store, Bus::none(), clock, decnet_domain::Options::of(settings))?;
    Ok(domain.ensure_admin().await?)
}

/// The folders of the data directory, readable by their owner alone.
fn make_folders(settings: &Settings) -> Result<(), StartError> {
    let data = &settings.data_dir;
    let make = |path: &Path, mode: u32| {
        fs::create_dir_all(path)
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
            .map_err(|error| {
                let mut fault = StartError::io(&format!("data directory {}", path.display()), &error);
                fault
                    .message
                    .push_str("; give another with --data-dir, or make it writable for this user");
                fault
            })
    };
    if !data.is_dir() {
        make(data, 0o750)?;
    }
    // To close it without a word would hide that somebody may have been there.
    let secrets = data.join("secrets");
    if secrets.is_dir() {
        check_folder(&secrets)?;
    }
    // All that the layout names, so that whoever looks finds each place before something is in it.
    let folders = [
        "secrets",
        "spool",
        "spool/readers",
        "outlets",
        "deckies",
        "bait",
        "run",
    ];
    for folder in folders {
        make(&data.join(folder), 0o700)?;
    }
    // A folder that was there before may belong to somebody else.
    let probe = data.join("run/.writable");
    fs::write(&probe, "")
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|error| {
            let mut fault = StartError::io(&format!("data directory {}", data.display()), &error);
            fault
                .message
                .push_str("; give another with --data-dir, or make it writable for this user");
            fault
        })
}
