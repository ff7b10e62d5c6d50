//! What only a shell at a terminal does: its prompt, completion, and asking for the rest of an unfinished command.

use super::{
    builtin::BUILTINS,
    distribution::Family,
    parse::{self, Fault},
    run::{Shell, Stream},
};

/// The most candidates that are listed.
const LISTED: usize = 200;

impl Shell {
    /// Whether a command line ends in the middle, so that the shell would ask for more.
    pub(crate) fn wants_more(line: &[u8]) -> bool {
        line.ends_with(b"\\") || matches!(parse::parse(line), Err(Fault::Incomplete(_)))
    }

    /// The prompt, as the distribution's skeleton files set it.
    pub(crate) fn prompt_text(&self) -> String {
        let home = self.env.text("HOME");
        let cwd = match self.env.cwd.strip_prefix(home.as_str()) {
            Some(rest) if !home.is_empty() && home != "/" && (rest.is_empty() || rest.starts_with('/')) => {
                format!("~{rest}")
            }
            _ => self.env.cwd.clone(),
        };
        let (user, host) = (&self.env.user, &self.machine.hostname);
        let sign = if self.env.uid == 0 { '#' } else { '$' };
        let here = if cwd == "~" || cwd == "/" {
            cwd.as_str()
        } else {
            cwd.rsplit('/').next().unwrap_or_default()
        };
        let plain = match self.machine.distribution.family {
            Family::Debian => format!("{user}@{host}:{cwd}{sign} "),
            Family::RedHat | Family::Arch => return format!("[{user}@{host} {here}]{sign} "),
            Family::Alpine => return format!("{host}:{cwd}{sign} "),
            Family::Device => return format!("{cwd} {sign} "),
        };
        let title = self.env.text("TERM").starts_with("xterm");
        if title && self.env.uid != 0 {
            format!("\x1b]0;{user}@{host}: {cwd}\x07{plain}")
        } else {
            plain
        }
    }

    /// What the word that ends `before` could become, whole.
    pub(crate) fn completions(&self, before: &str) -> Vec<String> {
        let start = before
            .rfind([' ', '\t', ';', '|', '&', '>', '<', '='])
            .map_or(0, |i| i + 1);
        let (head, word) = before.split_at(start);
        let first = head.trim_end().is_empty() || head.trim_end().ends_with(['|', ';', '&']);
        let mut out: Vec<String> = Vec::new();
        let (directory, part) = match word.rsplit_once('/') {
            Some((directory, part)) => (format!("{directory}/"), part),
            None => (String::new(), word),
        };
        if first && directory.is_empty() {
            out.extend(
                BUILTINS
                    .iter()
                    .filter(|b| b.starts_with(part))
                    .map(|b| format!("{b} ")),
            );
            for path in ["/usr/bin", "/usr/sbin"] {
                let names = self.vfs.list(self.who(), "/", path).unwrap_or_default();
                out.extend(
                    names
                        .into_iter()
                        .filter(|(name, _)| name.starts_with(part))
                        .map(|(name, _)| format!("{name} ")),
                );
            }
        } else {
            let place = match directory.as_str() {
                "" => ".".to_owned(),
                directory => directory.replacen(
                    '~',
                    &self.env.text("HOME"),
                    usize::from(directory.starts_with('~')),
                ),
            };
            for (name, node) in self
                .vfs
                .list(self.who(), &self.env.cwd, &place)
                .unwrap_or_default()
            {
                if name.starts_with(part) && (part.starts_with('.') || !name.starts_with('.')) {
                    let end = if node.is_dir() { '/' } else { ' ' };
                    out.push(format!("{directory}{name}{end}"));
                }
            }
        }
        out.sort();
        out.dedup();
        out
    }

    /// Act on a tab: put in what all candidates share, or list them.
    pub(crate) fn complete(&mut self, before: &str, candidates: &[String], prompt: &str) {
        let start = before
            .rfind([' ', '\t', ';', '|', '&', '>', '<', '='])
            .map_or(0, |i| i + 1);
        let word = before.get(start..).unwrap_or_default();
        let Some(first) = candidates.first() else {
            self.outside.write(Stream::Out, b"\x07");
            return;
        };
        let shared = candidates.iter().fold(first.as_str(), |shared, c| {
            let len = shared
                .char_indices()
                .zip(c.chars())
                .take_while(|((_, a), b)| a == b)
                .map(|((i, a), _)| i + a.len_utf8())
                .last();
            shared.get(..len.unwrap_or(0)).unwrap_or_default()
        });
        let more = shared.get(word.len()..).unwrap_or_default();
        if !more.is_empty() {
            self.outside.insert(more);
            return;
        }
        let names: Vec<String> = candidates
            .iter()
            .take(LISTED)
            .map(|c| {
                let c = c.trim_end_matches(' ');
                let base = c.trim_end_matches('/').rsplit('/').next().unwrap_or(c).to_owned();
                if c.ends_with('/') {
                    format!("{base}/")
                } else {
                    base
                }
            })
            .collect();
        let typed = self.outside.typed();
        let text = format!("\n{}\n{prompt}{typed}", names.join("  "));
        self.outside.write(Stream::Out, text.as_bytes());
    }
}
