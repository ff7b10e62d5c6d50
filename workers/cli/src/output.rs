//! What is printed: tables for people, JSON for programs, lines with a name before them for a whole host.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use serde::Serialize;

/// Print `rows` as an aligned table under `head`, or `empty` where there are none.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>], empty: &str) {
    if rows.is_empty() {
        println!("{empty}");
        return;
    }
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain(head.get(column).map(|h| h.chars().count()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(&mut head.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// Print `value` as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Lines of several processes on one screen, each with the name of its process before it.
#[derive(Debug, Clone)]
pub(crate) struct Prefixed {
    out: Arc<Mutex<io::Stderr>>,
    colours: bool,
}

impl Prefixed {
    /// On standard error.
    pub(crate) fn new() -> Self {
        let out = io::stderr();
        Self {
            colours: out.is_terminal(),
            out: Arc::new(Mutex::new(out)),
        }
    }

    /// Print a line of the process `name`.
    pub(crate) fn line(&self, name: &str, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed terminal is no reason to end the host.
        let _closed = if self.colours {
            let colour = 31 + name.bytes().map(u32::from).sum::<u32>() % 6;
            writeln!(out, "\x1b[{colour}m{name:>10} |\x1b[0m {text}")
        } else {
            writeln!(out, "{name:>10} | {text}")
        };
    }
}

/// Print `text` of a process that goes on without its terminal.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    // A closed terminal is no reason to end the host.
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What others wrote, without what would steer a terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// A stored value in quotes. It is printable already, with `\xNN` for what is not, and a backslash stands for itself.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

/// A time as others are asked for it, to the fraction that it has.
pub(crate) fn rfc3339(at: time::OffsetDateTime) -> String {
    // Every year that a time may be given in has such a form.
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_else(|_| at.to_string())
}

/// A time to the second, in UTC.
pub(crate) fn time(at: time::OffsetDateTime) -> String {
    let (date, time) = (at.date(), at.time());
    format!(
        "{date} {:02}:{:02}:{:02}Z",
        time.hour(),
        time.minute(),
        time.second()
    )
}
