//! `cargo xtask package`: an archive with the release programs, the dashboard's files and the licences.
//!
//! The same sources give the same archive, and nothing in it names a folder of the machine that built it.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    decoy, host, licences,
    place::{Place, Profile},
    programs, setup,
    shell::{sh, step},
    site, weight,
};

/// What goes along as it is, with all that the first one leads to.
const DOCUMENTS: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "STYLE.md",
    "ROADMAP.md",
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
];

/// What `cargo xtask package` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder that the archive goes to [default: dist in the clone]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// `cargo xtask package`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    setup::for_build(place)?;
    let mut folders = vec![place.root.display().to_string()];
    folders.extend(programs::folders(place)?.map(|(folder, _)| folder.display().to_string()));
    host::build(place, Profile::Release)?;
    step("Weighing its pages", || weight::tell(place))?;
    let name = format!("decnet-{}-{}-linux", env!("CARGO_PKG_VERSION"), env::consts::ARCH);
    let out = options.out.clone().unwrap_or_else(|| place.root.join("dist"));
    let staging = place.target.join("package").join(&name);
    let archive = out.join(format!("{name}.tar.gz"));
    step("Packing", || {
        if staging.exists() {
            fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))?;
        }
        fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        site::copy_folder(&place.site(Profile::Release), &staging.join("site"))?;
        fs::remove_file(staging.join("site").join(site::STAMP)).context("cannot remove the site's stamp")?;
        for (_, program) in programs::PROGRAMS {
            fs::copy(
                place.programs(Profile::Release).join(program),
                staging.join(program),
            )
            .with_context(|| format!("cannot copy {program}"))?;
        }
        for file in DOCUMENTS {
            fs::copy(place.root.join(file), staging.join(file))
                .with_context(|| format!("cannot copy {file}"))?;
        }
        let others = staging.join("LICENSES-OF-OTHERS");
        fs::write(&others, licences_of_others(place)?)
            .with_context(|| format!("cannot write {}", others.display()))?;
        for file in programs::PROGRAMS
            .iter()
            .map(|(_, program)| staging.join(program))
            .chain(site::modules(&staging.join("site"))?)
        {
            decoy::says_nothing_of(&file, &folders)?;
        }
        sh(Command::new("tar")
            .args([
                "--sort=name",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
                "--mode=u=rwX,go=rX",
                "--mtime=@0",
                "--use-compress-program=gzip -n",
                "-cf",
            ])
            .arg(&archive)
            .arg("-C")
            .arg(place.target.join("package"))
            .arg(&name))?;
        fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))
    })?;
    println!(
        "{}\nUnpack it anywhere; `./decnet up --demo` in it runs a whole host.",
        archive.display()
    );
    Ok(())
}

/// The licences' texts of everything that our programs are built with, each text once.
fn licences_of_others(place: &Place) -> Result<String> {
    let mut by_text = BTreeMap::<String, Vec<String>>::new();
    for package in licences::packages(place)?.iter().filter(|p| p.is_of_others()) {
        let named = format!("{} {}", package.name, package.version);
        let texts = package.licence_texts()?;
        if texts.is_empty() {
            let licence = package.license.as_deref().unwrap_or_default();
            let text = format!("Its package has no file with a licence; its manifest says: {licence}\n");
            by_text.entry(text).or_default().push(named);
            continue;
        }
        for text in texts {
            by_text.entry(text).or_default().push(named.clone());
        }
    }
    if by_text.is_empty() {
        bail!("no dependency has a licence");
    }
    let mut all = String::from("What the programs of this archive are built with, and under which terms.\n");
    for (text, packages) in by_text {
        // Writing to a string cannot fail.
        let _written = write!(all, "\n{}\n{}\n\n{text}\n", "=".repeat(80), packages.join(", "));
    }
    Ok(all)
}
