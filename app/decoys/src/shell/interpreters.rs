//! `python3` and `perl`: their one-liners are acted out, everything else takes its time and says nothing.

use std::time::Duration;

use super::{
    python::{self, Around, Effect},
    run::{Fds, Report, Script, Shell, Stop},
    vfs::absolute,
};

impl Shell {
    /// An interpreter with its arguments.
    pub(super) async fn interpreter(&mut self, name: &str, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let perl = name.starts_with("perl");
        if let Some(text) = self.interpreter_version(perl, words) {
            self.put_out(fds, text.as_bytes());
            self.status = 0;
            return Ok(());
        }
        let code = if perl {
            perl_code(words)
        } else {
            python_code(words)
        };
        if let Some(code) = code {
            return self.one_liner(perl, &code, words, fds).await;
        }
        let path = words.iter().find(|w| !w.starts_with('-')).cloned();
        let module = words.iter().position(|w| w == "-m");
        if let Some(module) = module.and_then(|at| words.get(at + 1)).filter(|_| !perl) {
            if module == "http.server" || module == "SimpleHTTPServer" {
                let port = words.last().and_then(|p| p.parse::<u16>().ok()).unwrap_or(8000);
                let line = format!("Serving HTTP on 0.0.0.0 port {port} (http://0.0.0.0:{port}/) ...\n");
                self.put_err(fds, line.as_bytes());
                self.wait(Duration::from_secs(86_400)).await?;
            } else {
                self.put_err(
                    fds,
                    format!("/usr/bin/{name}: No module named {module}\n").as_bytes(),
                );
            }
            self.status = 1;
            return Ok(());
        }
        match path {
            Some(path) if self.vfs.stat(self.who(), &self.env.cwd, &path).is_err() => {
                let text = if perl {
                    format!("Can't open perl script \"{path}\": No such file or directory\n")
                } else {
                    format!(
                        "{name}: can't open file '{}': [Errno 2] No such file or directory\n",
                        absolute(&self.env.cwd, &path)
                    )
                };
                self.put_err(fds, text.as_bytes());
                self.status = 2;
                Ok(())
            }
            Some(path) => {
                let who = self.who();
                let code = self.vfs.read(who, &self.env.cwd, &path).map(|b| b.to_vec());
                let code = String::from_utf8_lossy(&code.unwrap_or_default()).into_owned();
                self.one_liner(perl, &code, words, fds).await
            }
            None => {
                // A prompt, or a script that is typed: what comes is read to its end.
                let input = self.input_all(fds).await?;
                let code = String::from_utf8_lossy(&input).into_owned();
                self.one_liner(perl, &code, words, fds).await
            }
        }
    }

    fn interpreter_version(&self, perl: bool, words: &[String]) -> Option<String> {
        let (of_perl, of_python) = self.machine.distribution.interpreters();
        let asked = |names: &[&str]| words.first().is_some_and(|w| names.contains(&w.as_str()));
        if perl && asked(&["-v", "--version", "-version"]) {
            let mut parts = of_perl.split('.');
            let (version, subversion) = (parts.nth(1).unwrap_or("0"), parts.next().unwrap_or("0"));
            return Some(format!(
                "\nThis is perl 5, version {version}, subversion {subversion} (v{of_perl}) built for x86_64-linux-gnu-thread-multi\n\nCopyright 1987-2023, Larry Wall\n\nPerl may be copied only under the terms of either the Artistic License or the\nGNU General Public License, which may be found in the Perl 5 source kit.\n\nComplete documentation for Perl, including FAQ lists, should be found on\nthis system using \"man perl\" or \"perldoc perl\".  If you have access to the\nInternet, point your browser at https://www.perl.org/, the Perl Home Page.\n\n"
            ));
        }
        (!perl && asked(&["-V", "--version", "-VV"])).then(|| format!("Python {of_python}\n"))
    }

    async fn one_liner(&mut self, perl: bool, code: &str, words: &[String], fds: &Fds) -> Result<(), Stop> {
        let connection = python::connection(code).or_else(|| perl_connection(code));
        let pid = self.spawn_pid();
        let effects = {
            let around = Around {
                machine: &self.machine,
                user: &self.env.user,
                uid: self.env.uid,
                gid: self.env.gid,
                cwd: &self.env.cwd,
                pid,
                now: self.now(),
            };
            if perl {
                perl_run(code, words, &around)
            } else {
                python::run(code, &around)
            }
        };
        self.status = 0;
        let effects = match (effects, connection) {
            (Ok(effects), None) => effects,
            // Whatever else it does: it wants to go out, and gets no further.
            (_, Some((host, port))) => vec![Effect::Connect(host, port)],
            (Err(_), None) => {
                self.wait(Duration::from_millis(300)).await?;
                return Ok(());
            }
        };
        for effect in effects {
            match effect {
                Effect::Print(text) => self.put_out(fds, text.as_bytes()),
                Effect::Run(command) => {
                    let script = Script {
                        arg0: "sh".to_owned(),
                        dialect: self.dialect_of("sh"),
                        from_argument: true,
                        switches: Vec::new(),
                    };
                    self.run_as_script(script, Some(command.as_bytes()), Vec::new(), fds)
                        .await?;
                    self.status = 0;
                }
                Effect::Spawn(argv) => {
                    let argv: Vec<Vec<u8>> = argv.into_iter().map(String::into_bytes).collect();
                    self.run_args(argv, fds).await?;
                }
                Effect::Sleep(seconds) => {
                    self.wait(Duration::try_from_secs_f64(seconds.clamp(0.0, 86_400.0)).unwrap_or_default())
                        .await?;
                }
                Effect::Exit(status) => {
                    self.status = status;
                    return Ok(());
                }
                Effect::Connect(host, port) => {
                    self.outside.report(Report::Fetch {
                        url: &format!("tcp://{host}:{port}"),
                        via: if perl { "perl" } else { "python" },
                    });
                    self.wait(Duration::from_secs(20)).await?;
                    let text = if perl {
                        String::new()
                    } else {
                        traceback("TimeoutError: [Errno 110] Connection timed out")
                    };
                    self.put_err(fds, text.as_bytes());
                    self.status = u8::from(!perl);
                    return Ok(());
                }
                Effect::Raise(text) if perl => {
                    self.put_err(fds, format!("{text} at -e line 1.\n").as_bytes());
                    self.status = 255;
                    return Ok(());
                }
                Effect::Syntax(text) if perl => {
                    self.put_err(fds, format!("{text}\n").as_bytes());
                    self.status = 255;
                    return Ok(());
                }
                Effect::Raise(text) => {
                    let text = if text.starts_with("SyntaxError") {
                        let line = code.lines().next().unwrap_or_default();
                        format!(
                            "  File \"<string>\", line 1\n    {line}\n    {}\n{text}\n",
                            "^".repeat(line.chars().count().max(1))
                        )
                    } else {
                        traceback(&text)
                    };
                    self.put_err(fds, text.as_bytes());
                    self.status = 1;
                    return Ok(());
                }
                Effect::Syntax(text) => {
                    self.put_err(fds, format!("  File \"<string>\", line 1\n{text}\n").as_bytes());
                    self.status = 1;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn traceback(last: &str) -> String {
    format!("Traceback (most recent call last):\n  File \"<string>\", line 1, in <module>\n{last}\n")
}

/// The code behind `-c`, alone or with other letters before it.
fn python_code(words: &[String]) -> Option<String> {
    let at = words
        .iter()
        .take_while(|w| w.starts_with('-'))
        .position(|w| !w.starts_with("--") && w.contains('c'))?;
    let attached = words.get(at)?.split_once('c').map_or("", |w| w.1);
    if attached.is_empty() {
        words.get(at + 1).cloned()
    } else {
        Some(attached.to_owned())
    }
}

/// The code behind `-e` and `-E`, alone or with other letters before it.
fn perl_code(words: &[String]) -> Option<String> {
    let mut code = Vec::new();
    let mut it = words.iter();
    while let Some(word) = it.next() {
        if !word.starts_with('-') {
            break;
        }
        if let Some(at) = word
            .find(['e', 'E'])
            .filter(|_| !word.starts_with("-M") && !word.starts_with("-I"))
        {
            let attached = word.get(at + 1..).unwrap_or_default();
            if attached.is_empty() {
                code.push(it.next()?.clone());
            } else {
                code.push(attached.to_owned());
            }
        }
    }
    (!code.is_empty()).then(|| code.join("\n"))
}

/// Host and port of a `sockaddr_in(port, inet_aton(host))` or a `PeerAddr`, as reverse shells of perl have them.
fn perl_connection(code: &str) -> Option<(String, String)> {
    let value = |name: &str| {
        let rest = code.split(name).nth(1)?;
        let rest = rest.trim_start_matches([' ', '=', '>', '"', '\'']);
        let end = rest.find(['"', '\'', ';', ',', ')']).unwrap_or(rest.len());
        rest.get(..end).map(str::to_owned)
    };
    if let Some(peer) = value("PeerAddr") {
        return match (value("PeerPort"), peer.rsplit_once(':')) {
            (Some(port), _) => Some((peer.clone(), port)),
            (None, Some((host, port))) => Some((host.to_owned(), port.to_owned())),
            _ => None,
        };
    }
    (code.contains("sockaddr_in") && code.contains("connect(")).then_some(())?;
    Some((value("$i")?, value("$p")?))
}

/// Modules that come with perl.
const PERL_MODULES: &[&str] = &[
    "strict",
    "warnings",
    "utf8",
    "feature",
    "vars",
    "lib",
    "constant",
    "POSIX",
    "Socket",
    "IO",
    "IO::Socket",
    "IO::Socket::INET",
    "IO::Handle",
    "IO::File",
    "File::Basename",
    "File::Copy",
    "File::Temp",
    "Data::Dumper",
    "MIME::Base64",
    "Digest::MD5",
    "Digest::SHA",
    "Time::HiRes",
    "Sys::Hostname",
    "Getopt::Long",
    "List::Util",
    "Cwd",
    "Fcntl",
    "Encode",
    "HTTP::Tiny",
    "Config",
    "bigint",
    "Math::BigInt",
    "Term::ANSIColor",
    "Text::Wrap",
    "threads",
    "Storable",
];

/// What perl does with `code`.
fn perl_run(code: &str, words: &[String], around: &Around<'_>) -> Result<Vec<Effect>, python::Unknown> {
    let switches: String = words
        .iter()
        .take_while(|w| w.starts_with('-'))
        .filter(|w| !w.starts_with("-M"))
        .map(|w| w.trim_start_matches('-'))
        .collect();
    let switches = switches.split(['e', 'E']).next().unwrap_or_default();
    if switches.contains(['n', 'p', 'i', 'a']) {
        return Err(python::Unknown);
    }
    let mut effects = Vec::new();
    let modules = words.iter().filter_map(|w| w.strip_prefix("-M"));
    let (version, _) = around.machine.distribution.interpreters();
    for module in modules {
        if let Some(fault) = missing(module.split('=').next().unwrap_or_default(), version) {
            return Ok(vec![Effect::Syntax(fault)]);
        }
    }
    for statement in perl_statements(code)? {
        let statement = statement.trim();
        let (word, rest) = statement.split_at(
            statement
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
                .unwrap_or(statement.len()),
        );
        let mut reader = Perl {
            rest: rest.trim(),
            around,
        };
        match word {
            "" if statement.is_empty() => {}
            "use" | "no" | "require" => {
                let module = rest.trim().split([' ', ';', '(']).next().unwrap_or_default();
                if !module.starts_with(|c: char| c.is_ascii_digit() || c == 'v')
                    && let Some(fault) = missing(module, version)
                {
                    return Ok(vec![Effect::Syntax(fault)]);
                }
            }
            "print" | "say" => {
                let mut text = reader.list()?.concat();
                if word == "say" || switches.contains('l') {
                    text.push('\n');
                }
                effects.push(Effect::Print(text));
            }
            "system" => effects.push(Effect::Run(reader.list()?.join(" "))),
            "exec" => {
                let list = reader.list()?;
                let words: Vec<String> = if let [one] = list.as_slice() {
                    one.split_whitespace().map(str::to_owned).collect()
                } else {
                    list
                };
                effects.push(Effect::Spawn(words));
                return Ok(effects);
            }
            "exit" => {
                let status = reader.list()?.first().and_then(|n| n.parse().ok()).unwrap_or(0);
                effects.push(Effect::Exit(status));
                return Ok(effects);
            }
            "sleep" => {
                let seconds = reader.list()?.first().and_then(|n| n.parse().ok()).unwrap_or(0.0);
                effects.push(Effect::Sleep(seconds));
            }
            "die" => {
                let text = reader.list()?.concat();
                let text = if text.is_empty() { "Died".to_owned() } else { text };
                effects.push(match text.strip_suffix('\n') {
                    Some(whole) => Effect::Syntax(whole.to_owned()),
                    None => Effect::Raise(text),
                });
                return Ok(effects);
            }
            "POSIX::setuid" | "setuid" | "POSIX::setgid" => {
                reader.list()?;
            }
            _ => return Err(python::Unknown),
        }
    }
    Ok(effects)
}

/// What perl says of a module that it has not.
fn missing(module: &str, version: &str) -> Option<String> {
    if module.is_empty() || PERL_MODULES.contains(&module) {
        return None;
    }
    let short = version.rsplit_once('.').map_or(version, |v| v.0);
    let file = module.replace("::", "/");
    let entries = if version.starts_with("5.38") {
        "entries checked"
    } else {
        "contains"
    };
    Some(format!(
        "Can't locate {file}.pm in @INC (you may need to install the {module} module) (@INC {entries}: /etc/perl /usr/local/lib/x86_64-linux-gnu/perl/{version} /usr/local/share/perl/{version} /usr/lib/x86_64-linux-gnu/perl5/{short} /usr/share/perl5 /usr/lib/x86_64-linux-gnu/perl-base /usr/lib/x86_64-linux-gnu/perl/{short} /usr/share/perl/{short} /usr/local/lib/site_perl) at -e line 1.\nBEGIN failed--compilation aborted at -e line 1."
    ))
}

/// The statements of a code, divided at the semicolons outside of strings.
fn perl_statements(code: &str) -> Result<Vec<String>, python::Unknown> {
    let mut out = vec![String::new()];
    let mut quote = None;
    let mut escaped = false;
    for c in code.chars() {
        let current = out.last_mut().ok_or(python::Unknown)?;
        match (quote, c) {
            (Some(q), c) if !escaped && c == q => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, ';') => {
                out.push(String::new());
                continue;
            }
            (None, '{' | '}') if !current.contains("$ENV") => return Err(python::Unknown),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        current.push(c);
    }
    if out.len() > 200 {
        return Err(python::Unknown);
    }
    Ok(out)
}

/// Expressions of perl.
struct Perl<'c, 'a> {
    rest: &'c str,
    around: &'c Around<'a>,
}

impl Perl<'_, '_> {
    fn takes(&mut self, op: &str) -> bool {
        self.rest = self.rest.trim_start();
        let Some(after) = self.rest.strip_prefix(op) else {
            return false;
        };
        self.rest = after;
        true
    }

    /// Values divided by commas, with or without brackets around them, up to the end.
    fn list(&mut self) -> Result<Vec<String>, python::Unknown> {
        let bracket = self.takes("(");
        let mut out = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() || self.rest.starts_with(')') {
                break;
            }
            out.push(self.joined()?);
            if !self.takes(",") {
                break;
            }
        }
        if bracket && !self.takes(")") {
            return Err(python::Unknown);
        }
        if self.rest.trim().is_empty() {
            Ok(out)
        } else {
            Err(python::Unknown)
        }
    }

    fn joined(&mut self) -> Result<String, python::Unknown> {
        let mut left = self.sum()?;
        while self.takes(".") {
            left.push_str(&self.sum()?);
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<String, python::Unknown> {
        let mut left = self.product()?;
        loop {
            let plus = self.takes("+");
            if !plus && !self.takes("-") {
                return Ok(left);
            }
            let (a, b) = (value_of(&left), value_of(&self.product()?));
            left = shown(if plus { a + b } else { a - b });
        }
    }

    fn product(&mut self) -> Result<String, python::Unknown> {
        let mut left = self.term()?;
        loop {
            self.rest = self.rest.trim_start();
            let op = self.rest.chars().next().unwrap_or(' ');
            if self.takes("**") {
                left = shown(value_of(&left).powf(value_of(&self.term()?)));
                continue;
            }
            // A repetition needs something that is no name behind it.
            if op == 'x'
                && self
                    .rest
                    .get(1..)
                    .is_some_and(|r| r.starts_with([' ', '(']) || r.starts_with(|c: char| c.is_ascii_digit()))
            {
                self.rest = self.rest.get(1..).unwrap_or_default();
                let times = value_of(&self.term()?).clamp(0.0, 1e6);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped above"
                )]
                let times = times as usize;
                if times.saturating_mul(left.len()) > 1 << 20 {
                    return Err(python::Unknown);
                }
                left = left.repeat(times);
                continue;
            }
            if !matches!(op, '*' | '/' | '%') {
                return Ok(left);
            }
            self.rest = self.rest.get(1..).unwrap_or_default();
            let (a, b) = (value_of(&left), value_of(&self.term()?));
            left = shown(match op {
                '*' => a * b,
                '/' if b != 0.0 => a / b,
                '%' if b != 0.0 => a.rem_euclid(b),
                _ => return Err(python::Unknown),
            });
        }
    }

    fn term(&mut self) -> Result<String, python::Unknown> {
        self.rest = self.rest.trim_start();
        let around = self.around;
        let first = self.rest.chars().next().ok_or(python::Unknown)?;
        if matches!(first, '"' | '\'') {
            let body = self.rest.get(1..).unwrap_or_default();
            let mut out = String::new();
            let mut chars = body.char_indices();
            while let Some((at, c)) = chars.next() {
                if c == first {
                    self.rest = body.get(at + 1..).unwrap_or_default();
                    return Ok(out);
                }
                match c {
                    '\\' => match chars.next().map(|(_, c)| c) {
                        Some('n') if first == '"' => out.push('\n'),
                        Some('t') if first == '"' => out.push('\t'),
                        Some('e') if first == '"' => out.push('\x1b'),
                        Some('x') if first == '"' => {
                            let hex: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                            out.extend(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32));
                        }
                        Some(other) => out.push(other),
                        None => return Err(python::Unknown),
                    },
                    '$' | '@' if first == '"' => return Err(python::Unknown),
                    c => out.push(c),
                }
            }
            return Err(python::Unknown);
        }
        if first.is_ascii_digit() {
            let len = self
                .rest
                .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                .unwrap_or(self.rest.len());
            // `1 . 2` joins, `1.2` is a number.
            let (number, after) = self.rest.split_at(len);
            self.rest = after;
            return Ok(shown(value_of(number)));
        }
        if self.takes("(") {
            let inner = self.joined()?;
            return if self.takes(")") {
                Ok(inner)
            } else {
                Err(python::Unknown)
            };
        }
        if self.takes("-") {
            return Ok(shown(-value_of(&self.term()?)));
        }
        let (version, _) = around.machine.distribution.interpreters();
        let number = {
            let mut parts = version.split('.').filter_map(|n| n.parse::<u32>().ok()).skip(1);
            format!(
                "5.{:03}{:03}",
                parts.next().unwrap_or(0),
                parts.next().unwrap_or(0)
            )
        };
        for (name, value) in [
            ("$<", around.uid.to_string()),
            ("$>", around.uid.to_string()),
            ("$(", format!("{0} {0}", around.gid)),
            ("$$", around.pid.to_string()),
            ("$0", "-e".to_owned()),
            ("$]", number),
            ("$^V", format!("v{version}")),
            ("$^O", "linux".to_owned()),
            (
                "$ENV{HOME}",
                if around.uid == 0 {
                    "/root".to_owned()
                } else {
                    format!("/home/{}", around.user)
                },
            ),
            ("$ENV{USER}", around.user.to_owned()),
            ("time", around.now.to_string()),
            ("hostname", around.machine.hostname.clone()),
        ] {
            if self.takes(name) {
                self.takes("()");
                return Ok(value);
            }
        }
        Err(python::Unknown)
    }
}

fn value_of(text: &str) -> f64 {
    let end = text
        .trim_start()
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && *c == '-')))
        .map_or(text.trim_start().len(), |(i, _)| i);
    text.trim_start()
        .get(..end)
        .unwrap_or_default()
        .parse()
        .unwrap_or(0.0)
}

/// A number as perl prints it: fifteen digits.
fn shown(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    let text = format!("{number:.14}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
