//! The release dashboard's WebAssembly: without what never runs, and in pieces, one for each page.
//!
//! `pieces!` of `app/src/piece.rs` marks where a page can be cut off. wasm-split finds what only that page needs, what
//! several share, and leaves the rest in the main module, which every page loads. That makes dozens of small modules; those
//! that a page needs are put into one file, a module that is nothing but custom sections with the others in them: few
//! transfers, and they compress better together. Development builds are not cut: they have to be quick to build, and the
//! code is the same but for when it arrives.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    place::Place,
    setup::{self, WASM_BINDGEN, WASM_SPLIT},
    shear::{custom_section, shear},
    shell::{sh, sh_quiet},
    site::npm_program,
};

/// What rustc needs for it: to split a module is to know what refers to what.
pub(crate) const RELOCATIONS: &str = "-Clink-args=--emit-relocs";
/// The feature of `decnet-frontend` that marks where to cut.
pub(crate) const FEATURE: &str = "split";
/// Page by page, the pieces that it needs: for the server, which names them in the page's head.
pub(crate) const MANIFEST: &str = "pieces.json";

/// What rustc uses of WebAssembly. With more, wasm-opt writes what browsers do not read yet.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Files that wasm-split makes: the main module and what fetches the others.
pub(crate) const MAIN: &str = "decnet.wasm";
pub(crate) const LOADER: &str = "__wasm_split.js";

/// Cut `compiled` up and put what browsers load into `pkg`.
pub(crate) fn make(place: &Place, compiled: &Path, pkg: &Path) -> Result<()> {
    setup::wasm_split(place)?;
    let scratch = place.target.join("pieces");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let shorn = scratch.join("shorn.wasm");
    fs::write(&shorn, without_what_never_runs(compiled)?)
        .with_context(|| format!("cannot write {}", shorn.display()))?;
    let cut = scratch.join("cut");
    sh(Command::new(tool(place, "wasm-split-cli", WASM_SPLIT))
        .arg(&shorn)
        .arg(&cut)
        .args(["--target", "web", "--out-name", "decnet"]))?;
    let glued = scratch.join("glued");
    sh(Command::new(tool(place, "wasm-bindgen", WASM_BINDGEN))
        .args(["--target", "web", "--out-name", "decnet", "--no-typescript"])
        // Pieces link against the main module by these names.
        .args(["--keep-lld-exports", "--no-demangle"])
        .arg("--out-dir")
        .arg(&glued)
        .arg(cut.join(MAIN)))?;
    optimise(place, &glued.join("decnet_bg.wasm"), &pkg.join(MAIN))?;
    without_words(place, &glued.join("decnet.js"), &pkg.join("decnet.js"))?;
    let loader = fs::read_to_string(cut.join(LOADER)).with_context(|| format!("cannot read {LOADER}"))?;
    let needs = needs_of(&loader);
    let small = scratch.join("small");
    fs::create_dir_all(&small).with_context(|| format!("cannot make {}", small.display()))?;
    let mut modules = vec![pkg.join(MAIN)];
    for name in needs.values().flatten().collect::<BTreeSet<_>>() {
        let file = small.join(module(name));
        optimise(place, &cut.join(module(name)), &file)?;
        modules.push(file);
    }
    for (page, pieces) in &needs {
        let file = pkg.join(module(&file_of(page)));
        fs::write(&file, together(&small, pieces)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        modules.push(file);
    }
    compile(modules.iter())?;
    fs::write(pkg.join(LOADER), loader_of(&loader, &needs)?)
        .with_context(|| format!("cannot write {LOADER}"))?;
    let files: BTreeMap<_, _> = needs.keys().map(|page| (page, [file_of(page)])).collect();
    fs::write(pkg.join(MANIFEST), serde_json::to_vec_pretty(&files)?)
        .with_context(|| format!("cannot write {MANIFEST}"))
}

/// The name of a page's file, without its ending.
fn file_of(page: &str) -> String {
    format!("page_{page}")
}

fn module(name: &str) -> String {
    format!("{name}.wasm")
}

/// A module that holds the `pieces` in custom sections of their names.
fn together(folder: &Path, pieces: &[String]) -> Result<Vec<u8>> {
    let mut all = b"\0asm\x01\0\0\0".to_vec();
    for name in pieces {
        let file = folder.join(module(name));
        let piece = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        custom_section(&mut all, name, &piece);
    }
    Ok(all)
}

/// What fetches the pieces of a page and calls back: the runtime that wasm-split wrote, and how they lie in our files.
fn loader_of(written: &str, needs: &BTreeMap<String, Vec<String>>) -> Result<String> {
    let runtime: String = written
        .lines()
        .take_while(|line| {
            !line.starts_with("/* ") && !line.contains("const __chunk_") && !line.contains(ENTRY)
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    if needs.is_empty()
        || !runtime.contains("function wrapAsyncCb(")
        || !runtime.contains("function getSharedImports(")
    {
        bail!("wasm-split writes another {LOADER} than it did when this was written");
    }
    let mut loader = runtime + LOAD;
    for (page, pieces) in needs {
        let pieces = serde_json::to_string(pieces)?;
        // Writing to a string cannot fail.
        let _written = writeln!(
            loader,
            "export const {ENTRY}{page} = wrapAsyncCb(() => load(\"{}\", {pieces}));",
            module(&file_of(page))
        );
    }
    Ok(loader)
}

/// How the WebAssembly calls the function that loads a page; its name follows.
const ENTRY: &str = "__wasm_split_load_";

/// Take the pieces that are not there yet out of a page's file. They link against the main module alone, so their order
/// does not matter. One that fails may be tried again.
const LOAD: &str = r"
const there = new Map();
async function load(file, pieces) {
    if (pieces.every((name) => there.has(name))) return Promise.all(pieces.map((name) => there.get(name)));
    const all = await WebAssembly.compileStreaming(fetch(new URL(file, import.meta.url)));
    const imports = getSharedImports();
    return Promise.all(pieces.map((name) => {
        if (!there.has(name)) {
            const [bytes] = WebAssembly.Module.customSections(all, name);
            const coming = WebAssembly.instantiate(bytes, imports);
            coming.catch(() => there.delete(name));
            there.set(name, coming);
        }
        return there.get(name);
    }));
}
";

/// The module without the asynchronous hydration of erased views.
///
/// Leptos keeps it for each type of view although nothing calls it: pages are taken over in one go, once their piece is
/// there (leptos-rs/leptos, issue 4852; gone in 0.9). Were it called all the same, no release page would come alive, which
/// the browser tests see.
fn without_what_never_runs(compiled: &Path) -> Result<Vec<u8>> {
    let module = fs::read(compiled).with_context(|| format!("cannot read {}", compiled.display()))?;
    let shorn = shear(&module, |name| {
        ["any_view", "into_any", "hydrate_async"]
            .iter()
            .all(|part| name.contains(part))
    })
    .with_context(|| format!("cannot read {}", compiled.display()))?;
    if shorn.functions == 0 {
        bail!("there is no asynchronous hydration of erased views any more: take its removal out");
    }
    println!("    {} functions that never run are taken out", shorn.functions);
    Ok(shorn.module)
}

fn optimise(place: &Place, from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new(npm_program(place, "wasm-opt"));
    command.arg("-Oz").args(WASM_FEATURES).arg(from).arg("-o").arg(to);
    // It warns of a name section that is newer than it, for each piece; the section is not kept anyway.
    sh_quiet(&mut command)
}

/// A module of JavaScript without what only people read.
fn without_words(place: &Place, from: &Path, to: &Path) -> Result<()> {
    let out = format!("--outfile={}", to.display());
    sh_quiet(
        Command::new(npm_program(place, "esbuild"))
            .args(["--minify", "--format=esm", "--log-level=error"])
            .arg(out)
            .arg(from),
    )
}

/// Fail where node, which reads what browsers read, does not take one of the modules.
fn compile<'m>(modules: impl Iterator<Item = &'m PathBuf>) -> Result<()> {
    let script = "const f=require('node:fs');\
        Promise.all(process.argv.slice(1).map((p)=>WebAssembly.compile(f.readFileSync(p))\
        .catch((error)=>{throw new Error(p+': '+error.message)})))\
        .catch((error)=>{console.error(error.message);process.exit(1)})";
    sh(Command::new("node").args(["-e", script]).args(modules))
        .context("no browser would read the optimised WebAssembly")
}

fn tool(place: &Place, name: &str, version: &str) -> PathBuf {
    place.tool(name, version).join("bin").join(name)
}

/// Page by page, the modules that `loader` fetches for it, without their endings.
///
/// What several pages share stands in it as `/* one, another */`, then the line that fetches it; a page's own piece
/// stands behind the name of its function, `__wasm_split_load_PAGE`.
fn needs_of(loader: &str) -> BTreeMap<String, Vec<String>> {
    let mut needs = BTreeMap::<String, Vec<String>>::new();
    let mut pages = Vec::new();
    for line in loader.lines() {
        if let Some(shared) = line.strip_prefix("/* ").and_then(|l| l.strip_suffix(" */")) {
            pages = shared.split(", ").map(str::to_owned).collect();
        } else if let Some((_, rest)) = line.split_once(ENTRY) {
            let page = rest.split(' ').next().unwrap_or_default();
            needs.entry(page.to_owned()).or_default();
            pages = vec![page.to_owned()];
        } else if let Some((_, rest)) = line.split_once("new URL(\"./")
            && let Some((module, _)) = rest.split_once(".wasm\"")
        {
            for page in pages.drain(..) {
                needs.entry(page).or_default().push(module.to_owned());
            }
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_what_it_shares_and_its_own_piece_if_it_has_one() {
        let loader = r#"import { initSync } from "./decnet.js";
/* fleet, live */
const __chunk_3 = makeLoad(() => {
    const src = fetch(new URL("./chunk_3.wasm", import.meta.url));
    return async (imports) => (WebAssembly.instantiateStreaming(src, imports));
}
, []);
export const __wasm_split_load_live = wrapAsyncCb(makeLoad(() => {
    const src = fetch(new URL("./split_live.wasm", import.meta.url));
    return async (imports) => (WebAssembly.instantiateStreaming(src, imports));
}
, [__chunk_3]));
export const __wasm_split_load_fleet = wrapAsyncCb(makeLoad(() => async (_imp) => ({}), [__chunk_3]));
"#;
        let needs = needs_of(loader);
        assert_eq!(needs["live"], ["chunk_3", "split_live"]);
        assert_eq!(needs["fleet"], ["chunk_3"]);
        assert_eq!(needs.len(), 2);
    }
}
