//! Logs: one line an event, on standard error or in a file, as text or JSON.

use std::{
    fs::OpenOptions,
    io::IsTerminal,
    os::unix::fs::OpenOptionsExt,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

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
            // Whoever tells it says what the whole text was.
            return Err(if directive == text.trim() {
                "is no level".to_owned()
            } else {
                format!("has {directive:?}, which is no level")
            });
        }
    }
    EnvFilter::try_new(text).map_err(|error| format!("is no filter: {error}"))
}

/// The database's connection pool warns of each connection that a dead server cut, and the client of NATS of each attempt to
/// reach one. Whoever asked for something says so already, with what it was, and the bus says once when it goes and when it
/// is back; so both are silent where `level` does not name them.
fn with_quiet_libraries(level: &str) -> String {
    format!("sqlx::pool=off,async_nats=off,{level}")
}

/// Whether the log goes to a file.
static TO_FILE: AtomicBool = AtomicBool::new(false);

/// Whether whoever started the process sees its log.
pub(crate) fn is_seen() -> bool {
    !TO_FILE.load(Ordering::Relaxed)
}

/// Start logging as `settings` say. Later calls (tests start several workers in a process) change nothing.
///
/// # Errors
/// Where the log file cannot be opened.
pub fn start(settings: &Settings) -> Result<(), StartError> {
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(with_quiet_libraries(&settings.log_level)));
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
                .map_err(|error| {
                    let mut fault = StartError::io(&format!("log-file-path {}", path.display()), &error);
                    fault.message.push_str(
                        "; name a file that this user may write, in a folder that is there, or none",
                    );
                    fault
                })?;
            let builder = builder.with_ansi(false).with_writer(Mutex::new(file));
            let started = if json {
                builder.json().try_init()
            } else {
                builder.try_init()
            };
            TO_FILE.store(started.is_ok(), Ordering::Relaxed);
            started
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

/// Show on standard error when a database cannot be reached, each time that it is tried: for `decnet`, which has no log, and has
/// whoever called it wait meanwhile.
pub fn show_attempts() {
    let shown = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("off,decnet_db=warn"))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // It fails only where a logger is already there, which shows them.
    let _already_logging = shown.try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_file_that_cannot_be_opened_is_told_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut sources = crate::settings::Sources::at(dir.path());
        let file = dir.path().join("gone/decnet.log");
        sources.flags.insert("log-file-path", file.display().to_string());
        let told = start(&Settings::read(&sources).unwrap()).unwrap_err().message;
        assert!(
            told.starts_with(&format!("log-file-path {}: ", file.display()))
                && told.contains("; name a file that this user may write"),
            "{told}"
        );
    }

    #[test]
    fn libraries_that_tell_what_we_tell_are_silent_unless_they_are_asked_for() {
        for library in ["sqlx::pool", "async_nats"] {
            let level_of = |level: &str| {
                let filter = EnvFilter::new(with_quiet_libraries(level)).to_string();
                let own = filter
                    .split(',')
                    .find_map(|d| d.strip_prefix(library)?.strip_prefix('='));
                own.map(str::to_owned)
            };
            assert_eq!(level_of("debug").as_deref(), Some("off"));
            assert_eq!(level_of(&format!("info,{library}=warn")).as_deref(), Some("warn"));
        }
    }
}
