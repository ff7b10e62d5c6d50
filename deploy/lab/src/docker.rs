//! A Docker daemon that is new enough, without installing one: where the machine has none, the packages of a newer
//! Debian are unpacked into a folder.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::run;

/// A release of Debian, and what its Docker is made of. The machine's own runc is used: a newer one wants a newer libc.
struct Suite {
    name: &'static str,
    packages: &'static [&'static str],
}

/// The one whose daemon is new enough, and works on the one before.
const NEW: Suite = Suite {
    name: "trixie",
    packages: &["docker.io", "docker-cli", "containerd", "libseccomp2"],
};
/// The one whose daemon is too old.
const OLD: Suite = Suite {
    name: "bookworm",
    packages: &["docker.io", "containerd"],
};
/// The oldest daemon that sets an endpoint's hardware address.
const OLDEST: u32 = 25;

/// Where the programs of Docker are.
#[derive(Debug, Clone)]
pub struct Docker {
    /// A folder that goes before the PATH; `None` where the machine's own is used.
    root: Option<PathBuf>,
}

impl Docker {
    /// The machine's own daemon where it is new enough, or one that is unpacked into a folder of `cache` now.
    ///
    /// # Errors
    /// Where it can be had neither way.
    pub fn ensure(cache: &Path) -> Result<Self> {
        let own = Self { root: None };
        if own.version().is_some_and(|version| version >= OLDEST) {
            return Ok(own);
        }
        let (unpacked, version) = Self::unpacked(cache, &NEW)?;
        if version < OLDEST {
            bail!("the Docker of {} is {version}; {OLDEST} is needed", NEW.name);
        }
        Ok(unpacked)
    }

    /// A daemon that is too old for deckies.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn too_old(cache: &Path) -> Result<Self> {
        let (unpacked, version) = Self::unpacked(cache, &OLD)?;
        if version >= OLDEST {
            bail!("the Docker of {} is {version}, which is new enough", OLD.name);
        }
        Ok(unpacked)
    }

    /// The daemon of a suite of Debian, in a folder of `cache`, and its major version.
    fn unpacked(cache: &Path, suite: &Suite) -> Result<(Self, u32)> {
        let root = cache.join("tools").join(format!("docker-{}", suite.name));
        let unpacked = Self {
            root: Some(root.clone()),
        };
        if unpacked.version().is_none() {
            fetch(&root, suite)?;
        }
        match unpacked.version() {
            Some(version) => Ok((unpacked, version)),
            None => bail!("what was unpacked into {} does not run", root.display()),
        }
    }

    /// The PATH with `docker` first, and the system's own programs last.
    #[must_use]
    pub fn path(docker: Option<&Self>) -> OsString {
        let path = env::var_os("PATH").unwrap_or_default();
        let own = docker
            .and_then(|docker| docker.root.as_ref())
            .into_iter()
            .flat_map(|root| [root.join("usr/sbin"), root.join("usr/bin")]);
        let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        env::join_paths(own.chain(env::split_paths(&path)).chain(system)).unwrap_or(path)
    }

    /// The major version of the daemon.
    fn version(&self) -> Option<u32> {
        let output = Command::new("dockerd")
            .arg("--version")
            .env("PATH", Self::path(Some(self)))
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.strip_prefix("Docker version ")?
            .split('.')
            .next()?
            .parse()
            .ok()
    }
}

/// Download the packages with the machine's own apt, from the mirror that it is configured with, and unpack them.
fn fetch(root: &Path, suite: &Suite) -> Result<()> {
    let Some(mirror) = mirror() else {
        bail!(
            "Docker of {} is needed, and this is no Debian with a mirror: install Docker {OLDEST} or newer from its own \
             packages",
            suite.name
        );
    };
    let work = root.with_extension("new");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    for folder in ["lists/partial", "archives/partial", "unpacked"] {
        fs::create_dir_all(work.join(folder))?;
    }
    let sources = work.join("sources.list");
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    fs::write(
        &sources,
        format!("deb [signed-by={keyring}] {mirror} {} main\n", suite.name),
    )?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        for (option, value) in [
            ("Dir::Etc::sourcelist", sources.display().to_string()),
            ("Dir::Etc::sourceparts", "-".to_owned()),
            ("Dir::State::lists", work.join("lists").display().to_string()),
            (
                "Dir::Cache::archives",
                work.join("archives").display().to_string(),
            ),
            ("Dir::Cache::pkgcache", String::new()),
            ("Dir::Cache::srcpkgcache", String::new()),
            ("APT::Sandbox::User", "root".to_owned()),
        ] {
            apt.arg("-o").arg(format!("{option}={value}"));
        }
        apt
    };
    run(apt().args(["-qq", "update"])).context("cannot read the package lists of another Debian")?;
    let archives = work.join("archives");
    run(apt()
        .args(["-qq", "download"])
        .args(suite.packages)
        .current_dir(&archives))
    .context("cannot download Docker")?;
    let unpacked = work.join("unpacked");
    for entry in fs::read_dir(&archives)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&unpacked))?;
        }
    }
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    fs::create_dir_all(root.parent().context("a folder has no parent")?)?;
    fs::rename(&unpacked, root)?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// The mirror of Debian itself that apt is configured with.
fn mirror() -> Option<String> {
    let mut texts = vec![fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        texts.extend(
            parts
                .flatten()
                .filter_map(|part| fs::read_to_string(part.path()).ok()),
        );
    }
    let words = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| !line.starts_with('#'));
    words
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .find(|word| word.starts_with("http") && word.ends_with("/debian"))
        .map(str::to_owned)
}
