//! A file that one process holds at a time, with a text of that process in it. The kernel lets go of it when the process
//! ends, however that ends, so nothing that it says can be stale.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

/// The most bytes of the text that are read.
const MAX_TEXT: u64 = 4096;

/// Holds a file until it is dropped.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Hold the file at `path`, with `text` in it; what its holder says there where another has it.
    pub(crate) fn take(path: &Path, text: &str) -> io::Result<Result<Self, String>> {
        // The text may have a password in it.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(Err(read(&mut file).unwrap_or_default())),
            Err(error) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.write_all(text.as_bytes())?;
        Ok(Ok(Self { _file: file }))
    }
}

/// What the holder of the file at `path` says; nothing where nobody holds it.
pub(crate) fn said(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let mut held = whole_file(libc::F_RDLCK);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut held)).ok()?;
    if i32::from(held.l_type) == libc::F_UNLCK {
        return None;
    }
    read(&mut file).ok()
}

fn read(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(MAX_TEXT).read_to_string(&mut text)?;
    Ok(text)
}

/// A lock of this kind on all of a file.
#[expect(clippy::cast_possible_truncation, reason = "these constants are 0 to 2")]
fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
