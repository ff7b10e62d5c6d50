//! Files that visitors leave: kept under their hash, with what is known of them beside.
//!
//! A file is stored as `<first 16 of its SHA-256>_<sanitised name>` with a `.meta.json`; as the whole of its SHA-256 where
//! another file has the same first 16, which somebody can compute. The name that the visitor
//! gave is data: it is shortened to harmless characters for the reader's sake and never opens, creates or reaches
//! anything else. The same content is kept once; every arrival is reported. Where the disk gets nearly full files are hashed and
//! reported, and not kept ([`Limits::free_floor_bytes`], an absolute number that recordings share).
//!
//! A capture that is dropped before its end was interrupted: it is kept and reported all the same, as truncated.
//! Files are handed to the operating system and not forced to the disk.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    ops::Bound,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use decnet_model::{
    event::{Captured, Event},
    printable::printable_head,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{floor::Floor, tap::Tap, trouble};
use crate::config::Limits;

/// The most characters of a visitor's file name that stand in a stored name.
const NAME_MAX: usize = 64;
/// The most bytes of a visitor's path that are kept.
const PATH_MAX: usize = 4096;
/// Beginning of the names of files that are not whole yet; leftovers of a killed process are removed at the next start.
const INCOMING: &str = ".incoming-";
/// Ending of the names of descriptions.
const DESCRIPTION: &str = ".meta.json";
/// How much of a hash begins a stored name.
const HEAD: usize = 16;
/// What a description counts for in the folder at least, a block of most disks: it bounds how many files there are, and by that how
/// much memory their names take.
const BLOCK: u64 = 4096;

/// The artifact folder of one decky and what it may hold.
#[derive(Debug)]
pub struct Artifacts {
    folder: Option<PathBuf>,
    file_max: u64,
    session_max: u64,
    total_max: u64,
    total: AtomicU64,
    serial: AtomicU64,
    floor: Floor,
    /// Names of the files in the folder, as far as this process knows of them.
    names: Mutex<BTreeSet<Box<str>>>,
}

impl Artifacts {
    /// Keep files in `folder`, which is created where it is missing; without one they are only hashed and reported.
    ///
    /// # Errors
    /// Where the folder cannot be created or read.
    pub fn open(folder: Option<&Path>, limits: &Limits) -> io::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self::unkept(limits));
        };
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(INCOMING.as_bytes()) {
                fs::remove_file(entry.path())?;
            }
        }
        Self::beside(folder, limits)
    }

    /// Keep files in `folder` beside a decoy that has it: what is on its way in is that one's, and stays.
    ///
    /// # Errors
    /// Where the folder cannot be created or read.
    pub fn beside(folder: &Path, limits: &Limits) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut total = 0;
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let len = match entry.metadata() {
                Ok(meta) => meta.len(),
                // It came in, and has another name by now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // Whatever has a name that is no text is none of ours.
            let name = entry.file_name().into_string().unwrap_or_default();
            total += if name.ends_with(DESCRIPTION) {
                len.max(BLOCK)
            } else {
                len
            };
            if !name.ends_with(DESCRIPTION) && !name.starts_with(INCOMING) {
                names.insert(name.into());
            }
        }
        Ok(Self {
            folder: Some(folder.to_owned()),
            total: AtomicU64::new(total),
            names: Mutex::new(names),
            ..Self::unkept(limits)
        })
    }

    /// Files are hashed and reported, and not kept.
    #[must_use]
    pub fn unkept(limits: &Limits) -> Self {
        Self {
            folder: None,
            file_max: limits.artifact_file_bytes,
            session_max: limits.artifact_session_bytes,
            total_max: limits.artifact_total_bytes,
            total: AtomicU64::new(0),
            serial: AtomicU64::new(0),
            floor: Floor::of(limits.free_floor_bytes),
            names: Mutex::default(),
        }
    }

    pub(super) fn floor(&self) -> &Floor {
        &self.floor
    }

    fn incoming(&self, folder: &Path, session: &str) -> io::Result<(File, PathBuf)> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{INCOMING}{session}-{serial}"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok((file, path))
    }

    /// Where in `folder` the content with this hash, which came under `name`, is or belongs.
    fn place(&self, folder: &Path, sha256: &str, name: &str) -> Place {
        let head = sha256.get(..HEAD).unwrap_or(sha256);
        let short = format!("{head}_{name}");
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = names
            .range::<str, _>((Bound::Included(head), Bound::Unbounded))
            .map(AsRef::as_ref)
            .take_while(|name| name.starts_with(head));
        let mut is_free = true;
        // Another process that has the folder, too, may have put something under this name.
        for there in alike.chain([short.as_str()]) {
            if folder.join(there).exists() {
                if described(folder, there).as_deref() == Some(sha256) {
                    return Place::Held(there.to_owned());
                }
                is_free = false;
            }
        }
        Place::Free(if is_free {
            short
        } else {
            format!("{sha256}_{name}")
        })
    }

    /// From now on the folder has a file of this name.
    fn holds(&self, name: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.into());
    }
}

/// Where content is, or belongs.
enum Place {
    /// It is there already.
    Held(String),
    /// Nothing has that name.
    Free(String),
}

/// The hash of the file `name`, as its description has it; `None` where nothing can be read of it.
fn described(folder: &Path, name: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Hash {
        sha256: String,
    }
    let description = fs::read(folder.join(format!("{name}{DESCRIPTION}"))).ok()?;
    let hash: Hash = serde_json::from_slice(&description).ok()?;
    Some(hash.sha256)
}

/// What a visitor gave a file beside its content, as far as the way by which it came carries it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    /// The bits of its permissions.
    pub mode: Option<u32>,
    /// When it was changed last, in Unix seconds.
    pub modified: Option<i64>,
}

/// A file on its way in.
pub struct Capture {
    tap: Tap,
    path: Vec<u8>,
    via: &'static str,
    user: Vec<u8>,
    given: Given,
    began: OffsetDateTime,
    hash: Sha256,
    size: u64,
    truncated: bool,
    file: Option<(File, PathBuf)>,
    done: bool,
}

/// A file that came in whole or as far as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Name in the artifact folder; empty where it was not kept.
    pub stored_as: String,
    /// SHA-256 of what was kept, hex.
    pub sha256: String,
    /// Bytes that were kept.
    pub size: u64,
    /// Where the visitor put it.
    pub path: Vec<u8>,
    /// How it came.
    pub via: &'static str,
    /// The account that it was left under.
    pub user: Vec<u8>,
    /// Whether it was cut, at a limit or by the visitor.
    pub truncated: bool,
}

impl Stored {
    /// As an event carries it.
    #[must_use]
    pub fn as_captured(&self) -> Captured<'_> {
        Captured {
            stored_as: &self.stored_as,
            sha256: &self.sha256,
            size: self.size,
            path: &self.path,
            via: self.via,
            user: &self.user,
            truncated: self.truncated,
        }
    }
}

/// What stands beside an artifact, as JSON: times as RFC 3339 has them, the mode in octal.
#[derive(Serialize)]
struct Description<'a> {
    sha256: &'a str,
    size: u64,
    truncated: bool,
    original_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_at: Option<String>,
    via: &'a str,
    began_at: String,
    captured_at: String,
    service: &'a str,
    session: &'a str,
    source: &'a str,
    user: String,
}

impl Capture {
    pub(super) fn begin(tap: Tap, path: &[u8], via: &'static str, user: &[u8]) -> Self {
        let artifacts = tap.artifacts();
        let file = match &artifacts.folder {
            // So much it takes of the disk at least, with its description.
            Some(folder) if artifacts.floor.takes(folder, 2 * BLOCK) => artifacts
                .incoming(folder, tap.session_id())
                .inspect_err(unkept)
                .ok(),
            Some(_) => {
                tap.emit(artifacts.floor.reached());
                None
            }
            None => None,
        };
        Self {
            path: path.get(..PATH_MAX).unwrap_or(path).to_vec(),
            via,
            user: user.get(..PATH_MAX).unwrap_or(user).to_vec(),
            given: Given::default(),
            began: tap.clock().now(),
            hash: Sha256::new(),
            size: 0,
            truncated: false,
            file,
            done: false,
            tap,
        }
    }

    /// What was given with it.
    #[must_use]
    pub fn with(mut self, given: Given) -> Self {
        self.given = given;
        self
    }

    /// Bytes so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Take the next bytes. What is over a limit is not kept, reported once, and marks the file as truncated.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.truncated || bytes.is_empty() {
            return;
        }
        let artifacts = self.tap.artifacts();
        let session = self.tap.captured_bytes().load(Ordering::Relaxed);
        let total = artifacts.total.load(Ordering::Relaxed);
        let (what, limit, room) = [
            (
                "artifact_file_bytes",
                artifacts.file_max,
                artifacts.file_max.saturating_sub(self.size),
            ),
            (
                "artifact_session_bytes",
                artifacts.session_max,
                artifacts.session_max.saturating_sub(session),
            ),
            (
                "artifact_total_bytes",
                artifacts.total_max,
                artifacts.total_max.saturating_sub(total),
            ),
        ]
        .into_iter()
        .min_by_key(|(_, _, room)| *room)
        .unwrap_or(("artifact_file_bytes", 0, 0));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let kept = bytes.get(..room).unwrap_or(bytes);
        let n = u64::try_from(kept.len()).unwrap_or(u64::MAX);
        self.hash.update(kept);
        self.size += n;
        self.tap.captured_bytes().fetch_add(n, Ordering::Relaxed);
        if let Some((file, path)) = &mut self.file {
            let folder = path.parent().unwrap_or(path);
            let is_kept = if artifacts.floor.takes(folder, n) {
                file.write_all(kept).inspect_err(unkept).is_ok()
            } else {
                self.tap.emit(artifacts.floor.reached());
                false
            };
            if is_kept {
                artifacts.total.fetch_add(n, Ordering::Relaxed);
            } else {
                remove(path);
                self.file = None;
                artifacts.total.fetch_sub(self.size - n, Ordering::Relaxed);
            }
        }
        if kept.len() < bytes.len() {
            self.truncated = true;
            self.tap.emit(Event::Limited { what, limit });
        }
    }

    /// The file is whole: keep it and report it.
    pub fn finish(mut self) -> Stored {
        let stored = self.settle();
        self.tap.emit(Event::FileCaptured(stored.as_captured()));
        stored
    }

    /// The file is whole: keep it. The caller reports it in an event of its own, such as `mail_accepted`.
    pub fn keep(mut self) -> Stored {
        self.settle()
    }

    fn settle(&mut self) -> Stored {
        self.done = true;
        let sha256 = hex::encode(std::mem::take(&mut self.hash).finalize());
        let mut stored = Stored {
            stored_as: String::new(),
            sha256,
            size: self.size,
            path: std::mem::take(&mut self.path),
            via: self.via,
            user: std::mem::take(&mut self.user),
            truncated: self.truncated,
        };
        if let Some((file, incoming)) = self.file.take() {
            drop(file);
            match self.place(&stored, &incoming) {
                Ok(name) => stored.stored_as = name,
                Err(error) => {
                    unkept(&error);
                    remove(&incoming);
                    let artifacts = self.tap.artifacts();
                    artifacts.total.fetch_sub(stored.size, Ordering::Relaxed);
                }
            }
        }
        stored
    }

    /// Give a whole file its name and its description; the name.
    fn place(&self, stored: &Stored, incoming: &Path) -> io::Result<String> {
        let artifacts = self.tap.artifacts();
        let folder = incoming.parent().unwrap_or(incoming);
        let name = match artifacts.place(folder, &stored.sha256, &sanitised(&stored.path)) {
            Place::Held(name) => {
                fs::remove_file(incoming)?;
                artifacts.total.fetch_sub(stored.size, Ordering::Relaxed);
                return Ok(name);
            }
            Place::Free(name) => name,
        };
        let told = |at: OffsetDateTime| at.format(&Rfc3339).map_err(io::Error::other);
        // A time that no calendar has was none.
        let modified = self.given.modified;
        let modified = modified.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        let description = Description {
            sha256: &stored.sha256,
            size: stored.size,
            truncated: stored.truncated,
            original_path: printable_head(&stored.path, PATH_MAX).0,
            mode: self.given.mode.map(|mode| format!("{:04o}", mode & 0o7777)),
            modified_at: modified.map(told).transpose()?,
            via: stored.via,
            began_at: told(self.began)?,
            captured_at: told(self.tap.clock().now())?,
            service: self.tap.service(),
            session: self.tap.session_id(),
            source: self.tap.source(),
            user: printable_head(&stored.user, PATH_MAX).0,
        };
        let description = serde_json::to_vec_pretty(&description)?;
        // The description first: a file that is there is always described.
        fs::write(folder.join(format!("{name}{DESCRIPTION}")), &description)?;
        let n = u64::try_from(description.len()).unwrap_or(u64::MAX);
        artifacts.total.fetch_add(n.max(BLOCK), Ordering::Relaxed);
        fs::rename(incoming, folder.join(&name))?;
        artifacts.holds(&name);
        Ok(name)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if !self.done {
            self.truncated = true;
            let stored = self.settle();
            self.tap.emit(Event::FileCaptured(stored.as_captured()));
        }
    }
}

fn unkept(error: &io::Error) {
    trouble(format_args!("a captured file is reported and not kept: {error}"));
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        trouble(format_args!("an incomplete file stays behind: {error}"));
    }
}

/// The last component of a visitor's path in harmless characters.
fn sanitised(path: &[u8]) -> String {
    let last = path
        .rsplit(|b| matches!(b, b'/' | b'\\'))
        .next()
        .unwrap_or_default();
    let name: String = last
        .iter()
        .take(NAME_MAX)
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(*b),
            _ => '_',
        })
        .collect();
    if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::evidence::{sink::Sink, tap::Evidence};

    #[test]
    fn who_begins_takes_leftovers_away_and_who_comes_beside_leaves_them() {
        let folder = tempfile::tempdir().unwrap();
        let coming = folder.path().join(format!("{INCOMING}0-0"));
        fs::write(&coming, "half").unwrap();
        let beside = Artifacts::beside(folder.path(), &Limits::default()).unwrap();
        assert!(coming.exists());
        assert_eq!(beside.total.load(Ordering::Relaxed), 4);
        let begun = Artifacts::open(Some(folder.path()), &Limits::default()).unwrap();
        assert!(!coming.exists());
        assert_eq!(begun.total.load(Ordering::Relaxed), 0);
    }

    /// A session whose files go to `folder`, and what it reports.
    fn session(folder: &Path, limits: &Limits) -> (Tap, Arc<Mutex<Vec<u8>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let evidence = Arc::new(Evidence {
            sink: Arc::new(Sink::to(Lines(Arc::clone(&lines)))),
            artifacts: Arc::new(Artifacts::open(Some(folder), limits).unwrap()),
            clock: Arc::new(decnet_model::clock::SystemClock),
            decky: "decky-01".to_owned(),
        });
        let at = "127.0.0.1:1".parse().unwrap();
        (Tap::of_session(&evidence, "http", at, at), lines)
    }

    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn put(tap: &Tap, path: &[u8], bytes: &[u8]) -> Stored {
        let mut capture = tap.artifact(path, "put", b"");
        capture.write(bytes);
        capture.finish()
    }

    #[test]
    fn a_file_whose_hash_begins_as_that_of_another_is_kept_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (tap, _) = session(folder.path(), &Limits::default());
        let harmless = put(&tap, b"/x", b"harmless");
        // As if the tool began with the same 16: to compute one takes long.
        let tool = hex::encode(Sha256::digest(b"tool"));
        let (old, new) = (&harmless.stored_as, format!("{}_x", tool.get(..HEAD).unwrap()));
        for ending in ["", DESCRIPTION] {
            let at = |name: &str| folder.path().join(format!("{name}{ending}"));
            fs::rename(at(old), at(&new)).unwrap();
        }
        // Also where another process put it there, and after a start.
        let (later, _) = session(folder.path(), &Limits::default());
        for tap in [tap, later] {
            let kept = put(&tap, b"/x", b"tool");
            assert_eq!(kept.stored_as, format!("{tool}_x"));
            assert_eq!(fs::read(folder.path().join(&kept.stored_as)).unwrap(), b"tool");
            assert_eq!(fs::read(folder.path().join(&new)).unwrap(), b"harmless");
            assert_eq!(
                described(folder.path(), &kept.stored_as).as_deref(),
                Some(tool.as_str())
            );
            // Under another name it is still the same.
            assert_eq!(put(&tap, b"/y", b"tool").stored_as, kept.stored_as);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }

    #[test]
    fn on_a_disk_that_is_nearly_full_files_are_hashed_and_reported_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (tap, lines) = session(folder.path(), &Limits::default());
        let floor = tap.artifacts().floor();
        let mut capture = tap.artifact(b"/x", "put", b"");
        capture.write(&[b'a'; 1024]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // The disk gets full while it comes: within a MiB it is seen.
        floor.fill();
        let block = [b'a'; 64 << 10];
        for _ in 0..16 {
            capture.write(&block);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(tap.artifacts().total.load(Ordering::Relaxed), 0);
        let stored = capture.finish();
        assert_eq!((stored.size, stored.truncated), (1024 + (1 << 20), false));
        assert_eq!(
            stored.sha256,
            hex::encode(Sha256::digest(vec![b'a'; 1024 + (1 << 20)]))
        );
        assert_eq!(stored.stored_as, "");
        // Who comes now is not kept from the first byte on.
        assert_eq!(put(&tap, b"/y", b"one byte is enough").stored_as, "");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let told = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        assert_eq!(told.matches("\"free_floor_bytes\"").count(), 2, "{told}");
        assert_eq!(told.matches(" file_captured ").count(), 2, "{told}");
        // With room again the next one is kept.
        floor.empty();
        assert_ne!(put(&tap, b"/z", b"kept").stored_as, "");
    }

    #[test]
    fn no_path_of_a_visitor_survives_as_a_path() {
        for (path, name) in [
            (&b"../../etc/passwd"[..], "passwd"),
            (b"..", ".."),
            (b"a/b/", "unnamed"),
            (b"C:\\temp\\x.exe", "x.exe"),
            (b"\xff\0\n\"", "____"),
            (b"", "unnamed"),
        ] {
            // A stored name begins with a hash, so that even `..` is only the end of a name.
            assert_eq!(sanitised(path), name);
            assert!(!sanitised(path).contains('/'));
        }
        assert_eq!(sanitised(&[b'a'; 500]).len(), NAME_MAX);
    }
}
