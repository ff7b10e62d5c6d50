//! Tests that cannot be run here say so, and why.
//!
//! The words of a test that passes are swallowed by the harness, so they go into a file, too: whoever runs all tests
//! (`cargo xtask test`) names it, and tells at the end what was left out.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write as _},
    path::Path,
    thread,
};

/// The variable that names the file which takes a line for each test, or part of one, that is skipped. The beginning of its name
/// keeps it from being read as a key of the configuration by the programs that tests start.
pub const SKIPPED: &str = "DECNET_TEST_SKIPPED";

/// Say that the test on this thread, or a part of it, is skipped, and why. The caller then returns.
///
/// The line is `<program>: <test>: <reason>`, whatever lines the reason has.
///
/// # Panics
/// Where the file that is named cannot be written: a test that cannot tell that it is skipped has failed.
#[expect(clippy::print_stdout, reason = "who runs a single test sees it, too")]
pub fn skipped(reason: &str) {
    let thread = thread::current();
    let line = line(&program(), thread.name().unwrap_or("a test"), reason);
    println!("skipped: {line}");
    if let Some(file) = env::var_os(SKIPPED) {
        let noted = note(Path::new(&file), &line);
        assert!(noted.is_ok(), "{}: {noted:?}", file.display());
    }
}

/// The test program's name without the hash that cargo gives it.
fn program() -> String {
    let path = env::current_exe().unwrap_or_default();
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match name.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 => name.to_owned(),
        _ => name,
    }
}

fn line(program: &str, test: &str, reason: &str) -> String {
    let reason: Vec<&str> = reason.split_whitespace().collect();
    format!("{program}: {test}: {}", reason.join(" "))
}

/// One write for a whole line, because the tests of a program run beside each other.
fn note(file: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(format!("{line}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    /// Set for the runs of the test that are skipped.
    const INSIDE: &str = "DECNET_TEST_SKIP_NOW";

    #[test]
    fn a_skipped_test_is_noted_by_its_name_with_its_reason_on_one_line() {
        let test = "skip::tests::a_skipped_test_is_noted_by_its_name_with_its_reason_on_one_line";
        if env::var_os(INSIDE).is_some() {
            return skipped("nginx 1.22 is wanted,\n  and this is none\n");
        }
        let file = env::temp_dir().join(format!("decnet-skipped-{}", std::process::id()));
        for _ in 0..2 {
            let run = Command::new(env::current_exe().unwrap())
                .args(["--exact", test])
                .env(INSIDE, "1")
                .env(SKIPPED, &file)
                .output()
                .unwrap();
            assert!(run.status.success(), "{run:?}");
        }
        let noted = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let line = format!("decnet_testkit: {test}: nginx 1.22 is wanted, and this is none\n");
        assert_eq!(noted, line.repeat(2));
    }

    #[test]
    fn a_skipped_test_that_cannot_be_noted_fails() {
        let test = "skip::tests::a_skipped_test_that_cannot_be_noted_fails";
        if env::var_os(INSIDE).is_some() {
            return skipped("for no reason");
        }
        let run = Command::new(env::current_exe().unwrap())
            .args(["--exact", test])
            .env(INSIDE, "1")
            .env(SKIPPED, "/proc/nowhere/skipped")
            .output()
            .unwrap();
        assert!(!run.status.success(), "{run:?}");
    }
}
