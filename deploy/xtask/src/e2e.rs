//! The browser tests: Playwright against a whole host that they start themselves.

use std::{
    path::{self, Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    host,
    place::{Place, Profile},
    setup,
    shell::{run_watching, step},
    test::Count,
    weight,
};

/// What `cargo xtask e2e` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Against the release build
    #[arg(long)]
    release: bool,
    /// Take pictures of every page in every state, width and theme, into this folder
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "target/screenshots")]
    screenshots: Option<PathBuf>,
    /// Options of Playwright, such as a file's name or -g TITLE
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PLAYWRIGHT OPTIONS"
    )]
    rest: Vec<String>,
}

/// `cargo xtask e2e`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    let profile = if options.release {
        Profile::Release
    } else {
        Profile::Dev
    };
    setup::for_build(place)?;
    setup::for_tests(place)?;
    host::build(place, profile)?;
    let mut rest = options.rest.clone();
    let mut pictures = None;
    if let Some(folder) = &options.screenshots {
        let folder =
            path::absolute(folder).with_context(|| format!("there is no folder {}", folder.display()))?;
        rest.insert(0, "pages".to_owned());
        println!("The pictures go into {}", folder.display());
        pictures = Some(folder);
    }
    if profile == Profile::Release {
        step("Weighing the pages", || weight::tell(place))?;
    }
    all_held(tests(place, profile, &rest, pictures.as_deref())?.count)
}

/// An error where not all of them did, or none was run.
pub(crate) fn all_held(count: Count) -> Result<()> {
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed > 0 || count.passed == 0 {
        bail!("not every browser test passed");
    }
    Ok(())
}

/// What a run of browser tests told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// A test that held when it was tried again only counts as passed.
    pub(crate) count: Count,
    /// Those tests.
    pub(crate) again: Vec<String>,
    /// Whether the lines that come name such tests.
    naming: bool,
}

impl Told {
    /// Take up a line of Playwright's.
    fn hear(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (number, word) = (words.next().and_then(|w| w.parse::<u32>().ok()), words.next());
        match (number, word) {
            (Some(n), Some("passed" | "flaky")) => self.count.passed += n,
            (Some(n), Some("failed" | "interrupted")) => self.count.failed += n,
            (Some(_), Some("skipped")) => {}
            _ => {
                if self.naming {
                    self.again.push(line.trim_matches([' ', '─']).to_owned());
                }
                return;
            }
        }
        self.naming = word == Some("flaky");
    }
}

/// Run the browser tests on programs that are built; `pictures` is where those of the pages go.
pub(crate) fn tests(
    place: &Place,
    profile: Profile,
    rest: &[String],
    pictures: Option<&Path>,
) -> Result<Told> {
    let folder = place.root.join("end2end");
    let mut told = Told::default();
    let mut playwright = Command::new(folder.join("node_modules/.bin/playwright"));
    if let Some(pictures) = pictures {
        playwright.env("DECNET_TEST_SCREENSHOTS", pictures);
    }
    let good = run_watching(
        playwright
            .arg("test")
            .args(rest)
            .current_dir(&folder)
            .env("DECNET_PROGRAMS", place.programs(profile)),
        |line| told.hear(line),
    )?;
    if !good && told.count.failed == 0 {
        told.count.failed += 1;
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_held_only_the_second_time_is_counted_and_named() {
        let mut told = Told::default();
        for line in [
            "  ✓  1 tests/live.spec.ts:7:1 › an attack stands there (1.2s)",
            "  1 failed",
            "    tests/table.spec.ts:9:1 › rows stay ──────────",
            "  2 flaky",
            "    tests/live.spec.ts:41:1 › an attacker appears ────────",
            "    tests/fleet.spec.ts:3:1 › the palette ──",
            "  2 skipped",
            "  218 passed (21.6m)",
            "",
        ] {
            told.hear(line);
        }
        let again = [
            "tests/live.spec.ts:41:1 › an attacker appears",
            "tests/fleet.spec.ts:3:1 › the palette",
        ];
        assert_eq!(told.again, again);
        assert_eq!((told.count.passed, told.count.failed), (220, 1));
    }
}
