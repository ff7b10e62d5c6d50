//! Commands that change the shell itself, wait for input, or run other commands.

use std::time::Duration;

use super::{
    commands,
    interactive::Start,
    machine::Account,
    parse,
    run::{Fds, Handle, Input, Report, Script, Shell, Stop, job_line},
    vars::{self, Dialect, Items, Key, Var},
    vfs,
};

/// Names that `type` calls a shell builtin.
pub(super) const BUILTINS: &[&str] = &[
    ".",
    ":",
    "[",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "declare",
    "dirs",
    "disown",
    "echo",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "getopts",
    "hash",
    "help",
    "history",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
];

/// Those that are bash's own.
const BASH_ONLY: &[&str] = &[
    "bind",
    "builtin",
    "caller",
    "compgen",
    "complete",
    "compopt",
    "declare",
    "dirs",
    "disown",
    "enable",
    "help",
    "history",
    "let",
    "logout",
    "mapfile",
    "popd",
    "pushd",
    "readarray",
    "shopt",
    "source",
    "suspend",
    "typeset",
];

/// Those of bash that BusyBox's shell has, too.
const ASH_TOO: &[&str] = &["help", "history", "let", "source"];

/// Words of the grammar, as `type` and `compgen -k` know them.
const KEYWORDS: &[&str] = &[
    "if", "then", "else", "elif", "fi", "case", "esac", "for", "select", "while", "until", "do", "done",
    "in", "function", "time", "{", "}", "!", "[[", "]]", "coproc",
];

/// Seconds for which sudo does not ask again.
const SUDO_REMEMBERS_S: i64 = 15 * 60;

/// Whether a shell of that dialect has a builtin of that name.
pub(super) fn is_builtin(dialect: Dialect, name: &str) -> bool {
    BUILTINS.contains(&name) && !is_foreign(dialect, name)
}

/// Whether it is a builtin of bash that a shell of that dialect lacks.
fn is_foreign(dialect: Dialect, name: &str) -> bool {
    match dialect {
        Dialect::Bash => false,
        Dialect::Dash => BASH_ONLY.contains(&name),
        Dialect::Ash => BASH_ONLY.contains(&name) && !ASH_TOO.contains(&name),
    }
}

fn text(arg: &[u8]) -> String {
    String::from_utf8_lossy(arg).into_owned()
}

impl Shell {
    /// Run `name` if it is one of these.
    #[expect(clippy::too_many_lines, reason = "one arm a command")]
    pub(super) async fn builtin(
        &mut self,
        name: &str,
        args: &[Vec<u8>],
        fds: &Fds,
    ) -> Option<Result<(), Stop>> {
        if is_foreign(self.env.dialect, name) {
            return None;
        }
        let rest = args.get(1..).unwrap_or_default();
        let words: Vec<String> = rest.iter().map(|a| text(a)).collect();
        let first = words.first().map_or("", String::as_str);
        self.status = match name {
            "hash" if first.is_empty() && self.env.dialect == Dialect::Bash && !self.interactive => {
                self.put_out(fds, b"hash: hash table empty\n");
                0
            }
            ":" | "true" | "shopt" | "hash" | "bind" | "complete" | "compopt" | "enable" | "times"
            | "caller" | "suspend" => 0,
            "ulimit" => self.ulimit(&words, fds),
            "disown" => {
                self.jobs.clear();
                0
            }
            "wait" => return Some(self.wait_for(&words, fds).await),
            "jobs" => self.list_jobs(&words, fds),
            "fg" | "bg" => return Some(self.foreground(name, first, fds).await),
            "getopts" => self.getopts(&words, rest),
            "mapfile" | "readarray" => return Some(self.mapfile(&words, fds).await),
            "compgen" => {
                let names: Vec<&str> = match first {
                    "-b" => BUILTINS.to_vec(),
                    "-k" => KEYWORDS.to_vec(),
                    _ => Vec::new(),
                };
                let lines: String = names.iter().map(|n| format!("{n}\n")).collect();
                self.put_out(fds, lines.as_bytes());
                u8::from(names.is_empty())
            }
            "help" => {
                let line = format!(
                    "GNU bash, version {} ({}-pc-linux-gnu)\nThese shell commands are defined internally.  Type `help' to see this list.\nType `help name' to find out more about the function `name'.\nUse `info bash' to find out more about the shell in general.\nUse `man -k' or `info' to find out more about commands not in this list.\n",
                    self.machine.distribution.bash(),
                    self.machine.architecture
                );
                self.put_out(fds, line.as_bytes());
                0
            }
            "dirs" | "pushd" | "popd" => return Some(self.directory_stack(name, first, fds)),
            "cd" => {
                let operands: Vec<&String> = words
                    .iter()
                    .filter(|w| !matches!(w.as_str(), "-P" | "-L" | "-e" | "--"))
                    .collect();
                if operands.len() > 1 && self.env.dialect == Dialect::Bash {
                    let line = format!("{}: cd: too many arguments\n", self.complaint());
                    self.put_err(fds, line.as_bytes());
                    self.status = 1;
                    return Some(Ok(()));
                }
                let to = operands.first().map_or("", |w| w.as_str()).to_owned();
                return Some(self.cd(&to, fds));
            }
            "pwd" => {
                let line = format!("{}\n", self.env.cwd);
                self.put_out(fds, line.as_bytes());
                0
            }
            "exit" | "logout" => {
                if name == "logout" && !self.env.login {
                    let line = format!("{}: logout: not login shell: use `exit'\n", self.complaint());
                    self.put_err(fds, line.as_bytes());
                    self.status = 1;
                    return Some(Ok(()));
                }
                if self.interactive && self.subshells == 0 && self.env.dialect == Dialect::Bash {
                    let word: &[u8] = if self.env.login { b"logout\n" } else { b"exit\n" };
                    self.put_err(fds, word);
                }
                if !first.is_empty() {
                    self.status = match first.parse::<i64>() {
                        Ok(n) => u8::try_from(n.rem_euclid(256)).unwrap_or(0),
                        Err(_) => {
                            let line = if self.env.dialect == Dialect::Dash {
                                format!("{}: exit: Illegal number: {first}\n", self.complaint())
                            } else {
                                format!("{}: exit: {first}: numeric argument required\n", self.complaint())
                            };
                            self.put_err(fds, line.as_bytes());
                            2
                        }
                    };
                }
                return Some(Err(Stop::Exit));
            }
            "return"
                if self.env.hidden.is_empty() && self.sourced == 0 && self.env.dialect == Dialect::Bash =>
            {
                let line = format!(
                    "{}: return: can only `return' from a function or sourced script\n",
                    self.complaint()
                );
                self.put_err(fds, line.as_bytes());
                2
            }
            "return" => {
                if let Ok(n) = first.parse::<i64>() {
                    self.status = u8::try_from(n.rem_euclid(256)).unwrap_or(0);
                }
                return Some(Err(Stop::Return));
            }
            "break" | "continue" if self.loops == 0 => {
                if self.env.dialect == Dialect::Bash {
                    let line = format!(
                        "{}: {name}: only meaningful in a `for', `while', or `until' loop\n",
                        self.complaint()
                    );
                    self.put_err(fds, line.as_bytes());
                }
                0
            }
            "break" => return Some(Err(Stop::Break(first.parse().unwrap_or(1)))),
            "continue" => return Some(Err(Stop::Continue(first.parse().unwrap_or(1)))),
            "export" | "declare" | "typeset" | "local" | "readonly" => match self.declare(name, rest, fds) {
                Ok(status) => status,
                Err(stop) => return Some(Err(stop)),
            },
            "unset" => {
                let status = self.unset(&words, fds);
                // A special builtin that fails ends dash.
                if status != 0 && self.env.dialect == Dialect::Dash && !self.interactive {
                    self.status = 2;
                    return Some(Err(Stop::Exit));
                }
                status
            }
            "shift" => {
                let n = first.parse().unwrap_or(1);
                if n <= self.env.params.len() {
                    self.env.params.drain(..n);
                    0
                } else {
                    1
                }
            }
            "set" => self.set(&words, rest, fds),
            "let" => {
                let mut status = 1;
                for arg in rest {
                    match self.arithmetic(arg, fds) {
                        Ok(value) => status = u8::from(value == 0),
                        Err(stop) => return Some(Err(stop)),
                    }
                }
                status
            }
            "alias" => self.alias(&words, fds),
            "unalias" => {
                for word in &words {
                    if word == "-a" {
                        self.env.aliases.clear()
                    } else {
                        self.env.aliases.remove(word);
                    }
                }
                0
            }
            "umask" => {
                match u32::from_str_radix(first, 8) {
                    Ok(mask) => self.env.umask = mask & 0o777,
                    Err(_) => {
                        let line = format!("{:04o}\n", self.env.umask);
                        self.put_out(fds, line.as_bytes());
                    }
                }
                0
            }
            "trap" => self.trap(&words, fds),
            "history" => {
                if first.starts_with("-c") {
                    self.history.clear();
                } else if matches!(first, "-w" | "-a" | "-r" | "-n") {
                    if first == "-w" {
                        self.write_history();
                    }
                } else if first == "-d" {
                    let at = words.get(1).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
                    if at >= 1 && at <= self.history.len() {
                        self.history.remove(at - 1);
                    }
                } else {
                    let keep = first.parse().unwrap_or(usize::MAX);
                    let skip = self.history.len().saturating_sub(keep);
                    let lines: String = self
                        .history
                        .iter()
                        .enumerate()
                        .skip(skip)
                        .map(|(i, l)| format!("{:5}  {l}\n", i + 1))
                        .collect();
                    self.put_out(fds, lines.as_bytes());
                }
                0
            }
            "type" | "command" | "which" if name != "command" || matches!(first, "-v" | "-V") => {
                self.locate(name, &words, fds)
            }
            "read" => return Some(self.read_line(&words, fds).await),
            "eval" => {
                let script = rest.join(&b' ');
                return Some(self.run_script(&script, fds).await);
            }
            "." | "source" => {
                let content = self.vfs.read(self.who(), &self.env.cwd, first);
                match content {
                    Ok(content) => {
                        let params = if rest.len() > 1 {
                            let own = rest.get(1..).unwrap_or_default().to_vec();
                            Some(std::mem::replace(&mut self.env.params, own))
                        } else {
                            None
                        };
                        self.sourced += 1;
                        let done = self.run_script(&content, fds).await;
                        self.sourced -= 1;
                        if let Some(params) = params {
                            self.env.params = params;
                        }
                        return Some(match done {
                            Err(Stop::Return) => Ok(()),
                            other => other,
                        });
                    }
                    Err(errno) => {
                        let line = format!("{}: {first}: {}\n", self.complaint(), errno.text());
                        self.put_err(fds, line.as_bytes());
                        1
                    }
                }
            }
            "exec" if rest.is_empty() => 0,
            "exec" => {
                let skip = options(rest, b"a");
                let command = rest.get(skip..).unwrap_or_default().to_vec();
                let name = command.first().map_or_else(String::new, |c| text(c));
                if self.program_of(&name).is_none() {
                    let line = format!("{}: exec: {name}: not found\n", self.complaint());
                    self.put_err(fds, line.as_bytes());
                    self.status = 127;
                    return Some(if self.interactive { Ok(()) } else { Err(Stop::Exit) });
                }
                let ended = self.run_args(command, fds).await;
                return Some(ended.and(Err(Stop::Exit)));
            }
            "command" | "builtin" | "setsid" | "nice" | "ionice" | "stdbuf" | "unbuffer" | "chrt"
            | "taskset" => {
                let skip = options(rest, b"nic") + usize::from(name == "taskset");
                let inner = rest.get(skip..).unwrap_or_default().to_vec();
                // These look past functions of that name.
                let hidden = inner
                    .first()
                    .and_then(|n| self.env.functions.remove_entry(&text(n)));
                let done = self.run_args(inner, fds).await;
                if let Some((name, body)) = hidden {
                    self.env.functions.entry(name).or_insert(body);
                }
                return Some(done);
            }
            "nohup" => {
                if rest.is_empty() {
                    self.put_err(
                        fds,
                        b"nohup: missing operand\nTry 'nohup --help' for more information.\n",
                    );
                    125
                } else {
                    let mut inner = fds.clone();
                    let at_terminal = self.terminal.is_some();
                    let out = matches!(fds.out, super::run::Output::Session(_)) && at_terminal;
                    if out {
                        self.put_err(
                            fds,
                            b"nohup: ignoring input and appending output to 'nohup.out'\n",
                        );
                        if let Some(file) = self.open_output("nohup.out", true, fds) {
                            inner.out = file.clone();
                            inner.err = file;
                        }
                    } else if at_terminal && matches!(fds.input, Input::Session) {
                        self.put_err(fds, b"nohup: ignoring input\n");
                    }
                    inner.input = Input::of(b"");
                    return Some(self.run_args(rest.to_vec(), &inner).await);
                }
            }
            "timeout" if self.is_present("timeout") => return Some(self.timeout(rest, &words, fds).await),
            "env" if rest.iter().any(|a| !a.contains(&b'=') && !a.starts_with(b"-")) => {
                let saved = self.env.clone();
                let mut at = options(rest, b"u");
                if rest.first().is_some_and(|a| a == b"-i" || a == b"-") {
                    self.env.vars.retain(|name, _| name == "PATH");
                    at = at.max(1);
                }
                while let Some((name, value)) = rest.get(at).and_then(|a| {
                    let cut = a.iter().position(|b| *b == b'=')?;
                    Some((text(a.get(..cut)?), a.get(cut + 1..)?.to_vec()))
                }) {
                    self.env.vars.insert(name, Var::exported(value));
                    at += 1;
                }
                let done = self
                    .run_args(rest.get(at..).unwrap_or_default().to_vec(), fds)
                    .await;
                self.env.vars = saved.vars;
                return Some(done);
            }
            "xargs" => return Some(self.xargs(rest, fds).await),
            "sh" | "bash" | "dash" | "ash" | "rbash" if self.is_present(name) => {
                return Some(self.sub_shell(name, rest, fds).await);
            }
            "busybox" if self.is_present("busybox") => return Some(self.busybox(rest, fds).await),
            "python" | "python3" | "perl" if self.is_present(name) => {
                return Some(self.interpreter(name, &words, fds).await);
            }
            "find" if self.is_present("find") => return Some(self.find(rest, fds).await),
            "sudo" if self.is_present("sudo") => return Some(self.sudo(rest, fds).await),
            "su" => return Some(self.su(&words, fds).await),
            "ssh" if self.is_present("ssh") && self.is_ssh_home(&words) => {
                return Some(self.ssh_home(&words, fds).await);
            }
            "mysql" | "mysqladmin" | "mysqldump" | "mariadb"
                if self.is_present(name)
                    && commands::databases::password(&words).is_some_and(|given| given.is_empty()) =>
            {
                return Some(self.mysql(name, &words, fds).await);
            }
            "passwd" => return Some(self.passwd(&words, fds).await),
            "sleep" | "usleep" => {
                let (mut seconds, unit) = (0.0_f64, if name == "usleep" { 1e-6 } else { 1.0 });
                for word in &words {
                    let Some(part) = interval(word) else {
                        let line = format!(
                            "sleep: invalid time interval ‘{word}’\nTry 'sleep --help' for more information.\n"
                        );
                        self.put_err(fds, line.as_bytes());
                        self.status = 1;
                        return Some(Ok(()));
                    };
                    seconds += part * unit;
                }
                if words.is_empty() {
                    self.put_err(
                        fds,
                        b"sleep: missing operand\nTry 'sleep --help' for more information.\n",
                    );
                    1
                } else {
                    if let Err(stop) = self.wait(Duration::from_secs_f64(seconds.min(86_400.0))).await {
                        return Some(Err(stop));
                    }
                    0
                }
            }
            "cat" if matches!(fds.input, Input::Session) && self.terminal.is_some() && rest.is_empty() => {
                // At a terminal it echoes each line as it comes.
                loop {
                    match self.input_line(fds, true).await {
                        Ok(Some(mut line)) => {
                            line.push(b'\n');
                            self.put_out(fds, &line);
                        }
                        Ok(None) => break 0,
                        Err(stop) => return Some(Err(stop)),
                    }
                }
            }
            _ => return None,
        };
        Some(Ok(()))
    }

    /// `timeout 5 command`: what waits longer than that is ended there.
    async fn timeout(&mut self, rest: &[Vec<u8>], words: &[String], fds: &Fds) -> Result<(), Stop> {
        let busybox = self.machine.distribution.is_busybox();
        let (mut signal, mut keeps, mut tells) = ("TERM".to_owned(), false, false);
        let mut at = 0;
        while let Some(word) = words.get(at).filter(|w| w.starts_with('-') && w.len() > 1) {
            at += 1;
            match word.as_str() {
                "--" => break,
                "-s" | "--signal" => {
                    signal = words.get(at).cloned().unwrap_or_default();
                    at += 1;
                }
                // Before 1.30 BusyBox took its time behind an option.
                "-t" if busybox => break,
                "-k" | "--kill-after" => at += 1,
                "-v" | "--verbose" => tells = true,
                "--preserve-status" => keeps = true,
                word => {
                    if let Some(name) = word.strip_prefix("--signal=").or(word.strip_prefix("-s")) {
                        name.clone_into(&mut signal);
                    }
                }
            }
        }
        let command = rest.get(at + 1..).unwrap_or_default().to_vec();
        let name = command.first().map(|c| text(c));
        let (Some(time), Some(name)) = (words.get(at), name) else {
            self.put_err(fds, b"Try 'timeout --help' for more information.\n");
            self.status = if busybox { 1 } else { 125 };
            return Ok(());
        };
        let Some(seconds) = interval(time) else {
            let line = if busybox {
                format!("timeout: invalid number '{time}'\n")
            } else {
                format!(
                    "timeout: invalid time interval ‘{time}’\nTry 'timeout --help' for more information.\n"
                )
            };
            self.put_err(fds, line.as_bytes());
            self.status = if busybox { 1 } else { 125 };
            return Ok(());
        };
        if self.program_of(&name).is_none() {
            let line = if busybox {
                format!("timeout: can't execute '{name}': No such file or directory\n")
            } else {
                format!("timeout: failed to run command ‘{name}’: No such file or directory\n")
            };
            self.put_err(fds, line.as_bytes());
            self.status = 127;
            return Ok(());
        }
        let own = Duration::from_secs_f64(seconds.min(86_400.0));
        let outer = self.left;
        // None at all is no limit.
        if !own.is_zero() {
            self.left = Some(outer.map_or(own, |outer| outer.min(own)));
        }
        let limit = self.left;
        let (env, subshells, guarded) = (self.env.clone(), self.subshells, self.guarded);
        let ended = self.run_args(command, fds).await;
        let late = std::mem::take(&mut self.late);
        (self.env, self.subshells, self.guarded) = (env, subshells, guarded);
        let used = limit
            .zip(self.left)
            .map(|(limit, left)| limit.saturating_sub(left));
        self.left = outer.map(|outer| outer.saturating_sub(used.unwrap_or_default()));
        if !late {
            return ended;
        }
        if self.left.is_some_and(|left| left.is_zero()) {
            // The one around it is over, too.
            self.late = true;
            return ended;
        }
        let signal = signal.trim_start_matches("SIG").to_ascii_uppercase();
        if tells {
            self.put_err(
                fds,
                format!("timeout: sending signal {signal} to command ‘{name}’\n").as_bytes(),
            );
        }
        let hard = matches!(signal.as_str(), "KILL" | "9");
        self.status = match (hard, busybox || keeps) {
            (true, _) => 137,
            (false, true) => 143,
            (false, false) => 124,
        };
        if self.interactive && (hard || busybox) {
            self.put_err(fds, if hard { b"Killed\n" } else { b"Terminated\n" });
        }
        Ok(())
    }

    fn cd(&mut self, to: &str, fds: &Fds) -> Result<(), Stop> {
        let target = match to {
            "" | "-" => {
                let name = if to.is_empty() { "HOME" } else { "OLDPWD" };
                let value = self.env.text(name);
                if value.is_empty() && self.env.dialect == Dialect::Bash {
                    let line = format!("{}: cd: {name} not set\n", self.complaint());
                    self.put_err(fds, line.as_bytes());
                    self.status = 1;
                    return Ok(());
                }
                value
            }
            to => to.to_owned(),
        };
        let shown = if to == "-" { target.clone() } else { to.to_owned() };
        let path = vfs::absolute(&self.env.cwd, &target);
        let found = self.vfs.stat(self.who(), "/", &path);
        let fault = match found {
            Ok((_, node)) if !node.is_dir() => "Not a directory",
            Ok((_, node)) if !vfs::Vfs::executable(self.who(), &node) => "Permission denied",
            Ok(_) => {
                // `..` behind a link leads to where the link stands; a path that cannot be walked so is the real one.
                let old = std::mem::replace(&mut self.env.cwd, path.clone());
                self.env.export("OLDPWD", &old);
                self.env.export("PWD", &path);
                if to == "-" {
                    self.put_out(fds, format!("{path}\n").as_bytes());
                }
                self.status = 0;
                return Ok(());
            }
            Err(errno) => errno.text(),
        };
        let line = match self.env.dialect {
            Dialect::Bash => format!("{}: cd: {shown}: {fault}\n", self.complaint()),
            _ => format!("{}: cd: can't cd to {shown}\n", self.complaint()),
        };
        self.put_err(fds, line.as_bytes());
        self.status = if self.env.dialect == Dialect::Dash { 2 } else { 1 };
        Ok(())
    }

    fn declare(&mut self, name: &str, rest: &[Vec<u8>], fds: &Fds) -> Result<u8, Stop> {
        let mut flags = String::new();
        let mut names = Vec::new();
        let mut off = String::new();
        for arg in rest {
            match arg.as_slice() {
                [b'-', letters @ ..] if names.is_empty() && !letters.is_empty() => {
                    flags.push_str(&text(letters))
                }
                [b'+', letters @ ..] if names.is_empty() => off.push_str(&text(letters)),
                _ => names.push(arg),
            }
        }
        let export = name == "export" || flags.contains('x');
        if names.is_empty() || (flags.contains('p') && !matches!(name, "export" | "readonly")) {
            return Ok(self.declared(name, &flags, &names, fds));
        }
        if flags.contains('f') || flags.contains('F') {
            let known = names.iter().all(|n| self.env.functions.contains_key(&text(n)));
            return Ok(u8::from(!known));
        }
        let inside = !self.env.hidden.is_empty();
        if name == "local" && !inside {
            let line = format!("{}: local: can only be used in a function\n", self.complaint());
            self.put_err(fds, line.as_bytes());
            return Ok(1);
        }
        let is_local = inside && matches!(name, "local" | "declare" | "typeset") && !flags.contains('g');
        let mut status = 0;
        for arg in names {
            let cut = arg.iter().position(|b| *b == b'=');
            let mut variable = text(arg.get(..cut.unwrap_or(arg.len())).unwrap_or_default());
            let append = cut.is_some() && variable.ends_with('+');
            if append {
                variable.pop();
            }
            let valid = variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && variable.bytes().next().is_some_and(|b| !b.is_ascii_digit());
            if !valid {
                let line = if self.env.dialect == Dialect::Dash {
                    format!("{}: {name}: {}: bad variable name\n", self.complaint(), variable)
                } else {
                    format!(
                        "{}: {name}: `{}': not a valid identifier\n",
                        self.complaint(),
                        text(arg)
                    )
                };
                self.put_err(fds, line.as_bytes());
                status = 1;
                continue;
            }
            if is_local && let Some(frame) = self.env.hidden.last_mut() {
                let old = self.env.vars.get(&variable).cloned();
                if !frame.contains_key(&variable) {
                    frame.insert(variable.clone(), old.clone());
                    self.env.vars.remove(&variable);
                    // A local name without a value is unset, but keeps being exported.
                    if let Some(old) = old.filter(|old| old.exported) {
                        self.env.vars.insert(variable.clone(), Var { items: None, ..old });
                    }
                }
            }
            if self.env.vars.get(&variable).is_some_and(|v| v.readonly) && cut.is_some() {
                let line = format!("{}: {variable}: readonly variable\n", self.complaint());
                self.put_err(fds, line.as_bytes());
                status = 1;
                continue;
            }
            if flags.contains('A') && !self.env.is_named(&variable) {
                self.env.clear_items(&variable, true);
            } else if flags.contains('a') && self.env.vars.get(&variable).is_none_or(|v| v.items.is_none()) {
                self.env.clear_items(&variable, false);
            }
            if flags.contains('i') || off.contains('i') {
                self.env.vars.entry(variable.clone()).or_default().integer = flags.contains('i');
            }
            if let Some(cut) = cut {
                let mut value = arg.get(cut + 1..).unwrap_or_default().to_vec();
                if append {
                    value = [self.env.text(&variable).into_bytes(), value].concat();
                }
                if self.env.vars.get(&variable).is_some_and(|v| v.integer) {
                    value = self.arithmetic(&value, fds)?.to_string().into_bytes();
                }
                self.env.set(&variable, value);
            }
            let unexport = (name == "export" && flags.contains('n')) || off.contains('x');
            let there = cut.is_some() || self.env.vars.contains_key(&variable);
            if unexport || (export && there) {
                self.env.vars.entry(variable.clone()).or_default().exported = !unexport;
            }
            if name == "readonly" || flags.contains('r') {
                self.env.vars.entry(variable).or_default().readonly = true;
            }
        }
        Ok(status)
    }

    /// The variables (or those of `names`) as `declare -p` and `export -p` show them.
    fn declared(&mut self, name: &str, flags: &str, names: &[&Vec<u8>], fds: &Fds) -> u8 {
        if flags.contains('f') || flags.contains('F') {
            let lines: String = self
                .env
                .functions
                .keys()
                .map(|n| format!("declare -f {n}\n"))
                .collect();
            self.put_out(fds, lines.as_bytes());
            return 0;
        }
        let wanted: Vec<String> = if names.is_empty() {
            let only = |v: &Var| match name {
                "export" => v.exported,
                "readonly" => v.readonly,
                _ => !flags.contains('x') || v.exported,
            };
            let chosen = self.env.vars.iter().filter(|(_, v)| only(v));
            chosen.map(|(n, _)| n.clone()).collect()
        } else {
            names.iter().map(|n| text(n)).collect()
        };
        let mut status = 0;
        for variable in wanted {
            let Some(var) = self.env.vars.get(&variable) else {
                let line = format!("{}: {name}: {variable}: not found\n", self.complaint());
                self.put_err(fds, line.as_bytes());
                status = 1;
                continue;
            };
            let attributes = self.attributes(&variable);
            let value = match &var.items {
                None => vars::double_quoted(&var.value),
                Some(items) => {
                    let mut out = b"(".to_vec();
                    let pairs: Vec<(Vec<u8>, &Vec<u8>)> = match items {
                        Items::Indexed(items) => items
                            .iter()
                            .map(|(k, v)| (k.to_string().into_bytes(), v))
                            .collect(),
                        Items::Named(items) => items.iter().map(|(k, v)| (k.clone(), v)).collect(),
                    };
                    for (i, (key, value)) in pairs.iter().enumerate() {
                        if i > 0 {
                            out.push(b' ');
                        }
                        out.extend([b"[", key.as_slice(), b"]=", &vars::double_quoted(value)].concat());
                    }
                    if matches!(items, Items::Named(_)) && !pairs.is_empty() {
                        out.push(b' ');
                    }
                    out.push(b')');
                    out
                }
            };
            let head = match (self.env.dialect, name) {
                (Dialect::Bash, "export") => format!("declare -{attributes}"),
                (Dialect::Bash, _) if attributes.is_empty() => "declare --".to_owned(),
                (Dialect::Bash, _) => format!("declare -{attributes}"),
                (_, name) => name.to_owned(),
            };
            let line = [head.as_bytes(), b" ", variable.as_bytes(), b"=", &value, b"\n"].concat();
            self.put_out(fds, &line);
        }
        status
    }

    fn unset(&mut self, words: &[String], fds: &Fds) -> u8 {
        let functions = words.iter().any(|w| w == "-f");
        let mut status = 0;
        for word in words
            .iter()
            .filter(|w| !matches!(w.as_str(), "-f" | "-v" | "-n" | "--"))
        {
            if let Some((name, key)) = word
                .split_once('[')
                .and_then(|(n, k)| Some((n, k.strip_suffix(']')?)))
            {
                let key = if self.env.is_named(name) {
                    Key::Name(key.as_bytes().to_vec())
                } else {
                    Key::Number(key.parse().unwrap_or(0))
                };
                self.env.remove_item(name, &key);
                continue;
            }
            if self.env.vars.get(word).is_some_and(|v| v.readonly) && !functions {
                let line = if self.env.dialect == Dialect::Dash {
                    format!("{}: unset: {word}: is read only\n", self.complaint())
                } else {
                    format!(
                        "{}: unset: {word}: cannot unset: readonly variable\n",
                        self.complaint()
                    )
                };
                self.put_err(fds, line.as_bytes());
                status = 1;
                continue;
            }
            if functions || self.env.vars.remove(word).is_none() {
                self.env.functions.remove(word);
            }
        }
        status
    }

    fn set(&mut self, words: &[String], rest: &[Vec<u8>], fds: &Fds) -> u8 {
        if words.is_empty() {
            let mut lines = Vec::new();
            for (name, var) in self.env.vars.iter().filter(|(_, v)| v.items.is_none()) {
                let value = if self.env.dialect == Dialect::Dash {
                    vars::single_quoted(&var.value)
                } else if var.value.is_empty() {
                    Vec::new()
                } else {
                    vars::quoted(&var.value)
                };
                lines.extend([name.as_bytes(), b"=", &value, b"\n"].concat());
            }
            self.put_out(fds, &lines);
            return 0;
        }
        let mut it = words.iter().enumerate();
        while let Some((i, word)) = it.next() {
            let on = match word.as_bytes().first() {
                Some(b'-') if word.len() > 1 => true,
                Some(b'+') if word.len() > 1 => false,
                _ => {
                    let from = if word == "-" { i + 1 } else { i };
                    self.env.params = rest.get(from..).unwrap_or_default().to_vec();
                    return 0;
                }
            };
            if word == "--" {
                self.env.params = rest.get(i + 1..).unwrap_or_default().to_vec();
                return 0;
            }
            for letter in word.chars().skip(1) {
                if letter == 'o' {
                    let name = it.next().map_or("", |(_, n)| n.as_str()).to_owned();
                    if name == "history" {
                        self.no_history = !on;
                    } else if let Some(switch) = self.env.options.named(&name) {
                        *switch = on;
                    } else if name.is_empty() {
                        self.list_options(on, fds);
                    } else if !matches!(
                        name.as_str(),
                        "emacs"
                            | "vi"
                            | "posix"
                            | "monitor"
                            | "noclobber"
                            | "verbose"
                            | "notify"
                            | "histexpand"
                            | "hashall"
                            | "braceexpand"
                            | "errtrace"
                            | "functrace"
                            | "ignoreeof"
                            | "interactive-comments"
                            | "keyword"
                            | "nolog"
                            | "onecmd"
                            | "physical"
                            | "privileged"
                    ) {
                        let line = format!("{}: set: {name}: invalid option name\n", self.complaint());
                        self.put_err(fds, line.as_bytes());
                        return 2;
                    }
                } else if let Some(switch) = self.env.options.letter(letter) {
                    *switch = on;
                } else if !"bhkmptvBCEHPT".contains(letter) {
                    let line = format!(
                        "{0}: set: -{letter}: invalid option\n{1}: usage: set [-abefhkmnptuvxBCEHPT] [-o option-name] [--] [-] [arg ...]\n",
                        self.complaint(),
                        "set"
                    );
                    self.put_err(fds, line.as_bytes());
                    return 2;
                }
            }
        }
        0
    }

    fn list_options(&mut self, table: bool, fds: &Fds) {
        let mut options = self.env.options.clone();
        let mut lines = String::new();
        for name in [
            "allexport",
            "errexit",
            "noexec",
            "noglob",
            "nounset",
            "pipefail",
            "xtrace",
        ] {
            let on = options.named(name).is_some_and(|on| *on);
            lines.push_str(&if table {
                format!("{name:<15}\t{}\n", if on { "on" } else { "off" })
            } else {
                format!("set {}o {name}\n", if on { '-' } else { '+' })
            });
        }
        self.put_out(fds, lines.as_bytes());
    }

    fn trap(&mut self, words: &[String], fds: &Fds) -> u8 {
        let words: Vec<&String> = words.iter().filter(|w| *w != "--").collect();
        let full = |name: &str| match name.strip_prefix("SIG").unwrap_or(name) {
            "0" | "EXIT" => "EXIT".to_owned(),
            "1" => "HUP".to_owned(),
            "2" => "INT".to_owned(),
            "3" => "QUIT".to_owned(),
            "15" => "TERM".to_owned(),
            other => other.to_uppercase(),
        };
        match words.as_slice() {
            [] => {}
            [only] if *only == "-p" => {}
            [only] if *only == "-l" => {
                self.put_out(fds, b" 1) SIGHUP\t 2) SIGINT\t 3) SIGQUIT\t 4) SIGILL\t 5) SIGTRAP\n 6) SIGABRT\t 7) SIGBUS\t 8) SIGFPE\t 9) SIGKILL\t10) SIGUSR1\n11) SIGSEGV\t12) SIGUSR2\t13) SIGPIPE\t14) SIGALRM\t15) SIGTERM\n");
                return 0;
            }
            [signal] => {
                self.env.traps.remove(&full(signal));
                return 0;
            }
            [action, signals @ ..] => {
                let mut status = 0;
                for signal in signals {
                    let name = full(signal);
                    let known = [
                        "EXIT", "HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "PIPE", "ALRM", "CHLD", "TSTP",
                        "WINCH", "ERR", "DEBUG", "RETURN", "ABRT", "KILL", "STOP", "CONT", "TTIN", "TTOU",
                    ];
                    if !known.contains(&name.as_str()) {
                        let line = if self.env.dialect == Dialect::Dash {
                            format!("{}: trap: {signal}: bad trap\n", self.complaint())
                        } else {
                            format!(
                                "{}: trap: {signal}: invalid signal specification\n",
                                self.complaint()
                            )
                        };
                        self.put_err(fds, line.as_bytes());
                        status = 1;
                    } else if *action == "-" {
                        self.env.traps.remove(&name);
                    } else {
                        self.env.traps.insert(name, (*action).clone());
                    }
                }
                return status;
            }
        }
        let mut lines = Vec::new();
        for (name, action) in &self.env.traps {
            let shown = if matches!(name.as_str(), "EXIT" | "ERR" | "DEBUG" | "RETURN")
                || self.env.dialect == Dialect::Dash
            {
                name.clone()
            } else {
                format!("SIG{name}")
            };
            let dashes: &[u8] = b"trap -- ";
            lines.extend(
                [
                    dashes,
                    &vars::single_quoted(action.as_bytes()),
                    b" ",
                    shown.as_bytes(),
                    b"\n",
                ]
                .concat(),
            );
        }
        self.put_out(fds, &lines);
        0
    }

    fn ulimit(&mut self, words: &[String], fds: &Fds) -> u8 {
        let processes = self.machine.processes_max();
        let limits = [
            ('c', "core file size              (blocks, -c)", "0".to_owned()),
            (
                'd',
                "data seg size               (kbytes, -d)",
                "unlimited".to_owned(),
            ),
            ('e', "scheduling priority                 (-e)", "0".to_owned()),
            (
                'f',
                "file size                   (blocks, -f)",
                "unlimited".to_owned(),
            ),
            (
                'i',
                "pending signals                     (-i)",
                processes.to_string(),
            ),
            (
                'l',
                "max locked memory           (kbytes, -l)",
                (self.machine.mem_kb / 8).to_string(),
            ),
            (
                'm',
                "max memory size             (kbytes, -m)",
                "unlimited".to_owned(),
            ),
            ('n', "open files                          (-n)", "1024".to_owned()),
            ('p', "pipe size                (512 bytes, -p)", "8".to_owned()),
            (
                'q',
                "POSIX message queues         (bytes, -q)",
                "819200".to_owned(),
            ),
            ('r', "real-time priority                  (-r)", "0".to_owned()),
            ('s', "stack size                  (kbytes, -s)", "8192".to_owned()),
            (
                't',
                "cpu time                   (seconds, -t)",
                "unlimited".to_owned(),
            ),
            (
                'u',
                "max user processes                  (-u)",
                processes.to_string(),
            ),
            (
                'v',
                "virtual memory              (kbytes, -v)",
                "unlimited".to_owned(),
            ),
            (
                'x',
                "file locks                          (-x)",
                "unlimited".to_owned(),
            ),
        ];
        let letters: String = words
            .iter()
            .filter_map(|w| w.strip_prefix('-'))
            .collect::<String>()
            .replace(['S', 'H'], "");
        if letters.contains('a') {
            let lines: String = limits
                .iter()
                .map(|(_, title, value)| format!("{title} {value}\n"))
                .collect();
            self.put_out(fds, lines.as_bytes());
            return 0;
        }
        let letter = letters.chars().next().unwrap_or('f');
        // What was set goes behind a name that no script can give.
        let kept = format!("\u{0}ULIMIT{letter}");
        if let Some(limit) = words.iter().find(|w| !w.starts_with('-')) {
            if limit == "unlimited" || limit.parse::<u64>().is_ok() {
                self.env.set(&kept, limit.clone().into_bytes());
                return 0;
            }
            let line = format!("{}: ulimit: {limit}: invalid number\n", self.complaint());
            self.put_err(fds, line.as_bytes());
            return 1;
        }
        if let Some(var) = self.env.vars.get(&kept) {
            let line = [var.value.as_slice(), b"\n"].concat();
            self.put_out(fds, &line);
            return 0;
        }
        match limits.iter().find(|(l, ..)| *l == letter) {
            Some((_, _, value)) => {
                let line = format!("{value}\n");
                self.put_out(fds, line.as_bytes());
                0
            }
            None => {
                let line = format!(
                    "{}: ulimit: -{letter}: invalid option\nulimit: usage: ulimit [-SHabcdefiklmnpqrstuvxPRT] [limit]\n",
                    self.complaint()
                );
                self.put_err(fds, line.as_bytes());
                2
            }
        }
    }

    /// `wait`: until the commands in the background have ended.
    async fn wait_for(&mut self, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let mut status = 0;
        let now = self.now();
        let operands: Vec<&String> = words.iter().filter(|w| !w.starts_with('-')).collect();
        let mut until = now;
        for word in &operands {
            match self.jobs.iter().find(|j| is_job(j, word)) {
                Some(job) => (until, status) = (until.max(job.until), job.status),
                None => {
                    let line = if word.starts_with('%') {
                        format!("{}: wait: {word}: no such job\n", self.complaint())
                    } else {
                        format!(
                            "{}: wait: pid {word} is not a child of this shell\n",
                            self.complaint()
                        )
                    };
                    self.put_err(fds, line.as_bytes());
                    status = 127;
                }
            }
        }
        if operands.is_empty() {
            until = self.jobs.iter().map(|j| j.until).max().unwrap_or(now);
        }
        if until > now {
            self.wait(Duration::from_secs(u64::try_from(until - now).unwrap_or(0)))
                .await?;
        }
        if !self.interactive {
            self.jobs
                .retain(|j| !operands.is_empty() && !operands.iter().any(|w| is_job(j, w)));
        }
        self.status = status;
        Ok(())
    }

    fn list_jobs(&mut self, words: &[String], fds: &Fds) -> u8 {
        let now = self.now();
        let newest = self.jobs.last().map_or(0, |j| j.number);
        let lines: String = self
            .jobs
            .iter()
            .map(|job| match words.first().map(String::as_str) {
                Some("-p") => format!("{}\n", job.pid),
                Some("-l") => job_line(job, newest, now).replacen("  ", &format!("  {} ", job.pid), 1),
                _ => job_line(job, newest, now),
            })
            .collect();
        self.put_out(fds, lines.as_bytes());
        self.jobs.retain(|j| j.until > now && j.ended.is_none());
        0
    }

    async fn foreground(&mut self, name: &str, which: &str, fds: &Fds) -> Result<(), Stop> {
        if !self.interactive {
            let line = format!("{}: {name}: no job control\n", self.complaint());
            self.put_err(fds, line.as_bytes());
            self.status = 1;
            return Ok(());
        }
        let found = if which.is_empty() {
            self.jobs.len().checked_sub(1)
        } else {
            self.jobs.iter().position(|j| is_job(j, which))
        };
        let Some(job) = found.map(|at| self.jobs.remove(at)) else {
            let which = if which.is_empty() { "current" } else { which };
            let line = format!("{}: {name}: {which}: no such job\n", self.complaint());
            self.put_err(fds, line.as_bytes());
            self.status = 1;
            return Ok(());
        };
        if name == "bg" {
            let line = format!("[{}]+ {} &\n", job.number, job.text);
            self.put_out(fds, line.as_bytes());
            self.jobs.push(job);
            self.status = 0;
            return Ok(());
        }
        let line = format!("{}\n", job.text);
        self.put_out(fds, line.as_bytes());
        let left = u64::try_from(job.until - self.now()).unwrap_or(0);
        if left > 0 {
            self.wait(Duration::from_secs(left)).await?;
        }
        self.status = job.status;
        Ok(())
    }

    fn getopts(&mut self, words: &[String], rest: &[Vec<u8>]) -> u8 {
        let (Some(spec), Some(name)) = (words.first(), words.get(1)) else {
            return 2;
        };
        let args: Vec<String> = if rest.len() > 2 {
            words.get(2..).unwrap_or_default().to_vec()
        } else {
            self.env.params.iter().map(|p| text(p)).collect()
        };
        // The place in a group of letters goes behind the index, where a script that sets OPTIND=1 resets it.
        let state = self.env.text("OPTIND");
        let index = state.parse::<usize>().unwrap_or(1).max(1);
        let offset = self.env.text("\u{0}OPTPOS").parse::<usize>().unwrap_or(1);
        let done = |shell: &mut Self, index: usize, offset: usize| {
            shell.env.set("OPTIND", index.to_string().into_bytes());
            shell.env.set("\u{0}OPTPOS", offset.to_string().into_bytes());
        };
        let Some(arg) = args
            .get(index - 1)
            .filter(|a| a.starts_with('-') && a.len() > 1 && *a != "--")
        else {
            let past = index + usize::from(args.get(index - 1).is_some_and(|a| a == "--"));
            done(self, past, 1);
            self.env.set(name, b"?".to_vec());
            return 1;
        };
        let letter = arg.chars().nth(offset).unwrap_or('?');
        let last = offset + 1 >= arg.chars().count();
        let known = spec.find(letter).filter(|_| letter != ':');
        self.env.vars.remove("OPTARG");
        let takes = known.is_some_and(|at| {
            spec.get(at + letter.len_utf8()..)
                .is_some_and(|r| r.starts_with(':'))
        });
        if known.is_none() {
            self.env.set(name, b"?".to_vec());
            if spec.starts_with(':') {
                self.env.set("OPTARG", letter.to_string().into_bytes());
            } else {
                let line = format!("{}: illegal option -- {letter}\n", self.env.arg0);
                self.outside.write(super::run::Stream::Err, line.as_bytes());
            }
        } else {
            self.env.set(name, letter.to_string().into_bytes());
        }
        if !takes {
            let (index, offset) = if last { (index + 1, 1) } else { (index, offset + 1) };
            done(self, index, offset);
            return 0;
        }
        let attached: String = arg.chars().skip(offset + 1).collect();
        if !attached.is_empty() {
            self.env.set("OPTARG", attached.into_bytes());
            done(self, index + 1, 1);
        } else if let Some(value) = args.get(index) {
            self.env.set("OPTARG", value.clone().into_bytes());
            done(self, index + 2, 1);
        } else {
            if spec.starts_with(':') {
                self.env.set(name, b":".to_vec());
                self.env.set("OPTARG", letter.to_string().into_bytes());
            } else {
                self.env.set(name, b"?".to_vec());
                let line = format!("{}: option requires an argument -- {letter}\n", self.env.arg0);
                self.outside.write(super::run::Stream::Err, line.as_bytes());
            }
            done(self, index + 1, 1);
        }
        0
    }

    async fn mapfile(&mut self, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let chop = words.iter().any(|w| w == "-t");
        let name = words
            .iter()
            .rfind(|w| !w.starts_with('-'))
            .map_or("MAPFILE", String::as_str)
            .to_owned();
        self.env.clear_items(&name, false);
        let all = self.input_all(fds).await?;
        for (i, line) in all.split_inclusive(|b| *b == b'\n').enumerate() {
            let line = if chop {
                line.strip_suffix(b"\n").unwrap_or(line)
            } else {
                line
            };
            let key = Key::Number(u32::try_from(i).unwrap_or(u32::MAX));
            self.env.set_item(&name, &key, line.to_vec());
        }
        self.status = 0;
        Ok(())
    }

    fn directory_stack(&mut self, name: &str, first: &str, fds: &Fds) -> Result<(), Stop> {
        let stack = "\u{0}DIRSTACK";
        let mut below: Vec<String> = self.env.text(stack).lines().map(str::to_owned).collect();
        match name {
            "pushd" if !first.is_empty() => {
                let here = self.env.cwd.clone();
                self.cd(first, fds)?;
                if self.status != 0 {
                    return Ok(());
                }
                below.insert(0, here);
            }
            "pushd" | "popd" if below.is_empty() => {
                let fault = if name == "popd" {
                    "directory stack empty"
                } else {
                    "no other directory"
                };
                let line = format!("{}: {name}: {fault}\n", self.complaint());
                self.put_err(fds, line.as_bytes());
                self.status = 1;
                return Ok(());
            }
            "pushd" => {
                let here = self.env.cwd.clone();
                let to = std::mem::replace(below.first_mut().unwrap_or(&mut String::new()), here);
                self.cd(&to, fds)?;
            }
            "popd" => {
                let to = below.remove(0);
                self.cd(&to, fds)?;
            }
            _ => self.status = 0,
        }
        self.env.set(stack, below.join("\n").into_bytes());
        let home = self.env.text("HOME");
        let shown: Vec<String> = std::iter::once(&self.env.cwd)
            .chain(&below)
            .map(|path| match path.strip_prefix(home.as_str()) {
                Some(rest) if !home.is_empty() && (rest.is_empty() || rest.starts_with('/')) => {
                    format!("~{rest}")
                }
                _ => path.clone(),
            })
            .collect();
        self.put_out(fds, format!("{}\n", shown.join(" ")).as_bytes());
        Ok(())
    }

    fn alias(&mut self, words: &[String], fds: &Fds) -> u8 {
        let mut status = 0;
        if words.is_empty() {
            let lines: String = self
                .env
                .aliases
                .iter()
                .map(|(n, v)| format!("alias {n}='{v}'\n"))
                .collect();
            self.put_out(fds, lines.as_bytes());
        }
        for word in words {
            match word.split_once('=') {
                Some((name, value)) if self.env.aliases.len() < 100 && value.len() < 4_096 => {
                    self.env.aliases.insert(name.to_owned(), value.to_owned());
                }
                Some(_) => {}
                None => match self.env.aliases.get(word) {
                    Some(value) => {
                        let line = format!("alias {word}='{value}'\n");
                        self.put_out(fds, line.as_bytes());
                    }
                    None => {
                        let line = format!("{}: alias: {word}: not found\n", self.complaint());
                        self.put_err(fds, line.as_bytes());
                        status = 1;
                    }
                },
            }
        }
        status
    }

    /// Where a program of that name stands, whatever the search path.
    pub(super) fn is_present(&self, name: &str) -> bool {
        ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"]
            .iter()
            .any(|directory| {
                self.vfs
                    .stat(vfs::Who { uid: 0, gid: 0 }, "/", &format!("{directory}/{name}"))
                    .is_ok()
            })
    }

    /// The file that a command's name stands for.
    fn program_of(&self, name: &str) -> Option<String> {
        if name.contains('/') {
            let found = self.vfs.stat(self.who(), &self.env.cwd, name);
            return found.is_ok_and(|(_, n)| !n.is_dir()).then(|| name.to_owned());
        }
        self.command_path(name)
    }

    fn locate(&mut self, name: &str, words: &[String], fds: &Fds) -> u8 {
        let mut status = 0;
        let short = match name {
            "which" => true,
            "command" => words.first().is_some_and(|w| w == "-v"),
            _ => false,
        };
        let flags: String = words.iter().filter_map(|w| w.strip_prefix('-')).collect();
        let most = if self.env.dialect == Dialect::Dash && name == "command" {
            1
        } else {
            usize::MAX
        };
        let mut found = false;
        for word in words.iter().filter(|w| !w.starts_with('-')).take(most) {
            let mut kinds: Vec<(&str, String)> = Vec::new();
            if name != "which" {
                if let Some(value) = self.env.aliases.get(word).filter(|_| self.interactive) {
                    let value = if short {
                        format!("alias {word}='{value}'")
                    } else {
                        format!("{word} is aliased to `{value}'")
                    };
                    kinds.push(("alias", value));
                }
                if KEYWORDS.contains(&word.as_str()) {
                    kinds.push(("keyword", format!("{word} is a shell keyword")));
                }
                if self.env.functions.contains_key(word) {
                    kinds.push(("function", format!("{word} is a function")));
                }
                if is_builtin(self.env.dialect, word) {
                    kinds.push(("builtin", format!("{word} is a shell builtin")));
                }
            }
            if let Some(path) = self.program_of(word) {
                kinds.push(("file", if short { path } else { format!("{word} is {path}") }));
            }
            if kinds.is_empty() {
                status = 1;
                if !short && !flags.contains('t') {
                    let who = self.complaint();
                    if self.env.dialect == Dialect::Dash {
                        self.put_out(fds, format!("{word}: not found\n").as_bytes());
                        status = 127;
                    } else {
                        self.put_err(fds, format!("{who}: {name}: {word}: not found\n").as_bytes());
                    }
                } else if short && self.env.dialect == Dialect::Dash && name == "command" {
                    status = 127;
                }
                continue;
            }
            found = true;
            let most = if flags.contains('a') { kinds.len() } else { 1 };
            for (kind, line) in kinds.into_iter().take(most) {
                let line = if flags.contains('t') && name == "type" {
                    format!("{kind}\n")
                } else if flags.contains('p') && name == "type" {
                    match line.split_once(" is ") {
                        Some((_, path)) if kind == "file" => format!("{path}\n"),
                        _ => continue,
                    }
                } else if short && !matches!(kind, "file" | "alias") {
                    format!("{word}\n")
                } else {
                    format!("{line}\n")
                };
                self.put_out(fds, line.as_bytes());
            }
        }
        if name == "command" && found { 0 } else { status }
    }

    async fn read_line(&mut self, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let mut names = Vec::new();
        let (mut raw, mut echo) = (false, true);
        let (mut array, mut most, mut delimiter) = (None, None, b'\n');
        let mut source = fds.clone();
        let mut it = words.iter();
        while let Some(word) = it.next() {
            let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) else {
                names.push(word.clone());
                continue;
            };
            for (i, letter) in letters.char_indices() {
                let mut value = || {
                    let attached = letters.get(i + 1..).unwrap_or_default();
                    if attached.is_empty() {
                        it.next().cloned().unwrap_or_default()
                    } else {
                        attached.to_owned()
                    }
                };
                match letter {
                    'r' => raw = true,
                    's' => echo = false,
                    'a' => array = Some(value()),
                    'n' | 'N' => most = value().parse::<usize>().ok(),
                    'd' => delimiter = value().bytes().next().unwrap_or(0),
                    'p' => {
                        let prompt = value();
                        if matches!(fds.input, Input::Session) && self.terminal.is_some() {
                            self.put_err(fds, prompt.as_bytes());
                        }
                    }
                    'u' => {
                        let fd = value().parse::<u32>().unwrap_or(0);
                        if let Some(Handle::In(input)) = source.more.get(&fd).cloned() {
                            source.input = input;
                        }
                    }
                    't' | 'i' => {
                        value();
                    }
                    _ => continue,
                }
                if !matches!(letter, 'r' | 's' | 'e') {
                    break;
                }
            }
        }
        let (line, ended) = self.input_until(&source, echo, delimiter, most).await?;
        let Some(mut line) = line else {
            for name in &names {
                self.env.set(name, Vec::new());
            }
            self.status = 1;
            return Ok(());
        };
        if !raw {
            // A backslash at the end of a line joins it to the next.
            while line.last() == Some(&b'\\') && delimiter == b'\n' {
                line.pop();
                match self.input_until(&source, echo, delimiter, None).await? {
                    (Some(more), _) => line.extend(more),
                    (None, _) => break,
                }
            }
        }
        let ifs = self
            .env
            .vars
            .get("IFS")
            .map_or_else(|| b" \t\n".to_vec(), |v| v.value.clone());
        let chars = parse::read_chars(&line, raw);
        if let Some(name) = array {
            self.env.clear_items(&name, false);
            for (i, field) in split_read(&chars, &ifs, usize::MAX).into_iter().enumerate() {
                self.env
                    .set_item(&name, &Key::Number(u32::try_from(i).unwrap_or(0)), field);
            }
        } else if names.is_empty() {
            self.env.set("REPLY", chars.into_iter().map(|(b, _)| b).collect());
        } else {
            let mut fields = split_read(&chars, &ifs, names.len()).into_iter();
            for name in &names {
                self.env.set(name, fields.next().unwrap_or_default());
            }
        }
        self.status = u8::from(!ended);
        Ok(())
    }

    async fn xargs(&mut self, rest: &[Vec<u8>], fds: &Fds) -> Result<(), Stop> {
        let mut at = 0;
        let (mut per, mut place, mut by, mut empty) = (usize::MAX, None, None, true);
        while let Some(arg) = rest.get(at).filter(|a| a.starts_with(b"-") && a.len() > 1) {
            let word = text(arg);
            at += 1;
            let mut value = |attached: &str| {
                if attached.is_empty() {
                    at += 1;
                    rest.get(at - 1).map(|a| text(a)).unwrap_or_default()
                } else {
                    attached.to_owned()
                }
            };
            if word == "-0" || word == "--null" {
                by = Some(0);
            } else if let Some(n) = word
                .strip_prefix("-n")
                .or_else(|| word.strip_prefix("--max-args="))
            {
                per = value(n).parse().unwrap_or(1);
            } else if let Some(n) = word.strip_prefix("-L") {
                per = value(n).parse().unwrap_or(1);
                by = Some(b'\n');
            } else if let Some(s) = word.strip_prefix("-I") {
                place = Some(value(s));
            } else if word == "-i" {
                place = Some("{}".to_owned());
            } else if let Some(d) = word.strip_prefix("-d") {
                let d = value(d);
                by = parse::unescape(d.as_bytes(), parse::Escapes::Ansi)
                    .0
                    .first()
                    .copied();
            } else if let Some(n) = word.strip_prefix("-P").or_else(|| word.strip_prefix("-s")) {
                value(n);
            } else if word == "-r" || word == "--no-run-if-empty" {
                empty = false;
            }
        }
        let mut command = rest.get(at..).unwrap_or_default().to_vec();
        if command.is_empty() {
            command.push(b"echo".to_vec());
        }
        let input = self.input_all(fds).await?;
        let items: Vec<Vec<u8>> = match by.or(place.is_some().then_some(b'\n')) {
            Some(by) => {
                let whole = if by == 0 || by == b'\n' {
                    input.strip_suffix(&[by]).unwrap_or(&input)
                } else {
                    &input
                };
                let lines = whole.split(|b| *b == by);
                lines
                    .map(|w| {
                        if place.is_some() {
                            w.trim_ascii_start().to_vec()
                        } else {
                            w.to_vec()
                        }
                    })
                    .filter(|w| !w.is_empty() || (by != b'\n' && !whole.is_empty()))
                    .collect()
            }
            None => shell_words(&input),
        };
        let inner = Fds {
            input: Input::of(b""),
            ..fds.clone()
        };
        let mut worst = 0;
        let chunk = if place.is_some() { 1 } else { per.clamp(1, 5_000) };
        let batches: Vec<&[Vec<u8>]> = if items.is_empty() && place.is_none() && empty {
            vec![&[]]
        } else {
            items.chunks(chunk).collect()
        };
        for batch in batches {
            let args: Vec<Vec<u8>> = match (&place, batch.first()) {
                (Some(mark), Some(item)) => command
                    .iter()
                    .map(|a| text(a).replace(mark.as_str(), &text(item)).into_bytes())
                    .collect(),
                _ => command.iter().chain(batch).cloned().collect(),
            };
            let name = args.first().map_or_else(String::new, |n| text(n));
            if self.program_of(&name).is_none() {
                let line = format!("xargs: {name}: No such file or directory\n");
                self.put_err(fds, line.as_bytes());
                self.status = 127;
                return Ok(());
            }
            let functions = std::mem::take(&mut self.env.functions);
            let done = self.run_args(args, &inner).await;
            self.env.functions = functions;
            done?;
            if self.status != 0 {
                worst = match self.status {
                    126 | 127 => self.status,
                    _ => 123,
                };
            }
        }
        self.status = worst;
        Ok(())
    }

    /// `sh -c script`, `sh file`, `sh` reading its input, or a shell within the shell.
    async fn sub_shell(&mut self, name: &str, rest: &[Vec<u8>], fds: &Fds) -> Result<(), Stop> {
        let dialect = self.dialect_of(name);
        let mut at = 0;
        let (mut command, mut login, mut interactive, mut from_input) = (false, false, false, false);
        let mut switches = Vec::new();
        while let Some(option) = rest
            .get(at)
            .filter(|a| a.len() > 1 && (a.starts_with(b"-") || a.starts_with(b"+")))
        {
            at += 1;
            let word = text(option);
            if word == "--version" && dialect == Dialect::Bash {
                self.put_out(fds, format!("GNU bash, version {} ({}-pc-linux-gnu)\nCopyright (C) 2022 Free Software Foundation, Inc.\nLicense GPLv3+: GNU GPL version 3 or later <http://gnu.org/licenses/gpl.html>\n\nThis is free software; you are free to change and redistribute it.\nThere is NO WARRANTY, to the extent permitted by law.\n", self.machine.distribution.bash(), self.machine.architecture).as_bytes());
                self.status = 0;
                return Ok(());
            }
            if word == "--" {
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                login |= long == "login";
                at += usize::from(matches!(long, "rcfile" | "init-file"));
                continue;
            }
            for letter in word.chars().skip(1) {
                match letter {
                    'c' => command = true,
                    'l' => login = true,
                    'i' => interactive = true,
                    's' => from_input = true,
                    'o' | 'O' => {
                        switches.push(rest.get(at).map(|a| text(a)).unwrap_or_default());
                        at += 1;
                    }
                    letter => switches.push(format!("-{letter}")),
                }
            }
        }
        let args = rest.get(at..).unwrap_or_default();
        let mut script = Script {
            arg0: name.to_owned(),
            dialect,
            from_argument: false,
            switches,
        };
        if command {
            let Some(content) = args.first() else {
                let line = match dialect {
                    Dialect::Dash => format!("{name}: 0: -c requires an argument\n"),
                    _ => format!("{name}: -c: option requires an argument\n"),
                };
                self.put_err(fds, line.as_bytes());
                self.status = 2;
                return Ok(());
            };
            if let Some(arg0) = args.get(1) {
                script.arg0 = text(arg0);
            }
            script.from_argument = true;
            let params = args.get(2..).unwrap_or_default().to_vec();
            return self.run_as_script(script, Some(content), params, fds).await;
        }
        if let Some(path) = args.first().filter(|a| a.as_slice() != b"-" && !from_input) {
            let path = text(path);
            let fault = match self.vfs.read(self.who(), &self.env.cwd, &path) {
                Ok(content) if content.iter().take(80).any(|b| *b == 0) => {
                    (126, format!("{path}: {path}: cannot execute binary file\n"))
                }
                Ok(content) => {
                    script.arg0 = path;
                    let params = args.get(1..).unwrap_or_default().to_vec();
                    return self.run_as_script(script, Some(&content), params, fds).await;
                }
                Err(errno) => {
                    let status = if errno == vfs::Errno::NoEntry { 127 } else { 126 };
                    match dialect {
                        Dialect::Bash => (status, format!("{name}: {path}: {}\n", errno.text())),
                        Dialect::Dash if errno == vfs::Errno::NoEntry => {
                            (2, format!("{name}: 0: cannot open {path}: No such file\n"))
                        }
                        Dialect::Dash => (2, format!("{name}: 0: cannot open {path}: {}\n", errno.text())),
                        Dialect::Ash => (2, format!("{name}: can't open '{path}': {}\n", errno.text())),
                    }
                }
            };
            self.put_err(fds, fault.1.as_bytes());
            self.status = fault.0;
            return Ok(());
        }
        let at_terminal = matches!(fds.input, Input::Session) && self.terminal.is_some();
        if at_terminal || (interactive && matches!(fds.input, Input::Session)) {
            return self
                .nested(Start {
                    arg0: if login {
                        format!("-{name}")
                    } else {
                        name.to_owned()
                    },
                    dialect,
                    login,
                })
                .await;
        }
        self.run_as_script(script, None, args.to_vec(), fds).await
    }

    async fn busybox(&mut self, rest: &[Vec<u8>], fds: &Fds) -> Result<(), Stop> {
        let Some(applet) = rest.first().map(|a| text(a)) else {
            self.put_out(fds, self.machine.distribution.busybox().as_bytes());
            self.put_out(fds, commands::system::BUSYBOX_HELP.as_bytes());
            self.status = 0;
            return Ok(());
        };
        if commands::find(&applet).is_none()
            && !matches!(
                applet.as_str(),
                "sh" | "ash" | "cat" | "sleep" | "xargs" | "pwd" | "true"
            )
        {
            let line = format!("{applet}: applet not found\n");
            self.put_err(fds, line.as_bytes());
            self.status = 127;
            return Ok(());
        }
        let mut args = rest.to_vec();
        if let Some(name) = args.first_mut().filter(|name| name.as_slice() == b"ash") {
            *name = b"sh".to_vec();
        }
        self.run_args(args, fds).await
    }

    /// The account of that name, as `/etc/passwd` has it by now.
    pub(super) fn account(&self, name: &str) -> Option<Account> {
        let root = vfs::Who { uid: 0, gid: 0 };
        let passwd = self.vfs.read(root, "/", "/etc/passwd").ok()?;
        let passwd = String::from_utf8_lossy(&passwd);
        let fields: Vec<&str> = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<&str>>())
            .find(|f| f.first() == Some(&name) && f.len() >= 7)?;
        let field = |i: usize| fields.get(i).copied().unwrap_or_default();
        let known = self.machine.account(name);
        Some(Account {
            uid: field(2).parse().ok()?,
            gid: field(3).parse().ok()?,
            home: field(5).to_owned(),
            shell: field(6).to_owned(),
            gecos: field(4).to_owned(),
            ..known
                .cloned()
                .unwrap_or_else(|| self.machine.account_or_new(name))
        })
    }

    /// Whether that is the account's password, or the one that the visitor came in with.
    pub(super) fn opens(&self, user: &str, secret: &[u8]) -> bool {
        self.machine.knows(user, secret)
            || self
                .login_secret
                .as_ref()
                .is_some_and(|(who, own)| who == user && own.as_slice() == secret)
    }

    async fn sudo(&mut self, rest: &[Vec<u8>], fds: &Fds) -> Result<(), Stop> {
        let mut at = 0;
        let mut target = "root".to_owned();
        let (mut login, mut shell, mut list, mut from_input, mut never, mut check) =
            (false, false, false, false, false, false);
        while let Some(option) = rest
            .get(at)
            .map(|a| text(a))
            .filter(|a| a.starts_with('-') && a.len() > 1)
        {
            at += 1;
            match option.as_str() {
                "--" => break,
                "-u" | "--user" | "-g" | "-p" | "-h" | "-C" | "-r" | "-t" | "-T" | "-U" | "-D" => {
                    let value = rest.get(at).map(|a| text(a)).unwrap_or_default();
                    if matches!(option.as_str(), "-u" | "--user") {
                        target = value;
                    }
                    at += 1;
                }
                letters => {
                    for letter in letters.chars().skip(1) {
                        match letter {
                            'i' => login = true,
                            's' => shell = true,
                            'l' => list = true,
                            'S' => from_input = true,
                            'n' => never = true,
                            'v' => check = true,
                            'k' | 'K' => self.sudo_until = 0,
                            _ => {}
                        }
                    }
                }
            }
        }
        let command = rest.get(at..).unwrap_or_default().to_vec();
        if command.is_empty() && !(login || shell || list || check) {
            if rest.iter().any(|a| a == b"-k" || a == b"-K") {
                self.status = 0;
                return Ok(());
            }
            self.put_err(fds, b"usage: sudo -h | -K | -k | -V\nusage: sudo -v [-ABkNnS] [-g group] [-h host] [-p prompt] [-u user]\nusage: sudo -l [-ABkNnS] [-g group] [-h host] [-p prompt] [-U user]\n            [-u user] [command [arg ...]]\nusage: sudo [-ABbEHkNnPS] [-r role] [-t type] [-C num] [-D directory]\n            [-g group] [-h host] [-p prompt] [-R directory] [-T timeout]\n            [-u user] [VAR=value] [-i | -s] [command [arg ...]]\nusage: sudo -e [-ABkNnS] [-r role] [-t type] [-C num] [-D directory]\n            [-g group] [-h host] [-p prompt] [-R directory] [-T timeout]\n            [-u user] file ...\n");
            self.status = 1;
            return Ok(());
        }
        let user = self.env.user.clone();
        let group = self.machine.admin_group;
        let admin = self.env.uid == 0
            || self.machine.account(&user).is_some_and(|a| a.admin)
            || commands::users::is_member(self, &user, group);
        if self.env.uid != 0 && self.now() >= self.sudo_until {
            let terminal = self.terminal.is_some();
            if never || !(terminal || from_input) {
                let line: &[u8] = if never {
                    b"sudo: a password is required\n"
                } else {
                    b"sudo: a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper\nsudo: a password is required\n"
                };
                self.put_err(fds, line);
                self.status = 1;
                return Ok(());
            }
            let session = Fds::session();
            let source = if from_input { fds } else { &session };
            if terminal && !self.lectured {
                self.lectured = true;
                self.put_err(fds, b"\nWe trust you have received the usual lecture from the local System\nAdministrator. It usually boils down to these three things:\n\n    #1) Respect the privacy of others.\n    #2) Think before you type.\n    #3) With great power comes great responsibility.\n\n");
            }
            let mut accepted = false;
            for attempt in 0..3 {
                self.put_err(fds, format!("[sudo] password for {user}: ").as_bytes());
                let Some(secret) = self.input_line(source, false).await? else {
                    let line = match attempt {
                        0 => "\nsudo: no password was provided\nsudo: a password is required\n".to_owned(),
                        1 => "\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n"
                            .to_owned(),
                        n => format!(
                            "\nsudo: no password was provided\nsudo: {n} incorrect password attempts\n"
                        ),
                    };
                    self.put_err(fds, line.as_bytes());
                    self.status = 1;
                    return Ok(());
                };
                if terminal && !from_input {
                    self.put_err(fds, b"\n");
                }
                accepted = self.opens(&user, &secret);
                self.outside.report(Report::Secret {
                    user: &user,
                    secret: &secret,
                    via: "sudo",
                    accepted,
                });
                if accepted {
                    break;
                }
                self.wait(Duration::from_secs(2)).await?;
                if attempt < 2 {
                    self.put_err(fds, b"Sorry, try again.\n");
                }
            }
            if !accepted {
                self.put_err(fds, b"sudo: 3 incorrect password attempts\n");
                self.status = 1;
                return Ok(());
            }
            if admin {
                self.sudo_until = self.now() + SUDO_REMEMBERS_S;
            }
        }
        if !admin {
            let host = self.machine.hostname.clone();
            let line = if list {
                format!("Sorry, user {user} may not run sudo on {host}.\n")
            } else {
                format!("{user} is not in the sudoers file.\n")
            };
            self.put_err(fds, line.as_bytes());
            self.status = 1;
            return Ok(());
        }
        if list {
            let line = format!(
                "Matching Defaults entries for {0} on {1}:\n    env_reset, mail_badpass, secure_path=/usr/local/sbin\\:/usr/local/bin\\:/usr/sbin\\:/usr/bin\\:/sbin\\:/bin, use_pty\n\nUser {0} may run the following commands on {1}:\n    (ALL : ALL) ALL\n",
                user, self.machine.hostname
            );
            self.put_out(fds, line.as_bytes());
            self.status = 0;
            return Ok(());
        }
        if check {
            self.status = 0;
            return Ok(());
        }
        let Some(account) = self.account(&target) else {
            self.put_err(
                fds,
                format!("sudo: unknown user {target}\nsudo: error initializing audit plugin sudoers_audit\n")
                    .as_bytes(),
            );
            self.status = 1;
            return Ok(());
        };
        let name = command.first().map_or_else(String::new, |c| text(c));
        let installed = self.program_of(&name).is_some() || self.is_present(&name);
        if !(name.is_empty() || login || shell || installed) {
            self.put_err(fds, format!("sudo: {name}: command not found\n").as_bytes());
            self.status = 1;
            return Ok(());
        }
        let words: Vec<String> = rest.iter().map(|a| text(a)).collect();
        let own = (self.env.uid, self.env.gid);
        let before = self.step_into(&account, "sudo", &words);
        self.env.vars.retain(|name, _| {
            matches!(
                name.as_str(),
                "TERM" | "LANG" | "LS_COLORS" | "DISPLAY" | "SHLVL" | "PWD" | "IFS"
            ) || name.starts_with("LC_")
        });
        let words = command.iter().map(|c| text(c)).collect::<Vec<_>>().join(" ");
        for (name, value) in [
            ("HOME", account.home.clone()),
            ("LOGNAME", account.name.clone()),
            ("USER", account.name.clone()),
            ("SHELL", account.shell.clone()),
            ("MAIL", format!("/var/mail/{}", account.name)),
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ),
            (
                "SUDO_COMMAND",
                if command.is_empty() {
                    account.shell.clone()
                } else {
                    words
                },
            ),
            ("SUDO_USER", user),
            ("SUDO_UID", own.0.to_string()),
            ("SUDO_GID", own.1.to_string()),
        ] {
            self.env.export(name, &value);
        }
        let done = if login || shell {
            if login {
                self.env.cwd.clone_from(&account.home);
                self.env.export("PWD", &account.home);
            }
            let joined = command.join(&b' ');
            self.as_user(&account, (!command.is_empty()).then_some(joined), login, fds)
                .await
        } else {
            self.env.functions.clear();
            self.env.aliases.clear();
            self.run_args(command, fds).await
        };
        self.step_back(before);
        killed_only(done)
    }

    /// Become another account; what to give to [`Shell::step_back`].
    fn step_into(&mut self, account: &Account, via: &str, words: &[String]) -> vars::Env {
        let before = self.env.clone();
        self.ancestors.push(super::run::Ancestor {
            pid: self.pid,
            user: before.user.clone(),
            command: before.arg0.clone(),
        });
        self.ancestors.push(super::run::Ancestor {
            pid: self.pid + 1,
            user: "root".to_owned(),
            command: format!("{via} {}", words.join(" ")).trim_end().to_owned(),
        });
        self.env.user.clone_from(&account.name);
        (self.env.uid, self.env.gid) = (account.uid, account.gid);
        self.env.umask = 0o022;
        before
    }

    fn step_back(&mut self, before: vars::Env) {
        self.ancestors.truncate(self.ancestors.len().saturating_sub(2));
        self.env = before;
    }

    /// The account's shell: with a command, at the terminal, or with what the input says.
    async fn as_user(
        &mut self,
        account: &Account,
        command: Option<Vec<u8>>,
        login: bool,
        fds: &Fds,
    ) -> Result<(), Stop> {
        let shell = account.shell.rsplit('/').next().unwrap_or("sh").to_owned();
        if matches!(shell.as_str(), "nologin" | "false" | "sync") {
            if shell == "nologin" {
                self.put_out(fds, b"This account is currently not available.\n");
            }
            self.status = u8::from(shell != "sync");
            return Ok(());
        }
        let dialect = self.dialect_of(&shell);
        let script = Script {
            arg0: if login { format!("-{shell}") } else { shell.clone() },
            dialect,
            from_argument: command.is_some(),
            switches: Vec::new(),
        };
        if let Some(command) = command {
            return self.run_as_script(script, Some(&command), Vec::new(), fds).await;
        }
        if matches!(fds.input, Input::Session) && self.terminal.is_some() {
            return self
                .nested(Start {
                    arg0: script.arg0,
                    dialect,
                    login,
                })
                .await;
        }
        self.run_as_script(script, None, Vec::new(), fds).await
    }

    /// The environment of a login to that account.
    fn fresh(&mut self, account: &Account) {
        self.env
            .vars
            .retain(|name, _| matches!(name.as_str(), "TERM" | "SHLVL" | "IFS"));
        self.env.cwd.clone_from(&account.home);
        let path = if account.uid == 0 {
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        } else {
            "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
        };
        self.env.export("PATH", path);
        self.env.export("PWD", &account.home);
        self.env.export("MAIL", &format!("/var/mail/{}", account.name));
        self.env.export("SHLVL", "0");
        self.env.export("LANG", "en_US.UTF-8");
    }

    /// A login to that account: its shell, or a command.
    pub(super) async fn sign_in(
        &mut self,
        account: &Account,
        via: &str,
        words: &[String],
        command: Option<Vec<u8>>,
        fds: &Fds,
    ) -> Result<(), Stop> {
        let before = self.step_into(account, via, words);
        self.fresh(account);
        for (name, value) in [
            ("HOME", &account.home),
            ("SHELL", &account.shell),
            ("USER", &account.name),
            ("LOGNAME", &account.name),
        ] {
            self.env.export(name, value);
        }
        let login = command.is_none();
        let done = self.as_user(account, command, login, fds).await;
        self.step_back(before);
        killed_only(done)
    }

    async fn su(&mut self, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let mut target = None;
        let mut command = None;
        let mut login = false;
        let mut it = words.iter();
        while let Some(word) = it.next() {
            match word.as_str() {
                "-" | "-l" | "--login" => login = true,
                "-c" | "--command" => command = it.next().cloned().map(String::into_bytes),
                "-s" | "--shell" => {
                    it.next();
                }
                other if !other.starts_with('-') && target.is_none() => target = Some(other.to_owned()),
                _ => {}
            }
        }
        let target = target.unwrap_or_else(|| "root".to_owned());
        let Some(account) = self.account(&target) else {
            self.put_err(fds, format!("su: user {target} does not exist or the user entry does not contain all the required fields\n").as_bytes());
            self.status = 1;
            return Ok(());
        };
        if self.env.uid != 0 {
            let session = Fds::session();
            let source = if self.terminal.is_some() { &session } else { fds };
            self.put_err(fds, b"Password: ");
            let secret = self.input_line(source, false).await?;
            self.put_err(fds, b"\n");
            let secret = secret.unwrap_or_default();
            let accepted = self.opens(&target, &secret);
            self.outside.report(Report::Secret {
                user: &target,
                secret: &secret,
                via: "su",
                accepted,
            });
            if !accepted {
                self.wait(Duration::from_secs(2)).await?;
                self.put_err(fds, b"su: Authentication failure\n");
                self.status = 1;
                return Ok(());
            }
        }
        let before = self.step_into(&account, "su", words);
        if login {
            self.fresh(&account);
        }
        // `su` alone changes these, too, but for root not the names.
        self.env.export("HOME", &account.home);
        self.env.export("SHELL", &account.shell);
        if login || account.uid != 0 {
            self.env.export("USER", &account.name);
            self.env.export("LOGNAME", &account.name);
        }
        let done = self.as_user(&account, command, login, fds).await;
        self.step_back(before);
        killed_only(done)
    }

    /// `mysql -p`: it asks for the password, and the server then knows a better one.
    async fn mysql(&mut self, name: &str, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let session = Fds::session();
        let source = if self.terminal.is_some() { &session } else { fds };
        self.put_err(fds, b"Enter password: ");
        let secret = self.input_line(source, false).await?.unwrap_or_default();
        if self.terminal.is_some() {
            self.put_err(fds, b"\n");
        }
        let own = self.env.user.clone();
        let user = words
            .iter()
            .find_map(|w| w.strip_prefix("-u").or(w.strip_prefix("--user=")))
            .filter(|u| !u.is_empty())
            .or_else(|| {
                let at = words.iter().position(|w| w == "-u")?;
                words.get(at + 1).map(String::as_str)
            })
            .unwrap_or(&own)
            .to_owned();
        self.outside.report(Report::Secret {
            user: &user,
            secret: &secret,
            via: "mysql",
            accepted: false,
        });
        let mut args: Vec<Vec<u8>> = vec![name.as_bytes().to_vec()];
        let asks = |w: &&String| matches!(w.as_str(), "-p" | "--password");
        args.extend(words.iter().filter(|w| !asks(w)).map(|w| w.clone().into_bytes()));
        let mut call = commands::Call::new(name, args);
        self.status = commands::databases::refuse(self, &mut call, !secret.is_empty());
        for step in call.steps {
            match step {
                super::run::Step::Err(bytes) => self.put_err(fds, &bytes),
                super::run::Step::Wait(time) => self.wait(time).await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn passwd(&mut self, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let flags: String = words.iter().filter_map(|w| w.strip_prefix('-')).collect();
        let user = words
            .iter()
            .find(|w| !w.starts_with('-'))
            .cloned()
            .unwrap_or_else(|| self.env.user.clone());
        if self.account(&user).is_none() {
            self.put_err(fds, format!("passwd: user '{user}' does not exist\n").as_bytes());
            self.status = 1;
            return Ok(());
        }
        if flags.starts_with('S') || flags == "-status" {
            let line = commands::users::password_status(self, &user);
            self.put_out(fds, line.as_bytes());
            self.status = 0;
            return Ok(());
        }
        if self.env.uid != 0 && user != self.env.user {
            self.put_err(
                fds,
                format!("passwd: You may not view or modify password information for {user}.\n").as_bytes(),
            );
            self.status = 1;
            return Ok(());
        }
        if matches!(flags.as_str(), "l" | "u" | "d" | "e") && self.env.uid == 0 {
            commands::users::password_state(self, &user, &flags);
            self.put_out(fds, b"passwd: password changed.\n");
            self.status = 0;
            return Ok(());
        }
        // Where the answers come through a pipe the prompts run together.
        let line_end: &[u8] = if matches!(fds.input, Input::Session) && self.terminal.is_some() {
            b"\n"
        } else {
            b""
        };
        let from_input = flags == "-stdin";
        if self.env.uid != 0 {
            self.put_out(fds, format!("Changing password for {user}.\n").as_bytes());
            self.put_err(fds, b"Current password: ");
            let secret = self.input_line(fds, false).await?.unwrap_or_default();
            self.put_err(fds, line_end);
            let accepted = self.opens(&user, &secret);
            self.outside.report(Report::Secret {
                user: &user,
                secret: &secret,
                via: "passwd",
                accepted,
            });
            if !accepted {
                self.wait(Duration::from_secs(2)).await?;
                self.put_err(
                    fds,
                    b"passwd: Authentication token manipulation error\npasswd: password unchanged\n",
                );
                self.status = 10;
                return Ok(());
            }
        }
        let mut typed = Vec::new();
        for prompt in ["New password: ", "Retype new password: "] {
            if from_input {
                let secret = self.input_line(fds, false).await?.unwrap_or_default();
                typed = vec![secret.clone(), secret];
                break;
            }
            self.put_err(fds, prompt.as_bytes());
            let Some(secret) = self.input_line(fds, false).await? else {
                break;
            };
            self.put_err(fds, line_end);
            typed.push(secret);
        }
        let done = matches!(typed.as_slice(), [a, b] if a == b && !a.is_empty());
        if let Some(secret) = typed.first() {
            self.outside
                .password_changed(&user, secret, &self.env.user, &self.env.cwd, done);
        }
        if done {
            let secret = typed.first().cloned().unwrap_or_default();
            commands::users::password_set(self, &user, &secret);
            if user == self.env.user
                && let Some(secret) = typed.pop()
            {
                self.login_secret = Some((user, secret));
            }
            self.put_err(fds, b"passwd: password updated successfully\n");
            self.status = 0;
        } else {
            let why: &[u8] = match typed.as_slice() {
                [a, b] if a != b => b"Sorry, passwords do not match.\n",
                _ => b"No password has been supplied.\n",
            };
            self.put_err(fds, why);
            self.put_err(
                fds,
                b"passwd: Authentication token manipulation error\npasswd: password unchanged\n",
            );
            self.status = 10;
        }
        Ok(())
    }
}

/// Seconds of `5`, `1.5m`, `2h` and the like.
fn interval(word: &str) -> Option<f64> {
    let (number, scale) = [("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)]
        .into_iter()
        .find_map(|(unit, scale)| Some((word.strip_suffix(unit)?, scale)))
        .unwrap_or((word, 1.0));
    let number = number.parse::<f64>().ok().filter(|n| *n >= 0.0)?;
    Some(number * scale)
}

/// A process of its own passes on only that it was killed.
fn killed_only(done: Result<(), Stop>) -> Result<(), Stop> {
    match done {
        Err(Stop::Killed) => Err(Stop::Killed),
        _ => Ok(()),
    }
}

/// Whether `which` names the job: `%1`, `%+`, `%name` or its process id.
pub(super) fn is_job(job: &super::run::Job, which: &str) -> bool {
    match which.strip_prefix('%') {
        Some("" | "+" | "%") => true,
        Some(number) if number.parse() == Ok(job.number) => true,
        Some(name) => job.text.starts_with(name),
        None => which.parse() == Ok(job.pid),
    }
}

/// What `read` gives to at most `most` names: fields after IFS, the rest in the last.
fn split_read(chars: &[(u8, bool)], ifs: &[u8], most: usize) -> Vec<Vec<u8>> {
    let is_ifs = |c: &(u8, bool)| !c.1 && ifs.contains(&c.0);
    let is_space = |c: &(u8, bool)| is_ifs(c) && c.0.is_ascii_whitespace();
    let skip_spaces = |mut at: usize| {
        while chars.get(at).is_some_and(is_space) {
            at += 1;
        }
        at
    };
    let mut out = Vec::new();
    let mut at = skip_spaces(0);
    while at < chars.len() {
        if out.len() + 1 == most {
            let mut rest = chars.get(at..).unwrap_or_default();
            while rest.last().is_some_and(is_space) {
                rest = rest.get(..rest.len() - 1).unwrap_or_default();
            }
            // One delimiter at the very end belongs to no further field.
            if let Some((last, head)) = rest.split_last()
                && is_ifs(last)
                && !head.iter().any(is_ifs)
            {
                rest = head;
            }
            out.push(rest.iter().map(|c| c.0).collect());
            return out;
        }
        let end = (at..chars.len())
            .find(|i| chars.get(*i).is_some_and(is_ifs))
            .unwrap_or(chars.len());
        out.push(
            chars
                .get(at..end)
                .unwrap_or_default()
                .iter()
                .map(|c| c.0)
                .collect(),
        );
        at = skip_spaces(end);
        if chars.get(at).is_some_and(|c| is_ifs(c) && !is_space(c)) {
            at = skip_spaces(at + 1);
        }
    }
    out
}

/// Words as `xargs` reads them: divided by blanks, with quotes and backslashes.
fn shell_words(input: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut it = input.iter();
    while let Some(b) = it.next() {
        match (quote, *b) {
            (Some(q), b) if b == q => quote = None,
            (Some(_), b) => word.get_or_insert_default().push(b),
            (None, b'\'' | b'"') => {
                quote = Some(*b);
                word.get_or_insert_default();
            }
            (None, b'\\') => word.get_or_insert_default().extend(it.next()),
            (None, b) if b.is_ascii_whitespace() => out.extend(word.take()),
            (None, b) => word.get_or_insert_default().push(b),
        }
    }
    out.extend(word);
    out
}

/// How many leading arguments are options, where those of `valued` take a value.
fn options(rest: &[Vec<u8>], valued: &[u8]) -> usize {
    let mut at = 0;
    while let Some(arg) = rest.get(at).filter(|a| a.starts_with(b"-") && a.len() > 1) {
        let takes = arg.len() == 2 && arg.get(1).is_some_and(|b| valued.contains(b));
        at += if takes { 2 } else { 1 };
    }
    at
}
