//! Commands that change the shell itself, wait for input, or run other commands.

use std::time::Duration;

use super::{
    commands, parse,
    run::{Fds, Input, Report, Shell, Stop, Var},
    vfs,
};

/// Names that `type` calls a shell builtin.
pub(super) const BUILTINS: &[&str] = &[
    ".", ":", "[", "[[", "alias", "bg", "break", "builtin", "cd", "command", "continue", "declare", "disown",
    "echo", "eval", "exec", "exit", "export", "false", "fg", "hash", "help", "history", "jobs", "kill",
    "let", "local", "logout", "popd", "printf", "pushd", "pwd", "read", "readonly", "return", "set", "shift",
    "shopt", "source", "test", "times", "trap", "true", "type", "typeset", "ulimit", "umask", "unalias",
    "unset", "wait",
];

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
        let rest = args.get(1..).unwrap_or_default();
        let words: Vec<String> = rest.iter().map(|a| text(a)).collect();
        let first = words.first().map_or("", String::as_str);
        self.status = match name {
            ":" | "true" | "shopt" | "hash" | "ulimit" | "disown" | "wait" | "bg" | "fg" | "times"
            | "readonly"
                if first.is_empty() || name != "ulimit" =>
            {
                0
            }
            "ulimit" => {
                let value = match first {
                    "-n" => "1024\n",
                    "-u" => "15382\n",
                    "-s" => "8192\n",
                    "-c" => "0\n",
                    _ => "unlimited\n",
                };
                if words.len() < 2 {
                    self.put_out(fds, value.as_bytes());
                }
                0
            }
            "cd" => return Some(self.cd(first, fds)),
            "pwd" => {
                let line = format!("{}\n", self.env.cwd);
                self.put_out(fds, line.as_bytes());
                0
            }
            "exit" | "logout" => {
                if !first.is_empty() {
                    self.status = match first.parse::<i64>() {
                        Ok(n) => u8::try_from(n.rem_euclid(256)).unwrap_or(0),
                        Err(_) => 2,
                    };
                }
                return Some(Err(Stop::Exit));
            }
            "return" => {
                if let Ok(n) = first.parse::<i64>() {
                    self.status = u8::try_from(n.rem_euclid(256)).unwrap_or(0);
                }
                return Some(Err(Stop::Return));
            }
            "break" => return Some(Err(Stop::Break(first.parse().unwrap_or(1)))),
            "continue" => return Some(Err(Stop::Continue(first.parse().unwrap_or(1)))),
            "export" | "declare" | "typeset" | "local" => self.declare(name, rest, fds),
            "unset" => {
                for word in words.iter().filter(|w| !w.starts_with('-')) {
                    self.env.vars.remove(word);
                    self.env.functions.remove(word);
                }
                0
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
            "trap" | "jobs" => 0,
            "history" => {
                if first == "-c" {
                    self.history.clear();
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
                        return Some(match self.run_script(&content, fds).await {
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
                let ended = self.run_args(rest.to_vec(), fds).await;
                return Some(ended.and(Err(Stop::Exit)));
            }
            "command" | "builtin" | "setsid" | "nice" | "ionice" | "stdbuf" | "unbuffer" => {
                let skip = options(rest, b"nic");
                return Some(
                    self.run_args(rest.get(skip..).unwrap_or_default().to_vec(), fds)
                        .await,
                );
            }
            "nohup" => {
                if rest.is_empty() {
                    self.put_err(
                        fds,
                        b"nohup: missing operand\nTry 'nohup --help' for more information.\n",
                    );
                    125
                } else {
                    if self.terminal.is_some() {
                        self.put_err(
                            fds,
                            b"nohup: ignoring input and appending output to 'nohup.out'\n",
                        );
                    }
                    return Some(self.run_args(rest.to_vec(), fds).await);
                }
            }
            "time" => {
                let ended = self.run_args(rest.to_vec(), fds).await;
                let ms = 1 + self.random() % 7;
                let line = format!("\nreal\t0m0.00{ms}s\nuser\t0m0.00{}s\nsys\t0m0.000s\n", ms / 2);
                self.put_err(fds, line.as_bytes());
                return Some(ended);
            }
            "timeout" => {
                let skip = options(rest, b"ks");
                return Some(
                    self.run_args(rest.get(skip + 1..).unwrap_or_default().to_vec(), fds)
                        .await,
                );
            }
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
                    self.env.vars.insert(
                        name,
                        Var {
                            value,
                            exported: true,
                        },
                    );
                    at += 1;
                }
                let done = self
                    .run_args(rest.get(at..).unwrap_or_default().to_vec(), fds)
                    .await;
                self.env.vars = saved.vars;
                return Some(done);
            }
            "xargs" => return Some(self.xargs(rest, fds).await),
            "sh" | "bash" | "dash" | "ash" | "rbash" if self.is_installed(name) => {
                return Some(self.sub_shell(name, rest, fds).await);
            }
            "busybox" if self.is_installed("busybox") => return Some(self.busybox(rest, fds).await),
            "sudo" if self.is_installed("sudo") => return Some(self.sudo(rest, fds).await),
            "su" => return Some(self.su(&words, fds).await),
            "passwd" => return Some(self.passwd(&words, fds).await),
            "sleep" | "usleep" => {
                let (mut seconds, unit) = (0.0_f64, if name == "usleep" { 1e-6 } else { 1.0 });
                for word in &words {
                    let scale = match word.as_bytes().last() {
                        Some(b'm') => 60.0,
                        Some(b'h') => 3_600.0,
                        Some(b'd') => 86_400.0,
                        _ => 1.0,
                    };
                    match word.trim_end_matches(['s', 'm', 'h', 'd']).parse::<f64>() {
                        Ok(n) if n >= 0.0 => seconds += n * scale * unit,
                        _ => {
                            let line = format!(
                                "sleep: invalid time interval ‘{word}’\nTry 'sleep --help' for more information.\n"
                            );
                            self.put_err(fds, line.as_bytes());
                            self.status = 1;
                            return Some(Ok(()));
                        }
                    }
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

    fn cd(&mut self, to: &str, fds: &Fds) -> Result<(), Stop> {
        let target = match to {
            "" => self.env.text("HOME"),
            "-" => self.env.text("OLDPWD"),
            to => to.to_owned(),
        };
        let shown = if to == "-" { target.clone() } else { to.to_owned() };
        let path = vfs::absolute(&self.env.cwd, &target);
        let found = self.vfs.stat(self.who(), "/", &path);
        let fault = match found {
            Ok((_, node)) if !node.is_dir() => "Not a directory",
            Ok((_, node)) if !vfs::Vfs::executable(self.who(), &node) => "Permission denied",
            Ok(_) => {
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
        let line = format!("{}: cd: {shown}: {fault}\n", self.complaint());
        self.put_err(fds, line.as_bytes());
        self.status = 1;
        Ok(())
    }

    fn declare(&mut self, name: &str, rest: &[Vec<u8>], fds: &Fds) -> u8 {
        let names: Vec<&Vec<u8>> = rest.iter().filter(|a| !a.starts_with(b"-")).collect();
        if names.is_empty() {
            let lines: String = self
                .env
                .vars
                .iter()
                .filter(|(_, v)| v.exported)
                .map(|(n, v)| format!("declare -x {n}=\"{}\"\n", String::from_utf8_lossy(&v.value)))
                .collect();
            self.put_out(fds, lines.as_bytes());
            return 0;
        }
        let mut status = 0;
        for arg in names {
            let cut = arg.iter().position(|b| *b == b'=');
            let variable = text(arg.get(..cut.unwrap_or(arg.len())).unwrap_or_default());
            let valid = variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && variable.bytes().next().is_some_and(|b| !b.is_ascii_digit());
            if !valid {
                let line = format!(
                    "{}: {name}: `{}': not a valid identifier\n",
                    self.complaint(),
                    text(arg)
                );
                self.put_err(fds, line.as_bytes());
                status = 1;
                continue;
            }
            if let Some(cut) = cut {
                self.env
                    .set(&variable, arg.get(cut + 1..).unwrap_or_default().to_vec());
            }
            if name == "export"
                && let Some(var) = self.env.vars.get_mut(&variable)
            {
                var.exported = true;
            }
        }
        status
    }

    fn set(&mut self, words: &[String], rest: &[Vec<u8>], fds: &Fds) -> u8 {
        if words.is_empty() {
            let lines: String = self
                .env
                .vars
                .iter()
                .map(|(n, v)| format!("{n}={}\n", String::from_utf8_lossy(&v.value)))
                .collect();
            self.put_out(fds, lines.as_bytes());
            return 0;
        }
        match words.iter().position(|w| w == "--") {
            Some(at) => self.env.params = rest.get(at + 1..).unwrap_or_default().to_vec(),
            None if !words.iter().any(|w| w.starts_with(['-', '+'])) => self.env.params = rest.to_vec(),
            None => {}
        }
        0
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

    fn locate(&mut self, name: &str, words: &[String], fds: &Fds) -> u8 {
        let mut status = 0;
        for word in words.iter().filter(|w| !w.starts_with('-')) {
            let builtin = name != "which" && BUILTINS.contains(&word.as_str());
            let function = name != "which" && self.env.functions.contains_key(word);
            let line = if function {
                format!("{word} is a function\n")
            } else if builtin {
                if name == "type" {
                    format!("{word} is a shell builtin\n")
                } else {
                    format!("{word}\n")
                }
            } else if word.contains('/') && self.vfs.stat(self.who(), &self.env.cwd, word).is_ok() {
                if name == "type" {
                    format!("{word} is {word}\n")
                } else {
                    format!("{word}\n")
                }
            } else if let Some(path) = self
                .command_path(word)
                .map(|p| p.replacen("/usr/local", "/usr", 0))
            {
                if name == "type" {
                    format!("{word} is {path}\n")
                } else {
                    format!("{path}\n")
                }
            } else {
                status = 1;
                if name == "type" {
                    let line = format!("{}: type: {word}: not found\n", self.complaint());
                    self.put_err(fds, line.as_bytes());
                }
                continue;
            };
            self.put_out(fds, line.as_bytes());
        }
        status
    }

    async fn read_line(&mut self, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let mut names = Vec::new();
        let (mut raw, mut echo) = (false, true);
        let mut it = words.iter();
        while let Some(word) = it.next() {
            match word.as_str() {
                "-r" => raw = true,
                "-s" => echo = false,
                "-p" => {
                    let prompt = it.next().cloned().unwrap_or_default();
                    self.put_err(fds, prompt.as_bytes());
                }
                "-t" | "-n" | "-d" | "-u" => {
                    it.next();
                }
                "-rs" | "-sr" => (raw, echo) = (true, false),
                _ => names.push(word.clone()),
            }
        }
        let Some(mut line) = self.input_line(fds, echo).await? else {
            self.status = 1;
            return Ok(());
        };
        if !raw {
            line = parse::unescape_line(&line);
        }
        if names.is_empty() {
            self.env.set("REPLY", line);
        } else {
            let line = String::from_utf8_lossy(&line).into_owned();
            let ifs = self.env.text("IFS");
            let mut rest = line.trim_matches(|c: char| ifs.contains(c) && c.is_whitespace());
            let last = names.len() - 1;
            for (i, name) in names.iter().enumerate() {
                let (value, after) = if i == last {
                    (rest, "")
                } else {
                    rest.split_once(|c: char| ifs.contains(c)).unwrap_or((rest, ""))
                };
                self.env.set(name, value.as_bytes().to_vec());
                rest = after.trim_start_matches(|c: char| ifs.contains(c) && c.is_whitespace());
            }
        }
        self.status = 0;
        Ok(())
    }

    async fn xargs(&mut self, rest: &[Vec<u8>], fds: &Fds) -> Result<(), Stop> {
        let mut at = 0;
        let (mut per, mut place) = (usize::MAX, None);
        while let Some(arg) = rest.get(at).filter(|a| a.starts_with(b"-")) {
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
            if let Some(n) = word.strip_prefix("-n") {
                per = value(n).parse().unwrap_or(1);
            } else if let Some(s) = word.strip_prefix("-I") {
                place = Some(value(s));
            } else if let Some(n) = word.strip_prefix("-P") {
                value(n);
            }
        }
        let mut command = rest.get(at..).unwrap_or_default().to_vec();
        if command.is_empty() {
            command.push(b"echo".to_vec());
        }
        let input = self.input_all(fds).await?;
        let split = |b: &u8| *b == b'\n' || *b == 0 || (place.is_none() && b.is_ascii_whitespace());
        let items: Vec<Vec<u8>> = input
            .split(split)
            .filter(|w| !w.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        let inner = Fds {
            input: Input::of(b""),
            ..fds.clone()
        };
        let mut worst = 0;
        let chunk = if place.is_some() { 1 } else { per.clamp(1, 5_000) };
        let batches: Vec<&[Vec<u8>]> = if items.is_empty() && place.is_none() {
            vec![&[]]
        } else {
            items.chunks(chunk).collect()
        };
        for batch in batches {
            let args = match (&place, batch.first()) {
                (Some(mark), Some(item)) => command
                    .iter()
                    .map(|a| text(a).replace(mark.as_str(), &text(item)).into_bytes())
                    .collect(),
                _ => command.iter().chain(batch).cloned().collect(),
            };
            self.run_args(args, &inner).await?;
            if self.status != 0 {
                worst = if self.status == 127 { 127 } else { 123 };
            }
        }
        self.status = worst;
        Ok(())
    }

    /// `sh -c script`, `sh file`, `sh` reading its input, or a shell within the shell.
    async fn sub_shell(&mut self, name: &str, rest: &[Vec<u8>], fds: &Fds) -> Result<(), Stop> {
        let mut at = 0;
        let mut command = false;
        while let Some(option) = rest.get(at).filter(|a| a.starts_with(b"-") && a.len() > 1) {
            if option == b"--version" {
                self.put_out(fds, format!("GNU bash, version {} (x86_64-pc-linux-gnu)\nCopyright (C) 2022 Free Software Foundation, Inc.\nLicense GPLv3+: GNU GPL version 3 or later <http://gnu.org/licenses/gpl.html>\n\nThis is free software; you are free to change and redistribute it.\nThere is NO WARRANTY, to the extent permitted by law.\n", self.machine.distribution.bash()).as_bytes());
                self.status = 0;
                return Ok(());
            }
            command |= !option.starts_with(b"--") && option.contains(&b'c');
            at += 1;
        }
        let args = rest.get(at..).unwrap_or_default();
        if command {
            let Some(script) = args.first() else {
                let line = format!("{name}: -c: option requires an argument\n");
                self.put_err(fds, line.as_bytes());
                self.status = 2;
                return Ok(());
            };
            let arg0 = args.get(1).map_or_else(|| name.to_owned(), |a| text(a));
            let params = args.get(1..).unwrap_or_default().to_vec();
            return self.run_file_as_script(&arg0, script, params, fds).await;
        }
        if let Some(path) = args.first().filter(|a| a.as_slice() != b"-") {
            let path = text(path);
            let fault = match self.vfs.read(self.who(), &self.env.cwd, &path) {
                Ok(content) if content.starts_with(b"\x7fELF") => {
                    format!("{name}: {path}: cannot execute binary file\n")
                }
                Ok(content) => return self.run_file_as_script(&path, &content, args.to_vec(), fds).await,
                Err(errno) => format!("{name}: {path}: {}\n", errno.text()),
            };
            self.put_err(fds, fault.as_bytes());
            self.status = if fault.contains("binary") { 126 } else { 127 };
            return Ok(());
        }
        if matches!(fds.input, Input::Session) && self.interactive {
            // A shell in the shell looks like the one that it was started from.
            self.status = 0;
            return Ok(());
        }
        let script = self.input_all(fds).await?;
        let inner = Fds {
            input: Input::of(b""),
            ..fds.clone()
        };
        self.run_file_as_script(name, &script, Vec::new(), &inner).await
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

    async fn sudo(&mut self, rest: &[Vec<u8>], fds: &Fds) -> Result<(), Stop> {
        let mut at = 0;
        let mut target = "root".to_owned();
        let mut login = false;
        while let Some(option) = rest.get(at).map(|a| text(a)).filter(|a| a.starts_with('-')) {
            at += 1;
            match option.as_str() {
                "-u" => {
                    target = rest.get(at).map(|a| text(a)).unwrap_or_default();
                    at += 1;
                }
                "-l" => {
                    let line = format!(
                        "User {} may run the following commands on {}:\n    (ALL : ALL) ALL\n",
                        self.env.user, self.machine.hostname
                    );
                    self.put_out(fds, line.as_bytes());
                    self.status = 0;
                    return Ok(());
                }
                "-i" | "-s" => login = true,
                _ => {}
            }
        }
        let user = self.env.user.clone();
        if self.env.uid != 0 && !self.machine.account(&user).is_some_and(|a| a.admin) {
            self.put_err(fds, format!("{user} is not in the sudoers file.\n").as_bytes());
            self.status = 1;
            return Ok(());
        }
        if self.env.uid != 0 && self.terminal.is_some() && !self.env.vars.contains_key("\u{0}sudo") {
            for attempt in 0..3 {
                self.put_err(fds, format!("[sudo] password for {user}: ").as_bytes());
                let Some(secret) = self.input_line(&Fds::session(), false).await? else {
                    self.status = 1;
                    return Ok(());
                };
                self.put_err(fds, b"\n");
                let accepted = self.machine.knows(&user, &secret) || attempt == 2;
                self.outside.report(Report::Secret {
                    user: &user,
                    secret: &secret,
                    via: "sudo",
                    accepted,
                });
                if accepted {
                    self.env.set("\u{0}sudo", Vec::new());
                    break;
                }
                self.wait(Duration::from_secs(2)).await?;
                self.put_err(fds, b"Sorry, try again.\n");
            }
        } else if self.env.uid != 0 && self.terminal.is_none() && !self.env.vars.contains_key("\u{0}sudo") {
            self.put_err(fds, b"sudo: a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper\nsudo: a password is required\n");
            self.status = 1;
            return Ok(());
        }
        let command = rest.get(at..).unwrap_or_default().to_vec();
        self.become_user(&target, &command, login, fds).await
    }

    /// Run a command as another account, or stay it where there is no command.
    async fn become_user(
        &mut self,
        target: &str,
        command: &[Vec<u8>],
        login: bool,
        fds: &Fds,
    ) -> Result<(), Stop> {
        let Some(account) = self.machine.account(target).cloned() else {
            self.put_err(
                fds,
                format!("sudo: unknown user {target}\nsudo: error initializing audit plugin sudoers_audit\n")
                    .as_bytes(),
            );
            self.status = 1;
            return Ok(());
        };
        let saved = self.env.clone();
        self.env.user.clone_from(&account.name);
        (self.env.uid, self.env.gid) = (account.uid, account.gid);
        for (name, value) in [
            ("HOME", &account.home),
            ("USER", &account.name),
            ("LOGNAME", &account.name),
        ] {
            self.env.export(name, value);
        }
        if command.is_empty() {
            if login {
                self.env.cwd.clone_from(&account.home);
            }
            self.status = 0;
            return Ok(());
        }
        let ended = self.run_args(command.to_vec(), fds).await;
        self.env = saved;
        if ended == Err(Stop::Killed) {
            Err(Stop::Killed)
        } else {
            Ok(())
        }
    }

    async fn su(&mut self, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let mut target = "root".to_owned();
        let mut command = Vec::new();
        let mut login = false;
        let mut it = words.iter();
        while let Some(word) = it.next() {
            match word.as_str() {
                "-" | "-l" | "--login" => login = true,
                "-c" => {
                    command = vec![
                        b"sh".to_vec(),
                        b"-c".to_vec(),
                        it.next().cloned().unwrap_or_default().into_bytes(),
                    ];
                }
                other if !other.starts_with('-') => target = other.to_owned(),
                _ => {}
            }
        }
        if self.machine.account(&target).is_none() {
            self.put_err(fds, format!("su: user {target} does not exist or the user entry does not contain all the required fields\n").as_bytes());
            self.status = 1;
            return Ok(());
        }
        if self.env.uid != 0 {
            self.put_err(fds, b"Password: ");
            let secret = self.input_line(&Fds::session(), false).await?.unwrap_or_default();
            self.put_err(fds, b"\n");
            let accepted = self.machine.knows(&target, &secret);
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
        self.become_user(&target, &command, login, fds).await
    }

    async fn passwd(&mut self, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let user = words
            .iter()
            .find(|w| !w.starts_with('-'))
            .cloned()
            .unwrap_or_else(|| self.env.user.clone());
        if self.machine.account(&user).is_none() {
            self.put_err(fds, format!("passwd: user '{user}' does not exist\n").as_bytes());
            self.status = 1;
            return Ok(());
        }
        if self.env.uid != 0 {
            self.put_out(fds, format!("Changing password for {user}.\n").as_bytes());
            self.put_err(fds, b"Current password: ");
            let secret = self.input_line(fds, false).await?.unwrap_or_default();
            self.put_err(fds, b"\n");
            let accepted = self.machine.knows(&user, &secret);
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
            self.put_err(fds, prompt.as_bytes());
            let Some(secret) = self.input_line(fds, false).await? else {
                break;
            };
            self.put_err(fds, b"\n");
            typed.push(secret);
        }
        let done = matches!(typed.as_slice(), [a, b] if a == b && !a.is_empty());
        if let Some(secret) = typed.first() {
            self.outside.report(Report::Secret {
                user: &user,
                secret,
                via: "passwd",
                accepted: done,
            });
        }
        if done {
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

/// How many leading arguments are options, where those of `valued` take a value.
fn options(rest: &[Vec<u8>], valued: &[u8]) -> usize {
    let mut at = 0;
    while let Some(arg) = rest.get(at).filter(|a| a.starts_with(b"-") && a.len() > 1) {
        let takes = arg.len() == 2 && arg.get(1).is_some_and(|b| valued.contains(b));
        at += if takes { 2 } else { 1 };
    }
    at
}
