//! Any text as a configuration file is settings, or has faults that are told, each with a line that the file has.
#![cfg_attr(not(test), no_main)]

use std::{fs, path::PathBuf, sync::LazyLock};

use decnet_runtime::settings::{
    Settings,
    sources::{Origin, Sources},
};

/// Read anew for each input, as a program reads it.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("settings-{}.ini", std::process::id())));

libfuzzer_sys::fuzz_target!(|text: &str| {
    fs::write(&*FILE, text).expect("the temporary folder can be written");
    let sources = Sources {
        config: Some(FILE.clone()),
        ..Sources::default()
    };
    if let Err(faults) = Settings::read(&sources) {
        let lines = text.lines().count();
        assert!(!faults.0.is_empty() && !faults.to_string().is_empty());
        for fault in &faults.0 {
            if let Origin::File(_, line) = fault.origin {
                assert!((1..=lines).contains(&line), "{fault:?}");
            }
        }
    }
});
