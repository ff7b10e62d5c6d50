//! The WebAssembly target of the Rust toolchain.
//!
//! The ordinary way is `rustup target add`. Where rustup reaches no network, Debian's `rustc-web` is unpacked into the
//! cache, its standard library built for wasm32 once, and the whole linked as rustup toolchain `decnet-wasm`, which
//! then builds both halves.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, bail};

use crate::{
    place::Place,
    shell::{output, sh, step},
};

/// The target.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
const HOST: &str = "x86_64-unknown-linux-gnu";
const LINKED: &str = "decnet-wasm";

fn has_std(toolchain: Option<&str>) -> bool {
    let mut command = Command::new("rustc");
    if let Some(name) = toolchain {
        command.env("RUSTUP_TOOLCHAIN", name);
    } else {
        // The toolchain that cargo runs xtask under is the user's; ask for that one.
        command.env_remove("RUSTC");
    }
    let Some(folder) = output(command.args(["--print", "target-libdir", "--target", TARGET])) else {
        return false;
    };
    fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("libstd-")))
    })
}

/// The toolchain that builds everything, where the user's own has no WebAssembly target and cannot get it.
pub(crate) fn linked_toolchain() -> Option<&'static str> {
    static LINKED_IN_USE: OnceLock<bool> = OnceLock::new();
    LINKED_IN_USE
        .get_or_init(|| !has_std(None) && has_std(Some(LINKED)))
        .then_some(LINKED)
}

/// Make sure that there is a toolchain with the target.
pub(crate) fn ensure(place: &Place) -> Result<()> {
    if has_std(None) || has_std(Some(LINKED)) {
        return Ok(());
    }
    let by_rustup = step(
        "Adding the WebAssembly target: the dashboard runs in the browser",
        || sh(Command::new("rustup").args(["target", "add", TARGET])),
    );
    match by_rustup {
        Ok(()) if has_std(None) => Ok(()),
        _ => step(
            "rustup reached no network: taking Debian's Rust for the web instead",
            || from_debian(place),
        ),
    }
}

fn from_debian(place: &Place) -> Result<()> {
    let folder = place.cache.join("debian-wasm-rust");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let debs = folder.join("debs");
    fs::create_dir_all(debs.join("partial"))?;
    sh(Command::new("apt-get").args(["update", "-qq"]))?;
    let depends = output(Command::new("apt-cache").args([
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
        "libstd-rust-web-dev",
    ]))
    .context("apt-cache knows no libstd-rust-web-dev")?;
    let llvm: String = depends
        .lines()
        .find_map(|l| l.strip_prefix("libllvm"))
        .context("libstd-rust-web-dev names no libllvm")?
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    // Only downloaded: apt resolves what this machine lacks, and nothing of the system changes.
    sh(Command::new("apt-get")
        .args([
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "--download-only",
            "-o",
        ])
        .arg(format!("Dir::Cache::archives={}", debs.display()))
        .args([
            "rustc-web",
            "cargo-web",
            "rust-web-src",
            "rust-web-clippy",
            "rustfmt-web",
        ])
        .arg(format!("lld-{llvm}")))?;
    for entry in fs::read_dir(&debs)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "deb") {
            sh(Command::new("dpkg").arg("-x").arg(&path).arg(&folder))?;
        }
    }
    let root = folder.join("usr");
    // rustup puts <toolchain>/lib on the loader's path, and Debian keeps its libraries one folder below.
    for entry in fs::read_dir(root.join("lib").join("x86_64-linux-gnu"))? {
        let name = entry?.file_name();
        if name.to_string_lossy().contains(".so") {
            link(
                &Path::new("x86_64-linux-gnu").join(&name),
                &root.join("lib").join(&name),
            )?;
        }
    }
    let bin = root.join("lib/rustlib").join(HOST).join("bin");
    fs::create_dir_all(&bin)?;
    link(
        Path::new(&format!("../../../../bin/lld-{llvm}")),
        &bin.join("rust-lld"),
    )?;
    sh(Command::new("rustup")
        .args(["toolchain", "link", LINKED])
        .arg(&root))?;
    build_std(&folder, &root)?;
    if !has_std(Some(LINKED)) {
        bail!("Debian's Rust has no standard library for {TARGET} after building it");
    }
    fs::remove_dir_all(&debs).context("cannot remove the downloaded packages")
}

fn build_std(folder: &Path, root: &Path) -> Result<()> {
    let seed = folder.join("seed");
    fs::create_dir_all(seed.join("src"))?;
    fs::write(
        seed.join("Cargo.toml"),
        "[package]\nname = \"seed\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n",
    )?;
    fs::write(seed.join("src/lib.rs"), "#![no_std]\n")?;
    sh(Command::new("cargo")
        .args([
            "build",
            "-q",
            "--release",
            "--target",
            TARGET,
            "-Z",
            "build-std=std,panic_abort,proc_macro,test",
        ])
        .current_dir(&seed)
        .env_remove("RUSTFLAGS")
        .env("RUSTUP_TOOLCHAIN", LINKED)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", seed.join("target")))?;
    let built = seed.join("target").join(TARGET).join("release/deps");
    let lib: PathBuf = root.join("lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&lib)?;
    for entry in fs::read_dir(built)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libseed-") {
            fs::copy(&path, lib.join(&name))?;
        }
    }
    fs::remove_dir_all(&seed).context("cannot remove the seed crate")
}

fn link(to: &Path, from: &Path) -> Result<()> {
    if from.symlink_metadata().is_ok() {
        return Ok(());
    }
    std::os::unix::fs::symlink(to, from).with_context(|| format!("cannot link {}", from.display()))
}
