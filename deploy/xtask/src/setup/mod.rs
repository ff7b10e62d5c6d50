//! Installing what is missing, saying what and why. Nothing that is there is touched.

pub(crate) mod wasm;

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    place::Place,
    shell::{has, output, sh, step},
};

/// The version of wasm-bindgen's program, which cargo-leptos looks for, and which must equal the library's in Cargo.toml.
pub(crate) const WASM_BINDGEN: &str = "0.2.130";
/// The version of cargo-leptos.
pub(crate) const CARGO_LEPTOS: &str = "0.3.11";
/// The version of cargo-fuzz.
pub(crate) const CARGO_FUZZ: &str = "0.13.2";

/// Disk that a first build takes, with its tests.
const FIRST_BUILD_GB: u32 = 12;

/// What `cargo xtask setup` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only what `cargo xtask up` needs: no cargo-leptos, no test servers
    #[arg(long)]
    minimal: bool,
}

/// `cargo xtask setup`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    for_build(place)?;
    if !options.minimal {
        for_tests(place)?;
        cargo_leptos(place)?;
    }
    println!(
        "Ready. `cargo xtask up` runs a whole host, `cargo leptos watch` the dashboard while you work on it."
    );
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
    // A library is no program: its own file shows that it is there.
    package(
        "/usr/lib/python3/dist-packages/pymysql/__init__.py",
        "python3-pymysql",
        "attacks the mysql decoy",
    ),
    package("lftp", "lftp", "attacks the ftp decoy"),
    package("ssh", "openssh-client", "attacks the ssh decoy"),
    package("sshpass", "sshpass", "attacks the ssh decoy"),
    package("sshd", "openssh-server", "what the ssh decoy is compared with"),
    package(
        "swaks",
        "swaks libnet-ssleay-perl libdigest-hmac-perl",
        "attacks the smtp decoy, over TLS and with CRAM-MD5, too",
    ),
    package(
        "/usr/share/perl5/Digest/HMAC_MD5.pm",
        "libnet-ssleay-perl libdigest-hmac-perl",
        "swaks speaks TLS and CRAM-MD5 with them",
    ),
    package("curl", "curl", "attacks the http decoy"),
    package("nginx", "nginx-light", "what the http decoy is compared with"),
    package("apache2", "apache2-bin", "what the http decoy is compared with"),
    package("wrk", "wrk", "asks the http decoy and nginx for their benchmark"),
    package("postfix", "postfix", "what the smtp decoy is compared with"),
    package("nmap", "nmap", "scans the decoys"),
    package("hydra", "hydra", "guesses passwords"),
];

const LAB_PACKAGES: &[Package] = &[
    package("ip", "iproute2", "the lab is made of network namespaces"),
    package("iptables-restore", "iptables", "deckies are contained with it"),
    package("runc", "runc", "starts the containers of the lab's Docker"),
    package(
        "arping",
        "iputils-arping",
        "the lab's attacker asks who has an address",
    ),
    package("nc", "netcat-openbsd", "the lab's attacker speaks with services"),
    package(
        "busybox",
        "busybox-static",
        "an operator's own image in the lab is made of it",
    ),
    package("ping", "iputils-ping", "the lab's attacker asks who is there"),
];

/// What only the benchmark of the lab uses.
const SCAN_PACKAGES: &[Package] = &[package(
    "p0f",
    "p0f",
    "says what passing packets tell of a system",
)];

const PYTHON: Package = package(
    "python3",
    "python3 python3-venv",
    "Cowrie is a Python program, in an environment of its own",
);

/// What building needs.
pub(crate) fn for_build(place: &Place) -> Result<()> {
    tell_room(place);
    debian(BUILD_PACKAGES)?;
    wasm::ensure(place)?;
    npm(place, "style")?;
    fonts(place)
}

/// What the tests need beyond building.
pub(crate) fn for_tests(place: &Place) -> Result<()> {
    debian(TEST_PACKAGES)?;
    npm(place, "end2end")
}

/// What the lab needs besides a Docker, which it brings.
pub(crate) fn for_lab() -> Result<()> {
    debian(LAB_PACKAGES)
}

/// What the lab's benchmark needs besides.
pub(crate) fn for_scans() -> Result<()> {
    debian(SCAN_PACKAGES)
}

/// A first build that ends with a full disk is time lost: say before it what it takes.
fn tell_room(place: &Place) {
    if place.target.exists() {
        return;
    }
    let there = place.target.ancestors().find(|folder| folder.exists());
    let free = there.and_then(|folder| {
        let text = output(
            Command::new("df")
                .args(["--output=avail", "--block-size=1G"])
                .arg(folder),
        )?;
        text.lines().last()?.trim().parse::<u32>().ok()
    });
    if let Some(free) = free.filter(|free| *free < FIRST_BUILD_GB) {
        println!(
            "{free} GB are free for {}; a first build with its tests takes {FIRST_BUILD_GB}. CARGO_TARGET_DIR names another folder.",
            place.target.display()
        );
    }
}

fn debian(packages: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = packages.iter().filter(|p| !has(p.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

fn install(missing: &[&Package]) -> Result<()> {
    for package in missing {
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
    if Path::new("/run/systemd/system").exists() {
        println!(
            "    servers among them may be started by systemd: `systemctl disable --now NAME` ends that"
        );
    }
    step("Installing Debian packages", || {
        apt_update()?;
        sh(apt(&["install", "-y", "-qq", "--no-install-recommends"])?.args(&names))
    })
    .with_context(|| {
        format!(
            "install them by hand, then try again: apt-get install --no-install-recommends {}",
            names.join(" ")
        )
    })
}

/// Ask what packages there are. Where that fails, what apt knew before may do.
fn apt_update() -> Result<()> {
    if let Err(error) = sh(&mut apt(&["update", "-qq"])?) {
        println!("    {error:#}");
    }
    Ok(())
}

/// apt-get as root, which asks nothing and, but where systemd does it all the same, starts no server: the tests start
/// their own, on their own folders and ports.
fn apt(args: &[&str]) -> Result<Command> {
    let root = output(Command::new("id").arg("-u")).as_deref() == Some("0");
    if !root && !has("sudo") {
        bail!("apt-get needs root, and there is no sudo");
    }
    // sudo passes no environment on.
    let mut command = if root {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    };
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get"])
        .args(args)
        .stdin(Stdio::null());
    Ok(command)
}

/// What makes the browser's side callable where cargo-leptos builds it.
fn wasm_bindgen(place: &Place) -> Result<()> {
    cargo_tool(
        place,
        "wasm-bindgen-cli",
        WASM_BINDGEN,
        "wasm-bindgen",
        &["--no-default-features"],
        "cargo-leptos asks for it; about 2 minutes, once",
    )
}

/// What `cargo leptos` needs beyond building.
pub(crate) fn cargo_leptos(place: &Place) -> Result<()> {
    wasm_bindgen(place)?;
    cargo_tool(
        place,
        "cargo-leptos",
        CARGO_LEPTOS,
        "cargo-leptos",
        &["--locked", "--ignore-rust-version", "--features", "no_downloads"],
        "`cargo leptos serve` and `watch` are for development; about 8 minutes, once",
    )?;
    development_environment(place)
}

/// The driver of the fuzz targets.
pub(crate) fn cargo_fuzz(place: &Place) -> Result<()> {
    cargo_tool(
        place,
        "cargo-fuzz",
        CARGO_FUZZ,
        "cargo-fuzz",
        &["--locked"],
        "it drives the fuzz targets; about a minute, once",
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
    // Kept where it fails, so that the next try goes on from there; big, and of no use afterwards.
    let built = place.cache.join("tools-target");
    step(&format!("Installing {krate} {version}: {why}"), || {
        sh(Command::new("cargo")
            .args(["install", krate, "--version", version, "--root"])
            .arg(&folder)
            .args(flags)
            .env("CARGO_TARGET_DIR", &built)
            // A tool that runs for seconds need not be optimised for minutes.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"))
    })
    .with_context(|| {
        format!("cargo could not install {krate} (its words are above); it needs a network, then try again")
    })?;
    fs::remove_dir_all(&built).with_context(|| format!("cannot remove {}", built.display()))
}

/// A Python environment that a benchmark measures against, or a test checks with.
pub(crate) struct Environment {
    name: &'static str,
    packages: &'static [&'static str],
    why: &'static str,
}

/// What the ssh decoy is measured against.
pub(crate) const COWRIE: Environment = Environment {
    name: "cowrie",
    packages: &["cowrie==3.1.4"],
    why: "the ssh decoy is measured against it",
};

/// What the API is measured against.
pub(crate) const FASTAPI: Environment = Environment {
    name: "fastapi",
    packages: &["fastapi==0.165.0", "uvicorn==0.54.0"],
    why: "the API is measured against it",
};

/// What holds the API against its description.
pub(crate) const SCHEMATHESIS: Environment = Environment {
    name: "schemathesis",
    packages: &["schemathesis==4.32.5"],
    why: "it holds the API against its description",
};

/// The folder of a Python environment. Only what needs it asks for it.
pub(crate) fn python(place: &Place, environment: &Environment) -> Result<PathBuf> {
    let Environment { name, packages, why } = environment;
    let wanted = packages.join("\n");
    let version = packages.first().and_then(|first| first.split("==").nth(1));
    let folder = place.tool(name, version.unwrap_or("any"));
    // Written last, so that an installation that broke off is begun again.
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(folder);
    }
    // Debian's python3 makes no environments without a second package.
    if output(Command::new("python3").args(["-c", "import ensurepip"])).is_none() {
        install(&[&PYTHON])?;
    }
    step(&format!("Installing {}: {why}", packages.join(", ")), || {
        sh(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder))?;
        sh(Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(*packages))?;
        fs::write(&stamp, &wanted).with_context(|| format!("cannot write {}", stamp.display()))
    })
    .with_context(|| {
        format!("pip could not install {name} (its words are above); it needs a network, then try again")
    })?;
    Ok(folder)
}

/// The npm packages of a folder, as its lock file says.
pub(crate) fn npm(place: &Place, folder: &str) -> Result<()> {
    let folder = place.root.join(folder);
    let lock = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.decnet-lock");
    let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    if fs::read(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    step(
        &format!("Installing the npm packages of {}", folder.display()),
        || {
            sh(Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
                .current_dir(&folder))?;
            fs::write(&stamp, &wanted).with_context(|| format!("cannot write {}", stamp.display()))
        },
    )
    .context("npm could not install its packages (its words are above); it needs a network, then try again")
}

/// The fonts that the site serves, put among its files: npm has them elsewhere.
fn fonts(place: &Place) -> Result<()> {
    let modules = place.root.join("style/node_modules/@fontsource-variable");
    let folder = place.root.join("style/public/fonts");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (from, name) in [
        ("inter/files/inter-latin-wght-normal.woff2", "inter.woff2"),
        ("inter/LICENSE", "inter-license.txt"),
        (
            "jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2",
            "jetbrains-mono.woff2",
        ),
        ("jetbrains-mono/LICENSE", "jetbrains-mono-license.txt"),
    ] {
        let (from, to) = (modules.join(from), folder.join(name));
        let font = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        // What is there is left alone, or everything that is made from it would look old.
        if fs::read(&to).is_ok_and(|there| there == font) {
            continue;
        }
        fs::write(&to, font).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// What `cargo leptos serve` needs to start the server by itself: a data directory and a secret of this clone's own.
fn development_environment(place: &Place) -> Result<()> {
    let path = place.root.join(".env.local");
    if path.exists() {
        return Ok(());
    }
    let mut raw = [0_u8; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut raw))
        .context("cannot read /dev/urandom")?;
    let secret: String = raw.iter().map(|b| format!("{b:02x}")).collect();
    let data = place.cache.join("dev-data");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&data)
        .with_context(|| format!("cannot make {}", data.display()))?;
    let text = format!(
        "# Written by `cargo xtask setup` for development; not committed.\n\
         DECNET_ENVIRONMENT=development\nDECNET_DATA_DIR={}\nDECNET_JWT_SECRET={secret}\n",
        data.display()
    );
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_glue_is_made_by_the_version_that_the_library_has() {
        let manifest: toml::Table = fs::read_to_string(Place::find().unwrap().root.join("Cargo.toml"))
            .unwrap()
            .parse()
            .unwrap();
        let library = manifest["workspace"]["dependencies"]["wasm-bindgen"].as_str();
        assert_eq!(library, Some(format!("={WASM_BINDGEN}").as_str()));
    }
}
