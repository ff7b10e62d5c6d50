//! The SFTP subsystem, protocol version 3 (draft-ietf-secsh-filexfer-02), as OpenSSH's sftp-server answers it, over
//! the session's file system. It knows no channel: packets in, packets out.

use std::{collections::BTreeMap, sync::Arc};

use super::{fields::Fields, upload::Upload};
use crate::{
    serve::artifact::Given,
    shell::{
        ls_time,
        vfs::{Errno, HEAD_MAX, Kind, Node, Vfs, Who, absolute},
    },
};

/// The longest packet that OpenSSH takes (SFTP_MAX_MSG_LENGTH).
const PACKET_MAX: usize = 256 * 1024;
/// Bytes of answers after which no more are made before these are sent: OpenSSH, too, waits until it has room for another of
/// the longest ones.
const ANSWERS: usize = PACKET_MAX;
/// Files and directories that one session may hold open; OpenSSH's limit is the process's.
const HANDLES_MAX: usize = 100;
/// Entries in one answer to READDIR, as OpenSSH has it.
const NAMES: usize = 100;

const OK: u32 = 0;
const END: u32 = 1;
const NO_SUCH_FILE: u32 = 2;
const DENIED: u32 = 3;
const FAILURE: u32 = 4;
const BAD_MESSAGE: u32 = 5;
const UNSUPPORTED: u32 = 8;

/// What a request did that is worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// Bytes of a long upload, in their order; `handle` tells uploads apart.
    Bytes {
        handle: u32,
        path: String,
        bytes: Vec<u8>,
    },
    /// The upload with this handle was closed.
    Closed { handle: u32, given: Given },
    /// A file was uploaded and closed, and this is all of it.
    Uploaded {
        path: String,
        bytes: Vec<u8>,
        given: Given,
    },
    /// A file was read.
    Read { path: String, size: u64 },
    /// Something else, in sftp-server's words.
    Did(String),
}

enum Open {
    Read {
        path: String,
        bytes: Arc<[u8]>,
    },
    Write {
        path: String,
        upload: Upload,
        append: bool,
        given: Given,
    },
    Directory {
        rest: std::vec::IntoIter<(String, Node)>,
    },
}

/// One session of the subsystem.
pub(crate) struct Sftp {
    who: Who,
    home: String,
    names: Box<dyn Fn(u32) -> String + Send>,
    /// What came; `taken` bytes of it are done.
    input: Vec<u8>,
    taken: usize,
    open: BTreeMap<u32, Open>,
    next: u32,
    done: Vec<Done>,
}

impl Fields<'_> {
    /// File attributes (section 5): size, permissions and time are what is used of them.
    fn attributes(&mut self) -> Option<Attributes> {
        let flags = self.u32()?;
        let mut out = Attributes::default();
        if flags & 1 != 0 {
            out.size = Some(self.u64()?);
        }
        if flags & 2 != 0 {
            out.owner = Some((self.u32()?, self.u32()?));
        }
        if flags & 4 != 0 {
            out.mode = Some(self.u32()? & 0o7777);
        }
        if flags & 8 != 0 {
            let _accessed = self.u32()?;
            out.mtime = Some(i64::from(self.u32()?));
        }
        Some(out)
    }
}

#[derive(Default)]
struct Attributes {
    size: Option<u64>,
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
    mtime: Option<i64>,
}

/// A packet while it is written.
struct Packet(Vec<u8>);

impl Packet {
    fn new(kind: u8, id: u32) -> Self {
        let mut out = vec![kind];
        out.extend_from_slice(&id.to_be_bytes());
        Self(out)
    }

    fn u32(mut self, n: u32) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0
            .extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn attributes(self, node: &Node) -> Self {
        let time = u32::try_from(node.mtime).unwrap_or(0);
        let mut out = self.u32(0xf);
        out.0.extend_from_slice(&node.size().to_be_bytes());
        out.u32(node.uid)
            .u32(node.gid)
            .u32(node.stat_mode())
            .u32(time)
            .u32(time)
    }
}

fn status(id: u32, code: u32) -> Packet {
    let text = match code {
        OK => "Success",
        END => "End of file",
        NO_SUCH_FILE => "No such file",
        DENIED => "Permission denied",
        BAD_MESSAGE => "Bad message",
        UNSUPPORTED => "Operation unsupported",
        _ => "Failure",
    };
    Packet::new(101, id).u32(code).bytes(text.as_bytes()).bytes(b"")
}

fn code_of(errno: Errno) -> u32 {
    match errno {
        Errno::NoEntry | Errno::NotDirectory | Errno::Loop => NO_SUCH_FILE,
        Errno::Access | Errno::NotPermitted => DENIED,
        _ => FAILURE,
    }
}

impl Sftp {
    /// A session of `who`, whose paths begin at `home`; `names` tells the account of a uid.
    pub(crate) fn new(who: Who, home: &str, names: Box<dyn Fn(u32) -> String + Send>) -> Self {
        Self {
            who,
            home: home.to_owned(),
            names,
            input: Vec::new(),
            taken: 0,
            open: BTreeMap::new(),
            next: 0,
            done: Vec::new(),
        }
    }

    /// What was done since the last call.
    pub(crate) fn take_done(&mut self) -> Vec<Done> {
        std::mem::take(&mut self.done)
    }

    /// Uploads that were not closed: the visitor left in the middle.
    pub(crate) fn unfinished(&mut self) -> Vec<Done> {
        std::mem::take(&mut self.open)
            .into_values()
            .filter_map(|open| match open {
                Open::Write {
                    path, upload, given, ..
                } if upload.size() > 0 => {
                    let bytes = upload.whole()?.to_vec();
                    Some(Done::Uploaded { path, bytes, given })
                }
                _ => None,
            })
            .collect()
    }

    /// Take bytes; [`Sftp::answers`] is what they are answered.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend_from_slice(bytes);
    }

    /// Answers to the next packets that are whole, as many as may wait to be sent, and no more after one that did what is worth
    /// telling. To be asked for until there are none. `None`: the packet is longer than any may be, and sftp-server exits.
    pub(crate) fn answers(&mut self, vfs: &mut Vfs, now: i64) -> Option<Vec<u8>> {
        let input = std::mem::take(&mut self.input);
        let mut rest = input.get(self.taken..).unwrap_or_default();
        let mut out = Vec::new();
        let mut is_wrong = false;
        while out.len() < ANSWERS && self.done.is_empty() {
            let Some((len, behind)) = rest.split_first_chunk::<4>() else {
                break;
            };
            let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
            if len > PACKET_MAX || len == 0 {
                is_wrong = true;
                break;
            }
            let Some((packet, behind)) = behind.split_at_checked(len) else {
                break;
            };
            rest = behind;
            let answer = self.packet(packet, vfs, now);
            out.extend_from_slice(&u32::try_from(answer.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(&answer);
        }
        self.taken = input.len() - rest.len();
        self.input = input;
        // What came before it is answered.
        (!is_wrong || !out.is_empty()).then_some(out)
    }

    fn packet(&mut self, packet: &[u8], vfs: &mut Vfs, now: i64) -> Vec<u8> {
        let Some((&kind, rest)) = packet.split_first() else {
            return status(0, BAD_MESSAGE).0;
        };
        if kind == 1 {
            // VERSION 3 with the extensions of OpenSSH 9.2 that are pure words here.
            let mut out = Packet(vec![2]).u32(3);
            for (name, value) in [
                ("posix-rename@openssh.com", "1"),
                ("hardlink@openssh.com", "1"),
                ("fsync@openssh.com", "1"),
                ("lsetstat@openssh.com", "1"),
                ("limits@openssh.com", "1"),
            ] {
                out = out.bytes(name.as_bytes()).bytes(value.as_bytes());
            }
            return out.0;
        }
        let mut fields = Fields(rest);
        let Some(id) = fields.u32() else {
            return status(0, BAD_MESSAGE).0;
        };
        match self.request(kind, id, &mut fields, vfs, now) {
            Some(Ok(answer)) => answer.0,
            Some(Err(errno)) => status(id, code_of(errno)).0,
            None => status(id, BAD_MESSAGE).0,
        }
    }

    fn handle(&mut self, open: Open, id: u32) -> Packet {
        if self.open.len() >= HANDLES_MAX {
            return status(id, FAILURE);
        }
        let handle = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(handle, open);
        Packet::new(102, id).bytes(&handle.to_be_bytes())
    }

    /// One request; `None` where its fields do not fit its kind.
    #[expect(clippy::too_many_lines, reason = "one arm a request of the protocol")]
    fn request(
        &mut self,
        kind: u8,
        id: u32,
        fields: &mut Fields<'_>,
        vfs: &mut Vfs,
        now: i64,
    ) -> Option<Result<Packet, Errno>> {
        let who = self.who;
        let home = self.home.clone();
        let handle_of = |bytes: &[u8]| {
            bytes
                .first_chunk::<4>()
                .filter(|_| bytes.len() == 4)
                .map(|b| u32::from_be_bytes(*b))
        };
        Some(match kind {
            // OPEN
            3 => {
                let path = fields.text()?;
                let flags = fields.u32()?;
                let attributes = fields.attributes()?;
                if flags & 2 == 0 {
                    match vfs.read(who, &home, &path) {
                        Ok(bytes) => Ok(self.handle(
                            Open::Read {
                                path: absolute(&home, &path),
                                bytes,
                            },
                            id,
                        )),
                        Err(errno) => Err(errno),
                    }
                } else {
                    let exists = vfs.stat(who, &home, &path).is_ok();
                    let before = if flags & 0x10 == 0 {
                        vfs.read(who, &home, &path)
                            .map(|b| b.to_vec())
                            .unwrap_or_default()
                    } else {
                        Vec::new()
                    };
                    if !exists && flags & 8 == 0 {
                        return Some(Err(Errno::NoEntry));
                    }
                    if exists && flags & 0x20 != 0 {
                        return Some(Err(Errno::Exists));
                    }
                    match vfs.write(who, &home, &path, &before, false, now) {
                        Ok(at) => {
                            vfs.forget_written(&at);
                            let mut upload = Upload::default();
                            upload.push(&before);
                            if let (Some(mode), false) = (attributes.mode, exists)
                                && let Err(errno) = vfs.alter(who, "/", &at, |n| n.mode = mode & 0o777)
                            {
                                return Some(Err(errno));
                            }
                            Ok(self.handle(
                                Open::Write {
                                    path: at,
                                    upload,
                                    append: flags & 4 != 0,
                                    given: Given {
                                        mode: attributes.mode,
                                        modified: attributes.mtime,
                                    },
                                },
                                id,
                            ))
                        }
                        Err(errno) => Err(errno),
                    }
                }
            }
            // CLOSE
            4 => match handle_of(fields.bytes()?).and_then(|h| Some((h, self.open.remove(&h)?))) {
                Some((
                    handle,
                    Open::Write {
                        path, upload, given, ..
                    },
                )) => {
                    let placed = vfs.place(who, "/", &path, upload.kind(), now).and_then(|at| {
                        // What was written before its time was set is no change after it.
                        match given.modified {
                            Some(time) => vfs.alter(who, "/", &at, |node| node.mtime = time),
                            None => Ok(()),
                        }
                    });
                    self.done.push(match upload.whole() {
                        Some(bytes) => Done::Uploaded {
                            path,
                            bytes: bytes.to_vec(),
                            given,
                        },
                        None => Done::Closed { handle, given },
                    });
                    placed.map(|()| status(id, OK))
                }
                Some((_, Open::Read { path, bytes })) => {
                    self.done.push(Done::Read {
                        path,
                        size: u64::try_from(bytes.len()).unwrap_or(0),
                    });
                    Ok(status(id, OK))
                }
                Some((_, Open::Directory { .. })) => Ok(status(id, OK)),
                None => Ok(status(id, FAILURE)),
            },
            // READ
            5 => {
                let handle = handle_of(fields.bytes()?);
                let offset = usize::try_from(fields.u64()?).unwrap_or(usize::MAX);
                let len = usize::try_from(fields.u32()?)
                    .unwrap_or(0)
                    .min(PACKET_MAX - 1_024);
                match handle.and_then(|h| self.open.get(&h)) {
                    Some(Open::Read { bytes, .. }) => {
                        match bytes.get(offset..) {
                            Some(rest) if !rest.is_empty() && len > 0 => Ok(Packet::new(103, id)
                                .bytes(rest.get(..len.min(rest.len())).unwrap_or_default())),
                            _ => Ok(status(id, END)),
                        }
                    }
                    _ => Ok(status(id, FAILURE)),
                }
            }
            // WRITE
            6 => {
                let handle = handle_of(fields.bytes()?);
                let offset = fields.u64()?;
                let data = fields.bytes()?;
                match handle.and_then(|h| Some((h, self.open.get_mut(&h)?))) {
                    Some((
                        handle,
                        Open::Write {
                            path, upload, append, ..
                        },
                    )) => {
                        // Clients write one block after the other; whoever does not may do so in a short file.
                        let next = *append || offset == upload.size();
                        if !next && !upload.patch(offset, data) {
                            return Some(Ok(status(id, FAILURE)));
                        }
                        if next {
                            let bytes = match upload.whole() {
                                Some(before) if before.len() + data.len() > HEAD_MAX => {
                                    [before, data].concat()
                                }
                                Some(_) => Vec::new(),
                                None => data.to_vec(),
                            };
                            upload.push(data);
                            if upload.whole().is_none() {
                                let path = path.clone();
                                self.done.push(Done::Bytes { handle, path, bytes });
                            }
                        }
                        Ok(status(id, OK))
                    }
                    _ => Ok(status(id, FAILURE)),
                }
            }
            // LSTAT, STAT
            7 | 17 => {
                let path = fields.text()?;
                let found = if kind == 7 {
                    vfs.lstat(who, &home, &path)
                } else {
                    vfs.stat(who, &home, &path)
                };
                found.map(|(_, node)| Packet::new(105, id).attributes(&node))
            }
            // FSTAT
            8 => {
                let open = handle_of(fields.bytes()?).and_then(|h| self.open.get(&h));
                match open {
                    Some(Open::Read { path, .. } | Open::Write { path, .. }) => {
                        let written = match open {
                            Some(Open::Write { upload, .. }) => Some(upload.kind()),
                            _ => None,
                        };
                        vfs.stat(who, "/", path).map(|(_, mut node)| {
                            if let Some(kind) = written {
                                node.kind = kind;
                            }
                            Packet::new(105, id).attributes(&node)
                        })
                    }
                    _ => Ok(status(id, FAILURE)),
                }
            }
            // SETSTAT
            9 => {
                let path = fields.text()?;
                let attributes = fields.attributes()?;
                set(vfs, who, &home, &path, &attributes).map(|()| status(id, OK))
            }
            // FSETSTAT
            10 => {
                let open = handle_of(fields.bytes()?).and_then(|h| self.open.get_mut(&h));
                let attributes = fields.attributes()?;
                match open {
                    Some(Open::Write {
                        path, upload, given, ..
                    }) => {
                        // `ftruncate`: scp ends an upload with it, at the size that it has by then.
                        if let Some(size) = attributes.size.filter(|size| *size != upload.size())
                            && !upload.resize(size)
                        {
                            return Some(Ok(status(id, FAILURE)));
                        }
                        given.mode = attributes.mode.or(given.mode);
                        given.modified = attributes.mtime.or(given.modified);
                        set(vfs, who, "/", path, &attributes).map(|()| status(id, OK))
                    }
                    _ => Ok(status(id, FAILURE)),
                }
            }
            // OPENDIR
            11 => {
                let path = fields.text()?;
                vfs.list(who, &home, &path).map(|mut entries| {
                    let here = Node {
                        kind: Kind::Directory,
                        mode: 0o755,
                        uid: 0,
                        gid: 0,
                        mtime: now,
                        stated: None,
                    };
                    entries.insert(0, ("..".to_owned(), here.clone()));
                    entries.insert(0, (".".to_owned(), here));
                    self.handle(
                        Open::Directory {
                            rest: entries.into_iter(),
                        },
                        id,
                    )
                })
            }
            // READDIR
            12 => {
                let handle = handle_of(fields.bytes()?);
                match handle.and_then(|h| self.open.get_mut(&h)) {
                    Some(Open::Directory { rest }) => {
                        let entries: Vec<(String, Node)> = rest.by_ref().take(NAMES).collect();
                        if entries.is_empty() {
                            return Some(Ok(status(id, END)));
                        }
                        let mut out = Packet::new(104, id).u32(u32::try_from(entries.len()).unwrap_or(0));
                        for (name, mut node) in entries {
                            // What the kernel makes at each look has no time of its own.
                            if node.mtime == 0 {
                                node.mtime = now;
                            }
                            let long = format!(
                                "{} {:>3} {:<8} {:<8} {:>8} {} {name}",
                                node.mode_text(),
                                if node.is_dir() { 2 } else { 1 },
                                (self.names)(node.uid),
                                (self.names)(node.gid),
                                node.size(),
                                ls_time(node.mtime, now)
                            );
                            out = out
                                .bytes(name.as_bytes())
                                .bytes(long.as_bytes())
                                .attributes(&node);
                        }
                        Ok(out)
                    }
                    _ => Ok(status(id, FAILURE)),
                }
            }
            // REMOVE
            13 => {
                let path = fields.text()?;
                self.done.push(Done::Did(format!("remove {path}")));
                vfs.unlink(who, &home, &path).map(|content| {
                    if let Some((path, bytes)) = content {
                        self.done.push(Done::Uploaded {
                            path,
                            bytes: bytes.to_vec(),
                            given: Given::default(),
                        });
                    }
                    status(id, OK)
                })
            }
            // MKDIR
            14 => {
                let path = fields.text()?;
                let mode = fields.attributes()?.mode.unwrap_or(0o777) & 0o755;
                self.done.push(Done::Did(format!("mkdir {path}")));
                vfs.mkdir(who, &home, &path, mode, now).map(|()| status(id, OK))
            }
            // RMDIR
            15 => {
                let path = fields.text()?;
                self.done.push(Done::Did(format!("rmdir {path}")));
                vfs.rmdir(who, &home, &path).map(|()| status(id, OK))
            }
            // REALPATH
            16 => {
                let path = fields.text()?;
                let path = vfs
                    .resolve(who, &home, if path.is_empty() { "." } else { &path }, true)
                    .unwrap_or_else(|_| absolute(&home, &path));
                Ok(Packet::new(104, id)
                    .u32(1)
                    .bytes(path.as_bytes())
                    .bytes(path.as_bytes())
                    .u32(0))
            }
            // RENAME
            18 => {
                let (from, to) = (fields.text()?, fields.text()?);
                self.done.push(Done::Did(format!("rename {from} {to}")));
                if vfs.lstat(who, &home, &to).is_ok() {
                    return Some(Ok(status(id, FAILURE)));
                }
                vfs.rename(who, &home, &from, &to).map(|()| status(id, OK))
            }
            // READLINK
            19 => {
                let path = fields.text()?;
                match vfs.lstat(who, &home, &path) {
                    Ok((
                        _,
                        Node {
                            kind: Kind::Link(target),
                            ..
                        },
                    )) => Ok(Packet::new(104, id)
                        .u32(1)
                        .bytes(target.as_bytes())
                        .bytes(target.as_bytes())
                        .u32(0)),
                    Ok(_) => Ok(status(id, FAILURE)),
                    Err(errno) => Err(errno),
                }
            }
            // SYMLINK: OpenSSH takes the target first, against the draft.
            20 => {
                let (target, link) = (fields.text()?, fields.text()?);
                self.done.push(Done::Did(format!("symlink {target} {link}")));
                vfs.symlink(who, &home, &target, &link, now)
                    .map(|()| status(id, OK))
            }
            // EXTENDED
            200 => match fields.text()?.as_str() {
                "posix-rename@openssh.com" => {
                    let (from, to) = (fields.text()?, fields.text()?);
                    self.done.push(Done::Did(format!("rename {from} {to}")));
                    vfs.rename(who, &home, &from, &to).map(|()| status(id, OK))
                }
                "fsync@openssh.com" => Ok(status(id, OK)),
                "limits@openssh.com" => {
                    let mut out = Packet::new(201, id);
                    for n in [262_144_u64, 261_120, 261_120, 1_019] {
                        out.0.extend_from_slice(&n.to_be_bytes());
                    }
                    Ok(out)
                }
                "lsetstat@openssh.com" => {
                    let path = fields.text()?;
                    let attributes = fields.attributes()?;
                    set(vfs, who, &home, &path, &attributes).map(|()| status(id, OK))
                }
                _ => Ok(status(id, UNSUPPORTED)),
            },
            _ => Ok(status(id, UNSUPPORTED)),
        })
    }
}

fn set(vfs: &mut Vfs, who: Who, home: &str, path: &str, attributes: &Attributes) -> Result<(), Errno> {
    if attributes.owner.is_some_and(|o| o.0 != who.uid) && who.uid != 0 {
        return Err(Errno::NotPermitted);
    }
    vfs.alter(who, home, path, |node| {
        node.mode = attributes.mode.unwrap_or(node.mode);
        node.mtime = attributes.mtime.unwrap_or(node.mtime);
        if let Some((uid, gid)) = attributes.owner {
            (node.uid, node.gid) = (uid, gid);
        }
    })
}

/// Take any bytes as an SFTP client would send them: for fuzzing.
pub(crate) fn fuzz(bytes: &[u8]) {
    let base = Arc::new(crate::shell::vfs::Base::from_listing(
        "d 777 0 /tmp\nf 644 5 /etc/passwd\n",
        0,
        |path| Some(path.to_owned()),
    ));
    let mut vfs = Vfs::new(base, Arc::default(), Arc::default());
    let mut sftp = Sftp::new(Who { uid: 0, gid: 0 }, "/", Box::new(|uid| uid.to_string()));
    sftp.feed(bytes);
    while sftp
        .answers(&mut vfs, 0)
        .is_some_and(|answers| !answers.is_empty())
    {
        sftp.take_done();
    }
    sftp.unfinished();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ssh::fields::Message;

    #[test]
    fn the_fuzz_corpus_is_answered_or_ends_the_session() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/sftp_packet");
        let mut count = 0;
        for entry in std::fs::read_dir(&corpus).unwrap().flatten() {
            fuzz(&std::fs::read(entry.path()).unwrap());
            count += 1;
        }
        assert!(count >= 10, "{count} in {}", corpus.display());
    }

    /// A request of type `kind` with these fields.
    fn request(kind: u8, id: u32, fields: &[u8]) -> Vec<u8> {
        let len = u32::try_from(5 + fields.len()).unwrap();
        [&len.to_be_bytes(), &[kind][..], &id.to_be_bytes(), fields].concat()
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        Message::default().string(bytes).0
    }

    /// A session of root on a machine with one long program.
    fn session() -> (Sftp, Vfs) {
        let listing = "d 777 0 /tmp\nd 755 0 /bin\nf 755 1265648 /bin/bash\n";
        let base = crate::shell::vfs::Base::from_listing(listing, 0, |path| Some(path.to_owned()));
        let vfs = Vfs::new(Arc::new(base), Arc::default(), Arc::default());
        let sftp = Sftp::new(Who { uid: 0, gid: 0 }, "/", Box::new(|uid| uid.to_string()));
        (sftp, vfs)
    }

    /// Answers as they are sent: the ids in their order, and the most bytes that waited at once of answers and of what was done.
    fn answered(sftp: &mut Sftp, vfs: &mut Vfs) -> (Vec<u32>, usize) {
        let (mut ids, mut most) = (Vec::new(), 0);
        while let Some(answers) = sftp.answers(vfs, 0).filter(|answers| !answers.is_empty()) {
            let done = sftp.take_done().into_iter().map(|done| match done {
                Done::Bytes { bytes, .. } | Done::Uploaded { bytes, .. } => bytes.len(),
                Done::Closed { .. } | Done::Read { .. } => 0,
                Done::Did(what) => what.len(),
            });
            most = most.max(answers.len() + done.sum::<usize>());
            let mut fields = Fields(&answers);
            while let Some(answer) = fields.bytes() {
                ids.push(u32::from_be_bytes(*answer[1..].first_chunk().unwrap()));
            }
        }
        (ids, most)
    }

    #[test]
    fn whatever_is_asked_at_once_is_answered_in_order_and_few_answers_wait() {
        const BOUND: usize = 3 * PACKET_MAX;
        let (mut sftp, mut vfs) = session();
        let open = [string(b"/bin/bash"), vec![0, 0, 0, 1, 0, 0, 0, 0]].concat();
        sftp.feed(&request(3, 0, &open));
        assert_eq!(answered(&mut sftp, &mut vfs).0, [0]);
        let all = [string(&0_u32.to_be_bytes()), vec![0; 8], vec![0xff; 4]].concat();
        let reads: Vec<u8> = (1..=9_000).flat_map(|id| request(5, id, &all)).collect();
        // Also where packets are cut, as they are by those of the channel.
        let (mut ids, mut most) = (Vec::new(), 0);
        for part in reads.chunks(100_000) {
            sftp.feed(part);
            let (more, waited) = answered(&mut sftp, &mut vfs);
            ids.extend(more);
            most = most.max(waited);
        }
        assert_eq!(ids, (1..=9_000).collect::<Vec<u32>>());
        assert!((PACKET_MAX..BOUND).contains(&most), "{most} bytes waited");
        // Long files that are opened to be written and closed, again and again.
        let write = [string(b"/bin/bash"), vec![0, 0, 0, 2, 0, 0, 0, 0]].concat();
        let both = |n: u32| {
            let close = request(4, 2 * n + 1, &string(&(n + 1).to_be_bytes()));
            [request(3, 2 * n, &write), close].concat()
        };
        sftp.feed(&(0..200).flat_map(both).collect::<Vec<u8>>());
        let (ids, most) = answered(&mut sftp, &mut vfs);
        assert_eq!(ids, (0..400).collect::<Vec<u32>>());
        assert!((PACKET_MAX..BOUND).contains(&most), "{most} bytes waited");
    }

    #[test]
    fn what_came_before_a_packet_that_none_may_be_is_answered() {
        let (mut sftp, mut vfs) = session();
        sftp.feed(&[request(17, 7, &string(b"/tmp")), vec![0xff; 8]].concat());
        let answers = sftp.answers(&mut vfs, 0).unwrap();
        assert_eq!(answers[4..9], [105, 0, 0, 0, 7]);
        assert_eq!(sftp.answers(&mut vfs, 0), None);
    }

    proptest! {
        #[test]
        fn any_packet_is_answered(kind in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut packet = u32::try_from(body.len() + 1).unwrap().to_be_bytes().to_vec();
            packet.push(kind);
            packet.extend(body);
            fuzz(&packet);
        }
    }
}
