//! The program inside a decky as it is shipped: static, small, and with nothing in it that says what it is.
//!
//! It has a profile of its own (`[profile.decoy]`) and flags that cannot stand in a manifest because they name folders
//! of this machine. Every build ends with a look at what can be read out of the program; one word too many fails it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    place::{Place, Profile},
    setup::wasm,
    shell::{cargo, sh},
};

/// Its package.
pub(crate) const PACKAGE: &str = "decnet-worker-decoy";
const PROGRAM: &str = "decnet-decoy";
const PROFILE: &str = "decoy";
/// Words that give it away, in lower case: what it is called, and what only its operators say.
const GIVEAWAYS: [&str; 11] = [
    "decnet",
    "honeypot",
    "honeynet",
    "decoy",
    "decky",
    "deckies",
    "mutator",
    "intruder",
    "takeover",
    "are captured",
    "is captured",
];

/// Build it and put it beside the other release programs, where the fleet looks for it; where it was built.
pub(crate) fn build(place: &Place) -> Result<PathBuf> {
    let host = wasm::host()?;
    let registry = cargo_home()?.join("registry/src");
    // Paths stand in the words of panics. Of two that fit, the later counts.
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    for (from, to) in [
        (registry.as_path(), "vendor"),
        (place.root.as_path(), "src"),
        (Path::new("app"), "lib"),
        (Path::new("app/decoys/src"), "net"),
        (Path::new("workers/decoy/src"), "bin"),
    ] {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    // With a target named the flags are for the program alone, not for build scripts and macros, which are not static.
    sh(cargo(place)
        .args([
            "build",
            "--profile",
            PROFILE,
            "--target",
            &host,
            "-p",
            PACKAGE,
            "--bin",
            PROGRAM,
        ])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")))?;
    let built = place.target.join(&host).join(PROFILE).join(PROGRAM);
    let mut words = GIVEAWAYS.map(str::to_owned).to_vec();
    words.extend([&place.root, &registry].map(|path| path.display().to_string()));
    says_nothing_of(&built, &words)?;
    place_beside(&built, &place.programs(Profile::Release))?;
    Ok(built)
}

/// Put the program into `folder` in one step: a fleet may be running the old one.
fn place_beside(built: &Path, folder: &Path) -> Result<()> {
    let (new, name) = (folder.join(".decoy-new"), folder.join(PROGRAM));
    fs::create_dir_all(folder)?;
    fs::copy(built, &new).with_context(|| format!("cannot copy {}", built.display()))?;
    fs::rename(&new, &name).with_context(|| format!("cannot replace {}", name.display()))
}

/// Where cargo keeps the sources of dependencies.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")
}

/// Fail where one of `words`, in whatever case, can be read in `program`.
pub(crate) fn says_nothing_of(program: &Path, words: &[String]) -> Result<()> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let words: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let told = giveaways(&bytes, &words);
    if !told.is_empty() {
        bail!(
            "{} says what it must not, in {} strings:\n{}",
            program.display(),
            told.len(),
            told.join("\n")
        );
    }
    Ok(())
}

/// The readable strings of `program` that hold one of `words`, which are in lower case.
fn giveaways(program: &[u8], words: &[String]) -> Vec<String> {
    program
        .split(|b| !(b' '..=b'~').contains(b))
        .filter(|run| run.len() >= 5)
        .map(|run| String::from_utf8_lossy(run).to_ascii_lowercase())
        .filter_map(|text| {
            let at = words.iter().find_map(|word| text.find(word.as_str()))?;
            // Strings stand without end beside each other: what is around the word is enough.
            Some(text.chars().skip(at.saturating_sub(60)).take(120).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_any_case_is_found_inside_a_longer_string_and_shown_with_what_is_around_it() {
        let words = ["decky".to_owned()];
        let found = giveaways(b"\x7fELF\0\x01struct DeckyConfig with 6\0no more\0", &words);
        assert_eq!(found, ["struct deckyconfig with 6"]);
        assert_eq!(giveaways(b"struct Config\0deck\0y\0", &words), [""; 0]);
    }
}
