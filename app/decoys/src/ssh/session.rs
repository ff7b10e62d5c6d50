//! One session channel: a login shell at a terminal, a command, or a file transfer.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use decnet_model::event::Event;

use super::{
    channels::Output,
    inbox::{Inbox, Input},
    scp,
    server::Shared,
    sftp,
};
use crate::{
    serve::{
        Tap,
        artifact::{Capture, Given},
        recorder::{self, Channel, Recorder},
    },
    shell::{Outside, Report, Running, Stream, Typed, terminal, vfs::Shared as Overlay},
};

/// How long a shell waits for a key; the connection's own limits usually end it earlier.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// How long after one stream the other one is sent: about what a program takes to begin. What a client gets at once from both
/// it shows one stream after the other; on a real machine there is the next program between.
const TURN: Duration = Duration::from_millis(2);
/// How often a channel's streams take turns that way. Behind that nobody reads along.
const TURNS: u32 = 100;

/// Bytes that wait for a program that does not read: as many as a pipe holds on Linux. Behind them the channel waits.
const AHEAD: usize = 64 << 10;

/// Which stream a channel sent last.
#[derive(Debug, Default)]
struct Turns {
    last: Option<Stream>,
    taken: u32,
}

impl Turns {
    /// Wait until `next` may be sent.
    async fn before(&mut self, next: Stream) {
        let turned = self.last.replace(next).is_some_and(|last| last != next);
        if turned && self.taken < TURNS {
            self.taken += 1;
            tokio::time::sleep(TURN).await;
        }
    }
}

/// A pseudo-terminal, as the client asked for it.
#[derive(Debug, Clone)]
pub(super) struct Terminal {
    pub(super) name: String,
    pub(super) columns: u32,
    pub(super) rows: u32,
}

/// What a channel was asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Shell,
    Exec(Vec<u8>),
    Sftp,
}

/// All that a channel's task needs.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) tap: Tap,
    pub(super) user: String,
    /// `address port port`, as `SSH_CLIENT` has it.
    pub(super) client: String,
    pub(super) terminal: Option<Terminal>,
    pub(super) variables: Vec<(String, String)>,
    pub(super) input: Inbox,
    pub(super) output: Arc<Output>,
    pub(super) seed: u64,
    /// The password that it came in with.
    pub(super) secret: Option<Vec<u8>>,
    /// What the visitor's address left on the machine.
    pub(super) overlay: Overlay,
}

/// The shell's world: the channel, and the recording of it.
struct Link {
    input: Inbox,
    output: Arc<Output>,
    waiting: Vec<(Stream, Vec<u8>)>,
    turns: Turns,
    ahead: VecDeque<u8>,
    editor: terminal::Editor,
    /// Columns and rows of the terminal, as they are now.
    size: (u32, u32),
    /// A shell waits for a line.
    at_prompt: bool,
    /// There is a terminal: lines are edited and newlines become CR LF.
    tty: bool,
    ended: bool,
    recorder: Recorder,
    tap: Tap,
}

impl Link {
    fn put(&mut self, stream: Stream, bytes: &[u8]) {
        self.recorder.record(Channel::Output, bytes);
        match self.waiting.last_mut() {
            Some((last, before)) if *last == stream => before.extend_from_slice(bytes),
            _ => self.waiting.push((stream, bytes.to_vec())),
        }
    }

    async fn send(&mut self) -> bool {
        for (stream, bytes) in std::mem::take(&mut self.waiting) {
            self.turns.before(stream).await;
            let sent = match stream {
                Stream::Out => self.output.data(&bytes).await,
                Stream::Err => self.output.error(&bytes).await,
            };
            if sent.is_err() {
                self.ended = true;
                return false;
            }
        }
        true
    }

    /// Wait for more input; false where there will be none.
    async fn hear(&mut self) -> bool {
        if self.ended {
            return false;
        }
        match tokio::time::timeout(PATIENCE, self.input.recv()).await {
            Ok(Some(Input::Data(bytes))) => {
                self.recorder.record(Channel::Input, &bytes);
                self.ahead.extend(bytes);
            }
            Ok(Some(Input::Resize(columns, rows))) => {
                self.resize(columns, rows);
                if self.at_prompt {
                    let mut shown = Vec::new();
                    self.editor.resize(self.size.0, &mut shown);
                    self.put(Stream::Out, &shown);
                    // Where it cannot be sent the next prompt finds out.
                    let _gone = self.send().await;
                }
            }
            Ok(Some(Input::End) | None) | Err(_) => self.ended = true,
        }
        true
    }

    fn resize(&mut self, columns: u32, rows: u32) {
        self.size = window(columns, rows);
        self.recorder.resize(self.size.0, self.size.1);
    }

    /// The next key that the editor makes something of.
    async fn key(&mut self, mode: terminal::Mode, history: &[String]) -> Typed {
        loop {
            while let Some(byte) = self.ahead.pop_front() {
                let mut shown = Vec::new();
                let key = self.editor.key(byte, mode, history, &mut shown);
                if !shown.is_empty() {
                    self.put(Stream::Out, &shown);
                }
                match key {
                    Some(terminal::Key::Line(line)) => return Typed::Line(line),
                    Some(terminal::Key::Interrupt) => return Typed::Interrupt,
                    Some(terminal::Key::End) => return Typed::End,
                    Some(terminal::Key::Complete) => return Typed::Complete(self.editor.before_cursor()),
                    None => {}
                }
            }
            if !self.send().await || !self.hear().await {
                return Typed::End;
            }
        }
    }
}

impl Outside for Link {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if !self.tty {
            return self.put(stream, bytes);
        }
        // A terminal's output processing: one stream, and every newline returns the carriage.
        let mut out = Vec::with_capacity(bytes.len() + 16);
        for b in bytes {
            if *b == b'\n' {
                out.push(b'\r');
            }
            out.push(*b);
        }
        self.put(Stream::Out, &out);
    }

    fn flush(&mut self) -> Running<'_, bool> {
        Box::pin(self.send())
    }

    fn read(&mut self, echo: bool) -> Running<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            if self.tty {
                let mode = if echo {
                    terminal::Mode::Plain
                } else {
                    terminal::Mode::Secret
                };
                loop {
                    match self.key(mode, &[]).await {
                        Typed::Line(mut line) => {
                            line.push(b'\n');
                            return Some(line);
                        }
                        Typed::Complete(_) => {}
                        Typed::Interrupt | Typed::End => return None,
                    }
                }
            }
            while self.ahead.is_empty() {
                if !self.hear().await {
                    return None;
                }
            }
            Some(self.ahead.drain(..).collect())
        })
    }

    fn prompt<'a>(&'a mut self, prompt: &'a str, history: &'a [String]) -> Running<'a, Typed> {
        Box::pin(async move {
            if !prompt.is_empty() {
                self.editor.begin(prompt, self.size.0);
            }
            // A terminal shows a line break in a prompt as one.
            self.put(Stream::Out, prompt.replace('\n', "\r\n").as_bytes());
            if !self.send().await {
                return Typed::End;
            }
            self.at_prompt = true;
            let typed = self.key(terminal::Mode::Line, history).await;
            self.at_prompt = false;
            typed
        })
    }

    fn insert(&mut self, text: &str) {
        let mut shown = Vec::new();
        self.editor.insert(text, &mut shown);
        self.put(Stream::Out, &shown);
    }

    fn typed(&self) -> String {
        self.editor.text()
    }

    fn size(&self) -> Option<(u32, u32)> {
        self.tty.then_some(self.size)
    }

    fn pause(&mut self, time: Duration) -> Running<'_, bool> {
        Box::pin(async move {
            let end = tokio::time::Instant::now() + time;
            loop {
                if self.tty && self.ahead.contains(&3) {
                    self.ahead.clear();
                    self.put(Stream::Out, b"^C\r\n");
                    return false;
                }
                tokio::select! {
                    () = tokio::time::sleep_until(end) => return true,
                    input = self.input.recv(), if self.ahead.len() < AHEAD => match input {
                        Some(Input::Data(bytes)) => {
                            self.recorder.record(Channel::Input, &bytes);
                            self.ahead.extend(bytes);
                        }
                        Some(Input::Resize(columns, rows)) => self.resize(columns, rows),
                        // The end of the input is no reason to stop early; a closed channel is.
                        Some(Input::End) => self.ended = true,
                        None => return false,
                    },
                }
            }
        })
    }

    fn report(&mut self, report: Report<'_>) {
        match report {
            Report::Command { line, user, cwd } => self.tap.emit(Event::Command {
                line,
                detail: &[("user", user.as_bytes()), ("cwd", cwd.as_bytes())],
            }),
            Report::Fetch { url, via } => self.tap.emit(Event::FetchAttempt {
                url: url.as_bytes(),
                via,
            }),
            Report::File { path, bytes, user } => {
                keep(&self.tap, path, "redirect", user, bytes, Given::default());
            }
            Report::Secret {
                user,
                secret,
                via,
                accepted,
            } => self.tap.emit(Event::AuthAttempt {
                principal: user.as_bytes(),
                secret: decnet_model::event::Secret::Plaintext(secret),
                mechanism: via,
                accepted,
            }),
        }
    }

    fn now(&self) -> i64 {
        self.tap.clock().now().unix_timestamp()
    }
}

/// A window that a terminal may have; one that has no size, as that of a client without a terminal, is what readline
/// takes it for.
fn window(columns: u32, rows: u32) -> (u32, u32) {
    let fit = |n: u32, otherwise| if n == 0 { otherwise } else { n.min(1_000) };
    (fit(columns, 80), fit(rows, 24))
}

/// Keep a file that the visitor left, and report it.
fn keep(tap: &Tap, path: &str, via: &'static str, user: &str, bytes: &[u8], given: Given) {
    let mut capture = tap.artifact(path.as_bytes(), via, user.as_bytes()).with(given);
    capture.write(bytes);
    // `finish` reports it; nothing here needs to know where it is kept.
    let _stored = capture.finish();
}

impl Session {
    /// Do the job and close the channel.
    pub(super) async fn run(mut self, job: Job) {
        let output = Arc::clone(&self.output);
        let status = match job {
            Job::Sftp => self.sftp().await,
            Job::Exec(line) => match scp::call(&line) {
                Some(call) => {
                    self.report_command(&line);
                    self.scp(&call).await
                }
                None => self.shell(Some(line)).await,
            },
            Job::Shell => self.shell(None).await,
        };
        // The visitor may be gone already; then there is nobody to tell.
        let _gone = output.close(u32::from(status)).await;
    }

    fn report_command(&self, line: &[u8]) {
        let home = self.shared.template.machine.account_or_new(&self.user).home;
        self.tap.emit(Event::Command {
            line,
            detail: &[("user", self.user.as_bytes()), ("cwd", home.as_bytes())],
        });
    }

    async fn shell(self, command: Option<Vec<u8>>) -> u8 {
        let size = self
            .terminal
            .as_ref()
            .map_or((80, 24), |t| window(t.columns, t.rows));
        let name = self.terminal.as_ref().map_or("dumb", |t| t.name.as_str());
        let sid = recorder::sid(&self.tap, self.seed);
        let recorder = Recorder::begin(
            self.shared.host.transcripts.as_deref(),
            &self.tap,
            self.user.as_bytes(),
            sid,
            &self.shared.template.machine.account_or_new(&self.user).shell,
            name,
            size,
        );
        let link = Link {
            input: self.input,
            output: self.output,
            waiting: Vec::new(),
            turns: Turns::default(),
            ahead: VecDeque::new(),
            editor: terminal::Editor::default(),
            size,
            at_prompt: false,
            tty: self.terminal.is_some(),
            ended: false,
            recorder,
            tap: self.tap,
        };
        let mut shell =
            self.shared
                .template
                .shell(&self.user, &self.client, Box::new(link), self.seed, self.overlay);
        shell.terminal = self.terminal.is_some().then_some(size);
        shell.login_secret = self.secret.map(|secret| (shell.env.user.clone(), secret));
        let connection = self.client.split(' ').next().unwrap_or_default().to_owned();
        let mut parts = self.client.split(' ');
        let (address, port, local) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        shell.env.export(
            "SSH_CONNECTION",
            &format!(
                "{address} {port} {} {local}",
                self.shared.template.machine.address
            ),
        );
        if let Some(terminal) = &self.terminal {
            shell.env.export("TERM", &terminal.name);
            shell.env.export("SSH_TTY", "/dev/pts/0");
        }
        // AcceptEnv LANG LC_*, as distributions have it.
        for (name, value) in self
            .variables
            .iter()
            .filter(|(name, _)| name == "LANG" || name.starts_with("LC_"))
        {
            shell.env.export(name, value);
        }
        match command {
            Some(line) => {
                shell.outside.report(Report::Command {
                    line: &line,
                    user: &shell.env.user,
                    cwd: &shell.env.cwd,
                });
                shell.env.arg0 = shell.machine.distribution.shell_name().to_owned();
                shell.env.from_argument = true;
                shell.env.login = false;
                shell.run_line(&line).await;
                shell.finish().await;
            }
            None if self.terminal.is_some() => {
                let greeting = self.shared.greeting(&shell.env.user, &connection, shell.now());
                shell.login(&greeting).await;
            }
            None => {
                shell.login_stream().await;
            }
        }
        shell.surrender_all();
        shell.status
    }

    async fn sftp(&mut self) -> u8 {
        let template = &self.shared.template;
        let account = template.machine.account_or_new(&self.user);
        let machine = Arc::clone(&template.machine);
        let clock = Arc::clone(self.tap.clock());
        let now = || clock.now().unix_timestamp();
        let mut vfs = template.vfs(now(), Arc::clone(&self.overlay));
        let who = crate::shell::vfs::Who {
            uid: account.uid,
            gid: account.gid,
        };
        let mut sftp = sftp::Sftp::new(who, &account.home, Box::new(move |uid| machine.user_name(uid)));
        let mut status = 0;
        let mut uploads = BTreeMap::new();
        'asked: while let Some(bytes) = self.input.bytes().await {
            sftp.feed(&bytes);
            loop {
                let answers = sftp.answers(&mut vfs, now());
                for done in sftp.take_done() {
                    self.transferred(done, &mut uploads);
                }
                let Some(answers) = answers else {
                    self.tap.emit(Event::Violation {
                        what: "an SFTP packet longer than any may be",
                        bytes: bytes.get(..64).unwrap_or(&bytes),
                    });
                    status = 11;
                    break 'asked;
                };
                if answers.is_empty() {
                    break;
                }
                // Who is gone hears no answer; what it asked for is evidence all the same.
                let _gone = self.output.data(&answers).await;
            }
        }
        // A long upload that is not closed is kept as what it is when its capture is dropped: interrupted.
        for done in sftp.unfinished() {
            self.transferred(done, &mut uploads);
        }
        status
    }

    fn transferred(&self, done: sftp::Done, uploads: &mut BTreeMap<u32, Capture>) {
        match done {
            sftp::Done::Bytes { handle, path, bytes } => uploads
                .entry(handle)
                .or_insert_with(|| self.tap.artifact(path.as_bytes(), "sftp", self.user.as_bytes()))
                .write(&bytes),
            sftp::Done::Closed { handle, given } => {
                if let Some(capture) = uploads.remove(&handle) {
                    let _stored = capture.with(given).finish();
                }
            }
            sftp::Done::Uploaded { path, bytes, given } => {
                keep(&self.tap, &path, "sftp", &self.user, &bytes, given);
            }
            sftp::Done::Read { path, size } => self.tap.emit(Event::Download {
                path: path.as_bytes(),
                size,
                found: true,
            }),
            sftp::Done::Did(what) => {
                self.tap.emit(Event::Command {
                    line: what.as_bytes(),
                    detail: &[("user", self.user.as_bytes()), ("subsystem", b"sftp")],
                });
            }
        }
    }

    async fn scp(&mut self, call: &scp::Call) -> u8 {
        let template = &self.shared.template;
        let account = template.machine.account_or_new(&self.user);
        let clock = Arc::clone(self.tap.clock());
        let now = || clock.now().unix_timestamp();
        let mut vfs = template.vfs(now(), Arc::clone(&self.overlay));
        let who = crate::shell::vfs::Who {
            uid: account.uid,
            gid: account.gid,
        };
        if !call.sink {
            let mut source = scp::Source::new(call, who, &account.home);
            // The peer acknowledges each piece but complaints, the last one, too: whoever closes before that breaks
            // its pipe.
            let mut acknowledged = VecDeque::new();
            let mut awaited = true;
            loop {
                while awaited && acknowledged.is_empty() {
                    let Some(bytes) = self.input.bytes().await else {
                        return 1;
                    };
                    acknowledged.extend(bytes);
                }
                if awaited {
                    acknowledged.pop_front();
                }
                let Some(piece) = source.next(&vfs) else {
                    return u8::from(source.failed);
                };
                awaited = !matches!(piece, scp::Piece::Complaint(_));
                let said = match piece {
                    scp::Piece::Line(line) | scp::Piece::Complaint(line) => {
                        self.output.data(line.as_bytes()).await
                    }
                    scp::Piece::Content { path, bytes } => {
                        let mut said = self.output.data(&bytes).await;
                        if said.is_ok() {
                            said = self.output.data(&[0]).await;
                        }
                        // Also of what the peer did not take to its end.
                        self.tap.emit(Event::Download {
                            path: path.as_bytes(),
                            size: u64::try_from(bytes.len()).unwrap_or(0),
                            found: true,
                        });
                        said
                    }
                };
                if said.is_err() {
                    return 1;
                }
            }
        }
        let target = call.paths.first().map_or(".", String::as_str);
        if call.directory
            && !vfs
                .stat(who, &account.home, target)
                .is_ok_and(|(_, n)| n.is_dir())
        {
            let _gone = self
                .output
                .data(format!("\x01scp: {target}: Not a directory\n").as_bytes())
                .await;
            return 1;
        }
        let mut sink = scp::Sink::new(call, who, &account.home);
        // Who is gone hears no answer; what it has sent is evidence all the same.
        let _gone = self.output.data(&[0]).await;
        // The file that is on its way in; dropped in the middle it counts as interrupted.
        let mut coming: Option<Capture> = None;
        while !sink.over
            && let Some(bytes) = self.input.bytes().await
        {
            sink.feed(&bytes);
            while let Some(answer) = sink.step(&mut vfs, now()) {
                if let Some(received) = sink.received.take() {
                    coming = self.received(received, coming);
                }
                let _gone = self.output.data(&answer).await;
            }
        }
        u8::from(sink.failed || sink.over)
    }

    /// Take in what came by scp, of the file that is `coming`; what is still coming then.
    fn received(&self, received: scp::Received, coming: Option<Capture>) -> Option<Capture> {
        let (path, bytes, given) = match &received {
            scp::Received::Bytes { path, bytes } => (path, Some(bytes), Given::default()),
            scp::Received::End { path, given } => (path, None, *given),
        };
        let mut capture =
            coming.unwrap_or_else(|| self.tap.artifact(path.as_bytes(), "scp", self.user.as_bytes()));
        let Some(bytes) = bytes else {
            let _stored = capture.with(given).finish();
            return None;
        };
        capture.write(bytes);
        Some(capture)
    }
}

#[cfg(test)]
mod tests {
    use decnet_model::clock::SystemClock;

    use super::*;
    use crate::{
        config::Limits,
        serve::{artifact::Artifacts, sink::Sink, tap::Evidence},
        ssh::{fields::Message, fuzz, inbox::inbox},
    };

    /// Reports to nobody, and keeps files in `folder`.
    fn tap(folder: Option<&std::path::Path>) -> Tap {
        let evidence = Arc::new(Evidence {
            sink: Arc::new(Sink::to(std::io::sink())),
            artifacts: Arc::new(Artifacts::open(folder, &Limits::default()).unwrap()),
            clock: Arc::new(SystemClock),
            decky: "decky-01".to_owned(),
        });
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        Tap::of_session(&evidence, "ssh", address, address)
    }

    #[tokio::test]
    async fn files_of_who_is_gone_before_any_answer_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let visit = fuzz::visit().unwrap();
        let request =
            |kind: u8, fields: Message| Message::default().string(&[&[kind], &*fields.0].concat()).0;
        let id = || Message::default().u32(0);
        // More than a job takes at once.
        let long = "asked ".repeat(8_000);
        let asked = [
            // OPEN to write, create and truncate; WRITE; CLOSE.
            request(3, id().string(b"/tmp/asked").u32(0x1a).u32(0)),
            request(6, id().string(&[0; 4]).u32(0).u32(0).string(long.as_bytes())),
            request(4, id().string(&[0; 4])),
        ];
        for (job, sent) in [
            (
                Job::Exec(b"scp -t /tmp/copied".to_vec()),
                b"C0755 5 x\nblind\0".to_vec(),
            ),
            (Job::Sftp, asked.concat()),
        ] {
            let (inlet, input) = inbox(Arc::default());
            inlet.data(&sent);
            drop(inlet);
            let session = Session {
                overlay: visit.shared.overlays.of(visit.address.ip(), 0),
                shared: Arc::clone(&visit.shared),
                tap: tap(Some(folder.path())),
                user: "root".to_owned(),
                client: "127.0.0.1 9 22".to_owned(),
                terminal: None,
                variables: Vec::new(),
                input,
                output: Arc::new(Output::to_nobody()),
                seed: 0,
                secret: None,
            };
            session.run(job).await;
        }
        for (name, content) in [("copied", "blind"), ("asked", &*long)] {
            let mut kept = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|kept| kept.unwrap().path());
            let kept = kept.find(|path| path.to_string_lossy().ends_with(&format!("_{name}")));
            assert_eq!(std::fs::read_to_string(kept.unwrap()).unwrap(), content);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_for_a_program_that_sleeps_waits_in_the_channel() {
        let tap = tap(None);
        let (inlet, input) = inbox(Arc::default());
        let mut link = Link {
            input,
            output: Arc::new(Output::to_nobody()),
            waiting: Vec::new(),
            turns: Turns::default(),
            ahead: VecDeque::new(),
            editor: terminal::Editor::default(),
            size: (80, 24),
            at_prompt: false,
            tty: false,
            ended: false,
            recorder: Recorder::begin(None, &tap, b"root", String::new(), "", "", (80, 24)),
            tap,
        };
        inlet.data(&vec![b'x'; 2 << 20]);
        inlet.end();
        assert!(link.pause(Duration::from_secs(60)).await);
        assert!(
            (AHEAD..2 * AHEAD).contains(&link.ahead.len()),
            "{}",
            link.ahead.len()
        );
        // It is not the end that keeps it from being read.
        let mut read = 0;
        while let Some(bytes) = link.read(false).await {
            read += bytes.len();
        }
        assert_eq!(read, 2 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_waits_for_a_moment_behind_the_other_one_and_for_its_own_never() {
        let mut turns = Turns::default();
        let begun = tokio::time::Instant::now();
        for stream in [Stream::Out, Stream::Out, Stream::Err, Stream::Err, Stream::Out] {
            turns.before(stream).await;
        }
        assert_eq!(begun.elapsed(), TURN * 2);
        for _ in 0..TURNS {
            turns.before(Stream::Err).await;
            turns.before(Stream::Out).await;
        }
        assert_eq!(begun.elapsed(), TURN * TURNS, "a loop takes no time of its own");
    }
}
