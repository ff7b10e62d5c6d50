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
    all_held(tests(place, profile, &rest, pictures.as_deref())?)
}

/// An error where not all of them did, or none was run.
pub(crate) fn all_held(count: Count) -> Result<()> {
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed > 0 || count.passed == 0 {
        bail!("not every browser test passed");
    }
    Ok(())
}

/// Run the browser tests on programs that are built; `pictures` is where those of the pages go.
pub(crate) fn tests(
    place: &Place,
    profile: Profile,
    rest: &[String],
    pictures: Option<&Path>,
) -> Result<Count> {
    let folder = place.root.join("end2end");
    let mut count = Count::default();
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
        |line| {
            let mut words = line.split_whitespace();
            let (number, word) = (words.next().and_then(|w| w.parse::<u32>().ok()), words.next());
            match (number, word) {
                (Some(n), Some("passed")) => count.passed += n,
                (Some(n), Some("failed" | "flaky" | "interrupted")) => count.failed += n,
                _ => {}
            }
        },
    )?;
    if !good && count.failed == 0 {
        count.failed += 1;
    }
    Ok(count)
}
