//! Installing what is missing, saying what and why. Nothing that is there is touched.

pub(crate) mod wasm;

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{
    place::Place,
    shell::{has, sh, step},
};

/// The version of wasm-bindgen, which must equal the library's in Cargo.toml.
pub(crate) const WASM_BINDGEN: &str = "0.2.130";
/// The version of cargo-leptos.
pub(crate) const CARGO_LEPTOS: &str = "0.3.11";

/// What `cargo xtask setup` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only what `cargo xtask up` needs: no cargo-leptos, no test servers
    #[arg(long)]
    minimal: bool,
}

/// Install everything for developing and testing.
pub(crate) fn run_all(place: &Place, minimal: bool) -> Result<()> {
    for_build(place)?;
    if !minimal {
        for_tests(place)?;
        cargo_leptos(place)?;
        development_environment(place)?;
    }
    Ok(())
}

/// `cargo xtask setup`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    run_all(place, options.minimal)?;
    println!(
        "Ready. `cargo xtask up` runs a whole host; `cargo leptos serve` runs the server for development."
    );
    if !options.minimal {
        println!(
            "cargo-leptos is in {}: put it on your PATH.",
            place.tool("cargo-leptos", CARGO_LEPTOS).join("bin").display()
        );
    }
    Ok(())
}

/// A Debian package that is needed, the program that shows that it is there, and why.
struct Package {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const fn package(program: &'static str, package: &'static str, why: &'static str) -> Package {
    Package {
        program,
        package,
        why,
    }
}

const BUILD_PACKAGES: &[Package] = &[
    package(
        "cc",
        "gcc libc6-dev",
        "SQLite and the cryptographic library are C",
    ),
    package(
        "npm",
        "npm",
        "style sheets, fonts and the WebAssembly optimiser come from npm",
    ),
];

const TEST_PACKAGES: &[Package] = &[
    package(
        "chromium",
        "chromium fonts-dejavu-core",
        "the browser tests run in it",
    ),
    package("mariadbd", "mariadb-server", "the store's tests run on it too"),
    package("nats-server", "nats-server", "the bus's tests run over it too"),
    package("redis-cli", "redis-tools", "attacks the redis decoy"),
    package(
        "redis-server",
        "redis-server",
        "what the redis decoy is compared with",
    ),
    package("mysql", "default-mysql-client", "attacks the mysql decoy"),
    package("lftp", "lftp", "attacks the ftp decoy"),
    package("ssh", "openssh-client", "attacks the ssh decoy"),
    package("sshpass", "sshpass", "attacks the ssh decoy"),
    package("sshd", "openssh-server", "what the ssh decoy is compared with"),
    package("swaks", "swaks", "attacks the smtp decoy"),
    package("curl", "curl", "attacks the http decoy"),
    package("nginx", "nginx-light", "what the http decoy is compared with"),
    package("apache2", "apache2-bin", "what the http decoy is compared with"),
    package("wrk", "wrk", "asks the http decoy and nginx for their benchmark"),
    package("postfix", "postfix", "what the smtp decoy is compared with"),
    package("nmap", "nmap", "scans the decoys"),
    package("hydra", "hydra", "guesses passwords"),
];

/// What building needs.
pub(crate) fn for_build(place: &Place) -> Result<()> {
    debian(BUILD_PACKAGES)?;
    wasm::ensure(place)?;
    wasm_bindgen(place)?;
    npm(place, "style")
}

/// What the tests need beyond building.
pub(crate) fn for_tests(place: &Place) -> Result<()> {
    debian(TEST_PACKAGES)?;
    npm(place, "end2end")
}

fn debian(packages: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = packages.iter().filter(|p| !has(p.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        println!(
            "    missing: {} ({}), because {}",
            package.program, package.package, package.why
        );
    }
    let names: Vec<&str> = missing.iter().flat_map(|p| p.package.split(' ')).collect();
    if !has("apt-get") {
        bail!(
            "install {} with your system's package manager, then try again",
            names.join(", ")
        );
    }
    let root = crate::shell::output(Command::new("id").arg("-u")).as_deref() == Some("0");
    if !root && !has("sudo") {
        bail!(
            "run as root: apt-get install --no-install-recommends {}",
            names.join(" ")
        );
    }
    let apt = |args: &[&str]| {
        let mut command = if root {
            Command::new("apt-get")
        } else {
            Command::new("sudo")
        };
        if !root {
            command.arg("apt-get");
        }
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        // Servers are started by the tests that want them, on their own folders and ports.
        command.env("RUNLEVEL", "1").stdin(std::process::Stdio::null());
        command
    };
    step("Installing Debian packages", || {
        sh(apt(&["update", "-qq"]).arg("-y"))?;
        sh(apt(&["install", "-y", "-qq", "--no-install-recommends"]).args(&names))
    })
}

/// The programs that turn the compiled WebAssembly into what a browser loads.
fn wasm_bindgen(place: &Place) -> Result<()> {
    cargo_tool(
        place,
        "wasm-bindgen-cli",
        WASM_BINDGEN,
        "wasm-bindgen",
        &["--no-default-features"],
        "it makes the browser's side callable; about 2 minutes, once",
    )
}

fn cargo_leptos(place: &Place) -> Result<()> {
    cargo_tool(
        place,
        "cargo-leptos",
        CARGO_LEPTOS,
        "cargo-leptos",
        &["--locked", "--ignore-rust-version", "--features", "no_downloads"],
        "`cargo leptos serve` and `watch` are for development; about 8 minutes, once",
    )
}

fn cargo_tool(
    place: &Place,
    krate: &str,
    version: &str,
    program: &str,
    flags: &[&str],
    why: &str,
) -> Result<()> {
    let folder = place.tool(program, version);
    if folder.join("bin").join(program).is_file() {
        return Ok(());
    }
    step(&format!("Installing {krate} {version}: {why}"), || {
        sh(Command::new("cargo")
            .args(["install", krate, "--version", version, "--root"])
            .arg(&folder)
            .args(flags)
            .env("CARGO_TARGET_DIR", place.cache.join("tools-target"))
            // A tool that runs for seconds need not be optimised for minutes.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"))
    })
}

/// The npm packages of a folder, as its lock file says.
pub(crate) fn npm(place: &Place, folder: &str) -> Result<()> {
    let folder = place.root.join(folder);
    let lock = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.decnet-lock");
    let wanted = std::fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    if std::fs::read(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    step(
        &format!("Installing the npm packages of {}", folder.display()),
        || {
            sh(Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
                .current_dir(&folder))?;
            std::fs::write(&stamp, &wanted).with_context(|| format!("cannot write {}", stamp.display()))
        },
    )
}

/// What `cargo leptos serve` needs to start the server by itself: a data directory and a secret of this clone's own.
fn development_environment(place: &Place) -> Result<()> {
    let path = place.root.join(".env.local");
    if path.exists() {
        return Ok(());
    }
    let mut raw = [0_u8; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut raw)?;
    let secret: String = raw.iter().map(|b| format!("{b:02x}")).collect();
    let data = place.cache.join("dev-data");
    std::fs::create_dir_all(&data)?;
    let text = format!(
        "# Written by `cargo xtask setup` for development; not committed.\n\
         DECNET_ENVIRONMENT=development\nDECNET_DATA_DIR={}\nDECNET_JWT_SECRET={secret}\n",
        data.display()
    );
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
