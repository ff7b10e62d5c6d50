//! What a browser loads of the program for each page of the release dashboard, and the bar that it has to stay below.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    pieces::{LOADER, MAIN, MANIFEST},
    place::{Place, Profile},
};

/// The most bytes of program, in brotli, that the first page may load before it comes alive.
const BAR: u64 = 400_000;
/// Where readers come in. The others are prefetched there.
const FIRST: [&str; 3] = ["login", "overview", "password"];

/// Tell what the pages weigh. There has to be a release site.
pub(crate) fn tell(place: &Place) -> Result<()> {
    tell_and_find_heavy(place).map(drop)
}

/// The same, and a first page that is too heavy is an error.
pub(crate) fn check(place: &Place) -> Result<()> {
    let heavy = tell_and_find_heavy(place)?;
    if !heavy.is_empty() {
        bail!(
            "a page may load {BAR} bytes of program; too heavy: {}",
            heavy.join(", ")
        );
    }
    Ok(())
}

fn tell_and_find_heavy(place: &Place) -> Result<Vec<String>> {
    let pages = pages(&place.site(Profile::Release))?;
    if pages.is_empty() {
        bail!("the release has no pages");
    }
    println!("    {:>7}  brotli bytes of WebAssembly and its glue", "page");
    let mut heavy = Vec::new();
    for (page, bytes) in pages {
        let (held, words) = match verdict(&page, bytes) {
            None => (true, String::new()),
            Some(true) => (true, format!("  (bar {BAR}): met")),
            Some(false) => (false, format!("  (bar {BAR}): missed")),
        };
        println!("    {bytes:>7}  {page}{words}");
        if !held {
            heavy.push(page);
        }
    }
    Ok(heavy)
}

/// Whether a page that readers may come in at keeps the bar.
fn verdict(page: &str, bytes: u64) -> Option<bool> {
    FIRST.contains(&page).then_some(bytes <= BAR)
}

/// The pages and their weight: the main module, what fetches the pieces, and the page's own.
fn pages(site: &Path) -> Result<BTreeMap<String, u64>> {
    let folder = folder(&site.join("pkg"))?;
    let weight = |name: &str| {
        let path = folder.join(format!("{name}.br"));
        let file = fs::metadata(&path).with_context(|| format!("there is no {}", path.display()))?;
        Ok::<u64, anyhow::Error>(file.len())
    };
    let always = weight(MAIN)? + weight(LOADER)? + weight("decnet.js")?;
    let list = folder.join(MANIFEST);
    let list = fs::read(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let needs: BTreeMap<String, Vec<String>> = serde_json::from_slice(&list)?;
    needs
        .into_iter()
        .map(|(page, pieces)| {
            let own = pieces
                .iter()
                .map(|piece| weight(&format!("{piece}.wasm")))
                .sum::<Result<u64>>()?;
            Ok((page, always + own))
        })
        .collect()
}

/// The folder that is named after its content.
fn folder(pkg: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(pkg).with_context(|| format!("cannot read {}", pkg.display()))?;
    let mut folders = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    folders
        .next()
        .with_context(|| format!("{} holds no release", pkg.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_page_over_the_bar_misses_it_and_no_other_page_has_one() {
        assert_eq!(verdict("login", BAR), Some(true));
        assert_eq!(verdict("overview", BAR + 1), Some(false));
        assert_eq!(verdict("fleet", BAR + 1), None);
    }

    #[test]
    fn a_page_weighs_what_every_page_loads_and_its_own_pieces() {
        let site = std::env::temp_dir().join(format!("xtask-weight-{}", std::process::id()));
        let folder = site.join("pkg/0123");
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in [
            (MAIN, 100),
            (LOADER, 10),
            ("decnet.js", 1),
            ("chunk_1.wasm", 1_000),
            ("split_live.wasm", 2_000),
        ] {
            fs::write(folder.join(format!("{name}.br")), vec![0; bytes]).unwrap();
        }
        fs::write(
            folder.join(MANIFEST),
            r#"{"live": ["chunk_1", "split_live"], "login": []}"#,
        )
        .unwrap();
        let pages = pages(&site).unwrap();
        assert_eq!((pages["live"], pages["login"]), (3_111, 111));
        fs::write(folder.join(MANIFEST), r#"{"live": ["chunk_2"]}"#).unwrap();
        assert!(super::pages(&site).is_err(), "a piece that is not there is told");
        fs::remove_dir_all(&site).unwrap();
    }
}
