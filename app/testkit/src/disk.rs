//! A disk that can be filled: a small tmpfs in a mount namespace of its own.

use std::{
    env, fs, io,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Set for the second run of a test, inside the namespace: the folder of the tmpfs.
const INSIDE: &str = "DECNET_TEST_TMPFS";

/// The disk, of `size` as mount(8) takes it, for the test of this name in the program that calls this.
///
/// The test is run again in a process that has the disk; only there does this give its folder. Where it gives none, that
/// run was good, or there was none because it needs root, which is told by [`crate::skipped`].
///
/// # Errors
/// Where the process cannot be started.
///
/// # Panics
/// Where the test fails in that process.
pub fn small(test: &str, size: &str) -> io::Result<Option<PathBuf>> {
    if let Some(inside) = env::var_os(INSIDE) {
        return Ok(Some(inside.into()));
    }
    let folder = env::temp_dir().join(format!(
        "decnet-disk-{}-{}",
        std::process::id(),
        test.replace(':', "-")
    ));
    fs::create_dir(&folder)?;
    let mut again = Command::new("unshare");
    again
        .args(["-m", "sh", "-c"])
        .arg(format!(
            "mount -t tmpfs -o size={size} tmpfs \"$1\" || exit 77; exec \"$0\" --exact \"$2\" --nocapture"
        ))
        .arg(env::current_exe()?)
        .arg(&folder)
        .arg(test)
        .env(INSIDE, &folder)
        .stdin(Stdio::null());
    let status = again.status();
    fs::remove_dir(&folder)?;
    let status = status?;
    // unshare itself ends with 1 where it may not; a failing test ends with 101.
    if matches!(status.code(), Some(1 | 77)) {
        crate::skipped("a tmpfs in a private mount namespace needs root");
        return Ok(None);
    }
    assert!(status.success(), "{test} on a small disk: {status}");
    Ok(None)
}
