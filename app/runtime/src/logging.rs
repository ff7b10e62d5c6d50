//! Logs: one line an event, on standard error or in a file, as text or JSON.

use std::{fs::OpenOptions, io::IsTerminal, os::unix::fs::OpenOptionsExt, sync::Mutex};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{
    exit::StartError,
    settings::{LogFormat, Settings},
};

/// The filter that `text` describes: `info`, or `decnet_spool=debug,warn`.
///
/// A word alone is a level here. The library would take any other for the name of a module, so that a misspelt level would turn
/// all logs off.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    for directive in text.split(',').map(str::trim) {
        if !directive.contains(['=', '[']) && directive.parse::<LevelFilter>().is_err() {
            return Err(format!("{directive:?} is no level"));
        }
    }
    EnvFilter::try_new(text).map_err(|error| format!("is no filter: {error}"))
}

/// Start logging as `settings` say. Later calls (tests start several workers in a process) change nothing.
///
/// # Errors
/// Where the log file cannot be opened.
pub fn start(settings: &Settings) -> Result<(), StartError> {
    let builder = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(&settings.log_level));
    let (json, file) = (
        settings.log_format == LogFormat::Json,
        settings.log_file_path.as_deref(),
    );
    // try_init fails only where a logger is already there.
    let _already_logging = match file {
        Some(path) => {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o640)
                .open(path)
                .map_err(|error| StartError::io(&format!("log-file-path {}", path.display()), &error))?;
            let builder = builder.with_ansi(false).with_writer(Mutex::new(file));
            if json {
                builder.json().try_init()
            } else {
                builder.try_init()
            }
        }
        None => {
            let builder = builder
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(std::io::stderr);
            if json {
                builder.json().try_init()
            } else {
                builder.try_init()
            }
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(target: "panic", "{panic}\n{}", std::backtrace::Backtrace::capture());
    }));
    Ok(())
}
