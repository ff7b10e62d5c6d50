//! Processes that end with the value that holds them.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// How often something is looked at that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(20);

/// How a control is ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It is this process.
    Process(Process),
    /// By its own command.
    Postfix(#[expect(dead_code, reason = "held until it is dropped, which ends it")] Postfix),
}

impl Ending {
    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        match self {
            Self::Process(process) => process.0.try_wait(),
            // What was started has ended in order, and left daemons.
            Self::Postfix(_) => Ok(None),
        }
    }
}

/// A process in a group of its own, which a terminal's interrupt does not reach: whoever started it ends it, in its own time.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command, log: &Path) -> io::Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .map(Self)
    }

    /// Wait until it ends by itself.
    pub(crate) async fn finished(mut self, patience: Duration) -> io::Result<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "it does not come to an end",
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Until it is waited for, its number is nobody else's.
        if !matches!(self.0.try_wait(), Ok(Some(_)))
            && let Ok(pid) = i32::try_from(self.0.id())
        {
            // It may end in this moment; either way it is gone afterwards.
            let _gone = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _reaped = self.0.wait();
    }
}

/// A Postfix of this configuration, which may run or be about to.
#[derive(Debug)]
pub(crate) struct Postfix {
    pub(crate) program: PathBuf,
    pub(crate) conf: PathBuf,
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Where it was not started it has nothing to stop, and says so.
        let _stopped = Command::new(&self.program)
            .arg("-c")
            .arg(&self.conf)
            .arg("stop")
            .output();
    }
}

/// What `command` says, on whichever of its three files: vsftpd tells its version on standard input.
pub(crate) fn told(command: &mut Command) -> io::Result<String> {
    let mut out = tempfile::tempfile()?;
    command
        .stdin(out.try_clone()?)
        .stdout(out.try_clone()?)
        .stderr(out.try_clone()?)
        .status()?;
    out.rewind()?;
    let mut text = Vec::new();
    out.take(64 * 1024).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The last words in the log of a program.
pub(crate) fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.split_off(lines.len().saturating_sub(3));
    last.join("; ")
}

/// Wait for `LOOK`.
pub(crate) async fn a_moment() {
    tokio::time::sleep(LOOK).await;
}
