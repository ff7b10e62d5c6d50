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
    long::{KEPT, Long},
    machine::Machine,
    parse::{
        self, AndOr, ArmEnd, Assign, Command, Cond, Fault, Item, Kind, List, Part, Pipeline, Redirect,
        Target, Value, Word,
    },
    reach::Reach,
    vars::{Dialect, Env, Key, quoted},
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
    /// A password was typed that is to prove who types it, at a prompt of `su`, `sudo` or `passwd`.
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
    /// Columns and rows of the terminal as they are now, where there is one.
    fn size(&self) -> Option<(u32, u32)> {
        None
    }
    /// Wait; false when interrupted.
    fn pause(&mut self, time: Duration) -> Running<'_, bool>;
    /// Take a report.
    fn report(&mut self, report: Report<'_>);
    /// A new password was given to an account: no attempt to sign in, and no command line shows it. `done` tells whether it
    /// was taken.
    fn password_changed(&mut self, user: &str, secret: &[u8], by: &str, cwd: &str, done: bool) {
        let state = if done { "" } else { " (not taken)" };
        let mut line = format!("passwd {user}: new password{state}: ").into_bytes();
        line.extend_from_slice(secret);
        self.report(Report::Command {
            line: &line,
            user: by,
            cwd,
        });
    }
    /// Unix time in seconds.
    fn now(&self) -> i64;
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
pub(crate) enum Output {
    Session(Stream),
    Buffer(Arc<Mutex<Pipe>>),
    File(String),
    Null,
}

/// What was written into a pipe.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    bytes: Vec<u8>,
    /// What comes behind them, and is too long to be kept.
    long: Option<Long>,
}

impl Pipe {
    /// All of it as bytes; `None` where that is more than a program may hold.
    fn into_bytes(self) -> Option<Vec<u8>> {
        let mut bytes = self.bytes;
        if let Some(mut long) = self.long {
            let left = usize::try_from(long.left()?).ok()?;
            if bytes.len() + left > OUTPUT {
                return None;
            }
            bytes.extend(long.take(left));
        }
        Some(bytes)
    }
}

/// Where input comes from.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Session,
    Bytes(Arc<Mutex<VecDeque<u8>>>),
    Long(Arc<Mutex<Long>>),
}

impl Input {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::Bytes(Arc::new(Mutex::new(bytes.iter().copied().collect())))
    }
}

/// The descriptors of a command.
#[derive(Debug, Clone)]
pub(crate) struct Fds {
    pub(super) input: Input,
    pub(super) out: Output,
    pub(super) err: Output,
    /// Those above 2.
    pub(super) more: BTreeMap<u32, Handle>,
}

/// What a descriptor is open for.
#[derive(Debug, Clone)]
pub(crate) enum Handle {
    In(Input),
    Out(Output),
}

impl Fds {
    pub(super) fn session() -> Self {
        Self {
            input: Input::Session,
            out: Output::Session(Stream::Out),
            err: Output::Session(Stream::Err),
            more: BTreeMap::new(),
        }
    }

    pub(super) fn handle(&self, fd: u32) -> Option<Handle> {
        Some(match fd {
            0 => Handle::In(self.input.clone()),
            1 => Handle::Out(self.out.clone()),
            2 => Handle::Out(self.err.clone()),
            fd => self.more.get(&fd)?.clone(),
        })
    }

    fn set(&mut self, fd: u32, handle: Handle) {
        match (fd, handle) {
            (0, Handle::In(input)) => self.input = input,
            (1, Handle::Out(out)) => self.out = out,
            (2, Handle::Out(out)) => self.err = out,
            // A descriptor for the other direction: nothing is read from it, and nothing comes of what is written.
            (0, Handle::Out(_)) => self.input = Input::of(b""),
            (1, Handle::In(_)) => self.out = Output::Null,
            (2, Handle::In(_)) => self.err = Output::Null,
            (fd, handle) => {
                if self.more.len() < 64 {
                    self.more.insert(fd, handle);
                }
            }
        }
    }

    /// These, where `exec` sent the session's own descriptors to.
    fn after(&self, redirected: &Self) -> Self {
        let mut fds = self.clone();
        if matches!(fds.input, Input::Session) {
            fds.input = redirected.input.clone();
        }
        if matches!(fds.out, Output::Session(Stream::Out)) {
            fds.out = redirected.out.clone();
        }
        if matches!(fds.err, Output::Session(Stream::Err)) {
            fds.err = redirected.err.clone();
        }
        for (fd, handle) in &redirected.more {
            fds.more.entry(*fd).or_insert_with(|| handle.clone());
        }
        fds
    }
}

/// A command in the background.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) number: u32,
    pub(crate) pid: u32,
    pub(crate) text: String,
    /// When it ends, in Unix seconds.
    pub(crate) until: i64,
    pub(crate) status: u8,
    /// A signal ended it: what the shell says of it.
    pub(crate) ended: Option<&'static str>,
}

/// A process of the session's that is not its newest shell.
#[derive(Debug, Clone)]
pub(crate) struct Ancestor {
    pub(crate) pid: u32,
    pub(crate) user: String,
    pub(crate) command: String,
}

/// One piece of what a command does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Out(Vec<u8>),
    Err(Vec<u8>),
    /// Output that is counted and not kept.
    Long(Long),
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
    /// Its place at a terminal, as `who` lists it.
    pub(super) seat: Option<super::logins::Seat>,
    /// Its session, as the logs tell of it.
    pub(super) entry: Option<super::logins::Entry>,
    pub(super) no_split: bool,
    pub(super) line_number: u32,
    /// Lines of the script that were read before the one that runs.
    pub(crate) lines_before: u32,
    pub(crate) jobs: Vec<Job>,
    /// Shells, `su` and `sudo` between the login and the newest shell.
    pub(crate) ancestors: Vec<Ancestor>,
    /// Processes of the machine that the visitor ended.
    pub(crate) killed: std::collections::BTreeSet<u32>,
    /// Exit statuses of the last pipeline.
    pub(super) pipe_status: Vec<u8>,
    /// The login shell's process.
    pub(crate) login_pid: u32,
    /// It was killed.
    pub(super) doomed: bool,
    /// Where in the line the last tab was pressed.
    pub(super) tabbed: Option<String>,
    /// `set +o history`.
    pub(super) no_history: bool,
    /// Who came in with which password: sudo and passwd know it.
    pub(crate) login_secret: Option<(String, Vec<u8>)>,
    /// Until when sudo asks no more, in Unix seconds.
    pub(super) sudo_until: i64,
    /// Whether sudo has said what it says the first time.
    pub(super) lectured: bool,
    /// How many subshells deep.
    pub(super) subshells: u32,
    /// The last argument of the last command: `$_`.
    pub(super) last_argument: Vec<u8>,
    /// How many conditions deep: `set -e` does not end the shell there.
    pub(super) guarded: u32,
    /// How many loops deep.
    pub(super) loops: u32,
    /// How many sourced files deep.
    pub(super) sourced: u32,
    /// How many background commands deep, and how long the innermost has waited.
    behind: u32,
    behind_for: Duration,
    /// What `timeout` leaves to what runs, and whether that was not enough.
    pub(super) left: Option<Duration>,
    pub(super) late: bool,
    /// What was set in redis, or deleted there, through its client.
    pub(crate) redis: BTreeMap<String, Option<String>>,
    /// What came from the session, where it has no terminal, and was not read yet.
    unread: VecDeque<u8>,
    /// Commands that were read from pipes since the last one that the visitor gave.
    pub(super) piped: u32,
    next_pid: u32,
    random_state: std::cell::Cell<u64>,
    steps: u32,
    printed: usize,
    pub(super) depth: u32,
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
            seat: None,
            entry: None,
            no_split: false,
            line_number: 0,
            lines_before: 0,
            jobs: Vec::new(),
            ancestors: Vec::new(),
            killed: std::collections::BTreeSet::new(),
            pipe_status: vec![0],
            login_pid: pid,
            doomed: false,
            tabbed: None,
            no_history: false,
            login_secret: None,
            sudo_until: 0,
            lectured: false,
            subshells: 0,
            last_argument: Vec::new(),
            guarded: 0,
            loops: 0,
            sourced: 0,
            behind: 0,
            behind_for: Duration::ZERO,
            left: None,
            late: false,
            redis: BTreeMap::new(),
            unread: VecDeque::new(),
            piped: 0,
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

    /// What runs on the machine and was not ended by the visitor.
    pub(crate) fn running(&self) -> super::machine::Running {
        let mut running = self.machine.running();
        running.processes.retain(|p| !self.killed.contains(&p.pid));
        running.listening.retain(|l| !self.killed.contains(&l.2));
        running
    }

    /// The name of its terminal: `pts/0`.
    pub(crate) fn tty_name(&self) -> String {
        format!("pts/{}", self.seat.as_ref().map_or(0, |seat| seat.terminal))
    }

    /// What logind calls the session.
    pub(super) fn session_number(&self) -> u32 {
        3 + self.login_pid % 40
    }

    /// The process id that the command has which runs now.
    pub(crate) fn newest_pid(&self) -> u32 {
        self.next_pid
    }

    /// The process id of a command that is started now.
    pub(crate) fn spawn_pid(&mut self) -> u32 {
        self.next_pid += 1 + u32::try_from(self.random() % 3).unwrap_or(0);
        self.next_pid
    }

    /// The process id of a program that runs now. It is the next one: nothing else starts on so small a machine meanwhile.
    pub(super) fn next_process(&mut self) -> u32 {
        self.next_pid += 1;
        self.next_pid
    }

    /// What error messages begin with: `-bash` at a login shell, `bash: line 1` under `-c`.
    pub(super) fn complaint(&self) -> String {
        let (name, line) = (&self.env.arg0, self.lines_before + self.line_number.max(1));
        match self.env.dialect {
            Dialect::Bash | Dialect::Ash if self.interactive => name.clone(),
            Dialect::Bash => format!("{name}: line {line}"),
            Dialect::Dash => format!("{name}: {line}"),
            Dialect::Ash if self.env.from_argument => name.clone(),
            Dialect::Ash => format!("{name}: line {line}"),
        }
    }

    /// Run one command line (or a whole script): its exit status, and whether the shell is to end.
    pub(crate) async fn run_line(&mut self, line: &[u8]) -> bool {
        self.renew_budget();
        (self.guarded, self.loops) = (0, 0);
        self.fit_terminal();
        self.refresh();
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
        ended || !alive || self.doomed
    }

    /// Begin to count anew what bounds a command line.
    pub(super) fn renew_budget(&mut self) {
        (self.steps, self.printed, self.piped) = (0, 0, 0);
    }

    /// What a shell does last: its EXIT trap.
    pub(crate) async fn finish(&mut self) {
        self.steps = 0;
        let fds = Fds::session();
        // It ends whatever the trap does.
        let _ended = self.run_exit_trap(&fds).await;
        let _gone = self.outside.flush().await;
    }

    async fn run_exit_trap(&mut self, fds: &Fds) -> Result<(), Stop> {
        let Some(script) = self.env.traps.remove("EXIT") else {
            return Ok(());
        };
        let status = self.status;
        let ended = self.run_script(script.as_bytes(), fds).await;
        if ended != Err(Stop::Exit) {
            self.status = status;
        }
        ended
    }

    /// Take over the terminal's size, which its owner may change at any time.
    pub(crate) fn fit_terminal(&mut self) {
        if let Some((columns, rows)) = self.outside.size() {
            self.terminal = Some((columns, rows));
            if self.interactive {
                self.env.set("COLUMNS", columns.to_string().into_bytes());
                self.env.set("LINES", rows.to_string().into_bytes());
            }
        }
    }

    /// Let `/proc` be as of now.
    fn refresh(&mut self) {
        let now = self.now();
        let mut live = self.machine.live(now);
        live.retain(|path, _| {
            let pid = path
                .strip_prefix("/proc/")
                .and_then(|rest| rest.split('/').next()?.parse::<u32>().ok());
            !pid.is_some_and(|pid| self.killed.contains(&pid))
        });
        self.vfs.set_live(live);
        self.tell_of_shell(&Fds::session());
    }

    /// Remember a line, as readline does.
    pub(crate) fn remember(&mut self, line: &str) {
        let control = self.env.text("HISTCONTROL");
        let both = control.contains("ignoreboth");
        if line.trim().is_empty()
            || self.no_history
            || ((both || control.contains("ignoredups"))
                && self.history.last().is_some_and(|last| last == line))
            || ((both || control.contains("ignorespace")) && line.starts_with(' '))
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
        let kept = known.min(self.history.len());
        let typed = self.history.get(kept..).unwrap_or_default();
        let text = format!("{}\n", typed.join("\n"));
        if !typed.is_empty() {
            self.save_history(&text, true);
        }
    }

    /// Put the whole history into `$HISTFILE`: `history -w`.
    pub(super) fn write_history(&mut self) {
        let text: String = self.history.iter().map(|line| format!("{line}\n")).collect();
        self.save_history(&text, false);
    }

    fn save_history(&mut self, text: &str, append: bool) {
        let file = self.env.text("HISTFILE");
        // `unset HISTFILE` and `HISTSIZE=0` are the first thing that many intruders type.
        if file.is_empty() || file == "/dev/null" || self.env.text("HISTSIZE") == "0" {
            return;
        }
        let (who, now) = (self.who(), self.now());
        let is_new = self.vfs.stat(who, "/", &file).is_err();
        if let Ok(at) = self.vfs.write(who, "/", &file, text.as_bytes(), append, now) {
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
            let parse::Script { list, open } = parse::read(&script);
            if self.env.dialect == Dialect::Bash {
                self.warn_of_open(&script, &open, fds);
            }
            match list {
                Ok(list) => self.list(&list, fds).await,
                Err(fault) => {
                    // What stands on lines before the fault runs first, as it does in a shell that reads line by line.
                    let mut cut = script.len();
                    let mut whole = true;
                    while let Some(at) = script
                        .get(..cut)
                        .and_then(|s| s.iter().rposition(|b| *b == b'\n'))
                    {
                        cut = at;
                        if let Ok(list) = script.get(..cut).map_or(Ok(List::default()), parse::parse) {
                            whole = false;
                            self.list(&list, fds).await?;
                            break;
                        }
                        if script.len() > 64 << 10 {
                            break;
                        }
                    }
                    if whole {
                        cut = 0;
                    }
                    let skipped = usize::from(!whole);
                    let number = 1
                        + skipped
                        + script
                            .get(..cut)
                            .unwrap_or_default()
                            .iter()
                            .filter(|b| **b == b'\n')
                            .count();
                    self.line_number = u32::try_from(number).unwrap_or(1);
                    let end = script.len();
                    let line = script.get(cut..end).unwrap_or_default();
                    self.syntax_error(&fault, line.strip_prefix(b"\n").unwrap_or(line), fds);
                    self.status = if matches!(fault, Fault::Incomplete("bad substitution")) {
                        1
                    } else {
                        2
                    };
                    Err(Stop::Failed)
                }
            }
        })
    }

    /// What bash says where the end of its input ended a here-document.
    fn warn_of_open(&mut self, script: &[u8], open: &[parse::OpenHere], fds: &Fds) {
        let lines = script.split_inclusive(|b| *b == b'\n').count();
        let number = std::mem::replace(&mut self.line_number, u32::try_from(lines).unwrap_or(1));
        for here in open {
            let text = format!(
                "{}: warning: here-document at line {} delimited by end-of-file (wanted `{}')\n",
                self.complaint(),
                self.lines_before + here.line,
                String::from_utf8_lossy(&here.delimiter)
            );
            self.put_err(fds, text.as_bytes());
        }
        self.line_number = number;
    }

    fn syntax_error(&mut self, fault: &Fault, line: &[u8], fds: &Fds) {
        let mut who = self.complaint();
        let bash = self.env.dialect == Dialect::Bash;
        if bash && self.env.from_argument && !self.interactive {
            who = who.replacen(": line", ": -c: line", 1);
        }
        if !bash {
            let text = match fault {
                Fault::Incomplete("'" | "\"" | "`") if self.env.dialect == Dialect::Dash => {
                    format!("{who}: Syntax error: Unterminated quoted string\n")
                }
                Fault::Incomplete("'" | "\"" | "`") => {
                    format!("{who}: syntax error: unterminated quoted string\n")
                }
                Fault::Incomplete(what) if self.env.dialect == Dialect::Dash => {
                    let wanted = match *what {
                        "command" | "]]" | "))" => String::new(),
                        what => format!(" (expecting \"{what}\")"),
                    };
                    format!("{who}: Syntax error: end of file unexpected{wanted}\n")
                }
                Fault::Incomplete(_) => format!("{who}: syntax error: unexpected end of file\n"),
                Fault::Unexpected(token) if self.env.dialect == Dialect::Dash => {
                    format!("{who}: Syntax error: \"{token}\" unexpected\n")
                }
                Fault::Unexpected(token) => format!("{who}: syntax error: unexpected \"{token}\"\n"),
            };
            return self.put_err(fds, text.as_bytes());
        }
        let mut text = match fault {
            Fault::Incomplete(what @ ("'" | "\"" | "`" | ")")) => {
                format!("{who}: unexpected EOF while looking for matching `{what}'\n")
            }
            Fault::Incomplete(_) => {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                let breaks = line.iter().filter(|b| **b == b'\n').count() + 1;
                let after = self.lines_before + self.line_number + u32::try_from(breaks).unwrap_or(0);
                let who = match who.rsplit_once(' ') {
                    Some((head, _)) if !self.interactive => format!("{head} {after}"),
                    _ => who,
                };
                return self.put_err(
                    fds,
                    format!("{who}: syntax error: unexpected end of file\n").as_bytes(),
                );
            }
            Fault::Unexpected(token) => format!("{who}: syntax error near unexpected token `{token}'\n"),
        }
        .into_bytes();
        if !self.interactive && matches!(fault, Fault::Unexpected(_)) {
            let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
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
        let Some(text) = &item.background else {
            return self.and_or(item, fds).await;
        };
        let pid = self.spawn_pid();
        self.background_pid = Some(pid);
        let number = self.jobs.iter().map(|j| j.number).max().unwrap_or(0) + 1;
        if self.interactive && self.subshells == 0 {
            self.put_err(fds, format!("[{number}] {pid}\n").as_bytes());
        }
        let saved = self.env.clone();
        let fds = Fds {
            input: Input::of(b""),
            ..fds.clone()
        };
        self.subshells += 1;
        self.behind += 1;
        let waited = std::mem::take(&mut self.behind_for);
        let left = self.left.take();
        let ended = self.and_or(item, &fds).await;
        self.left = left;
        let took = std::mem::replace(&mut self.behind_for, waited);
        self.behind -= 1;
        self.subshells -= 1;
        self.env = saved;
        if self.jobs.len() < 100 && self.subshells == 0 {
            self.jobs.push(Job {
                number,
                pid,
                text: text.clone(),
                until: self.now() + i64::try_from(took.as_secs()).unwrap_or(0),
                status: self.status,
                ended: None,
            });
        }
        self.status = 0;
        if ended == Err(Stop::Killed) {
            Err(Stop::Killed)
        } else {
            Ok(())
        }
    }

    /// Tell of background commands that have ended since the last prompt.
    pub(crate) fn tell_jobs(&mut self) {
        let now = self.now();
        let newest = self.jobs.last().map_or(0, |j| j.number);
        let (over, running): (Vec<Job>, Vec<Job>) = std::mem::take(&mut self.jobs)
            .into_iter()
            .partition(|j| j.ended.is_some() || j.until <= now);
        self.jobs = running;
        for job in over {
            let line = job_line(&job, newest, now);
            self.outside.write(Stream::Err, line.as_bytes());
        }
    }

    async fn and_or(&mut self, item: &Item, fds: &Fds) -> Result<(), Stop> {
        let last = item.rest.len();
        for (i, pipeline) in std::iter::once(&item.first)
            .chain(item.rest.iter().map(|(_, p)| p))
            .enumerate()
        {
            let join = i.checked_sub(1).and_then(|i| item.rest.get(i)).map(|(j, _)| *j);
            if join.is_some_and(|join| (self.status == 0) != (join == AndOr::And)) {
                continue;
            }
            let guards = u32::from(i < last || pipeline.negated);
            self.guarded += guards;
            let ended = self.pipeline(pipeline, fds).await;
            self.guarded -= guards;
            ended?;
            let simple = pipeline.commands.len() > 1
                || pipeline.commands.first().is_some_and(|c| {
                    matches!(
                        c.kind,
                        Kind::Simple { .. } | Kind::Subshell(_) | Kind::Test(_) | Kind::Arithmetic(_)
                    )
                });
            if self.env.options.errexit && self.status != 0 && guards == 0 && self.guarded == 0 && simple {
                return Err(Stop::Exit);
            }
        }
        Ok(())
    }

    async fn pipeline(&mut self, pipeline: &Pipeline, fds: &Fds) -> Result<(), Stop> {
        let began = self.now();
        let mut input = fds.input.clone();
        let last = pipeline.commands.len().saturating_sub(1);
        let mut statuses = Vec::new();
        for (i, command) in pipeline.commands.iter().enumerate() {
            if last == 0 {
                self.command(command, fds).await?;
                statuses.push(self.status);
                break;
            }
            let buffer = Arc::new(Mutex::new(Pipe::default()));
            let out = if i == last {
                fds.out.clone()
            } else {
                Output::Buffer(Arc::clone(&buffer))
            };
            let stage = Fds {
                input,
                out,
                err: fds.err.clone(),
                more: fds.more.clone(),
            };
            // Each stage of a pipe is a process of its own: leaving it leaves nothing else.
            let saved = self.enter_subshell();
            let ended = self.command(command, &stage).await;
            self.leave_subshell(saved, ended, &stage).await?;
            statuses.push(self.status);
            let mut pipe = std::mem::take(&mut *lock(&buffer));
            input = match pipe.long.take() {
                Some(long) if pipe.bytes.is_empty() => Input::Long(Arc::new(Mutex::new(long))),
                long => {
                    pipe.long = long;
                    Input::of(&pipe.into_bytes().ok_or(Stop::Killed)?)
                }
            };
        }
        if self.env.options.pipefail {
            self.status = statuses.iter().rev().copied().find(|s| *s != 0).unwrap_or(0);
        }
        // What only groups others leaves the statuses of the last pipeline in it.
        let compound = pipeline.commands.first().is_some_and(|c| {
            matches!(
                c.kind,
                Kind::Group(_) | Kind::If { .. } | Kind::While { .. } | Kind::For { .. } | Kind::Case { .. }
            )
        });
        if last > 0 || !compound {
            self.pipe_status = statuses;
        }
        if pipeline.negated {
            self.status = u8::from(self.status == 0);
        }
        if pipeline.timed {
            let ms = 1 + self.random() % 7;
            let seconds = self.now() - began;
            let line = format!(
                "\nreal\t{}m{}.00{ms}s\nuser\t0m0.00{}s\nsys\t0m0.000s\n",
                seconds / 60,
                seconds % 60,
                ms / 2
            );
            self.put_err(fds, line.as_bytes());
        }
        Ok(())
    }

    /// Begin a process of its own: what it changes is gone after [`Shell::leave_subshell`].
    fn enter_subshell(&mut self) -> Env {
        let saved = self.env.clone();
        self.env.traps.clear();
        self.subshells += 1;
        saved
    }

    /// The end of a process of its own: only the bounds stop more than it.
    async fn leave_subshell(&mut self, saved: Env, ended: Result<(), Stop>, fds: &Fds) -> Result<(), Stop> {
        if ended != Err(Stop::Killed) {
            // The process ends whatever its trap does.
            let _ended = self.run_exit_trap(fds).await;
        }
        self.subshells -= 1;
        self.env = saved;
        if ended == Err(Stop::Killed) {
            Err(Stop::Killed)
        } else {
            Ok(())
        }
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
        if command.line > 0 {
            self.line_number = command.line;
        }
        self.vfs.set_umask(self.env.umask);
        if self.env.options.noexec && !self.interactive {
            return Ok(());
        }
        let sent;
        let outer = match &self.env.redirected {
            Some(redirected) => {
                sent = outer.after(redirected);
                &sent
            }
            None => outer,
        };
        let mut redirected;
        let fds = if command.redirects.is_empty() {
            outer
        } else {
            redirected = outer.clone();
            if !self.redirect(&command.redirects, &mut redirected).await? {
                // A special builtin that cannot be redirected ends a shell that nobody types to, but for bash.
                let special = matches!(&command.kind, Kind::Simple { words, .. }
                    if matches!(words.first().map(|w| w.0.as_slice()), Some([Part::Text(t)]) if t == b"exec"));
                if special && !self.interactive && self.env.dialect != Dialect::Bash {
                    self.status = 1;
                    return Err(Stop::Exit);
                }
                self.status = if self.env.dialect == Dialect::Dash { 2 } else { 1 };
                return Ok(());
            }
            &redirected
        };
        let turns = matches!(
            command.kind,
            Kind::While { .. } | Kind::For { .. } | Kind::Count { .. }
        );
        self.loops += u32::from(turns);
        let done = self.kind(command, fds).await;
        self.loops = self.loops.saturating_sub(u32::from(turns));
        done
    }

    /// What a command does once its descriptors are set.
    async fn kind(&mut self, command: &Command, fds: &Fds) -> Result<(), Stop> {
        match &command.kind {
            Kind::Simple {
                assigns,
                words,
                arrays,
            } => {
                if let [word] = words.as_slice()
                    && matches!(word.0.as_slice(), [Part::Text(t)] if t == b"exec")
                    && !command.redirects.is_empty()
                {
                    self.env.redirected = Some(fds.clone());
                    self.status = 0;
                    return Ok(());
                }
                self.simple(assigns, words, arrays, fds).await
            }
            Kind::Subshell(list) => {
                let saved = self.enter_subshell();
                let ended = self.list(list, fds).await;
                self.leave_subshell(saved, ended, fds).await
            }
            Kind::Group(list) => self.list(list, fds).await,
            Kind::If { arms, otherwise } => {
                for (condition, body) in arms {
                    self.condition(condition, fds).await?;
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
                    match once(self.condition(condition, fds).await)? {
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
            Kind::Count { parts, body } => {
                let [first, condition, step] = parts;
                self.count(first, fds).await?;
                let mut status = 0;
                for turn in 0.. {
                    if turn > TURNS {
                        return Err(Stop::Killed);
                    }
                    if !condition.0.is_empty() && self.count(condition, fds).await? == 0 {
                        break;
                    }
                    let turned = once(self.list(body, fds).await)?;
                    status = self.status;
                    if turned == Turn::Out {
                        break;
                    }
                    self.count(step, fds).await?;
                }
                self.status = status;
                Ok(())
            }
            Kind::Case { subject, arms } => {
                let subject = self.expand_one(subject, fds).await?;
                self.status = 0;
                let mut falls = false;
                for arm in arms {
                    let mut chosen = falls;
                    for pattern in &arm.patterns {
                        if chosen {
                            break;
                        }
                        let pattern = self.expand_pattern(pattern, fds).await?;
                        chosen = glob::matches(&pattern, &subject);
                    }
                    if !chosen {
                        continue;
                    }
                    self.list(&arm.body, fds).await?;
                    match arm.end {
                        ArmEnd::Done => break,
                        ArmEnd::Fall => falls = true,
                        ArmEnd::Go => falls = false,
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
                let value = self.count(word, fds).await?;
                self.status = u8::from(value == 0);
                Ok(())
            }
            Kind::Test(_) if self.env.dialect == Dialect::Dash => {
                let line = format!("{}: [[: not found\n", self.complaint());
                self.put_err(fds, line.as_bytes());
                self.status = 127;
                Ok(())
            }
            Kind::Test(cond) => {
                self.status = match self.cond(cond, fds).await? {
                    Some(yes) => u8::from(!yes),
                    None => 2,
                };
                Ok(())
            }
        }
    }

    /// A list whose failure `set -e` does not mind.
    async fn condition(&mut self, list: &List, fds: &Fds) -> Result<(), Stop> {
        self.guarded += 1;
        let ended = self.list(list, fds).await;
        self.guarded -= 1;
        ended
    }

    /// The value of an arithmetic expression of the grammar.
    async fn count(&mut self, word: &Word, fds: &Fds) -> Result<i64, Stop> {
        let text = self.expand_one(word, fds).await?;
        self.arithmetic(&text, fds)
    }

    /// What `[[ … ]]` comes to; `None` after a complaint.
    fn cond<'a>(&'a mut self, cond: &'a Cond, fds: &'a Fds) -> Running<'a, Result<Option<bool>, Stop>> {
        Box::pin(async move {
            Ok(match cond {
                Cond::Not(inner) => self.cond(inner, fds).await?.map(|yes| !yes),
                Cond::And(a, b) => match self.cond(a, fds).await? {
                    Some(true) => self.cond(b, fds).await?,
                    other => other,
                },
                Cond::Or(a, b) => match self.cond(a, fds).await? {
                    Some(false) => self.cond(b, fds).await?,
                    other => other,
                },
                Cond::Text(word) => Some(!self.expand_one(word, fds).await?.is_empty()),
                Cond::Unary(op, word) => {
                    let text = String::from_utf8_lossy(&self.expand_one(word, fds).await?).into_owned();
                    match commands::text::unary(self, op, &text) {
                        Ok(yes) => Some(yes),
                        Err(fault) => {
                            let line = format!("{}: {fault}\n", self.complaint());
                            self.put_err(fds, line.as_bytes());
                            None
                        }
                    }
                }
                Cond::Binary(a, op, b) => {
                    let left = self.expand_one(a, fds).await?;
                    match op.as_str() {
                        "=" | "==" | "!=" => {
                            let pattern = self.expand_pattern(b, fds).await?;
                            Some(glob::matches(&pattern, &left) == (op != "!="))
                        }
                        "=~" => {
                            let pattern = self.expand_regex(b, fds).await?;
                            let regex = commands::text::Regex::new(&pattern, true, false);
                            let found = regex.captures(&left, 0);
                            self.env.clear_items("BASH_REMATCH", false);
                            for (i, group) in found.iter().flatten().enumerate() {
                                let (from, to) = group.unwrap_or((0, 0));
                                let text = left.get(from..to).unwrap_or_default().to_vec();
                                let key = Key::Number(u32::try_from(i).unwrap_or(0));
                                self.env.set_item("BASH_REMATCH", &key, text);
                            }
                            Some(found.is_some())
                        }
                        "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" => {
                            let right = self.expand_one(b, fds).await?;
                            let (a, b) = (self.arithmetic(&left, fds)?, self.arithmetic(&right, fds)?);
                            Some(match op.as_str() {
                                "-eq" => a == b,
                                "-ne" => a != b,
                                "-lt" => a < b,
                                "-le" => a <= b,
                                "-gt" => a > b,
                                _ => a >= b,
                            })
                        }
                        op => {
                            let right = self.expand_one(b, fds).await?;
                            let (a, b) = (String::from_utf8_lossy(&left), String::from_utf8_lossy(&right));
                            commands::text::binary(self, &a, op, &b).and_then(Result::ok)
                        }
                    }
                }
            })
        })
    }

    /// Give a name its value; false (and a complaint) where it may not have one.
    pub(super) async fn assign(&mut self, assign: &Assign, fds: &Fds) -> Result<(), Stop> {
        let name = &assign.name;
        if self.env.vars.get(name).is_some_and(|v| v.readonly) {
            let line = format!("{}: {name}: readonly variable\n", self.complaint());
            self.put_err(fds, line.as_bytes());
            self.status = 1;
            return Err(Stop::Failed);
        }
        match &assign.value {
            Value::List(list) => {
                let mut next = 0;
                if assign.append {
                    if let Some((last, _)) = self.env.items(name).last() {
                        next = String::from_utf8_lossy(last).parse::<u32>().map_or(0, |n| n + 1);
                    }
                } else {
                    self.env.clear_items(name, false);
                }
                for (index, word) in list {
                    if let Some(index) = index {
                        let key = self.key(name, index, fds).await?;
                        if let Key::Number(n) = key {
                            next = n + 1;
                        }
                        let value = self.expand_one(word, fds).await?;
                        self.env.set_item(name, &key, value);
                        continue;
                    }
                    for value in self.expand_words(std::slice::from_ref(word), fds).await? {
                        self.env.set_item(name, &Key::Number(next), value);
                        next += 1;
                    }
                }
                if self.env.vars.get(name).is_some_and(|v| v.items.is_none()) {
                    self.env.clear_items(name, false);
                }
            }
            Value::One(word) => {
                let mut value = self.expand_one(word, fds).await?;
                let integer = self.env.vars.get(name).is_some_and(|v| v.integer);
                let key = match &assign.index {
                    Some(index) => Some(self.key(name, index, fds).await?),
                    None => None,
                };
                if assign.append {
                    let mut old = match &key {
                        Some(key) => self.env.item(name, key),
                        None => self.env.vars.get(name).map(|v| v.value.clone()),
                    }
                    .unwrap_or_default();
                    if integer {
                        old.push(b'+');
                    }
                    old.extend(value);
                    value = old;
                }
                if integer {
                    value = self.arithmetic(&value, fds)?.to_string().into_bytes();
                }
                match key {
                    Some(key) => self.env.set_item(name, &key, value),
                    None => self.env.set(name, value),
                }
            }
        }
        Ok(())
    }

    /// The element that a subscript names.
    pub(super) async fn key(&mut self, name: &str, index: &Word, fds: &Fds) -> Result<Key, Stop> {
        let text = self.expand_one(index, fds).await?;
        if self.env.is_named(name) {
            return Ok(Key::Name(text));
        }
        let mut number = self.arithmetic(&text, fds)?;
        if number < 0 {
            let last = self
                .env
                .items(name)
                .last()
                .and_then(|(k, _)| String::from_utf8_lossy(k).parse::<i64>().ok());
            number += last.unwrap_or(-1) + 1;
        }
        match u32::try_from(number) {
            Ok(number) => Ok(Key::Number(number.min(1 << 24))),
            Err(_) => {
                let line = format!("{}: {name}: bad array subscript\n", self.complaint());
                self.put_err(fds, line.as_bytes());
                self.status = 1;
                Err(Stop::Failed)
            }
        }
    }

    /// Apply redirections; false (and a complaint) where one fails.
    pub(super) async fn redirect(&mut self, redirects: &[Redirect], fds: &mut Fds) -> Result<bool, Stop> {
        for redirect in redirects {
            match &redirect.to {
                Target::Here(word) => {
                    let text = self.expand_one(word, fds).await?;
                    fds.set(redirect.fd, Handle::In(Input::of(&text)));
                }
                Target::Read(word) | Target::ReadWrite(word) => {
                    let Some(path) = self.path_of(word, fds).await? else {
                        return Ok(false);
                    };
                    if let Some(long) = Long::device(&path, self.random()) {
                        fds.set(redirect.fd, Handle::In(Input::Long(Arc::new(Mutex::new(long)))));
                        continue;
                    }
                    let content = match path.as_str() {
                        "/dev/null" => Arc::from([]),
                        "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0" | "/dev/tty" => continue,
                        _ if self.is_socket(&path) => match self.dev_tcp(&path, fds).await? {
                            Some(greeting) => greeting.into(),
                            None => return Ok(false),
                        },
                        path => {
                            if matches!(redirect.to, Target::ReadWrite(_))
                                && self.vfs.stat(self.who(), &self.env.cwd, path).is_err()
                                && self.open_output(path, true, fds).is_none()
                            {
                                return Ok(false);
                            }
                            match self.vfs.read(self.who(), &self.env.cwd, path) {
                                Ok(content) => content,
                                Err(errno) => {
                                    self.redirect_fault(path, errno, false, fds);
                                    return Ok(false);
                                }
                            }
                        }
                    };
                    fds.set(redirect.fd, Handle::In(Input::of(&content)));
                }
                Target::Write(word) | Target::Append(word) | Target::Both(word, _) => {
                    let append = matches!(redirect.to, Target::Append(_) | Target::Both(_, true));
                    let Some(path) = self.path_of(word, fds).await? else {
                        return Ok(false);
                    };
                    let out = if self.is_socket(&path) {
                        self.dev_tcp(&path, fds).await?.map(|_| Output::Null)
                    } else {
                        self.open_output(&path, append, fds)
                    };
                    let Some(out) = out else {
                        return Ok(false);
                    };
                    if matches!(redirect.to, Target::Both(..)) {
                        fds.err = out.clone();
                        fds.out = out;
                    } else {
                        fds.set(redirect.fd, Handle::Out(out));
                    }
                }
                Target::Copy(word) => {
                    let from = self.expand_one(word, fds).await?;
                    let from = String::from_utf8_lossy(&from).into_owned();
                    if from == "-" {
                        match redirect.fd {
                            0 => fds.input = Input::of(b""),
                            1 => fds.out = Output::Null,
                            2 => fds.err = Output::Null,
                            fd => {
                                fds.more.remove(&fd);
                            }
                        }
                        continue;
                    }
                    let handle = from
                        .trim_end_matches('-')
                        .parse::<u32>()
                        .ok()
                        .and_then(|fd| fds.handle(fd));
                    let Some(handle) = handle else {
                        let line = format!("{}: {from}: Bad file descriptor\n", self.complaint());
                        self.put_err(fds, line.as_bytes());
                        return Ok(false);
                    };
                    fds.set(redirect.fd, handle);
                }
            }
        }
        Ok(true)
    }

    /// The path that a redirection names; `None` (and a complaint) where it is none or several.
    async fn path_of(&mut self, word: &Word, fds: &Fds) -> Result<Option<String>, Stop> {
        let fields = self.expand_words(std::slice::from_ref(word), fds).await?;
        if let [path] = fields.as_slice() {
            return Ok(Some(String::from_utf8_lossy(path).into_owned()));
        }
        let source = match word.0.as_slice() {
            [Part::Variable(v)] if v.op.is_none() => format!("${}", v.name),
            _ => String::from_utf8_lossy(&self.expand_one(word, fds).await?).into_owned(),
        };
        let line = format!("{}: {source}: ambiguous redirect\n", self.complaint());
        self.put_err(fds, line.as_bytes());
        Ok(None)
    }

    /// Whether a redirection to `path` is a connection: to bash alone.
    fn is_socket(&self, path: &str) -> bool {
        self.env.dialect == Dialect::Bash && (path.starts_with("/dev/tcp/") || path.starts_with("/dev/udp/"))
    }

    /// `/dev/tcp/host/port`: a reverse shell's way out. It leads to the machine's own ports, and else nowhere, slowly.
    /// What the other end says first; `None` (and a complaint) where it is not reached.
    async fn dev_tcp(&mut self, path: &str, fds: &Fds) -> Result<Option<Vec<u8>>, Stop> {
        let mut parts = path.split('/').skip(2);
        let scheme = parts.next().unwrap_or_default();
        let host = parts.next().unwrap_or_default();
        let port = parts.next().unwrap_or_default();
        self.outside.report(Report::Fetch {
            url: &format!("{scheme}://{host}:{port}"),
            via: "/dev/tcp",
        });
        let who = self.complaint();
        let (first, second) = match self.reach(host, port.parse().unwrap_or(0)) {
            // Nobody need answer a datagram.
            _ if scheme == "udp" => return Ok(Some(Vec::new())),
            Reach::Open(greeting) => return Ok(Some(greeting)),
            Reach::Refused => ("connect: Connection refused".to_owned(), "Connection refused"),
            Reach::Silent => {
                self.wait(Duration::from_secs(20)).await?;
                ("connect: Connection timed out".to_owned(), "Connection timed out")
            }
            Reach::Unknown => {
                self.wait(Duration::from_secs(5)).await?;
                (
                    format!("{host}: Temporary failure in name resolution"),
                    "Invalid argument",
                )
            }
        };
        // What the library's call says bears no line.
        let name = self.env.arg0.clone();
        let text = format!("{name}: {first}\n{who}: {path}: {second}\n");
        self.put_err(fds, text.as_bytes());
        Ok(None)
    }

    fn redirect_fault(&mut self, path: &str, errno: Errno, write: bool, fds: &Fds) {
        let verb = if write { "create" } else { "open" };
        let text = match (self.env.dialect, errno) {
            (Dialect::Bash, _) => format!("{}: {path}: {}\n", self.complaint(), errno.text()),
            (Dialect::Dash, Errno::NoEntry) if write => {
                format!(
                    "{}: cannot create {path}: Directory nonexistent\n",
                    self.complaint()
                )
            }
            (Dialect::Dash, Errno::NoEntry) => {
                format!("{}: cannot open {path}: No such file\n", self.complaint())
            }
            (Dialect::Ash, Errno::NoEntry) => {
                let what = if write {
                    "nonexistent directory"
                } else {
                    "no such file"
                };
                format!("{}: can't {verb} {path}: {what}\n", self.complaint())
            }
            (Dialect::Dash, _) => {
                format!("{}: cannot {verb} {path}: {}\n", self.complaint(), errno.text())
            }
            (Dialect::Ash, _) => {
                format!("{}: can't {verb} {path}: {}\n", self.complaint(), errno.text())
            }
        };
        self.put_err(fds, text.as_bytes());
    }

    pub(super) fn open_output(&mut self, path: &str, append: bool, fds: &Fds) -> Option<Output> {
        match path {
            "/dev/null" => return Some(Output::Null),
            "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => return Some(fds.out.clone()),
            "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => return Some(fds.err.clone()),
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
                self.redirect_fault(path, errno, true, fds);
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
        let no_split = std::mem::replace(&mut self.no_split, false);
        let buffer = Arc::new(Mutex::new(Pipe::default()));
        let inner = Fds {
            out: Output::Buffer(Arc::clone(&buffer)),
            ..fds.clone()
        };
        self.depth += 1;
        self.status = 0;
        let ended = if self.depth > DEPTH {
            Err(Stop::Killed)
        } else {
            let saved = self.enter_subshell();
            // A substitution does not inherit `set -e`.
            self.env.options.errexit &= self.env.dialect != Dialect::Bash;
            let ended = self.list(list, &inner).await;
            self.leave_subshell(saved, ended, &inner).await
        };
        self.depth -= 1;
        self.no_split = no_split;
        ended?;
        let pipe = std::mem::take(&mut *lock(&buffer));
        pipe.into_bytes().ok_or(Stop::Killed)
    }

    /// `<(…)`: a path at which its output is read; `>(…)`: one at which what is written is lost.
    pub(super) async fn process(&mut self, read: bool, list: &List, fds: &Fds) -> Result<Vec<u8>, Stop> {
        if read {
            let content = self.substitute(list, fds).await?;
            let free = (10..=63).rev().map(|fd| format!("/dev/fd/{fd}"));
            let path = free
                .into_iter()
                .find(|path| self.vfs.lstat(self.who(), "/", path).is_err())
                .unwrap_or_default();
            let pipe = super::proc::file(content, 0o600, (self.env.uid, self.env.gid), self.now());
            self.vfs.live_mut().insert(path.clone(), pipe);
            return Ok(path.into_bytes());
        }
        Ok(b"/dev/null".to_vec())
    }

    pub(super) fn put(&mut self, to: &Output, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        // What a background command prints after a wait would come while something else runs; it is left out.
        if self.behind > 0 && self.behind_for > Duration::ZERO && matches!(to, Output::Session(_)) {
            return true;
        }
        self.printed += bytes.len();
        if self.printed > OUTPUT {
            return false;
        }
        match to {
            Output::Session(stream) => self.outside.write(*stream, bytes),
            Output::Buffer(buffer) => {
                let mut pipe = lock(buffer);
                if pipe.long.is_some() {
                    let Some(before) = std::mem::take(&mut *pipe).into_bytes() else {
                        return false;
                    };
                    pipe.bytes = before;
                }
                pipe.bytes.extend_from_slice(bytes);
            }
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

    /// Write what is too long to be kept; false where a bound was hit.
    async fn put_long(&mut self, to: &Output, mut long: Long) -> Result<bool, Stop> {
        match to {
            Output::Null => {
                if long.left().is_none() {
                    // It goes on until somebody stops it.
                    self.wait(Duration::from_secs(86_400)).await?;
                }
                return Ok(true);
            }
            Output::Buffer(buffer) => {
                let mut pipe = lock(buffer);
                if pipe.bytes.is_empty() && pipe.long.is_none() {
                    pipe.long = Some(long);
                    return Ok(true);
                }
            }
            Output::File(at) => {
                // As much as the disk holds.
                let (at, now, room) = (at.clone(), self.now(), self.vfs.room());
                let bytes = long.take(room);
                let full = long.left() != Some(0);
                let root = Who { uid: 0, gid: 0 };
                return Ok(self.vfs.write(root, "/", &at, &bytes, true, now).is_ok() && !full);
            }
            Output::Session(_) => {}
        }
        loop {
            let bytes = long.take(64 << 10);
            if bytes.is_empty() {
                return Ok(true);
            }
            if !self.put(to, &bytes) {
                return Err(Stop::Killed);
            }
        }
    }

    pub(super) fn put_out(&mut self, fds: &Fds, bytes: &[u8]) {
        // Output over the budget is lost; the next command finds the budget gone and is killed.
        let _over = self.put(&fds.out, bytes);
    }

    pub(super) fn put_err(&mut self, fds: &Fds, bytes: &[u8]) {
        let _over = self.put(&fds.err, bytes);
    }

    pub(super) async fn wait(&mut self, time: Duration) -> Result<(), Stop> {
        let late = self.left.is_some_and(|left| time > left);
        let time = self.left.map_or(time, |left| time.min(left));
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(time);
        }
        if self.behind > 0 {
            self.behind_for = self.behind_for.saturating_add(time);
        } else if !(self.outside.flush().await && self.outside.pause(time).await) {
            self.status = 130;
            return Err(Stop::Killed);
        }
        if late {
            self.late = true;
            return Err(Stop::Killed);
        }
        Ok(())
    }

    async fn simple(
        &mut self,
        assigns: &[Assign],
        words: &[Word],
        arrays: &[Assign],
        fds: &Fds,
    ) -> Result<(), Stop> {
        if words.is_empty() {
            self.status = 0;
            for assign in assigns {
                self.assign(assign, fds).await?;
                self.trace_assign(assign, fds);
            }
            return Ok(());
        }
        let args = self.expand_words(words, fds).await?;
        if self.env.options.xtrace {
            let shown: Vec<Vec<u8>> = args.iter().map(|a| quoted(a)).collect();
            let line = [b"+ ", shown.join(&b' ').as_slice(), b"\n"].concat();
            self.put_err(fds, &line);
        }
        let last = args.last().cloned();
        if args.is_empty() {
            // What expands to nothing leaves its assignments.
            for assign in assigns {
                self.assign(assign, fds).await?;
            }
            return Ok(());
        }
        let mut before = Vec::new();
        for assign in assigns {
            before.push((assign.name.clone(), self.env.vars.get(&assign.name).cloned()));
            self.assign(assign, fds).await?;
            if let Some(var) = self.env.vars.get_mut(&assign.name) {
                var.exported = true;
            }
        }
        let done = self.run_args(args, fds).await;
        for (name, var) in before {
            match var {
                Some(var) => self.env.vars.insert(name, var),
                None => self.env.vars.remove(&name),
            };
        }
        for assign in arrays {
            if done.is_ok() && self.status == 0 {
                self.assign(assign, fds).await?;
            }
        }
        self.last_argument = last.unwrap_or_default();
        done
    }

    fn trace_assign(&mut self, assign: &Assign, fds: &Fds) {
        if self.env.options.xtrace {
            let value = quoted(self.env.text(&assign.name).as_bytes());
            let shown = if value == b"''" { Vec::new() } else { value };
            let line = [b"+ ", assign.name.as_bytes(), b"=", &shown, b"\n"].concat();
            self.put_err(fds, &line);
        }
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
            self.env.hidden.push(BTreeMap::new());
            let loops = std::mem::take(&mut self.loops);
            let done = self.command(&body, fds).await;
            self.loops = loops;
            for (name, var) in self.env.hidden.pop().unwrap_or_default() {
                match var {
                    Some(var) => self.env.vars.insert(name, var),
                    None => self.env.vars.remove(&name),
                };
            }
            self.env.params = saved;
            return match done {
                Err(Stop::Return) => Ok(()),
                other => other,
            };
        }
        if let Some(answer) = self.version_of(name, &args) {
            let to = if answer.aside { &fds.err } else { &fds.out };
            self.status = 0;
            return if self.put(to, answer.text.as_bytes()) && self.outside.flush().await {
                Ok(())
            } else {
                Err(Stop::Killed)
            };
        }
        if let Some(done) = self.builtin(name, &args, fds).await {
            return done;
        }
        if name.contains('/') {
            let Some(base) = self.program_at(name) else {
                return self.run_file(name, args, fds).await;
            };
            if let Some(done) = self.builtin(&base, &args, fds).await {
                return done;
            }
            return match commands::find(&base) {
                Some(command) => self.run_command(&base, command, args, fds).await,
                None => self.run_file(name, args, fds).await,
            };
        }
        let is_builtin = super::builtin::is_builtin(self.env.dialect, name);
        match commands::find(name) {
            Some(command) if is_builtin || self.is_installed(name) => {
                self.run_command(name, command, args, fds).await
            }
            _ => self.not_found(name, args, fds).await,
        }
    }

    /// What a program answers that is asked for its version.
    fn version_of(&self, name: &str, args: &[Vec<u8>]) -> Option<commands::version::Answer> {
        if !args.get(1)?.starts_with(b"-") && args.get(1)? != b"version" {
            return None;
        }
        let program = if name.contains('/') {
            self.program_at(name)?
        } else if super::builtin::is_builtin(self.env.dialect, name) || !self.is_installed(name) {
            return None;
        } else {
            name.to_owned()
        };
        commands::version::version(&self.machine, &program, args)
    }

    /// Which of the distribution's programs a path leads to, over any links.
    fn program_at(&self, path: &str) -> Option<String> {
        let (at, node) = self.vfs.stat(self.who(), &self.env.cwd, path).ok()?;
        let (directory, base) = at.rsplit_once('/')?;
        let system = ["/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin"].contains(&directory);
        if !system || !matches!(node.kind, super::vfs::Kind::Opaque(_)) || !Vfs::executable(self.who(), &node)
        {
            return None;
        }
        // BusyBox goes by the name that it is called by; Debian's alternatives by the one that stands for them.
        let called = path.rsplit('/').next().unwrap_or(base);
        let own = called != base && commands::find(base).is_none();
        Some(if base == "busybox" || own { called } else { base }.to_owned())
    }

    async fn not_found(&mut self, name: &str, args: Vec<Vec<u8>>, fds: &Fds) -> Result<(), Stop> {
        // A file that the intruder dropped into the search path.
        for directory in self.env.text("PATH").split(':') {
            let path = format!("{directory}/{name}");
            if !name.is_empty()
                && let Ok((_, node)) = self.vfs.stat(self.who(), &self.env.cwd, &path)
                && matches!(
                    node.kind,
                    super::vfs::Kind::File(_) | super::vfs::Kind::Cut { .. } | super::vfs::Kind::Opaque(_)
                )
                && Vfs::executable(self.who(), &node)
            {
                if matches!(node.kind, super::vfs::Kind::Opaque(_)) {
                    // A program of the distribution that has nothing to say here.
                    self.status = 0;
                    return Ok(());
                }
                return self.run_file(&path, args, fds).await;
            }
        }
        let fault = if self.env.dialect == Dialect::Bash {
            "command not found"
        } else {
            "not found"
        };
        let text = format!("{}: {name}: {fault}\n", self.complaint());
        self.put_err(fds, text.as_bytes());
        self.status = 127;
        Ok(())
    }

    /// Whether a command is found along the search path.
    pub(crate) fn is_installed(&self, name: &str) -> bool {
        self.command_path(name).is_some()
    }

    /// Where the search path finds a command.
    pub(crate) fn command_path(&self, name: &str) -> Option<String> {
        let path = match self.env.vars.get("PATH") {
            Some(var) => String::from_utf8_lossy(&var.value).into_owned(),
            None => "/usr/local/bin:/usr/bin:/bin".to_owned(),
        };
        path.split(':')
            .map(|directory| format!("{directory}/{name}"))
            .find(|path| {
                self.vfs
                    .stat(self.who(), &self.env.cwd, path)
                    .is_ok_and(|(_, n)| !n.is_dir() && Vfs::executable(self.who(), &n))
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
        call.piped = !matches!(fds.out, Output::Session(_));
        if commands::reads_input(name, &call.args) {
            match &fds.input {
                Input::Long(long) if commands::counts(name) => call.long = Some(lock(long).clone()),
                _ => call.input = self.input_all(fds).await?,
            }
        }
        let process = self.tell_of_program(name, &call.args, fds);
        let status = command(self, &mut call);
        self.program_ended(process);
        for (url, via) in std::mem::take(&mut call.fetched) {
            self.outside.report(Report::Fetch { url: &url, via: &via });
        }
        let mut full = false;
        for step in call.steps {
            match step {
                Step::Out(bytes) => {
                    if !full && !self.put(&fds.out, &bytes) {
                        if !matches!(fds.out, Output::File(_)) {
                            return Err(Stop::Killed);
                        }
                        full = true;
                    }
                }
                Step::Long(long) => full |= !self.put_long(&fds.out, long).await?,
                Step::Err(bytes) => self.put_err(fds, &bytes),
                Step::Wait(time) => self.wait(time).await?,
            }
        }
        self.status = status;
        if full {
            let what = match name {
                "head" => "error writing 'standard output'",
                _ => "write error",
            };
            let text = format!("{name}: {what}: {}\n", Errno::NoSpace.text());
            self.put_err(fds, text.as_bytes());
            self.status = 1;
        }
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
            Input::Long(long) => {
                let mut long = lock(long);
                // A program that never sees an end is stopped by the one behind it in the pipe.
                match long.left() {
                    Some(left) => match usize::try_from(left) {
                        Ok(left) if left <= OUTPUT => Ok(long.take(left)),
                        _ => Err(Stop::Killed),
                    },
                    None => Ok(long.take(KEPT)),
                }
            }
            Input::Session => {
                let mut all: Vec<u8> = self.unread.drain(..).collect();
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
        Ok(self.input_until(fds, echo, b'\n', None).await?.0)
    }

    /// Input up to a delimiter, without it, or `most` bytes; and whether the delimiter (or the count) was reached.
    pub(super) async fn input_until(
        &mut self,
        fds: &Fds,
        echo: bool,
        delimiter: u8,
        most: Option<usize>,
    ) -> Result<(Option<Vec<u8>>, bool), Stop> {
        match &fds.input {
            Input::Bytes(bytes) => Ok(take_until(&mut lock(bytes), delimiter, most)),
            Input::Long(long) => {
                let mut long = lock(long);
                let mut line = VecDeque::new();
                while most.is_none_or(|most| line.len() < most) && line.len() < KEPT {
                    let Some(byte) = long.take(1).first().copied() else {
                        break;
                    };
                    line.push_back(byte);
                    if byte == delimiter {
                        break;
                    }
                }
                Ok(take_until(&mut line, delimiter, most))
            }
            Input::Session if self.terminal.is_none() => {
                if !self.outside.flush().await {
                    return Err(Stop::Killed);
                }
                let mut looked = 0;
                while !self.unread.iter().skip(looked).any(|b| *b == delimiter)
                    && most.is_none_or(|most| self.unread.len() < most)
                {
                    looked = self.unread.len();
                    if looked > super::vfs::MAX_BYTES {
                        return Err(Stop::Killed);
                    }
                    let Some(more) = self.outside.read(echo).await else {
                        break;
                    };
                    self.unread.extend(more);
                }
                Ok(take_until(&mut self.unread, delimiter, most))
            }
            Input::Session => {
                if !self.outside.flush().await {
                    return Err(Stop::Killed);
                }
                let Some(mut line) = self.outside.read(echo).await else {
                    return Ok((None, false));
                };
                while matches!(line.last(), Some(b'\n' | b'\r')) {
                    line.pop();
                }
                if let Some(most) = most {
                    line.truncate(most);
                }
                Ok((Some(line), true))
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
                if content.starts_with(b"\x7fELF")
                    && let Some(program) = self.vfs.program_like(&content)
                {
                    // A copy does what the original does.
                    let mut args = args;
                    let program = program.as_bytes().to_vec();
                    match args.first_mut() {
                        Some(first) => *first = program,
                        None => args.push(program),
                    }
                    return self.run_args(args, fds).await;
                }
                match content.get(..4) {
                    // A binary that runs and says nothing would be believable, too, but one that never shows up in
                    // `ps` is not: it is the wrong architecture or it crashes.
                    Some(b"\x7fELF")
                        if content.get(18) == Some(if self.machine.is_device() { &0x28 } else { &0x3e }) =>
                    {
                        self.put_err(fds, b"Segmentation fault\n");
                        self.status = 139;
                        return Ok(());
                    }
                    Some(b"\x7fELF") => (126, "cannot execute binary file: Exec format error"),
                    _ if content.iter().take(256).any(|b| *b == 0) => {
                        (126, "cannot execute binary file: Exec format error")
                    }
                    _ => {
                        let script = Script {
                            arg0: path.to_owned(),
                            dialect: self.dialect_of_script(&content),
                            from_argument: false,
                            switches: Vec::new(),
                        };
                        let params = args.get(1..).unwrap_or_default().to_vec();
                        return self.run_as_script(script, Some(&content), params, fds).await;
                    }
                }
            }
        };
        let text = match text {
            "No such file or directory" if self.env.dialect != Dialect::Bash => "not found",
            text => text,
        };
        let text = format!("{}: {path}: {text}\n", self.complaint());
        self.put_err(fds, text.as_bytes());
        self.status = status;
        Ok(())
    }

    /// The language that a script's first line asks for.
    fn dialect_of_script(&self, content: &[u8]) -> Dialect {
        let first = content.split(|b| *b == b'\n').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first.strip_prefix(b"#!").unwrap_or_default()).into_owned();
        let program = first.split_whitespace().next().unwrap_or_default();
        let program = match program.rsplit('/').next().unwrap_or_default() {
            "env" => first.split_whitespace().nth(1).unwrap_or_default(),
            program => program,
        };
        match program {
            "" => self.env.dialect,
            name => self.dialect_of(name),
        }
    }

    /// The language of the shell of that name on this machine.
    pub(super) fn dialect_of(&self, name: &str) -> Dialect {
        if self.machine.distribution.is_busybox() {
            return Dialect::Ash;
        }
        match name {
            "dash" => Dialect::Dash,
            "ash" => Dialect::Ash,
            "sh" if self.machine.distribution.has_dash() => Dialect::Dash,
            _ => Dialect::Bash,
        }
    }

    /// Run a script in a process of its own: it inherits what is exported and nothing else. One without content is
    /// what its input has.
    pub(super) async fn run_as_script(
        &mut self,
        script: Script,
        content: Option<&[u8]>,
        params: Vec<Vec<u8>>,
        fds: &Fds,
    ) -> Result<(), Stop> {
        let saved = self.env.clone();
        let interactive = std::mem::replace(&mut self.interactive, false);
        let before = (self.lines_before, self.line_number, self.guarded, self.pid);
        (self.lines_before, self.line_number, self.guarded) = (0, 1, 0);
        self.pid = self.spawn_pid();
        let jobs = std::mem::take(&mut self.jobs);
        self.env.arg0 = script.arg0;
        self.env.dialect = script.dialect;
        self.env.from_argument = script.from_argument;
        self.env.from_input = content.is_none();
        self.env.login = false;
        self.env.params = params;
        self.env.vars.retain(|_, v| v.exported);
        self.env.set("IFS", b" \t\n".to_vec());
        self.env.set("OPTIND", b"1".to_vec());
        self.env.functions.clear();
        self.env.aliases.clear();
        self.env.traps.clear();
        self.env.hidden.clear();
        self.env.options = super::vars::Options::default();
        for switch in &script.switches {
            for letter in switch.strip_prefix('-').unwrap_or_default().chars() {
                if let Some(on) = self.env.options.letter(letter) {
                    *on = true;
                }
            }
            if let Some(on) = self.env.options.named(switch) {
                *on = true;
            }
        }
        self.status = 0;
        self.subshells += 1;
        let process = self.pid;
        self.tell_of_shell(fds);
        let ended = match content {
            Some(content) => self.run_script(content, fds).await,
            None => self.follow(fds).await,
        };
        if ended == Err(Stop::Failed) && self.status == 0 {
            self.status = 1;
        }
        if ended != Err(Stop::Killed) {
            // It ends whatever its trap does.
            let _ended = self.run_exit_trap(fds).await;
        }
        self.subshells -= 1;
        (self.lines_before, self.line_number, self.guarded, self.pid) = before;
        self.program_ended(process);
        self.jobs = jobs;
        self.env = saved;
        self.interactive = interactive;
        if ended == Err(Stop::Killed) {
            Err(Stop::Killed)
        } else {
            Ok(())
        }
    }
}

/// Bytes up to a delimiter, without it, or `most` of them; and whether the delimiter (or the count) was reached.
fn take_until(bytes: &mut VecDeque<u8>, delimiter: u8, most: Option<usize>) -> (Option<Vec<u8>>, bool) {
    if bytes.is_empty() {
        return (None, false);
    }
    let end = bytes.iter().position(|b| *b == delimiter).map(|i| i + 1);
    let (end, reached) = match (end, most) {
        (Some(end), Some(most)) if end <= most => (end, true),
        (_, Some(most)) if most <= bytes.len() => (most, true),
        (Some(end), None) => (end, true),
        _ => (bytes.len(), false),
    };
    let mut taken: Vec<u8> = bytes.drain(..end).collect();
    if taken.last() == Some(&delimiter) {
        taken.pop();
    }
    (Some(taken), reached)
}

/// How a script is run.
pub(super) struct Script {
    pub(super) arg0: String,
    pub(super) dialect: Dialect,
    /// It is the argument of `-c`.
    pub(super) from_argument: bool,
    /// Options of `set`: `-e`, or the name of one.
    pub(super) switches: Vec<String>,
}

/// A line of `jobs`.
pub(super) fn job_line(job: &Job, newest: u32, now: i64) -> String {
    let mark = if job.number == newest {
        '+'
    } else if job.number + 1 == newest {
        '-'
    } else {
        ' '
    };
    let (state, tail) = match (job.ended, job.until > now, job.status) {
        (Some(why), ..) => (why.to_owned(), ""),
        (None, true, _) => ("Running".to_owned(), " &"),
        (None, false, 0) => ("Done".to_owned(), ""),
        (None, false, n) => (format!("Exit {n}"), ""),
    };
    format!("[{}]{mark}  {state:<24}{}{tail}\n", job.number, job.text)
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
