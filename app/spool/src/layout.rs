//! Names of the files in a spool's folder, and writing a file so that it is there whole or not at all.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use crate::SpoolError;

pub(crate) const LOG: &str = "log";
pub(crate) const JOURNAL: &str = "journal";
pub(crate) const SEAL: &str = "seal";
pub(crate) const COMMITTED: &str = "committed";
pub(crate) const LOCK: &str = "lock";
/// The segment that was dropped last, and its root.
pub(crate) const DROPPED: &str = "dropped";
pub(crate) const READERS: &str = "readers";
/// What tells this spool from every other.
pub(crate) const ID: &str = "id";
pub(crate) const MANIFEST: &str = "manifest.json";

/// The file of segment `number` with this extension.
pub(crate) fn segment_file(dir: &Path, number: u64, extension: &str) -> PathBuf {
    dir.join(format!("{number:010}.{extension}"))
}

/// The numbers of all segments that have a file with this extension.
pub(crate) fn segments(dir: &Path, extension: &str) -> Result<BTreeSet<u64>, SpoolError> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(SpoolError::io("list", dir))? {
        let entry = entry.map_err(SpoolError::io("list", dir))?;
        let name = entry.file_name();
        let number: Option<u64> = name
            .to_str()
            .and_then(|name| name.split_once('.'))
            .filter(|(stem, ext)| *ext == extension && stem.len() >= 10)
            .and_then(|(stem, _)| stem.parse().ok());
        found.extend(number);
    }
    Ok(found)
}

/// Make a folder of evidence and what is above it; for its owner, and for reading by its group. One that is there stays
/// as it is.
pub(crate) fn make_dir(dir: &Path) -> Result<(), SpoolError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(dir)
        .map_err(SpoolError::io("make folder", dir))
}

/// Make renames, creations and removals in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), SpoolError> {
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(SpoolError::io("sync folder", dir))
}

/// Put a file at `path` with what `write` writes: whole and durable, or not at all.
pub(crate) fn put(
    path: &Path,
    write: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>,
) -> Result<(), SpoolError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let written = (|| {
        let mut out = io::BufWriter::new(File::create(&temporary)?);
        write(&mut out)?;
        out.flush()?;
        out.get_ref().sync_data()?;
        fs::rename(&temporary, path)
    })();
    if let Err(e) = written {
        remove(&temporary)?;
        return Err(SpoolError::io("write", path)(e));
    }
    match path.parent() {
        Some(dir) => sync_dir(dir),
        None => Ok(()),
    }
}

/// Remove a file; one that is not there is removed already.
pub(crate) fn remove(path: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(SpoolError::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Whether `name` can be a source's, a reader's or an outlet's.
pub(crate) fn checked_name(name: &str) -> Result<&str, SpoolError> {
    let good = (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-'));
    if good {
        Ok(name)
    } else {
        Err(SpoolError::Name(name.chars().take(80).collect()))
    }
}
