//! What only a shell at a terminal does: its prompt, history and completion, asking for the rest of an unfinished
//! command, and shells within it.

use std::{future::Future, pin::Pin};

use super::{
    builtin::BUILTINS,
    distribution::Family,
    machine::Machine,
    parse::{self, Fault},
    run::{Ancestor, Report, Running, Shell, Stop, Stream, Typed},
    vars::{Dialect, Options},
};

/// The most candidates that are listed.
const LISTED: usize = 200;
/// Shells within shells.
const NESTED: usize = 12;
/// Bytes of a command that goes over several lines.
const UNFINISHED: usize = 64 << 10;

/// A shell that begins at the terminal.
pub(super) struct Start {
    pub(super) arg0: String,
    pub(super) dialect: Dialect,
    pub(super) login: bool,
}

/// What a command that was begun still waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    /// More of it.
    Lines,
    /// The body of a here-document.
    Here(parse::OpenHere),
}

impl Shell {
    /// What a shell that reads lines still waits for, of a command that begins like this.
    pub(super) fn rest_of(command: &[u8]) -> Rest {
        let mut read = parse::read(command);
        match read.list {
            Err(Fault::Unexpected(_)) => Rest::Nothing,
            _ if !read.open.is_empty() => Rest::Here(read.open.swap_remove(0)),
            Err(Fault::Incomplete(_)) => Rest::Lines,
            Ok(_) if command.ends_with(b"\\") => Rest::Lines,
            Ok(_) => Rest::Nothing,
        }
    }

    /// What a shell at a terminal sets before its first prompt: its files' work.
    fn settle(&mut self) {
        self.interactive = true;
        let bash = self.env.dialect == Dialect::Bash;
        let (family, root) = (self.machine.distribution.family, self.env.uid == 0);
        let home = self.env.text("HOME");
        let set = |shell: &mut Self, name: &str, value: &str| shell.env.set(name, value.as_bytes().to_vec());
        let xterm = self.env.text("TERM").starts_with("xterm");
        let prompt = match (self.env.dialect, family) {
            (Dialect::Dash, _) if root => "# ".to_owned(),
            (Dialect::Dash, _) => "$ ".to_owned(),
            (_, Family::RedHat | Family::Arch) => "[\\u@\\h \\W]\\$ ".to_owned(),
            (_, Family::Alpine) => "\\h:\\w\\$ ".to_owned(),
            (_, Family::Device) => "\\w \\$ ".to_owned(),
            (_, Family::Debian) => {
                let plain = "${debian_chroot:+($debian_chroot)}\\u@\\h:\\w\\$ ";
                if xterm && !root {
                    format!("\\[\\e]0;${{debian_chroot:+($debian_chroot)}}\\u@\\h: \\w\\a\\]{plain}")
                } else {
                    plain.to_owned()
                }
            }
        };
        set(self, "PS1", &prompt);
        set(self, "PS2", "> ");
        set(self, "PS4", "+ ");
        if bash {
            let level = self.env.text("SHLVL").parse::<u32>().unwrap_or(0);
            if !self.ancestors.is_empty() {
                self.env.export("SHLVL", &(level + 1).to_string());
            }
            set(self, "HISTFILE", &format!("{home}/.bash_history"));
            let own_files = !root
                || self
                    .machine
                    .distribution
                    .motd("", "")
                    .starts_with("Welcome to Ubuntu");
            let (size, file_size) = match family {
                Family::Debian if own_files => ("1000", "2000"),
                Family::RedHat => ("1000", "1000"),
                _ => ("500", "500"),
            };
            set(self, "HISTSIZE", size);
            set(self, "HISTFILESIZE", file_size);
            match family {
                Family::Debian if own_files => set(self, "HISTCONTROL", "ignoreboth"),
                Family::RedHat => self.env.export("HISTCONTROL", "ignoredups"),
                _ => {}
            }
            if own_files && family == Family::Debian {
                for (name, value) in [
                    ("ls", "ls --color=auto"),
                    ("grep", "grep --color=auto"),
                    ("fgrep", "fgrep --color=auto"),
                    ("egrep", "egrep --color=auto"),
                    ("ll", "ls -alF"),
                    ("la", "ls -A"),
                    ("l", "ls -CF"),
                ] {
                    if !matches!(name, "ll" | "la" | "l")
                        || self
                            .machine
                            .distribution
                            .motd("", "")
                            .starts_with("Welcome to Ubuntu")
                    {
                        self.env.aliases.insert(name.to_owned(), value.to_owned());
                    }
                }
            } else if family == Family::RedHat {
                for (name, value) in [
                    ("ls", "ls --color=auto"),
                    ("ll", "ls -l --color=auto"),
                    ("grep", "grep --color=auto"),
                    ("egrep", "egrep --color=auto"),
                    ("fgrep", "fgrep --color=auto"),
                ] {
                    self.env.aliases.insert(name.to_owned(), value.to_owned());
                }
                if root {
                    for name in ["cp", "mv", "rm"] {
                        self.env.aliases.insert(name.to_owned(), format!("{name} -i"));
                    }
                }
            }
        } else if self.env.dialect == Dialect::Ash {
            set(self, "HISTFILE", &format!("{home}/.ash_history"));
        }
        self.fit_terminal();
    }

    /// A login shell at a terminal, from its greeting to `logout`.
    pub(crate) async fn login(&mut self, greeting: &str) {
        let source = self.env.text("SSH_CLIENT");
        let from = source.split(' ').next().unwrap_or_default();
        let (user, now) = (self.env.user.clone(), self.now());
        self.seat = Some(Machine::sit(&self.machine, &user, from, now));
        self.settle();
        let known = self.recall_history();
        self.outside.write(Stream::Out, greeting.as_bytes());
        self.dialogue().await;
        self.leave_history(known);
        self.finish().await;
    }

    /// A shell in the shell, at the same terminal, until it is left.
    pub(super) fn nested(&mut self, start: Start) -> Running<'_, Result<(), Stop>> {
        Box::pin(async move {
            if self.ancestors.len() >= NESTED {
                self.status = 1;
                return Ok(());
            }
            let env = self.env.clone();
            let history = std::mem::take(&mut self.history);
            let jobs = std::mem::take(&mut self.jobs);
            let kept = (
                self.pid,
                self.depth,
                self.interactive,
                self.guarded,
                self.no_history,
                self.lines_before,
            );
            self.ancestors.push(Ancestor {
                pid: self.pid,
                user: env.user.clone(),
                command: env.arg0.clone(),
            });
            self.pid = self.spawn_pid();
            (self.depth, self.guarded, self.no_history, self.lines_before) = (0, 0, false, 0);
            self.env.arg0 = start.arg0;
            self.env.dialect = start.dialect;
            self.env.login = start.login;
            self.env.from_argument = false;
            self.env.from_input = false;
            self.env.params.clear();
            self.env.vars.retain(|_, v| v.exported);
            self.env.set("IFS", b" \t\n".to_vec());
            self.env.set("OPTIND", b"1".to_vec());
            self.env.functions.clear();
            self.env.aliases.clear();
            self.env.traps.clear();
            self.env.hidden.clear();
            self.env.options = Options::default();
            self.env.redirected = None;
            self.settle();
            let known = self.recall_history();
            self.status = 0;
            self.dialogue().await;
            self.leave_history(known);
            self.finish().await;
            self.ancestors.pop();
            let (pid, depth, interactive, guarded, no_history, lines_before) = kept;
            (self.pid, self.depth, self.interactive) = (pid, depth, interactive);
            (self.guarded, self.no_history, self.lines_before) = (guarded, no_history, lines_before);
            (self.env, self.history, self.jobs) = (env, history, jobs);
            Ok(())
        })
    }

    /// Prompt, read and run, until the shell is left.
    fn dialogue(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // Readline brackets what is pasted since bash 5.1.
            let brackets = self.env.dialect == Dialect::Bash
                && self.env.text("TERM") != "dumb"
                && !self.machine.distribution.bash().starts_with("5.0");
            let mut pending = String::new();
            // The here-document whose body is typed.
            let mut here: Option<parse::OpenHere> = None;
            loop {
                self.fit_terminal();
                self.tell_jobs();
                let prompt = if pending.is_empty() {
                    self.prompt_text().await
                } else {
                    self.env.text("PS2")
                };
                let mut shown = format!("{}{prompt}", if brackets { "\x1b[?2004h" } else { "" });
                self.tabbed = None;
                let typed = loop {
                    let typed = self.outside.prompt(&shown, &self.history).await;
                    shown.clear();
                    match typed {
                        Typed::Complete(before) => {
                            self.fit_terminal();
                            let candidates = self.completions(&before);
                            self.complete(&before, &candidates, &prompt);
                        }
                        other => break other,
                    }
                };
                if brackets {
                    self.outside.write(Stream::Out, b"\x1b[?2004l\r");
                }
                match typed {
                    Typed::Line(line) => {
                        let line = String::from_utf8_lossy(&line).into_owned();
                        if let Some(open) = &here {
                            // A body is taken as it is: `#!/bin/sh` in it recalls nothing.
                            pending.push('\n');
                            pending.push_str(&line);
                            if !open.is_closed_by(line.as_bytes()) && pending.len() < parse::MAX_SCRIPT {
                                continue;
                            }
                        } else {
                            let Some(line) = self.recalled(&line) else {
                                pending.clear();
                                continue;
                            };
                            if !pending.is_empty() {
                                pending.push('\n');
                            }
                            pending.push_str(&line);
                        }
                        if pending.trim().is_empty() {
                            pending.clear();
                            continue;
                        }
                        here = match Self::rest_of(pending.as_bytes()) {
                            Rest::Here(open) if pending.len() < parse::MAX_SCRIPT => Some(open),
                            Rest::Lines if pending.len() < UNFINISHED => None,
                            _ => {
                                here = None;
                                if self.entered(&std::mem::take(&mut pending)).await {
                                    return;
                                }
                                continue;
                            }
                        };
                    }
                    Typed::End if here.take().is_some() => {
                        // `^D` ends the body, and with it the command.
                        if self.entered(&std::mem::take(&mut pending)).await {
                            return;
                        }
                    }
                    Typed::Interrupt => {
                        here = None;
                        pending.clear();
                        self.status = 130;
                    }
                    Typed::Complete(_) => {}
                    Typed::End => {
                        if !pending.is_empty() {
                            let line =
                                format!("{}: syntax error: unexpected end of file\n", self.complaint());
                            self.outside.write(Stream::Err, line.as_bytes());
                        }
                        let word: &[u8] = match (self.env.dialect, self.env.login) {
                            (Dialect::Bash, true) => b"logout\n",
                            (Dialect::Bash, false) => b"exit\n",
                            _ => b"\n",
                        };
                        self.outside.write(Stream::Err, word);
                        return;
                    }
                }
            }
        })
    }

    /// Run a whole command that was typed at a prompt; true where the shell ends with it.
    async fn entered(&mut self, command: &str) -> bool {
        self.remember(command);
        self.outside.report(Report::Command {
            line: command.as_bytes(),
            user: &self.env.user,
            cwd: &self.env.cwd,
        });
        if self.run_line(command.as_bytes()).await {
            return true;
        }
        let lines = command.split('\n').count();
        self.lines_before += u32::try_from(lines).unwrap_or(1);
        false
    }

    /// A line with what `!` recalls put in, shown where that changed it; `None` after a complaint.
    fn recalled(&mut self, line: &str) -> Option<String> {
        if self.env.dialect != Dialect::Bash || !(line.contains('!') || line.starts_with('^')) {
            return Some(line.to_owned());
        }
        let last = self.history.last().cloned().unwrap_or_default();
        let (expanded, fault) = if let Some(rest) = line.strip_prefix('^') {
            let mut parts = rest.split('^');
            let (from, to) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            if !from.is_empty() && last.contains(from) {
                (last.replacen(from, to, 1), None)
            } else {
                (String::new(), Some(format!(":s{line}: substitution failed")))
            }
        } else {
            self.events(line)
        };
        if let Some(fault) = fault {
            let line = format!("{}: {fault}\n", self.complaint());
            self.outside.write(Stream::Err, line.as_bytes());
            return None;
        }
        if expanded != line {
            self.outside
                .write(Stream::Out, format!("{expanded}\n").as_bytes());
        }
        Some(expanded)
    }

    /// `!!`, `!$`, `!*`, `!-n`, `!n`, `!word` put in; and what is wrong with one of them.
    fn events(&self, line: &str) -> (String, Option<String>) {
        let last = self.history.last().cloned().unwrap_or_default();
        let mut out = String::new();
        let mut rest = line;
        let mut quoted = false;
        while let Some(c) = rest.chars().next() {
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            if c == '\\' {
                let two: String = rest.chars().take(2).collect();
                out.push_str(&two);
                rest = rest.get(two.len()..).unwrap_or_default();
                continue;
            }
            quoted ^= c == '\'';
            let next = after.chars().next();
            if c != '!'
                || quoted
                || next.is_none_or(|n| n.is_whitespace() || matches!(n, '=' | '(' | '"' | ';'))
            {
                out.push(c);
                rest = after;
                continue;
            }
            if let Some(tail) = after.strip_prefix('!') {
                out.push_str(&last);
                rest = tail;
                continue;
            }
            if let Some(tail) = after.strip_prefix('$') {
                out.push_str(last.split_whitespace().last().unwrap_or_default());
                rest = tail;
                continue;
            }
            if let Some(tail) = after.strip_prefix('*') {
                out.push_str(last.split_once(' ').map_or("", |(_, args)| args));
                rest = tail;
                continue;
            }
            let len = after
                .find(|c: char| c.is_whitespace() || matches!(c, ';' | '|' | '&' | '"' | '\''))
                .unwrap_or(after.len());
            let (word, tail) = after.split_at(len);
            let found = match word.parse::<i64>() {
                Ok(n) if n < 0 => usize::try_from(-n)
                    .ok()
                    .and_then(|n| self.history.len().checked_sub(n))
                    .and_then(|i| self.history.get(i)),
                Ok(n) => usize::try_from(n - 1).ok().and_then(|i| self.history.get(i)),
                Err(_) => self.history.iter().rev().find(|l| l.starts_with(word)),
            };
            match found {
                Some(text) => out.push_str(text),
                None => return (out, Some(format!("!{word}: event not found"))),
            }
            rest = tail;
        }
        (out, None)
    }

    /// The prompt that `PS1` makes.
    pub(crate) async fn prompt_text(&mut self) -> String {
        let text = self.env.text("PS1");
        let text = if self.env.dialect == Dialect::Dash {
            text
        } else {
            self.decoded(&text)
        };
        if !text.contains(['$', '`']) {
            return text;
        }
        let Ok(word) = parse::parse_double(text.as_bytes(), 1) else {
            return text;
        };
        let status = self.status;
        let fds = super::run::Fds::session();
        let expanded = self.expand_one(&word, &fds).await;
        self.status = status;
        match expanded {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => text,
        }
    }

    /// A prompt with its backslash escapes decoded (bash(1), PROMPTING).
    fn decoded(&self, text: &str) -> String {
        let machine: &Machine = &self.machine;
        let home = self.env.text("HOME");
        let cwd = match self.env.cwd.strip_prefix(home.as_str()) {
            Some(rest) if !home.is_empty() && home != "/" && (rest.is_empty() || rest.starts_with('/')) => {
                format!("~{rest}")
            }
            _ => self.env.cwd.clone(),
        };
        let at =
            time::OffsetDateTime::from_unix_timestamp(self.now()).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        let mut out = String::new();
        let mut it = text.chars().peekable();
        while let Some(c) = it.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            match it.next() {
                Some('u') => out.push_str(&self.env.user),
                Some('h') => out.push_str(machine.hostname.split('.').next().unwrap_or_default()),
                Some('H') => out.push_str(&machine.hostname),
                Some('w') => out.push_str(&cwd),
                Some('W') if cwd == "~" || cwd == "/" => out.push_str(&cwd),
                Some('W') => out.push_str(cwd.rsplit('/').next().unwrap_or_default()),
                // A dollar here is none of an expansion's.
                Some('$') => out.push_str(if self.env.uid == 0 { "#" } else { "\\$" }),
                Some('e') => out.push('\x1b'),
                Some('a') => out.push('\x07'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('s') => out.push_str(self.env.arg0.trim_start_matches('-')),
                Some('v' | 'V') => {
                    out.push_str(machine.distribution.bash().split('(').next().unwrap_or_default());
                }
                Some('t') => out.push_str(&format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())),
                Some('A') => out.push_str(&format!("{:02}:{:02}", at.hour(), at.minute())),
                Some('j') => out.push_str(&self.jobs.len().to_string()),
                Some('!' | '#') => out.push_str(&(self.history.len() + 1).to_string()),
                Some('[' | ']') => {}
                Some(digit @ '0'..='7') => {
                    let mut value = digit.to_digit(8).unwrap_or(0);
                    while let Some(next) = it.peek().and_then(|c| c.to_digit(8)) {
                        value = value * 8 + next;
                        it.next();
                    }
                    out.extend(char::from_u32(value & 0xff));
                }
                Some('\\') => out.push_str("\\\\"),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            }
        }
        out
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
        if self.tabbed.as_deref() != Some(before) {
            // The first tab rings; the second lists.
            self.tabbed = Some(before.to_owned());
            self.outside.write(Stream::Out, b"\x07");
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
        let width = self.terminal.map_or(80, |(columns, _)| columns);
        let table = even_columns(&names, usize::try_from(width).unwrap_or(80));
        let text = format!("\n{table}{prompt}{typed}");
        self.outside.write(Stream::Out, text.as_bytes());
    }
}

/// Names in columns of one width, filled downwards, as readline lists them.
fn even_columns(names: &[String], width: usize) -> String {
    let wide = names.iter().map(|n| n.chars().count()).max().unwrap_or(0) + 2;
    let columns = (width / wide).max(1);
    let rows = names.len().div_ceil(columns).max(1);
    let mut out = String::new();
    for row in 0..rows {
        let line: Vec<String> = (0..columns)
            .filter_map(|column| names.get(column * rows + row))
            .map(|name| format!("{name:<wide$}"))
            .collect();
        out.push_str(line.concat().trim_end());
        out.push('\n');
    }
    out
}
