//! The file system that an intruder walks in: one immutable [`Base`] a decky, one small [`Overlay`] a visitor.
//!
//! The base is the listing of a distribution (`data/tree.txt`) with the persona's own files laid over it. What a
//! visitor writes stays in the overlay of its address ([`Overlays`]): all its channels see it, and so do its later
//! connections. An overlay is bounded by [`MAX_BYTES`] and [`MAX_ENTRIES`]. Nothing here ever touches the machine's
//! own file system: a path is a key in a map.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The most bytes that one visitor may keep in files.
pub(crate) const MAX_BYTES: usize = 8 << 20;
/// The most files and directories that one visitor may create or change.
pub(crate) const MAX_ENTRIES: usize = 2_000;
/// Bytes of an upload that its visitor finds again; of a longer one only this head is kept, with its size and hash.
pub(crate) const HEAD_MAX: usize = 256 << 10;
/// Addresses whose overlays are kept while they are away.
const ADDRESSES: usize = 64;
/// Bytes that the overlays of absent visitors may keep together.
const ABSENT_BYTES: usize = 16 << 20;
/// Seconds after which a visitor that stays away finds the machine as it was: somebody cleaned up.
const STAYS_S: i64 = 12 * 3_600;
/// Bytes of a program of the distribution that can be read.
const EXECUTABLE_MAX: usize = 256 << 10;
/// The longest path, as Linux has it (PATH_MAX).
const MAX_PATH: usize = 4_096;
/// How many symbolic links are followed before the kernel gives up.
const MAX_LINKS: usize = 40;

/// What the kernel answers to a call that fails; `strerror` of it is its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errno {
    NoEntry,
    Access,
    Exists,
    NotDirectory,
    IsDirectory,
    NotEmpty,
    Loop,
    NameTooLong,
    NoSpace,
    NotPermitted,
    Invalid,
}

impl Errno {
    /// As glibc's strerror says it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoEntry => "No such file or directory",
            Self::Access => "Permission denied",
            Self::Exists => "File exists",
            Self::NotDirectory => "Not a directory",
            Self::IsDirectory => "Is a directory",
            Self::NotEmpty => "Directory not empty",
            Self::Loop => "Too many levels of symbolic links",
            Self::NameTooLong => "File name too long",
            Self::NoSpace => "No space left on device",
            Self::NotPermitted => "Operation not permitted",
            Self::Invalid => "Invalid argument",
        }
    }
}

/// A file's path and its bytes.
pub(crate) type Content = (String, Arc<[u8]>);

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Directory,
    /// A file whose bytes are known.
    File(Arc<[u8]>),
    /// A file of the distribution of which only the size is kept; it reads as an executable.
    Opaque(u64),
    /// A long upload: it reads as its head.
    Cut {
        head: Arc<[u8]>,
        size: u64,
        sha256: [u8; 32],
    },
    /// A file whose content is made when it is read.
    Log(super::logins::Log),
    /// A symbolic link.
    Link(String),
    /// A device.
    Device(Device),
    /// A named pipe.
    Pipe,
}

/// What a device's node says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    /// Whether it is one of blocks, not of characters.
    pub(crate) block: bool,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// A file or directory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Unix seconds.
    pub(crate) mtime: i64,
    /// The size that it states, where that is not its content's: in `/proc` and where something else is mounted.
    pub(crate) stated: Option<u64>,
}

/// Files that are made as they are looked at, by path: `/proc` and the like.
pub(crate) type Live = BTreeMap<String, Node>;

impl Node {
    pub(crate) fn is_dir(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Its numbers, where it is a device.
    pub(crate) fn device(&self) -> Option<Device> {
        match self.kind {
            Kind::Device(device) => Some(device),
            _ => None,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        if let Some(stated) = self.stated {
            return stated;
        }
        match &self.kind {
            Kind::Directory => 4_096,
            Kind::File(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Kind::Opaque(size) | Kind::Cut { size, .. } => *size,
            Kind::Log(log) => log.size(),
            Kind::Link(target) => u64::try_from(target.len()).unwrap_or(u64::MAX),
            Kind::Device(_) | Kind::Pipe => 0,
        }
    }

    /// `drwxr-xr-x` and the like.
    pub(crate) fn mode_text(&self) -> String {
        let kind = match self.kind {
            Kind::Directory => 'd',
            Kind::Link(_) => 'l',
            Kind::Pipe => 'p',
            Kind::Device(device) => {
                if device.block {
                    'b'
                } else {
                    'c'
                }
            }
            Kind::File(_) | Kind::Opaque(_) | Kind::Cut { .. } | Kind::Log(_) => '-',
        };
        let mut out = String::from(kind);
        for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
            let bits = self.mode >> shift;
            out.push(if bits & 4 != 0 { 'r' } else { '-' });
            out.push(if bits & 2 != 0 { 'w' } else { '-' });
            out.push(match (self.mode & special != 0, bits & 1 != 0) {
                (true, true) => letter,
                (true, false) => letter.to_ascii_uppercase(),
                (false, true) => 'x',
                (false, false) => '-',
            });
        }
        out
    }

    /// The mode as `stat(2)` gives it, with the type bits.
    pub(crate) fn stat_mode(&self) -> u32 {
        self.mode
            | match self.kind {
                Kind::Directory => 0o040_000,
                Kind::Link(_) => 0o120_000,
                Kind::Pipe => 0o010_000,
                Kind::Device(device) => {
                    if device.block {
                        0o060_000
                    } else {
                        0o020_000
                    }
                }
                Kind::File(_) | Kind::Opaque(_) | Kind::Cut { .. } | Kind::Log(_) => 0o100_000,
            }
    }
}

/// What every session of a decky starts with.
#[derive(Debug, Default)]
pub(crate) struct Base {
    nodes: BTreeMap<String, Node>,
    /// What the bytes of its programs depend on beside their names: two distributions share none.
    build: u64,
    /// They are of a 32-bit ARM, not of x86-64.
    arm: bool,
}

impl Base {
    /// The distribution's listing: `kind mode size path [target]` a line; everything belongs to root and is as old as
    /// the installation. `named` gives a path its place, or `None` where it is left out.
    pub(crate) fn from_listing(
        listing: &str,
        installed: i64,
        named: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut nodes = BTreeMap::new();
        for line in listing.lines() {
            let mut fields = line.splitn(5, ' ');
            let (Some(kind), Some(mode), Some(size), Some(path)) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let kind = match kind {
                "d" => Kind::Directory,
                "l" => Kind::Link(fields.next().unwrap_or_default().to_owned()),
                _ => Kind::Opaque(size.parse().unwrap_or(0)),
            };
            let mode = u32::from_str_radix(mode, 8).unwrap_or(0o644);
            let Some(path) = named(path) else { continue };
            let kind = match kind {
                // Whoever prints a file of settings sees text.
                Kind::Opaque(_) if path.starts_with("/etc/") => {
                    Kind::File(settings(&path).into_bytes().into())
                }
                kind => kind,
            };
            nodes.insert(
                path,
                Node {
                    kind,
                    mode,
                    uid: 0,
                    gid: 0,
                    mtime: installed,
                    stated: None,
                },
            );
        }
        Self {
            nodes,
            build: 0,
            arm: false,
        }
    }

    /// Let its programs be those that `distribution` built: their bytes are its own, and so are their sizes.
    pub(crate) fn built_by(&mut self, distribution: &str, arm: bool) {
        self.arm = arm;
        self.build = hash(0xcbf2_9ce4_8422_2325, distribution);
        for (path, node) in &mut self.nodes {
            if let Kind::Opaque(size) = &mut node.kind
                && path.starts_with("/usr/")
            {
                // A sixteenth more or less, as another compiler makes it.
                let part = *size / 16 / 8 * 8;
                *size = *size - part / 2 + hash(self.build, path) % part.max(1) / 8 * 8;
            }
        }
    }

    /// Put a node at `path`, and directories above it where there are none.
    pub(crate) fn put(&mut self, path: &str, node: Node) {
        let mut parent = path;
        while let Some((above, _)) = parent.rsplit_once('/') {
            if above.is_empty() || self.nodes.contains_key(above) {
                break;
            }
            let directory = Node {
                kind: Kind::Directory,
                mode: 0o755,
                stated: None,
                ..node.clone()
            };
            self.nodes.insert(above.to_owned(), directory);
            parent = above;
        }
        self.nodes.insert(path.to_owned(), node);
    }
}

/// What one visitor changed of the base.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// `None` stands for removed.
    changed: BTreeMap<String, Option<Node>>,
    /// Bytes of the files in it.
    bytes: usize,
    /// What `chattr` made immutable (`i`), or open for appending only (`a`).
    flags: BTreeMap<String, char>,
}

impl Overlay {
    /// Bytes that are kept for a path.
    fn kept(&self, at: &str) -> usize {
        self.changed.get(at).and_then(Option::as_ref).map_or(0, kept)
    }
}

/// Whether `new` only has more at its end than `old`.
fn appends(old: Option<&Node>, new: Option<&Node>) -> bool {
    match (old.map(|n| &n.kind), new.map(|n| &n.kind)) {
        (_, None) => false,
        (Some(Kind::File(old)), Some(Kind::File(new))) => new.starts_with(old),
        _ => true,
    }
}

/// Bytes that a node holds in memory.
fn kept(node: &Node) -> usize {
    match &node.kind {
        Kind::File(bytes) | Kind::Cut { head: bytes, .. } => bytes.len(),
        _ => 0,
    }
}

/// An overlay that several channels of a visitor share.
pub(crate) type Shared = Arc<Mutex<Overlay>>;

/// The overlays of a decky, by the address of the visitor.
#[derive(Debug, Default)]
pub(crate) struct Overlays(Mutex<HashMap<IpAddr, (Shared, i64)>>);

impl Overlays {
    /// What `address` left, or an untouched overlay. `now` in Unix seconds.
    pub(crate) fn of(&self, address: IpAddr, now: i64) -> Shared {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who is here holds a share, and keeps what it has.
        all.retain(|_, (shared, last)| Arc::strong_count(shared) > 1 || now - *last < STAYS_S);
        let entry = all.entry(address).or_default();
        entry.1 = now;
        let own = Arc::clone(&entry.0);
        let mut absent: Vec<(i64, IpAddr, usize)> = all
            .iter()
            .filter(|(_, (shared, _))| Arc::strong_count(shared) == 1)
            .map(|(address, (shared, last))| (*last, *address, locked(shared).bytes))
            .collect();
        absent.sort_unstable();
        let mut count = absent.len();
        let mut bytes: usize = absent.iter().map(|a| a.2).sum();
        for (_, address, held) in absent {
            if count <= ADDRESSES && bytes <= ABSENT_BYTES {
                break;
            }
            all.remove(&address);
            count -= 1;
            bytes -= held;
        }
        own
    }
}

fn locked(shared: &Shared) -> MutexGuard<'_, Overlay> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One channel's view: the base and what its visitor changed of it.
#[derive(Debug, Clone)]
pub(crate) struct Vfs {
    base: Arc<Base>,
    overlay: Shared,
    live: Arc<Live>,
    /// Paths that this channel wrote content to and that nobody has collected yet.
    written: BTreeSet<String>,
    /// Permissions that new files do not get.
    umask: u32,
}

/// Who asks: what permission bits are checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

const READ: u32 = 4;
const WRITE: u32 = 2;
const EXECUTE: u32 = 1;

impl Who {
    pub(crate) fn may(self, node: &Node, want: u32) -> bool {
        if self.uid == 0 {
            return true;
        }
        let shift = if self.uid == node.uid {
            6
        } else if self.gid == node.gid {
            3
        } else {
            0
        };
        node.mode >> shift & want == want
    }
}

/// `path` below `cwd` without `.`, `..` and doubled slashes; symbolic links are not looked at.
pub(crate) fn absolute(cwd: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let from = if path.starts_with('/') { "" } else { cwd };
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The directory above a clean absolute path.
pub(crate) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((above, _)) => above,
    }
}

/// The last component of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

impl Vfs {
    pub(crate) fn new(base: Arc<Base>, live: Arc<Live>, overlay: Shared) -> Self {
        Self {
            base,
            overlay,
            live,
            written: BTreeSet::new(),
            umask: 0o022,
        }
    }

    /// Permissions that new files do not get.
    pub(crate) fn set_umask(&mut self, umask: u32) {
        self.umask = umask;
    }

    /// Let the files that are made as they are looked at be these.
    pub(crate) fn set_live(&mut self, live: Live) {
        self.live = Arc::new(live);
    }

    /// The files that are made as they are looked at, until the next [`Vfs::set_live`].
    pub(crate) fn live_mut(&mut self) -> &mut Live {
        Arc::make_mut(&mut self.live)
    }

    fn raw(&self, path: &str) -> Option<Node> {
        match locked(&self.overlay).changed.get(path) {
            Some(change) => change.clone(),
            None => self.base.nodes.get(path).cloned().map(|mut node| {
                if let Kind::Log(log) = &node.kind {
                    node.mtime = log.mtime();
                }
                node
            }),
        }
    }

    /// A directory of which only what is in it is made as it is looked at.
    fn live_directory(&self, path: &str) -> Option<Node> {
        if !(path.starts_with("/proc/") || path.starts_with("/dev/")) || self.base.nodes.contains_key(path) {
            return None;
        }
        let below = format!("{path}/");
        let (first, node) = self.live.range(below.clone()..).next()?;
        first.starts_with(&below).then_some(Node {
            kind: Kind::Directory,
            mode: 0o555,
            uid: 0,
            gid: 0,
            mtime: node.mtime,
            stated: Some(0),
        })
    }

    /// The node at a clean absolute path, without following a link at its end.
    fn node(&self, path: &str) -> Option<Node> {
        if path == "/" {
            return Some(Node {
                kind: Kind::Directory,
                mode: 0o755,
                uid: 0,
                gid: 0,
                mtime: 0,
                stated: None,
            });
        }
        if let Some(node) = self.live.get(path)
            && !locked(&self.overlay).changed.contains_key(path)
        {
            return Some(node.clone());
        }
        if let Some(node) = self.live_directory(path) {
            return Some(node);
        }
        self.raw(path)
    }

    /// The real path of `path`: every link in its directories resolved, and one at its end where `follow`.
    pub(crate) fn resolve(&self, who: Who, cwd: &str, path: &str, follow: bool) -> Result<String, Errno> {
        if path.is_empty() {
            return Err(Errno::NoEntry);
        }
        if path.len() > MAX_PATH || path.split('/').any(|part| part.len() > 255) {
            return Err(Errno::NameTooLong);
        }
        let whole = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{cwd}/{path}")
        };
        let mut todo: Vec<String> = whole
            .split('/')
            .rev()
            .filter(|p| !p.is_empty() && *p != ".")
            .map(str::to_owned)
            .collect();
        let mut at = String::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                at.truncate(at.rfind('/').unwrap_or(0));
                continue;
            }
            let next = format!("{at}/{part}");
            let last = todo.is_empty();
            match self.node(&next) {
                Some(Node {
                    kind: Kind::Link(target),
                    ..
                }) if !last || follow => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::Loop);
                    }
                    if target.starts_with('/') {
                        at.clear();
                    }
                    todo.extend(
                        target
                            .split('/')
                            .rev()
                            .filter(|p| !p.is_empty() && *p != ".")
                            .map(str::to_owned),
                    );
                    if todo.len() > MAX_PATH {
                        return Err(Errno::NameTooLong);
                    }
                }
                Some(node) => {
                    if !last && !node.is_dir() {
                        return Err(Errno::NotDirectory);
                    }
                    if !last && !who.may(&node, EXECUTE) {
                        return Err(Errno::Access);
                    }
                    at = next;
                }
                None if last => at = next,
                None => return Err(Errno::NoEntry),
            }
        }
        if at.is_empty() {
            at.push('/');
        }
        if path.ends_with('/') && self.node(&at).is_some_and(|n| !n.is_dir()) {
            return Err(Errno::NotDirectory);
        }
        Ok(at)
    }

    /// `stat(2)`: the real path and its node.
    pub(crate) fn stat(&self, who: Who, cwd: &str, path: &str) -> Result<(String, Node), Errno> {
        let at = self.resolve(who, cwd, path, true)?;
        let node = self.node(&at).ok_or(Errno::NoEntry)?;
        Ok((at, node))
    }

    /// `lstat(2)`.
    pub(crate) fn lstat(&self, who: Who, cwd: &str, path: &str) -> Result<(String, Node), Errno> {
        let at = self.resolve(who, cwd, path, path.ends_with('/'))?;
        let node = self.node(&at).ok_or(Errno::NoEntry)?;
        Ok((at, node))
    }

    /// Names and nodes of a directory, in the order of their bytes, without `.` and `..`.
    pub(crate) fn list(&self, who: Who, cwd: &str, path: &str) -> Result<Vec<(String, Node)>, Errno> {
        let (at, node) = self.stat(who, cwd, path)?;
        if !node.is_dir() {
            return Err(Errno::NotDirectory);
        }
        if !who.may(&node, READ) {
            return Err(Errno::Access);
        }
        Ok(self.children(&at))
    }

    fn children(&self, at: &str) -> Vec<(String, Node)> {
        let prefix = if at == "/" {
            "/".to_owned()
        } else {
            format!("{at}/")
        };
        let mut names = BTreeSet::new();
        collect_names(&self.base.nodes, &prefix, &mut names);
        collect_names(&locked(&self.overlay).changed, &prefix, &mut names);
        collect_names(&self.live, &prefix, &mut names);
        names
            .into_iter()
            .filter_map(|name| {
                let node = self.node(&format!("{prefix}{name}"))?;
                Some((name, node))
            })
            .collect()
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, who: Who, cwd: &str, path: &str) -> Result<Arc<[u8]>, Errno> {
        let (at, node) = self.stat(who, cwd, path)?;
        if node.is_dir() {
            return Err(Errno::IsDirectory);
        }
        if !who.may(&node, READ) {
            return Err(Errno::Access);
        }
        Ok(match node.kind {
            Kind::File(bytes) | Kind::Cut { head: bytes, .. } => bytes,
            Kind::Opaque(size) => executable(&at, size, self.base.build, self.base.arm, EXECUTABLE_MAX),
            Kind::Log(log) => log.bytes().into(),
            _ => Arc::from([]),
        })
    }

    /// The program of the distribution that has this content: what a copy of it is.
    pub(crate) fn program_like(&self, content: &[u8]) -> Option<&str> {
        const HEAD: usize = 1_024;
        let fits =
            |size: u64| usize::try_from(size).is_ok_and(|size| size.min(EXECUTABLE_MAX) == content.len());
        self.base.nodes.iter().find_map(|(path, node)| {
            let Kind::Opaque(size) = node.kind else {
                return None;
            };
            let is_program = matches!(parent(path), "/bin" | "/usr/bin" | "/sbin" | "/usr/sbin");
            if !is_program || !fits(size) {
                return None;
            }
            let head = executable(path, size, self.base.build, self.base.arm, HEAD);
            content.starts_with(&head).then_some(path.as_str())
        })
    }

    /// Write a file, new or over an old one.
    pub(crate) fn write(
        &mut self,
        who: Who,
        cwd: &str,
        path: &str,
        bytes: &[u8],
        append: bool,
        now: i64,
    ) -> Result<String, Errno> {
        let mut content = Vec::new();
        if append && let Ok((_, node)) = self.stat(who, cwd, path) {
            match &node.kind {
                Kind::File(before) | Kind::Cut { head: before, .. } => content.extend_from_slice(before),
                Kind::Log(log) => content = log.bytes(),
                _ => {}
            }
        }
        content.extend_from_slice(bytes);
        let at = self.place(who, cwd, path, Kind::File(content.into()), now)?;
        self.written.insert(at.clone());
        Ok(at)
    }

    /// Put a file's content in its place, new or over an old one, with `open(2)`'s checks. It does not count as
    /// written: its bytes are the caller's to capture.
    pub(crate) fn place(
        &mut self,
        who: Who,
        cwd: &str,
        path: &str,
        kind: Kind,
        now: i64,
    ) -> Result<String, Errno> {
        let at = self.resolve(who, cwd, path, true)?;
        if path.ends_with('/') {
            return Err(Errno::IsDirectory);
        }
        let old = self.node(&at);
        let stated = old.as_ref().and_then(|node| node.stated);
        let (mode, uid, gid) = match &old {
            Some(node) if node.is_dir() => return Err(Errno::IsDirectory),
            Some(node) if node.device().is_some() || node.kind == Kind::Pipe => return Ok(at),
            Some(node) if !who.may(node, WRITE) => return Err(Errno::Access),
            Some(node) => (node.mode, node.uid, node.gid),
            None => {
                self.may_change(who, &at)?;
                (0o666 & !self.umask, who.uid, who.gid)
            }
        };
        let setting = at.starts_with("/proc/sys/") && old.is_some() && who.uid == 0;
        if (at.starts_with("/proc/") || at.starts_with("/sys/")) && !setting {
            return if old.is_some() {
                Err(Errno::NotPermitted)
            } else {
                Err(Errno::NoEntry)
            };
        }
        self.change(
            &at,
            Some(Node {
                kind,
                mode,
                uid,
                gid,
                mtime: now,
                stated,
            }),
        )?;
        Ok(at)
    }

    /// Put `node` into the overlay, or a mark that the path is gone, within its bounds.
    fn change(&mut self, at: &str, node: Option<Node>) -> Result<(), Errno> {
        let mut overlay = locked(&self.overlay);
        match overlay.flags.get(at) {
            Some('i') => return Err(Errno::NotPermitted),
            Some(_) if !appends(overlay.changed.get(at).and_then(Option::as_ref), node.as_ref()) => {
                return Err(Errno::NotPermitted);
            }
            _ => {}
        }
        if overlay.changed.len() >= MAX_ENTRIES && !overlay.changed.contains_key(at) {
            return Err(Errno::NoSpace);
        }
        let bytes = overlay.bytes - overlay.kept(at) + node.as_ref().map_or(0, kept);
        if bytes > MAX_BYTES && bytes > overlay.bytes {
            return Err(Errno::NoSpace);
        }
        overlay.bytes = bytes;
        overlay.changed.insert(at.to_owned(), node);
        Ok(())
    }

    /// The flag that `chattr` gave to a path.
    pub(crate) fn flag(&self, at: &str) -> Option<char> {
        locked(&self.overlay).flags.get(at).copied()
    }

    /// Give a flag of `chattr` to a path, or take it away.
    pub(crate) fn set_flag(&mut self, at: &str, flag: Option<char>) {
        let mut overlay = locked(&self.overlay);
        match flag {
            Some(flag) if overlay.flags.len() < MAX_ENTRIES => {
                overlay.flags.insert(at.to_owned(), flag);
            }
            Some(_) => {}
            None => {
                overlay.flags.remove(at);
            }
        }
    }

    /// Bytes that fit on the disk.
    pub(crate) fn room(&self) -> usize {
        MAX_BYTES.saturating_sub(locked(&self.overlay).bytes)
    }

    /// Whether `who` may create or remove `at` in its directory.
    fn may_change(&self, who: Who, at: &str) -> Result<(), Errno> {
        let above = self.node(parent(at)).ok_or(Errno::NoEntry)?;
        if !above.is_dir() {
            return Err(Errno::NotDirectory);
        }
        if !who.may(&above, WRITE) {
            return Err(Errno::Access);
        }
        if at.starts_with("/proc") || at.starts_with("/sys") {
            return Err(Errno::NotPermitted);
        }
        Ok(())
    }

    pub(crate) fn mkdir(
        &mut self,
        who: Who,
        cwd: &str,
        path: &str,
        mode: u32,
        now: i64,
    ) -> Result<(), Errno> {
        let at = self.resolve(who, cwd, path.trim_end_matches('/'), true)?;
        if self.node(&at).is_some() {
            return Err(Errno::Exists);
        }
        self.may_change(who, &at)?;
        self.change(
            &at,
            Some(Node {
                kind: Kind::Directory,
                mode,
                uid: who.uid,
                gid: who.gid,
                mtime: now,
                stated: None,
            }),
        )
    }

    pub(crate) fn symlink(
        &mut self,
        who: Who,
        cwd: &str,
        target: &str,
        path: &str,
        now: i64,
    ) -> Result<(), Errno> {
        let at = self.resolve(who, cwd, path, false)?;
        if self.node(&at).is_some() {
            return Err(Errno::Exists);
        }
        if target.len() > MAX_PATH {
            return Err(Errno::NameTooLong);
        }
        self.may_change(who, &at)?;
        self.change(
            &at,
            Some(Node {
                kind: Kind::Link(target.to_owned()),
                mode: 0o777,
                uid: who.uid,
                gid: who.gid,
                mtime: now,
                stated: None,
            }),
        )
    }

    /// Remove a file or link (`unlink(2)`); its content, if the session wrote it and nobody collected it yet.
    pub(crate) fn unlink(&mut self, who: Who, cwd: &str, path: &str) -> Result<Option<Content>, Errno> {
        let (at, node) = self.lstat(who, cwd, path)?;
        if node.is_dir() {
            return Err(Errno::IsDirectory);
        }
        self.may_change(who, &at)?;
        let content = self.collect(&at);
        self.change(&at, None)?;
        Ok(content)
    }

    pub(crate) fn rmdir(&mut self, who: Who, cwd: &str, path: &str) -> Result<(), Errno> {
        let (at, node) = self.lstat(who, cwd, path.trim_end_matches('/'))?;
        if !node.is_dir() {
            return Err(Errno::NotDirectory);
        }
        if !self.children(&at).is_empty() {
            return Err(Errno::NotEmpty);
        }
        self.may_change(who, &at)?;
        self.change(&at, None)
    }

    /// `rename(2)`, directories and their content included.
    pub(crate) fn rename(&mut self, who: Who, cwd: &str, from: &str, to: &str) -> Result<(), Errno> {
        let (from, node) = self.lstat(who, cwd, from)?;
        let to = self.resolve(who, cwd, to.trim_end_matches('/'), false)?;
        if from == to {
            return Ok(());
        }
        if to.starts_with(&format!("{from}/")) {
            return Err(Errno::Invalid);
        }
        self.may_change(who, &from)?;
        self.may_change(who, &to)?;
        match self.node(&to) {
            Some(there) if there.is_dir() && !node.is_dir() => return Err(Errno::IsDirectory),
            Some(there) if there.is_dir() && !self.children(&to).is_empty() => return Err(Errno::NotEmpty),
            _ => {}
        }
        let children = if node.is_dir() {
            self.children(&from)
        } else {
            Vec::new()
        };
        let directory = node.is_dir();
        if directory {
            self.change(&to, Some(node))?;
        } else {
            // Moving takes no space: the old name goes before the new one comes.
            self.change(&from, None)?;
            if let Err(errno) = self.change(&to, Some(node.clone())) {
                self.change(&from, Some(node))?;
                return Err(errno);
            }
        }
        for (name, _) in children {
            self.rename(
                Who { uid: 0, gid: 0 },
                "/",
                &format!("{from}/{name}"),
                &format!("{to}/{name}"),
            )?;
        }
        if directory {
            self.change(&from, None)?;
        }
        if self.written.remove(&from) {
            self.written.insert(to);
        }
        Ok(())
    }

    /// Change a node in place: mode, owner or time.
    pub(crate) fn alter(
        &mut self,
        who: Who,
        cwd: &str,
        path: &str,
        change: impl FnOnce(&mut Node),
    ) -> Result<(), Errno> {
        let (at, mut node) = self.stat(who, cwd, path)?;
        if who.uid != 0 && who.uid != node.uid {
            return Err(Errno::NotPermitted);
        }
        change(&mut node);
        self.change(&at, Some(node))
    }

    /// Whether `who` may execute the file.
    pub(crate) fn executable(who: Who, node: &Node) -> bool {
        if who.uid == 0 {
            node.mode & 0o111 != 0
        } else {
            who.may(node, EXECUTE)
        }
    }

    /// Content that the session wrote to `at` and that was not collected yet; it counts as collected afterwards.
    pub(crate) fn collect(&mut self, at: &str) -> Option<Content> {
        if !self.written.remove(at) {
            return None;
        }
        match self.raw(at) {
            Some(Node {
                kind: Kind::File(bytes),
                ..
            }) if !bytes.is_empty() => Some((at.to_owned(), bytes)),
            _ => None,
        }
    }

    /// Everything that the session wrote and that was not collected yet.
    pub(crate) fn collect_all(&mut self) -> Vec<Content> {
        let paths: Vec<String> = self.written.iter().cloned().collect();
        paths.iter().filter_map(|at| self.collect(at)).collect()
    }

    /// What was at `at` when the machine was installed.
    pub(crate) fn installed(&self, at: &str) -> Option<&Node> {
        self.base.nodes.get(at)
    }

    /// Whether the session wrote content to `at` that nobody has collected yet.
    pub(crate) fn is_written(&self, at: &str) -> bool {
        self.written.contains(at)
    }

    /// Forget that content was written to `at`: it was captured on its way in.
    pub(crate) fn forget_written(&mut self, at: &str) {
        self.written.remove(at);
    }
}

/// Names directly below `prefix`. Deeper paths are skipped over by seeking, so that listing `/` does not walk all.
fn collect_names<V>(map: &BTreeMap<String, V>, prefix: &str, names: &mut BTreeSet<String>) {
    let mut from = prefix.to_owned();
    loop {
        let Some((path, _)) = map
            .range::<str, _>((
                std::ops::Bound::Excluded(from.as_str()),
                std::ops::Bound::Unbounded,
            ))
            .next()
        else {
            return;
        };
        let Some(rest) = path.strip_prefix(prefix) else {
            return;
        };
        match rest.split_once('/') {
            Some((name, _)) => {
                names.insert(name.to_owned());
                // '0' is the byte after '/': past everything below this name.
                from = format!("{prefix}{name}/\u{10ffff}");
            }
            None => {
                names.insert(rest.to_owned());
                from = path.clone();
            }
        }
    }
}

/// What a file below `/etc` reads as of which nothing is known but its name.
fn settings(path: &str) -> String {
    format!(
        "# {path}\n#\n# Settings of {}; the manual page tells them and their defaults.\n",
        file_name(path).trim_end_matches(".conf")
    )
}

/// FNV-1a of `text`, begun at `from`.
fn hash(from: u64, text: &str) -> u64 {
    text.bytes()
        .fold(from, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

/// What an executable of the distribution reads as: an ELF header and bytes that depend on its path and the build;
/// cut at `most`.
fn executable(path: &str, size: u64, build: u64, arm: bool, most: usize) -> Arc<[u8]> {
    let len = usize::try_from(size).unwrap_or(usize::MAX).min(most);
    // The generator never leaves 0.
    let mut state = hash(build, path).max(1);
    let mut out = Vec::with_capacity(len);
    // The header of a position-independent x86-64 program: entry point, program and section headers.
    if path.ends_with(".journal") {
        // systemd's journal begins so (JOURNAL_FILE_FORMAT).
        out.extend_from_slice(b"LPKSHHRH\x01\0\0\0\x1d\0\0\0\x01\0\0\0\0\0\0\0");
        fill(&mut out, len, &mut state);
        return out.into();
    }
    if arm {
        // ELFCLASS32, EM_ARM, EABI 5 with the loader of uClibc.
        out.extend_from_slice(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0\x01\0\0\0");
        let entry = 0x1_0000 + u32::try_from(state % 0x5000).unwrap_or(0) / 4 * 4;
        let sections = u32::try_from(size.saturating_sub(28 * 40)).unwrap_or(0) / 4 * 4;
        for word in [entry, 52, sections, 0x0500_0400] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(b"\x34\0\x20\0\x08\0\x28\0\x1c\0\x1b\0");
        // PT_INTERP.
        for word in [3_u32, 0x134, 0x1_0134, 0x1_0134, 0x14, 0x14, 4, 1] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.resize(0x134, 0);
        out.extend_from_slice(b"/lib/ld-uClibc.so.0\0");
        fill(&mut out, len, &mut state);
        return out.into();
    }
    out.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0");
    out.extend_from_slice(&(0x2000 + state % 0x5000 / 16 * 16).to_le_bytes());
    out.extend_from_slice(&64_u64.to_le_bytes());
    out.extend_from_slice(&(size.saturating_sub(31 * 64) / 8 * 8).to_le_bytes());
    out.extend_from_slice(b"\0\0\0\0\x40\0\x38\0\x0d\0\x40\0\x1f\0\x1e\0");
    // PT_PHDR and PT_INTERP, which names the loader.
    for (kind, at, bytes) in [(6_u32, 0x40_u64, 0x2d8_u64), (3, 0x318, 0x1c)] {
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&4_u32.to_le_bytes());
        for word in [at, at, at, bytes, bytes, if kind == 6 { 8 } else { 1 }] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    out.resize(0x318, 0);
    out.extend_from_slice(b"/lib64/ld-linux-x86-64.so.2\0");
    fill(&mut out, len, &mut state);
    out.into()
}

/// Bytes of no meaning up to `len`.
fn fill(out: &mut Vec<u8>, len: usize, state: &mut u64) {
    while out.len() < len {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Who = Who { uid: 0, gid: 0 };

    fn vfs(overlay: Shared) -> Vfs {
        let base = Base::from_listing("d 1777 0 /tmp\nd 755 0 /etc\nf 644 5 /etc/old\n", 0, |path| {
            Some(path.to_owned())
        });
        Vfs::new(Arc::new(base), Arc::default(), overlay)
    }

    fn address(n: u32) -> IpAddr {
        IpAddr::from(std::net::Ipv4Addr::from(0xc633_6400 + n))
    }

    #[test]
    fn an_address_finds_what_it_left_and_another_does_not() {
        let overlays = Overlays::default();
        vfs(overlays.of(address(1), 10))
            .write(ROOT, "/", "/tmp/left", b"it", false, 10)
            .unwrap();
        let again = vfs(overlays.of(address(1), 20));
        assert_eq!(&*again.read(ROOT, "/", "/tmp/left").unwrap(), b"it");
        drop(again);
        assert!(
            vfs(overlays.of(address(2), 20))
                .read(ROOT, "/", "/tmp/left")
                .is_err()
        );
        let late = vfs(overlays.of(address(1), 20 + STAYS_S));
        assert!(late.read(ROOT, "/", "/tmp/left").is_err());
    }

    #[test]
    fn absent_visitors_are_forgotten_oldest_first_and_present_ones_never() {
        let overlays = Overlays::default();
        let present = overlays.of(address(0), 0);
        for n in 1..500 {
            vfs(overlays.of(address(n), i64::from(n)))
                .write(ROOT, "/", "/tmp/big", &vec![0; 1 << 20], false, 1)
                .unwrap();
        }
        let now = 500;
        let newest = vfs(overlays.of(address(499), now));
        assert!(newest.read(ROOT, "/", "/tmp/big").is_ok());
        assert!(
            vfs(overlays.of(address(1), now))
                .read(ROOT, "/", "/tmp/big")
                .is_err()
        );
        assert!(Arc::ptr_eq(&present, &overlays.of(address(0), now)));
        let held: usize = overlays
            .0
            .lock()
            .unwrap()
            .values()
            .map(|(o, _)| locked(o).bytes)
            .sum();
        assert!(held <= ABSENT_BYTES + MAX_BYTES, "{held}");
    }

    #[test]
    fn an_overlay_is_bounded_and_deleting_makes_room() {
        let mut vfs = vfs(Shared::default());
        let block = vec![0; MAX_BYTES / 2];
        for name in ["a", "b"] {
            vfs.write(ROOT, "/tmp", name, &block, false, 1).unwrap();
        }
        assert_eq!(vfs.write(ROOT, "/tmp", "c", b"x", false, 1), Err(Errno::NoSpace));
        vfs.rename(ROOT, "/tmp", "a", "moved").unwrap();
        vfs.unlink(ROOT, "/tmp", "moved").unwrap();
        vfs.write(ROOT, "/tmp", "c", b"x", false, 1).unwrap();
        let mut last = Ok(());
        for n in 0..=MAX_ENTRIES {
            last = vfs.mkdir(ROOT, "/tmp", &format!("d{n}"), 0o755, 1);
        }
        assert_eq!(last, Err(Errno::NoSpace));
    }
}
