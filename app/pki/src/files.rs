//! Files that hold keys: private, written whole, and the same for everybody who makes them at once.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use zeroize::Zeroizing;

use crate::PkiError;

/// The most bytes of a file of keys or certificates.
const MAX_BYTES: u64 = 256 * 1024;

/// Who may read a file of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner alone.
    Owner,
    /// Its owner and its group: a key that another tool renews and shares with a group of servers.
    Group,
    /// Everybody: a certificate.
    Public,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o640,
            Self::Public => 0o644,
        }
    }

    /// The bits that must not be set.
    const fn forbidden(self) -> u32 {
        match self {
            Self::Owner => 0o077,
            Self::Group => 0o027,
            Self::Public => 0,
        }
    }
}

/// Make `dir`, for its owner alone, unless it is there; one that is open to others is refused.
pub(crate) fn private_folder(dir: &Path) -> Result<(), PkiError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(fault("make the folder", dir))?;
    let mode = fs::metadata(dir).map_err(fault("look at", dir))?.mode();
    refuse_open(dir, mode, 0o077, 0o700)
}

fn refuse_open(path: &Path, mode: u32, forbidden: u32, wanted: u32) -> Result<(), PkiError> {
    if mode & forbidden == 0 {
        return Ok(());
    }
    Err(PkiError::Exposed {
        path: path.to_owned(),
        mode: mode & 0o7777,
        wanted,
    })
}

/// The text of the file at `path`; `None` where there is none.
pub(crate) fn read(path: &Path, access: Access) -> Result<Option<Zeroizing<String>>, PkiError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault("open", path)(error)),
    };
    let mode = file.metadata().map_err(fault("look at", path))?.mode();
    refuse_open(path, mode, access.forbidden(), access.mode())?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(fault("read", path))?;
    Ok(Some(text))
}

/// Write `text` to `path` unless something is there, and tell what stands there now: of two processes that make the
/// same file at once, both end with the text of one.
pub(crate) fn write_once(path: &Path, text: &str, access: Access) -> Result<Zeroizing<String>, PkiError> {
    let draft = draft(path, text, access)?;
    // A link, unlike a rename, fails where another process was faster.
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(fault("write", path)),
    };
    fs::remove_file(&draft).map_err(fault("remove", &draft))?;
    linked?;
    sync_folder_of(path)?;
    read(path, access)?.ok_or_else(|| fault("read", path)(io::ErrorKind::NotFound.into()))
}

/// Write `text` to `path` in the place of what is there.
pub(crate) fn replace(path: &Path, text: &str, access: Access) -> Result<(), PkiError> {
    let draft = draft(path, text, access)?;
    fs::rename(&draft, path).map_err(fault("write", path))?;
    sync_folder_of(path)
}

/// Write `text` whole to a file beside `path`: nobody ever reads half a key.
fn draft(path: &Path, text: &str, access: Access) -> Result<PathBuf, PkiError> {
    static DRAFTS: AtomicU32 = AtomicU32::new(0);
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let draft = path.with_extension(format!("draft.{}.{number}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(access.mode())
        .open(&draft)
        .map_err(fault("write", &draft))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(fault("write", &draft))?;
    Ok(draft)
}

fn sync_folder_of(path: &Path) -> Result<(), PkiError> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(fault("sync", folder))
}

fn fault(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PkiError {
    let path = path.to_owned();
    move |source| PkiError::Io {
        operation,
        path,
        source,
    }
}
