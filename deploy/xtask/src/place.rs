//! Where things are: the clone, the cache, the target directory.

use std::{
    env,
    path::{self, PathBuf},
};

use anyhow::{Context, Result};

/// The folders that every task works in, and how it builds.
#[derive(Clone)]
pub(crate) struct Place {
    /// The clone.
    pub(crate) root: PathBuf,
    /// Tools and build output, outside the clone.
    pub(crate) cache: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
}

/// Which way the programs are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build, for tests.
    Dev,
    /// What users run.
    Release,
}

impl Profile {
    /// The folder below the target directory.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

impl Place {
    /// The folders of this clone and this user.
    pub(crate) fn find() -> Result<Self> {
        // Asked at run time: clones that share a target directory share this program, too, and cargo says for which it runs.
        let manifest = env::var_os("CARGO_MANIFEST_DIR");
        let root = manifest
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
            .ancestors()
            .nth(2)
            .context("the xtask crate is not two folders below the workspace")?
            .to_owned();
        let cache = env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))
            .context("neither XDG_CACHE_HOME nor HOME is set: there is no folder for tools")?
            .join("decnet");
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| cache.join("target"), PathBuf::from);
        // Programs are started from other folders than this one.
        let target = path::absolute(&target).with_context(|| format!("CARGO_TARGET_DIR is {target:?}"))?;
        Ok(Self { root, cache, target })
    }

    /// Where the programs of `profile` end up.
    pub(crate) fn programs(&self, profile: Profile) -> PathBuf {
        self.target.join(profile.folder())
    }

    /// Where the dashboard's files of `profile` end up: beside the programs, where the server looks for them.
    pub(crate) fn site(&self, profile: Profile) -> PathBuf {
        self.programs(profile).join("site")
    }

    /// The folder of a tool that is kept by its version.
    pub(crate) fn tool(&self, name: &str, version: &str) -> PathBuf {
        self.cache.join("tools").join(format!("{name}-{version}"))
    }
}
