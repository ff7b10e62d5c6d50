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

use super::{apt, apt_update};
use crate::{
    place::Place,
    shell::{has, output, sh, step},
};

/// The target.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
/// The one machine that the Debian way was tried on.
const DEBIAN_HOST: &str = "x86_64-unknown-linux-gnu";
const LINKED: &str = "decnet-wasm";
/// How long rustup may look for a network, in seconds.
const RUSTUP_LIMIT: &str = "180";

/// What this machine is called by Rust.
pub(crate) fn host() -> Result<String> {
    output(Command::new("rustc").arg("-vV"))
        .and_then(|text| {
            Some(
                text.lines()
                    .find_map(|line| line.strip_prefix("host: "))?
                    .to_owned(),
            )
        })
        .context("`rustc -vV` does not name the host: is Rust installed, by https://rustup.rs?")
}

/// Whether a toolchain, the one in use where none is named, has the target's standard library.
fn has_std(toolchain: Option<&str>) -> bool {
    let mut command = Command::new("rustc");
    if let Some(name) = toolchain {
        command.env("RUSTUP_TOOLCHAIN", name);
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
    if !has("rustup") {
        bail!(
            "this Rust has no {TARGET} target, and there is no rustup to add it: install Rust by https://rustup.rs"
        );
    }
    let added = step(
        "Adding the WebAssembly target: the dashboard runs in the browser",
        || sh(Command::new("timeout").args([RUSTUP_LIMIT, "rustup", "target", "add", TARGET])),
    );
    match added {
        Ok(()) if has_std(None) => return Ok(()),
        Ok(()) => println!("    rustup says that it is there, and rustc does not find it"),
        Err(error) => println!("    {error:#}"),
    }
    step(
        "Taking Debian's Rust for the web instead, because rustup cannot get the target",
        || from_debian(place),
    )
    .with_context(|| {
        format!("no way to the WebAssembly target: give rustup a network, then `rustup target add {TARGET}`")
    })
}

fn from_debian(place: &Place) -> Result<()> {
    let host = host()?;
    if host != DEBIAN_HOST || !has("apt-get") {
        bail!("this is written for Debian on {DEBIAN_HOST}, and this is {host}");
    }
    let folder = place.cache.join("debian-wasm-rust");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let debs = folder.join("debs");
    fs::create_dir_all(debs.join("partial")).with_context(|| format!("cannot make {}", debs.display()))?;
    apt_update()?;
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
    sh(apt(&[
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "--download-only",
        "rustc-web",
        "cargo-web",
        "rust-web-src",
        "rust-web-clippy",
        "rustfmt-web",
    ])?
    .arg(format!("lld-{llvm}"))
    .arg("-o")
    .arg(format!("Dir::Cache::archives={}", debs.display())))?;
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
    let bin = root.join("lib/rustlib").join(DEBIAN_HOST).join("bin");
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
