//! The dashboard's files: WebAssembly, its glue, the style sheet, fonts and icons, each also in brotli for release.

use std::{
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

/// Build the dashboard's files, unless they are newer than everything that they are made from.
pub(crate) fn build(place: &Place, profile: Profile) -> Result<()> {
    let cargo_profile = match profile {
        Profile::Dev => "dev",
        Profile::Release => "wasm-release",
    };
    sh(cargo(place).args([
        "build",
        "--quiet",
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
    let done = site.join(".built");
    let inputs = [compiled.clone(), place.root.join("style")];
    if let Some(built) = modified(&done)
        && inputs
            .iter()
            .all(|path| newest(path).is_some_and(|at| at <= built))
    {
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
        assets(place, &site)?;
        if profile == Profile::Release {
            compress(&site)?;
        }
        fs::write(&done, "").with_context(|| format!("cannot write {}", done.display()))
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
            .arg("--all-features")
            .arg(&named)
            .arg("-o")
            .arg(&wanted))?;
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

/// Fonts from their npm packages, and what is in style/public.
fn assets(place: &Place, site: &Path) -> Result<()> {
    copy_folder(&place.root.join("style/public"), site)?;
    let fonts = site.join("fonts");
    fs::create_dir_all(&fonts)?;
    let modules = place.root.join("style/node_modules");
    for (package, file, name) in [
        (
            "@fontsource-variable/inter",
            "inter-latin-wght-normal.woff2",
            "inter.woff2",
        ),
        (
            "@fontsource-variable/jetbrains-mono",
            "jetbrains-mono-latin-wght-normal.woff2",
            "jetbrains-mono.woff2",
        ),
    ] {
        let from = modules.join(package).join("files").join(file);
        fs::copy(&from, fonts.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
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

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
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

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// When the newest file of `path`, a file or a folder, was changed.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.is_file() {
        return modified(path);
    }
    let mut newest = None;
    walk(path, &mut |file| newest = newest.max(modified(file))).ok()?;
    newest
}
