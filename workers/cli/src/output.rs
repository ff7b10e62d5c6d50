//! What is printed: tables for people, JSON for programs, lines with a name before them for a whole host.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use decnet_model::printable::{deceives, visible};
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
    let text = serde_json::to_string_pretty(value)?;
    writeln!(io::stdout().lock(), "{}", plain_json(&text))?;
    Ok(())
}

/// Print `value` as a line of JSON into `out`.
pub(crate) fn json_line(mut out: impl Write, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)?;
    writeln!(out, "{}", plain_json(&text))?;
    Ok(())
}

/// The same JSON, with what would deceive its reader on a terminal as JSON's own escapes. It can only stand in strings.
fn plain_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        if deceives(c) {
            for unit in c.encode_utf16(&mut units) {
                plain.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            plain.push(c);
        }
    }
    plain
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

/// What others wrote, on one line, without what would steer a terminal or deceive its reader.
pub(crate) fn harmless(text: &str) -> String {
    visible(text).replace('\n', "⟨U+000A⟩")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_neither_steers_a_terminal_nor_turns_its_text() {
        assert_eq!(
            harmless("rm \u{202e}txt.sh\u{2066}\u{1b}[2J\nnext"),
            "rm ⟨U+202E⟩txt.sh⟨U+2066⟩⟨U+001B⟩[2J⟨U+000A⟩next"
        );
        let said = serde_json::json!({ "a\u{202e}": "b\u{7f}\u{e0041}\n\u{9b}2J" });
        for text in [
            serde_json::to_string(&said).unwrap(),
            serde_json::to_string_pretty(&said).unwrap(),
        ] {
            let plain = plain_json(&text);
            assert!(!plain.chars().any(deceives), "{plain}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&plain).unwrap(), said);
        }
    }
}
