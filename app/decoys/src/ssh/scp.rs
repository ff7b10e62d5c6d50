//! The old copy protocol: what `scp -t` and `scp -f` speak on their standard input and output (the comments of
//! OpenSSH's scp.c are its only description). Bytes in, bytes out.

use std::{collections::VecDeque, sync::Arc, vec};

use super::upload::Upload;
use crate::{
    serve::artifact::Given,
    shell::vfs::{Errno, Vfs, Who, file_name},
};

/// The longest control line.
const LINE_MAX: usize = 2_048;
/// Bytes of one file that the disk has room for. What is kept of one is the artifact's and the overlay's business.
const FILE_MAX: u64 = 8 << 30;
/// How deep directories may nest that come.
const DEPTH_MAX: usize = 40;
/// How deep directories may nest that go, and the most pieces of one call.
const SOURCE_DEPTH_MAX: usize = 20;
/// See [`SOURCE_DEPTH_MAX`].
const PIECES_MAX: usize = 2_000;

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
    input: VecDeque<u8>,
    state: State,
    /// When the next file was changed last, as its sender says.
    modified: Option<i64>,
    /// What came in by the last step.
    pub(super) received: Option<Received>,
    pub(super) failed: bool,
    /// The sender broke the protocol: nothing more is taken.
    pub(super) over: bool,
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
            input: VecDeque::new(),
            state: State::Line,
            modified: None,
            received: None,
            failed: false,
            over: false,
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

    /// Take bytes; [`Sink::step`] makes something of them.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
    }

    /// Make something of the next bytes; the answer, or `None` where more have to come.
    pub(super) fn step(&mut self, vfs: &mut Vfs, now: i64) -> Option<Vec<u8>> {
        if self.over {
            return None;
        }
        let mut out = Vec::new();
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
                let came = !bytes.is_empty();
                if came {
                    upload.push(&bytes);
                    let path = path.clone();
                    self.received = Some(Received::Bytes { path, bytes });
                }
                let ends = left == 0;
                self.state = if ends {
                    State::Acknowledge { path, given, upload }
                } else {
                    State::Data {
                        path,
                        given,
                        left,
                        upload,
                    }
                };
                (came || ends).then_some(out)
            }
            State::Acknowledge { path, given, upload } => {
                // The sender ends a file with its own status byte.
                if self.input.pop_front().is_none() {
                    self.state = State::Acknowledge { path, given, upload };
                    return None;
                }
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
                self.received = Some(Received::End { path, given });
                Some(out)
            }
            State::Line => {
                let Some(end) = self.input.iter().position(|b| *b == b'\n') else {
                    if self.input.len() > LINE_MAX {
                        out.extend_from_slice(b"\x02scp: protocol error: lost connection\n");
                        self.over = true;
                        return Some(out);
                    }
                    return None;
                };
                let line: Vec<u8> = self.input.drain(..=end).collect();
                self.over = !self.line(&line, vfs, now, &mut out);
                Some(out)
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

/// What the sending side says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A line that the peer acknowledges.
    Line(String),
    /// The file at this path, with a status byte behind it; acknowledged, too.
    Content { path: String, bytes: Arc<[u8]> },
    /// A line about what cannot be sent, which nobody acknowledges.
    Complaint(String),
}

/// The sending side.
pub(super) struct Source {
    who: Who,
    cwd: String,
    recursive: bool,
    pieces: usize,
    /// What is still to be looked at, the next last.
    rest: Vec<Step>,
    pub(super) failed: bool,
}

enum Step {
    /// The paths of the call.
    Paths(vec::IntoIter<String>),
    /// What is in a directory.
    Names {
        directory: String,
        names: vec::IntoIter<String>,
    },
    Content {
        path: String,
        bytes: Arc<[u8]>,
    },
}

impl Source {
    pub(super) fn new(call: &Call, who: Who, cwd: &str) -> Self {
        Self {
            who,
            cwd: cwd.to_owned(),
            recursive: call.recursive,
            pieces: 0,
            rest: vec![Step::Paths(call.paths.clone().into_iter())],
            failed: false,
        }
    }

    /// What is said next, when the peer has acknowledged the piece before; made only now, so that no more than one file is held.
    pub(super) fn next(&mut self, vfs: &Vfs) -> Option<Piece> {
        loop {
            let path = match self.rest.last_mut()? {
                Step::Paths(paths) => paths.next(),
                Step::Names { directory, names } => names.next().map(|name| format!("{directory}/{name}")),
                Step::Content { .. } => None,
            };
            let piece = match path {
                Some(path) => self.look(path, vfs),
                None => match self.rest.pop()? {
                    Step::Paths(_) => None,
                    Step::Names { .. } => Some(Piece::Line("E\n".to_owned())),
                    Step::Content { path, bytes } => Some(Piece::Content { path, bytes }),
                },
            };
            if piece.is_some() {
                self.pieces += 1;
                return piece;
            }
        }
    }

    /// What is said of `path` first; nothing where there was too much already.
    fn look(&mut self, path: String, vfs: &Vfs) -> Option<Piece> {
        let node = match vfs.stat(self.who, &self.cwd, &path) {
            Ok((_, node)) => node,
            Err(errno) => return Some(self.complaint(&path, errno.text())),
        };
        if self.pieces > PIECES_MAX || self.rest.len() > SOURCE_DEPTH_MAX + 1 {
            self.failed = true;
            return None;
        }
        let (mode, name) = (node.mode & 0o7777, file_name(&path));
        if node.is_dir() {
            if !self.recursive {
                return Some(self.complaint(&path, "not a regular file"));
            }
            let line = format!("D{mode:04o} 0 {name}\n");
            let entries = vfs.list(self.who, &self.cwd, &path).unwrap_or_default();
            let names: Vec<String> = entries.into_iter().map(|(name, _)| name).collect();
            self.rest.push(Step::Names {
                directory: path,
                names: names.into_iter(),
            });
            return Some(Piece::Line(line));
        }
        if node.device().is_some() {
            return Some(self.complaint(&path, "not a regular file"));
        }
        match vfs.read(self.who, &self.cwd, &path) {
            Ok(bytes) => {
                let line = format!("C{mode:04o} {} {name}\n", bytes.len());
                self.rest.push(Step::Content { path, bytes });
                Some(Piece::Line(line))
            }
            Err(errno) => Some(self.complaint(&path, errno.text())),
        }
    }

    fn complaint(&mut self, path: &str, problem: &str) -> Piece {
        self.failed = true;
        Piece::Complaint(format!("\x01scp: {path}: {problem}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::vfs::Base;

    const ROOT: Who = Who { uid: 0, gid: 0 };

    fn vfs() -> Vfs {
        let listing = "d 777 0 /tmp\nd 755 0 /bin\nf 755 1265648 /bin/bash\nf 755 5 /bin/true\n";
        let base = Base::from_listing(listing, 0, |path| Some(path.to_owned()));
        Vfs::new(Arc::new(base), Arc::default(), Arc::default())
    }

    fn said(source: &mut Source, vfs: &Vfs) -> Vec<String> {
        let pieces = std::iter::from_fn(|| source.next(vfs));
        let told = pieces.map(|piece| match piece {
            Piece::Line(line) | Piece::Complaint(line) => line,
            Piece::Content { path, bytes } => format!("{path} {}", bytes.len()),
        });
        told.collect()
    }

    #[test]
    fn what_is_sent_is_told_piece_by_piece_in_the_order_of_the_call() {
        let vfs = vfs();
        let bash = vfs.read(ROOT, "/", "/bin/bash").unwrap().len();
        let (line, content) = (format!("C0755 {bash} bash\n"), format!("/bin/bash {bash}"));
        let call = call(b"scp -r -f /bin /nope /bin/bash").unwrap();
        let mut source = Source::new(&call, ROOT, "/");
        assert_eq!(
            said(&mut source, &vfs),
            [
                "D0755 0 bin\n",
                &line,
                &content,
                "C0755 5 true\n",
                "/bin/true 5",
                "E\n",
                "\u{1}scp: /nope: No such file or directory\n",
                &line,
                &content,
            ]
        );
        assert!(source.failed);
    }

    #[test]
    fn of_a_thousand_files_no_more_than_one_is_held() {
        let vfs = vfs();
        let line = format!("scp -f {}", "/bin/bash ".repeat(1_000));
        let mut source = Source::new(&call(line.as_bytes()).unwrap(), ROOT, "/");
        let mut files = 0;
        while let Some(piece) = source.next(&vfs) {
            let held = source.rest.iter();
            assert!(held.filter(|step| matches!(step, Step::Content { .. })).count() <= 1);
            files += usize::from(matches!(piece, Piece::Content { .. }));
        }
        assert_eq!((files, source.failed), (1_000, false));
    }

    #[test]
    fn complaints_about_what_comes_wait_one_by_one() {
        let mut vfs = vfs();
        let path = format!("/{}", "x".repeat(100_000));
        let line = format!("scp -t {path}");
        let mut sink = Sink::new(&call(line.as_bytes()).unwrap(), ROOT, "/");
        sink.feed("C0 0 a\n".repeat(1_000).as_bytes());
        let mut answers = 0;
        while let Some(answer) = sink.step(&mut vfs, 0) {
            assert!(answer.len() < 2 * path.len(), "{} bytes", answer.len());
            answers += 1;
        }
        assert_eq!((answers, sink.failed, sink.over), (1_000, true, false));
    }

    #[test]
    fn a_file_that_comes_in_parts_is_told_in_parts_and_answered_as_it_goes() {
        let mut vfs = vfs();
        let mut sink = Sink::new(&call(b"scp -t /tmp").unwrap(), ROOT, "/");
        let (mut answers, mut received) = (Vec::new(), Vec::new());
        for part in [&b"C0640 6 up\nabc"[..], b"def", b"\0C0644 0 empty\n\0"] {
            sink.feed(part);
            while let Some(answer) = sink.step(&mut vfs, 0) {
                answers.extend(answer);
                received.extend(sink.received.take());
            }
        }
        assert_eq!(answers, [0; 4]);
        let bytes = |bytes: &[u8]| Received::Bytes {
            path: "/tmp/up".to_owned(),
            bytes: bytes.to_vec(),
        };
        let end = |path: &str, mode| Received::End {
            path: path.to_owned(),
            given: Given {
                mode: Some(mode),
                modified: None,
            },
        };
        let expected = [
            bytes(b"abc"),
            bytes(b"def"),
            end("/tmp/up", 0o640),
            end("/tmp/empty", 0o644),
        ];
        assert_eq!(received, expected);
        assert_eq!(*vfs.read(ROOT, "/", "/tmp/up").unwrap(), *b"abcdef");
    }
}
