//! The interpreter: runs a syntax tree against one session's state.
//!
//! Commands proper are plain functions (`commands/`): arguments and input in, [`Step`]s out. What has to wait (for
//! keys, for a firewall's silence) or runs other commands lives here and in `builtin.rs`. Every run is bounded by
//! [`Budget`]; one that runs out of it ends like a process that the kernel killed.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    commands, glob,
    machine::Machine,
    parse::{self, AndOr, Command, Fault, Item, Kind, List, Pipeline, Redirect, Target, Word},
    vfs::{Errno, Vfs, Who},
};

/// A future of the interpreter; boxed because commands contain commands.
pub(crate) type Running<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Commands that one command line may run.
const STEPS: u32 = 50_000;
/// Times that one loop may turn.
const TURNS: u32 = 10_000;
/// Bytes that one command line may print, and that a pipe may hold.
const OUTPUT: usize = 4 << 20;
/// Nested commands, functions and scripts.
const DEPTH: u32 = 40;
/// Bytes that all variables together may hold.
const VARIABLES: usize = 2 << 20;
/// Commands that the history keeps.
const HISTORY: usize = 500;

/// Which of a session's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// What a session tells about what is done in it.
#[derive(Debug)]
pub(crate) enum Report<'a> {
    /// A command line was given.
    Command {
        line: &'a [u8],
        user: &'a str,
        cwd: &'a str,
    },
    /// A URL was to be fetched.
    Fetch { url: &'a str, via: &'a str },
    /// A file was written, and is complete or about to vanish.
    File {
        path: &'a str,
        bytes: &'a [u8],
        user: &'a str,
    },
    /// A password was typed at a prompt of `su`, `sudo` or `passwd`.
    Secret {
        user: &'a str,
        secret: &'a [u8],
        via: &'static str,
        accepted: bool,
    },
}

/// What came of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A line.
    Line(Vec<u8>),
    /// Tab was pressed behind this text; the line goes on.
    Complete(String),
    /// `^C`.
    Interrupt,
    /// `^D`, or nobody types any more.
    End,
}

/// The world outside a shell: who reads what it prints, types what it reads, and lets time pass.
pub(crate) trait Outside: Send {
    /// Print; buffered until [`Outside::flush`].
    fn write(&mut self, stream: Stream, bytes: &[u8]);
    /// Send what was printed; false when nobody is there any more.
    fn flush(&mut self) -> Running<'_, bool>;
    /// The next bytes of input (a line where it comes from a terminal); `None` at its end or on an interrupt.
    fn read(&mut self, echo: bool) -> Running<'_, Option<Vec<u8>>>;
    /// A line typed at a prompt; `history` is what the arrows recall. Where nobody types lines there are none.
    fn prompt<'a>(&'a mut self, _prompt: &'a str, _history: &'a [String]) -> Running<'a, Typed> {
        Box::pin(async { Typed::End })
    }
    /// Put text in where the cursor stands: a completion.
    fn insert(&mut self, _text: &str) {}
    /// The line as far as it is typed.
    fn typed(&self) -> String {
        String::new()
    }
    /// Wait; false when interrupted.
    fn pause(&mut self, time: Duration) -> Running<'_, bool>;
    /// Take a report.
    fn report(&mut self, report: Report<'_>);
    /// Unix time in seconds.
    fn now(&self) -> i64;
}

/// A variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Var {
    pub(crate) value: Vec<u8>,
    pub(crate) exported: bool,
}

/// What a subshell gets a copy of.
#[derive(Debug, Clone)]
pub(crate) struct Env {
    pub(crate) vars: BTreeMap<String, Var>,
    pub(crate) params: Vec<Vec<u8>>,
    pub(crate) arg0: String,
    pub(crate) cwd: String,
    pub(crate) functions: BTreeMap<String, Arc<Command>>,
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) user: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) umask: u32,
}

impl Env {
    pub(crate) fn set(&mut self, name: &str, value: Vec<u8>) {
        let held: usize = self.vars.values().map(|v| v.value.len()).sum();
        if held + value.len() <= VARIABLES && self.vars.len() < 2_000 {
            self.vars.entry(name.to_owned()).or_default().value = value;
        }
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.vars
            .get(name)
            .map(|v| String::from_utf8_lossy(&v.value).into_owned())
            .unwrap_or_default()
    }

    pub(crate) fn export(&mut self, name: &str, value: &str) {
        self.vars.insert(
            name.to_owned(),
            Var {
                value: value.as_bytes().to_vec(),
                exported: true,
            },
        );
    }
}

/// Why a list was left before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Break(u32),
    Continue(u32),
    Return,
    Exit,
    /// A bound was hit, or the intruder interrupted, or nobody is there any more.
    Killed,
    /// This command line failed (a bad expansion); the next one runs.
    Failed,
}

/// Where a descriptor writes to.
#[derive(Debug, Clone)]
pub(super) enum Output {
    Session(Stream),
    Buffer(Arc<Mutex<Vec<u8>>>),
    File(String),
    Null,
}

/// Where input comes from.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Session,
    Bytes(Arc<Mutex<VecDeque<u8>>>),
}

impl Input {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::Bytes(Arc::new(Mutex::new(bytes.iter().copied().collect())))
    }
}

/// The three descriptors of a command.
#[derive(Debug, Clone)]
pub(crate) struct Fds {
    pub(super) input: Input,
    pub(super) out: Output,
    pub(super) err: Output,
}

impl Fds {
    pub(super) fn session() -> Self {
        Self {
            input: Input::Session,
            out: Output::Session(Stream::Out),
            err: Output::Session(Stream::Err),
        }
    }
}

/// One piece of what a command does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Out(Vec<u8>),
    Err(Vec<u8>),
    Wait(Duration),
}

/// A session's shell.
pub(crate) struct Shell {
    pub(crate) machine: Arc<Machine>,
    pub(crate) vfs: Vfs,
    pub(crate) env: Env,
    pub(crate) outside: Box<dyn Outside>,
    pub(crate) status: u8,
    pub(crate) pid: u32,
    pub(crate) background_pid: Option<u32>,
    pub(crate) interactive: bool,
    /// Columns and rows, where there is a terminal.
    pub(crate) terminal: Option<(u32, u32)>,
    pub(crate) history: Vec<String>,
    pub(crate) started: i64,
    pub(super) no_split: bool,
    pub(super) line_number: u32,
    next_pid: u32,
    random_state: std::cell::Cell<u64>,
    steps: u32,
    printed: usize,
    depth: u32,
}

impl Shell {
    pub(super) fn with(
        machine: Arc<Machine>,
        vfs: Vfs,
        env: Env,
        outside: Box<dyn Outside>,
        seed: u64,
    ) -> Self {
        let started = outside.now();
        let pid = 1_200 + u32::try_from(seed % 27_000).unwrap_or(0);
        Self {
            machine,
            vfs,
            env,
            outside,
            status: 0,
            pid,
            background_pid: None,
            interactive: false,
            terminal: None,
            history: Vec::new(),
            started,
            no_split: false,
            line_number: 0,
            next_pid: pid + 11,
            random_state: std::cell::Cell::new(seed | 1),
            steps: 0,
            printed: 0,
            depth: 0,
        }
    }

    pub(crate) fn now(&self) -> i64 {
        self.outside.now()
    }

    pub(crate) fn who(&self) -> Who {
        Who {
            uid: self.env.uid,
            gid: self.env.gid,
        }
    }

    pub(crate) fn random(&self) -> u64 {
        let mut x = self.random_state.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random_state.set(x);
        x >> 16
    }

    /// The process id of a command that is started now.
    pub(crate) fn spawn_pid(&mut self) -> u32 {
        self.next_pid += 1 + u32::try_from(self.random() % 3).unwrap_or(0);
        self.next_pid
    }

    /// What error messages begin with: `-bash` at a login shell, `bash: line 1` under `-c`.
    pub(super) fn complaint(&self) -> String {
        if self.interactive {
            self.env.arg0.clone()
        } else {
            format!("{}: line {}", self.env.arg0, self.line_number.max(1))
        }
    }

    /// Run one command line (or a whole script): its exit status, and whether the shell is to end.
    pub(crate) async fn run_line(&mut self, line: &[u8]) -> bool {
        self.steps = 0;
        self.printed = 0;
        let fds = Fds::session();
        let ended = match self.run_script(line, &fds).await {
            Err(Stop::Exit) => true,
            Err(Stop::Killed) => {
                if self.status == 0 {
                    self.status = 137;
                }
                false
            }
            _ => false,
        };
        let alive = self.outside.flush().await;
        ended || !alive
    }

    /// Remember a line, as readline does.
    pub(crate) fn remember(&mut self, line: &str) {
        if line.trim().is_empty()
            || self.history.last().is_some_and(|last| last == line)
            || line.starts_with(' ')
        {
            return;
        }
        if self.history.len() >= HISTORY {
            self.history.remove(0);
        }
        self.history.push(line.to_owned());
    }

    /// Read `$HISTFILE`, as a shell at a terminal does when it starts; it ends with [`Shell::leave_history`].
    pub(crate) fn recall_history(&mut self) -> usize {
        let path = self.env.text("HISTFILE");
        if let Ok(text) = self.vfs.read(self.who(), "/", &path) {
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
            let skip = lines.len().saturating_sub(HISTORY);
            self.history = lines.into_iter().skip(skip).map(str::to_owned).collect();
        }
        self.history.len()
    }

    /// Append to `$HISTFILE` what was typed since [`Shell::recall_history`] returned `known`, as bash does when it ends.
    pub(crate) fn leave_history(&mut self, known: usize) {
        let file = self.env.text("HISTFILE");
        let kept = known.min(self.history.len());
        let typed = self.history.get(kept..).unwrap_or_default();
        // `unset HISTFILE` and `HISTSIZE=0` are the first thing that many intruders type.
        if file.is_empty() || typed.is_empty() || self.env.text("HISTSIZE") == "0" {
            return;
        }
        let text = format!("{}\n", typed.join("\n"));
        let (who, now) = (self.who(), self.now());
        let is_new = self.vfs.stat(who, "/", &file).is_err();
        if let Ok(at) = self.vfs.write(who, "/", &file, text.as_bytes(), true, now) {
            self.vfs.forget_written(&at);
            if is_new {
                // The file was just made by the same account, which may change its mode.
                let _own = self.vfs.alter(who, "/", &at, |node| node.mode = 0o600);
            }
        }
    }

    /// Parse and run a text.
    pub(super) fn run_script<'a>(
        &'a mut self,
        script: &'a [u8],
        fds: &'a Fds,
    ) -> Running<'a, Result<(), Stop>> {
        Box::pin(async move {
            let script = self.with_aliases(script);
            match parse::parse(&script) {
                Ok(list) => self.list(&list, fds).await,
                Err(fault) => {
                    // What stands on lines before the fault runs first, as it does in a shell that reads line by line.
                    let mut cut = script.len();
                    while let Some(at) = script
                        .get(..cut)
                        .and_then(|s| s.iter().rposition(|b| *b == b'\n'))
                    {
                        cut = at;
                        if let Ok(list) = script.get(..cut).map_or(Ok(List::default()), parse::parse) {
                            self.list(&list, fds).await?;
                            break;
                        }
                        if script.len() > 64 << 10 {
                            break;
                        }
                    }
                    let number = 1 + script
                        .get(..cut)
                        .unwrap_or_default()
                        .iter()
                        .filter(|b| **b == b'\n')
                        .count();
                    self.line_number = u32::try_from(number).unwrap_or(1);
                    self.syntax_error(&fault, script.get(cut..).unwrap_or_default(), fds);
                    self.status = 2;
                    Err(Stop::Failed)
                }
            }
        })
    }

    fn syntax_error(&mut self, fault: &Fault, line: &[u8], fds: &Fds) {
        let who = self.complaint();
        let mut text = match fault {
            Fault::Incomplete(what @ ("'" | "\"" | "`")) => {
                format!("{who}: unexpected EOF while looking for matching `{what}'\n")
            }
            Fault::Incomplete(_) => format!("{who}: syntax error: unexpected end of file\n"),
            Fault::Unexpected(token) if token == "bad substitution" => {
                format!(
                    "{who}: {}: bad substitution\n",
                    String::from_utf8_lossy(line).trim()
                )
            }
            Fault::Unexpected(token) => format!("{who}: syntax error near unexpected token `{token}'\n"),
        }
        .into_bytes();
        if !self.interactive && matches!(fault, Fault::Unexpected(_)) {
            let line = line
                .trim_ascii()
                .split(|b| *b == b'\n')
                .next()
                .unwrap_or_default();
            text.extend_from_slice(format!("{who}: `").as_bytes());
            text.extend_from_slice(line);
            text.extend_from_slice(b"'\n");
        }
        self.put_err(fds, &text);
    }

    /// Replace an alias that begins the line; only interactive shells do it.
    fn with_aliases(&self, script: &[u8]) -> Vec<u8> {
        if self.interactive {
            let word: Vec<u8> = script
                .iter()
                .copied()
                .take_while(|b| !b.is_ascii_whitespace() && *b != b';')
                .collect();
            if let Some(text) = std::str::from_utf8(&word)
                .ok()
                .and_then(|w| self.env.aliases.get(w))
            {
                return [text.as_bytes(), script.get(word.len()..).unwrap_or_default()].concat();
            }
        }
        script.to_vec()
    }

    fn list<'a>(&'a mut self, list: &'a List, fds: &'a Fds) -> Running<'a, Result<(), Stop>> {
        Box::pin(async move {
            for item in &list.0 {
                self.item(item, fds).await?;
            }
            Ok(())
        })
    }

    async fn item(&mut self, item: &Item, fds: &Fds) -> Result<(), Stop> {
        if item.background {
            let pid = self.spawn_pid();
            self.background_pid = Some(pid);
            if self.interactive {
                self.put_err(fds, format!("[1] {pid}\n").as_bytes());
            }
            let saved = self.env.clone();
            let interactive = std::mem::replace(&mut self.interactive, false);
            let fds = Fds {
                input: Input::of(b""),
                ..fds.clone()
            };
            let ended = self.and_or(item, &fds).await;
            self.interactive = interactive;
            self.env = saved;
            self.status = 0;
            return if ended == Err(Stop::Killed) {
                Err(Stop::Killed)
            } else {
                Ok(())
            };
        }
        self.and_or(item, fds).await
    }

    async fn and_or(&mut self, item: &Item, fds: &Fds) -> Result<(), Stop> {
        self.pipeline(&item.first, fds).await?;
        for (join, pipeline) in &item.rest {
            if (self.status == 0) == (*join == AndOr::And) {
                self.pipeline(pipeline, fds).await?;
            }
        }
        Ok(())
    }

    async fn pipeline(&mut self, pipeline: &Pipeline, fds: &Fds) -> Result<(), Stop> {
        let mut input = fds.input.clone();
        let last = pipeline.commands.len().saturating_sub(1);
        for (i, command) in pipeline.commands.iter().enumerate() {
            if last == 0 {
                self.command(command, fds).await?;
                break;
            }
            let saved = self.env.clone();
            let buffer = Arc::new(Mutex::new(Vec::new()));
            let out = if i == last {
                fds.out.clone()
            } else {
                Output::Buffer(Arc::clone(&buffer))
            };
            let stage = Fds {
                input,
                out,
                err: fds.err.clone(),
            };
            let ended = self.command(command, &stage).await;
            self.env = saved;
            match ended {
                // Each stage of a pipe is a process of its own: leaving it leaves nothing else.
                Err(Stop::Killed) => return Err(Stop::Killed),
                _ => input = Input::of(&lock(&buffer)),
            }
        }
        if pipeline.negated {
            self.status = u8::from(self.status == 0);
        }
        Ok(())
    }

    pub(super) fn command<'a>(
        &'a mut self,
        command: &'a Command,
        fds: &'a Fds,
    ) -> Running<'a, Result<(), Stop>> {
        Box::pin(async move {
            self.steps += 1;
            if self.steps > STEPS {
                return Err(Stop::Killed);
            }
            if self.depth >= DEPTH {
                self.status = 137;
                return Err(Stop::Killed);
            }
            self.depth += 1;
            let done = self.command_inner(command, fds).await;
            self.depth -= 1;
            done
        })
    }

    async fn command_inner(&mut self, command: &Command, outer: &Fds) -> Result<(), Stop> {
        let mut redirected;
        let fds = if command.redirects.is_empty() {
            outer
        } else {
            redirected = outer.clone();
            if !self.redirect(&command.redirects, &mut redirected).await? {
                self.status = 1;
                return Ok(());
            }
            &redirected
        };
        match &command.kind {
            Kind::Simple { assigns, words } => self.simple(assigns, words, fds).await,
            Kind::Subshell(list) => {
                let saved = self.env.clone();
                let ended = self.list(list, fds).await;
                self.env = saved;
                if ended == Err(Stop::Killed) {
                    Err(Stop::Killed)
                } else {
                    Ok(())
                }
            }
            Kind::Group(list) => self.list(list, fds).await,
            Kind::If { arms, otherwise } => {
                for (condition, body) in arms {
                    self.list(condition, fds).await?;
                    if self.status == 0 {
                        return self.list(body, fds).await;
                    }
                }
                self.status = 0;
                match otherwise {
                    Some(body) => self.list(body, fds).await,
                    None => Ok(()),
                }
            }
            Kind::While {
                until,
                condition,
                body,
            } => {
                let mut status = 0;
                for turn in 0.. {
                    if turn > TURNS {
                        return Err(Stop::Killed);
                    }
                    match once(self.list(condition, fds).await)? {
                        Turn::Out => break,
                        Turn::On => {}
                    }
                    if (self.status == 0) == *until {
                        break;
                    }
                    let turned = once(self.list(body, fds).await)?;
                    status = self.status;
                    if turned == Turn::Out {
                        break;
                    }
                }
                self.status = status;
                Ok(())
            }
            Kind::For { name, words, body } => {
                let items = match words {
                    Some(words) => self.expand_words(words, fds).await?,
                    None => self.env.params.clone(),
                };
                self.status = 0;
                for item in items {
                    self.env.set(name, item);
                    if once(self.list(body, fds).await)? == Turn::Out {
                        break;
                    }
                }
                Ok(())
            }
            Kind::Case { subject, arms } => {
                let subject = self.expand_one(subject, fds).await?;
                self.status = 0;
                for (patterns, body) in arms {
                    for pattern in patterns {
                        let pattern = self.expand_pattern(pattern, fds).await?;
                        if glob::matches(&pattern, &subject) {
                            return self.list(body, fds).await;
                        }
                    }
                }
                Ok(())
            }
            Kind::Function { name, body } => {
                if self.env.functions.len() < 200 {
                    self.env.functions.insert(name.clone(), Arc::clone(body));
                }
                self.status = 0;
                Ok(())
            }
            Kind::Arithmetic(word) => {
                let text = self.expand_one(word, fds).await?;
                let value = self.arithmetic(&text, fds)?;
                self.status = u8::from(value == 0);
                Ok(())
            }
        }
    }

    /// Apply redirections; false (and a complaint) where one fails.
    pub(super) async fn redirect(&mut self, redirects: &[Redirect], fds: &mut Fds) -> Result<bool, Stop> {
        for redirect in redirects {
            match &redirect.to {
                Target::Here(word) => {
                    let text = self.expand_one(word, fds).await?;
                    fds.input = Input::of(&text);
                }
                Target::Read(word) | Target::ReadWrite(word) => {
                    let path = self.path_of(word, fds).await?;
                    let content = match path.as_str() {
                        "/dev/null" => Arc::from([]),
                        _ if path.starts_with("/dev/tcp/") || path.starts_with("/dev/udp/") => {
                            self.dev_tcp(&path, fds).await?;
                            return Ok(false);
                        }
                        path => match self.vfs.read(self.who(), &self.env.cwd, path) {
                            Ok(content) => content,
                            Err(errno) => {
                                self.redirect_fault(path, errno, fds);
                                return Ok(false);
                            }
                        },
                    };
                    if redirect.fd == 0 {
                        fds.input = Input::of(&content);
                    }
                }
                Target::Write(word) | Target::Append(word) | Target::Both(word, _) => {
                    let append = matches!(redirect.to, Target::Append(_) | Target::Both(_, true));
                    let path = self.path_of(word, fds).await?;
                    if path.starts_with("/dev/tcp/") || path.starts_with("/dev/udp/") {
                        self.dev_tcp(&path, fds).await?;
                        return Ok(false);
                    }
                    let Some(out) = self.open_output(&path, append, fds) else {
                        return Ok(false);
                    };
                    if matches!(redirect.to, Target::Both(..)) {
                        fds.err = out.clone();
                        fds.out = out;
                    } else if redirect.fd == 1 {
                        fds.out = out;
                    } else if redirect.fd == 2 {
                        fds.err = out;
                    }
                }
                Target::Copy(word) => {
                    let from = self.expand_one(word, fds).await?;
                    match (redirect.fd, from.as_slice()) {
                        (2, b"1") => fds.err = fds.out.clone(),
                        (1, b"2") => fds.out = fds.err.clone(),
                        (0, b"-") => fds.input = Input::of(b""),
                        (1, b"-") => fds.out = Output::Null,
                        (2, b"-") => fds.err = Output::Null,
                        _ => {}
                    }
                }
            }
        }
        Ok(true)
    }

    async fn path_of(&mut self, word: &Word, fds: &Fds) -> Result<String, Stop> {
        Ok(String::from_utf8_lossy(&self.expand_one(word, fds).await?).into_owned())
    }

    /// `/dev/tcp/host/port`: a reverse shell's way out. It leads nowhere, slowly.
    async fn dev_tcp(&mut self, path: &str, fds: &Fds) -> Result<(), Stop> {
        let mut parts = path.split('/').skip(2);
        let scheme = parts.next().unwrap_or_default();
        let host = parts.next().unwrap_or_default();
        let port = parts.next().unwrap_or_default();
        self.outside.report(Report::Fetch {
            url: &format!("{scheme}://{host}:{port}"),
            via: "/dev/tcp",
        });
        self.wait(Duration::from_secs(20)).await?;
        let who = self.complaint();
        let text = format!("{who}: connect: Connection timed out\n{who}: {path}: Connection timed out\n");
        self.put_err(fds, text.as_bytes());
        Ok(())
    }

    fn redirect_fault(&mut self, path: &str, errno: Errno, fds: &Fds) {
        let text = format!("{}: {path}: {}\n", self.complaint(), errno.text());
        self.put_err(fds, text.as_bytes());
    }

    fn open_output(&mut self, path: &str, append: bool, fds: &Fds) -> Option<Output> {
        match path {
            "/dev/null" => return Some(Output::Null),
            "/dev/stdout" => return Some(fds.out.clone()),
            "/dev/stderr" => return Some(fds.err.clone()),
            "/dev/tty" => return Some(Output::Session(Stream::Out)),
            _ => {}
        }
        if !append {
            self.surrender(path);
        }
        let (who, cwd, now) = (self.who(), self.env.cwd.clone(), self.now());
        match self.vfs.write(who, &cwd, path, b"", append, now) {
            Ok(at) => Some(Output::File(at)),
            Err(errno) => {
                self.redirect_fault(path, errno, fds);
                None
            }
        }
    }

    /// Hand over what the session wrote to `path`, before it is overwritten.
    pub(crate) fn surrender(&mut self, path: &str) {
        if let Ok(at) = self.vfs.resolve(self.who(), &self.env.cwd, path, true)
            && let Some((at, bytes)) = self.vfs.collect(&at)
        {
            self.outside.report(Report::File {
                path: &at,
                bytes: &bytes,
                user: &self.env.user,
            });
        }
    }

    /// Hand over everything that the session wrote: at its end.
    pub(crate) fn surrender_all(&mut self) {
        for (path, bytes) in self.vfs.collect_all() {
            self.outside.report(Report::File {
                path: &path,
                bytes: &bytes,
                user: &self.env.user,
            });
        }
    }

    pub(super) async fn substitute(&mut self, list: &List, fds: &Fds) -> Result<Vec<u8>, Stop> {
        let saved = self.env.clone();
        let no_split = std::mem::replace(&mut self.no_split, false);
        let buffer = Arc::new(Mutex::new(Vec::new()));
        let inner = Fds {
            out: Output::Buffer(Arc::clone(&buffer)),
            ..fds.clone()
        };
        self.depth += 1;
        let ended = if self.depth > DEPTH {
            Err(Stop::Killed)
        } else {
            self.list(list, &inner).await
        };
        self.depth -= 1;
        self.env = saved;
        self.no_split = no_split;
        if ended == Err(Stop::Killed) {
            return Err(Stop::Killed);
        }
        Ok(std::mem::take(&mut *lock(&buffer)))
    }

    pub(super) fn put(&mut self, to: &Output, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        self.printed += bytes.len();
        if self.printed > OUTPUT {
            return false;
        }
        match to {
            Output::Session(stream) => self.outside.write(*stream, bytes),
            Output::Buffer(buffer) => lock(buffer).extend_from_slice(bytes),
            Output::File(at) => {
                let now = self.now();
                return self
                    .vfs
                    .write(Who { uid: 0, gid: 0 }, "/", at, bytes, true, now)
                    .is_ok();
            }
            Output::Null => {}
        }
        true
    }

    pub(super) fn put_out(&mut self, fds: &Fds, bytes: &[u8]) {
        // Output over the budget is lost; the next command finds the budget gone and is killed.
        let _over = self.put(&fds.out, bytes);
    }

    pub(super) fn put_err(&mut self, fds: &Fds, bytes: &[u8]) {
        let _over = self.put(&fds.err, bytes);
    }

    pub(super) async fn wait(&mut self, time: Duration) -> Result<(), Stop> {
        if self.outside.flush().await && self.outside.pause(time).await {
            return Ok(());
        }
        self.status = 130;
        Err(Stop::Killed)
    }

    async fn simple(&mut self, assigns: &[(String, Word)], words: &[Word], fds: &Fds) -> Result<(), Stop> {
        if words.is_empty() {
            self.status = 0;
            for (name, word) in assigns {
                let value = self.expand_one(word, fds).await?;
                self.env.set(name, value);
            }
            return Ok(());
        }
        let args = self.expand_words(words, fds).await?;
        if assigns.is_empty() {
            return self.run_args(args, fds).await;
        }
        let mut before = Vec::new();
        for (name, word) in assigns {
            let value = self.expand_one(word, fds).await?;
            before.push((name.clone(), self.env.vars.get(name).cloned()));
            self.env.vars.insert(
                name.clone(),
                Var {
                    value,
                    exported: true,
                },
            );
        }
        let done = self.run_args(args, fds).await;
        for (name, var) in before {
            match var {
                Some(var) => self.env.vars.insert(name, var),
                None => self.env.vars.remove(&name),
            };
        }
        done
    }

    /// Run a command by its arguments: a function, what waits or runs others, a plain command, or a file.
    pub(super) fn run_args<'a>(
        &'a mut self,
        args: Vec<Vec<u8>>,
        fds: &'a Fds,
    ) -> Running<'a, Result<(), Stop>> {
        Box::pin(async move {
            let Some(first) = args.first() else {
                self.status = 0;
                return Ok(());
            };
            if self.printed > OUTPUT {
                return Err(Stop::Killed);
            }
            if self.depth > DEPTH {
                return Err(Stop::Killed);
            }
            self.depth += 1;
            let name = String::from_utf8_lossy(first).into_owned();
            let done = self.dispatch(&name, args, fds).await;
            self.depth -= 1;
            done
        })
    }

    async fn dispatch(&mut self, name: &str, args: Vec<Vec<u8>>, fds: &Fds) -> Result<(), Stop> {
        if let Some(body) = self.env.functions.get(name).cloned() {
            let params = args.get(1..).unwrap_or_default().to_vec();
            let saved = std::mem::replace(&mut self.env.params, params);
            let done = self.command(&body, fds).await;
            self.env.params = saved;
            return match done {
                Err(Stop::Return) => Ok(()),
                other => other,
            };
        }
        if let Some(done) = self.builtin(name, &args, fds).await {
            return done;
        }
        let base = if let Some((directory, base)) = name.rsplit_once('/') {
            let system = ["/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin"].contains(&directory);
            if !system || !self.is_installed(base) {
                return self.run_file(name, args, fds).await;
            }
            base.to_owned()
        } else {
            name.to_owned()
        };
        if base != name
            && let Some(done) = self.builtin(&base, &args, fds).await
        {
            return done;
        }
        match commands::find(&base) {
            Some(command)
                if super::builtin::BUILTINS.contains(&base.as_str()) || self.is_installed(&base) =>
            {
                self.run_command(&base, command, args, fds).await
            }
            _ => self.not_found(name, args, fds).await,
        }
    }

    async fn not_found(&mut self, name: &str, args: Vec<Vec<u8>>, fds: &Fds) -> Result<(), Stop> {
        // A file that the intruder dropped into the search path.
        for directory in self.env.text("PATH").split(':') {
            let path = format!("{directory}/{name}");
            if !name.is_empty()
                && let Ok((_, node)) = self.vfs.stat(self.who(), &self.env.cwd, &path)
                && matches!(
                    node.kind,
                    super::vfs::Kind::File(_) | super::vfs::Kind::Cut { .. }
                )
                && Vfs::executable(self.who(), &node)
            {
                return self.run_file(&path, args, fds).await;
            }
        }
        let fault = if self.machine.distribution.is_busybox() {
            "not found"
        } else {
            "command not found"
        };
        let text = format!("{}: {name}: {fault}\n", self.complaint());
        self.put_err(fds, text.as_bytes());
        self.status = 127;
        Ok(())
    }

    /// Whether the persona's distribution has a command.
    pub(crate) fn is_installed(&self, name: &str) -> bool {
        self.command_path(name).is_some()
    }

    /// Where a command is.
    pub(crate) fn command_path(&self, name: &str) -> Option<String> {
        [
            "/usr/local/sbin",
            "/usr/local/bin",
            "/usr/sbin",
            "/usr/bin",
            "/sbin",
            "/bin",
        ]
        .into_iter()
        .map(|directory| format!("{directory}/{name}"))
        .find(|path| {
            self.vfs
                .stat(Who { uid: 0, gid: 0 }, "/", path)
                .is_ok_and(|(_, n)| !n.is_dir())
        })
    }

    async fn run_command(
        &mut self,
        name: &str,
        command: commands::Run,
        args: Vec<Vec<u8>>,
        fds: &Fds,
    ) -> Result<(), Stop> {
        let mut call = commands::Call::new(name, args);
        if commands::reads_input(name, &call.args) {
            call.input = self.input_all(fds).await?;
        }
        let status = command(self, &mut call);
        for (url, via) in std::mem::take(&mut call.fetched) {
            self.outside.report(Report::Fetch { url: &url, via: &via });
        }
        for step in call.steps {
            match step {
                Step::Out(bytes) => {
                    if !self.put(&fds.out, &bytes) {
                        return Err(Stop::Killed);
                    }
                }
                Step::Err(bytes) => self.put_err(fds, &bytes),
                Step::Wait(time) => self.wait(time).await?,
            }
        }
        self.status = status;
        if self.outside.flush().await {
            Ok(())
        } else {
            Err(Stop::Killed)
        }
    }

    /// All input up to its end.
    pub(super) async fn input_all(&mut self, fds: &Fds) -> Result<Vec<u8>, Stop> {
        match &fds.input {
            Input::Bytes(bytes) => Ok(lock(bytes).drain(..).collect()),
            Input::Session => {
                let mut all = Vec::new();
                if !self.outside.flush().await {
                    return Err(Stop::Killed);
                }
                while let Some(more) = self.outside.read(true).await {
                    all.extend_from_slice(&more);
                    if all.len() > super::vfs::MAX_BYTES {
                        return Err(Stop::Killed);
                    }
                }
                Ok(all)
            }
        }
    }

    /// One line of input without its end; `None` where there is none left.
    pub(super) async fn input_line(&mut self, fds: &Fds, echo: bool) -> Result<Option<Vec<u8>>, Stop> {
        match &fds.input {
            Input::Bytes(bytes) => {
                let mut bytes = lock(bytes);
                if bytes.is_empty() {
                    return Ok(None);
                }
                let end = bytes
                    .iter()
                    .position(|b| *b == b'\n')
                    .map_or(bytes.len(), |i| i + 1);
                let mut line: Vec<u8> = bytes.drain(..end).collect();
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Ok(Some(line))
            }
            Input::Session => {
                if !self.outside.flush().await {
                    return Err(Stop::Killed);
                }
                let Some(mut line) = self.outside.read(echo).await else {
                    return Ok(None);
                };
                while matches!(line.last(), Some(b'\n' | b'\r')) {
                    line.pop();
                }
                Ok(Some(line))
            }
        }
    }

    /// Run a file by its path: a script through the shell, anything else as the kernel would refuse it.
    pub(super) async fn run_file(&mut self, path: &str, args: Vec<Vec<u8>>, fds: &Fds) -> Result<(), Stop> {
        let found = self.vfs.stat(self.who(), &self.env.cwd, path);
        let (status, text) = match found {
            Err(errno) => (if errno == Errno::Access { 126 } else { 127 }, errno.text()),
            Ok((_, node)) if node.is_dir() => (126, "Is a directory"),
            Ok((_, node)) if !Vfs::executable(self.who(), &node) => (126, "Permission denied"),
            Ok(_) => {
                let content = self
                    .vfs
                    .read(self.who(), &self.env.cwd, path)
                    .unwrap_or_else(|_| Arc::from([]));
                match content.get(..4) {
                    // A binary that runs and says nothing would be believable, too, but one that never shows up in
                    // `ps` is not: it is the wrong architecture or it crashes.
                    Some(b"\x7fELF") if content.get(18) == Some(&0x3e) => {
                        self.put_err(fds, b"Segmentation fault\n");
                        self.status = 139;
                        return Ok(());
                    }
                    Some(b"\x7fELF") => (126, "cannot execute binary file: Exec format error"),
                    _ if content.iter().take(256).any(|b| *b == 0) => {
                        (126, "cannot execute binary file: Exec format error")
                    }
                    _ => return self.run_file_as_script(path, &content, args, fds).await,
                }
            }
        };
        let text = format!("{}: {path}: {text}\n", self.complaint());
        self.put_err(fds, text.as_bytes());
        self.status = status;
        Ok(())
    }

    pub(super) async fn run_file_as_script(
        &mut self,
        path: &str,
        content: &[u8],
        args: Vec<Vec<u8>>,
        fds: &Fds,
    ) -> Result<(), Stop> {
        let saved = self.env.clone();
        let interactive = std::mem::replace(&mut self.interactive, false);
        self.env.arg0 = path.to_owned();
        self.env.params = args.get(1..).unwrap_or_default().to_vec();
        self.env.vars.retain(|_, v| v.exported);
        self.env.functions.clear();
        self.status = 0;
        let ended = self.run_script(content, fds).await;
        self.env = saved;
        self.interactive = interactive;
        if ended == Err(Stop::Killed) {
            Err(Stop::Killed)
        } else {
            Ok(())
        }
    }
}

#[derive(PartialEq, Eq)]
enum Turn {
    On,
    Out,
}

/// What `break` and `continue` mean to the innermost loop.
fn once(ended: Result<(), Stop>) -> Result<Turn, Stop> {
    match ended {
        Ok(()) | Err(Stop::Continue(0 | 1)) => Ok(Turn::On),
        Err(Stop::Break(0 | 1)) => Ok(Turn::Out),
        Err(Stop::Break(n)) => Err(Stop::Break(n - 1)),
        Err(Stop::Continue(n)) => Err(Stop::Continue(n - 1)),
        Err(other) => Err(other),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
