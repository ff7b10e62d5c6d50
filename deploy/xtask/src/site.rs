//! The dashboard's files: WebAssembly, its glue, the style sheet, fonts and icons, each also in brotli for release.
//!
//! In a release they lie in a folder that is named after what is in them (`pkg/<hash>`), so that a browser keeps them for
//! good. Development builds have one module, in `pkg` itself, as cargo-leptos makes it.

use std::{
    fmt::Write as _,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context, Result};

use crate::{
    pieces,
    place::{Place, Profile},
    programs,
    setup::wasm,
    shell::{cargo, sh, step},
};

/// A file that is written last, and says what the others were made from.
pub(crate) const STAMP: &str = ".built";

/// Leptos erases the types of what views are made of: about an eighth less WebAssembly, and more of it alike. It changes the
/// marks in a page that hydration goes by (an element's children end with one), so both halves are built with it. Development
/// builds have it from `.cargo/config.toml`.
pub(crate) const ERASED: &str = "--cfg=erase_components";

/// Build the dashboard's files, unless they are made from just what there is.
pub(crate) fn build(place: &Place, profile: Profile) -> Result<()> {
    let folder = compile(place, profile)?;
    let compiled = place
        .target
        .join(wasm::TARGET)
        .join(folder)
        .join("decnet_frontend.wasm");
    let site = place.site(profile);
    let done = site.join(STAMP);
    // Another clone builds into the same folder, so being newer is not enough.
    let inputs = state_of(&[&compiled, &place.root.join("style")])?;
    if fs::read_to_string(&done).is_ok_and(|made_from| made_from == inputs) {
        return Ok(());
    }
    step("Putting the dashboard's files together", || {
        if site.exists() {
            fs::remove_dir_all(&site).with_context(|| format!("cannot remove {}", site.display()))?;
        }
        let pkg = site.join("pkg");
        fs::create_dir_all(&pkg)?;
        match profile {
            Profile::Dev => bind(place, &compiled, &pkg)?,
            Profile::Release => pieces::make(place, &compiled, &pkg)?,
        }
        style(place, profile, &pkg)?;
        copy_folder(&place.root.join("style/public"), &site)?;
        if profile == Profile::Release {
            compress(&site)?;
            name_by_content(&pkg)?;
        }
        fs::write(&done, &inputs).with_context(|| format!("cannot write {}", done.display()))
    })
}

/// Compile the browser's half, and give the folder below the target's that it ends up in.
pub(crate) fn compile(place: &Place, profile: Profile) -> Result<&'static str> {
    let (mut command, cargo_profile, folder) = match profile {
        Profile::Dev => (cargo(place), "dev", "debug"),
        Profile::Release => (
            programs::release_with(place, &[pieces::RELOCATIONS])?,
            "wasm-release",
            "wasm-release",
        ),
    };
    command.args(["build", "-p", "decnet-frontend", "--lib"]);
    command.args(["--target", wasm::TARGET, "--profile", cargo_profile]);
    if profile == Profile::Release {
        command.args(["--features", pieces::FEATURE]);
    }
    sh(&mut command)?;
    Ok(folder)
}

fn bind(place: &Place, compiled: &Path, pkg: &Path) -> Result<()> {
    sh(Command::new(programs::glue(place, Profile::Dev))
        .arg("bind")
        .arg(compiled)
        .arg(pkg))?;
    // What the page asks for is `decnet.wasm`; wasm-bindgen calls it `decnet_bg.wasm`.
    fs::rename(pkg.join("decnet_bg.wasm"), pkg.join("decnet.wasm")).context("cannot name the WebAssembly")
}

fn style(place: &Place, profile: Profile, pkg: &Path) -> Result<()> {
    let form = if profile == Profile::Release {
        "compressed"
    } else {
        "expanded"
    };
    sh(Command::new(npm_program(place, "sass"))
        .args(["--no-source-map", "--style", form])
        .arg(place.root.join("style/main.scss"))
        .arg(pkg.join("decnet.css")))
}

/// A brotli copy beside each text and WebAssembly file: the server sends it to whoever takes it.
fn compress(site: &Path) -> Result<()> {
    // What is not told to wait goes side by side.
    let script = "const z=require('node:zlib'),f=require('node:fs');for(const p of process.argv.slice(1)){\
        z.brotliCompress(f.readFileSync(p),(e,b)=>{if(e)throw e;f.writeFileSync(p+'.br',b)})}";
    let mut files = Vec::new();
    walk(site, &mut |path| {
        if path
            .extension()
            .is_some_and(|e| ["wasm", "js", "css", "svg"].iter().any(|known| e == *known))
        {
            files.push(path.to_owned());
        }
    })?;
    sh(Command::new("node").args(["-e", script]).args(&files))
}

/// Move what is in `pkg` into a folder of it whose name changes with the content.
fn name_by_content(pkg: &Path) -> Result<()> {
    let mut files = Vec::new();
    walk(pkg, &mut |path| files.push(path.to_owned()))?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in &files {
        file.file_name().hash(&mut hasher);
        fs::read(file)
            .with_context(|| format!("cannot read {}", file.display()))?
            .hash(&mut hasher);
    }
    let folder = pkg.join(format!("{:016x}", hasher.finish()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for file in &files {
        let name = file.file_name().context("a file has no name")?;
        fs::rename(file, folder.join(name)).with_context(|| format!("cannot move {}", file.display()))?;
    }
    Ok(())
}

/// A program that npm has put beside the style sheets.
pub(crate) fn npm_program(place: &Place, name: &str) -> PathBuf {
    place.root.join("style/node_modules/.bin").join(name)
}

/// The WebAssembly modules of a site.
pub(crate) fn modules(site: &Path) -> Result<Vec<PathBuf>> {
    let mut modules = Vec::new();
    walk(site, &mut |path| {
        if path.extension().is_some_and(|e| e == "wasm") {
            modules.push(path.to_owned());
        }
    })?;
    Ok(modules)
}

/// Copy a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

fn walk(folder: &Path, each: &mut impl FnMut(&Path)) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.file_name() == "node_modules" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), each)?;
        } else {
            each(&entry.path());
        }
    }
    Ok(())
}

/// Which files these are: where, how many, and when the newest of them was changed.
fn state_of(paths: &[&Path]) -> Result<String> {
    let mut state = String::new();
    for path in paths {
        let (mut count, mut newest) = (0, SystemTime::UNIX_EPOCH);
        let mut see = |file: &Path| {
            count += 1;
            if let Ok(changed) = fs::metadata(file).and_then(|m| m.modified()) {
                newest = newest.max(changed);
            }
        };
        if path.is_dir() {
            walk(path, &mut see)?;
        } else {
            see(path);
        }
        // Writing to a string cannot fail.
        let _written = writeln!(state, "{}: {count} files, {newest:?}", path.display());
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_file_in_the_place_of_a_newer_one_and_one_file_less_are_seen() {
        let folder = std::env::temp_dir().join(format!("xtask-site-{}", std::process::id()));
        fs::create_dir_all(folder.join("style/node_modules")).unwrap();
        let (wasm, style) = (folder.join("x.wasm"), folder.join("style"));
        let write = |name: &str, seconds: u64| {
            let file = fs::File::create(folder.join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
                .unwrap();
        };
        let state = || state_of(&[&wasm, &style]).unwrap();
        write("x.wasm", 20);
        write("style/a.scss", 5);
        write("style/b.scss", 9);
        let first = state();
        assert_eq!(state(), first);
        write("style/node_modules/other", 99);
        assert_eq!(state(), first, "what npm brings is told by its lock file");
        fs::remove_file(style.join("a.scss")).unwrap();
        assert_ne!(state(), first);
        write("style/a.scss", 5);
        write("x.wasm", 10);
        assert_ne!(state(), first);
        fs::remove_dir_all(&folder).unwrap();
    }
}
