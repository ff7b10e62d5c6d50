//! Running other programs, with words for what happens and why.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, bail};

use crate::place::Place;

/// A cargo command in the clone, with the shared target directory.
pub(crate) fn cargo(place: &Place) -> Command {
    let linked = crate::setup::wasm::linked_toolchain();
    let mut command = match linked {
        // `CARGO` is the user's own toolchain; another one is asked for by its name, through rustup.
        Some(_) => Command::new("cargo"),
        None => Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
    };
    command
        .current_dir(&place.root)
        .env("CARGO_TARGET_DIR", &place.target);
    if let Some(toolchain) = linked {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    if std::env::var_os("CI").is_some() {
        // A clone that is built once gains nothing from what makes the second build faster.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// Say what is done and why, do it, say how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {what}");
    let start = Instant::now();
    let result = work().with_context(|| what.to_owned())?;
    println!("    done in {:.1} s", start.elapsed().as_secs_f64());
    Ok(result)
}

/// Do two things at the same time; both end, whatever becomes of the other, and the first one's error is told first.
pub(crate) fn side_by_side(
    one: impl FnOnce() -> Result<()>,
    beside: impl FnOnce() -> Result<()> + Send,
) -> Result<()> {
    thread::scope(|scope| {
        let beside = scope.spawn(beside);
        let one = one();
        let beside = beside
            .join()
            .unwrap_or_else(|_| Err(anyhow!("a thread of it panicked")));
        one.and(beside)
    })
}

/// Run `command` with its output shown; an unsuccessful end is an error that names it.
pub(crate) fn sh(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("could not start {}", name(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", name(command));
    }
    Ok(())
}

/// Run `command` and show what it says only where it fails.
pub(crate) fn sh_quiet(command: &mut Command) -> Result<()> {
    let said = command
        .output()
        .with_context(|| format!("could not start {}", name(command)))?;
    if !said.status.success() {
        bail!(
            "{} ended with {}\n{}{}",
            name(command),
            said.status,
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        );
    }
    Ok(())
}

/// Run `command` with its output shown line by line and handed to `each` too; the caller judges how it ended.
pub(crate) fn run_watching(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start {}", name(command)))?;
    let stdout = child.stdout.take().context("the child has no output")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        each(&line);
    }
    Ok(child.wait()?.success())
}

/// What `command` prints, trimmed; `None` where it cannot be run or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a program is on the PATH, or below /usr/sbin, where Debian puts servers.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/lib/postfix/sbin".into()])
        .any(|d| d.join(program).is_file())
}

fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|w| w.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
