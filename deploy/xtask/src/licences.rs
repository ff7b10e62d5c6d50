//! What the dependencies are licensed under and where they come from, held against deny.toml.
//!
//! It reads what their manifests say, so it needs no tool and no network. `cargo deny check licenses bans sources` reads
//! the same file, and the texts of the licences too.

use std::{fs, iter::Peekable, path::PathBuf, str::SplitWhitespace};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{
    place::Place,
    setup::wasm,
    shell::{cargo, output},
};

/// The part of deny.toml that is held here; the rest of it says the same in every project.
#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// A package that the lock file names.
#[derive(Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licence, as an SPDX expression.
    pub(crate) license: Option<String>,
    /// Its Cargo.toml.
    manifest_path: PathBuf,
    /// Where it comes from; absent for our own.
    source: Option<String>,
    dependencies: Vec<Dependency>,
}

impl Package {
    /// Whether others wrote it.
    pub(crate) fn is_of_others(&self) -> bool {
        self.source.is_some()
    }

    /// The licences and notices that lie beside its manifest.
    pub(crate) fn licence_texts(&self) -> Result<Vec<String>> {
        let folder = self
            .manifest_path
            .parent()
            .context("a manifest is in no folder")?;
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .to_ascii_uppercase();
            let tells = [
                "LICENSE",
                "LICENCE",
                "COPYING",
                "COPYRIGHT",
                "NOTICE",
                "UNLICENSE",
            ];
            if path.is_file() && tells.iter().any(|word| name.starts_with(word)) {
                paths.push(path);
            }
        }
        paths.sort();
        paths
            .iter()
            .map(|path| {
                let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
            })
            .collect()
    }
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    req: String,
    source: Option<String>,
}

/// Every package that is built, ours and those of others, for this machine and for the browser.
pub(crate) fn packages(place: &Place) -> Result<Vec<Package>> {
    let text = output(cargo(place).args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        &wasm::host()?,
        "--filter-platform",
        wasm::TARGET,
    ]))
    .context("`cargo metadata --locked` fails; run it by itself to see why")?;
    let metadata: Metadata = serde_json::from_str(&text).context("cannot read what cargo metadata says")?;
    Ok(metadata.packages)
}

/// Hold every package against deny.toml.
pub(crate) fn check(place: &Place) -> Result<()> {
    let path = place.root.join("deny.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let deny: Deny = toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
    let packages = packages(place)?;
    let faults: Vec<String> = packages
        .iter()
        .flat_map(|package| faults(package, &deny.licenses.allow))
        .collect();
    if !faults.is_empty() {
        bail!("{}\n(deny.toml says what is allowed)", faults.join("\n"));
    }
    println!("    {} packages are as deny.toml wants them", packages.len());
    Ok(())
}

/// What deny.toml does not allow about a package.
fn faults(package: &Package, allow: &[String]) -> Vec<String> {
    let named = format!("{} {}", package.name, package.version);
    let mut faults = Vec::new();
    let licence = package.license.as_deref().unwrap_or_default();
    match allows(licence, allow) {
        Some(true) => {}
        Some(false) => faults.push(format!("{named} is licensed under {licence}")),
        None => faults.push(format!("{named} has {licence:?} for a licence")),
    }
    if let Some(source) = &package.source
        && source != "registry+https://github.com/rust-lang/crates.io-index"
    {
        faults.push(format!("{named} comes from {source}"));
    }
    if package.source.is_none() {
        faults.extend(
            (package.dependencies.iter())
                .filter(|d| d.req == "*" && d.source.is_some())
                .map(|d| format!("{named} takes any version of {}", d.name)),
        );
    }
    faults
}

/// Whether an SPDX expression can be met with these licences; `None` where it is none. A slash is an OR of old.
fn allows(expression: &str, allow: &[String]) -> Option<bool> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut reader = Expression {
        words: spaced.split_whitespace().peekable(),
        allow,
    };
    let met = reader.alternatives()?;
    reader.words.next().is_none().then_some(met)
}

struct Expression<'a> {
    words: Peekable<SplitWhitespace<'a>>,
    allow: &'a [String],
}

impl Expression<'_> {
    fn alternatives(&mut self) -> Option<bool> {
        let mut met = self.all()?;
        while self.words.next_if_eq(&"OR").is_some() {
            met |= self.all()?;
        }
        Some(met)
    }

    fn all(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.words.next_if_eq(&"AND").is_some() {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        match self.words.next()? {
            "(" => {
                let met = self.alternatives()?;
                (self.words.next()? == ")").then_some(met)
            }
            ")" | "OR" | "AND" | "WITH" => None,
            name => {
                let name = match self.words.next_if_eq(&"WITH") {
                    Some(_) => format!("{name} WITH {}", self.words.next()?),
                    None => name.to_owned(),
                };
                Some(self.allow.contains(&name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_met_by_one_alternative_and_by_every_part() {
        let allow = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        for (expression, met) in [
            ("MIT", Some(true)),
            ("GPL-3.0", Some(false)),
            ("MIT OR GPL-3.0", Some(true)),
            ("GPL-3.0/MIT", Some(true)),
            ("MIT AND GPL-3.0", Some(false)),
            ("MIT AND ISC", Some(true)),
            ("GPL-3.0 OR MIT AND GPL-2.0", Some(false)),
            ("(GPL-3.0 OR MIT) AND ISC", Some(true)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("Apache-2.0", Some(false)),
            ("", None),
            ("MIT ISC", None),
            ("(MIT", None),
            ("MIT OR", None),
            ("AND MIT", None),
        ] {
            assert_eq!(allows(expression, &allow), met, "{expression}");
        }
    }

    #[test]
    fn a_foreign_source_a_licence_that_is_missing_and_a_wildcard_are_told() {
        let package = |source: Option<&str>, license: Option<&str>| Package {
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            manifest_path: PathBuf::new(),
            source: source.map(str::to_owned),
            dependencies: vec![Dependency {
                name: "y".to_owned(),
                req: "*".to_owned(),
                source: Some("registry".to_owned()),
            }],
        };
        let allow = ["MIT".to_owned()];
        assert_eq!(
            faults(&package(Some("git+https://example.org/x"), None), &allow),
            [
                "x 1.0.0 has \"\" for a licence",
                "x 1.0.0 comes from git+https://example.org/x"
            ]
        );
        assert_eq!(
            faults(&package(None, Some("MIT")), &allow),
            ["x 1.0.0 takes any version of y"]
        );
    }
}
