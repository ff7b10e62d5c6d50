//! `cargo xtask test`: every test there is, what of them was skipped and why, and the count at the end.

use std::{collections::BTreeSet, fs, io, path::Path, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{
    checks, contract, decoy, e2e, lab,
    place::{Place, Profile},
    setup,
    shell::{cargo, run_watching, sh, side_by_side, step},
    site,
};

/// Everything but the browser's half, which has no tests of its own and must not share features with the server's.
pub(crate) const NATIVE: &[&str] = &[
    "--workspace",
    "--exclude",
    "decnet-frontend",
    "--features",
    "decnet-app/ssr,decnet-decoys/serve,decnet-model/openapi",
];

/// The tests in labs, which run beside all others.
const LABS: [&str; 2] = ["--test", "lab"];

/// Names the file that takes a line for each test that is skipped: `decnet_testkit::SKIPPED`, which tests write by.
const SKIPPED: &str = "DECNET_TEST_SKIPPED";

/// What `cargo xtask test` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out formatting, clippy and licences
    #[arg(long)]
    no_lint: bool,
    /// Leave out the tests of the crates
    #[arg(long)]
    no_crates: bool,
    /// Leave out holding the API against its description
    #[arg(long)]
    no_contract: bool,
    /// Leave out the browser tests
    #[arg(long)]
    no_e2e: bool,
}

/// Passed and failed tests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// Tests that held.
    pub(crate) passed: u32,
    /// Tests that did not.
    pub(crate) failed: u32,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// `cargo xtask test`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    let start = Instant::now();
    setup::for_build(place)?;
    setup::for_tests(place)?;
    let no_lab = step("Trying whether a lab can be made here", || {
        Ok(lab::cannot_be_made(place))
    })?;
    let mut count = Count::default();
    let mut broken = Vec::new();
    let mut again = Vec::new();
    let mut skipped = BTreeSet::new();

    // Programs and tests in one build: what they share is built once, with the features that both need. Tests that run
    // a program find it beside their own.
    // The program of the decoys is built as it is shipped, too: containers have nothing that another would need.
    step(
        "Building programs and tests, and beside them the program of the decoys",
        || {
            side_by_side(
                || sh(cargo(place).args(["build", "--bins", "--tests"]).args(NATIVE)),
                || decoy::build(place).map(drop),
            )
        },
    )?;
    if !options.no_crates {
        let told = step(
            "Running the tests of the crates, and beside them those in labs",
            || native(place, no_lab.as_deref()),
        )?;
        for of in told {
            count += of.count;
            broken.extend(of.broken);
            skipped.extend(of.skipped);
        }
    }
    if !options.no_contract {
        match contract::hold(place, false) {
            Ok(held) => count += held,
            Err(error) => {
                println!("contract: {error:#}");
                broken.push("contract".to_owned());
                count.failed += 1;
            }
        }
    }
    if !options.no_e2e {
        step("Building the dashboard", || site::build(place, Profile::Dev))?;
        // A trace of each takes a sixth of the time; `cargo xtask e2e` keeps those of what fails. Here two cores carry all of it: what
        // comes too late once is tried once more, and named.
        let options = ["--trace=off", "--retries=1"].map(str::to_owned);
        let told = step("Running the browser tests", || {
            e2e::tests(place, Profile::Dev, &options, None)
        })?;
        count += told.count;
        again.extend(told.again);
    }
    if !options.no_lint {
        for (name, result) in checks::all(place) {
            match result {
                Ok(()) => count.passed += 1,
                Err(error) => {
                    println!("{name}: {error:#}");
                    broken.push(name.to_owned());
                    count.failed += 1;
                }
            }
        }
    }
    for test in &skipped {
        println!("SKIPPED: {test}");
    }
    for test in &again {
        println!("HELD ONLY WHEN TRIED AGAIN: {test}");
    }
    for name in &broken {
        println!("FAILED: {name}");
    }
    println!("{} skipped here, of the tests of the crates", skipped.len());
    println!("All tests took {:.0} s", start.elapsed().as_secs_f64());
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed > 0 || count.passed == 0 || !broken.is_empty() {
        bail!("not every test passed");
    }
    Ok(())
}

/// What a run of tests told.
#[derive(Default)]
struct Told {
    count: Count,
    broken: Vec<String>,
    skipped: BTreeSet<String>,
}

/// Run the tests that are built: those in labs, which wait most of the time for machines to come and go, beside all others.
fn native(place: &Place, no_lab: Option<&str>) -> Result<[Told; 2]> {
    let (mut crates, mut labs) = (Told::default(), Told::default());
    side_by_side(
        || {
            crates = cargo_test(place, "crates", &[], None)?;
            Ok(())
        },
        || {
            labs = cargo_test(place, "labs", &LABS, no_lab)?;
            Ok(())
        },
    )?;
    Ok([crates, labs])
}

/// Run those of the tests that `which` names, all of the default ones where it names none.
fn cargo_test(place: &Place, name: &str, which: &[&str], no_lab: Option<&str>) -> Result<Told> {
    let mut told = Told::default();
    let notes = place
        .target
        .join(format!("skipped-{name}-{}", std::process::id()));
    let mut tests = cargo(place);
    tests
        .args(["test", "--no-fail-fast"])
        .args(which)
        .args(NATIVE)
        .env(SKIPPED, &notes);
    if let Some(why) = no_lab {
        tests.env(decnet_lab::LEFT_OUT, format!("no lab can be made here: {why}"));
    }
    let good = run_watching(&mut tests, |line| {
        if let Some(name) = line
            .strip_suffix(" ... FAILED")
            .and_then(|l| l.strip_prefix("test "))
        {
            told.broken.push(name.to_owned());
        }
        if let Some(result) = of_cargo(line) {
            told.count += result;
        }
    })?;
    if !good && told.count.failed == 0 {
        told.count.failed += 1;
        told.broken.push(format!(
            "{name}: cargo test did not get through (a crate does not build, or a test process was killed)"
        ));
    }
    told.skipped = taken(&notes)?;
    Ok(told)
}

/// What tests noted that were skipped, each once; the notes are gone then.
fn taken(notes: &Path) -> Result<BTreeSet<String>> {
    let text = match fs::read_to_string(notes) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error).with_context(|| format!("what was skipped: {}", notes.display())),
    };
    fs::remove_file(notes).with_context(|| format!("cannot remove {}", notes.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// `test result: ok. 12 passed; 0 failed; …`
fn of_cargo(line: &str) -> Option<Count> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |word: &str| {
        rest.split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
    };
    Some(Count {
        passed: number("passed")?,
        failed: number("failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_result_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(
            of_cargo(line),
            Some(Count {
                passed: 12,
                failed: 3
            })
        );
        assert_eq!(of_cargo("test x ... ok"), None);
    }

    #[test]
    fn what_tests_note_that_are_skipped_is_told_once_each_and_by_the_name_that_they_know() {
        assert_eq!(SKIPPED, decnet_testkit::SKIPPED);
        let notes = std::env::temp_dir().join(format!("decnet-notes-{}", std::process::id()));
        assert_eq!(taken(&notes).unwrap(), BTreeSet::new(), "nothing was skipped");
        fs::write(&notes, "b: two: no y\na: one: no x\nb: two: no y\n").unwrap();
        let told: Vec<String> = taken(&notes).unwrap().into_iter().collect();
        assert_eq!(told, ["a: one: no x", "b: two: no y"]);
        assert!(!notes.exists());
    }
}
