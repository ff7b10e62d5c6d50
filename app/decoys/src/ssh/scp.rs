//! The old copy protocol: what `scp -t` and `scp -f` speak on their standard input and output (the comments of
//! OpenSSH's scp.c are its only description). Bytes in, bytes out.

use super::upload::Upload;
use crate::{
    serve::artifact::Given,
    shell::vfs::{Errno, Vfs, Who, file_name},
};

/// The longest control line.
const LINE_MAX: usize = 2_048;
/// Bytes of one file that the disk has room for. What is kept of one is the artifact's and the overlay's business.
const FILE_MAX: u64 = 8 << 30;
/// How deep directories may nest.
const DEPTH_MAX: usize = 40;

/// What `scp` was called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// `-t`: it receives. Otherwise it sends (`-f`).
    pub(super) sink: bool,
    pub(super) recursive: bool,
    /// `-d`: the target has to be a directory.
    pub(super) directory: bool,
    pub(super) paths: Vec<String>,
}

/// The call in a command line such as `scp -r -t /tmp`, or `None` where it is something else.
pub(super) fn call(line: &[u8]) -> Option<Call> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let mut words = text.split_ascii_whitespace();
    let program = words.next()?;
    if program != "scp" && !program.ends_with("/scp") {
        return None;
    }
    let mut out = Call {
        sink: false,
        recursive: false,
        directory: false,
        paths: Vec::new(),
    };
    let mut source = false;
    for word in words {
        if word == "--" {
            continue;
        }
        if let Some(letters) = word.strip_prefix('-') {
            out.sink |= letters.contains('t');
            source |= letters.contains('f');
            out.recursive |= letters.contains('r');
            out.directory |= letters.contains('d');
        } else {
            out.paths.push(word.trim_matches(['\'', '"']).to_owned());
        }
    }
    // A quoted or chained command line is the shell's to run.
    let plain = !text.contains([';', '|', '&', '$', '`', '>', '<']);
    (plain && (out.sink != source) && !out.paths.is_empty()).then_some(out)
}

/// A piece of what came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Bytes of the file at this path; more may follow.
    Bytes { path: String, bytes: Vec<u8> },
    /// That file is whole.
    End { path: String, given: Given },
}

enum State {
    Line,
    Data {
        path: String,
        given: Given,
        left: u64,
        upload: Upload,
    },
    Acknowledge {
        path: String,
        given: Given,
        upload: Upload,
    },
}

/// The receiving side.
pub(super) struct Sink {
    who: Who,
    cwd: String,
    target: String,
    stack: Vec<String>,
    recursive: bool,
    input: Vec<u8>,
    state: State,
    /// When the next file was changed last, as its sender says.
    modified: Option<i64>,
    /// What came in since it was last looked at.
    pub(super) received: Vec<Received>,
    pub(super) failed: bool,
}

impl Sink {
    /// A sink for `call`; the greeting (one zero byte) is the caller's to send.
    pub(super) fn new(call: &Call, who: Who, cwd: &str) -> Self {
        Self {
            who,
            cwd: cwd.to_owned(),
            target: call.paths.first().cloned().unwrap_or_else(|| ".".to_owned()),
            stack: Vec::new(),
            recursive: call.recursive,
            input: Vec::new(),
            state: State::Line,
            modified: None,
            received: Vec::new(),
            failed: false,
        }
    }

    /// Where something called `name` goes.
    fn place(&self, vfs: &Vfs, name: &str) -> String {
        let base = self.stack.last().unwrap_or(&self.target);
        let is_directory = vfs.stat(self.who, &self.cwd, base).is_ok_and(|(_, n)| n.is_dir());
        if is_directory {
            format!("{}/{name}", base.trim_end_matches('/'))
        } else {
            base.clone()
        }
    }

    /// Take bytes; the answer, and whether the sender may go on.
    pub(super) fn feed(&mut self, bytes: &[u8], vfs: &mut Vfs, now: i64) -> (Vec<u8>, bool) {
        self.input.extend_from_slice(bytes);
        let mut out = Vec::new();
        loop {
            match std::mem::replace(&mut self.state, State::Line) {
                State::Data {
                    path,
                    given,
                    mut left,
                    mut upload,
                } => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.len());
                    let bytes: Vec<u8> = self.input.drain(..take).collect();
                    left -= u64::try_from(take).unwrap_or(left);
                    if !bytes.is_empty() {
                        upload.push(&bytes);
                        let path = path.clone();
                        self.received.push(Received::Bytes { path, bytes });
                    }
                    if left > 0 {
                        self.state = State::Data {
                            path,
                            given,
                            left,
                            upload,
                        };
                        return (out, true);
                    }
                    self.state = State::Acknowledge { path, given, upload };
                }
                State::Acknowledge { path, given, upload } => {
                    // The sender ends a file with its own status byte.
                    if self.input.is_empty() {
                        self.state = State::Acknowledge { path, given, upload };
                        return (out, true);
                    }
                    self.input.remove(0);
                    match vfs
                        .place(self.who, &self.cwd, &path, upload.kind(), now)
                        .and_then(|at| {
                            vfs.alter(self.who, "/", &at, |n| {
                                n.mode = given.mode.unwrap_or(n.mode);
                                n.mtime = given.modified.unwrap_or(n.mtime);
                            })?;
                            Ok(at)
                        }) {
                        Ok(_) => out.push(0),
                        Err(errno) => self.fault(&path, errno, &mut out),
                    }
                    self.received.push(Received::End { path, given });
                }
                State::Line => {
                    let Some(end) = self.input.iter().position(|b| *b == b'\n') else {
                        if self.input.len() > LINE_MAX {
                            out.extend_from_slice(b"\x02scp: protocol error: lost connection\n");
                            return (out, false);
                        }
                        return (out, true);
                    };
                    let line: Vec<u8> = self.input.drain(..=end).collect();
                    if !self.line(&line, vfs, now, &mut out) {
                        return (out, false);
                    }
                }
            }
        }
    }

    fn fault(&mut self, path: &str, errno: Errno, out: &mut Vec<u8>) {
        self.failed = true;
        out.extend_from_slice(format!("\x01scp: {path}: {}\n", errno.text()).as_bytes());
    }

    fn line(&mut self, line: &[u8], vfs: &mut Vfs, now: i64, out: &mut Vec<u8>) -> bool {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        match text.chars().next() {
            Some('T') => {
                // `T`, when it was changed, its fraction, when it was read, its fraction.
                let time = text.get(1..).and_then(|times| times.split(' ').next());
                self.modified = time.and_then(|time| time.parse::<u32>().ok()).map(i64::from);
                out.push(0);
            }
            Some('E') => {
                self.stack.pop();
                out.push(0);
            }
            Some(kind @ ('C' | 'D')) => {
                let mut parts = text.split_at(1).1.splitn(3, ' ');
                let mode = parts.next().and_then(|m| u32::from_str_radix(m, 8).ok());
                let size = parts.next().and_then(|s| s.parse::<u64>().ok());
                let (Some(mode), Some(size), Some(name)) = (mode, size, parts.next()) else {
                    out.extend_from_slice(b"\x02scp: protocol error: mode not delimited\n");
                    return false;
                };
                if name.is_empty() || name.contains('/') || name == ".." || name == "." {
                    out.extend_from_slice(
                        format!("\x02scp: error: unexpected filename: {name}\n").as_bytes(),
                    );
                    return false;
                }
                let path = self.place(vfs, name);
                let modified = self.modified.take();
                if kind == 'C' {
                    if size > FILE_MAX {
                        self.fault(&path, Errno::NoSpace, out);
                        return true;
                    }
                    // Whether it can be written is found out before its content is asked for, as open(2) does.
                    let exists = vfs.stat(self.who, &self.cwd, &path).is_ok();
                    let tried = if exists {
                        vfs.read(self.who, &self.cwd, &path).map(drop)
                    } else {
                        vfs.write(self.who, &self.cwd, &path, b"", false, now)
                            .map(|at| vfs.forget_written(&at))
                    };
                    if let Err(errno) = tried {
                        self.fault(&path, errno, out);
                        return true;
                    }
                    out.push(0);
                    self.state = State::Data {
                        path,
                        given: Given {
                            mode: Some(mode & 0o777),
                            modified,
                        },
                        left: size,
                        upload: Upload::default(),
                    };
                } else {
                    if !self.recursive || self.stack.len() >= DEPTH_MAX {
                        out.extend_from_slice(b"\x02scp: protocol error: received directory without -r\n");
                        return false;
                    }
                    match vfs.mkdir(self.who, &self.cwd, &path, mode & 0o777, now) {
                        Ok(()) | Err(Errno::Exists) => {
                            out.push(0);
                            self.stack.push(path);
                        }
                        Err(errno) => {
                            self.fault(&path, errno, out);
                        }
                    }
                }
            }
            Some('\u{1}' | '\u{2}') => {}
            _ => {
                out.extend_from_slice(b"\x02scp: protocol error: unexpected <newline>\n");
                return false;
            }
        }
        true
    }
}

/// What the sending side says, each piece after one acknowledgement of the peer; and the paths that were sent.
pub(super) fn source(
    call: &Call,
    who: Who,
    cwd: &str,
    vfs: &Vfs,
) -> (Vec<Vec<u8>>, Vec<(String, u64)>, bool) {
    let mut pieces = Vec::new();
    let mut sent = Vec::new();
    let mut failed = false;
    for path in &call.paths {
        failed |= !send(call.recursive, who, cwd, vfs, path, 0, &mut pieces, &mut sent);
    }
    (pieces, sent, failed)
}

#[expect(clippy::too_many_arguments, reason = "one recursion's state")]
fn send(
    recursive: bool,
    who: Who,
    cwd: &str,
    vfs: &Vfs,
    path: &str,
    depth: usize,
    pieces: &mut Vec<Vec<u8>>,
    sent: &mut Vec<(String, u64)>,
) -> bool {
    let told = |text: String| format!("\x01scp: {path}: {text}\n").into_bytes();
    let (_, node) = match vfs.stat(who, cwd, path) {
        Ok(found) => found,
        Err(errno) => {
            pieces.push(told(errno.text().to_owned()));
            return false;
        }
    };
    if pieces.len() > 2_000 || depth > 20 {
        return false;
    }
    if node.is_dir() {
        if !recursive {
            pieces.push(told("not a regular file".to_owned()));
            return false;
        }
        pieces.push(format!("D{:04o} 0 {}\n", node.mode & 0o7777, file_name(path)).into_bytes());
        let mut fine = true;
        for (name, _) in vfs.list(who, cwd, path).unwrap_or_default() {
            fine &= send(
                true,
                who,
                cwd,
                vfs,
                &format!("{path}/{name}"),
                depth + 1,
                pieces,
                sent,
            );
        }
        pieces.push(b"E\n".to_vec());
        return fine;
    }
    if node.device().is_some() {
        pieces.push(told("not a regular file".to_owned()));
        return false;
    }
    match vfs.read(who, cwd, path) {
        Ok(bytes) => {
            pieces.push(
                format!(
                    "C{:04o} {} {}\n",
                    node.mode & 0o7777,
                    bytes.len(),
                    file_name(path)
                )
                .into_bytes(),
            );
            let mut content = bytes.to_vec();
            content.push(0);
            pieces.push(content);
            sent.push((path.to_owned(), u64::try_from(bytes.len()).unwrap_or(0)));
            true
        }
        Err(errno) => {
            pieces.push(told(errno.text().to_owned()));
            false
        }
    }
}
