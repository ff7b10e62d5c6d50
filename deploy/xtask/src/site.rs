//! The dashboard's files: WebAssembly, its glue, the style sheet, fonts and icons, each also in brotli for release.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context, Result};

use crate::{
    place::{Place, Profile},
    setup::{WASM_BINDGEN, wasm},
    shell::{cargo, sh, step},
};

/// A file that is written last, and says what the others were made from.
pub(crate) const STAMP: &str = ".built";

/// What rustc uses of WebAssembly. With more, wasm-opt writes what browsers do not read yet.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Build the dashboard's files, unless they are made from just what there is.
pub(crate) fn build(place: &Place, profile: Profile) -> Result<()> {
    let cargo_profile = match profile {
        Profile::Dev => "dev",
        Profile::Release => "wasm-release",
    };
    sh(cargo(place).args([
        "build",
        "-p",
        "decnet-frontend",
        "--lib",
        "--target",
        wasm::TARGET,
        "--profile",
        cargo_profile,
    ]))?;
    let folder = if profile == Profile::Release {
        "wasm-release"
    } else {
        "debug"
    };
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
        glue(place, profile, &compiled, &pkg)?;
        style(place, profile, &pkg)?;
        copy_folder(&place.root.join("style/public"), &site)?;
        if profile == Profile::Release {
            compress(&site)?;
        }
        fs::write(&done, &inputs).with_context(|| format!("cannot write {}", done.display()))
    })
}

fn glue(place: &Place, profile: Profile, compiled: &Path, pkg: &Path) -> Result<()> {
    let program = place.tool("wasm-bindgen", WASM_BINDGEN).join("bin/wasm-bindgen");
    sh(Command::new(program)
        .args([
            "--target",
            "web",
            "--out-name",
            "decnet",
            "--no-typescript",
            "--out-dir",
        ])
        .arg(pkg)
        .arg(compiled))?;
    // What the page asks for is `decnet.wasm`; wasm-bindgen calls it `decnet_bg.wasm`.
    let (named, wanted) = (pkg.join("decnet_bg.wasm"), pkg.join("decnet.wasm"));
    if profile == Profile::Release {
        sh(Command::new(npm_program(place, "wasm-opt"))
            .arg("-Oz")
            .args(WASM_FEATURES)
            .arg(&named)
            .arg("-o")
            .arg(&wanted))?;
        let compile = "WebAssembly.compile(require('node:fs').readFileSync(process.argv[1]))\
            .catch((error)=>{console.error(error.message);process.exit(1)})";
        sh(Command::new("node").args(["-e", compile]).arg(&wanted))
            .context("no browser would read the optimised WebAssembly")?;
        fs::remove_file(&named).context("cannot remove the unoptimised WebAssembly")
    } else {
        fs::rename(&named, &wanted).context("cannot name the WebAssembly")
    }
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
    let script = "const z=require('node:zlib'),f=require('node:fs');for(const p of process.argv.slice(1)){\
        f.writeFileSync(p+'.br',z.brotliCompressSync(f.readFileSync(p)))}";
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

fn npm_program(place: &Place, name: &str) -> PathBuf {
    place.root.join("style/node_modules/.bin").join(name)
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
